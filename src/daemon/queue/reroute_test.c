// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

/* Rows that went to an old next hop, as if an earlier configuration had sent them there. */
static struct id put_old(struct world *w, const char *address)
{
    struct recipient one = {.address = str_c(address),
                            .target = {.transport = TRANSPORT_RELAY,
                                       .next_hop = STR("old.test:25"),
                                       .address = str_c(address),
                                       .why = STR("the old configuration")}};
    struct envelope e = {.sender = STR("a@b.test"), .recipients = &one, .recipient_count = 1};
    struct buf bytes = buf_init(KIB);
    envelope_encode(&bytes, &e);
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = ++w->ticket,
                                                 .flags = PUT_BEGIN | PUT_END,
                                                 .envelope = buf_str(&bytes),
                                                 .content = CONTENT});
    buf_free(&bytes);
    turn(w);
    union message *m = told(w->smtpd, MSG_PUT_DONE);
    return (struct id){.key = m->put_done.key, .node = m->put_done.node};
}

static void assert_hop(struct world *w, struct id id, const char *next_hop)
{
    struct arena a = ARENA_INIT;
    struct spool_recipient row;
    assert_int_equal(rows_of(w, id, &a, &row, 1), 1);
    assert_true(str_eq_c(row.next_hop, next_hop));
    arena_free(&a);
}

static void reload_moves_what_goes_elsewhere(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->relay->data)->slots = 0;
    struct id moved = put_old(w, "bill@new.test");
    struct id refused = put_old(w, "nobody@new.test");
    struct id unknown = put_old(w, "later@new.test");
    struct id same = put_old(w, "bill@old.test");
    size_t asked = w->router->count;

    queue_config(w->q, fake_config(1)); /* nothing has changed */
    turn(w);
    assert_int_equal(w->router->count, asked);
    queue_config(w->q, fake_config(2));
    turn(w);
    assert_hop(w, moved, "new.test:25");
    assert_hop(w, refused, "old.test:25");
    assert_hop(w, unknown, "old.test:25");
    assert_hop(w, same, "old.test:25");
    assert_int_equal(events_with(w, "event=rerouted"), 1);
    queue_slots(w->relay->data, 10);
    turn(w);
    assert_int_equal(told_count(w->relay, MSG_JOB), 4);
}

static void many_are_asked_in_pages(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->relay->data)->slots = 0;
    for (int i = 0; i < 3 * REROUTE_PAGE / 2; i++)
        put_old(w, "bill@new.test");
    w->router_silent = true;
    size_t before = w->router->count;
    queue_config(w->q, fake_config(2));
    turn(w);
    assert_int_equal(w->router->count - before, REROUTE_PAGE);
    /* A router that dies is asked the same again when it is back. */
    peer_down(w, &w->router);
    w->router = peer_up(w, ROUTER);
    turn(w);
    assert_int_equal(told_count(w->router, MSG_ROUTE_ASK), REROUTE_PAGE);
    w->router_silent = false;
    for (int i = 0; i < 4; i++)
        turn(w);
    assert_int_equal(events_with(w, "event=rerouted"), 3 * REROUTE_PAGE / 2);
    /* It is done: a restart does not ask again. */
    queue_end(w);
    queue_begin(w);
    queue_config(w->q, fake_config(2));
    peers_begin(w);
    turn(w);
    assert_int_equal(w->router->count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(reload_moves_what_goes_elsewhere),
        IN_A_WORLD(many_are_asked_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
