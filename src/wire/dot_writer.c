/* wire/dot_writer.c - content on its way out after DATA. RFC 5321 4.5.2.
 *
 *   LINE_START --byte--> MID_LINE --LF--> LINE_START      a '.' at LINE_START is doubled
 *        \                  |
 *         +------CR---------+--CR--> AFTER_CR --LF--> LINE_START (the LF belongs to that CR)
 *
 * Every CR, LF and CRLF leaves as CRLF, so the next server cannot read a line end, and with it
 * an end of the message, where we saw none. AFTER_CR is a line start that swallows one LF. */
// SPDX-License-Identifier: ISC
#include "wire/smtp.h"

enum { LINE_START, MID_LINE, AFTER_CR };

/* run has no CR or LF in it. */
static void write_run(struct dot_writer *d, struct str run, struct buf *to)
{
    if (run.n == 0)
        return;
    if (d->state != MID_LINE && run.p[0] == '.')
        buf_add_char(to, '.');
    buf_add(to, run);
    d->state = MID_LINE;
}

/* line has no LF in it but may have CRs. */
static void write_line(struct dot_writer *d, struct str line, struct buf *to)
{
    for (;;) {
        size_t run = str_find(line, '\r');

        write_run(d, str_sub(line, 0, run), to);
        if (run == line.n)
            return;
        buf_add(to, STR("\r\n"));
        d->state = AFTER_CR;
        line = str_skip(line, run + 1);
    }
}

void dot_write(struct dot_writer *d, struct str content, struct buf *to)
{
    while (content.n > 0) {
        size_t line = str_find(content, '\n');

        write_line(d, str_sub(content, 0, line), to);
        if (line == content.n)
            return;
        if (d->state != AFTER_CR)
            buf_add(to, STR("\r\n"));
        d->state = LINE_START;
        content = str_skip(content, line + 1);
    }
}

void dot_write_end(struct dot_writer *d, struct buf *to)
{
    if (d->state == MID_LINE)
        buf_add(to, STR("\r\n"));
    buf_add(to, STR(".\r\n"));
    d->state = LINE_START;
}
