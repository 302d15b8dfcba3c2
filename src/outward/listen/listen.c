/* listen/listen.c - troika probe --listen: the other side. Reads the orders, listens, ends with a
 * summary. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "outward/listen/listening.h"
#include "outward/outward.h"
#include "wire/smtp.h"

enum {
    PASSWORD_BYTES_MAX = 1024,
    TIMEOUT_S = 300, /* RFC 5321 4.5.3.2.7 */
    TIMEOUT_S_MAX = 86400,
};
#define LAST_WAIT_US (10 * US_PER_S)

/* ---- the end ---- */

void listening_check(struct listening *l)
{
    if (l->ending && list_empty(&l->connections))
        loop_stop(l->loop);
}

static void on_last_wait(void *arg)
{
    struct listening *l = arg;

    connections_end(l);
    loop_stop(l->loop);
}

void listening_end(struct listening *l)
{
    if (l->ending)
        return;
    l->ending = true;
    for (size_t i = 0; i < l->door_count; i++) {
        watch_stop(&l->doors[i].watch);
        (void)close(l->doors[i].fd);
    }
    timer_set(l->loop, &l->last_wait, LAST_WAIT_US, on_last_wait, l);
    listening_check(l);
}

static void on_signal(void *arg, unsigned what)
{
    struct listening *l = arg;

    listening_end(l);
    connections_end(l);
    loop_stop(l->loop);
}

/* ---- doors ---- */

static void on_door(void *arg, unsigned what)
{
    struct door *d = arg;
    struct sock_address peer = {.bytes = sizeof peer.sa};
    int fd = accept4(d->fd, (struct sockaddr *)(void *)&peer.sa, &peer.bytes,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        connection_accept(d->of, fd, &peer, d->by_tls);
}

static void tell_door(struct listening *l, const struct door *d)
{
    struct sock_address a = {.bytes = sizeof a.sa};
    struct buf text = buf_init(128);

    if (getsockname(d->fd, (struct sockaddr *)(void *)&a.sa, &a.bytes) == 0)
        sock_address_print(&text, &a); /* the port that 0 became */
    show_listening(&l->show, buf_str(&text), l->options.lmtp ? "LMTP" : "SMTP", d->by_tls);
    buf_free(&text);
}

static int open_door(struct listening *l, const struct sock_address *a, const char *text,
                     bool by_tls)
{
    struct door *d = &l->doors[l->door_count];

    if (l->door_count == DOORS_MAX)
        return fail(l->line, EX_USAGE, _("more than %d addresses to listen on"), DOORS_MAX);
    *d = (struct door){.of = l, .by_tls = by_tls};

    int error = listen_tcp(a, &d->fd);

    if (error < 0)
        return fail(l->line, EX_UNAVAILABLE, _("cannot listen on %s: %s"), text, strerror(-error));
    l->door_count++;
    watch_start(l->loop, &d->watch, d->fd, WATCH_READ, on_door, d);
    tell_door(l, d);
    return EX_OK;
}

/* "127.0.0.1:2525", "*:2525", or a port alone: of this machine only. */
static int open_doors(struct listening *l, const char *text, bool by_tls)
{
    struct sock_address found[2];
    struct buf whole = buf_init(256);
    uint64_t port;
    int code = EX_OK;

    buf_printf(&whole, "%s%s", str_u64(str_c(text), &port) ? "127.0.0.1:" : "", text);
    size_t count = sock_address_parse(buf_str(&whole), found);

    if (count == 0)
        code = fail(l->line, EX_USAGE,
                    _("%s: give an address and a port, such as 127.0.0.1:2525, [::1]:2525, *:25 or "
                      "2525"),
                    text);
    for (size_t i = 0; i < count && code == EX_OK; i++)
        code = open_door(l, &found[i], text, by_tls);
    buf_free(&whole);
    return code;
}

static int open_all(struct listening *l)
{
    const struct command_line *line = l->line;
    bool somewhere = *line->listen || line->argument_count > 0 || line->listen_tls;
    int code = EX_OK;

    if (!somewhere || *line->listen)
        code = open_doors(l, somewhere ? line->listen : "2525", false);
    for (int i = 0; i < line->argument_count && code == EX_OK; i++)
        code = open_doors(l, line->arguments[i], false);
    if (code == EX_OK && line->listen_tls)
        code = open_doors(l, line->listen_tls, true);
    return code;
}

/* ---- orders ---- */

static int read_number(const struct command_line *l, const char *option, const char *text,
                       uint64_t *ret)
{
    if (text && !str_u64(str_c(text), ret))
        return fail(l, EX_USAGE, _("--%s %s: a number is wanted"), option, text);
    return EX_OK;
}

static int read_timeout(struct listening *l)
{
    uint64_t seconds = TIMEOUT_S;
    int code = read_number(l->line, "timeout", l->line->timeout, &seconds);

    l->timeout_us = MIN_OF(MAX_OF(seconds, (uint64_t)1), (uint64_t)TIMEOUT_S_MAX) * US_PER_S;
    return code;
}

static int read_misbehaviour(struct listening *l, struct arena *a)
{
    const struct option_list *rules = &l->line->misbehave;
    struct buf error = buf_init(KIB);
    uint64_t seed = 0;
    int code = read_number(l->line, "seed", l->line->seed, &seed);

    if (!l->line->seed && getrandom(&seed, sizeof seed, 0) == sizeof seed)
        seed >>= 32; /* one that is easily typed again */
    misbehave_seed(&l->misbehave, seed);
    for (size_t i = 0; i < rules->count && code == EX_OK; i++)
        if (!misbehave_add(&l->misbehave, a, str_c(rules->items[i]), &error))
            code = fail(l->line, EX_USAGE, "--misbehave %s", buf_c(&error));
    buf_free(&error);
    return code;
}

/* RFC 5321 4.1.1.1: a keyword and parameters, printable. */
static bool offer_valid(struct str offer)
{
    struct str rest = offer, keyword = str_cut_word(&rest);

    for (size_t i = 0; i < keyword.n; i++)
        if (!char_is_alpha(keyword.p[i]) && !char_is_digit(keyword.p[i]) &&
            (i == 0 || (keyword.p[i] != '-' && keyword.p[i] != '=')))
            return false;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] < ' ' || rest.p[i] > '~')
            return false;
    return keyword.n > 0;
}

static int read_offers(struct listening *l, struct arena *a)
{
    struct str rest = str_c(l->line->offer ? l->line->offer : sink_usual_offers);
    struct str *list = arena_alloc(a, SINK_OFFERS_MAX * sizeof *list);
    size_t count = 0;

    if (str_eq_c(rest, "none"))
        rest = STR_NONE;
    while (rest.n > 0) {
        struct str offer = str_trim(str_cut(&rest, ','));

        if (!offer_valid(offer) || count == SINK_OFFERS_MAX)
            return fail(l->line, EX_USAGE,
                        _("--offer %.*s: keywords of EHLO with commas between, such as "
                          "\"SIZE 1000000, 8BITMIME, AUTH PLAIN LOGIN\", or none"),
                        STR_ARG(offer));
        list[count++] = offer;
    }
    l->options.offers = list;
    l->options.offer_count = count;
    return EX_OK;
}

/* Without its line end. */
static int read_password(struct listening *l, struct buf *to)
{
    const char *path = l->line->password_file;
    int error = path ? file_read(AT_FDCWD, path, PASSWORD_BYTES_MAX, to) : 0;

    if (error < 0)
        return fail(l->line, EX_NOINPUT, "--password-file %s: %s", path, strerror(-error));
    struct str password = buf_str(to);

    if (str_ends(password, STR("\n")))
        password.n--;
    if (str_ends(password, STR("\r")))
        password.n--;
    if (path && password.n == 0)
        return fail(l->line, EX_DATAERR, _("--password-file %s: it is empty"), path);
    l->options.password = password;
    return EX_OK;
}

static int read_identity(struct listening *l)
{
    const struct command_line *line = l->line;
    struct buf why = buf_init(KIB);
    int code = EX_OK;

    if (line->key && !line->certificate)
        code = fail(line, EX_USAGE, _("--key without --certificate"));
    else
        l->identity = identity_new(l->options.hostname, line->certificate, line->key, &why);
    if (code == EX_OK && !l->identity)
        code = fail(line, EX_NOINPUT, "--certificate: %s", buf_c(&why));
    l->options.tls_can = l->identity != NULL;
    buf_free(&why);
    return code;
}

static int read_hostname(struct listening *l, struct arena *a)
{
    char name[256] = "";

    if (l->line->hostname)
        l->options.hostname = str_c(l->line->hostname);
    else if (gethostname(name, sizeof name - 1) == 0)
        l->options.hostname = arena_copy(a, str_c(name));
    if (!domain_valid(l->options.hostname, true)) {
        if (l->line->hostname)
            return fail(l->line, EX_USAGE, _("--hostname %s: that is no host name"),
                        l->line->hostname);
        l->options.hostname = STR("localhost");
    }
    return EX_OK;
}

static int read_orders(struct listening *l, struct arena *a, struct buf *password)
{
    int code = read_hostname(l, a);

    l->options.lmtp = l->line->lmtp;
    l->options.misbehave = &l->misbehave;
    if (code == EX_OK)
        code = read_misbehaviour(l, a);
    if (code == EX_OK)
        code = read_offers(l, a);
    if (code == EX_OK)
        code = read_password(l, password);
    if (code == EX_OK)
        code = read_number(l->line, "count", l->line->count, &l->messages_wanted);
    if (code == EX_OK)
        code = read_timeout(l);
    if (code == EX_OK)
        code = read_identity(l);
    if (code == EX_OK && l->line->save) {
        int error = save_open(&l->save, l->line->save);

        if (error < 0)
            code = fail(l->line, EX_CANTCREAT, "--save %s: %s", l->line->save, strerror(-error));
    }
    return code;
}

/* ---- the run ---- */

static int listen_on(struct listening *l)
{
    if (loop_new(&clock_system, &l->loop) < 0)
        return fail(l->line, EX_OSERR, _("no event loop: %s"), strerror(errno));
    watch_signal(l->loop, &l->interrupt, SIGINT, on_signal, l);
    watch_signal(l->loop, &l->terminate, SIGTERM, on_signal, l);

    int code = command_dns(l->line, l->loop, &l->dns);

    l->names_of_local = l->line->resolver.count > 0;
    if (code == EX_OK)
        code = open_all(l);
    if (code != EX_OK)
        return code;
    show_ready(&l->show, l->options.hostname, !identity_is_made(l->identity), l->misbehave.random,
               l->misbehave.count > 0);
    loop_run(l->loop);
    show_summary(&l->show);
    if (l->code != EX_OK)
        return l->code;
    return l->show.counts[SEVERITY_ERROR] > 0 ? EX_DATAERR : EX_OK;
}

static void close_all(struct listening *l)
{
    if (l->loop) {
        listening_end(l);
        connections_end(l);
        timer_stop(&l->last_wait);
        watch_stop(&l->interrupt);
        watch_stop(&l->terminate);
        dns_free(&l->dns);
        loop_free(&l->loop);
    }
    identity_free(&l->identity);
    save_close(&l->save);
    free(l->misbehave.rules);
}

int run_probe_listen(const struct command_line *line)
{
    struct listening *l = mem_new(sizeof *l);
    struct buf password = buf_init(PASSWORD_BYTES_MAX);
    struct arena a = ARENA_INIT;
    int code;

    if (line->misbehave.count == 1 && strcmp(line->misbehave.items[0], "help") == 0) {
        struct buf text = buf_init(16 * KIB);

        misbehave_help(&text);
        (void)fwrite(text.p, 1, text.n, stdout);
        buf_free(&text);
        free(l);
        return EX_OK;
    }
    l->line = line;
    l->save.dir_fd = -1;
    list_init(&l->connections);
    show_start(&l->show, line->json, line->quiet);
    code = read_orders(l, &a, &password);
    if (code == EX_OK)
        code = listen_on(l);
    close_all(l);
    buf_wipe(&password);
    arena_free(&a);
    free(l);
    return code;
}
