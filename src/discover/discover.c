/* discover/discover.c - see discover.h.
 *
 *   six SRV at once -> autoconfig, one place after the other -> MX -> told
 *
 * Each step that says where to send ends it. */
// SPDX-License-Identifier: ISC
#include "discover/discover.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/idn.h"

enum { RECORDS_MAX = 4, TOLD_BYTES_MAX = 400 };

/* In the order of preference: TLS from the first byte on goes first (RFC 8314 3). */
static const struct service {
    const char *name;
    enum provider_protocol protocol;
    enum provider_tls tls;
} services[] = {
    {"_submissions", PROVIDER_SMTP, PROVIDER_TLS_IMPLICIT},
    {"_submission", PROVIDER_SMTP, PROVIDER_TLS_STARTTLS},
    {"_imaps", PROVIDER_IMAP, PROVIDER_TLS_IMPLICIT},
    {"_imap", PROVIDER_IMAP, PROVIDER_TLS_STARTTLS},
    {"_pop3s", PROVIDER_POP, PROVIDER_TLS_IMPLICIT},
    {"_pop3", PROVIDER_POP, PROVIDER_TLS_STARTTLS},
};

static const char *const places[] = {
    "https://autoconfig.%.*s/mail/config-v1.1.xml",
    "https://%.*s/.well-known/autoconfig/mail/config-v1.1.xml",
};

enum { STEPS_MAX = countof(services) + countof(places) + 1 };
static_assert(countof(services) * RECORDS_MAX >= PROVIDER_ENDPOINTS_MAX,
              "the list of endpoints has a bound of its own");

struct asked { /* one service */
    struct discover *of;
    const struct service *service;
    struct discover_step *step;
    struct dns_question question;
    struct dns_record records[RECORDS_MAX]; /* the best first */
    size_t count;
};

struct discover {
    struct loop *loop;
    struct dns *dns;
    const struct providers *known;
    struct http_options http;
    void (*fn)(void *arg, const struct discovered *found);
    void *arg;
    struct arena arena;
    struct str address, domain;
    struct asked asked[countof(services)];
    size_t open_count, later_count; /* of them: not answered yet, and not at all */
    size_t place;                   /* of autoconfig */
    struct http_request *request;
    struct dns_question mx;
    struct provider found;
    struct discover_step steps[STEPS_MAX];
    size_t step_count;
};

/* ---- steps and the end ---- */

static struct discover_step *step_begin(struct discover *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct discover_step *step_begin(struct discover *d, const char *format, ...)
{
    struct discover_step *s = &d->steps[d->step_count++];
    char text[HTTP_URL_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    s->what = arena_copy(&d->arena, str_c(text));
    return s;
}

static void came_of(struct discover *d, struct discover_step *s, struct str words)
{
    s->came_of = arena_copy(&d->arena, str_sub(words, 0, TOLD_BYTES_MAX));
}

static void tell(struct discover *d, const struct provider *provider, const char *how)
{
    struct discovered found = {.provider = provider,
                               .how = how,
                               .later = d->later_count == countof(services),
                               .steps = d->steps,
                               .step_count = d->step_count};

    d->fn(d->arg, &found);
}

static const char *why_none(const struct dns_answer *answer)
{
    return answer->outcome == DNS_NO_NAME   ? N_("no such name")
           : answer->outcome == DNS_NO_DATA ? N_("no such record")
                                            : answer->why;
}

/* ---- MX ---- */

/* The server with the best preference that a known provider has. */
static const struct provider *provider_of(const struct discover *d, const struct dns_answer *answer,
                                          const struct dns_record **ret)
{
    const struct provider *best = NULL;

    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];
        const struct provider *p = r->is_host ? provider_of_mx(d->known, r->name) : NULL;

        if (p && (!best || r->preference < (*ret)->preference)) {
            best = p;
            *ret = r;
        }
    }
    return best;
}

static void say_foreign(struct discover *d, struct discover_step *s,
                        const struct dns_answer *answer)
{
    struct buf words = buf_init(TOLD_BYTES_MAX);

    for (size_t i = 0; i < answer->count; i++)
        if (answer->records[i].is_host && answer->records[i].name.n > 0)
            buf_printf(&words, "%.*s%s", STR_ARG(answer->records[i].name),
                       i + 1 < answer->count ? ", " : "");
    buf_add_c(&words, words.n ? ": of no provider that is known" : N_("it takes no mail"));
    came_of(d, s, buf_str(&words));
    buf_free(&words);
}

static void on_mx(void *arg, const struct dns_answer *answer)
{
    struct discover *d = arg;
    struct discover_step *s = &d->steps[d->step_count - 1];
    const struct dns_record *server = NULL;
    const struct provider *p = provider_of(d, answer, &server);

    if (p) {
        s->useful = true;
        came_of(d, s, server->name);
        tell(d, p, "MX");
        return;
    }
    if (answer->outcome == DNS_FOUND)
        say_foreign(d, s, answer);
    else
        came_of(d, s, str_c(why_none(answer)));
    if (d->found.endpoint_count > 0)
        tell(d, &d->found, "SRV");
    else
        tell(d, NULL, "nobody says which servers it has");
}

static void mx_ask(struct discover *d)
{
    (void)step_begin(d, "%.*s MX", STR_ARG(d->domain));
    dns_ask(d->dns, &d->mx, d->domain, DNS_MX, on_mx, d);
}

/* ---- autoconfig ---- */

static void autoconfig_ask(struct discover *d);

/* Servers that answer everything with their front page are many: do not let them speak of XML. */
static bool is_xml_type(struct str type)
{
    struct str kind = str_trim(str_cut(&type, ';'));

    return kind.n == 0 || str_ends_nocase(kind, STR("xml")) ||
           str_eq_nocase(kind, STR("text/plain")) ||
           str_eq_nocase(kind, STR("application/octet-stream"));
}

static bool take_answer(struct discover *d, const struct http_answer *answer, struct provider *ret,
                        struct buf *why)
{
    if (answer->error)
        return buf_add_c(why, answer->error) && false;
    if (answer->code != 200)
        return buf_printf(why, "HTTP %ld", answer->code) && false;
    if (!is_xml_type(answer->type)) {
        struct str type = str_sub(answer->type, 0, 60);

        return buf_printf(why, "it is %.*s, not XML", utf8_visible(type) ? (int)type.n : 0,
                          type.p) &&
               false;
    }
    return autoconfig_parse(&d->arena, answer->body, d->address, ret, why);
}

static void on_autoconfig(void *arg, const struct http_answer *answer)
{
    struct discover *d = arg;
    struct discover_step *s = &d->steps[d->step_count - 1];
    struct buf why = buf_init(2 * KIB);
    struct provider found;
    bool good = take_answer(d, answer, &found, &why);

    s->useful = good;
    came_of(d, s, good ? found.title : buf_str(&why));
    buf_free(&why);
    http_cancel(&d->request);
    if (good) {
        d->found = found;
        tell(d, &d->found, "autoconfig");
        return;
    }
    autoconfig_ask(d);
}

/* The address goes with the question, as those who keep such files expect: some answer with the
 * login of just this mailbox. It is asked of its own domain. */
static void add_address(struct buf *url, struct str address)
{
    if (str_find(address, '@') == address.n)
        return;
    buf_add_c(url, "?emailaddress=");
    for (size_t i = 0; i < address.n; i++) {
        char c = address.p[i];

        if (char_is_alpha(c) || char_is_digit(c) || c == '.' || c == '-' || c == '_' || c == '@')
            buf_add_char(url, c);
        else
            buf_printf(url, "%%%02X", (unsigned char)c);
    }
}

static void autoconfig_ask(struct discover *d)
{
    while (d->place < countof(places)) {
        struct buf url = buf_init(HTTP_URL_BYTES_MAX);
        char place[DNS_NAME_BYTES_MAX + 100];

        snprintf(place, sizeof place, places[d->place++], STR_ARG(d->domain));
        buf_add_c(&url, place);
        struct discover_step *s = step_begin(d, "%s", place);
        add_address(&url, d->address);
        int error = http_get(d->loop, d->dns, buf_c(&url), &d->http, on_autoconfig, d, &d->request);
        buf_free(&url);
        if (error == 0)
            return;
        came_of(d, s, str_c(N_("it cannot be asked")));
    }
    mx_ask(d);
}

/* ---- SRV ---- */

static bool is_better(const struct dns_record *a, const struct dns_record *b)
{
    return a->preference != b->preference ? a->preference < b->preference : a->weight > b->weight;
}

/* Into the list at its place; what falls off its end is lost. */
static void insert(struct asked *k, struct dns_record record)
{
    size_t at = k->count;

    while (at > 0 && is_better(&record, &k->records[at - 1]))
        at--;
    if (at == RECORDS_MAX)
        return;
    k->count = MIN_OF(k->count + 1, (size_t)RECORDS_MAX);
    memmove(&k->records[at + 1], &k->records[at], (k->count - at - 1) * sizeof k->records[0]);
    record.name = arena_copy(&k->of->arena, record.name);
    k->records[at] = record;
}

static void say_records(struct asked *k, const struct dns_answer *answer)
{
    struct buf words = buf_init(TOLD_BYTES_MAX);

    for (size_t i = 0; i < k->count; i++)
        buf_printf(&words, "%s%.*s:%u", i > 0 ? ", " : "", STR_ARG(k->records[i].name),
                   k->records[i].port);
    if (k->count == 0) /* the root as a host: RFC 2782, RFC 6186 3.4 */
        buf_add_c(&words, answer->outcome == DNS_FOUND ? N_("not offered") : why_none(answer));
    came_of(k->of, k->step, buf_str(&words));
    k->step->useful = k->count > 0;
    buf_free(&words);
}

static void take_services(struct discover *d)
{
    struct provider *p = &d->found;

    for (size_t i = 0; i < countof(d->asked); i++)
        for (size_t j = 0; j < d->asked[i].count; j++) {
            const struct asked *k = &d->asked[i];

            if (p->endpoint_count < PROVIDER_ENDPOINTS_MAX)
                p->endpoints[p->endpoint_count++] =
                    (struct provider_endpoint){.protocol = k->service->protocol,
                                               .host = k->records[j].name,
                                               .port = k->records[j].port,
                                               .tls = k->service->tls};
        }
}

static void on_srv(void *arg, const struct dns_answer *answer)
{
    struct asked *k = arg;
    struct discover *d = k->of;

    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];

        if (r->is_host && r->name.n > 0 && r->port > 0)
            insert(k, *r);
    }
    say_records(k, answer);
    d->later_count += answer->outcome == DNS_LATER;
    if (--d->open_count > 0)
        return;
    take_services(d);
    if (d->later_count == countof(services))
        tell(d, NULL, "names cannot be looked up now");
    else if (provider_endpoint(&d->found, PROVIDER_SMTP))
        tell(d, &d->found, "SRV");
    else
        autoconfig_ask(d);
}

static void srv_ask(struct discover *d)
{
    d->open_count = countof(services);
    for (size_t i = 0; i < countof(services); i++) {
        struct asked *k = &d->asked[i];
        char name[DNS_NAME_BYTES_MAX + 32];
        int n = snprintf(name, sizeof name, "%s._tcp.%.*s", services[i].name, STR_ARG(d->domain));

        k->of = d;
        k->service = &services[i];
        k->step = step_begin(d, "%s SRV", name);
        dns_ask(d->dns, &k->question, str_n(name, (size_t)n), DNS_SRV, on_srv, k);
    }
}

/* ---- life ---- */

/* The domain of the address as it is asked for. */
static bool domain_of(struct arena *a, struct str address, struct str *ret)
{
    size_t at = str_find_last(address, '@');
    struct str domain = at < address.n ? str_skip(address, at + 1) : address;

    if (str_ends(domain, STR(".")))
        domain.n--;
    if (!utf8_is_ascii(domain) && !idn_to_ascii(domain, a, &domain))
        return false;
    if (!domain_valid(domain, false) || domain.p[0] == '[' || str_find(domain, '.') == domain.n ||
        !dns_name_valid(domain))
        return false;
    char *p = arena_c(a, domain);
    for (size_t i = 0; i < domain.n; i++)
        p[i] = char_lower(p[i]);
    *ret = str_n(p, domain.n);
    return true;
}

static void take_options(struct discover *d, const struct http_options *http)
{
    if (http)
        d->http = *http;
    if (http && http->roots)
        d->http.roots = arena_c(&d->arena, str_c(http->roots));
    if (d->http.bytes_max == 0)
        d->http.bytes_max = AUTOCONFIG_BYTES_MAX;
    if (d->http.timeout_ms == 0)
        d->http.timeout_ms = AUTOCONFIG_TIMEOUT_MS;
    d->http.redirects = true;
}

static void discover_release(void *arg)
{
    struct discover *d = arg;

    arena_free(&d->arena);
    free(d);
}

int discover_new(struct loop *l, struct dns *dns, const struct providers *known, struct str address,
                 const struct http_options *http,
                 void (*fn)(void *arg, const struct discovered *found), void *arg,
                 struct discover **ret)
{
    struct discover *d = mem_new(sizeof *d);
    size_t at = str_find_last(address, '@');

    *d = (struct discover){.loop = l, .dns = dns, .known = known, .fn = fn, .arg = arg};
    if (!domain_of(&d->arena, address, &d->domain)) {
        discover_release(d);
        return -EINVAL;
    }
    d->address = d->domain;
    if (at > 0 && at < address.n)
        d->address = arena_printf(&d->arena, "%.*s@%.*s", (int)at, address.p, STR_ARG(d->domain));
    take_options(d, http);
    d->found = (struct provider){.name = d->domain, .title = d->domain};
    d->found.endpoints =
        arena_alloc(&d->arena, PROVIDER_ENDPOINTS_MAX * sizeof *d->found.endpoints);
    d->found.domains = arena_alloc(&d->arena, sizeof *d->found.domains);
    d->found.domains[d->found.domain_count++] = d->domain;
    srv_ask(d);
    *ret = d;
    return 0;
}

/* Nothing happens any more; what fn was given may be looked at until the turn is over. */
void discover_free(struct discover **d)
{
    struct discover *old = *d;

    *d = NULL;
    if (!old)
        return;
    for (size_t i = 0; i < countof(old->asked); i++)
        dns_cancel(&old->asked[i].question);
    dns_cancel(&old->mx);
    http_cancel(&old->request);
    loop_bury(old->loop, discover_release, old);
}
