/* Any bytes as a sender that talks to `troika probe --listen`, which behaves or does not: nothing it
 * says breaks the facts of the session, every message that begins ends. First byte: orders, LMTP, a
 * password, the size of pieces. */
// links: base io mail wire sasl outward
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "outward/listen/test_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const orders[] = {
    "",
    "any/every:2=451",
    "dot=half;rcpt=lines:5",
    "content=cut-after:100;any/every:3=drip:1s",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct test_sink t;

    if (size == 0)
        return 0;
    unsigned choice = data[0];
    size_t step = (choice & 0x10) ? 1 : 4096;

    test_sink_open(&t, NULL, orders[choice % countof(orders)], (choice & 4) != 0,
                   (choice & 8) ? "secret" : "");
    sink_begin(t.sink, (choice & 0x20) != 0);
    test_sink_say(&t);
    for (size_t at = 1; at < size; at += step)
        test_sink_feed(&t, str_n((const char *)data + at, MIN_OF(step, size - at)));
    sink_over(t.sink, SINK_END_CLIENT, choice & 0x40 ? US_PER_S : 0);
    check(t.begun == t.over);
    test_sink_close(&t);
    return 0;
}
