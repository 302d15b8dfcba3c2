/* mailauth/dane.h - does a chain of certificates fit the TLSA records of a mail server? RFC 6698,
 * RFC 7671, RFC 7672. Pure: records, certificates and the time come in, a verdict goes out.
 *
 * The records must come from answers that DNSSEC secures; that is the caller's matter. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/record.h"

#include <stddef.h>

enum { TLSA_RECORDS_MAX = 32, DANE_CERTIFICATES_MAX = 10, DANE_NAMES_MAX = 4 };

struct tlsa {
    uint8_t usage, selector, matching;
    struct str bytes;
};

struct dane_input {
    const struct tlsa *records;
    size_t record_count;
    const struct str *certificates; /* DER; the server's own first */
    size_t certificate_count;
    const struct str *names; /* of which the certificate may be, RFC 7672 3.2; the first: the MX */
    size_t name_count;
    uint64_t now_s;
};

enum dane_verdict {
    DANE_VALID,
    DANE_UNUSABLE, /* no record that mail knows (RFC 7672 3.1.3): senders want TLS, and no more */
    DANE_INVALID,
};

/* Why mail servers pass over this record, in words; NULL: they use it. RFC 7672 3.1. */
const char *tlsa_trouble(const struct tlsa *t);
/* DANE_INVALID: *ret_why says it in words (a constant), and may be NULL. */
enum dane_verdict dane_verify(const struct dane_input *in, const char **ret_why);
