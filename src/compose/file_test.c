// SPDX-License-Identifier: ISC
#include "compose/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

struct fixture {
    struct inspector *inspector;
    struct arena arena;
    struct buf error;
    char path[64];
};

static void begin(struct fixture *f, const void *content, size_t n)
{
    *f = (struct fixture){.error = buf_init(4 * KIB), .path = "/tmp/compose-file-XXXXXX"};
    int fd = mkstemp(f->path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, n), n);
    close(fd);
    assert_int_equal(inspector_open(&f->inspector, &f->error), 0);
}

static void end(struct fixture *f)
{
    unlink(f->path);
    inspector_close(&f->inspector);
    assert_null(f->inspector);
    inspector_close(&f->inspector);
    arena_free(&f->arena);
    buf_free(&f->error);
}

static int inspect(struct fixture *f, const char *name, const char *type, struct file *ret)
{
    struct compose_part part = {.path = f->path, .name = name, .type = type};

    buf_reset(&f->error);
    return file_inspect(f->inspector, &part, true, &f->arena, ret, &f->error);
}

static void extensions(void **state)
{
    static const struct {
        const char *name, *want;
    } cases[] = {{"a.png", "png"}, {"a", ""}, {".profile", ""}, {"a.tar.gz", "gz"},
                 {"a.", ""},       {"", ""},  {".a.b", "b"},    {"\xd0\x96.txt", "txt"}};

    for (size_t i = 0; i < countof(cases); i++)
        assert_true(str_eq_c(file_extension(str_c(cases[i].name)), cases[i].want));
}

static void types(void **state)
{
    static const struct {
        const char *content;
        size_t n;
        const char *name, *type, *want, *real, *charset;
    } cases[] = {
        {png, sizeof png, "a.txt", NULL, "image/png", "image/png", NULL},
        {png, sizeof png, "a.png", "image/x-own", "image/x-own", "image/png", NULL},
        {"hello\n", 6, "a.txt", NULL, "text/plain", "text/plain", "us-ascii"},
        {"a,b\n1,2\n", 8, "a.CSV", NULL, "text/csv", "text/csv", "us-ascii"},
        {"\xd0\x96\n", 3, "a", NULL, "text/plain", "text/plain", "utf-8"},
        {"\xf6\xf6\xf6\n", 4, "a", NULL, "text/plain", "text/plain", NULL},
        {"", 0, "a.png", NULL, "application/octet-stream", "application/octet-stream", NULL},
        {"From: a@b\nTo: c@d\n\nx\n", 21, "m.eml", NULL, "message/rfc822", "message/rfc822", NULL},
        {"From: a@b\nTo: c@d\n\nx\n", 21, "m.txt", NULL, "text/plain", "text/plain", "us-ascii"},
        {"no header\n", 10, "m", "message/rfc822", "application/octet-stream", "text/plain", NULL},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct fixture f;
        struct file file = {0};

        begin(&f, cases[i].content, cases[i].n);
        assert_int_equal(inspect(&f, cases[i].name, cases[i].type, &file), 0);
        assert_string_equal(file.type, cases[i].want);
        assert_string_equal(file.real_type, cases[i].real);
        assert_int_equal(file.bytes, cases[i].n);
        if (cases[i].charset)
            assert_string_equal(file.charset ? file.charset : "none", cases[i].charset);
        else
            assert_null(file.charset);
        assert_int_equal(file.is_message, strcmp(file.type, "message/rfc822") == 0);
        end(&f);
    }
}

/* Longer than what is looked at for the type, with the odd byte at its end. */
static void messages_are_read_whole(void **state)
{
    static const struct {
        const char *last;
        size_t n;
        bool is_message, has_8bit;
    } cases[] = {
        {"end\r\n", 5, true, false}, {"\xd0\x96\n", 3, true, true}, {"a\0b\n", 4, false, false},
        {"a\rb\n", 4, false, false}, {"a\r", 2, false, false},      {"end", 3, true, false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf content = buf_init(MIB);
        struct fixture f;
        struct file file = {0};

        (void)buf_add(&content, STR("From: a@b\nSubject: x\n\n"));
        while (content.n < 600 * KIB)
            (void)buf_add(&content, STR("a line of it\n"));
        (void)buf_add(&content, str_n(cases[i].last, cases[i].n));
        begin(&f, content.p, content.n);
        assert_int_equal(inspect(&f, "m.eml", NULL, &file), 0);
        assert_int_equal(file.is_message, cases[i].is_message);
        assert_string_equal(file.type,
                            cases[i].is_message ? "message/rfc822" : "application/octet-stream");
        if (cases[i].is_message)
            assert_int_equal(file.has_8bit, cases[i].has_8bit);
        end(&f);
        buf_free(&content);
    }
}

static void what_is_no_file(void **state)
{
    struct fixture f;
    struct file file;

    begin(&f, "x", 1);
    assert_int_equal(inspect(&f, "a/b", NULL, &file), EX_DATAERR);
    assert_int_equal(inspect(&f, "", NULL, &file), EX_DATAERR);
    assert_int_equal(inspect(&f, "a\nb", NULL, &file), EX_DATAERR);
    assert_int_equal(inspect(&f, "\xff", NULL, &file), EX_DATAERR);
    assert_int_equal(inspect(&f, NULL, "image", &file), EX_DATAERR);
    assert_int_equal(inspect(&f, NULL, "a/b\r\nX: y", &file), EX_DATAERR);
    assert_int_equal(inspect(&f, NULL, "multipart/mixed", &file), EX_DATAERR);
    unlink(f.path);
    assert_int_equal(inspect(&f, NULL, NULL, &file), EX_NOINPUT);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    assert_int_equal(inspect(&f, NULL, NULL, &file), EX_NOINPUT); /* and does not wait */
    unlink(f.path);
    assert_int_equal(mkdir(f.path, 0700), 0);
    assert_int_equal(inspect(&f, NULL, NULL, &file), EX_NOINPUT);
    assert_non_null(strstr(buf_c(&f.error), "folder"));
    assert_int_equal(rmdir(f.path), 0);
    end(&f);
}

static void limits(void **state)
{
    static const struct str extensions[] = {{"png", 3}, {".jpg", 4}};
    static const struct str types[] = {{"image/*", 7}, {"text/plain", 10}};
    static const struct file a = {
        .path = "a.png", .name = {"a.png", 5}, .real_type = "image/png", .bytes = 1000};
    static const struct file b = {.path = "b.JPG",
                                  .name = {"b.JPG", 5},
                                  .real_type = "application/x-dosexec",
                                  .description = "PE32",
                                  .bytes = 2048};
    static const struct {
        struct compose_limits l;
        const char *why; /* NULL: both are fine */
    } cases[] = {
        {{0}, NULL},
        {{.part_bytes_max = 2048, .all_bytes_max = 3048}, NULL},
        {{.part_bytes_max = 2047}, "b.JPG has 2048 bytes (2.0 KiB); an attachment may have 2047"},
        {{.part_bytes_max = 999}, "a.png has 1000 bytes;"},
        {{.all_bytes_max = 3047}, "with b.JPG the attachments have 3048 bytes"},
        {{.extensions = extensions, .extension_count = 2}, NULL},
        {{.extensions = extensions, .extension_count = 1}, ".JPG may not be attached"},
        {{.types = types, .type_count = 2}, "it is application/x-dosexec (PE32); allowed"},
    };
    const struct file *files[] = {&a, &b};

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf error = buf_init(4 * KIB);
        int code = limits_check(&cases[i].l, files, countof(files), &error);

        assert_int_equal(code, cases[i].why ? EX_DATAERR : 0);
        if (cases[i].why && !strstr(buf_c(&error), cases[i].why))
            fail_msg("\"%s\" does not say \"%s\"", buf_c(&error), cases[i].why);
        buf_free(&error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extensions),
        cmocka_unit_test(types),
        cmocka_unit_test(messages_are_read_whole),
        cmocka_unit_test(what_is_no_file),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
