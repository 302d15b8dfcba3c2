/* route/route.c - the way of one address, aliases apart; see one.h and route.h. */
// SPDX-License-Identifier: ISC
#include "route/one.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"

static const char postmaster[] = "postmaster";

struct decision {
    const struct route_table *table;
    const struct route_question *question;
    struct arena *arena;
    struct route_answer *answer;
    struct address to;
};

static void refuse(struct decision *d, enum reply_name reply, struct str why)
{
    *d->answer =
        (struct route_answer){.status = reply_status(reply, d->question->recipient), .why = why};
}

static void send_to(struct decision *d, enum transport transport, struct str next_hop,
                    struct str why)
{
    struct target *target = arena_alloc(d->arena, sizeof *target);
    *target = (struct target){.transport = transport,
                              .next_hop = next_hop,
                              .address = address_text(d->arena, &d->to),
                              .why = why};
    *d->answer =
        (struct route_answer){.status = reply_status(REPLY_RECIPIENT_OK, d->question->recipient),
                              .targets = target,
                              .target_count = 1,
                              .why = why};
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || char_is_digit(c) || (c && strchr("._+=~-", c));
}

/* The name of a user as a folder: without case, without anything a path could take wrongly. */
static struct str folder_name(struct arena *a, struct str name)
{
    struct buf b = buf_init(3 * LOCAL_PART_BYTES_MAX + 1);
    for (size_t i = 0; i < name.n; i++) {
        char c = char_lower(name.p[i]);
        if (is_plain(c) && !(i == 0 && c == '.'))
            buf_add_char(&b, c);
        else
            buf_printf(&b, "%%%02x", (unsigned char)c);
    }
    struct str folder = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return folder;
}

struct str route_mailbox(struct arena *a, const struct address *account)
{
    struct str folder = folder_name(a, account->local);
    return arena_printf(a, "%.*s/%.*s", STR_ARG(account->domain), STR_ARG(folder));
}

const struct route_domain *route_find_domain(const struct route_table *t, struct str name)
{
    for (size_t i = 0; i < t->domain_count; i++)
        if (str_eq(t->domains[i].name, name))
            return &t->domains[i];
    return NULL;
}

static const struct route_via *find_route(const struct route_table *t, struct str name)
{
    const struct route_via *best = NULL;
    for (size_t i = 0; i < t->route_count; i++) {
        const struct route_via *r = &t->routes[i];
        bool below = str_starts(r->domain, STR(".")) && name.n > r->domain.n;
        bool matches = below ? str_ends(name, r->domain) : str_eq(name, r->domain);
        if (matches && (!best || r->domain.n > best->domain.n))
            best = r;
    }
    return best;
}

/* Postmaster always gets its mail (RFC 5321 4.5.1). */
static void to_postmaster(struct decision *d, struct str place)
{
    send_to(d, TRANSPORT_LOCAL, str_c(postmaster),
            arena_printf(d->arena, "%.*s: the mailbox of postmaster, who always exists",
                         STR_ARG(place)));
}

static enum account_answer ask_account(const struct decision *d, struct str user,
                                       struct address *ret)
{
    return d->table->account(d->table->arg, user, d->to.domain, d->arena, ret);
}

/* The name as it was written, then without its tag; *user is the one that was found. */
static enum account_answer find_account(const struct decision *d, struct str *user,
                                        struct address *ret)
{
    struct str short_name = local_without_tag(d->to.local);
    *user = d->to.local;
    enum account_answer found = ask_account(d, *user, ret);
    if (found != ACCOUNT_NO || short_name.n == user->n)
        return found;
    *user = short_name;
    return ask_account(d, *user, ret);
}

static void to_account(struct decision *d, struct str place, struct str user,
                       const struct address *account)
{
    bool further =
        !str_eq_nocase(account->local, user) || !str_eq_nocase(account->domain, d->to.domain);
    struct str own = address_text(d->arena, account);
    send_to(d, TRANSPORT_LOCAL, route_mailbox(d->arena, account),
            further ? arena_printf(d->arena, "%.*s: %.*s is an address of account %.*s",
                                   STR_ARG(place), STR_ARG(user), STR_ARG(own))
                    : arena_printf(d->arena, "%.*s: account %.*s", STR_ARG(place), STR_ARG(user)));
}

static enum login_answer find_login(const struct decision *d, struct str *login)
{
    const struct route_table *t = d->table;
    struct str short_name = local_without_tag(d->to.local);
    enum login_answer found = t->login(t->arg, d->to.local, d->arena, login);
    if (found != LOGIN_NO || short_name.n == d->to.local.n)
        return found;
    return t->login(t->arg, short_name, d->arena, login);
}

static void refuse_user(struct decision *d, struct str place, bool system_user)
{
    struct str name = d->to.local;
    refuse(d, REPLY_NO_SUCH_USER,
           system_user
               ? arena_printf(d->arena,
                              "%.*s: %.*s is no person but root or a system user, who get no mail; "
                              "an alias says who reads it (%.*s: somebody)",
                              STR_ARG(place), STR_ARG(name), STR_ARG(name))
               : arena_printf(d->arena, "%.*s: no account %.*s", STR_ARG(place), STR_ARG(name)));
}

static void decide_user(struct decision *d, const struct route_domain *domain, struct str place)
{
    struct str login = STR_NONE;
    enum login_answer found = domain->system_users ? find_login(d, &login) : LOGIN_NO;
    if (found == LOGIN_TRY_LATER)
        refuse(d, REPLY_ROUTER_AWAY,
               arena_printf(d->arena, "%.*s: the users of this machine cannot be looked up now",
                            STR_ARG(place)));
    else if (found == LOGIN_YES)
        send_to(d, TRANSPORT_LOCAL, arena_printf(d->arena, "~%.*s", STR_ARG(login)),
                arena_printf(d->arena, "%.*s: user %.*s of this machine", STR_ARG(place),
                             STR_ARG(login)));
    else if (route_is_postmaster(&d->to))
        to_postmaster(d, place);
    else
        refuse_user(d, place, found == LOGIN_REFUSED);
}

static void decide_account(struct decision *d, const struct route_domain *domain)
{
    struct str user = STR_NONE;
    struct address account;
    struct str place =
        arena_printf(d->arena, "%.*s domain %.*s", STR_ARG(domain->at), STR_ARG(domain->name));
    enum account_answer found = domain->accounts ? find_account(d, &user, &account) : ACCOUNT_NO;
    if (found == ACCOUNT_TRY_LATER)
        refuse(d, REPLY_ROUTER_AWAY,
               arena_printf(d->arena, "%.*s: the accounts cannot be read now", STR_ARG(place)));
    else if (found == ACCOUNT_YES)
        to_account(d, place, user, &account);
    else
        decide_user(d, domain, place);
}

/* A domain of ours without accounts, or only a name or address of this machine. */
static void decide_postmaster_only(struct decision *d, struct str place)
{
    if (route_is_postmaster(&d->to))
        to_postmaster(d, place);
    else
        refuse(d, REPLY_NO_SUCH_USER,
               arena_printf(d->arena, "%.*s: only postmaster exists there", STR_ARG(place)));
}

/* Nothing in the file says where: the relay asks for the servers of this domain. */
static void decide_by_dns(struct decision *d)
{
    struct str place = d->table->config_name, domain = d->to.domain;
    bool literal = str_starts(domain, STR("["));
    send_to(
        d, TRANSPORT_RELAY, arena_printf(d->arena, "@%.*s", STR_ARG(domain)),
        arena_printf(d->arena,
                     literal ? "%.*s: to the address itself, %.*s" : "%.*s: by DNS (MX of %.*s)",
                     STR_ARG(place), STR_ARG(domain)));
}

static void decide_remote(struct decision *d)
{
    const struct route_table *t = d->table;
    const struct route_via *route = find_route(t, d->to.domain);
    if (!d->question->may_relay)
        refuse(d, REPLY_RELAY_DENIED,
               arena_printf(d->arena,
                            "%.*s: no domain statement names %.*s, and relay-for does not name "
                            "the client",
                            STR_ARG(t->config_name), STR_ARG(d->to.domain)));
    else if (route)
        send_to(d, TRANSPORT_RELAY, arena_copy(d->arena, route->via),
                arena_printf(d->arena, "%.*s route %.*s: via %.*s", STR_ARG(route->at),
                             STR_ARG(route->domain), STR_ARG(route->via)));
    else if (t->smarthost.n > 0)
        send_to(d, TRANSPORT_RELAY, arena_copy(d->arena, t->smarthost),
                arena_printf(d->arena, "%.*s smarthost %.*s", STR_ARG(t->smarthost_at),
                             STR_ARG(t->smarthost)));
    else
        decide_by_dns(d);
}

/* Is this the literal ([192.0.2.1], [IPv6:…]) of an address of this machine? */
static bool is_own_literal(const struct route_table *t, struct str domain)
{
    static const char ipv6_tag[] = "[IPv6:";
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    bool ipv6 = str_starts_nocase(domain, str_c(ipv6_tag));
    if (!str_starts(domain, STR("[")) || !str_ends(domain, STR("]")))
        return false;
    struct str inside = str_sub(domain, ipv6 ? sizeof ipv6_tag - 1 : 1, domain.n - 1);
    if (inside.n >= sizeof text)
        return false;
    memcpy(text, inside.p, inside.n);
    text[inside.n] = '\0';
    int family = ipv6 ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, bytes) != 1 || !inet_ntop(family, bytes, text, sizeof text))
        return false;
    for (size_t i = 0; i < t->address_count; i++)
        if (str_eq_c(t->addresses[i], text))
            return true;
    return false;
}

bool route_read(const struct route_table *t, struct str text, struct arena *a, struct address *ret,
                struct route_answer *refusal)
{
    struct parse_error error = {0};
    if (str_eq_nocase(text, str_c(postmaster))) {
        *ret = (struct address){.local = str_c(postmaster), .domain = t->hostname};
        return true;
    }
    bool source_route = str_starts(text, STR("@")) && str_find(text, ':') < text.n;
    bool parsed = !source_route && address_parse(text, a, ret, &error);
    if (source_route || (parsed && local_part_routes(ret->local))) {
        *refusal = (struct route_answer){
            .status = reply_status(REPLY_ROUTING_SYNTAX, text),
            .why = STR("addresses that ask to be sent on (a%b, a!b, @a:b, \"a@b\") are never "
                       "followed")};
        return false;
    }
    if (!parsed)
        *refusal =
            (struct route_answer){.status = reply_status(REPLY_RECIPIENT_SYNTAX, str_c(error.text)),
                                  .why = arena_copy(a, str_c(error.text))};
    return parsed;
}

bool route_is_postmaster(const struct address *to)
{
    return str_eq_nocase(local_without_tag(to->local), str_c(postmaster));
}

void route_one(const struct route_table *t, const struct route_question *q,
               const struct address *to, struct arena *a, struct route_answer *ret)
{
    struct decision d = {.table = t, .question = q, .arena = a, .answer = ret, .to = *to};
    const struct route_domain *domain = route_find_domain(t, d.to.domain);
    if (domain && (domain->accounts || domain->system_users))
        decide_account(&d, domain);
    else if (domain)
        decide_postmaster_only(&d, arena_printf(a, "%.*s domain %.*s without accounts%s",
                                                STR_ARG(domain->at), STR_ARG(domain->name),
                                                domain->aliases.n ? ", no such alias" : ""));
    else if (str_eq_nocase(d.to.domain, t->hostname) || is_own_literal(t, d.to.domain))
        decide_postmaster_only(&d, arena_printf(a, "%.*s: %.*s is this server itself",
                                                STR_ARG(t->config_name), STR_ARG(d.to.domain)));
    else
        decide_remote(&d);
}
