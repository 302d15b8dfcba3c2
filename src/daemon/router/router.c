/* daemon/router/router.c - see router.h. */
// SPDX-License-Identifier: ISC
#include "daemon/router/router.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/router/table.h"
#include "io/user.h"

/* An alias may lead to many places; with the reason this must fit into one packet. */
enum { TARGETS_BYTES_MAX = 128 << 10 };
#define COMPLAINT_PAUSE_US (60 * US_PER_S)
#define USERS_WAIT_US (20 * US_PER_S)

static struct router {
    struct table table;
    bool unrecoverable; /* a new start would not help either */
    struct worker *worker;
    struct list questions; /* that wait for users */
    uint64_t question_number;
    /* monotonic; when an unreadable database, or map of aliases, was last logged */
    uint64_t complained_us, aliases_complained_us, users_complained_us;
} router;

static int start(struct worker *w)
{
    router.worker = w;
    list_init(&router.questions);
    /* Without a configuration everybody would be refused: rather not start at all. */
    if (!router.table.config)
        return -EINVAL;
    int error = accounts_recover(".");
    router.unrecoverable = error < 0;
    if (router.unrecoverable)
        log_event(LEVEL_ERROR, "accounts-unreadable", "error", strerror(-error), NULL);
    return accounts_open(".", false, &router.table.accounts);
}

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    if (error < 0)
        return error;
    table_load(&router.table, &c);
    return 0;
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

static void answer_with(struct question *q, struct route_answer *answer)
{
    struct buf targets = buf_init(TARGETS_BYTES_MAX);
    encode_targets(answer, q->ask.recipient, &targets);
    struct msg_route_answer reply = {.kind = MSG_ROUTE_ANSWER,
                                     .ticket = q->ticket,
                                     .status = answer->status,
                                     .targets = buf_str(&targets),
                                     .why = answer->why};
    channel_send(q->from, &reply);
    buf_free(&targets);
}

static void on_late(void *arg);

/* Asks for the users that a decision lacked. False: there are none, or nobody to ask. */
static bool ask_users(struct worker *w, struct question *q)
{
    struct channel *users = worker_peer(w, USERS, 0);
    struct str name;
    if (!users)
        return false;
    while (question_next(q, &name)) {
        struct msg_user_ask m = {.kind = MSG_USER_ASK, .ticket = q->number, .name = name};
        channel_send(users, &m);
    }
    return q->open_count > 0;
}

static void (*const deciders[ROUTE_WHAT_COUNT])(const struct route_table *t,
                                                const struct route_question *q, struct arena *a,
                                                struct route_answer *ret) = {
    [ROUTE_RECIPIENT] = route_decide,
    [ROUTE_OWNER] = route_owner,
    [ROUTE_VERIFY] = route_verify,
    [ROUTE_LOGIN] = route_login,
};

/* Decides, and answers or waits for users. final: with what is known. */
static void decide(struct worker *w, struct question *q, bool final)
{
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    router.table.account_error = router.table.alias_error = 0;
    router.table.question = q;
    deciders[q->what](&router.table.routes, &q->ask, &a, &answer);
    router.table.question = NULL;
    if (!final && ask_users(w, q)) {
        timer_set(w->loop, &q->deadline, USERS_WAIT_US, on_late, q);
    } else {
        complain(w);
        complain_of_aliases(w);
        if (channel_peer(q->from) == SMTPD && q->what == ROUTE_RECIPIENT)
            log_failures(q->ask.recipient, &answer);
        answer_with(q, &answer);
        question_free(&q);
    }
    arena_free(&a);
}

static void on_late(void *arg)
{
    if (may_complain(router.worker, &router.users_complained_us))
        log_event(LEVEL_ERROR, "users-unreadable", "reason",
                  "the services of nsswitch.conf do not answer", NULL);
    decide(router.worker, arg, true);
}

static void on_route_ask(struct worker *w, struct channel *from, union message *m)
{
    if (m->route_ask.what >= ROUTE_WHAT_COUNT)
        return; /* none of ours */

    struct question *q =
        question_new(&(struct route_question){.sender = m->route_ask.sender,
                                              .recipient = m->route_ask.recipient,
                                              .may_relay = m->route_ask.may_relay != 0});
    q->what = m->route_ask.what;
    q->from = from;
    q->ticket = m->route_ask.ticket;
    q->number = ++router.question_number;
    list_add(&router.questions, &q->link);
    decide(w, q, false);
}

static enum login_answer login_answer_of(uint8_t found)
{
    static const enum login_answer answers[USER_FOUND_COUNT] = {
        [USER_UNKNOWN] = LOGIN_NO,
        [USER_FOUND] = LOGIN_YES,
        [USER_REFUSED] = LOGIN_REFUSED,
        [USER_TRY_LATER] = LOGIN_TRY_LATER,
    };
    return found < USER_FOUND_COUNT ? answers[found] : LOGIN_TRY_LATER;
}

/* The oldest question comes first, and so do its answers. */
static void on_user_answer(struct worker *w, struct channel *from, union message *m)
{
    const struct msg_user_answer *answer = &m->user_answer;
    list_each (at, &router.questions) {
        struct question *q = list_of(at, struct question, link);
        if (q->number != answer->ticket)
            continue;
        question_answered(q, answer->name, login_answer_of(answer->answer), answer->login);
        if (q->open_count == 0)
            decide(w, q, false);
        return;
    }
}

/* Who asked is gone, or whom we asked. */
static void peer_down(struct worker *w, struct channel *peer)
{
    struct list waiting;
    list_init(&waiting);
    list_each (at, &router.questions) {
        struct question *q = list_of(at, struct question, link);
        list_remove(at);
        if (q->from == peer)
            question_free(&q);
        else
            list_add(&waiting, at);
    }
    list_each (at, &waiting) {
        list_remove(at);
        list_add(&router.questions, at);
        if (channel_peer(peer) == USERS)
            decide(w, list_of(at, struct question, link), true);
    }
}

static void stop(struct worker *w)
{
    worker_done(w); /* who still waits for users asks another router */
}

static const struct role_handler handlers[] = {
    {MSG_ROUTE_ASK, on_route_ask},
    {MSG_USER_ANSWER, on_user_answer},
};

const struct role_spec router_spec = {
    .role = ROUTER,
    .user = "_troika-router",
    .jail_may = JAIL_FILES_READ | JAIL_LOCK,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .peer_down = peer_down,
    .stop = stop,
};
