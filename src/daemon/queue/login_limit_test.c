// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"
#include "mail/usage.h"

#define MINUTE_US (60 * US_PER_S)

/* 5 messages an hour, 4 recipients an hour, 9 a day. */
static void limit_all(struct world *w)
{
    static struct rate messages[] = {{5, 3600 * US_PER_S}};
    static struct rate recipients[] = {{4, 3600 * US_PER_S}, {9, 24 * 3600 * US_PER_S}};

    w->q->config->login_messages = messages;
    w->q->config->login_message_count = countof(messages);
    w->q->config->login_recipients = recipients;
    w->q->config->login_recipient_count = countof(recipients);
}

static uint64_t last_ticket;

/* The answer to the question whether this hold may have so many recipients; "" is yes. */
static const char *ask(struct channel *smtpd, uint64_t hold, const char *account,
                       uint32_t recipients)
{
    login_limit_ask(smtpd->data, &(struct msg_limit_ask){.ticket = ++last_ticket,
                                                         .hold = hold,
                                                         .account = str_c(account),
                                                         .recipients = recipients});
    union message *m = told(smtpd, MSG_LIMIT_ANSWER);

    assert_non_null(m);
    assert_int_equal(m->limit_answer.ticket, last_ticket);
    if (m->limit_answer.status.class == 2)
        return "";
    assert_int_equal(m->limit_answer.status.code, 450);
    assert_int_equal(m->limit_answer.status.class * 100 + m->limit_answer.status.subject * 10 +
                         m->limit_answer.status.detail,
                     471);
    return m->limit_answer.status.text;
}

/* A message of that account to so many. */
static void put_by(struct channel *smtpd, uint64_t hold, const char *account, size_t recipients)
{
    struct arena a = ARENA_INIT;
    struct recipient list[16];
    struct buf bytes = buf_init(64 * KIB);

    for (size_t i = 0; i < recipients; i++) {
        struct str address = arena_printf(&a, "r%zu@x.test", i);

        list[i] = (struct recipient){.address = address, .target = fake_route(address, &a)};
    }
    envelope_encode(&bytes, &(struct envelope){.sender = STR("a@b.test"),
                                               .recipients = list,
                                               .recipient_count = recipients});
    intake_put(smtpd->data, &(struct msg_put){.ticket = ++last_ticket,
                                              .flags = PUT_BEGIN | PUT_END,
                                              .hold = hold,
                                              .account = str_c(account),
                                              .envelope = buf_str(&bytes),
                                              .prefix = STR("Received: x\r\n"),
                                              .content = STR("text\r\n")});
    buf_free(&bytes);
    arena_free(&a);
}

#define AN_HOUR "limit of 4 recipients an hour for alice@a.test reached; come back in "

static void recipients_of_an_hour(void **state)
{
    struct world *w = *state;
    limit_all(w);
    for (uint32_t i = 1; i <= 4; i++)
        assert_string_equal(ask(w->smtpd, 1, "alice@a.test", i), "");
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 5), AN_HOUR "60 minutes");
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 4), ""); /* what was promised stays */
    put_by(w->smtpd, 1, "alice@a.test", 4);
    turn(w);
    assert_int_equal(told(w->smtpd, MSG_PUT_DONE)->put_done.status.class, 2);
    login_limit_end(w->smtpd->data, 1); /* as smtpd does: nothing is given back twice */
    pass(w, 37 * MINUTE_US);
    assert_string_equal(ask(w->smtpd, 2, "Alice@A.test", 1), AN_HOUR "27 minutes");
    assert_string_equal(ask(w->smtpd, 3, "bob@a.test", 4), ""); /* another account */
    pass(w, 27 * MINUTE_US);
    assert_string_equal(ask(w->smtpd, 2, "alice@a.test", 4), "");
    put_by(w->smtpd, 2, "alice@a.test", 4);
    pass(w, 70 * MINUTE_US);
    assert_string_equal(ask(w->smtpd, 4, "alice@a.test", 2),
                        "limit of 9 recipients a day for alice@a.test reached; come back in 23 "
                        "hours");
    assert_string_equal(ask(w->smtpd, 4, "alice@a.test", 1), "");
}

static void messages_of_an_hour(void **state)
{
    struct world *w = *state;
    limit_all(w);
    w->q->config->login_recipient_count = 0;
    for (uint64_t hold = 1; hold <= 5; hold++)
        assert_string_equal(ask(w->smtpd, hold, "alice@a.test", 3), "");
    assert_string_equal(
        ask(w->smtpd, 6, "alice@a.test", 1),
        "limit of 5 messages an hour for alice@a.test reached; come back in 60 minutes");
    login_limit_end(w->smtpd->data, 3);
    assert_string_equal(ask(w->smtpd, 6, "alice@a.test", 1), "");
}

/* Two workers, and one of them ends. */
static void holds_are_of_all_workers(void **state)
{
    struct world *w = *state;
    struct channel *other = peer_up(w, SMTPD);
    limit_all(w);
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 2), "");
    assert_string_equal(ask(other, 1, "alice@a.test", 2), "");
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 3), AN_HOUR "60 minutes");
    peer_down(w, &other);
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 4), "");
}

static void counts_survive(void **state)
{
    struct world *w = *state;
    limit_all(w);
    put_by(w->smtpd, 0, "alice@a.test", 2); /* its hold was forgotten by an earlier queue */
    put_by(w->smtpd, 0, "alice@a.test", 1); /* in the same batch */
    turn(w);
    queue_end(w);
    queue_begin(w);
    peers_begin(w);
    limit_all(w);
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 2), AN_HOUR "64 minutes");
}

static void large_messages_count(void **state)
{
    struct world *w = *state;
    struct arena a = ARENA_INIT;
    struct str address = STR("bill@x.test");
    struct recipient one = {.address = address, .target = fake_route(address, &a)};
    struct buf bytes = buf_init(64 * KIB);
    limit_all(w);
    envelope_encode(
        &bytes,
        &(struct envelope){.sender = STR("a@b.test"), .recipients = &one, .recipient_count = 1});
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = 77,
                                                 .flags = PUT_BEGIN,
                                                 .account = STR("alice@a.test"),
                                                 .envelope = buf_str(&bytes),
                                                 .content = STR("text\r\n")});
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 4), "");
    login_limit_end(w->smtpd->data, 1);
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = 77,
                                                 .flags = PUT_END,
                                                 .account = STR("alice@a.test"),
                                                 .prefix = STR("Received: x\r\n")});
    turn(w);
    assert_int_equal(told(w->smtpd, MSG_PUT_DONE)->put_done.status.class, 2);
    assert_string_not_equal(ask(w->smtpd, 1, "alice@a.test", 4), "");
    buf_free(&bytes);
    arena_free(&a);
}

static void aliases_count_once(void **state)
{
    struct world *w = *state;
    struct arena a = ARENA_INIT;
    struct recipient list[3];
    struct buf bytes = buf_init(64 * KIB);
    limit_all(w);
    for (size_t i = 0; i < countof(list); i++)
        list[i] = (struct recipient){.address = i < 2 ? STR("staff@a.test") : STR("bob@a.test"),
                                     .target = fake_route(arena_printf(&a, "r%zu@x.test", i), &a)};
    envelope_encode(&bytes, &(struct envelope){.sender = STR("a@b.test"),
                                               .recipients = list,
                                               .recipient_count = countof(list)});
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = ++last_ticket,
                                                 .flags = PUT_BEGIN | PUT_END,
                                                 .account = STR("alice@a.test"),
                                                 .envelope = buf_str(&bytes),
                                                 .prefix = STR("Received: x\r\n")});
    turn(w);
    assert_string_equal(ask(w->smtpd, 1, "alice@a.test", 2), "");
    assert_string_not_equal(ask(w->smtpd, 1, "alice@a.test", 3), "");
    buf_free(&bytes);
    arena_free(&a);
}

static struct str listing(struct world *w, const char *which, struct arena *a)
{
    struct buf all = buf_init(64 * KIB);
    union message *m;

    control_ask(w->control->data, ASK_LIMITS, ACT_COUNT, str_c(which));
    for (int i = 0; i < 20 && told_count(w->control, MSG_END) == 0; i++)
        turn(w);
    while (w->control->first < w->control->count) {
        m = &w->control->sent[w->control->first++]->m;
        if (m->kind == MSG_LINES) {
            buf_add(&all, m->lines.lines);
            buf_add_char(&all, '\n');
        }
    }

    struct str copy = arena_copy(a, buf_str(&all));

    buf_free(&all);
    return copy;
}

static void people_are_told(void **state)
{
    struct world *w = *state;
    struct arena a = ARENA_INIT;
    limit_all(w);
    assert_int_equal(listing(w, "", &a).n, 0);
    put_by(w->smtpd, 0, "alice@a.test", 3);
    put_by(w->smtpd, 0, "bob@b.test", 4);
    turn(w);
    struct str all = listing(w, "", &a);
    assert_true(str_starts(all, STR("login=alice@a.test messages-hour=1 messages-hour-max=5 "
                                    "messages-day=1 recipients-hour=3 recipients-hour-max=4 "
                                    "recipients-day=3 recipients-day-max=9\nlogin=bob@b.test ")));
    assert_true(str_find_str(all, STR(" until=2026-")) < all.n); /* bob's */
    assert_true(str_starts(listing(w, "@b.test", &a), STR("login=bob@b.test ")));
    assert_int_equal(listing(w, "nobody@b.test", &a).n, 0);
    arena_free(&a);
}

/* What is older than a day is not kept. */
static void old_counts_go(void **state)
{
    struct world *w = *state;
    struct buf fact = buf_init(USAGE_BYTES_MAX);
    limit_all(w);
    put_by(w->smtpd, 0, "alice@a.test", 3);
    turn(w);
    assert_true(spool_fact(w->q->spool, LOGIN_USE_PREFIX "alice@a.test", &fact));
    queue_end(w); /* what is in memory is not swept */
    queue_begin(w);
    peers_begin(w);
    for (int i = 0; i < 3; i++)
        pass(w, 13 * 60 * MINUTE_US);
    assert_false(spool_fact(w->q->spool, LOGIN_USE_PREFIX "alice@a.test", &fact));
    buf_free(&fact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(recipients_of_an_hour),    IN_A_WORLD(messages_of_an_hour),
        IN_A_WORLD(holds_are_of_all_workers), IN_A_WORLD(counts_survive),
        IN_A_WORLD(large_messages_count),     IN_A_WORLD(aliases_count_once),
        IN_A_WORLD(people_are_told),          IN_A_WORLD(old_counts_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
