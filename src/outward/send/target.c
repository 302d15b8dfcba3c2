/* outward/send/target.c - reads where a person wants to talk to. */
// SPDX-License-Identifier: ISC
#include "outward/send/target.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/idn.h"
#include "wire/proxy.h"

enum { SHOWN_BYTES_MAX = 100 };

static const struct scheme {
    const char *name;
    enum target_protocol protocol;
    bool implicit; /* TLS from the first byte on */
    uint16_t port, port_with_user;
} schemes[] = {
    {"smtp", TARGET_SMTP, false, 25, 587},  {"smtps", TARGET_SMTP, true, 465, 465},
    {"lmtp", TARGET_LMTP, false, 24, 24},   {"pop", TARGET_POP, false, 110, 110},
    {"pops", TARGET_POP, true, 995, 995},   {"pop3", TARGET_POP, false, 110, 110},
    {"pop3s", TARGET_POP, true, 995, 995},  {"imap", TARGET_IMAP, false, 143, 143},
    {"imaps", TARGET_IMAP, true, 993, 993},
};

static const char protocol_words[] =
    "smtp://, smtps://, lmtp://, pop://, pops://, imap://, imaps://";

static const struct scheme *scheme_named(struct str name)
{
    for (size_t i = 0; i < countof(schemes); i++) {
        if (str_eq_nocase(name, str_c(schemes[i].name)))
            return &schemes[i];
    }
    return NULL;
}

/* Of a server that is named without a scheme; any other port speaks SMTP. */
static const struct scheme *scheme_of_port(uint16_t port)
{
    for (size_t i = 0; i < countof(schemes); i++) {
        if (schemes[i].port == port)
            return &schemes[i];
    }
    return &schemes[0];
}

static bool wrong(struct buf *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct buf *error, const char *format, ...)
{
    char text[KIB];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    buf_add_c(error, text);
    return false;
}

/* What was typed, for an error: maybe cut, and nothing that moves the cursor. */
static const char *shown(struct arena *a, struct str text)
{
    struct str cut = str_sub(text, 0, SHOWN_BYTES_MAX);
    char *p = arena_c(a, cut);

    for (size_t i = 0; i < cut.n; i++) {
        if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
            p[i] = '?';
    }
    return p;
}

/* ---- the parts of a URL ---- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, char_lower(c)) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* RFC 3986 2.1. False: a % without two digits behind it. */
static bool percent_decode(struct arena *a, struct str text, struct str *ret)
{
    char *to = arena_alloc(a, text.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%') {
            to[n++] = text.p[i];
            continue;
        }
        int high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;

        if (low < 0)
            return false;
        to[n++] = (char)(high * 16 + low);
        i += 2;
    }
    *ret = str_n(to, n);
    return true;
}

static bool read_user(struct arena *a, struct str text, struct server_target *to, struct buf *error)
{
    if (str_find(text, ':') < text.n)
        return wrong(error,
                     _("no password in the address, please: everybody on this machine sees it in "
                       "the list of processes. Leave it out, then it is asked for; or see "
                       "--password-file, --password-env and --password-command"));
    if (text.n == 0)
        return wrong(error, _("nothing stands before the @; with a login it is smtp://USER@HOST"));
    if (!percent_decode(a, text, &to->user))
        return wrong(error, _("\"%s\": %% and two digits stand for a byte, and %%25 for %% itself"),
                     shown(a, text));
    if (to->user.n == 0 || to->user.n > ADDRESS_BYTES_MAX || !utf8_visible(to->user))
        return wrong(error, _("\"%s\" can be nobody's login"), shown(a, text));
    return true;
}

static bool read_host(struct arena *a, struct str text, struct server_target *to, struct buf *error)
{
    struct endpoint ip;
    struct str ascii;

    if (text.n == 0)
        return wrong(error, _("which server? such as smtp://mail.example.org"));
    if (endpoint_parse_ip(text, &ip)) {
        to->host = arena_copy(a, text);
        return true;
    }
    ascii = text;
    if (!utf8_is_ascii(text) && !idn_to_ascii(text, a, &ascii))
        ascii = STR_NONE;
    if (str_ends(ascii, STR(".")))
        ascii.n--;
    if (ascii.n == 0 || !domain_valid(ascii, true))
        return wrong(error,
                     _("\"%s\" is no name of a server: letters, digits, dots and hyphens, or an "
                       "address such as 192.0.2.25 or [2001:db8::25]"),
                     shown(a, text));
    to->host = arena_copy(a, ascii);
    return true;
}

static bool read_port(struct arena *a, struct str text, uint16_t *ret, struct buf *error)
{
    uint16_t port = 0;

    if (!port_parse(text, &port) || port == 0)
        return wrong(error, _("\"%s\" is no port: a number from 1 to 65535"), shown(a, text));
    *ret = port;
    return true;
}

/* HOST, HOST:PORT, [IPv6], [IPv6]:PORT. The port stays as it is when none is said. */
static bool read_place(struct arena *a, struct str text, struct server_target *to,
                       struct buf *error)
{
    struct str host, rest;

    if (str_starts(text, STR("["))) {
        size_t end = str_find(text, ']');
        struct endpoint ip;

        host = str_sub(text, 1, end);
        rest = str_skip(text, end + 1);
        if (end == text.n || !endpoint_parse_ip(host, &ip) || ip.ip_bytes != 16)
            return wrong(error, _("\"%s\": in brackets stands an IPv6 address, [2001:db8::25]"),
                         shown(a, text));
        if (rest.n > 0 && rest.p[0] != ':')
            return wrong(error, _("\"%s\": behind the bracket stands the port, [::1]:25"),
                         shown(a, text));
    } else {
        size_t colon = str_find(text, ':');

        host = str_sub(text, 0, colon);
        rest = str_skip(text, colon);
        if (str_find(str_skip(rest, 1), ':') < str_skip(rest, 1).n)
            return wrong(error, _("\"%s\": an IPv6 address stands in brackets, [2001:db8::25]:25"),
                         shown(a, text));
    }
    return read_host(a, host, to, error) &&
           (rest.n == 0 || read_port(a, str_skip(rest, 1), &to->port, error));
}

static void take_scheme(struct server_target *to, const struct scheme *s)
{
    to->protocol = s->protocol;
    to->port_said = to->port != 0;
    if (to->port == 0)
        to->port = to->user.n > 0 ? s->port_with_user : s->port;
    to->tls = s->implicit      ? TARGET_TLS_IMPLICIT
              : to->user.n > 0 ? TARGET_TLS_REQUIRED
                               : TARGET_TLS_OPTIONAL;
}

void target_log_in(struct server_target *t, struct str user)
{
    t->user = user;
    if (t->tls == TARGET_TLS_OPTIONAL)
        t->tls = TARGET_TLS_REQUIRED;
    if (t->protocol == TARGET_SMTP && !t->port_said && t->port == schemes[0].port)
        t->port = schemes[0].port_with_user;
}

/* [USER@]HOST[:PORT][/]; scheme NULL: the port says it. */
static bool read_authority(struct arena *a, struct str text, const struct scheme *scheme,
                           struct server_target *ret, struct buf *error)
{
    struct server_target to = {0};
    size_t at = str_find_last(text, '@');
    struct str place = at < text.n ? str_skip(text, at + 1) : text;
    size_t slash = str_find(place, '/');

    if (slash + 1 < place.n)
        return wrong(error, _("\"%s\": nothing stands behind server and port"),
                     shown(a, str_skip(place, slash)));
    place.n = slash;
    if (at < text.n && !read_user(a, str_sub(text, 0, at), &to, error))
        return false;
    if (!read_place(a, place, &to, error))
        return false;
    take_scheme(&to, scheme ? scheme : to.port ? scheme_of_port(to.port) : &schemes[0]);
    *ret = to;
    return true;
}

/* ---- providers ---- */

static const enum target_tls tls_of_provider[] = {
    [PROVIDER_TLS_NONE] = TARGET_TLS_OFF,
    [PROVIDER_TLS_STARTTLS] = TARGET_TLS_REQUIRED,
    [PROVIDER_TLS_IMPLICIT] = TARGET_TLS_IMPLICIT,
};

bool target_of_provider(struct arena *a, const struct provider *p, struct str address,
                        struct server_target *ret, struct buf *error)
{
    const struct provider_endpoint *at = provider_endpoint(p, PROVIDER_SMTP);

    if (!at)
        return wrong(error, _("%s: no server of it is known that would take mail"),
                     shown(a, p->name));
    *ret = (struct server_target){.protocol = TARGET_SMTP,
                                  .tls = tls_of_provider[at->tls],
                                  .host = at->host,
                                  .port = at->port,
                                  .port_said = true,
                                  .provider = p};
    if (address.n > 0)
        ret->user = arena_copy(a, provider_login_of(p, address));
    return true;
}

bool target_parse(struct arena *a, struct str text, const struct providers *known,
                  struct server_target *ret, struct buf *error)
{
    size_t colon;

    text = str_trim(text);
    colon = str_find_str(text, STR("://"));
    if (colon < text.n) {
        const struct scheme *scheme = scheme_named(str_sub(text, 0, colon));

        if (!scheme) {
            (void)wrong(error, _("\"%s\" is nothing that is spoken here; these are: "),
                        shown(a, str_sub(text, 0, colon + 3)));
            buf_add_c(error, protocol_words);
            return false;
        }
        return read_authority(a, str_skip(text, colon + 3), scheme, ret, error);
    }

    const struct provider *p = known ? provider_find(known, text) : NULL;

    if (p)
        return target_of_provider(a, p, str_find(text, '@') < text.n ? text : STR_NONE, ret, error);
    return read_authority(a, text, NULL, ret, error);
}
