/* crash/workload.c - a day of work by the real queue, spool and mailbox, on a recorded disk.
 *
 * The queue is the one of src/daemon/queue with the spool below it; its peers are the fakes of its
 * unit tests. This file plays them: smtpd brings messages, small and large; relay's next hops take,
 * defer, refuse or are dead; local writes Maildirs with src/mailbox; history takes events; a person
 * holds, releases, retries and removes; time passes; and now and then the process is killed between
 * any two steps of the disk and starts again on what it left (no power cut: nothing is lost yet).
 * What the queue says is noted with the length of the log at that moment. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

#include <pthread.h>

#include "mailbox/maildir.h"
#include "story.h"

enum {
    SEGMENT_BYTES_HERE = 136 * 1024, /* so that segments fill up and are used again */
    CHECKPOINT_PAGES_HERE = 60,
    ROW_BYTES_HERE = 3000, /* so that some batches are rows, others segments */
    LETTER_BYTES_MAX = 200 * 1024,
    PIECE_BYTES = 48 * 1024,
    GIVEN_MAX = 4096,
    MAILBOXES = 24,
};

struct given { /* a job, as relay or local got it */
    struct channel *channel;
    union message *m;
    bool done;
    bool good[JOB_RECIPIENTS_MAX];
};

struct play {
    struct story *story;
    struct world world;
    uint64_t chance;
    enum fault fault;
    bool refuses; /* the disk, some call */
    int mail_fd;
    uint64_t started_us;
    uint64_t events_number;
    struct given given[GIVEN_MAX];
    size_t given_count;
    size_t *sending; /* letters that are on their way */
    size_t sending_count, sending_room;
};

static struct play *the_play;

/* The work of the spool's threads is done by its loop, at once: one order of steps for each seed. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *arg)
{
    return EAGAIN;
}

static uint64_t chance(struct play *p, uint64_t of)
{
    return mix(p->chance++) % of;
}

/* ---- the story ---- */

struct letter *story_letter(struct story *s, uint64_t key)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->letters[i].id.key == key)
            return &s->letters[i];
    return NULL;
}

struct letter *story_accepted(struct story *s, struct str line)
{
    struct str mark = STR(" event=accepted msg=");
    struct id id;

    line = str_skip(line, str_find_str(line, mark) + mark.n);
    return id_parse(str_sub(line, 0, ID_TEXT_BYTES), &id) ? story_letter(s, id.key) : NULL;
}

static struct letter *letter_new(struct story *s, size_t recipient_count)
{
    if (s->count == s->room) {
        s->room = s->room * 2 + 64;
        s->letters = mem_resize(s->letters, s->room * sizeof(*s->letters));
    }
    struct letter *l = &s->letters[s->count++];
    *l = (struct letter){.accepted_at = NEVER, .told_at = NEVER, .count = recipient_count};
    l->fates = arena_alloc(&s->arena, recipient_count * sizeof(*l->fates));
    for (size_t i = 0; i < recipient_count; i++)
        l->fates[i] = (struct fate){.handed_over_at = NEVER,
                                    .delivered_at = NEVER,
                                    .removed_at = NEVER,
                                    .confirmed_at = NEVER};
    return l;
}

static void fate_address(struct story *s, struct fate *f, struct str address)
{
    struct target t = fake_route(address, &s->arena);

    f->address = arena_copy(&s->arena, address);
    if (t.transport == TRANSPORT_LOCAL)
        f->mailbox = t.next_hop;
}

/* The first time counts. */
static void said(struct story *s, size_t *at)
{
    if (*at != NEVER)
        return;
    *at = s->log.count;
    if (s->said_count == s->said_room) {
        s->said_room = s->said_room * 2 + 64;
        s->said_at = mem_resize(s->said_at, s->said_room * sizeof(*s->said_at));
    }
    s->said_at[s->said_count++] = *at;
}

static struct str lf_lines(struct arena *a, struct str crlf)
{
    char *p = arena_alloc(a, crlf.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < crlf.n; i++)
        if (crlf.p[i] != '\r' || i + 1 == crlf.n || crlf.p[i + 1] != '\n')
            p[n++] = crlf.p[i];
    return str_n(p, n);
}

/* What its mailbox must hold, said anew rather than asked of src/mailbox. */
static void expect_copies(struct story *s, struct letter *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct fate *f = &l->fates[i];
        struct str prefix = lf_lines(&s->arena, l->prefix);
        struct str content = lf_lines(&s->arena, l->content);
        if (f->mailbox.n > 0)
            f->copy = arena_printf(&s->arena, "Return-Path: <%.*s>\nDelivered-To: %.*s\n%.*s%.*s",
                                   STR_ARG(l->sender), STR_ARG(f->address), STR_ARG(prefix),
                                   STR_ARG(content));
    }
}

/* ---- smtpd ---- */

static struct str make_content(struct play *p, size_t number, size_t bytes)
{
    struct arena *a = &p->story->arena;
    struct str start = arena_printf(a, "X-Letter: %zu\r\nSubject: test\r\n\r\n", number);
    char *content = arena_alloc(a, start.n + bytes + 2);
    size_t n = start.n;

    memcpy(content, start.p, start.n);
    for (; n < start.n + bytes; n++)
        content[n] = (char)(n % 70 == 69   ? '\n'
                            : n % 70 == 68 ? '\r'
                                           : 'a' + mix(n / 8 + number * 7919) % 26);
    memcpy(content + n, "\r\n", 2);
    return str_n(content, n + 2);
}

static size_t make_size(struct play *p)
{
    switch (chance(p, 12)) {
    case 0:
        return SPOOL_SMALL_BYTES_MAX + 1000 +
               chance(p, LETTER_BYTES_MAX - SPOOL_SMALL_BYTES_MAX - 2000);
    case 1:
    case 2:
        return 20000 + chance(p, 30000);
    default:
        return 200 + chance(p, 6000);
    }
}

static struct str make_address(struct play *p, size_t letter, size_t number)
{
    static const char *const manners[] = {"ok@far.test",     "ok@far.test",
                                          "later@slow.test", "never@far.test",
                                          "dead@dead.test",  "sometimes@slow.test"};
    struct arena *a = &p->story->arena;

    if (chance(p, 2) == 0)
        return arena_printf(a, "user%u@example.test", (unsigned)chance(p, MAILBOXES));
    const char *manner = manners[chance(p, countof(manners))];
    struct str name = str_c(manner);
    struct str local = str_cut(&name, '@');
    return arena_printf(a, "%.*s-%zu-%zu@%.*s", STR_ARG(local), letter, number, STR_ARG(name));
}

static void send_letter(struct play *p)
{
    static const char *const senders[] = {
        "ann@example.test", "joe@example.test", "x@far.test", "ok@far.test", "",
        "nobody@gone.test"};
    struct story *s = p->story;
    size_t number = s->count;
    struct letter *l = letter_new(s, 1 + chance(p, 3));

    l->sender = str_c(senders[chance(p, countof(senders))]);
    l->content = make_content(p, number, make_size(p));
    l->prefix = STR(OUR_PREFIX);
    for (size_t i = 0; i < l->count; i++)
        fate_address(s, &l->fates[i], make_address(p, number, i));
    expect_copies(s, l);
    if (p->sending_count == p->sending_room) {
        p->sending_room = p->sending_room * 2 + 16;
        p->sending = mem_resize(p->sending, p->sending_room * sizeof(*p->sending));
    }
    p->sending[p->sending_count++] = number;
}

static void encode_letter(const struct letter *l, struct buf *to)
{
    struct arena a = ARENA_INIT;
    struct envelope e = {
        .sender = l->sender, .client = STR("with=ESMTP"), .recipient_count = l->count};

    e.recipients = arena_alloc(&a, l->count * sizeof(*e.recipients));
    for (size_t i = 0; i < l->count; i++)
        e.recipients[i] = (struct recipient){.address = l->fates[i].address,
                                             .target = fake_route(l->fates[i].address, &a)};
    *to = buf_init(MIB);
    envelope_encode(to, &e);
    arena_free(&a);
}

/* Its next packet; the ticket is its number + 1. True: that was the last. */
static bool send_piece(struct play *p, size_t number)
{
    struct letter *l = &p->story->letters[number];
    struct buf envelope;
    bool small = l->content.n <= SPOOL_SMALL_BYTES_MAX;
    struct msg_put m = {.ticket = number + 1, .size = l->content.n};

    encode_letter(l, &envelope);
    m.content = small ? l->content : str_sub(l->content, l->sent, l->sent + PIECE_BYTES);
    if (l->sent == 0) {
        m.flags = PUT_BEGIN;
        m.envelope = buf_str(&envelope);
    }
    l->sent += m.content.n;
    if (l->sent == l->content.n) {
        m.flags |= PUT_END;
        m.prefix = l->prefix;
    }
    if (p->fault == FAULT_EARLY_250 && l->sent == l->content.n)
        said(p->story, &l->accepted_at);
    intake_put(p->world.smtpd->data, &m);
    buf_free(&envelope);
    return l->sent == l->content.n;
}

static void send_pieces(struct play *p)
{
    for (size_t i = 0; i < p->sending_count;)
        if (send_piece(p, p->sending[i]))
            p->sending[i] = p->sending[--p->sending_count];
        else
            i++;
}

/* ---- what the queue says ---- */

static void on_put_done(struct play *p, const struct msg_put_done *m)
{
    if (m->status.class != 2)
        return;
    struct letter *l = &p->story->letters[m->ticket - 1];
    l->id = (struct id){.key = m->key, .node = m->node};
    said(p->story, &l->accepted_at);
}

static const struct msg_job *job_of_given(const struct given *g, struct msg_job *scratch)
{
    if (g->m->kind == MSG_JOB)
        return &g->m->job;
    const struct msg_job_file *f = &g->m->job_file;
    *scratch = (struct msg_job){.job = f->job,
                                .key = f->key,
                                .node = f->node,
                                .received_us = f->received_us,
                                .sender = f->sender,
                                .next_hop = f->next_hop,
                                .recipients = f->recipients,
                                .prefix = f->prefix,
                                .size = f->size};
    return scratch;
}

static struct fate *fate_of(struct play *p, uint64_t key, uint32_t number)
{
    struct letter *l = story_letter(p->story, key);
    assert_true(l != NULL && number > 0 && number <= l->count);
    return &l->fates[number - 1];
}

static void on_results_taken(struct play *p, const struct channel *c, uint64_t number)
{
    for (size_t i = 0; i < p->given_count; i++) {
        struct given *g = &p->given[i];
        struct msg_job scratch;
        const struct msg_job *job = job_of_given(g, &scratch);
        struct arena a = ARENA_INIT;
        struct job_recipient *list;
        size_t count;
        if (g->channel != c || job->job != number)
            continue;
        assert_true(job_recipients_decode(job->recipients, &a, &list, &count));
        for (size_t k = 0; k < count; k++)
            if (g->good[k])
                said(p->story, &fate_of(p, job->key, list[k].number)->confirmed_at);
        arena_free(&a);
    }
}

static void on_events(struct play *p, const struct msg_events *m)
{
    struct str rest = m->lines;

    p->events_number = m->number;
    while (rest.n > 0) {
        struct letter *l = story_accepted(p->story, str_cut(&rest, '\n'));
        if (l != NULL)
            said(p->story, &l->told_at);
    }
}

static void on_sent(struct channel *c, union message *m)
{
    struct play *p = the_play;

    if (recorder_dead())
        return; /* nobody hears the dead */
    if (m->kind == MSG_PUT_DONE)
        on_put_done(p, &m->put_done);
    if (m->kind == MSG_EVENTS)
        on_events(p, &m->events);
    if (m->kind == MSG_RESULTS_TAKEN)
        on_results_taken(p, c, m->results_taken.job);
    if (m->kind == MSG_JOB || m->kind == MSG_JOB_FILE) {
        assert_true(p->given_count < GIVEN_MAX);
        p->given[p->given_count++] = (struct given){.channel = c, .m = m};
    }
}

/* Messages the queue made itself (reports), and those whose 250 was lost with a killed process. */
static void note_own(struct play *p, const struct spool_message *m, struct str content)
{
    struct story *s = p->story;
    struct str rest = content;
    uint64_t number;
    struct spool_recipient rows[8];

    if (str_starts(content, STR("X-Letter: ")) &&
        str_u64(str_trim(str_skip(str_cut(&rest, '\n'), 10)), &number)) {
        s->letters[number].id = m->id;
        return;
    }
    int n = spool_recipients(p->world.q->spool, m->id.key, 0, &s->arena, rows, countof(rows));
    assert_true(n > 0);
    struct letter *l = letter_new(s, (size_t)n);
    l->id = m->id;
    l->sender = arena_copy(&s->arena, m->sender);
    l->prefix = arena_copy(&s->arena, m->prefix);
    l->content = arena_copy(&s->arena, content);
    if (str_starts(m->client, STR("about=")))
        (void)id_parse(str_skip(m->client, 6), &l->about);
    for (int i = 0; i < n; i++)
        fate_address(s, &l->fates[i], rows[i].address);
    expect_copies(s, l);
}

static void note_unknown(struct play *p)
{
    struct spool *spool = p->world.q->spool;
    struct spool_cursor at = {0};
    struct spool_recipient rows[64];
    struct arena a = ARENA_INIT;
    int n;

    while ((n = spool_list(spool, &at, &a, rows, countof(rows))) > 0) {
        for (int i = 0; i < n; i++) {
            struct spool_message m;
            struct str content = STR("");
            if (story_letter(p->story, rows[i].key) != NULL)
                continue;
            assert_int_equal(spool_message(spool, rows[i].key, &a, &m), 0);
            if (m.in_file) { /* only ours are that large: the number is at its start */
                int fd;
                char *start = arena_alloc(&a, 64);
                assert_int_equal(spool_content_fd(spool, rows[i].key, &fd), 0);
                assert_int_equal(disk_read_at(fd, start, 63, 0), 0);
                (void)close(fd);
                content = str_n(start, 63);
            } else {
                assert_int_equal(spool_content(spool, rows[i].key, &a, &content), 0);
            }
            note_own(p, &m, content);
        }
    }
    arena_free(&a);
}

static void play_turn(struct play *p)
{
    turn(&p->world);
    if (!recorder_dead()) {
        recorder_rest(true);
        note_unknown(p);
        recorder_rest(false);
    }
}

/* ---- local ---- */

static void local_write(struct play *p, struct maildir_batch *b, const struct given *g,
                        const struct job_recipient *to, struct status *ret)
{
    struct msg_job scratch;
    const struct msg_job *job = job_of_given(g, &scratch);
    bool in_file = g->m->kind == MSG_JOB_FILE;
    struct maildir_source m = {.id = {.key = job->key, .node = job->node},
                               .sender = job->sender,
                               .prefix = job->prefix,
                               .content = job->content,
                               .content_fd = in_file ? g->m->job_file.file : -1,
                               .content_offset = in_file ? g->m->job_file.offset : 0,
                               .content_bytes = in_file ? g->m->job_file.size : 0,
                               .seen_before = job->received_us < p->started_us};
    maildir_write(b, to->next_hop, to->address, to->number, &m, ret);
}

struct local_job {
    struct given *given;
    struct job_recipient *list;
    size_t count;
    struct status results[JOB_RECIPIENTS_MAX];
};

static void local_tell(struct play *p, struct local_job *l)
{
    struct msg_job scratch;
    const struct msg_job *job = job_of_given(l->given, &scratch);

    l->given->done = true;
    for (size_t i = 0; i < l->count; i++) {
        l->given->good[i] = l->results[i].class == 2;
        if (recorder_dead())
            return;
        if (l->given->good[i])
            said(p->story, &fate_of(p, job->key, l->list[i].number)->delivered_at);
        result(p->world.local, job, l->list[i].number, l->results[i], false);
    }
    job_end(p->world.local->data, job->job);
    queue_slots(p->world.local->data, 1);
}

/* As deliver() in src/daemon/local/lane.c: the jobs that have gathered are one batch. */
static void local_work(struct play *p)
{
    enum { BATCH_MAX = 8 };
    struct local_job jobs[BATCH_MAX];
    size_t count = 0;
    struct arena a = ARENA_INIT;
    struct maildir_batch *b = maildir_begin(p->mail_fd, &recorder_disk, STR(HOSTNAME));

    for (size_t i = 0; i < p->given_count && count < BATCH_MAX; i++) {
        struct given *g = &p->given[i];
        struct msg_job scratch;
        if (g->done || g->channel != p->world.local || chance(p, 4) == 0)
            continue;
        struct local_job *l = &jobs[count++];
        *l = (struct local_job){.given = g};
        assert_true(
            job_recipients_decode(job_of_given(g, &scratch)->recipients, &a, &l->list, &l->count));
        for (size_t k = 0; k < l->count; k++)
            if (chance(p, 12) == 0)
                l->results[k] = ST_LATER; /* a mailbox that is busy */
            else
                local_write(p, b, g, &l->list[k], &l->results[k]);
        if (p->fault == FAULT_EARLY_DELIVERED) {
            for (size_t k = 0; k < l->count; k++)
                l->results[k] = ST_OK;
            local_tell(p, l);
            turn(&p->world);
        }
    }
    maildir_commit(&b);
    for (size_t i = 0; i < count && p->fault != FAULT_EARLY_DELIVERED; i++)
        local_tell(p, &jobs[i]);
    arena_free(&a);
}

/* ---- relay ---- */

static struct status relay_status(struct play *p, struct str address)
{
    static const struct {
        const char *manner;
        struct status status;
    } rows[] = {
        {"later", {.code = 451, .class = 4, .subject = 2, .text = "mailbox busy"}},
        {"never", {.code = 550, .class = 5, .subject = 1, .detail = 1, .text = "no such user"}},
        {"dead", {.class = 4, .subject = 4, .detail = 1, .text = "connection refused"}},
    };
    for (size_t i = 0; i < countof(rows); i++)
        if (str_starts(address, str_c(rows[i].manner)))
            return rows[i].status;
    if (str_starts(address, STR("sometimes")) && chance(p, 3) != 0)
        return ST_LATER;
    return ST_OK;
}

static void relay_job(struct play *p, struct given *g)
{
    struct msg_job scratch;
    const struct msg_job *job = job_of_given(g, &scratch);
    struct arena a = ARENA_INIT;
    struct job_recipient *list;
    size_t count;

    g->done = true;
    assert_true(job_recipients_decode(job->recipients, &a, &list, &count));
    for (size_t i = 0; i < count; i++) {
        struct status st = relay_status(p, list[i].address);
        g->good[i] = st.class == 2;
        if (g->good[i])
            said(p->story, &fate_of(p, job->key, list[i].number)->handed_over_at);
        result(p->world.relay, job, list[i].number, st, str_starts(list[i].address, STR("dead")));
    }
    job_end(p->world.relay->data, job->job);
    queue_slots(p->world.relay->data, 1);
    arena_free(&a);
}

static void relay_work(struct play *p)
{
    for (size_t i = 0; i < p->given_count; i++)
        if (!p->given[i].done && p->given[i].channel == p->world.relay && chance(p, 3) != 0)
            relay_job(p, &p->given[i]);
}

/* ---- a person, time, history ---- */

static void person_acts(struct play *p)
{
    struct story *s = p->story;
    enum queue_act act = (enum queue_act)chance(p, ACT_COUNT);

    if (s->count == 0)
        return;
    struct letter *l = &s->letters[chance(p, s->count)];
    if (l->id.key == 0)
        return;
    for (size_t i = 0; act == ACT_REMOVE && i < l->count; i++)
        said(s, &l->fates[i].removed_at);
    struct id_text text = id_print(l->id);
    control_ask(p->world.control->data, ASK_ACT, act, str_c(text.p));
}

/* History is busy for a while, reads again, and confirms now and then. */
static void history_works(struct play *p)
{
    struct channel *history = p->world.history;

    history->full = chance(p, 2) == 0;
    if (!history->full)
        queue_peer_room(p->world.q, history);
    if (chance(p, 3) == 0)
        events_taken(p->world.q, p->events_number);
    if (p->fault == FAULT_EVENTS)
        events_taken(p->world.q, UINT64_MAX / 4);
}

static uint64_t some_time(struct play *p)
{
    switch (chance(p, 16)) {
    case 0:
        return 3 * 3600 * US_PER_S;
    case 1:
        return chance(p, 2) == 0 ? UINT64_C(6) * 24 * 3600 * US_PER_S : 0;
    case 2:
    case 3:
        return 10 * 60 * US_PER_S;
    default:
        return US_PER_S + chance(p, 2) * 300 * US_PER_S;
    }
}

/* ---- life and death of the process ---- */

static void prepare(struct queue *q)
{
    q->spool_options.disk = &recorder_disk;
    q->spool_options.sqlite_vfs = recorder_vfs();
    q->spool_options.segment_bytes = SEGMENT_BYTES_HERE;
    q->spool_options.checkpoint_pages = CHECKPOINT_PAGES_HERE;
    q->spool_options.row_bytes_max = ROW_BYTES_HERE;
}

static void give_up(struct queue *q, int error)
{
    fake_give_up(q, error);
    if (the_play->refuses)
        recorder_die(); /* as the process does */
}

/* queue_begin, with the descriptor of the folder known to the recorder already. */
static void process_starts(struct play *p)
{
    struct world *w = &p->world;

    assert_int_equal(loop_new(&w->clock.clock, &w->worker.loop), 0);
    w->worker.clock = &w->clock.clock;
    w->q = queue_new(&w->worker);
    w->q->give_up = give_up;
    prepare(w->q);
    queue_config(w->q, fake_config(1));
    int r = queue_open(w->q);
    if (r < 0 && p->refuses)
        recorder_die(); /* the worker ends, and the parent starts another */
    if (r < 0 && recorder_dead())
        return; /* killed while it started */
    assert_int_equal(r, 0);
    p->started_us = w->clock.now_us;
    r = maildir_sweep(p->mail_fd, &recorder_disk, UINT64_MAX);
    assert_true(r == 0 || p->refuses); /* local only says so */
    peers_begin(w);
    workers_say_held_end(w, 50);
    play_turn(p);
}

static void process_ends(struct play *p)
{
    struct world *w = &p->world;
    struct channel **all[] = {&w->smtpd, &w->router,  &w->relay,
                              &w->local, &w->history, &w->control};

    p->given_count = 0;
    p->sending_count = 0; /* their sessions are gone, too */
    for (size_t i = 0; i < countof(all); i++)
        peer_down(w, all[i]);
    queue_free(&w->q);
    loop_free(&w->worker.loop);
}

static void process_starts_again(struct play *p)
{
    for (;;) {
        p->story->deaths++;
        process_ends(p);
        recorder_revive();
        p->world.clock.now_us += US_PER_S;
        if (chance(p, 3) == 0)
            recorder_die_at(p->story->log.count + 1 + chance(p, 30));
        process_starts(p);
        if (!recorder_dead())
            break;
    }
    recorder_die_at(NEVER);
}

/* ---- the day ---- */

static void work(struct play *p)
{
    for (uint64_t n = chance(p, 4); n > 0; n--)
        send_letter(p);
    send_pieces(p);
    play_turn(p);
    if (recorder_dead())
        return;
    relay_work(p);
    local_work(p);
    if (recorder_dead())
        return;
    if (chance(p, 4) == 0)
        person_acts(p);
    history_works(p);
    play_turn(p);
    if (recorder_dead())
        return;
    uint64_t us = some_time(p);
    p->world.clock.now_us += us;
    p->world.clock.monotonic_us += us;
    play_turn(p);
}

static void play_begin(struct play *p, struct story *s, uint64_t seed, enum fault fault)
{
    struct world *w = &p->world;
    struct image empty;

    p->story = s;
    p->chance = mix(seed);
    p->fault = fault;
    the_play = p;
    the_world = w;
    log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORM_PLAIN, LEVEL_ERROR, "crash");
    w->clock = (struct fake_clock){.clock = {.now_us = fake_now, .monotonic_us = fake_monotonic},
                                   .now_us = UINT64_C(1795000000) * US_PER_S,
                                   .monotonic_us = 1000 * US_PER_S};
    w->on_sent = on_sent;
    scratch_folder(w->path);
    int fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0 && mkdirat(fd, "spool", 0700) == 0 && mkdirat(fd, "mail", 0700) == 0);
    w->worker.folder_fd = openat(fd, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->mail_fd = openat(fd, "mail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)close(fd);
    log_init(&s->log, FIRST_FREE_NODE);
    image_init(&empty, FIRST_FREE_NODE);
    recorder_begin(&s->log, &empty, w->worker.folder_fd, p->mail_fd, fault);
    image_done(&empty);
}

void story_make(struct story *s, uint64_t seed, size_t steps, enum fault fault)
{
    story_make_refused(s, seed, steps, fault, 0, 0);
}

void story_make_refused(struct story *s, uint64_t seed, size_t steps, enum fault fault, size_t call,
                        int error)
{
    struct play *p = mem_new(sizeof(*p));

    *s = (struct story){0};
    play_begin(p, s, seed, fault);
    p->refuses = call > 0;
    recorder_refuse(call, error);
    process_starts(p);
    if (recorder_dead())
        process_starts_again(p);
    p->world.given_up = 0;
    while (s->log.count < steps) {
        if (chance(p, 6) == 0)
            recorder_die_at(s->log.count + chance(p, 150));
        work(p);
        assert_true(recorder_dead() || p->world.given_up == 0);
        if (recorder_dead())
            process_starts_again(p);
        p->world.given_up = 0;
    }
    recorder_die_at(0); /* what its end would do to the disk is no part of the story */
    process_ends(p);
    recorder_end();
    (void)close(p->world.worker.folder_fd);
    (void)close(p->mail_fd);
    (void)nftw(p->world.path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(p->sending);
    free(p);
}

void story_free(struct story *s)
{
    log_done(&s->log);
    free(s->letters);
    free(s->said_at);
    arena_free(&s->arena);
}
