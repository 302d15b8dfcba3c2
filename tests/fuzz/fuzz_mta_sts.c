/* MTA-STS: the text is a record and a policy. */
// links: base mail mailauth
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mailauth/mta_sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mta_sts_policy p;
    struct str text = {(const char *)data, size}, id = STR_NONE;
    struct record_error error = {0};

    if (mta_sts_record_parse(text, &id, &error))
        check(mta_sts_record_is(text) && id.n > 0 && id.n <= 32 && !error.why);
    error = (struct record_error){0};
    if (!mta_sts_policy_parse(text, &p, &error)) {
        check(error.why && p.host_count <= MTA_STS_HOSTS_MAX);
        return 0;
    }
    check(!error.why && p.mode <= MTA_STS_ENFORCE && p.max_age_s <= MTA_STS_AGE_S_MAX);
    check(p.mode == MTA_STS_NONE || p.host_count > 0);
    for (size_t i = 0; i < p.host_count; i++)
        check(mta_sts_has(&p, p.hosts[i]) || str_starts(p.hosts[i], STR("*.")));
    return 0;
}
