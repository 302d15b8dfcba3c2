// SPDX-License-Identifier: ISC
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "daemon/history/keeper.h"

struct peer_end { /* what the other process of a channel saw */
    struct channel *theirs, *ours;
    uint64_t taken;
    size_t taken_count, line_count, lines_count, end_count;
    uint64_t end_total;
    unsigned end_class;
    bool pause;
};

struct world {
    char path[64];
    int dir_fd;
    struct loop *loop;
    struct keeper keeper;
    struct peer_end queue, smtpd, asker;
    size_t broken_count;
};

static void peer_message(void *arg, struct channel *c, union message *m)
{
    struct peer_end *p = arg;

    if (m->kind == MSG_EVENTS_TAKEN) {
        p->taken = m->events_taken.number;
        p->taken_count++;
    } else if (m->kind == MSG_LINES) {
        p->lines_count++;
        p->line_count++;
        for (size_t i = 0; i < m->lines.lines.n; i++)
            p->line_count += m->lines.lines.p[i] == '\n';
        if (p->pause)
            channel_pause(c);
    } else {
        assert_int_equal(m->kind, MSG_END);
        p->end_count++;
        p->end_total = m->end.count;
        p->end_class = m->end.status.class;
    }
}

static void keeper_message(void *arg, struct channel *c, union message *m)
{
    struct world *w = arg;

    if (m->kind == MSG_EVENTS)
        keeper_events(&w->keeper, c, &m->events);
    else if (m->kind == MSG_NOTE)
        keeper_note(&w->keeper, &m->note);
    else
        keeper_trace(&w->keeper, c, &m->trace);
}

static void keeper_room(void *arg, struct channel *c)
{
    if (channel_peer(c) == CONTROL)
        keeper_asker_room(c);
}

static void peer_gone(void *arg, struct channel *c, const char *why) {}

static void on_broken(void *arg, int error)
{
    struct world *w = arg;
    w->broken_count++;
}

static void connect_peer(struct world *w, struct peer_end *p, enum role role)
{
    static const struct channel_events theirs = {peer_message, NULL, peer_gone};
    static const struct channel_events ours = {keeper_message, keeper_room, peer_gone};
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    *p = (struct peer_end){.theirs = channel_new(w->loop, pair[0], role, HISTORY, &theirs, p),
                           .ours = channel_new(w->loop, pair[1], HISTORY, role, &ours, w)};
}

static void disconnect_peer(struct world *w, struct peer_end *p)
{
    if (!p->ours)
        return;
    keeper_peer_down(&w->keeper, p->ours);
    channel_free(&p->ours);
    channel_free(&p->theirs);
}

static void keeper_start(struct world *w)
{
    struct history_options o = {.disk = &disk_system, .clock = &clock_system};

    assert_int_equal(keeper_init(&w->keeper, w->loop, w->dir_fd, &o, on_broken, w), 0);
}

static int setup(void **state)
{
    struct world *w = mem_new(sizeof *w);
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(w->path, sizeof w->path, "%.40s/keeper-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->path));
    w->dir_fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(loop_new(&clock_system, &w->loop), 0);
    keeper_start(w);
    connect_peer(w, &w->queue, QUEUE);
    connect_peer(w, &w->smtpd, SMTPD);
    connect_peer(w, &w->asker, CONTROL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    DIR *dir = opendir(w->path);

    disconnect_peer(w, &w->queue);
    disconnect_peer(w, &w->smtpd);
    disconnect_peer(w, &w->asker);
    keeper_done(&w->keeper);
    loop_turn(w->loop, false);
    loop_turn(w->loop, false);
    loop_free(&w->loop);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        (void)unlinkat(w->dir_fd, e->d_name, 0);
    closedir(dir);
    close(w->dir_fd);
    assert_int_equal(rmdir(w->path), 0);
    free(w);
    return 0;
}

static void tell(struct world *w, uint64_t number, struct str lines)
{
    struct msg_events m = {.kind = MSG_EVENTS, .number = number, .lines = lines};
    channel_send(w->queue.theirs, &m);
}

static void note(struct world *w, struct str line)
{
    struct msg_note m = {.kind = MSG_NOTE, .line = line};
    channel_send(w->smtpd.theirs, &m);
}

static void ask(struct world *w, const char *text)
{
    struct msg_trace m = {.kind = MSG_TRACE, .text = str_c(text)};
    channel_send(w->asker.theirs, &m);
}

static void turns(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        loop_turn(w->loop, false);
}

static void wait_for(struct world *w, const size_t *count, size_t until)
{
    while (*count < until)
        loop_turn(w->loop, true);
}

static void ask_and_wait(struct world *w, const char *text)
{
    size_t ends = w->asker.end_count;

    w->asker.line_count = 0;
    ask(w, text);
    wait_for(w, &w->asker.end_count, ends + 1);
}

/* ---- stories ---- */

static void events_are_taken_once_and_told(void **state)
{
    struct world *w = *state;

    tell(w, 5, STR("event=accepted to=<a@x.example>\nevent=queued to=<a@x.example>"));
    tell(w, 6, STR("event=delivered to=<a@x.example>"));
    wait_for(w, &w->queue.taken_count, 1);
    turns(w, 4);
    assert_int_equal(w->queue.taken, 6);
    tell(w, 6, STR("event=delivered to=<a@x.example>"));
    tell(w, 7, STR("event=more to=<b@x.example>"));
    size_t told = w->queue.taken_count;
    wait_for(w, &w->queue.taken_count, told + 1);
    turns(w, 4);
    assert_int_equal(w->queue.taken, 7);
    ask_and_wait(w, "a@x.example");
    assert_int_equal(w->asker.line_count, 3);
    assert_int_equal(w->asker.end_total, 3);
    assert_int_equal(w->asker.end_class, 2);
    ask_and_wait(w, "@x.example");
    assert_int_equal(w->asker.line_count, 4);
    ask_and_wait(w, "nobody@x.example");
    assert_int_equal(w->asker.line_count, 0);
}

static void a_batch_said_again_after_a_restart_is_acknowledged(void **state)
{
    struct world *w = *state;

    tell(w, 5, STR("event=a to=<a@x.example>"));
    wait_for(w, &w->queue.taken_count, 1);
    disconnect_peer(w, &w->queue);
    disconnect_peer(w, &w->smtpd);
    disconnect_peer(w, &w->asker);
    keeper_done(&w->keeper);
    keeper_start(w);
    connect_peer(w, &w->queue, QUEUE);
    connect_peer(w, &w->asker, CONTROL);
    tell(w, 5, STR("event=a to=<a@x.example>"));
    wait_for(w, &w->queue.taken_count, 1);
    assert_int_equal(w->queue.taken, 5);
    ask_and_wait(w, "a@x.example");
    assert_int_equal(w->asker.line_count, 1);
}

static void a_flood_of_notes_is_counted_not_kept(void **state)
{
    struct world *w = *state;
    char line[4000];

    memset(line, 'x', sizeof line);
    memcpy(line, "event=refused x=", 16);
    for (size_t i = 0; i < 400; i++)
        note(w, str_n(line, sizeof line));
    channel_flush(w->smtpd.theirs);
    turns(w, 100);
    note(w, STR("event=refused x=last"));
    turns(w, 10);
    ask_and_wait(w, "refused");
    size_t kept = w->asker.line_count;
    assert_in_range(kept, 50, 401);
    ask_and_wait(w, "notes-lost");
    assert_true(kept == 401 || w->asker.line_count > 0);
    assert_int_equal(w->keeper.notes_lost, 0);
}

static void tell_many(struct world *w)
{
    struct buf lines = buf_init(MIB);

    for (unsigned batch = 1; batch <= 100; batch++) {
        buf_reset(&lines);
        for (unsigned i = 0; i < 400; i++)
            buf_printf(&lines, "event=delivered to=<user%u@x.example> x=%0*u\n", i, 200, i);
        tell(w, batch, buf_str(&lines));
        channel_flush(w->queue.theirs);
        turns(w, 1);
    }
    while (w->queue.taken < 100)
        loop_turn(w->loop, true);
    buf_free(&lines);
}

static void a_slow_asker_holds_nobody_up(void **state)
{
    struct world *w = *state;

    tell_many(w);
    w->asker.pause = true;
    ask(w, "@x.example");
    wait_for(w, &w->asker.lines_count, 1);
    turns(w, 2000);
    assert_int_equal(w->asker.end_count, 0);
    assert_true(channel_full(w->asker.ours)); /* it waits, and no more than a few MiB do */
    tell(w, 101, STR("event=meanwhile to=<z@y.example>"));
    while (w->queue.taken < 101)
        loop_turn(w->loop, true);
    w->asker.pause = false;
    channel_resume(w->asker.theirs);
    wait_for(w, &w->asker.end_count, 1);
    assert_true(w->asker.line_count >= 40000);
}

static void an_asker_may_go_away_or_ask_again(void **state)
{
    struct world *w = *state;

    tell_many(w);
    w->asker.pause = true;
    ask(w, "@x.example");
    wait_for(w, &w->asker.lines_count, 1);
    disconnect_peer(w, &w->asker);
    turns(w, 10);
    connect_peer(w, &w->asker, CONTROL);
    ask(w, "@x.example");
    wait_for(w, &w->asker.lines_count, 1);
    ask_and_wait(w, "user7@x.example"); /* ends the first */
    assert_int_equal(w->asker.end_count, 1);
    assert_int_equal(w->asker.end_total, 100);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(events_are_taken_once_and_told),
        STORY(a_batch_said_again_after_a_restart_is_acknowledged),
        STORY(a_flood_of_notes_is_counted_not_kept),
        STORY(a_slow_asker_holds_nobody_up),
        STORY(an_asker_may_go_away_or_ask_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
