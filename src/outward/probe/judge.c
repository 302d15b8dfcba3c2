/* outward/probe/judge.c - the whole of it, and names: MX records, addresses, their names, DNSSEC. */
// SPDX-License-Identifier: ISC
#include "outward/probe/judge.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "base/check.h"
#include "base/translate.h"
#include "mail/explain.h"

/* ---- for the parts ---- */

static const char *error_words(int error)
{
    return error == -EPIPE    ? "the server hung up"
           : error == -EPROTO ? "that is no SMTP"
                              : strerror(-error);
}

struct str reply_words(struct findings *to, const struct fact_reply *r)
{
    struct buf words = buf_init(FINDING_BYTES_MAX);

    if (r->code > 0)
        buf_printf(&words, "%u ", r->code);
    else if (r->error < 0 && r->text.n == 0)
        buf_add_c(&words, error_words(r->error));
    for (size_t i = 0; i < r->text.n; i++)
        buf_add_char(&words, r->text.p[i] == '\n' ? ' ' : r->text.p[i]);
    struct str copy = arena_copy(to->arena, str_trim(buf_str(&words)));
    buf_free(&words);
    return copy;
}

static enum explain_step explained_step(enum fact_step s)
{
    static const enum explain_step steps[TALK_STEP_COUNT] = {
        [TALK_GREETING] = STEP_GREETING, [TALK_EHLO] = STEP_HELLO,
        [TALK_HELO] = STEP_HELLO,        [TALK_EHLO_SECURED] = STEP_HELLO,
        [TALK_STARTTLS] = STEP_STARTTLS, [TALK_VRFY_POSTMASTER] = STEP_OTHER,
        [TALK_EXPN] = STEP_OTHER,        [TALK_BOUNCE] = STEP_MAIL,
        [TALK_POSTMASTER] = STEP_RCPT,   [TALK_NOBODY] = STEP_RCPT,
    };

    return steps[s];
}

void find_reply(struct findings *to, enum finding_id id, struct str about,
                const struct fact_reply *r, enum fact_step step)
{
    const char *meaning = NULL;

    if (r->code >= 400) {
        struct status st = status_from_reply(r->code, r->text);

        meaning = explain_reply(explained_step(step), &st).meaning;
    }
    find_explained(to, id, about, reply_words(to, r), meaning);
}

struct str day_words(struct findings *to, uint64_t us)
{
    struct buf day = buf_init(64);

    day_print(&day, us / US_PER_S / 86400);
    struct str copy = arena_copy(to->arena, buf_str(&day));
    buf_free(&day);
    return copy;
}

bool find_later(struct findings *to, const struct fact_answer *answer, struct str about)
{
    if (!answer->asked || answer->outcome != DNS_LATER)
        return false;
    if (answer->security == DNS_BOGUS)
        find(to, FINDING_DNSSEC_BOGUS, about, answer->why, NULL);
    else
        find(to, FINDING_DNS_LATER, about, answer->why, NULL);
    return true;
}

static bool absent(const struct fact_answer *a)
{
    return a->asked && (a->outcome == DNS_NO_DATA || a->outcome == DNS_NO_NAME);
}

/* ---- hosts ---- */

static void judge_addresses(const struct fact_host *h, struct findings *to)
{
    for (size_t i = 0; i < h->address_count; i++)
        if (!h->addresses[i].is_public && h->name.n > 0)
            find(to, FINDING_MX_PRIVATE, h->name, h->addresses[i].text, NULL);
}

static void judge_host(const struct facts *f, const struct fact_host *h, struct findings *to)
{
    bool mx = f->subject == SUBJECT_DOMAIN && !f->implicit_mx;

    if (h->is_address)
        find(to, FINDING_MX_IS_ADDRESS, h->name, STR_NONE, NULL);
    else if (h->odd_name)
        find(to, FINDING_MX_ODD_NAME, h->name, STR_NONE, NULL);
    else if (absent(&h->a) && absent(&h->aaaa) && !f->implicit_mx)
        find(to, mx ? FINDING_MX_NO_ADDRESS : FINDING_HOST_NO_ADDRESS, h->name, STR_NONE, NULL);
    if (h->address_count == 0 && !find_later(to, &h->a, h->name))
        (void)find_later(to, &h->aaaa, h->name);
    if (mx && (h->a.cname_count > 0 || h->aaaa.cname_count > 0))
        find(to, FINDING_MX_ALIAS, h->name,
             h->a.cname_count > 0 ? h->a.canonical : h->aaaa.canonical, NULL);
    if (f->subject == SUBJECT_DOMAIN && !f->private_too)
        judge_addresses(h, to);
}

static void judge_reverse(const struct facts *f, struct findings *to)
{
    size_t good = 0, known = 0;

    for (size_t i = 0; i < f->host_count; i++) {
        for (size_t k = 0; k < f->hosts[i].address_count; k++) {
            const struct fact_address *a = &f->hosts[i].addresses[k];

            if (!a->reverse_known || a->reverse == REVERSE_LATER)
                continue;
            known++;
            if (a->reverse == REVERSE_FOUND)
                good++;
            else
                find(to, a->reverse == REVERSE_NONE ? FINDING_PTR_MISSING : FINDING_PTR_MISMATCH,
                     a->text, STR_NONE, NULL);
        }
    }
    if (known > 0 && good == known)
        find(to, FINDING_PTR_GOOD, STR_NONE, STR_NONE, NULL);
}

/* ---- the domain ---- */

static bool is_null(const struct dns_record *r)
{
    return r->is_host && r->name.n == 0;
}

static void judge_null_mx(const struct facts *f, struct findings *to)
{
    for (size_t i = 0; i < f->mx.count; i++)
        if (is_null(&f->mx.records[i])) {
            find(to, f->mx.count == 1 ? FINDING_NULL_MX : FINDING_NULL_MX_MIXED, f->domain,
                 STR_NONE, NULL);
            return;
        }
}

static void find_mx(const struct facts *f, struct findings *to)
{
    struct buf names = buf_init(FINDING_BYTES_MAX);

    for (size_t i = 0; i < f->host_count; i++)
        buf_printf(&names, "%s%.*s", i ? ", " : "", STR_ARG(f->hosts[i].name));
    find(to, FINDING_MX_FOUND, f->domain, arena_copy(to->arena, buf_str(&names)), NULL);
    buf_free(&names);
}

static void judge_way(const struct facts *f, struct findings *to)
{
    bool addressed = f->host_count > 0 && f->hosts[0].address_count > 0;

    if (f->implicit_mx && addressed)
        find(to, FINDING_MX_IMPLICIT, f->domain, STR_NONE, NULL);
    else if (f->implicit_mx && absent(&f->hosts[0].a) && absent(&f->hosts[0].aaaa))
        find(to, FINDING_NO_MAIL_HOST, f->domain, STR_NONE, NULL);
    else if (!f->implicit_mx && f->host_count > 0)
        find_mx(f, to);
}

static void judge_ipv6(const struct facts *f, struct findings *to)
{
    size_t addresses = 0;

    for (size_t i = 0; i < f->host_count; i++) {
        addresses += f->hosts[i].address_count;
        if (!absent(&f->hosts[i].aaaa))
            return; /* some, or it is not known */
    }
    if (addresses > 0)
        find(to, FINDING_IPV6_NONE, f->domain, STR_NONE, NULL);
}

static void judge_dnssec(const struct facts *f, struct findings *to)
{
    const struct fact_answer *a = f->mx.asked ? &f->mx : &f->a;

    if (!f->anchored)
        find(to, FINDING_DNSSEC_UNCHECKED, f->domain, STR_NONE, f->unanchored_why);
    else if (a->asked && a->outcome != DNS_LATER)
        find(to, a->security == DNS_SECURE ? FINDING_DNSSEC_GOOD : FINDING_DNSSEC_NONE, f->domain,
             STR_NONE, NULL);
}

/* Neither MX nor addresses could be asked for, and not because of signatures: no name can be. */
static bool silent(const struct facts *f)
{
    const struct fact_answer *all[] = {&f->mx, &f->a, &f->aaaa};
    bool later = false;

    for (size_t i = 0; i < countof(all); i++) {
        if (all[i]->asked && (all[i]->outcome != DNS_LATER || all[i]->security == DNS_BOGUS))
            return false;
        later = later || all[i]->asked;
    }
    return later;
}

void judge_names(const struct facts *f, struct findings *to)
{
    bool none =
        f->mx.asked ? f->mx.outcome == DNS_NO_NAME : f->a.asked && f->a.outcome == DNS_NO_NAME;

    if (f->domain.n == 0) {
        judge_reverse(f, to);
        return;
    }
    if (silent(f)) {
        find(to, FINDING_DNS_SILENT, f->domain, f->mx.asked ? f->mx.why : f->a.why, NULL);
        return;
    }
    if (none) {
        find(to, FINDING_NO_DOMAIN, f->domain, STR_NONE, NULL);
        return;
    }
    if (!find_later(to, &f->mx, f->domain) && f->subject == SUBJECT_DOMAIN) {
        judge_null_mx(f, to);
        judge_way(f, to);
    }
    for (size_t i = 0; i < f->host_count; i++)
        judge_host(f, &f->hosts[i], to);
    if (f->subject == SUBJECT_DOMAIN)
        judge_ipv6(f, to);
    judge_reverse(f, to);
    judge_dnssec(f, to);
}

/* ---- a message ---- */

void judge_delivery(const struct facts *f, struct findings *to)
{
    const struct fact_delivery *d = &f->delivery;
    struct fact_reply reply = {.code = d->code, .text = d->text};
    struct str what = reply_words(to, &reply);

    if (!d->tried)
        return;
    if (d->class != 2 && d->code > 0) {
        struct status st = status_from_reply(d->code, d->text);

        find_explained(to, d->class == 5 ? FINDING_DELIVERY_REFUSED : FINDING_DELIVERY_LATER, d->to,
                       what, explain_reply(d->step, &st).meaning);
    } else if (d->class == 2)
        find(to, d->dsn ? FINDING_DELIVERY_REPORTED : FINDING_DELIVERY_SILENT, d->to, what, NULL);
    else
        find(to, d->class == 5 ? FINDING_DELIVERY_REFUSED : FINDING_DELIVERY_LATER, d->to, what,
             NULL);
}

/* ---- the whole ---- */

static bool has(const struct findings *k, enum finding_id id)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->list[i].id == id)
            return true;
    return false;
}

void judge(const struct facts *f, struct findings *to)
{
    bool named = f->domain.n > 0;

    judge_names(f, to);
    if (!has(to, FINDING_NO_DOMAIN) && !has(to, FINDING_DNS_SILENT)) {
        judge_servers(f, to);
        judge_dane(f, to);
        if (named && f->subject == SUBJECT_DOMAIN) {
            judge_sts(f, to);
            judge_tlsrpt(f, to);
            judge_spf(f, to);
            judge_dkim(f, to);
            judge_dmarc(f, to);
        }
    }
    judge_delivery(f, to);
    if (f->cut_short) {
        struct buf after = buf_init(64);

        duration_print(&after, f->timeout_us);
        find(to, FINDING_CUT_SHORT, STR_NONE, arena_copy(to->arena, buf_str(&after)), NULL);
        buf_free(&after);
    }
    findings_sort(to);
}

/* Is there a server that talks to us? */
static bool arrives(const struct facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (fact_greeted(s) &&
            (s->steps[TALK_EHLO].code == 250 || s->steps[TALK_HELO].code == 250) &&
            (f->subject == SUBJECT_HOST || !s->submission))
            return true;
    }
    return false;
}

/* One row for each kind of subject and of what was found, the worst first. */
static const char *const verdicts[][2] = {
    {N_("Mail to {about} does not arrive."), N_("{about} does not take mail.")},
    {N_("Mail to {about} can arrive, but something is broken."),
     N_("{about} answers, but something is broken.")},
    {N_("Mail to {about} arrives, as far as it can be seen; not everything could be found out."),
     N_("{about} answers; not everything could be found out.")},
    {N_("Mail to {about} arrives; some things should be better."),
     N_("{about} answers; some things should be better.")},
    {N_("All is well with mail to {about}."), N_("All is well with {about}.")},
};

const char *verdict(const struct facts *f, const struct findings *k)
{
    size_t column = f->subject == SUBJECT_HOST;

    if (has(k, FINDING_NO_DOMAIN))
        return N_("{about} does not exist.");
    if (has(k, FINDING_DNS_SILENT))
        return N_("Nothing can be said of {about}: its name cannot be looked up.");
    if (has(k, FINDING_NULL_MX))
        return N_("{about} takes no mail, and says so.");
    if (!arrives(f) && findings_of(k, SEVERITY_BROKEN) > 0)
        return verdicts[0][column];
    if (!arrives(f))
        return N_("It could not be found out whether mail to {about} arrives.");
    if (findings_of(k, SEVERITY_BROKEN) > 0)
        return verdicts[1][column];
    if (findings_of(k, SEVERITY_UNKNOWN) > 0)
        return verdicts[2][column];
    return verdicts[findings_of(k, SEVERITY_WARNING) > 0 ? 3 : 4][column];
}

int verdict_code(const struct findings *k)
{
    if (has(k, FINDING_NO_DOMAIN))
        return EX_NOHOST;
    if (findings_of(k, SEVERITY_BROKEN) > 0)
        return EX_UNAVAILABLE;
    if (findings_of(k, SEVERITY_UNKNOWN) > 0)
        return EX_TEMPFAIL;
    return findings_of(k, SEVERITY_WARNING) > 0 ? 1 : EX_OK;
}
