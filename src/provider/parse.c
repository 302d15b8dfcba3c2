/* provider/parse.c - the text of a file of providers, line by line.
 *
 * A mistake is noted and the next line read, so that one look shows them all. Everything is
 * bounded by constants of provider.h; names and domains are found in maps, so that a hostile file
 * costs no more than its length. */
// SPDX-License-Identifier: ISC
#include <arpa/inet.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/idn.h"
#include "provider/provider.h"

enum { MISTAKES_MAX = 20, SHOWN_BYTES_MAX = 60, ADVICE_BYTES_MAX = 2000, WORD_BYTES_MAX = 200 };
static const uint64_t MESSAGE_BYTES_MAX = UINT64_C(1) << 40;

struct reading {
    struct arena *arena;
    struct buf *error;
    const char *file;
    unsigned line, mistakes;
    struct provider *list; /* of this file */
    size_t count;
    struct provider *now;                     /* whose section it is; NULL: before the first */
    uint64_t said;                            /* statements of the section that may stand once */
    bool sourced;                             /* nothing was said since the last source */
    size_t endpoints_sourced, limits_sourced; /* so many have theirs */
    struct map *names, *domains, *mx;         /* whose they are */
};

struct statement {
    const char *word;
    bool once, figure; /* a figure wants a source */
    bool (*read)(struct reading *r, const struct statement *s, struct str rest);
};

/* ---- mistakes ---- */

static bool wrong(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct reading *r, const char *format, ...)
{
    char text[600];
    va_list arguments;

    if (r->mistakes++ >= MISTAKES_MAX)
        return false;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buf_printf(r->error, "%s:%u: %s\n", r->file, r->line, text);
    if (r->mistakes == MISTAKES_MAX)
        buf_printf(r->error, "%s: and more is wrong; the first %d are above\n", r->file,
                   MISTAKES_MAX);
    return false;
}

/* As much of something from the file as is shown: whole characters. */
static struct str shown(struct str s)
{
    size_t n = MIN_OF(s.n, (size_t)SHOWN_BYTES_MAX);

    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return str_sub(s, 0, n);
}

#define SHOWN(s) STR_ARG(shown(s)) /* for "%.*s" */

/* ---- words ---- */

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_c(a, s);

    for (size_t i = 0; i < s.n; i++)
        p[i] = char_lower(p[i]);
    return str_n(p, s.n);
}

static bool is_name(struct str s)
{
    if (s.n == 0 || s.n > PROVIDER_NAME_BYTES_MAX || s.p[0] < 'a' || s.p[0] > 'z' ||
        s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !char_is_digit(s.p[i]) && s.p[i] != '-' &&
            s.p[i] != '.')
            return false;
    return true;
}

/* A domain in A-labels and small letters. */
static bool read_domain(struct reading *r, struct str word, struct str *ret)
{
    struct str ascii = word;
    bool good = utf8_is_ascii(word) || idn_to_ascii(word, r->arena, &ascii);

    if (!good || ascii.n == 0 || ascii.p[0] == '[' || !domain_valid(ascii, false) ||
        str_find(ascii, '.') == ascii.n)
        return false;
    *ret = lower(r->arena, ascii);
    return true;
}

static bool is_address(struct str host)
{
    uint8_t bytes[16];
    char text[64];

    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* "smtp.yandex.ru:465", "127.0.0.1:1025", "[::1]:1025" */
static bool read_host_port(struct reading *r, struct str word, struct provider_endpoint *to)
{
    size_t colon = str_find_last(word, ':');
    struct str host = str_sub(word, 0, colon);
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    uint64_t port;

    if (colon == word.n || !str_u64(str_skip(word, colon + 1), &port) || port < 1 || port > 65535)
        return false;
    if (bracketed)
        host = str_sub(host, 1, host.n - 1);
    to->port = (uint16_t)port;
    to->host = host;
    if (is_address(host))
        return bracketed == (str_find(host, ':') < host.n);
    return !bracketed && read_domain(r, host, &to->host);
}

/* ---- statements ---- */

static bool add_name(struct reading *r, struct str name)
{
    struct provider *other;

    if (!is_name(name))
        return wrong(
            r,
            "\"%.*s\" is no name for a provider; write up to %d small letters, digits, dots "
            "and -, as in: provider yandex",
            SHOWN(name), PROVIDER_NAME_BYTES_MAX);
    other = map_get(r->names, name);
    if (other)
        return wrong(r, "%.*s is already a name of provider %.*s; each has names of its own",
                     STR_ARG(name), SHOWN(other->name));
    (void)map_put(r->names, name, r->now);
    return true;
}

/* A section with a mistake in its first line is read on, for the mistakes in it. */
static bool begin_provider(struct reading *r, struct str rest)
{
    struct arena *a = r->arena;
    struct provider *p = &r->list[r->count++];

    p->name = p->title = str_trim(rest);
    p->also = arena_alloc(a, PROVIDER_NAMES_MAX * sizeof *p->also);
    p->domains = arena_alloc(a, PROVIDER_DOMAINS_MAX * sizeof *p->domains);
    p->mx = arena_alloc(a, PROVIDER_NAMES_MAX * sizeof *p->mx);
    p->endpoints = arena_alloc(a, PROVIDER_ENDPOINTS_MAX * sizeof *p->endpoints);
    p->limits = arena_alloc(a, PROVIDER_LIMITS_MAX * sizeof *p->limits);
    p->sources = arena_alloc(a, PROVIDER_SOURCES_MAX * sizeof *p->sources);
    r->now = p;
    r->said = 0;
    r->sourced = true;
    r->endpoints_sourced = r->limits_sourced = 0;
    return add_name(r, p->name);
}

static bool read_title(struct reading *r, const struct statement *s, struct str rest)
{
    r->now->title = rest;
    return true;
}

static bool read_also(struct reading *r, const struct statement *s, struct str rest)
{
    struct provider *p = r->now;
    bool good = true;

    while (rest.n > 0) {
        struct str word = str_cut_word(&rest);

        if (p->also_count == PROVIDER_NAMES_MAX)
            return wrong(r, "a provider can have %d further names", PROVIDER_NAMES_MAX);
        p->also[p->also_count] = word;
        if (add_name(r, word))
            p->also_count++;
        else
            good = false;
    }
    return good;
}

/* Domains of addresses, or of MX: each belongs to one provider. */
static bool read_domains(struct reading *r, struct str rest, struct map *owners, struct str *list,
                         size_t *count, size_t count_max)
{
    bool good = true;

    while (rest.n > 0) {
        struct str word = str_cut_word(&rest), domain;

        if (!read_domain(r, word, &domain)) {
            good = wrong(r,
                         "\"%.*s\" is no domain; write domains such as example.org, with blanks "
                         "between them",
                         SHOWN(word));
            continue;
        }
        struct provider *other = map_get(owners, domain);
        if (other) {
            good = wrong(r, "%.*s already belongs to provider %.*s; a domain belongs to one",
                         SHOWN(domain), SHOWN(other->name));
            continue;
        }
        if (*count == count_max)
            return wrong(r, "a provider can have %zu of them", count_max);
        list[(*count)++] = domain;
        (void)map_put(owners, domain, r->now);
    }
    return good;
}

static bool read_domain_list(struct reading *r, const struct statement *s, struct str rest)
{
    return read_domains(r, rest, r->domains, r->now->domains, &r->now->domain_count,
                        PROVIDER_DOMAINS_MAX);
}

static bool read_mx(struct reading *r, const struct statement *s, struct str rest)
{
    return read_domains(r, rest, r->mx, r->now->mx, &r->now->mx_count, PROVIDER_NAMES_MAX);
}

static const char *const protocol_words[] = {
    [PROVIDER_SMTP] = "smtp",
    [PROVIDER_POP] = "pop",
    [PROVIDER_IMAP] = "imap",
};
static_assert(countof(protocol_words) == PROVIDER_PROTOCOL_COUNT, "each has its word");

static const char *const tls_words[] = {
    [PROVIDER_TLS_NONE] = "plain",
    [PROVIDER_TLS_STARTTLS] = "starttls",
    [PROVIDER_TLS_IMPLICIT] = "tls",
};

static bool find_word(const char *const *words, size_t count, struct str word, unsigned *ret)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_c(word, words[i])) {
            *ret = (unsigned)i;
            return true;
        }
    return false;
}

static bool read_endpoint(struct reading *r, const struct statement *s, struct str rest)
{
    struct provider *p = r->now;
    struct str host = str_cut_word(&rest), tls = str_cut_word(&rest);
    struct provider_endpoint e = {0};
    unsigned protocol = 0, kind = 0;

    check(find_word(protocol_words, countof(protocol_words), str_c(s->word), &protocol));
    if (!read_host_port(r, host, &e))
        return wrong(r, "\"%.*s\" is no host and port; write %s mail.example.org:465 tls",
                     SHOWN(host), s->word);
    if (rest.n > 0 || !find_word(tls_words, countof(tls_words), tls, &kind))
        return wrong(r,
                     "\"%.*s\" behind %.*s: write tls (from the first byte on), starttls, or plain",
                     SHOWN(tls), SHOWN(host));
    if (p->endpoint_count == PROVIDER_ENDPOINTS_MAX)
        return wrong(r, "a provider can have %d servers", PROVIDER_ENDPOINTS_MAX);
    e.protocol = (enum provider_protocol)protocol;
    e.tls = (enum provider_tls)kind;
    p->endpoints[p->endpoint_count++] = e;
    return true;
}

static bool read_login(struct reading *r, const struct statement *s, struct str rest)
{
    static const char *const words[] = {
        [PROVIDER_LOGIN_ADDRESS] = "address",
        [PROVIDER_LOGIN_NAME] = "name",
        [PROVIDER_LOGIN_GIVEN] = "given",
        [PROVIDER_LOGIN_WORD] = "word",
    };
    struct str kind = str_cut_word(&rest);
    unsigned login = 0;

    if (!find_word(words, countof(words), kind, &login) ||
        (login == PROVIDER_LOGIN_WORD) != (rest.n > 0) || rest.n > WORD_BYTES_MAX)
        return wrong(r, "write login address (all of it), login name (what is before the @), login "
                        "given (one that the provider gives), or login word WORD (the same for "
                        "everybody)");
    r->now->login = (enum provider_login)login;
    r->now->login_word = rest;
    return true;
}

static bool read_oauth(struct reading *r, const struct statement *s, struct str rest)
{
    static const char *const words[] = {"no", "yes", "only"};
    unsigned answer = 0;

    if (!find_word(words, countof(words), rest, &answer))
        return wrong(r, "write oauth yes, oauth no, or oauth only (then no password is taken)");
    r->now->oauth = answer > 0;
    r->now->oauth_only = answer == 2;
    return true;
}

static bool read_pop_first(struct reading *r, const struct statement *s, struct str rest)
{
    static const char *const words[] = {"no", "yes"};
    unsigned answer = 0;

    if (!find_word(words, countof(words), rest, &answer))
        return wrong(r, "write pop-first yes (mail is fetched by POP before any is sent) or no");
    r->now->pop_first = answer == 1;
    return true;
}

/* ---- limits ---- */

static bool limit_form(struct reading *r, struct str rest)
{
    return wrong(r,
                 "\"%.*s\" is no limit; write one of: limit 500 messages a day, limit 100 "
                 "recipients an hour, limit 50 messages in 15 minutes, limit 50 recipients a "
                 "message, limit 25M a message",
                 SHOWN(rest));
}

/* "1 message" or "500 messages" */
static bool is_counted(struct str what, bool *ret_recipients)
{
    if (str_ends(what, STR("s")))
        what.n--;
    *ret_recipients = str_eq_c(what, "recipient");
    return *ret_recipients || str_eq_c(what, "message");
}

/* "day", or "days" where there are several. */
static bool read_unit(struct str word, bool several, uint64_t *ret_us)
{
    static const struct {
        const char *word;
        uint64_t us;
    } units[] = {
        {"second", US_PER_S},
        {"minute", 60 * US_PER_S},
        {"hour", 3600 * US_PER_S},
        {"day", 86400 * US_PER_S},
    };

    if (several && str_ends(word, STR("s")))
        word.n--;
    for (size_t i = 0; i < countof(units); i++)
        if (str_eq_c(word, units[i].word)) {
            *ret_us = units[i].us;
            return true;
        }
    return false;
}

/* "a day", "an hour", "in 5 minutes" */
static bool read_time(struct str rest, uint64_t *ret_us)
{
    enum { UNITS_MAX = 1000 };
    struct str article = str_cut_word(&rest);
    bool several = str_eq_c(article, "in");
    uint64_t count = 1, unit;

    if (several && (!str_u64(str_cut_word(&rest), &count) || count < 1 || count > UNITS_MAX))
        return false;
    if (!several && !str_eq_c(article, "a") && !str_eq_c(article, "an"))
        return false;
    if (!read_unit(rest, several, &unit))
        return false;
    *ret_us = count * unit;
    return true;
}

static bool is_of_message(struct str rest)
{
    return str_eq_c(str_cut_word(&rest), "a") && str_eq_c(rest, "message");
}

/* "25M a message" */
static bool read_size(struct str size, struct str rest, uint64_t *ret)
{
    static const struct {
        char letter;
        unsigned shift;
    } units[] = {{'K', 10}, {'M', 20}, {'G', 30}};
    uint64_t n;

    if (size.n < 2 || !is_of_message(rest))
        return false;
    for (size_t i = 0; i < countof(units); i++)
        if (size.p[size.n - 1] == units[i].letter && str_u64(str_sub(size, 0, size.n - 1), &n) &&
            n > 0 && n <= MESSAGE_BYTES_MAX >> units[i].shift) {
            *ret = n << units[i].shift;
            return true;
        }
    return false;
}

static bool once(struct reading *r, uint64_t *figure, uint64_t value, struct str all)
{
    if (*figure > 0)
        return wrong(r, "limit %.*s: this was said before; keep one", SHOWN(all));
    *figure = value;
    return true;
}

static bool add_limit(struct reading *r, const struct provider_limit *limit, struct str all)
{
    struct provider *p = r->now;

    for (size_t i = 0; i < p->limit_count; i++)
        if (p->limits[i].in_us == limit->in_us && p->limits[i].recipients == limit->recipients)
            return wrong(r, "limit %.*s: there is one for this time already; keep one", SHOWN(all));
    if (p->limit_count == PROVIDER_LIMITS_MAX)
        return wrong(r, "a provider can have %d limits", PROVIDER_LIMITS_MAX);
    p->limits[p->limit_count++] = *limit;
    return true;
}

static bool read_limit(struct reading *r, const struct statement *s, struct str rest)
{
    struct provider *p = r->now;
    struct str all = rest, count = str_cut_word(&rest);
    struct provider_limit limit = {0};
    uint64_t bytes;

    if (read_size(count, rest, &bytes))
        return once(r, &p->message_bytes_max, bytes, all);

    struct str what = str_cut_word(&rest);

    if (!str_u64(count, &limit.count) || limit.count == 0 || !is_counted(what, &limit.recipients))
        return limit_form(r, all);
    if (limit.recipients && is_of_message(rest))
        return once(r, &p->recipients_max, limit.count, all);
    if (!read_time(rest, &limit.in_us))
        return limit_form(r, all);
    return add_limit(r, &limit, all);
}

/* ---- advice and sources ---- */

static bool add_advice(struct reading *r, struct str *to, struct str rest)
{
    if (to->n + 1 + rest.n > ADVICE_BYTES_MAX)
        return wrong(r, "this advice is longer than %d bytes", ADVICE_BYTES_MAX);
    *to = to->n == 0 ? rest : arena_printf(r->arena, "%.*s %.*s", STR_ARG(*to), STR_ARG(rest));
    return true;
}

static bool read_advice(struct reading *r, const struct statement *s, struct str rest)
{
    return add_advice(r, &r->now->advice, rest);
}

static bool read_advice_ru(struct reading *r, const struct statement *s, struct str rest)
{
    return add_advice(r, &r->now->advice_ru, rest);
}

/* It is that of everything above it, up to the source before. */
static void spread_source(struct reading *r, const struct provider_source *source)
{
    struct provider *p = r->now;

    while (r->endpoints_sourced < p->endpoint_count)
        p->endpoints[r->endpoints_sourced++].source = source;
    while (r->limits_sourced < p->limit_count)
        p->limits[r->limits_sourced++].source = source;
    if (p->recipients_max > 0 && !p->recipients_source)
        p->recipients_source = source;
    if (p->message_bytes_max > 0 && !p->message_source)
        p->message_source = source;
    r->sourced = true;
}

static bool read_source(struct reading *r, const struct statement *s, struct str rest)
{
    struct provider *p = r->now;
    struct str date = str_cut_word(&rest);
    uint64_t day;

    if (!day_parse(date, &day) || rest.n == 0)
        return wrong(r, "write the day when it was looked up, and where: source 2026-11-27 "
                        "https://example.org/help");
    if (p->source_count == PROVIDER_SOURCES_MAX)
        return wrong(r, "a provider can have %d sources", PROVIDER_SOURCES_MAX);
    p->sources[p->source_count] = (struct provider_source){.date = date, .where = rest};
    spread_source(r, &p->sources[p->source_count++]);
    p->source = p->sources[0].where;
    p->date = p->sources[0].date;
    return true;
}

/* ---- lines ---- */

static const struct statement statements[] = {
    /* word      once   figure */
    {"title", true, false, read_title},         {"also", false, false, read_also},
    {"domains", false, true, read_domain_list}, {"mx", false, true, read_mx},
    {"smtp", false, true, read_endpoint},       {"pop", false, true, read_endpoint},
    {"imap", false, true, read_endpoint},       {"login", true, true, read_login},
    {"oauth", true, true, read_oauth},          {"pop-first", true, true, read_pop_first},
    {"limit", false, true, read_limit},         {"advice", false, true, read_advice},
    {"advice-ru", false, true, read_advice_ru}, {"source", false, false, read_source},
};
static_assert(countof(statements) <= 64, "`said` has a bit for each");

static bool unknown_word(struct reading *r, struct str word)
{
    char all[300];
    size_t n = 0;

    for (size_t i = 0; i < countof(statements); i++)
        n += (size_t)snprintf(all + n, sizeof all - n, " %s", statements[i].word);
    return wrong(r, "\"%.*s\" is not known here; a line begins with one of: provider%s",
                 SHOWN(word), all);
}

static bool read_statement(struct reading *r, struct str word, struct str rest)
{
    size_t i = 0;

    while (i < countof(statements) && !str_eq_c(word, statements[i].word))
        i++;
    if (i == countof(statements))
        return unknown_word(r, word);
    if (!r->now)
        return wrong(r, "%.*s of whom? Write a line such as \"provider example\" before it",
                     STR_ARG(word));
    if (rest.n == 0)
        return wrong(r, "%.*s: nothing follows it", STR_ARG(word));
    if (statements[i].once && r->said >> i & 1)
        return wrong(r, "%.*s was already said of provider %.*s; say it once", STR_ARG(word),
                     SHOWN(r->now->name));
    r->said |= UINT64_C(1) << i;
    r->sourced = r->sourced && !statements[i].figure;
    return statements[i].read(r, &statements[i], rest);
}

static void end_provider(struct reading *r)
{
    if (r->now)
        r->now->unsourced = !r->sourced;
}

static bool read_line(struct reading *r, struct str line)
{
    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return true;
    if (!utf8_visible(line))
        return wrong(r, "this line has characters that cannot be shown; write UTF-8");

    struct str word = str_cut_word(&line);

    if (!str_eq_c(word, "provider"))
        return read_statement(r, word, line);
    end_provider(r);
    return begin_provider(r, line);
}

/* Room for the list is made at once, so that its rows stay where they are. */
static size_t count_providers(struct str text)
{
    size_t count = 0;

    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));

        count += str_eq_c(str_cut_word(&line), "provider");
    }
    return count;
}

/* ---- the whole ---- */

static bool is_replaced(const struct reading *r, const struct provider *old)
{
    const struct provider *now = map_get(r->names, old->name);

    return now && str_eq(now->name, old->name);
}

static bool merge(struct reading *r, const struct providers *base, struct providers *ret)
{
    size_t base_count = base ? base->count : 0, n = 0;
    struct provider *all = arena_alloc(r->arena, (base_count + r->count + 1) * sizeof *all);

    for (size_t i = 0; i < base_count; i++)
        if (!is_replaced(r, &base->list[i]))
            all[n++] = base->list[i];
    if (r->count > 0)
        memcpy(all + n, r->list, r->count * sizeof *all);
    if (n + r->count > PROVIDERS_MAX)
        return wrong(r, "with those of other files there are more than %d providers",
                     PROVIDERS_MAX);
    *ret = (struct providers){.list = all, .count = n + r->count};
    return true;
}

/* A copy in which tabs are blanks: they are the same in this form, and a title is shown. */
static struct str with_blanks(struct arena *a, struct str text)
{
    char *p = arena_c(a, text);

    for (size_t i = 0; i < text.n; i++)
        if (p[i] == '\t')
            p[i] = ' ';
    return str_n(p, text.n);
}

static void read_lines(struct reading *r, struct str text)
{
    while (text.n > 0) {
        r->line++;
        (void)read_line(r, str_cut(&text, '\n')); /* its mistake was counted */
    }
    end_provider(r);
}

bool providers_parse(struct arena *a, struct str text, const char *file,
                     const struct providers *base, struct providers *ret, struct buf *error)
{
    struct reading r = {.arena = a, .error = error, .file = file};
    size_t count = text.n <= PROVIDER_FILE_BYTES_MAX ? count_providers(text) : 0;

    if (text.n > PROVIDER_FILE_BYTES_MAX || count > PROVIDERS_MAX) {
        buf_printf(error, "%s: too long; it may have %d KiB and %d providers\n", file,
                   PROVIDER_FILE_BYTES_MAX / 1024, PROVIDERS_MAX);
        return false;
    }
    r.list = arena_alloc(a, (count + 1) * sizeof *r.list);
    r.names = map_new();
    r.domains = map_new();
    r.mx = map_new();
    read_lines(&r, with_blanks(a, text));
    bool good = r.mistakes == 0 && merge(&r, base, ret);
    map_free(&r.names);
    map_free(&r.domains);
    map_free(&r.mx);
    return good;
}
