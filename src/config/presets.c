// SPDX-License-Identifier: ISC
#include "config/presets.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static const struct {
    uint64_t us;
    const char *name;
} spans[] = {{US_PER_S, "second"},
             {60 * US_PER_S, "minute"},
             {3600 * US_PER_S, "hour"},
             {UINT64_C(86400) * US_PER_S, "day"}};

/* "150/day", "50/15m" */
static struct str limit_text(struct arena *a, const struct provider_limit *l)
{
    struct buf span = buf_init(64);

    for (size_t i = 0; i < countof(spans); i++)
        if (spans[i].us == l->in_us)
            buf_add_c(&span, spans[i].name);
    if (span.n == 0)
        duration_print(&span, l->in_us);
    struct str text =
        arena_printf(a, "%llu/%.*s", (unsigned long long)l->count, STR_ARG(buf_str(&span)));
    buf_free(&span);
    return text;
}

static struct preset *add(struct presets *p, struct arena *a, const char *statement,
                          size_t values_max)
{
    check(p->count < PRESETS_MAX);
    struct preset *preset = &p->list[p->count++];
    *preset = (struct preset){.statement = statement_find(SCOPE_SMARTHOST, str_c(statement)),
                              .values = arena_alloc(a, (values_max + 1) * sizeof(struct str))};
    check(preset->statement);
    return preset;
}

static void add_one(struct presets *p, struct arena *a, const char *statement, struct str value)
{
    struct preset *preset = add(p, a, statement, 1);
    preset->values[preset->value_count++] = value;
}

static void add_limits(struct presets *p, struct arena *a, const char *statement, bool recipients)
{
    const struct provider *from = p->provider;
    struct preset *preset = add(p, a, statement, from->limit_count);
    for (size_t i = 0; i < from->limit_count; i++)
        if (from->limits[i].recipients == recipients)
            preset->values[preset->value_count++] = limit_text(a, &from->limits[i]);
}

static void add_all(struct presets *p, struct arena *a, const struct provider_endpoint *e)
{
    bool by_port = (e->tls == PROVIDER_TLS_IMPLICIT) == (e->port == 465);
    bool plain = e->tls == PROVIDER_TLS_NONE;

    add_one(p, a, "implicit-tls",
            by_port                           ? STR("by-port")
            : e->tls == PROVIDER_TLS_IMPLICIT ? STR("yes")
                                              : STR("no"));
    if (!plain)
        add_one(p, a, "tls", STR("verified"));
    add_limits(p, a, "limit", false);
    add_limits(p, a, "recipient-limit", true);
    if (p->provider->recipients_max > 0)
        add_one(p, a, "recipients-per-message",
                arena_printf(a, "%llu", (unsigned long long)p->provider->recipients_max));
}

/* By its own names only: as a domain of addresses mail.ru would be ambiguous. */
static const struct provider *find(const struct providers *all, struct str title)
{
    const struct provider *p = provider_find(all, title);
    bool named = p && str_eq_nocase(p->name, title);

    for (size_t i = 0; p && i < p->also_count; i++)
        named = named || str_eq_nocase(p->also[i], title);
    return named ? p : NULL;
}

static bool has_a_dot(struct str title)
{
    return str_find(title, '.') < title.n;
}

static bool is_host_and_port(struct str title)
{
    return str_find(title, ':') < title.n;
}

static bool use(struct presets *p, struct arena *a, struct buf *why)
{
    const struct provider_endpoint *e = provider_endpoint(p->provider, PROVIDER_SMTP);
    struct str name = p->provider->name;

    if (!e)
        buf_printf(why, "nothing is known of a server of \"%.*s\"; write host and port",
                   STR_ARG(name));
    else if (p->provider->oauth_only)
        buf_printf(why,
                   "\"%.*s\" takes no passwords any more, only tokens of OAuth 2, which a server "
                   "cannot renew by itself; send through another one",
                   STR_ARG(name));
    if (why->n > 0)
        return false;
    p->via = arena_printf(a, str_find(e->host, ':') < e->host.n ? "[%.*s]:%u" : "%.*s:%u",
                          STR_ARG(e->host), e->port);
    add_all(p, a, e);
    return true;
}

bool presets_find(const struct machine *machine, struct str title, struct arena *a,
                  struct presets *ret, struct buf *why)
{
    struct providers all;

    *ret = (struct presets){.via = title};
    if (is_host_and_port(title) || !machine->providers)
        return true;
    if (!machine->providers(a, &all, why))
        return false;
    ret->provider = find(&all, title);
    if (ret->provider)
        return use(ret, a, why);
    ret->unknown = title.n > 0 && !has_a_dot(title) && !str_eq_c(title, "localhost");
    if (ret->unknown)
        buf_printf(why,
                   "\"%.*s\" is no provider that `troika providers` knows, so it is taken for a "
                   "host of this network, with port 25; for a host write the port as well",
                   STR_ARG(title));
    return true;
}

struct str presets_login(const struct presets *p, struct arena *a, struct str login)
{
    if (!p->provider || login.n == 0)
        return login;
    return arena_copy(a, provider_login_of(p->provider, login));
}
