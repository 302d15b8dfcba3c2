/* outward/probe/findings.h - what there is to say about facts: rows of findings.def, with what they are about. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum severity {
    SEVERITY_BROKEN,  /* mail does not arrive, or somebody is harmed */
    SEVERITY_UNKNOWN, /* that could not be found out now */
    SEVERITY_WARNING,
    SEVERITY_NOTE,
    SEVERITY_GOOD,
    SEVERITY_COUNT
};

enum finding_id {
#define FINDING(name, id, severity, text, remedy) FINDING_##name,
#include "outward/probe/findings.def"
#undef FINDING
    FINDING_COUNT
};

enum { FINDINGS_MAX = 400, FINDING_BYTES_MAX = 2048 };

struct finding {
    enum finding_id id;
    enum severity severity;
    struct str about, what;
    const char *why;     /* marked for translation, or NULL */
    const char *meaning; /* likewise: of the words of a server (mail/explain.h) */
};

struct findings { /* texts live in the arena, or as long as the facts */
    struct arena *arena;
    struct finding list[FINDINGS_MAX]; /* more are left out */
    size_t count;
};

struct finding_row {
    const char *id;
    enum severity severity;
    const char *text, *remedy;
};
extern const struct finding_row finding_rows[FINDING_COUNT];

/* what is borrowed; why may be NULL. */
void find(struct findings *f, enum finding_id id, struct str about, struct str what,
          const char *why);
/* The same with another severity than its row has. */
void find_as(struct findings *f, enum severity severity, enum finding_id id, struct str about,
             struct str what, const char *why);
/* The same, with what a server's words mean. */
void find_explained(struct findings *f, enum finding_id id, struct str about, struct str what,
                    const char *meaning);
size_t findings_of(const struct findings *f, enum severity s); /* how many */
/* By severity; within one, in the order of findings.def. */
void findings_sort(struct findings *f);

/* The text of the row with everything in it; translated, or for machines as it is. */
void finding_print(struct buf *to, const struct finding *k, bool translated);
const char *severity_word(enum severity s); /* "broken", for --json; marked for translation */
