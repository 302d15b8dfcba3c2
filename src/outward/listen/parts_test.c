/* listen/parts_test.c - trees of parts, whole and broken. */
// SPDX-License-Identifier: ISC
#include "outward/listen/parts.h"

#include "outward/listen/test_judge.h"

/* "multipart/mixed 0[text/plain 5][image/png base64 8 a.png]" with what was wrong behind it. */
static void look(struct str message, size_t step, struct buf *tree, struct buf *told)
{
    struct arena a = ARENA_INIT;
    struct judge j = test_judge(told);
    struct parts *p = parts_new(&a, &j);
    size_t count;

    for (size_t at = 0; at < message.n; at += step)
        parts_feed(p, str_sub(message, at, at + step));
    parts_end(p);
    const struct part *list = parts_list(p, &count);

    for (size_t i = 0; i < count; i++)
        buf_printf(tree, "%s%u %.*s %llu%s%.*s%s%.*s", i > 0 ? "; " : "", list[i].depth,
                   STR_ARG(list[i].type), (unsigned long long)list[i].bytes,
                   list[i].encoding.n > 0 ? " " : "", STR_ARG(list[i].encoding),
                   list[i].filename.n > 0 ? " " : "", STR_ARG(list[i].filename));
    parts_free(&p);
    arena_free(&a);
}

#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n"

static const struct {
    const char *message, *tree, *told;
} rows[] = {
    {"Subject: x\r\n\r\nhello\r\n", "0 text/plain 7", ""},
    {"Subject: x\r\n", "0 text/plain 0", ""},
    {"", "0 text/plain 0", ""},
    {"no header at all\r\nbody\r\n", "0 text/plain 24", "header-malformed (no header at all)"},
    {PLAIN "\r\ncaf\xc3\xa9\r\n", "0 text/plain 7", "8bit-in-7bit (text/plain)"},
    {"\r\ncaf\xc3\xa9\r\n", "0 text/plain 7",
     "8bit-in-7bit (text/plain), charset-missing (text/plain)"},
    {PLAIN "Content-Transfer-Encoding: 8BIT\r\n\r\ncaf\xc3\xa9\r\n", "0 text/plain 7 8bit", ""},
    {MIXED "\r\npreamble\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: image/png; name=a.png\r\n"
           "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n",
     "0 multipart/mixed 8; 1 text/plain 2; 1 image/png 4 base64 a.png", ""},
    {MIXED "\r\n--b\r\n" PLAIN "\r\n--b--\r\n", "0 multipart/mixed 0; 1 text/plain 0", ""},
    {MIXED "\r\n--b\r\n" PLAIN "--b--\r\n", "0 multipart/mixed 0; 1 text/plain 0", ""},
    {MIXED "\r\n--b\r\n\r\nhi\r\n", "0 multipart/mixed 0; 1 text/plain 4",
     "multipart-not-closed (b)"},
    {MIXED "\r\nnothing\r\n", "0 multipart/mixed 9",
     "multipart-empty (b), multipart-not-closed (b)"},
    {MIXED "\r\n--b--\r\n", "0 multipart/mixed 0", "multipart-empty (b)"},
    {MIXED "\r\n--bc\r\n--b\r\n\r\n--b \t\r\n\r\n-- b\r\n--b-- \r\n",
     "0 multipart/mixed 4; 1 text/plain 0; 1 text/plain 4", ""},
    {"Content-Type: multipart/mixed\r\n\r\n--b\r\n", "0 multipart/mixed 5",
     "boundary-missing (multipart/mixed)"},
    {"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
     "base64\r\n\r\n--b\r\n\r\n--b--\r\n",
     "0 multipart/mixed 0 base64; 1 text/plain 0", "encoding-of-multipart (base64)"},
    {MIXED
     "\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nt\r\n--c\r\n"
     "Content-Type: text/html; charset=x\r\n\r\nh\r\n--c--\r\n--b\r\n\r\nz\r\n--b--\r\n",
     "0 multipart/mixed 0; 1 multipart/alternative 0; 2 text/plain 1; 2 text/html 1; 1 text/plain "
     "1",
     ""},
    {MIXED
     "\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nt\r\n--b--\r\n",
     "0 multipart/mixed 0; 1 multipart/alternative 0; 2 text/plain 1", "multipart-not-closed (c)"},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: "
     "x\r\n\r\ny\r\n--b--\r\n",
     "0 multipart/digest 0; 1 message/rfc822 15", ""},
    {"Content-Transfer-Encoding: uuencode\r\n\r\nx\r\n", "0 text/plain 3 uuencode",
     "encoding-unknown (uuencode)"},
    {"Content-Type: text\r\n\r\nx\r\n", "0 text 3", "content-type-malformed (text)"},
    {"Content-Transfer-Encoding: base64\r\n\r\nA!\r\n", "0 text/plain 4 base64",
     "base64-malformed (text/plain)"},
    {"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3D=\r\nb\r\n",
     "0 text/plain 10 quoted-printable", ""},
    {"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3\r\n",
     "0 text/plain 5 quoted-printable", "quoted-printable-malformed (text/plain)"},
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct str message = str_c(rows[i].message);

        for (size_t step = 1; step <= message.n + 1; step++) {
            struct buf tree = buf_init(4096), told = buf_init(4096);

            look(message, step, &tree, &told);
            if (strcmp(buf_c(&tree), rows[i].tree) != 0 || strcmp(buf_c(&told), rows[i].told) != 0)
                print_error("row %zu, step %zu\n", i, step);
            assert_string_equal(buf_c(&tree), rows[i].tree);
            assert_string_equal(buf_c(&told), rows[i].told);
            buf_free(&tree);
            buf_free(&told);
        }
    }
}

/* As deep as one likes, and as many: neither memory nor depth follows. */
static void test_bounds(void **state)
{
    struct buf message = buf_init(MIB), tree = buf_init(MIB), told = buf_init(4096);

    buf_add_c(&message, MIXED "\r\n");
    for (int i = 0; i < 300; i++)
        buf_add_c(&message, "--b\r\n\r\nx\r\n");
    buf_add_c(&message, "--b--\r\n");
    look(buf_str(&message), 1000, &tree, &told);
    assert_string_equal(buf_c(&told), "parts-many");
    buf_reset(&message);
    buf_reset(&told);
    for (int i = 0; i < 50; i++)
        buf_printf(&message, "Content-Type: multipart/mixed; boundary=b%02d\r\n\r\n--b%02d\r\n", i,
                   i);
    look(buf_str(&message), 1000, &tree, &told);
    assert_true(str_starts(buf_str(&told), STR("parts-many")));
    buf_free(&message);
    buf_free(&tree);
    buf_free(&told);
}

static void test_a_long_header_is_cut(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf told = buf_init(4096);
    struct judge j = test_judge(&told);
    struct parts *p = parts_new(&a, &j);

    for (int i = 0; i < 10000; i++)
        parts_feed(p, STR("X-Field: some text\r\n"));
    parts_feed(p, STR("\r\nbody\r\n"));
    assert_true(parts_header_over(p) && parts_header_cut(p));
    assert_true(parts_header(p).n <= PART_HEADER_BYTES_MAX);
    parts_end(p);
    parts_free(&p);
    arena_free(&a);
    buf_free(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_long_header_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
