// SPDX-License-Identifier: ISC
#include "daemon/parent/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/parent/notify.h"
#include "daemon/parent/server.h"

enum { MEMORY_WAIT_S = 60 };

static struct server server = {.snapshot_fd = -1, .log = {.fd = -1}, .local = {.fd = -1}};

static int read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"libexec", required_argument, NULL, 'l'},
        {0},
    };

    for (int o = getopt_long(argc, argv, "c:", options, NULL); o != -1;
         o = getopt_long(argc, argv, "c:", options, NULL)) {
        if (o == 'c')
            server.config_path = optarg;
        else if (o == 'l')
            server.libexec = optarg;
        else
            return EX_USAGE;
    }
    if (optind < argc) {
        (void)fprintf(stderr, "usage: parent -c FILE [--libexec FOLDER]\n");
        return EX_USAGE;
    }
    return EX_OK;
}

static int take_inherited(struct buf *error)
{
    return inherited_take(&server.inherited, error) ? EX_OK : EX_CONFIG;
}

/* Absolute paths, because workers and reloads must not depend on where we were started. */
static int find_paths(struct buf *error)
{
    static char config_path[4096], libexec[4096];
    const char *config = server.config_path ? server.config_path : config_default_path();

    if (!realpath(config, config_path)) {
        buf_printf(error, "%s: %s\n", config, strerror(errno));
        return EX_CONFIG;
    }
    if (!realpath(server.libexec ? server.libexec : "/proc/self/exe", libexec)) {
        buf_printf(error, "%s: %s\n", server.libexec, strerror(errno));
        return EX_UNAVAILABLE;
    }
    if (!server.libexec)
        *strrchr(libexec, '/') = '\0'; /* the folder of this program */
    server.config_path = config_path;
    server.libexec = libexec;
    return EX_OK;
}

static int check_programs(struct buf *error)
{
    int code = EX_OK;

    for (size_t i = 0; i < countof(worker_rows); i++) {
        struct buf path = buf_init(8 * KIB);

        buf_printf(&path, "%s/%s", server.libexec, role_name(worker_rows[i].role));
        if (access(buf_c(&path), X_OK) < 0) {
            buf_printf(error, "%s: %s; --libexec FOLDER says where the role programs are\n",
                       buf_c(&path), strerror(errno));
            code = EX_UNAVAILABLE;
        }
        buf_free(&path);
    }
    return code;
}

/* Whoever reads an error is told once, with or without an exit. */
static int read_configuration(struct buf *error)
{
    int failure = config_check_file(server.config_path, &server.snapshot_fd, error);

    if (failure == 0)
        failure = config_load(server.snapshot_fd, &server.config);
    if (failure && error->n == 0)
        buf_printf(error, "%s: %s\n", server.config_path, strerror(-failure));
    return failure ? EX_CONFIG : EX_OK;
}

static int check_users(struct buf *error)
{
    return state_check_users(server.config, error);
}

static int open_state_folder(struct buf *error)
{
    struct arena a = ARENA_INIT;
    int code = state_open(arena_c(&a, server.config->state), &server.state, error);

    arena_free(&a);
    return code;
}

static int open_log(struct buf *error)
{
    if (!log_target_open(server.config, &server.log, error))
        return EX_CONFIG;
    log_open(server.log.fd, server.log.form, server.log.least, role_name(PARENT));
    return EX_OK;
}

static int open_sockets(struct buf *error)
{
    static const struct listeners none;
    int code = EX_OK;

    if (!listeners_open(server.config, &server.inherited, &none, &server.listeners, error))
        return EX_OSERR;
    code = state_submit_socket(&server.state, &server.local.fd, error);
    for (size_t i = 0; i < countof(worker_rows) && code == EX_OK; i++) {
        server.control[i] = -1;
        if (worker_rows[i].control)
            code = state_control_socket(&server.state, role_name(worker_rows[i].role),
                                        &server.control[i], error);
    }
    return code;
}

static int open_loop(struct buf *error)
{
    int failure = loop_new(&clock_system, &server.loop);

    if (failure < 0)
        buf_printf(error, "event loop: %s\n", strerror(-failure));
    return failure < 0 ? EX_OSERR : EX_OK;
}

/* In this order: nothing is changed before the configuration is known to be good, and no socket
 * is bound by a second server. */
static int (*const steps[])(struct buf *error) = {
    take_inherited,    find_paths, read_configuration, check_programs, check_users,
    open_state_folder, open_log,   open_sockets,       open_loop,
};

static int prepare(void)
{
    struct buf error = buf_init(64 * KIB);
    int code = EX_OK;

    for (size_t i = 0; i < countof(steps) && code == EX_OK; i++)
        code = steps[i](&error);
    if (error.n) /* or warnings */
        (void)fprintf(stderr, "%.*s\n", STR_ARG(str_trim(buf_str(&error))));
    buf_free(&error);
    return code;
}

/* A descriptor 0, 1 or 2 that is not open would become a socket or a file of ours. */
static void open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* one for each client */
    }
}

static void give_back(void)
{
    listeners_remove_files(&server.listeners, NULL);
    listeners_close(&server.listeners);
    inherited_free(&server.inherited);
    if (server.local.fd >= 0)
        (void)close(server.local.fd);
    for (size_t i = 0; i < countof(server.control); i++) {
        if (server.control[i] >= 0)
            (void)close(server.control[i]);
    }
    state_close(&server.state);
    config_drop(&server.config);
    (void)close(server.snapshot_fd);
}

int parent_main(int argc, char **argv)
{
    int code = read_options(argc, argv);

    if (code != EX_OK)
        return code;
    open_standard_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    notify_init();
    raise_descriptor_limit();
    mem_wait_max(MEMORY_WAIT_S);
    code = prepare();
    if (code != EX_OK)
        return code;
    server_start(&server);
    loop_run(server.loop);
    log_event(LEVEL_INFO, "stopped", NULL);
    give_back();
    return server.exit_status;
}
