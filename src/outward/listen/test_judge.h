/* listen/test_judge.h - for tests: a judge that writes down what it is told: "bare-lf (line 2)". */
// SPDX-License-Identifier: ISC
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "outward/listen/judge.h"

static inline void test_told(void *arg, enum finding what, struct str detail)
{
    struct buf *to = arg;

    buf_printf(to, "%s%s", to->n > 0 ? ", " : "", finding_table[what].id);
    if (detail.n > 0)
        buf_printf(to, " (%.*s)", STR_ARG(detail));
}

static inline struct judge test_judge(struct buf *to)
{
    return (struct judge){.tell = test_told, .arg = to};
}
