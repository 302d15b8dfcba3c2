// SPDX-License-Identifier: ISC
#include <inttypes.h>
#include <sysexits.h>

#include "base/check.h"
#include "base/translate.h"
#include "compose/file.h"
#include "compose/report.h"

struct size_text {
    char p[80];
};

/* "1536 bytes (1.5 KiB)" */
static struct size_text size_print(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct size_text text;
    struct buf to = {.p = text.p, .room = sizeof text.p - 1, .bytes_max = sizeof text.p - 1};
    size_t unit = 0;
    uint64_t tenths = bytes > UINT64_MAX / 10 ? UINT64_MAX / 1024 : bytes * 10 / 1024;

    for (; tenths >= 10240 && unit + 1 < countof(units); unit++)
        tenths /= 1024;
    (void)buf_printf(&to, n_("%" PRIu64 " byte", "%" PRIu64 " bytes", (unsigned long)bytes), bytes);
    if (bytes >= 1024)
        (void)buf_printf(&to, " (%" PRIu64 ".%u %s)", tenths / 10, (unsigned)(tenths % 10),
                         units[unit]);
    (void)buf_c(&to);
    return text;
}

static void print_list(struct buf *to, const struct str *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)buf_printf(to, "%s%.*s", i > 0 ? ", " : "", STR_ARG(items[i]));
}

/* "image/png", "image/" and an asterisk, or both an asterisk. */
static bool type_matches(struct str type, struct str pattern)
{
    if (str_eq_c(pattern, "*") || str_eq_c(pattern, "*/*"))
        return true;
    if (str_ends(pattern, STR("/*")))
        return str_starts_nocase(type, str_sub(pattern, 0, pattern.n - 1));
    return str_eq_nocase(type, pattern);
}

static bool type_allowed(const struct compose_limits *l, const struct file *f)
{
    bool allowed = l->type_count == 0;

    for (size_t i = 0; i < l->type_count; i++)
        allowed |= type_matches(str_c(f->real_type), l->types[i]);
    return allowed;
}

static bool extension_allowed(const struct compose_limits *l, const struct file *f)
{
    struct str extension = file_extension(f->name);
    bool allowed = l->extension_count == 0;

    for (size_t i = 0; i < l->extension_count; i++) {
        struct str one = l->extensions[i];

        allowed |= str_eq_nocase(extension, str_skip(one, str_starts(one, STR("."))));
    }
    return allowed;
}

static int refuse_extension(const struct compose_limits *l, const struct file *f, struct buf *error)
{
    struct buf list = buf_init(2 * KIB);
    struct str extension = file_extension(f->name);

    print_list(&list, l->extensions, l->extension_count);
    if (extension.n > 0)
        report(error, 0, _("%s: files that end in .%.*s may not be attached; allowed are %s"),
               f->path, STR_ARG(extension), buf_c(&list));
    else
        report(error, 0, _("%s: files without an extension may not be attached; allowed are %s"),
               f->path, buf_c(&list));
    buf_free(&list);
    return EX_DATAERR;
}

static int refuse_type(const struct compose_limits *l, const struct file *f, struct buf *error)
{
    struct buf list = buf_init(2 * KIB);

    print_list(&list, l->types, l->type_count);
    if (f->bytes == 0)
        report(error, 0, _("%s is empty; allowed are files of the types %s"), f->path,
               buf_c(&list));
    else if (f->description)
        report(error, 0,
               _("%s may not be attached: whatever its name, it is %s (%s); allowed are files of "
                 "the types %s"),
               f->path, f->real_type, f->description, buf_c(&list));
    else
        report(error, 0,
               _("%s may not be attached: whatever its name, it is %s; allowed are files of the "
                 "types %s"),
               f->path, f->real_type, buf_c(&list));
    buf_free(&list);
    return EX_DATAERR;
}

static int check_file(const struct compose_limits *l, const struct file *f, struct buf *error)
{
    if (l->part_bytes_max > 0 && f->bytes > l->part_bytes_max)
        return report(error, EX_DATAERR, _("%s has %s; an attachment may have %s"), f->path,
                      size_print(f->bytes).p, size_print(l->part_bytes_max).p);
    if (!extension_allowed(l, f))
        return refuse_extension(l, f, error);
    return type_allowed(l, f) ? 0 : refuse_type(l, f, error);
}

int limits_check(const struct compose_limits *l, const struct file *const *files, size_t count,
                 struct buf *error)
{
    uint64_t all = 0;

    for (size_t i = 0; i < count; i++) {
        int code = check_file(l, files[i], error);

        if (code != 0)
            return code;
        all += files[i]->bytes;
        if (l->all_bytes_max > 0 && all > l->all_bytes_max)
            return report(error, EX_DATAERR,
                          _("with %s the attachments have %s; all together may have %s"),
                          files[i]->path, size_print(all).p, size_print(l->all_bytes_max).p);
    }
    return 0;
}
