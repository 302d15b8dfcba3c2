/* DKIM records: a key that is taken has a size, or is revoked. */
// links: base mail mailauth
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mailauth/dkim_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct record_error error = {0}, other = {0};
    struct dkim_record r, again;
    bool good = dkim_record_parse(text, &r, &error);

    check(good == dkim_record_parse(text, &again, &other) && error.why == other.why);
    check(good == (error.why == NULL) && r.bits == again.bits);
    check(!good || r.revoked == (r.bits == 0));
    return 0;
}
