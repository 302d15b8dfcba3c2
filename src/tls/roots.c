/* tls/roots.c - the certificates that this system trusts. */
// SPDX-License-Identifier: ISC
#include "tls/tls.h"

#include <errno.h>

#include "base/check.h"

/* Where systems keep them; the first one that is there. */
static const char *const files[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

int tls_trust_system_before_jail(struct tls_context *c)
{
    int r = -ENOENT;

    for (size_t i = 0; i < countof(files) && r <= 0; i++)
        r = tls_trust_before_jail(c, files[i]);
    return r;
}
