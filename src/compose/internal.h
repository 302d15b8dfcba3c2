/* compose/internal.h - what the files of compose share about a message under way. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "compose/compose.h"
#include "compose/content.h"
#include "compose/file.h"
#include "compose/mailboxes.h"

enum { BOUNDARY_BYTES = 40 };

/* multipart/mixed around multipart/alternative around multipart/related: the most there can be. */
enum multipart { MIXED, ALTERNATIVE, RELATED, MULTIPART_COUNT };

struct text_part {
    const char *subtype; /* "plain", "html" */
    struct buf lines;    /* UTF-8, each ends in CRLF */
    struct buf coded;    /* the same in another set; unused when that is UTF-8 */
    struct content_facts facts;
    bool there;
    bool made; /* of the HTML, by us */
};

struct field { /* a further one */
    struct str name, value;
};

struct compose {
    const struct compose_options *o;
    struct arena arena;
    struct mailboxes from, sender, reply_to, to, cc;
    struct str *recipients;
    size_t recipient_count;
    struct field *fields;
    struct str host; /* behind the @ of Message-ID and Content-ID */
    struct text_part text, html;
    struct file *files; /* attachments, then inlines */
    size_t file_count;
    const struct charset *charset; /* of all texts and names */
    struct coder *coder;           /* into it */
    struct buf header;             /* all of it but MIME's own fields of the body */
    char boundaries[MULTIPART_COUNT][BOUNDARY_BYTES];
};

/* fields.c: checks what stands in header fields, writes them. */
int fields_take(struct compose *c, struct buf *error);
int fields_print(struct compose *c, struct buf *error);
/* The text must be UTF-8 on one line, without control characters: no field can be smuggled in. */
int fields_check(const char *what, struct str text, struct buf *error);

/* texts.c: text, HTML and the one made from the other; their character set. */
int texts_take(struct compose *c, struct buf *error);
int texts_choose_charset(struct compose *c, struct buf *error);
struct str text_bytes(const struct compose *c, const struct text_part *t); /* in the set */

/* Letters and digits nobody can foresee; n of them and a NUL. */
void random_letters(char *to, size_t n);
