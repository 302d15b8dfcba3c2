/* smtpd/content.c - from 354 to the final dot, or from chunk to chunk: the message streams by.
 *
 * Up to one chunk is held here; a small message goes to the queue whole, of a larger one as much
 * as the queue has credited. Once it is refused nothing more is kept, but everything up to the
 * dot is read: only there is the answer due. RFC 5321 4.1.1.4; chunks: bdat.c. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/state.h"
#include "mail/date.h"
#include "mail/trace.h"

/* Fed in slices, so that the buffer has a limit that dot_read cannot exceed. */
enum {
    SLICE_BYTES = 8192,
    USER_BYTES_MAX = 64,
    PREFIX_BYTES_MAX = 8192,
    ENVELOPE_BYTES_MAX = 64 * 1024
};

void content_begin(struct session *s)
{
    struct txn *t = s->txn;

    s->phase = CONTENT;
    t->content = buf_init(PUT_CHUNK_BYTES + 2 * SLICE_BYTES + 2);
    t->dot = (struct dot_reader){.normalize = may_relay(s)};
    header_scan_init(&t->header);
    if (s->account[0])
        t->header.authors = &t->authors;
}

void content_refuse(struct session *s, const struct status *why)
{
    struct txn *t = s->txn;

    if (t->refusal)
        return;
    policy_cancel(s);
    t->refusal = arena_alloc(&t->arena, sizeof *t->refusal);
    *t->refusal = *why;
    if (t->begun)
        s->world->cancel(s->arg);
    t->begun = false;
    s->waiting = FOR_CLIENT;
    buf_reset(&t->content);
}

static void refuse(struct session *s, enum reply_name row, struct str about)
{
    struct status st = reply_status(row, about);

    content_refuse(s, &st);
}

static void refuse_size(struct session *s)
{
    struct buf n = buf_init(32);

    buf_add_u64(&n, s->config->message_bytes_max);
    refuse(s, REPLY_TOO_LARGE, buf_str(&n));
    buf_free(&n);
}

/* RFC 3030: only BINARYMIME allows bare newlines; else they are what they are after DATA. */
static enum chunk_lines lines_of(const struct session *s)
{
    if (s->txn->body == BODY_BINARY)
        return CHUNK_BINARY;
    return s->may_relay ? CHUNK_NORMALIZED : CHUNK_STRICT;
}

void content_begin_chunk(struct session *s, uint64_t bytes)
{
    struct txn *t = s->txn;

    if (!t->chunked)
        content_begin(s);
    if (!t->chunked)
        t->chunks.lines = lines_of(s);
    t->chunked = true;
    s->phase = CONTENT;
    if (bytes > s->config->message_bytes_max - t->content_bytes)
        refuse_size(s);
}

/* ---- what goes with it ---- */

static const char *protocol(const struct session *s)
{
    /* RFC 3848, RFC 6531 4.3: by whether it is LMTP, UTF-8, secret, and of somebody known. */
    static const char *const names[2][2][2][2] = {
        {{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
         {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}}},
        {{{"LMTP", "LMTPA"}, {"LMTPS", "LMTPSA"}},
         {{"UTF8LMTP", "UTF8LMTPA"}, {"UTF8LMTPS", "UTF8LMTPSA"}}},
    };
    bool utf8 = s->txn && s->txn->smtputf8;
    bool known = s->account[0] != '\0';

    if (s->local)
        return "local";
    if (!s->extended && !s->lmtp)
        return "SMTP";
    return names[s->lmtp][utf8][s->secure][known];
}

static void client_print(const struct session *s, struct buf *to)
{
    line_str(to, "session", session_name(s));
    client_line(s, to);
    line_c(to, "helo", s->helo);
    line_c(to, "with", protocol(s));
}

/* Its head: the recipients are encoded already. */
static void envelope_print(const struct session *s, struct buf *to, bool more)
{
    const struct txn *t = s->txn;
    struct buf client = buf_init(LINE_BYTES_MAX);

    client_print(s, &client);
    envelope_head_encode(to, &(struct envelope){.sender = t->sender,
                                                .client = buf_str(&client),
                                                .body = t->body,
                                                .utf8 = utf8_need(t, more),
                                                .ret = t->ret,
                                                .envid = t->envid,
                                                .recipient_count = t->recipients.count});
    buf_free(&client);
}

/* "uid 1000, bill"; nothing for others than local users */
static void user_print(const struct session *s, struct buf *to)
{
    if (s->local)
        buf_printf(to, "uid %u%s%s", s->uid, s->login[0] ? ", " : "", s->login);
}

/* Is the sender the address of who sends: the login at one of our names? */
static bool sender_is_own(const struct session *s)
{
    struct str sender = s->txn->sender;
    size_t at = str_find_last(sender, '@');
    struct str domain = str_skip(sender, at + 1);
    bool ours = str_eq_nocase(domain, s->config->hostname);

    for (size_t i = 0; i < s->config->domain_count; i++)
        ours = ours || str_eq_nocase(domain, s->config->domains[i].name);
    return ours && s->login[0] && str_eq_c(str_sub(sender, 0, at), s->login);
}

/* Date and Message-ID are only added for our own clients: a stranger's message stays as it is. */
static void prefix_add(const struct session *s, struct buf *to)
{
    const struct txn *t = s->txn;
    uint64_t now = clock_now_us(s->world->clock);
    struct buf user = buf_init(USER_BYTES_MAX);

    user_print(s, &user);
    received_print(to, &(struct received){
                           .helo = s->local ? STR_NONE : str_c(s->helo),
                           .client_name = name_printed(s),
                           .client_ip = has_no_address(s) ? STR_NONE : str_c(s->ip),
                           .by = s->config->hostname,
                           .by_comment = buf_str(&user),
                           .with = str_c(protocol(s)),
                           .with_comment = s->secure ? str_c(s->secured) : STR_NONE,
                           .only_recipient = t->accepted_count == 1
                                                 ? recipient_first(buf_str(&t->recipients.rows))
                                                 : STR_NONE,
                           .time_us = now,
                       });
    if (s->local && !s->trusted && !sender_is_own(s))
        warning_print(to, s->config->hostname, buf_str(&user), t->sender);
    buf_free(&user);
    if (s->account[0] && !t->header.has_from)
        buf_printf(to, "From: <%s>\r\n", s->account);
    if (may_relay(s) && !t->header.has_date) {
        buf_add_c(to, "Date: ");
        date_print(to, now, 0);
        buf_add_c(to, "\r\n");
    }
    if (may_relay(s) && !t->header.has_message_id)
        message_id_print(to, s->config->hostname);
    if (t->headless) /* or its first line would become a header field */
        buf_add_c(to, "\r\n");
}

static bool starts_with_text(struct str content)
{
    struct header_field first;
    struct str rest = content;

    return content.n > 0 && !str_starts(content, STR("\r\n")) && !header_next(&rest, &first);
}

/* ---- handing on ---- */

static bool put(struct session *s, size_t n, bool end)
{
    struct txn *t = s->txn;
    struct buf envelope = buf_init(ENVELOPE_BYTES_MAX);
    struct buf prefix = buf_init(PREFIX_BYTES_MAX);
    struct session_put p = {.begin = !t->begun,
                            .end = end,
                            .account = str_c(s->account),
                            .size = end ? t->content_bytes : 0,
                            .content = str_sub(buf_str(&t->content), 0, n)};

    if (p.begin) {
        t->headless = starts_with_text(buf_str(&t->content));
        envelope_print(s, &envelope, !end);
        p.envelope = buf_str(&envelope);
        p.recipients = buf_str(&t->recipients.rows);
    }
    if (end) {
        prefix_add(s, &prefix);
        p.prefix = buf_str(&prefix);
    }

    bool put = !envelope.full && !prefix.full && s->world->put(s->arg, &p);

    buf_free(&envelope);
    buf_free(&prefix);
    return put;
}

/* Gives n bytes to the queue. False: not now, or never. */
static bool hand_on(struct session *s, size_t n, bool end)
{
    struct txn *t = s->txn;

    if (t->unacknowledged_bytes + n > PUT_WINDOW_BYTES) {
        s->waiting = FOR_CREDIT;
        return false;
    }
    if (!put(s, n, end)) {
        refuse(s, REPLY_NOT_STORED, STR_NONE);
        return false;
    }
    t->begun = true;
    t->unacknowledged_bytes += n;
    buf_drop_front(&t->content, n);
    return true;
}

static void finish(struct session *s, struct buf *out)
{
    struct txn *t = s->txn;

    if (!t->refusal && policy_authors(s))
        return;
    if (!t->refusal && hand_on(s, t->content.n, true)) {
        buf_free(&t->content);
        s->waiting = FOR_STORED;
    }
    if (t->refusal) {
        struct status why = *t->refusal; /* it dies with the transaction */

        message_answer(s, (struct reply){.kind = REPLY_STATUS, .status = &why}, out);
    }
}

void content_go_on(struct session *s, struct buf *out)
{
    struct txn *t = s->txn;

    s->waiting = FOR_CLIENT;
    while (t->content.n > PUT_CHUNK_BYTES && hand_on(s, PUT_CHUNK_BYTES, false))
        ;
    if (t->ended && s->waiting == FOR_CLIENT)
        finish(s, out);
}

void session_spill(struct session *s)
{
    if (!(s->phase & TAKING) || s->waiting != FOR_CLIENT || s->txn->content.n == 0)
        return;
    if (hand_on(s, s->txn->content.n, false))
        buf_free(&s->txn->content);
    s->waiting = FOR_CLIENT; /* only a whole chunk has to wait for credit */
    session_check(s);
}

/* ---- taking ---- */

static void took(struct session *s, struct str bytes)
{
    struct txn *t = s->txn;

    t->content_bytes += bytes.n;
    if (!t->header.ended)
        header_scan_feed(&t->header, bytes);
    if (t->content_bytes > s->config->message_bytes_max)
        refuse_size(s);
    if (t->header.received_count > s->config->hops_max)
        refuse(s, REPLY_TOO_MANY_HOPS, STR_NONE);
    if (t->refusal)
        buf_reset(&t->content);
}

struct str content_take(struct session *s, struct str bytes, struct buf *out)
{
    struct txn *t = s->txn;
    size_t before = t->content.n;

    bytes = str_sub(bytes, 0, SLICE_BYTES);
    if (!t->refusal) {
        bool whole = chunk_read(&t->chunks, bytes, &t->content);

        took(s, str_skip(buf_str(&t->content), before));
        if (!whole)
            refuse(s, REPLY_BARE_NEWLINE_IN_DATA, STR_NONE);
    }
    content_go_on(s, out);
    return bytes;
}

void content_end(struct session *s, struct buf *out)
{
    struct txn *t = s->txn;
    size_t before = t->content.n;

    if (!t->refusal && !chunk_read_end(&t->chunks, &t->content))
        refuse(s, REPLY_BARE_NEWLINE_IN_DATA, STR_NONE);
    else if (!t->refusal)
        took(s, str_skip(buf_str(&t->content), before));
    t->ended = true;
    content_go_on(s, out);
}

size_t content_feed(struct session *s, struct str in, struct buf *out)
{
    struct txn *t = s->txn;
    size_t before = t->content.n;
    size_t used;
    enum dot_event e = dot_read(&t->dot, str_sub(in, 0, SLICE_BYTES), &t->content, &used);

    took(s, str_skip(buf_str(&t->content), before));
    if (e == DOT_BARE_NEWLINE)
        refuse(s, REPLY_BARE_NEWLINE_IN_DATA, STR_NONE);
    t->ended = e == DOT_END;
    content_go_on(s, out);
    return used;
}
