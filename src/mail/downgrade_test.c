// SPDX-License-Identifier: ISC
#include "mail/downgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

enum { OUT_BYTES_MAX = 4 * DOWNGRADE_HEADER_BYTES_MAX };

static bool convert(struct str in, size_t step, struct buf *to)
{
    struct downgrade *d = downgrade_new();
    bool good = true;

    for (size_t at = 0; at < in.n && good; at += step)
        good = downgrade_feed(d, str_sub(in, at, at + step), to);
    good = good && downgrade_end(d, to);
    downgrade_free(&d);
    assert_null(d);
    return good;
}

#define BINARY "Content-Transfer-Encoding: binary\r\n"
#define BASE64 "Content-Transfer-Encoding: base64\r\n"
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n"

static const struct {
    const char *in;
    size_t n;        /* 0: up to its NUL */
    const char *out; /* NULL: refused */
} rows[] = {
    {"", 0, ""},
    {"Subject: x\r\n\r\ntext\r\n", 0, "Subject: x\r\n\r\ntext\r\n"},
    {"Subject: x\r\n\r\n--b\r\n\r\n", 0, "Subject: x\r\n\r\n--b\r\n\r\n"},
    {"Subject: x", 0, "Subject: x\r\n"},
    {BINARY "\r\na\0b\n\r", sizeof BINARY + 6, BASE64 "\r\nYQBiCg0=\r\n"},
    {BINARY "\r\n\r\n--\r\n", 0, BASE64 "\r\nDQotLQ0K\r\n"},
    {BINARY "\r\n", 0, BASE64 "\r\n\r\n"},
    {"content-transfer-encoding:\r\n Binary\r\nX: y\r\n\r\na", 0, BASE64 "X: y\r\n\r\nYQ==\r\n"},
    {BINARY "\r\n0123456789012345678901234567890123456789012345678901234567890", 0,
     BASE64 "\r\nMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\r\n"
            "Nzg5MA==\r\n"},
    {MIXED BINARY "\r\npre\r\n--b\r\n" BINARY "\r\n\n\r\n--b \r\n\r\ntext\r\n--b--\r\nepilogue", 0,
     MIXED "Content-Transfer-Encoding: 8bit\r\n\r\npre\r\n--b\r\n" BASE64
           "\r\nCg==\r\n--b \r\n\r\ntext\r\n--b--\r\nepilogue"},
    {MIXED "\r\n--b\r\n" BINARY "\r\n--bb\r\n--b--", 0,
     MIXED "\r\n--b\r\n" BASE64 "\r\nLS1iYg==\r\n--b--\r\n"},
    {MIXED "\r\n--b\r\n" BINARY "\r\n\r\n--b--", 0, MIXED "\r\n--b\r\n" BASE64 "\r\n\r\n--b--\r\n"},
    /* the outer delimiter ends what is inside */
    {MIXED "\r\n--b\r\nContent-Type: multipart/mixed; charset=x; boundary=\"c\\d e\"\r\n\r\n"
           "--cd e\r\n" BINARY "\r\n\r\r\n--b\r\n\r\n--cd e\r\n" BINARY "\r\n",
     0,
     MIXED "\r\n--b\r\nContent-Type: multipart/mixed; charset=x; boundary=\"c\\d e\"\r\n\r\n"
           "--cd e\r\n" BASE64 "\r\nDQ==\r\n--b\r\n\r\n--cd e\r\n" BINARY "\r\n"},
    /* a message in the message is looked into; and without a word in a digest */
    {"Content-Type: message/rfc822\r\n" BINARY "\r\n" BINARY "\r\n\n", 0,
     "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" BASE64
     "\r\nCg==\r\n"},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" BINARY "\r\n\n\r\n--b--\r\n",
     0,
     "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" BASE64
     "\r\nCg==\r\n--b--\r\n"},
    /* what may not or cannot be changed */
    {"Content-Type: multipart/signed; boundary=b\r\n" BINARY "\r\n", 0, NULL},
    {"Content-Type: message/partial\r\n" BINARY "\r\n", 0, NULL},
    {"Content-Type: multipart/mixed\r\n\r\n", 0, NULL},
    {"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n", 0, NULL},
    {"Content-Type: multipart/mixed; boundary=\"a \"\r\n\r\n", 0, NULL},
    {"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n", 0, NULL},
    {"Content-Type: multipart/mixed; boundary=a (b)\r\n\r\n", 0, NULL},
    {"Content-Type: multipart/mixed; boundary=\"a\r\n\r\n", 0, NULL},
    {BINARY BINARY "\r\n", 0, NULL},
    {"Subject: x\nBcc: y\r\n\r\n", 0, NULL},
    {"Subject: x\ry\r\n\r\n", 0, NULL},
    {"Subject: x\r\n\r\na\nb\r\n", 0, NULL},
    {"Subject: x\r\n\r\na\rb\r\n", 0, NULL},
    {"Subject: x\r\n\r\na\r", 0, NULL},
    {"Subject: x\r\n\r\na\0", 16, NULL},
    {"Content-Transfer-Encoding: 8bit\r\n\r\n--\n\r\n", 0, NULL},
    {MIXED "\r\n--b\r\nContent-Type: text/plain\r\n--b--\r\n", 0, NULL},
};

static void converts(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct str in = str_n(rows[i].in, rows[i].n ? rows[i].n : strlen(rows[i].in));

        for (size_t step = 1; step <= in.n + 1; step++) {
            struct buf out = buf_init(OUT_BYTES_MAX);
            bool good = convert(in, step, &out);

            if (good != (rows[i].out != NULL) || (good && !str_eq_c(buf_str(&out), rows[i].out)))
                fail_msg("row %zu, step %zu: %d %.*s", i, step, good, STR_ARG(buf_str(&out)));
            buf_free(&out);
        }
    }
}

static void bounds(void **state)
{
    struct buf in = buf_init(MIB);
    struct buf out = buf_init(MIB);

    for (int i = 0; i < 33; i++)
        buf_printf(&in, "Content-Type: multipart/mixed; boundary=b%02d\r\n\r\n--b%02d\r\n", i, i);
    assert_false(convert(buf_str(&in), in.n, &out));
    in.n -= strlen("Content-Type: multipart/mixed; boundary=b32\r\n\r\n--b32\r\n");
    assert_true(convert(buf_str(&in), in.n, &out));
    buf_reset(&in);
    for (int i = 0; i < DOWNGRADE_HEADER_BYTES_MAX; i++)
        buf_add_char(&in, 'x');
    buf_reset(&out);
    assert_true(convert(str_sub(buf_str(&in), 0, in.n - 2), 4096, &out));
    assert_false(convert(buf_str(&in), 4096, &out));
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(converts), cmocka_unit_test(bounds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
