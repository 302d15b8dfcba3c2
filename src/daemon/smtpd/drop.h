/* smtpd/drop.h - a drop file (mail/drop.h) as the client of a session: what it says, and what it
 * makes of the answers. It waits for each answer, and reads nothing but its file.
 *
 * When recipients are refused for good it tells the sender, in a second message of the same
 * session: whoever wrote the file is gone. Nothing of it is believed before its checksum, and the
 * dot that ends the message is only said when it was right a second time. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "ipc/message.h"

struct drop;

/* Takes the descriptor; config is borrowed. */
struct drop *drop_new(int fd, const struct config *config, uint64_t now_us);
void drop_free(struct drop **d); /* NULL is fine */

/* Adds what it has to say now, at most 64 KiB; that may be nothing yet. False: it waits for an
 * answer or is finished. */
bool drop_says(struct drop *d, struct buf *to);
void drop_hears(struct drop *d, struct str replies);
bool drop_finished(const struct drop *d);
enum drop_verdict drop_verdict(const struct drop *d); /* DROP_LATER until it is finished */
struct str drop_why(const struct drop *d);
