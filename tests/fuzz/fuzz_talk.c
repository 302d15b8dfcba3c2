/* A hostile server against the reader of `troika talk`, and against completion from what it offers; the
 * first byte chooses the protocol, a line of 0xff changes sides. */
// links: base mail wire outward
// SPDX-License-Identifier: ISC
#include "base/arena.h"
#include "base/check.h"
#include "outward/talk/complete.h"
#include "outward/talk/exchange.h"
#include "outward/talk/mask.h"
#include "outward/talk/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void completes(const struct exchange *x, struct str line)
{
    struct arena a = ARENA_INIT;
    struct completion c;

    complete(&a, line, x, &c);
    check(c.count <= COMPLETION_WORDS_MAX && c.from <= line.n);
    for (size_t i = 0; i < c.count; i++)
        check(str_starts_nocase(str_c(c.words[i]), str_skip(line, c.from)));
    arena_free(&a);
}

static void hears(struct exchange *x, struct answer_reader *r, struct str in)
{
    while (in.n > 0) {
        struct str line;
        size_t used;

        if (!answer_goes_on(r))
            r->lists = exchange_lists(x);
        enum answer_event event = answer_read(r, in, &line, &used);

        if (event == ANSWER_MORE)
            return;
        check(used > 0 && used <= in.n && line.n <= used);
        check(r->text.n <= ANSWER_TEXT_BYTES_MAX);
        in = str_skip(in, used);
        if (event == ANSWER_REPLY) {
            struct heard h = exchange_heard(x, r, 1);

            if (h.secures)
                exchange_secured(x, false, 1);
        }
    }
}

static void says(struct exchange *x, struct str bytes)
{
    struct buf shown = buf_init(bytes.n + 64), raw = buf_init(64 * KIB);
    const char *why;

    (void)mask_line(bytes, exchange_in_login(x), &shown);
    if (script_unescape(bytes, &raw, &why))
        exchange_said(x, buf_str(&raw), 0);
    (void)script_matches(bytes, buf_str(&x->offers));
    exchange_said(x, bytes, 0);
    completes(x, bytes);
    check(x->count <= EXCHANGE_AWAITED_MAX);
    buf_free(&shown);
    buf_free(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct exchange x;
    struct answer_reader r;
    struct str rest = str_n((const char *)data, size);

    if (size == 0)
        return 0;
    enum exchange_protocol protocol = (enum exchange_protocol)(data[0] % 3);

    exchange_init(&x, protocol);
    answer_init(&r, protocol == EXCHANGE_POP3);
    exchange_connected(&x, 0);
    rest = str_skip(rest, 1);
    for (bool server = true; rest.n > 0; server = !server) {
        struct str piece = str_cut(&rest, '\xff');

        if (server)
            hears(&x, &r, piece);
        else
            says(&x, piece);
    }
    exchange_free(&x);
    answer_free(&r);
    return 0;
}
