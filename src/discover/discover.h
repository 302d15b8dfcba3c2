/* discover/discover.h - the servers of a domain that no provider file names.
 *
 * Asked in this order, the first that says where to send wins: SRV (RFC 6186, RFC 8314:
 * _submissions, _submission, _imaps, _imap, _pop3s, _pop3), autoconfig
 * (https://autoconfig.DOMAIN/mail/config-v1.1.xml and https://DOMAIN/.well-known/autoconfig/…), then
 * the MX: of a known provider's domain, that provider. Where nobody says where to send, SRV that only
 * say where to fetch count. When no name server answers, nothing more is asked. Whatever was asked is
 * told, with what came of it.
 *
 * SRV are as trustworthy as DNS: a host outside of the domain should be shown to the person (RFC
 * 6186 6). Autoconfig comes by HTTPS, from a server with a certificate for a name of the domain. */
// SPDX-License-Identifier: ISC
#pragma once

#include "dns/dns.h"
#include "http/http.h"
#include "provider/provider.h"

enum { AUTOCONFIG_BYTES_MAX = 256 * 1024, AUTOCONFIG_TIMEOUT_MS = 10 * 1000 };

struct discover;

struct discover_step { /* one question */
    struct str what;   /* "_submissions._tcp.example.org SRV", "https://…", "example.org MX" */
    struct str
        came_of; /* "smtp.example.org:465", "no such name"; terminated. Where it is a constant,
                            it is marked for translators */
    bool useful; /* something that the result is made of */
};

struct discovered {                  /* lives as long as the call */
    const struct provider *provider; /* NULL: nothing was found */
    const char *how;                 /* "SRV", "autoconfig", "MX", or why nothing was found */
    bool later;                      /* no name server answered: try again */
    const struct discover_step *steps;
    size_t step_count;
};

/* The address may be a domain alone. 0, or -EINVAL: it has no domain that can be asked for. known
 * must live as long; the rest is copied. http: NULL for what is usual. */
int discover_new(struct loop *l, struct dns *d, const struct providers *known, struct str address,
                 const struct http_options *http,
                 void (*fn)(void *arg, const struct discovered *found), void *arg,
                 struct discover **ret);
void discover_free(struct discover **d); /* NULL is fine; also from fn */

/* An autoconfig file (XML, hostile) as a provider; false with the reason. Pure; in autoconfig.c.
 * No entities, no DTD, nothing is loaded; what it says is checked and may be shown to a person. */
bool autoconfig_parse(struct arena *a, struct str xml, struct str address, struct provider *ret,
                      struct buf *error);
