/* compose/page.h - words set into lines: wrapped, indented, quoted; and tables of them. Pure.
 *
 * What is written goes into the cell of the innermost open table, or to the page's end. A table
 * whose cells are a line each and fit side by side is aligned; one that is only layout, as in most
 * mail, becomes its cells one below the other. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum {
    PAGE_TABLES_MAX = 8, /* in each other; what is deeper is set without columns */
    PAGE_PREFIXES_MAX = 16,
};

struct page;

struct page *page_new(size_t width, size_t bytes_max);
void page_free(struct page **p);               /* NULL is fine */
bool page_end(struct page *p, struct buf *to); /* appends all of it; false: it did not fit */

/* Text as it comes: blanks of all kinds separate words. */
void page_text(struct page *p, struct str utf8);
/* One word that is kept together and apart from its neighbours. */
void page_word(struct page *p, struct str utf8);
/* Text whose blanks and line ends stay. */
void page_verbatim(struct page *p, struct str utf8);

void page_break(struct page *p);             /* the next word starts a line */
void page_block(struct page *p, bool apart); /* likewise; apart: after an empty line */
/* A line of these; 0 columns: as wide as the line before, which it underlines. */
void page_rule(struct page *p, char c, size_t columns);

/* Lines from here on start with `first`, then `rest` (at most 8 bytes): "- " and "  ", or "> ". */
void page_prefix_begin(struct page *p, const char *first, const char *rest);
void page_prefix_end(struct page *p);

void page_table_begin(struct page *p);
void page_table_end(struct page *p);
void page_row(struct page *p);
void page_cell(struct page *p, bool heading);
