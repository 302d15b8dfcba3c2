/* outward/probe/spf_walk.c - an SPF record and all that it leads to, and the addresses of DMARC reports.
 *
 * Every term that may be looked at for some message is counted, so the count is the worst case
 * (RFC 7208 4.6.4). What depends on the sender or the client of a message is counted, not asked. */
// SPDX-License-Identifier: ISC
#include <string.h>

#include "base/check.h"
#include "mailauth/dmarc_record.h"
#include "outward/probe/gather.h"

enum { WALK_LOOKUPS_MAX = 40, NAME_BYTES_MAX = 600 };

/* ---- terms that ask for addresses or servers ---- */

struct term_ask {
    enum spf_mechanism mechanism;
    struct str name;
    struct fact_answer answer, second;
};

static bool found_nothing(const struct fact_answer *a)
{
    return a->outcome == DNS_NO_DATA || a->outcome == DNS_NO_NAME;
}

static void count_void(struct gather *g, const struct term_ask *k)
{
    struct fact_spf *s = &g->facts->spf;

    if (s->void_count++ == 0)
        s->void_name = k->name;
}

static void second_known(struct gather *g, void *about)
{
    const struct term_ask *k = about;

    if (found_nothing(&k->second))
        count_void(g, k);
}

static void term_known(struct gather *g, void *about)
{
    struct term_ask *k = about;

    if (k->mechanism == SPF_MX && k->answer.count > SPF_HOSTS_MAX)
        g->facts->spf.many_mx_count++;
    if (!found_nothing(&k->answer))
        return;
    if (k->mechanism == SPF_A) /* it may have an address of the other kind */
        gather_ask(g, k->name, DNS_AAAA, &k->second, second_known, k);
    else
        count_void(g, k);
}

static void ask_term(struct gather *g, enum spf_mechanism m, struct str name)
{
    struct term_ask *k = arena_alloc(g->arena, sizeof *k);

    k->mechanism = m;
    k->name = name;
    gather_ask(g, name, m == SPF_MX ? DNS_MX : DNS_A, &k->answer, term_known, k);
}

/* ---- records ---- */

static void node_read(struct gather *g, struct fact_spf_node *n);

static void node_known(struct gather *g, void *about)
{
    node_read(g, about);
}

static bool leads_back(const struct fact_spf *s, size_t from, struct str domain)
{
    for (size_t i = from;; i = s->nodes[i].parent) {
        if (str_eq_nocase(s->nodes[i].domain, domain))
            return true;
        if (s->nodes[i].parent == i)
            return false;
    }
}

static void follow(struct gather *g, const struct fact_spf_node *from, struct str spec,
                   struct str term, bool redirect)
{
    struct fact_spf *s = &g->facts->spf;
    struct fact_spf_node *n = &s->nodes[s->node_count];
    size_t parent = (size_t)(from - s->nodes);
    struct str domain;

    if (!spf_expand(spec, from->domain, g->arena, &domain))
        return;
    if (s->node_count == PROBE_SPF_NODES_MAX) {
        s->more = true;
        return;
    }
    s->node_count++;
    *n = (struct fact_spf_node){
        .domain = domain, .parent = parent, .term = term, .redirect = redirect};
    n->loop = leads_back(s, parent, domain);
    if (!n->loop)
        gather_ask(g, domain, DNS_TXT, &n->answer, node_known, n);
}

static void walk_term(struct gather *g, const struct fact_spf_node *n, const struct spf_term *t)
{
    struct str name = n->domain;

    g->facts->spf.lookup_count++;
    if (t->mechanism == SPF_INCLUDE)
        follow(g, n, t->domain, t->text, false);
    else if (t->mechanism != SPF_PTR &&
             (t->domain.n == 0 || spf_expand(t->domain, n->domain, g->arena, &name)))
        ask_term(g, t->mechanism, name);
}

static void walk_record(struct gather *g, const struct fact_spf_node *n)
{
    struct fact_spf *s = &g->facts->spf;
    const struct spf_record *r = n->record;

    for (size_t i = 0; i < r->count && r->terms[i].mechanism != SPF_ALL; i++) {
        if (s->lookup_count >= WALK_LOOKUPS_MAX) {
            s->more = true;
            return;
        }
        if (spf_asks(r->terms[i].mechanism))
            walk_term(g, n, &r->terms[i]);
    }
    if (r->redirect.n > 0 && !spf_all(r)) {
        s->lookup_count++;
        follow(g, n, r->redirect, r->redirect, true);
    }
}

static void node_read(struct gather *g, struct fact_spf_node *n)
{
    struct spf_record *r = arena_alloc(g->arena, sizeof *r);

    n->record_count = fact_records(&n->answer, spf_record_is, &n->text);
    if (n->record_count != 1 || !spf_record_parse(n->text, r, &n->error))
        return;
    n->record = r;
    walk_record(g, n);
}

void spf_walk(struct gather *g)
{
    struct facts *f = g->facts;
    struct fact_spf_node *n = &f->spf.nodes[0];

    f->spf.node_count = 1;
    n->domain = f->domain;
    n->answer = f->txt;
    node_read(g, n);
}

/* ---- reports of DMARC, RFC 7489 7.1 ---- */

static bool is_ours(const struct facts *f, struct str host)
{
    struct str theirs = organizational_domain(host);

    return str_eq_nocase(theirs.n > 0 ? theirs : host,
                         f->organization.n > 0 ? f->organization : f->domain);
}

static void ask_report_host(struct gather *g, struct str host)
{
    struct facts *f = g->facts;
    struct fact_report_host *to = &f->report_hosts[f->report_host_count];
    struct buf name = buf_init(NAME_BYTES_MAX);

    for (size_t i = 0; i < f->report_host_count; i++)
        if (str_eq_nocase(f->report_hosts[i].host, host))
            return;
    if (f->report_host_count == PROBE_REPORT_HOSTS_MAX)
        return;
    f->report_host_count++;
    to->host = host;
    buf_printf(&name, "%.*s._report._dmarc.%.*s", STR_ARG(f->domain), STR_ARG(host));
    gather_ask(g, buf_str(&name), DNS_TXT, &to->answer, NULL, NULL);
    buf_free(&name);
}

void dmarc_walk(struct gather *g)
{
    struct facts *f = g->facts;
    struct record_error error = {0};
    struct dmarc_record r;
    struct str text = STR_NONE;

    if (fact_records(&f->dmarc, dmarc_record_is, &text) == 0)
        (void)fact_records(&f->dmarc_above, dmarc_record_is, &text);
    if (text.n == 0 || !dmarc_record_parse(text, &r, &error))
        return;
    for (size_t i = 0; i < r.rua.count; i++)
        if (r.rua.list[i].address.n > 0 && !is_ours(f, r.rua.list[i].host))
            ask_report_host(g, r.rua.list[i].host);
}
