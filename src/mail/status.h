/* mail/status.h - the outcome of a mail operation: one object from parser to reply, log, trace
 * and delivery report.
 *
 * code: the three-digit SMTP reply (RFC 5321 4.2), 0 where no dialogue was involved.
 * class.subject.detail: the enhanced code (RFC 3463, registry of RFC 5248). class decides:
 * 2 done, 4 try later, 5 never. text: words for a person, without the codes. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { STATUS_TEXT_BYTES_MAX = 512 };

struct status {
    uint16_t code;
    uint8_t class, subject, detail;
    char text[STATUS_TEXT_BYTES_MAX]; /* NUL-terminated; longer texts are cut */
    bool bare; /* printed as a reply without the enhanced code: the greeting, EHLO answers, 354 */
};

struct status status_make(uint16_t code, uint8_t class, uint8_t subject, uint8_t detail,
                          struct str text);
/* "2.1.5" into *s; false when it is no enhanced code. Only class, subject, detail are set. */
bool status_parse_enhanced(struct str s, struct status *ret);
/* Reads a remote reply's code and text ("5.1.1 no such user", several lines separated by '\n');
 * without an enhanced code of the same class makes CLASS.0.0 from the reply code. A code that is
 * no 2xx, 4xx or 5xx counts as 4: try later. */
struct status status_from_reply(uint16_t code, struct str text);
void status_print_enhanced(struct buf *to, const struct status *st); /* "5.1.1" */

static inline bool status_done(const struct status *st)
{
    return st->class == 2;
}
static inline bool status_try_later(const struct status *st)
{
    return st->class == 4;
}
static inline bool status_never(const struct status *st)
{
    return st->class == 5;
}
