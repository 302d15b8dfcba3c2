/* fuzz_dot.c - the content after DATA against a slow reference; and what is read, written again by
 * dot_write, is read the same. */
// links: base mail wire
// SPDX-License-Identifier: ISC
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "wire/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    bool ended, spoiled;
    size_t used;
    struct buf content;
};

static struct outcome read_content(struct str in, size_t chunk, bool normalize)
{
    struct outcome o = {.content = buf_init(2 * in.n + 2)};
    struct dot_reader d = {.normalize = normalize};

    while (o.used < in.n && !o.ended) {
        size_t used;
        enum dot_event e = dot_read(&d, str_sub(in, o.used, o.used + chunk), &o.content, &used);

        check(used > 0 || e == DOT_BARE_NEWLINE);
        o.used += used;
        o.ended = e == DOT_END;
        if (e == DOT_BARE_NEWLINE) {
            check(!o.spoiled && !normalize);
            o.spoiled = true;
        }
    }
    return o;
}

/* Whole wire lines, cut at CRLF and nowhere else. */
static struct outcome reference(struct str in, bool normalize)
{
    struct outcome o = {.content = buf_init(2 * in.n + 2)};

    while (o.used < in.n && !o.ended) {
        struct str line = str_skip(in, o.used);
        size_t end = str_find_str(line, STR("\r\n"));
        bool complete = end < line.n;

        line = str_sub(line, 0, end);
        o.used += complete ? end + 2 : end;
        o.ended = complete && str_eq(line, STR("."));
        if (line.n > 0 && line.p[0] == '.')
            line = str_skip(line, 1);
        for (size_t i = 0; i < line.n; i++) {
            bool newline = line.p[i] == '\r' || line.p[i] == '\n';

            if (!complete && line.p[i] == '\r' && i + 1 == line.n)
                break; /* it may still become a CRLF */
            o.spoiled = o.spoiled || (newline && !normalize);
            if (!o.spoiled)
                buf_add(&o.content, newline ? STR("\r\n") : str_sub(line, i, i + 1));
        }
        if (complete && !o.ended && !o.spoiled)
            buf_add(&o.content, STR("\r\n"));
    }
    return o;
}

static void same(const struct outcome *a, const struct outcome *b)
{
    check(a->ended == b->ended && a->spoiled == b->spoiled && a->used == b->used);
    check(a->spoiled || str_eq(buf_str(&a->content), buf_str(&b->content)));
}

/* Sends on what was taken in: nothing may end early or change on the way. */
static void send_on(const struct outcome *o)
{
    struct dot_writer w = {0};
    struct buf wire = buf_init(2 * o->content.n + 64);

    dot_write(&w, buf_str(&o->content), &wire);
    dot_write_end(&w, &wire);
    check(!wire.full);

    struct outcome again = read_content(buf_str(&wire), wire.n, false);

    check(again.ended && !again.spoiled && again.used == wire.n);
    check(str_eq(buf_str(&again.content), buf_str(&o->content)));
    buf_free(&again.content);
    buf_free(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);

    for (int normalize = 0; normalize < 2; normalize++) {
        struct outcome expect = reference(in, normalize);
        struct outcome whole = read_content(in, size, normalize);
        struct outcome bytes = read_content(in, 1, normalize);

        same(&whole, &expect);
        same(&bytes, &expect);
        if (whole.ended && !whole.spoiled)
            send_on(&whole);
        buf_free(&expect.content);
        buf_free(&whole.content);
        buf_free(&bytes.content);
    }
    return 0;
}
