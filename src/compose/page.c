/* compose/page.c - level 0 is the page; level n is the cells, one behind the other, of the nth open
 * table. A word is held until it is known to be whole, for only then is it known where it goes. */
// SPDX-License-Identifier: ISC
#include "compose/page.h"

#include <stdlib.h>
#include <string.h>
#include <uniwidth.h>

#include "base/check.h"
#include "base/utf8.h"

enum {
    PREFIX_BYTES_MAX = 8,
    WORD_BYTES_MAX = 4096, /* a longer one is cut */
    CELLS_MAX = 20000,     /* of a table; what is beyond goes into the last one */
    COLUMNS_MAX = 16,
    COLUMN_GAP = 2,
    WIDTH_MIN = 20, /* however deep a cell is indented */
    TAB_WIDTH = 8,
};

struct prefix {
    char first[PREFIX_BYTES_MAX + 1], rest[PREFIX_BYTES_MAX + 1];
    bool used;
};

struct level {
    struct buf out, word;
    size_t width, word_width, column, last_column;
    bool line_open;
    bool anything;  /* was written: an empty line makes sense */
    bool apart;     /* an empty line is wanted before the next one */
    bool space;     /* in front of the word */
    bool breakable; /* likewise, without a blank */
    struct prefix prefixes[PAGE_PREFIXES_MAX];
    size_t prefix_count, hidden_prefix_count;
};

struct cell {
    size_t row, start, end;
    bool heading;
};

struct table {
    struct cell *cells;
    size_t count, room, row;
    bool in_cell;
};

struct page {
    struct level levels[PAGE_TABLES_MAX + 1];
    struct table tables[PAGE_TABLES_MAX];
    size_t table_count, hidden_table_count;
};

struct page *page_new(size_t width, size_t bytes_max)
{
    struct page *p = mem_new(sizeof *p);

    for (size_t i = 0; i <= PAGE_TABLES_MAX; i++)
        p->levels[i] = (struct level){
            .out = buf_init(bytes_max),
            .word = buf_init(2 * (size_t)WORD_BYTES_MAX),
            .width = width,
        };
    return p;
}

void page_free(struct page **p)
{
    if (!*p)
        return;
    for (size_t i = 0; i <= PAGE_TABLES_MAX; i++) {
        buf_free(&(*p)->levels[i].out);
        buf_free(&(*p)->levels[i].word);
    }
    for (size_t i = 0; i < PAGE_TABLES_MAX; i++)
        free((*p)->tables[i].cells);
    free(*p);
    *p = NULL;
}

/* ---- lines ---- */

static size_t char_width(uint32_t c)
{
    int width = uc_width(c, "UTF-8");

    return width > 0 ? (size_t)width : 0;
}

static size_t text_width(struct str s)
{
    size_t width = 0;
    uint32_t c;

    while (utf8_cut(&s, &c))
        width += char_width(c);
    return width;
}

static void trim_line(struct level *l)
{
    while (l->out.n > 0 && l->out.p[l->out.n - 1] == ' ')
        buf_cut(&l->out, l->out.n - 1);
}

/* The empty line that keeps two blocks apart: still with the marks of a quote around both. */
static void add_empty_line(struct level *l)
{
    for (size_t i = 0; i < l->prefix_count && l->prefixes[i].used; i++)
        (void)buf_add_c(&l->out, l->prefixes[i].rest);
    trim_line(l);
    (void)buf_add_char(&l->out, '\n');
}

static size_t prefix_width(const struct level *l)
{
    size_t width = 0;

    for (size_t i = 0; i < l->prefix_count; i++)
        width += strlen(l->prefixes[i].rest);
    return width;
}

static void line_start(struct level *l)
{
    if (l->apart && l->anything)
        add_empty_line(l);
    for (size_t i = 0; i < l->prefix_count; i++) {
        struct prefix *x = &l->prefixes[i];

        (void)buf_add_c(&l->out, x->used ? x->rest : x->first);
        x->used = true;
    }
    l->column = prefix_width(l);
    l->line_open = l->anything = true;
    l->apart = l->space = l->breakable = false;
}

static void line_end(struct level *l)
{
    trim_line(l);
    (void)buf_add_char(&l->out, '\n');
    l->last_column = l->column;
    l->line_open = l->space = l->breakable = false;
}

/* Puts the word that is held where it belongs. */
static void word_end(struct level *l)
{
    if (l->word.n == 0)
        return;
    if (l->line_open && (l->space || l->breakable) &&
        l->column + l->space + l->word_width > l->width)
        line_end(l);
    if (!l->line_open) {
        line_start(l);
    } else if (l->space) {
        (void)buf_add_char(&l->out, ' ');
        l->column++;
    }
    (void)buf_add(&l->out, buf_str(&l->word));
    l->column += l->word_width;
    l->space = l->breakable = false;
    buf_reset(&l->word);
    l->word_width = 0;
}

static void level_block(struct level *l, bool apart)
{
    word_end(l);
    if (l->line_open)
        line_end(l);
    l->space = false;
    l->apart |= apart;
}

static void add_line(struct level *l, struct str text)
{
    line_start(l);
    (void)buf_add(&l->out, text);
    l->column += text_width(text);
    line_end(l);
}

/* ---- words ---- */

static void word_add(struct level *l, struct str bytes, size_t width)
{
    (void)buf_add(&l->word, bytes);
    l->word_width += width;
    if (l->word.n >= WORD_BYTES_MAX)
        word_end(l);
}

static bool is_white(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0x200b;
}

/* Shows nothing: controls, soft hyphen, byte order mark. */
static bool is_nothing(uint32_t c)
{
    return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0xfeff;
}

/* No line begins with these: 、 。 」 』 and their wide kin. */
static bool is_closing(uint32_t c)
{
    return c == 0x3001 || c == 0x3002 || c == 0x300d || c == 0x300f || c == 0xff01 || c == 0xff09 ||
           c == 0xff0c || c == 0xff0e || c == 0xff1f;
}

/* Between the characters of Chinese or Japanese a line may end. */
static void wide_add(struct level *l, struct str bytes, uint32_t c)
{
    if (!is_closing(c)) {
        word_end(l);
        l->breakable = l->line_open;
    }
    word_add(l, bytes, 2);
}

static void text_char(struct level *l, struct str bytes, uint32_t c)
{
    if (is_white(c)) {
        word_end(l);
        l->space = l->line_open && c != 0x200b;
        l->breakable |= l->line_open && c == 0x200b;
    } else if (c == 0xa0) {
        word_add(l, STR(" "), 1); /* a blank that holds two words together */
    } else if (char_width(c) == 2) {
        wide_add(l, bytes, c);
    } else if (!is_nothing(c)) {
        word_add(l, bytes, char_width(c));
    }
}

static void each_char(struct level *l, struct str utf8,
                      void (*fn)(struct level *l, struct str bytes, uint32_t c))
{
    uint32_t c;

    for (struct str rest = utf8; utf8_cut(&rest, &c); utf8 = rest)
        fn(l, str_sub(utf8, 0, utf8.n - rest.n), c);
}

static void verbatim_char(struct level *l, struct str bytes, uint32_t c)
{
    if (!l->line_open && c != '\r')
        line_start(l);
    if (c == '\n') {
        line_end(l);
    } else if (c == '\t') {
        for (size_t end = l->column / TAB_WIDTH * TAB_WIDTH + TAB_WIDTH; l->column < end;
             l->column++)
            (void)buf_add_char(&l->out, ' ');
    } else if (!is_nothing(c)) {
        (void)buf_add(&l->out, c == 0xa0 ? STR(" ") : bytes);
        l->column += char_width(c);
    }
}

/* ---- where it goes ---- */

static struct table *open_table(struct page *p)
{
    return p->table_count > 0 ? &p->tables[p->table_count - 1] : NULL;
}

static struct level *here(struct page *p)
{
    struct table *t = open_table(p);

    if (t && !t->in_cell)
        page_cell(p, false); /* text that stands between the cells */
    return &p->levels[p->table_count];
}

void page_text(struct page *p, struct str utf8)
{
    uint32_t c;

    while (utf8.n > 0) { /* blanks between two cells are no cell */
        struct str rest = utf8;
        struct table *t = open_table(p);

        if (!t || t->in_cell || !utf8_cut(&rest, &c) || !is_white(c))
            break;
        utf8 = rest;
    }
    if (utf8.n > 0)
        each_char(here(p), utf8, text_char);
}

void page_word(struct page *p, struct str utf8)
{
    struct level *l = here(p);

    word_end(l);
    l->space = l->line_open;
    word_add(l, utf8, text_width(utf8));
}

void page_verbatim(struct page *p, struct str utf8)
{
    struct level *l = here(p);

    word_end(l);
    each_char(l, utf8, verbatim_char);
}

void page_break(struct page *p)
{
    struct level *l = here(p);

    word_end(l);
    if (l->line_open)
        line_end(l);
    else
        l->apart = true;
}

void page_block(struct page *p, bool apart)
{
    struct table *t = open_table(p);

    if (!t || t->in_cell)
        level_block(&p->levels[p->table_count], apart);
}

void page_rule(struct page *p, char c, size_t columns)
{
    struct level *l = here(p);
    struct buf line = buf_init(l->width);
    bool below = l->line_open || l->word.n > 0;

    if (columns == 0 && !below)
        return; /* there is nothing to underline */
    level_block(l, false);
    if (columns == 0)
        columns = l->last_column > prefix_width(l) ? l->last_column - prefix_width(l) : 1;
    for (size_t i = 0; i < columns; i++)
        (void)buf_add_char(&line, c); /* full: wide enough */
    add_line(l, buf_str(&line));
    buf_free(&line);
}

void page_prefix_begin(struct page *p, const char *first, const char *rest)
{
    struct level *l = here(p);
    struct prefix x = {.used = false};

    level_block(l, false);
    if (l->prefix_count == PAGE_PREFIXES_MAX) {
        l->hidden_prefix_count++;
        return;
    }
    (void)memccpy(x.first, first, '\0', PREFIX_BYTES_MAX);
    (void)memccpy(x.rest, rest, '\0', PREFIX_BYTES_MAX);
    l->prefixes[l->prefix_count++] = x;
}

void page_prefix_end(struct page *p)
{
    struct level *l = here(p);

    level_block(l, false);
    if (l->hidden_prefix_count > 0)
        l->hidden_prefix_count--;
    else if (l->prefix_count > 0)
        l->prefix_count--;
}

/* ---- tables: while they are read ---- */

void page_table_begin(struct page *p)
{
    if (p->table_count == PAGE_TABLES_MAX) {
        p->hidden_table_count++;
        page_block(p, false);
        return;
    }
    struct level *outer = here(p);
    struct level *l = &p->levels[p->table_count + 1];
    size_t indent = prefix_width(outer);

    level_block(outer, false);
    l->width = outer->width > indent + WIDTH_MIN ? outer->width - indent : (size_t)WIDTH_MIN;
    buf_reset(&l->out);
    p->tables[p->table_count].count = p->tables[p->table_count].row = 0;
    p->tables[p->table_count].in_cell = false;
    p->table_count++;
}

static void cell_end(struct page *p, struct table *t)
{
    struct level *l = &p->levels[p->table_count];

    if (!t->in_cell)
        return;
    level_block(l, false);
    t->cells[t->count - 1].end = l->out.n;
    t->in_cell = false;
}

void page_row(struct page *p)
{
    struct table *t = open_table(p);

    if (!t || p->hidden_table_count > 0) {
        page_block(p, false);
        return;
    }
    cell_end(p, t);
    t->row++;
}

static void add_cell(struct table *t, struct cell cell)
{
    if (t->count == t->room) {
        t->room = 2 * t->room + 16;
        t->cells = mem_resize(t->cells, t->room * sizeof *t->cells);
    }
    t->cells[t->count++] = cell;
}

void page_cell(struct page *p, bool heading)
{
    struct table *t = open_table(p);
    struct level *l = &p->levels[p->table_count];

    if (!t || p->hidden_table_count > 0) {
        page_block(p, false);
        return;
    }
    cell_end(p, t);
    if (t->count < CELLS_MAX) {
        add_cell(t, (struct cell){.row = t->row, .start = l->out.n, .heading = heading});
        l->anything = l->apart = false;
        l->prefix_count = l->hidden_prefix_count = 0;
    }
    t->in_cell = true;
}

/* ---- tables: when they are whole ---- */

struct columns {
    size_t count;
    size_t widths[COLUMNS_MAX];
    bool single; /* no cell has more than a line */
};

static struct str cell_text(const struct level *l, const struct cell *c)
{
    return str_trim(str_sub(buf_str(&l->out), c->start, c->end));
}

/* The cells of the row that begins at `from`. */
static size_t row_cells(const struct table *t, size_t from)
{
    size_t n = 1;

    while (from + n < t->count && t->cells[from + n].row == t->cells[from].row)
        n++;
    return n;
}

static struct columns measure(const struct table *t, const struct level *l)
{
    struct columns c = {.single = true};

    for (size_t from = 0, n; from < t->count; from += n) {
        n = row_cells(t, from);
        c.count = MAX_OF(c.count, n);
        for (size_t i = 0; i < n; i++) {
            struct str text = cell_text(l, &t->cells[from + i]);

            c.single = c.single && str_find(text, '\n') == text.n;
            if (i < COLUMNS_MAX && n > 1) /* a title over all columns widens none */
                c.widths[i] = MAX_OF(c.widths[i], text_width(text));
        }
    }
    return c;
}

static bool is_empty_row(const struct table *t, const struct level *l, size_t from, size_t n)
{
    bool empty = true;

    for (size_t i = 0; i < n; i++)
        empty = empty && cell_text(l, &t->cells[from + i]).n == 0;
    return empty;
}

static bool is_heading_row(const struct table *t, size_t from, size_t n)
{
    bool all = true;

    for (size_t i = 0; i < n; i++)
        all = all && t->cells[from + i].heading;
    return all;
}

static void pad(struct buf *line, size_t *column, size_t to)
{
    for (; *column < to; ++*column)
        (void)buf_add_char(line, ' ');
}

/* One row of an aligned table; cells NULL: dashes under the headings. */
static void add_row(struct level *outer, const struct level *l, const struct cell *cells, size_t n,
                    const struct columns *c)
{
    struct buf line = buf_init(64 * KIB);
    size_t column = 0, start = 0;

    for (size_t i = 0; i < n; i++) {
        struct str text = cells ? cell_text(l, &cells[i]) : STR("");

        pad(&line, &column, start);
        (void)buf_add(&line, text);
        column += text_width(text);
        for (size_t k = 0; !cells && k < c->widths[i]; k++, column++)
            (void)buf_add_char(&line, '-');
        start += c->widths[i] + COLUMN_GAP;
    }
    add_line(outer, buf_str(&line));
    buf_free(&line);
}

static void set_aligned(struct level *outer, const struct table *t, const struct level *l,
                        const struct columns *c)
{
    level_block(outer, true);
    for (size_t from = 0, n; from < t->count; from += n) {
        n = row_cells(t, from);
        if (is_empty_row(t, l, from, n))
            continue;
        add_row(outer, l, &t->cells[from], n, c);
        if (from == 0 && n > 1 && is_heading_row(t, from, n))
            add_row(outer, l, NULL, n, c);
    }
    level_block(outer, true);
}

/* Too wide for columns: "a | b | c". */
static void set_in_line(struct level *outer, const struct table *t, const struct level *l)
{
    level_block(outer, true);
    for (size_t i = 0; i < t->count; i++) {
        bool first = i == 0 || t->cells[i].row != t->cells[i - 1].row;

        if (first)
            level_block(outer, false);
        else
            each_char(outer, STR(" | "), text_char);
        each_char(outer, cell_text(l, &t->cells[i]), text_char);
    }
    level_block(outer, true);
}

/* Not a table, but a way to place things. */
static void set_below(struct level *outer, const struct table *t, const struct level *l)
{
    for (size_t i = 0; i < t->count; i++) {
        struct str text = str_sub(buf_str(&l->out), t->cells[i].start, t->cells[i].end);
        bool many = str_find(text, '\n') + 1 < text.n;

        level_block(outer, many);
        while (text.n > 0) {
            struct str line = str_cut(&text, '\n');

            if (line.n > 0)
                add_line(outer, line);
            else
                outer->apart = true;
        }
        outer->apart |= many;
    }
}

void page_table_end(struct page *p)
{
    struct table *t = open_table(p);

    if (!t || p->hidden_table_count > 0) {
        p->hidden_table_count -= p->hidden_table_count > 0;
        page_block(p, false);
        return;
    }
    cell_end(p, t);

    struct level *l = &p->levels[p->table_count];
    struct level *outer = &p->levels[--p->table_count];
    struct columns c = measure(t, l);
    size_t width = c.count > 0 ? (c.count - 1) * COLUMN_GAP : 0;

    for (size_t i = 0; i < c.count && i < COLUMNS_MAX; i++)
        width += c.widths[i];
    if (c.count < 2 || !c.single)
        set_below(outer, t, l);
    else if (c.count <= COLUMNS_MAX && width <= l->width)
        set_aligned(outer, t, l, &c);
    else
        set_in_line(outer, t, l);
    outer->out.full |= l->out.full;
    buf_free(&l->out);
}

bool page_end(struct page *p, struct buf *to)
{
    while (p->table_count > 0) {
        p->hidden_table_count = 0;
        page_table_end(p);
    }
    level_block(&p->levels[0], false);
    return !p->levels[0].out.full && buf_add(to, buf_str(&p->levels[0].out));
}
