/* listen/misbehave.h - what the sink does wrong on order: rules read, and asked at each step. Pure.
 *
 * A rule is STEP[/WHEN]...=WHAT. What: a reply ("452:4.2.2 full"), or a kind of misbehave.def with its
 * argument ("delay:30s"). When: every:N, first:N, after:N, chance:N%, for:ADDRESS; all must fit.
 * Rules of one step add up, so that a reply may be both late and wrong; of two replies the first
 * counts. "random" alone is any/chance:20%=random. Chances come from one seed, so a run can be had
 * again. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum step {
#define STEP(name, word, words) STEP_##name,
#define KIND(name, word, argument, steps, words)
#include "outward/listen/misbehave.def"
#undef STEP
#undef KIND
    STEP_COUNT
};

enum kind {
    KIND_REPLY,
#define STEP(name, word, words)
#define KIND(name, word, argument, steps, words) KIND_##name,
#include "outward/listen/misbehave.def"
#undef STEP
#undef KIND
    KIND_COUNT
};

enum { MISBEHAVE_RULES_MAX = 100, MISBEHAVE_WHEN_MAX = 8 };
enum { REPLY_LINES_ODD_MAX = 100000, REPLY_LINE_BYTES_ODD_MAX = 1000000 };

struct rule;

struct misbehave {
    struct rule *rules;
    size_t count;
    uint64_t random; /* state of the chances */
};

/* What is to be done at a step; zero: nothing odd. */
struct misdeed {
    uint64_t delay_us, drip_us;
    bool replied; /* with: */
    uint16_t code;
    struct str enhanced, text; /* enhanced may be empty */
    enum kind end; /* KIND_CUT, KIND_RESET, KIND_HALF, KIND_HANG_UP, KIND_SILENCE, or 0 */
    uint64_t lines, line_bytes; /* 0: as usual */
    bool endless, garbage, bare_lf;
    struct str inject;
    uint64_t content_bytes; /* hang up (or fall silent, by end) behind so many; UINT64_MAX: never */
    enum kind tls;          /* KIND_TLS_*, KIND_GARBAGE, or 0 */
};

/* Adds a rule. False: *error says what is wrong and what would be right. Lives in the arena. */
bool misbehave_add(struct misbehave *m, struct arena *a, struct str text, struct buf *error);
/* A step is taken, about this address (or empty): counts it. True: something is odd. */
bool misbehave_at(struct misbehave *m, enum step at, struct str address, struct misdeed *ret);
void misbehave_seed(struct misbehave *m, uint64_t seed);
void misbehave_help(struct buf *to); /* both tables, for a person */
const char *step_word(enum step s);
