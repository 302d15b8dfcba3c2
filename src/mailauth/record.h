/* mailauth/record.h - what is wrong with a record of a domain's policy, for whoever has to mend it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"
#include "base/translate.h"

struct record_error {
    const char *why; /* a constant, marked for translation: "an unknown mechanism"; NULL: nothing */
    struct str at;   /* the part of the record that it is about; may be empty */
};

/* Sets *error, the first time only, and is false. */
static inline bool record_wrong(struct record_error *error, const char *why, struct str at)
{
    if (!error->why)
        *error = (struct record_error){why, at};
    return false;
}
