/* fuzz_header_recipients.c - any bytes as a message that is piped into sendmail -t: recipients are
 * found without end or overrun, what counts as an address prints and parses to itself, and the
 * header that is made of it is one, has no Bcc, and says who, when and which. */
// links: base mail
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/check.h"
#include "mail/address_list.h"
#include "mail/header.h"
#include "mail/submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void recipients(struct str message)
{
    struct arena a = ARENA_INIT;
    struct str *list = NULL;
    size_t count = header_recipients(message, &a, &list);

    check(count <= message.n);
    for (size_t i = 0; i < count; i++) {
        struct address one, again;
        struct parse_error error;

        check(list[i].n > 0);
        if (!address_qualify(list[i], STR("here.test"), &a, &one, &error))
            continue;
        struct str text = address_text(&a, &one);
        check(address_parse(text, &a, &again, &error));
        check(str_eq(text, address_text(&a, &again)));
        for (size_t k = 0; k < text.n; k++)
            check(text.p[k] >= ' ' && text.p[k] <= '~');
    }
    arena_free(&a);
}

static void whole(struct str message)
{
    static const char *const needed[] = {"From", "Date", "Message-ID"};
    const struct submission s = {
        .sender = STR("a@b"), .full_name = str_sub(message, 0, 40), .hostname = STR("here.test")};
    struct buf header = buf_init(4 * MIB);
    struct str body = submission_header(&header, message, &s);
    struct header_field field;

    check(!header.full && str_ends(message, body) && str_ends(buf_str(&header), STR("\r\n")));
    for (size_t i = 0; i < countof(needed); i++)
        check(header_find(buf_str(&header), needed[i], &field));
    for (struct str rest = buf_str(&header); header_next(&rest, &field);)
        check(!header_is_bcc(field.name));
    check(header_bytes(buf_str(&header)) + 2 == header.n);
    buf_free(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message = str_n((const char *)data, size);

    if (size > MIB)
        return 0;
    recipients(message);
    whole(message);
    return 0;
}
