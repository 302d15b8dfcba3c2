/* provider/provider.h - what is known of mail providers: servers, logins, limits. Pure.
 *
 * One text file, share/providers.conf (its head explains the form; users extend it with
 * ~/.config/troika/providers.conf and /etc/troika/providers.conf: a section with the same name
 * replaces the earlier one as a whole). Each figure has its source and date there. Which files
 * there are, and reading them, is provider/load.h.
 *
 * Domains and hosts are kept in A-labels and small letters, whichever way they were written. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum {
    PROVIDER_FILE_BYTES_MAX = 1024 * 1024,
    PROVIDERS_MAX = 1000,
    PROVIDER_DOMAINS_MAX = 200,
    PROVIDER_ENDPOINTS_MAX = 16,
    PROVIDER_LIMITS_MAX = 8,
    PROVIDER_NAMES_MAX = 16, /* further names, and domains of MX */
    PROVIDER_SOURCES_MAX = 16,
    PROVIDER_NAME_BYTES_MAX = 32,
};

enum provider_tls { PROVIDER_TLS_NONE, PROVIDER_TLS_STARTTLS, PROVIDER_TLS_IMPLICIT };
enum provider_protocol { PROVIDER_SMTP, PROVIDER_POP, PROVIDER_IMAP, PROVIDER_PROTOCOL_COUNT };

struct provider_source { /* where figures are from, and when somebody looked */
    struct str date;     /* "2026-11-27" */
    struct str where;    /* mostly a URL */
};

struct provider_endpoint {
    enum provider_protocol protocol;
    struct str host; /* a name or an address, without brackets */
    uint16_t port;
    enum provider_tls tls;
    const struct provider_source *source; /* or NULL */
};

enum provider_login {
    PROVIDER_LOGIN_ADDRESS, /* a@b */
    PROVIDER_LOGIN_NAME,    /* a alone */
    PROVIDER_LOGIN_GIVEN,   /* what the provider gave: it cannot be guessed from an address */
    PROVIDER_LOGIN_WORD,    /* the same word for everybody: login_word */
};

struct provider_limit { /* messages (or recipients) in a time */
    uint64_t count, in_us;
    bool recipients;
    const struct provider_source *source; /* or NULL */
};

struct provider {
    struct str name;  /* "yandex": what people type */
    struct str title; /* "Yandex Mail" */
    struct str *also; /* further names: "hotmail" of outlook */
    size_t also_count;
    struct str *domains;
    size_t domain_count;
    struct str *mx; /* the MX of domains that it serves are these or below these */
    size_t mx_count;
    struct provider_endpoint *endpoints; /* in the order of preference, per protocol */
    size_t endpoint_count;
    enum provider_login login;
    struct str login_word;
    struct provider_limit *limits;
    size_t limit_count;
    uint64_t recipients_max, message_bytes_max; /* of one message; 0: not known */
    const struct provider_source *recipients_source, *message_source;
    bool pop_first;               /* wants POP before SMTP */
    bool oauth;                   /* takes OAUTHBEARER or XOAUTH2 */
    bool oauth_only;              /* and no password any more */
    struct str advice, advice_ru; /* "make an application password: https://…"; may be empty */
    struct provider_source *sources;
    size_t source_count;
    struct str source, date; /* the first of the sources, or empty */
    bool unsourced;          /* something in the file has no source */
};

struct providers {
    const struct provider *list; /* those of later files behind */
    size_t count;
};

/* Reads the text of one file onto what an earlier one gave (base may be NULL; its strings must live
 * as long as the arena). False: *error holds "FILE:LINE: what is wrong and what would be right", a
 * line for each mistake. Everything lives in the arena. */
bool providers_parse(struct arena *a, struct str text, const char *file,
                     const struct providers *base, struct providers *ret, struct buf *error);
/* By its name ("yandex"), or by the domain of an address ("ya.ru", "me@ya.ru"); NULL: unknown. */
const struct provider *provider_find(const struct providers *p, struct str name_or_address);
/* By a server of it: one of its hosts, or an MX of domains that it serves (below its mx or its own
 * domains, the longest wins); NULL: unknown. */
const struct provider *provider_of_host(const struct providers *p, struct str host);
const struct provider *provider_of_mx(const struct providers *p, struct str host);
/* The best endpoint of a protocol, or NULL. */
const struct provider_endpoint *provider_endpoint(const struct provider *p,
                                                  enum provider_protocol protocol);
/* What to log in with at this provider, given an address: the address, its local part, or the word
 * that everybody uses. */
struct str provider_login_of(const struct provider *p, struct str address);
