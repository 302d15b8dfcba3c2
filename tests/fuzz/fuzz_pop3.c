/* Anything as what a POP3 server says: whole and in pieces the same lines come out; every view is
 * within its line. */
// links: base wire
// SPDX-License-Identifier: ISC
#include <string.h>

#include "base/check.h"
#include "wire/pop3.h"

static bool within(struct str part, struct str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_line(struct str line, struct pop3_capabilities *c)
{
    struct pop3_reply r = pop3_reply_parse(line);
    struct str stamp = pop3_timestamp(line), data = line;

    check(within(r.code, line) && within(r.text, line) && within(stamp, line));
    check(r.kind != POP3_NONSENSE || str_eq(r.text, line));
    check(stamp.n == 0 || pop3_argument_valid(stamp) || stamp.n > 256);
    if (pop3_multi_line(&data))
        pop3_capability(c, data);
    check(within(data, line));
    check(memchr(c->sasl, '\0', sizeof(c->sasl)) != NULL);
}

/* The lines of `in`, which arrives step bytes at a time, counted with their bytes. */
static size_t read_all(struct str in, size_t step, size_t *bytes)
{
    struct pop3_capabilities c = {0};
    size_t start = 0, held = 0, count = 0;

    for (;;) {
        struct str line;
        size_t used;
        enum pop3_line got = pop3_line(str_sub(in, start, held), &line, &used);

        if (got == POP3_TOO_LONG)
            return count;
        if (got == POP3_MORE) {
            check(held - start < POP3_CHALLENGE_BYTES_MAX);
            if (held == in.n)
                return count;
            held = MIN_OF(held + step, in.n);
            continue;
        }
        check(used > line.n && used <= held - start);
        check_line(line, &c);
        *bytes += line.n;
        start += used;
        count++;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str in = str_n((const char *)p, n);
    size_t whole_bytes = 0, piece_bytes = 0;
    size_t step = n > 0 ? p[n - 1] % 9 + 1u : 1;

    check(read_all(in, n + 1, &whole_bytes) == read_all(in, step, &piece_bytes));
    check(whole_bytes == piece_bytes);
    return 0;
}
