/* Any bytes as a value: they come back from the line, which is one line of printable ASCII; and as
 * a line: reading it ends. */
// links: base
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/log.h"

static void check_value(struct str value)
{
    struct buf line = buf_init(LINE_BYTES_MAX);
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str found;

    line_c(&line, "event", "x");
    line_str(&line, "value", value);
    line_address(&line, "to", value);
    line_u64(&line, "n", 1);
    struct str text = buf_str(&line);
    for (size_t i = 0; i < text.n; i++)
        check(text.p[i] >= ' ' && text.p[i] <= '~');
    if (!line.full) {
        check(line_get(text, "value", &found, &scratch));
        check(value.n > LINE_VALUE_BYTES_MAX || str_eq(found, value));
        check(line_get(text, "to", &found, &scratch));
        check(found.n >= 2 && found.p[0] == '<' && found.p[found.n - 1] == '>');
        check(line_get(text, "n", &found, &scratch) && str_eq_c(found, "1"));
    }
    buf_free(&scratch);
    buf_free(&line);
}

static void check_line(struct str line)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str rest = line;
    struct str key;
    struct str value;

    while (line_next(&rest, &key, &value, &scratch))
        check(key.n > 0 && rest.n < line.n);
    buf_free(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str input = str_n((const char *)p, n);

    check_value(input);
    check_line(input);
    return 0;
}
