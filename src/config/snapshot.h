/* config/snapshot.h - a struct config as bytes, between our own processes.
 *
 * Values travel as the texts value_print makes, and go through value_parse again when they are
 * read: nothing gets into a worker that could not stand in a file. One config has exactly one
 * snapshot. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"

enum { SNAPSHOT_BYTES_MAX = 8 << 20 };

void snapshot_encode(struct buf *to, const struct config *c);
/* 0; -EBADMSG: no snapshot, or one of another version of Troika. */
int snapshot_decode(struct str bytes, struct config **ret);
