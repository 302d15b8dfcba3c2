/* Any bytes as what an account has sent: what is taken encodes to the same bytes again, and no
 * time makes its answers nonsense. The last 8 bytes are the time. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/bytes.h"
#include "base/check.h"
#include "mail/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void ask(struct usage *u, uint64_t now_us)
{
    for (enum usage_span span = 0; span < USAGE_SPAN_COUNT; span++) {
        uint64_t sum = usage_sum(u, span, USAGE_RECIPIENTS, now_us);
        uint64_t wait = usage_wait_us(u, span, USAGE_RECIPIENTS, now_us, 100, 1);

        check((wait == 0) == (sum + 1 <= 100));
        check(wait == 0 || usage_sum(u, span, USAGE_RECIPIENTS, now_us + wait) + 1 <= 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n < 8)
        return 0;

    struct str input = str_n((const char *)p, n - 8);
    struct reader time = reader_init(str_n((const char *)p + n - 8, 8));
    uint64_t now_us = get_u64(&time) >> 8;
    struct usage u;

    if (!usage_decode(input, &u))
        return 0;

    struct buf b = buf_init(USAGE_BYTES_MAX);
    usage_encode(&b, &u);
    check(!b.full && str_eq(buf_str(&b), input));
    buf_free(&b);
    ask(&u, now_us);
    usage_add(&u, now_us, (const uint32_t[]){1, 7});
    ask(&u, now_us);
    check(usage_sum(&u, USAGE_HOUR, USAGE_RECIPIENTS, now_us) >= 7);
    return 0;
}
