/* daemon/relay/main.c - the role relay: SMTP client sessions out. It reads the network, so it has
 * no files: sockets out, and the bytes of the messages it was handed. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/relay/relay.h"
#include "ipc/worker.h"

static struct relay relay;
static struct config *config; /* before the pool exists */

static void stopped(void *arg)
{
    worker_done(arg);
}

static int start(struct worker *w)
{
    if (!config)
        return -EINVAL;
    relay_init(&relay, w->loop, stopped, w);
    pool_config(relay.pool, config);
    return 0;
}

static void take_config(struct worker *w, int snapshot_fd)
{
    struct config *fresh = NULL;
    int error = config_load(snapshot_fd, &fresh);

    (void)close(snapshot_fd); /* only read */
    if (error < 0) {
        log_event(LEVEL_ERROR, "config-unreadable", NULL);
        return;
    }
    config_drop(&config);
    config = fresh;
    if (relay.pool)
        pool_config(relay.pool, config);
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    if (channel_peer(peer) == QUEUE)
        relay_queue_up(&relay, peer);
}

static void peer_down(struct worker *w, struct channel *peer)
{
    relay_queue_down(&relay, peer);
}

static void on_job(struct worker *w, struct channel *from, union message *m)
{
    relay_job(&relay, from, m);
}

static void on_results_taken(struct worker *w, struct channel *from, union message *m)
{
    relay_results_taken(&relay, m->results_taken.job);
}

static void stop(struct worker *w)
{
    relay_stop(&relay);
}

static const struct role_handler handlers[] = {
    {MSG_JOB, on_job},
    {MSG_JOB_FILE, on_job},
    {MSG_RESULTS_TAKEN, on_results_taken},
};

static const struct role_spec spec = {
    .role = RELAY,
    .user = "_troika-relay",
    .jail_may = JAIL_CONNECT,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &spec);
}
