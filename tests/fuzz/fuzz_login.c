/* fuzz_login.c - a SASL exchange with logind's side: whatever the client responds, it ends, with a
 * legal reply; who gets in is the account whose password was said, and nobody without trying.
 *
 * The first byte chooses the mechanism; then come the responses, each with its length before it. */
// links: base io mail config ipc login daemon/logind
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "daemon/logind/fake_accounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 8 };

static const char *const mechanisms[] = {
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "EXTERNAL",
    "NONE",
};

static struct fake_accounts f;

static struct str cut(struct str *rest)
{
    size_t n = rest->n > 0 ? (uint8_t)rest->p[0] : 0;
    struct str response = str_sub(*rest, 1, 1 + n);

    *rest = str_skip(*rest, 1 + n);
    return response;
}

static void check_end(const struct exchange_answer *a)
{
    check((a->why == NULL) == status_done(&a->status));
    check(a->login.n <= ADDRESS_BYTES_MAX);
    if (status_done(&a->status))
        check(a->status.code == 235 && (str_eq_c(a->login, "bob@example.test") ||
                                        str_eq_c(a->login, "hashed@example.test")));
    else
        check(a->status.code >= 400 && a->status.code <= 599);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exchange_answer a = {0};

    if (size < 2)
        return 0;
    if (!f.all)
        fake_accounts_init(&f);
    f.failed_count = f.succeeded_count = f.matched_count = 0;

    struct str rest = str_n((const char *)data + 1, size - 1);
    struct exchange *x = exchange_new(
        f.all, &(struct exchange_begin){
                   .mechanism = str_c(mechanisms[(data[0] & 0x7f) % countof(mechanisms)]),
                   .client = STR("192.0.2.1"),
                   .binding = data[0] & 0x80 ? STR("0123456789abcdef") : STR_NONE,
                   .certificate = data[0] & 0x80 ? STR("bob@example.test") : STR_NONE});

    for (size_t i = 0; i < STEPS_MAX && !a.done; i++) {
        struct str response = cut(&rest);

        fake_step(&f, x, i > 0 || response.n > 0, response, &a);
        check(a.done || a.challenge.n < 4096);
    }
    if (a.done)
        check_end(&a);
    else
        check(false); /* an exchange that has no end */
    check(f.failed_count + f.succeeded_count <= 1 && f.matched_count <= 1);
    exchange_free(&x);
    return 0;
}
