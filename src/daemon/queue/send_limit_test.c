/* daemon/queue/send_limit_test.c - days of a limited smarthost, in virtual time. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

static const uint64_t SECOND = US_PER_S, MINUTE = 60 * US_PER_S, HOUR = 3600 * US_PER_S;

enum { SENT_COUNT_MAX = 4096, RATES_MAX = 4 };

struct limits {
    struct rate messages[RATES_MAX], recipients[RATES_MAX]; /* up to count 0 */
    uint64_t recipients_max;
};

static size_t take_rates(struct config *c, const struct rate *rates, struct rate **ret)
{
    size_t count = 0;
    while (count < RATES_MAX && rates[count].count > 0)
        count++;
    *ret = arena_alloc(&c->arena, sizeof(*rates) * RATES_MAX);
    memcpy(*ret, rates, sizeof(*rates) * RATES_MAX);
    return count;
}

static void set_limits(struct world *w, const struct limits *l)
{
    struct config *c = fake_config(1);
    c->smarthost.via = STR("smart.test:25");
    c->smarthost.limit_count = take_rates(c, l->messages, &c->smarthost.limits);
    c->smarthost.recipient_limit_count =
        take_rates(c, l->recipients, &c->smarthost.recipient_limits);
    c->smarthost.recipients_max = l->recipients_max;
    queue_config(w->q, c);
    turn(w);
}

static void restart(struct world *w, const struct limits *l)
{
    queue_end(w);
    queue_begin(w);
    set_limits(w, l);
    peers_begin(w);
    workers_say_held_end(w, 50);
    turn(w);
}

/* ---- the other side, which counts strictly ---- */

struct sending {
    uint64_t at_us;
    uint32_t recipients;
};

struct provider {
    struct sending list[SENT_COUNT_MAX];
    size_t count;
    uint64_t seed;
};

static uint64_t chance(struct provider *p, uint64_t below)
{
    p->seed = p->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (p->seed >> 33) % below;
}

static void provider_takes(struct provider *p, uint64_t at_us, size_t recipients)
{
    assert_true(p->count < SENT_COUNT_MAX);
    p->list[p->count++] = (struct sending){at_us, (uint32_t)recipients};
}

static void check_rate(const struct provider *p, const struct rate *r, bool recipients)
{
    for (size_t i = 0; i < p->count; i++) {
        uint64_t sum = 0;
        for (size_t j = 0; j < p->count; j++) {
            bool within = p->list[j].at_us >= p->list[i].at_us &&
                          p->list[j].at_us < p->list[i].at_us + r->in_us;
            sum += within ? (recipients ? p->list[j].recipients : 1) : 0;
        }
        if (sum > r->count)
            fail_msg("%llu within %llu s, at most %llu are allowed", (unsigned long long)sum,
                     (unsigned long long)(r->in_us / US_PER_S), (unsigned long long)r->count);
    }
}

static void check_all(const struct provider *p, const struct limits *l)
{
    for (size_t i = 0; i < RATES_MAX; i++) {
        if (l->messages[i].count > 0)
            check_rate(p, &l->messages[i], false);
        if (l->recipients[i].count > 0)
            check_rate(p, &l->recipients[i], true);
    }
}

/* Lets all jobs that have begun take some time, and tells the provider when it has seen each. */
static void work(struct world *w, struct provider *p, uint64_t longest_us)
{
    struct msg_job *job;

    while ((job = next_job(w->relay)) != NULL) {
        uint64_t before = chance(p, longest_us), after = chance(p, longest_us);
        size_t recipients = job_recipient_count(job);

        w->clock.now_us += before;
        w->clock.monotonic_us += before;
        provider_takes(p, w->clock.now_us, recipients);
        w->clock.now_us += after;
        w->clock.monotonic_us += after;
        finish_job(w, w->relay, job, ST_OK, false);
    }
}

/* ---- stories ---- */

static void no_window_ever_sees_too_many(void **state)
{
    static const struct limits l = {.messages = {{6, 3600000000}, {40, 86400000000}}};
    static struct provider p;
    struct world *w = *state;

    p = (struct provider){.seed = 7};
    set_limits(w, &l);
    for (int i = 0; i < 150; i++)
        put(w, "a@b.test", "bill@smart.test");
    uint64_t end = w->clock.now_us + 3 * 24 * HOUR;
    for (int i = 0; w->clock.now_us < end; i++) {
        work(w, &p, 2 * MINUTE);
        if (i % 97 == 0)
            restart(w, &l);
        pass(w, MINUTE + chance(&p, 5 * MINUTE));
    }
    check_all(&p, &l);
    assert_in_range(p.count, 3 * 36, 3 * 40 + 6); /* nearly all of what is allowed */
    assert_int_equal(events_with(w, "event=bounce-made"), 0);
}

/* The process dies with a job under way: it may have been sent, so it counts, and goes again. */
static void what_may_have_been_sent_counts(void **state)
{
    static const struct limits l = {.messages = {{6, 3600000000}}};
    static struct provider p;
    struct world *w = *state;

    p = (struct provider){.seed = 11};
    set_limits(w, &l);
    for (int i = 0; i < 40; i++)
        put(w, "a@b.test", "bill@smart.test");
    uint64_t end = w->clock.now_us + 12 * HOUR;
    while (w->clock.now_us < end) {
        bool any = false;
        while (next_job(w->relay) != NULL) {
            provider_takes(&p, w->clock.now_us, 1);
            any = true;
        }
        if (any)
            restart(w, &l);
        pass(w, MINUTE);
    }
    check_all(&p, &l);
    assert_in_range(p.count, 50, 6 * 13);
}

static void short_spans_are_spaced(void **state)
{
    static const struct limits all[] = {
        {.messages = {{1, 60000000}}},
        {.messages = {{5, 1000000}}},
        {.messages = {{50, 900000000}, {60, 3600000000}}},
        {.recipients = {{10, 60000000}}},
    };
    static struct provider p;

    for (size_t i = 0; i < countof(all); i++) {
        struct world *w = *state;

        p = (struct provider){.seed = 3 + i};
        set_limits(w, &all[i]);
        for (int n = 0; n < 30; n++)
            put(w, "a@b.test", n % 3 ? "bill@smart.test" : "bill@smart.test carl@smart.test");
        for (int n = 0; n < 20000 && p.count < 30; n++) {
            work(w, &p, SECOND);
            pass(w, SECOND / 8);
        }
        check_all(&p, &all[i]);
        assert_int_equal(p.count, 30);
        (void)world_teardown(state);
        (void)world_setup(state);
    }
}

static void a_large_envelope_is_sent_in_parts(void **state)
{
    static const struct limits l = {.recipients = {{8, 3600000000}}, .recipients_max = 3};
    static struct provider p;
    struct world *w = *state;
    struct buf list = buf_init(16 * KIB);

    p = (struct provider){.seed = 5};
    set_limits(w, &l);
    for (int i = 0; i < 20; i++)
        buf_printf(&list, "u%d@smart.test ", i);
    struct id id = put(w, "a@b.test", buf_c(&list));
    for (int i = 0; i < 600 && row_count(w, id) > 0; i++) {
        work(w, &p, SECOND);
        pass(w, MINUTE);
    }
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(p.count, 7);
    for (size_t i = 0; i < p.count; i++)
        assert_in_range(p.list[i].recipients, 1, 3);
    check_all(&p, &l);
    buf_free(&list);
}

static struct spool_destination row_of(struct world *w, struct arena *a)
{
    struct spool_destination d;

    assert_int_equal(
        spool_destination_find(w->q->spool, TRANSPORT_RELAY, STR("smart.test:25"), a, &d), 0);
    return d;
}

static uint64_t counted(struct world *w)
{
    return usage_sum(&w->q->send_limit.usage, USAGE_DAY, USAGE_MESSAGES, w->clock.now_us);
}

static void it_says_until_when_and_why(void **state)
{
    static const struct limits l = {.messages = {{2, 3600000000}}};
    struct world *w = *state;
    struct arena a = ARENA_INIT;

    set_limits(w, &l);
    for (int i = 0; i < 3; i++)
        put(w, "a@b.test", "bill@smart.test");
    for (int i = 0; i < 2; i++)
        finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    assert_null(next_job(w->relay));
    struct spool_destination d = row_of(w, &a);
    assert_in_range(d.back_off_until_us, w->clock.now_us + HOUR, w->clock.now_us + 65 * MINUTE);
    assert_non_null(strstr(d.last.text, "limit of 2 messages in 1h"));
    assert_int_equal(d.failures, 0);
    pass(w, d.back_off_until_us - w->clock.now_us - SECOND);
    assert_null(next_job(w->relay));
    pass(w, 2 * SECOND);
    assert_non_null(next_job(w->relay));
    arena_free(&a);
}

/* A server that is not reached has counted nothing, so its retries cost nothing. */
static void a_dead_smarthost_costs_nothing(void **state)
{
    static const struct limits l = {.messages = {{2, 86400000000}}};
    struct world *w = *state;
    struct msg_job *job = NULL;

    set_limits(w, &l);
    put(w, "alice@example.test", "bill@smart.test");
    for (int failures = 0; failures < 10;) {
        job = next_job(w->relay);
        if (job != NULL) {
            finish_job(w, w->relay, job, ST_DEAD, true);
            assert_int_equal(counted(w), 0);
            failures++;
        }
        pass(w, MINUTE);
    }
    for (int i = 0; i < 200 && (job = next_job(w->relay)) == NULL; i++)
        pass(w, MINUTE);
    assert_non_null(job);
    finish_job(w, w->relay, job, ST_OK, false);
    assert_int_equal(counted(w), 1);
}

static void a_higher_limit_holds_at_once(void **state)
{
    static const struct limits low = {.messages = {{1, 86400000000}}};
    static const struct limits high = {.messages = {{3, 86400000000}}};
    static const struct limits none = {0};
    struct world *w = *state;

    set_limits(w, &low);
    for (int i = 0; i < 5; i++)
        put(w, "a@b.test", "bill@smart.test");
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    assert_null(next_job(w->relay));
    set_limits(w, &high);
    turn(w);
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    assert_null(next_job(w->relay));
    restart(w, &none);
    assert_int_equal(told_count(w->relay, MSG_JOB), 2);
}

/* What goes elsewhere does not count, and does not wait. */
static void others_are_not_limited(void **state)
{
    static const struct limits l = {.messages = {{1, 86400000000}}};
    struct world *w = *state;

    set_limits(w, &l);
    for (int i = 0; i < 4; i++)
        put(w, "a@b.test", "bill@smart.test carl@other.test dora@example.test");
    assert_int_equal(told_count(w->local, MSG_JOB), 4);
    assert_int_equal(told_count(w->relay, MSG_JOB), 5);
    assert_int_equal(counted(w), 1);
}

/* No loop that finds nothing to do and tries again. */
static void waiting_costs_no_turns(void **state)
{
    static const struct limits l = {.messages = {{1, 86400000000}}};
    struct world *w = *state;

    set_limits(w, &l);
    for (int i = 0; i < 5; i++)
        put(w, "a@b.test", "bill@smart.test");
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    pass(w, 10 * SECOND);
    for (int i = 0; i < 20; i++)
        turn(w);
    assert_false(spool_dirty(w->q->spool));
    assert_true(w->q->schedule.due_us > w->clock.now_us + 20 * HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(no_window_ever_sees_too_many), IN_A_WORLD(what_may_have_been_sent_counts),
        IN_A_WORLD(short_spans_are_spaced),       IN_A_WORLD(a_large_envelope_is_sent_in_parts),
        IN_A_WORLD(it_says_until_when_and_why),   IN_A_WORLD(a_dead_smarthost_costs_nothing),
        IN_A_WORLD(a_higher_limit_holds_at_once), IN_A_WORLD(others_are_not_limited),
        IN_A_WORLD(waiting_costs_no_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
