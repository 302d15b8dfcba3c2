// SPDX-License-Identifier: ISC
#include "daemon/relay/security.h"

#include <string.h>

#include "base/log.h"

struct tls_context *security_before_jail(const struct config *c)
{
    struct tls_context *t = tls_client_context_before_jail();
    struct arena a = ARENA_INIT;
    int r = 0;

    if (t && c->tls.roots.n > 0)
        r = tls_trust_before_jail(t, arena_c(&a, c->tls.roots));
    else if (t)
        r = tls_trust_system_before_jail(t);
    if (r <= 0)
        log_event(LEVEL_WARNING, t ? "tls-without-roots" : "tls-broken", "file",
                  c->tls.roots.n > 0 ? arena_c(&a, c->tls.roots) : "those of the system", "reason",
                  strerror(-r), NULL);
    arena_free(&a);
    return t;
}

static enum tls_policy policy_of(const struct config *c, struct str word)
{
    enum tls_policy policy = TLS_NONE;

    (void)tls_policy_parse(str_eq_c(word, "default") ? c->tls.outgoing : word, &policy);
    return policy;
}

enum tls_policy security_policy(const struct config *c, struct str next_hop)
{
    enum tls_policy policy = TLS_NONE;
    bool said = false;

    for (size_t i = 0; i < c->route_count; i++) {
        if (!str_eq(c->routes[i].via, next_hop))
            continue;
        policy = MAX_OF(policy, policy_of(c, c->routes[i].tls));
        said = true;
    }
    if (c->smarthost.n > 0 && str_eq(c->smarthost, next_hop)) {
        policy = MAX_OF(policy, policy_of(c, c->smarthost_tls));
        said = true;
    }
    return said ? policy : policy_of(c, STR("default"));
}
