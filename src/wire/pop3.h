/* wire/pop3.h - the client's grammar of POP3 (RFC 1939, 2449 CAPA, 2595 STLS, 5034 AUTH). Pure:
 * replies in, commands out. Enough to log in (POP before SMTP) and for `troika talk`; fetching
 * mailboxes comes on top of it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

/* RFC 2449 4: a reply's line has 512 bytes with its end; a challenge of AUTH may be longer. */
enum { POP3_LINE_BYTES_MAX = 512, POP3_CHALLENGE_BYTES_MAX = 16 * 1024 };

enum pop3_line { POP3_MORE, POP3_LINE, POP3_TOO_LONG };

/* Cuts the first line off `in`, without its CRLF (or LF): *used bytes belong to it. POP3_TOO_LONG
 * as soon as that is certain: a caller never holds more than POP3_CHALLENGE_BYTES_MAX. */
enum pop3_line pop3_line(struct str in, struct str *ret, size_t *used);

enum pop3_reply_kind { POP3_OK, POP3_ERR, POP3_CHALLENGE /* "+ " of AUTH */, POP3_NONSENSE };

struct pop3_reply {
    enum pop3_reply_kind kind;
    struct str code; /* "AUTH", "SYS/TEMP": RFC 2449 and 3206 response code, or empty */
    struct str text; /* a view into the line */
};

/* One line without its CRLF. */
struct pop3_reply pop3_reply_parse(struct str line);
/* The timestamp of a greeting for APOP (RFC 1939 7), with its angle brackets, or empty. */
struct str pop3_timestamp(struct str greeting);

/* Of an answer of several lines, one without its CRLF: false at the last one, ".". Else *line is
 * what it stands for, without a stuffed dot (RFC 1939 3). */
bool pop3_multi_line(struct str *line);

struct pop3_capabilities {
    bool stls, user, top, uidl, pipelining;
    char sasl[256]; /* "PLAIN CRAM-MD5", or empty; what does not fit whole is left out */
};
void pop3_capability(struct pop3_capabilities *c, struct str line); /* one line of CAPA's answer */

/* May it stand behind USER, PASS or APOP? One line, nothing that would end it. */
bool pop3_argument_valid(struct str text);
