/* daemon/router/table.c - see table.h. */
// SPDX-License-Identifier: ISC
#include "daemon/router/table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <string.h>

#include "base/check.h"
#include "io/socket.h"

enum { ADDRESSES_MAX = 256 };

static enum account_answer ask_account(void *arg, struct str local, struct str domain,
                                       struct arena *a, struct address *ret)
{
    struct table *t = arg;
    struct address own;
    int found = accounts_find(t->accounts, local, domain, &own);
    t->account_error = MIN_OF(found, 0);
    if (found <= 0)
        return found < 0 ? ACCOUNT_TRY_LATER : ACCOUNT_NO;
    *ret = (struct address){arena_copy(a, own.local), arena_copy(a, own.domain)};
    return ACCOUNT_YES;
}

static enum alias_answer ask_alias(void *arg, const struct route_domain *domain, struct str key,
                                   struct arena *a, struct alias *ret)
{
    struct table *t = arg;
    int found = aliases_find(t->aliases[domain - t->routes.domains], key, a, ret);
    if (found >= 0)
        return found ? ALIAS_YES : ALIAS_NO;
    t->alias_error = found;
    t->alias_domain = domain->name;
    return ALIAS_TRY_LATER;
}

static enum login_answer ask_login(void *arg, struct str local, struct arena *a, struct str *ret)
{
    const struct table *t = arg;
    struct str login = STR_NONE;
    enum login_answer answer = question_login(t->question, local, &login);
    *ret = arena_copy(a, login);
    return answer;
}

static struct str base_name(struct str path)
{
    size_t slash = str_find_last(path, '/');
    return slash < path.n ? str_skip(path, slash + 1) : path;
}

static void load_domains(struct table *t, const struct config *c)
{
    struct route_domain *list = arena_alloc(&t->arena, (c->domain_count + 1) * sizeof *list);
    t->aliases = arena_alloc(&t->arena, (c->domain_count + 1) * sizeof(struct aliases *));
    t->alias_count = c->domain_count;
    for (size_t i = 0; i < c->domain_count; i++) {
        const struct config_domain *d = &c->domains[i];
        list[i] = (struct route_domain){.name = d->name,
                                        .accounts = d->accounts,
                                        .system_users = d->system_users,
                                        .user_logins = d->system_users && c->pam_service.n > 0,
                                        .at = d->at,
                                        .aliases = base_name(d->aliases)};
        t->aliases[i] = d->aliases.n ? aliases_open(AT_FDCWD, d->name) : NULL;
    }
    t->routes.domains = list;
    t->routes.domain_count = c->domain_count;
}

static void load_routes(struct table *t, const struct config *c)
{
    struct route_via *list = arena_alloc(&t->arena, (c->route_count + 1) * sizeof *list);
    for (size_t i = 0; i < c->route_count; i++)
        list[i] = (struct route_via){c->routes[i].domain, c->routes[i].via, c->routes[i].at};
    t->routes.routes = list;
    t->routes.route_count = c->route_count;
}

/* Addresses of the machine as they are when a configuration comes. In the jail they cannot be
 * asked for any more; then those of the start stay. */
static void load_addresses(struct table *t, struct arena *a, const struct route_table *old)
{
    struct str *list = arena_alloc(a, ADDRESSES_MAX * sizeof *list);
    struct ifaddrs *found = NULL;
    size_t count = 0;
    struct buf text = buf_init(128);
    bool asked = getifaddrs(&found) == 0;
    for (struct ifaddrs *i = found; asked && i && count < ADDRESSES_MAX; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6)
            continue;
        struct sock_address address = {.bytes = family == AF_INET ? sizeof(struct sockaddr_in)
                                                                  : sizeof(struct sockaddr_in6)};
        memcpy(&address.sa, i->ifa_addr, address.bytes);
        buf_reset(&text);
        sock_address_print_ip(&text, &address);
        list[count++] = arena_copy(a, buf_str(&text));
    }
    if (asked)
        freeifaddrs(found);
    for (size_t i = 0; !asked && i < old->address_count; i++)
        list[count++] = arena_copy(a, old->addresses[i]);
    buf_free(&text);
    t->routes.addresses = list;
    t->routes.address_count = count;
}

static void close_aliases(struct table *t)
{
    for (size_t i = 0; i < t->alias_count; i++)
        aliases_close(&t->aliases[i]);
    t->alias_count = 0;
}

void table_load(struct table *t, struct config **c)
{
    struct arena old_arena = t->arena;
    struct route_table old = t->routes;
    struct config *config = *c;
    *c = NULL;
    close_aliases(t);
    t->arena = ARENA_INIT;
    t->routes = (struct route_table){
        .hostname = config->hostname,
        .smarthost = config->smarthost.via,
        .smarthost_at = config->smarthost.at,
        .config_name = base_name(config->file),
        .account = ask_account,
        .login = ask_login,
        .alias = ask_alias,
        .arg = t,
    };
    load_domains(t, config);
    load_routes(t, config);
    load_addresses(t, &t->arena, &old);
    arena_free(&old_arena);
    config_drop(&t->config);
    t->config = config;
}

void table_free(struct table *t)
{
    accounts_close(&t->accounts);
    close_aliases(t);
    config_drop(&t->config);
    arena_free(&t->arena);
}
