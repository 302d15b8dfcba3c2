/* nexthop/lookup.c - see lookup.h.
 *
 *   lookup_next -> a server is left: hand it out
 *               -> the MX are not known: ask; on_mx -> hosts in order -> lookup_next
 *               -> hosts are left: ask for the addresses of the next preference; on_address
 *                  -> all are answered: servers in order -> lookup_next
 *               -> nothing: why
 *
 * fn may free the lookup, so calling it is always the last thing done. */
// SPDX-License-Identifier: ISC
#include "nexthop/lookup.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "mail/reply.h"
#include "nexthop/public.h"

enum { FAMILY_ADDRESSES_MAX = 8, SERVERS_MAX = 64 };

struct host;

struct half { /* of a host: its addresses of one family */
    struct host *host;
    struct dns_question question;
    enum dns_outcome outcome;
    struct str why; /* DNS_LATER */
    bool secure;
    size_t count;
    struct sock_address addresses[FAMILY_ADDRESSES_MAX];
};

enum { V6, V4, HALF_COUNT };
static const struct {
    enum dns_type type;
    int family;
} families[HALF_COUNT] = {[V6] = {DNS_AAAA, AF_INET6}, [V4] = {DNS_A, AF_INET}};

struct host {
    struct lookup *lookup;
    struct str name;
    uint16_t preference;
    uint32_t chance; /* decides among equals */
    struct half halves[HALF_COUNT];
};

struct lookup {
    struct lookup_world world;
    struct arena arena;
    lookup_fn *fn;
    void *arg;
    struct buf *notes;
    struct str about; /* the domain, the host or the whole next hop: for people */
    uint16_t port;
    bool by_dns; /* what a stranger may have written: "@..." */

    struct dns_question mx;
    bool mx_wanted, mx_secure;
    struct host *hosts;
    size_t host_count, level_begin, level_end;
    size_t open_count; /* questions about the addresses of this level */

    struct lookup_server servers[SERVERS_MAX];
    size_t server_count, server_next;
    size_t tried_count;

    bool later;     /* a host could not be looked up now */
    bool loops;     /* a host is this server; */
    bool own_found; /* by one of the addresses at hand */
    enum reply_name never;
};

/* ---- notes ---- */

static void note(struct lookup *l, struct str host, const char *what)
{
    buf_printf(l->notes, "%s%.*s %s", l->notes->n > 0 ? "; " : "", STR_ARG(host), what);
}

/* ---- the end ---- */

static void tell_end(struct lookup *l)
{
    enum reply_name name = REPLY_NO_CONNECTION;

    if (l->by_dns && l->later) /* a better server than ourselves may turn up */
        name = REPLY_DNS_TROUBLE;
    else if (l->loops)
        name = l->by_dns ? REPLY_LOOP_BY_DNS : REPLY_LOOP_OWN_LISTENER;
    else if (l->host_count > 0 && !l->by_dns)
        name = REPLY_DNS_TROUBLE;
    else if (l->by_dns)
        name = l->never;
    struct status st = reply_status(
        name, name == REPLY_NO_CONNECTION ? STR("the next hop is no address and port") : l->about);
    l->fn(l->arg, NULL, &st, status_try_later(&st));
}

/* ---- servers ---- */

static bool is_this_server(const struct lookup *l, const struct sock_address *a)
{
    const struct config *c = l->world.config;

    if (!c)
        return false;
    if (l->by_dns && !l->world.private_too && own_is_known_as(l->world.own, a))
        return true;
    return own_listens(l->world.own, c, a);
}

static bool may_go_to(const struct lookup *l, const struct sock_address *a)
{
    return !l->by_dns || l->world.private_too || address_is_public(a);
}

static void add_server(struct lookup *l, const struct sock_address *a, struct str host, bool secure)
{
    struct buf text = buf_init(128);

    if (!may_go_to(l, a)) {
        sock_address_print_ip(&text, a);
        buf_add_c(&text, " is no public address");
        note(l, host, buf_c(&text));
    } else if (is_this_server(l, a)) {
        l->loops = l->own_found = true;
    } else if (l->server_count < SERVERS_MAX) {
        l->servers[l->server_count++] =
            (struct lookup_server){.address = *a, .host = host, .secure = secure};
    }
    buf_free(&text);
}

/* IPv6 and IPv4 in turn: where one of them is broken, the other comes next. */
static void add_host_servers(struct lookup *l, const struct host *h)
{
    for (size_t i = 0; i < FAMILY_ADDRESSES_MAX; i++) {
        for (size_t f = 0; f < HALF_COUNT; f++) {
            const struct half *half = &h->halves[f];

            if (i < half->count)
                add_server(l, &half->addresses[i], h->name, l->mx_secure && half->secure);
        }
    }
}

static void hand_out(struct lookup *l)
{
    struct lookup_server *s = &l->servers[l->server_next++];

    l->tried_count++;
    s->last = l->tried_count == LOOKUP_TRIES_MAX ||
              (l->server_next == l->server_count && l->level_end == l->host_count);
    l->fn(l->arg, s, NULL, false);
}

/* ---- addresses of hosts ---- */

static void host_judge(struct lookup *l, const struct host *h)
{
    const struct half *later = NULL;
    bool found = false;

    for (size_t f = 0; f < HALF_COUNT; f++) {
        if (h->halves[f].outcome == DNS_LATER)
            later = &h->halves[f];
        found = found || h->halves[f].count > 0;
    }
    if (found)
        return;
    l->later = l->later || later;
    if (later)
        note(l, h->name,
             arena_printf(&l->arena, "cannot be looked up: %.*s", STR_ARG(later->why)).p);
    else
        note(l, h->name, "has no address");
}

static void level_done(struct lookup *l)
{
    l->own_found = false;
    l->server_count = l->server_next = 0;
    for (size_t i = l->level_begin; i < l->level_end; i++) {
        host_judge(l, &l->hosts[i]);
        add_host_servers(l, &l->hosts[i]);
    }
    if (l->own_found) {
        l->server_count = 0;
        l->host_count = l->level_end;
    }
    lookup_next(l);
}

static void on_address(void *arg, const struct dns_answer *answer)
{
    struct half *half = arg;
    struct lookup *l = half->host->lookup;
    size_t family = (size_t)(half - half->host->halves);

    half->outcome = answer->outcome;
    half->why = arena_copy(&l->arena, str_c(answer->why));
    half->secure = answer->security == DNS_SECURE;
    for (size_t i = 0; i < answer->count && i < FAMILY_ADDRESSES_MAX; i++)
        half->addresses[half->count++] =
            sock_address_make(families[family].family, answer->records[i].address, l->port);
    if (--l->open_count == 0)
        level_done(l);
}

static void level_ask(struct lookup *l)
{
    l->level_begin = l->level_end;
    while (l->level_end < l->host_count &&
           l->hosts[l->level_end].preference == l->hosts[l->level_begin].preference)
        l->level_end++;
    l->open_count = (l->level_end - l->level_begin) * HALF_COUNT;
    for (size_t i = l->level_begin; i < l->level_end; i++) {
        for (size_t f = 0; f < HALF_COUNT; f++) {
            struct half *half = &l->hosts[i].halves[f];

            half->host = &l->hosts[i];
            dns_ask(l->world.dns, &half->question, l->hosts[i].name, families[f].type, on_address,
                    half);
        }
    }
}

/* ---- the hosts of a domain ---- */

static int in_order(const void *a, const void *b)
{
    const struct host *x = a;
    const struct host *y = b;

    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return x->chance < y->chance ? -1 : x->chance > y->chance;
}

static void add_host(struct lookup *l, struct str name, uint16_t preference)
{
    struct host *h = &l->hosts[l->host_count++];

    *h = (struct host){.lookup = l, .name = arena_copy(&l->arena, name), .preference = preference};
    (void)getrandom(&h->chance, sizeof h->chance, GRND_NONBLOCK); /* without: as they came */
}

/* From the preference of this server's own name on, mail would only come back. */
static void cut_own_name(struct lookup *l)
{
    for (size_t i = 0; l->world.config && i < l->host_count; i++) {
        if (!str_eq_nocase(l->hosts[i].name, l->world.config->hostname))
            continue;
        while (i > 0 && l->hosts[i - 1].preference == l->hosts[i].preference)
            i--;
        l->host_count = i;
        l->loops = true;
    }
}

static void take_mx(struct lookup *l, const struct dns_answer *answer)
{
    const struct dns_record *first = &answer->records[0];

    l->never = REPLY_NO_MAIL_SERVER;
    if (answer->count == 1 && first->is_host && first->name.n == 0)
        l->never = REPLY_NULL_MX;
    l->hosts = arena_alloc(&l->arena, answer->count * sizeof *l->hosts);
    for (size_t i = 0; i < answer->count; i++)
        if (answer->records[i].is_host && answer->records[i].name.n > 0)
            add_host(l, answer->records[i].name, answer->records[i].preference);
    qsort(l->hosts, l->host_count, sizeof *l->hosts, in_order);
    l->host_count = MIN_OF(l->host_count, (size_t)LOOKUP_HOSTS_MAX);
}

static void take_itself(struct lookup *l)
{
    l->never = REPLY_NO_MAIL_SERVER;
    l->hosts = arena_alloc(&l->arena, sizeof *l->hosts);
    add_host(l, l->about, 0);
}

static void on_mx(void *arg, const struct dns_answer *answer)
{
    struct lookup *l = arg;

    l->mx_secure = answer->security == DNS_SECURE;
    if (answer->outcome == DNS_FOUND)
        take_mx(l, answer);
    else if (answer->outcome == DNS_NO_DATA)
        take_itself(l);
    else if (answer->outcome == DNS_NO_NAME)
        l->never = REPLY_NO_SUCH_DOMAIN;
    else
        l->later = true;
    if (l->later)
        note(l, STR("MX"), answer->why);
    cut_own_name(l);
    lookup_next(l);
}

static void mx_ask(struct lookup *l)
{
    l->mx_wanted = false;
    dns_ask(l->world.dns, &l->mx, l->about, DNS_MX, on_mx, l);
}

/* ---- what a next hop is ---- */

static bool take_address(struct lookup *l, struct str text)
{
    struct sock_address a[2];

    if (sock_address_parse(text, a) != 1)
        return false;
    add_server(l, &a[0], STR_NONE, false);
    return true;
}

static void take_localhost(struct lookup *l, struct str port)
{
    (void)take_address(l, arena_printf(&l->arena, "127.0.0.1:%.*s", STR_ARG(port)));
    (void)take_address(l, arena_printf(&l->arena, "[::1]:%.*s", STR_ARG(port)));
}

static void take_literal(struct lookup *l, struct str inside)
{
    bool v6 = str_starts_nocase(inside, STR("IPv6:"));

    l->never = REPLY_NO_MAIL_SERVER;
    (void)take_address(l, arena_printf(&l->arena, v6 ? "[%.*s]:%u" : "%.*s:%u",
                                       STR_ARG(str_skip(inside, v6 ? 5 : 0)), l->port));
}

static void take_domain(struct lookup *l, struct str domain)
{
    l->by_dns = true;
    l->about = domain;
    l->port = l->world.smtp_port;
    if (str_starts(domain, STR("[")))
        take_literal(l, str_sub(domain, 1, domain.n - 1));
    else
        l->mx_wanted = true;
}

static void take_host(struct lookup *l, struct str next_hop)
{
    size_t colon = str_find_last(next_hop, ':');
    struct str name = str_sub(next_hop, 0, colon);
    uint64_t port = 0;

    if (!str_u64(str_skip(next_hop, colon + 1), &port) || port == 0 || port > UINT16_MAX)
        return;
    if (str_eq_nocase(name, STR("localhost"))) {
        take_localhost(l, str_skip(next_hop, colon + 1));
        return;
    }
    l->port = (uint16_t)port;
    l->mx_secure = true; /* our own word is as good */
    l->hosts = arena_alloc(&l->arena, sizeof *l->hosts);
    add_host(l, name, 0);
}

/* ---- the doors ---- */

struct lookup *lookup_new(const struct lookup_world *w, struct str next_hop, struct buf *notes,
                          lookup_fn *fn, void *arg)
{
    struct lookup *l = mem_new(sizeof *l);

    *l = (struct lookup){.world = *w, .notes = notes, .fn = fn, .arg = arg};
    if (l->world.config)
        (void)config_hold(l->world.config);
    l->about = arena_copy(&l->arena, next_hop);
    if (str_starts(l->about, STR("@")))
        take_domain(l, str_skip(l->about, 1));
    else if (!take_address(l, l->about))
        take_host(l, l->about);
    if (l->own_found)
        l->server_count = 0;
    return l;
}

void lookup_next(struct lookup *l)
{
    if (l->server_next < l->server_count && l->tried_count < LOOKUP_TRIES_MAX)
        hand_out(l);
    else if (l->mx_wanted)
        mx_ask(l);
    else if (l->level_end < l->host_count && l->tried_count < LOOKUP_TRIES_MAX)
        level_ask(l);
    else
        tell_end(l);
}

void lookup_free(struct lookup **lp)
{
    struct lookup *l = *lp;

    *lp = NULL;
    if (!l)
        return;
    dns_cancel(&l->mx);
    for (size_t i = l->level_begin; i < l->level_end; i++)
        for (size_t f = 0; f < HALF_COUNT; f++)
            dns_cancel(&l->hosts[i].halves[f].question);
    config_drop(&l->world.config);
    arena_free(&l->arena);
    free(l);
}
