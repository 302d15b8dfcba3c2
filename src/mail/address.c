// SPDX-License-Identifier: ISC
#include "mail/address.h"

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "mail/idn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

/* RFC 5321 4.5.3.1.3: with its < and >; so a mailbox is two less. */
enum { PATH_BYTES_MAX = 256, MAILBOX_BYTES_MAX = PATH_BYTES_MAX - 2, LABEL_BYTES_MAX = 63 };

static_assert(MAILBOX_BYTES_MAX <= (int)ADDRESS_BYTES_MAX, "every mailbox we take can be printed");

struct parser {
    struct str s;
    size_t at;
    bool lenient;
    struct arena *arena;
    struct parse_error *error;
};

static bool fail_at(struct parser *p, size_t at, const char *text)
{
    if (p->error)
        *p->error = (struct parse_error){.text = text, .at = at};
    return false;
}

static bool fail(struct parser *p, const char *text)
{
    return fail_at(p, p->at, text);
}

/* The byte at hand; NUL at the end, which is no part of any address either. */
static char peek(const struct parser *p)
{
    return p->at < p->s.n ? p->s.p[p->at] : '\0';
}

static bool take_char(struct parser *p, char c)
{
    if (p->at == p->s.n || p->s.p[p->at] != c)
        return false;
    p->at++;
    return true;
}

static void skip_blanks(struct parser *p)
{
    while (char_is_blank(peek(p)))
        p->at++;
}

/* A part of a character outside ASCII; whether the whole is one is seen at its end. */
static bool is_utf8_byte(char c)
{
    return (uint8_t)c > 0x7f;
}

static bool is_printable(char c)
{
    return (c >= ' ' && c <= '~') || is_utf8_byte(c);
}

/* RFC 5322 3.2.3, RFC 6532 3.2 */
static bool is_atext(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
           is_utf8_byte(c);
}

static bool is_label_char(char c, bool lenient)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '-' || (lenient && c == '_');
}

/* What is wrong with a byte that cannot stand where it does. */
static const char *foreign_byte_text(char c)
{
    if ((uint8_t)c < ' ' || c == 0x7f)
        return N_("an address has no control characters in it");
    if (c == ' ')
        return N_("a blank before the @ goes in quotes, as in \"bill smith\"@example.org");
    return N_("this character before the @ goes in quotes, as in \"a,b\"@example.org");
}

static bool parse_dot_string(struct parser *p, struct str *ret)
{
    size_t start = p->at;
    bool after_dot = true;

    for (; p->at < p->s.n; p->at++) {
        char c = peek(p);
        if (c == '.' && after_dot)
            return fail(p, p->at == start
                               ? N_("an address does not start with a dot")
                               : N_("two dots do not follow each other, except in quotes"));
        if (c != '.' && !is_atext(c))
            break;
        after_dot = c == '.';
    }
    if (p->at > start && after_dot)
        return fail(p, N_("there is no dot right before the @, except in quotes"));
    *ret = str_sub(p->s, start, p->at);
    return true;
}

/* RFC 5321 4.1.2 Quoted-string; unquoted into the arena. */
static bool parse_quoted(struct parser *p, struct str *ret)
{
    size_t start = p->at++;
    char text[PATH_BYTES_MAX];
    size_t n = 0;

    for (;; p->at++) {
        if (p->at == p->s.n)
            return fail_at(p, start, N_("the quote that opens here is not closed"));
        if (peek(p) == '"')
            break;
        if (peek(p) == '\\')
            p->at++;
        if (!is_printable(peek(p)))
            return fail(p, N_("in quotes, too, there are only printable characters"));
        if (n == sizeof(text))
            return fail_at(p, start, N_("the part before the @ may be 64 bytes"));
        text[n++] = peek(p);
    }
    p->at++;
    *ret = arena_copy(p->arena, str_n(text, n));
    return true;
}

static bool parse_local(struct parser *p, struct str *ret)
{
    size_t start = p->at;
    bool quoted = peek(p) == '"';

    if (quoted ? !parse_quoted(p, ret) : !parse_dot_string(p, ret))
        return false;
    if (p->at == start && (peek(p) == '@' || p->at == p->s.n || peek(p) == '>'))
        return fail(p,
                    N_("an address looks like bill@example.org: the name before the @ is missing"));
    if (!utf8_visible(*ret))
        return fail_at(
            p, start,
            N_("letters outside ASCII are written in UTF-8, without invisible characters"));
    if (ret->n > LOCAL_PART_BYTES_MAX)
        return fail_at(p, start, N_("the part before the @ may be 64 bytes"));
    if (p->at == p->s.n || peek(p) == '>')
        return fail(p,
                    N_("an address looks like bill@example.org: the @ and a domain are missing"));
    if (quoted && peek(p) != '@')
        return fail(p, N_("after a closing quote comes the @"));
    if (peek(p) != '@')
        return fail(p, foreign_byte_text(peek(p)));
    return true;
}

/* "192.0.2.1"; RFC 5321 4.1.3 IPv4-address-literal allows leading zeros, nobody agrees what they
 * mean, so they are refused as inet_pton() does. */
static bool is_ip(struct str s, int family)
{
    char text[INET6_ADDRSTRLEN];
    char address[sizeof(struct in6_addr)];

    if (s.n >= sizeof(text) || str_find(s, '\0') < s.n)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, address) == 1;
}

/* s is [ ] and what is between them. */
static bool literal_valid(struct str s)
{
    struct str inside = str_sub(s, 1, s.n - 1);

    if (inside.n == 0)
        return false;
    if (str_starts_nocase(inside, STR("IPv6:")))
        return is_ip(str_skip(inside, 5), AF_INET6);
    return is_ip(inside, AF_INET);
}

static bool parse_literal(struct parser *p, struct str *ret)
{
    size_t start = p->at;
    size_t close = str_find(str_skip(p->s, start), ']');
    struct str literal = str_sub(p->s, start, start + close + 1);

    if (close == p->s.n - start || !literal_valid(literal))
        return fail(p, N_("in brackets stands an IP address: [192.0.2.1] or [IPv6:2001:db8::1]"));
    p->at += literal.n;
    *ret = literal;
    return true;
}

static bool parse_label(struct parser *p)
{
    size_t start = p->at;

    while (p->at < p->s.n && is_label_char(peek(p), p->lenient))
        p->at++;
    if (p->at == start)
        return false;
    if (p->s.p[start] == '-' || p->s.p[p->at - 1] == '-')
        return fail_at(p, start, N_("a part of a domain does not start or end with a hyphen"));
    if (p->at - start > LABEL_BYTES_MAX)
        return fail_at(p, start, N_("each part of a domain may be 63 bytes"));
    return true;
}

static const char *domain_text(const struct parser *p)
{
    char c = peek(p);

    if (c == '_')
        return N_("a domain has letters, digits, hyphens and dots, no underscore");
    if (c == '.')
        return N_("a domain has a name before each dot, as in example.org");
    if (c == '@')
        return N_("an address has one @; a name with @ in it goes in quotes");
    return N_("after the @ comes a domain, as in example.org");
}

static bool parse_domain_name(struct parser *p, struct str *ret);

static struct str domain_span(const struct parser *p)
{
    size_t end = p->at;

    while (end < p->s.n &&
           (is_label_char(p->s.p[end], true) || p->s.p[end] == '.' || is_utf8_byte(p->s.p[end])))
        end++;
    return str_sub(p->s, p->at, end);
}

/* RFC 6531 3.3 U-labels: *ret has A-labels, which are held to the rules of all domains. */
static bool parse_utf8_domain(struct parser *p, struct str span, struct str *ret)
{
    struct parse_error inner = {0};
    struct parser again = {.lenient = p->lenient, .arena = p->arena, .error = &inner};

    if (!idn_to_ascii(span, p->arena, &again.s))
        return fail(p, N_("this is no domain name in any language; try its xn-- form"));
    if (!parse_domain_name(&again, ret))
        return fail(p, inner.text);
    if (again.at < again.s.n)
        return fail(p, N_("this is no domain name in any language; try its xn-- form"));
    p->at += span.n;
    return true;
}

/* RFC 5321 4.1.2 Domain. A final dot is read and left out of *ret. */
static bool parse_domain_name(struct parser *p, struct str *ret)
{
    struct str span = domain_span(p);
    if (!utf8_is_ascii(span))
        return parse_utf8_domain(p, span, ret);

    size_t start = p->at;

    for (;;) {
        size_t label = p->at;
        if (!parse_label(p)) {
            bool final_dot =
                p->at > start && p->at == label && (p->at == p->s.n || strchr(">:, \t", peek(p)));
            if (final_dot)
                break;
            return p->at == label && !is_label_char(peek(p), p->lenient) ? fail(p, domain_text(p))
                                                                         : false;
        }
        if (!take_char(p, '.'))
            break;
    }
    *ret = str_sub(p->s, start, p->at);
    if (str_ends(*ret, STR(".")))
        ret->n--;
    if (ret->n > DOMAIN_BYTES_MAX)
        return fail_at(p, start, N_("a domain may be 255 bytes"));
    if (is_ip(*ret, AF_INET))
        return fail_at(p, start,
                       N_("an IP address in place of a domain goes in brackets: [192.0.2.1]"));
    return true;
}

static bool parse_domain(struct parser *p, struct str *ret)
{
    return peek(p) == '[' ? parse_literal(p, ret) : parse_domain_name(p, ret);
}

static struct str copy_lower(struct arena *a, struct str s)
{
    char *p = arena_c(a, s);

    for (size_t i = 0; i < s.n && s.p[0] != '['; i++)
        p[i] = char_lower(p[i]);
    return str_n(p, s.n);
}

static bool parse_mailbox(struct parser *p, struct address *ret)
{
    struct address address;
    size_t start = p->at;

    if (!parse_local(p, &address.local))
        return false;
    if (!nfc_make(address.local, p->arena, &address.local) ||
        address.local.n > LOCAL_PART_BYTES_MAX)
        return fail_at(p, start, N_("the part before the @ may be 64 bytes"));
    p->at++; /* the @ */
    if (!parse_domain(p, &address.domain))
        return false;
    if (p->at - start > MAILBOX_BYTES_MAX ||
        address.local.n + 1 + address.domain.n > MAILBOX_BYTES_MAX)
        return fail_at(p, start, N_("an address may be 254 bytes"));
    ret->local = arena_copy(p->arena, address.local);
    ret->domain = copy_lower(p->arena, address.domain);
    return true;
}

bool address_parse(struct str s, struct arena *a, struct address *ret, struct parse_error *error)
{
    struct parser p = {.s = s, .lenient = true, .arena = a, .error = error};
    struct address address;

    if (!parse_mailbox(&p, &address))
        return false;
    if (p.at < s.n)
        return fail(&p, domain_text(&p));
    *ret = address;
    return true;
}

/* "@one.example,@two.example:": RFC 5321 appendix C says to read and ignore it. */
static bool skip_source_route(struct parser *p)
{
    struct str domain;

    if (peek(p) != '@')
        return true;
    do {
        if (!take_char(p, '@') || !parse_domain(p, &domain))
            return fail(
                p, N_("a source route looks like <@one.example,@two.example:bill@example.org>"));
    } while (take_char(p, ','));
    if (!take_char(p, ':'))
        return fail(p, N_("a source route ends with a colon; or leave it out"));
    return true;
}

static bool take_postmaster(struct parser *p, struct address *ret)
{
    const struct str name = STR("postmaster");
    struct str rest = str_skip(p->s, p->at);

    if (!str_starts_nocase(rest, name))
        return false;
    if (rest.n > name.n && rest.p[name.n] != '>' && !char_is_blank(rest.p[name.n]))
        return false;
    p->at += name.n;
    *ret = (struct address){.local = arena_copy(p->arena, name), .domain = STR("")};
    return true;
}

/* What stands between < and >. */
static bool parse_inside(struct parser *p, unsigned flags, struct address *ret)
{
    if (peek(p) == '>') {
        if (!(flags & PATH_MAY_BE_EMPTY))
            return fail(p, N_("a recipient is needed, as in <bill@example.org>"));
        *ret = (struct address){.local = STR(""), .domain = STR("")};
        return true;
    }
    if (flags & PATH_MAY_BE_POSTMASTER && take_postmaster(p, ret))
        return true;
    return skip_source_route(p) && parse_mailbox(p, ret);
}

static bool parse_bracketed(struct parser *p, unsigned flags, struct address *ret)
{
    size_t start = p->at++;

    if (p->lenient)
        skip_blanks(p);
    if (!parse_inside(p, flags, ret))
        return false;
    if (p->lenient)
        skip_blanks(p);
    if (!take_char(p, '>'))
        return fail(p, p->at == p->s.n ? N_("the > after the address is missing") : domain_text(p));
    if (p->at - start > PATH_BYTES_MAX)
        return fail_at(p, start, N_("an address may be 256 bytes with its < and >"));
    return true;
}

static bool parse_bare(struct parser *p, unsigned flags, struct address *ret)
{
    if (p->at == p->s.n)
        return fail(p, N_("an address is missing here, as in <bill@example.org>"));
    if (!p->lenient)
        return fail(p, N_("the address stands between < and >, as in <bill@example.org>, "
                          "right after the colon"));
    if (flags & PATH_MAY_BE_POSTMASTER && take_postmaster(p, ret))
        return true;
    return skip_source_route(p) && parse_mailbox(p, ret);
}

bool path_parse(struct str *s, unsigned flags, struct arena *a, struct address *ret,
                struct parse_error *error)
{
    struct parser p = {.s = *s, .lenient = flags & PATH_LENIENT, .arena = a, .error = error};
    struct address address;

    if (p.lenient)
        skip_blanks(&p);
    if (peek(&p) == '<' ? !parse_bracketed(&p, flags, &address) : !parse_bare(&p, flags, &address))
        return false;
    if (p.at < s->n && !char_is_blank(peek(&p)))
        return fail(&p, N_("after the address comes nothing, or a blank and parameters"));
    *s = str_skip(*s, p.at);
    *ret = address;
    return true;
}

static bool needs_quotes(struct str local)
{
    if (local.n == 0 || local.p[0] == '.' || local.p[local.n - 1] == '.' ||
        str_find_str(local, STR("..")) < local.n)
        return true;
    for (size_t i = 0; i < local.n; i++)
        if (!is_atext(local.p[i]) && local.p[i] != '.')
            return true;
    return false;
}

void address_print(struct buf *to, const struct address *address)
{
    struct str local = address->local;

    if (local.n == 0 && address->domain.n == 0)
        return;
    if (!needs_quotes(local)) {
        (void)buf_add(to, local);
    } else {
        (void)buf_add_char(to, '"');
        for (size_t i = 0; i < local.n; i++) {
            if (local.p[i] == '"' || local.p[i] == '\\')
                (void)buf_add_char(to, '\\');
            (void)buf_add_char(to, local.p[i]);
        }
        (void)buf_add_char(to, '"');
    }
    if (address->domain.n == 0)
        return;
    (void)buf_add_char(to, '@');
    (void)buf_add(to, address->domain);
}

struct str address_text(struct arena *a, const struct address *address)
{
    char memory[2 * ADDRESS_BYTES_MAX];
    struct buf text = {.p = memory, .room = sizeof(memory) - 1, .bytes_max = sizeof(memory) - 1};

    address_print(&text, address);
    return arena_copy(a, buf_str(&text));
}

bool domain_valid(struct str s, bool lenient)
{
    struct parser p = {.s = s, .lenient = lenient};
    struct str domain;

    if (s.n > 0 && s.p[0] == '[')
        return s.p[s.n - 1] == ']' && literal_valid(s);
    return utf8_is_ascii(s) && parse_domain_name(&p, &domain) && p.at == s.n && domain.n == s.n &&
           (lenient || str_find(s, '.') < s.n);
}

bool local_part_routes(struct str local)
{
    return str_find(local, '%') < local.n || str_find(local, '!') < local.n ||
           str_find(local, '@') < local.n;
}
