/* http/http.c - see http.h.
 *
 *   http_get -> hop_begin -> names looked up -> transfer_begin -> ... -> transfer_ended -> finish
 *                  ^                                                          |
 *                  +------------------------ a redirect ---------------------+
 *
 * libcurl tells which descriptors and timers it waits for (curl_multi_socket_action); all else
 * waits here. Each hop has a handle of its own, so that nothing of one is left for the next. */
// SPDX-License-Identifier: ISC
#include "http/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"

/* So long the addresses of the other family are waited for once there are some (RFC 8305 3). */
#define PATIENCE_US (US_PER_S / 2)

enum { ADDRESSES_MAX = 8, HOST_BYTES_MAX = 256, WHY_BYTES_MAX = CURL_ERROR_SIZE + 400 };

struct wire { /* a descriptor that libcurl waits for */
    struct list link;
    struct watch watch;
    curl_socket_t fd;
    struct http_request *request;
};

struct http_request {
    struct loop *loop;
    struct dns *dns;
    struct http_options options;
    char *roots;
    void (*fn)(void *arg, const struct http_answer *answer);
    void *arg;
    struct timer start, deadline, tick, patience;
    unsigned redirect_count;

    CURLU *url; /* of this hop */
    char host[HOST_BYTES_MAX];
    uint16_t port;
    bool secure; /* it is https */
    struct dns_question questions[2];
    unsigned open_count; /* questions without an answer */
    struct buf addresses;
    size_t address_count;
    char no_address[200]; /* why there is none */

    CURLM *multi;
    CURL *easy;
    struct curl_slist *resolve;
    struct list wires;
    size_t header_bytes;
    struct buf body;
    char type[256];
    char detail[CURL_ERROR_SIZE]; /* libcurl's words */
    char why[WHY_BYTES_MAX];      /* ours; empty: nothing is wrong */
};

/* ---- the end ---- */

static void transfer_end(struct http_request *r)
{
    if (r->easy) {
        (void)curl_multi_remove_handle(r->multi, r->easy);
        curl_easy_cleanup(r->easy);
    }
    if (r->multi)
        (void)curl_multi_cleanup(r->multi);
    curl_slist_free_all(r->resolve);
    r->easy = NULL;
    r->multi = NULL;
    r->resolve = NULL;
    timer_stop(&r->tick);
    list_each (at, &r->wires) {
        struct wire *w = list_of(at, struct wire, link);

        watch_stop(&w->watch);
        list_remove(&w->link);
        loop_bury(r->loop, free, w);
    }
}

static void names_forget(struct http_request *r)
{
    timer_stop(&r->patience);
    for (size_t i = 0; i < countof(r->questions); i++)
        dns_cancel(&r->questions[i]);
}

/* After it nothing happens any more. */
static void stop(struct http_request *r)
{
    timer_stop(&r->start);
    timer_stop(&r->deadline);
    names_forget(r);
    transfer_end(r);
}

static void finish(struct http_request *r, long code)
{
    struct http_answer answer = {
        .code = r->why[0] ? 0 : code,
        .error = r->why[0] ? r->why : NULL,
        .type = r->why[0] ? STR_NONE : str_c(r->type),
        .body = r->why[0] ? STR_NONE : buf_str(&r->body),
    };

    stop(r);
    r->fn(r->arg, &answer);
}

static void fail(struct http_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct http_request *r, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(r->why, sizeof r->why, format, arguments);
    va_end(arguments);
    finish(r, 0);
}

static void request_free(void *arg)
{
    struct http_request *r = arg;

    curl_url_cleanup(r->url);
    buf_free(&r->addresses);
    buf_free(&r->body);
    free(r->roots);
    free(r);
}

/* What fn was given may still be looked at: the memory goes at the end of the turn. */
void http_cancel(struct http_request **r)
{
    struct http_request *old = *r;

    *r = NULL;
    if (!old)
        return;
    stop(old);
    loop_bury(old->loop, request_free, old);
}

/* ---- what libcurl hands over ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;

    if (buf_add(&r->body, str_n(bytes, size * count)))
        return size * count;
    snprintf(r->why, sizeof r->why, "the answer is longer than %zu bytes", r->options.bytes_max);
    return 0;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;

    r->header_bytes += size * count;
    if (r->header_bytes <= HTTP_HEADER_BYTES_MAX)
        return size * count;
    snprintf(r->why, sizeof r->why, "the header of the answer is longer than %d bytes",
             HTTP_HEADER_BYTES_MAX);
    return 0;
}

/* Names come from src/dns alone. */
static int on_resolve(void *state, void *reserved, void *arg)
{
    return 1;
}

static void transfer_ended(struct http_request *r, CURLcode result);

/* r may be gone afterwards. */
static void advance(struct http_request *r, curl_socket_t fd, int events)
{
    int running = 0, left = 0;
    CURLMcode code = curl_multi_socket_action(r->multi, fd, events, &running);
    CURLMsg *message;

    if (code != CURLM_OK) {
        fail(r, "%s", curl_multi_strerror(code));
        return;
    }
    while ((message = curl_multi_info_read(r->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            transfer_ended(r, message->data.result);
            return;
        }
}

static void on_ready(void *arg, unsigned what)
{
    struct wire *w = arg;
    int events =
        (what & WATCH_READ ? CURL_CSELECT_IN : 0) | (what & WATCH_WRITE ? CURL_CSELECT_OUT : 0);

    advance(w->request, w->fd, events);
}

static void on_tick(void *arg)
{
    advance(arg, CURL_SOCKET_TIMEOUT, 0);
}

static struct wire *wire_new(struct http_request *r, curl_socket_t fd)
{
    struct wire *w = mem_new(sizeof *w);

    w->fd = fd;
    w->request = r;
    list_add(&r->wires, &w->link);
    (void)curl_multi_assign(r->multi, fd, w);
    return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct http_request *r = arg;
    struct wire *w = of_socket;
    unsigned events =
        (what & CURL_POLL_IN ? WATCH_READ : 0U) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0U);

    if (what == CURL_POLL_REMOVE) {
        if (w) {
            watch_stop(&w->watch);
            list_remove(&w->link);
            loop_bury(r->loop, free, w);
        }
        return 0;
    }
    if (!w)
        w = wire_new(r, fd);
    watch_stop(&w->watch);
    if (events)
        watch_start(r->loop, &w->watch, fd, events, on_ready, w);
    return 0;
}

static int on_timeout(CURLM *multi, long after_ms, void *arg)
{
    struct http_request *r = arg;

    if (after_ms < 0)
        timer_stop(&r->tick);
    else
        timer_set(r->loop, &r->tick, (uint64_t)after_ms * 1000, on_tick, r);
    return 0;
}

/* ---- one hop ---- */

static void set_limits(struct http_request *r)
{
    curl_easy_setopt(r->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->options.bytes_max);
    curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->detail);
}

static void set_protocol(struct http_request *r)
{
    curl_easy_setopt(r->easy, CURLOPT_CURLU, r->url);
    curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "troika");
    curl_easy_setopt(r->easy, CURLOPT_PROXY, ""); /* else the environment names one */
    curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(r->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(r->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (r->roots) { /* only these: without the folder of the system's */
        curl_easy_setopt(r->easy, CURLOPT_CAINFO, r->roots);
        curl_easy_setopt(r->easy, CURLOPT_CAPATH, NULL);
    }
}

static void set_addresses(struct http_request *r)
{
    struct buf row = buf_init(2048);

    if (r->address_count > 0) {
        buf_printf(&row, "%s:%u:", r->host, r->port);
        buf_add(&row, buf_str(&r->addresses));
        r->resolve = curl_slist_append(NULL, buf_c(&row));
        curl_easy_setopt(r->easy, CURLOPT_RESOLVE, r->resolve);
        curl_easy_setopt(r->easy, CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
    }
    buf_free(&row);
}

static void transfer_begin(struct http_request *r)
{
    r->multi = curl_multi_init();
    r->easy = curl_easy_init();
    if (!r->multi || !r->easy)
        mem_none();
    buf_reset(&r->body);
    r->header_bytes = 0;
    curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r);
    curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r);
    set_protocol(r);
    set_limits(r);
    set_addresses(r);
    if (curl_multi_add_handle(r->multi, r->easy) != CURLM_OK)
        mem_none();
}

/* ---- names ---- */

static void add_address(struct http_request *r, const struct dns_record *record, int family)
{
    char text[INET6_ADDRSTRLEN];

    if (r->address_count == ADDRESSES_MAX || !inet_ntop(family, record->address, text, sizeof text))
        return;
    buf_printf(&r->addresses, family == AF_INET6 ? "%s[%s]" : "%s%s",
               r->address_count > 0 ? "," : "", text);
    r->address_count++;
}

static void names_known(void *arg)
{
    struct http_request *r = arg;

    names_forget(r);
    if (r->address_count > 0)
        transfer_begin(r);
    else if (r->no_address[0])
        fail(r, "%s cannot be looked up: %s", r->host, r->no_address);
    else
        fail(r, "%s has no address", r->host);
}

static void take_addresses(struct http_request *r, const struct dns_answer *answer, int family)
{
    if (answer->outcome == DNS_LATER)
        snprintf(r->no_address, sizeof r->no_address, "%s", answer->why);
    for (size_t i = 0; i < answer->count; i++)
        add_address(r, &answer->records[i], family);
    if (--r->open_count == 0)
        names_known(r);
    else if (r->address_count > 0)
        timer_set(r->loop, &r->patience, PATIENCE_US, names_known, r);
}

static void on_a(void *arg, const struct dns_answer *answer)
{
    take_addresses(arg, answer, AF_INET);
}

static void on_aaaa(void *arg, const struct dns_answer *answer)
{
    take_addresses(arg, answer, AF_INET6);
}

static bool is_address(const char *host)
{
    uint8_t bytes[16];

    return host[0] == '[' || inet_pton(AF_INET, host, bytes) == 1;
}

static void hop_begin(void *arg)
{
    struct http_request *r = arg;

    buf_reset(&r->addresses);
    r->address_count = 0;
    r->no_address[0] = '\0';
    if (is_address(r->host)) {
        transfer_begin(r);
        return;
    }
    r->open_count = 2;
    dns_ask(r->dns, &r->questions[0], str_c(r->host), DNS_A, on_a, r);
    dns_ask(r->dns, &r->questions[1], str_c(r->host), DNS_AAAA, on_aaaa, r);
}

/* ---- URLs ---- */

static bool get_part(CURLU *url, CURLUPart part, unsigned flags, char *to, size_t room)
{
    char *text = NULL;
    bool good = curl_url_get(url, part, &text, flags) == CURLUE_OK && strlen(text) < room;

    if (good)
        memcpy(to, text, strlen(text) + 1);
    curl_free(text);
    return good;
}

/* A port that the URL does not say is the one of the options, or that of its scheme. */
static bool take_port(struct http_request *r)
{
    char text[8];
    uint64_t port;

    if (r->options.port > 0 && !get_part(r->url, CURLUPART_PORT, 0, text, sizeof text)) {
        snprintf(text, sizeof text, "%u", r->options.port);
        if (curl_url_set(r->url, CURLUPART_PORT, text, 0) != CURLUE_OK)
            return false;
    }
    if (!get_part(r->url, CURLUPART_PORT, CURLU_DEFAULT_PORT, text, sizeof text) ||
        !str_u64(str_c(text), &port) || port < 1 || port > 65535)
        return false;
    r->port = (uint16_t)port;
    return true;
}

static bool take_url(struct http_request *r, const char *text)
{
    char scheme[16];

    if (strlen(text) > HTTP_URL_BYTES_MAX ||
        curl_url_set(r->url, CURLUPART_URL, text, CURLU_DISALLOW_USER) != CURLUE_OK ||
        !get_part(r->url, CURLUPART_SCHEME, 0, scheme, sizeof scheme) ||
        !get_part(r->url, CURLUPART_HOST, 0, r->host, sizeof r->host) || !take_port(r))
        return false;
    r->secure = strcmp(scheme, "https") == 0;
    if (!r->secure && strcmp(scheme, "http") != 0)
        return false;
    return is_address(r->host) ||
           (dns_name_valid(str_c(r->host)) && !str_ends(str_c(r->host), STR(".")));
}

/* ---- answers ---- */

static bool is_redirect(long code)
{
    static const long codes[] = {301, 302, 303, 307, 308};

    for (size_t i = 0; i < countof(codes); i++)
        if (code == codes[i])
            return true;
    return false;
}

static void follow(struct http_request *r, const char *location)
{
    bool secure = r->secure;
    char url[HTTP_URL_BYTES_MAX + 1];
    size_t n = strlen(location);

    memcpy(url, location, MIN_OF(n, sizeof url - 1)); /* it is the handle's */
    url[MIN_OF(n, sizeof url - 1)] = '\0';
    transfer_end(r);
    if (r->redirect_count++ == HTTP_REDIRECTS_MAX)
        fail(r, "it leads on more than %d times", HTTP_REDIRECTS_MAX);
    else if (n >= sizeof url || !take_url(r, url))
        fail(r, "it leads to what is no address of a web server");
    else if (secure && !r->secure)
        fail(r, "it leads from https to http, where anybody could answer");
    else
        hop_begin(r);
}

static void transfer_ended(struct http_request *r, CURLcode result)
{
    char *type = NULL, *location = NULL;
    long code = 0;

    (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &code);
    (void)curl_easy_getinfo(r->easy, CURLINFO_CONTENT_TYPE, &type);
    (void)curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &location);
    snprintf(r->type, sizeof r->type, "%s", type ? type : "");
    if (result == CURLE_FILESIZE_EXCEEDED)
        fail(r, "the answer is longer than %zu bytes", r->options.bytes_max);
    else if (result != CURLE_OK && r->why[0])
        finish(r, 0);
    else if (result == CURLE_OUT_OF_MEMORY) /* also when a line of the header is too long for it */
        fail(r, "%s: a line of its header is too long, or there is no memory", r->host);
    else if (result != CURLE_OK)
        fail(r, "%s: %s", r->host, r->detail[0] ? r->detail : curl_easy_strerror(result));
    else if (r->options.redirects && is_redirect(code) && location)
        follow(r, location);
    else
        finish(r, code);
}

static void on_deadline(void *arg)
{
    struct http_request *r = arg;

    fail(r, "%s: no answer within %llu seconds", r->host,
         (unsigned long long)((r->options.timeout_ms + 999) / 1000));
}

int http_get(struct loop *l, struct dns *d, const char *url, const struct http_options *o,
             void (*fn)(void *arg, const struct http_answer *answer), void *arg,
             struct http_request **ret)
{
    struct http_request *r = mem_new(sizeof *r);

    *r = (struct http_request){.loop = l, .dns = d, .options = *o, .fn = fn, .arg = arg};
    r->roots = o->roots ? mem_copy(o->roots, strlen(o->roots)) : NULL;
    r->addresses = buf_init(1024);
    r->body = buf_init(o->bytes_max);
    list_init(&r->wires);
    r->url = curl_url();
    if (!r->url)
        mem_none();
    if (!take_url(r, url)) {
        request_free(r);
        return -EINVAL;
    }
    timer_set(l, &r->deadline, o->timeout_ms * 1000, on_deadline, r);
    timer_set(l, &r->start, 0, hop_begin, r);
    *ret = r;
    return 0;
}
