/* tls/policy.h - how much TLS a connection to another server needs. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

enum tls_policy {                    /* from lax to strict */
                  TLS_NONE,          /* never asked for */
                  TLS_OPPORTUNISTIC, /* when it is offered; else, or when it fails, plain */
                  TLS_REQUIRED,      /* no mail without it; the certificate is noted, not judged */
                  TLS_VERIFIED, /* nor without a certificate for this name from a root we trust */
};

/* "off", "opportunistic", "required", "verified". */
bool tls_policy_parse(struct str word, enum tls_policy *ret);
