/* compose/compose.h - building messages (RFC 5322, MIME) with GMime: for the command line and the
 * public library; no daemon links it.
 *
 * compose_new reads and checks everything that is small (addresses, headers, text, what the
 * attachments are); compose_write streams the message to a file, attachments 64 KiB at a time, so
 * memory does not grow with them. It may be called again with another encoding: what a server
 * offers is known only once it was greeted. Nothing here talks to a network.
 *
 * Structure: text alone; text and HTML in multipart/alternative; inline images with the HTML in
 * multipart/related; attachments around all in multipart/mixed. Names of files by RFC 2231,
 * headers by RFC 2047. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "mail/envelope.h"
#include "mailauth/dkim.h"

enum {
    COMPOSE_ATTACHMENTS_MAX = 1000,
    COMPOSE_HEADERS_MAX = 200,
    COMPOSE_TEXT_BYTES_MAX = 64 * 1024 * 1024,
};

struct compose_part { /* one attachment or inline image */
    const char *path;
    const char *name; /* shown to the receiver; NULL: that of the file */
    const char *type; /* "image/png"; NULL: by content (libmagic) */
    const char *id; /* what HTML calls an inline one, as in cid:ID; NULL: the name. With an @ it is
                          its Content-ID, else that is made of it, and HTML follows (cid.h) */
};

struct compose_limits { /* 0 and NULL: no limit */
    uint64_t part_bytes_max, all_bytes_max;
    const struct str *extensions; /* the only ones that may be attached, without dot */
    size_t extension_count;
    const struct str *types; /* likewise real types: "image/png", "image/" and an asterisk */
    size_t type_count;
};

struct compose_options {
    struct str from, sender, subject;     /* UTF-8; addresses as in a header: "Имя <a@b>" */
    const struct str *to, *cc, *reply_to; /* each may be a list, with groups */
    size_t to_count, cc_count, reply_to_count;
    const struct str *headers; /* further fields, "Name: value" in UTF-8; Date and Message-ID may be
                                  among them, instead of ours */
    size_t header_count;
    struct str text, html;    /* html without text: a text alternative is made from it */
    struct str input_charset; /* of text and html; empty: UTF-8 */
    const struct compose_part *attachments, *inlines;
    size_t attachment_count, inline_count;
    struct str
        charset; /* of the message: "koi8-r", "windows-1251"…; empty or "auto": ASCII where it
                           is enough, else UTF-8 */
    bool charset_auto; /* where a character does not fit: UTF-8 instead of an error */
    struct compose_limits limits;
    const struct dkim_signer *dkim; /* NULL: not signed */
    struct str hostname;            /* for Message-ID and boundaries */
    const struct clock *clock;
};

struct compose;

/* 0, or an exit code of sysexits.h with *error in words of the person's language: EX_DATAERR (bad
 * address, header, a character that does not fit: which, where, and what charset would),
 * EX_NOINPUT (a file), EX_USAGE. Everything in o must live as long as the compose. */
int compose_new(const struct compose_options *o, struct compose **ret, struct buf *error);
void compose_free(struct compose **c); /* NULL is fine */

/* The envelope's recipients as found in to and cc (bare addresses, each once), for a caller who
 * adds bcc. They live as long as the compose. */
const struct str *compose_recipients(const struct compose *c, size_t *count);
struct str compose_sender(const struct compose *c); /* the bare address of From */
bool compose_needs_utf8(const struct compose *c);   /* an address is not ASCII (RFC 6532) */

/* What the server lets us send: 7bit is always right. */
enum compose_encoding { COMPOSE_7BIT, COMPOSE_8BIT, COMPOSE_BINARY };

/* Streams the message with CRLF lines to fd (file or pipe), signed if wanted; then it is always
 * 7bit, which no relay needs to change (RFC 6376 5.3), and everything is read twice. progress (may
 * be NULL) is told after every 1 MiB or so of about `all`; false from it gives up (EX_TEMPFAIL).
 * Returns as compose_new, EX_IOERR for fd. *ret_body says how to declare it in MAIL. */
int compose_write(struct compose *c, enum compose_encoding encoding, int fd,
                  bool (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
                  enum body *ret_body, uint64_t *ret_bytes, struct buf *error);
