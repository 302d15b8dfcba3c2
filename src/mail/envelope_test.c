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
    .body_8bit = true,
    .utf8 = UTF8_HEADER,
    .ret = RETURN_FULL,
    .envid = {"QQ 1", 4},
    .recipient_count = countof(recipients),
    .recipients = recipients,
};

static void assert_same(const struct envelope *a, const struct envelope *b)
{
    assert_true(str_eq(a->sender, b->sender) && str_eq(a->client, b->client));
    assert_int_equal(a->body_8bit, b->body_8bit);
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
        example, {.body_8bit = false}, {.recipients = recipients, .recipient_count = 1}};

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

static void refuses_lies(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {"F\1\0"
         "\0\0\0\0"
         "\0\0\0\0"
         "\0\0\0\0",
         15}, /* not ours */
        {"E\2\0"
         "\0\0\0\0"
         "\0\0\0\0"
         "\0\0\0\0",
         15}, /* a later version */
        {"E\1\2"
         "\0\0\0\0"
         "\0\0\0\0"
         "\0\0\0\0",
         15}, /* an unknown flag */
        {"E\1\0"
         "\0\0\0\0"
         "\0\0\0\0"
         "\xff\xff\xff\xff",
         15}, /* too many recipients */
        {"E\1\0"
         "\xff\xff\xff\xff"
         "\0\0\0\0"
         "\0\0\0\0",
         15}, /* too long a sender */
        {"E\1\0"
         "\0\0\0\0"
         "\0\0\0\0"
         "\1\0\0\0"
         "\0\0\0\0"
         "\3"
         "\0\0\0\0\0\0\0\0\0\0\0\0",
         32},
    };
    struct arena a = ARENA_INIT;
    struct envelope back;

    for (size_t i = 0; i < countof(cases); i++)
        assert_false(envelope_decode(str_n(cases[i].bytes, cases[i].n), &a, &back));
    assert_true(a.bytes < KIB); /* a lie about sizes costs no memory */
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
        cmocka_unit_test(goes_both_ways),
        cmocka_unit_test(refuses_what_is_short_or_long),
        cmocka_unit_test(refuses_lies),
        cmocka_unit_test(transports_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
