// SPDX-License-Identifier: ISC
#include "tls/policy.h"

#include "base/check.h"

static const char *const words[] = {
    [TLS_NONE] = "off",
    [TLS_OPPORTUNISTIC] = "opportunistic",
    [TLS_REQUIRED] = "required",
    [TLS_VERIFIED] = "verified",
};

bool tls_policy_parse(struct str word, enum tls_policy *ret)
{
    for (size_t i = 0; i < countof(words); i++) {
        if (!str_eq_c(word, words[i]))
            continue;
        *ret = (enum tls_policy)i;
        return true;
    }
    return false;
}
