/* SPF records: what is taken has terms within their limits and views into the text; the same each
 * time. */
// links: base mail mailauth
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mailauth/spf_record.h"

static void check_view(struct str view, struct str text)
{
    check(view.n == 0 || (view.p >= text.p && view.p + view.n <= text.p + text.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct spf_record r, again;
    struct str text = {(const char *)data, size};
    struct record_error error = {0}, other = {0};
    bool good = spf_record_parse(text, &r, &error);

    check(good == spf_record_parse(text, &again, &other) && error.why == other.why);
    check(good == (error.why == NULL) && (!good || spf_record_is(text)));
    check_view(error.at, text);
    for (size_t i = 0; good && i < r.count; i++) {
        const struct spf_term *t = &r.terms[i];
        struct arena a = ARENA_INIT;
        struct str name = STR_NONE;

        check_view(t->text, text);
        check_view(t->domain, text);
        check(t->mechanism < SPF_MECHANISM_COUNT && t->bits4 <= 32 && t->bits6 <= 128);
        check(t->text.n > 0 && r.count <= SPF_TERMS_MAX);
        if (spf_expand(t->domain, STR("example.org"), &a, &name))
            check(name.n <= 1024);
        arena_free(&a);
    }
    return 0;
}
