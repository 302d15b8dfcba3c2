/* smtpd/drop.c - see drop.h.
 *
 *   CHECK -> GREETING -> HELLO -> RESET -> MAIL -> RECIPIENT... -> DATA -> CONTENT -> DOT -> FINISHED
 *                                   ^                                                  |
 *                                   +---- refused for good: a report to the sender ----+
 *
 * Any 4xx ends it: the file stays and is tried again. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/drop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "io/disk.h"
#include "mail/drop.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/trace.h"
#include "wire/parameter.h"
#include "wire/smtp.h"

enum {
    CHUNK_BYTES = 16 * 1024,
    CHECK_BYTES = 128 * 1024,
    QUOTED_BYTES_MAX = 32 * 1024, /* of the original's header, in a report */
    REPORT_BYTES_MAX = 2 * 1024 * 1024,
    REPORT_RECIPIENTS_MAX = 100, /* named in a report */
    WHY_BYTES_MAX = 256,
};

enum step { CHECK, GREETING, HELLO, RESET, MAIL, RECIPIENT, DATA, CONTENT, DOT, FINISHED };

struct drop {
    const struct config *config;
    uint64_t now_us;
    int fd;
    struct arena arena;
    struct buf start; /* of the file */
    struct drop_head head;
    struct drop_end end;
    uint64_t at; /* in the file, then in the message: read so far */
    uint32_t crc;

    enum step step;
    bool greeted, asked; /* the answer to this step is open */
    size_t recipient, accepted_count;
    struct dot_writer dots;
    struct reply_reader replies;

    struct dsn_recipient *failed;
    size_t failed_count;
    bool stored, reporting;
    struct buf report;
    size_t report_at;

    enum drop_verdict verdict;
    struct buf why;
};

static void finish(struct drop *d, enum drop_verdict verdict, const char *what, const char *why)
{
    d->step = FINISHED;
    d->verdict = verdict;
    buf_reset(&d->why);
    buf_printf(&d->why, "%s%s", what, why);
}

/* ---- the file ---- */

/* The disk's fault, not the file's: it is tried again. */
static const char UNREADABLE[] = "it cannot be read";

static const char *file_open(struct drop *d)
{
    struct stat st;
    char last[DROP_END_BYTES];

    if (fstat(d->fd, &st) < 0)
        return UNREADABLE;
    uint64_t size = (uint64_t)st.st_size;
    size_t n = (size_t)MIN_OF(size, (uint64_t)DROP_HEAD_BYTES_MAX);
    if (size < DROP_END_BYTES)
        return "it is not complete";
    if (disk_read_at(d->fd, last, sizeof last, size - sizeof last) < 0)
        return UNREADABLE;
    if (!drop_end_parse(str_n(last, sizeof last), &d->end))
        return "it is not complete";
    char *room = buf_room(&d->start, n);
    if (!room || disk_read_at(d->fd, room, n, 0) < 0)
        return UNREADABLE;
    buf_added(&d->start, n);
    const char *wrong = drop_head_parse(buf_str(&d->start), &d->arena, &d->head);
    if (wrong)
        return wrong;
    if (size - DROP_END_BYTES < d->head.bytes ||
        size - DROP_END_BYTES - d->head.bytes != d->end.message_bytes)
        return "its size is not what its end says";
    return NULL;
}

struct drop *drop_new(int fd, const struct config *config, uint64_t now_us)
{
    struct drop *d = mem_new(sizeof *d);

    *d = (struct drop){.fd = fd,
                       .config = config,
                       .now_us = now_us,
                       .start = buf_init(DROP_HEAD_BYTES_MAX),
                       .report = buf_init(REPORT_BYTES_MAX),
                       .why = buf_init(WHY_BYTES_MAX),
                       .verdict = DROP_LATER};
    reply_reader_init(&d->replies);
    const char *wrong = file_open(d);
    if (wrong)
        finish(d, wrong == UNREADABLE ? DROP_LATER : DROP_ASIDE, wrong, "");
    else
        d->failed = arena_alloc(&d->arena, REPORT_RECIPIENTS_MAX * sizeof *d->failed);
    return d;
}

void drop_free(struct drop **dp)
{
    struct drop *d = *dp;

    if (!d)
        return;
    (void)close(d->fd);
    reply_reader_free(&d->replies);
    buf_free(&d->start);
    buf_free(&d->report);
    buf_free(&d->why);
    arena_free(&d->arena);
    free(d);
    *dp = NULL;
}

/* The next piece of everything in front of the last line. */
static void check_more(struct drop *d)
{
    char bytes[CHECK_BYTES];
    uint64_t size = d->head.bytes + d->end.message_bytes;
    size_t n = (size_t)MIN_OF(size - d->at, (uint64_t)sizeof bytes);

    if (disk_read_at(d->fd, bytes, n, d->at) < 0) {
        finish(d, DROP_LATER, UNREADABLE, "");
        return;
    }
    d->crc = crc32c(d->crc, bytes, n);
    d->at += n;
    if (d->at < size)
        return;
    if (d->crc == d->end.crc)
        d->step = d->greeted ? HELLO : GREETING;
    else
        finish(d, DROP_ASIDE, "its checksum is wrong", "");
}

/* ---- saying ---- */

static void say_hello(struct drop *d, struct buf *to)
{
    buf_printf(to, "EHLO %.*s\r\n", STR_ARG(d->config->hostname));
}

static void say_reset(struct drop *d, struct buf *to)
{
    (void)d;
    buf_add_c(to, "RSET\r\n");
}

static bool needs_smtputf8(const struct drop *d)
{
    bool ascii = utf8_is_ascii(d->head.sender);

    for (size_t i = 0; i < d->head.recipient_count && ascii && !d->reporting; i++)
        ascii = utf8_is_ascii(d->head.recipients[i]);
    return !ascii;
}

static void say_mail(struct drop *d, struct buf *to)
{
    struct str sender = d->reporting ? STR_NONE : d->head.sender;
    bool body_8bit = d->head.body_8bit && !d->reporting;

    buf_printf(to, "MAIL FROM:<%.*s>%s%s", STR_ARG(sender), body_8bit ? " BODY=8BITMIME" : "",
               needs_smtputf8(d) ? " SMTPUTF8" : "");
    if (!d->reporting)
        mail_wishes_print(to, d->head.ret, d->head.envid);
    buf_add_c(to, "\r\n");
}

static struct str recipient(const struct drop *d)
{
    return d->reporting ? d->head.sender : d->head.recipients[d->recipient];
}

static void say_recipient(struct drop *d, struct buf *to)
{
    struct notify wishes = {.when = d->reporting ? 0 : d->head.notify};

    buf_printf(to, "RCPT TO:<%.*s>", STR_ARG(recipient(d)));
    rcpt_wishes_print(to, &wishes, true);
    buf_add_c(to, "\r\n");
}

static void say_data(struct drop *d, struct buf *to)
{
    buf_add_c(to, "DATA\r\n");
    d->dots = (struct dot_writer){0};
    d->at = 0;
    d->report_at = 0;
    d->crc = crc32c(0, d->start.p, d->head.bytes);
}

static void say_report(struct drop *d, struct buf *to)
{
    struct str part = str_sub(buf_str(&d->report), d->report_at, d->report_at + CHUNK_BYTES);

    dot_write(&d->dots, part, to);
    d->report_at += part.n;
    if (d->report_at == d->report.n) {
        dot_write_end(&d->dots, to);
        d->step = DOT;
    }
}

static void say_content(struct drop *d, struct buf *to)
{
    char chunk[CHUNK_BYTES];
    size_t n = (size_t)MIN_OF(d->end.message_bytes - d->at, (uint64_t)sizeof chunk);

    if (disk_read_at(d->fd, chunk, n, d->head.bytes + d->at) < 0) {
        finish(d, DROP_LATER, UNREADABLE, "");
        return;
    }
    d->crc = crc32c(d->crc, chunk, n);
    d->at += n;
    dot_write(&d->dots, str_n(chunk, n), to);
    if (d->at < d->end.message_bytes)
        return;
    if (d->crc != d->end.crc) { /* its owner has changed it since */
        finish(d, DROP_ASIDE, "its checksum is wrong", "");
        return;
    }
    dot_write_end(&d->dots, to);
    d->step = DOT;
}

bool drop_says(struct drop *d, struct buf *to)
{
    static void (*const says[])(struct drop * d, struct buf * to) = {
        [HELLO] = say_hello,         [RESET] = say_reset, [MAIL] = say_mail,
        [RECIPIENT] = say_recipient, [DATA] = say_data,   [FINISHED] = NULL,
    };

    if (d->asked || d->step == GREETING || d->step == FINISHED)
        return false;
    if (d->step == CHECK) {
        check_more(d);
        return d->step != FINISHED;
    }
    if (d->step != CONTENT)
        says[d->step](d, to);
    else if (d->reporting)
        say_report(d, to);
    else
        say_content(d, to);
    d->asked = d->step != CONTENT;
    return d->step != FINISHED;
}

/* ---- a report to the sender ---- */

static void note_failed(struct drop *d, struct str address, const struct status *st)
{
    if (d->failed_count == REPORT_RECIPIENTS_MAX)
        return;
    d->failed[d->failed_count++] = (struct dsn_recipient){.original = address,
                                                          .final = address,
                                                          .status = *st,
                                                          .last_attempt_us = d->now_us,
                                                          .attempt_count = 1};
}

static void report_build(struct drop *d)
{
    struct buf text = buf_init(REPORT_BYTES_MAX);
    struct str message = str_skip(buf_str(&d->start), d->head.bytes);
    struct id id = {.key = d->now_us - ID_EPOCH_US, .node = d->end.crc & 0xffffff};
    struct dsn report = {.reporting_host = d->config->hostname,
                         .to = d->head.sender,
                         .utf8 = !utf8_is_ascii(d->head.sender),
                         .envid = d->head.envid,
                         .arrival_us = d->now_us,
                         .now_us = d->now_us,
                         .recipients = d->failed,
                         .recipient_count = d->failed_count};

    message = str_sub(message, 0, (size_t)MIN_OF(d->end.message_bytes, (uint64_t)QUOTED_BYTES_MAX));
    report.original_header = str_sub(message, 0, header_bytes(message));
    dsn_print(&text, &report);
    buf_reset(&d->report);
    prefix_print(&d->report, buf_str(&text), id); /* nobody else will give it a name */
    buf_free(&text);
}

static void report_begin(struct drop *d)
{
    if (d->head.sender.n == 0) {
        finish(d, DROP_ASIDE, "a notification was refused: ", d->failed[0].status.text);
        return;
    }
    if (!notify_wants(d->head.notify, NOTIFY_FAILURE)) {
        finish(d, d->stored ? DROP_TAKEN : DROP_ASIDE,
               "refused, and its sender does not want to hear of it: ", d->failed[0].status.text);
        return;
    }
    report_build(d);
    d->reporting = true;
    d->step = RESET;
}

/* The message as a whole is refused: nobody gets it. */
static void refused(struct drop *d, const struct status *st)
{
    d->failed_count = 0;
    for (size_t i = 0; i < d->head.recipient_count; i++)
        note_failed(d, d->head.recipients[i], st);
    report_begin(d);
}

/* ---- hearing ---- */

static void hear_recipient(struct drop *d, const struct status *st)
{
    if (status_done(st))
        d->accepted_count++;
    else
        note_failed(d, recipient(d), st);
    if (!d->reporting && ++d->recipient < d->head.recipient_count)
        return;
    if (d->accepted_count > 0)
        d->step = DATA;
    else
        report_begin(d);
}

static void hear_end(struct drop *d)
{
    bool failures = d->failed_count > 0 && !d->reporting;

    d->stored = true;
    if (failures)
        report_begin(d);
    else
        finish(d, DROP_TAKEN, "", "");
}

/* Is this the end of it? What was stored must not be stored again for the sake of a report. */
static bool hear_trouble(struct drop *d, const struct status *st)
{
    if (status_done(st))
        return false;
    if (d->reporting && (d->stored || status_never(st)))
        finish(d, DROP_ASIDE, "the sender could not be told of a failure: ", st->text);
    else if (!status_never(st))
        finish(d, DROP_LATER, "", st->text);
    else if (d->step == RECIPIENT)
        return false;
    else
        refused(d, st);
    return true;
}

static void hear(struct drop *d, uint16_t code, struct str text)
{
    static const enum step next[] = {
        [GREETING] = HELLO, [HELLO] = RESET, [RESET] = MAIL, [MAIL] = RECIPIENT};
    struct status st = status_from_reply(code == 354 ? 250 : code, text);

    d->asked = false;
    if (d->step == FINISHED || hear_trouble(d, &st))
        return;
    d->greeted = true;
    if (d->step == CHECK)
        return;
    if (d->step == RECIPIENT)
        hear_recipient(d, &st);
    else if (d->step == DATA)
        d->step = CONTENT;
    else if (d->step == DOT)
        hear_end(d);
    else
        d->step = next[d->step];
    if (d->step == MAIL)
        d->recipient = d->accepted_count = 0;
}

void drop_hears(struct drop *d, struct str replies)
{
    while (replies.n > 0) {
        const char *error = NULL;
        size_t used;

        if (reply_read(&d->replies, replies, &used, &error) != REPLY_READY)
            return;
        replies = str_skip(replies, used);
        hear(d, d->replies.code, buf_str(&d->replies.text));
        reply_reader_next(&d->replies);
    }
}

bool drop_finished(const struct drop *d)
{
    return d->step == FINISHED;
}

enum drop_verdict drop_verdict(const struct drop *d)
{
    return d->verdict;
}

struct str drop_why(const struct drop *d)
{
    return buf_str(&d->why);
}
