// SPDX-License-Identifier: ISC
#include "mail/drop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void there_and_back(void **state)
{
    const struct str to[] = {STR("bob@a.org"), STR("\"a>b\"@c.org")};
    struct drop_head h = {
        .sender = STR("al@a.org"), .body_8bit = true, .recipients = to, .recipient_count = 2};
    struct buf b = buf_init(4 * KIB);
    struct arena a = ARENA_INIT;
    struct drop_head back;

    drop_head_print(&b, &h);
    size_t bytes = b.n;
    assert_string_equal(buf_c(&b), "troika-drop 1\nfrom <al@a.org>\nbody 8bit\nto <bob@a.org>\n"
                                   "to <\"a>b\"@c.org>\n\n");
    buf_add_c(&b, "Subject: x\n\nto <no@body>\n");
    assert_null(drop_head_parse(buf_str(&b), &a, &back));
    assert_int_equal(back.bytes, bytes);
    assert_true(back.body_8bit && str_eq(back.sender, h.sender));
    assert_int_equal(back.recipient_count, 2);
    assert_true(str_eq(back.recipients[0], to[0]) && str_eq(back.recipients[1], to[1]));
    for (size_t n = 0; n < bytes; n++) /* no part of a head is one */
        assert_non_null(drop_head_parse(str_sub(buf_str(&b), 0, n), &a, &back));
    arena_free(&a);
    buf_free(&b);
}

static void wishes_there_and_back(void **state)
{
    const struct str to[] = {STR("bob@a.org")};
    struct drop_head h = {.ret = RETURN_FULL,
                          .envid = STR("QQ 1>"),
                          .notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
                          .recipients = to,
                          .recipient_count = 1};
    struct buf b = buf_init(4 * KIB);
    struct arena a = ARENA_INIT;
    struct drop_head back;

    drop_head_print(&b, &h);
    assert_string_equal(buf_c(&b), "troika-drop 1\nfrom <>\nbody 7bit\nret FULL\nenvid <QQ 1>>\n"
                                   "notify SUCCESS,DELAY\nto <bob@a.org>\n\n");
    assert_null(drop_head_parse(buf_str(&b), &a, &back));
    assert_int_equal(back.ret, h.ret);
    assert_int_equal(back.notify, h.notify);
    assert_true(str_eq(back.envid, h.envid));
    for (size_t n = 0; n < b.n; n++)
        assert_non_null(drop_head_parse(str_sub(buf_str(&b), 0, n), &a, &back));
    arena_free(&a);
    buf_free(&b);
}

static void refuses_heads(void **state)
{
    static const char *const cases[] = {
        "",
        "troika-drop 2\nfrom <>\nbody 7bit\nto <a@b>\n\n",
        "troika-drop 1\r\nfrom <>\nbody 7bit\nto <a@b>\n\n",
        "troika-drop 1\nfrom a@b\nbody 7bit\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 9bit\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nto <a@b>\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nto <a@b> \n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nto <a\r@b>\n\n",
        "troika-drop 1\nfrom <\x80>\nbody 7bit\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\ncc <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nret full\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nenvid <>\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nenvid <a\rb>\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nnotify NEVER,DELAY\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nnotify DELAY,SUCCESS\nto <a@b>\n\n",
        "troika-drop 1\nfrom <>\nbody 7bit\nnotify DELAY\nret FULL\nto <a@b>\n\n",
    };
    struct drop_head h;

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;

        assert_non_null(drop_head_parse(str_c(cases[i]), &a, &h));
        arena_free(&a);
    }
}

static void bounds_recipients(void **state)
{
    struct buf b = buf_init(MIB);
    struct arena a = ARENA_INIT;
    struct drop_head h;

    buf_add_c(&b, "troika-drop 1\nfrom <>\nbody 7bit\n");
    for (int i = 0; i < DROP_RECIPIENTS_MAX; i++)
        buf_add_c(&b, "to <a@b>\n");
    size_t n = b.n;
    buf_add_c(&b, "\n");
    assert_null(drop_head_parse(buf_str(&b), &a, &h));
    assert_int_equal(h.recipient_count, DROP_RECIPIENTS_MAX);
    buf_cut(&b, n);
    buf_add_c(&b, "to <a@b>\n\n");
    assert_non_null(drop_head_parse(buf_str(&b), &a, &h));
    arena_free(&a);
    buf_free(&b);
}

static void ends(void **state)
{
    struct drop_end e = {.message_bytes = UINT64_C(0x1234567890), .crc = 0xdeadbeef}, back;
    struct buf b = buf_init(KIB);

    drop_end_print(&b, &e);
    assert_string_equal(buf_c(&b), "\ntroika-drop end 0000001234567890 deadbeef\n");
    assert_int_equal(b.n, DROP_END_BYTES);
    assert_true(drop_end_parse(buf_str(&b), &back));
    assert_true(back.message_bytes == e.message_bytes && back.crc == e.crc);
    for (size_t i = 0; i < b.n; i++) {
        char was = b.p[i];

        b.p[i] = 'X';
        assert_false(drop_end_parse(buf_str(&b), &back));
        b.p[i] = was;
    }
    assert_false(drop_end_parse(str_skip(buf_str(&b), 1), &back));
    buf_free(&b);
}

static void names(void **state)
{
    assert_true(drop_name_valid(STR("drop-0123456789abcdefghjkmnpqrs")));
    assert_true(drop_part_name_valid(STR("part-0123456789abcdefghjkmnpqrs")));
    assert_false(drop_name_valid(STR("part-0123456789abcdefghjkmnpqrs")));
    assert_false(drop_name_valid(STR("drop-0123456789abcdefghjkmnpqr")));
    assert_false(drop_name_valid(STR("drop-0123456789abcdefghjkmnpqr/")));
    assert_false(drop_name_valid(STR("drop-0123456789ABCDEFGHJKMNPQRS")));
    assert_false(drop_name_valid(STR("..")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(wishes_there_and_back),
        cmocka_unit_test(refuses_heads),  cmocka_unit_test(bounds_recipients),
        cmocka_unit_test(ends),           cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
