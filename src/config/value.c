/* config/value.c - see value.h. */
// SPDX-License-Identifier: ISC
#include "config/value.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "config/config.h"
#include "io/socket.h"
#include "mail/address.h"
#include "mail/idn.h"
#include "mail/place.h"

enum {
    SHOWN_BYTES_MAX = 80,
    NAME_BYTES_MAX = 32,
    FOLDER_BYTES_MAX = 900,
    LOGIN_BYTES_MAX = 254,
    UNIX_PATH_BYTES_MAX = 100, /* a struct sockaddr_un has 108 */
};

typedef bool value_parse_fn(const struct value_range *range, struct str text, struct arena *a,
                            void *ret, struct buf *why);

struct unit {
    char name;
    uint64_t factor;
};
static const struct unit byte_units[] = {
    {'K', UINT64_C(1) << 10},
    {'M', UINT64_C(1) << 20},
    {'G', UINT64_C(1) << 30},
    {'T', UINT64_C(1) << 40},
};
static const struct unit duration_units[] = {
    {'s', US_PER_S},
    {'m', 60 * US_PER_S},
    {'h', 3600 * US_PER_S},
    {'d', 86400 * US_PER_S},
};

static bool wrong(struct buf *why, struct str text, const char *what)
{
    bool cut = text.n > SHOWN_BYTES_MAX;
    buf_printf(why, "\"%.*s%s\" %s", STR_ARG(str_sub(text, 0, SHOWN_BYTES_MAX)), cut ? "..." : "",
               what);
    return false;
}

static bool flag_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"yes", true},    {"no", false}, {"true", true},
        {"false", false}, {"on", true},  {"off", false},
    };
    for (size_t i = 0; i < countof(words); i++)
        if (str_eq_nocase(text, str_c(words[i].word))) {
            *(bool *)ret = words[i].value;
            return true;
        }
    return wrong(why, text, "is neither yes nor no");
}

/* A number, then maybe the letter of a unit. */
static bool number_parse(struct str text, const struct unit *units, size_t unit_count,
                         bool unit_needed, uint64_t *ret)
{
    uint64_t factor = 1;
    bool found = false;
    for (size_t i = 0; i < unit_count && text.n > 0 && !found; i++)
        if (char_lower(text.p[text.n - 1]) == char_lower(units[i].name)) {
            factor = units[i].factor;
            found = true;
        }
    uint64_t v;
    if (unit_needed && !found && !str_eq(text, STR("0")))
        return false;
    if (!str_u64(str_sub(text, 0, text.n - found), &v) || v > UINT64_MAX / factor)
        return false;
    *ret = v * factor;
    return true;
}

static bool bytes_read(struct str text, uint64_t *ret)
{
    return number_parse(text, byte_units, countof(byte_units), false, ret);
}

static bool duration_read(struct str text, uint64_t *ret)
{
    return number_parse(text, duration_units, countof(duration_units), true, ret);
}

/* The same for counts, sizes and durations: read, then compared with the range. */
static bool ranged(const struct value_range *range, bool (*read)(struct str, uint64_t *),
                   const char *shape, struct str text, uint64_t *ret, struct buf *why)
{
    uint64_t v, min = 0, max = UINT64_MAX;
    if (!read(text, &v))
        return wrong(why, text, shape);
    bool has_range = range && range->max[0];
    if (has_range && !(read(str_c(range->min), &min) && read(str_c(range->max), &max)))
        check(!"range in statements.def");
    if (v < min || v > max) {
        wrong(why, text, "is out of range");
        return buf_printf(why, "; it goes from %s to %s", range->min, range->max) && false;
    }
    *ret = v;
    return true;
}

static bool count_parse(const struct value_range *range, struct str text, struct arena *a,
                        void *ret, struct buf *why)
{
    return ranged(range, str_u64, "is no number; write digits only", text, ret, why);
}

static bool bytes_parse(const struct value_range *range, struct str text, struct arena *a,
                        void *ret, struct buf *why)
{
    return ranged(range, bytes_read, "is no size; write a number with K, M, G or T, as in 50M",
                  text, ret, why);
}

static bool duration_parse(const struct value_range *range, struct str text, struct arena *a,
                           void *ret, struct buf *why)
{
    return ranged(range, duration_read,
                  "is no duration; write a number with s, m, h or d, as in 5m", text, ret, why);
}

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_c(a, s);
    for (size_t i = 0; i < s.n; i++)
        p[i] = char_lower(p[i]);
    return str_n(p, s.n);
}

/* A domain may be written in its own letters; it is kept in A-labels (mail/idn.h). */
static struct str ascii_domain(struct arena *a, struct str text)
{
    bool below = str_starts(text, STR("."));
    struct str ascii;

    if (utf8_is_ascii(text) || !idn_to_ascii(str_skip(text, below), a, &ascii))
        return text;
    return arena_printf(a, "%s%.*s", below ? "." : "", STR_ARG(ascii));
}

static bool domain_like(struct str text, bool lenient)
{
    return text.n > 0 && text.p[0] != '[' && domain_valid(text, lenient);
}

static bool domain_parse(const struct value_range *range, struct str text, struct arena *a,
                         void *ret, struct buf *why)
{
    struct str as_written = text;
    text = ascii_domain(a, text);
    /* Without a dot other servers would refuse our EHLO. */
    if (!domain_like(text, false) || str_find(text, '.') == text.n)
        return wrong(why, as_written,
                     "is no full domain name; write one such as \"mail.example.org\"");
    *(struct str *)ret = lower(a, text);
    return true;
}

static bool mail_domain_parse(const struct value_range *range, struct str text, struct arena *a,
                              void *ret, struct buf *why)
{
    struct str as_written = text;
    text = ascii_domain(a, text);
    if (!domain_like(text, true))
        return wrong(why, as_written, "is no domain name; write one such as \"example.org\"");
    /* Its folder would be the mailbox of postmaster (mailbox/maildir.h). */
    if (str_eq_nocase(text, STR("postmaster")))
        return wrong(why, as_written, "cannot be a domain: a mailbox has this name");
    *(struct str *)ret = lower(a, text);
    return true;
}

static bool our_domain_parse(const struct value_range *range, struct str text, struct arena *a,
                             void *ret, struct buf *why)
{
    if (text.n > 0)
        return mail_domain_parse(range, text, a, ret, why);
    *(struct str *)ret = STR("");
    return true;
}

static bool route_domain_parse(const struct value_range *range, struct str text, struct arena *a,
                               void *ret, struct buf *why)
{
    struct str as_written = text;
    text = ascii_domain(a, text);
    if (!domain_like(str_skip(text, str_starts(text, STR("."))), true))
        return wrong(why, as_written,
                     "is no domain name; write \"example.org\", or \".example.org\" for "
                     "everything below it");
    *(struct str *)ret = lower(a, text);
    return true;
}

static bool folder_safe(struct str text)
{
    if (text.n == 0 || text.p[0] != '/')
        return false;
    for (struct str rest = text; rest.n > 0;)
        if (str_eq(str_cut(&rest, '/'), STR("..")))
            return false;
    return true;
}

static bool file_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    if (text.n > 0 && !folder_safe(text))
        return wrong(why, text,
                     "is no absolute path; write one that begins with / and has no .. in it");
    if (text.n > FOLDER_BYTES_MAX)
        return wrong(why, text, "is too long a path");
    if (str_ends(text, STR("/")))
        return wrong(why, text, "is a folder; name a file");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static bool folder_parse(const struct value_range *range, struct str text, struct arena *a,
                         void *ret, struct buf *why)
{
    if (!folder_safe(text))
        return wrong(why, text,
                     "is no absolute path; write one that begins with / and has no .. in it");
    if (text.n > FOLDER_BYTES_MAX)
        return wrong(why, text, "is too long a path");
    while (text.n > 1 && text.p[text.n - 1] == '/')
        text.n--;
    if (text.n == 1)
        return wrong(why, text, "would fill the root folder; give Troika a folder of its own");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static bool none_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    if (text.n > 0)
        return wrong(why, text, "is a title, but this section has none");
    *(struct str *)ret = STR_NONE;
    return true;
}

static bool resolver_parse(const struct value_range *range, struct str text, struct arena *a,
                           void *ret, struct buf *why)
{
    size_t at = str_find(text, '@');
    struct network n;
    uint64_t port = 53;
    char ip[INET6_ADDRSTRLEN] = "";
    bool address = str_find(text, '/') == text.n && str_find(text, '[') == text.n &&
                   network_parse(str_sub(text, 0, at), &n) &&
                   inet_ntop(n.family, n.bytes, ip, sizeof ip);
    if (!address ||
        (at < text.n && (!str_u64(str_skip(text, at + 1), &port) || port < 1 || port > 65535)))
        return wrong(why, text,
                     "is no resolver; write an address, maybe with a port, as in \"192.0.2.53\" or "
                     "\"192.0.2.53@5353\"");
    *(struct str *)ret = arena_printf(a, "%s@%u", ip, (unsigned)port);
    return true;
}

static bool choice_parse(const struct value_range *range, struct str text, struct arena *a,
                         void *ret, struct buf *why)
{
    struct str words = str_c(range->min);
    while (words.n > 0) {
        struct str word = str_cut_word(&words);
        if (str_eq_nocase(word, text)) {
            *(struct str *)ret = arena_copy(a, word);
            return true;
        }
    }
    wrong(why, text, "is not known here");
    return buf_printf(why, "; write one of: %s", range->min) && false;
}

static bool network_value_parse(const struct value_range *range, struct str text, struct arena *a,
                                void *ret, struct buf *why)
{
    struct network n = {0};
    if (!network_parse(text, &n))
        return wrong(why, text,
                     "is no network; write one such as \"192.0.2.0/24\", \"2001:db8::/32\" or "
                     "a single address");
    memcpy(ret, &n, sizeof n);
    return true;
}

static const char unix_prefix[] = "unix:";

static bool is_unix(struct str text)
{
    return str_starts(text, str_c(unix_prefix));
}

/* unix:/run/troika/lmtp.sock. The name must fit into a struct sockaddr_un. */
static bool unix_parse(struct str text, struct arena *a, struct str *ret, struct buf *why)
{
    struct str path = str_skip(text, sizeof unix_prefix - 1);
    if (!folder_safe(path) || str_ends(path, STR("/")) || memchr(path.p, '\0', path.n))
        return wrong(why, text,
                     "is no Unix socket; write unix: and an absolute path without .. in it, as in "
                     "\"unix:/run/troika/lmtp.sock\"");
    if (path.n > UNIX_PATH_BYTES_MAX)
        return wrong(why, text, "is too long for a Unix socket; its path may have 100 bytes");
    *ret = arena_copy(a, text);
    return true;
}

static bool address_value_parse(const struct value_range *range, struct str text, struct arena *a,
                                void *ret, struct buf *why)
{
    uint64_t port;
    size_t colon = str_find_last(text, ':');
    if (is_unix(text))
        return unix_parse(text, a, ret, why);
    if (colon < text.n && str_u64(str_skip(text, colon + 1), &port) && (port < 1 || port > 65535)) {
        wrong(why, text, "");
        return buf_printf(why, "has port %llu, which is out of range; ports go from 1 to 65535",
                          (unsigned long long)port) &&
               false;
    }
    struct sock_address parsed[2];
    size_t count = sock_address_parse(text, parsed);
    if (count == 0 || sock_address_port(&parsed[0]) == 0)
        return wrong(why, text,
                     "is no address to listen on; write \"*:25\", \"127.0.0.1:2525\" or "
                     "\"[::1]:25\"");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

/* Where host and port are cut: the colon behind a bracket or the only colon; text.n: none. */
static size_t port_colon(struct str text)
{
    if (text.n > 0 && text.p[0] == '[') {
        size_t end = str_find(text, ']');
        return end + 1 < text.n && text.p[end + 1] == ':' ? end + 1 : text.n;
    }
    return str_find_last(text, ':');
}

bool host_port_split(struct str s, struct str *host, uint64_t *port)
{
    size_t colon = port_colon(s);
    if (colon == s.n || !str_u64(str_skip(s, colon + 1), port) || *port < 1 || *port > 65535)
        return false;
    struct str h = str_sub(s, 0, colon);
    bool bracketed = h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    *host = bracketed ? str_sub(h, 1, h.n - 1) : h;
    return h.n > 0;
}

/* Is this a host to connect to: an IPv4 address, an IPv6 address in brackets, a name? */
static bool host_valid(struct str host)
{
    char text[64];
    uint8_t bytes[16];
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed)
        host = str_sub(host, 1, host.n - 1);
    if (bracketed && host.n < sizeof text) {
        memcpy(text, host.p, host.n);
        text[host.n] = '\0';
        return inet_pton(AF_INET6, text, bytes) == 1;
    }
    /* A last label of digits only is an IPv4 address or nothing (RFC 1123 2.1). */
    size_t dot = str_find_last(host, '.');
    struct str last = dot < host.n ? str_skip(host, dot + 1) : host;
    uint64_t v;
    if (str_u64(last, &v)) {
        struct network n;
        return str_find(host, '/') == host.n && network_parse(host, &n) && n.family == AF_INET;
    }
    return domain_like(host, true);
}

static bool host_port_parse(const struct value_range *range, struct str text, struct arena *a,
                            void *ret, struct buf *why)
{
    size_t colon = port_colon(text);
    uint64_t port = 25;
    bool port_ok = colon == text.n ||
                   (str_u64(str_skip(text, colon + 1), &port) && port >= 1 && port <= 65535);
    if (!port_ok)
        return wrong(why, text, "has no valid port; ports go from 1 to 65535");
    struct str host = lower(a, str_sub(text, 0, colon));
    if (!host_valid(host))
        return wrong(why, text,
                     "is no server; write host and port, as in \"mx.example.org:25\", "
                     "\"192.0.2.1:25\" or \"[2001:db8::1]:25\"");
    *(struct str *)ret = arena_printf(a, "%.*s:%u", STR_ARG(host), (unsigned)port);
    return true;
}

static bool next_hop_parse(const struct value_range *range, struct str text, struct arena *a,
                           void *ret, struct buf *why)
{
    return is_unix(text) ? unix_parse(text, a, ret, why)
                         : host_port_parse(range, text, a, ret, why);
}

static bool name_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    bool good = text.n > 0 && text.n <= NAME_BYTES_MAX;
    for (size_t i = 0; i < text.n && good; i++)
        good = char_is_alpha(text.p[i]) || char_is_digit(text.p[i]) || text.p[i] == '-';
    if (!good)
        return wrong(why, text, "is no name; write up to 32 letters, digits and -");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static bool user_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    bool good = text.n > 0 && text.n <= NAME_BYTES_MAX && text.p[0] != '-';
    for (size_t i = 0; i < text.n && good; i++)
        good = char_is_alpha(text.p[i]) || char_is_digit(text.p[i]) || text.p[i] == '-' ||
               text.p[i] == '_' || text.p[i] == '.';
    if (!good)
        return wrong(why, text, "is no login; write one such as \"www-data\"");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static bool word_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    struct buf unsaid = buf_init(1);
    bool good = text.n == 0 || user_parse(range, text, a, ret, &unsaid);
    buf_free(&unsaid);
    if (!good)
        return wrong(why, text, "is no name; write up to 32 letters, digits, - _ and .");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static bool place_parse(const struct value_range *range, struct str text, struct arena *a,
                        void *ret, struct buf *why)
{
    const char *problem = place_problem(text);
    if (problem)
        return wrong(why, text, problem);
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static void flag_print(const void *value, struct buf *to)
{
    buf_add_c(to, *(const bool *)value ? "yes" : "no");
}

static void count_print(const void *value, struct buf *to)
{
    buf_add_u64(to, *(const uint64_t *)value);
}

/* With the largest unit that is exact. */
static void units_print(uint64_t v, const struct unit *units, size_t count, struct buf *to)
{
    size_t i = count;
    while (i > 0 && (v == 0 || v % units[i - 1].factor != 0))
        i--;
    buf_add_u64(to, i > 0 ? v / units[i - 1].factor : v);
    if (i > 0)
        buf_add_char(to, units[i - 1].name);
}

static void bytes_print(const void *value, struct buf *to)
{
    units_print(*(const uint64_t *)value, byte_units, countof(byte_units), to);
}

static void duration_value_print(const void *value, struct buf *to)
{
    units_print(*(const uint64_t *)value, duration_units, countof(duration_units), to);
}

static void text_print(const void *value, struct buf *to)
{
    buf_add(to, *(const struct str *)value);
}

static void network_value_print(const void *value, struct buf *to)
{
    struct network n;
    memcpy(&n, value, sizeof n);
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(n.family, n.bytes, text, sizeof text);
    buf_printf(to, "%s/%u", text, n.bits);
}

static const struct {
    const char *name;
    uint64_t us;
} rate_units[] = {{"hour", 3600 * US_PER_S},
                  {"day", 86400 * US_PER_S},
                  {"minute", 60 * US_PER_S},
                  {"second", US_PER_S}};
enum { LONG_UNITS = 2 }; /* of them */

static uint64_t unit_us(struct str unit, size_t unit_count)
{
    for (size_t i = 0; i < unit_count; i++)
        if (str_eq_nocase(unit, str_c(rate_units[i].name)))
            return rate_units[i].us;
    return 0;
}

static bool rate_read(const struct value_range *range, struct str text, uint64_t in_us,
                      const char *form, void *ret, struct buf *why)
{
    struct str rest = text;
    struct str count = str_cut(&rest, '/');
    struct rate rate = {.in_us = in_us};

    if (rate.in_us == 0 || !ranged(range, str_u64, "is no number", count, &rate.count, why)) {
        if (why->n == 0)
            wrong(why, text, "is no rate");
        buf_printf(why, "; write %s", form);
        return false;
    }
    *(struct rate *)ret = rate;
    return true;
}

static struct str rate_unit(struct str text)
{
    (void)str_cut(&text, '/');
    return text;
}

static bool rate_parse(const struct value_range *range, struct str text, struct arena *a, void *ret,
                       struct buf *why)
{
    return rate_read(range, text, unit_us(rate_unit(text), LONG_UNITS), "500/hour or 2000/day", ret,
                     why);
}

/* Beyond an hour only the day has a window of its own (mail/usage.h). */
static bool limit_parse(const struct value_range *range, struct str text, struct arena *a,
                        void *ret, struct buf *why)
{
    struct str unit = rate_unit(text);
    uint64_t in_us = unit_us(unit, countof(rate_units));

    if (in_us == 0 && (!duration_read(unit, &in_us) || in_us > 3600 * US_PER_S))
        in_us = 0;
    return rate_read(range, text, in_us, "20/hour, 150/day, 1/minute or 50/15m", ret, why);
}

static void rate_print(const void *value, struct buf *to)
{
    const struct rate *rate = value;

    buf_add_u64(to, rate->count);
    buf_add_char(to, '/');
    for (size_t i = 0; i < countof(rate_units); i++)
        if (rate->in_us == rate_units[i].us) {
            buf_add_c(to, rate_units[i].name);
            return;
        }
    duration_print(to, rate->in_us);
}

static bool login_parse(const struct value_range *range, struct str text, struct arena *a,
                        void *ret, struct buf *why)
{
    bool good = text.n <= LOGIN_BYTES_MAX && utf8_valid(text);
    for (size_t i = 0; i < text.n && good; i++)
        good = (unsigned char)text.p[i] > ' ' && text.p[i] != 0x7f;
    if (!good)
        return wrong(why, text, "is no login; write what you are called there, without blanks");
    *(struct str *)ret = arena_copy(a, text);
    return true;
}

static const struct kind {
    struct value_form form;
    value_parse_fn *parse;
    void (*print)(const void *value, struct buf *to);
} kinds[VALUE_KIND_COUNT] = {
    [VALUE_FLAG] = {{"yes | no", false, true, sizeof(bool)}, flag_parse, flag_print},
    [VALUE_COUNT] = {{"number", false, true, sizeof(uint64_t)}, count_parse, count_print},
    [VALUE_BYTES] = {{"size", false, true, sizeof(uint64_t)}, bytes_parse, bytes_print},
    [VALUE_DURATION] = {{"duration", false, true, sizeof(uint64_t)},
                        duration_parse,
                        duration_value_print},
    [VALUE_DURATIONS] = {{"duration", true, true, sizeof(uint64_t)},
                         duration_parse,
                         duration_value_print},
    [VALUE_DOMAIN] = {{"domain", false, false, sizeof(struct str)}, domain_parse, text_print},
    [VALUE_FOLDER] = {{"folder", false, false, sizeof(struct str)}, folder_parse, text_print},
    [VALUE_FILE] = {{"file", false, false, sizeof(struct str)}, file_parse, text_print},
    [VALUE_CHOICE] = {{"word", false, true, sizeof(struct str)}, choice_parse, text_print},
    [VALUE_NETWORKS] = {{"network", true, false, sizeof(struct network)},
                        network_value_parse,
                        network_value_print},
    [VALUE_ADDRESSES] = {{"address:port", true, false, sizeof(struct str)},
                         address_value_parse,
                         text_print},
    [VALUE_HOST_PORT] = {{"host:port", false, false, sizeof(struct str)},
                         host_port_parse,
                         text_print},
    [VALUE_NEXT_HOP] = {{"host:port", false, false, sizeof(struct str)},
                        next_hop_parse,
                        text_print},
    [VALUE_NAME] = {{"name", false, true, sizeof(struct str)}, name_parse, text_print},
    [VALUE_USERS] = {{"login", true, false, sizeof(struct str)}, user_parse, text_print},
    [VALUE_MAIL_DOMAIN] = {{"domain", false, false, sizeof(struct str)},
                           mail_domain_parse,
                           text_print},
    [VALUE_ROUTE_DOMAIN] = {{"domain", false, false, sizeof(struct str)},
                            route_domain_parse,
                            text_print},
    [VALUE_RESOLVERS] = {{"address@port", true, false, sizeof(struct str)},
                         resolver_parse,
                         text_print},
    [VALUE_PLACE] = {{"place", false, false, sizeof(struct str)}, place_parse, text_print},
    [VALUE_OUR_DOMAIN] = {{"domain", false, false, sizeof(struct str)},
                          our_domain_parse,
                          text_print},
    [VALUE_RATES] = {{"number/unit", true, false, sizeof(struct rate)}, rate_parse, rate_print},
    [VALUE_LIMITS] = {{"number/unit", true, false, sizeof(struct rate)}, limit_parse, rate_print},
    [VALUE_LOGIN] = {{"login", false, false, sizeof(struct str)}, login_parse, text_print},
    [VALUE_WORD] = {{"name", false, false, sizeof(struct str)}, word_parse, text_print},
    [VALUE_NONE] = {{"", false, false, sizeof(struct str)}, none_parse, text_print},
};

const struct value_form *value_form(enum value_kind kind)
{
    return &kinds[kind].form;
}

bool value_is_none(enum value_kind kind, struct str text)
{
    return (kind == VALUE_RATES || kind == VALUE_LIMITS) && str_eq_nocase(text, STR("none"));
}

bool value_parse(enum value_kind kind, const struct value_range *range, struct str text,
                 struct arena *a, void *ret, struct buf *why)
{
    return kinds[kind].parse(range, text, a, ret, why);
}

void value_print(enum value_kind kind, const void *value, struct buf *to)
{
    kinds[kind].print(value, to);
}
