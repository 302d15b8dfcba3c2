/* http/http.h - fetching one small document by HTTPS or HTTP: libcurl, on our loop, with names
 * looked up by src/dns.
 *
 * For policies (MTA-STS) and autoconfig files: GET only, a limit for everything. libcurl never
 * resolves a name, reads no configuration, keeps no cookies, goes through no proxy and unpacks
 * nothing. Certificates are verified; TLS 1.2 at least. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "dns/dns.h"

enum { HTTP_REDIRECTS_MAX = 5, HTTP_URL_BYTES_MAX = 2048, HTTP_HEADER_BYTES_MAX = 64 * 1024 };

struct http_options {
    size_t bytes_max;
    uint64_t timeout_ms; /* for all of it: names, redirects, the body */
    bool redirects;      /* follow them (at most 5, never from https to http). MTA-STS: no */
    const char *roots;   /* PEM file, or NULL: those of the system */
    uint16_t port;       /* where the URL has none, instead of 443 or 80: for tests; 0 */
};

struct http_answer {   /* lives as long as the call */
    long code;         /* 200, 404…; 0: there was no answer */
    const char *error; /* why there was none, in words; NULL: there was one */
    struct str type;   /* Content-Type */
    struct str body;
};

struct http_request;

/* 0, or -EINVAL: no URL of ours (http or https, a host name or an address, no user in it). fn is
 * called once, never from within; a request may be freed at any time, also in fn. */
int http_get(struct loop *l, struct dns *d, const char *url, const struct http_options *o,
             void (*fn)(void *arg, const struct http_answer *answer), void *arg,
             struct http_request **ret);
void http_cancel(struct http_request **r); /* NULL is fine */
