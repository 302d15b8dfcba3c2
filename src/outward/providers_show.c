/* outward/providers_show.c - see providers.h. For a person in their language; advice too, where the
 * file has it. */
// SPDX-License-Identifier: ISC
#include <assert.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "outward/providers.h"

enum { LABEL_COLUMNS = 20, WIDTH_MIN = 40, WIDTH_USUAL = 100 };

static const char *const protocol_keys[] = {
    [PROVIDER_SMTP] = "smtp",
    [PROVIDER_POP] = "pop",
    [PROVIDER_IMAP] = "imap",
};
static const char *const protocol_labels[] = {
    [PROVIDER_SMTP] = N_("Send by SMTP"),
    [PROVIDER_POP] = N_("Fetch by POP3"),
    [PROVIDER_IMAP] = N_("Fetch by IMAP"),
};
static const char *const tls_keys[] = {
    [PROVIDER_TLS_NONE] = "none",
    [PROVIDER_TLS_STARTTLS] = "starttls",
    [PROVIDER_TLS_IMPLICIT] = "implicit",
};
static const char *const tls_words[] = {
    [PROVIDER_TLS_NONE] = N_("no TLS"),
    [PROVIDER_TLS_STARTTLS] = N_("STARTTLS"),
    [PROVIDER_TLS_IMPLICIT] = N_("TLS"),
};
static const char *const login_keys[] = {
    [PROVIDER_LOGIN_ADDRESS] = "address",
    [PROVIDER_LOGIN_NAME] = "name",
    [PROVIDER_LOGIN_GIVEN] = "given",
    [PROVIDER_LOGIN_WORD] = "word",
};

/* ---- columns ---- */

static size_t columns_of(struct str s)
{
    size_t columns = 0;
    uint32_t c;

    for (; s.n > 0; columns++)
        if (!utf8_cut(&s, &c))
            s = str_skip(s, 1);
    return columns;
}

static void print_column(struct str text, size_t width)
{
    size_t columns = print_text(text);

    printf("%*s", columns < width ? (int)(width - columns) : 1, "");
}

/* The label of the first line, blanks before the others. */
static void print_label(const char **label)
{
    print_column(str_c(*label), LABEL_COLUMNS);
    *label = "";
}

static size_t terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return WIDTH_USUAL;
    return MAX_OF((size_t)size.ws_col, (size_t)WIDTH_MIN);
}

/* Words, as many in a line as fit. */
static void print_wrapped(const char *label, struct str text)
{
    size_t room = terminal_width() - LABEL_COLUMNS - 1, used = 0;

    if (text.n == 0)
        return;
    print_label(&label);
    while (text.n > 0) {
        struct str word = str_cut_word(&text);
        size_t columns = columns_of(word);

        if (used > 0 && used + 1 + columns > room) {
            putchar('\n');
            print_label(&label);
            used = 0;
        }
        if (used > 0)
            putchar(' ');
        print_text(word);
        used += columns + (used > 0);
    }
    putchar('\n');
}

/* ---- limits in words ---- */

static const struct unit {
    uint64_t us;
    const char *one;
} units[] = {
    {86400 * US_PER_S, N_("a day")},
    {3600 * US_PER_S, N_("an hour")},
    {60 * US_PER_S, N_("a minute")},
    {US_PER_S, N_("a second")},
};

/* Likewise of several; gettext wants to see the two forms side by side. */
static const char *in_several(size_t unit, unsigned long n)
{
    const char *const forms[] = {
        n_("in %lu day", "in %lu days", n),
        n_("in %lu hour", "in %lu hours", n),
        n_("in %lu minute", "in %lu minutes", n),
        n_("in %lu second", "in %lu seconds", n),
    };

    static_assert(countof(forms) == countof(units), "each has its form");
    return forms[unit];
}

static void add_time(struct buf *to, uint64_t us)
{
    size_t i = 0;

    while (i + 1 < countof(units) && us % units[i].us != 0)
        i++;
    unsigned long n = (unsigned long)(us / units[i].us);
    char text[100];
    snprintf(text, sizeof text, in_several(i, n), n);
    buf_add_c(to, n == 1 ? _(units[i].one) : text);
}

static void add_count(struct buf *to, uint64_t count, bool recipients)
{
    unsigned long n = (unsigned long)count;

    if (recipients)
        buf_printf(to, n_("%lu recipient", "%lu recipients", n), n);
    else
        buf_printf(to, n_("%lu message", "%lu messages", n), n);
}

static void add_limit(struct buf *to, const struct provider_limit *limit)
{
    add_count(to, limit->count, limit->recipients);
    buf_add_char(to, ' ');
    add_time(to, limit->in_us);
}

static void add_size(struct buf *to, uint64_t bytes)
{
    if (bytes % MIB == 0)
        buf_printf(to, _("%llu MiB a message"), (unsigned long long)(bytes / MIB));
    else
        buf_printf(to, _("%llu KiB a message"), (unsigned long long)(bytes / KIB));
}

/* ---- one provider ---- */

/* "[2]", as it stands in the list of sources. */
static void print_source(const struct provider *p, const struct provider_source *source)
{
    if (source)
        printf("  [%zu]", (size_t)(source - p->sources) + 1);
    putchar('\n');
}

static size_t longest_host(const struct provider *p)
{
    size_t longest = 0;

    for (size_t i = 0; i < p->endpoint_count; i++)
        longest = MAX_OF(longest, p->endpoints[i].host.n);
    return longest;
}

static void print_endpoint(const struct provider *p, const struct provider_endpoint *e)
{
    char port[40];

    print_column(e->host, longest_host(p) + 2);
    snprintf(port, sizeof port, _("port %u"), e->port);
    print_column(str_c(port), 12);
    if (e->source)
        print_column(str_c(_(tls_words[e->tls])), 9);
    else
        print_text(str_c(_(tls_words[e->tls])));
    print_source(p, e->source);
}

static void print_endpoints(const struct provider *p, enum provider_protocol protocol)
{
    const char *label = _(protocol_labels[protocol]);

    for (size_t i = 0; i < p->endpoint_count; i++)
        if (p->endpoints[i].protocol == protocol) {
            print_label(&label);
            print_endpoint(p, &p->endpoints[i]);
        }
    if (protocol == PROVIDER_SMTP && !provider_endpoint(p, protocol)) {
        print_label(&label);
        printf("%s\n", _("the server is not known"));
    }
}

/* For an address its login, else how it is made of one. */
static void print_login(const struct provider_view *v)
{
    static const char *const words[] = {
        [PROVIDER_LOGIN_ADDRESS] = N_("the whole address"),
        [PROVIDER_LOGIN_NAME] = N_("what is before the @"),
        [PROVIDER_LOGIN_GIVEN] = N_("the one that the provider gave you"),
        [PROVIDER_LOGIN_WORD] = "",
    };
    const struct provider *p = v->provider;
    bool address = str_find(v->asked, '@') < v->asked.n && p->login != PROVIDER_LOGIN_GIVEN;
    const char *label = _("User name");

    print_label(&label);
    if (address || p->login == PROVIDER_LOGIN_WORD)
        print_text(provider_login_of(p, v->asked));
    else
        printf("%s", _(words[p->login]));
    putchar('\n');
}

static void print_fact(const char *label, bool is_so, const char *words)
{
    if (is_so)
        print_wrapped(label, str_c(words));
}

static void print_figure(const char **label, struct buf *text, const struct provider *p,
                         const struct provider_source *source)
{
    print_label(label);
    if (source)
        print_column(buf_str(text), 40);
    else
        print_text(buf_str(text));
    print_source(p, source);
    buf_reset(text);
}

static void print_limits(const struct provider *p)
{
    const char *label = _("Limits");
    struct buf text = buf_init(500);

    for (size_t i = 0; i < p->limit_count; i++) {
        add_limit(&text, &p->limits[i]);
        print_figure(&label, &text, p, p->limits[i].source);
    }
    if (p->recipients_max > 0) {
        add_count(&text, p->recipients_max, true);
        buf_add_char(&text, ' ');
        buf_add_c(&text, _("a message"));
        print_figure(&label, &text, p, p->recipients_source);
    }
    if (p->message_bytes_max > 0) {
        add_size(&text, p->message_bytes_max);
        print_figure(&label, &text, p, p->message_source);
    }
    buf_free(&text);
}

/* The language of messages, as gettext goes by: LANGUAGE, then the locale. */
static bool speaks_russian(void)
{
    const char *language = getenv("LANGUAGE");
    const char *locale = setlocale(LC_MESSAGES, NULL);

    if (!locale || strcmp(locale, "C") == 0)
        return false;
    return strncmp(language && *language ? language : locale, "ru", 2) == 0;
}

static void print_domains(const char *label, const char *before, const struct str *list,
                          size_t count)
{
    struct buf text = buf_init(64 * KIB);

    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%.*s ", before, STR_ARG(list[i]));
    print_wrapped(label, buf_str(&text));
    buf_free(&text);
}

static void print_sources(const struct provider *p)
{
    for (size_t i = 0; i < p->source_count; i++) {
        struct buf text = buf_init(8 * KIB);

        buf_printf(&text, "[%zu] %.*s %.*s", i + 1, STR_ARG(p->sources[i].date),
                   STR_ARG(p->sources[i].where));
        print_wrapped(i == 0 ? _("Sources") : "", buf_str(&text));
        buf_free(&text);
    }
}

/* ---- how it was found ---- */

static bool is_below(struct str host, struct str domain)
{
    return str_eq_nocase(host, domain) || (host.n > domain.n && str_ends_nocase(host, domain) &&
                                           host.p[host.n - domain.n - 1] == '.');
}

/* RFC 6186 6: DNS alone says so, and whoever answers for it could have said anything. */
static void warn_of_strangers(const struct provider *p)
{
    for (size_t i = 0; i < p->endpoint_count; i++)
        if (!is_below(p->endpoints[i].host, p->name)) {
            print_wrapped(
                _("Beware"),
                str_c(_(
                    "The name service says so, unsigned, and names servers outside of the domain: "
                    "make sure that they are the right ones before you send a password.")));
            return;
        }
}

static void print_steps(const struct provider_view *v, int indent)
{
    for (size_t i = 0; i < v->step_count; i++) {
        printf("%*s", indent, "");
        print_text(v->steps[i].what);
        printf(": ");
        print_text(str_c(v->steps[i].came_of.n > 0 ? _(v->steps[i].came_of.p) : ""));
        putchar('\n');
    }
}

static void print_how(const struct provider_view *v)
{
    static const struct {
        const char *how, *words;
    } ways[] = {
        {"SRV", N_("by SRV records of the domain (RFC 6186)")},
        {"autoconfig", N_("by a file that the domain has for mail programs (autoconfig)")},
        {"MX", N_("by the servers that take mail for the domain (MX): those of this provider")},
    };

    for (size_t i = 0; i < countof(ways); i++)
        if (strcmp(v->how, ways[i].how) == 0) {
            print_wrapped(_("Found"), str_c(_(ways[i].words)));
            print_steps(v, LABEL_COLUMNS);
        }
    if (strcmp(v->how, "SRV") == 0)
        warn_of_strangers(v->provider);
}

static void print_title(const struct provider *p)
{
    print_text(p->title);
    if (!str_eq(p->title, p->name)) {
        printf(" (");
        print_text(p->name);
        for (size_t i = 0; i < p->also_count; i++) {
            printf(", ");
            print_text(p->also[i]);
        }
        putchar(')');
    }
    printf("\n\n");
}

void provider_show(const struct provider_view *v)
{
    const struct provider *p = v->provider;
    bool russian = speaks_russian() && p->advice_ru.n > 0;

    print_title(p);
    print_endpoints(p, PROVIDER_SMTP);
    print_endpoints(p, PROVIDER_IMAP);
    print_endpoints(p, PROVIDER_POP);
    print_login(v);
    print_fact(_("OAuth"), p->oauth && !p->oauth_only,
               _("a token (OAUTHBEARER or XOAUTH2) or a password"));
    print_fact(_("OAuth"), p->oauth_only, _("only a token (OAUTHBEARER or XOAUTH2), no password"));
    print_fact(_("Before sending"), p->pop_first, _("fetch mail by POP3 (POP before SMTP)"));
    print_limits(p);
    print_wrapped(_("Advice"), russian ? p->advice_ru : p->advice);
    print_domains(_("Addresses"), "@", p->domains, p->domain_count);
    print_sources(p);
    print_how(v);
}

void provider_show_steps(const struct provider_view *v)
{
    print_steps(v, 2);
}

/* ---- the list ---- */

static void print_row(const struct provider *p)
{
    const struct provider_endpoint *e = provider_endpoint(p, PROVIDER_SMTP);
    struct buf text = buf_init(1 * KIB);

    print_column(p->name, 18);
    if (e)
        buf_printf(&text, "%.*s:%u", STR_ARG(e->host), e->port);
    else
        buf_add_char(&text, '-');
    print_column(buf_str(&text), 42);
    if (p->limit_count > 0)
        print_column(str_c(e ? _(tls_words[e->tls]) : "-"), 10);
    else
        print_text(str_c(e ? _(tls_words[e->tls]) : "-"));
    buf_reset(&text);
    for (size_t i = 0; i < p->limit_count; i++) {
        buf_add_c(&text, i > 0 ? ", " : "");
        add_limit(&text, &p->limits[i]);
    }
    print_text(buf_str(&text));
    putchar('\n');
    buf_free(&text);
}

void providers_show_list(const struct providers *p)
{
    print_column(str_c(_("NAME")), 18);
    print_column(str_c(_("SENDS BY")), 42);
    print_column(str_c(_("TLS")), 10);
    print_text(str_c(_("LIMITS")));
    putchar('\n');
    for (size_t i = 0; i < p->count; i++)
        print_row(&p->list[i]);
}

/* ---- JSON ---- */

static json_t *source_number(const struct provider *p, const struct provider_source *source)
{
    return source ? json_integer((json_int_t)(source - p->sources) + 1) : json_null();
}

static json_t *texts(const struct str *list, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_text(list[i]));
    return array;
}

static json_t *endpoints(const struct provider *p, enum provider_protocol protocol)
{
    json_t *array = json_array();

    for (size_t i = 0; i < p->endpoint_count; i++) {
        const struct provider_endpoint *e = &p->endpoints[i];

        if (e->protocol == protocol)
            json_array_append_new(array,
                                  json_pack("{s:o, s:i, s:s, s:o}", "host", json_text(e->host),
                                            "port", (int)e->port, "tls", tls_keys[e->tls], "source",
                                            source_number(p, e->source)));
    }
    return array;
}

static json_t *limits(const struct provider *p)
{
    json_t *array = json_array();

    for (size_t i = 0; i < p->limit_count; i++) {
        const struct provider_limit *limit = &p->limits[i];

        json_array_append_new(array,
                              json_pack("{s:I, s:s, s:I, s:o}", "count", (json_int_t)limit->count,
                                        "of", limit->recipients ? "recipients" : "messages",
                                        "seconds", (json_int_t)(limit->in_us / US_PER_S), "source",
                                        source_number(p, limit->source)));
    }
    return array;
}

static json_t *sources(const struct provider *p)
{
    json_t *array = json_array();

    for (size_t i = 0; i < p->source_count; i++)
        json_array_append_new(array, json_pack("{s:o, s:o}", "date", json_text(p->sources[i].date),
                                               "where", json_text(p->sources[i].where)));
    return array;
}

static json_t *steps(const struct provider_view *v)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->step_count; i++)
        json_array_append_new(
            array, json_pack("{s:o, s:o, s:b}", "what", json_text(v->steps[i].what), "came_of",
                             json_text(v->steps[i].came_of), "useful", v->steps[i].useful));
    return array;
}

static void set_text(json_t *object, const char *key, struct str text)
{
    if (text.n > 0)
        json_object_set_new(object, key, json_text(text));
}

static void set_number(json_t *object, const char *key, uint64_t n)
{
    if (n > 0)
        json_object_set_new(object, key, json_integer((json_int_t)n));
}

static void add_provider(json_t *object, const struct provider_view *v)
{
    const struct provider *p = v->provider;

    set_text(object, "name", p->name);
    set_text(object, "title", p->title);
    json_object_set_new(object, "also", texts(p->also, p->also_count));
    json_object_set_new(object, "domains", texts(p->domains, p->domain_count));
    json_object_set_new(object, "mx", texts(p->mx, p->mx_count));
    for (size_t i = 0; i < countof(protocol_keys); i++)
        json_object_set_new(object, protocol_keys[i], endpoints(p, (enum provider_protocol)i));
    json_object_set_new(object, "login", json_string(login_keys[p->login]));
    set_text(object, "login_word", p->login_word);
    if (str_find(v->asked, '@') < v->asked.n && p->login != PROVIDER_LOGIN_GIVEN)
        set_text(object, "user", provider_login_of(p, v->asked));
    json_object_set_new(object, "oauth", json_boolean(p->oauth));
    json_object_set_new(object, "oauth_only", json_boolean(p->oauth_only));
    json_object_set_new(object, "pop_first", json_boolean(p->pop_first));
    json_object_set_new(object, "limits", limits(p));
    set_number(object, "recipients_max", p->recipients_max);
    set_number(object, "message_bytes_max", p->message_bytes_max);
    set_text(object, "advice", p->advice);
    set_text(object, "advice_ru", p->advice_ru);
    json_object_set_new(object, "sources", sources(p));
}

void provider_show_json(const struct provider_view *v)
{
    json_t *object = json_object();

    json_object_set_new(object, "asked", json_text(v->asked));
    json_object_set_new(object, "found", v->provider ? json_string(v->how) : json_null());
    if (v->provider)
        add_provider(object, v);
    else
        json_object_set_new(object, "why", json_string(v->how));
    if (v->step_count > 0)
        json_object_set_new(object, "steps", steps(v));
    print_json(object);
}
