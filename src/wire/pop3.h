/* wire/pop3.h - the client's grammar of POP3 (RFC 1939, 2449 CAPA, 2595 STLS, 5034 AUTH). Pure:
 * replies in, commands out. Enough to log in (POP before SMTP) and for `troika talk`; fetching
 * mailboxes comes on top of it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { POP3_LINE_BYTES_MAX = 512, POP3_CHALLENGE_BYTES_MAX = 16 * 1024 };

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

struct pop3_capabilities {
    bool stls, user, top, uidl, pipelining;
    char sasl[256]; /* "PLAIN CRAM-MD5", or empty */
};
void pop3_capability(struct pop3_capabilities *c, struct str line); /* one line of CAPA's answer */
