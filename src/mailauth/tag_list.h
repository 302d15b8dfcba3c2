/* mailauth/tag_list.h - "v=DKIM1; k=rsa; p=…": the lists of tags that DKIM (RFC 6376 3.2), DMARC,
 * TLSRPT and MTA-STS records are. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/record.h"

#include <stddef.h>

enum { TAGS_MAX = 32 };

struct tag_list {
    struct tag {
        struct str name, value; /* without blanks around them; views */
    } tags[TAGS_MAX];
    size_t count;
};

/* Does the text begin with the tag v and this value ("DMARC1")? RFC 7489 6.3, RFC 8461 3.1. */
bool tag_list_is(struct str text, const char *version);
/* Empty places between semicolons are passed over, as everybody does. */
bool tag_list_parse(struct str text, struct tag_list *ret, struct record_error *error);
/* The value; its p is NULL: there is no such tag. Names are compared with regard to case. */
struct str tag_get(const struct tag_list *l, const char *name);
