/* smtpd/recipients.h - whom the message of a transaction goes to: a row for each place.
 *
 * Rows are encoded when they come, as the queue will read them (mail/envelope.h), and places are
 * remembered as 128 bits of hash: a recipient costs some 60 to 100 bytes, so 100,000 of one
 * message fit into what a worker may hold (docs/design/0024-recipients.md). */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "mail/envelope.h"

struct place;

struct recipients {
    struct buf rows; /* encoded */
    size_t count;    /* of them: an alias may be many */
    enum transport transport;
    struct buf next_hop, why; /* where the last one goes */
    struct place *places;     /* a hash table */
    size_t place_count, place_room;
    uint64_t seed;
};

void recipients_init(struct recipients *r);
void recipients_free(struct recipients *r);
/* An accepted recipient goes to these targets, encoded; a place that is there already gets nothing
 * more. False: they make no sense, or too much; nothing was added. */
bool recipients_add(struct recipients *r, struct str address, const struct notify *wish,
                    struct str targets);
size_t recipients_bytes(const struct recipients *r); /* held */
