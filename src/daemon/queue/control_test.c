// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

struct answer {
    size_t lines, packets;
    uint64_t count;
    uint8_t class;
    bool ended;
    struct buf text;
};

static struct answer ask(struct world *w, enum question question, enum queue_act act,
                         const char *text)
{
    struct answer a = {.text = buf_init(4 * MIB)};
    channel_forget(w->control);
    control_ask(w->control->data, question, act, str_c(text));
    for (int i = 0; i < 100 && !a.ended; i++) {
        turn(w);
        for (; w->control->first < w->control->count; w->control->first++) {
            union message *m = &w->control->sent[w->control->first]->m;
            if (m->kind == MSG_END) {
                a.ended = true;
                a.count = m->end.count;
                a.class = m->end.status.class;
            } else {
                a.packets++;
                struct str rest = m->lines.lines;
                while (rest.n > 0) {
                    buf_add(&a.text, str_cut(&rest, '\n'));
                    buf_add_char(&a.text, '\n');
                    a.lines++;
                }
            }
        }
    }
    assert_true(a.ended);
    return a;
}

static void expect(struct world *w, enum question question, enum queue_act act, const char *text,
                   uint64_t count, uint8_t class)
{
    struct answer a = ask(w, question, act, text);
    assert_int_equal(a.count, count);
    assert_int_equal(a.class, class);
    buf_free(&a.text);
}

static void no_slots(struct world *w)
{
    ((struct peer *)w->relay->data)->slots = 0;
    ((struct peer *)w->local->data)->slots = 0;
}

static void list_selects(void **state)
{
    struct world *w = *state;
    no_slots(w);
    struct id id = put(w, "alice@b.test", "bill@x.test carl@y.test");
    put(w, "alan@b.test", "bill@y.test");
    const struct {
        const char *text;
        uint64_t count;
        uint8_t class;
    } table[] = {
        {"", 3, 2},
        {id_print(id).p, 2, 2},
        {"bill@x.test", 1, 2},
        {"BILL@X.test", 1, 2},
        {"@y.test", 2, 2},
        {"@B.test", 3, 2},
        {"alice@b.test", 2, 2},
        {"zoe@x.test", 0, 2},
        {"000000000000000", 0, 2},
    };
    for (size_t i = 0; i < countof(table) - 1; i++)
        expect(w, ASK_LIST, ACT_COUNT, table[i].text, table[i].count, table[i].class);
    struct answer a = ask(w, ASK_LIST, ACT_COUNT, "bill@x.test");
    struct str line = buf_str(&a.text);
    struct buf scratch = buf_init(KIB);
    static const char *const pairs[][2] = {{"state", "queued"},
                                           {"from", "<alice@b.test>"},
                                           {"to", "<bill@x.test>"},
                                           {"via", "relay:x.test:25"},
                                           {"attempts", "0"},
                                           {"size", "40"},
                                           {"n", "1"},
                                           {"last", ""}};
    for (size_t i = 0; i < countof(pairs); i++) {
        struct str value;
        assert_true(line_get(line, pairs[i][0], &value, &scratch));
        assert_true(str_eq_c(value, pairs[i][1]));
    }
    buf_free(&scratch);
    buf_free(&a.text);
}

static void list_says_what_is_active(void **state)
{
    struct world *w = *state;
    put(w, "a@b.test", "bill@x.test");
    struct answer a = ask(w, ASK_LIST, ACT_COUNT, "");
    assert_true(str_find_str(buf_str(&a.text), STR("state=active")) < a.text.n);
    buf_free(&a.text);
}

static void long_listing_waits_for_its_reader(void **state)
{
    struct world *w = *state;
    no_slots(w);
    for (int i = 0; i < 2000; i++)
        put_named(w, "a@b.test", "bill@x.test", CONTENT);
    turn(w);
    channel_forget(w->smtpd);
    channel_forget(w->control);
    control_ask(w->control->data, ASK_LIST, ACT_COUNT, STR_NONE);
    w->control->full = true;
    for (int i = 0; i < 10; i++)
        turn(w);
    assert_int_equal(w->control->count, 0); /* nothing is made for one who does not read */
    w->control->full = false;
    queue_peer_room(w->q, w->control);
    for (int i = 0; i < 20; i++)
        turn(w);
    union message *end = told(w->control, MSG_END);
    assert_non_null(end);
    assert_int_equal(end->end.count, 2000);
    assert_in_range(w->control->count, 5, 20); /* packets of about 64 KiB */
}

static void asker_that_leaves_is_forgotten(void **state)
{
    struct world *w = *state;
    no_slots(w);
    for (int i = 0; i < 500; i++)
        put_named(w, "a@b.test", "bill@x.test", CONTENT);
    turn(w);
    control_ask(w->control->data, ASK_LIST, ACT_COUNT, STR_NONE);
    control_ask(w->control->data, ASK_ACT, ACT_HOLD, STR_NONE); /* ends the one before */
    loop_turn(w->worker.loop, false);
    peer_down(w, &w->control);
    turn(w);
}

static void hold_release_retry_remove(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "a@b.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_LATER, false);
    expect(w, ASK_ACT, ACT_HOLD, "bill@x.test", 1, 2);
    expect(w, ASK_ACT, ACT_HOLD, "bill@x.test", 0, 2); /* is already */
    pass(w, 600 * US_PER_S);
    assert_null(next_job(w->relay));
    expect(w, ASK_ACT, ACT_RELEASE, "@x.test", 1, 2);
    turn(w);
    struct msg_job *job = next_job(w->relay);
    assert_non_null(job);
    expect(w, ASK_ACT, ACT_REMOVE, "", 0, 2); /* is being delivered: left alone */
    finish_job(w, w->relay, job, ST_LATER, false);
    assert_null(next_job(w->relay));
    expect(w, ASK_ACT, ACT_RETRY, id_print(id).p, 1, 2);
    job = next_job(w->relay);
    assert_non_null(job);
    finish_job(w, w->relay, job, ST_LATER, false);
    expect(w, ASK_ACT, ACT_REMOVE, id_print(id).p, 1, 2);
    assert_int_equal(row_count(w, id), 0);
    expect(w, ASK_ACT, ACT_REMOVE, id_print(id).p, 0, 5); /* no such message any more */
    static const char *const events[] = {"event=held", "event=released", "event=retry",
                                         "event=removed"};
    for (size_t i = 0; i < countof(events); i++)
        assert_int_equal(events_with(w, events[i]), 1);
}

static void retry_tries_a_dead_destination(void **state)
{
    struct world *w = *state;
    put(w, "a@b.test", "bill@dead.test");
    finish_job(w, w->relay, next_job(w->relay), ST_DEAD, true);
    assert_null(next_job(w->relay));
    struct answer a = ask(w, ASK_LIST, ACT_COUNT, "");
    assert_true(str_find_str(buf_str(&a.text), STR("connection refused")) < a.text.n);
    buf_free(&a.text);
    expect(w, ASK_ACT, ACT_RETRY, "", 1, 2);
    assert_non_null(next_job(w->relay));
}

static void act_on_many_goes_by_pages(void **state)
{
    struct world *w = *state;
    no_slots(w);
    for (int i = 0; i < 1000; i++)
        put_named(w, "a@b.test", "bill@x.test", CONTENT);
    turn(w);
    channel_forget(w->smtpd);
    expect(w, ASK_ACT, ACT_REMOVE, "", 1000, 2);
    struct spool_counts counts;
    assert_int_equal(spool_counts(w->q->spool, &counts), 0);
    assert_int_equal(counts.message_count, 0);
}

static void show_tells_a_message(void **state)
{
    struct world *w = *state;
    no_slots(w);
    struct id id = put(w, "a@b.test", "bill@x.test carl@y.test");
    struct answer a = ask(w, ASK_SHOW, ACT_COUNT, id_print(id).p);
    assert_int_equal(a.class, 2);
    static const char *const wanted[] = {"expires=", "client=", "Subject: hello",
                                         "Received: by test", "to=<carl@y.test>"};
    for (size_t i = 0; i < countof(wanted); i++)
        assert_true(str_find_str(buf_str(&a.text), str_c(wanted[i])) < a.text.n);
    buf_free(&a.text);
    expect(w, ASK_SHOW, ACT_COUNT, "bill@x.test", 0, 5);
}

static void events_that_history_does_not_have(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "a@b.test", "bill@x.test");
    expect(w, ASK_EVENTS, ACT_COUNT, "", 1, 2);
    expect(w, ASK_EVENTS, ACT_COUNT, id_print(id).p, 1, 2);
    expect(w, ASK_EVENTS, ACT_COUNT, "bill@x.test", 1, 2);
    expect(w, ASK_EVENTS, ACT_COUNT, "@b.test", 1, 2);
    expect(w, ASK_EVENTS, ACT_COUNT, "carl@x.test", 0, 2);
    union message *m = told(w->history, MSG_EVENTS);
    assert_non_null(m);
    events_taken(w->q, m->events.number);
    pass(w, 2 * US_PER_S);
    expect(w, ASK_EVENTS, ACT_COUNT, "", 0, 2);
}

static void new_history_is_told_again(void **state)
{
    struct world *w = *state;
    put(w, "a@b.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    assert_int_equal(told_count(w->history, MSG_EVENTS), 2);
    peer_down(w, &w->history);
    w->history = peer_up(w, HISTORY);
    turn(w);
    assert_int_equal(told_count(w->history, MSG_EVENTS), 2);
}

/* --ask: the server is down, nothing is scheduled, questions work. */
static void asked_without_a_server(void **state)
{
    struct world *w = *state;
    no_slots(w);
    struct id id = put(w, "a@b.test", "bill@x.test");
    queue_end(w);
    queue_begin(w);
    w->control = peer_up(w, CONTROL);
    expect(w, ASK_LIST, ACT_COUNT, "", 1, 2);
    expect(w, ASK_ACT, ACT_REMOVE, id_print(id).p, 1, 2);
    expect(w, ASK_LIST, ACT_COUNT, "", 0, 2);
    queue_end(w);
    queue_begin(w);
    assert_int_equal(row_count(w, id), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(list_selects),
        IN_A_WORLD(list_says_what_is_active),
        IN_A_WORLD(long_listing_waits_for_its_reader),
        IN_A_WORLD(asker_that_leaves_is_forgotten),
        IN_A_WORLD(hold_release_retry_remove),
        IN_A_WORLD(retry_tries_a_dead_destination),
        IN_A_WORLD(act_on_many_goes_by_pages),
        IN_A_WORLD(show_tells_a_message),
        IN_A_WORLD(events_that_history_does_not_have),
        IN_A_WORLD(new_history_is_told_again),
        IN_A_WORLD(asked_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
