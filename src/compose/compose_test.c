// SPDX-License-Identifier: ISC
#include "compose/compose.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/header.h"

#define PRIVET "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82" /* Привет */
#define LETTER "\xd0\x96"                                         /* Ж */

static const char ed25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

static uint64_t fixed_now(const struct clock *c)
{
    return UINT64_C(1795770000) * US_PER_S; /* 2026-11-27 09:00 UTC */
}

static const struct clock fixed_clock = {fixed_now, fixed_now};

static struct compose_options options(void)
{
    static const struct str to[] = {{"bill@example.org", 16}};

    return (struct compose_options){
        .from = STR("Ivan <ivan@example.org>"),
        .to = to,
        .to_count = 1,
        .subject = STR("hello"),
        .text = STR("hello\n"),
        .hostname = STR("host.example.org"),
        .clock = &fixed_clock,
    };
}

static int temporary_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void read_back(int fd, struct buf *to)
{
    ssize_t n = 1;

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    while (n > 0) {
        char *room = buf_room(to, 64 * KIB);

        assert_non_null(room);
        n = read(fd, room, 64 * KIB);
        assert_true(n >= 0);
        buf_added(to, (size_t)n);
    }
}

/* The message in *to, or the error; returns the code. */
static int write_message(struct compose *c, enum compose_encoding encoding, enum body *body,
                         struct buf *to)
{
    int fd = temporary_file();
    uint64_t bytes = 0;
    struct buf error = buf_init(4 * KIB);
    int code = compose_write(c, encoding, fd, NULL, NULL, body, &bytes, &error);

    buf_reset(to);
    if (code == 0)
        read_back(fd, to);
    else
        (void)buf_add(to, buf_str(&error));
    if (code == 0)
        assert_int_equal(to->n, bytes);
    buf_free(&error);
    close(fd);
    return code;
}

static struct compose *make(const struct compose_options *o)
{
    struct buf error = buf_init(4 * KIB);
    struct compose *c = NULL;

    if (compose_new(o, &c, &error) != 0)
        fail_msg("%s", buf_c(&error));
    buf_free(&error);
    return c;
}

/* A file of the test, under a name of its own; the caller removes and frees. */
static char *make_file(const char *content, size_t n)
{
    char path[] = "/tmp/compose-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, n), n);
    close(fd);
    return mem_copy(path, strlen(path));
}

static void drop_file(char *path)
{
    unlink(path);
    free(path);
}

static void plain_text(void **state)
{
    struct compose_options o = options();
    struct buf b = buf_init(MIB);
    enum body body;
    struct compose *c = make(&o);
    struct header_field f;

    setenv("TZ", "UTC-3", 1);
    assert_int_equal(write_message(c, COMPOSE_7BIT, &body, &b), 0);
    assert_int_equal(body, BODY_7BIT);
    assert_true(str_starts(buf_str(&b), STR("Date: Fri, 27 Nov 2026 ")));
    assert_true(header_find(buf_str(&b), "From", &f));
    assert_true(str_eq_c(f.body, " Ivan <ivan@example.org>"));
    assert_true(str_ends(buf_str(&b), STR("MIME-Version: 1.0\r\n"
                                          "Content-Type: text/plain; charset=us-ascii\r\n"
                                          "Content-Transfer-Encoding: 7bit\r\n"
                                          "\r\n"
                                          "hello\r\n")));
    compose_free(&c);
    assert_null(c);
    compose_free(&c);
    buf_free(&b);
}

/* What the server takes is known only later: the same message in each way, twice. */
static void written_again(void **state)
{
    static const struct {
        enum compose_encoding encoding;
        const char *end;
        enum body body;
    } ways[] = {
        {COMPOSE_7BIT, "base64\r\n\r\n0J/RgNC40LLQtdGCDQo=\r\n", BODY_7BIT},
        {COMPOSE_8BIT, "8bit\r\n\r\n" PRIVET "\r\n", BODY_8BIT},
        {COMPOSE_BINARY, "8bit\r\n\r\n" PRIVET "\r\n", BODY_8BIT},
        {COMPOSE_7BIT, "base64\r\n\r\n0J/RgNC40LLQtdGCDQo=\r\n", BODY_7BIT},
    };
    struct compose_options o = options();
    struct buf b = buf_init(MIB);
    enum body body;

    o.text = STR(PRIVET);
    struct compose *c = make(&o);
    for (size_t i = 0; i < countof(ways); i++) {
        assert_int_equal(write_message(c, ways[i].encoding, &body, &b), 0);
        assert_int_equal(body, ways[i].body);
        assert_true(str_ends(buf_str(&b), str_c(ways[i].end)));
    }
    compose_free(&c);
    buf_free(&b);
}

/* RFC 2045 6.4: what is around says at least what is inside. */
static void multiparts_say_what_is_in_them(void **state)
{
    char *path = make_file("\0\r\n\xff", 4);
    struct compose_part part = {.path = path, .name = "x"};
    struct compose_options o = options();
    struct buf b = buf_init(MIB);
    enum body body;
    struct header_field f;

    o.text = STR(PRIVET);
    o.html = STR("<p>x");
    o.attachments = &part;
    o.attachment_count = 1;
    struct compose *c = make(&o);
    assert_int_equal(write_message(c, COMPOSE_8BIT, &body, &b), 0);
    assert_int_equal(body, BODY_8BIT);
    assert_true(header_find(buf_str(&b), "Content-Transfer-Encoding", &f));
    assert_true(str_eq_c(str_trim(f.body), "8bit"));
    assert_int_equal(write_message(c, COMPOSE_BINARY, &body, &b), 0);
    assert_int_equal(body, BODY_BINARY);
    assert_true(header_find(buf_str(&b), "Content-Transfer-Encoding", &f));
    assert_true(str_eq_c(str_trim(f.body), "binary"));
    assert_true(str_find_str(buf_str(&b), str_n("\r\n\r\n\0\r\n\xff\r\n--", 12)) < b.n);
    assert_int_equal(write_message(c, COMPOSE_7BIT, &body, &b), 0);
    assert_int_equal(body, BODY_7BIT);
    assert_false(header_find(buf_str(&b), "Content-Transfer-Encoding", &f));
    compose_free(&c);
    buf_free(&b);
    drop_file(path);
}

static void a_file_that_changes(void **state)
{
    char *path = make_file("before", 6);
    struct compose_part part = {.path = path};
    struct compose_options o = options();
    struct buf b = buf_init(MIB);
    enum body body = BODY_COUNT;

    o.attachments = &part;
    o.attachment_count = 1;
    struct compose *c = make(&o);
    assert_int_equal(write_message(c, COMPOSE_7BIT, &body, &b), 0);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "!", 1), 1);
    close(fd);
    assert_int_equal(write_message(c, COMPOSE_7BIT, &body, &b), EX_NOINPUT);
    assert_non_null(strstr(buf_c(&b), path));
    assert_non_null(strstr(buf_c(&b), "changed"));
    unlink(path);
    assert_int_equal(write_message(c, COMPOSE_BINARY, &body, &b), EX_NOINPUT);
    assert_non_null(strstr(buf_c(&b), "No such file"));
    compose_free(&c);
    buf_free(&b);
    drop_file(path);
}

static void a_pipe_takes_it_signed(void **state)
{
    struct compose_options o = options();
    struct dkim_signer *signer = NULL;
    struct buf error = buf_init(KIB), text = buf_init(64 * KIB);
    uint64_t bytes = 0;
    enum body body;
    int ends[2];
    char *path = make_file("x", 1);
    struct compose_part part = {.path = path};

    assert_int_equal(
        dkim_signer_new(str_c(ed25519_pem), STR("example.org"), STR("s"), &signer, &error), 0);
    o.text = STR(PRIVET);
    o.dkim = signer;
    o.attachments = &part;
    o.attachment_count = 1;
    struct compose *c = make(&o);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(compose_write(c, COMPOSE_BINARY, ends[1], NULL, NULL, &body, &bytes, &error),
                     0);
    close(ends[1]);
    assert_int_equal(body, BODY_7BIT);
    char *room = buf_room(&text, 32 * KIB);
    buf_added(&text, (size_t)read(ends[0], room, 32 * KIB));
    assert_int_equal(text.n, bytes);
    assert_true(str_starts(buf_str(&text), STR("DKIM-Signature: v=1; a=ed25519-sha256;")));
    close(ends[0]);
    compose_free(&c);
    dkim_signer_free(&signer);
    buf_free(&error);
    buf_free(&text);
    drop_file(path);
}

static bool stop_at_once(void *arg, uint64_t done, uint64_t all)
{
    *(int *)arg += 1;
    return false;
}

static void progress_may_give_up(void **state)
{
    struct buf content = buf_init(4 * MIB), error = buf_init(KIB);
    int calls = 0;
    uint64_t bytes = 7;
    enum body body = BODY_COUNT;

    memset(buf_room(&content, 3 * MIB), 'x', 3 * MIB);
    buf_added(&content, 3 * MIB);
    char *path = make_file(content.p, content.n);
    struct compose_part part = {.path = path};
    struct compose_options o = options();
    o.attachments = &part;
    o.attachment_count = 1;
    struct compose *c = make(&o);
    int fd = temporary_file();
    assert_int_equal(
        compose_write(c, COMPOSE_7BIT, fd, stop_at_once, &calls, &body, &bytes, &error),
        EX_TEMPFAIL);
    assert_int_equal(calls, 1);
    assert_int_equal(bytes, 7); /* untouched */
    assert_int_equal(body, BODY_COUNT);
    close(fd);
    compose_free(&c);
    buf_free(&content);
    buf_free(&error);
    drop_file(path);
}

static void where_it_cannot_be_written(void **state)
{
    struct compose_options o = options();
    struct buf error = buf_init(KIB);
    uint64_t bytes;
    enum body body;
    struct compose *c = make(&o);
    int fd = open("/dev/null", O_RDONLY);

    assert_int_equal(compose_write(c, COMPOSE_7BIT, fd, NULL, NULL, &body, &bytes, &error),
                     EX_IOERR);
    assert_non_null(strstr(buf_c(&error), "Bad file descriptor"));
    close(fd);
    compose_free(&c);
    buf_free(&error);
}

static void people(void **state)
{
    static const struct str to[] = {{"a@b.example, B <c@d.example>", 28}, {"a@b.example", 11}};
    struct compose_options o = options();
    size_t count;

    o.to = to;
    o.to_count = 2;
    o.cc = to;
    o.cc_count = 1;
    struct compose *c = make(&o);
    const struct str *found = compose_recipients(c, &count);
    assert_int_equal(count, 2);
    assert_true(str_eq_c(found[0], "a@b.example") && str_eq_c(found[1], "c@d.example"));
    assert_true(str_eq_c(compose_sender(c), "ivan@example.org"));
    assert_false(compose_needs_utf8(c));
    compose_free(&c);

    o.from = STR(LETTER "@example.org");
    c = make(&o);
    assert_true(compose_needs_utf8(c));
    compose_free(&c);
}

struct wrong {
    struct compose_options o;
    int code;
    const char *why;
};

static void check_wrong(const struct wrong *w)
{
    struct buf error = buf_init(4 * KIB);
    struct compose *c = NULL;

    assert_int_equal(compose_new(&w->o, &c, &error), w->code);
    assert_null(c);
    if (!strstr(buf_c(&error), w->why))
        fail_msg("\"%s\" does not say \"%s\"", buf_c(&error), w->why);
    buf_free(&error);
}

static void wrong_options(void **state)
{
    static const struct str fields[] = {{"Bcc: a@b.example", 16}};
    static const struct compose_part missing = {.path = "/nonexistent/file"};
    struct wrong w = {.o = options(), .code = EX_DATAERR, .why = "line end"};

    w.o.subject = STR("a\r\nBcc: evil@example.org");
    check_wrong(&w);
    w = (struct wrong){.o = options(), .code = EX_USAGE, .why = "who is the message from"};
    w.o.from = STR_NONE;
    check_wrong(&w);
    w = (struct wrong){.o = options(), .code = EX_USAGE, .why = "everybody"};
    w.o.headers = fields;
    w.o.header_count = 1;
    check_wrong(&w);
    w = (struct wrong){.o = options(), .code = EX_NOINPUT, .why = "/nonexistent/file"};
    w.o.attachments = &missing;
    w.o.attachment_count = 1;
    check_wrong(&w);
    w = (struct wrong){.o = options(), .code = EX_DATAERR, .why = "\xe2\x82\xac U+20AC"};
    w.o.charset = STR("koi8-r");
    w.o.text = STR("1\n2 \xe2\x82\xac");
    check_wrong(&w);
    w = (struct wrong){.o = options(), .code = EX_USAGE, .why = "klingon"};
    w.o.charset = STR("klingon");
    check_wrong(&w);
    w = (struct wrong){.o = options(), .code = EX_DATAERR, .why = "0xC1 in line 2, column 3"};
    w.o.text = STR("1\n2 \xc1");
    check_wrong(&w);
}

static void too_large(void **state)
{
    size_t n = (size_t)COMPOSE_TEXT_BYTES_MAX + 1;
    char *text = malloc(n);
    struct wrong w = {.o = options(), .code = EX_DATAERR, .why = "over 64 MiB"};

    memset(text, 'x', n);
    w.o.text = str_n(text, n);
    check_wrong(&w);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text),
        cmocka_unit_test(written_again),
        cmocka_unit_test(multiparts_say_what_is_in_them),
        cmocka_unit_test(a_file_that_changes),
        cmocka_unit_test(a_pipe_takes_it_signed),
        cmocka_unit_test(progress_may_give_up),
        cmocka_unit_test(where_it_cannot_be_written),
        cmocka_unit_test(people),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
