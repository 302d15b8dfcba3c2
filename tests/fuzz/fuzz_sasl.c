/* fuzz_sasl.c - a server that challenges with anything: whatever it says, a client answers within
 * its limits or gives up, and believes nobody who has not shown that he knows the password.
 *
 * The first byte chooses the mechanism and the channel, each line of the rest is a challenge; "%N"
 * in it stands for the client's nonce, so that SCRAM gets beyond its first step. */
// links: base sasl
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/check.h"
#include "sasl/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 8 };

static const char *const names[] = {
    "PLAIN",   "LOGIN",       "CRAM-MD5",      "EXTERNAL",         "OAUTHBEARER",
    "XOAUTH2", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS",
};

/* Up to 99999 rounds of hashing a step would be no test of the grammar. */
static bool too_slow(struct str challenge)
{
    size_t at = str_find_str(challenge, STR("i="));
    size_t digits = 0;

    for (at += 2; at < challenge.n && char_is_digit(challenge.p[at]); at++)
        digits += digits > 0 || challenge.p[at] != '0';
    return digits == 5 || digits == 6 || digits == 7;
}

static void challenge_make(struct buf *to, struct str line, struct str said)
{
    size_t at = str_find_str(line, STR("%N"));
    size_t nonce = str_find_str(said, STR(",r="));

    buf_reset(to);
    buf_add(to, str_sub(line, 0, at));
    if (at == line.n)
        return;
    buf_add(to, str_skip(said, nonce + 3));
    buf_add(to, str_skip(line, at + 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sasl_login login = {
        .user = {"me@example.org", 14}, .password = {"pencil", 6}, .token = {"token", 5}};
    struct str in = str_n((const char *)data, size);
    struct sasl_channel channel = {.service = "smtp", .host = STR("mx.example"), .port = 587};
    struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct buf challenge = buf_init(2 * SASL_MESSAGE_BYTES_MAX);
    struct buf first = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct sasl *s;
    const char *why;

    if (size == 0)
        return 0;
    const char *name = names[data[0] % countof(names)];
    bool scram = name[0] == 'S';
    channel.secured = data[0] & 64;
    if (data[0] & 128)
        channel.binding = STR("0123456789abcdef");
    (void)sasl_choose(str_skip(in, 1), str_sub(in, 0, 10), &login, &channel, &why);
    check(sasl_new(name, &login, &channel, &s) == 0);
    in = str_skip(in, 1);
    if (sasl_client_first(s)) {
        check(sasl_step(s, STR_NONE, &response) == SASL_SAY ||
              (channel.binding.n == 0 && str_ends(str_c(name), STR("-PLUS"))));
        buf_add(&first, buf_str(&response));
    }
    for (size_t i = 0; i < STEPS_MAX && in.n > 0; i++) {
        challenge_make(&challenge, str_cut(&in, '\n'), buf_str(&first));
        if (too_slow(buf_str(&challenge)))
            break;
        if (sasl_step(s, buf_str(&challenge), &response) == SASL_REFUSE)
            break;
        check(!response.full && i < STEPS_MAX - 1);
    }
    check(!scram || !sasl_accepted(s)); /* nobody guesses a signature */
    check(sasl_server_error(s).n <= SASL_MESSAGE_BYTES_MAX);
    sasl_free(&s);
    buf_free(&response);
    buf_free(&challenge);
    buf_free(&first);
    return 0;
}
