/* Any bytes as a path: what is taken prints to something that reads back the same and has no byte
 * that could end a command or a header field. First byte: the flags. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/utf8.h"
#include "mail/address.h"

static void check_printed(struct str text)
{
    check(text.n <= ADDRESS_BYTES_MAX);
    check(utf8_visible(text));
}

static void check_taken(struct arena *a, const struct address *address)
{
    struct str text = address_text(a, address);
    struct address again;

    check(address->local.n <= LOCAL_PART_BYTES_MAX && address->domain.n <= DOMAIN_BYTES_MAX);
    check_printed(text);
    check(utf8_is_ascii(address->domain));
    if (address->domain.n == 0) {
        check(text.n == 0 || str_eq_c(text, "postmaster"));
        return;
    }
    check(domain_valid(address->domain, true));
    check(address_parse(text, a, &again, NULL));
    check(str_eq(again.local, address->local) && str_eq(again.domain, address->domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct address address;
    struct parse_error error = {0};

    if (n == 0)
        return 0;
    struct str input = str_n((const char *)p + 1, n - 1);
    struct str rest = input;
    if (path_parse(&rest, p[0] & 7, &a, &address, &error)) {
        check(rest.n == 0 || char_is_blank(rest.p[0]));
        check(str_ends(input, rest));
        check_taken(&a, &address);
    } else {
        check(error.text && error.at <= input.n);
    }
    if (address_parse(input, &a, &address, NULL))
        check_taken(&a, &address);
    if (domain_valid(input, false))
        check(domain_valid(input, true));
    arena_free(&a);
    return 0;
}
