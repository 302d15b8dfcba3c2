/* smtpd/bdat.c - BDAT: the message in chunks of a known size. RFC 3030.
 *
 * Whatever becomes of a chunk, exactly its bytes are taken, and only then is it answered: a chunk of
 * a message that failed, or that nobody asked for, must not be read as commands. A failure ends the
 * transaction; it is said again to the chunks that were already on their way, until another command
 * comes. In LMTP only the last chunk is answered for each recipient. RFC 2033 4.2. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "daemon/smtpd/state.h"

void chunk_forget(struct session *s)
{
    free(s->chunk.refusal);
    s->chunk.refusal = NULL;
}

static void chunk_refuse(struct session *s, const struct status *why)
{
    if (!s->chunk.refusal)
        s->chunk.refusal = mem_new(sizeof *s->chunk.refusal);
    *s->chunk.refusal = *why;
    s->chunk.recipient_count = s->txn ? s->txn->accepted_count : 0;
}

struct reply cmd_bdat(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    s->chunk.open = true;
    s->chunk.last = c->last_chunk;
    s->chunk.bytes = s->chunk.left = c->chunk_bytes;
    if (s->chunk.refusal)
        return reply_later();
    if (!(s->phase & (RECIPIENTS | CHUNKS))) {
        struct status why = reply_status(what_is_missing(s, c->verb), STR_NONE);

        chunk_refuse(s, &why);
    } else if (s->phase == RECIPIENTS && name_is_due(s)) {
        s->waiting = FOR_NAME;
    } else {
        content_begin_chunk(s, s->chunk.bytes);
    }
    return reply_later();
}

/* The transaction is over with the first chunk that fails, though more may be on their way. */
static void chunk_failed(struct session *s, struct buf *out)
{
    if (!s->chunk.last)
        chunk_refuse(s, s->txn->refusal);
    content_end(s, out);
}

static void chunk_taken(struct session *s, struct buf *out)
{
    struct buf bytes = buf_init(32);

    s->phase = CHUNKS;
    buf_add_u64(&bytes, s->chunk.bytes);
    if (s->stopping)
        session_close(s, REPLY_SHUTTING_DOWN, out);
    else
        session_say(s, reply_about(REPLY_CHUNK_TAKEN, buf_str(&bytes)), out);
    buf_free(&bytes);
}

void chunk_answer(struct session *s, struct buf *out)
{
    if (!s->chunk.open || s->chunk.left > 0 || s->waiting == FOR_NAME)
        return;
    s->chunk.open = false;
    if (s->chunk.refusal)
        session_say_each(s, (struct reply){.kind = REPLY_STATUS, .status = s->chunk.refusal},
                         s->chunk.last ? s->chunk.recipient_count : 1, out);
    else if (s->txn->refusal)
        chunk_failed(s, out);
    else if (s->chunk.last)
        content_end(s, out);
    else
        chunk_taken(s, out);
}

void chunk_named(struct session *s, struct buf *out)
{
    content_begin_chunk(s, s->chunk.bytes);
    chunk_answer(s, out);
}

size_t chunk_feed(struct session *s, struct str in, struct buf *out)
{
    struct str bytes = str_sub(in, 0, (size_t)MIN_OF(s->chunk.left, (uint64_t)in.n));

    if (!s->chunk.refusal)
        bytes = content_take(s, bytes, out);
    s->chunk.left -= bytes.n;
    chunk_answer(s, out);
    return bytes.n;
}
