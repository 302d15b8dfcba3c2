// SPDX-License-Identifier: ISC
#include "daemon/parent/worker_row.h"

#include <unistd.h>

#include "base/check.h"

static uint32_t one(const struct config *c)
{
    (void)c;
    return 1;
}

static uint32_t count_or_cores(uint64_t wanted)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (wanted == 0)
        wanted = cores < 1 ? 1 : (uint64_t)cores;
    return (uint32_t)MIN_OF(wanted, (uint64_t)WORKERS_MAX);
}

static uint32_t smtpd_count(const struct config *c)
{
    return count_or_cores(c->smtpd_count);
}

static uint32_t relay_count(const struct config *c)
{
    return count_or_cores(c->relay_count);
}

static uint32_t users_count(const struct config *c)
{
    return config_has_system_users(c) ? 1 : 0;
}

/* Without a certificate there is no key. */
static uint32_t keys_count(const struct config *c)
{
    return config_has_certificate(c) ? 1 : 0;
}

static uint32_t logind_count(const struct config *c)
{
    return config_has_logins(c) ? (uint32_t)c->logind_count : 0;
}

static uint32_t pam_count(const struct config *c)
{
    return config_has_user_logins(c) ? 1 : 0;
}

/* Started in this order, and all but the outside ones stopped last. */
const struct worker_row worker_rows[WORKER_ROW_COUNT] = {
    {
        .role = HISTORY,
        .user = "_troika-history",
        .folder = "history",
        .peers = SMTPD | QUEUE,
        .control = true,
        .owns_state = true,
        .count = one,
    },
    {
        .role = USERS,
        .user = "_troika-users",
        .folder = "empty",
        .peers = ROUTER,
        .count = users_count,
    },
    {
        .role = KEYS,
        .user = "_troika-keys",
        .folder = "empty",
        .peers = SMTPD,
        .count = keys_count,
    },
    {
        .role = ROUTER,
        .user = "_troika-router",
        .folder = "accounts",
        .peers = SMTPD | QUEUE | USERS | LOGIND,
        .control = true,
        .count = one,
    },
    {
        .role = PAM, /* no user: its modules are written for root */
        .folder = "empty",
        .peers = LOGIND,
        .count = pam_count,
    },
    {
        .role = LOGIND,
        .user = "_troika-logind",
        .folder = "credentials",
        .peers = SMTPD | ROUTER | PAM,
        .count = logind_count,
    },
    {
        .role = QUEUE,
        .user = "_troika-queue",
        .folder = "spool",
        .peers = SMTPD | ROUTER | RELAY | LOCAL | HISTORY,
        .control = true,
        .owns_state = true,
        .count = one,
    },
    {
        .role = LOCAL,
        .user = "_troika-local",
        .folder = "mail",
        .peers = QUEUE,
        .owns_state = true,
        .outside = true,
        .count = one,
    },
    {
        .role = RELAY,
        .user = "_troika-relay",
        .folder = "empty",
        .peers = SMTPD | QUEUE,
        .outside = true,
        .count = relay_count,
    },
    {
        .role = SMTPD,
        .user = "_troika-smtpd",
        .folder = "empty",
        .peers = ROUTER | LOGIND | QUEUE | RELAY | HISTORY | KEYS,
        .outside = true,
        .count = smtpd_count,
    },
};
