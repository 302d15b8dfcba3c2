/* Any bytes as an envelope: what is taken can be encoded, in no more bytes, and says the same again. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mail/envelope.h"

/* In one form: what is the same as before may also be said again. */
static void encode(struct str input, struct arena *a, struct buf *to)
{
    struct envelope e;

    if (envelope_decode(input, a, &e))
        envelope_encode(to, &e);
    check(a->bytes <= 16 * input.n + KIB); /* memory follows what is there, not what is claimed */
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct buf once = buf_init(n);
    struct buf twice = buf_init(n);

    encode(str_n((const char *)p, n), &a, &once);
    encode(buf_str(&once), &a, &twice);
    check(!once.full && !twice.full && str_eq(buf_str(&once), buf_str(&twice)));
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
