/* Any bytes as an autoconfig file: what is taken can be connected to and shown. */
// links: base mail io dns provider http discover
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/check.h"
#include "base/utf8.h"
#include "discover/discover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_found(const struct provider *p)
{
    check(p->endpoint_count > 0 && p->endpoint_count <= PROVIDER_ENDPOINTS_MAX);
    check(provider_endpoint(p, PROVIDER_SMTP) != NULL);
    check(p->title.n > 0 && utf8_visible(p->title));
    check((p->login == PROVIDER_LOGIN_WORD) == (p->login_word.n > 0));
    check(utf8_visible(p->login_word));
    for (size_t i = 0; i < p->endpoint_count; i++) {
        check(p->endpoints[i].port > 0 && dns_name_valid(p->endpoints[i].host));
        check(p->endpoints[i].tls <= PROVIDER_TLS_IMPLICIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const addresses[] = {"me@example.test", "example.test"};

    for (size_t i = 0; i < countof(addresses); i++) {
        struct buf error = buf_init(4 * KIB);
        struct arena a = ARENA_INIT;
        struct provider p;

        if (autoconfig_parse(&a, str_n((const char *)data, size), str_c(addresses[i]), &p, &error))
            check_found(&p);
        else
            check(error.n > 0);
        arena_free(&a);
        buf_free(&error);
    }
    return 0;
}
