/* daemon/router/router.c - see router.h. */
// SPDX-License-Identifier: ISC
#include "daemon/router/router.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/router/table.h"

/* An alias may lead to many places; with the reason this must fit into one packet. */
enum { TARGETS_BYTES_MAX = 128 << 10 };
#define COMPLAINT_PAUSE_US (60 * US_PER_S)

static struct router {
    struct table table;
    bool unrecoverable; /* a new start would not help either */
    /* monotonic; when an unreadable database, or map of aliases, was last logged */
    uint64_t complained_us, aliases_complained_us;
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

static bool may_complain(const struct worker *w, uint64_t *last_us)
{
    uint64_t now_us = clock_monotonic_us(w->clock);
    if (*last_us && now_us - *last_us < COMPLAINT_PAUSE_US)
        return false;
    *last_us = now_us;
    return true;
}

/* A database that cannot be read makes every question fail: one line a minute says it. What a
 * dead writer left can be taken back only before the jail: a new start does it. */
static void complain(struct worker *w)
{
    struct table *t = &router.table;
    if (t->account_error == 0 || !may_complain(w, &router.complained_us))
        return;
    log_event(LEVEL_ERROR, "accounts-unreadable", "error", strerror(-t->account_error), NULL);
    if (t->account_error == -EROFS && w->parent && !router.unrecoverable)
        worker_done(w);
}

static void complain_of_aliases(struct worker *w)
{
    const struct table *t = &router.table;
    struct buf line = buf_init(LINE_BYTES_MAX);
    if (t->alias_error == 0 || !may_complain(w, &router.aliases_complained_us))
        return;
    line_c(&line, "event", "aliases-unreadable");
    line_str(&line, "domain", t->alias_domain);
    line_c(&line, "error", strerror(-t->alias_error));
    line_c(&line, "hint", "newaliases makes them again");
    log_line(LEVEL_ERROR, buf_str(&line));
    buf_free(&line);
}

/* The mail goes to the others; who should have had it too is known only here. */
static void log_failures(struct str recipient, const struct route_answer *answer)
{
    for (size_t i = 0; i < answer->failure_count; i++) {
        const struct route_failure *f = &answer->failures[i];
        struct buf line = buf_init(LINE_BYTES_MAX);
        line_c(&line, "event", "alias-target-failed");
        line_address(&line, "alias", recipient);
        line_address(&line, "to", f->address);
        line_str(&line, "at", f->at);
        line_str(&line, "why", f->why);
        log_line(LEVEL_WARNING, buf_str(&line));
        buf_free(&line);
    }
}

static void encode_targets(struct route_answer *answer, struct str recipient, struct buf *to)
{
    for (size_t i = 0; i < answer->target_count; i++)
        target_encode(to, &answer->targets[i]);
    if (to->full) {
        buf_reset(to);
        answer->status = reply_status(REPLY_ALIAS_TOO_LARGE, recipient);
    }
}

static void on_route_ask(struct worker *w, struct channel *from, union message *m)
{
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    struct route_question question = {.sender = m->route_ask.sender,
                                      .recipient = m->route_ask.recipient,
                                      .may_relay = m->route_ask.may_relay != 0};
    router.table.account_error = router.table.alias_error = 0;
    route_decide(&router.table.routes, &question, &a, &answer);
    complain(w);
    complain_of_aliases(w);
    if (channel_peer(from) == SMTPD)
        log_failures(question.recipient, &answer);

    struct buf targets = buf_init(TARGETS_BYTES_MAX);
    encode_targets(&answer, question.recipient, &targets);
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
