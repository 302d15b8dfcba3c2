/* daemon/parent/server.h - the running server as its parent sees it.
 *
 *   server_start: inside workers -> all READY -> outside workers -> all READY: event=ready
 *   reload:       checked in a child, listeners bound, then told to everyone; or refused as a whole;
 *                 all CONFIG_TAKEN: event=reloaded
 *   stop:         outside workers STOP -> gone -> inside workers STOP -> gone -> the loop ends
 *
 * Outside workers are those that talk to the network (worker_row.outside). A worker that dies is
 * started again after a pause and gets new channels to all its peers. The parent reads nothing from a
 * worker but READY, CONFIG_TAKEN, ALIVE, the answer about a drop file, of local for whom it needs a
 * helper, and of a relay to which Unix socket of a route it is to connect. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/log.h"
#include "daemon/parent/aliases.h"
#include "daemon/parent/deliveries.h"
#include "daemon/parent/files.h"
#include "daemon/parent/listeners.h"
#include "daemon/parent/local.h"
#include "daemon/parent/log_target.h"
#include "daemon/parent/pickup.h"
#include "daemon/parent/state.h"
#include "daemon/parent/worker_row.h"

struct server;

struct process {
    struct server *server;
    const struct worker_row *row;
    uint32_t number; /* from 1 */
    pid_t pid;       /* 0: does not run */
    struct channel *channel;
    uint32_t generation; /* of the configuration it works by */
    bool ready, asked_to_stop, hand_over_failed;
    bool suspect; /* its deadline has passed once */
    int board;    /* smtpd's memory; lives as long as the server; -1: not made yet */
    uint64_t started_us, pause_us;
    struct timer again, deadline; /* restart; READY, ALIVE or the end must come before it */
};

enum phase {
    PHASE_STARTING_INSIDE,
    PHASE_STARTING_OUTSIDE,
    PHASE_RUNNING,
    PHASE_STOPPING_OUTSIDE,
    PHASE_STOPPING_INSIDE
};

enum { PROCESSES_MAX = WORKER_ROW_COUNT * WORKERS_MAX, BOARD_SLOT_BYTES = 32 };
/* Only touched pages cost memory, and a reload may then raise `connections` this far. */
enum { BOARD_SLOTS_LEAST = 16 * 1024 };

struct server {
    struct loop *loop;
    const char *config_path, *libexec;
    struct config *config;
    int snapshot_fd;
    uint32_t generation; /* of the configuration: one more with each reload */
    bool reloading;      /* until all workers have it */
    struct log_target log;
    struct state state;
    struct inherited inherited;
    struct listeners listeners;
    struct local local;
    struct pickup pickup;
    struct deliveries deliveries;
    int control[WORKER_ROW_COUNT]; /* listening control sockets, -1: none */
    size_t board_bytes;

    enum phase phase;
    int exit_status;
    struct process processes[PROCESSES_MAX]; /* row by row */
    struct files files;
    struct alias_watches aliases;
    struct watch on_term, on_int, on_hup, on_child;
    struct timer watchdog;
};

/* What is open already is in *s: config, snapshot, log, state, listeners, control. */
void server_start(struct server *s);
void server_reload(struct server *s);
void server_stop(struct server *s);

/* A board has room for connections_max slots and a head. */
size_t server_board_bytes(const struct config *c);
void server_ready(struct server *s);        /* one more worker is */
void server_config_taken(struct server *s); /* by one more worker, or one less is asked */
void server_log_lines(enum log_level level, const char *event, struct str lines);

/* ---- one process (process.c) ---- */
void process_init(struct process *p, struct server *s, const struct worker_row *row,
                  uint32_t number);
bool process_wanted(const struct process *p);             /* by the configuration in force */
void process_start(struct process *p);                    /* on failure tries again later */
void process_stop(struct process *p, uint64_t within_us); /* politely; SIGKILL after that time */
void process_kill(struct process *p, const char *why);
/* Its pid has ended. Starts it again later if it is still wanted. */
void process_ended(struct process *p, int wait_status);
void process_reset_signals(void); /* in a child: as if we had never asked for any */
/* Sends a message with a copy of fd; m: a struct msg_… with an FD field. */
void process_give(struct process *p, void *m, int fd);
void process_give_config(struct process *p);
void process_give_listeners(struct process *p);
void process_give_log(struct process *p);
void process_give_board(struct process *p, const struct process *owner);
