/* listen/judge.c - see judge.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/judge.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/translate.h"

enum { DETAIL_BYTES_MAX = 400, OF_SESSION = 0, OF_MESSAGE = 1 };

const struct finding_row finding_table[FINDING_COUNT] = {
#define FINDING(name, scope, severity, id, rfc, words)                                             \
    [FOUND_##name] = {id, rfc, words, SEVERITY_##severity, OF_##scope},
#include "outward/listen/findings.def"
#undef FINDING
};

const char *severity_name(enum severity s)
{
    static const char *const names[SEVERITY_COUNT] = {"note", "warning", "error"};

    return names[s];
}

void judge_message(struct judge *j)
{
    for (size_t i = 0; i < FINDING_COUNT; i++)
        j->told[i] = j->told[i] && !finding_table[i].of_message;
}

void judge_tell(struct judge *j, enum finding what, struct str detail)
{
    if (j->told[what])
        return;
    j->told[what] = true;
    j->tell(j->arg, what, str_sub(detail, 0, DETAIL_BYTES_MAX));
}

void judge_printf(struct judge *j, enum finding what, const char *format, ...)
{
    char text[DETAIL_BYTES_MAX + 1];
    va_list list;

    if (j->told[what])
        return;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    judge_tell(j, what, str_c(text));
}
