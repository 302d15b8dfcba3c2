/* dns/resolver.c - libunbound on our event loop.
 *
 * Its defaults are made for a program of its own: here it keeps little in memory, says nothing on
 * stderr and reads no file. Behind a resolver of the configuration, special names (.test, the
 * reverse of private networks) are that resolver's to answer; without one libunbound's built-in
 * answers stand, so that such names never reach the root servers. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdlib.h>
#include <unbound-event.h>
#include <unbound.h>

#include "base/check.h"
#include "dns/internal.h"

struct option {
    const char *name, *value;
};

static const struct option always[] = {
    {"outgoing-range:", "128"}, /* sockets are only open while they are used */
    {"num-queries-per-thread:", "1024"}, {"outgoing-num-tcp:", "16"}, {"msg-cache-size:", "2m"},
    {"rrset-cache-size:", "4m"},         {"key-cache-size:", "1m"},   {"edns-buffer-size:", "1232"},
};

static const struct option forwarding[] = {
    {"unblock-lan-zones:", "yes"},      {"insecure-lan-zones:", "yes"},
    {"domain-insecure:", "test."},      {"domain-insecure:", "127.in-addr.arpa."},
    {"domain-insecure:", "home.arpa."},
};
static const char *const forwarded_zones[] = {"test.", "home.arpa.", "invalid.",
                                              "127.in-addr.arpa."};

static int set_options(struct ub_ctx *ctx, const struct option *list, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++)
        error = ub_ctx_set_option(ctx, list[i].name, list[i].value);
    return error;
}

static int add_forwards(struct ub_ctx *ctx, const struct dns_options *o)
{
    struct arena a = ARENA_INIT;
    int error = o->forward_count > 0 ? set_options(ctx, forwarding, countof(forwarding)) : 0;

    for (size_t i = 0; i < o->forward_count && error == 0; i++)
        error = ub_ctx_set_fwd(ctx, arena_c(&a, o->forwards[i]));
    arena_free(&a);
    return error;
}

static int add_anchors(struct ub_ctx *ctx, struct str text)
{
    struct arena a = ARENA_INIT;
    int error = 0;

    while (text.n > 0 && error == 0) {
        struct str line = str_cut(&text, '\n');

        line = str_trim(str_cut(&line, ';'));
        if (line.n > 0)
            error = ub_ctx_add_ta(ctx, arena_c(&a, line));
    }
    arena_free(&a);
    return error;
}

static void ignore(void *arg, int rcode, void *packet, int bytes, int security, char *why,
                   int limit)
{
}

/* The first question makes the context read all it was told: what is wrong shows now. */
static int finalise(struct ub_ctx *ctx)
{
    return ub_resolve_event(ctx, "localhost", DNS_A, 1, NULL, ignore, NULL);
}

/* Built-in zones can only be taken out when they are there: of a finalised context. */
static int remove_zones(struct ub_ctx *ctx)
{
    int error = 0;

    for (size_t i = 0; i < countof(forwarded_zones) && error == 0; i++)
        error = ub_ctx_zone_remove(ctx, forwarded_zones[i]);
    return error;
}

static int context_new(struct loop *l, const struct dns_options *o, struct ub_ctx **ret)
{
    struct ub_ctx *ctx = ub_ctx_create_event(loop_base(l));

    if (!ctx)
        return -ENOMEM;
    (void)ub_ctx_debugout(ctx, NULL);
    int error = set_options(ctx, always, countof(always));
    if (error == 0)
        error = add_forwards(ctx, o);
    if (error == 0)
        error = add_anchors(ctx, o->anchors);
    if (error == 0)
        error = finalise(ctx);
    if (error == 0 && o->forward_count > 0)
        error = remove_zones(ctx);
    if (error == 0)
        *ret = ctx;
    else
        ub_ctx_delete(ctx);
    return error == 0 ? 0 : error == UB_NOMEM ? -ENOMEM : -EINVAL;
}

static void on_answer(void *arg, int rcode, void *packet, int bytes, int security, char *why,
                      int limited)
{
    static const enum dns_security kinds[] = {DNS_INSECURE, DNS_BOGUS, DNS_SECURE};
    enum dns_security kind = security >= 0 && security < 3 ? kinds[security] : DNS_INSECURE;
    bool whole = rcode == 0 && packet && bytes > 0;

    dns_pending_answered(arg, (unsigned)rcode, kind, why,
                         whole ? str_n(packet, (size_t)bytes) : STR_NONE);
}

static bool resolver_ask(struct dns *d, struct dns_pending *p)
{
    return ub_resolve_event(d->resolver, p->name, (int)p->type, 1, p, on_answer, NULL) == 0;
}

static void resolver_free(struct dns *d)
{
    ub_ctx_delete(d->resolver);
}

static const struct dns_backend backend = {resolver_ask, resolver_free};

int dns_new(struct loop *l, const struct dns_options *o, struct dns **ret)
{
    struct ub_ctx *ctx = NULL;
    int error = context_new(l, o, &ctx);

    if (error < 0)
        return error;
    *ret = dns_make(l, &backend);
    (*ret)->resolver = ctx;
    return 0;
}

int dns_renew(struct dns *d, const struct dns_options *o)
{
    struct ub_ctx *fresh = NULL;
    struct ub_ctx *old = d->resolver;
    int error = context_new(d->loop, o, &fresh);

    if (error < 0)
        return error;
    d->deleting = true;
    ub_ctx_delete(old);
    d->deleting = false;
    d->resolver = fresh;
    dns_ask_again(d);
    return 0;
}
