// SPDX-License-Identifier: ISC
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/socket.h"

static uint64_t fake_us;

static uint64_t fake_now(const struct clock *c)
{
    return fake_us;
}

static const struct clock fake = {.now_us = fake_now, .monotonic_us = fake_now};

/* One end is the stream, the other a plain descriptor. What happens is noted in `seen`. */
struct fixture {
    struct loop *loop;
    struct stream *stream;
    int peer;
    struct buf seen;
    size_t use_max; /* bytes used at each on_bytes */
    bool free_on_bytes, finish_on_bytes, pause_on_bytes, free_on_end;
    size_t bytes_seen;
};

static void on_bytes(void *arg, struct buf *in)
{
    struct fixture *f = arg;
    size_t n = MIN_OF(in->n, f->use_max);

    buf_printf(&f->seen, "bytes:%.*s ", (int)MIN_OF(in->n, (size_t)20), in->p);
    f->bytes_seen += n;
    if (f->free_on_bytes)
        stream_free(&f->stream);
    if (f->finish_on_bytes)
        stream_finish(&f->stream);
    if (f->pause_on_bytes)
        stream_pause(f->stream);
    buf_drop_front(in, n); /* still there, also when the stream is not */
}

static void on_drained(void *arg)
{
    buf_add_c(&((struct fixture *)arg)->seen, "drained ");
}

static void on_end(void *arg, enum stream_end why, int error)
{
    static const char *const names[] = {"eof", "error", "idle", "stalled"};
    struct fixture *f = arg;

    buf_printf(&f->seen, "%s", names[why]);
    if (why == STREAM_ERROR)
        buf_printf(&f->seen, ":%s", strerrorname_np(error));
    buf_add_char(&f->seen, ' ');
    if (f->free_on_end)
        stream_free(&f->stream);
}

static void on_connected(void *arg)
{
    buf_add_c(&((struct fixture *)arg)->seen, "connected ");
}

static const struct stream_events events = {
    .on_bytes = on_bytes, .on_drained = on_drained, .on_end = on_end};

enum { IN_BYTES_MAX = 1000, OUT_BYTES_MAX = 3000000 };

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    int fd[2];

    f->seen = buf_init(1 << 20);
    f->use_max = SIZE_MAX;
    if (loop_new(&fake, &f->loop) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
        return -1;
    f->peer = fd[1];
    *state = f;
    return stream_new(f->loop, fd[0], &events, f, IN_BYTES_MAX, OUT_BYTES_MAX, &f->stream);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    stream_free(&f->stream);
    loop_free(&f->loop);
    if (f->peer >= 0)
        (void)close(f->peer);
    buf_free(&f->seen);
    free(f);
    return 0;
}

static void turns(struct fixture *f)
{
    for (int i = 0; i < 4; i++)
        loop_turn(f->loop, false);
}

static void expect(struct fixture *f, const char *what)
{
    turns(f);
    assert_string_equal(buf_c(&f->seen), what);
    buf_reset(&f->seen);
}

static void peer_say(struct fixture *f, const char *text)
{
    assert_int_equal(write(f->peer, text, strlen(text)), strlen(text));
}

static void peer_hears(struct fixture *f, const char *text)
{
    char got[200] = "";
    ssize_t n = read(f->peer, got, sizeof(got) - 1);

    assert_string_equal(got, text);
    assert_int_equal(n, *text ? (ssize_t)strlen(text) : n);
}

static void peer_close(struct fixture *f)
{
    (void)close(f->peer);
    f->peer = -1;
}

/* ---- reading ---- */

static void test_read(void **state)
{
    struct fixture *f = *state;

    expect(f, "");
    peer_say(f, "one");
    expect(f, "bytes:one ");
    f->use_max = 1;
    peer_say(f, "ab");
    expect(f, "bytes:ab ");
    peer_say(f, "c");
    expect(f, "bytes:bc ");
    peer_close(f);
    expect(f, "eof ");
    stream_resume(f->stream); /* was not paused */
    expect(f, "");
}

static void test_full_stops_until_resume(void **state)
{
    struct fixture *f = *state;
    char many[IN_BYTES_MAX + 10];

    memset(many, 'x', sizeof(many));
    f->use_max = 0;
    assert_int_equal(write(f->peer, many, sizeof(many)), sizeof(many));
    expect(f, "bytes:xxxxxxxxxxxxxxxxxxxx ");
    f->use_max = SIZE_MAX;
    expect(f, "");
    stream_resume(f->stream);
    expect(f, "bytes:xxxxxxxxxxxxxxxxxxxx bytes:xxxxxxxxxx ");
    assert_int_equal(f->bytes_seen, sizeof(many));
}

static void test_pause(void **state)
{
    struct fixture *f = *state;

    f->pause_on_bytes = true;
    f->use_max = 2;
    peer_say(f, "abcd");
    expect(f, "bytes:abcd ");
    peer_say(f, "ef");
    expect(f, "");
    stream_resume(f->stream);
    expect(f, "bytes:cd ");
    f->pause_on_bytes = false;
    stream_resume(f->stream);
    expect(f, "bytes:ef ");
    stream_pause(f->stream);
    peer_say(f, "g");
    peer_close(f);
    expect(f, "");
    stream_resume(f->stream);
    expect(f, "bytes:g eof ");
}

static void test_free_in_callbacks(void **state)
{
    struct fixture *f = *state;

    f->free_on_bytes = true;
    peer_say(f, "abc");
    peer_close(f);
    expect(f, "bytes:abc ");
    assert_null(f->stream);
}

static void test_free_on_end(void **state)
{
    struct fixture *f = *state;

    f->free_on_end = true;
    peer_close(f);
    expect(f, "eof ");
    assert_null(f->stream);
}

static void test_free_with_turn_wanted(void **state)
{
    struct fixture *f = *state;

    stream_write(f->stream, STR("never sent"));
    stream_free(&f->stream);
    stream_free(&f->stream);
    expect(f, "");
    peer_hears(f, "");
}

/* ---- writing ---- */

static void test_write_gathers(void **state)
{
    struct fixture *f = *state;

    assert_true(stream_write(f->stream, STR("one ")));
    assert_true(stream_write(f->stream, STR("two")));
    peer_hears(f, "");
    assert_int_equal(stream_unsent(f->stream), 7);
    expect(f, "drained ");
    peer_hears(f, "one two");
    stream_write(f->stream, STR("now"));
    stream_flush(f->stream);
    peer_hears(f, "now");
    expect(f, "drained ");
    expect(f, "");
}

/* Reads all the peer can get; returns how much, and checks that it goes on counting from *next. */
static size_t peer_counts(struct fixture *f, uint8_t *next)
{
    static uint8_t got[100000];
    size_t all = 0;
    ssize_t n;

    while ((n = read(f->peer, got, sizeof(got))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(got[i], (*next)++);
        all += (size_t)n;
    }
    return all;
}

static void test_write_much(void **state)
{
    struct fixture *f = *state;
    char piece[3000];
    uint8_t say = 0;
    uint8_t hear = 0;
    size_t said = 0;
    size_t heard = 0;

    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)round % sizeof(piece);

        for (size_t i = 0; i < n; i++)
            piece[i] = (char)say++;
        assert_true(stream_write(f->stream, str_n(piece, n)));
        said += n;
        if (round % 7 == 0)
            loop_turn(f->loop, false);
        if (round % 300 == 0)
            heard += peer_counts(f, &hear);
    }
    while (stream_unsent(f->stream) > 0) {
        loop_turn(f->loop, false);
        heard += peer_counts(f, &hear);
    }
    turns(f);
    heard += peer_counts(f, &hear);
    assert_int_equal(said, heard);
    assert_true(f->seen.n >= 8);
}

static void test_write_too_much(void **state)
{
    struct fixture *f = *state;
    char *large = mem_new(OUT_BYTES_MAX + 1);

    assert_false(stream_write(f->stream, str_n(large, OUT_BYTES_MAX + 1)));
    assert_false(stream_write(f->stream, STR("x")));
    assert_int_equal(f->seen.n, 0); /* not from within the call */
    expect(f, "error:ENOBUFS ");
    stream_finish(&f->stream);
    turns(f);
    peer_hears(f, "");
    free(large);
}

static void test_half_closed_peer_still_hears(void **state)
{
    struct fixture *f = *state;

    peer_say(f, "quit");
    assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
    expect(f, "bytes:quit eof ");
    assert_true(stream_write(f->stream, STR("bye")));
    expect(f, "drained ");
    peer_hears(f, "bye");
    stream_finish(&f->stream);
    turns(f);
    assert_int_equal(read(f->peer, (char[1]){0}, 1), 0);
}

static void test_last_words_before_write_error(void **state)
{
    struct fixture *f = *state;

    peer_say(f, "554 go away");
    peer_close(f);
    stream_write(f->stream, STR("MAIL"));
    stream_flush(f->stream); /* fails */
    expect(f, "bytes:554 go away error:EPIPE ");
    assert_false(stream_write(f->stream, STR("x")));
}

/* ---- idle ---- */

static void test_idle(void **state)
{
    struct fixture *f = *state;

    stream_idle(f->stream, 100);
    fake_us += 90;
    peer_say(f, "a");
    expect(f, "bytes:a ");
    fake_us += 90;
    expect(f, "");
    fake_us += 10;
    expect(f, "idle ");
    assert_true(stream_write(f->stream, STR("421 bye")));
    stream_finish(&f->stream);
    turns(f);
    peer_hears(f, "421 bye");
    fake_us += 6 * US_PER_S;
}

static void test_idle_not_while_paused(void **state)
{
    struct fixture *f = *state;

    stream_idle(f->stream, 100);
    stream_pause(f->stream);
    fake_us += 1000;
    expect(f, "");
    stream_resume(f->stream);
    fake_us += 99;
    expect(f, "");
    stream_idle(f->stream, 0);
    fake_us += 1000;
    expect(f, "");
    stream_idle(f->stream, 10);
    fake_us += 10;
    expect(f, "idle ");
}

static void test_stalled(void **state)
{
    struct fixture *f = *state;
    char *large = mem_new(OUT_BYTES_MAX);

    stream_idle(f->stream, 100);
    assert_true(stream_write(f->stream, str_n(large, OUT_BYTES_MAX)));
    expect(f, "");
    fake_us += 100;
    expect(f, "stalled ");
    free(large);
}

/* ---- finish ---- */

static void test_finish_waits_for_peer(void **state)
{
    struct fixture *f = *state;

    stream_write(f->stream, STR("221 bye"));
    stream_finish(&f->stream);
    assert_null(f->stream);
    turns(f);
    peer_say(f, "more that nobody reads"); /* no reset, no event */
    turns(f);
    peer_hears(f, "221 bye");
    assert_int_equal(read(f->peer, (char[1]){0}, 1), 0);
    peer_close(f);
    expect(f, "");
}

static void test_finish_gives_up(void **state)
{
    struct fixture *f = *state;

    stream_write(f->stream, STR("221 bye"));
    stream_finish(&f->stream);
    turns(f);
    assert_int_equal(write(f->peer, "x", 1), 1);
    fake_us += 5 * US_PER_S;
    turns(f);
    assert_int_equal(send(f->peer, "x", 1, MSG_NOSIGNAL), -1);
    expect(f, "");
}

static void test_finish_in_callback(void **state)
{
    struct fixture *f = *state;

    f->finish_on_bytes = true;
    f->use_max = 0;
    stream_write(f->stream, STR("bye"));
    peer_say(f, "abc");
    expect(f, "bytes:abc ");
    peer_hears(f, "bye");
} /* teardown: loop_free closes what lingers */

static void test_finish_much(void **state)
{
    struct fixture *f = *state;
    char *large = mem_new(OUT_BYTES_MAX);
    uint8_t hear = 0;
    size_t heard = 0;

    for (size_t i = 0; i < OUT_BYTES_MAX; i++)
        large[i] = (char)i;
    assert_true(stream_write(f->stream, str_n(large, OUT_BYTES_MAX)));
    free(large);
    stream_finish(&f->stream);
    for (int i = 0; i < 200; i++) {
        loop_turn(f->loop, false);
        heard += peer_counts(f, &hear);
    }
    assert_int_equal(heard, OUT_BYTES_MAX);
}

/* ---- connecting ---- */

static int listener(struct sock_address *a)
{
    struct sock_address any[2];
    int fd = -1;

    assert_int_equal(sock_address_parse(STR("127.0.0.1:0"), any), 1);
    assert_int_equal(listen_tcp(&any[0], &fd), 0);
    *a = any[0];
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a->sa, &a->bytes), 0);
    return fd;
}

static int connect_to(struct fixture *f, const struct sock_address *a)
{
    stream_free(&f->stream);
    return stream_connect(f->loop, (const struct sockaddr *)&a->sa, a->bytes, 1000, on_connected,
                          &events, f, IN_BYTES_MAX, OUT_BYTES_MAX, &f->stream);
}

static void test_connect(void **state)
{
    struct fixture *f = *state;
    struct sock_address a;
    int fd = listener(&a);

    assert_int_equal(connect_to(f, &a), 0);
    stream_write(f->stream, STR("hello"));
    stream_idle(f->stream, 500);
    loop_turn(f->loop, true);
    expect(f, "connected drained ");
    peer_close(f);
    f->peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    peer_hears(f, "hello");
    fake_us += 500;
    expect(f, "idle ");
    (void)close(fd);
}

static void test_connect_refused(void **state)
{
    struct fixture *f = *state;
    struct sock_address a;

    (void)close(listener(&a));
    assert_int_equal(connect_to(f, &a), 0);
    loop_turn(f->loop, true);
    expect(f, "error:ECONNREFUSED ");
}

static void test_connect_timeout(void **state)
{
    struct fixture *f = *state;
    struct sock_address a;
    int fd = listener(&a);
    struct stream *queued[8] = {0};

    /* A listener whose queue is full does not answer. */
    assert_int_equal(listen(fd, 0), 0);
    for (size_t i = 0; i < countof(queued); i++)
        assert_int_equal(stream_connect(f->loop, (struct sockaddr *)&a.sa, a.bytes, 60 * US_PER_S,
                                        on_connected, &events, f, 10, 10, &queued[i]),
                         0);
    turns(f);
    buf_reset(&f->seen);
    assert_int_equal(connect_to(f, &a), 0);
    stream_write(f->stream, STR("hello"));
    expect(f, "");
    fake_us += 1000;
    expect(f, "error:ETIMEDOUT ");
    for (size_t i = 0; i < countof(queued); i++)
        stream_finish(&queued[i]);
    (void)close(fd);
}

static void test_connect_impossible(void **state)
{
    struct fixture *f = *state;
    struct sock_address a = {.sa.ss_family = AF_INET, .bytes = sizeof(struct sockaddr_in)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xffffffff)};

    memcpy(&a.sa, &in, sizeof(in));
    assert_true(connect_to(f, &a) < 0);
}

/* ---- a layer: its handshake is hi and HI, and it hands over two bytes at a time ---- */

struct pairs {
    int fd;
    char held[64];
    size_t n;
};

static ssize_t pairs_take(struct pairs *p)
{
    ssize_t n = read(p->fd, p->held + p->n, sizeof(p->held) - p->n);

    p->n += n > 0 ? (size_t)n : 0;
    return n < 0 ? -errno : n;
}

static void pairs_drop(struct pairs *p)
{
    p->n -= 2;
    memmove(p->held, p->held + 2, p->n);
}

static int pairs_shake(void *layer)
{
    struct pairs *p = layer;
    ssize_t n = pairs_take(p);

    if (p->n < 2)
        return n == 0 ? -ECONNRESET : -EAGAIN;
    if (memcmp(p->held, "hi", 2) != 0)
        return -EPROTO;
    pairs_drop(p);
    return write(p->fd, "HI", 2) == 2 ? 0 : -EPIPE;
}

static ssize_t pairs_read(void *layer, char *to, size_t n)
{
    struct pairs *p = layer;
    ssize_t got = p->n < 2 ? pairs_take(p) : 1;

    if (p->n < 2)
        return got > 0 ? -EAGAIN : got;
    memcpy(to, p->held, 2);
    pairs_drop(p);
    return 2;
}

static ssize_t pairs_write(void *layer, const char *from, size_t n)
{
    ssize_t sent = write(((struct pairs *)layer)->fd, from, n);

    return sent < 0 ? -errno : sent;
}

static bool pairs_holds(void *layer)
{
    return ((struct pairs *)layer)->n > 0;
}

static void pairs_nothing(void *layer) {}

static const struct stream_layer pairs_layer = {.shake = pairs_shake,
                                                .read = pairs_read,
                                                .write = pairs_write,
                                                .holds = pairs_holds,
                                                .end = pairs_nothing,
                                                .free = pairs_nothing};

static void on_secured(void *arg)
{
    buf_add_c(&((struct fixture *)arg)->seen, "secured ");
}

static void test_secure(void **state)
{
    struct fixture *f = *state;
    struct pairs layer = {.fd = stream_fd(f->stream)};

    peer_say(f, "STARTTLS and what was slipped in");
    f->use_max = 8;
    expect(f, "bytes:STARTTLS and what wa ");
    f->use_max = SIZE_MAX;
    assert_true(stream_write(f->stream, STR("go ahead ")));
    stream_secure(f->stream, &pairs_layer, &layer, on_secured);
    peer_hears(f, ""); /* nothing happens within the call */
    expect(f, "");
    peer_hears(f, "go ahead ");
    peer_say(f, "hiabc"); /* the half pair is no reason to go round and round */
    expect(f, "secured drained bytes:ab ");
    peer_hears(f, "HI");
    peer_say(f, "defgh");
    expect(f, "bytes:cd bytes:ef bytes:gh ");
    assert_true(stream_write(f->stream, STR("bye")));
    expect(f, "drained ");
    peer_hears(f, "bye");
    stream_free(&f->stream);
    turns(f);
}

static void test_secure_behind_much(void **state)
{
    struct fixture *f = *state;
    struct pairs layer = {.fd = stream_fd(f->stream)};
    size_t left = 1000000;
    char *much = mem_new(left);

    assert_true(stream_write(f->stream, str_n(much, left)));
    stream_secure(f->stream, &pairs_layer, &layer, on_secured);
    peer_say(f, "hi"); /* is not looked at before all of it has left */
    expect(f, "");
    while (left > 0) {
        ssize_t n = read(f->peer, much, left);

        assert_true(n > 0);
        left -= (size_t)n;
        loop_turn(f->loop, false);
    }
    expect(f, "secured drained ");
    peer_hears(f, "HI");
    stream_free(&f->stream);
    turns(f);
    free(much);
}

static void test_secure_fails(void **state)
{
    struct fixture *f = *state;
    struct pairs layer = {.fd = stream_fd(f->stream)};

    peer_say(f, "EHLO");
    stream_secure(f->stream, &pairs_layer, &layer, on_secured);
    expect(f, "error:EPROTO ");
    assert_false(stream_write(f->stream, STR("x")));
    stream_free(&f->stream);
    turns(f);
}

/* ---- memory ---- */

static void test_idle_streams_are_small(void **state)
{
    struct fixture *f = *state;
    struct stream *many[200];
    int fd[200][2];
    struct mallinfo2 before;
    char text[] = "MAIL FROM:<";

    peer_say(f, "warm up");
    turns(f);
    for (size_t i = 0; i < countof(many); i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd[i]), 0);
    before = mallinfo2();
    f->use_max = 1; /* a partial line stays */
    for (size_t i = 0; i < countof(many); i++) {
        assert_int_equal(stream_new(f->loop, fd[i][0], &events, f, 65536, 65536, &many[i]), 0);
        stream_idle(many[i], 1000);
        assert_int_equal(write(fd[i][1], text, 11), 11);
    }
    for (size_t i = 0; i < countof(many); i++)
        loop_turn(f->loop, false);
    /* Sanitizers count no memory here; then this says 0. */
    assert_in_range(mallinfo2().uordblks - before.uordblks, 0, countof(many) * 1024 + 16384);
    for (size_t i = 0; i < countof(many); i++) {
        stream_free(&many[i]);
        (void)close(fd[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_stops_until_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_in_callbacks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_on_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_with_turn_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_gathers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_closed_peer_still_hears, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_words_before_write_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_not_while_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stalled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finish_waits_for_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finish_gives_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finish_in_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finish_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_impossible, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secure_behind_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secure_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_streams_are_small, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
