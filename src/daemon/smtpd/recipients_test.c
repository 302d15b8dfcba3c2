// SPDX-License-Identifier: ISC
#include "daemon/smtpd/recipients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"

static const struct target bob = {TRANSPORT_LOCAL, {"b/bob", 5}, {"bob@b", 5}, {"conf:1", 6}};
static const struct target far = {TRANSPORT_RELAY, {"mx:25", 5}, {"bob@b", 5}, {"conf:1", 6}};
static const struct target eve = {TRANSPORT_RELAY, {"mx:25", 5}, {"eve@b", 5}, {"conf:2", 6}};

static bool add(struct recipients *r, const char *address, unsigned when,
                const struct target *const *targets, size_t count)
{
    struct buf bytes = buf_init(4096);
    struct notify wish = {.when = when};

    for (size_t i = 0; i < count; i++)
        target_encode(&bytes, targets[i]);
    bool good = recipients_add(r, str_c(address), &wish, buf_str(&bytes));
    buf_free(&bytes);
    return good;
}

/* What the queue will read. */
static struct envelope read_back(const struct recipients *r, struct arena *a)
{
    struct buf all = buf_init(64 * MIB);
    struct envelope e = {.sender = STR("a@b"), .recipient_count = r->count};

    envelope_head_encode(&all, &e);
    assert_true(buf_add(&all, buf_str(&r->rows)));
    assert_true(envelope_decode(buf_str(&all), a, &e));
    buf_free(&all);
    return e;
}

static void assert_goes_to(const struct recipient *r, const struct target *t)
{
    assert_int_equal(r->target.transport, t->transport);
    assert_true(str_eq(r->target.next_hop, t->next_hop));
    assert_true(str_eq(r->target.address, t->address));
    assert_true(str_eq(r->target.why, t->why));
}

static void test_one_row_for_each_place(void **state)
{
    const struct target *const one[] = {&bob};
    const struct target *const alias[] = {&bob, &far, &far, &eve};
    struct recipients r;
    struct arena a = ARENA_INIT;

    recipients_init(&r);
    assert_true(add(&r, "bob@b", 0, one, 1));
    assert_true(add(&r, "robert@b", 0, one, 1)); /* another name of the same mailbox */
    assert_true(add(&r, "all@b", 0, alias, 4));
    assert_int_equal(r.count, 3);

    struct envelope e = read_back(&r, &a);
    assert_goes_to(&e.recipients[0], &bob);
    assert_goes_to(&e.recipients[1], &far); /* the same address, but elsewhere */
    assert_goes_to(&e.recipients[2], &eve);
    assert_true(str_eq_c(e.recipients[0].address, "bob@b"));
    assert_true(str_eq_c(e.recipients[2].address, "all@b"));
    assert_true(str_eq_c(recipient_first(buf_str(&r.rows)), "bob@b"));
    arena_free(&a);
    recipients_free(&r);
}

/* Of an alias one member tells that it was expanded: a mailbox here, if there is one. */
static void test_wishes(void **state)
{
    const struct target *const alias[] = {&eve, &far, &bob};
    struct recipients r;
    struct arena a = ARENA_INIT;

    recipients_init(&r);
    assert_true(add(&r, "all@b", NOTIFY_SUCCESS | NOTIFY_DELAY, alias, 3));
    struct envelope e = read_back(&r, &a);
    assert_int_equal(e.recipients[0].notify.when, NOTIFY_DELAY);
    assert_int_equal(e.recipients[1].notify.when, NOTIFY_DELAY);
    assert_int_equal(e.recipients[2].notify.when, NOTIFY_DELAY | NOTIFY_EXPANDED);
    arena_free(&a);
    recipients_free(&r);
}

static void test_nonsense_adds_nothing(void **state)
{
    const struct target *const one[] = {&bob};
    struct recipients r;
    struct notify wish = {0};
    struct buf bytes = buf_init(4096);

    recipients_init(&r);
    target_encode(&bytes, &eve);
    for (size_t n = 0; n < bytes.n; n++)
        assert_false(recipients_add(&r, STR("x@b"), &wish, str_n(bytes.p, n)));
    target_encode(&bytes, &bob);
    (void)buf_add_char(&bytes, 'x');
    assert_false(recipients_add(&r, STR("x@b"), &wish, buf_str(&bytes)));
    assert_int_equal(r.count, 0);
    assert_int_equal(r.rows.n, 0);
    assert_true(add(&r, "bob@b", 0, one, 1)); /* no trace of it among the places */
    assert_int_equal(r.count, 1);
    buf_free(&bytes);
    recipients_free(&r);
}

/* A list: 100,000 recipients at some providers take less than the 16 MiB of a worker, and each of
 * them is there. */
static void test_many(void **state)
{
    enum { COUNT = 100000, DOMAINS = 7 };
    struct recipients r;
    struct arena a = ARENA_INIT;
    char address[64], hop[64];

    recipients_init(&r);
    for (unsigned twice = 0; twice < 2; twice++) {
        for (unsigned i = 0; i < COUNT; i++) {
            (void)snprintf(address, sizeof address, "somebody.%u@provider%u.example", i,
                           i % DOMAINS);
            (void)snprintf(hop, sizeof hop, "@provider%u.example", i % DOMAINS);
            struct target t = {TRANSPORT_RELAY, str_c(hop), str_c(address), STR("conf:1 dns")};
            const struct target *const one[] = {&t};
            assert_true(add(&r, address, 0, one, 1));
        }
        assert_int_equal(r.count, COUNT);
    }
    print_message("%zu bytes a recipient\n", recipients_bytes(&r) / COUNT);
    assert_true(recipients_bytes(&r) < 12 * MIB);

    struct envelope e = read_back(&r, &a);
    for (unsigned i = 0; i < COUNT; i += 1000) {
        (void)snprintf(address, sizeof address, "somebody.%u@provider%u.example", i, i % DOMAINS);
        assert_true(str_eq_c(e.recipients[i].target.address, address));
        assert_true(
            str_ends(e.recipients[i].address, str_skip(e.recipients[i].target.next_hop, 1)));
    }
    arena_free(&a);
    recipients_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_row_for_each_place),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_nonsense_adds_nothing),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
