/* listen/sink_all_test.c - every sequence of so many events, with and without orders: sink_check holds
 * after each step, every message that begins is told to be over, nothing is taken without its end. */
// SPDX-License-Identifier: ISC
#include "outward/listen/test_judge.h"
#include "outward/listen/test_sink.h"

enum { EVENTS_DEEP = 4 };

static const char *const events[] = {
    "EHLO a.test\r\n",
    "MAIL FROM:<a@b.test>\r\n",
    "RCPT TO:<c@d.test>\r\n",
    "DATA\r\n",
    "x: y\r\n.\r\n",
    "BDAT 3\r\nabc",
    "BDAT 0 LAST\r\n",
    "RSET\r\n",
    "STARTTLS\r\n",
    "AUTH LOGIN\r\n",
    "*\r\n",
    "\n",
};

static const char *const orders[] = {
    "",
    "any/every:2=451",
    "any/every:3=421",
    "dot=cut",
    "dot=delay:1s",
    "content=cut-after:2",
    "data=250;mail/every:2=354",
    "any/every:4=half",
};

static void run(size_t number, const char *rules, bool lmtp)
{
    struct test_sink t;

    test_sink_open(&t, NULL, rules, lmtp, "");
    sink_begin(t.sink, false);
    test_sink_say(&t);
    for (size_t i = 0; i < EVENTS_DEEP; i++, number /= countof(events)) {
        const char *event = events[number % countof(events)];

        test_sink_feed(&t, str_c(lmtp && event[0] == 'E' ? "LHLO a.test\r\n" : event));
    }
    sink_over(t.sink, SINK_END_CLIENT, 0);
    assert_int_equal(t.begun, t.over);
    assert_false(t.said.full);
    test_sink_close(&t);
}

static void test_every_sequence(void **state)
{
    size_t all = 1;

    for (size_t i = 0; i < EVENTS_DEEP; i++)
        all *= countof(events);
    for (size_t k = 0; k < countof(orders); k++)
        for (size_t number = 0; number < all; number += k == 0 ? 1 : 3)
            run(number, orders[k], number % 5 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_sequence)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
