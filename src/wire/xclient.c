/* wire/xclient.c - see xclient.h. */
// SPDX-License-Identifier: ISC
#include "wire/xclient.h"

#include "base/check.h"
#include "wire/parameter.h"

enum { VALUE_BYTES_MAX = 1024, TEXT_BYTES_MAX = 255 };

static bool is_unavailable(struct str value)
{
    return str_eq_nocase(value, STR("[UNAVAILABLE]"));
}

static bool take_name(struct str value, struct xclient *x)
{
    x->name_later = str_eq_nocase(value, STR("[TEMPUNAVAIL]"));
    if (x->name_later || is_unavailable(value))
        return true;
    x->name = value;
    return value.p[0] != '[' && domain_valid(value, true);
}

static bool take_ip(struct str value, struct endpoint *to)
{
    struct str prefix = STR("IPV6:");
    bool six = str_starts_nocase(value, prefix);
    struct endpoint e;

    if (is_unavailable(value))
        return true;
    if (!endpoint_parse_ip(six ? str_skip(value, prefix.n) : value, &e) ||
        six != (e.ip_bytes == 16))
        return false;
    e.port = to->port;
    *to = e;
    return true;
}

static bool take_port(struct str value, struct endpoint *to)
{
    return is_unavailable(value) || port_parse(value, &to->port);
}

static bool take_address(struct str value, struct xclient *x)
{
    return take_ip(value, &x->client);
}

static bool take_client_port(struct str value, struct xclient *x)
{
    return take_port(value, &x->client);
}

static bool take_server_address(struct str value, struct xclient *x)
{
    return take_ip(value, &x->server);
}

static bool take_server_port(struct str value, struct xclient *x)
{
    return take_port(value, &x->server);
}

static bool take_protocol(struct str value, struct xclient *x)
{
    x->extended = str_eq_nocase(value, STR("ESMTP"));
    return x->extended || str_eq_nocase(value, STR("SMTP"));
}

static bool take_text(struct str value, struct str *to)
{
    if (!is_unavailable(value))
        *to = value;
    return value.n <= TEXT_BYTES_MAX;
}

static bool take_helo(struct str value, struct xclient *x)
{
    return take_text(value, &x->helo);
}

static bool take_login(struct str value, struct xclient *x)
{
    return take_text(value, &x->login);
}

static const struct attribute {
    const char *key;
    unsigned bit;
    bool (*take)(struct str value, struct xclient *x);
    const char *form;
} attributes[] = {
    {"NAME", XCLIENT_NAME, take_name, "NAME takes a host name, [UNAVAILABLE] or [TEMPUNAVAIL]"},
    {"ADDR", XCLIENT_ADDR, take_address, "ADDR takes 192.0.2.1, IPV6:2001:db8::1 or [UNAVAILABLE]"},
    {"PORT", XCLIENT_PORT, take_client_port, "PORT takes a number or [UNAVAILABLE]"},
    {"PROTO", XCLIENT_PROTO, take_protocol, "PROTO takes SMTP or ESMTP"},
    {"HELO", XCLIENT_HELO, take_helo, "HELO takes what the client said, or [UNAVAILABLE]"},
    {"LOGIN", XCLIENT_LOGIN, take_login, "LOGIN takes a login, or [UNAVAILABLE]"},
    {"DESTADDR", XCLIENT_DESTADDR, take_server_address,
     "DESTADDR takes 192.0.2.1, IPV6:2001:db8::1 or [UNAVAILABLE]"},
    {"DESTPORT", XCLIENT_DESTPORT, take_server_port, "DESTPORT takes a number or [UNAVAILABLE]"},
};

static const struct attribute *attribute_find(struct str key)
{
    for (size_t i = 0; i < countof(attributes); i++) {
        if (str_eq_nocase(key, str_c(attributes[i].key)))
            return &attributes[i];
    }
    return NULL;
}

const char *xclient_parse(const struct smtp_command *c, struct arena *a, struct xclient *ret)
{
    struct xclient x = {.said = 0};

    for (size_t i = 0; i < c->parameter_count; i++) {
        const struct smtp_parameter *p = &c->parameters[i];
        const struct attribute *row = attribute_find(p->key);
        struct str value;

        if (!row)
            return "XCLIENT has the attributes " XCLIENT_ATTRIBUTES;
        if (!xtext_parse(p->value, VALUE_BYTES_MAX, a, &value) || !row->take(value, &x))
            return row->form;
        x.said |= row->bit;
    }
    *ret = x;
    return NULL;
}
