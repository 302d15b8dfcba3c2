/* daemon/local/main.c - the role local: writes into mailboxes, and may touch nothing else.
 * Mail for users of this machine it hands to helpers that the parent starts for them. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/local/local.h"
#include "ipc/worker.h"

static struct local local;
static bool ready;
static struct config *config;

static void stopped(void *arg)
{
    worker_done(arg);
}

static int start(struct worker *w)
{
    if (!config || w->folder_fd < 0)
        return -EINVAL;
    int r = local_init(&local, w->loop, w->folder_fd, &disk_system, w->clock, stopped, w);
    if (r < 0)
        return r;
    ready = true;
    local_config(&local, config);
    local.users.parent = w->parent;
    return 0;
}

static void run(struct worker *w)
{
    uint64_t now = clock_now_us(w->clock);
    int r = maildir_sweep(w->folder_fd, &disk_system, now - MIN_OF(now, SWEEP_AGE_US));

    if (r < 0)
        log_event(LEVEL_WARNING, "sweep-failed", "error", strerror(-r), NULL);
}

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *fresh = NULL;
    int error = config_load(snapshot_fd, &fresh);

    if (error < 0)
        return error;
    config_drop(&config);
    config = fresh;
    if (ready)
        local_config(&local, config);
    return 0;
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    if (channel_peer(peer) == QUEUE)
        hold_queue_up(&local.hold, peer);
}

static void peer_down(struct worker *w, struct channel *peer)
{
    hold_queue_down(&local.hold, peer);
}

static void on_job(struct worker *w, struct channel *from, union message *m)
{
    local_job(&local, from, m);
}

static void on_results_taken(struct worker *w, struct channel *from, union message *m)
{
    hold_results_taken(&local.hold, m->results_taken.job);
}

static void on_deliver_begun(struct worker *w, struct channel *from, union message *m)
{
    users_begun(&local.users, &m->deliver_begun);
}

static void on_deliver_ended(struct worker *w, struct channel *from, union message *m)
{
    users_ended(&local.users, &m->deliver_ended);
}

static void stop(struct worker *w)
{
    local_stop(&local);
}

static const struct role_handler handlers[] = {
    {MSG_JOB, on_job},
    {MSG_JOB_FILE, on_job},
    {MSG_RESULTS_TAKEN, on_results_taken},
    {MSG_DELIVER_BEGUN, on_deliver_begun},
    {MSG_DELIVER_ENDED, on_deliver_ended},
};

static const struct role_spec spec = {
    .role = LOCAL,
    .user = "_troika-local",
    .jail_may = JAIL_FILES_READ | JAIL_FILES_WRITE | JAIL_THREADS,
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
