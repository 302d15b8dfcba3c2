/* daemon/history/main.c - the role history: the life of messages, for trace and reports. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/history/keeper.h"
#include "ipc/worker.h"

static struct keeper keeper;
static uint64_t days_max, bytes_max;

/* Nothing more can be made durable: the queue keeps its events, the parent starts us again later,
 * and history_open mends what is torn. */
static void broken(void *arg, int error)
{
    log_event(LEVEL_ERROR, "history-not-written", "error", strerror(-error), NULL);
    _exit(EX_IOERR);
}

static int start(struct worker *w)
{
    struct history_options o = {
        .disk = &disk_system, .clock = w->clock, .days_max = days_max, .bytes_max = bytes_max};

    if (w->folder_fd < 0)
        return -ENOTDIR;
    return keeper_init(&keeper, w->loop, w->folder_fd, &o, broken, w);
}

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    if (error < 0)
        return error;
    days_max = c->history_days_max;
    bytes_max = c->history_bytes_max;
    config_drop(&c);
    if (keeper.history)
        history_limits(keeper.history, days_max, bytes_max);
    return 0;
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    if (channel_peer(peer) == QUEUE)
        keeper.queue = peer;
}

static void peer_down(struct worker *w, struct channel *peer)
{
    keeper_peer_down(&keeper, peer);
}

static void peer_room(struct worker *w, struct channel *peer)
{
    if (channel_peer(peer) == CONTROL)
        keeper_asker_room(peer);
}

static void on_events(struct worker *w, struct channel *from, union message *m)
{
    keeper_events(&keeper, from, &m->events);
}

static void on_note(struct worker *w, struct channel *from, union message *m)
{
    keeper_note(&keeper, &m->note);
}

static void on_trace(struct worker *w, struct channel *from, union message *m)
{
    keeper_trace(&keeper, from, &m->trace);
}

static void stop(struct worker *w)
{
    (void)history_commit(keeper.history); /* the queue keeps what is not acknowledged */
    worker_done(w);
}

static const struct role_handler handlers[] = {
    {MSG_EVENTS, on_events},
    {MSG_NOTE, on_note},
    {MSG_TRACE, on_trace},
};

static const struct role_spec spec = {
    .role = HISTORY,
    .user = "_troika-history",
    .jail_may = JAIL_FILES_READ | JAIL_FILES_WRITE,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .peer_room = peer_room,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &spec);
}
