/* Anything as what a person types to say where: what is taken names one server, and could be typed
 * again; what is not comes with a reason, in which there is nothing that moves the cursor. */
// links: base mail wire provider outward
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "outward/send/target.h"
#include "wire/proxy.h"

static struct provider_endpoint endpoint = {
    PROVIDER_SMTP, {"smtp.a.test", 11}, 465, PROVIDER_TLS_IMPLICIT};
static struct str domains[] = {{"a.test", 6}};
static const struct provider list[] = {{.name = {"a", 1},
                                        .domains = domains,
                                        .domain_count = 1,
                                        .endpoints = &endpoint,
                                        .endpoint_count = 1}};
static const struct providers known = {list, 1};

static void check_taken(struct arena *a, const struct server_target *t)
{
    static const char *const schemes[][2] = {
        {"smtp", "smtps"}, {"lmtp", "lmtp"}, {"pop", "pops"}, {"imap", "imaps"}};
    struct endpoint ip;
    struct server_target again;
    struct buf error = buf_init(KIB);
    bool is_ip = endpoint_parse_ip(t->host, &ip);
    bool implicit = t->tls == TARGET_TLS_IMPLICIT;

    check(t->port > 0 && (is_ip || domain_valid(t->host, true)));
    check(utf8_visible(t->user) && t->user.n <= ADDRESS_BYTES_MAX);
    if (t->provider || str_find(t->user, '%') < t->user.n || str_find(t->user, ':') < t->user.n)
        goto out;
    struct str text =
        arena_printf(a, "%s://%.*s%s%s%.*s%s:%u", schemes[t->protocol][implicit], STR_ARG(t->user),
                     t->user.n ? "@" : "", is_ip && ip.ip_bytes == 16 ? "[" : "", STR_ARG(t->host),
                     is_ip && ip.ip_bytes == 16 ? "]" : "", t->port);
    check(target_parse(a, text, &known, &again, &error));
    check(again.protocol == t->protocol && again.port == t->port && again.tls == t->tls);
    check(str_eq(again.host, t->host) && str_eq(again.user, t->user));
out:
    buf_free(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct buf error = buf_init(KIB);
    struct server_target t;

    if (target_parse(&a, str_n((const char *)p, n), &known, &t, &error)) {
        check_taken(&a, &t);
    } else {
        check(error.n > 0 && !error.full);
        for (size_t i = 0; i < error.n; i++)
            check((unsigned char)error.p[i] >= ' ' && error.p[i] != 0x7f);
    }
    buf_free(&error);
    arena_free(&a);
    return 0;
}
