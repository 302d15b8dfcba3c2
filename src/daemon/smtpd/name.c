/* smtpd/name.c - the name of the client, for Received and the log.
 *
 * It is asked for when the client connects and waited for as late as it can be: before 354 or the
 * first chunk, when the client has said everything else. NAME_WAIT_US after it was asked for nobody
 * waits any more; an answer that comes later still serves the messages after it. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/state.h"

#define NAME_WAIT_US (5 * US_PER_S)
enum { NAME_BYTES_MAX = 255, WHY_BYTES_MAX = 128 };

static void keep(char **to, struct str text, size_t bytes_max)
{
    free(*to);
    *to = mem_copy(text.p, MIN_OF(text.n, bytes_max));
}

void name_take(struct session *s, struct str name, struct str why)
{
    free(s->nameless_why);
    s->nameless_why = NULL;
    s->naming = name.n > 0 ? NAME_KNOWN : NAME_UNKNOWN;
    if (name.n > 0)
        keep(&s->client_name, name, NAME_BYTES_MAX);
    else
        keep(&s->nameless_why, why.n > 0 ? why : STR("no reason was given"), WHY_BYTES_MAX);
}

void name_forget(struct session *s)
{
    free(s->client_name);
    free(s->nameless_why);
    s->client_name = s->nameless_why = NULL;
    s->naming = NAME_UNWANTED;
}

void name_ask(struct session *s)
{
    bool loopback = str_eq_c(STR("127.0.0.1"), s->ip) || str_eq_c(STR("::1"), s->ip);

    if (has_no_address(s) || loopback || !s->config->dns.reverse_names)
        return;
    s->naming_us = clock_monotonic_us(s->world->clock);
    if (s->world->name_ask(s->arg, str_c(s->ip)))
        s->naming = NAME_ASKED;
    else
        name_take(s, STR_NONE, STR("nobody can look it up now"));
}

static bool in_time(const struct session *s)
{
    return clock_monotonic_us(s->world->clock) - s->naming_us < NAME_WAIT_US;
}

bool name_is_due(const struct session *s)
{
    return s->naming == NAME_ASKED && in_time(s);
}

void name_line(const struct session *s, struct buf *to)
{
    if (s->naming == NAME_UNWANTED || name_is_due(s))
        return;
    line_str(to, "client-name", name_printed(s));
    if (s->naming != NAME_KNOWN)
        line_c(to, "nameless", s->nameless_why ? s->nameless_why : "no answer in time");
}

struct str name_printed(const struct session *s)
{
    if (s->naming == NAME_UNWANTED)
        return STR_NONE;
    return s->naming == NAME_KNOWN ? str_c(s->client_name) : STR("unknown");
}

static void go_on(struct session *s, struct buf *out)
{
    s->waiting = FOR_CLIENT;
    s->active_us = clock_monotonic_us(s->world->clock);
    if (s->chunk.open) {
        chunk_named(s, out);
    } else {
        content_begin(s);
        session_say(s, reply(REPLY_SEND_CONTENT), out);
    }
    session_check(s);
}

void name_late(struct session *s, struct buf *out)
{
    if (!in_time(s))
        go_on(s, out);
}

void session_named(struct session *s, struct str name, struct str why, struct buf *out)
{
    if (s->naming != NAME_ASKED)
        return;
    name_take(s, name, why);
    if (s->waiting == FOR_NAME)
        go_on(s, out);
}
