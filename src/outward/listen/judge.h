/* listen/judge.h - what is told about a sender: one row of findings.def each, once in its scope. Pure.
 *
 * Whatever looks at a sender tells what it saw to a struct judge; who made the judge hears of each
 * finding once for a session or a message, with the detail of the first time. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_COUNT };

enum finding {
#define FINDING(name, scope, severity, id, rfc, words) FOUND_##name,
#include "outward/listen/findings.def"
#undef FINDING
    FINDING_COUNT
};

struct finding_row {
    const char *id;    /* "bare-lf" */
    const char *rfc;   /* "RFC 5321 2.3.8" */
    const char *words; /* to be translated */
    enum severity severity;
    bool of_message; /* else of the session */
};

extern const struct finding_row finding_table[FINDING_COUNT];
const char *severity_name(enum severity s); /* "error" */

struct judge {
    /* detail may be empty; it lives for the call */
    void (*tell)(void *arg, enum finding what, struct str detail);
    void *arg;
    bool told[FINDING_COUNT]; /* private; zero-initialise */
};

void judge_message(struct judge *j); /* another message begins */
void judge_tell(struct judge *j, enum finding what, struct str detail);
void judge_printf(struct judge *j, enum finding what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
