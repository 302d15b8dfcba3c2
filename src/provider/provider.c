/* provider/provider.c - finding a provider; provider/parse.c reads the files. */
// SPDX-License-Identifier: ISC
#include "provider/provider.h"

#include "base/check.h"
#include "base/utf8.h"
#include "mail/idn.h"

static bool is_in(const struct str *list, size_t count, struct str what)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(list[i], what))
            return true;
    return false;
}

/* How much of a host's name is the domain: all of it, or the labels at its end; 0: none. */
static size_t below(struct str host, struct str domain)
{
    if (!str_ends_nocase(host, domain))
        return 0;
    return host.n == domain.n || host.p[host.n - domain.n - 1] == '.' ? domain.n : 0;
}

static size_t longest_above(struct str host, const struct str *domains, size_t count)
{
    size_t longest = 0;

    for (size_t i = 0; i < count; i++) {
        size_t n = below(host, domains[i]);

        longest = MAX_OF(longest, n);
    }
    return longest;
}

static struct str without_dot(struct str domain)
{
    return str_sub(domain, 0, domain.n - str_ends(domain, STR(".")));
}

/* Those of later files are behind, and go first. */
static const struct provider *find_name(const struct providers *p, struct str name)
{
    for (size_t i = p->count; i-- > 0;)
        if (str_eq_nocase(p->list[i].name, name) ||
            is_in(p->list[i].also, p->list[i].also_count, name))
            return &p->list[i];
    return NULL;
}

static const struct provider *find_domain(const struct providers *p, struct str domain)
{
    for (size_t i = p->count; i-- > 0;)
        if (is_in(p->list[i].domains, p->list[i].domain_count, domain))
            return &p->list[i];
    return NULL;
}

/* What a person types for a host of many domains, such as "hc.ru". */
static const struct provider *find_mx_domain(const struct providers *p, struct str domain)
{
    for (size_t i = p->count; i-- > 0;)
        if (is_in(p->list[i].mx, p->list[i].mx_count, domain))
            return &p->list[i];
    return NULL;
}

const struct provider *provider_find(const struct providers *p, struct str name_or_address)
{
    struct arena a = ARENA_INIT;
    size_t at = str_find_last(name_or_address, '@');
    bool is_address = at < name_or_address.n;
    struct str domain = is_address ? str_skip(name_or_address, at + 1) : name_or_address;
    const struct provider *found = is_address ? NULL : find_name(p, name_or_address);

    domain = without_dot(domain);
    if (!utf8_is_ascii(domain) && !idn_to_ascii(domain, &a, &domain))
        domain = STR_NONE;
    if (!found && domain.n > 0)
        found = find_domain(p, domain);
    if (!found && !is_address && domain.n > 0)
        found = find_mx_domain(p, domain);
    arena_free(&a);
    return found;
}

/* Of two that share a server the first counts: with us that is the one for everybody. */
const struct provider *provider_of_host(const struct providers *p, struct str host)
{
    host = without_dot(host);
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < p->list[i].endpoint_count; j++)
            if (str_eq_nocase(p->list[i].endpoints[j].host, host))
                return &p->list[i];
    return NULL;
}

const struct provider *provider_of_mx(const struct providers *p, struct str host)
{
    const struct provider *found = NULL;
    size_t longest = 0;

    host = without_dot(host);
    for (size_t i = p->count; i-- > 0;) {
        const struct provider *one = &p->list[i];
        size_t n = MAX_OF(longest_above(host, one->mx, one->mx_count),
                          longest_above(host, one->domains, one->domain_count));

        if (n > longest) {
            longest = n;
            found = one;
        }
    }
    return found;
}

const struct provider_endpoint *provider_endpoint(const struct provider *p,
                                                  enum provider_protocol protocol)
{
    for (size_t i = 0; i < p->endpoint_count; i++)
        if (p->endpoints[i].protocol == protocol)
            return &p->endpoints[i];
    return NULL;
}

struct str provider_login_of(const struct provider *p, struct str address)
{
    if (p->login == PROVIDER_LOGIN_WORD)
        return p->login_word;
    if (p->login == PROVIDER_LOGIN_NAME)
        return str_sub(address, 0, str_find_last(address, '@'));
    return address;
}
