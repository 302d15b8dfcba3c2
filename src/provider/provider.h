/* provider/provider.h - what is known of mail providers: servers, logins, limits. Pure.
 *
 * One text file, share/providers.conf (its head explains the form; users extend it with
 * ~/.config/troika/providers.conf and /etc/troika/providers.conf: a section with the same name
 * replaces the earlier one as a whole). Each figure has its source and date there. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum {
    PROVIDER_FILE_BYTES_MAX = 1024 * 1024,
    PROVIDERS_MAX = 1000,
    PROVIDER_DOMAINS_MAX = 100,
    PROVIDER_ENDPOINTS_MAX = 16,
    PROVIDER_LIMITS_MAX = 8,
};

enum provider_tls { PROVIDER_TLS_NONE, PROVIDER_TLS_STARTTLS, PROVIDER_TLS_IMPLICIT };
enum provider_protocol { PROVIDER_SMTP, PROVIDER_POP, PROVIDER_IMAP };

struct provider_endpoint {
    enum provider_protocol protocol;
    struct str host;
    uint16_t port;
    enum provider_tls tls;
};

enum provider_login { PROVIDER_LOGIN_ADDRESS, PROVIDER_LOGIN_NAME }; /* a@b, or a alone */

struct provider_limit { /* messages (or recipients) in a time */
    uint64_t count, in_us;
    bool recipients;
};

struct provider {
    struct str name;  /* "yandex": what people type */
    struct str title; /* "Yandex Mail" */
    struct str *domains;
    size_t domain_count;
    struct provider_endpoint *endpoints; /* in the order of preference, per protocol */
    size_t endpoint_count;
    enum provider_login login;
    struct provider_limit *limits;
    size_t limit_count;
    uint64_t recipients_max, message_bytes_max; /* of one message; 0: not known */
    bool pop_first;       /* wants POP before SMTP */
    bool oauth;           /* takes OAUTHBEARER or XOAUTH2 */
    struct str advice, advice_ru; /* "make an application password: https://…"; may be empty */
    struct str source;    /* where the figures are from */
    struct str date;      /* "2026-11-27" */
};

struct providers {
    const struct provider *list;
    size_t count;
};

/* Reads the text of one file onto what an earlier one gave (base may be NULL). False: *error holds
 * "FILE:LINE: what is wrong and what would be right". Everything lives in the arena. */
bool providers_parse(struct arena *a, struct str text, const char *file, const struct providers *base,
                     struct providers *ret, struct buf *error);
/* By its name ("yandex"), or by the domain of an address ("ya.ru", "me@ya.ru"); NULL: unknown. */
const struct provider *provider_find(const struct providers *p, struct str name_or_address);
/* The best endpoint of a protocol, or NULL. */
const struct provider_endpoint *provider_endpoint(const struct provider *p,
                                                  enum provider_protocol protocol);
/* What to log in with at this provider, given an address: the address or its local part. */
struct str provider_login_of(const struct provider *p, struct str address);
