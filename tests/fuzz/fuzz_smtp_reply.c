/* Replies of a hostile server: read whole and in pieces, the same must come out. */
// links: base mail wire
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "wire/smtp.h"

enum { REPLIES_MAX = 64 };

struct outcome {
    enum reply_event event;
    uint16_t code;
    size_t line_count, text_bytes;
};

static size_t read_all(struct str in, size_t step, struct outcome *to)
{
    struct reply_reader r;
    size_t count = 0;
    size_t start = 0;
    size_t held = 0;
    bool more = true;

    reply_reader_init(&r);
    while (count < REPLIES_MAX && more) {
        const char *error = NULL;
        size_t used;
        enum reply_event event = reply_read(&r, str_sub(in, start, held), &used, &error);

        check(used <= held - start);
        start += used;
        check(r.text.n <= REPLY_TEXT_BYTES_MAX && r.line_count <= REPLY_LINES_MAX);
        if (event == REPLY_MORE) {
            check(held - start < REPLY_LINE_BYTES_MAX + 2);
            more = held < in.n;
            held = MIN_OF(held + step, in.n);
            continue;
        }
        check((event == REPLY_BAD) == (error != NULL));
        to[count++] = (struct outcome){event, r.code, r.line_count, r.text.n};
        if (event == REPLY_BAD)
            break;
        check(r.code >= 200 && r.code <= 599);
        reply_reader_next(&r);
    }
    reply_reader_free(&r);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    struct outcome whole[REPLIES_MAX];
    struct outcome pieces[REPLIES_MAX];
    size_t count = read_all(in, size + 1, whole);
    size_t step = size > 0 ? data[size - 1] % 9 + 1 : 1;

    check(read_all(in, step, pieces) == count);
    for (size_t i = 0; i < count; i++) {
        check(whole[i].event == pieces[i].event && whole[i].code == pieces[i].code);
        check(whole[i].line_count == pieces[i].line_count);
        check(whole[i].text_bytes == pieces[i].text_bytes);
    }
    return 0;
}
