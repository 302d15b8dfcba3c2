/* mail/reply.h - every reply Troika can give, from one table: replies.def.
 *
 * A row: name, code, enhanced code ("" for the greeting, HELO/EHLO answers and 3xx), text (may
 * hold one %s for what the reply is about), cause, what to do. `HELP CODE`, docs/replies.md and
 * the delivery reports are made from it. Adding a reply is one row. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/status.h"

enum reply_name {
#define REPLY(name, code, enhanced, text, cause, remedy) REPLY_##name,
#include "mail/replies.def"
#undef REPLY
    REPLY_COUNT
};

struct reply_row {
    const char *name;
    uint16_t code;
    const char *enhanced;
    const char *text;
    const char *cause;
    const char *remedy;
};

extern const struct reply_row reply_table[REPLY_COUNT];

/* The status of a row; `about` replaces %s. What is not printable ASCII in it becomes '?', but a
 * '\n' stays where the text of a 2xx row is nothing but %s: HELP and EHLO have several lines. */
struct status reply_status(enum reply_name name, struct str about);
/* Appends wire lines: "250 2.1.0 text CRLF"; text with '\n' in it makes a multiline reply, the
 * enhanced code repeated in each line (RFC 2034 4). enhanced = false leaves the code out. Lines
 * stay within 512 bytes. */
void reply_print(struct buf *to, const struct status *st, bool enhanced);

/* The row a status was made from: same codes and its text around the %s. NULL: none of ours. */
const struct reply_row *reply_row_of(const struct status *st);
/* docs/replies.md: all rows in Markdown, by code, with cause and remedy. */
void reply_manual(struct buf *to);
