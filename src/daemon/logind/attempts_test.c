/* logind/attempts_test.c - how long who failed waits, with a clock that the test moves. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/logind/attempts.h"

struct fixture {
    struct clock clock; /* first */
    uint64_t now_us;
    char folder[64], path[96];
    struct attempts *a;
};

static uint64_t now(const struct clock *c)
{
    return ((const struct fixture *)(const void *)c)->now_us;
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(sizeof *f);

    f->clock = (struct clock){.now_us = now, .monotonic_us = now};
    f->now_us = UINT64_C(1795197850000000);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/troika-attempts-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    (void)snprintf(f->path, sizeof f->path, "%s/attempts.db", f->folder);
    f->a = attempts_new(f->folder, &f->clock);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    attempts_free(&f->a);
    (void)unlink(f->path);
    int rc = rmdir(f->folder);
    free(f);
    return rc;
}

static void fail_times(struct fixture *f, const char *login, const char *client, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(attempts_failed(f->a, str_c(login), str_c(client)), 0);
}

static int64_t pause_s(struct fixture *f, const char *login, const char *client)
{
    return attempts_pause_s(f->a, str_c(login), str_c(client));
}

static void an_account_waits_longer_each_time(void **state)
{
    struct fixture *f = *state;
    static const int64_t pauses[] = {0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900};

    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 0);
    for (size_t i = 0; i < countof(pauses); i++) {
        fail_times(f, "a@x.test", "127.0.0.1", 1);
        assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), pauses[i]);
        assert_int_equal(pause_s(f, "b@x.test", "192.0.2.1"), 0);
    }
    f->now_us += 100 * US_PER_S;
    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 800);
    f->now_us += 800 * US_PER_S;
    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 0);
    fail_times(f, "a@x.test", "127.0.0.1", 40); /* the count has no end that wraps */
    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 900);
}

static void success_forgets_the_account_only(void **state)
{
    struct fixture *f = *state;

    fail_times(f, "a@x.test", "192.0.2.1", 21);
    assert_int_equal(attempts_succeeded(f->a, STR("a@x.test")), 0);
    assert_int_equal(pause_s(f, "a@x.test", "198.51.100.1"), 0);
    assert_int_equal(pause_s(f, "b@x.test", "192.0.2.1"), 2); /* its network */
}

static void networks(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *client;
        bool waits;
    } rows[] = {
        {"192.0.2.77", true},
        {"192.0.3.1", false},
        {"2001:db8::77", true},
        {"2001:db8:0:0:9::1", true},
        {"2001:db8:0:1::1", false},
        {"127.0.0.1", false},
        {"::1", false},
        {"local", false},
        {"999.0.0.1", false},
        {"", false},
    };
    char login[32];

    for (int i = 0; i < 25; i++) { /* others each time */
        (void)snprintf(login, sizeof login, "a%d@x.test", i);
        fail_times(f, login, "192.0.2.1", 1);
        fail_times(f, login, "2001:db8::1", 1);
        fail_times(f, login, "127.0.0.1", 1);
        fail_times(f, login, "::1", 1);
    }
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(pause_s(f, "z@x.test", rows[i].client), rows[i].waits ? 32 : 0);
}

static void others_see_it_and_so_does_the_next_life(void **state)
{
    struct fixture *f = *state;
    struct attempts *other = attempts_new(f->folder, &f->clock);
    uint8_t secret[ATTEMPTS_SECRET_BYTES], again[ATTEMPTS_SECRET_BYTES];

    fail_times(f, "a@x.test", "192.0.2.1", 6);
    assert_int_equal(attempts_pause_s(other, STR("a@x.test"), STR("192.0.2.1")), 2);
    assert_int_equal(attempts_secret(other, secret), 0);
    attempts_free(&other);
    attempts_free(&f->a);
    f->a = attempts_new(f->folder, &f->clock);
    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 2);
    assert_int_equal(attempts_secret(f->a, again), 0);
    assert_memory_equal(secret, again, sizeof secret);
}

static void a_day_without_failure_is_forgotten(void **state)
{
    struct fixture *f = *state;

    fail_times(f, "a@x.test", "192.0.2.1", 10);
    f->now_us += UINT64_C(25) * 3600 * US_PER_S;
    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 0);
    fail_times(f, "a@x.test", "192.0.2.1", 4); /* counted from one again */
    assert_int_equal(pause_s(f, "a@x.test", "192.0.2.1"), 0);
}

static void a_clock_set_back_is_no_prison(void **state)
{
    struct fixture *f = *state;

    fail_times(f, "a@x.test", "127.0.0.1", 6);
    f->now_us -= UINT64_C(3600) * US_PER_S;
    assert_int_equal(pause_s(f, "a@x.test", "127.0.0.1"), 2);
}

static void a_broken_file_is_made_anew(void **state)
{
    struct fixture *f = *state;
    static const char garbage[] = "this is no database, whatever its name may be. ............";
    int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, garbage, sizeof garbage), sizeof garbage);
    (void)close(fd);
    assert_int_equal(pause_s(f, "a@x.test", "127.0.0.1"), 0);
    fail_times(f, "a@x.test", "127.0.0.1", 5);
    assert_int_equal(pause_s(f, "a@x.test", "127.0.0.1"), 1);
}

static void a_folder_that_is_gone_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct attempts *nowhere = attempts_new("/nonexistent", &f->clock);
    uint8_t secret[ATTEMPTS_SECRET_BYTES];

    assert_true(attempts_pause_s(nowhere, STR("a@x.test"), STR("192.0.2.1")) < 0);
    assert_true(attempts_failed(nowhere, STR("a@x.test"), STR("192.0.2.1")) < 0);
    assert_true(attempts_secret(nowhere, secret) < 0);
    attempts_free(&nowhere);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_account_waits_longer_each_time),
        CASE(success_forgets_the_account_only),
        CASE(networks),
        CASE(others_see_it_and_so_does_the_next_life),
        CASE(a_day_without_failure_is_forgotten),
        CASE(a_clock_set_back_is_no_prison),
        CASE(a_broken_file_is_made_anew),
        CASE(a_folder_that_is_gone_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
