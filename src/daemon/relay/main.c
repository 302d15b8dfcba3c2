/* daemon/relay/main.c - the role relay: SMTP client sessions out. It reads the network, so it has
 * no files: sockets out, questions to name servers, and the bytes of the messages it was handed. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/relay/client_name.h"
#include "daemon/relay/relay.h"
#include "daemon/relay/security.h"
#include "dns/dns.h"
#include "ipc/worker.h"

static struct relay relay;
static struct client_names names;
static struct config *config; /* before the pool exists */
static struct dns *dns;
static struct buf anchors;
static struct dns_question probe;

static void stopped(void *arg)
{
    worker_done(arg);
}

/* ---- names ---- */

static struct dns_options dns_options_of(const struct config *c)
{
    return (struct dns_options){.forwards = c->dns.forwards,
                                .forward_count = c->dns.forward_count,
                                .anchors = buf_str(&anchors)};
}

static int dns_start_before_jail(struct loop *l)
{
    struct dns_options options;
    struct arena a = ARENA_INIT;
    int error = 0;

    anchors = buf_init(DNS_ANCHOR_BYTES_MAX);
    if (config->dns.trust_anchor.n > 0)
        error = dns_read_anchors_before_jail(arena_c(&a, config->dns.trust_anchor), &anchors);
    arena_free(&a);
    options = dns_options_of(config);
    return error < 0 ? error : dns_new(l, &options, &dns);
}

/* A resolver that strips signatures makes everything bogus under a trust anchor. */
static void on_probe(void *arg, const struct dns_answer *answer)
{
    if (answer->security == DNS_BOGUS)
        log_event(LEVEL_WARNING, "dns-not-validated", "reason", answer->why, "remedy",
                  "name resolvers in dns { forward } that pass DNSSEC on, or no trust-anchor",
                  NULL);
}

static void dns_probe(void)
{
    dns_cancel(&probe);
    if (anchors.n > 0)
        dns_ask(dns, &probe, STR("."), DNS_MX, on_probe, NULL);
}

static bool same_forwards(const struct config_dns *a, const struct config_dns *b)
{
    for (size_t i = 0; i < a->forward_count && i < b->forward_count; i++)
        if (!str_eq(a->forwards[i], b->forwards[i]))
            return false;
    return a->forward_count == b->forward_count;
}

static void dns_reload(const struct config *old, const struct config *fresh)
{
    struct dns_options options = dns_options_of(fresh);

    if (!str_eq(old->dns.trust_anchor, fresh->dns.trust_anchor))
        log_event(LEVEL_WARNING, "restart-needed", "statement", "trust-anchor", NULL);
    if (same_forwards(&old->dns, &fresh->dns))
        return;
    if (dns_renew(dns, &options) < 0)
        log_event(LEVEL_ERROR, "dns-unchanged", "statement", "forward", NULL);
    dns_probe();
}

/* ---- the life of a worker ---- */

static int start(struct worker *w)
{
    int error = config ? dns_start_before_jail(w->loop) : -EINVAL;

    if (error < 0)
        return error;
    struct tls_context *tls = security_before_jail(config);
    if (!tls)
        return -EIO;
    client_names_init(&names, dns);
    relay_init(&relay, w->loop, dns, stopped, w);
    relay.parent = w->parent;
    pool_config(relay.pool, config);
    pool_tls(relay.pool, tls);
    return 0;
}

static void run(struct worker *w)
{
    dns_probe();
}

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *fresh = NULL;
    int error = config_load(snapshot_fd, &fresh);

    if (error < 0)
        return error;
    if (dns)
        dns_reload(config, fresh);
    config_drop(&config);
    config = fresh;
    if (relay.pool)
        pool_config(relay.pool, config);
    return 0;
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    if (channel_peer(peer) == QUEUE)
        hold_queue_up(&relay.hold, peer);
}

static void peer_down(struct worker *w, struct channel *peer)
{
    hold_queue_down(&relay.hold, peer);
    client_names_lose(&names, peer);
}

static void on_job(struct worker *w, struct channel *from, union message *m)
{
    relay_job(&relay, from, m);
}

static void on_results_taken(struct worker *w, struct channel *from, union message *m)
{
    hold_results_taken(&relay.hold, m->results_taken.job);
}

static void on_name_ask(struct worker *w, struct channel *from, union message *m)
{
    client_names_ask(&names, from, &m->name_ask);
}

static void on_unix_hop_open(struct worker *w, struct channel *from, union message *m)
{
    pool_unix_open(relay.pool, m->unix_hop_open.ticket, m->unix_hop_open.socket);
}

static void on_unix_hop_failed(struct worker *w, struct channel *from, union message *m)
{
    pool_unix_failed(relay.pool, m->unix_hop_failed.ticket, (int)m->unix_hop_failed.error);
}

static void on_secret(struct worker *w, struct channel *from, union message *m)
{
    pool_secret(relay.pool, m->secret.path, m->secret.file, STR_NONE);
    (void)close(m->secret.file); /* only read */
}

static void on_secret_missing(struct worker *w, struct channel *from, union message *m)
{
    pool_secret(relay.pool, m->secret_missing.path, -1, m->secret_missing.why);
}

static void stop(struct worker *w)
{
    relay_stop(&relay);
}

static const struct role_handler handlers[] = {
    {MSG_JOB, on_job},
    {MSG_JOB_FILE, on_job},
    {MSG_RESULTS_TAKEN, on_results_taken},
    {MSG_NAME_ASK, on_name_ask},
    {MSG_SECRET, on_secret},
    {MSG_SECRET_MISSING, on_secret_missing},
    {MSG_UNIX_HOP_OPEN, on_unix_hop_open},
    {MSG_UNIX_HOP_FAILED, on_unix_hop_failed},
};

static const struct role_spec spec = {
    .role = RELAY,
    .user = "_troika-relay",
    .jail_may = JAIL_CONNECT | JAIL_DNS,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .run = run,
    .config = take_config,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &spec);
}
