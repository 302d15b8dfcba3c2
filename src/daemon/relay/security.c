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

enum tls_policy security_policy(struct config_hop hop)
{
    enum tls_policy policy = TLS_NONE;

    (void)tls_policy_parse(hop.tls, &policy);
    return policy;
}
