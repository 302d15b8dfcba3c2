/* Any bytes as a stored envelope: what is taken encodes to the same bytes again. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mail/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str input = str_n((const char *)p, n);
    struct arena a = ARENA_INIT;
    struct envelope e;

    if (envelope_decode(input, &a, &e)) {
        struct buf b = buf_init(n);
        envelope_encode(&b, &e);
        check(!b.full && str_eq(buf_str(&b), input));
        buf_free(&b);
    }
    check(a.bytes <= 16 * n + KIB); /* memory follows what is there, not what is claimed */
    arena_free(&a);
    return 0;
}
