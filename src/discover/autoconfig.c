/* discover/autoconfig.c - the file in which a domain tells mail programs its servers.
 *
 * Form: https://www.bucksch.org/1/projects/thunderbird/autoconfiguration/config-file-format.html
 *
 *   clientConfig
 *     emailProvider: displayName, incomingServer…, outgoingServer…
 *       …Server type="imap|pop3|smtp": hostname, port, socketType, username, authentication…
 *
 * libxml2 builds the tree. A document type ends the reading at once: with it go entities, and
 * whatever could be made of them. Text is taken from text nodes alone. */
// SPDX-License-Identifier: ISC
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "discover/discover.h"
#include "mail/address.h"
#include "mail/idn.h"

enum { TITLE_BYTES_MAX = 100, VALUE_BYTES_MAX = 512, AUTHENTICATIONS_MAX = 10 };

struct reading {
    struct arena *arena;
    struct str address, local, domain;
    struct provider *to;
    bool has_login;
    bool by_password; /* of some server to send by */
};

/* ---- the tree ---- */

static bool is_element(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

static const xmlNode *child(const xmlNode *n, const char *name)
{
    for (const xmlNode *c = n ? n->children : NULL; c; c = c->next)
        if (is_element(c, name))
            return c;
    return NULL;
}

/* What stands in an element, without blanks around it; empty when it is too long. */
static struct str text_of(struct arena *a, const xmlNode *n)
{
    struct buf text = buf_init(VALUE_BYTES_MAX);

    for (const xmlNode *c = n ? n->children : NULL; c; c = c->next)
        if ((c->type == XML_TEXT_NODE || c->type == XML_CDATA_SECTION_NODE) && c->content)
            buf_add_c(&text, (const char *)c->content);
    struct str found = text.full ? STR_NONE : arena_copy(a, str_trim(buf_str(&text)));
    buf_free(&text);
    return found;
}

static struct str value(const struct reading *r, const xmlNode *server, const char *name)
{
    return text_of(r->arena, child(server, name));
}

static struct str attribute(const struct reading *r, const xmlNode *n, const char *name)
{
    for (const xmlAttr *at = n->properties; at; at = at->next)
        if (strcmp((const char *)at->name, name) == 0 && at->children &&
            at->children->type == XML_TEXT_NODE && at->children->content)
            return arena_copy(r->arena, str_c((const char *)at->children->content));
    return STR_NONE;
}

/* ---- values ---- */

static bool replace(struct arena *a, struct str *text, const char *what, struct str by)
{
    size_t at = str_find_str(*text, str_c(what));

    if (at == text->n || by.n == 0)
        return false;
    *text = arena_printf(a, "%.*s%.*s%.*s", (int)at, text->p, STR_ARG(by),
                         (int)(text->n - at - strlen(what)), text->p + at + strlen(what));
    return true;
}

/* Each placeholder once: no name needs more, and so this ends. */
static struct str filled(const struct reading *r, struct str text)
{
    (void)replace(r->arena, &text, "%EMAILADDRESS%", r->local.n > 0 ? r->address : STR_NONE);
    (void)replace(r->arena, &text, "%EMAILLOCALPART%", r->local);
    (void)replace(r->arena, &text, "%EMAILDOMAIN%", r->domain);
    return text;
}

static bool host_of(const struct reading *r, const xmlNode *server, struct str *ret)
{
    struct str host = filled(r, value(r, server, "hostname"));

    if (!utf8_is_ascii(host) && !idn_to_ascii(host, r->arena, &host))
        return false;
    if (!domain_valid(host, false) || host.p[0] == '[' || str_find(host, '.') == host.n)
        return false;
    char *p = arena_c(r->arena, host);
    for (size_t i = 0; i < host.n; i++)
        p[i] = char_lower(p[i]);
    *ret = str_n(p, host.n);
    return true;
}

static bool port_of(const struct reading *r, const xmlNode *server, uint16_t *ret)
{
    uint64_t port;

    if (!str_u64(value(r, server, "port"), &port) || port < 1 || port > 65535)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool tls_of(const struct reading *r, const xmlNode *server, enum provider_tls *ret)
{
    static const char *const words[] = {
        [PROVIDER_TLS_NONE] = "plain",
        [PROVIDER_TLS_STARTTLS] = "STARTTLS",
        [PROVIDER_TLS_IMPLICIT] = "SSL",
    };
    struct str word = value(r, server, "socketType");

    for (size_t i = 0; i < countof(words); i++)
        if (str_eq_nocase(word, str_c(words[i]))) {
            *ret = (enum provider_tls)i;
            return true;
        }
    return false;
}

static bool protocol_of(const struct reading *r, const xmlNode *n, enum provider_protocol *ret)
{
    static const struct {
        const char *element, *type;
        enum provider_protocol protocol;
    } kinds[] = {
        {"outgoingServer", "smtp", PROVIDER_SMTP},
        {"incomingServer", "pop3", PROVIDER_POP},
        {"incomingServer", "imap", PROVIDER_IMAP},
    };

    for (size_t i = 0; i < countof(kinds); i++)
        if (is_element(n, kinds[i].element) && str_eq_c(attribute(r, n, "type"), kinds[i].type)) {
            *ret = kinds[i].protocol;
            return true;
        }
    return false;
}

/* ---- logins ---- */

/* The login of the first server that has one counts; servers to send by stand behind. */
static void take_login(struct reading *r, const xmlNode *server)
{
    struct str name = value(r, server, "username");
    struct str full = filled(r, name);

    if (r->has_login || name.n == 0 || !utf8_visible(full))
        return;
    r->has_login = true;
    if (str_eq_c(name, "%EMAILADDRESS%") || str_eq(full, r->address)) {
        r->to->login = PROVIDER_LOGIN_ADDRESS;
    } else if (str_eq_c(name, "%EMAILLOCALPART%")) {
        r->to->login = PROVIDER_LOGIN_NAME;
    } else if (str_find(full, '%') < full.n) { /* the local part is not known to us */
        r->to->login = PROVIDER_LOGIN_GIVEN;
    } else {
        r->to->login = PROVIDER_LOGIN_WORD;
        r->to->login_word = full;
    }
}

static void take_authentication(struct reading *r, const xmlNode *server)
{
    size_t seen = 0;

    for (const xmlNode *c = server->children; c && seen < AUTHENTICATIONS_MAX; c = c->next) {
        if (!is_element(c, "authentication"))
            continue;
        struct str word = text_of(r->arena, c);

        seen++;
        if (str_eq_c(word, "OAuth2"))
            r->to->oauth = true;
        else if (str_starts(word, STR("password")) || str_eq_c(word, "plain") ||
                 str_eq_c(word, "secure"))
            r->by_password = true;
    }
    r->by_password = r->by_password || seen == 0;
}

/* ---- servers ---- */

static void take_server(struct reading *r, const xmlNode *n)
{
    struct provider_endpoint e = {0};
    struct provider *p = r->to;

    if (!protocol_of(r, n, &e.protocol) || !host_of(r, n, &e.host) || !port_of(r, n, &e.port) ||
        !tls_of(r, n, &e.tls) || p->endpoint_count == PROVIDER_ENDPOINTS_MAX)
        return;
    p->endpoints[p->endpoint_count++] = e;
    take_login(r, n);
    if (e.protocol == PROVIDER_SMTP)
        take_authentication(r, n);
}

static void take_provider(struct reading *r, const xmlNode *n)
{
    struct str title = value(r, n, "displayName");

    if (title.n > 0 && title.n <= TITLE_BYTES_MAX && utf8_visible(title))
        r->to->title = title;
    for (const xmlNode *c = n->children; c; c = c->next)
        take_server(r, c);
    r->to->oauth_only = r->to->oauth && !r->by_password;
}

/* ---- the document ---- */

/* Called where a document type begins, before anything of it was looked at. */
static void on_document_type(void *context, const xmlChar *name, const xmlChar *external,
                             const xmlChar *system)
{
    xmlParserCtxtPtr parser = context;

    *(bool *)parser->_private = true;
    xmlStopParser(parser);
}

static void be_quiet(void *context, const char *format, ...) {}

static xmlDoc *read_tree(struct str xml, bool *has_type)
{
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    xmlDoc *tree = NULL;

    if (!parser)
        mem_none();
    *has_type = false;
    parser->_private = has_type;
    parser->sax->internalSubset = on_document_type;
    parser->sax->error = parser->sax->warning = parser->sax->fatalError = be_quiet;
    tree = xmlCtxtReadMemory(parser, xml.p, (int)xml.n, NULL, NULL,
                             XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                 XML_PARSE_NOCDATA);
    xmlFreeParserCtxt(parser);
    return tree;
}

static bool read_document(struct reading *r, const xmlDoc *tree, struct buf *error)
{
    const xmlNode *root = xmlDocGetRootElement(tree);
    const xmlNode *provider =
        root && is_element(root, "clientConfig") ? child(root, "emailProvider") : NULL;

    if (!provider)
        return buf_add_c(error, N_("it is no autoconfig file: there is no emailProvider in it")) &&
               false;
    take_provider(r, provider);
    if (!provider_endpoint(r->to, PROVIDER_SMTP))
        return buf_add_c(error, N_("it names no server to send by")) && false;
    return true;
}

bool autoconfig_parse(struct arena *a, struct str xml, struct str address, struct provider *ret,
                      struct buf *error)
{
    address = arena_copy(a, address);
    size_t at = str_find_last(address, '@');
    struct str domain = at < address.n ? str_skip(address, at + 1) : address;
    struct provider p = {.name = domain, .title = domain};
    struct reading r = {.arena = a,
                        .address = address,
                        .local = str_sub(address, 0, at < address.n ? at : 0),
                        .domain = domain,
                        .to = &p};
    bool has_type;

    if (xml.n == 0 || xml.n > AUTOCONFIG_BYTES_MAX)
        return buf_printf(error, xml.n ? "it is longer than %d KiB" : "it is empty",
                          AUTOCONFIG_BYTES_MAX / 1024) &&
               false;
    p.endpoints = arena_alloc(a, PROVIDER_ENDPOINTS_MAX * sizeof *p.endpoints);
    p.domains = arena_alloc(a, sizeof *p.domains);
    p.domains[p.domain_count++] = domain;
    xmlDoc *tree = read_tree(xml, &has_type);
    bool good = false;
    if (has_type)
        buf_add_c(error, N_("it has a document type, which an autoconfig file has not"));
    else if (!tree)
        buf_add_c(error, N_("it is no XML"));
    else
        good = read_document(&r, tree, error);
    xmlFreeDoc(tree);
    if (good)
        *ret = p;
    return good;
}
