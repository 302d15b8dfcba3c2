/* wire/chunk_reader.c - the content of BDAT. RFC 3030.
 *
 * A chunk may end between a CR and its LF: only what comes next, or the end of the message, tells
 * whether the CR was bare. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "wire/plain.h"
#include "wire/smtp.h"

static void keep(struct buf *to, struct str bytes)
{
    check(buf_add(to, bytes));
}

/* False: the message is spoiled. */
static bool bare_newline(const struct chunk_reader *c, struct buf *to)
{
    if (c->lines == CHUNK_NORMALIZED)
        keep(to, STR("\r\n"));
    return c->lines == CHUNK_NORMALIZED;
}

/* A CR has been seen; takes the LF behind it. */
static bool after_cr(struct chunk_reader *c, struct str *in, struct buf *to)
{
    c->saw_cr = false;
    if (in->p[0] != '\n')
        return bare_newline(c, to);
    keep(to, STR("\r\n"));
    *in = str_skip(*in, 1);
    return true;
}

bool chunk_read(struct chunk_reader *c, struct str in, struct buf *to)
{
    bool whole = true;

    if (c->lines == CHUNK_BINARY) {
        keep(to, in);
        return true;
    }
    while (in.n > 0 && whole) {
        if (c->saw_cr) {
            whole = after_cr(c, &in, to);
        } else if (in.p[0] == '\r') {
            c->saw_cr = true;
            in = str_skip(in, 1);
        } else if (in.p[0] == '\n') {
            whole = bare_newline(c, to);
            in = str_skip(in, 1);
        } else {
            size_t n = plain_bytes(in);

            keep(to, str_sub(in, 0, n));
            in = str_skip(in, n);
        }
    }
    return whole;
}

bool chunk_read_end(struct chunk_reader *c, struct buf *to)
{
    bool bare = c->saw_cr;

    c->saw_cr = false;
    return !bare || bare_newline(c, to);
}
