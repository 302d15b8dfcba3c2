/* outward/talk/answer.h - what a server says, line by line, however odd it is. Pure.
 *
 * wire/smtp.h reads replies for programs, which give up at the first nonsense. A person wants to
 * see every line as soon as it is there, also of a server that speaks another protocol. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { ANSWER_LINE_BYTES_MAX = 8192, ANSWER_TEXT_BYTES_MAX = 32 * 1024 };

enum answer_event {
    ANSWER_MORE,     /* no whole line yet */
    ANSWER_LINE,     /* a line of a reply that goes on */
    ANSWER_REPLY,    /* the last line of one: what the reader holds is the whole reply */
    ANSWER_NONSENSE, /* a line that is no reply */
};

enum answer_kind { ANSWER_CODE, ANSWER_OK, ANSWER_ERR, ANSWER_CHALLENGE };

struct answer_reader {
    bool pop3;
    bool
        lists; /* POP3: the next positive answer is followed by lines up to a dot; set by the asker */

    /* the reply, until the next answer_read */
    enum answer_kind kind;
    uint16_t code; /* of SMTP: 0 between replies */
    size_t line_count;
    struct buf
        text; /* without codes, lines separated by '\n'; what is over the limit is left out */
    struct buf name; /* POP3: the code in brackets */

    bool complete, listing; /* private */
};

void answer_init(struct answer_reader *r, bool pop3);
void answer_free(struct answer_reader *r);
/* Nothing of a reply was read yet; as after connecting. */
void answer_reset(struct answer_reader *r);
/* Looks at `in` from its start; *used says how much to drop, *line is the line without its end.
 * What is longer than ANSWER_LINE_BYTES_MAX comes in pieces, which are nonsense. */
enum answer_event answer_read(struct answer_reader *r, struct str in, struct str *line,
                              size_t *used);
/* Is there more of this reply to come? */
bool answer_goes_on(const struct answer_reader *r);
/* +OK or 2xx, 3xx. */
bool answer_positive(const struct answer_reader *r);
