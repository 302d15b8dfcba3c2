/* outward/probe/report.h - what was found, for a person or for a machine. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/probe/facts.h"
#include "outward/probe/findings.h"

struct report {
    const struct facts *facts;
    const struct findings *findings;
    struct str about; /* what was asked for, readable */
    bool verbose;     /* also what is not there, and what is fine in detail */
    bool colours;
    size_t columns;
};

void report_print(const struct report *r); /* to standard output */
void report_json(const struct report *r);  /* one object, in one line */

/* Text in lines of so many columns; those behind the first begin with `indent` blanks, and the
 * first has used as many already. Words that are longer stand alone. Letters count as one column. */
void report_wrap(struct buf *to, struct str text, size_t indent, size_t columns);
const char *report_type_word(enum dns_type t); /* "MX" */
/* What the answer says, in one line: "10 mx.example.org, 20 …"; words where it says nothing. */
void report_answer(struct buf *to, enum dns_type type, const struct fact_answer *a);
