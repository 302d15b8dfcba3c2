/* cli/send.c - troika send: builds a simple message and hands it to a server by SMTP. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "cli/cli.h"
#include "client/session.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/encoded_word.h"
#include "mail/reply.h"

enum { RECIPIENTS_MAX = 1000, TEXT_BYTES_MAX = 64 * 1024 * 1024 };

struct sending {
    const struct command_line *line;
    struct loop *loop;
    struct client *client;
    struct client_message message;
    struct str recipients[RECIPIENTS_MAX];
    bool sent;
    int code;
};

/* ---- the message ---- */

static void add_message_id(struct buf *to, struct str hostname)
{
    uint64_t random[2];
    char text[26];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        random[0] = clock_now_us(&clock_system);
    base32_put(text, 13, random[0]);
    base32_put(text + 13, 13, random[1]);
    buf_printf(to, "Message-ID: <%.26s@%.*s>\r\n", text, STR_ARG(hostname));
}

static void add_body(struct buf *to, struct str text)
{
    while (text.n) {
        struct str line = str_cut(&text, '\n');

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        buf_add(to, line);
        buf_add_c(to, "\r\n");
    }
}

static void build(struct buf *to, const struct command_line *l, const struct client_message *m,
                  struct str hostname, struct str text)
{
    buf_add_c(to, "Date: ");
    date_print(to, clock_now_us(&clock_system), 0);
    buf_printf(to, "\r\nFrom: <%.*s>\r\nTo: ", STR_ARG(m->sender));
    for (size_t i = 0; i < m->recipient_count; i++)
        buf_printf(to, "%s<%.*s>", i ? ",\r\n " : "", STR_ARG(m->recipients[i]));
    buf_add_c(to, "\r\nSubject: ");
    encoded_text_print(to, str_c(l->subject ? l->subject : "(no subject)"));
    buf_add_c(to, "\r\n");
    add_message_id(to, hostname);
    buf_add_c(to, "MIME-Version: 1.0\r\nContent-Type: text/plain; "
                  "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    add_body(to, text);
}

static int read_text(const struct command_line *l, struct buf *to)
{
    for (int i = 0; i < l->argument_count; i++)
        buf_printf(to, "%s%s", i ? " " : "", l->arguments[i]);
    if (l->argument_count)
        return EX_OK;
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "type the text of the message; Ctrl-D on a line of its own ends it\n");
    for (;;) {
        char *room = buf_room(to, 64 * KIB);

        if (!room)
            return fail(l, EX_DATAERR, "the text is over %d MiB", TEXT_BYTES_MAX >> 20);
        ssize_t n = read(STDIN_FILENO, room, 64 * KIB);

        if (n < 0)
            return fail(l, EX_NOINPUT, "standard input: %s", strerror(errno));
        if (n == 0)
            return EX_OK;
        buf_added(to, (size_t)n);
    }
}

/* ---- the session ---- */

static void on_ready(void *arg)
{
    struct sending *s = arg;

    if (s->sent)
        client_quit(s->client);
    else
        client_send(s->client, &s->message);
    s->sent = true;
}

static void on_result(void *arg, size_t recipient_index, const struct status *st)
{
    struct sending *s = arg;
    struct buf code = buf_init(16);
    struct str to = s->recipients[recipient_index];

    status_print_enhanced(&code, st);
    if (s->line->json) {
        print_json(json_pack("{s:o, s:b, s:i, s:o, s:o}", "to", json_text(to), "accepted",
                             st->class == 2, "code", st->code, "status", json_text(buf_str(&code)),
                             "text", json_text(str_c(st->text))));
    } else {
        fprintf(st->class == 2 ? stdout : stderr, "<%.*s> %u %s %s\n", STR_ARG(to), st->code,
                buf_c(&code), st->text);
    }
    if (st->class != 2)
        s->code = MAX_OF(s->code, st->class == 4 ? EX_TEMPFAIL : EX_UNAVAILABLE);
    buf_free(&code);
}

static void on_message_end(void *arg)
{
    struct sending *s = arg;

    client_quit(s->client);
}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct sending *s = arg;

    if (st->class != 2 && (next_hop_failed || !s->sent))
        s->code = fail(s->line, EX_UNAVAILABLE, "%s", st->text);
    loop_stop(s->loop);
}

static void on_line(void *arg, bool sent, struct str line)
{
    struct sending *s = arg;

    if (s->line->verbose)
        fprintf(stderr, "%s %.*s\n", sent ? ">>>" : "<<<", STR_ARG(line));
}

static const struct client_events events = {on_ready, on_result, on_message_end, on_end, on_line};

static int run_session(struct sending *s, const struct sock_address *server, struct str hostname)
{
    struct client_options options = {.hostname = hostname, .timeout_scale_percent = 100};

    if (loop_new(&clock_system, &s->loop) < 0)
        return fail(s->line, EX_OSERR, "no event loop: %s", strerror(errno));
    int error = client_new(s->loop, server, &options, &events, s, &s->client);

    if (error)
        s->code = fail(s->line, EX_UNAVAILABLE, "cannot connect: %s", strerror(-error));
    else
        loop_run(s->loop);
    client_free(&s->client);
    loop_free(&s->loop);
    return s->code;
}

/* The server to hand it to: --server, or where our own listens (the wildcard is this machine). */
static int find_server(const struct command_line *l, const struct config *c,
                       struct sock_address *ret)
{
    struct sock_address found[2];
    struct str text = l->server ? str_c(l->server)
                      : c && c->listen_count && c->listens[0].address_count
                          ? c->listens[0].addresses[0]
                          : STR("127.0.0.1:25");
    char local[32];

    if (str_starts(text, STR("*:"))) {
        snprintf(local, sizeof(local), "127.0.0.1:%.*s", STR_ARG(str_skip(text, 2)));
        text = str_c(local);
    } else if (str_starts(text, STR("localhost:"))) {
        snprintf(local, sizeof(local), "127.0.0.1:%.*s", STR_ARG(str_skip(text, 10)));
        text = str_c(local);
    }
    if (sock_address_parse(text, found) == 0)
        return fail(l, EX_USAGE, "--server %.*s: give an address and a port, such as 192.0.2.25:25",
                    STR_ARG(text));
    *ret = found[0];
    return EX_OK;
}

static int read_list(const struct command_line *l, struct str list, struct arena *arena,
                     struct sending *s)
{
    struct parse_error error;
    struct address address;

    while (list.n) {
        struct str one = str_trim(str_cut(&list, ','));

        if (!address_parse(one, arena, &address, &error))
            return fail(l, EX_DATAERR, "--to %.*s: %s", STR_ARG(one), error.text);
        if (s->message.recipient_count == RECIPIENTS_MAX)
            return fail(l, EX_DATAERR, "more than %d recipients", RECIPIENTS_MAX);
        s->recipients[s->message.recipient_count++] = address_text(arena, &address);
    }
    return EX_OK;
}

static int read_recipients(const struct command_line *l, struct arena *arena, struct sending *s)
{
    int code = EX_OK;

    for (size_t i = 0; i < l->to.count && code == EX_OK; i++)
        code = read_list(l, str_c(l->to.items[i]), arena, s);
    if (code != EX_OK)
        return code;
    if (s->message.recipient_count == 0)
        return fail(l, EX_USAGE, "to whom? --to ADDRESS");
    return EX_OK;
}

static const char *default_sender(struct arena *arena, struct str hostname)
{
    const struct passwd *user = getpwuid(geteuid());

    return arena_printf(arena, "%s@%.*s", user ? user->pw_name : "nobody", STR_ARG(hostname)).p;
}

int run_send(const struct command_line *l)
{
    struct config *config =
        l->server && access(l->config_path, R_OK) < 0 ? NULL : load_config(l, NULL);
    struct sending *s = mem_new(sizeof(*s));
    struct arena arena = ARENA_INIT;
    struct buf text = buf_init(TEXT_BYTES_MAX), content = buf_init(2 * (size_t)TEXT_BYTES_MAX);
    struct sock_address server;
    struct parse_error error;
    struct address sender;
    struct str hostname = config ? config->hostname : STR("localhost");
    const char *from = l->from ? l->from : default_sender(&arena, hostname);
    int code = config || l->server ? EX_OK : EX_CONFIG;

    s->line = l;
    if (code == EX_OK)
        code = read_recipients(l, &arena, s);
    if (code == EX_OK && *from && !address_parse(str_c(from), &arena, &sender, &error))
        code = fail(l, EX_DATAERR, "--from %s: %s", from, error.text);
    if (code == EX_OK)
        code = find_server(l, config, &server);
    if (code == EX_OK)
        code = read_text(l, &text);
    if (code == EX_OK) {
        s->message.sender = *from ? address_text(&arena, &sender) : STR("");
        s->message.recipients = s->recipients;
        build(&content, l, &s->message, hostname, buf_str(&text));
        s->message.body = BODY_8BIT;
        s->message.content = buf_str(&content);
        s->message.size = content.n;
        s->message.content_fd = -1;
        code = run_session(s, &server, hostname);
    }
    buf_free(&text);
    buf_free(&content);
    arena_free(&arena);
    free(s);
    config_drop(&config);
    return code;
}
