/* config/verify.h - what must hold between statements: no domain twice, no route to ourselves, no
 * open relay. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/parse.h"
#include "config/problem.h"
#include "config/syntax.h"

struct verify {
    const struct config *config;
    const struct machine *machine;
    const struct syntax *syntax; /* for the lines */
    struct problems *problems;
};

void verify_config(const struct verify *v);
/* The line of the section with this number among those of its scope; 0: none. */
unsigned verify_section_line(const struct syntax *s, enum scope scope, size_t index);
