/* fuzz_tls_server.c - whatever comes instead of a handshake: it never makes a connection secure, and
 * the stream ends or waits. The first byte: how many bytes arrive at a time. */
// links: base io mail tls
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "tls/remote_key.h"
#include "tls/server.h"
#include "tls/test_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct tls_server *server;

static bool never_sign(void *arg, uint64_t number, uint8_t scheme, struct str asked,
                       struct buf *signature)
{
    return false;
}

static void on_bytes(void *arg, struct buf *in)
{
    check(in->n == 0); /* nothing gets through */
}

static void on_end(void *arg, enum stream_end why, int error)
{
    *(bool *)arg = true;
}

static void on_secured(void *arg)
{
    check(false); /* nobody has signed */
}

static const struct stream_events events = {on_bytes, NULL, on_end};

static void set_up(void)
{
    struct test_certificate c = test_certificate_make("mx.test", "DNS:mx.test", 30);
    struct buf pem = buf_init(64 * KIB), why = buf_init(KIB);
    BIO *b = BIO_new(BIO_s_mem());
    char *p;

    (void)signal(SIGPIPE, SIG_IGN);
    check(loop_new(&clock_system, &loop) == 0);
    check(remote_keys_init_before_jail(&(struct remote_signer){.sign = never_sign}));
    check(PEM_write_bio_X509(b, c.x509) == 1);
    long n = BIO_get_mem_data(b, &p);
    buf_add(&pem, str_n(p, (size_t)n));
    server = tls_server_new(false);
    check(tls_server_add(server, STR_NONE, buf_str(&pem), &why));
    BIO_free(b);
    buf_free(&pem);
    buf_free(&why);
    test_certificate_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream *s;
    bool ended = false;
    int pair[2];

    if (!server)
        set_up();
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
        return 0;
    size_t step = (size_t)data[0] + 1;
    (void)stream_new(loop, pair[0], &events, &ended, 4096, 65536, &s);
    struct tls *t = tls_accept(s, server, data[0] & 1, on_secured);
    for (size_t at = 1; at < size && !ended; at += step) {
        (void)!write(pair[1], data + at, MIN_OF(step, size - at));
        loop_turn(loop, false);
    }
    (void)shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 4 && !ended; i++)
        loop_turn(loop, false);
    check(ended); /* the client has gone */
    check(tls_failure(t, EPROTO)[0]);
    stream_free(&s);
    loop_turn(loop, false);
    (void)close(pair[1]);
    return 0;
}
