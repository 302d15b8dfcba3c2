/* DMARC records, and the organisational domain of what the text is: always its end. */
// links: base mail mailauth
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mailauth/dmarc_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct record_error error = {0}, other = {0};
    struct dmarc_record r, again;
    bool good = dmarc_record_parse(text, &r, &error);

    check(good == dmarc_record_parse(text, &again, &other) && error.why == other.why);
    check(good == (error.why == NULL) && (!good || dmarc_record_is(text)));
    check(r.percent <= 100 && r.policy <= DMARC_REJECT && r.subdomain_policy <= DMARC_REJECT);
    check(r.rua.count <= REPORT_ADDRESSES_MAX && r.ruf.count <= REPORT_ADDRESSES_MAX);
    for (size_t i = 0; good && i < r.rua.count; i++)
        check(r.rua.list[i].uri.n > 0 && r.rua.list[i].host.n > 0);
    check(str_ends(text, organizational_domain(text)));
    return 0;
}
