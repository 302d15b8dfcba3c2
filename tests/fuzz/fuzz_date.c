/* Any bytes as a date: what is taken prints to the same moment. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/clock.h"
#include "mail/date.h"

static void check_printed(uint64_t us)
{
    struct buf b = buf_init(64);
    uint64_t again = 0;

    date_print(&b, us, 0);
    check(!b.full && date_parse(buf_str(&b), &again) && again == us);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str input = str_n((const char *)p, n);
    const uint64_t last_us = UINT64_C(253402300799) * US_PER_S; /* of the year 9999 */
    struct buf b = buf_init(64);
    uint64_t us;

    if (date_parse(input, &us) && us <= last_us)
        check_printed(us);
    if (time_parse(input, &us)) {
        time_print(&b, us);
        check(str_eq(buf_str(&b), input));
    }
    buf_free(&b);
    return 0;
}
