// SPDX-License-Identifier: ISC
#include "mail/envelope.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct recipient recipients[] = {
    {.address = {"a@b", 3},
     .notify = {NOTIFY_SUCCESS | NOTIFY_DELAY, {"rfc822;x@y", 10}},
     .target = {TRANSPORT_LOCAL, {"b/a", 3}, {"a@b", 3}, {"troika.conf:1 domain b", 22}}},
    {.address = {"c@d", 3}, .target = {TRANSPORT_RELAY, {"[::1]:25", 8}, {"e@d", 3}, {"", 0}}},
};
static const struct envelope example = {
    .sender = {"s@t", 3},
    .client = {"client=[192.0.2.1] helo=x", 25},
    .body = BODY_BINARY,
    .utf8 = UTF8_HEADER,
    .ret = RETURN_FULL,
    .envid = {"QQ 1", 4},
    .recipient_count = countof(recipients),
    .recipients = recipients,
};

static void assert_same(const struct envelope *a, const struct envelope *b)
{
    assert_true(str_eq(a->sender, b->sender) && str_eq(a->client, b->client));
    assert_int_equal(a->body, b->body);
    assert_int_equal(a->utf8, b->utf8);
    assert_int_equal(a->ret, b->ret);
    assert_true(str_eq(a->envid, b->envid));
    assert_int_equal(a->recipient_count, b->recipient_count);
    for (size_t i = 0; i < a->recipient_count; i++) {
        const struct recipient *x = &a->recipients[i];
        const struct recipient *y = &b->recipients[i];
        assert_true(str_eq(x->address, y->address));
        assert_int_equal(x->notify.when, y->notify.when);
        assert_true(str_eq(x->notify.orcpt, y->notify.orcpt));
        assert_int_equal(x->target.transport, y->target.transport);
        assert_true(str_eq(x->target.next_hop, y->target.next_hop));
        assert_true(str_eq(x->target.address, y->target.address));
        assert_true(str_eq(x->target.why, y->target.why));
    }
}

static void goes_both_ways(void **state)
{
    const struct envelope cases[] = {
        example, {.body = BODY_8BIT}, {.recipients = recipients, .recipient_count = 1}};

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(4096);
        struct arena a = ARENA_INIT;
        struct envelope back;
        envelope_encode(&b, &cases[i]);
        assert_true(envelope_decode(buf_str(&b), &a, &back));
        buf_free(&b); /* nothing may point into it */
        assert_same(&cases[i], &back);
        arena_free(&a);
    }
}

static void refuses_what_is_short_or_long(void **state)
{
    struct buf b = buf_init(4096);
    struct arena a = ARENA_INIT;
    struct envelope back = {.recipient_count = 42};

    envelope_encode(&b, &example);
    for (size_t n = 0; n < b.n; n++)
        assert_false(envelope_decode(str_n(b.p, n), &a, &back));
    (void)buf_add_char(&b, 'x');
    assert_false(envelope_decode(buf_str(&b), &a, &back));
    assert_int_equal(back.recipient_count, 42);
    buf_free(&b);
    arena_free(&a);
}

/* What is as in the row before is said by a bit, and is in memory once. */
static void says_nothing_twice(void **state)
{
    struct recipient list[] = {recipients[0], recipients[0], recipients[0], recipients[1]};
    struct envelope many = {.recipients = list, .recipient_count = countof(list)};
    struct buf one = buf_init(4096);
    struct buf b = buf_init(4096);
    struct arena a = ARENA_INIT;
    struct envelope back;

    list[2].target.next_hop = STR("b/c"); /* elsewhere for the same reason */
    recipient_encode(&one, &list[0].target, &list[1]);
    assert_int_equal(one.n, 1 + 4 + 3 + 1 + 4 + 10); /* flags, address, when, ORCPT */
    envelope_encode(&b, &many);
    assert_true(envelope_decode(buf_str(&b), &a, &back));
    assert_same(&many, &back);
    assert_ptr_equal(back.recipients[1].target.next_hop.p, back.recipients[0].target.next_hop.p);
    assert_ptr_equal(back.recipients[2].target.why.p, back.recipients[0].target.why.p);
    assert_true(str_eq_c(recipient_first(buf_str(&one)), "a@b"));
    assert_int_equal(recipient_first(STR_NONE).n, 0);
    buf_free(&one);
    buf_free(&b);
    arena_free(&a);
}

static void refuses_lies(void **state)
{
    enum { VERSION_AT = 1, COUNT_AT = 4 + 3 * 4, FLAGS_AT = COUNT_AT + 4 };
    static const struct {
        size_t at;
        const char *bytes;
    } cases[] = {
        {0, "F"},                   /* not ours */
        {VERSION_AT, "\xff"},       /* a later version */
        {2, "\x03"},                /* an unknown body */
        {2, "\x20"},                /* likewise */
        {2, "\xc0"},                /* an unknown need of UTF-8 */
        {3, "\x80"},                /* an unknown RET */
        {COUNT_AT, "\xff\xff\xff"}, /* too many recipients */
        {8, "\xff\xff\xff"},        /* too long a sender */
        {FLAGS_AT, "\x80"},         /* an unknown flag of a recipient */
        {FLAGS_AT, "\3"},           /* where the one before goes, and there is none */
        {FLAGS_AT, "\5"},           /* why the one before goes there, likewise */
        {FLAGS_AT + 1, "\xff\xff"}, /* too long an address */
        {FLAGS_AT + 8, "\x80"},     /* an unknown wish */
        {FLAGS_AT + 13, "\x7f"},    /* an unknown transport */
    };
    struct recipient plain = {
        .address = STR("a@b"),
        .target = {TRANSPORT_LOCAL, STR("b/a"), STR("a@b"), STR("troika.conf:1")}};
    struct envelope e = {.recipients = &plain, .recipient_count = 1};
    struct arena a = ARENA_INIT;
    struct envelope back;

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(4096);
        envelope_encode(&b, &e);
        memcpy(b.p + cases[i].at, cases[i].bytes, strlen(cases[i].bytes));
        assert_false(envelope_decode(buf_str(&b), &a, &back));
        buf_free(&b);
    }
    assert_true(a.bytes < 4 * KIB); /* a lie about sizes costs no memory */
    arena_free(&a);
}

static void transports_have_names(void **state)
{
    assert_string_equal(transport_name(TRANSPORT_LOCAL), "local");
    assert_string_equal(transport_name(TRANSPORT_RELAY), "relay");
    assert_string_equal(transport_name(TRANSPORT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_both_ways),        cmocka_unit_test(refuses_what_is_short_or_long),
        cmocka_unit_test(says_nothing_twice),    cmocka_unit_test(refuses_lies),
        cmocka_unit_test(transports_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
