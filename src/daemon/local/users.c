// SPDX-License-Identifier: ISC
#include "daemon/local/users.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum state { WAITING, RUNNING, ENDING };

struct session { /* of one user who has jobs, or a helper */
    struct list link;
    struct users *users;
    char *login;
    enum state state;
    bool begun; /* the parent has started the helper of this ticket */
    uint64_t ticket;
    struct channel *channel; /* while RUNNING, once the helper has begun */
    struct list waiting, given;
    struct timer timer; /* until the next result must have come; or of the rest */
};

bool users_has(struct str next_hop)
{
    return str_starts(next_hop, STR("~"));
}

static void list_move(struct list *to, struct list *from)
{
    list_each (at, from) {
        list_remove(at);
        list_add(to, at);
    }
}

/* ---- results ---- */

static void job_end(struct users *u, struct job *j)
{
    list_remove(&j->lane_link);
    u->job_count--;
    u->on_done(u->arg, j);
}

/* Later, for every recipient of these jobs that has no result yet. */
static void jobs_put_off(struct users *u, struct list *jobs, uint8_t detail, struct str why)
{
    struct status st = status_make(0, 4, 3, detail, why);

    list_each (at, jobs) {
        struct job *j = list_of(at, struct job, lane_link);

        for (size_t i = 0; i < j->held.recipient_count; i++)
            if (j->held.results[i].class == 0)
                j->held.results[i] = st;
        job_end(u, j);
    }
}

static bool means_full(const struct status *st)
{
    return st->class == 4 &&
           ((st->subject == 3 && st->detail == 1) || (st->subject == 2 && st->detail == 2));
}

/* What is said to senders: a full disk is the user's own affair here, like a full mailbox. */
static struct status status_for(const struct users *u, const struct status *said)
{
    struct status st = *said;

    if (!means_full(said))
        return st;
    st.class = u->full_returns ? 5 : 4;
    st.subject = st.detail = 2;
    return st;
}

/* ---- the helper ---- */

static void session_wait(struct session *s);
static void next_session(struct users *u);

static void session_free(struct session *s)
{
    timer_stop(&s->timer);
    channel_free(&s->channel);
    list_remove(&s->link);
    free(s->login);
    free(s);
}

/* The helper ends when its channel does; kill: it may be stuck, the parent is to end it. */
static void session_end(struct session *s, bool kill)
{
    struct users *u = s->users;
    struct msg_deliver_end m = {.kind = MSG_DELIVER_END, .ticket = s->ticket};

    if (kill && u->parent)
        channel_send(u->parent, &m);
    timer_stop(&s->timer);
    channel_free(&s->channel);
    s->state = ENDING;
}

static void on_rested(void *arg)
{
    session_end(arg, false);
}

static void on_late(void *arg)
{
    struct session *s = arg;
    struct users *u = s->users;
    enum state state = s->state;

    if (state == RUNNING)
        session_end(s, true);
    jobs_put_off(u, &s->given, 0, STR("the mailbox did not answer in time"));
    jobs_put_off(u, &s->waiting, 0, STR("the mailbox did not answer in time"));
    if (state == WAITING)
        session_free(s);
}

static struct hold_job *given_job(const struct session *s, uint64_t number)
{
    list_each (at, &s->given) {
        struct job *j = list_of(at, struct job, lane_link);

        if (j->held.number == number)
            return &j->held;
    }
    return NULL;
}

static bool take_result(struct session *s, const struct msg_user_result *m)
{
    struct hold_job *j = given_job(s, m->job);

    if (!j || m->status.class < 2 || m->status.class == 3 || m->status.class > 5)
        return false;
    for (size_t i = 0; i < j->recipient_count; i++)
        if (j->recipients[i].number == m->number && j->results[i].class == 0) {
            j->results[i] = status_for(s->users, &m->status);
            j->detail = arena_copy(&j->arena, m->detail);
            return true;
        }
    return false;
}

static bool take_end(struct session *s, uint64_t number)
{
    struct hold_job *j = given_job(s, number);

    for (size_t i = 0; j && i < j->recipient_count; i++)
        if (j->results[i].class == 0)
            return false;
    if (!j)
        return false;
    job_end(s->users, job_of(j));
    if (list_empty(&s->given))
        timer_set(s->users->loop, &s->timer, USERS_LINGER_US, on_rested, s);
    else
        timer_set(s->users->loop, &s->timer, s->users->timeout_us, on_late, s);
    return true;
}

static void on_message(void *arg, struct channel *c, union message *m)
{
    struct session *s = arg;
    bool good = (m->kind == MSG_USER_RESULT && take_result(s, &m->user_result)) ||
                (m->kind == MSG_USER_JOB_END && take_end(s, m->user_job_end.job));

    if (!good)
        channel_break(c, "a result of nothing");
    else if (list_empty(&s->given))
        next_session(s->users); /* whom this one may make room for */
}

/* Why is known when the parent tells of its end. */
static void on_down(void *arg, struct channel *c, const char *why)
{
    struct session *s = arg;

    session_end(s, why != CHANNEL_CLOSED);
    if (!list_empty(&s->given))
        timer_set(s->users->loop, &s->timer, s->users->timeout_us, on_late, s);
}

static void give(struct session *s, const struct hold_job *j)
{
    struct buf recipients = buf_init(PACKET_BYTES_MAX);

    job_recipients_encode(&recipients, j->recipients, j->recipient_count);
    if (j->content_fd < 0) {
        struct msg_user_job m = {.kind = MSG_USER_JOB,
                                 .job = j->number,
                                 .key = j->id.key,
                                 .node = j->id.node,
                                 .sender = j->sender,
                                 .next_hop = j->next_hop,
                                 .recipients = buf_str(&recipients),
                                 .body = (uint8_t)j->body,
                                 .utf8 = (uint8_t)j->utf8,
                                 .prefix = j->prefix,
                                 .size = j->content.n,
                                 .content = j->content};
        channel_send(s->channel, &m);
    } else {
        struct msg_user_job_file m = {.kind = MSG_USER_JOB_FILE,
                                      .job = j->number,
                                      .key = j->id.key,
                                      .node = j->id.node,
                                      .sender = j->sender,
                                      .next_hop = j->next_hop,
                                      .recipients = buf_str(&recipients),
                                      .body = (uint8_t)j->body,
                                      .utf8 = (uint8_t)j->utf8,
                                      .prefix = j->prefix,
                                      .size = j->content_bytes,
                                      .offset = j->content_offset,
                                      .file = fcntl(j->content_fd, F_DUPFD_CLOEXEC, 10)};
        channel_send(s->channel, &m);
    }
    buf_free(&recipients);
}

static void give_all(struct session *s)
{
    list_each (at, &s->waiting)
        give(s, &list_of(at, struct job, lane_link)->held);
    list_move(&s->given, &s->waiting);
    timer_set(s->users->loop, &s->timer, s->users->timeout_us, on_late, s);
}

static void session_start(struct session *s)
{
    struct users *u = s->users;
    struct msg_deliver m = {
        .kind = MSG_DELIVER, .ticket = ++u->last_ticket, .login = str_c(s->login)};

    s->ticket = m.ticket;
    s->begun = false;
    channel_send(u->parent, &m);
    s->state = RUNNING;
    u->running_count++;
    timer_set(u->loop, &s->timer, u->timeout_us, on_late, s);
}

/* ---- who comes next ---- */

static bool end_one_that_rests(struct users *u)
{
    list_each (at, &u->sessions) {
        struct session *s = list_of(at, struct session, link);

        if (s->state == RUNNING && list_empty(&s->given) && list_empty(&s->waiting)) {
            session_end(s, false);
            return true;
        }
    }
    return false;
}

static void next_session(struct users *u)
{
    list_each (at, &u->sessions) {
        struct session *s = list_of(at, struct session, link);

        if (s->state == WAITING && u->running_count == USERS_SESSIONS_MAX) {
            (void)end_one_that_rests(u);
            return;
        }
        if (s->state == WAITING)
            session_start(s);
    }
}

static void session_wait(struct session *s)
{
    s->state = WAITING;
    timer_set(s->users->loop, &s->timer, s->users->timeout_us, on_late, s);
    next_session(s->users);
}

static struct session *session_of(struct users *u, struct str login)
{
    list_each (at, &u->sessions) {
        struct session *s = list_of(at, struct session, link);

        if (str_eq_c(login, s->login))
            return s;
    }
    return NULL;
}

static struct session *session_new(struct users *u, struct str login)
{
    struct session *s = mem_new(sizeof *s);

    s->users = u;
    s->login = mem_copy(login.p, login.n);
    list_init(&s->waiting);
    list_init(&s->given);
    list_add(&u->sessions, &s->link);
    return s;
}

void users_add(struct users *u, struct job *j)
{
    struct str login = str_skip(j->held.next_hop, 1);
    struct session *s = session_of(u, login);
    bool fresh = !s;
    struct list alone;

    u->job_count++;
    if (u->job_count > USERS_JOBS_MAX) {
        list_init(&alone);
        list_add(&alone, &j->lane_link);
        jobs_put_off(u, &alone, 2, STR("too many deliveries to users wait"));
        return;
    }
    if (fresh)
        s = session_new(u, login);
    list_add(&s->waiting, &j->lane_link);
    if (fresh)
        session_wait(s);
    else if (s->state == RUNNING && s->channel)
        give_all(s);
    else if (s->state == ENDING)
        timer_set(u->loop, &s->timer, u->timeout_us, on_late, s);
}

/* ---- what the parent says ---- */

void users_begun(struct users *u, const struct msg_deliver_begun *m)
{
    static const struct channel_events events = {.on_message = on_message, .on_down = on_down};

    list_each (at, &u->sessions) {
        struct session *s = list_of(at, struct session, link);

        if (s->ticket == m->ticket && s->state == RUNNING && !s->begun) {
            s->begun = true;
            s->channel = channel_new(u->loop, m->socket, LOCAL, DELIVER, &events, s);
            give_all(s);
            return;
        }
    }
    (void)close(m->socket); /* it is not wanted any more: the helper ends */
}

static struct str words_of(const struct msg_deliver_ended *m)
{
    return m->why.n > 0 ? m->why : STR("the delivery was broken off");
}

static void refuse(struct session *s, const struct msg_deliver_ended *m)
{
    struct status st = status_make(0, 5, 1, 1, m->why);

    list_each (at, &s->given) {
        struct hold_job *j = &list_of(at, struct job, lane_link)->held;

        for (size_t i = 0; i < j->recipient_count; i++)
            if (j->results[i].class == 0)
                j->results[i] = st;
    }
}

void users_ended(struct users *u, const struct msg_deliver_ended *m)
{
    list_each (at, &u->sessions) {
        struct session *s = list_of(at, struct session, link);

        if (s->ticket != m->ticket || s->state == WAITING)
            continue;
        timer_stop(&s->timer);
        channel_free(&s->channel);
        s->state = ENDING;
        u->running_count--;
        if (!s->begun) /* what waited for it shares its fate */
            list_move(&s->given, &s->waiting);
        if (m->outcome == DELIVER_REFUSED)
            refuse(s, m);
        jobs_put_off(u, &s->given, 0, words_of(m));
        if (list_empty(&s->waiting))
            session_free(s);
        else
            session_wait(s);
        next_session(u);
        return;
    }
}

/* ---- life ---- */

void users_init(struct users *u, struct loop *l, void (*on_done)(void *arg, struct job *j),
                void *arg)
{
    *u = (struct users){.loop = l, .timeout_us = 60 * US_PER_S, .on_done = on_done, .arg = arg};
    list_init(&u->sessions);
}

void users_config(struct users *u, const struct config *c)
{
    u->timeout_us = c->user_timeout_us;
    u->full_returns = str_eq_c(c->full_mailbox, "return");
}

static void list_forget(struct list *jobs)
{
    list_each (at, jobs)
        list_remove(at);
}

void users_done(struct users *u)
{
    list_each (at, &u->sessions) {
        struct session *s = list_of(at, struct session, link);

        list_forget(&s->waiting);
        list_forget(&s->given);
        session_free(s);
    }
}
