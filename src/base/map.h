/* base/map.h - a hash table from a borrowed key to a pointer.
 *
 * Keys are not copied: they must live as long as their entry (usually they are part of the
 * value). The seed is random for each table. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

struct map;

struct map *map_new(void);
void map_free(struct map **m); /* values are the caller's */
size_t map_count(const struct map *m);
void *map_get(const struct map *m, struct str key);        /* NULL: not there */
void *map_put(struct map *m, struct str key, void *value); /* returns what was replaced, or NULL */
void *map_remove(struct map *m, struct str key);           /* returns what was removed, or NULL */
/* Walks all entries in no order: start with *at = 0; NULL at the end. The entry just returned may
 * be removed. */
void *map_next(const struct map *m, size_t *at);

uint64_t hash_seed(void);                  /* another each time; for hash_bytes */
struct str map_key_u64(const uint64_t *v); /* the 8 bytes of *v as a key */
