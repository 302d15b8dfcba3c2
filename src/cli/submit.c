/* cli/submit.c - handing a message, or bytes, to the running server at STATE/submit.sock. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/sendmail.h"
#include "client/session.h"
#include "mail/reply.h"

/* Of the times of RFC 5321 4.5.3.2: the server is on this machine, and a file can always be left
 * instead. */
enum { PATIENCE_PERCENT = 20 };

struct submission_run {
    const struct mail *mail;
    struct loop *loop;
    struct client *client;
    struct client_message message;
    struct status *results;
    bool sent;
};

static void say(const struct sendmail *s, const char *mark, struct str line)
{
    if (s->line.verbose) {
        printf("%s%.*s\n", mark, STR_ARG(line));
        (void)fflush(stdout); /* it is watched */
    }
    if (s->traffic)
        fprintf(s->traffic, "%s%.*s\n", mark, STR_ARG(line));
}

static void on_ready(void *arg)
{
    struct submission_run *r = arg;

    if (r->sent)
        client_quit(r->client);
    else
        client_send(r->client, &r->message);
    r->sent = true;
}

static void on_result(void *arg, size_t recipient_index, const struct status *st)
{
    struct submission_run *r = arg;

    r->results[recipient_index] = *st;
}

static void on_message_end(void *arg)
{
    struct submission_run *r = arg;

    client_quit(r->client);
}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct submission_run *r = arg;

    (void)next_hop_failed;
    for (size_t i = 0; i < r->mail->recipient_count && st->class != 2; i++)
        if (r->results[i].class == 0)
            r->results[i] = *st;
    loop_stop(r->loop);
}

static void on_line(void *arg, bool sent, struct str line)
{
    struct submission_run *r = arg;

    say(r->mail->options, sent ? ">>> " : "", line);
}

static const struct client_events events = {on_ready, on_result, on_message_end, on_end, on_line};

/* False: the path of the socket is too long to be one. */
static bool socket_address(const struct config *config, struct sock_address *ret)
{
    char path[4200];

    (void)snprintf(path, sizeof path, "%.*s/submit.sock", STR_ARG(config->state));
    return sock_address_unix(path, ret);
}

static int connect_and_send(struct submission_run *r)
{
    struct client_options o = {.hostname = r->mail->config->hostname,
                               .timeout_scale_percent = PATIENCE_PERCENT};
    struct sock_address to;
    int error = socket_address(r->mail->config, &to) ? 0 : -ENAMETOOLONG;

    if (error == 0)
        error = loop_new(&clock_system, &r->loop);
    if (error == 0)
        error = client_new(r->loop, &to, &o, &events, r, &r->client);
    if (error == 0)
        loop_run(r->loop);
    client_free(&r->client);
    loop_free(&r->loop);
    return error;
}

void submit(const struct mail *m, struct status *results)
{
    struct submission_run r = {.mail = m,
                               .results = results,
                               .message = {.sender = m->sender,
                                           .recipients = m->recipients,
                                           .recipient_count = m->recipient_count,
                                           .body = m->body_8bit ? BODY_8BIT : BODY_7BIT,
                                           .ret = m->ret,
                                           .envid = m->envid,
                                           .size = m->prefix.n + m->content.n,
                                           .prefix = m->prefix,
                                           .content = m->content,
                                           .content_fd = -1}};
    struct notify *notify = mem_new(m->recipient_count * sizeof *notify);

    for (size_t i = 0; i < m->recipient_count; i++)
        notify[i].when = m->notify;
    r.message.notify = notify;
    memset(results, 0, m->recipient_count * sizeof *results);
    int error = connect_and_send(&r);
    struct status st = reply_status(REPLY_NO_CONNECTION, str_c(strerror(-error)));

    free(notify);
    for (size_t i = 0; i < m->recipient_count; i++)
        if (results[i].class != 2 && results[i].class != 5)
            results[i] = results[i].class ? results[i] : st;
}

/* ---- -bs ---- */

static bool copy(int from, int to, const struct sendmail *s, const char *mark)
{
    char bytes[16 * 1024];
    ssize_t n = read(from, bytes, sizeof bytes);

    if (n < 0 && errno == EINTR)
        return true;
    if (s->traffic && n > 0)
        fprintf(s->traffic, "%s%.*s", mark, (int)n, bytes);
    for (ssize_t at = 0; at < n;) {
        ssize_t done = write(to, bytes + at, (size_t)(n - at));

        if (done < 0 && errno != EINTR)
            return false;
        at += done > 0 ? done : 0;
    }
    return n > 0;
}

static void copy_both(const struct sendmail *s, int server)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = server, .events = POLLIN}};

    while (poll(fds, countof(fds), -1) >= 0 || errno == EINTR) {
        if (fds[1].revents && !copy(server, STDOUT_FILENO, s, "<<< "))
            return;
        if (fds[0].fd >= 0 && fds[0].revents && !copy(STDIN_FILENO, server, s, ">>> ")) {
            fds[0].fd = -1; /* what was asked so far is still answered */
            (void)shutdown(server, SHUT_WR);
        }
    }
}

int submit_bytes(const struct sendmail *s, const struct config *config)
{
    struct sock_address to;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || !socket_address(config, &to) ||
        connect(fd, (const struct sockaddr *)&to.sa, to.bytes) < 0) {
        int error = errno;

        printf("421 4.3.2 %.*s the mail server is not running, try again later\r\n",
               STR_ARG(config->hostname));
        if (fd >= 0)
            (void)close(fd);
        return fail(&s->line, EX_TEMPFAIL, "%.*s/submit.sock: %s", STR_ARG(config->state),
                    strerror(error));
    }
    copy_both(s, fd);
    (void)close(fd);
    return EX_OK;
}
