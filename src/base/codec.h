/* base/codec.h - encodings and checksums that have no mail in them. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

/* CRC-32C (Castagnoli), as in RFC 3720; start with 0, feed on with the last result. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the processor's instruction: what machines that lack it use. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

/* Base32 with the alphabet 0-9 a-z without i l o u: digits and letters in ASCII order, so that
 * fixed-width texts sort as their numbers. Writes `digits` characters, most significant first. */
void base32_put(char *to, size_t digits, uint64_t v);
bool base32_get(struct str s,
                uint64_t *ret); /* accepts capitals; false on a foreign letter or overflow */

/* RFC 4648 4, with padding. base64_get appends what text stands for; false (and nothing is added):
 * it is not exactly what base64_put makes, or it does not fit. */
void base64_put(struct buf *to, struct str bytes);
bool base64_get(struct buf *to, struct str text);

/* Hash of bytes for tables and filters (not against attackers who know the seed). */
uint64_t hash_bytes(uint64_t seed, struct str s);
