/* Any content, cut anywhere: the wire form has only CRLF line ends, exactly one end of data, and
 * reads back as the same lines. First byte: where to cut. */
// links: base mail wire
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/smtp.h"

static void write_pieces(struct str in, size_t step, struct buf *to)
{
    struct dot_writer d = {0};

    for (size_t at = 0; at < in.n; at += step)
        dot_write(&d, str_sub(in, at, at + step), to);
    dot_write_end(&d, to);
}

static void check_line_ends(struct str wire)
{
    for (size_t i = 0; i < wire.n; i++) {
        if (wire.p[i] == '\r')
            check(i + 1 < wire.n && wire.p[i + 1] == '\n');
        if (wire.p[i] == '\n')
            check(i > 0 && wire.p[i - 1] == '\r');
    }
    check(str_ends(wire, STR("\r\n.\r\n")) || str_eq_c(wire, ".\r\n"));
    size_t end = str_find_str(wire, STR("\r\n.\r\n"));
    check(end + 5 == wire.n || str_eq_c(wire, ".\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str in = str_n((const char *)data + 1, size - 1);
    struct buf whole = buf_init(2 * size + 8);
    struct buf pieces = buf_init(2 * size + 8);
    struct buf back = buf_init(4 * size + 64);
    struct dot_reader reader = {0};
    size_t used;

    write_pieces(in, in.n + 1, &whole);
    write_pieces(in, data[0] % 7 + 1, &pieces);
    check(!whole.full && str_eq(buf_str(&whole), buf_str(&pieces)));
    check_line_ends(buf_str(&whole));
    check(dot_read(&reader, buf_str(&whole), &back, &used) == DOT_END && used == whole.n);

    /* Written again it is the same: nothing was lost, nothing is ambiguous. */
    buf_reset(&pieces);
    write_pieces(buf_str(&back), back.n + 1, &pieces);
    check(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    buf_free(&back);
    return 0;
}
