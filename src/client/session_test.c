// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"
#include "client/session.h"
#include "io/stream.h"
#include "wire/smtp.h"

enum { RECIPIENTS = 3, NEVER = 1 << 30, DRIP_US = 50 * 1000, DRIPS_MAX = 60 };

/* ---- a server in the same loop ---- */

struct server {
    struct loop *loop;
    int listener;
    struct sock_address address;
    struct watch watch;
    struct stream *stream;
    struct buf out;

    bool pipelining;
    const char *silent_at; /* answers nothing to this command */
    bool drips;            /* or a byte now and then, never a whole line */
    size_t drip_count;
    struct timer drip;
    bool breaks_tls;  /* offers STARTTLS, and what follows its 220 is no handshake */
    size_t heard_max; /* cuts the connection after so many bytes in */
    size_t said_max;  /* or out */

    size_t heard, said, rcpt_count, commit_count;
    size_t connection_count;
    bool in_content;
    struct dot_reader dots;
    struct buf content;
    uint64_t content_bytes;
    uint32_t content_crc;
};

/* True: all of it was said. */
static bool server_say(struct server *s, struct str line)
{
    struct str part = str_sub(line, 0, s->said_max - s->said);

    if (!s->stream)
        return false;
    stream_write(s->stream, part);
    s->said += part.n;
    if (s->said == s->said_max)
        stream_finish(&s->stream);
    return part.n == line.n;
}

static struct str server_answer(struct server *s, struct str line)
{
    if (str_starts(line, STR("EHLO")) && s->breaks_tls)
        return STR("250-mx\r\n250 STARTTLS\r\n");
    if (str_eq_c(line, "STARTTLS"))
        return STR("220 go\r\n");
    if (str_starts(line, STR("EHLO")))
        return s->pipelining ? STR("250-mx\r\n250-SIZE 0\r\n250 PIPELINING\r\n")
                             : STR("250 mx\r\n");
    if (str_starts(line, STR("RCPT")))
        return s->rcpt_count++ % RECIPIENTS == 1 ? STR("550-5.1.1 no such\r\n550 5.1.1 user\r\n")
                                                 : STR("250 2.1.5 ok\r\n");
    if (str_eq_c(line, "DATA"))
        return STR("354 go\r\n");
    if (str_eq_c(line, "QUIT"))
        return STR("221 bye\r\n");
    return STR("250 ok\r\n");
}

static void server_drip(void *arg)
{
    struct server *s = arg;

    assert_in_range(s->drip_count++, 0, DRIPS_MAX);
    if (server_say(s, STR("2")))
        timer_set(s->loop, &s->drip, DRIP_US, server_drip, s);
}

static void server_line(struct server *s, struct str line)
{
    if (s->silent_at && str_starts(line, str_c(s->silent_at))) {
        if (s->drips)
            server_drip(s);
        return;
    }
    if (str_eq_c(line, "DATA")) {
        s->in_content = true;
        s->dots = (struct dot_reader){0};
        s->content_bytes = 0;
        s->content_crc = 0;
    }
    server_say(s, server_answer(s, line));
}

static size_t server_content(struct server *s, struct str in)
{
    size_t used = 0;

    in = str_sub(in, 0, 16 * KIB);
    enum dot_event event = dot_read(&s->dots, in, &s->content, &used);
    s->content_bytes += s->content.n;
    s->content_crc = crc32c(s->content_crc, s->content.p, s->content.n);
    buf_reset(&s->content);
    assert_int_not_equal(event, DOT_BARE_NEWLINE);
    if (event == DOT_END) {
        s->in_content = false;
        s->commit_count += server_say(s, STR("250 2.0.0 taken\r\n"));
    }
    return used;
}

static void server_bytes(void *arg, struct buf *in)
{
    struct server *s = arg;

    if (s->heard + in->n >= s->heard_max) {
        stream_free(&s->stream);
        return;
    }
    while (in->n > 0 && s->stream) {
        size_t used;
        size_t line_end = str_find(buf_str(in), '\n');

        if (s->in_content) {
            used = server_content(s, buf_str(in));
        } else {
            if (line_end == in->n)
                return;
            server_line(s, str_sub(buf_str(in), 0, line_end - 1));
            used = line_end + 1;
        }
        s->heard += used;
        buf_drop_front(in, used);
    }
}

static void server_end(void *arg, enum stream_end why, int error)
{
    struct server *s = arg;

    timer_stop(&s->drip);
    stream_free(&s->stream);
}

static void server_accept(void *arg, unsigned what)
{
    static const struct stream_events events = {server_bytes, NULL, server_end};
    struct server *s = arg;
    int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    assert_true(fd >= 0);
    stream_free(&s->stream);
    assert_int_equal(stream_new(s->loop, fd, &events, s, 64 * KIB, 64 * KIB, &s->stream), 0);
    s->heard = s->said = s->rcpt_count = 0;
    s->in_content = false;
    s->connection_count++;
    if (!s->silent_at || strcmp(s->silent_at, "greeting") != 0)
        server_say(s, STR("220 mx.example.net ESMTP here\r\n"));
}

static void server_start(struct server *s, struct loop *l)
{
    struct sock_address any[2];

    *s = (struct server){.loop = l,
                         .pipelining = true,
                         .heard_max = NEVER,
                         .said_max = NEVER,
                         .content = buf_init(64 * KIB)};
    assert_int_equal(sock_address_parse(STR("127.0.0.1:1"), any), 1);
    ((struct sockaddr_in *)(void *)&any[0].sa)->sin_port = 0;
    assert_int_equal(listen_tcp(&any[0], &s->listener), 0);
    s->address.bytes = sizeof s->address.sa;
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&s->address.sa, &s->address.bytes),
                     0);
    watch_start(l, &s->watch, s->listener, WATCH_READ, server_accept, s);
}

static void server_stop(struct server *s)
{
    watch_stop(&s->watch);
    timer_stop(&s->drip);
    close(s->listener);
    stream_free(&s->stream);
    buf_free(&s->content);
}

/* ---- the owner of a client ---- */

struct owner {
    struct loop *loop;
    struct client *client;
    struct client_message message;
    size_t messages_left;
    size_t result_count[RECIPIENTS];
    struct status results[RECIPIENTS];
    size_t end_count, over_count, line_count;
    struct status over;
    bool next_hop_failed, free_in_result;
};

static void on_ready(void *arg)
{
    struct owner *o = arg;

    if (o->messages_left == 0) {
        client_quit(o->client);
        return;
    }
    o->messages_left--;
    memset(o->result_count, 0, sizeof o->result_count);
    client_send(o->client, &o->message);
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    struct owner *o = arg;

    o->result_count[i]++;
    o->results[i] = *st;
    if (o->free_in_result) {
        client_free(&o->client);
        o->over_count++;
    }
}

static void on_message_end(void *arg)
{
    struct owner *o = arg;
    o->end_count++;
}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct owner *o = arg;

    o->over = *st;
    o->next_hop_failed = next_hop_failed;
    o->over_count++;
    client_free(&o->client);
}

static void on_line(void *arg, bool sent, struct str line)
{
    struct owner *o = arg;
    o->line_count++;
}

static const struct client_events client_events = {on_ready, on_result, on_message_end, on_end,
                                                   on_line};

static const struct str recipients[RECIPIENTS] = {
    {"a@example.net", 13}, {"b@example.net", 13}, {"c@example.net", 13}};

static struct client_message message_of(struct str content)
{
    return (struct client_message){.sender = STR("me@example.org"),
                                   .recipients = recipients,
                                   .recipient_count = RECIPIENTS,
                                   .prefix = STR("Received: from here\r\n"),
                                   .content = content,
                                   .content_fd = -1,
                                   .size = 21 + content.n};
}

static struct tls_context *tls_context;

static void run_client_tls(struct server *s, struct owner *o, struct client_message m, size_t count,
                           enum tls_policy tls)
{
    struct client_options options = {.hostname = STR("client.example"),
                                     .timeout_scale_percent = 1,
                                     .tls = tls,
                                     .tls_context = tls_context,
                                     .tls_host = STR("mx")};

    *o = (struct owner){
        .loop = s->loop, .message = m, .messages_left = count, .free_in_result = o->free_in_result};
    assert_int_equal(client_new(s->loop, &s->address, &options, &client_events, o, &o->client), 0);
    while (o->over_count == 0)
        loop_turn(s->loop, true);
    assert_int_equal(o->over_count, 1);
    assert_null(o->client);
}

static void run_client(struct server *s, struct owner *o, struct client_message m, size_t count)
{
    run_client_tls(s, o, m, count, TLS_NONE);
}

static void let_the_dead_go(struct loop **l)
{
    loop_turn(*l, false);
    loop_turn(*l, false);
    loop_free(l);
}

/* ---- stories ---- */

static const struct str content = {"Subject: hi\r\n\r\n.dot\r\nbare\nend", 29};

static void messages_go_over_one_connection(void **state)
{
    for (size_t pipelining = 0; pipelining < 2; pipelining++) {
        struct loop *l;
        struct server s;
        struct owner o = {0};

        loop_new(&clock_system, &l);
        server_start(&s, l);
        s.pipelining = pipelining == 1;
        run_client(&s, &o, message_of(content), 3);
        assert_true(status_done(&o.over));
        assert_int_equal(s.connection_count, 1);
        assert_int_equal(s.commit_count, 3);
        assert_int_equal(o.end_count, 3);
        assert_true(status_done(&o.results[0]));
        assert_true(status_never(&o.results[1]));
        assert_int_equal(o.results[1].code, 550);
        assert_non_null(strstr(o.results[1].text, "no such"));
        assert_true(status_done(&o.results[2]));
        assert_true(o.line_count > 20);
        assert_int_equal(s.content_bytes, 21 + content.n + 1 + 2);
        server_stop(&s);
        let_the_dead_go(&l);
    }
}

/* Exactly one legal outcome for each recipient, wherever the connection breaks. */
static void check_cut(const struct server *s, const struct owner *o)
{
    bool done = false;

    if (o->end_count == 0) { /* the message was never begun */
        assert_true(o->next_hop_failed);
        assert_true(status_try_later(&o->over));
        return;
    }
    for (size_t i = 0; i < RECIPIENTS; i++) {
        assert_int_equal(o->result_count[i], 1);
        done |= status_done(&o->results[i]);
        assert_true(i == 1 || !status_never(&o->results[i]));
        assert_true(i != 1 || !status_done(&o->results[i]));
    }
    if (done)
        assert_int_equal(s->commit_count, 1);
}

static bool cut_at(size_t heard_max, size_t said_max, bool pipelining)
{
    struct loop *l;
    struct server s;
    struct owner o = {0};

    loop_new(&clock_system, &l);
    server_start(&s, l);
    s.pipelining = pipelining;
    s.heard_max = heard_max;
    s.said_max = said_max;
    run_client(&s, &o, message_of(content), 1);
    check_cut(&s, &o);
    bool whole = s.heard < heard_max && s.said < said_max && s.commit_count == 1;
    server_stop(&s);
    let_the_dead_go(&l);
    return whole;
}

static void a_cut_after_any_byte_leaves_one_outcome_each(void **state)
{
    for (size_t pipelining = 0; pipelining < 2; pipelining++) {
        size_t at = 1;

        while (!cut_at(NEVER, at, pipelining == 1))
            at++;
        assert_in_range(at, 120, 400);
        at = 1;
        while (!cut_at(at, NEVER, pipelining == 1))
            at++;
        assert_in_range(at, 120, 400);
    }
}

static void a_large_file_streams(void **state)
{
    enum { FILE_BYTES = 24 * 1024 * 1024, OFFSET = 1000 };
    char path[] = "/tmp/client-XXXXXX";
    char line[64] = ".a line that begins with a dot, and is 62 bytes long, without\r\n";
    int fd = mkstemp(path);
    uint32_t crc = crc32c(0, "Received: from here\r\n", 21);
    uint64_t bytes = 21;
    struct loop *l;
    struct server s;
    struct owner o = {0};
    struct client_message m = message_of(STR_NONE);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(ftruncate(fd, OFFSET), 0);
    lseek(fd, OFFSET, SEEK_SET);
    FILE *file = fdopen(dup(fd), "w");
    for (size_t n = strlen(line); bytes < FILE_BYTES; bytes += n) {
        fwrite(line, 1, n, file);
        crc = crc32c(crc, line, n);
    }
    fclose(file);
    m.content_fd = fd;
    m.content_offset = OFFSET;
    m.content_bytes = bytes - 21;
    m.size = bytes;
    loop_new(&clock_system, &l);
    server_start(&s, l);
    run_client(&s, &o, m, 1);
    assert_true(status_done(&o.results[0]));
    assert_int_equal(s.content_bytes, bytes);
    assert_int_equal(s.content_crc, crc);

    m.content_bytes += 1; /* the file is shorter than was said: no dot may follow it */
    run_client(&s, &o, m, 1);
    assert_true(status_try_later(&o.results[0]));
    assert_int_equal(s.commit_count, 1);
    server_stop(&s);
    let_the_dead_go(&l);
    close(fd);
}

static void silence_ends_in_try_later(void **state)
{
    static const char *const silent[] = {"DATA", "QUIT"};

    for (size_t i = 0; i < countof(silent); i++) {
        struct loop *l;
        struct server s;
        struct owner o = {0};

        loop_new(&clock_system, &l);
        server_start(&s, l);
        s.pipelining = false;
        s.silent_at = silent[i];
        run_client(&s, &o, message_of(content), 1);
        if (i == 0) {
            assert_true(status_try_later(&o.results[0]));
            assert_true(status_never(&o.results[1]));
            assert_non_null(strstr(o.results[0].text, "DATA"));
        } else {
            assert_true(status_done(&o.over));
        }
        server_stop(&s);
        let_the_dead_go(&l);
    }
}

static void dripping_does_not_stretch_the_time(void **state)
{
    struct loop *l;
    struct server s;
    struct owner o = {0};

    loop_new(&clock_system, &l);
    server_start(&s, l);
    s.pipelining = false;
    s.silent_at = "DATA";
    s.drips = true;
    run_client(&s, &o, message_of(content), 1);
    assert_true(status_try_later(&o.results[0]));
    assert_non_null(strstr(o.results[0].text, "no answer in time to DATA"));
    server_stop(&s);
    let_the_dead_go(&l);
}

static void nobody_there_is_told(void **state)
{
    struct loop *l;
    struct server s;
    struct owner o = {0};

    loop_new(&clock_system, &l);
    server_start(&s, l);
    watch_stop(&s.watch);
    close(s.listener);
    s.listener = -1;
    run_client(&s, &o, message_of(content), 1);
    assert_true(o.next_hop_failed);
    assert_int_equal(o.over.class, 4);
    assert_int_equal(o.over.subject, 4);
    assert_int_equal(o.over.detail, 1);
    assert_int_equal(o.end_count, 0);
    buf_free(&s.content);
    let_the_dead_go(&l);
}

static void the_owner_may_free_in_any_event(void **state)
{
    struct loop *l;
    struct server s;
    struct owner o = {.free_in_result = true};

    loop_new(&clock_system, &l);
    server_start(&s, l);
    run_client(&s, &o, message_of(content), 1);
    assert_int_equal(o.end_count, 0);
    server_stop(&s);
    let_the_dead_go(&l);
}

/* The server takes the ClientHello for a command and answers it: no TLS. */
static void a_failed_handshake_needs_a_second_connection(void **state)
{
    static const enum tls_policy policies[] = {TLS_OPPORTUNISTIC, TLS_REQUIRED};

    tls_context = tls_client_context_before_jail();
    for (size_t i = 0; i < countof(policies); i++) {
        struct loop *l;
        struct server s;
        struct owner o = {0};

        loop_new(&clock_system, &l);
        server_start(&s, l);
        s.pipelining = false;
        s.breaks_tls = true;
        run_client_tls(&s, &o, message_of(content), 1, policies[i]);
        if (policies[i] == TLS_REQUIRED) {
            assert_int_equal(s.connection_count, 1);
            assert_int_equal(s.commit_count, 0);
            assert_true(o.next_hop_failed && status_try_later(&o.over));
            assert_non_null(strstr(o.over.text, "handshake failed"));
        } else {
            assert_int_equal(s.connection_count, 2);
            assert_int_equal(s.commit_count, 1);
            assert_true(status_done(&o.results[0]) && status_done(&o.over));
        }
        server_stop(&s);
        let_the_dead_go(&l);
    }
    tls_context_free(&tls_context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_over_one_connection),
        cmocka_unit_test(a_cut_after_any_byte_leaves_one_outcome_each),
        cmocka_unit_test(a_large_file_streams),
        cmocka_unit_test(silence_ends_in_try_later),
        cmocka_unit_test(dripping_does_not_stretch_the_time),
        cmocka_unit_test(nobody_there_is_told),
        cmocka_unit_test(a_failed_handshake_needs_a_second_connection),
        cmocka_unit_test(the_owner_may_free_in_any_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
