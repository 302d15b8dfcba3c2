/* mail/fold.h - text written word by word, folded before a word that would make a line longer
 * than RFC 5322 2.1.1 wants. A single longer word stands on a line of its own. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct fold {
    struct buf *to;
    const char *indent; /* what every further line starts with */
    size_t indent_width, column;
    bool at_start; /* of a line: no blank before the next word */
    bool utf8;     /* letters outside ASCII may stand there (RFC 6532); set it after the start */
};

/* Writes "NAME:"; further lines start with a tab. */
struct fold fold_field(struct buf *to, const char *name);
/* Plain text whose lines all start with indent (blanks). */
struct fold fold_paragraph(struct buf *to, const char *indent);
void fold_word(struct fold *f, struct str word);
/* A word that will be of another width than its bytes are now. */
void fold_wide_word(struct fold *f, struct str word, size_t width);
/* All words of a text; what may not stand there becomes '?', and line ends are blanks. */
void fold_text(struct fold *f, struct str text);
/* A text as one word, its blanks kept; what may not stand there becomes '?'. */
void fold_token(struct fold *f, struct str text);
void fold_line(struct fold *f); /* goes to the next line */
void fold_end(struct fold *f);  /* the last line's CRLF */
