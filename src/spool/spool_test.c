// SPDX-License-Identifier: ISC
#include <errno.h>

#include "spool/test_spool.h"

#define HOUR_US (3600 * US_PER_S)

static void expect_str(struct str found, const char *want)
{
    if (!str_eq_c(found, want))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(found), want);
}

/* ---- taking in and reading back ---- */

static struct id put_two(struct test_spool *t)
{
    struct recipient to[] = {
        test_recipient("bill@example.org", "mx.example.org:25"),
        test_recipient("carl@example.com", "mx.example.com:25"),
    };
    struct envelope e = {
        .sender = STR("ann@example.net"),
        .client = STR("client=[192.0.2.1] helo=x"),
        .body = BODY_BINARY,
        .recipient_count = countof(to),
        .recipients = to,
    };
    struct spool_terms terms = {.due_us = t->clock.now_us,
                                .expires_us = t->clock.now_us + 5 * HOUR_US};
    struct spool_entry *m;
    struct id id;

    to[1].address = STR("charles@example.org"); /* an alias */
    assert_int_equal(spool_begin(t->s, &e, 0, &m), 0);
    to[0] = (struct recipient){0}; /* it was copied */
    assert_int_equal(spool_write(m, STR("Subject: x\r\n")), 0);
    assert_int_equal(spool_write(m, STR("\r\nhello\r\n")), 0);
    assert_int_equal(spool_sync(m, NULL, NULL, NULL), 0);
    assert_int_equal(spool_add(&m, STR("Received: id \x1a\r\n"), &terms, &id), 0);
    assert_null(m);
    return id;
}

static void expect_two(struct test_spool *t, struct id id)
{
    struct spool_recipient to[4];
    struct spool_message m;

    assert_int_equal(spool_message(t->s, id.key, &t->arena, &m), 0);
    assert_int_equal(m.id.node, id.node);
    expect_str(m.sender, "ann@example.net");
    expect_str(m.client, "client=[192.0.2.1] helo=x");
    assert_int_equal(m.body, BODY_BINARY);
    assert_false(m.in_file);
    assert_int_equal(m.size, 21);
    assert_int_equal(m.received_us, TEST_START_US);
    assert_int_equal(m.expires_us, TEST_START_US + 5 * HOUR_US);
    struct str text = arena_printf(&t->arena, "Received: id %s\r\n", id_print(id).p);
    assert_true(str_eq(m.prefix, text));
    assert_true(test_has(t, id, "Subject: x\r\n\r\nhello\r\n"));

    assert_int_equal(spool_recipients(t->s, id.key, 0, &t->arena, to, 4), 2);
    assert_int_equal(to[0].number, 1);
    expect_str(to[0].address, "bill@example.org");
    expect_str(to[0].original, "bill@example.org");
    expect_str(to[0].next_hop, "mx.example.org:25");
    expect_str(to[0].why, "troika.conf:1");
    assert_int_equal(to[0].transport, TRANSPORT_RELAY);
    assert_int_equal(to[0].attempts, 0);
    assert_int_equal(to[0].last.class, 0);
    assert_int_equal(to[1].number, 2);
    expect_str(to[1].address, "carl@example.com");
    expect_str(to[1].original, "charles@example.org");
    assert_int_equal(spool_recipients(t->s, id.key, 1, &t->arena, to, 4), 1);
    assert_int_equal(to[0].number, 2);
}

static void test_put_and_read(void **state)
{
    struct spool_counts counts;
    struct spool_message m;
    struct test_spool t;

    test_start(&t);
    assert_false(spool_dirty(t.s));
    struct id id = put_two(&t);
    assert_true(spool_dirty(t.s));
    assert_int_equal(id.node, spool_node(t.s));
    assert_int_equal(spool_message(t.s, id.key, &t.arena, &m), -ENOENT); /* not yet */
    assert_int_equal(spool_end_recipient(t.s, id.key, 1), -ENOENT);
    test_commit(&t);
    expect_two(&t, id);
    test_reopen(&t);
    expect_two(&t, id);
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.message_count, 1);
    assert_int_equal(counts.recipient_count, 2);
    assert_int_equal(counts.held_count, 0);
    assert_int_equal(counts.destination_count, 2);
    assert_int_equal(counts.segment_count, 1);
    assert_true(counts.free_bytes > 0);
    test_stop(&t);
}

static void test_refused(void **state)
{
    struct envelope nobody = {.sender = STR("a@b")};
    struct spool_entry *m = NULL;
    struct test_spool t;
    int fd;
    struct str content;

    test_start(&t);
    assert_int_equal(spool_begin(t.s, &nobody, 0, &m), -EINVAL);
    spool_abort(&m);
    assert_int_equal(spool_content(t.s, 12345, &t.arena, &content), -ENOENT);
    assert_int_equal(spool_content_fd(t.s, 12345, &fd), -ENOENT);
    assert_int_equal(spool_commit(t.s), 0); /* nothing to do */
    test_stop(&t);
}

static void test_ending(void **state)
{
    struct spool_counts counts;
    struct spool_message m;
    struct test_spool t;

    test_start(&t);
    struct id id = put_two(&t);
    struct id other = test_put_now(&t, "mx.example.org:25", "other");
    test_commit(&t);
    assert_int_equal(spool_end_recipient(t.s, id.key, 3), -ENOENT);
    assert_int_equal(spool_end_recipient(t.s, id.key, 2), 0);
    assert_int_equal(spool_end_recipient(t.s, id.key, 2), 0); /* twice in a batch: once */
    test_commit(&t);
    assert_int_equal(spool_end_recipient(t.s, id.key, 2), -ENOENT);
    assert_int_equal(spool_message(t.s, id.key, &t.arena, &m), 0);
    assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
    test_commit(&t);
    assert_int_equal(spool_message(t.s, id.key, &t.arena, &m), -ENOENT);
    assert_true(test_has(&t, other, "other"));
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.message_count, 1);
    assert_int_equal(counts.recipient_count, 1);
    test_stop(&t);
}

/* ---- what becomes of recipients ---- */

static struct spool_recipient only_recipient(struct test_spool *t, struct id id)
{
    struct spool_recipient r;

    assert_int_equal(spool_recipients(t->s, id.key, 0, &t->arena, &r, 1), 1);
    return r;
}

static void test_changes(void **state)
{
    struct status busy = status_make(451, 4, 3, 2, STR("busy"));
    struct target moved = {TRANSPORT_LOCAL, STR("example.org/bill"), STR("bill@example.org"),
                           STR("troika.conf:2")};
    struct spool_counts counts;
    struct test_spool t;

    test_start(&t);
    struct id id = test_put_now(&t, "mx:25", "x");
    test_commit(&t);
    assert_int_equal(spool_defer_recipient(t.s, id.key, 1, t.clock.now_us + HOUR_US, &busy), 0);
    test_commit(&t);
    struct spool_recipient r = only_recipient(&t, id);
    assert_int_equal(r.attempts, 1);
    assert_int_equal(r.due_us, t.clock.now_us + HOUR_US);
    assert_int_equal(r.last.code, 451);
    assert_int_equal(r.last.subject, 3);
    assert_string_equal(r.last.text, "busy");

    assert_int_equal(spool_hold_recipient(t.s, id.key, 1, true, NULL), 0);
    assert_int_equal(spool_retry_now(t.s, id.key, 1), 0);
    assert_int_equal(spool_move_recipient(t.s, id.key, 1, &moved), 0);
    test_commit(&t);
    r = only_recipient(&t, id);
    assert_true(r.held);
    assert_int_equal(r.due_us, t.clock.now_us);
    assert_int_equal(r.transport, TRANSPORT_LOCAL);
    expect_str(r.next_hop, "example.org/bill");
    expect_str(r.why, "troika.conf:2");
    assert_string_equal(r.last.text, "busy");
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.held_count, 1);

    assert_int_equal(spool_hold_recipient(t.s, id.key, 1, false, NULL), 0);
    assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
    assert_int_equal(spool_retry_now(t.s, id.key, 1), 0); /* it is gone by then: nothing */
    test_commit(&t);
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.held_count, 0);
    assert_int_equal(counts.recipient_count, 0);
    assert_int_equal(counts.message_count, 0);
    test_stop(&t);
}

/* ---- destinations ---- */

static int due(struct test_spool *t, uint64_t now_us, struct spool_destination *ret, size_t count,
               uint64_t *next_us)
{
    return spool_due_destinations(t->s, now_us, &t->arena, ret, count, next_us);
}

static void test_due_order(void **state)
{
    struct spool_destination d[4];
    struct spool_cursor cursor = {0};
    struct test_spool t;
    uint64_t next_us;
    struct id id;

    test_start(&t);
    uint64_t now = t.clock.now_us;
    assert_int_equal(due(&t, now, d, 4, &next_us), 0);
    assert_true(next_us == UINT64_MAX);
    assert_int_equal(test_put(&t, "late:25", STR("x"), now - 1, &id), 0);
    assert_int_equal(test_put(&t, "early:25", STR("x"), now - 3, &id), 0);
    assert_int_equal(test_put(&t, "middle:25", STR("x"), now - 2, &id), 0);
    assert_int_equal(test_put(&t, "future:25", STR("x"), now + 5, &id), 0);
    test_commit(&t);

    assert_int_equal(due(&t, now, d, 4, &next_us), 3);
    expect_str(d[0].next_hop, "early:25");
    expect_str(d[1].next_hop, "middle:25");
    expect_str(d[2].next_hop, "late:25");
    assert_int_equal(d[0].due_us, now - 3);
    assert_int_equal(next_us, now + 5);
    assert_int_equal(spool_due_destinations_page(t.s, now, &cursor, &t.arena, d, 2, &next_us), 2);
    assert_int_equal(spool_due_destinations_page(t.s, now, &cursor, &t.arena, d, 2, &next_us), 1);
    expect_str(d[0].next_hop, "late:25");
    assert_int_equal(due(&t, now + 5, d, 4, &next_us), 4);
    assert_true(next_us == UINT64_MAX);
    assert_false(spool_dirty(t.s));
    test_stop(&t);
}

static void test_back_off(void **state)
{
    struct status refused = status_make(0, 4, 4, 1, STR("refused"));
    struct spool_destination d;
    struct test_spool t;
    uint64_t next_us;

    test_start(&t);
    uint64_t now = t.clock.now_us;
    (void)test_put_now(&t, "dead:25", "x");
    test_commit(&t);
    assert_int_equal(spool_destination_find(t.s, TRANSPORT_RELAY, STR("dead:25"), &t.arena, &d), 0);
    assert_int_equal(spool_destination_find(t.s, TRANSPORT_LOCAL, STR("dead:25"), &t.arena, &d),
                     -ENOENT);
    assert_int_equal(spool_destination_back_off(t.s, d.id, now + HOUR_US, 3, &refused), 0);
    test_commit(&t);
    (void)test_put_now(&t, "dead:25", "more, and due earlier than before");
    test_commit(&t);

    assert_int_equal(due(&t, now, &d, 1, &next_us), 0);
    assert_int_equal(next_us, now + HOUR_US);
    assert_int_equal(due(&t, now + HOUR_US, &d, 1, &next_us), 1);
    assert_int_equal(d.failures, 3);
    assert_int_equal(d.back_off_until_us, now + HOUR_US);
    assert_int_equal(d.due_us, now);
    assert_string_equal(d.last.text, "refused");
    assert_int_equal(spool_destination_back_off(t.s, d.id, 0, 0, NULL), 0);
    test_commit(&t);
    assert_int_equal(due(&t, now, &d, 1, &next_us), 1);
    assert_int_equal(d.failures, 0);
    assert_int_equal(d.last.class, 0);
    test_stop(&t);
}

/* The bound of a destination with nothing due is found too low once, and corrected. */
static void test_bound(void **state)
{
    struct status st = status_make(0, 4, 4, 1, STR("later"));
    struct spool_destination d;
    struct test_spool t;
    uint64_t next_us;

    test_start(&t);
    uint64_t now = t.clock.now_us;
    struct id first = test_put_now(&t, "mx:25", "x");
    struct id second = test_put_now(&t, "mx:25", "y");
    test_commit(&t);
    assert_int_equal(spool_defer_recipient(t.s, first.key, 1, now + 100, &st), 0);
    assert_int_equal(spool_end_recipient(t.s, second.key, 1), 0);
    test_commit(&t);
    assert_int_equal(due(&t, now, &d, 1, &next_us), 0);
    assert_int_equal(next_us, now + 100);
    assert_true(spool_dirty(t.s)); /* the correction */
    test_commit(&t);
    assert_int_equal(due(&t, now, &d, 1, &next_us), 0);
    assert_int_equal(next_us, now + 100);
    assert_false(spool_dirty(t.s));

    (void)test_put_now(&t, "mx:25", "z"); /* the cache knows that the bound went up */
    test_commit(&t);
    assert_int_equal(due(&t, now, &d, 1, &next_us), 1);
    assert_int_equal(spool_retry_now(t.s, first.key, 1), 0);
    test_commit(&t);
    assert_int_equal(due(&t, now, &d, 1, &next_us), 1);
    assert_int_equal(spool_destination(t.s, d.id, &t.arena, &d), 0);
    assert_int_equal(d.due_us, now);
    assert_int_equal(spool_destination(t.s, 999, &t.arena, &d), -ENOENT);
    test_stop(&t);
}

/* A correction and a new recipient in the same batch: the new one is found. */
static void test_bound_race(void **state)
{
    struct spool_destination d;
    struct test_spool t;
    uint64_t next_us;

    for (int order = 0; order < 2; order++) {
        test_start(&t);
        struct id id = test_put_now(&t, "mx:25", "x");
        test_commit(&t);
        assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
        test_commit(&t);
        if (order == 1)
            (void)test_put_now(&t, "mx:25", "y");
        assert_int_equal(due(&t, t.clock.now_us, &d, 1, &next_us), 0);
        if (order == 0)
            (void)test_put_now(&t, "mx:25", "y");
        test_commit(&t);
        assert_int_equal(due(&t, t.clock.now_us, &d, 1, &next_us), 1);
        test_stop(&t);
    }
}

static void test_held(void **state)
{
    struct recipient to = test_recipient("bill@example.org", "mx:25");
    struct envelope e = {.recipient_count = 1, .recipients = &to};
    struct spool_terms terms = {.hold = true};
    struct spool_destination d;
    struct spool_counts counts;
    struct spool_entry *m;
    struct test_spool t;
    uint64_t next_us;
    struct id id;

    test_start(&t);
    terms.due_us = terms.expires_us = t.clock.now_us;
    assert_int_equal(spool_begin(t.s, &e, 0, &m), 0);
    assert_int_equal(spool_add(&m, STR(""), &terms, &id), 0);
    test_commit(&t);
    assert_true(test_has(&t, id, ""));
    assert_int_equal(due(&t, t.clock.now_us, &d, 1, &next_us), 0);
    assert_true(next_us == UINT64_MAX);
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.held_count, 1);
    assert_int_equal(spool_hold_recipient(t.s, id.key, 1, false, NULL), 0);
    test_commit(&t);
    assert_int_equal(due(&t, t.clock.now_us, &d, 1, &next_us), 1);
    assert_int_equal(spool_hold_recipient(t.s, id.key, 1, true, NULL), 0);
    test_commit(&t);
    assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
    test_commit(&t);
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.held_count, 0);
    assert_int_equal(counts.segment_count, 0);
    test_stop(&t);
}

static void test_long_names(void **state)
{
    char name[300];
    struct spool_counts counts;
    struct spool_destination d;
    struct test_spool t;
    uint64_t next_us;

    test_start(&t);
    memset(name, 'a', sizeof(name));
    for (size_t n = 60; n <= 70; n++)
        for (int twice = 0; twice < 2; twice++) {
            name[n] = '\0';
            (void)test_put_now(&t, name, "x");
            name[n] = 'a';
        }
    test_commit(&t);
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.destination_count, 11);
    assert_int_equal(due(&t, t.clock.now_us, &d, 1, &next_us), 1);
    test_stop(&t);
}

/* ---- pages ---- */

static void test_pages(void **state)
{
    enum { COUNT = 2500, PAGE = 100 };
    struct spool_recipient page[PAGE];
    struct spool_message messages[PAGE];
    struct spool_cursor list = {0};
    struct spool_cursor due_at = {0};
    struct spool_cursor expired = {0};
    struct spool_destination d;
    struct test_spool t;
    struct id id;
    size_t listed = 0;
    size_t due_count = 0;
    size_t expired_count = 0;
    uint64_t before = 0;
    int n;

    test_start(&t);
    uint64_t now = t.clock.now_us;
    for (uint64_t i = 0; i < COUNT; i++) /* some at the same microsecond */
        assert_int_equal(test_put(&t, "mx:25", STR("x"), now - i / 7, &id), 0);
    test_commit(&t);
    while ((n = spool_list(t.s, &list, &t.arena, page, PAGE)) > 0) {
        uint64_t first = page[0].key, last = page[n - 1].key;

        assert_int_equal(spool_messages(t.s, first, last, &t.arena, messages, PAGE), n);
        for (int i = 0; i < n; i++, listed++) {
            assert_true(page[i].key > before);
            before = page[i].key;
            assert_int_equal(messages[i].id.key, page[i].key);
        }
        assert_int_equal(spool_messages(t.s, first, UINT64_MAX >> 1, &t.arena, messages, 1), 1);
        assert_int_equal(messages[0].id.key, first);
    }
    assert_int_equal(n, 0);
    assert_int_equal(spool_messages(t.s, before + 1, before + 9, &t.arena, messages, PAGE), 0);
    assert_int_equal(listed, COUNT);

    assert_int_equal(spool_destination_find(t.s, TRANSPORT_RELAY, STR("mx:25"), &t.arena, &d), 0);
    uint64_t half = now - COUNT / 7 / 2;
    before = 0;
    while ((n = spool_due_recipients(t.s, d.id, half, &due_at, &t.arena, page, PAGE)) > 0)
        for (int i = 0; i < n; i++, due_count++) {
            assert_true(page[i].due_us >= before && page[i].due_us <= half);
            before = page[i].due_us;
        }
    assert_in_range(due_count, COUNT / 2 - 7, COUNT / 2 + 7);
    uint64_t over = half + 432000 * US_PER_S;
    while ((n = spool_aged_recipients(t.s, d.id, over, &expired, &t.arena, page, PAGE)) > 0)
        for (int i = 0; i < n; i++, expired_count++)
            assert_true(page[i].expires_us <= over);
    assert_int_equal(expired_count, due_count);
    test_stop(&t);
}

/* ---- events and facts ---- */

static void test_events(void **state)
{
    struct buf lines = buf_init(128 * KIB);
    struct test_spool t;
    uint64_t number = 0;
    uint64_t first;

    test_start(&t);
    assert_int_equal(spool_events(t.s, 0, &lines, &number), 0);
    assert_int_equal(spool_event(t.s, STR("event=a")), 0);
    assert_int_equal(spool_event(t.s, STR("event=b")), 0);
    assert_int_equal(spool_events(t.s, 0, &lines, &number), 0);
    test_commit(&t);
    assert_int_equal(spool_event(t.s, STR("event=c")), 0);
    test_commit(&t);
    assert_int_equal(spool_events(t.s, 0, &lines, &first), 1);
    expect_str(buf_str(&lines), "event=a\nevent=b\n");
    buf_reset(&lines);
    assert_int_equal(spool_events(t.s, first, &lines, &number), 1);
    expect_str(buf_str(&lines), "event=c\n");
    assert_true(number > first);
    assert_int_equal(spool_events_taken(t.s, first), 0);
    test_commit(&t);
    test_reopen(&t);
    buf_reset(&lines);
    assert_int_equal(spool_events(t.s, 0, &lines, &number), 1);
    expect_str(buf_str(&lines), "event=c\n");
    assert_int_equal(spool_events_taken(t.s, number), 0);
    test_commit(&t);
    test_reopen(&t);
    first = number;
    assert_int_equal(spool_event(t.s, STR("event=d")), 0);
    test_commit(&t);
    assert_int_equal(spool_events(t.s, 0, &lines, &number), 1);
    assert_true(number > first); /* numbers do not come twice */
    buf_free(&lines);
    test_stop(&t);
}

static void test_many_events(void **state)
{
    enum { COUNT = 300 };
    static char line[1000];
    struct buf lines = buf_init(64 * KIB);
    struct test_spool t;
    uint64_t number = 0;
    size_t rows = 0;
    size_t bytes = 0;

    test_start(&t);
    memset(line, 'e', sizeof(line));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(spool_event(t.s, str_n(line, sizeof(line))), 0);
    assert_int_equal(spool_event(t.s, (struct str){line, 70000}), -EMSGSIZE);
    test_commit(&t);
    for (; spool_events(t.s, number, &lines, &number) == 1; rows++) {
        assert_true(str_ends(buf_str(&lines), STR("\n")));
        bytes += lines.n;
        buf_reset(&lines);
    }
    assert_int_equal(bytes, COUNT * 1001);
    assert_int_equal(rows, 5);
    buf_free(&lines);
    lines = buf_init(100);
    assert_int_equal(spool_events(t.s, 0, &lines, &number), -ENOBUFS);
    buf_free(&lines);
    test_stop(&t);
}

static void test_facts(void **state)
{
    struct buf value = buf_init(100);
    struct test_spool t;

    test_start(&t);
    assert_false(spool_fact(t.s, "routes", &value));
    assert_int_equal(spool_fact_set(t.s, "routes", STR("abc")), 0);
    assert_false(spool_fact(t.s, "routes", &value));
    test_commit(&t);
    assert_int_equal(spool_fact_set(t.s, "routes", STR("")), 0);
    assert_int_equal(spool_fact_set(t.s, "other", STR("def")), 0);
    test_commit(&t);
    test_reopen(&t);
    assert_true(spool_fact(t.s, "routes", &value));
    assert_int_equal(value.n, 0);
    assert_true(spool_fact(t.s, "other", &value));
    expect_str(buf_str(&value), "def");
    buf_free(&value);
    test_stop(&t);
}

static void test_facts_in_order(void **state)
{
    static const char *const names[] = {"a:2", "a:1", "b", "a:3"};
    struct arena a = ARENA_INIT;
    struct spool_fact facts[3];
    struct test_spool t;

    test_start(&t);
    for (size_t i = 0; i < countof(names); i++)
        assert_int_equal(spool_fact_set(t.s, names[i], str_c(names[i])), 0);
    assert_int_equal(spool_fact_drop(t.s, "a:3"), 0);
    assert_int_equal(spool_fact_drop(t.s, "never there"), 0);
    assert_int_equal(spool_facts(t.s, STR("a:"), &a, facts, 3), 1); /* "node" is always there */
    test_commit(&t);
    test_reopen(&t);
    assert_int_equal(spool_facts(t.s, STR("a:"), &a, facts, 3), 3);
    expect_str(facts[0].name, "a:1");
    expect_str(facts[0].value, "a:1");
    expect_str(facts[1].name, "a:2");
    expect_str(facts[2].name, "b");
    assert_int_equal(spool_facts(t.s, STR("a:1"), &a, facts, 1), 1);
    expect_str(facts[0].name, "a:2");
    assert_int_equal(spool_facts(t.s, STR("z"), &a, facts, 3), 0);
    arena_free(&a);
    test_stop(&t);
}

/* ---- time ---- */

static void test_ids(void **state)
{
    struct test_spool t;
    uint64_t last = 0;

    test_start(&t);
    uint32_t node = spool_node(t.s);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 50; i++) {
            struct id id = test_put_now(&t, "mx:25", "x");
            assert_true(id.key > last);
            last = id.key;
        }
        test_commit(&t);
        while (last > 0 && spool_end_recipient(t.s, last--, 1) == 0)
            continue;
        last += 50;
        test_commit(&t);
        t.clock.now_us -= round == 2 ? TEST_START_US - 1 : HOUR_US; /* once to 1970 */
        if (round == 4)
            t.clock.now_us = UINT64_MAX / 2; /* beyond all ids */
        test_reopen(&t);
        assert_int_equal(spool_node(t.s), node);
    }
    assert_int_equal(node >> 24, 0);
    test_stop(&t);
}

static void test_id_follows_clock(void **state)
{
    struct test_spool t;

    test_start(&t);
    struct id id = test_put_now(&t, "mx:25", "x");
    assert_int_equal(id_time_us(id), TEST_START_US);
    t.clock.now_us += HOUR_US;
    id = test_put_now(&t, "mx:25", "x");
    assert_int_equal(id_time_us(id), TEST_START_US + HOUR_US);
    test_stop(&t);
}

static void test_pull_back(void **state)
{
    enum { COUNT = 2300 };
    struct spool_destination d[3];
    struct test_spool t;
    uint64_t next_us;
    struct id id;
    int rounds = 0;
    int more;

    test_start(&t);
    uint64_t now = t.clock.now_us;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(test_put(&t, i % 2 ? "a:25" : "b:25", STR("x"), now, &id), 0);
    test_commit(&t);
    assert_int_equal(due(&t, now, d, 3, &next_us), 2);
    assert_int_equal(spool_destination_back_off(t.s, d[0].id, now + 9 * HOUR_US, 1, NULL), 0);
    test_commit(&t);

    now -= 1000 * HOUR_US;
    do {
        more = spool_pull_back(t.s, now, HOUR_US);
        assert_true(more >= 0);
        test_commit(&t);
        rounds++;
    } while (more);
    assert_in_range(rounds, 3, 6);
    assert_int_equal(due(&t, now, d, 3, &next_us), 0);
    assert_int_equal(next_us, now + HOUR_US);
    assert_int_equal(due(&t, now + HOUR_US, d, 3, &next_us), 2);
    assert_true(next_us == UINT64_MAX);
    assert_int_equal(spool_pull_back(t.s, now, HOUR_US), 0);
    assert_false(spool_dirty(t.s));
    test_stop(&t);
}

/* ---- large messages ---- */

enum { LARGE_BYTES = 3 * 1024 * 1024 + 17 };

static void on_synced(void *arg, int error)
{
    *(int *)arg = error;
}

static int large_begin(struct test_spool *t, uint64_t announced, struct spool_entry **ret)
{
    static char piece[64 * 1024];
    struct recipient to = test_recipient("bill@example.org", "mx:25");
    struct envelope e = {.recipient_count = 1, .recipients = &to};
    int r = spool_begin(t->s, &e, announced, ret);

    for (size_t done = 0; r == 0 && done < LARGE_BYTES; done += sizeof(piece)) {
        memset(piece, 'a' + (int)(done / sizeof(piece) % 26), sizeof(piece));
        r = spool_write(*ret, str_n(piece, MIN_OF(sizeof(piece), LARGE_BYTES - done)));
    }
    return r;
}

static void wait_sync(struct spool_entry *m, struct loop *l)
{
    int error = -1;

    assert_int_equal(spool_sync(m, l, on_synced, &error), -EAGAIN);
    while (error == -1)
        loop_turn(l, true);
    assert_int_equal(error, 0);
}

static void expect_large(struct test_spool *t, struct id id)
{
    struct spool_message m;
    struct str content;
    char byte;
    int fd;

    assert_int_equal(spool_message(t->s, id.key, &t->arena, &m), 0);
    assert_true(m.in_file);
    assert_int_equal(m.size, LARGE_BYTES);
    assert_int_equal(spool_content(t->s, id.key, &t->arena, &content), -EINVAL);
    assert_int_equal(spool_content_fd(t->s, id.key, &fd), 0);
    for (size_t at = 0; at < LARGE_BYTES; at += 65536) {
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        assert_int_equal(byte, 'a' + (int)(at / 65536 % 26));
    }
    assert_int_equal(lseek(fd, 0, SEEK_END), LARGE_BYTES);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1); /* read-only */
    (void)close(fd);
}

static void test_large(void **state)
{
    static const uint64_t announced[] = {0, LARGE_BYTES, 10};
    struct spool_terms terms = {0};
    struct spool_entry *m;
    struct test_spool t;
    struct loop *l;
    struct id id;
    int fd;

    test_start(&t);
    assert_int_equal(loop_new(&clock_system, &l), 0);
    for (size_t i = 0; i < countof(announced); i++) {
        assert_int_equal(large_begin(&t, announced[i], &m), 0);
        wait_sync(m, l);
        assert_int_equal(spool_sync(m, l, on_synced, NULL), 0); /* it is */
        assert_int_equal(spool_add(&m, STR(""), &terms, &id), 0);
        test_commit(&t);
        expect_large(&t, id);
        test_reopen(&t);
        expect_large(&t, id);
        assert_int_equal(test_count_files(&t, "large"), 1);
        assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
        assert_int_equal(test_count_files(&t, "large"), 1);
        test_commit(&t);
        assert_int_equal(test_count_files(&t, "large"), 0);
    }
    assert_int_equal(spool_content_fd(t.s, id.key, &fd), -ENOENT);
    spool_close(&t.s);
    loop_free(&l);
    test_stop(&t);
}

enum { MEDIUM_BYTES = 200 * 1024 };

/* Of MEDIUM_BYTES, in pieces; announced or not. */
static struct spool_entry *medium_begin(struct test_spool *t, uint64_t announced)
{
    static char piece[50 * 1024];
    struct recipient to = test_recipient("bill@example.org", "mx:25");
    struct envelope e = {.recipient_count = 1, .recipients = &to};
    struct spool_entry *m;

    assert_int_equal(spool_begin(t->s, &e, announced, &m), 0);
    for (int i = 0; i < 4; i++) {
        memset(piece, 'a' + i, sizeof(piece));
        assert_int_equal(spool_write(m, str_n(piece, sizeof(piece))), 0);
    }
    return m;
}

static void expect_medium(struct test_spool *t, struct id id)
{
    struct spool_message m;
    struct str content;

    assert_int_equal(spool_message(t->s, id.key, &t->arena, &m), 0);
    assert_false(m.in_file);
    assert_int_equal(m.size, MEDIUM_BYTES);
    assert_int_equal(spool_content(t->s, id.key, &t->arena, &content), 0);
    assert_int_equal(content.n, MEDIUM_BYTES);
    for (size_t i = 0; i < content.n; i++)
        assert_int_equal(content.p[i], 'a' + (int)(i / (MEDIUM_BYTES / 4)));
}

static void test_medium(void **state)
{
    static const uint64_t announced[] = {0, MEDIUM_BYTES, 10};
    struct spool_terms terms = {0};
    struct test_spool t;
    struct id id;

    test_start(&t);
    for (size_t i = 0; i < countof(announced); i++) {
        struct spool_entry *m = medium_begin(&t, announced[i]);
        assert_int_equal(spool_sync(m, NULL, on_synced, NULL), 0); /* the commit does it */
        assert_int_equal(spool_add(&m, STR(""), &terms, &id), 0);
        test_commit(&t);
        expect_medium(&t, id);
        test_reopen(&t);
        expect_medium(&t, id);
        assert_int_equal(test_count_files(&t, "large"), 0);
        assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
        test_commit(&t);
    }
    test_stop(&t);
}

/* What waits in memory has a bound: after that a medium message is a file, small ones are not. */
static void test_medium_many(void **state)
{
    enum { COUNT = 100, HELD = 16 * 1024 * 1024 / MEDIUM_BYTES };
    struct spool_entry *m[COUNT];
    struct test_spool t;

    test_start(&t);
    for (size_t i = 0; i < COUNT; i++)
        m[i] = medium_begin(&t, i % 2 * MEDIUM_BYTES);
    assert_int_equal(test_count_files(&t, "large"), COUNT - HELD);
    struct id small = test_put_now(&t, "mx:25", "small");
    test_commit(&t);
    assert_true(test_has(&t, small, "small"));
    for (size_t i = 0; i < COUNT; i++)
        spool_abort(&m[i]);
    assert_int_equal(t.s->held_bytes, 0);
    assert_int_equal(test_count_files(&t, "large"), 0);
    test_stop(&t);
}

static void test_medium_in_small_segments(void **state)
{
    struct test_spool t;

    test_setup(&t);
    t.options.segment_bytes = 128 * 1024;
    test_reopen(&t);
    struct spool_entry *m = medium_begin(&t, 0);
    assert_int_equal(test_count_files(&t, "large"), 1);
    spool_abort(&m);
    test_stop(&t);
}

static void test_large_damaged(void **state)
{
    struct spool_terms terms = {0};
    struct spool_entry *m;
    struct test_spool t;
    char name[300];
    struct loop *l;
    struct id id;
    int fd;

    test_start(&t);
    assert_int_equal(loop_new(&clock_system, &l), 0);
    assert_int_equal(large_begin(&t, 0, &m), 0);
    wait_sync(m, l);
    assert_int_equal(spool_add(&m, STR(""), &terms, &id), 0);
    test_commit(&t);
    (void)snprintf(name, sizeof(name), "%s/large/%llu", t.path, (unsigned long long)id.key);
    assert_int_equal(truncate(name, LARGE_BYTES - 1), 0);
    assert_int_equal(spool_content_fd(t.s, id.key, &fd), -EBADMSG);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(spool_content_fd(t.s, id.key, &fd), -EBADMSG);
    spool_close(&t.s);
    loop_free(&l);
    test_stop(&t);
}

static void test_large_aborted(void **state)
{
    struct spool_entry *m;
    struct test_spool t;
    struct loop *l;
    int error = -1;

    test_start(&t);
    assert_int_equal(loop_new(&clock_system, &l), 0);
    assert_int_equal(large_begin(&t, 0, &m), 0);
    assert_int_equal(test_count_files(&t, "large"), 1);
    spool_abort(&m);
    assert_int_equal(test_count_files(&t, "large"), 0);

    assert_int_equal(large_begin(&t, 0, &m), 0);
    assert_int_equal(spool_sync(m, l, on_synced, &error), -EAGAIN);
    spool_abort(&m); /* while the thread may be at it */
    while (test_count_files(&t, "large") > 0)
        loop_turn(l, true);
    assert_int_equal(error, -1);

    assert_int_equal(large_begin(&t, 0, &m), 0);
    assert_int_equal(spool_sync(m, l, on_synced, &error), -EAGAIN);
    spool_abort(&m);
    spool_close(&t.s);
    assert_int_equal(error, -1);
    loop_free(&l);
    test_stop(&t);
}

/* ---- crashes ---- */

static void test_crash(void **state)
{
    struct spool_terms terms = {0};
    struct test_spool copy;
    struct spool_entry *m;
    struct spool_message found;
    struct test_spool t;
    struct loop *l;
    struct id large;

    test_start(&t);
    assert_int_equal(loop_new(&clock_system, &l), 0);
    struct id first = put_two(&t);
    test_commit(&t);
    struct id second = test_put_now(&t, "mx:25", "second");
    assert_int_equal(large_begin(&t, 0, &m), 0);
    wait_sync(m, l);
    assert_int_equal(spool_add(&m, STR(""), &terms, &large), 0);
    assert_int_equal(spool_end_recipient(t.s, first.key, 1), 0);

    test_copy(&t, &copy); /* before the commit: nothing of the second batch */
    expect_two(&copy, first);
    assert_int_equal(spool_message(copy.s, second.key, &copy.arena, &found), -ENOENT);
    assert_int_equal(spool_message(copy.s, large.key, &copy.arena, &found), -ENOENT);
    assert_int_equal(test_count_files(&copy, "large"), 0); /* swept */
    test_stop(&copy);

    test_commit(&t);
    test_copy(&t, &copy); /* after it: all of it */
    assert_int_equal(spool_message(copy.s, first.key, &copy.arena, &found), 0);
    assert_true(test_has(&copy, second, "second"));
    expect_large(&copy, large);
    struct spool_recipient r = only_recipient(&copy, first);
    assert_int_equal(r.number, 2);
    test_stop(&copy);
    spool_close(&t.s);
    loop_free(&l);
    test_stop(&t);
}

/* ---- room, log, upkeep ---- */

static void test_room(void **state)
{
    struct test_spool t;
    struct stat st;

    test_start(&t);
    assert_true(spool_accepts(t.s));
    assert_int_equal(fstatat(t.dir_fd, "reserve", &st, 0), 0);
    assert_int_equal(st.st_size, 64 * KIB);
    assert_true(spool_release_reserve(t.s));
    assert_false(spool_release_reserve(t.s));
    assert_false(spool_accepts(t.s)); /* until the reserve is there again */
    assert_int_equal(fstatat(t.dir_fd, "reserve", &st, 0), 0);
    assert_int_equal(st.st_size, 0);
    t.clock.monotonic_us += US_PER_S;
    assert_true(spool_accepts(t.s));
    assert_int_equal(fstatat(t.dir_fd, "reserve", &st, 0), 0);
    assert_int_equal(st.st_size, 64 * KIB);

    t.options.free_floor_bytes = UINT64_MAX / 2;
    t.options.reserve_bytes = 0;
    test_reopen(&t);
    assert_false(spool_accepts(t.s));
    test_stop(&t);
}

/* The log is copied beside the commits and then written from its front again. */
static void test_log(void **state)
{
    enum { ROUNDS = 300 };
    static char line[50000];
    struct buf lines = buf_init(64 * KIB);
    struct test_spool t;
    struct stat st;
    uint64_t number;

    test_start(&t);
    memset(line, 'e', sizeof(line));
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 5; k++)
            assert_int_equal(spool_event(t.s, str_n(line, sizeof(line))), 0);
        test_commit(&t);
        buf_reset(&lines);
        assert_int_equal(spool_events(t.s, 0, &lines, &number), 1); /* a reader every time */
        assert_int_equal(spool_events_taken(t.s, number + 10), 0);
        spool_checkpoint(t.s);
    }
    test_commit(&t);
    assert_int_equal(fstatat(t.dir_fd, "queue.db-wal", &st, 0), 0);
    assert_in_range(st.st_size, 4096, 60 * 1024 * 1024); /* 75 MiB went through */
    assert_int_equal(fstatat(t.dir_fd, "queue.db", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    test_reopen(&t);
    assert_int_equal(fstatat(t.dir_fd, "queue.db-wal", &st, 0), 0);
    assert_in_range(st.st_size, 0, 64 * 1024);
    buf_free(&lines);
    test_stop(&t);
}

static void test_idle_destinations(void **state)
{
    enum { COUNT = DESTINATIONS_KEPT + 200 };
    struct spool_counts counts;
    struct spool_destination d[8];
    struct test_spool t;
    char name[32];
    uint64_t next_us;
    uint64_t first = 0;

    test_start(&t);
    struct id kept = test_put_now(&t, "kept", "x");
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "example.org/user%d", i);
        struct id id = test_put_now(&t, name, "x");
        first = first ? first : id.key;
    }
    test_commit(&t);
    for (uint64_t key = first; spool_end_recipient(t.s, key, 1) == 0; key++)
        continue;
    test_commit(&t);
    assert_int_equal(spool_hold_recipient(t.s, kept.key, 1, true, NULL), 0);
    test_commit(&t);
    for (int i = 0; i < COUNT; i++) { /* the bounds are corrected, then rows can go */
        assert_int_equal(due(&t, t.clock.now_us, d, 8, &next_us), 0);
        spool_checkpoint(t.s);
        if (!spool_dirty(t.s))
            break;
        test_commit(&t);
    }
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_in_range(counts.destination_count, DESTINATIONS_KEPT - 64, DESTINATIONS_KEPT);
    assert_int_equal(spool_destination_find(t.s, TRANSPORT_RELAY, STR("kept"), &t.arena, d), 0);
    (void)test_put_now(&t, "example.org/user0", "again");
    test_commit(&t);
    assert_int_equal(due(&t, t.clock.now_us, d, 8, &next_us), 1);
    assert_true(d[0].id > COUNT); /* a number is not given twice */
    test_stop(&t);
}

static struct id put_wishing(struct test_spool *t, uint64_t warn_us)
{
    struct recipient to[] = {
        test_recipient("a@x.test", "x.test:25"),
        test_recipient("b@x.test", "x.test:25"),
        test_recipient("c@x.test", "x.test:25"),
    };
    struct envelope e = {
        .ret = RETURN_FULL, .envid = STR("Q 1"), .recipient_count = countof(to), .recipients = to};
    struct spool_terms terms = {
        .due_us = t->clock.now_us, .warn_us = warn_us, .expires_us = t->clock.now_us + 5 * HOUR_US};
    struct spool_entry *m;
    struct id id;

    to[1].notify = (struct notify){.when = NOTIFY_FAILURE, .orcpt = STR("rfc822;z@y")};
    to[2].notify.when = NOTIFY_DELAY | NOTIFY_SUCCESS;
    assert_int_equal(spool_begin(t->s, &e, 0, &m), 0);
    assert_int_equal(spool_write(m, STR("x")), 0);
    assert_int_equal(spool_add(&m, STR(""), &terms, &id), 0);
    test_commit(t);
    return id;
}

static int aged(struct test_spool *t, uint64_t now_us, struct spool_recipient *ret, size_t count)
{
    struct spool_destination d;
    struct spool_cursor first = {0};
    struct str hop = STR("x.test:25");

    assert_int_equal(spool_destination_find(t->s, TRANSPORT_RELAY, hop, &t->arena, &d), 0);
    return spool_aged_recipients(t->s, d.id, now_us, &first, &t->arena, ret, count);
}

static void test_wishes_and_ages(void **state)
{
    struct test_spool t;
    struct spool_recipient to[4];
    struct spool_message m;

    test_start(&t);
    uint64_t began = t.clock.now_us;
    struct id id = put_wishing(&t, began + HOUR_US);
    spool_close(&t.s);
    test_reopen(&t);
    assert_int_equal(spool_message(t.s, id.key, &t.arena, &m), 0);
    assert_int_equal(m.ret, RETURN_FULL);
    expect_str(m.envid, "Q 1");
    assert_int_equal(spool_recipients(t.s, id.key, 0, &t.arena, to, 4), 3);
    assert_int_equal(to[1].notify.when, NOTIFY_FAILURE);
    expect_str(to[1].notify.orcpt, "rfc822;z@y");
    assert_int_equal(to[0].age_us, began + HOUR_US);
    assert_int_equal(to[1].age_us, began + 5 * HOUR_US);
    for (int i = 0; i < 3; i++)
        assert_int_equal(to[i].expires_us, began + 5 * HOUR_US);

    assert_int_equal(aged(&t, began + HOUR_US - 1, to, 4), 0);
    assert_int_equal(aged(&t, began + HOUR_US, to, 4), 2);
    assert_int_equal(to[1].number, 3);
    assert_int_equal(spool_warned(t.s, id.key, 1), 0);
    assert_int_equal(spool_warned(t.s, id.key, 1), 0); /* twice is once */
    assert_int_equal(spool_warned(t.s, id.key, 9), -ENOENT);
    test_commit(&t);
    spool_close(&t.s);
    test_reopen(&t);
    assert_int_equal(aged(&t, began + HOUR_US, to, 4), 1);
    assert_int_equal(to[0].number, 3);
    assert_int_equal(aged(&t, began + 5 * HOUR_US, to, 4), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(to[i].expires_us, began + 5 * HOUR_US);
    test_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_read),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ending),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_due_order),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_bound_race),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_many_events),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_facts_in_order),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_id_follows_clock),
        cmocka_unit_test(test_pull_back),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_medium),
        cmocka_unit_test(test_medium_many),
        cmocka_unit_test(test_medium_in_small_segments),
        cmocka_unit_test(test_large_damaged),
        cmocka_unit_test(test_large_aborted),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_wishes_and_ages),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_idle_destinations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
