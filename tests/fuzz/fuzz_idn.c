/* Any bytes as a domain, as a name and as a text with domains in it: what comes out is one form,
 * which leads to itself, and nothing is shown that leads elsewhere. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/idn.h"

static void one_form(struct str input, struct arena *a)
{
    struct str ascii, again;

    if (!idn_to_ascii(input, a, &ascii))
        return;
    check(utf8_valid(input) && utf8_is_ascii(ascii) && ascii.n > 0);

    struct str shown = idn_readable(ascii, a);

    check(utf8_valid(shown));
    if (!str_eq(shown, ascii))
        check(utf8_visible(shown) && idn_to_ascii(shown, a, &again) && str_eq(again, ascii));
}

static void one_name(struct str input, struct arena *a)
{
    struct str made, again;

    if (!nfc_make(input, a, &made))
        return;
    check(utf8_valid(made) || utf8_is_ascii(made));
    check(nfc_make(made, a, &again) && str_eq(made, again));
}

/* What has no A-label in it stays as it is. */
static void any_text(struct str input)
{
    struct buf shown = buf_init(16 * input.n + KIB);

    idn_print_readable(&shown, input);
    check(!shown.full);
    if (str_find_str(input, STR("xn--")) == input.n)
        check(str_eq(buf_str(&shown), input));
    buf_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct str input = str_n((const char *)p, n);

    one_form(input, &a);
    one_name(input, &a);
    any_text(input);
    arena_free(&a);
    return 0;
}
