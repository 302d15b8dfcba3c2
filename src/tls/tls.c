/* tls/tls.c - OpenSSL as a layer of a stream, see tls.h.
 *
 * OpenSSL reads and writes the socket itself, through a BIO of ours (its own would raise SIGPIPE);
 * it holds one record in each direction at most. In the handshake it reads what there is, for two
 * calls a record are dear there; later one record, so that no peer keeps a turn going. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "tls/internal.h"
#include "tls/server.h"

/* ---- the socket ---- */

static int socket_result(BIO *b, struct tls *t, ssize_t n, void (*retry)(BIO *b))
{
    BIO_clear_retry_flags(b);
    if (n >= 0)
        return (int)n;
    t->error = errno;
    if (errno == EAGAIN || errno == EINTR)
        retry(b);
    return -1;
}

static void retry_read(BIO *b)
{
    BIO_set_retry_read(b);
}

static void retry_write(BIO *b)
{
    BIO_set_retry_write(b);
}

static int socket_read(BIO *b, char *to, int n)
{
    struct tls *t = BIO_get_data(b);
    ssize_t got = recv(t->fd, to, (size_t)n, 0);

    t->eof = t->eof || (got == 0 && n > 0);
    return socket_result(b, t, got, retry_read);
}

static int socket_write(BIO *b, const char *from, int n)
{
    struct tls *t = BIO_get_data(b);

    return socket_result(b, t, send(t->fd, from, (size_t)n, MSG_NOSIGNAL), retry_write);
}

static long socket_control(BIO *b, int what, long number, void *p)
{
    const struct tls *t = BIO_get_data(b);

    if (what == BIO_CTRL_EOF)
        return t->eof;
    return what == BIO_CTRL_FLUSH;
}

static BIO *socket_bio(struct tls *t)
{
    static BIO_METHOD *method; /* made once, for all */

    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
        check(method && BIO_meth_set_read(method, socket_read) &&
              BIO_meth_set_write(method, socket_write) &&
              BIO_meth_set_ctrl(method, socket_control));
    }
    BIO *b = BIO_new(method);
    check(b);
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    return b;
}

/* ---- results ---- */

/* The first error of OpenSSL's queue says most. */
static int protocol_failed(struct tls *t)
{
    const char *words = ERR_reason_error_string(ERR_peek_error());

    t->failure = words ? words : "it does not speak TLS properly";
    ERR_clear_error();
    return -EPROTO;
}

/* r: what an SSL function returned, not positive. want_*: what waiting for the socket means. */
static int result(struct tls *t, int r, int want_read, int want_write)
{
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return want_read;
    case SSL_ERROR_WANT_WRITE:
        return want_write;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        return t->error != 0 && t->error != EAGAIN ? -t->error : -ECONNRESET;
    default:
        return protocol_failed(t);
    }
}

static void before(struct tls *t)
{
    ERR_clear_error();
    t->error = 0;
}

/* ---- the layer ---- */

static int layer_shake(void *layer)
{
    struct tls *t = layer;

    before(t);
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        SSL_set_read_ahead(t->ssl, 0); /* what it holds already, it hands over first */
        return 0;
    }
    r = result(t, r, -EAGAIN, -EINPROGRESS);
    return r == 0 ? -ECONNRESET : r;
}

/* Reading may have to answer (a new key) while the socket is full: the answer waits for the next
 * write, nobody waits for the answer. */
static ssize_t layer_read(void *layer, char *to, size_t n)
{
    struct tls *t = layer;

    before(t);
    int r = SSL_read(t->ssl, to, (int)MIN_OF(n, (size_t)INT_MAX));
    return r > 0 ? r : result(t, r, -EAGAIN, -EAGAIN);
}

static ssize_t layer_write(void *layer, const char *from, size_t n)
{
    struct tls *t = layer;

    before(t);
    int r = SSL_write(t->ssl, from, (int)MIN_OF(n, (size_t)INT_MAX));
    if (r > 0)
        return r;
    r = result(t, r, -EPROTO, -EAGAIN); /* without renegotiation it never waits for the peer */
    return r == 0 ? -EPIPE : r;
}

static bool layer_holds(void *layer)
{
    const struct tls *t = layer;

    return SSL_has_pending(t->ssl) == 1;
}

static void layer_end(void *layer)
{
    struct tls *t = layer;

    if (t->eof) /* it ended without a farewell, and gets none */
        return;
    before(t);
    (void)SSL_shutdown(t->ssl); /* a courtesy: who does not get it sees the end of the connection */
    ERR_clear_error();
}

static void layer_free(void *layer)
{
    struct tls *t = layer;

    SSL_free(t->ssl);
    tls_server_drop(&t->server);
    free(t);
}

static const struct stream_layer layer = {.shake = layer_shake,
                                          .read = layer_read,
                                          .write = layer_write,
                                          .holds = layer_holds,
                                          .end = layer_end,
                                          .free = layer_free};

/* ---- the doors ---- */

static void take_host(struct tls *t, struct str host)
{
    if (str_ends_nocase(host, STR(".")))
        host.n--;
    if (host.n > TLS_HOST_BYTES_MAX || str_find(host, '\0') < host.n)
        host = STR_NONE;
    memcpy(t->host, host.p ? host.p : "", host.n);
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(t->host);
    t->host_is_address = address != NULL;
    ASN1_OCTET_STRING_free(address);
}

struct tls *tls_new(struct stream *s, SSL_CTX *ssl)
{
    struct tls *t = mem_new(sizeof *t);

    t->fd = stream_fd(s);
    t->ssl = SSL_new(ssl);
    check(t->ssl);
    BIO *b = socket_bio(t);
    SSL_set_bio(t->ssl, b, b);
    SSL_set_read_ahead(t->ssl, 1);
    return t;
}

void tls_layer(struct stream *s, struct tls *t, void (*on_secured)(void *arg))
{
    stream_secure(s, &layer, t, on_secured);
}

/* Called when the server asks for one. */
static int certificate_asked_for(SSL *ssl, void *arg)
{
    struct tls *t = arg;

    t->showed_certificate = SSL_get_certificate(ssl) != NULL;
    return 1;
}

struct tls *tls_begin(struct stream *s, struct tls_context *c, struct str host,
                      void (*on_secured)(void *arg))
{
    struct tls *t = tls_new(s, c->ssl);

    take_host(t, host);
    if (t->host[0] && !t->host_is_address)
        (void)SSL_set_tlsext_host_name(t->ssl, t->host); /* without it the peer may guess */
    SSL_set_cert_cb(t->ssl, certificate_asked_for, t);
    SSL_set_connect_state(t->ssl);
    ERR_clear_error();
    tls_layer(s, t, on_secured);
    return t;
}

const char *tls_failure(const struct tls *t, int error)
{
    if (error == EPROTO && t->failure)
        return t->failure;
    return t->eof ? "closed by the other side" : strerror(error);
}
