/* crash/explore.c - see explore.h. */
// SPDX-License-Identifier: ISC
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
    PENDING_MAX = 4096,
    SINGLES_MAX = 48, /* of a kind at one position; beyond, chance picks them */
    SECOND_DEPTH = 1,
};

enum fate_of_step { MISSING, THERE, TORN };

/* One log being cut: the first is the story's, those of recoveries come below it. */
struct level {
    const struct log *log;
    struct image durable;
    size_t pending[PENDING_MAX]; /* steps that no sync has covered */
    uint8_t fates[PENDING_MAX];
    size_t count;
    size_t at;          /* steps made before the crash */
    size_t promised_at; /* at, or for a recovery: where the story ended */
    unsigned depth;
    struct after after;
    size_t answered_at; /* the recovery's own message was durable */
    uint64_t seed;
};

struct explorer {
    struct story *story;
    const struct explore_options *o;
    struct verifier v;
    struct tally *tally;
    uint64_t *tried; /* a set of states, by hash */
    size_t tried_count, tried_room;
    size_t turn; /* states met: whose is the next? */
};

static void explore_log(struct explorer *x, struct level *l);

/* ---- what was tried ---- */

static uint64_t *slot_of(uint64_t *set, size_t room, uint64_t hash)
{
    size_t i = (size_t)hash & (room - 1);

    while (set[i] != 0 && set[i] != hash)
        i = (i + 1) & (room - 1);
    return &set[i];
}

static void tried_grow(struct explorer *x)
{
    size_t room = x->tried_room * 2 + 65536 * (x->tried_room == 0);
    uint64_t *set = mem_new(room * sizeof(*set));

    for (size_t i = 0; i < x->tried_room; i++)
        if (x->tried[i] != 0)
            *slot_of(set, room, x->tried[i]) = x->tried[i];
    free(x->tried);
    x->tried = set;
    x->tried_room = room;
}

static bool tried_before(struct explorer *x, uint64_t hash)
{
    if (x->tried_count * 2 >= x->tried_room)
        tried_grow(x);
    uint64_t *at = slot_of(x->tried, x->tried_room, hash | 1);
    if (*at != 0)
        return true;
    *at = hash | 1;
    x->tried_count++;
    return false;
}

static size_t promises_until(const struct story *s, size_t at)
{
    size_t low = 0;
    size_t high = s->said_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->said_at[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t tear_seed(const struct level *l, size_t step)
{
    return mix(l->seed ^ (step * 2654435761u)) | 1;
}

/* The same disk and the same promises give the same number. Which steps are durable follows from
 * the number of syncs before; they are folded in with the others. */
static uint64_t state_hash(const struct explorer *x, const struct level *l)
{
    uint64_t hash = mix(l->seed * (l->depth > 0)) ^ mix(promises_until(x->story, l->promised_at));
    size_t next = 0;

    for (size_t i = 0; i < l->at; i++) {
        bool pending = next < l->count && l->pending[next] == i;
        unsigned fate = pending ? l->fates[next++] : THERE;
        if (l->log->steps[i].kind != STEP_SYNC && fate != MISSING)
            hash ^= mix(i * 4 + fate + 1);
    }
    return hash ^ (l->depth > 0 && l->at >= l->answered_at);
}

/* ---- one state ---- */

static void tell(const struct explorer *x, const struct level *l)
{
    static const char *const words[] = {"missing", "there", "torn"};

    (void)printf("VIOLATION seed %llu, crash after step %zu%s: %s\n",
                 (unsigned long long)x->o->seed, l->at,
                 l->depth > 0 ? " of the recovery from an earlier crash" : "", x->v.problem);
    for (size_t i = l->at > 12 ? l->at - 12 : 0; i < l->at; i++)
        step_print(&l->log->steps[i], i);
    (void)printf("  of the steps that no sync had covered, not there:\n");
    for (size_t i = 0; i < l->count; i++)
        if (l->fates[i] != THERE) {
            (void)printf("  %-7s", words[l->fates[i]]);
            step_print(&l->log->steps[l->pending[i]], l->pending[i]);
        }
}

static void crash_again(struct explorer *x, const struct level *l, const struct image *disk)
{
    struct level *second = mem_new(sizeof(*second));
    struct log log;

    log_init(&log, disk->file_count);
    if (verify(&x->v, disk, l->promised_at, &l->after, &log, &second->answered_at)) {
        second->log = &log;
        second->depth = l->depth + 1;
        second->promised_at = l->promised_at;
        second->after.letter_key = x->v.letter_after_key;
        second->seed = mix(l->seed + l->at);
        image_clone(&second->durable, disk);
        explore_log(x, second);
        image_done(&second->durable);
    }
    log_done(&log);
    free(second);
}

static void try_disk(struct explorer *x, const struct level *l, const struct image *disk)
{
    size_t ignored;
    size_t promises = x->v.promises;
    bool good = verify(&x->v, disk, l->promised_at, &l->after, NULL, &ignored);

    (void)__atomic_add_fetch(l->depth > 0 ? &x->tally->second_states : &x->tally->states, 1,
                             __ATOMIC_RELAXED);
    (void)__atomic_add_fetch(&x->tally->promises, x->v.promises - promises, __ATOMIC_RELAXED);
    if (!good) {
        (void)__atomic_add_fetch(&x->tally->violations, 1, __ATOMIC_RELAXED);
        if (!x->o->quiet)
            tell(x, l);
    } else if (l->depth < SECOND_DEPTH && x->o->second_every > 0 &&
               mix(l->seed + x->turn) % x->o->second_every == 0) {
        crash_again(x, l, disk);
    }
}

static bool enough(const struct explorer *x)
{
    return __atomic_load_n(&x->tally->violations, __ATOMIC_RELAXED) >= x->o->violations_max;
}

/* fates says what becomes of each pending step. */
static void try_state(struct explorer *x, struct level *l)
{
    struct image disk;

    if (enough(x) || tried_before(x, state_hash(x, l)))
        return;
    if (l->depth == 0 && x->turn++ % x->o->parts != x->o->part)
        return;
    image_clone(&disk, &l->durable);
    for (size_t i = 0; i < l->count; i++)
        if (l->fates[i] != MISSING)
            image_apply(&disk, &l->log->steps[l->pending[i]],
                        l->fates[i] == TORN ? tear_seed(l, l->pending[i]) : 0);
    try_disk(x, l, &disk);
    image_done(&disk);
}

/* ---- the states at one position ---- */

static void try_same(struct explorer *x, struct level *l, enum fate_of_step fate)
{
    memset(l->fates, (int)fate, l->count);
    try_state(x, l);
}

static bool is_sampled(const struct explorer *x, const struct level *l, size_t i)
{
    return x->o->sample <= 1 || mix(l->seed + l->at * 4096 + i) % x->o->sample == 0;
}

/* Pending step i one way and the others the other way. */
static void try_single(struct explorer *x, struct level *l, size_t i)
{
    memset(l->fates, THERE, l->count);
    l->fates[i] = MISSING;
    try_state(x, l);
    if (step_can_tear(&l->log->steps[l->pending[i]])) {
        l->fates[i] = TORN;
        try_state(x, l);
    }
    memset(l->fates, MISSING, l->count);
    l->fates[i] = THERE;
    try_state(x, l);
    memset(l->fates, THERE, i); /* all up to this one: written in order, cut here */
    try_state(x, l);
}

static void try_pick(struct explorer *x, struct level *l, uint64_t seed)
{
    uint64_t missing_of = 1 + mix(seed) % 8; /* many are missing, or few */

    for (size_t i = 0; i < l->count; i++) {
        uint64_t n = mix(seed + 1 + i);
        bool torn = n / 64 % 4 == 0 && step_can_tear(&l->log->steps[l->pending[i]]);
        l->fates[i] = n % 8 >= missing_of ? THERE : torn ? TORN : MISSING;
    }
    try_state(x, l);
}

static bool is_said_at(const struct explorer *x, const struct level *l)
{
    return l->depth == 0 && l->at > 0 &&
           promises_until(x->story, l->at) != promises_until(x->story, l->at - 1);
}

static void try_position(struct explorer *x, struct level *l)
{
    bool last = l->at == l->log->count;

    try_same(x, l, THERE);
    try_same(x, l, MISSING);
    if (!last && l->log->steps[l->at].kind != STEP_SYNC && !is_said_at(x, l))
        return;
    size_t singles = MIN_OF(l->count, (size_t)SINGLES_MAX);
    for (size_t i = 0; i < singles; i++) {
        size_t chosen = singles == l->count ? i : mix(l->seed + l->at * 64 + i) % l->count;
        if (is_sampled(x, l, i))
            try_single(x, l, chosen);
    }
    for (unsigned i = 0; i < x->o->picks; i++)
        if (is_sampled(x, l, SINGLES_MAX + i))
            try_pick(x, l, mix(l->seed + l->at) + i * 100000);
}

/* ---- through the log ---- */

/* What was done to the node before its sync is durable. */
static void settle(struct level *l, uint32_t node)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct step *s = &l->log->steps[l->pending[i]];
        if (s->node == node)
            image_apply(&l->durable, s, 0);
        else
            l->pending[kept++] = l->pending[i];
    }
    l->count = kept;
}

static void make_step(struct level *l)
{
    const struct step *s = &l->log->steps[l->at];

    if (s->kind == STEP_SYNC) {
        settle(l, s->node);
    } else {
        check(l->count < PENDING_MAX);
        l->pending[l->count++] = l->at;
    }
    l->at++;
}

static void explore_log(struct explorer *x, struct level *l)
{
    for (;;) {
        if (l->depth == 0)
            l->promised_at = l->at;
        l->after.answered = l->depth > 0 && l->at >= l->answered_at;
        if (l->depth > 0 || l->at >= x->o->from)
            try_position(x, l);
        if (l->at == l->log->count || enough(x))
            return;
        make_step(l);
    }
}

void explore(struct story *s, const struct explore_options *o, const char *folder,
             struct tally *tally)
{
    struct explorer x = {.story = s, .o = o, .tally = tally};
    struct level *l = mem_new(sizeof(*l));

    verifier_init(&x.v, s, folder);
    l->log = &s->log;
    l->seed = mix(o->seed);
    image_init(&l->durable, s->log.node_count);
    explore_log(&x, l);
    image_done(&l->durable);
    verifier_done(&x.v);
    free(x.tried);
    free(l);
}
