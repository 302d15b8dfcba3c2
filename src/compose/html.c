/* compose/html.c - each kind of element is a row: what is done where it begins and where it ends.
 *
 * libxml2 ends what was left open, so ends come in the order of beginnings; they are matched by
 * depth. Beyond DEPTH_MAX an element is as if it had no name. */
// SPDX-License-Identifier: ISC
#include "compose/html.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/HTMLparser.h>

#include "base/check.h"
#include "base/utf8.h"
#include "compose/page.h"

enum {
    DEPTH_MAX = 256,
    LINK_BYTES_MAX = 2000, /* a longer one is not shown: nobody could type it */
    LISTS_MAX = 16,
    ITEM_NUMBER_MAX = 999999,
    RULE_COLUMNS = 40,
};

struct document;
typedef const unsigned char **attributes; /* name, value, name, value, NULL; or NULL */

struct element {
    const char *name;
    void (*begin)(struct document *d, const struct element *e, attributes a);
    void (*end)(struct document *d, const struct element *e);
    const char *mark; /* for both */
};

struct list {
    bool numbered;
    unsigned next;
};

struct document {
    struct page *page;
    const struct element *open[DEPTH_MAX]; /* NULL: nothing special */
    size_t depth;
    size_t hidden_from; /* depth of the element that is not shown; 0: all are */
    size_t verbatim;    /* how many pre are open */
    bool verbatim_began;
    struct list lists[LISTS_MAX];
    size_t list_count;
    struct buf link;      /* where the open a leads; empty: nowhere that could be shown */
    struct buf link_text; /* what was shown of it, as far as it could be the same */
};

static const char *attribute(attributes a, const char *name)
{
    for (; a && a[0]; a += 2)
        if (str_eq_nocase(str_c((const char *)a[0]), str_c(name)))
            return a[1] ? (const char *)a[1] : "";
    return NULL;
}

/* ---- blocks ---- */

static void begin_block(struct document *d, const struct element *e, attributes a)
{
    page_block(d->page, false);
}

static void end_block(struct document *d, const struct element *e)
{
    page_block(d->page, false);
}

static void begin_apart(struct document *d, const struct element *e, attributes a)
{
    page_block(d->page, true);
}

static void end_apart(struct document *d, const struct element *e)
{
    page_block(d->page, true);
}

static void end_heading(struct document *d, const struct element *e)
{
    page_rule(d->page, e->mark[0], 0);
    page_block(d->page, true);
}

static void begin_break(struct document *d, const struct element *e, attributes a)
{
    page_break(d->page);
}

static void begin_rule(struct document *d, const struct element *e, attributes a)
{
    page_block(d->page, true);
    page_rule(d->page, '-', RULE_COLUMNS);
    page_block(d->page, true);
}

static void begin_quote(struct document *d, const struct element *e, attributes a)
{
    page_block(d->page, true);
    page_prefix_begin(d->page, "> ", "> ");
}

static void begin_indented(struct document *d, const struct element *e, attributes a)
{
    page_prefix_begin(d->page, "    ", "    ");
}

static void end_prefix(struct document *d, const struct element *e)
{
    page_prefix_end(d->page);
}

static void end_prefix_apart(struct document *d, const struct element *e)
{
    page_prefix_end(d->page);
    page_block(d->page, true);
}

static void begin_verbatim(struct document *d, const struct element *e, attributes a)
{
    page_block(d->page, true);
    d->verbatim++;
    d->verbatim_began = true;
}

static void end_verbatim(struct document *d, const struct element *e)
{
    d->verbatim--;
    page_block(d->page, true);
}

/* ---- lists ---- */

static unsigned number_of(const char *text, unsigned otherwise)
{
    uint64_t n;

    return text && str_u64(str_trim(str_c(text)), &n) && n <= ITEM_NUMBER_MAX ? (unsigned)n
                                                                              : otherwise;
}

static void begin_list(struct document *d, const struct element *e, attributes a)
{
    page_block(d->page, d->list_count == 0);
    if (d->list_count < LISTS_MAX)
        d->lists[d->list_count] = (struct list){
            .numbered = e->mark != NULL,
            .next = number_of(attribute(a, "start"), 1),
        };
    d->list_count++;
}

static void end_list(struct document *d, const struct element *e)
{
    d->list_count--;
    page_block(d->page, d->list_count == 0);
}

static void begin_item(struct document *d, const struct element *e, attributes a)
{
    struct list *list =
        d->list_count > 0 && d->list_count <= LISTS_MAX ? &d->lists[d->list_count - 1] : NULL;
    char first[16] = "- ", rest[16] = "  ";

    if (list && list->numbered) {
        list->next = number_of(attribute(a, "value"), list->next);
        int n = snprintf(first, sizeof first, "%u. ", list->next % (ITEM_NUMBER_MAX + 1));

        snprintf(rest, sizeof rest, "%*s", n, "");
        list->next++;
    }
    page_prefix_begin(d->page, first, rest);
}

/* ---- tables ---- */

static void begin_table(struct document *d, const struct element *e, attributes a)
{
    page_table_begin(d->page);
}

static void end_table(struct document *d, const struct element *e)
{
    page_table_end(d->page);
}

static void begin_row(struct document *d, const struct element *e, attributes a)
{
    page_row(d->page);
}

static void begin_cell(struct document *d, const struct element *e, attributes a)
{
    page_cell(d->page, e->mark != NULL);
}

/* A title: a row of its own. */
static void begin_caption(struct document *d, const struct element *e, attributes a)
{
    page_row(d->page);
    page_cell(d->page, true);
}

/* ---- in a line ---- */

static void show(struct document *d, struct str text)
{
    (void)buf_add(&d->link_text, text); /* full: longer than any link */
    page_text(d->page, text);
}

static void begin_mark(struct document *d, const struct element *e, attributes a)
{
    show(d, str_c(e->mark));
}

static void end_mark(struct document *d, const struct element *e)
{
    show(d, str_c(e->mark));
}

static void begin_picture(struct document *d, const struct element *e, attributes a)
{
    struct str text = str_trim(str_c(attribute(a, "alt")));

    if (text.n == 0)
        return;
    show(d, STR("["));
    show(d, text);
    show(d, STR("]"));
}

/* Can be followed by a person who sees it. */
static bool is_shown_link(struct str s)
{
    static const char *const schemes[] = {"http:", "https:", "ftp:", "mailto:", "tel:"};
    bool known = false;

    for (size_t i = 0; i < countof(schemes); i++)
        known |= str_starts_nocase(s, str_c(schemes[i]));
    for (size_t i = 0; i < s.n; i++)
        known &= (uint8_t)s.p[i] > ' ' && s.p[i] != 0x7f && s.p[i] != '<' && s.p[i] != '>';
    return known && s.n <= LINK_BYTES_MAX;
}

static void begin_link(struct document *d, const struct element *e, attributes a)
{
    struct str href = str_trim(str_c(attribute(a, "href")));

    buf_reset(&d->link);
    buf_reset(&d->link_text);
    if (is_shown_link(href))
        (void)buf_add(&d->link, href);
}

static struct str without(struct str s, const char *front, const char *end)
{
    if (str_starts_nocase(s, str_c(front)))
        s = str_skip(s, strlen(front));
    return str_ends(s, str_c(end)) ? str_sub(s, 0, s.n - strlen(end)) : s;
}

/* What a link leads to, without what people leave out. */
static struct str essence(struct str s)
{
    s = without(without(str_trim(s), "https://", "/"), "http://", "/");
    s = without(without(s, "mailto:", ""), "tel:", "");
    return without(s, "www.", "");
}

static void end_link(struct document *d, const struct element *e)
{
    struct str link = buf_str(&d->link);

    if (link.n > 0 && !str_eq_nocase(essence(link), essence(buf_str(&d->link_text)))) {
        struct buf word = buf_init(LINK_BYTES_MAX + 2);
        struct str bare = without(without(link, "mailto:", ""), "tel:", "");

        (void)buf_printf(&word, "<%.*s>", STR_ARG(bare)); /* RFC 3986 appendix C */
        page_word(d->page, buf_str(&word));
        buf_free(&word);
    }
    buf_reset(&d->link);
}

static void begin_hidden(struct document *d, const struct element *e, attributes a)
{
    d->hidden_from = d->depth;
}

static const struct element elements[] = {
    /* name       at its begin    at its end */
    {"a", begin_link, end_link, NULL},
    {"address", begin_block, end_block, NULL},
    {"applet", begin_hidden, NULL, NULL},
    {"article", begin_apart, end_apart, NULL},
    {"aside", begin_apart, end_apart, NULL},
    {"blockquote", begin_quote, end_prefix_apart, NULL},
    {"br", begin_break, NULL, NULL},
    {"caption", begin_caption, NULL, NULL},
    {"center", begin_block, end_block, NULL},
    {"dd", begin_indented, end_prefix, NULL},
    {"dir", begin_list, end_list, NULL},
    {"div", begin_block, end_block, NULL},
    {"dl", begin_apart, end_apart, NULL},
    {"dt", begin_block, end_block, NULL},
    {"fieldset", begin_apart, end_apart, NULL},
    {"figcaption", begin_block, end_block, NULL},
    {"figure", begin_apart, end_apart, NULL},
    {"footer", begin_apart, end_apart, NULL},
    {"form", begin_block, end_block, NULL},
    {"h1", begin_apart, end_heading, "="},
    {"h2", begin_apart, end_heading, "-"},
    {"h3", begin_apart, end_apart, NULL},
    {"h4", begin_apart, end_apart, NULL},
    {"h5", begin_apart, end_apart, NULL},
    {"h6", begin_apart, end_apart, NULL},
    {"head", begin_hidden, NULL, NULL},
    {"header", begin_apart, end_apart, NULL},
    {"hr", begin_rule, NULL, NULL},
    {"iframe", begin_hidden, NULL, NULL},
    {"img", begin_picture, NULL, NULL},
    {"li", begin_item, end_prefix, NULL},
    {"main", begin_apart, end_apart, NULL},
    {"menu", begin_list, end_list, NULL},
    {"nav", begin_apart, end_apart, NULL},
    {"object", begin_hidden, NULL, NULL},
    {"ol", begin_list, end_list, "1"},
    {"p", begin_apart, end_apart, NULL},
    {"pre", begin_verbatim, end_verbatim, NULL},
    {"q", begin_mark, end_mark, "\""},
    {"script", begin_hidden, NULL, NULL},
    {"section", begin_apart, end_apart, NULL},
    {"select", begin_hidden, NULL, NULL},
    {"style", begin_hidden, NULL, NULL},
    {"svg", begin_hidden, NULL, NULL},
    {"table", begin_table, end_table, NULL},
    {"td", begin_cell, NULL, NULL},
    {"template", begin_hidden, NULL, NULL},
    {"textarea", begin_hidden, NULL, NULL},
    {"th", begin_cell, NULL, "1"},
    {"title", begin_hidden, NULL, NULL},
    {"tr", begin_row, NULL, NULL},
    {"ul", begin_list, end_list, NULL},
};

static const struct element hidden_element = {"", begin_hidden, NULL, NULL};

static int compare_names(const void *name, const void *element)
{
    return strcasecmp(name, ((const struct element *)element)->name);
}

/* hidden, or style="display: none": mail puts there what is to be seen in lists of messages. */
static bool is_hidden(attributes a)
{
    const char *style = attribute(a, "style");
    char compact[16];
    size_t n = 0;

    if (attribute(a, "hidden"))
        return true;
    if (!style)
        return false;
    for (const char *at = strcasestr(style, "display"); at && *at && n < sizeof compact - 1; at++)
        if (!strchr(" \t\r\n", *at))
            compact[n++] = char_lower(*at);
    return str_starts(str_n(compact, n), STR("display:none"));
}

/* ---- what libxml2 tells ---- */

static bool is_shown(const struct document *d)
{
    return d->hidden_from == 0;
}

static const struct element *find_element(const unsigned char *name, attributes a)
{
    if (is_hidden(a))
        return &hidden_element;
    return bsearch(name, elements, countof(elements), sizeof elements[0], compare_names);
}

static void on_begin(void *arg, const unsigned char *name, attributes a)
{
    struct document *d = arg;
    const struct element *e = is_shown(d) ? find_element(name, a) : NULL;
    bool deep = ++d->depth > DEPTH_MAX;

    d->verbatim_began = false;
    if (deep && e && e->begin != begin_hidden)
        e = NULL;
    if (e && e->begin)
        e->begin(d, e, a);
    if (!deep)
        d->open[d->depth - 1] = e;
}

static void on_end(void *arg, const unsigned char *name)
{
    struct document *d = arg;

    if (d->depth == 0)
        return;
    const struct element *e = d->depth <= DEPTH_MAX ? d->open[d->depth - 1] : NULL;

    d->verbatim_began = false;
    if (is_shown(d) && e && e->end)
        e->end(d, e);
    if (d->hidden_from == d->depth)
        d->hidden_from = 0;
    d->depth--;
}

static void on_text(void *arg, const unsigned char *text, int n)
{
    struct document *d = arg;
    struct str s = str_n((const char *)text, n > 0 ? (size_t)n : 0);

    if (!is_shown(d) || s.n == 0)
        return;
    if (d->verbatim == 0) {
        show(d, s);
        return;
    }
    if (d->verbatim_began && str_starts(s, STR("\n"))) /* it only ends the line of the tag */
        s = str_skip(s, 1);
    d->verbatim_began = false;
    (void)buf_add(&d->link_text, s);
    page_verbatim(d->page, s);
}

static void parse(struct document *d, struct str html)
{
    htmlParserCtxtPtr parser = htmlNewParserCtxt();

    if (!parser)
        mem_none();
    memset(parser->sax, 0, sizeof *parser->sax);
    parser->sax->startElement = on_begin;
    parser->sax->endElement = on_end;
    parser->sax->characters = on_text;
    parser->sax->ignorableWhitespace = on_text;
    parser->userData = d;
    (void)htmlCtxtReadMemory(parser, html.p, (int)html.n, NULL, "UTF-8",
                             HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    htmlFreeParserCtxt(parser);
}

bool html_text(struct str html, struct buf *to)
{
    struct document *d = mem_new(sizeof *d);

    check(html.n <= INT_MAX);
    d->page = page_new(HTML_LINE_WIDTH, to->bytes_max);
    d->link = buf_init(LINK_BYTES_MAX);
    d->link_text = buf_init(LINK_BYTES_MAX);
    parse(d, html);
    bool good = page_end(d->page, to);

    page_free(&d->page);
    buf_free(&d->link);
    buf_free(&d->link_text);
    free(d);
    return good;
}
