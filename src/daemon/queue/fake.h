/* daemon/queue/fake.h - a world for this folder's tests: a real spool and loop, a clock that is
 * moved by hand, and channels that keep what the queue says so that a test can look at it.
 * Included once by each test; its channel_… and worker_… take the place of those in ipc. */
// SPDX-License-Identifier: ISC
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After what it needs.
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/queue/queue.h"
#include "ipc/job.h"

/* No test needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

enum { SENT_MAX = 4096 };

struct sent {
    union message m;
    struct buf bytes; /* m's strings are in here */
};

struct channel {
    enum role peer;
    void *data;
    struct sent *sent[SENT_MAX];
    size_t first, count;
    bool full;
};

struct fake_clock {
    struct clock clock;
    uint64_t now_us, monotonic_us;
};

struct world {
    struct fake_clock clock;
    struct disk disk;
    struct worker worker;
    struct queue *q;
    char path[64];
    struct channel *smtpd, *router, *relay, *local, *history, *control;
    int given_up;
    bool done;
    uint64_t ticket;
    unsigned notify; /* what put() wishes for each recipient */
    enum notify_return ret;
    struct str envid;
    bool router_silent;
    void (*prepare)(struct queue *q); /* before it opens its spool */
    void (*on_sent)(struct channel *c, union message *m);
};

static struct world *the_world; /* for the callbacks that have no argument of their own */

/* ---- channels ---- */

void channel_send(struct channel *c, void *m)
{
    struct sent *s = mem_new(sizeof(*s));
    int *fd = message_fd(m);
    s->bytes = buf_init(PACKET_BYTES_MAX);
    assert_true(message_encode(&s->bytes, m));
    assert_true(message_decode(buf_str(&s->bytes), fd != NULL ? *fd : -1, &s->m));
    assert_true(c->count < SENT_MAX);
    c->sent[c->count++] = s;
    if (the_world->on_sent != NULL)
        the_world->on_sent(c, &s->m);
}

void channel_flush(struct channel *c) {}

bool channel_full(const struct channel *c)
{
    return c->full;
}

enum role channel_peer(const struct channel *c)
{
    return c->peer;
}

void *channel_data(const struct channel *c)
{
    return c->data;
}

void channel_set_data(struct channel *c, void *data)
{
    c->data = data;
}

void worker_done(struct worker *w)
{
    the_world->done = true;
}

static void channel_forget(struct channel *c)
{
    for (size_t i = 0; i < c->count; i++) {
        int *fd = message_fd(&c->sent[i]->m);
        if (fd != NULL)
            (void)close(*fd);
        buf_free(&c->sent[i]->bytes);
        free(c->sent[i]);
    }
    c->first = c->count = 0;
}

/* The next message of this kind that has not been looked at, or NULL; others are passed over. */
static union message *told(struct channel *c, enum message_kind kind)
{
    while (c->first < c->count) {
        union message *m = &c->sent[c->first++]->m;
        if (m->kind == kind)
            return m;
    }
    return NULL;
}

static size_t told_count(const struct channel *c, enum message_kind kind)
{
    size_t count = 0;
    for (size_t i = c->first; i < c->count; i++)
        count += c->sent[i]->m.kind == kind;
    return count;
}

/* ---- clock ---- */

static uint64_t fake_now(const struct clock *c)
{
    return ((const struct fake_clock *)(const void *)c)->now_us;
}

static uint64_t fake_monotonic(const struct clock *c)
{
    return ((const struct fake_clock *)(const void *)c)->monotonic_us;
}

/* ---- the world ---- */

static void fake_give_up(struct queue *q, int error)
{
    the_world->given_up = error;
}

static struct config *fake_config(uint64_t fingerprint)
{
    static const uint64_t minutes[] = {1, 5, 15, 30, 60, 120};
    struct config *c = mem_new(sizeof(*c));
    c->references = 1;
    c->hostname = STR("mail.example.test");
    c->retry_count = countof(minutes);
    c->retry_us = arena_alloc(&c->arena, sizeof(minutes));
    for (size_t i = 0; i < countof(minutes); i++)
        c->retry_us[i] = minutes[i] * 60 * US_PER_S;
    c->expire_us = UINT64_C(5) * 24 * 3600 * US_PER_S;
    c->warn_us = UINT64_C(4) * 3600 * US_PER_S;
    c->destination_concurrency_max = 20;
    c->routing_fingerprint = fingerprint;
    return c;
}

static struct channel *peer_up(struct world *w, enum role role)
{
    struct channel *c = mem_new(sizeof(*c));
    c->peer = role;
    queue_peer_up(w->q, c);
    return c;
}

static void peer_down(struct world *w, struct channel **c)
{
    if (*c == NULL)
        return;
    if ((*c)->data != NULL)
        queue_peer_down(w->q, *c);
    channel_forget(*c);
    free(*c);
    *c = NULL;
}

static void answer_routes(struct world *w);

static void turn(struct world *w)
{
    for (int i = 0; i < 4; i++) {
        loop_turn(w->worker.loop, false);
        if (w->router != NULL && !w->router_silent)
            answer_routes(w);
    }
    loop_turn(w->worker.loop, false);
}

static void pass(struct world *w, uint64_t us)
{
    w->clock.now_us += us;
    w->clock.monotonic_us += us;
    turn(w);
}

/* A queue in w->path; nobody is there yet. */
static void queue_begin(struct world *w)
{
    w->worker.folder_fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->worker.folder_fd >= 0);
    assert_int_equal(loop_new(&w->clock.clock, &w->worker.loop), 0);
    w->worker.clock = &w->clock.clock;
    w->q = queue_new(&w->worker);
    w->q->give_up = fake_give_up;
    w->q->spool_options.disk = &w->disk;
    w->q->spool_options.row_bytes_max = 1; /* content goes through that disk */
    if (w->prepare != NULL)
        w->prepare(w->q);
    queue_config(w->q, fake_config(1));
    assert_int_equal(queue_open(w->q), 0);
}

static void queue_end(struct world *w)
{
    struct channel **all[] = {&w->smtpd, &w->router,  &w->relay,
                              &w->local, &w->history, &w->control};
    for (size_t i = 0; i < countof(all); i++)
        peer_down(w, all[i]);
    queue_free(&w->q);
    loop_free(&w->worker.loop);
    (void)close(w->worker.folder_fd);
}

static void workers_say_held_end(struct world *w, uint32_t slots)
{
    struct channel *both[] = {w->relay, w->local};
    for (size_t i = 0; i < countof(both); i++) {
        queue_held_end(both[i]->data);
        queue_slots(both[i]->data, slots);
    }
}

static void peers_begin(struct world *w)
{
    w->smtpd = peer_up(w, SMTPD);
    w->router = peer_up(w, ROUTER);
    w->relay = peer_up(w, RELAY);
    w->local = peer_up(w, LOCAL);
    w->history = peer_up(w, HISTORY);
    w->control = peer_up(w, CONTROL);
    queue_run(w->q);
}

static int fast_sync(const struct disk *d, int fd)
{
    return 0;
}

static int world_setup(void **state)
{
    struct world *w = mem_new(sizeof(*w));
    const char *tmp = getenv("TMPDIR");
    the_world = w;
    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_ERROR, "test");
    w->clock = (struct fake_clock){.clock = {.now_us = fake_now, .monotonic_us = fake_monotonic},
                                   .now_us = UINT64_C(1795000000) * US_PER_S,
                                   .monotonic_us = 1000 * US_PER_S};
    w->disk = disk_system;
    w->disk.sync = fast_sync;
    (void)snprintf(w->path, sizeof(w->path), "%s/troika-queue-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->path));
    queue_begin(w);
    peers_begin(w);
    workers_say_held_end(w, 50);
    turn(w);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    queue_end(w);
    (void)nftw(w->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* ---- what others do ---- */

/* "bill@dead.test" goes to relay "dead.test:25"; "@example.test" to the mailbox
 * "example.test/bill"; "nobody@…" is refused; "later@…" cannot be told now. */
static struct target fake_route(struct str address, struct arena *a)
{
    size_t at = str_find_last(address, '@');
    struct str domain = str_skip(address, at + 1);
    struct target t = {.transport = TRANSPORT_RELAY, .address = address, .why = STR("test")};
    if (str_eq_c(domain, "example.test") || str_eq_c(domain, "mail.example.test")) {
        t.transport = TRANSPORT_LOCAL;
        t.next_hop = arena_printf(a, "%.*s/%.*s", STR_ARG(domain), (int)at, address.p);
    } else {
        t.next_hop = arena_printf(a, "%.*s:25", STR_ARG(domain));
    }
    return t;
}

static void answer_routes(struct world *w)
{
    union message *m;
    while ((m = told(w->router, MSG_ROUTE_ASK)) != NULL) {
        struct arena a = ARENA_INIT;
        struct buf targets = buf_init(4 * KIB);
        struct msg_route_answer answer = {.ticket = m->route_ask.ticket,
                                          .status = status_make(250, 2, 1, 5, STR("ok"))};
        struct target t = fake_route(m->route_ask.recipient, &a);
        target_encode(&targets, &t);
        answer.targets = buf_str(&targets);
        if (str_starts(m->route_ask.recipient, STR("nobody@")))
            answer.status = status_make(550, 5, 1, 1, STR("no such user"));
        if (str_starts(m->route_ask.recipient, STR("later@")))
            answer.status = status_make(451, 4, 3, 0, STR("not now"));
        asks_answer(w->q, &answer);
        buf_free(&targets);
        arena_free(&a);
    }
}

/* Envelope to up to 200 recipients named by a list separated by blanks. */
static void put_named(struct world *w, const char *sender, const char *recipients,
                      struct str content)
{
    struct arena a = ARENA_INIT;
    struct recipient list[200];
    struct envelope e = {.sender = str_c(sender),
                         .client = STR("with=ESMTP"),
                         .ret = w->ret,
                         .envid = w->envid,
                         .recipients = list};
    struct buf bytes = buf_init(MIB);
    struct str rest = str_c(recipients);
    while (rest.n > 0) {
        struct str one = str_cut_word(&rest);
        list[e.recipient_count++] = (struct recipient){
            .address = one, .notify = {.when = w->notify}, .target = fake_route(one, &a)};
    }
    envelope_encode(&bytes, &e);
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = ++w->ticket,
                                                 .flags = PUT_BEGIN | PUT_END,
                                                 .size = content.n,
                                                 .envelope = buf_str(&bytes),
                                                 .prefix = STR("Received: by test\r\n"),
                                                 .content = content});
    buf_free(&bytes);
    arena_free(&a);
}

#define CONTENT STR("From: a@b.test\r\nSubject: hello\r\n\r\nbody\r\n")

/* Puts a message, takes a turn; the id it got. */
static struct id put(struct world *w, const char *sender, const char *recipients)
{
    put_named(w, sender, recipients, CONTENT);
    turn(w);
    union message *m = told(w->smtpd, MSG_PUT_DONE);
    assert_non_null(m);
    assert_int_equal(m->put_done.status.class, 2);
    return (struct id){.key = m->put_done.key, .node = m->put_done.node};
}

static void result(struct channel *worker, const struct msg_job *job, uint32_t number,
                   struct status st, bool next_hop_failed)
{
    job_result(worker->data, &(struct msg_result){.job = job->job,
                                                  .key = job->key,
                                                  .number = number,
                                                  .status = st,
                                                  .next_hop_failed = next_hop_failed,
                                                  .host = STR("mx.test")});
}

/* The same result for all recipients of a job, its end, a fresh slot, and a turn. */
static void finish_job(struct world *w, struct channel *worker, const struct msg_job *job,
                       struct status st, bool next_hop_failed)
{
    struct arena a = ARENA_INIT;
    struct job_recipient *list;
    size_t count;
    assert_true(job_recipients_decode(job->recipients, &a, &list, &count));
    for (size_t i = 0; i < count; i++)
        result(worker, job, list[i].number, st, next_hop_failed);
    job_end(worker->data, job->job);
    queue_slots(worker->data, 1);
    arena_free(&a);
    turn(w);
}

static size_t job_recipient_count(const struct msg_job *job)
{
    struct reader r = reader_init(job->recipients);
    return get_u32(&r);
}

static struct msg_job *next_job(struct channel *worker)
{
    union message *m = told(worker, MSG_JOB);
    return m != NULL ? &m->job : NULL;
}

#define ST_OK status_make(250, 2, 0, 0, STR("ok"))
#define ST_LATER status_make(451, 4, 2, 0, STR("mailbox busy"))
#define ST_NEVER status_make(550, 5, 1, 1, STR("no such user"))
#define ST_DEAD status_make(0, 4, 4, 1, STR("connection refused"))

/* How many rows the spool holds of this message. */
static int rows_of(struct world *w, struct id id, struct arena *a, struct spool_recipient *rows,
                   size_t count)
{
    return spool_recipients(w->q->spool, id.key, 0, a, rows, count);
}

static int row_count(struct world *w, struct id id)
{
    struct arena a = ARENA_INIT;
    struct spool_recipient rows[256];
    int n = rows_of(w, id, &a, rows, countof(rows));
    arena_free(&a);
    return n;
}

/* Lines told to history so far that hold text. */
static size_t events_with(struct world *w, const char *text)
{
    size_t count = 0;
    for (size_t i = 0; i < w->history->count; i++) {
        const union message *m = &w->history->sent[i]->m;
        struct str rest = m->kind == MSG_EVENTS ? m->events.lines : STR_NONE;
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            count += str_find_str(line, str_c(text)) < line.n;
        }
    }
    return count;
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
