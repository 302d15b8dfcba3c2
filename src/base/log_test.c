// SPDX-License-Identifier: ISC
#include "base/log.h"

#include "base/check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void escapes_values(void **state)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        {"plain/1.2@x", "plain/1.2@x"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"a\nb", "a\\x0ab"},
        {"\"", "\\x22"},
        {"\\", "\\x5c"},
        {"\x7f\x80\xff", "\\x7f\\x80\\xff"},
        {"\t x", "\"\\x09 x\""},
        {"~!", "~!"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(256);
        line_value(&b, str_c(cases[i].value));
        assert_string_equal(buf_c(&b), cases[i].text);
        buf_free(&b);
    }
}

static void builds_lines(void **state)
{
    struct buf b = buf_init(LINE_BYTES_MAX);

    line_c(&b, "event", "accepted");
    line_address(&b, "from", STR("a@b.org"));
    line_address(&b, "to", STR(""));
    line_address(&b, "odd", STR("a b@c"));
    line_u64(&b, "size", 5120);
    line_c(&b, "none", NULL);
    assert_string_equal(buf_c(&b),
                        "event=accepted from=<a@b.org> to=<> odd=\"<a b@c>\" size=5120 none=\"\"");
    buf_free(&b);
}

static void long_values_end_in_dots(void **state)
{
    char value[LINE_VALUE_BYTES_MAX + 1];
    struct buf b = buf_init(LINE_BYTES_MAX);

    memset(value, 'a', sizeof(value));
    line_value(&b, str_n(value, LINE_VALUE_BYTES_MAX));
    assert_int_equal(b.n, LINE_VALUE_BYTES_MAX);
    buf_reset(&b);
    line_value(&b, str_n(value, sizeof(value)));
    assert_int_equal(b.n, LINE_VALUE_BYTES_MAX + 12);
    assert_true(str_ends(buf_str(&b), STR("a\\xe2\\x80\\xa6")));
    buf_free(&b);
}

static void a_pair_fits_whole_or_not_at_all(void **state)
{
    struct buf b = buf_init(12);

    line_c(&b, "a", "12");
    line_c(&b, "b", "12345678");
    line_u64(&b, "c", 1);
    assert_string_equal(buf_c(&b), "a=12");
    assert_true(b.full);
    buf_free(&b);
}

/* Whatever is put in comes out again. */
static void reads_back_all_bytes(void **state)
{
    char value[256];
    struct buf b = buf_init(LINE_BYTES_MAX);
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str key;
    struct str found;

    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)i;
    line_str(&b, "k1", str_n(value, sizeof(value)));
    line_str(&b, "k2", STR(""));
    struct str rest = buf_str(&b);
    assert_int_equal(str_find(rest, '\n'), rest.n);
    assert_true(line_next(&rest, &key, &found, &scratch));
    assert_true(str_eq_c(key, "k1") && str_eq(found, str_n(value, sizeof(value))));
    assert_true(line_next(&rest, &key, &found, &scratch));
    assert_true(str_eq_c(key, "k2") && found.n == 0);
    assert_false(line_next(&rest, &key, &found, &scratch));
    buf_free(&scratch);
    buf_free(&b);
}

static void gets_one_key(void **state)
{
    struct str line = STR("event=x msg=\"a=b msg=c\" msg2=2 to=<a\\x20b>");
    struct buf scratch = buf_init(64);
    struct str value;

    assert_true(line_get(line, "msg", &value, &scratch));
    assert_true(str_eq_c(value, "a=b msg=c"));
    assert_true(line_get(line, "msg2", &value, &scratch));
    assert_true(str_eq_c(value, "2"));
    assert_true(line_get(line, "to", &value, &scratch));
    assert_true(str_eq_c(value, "<a b>"));
    assert_false(line_get(line, "ms", &value, &scratch));
    assert_false(line_get(STR(""), "ms", &value, &scratch));
    buf_free(&scratch);
}

static void picks_keys(void **state)
{
    static const char *const keys[] = {"b", "a", "none", "bad", "c"};
    struct buf scratch = buf_init(64);
    struct str values[countof(keys)];

    line_pick(STR("a=\"1\\x20 2\" x=- b=<\\xff> b=again c=3 bad=1\\x c=\"\" d"), keys,
              countof(keys), values, &scratch);
    assert_true(str_eq_c(values[0], "<\xff>"));
    assert_true(str_eq_c(values[1], "1  2"));
    assert_int_equal(values[2].n, 0);
    assert_int_equal(values[3].n, 0);
    assert_true(str_eq_c(values[4], "3"));
    line_pick(STR(""), keys, countof(keys), values, &scratch);
    for (size_t i = 0; i < countof(keys); i++)
        assert_true(str_eq_c(values[i], ""));
    buf_free(&scratch);
}

static void refuses_malformed_pairs(void **state)
{
    static const char *const bad[] = {
        "", "x", "=x", "a b=c", "a=\"x", "a=\"x\"y", "a=\\", "a=\\x4", "a=\\x4g", "a=\\y41",
    };

    for (size_t i = 0; i < countof(bad); i++) {
        struct buf scratch = buf_init(64);
        struct str rest = str_c(bad[i]);
        struct str key;
        struct str value;
        assert_false(line_next(&rest, &key, &value, &scratch));
        buf_free(&scratch);
    }
}

static void writes_to_its_descriptor(void **state)
{
    int pipe_fd[2];
    char got[512] = {0};

    assert_int_equal(pipe(pipe_fd), 0);
    log_open(pipe_fd[1], LOG_FORM_PLAIN, LEVEL_INFO, "queue");
    log_line(LEVEL_DEBUG, STR("event=hidden"));
    log_event(LEVEL_WARNING, "disk-full", "path", "/a b", NULL);
    assert_true(read(pipe_fd[0], got, sizeof(got) - 1) > 0);
    assert_int_equal(strncmp(got, "time=20", 7), 0);
    assert_string_equal(got + 33, "level=warning role=queue event=disk-full path=\"/a b\"\n");
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_INFO, "");
}

static void journal_and_syslog_have_their_heads(void **state)
{
    int pair[2];
    char got[512] = {0};

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    log_open(pair[0], LOG_FORM_JOURNAL, LEVEL_DEBUG, "smtpd");
    log_line(LEVEL_ERROR, STR("event=x"));
    assert_true(read(pair[1], got, sizeof(got) - 1) > 0);
    assert_string_equal(got, "<3>level=error role=smtpd event=x\n");

    memset(got, 0, sizeof(got));
    log_open(pair[0], LOG_FORM_SYSLOG, LEVEL_DEBUG, "smtpd");
    log_line(LEVEL_INFO, STR("event=x"));
    assert_true(read(pair[1], got, sizeof(got) - 1) > 0);
    assert_int_equal(strncmp(got, "<22>troika[", 11), 0);
    assert_non_null(strstr(got, "]: level=info role=smtpd event=x"));
    assert_null(strchr(got, '\n'));
    close(pair[0]);
    close(pair[1]);
    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_INFO, "");
}

/* A reader that stopped costs lines, never the program. */
static void a_full_pipe_loses_lines(void **state)
{
    int pipe_fd[2];
    char line[4000];

    memset(line, 'x', sizeof(line));
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    (void)fcntl(pipe_fd[1], F_SETPIPE_SZ, 4096);
    log_open(pipe_fd[1], LOG_FORM_PLAIN, LEVEL_INFO, "smtpd");
    for (size_t i = 0; i < 4; i++)
        log_line(LEVEL_INFO, str_n(line, sizeof(line)));
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_INFO, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_values),
        cmocka_unit_test(builds_lines),
        cmocka_unit_test(long_values_end_in_dots),
        cmocka_unit_test(a_pair_fits_whole_or_not_at_all),
        cmocka_unit_test(reads_back_all_bytes),
        cmocka_unit_test(gets_one_key),
        cmocka_unit_test(picks_keys),
        cmocka_unit_test(refuses_malformed_pairs),
        cmocka_unit_test(writes_to_its_descriptor),
        cmocka_unit_test(journal_and_syslog_have_their_heads),
        cmocka_unit_test(a_full_pipe_loses_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
