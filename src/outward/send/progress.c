// SPDX-License-Identifier: ISC
#include "outward/send/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"

enum {
    PATIENCE_US = 1000000, /* nobody wonders before */
    REDRAW_US = 100000,
    BAR_COLUMNS_MAX = 40,
    BAR_COLUMNS_MIN = 8,
    LINE_BYTES_MAX = 1024,
    COLUMNS_DEFAULT = 80,
};

static void add_bytes(struct buf *to, uint64_t n)
{
    static const char *const units[] = {N_("KiB"), N_("MiB"), N_("GiB"), N_("TiB")};
    double value = (double)n / 1024;
    size_t unit = 0;

    for (; value >= 1000 && unit + 1 < countof(units); unit++)
        value /= 1024;
    buf_printf(to, "%.1f %s", value, _(units[unit]));
}

static void add_time(struct buf *to, uint64_t s)
{
    if (s >= 3600)
        buf_printf(to, "%u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                   (unsigned)(s % 60));
    else
        buf_printf(to, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static size_t columns_of(struct str text)
{
    size_t n = 0;
    uint32_t c;

    for (; text.n > 0; n++) {
        if (!utf8_cut(&text, &c))
            text = str_skip(text, 1);
    }
    return n;
}

static void add_bar(struct buf *to, uint64_t done, uint64_t all, size_t columns)
{
    size_t full = (size_t)((double)done / (double)all * (double)columns);

    buf_add_c(to, " [");
    for (size_t i = 0; i < columns; i++)
        buf_add_char(to, i < full ? '=' : i == full ? '>' : ' ');
    buf_add_char(to, ']');
}

void progress_print(struct buf *to, const char *what, uint64_t done, uint64_t all,
                    uint64_t elapsed_us, size_t columns)
{
    struct buf tail = buf_init(LINE_BYTES_MAX), head = buf_init(LINE_BYTES_MAX);
    double rate = elapsed_us > 0 ? (double)done * 1e6 / (double)elapsed_us : 0;

    all = MAX_OF(all, UINT64_C(1));
    done = MIN_OF(done, all);
    buf_printf(&head, "%s ", what);
    add_bytes(&head, done);
    buf_printf(&head, " %s ", _("of"));
    add_bytes(&head, all);
    buf_printf(&tail, " %3u %%  ", (unsigned)((double)done / (double)all * 100));
    add_bytes(&tail, (uint64_t)rate);
    buf_add_c(&tail, _("/s"));
    if (rate > 0) {
        buf_add_c(&tail, "  ");
        add_time(&tail, (uint64_t)((double)(all - done) / rate));
        buf_printf(&tail, " %s", _("left"));
    }

    size_t taken = columns_of(buf_str(&head)) + columns_of(buf_str(&tail)) + 3;

    buf_add(to, buf_str(&head));
    if (taken + BAR_COLUMNS_MIN <= columns)
        add_bar(to, done, all, MIN_OF(columns - taken, (size_t)BAR_COLUMNS_MAX));
    if (taken <= columns + 3)
        buf_add(to, buf_str(&tail));
    buf_free(&head);
    buf_free(&tail);
}

void progress_begin(struct progress *p, const struct clock *clock, const char *what)
{
    progress_clear(p);
    p->what = what;
    p->clock = clock;
    p->began_us = p->drawn_us = clock_monotonic_us(clock);
}

static size_t terminal_columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                           : COLUMNS_DEFAULT;
}

void progress_at(struct progress *p, uint64_t done, uint64_t all)
{
    uint64_t now_us = clock_monotonic_us(p->clock);

    if (!p->enabled || now_us - p->began_us < PATIENCE_US || now_us - p->drawn_us < REDRAW_US)
        return;
    struct buf line = buf_init(LINE_BYTES_MAX);

    progress_print(&line, p->what, done, all, now_us - p->began_us, terminal_columns() - 1);
    fprintf(stderr, "\r%s\033[K", buf_c(&line));
    (void)fflush(stderr);
    buf_free(&line);
    p->drawn_us = now_us;
    p->shown = true;
}

void progress_clear(struct progress *p)
{
    if (!p->shown)
        return;
    fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    p->shown = false;
}
