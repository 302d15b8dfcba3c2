/* discover/discover.h - the servers of a domain that no provider file names.
 *
 * Asked in this order, the first that answers wins: SRV (RFC 6186, RFC 8314: _submissions,
 * _submission, _pop3s, _pop3, _imaps, _imap), autoconfig (https://autoconfig.DOMAIN/mail/config-v1.1.xml
 * and https://DOMAIN/.well-known/autoconfig/…), then the MX: of a known provider's domain, that
 * provider. */
// SPDX-License-Identifier: ISC
#pragma once

#include "dns/dns.h"
#include "http/http.h"
#include "provider/provider.h"

struct discover;

struct discovered { /* lives as long as the call */
    const struct provider *provider; /* NULL: nothing was found */
    const char *how;                 /* "SRV", "autoconfig", "MX", or why nothing was found */
};

int discover_new(struct loop *l, struct dns *d, const struct providers *known, struct str address,
                 const struct http_options *http, void (*fn)(void *arg, const struct discovered *found),
                 void *arg, struct discover **ret);
void discover_free(struct discover **d); /* NULL is fine; also from fn */

/* An autoconfig file (XML, hostile) as a provider; false with the reason. Pure; in autoconfig.c. */
bool autoconfig_parse(struct arena *a, struct str xml, struct str address, struct provider *ret,
                      struct buf *error);
