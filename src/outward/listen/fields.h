/* listen/fields.h - the header of a message, judged and made readable. Pure. RFC 5322 3.6. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "outward/listen/judge.h"

enum { FIELDS_MAX = 200, FIELD_VALUE_BYTES_MAX = 2000 };

struct field { /* as a person reads it: decoded, unfolded, maybe cut */
    struct str name, value;
};

struct fields {
    struct field list[FIELDS_MAX];
    size_t count;
    struct str from_domain; /* of the first author, lower case; or empty */
    size_t hop_count;       /* Received fields */
};

struct fields_options {
    bool smtputf8;   /* was said with MAIL */
    uint64_t now_us; /* wall time */
    bool cut;        /* there was more of the header */
};

/* header: with its line ends. Texts of *ret live in the arena. */
void fields_judge(struct str header, const struct fields_options *o, struct arena *a,
                  struct judge *j, struct fields *ret);
/* The value of a field, or empty. */
struct str fields_get(const struct fields *f, const char *name);
