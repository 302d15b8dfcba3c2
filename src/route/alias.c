/* route/alias.c - see alias.h. An entry is first joined from its lines (sendmail lets even a quoted
 * string go on in the next one), then cut at colon and commas. */
// SPDX-License-Identifier: ISC
#include "route/alias.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/map.h"
#include "base/utf8.h"

enum { SHOWN_BYTES_MAX = 60, ENTRY_BYTES_MAX = 1 << 20, TARGET_BYTES_LEAST = 13 };

struct piece { /* where a line of the file begins in the joined entry */
    size_t at;
    unsigned line;
};

struct parse {
    struct arena *arena;
    struct str domain;
    struct alias_problems *problems;
    struct map *by_name;

    struct buf entry; /* the lines of one entry, joined */
    struct piece *pieces;
    size_t piece_count, piece_room;

    enum alias_kind kind; /* of that entry */
    struct alias_target targets[ALIAS_TARGETS_MAX];
    size_t target_count;
    struct alias *list;
    size_t count, room;
};

/* ---- problems ---- */

/* Untrusted text for a message: short, printable. */
static struct str shown(struct arena *a, struct str s)
{
    bool cut = s.n > SHOWN_BYTES_MAX;
    struct str copy = arena_printf(a, "%.*s%s", cut ? SHOWN_BYTES_MAX : (int)s.n, s.n ? s.p : "",
                                   cut ? "..." : "");
    char *p = arena_c(a, copy);
    for (size_t i = 0; i < copy.n && !utf8_visible(copy); i++)
        if (p[i] < ' ' || p[i] > '~')
            p[i] = '?';
    return str_n(p, copy.n);
}

static void add_problem(struct alias_problems *p, unsigned line, struct str text)
{
    p->more = p->more || p->count == countof(p->list);
    if (!p->more)
        p->list[p->count++] = (struct alias_problem){.line = line, .text = text};
}

/* "TEXT" and what is wrong with it. */
static void wrong(struct parse *p, unsigned line, struct str text, const char *what)
{
    struct str quoted = shown(p->arena, text);
    add_problem(p->problems, line, arena_printf(p->arena, "\"%.*s\" %s", STR_ARG(quoted), what));
}

/* ---- one target ---- */

/* The index of the first of these characters outside quotes and (comments), or s.n. */
static size_t find_outside(struct str s, char wanted)
{
    bool quoted = false;
    size_t depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && (quoted || depth > 0))
            i++;
        else if (c == '"' && depth == 0)
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == wanted && depth == 0)
            return i;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
    }
    return s.n;
}

/* Behind the (comment) that begins at this index, or 0: it does not end. */
static size_t comment_end(struct str s, size_t i)
{
    size_t depth = 0;
    do {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')')
            depth--;
        i++;
    } while (i < s.n && depth > 0);
    return depth > 0 ? 0 : i;
}

/* The text without its (comments). False: one does not end. */
static bool without_comments(struct str s, struct arena *a, struct str *ret)
{
    struct buf b = buf_init(s.n + 1);
    bool ended = true;
    while (ended) {
        size_t open = find_outside(s, '(');
        buf_add(&b, str_sub(s, 0, open));
        if (open == s.n)
            break;
        buf_add_char(&b, ' ');
        size_t end = comment_end(s, open);
        ended = end > 0;
        s = str_skip(s, end);
    }
    *ret = str_trim(arena_copy(a, buf_str(&b)));
    buf_free(&b);
    return ended;
}

/* Bob <bob@example.org> is bob@example.org. False: < > do not fit together. */
static bool inside_angles(struct str *s)
{
    size_t open = find_outside(*s, '<');
    if (open == s->n)
        return find_outside(*s, '>') == s->n;
    struct str rest = str_skip(*s, open + 1);
    size_t close = find_outside(rest, '>');
    if (close == rest.n || str_trim(str_skip(rest, close + 1)).n > 0)
        return false;
    *s = str_trim(str_sub(rest, 0, close));
    return true;
}

static bool is_quoted(struct str s)
{
    return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
}

/* What is not an address at all, by how it begins, also within quotes. NULL: may be an address. */
static const char *objection(struct str s)
{
    struct str inside = is_quoted(s) ? str_trim(str_sub(s, 1, s.n - 1)) : s;
    if (str_starts(inside, STR("|")))
        return "runs a program: programs come with the address work, not taken yet; write "
               "addresses";
    if (str_starts_nocase(inside, STR(":include:")))
        return "includes a file: lists in files come with the address work, not taken yet; write "
               "the addresses here";
    if (str_starts(inside, STR("/")) && find_outside(s, '@') == s.n)
        return "names a file: delivery to files comes with the address work, not taken yet; write "
               "addresses";
    if (str_starts_nocase(inside, STR(":moved:")) || str_starts_nocase(inside, STR(":forwarded:")))
        return "stands in front of one address, which is the only one of its alias";
    if (str_starts(inside, STR(":")))
        return "is nothing known; write addresses";
    if (str_starts(s, STR("#")))
        return "looks like a comment: comments are lines of their own that begin with #";
    return NULL;
}

/* bill, "b ill", bill@example.org. NULL, or what is wrong. */
static const char *read_address(struct parse *p, struct str text, struct address *ret)
{
    struct parse_error error = {0};
    if (text.n == 0)
        return "is no address";
    if (find_outside(text, '@') == text.n)
        text = arena_printf(p->arena, "%.*s@%.*s", STR_ARG(text), STR_ARG(p->domain));
    if (text.n > ADDRESS_BYTES_MAX || !address_parse(text, p->arena, ret, &error))
        return error.text ? arena_printf(p->arena, "is no address: %s", error.text).p
                          : "is too long for an address";
    if (ret->local.n == 0)
        return "is an empty name";
    if (local_part_routes(ret->local))
        return "asks to be sent on (a%b, a!b, \"a@b\"), which is never done; write the address "
               "itself";
    return NULL;
}

static const char *read_target(struct parse *p, struct str text, struct alias_target *ret)
{
    const char *why = objection(text);
    if (why)
        return why;
    if (!without_comments(text, p->arena, &text))
        return "has a ( that does not end";
    if (!inside_angles(&text))
        return "has < > that do not fit together";
    ret->final = str_starts(text, STR("\\"));
    if (ret->final)
        text = str_skip(text, 1);
    why = objection(text);
    return why ? why : read_address(p, text, &ret->to);
}

/* ---- one entry ---- */

static unsigned line_at(const struct parse *p, size_t at)
{
    size_t i = p->piece_count;
    while (i > 1 && p->pieces[i - 1].at > at)
        i--;
    return p->pieces[i - 1].line;
}

/* Comments and blanks in front are not what a target's line is told by. */
static struct str skip_comments(struct str s)
{
    s = str_trim(s);
    while (str_starts(s, STR("("))) {
        size_t end = comment_end(s, 0);
        if (end == 0)
            break;
        s = str_trim(str_skip(s, end));
    }
    return s;
}

static const char *const kind_words[ALIAS_KIND_COUNT] = {
    [ALIAS_PLAIN] = "", [ALIAS_FORWARDED] = ":forwarded:", [ALIAS_MOVED] = ":moved:"};

/* Takes the word off that stands in front of all targets; how many bytes that were. */
static size_t read_kind(struct parse *p, struct str list)
{
    struct str text = skip_comments(list);

    p->kind = ALIAS_PLAIN;
    for (enum alias_kind k = ALIAS_FORWARDED; k < ALIAS_KIND_COUNT; k++) {
        struct str word = str_c(kind_words[k]);

        if (!str_starts_nocase(text, word))
            continue;
        p->kind = k;
        return (size_t)(text.p - list.p) + word.n;
    }
    return 0;
}

static const char *kind_problem(const struct parse *p)
{
    if (p->kind == ALIAS_FORWARDED && p->target_count == 0)
        return "is forwarded nowhere; write one address behind :forwarded:";
    return p->kind != ALIAS_PLAIN && p->target_count > 1
               ? "has moved to more than one address; write one"
               : NULL;
}

static void read_targets(struct parse *p, struct str list, size_t at)
{
    while (list.n > 0) {
        size_t comma = find_outside(list, ',');
        struct str raw = str_sub(list, 0, comma), text = skip_comments(raw);
        size_t begins = at;
        list = str_skip(list, comma + 1);
        at += comma + 1;
        if (text.n == 0)
            continue;
        unsigned line = line_at(p, begins + (size_t)(text.p - raw.p));
        struct alias_target target = {.line = line};
        const char *why = read_target(p, text, &target);
        if (why)
            wrong(p, line, text, why);
        if (str_starts(text, STR("|")))
            return; /* its arguments may have commas in them */
        if (p->target_count == ALIAS_TARGETS_MAX) {
            wrong(p, line, text, "is target 1001; an alias may have 1000");
            return;
        }
        p->targets[p->target_count++] = target;
    }
}

static bool read_name(struct parse *p, struct str text, unsigned line, struct str *ret)
{
    struct address name;
    const char *why = read_address(p, text, &name);
    if (!why && !str_eq(name.domain, p->domain))
        why = arena_printf(p->arena, "is of another domain than %.*s, whose aliases these are",
                           STR_ARG(p->domain))
                  .p;
    if (why) {
        wrong(p, line, text, why);
        return false;
    }
    *ret = alias_key(p->arena, name.local);
    uintptr_t before = (uintptr_t)map_get(p->by_name, *ret);
    if (before > 0)
        wrong(p, line, text,
              arena_printf(p->arena, "was already said in line %u; write it once",
                           p->list[before - 1].line)
                  .p);
    return before == 0;
}

static void add_alias(struct parse *p, struct str name, unsigned line)
{
    if (p->count == p->room) {
        p->room = p->room ? 2 * p->room : 64;
        p->list = mem_resize(p->list, p->room * sizeof *p->list);
    }
    struct alias_target *targets = arena_alloc(p->arena, p->target_count * sizeof *targets);
    for (size_t i = 0; i < p->target_count; i++)
        targets[i] = p->targets[i];
    p->list[p->count++] = (struct alias){.name = name,
                                         .line = line,
                                         .kind = p->kind,
                                         .targets = targets,
                                         .target_count = p->target_count};
    map_put(p->by_name, name, (void *)p->count); /* index + 1: NULL is not there */
}

static void end_entry(struct parse *p)
{
    struct str entry = buf_str(&p->entry), name;
    if (p->piece_count == 0)
        return;
    unsigned line = p->pieces[0].line;
    size_t colon = find_outside(entry, ':');
    size_t problems = p->problems->count;
    p->target_count = 0;
    if (p->entry.full) {
        wrong(p, line, str_sub(entry, 0, MIN_OF(colon, (size_t)SHOWN_BYTES_MAX)),
              "is longer than 1 MiB with all its lines");
    } else if (colon == entry.n) {
        wrong(p, line, str_trim(entry), "is no alias; write NAME: ADDRESS, ADDRESS");
    } else if (read_name(p, str_trim(str_sub(entry, 0, colon)), line, &name)) {
        size_t targets = colon + 1 + read_kind(p, str_skip(entry, colon + 1));
        read_targets(p, str_skip(entry, targets), targets);
        const char *why = kind_problem(p);
        if (why && p->problems->count == problems)
            wrong(p, line, name, why);
        else if (p->target_count > 0 || p->kind == ALIAS_MOVED)
            add_alias(p, name, line);
        else if (p->problems->count == problems)
            wrong(p, line, name, "leads nowhere; write an address behind the colon");
    }
    buf_reset(&p->entry);
    p->piece_count = 0;
}

static void add_piece(struct parse *p, struct str text, unsigned line)
{
    if (p->piece_count == p->piece_room) {
        p->piece_room = p->piece_room ? 2 * p->piece_room : 16;
        p->pieces = mem_resize(p->pieces, p->piece_room * sizeof *p->pieces);
    }
    p->pieces[p->piece_count++] = (struct piece){.at = p->entry.n, .line = line};
    buf_add(&p->entry, text);
    buf_add_char(&p->entry, ' ');
}

static void read_lines(struct parse *p, struct str text)
{
    bool goes_on = false; /* the line before ended with a backslash */
    for (unsigned line = 1; text.n > 0; line++) {
        struct str raw = str_cut(&text, '\n'), s = str_trim(raw);
        bool indented = raw.n > 0 && char_is_blank(raw.p[0]);
        if (s.n == 0 || (!goes_on && s.p[0] == '#')) {
            goes_on = false;
            continue;
        }
        if (!goes_on && !indented)
            end_entry(p);
        else if (p->piece_count == 0)
            wrong(p, line, s, "goes on with an alias, but none was begun; take the blanks away");
        bool orphan = p->piece_count == 0 && (goes_on || indented);
        goes_on = str_ends(s, STR("\\"));
        if (goes_on)
            s.n--;
        if (!orphan)
            add_piece(p, s, line);
    }
    end_entry(p);
}

/* ---- loops ---- */

struct visit {
    size_t alias, next; /* target to look at */
};

enum color { UNSEEN, ON_THE_WAY, DONE };

struct walk {
    struct parse *parse;
    struct visit *way;
    size_t depth;
    uint8_t *color;
    uint32_t *height; /* aliases one behind the other from here */
};

struct str local_without_tag(struct str local)
{
    size_t plus = str_find(local, '+');
    return plus > 0 ? str_sub(local, 0, plus) : local;
}

struct str alias_key(struct arena *a, struct str local)
{
    char *key = arena_c(a, local);
    for (size_t i = 0; i < local.n; i++)
        key[i] = char_lower(key[i]);
    return str_n(key, local.n);
}

/* The alias that a target of another leads to: index + 1, or 0. */
static size_t leads_to(const struct parse *p, const struct alias_target *t)
{
    if (t->final || !str_eq(t->to.domain, p->domain))
        return 0;
    struct str key = alias_key(p->arena, t->to.local);
    size_t found = (size_t)(uintptr_t)map_get(p->by_name, key);
    return found ? found : (size_t)(uintptr_t)map_get(p->by_name, local_without_tag(key));
}

static void report_loop(struct walk *w, size_t to, unsigned line)
{
    struct parse *p = w->parse;
    struct buf text = buf_init(4 * KIB);
    size_t from = 0;
    while (w->way[from].alias != to)
        from++;
    buf_add_c(&text, "a loop, its mail would go round and round: ");
    for (size_t i = from, told = 0; i < w->depth; i++, told++) {
        const struct alias *alias = &p->list[w->way[i].alias];
        struct str name = shown(p->arena, alias->name);
        if (told == ALIAS_DEPTH_MAX) {
            buf_add_c(&text, "... -> ");
            break;
        }
        buf_printf(&text, "%.*s (line %u) -> ", STR_ARG(name), alias->line);
    }
    struct str name = shown(p->arena, p->list[to].name);
    buf_add(&text, name);
    add_problem(p->problems, line, arena_copy(p->arena, buf_str(&text)));
    buf_free(&text);
}

static void enter(struct walk *w, size_t alias)
{
    w->color[alias] = ON_THE_WAY;
    w->height[alias] = 1;
    w->way[w->depth++] = (struct visit){.alias = alias};
}

static void leave(struct walk *w)
{
    size_t alias = w->way[--w->depth].alias;
    const struct alias *row = &w->parse->list[alias];
    w->color[alias] = DONE;
    if (w->height[alias] == ALIAS_DEPTH_MAX + 1)
        wrong(w->parse, row->line, row->name,
              "leads through more than 20 aliases one behind the other");
    if (w->depth > 0) {
        uint32_t *above = &w->height[w->way[w->depth - 1].alias];
        *above = MAX_OF(*above, w->height[alias] + 1);
    }
}

static void step(struct walk *w)
{
    struct visit *here = &w->way[w->depth - 1];
    const struct alias *alias = &w->parse->list[here->alias];
    if (here->next == alias->target_count || alias->kind == ALIAS_MOVED) { /* leads nowhere */
        leave(w);
        return;
    }
    const struct alias_target *target = &alias->targets[here->next++];
    size_t to = leads_to(w->parse, target);
    if (to == 0 || --to == here->alias)
        return;
    if (w->color[to] == ON_THE_WAY)
        report_loop(w, to, target->line);
    else if (w->color[to] == DONE)
        w->height[here->alias] = MAX_OF(w->height[here->alias], w->height[to] + 1);
    else
        enter(w, to);
}

/* Depth first, without recursion: a file may chain all its aliases. */
static void check_ways(struct parse *p)
{
    struct walk w = {.parse = p,
                     .way = mem_new((p->count + 1) * sizeof *w.way),
                     .color = mem_new(p->count + 1),
                     .height = mem_new((p->count + 1) * sizeof *w.height)};
    for (size_t i = 0; i < p->count; i++) {
        if (w.color[i] == UNSEEN)
            enter(&w, i);
        while (w.depth > 0)
            step(&w);
    }
    free(w.way);
    free(w.color);
    free(w.height);
}

/* ---- all of it ---- */

void alias_parse(struct str text, struct str domain, struct arena *a, struct alias_file *ret,
                 struct alias_problems *problems)
{
    struct parse *p = mem_new(sizeof *p);
    *p = (struct parse){.arena = a,
                        .domain = domain,
                        .problems = problems,
                        .by_name = map_new(),
                        .entry = buf_init(ENTRY_BYTES_MAX)};
    read_lines(p, text);
    check_ways(p);
    *ret = (struct alias_file){.list = arena_alloc(a, (p->count + 1) * sizeof *ret->list),
                               .count = p->count};
    for (size_t i = 0; i < p->count; i++)
        ret->list[i] = p->list[i];
    map_free(&p->by_name);
    buf_free(&p->entry);
    free(p->pieces);
    free(p->list);
    free(p);
}

/* As an address, but quoted also where a bare first letter would mean something else here. */
static void print_local(struct buf *to, struct str local)
{
    if (local.n > 0 && strchr("#|:", local.p[0])) {
        buf_add_char(to, '"');
        for (size_t i = 0; i < local.n; i++) {
            if (local.p[i] == '"' || local.p[i] == '\\')
                buf_add_char(to, '\\');
            buf_add_char(to, local.p[i]);
        }
        buf_add_char(to, '"');
        return;
    }
    struct buf text = buf_init(2 * KIB);
    address_print(&text, &(struct address){.local = local, .domain = STR("x")});
    buf_add(to, str_sub(buf_str(&text), 0, text.n - 2));
    buf_free(&text);
}

void alias_target_print(struct buf *to, const struct alias_target *target)
{
    if (target->final)
        buf_add_char(to, '\\');
    print_local(to, target->to.local);
    buf_printf(to, "@%.*s", STR_ARG(target->to.domain));
}

void alias_print(struct buf *to, const struct alias *alias)
{
    print_local(to, alias->name);
    buf_add_c(to, ":");
    if (alias->kind != ALIAS_PLAIN)
        buf_printf(to, " %s", kind_words[alias->kind]);
    for (size_t i = 0; i < alias->target_count; i++) {
        buf_add_c(to, i == 0 ? " " : ", ");
        alias_target_print(to, &alias->targets[i]);
    }
}

void alias_encode(struct buf *to, const struct alias *alias)
{
    put_u32(to, alias->line);
    put_u8(to, (uint8_t)alias->kind);
    put_u32(to, (uint32_t)alias->target_count);
    for (size_t i = 0; i < alias->target_count; i++) {
        const struct alias_target *t = &alias->targets[i];
        put_u32(to, t->line);
        put_u8(to, t->final);
        put_str(to, t->to.local);
        put_str(to, t->to.domain);
    }
}

bool alias_decode(struct str name, struct str bytes, struct arena *a, struct alias *ret)
{
    struct reader r = reader_init(bytes);
    struct alias alias = {.name = arena_copy(a, name), .line = get_u32(&r)};
    uint8_t kind = get_u8(&r);
    alias.target_count = get_u32(&r);
    if (r.bad || kind >= ALIAS_KIND_COUNT || (alias.target_count == 0 && kind != ALIAS_MOVED) ||
        (alias.target_count > 1 && kind != ALIAS_PLAIN) || alias.target_count > ALIAS_TARGETS_MAX ||
        alias.target_count > r.rest.n / TARGET_BYTES_LEAST)
        return false;
    alias.kind = (enum alias_kind)kind;
    alias.targets = arena_alloc(a, alias.target_count * sizeof *alias.targets);
    for (size_t i = 0; i < alias.target_count; i++) {
        struct alias_target *t = &alias.targets[i];
        t->line = get_u32(&r);
        t->final = get_u8(&r) != 0;
        t->to.local = arena_copy(a, get_str(&r));
        t->to.domain = arena_copy(a, get_str(&r));
    }
    if (!reader_ended(&r))
        return false;
    *ret = alias;
    return true;
}
