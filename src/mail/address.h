/* mail/address.h - mailboxes as they stand in envelopes: parse, print, compare.
 *
 * Grammar: RFC 5321 4.1.2 (Path, Mailbox, address literals 4.1.3), letters of all languages by RFC
 * 6531 3.3; sizes 4.5.3.1 (local part 64, domain 255, path 256 octets). A local part is kept
 * without its quotes, in NFC; printing adds them when needed. A domain is kept in A-labels,
 * whichever way it was written (mail/idn.h), so that bytes compare; local parts compare byte for
 * byte (postmaster without case). */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { LOCAL_PART_BYTES_MAX = 64, DOMAIN_BYTES_MAX = 255, ADDRESS_BYTES_MAX = 320 };

struct address {
    struct str local;  /* unquoted */
    struct str domain; /* lower case, ASCII, without a final dot; "[…]" literals as they came; may
                          be empty only for <postmaster> (RFC 5321 4.5.1) */
};

struct parse_error {
    const char *text; /* what is wrong and what would be right, a constant: for _() */
    size_t at;        /* offset in the input */
};

/* A whole mailbox, nothing before or after: "bill@example.org". Copies into the arena. */
bool address_parse(struct str s, struct arena *a, struct address *ret, struct parse_error *error);

enum path_flags {
    PATH_MAY_BE_EMPTY = 1,      /* <> : MAIL FROM */
    PATH_MAY_BE_POSTMASTER = 2, /* <postmaster> without a domain : RCPT TO */
    PATH_LENIENT = 4,           /* also without < > ; blanks around it */
};
/* Cuts a Path off *s: "<@route:bill@example.org> SIZE=1" leaves " SIZE=1". A source route is
 * read and thrown away (RFC 5321 appendix C). An empty path gives an address of two empty strs. */
bool path_parse(struct str *s, unsigned flags, struct arena *a, struct address *ret,
                struct parse_error *error);

/* bill@example.org, "b ill"@example.org; nothing for the empty address. */
void address_print(struct buf *to, const struct address *address);
struct str address_text(struct arena *a, const struct address *address);

/* A domain or address literal in ASCII as EHLO, MAIL and configuration take it. RFC 5321 4.1.2, 4.1.3.
 * lenient also takes underscores and single labels. */
bool domain_valid(struct str s, bool lenient);
/* Does the local part route to somewhere else in an older syntax: a%b, a!b, @ inside (RFC 5321
 * appendix F.. "source routing")? Such recipients are never local names by accident. */
bool local_part_routes(struct str local);
