/* config/verify.c - see verify.h. */
// SPDX-License-Identifier: ISC
#include "config/verify.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"

/* A network of clients is a company's at most: 10.0.0.0/8 is the largest private one. Anything
 * wider is a slip that would let strangers send through this server. */
enum { RELAY_BITS_LEAST_IPV4 = 8, RELAY_BITS_LEAST_IPV6 = 16 };

unsigned verify_section_line(const struct syntax *s, enum scope scope, size_t index)
{
    for (size_t i = 0; i < s->section_count; i++)
        if (s->sections[i].scope == scope && index-- == 0)
            return s->sections[i].line;
    return 0;
}

/* The line of a statement at the top, or of the one in the section with this index. */
static unsigned statement_line(const struct verify *v, enum scope scope, const char *name,
                               size_t index)
{
    size_t section = 0;
    for (size_t seen = 0; section < v->syntax->section_count && scope != SCOPE_TOP; section++)
        if (v->syntax->sections[section].scope == scope && seen++ == index)
            break;
    const struct statement *row = statement_find(scope, str_c(name));
    for (size_t i = 0; i < v->syntax->statement_count; i++) {
        const struct said *said = &v->syntax->statements[i];
        if (said->statement == row && (scope == SCOPE_TOP || said->section == section))
            return said->line;
    }
    return 0;
}

/* Titles that differ only in case are one for us, two for libconfuse. */
static void check_titles(const struct verify *v, enum scope scope)
{
    struct map *seen = map_new();
    size_t count = section_count(v->config, scope);
    for (size_t i = 0; i < count; i++) {
        struct str title = *section_title(scope, section_at(v->config, scope, i));
        if (title.n == 0)
            continue;
        uintptr_t before = (uintptr_t)map_get(seen, title);
        if (before)
            problem_printf(v->problems, verify_section_line(v->syntax, scope, i),
                           str_c(sections[scope].name),
                           "\"%.*s\" was already said in line %u; write it once", STR_ARG(title),
                           verify_section_line(v->syntax, scope, before - 1));
        else
            map_put(seen, title, (void *)(i + 1));
    }
    map_free(&seen);
}

static bool is_any(const struct sock_address *a)
{
    static const struct in6_addr none;
    if (a->sa.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &a->sa, sizeof in);
        return in.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, &a->sa, sizeof in6);
    return memcmp(&in6.sin6_addr, &none, sizeof none) == 0;
}

static bool is_loopback(const struct sock_address *a)
{
    struct network n;
    return (network_parse(STR("127.0.0.0/8"), &n) && network_has(&n, a)) ||
           (network_parse(STR("::1"), &n) && network_has(&n, a));
}

/* Same host, whatever the port: by the printed address, which shows mapped IPv4 as IPv4. */
static bool same_ip(const struct sock_address *a, const struct sock_address *b)
{
    struct buf x = buf_init(128), y = buf_init(128);
    sock_address_print_ip(&x, a);
    sock_address_print_ip(&y, b);
    bool same = str_eq(buf_str(&x), buf_str(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

static bool overlap(const struct sock_address *a, const struct sock_address *b)
{
    return a->sa.ss_family == b->sa.ss_family && sock_address_port(a) == sock_address_port(b) &&
           (is_any(a) || is_any(b) || same_ip(a, b));
}

struct own_listener {
    struct sock_address address;
    struct str text;
    size_t listen;
};

struct own_listeners {
    struct own_listener *list;
    size_t count;
};

static void add_listener(const struct verify *v, struct own_listeners *own, size_t listen,
                         struct str text, const struct sock_address *address)
{
    unsigned line = statement_line(v, SCOPE_LISTEN, "address", listen);
    for (size_t i = 0; i < own->count; i++)
        if (overlap(&own->list[i].address, address)) {
            problem_printf(v->problems, line, STR("address"),
                           "\"%.*s\" is already taken by \"%.*s\" of line %u; listen on it once",
                           STR_ARG(text), STR_ARG(own->list[i].text),
                           statement_line(v, SCOPE_LISTEN, "address", own->list[i].listen));
            return;
        }
    own->list[own->count++] =
        (struct own_listener){.address = *address, .text = text, .listen = listen};
}

static struct own_listeners check_listeners(const struct verify *v)
{
    const struct config *c = v->config;
    size_t count = 0;
    for (size_t i = 0; i < c->listen_count; i++)
        count += 2 * c->listens[i].address_count;
    struct own_listeners own = {
        .list = arena_alloc(v->problems->arena, (count + 1) * sizeof *own.list)};
    for (size_t i = 0; i < c->listen_count; i++)
        for (size_t j = 0; j < c->listens[i].address_count; j++) {
            struct sock_address parsed[2];
            struct str text = c->listens[i].addresses[j];
            size_t found = sock_address_parse(text, parsed);
            for (size_t k = 0; k < found; k++) {
                size_t before = own.count;
                add_listener(v, &own, i, text, &parsed[k]);
                if (own.count == before)
                    break;
            }
        }
    return own;
}

static bool is_unix(struct str text)
{
    return str_starts(text, STR("unix:"));
}

/* The listener with this Unix socket among the first so many; their number: there is none. */
static size_t unix_listener(const struct config *c, struct str text, size_t first)
{
    size_t i = 0;
    for (; i < first; i++)
        for (size_t j = 0; j < c->listens[i].address_count; j++)
            if (str_eq(c->listens[i].addresses[j], text))
                return i;
    return i;
}

static void check_unix_listener(const struct verify *v, size_t listen)
{
    const struct config *c = v->config;
    const struct config_listen *l = &c->listens[listen];
    unsigned line = statement_line(v, SCOPE_LISTEN, "address", listen);
    bool other_owner = l->socket_user.n > 0 && !v->machine->root;
    for (size_t j = 0; j < l->address_count; j++) {
        size_t before = unix_listener(c, l->addresses[j], listen);
        if (!is_unix(l->addresses[j]))
            continue;
        if (before < listen)
            problem_printf(v->problems, line, STR("address"),
                           "\"%.*s\" is already taken in line %u; listen on it once",
                           STR_ARG(l->addresses[j]),
                           statement_line(v, SCOPE_LISTEN, "address", before));
        if (str_eq_c(l->tls, "required") || str_eq_c(l->tls, "implicit"))
            problem_warn(v->problems, statement_line(v, SCOPE_LISTEN, "tls", listen), STR("tls"),
                         "holds for the Unix socket too, which nobody else can listen to anyway");
        if (other_owner)
            problem_warn(v->problems, statement_line(v, SCOPE_LISTEN, "socket-user", listen),
                         STR("socket-user"),
                         "needs a server that root starts: only root can give a file away");
        other_owner = false;
    }
}

static bool is_of_machine(const struct machine *m, const struct sock_address *a)
{
    if (is_any(a) || is_loopback(a))
        return true;
    for (size_t i = 0; i < m->address_count; i++)
        if (same_ip(&m->addresses[i], a))
            return true;
    return false;
}

/* Would a connection to host and port end at this listener? */
static bool reaches(const struct verify *v, struct str host, const struct sock_address *to,
                    const struct sock_address *listener)
{
    if (!to) {
        bool ours = str_eq_nocase(host, v->config->hostname);
        bool local =
            str_eq_nocase(host, STR("localhost")) || str_ends_nocase(host, STR(".localhost"));
        return ours || (local && (is_any(listener) || is_loopback(listener)));
    }
    /* IPv4 written as IPv6 reaches the IPv4 listener. */
    bool mine = is_any(listener) ? is_of_machine(v->machine, to) : same_ip(to, listener);
    return mine || (is_any(to) && is_loopback(listener));
}

/* A next hop that is one of our own listeners would send each message round and round. */
static void check_next_hop(const struct verify *v, const struct own_listeners *own, unsigned line,
                           const char *statement, struct str next_hop)
{
    struct str host;
    uint64_t port;
    struct sock_address to[2];
    if (is_unix(next_hop)) {
        size_t listen = unix_listener(v->config, next_hop, v->config->listen_count);
        if (listen < v->config->listen_count)
            problem_printf(v->problems, line, str_c(statement),
                           "\"%.*s\" would relay to itself: line %u listens there; name another "
                           "server",
                           STR_ARG(next_hop), statement_line(v, SCOPE_LISTEN, "address", listen));
        return;
    }
    if (!host_port_split(next_hop, &host, &port))
        return;
    bool literal = sock_address_parse(next_hop, to) > 0;
    for (size_t i = 0; i < own->count; i++) {
        const struct own_listener *listener = &own->list[i];
        if (sock_address_port(&listener->address) == port &&
            reaches(v, host, literal ? &to[0] : NULL, &listener->address)) {
            problem_printf(v->problems, line, str_c(statement),
                           "\"%.*s\" would relay to itself: line %u listens there on \"%.*s\"; "
                           "name another server",
                           STR_ARG(next_hop),
                           statement_line(v, SCOPE_LISTEN, "address", listener->listen),
                           STR_ARG(listener->text));
            return;
        }
    }
}

/* One server speaks one protocol: sessions with it are shared by all routes that lead there. */
static void check_route_protocol(const struct verify *v, size_t index)
{
    const struct config *c = v->config;
    const struct config_route *route = &c->routes[index];
    unsigned line = statement_line(v, SCOPE_ROUTE, "protocol", index);
    bool smtp = c->smarthost.via.n > 0 && str_eq(c->smarthost.via, route->via);
    struct str host;
    uint64_t port;
    if (is_unix(route->via) && !str_eq_c(route->protocol, "lmtp"))
        problem_printf(v->problems, line ? line : statement_line(v, SCOPE_ROUTE, "via", index),
                       STR("protocol"), "a Unix socket speaks lmtp; say protocol = lmtp");
    if (is_unix(route->via) && str_eq_c(route->tls, "required"))
        problem_printf(v->problems, statement_line(v, SCOPE_ROUTE, "tls", index), STR("tls"),
                       "a Unix socket has no TLS, and nobody can listen to it; take it out");
    if (!str_eq_c(route->protocol, "lmtp"))
        return;
    if (host_port_split(route->via, &host, &port) && port == 25)
        problem_printf(v->problems, line, STR("protocol"),
                       "lmtp is not for port 25, where SMTP is expected; write the port in via, "
                       "as in \"%.*s:24\"",
                       STR_ARG(host));
    for (size_t i = 0; i < c->route_count && !smtp; i++)
        smtp = str_eq(c->routes[i].via, route->via) && str_eq_c(c->routes[i].protocol, "smtp");
    if (smtp)
        problem_printf(v->problems, line, STR("protocol"),
                       "another statement says that \"%.*s\" speaks smtp; say the same in both",
                       STR_ARG(route->via));
}

static void check_routes(const struct verify *v, const struct own_listeners *own)
{
    const struct config *c = v->config;
    struct map *local = map_new();
    for (size_t i = 0; i < c->domain_count; i++)
        map_put(local, c->domains[i].name, (void *)(uintptr_t)(i + 1));
    for (size_t i = 0; i < c->route_count; i++) {
        struct str domain = c->routes[i].domain;
        unsigned line = verify_section_line(v->syntax, SCOPE_ROUTE, i);
        uintptr_t index = (uintptr_t)map_get(local, domain);
        if (domain.n == 0)
            continue;
        if (index)
            problem_printf(v->problems, line, STR("route"),
                           "\"%.*s\" is a local domain (line %u), its mail stays here; take out "
                           "one of the two",
                           STR_ARG(domain),
                           verify_section_line(v->syntax, SCOPE_DOMAIN, index - 1));
        else if (str_eq_nocase(domain, c->hostname))
            problem_printf(v->problems, line, STR("route"),
                           "\"%.*s\" is the name of this server, its mail stays here; take the "
                           "route out",
                           STR_ARG(domain));
        check_next_hop(v, own, statement_line(v, SCOPE_ROUTE, "via", i), "via", c->routes[i].via);
        check_route_protocol(v, i);
    }
    map_free(&local);
    if (c->smarthost.via.n > 0)
        check_next_hop(v, own, verify_section_line(v->syntax, SCOPE_SMARTHOST, 0), "smarthost",
                       c->smarthost.via);
}

/* ---- logins at other servers ---- */

struct said_login { /* of a route or the smarthost */
    enum scope scope;
    size_t index;
    struct str via, tls, login, password_file;
};

static const char *section_name(const struct said_login *l)
{
    return sections[l->scope].name;
}

static void check_login_complete(const struct verify *v, const struct said_login *l)
{
    unsigned line = verify_section_line(v->syntax, l->scope, l->index);
    if (l->login.n > 0 && l->password_file.n == 0)
        problem_printf(v->problems, line, str_c(section_name(l)),
                       "\"%.*s\" has a login but no password-file; write password-file = "
                       "\"/etc/troika/password\", a file with the password in its first line",
                       STR_ARG(l->via));
    if (l->login.n == 0 && l->password_file.n > 0)
        problem_printf(v->problems, line, str_c(section_name(l)),
                       "\"%.*s\" has a password-file but no login; write login = "
                       "\"me@example.org\"",
                       STR_ARG(l->via));
}

/* Relaxing is for private networks, and must not be overlooked. */
static void check_login_is_safe(const struct verify *v, const struct said_login *l)
{
    static const struct {
        const char *tls, *warning;
    } rows[] = {
        {"off", "DANGER: with tls = off the password goes over the network as plain text, to "
                "whoever listens; only for a private network"},
        {"opportunistic", "DANGER: with tls = opportunistic whoever stands in between can take TLS "
                          "away and read all mail; only for a private network"},
        {"required", "DANGER: with tls = required the certificate is not judged, so whoever stands "
                     "in between gets the password; only for a private network"},
    };
    for (size_t i = 0; i < countof(rows); i++)
        if (l->login.n > 0 && str_eq_c(l->tls, rows[i].tls))
            problem_warn(v->problems, statement_line(v, l->scope, "tls", l->index), STR("tls"),
                         rows[i].warning);
}

/* Sessions with one server are shared by all that leads there, so there is one login. */
static void check_login_is_one(const struct verify *v, const struct said_login *a,
                               const struct said_login *b)
{
    bool differ = !str_eq(a->login, b->login) || !str_eq(a->password_file, b->password_file);
    if (str_eq(a->via, b->via) && differ)
        problem_printf(
            v->problems, verify_section_line(v->syntax, b->scope, b->index), str_c(section_name(b)),
            "the %s of line %u leads to \"%.*s\", too, with another login; say the same "
            "in both",
            section_name(a), verify_section_line(v->syntax, a->scope, a->index), STR_ARG(a->via));
}

static void check_logins_elsewhere(const struct verify *v)
{
    const struct config *c = v->config;
    const struct config_smarthost *s = &c->smarthost;
    struct said_login *all = arena_alloc(v->problems->arena, (c->route_count + 1) * sizeof *all);
    size_t count = 0;
    for (size_t i = 0; i < c->route_count; i++) {
        const struct config_route *r = &c->routes[i];
        all[count++] =
            (struct said_login){SCOPE_ROUTE, i, r->via, r->tls, r->login, r->password_file};
    }
    if (s->via.n > 0)
        all[count++] =
            (struct said_login){SCOPE_SMARTHOST, 0, s->via, s->tls, s->login, s->password_file};
    for (size_t i = 0; i < count; i++) {
        check_login_complete(v, &all[i]);
        check_login_is_safe(v, &all[i]);
        for (size_t j = 0; j < i; j++)
            check_login_is_one(v, &all[j], &all[i]);
    }
}

static void check_implicit_tls(const struct verify *v)
{
    const struct config *c = v->config;
    const struct config_smarthost *s = &c->smarthost;
    if (s->via.n > 0 && str_eq_c(s->tls, "off") && config_hop(c, s->via).implicit_tls)
        problem_printf(v->problems, statement_line(v, SCOPE_SMARTHOST, "tls", 0), STR("tls"),
                       "off contradicts implicit-tls, which port 465 means; write another port, or "
                       "implicit-tls = no");
}

static bool has_prefix(const struct network *n, const char *prefix)
{
    struct network wide;
    struct sock_address a = {.bytes = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, n->bytes, 16);
    memcpy(&a.sa, &in6, sizeof in6);
    return network_parse(str_c(prefix), &wide) && n->bits >= wide.bits && network_has(&wide, &a);
}

/* NULL, or why clients of this network cannot all be ours. */
static const char *network_objection(const struct network *n)
{
    if (n->bits == 0)
        return "is everybody: strangers could send to everywhere through this server, an open "
               "relay; name your own networks";
    if (n->family == AF_INET)
        return n->bits >= RELAY_BITS_LEAST_IPV4
                   ? NULL
                   : "is a good part of the Internet: strangers could send to everywhere through "
                     "this server; name your own networks, /8 at the widest";
    if (n->bits >= RELAY_BITS_LEAST_IPV6 || has_prefix(n, "fc00::/7") || has_prefix(n, "fe80::/10"))
        return NULL;
    return "is a good part of the Internet: strangers could send to everywhere through this "
           "server; name your own networks, /16 at the widest";
}

/* What is said by these is believed, so the same holds for them. */
static void check_believed(const struct verify *v, size_t listen, const char *name,
                           const struct network *networks, size_t count)
{
    const struct statement *row = statement_find(SCOPE_LISTEN, str_c(name));
    struct buf text = buf_init(128);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&text);
        statement_print(row, &v->config->listens[listen], i, &text);
        if (network_objection(&networks[i]))
            problem_printf(v->problems, statement_line(v, SCOPE_LISTEN, name, listen), str_c(name),
                           "\"%.*s\" is a good part of the Internet: strangers could pretend to be "
                           "anybody; name your own proxies",
                           STR_ARG(buf_str(&text)));
    }
    buf_free(&text);
}

/* RFC 2033 5: a host that sends by SMTP must not meet LMTP. */
static void check_protocol(const struct verify *v, size_t listen)
{
    const struct config_listen *l = &v->config->listens[listen];
    struct sock_address parsed[2];
    for (size_t i = 0; i < l->address_count; i++)
        if (str_eq_c(l->protocol, "lmtp") && sock_address_parse(l->addresses[i], parsed) > 0 &&
            sock_address_port(&parsed[0]) == 25)
            problem_printf(v->problems, statement_line(v, SCOPE_LISTEN, "protocol", listen),
                           STR("protocol"),
                           "lmtp is not for port 25, where SMTP is expected; take another, "
                           "such as 24");
}

static void check_listen_sections(const struct verify *v)
{
    for (size_t i = 0; i < v->config->listen_count; i++) {
        const struct config_listen *l = &v->config->listens[i];
        check_believed(v, i, "proxy", l->proxy, l->proxy_count);
        check_believed(v, i, "xclient", l->xclient, l->xclient_count);
        check_protocol(v, i);
        check_unix_listener(v, i);
    }
}

static void check_relay_for(const struct verify *v)
{
    const struct config *c = v->config;
    unsigned line = statement_line(v, SCOPE_TOP, "relay-for", 0);
    struct buf text = buf_init(128);
    for (size_t i = 0; i < c->relay_for_count; i++) {
        const char *objection = network_objection(&c->relay_for[i]);
        buf_reset(&text);
        statement_print(statement_find(SCOPE_TOP, STR("relay-for")), c, i, &text);
        if (objection)
            problem_printf(v->problems, line, STR("relay-for"), "\"%.*s\" %s",
                           STR_ARG(buf_str(&text)), objection);
    }
    buf_free(&text);
}

static void check_times(const struct verify *v)
{
    const struct config *c = v->config;
    if (c->idle_timeout_us > c->session_timeout_us)
        problem_printf(v->problems, statement_line(v, SCOPE_TOP, "idle-timeout", 0),
                       STR("idle-timeout"),
                       "is longer than session-timeout; make it shorter, or that longer");
    if (c->connections_per_address_max > c->connections_max)
        problem_warn(v->problems, statement_line(v, SCOPE_TOP, "connections-per-address", 0),
                     STR("connections-per-address"), "is more than connections, and so no limit");
    if (c->retry_count > 0 && c->retry_us[0] > c->expire_us)
        problem_warn(v->problems, statement_line(v, SCOPE_TOP, "expire", 0), STR("expire"),
                     "is shorter than the first pause of retry; a failed message has one more "
                     "attempt only");
}

/* Who checks may be another than who starts the server, so this is no error here; a server that
 * root did not start says it again and ends. */
static void check_system_users(const struct verify *v)
{
    const struct config *c = v->config;
    if (v->machine->root)
        return;
    for (size_t i = 0; i < c->domain_count; i++)
        if (c->domains[i].system_users)
            problem_warn(v->problems, statement_line(v, SCOPE_DOMAIN, "system-users", i),
                         STR("system-users"),
                         "needs a server that root starts: only root can write mail with the "
                         "rights of each user");
}

/* What a listener promises there must be a certificate for, and a key for each certificate. */
static void check_tls(const struct verify *v)
{
    const struct config *c = v->config;
    const struct config_tls *t = &c->tls;
    unsigned line = verify_section_line(v->syntax, SCOPE_TLS, 0);
    if ((t->certificate.n > 0) != (t->key.n > 0))
        problem_printf(v->problems, line, STR("tls"), "has a %s but no %s; name both files",
                       t->certificate.n > 0 ? "certificate" : "key",
                       t->certificate.n > 0 ? "key" : "certificate");
    if (t->certificate.n > 0)
        return;
    if (c->certificate_count > 0)
        problem_printf(v->problems, verify_section_line(v->syntax, SCOPE_CERTIFICATE, 0),
                       STR("certificate"),
                       "is for clients that ask for its name; name the certificate for everybody "
                       "else with tls { certificate = ... key = ... }");
    for (size_t i = 0; i < c->listen_count; i++) {
        struct str tls = c->listens[i].tls;
        if (str_eq_c(tls, "required") || str_eq_c(tls, "implicit"))
            problem_printf(v->problems, statement_line(v, SCOPE_LISTEN, "tls", i), STR("tls"),
                           "\"%.*s\" needs a certificate; name one with tls { certificate = ... "
                           "key = ... }",
                           STR_ARG(tls));
    }
}

/* Logins are looked for among accounts. */
static void check_login_domain(const struct verify *v)
{
    const struct config *c = v->config;
    if (c->login_domain.n == 0)
        return;
    for (size_t i = 0; i < c->domain_count; i++)
        if ((c->domains[i].accounts || (c->domains[i].system_users && c->pam_service.n > 0)) &&
            str_eq(c->domains[i].name, c->login_domain))
            return;
    problem_printf(
        v->problems, statement_line(v, SCOPE_TOP, "login-domain", 0), STR("login-domain"),
        "\"%.*s\" is no domain with accounts here; name one that is", STR_ARG(c->login_domain));
}

/* Without one of the two it would do nothing, and nobody would know why. */
static void check_user_logins(const struct verify *v)
{
    const struct config *c = v->config;
    unsigned line = statement_line(v, SCOPE_TOP, "pam-service", 0);
    if (c->pam_service.n == 0)
        return;
    if (!config_has_system_users(c))
        problem_warn(v->problems, line, STR("pam-service"),
                     "is for users of this machine, and no domain has system-users = yes");
    else if (!config_has_logins(c))
        problem_warn(v->problems, line, STR("pam-service"),
                     "is for logins, and no listener has auth = optional or required");
    if (v->machine->pam_service && !v->machine->pam_service(c->pam_service))
        problem_warn(v->problems, line, STR("pam-service"),
                     "names no file in /etc/pam.d, and PAM then does what the file \"other\" there "
                     "says; docs/operating/submission.md shows how it looks");
}

void verify_config(const struct verify *v)
{
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++)
        check_titles(v, (enum scope)i);
    struct own_listeners own = check_listeners(v);
    check_routes(v, &own);
    check_relay_for(v);
    check_listen_sections(v);
    check_times(v);
    check_system_users(v);
    check_tls(v);
    check_login_domain(v);
    check_logins_elsewhere(v);
    check_implicit_tls(v);
    check_user_logins(v);
    if (v->config->listen_count == 0)
        problem_warn(v->problems, 0, STR("listen"),
                     "there is none, so no client can connect; write listen smtp { address = { "
                     "\"*:25\" } }");
}
