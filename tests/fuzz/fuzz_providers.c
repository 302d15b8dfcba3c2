/* Any bytes as a file of providers: what is taken keeps its bounds and is found again; mistakes are
 * lines that can be shown, each with its place. */
// links: base mail io provider
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char base_text[] = "provider base\ndomains base.test\nmx mx.base.test\n"
                                "smtp smtp.base.test:465 tls\nlogin name\n";

static void check_texts(const struct str *list, size_t count, size_t count_max)
{
    check(count <= count_max);
    for (size_t i = 0; i < count; i++)
        check(list[i].n > 0 && utf8_visible(list[i]));
}

static void check_source(const struct provider *p, const struct provider_source *s)
{
    uint64_t day;

    if (!s)
        return;
    check(s >= p->sources && s < p->sources + p->source_count);
    check(day_parse(s->date, &day) && s->where.n > 0);
}

static void check_figures(const struct provider *p)
{
    for (size_t i = 0; i < p->endpoint_count; i++) {
        check(p->endpoints[i].port > 0 && p->endpoints[i].host.n > 0);
        check(p->endpoints[i].protocol < PROVIDER_PROTOCOL_COUNT);
        check(utf8_is_ascii(p->endpoints[i].host));
        check_source(p, p->endpoints[i].source);
    }
    for (size_t i = 0; i < p->limit_count; i++) {
        check(p->limits[i].count > 0 && p->limits[i].in_us >= US_PER_S);
        check_source(p, p->limits[i].source);
    }
    check(p->oauth || !p->oauth_only);
    check(p->source_count > 0 || p->source.n == 0);
    check((p->login == PROVIDER_LOGIN_WORD) == (p->login_word.n > 0));
}

static void check_provider(const struct providers *all, const struct provider *p)
{
    check(p->name.n > 0 && p->name.n <= PROVIDER_NAME_BYTES_MAX && p->title.n > 0);
    check_texts(p->also, p->also_count, PROVIDER_NAMES_MAX);
    check_texts(p->domains, p->domain_count, PROVIDER_DOMAINS_MAX);
    check_texts(p->mx, p->mx_count, PROVIDER_NAMES_MAX);
    check(p->endpoint_count <= PROVIDER_ENDPOINTS_MAX && p->limit_count <= PROVIDER_LIMITS_MAX);
    check_figures(p);
    check(provider_find(all, p->name) != NULL);
    for (size_t i = 0; i < p->domain_count; i++)
        check(provider_find(all, p->domains[i]) && provider_of_mx(all, p->domains[i]));
    for (size_t i = 0; i < p->endpoint_count; i++)
        check(provider_of_host(all, p->endpoints[i].host) != NULL);
}

static void check_mistakes(struct str lines)
{
    check(lines.n > 0);
    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');

        check(str_starts(line, STR("f:")) && utf8_visible(line));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    struct buf error = buf_init(64 * KIB);
    struct arena a = ARENA_INIT;
    struct providers base, all;

    check(providers_parse(&a, STR(base_text), "base", NULL, &base, &error));
    if (providers_parse(&a, text, "f", &base, &all, &error)) {
        check(error.n == 0 && all.count <= PROVIDERS_MAX);
        for (size_t i = 0; i < all.count; i++)
            check_provider(&all, &all.list[i]);
    } else {
        check_mistakes(buf_str(&error));
    }
    (void)provider_find(&base, text);
    (void)provider_of_mx(&base, text);
    (void)provider_login_of(&base.list[0], text);
    arena_free(&a);
    buf_free(&error);
    return 0;
}
