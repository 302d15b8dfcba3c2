/* daemon/keys/keys.c - see keys.h.
 *
 * Each smtpd has two sockets to us: its channel, by which it hears of certificates and ticket keys,
 * and one of its own for asking, to which it waits for the answer (tls/remote_key.h). An answer is
 * the work of a millisecond; nothing else here takes longer. */
// SPDX-License-Identifier: ISC
#include "daemon/keys/keys.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/keys/store.h"
#include "tls/server.h"
#include "tls/sign.h"

/* Tickets live as long as a key that is no longer new: RFC 5077 5.5. */
#define ROTATE_US (TICKET_LIFE_US / (TICKET_KEYS_MAX - 1))
#define AGAIN_US US_PER_S

struct asker { /* one smtpd */
    struct list link;
    struct worker *worker;
    struct channel *peer, *asking; /* asking NULL: its socket is gone, it gets another */
    struct timer again;
};

static struct store store;
static struct list askers;
static unsigned char ticket_keys[TICKET_KEYS_MAX][TICKET_KEY_BYTES];
static size_t ticket_key_count;
static struct timer rotation;
static bool known; /* the first set is complete; until then nobody is told of none */

/* ---- signing ---- */

static void on_ask(void *arg, struct channel *c, union message *m)
{
    const struct msg_sign_ask *a = &m->sign_ask;
    struct buf signature = buf_init(SIGNATURE_BYTES_MAX);
    EVP_PKEY *key = m->kind == MSG_SIGN_ASK ? store_find(&store, a->key) : NULL;

    if (m->kind != MSG_SIGN_ASK) {
        channel_break(c, "only signatures are asked for here");
        return;
    }
    if (key && !sign_handshake(key, a->scheme, a->asked, &signature)) {
        buf_reset(&signature);
        log_event(LEVEL_WARNING, "signature-refused", "reason", "it is not of a TLS handshake",
                  NULL);
    }
    channel_send(c, &(struct msg_sign_answer){.kind = MSG_SIGN_ANSWER,
                                              .ticket = a->ticket,
                                              .signature = buf_str(&signature)});
    channel_flush(c); /* somebody waits */
    buf_free(&signature);
}

static void give_signer(void *arg);

static void on_asking_down(void *arg, struct channel *c, const char *why)
{
    struct asker *a = arg;

    if (why != CHANNEL_CLOSED)
        log_event(LEVEL_ERROR, "channel-broken", "peer", "smtpd", "reason", why, NULL);
    channel_free(&a->asking);
    timer_set(a->worker->loop, &a->again, AGAIN_US, give_signer, a);
}

static const struct channel_events asking_events = {on_ask, NULL, on_asking_down};

static void give_signer(void *arg)
{
    struct asker *a = arg;
    int pair[2];

    if (channel_pair(pair) < 0) {
        timer_set(a->worker->loop, &a->again, AGAIN_US, give_signer, a);
        return;
    }
    a->asking = channel_new(a->worker->loop, pair[0], KEYS, SMTPD, &asking_events, a);
    channel_send(a->peer, &(struct msg_signer){.kind = MSG_SIGNER, .socket = pair[1]});
}

/* ---- what every smtpd is told ---- */

static void tell_certificates(struct channel *to)
{
    for (size_t i = 0; known && i < store.force.count; i++) {
        const struct stored *e = &store.force.list[i];

        channel_send(to, &(struct msg_tls_certificate){.kind = MSG_TLS_CERTIFICATE,
                                                       .name = str_c(e->name),
                                                       .path = str_c(e->path),
                                                       .chain = buf_str(&e->chain)});
    }
    if (store.roots.n > 0)
        channel_send(
            to, &(struct msg_tls_roots){.kind = MSG_TLS_ROOTS, .roots = buf_str(&store.roots)});
    if (known)
        channel_send(to, &(struct msg_tls_certificates_end){.kind = MSG_TLS_CERTIFICATES_END});
}

static void tell_tickets(struct channel *to)
{
    struct str keys = {(const char *)ticket_keys, ticket_key_count * TICKET_KEY_BYTES};

    channel_send(to, &(struct msg_ticket_keys){.kind = MSG_TICKET_KEYS, .keys = keys});
}

static void tell_all(void (*tell)(struct channel *to))
{
    list_each (link, &askers) {
        tell(list_of(link, struct asker, link)->peer);
    }
}

static void on_rotate(void *arg);

static void rotate(struct worker *w)
{

    memmove(ticket_keys[1], ticket_keys[0], sizeof ticket_keys - sizeof ticket_keys[0]);
    check(RAND_bytes(ticket_keys[0], TICKET_KEY_BYTES) == 1);
    ticket_key_count = MIN_OF(ticket_key_count + 1, (size_t)TICKET_KEYS_MAX);
    tell_all(tell_tickets);
    timer_set(w->loop, &rotation, ROTATE_US, on_rotate, w);
}

static void on_rotate(void *arg)
{
    rotate(arg);
}

/* ---- life ---- */

static void on_tls_file(struct worker *w, struct channel *from, union message *m)
{
    const struct msg_tls_file *f = &m->tls_file;

    store_file(&store, f->number, f->what, f->name, f->path, f->file);
}

static void on_tls_files_end(struct worker *w, struct channel *from, union message *m)
{
    store_end(&store);
    known = true;
    tell_all(tell_certificates);
}

static int start(struct worker *w)
{
    list_init(&askers);
    certificate_warm_up();
    return 0;
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    struct asker *a = mem_new(sizeof *a);

    *a = (struct asker){.worker = w, .peer = peer};
    list_add(&askers, &a->link);
    channel_set_data(peer, a);
    give_signer(a);
    tell_tickets(peer);
    tell_certificates(peer);
}

static void peer_down(struct worker *w, struct channel *peer)
{
    struct asker *a = channel_data(peer);

    timer_stop(&a->again);
    channel_free(&a->asking);
    list_remove(&a->link);
    free(a);
}

static void stop(struct worker *w)
{
    store_done(&store);
    OPENSSL_cleanse(ticket_keys, sizeof ticket_keys);
    worker_done(w);
}

static const struct role_handler handlers[] = {{MSG_TLS_FILE, on_tls_file},
                                               {MSG_TLS_FILES_END, on_tls_files_end}};

const struct role_spec keys_spec = {
    .role = KEYS,
    .user = "_troika-keys",
    .jail_may = JAIL_PAIRS,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .run = rotate,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
};
