// SPDX-License-Identifier: ISC
#include "base/log.h"

#include "base/check.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PLAIN = 0, WANTS_QUOTES = 1, WANTS_ESCAPE = 2 };

/* What a byte does to the value it stands in. Without branches: this runs over every value. */
static unsigned byte_class(char c)
{
    unsigned foreign = (uint8_t)(c - ' ') > '~' - ' '; /* not printable ASCII */
    unsigned mark = (c == '"') | (c == '\\');
    unsigned blank = (c == ' ') | (c == '=');

    return (foreign | mark) * WANTS_ESCAPE | blank * WANTS_QUOTES;
}

static unsigned value_class(struct str value)
{
    unsigned all = PLAIN;

    for (size_t i = 0; i < value.n; i++)
        all |= byte_class(value.p[i]);
    return all;
}

static void add_escaped(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    char *to = buf_room(b, s.n * 4);
    size_t n = 0;

    if (!to)
        return;
    for (size_t i = 0; i < s.n; i++) {
        if (byte_class(s.p[i]) & WANTS_ESCAPE) {
            memcpy(to + n, "\\x", 2);
            to[n + 2] = hex[(uint8_t)s.p[i] >> 4];
            to[n + 3] = hex[s.p[i] & 15];
            n += 4;
        } else {
            to[n++] = s.p[i];
        }
    }
    buf_added(b, n);
}

/* before and after are ours ("<" and ">", or nothing) and need no escaping. */
static void add_value(struct buf *b, const char *before, struct str value, const char *after)
{
    bool cut = value.n > LINE_VALUE_BYTES_MAX;

    value = str_sub(value, 0, LINE_VALUE_BYTES_MAX);
    unsigned class = value_class(value);
    bool quoted = class & WANTS_QUOTES || (value.n == 0 && !*before);

    (void)buf_add_c(b, quoted ? "\"" : "");
    (void)buf_add_c(b, before);
    if (class & WANTS_ESCAPE)
        add_escaped(b, value);
    else
        (void)buf_add(b, value);
    if (cut)
        (void)buf_add(b, STR("\\xe2\\x80\\xa6"));
    (void)buf_add_c(b, after);
    (void)buf_add_c(b, quoted ? "\"" : "");
}

static char *put(char *to, struct str s)
{
    return mempcpy(to, s.p, s.n);
}

static void begin_pair(struct buf *b, const char *key)
{
    if (b->n)
        (void)buf_add_char(b, ' ');
    (void)buf_add_c(b, key);
    (void)buf_add_char(b, '=');
}

/* Nearly all pairs, in one piece: the value stands there as it is. */
static void add_plain_pair(struct buf *b, struct str key, struct str before, struct str value,
                           struct str after)
{
    char *to = buf_room(b, (b->n > 0) + key.n + 1 + before.n + value.n + after.n);
    char *end = to;

    if (!to)
        return;
    if (b->n)
        *end++ = ' ';
    end = put(end, key);
    *end++ = '=';
    end = put(put(put(end, before), value), after);
    buf_added(b, (size_t)(end - to));
}

/* A pair that does not fit leaves nothing behind: half of one would be read back as another. */
static void add_pair(struct buf *b, const char *key, const char *before, struct str value,
                     const char *after)
{
    size_t start = b->n;

    if (value.n > 0 && value.n <= LINE_VALUE_BYTES_MAX && value_class(value) == PLAIN) {
        add_plain_pair(b, str_c(key), str_c(before), value, str_c(after));
    } else {
        begin_pair(b, key);
        add_value(b, before, value, after);
    }
    if (b->full)
        buf_cut(b, start);
}

void line_value(struct buf *b, struct str value)
{
    add_value(b, "", value, "");
}

void line_str(struct buf *b, const char *key, struct str value)
{
    add_pair(b, key, "", value, "");
}

void line_c(struct buf *b, const char *key, const char *value)
{
    add_pair(b, key, "", str_c(value), "");
}

void line_address(struct buf *b, const char *key, struct str address)
{
    add_pair(b, key, "<", address, ">");
}

void line_u64(struct buf *b, const char *key, uint64_t value)
{
    size_t start = b->n;

    begin_pair(b, key);
    (void)buf_add_u64(b, value);
    if (b->full)
        buf_cut(b, start);
}

static bool hex_digit(char c, unsigned *ret)
{
    c = char_lower(c);
    if (char_is_digit(c))
        *ret = (unsigned)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *ret = (unsigned)(c - 'a' + 10);
    else
        return false;
    return true;
}

static bool unescape(struct str s, struct buf *to)
{
    while (s.n > 0) {
        size_t plain = str_find(s, '\\');
        unsigned high;
        unsigned low;

        if (!buf_add(to, str_sub(s, 0, plain)))
            return false;
        s = str_skip(s, plain);
        if (s.n == 0)
            break;
        if (s.n < 4 || s.p[1] != 'x' || !hex_digit(s.p[2], &high) || !hex_digit(s.p[3], &low))
            return false;
        if (!buf_add_char(to, (char)(uint8_t)(high << 4 | low)))
            return false;
        s = str_skip(s, 4);
    }
    return true;
}

/* Cuts a pair off, its value without quotes but still escaped. */
static bool cut_pair(struct str *rest, struct str *key, struct str *raw)
{
    struct str line = *rest;

    while (line.n > 0 && line.p[0] == ' ')
        line = str_skip(line, 1);
    size_t equals = str_find(line, '=');
    if (equals == 0 || equals == line.n || str_find(str_sub(line, 0, equals), ' ') != equals)
        return false;
    *key = str_sub(line, 0, equals);
    line = str_skip(line, equals + 1);

    bool quoted = line.n > 0 && line.p[0] == '"';
    if (quoted)
        line = str_skip(line, 1);
    size_t end = str_find(line, quoted ? '"' : ' ');
    if (quoted && end == line.n)
        return false;
    *raw = str_sub(line, 0, end);
    line = str_skip(line, end + quoted);
    if (line.n > 0 && line.p[0] != ' ')
        return false;
    *rest = line;
    return true;
}

bool line_next(struct str *rest, struct str *key, struct str *value, struct buf *scratch)
{
    struct str raw;

    buf_reset(scratch);
    if (!cut_pair(rest, key, &raw) || !unescape(raw, scratch))
        return false;
    *value = buf_str(scratch);
    return true;
}

bool line_get(struct str line, const char *key, struct str *value, struct buf *scratch)
{
    struct str wanted = str_c(key);
    struct str found;
    struct str raw;

    while (cut_pair(&line, &found, &raw)) {
        if (!str_eq(found, wanted))
            continue;
        buf_reset(scratch);
        if (!unescape(raw, scratch))
            return false;
        *value = buf_str(scratch);
        return true;
    }
    return false;
}

/* The place of a key, looked for from a place on; count: nowhere. */
static size_t key_find(const char *const *keys, size_t count, size_t from, struct str key)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_c(key, keys[(from + i) % count]))
            return (from + i) % count;
    return count;
}

void line_pick(struct str line, const char *const *keys, size_t count, struct str *values,
               struct buf *scratch)
{
    struct str key, raw;
    size_t left = count, at = 0;

    for (size_t i = 0; i < count; i++)
        values[i] = STR_NONE;
    buf_reset(scratch);
    if (!buf_room(scratch, line.n)) /* no value is longer unescaped: what points there stays */
        line = STR_NONE;
    while (left > 0 && cut_pair(&line, &key, &raw)) {
        size_t i = key_find(keys, count, at, key), begin = scratch->n;

        if (i == count || values[i].p)
            continue;
        if (!unescape(raw, scratch))
            buf_cut(scratch, begin);
        values[i] = str_n(scratch->p + begin, scratch->n - begin);
        left--;
        at = i + 1;
    }
    for (size_t i = 0; i < count && left > 0; i++)
        if (!values[i].p)
            values[i] = STR("");
}

static const struct {
    const char *name;
    int syslog_severity;
} levels[] = {
    [LEVEL_DEBUG] = {"debug", 7},
    [LEVEL_INFO] = {"info", 6},
    [LEVEL_WARNING] = {"warning", 4},
    [LEVEL_ERROR] = {"error", 3},
};

/* The process has one log. */
static struct {
    int fd;
    enum log_form form;
    enum log_level least;
    bool is_socket, is_pipe;
    char role[32];
} out = {.fd = STDERR_FILENO, .least = LEVEL_INFO, .is_pipe = true};

void log_open(int fd, enum log_form form, enum log_level least, const char *role)
{
    struct stat st = {0};

    (void)fstat(fd, &st); /* if it fails the lines are lost, as they would be anyway */
    out.fd = fd;
    out.form = form;
    out.least = least;
    out.is_socket = S_ISSOCK(st.st_mode);
    out.is_pipe = S_ISFIFO(st.st_mode);
    (void)snprintf(out.role, sizeof(out.role), "%s", role);
}

/* What the reader of the log adds by itself is not said again: the journal and syslog have their
 * own time. */
static void add_head(struct buf *head, enum log_level level)
{
    if (out.form == LOG_FORM_PLAIN) {
        (void)buf_add(head, STR("time="));
        time_print(head, clock_now_us(&clock_system));
        (void)buf_add_char(head, ' ');
    } else if (out.form == LOG_FORM_JOURNAL) {
        (void)buf_printf(head, "<%d>", levels[level].syslog_severity);
    } else {
        const int mail_facility = 2 << 3; /* RFC 3164 4.1.1 */
        (void)buf_printf(head, "<%d>troika[%d]: ", mail_facility | levels[level].syslog_severity,
                         (int)getpid());
    }
    (void)buf_printf(head, "level=%s", levels[level].name);
    if (out.role[0])
        (void)buf_printf(head, " role=%s", out.role);
    (void)buf_add_char(head, ' ');
}

/* One write for one line, so that lines of several processes do not mix. */
static void write_line(struct iovec *parts, size_t count)
{
    if (out.is_socket) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        (void)sendmsg(out.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); /* may be lost */
        return;
    }
    /* The other end of a pipe may have stopped reading: wait a little, then lose the line. */
    struct pollfd ready = {.fd = out.fd, .events = POLLOUT};
    if (out.is_pipe && (poll(&ready, 1, 20) != 1 || !(ready.revents & POLLOUT)))
        return;
    (void)!writev(out.fd, parts, (int)count);
}

static const struct iovec newline = {.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1};

void log_line(enum log_level level, struct str line)
{
    char memory[160]; /* enough for every head: nothing is allocated, also out of memory */
    struct buf head = {.p = memory, .room = sizeof(memory) - 1, .bytes_max = sizeof(memory) - 1};

    if (level < out.least)
        return;
    add_head(&head, level);
    line = str_sub(line, 0, LINE_BYTES_MAX);
    struct iovec parts[] = {
        {.iov_base = memory, .iov_len = head.n},
        {.iov_base = (void *)(uintptr_t)line.p, .iov_len = line.n},
        newline,
    };
    int saved = errno; /* logging must not change what the caller is about to report */
    write_line(parts, out.form == LOG_FORM_SYSLOG ? 2 : 3);
    errno = saved;
}

void log_event(enum log_level level, const char *event, ...)
{
    struct buf line = buf_init(LINE_BYTES_MAX);
    va_list args;

    if (level < out.least)
        return;
    line_c(&line, "event", event);
    va_start(args, event);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *))
        line_c(&line, key, va_arg(args, const char *));
    va_end(args);
    log_line(level, buf_str(&line));
    buf_free(&line);
}
