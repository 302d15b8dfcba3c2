/* fuzz_smtp_command.c - command lines out of any bytes: the same lines whatever the chunks, and
 * whatever strict mode takes, forgiving mode takes in the same meaning. */
// links: base mail wire
// SPDX-License-Identifier: ISC
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "wire/parameter.h"
#include "wire/smtp.h"
#include "wire/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_BYTES = 256 };

static void address_is_sane(const struct address *a)
{
    struct buf printed = buf_init(KIB);
    struct arena arena = ARENA_INIT;
    struct address again;
    struct parse_error error;

    address_print(&printed, a);
    check(str_find(buf_str(&printed), '\r') == printed.n);
    check(str_find(buf_str(&printed), '\n') == printed.n);
    if (a->domain.n > 0) {
        check(address_parse(buf_str(&printed), &arena, &again, &error));
        check(str_eq(again.local, a->local) && str_eq(again.domain, a->domain));
    }
    arena_free(&arena);
    buf_free(&printed);
}

/* A value that is one of RFC 3461 is short and printable, and is said again in the same meaning. */
static void wishes_are_sane(const struct smtp_parameter *p, struct arena *a)
{
    struct buf printed = buf_init(8 * KIB);
    struct str text, again;
    struct notify n = {0}, m = {0};

    if (xtext_parse(p->value, ENVID_BYTES_MAX, a, &text)) {
        check(notify_text_valid(text, ENVID_BYTES_MAX));
        xtext_print(&printed, text);
        check(printed.n <= p->value.n);
        check(xtext_parse(buf_str(&printed), ENVID_BYTES_MAX, a, &again) && str_eq(text, again));
        buf_reset(&printed);
    }
    if (orcpt_parse(p->value, a, &text)) {
        orcpt_print(&printed, text, false);
        check(printed.n <= ORCPT_BYTES_MAX);
        check(orcpt_parse(buf_str(&printed), a, &again) && str_eq(text, again));
        buf_reset(&printed);
        orcpt_print(&printed, text, true);
        check(utf8_is_ascii(buf_str(&printed)));
        if (printed.n <= ORCPT_BYTES_MAX)
            check(orcpt_parse(buf_str(&printed), a, &again) && str_eq(text, again));
        buf_reset(&printed);
    }
    if (notify_parse(p->value, &n.when)) {
        check(notify_valid(n.when) && n.when != 0);
        notify_print(&printed, n.when);
        check(notify_parse(buf_str(&printed), &m.when) && m.when == n.when);
    }
    buf_free(&printed);
}

/* What a proxy tells of its client is short and printable. */
static void xclient_is_sane(const struct smtp_command *c, struct arena *a)
{
    struct xclient x;
    const char *wrong = xclient_parse(c, a, &x);
    const struct str *const texts[] = {&x.name, &x.helo, &x.login};

    check(c->parameter_count > 0);
    if (wrong) {
        check(wrong[0] != '\0');
        return;
    }
    check(x.said != 0 && x.said <= 2 * XCLIENT_DESTPORT - 1);
    check(x.client.ip_bytes == 0 || x.client.ip_bytes == 4 || x.client.ip_bytes == 16);
    for (size_t i = 0; i < countof(texts); i++) {
        check(texts[i]->n <= 255);
        for (size_t k = 0; k < texts[i]->n; k++)
            check(texts[i]->p[k] >= ' ' && texts[i]->p[k] <= '~');
    }
}

static enum smtp_syntax parse(struct str line, bool strict, struct arena *a,
                              struct smtp_command *ret)
{
    struct parse_error error = {0};
    enum smtp_syntax syntax = smtp_command_parse(line, strict, a, ret, &error);

    if (syntax != SYNTAX_OK) {
        check(error.text && error.at <= line.n);
        return syntax;
    }
    check(ret->verb > VERB_UNKNOWN && ret->verb < VERB_COUNT);
    check(ret->parameter_count <= SMTP_PARAMETERS_MAX);
    for (size_t i = 0; i < ret->parameter_count; i++) {
        check(ret->parameters[i].key.n > 0);
        wishes_are_sane(&ret->parameters[i], a);
    }
    if (ret->verb == VERB_MAIL || ret->verb == VERB_RCPT)
        address_is_sane(&ret->path);
    if (ret->verb == VERB_XCLIENT)
        xclient_is_sane(ret, a);
    return syntax;
}

static void both_ways(struct str line)
{
    struct arena a = ARENA_INIT;
    struct smtp_command strict, lenient;

    enum smtp_syntax as_written = parse(line, true, &a, &strict);
    enum smtp_syntax forgiving = parse(line, false, &a, &lenient);

    if (as_written == SYNTAX_OK) {
        check(forgiving == SYNTAX_OK && lenient.verb == strict.verb);
        check(lenient.parameter_count == strict.parameter_count);
        check(str_eq(lenient.text, strict.text));
        check(str_eq(lenient.path.local, strict.path.local));
        check(str_eq(lenient.path.domain, strict.path.domain));
    }
    arena_free(&a);
}

/* Writes down what the reader says when it is fed `chunk` bytes at a time. */
static void read_lines(struct str in, size_t chunk, struct buf *told, bool parses)
{
    struct line_reader r = {.bytes_max = LINE_BYTES};

    for (size_t start = 0, end = 0; start < in.n;) {
        struct str line = STR_NONE;
        size_t used;
        enum line_event e = line_read(&r, str_sub(in, start, end), &line, &used);

        check(used <= end - start);
        start += used;
        if (e == LINE_MORE) {
            check(end - start <= LINE_BYTES + 1);
            if (end == in.n)
                break;
            end = MIN_OF(end + chunk, in.n);
            continue;
        }
        check(line.n <= LINE_BYTES);
        buf_printf(told, "%d:", (int)e);
        if (e != LINE_TOO_LONG)
            buf_add(told, line);
        if (e == LINE_READY) {
            check(!memchr(line.p, '\n', line.n) && !memchr(line.p, '\r', line.n));
            if (parses)
                both_ways(line);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    struct buf whole = buf_init(16 * MIB), bytes = buf_init(16 * MIB);

    read_lines(in, size, &whole, true);
    read_lines(in, 1, &bytes, false);
    check(str_eq(buf_str(&whole), buf_str(&bytes)));
    both_ways(in);
    buf_free(&whole);
    buf_free(&bytes);
    return 0;
}
