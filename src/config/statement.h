/* config/statement.h - the rows of statements.def as tables, and the only code that knows how a
 * row finds its field: parser, defaults, snapshot, printer and manual all go through here. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "config/value.h"

enum scope {
    SCOPE_TOP,
    SCOPE_LISTEN,
    SCOPE_CERTIFICATE,
    SCOPE_DOMAIN,
    SCOPE_ROUTE,
    SCOPE_SMARTHOST,
    SCOPE_DNS,
    SCOPE_TLS,
    SCOPE_COUNT
};

struct statement {
    const char *name;
    enum scope scope;
    enum value_kind kind;
    size_t offset;    /* of the field in its struct; a list is a pointer, its count follows */
    const char *text; /* default */
    const char *min, *max;
    const char *help, *since;
};

struct section {
    const char *name;
    enum value_kind title;
    size_t offset;    /* of the list in struct config; of the only one when single */
    size_t bytes;     /* of one */
    bool single;      /* stands in struct config itself, absent when its title is empty */
    bool untitled;    /* single, and always there: its defaults hold when it is not said */
    size_t at_offset; /* the title is at offset 0 */
    const char *help, *since;
};

extern const struct statement statements[];
extern const size_t statement_count;
extern const struct section sections[SCOPE_COUNT]; /* by scope; SCOPE_TOP has no name */

const struct statement *statement_find(enum scope scope, struct str name); /* or NULL */
enum scope section_find(struct str name);                                  /* SCOPE_TOP: none */
/* The known name in this scope that was probably meant, or NULL. */
const char *statement_suggest(enum scope scope, struct str name);

/* Sets the field of a row in base (a struct config or a section) from texts; false: what is wrong
 * with the first bad one is in why. */
bool statement_set(const struct statement *s, const struct str *texts, size_t count,
                   struct arena *a, void *base, struct buf *why);
bool statement_set_default(const struct statement *s, struct arena *a, void *base);
size_t statement_values(const struct statement *s, const void *base); /* how many it has */
void statement_print(const struct statement *s, const void *base, size_t index, struct buf *to);
/* The default as it would be written. */
void statement_print_default(const struct statement *s, struct buf *to);

size_t section_count(const struct config *c, enum scope scope);
void *section_at(const struct config *c, enum scope scope, size_t index);
/* Makes room for count sections (single: 0 or 1). */
void section_room(struct config *c, enum scope scope, size_t count);
struct str *section_title(enum scope scope, void *section);
struct str *section_place(enum scope scope, void *section); /* its `at` */
