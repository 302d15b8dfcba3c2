/* outward/probe/judge_tls.c - TLS of a server, and what a domain promises of it: DANE, MTA-STS, TLSRPT. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/translate.h"
#include "mailauth/mta_sts.h"
#include "mailauth/tlsrpt.h"
#include "outward/probe/judge.h"

enum { STS_AGE_SHORT_S = 7 * 86400 };
#define SOON_US (UINT64_C(14) * 86400 * US_PER_S)

/* ---- one server ---- */

static bool in_time(const struct facts *f, const struct fact_tls *t)
{
    return t->not_before_us <= f->now_us && t->not_after_us > f->now_us;
}

bool certificate_good(const struct facts *f, const struct fact_tls *t)
{
    return t->secured && t->name_matches && !t->trouble && in_time(f, t);
}

/* Mail programs turn away from what servers only note. */
static void judge_certificate(const struct facts *f, const struct fact_server *s,
                              struct findings *to)
{
    const struct fact_tls *t = &s->tls;
    enum severity bad = s->submission ? SEVERITY_BROKEN : SEVERITY_WARNING;

    if (t->not_after_us <= f->now_us)
        find_as(to, bad, FINDING_CERTIFICATE_EXPIRED, s->name, day_words(to, t->not_after_us),
                NULL);
    else if (t->not_before_us > f->now_us)
        find_as(to, bad, FINDING_CERTIFICATE_EARLY, s->name, day_words(to, t->not_before_us), NULL);
    else if (t->not_after_us - f->now_us < SOON_US)
        find(to, FINDING_CERTIFICATE_SOON, s->name, day_words(to, t->not_after_us), NULL);
    if (!t->name_matches)
        find_as(to, bad, FINDING_CERTIFICATE_NAME, s->name, t->names, NULL);
    if (t->trouble && in_time(f, t))
        find_as(to, bad, FINDING_CERTIFICATE_UNTRUSTED, s->name, str_c(t->trouble), NULL);
    if (t->weak_key)
        find(to, FINDING_CERTIFICATE_WEAK, s->name, t->kind, NULL);
}

/* "TLSv1 and TLSv1.1", or nothing */
static struct str old_versions(const struct fact_tls *t, struct findings *to)
{
    bool first = t->versions[TLS_VERSION_10] == VERSION_TAKEN;
    bool second = t->versions[TLS_VERSION_11] == VERSION_TAKEN;

    return arena_printf(to->arena, "%s%s%s", first ? tls_version_word(TLS_VERSION_10) : "",
                        first && second ? ", " : "",
                        second ? tls_version_word(TLS_VERSION_11) : "");
}

static void judge_versions(const struct fact_server *s, struct findings *to)
{
    struct str old = old_versions(&s->tls, to);

    if (old.n > 0)
        find(to, FINDING_TLS_OLD, s->name, old, NULL);
    if (s->tls.versions[TLS_VERSION_13] == VERSION_REFUSED)
        find(to, FINDING_TLS_NOT_13, s->name, STR_NONE, NULL);
}

static void find_good(const struct fact_server *s, struct findings *to)
{
    const struct fact_tls *t = &s->tls;
    struct str until = day_words(to, t->not_after_us);

    find(to, FINDING_TLS_GOOD, s->name,
         arena_printf(to->arena, "%.*s, %.*s, %.*s (%.*s), %.*s", STR_ARG(t->version),
                      STR_ARG(t->cipher), STR_ARG(t->names), STR_ARG(t->kind), STR_ARG(until)),
         NULL);
}

static void judge_failure(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *asked = &s->steps[TALK_STARTTLS];
    struct str old = old_versions(&s->tls, to);

    if (s->tls.failure && old.n > 0 && s->tls.versions[TLS_VERSION_12] != VERSION_TAKEN)
        find(to, FINDING_TLS_ONLY_OLD, s->name, old, NULL);
    else if (s->tls.failure)
        find(to, FINDING_TLS_FAILED, s->name, str_c(s->tls.failure), NULL);
    else if (asked->tried && asked->code != 220 && asked->code > 0)
        find_reply(to, FINDING_STARTTLS_REFUSED, s->name, asked, TALK_STARTTLS);
    else if (!asked->tried && s->steps[TALK_EHLO].code == 250 && !s->plain.starttls)
        find_as(to, s->submission ? SEVERITY_BROKEN : SEVERITY_WARNING, FINDING_STARTTLS_MISSING,
                s->name, STR_NONE, NULL);
}

void judge_tls(const struct facts *f, const struct fact_server *s, struct findings *to)
{
    if (!s->tls.secured) {
        judge_failure(s, to);
        return;
    }
    judge_certificate(f, s, to);
    judge_versions(s, to);
    if (certificate_good(f, &s->tls) && !s->tls.weak_key)
        find_good(s, to);
}

/* ---- DANE ---- */

/* Has it come so far that TLS could have been had? */
static bool asked_for_tls(const struct fact_server *s)
{
    return s->tls.secured || s->tls.failure || s->steps[TALK_EHLO].code == 250;
}

static enum dane_verdict verify(const struct facts *f, const struct fact_server *s,
                                const char **why)
{
    const struct fact_answer *answer = &s->host->tlsa;
    struct tlsa records[TLSA_RECORDS_MAX];
    struct str names[] = {s->host->name, s->host->a.canonical, f->domain};
    struct dane_input in = {.records = records,
                            .certificates = s->tls.certificates,
                            .certificate_count = s->tls.certificate_count,
                            .names = names,
                            .now_s = f->now_us / US_PER_S};

    for (size_t i = 0; i < answer->count && i < countof(records); i++) {
        const struct dns_record *r = &answer->records[i];

        records[in.record_count++] = (struct tlsa){r->usage, r->selector, r->matching, r->bytes};
    }
    for (size_t i = 0; i < countof(names); i++)
        if (names[i].n > 0)
            names[in.name_count++] = names[i];
    enum dane_verdict v = dane_verify(&in, why);
    if (v == DANE_UNUSABLE && in.record_count > 0)
        *why = tlsa_trouble(&records[0]);
    return v;
}

static void judge_dane_of(const struct facts *f, const struct fact_server *s, struct findings *to)
{
    const char *why = NULL;

    if (s->host->tlsa.security != DNS_SECURE) {
        if (f->anchored && s->full)
            find(to, FINDING_DANE_INSECURE, s->host->name, STR_NONE, NULL);
        return;
    }
    if (!s->tls.secured) {
        if (asked_for_tls(s))
            find(to, FINDING_DANE_NO_TLS, s->name, STR_NONE, NULL);
        return;
    }
    switch (verify(f, s, &why)) {
    case DANE_VALID:
        find(to, FINDING_DANE_GOOD, s->name, STR_NONE, NULL);
        break;
    case DANE_UNUSABLE:
        find(to, FINDING_DANE_UNUSABLE, s->name, STR_NONE, why ? why : "");
        break;
    case DANE_INVALID:
        find(to, FINDING_DANE_MISMATCH, s->name, STR_NONE, why ? why : "");
        break;
    }
}

void judge_dane(const struct facts *f, struct findings *to)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (!s->submission && s->host->tlsa.asked && s->host->tlsa.outcome == DNS_FOUND)
            judge_dane_of(f, s, to);
    }
}

/* ---- MTA-STS ---- */

static void judge_promise(const struct facts *f, const struct mta_sts_policy *p,
                          struct findings *to)
{
    enum severity bad = p->mode == MTA_STS_ENFORCE ? SEVERITY_BROKEN : SEVERITY_WARNING;
    struct str mode = str_c(mta_sts_mode_word(p->mode));
    size_t wrong = 0;

    for (size_t i = 0; i < f->host_count; i++)
        if (!mta_sts_has(p, f->hosts[i].name)) {
            find_as(to, bad, FINDING_STS_MX_MISSING, f->hosts[i].name, mode, NULL);
            wrong++;
        }
    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (s->submission || !asked_for_tls(s) || certificate_good(f, &s->tls))
            continue;
        find_as(to, bad, FINDING_STS_TLS_BAD, s->name, mode, NULL);
        wrong++;
    }
    if (wrong == 0 && p->mode == MTA_STS_ENFORCE)
        find(to, FINDING_STS_GOOD, f->domain, STR_NONE, NULL);
}

static void judge_policy(const struct facts *f, struct findings *to)
{
    const struct fact_policy *k = &f->sts_policy;
    struct mta_sts_policy p;
    struct record_error error = {0};

    if (!k->asked)
        return;
    if (k->code != 200) {
        struct str what = k->code > 0 ? arena_printf(to->arena, "HTTP %ld", k->code) : k->error;

        find(to, FINDING_STS_UNREACHABLE, f->domain, what, NULL);
        return;
    }
    if (!str_starts_nocase(k->type, STR("text/plain")))
        find(to, FINDING_STS_TYPE, f->domain, k->type, NULL);
    if (!mta_sts_policy_parse(k->body, &p, &error)) {
        find(to, FINDING_STS_POLICY_BAD, f->domain, error.at, error.why);
        return;
    }
    if (p.mode != MTA_STS_ENFORCE)
        find(to, FINDING_STS_TESTING, f->domain, str_c(mta_sts_mode_word(p.mode)), NULL);
    if (p.mode != MTA_STS_NONE && p.max_age_s < STS_AGE_SHORT_S) {
        struct buf age = buf_init(64);

        duration_print(&age, p.max_age_s * US_PER_S);
        find(to, FINDING_STS_SHORT, f->domain, arena_copy(to->arena, buf_str(&age)), NULL);
        buf_free(&age);
    }
    if (p.mode != MTA_STS_NONE)
        judge_promise(f, &p, to);
}

void judge_sts(const struct facts *f, struct findings *to)
{
    struct str record = STR_NONE, id;
    struct record_error error = {0};
    size_t count = fact_records(&f->sts, mta_sts_record_is, &record);

    if (!f->sts.asked || f->host_count == 0 || find_later(to, &f->sts, f->domain))
        return;
    if (count == 0)
        find(to, FINDING_STS_NONE, f->domain, STR_NONE, NULL);
    else if (count > 1)
        find(to, FINDING_STS_MANY, f->domain, STR_NONE, NULL);
    else if (!mta_sts_record_parse(record, &id, &error))
        find(to, FINDING_STS_BAD, f->domain, error.at, error.why);
    else
        judge_policy(f, to);
}

/* ---- TLSRPT ---- */

void judge_tlsrpt(const struct facts *f, struct findings *to)
{
    struct str record = STR_NONE;
    struct record_error error = {0};
    struct report_addresses r;

    if (!f->tlsrpt.asked || f->host_count == 0 || find_later(to, &f->tlsrpt, f->domain))
        return;
    if (fact_records(&f->tlsrpt, tlsrpt_record_is, &record) == 0)
        find(to, FINDING_TLSRPT_NONE, f->domain, STR_NONE, NULL);
    else if (!tlsrpt_record_parse(record, &r, &error))
        find(to, FINDING_TLSRPT_BAD, f->domain, error.at, error.why);
    else
        find(to, FINDING_TLSRPT_GOOD, f->domain, r.list[0].uri, NULL);
}
