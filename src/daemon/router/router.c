/* daemon/router/router.c - see router.h. */
// SPDX-License-Identifier: ISC
#include "daemon/router/router.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/router/table.h"

enum { TARGETS_BYTES_MAX = 64 << 10 };
#define COMPLAINT_PAUSE_US (60 * US_PER_S)

static struct router {
    struct table table;
    bool unrecoverable;     /* a new start would not help either */
    uint64_t complained_us; /* monotonic; when an unreadable database was last logged */
} router;

static int start(struct worker *w)
{
    /* Without a configuration everybody would be refused: rather not start at all. */
    if (!router.table.config)
        return -EINVAL;
    int error = accounts_recover(".");
    router.unrecoverable = error < 0;
    if (router.unrecoverable)
        log_event(LEVEL_ERROR, "accounts-unreadable", "error", strerror(-error), NULL);
    return accounts_open(".", false, &router.table.accounts);
}

static void take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);
    close(snapshot_fd);
    if (error < 0)
        log_event(LEVEL_ERROR, "config-refused", "error", strerror(-error), NULL);
    else
        table_load(&router.table, &c);
}

/* A database that cannot be read makes every question fail: one line a minute says it. What a
 * dead writer left can be taken back only before the jail: a new start does it. */
static void complain(struct worker *w)
{
    uint64_t now_us = clock_monotonic_us(w->clock);
    bool silent = router.complained_us && now_us - router.complained_us < COMPLAINT_PAUSE_US;
    if (router.table.account_error == 0 || silent)
        return;
    router.complained_us = now_us;
    log_event(LEVEL_ERROR, "accounts-unreadable", "error", strerror(-router.table.account_error),
              NULL);
    if (router.table.account_error == -EROFS && w->parent && !router.unrecoverable)
        worker_done(w);
}

static void on_route_ask(struct worker *w, struct channel *from, union message *m)
{
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    struct route_question question = {.sender = m->route_ask.sender,
                                      .recipient = m->route_ask.recipient,
                                      .may_relay = m->route_ask.may_relay != 0};
    router.table.account_error = 0;
    route_decide(&router.table.routes, &question, &a, &answer);
    complain(w);

    struct buf targets = buf_init(TARGETS_BYTES_MAX);
    for (size_t i = 0; i < answer.target_count; i++)
        target_encode(&targets, &answer.targets[i]);
    struct msg_route_answer reply = {.kind = MSG_ROUTE_ANSWER,
                                     .ticket = m->route_ask.ticket,
                                     .status = answer.status,
                                     .targets = buf_str(&targets),
                                     .why = answer.why};
    channel_send(from, &reply);
    buf_free(&targets);
    arena_free(&a);
}

static void stop(struct worker *w)
{
    worker_done(w); /* every question has been answered in its own turn */
}

static const struct role_handler handlers[] = {
    {MSG_ROUTE_ASK, on_route_ask},
};

const struct role_spec router_spec = {
    .role = ROUTER,
    .user = "_troika-router",
    .jail_may = JAIL_FILES_READ | JAIL_LOCK,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .stop = stop,
};
