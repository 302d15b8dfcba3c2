/* outward/send/way.c - where it goes, and how one gets in there. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "discover/discover.h"
#include "mail/address_list.h"
#include "nexthop/lookup.h"
#include "outward/outward.h"
#include "outward/send/secret.h"
#include "outward/send/send.h"
#include "wire/proxy.h"

enum { HTTP_BYTES_MAX = 256 * 1024, HTTP_TIMEOUT_MS = 10000 };

/* ---- names ---- */

int way_dns(struct sending *s)
{
    const struct config *c = s->config;

    if (s->dns)
        return EX_OK;
    if (s->line->resolver.count > 0 || !c)
        return command_dns(s->line, s->loop, &s->dns);
    struct dns_options o = {.forwards = c->dns.forwards, .forward_count = c->dns.forward_count};
    int error = dns_new(s->loop, &o, &s->dns);

    return error < 0 ? fail(s->line, EX_OSERR, _("names cannot be asked for: %s"), strerror(-error))
                     : EX_OK;
}

struct gathering {
    struct sending *s;
    struct sock_address *list;
    size_t count;
    bool called, ended;
    struct status why;
};

static void on_server(void *arg, const struct lookup_server *server, const struct status *st,
                      bool next_hop_failed)
{
    struct gathering *g = arg;

    (void)next_hop_failed;
    if (!server) {
        g->why = *st;
        g->ended = true;
    } else if (g->count < SERVERS_MAX) {
        g->list[g->count++] = server->address;
    }
    g->called = true;
}

/* With --resolver: by it, and nobody else. */
static int resolve_by_dns(struct sending *s, const struct server_target *t,
                          struct sock_address *ret, size_t *ret_count)
{
    struct gathering g = {.s = s, .list = ret};
    struct buf notes = buf_init(KIB);
    int code = way_dns(s);

    if (code != EX_OK)
        return code;
    struct lookup_world world = {.dns = s->dns, .private_too = true};
    struct str where = arena_printf(&s->arena, "%.*s:%u", STR_ARG(t->host), t->port);
    struct lookup *lookup = lookup_new(&world, where, &notes, on_server, &g);

    for (size_t tries = 0; !g.ended && tries <= LOOKUP_TRIES_MAX; tries++) {
        g.called = false;
        lookup_next(lookup);
        while (!g.called)
            loop_turn(s->loop, true);
    }
    if (g.count == 0)
        code = fail(s->line, EX_NOHOST, "%.*s: %s%s%s", STR_ARG(t->host), g.why.text,
                    notes.n ? ": " : "", buf_c(&notes));
    *ret_count = g.count;
    lookup_free(&lookup);
    buf_free(&notes);
    return code;
}

static int resolve_by_system(struct sending *s, const struct server_target *t,
                             struct sock_address *ret, size_t *ret_count)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[6];

    (void)snprintf(port, sizeof port, "%u", t->port);
    int error = getaddrinfo(arena_c(&s->arena, t->host), port, &hints, &found);

    if (error == EAI_AGAIN)
        return fail(s->line, EX_TEMPFAIL, "%.*s: %s", STR_ARG(t->host), gai_strerror(error));
    if (error)
        return fail(s->line, EX_NOHOST, "%.*s: %s%s", STR_ARG(t->host), gai_strerror(error),
                    str_find(t->host, '.') < t->host.n
                        ? ""
                        : _("; `troika providers` lists the providers that are known"));
    *ret_count = 0;
    for (const struct addrinfo *i = found; i && *ret_count < SERVERS_MAX; i = i->ai_next) {
        struct sock_address *one = &ret[*ret_count];

        if (i->ai_addrlen > sizeof one->sa)
            continue;
        memcpy(&one->sa, i->ai_addr, i->ai_addrlen);
        one->bytes = i->ai_addrlen;
        (*ret_count)++;
    }
    freeaddrinfo(found);
    return EX_OK;
}

int way_resolve(struct sending *s, const struct server_target *t, struct sock_address *ret,
                size_t *ret_count)
{
    struct endpoint ip;

    if (endpoint_parse_ip(t->host, &ip)) {
        ret[0] = sock_address_make(ip.ip_bytes == 4 ? AF_INET : AF_INET6, ip.ip, t->port);
        *ret_count = 1;
        return EX_OK;
    }
    return s->line->resolver.count > 0 ? resolve_by_dns(s, t, ret, ret_count)
                                       : resolve_by_system(s, t, ret, ret_count);
}

/* ---- the server of an address, found ---- */

struct finding {
    struct sending *s;
    struct str address;
    struct buf *error;
    bool ended, found;
};

static bool known(const struct sending *s, const struct provider *p)
{
    return s->providers.count > 0 && p >= s->providers.list &&
           p < s->providers.list + s->providers.count;
}

static void on_discovered(void *arg, const struct discovered *found)
{
    struct finding *f = arg;
    struct sending *s = f->s;

    f->ended = true;
    if (found->provider) /* which lives as long as this call */
        f->found = target_of_provider(&s->arena, found->provider, f->address, &s->target, f->error);
    else
        buf_add_c(f->error, found->how);
    if (f->found) {
        s->target.host = arena_copy(&s->arena, s->target.host);
        s->target.provider = known(s, found->provider) ? found->provider : NULL;
        report_note(s, _("found by %s: %.*s:%u"), found->how, STR_ARG(s->target.host),
                    s->target.port);
    }
}

static int discover(struct sending *s, struct str address)
{
    const struct http_options http = {.bytes_max = HTTP_BYTES_MAX,
                                      .timeout_ms = HTTP_TIMEOUT_MS,
                                      .redirects = true,
                                      .roots = s->line->roots};
    struct buf error = buf_init(KIB);
    struct finding f = {.s = s, .address = address, .error = &error};
    struct discover *running = NULL;
    int code = way_dns(s);
    int started = code == EX_OK ? discover_new(s->loop, s->dns, &s->providers, address, &http,
                                               on_discovered, &f, &running)
                                : 0;

    if (code == EX_OK && started < 0)
        code = fail(s->line, EX_OSERR, "%s", strerror(-started));
    while (code == EX_OK && !f.ended)
        loop_turn(s->loop, true);
    discover_free(&running);
    if (code == EX_OK && !f.found)
        code = fail(s->line, EX_NOHOST,
                    _("--via %.*s: the server of this address is not known, and was not found: %s. "
                      "Say which one it is: --via smtp://USER@HOST"),
                    STR_ARG(address), buf_c(&error));
    buf_free(&error);
    return code;
}

/* ---- --via ---- */

/* "me@example.org", and nothing of a URL. */
static bool is_address(struct str text)
{
    return str_find(text, '@') < text.n && str_find(text, ':') == text.n &&
           str_find(text, '/') == text.n;
}

static int take_user(struct sending *s)
{
    const char *user = s->line->user;

    if (!user)
        return EX_OK;
    if (s->target.user.n > 0 && !s->target.provider && !str_eq_c(s->target.user, user))
        return fail(s->line, EX_USAGE, _("--user %s, but --via says %.*s: which of them?"), user,
                    STR_ARG(s->target.user));
    target_log_in(&s->target, str_c(user));
    return EX_OK;
}

static int find_server(struct sending *s)
{
    struct str text;
    struct buf error = buf_init(KIB);
    int code = text_argument(s, "--via", s->line->via, &text);

    if (code == EX_OK)
        code = load_providers(s->line, &s->arena, &s->providers);
    if (code == EX_OK && is_address(text) && !provider_find(&s->providers, text))
        code = discover(s, text);
    else if (code == EX_OK && !target_parse(&s->arena, text, &s->providers, &s->target, &error))
        code = fail(s->line, EX_USAGE, "--via %s", buf_c(&error));
    buf_free(&error);
    if (code != EX_OK)
        return code;
    if (s->target.protocol != TARGET_SMTP && s->target.protocol != TARGET_LMTP)
        return fail(s->line, EX_USAGE,
                    _("--via %.*s: mail is taken by smtp://, smtps:// or lmtp://"), STR_ARG(text));
    if (is_address(text) && !s->line->from)
        s->from = text;
    return take_user(s);
}

/* ---- our own server ---- */

/* One that takes mail from this machine without TLS and login. */
static const struct config_listen *plain_listener(const struct config *c)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *l = &c->listens[i];

        if (l->address_count > 0 && str_eq_c(l->protocol, "smtp") &&
            !str_eq_c(l->tls, "implicit") && !str_eq_c(l->tls, "required") &&
            !str_eq_c(l->auth, "required"))
            return l;
    }
    return NULL;
}

/* An address and a port; the wildcard is this machine. */
static int take_address(struct sending *s, struct str text)
{
    struct sock_address found[2];
    char local[32];
    size_t prefix = str_starts(text, STR("*:")) ? 2 : str_starts(text, STR("localhost:")) ? 10 : 0;

    if (prefix > 0) {
        (void)snprintf(local, sizeof local, "127.0.0.1:%.*s", STR_ARG(str_skip(text, prefix)));
        text = str_c(local);
    }
    if (sock_address_parse(text, found) == 0)
        return fail(s->line, EX_USAGE,
                    _("--server %.*s: give an address and a port, such as 192.0.2.25:25"),
                    STR_ARG(text));
    struct buf host = buf_init(64);

    sock_address_print_ip(&host, &found[0]);
    s->servers[0] = found[0];
    s->server_count = 1;
    s->target = (struct server_target){.tls = TARGET_TLS_OFF,
                                       .host = arena_copy(&s->arena, buf_str(&host)),
                                       .port = sock_address_port(&found[0]),
                                       .port_said = true};
    buf_free(&host);
    return take_user(s);
}

static int find_own(struct sending *s)
{
    const struct config_listen *listener = plain_listener(s->config);

    if (s->config->listen_count == 0)
        return take_address(s, STR("127.0.0.1:25"));
    if (!listener)
        return fail(s->line, EX_CONFIG,
                    _("our own server listens nowhere without TLS and login; --queue hands it the "
                      "message another way, --via says which server and login"));
    return take_address(s, listener->addresses[0]);
}

/* ---- TLS ---- */

enum tls_policy way_policy(const struct sending *s, const struct server_target *t, bool login)
{
    static const enum tls_policy policies[] = {
        [TARGET_TLS_OFF] = TLS_NONE,
        [TARGET_TLS_OPTIONAL] = TLS_OPPORTUNISTIC,
        [TARGET_TLS_REQUIRED] = TLS_VERIFIED,
        [TARGET_TLS_IMPLICIT] = TLS_VERIFIED,
    };
    enum tls_policy policy = policies[t->tls];
    const char *said = s->line->tls;

    if (login && t->tls != TARGET_TLS_OFF)
        policy = TLS_VERIFIED;
    if (said && strcmp(said, "optional") == 0)
        policy = TLS_OPPORTUNISTIC;
    else if (said)
        (void)tls_policy_parse(str_c(said), &policy);
    if (t->tls == TARGET_TLS_IMPLICIT)
        policy = MAX_OF(policy, TLS_REQUIRED);
    return s->line->insecure ? MIN_OF(policy, TLS_REQUIRED) : policy;
}

static int check_tls(const struct sending *s)
{
    const char *said = s->line->tls;
    enum tls_policy policy;

    if (!said || strcmp(said, "optional") == 0 || tls_policy_parse(str_c(said), &policy))
        return EX_OK;
    return fail(s->line, EX_USAGE, _("--tls %s: it is off, optional, required or verified"), said);
}

int way_tls_context(struct sending *s)
{
    const char *roots = s->line->roots;
    int got;

    if (s->tls_context)
        return EX_OK;
    s->tls_context = tls_client_context_before_jail();
    if (!s->tls_context)
        return fail(s->line, EX_SOFTWARE, _("TLS cannot work here"));
    if (!roots && s->config && s->config->tls.roots.n > 0)
        roots = arena_c(&s->arena, s->config->tls.roots);
    got = roots ? tls_trust_before_jail(s->tls_context, roots)
                : tls_trust_system_before_jail(s->tls_context);
    if (got > 0 || (!roots && s->tls < TLS_VERIFIED))
        return EX_OK;
    if (roots)
        return fail(s->line, EX_NOINPUT, _("%s: there are no certificates to trust: %s"), roots,
                    strerror(-got));
    return fail(s->line, EX_CONFIG,
                _("this system has no certificates that could be trusted; install "
                  "ca-certificates, or name a file with --roots"));
}

/* ---- logins ---- */

/* At a provider everybody has a login, and mostly it is the address. */
static int login_of_provider(struct sending *s)
{
    const struct provider *p = s->target.provider;

    if (!p || s->target.user.n > 0)
        return EX_OK;
    struct str user = provider_login_of(p, s->sender);

    if (user.n == 0 || (!s->line->from && p->login != PROVIDER_LOGIN_WORD))
        return fail(s->line, EX_USAGE,
                    _("who are you at %.*s? --from ADDRESS or --user NAME says it"),
                    STR_ARG(p->title.n > 0 ? p->title : p->name));
    target_log_in(&s->target, user);
    return EX_OK;
}

static int take_pop_url(struct sending *s)
{
    const char *said = s->line->pop_first;
    struct buf error = buf_init(KIB);
    int code = EX_OK;

    if (!target_parse(&s->arena, str_c(said), &s->providers, &s->pop, &error))
        code = fail(s->line, EX_USAGE, "--pop-first %s", buf_c(&error));
    else if (s->pop.protocol != TARGET_POP)
        code = fail(s->line, EX_USAGE,
                    _("--pop-first=%s: POP3 is spoken with pop://HOST or pops://HOST"), said);
    buf_free(&error);
    return code;
}

/* POP before SMTP stands for the login of SMTP. */
static int take_pop(struct sending *s)
{
    static const enum target_tls kinds[] = {[PROVIDER_TLS_NONE] = TARGET_TLS_OFF,
                                            [PROVIDER_TLS_STARTTLS] = TARGET_TLS_REQUIRED,
                                            [PROVIDER_TLS_IMPLICIT] = TARGET_TLS_IMPLICIT};
    const struct provider *p = s->target.provider;
    const char *said = s->line->pop_first;
    const struct provider_endpoint *at = p ? provider_endpoint(p, PROVIDER_POP) : NULL;
    int code = EX_OK;

    if (!said && !(p && p->pop_first))
        return EX_OK;
    if (s->way != WAY_SERVER || !s->line->via)
        return fail(s->line, EX_USAGE, _("--pop-first goes with --via"));
    s->pop_first = true;
    if (said && *said)
        code = take_pop_url(s);
    else if (at)
        s->pop = (struct server_target){
            .protocol = TARGET_POP, .tls = kinds[at->tls], .host = at->host, .port = at->port};
    else
        code = fail(s->line, EX_USAGE,
                    _("--pop-first=pops://HOST, please: no POP3 server is known there"));
    if (code == EX_OK && s->pop.user.n == 0)
        s->pop.user = s->target.user;
    if (code == EX_OK && s->pop.user.n == 0)
        code = fail(s->line, EX_USAGE, _("who logs in by POP3? --user NAME, or pop://NAME@HOST"));
    return code;
}

static void warn_of_passwords(const struct sending *s)
{
    const struct provider *p = s->target.provider;

    if (p && p->oauth_only && !s->line->token_command)
        fail(s->line, 0, _("%.*s is known to take no passwords any more, only --token-command"),
             STR_ARG(p->title));
}

int way_login(struct sending *s)
{
    const struct command_line *l = s->line;
    int code = login_of_provider(s);

    if (code == EX_OK)
        code = take_pop(s);
    if (code != EX_OK)
        return code;
    bool needed = s->target.user.n > 0 || s->pop_first;

    if (!needed && secret_given(l))
        return fail(l, EX_USAGE, _("whose password is it? --user NAME, or --via smtp://NAME@HOST"));
    s->logs_in = s->target.user.n > 0 && !s->pop_first;
    s->tls = way_policy(s, &s->target, s->logs_in);
    if (!needed || l->dry_run)
        return EX_OK;
    struct str user = s->pop_first ? s->pop.user : s->target.user;
    struct str host = s->pop_first ? s->pop.host : s->target.host;

    warn_of_passwords(s);
    code = secret_token(l, &s->token);
    if (code == EX_OK && !l->token_command)
        code = secret_password(l, user, host, &s->password);
    s->login = (struct sasl_login){.user = user,
                                   .password = buf_str(&s->password),
                                   .token = buf_str(&s->token),
                                   .mechanism = str_c(l->mechanism),
                                   .plain_anyway = l->insecure};
    return code;
}

/* ---- all of it ---- */

static struct str name_of_machine(struct arena *a)
{
    char name[256];

    if (gethostname(name, sizeof name) < 0)
        return STR("localhost");
    name[sizeof name - 1] = '\0';
    return domain_valid(str_c(name), true) ? arena_copy(a, str_c(name)) : STR("localhost");
}

static int take_config(struct sending *s)
{
    const struct command_line *l = s->line;
    bool needed = !l->via && !l->server && !l->direct;

    if (needed || access(l->config_path, R_OK) == 0)
        s->config = load_config(l, NULL);
    s->hostname = l->hostname ? str_c(l->hostname)
                  : s->config ? s->config->hostname
                              : name_of_machine(&s->arena);
    if (!domain_valid(s->hostname, true))
        return fail(l, EX_USAGE, _("--hostname %s is no name of a machine"), l->hostname);
    return needed && !s->config ? EX_CONFIG : EX_OK;
}

static void take_default_sender(struct sending *s)
{
    const struct passwd *user = getpwuid(geteuid());

    if (s->from.n > 0)
        return;
    if (str_find(s->target.user, '@') < s->target.user.n)
        s->from = s->target.user;
    else
        s->from = arena_printf(&s->arena, "%s@%.*s", user ? user->pw_name : "nobody",
                               STR_ARG(s->hostname));
}

int way_find(struct sending *s)
{
    const struct command_line *l = s->line;
    int code = check_tls(s);

    if ((l->via != NULL) + (l->server != NULL) + l->direct + l->queue > 1)
        return fail(l, EX_USAGE, _("only one of --via, --direct and --queue"));
    if ((l->direct || l->queue) && (l->user || l->pop_first || secret_given(l)))
        return fail(l, EX_USAGE, _("nobody logs in with --direct or --queue"));
    if (code == EX_OK)
        code = take_config(s);
    if (code != EX_OK)
        return code;
    s->way = l->direct ? WAY_DIRECT : l->queue ? WAY_QUEUE : WAY_SERVER;
    if (l->via)
        code = find_server(s);
    else if (l->server)
        code = take_address(s, str_c(l->server));
    else if (s->way == WAY_SERVER)
        code = find_own(s);
    else if (s->way == WAY_DIRECT)
        s->target.tls = TARGET_TLS_OPTIONAL;
    take_default_sender(s);
    return code;
}
