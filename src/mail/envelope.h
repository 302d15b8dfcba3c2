/* mail/envelope.h - who a message is from and to, apart from its bytes; and how that is written
 * between our processes and into the spool.
 *
 * A recipient has been routed: transport and next hop say where it goes (src/route). */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "mail/notify.h"

enum transport {
    TRANSPORT_NONE,  /* nowhere: refused */
    TRANSPORT_LOCAL, /* next hop: a mailbox folder below STATE/mail, "example.org/bill" */
    /* next hop: "host:port", "[::1]:25"; or "@example.org", "@[192.0.2.1]": by DNS, whatever takes
     * the mail of such an address */
    TRANSPORT_RELAY,
    TRANSPORT_COUNT
};

const char *transport_name(enum transport t); /* "local", "relay" */

struct target { /* where one recipient goes */
    enum transport transport;
    struct str next_hop;
    struct str address; /* the final recipient, printed; empty never */
    struct str why;     /* the statement that decided: "troika.conf:12 domain example.org" */
};

/* What the bytes of a message may be: each may be more than the one before. */
enum body {
    BODY_7BIT,
    BODY_8BIT,   /* BODY=8BITMIME was said: lines of any bytes but NUL */
    BODY_BINARY, /* BODY=BINARYMIME: any bytes at all, RFC 3030. Only MIME ends its lines. */
    BODY_COUNT
};

struct recipient {
    struct str address; /* as in RCPT TO, printed without < > */
    struct notify notify;
    struct target target;
};

/* What a next hop must understand of UTF-8, apart from addresses, which tell it themselves. */
enum message_utf8 {
    UTF8_UNSAID, /* the client did not say SMTPUTF8 */
    UTF8_SAID,   /* it did; but the header is ASCII, so a hop without it will do */
    UTF8_HEADER, /* the header is UTF-8 (RFC 6532) */
    UTF8_COUNT
};

struct envelope {
    struct str sender; /* printed without < >; empty: a notification */
    struct str
        client; /* who handed it over, one line of key=value pairs: client=[…] helo=… with=ESMTP */
    enum body body;
    enum message_utf8 utf8;
    enum notify_return ret;
    struct str envid; /* decoded; or empty */
    size_t recipient_count;
    struct recipient *recipients;
};

void envelope_encode(struct buf *to, const struct envelope *e);
/* The same in two steps, for who does not keep the recipients as structs: the head says how many
 * there are, then each is encoded with where the one before it goes (NULL: it is the first). */
void envelope_head_encode(struct buf *to, const struct envelope *e);
void recipient_encode(struct buf *to, const struct target *before, const struct recipient *r);
struct str recipient_first(struct str encoded); /* the address of the first one */
/* Everything is copied into the arena. False: not one of ours; *ret untouched. */
bool envelope_decode(struct str bytes, struct arena *a, struct envelope *ret);

void target_encode(struct buf *to, const struct target *t);
bool target_decode(struct reader *r, struct target *ret); /* views into what is read */
