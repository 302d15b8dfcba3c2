/* listen/misbehave.c - see misbehave.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/misbehave.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/translate.h"

#define BIT(step) (1U << STEP_##step)
#define ALL_STEPS ((1U << STEP_COUNT) - 1)
#define REPLIES (ALL_STEPS & ~(BIT(TLS) | BIT(CONTENT)))

enum argument { ARGUMENT_NONE, ARGUMENT_TIME, ARGUMENT_COUNT, ARGUMENT_TEXT };
enum when_kind { WHEN_EVERY, WHEN_FIRST, WHEN_AFTER, WHEN_CHANCE, WHEN_FOR };

struct when {
    enum when_kind kind;
    uint64_t number;
    struct str address;
};

struct rule {
    enum step at;
    enum kind kind;
    struct when when[MISBEHAVE_WHEN_MAX];
    size_t when_count;
    uint64_t number; /* of its argument: microseconds, a count */
    struct str text;
    uint16_t code;
    struct str enhanced;
    uint64_t seen; /* how often its step, about its address, has come */
};

static const struct {
    const char *word, *words;
} steps[STEP_COUNT] = {
#define STEP(name, word, words) [STEP_##name] = {word, words},
#define KIND(name, word, argument, steps, words)
#include "outward/listen/misbehave.def"
#undef STEP
#undef KIND
};

static const struct kind_row {
    const char *word;
    enum argument argument;
    unsigned steps;
    const char *words;
} kinds[KIND_COUNT] = {
    [KIND_REPLY] = {"", ARGUMENT_NONE, REPLIES, ""},
#define STEP(name, word, words)
#define KIND(name, word, argument, steps, words)                                                   \
    [KIND_##name] = {word, ARGUMENT_##argument, steps, words},
#include "outward/listen/misbehave.def"
#undef STEP
#undef KIND
};

const char *step_word(enum step s)
{
    return steps[s].word;
}

/* ---- reading ---- */

static bool wrong(struct buf *error, struct str what, const char *why)
{
    buf_printf(error, "%.*s: %s", STR_ARG(what), why);
    return false;
}

static bool step_find(struct str word, enum step *ret)
{
    for (enum step s = 0; s < STEP_COUNT; s++) {
        if (str_eq_nocase(word, str_c(steps[s].word))) {
            *ret = s;
            return true;
        }
    }
    return false;
}

static enum kind kind_find(struct str word)
{
    for (enum kind k = KIND_REPLY + 1; k < KIND_COUNT; k++)
        if (str_eq_nocase(word, str_c(kinds[k].word)))
            return k;
    return KIND_COUNT;
}

/* "30s", "200ms", "5m"; a bare number is seconds. */
static bool time_read(struct str s, uint64_t *ret_us)
{
    static const struct {
        const char *unit;
        uint64_t us;
    } units[] = {{"ms", 1000},
                 {"s", US_PER_S},
                 {"m", 60 * US_PER_S},
                 {"h", 3600 * US_PER_S},
                 {"", US_PER_S}};
    uint64_t number;

    for (size_t i = 0; i < countof(units); i++) {
        struct str unit = str_c(units[i].unit);

        if (str_ends(s, unit) && str_u64(str_sub(s, 0, s.n - unit.n), &number) &&
            number <= 24 * 3600 * 1000) {
            *ret_us = number * units[i].us;
            return true;
        }
    }
    return false;
}

static bool when_read(struct str word, struct when *ret, struct buf *error)
{
    struct str value = word, name = str_cut(&value, ':');
    static const char *const names[] = {"every", "first", "after", "chance", "for"};

    *ret = (struct when){.kind = WHEN_FOR + 1};
    for (size_t i = 0; i < countof(names); i++)
        if (str_eq_c(name, names[i]))
            ret->kind = (enum when_kind)i;
    if (ret->kind > WHEN_FOR)
        return wrong(error, word,
                     _("when? every:2, first:1, after:3, for:bob@example.org or chance:10%"));
    if (ret->kind == WHEN_FOR) {
        ret->address = value;
        return value.n > 0 || wrong(error, word, _("for whom? for:bob@example.org"));
    }
    if (ret->kind == WHEN_CHANCE) {
        if (str_ends(value, STR("%")))
            value.n--;
        return (str_u64(value, &ret->number) && ret->number <= 100) ||
               wrong(error, word, _("a chance is a percentage: chance:10%"));
    }
    return (str_u64(value, &ret->number) && ret->number > 0) ||
           wrong(error, word, _("a number from 1 on belongs behind the colon"));
}

/* "452", "452:4.2.2 full", "452 4.2.2 full" */
static bool reply_read(struct str text, struct rule *r)
{
    struct str digits = str_sub(text, 0, 3), rest = str_skip(text, 3);
    uint64_t code;

    if (!str_u64(digits, &code) || code < 200 || code > 599)
        return false;
    if (rest.n > 0 && rest.p[0] != ':' && rest.p[0] != ' ')
        return false;
    r->kind = KIND_REPLY;
    r->code = (uint16_t)code;
    if (str_starts(rest, STR(":"))) {
        rest = str_skip(rest, 1);
        r->enhanced = str_cut_word(&rest);
    }
    r->text = str_trim(rest);
    for (size_t i = 0; i < r->text.n; i++)
        if ((unsigned char)r->text.p[i] < ' ')
            return false;
    return true;
}

static bool argument_read(struct str text, struct rule *r)
{
    switch (kinds[r->kind].argument) {
    case ARGUMENT_TIME:
        return time_read(text, &r->number);
    case ARGUMENT_COUNT:
        return str_u64(text, &r->number);
    case ARGUMENT_TEXT:
        r->text = text;
        return text.n > 0;
    default:
        return text.n == 0;
    }
}

static const char *argument_wanted(enum argument a)
{
    static const char *const words[] = {
        [ARGUMENT_NONE] = N_("takes nothing behind it"),
        [ARGUMENT_TIME] = N_("wants a time, such as delay:30s or drip:200ms"),
        [ARGUMENT_COUNT] = N_("wants a number, such as lines:1000"),
        [ARGUMENT_TEXT] = N_("wants a text, such as inject:250 yes"),
    };

    return _(words[a]);
}

static bool what_read(struct str text, struct rule *r, struct buf *error)
{
    struct str value = text, word = str_cut(&value, ':');

    if (reply_read(text, r))
        return true;
    r->kind = kind_find(word);
    if (r->kind == KIND_COUNT)
        return wrong(error, text,
                     _("what? a reply such as 452:4.2.2 full, or a word of --misbehave help"));
    if (!argument_read(value, r))
        return wrong(error, text, argument_wanted(kinds[r->kind].argument));
    return true;
}

static bool fits(const struct rule *r)
{
    return kinds[r->kind].steps & (r->at == STEP_ANY ? ALL_STEPS : 1U << r->at);
}

bool misbehave_add(struct misbehave *m, struct arena *a, struct str text, struct buf *error)
{
    struct rule r = {0};
    struct str all = arena_copy(a, str_eq_c(text, "random") ? STR("any/chance:20%=random") : text);
    struct str what = all, where = str_cut(&what, '=');
    struct str word = str_cut(&where, '/');

    if (m->count == MISBEHAVE_RULES_MAX)
        return wrong(error, text, _("more rules than can be kept in mind"));
    if (str_find(all, '=') == all.n)
        return wrong(error, text, _("the form is STEP=WHAT, such as rcpt=452:4.2.2 full"));
    if (!step_find(word, &r.at))
        return wrong(error, word, _("there is no such step; --misbehave help lists them"));
    while (where.n > 0) {
        if (r.when_count == MISBEHAVE_WHEN_MAX)
            return wrong(error, text, _("too many conditions"));
        if (!when_read(str_cut(&where, '/'), &r.when[r.when_count++], error))
            return false;
    }
    if (!what_read(what, &r, error))
        return false;
    if (!fits(&r))
        return wrong(error, text, _("that cannot be done at this step; see --misbehave help"));
    m->rules = mem_resize(m->rules, (m->count + 1) * sizeof *m->rules);
    m->rules[m->count++] = r;
    return true;
}

/* ---- chances: splitmix64 ---- */

void misbehave_seed(struct misbehave *m, uint64_t seed)
{
    m->random = seed;
}

static uint64_t next_random(struct misbehave *m)
{
    uint64_t z = m->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- asking ---- */

static bool holds(struct misbehave *m, const struct rule *r, const struct when *w)
{
    switch (w->kind) {
    case WHEN_EVERY:
        return r->seen % w->number == 0;
    case WHEN_FIRST:
        return r->seen <= w->number;
    case WHEN_AFTER:
        return r->seen > w->number;
    case WHEN_CHANCE:
        return next_random(m) % 100 < w->number;
    default:
        return true; /* the address was looked at before it was counted */
    }
}

static bool concerns(const struct rule *r, enum step at, struct str address)
{
    if (r->at != at && (r->at != STEP_ANY || !(kinds[r->kind].steps & 1U << at)))
        return false;
    for (size_t i = 0; i < r->when_count; i++)
        if (r->when[i].kind == WHEN_FOR && !str_eq_nocase(r->when[i].address, address))
            return false;
    return true;
}

static bool applies(struct misbehave *m, struct rule *r, enum step at, struct str address)
{
    bool all = true;

    if (!concerns(r, at, address))
        return false;
    r->seen++;
    for (size_t i = 0; i < r->when_count; i++)
        all = holds(m, r, &r->when[i]) && all; /* each chance is drawn, so runs are alike */
    return all;
}

static void take_reply(struct misdeed *d, const struct rule *r)
{
    if (d->replied)
        return;
    d->replied = true;
    d->code = r->code;
    d->enhanced = r->enhanced;
    d->text = r->text;
}

static void take(struct misbehave *m, struct misdeed *d, const struct rule *r, enum step at);

/* What random may be at a step, with bearable arguments. */
static void take_random(struct misbehave *m, struct misdeed *d, enum step at)
{
    static const struct {
        enum kind kind;
        uint64_t number;
        uint16_t code;
        const char *enhanced, *text;
    } list[] = {
        {KIND_REPLY, 0, 421, "4.3.2", "not now"},
        {KIND_REPLY, 0, 451, "4.3.0", "later"},
        {KIND_REPLY, 0, 550, "5.7.1", "no"},
        {KIND_DELAY, 2 * US_PER_S, 0, NULL, NULL},
        {KIND_DRIP, US_PER_S / 20, 0, NULL, NULL},
        {KIND_CUT, 0, 0, NULL, NULL},
        {KIND_RESET, 0, 0, NULL, NULL},
        {KIND_HALF, 0, 0, NULL, NULL},
        {KIND_HANG_UP, 0, 0, NULL, NULL},
        {KIND_LINES, 100, 0, NULL, NULL},
        {KIND_LONG, 4000, 0, NULL, NULL},
        {KIND_GARBAGE, 0, 0, NULL, NULL},
        {KIND_BARE_LF, 0, 0, NULL, NULL},
        {KIND_TLS_EXPIRED, 0, 0, NULL, NULL},
        {KIND_TLS_NAME, 0, 0, NULL, NULL},
        {KIND_TLS_SELF, 0, 0, NULL, NULL},
        {KIND_TLS_OLD, 0, 0, NULL, NULL},
    };
    size_t chosen;

    do
        chosen = next_random(m) % countof(list);
    while (!(kinds[list[chosen].kind].steps & 1U << at)); /* cut fits everywhere */
    take(m, d,
         &(struct rule){.kind = list[chosen].kind,
                        .number = list[chosen].number,
                        .code = list[chosen].code,
                        .enhanced = str_c(list[chosen].enhanced),
                        .text = str_c(list[chosen].text)},
         at);
}

static void take(struct misbehave *m, struct misdeed *d, const struct rule *r, enum step at)
{
    switch (r->kind) {
    case KIND_REPLY:
        take_reply(d, r);
        break;
    case KIND_DELAY:
        d->delay_us += r->number;
        break;
    case KIND_DRIP:
        d->drip_us = MAX_OF(d->drip_us, r->number);
        break;
    case KIND_CUT:
    case KIND_RESET:
    case KIND_HALF:
    case KIND_HANG_UP:
        d->end = r->kind;
        break;
    case KIND_SILENCE:
        d->end = r->kind;
        d->content_bytes = 0;
        break;
    case KIND_CUT_BYTES:
        d->end = KIND_CUT;
        d->content_bytes = r->number;
        break;
    case KIND_LINES:
        d->lines = MIN_OF(MAX_OF(r->number, (uint64_t)1), (uint64_t)REPLY_LINES_ODD_MAX);
        break;
    case KIND_LONG:
        d->line_bytes = MIN_OF(r->number, (uint64_t)REPLY_LINE_BYTES_ODD_MAX);
        break;
    case KIND_ENDLESS:
        d->endless = true;
        break;
    case KIND_GARBAGE:
        d->garbage = true;
        d->tls = r->kind;
        break;
    case KIND_BARE_LF:
        d->bare_lf = true;
        break;
    case KIND_INJECT:
        d->inject = r->text;
        break;
    case KIND_RANDOM:
        take_random(m, d, at);
        break;
    default:
        d->tls = r->kind;
    }
}

bool misbehave_at(struct misbehave *m, enum step at, struct str address, struct misdeed *ret)
{
    bool any = false;

    *ret = (struct misdeed){.content_bytes = UINT64_MAX};
    for (size_t i = 0; i < m->count; i++) {
        if (applies(m, &m->rules[i], at, address)) {
            take(m, ret, &m->rules[i], at);
            any = true;
        }
    }
    return any;
}

/* ---- for people ---- */

void misbehave_help(struct buf *to)
{
    static const char *const arguments[] = {"", ":TIME", ":N", ":TEXT"};

    buf_printf(to, "--misbehave STEP[/WHEN]...=WHAT\n\nSTEP:\n");
    for (enum step s = 0; s < STEP_COUNT; s++)
        buf_printf(to, "  %-16s %s\n", steps[s].word, _(steps[s].words));
    buf_printf(to, "\nWHAT:\n  %-16s %s\n", "CODE[:E.E.E] TEXT",
               _("this reply; 421 also hangs up"));
    for (enum kind k = KIND_REPLY + 1; k < KIND_COUNT; k++) {
        struct buf word = buf_init(64);

        buf_printf(&word, "%s%s", kinds[k].word, arguments[kinds[k].argument]);
        buf_printf(to, "  %-16s %s\n", buf_c(&word), _(kinds[k].words));
        buf_free(&word);
    }
    buf_printf(to, "\nWHEN: %s\n",
               _("every:2 (the 2nd, 4th…), first:1, after:3, chance:10%, for:ADDRESS"));
}
