// SPDX-License-Identifier: ISC
#include "outward/talk/answer.h"

#include "base/check.h"
#include "wire/pop3.h"

void answer_init(struct answer_reader *r, bool pop3)
{
    *r = (struct answer_reader){.pop3 = pop3,
                                .text = buf_init(ANSWER_TEXT_BYTES_MAX),
                                .name = buf_init(ANSWER_LINE_BYTES_MAX)};
}

void answer_free(struct answer_reader *r)
{
    buf_free(&r->text);
    buf_free(&r->name);
}

void answer_reset(struct answer_reader *r)
{
    r->code = 0;
    r->line_count = 0;
    r->lists = r->listing = r->complete = false;
    buf_reset(&r->text);
    buf_reset(&r->name);
}

static void keep(struct answer_reader *r, struct str text)
{
    if (r->line_count++ > 0)
        (void)buf_add_char(&r->text, '\n');
    (void)buf_add(&r->text, text);
}

/* 100 to 599, or 0. */
static uint16_t code_of(struct str line)
{
    uint64_t code;

    if (line.n < 3 || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-') ||
        !str_u64(str_sub(line, 0, 3), &code) || code < 100 || code > 599)
        return 0;
    return (uint16_t)code;
}

static enum answer_event read_smtp(struct answer_reader *r, struct str line)
{
    uint16_t code = code_of(line);

    if (code == 0)
        return ANSWER_NONSENSE;
    r->kind = ANSWER_CODE;
    r->code = code;
    keep(r, str_skip(line, 4));
    r->complete = line.n == 3 || line.p[3] == ' ';
    return r->complete ? ANSWER_REPLY : ANSWER_LINE;
}

static enum answer_event read_listing(struct answer_reader *r, struct str line)
{
    if (str_eq_c(line, ".")) {
        r->listing = false;
        r->complete = true;
        return ANSWER_REPLY;
    }
    keep(r, str_starts(line, STR(".")) ? str_skip(line, 1) : line);
    return ANSWER_LINE;
}

static enum answer_event read_pop3(struct answer_reader *r, struct str line)
{
    static const enum answer_kind kinds[] = {
        [POP3_OK] = ANSWER_OK, [POP3_ERR] = ANSWER_ERR, [POP3_CHALLENGE] = ANSWER_CHALLENGE};

    if (r->listing)
        return read_listing(r, line);
    struct pop3_reply reply = pop3_reply_parse(line);

    if (reply.kind == POP3_NONSENSE)
        return ANSWER_NONSENSE;
    r->kind = kinds[reply.kind];
    (void)buf_add(&r->name, reply.code);
    keep(r, reply.text);
    r->listing = r->lists && r->kind == ANSWER_OK;
    r->lists = false;
    r->complete = !r->listing;
    return r->complete ? ANSWER_REPLY : ANSWER_LINE;
}

enum answer_event answer_read(struct answer_reader *r, struct str in, struct str *line,
                              size_t *used)
{
    size_t end = str_find(str_sub(in, 0, ANSWER_LINE_BYTES_MAX), '\n');

    *used = 0;
    if (end == in.n && end < ANSWER_LINE_BYTES_MAX)
        return ANSWER_MORE;
    if (r->complete) {
        bool lists = r->lists;

        answer_reset(r);
        r->lists = lists;
    }
    *line = str_sub(in, 0, end);
    *used = MIN_OF(end + 1, in.n);
    if (end == ANSWER_LINE_BYTES_MAX) {
        *used = end;
        return ANSWER_NONSENSE;
    }
    if (str_ends(*line, STR("\r")))
        line->n--;
    return r->pop3 ? read_pop3(r, *line) : read_smtp(r, *line);
}

bool answer_goes_on(const struct answer_reader *r)
{
    return r->line_count > 0 && !r->complete;
}

bool answer_positive(const struct answer_reader *r)
{
    return r->kind == ANSWER_CODE ? r->code < 400 : r->kind != ANSWER_ERR;
}
