/* mail/address_list.h - lists of mailboxes as header fields and command lines carry them.
 *
 * RFC 5322 3.4 with its obsolete forms, read forgivingly: names, comments and folding are thrown
 * away, groups are opened, a source route is dropped. What is left is the address as it was
 * written, maybe without a domain: address_qualify makes it whole and checks it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/address.h"

/* Cuts the next mailbox off *rest. False: there is none left. */
bool address_list_next(struct str *rest, struct arena *a, struct str *ret);

/* Parses a mailbox; one without a domain ("root") gets the given one. */
bool address_qualify(struct str text, struct str domain, struct arena *a, struct address *ret,
                     struct parse_error *error);

/* All mailboxes of To, Cc and Bcc, or, when there are any Resent- ones, of those instead: what
 * `sendmail -t` sends to. As written, in order; returns how many. */
size_t header_recipients(struct str message, struct arena *a, struct str **ret);
bool header_is_bcc(struct str name); /* Bcc or Resent-Bcc */
