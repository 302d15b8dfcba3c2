/* Every finding, from facts that differ from good ones in one thing. The last test counts: a row of
 * findings.def that no case here brings out is a failure. */
// SPDX-License-Identifier: ISC
#include "outward/probe/judge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#include "base/check.h"
#include "tls/test_peer.h"

#define NOW_US (UINT64_C(1800000000) * US_PER_S)
#define DAY_US (UINT64_C(86400) * US_PER_S)
#define RSA_1024                                                                                   \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/"   \
    "J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBf" \
    "O2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
#define RSA_512                                                                                    \
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALd3hVVtwWn95GCHZdIfKFQtHa5DMd8IVxs4GZDNUWSeCiy21aNXPDFCtfz2" \
    "YyQWGNgEpVbq/7ZbffTHx4Cn23kCAwEAAQ=="
#define ED25519 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define POLICY(mode, mx, age) "version: STSv1\nmode: " mode "\nmx: " mx "\nmax_age: " age "\n"

struct world {
    struct arena arena;
    struct facts f;
    struct fact_server s, second;
    struct findings k;
};

/* ---- facts that are good ---- */

static struct fact_answer absent(enum dns_outcome outcome)
{
    return (struct fact_answer){.asked = true, .outcome = outcome, .security = DNS_SECURE};
}

static struct fact_answer later(enum dns_security security)
{
    return (struct fact_answer){
        .asked = true, .outcome = DNS_LATER, .security = security, .why = STR("no answer in time")};
}

static struct fact_answer found(struct world *w, const struct dns_record *records, size_t count)
{
    struct dns_record *copy = arena_alloc(&w->arena, count * sizeof *copy);

    memcpy(copy, records, count * sizeof *copy);
    return (struct fact_answer){.asked = true,
                                .outcome = DNS_FOUND,
                                .security = DNS_SECURE,
                                .records = copy,
                                .count = count};
}

static struct fact_answer txt(struct world *w, const char *text)
{
    struct dns_record r = {.bytes = str_c(text)};

    return found(w, &r, 1);
}

static struct fact_answer two(struct world *w, const char *text)
{
    struct dns_record r[] = {{.bytes = str_c(text)}, {.bytes = str_c(text)}};

    return found(w, r, 2);
}

static struct dns_record mx(uint16_t preference, const char *name)
{
    return (struct dns_record){.preference = preference, .is_host = true, .name = str_c(name)};
}

static void say(struct fact_reply *r, uint16_t code, const char *text)
{
    *r = (struct fact_reply){.tried = true, .code = code, .text = str_c(text), .us = 1000};
}

static void fail_with(struct fact_server *s, enum fact_step step, int error)
{
    for (enum fact_step later_step = step; later_step < TALK_STEP_COUNT; later_step++)
        s->steps[later_step] = (struct fact_reply){0};
    s->steps[step] = (struct fact_reply){.tried = true, .error = error, .us = 1000};
    s->last = step;
}

static void good_server(struct world *w, struct fact_server *s)
{
    *s = (struct fact_server){
        .host = &w->f.hosts[0],
        .address = &w->f.hosts[0].addresses[0],
        .name = STR("mx.example.org 192.0.2.1:25"),
        .port = 25,
        .full = true,
        .plain = {.said = true, .starttls = true, .pipelining = true, .eightbit = true},
        .secured = {.said = true, .pipelining = true, .eightbit = true},
        .tls = {.secured = true,
                .version = STR("TLSv1.3"),
                .names = STR("mx.example.org"),
                .kind = STR("ECDSA P-256"),
                .name_matches = true,
                .not_before_us = NOW_US - DAY_US,
                .not_after_us = NOW_US + 60 * DAY_US},
        .last = TALK_QUIT,
    };
    s->tls.versions[TLS_VERSION_12] = s->tls.versions[TLS_VERSION_13] = VERSION_TAKEN;
    say(&s->steps[TALK_CONNECT], 0, "");
    say(&s->steps[TALK_GREETING], 220, "mx.example.org ESMTP");
    say(&s->steps[TALK_EHLO], 250, "mx.example.org");
    say(&s->steps[TALK_STARTTLS], 220, "go");
    say(&s->steps[TALK_TLS], 0, "");
    say(&s->steps[TALK_EHLO_SECURED], 250, "mx.example.org");
    say(&s->steps[TALK_BOUNCE], 250, "ok");
    say(&s->steps[TALK_POSTMASTER], 250, "ok");
    say(&s->steps[TALK_NOBODY], 550, "5.1.1 no such user");
    say(&s->relay[RELAY_STRANGER], 554, "5.7.1 no relaying");
    say(&s->steps[TALK_QUIT], 221, "bye");
}

static void good_host(struct world *w, struct fact_host *h)
{
    struct fact_address *a = &h->addresses[0];

    h->name = STR("mx.example.org");
    h->a = absent(DNS_NO_DATA);
    h->a.outcome = DNS_FOUND;
    h->aaaa = h->a;
    h->tlsa = absent(DNS_NO_NAME);
    h->address_count = 1;
    *a = (struct fact_address){.ip = sock_address_make(AF_INET, "\xc0\0\2\1", 0),
                               .text = STR("192.0.2.1"),
                               .is_public = true,
                               .reverse_known = true,
                               .reverse = REVERSE_FOUND,
                               .reverse_name = STR("mx.example.org")};
}

static void spf(struct world *w, const char *text)
{
    struct fact_spf_node *n = &w->f.spf.nodes[0];
    struct spf_record *r = arena_alloc(&w->arena, sizeof *r);

    w->f.spf = (struct fact_spf){.node_count = 1};
    *n = (struct fact_spf_node){
        .domain = w->f.domain, .answer = w->f.txt, .record_count = 1, .text = str_c(text)};
    if (spf_record_parse(n->text, r, &n->error))
        n->record = r;
}

static void good(struct world *w)
{
    struct facts *f = &w->f;
    struct dns_record m = mx(10, "mx.example.org");

    *f = (struct facts){.domain = STR("example.org"),
                        .organization = STR("example.org"),
                        .anchored = true,
                        .now_us = NOW_US,
                        .timeout_us = 60 * US_PER_S,
                        .host_count = 1,
                        .server_count = 1};
    f->mx = found(w, &m, 1);
    f->a = f->aaaa = absent(DNS_NO_DATA);
    good_host(w, &f->hosts[0]);
    good_server(w, &w->s);
    f->servers[0] = &w->s;
    f->txt = txt(w, "v=spf1 mx -all");
    spf(w, "v=spf1 mx -all");
    f->dmarc = txt(w, "v=DMARC1; p=reject; rua=mailto:d@example.org");
    f->domainkey = absent(DNS_NO_DATA);
    f->selectors[0] = (struct fact_selector){
        .name = STR("s1"), .wanted = true, .answer = txt(w, "v=DKIM1; k=ed25519; p=" ED25519)};
    f->selector_count = 1;
    f->sts = txt(w, "v=STSv1; id=1");
    f->sts_policy =
        (struct fact_policy){.asked = true,
                             .code = 200,
                             .type = STR("text/plain; charset=utf-8"),
                             .body = STR(POLICY("enforce", "mx.example.org", "1209600"))};
    f->tlsrpt = txt(w, "v=TLSRPTv1; rua=mailto:t@example.org");
}

static void host_only(struct world *w)
{
    w->f.subject = SUBJECT_HOST;
    w->f.mx = w->f.a = w->f.aaaa = (struct fact_answer){0};
}

static void program_port(struct world *w)
{
    w->s.submission = true;
    w->s.secured.auth = STR("PLAIN");
    w->f.subject = SUBJECT_HOST;
}

/* ---- names ---- */

static void no_domain(struct world *w)
{
    w->f.mx = absent(DNS_NO_NAME);
}

static void dns_silent(struct world *w)
{
    w->f.mx = w->f.a = w->f.aaaa = later(DNS_INSECURE);
}

static void dns_later(struct world *w)
{
    w->f.mx = later(DNS_INSECURE);
}

static void dnssec_bogus(struct world *w)
{
    w->f.mx = later(DNS_BOGUS);
}

static void implicit(struct world *w)
{
    w->f.mx = absent(DNS_NO_DATA);
    w->f.implicit_mx = true;
    w->f.hosts[0].name = w->f.domain;
}

static void no_mail_host(struct world *w)
{
    implicit(w);
    w->f.hosts[0].a = w->f.hosts[0].aaaa = absent(DNS_NO_DATA);
    w->f.hosts[0].address_count = w->f.server_count = 0;
}

static void null_mx(struct world *w)
{
    struct dns_record m = mx(0, "");

    w->f.mx = found(w, &m, 1);
    w->f.host_count = w->f.server_count = 0;
}

static void null_mx_mixed(struct world *w)
{
    struct dns_record m[] = {mx(0, ""), mx(10, "mx.example.org")};

    w->f.mx = found(w, m, 2);
}

static void mx_is_address(struct world *w)
{
    w->f.hosts[0].is_address = true;
}

static void mx_odd_name(struct world *w)
{
    w->f.hosts[0].odd_name = true;
}

static void mx_no_address(struct world *w)
{
    w->f.hosts[0].a = w->f.hosts[0].aaaa = absent(DNS_NO_NAME);
}

static void host_no_address(struct world *w)
{
    mx_no_address(w);
    host_only(w);
}

static void mx_alias(struct world *w)
{
    w->f.hosts[0].a.cname_count = 1;
    w->f.hosts[0].a.canonical = STR("real.example.org");
}

static void mx_private(struct world *w)
{
    w->f.hosts[0].addresses[0].is_public = false;
}

static void ipv6_none(struct world *w)
{
    w->f.hosts[0].aaaa = absent(DNS_NO_DATA);
}

static void ptr_missing(struct world *w)
{
    w->f.hosts[0].addresses[0].reverse = REVERSE_NONE;
}

static void ptr_mismatch(struct world *w)
{
    w->f.hosts[0].addresses[0].reverse = REVERSE_MISMATCH;
}

static void dnssec_none(struct world *w)
{
    w->f.mx.security = DNS_INSECURE;
}

static void dnssec_unchecked(struct world *w)
{
    w->f.anchored = false;
    w->f.unanchored_why = "there is no trust anchor on this machine";
}

/* ---- servers ---- */

static void mx_unreachable(struct world *w)
{
    fail_with(&w->s, TALK_CONNECT, -ETIMEDOUT);
}

static void submission_unreachable(struct world *w)
{
    program_port(w);
    mx_unreachable(w);
    w->second = w->s;
    w->f.servers[1] = &w->second;
    w->f.server_count = 2;
}

static void ipv6_not_tried(struct world *w)
{
    w->f.hosts[0].addresses[0].ip =
        sock_address_make(AF_INET6, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 0);
    fail_with(&w->s, TALK_CONNECT, -ENETUNREACH);
}

static void not_smtp(struct world *w)
{
    fail_with(&w->s, TALK_GREETING, -EPROTO);
}

static void server_silent(struct world *w)
{
    fail_with(&w->s, TALK_GREETING, -ETIMEDOUT);
}

static void silent_later(struct world *w)
{
    fail_with(&w->s, TALK_BOUNCE, -ETIMEDOUT);
}

static void server_later(struct world *w)
{
    say(&w->s.steps[TALK_GREETING], 421, "too busy");
}

static void server_refuses(struct world *w)
{
    say(&w->s.steps[TALK_GREETING], 554, "5.7.1 not you");
}

static void hung_up(struct world *w)
{
    fail_with(&w->s, TALK_EXPN, -EPIPE);
}

static void greeting_slow(struct world *w)
{
    w->s.steps[TALK_GREETING].us = 9 * US_PER_S;
}

static void greeting_name(struct world *w)
{
    w->s.steps[TALK_GREETING].text = STR("localhost ready");
}

static void ehlo_refused(struct world *w)
{
    say(&w->s.steps[TALK_EHLO], 502, "what?");
    say(&w->s.steps[TALK_HELO], 250, "hello");
}

static void helo_refused(struct world *w)
{
    say(&w->s.steps[TALK_EHLO], 550, "no");
    say(&w->s.steps[TALK_HELO], 550, "no");
}

static void no_tls(struct world *w)
{
    w->s.tls = (struct fact_tls){0};
    w->s.secured = (struct fact_offers){0};
}

static void starttls_missing(struct world *w)
{
    no_tls(w);
    w->s.plain.starttls = false;
    w->s.steps[TALK_STARTTLS].tried = false;
}

static void starttls_refused(struct world *w)
{
    no_tls(w);
    say(&w->s.steps[TALK_STARTTLS], 454, "4.7.0 TLS not available");
}

static void tls_failed(struct world *w)
{
    no_tls(w);
    w->s.tls.failure = "no shared cipher";
}

static void tls_only_old(struct world *w)
{
    tls_failed(w);
    w->s.tls.versions[TLS_VERSION_10] = VERSION_TAKEN;
    w->s.tls.versions[TLS_VERSION_12] = VERSION_REFUSED;
}

static void expired(struct world *w)
{
    w->s.tls.not_after_us = NOW_US - DAY_US;
    w->s.tls.trouble = "certificate has expired";
}

static void early(struct world *w)
{
    w->s.tls.not_before_us = NOW_US + DAY_US;
}

static void soon(struct world *w)
{
    w->s.tls.not_after_us = NOW_US + 3 * DAY_US;
}

static void wrong_name(struct world *w)
{
    w->s.tls.name_matches = false;
}

static void untrusted(struct world *w)
{
    w->s.tls.trouble = "self-signed certificate";
}

static void weak_key(struct world *w)
{
    w->s.tls.weak_key = true;
}

static void tls_old(struct world *w)
{
    w->s.tls.versions[TLS_VERSION_11] = VERSION_TAKEN;
}

static void tls_not_13(struct world *w)
{
    w->s.tls.versions[TLS_VERSION_13] = VERSION_REFUSED;
}

static void auth_plain_text(struct world *w)
{
    w->s.plain.auth = STR("CRAM-MD5 LOGIN");
}

static void auth_none(struct world *w)
{
    program_port(w);
    w->s.secured.auth = STR_NONE;
}

static void relay_open(struct world *w)
{
    say(&w->s.relay[RELAY_LOCAL], 250, "ok");
}

static void relay_percent(struct world *w)
{
    say(&w->s.relay[RELAY_PERCENT], 250, "ok");
}

static void relay_inside(struct world *w)
{
    relay_open(w);
    w->f.hosts[0].addresses[0].is_public = false;
    w->f.private_too = true;
}

static void vrfy_leak(struct world *w)
{
    say(&w->s.steps[TALK_VRFY_POSTMASTER], 252, "postmaster");
    say(&w->s.steps[TALK_VRFY_NOBODY], 550, "5.1.1 unknown");
}

static void expn_leak(struct world *w)
{
    say(&w->s.steps[TALK_EXPN], 250, "<a@example.org>\n<b@example.org>");
}

static void bounce_refused(struct world *w)
{
    say(&w->s.steps[TALK_BOUNCE], 550, "5.7.1 no");
}

static void postmaster_refused(struct world *w)
{
    say(&w->s.steps[TALK_POSTMASTER], 550, "5.1.1 no such user");
}

static void greylisted(struct world *w)
{
    say(&w->s.steps[TALK_POSTMASTER], 450, "4.2.0 greylisted");
}

static void takes_anybody(struct world *w)
{
    say(&w->s.steps[TALK_NOBODY], 250, "ok");
}

static void extensions_missing(struct world *w)
{
    w->s.secured.pipelining = w->s.secured.eightbit = false;
}

static void size_small(struct world *w)
{
    w->s.secured.has_size = true;
    w->s.secured.size_max = 1000000;
}

/* ---- DANE, MTA-STS, TLSRPT ---- */

static void with_tlsa(struct world *w, uint8_t usage)
{
    struct dns_record r = {.usage = usage,
                           .selector = 1,
                           .matching = 1,
                           .bytes = STR("0123456789abcdef0123456789abcdef")};

    w->f.hosts[0].tlsa = found(w, &r, 1);
}

static void dane_mismatch(struct world *w)
{
    with_tlsa(w, 3);
}

static void dane_unusable(struct world *w)
{
    with_tlsa(w, 1);
}

static void dane_insecure(struct world *w)
{
    with_tlsa(w, 3);
    w->f.hosts[0].tlsa.security = DNS_INSECURE;
}

static void dane_no_tls(struct world *w)
{
    with_tlsa(w, 3);
    starttls_missing(w);
}

/* A certificate made on the spot, and a record of the whole of it. */
static void dane_good(struct world *w)
{
    struct test_certificate c = test_certificate_make("mx.example.org", "DNS:mx.example.org", 30);
    unsigned char *der = NULL;
    int n = i2d_X509(c.x509, &der);
    struct dns_record r = {.usage = 3};

    assert_true(n > 0);
    r.bytes = arena_copy(&w->arena, str_n((const char *)der, (size_t)n));
    w->f.hosts[0].tlsa = found(w, &r, 1);
    w->s.tls.certificates[0] = r.bytes;
    w->s.tls.certificate_count = 1;
    OPENSSL_free(der);
    test_certificate_free(&c);
}

static void sts_none(struct world *w)
{
    w->f.sts = absent(DNS_NO_NAME);
}

static void sts_many(struct world *w)
{
    w->f.sts = two(w, "v=STSv1; id=1");
}

static void sts_bad(struct world *w)
{
    w->f.sts = txt(w, "v=STSv1; id=a-b");
}

static void sts_unreachable(struct world *w)
{
    w->f.sts_policy.code = 404;
}

static void sts_policy_bad(struct world *w)
{
    w->f.sts_policy.body = STR("mode: enforce\n");
}

static void sts_type(struct world *w)
{
    w->f.sts_policy.type = STR("text/html");
}

static void sts_mx_missing(struct world *w)
{
    w->f.sts_policy.body = STR(POLICY("enforce", "mx.example.net", "1209600"));
}

static void sts_short(struct world *w)
{
    w->f.sts_policy.body = STR(POLICY("enforce", "mx.example.org", "3600"));
}

static void sts_testing(struct world *w)
{
    w->f.sts_policy.body = STR(POLICY("testing", "mx.example.org", "1209600"));
}

static void tlsrpt_none(struct world *w)
{
    w->f.tlsrpt = absent(DNS_NO_NAME);
}

static void tlsrpt_bad(struct world *w)
{
    w->f.tlsrpt = txt(w, "v=TLSRPTv1; rua=nobody");
}

/* ---- SPF ---- */

static void spf_none(struct world *w)
{
    w->f.txt = txt(w, "hello");
    w->f.spf.nodes[0].record_count = 0;
}

static void spf_many(struct world *w)
{
    w->f.spf.nodes[0].record_count = 2;
    w->f.spf.nodes[0].record = NULL;
}

static void spf_syntax(struct world *w)
{
    spf(w, "v=spf1 ipv4:192.0.2.1 -all");
}

static void spf_lookups(struct world *w)
{
    w->f.spf.lookup_count = 11;
}

static void spf_lookups_near(struct world *w)
{
    w->f.spf.lookup_count = 10;
}

static void spf_voids(struct world *w)
{
    w->f.spf.void_count = 3;
    w->f.spf.void_name = STR("gone.example");
}

static struct fact_spf_node *second_node(struct world *w)
{
    struct fact_spf_node *n = &w->f.spf.nodes[1];

    w->f.spf.node_count = 2;
    *n = (struct fact_spf_node){.domain = STR("spf.example.net"),
                                .term = STR("include:spf.example.net"),
                                .answer = absent(DNS_NO_DATA)};
    return n;
}

static void spf_include_none(struct world *w)
{
    (void)second_node(w);
}

static void spf_loop(struct world *w)
{
    second_node(w)->loop = true;
}

static void spf_many_mx(struct world *w)
{
    w->f.spf.many_mx_count = 1;
}

static void spf_all_pass(struct world *w)
{
    spf(w, "v=spf1 mx +all");
}

static void spf_redirected(struct world *w)
{
    struct fact_spf_node *n;
    struct spf_record *r = arena_alloc(&w->arena, sizeof *r);
    struct record_error error = {0};

    spf(w, "v=spf1 redirect=spf.example.net");
    n = second_node(w);
    n->redirect = true;
    n->record_count = 1;
    n->answer.outcome = DNS_FOUND;
    assert_true(spf_record_parse(STR("v=spf1 all"), r, &error));
    n->record = r;
}

static void spf_all_none(struct world *w)
{
    spf(w, "v=spf1 mx");
}

static void spf_neutral(struct world *w)
{
    spf(w, "v=spf1 mx ?all");
}

static void spf_ptr(struct world *w)
{
    spf(w, "v=spf1 ptr -all");
}

static void spf_mistaken(struct world *w)
{
    spf(w, "v=spf1 ip4=192.0.2.1 -all");
}

static void spf_after_all(struct world *w)
{
    spf(w, "v=spf1 -all mx");
}

/* ---- DKIM and DMARC ---- */

static void key(struct world *w, const char *text)
{
    w->f.selectors[0].answer = txt(w, text);
}

static void dkim_missing(struct world *w)
{
    w->f.selectors[0].answer = absent(DNS_NO_NAME);
}

static void dkim_bad(struct world *w)
{
    key(w, "v=DKIM1; p=xxx");
}

static void dkim_many(struct world *w)
{
    w->f.selectors[0].answer = two(w, "v=DKIM1; k=ed25519; p=" ED25519);
}

static void dkim_weak(struct world *w)
{
    key(w, "v=DKIM1; p=" RSA_512);
}

static void dkim_short(struct world *w)
{
    key(w, "v=DKIM1; p=" RSA_1024);
}

static void dkim_testing(struct world *w)
{
    key(w, "v=DKIM1; t=y; k=ed25519; p=" ED25519);
}

static void dkim_sha1(struct world *w)
{
    key(w, "v=DKIM1; h=sha1; p=" RSA_1024);
}

static void dkim_not_mail(struct world *w)
{
    key(w, "v=DKIM1; s=tlsrpt; p=" RSA_1024);
}

static void dkim_revoked(struct world *w)
{
    key(w, "v=DKIM1; p=");
}

static void dkim_none(struct world *w)
{
    dkim_missing(w);
    w->f.selectors[0].wanted = false;
}

static void dkim_absent(struct world *w)
{
    dkim_none(w);
    w->f.domainkey = absent(DNS_NO_NAME);
}

static void dmarc_none(struct world *w)
{
    w->f.dmarc = absent(DNS_NO_NAME);
}

static void dmarc_many(struct world *w)
{
    w->f.dmarc = two(w, "v=DMARC1; p=none");
}

static void dmarc_bad(struct world *w)
{
    w->f.dmarc = txt(w, "v=DMARC1; p=drop");
}

static void dmarc_odd(struct world *w)
{
    w->f.dmarc = txt(w, "v=DMARC1; p=reject; pct=all; rua=mailto:d@example.org");
}

static void dmarc_unasked(struct world *w)
{
    w->f.report_hosts[0] =
        (struct fact_report_host){.host = STR("r.example"), .answer = absent(DNS_NO_NAME)};
    w->f.report_host_count = 1;
}

static void dmarc_monitor(struct world *w)
{
    w->f.dmarc = txt(w, "v=DMARC1; p=none; rua=mailto:d@example.org");
}

static void dmarc_partial(struct world *w)
{
    w->f.dmarc = txt(w, "v=DMARC1; p=reject; pct=10; rua=mailto:d@example.org");
}

static void dmarc_subdomains(struct world *w)
{
    w->f.dmarc = txt(w, "v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org");
}

static void dmarc_silent(struct world *w)
{
    w->f.dmarc = txt(w, "v=DMARC1; p=reject");
}

static void dmarc_inherited(struct world *w)
{
    w->f.dmarc_above = txt(w, "v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org");
    w->f.organization = STR("org");
    dmarc_none(w);
}

/* ---- a message, and the whole ---- */

static void delivery(struct world *w, uint16_t code, uint8_t class, bool dsn)
{
    w->f.delivery = (struct fact_delivery){.tried = true,
                                           .to = STR("a@example.org"),
                                           .code = code,
                                           .class = class,
                                           .step = STEP_RCPT,
                                           .text = STR("words"),
                                           .dsn = dsn};
}

static void delivery_refused(struct world *w)
{
    delivery(w, 550, 5, false);
}

static void delivery_later(struct world *w)
{
    delivery(w, 0, 4, false);
}

static void delivery_reported(struct world *w)
{
    delivery(w, 250, 2, true);
}

static void delivery_silent(struct world *w)
{
    delivery(w, 250, 2, false);
}

static void cut_short(struct world *w)
{
    w->f.cut_short = true;
}

static const struct {
    void (*change)(struct world *w);
    enum finding_id want;
    int code;          /* of the exit */
    const char *words; /* something that its text says, or NULL */
} cases[] = {
    {good, FINDING_MX_FOUND, 0, "mx.example.org"},
    {good, FINDING_PTR_GOOD, 0, NULL},
    {good, FINDING_DNSSEC_GOOD, 0, NULL},
    {good, FINDING_TLS_GOOD, 0, "TLSv1.3"},
    {good, FINDING_RELAY_GOOD, 0, NULL},
    {good, FINDING_STS_GOOD, 0, NULL},
    {good, FINDING_TLSRPT_GOOD, 0, "mailto:t@example.org"},
    {good, FINDING_SPF_GOOD, 0, "v=spf1 mx -all"},
    {good, FINDING_DKIM_GOOD, 0, "Ed25519 256"},
    {good, FINDING_DMARC_GOOD, 0, "p=reject"},
    {no_domain, FINDING_NO_DOMAIN, EX_NOHOST, "example.org"},
    {dns_silent, FINDING_DNS_SILENT, EX_TEMPFAIL, "no answer in time"},
    {dns_later, FINDING_DNS_LATER, EX_TEMPFAIL, "no answer in time"},
    {dnssec_bogus, FINDING_DNSSEC_BOGUS, EX_UNAVAILABLE, NULL},
    {no_mail_host, FINDING_NO_MAIL_HOST, EX_UNAVAILABLE, NULL},
    {null_mx, FINDING_NULL_MX, 0, NULL},
    {null_mx_mixed, FINDING_NULL_MX_MIXED, EX_UNAVAILABLE, NULL},
    {implicit, FINDING_MX_IMPLICIT, EX_UNAVAILABLE, NULL}, /* and its MTA-STS policy */
    {mx_is_address, FINDING_MX_IS_ADDRESS, EX_UNAVAILABLE, NULL},
    {mx_odd_name, FINDING_MX_ODD_NAME, EX_UNAVAILABLE, NULL},
    {mx_no_address, FINDING_MX_NO_ADDRESS, EX_UNAVAILABLE, NULL},
    {host_no_address, FINDING_HOST_NO_ADDRESS, EX_UNAVAILABLE, NULL},
    {mx_alias, FINDING_MX_ALIAS, 1, "real.example.org"},
    {mx_private, FINDING_MX_PRIVATE, EX_UNAVAILABLE, "192.0.2.1"},
    {ipv6_none, FINDING_IPV6_NONE, 0, NULL},
    {ptr_missing, FINDING_PTR_MISSING, 1, "192.0.2.1"},
    {ptr_mismatch, FINDING_PTR_MISMATCH, 1, NULL},
    {dnssec_none, FINDING_DNSSEC_NONE, 0, NULL},
    {dnssec_unchecked, FINDING_DNSSEC_UNCHECKED, 0, "trust anchor"},
    {mx_unreachable, FINDING_MX_UNREACHABLE, EX_UNAVAILABLE, NULL},
    {mx_unreachable, FINDING_SERVER_UNREACHABLE, EX_UNAVAILABLE, "timed out"},
    {submission_unreachable, FINDING_SUBMISSION_UNREACHABLE, 1, "mx.example.org"},
    {program_port, FINDING_SUBMISSION_FOUND, 0, "PLAIN"},
    {ipv6_not_tried, FINDING_IPV6_NOT_TRIED, 0, NULL},
    {not_smtp, FINDING_NOT_SMTP, EX_UNAVAILABLE, NULL},
    {server_silent, FINDING_SERVER_SILENT, EX_UNAVAILABLE, "greeting"},
    {silent_later, FINDING_SERVER_SILENT, EX_UNAVAILABLE, "MAIL"},
    {server_later, FINDING_SERVER_LATER, EX_TEMPFAIL, "421 too busy"},
    {server_refuses, FINDING_SERVER_REFUSES, EX_UNAVAILABLE, "554 5.7.1 not you"},
    {hung_up, FINDING_HUNG_UP, 0, "EXPN"},
    {greeting_slow, FINDING_GREETING_SLOW, 0, "9 s"},
    {greeting_name, FINDING_GREETING_NAME, 0, "localhost"},
    {ehlo_refused, FINDING_EHLO_REFUSED, 1, "502 what?"},
    {helo_refused, FINDING_HELO_REFUSED, EX_UNAVAILABLE, NULL},
    {starttls_missing, FINDING_STARTTLS_MISSING, EX_UNAVAILABLE, NULL}, /* the policy wants it */
    {starttls_refused, FINDING_STARTTLS_REFUSED, EX_UNAVAILABLE, "454"},
    {tls_failed, FINDING_TLS_FAILED, EX_UNAVAILABLE, "no shared cipher"},
    {tls_only_old, FINDING_TLS_ONLY_OLD, EX_UNAVAILABLE, "TLSv1"},
    {expired, FINDING_CERTIFICATE_EXPIRED, EX_UNAVAILABLE, "2027-01-14"},
    {early, FINDING_CERTIFICATE_EARLY, EX_UNAVAILABLE, "2027-01-16"},
    {soon, FINDING_CERTIFICATE_SOON, 1, "2027-01-18"},
    {wrong_name, FINDING_CERTIFICATE_NAME, EX_UNAVAILABLE, NULL},
    {untrusted, FINDING_CERTIFICATE_UNTRUSTED, EX_UNAVAILABLE, "self-signed"},
    {untrusted, FINDING_STS_TLS_BAD, EX_UNAVAILABLE, "enforce"},
    {weak_key, FINDING_CERTIFICATE_WEAK, 1, NULL},
    {tls_old, FINDING_TLS_OLD, 1, "TLSv1.1"},
    {tls_not_13, FINDING_TLS_NOT_13, 0, NULL},
    {auth_plain_text, FINDING_AUTH_PLAIN_TEXT, 1, "LOGIN"},
    {auth_none, FINDING_AUTH_NONE, 1, NULL},
    {relay_open, FINDING_RELAY_OPEN, EX_UNAVAILABLE, "somebody@here"},
    {relay_percent, FINDING_RELAY_OPEN, EX_UNAVAILABLE, "%"},
    {relay_inside, FINDING_RELAY_INSIDE, 1, NULL},
    {vrfy_leak, FINDING_VRFY_LEAK, 1, "252"},
    {expn_leak, FINDING_EXPN_LEAK, 1, "<a@example.org> <b@example.org>"},
    {bounce_refused, FINDING_BOUNCE_REFUSED, 1, NULL},
    {postmaster_refused, FINDING_POSTMASTER_REFUSED, 1, NULL},
    {greylisted, FINDING_GREYLISTED, 0, NULL},
    {takes_anybody, FINDING_TAKES_ANYBODY, 1, NULL},
    {extensions_missing, FINDING_EXTENSIONS_MISSING, 0, "PIPELINING, 8BITMIME"},
    {size_small, FINDING_SIZE_SMALL, 0, "1.0 MB"},
    {dane_mismatch, FINDING_DANE_MISMATCH, EX_UNAVAILABLE, NULL},
    {dane_unusable, FINDING_DANE_UNUSABLE, 1, "PKIX"},
    {dane_insecure, FINDING_DANE_INSECURE, 1, NULL},
    {dane_no_tls, FINDING_DANE_NO_TLS, EX_UNAVAILABLE, NULL},
    {dane_good, FINDING_DANE_GOOD, 0, NULL},
    {sts_none, FINDING_STS_NONE, 0, NULL},
    {sts_many, FINDING_STS_MANY, 1, NULL},
    {sts_bad, FINDING_STS_BAD, 1, "a-b"},
    {sts_unreachable, FINDING_STS_UNREACHABLE, EX_UNAVAILABLE, "HTTP 404"},
    {sts_policy_bad, FINDING_STS_POLICY_BAD, EX_UNAVAILABLE, "version"},
    {sts_type, FINDING_STS_TYPE, 0, "text/html"},
    {sts_mx_missing, FINDING_STS_MX_MISSING, EX_UNAVAILABLE, "mx.example.org"},
    {sts_short, FINDING_STS_SHORT, 0, "1h"},
    {sts_testing, FINDING_STS_TESTING, 0, "testing"},
    {tlsrpt_none, FINDING_TLSRPT_NONE, 0, NULL},
    {tlsrpt_bad, FINDING_TLSRPT_BAD, 1, "nobody"},
    {spf_none, FINDING_SPF_NONE, 1, NULL},
    {spf_many, FINDING_SPF_MANY, EX_UNAVAILABLE, NULL},
    {spf_syntax, FINDING_SPF_SYNTAX, EX_UNAVAILABLE, "ipv4:192.0.2.1"},
    {spf_lookups, FINDING_SPF_LOOKUPS, EX_UNAVAILABLE, "11"},
    {spf_lookups_near, FINDING_SPF_LOOKUPS_NEAR, 0, "10"},
    {spf_voids, FINDING_SPF_VOIDS, EX_UNAVAILABLE, "gone.example"},
    {spf_include_none, FINDING_SPF_INCLUDE_NONE, EX_UNAVAILABLE, "spf.example.net"},
    {spf_loop, FINDING_SPF_LOOP, EX_UNAVAILABLE, "include:"},
    {spf_many_mx, FINDING_SPF_MANY_MX, EX_UNAVAILABLE, NULL},
    {spf_all_pass, FINDING_SPF_ALL_PASS, EX_UNAVAILABLE, "+all"},
    {spf_redirected, FINDING_SPF_ALL_PASS, EX_UNAVAILABLE, "spf.example.net"},
    {spf_all_none, FINDING_SPF_ALL_NONE, 1, NULL},
    {spf_neutral, FINDING_SPF_NEUTRAL, 0, NULL},
    {spf_ptr, FINDING_SPF_PTR, 1, NULL},
    {spf_mistaken, FINDING_SPF_MISTAKEN, 1, "ip4=192.0.2.1"},
    {spf_after_all, FINDING_SPF_AFTER_ALL, 0, "mx"},
    {dkim_missing, FINDING_DKIM_MISSING, EX_UNAVAILABLE, "s1._domainkey.example.org"},
    {dkim_bad, FINDING_DKIM_BAD, EX_UNAVAILABLE, "base64"},
    {dkim_many, FINDING_DKIM_MANY, 1, NULL},
    {dkim_weak, FINDING_DKIM_WEAK, EX_UNAVAILABLE, "RSA 512"},
    {dkim_short, FINDING_DKIM_SHORT, 1, "RSA 1024"},
    {dkim_testing, FINDING_DKIM_TESTING, 1, NULL},
    {dkim_sha1, FINDING_DKIM_SHA1, EX_UNAVAILABLE, NULL},
    {dkim_not_mail, FINDING_DKIM_NOT_MAIL, 0, NULL},
    {dkim_revoked, FINDING_DKIM_REVOKED, 0, NULL},
    {dkim_none, FINDING_DKIM_NONE, 0, NULL},
    {dkim_absent, FINDING_DKIM_ABSENT, 1, NULL},
    {dmarc_none, FINDING_DMARC_NONE, 1, NULL},
    {dmarc_many, FINDING_DMARC_MANY, EX_UNAVAILABLE, NULL},
    {dmarc_bad, FINDING_DMARC_BAD, EX_UNAVAILABLE, "drop"},
    {dmarc_odd, FINDING_DMARC_ODD, 1, "pct"},
    {dmarc_unasked, FINDING_DMARC_UNASKED, 1, "r.example"},
    {dmarc_monitor, FINDING_DMARC_MONITOR, 0, NULL},
    {dmarc_inherited, FINDING_DMARC_MONITOR, 0, NULL},
    {dmarc_partial, FINDING_DMARC_PARTIAL, 0, "10 percent"},
    {dmarc_subdomains, FINDING_DMARC_SUBDOMAINS, 0, NULL},
    {dmarc_silent, FINDING_DMARC_SILENT, 0, NULL},
    {delivery_refused, FINDING_DELIVERY_REFUSED, EX_UNAVAILABLE, "550 words"},
    {delivery_later, FINDING_DELIVERY_LATER, EX_TEMPFAIL, "words"},
    {delivery_reported, FINDING_DELIVERY_REPORTED, 0, NULL},
    {delivery_silent, FINDING_DELIVERY_SILENT, 0, NULL},
    {cut_short, FINDING_CUT_SHORT, EX_TEMPFAIL, "1m"},
};

static struct world *world_of(void (*change)(struct world *w))
{
    struct world *w = mem_new(sizeof *w);

    good(w);
    change(w);
    w->k.arena = &w->arena;
    judge(&w->f, &w->k);
    return w;
}

static void world_free(struct world *w)
{
    arena_free(&w->arena);
    free(w);
}

static const struct finding *find_in(const struct findings *k, enum finding_id id)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->list[i].id == id)
            return &k->list[i];
    return NULL;
}

static void test_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct world *w = world_of(cases[i].change);
        const struct finding *got = find_in(&w->k, cases[i].want);
        const char *id = finding_rows[cases[i].want].id;
        struct buf text = buf_init(4 * KIB);

        if (!got)
            fail_msg("%s is not found (case %zu)", id, i);
        finding_print(&text, got, false);
        if (strchr(buf_c(&text), '{') || (cases[i].words && !strstr(buf_c(&text), cases[i].words)))
            fail_msg("%s: %s", id, buf_c(&text));
        if (verdict_code(&w->k) != cases[i].code)
            fail_msg("%s (case %zu): code %d", id, i, verdict_code(&w->k));
        assert_non_null(verdict(&w->f, &w->k));
        buf_free(&text);
        world_free(w);
    }
}

static void test_good_is_good(void **state)
{
    struct world *w = world_of(good);

    (void)state;
    for (size_t i = 0; i < w->k.count; i++)
        if (w->k.list[i].severity != SEVERITY_GOOD)
            fail_msg("%s", finding_rows[w->k.list[i].id].id);
    assert_string_equal(verdict(&w->f, &w->k), "All is well with mail to {about}.");
    world_free(w);
}

static void test_verdicts(void **state)
{
    static const struct {
        void (*change)(struct world *w);
        const char *want;
    } verdicts[] = {
        {no_domain, "{about} does not exist."},
        {dns_silent, "Nothing can be said of {about}: its name cannot be looked up."},
        {null_mx, "{about} takes no mail, and says so."},
        {mx_unreachable, "Mail to {about} does not arrive."},
        {no_mail_host, "Mail to {about} does not arrive."},
        {ipv6_not_tried, "It could not be found out whether mail to {about} arrives."},
        {relay_open, "Mail to {about} can arrive, but something is broken."},
        {cut_short,
         "Mail to {about} arrives, as far as it can be seen; not everything could be found out."},
        {tls_old, "Mail to {about} arrives; some things should be better."},
        {program_port, "All is well with {about}."},
    };

    (void)state;
    for (size_t i = 0; i < countof(verdicts); i++) {
        struct world *w = world_of(verdicts[i].change);

        assert_string_equal(verdict(&w->f, &w->k), verdicts[i].want);
        world_free(w);
    }
}

/* A local part that looks like a relay proves nothing where every one is taken. */
static void takes_all_and_percent(struct world *w)
{
    takes_anybody(w);
    relay_percent(w);
}

static void test_no_false_alarms(void **state)
{
    struct world *w = world_of(takes_all_and_percent);

    (void)state;
    assert_null(find_in(&w->k, FINDING_RELAY_OPEN));
    world_free(w);
    w = world_of(expired); /* said once, by its date */
    assert_null(find_in(&w->k, FINDING_CERTIFICATE_UNTRUSTED));
    world_free(w);
    w = world_of(no_domain); /* and nothing else */
    assert_int_equal(w->k.count, 1);
    world_free(w);
}

static void test_order(void **state)
{
    struct world *w = world_of(mx_private);

    (void)state;
    for (size_t i = 1; i < w->k.count; i++)
        assert_true(w->k.list[i - 1].severity < w->k.list[i].severity ||
                    (w->k.list[i - 1].severity == w->k.list[i].severity &&
                     w->k.list[i - 1].id <= w->k.list[i].id));
    world_free(w);
}

static void test_all_are_tried(void **state)
{
    bool tried[FINDING_COUNT] = {0};

    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        tried[cases[i].want] = true;
    for (size_t i = 0; i < FINDING_COUNT; i++) {
        if (!tried[i])
            fail_msg("no case for %s", finding_rows[i].id);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(finding_rows[i].id, finding_rows[k].id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),     cmocka_unit_test(test_good_is_good),
        cmocka_unit_test(test_verdicts), cmocka_unit_test(test_no_false_alarms),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_all_are_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
