/* TLSRPT records, and the lists of addresses in them. */
// links: base mail mailauth
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mailauth/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct record_error error = {0};
    struct report_addresses r;
    bool good = tlsrpt_record_parse(text, &r, &error);

    check(good == (error.why == NULL) && r.count <= REPORT_ADDRESSES_MAX);
    check(!good || (r.count > 0 && tlsrpt_record_is(text)));
    error = (struct record_error){0};
    (void)report_addresses_parse(text, true, &r, &error);
    for (size_t i = 0; i < r.count; i++)
        check(r.list[i].host.n > 0 && r.list[i].uri.n > r.list[i].host.n);
    return 0;
}
