/* outward/talk/editor.c - see editor.h.
 *
 * Bytes that are no letters in the locale of the user (8-bit text, half of a character) live in
 * libedit as U+F700 and the byte, and go out as that byte again. */
// SPDX-License-Identifier: ISC
#include "outward/talk/editor.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/arena.h"
#include "base/check.h"

enum { KEYS_MAX = 4096, HISTORY_LINES_MAX = 1000, RAW_BYTE = 0xf700, COLUMNS_DEFAULT = 80 };

struct editor {
    struct loop *loop;
    const struct editor_events *events;
    void *arg;
    EditLine *el;
    History *history;
    char *history_path;
    struct termios before, quiet; /* of the user; while nobody reads: no echo, no lines */
    struct watch keys, interrupt, stopped, resized;
    unsigned char typed[KEYS_MAX]; /* read and not looked at */
    size_t typed_first, typed_count;
    bool readable, lent, hidden, reading, ended, broken, stop, resize;
    bool secret, secret_ready;
    struct buf secret_line;
};

/* ---- keys ---- */

static void on_keys(void *arg, unsigned what)
{
    struct editor *e = arg;

    e->readable = true;
}

static bool keys_wait(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

bool editor_has_keys(const struct editor *e)
{
    return e->typed_count > 0 || keys_wait();
}

/* Reads what is there. False: the terminal is gone. */
static bool read_keys(struct editor *e)
{
    e->readable = false;
    if (e->typed_count > 0 || !keys_wait())
        return true;
    ssize_t n = read(STDIN_FILENO, e->typed, sizeof(e->typed));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    e->typed_first = 0;
    e->typed_count = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static unsigned char take_byte(struct editor *e)
{
    e->typed_count--;
    return e->typed[e->typed_first++];
}

/* A letter of the locale; 0: the rest of it must come first. */
static size_t take_letter(struct editor *e, wchar_t *c)
{
    mbstate_t state = {0};
    size_t n = mbrtowc(c, (const char *)e->typed + e->typed_first, e->typed_count, &state);

    if (n == (size_t)-2 && e->typed_count < MB_CUR_MAX && keys_wait()) {
        memmove(e->typed, e->typed + e->typed_first, e->typed_count);
        e->typed_first = 0;
        ssize_t more =
            read(STDIN_FILENO, e->typed + e->typed_count, sizeof(e->typed) - e->typed_count);

        e->typed_count += more > 0 ? (size_t)more : 0;
        return more > 0 ? 0 : 1;
    }
    if (n == (size_t)-1 || n == (size_t)-2) {
        *c = (wchar_t)(RAW_BYTE + take_byte(e));
        return 1;
    }
    n = MAX_OF(n, (size_t)1);
    e->typed_first += n;
    e->typed_count -= n;
    return n;
}

/* ---- the screen ---- */

unsigned editor_columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

static size_t width_of(const wchar_t *s, const wchar_t *end)
{
    size_t n = 0;

    for (; s < end; s++) {
        int one = wcwidth(*s);

        n += one < 0 ? 2 : (size_t)one; /* ^A */
    }
    return n;
}

static size_t prompt_width(struct editor *e)
{
    wchar_t text[256];
    size_t n = mbstowcs(text, e->events->prompt(e->arg), countof(text));

    return n == (size_t)-1 ? 0 : width_of(text, text + MIN_OF(n, countof(text)));
}

static void clear_rows(size_t up)
{
    putchar('\r');
    if (up > 0)
        printf("\033[%zuA", up);
    printf("\033[J");
    fflush(stdout);
}

void editor_hide(struct editor *e)
{
    if (!e->reading || e->hidden || e->lent)
        return;
    const LineInfoW *line = el_wline(e->el);

    e->hidden = true;
    clear_rows((prompt_width(e) + width_of(line->buffer, line->cursor)) / editor_columns());
}

void editor_redraw(struct editor *e)
{
    editor_hide(e);
}

void editor_rub_out(struct editor *e, struct str line)
{
    wchar_t *text = mem_new((line.n + 1) * sizeof(*text));
    char *bytes = mem_copy(line.p, line.n);
    size_t n = mbstowcs(text, bytes, line.n + 1);
    size_t width = prompt_width(e) + (n == (size_t)-1 ? line.n : width_of(text, text + n));

    clear_rows(width / editor_columns() + 1);
    free(bytes);
    free(text);
}

static void show_again(struct editor *e)
{
    if (!e->hidden)
        return;
    e->hidden = false;
    (void)el_set(e->el, EL_REFRESH);
}

/* ---- signals ---- */

static void on_interrupt(void *arg, unsigned what)
{
    struct editor *e = arg;

    e->broken = true;
}

static void on_resized(void *arg, unsigned what)
{
    struct editor *e = arg;

    e->resize = true;
}

/* Ctrl-Z: the shell gets its terminal as it was. */
static void on_stopped(void *arg, unsigned what)
{
    struct editor *e = arg;

    editor_hide(e);
    editor_lend(e);
    (void)raise(SIGSTOP);
    editor_take_back(e);
}

static void watch_terminal(struct editor *e)
{
    watch_start(e->loop, &e->keys, STDIN_FILENO, WATCH_READ, on_keys, e);
    watch_signal(e->loop, &e->interrupt, SIGINT, on_interrupt, e);
    watch_signal(e->loop, &e->stopped, SIGTSTP, on_stopped, e);
    watch_signal(e->loop, &e->resized, SIGWINCH, on_resized, e);
}

static void unwatch_terminal(struct editor *e)
{
    watch_stop(&e->keys);
    watch_stop(&e->interrupt);
    watch_stop(&e->stopped);
    watch_stop(&e->resized);
}

void editor_lend(struct editor *e)
{
    e->lent = true;
    unwatch_terminal(e);
    (void)el_set(e->el, EL_PREP_TERM, 0);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &e->before);
}

void editor_take_back(struct editor *e)
{
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &e->quiet);
    if (e->reading)
        (void)el_set(e->el, EL_PREP_TERM, 1);
    e->lent = false;
    e->hidden = e->reading;
    watch_terminal(e);
}

/* ---- secrets ---- */

void editor_secret(struct editor *e, bool secret)
{
    if (e->secret == secret)
        return;
    e->secret = secret;
    buf_wipe(&e->secret_line);
    editor_redraw(e);
}

/* One key of a secret line. */
static void secret_key(struct editor *e, unsigned char c)
{
    enum { BACKSPACE = 8, KILL = 21, DELETE = 127, END = 4 };

    if (c == '\n' || c == '\r')
        e->secret_ready = true;
    else if ((c == BACKSPACE || c == DELETE) && e->secret_line.n > 0)
        buf_cut(&e->secret_line, e->secret_line.n - 1);
    else if (c == KILL)
        buf_cut(&e->secret_line, 0);
    else if (c == END && e->secret_line.n == 0)
        e->ended = true;
    else if (c >= ' ' && c != DELETE)
        (void)buf_add_char(&e->secret_line, (char)c);
}

/* ---- libedit ---- */

/* Anything that ends the line from outside. */
static bool interrupted(const struct editor *e)
{
    return e->ended || e->broken || e->stop || e->secret_ready;
}

static int next_key(EditLine *el, wchar_t *c)
{
    struct editor *e;

    (void)el_get(el, EL_CLIENTDATA, &e);
    while (!interrupted(e)) {
        if (!read_keys(e)) {
            e->ended = true;
        } else if (e->typed_count > 0 && e->secret) {
            secret_key(e, take_byte(e));
        } else if (e->typed_count > 0) {
            if (take_letter(e, c) > 0)
                return 1;
        } else {
            if (e->resize)
                el_resize(el);
            e->resize = false;
            show_again(e);
            loop_turn(e->loop, true);
        }
    }
    return -1;
}

static char *show_prompt(EditLine *el)
{
    struct editor *e;
    static char text[256]; /* libedit wants no const, and copies it */

    (void)el_get(el, EL_CLIENTDATA, &e);
    snprintf(text, sizeof(text), "%s", e->events->prompt(e->arg));
    return text;
}

static size_t common_bytes(const struct completion *c)
{
    size_t n = strlen(c->words[0]);

    for (size_t i = 1; i < c->count; i++) {
        size_t same = 0;

        while (same < n && char_lower(c->words[i][same]) == char_lower(c->words[0][same]))
            same++;
        n = same;
    }
    return n;
}

static void list_words(struct editor *e, const struct completion *c)
{
    editor_hide(e);
    for (size_t i = 0; i < c->count; i++)
        printf("%s%s", i ? "  " : "", c->words[i]);
    putchar('\n');
    fflush(stdout);
    show_again(e);
}

/* The begun word is written anew, so that it has the case of the table. */
static unsigned char insert_common(struct editor *e, const struct completion *c, size_t begun)
{
    char text[256];
    size_t n = MIN_OF(common_bytes(c), sizeof(text) - 1);

    memcpy(text, c->words[0], n);
    text[n] = '\0';
    if (begun > 0)
        el_deletestr(e->el, (int)begun);
    (void)el_insertstr(e->el, text);
    if (n == begun && c->count > 1)
        list_words(e, c);
    return CC_REFRESH;
}

static unsigned char on_complete(EditLine *el, int key)
{
    struct editor *e;
    const LineInfo *line = el_line(el);
    struct arena arena = ARENA_INIT;
    struct completion found;
    unsigned char ret = CC_ERROR;
    size_t n = (size_t)(line->cursor - line->buffer);

    (void)el_get(el, EL_CLIENTDATA, &e);
    e->events->complete(e->arg, &arena, str_n(line->buffer, n), &found);
    if (found.file)
        ret = _el_fn_complete(el, key);
    else if (found.count > 0)
        ret = insert_common(e, &found, n - found.from);
    arena_free(&arena);
    return ret;
}

/* ---- its life ---- */

static void history_open(struct editor *e)
{
    HistEvent event;

    e->history = history_init();
    if (!e->history)
        return;
    (void)history(e->history, &event, H_SETSIZE, HISTORY_LINES_MAX);
    (void)history(e->history, &event, H_SETUNIQUE, 1);
    if (e->history_path)
        (void)history(e->history, &event, H_LOAD, e->history_path);
    (void)el_set(e->el, EL_HIST, history, e->history);
}

int editor_new(struct loop *l, const char *history_path, const struct editor_events *events,
               void *arg, struct editor **ret)
{
    struct editor *e = mem_new(sizeof(*e));

    e->loop = l;
    e->events = events;
    e->arg = arg;
    e->secret_line = buf_init(EDITOR_LINE_BYTES_MAX);
    e->history_path = history_path ? mem_copy(history_path, strlen(history_path)) : NULL;
    if (tcgetattr(STDIN_FILENO, &e->before) < 0) {
        int error = -errno;

        free(e->history_path);
        free(e);
        return error;
    }
    e->quiet = e->before;
    e->quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &e->quiet);
    e->el = el_init("troika", stdin, stdout, stderr);
    if (!e->el)
        mem_none();
    (void)el_set(e->el, EL_CLIENTDATA, e);
    (void)el_set(e->el, EL_EDITOR, "emacs");
    (void)el_set(e->el, EL_PROMPT, show_prompt);
    (void)el_set(e->el, EL_GETCFN, next_key);
    /* The narrow form leaks both names. */
    (void)el_wset(e->el, EL_ADDFN, L"troika-complete", L"complete", on_complete);
    (void)el_set(e->el, EL_BIND, "^I", "troika-complete", NULL);
    history_open(e);
    (void)el_source(e->el, NULL); /* ~/.editrc of the user */
    watch_terminal(e);
    *ret = e;
    return 0;
}

void editor_free(struct editor **e)
{
    struct editor *old = *e;
    HistEvent event;

    if (!old)
        return;
    *e = NULL;
    unwatch_terminal(old);
    if (old->history && old->history_path) {
        (void)history(old->history, &event, H_SAVE, old->history_path);
        (void)chmod(old->history_path, 0600);
    }
    el_end(old->el);
    if (old->history)
        history_end(old->history);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &old->before);
    buf_wipe(&old->secret_line);
    explicit_bzero(old->typed, sizeof(old->typed));
    free(old->history_path);
    free(old);
}

static void add_letters(struct buf *line, const wchar_t *text, size_t n)
{
    char bytes[MB_LEN_MAX];

    for (size_t i = 0; i < n; i++) {
        mbstate_t state = {0};
        size_t count;

        if (text[i] >= RAW_BYTE && text[i] <= RAW_BYTE + 0xff) {
            bytes[0] = (char)(text[i] - RAW_BYTE);
            count = 1;
        } else {
            count = wcrtomb(bytes, text[i], &state);
        }
        (void)buf_add(line, count == (size_t)-1 ? STR("?") : str_n(bytes, count));
    }
}

/* What was typed so far is typed again in the next line. */
static void type_again(struct editor *e)
{
    const LineInfoW *line = el_wline(e->el);
    struct buf bytes = buf_init(sizeof(e->typed) - e->typed_count);

    add_letters(&bytes, line->buffer, (size_t)(line->lastchar - line->buffer));
    memmove(e->typed + bytes.n, e->typed + e->typed_first, e->typed_count);
    if (bytes.n > 0)
        memcpy(e->typed, bytes.p, bytes.n);
    e->typed_first = 0;
    e->typed_count += bytes.n;
    buf_free(&bytes);
}

static enum editor_event ended_by(struct editor *e, struct buf *line)
{
    enum editor_event ret = e->secret_ready ? EDITOR_LINE
                            : e->stop       ? EDITOR_STOP
                            : e->broken     ? EDITOR_BROKEN
                                            : EDITOR_END;

    if (e->secret_ready)
        (void)buf_add(line, buf_str(&e->secret_line));
    buf_wipe(&e->secret_line);
    if (ret == EDITOR_STOP) {
        type_again(e);
    } else {
        putchar('\n');
        fflush(stdout);
    }
    e->stop = e->broken = e->ended = e->secret_ready = false;
    el_reset(e->el);
    return ret;
}

enum editor_event editor_line(struct editor *e, bool secret, struct buf *line)
{
    int count = 0;

    buf_reset(line);
    e->secret = secret;
    e->reading = true;
    e->hidden = false;
    const wchar_t *text = el_wgets(e->el, &count);

    e->reading = false;
    if (!text || count <= 0 || interrupted(e))
        return ended_by(e, line);
    if (text[count - 1] == L'\n' || text[count - 1] == L'\r')
        count--;
    else if (count == 1 && text[0] == 4)
        return EDITOR_END;
    add_letters(line, text, (size_t)count);
    return EDITOR_LINE;
}

void editor_stop(struct editor *e)
{
    if (!e->reading)
        return;
    editor_hide(e);
    e->stop = true;
}

void editor_remember(struct editor *e, const char *line)
{
    HistEvent event;

    if (e->history && *line)
        (void)history(e->history, &event, H_ENTER, line);
}
