/* outward/probe/findings.c - see findings.h. */
// SPDX-License-Identifier: ISC
#include "outward/probe/findings.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/translate.h"

const struct finding_row finding_rows[FINDING_COUNT] = {
#define FINDING(name, id, severity, text, remedy)                                                  \
    [FINDING_##name] = {id, SEVERITY_##severity, text, remedy},
#include "outward/probe/findings.def"
#undef FINDING
};

const char *severity_word(enum severity s)
{
    static const char *const words[SEVERITY_COUNT] = {
        [SEVERITY_BROKEN] = N_("broken"), [SEVERITY_UNKNOWN] = N_("unknown"),
        [SEVERITY_WARNING] = N_("weak"),  [SEVERITY_NOTE] = N_("note"),
        [SEVERITY_GOOD] = N_("fine"),
    };

    return words[s];
}

void find_as(struct findings *f, enum severity severity, enum finding_id id, struct str about,
             struct str what, const char *why)
{
    if (f->count < FINDINGS_MAX)
        f->list[f->count++] = (struct finding){
            .id = id, .severity = severity, .about = about, .what = what, .why = why};
}

void find(struct findings *f, enum finding_id id, struct str about, struct str what,
          const char *why)
{
    find_as(f, finding_rows[id].severity, id, about, what, why);
}

void find_explained(struct findings *f, enum finding_id id, struct str about, struct str what,
                    const char *meaning)
{
    size_t at = f->count;

    find(f, id, about, what, NULL);
    if (f->count > at)
        f->list[at].meaning = meaning;
}

size_t findings_of(const struct findings *f, enum severity s)
{
    size_t count = 0;

    for (size_t i = 0; i < f->count; i++)
        if (f->list[i].severity == s)
            count++;
    return count;
}

static bool comes_before(const struct finding *a, const struct finding *b)
{
    return a->severity != b->severity ? a->severity < b->severity : a->id < b->id;
}

/* Few, and those that are equal stay in order. */
void findings_sort(struct findings *f)
{
    for (size_t i = 1; i < f->count; i++) {
        struct finding one = f->list[i];
        size_t to = i;

        for (; to > 0 && comes_before(&one, &f->list[to - 1]); to--)
            f->list[to] = f->list[to - 1];
        f->list[to] = one;
    }
}

/* ---- words ---- */

static const char *shown(const char *text, bool translated)
{
    return translated && text && *text ? _(text) : text;
}

void finding_print(struct buf *to, const struct finding *k, bool translated)
{
    struct str rest = str_c(shown(finding_rows[k->id].text, translated));
    const struct {
        struct str mark, value;
    } marks[] = {
        {STR("{about}"), k->about},
        {STR("{what}"), k->what},
        {STR("{why}"), str_c(shown(k->why, translated))},
    };

    while (rest.n > 0) {
        size_t plain = str_find(rest, '{');
        size_t skip = 1;

        buf_add(to, str_sub(rest, 0, plain));
        rest = str_skip(rest, plain);
        for (size_t i = 0; i < countof(marks) && rest.n > 0; i++)
            if (str_starts(rest, marks[i].mark)) {
                buf_add(to, marks[i].value);
                skip = marks[i].mark.n;
            }
        if (skip == 1)
            buf_add(to, str_sub(rest, 0, 1));
        rest = str_skip(rest, skip);
    }
}
