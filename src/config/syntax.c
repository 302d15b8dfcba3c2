/* config/syntax.c - see syntax.h. */
// SPDX-License-Identifier: ISC
#include "config/syntax.h"

#include <confuse.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "config/scan.h"

enum { PASSES_MAX = 200, OPTIONS_MAX = 64 };

/* What libconfuse complained about last, as the format of its message and the first argument. */
struct complaint {
    unsigned line;
    enum scope scope;
    const char *format;
    char about[64];
};

struct reading {
    struct str text;
    struct arena *arena;
    struct problems *problems;
    struct scan scan;
    struct syntax *result;
    size_t statement_room, section_room;
    struct complaint complaint;
};

/* libconfuse hands nothing of ours to its callbacks. */
static struct reading *reading;

static enum scope scope_of(const cfg_t *cfg)
{
    return section_find(str_c(cfg->name));
}

static struct said *said_new(struct reading *r)
{
    struct syntax *s = r->result;
    if (s->statement_count == r->statement_room) {
        size_t room = r->statement_room * 2 + 64;
        struct said *larger = arena_alloc(r->arena, room * sizeof *larger);
        if (s->statement_count > 0)
            memcpy(larger, s->statements, s->statement_count * sizeof *larger);
        s->statements = larger;
        r->statement_room = room;
    }
    return &s->statements[s->statement_count++];
}

static void said_add_value(struct reading *r, struct said *said, const char *value)
{
    if (said->value_count == said->value_room) {
        size_t room = said->value_room * 2 + 1;
        struct str *larger = arena_alloc(r->arena, room * sizeof *larger);
        if (said->value_count > 0)
            memcpy(larger, said->values, said->value_count * sizeof *larger);
        said->values = larger;
        said->value_room = room;
    }
    said->values[said->value_count++] = arena_copy(r->arena, str_c(value));
}

/* One value of a statement. In a list the first one after = finds the list emptied. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct syntax *s = reading->result;
    enum scope scope = scope_of(cfg);
    const struct statement *statement = statement_find(scope, str_c(opt->name));
    bool goes_on = value_form(statement->kind)->list && opt->nvalues > 1 &&
                   s->statement_count > 0 &&
                   s->statements[s->statement_count - 1].statement == statement;
    struct said *said = goes_on ? &s->statements[s->statement_count - 1] : said_new(reading);
    if (!goes_on)
        *said = (struct said){
            .statement = statement, .section = s->section_count, .line = (unsigned)cfg->line};
    said_add_value(reading, said, value);
    *(const char **)result = value;
    return 0;
}

/* A section is complete. */
static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
    struct syntax *s = reading->result;
    struct scan *scan = &reading->scan;
    size_t index = s->section_count;
    if (index >= scan->section_count)
        return -1;
    if (index == reading->section_room) {
        size_t room = index * 2 + 16;
        struct said_section *larger = arena_alloc(reading->arena, room * sizeof *larger);
        if (index > 0)
            memcpy(larger, s->sections, index * sizeof *larger);
        s->sections = larger;
        reading->section_room = room;
    }
    const char *title = cfg_title(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1));
    enum scope scope = section_find(str_c(opt->name));
    s->sections[s->section_count++] =
        (struct said_section){.scope = scope,
                              .title = arena_copy(reading->arena, str_c(title ? title : "")),
                              .line = scan->sections[index].line};
    return 0;
}

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    struct complaint *c = &reading->complaint;
    *c = (struct complaint){.line = (unsigned)cfg->line, .scope = scope_of(cfg), .format = format};
    if (!strstr(format, "%s"))
        return;
    const char *about = va_arg(args, const char *);
    size_t n = about ? strnlen(about, sizeof c->about - 1) : 0;
    memcpy(c->about, about ? about : "", n);
}

/* The rows of one scope as libconfuse wants them; it copies them. */
static void options_fill(enum scope scope, cfg_opt_t *options, cfg_opt_t (*inner)[OPTIONS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        if (s->scope != scope)
            continue;
        cfg_opt_t scalar = CFG_STR_CB(s->name, NULL, CFGF_NODEFAULT, on_value);
        cfg_opt_t list = CFG_STR_LIST_CB(s->name, NULL, CFGF_NODEFAULT, on_value);
        check(n + 1 < OPTIONS_MAX);
        options[n++] = value_form(s->kind)->list ? list : scalar;
    }
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT && scope == SCOPE_TOP; i++) {
        options_fill((enum scope)i, inner[i], NULL);
        cfg_flag_t title = sections[i].untitled ? CFGF_NONE : CFGF_TITLE | CFGF_NO_TITLE_DUPES;
        cfg_opt_t section = CFG_SEC(sections[i].name, inner[i], CFGF_MULTI | title);
        check(n + 1 < OPTIONS_MAX);
        section.validcb = on_section;
        options[n++] = section;
    }
    cfg_opt_t end = CFG_END();
    options[n] = end;
}

static bool parse_once(struct reading *r)
{
    static cfg_opt_t inner[SCOPE_COUNT][OPTIONS_MAX];
    static cfg_opt_t options[OPTIONS_MAX];
    options_fill(SCOPE_TOP, options, inner);
    r->result->statement_count = r->result->section_count = 0;
    r->complaint = (struct complaint){0};

    reading = r;
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (!cfg)
        mem_none();
    cfg_set_error_function(cfg, on_error);
    int rc = cfg_parse_buf(cfg, r->text.p);
    cfg_free(cfg);
    reading = NULL;
    return rc == CFG_SUCCESS;
}

static void blank(struct reading *r, size_t from, size_t to)
{
    char *text = (char *)(uintptr_t)r->text.p;
    for (size_t i = from; i < to && i < r->text.n; i++)
        if (text[i] != '\n')
            text[i] = ' ';
}

/* The line on which this word last stood at or before `line`: libconfuse complains only at the
 * word after it. */
static unsigned line_of_word(const struct reading *r, struct str word, unsigned line)
{
    for (unsigned l = line; l > 0 && line - l < 1000; l--)
        if (scan_word(r->text, l, word) < r->text.n)
            return l;
    return line;
}

static void say_unknown(struct reading *r, const struct complaint *c)
{
    if (syntax_spoiled(r->result, r->problems, c->line))
        return;
    struct str name = str_c(c->about);
    const char *meant = statement_suggest(c->scope, name);
    const char *in = c->scope == SCOPE_TOP ? "" : sections[c->scope].name;
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (i != c->scope && statement_find((enum scope)i, name)) {
            problem_printf(r->problems, c->line, name,
                           i == SCOPE_TOP ? "does not belong in a section; write it outside of %s"
                                          : "does not belong here; write it inside of %s",
                           i == SCOPE_TOP ? in : sections[i].name);
            return;
        }
    if (meant)
        problem_printf(r->problems, c->line, name, "unknown statement%s%s; did you mean %s?",
                       in[0] ? " in " : "", in, meant);
    else
        problem_printf(r->problems, c->line, name,
                       "unknown statement%s%s; troika.conf(5) lists them all", in[0] ? " in " : "",
                       in);
}

static bool mend_unknown(struct reading *r, const struct complaint *c)
{
    size_t at = scan_word(r->text, c->line, str_c(c->about));
    say_unknown(r, c);
    if (at == r->text.n)
        return false;
    blank(r, at, scan_statement_end(r->text, at));
    return true;
}

static bool mend_duplicate(struct reading *r, const struct complaint *c)
{
    const struct syntax *s = r->result;
    struct str title = str_c(c->about);
    size_t index = s->section_count;
    if (index >= r->scan.section_count)
        return false;
    const struct scan_section *again = &r->scan.sections[index];
    struct str name = str_sub(r->text, again->begin, again->end);
    name = str_sub(name, 0, strcspn(name.p, " \t\n\"'{"));
    enum scope scope = section_find(name);
    for (size_t i = 0; i < s->section_count; i++)
        if (s->sections[i].scope == scope && str_eq(s->sections[i].title, title))
            problem_printf(r->problems, again->line, name,
                           "\"%.*s\" was already said in line %u; write it once", STR_ARG(title),
                           s->sections[i].line);
    blank(r, again->begin, again->end);
    return true;
}

static const struct {
    const char *format;   /* of libconfuse */
    const char *words;    /* of ours; maybe with one %s */
    bool about_word;      /* the argument is a word of the file that stands before the trouble */
    const char *untitled; /* instead of words, of a section without a title; or NULL */
} slips[] = {
    {"missing equal sign after option '%s'", "= is missing; write %s = VALUE", true},
    {"missing title for section '%s'", "its title is missing; write %s \"TITLE\" { ... }", true},
    {"missing opening brace for section '%s'", "{ is missing; write %s \"TITLE\" { ... }", true,
     "{ is missing; write %s { ... }"},
    {"attempt to append to non-list option '%s'", "takes one value; write %s = VALUE", true},
    {"unexpected token '%s'",
     "\"%s\" is not expected here; write NAME = VALUE, NAME = { VALUE, VALUE } or "
     "NAME \"TITLE\" { ... }",
     false},
};

static bool line_is_balanced(struct str line)
{
    int depth = 0;
    for (size_t i = 0; i < line.n && depth >= 0; i++)
        depth += (line.p[i] == '{') - (line.p[i] == '}');
    return depth == 0;
}

/* Takes out what cannot be read: its line, or the whole section when braces span lines. */
static bool mend_slip(struct reading *r, const struct complaint *c)
{
    unsigned line = c->line;
    struct str statement = STR_NONE;
    const char *words = "cannot be read";
    for (size_t i = 0; i < countof(slips); i++)
        if (strcmp(slips[i].format, c->format) == 0) {
            bool untitled = slips[i].untitled && sections[section_find(str_c(c->about))].untitled;
            words = untitled ? slips[i].untitled : slips[i].words;
            if (slips[i].about_word) {
                statement = str_c(c->about);
                line = line_of_word(r, statement, line);
            }
        }
    if (!problem_on_line(r->problems, line)) {
        struct str text = arena_copy(r->arena, str_c(words));
        size_t mark = str_find_str(text, STR("%s"));
        struct str rest = str_skip(text, MIN_OF(mark + 2, text.n));
        problem_printf(r->problems, line, statement, "%.*s%s%.*s", (int)mark, words,
                       mark < text.n ? c->about : "", STR_ARG(rest));
    }

    size_t from = scan_line(r->text, line);
    size_t to = from + str_find(str_skip(r->text, from), '\n');
    for (size_t i = 0; i < r->scan.section_count && !line_is_balanced(str_sub(r->text, from, to));
         i++) {
        const struct scan_section *s = &r->scan.sections[i];
        if (s->begin <= to && s->end > from) {
            from = MIN_OF(s->begin, from);
            to = MAX_OF(s->end, to);
        }
    }
    bool something = str_trim(str_sub(r->text, from, to)).n > 0;
    blank(r, from, to);
    return something;
}

static bool mend(struct reading *r)
{
    const struct complaint *c = &r->complaint;
    if (!c->format || strcmp(c->format, "premature end of file") == 0) {
        /* Mostly a brace that is never closed: scan_text has said so. */
        if (r->scan.balanced)
            problem_add(r->problems, c->line, STR_NONE,
                        STR("the file ends in the middle of a statement"));
        return false;
    }
    if (strcmp(c->format, "no such option '%s'") == 0)
        return mend_unknown(r, c);
    if (strcmp(c->format, "found duplicate title '%s'") == 0)
        return mend_duplicate(r, c);
    return mend_slip(r, c);
}

static void report(void *arg, unsigned line, const char *text)
{
    struct problems *p = arg;
    if (!problem_on_line(p, line))
        problem_add(p, line, STR_NONE, str_c(text));
}

bool syntax_spoiled(const struct syntax *s, const struct problems *p, unsigned line)
{
    for (size_t i = 0; i < s->mended && i < p->count; i++)
        if (p->list[i].line == line)
            return true;
    return false;
}

void syntax_read(char *text, size_t n, struct arena *a, struct problems *p, struct syntax *ret)
{
    struct reading r = {.text = str_n(text, n), .arena = a, .problems = p, .result = ret};
    *ret = (struct syntax){0};
    scan_text(text, n, a, report, p, &r.scan);
    ret->mended = p->count;
    ret->balanced = r.scan.balanced;
    for (unsigned pass = 0; pass < PASSES_MAX && !ret->complete; pass++) {
        scan_text(text, n, a, report, p, &r.scan);
        ret->complete = parse_once(&r);
        if (!ret->complete && !mend(&r))
            break;
    }
}
