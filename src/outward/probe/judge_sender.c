/* outward/probe/judge_sender.c - who may send as a domain: SPF, DKIM, DMARC. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/translate.h"
#include "mailauth/dkim_record.h"
#include "mailauth/dmarc_record.h"
#include "mailauth/tag_list.h"
#include "outward/probe/judge.h"

/* A domain without mail needs no keys and no reports, and its SPF record is enough. */
static bool sends(const struct facts *f)
{
    return f->host_count > 0;
}

/* ---- SPF ---- */

static void judge_spf_terms(const struct facts *f, const struct fact_spf_node *n,
                            struct findings *to)
{
    for (size_t i = 0; i < n->record->count; i++)
        if (n->record->terms[i].mechanism == SPF_PTR) {
            find(to, FINDING_SPF_PTR, n->domain, STR_NONE, NULL);
            break;
        }
    if (n->record->mistaken.n > 0)
        find(to, FINDING_SPF_MISTAKEN, n->domain, n->record->mistaken, NULL);
    if (n->record->after_all.n > 0)
        find(to, FINDING_SPF_AFTER_ALL, n->domain, n->record->after_all, NULL);
}

/* Everything that spoils the whole, wherever it stands. False: it does. */
static bool judge_spf_node(const struct facts *f, const struct fact_spf_node *n,
                           struct findings *to)
{
    if (n->loop)
        find(to, FINDING_SPF_LOOP, f->domain, n->term, NULL);
    else if (find_later(to, &n->answer, n->domain))
        return false;
    else if (n->record_count > 1)
        find(to, FINDING_SPF_MANY, n->domain, STR_NONE, NULL);
    else if (n->answer.asked && n->record_count == 0)
        find(to, FINDING_SPF_INCLUDE_NONE, f->domain, n->domain, NULL);
    else if (n->error.why)
        find(to, FINDING_SPF_SYNTAX, n->domain, n->error.at, n->error.why);
    else
        return true;
    return false;
}

/* The record whose "all" decides: the first, or where it is redirected to. */
static const struct fact_spf_node *deciding(const struct fact_spf *s)
{
    const struct fact_spf_node *n = &s->nodes[0];

    for (size_t i = 1; i < s->node_count; i++)
        if (s->nodes[i].redirect && &s->nodes[s->nodes[i].parent] == n)
            n = &s->nodes[i];
    return n;
}

static void judge_spf_end(const struct facts *f, struct findings *to)
{
    const struct fact_spf_node *n = deciding(&f->spf);
    const struct spf_term *all = n->record ? spf_all(n->record) : NULL;

    if (!n->record)
        return;
    if (!all && n->record->redirect.n == 0)
        find(to, FINDING_SPF_ALL_NONE, n->domain, STR_NONE, NULL);
    else if (all && all->qualifier == '+')
        find(to, FINDING_SPF_ALL_PASS, n->domain, all->text, NULL);
    else if (all && all->qualifier == '?')
        find(to, FINDING_SPF_NEUTRAL, n->domain, STR_NONE, NULL);
}

static void judge_spf_limits(const struct facts *f, struct findings *to)
{
    const struct fact_spf *s = &f->spf;
    struct str count = arena_printf(to->arena, "%s%zu", s->more ? "> " : "", s->lookup_count);

    if (s->lookup_count > SPF_LOOKUPS_MAX)
        find(to, FINDING_SPF_LOOKUPS, f->domain, count, NULL);
    else if (s->lookup_count >= SPF_LOOKUPS_MAX - 1)
        find(to, FINDING_SPF_LOOKUPS_NEAR, f->domain, count, NULL);
    if (s->void_count > SPF_VOID_LOOKUPS_MAX)
        find(to, FINDING_SPF_VOIDS, f->domain, s->void_name, NULL);
    if (s->many_mx_count > 0)
        find(to, FINDING_SPF_MANY_MX, f->domain, count, NULL);
}

void judge_spf(const struct facts *f, struct findings *to)
{
    const struct fact_spf *s = &f->spf;
    size_t before;
    bool good = true;

    if (!f->txt.asked || find_later(to, &f->txt, f->domain))
        return;
    if (s->node_count == 0 || s->nodes[0].record_count == 0) {
        find(to, FINDING_SPF_NONE, f->domain, STR_NONE, NULL);
        return;
    }
    before = findings_of(to, SEVERITY_BROKEN);
    for (size_t i = 0; i < s->node_count; i++)
        good = judge_spf_node(f, &s->nodes[i], to) && good;
    for (size_t i = 0; i < s->node_count; i++)
        if (s->nodes[i].record)
            judge_spf_terms(f, &s->nodes[i], to);
    judge_spf_limits(f, to);
    judge_spf_end(f, to);
    if (good && findings_of(to, SEVERITY_BROKEN) == before)
        find(to, FINDING_SPF_GOOD, f->domain, s->nodes[0].text, NULL);
}

/* ---- DKIM ---- */

static struct str key_words(const struct dkim_record *r, struct findings *to)
{
    return arena_printf(to->arena, "%s %u", r->kind == DKIM_KEY_RSA ? "RSA" : "Ed25519", r->bits);
}

static void judge_key(struct str name, const struct dkim_record *r, struct findings *to)
{
    bool rsa = r->kind == DKIM_KEY_RSA;
    struct str words = key_words(r, to);

    if (r->revoked)
        find(to, FINDING_DKIM_REVOKED, name, STR_NONE, NULL);
    else if (r->not_for_mail)
        find(to, FINDING_DKIM_NOT_MAIL, name, STR_NONE, NULL);
    else if (rsa && r->bits < DKIM_RSA_BITS_MIN)
        find(to, FINDING_DKIM_WEAK, name, words, NULL);
    else if (rsa && r->sha1_only)
        find(to, FINDING_DKIM_SHA1, name, STR_NONE, NULL);
    else if (rsa && r->bits < DKIM_RSA_BITS_WANTED)
        find(to, FINDING_DKIM_SHORT, name, words, NULL);
    else if (!r->testing)
        find(to, FINDING_DKIM_GOOD, name, words, NULL);
    if (r->testing && !r->revoked)
        find(to, FINDING_DKIM_TESTING, name, STR_NONE, NULL);
}

/* Does it want to be a key? */
static bool dkim_like(struct str text)
{
    return tag_list_is(text, "DKIM1");
}

/* Did the selector lead to something, good or bad? */
static bool judge_selector(const struct facts *f, const struct fact_selector *s,
                           struct findings *to)
{
    struct record_error error = {0};
    struct dkim_record r;
    struct str name =
        arena_printf(to->arena, "%.*s._domainkey.%.*s", STR_ARG(s->name), STR_ARG(f->domain));

    if (!s->answer.asked || (s->wanted && find_later(to, &s->answer, name)))
        return false;
    if (s->answer.outcome != DNS_FOUND || s->answer.count == 0) {
        if (s->wanted && s->answer.outcome != DNS_LATER)
            find(to, FINDING_DKIM_MISSING, name, STR_NONE, NULL);
        return false;
    }
    if (s->answer.count > 1)
        find(to, FINDING_DKIM_MANY, name, STR_NONE, NULL);
    if (!dkim_record_parse(s->answer.records[0].bytes, &r, &error)) {
        /* A name with a record for everything ("*") is no key, unless it was asked for. */
        bool wants = s->wanted || dkim_like(s->answer.records[0].bytes);
        if (wants)
            find(to, FINDING_DKIM_BAD, name, error.at, error.why);
        return wants;
    }
    judge_key(name, &r, to);
    return true;
}

void judge_dkim(const struct facts *f, struct findings *to)
{
    size_t found = 0, wanted = 0;

    for (size_t i = 0; i < f->selector_count; i++) {
        found += judge_selector(f, &f->selectors[i], to);
        wanted += f->selectors[i].wanted;
    }
    if (found > 0 || wanted > 0 || !sends(f) || !f->domainkey.asked)
        return;
    if (f->domainkey.outcome == DNS_NO_NAME)
        find(to, FINDING_DKIM_ABSENT, f->domain, STR_NONE, NULL);
    else
        find(to, FINDING_DKIM_NONE, f->domain, STR_NONE, NULL);
}

/* ---- DMARC ---- */

static void judge_reports(const struct facts *f, const struct dmarc_record *r, struct findings *to)
{
    if (r->rua.count == 0)
        find(to, FINDING_DMARC_SILENT, f->domain, STR_NONE, NULL);
    for (size_t i = 0; i < f->report_host_count; i++) {
        const struct fact_report_host *h = &f->report_hosts[i];
        struct str ignored;

        if (h->answer.asked && h->answer.outcome != DNS_LATER &&
            fact_records(&h->answer, dmarc_record_is, &ignored) == 0)
            find(to, FINDING_DMARC_UNASKED, f->domain, h->host, NULL);
    }
}

static void judge_dmarc_record(const struct facts *f, const struct dmarc_record *r, bool above,
                               struct findings *to)
{
    enum dmarc_policy policy = above ? r->subdomain_policy : r->policy;

    if (r->odd.why)
        find(to, FINDING_DMARC_ODD, f->domain, r->odd.at, r->odd.why);
    if (policy == DMARC_NONE)
        find(to, FINDING_DMARC_MONITOR, f->domain, STR_NONE, NULL);
    else
        find(to, FINDING_DMARC_GOOD, f->domain, str_c(dmarc_policy_word(policy)), NULL);
    if (r->percent < 100 && policy != DMARC_NONE)
        find(to, FINDING_DMARC_PARTIAL, f->domain, arena_printf(to->arena, "%u", r->percent), NULL);
    if (!above && r->policy != DMARC_NONE && r->subdomain_policy == DMARC_NONE)
        find(to, FINDING_DMARC_SUBDOMAINS, f->domain, STR_NONE, NULL);
    judge_reports(f, r, to);
}

void judge_dmarc(const struct facts *f, struct findings *to)
{
    struct record_error error = {0};
    struct dmarc_record r;
    struct str text = STR_NONE;
    size_t own = fact_records(&f->dmarc, dmarc_record_is, &text);
    size_t count = own;

    if (!f->dmarc.asked || find_later(to, &f->dmarc, f->domain))
        return;
    if (own == 0 && f->dmarc_above.asked) {
        if (find_later(to, &f->dmarc_above, f->organization))
            return;
        count = fact_records(&f->dmarc_above, dmarc_record_is, &text);
    }
    if (count == 0)
        find(to, FINDING_DMARC_NONE, f->domain, STR_NONE, NULL);
    else if (count > 1)
        find(to, FINDING_DMARC_MANY, own > 0 ? f->domain : f->organization, STR_NONE, NULL);
    else if (!dmarc_record_parse(text, &r, &error))
        find(to, FINDING_DMARC_BAD, own > 0 ? f->domain : f->organization, error.at, error.why);
    else
        judge_dmarc_record(f, &r, own == 0, to);
}
