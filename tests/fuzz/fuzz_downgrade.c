/* Any bytes as a binary message: cut anywhere it gives the same; what comes out has lines and no
 * NUL, and once more through changes nothing. */
// links: base mail
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/check.h"
#include "mail/downgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool convert(struct str in, size_t step, struct buf *to)
{
    struct downgrade *d = downgrade_new();
    bool good = true;

    for (size_t at = 0; at < in.n && good; at += step) {
        struct str piece = str_sub(in, at, at + step);
        size_t before = to->n;

        good = downgrade_feed(d, piece, to);
        check(to->n - before <= 2 * piece.n + 2 * (size_t)DOWNGRADE_HEADER_BYTES_MAX);
    }
    good = good && downgrade_end(d, to);
    downgrade_free(&d);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    struct buf whole = buf_init(4 * MIB);
    struct buf cut = buf_init(4 * MIB);
    bool good = size < MIB && convert(in, size + 1, &whole);

    check(size >= MIB || convert(in, 1, &cut) == good);
    if (good) {
        struct buf again = buf_init(4 * MIB);

        check(str_eq(buf_str(&whole), buf_str(&cut)));
        for (size_t i = 0; i < whole.n; i++) {
            check(whole.p[i] != '\0');
            check(whole.p[i] != '\n' || (i > 0 && whole.p[i - 1] == '\r'));
            check(whole.p[i] != '\r' || (i + 1 < whole.n && whole.p[i + 1] == '\n'));
        }
        check(convert(buf_str(&whole), 4096, &again));
        check(str_eq(buf_str(&again), buf_str(&whole)));
        buf_free(&again);
    }
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
