// SPDX-License-Identifier: ISC
#include "outward/talk/show.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/check.h"
#include "base/utf8.h"
#include "cli/cli.h"

enum { WORDS_BYTES_MAX = 64 * 1024, INDENT = 2 };

static const char *const colours[] = {
    [SHOW_GOOD] = "\033[32m", [SHOW_LATER] = "\033[33m", [SHOW_BAD] = "\033[31m",
    [SHOW_ODD] = "\033[35m",  [SHOW_SENT] = "\033[36m",  [SHOW_DIM] = "\033[2m",
    [SHOW_PLAIN] = "",
};

void show_init(struct show *s, bool json)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    *s = (struct show){.json = json, .explains = true, .times = true, .out = stdout};
    s->terminal = !json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    s->colours = !json && isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term &&
                 strcmp(term, "dumb") != 0;
}

void show_done(struct show *s)
{
    if (s->transcript)
        (void)fclose(s->transcript);
    s->transcript = NULL;
}

/* Somebody else has the terminal: what is said meanwhile is shown when it is back. */
void show_mute(struct show *s)
{
    s->muted_bytes = 0;
    FILE *memory = open_memstream(&s->muted, &s->muted_bytes);

    s->out = memory ? memory : stdout;
}

void show_unmute(struct show *s)
{
    if (s->out == stdout)
        return;
    (void)fclose(s->out);
    s->out = stdout;
    show_hide(s);
    (void)fwrite(s->muted, 1, s->muted_bytes, stdout);
    (void)fflush(stdout);
    free(s->muted);
    s->muted = NULL;
}

void show_hide(struct show *s)
{
    if (s->editor && s->out == stdout)
        editor_hide(s->editor);
}

static void style(const struct show *s, enum show_style which)
{
    if (s->colours)
        fputs(colours[which], s->out);
}

static void style_end(const struct show *s, enum show_style which)
{
    if (s->colours && *colours[which])
        fputs("\033[0m", s->out);
}

/* ---- text of strangers ---- */

static void put_visible(FILE *to, struct str text)
{
    while (text.n > 0) {
        struct str rest = text;
        uint32_t c;

        if (text.p[0] == '\t') {
            fputc(' ', to);
            text = str_skip(text, 1);
        } else if (utf8_cut(&rest, &c) && (c == ' ' || utf8_is_visible(c))) {
            (void)fwrite(text.p, 1, text.n - rest.n, to);
            text = rest;
        } else {
            fprintf(to, "\\x%02x", (uint8_t)text.p[0]);
            text = str_skip(text, 1);
        }
    }
}

/* In a transcript a line stands for exactly what was said: with escapes where it must. */
static void write_down(FILE *to, char who, struct str line)
{
    bool plain = true;

    for (size_t i = 0; i < line.n && plain; i++)
        plain = (uint8_t)line.p[i] >= ' ' && line.p[i] != 127;
    fprintf(to, "%c%s:%s", who, plain ? "" : "\\", line.n > 0 ? " " : "");
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];

        if (plain || ((uint8_t)c >= ' ' && c != 127 && c != '\\'))
            fputc(c, to);
        else if (c == '\\')
            fputs("\\\\", to);
        else
            fprintf(to, "\\x%02x", (uint8_t)c);
    }
    fputs(plain || who == 'S' ? "\n" : "\\r\\n\n", to);
    (void)fflush(to);
}

/* ---- lines ---- */

static enum show_style style_of(uint16_t code)
{
    return code == 0 ? SHOW_ODD : code >= 500 ? SHOW_BAD : code >= 400 ? SHOW_LATER : SHOW_GOOD;
}

static json_t *json_line(struct str line)
{
    return json_text(line);
}

void show_event(struct show *s, json_t *object)
{
    if (!s->json) {
        json_decref(object);
        return;
    }
    show_hide(s);
    print_json(object);
    (void)fflush(s->out);
}

void show_heard(struct show *s, struct str line, uint16_t code)
{
    if (s->transcript)
        write_down(s->transcript, 'S', line);
    if (s->json) {
        if (code == 0)
            show_event(s, json_pack("{s:s, s:o}", "event", "nonsense", "line", json_line(line)));
        return;
    }
    show_hide(s);
    if (!s->terminal) {
        write_down(s->out, 'S', line);
        return;
    }
    style(s, style_of(code));
    put_visible(s->out, line);
    style_end(s, style_of(code));
    fputc('\n', s->out);
    (void)fflush(s->out);
}

void show_said(struct show *s, struct str line, bool typed)
{
    if (s->transcript)
        write_down(s->transcript, 'C', line);
    if (s->json) {
        show_event(s, json_pack("{s:s, s:o}", "event", "said", "line", json_line(line)));
        return;
    }
    if (s->terminal && typed)
        return;
    show_hide(s);
    if (!s->terminal) {
        write_down(s->out, 'C', line);
        return;
    }
    style(s, SHOW_SENT);
    fputs("> ", s->out);
    put_visible(s->out, line);
    style_end(s, SHOW_SENT);
    fputc('\n', s->out);
    (void)fflush(s->out);
}

/* ---- words of ours ---- */

/* How many bytes of text go into a row: to a blank; a word that is longer stays whole. */
static size_t row_bytes(struct str text, size_t columns)
{
    struct str rest = text;
    size_t blank = 0, used = 0;
    uint32_t c;

    for (; rest.n > 0 && used < columns; used++) {
        if (rest.p[0] == ' ')
            blank = text.n - rest.n;
        if (!utf8_cut(&rest, &c))
            rest = str_skip(rest, 1);
    }
    if (rest.n == 0)
        return text.n;
    return blank > 0 ? blank : text.n - rest.n + str_find(rest, ' ');
}

/* At a terminal in rows of its width; otherwise one line behind #. */
static void put_words(struct show *s, enum show_style which, struct str text)
{
    size_t columns = s->terminal ? editor_columns() : SIZE_MAX;
    const char *before = s->terminal ? "  " : "# ";

    columns = columns > 2 * INDENT + 20 ? columns - INDENT - 1 : 20;
    show_hide(s);
    while (text.n > 0) {
        struct str row = str_sub(text, 0, row_bytes(text, columns));

        text = str_trim(str_skip(text, row.n));
        style(s, which);
        fprintf(s->out, "%s%.*s", before, STR_ARG(row));
        style_end(s, which);
        fputc('\n', s->out);
        before = s->terminal ? "    " : "# ";
    }
    (void)fflush(s->out);
}

static void words(struct show *s, enum show_style which, struct buf *text)
{
    struct str rest = buf_str(text);

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');

        if (s->transcript)
            fprintf(s->transcript, "# %.*s\n", STR_ARG(line));
        if (!s->json)
            put_words(s, which, line);
    }
    if (s->transcript)
        (void)fflush(s->transcript);
}

void show_words(struct show *s, enum show_style which, const char *format, ...)
{
    struct buf text = buf_init(WORDS_BYTES_MAX);
    char *printed = NULL;
    va_list list;

    va_start(list, format);
    int n = vasprintf(&printed, format, list);
    va_end(list);
    if (n > 0)
        (void)buf_add(&text, str_sub(str_n(printed, (size_t)n), 0, WORDS_BYTES_MAX));
    free(printed);
    words(s, which, &text);
    buf_free(&text);
}

void show_time(struct buf *to, uint64_t us)
{
    if (us < 10 * 1000)
        (void)buf_printf(to, _("%u.%u ms"), (unsigned)(us / 1000), (unsigned)(us % 1000 / 100));
    else if (us < US_PER_S)
        (void)buf_printf(to, _("%u ms"), (unsigned)(us / 1000));
    else
        (void)buf_printf(to, _("%u.%u s"), (unsigned)(us / US_PER_S),
                         (unsigned)(us % US_PER_S / (US_PER_S / 10)));
}

void show_explanation(struct show *s, const struct explanation *e, bool bad)
{
    if (e->causes && s->explains)
        show_words(s, SHOW_DIM, _("why: %s"), _(e->causes));
    if (e->remedy && s->explains)
        show_words(s, bad ? SHOW_PLAIN : SHOW_DIM, bad ? _("try: %s") : _("next: %s"),
                   _(e->remedy));
}

static void add_json_lines(json_t *object, struct str text)
{
    json_t *lines = json_array();

    do {
        json_array_append_new(lines, json_text(str_cut(&text, '\n')));
    } while (text.n > 0);
    json_object_set_new(object, "lines", lines);
}

static json_t *json_answer(const struct answer_reader *a, const char *verb, uint64_t us,
                           bool unasked, const struct explanation *e, const struct status *st)
{
    json_t *object = json_pack("{s:s, s:b}", "event", "reply", "positive", answer_positive(a));
    struct buf enhanced = buf_init(16);

    if (a->kind == ANSWER_CODE) {
        json_object_set_new(object, "code", json_integer(a->code));
        status_print_enhanced(&enhanced, st);
        if (st->subject || st->detail || str_starts(buf_str(&a->text), buf_str(&enhanced)))
            json_object_set_new(object, "status", json_text(buf_str(&enhanced)));
    } else if (a->name.n > 0) {
        json_object_set_new(object, "code", json_text(buf_str(&a->name)));
    }
    add_json_lines(object, buf_str(&a->text));
    json_object_set_new(object, "asked", unasked ? json_null() : json_string(verb));
    json_object_set_new(object, "us", unasked ? json_null() : json_integer((json_int_t)us));
    json_object_set_new(object, "meaning", json_string(e->meaning));
    if (e->causes)
        json_object_set_new(object, "causes", json_string(e->causes));
    if (e->remedy)
        json_object_set_new(object, "remedy", json_string(e->remedy));
    buf_free(&enhanced);
    return object;
}

static void answer_words(struct show *s, const struct explanation *e, uint64_t us, bool unasked,
                         bool bad)
{
    struct buf time = buf_init(64);

    if (s->times && !unasked)
        show_time(&time, us);
    if (time.n > 0 && s->explains)
        show_words(s, SHOW_DIM, "%s: %s", buf_c(&time), _(e->meaning));
    else if (s->explains)
        show_words(s, SHOW_DIM, "%s%s", unasked ? _("nobody asked for this: ") : "", _(e->meaning));
    else if (time.n > 0)
        show_words(s, SHOW_DIM, "%s", buf_c(&time));
    show_explanation(s, e, bad);
    buf_free(&time);
}

void show_answer(struct show *s, const struct answer_reader *a, enum explain_step step,
                 const char *verb, uint64_t us, bool unasked)
{
    bool positive = answer_positive(a);
    struct status st = status_from_reply(a->code, buf_str(&a->text));
    struct explanation e = a->pop3
                               ? explain_pop3(step, positive, buf_str(&a->name),
                                              str_sub(buf_str(&a->text), 0, ANSWER_LINE_BYTES_MAX))
                               : explain_reply(step, &st);

    if (s->json)
        show_event(s, json_answer(a, verb, us, unasked, &e, &st));
    answer_words(s, &e, us, unasked, !positive);
}
