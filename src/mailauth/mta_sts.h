/* mailauth/mta_sts.h - MTA-STS: a domain says by HTTPS which servers take its mail, and that they do
 * TLS. RFC 8461 3. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/record.h"

#include <stddef.h>

enum {
    MTA_STS_POLICY_BYTES_MAX = 64 * 1024, /* RFC 8461 3.3 */
    MTA_STS_HOSTS_MAX = 100,
    MTA_STS_AGE_S_MAX = 31557600, /* a year */
};

enum mta_sts_mode { MTA_STS_NONE, MTA_STS_TESTING, MTA_STS_ENFORCE };

struct mta_sts_policy {
    enum mta_sts_mode mode;
    uint64_t max_age_s;
    struct str hosts[MTA_STS_HOSTS_MAX]; /* "mx.example.org", "*.example.net"; views */
    size_t host_count;
};

bool mta_sts_record_is(struct str text);
bool mta_sts_record_parse(struct str text, struct str *ret_id, struct record_error *error);

bool mta_sts_policy_parse(struct str text, struct mta_sts_policy *ret, struct record_error *error);
const char *mta_sts_mode_word(enum mta_sts_mode m); /* "enforce" */
/* RFC 8461 4.1: "*." stands for one label. */
bool mta_sts_has(const struct mta_sts_policy *p, struct str host);
