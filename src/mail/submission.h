/* mail/submission.h - a message as a program pipes it into `sendmail`, made whole. Pure.
 *
 * What is there stays as it is, lines in CRLF or LF; From, Date and Message-ID are added on top
 * where they are missing, Bcc is taken out, and so is a mailbox's "From " line. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct submission {
    struct str sender;    /* of the envelope, printed; empty: a notification */
    struct str full_name; /* of who sends, or empty */
    struct str hostname;
    uint64_t time_us;
    uint64_t random[2]; /* for the Message-ID */
};

/* The message without the "From " line of a mailbox. */
struct str submission_message(struct str input);
/* Writes the header section with the blank line behind it, and says where the body starts: a view
 * into message. */
struct str submission_header(struct buf *to, struct str message, const struct submission *s);
