/* listen/sink_content.c - a message comes to the sink, by DATA or in chunks, and is answered.
 *
 * wire/smtp.h says what the bytes mean and where they end; a letter sees both the bytes and what they
 * mean. Wrong line ends are findings here, not the end of the message. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "outward/listen/sink_state.h"

enum { PIECE_BYTES_MAX = 16 * 1024 };

/* ---- the beginning ---- */

static void order_content(struct sink *s)
{
    struct transaction *t = s->transaction;
    struct misdeed d;

    (void)misbehave_at(s->options->misbehave, STEP_CONTENT, t->sender, &d);
    t->content_left = d.content_bytes;
    t->content_end = d.end;
}

void content_begin(struct sink *s, bool chunked)
{
    struct transaction *t = s->transaction;
    bool binary = t->body == BODY_SAID_BINARY;

    s->phase = CONTENT;
    if (t->begun)
        return;
    t->begun = true;
    t->chunked = chunked;
    t->dots = (struct dot_reader){.normalize = true};
    t->chunks = (struct chunk_reader){.lines = binary ? CHUNK_BINARY : CHUNK_NORMALIZED};
    t->letter = letter_new(&(struct letter_options){.chunked = chunked,
                                                    .may_8bit = t->body >= BODY_SAID_8BIT,
                                                    .may_binary = binary,
                                                    .smtputf8 = t->smtputf8,
                                                    .now_us = s->now_us},
                           &s->judge);
    order_content(s);
    s->events->on_begin(s->arg);
}

static void take(struct sink *s, struct str raw, struct buf *content)
{
    struct transaction *t = s->transaction;

    letter_raw(t->letter, raw);
    letter_content(t->letter, buf_str(content));
    s->events->on_content(s->arg, buf_str(content));
}

/* ---- the end ---- */

static void message_over(struct sink *s, bool whole)
{
    static const char *const bodies[] = {NULL, "7BIT", "8BITMIME", "BINARYMIME"};
    struct transaction *t = s->transaction;

    s->events->on_message(s->arg, &(struct sink_message){.sender = t->sender,
                                                         .recipients = t->recipients,
                                                         .recipient_count = t->recipient_count,
                                                         .chunked = t->chunked,
                                                         .smtputf8 = t->smtputf8,
                                                         .secured = s->secured,
                                                         .body = bodies[t->body],
                                                         .size_said = t->size_said,
                                                         .user = str_c(s->user),
                                                         .letter = t->letter,
                                                         .whole = whole,
                                                         .accepted = t->accepted,
                                                         .code = t->code});
    transaction_free(s);
}

static void judge_size(struct sink *s)
{
    const struct transaction *t = s->transaction;
    unsigned long long bytes = letter_bytes(t->letter);

    if (t->size_is_said && t->size_said > 0 && bytes > t->size_said)
        judge_printf(&s->judge, FOUND_SIZE_FALSE, "%llu, not %llu", bytes,
                     (unsigned long long)t->size_said);
    if (bytes > sink_size_offered(s))
        judge_printf(&s->judge, FOUND_SIZE_OVER, "%llu", bytes);
}

static void verdict(struct sink *s, struct str about)
{
    struct transaction *t = s->transaction;
    bool large = letter_bytes(t->letter) > sink_size_offered(s);
    struct answer a = answer_row(STEP_DOT, REPLY_ACCEPTED, STR("sink"));

    if (large)
        a = answer_row(STEP_DOT, REPLY_TOO_LARGE, STR("SIZE said"));
    a.about = about;
    if (sink_answer(s, &a) && !large)
        t->accepted = true;
    t->code = s->code;
}

void content_verdicts(struct sink *s)
{
    if (s->verdict_count == 0)
        return;
    while (s->verdict_at < s->verdict_count && !s->waits) {
        struct transaction *t = s->transaction;

        verdict(s, s->options->lmtp ? t->recipients[s->verdict_at] : t->recipients[0]);
        s->verdict_at++;
    }
    if (s->verdict_at == s->verdict_count && !s->waits)
        message_over(s, true);
}

static void content_over(struct sink *s)
{
    struct transaction *t = s->transaction;

    s->verb = VERB_UNKNOWN;
    letter_end(t->letter);
    judge_size(s);
    s->verdict_at = 0;
    s->verdict_count = s->options->lmtp ? t->recipient_count : 1;
    content_verdicts(s);
}

/* Half a message is not judged: what it lacks may just not have come. */
void content_lost(struct sink *s)
{
    s->transaction->accepted = false;
    s->transaction->code = 0;
    message_over(s, s->verdict_count > 0);
}

/* ---- an order to end it in the middle ---- */

/* What may still come of `in`. */
static struct str content_allowed(const struct transaction *t, struct str in)
{
    return str_sub(in, 0, MIN_OF(t->content_left, (uint64_t)PIECE_BYTES_MAX));
}

/* True: no more may come. */
static bool content_used_up(struct transaction *t, size_t used)
{
    if (t->content_left != UINT64_MAX)
        t->content_left -= used;
    return t->content_left == 0;
}

static void content_cut(struct sink *s)
{
    s->says = s->waits = true;
    s->saying.then = s->transaction->content_end == KIND_SILENCE ? THEN_SILENCE : THEN_HANG_UP;
}

/* ---- DATA ---- */

size_t content_feed(struct sink *s, struct str in)
{
    struct transaction *t = s->transaction;
    struct buf content = buf_init(2 * PIECE_BYTES_MAX + 2);
    size_t used;
    enum dot_event e = dot_read(&t->dots, content_allowed(t, in), &content, &used);

    take(s, str_sub(in, 0, used), &content);
    buf_free(&content);

    bool used_up = content_used_up(t, used);

    if (e == DOT_END)
        content_over(s);
    else if (used_up)
        content_cut(s);
    return used;
}

/* ---- BDAT ---- */

static void chunk_over(struct sink *s)
{
    struct transaction *t = s->transaction;
    struct buf content = buf_init(16);
    struct answer a = answer_row(STEP_BDAT, REPLY_CHUNK_TAKEN, STR("all"));

    s->verb = VERB_BDAT;
    if (s->chunk_last) {
        (void)chunk_read_end(&t->chunks, &content);
        take(s, STR_NONE, &content);
        buf_free(&content);
        content_over(s);
        return;
    }
    s->phase = CHUNKS;
    if (!sink_answer(s, &a) && !s->waits) { /* RFC 3030 2: the whole message is gone */
        s->refused = true;
        transaction_end(s);
    }
}

void chunk_begin(struct sink *s, const struct smtp_command *c)
{
    s->chunk_left = c->chunk_bytes;
    s->chunk_last = c->last_chunk;
    content_begin(s, true);
    if (s->chunk_left == 0)
        chunk_over(s);
}

size_t chunk_feed(struct sink *s, struct str in)
{
    struct transaction *t = s->transaction;
    struct buf content = buf_init(2 * PIECE_BYTES_MAX + 2);

    in = content_allowed(t, in);
    in = str_sub(in, 0, MIN_OF(s->chunk_left, (uint64_t)in.n));
    (void)chunk_read(&t->chunks, in, &content);
    take(s, in, &content);
    buf_free(&content);
    s->chunk_left -= in.n;

    bool used_up = content_used_up(t, in.n);

    if (s->chunk_left == 0)
        chunk_over(s);
    else if (used_up)
        content_cut(s);
    return in.n;
}

static void skip_over(struct sink *s)
{
    struct answer a = answer_row(STEP_BDAT, s->skip_row, STR_NONE);

    s->skips = false;
    (void)sink_answer(s, &a);
}

void chunk_skip(struct sink *s, const struct smtp_command *c, enum reply_name row)
{
    s->chunk_left = c->chunk_bytes;
    s->skip_row = row;
    s->skips = true;
    if (s->chunk_left == 0)
        skip_over(s);
}

size_t chunk_skip_feed(struct sink *s, struct str in)
{
    size_t n = MIN_OF(s->chunk_left, (uint64_t)in.n);

    s->chunk_left -= n;
    if (s->chunk_left == 0)
        skip_over(s);
    return n;
}
