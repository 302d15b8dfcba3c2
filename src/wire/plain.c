// SPDX-License-Identifier: ISC
#include "wire/plain.h"

#include <string.h>

enum { WINDOW_BYTES = 512 };

size_t plain_bytes(struct str in)
{
    struct str window = str_sub(in, 0, WINDOW_BYTES);
    const char *lf = memchr(window.p, '\n', window.n);
    size_t n = lf ? (size_t)(lf - window.p) : window.n;
    const char *cr = memchr(window.p, '\r', n);

    return cr ? (size_t)(cr - window.p) : n;
}
