/* mailauth/spf_record.h - an SPF record, read whole. RFC 7208 3-7 and 12. Pure.
 *
 * Any fault of syntax, wherever it stands, spoils the whole record (RFC 7208 4.6), so it is read to
 * its end before anything of it counts. Everything in the result is a view into the text. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "mailauth/record.h"

#include <stddef.h>

enum {
    SPF_TERMS_MAX = 200,
    SPF_LOOKUPS_MAX = 10,     /* terms that ask DNS, of a whole evaluation. RFC 7208 4.6.4 */
    SPF_VOID_LOOKUPS_MAX = 2, /* of these, so many may find nothing */
    SPF_HOSTS_MAX = 10,       /* MX or PTR records of one term */
};

enum spf_mechanism {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_MECHANISM_COUNT
};

struct spf_term {
    struct str text; /* as it is written */
    char qualifier;  /* '+', '-', '~', '?' */
    enum spf_mechanism mechanism;
    struct str domain;   /* with macros in it; empty: the domain that the record is of */
    uint8_t address[16]; /* ip4: the first 4 */
    uint8_t bits4, bits6;
};

struct spf_record {
    struct spf_term terms[SPF_TERMS_MAX];
    size_t count;
    struct str redirect, explanation; /* with macros; empty: none */
    struct str mistaken;  /* a modifier called like a mechanism ("ip4=…"): it means nothing */
    struct str after_all; /* the first term behind "all": nobody looks at it */
};

/* RFC 7208 4.5: "v=spf1" alone or with a blank behind it, in any case. */
bool spf_record_is(struct str text);
bool spf_record_parse(struct str text, struct spf_record *ret, struct record_error *error);
bool spf_asks(enum spf_mechanism m); /* counts towards SPF_LOOKUPS_MAX; redirect does, too */
const struct spf_term *spf_all(const struct spf_record *r); /* or NULL */
/* The name that a domain with macros means for mail of this domain, where that does not depend on
 * the message: %{d} is known, the sender and the client are not. False: they are needed. */
bool spf_expand(struct str spec, struct str domain, struct arena *a, struct str *ret);
