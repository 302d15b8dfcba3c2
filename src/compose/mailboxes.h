/* compose/mailboxes.h - lists of addresses with the names of people, as somebody writes a message:
 * read strictly, so that a slip is told and not guessed away; printed for any reader.
 *
 * RFC 5322 3.4: names in quotes or without, comments (the old place of names), groups. Addresses by
 * mail/address.h: letters of all languages, domains in A-labels. (mail/address_list.h is for what
 * others wrote: it forgives, and knows no names.) Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "compose/words.h"

enum { MAILBOXES_MAX = 100000, MAILBOX_NAME_BYTES_MAX = 1000 };

struct mailbox {
    enum { MAILBOX, GROUP_BEGINS, GROUP_ENDS } kind;
    struct str name;    /* of the person or group, decoded, UTF-8; or empty */
    struct str address; /* of a MAILBOX: as address_print makes it */
};

struct mailboxes {
    struct mailbox *items;
    size_t count, room;
    size_t address_count; /* of MAILBOX among them */
    bool needs_utf8;      /* a local part is not ASCII (RFC 6532) */
};

/* Appends what is in text (UTF-8 without control characters). False: *error says what is wrong and
 * what would be right. Lives in the arena. */
bool mailboxes_parse(struct str text, struct arena *a, struct mailboxes *to, struct buf *error);
/* The value of a field. False: a name does not fit into the set, or all into f->to. */
bool mailboxes_print(struct fold *f, const struct mailboxes *m, struct coder *coder);
