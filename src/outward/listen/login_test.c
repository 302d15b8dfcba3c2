/* listen/login_test.c - the sink's side of AUTH, against the client's side of src/sasl. */
// SPDX-License-Identifier: ISC
#include "outward/listen/login.h"

#include "outward/listen/test_judge.h"
#include "sasl/sasl.h"

/* The last step of a whole exchange; the user is left in *user. */
static enum login_step exchange(const char *mechanism, const char *password, const char *wanted,
                                bool initial, struct buf *user)
{
    bool token = mechanism[0] == 'X' || mechanism[0] == 'O';
    struct sasl_login who = {.user = STR("bob@example.org"),
                             .password = token ? STR_NONE : str_c(password),
                             .token = token ? str_c(password) : STR_NONE,
                             .mechanism = str_c(mechanism)};
    struct sasl_channel channel = {
        .service = "smtp", .host = STR("sink.test"), .port = 25, .secured = true};
    struct buf challenge = buf_init(LOGIN_MESSAGE_BYTES_MAX);
    struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct login *l = login_new(login_mechanism_find(str_c(mechanism)), str_c(wanted));
    struct sasl *s = NULL;
    enum login_step step = LOGIN_CHALLENGE;

    assert_non_null(l);
    assert_int_equal(sasl_new(mechanism, &who, &channel, &s), 0);
    if (initial && sasl_client_first(s)) {
        assert_int_equal(sasl_step(s, STR_NONE, &response), SASL_SAY);
        step = login_step(l, true, buf_str(&response), &challenge);
    } else {
        step = login_step(l, false, STR_NONE, &challenge);
    }
    for (int i = 0; i < 10 && step == LOGIN_CHALLENGE; i++) {
        if (sasl_step(s, buf_str(&challenge), &response) == SASL_REFUSE)
            buf_reset(&response);
        step = login_step(l, true, buf_str(&response), &challenge);
    }
    buf_reset(user);
    buf_add(user, login_user(l));
    sasl_free(&s);
    login_free(&l);
    buf_free(&challenge);
    buf_free(&response);
    return step;
}

static void test_every_mechanism(void **state)
{
    static const struct {
        const char *name;
        bool any;
    } mechanisms[] = {{"PLAIN", true},         {"LOGIN", true},     {"XOAUTH2", true},
                      {"OAUTHBEARER", true},   {"CRAM-MD5", false}, {"SCRAM-SHA-1", false},
                      {"SCRAM-SHA-256", false}};
    struct buf user = buf_init(512);

    for (size_t i = 0; i < countof(mechanisms); i++) {
        const char *name = mechanisms[i].name;

        for (int initial = 0; initial < 2; initial++) {
            assert_int_equal(exchange(name, "secret", "secret", initial, &user), LOGIN_GOOD);
            assert_string_equal(buf_c(&user), "bob@example.org");
            assert_int_not_equal(exchange(name, "wrong", "secret", initial, &user), LOGIN_GOOD);
        }
        if (mechanisms[i].any)
            assert_int_equal(exchange(name, "whatever", "", true, &user), LOGIN_GOOD);
        else
            assert_null(login_new(login_mechanism_find(str_c(name)), STR_NONE));
    }
    buf_free(&user);
}

static void test_nonsense(void **state)
{
    static const struct {
        const char *mechanism, *response;
        size_t n;
        enum login_step step;
    } rows[] = {
        {"PLAIN", "", 0, LOGIN_CHALLENGE},
        {"PLAIN", "no zeros", 8, LOGIN_MALFORMED},
        {"XOAUTH2", "user=", 5, LOGIN_MALFORMED},
        {"XOAUTH2", "user=bob\1auth=Basic x\1\1", 23, LOGIN_MALFORMED},
        {"XOAUTH2", "user=bob\1auth=Bearer x\1\1", 24, LOGIN_GOOD},
        {"OAUTHBEARER", "user=bob\1auth=Bearer x\1\1", 24, LOGIN_MALFORMED},
        {"OAUTHBEARER", "n,,\1auth=Bearer x\1\1", 19, LOGIN_GOOD},
        {"OAUTHBEARER", "n,b=x,\1auth=Bearer x\1\1", 22, LOGIN_MALFORMED},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct login *l = login_new(login_mechanism_find(str_c(rows[i].mechanism)), STR_NONE);
        struct buf challenge = buf_init(LOGIN_MESSAGE_BYTES_MAX);

        if (login_step(l, true, str_n(rows[i].response, rows[i].n), &challenge) != rows[i].step)
            fail_msg("row %zu", i);
        login_free(&l);
        buf_free(&challenge);
    }
    assert_null(login_mechanism_find(STR("GSSAPI")));
}

static void test_what_is_offered(void **state)
{
    struct buf list = buf_init(256);

    login_mechanisms(&list, false);
    assert_string_equal(buf_c(&list), "PLAIN LOGIN XOAUTH2 OAUTHBEARER");
    buf_reset(&list);
    login_mechanisms(&list, true);
    assert_string_equal(buf_c(&list),
                        "PLAIN LOGIN XOAUTH2 OAUTHBEARER CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256");
    buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mechanism),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_what_is_offered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
