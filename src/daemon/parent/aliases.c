/* daemon/parent/aliases.c - see aliases.h. */
// SPDX-License-Identifier: ISC
#include "daemon/parent/aliases.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/parent/server.h"
#include "route/map/aliases.h"

enum { BUILD_SECONDS_MAX = 20, BUILD_MEMORY_MAX = 1 << 30, ERRORS_BYTES_MAX = 64 << 10 };
#define LOOK_US US_PER_S
#define RETRY_US (60 * US_PER_S)

/* ---- in the child ---- */

static void limit_child(void)
{
    struct rlimit cpu = {BUILD_SECONDS_MAX, BUILD_SECONDS_MAX}, core = {0, 0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CPU, &cpu);
    (void)setrlimit(RLIMIT_CORE, &core);
#ifndef TROIKA_UNJAILED /* sanitizers need terabytes of addresses */
    struct rlimit memory = {BUILD_MEMORY_MAX, BUILD_MEMORY_MAX};
    (void)setrlimit(RLIMIT_AS, &memory);
#endif
    (void)alarm(BUILD_SECONDS_MAX);
}

static void log_built(const struct alias_watch *w, const struct aliases_built *built)
{
    struct buf line = buf_init(LINE_BYTES_MAX);
    line_c(&line, "event", "aliases-built");
    line_str(&line, "domain", w->domain);
    line_str(&line, "file", w->file);
    line_u64(&line, "count", built->count);
    log_line(LEVEL_INFO, buf_str(&line));
    buf_free(&line);
}

/* Is it the machine's fault, not the file's? */
static bool may_pass(int error)
{
    return error == -EAGAIN || error == -EBUSY || error == -ENOSPC || error == -EDQUOT ||
           error == -EIO || error == -EMFILE || error == -ENFILE;
}

static int build_one(int dir_fd, const struct alias_watch *w)
{
    struct arena a = ARENA_INIT;
    struct buf errors = buf_init(ERRORS_BYTES_MAX);
    struct aliases_built built;
    int error = aliases_build(dir_fd, arena_c(&a, w->file), w->domain, &built, &errors);
    if (error == 0)
        log_built(w, &built);
    else
        server_log_lines(LEVEL_ERROR, "aliases-refused", buf_str(&errors));
    buf_free(&errors);
    arena_free(&a);
    return error;
}

static _Noreturn void build_due(const struct server *s)
{
    const struct alias_watches *w = &s->aliases;
    int code = EX_OK;
    process_reset_signals();
    limit_child();
    int dir_fd = state_folder(&s->state, "accounts");
    for (size_t i = 0; i < w->count; i++) {
        int error = w->list[i].due ? build_one(dir_fd, &w->list[i]) : 0;
        if (error < 0 && code != EX_TEMPFAIL)
            code = may_pass(error) ? EX_TEMPFAIL : EX_DATAERR;
    }
    _exit(code);
}

/* ---- in the parent ---- */

static void start_builder(struct server *s)
{
    struct alias_watches *w = &s->aliases;
    bool due = false;
    for (size_t i = 0; i < w->count; i++)
        due = due || w->list[i].due;
    if (!due || w->builder > 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        build_due(s);
    if (pid < 0) {
        log_event(LEVEL_ERROR, "aliases-not-built", "error", strerror(errno), "then",
                  "tried again in a second", NULL);
        return;
    }
    w->builder = pid;
    for (size_t i = 0; i < w->count; i++)
        w->list[i].due = false;
}

static struct stat look_at(struct str file)
{
    struct arena a = ARENA_INIT;
    struct stat st;
    if (stat(arena_c(&a, file), &st) < 0)
        memset(&st, 0, sizeof st);
    arena_free(&a);
    return st;
}

static void look(struct alias_watch *w)
{
    struct stat now = look_at(w->file);
    bool still = aliases_same_file(&now, &w->seen);
    w->seen = now;
    if (!still || w->due || aliases_same_file(&now, &w->built))
        return;
    w->built = now;
    w->due = true;
}

static void on_look(void *arg)
{
    struct server *s = arg;
    struct alias_watches *w = &s->aliases;
    uint64_t now_us = clock_monotonic_us(loop_clock(s->loop));
    bool again = w->retry_us > 0 && now_us >= w->retry_us;
    if (again)
        w->retry_us = 0;
    for (size_t i = 0; i < w->count; i++) {
        look(&w->list[i]);
        w->list[i].due = w->list[i].due || again;
    }
    start_builder(s);
    if (w->count > 0)
        timer_set(s->loop, &w->look, LOOK_US, on_look, s);
}

static void take_configuration(struct server *s)
{
    struct alias_watches *w = &s->aliases;
    const struct config *c = s->config;
    free(w->list);
    w->list = mem_new((c->domain_count + 1) * sizeof *w->list);
    w->count = 0;
    for (size_t i = 0; i < c->domain_count; i++) {
        if (c->domains[i].aliases.n == 0)
            continue;
        struct stat now = look_at(c->domains[i].aliases);
        w->list[w->count++] = (struct alias_watch){.domain = c->domains[i].name,
                                                   .file = c->domains[i].aliases,
                                                   .seen = now,
                                                   .built = now,
                                                   .due = true};
    }
}

bool alias_builder_ended(struct server *s, pid_t pid, int wait_status)
{
    struct alias_watches *w = &s->aliases;
    if (pid <= 0 || pid != w->builder)
        return false;
    w->builder = 0;
    if (WIFSIGNALED(wait_status))
        log_event(LEVEL_ERROR, "aliases-builder-died", "signal",
                  sigabbrev_np(WTERMSIG(wait_status)), NULL);
    if (WIFSIGNALED(wait_status) || WEXITSTATUS(wait_status) == EX_TEMPFAIL)
        w->retry_us = clock_monotonic_us(loop_clock(s->loop)) + RETRY_US;
    return true;
}

void alias_watches_start(struct server *s)
{
    int status = 0;
    take_configuration(s);
    start_builder(s);
    pid_t builder = s->aliases.builder;
    if (builder > 0 && waitpid(builder, &status, 0) == builder)
        alias_builder_ended(s, builder, status);
    on_look(s);
}

void alias_watches_reload(struct server *s)
{
    take_configuration(s);
    on_look(s);
}

void alias_watches_stop(struct server *s)
{
    timer_stop(&s->aliases.look);
    free(s->aliases.list);
    s->aliases.list = NULL;
    s->aliases.count = 0;
}
