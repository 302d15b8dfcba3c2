/* daemon/parent/server.c - all workers together: start, reload, stop. See server.h. */
// SPDX-License-Identifier: ISC
#include "daemon/parent/server.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/parent/notify.h"

static const char accepting[] = "READY=1\nSTATUS=Accepting mail.";

/* Deliveries that run get 10 s (local and relay count them); what does not end by then is killed. */
#define STOP_OUTSIDE_US (21 * US_PER_S / 2)
#define STOP_INSIDE_US (3 * US_PER_S / 2)
#define STOP_ONE_US (12 * US_PER_S)

/* ---- starting ---- */

static void start_wanted(struct server *s, bool outside)
{
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (p->row->outside == outside && p->pid == 0 && process_wanted(p))
            process_start(p);
    }
}

static bool all_ready(const struct server *s, bool outside)
{
    for (const struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (p->row->outside == outside && process_wanted(p) && !p->ready)
            return false;
    }
    return true;
}

static bool any_runs(const struct server *s, bool outside)
{
    for (const struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (p->row->outside == outside && p->pid > 0)
            return true;
    }
    return false;
}

void server_ready(struct server *s)
{
    if (s->phase == PHASE_STARTING_INSIDE && all_ready(s, false)) {
        s->phase = PHASE_STARTING_OUTSIDE;
        start_wanted(s, true);
    } else if (s->phase == PHASE_STARTING_OUTSIDE && all_ready(s, true) && all_ready(s, false)) {
        s->phase = PHASE_RUNNING;
        log_event(LEVEL_INFO, "ready", "file", s->config_path, NULL);
        notify_say(accepting);
        local_start(s);
        pickup_start(s);
    }
}

/* ---- stopping ---- */

static void stop_all(struct server *s, bool outside, uint64_t within_us)
{
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (p->row->outside == outside)
            process_stop(p, within_us);
    }
}

static void stop_further(struct server *s)
{
    if (s->phase == PHASE_STOPPING_OUTSIDE && !any_runs(s, true)) {
        s->phase = PHASE_STOPPING_INSIDE;
        stop_all(s, false, STOP_INSIDE_US);
    }
    if (s->phase == PHASE_STOPPING_INSIDE && !any_runs(s, false))
        loop_stop(s->loop);
}

void server_stop(struct server *s)
{
    if (s->phase >= PHASE_STOPPING_OUTSIDE)
        return;
    s->phase = PHASE_STOPPING_OUTSIDE;
    log_event(LEVEL_INFO, "stopping", NULL);
    notify_say("STOPPING=1\nSTATUS=Ending sessions and deliveries.");
    local_stop(s);
    pickup_stop(s);
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++)
        timer_stop(&p->again);
    alias_watches_stop(s);
    files_stop(s);
    stop_all(s, true, STOP_OUTSIDE_US);
    stop_further(s);
}

/* ---- the ends of workers ---- */

static struct process *process_of(struct server *s, pid_t pid)
{
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (p->pid == pid)
            return p;
    }
    return NULL;
}

static void on_child(void *arg, unsigned what)
{
    struct server *s = arg;
    int status;

    (void)what;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        struct process *p = process_of(s, pid);
        if (!p) {
            (void)(deliveries_ended(s, pid, status) || alias_builder_ended(s, pid, status));
            continue;
        }
        process_ended(p, status);
        /* What a worker cannot start with before the server ever ran, a person must look at. */
        if (s->phase < PHASE_RUNNING && WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG) {
            s->exit_status = EX_CONFIG;
            server_stop(s);
        }
    }
    stop_further(s);
}

/* ---- reloading ---- */

void server_log_lines(enum log_level level, const char *event, struct str lines)
{
    while (lines.n) {
        struct str one = str_trim(str_cut(&lines, '\n'));
        struct buf line = buf_init(LINE_BYTES_MAX);

        line_c(&line, "event", event);
        line_str(&line, "reason", one);
        if (one.n)
            log_line(level, buf_str(&line));
        buf_free(&line);
    }
}

static bool needs_restart(const struct server *s, const struct config *c, struct buf *why)
{
    if (!str_eq(c->hostname, s->config->hostname))
        buf_printf(why, "hostname changed from %.*s to %.*s: restart the server for that\n",
                   STR_ARG(s->config->hostname), STR_ARG(c->hostname));
    if (!str_eq(c->state, s->config->state))
        buf_printf(why, "state changed from %.*s to %.*s: restart the server for that\n",
                   STR_ARG(s->config->state), STR_ARG(c->state));
    if (server_board_bytes(c) > s->board_bytes)
        buf_printf(why, "connections was raised to %llu: restart the server for that\n",
                   (unsigned long long)c->connections_max);
    return why->n > 0 || !state_may_have_system_users(c, why);
}

static void tell_everyone(struct server *s)
{
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (!p->channel)
            continue;
        process_give_log(p);
        process_give_config(p);
        process_give_listeners(p);
        files_give(p);
    }
}

static void change_counts(struct server *s)
{
    start_wanted(s, false);
    if (s->phase == PHASE_RUNNING)
        start_wanted(s, true);
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (!process_wanted(p))
            process_stop(p, STOP_ONE_US);
    }
}

/* Takes all of the new configuration over, or nothing and says why. */
static bool replace_configuration(struct server *s, struct config *c, int snapshot_fd,
                                  struct buf *why)
{
    struct listeners fresh;
    struct log_target log;

    if (needs_restart(s, c, why) || !log_target_open(c, &log, why))
        return false;
    if (!listeners_open(c, &s->inherited, &s->listeners, &fresh, why)) {
        log_target_close(&log);
        return false;
    }
    listeners_remove_files(&s->listeners, &fresh);
    listeners_close(&s->listeners);
    s->listeners = fresh;
    log_open(log.fd, log.form, log.least, role_name(PARENT));
    log_target_close(&s->log);
    s->log = log;
    config_drop(&s->config);
    s->config = c;
    (void)close(s->snapshot_fd);
    s->snapshot_fd = snapshot_fd;
    return true;
}

void server_reload(struct server *s)
{
    struct buf why = buf_init(64 * KIB);
    struct config *c = NULL;
    int snapshot_fd = -1;

    if (s->phase >= PHASE_STOPPING_OUTSIDE)
        return;
    notify_reloading(clock_monotonic_us(loop_clock(s->loop)));
    int error = config_check_file(s->config_path, &snapshot_fd, &why);
    if (error == 0)
        error = config_load(snapshot_fd, &c);
    if (error == 0) {
        server_log_lines(LEVEL_WARNING, "configuration", buf_str(&why));
        buf_reset(&why);
    } else if (why.n == 0) {
        buf_printf(&why, "%s: %s\n", s->config_path, strerror(-error));
    }
    if (error == 0 && replace_configuration(s, c, snapshot_fd, &why)) {
        alias_watches_reload(s);
        files_reload(s);
        s->generation++;
        s->reloading = true;
        tell_everyone(s);
        change_counts(s);
    } else {
        server_log_lines(LEVEL_ERROR, "reload-refused", buf_str(&why));
        config_drop(&c);
        if (snapshot_fd >= 0)
            (void)close(snapshot_fd);
        if (s->phase == PHASE_RUNNING)
            notify_say("READY=1\nSTATUS=Accepting mail by the configuration before: the reload was "
                       "refused.");
    }
    buf_free(&why);
}

/* One that is to start again gets the new configuration in any case. */
static bool has_configuration(const struct process *p)
{
    bool taken = p->ready && p->generation == p->server->generation;

    return !p->channel || p->asked_to_stop || taken;
}

void server_config_taken(struct server *s)
{
    if (!s->reloading || s->phase >= PHASE_STOPPING_OUTSIDE)
        return;
    for (const struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++) {
        if (!has_configuration(p))
            return;
    }
    s->reloading = false;
    log_event(LEVEL_INFO, "reloaded", "file", s->config_path, NULL);
    if (s->phase == PHASE_RUNNING)
        notify_say(accepting);
}

/* ---- signals and the watchdog ---- */

static void on_end_signal(void *arg, unsigned what)
{
    (void)what;
    server_stop(arg);
}

static void on_reload_signal(void *arg, unsigned what)
{
    (void)what;
    server_reload(arg);
}

static void say_alive(void *arg)
{
    struct server *s = arg;

    notify_say("WATCHDOG=1");
    timer_set(s->loop, &s->watchdog, notify_watchdog_us(), say_alive, s);
}

size_t server_board_bytes(const struct config *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t slots = MAX_OF((size_t)c->connections_max, (size_t)BOARD_SLOTS_LEAST) + 1; /* a head */
    size_t bytes = slots * BOARD_SLOT_BYTES;

    return (bytes + page - 1) / page * page;
}

void server_start(struct server *s)
{
    s->board_bytes = server_board_bytes(s->config);
    alias_watches_start(s);
    files_reload(s);
    for (uint32_t i = 0; i < PROCESSES_MAX; i++)
        process_init(&s->processes[i], s, &worker_rows[i / WORKERS_MAX], i % WORKERS_MAX + 1);
    watch_signal(s->loop, &s->on_child, SIGCHLD, on_child, s);
    watch_signal(s->loop, &s->on_term, SIGTERM, on_end_signal, s);
    watch_signal(s->loop, &s->on_int, SIGINT, on_end_signal, s);
    watch_signal(s->loop, &s->on_hup, SIGHUP, on_reload_signal, s);
    if (notify_watchdog_us())
        say_alive(s);
    s->phase = PHASE_STARTING_INSIDE;
    start_wanted(s, false);
}
