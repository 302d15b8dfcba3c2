/* Any line as a list of addresses with names: what is taken is printed so that it is read back alike,
 * and no line of it could be a field of its own. */
// links: base mail mailauth compose
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/utf8.h"
#include "compose/mailboxes.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((uint8_t)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return true;
    return false;
}

static void check_lines(struct str field, bool utf8)
{
    bool first = true;

    check(utf8 || utf8_is_ascii(field));
    while (field.n > 0) {
        struct str line = str_cut(&field, '\n');

        check(line.n <= 999 && (line.n == 0 || field.n == 0 || line.p[line.n - 1] == '\r'));
        check(first || (line.n > 1 && line.p[0] == '\t'));
        first = false;
    }
}

/* Folding and encoded words away: as RFC 5322 2.2.3 says; names stay encoded. */
static struct str unfold(struct arena *a, struct str field)
{
    char *to = arena_alloc(a, field.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < field.n; i++)
        if (field.p[i] != '\r' && field.p[i] != '\n')
            to[n++] = field.p[i];
    return str_n(to, n);
}

enum { NAME_BYTES_MAX = MAILBOX_NAME_BYTES_MAX / 8 };

static void check_again(struct arena *a, const struct mailboxes *m, struct str field)
{
    struct mailboxes again = {0};
    struct buf error = buf_init(4 * KIB);

    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].name.n > NAME_BYTES_MAX)
            return; /* encoded it may be too long */
    check(mailboxes_parse(unfold(a, field), a, &again, &error));
    check(again.count == m->count && again.address_count == m->address_count);
    for (size_t i = 0; i < m->count; i++) {
        check(again.items[i].kind == m->items[i].kind);
        check(str_eq(again.items[i].address, m->items[i].address));
        check((again.items[i].name.n > 0) == (m->items[i].name.n > 0));
    }
    buf_free(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str text = str_n((const char *)p, n);
    struct arena a = ARENA_INIT;
    struct mailboxes m = {0};
    struct buf error = buf_init(4 * KIB), out = buf_init(4 * MIB);
    struct coder *coder = NULL;

    if (utf8_valid(text) && !has_control(text) && mailboxes_parse(text, &a, &m, &error)) {
        struct fold f = {.to = &out, .indent = "\t", .indent_width = 8, .at_start = true};

        check(coder_open(charset_utf8(), false, &coder) == 0);
        check(mailboxes_print(&f, &m, coder));
        check_lines(buf_str(&out), m.needs_utf8);
        check_again(&a, &m, buf_str(&out));
        coder_close(&coder);
    }
    check(utf8_valid(buf_str(&error)) || !utf8_valid(text));
    buf_free(&error);
    buf_free(&out);
    arena_free(&a);
    return 0;
}
