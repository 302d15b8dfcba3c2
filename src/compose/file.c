// SPDX-License-Identifier: ISC
#include "compose/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <magic.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "compose/report.h"
#include "mail/header.h"

enum {
    SEEN_BYTES = 256 * 1024, /* of a file's start, by which it is recognised */
    NAME_BYTES_MAX = 1000,
    TYPE_BYTES_MAX = 127 * 2 + 1, /* RFC 6838 4.2 */
    LINE_BYTES_MAX = 998,
};

#define UNKNOWN_TYPE "application/octet-stream"

/* Types that libmagic cannot tell from the one on the left, but a name can. */
static const struct refinement {
    const char *seen, *extension, *type;
} refinements[] = {
    {"text/plain", "csv", "text/csv"},
    {"text/plain", "css", "text/css"},
    {"text/plain", "eml", "message/rfc822"},
    {"text/plain", "htm", "text/html"},
    {"text/plain", "html", "text/html"},
    {"text/plain", "ics", "text/calendar"},
    {"text/plain", "js", "text/javascript"},
    {"text/plain", "json", "application/json"},
    {"text/plain", "md", "text/markdown"},
    {"text/plain", "vcf", "text/vcard"},
    {"text/xml", "svg", "image/svg+xml"},
    {"message/rfc822", "eml", "message/rfc822"},
    {"application/zip", "docx",
     "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"application/zip", "xlsx",
     "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"application/zip", "pptx",
     "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"application/zip", "odt", "application/vnd.oasis.opendocument.text"},
    {"application/zip", "ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"application/zip", "odp", "application/vnd.oasis.opendocument.presentation"},
    {"application/zip", "epub", "application/epub+zip"},
    {"application/CDFV2", "doc", "application/msword"},
    {"application/CDFV2", "xls", "application/vnd.ms-excel"},
    {"application/CDFV2", "ppt", "application/vnd.ms-powerpoint"},
    {"application/CDFV2", "msg", "application/vnd.ms-outlook"},
};

/* What libmagic says that is no type of mail, or more than it can know. */
static const struct {
    const char *said, *type;
} replacements[] = {
    {"inode/x-empty", UNKNOWN_TYPE},
    {"application/x-empty", UNKNOWN_TYPE},
    {"application/x-ole-storage", "application/CDFV2"},
    {"message/rfc822", "text/plain"}, /* any text that starts like a header */
    {"message/news", "text/plain"},
};

struct inspector {
    magic_t types;
    char seen[SEEN_BYTES];
};

/* ---- libmagic ---- */

static magic_t open_magic(int flags)
{
    magic_t m = magic_open(flags);

    if (m && magic_load(m, NULL) != 0) {
        magic_close(m);
        return NULL;
    }
    return m;
}

int inspector_open(struct inspector **ret, struct buf *error)
{
    struct inspector *i = mem_new(sizeof *i);

    i->types = open_magic(MAGIC_MIME_TYPE | MAGIC_ERROR);
    if (!i->types) {
        inspector_close(&i);
        return report(error, EX_OSFILE,
                      _("libmagic has no tables to recognise files by; the package libmagic-mgc "
                        "brings them"));
    }
    *ret = i;
    return 0;
}

void inspector_close(struct inspector **i)
{
    if (!*i)
        return;
    if ((*i)->types)
        magic_close((*i)->types);
    free(*i);
    *i = NULL;
}

static const char *ask(struct inspector *i, int flags, size_t bytes)
{
    magic_setflags(i->types, flags | MAGIC_ERROR);
    return magic_buffer(i->types, i->seen, bytes);
}

/* ---- types ---- */

/* RFC 2045 5.1 */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("()<>@,;:\\\"/[]?=", s.p[i]))
            return false;
    return s.n > 0;
}

static bool is_type(struct str s)
{
    struct str subtype = s, type = str_cut(&subtype, '/');

    return s.n <= TYPE_BYTES_MAX && is_token(type) && is_token(subtype);
}

struct str file_extension(struct str name)
{
    size_t dot = str_find_last(name, '.');

    return dot == 0 ? STR_NONE : str_skip(name, dot + 1); /* .profile has none */
}

static const char *type_by_name(const char *seen, struct str name)
{
    struct str extension = file_extension(name);

    for (size_t i = 0; i < countof(refinements); i++)
        if (strcmp(refinements[i].seen, seen) == 0 &&
            str_eq_nocase(extension, str_c(refinements[i].extension)))
            return refinements[i].type;
    return NULL;
}

static const char *type_of(struct inspector *i, size_t bytes, struct arena *a, struct str name)
{
    const char *said = bytes > 0 ? ask(i, MAGIC_MIME_TYPE, bytes) : NULL;
    const char *type = said && is_type(str_c(said)) ? arena_c(a, str_c(said)) : UNKNOWN_TYPE;
    const char *by_name = type_by_name(type, name);

    for (size_t k = 0; !by_name && k < countof(replacements); k++)
        if (strcmp(type, replacements[k].said) == 0) {
            type = replacements[k].type;
            by_name = type_by_name(type, name);
        }
    return by_name ? by_name : type;
}

/* Only what is certain: others guess better than we, if we say nothing. */
static const char *charset_of(struct inspector *i, size_t bytes, uint64_t all)
{
    const char *said = bytes > 0 ? ask(i, MAGIC_MIME_ENCODING, bytes) : NULL;

    if (!said || (strcmp(said, "us-ascii") != 0 && strcmp(said, "utf-8") != 0))
        return NULL;
    return strcmp(said, "us-ascii") == 0 && all == bytes ? "us-ascii" : "utf-8";
}

/* Lines of a text end in CRLF; in UTF-16 they do not (RFC 2046 4.1.1). */
static bool is_wide_text(struct inspector *i, size_t bytes)
{
    const char *said = bytes > 0 ? ask(i, MAGIC_MIME_ENCODING, bytes) : NULL;

    return said && (strncmp(said, "utf-16", 6) == 0 || strncmp(said, "utf-32", 6) == 0);
}

/* ---- messages ---- */

struct message_scan {
    size_t line_bytes;
    bool has_8bit, after_cr, bad;
};

static void scan_bytes(struct message_scan *s, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];

        s->bad |= c == '\0' || (s->after_cr && c != '\n');
        s->has_8bit |= (uint8_t)c > 0x7f;
        s->after_cr = c == '\r';
        s->line_bytes = c == '\n' ? 0 : s->line_bytes + (c != '\r');
        s->bad |= s->line_bytes > LINE_BYTES_MAX;
    }
}

/* Can it be a part as it is, and is it a message at all? */
static int scan_message(struct inspector *i, int fd, struct file *f)
{
    struct message_scan s = {0};
    struct header_field field;
    off_t at = 0;
    ssize_t n;

    while ((n = pread(fd, i->seen, sizeof i->seen, at)) > 0) {
        struct str bytes = str_n(i->seen, (size_t)n), rest = bytes;

        s.bad |= at == 0 && !header_next(&rest, &field);
        scan_bytes(&s, bytes);
        at += n;
    }
    f->is_message = !s.bad && !s.after_cr && at > 0;
    f->has_8bit = s.has_8bit;
    return n < 0 ? -errno : 0;
}

/* ---- one file ---- */

static int check_name(struct str name, const char *path, struct buf *error)
{
    bool slash = str_find(name, '/') < name.n;
    struct str rest = name;
    uint32_t c;

    while (utf8_cut(&rest, &c) && c >= ' ' && (c < 0x7f || c >= 0xa0))
        ;
    if (rest.n > 0)
        return report(error, EX_DATAERR,
                      _("%s: the name that the receiver is to see is UTF-8 without control "
                        "characters; give it another one"),
                      path);
    if (slash || name.n == 0 || name.n > NAME_BYTES_MAX)
        return report(error, EX_DATAERR,
                      _("%s: the name that the receiver is to see has 1 to %d bytes and no "
                        "slash"),
                      path, NAME_BYTES_MAX);
    return 0;
}

static int check_type(const char *type, const char *path, struct buf *error)
{
    struct str s = str_c(type);

    if (!is_type(s))
        return report(error, EX_DATAERR, _("%s: \"%s\" is no type; one looks like image/png"), path,
                      type);
    if (str_starts_nocase(s, STR("multipart/")) ||
        (str_starts_nocase(s, STR("message/")) && !str_eq_nocase(s, STR("message/rfc822"))))
        return report(error, EX_DATAERR,
                      _("%s: a file cannot be sent as %s; application/octet-stream always does"),
                      path, type);
    return 0;
}

static int open_file(const char *path, struct stat *st, int *ret, struct buf *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return report(error, EX_NOINPUT, "%s: %s", path, strerror(errno));
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
        (void)close(fd);
        return report(error, EX_NOINPUT,
                      S_ISDIR(st->st_mode)
                          ? _("%s is a folder; pack it into one file to attach it")
                          : _("%s is not a file that can be read twice; copy it into one"),
                      path);
    }
    *ret = fd;
    return 0;
}

static void take_types(struct inspector *i, size_t bytes, const struct compose_part *part,
                       bool describe, struct arena *a, struct file *f)
{
    f->real_type = type_of(i, bytes, a, f->name);
    f->type = part->type ? part->type : f->real_type;
    if (describe) {
        const char *said = bytes > 0 ? ask(i, MAGIC_NONE, bytes) : NULL;

        f->description = said ? arena_c(a, str_c(said)) : NULL;
    }
    if (!str_starts_nocase(str_c(f->type), STR("text/")))
        return;
    f->charset = charset_of(i, bytes, f->bytes);
    if (!part->type && is_wide_text(i, bytes))
        f->type = UNKNOWN_TYPE;
}

static int look_at(struct inspector *i, int fd, const struct compose_part *part, bool describe,
                   struct arena *a, struct file *f)
{
    ssize_t n = pread(fd, i->seen, sizeof i->seen, 0);

    if (n < 0)
        return -errno;
    take_types(i, (size_t)n, part, describe, a, f);
    if (!str_eq_nocase(str_c(f->type), STR("message/rfc822")))
        return 0;
    int error = scan_message(i, fd, f);

    if (!f->is_message)
        f->type = UNKNOWN_TYPE;
    return error;
}

int file_inspect(struct inspector *i, const struct compose_part *part, bool describe,
                 struct arena *a, struct file *ret, struct buf *error)
{
    struct str path = str_c(part->path);
    size_t slash = str_find_last(path, '/');
    struct file f = {
        .path = part->path,
        .name = part->name ? str_c(part->name) : str_skip(path, slash < path.n ? slash + 1 : 0),
    };
    struct stat st = {0};
    int fd = -1;
    int code = open_file(part->path, &st, &fd, error);

    if (code == 0)
        code = check_name(f.name, part->path, error);
    if (code == 0 && part->type)
        code = check_type(part->type, part->path, error);
    if (code == 0) {
        f.bytes = (uint64_t)st.st_size;
        f.device = st.st_dev;
        f.inode = st.st_ino;
        f.changed = st.st_mtim;
        int failed = look_at(i, fd, part, describe, a, &f);

        if (failed < 0)
            code = report(error, EX_NOINPUT, "%s: %s", part->path, strerror(-failed));
    }
    if (fd >= 0)
        (void)close(fd);
    if (code == 0)
        *ret = f;
    return code;
}
