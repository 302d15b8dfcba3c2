// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

static void delays_follow_the_schedule(void **state)
{
    struct config *c = fake_config(1);
    for (uint32_t failures = 0; failures < 20; failures++) {
        size_t index = MIN_OF(failures > 0 ? failures - 1U : 0U, c->retry_count - 1);
        uint64_t wanted = c->retry_us[index];
        for (uint64_t seed = 0; seed < 200; seed++) {
            uint64_t delay = retry_delay_us(c, failures, seed);
            assert_in_range(delay, wanted - wanted / 10, wanted + wanted / 10);
            assert_int_equal(delay, retry_delay_us(c, failures, seed));
        }
    }
    config_drop(&c);
}

static void delays_are_spread(void **state)
{
    struct config *c = fake_config(1);
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        uint64_t delay = retry_delay_us(c, 1, seed);
        least = MIN_OF(least, delay);
        most = MAX_OF(most, delay);
    }
    assert_true(least < c->retry_us[0] - c->retry_us[0] / 12);
    assert_true(most > c->retry_us[0] + c->retry_us[0] / 12);
    config_drop(&c);
}

/* One that was idle may be forgotten by the spool and come back under another id. */
static void row_with_a_new_id_counts(void **state)
{
    struct world *w = *state;
    struct spool_destination row = {
        .id = 7, .transport = TRANSPORT_RELAY, .next_hop = STR("x.test:25")};
    struct destination *d = destination_of_row(w->q, &row);
    d->window = 9;
    d->cursor.key = 5;
    destination_rest(w->q, d);
    assert_null(destination_get(w->q, TRANSPORT_RELAY, STR("x.test:25"))); /* no such row */
    row.id = 8;
    assert_ptr_equal(destination_of_row(w->q, &row), d);
    assert_int_equal(d->id, 8);
    assert_int_equal(d->cursor.key, 0);
    assert_int_equal(d->window, 9);
}

static void idle_ones_are_bounded(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 0; i < DESTINATIONS_IDLE_MAX + 100; i++) {
        struct arena a = ARENA_INIT;
        struct spool_destination row = {.id = i + 1,
                                        .transport = TRANSPORT_LOCAL,
                                        .next_hop = arena_printf(&a, "x/%d", (int)i)};
        destination_rest(w->q, destination_of_row(w->q, &row));
        arena_free(&a);
    }
    assert_int_equal(map_count(w->q->destinations.by_name), DESTINATIONS_IDLE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_follow_the_schedule),
        cmocka_unit_test(delays_are_spread),
        IN_A_WORLD(row_with_a_new_id_counts),
        IN_A_WORLD(idle_ones_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
