/* base/map.c - open addressing with linear probing.
 *
 * A removed entry leaves a grave, so that removing never moves others (map_next may be under
 * way); graves at the end of a run are cleared at once and all of them when the table grows. */
// SPDX-License-Identifier: ISC
#include "base/map.h"

#include "base/check.h"
#include "base/codec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 16 };

struct slot { /* empty: value NULL, grave false */
    uint64_t hash;
    struct str key;
    void *value;
    bool grave;
};

struct map {
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t count, grave_count;
    uint64_t seed;
};

uint64_t hash_seed(void)
{
    static uint64_t last;

    /* One system call for the process: the seeds of later tables are drawn from the first. */
    if (last == 0 && getrandom(&last, sizeof(last), GRND_NONBLOCK) != sizeof(last))
        last = (uint64_t)(uintptr_t)&last;
    last = hash_bytes(last, str_n((const char *)&last, sizeof(last))) | 1;
    return last;
}

struct map *map_new(void)
{
    struct map *m = mem_new(sizeof(*m));

    m->seed = hash_seed();
    m->slot_count = FIRST_SLOTS;
    m->slots = mem_new(m->slot_count * sizeof(*m->slots));
    return m;
}

void map_free(struct map **m)
{
    if (!*m)
        return;
    free((*m)->slots);
    free(*m);
    *m = NULL;
}

size_t map_count(const struct map *m)
{
    return m->count;
}

static bool is_empty(const struct slot *s)
{
    return !s->value && !s->grave;
}

/* The slot of the key, or the first where it could go. There is always an empty slot. */
static struct slot *find_slot(const struct map *m, uint64_t hash, struct str key)
{
    struct slot *grave = NULL;

    for (size_t i = hash & (m->slot_count - 1);; i = (i + 1) & (m->slot_count - 1)) {
        struct slot *s = &m->slots[i];
        if (is_empty(s))
            return grave ? grave : s;
        if (s->grave && !grave)
            grave = s;
        if (s->value && s->hash == hash && str_eq(s->key, key))
            return s;
    }
}

void *map_get(const struct map *m, struct str key)
{
    return find_slot(m, hash_bytes(m->seed, key), key)->value;
}

static void rebuild(struct map *m)
{
    struct slot *old = m->slots;
    size_t old_count = m->slot_count;

    /* Mostly graves: the same size will do. */
    if (m->count >= m->slot_count / 3)
        m->slot_count *= 2;
    m->slots = mem_new(m->slot_count * sizeof(*m->slots));
    m->grave_count = 0;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].value)
            *find_slot(m, old[i].hash, old[i].key) = old[i];
    free(old);
}

void *map_put(struct map *m, struct str key, void *value)
{
    check(value != NULL);
    if ((m->count + m->grave_count + 1) * 4 > m->slot_count * 3)
        rebuild(m);

    uint64_t hash = hash_bytes(m->seed, key);
    struct slot *s = find_slot(m, hash, key);
    void *replaced = s->value;

    if (!replaced)
        m->count++;
    if (s->grave)
        m->grave_count--;
    *s = (struct slot){.hash = hash, .key = key, .value = value};
    return replaced;
}

static void clear_graves_before(struct map *m, size_t empty)
{
    for (size_t i = (empty - 1) & (m->slot_count - 1); m->slots[i].grave;
         i = (i - 1) & (m->slot_count - 1)) {
        m->slots[i].grave = false;
        m->grave_count--;
    }
}

void *map_remove(struct map *m, struct str key)
{
    struct slot *s = find_slot(m, hash_bytes(m->seed, key), key);
    void *removed = s->value;

    if (!removed)
        return NULL;
    *s = (struct slot){.grave = true};
    m->count--;
    m->grave_count++;
    size_t next = ((size_t)(s - m->slots) + 1) & (m->slot_count - 1);
    if (is_empty(&m->slots[next]))
        clear_graves_before(m, next);
    return removed;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->slot_count) {
        void *value = m->slots[(*at)++].value;
        if (value)
            return value;
    }
    return NULL;
}

struct str map_key_u64(const uint64_t *v)
{
    return str_n((const char *)v, sizeof(*v));
}
