/* outward/probe/gather.c - see gather.h. */
// SPDX-License-Identifier: ISC
#include "outward/probe/gather.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "mailauth/dmarc_record.h"
#include "mailauth/mta_sts.h"
#include "nexthop/public.h"

enum { STS_TIMEOUT_MS = 20 * 1000, NAME_BYTES_MAX = 300, URL_BYTES_MAX = 400 };

/* ---- what is under way ---- */

static void over(struct gather *g)
{
    loop_stop(g->loop);
}

void gather_opened(struct gather *g)
{
    g->open++;
}

/* A message, if one is wanted, goes when all else is known. */
void gather_closed(struct gather *g)
{
    check(g->open > 0);
    g->open--;
    if (g->open == 0 && !(g->options->deliver.n > 0 && !g->delivery && deliver_begin(g)))
        over(g);
}

static void out_of_time(void *arg)
{
    struct gather *g = arg;

    g->facts->cut_short = true;
    over(g);
}

static void tell(struct gather *g, const char *what, struct str about)
{
    if (g->options->on_progress)
        g->options->on_progress(g->options->arg, what, about);
}

/* ---- questions ---- */

struct ask {
    struct list link;
    struct gather *gather;
    struct dns_question question;
    struct fact_answer *to;
    uint64_t began_us;
    void (*then)(struct gather *g, void *about);
    void *about;
};

static uint64_t now(const struct gather *g)
{
    return clock_monotonic_us(loop_clock(g->loop));
}

static void copy_answer(struct arena *a, const struct dns_answer *from, struct fact_answer *to)
{
    struct dns_record *records = arena_alloc(a, (from->count + 1) * sizeof *records);

    for (size_t i = 0; i < from->count; i++) {
        records[i] = from->records[i];
        records[i].name = arena_copy(a, records[i].name);
        records[i].bytes = arena_copy(a, records[i].bytes);
    }
    *to = (struct fact_answer){.asked = true,
                               .outcome = from->outcome,
                               .security = from->security,
                               .why = arena_copy(a, str_c(from->why)),
                               .canonical = arena_copy(a, from->canonical),
                               .cname_count = from->cname_count,
                               .records = records,
                               .count = from->count};
}

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct ask *k = arg;
    struct gather *g = k->gather;

    list_remove(&k->link);
    copy_answer(g->arena, answer, k->to);
    k->to->us = now(g) - k->began_us;
    if (k->then)
        k->then(g, k->about);
    gather_closed(g);
}

void gather_ask(struct gather *g, struct str name, enum dns_type type, struct fact_answer *to,
                void (*then)(struct gather *g, void *about), void *about)
{
    struct ask *k = arena_alloc(g->arena, sizeof *k);
    struct facts *f = g->facts;

    *k = (struct ask){.gather = g, .to = to, .began_us = now(g), .then = then, .about = about};
    if (f->question_count < PROBE_QUESTIONS_MAX)
        f->questions[f->question_count++] =
            (struct fact_question){arena_copy(g->arena, name), type, to};
    list_add(&g->asks, &k->link);
    gather_opened(g);
    tell(g, N_("asking for names"), name);
    dns_ask(g->dns, &k->question, name, type, on_answer, k);
}

static void ask_below(struct gather *g, const char *prefix, struct str domain, enum dns_type type,
                      struct fact_answer *to, void (*then)(struct gather *g, void *about),
                      void *about)
{
    struct buf name = buf_init(NAME_BYTES_MAX);

    buf_printf(&name, "%s.%.*s", prefix, STR_ARG(domain));
    gather_ask(g, buf_str(&name), type, to, then, about);
    buf_free(&name);
}

/* ---- names of addresses ---- */

struct reverse_ask {
    struct list link;
    struct gather *gather;
    struct fact_address *to;
    struct reverse reverse;
};

static void on_reverse(void *arg, enum reverse_verdict v, struct str name)
{
    struct reverse_ask *k = arg;

    list_remove(&k->link);
    k->to->reverse_known = true;
    k->to->reverse = v;
    k->to->reverse_name = arena_copy(k->gather->arena, name);
    gather_closed(k->gather);
}

static void ask_reverse(struct gather *g, struct fact_address *a)
{
    struct reverse_ask *k = arena_alloc(g->arena, sizeof *k);
    size_t n;
    const uint8_t *bytes = fact_address_bytes(&a->ip, &n);

    k->gather = g;
    k->to = a;
    list_add(&g->reverses, &k->link);
    gather_opened(g);
    reverse_ask(g->dns, &k->reverse, bytes, n, on_reverse, k);
}

static void add_address(struct gather *g, struct fact_host *h, int family, const void *ip)
{
    struct fact_address *a = &h->addresses[h->address_count];
    struct buf text = buf_init(64);

    if (h->address_count == PROBE_ADDRESSES_MAX)
        return;
    a->ip = sock_address_make(family, ip, 0);
    sock_address_print_ip(&text, &a->ip);
    a->text = arena_copy(g->arena, buf_str(&text));
    a->is_public = address_is_public(&a->ip);
    h->address_count++;
    ask_reverse(g, a);
    buf_free(&text);
}

/* ---- servers ---- */

struct talk_end {
    struct gather *gather;
    size_t index;
};

/* What is still waited for is what the person should see. */
static void tell_waiting(struct gather *g)
{
    const struct facts *f = g->facts;

    for (size_t i = 0; i < f->server_count; i++)
        if (g->talks[i])
            tell(g, fact_step_word(f->servers[i]->last), f->servers[i]->name);
}

static void on_talk_end(void *arg)
{
    struct talk_end *e = arg;

    talk_free(&e->gather->talks[e->index]);
    tell_waiting(e->gather);
    gather_closed(e->gather);
}

static struct str server_name(struct gather *g, const struct fact_host *h,
                              const struct fact_address *a, uint16_t port)
{
    bool six = a->ip.sa.ss_family == AF_INET6;

    return arena_printf(g->arena, "%.*s%s%s%.*s%s:%u", STR_ARG(h->name), h->name.n > 0 ? " " : "",
                        six ? "[" : "", STR_ARG(a->text), six ? "]" : "", port);
}

static void start_server(struct gather *g, struct fact_host *h, struct fact_address *a,
                         struct fact_server plan)
{
    struct facts *f = g->facts;
    struct fact_server *s = arena_alloc(g->arena, sizeof *s);
    struct talk_end *e = arena_alloc(g->arena, sizeof *e);
    bool mail = f->subject == SUBJECT_DOMAIN;

    if (f->server_count == PROBE_SERVERS_MAX)
        return;
    *s = plan;
    s->host = h;
    s->address = a;
    s->name = server_name(g, h, a, s->port);
    *e = (struct talk_end){g, f->server_count};
    f->servers[f->server_count++] = s;
    gather_opened(g);
    g->talks[e->index] = talk_new(&g->talk, s, mail ? f->domain : STR_NONE, on_talk_end, e);
}

static const struct {
    uint16_t port;
    bool implicit_tls, submission;
} usual_ports[] = {{25, false, false}, {465, true, true}, {587, false, true}, {2525, false, true}};

static void start_address(struct gather *g, struct fact_host *h, struct fact_address *a, bool first)
{
    const struct probe_options *o = g->options;
    bool all = o->submission || (g->facts->subject == SUBJECT_HOST && o->port == 0);

    if (o->port > 0)
        start_server(g, h, a,
                     (struct fact_server){.port = o->port,
                                          .implicit_tls = o->implicit_tls,
                                          .submission = o->port == 465 || o->port == 587});
    for (size_t i = 0; i < countof(usual_ports); i++)
        if (usual_ports[i].submission ? all && first : o->port == 0)
            start_server(g, h, a,
                         (struct fact_server){.port = usual_ports[i].port,
                                              .implicit_tls = usual_ports[i].implicit_tls,
                                              .submission = usual_ports[i].submission});
}

/* Once all is known that a conversation needs. */
static void host_known(struct gather *g, void *about)
{
    struct fact_host *h = about;
    bool *started = &g->started[h - g->facts->hosts];
    bool first = true;

    if (*started || !h->a.asked || !h->aaaa.asked || !h->tlsa.asked)
        return;
    *started = true;
    for (size_t i = 0; i < h->a.count; i++)
        add_address(g, h, AF_INET, h->a.records[i].address);
    for (size_t i = 0; i < h->aaaa.count; i++)
        add_address(g, h, AF_INET6, h->aaaa.records[i].address);
    for (size_t i = 0; i < h->address_count; i++) {
        bool may = h->addresses[i].is_public || g->options->private_too ||
                   g->facts->subject == SUBJECT_HOST;

        if (may)
            start_address(g, h, &h->addresses[i], first);
        first = first && !may;
    }
}

static bool is_address(struct str name)
{
    char text[INET6_ADDRSTRLEN + 1];
    uint8_t bytes[16];

    if (name.n >= sizeof text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static struct fact_host *add_host(struct gather *g, struct str name, uint16_t preference)
{
    struct facts *f = g->facts;
    struct fact_host *h = &f->hosts[f->host_count];

    if (f->host_count == PROBE_HOSTS_MAX)
        return NULL;
    f->host_count++;
    h->name = name;
    h->preference = preference;
    return h;
}

static void ask_tlsa(struct gather *g, struct fact_host *h)
{
    char prefix[32];

    snprintf(prefix, sizeof prefix, "_%u._tcp", g->options->port ? g->options->port : 25);
    ask_below(g, prefix, h->name, DNS_TLSA, &h->tlsa, host_known, h);
}

static void add_mx(struct gather *g, const struct dns_record *r)
{
    struct str name = r->name.n > 0 ? r->name : STR("?");
    struct fact_host *h = add_host(g, name, r->preference);

    if (!h)
        return;
    h->odd_name = !r->is_host;
    h->is_address = r->is_host && is_address(r->name);
    if (h->odd_name || h->is_address)
        return;
    gather_ask(g, name, DNS_A, &h->a, host_known, h);
    gather_ask(g, name, DNS_AAAA, &h->aaaa, host_known, h);
    ask_tlsa(g, h);
}

/* ---- the domain ---- */

/* Without MX records mail goes to the domain itself, RFC 5321 5.1. A name that nobody registered
 * is then rather the name of a server. */
static void take_itself(struct gather *g)
{
    struct facts *f = g->facts;
    struct fact_host *h = add_host(g, f->domain, 0);
    bool registered = str_eq(organizational_domain(f->domain), f->domain);

    f->subject = registered ? SUBJECT_DOMAIN : SUBJECT_HOST;
    f->implicit_mx = registered;
    h->a = f->a;
    h->aaaa = f->aaaa;
    ask_tlsa(g, h);
}

static void sort_by_preference(struct fact_answer *mx)
{
    for (size_t i = 1; i < mx->count; i++) {
        struct dns_record one = mx->records[i];
        size_t to = i;

        for (; to > 0 && one.preference < mx->records[to - 1].preference; to--)
            mx->records[to] = mx->records[to - 1];
        mx->records[to] = one;
    }
}

static void domain_known(struct gather *g, void *about)
{
    struct facts *f = g->facts;

    if (!f->mx.asked || !f->a.asked || !f->aaaa.asked || f->host_count > 0)
        return;
    if (f->mx.outcome == DNS_NO_DATA)
        take_itself(g);
    sort_by_preference(&f->mx);
    for (size_t i = 0; i < f->mx.count; i++)
        if (f->mx.records[i].name.n > 0 || !f->mx.records[i].is_host) /* not a null MX */
            add_mx(g, &f->mx.records[i]);
}

/* ---- MTA-STS ---- */

static void on_policy(void *arg, const struct http_answer *answer)
{
    struct gather *g = arg;
    struct fact_policy *to = &g->facts->sts_policy;

    *to = (struct fact_policy){.asked = true,
                               .code = answer->code,
                               .error = arena_copy(g->arena, str_c(answer->error)),
                               .type = arena_copy(g->arena, answer->type),
                               .body = arena_copy(g->arena, answer->body),
                               .us = now(g) - g->http_began_us};
    gather_closed(g);
}

static void sts_known(struct gather *g, void *about)
{
    struct http_options o = {.bytes_max = MTA_STS_POLICY_BYTES_MAX,
                             .timeout_ms = STS_TIMEOUT_MS,
                             .roots = g->options->roots,
                             .port = g->options->https_port};
    struct str ignored;
    char url[URL_BYTES_MAX];

    if (fact_records(&g->facts->sts, mta_sts_record_is, &ignored) == 0)
        return;
    snprintf(url, sizeof url, "https://mta-sts.%.*s/.well-known/mta-sts.txt",
             STR_ARG(g->facts->domain));
    g->http_began_us = now(g);
    gather_opened(g);
    if (http_get(g->loop, g->dns, url, &o, on_policy, g, &g->http) < 0)
        gather_closed(g);
}

/* ---- who may send ---- */

static void txt_known(struct gather *g, void *about)
{
    spf_walk(g);
}

static void dmarc_known(struct gather *g, void *about)
{
    struct facts *f = g->facts;
    bool above = !str_eq(f->organization, f->domain) && f->organization.n > 0;

    if (f->dmarc.asked && (f->dmarc_above.asked || !above))
        dmarc_walk(g);
}

/* Names that keys often have. */
static const char *const usual_selectors[] = {
    "default",       "dkim",    "mail",   "email", "google", "selector1",
    "selector2",     "s1",      "s2",     "k1",    "k2",     "k3",
    "key1",          "key2",    "mx",     "smtp",  "fm1",    "fm2",
    "fm3",           "mailru",  "yandex", "zoho",  "sig1",   "protonmail",
    "everlytickey1", "mxvault", "dkim1",
};

static void ask_selector(struct gather *g, const char *name, bool wanted)
{
    struct facts *f = g->facts;
    struct fact_selector *s = &f->selectors[f->selector_count];
    char prefix[NAME_BYTES_MAX];

    if (f->selector_count == PROBE_SELECTORS_MAX)
        return;
    *s = (struct fact_selector){.name = str_c(name), .wanted = wanted};
    f->selector_count++;
    snprintf(prefix, sizeof prefix, "%s._domainkey", name);
    ask_below(g, prefix, f->domain, DNS_TXT, &s->answer, NULL, NULL);
}

static void ask_selectors(struct gather *g)
{
    const struct probe_options *o = g->options;

    for (size_t i = 0; i < o->selector_count; i++)
        ask_selector(g, o->selectors[i], true);
    for (size_t i = 0; i < countof(usual_selectors) && o->selector_count == 0; i++)
        ask_selector(g, usual_selectors[i], false);
    ask_below(g, "_domainkey", g->facts->domain, DNS_TXT, &g->facts->domainkey, NULL, NULL);
}

static void ask_policies(struct gather *g)
{
    struct facts *f = g->facts;

    f->organization = organizational_domain(f->domain);
    gather_ask(g, f->domain, DNS_TXT, &f->txt, txt_known, NULL);
    ask_below(g, "_dmarc", f->domain, DNS_TXT, &f->dmarc, dmarc_known, NULL);
    if (f->organization.n > 0 && !str_eq(f->organization, f->domain))
        ask_below(g, "_dmarc", f->organization, DNS_TXT, &f->dmarc_above, dmarc_known, NULL);
    ask_selectors(g);
    ask_below(g, "_mta-sts", f->domain, DNS_TXT, &f->sts, sts_known, NULL);
    ask_below(g, "_smtp._tls", f->domain, DNS_TXT, &f->tlsrpt, NULL, NULL);
}

/* ---- the beginning ---- */

static void begin_address(struct gather *g, struct str text)
{
    struct facts *f = g->facts;
    struct fact_host *h = add_host(g, STR_NONE, 0);
    struct sock_address a[2];
    struct buf with_port = buf_init(80);
    bool six = str_find(text, ':') < text.n;

    buf_printf(&with_port, "%s%.*s%s:25", six ? "[" : "", STR_ARG(text), six ? "]" : "");
    f->subject = SUBJECT_HOST;
    h->a.asked = h->aaaa.asked = h->tlsa.asked = true;
    h->a.outcome = h->aaaa.outcome = h->tlsa.outcome = DNS_NO_DATA;
    g->started[0] = true;
    if (sock_address_parse(buf_str(&with_port), a) > 0) {
        size_t n;

        add_address(g, h, a[0].sa.ss_family, fact_address_bytes(&a[0], &n));
        start_address(g, h, &h->addresses[0], true);
    }
    buf_free(&with_port);
}

static void begin_host(struct gather *g)
{
    struct facts *f = g->facts;
    struct fact_host *h = add_host(g, f->domain, 0);

    f->subject = SUBJECT_HOST;
    gather_ask(g, h->name, DNS_A, &h->a, host_known, h);
    gather_ask(g, h->name, DNS_AAAA, &h->aaaa, host_known, h);
    ask_tlsa(g, h);
}

static void begin_domain(struct gather *g)
{
    struct facts *f = g->facts;

    gather_ask(g, f->domain, DNS_MX, &f->mx, domain_known, NULL);
    gather_ask(g, f->domain, DNS_A, &f->a, domain_known, NULL);
    gather_ask(g, f->domain, DNS_AAAA, &f->aaaa, domain_known, NULL);
    ask_policies(g);
}

static void begin(struct gather *g)
{
    const struct probe_options *o = g->options;

    if (is_address(o->host)) {
        begin_address(g, o->host);
        return;
    }
    g->facts->domain = o->host;
    if (o->is_host)
        begin_host(g);
    else
        begin_domain(g);
}

static void on_step(void *arg, const struct fact_server *s, enum fact_step step)
{
    tell(arg, fact_step_word(step), s->name);
}

static void on_line(void *arg, const struct fact_server *s, bool sent, struct str line)
{
    struct gather *g = arg;

    g->options->on_line(g->options->arg, s, sent, line);
}

static void talk_world_begin(struct gather *g)
{
    const struct probe_options *o = g->options;
    struct str example = STR("example.org");

    g->talk = (struct talk_world){
        .loop = g->loop,
        .arena = g->arena,
        .hostname = o->hostname,
        .elsewhere = str_ends_nocase(o->host, example) ? STR("example.net") : example,
        .tls = tls_client_context_before_jail(),
        .roots = o->roots,
        .gentle = o->gentle,
        .talked_to = g->talked_to,
        .talked_max = countof(g->talked_to),
        .on_line = o->on_line ? on_line : NULL,
        .on_step = on_step,
        .arg = g,
    };
    for (enum tls_version v = 0; v < TLS_VERSION_COUNT && !o->gentle; v++)
        g->talk.versions[v] = tls_version_context(v);
}

/* As their hosts stand in the MX records, not as names became known. */
static void sort_servers(struct facts *f)
{
    for (size_t i = 1; i < f->server_count; i++) {
        struct fact_server *one = f->servers[i];
        size_t to = i;

        for (; to > 0 && one->host < f->servers[to - 1]->host; to--)
            f->servers[to] = f->servers[to - 1];
        f->servers[to] = one;
    }
}

static void end(struct gather *g)
{
    timer_stop(&g->timer);
    deliver_end(g);
    http_cancel(&g->http);
    list_each (at, &g->asks)
        dns_cancel(&list_of(at, struct ask, link)->question);
    list_each (at, &g->reverses)
        reverse_cancel(&list_of(at, struct reverse_ask, link)->reverse);
    for (size_t i = 0; i < countof(g->talks); i++)
        talk_free(&g->talks[i]);
    tls_context_free(&g->talk.tls);
    for (enum tls_version v = 0; v < TLS_VERSION_COUNT; v++)
        tls_context_free(&g->talk.versions[v]);
}

void gather(struct loop *l, struct dns *d, const struct probe_options *o, struct arena *a,
            struct facts *f)
{
    struct gather *g = mem_new(sizeof *g);

    *g = (struct gather){.loop = l, .dns = d, .arena = a, .options = o, .facts = f};
    list_init(&g->asks);
    list_init(&g->reverses);
    g->began_us = now(g);
    f->now_us = clock_now_us(loop_clock(l));
    f->timeout_us = o->timeout_us;
    f->private_too = o->private_too;
    talk_world_begin(g);
    timer_set(l, &g->timer, o->timeout_us, out_of_time, g);
    gather_opened(g); /* so that it is not over before all of it began */
    begin(g);
    gather_closed(g);
    if (g->open > 0 || g->delivery)
        loop_run(l);
    f->us = now(g) - g->began_us;
    end(g);
    sort_servers(f);
    free(g);
}
