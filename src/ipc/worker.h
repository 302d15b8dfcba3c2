/* ipc/worker.h - the life of every worker process, so that a role is only its own work.
 *
 * The parent execs libexec/troika/ROLE with its channel at descriptor 3 and says, in this order:
 * LOG, CONFIG, FOLDER, BOARDs and LISTENERs (with LISTENERS_END), CHANNELs to peers, START. On
 * START worker_main calls, in this order: role->start, the jail, role->run, role->peer_up for each
 * peer, role->listener for each listener; then it answers READY. CONFIG it answers with CONFIG_TAKEN. Later: CONFIG (reload), CHANNEL
 * (a peer was restarted; replaces the old one), LISTENERs of a new generation, STOP. ALIVE is sent
 * every 5 s. When the parent's channel ends, the worker exits at once.
 *
 *   static const struct role_spec spec = { .role = SMTPD, … };
 *   int main(int argc, char **argv) { return worker_main(argc, argv, &spec); }
 */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/jail.h"
#include "ipc/channel.h"

struct worker;

/* A listener with this index is the role's own control socket: worker_main accepts there itself,
 * checks SO_PEERCRED (root, the uid the server was started by, or the group that START names) and
 * reports the client as a peer of role CONTROL. */
#define LISTEN_CONTROL UINT32_MAX

enum { WORKERS_MAX = 64 }; /* of one role; they are numbered from 1 */

struct role_handler {
    enum message_kind kind;
    void (*fn)(struct worker *w, struct channel *from, union message *m);
};

struct role_spec {
    enum role role;
    const char *user;                    /* system user when started by root */
    unsigned jail_may;                   /* enum jail_may */
    const struct role_handler *handlers; /* a kind without a row breaks the contract; also for
                                            what the parent says to this role alone */
    size_t handler_count;

    /* Before the jail: open files; 0 or negative errno (logged; exit 78, but 75 on a full disk:
     * tried again). Runs with the effective uid of `user` and the folder as working directory. */
    int (*start)(struct worker *w);
    void (*run)(struct worker *w); /* after the jail, before the first event; may be NULL */
    /* Also the first, before start. 0, or a negative errno: logged; exit 75: the parent hands it
     * over again. */
    int (*config)(struct worker *w, int snapshot_fd);
    void (*listener)(struct worker *w, uint32_t listen_index, struct str address,
                     int fd);                /* owns fd; NULL: none */
    void (*listeners_end)(struct worker *w); /* those of older generations are to be closed */
    void (*peer_up)(struct worker *w, struct channel *peer,
                    uint32_t number);                          /* also of control clients */
    void (*peer_down)(struct worker *w, struct channel *peer); /* after this the channel is freed */
    void (*peer_room)(struct worker *w, struct channel *peer); /* may be NULL */
    void (*stop)(
        struct worker *w); /* asked to end politely: call worker_done() when nothing is left */
    void (*probe)(struct worker *w); /* test builds only: runs right after the jail closed */
};

struct worker {
    const struct role_spec *spec;
    struct loop *loop;
    const struct clock *clock;
    struct channel *parent;      /* NULL in --ask */
    uint32_t number, count;      /* this is number N (from 1) of count of its role */
    int folder_fd;               /* -1: none */
    int boards[WORKERS_MAX + 1]; /* shared connection tables by worker number, -1: none */
    void *role;                  /* the role's own state */
};

int worker_main(int argc, char **argv, const struct role_spec *spec);
void worker_done(struct worker *w); /* flush, then exit 0 */
/* The channels to peers of that role, in order of their numbers; NULL past the end. */
struct channel *worker_peer(struct worker *w, enum role role, size_t index);

/* The same role outside the server, for `troika queue` and `trace` when it is down: `ROLE --ask
 * FOLDER` takes a control channel at descriptor 3 instead of the parent's, opens FOLDER itself,
 * answers questions, and ends with that channel. The caller holds STATE/lock; the configuration
 * snapshot is descriptor 4. role->start and ->config are called as in the server, ->run is not:
 * nothing is scheduled, no peer but the asker exists. */
