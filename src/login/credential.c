// SPDX-License-Identifier: ISC
#include "login/credential.h"

#include <assert.h>
#include <errno.h>
#include <gsasl.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"

enum { SALT_BYTES = 16 };

static_assert(sizeof((struct scram_keys){0}.stored_key) >= GSASL_HASH_MAX_SIZE, "any hash fits");

static int random_bytes(void *to, size_t n)
{
    return getrandom(to, n, 0) == (ssize_t)n ? 0 : -EIO; /* up to 256 are never cut short */
}

static int make_keys(Gsasl_hash hash, const char *prepared, struct scram_keys *ret)
{
    char salted[GSASL_HASH_MAX_SIZE], client_key[GSASL_HASH_MAX_SIZE];
    struct scram_keys k = {.set = true, .iterations = SCRAM_ITERATIONS, .salt_n = SALT_BYTES};
    int error = random_bytes(k.salt, k.salt_n);
    if (error < 0)
        return error;
    int rc = gsasl_scram_secrets_from_password(hash, prepared, k.iterations, (const char *)k.salt,
                                               k.salt_n, salted, client_key, (char *)k.server_key,
                                               (char *)k.stored_key);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
    if (rc != GSASL_OK)
        return rc == GSASL_MALLOC_ERROR ? -ENOMEM : -EIO;
    *ret = k;
    return 0;
}

int credential_make(struct str password, bool cram, struct credential *ret)
{
    struct prepared_password prepared;
    struct credential c = {.enabled = true};
    if (password_prepare(password, &prepared))
        return -EINVAL;
    int error = password_hash(password, c.password);
    if (error == 0)
        error = make_keys(GSASL_HASH_SHA1, prepared.text, &c.sha1);
    if (error == 0)
        error = make_keys(GSASL_HASH_SHA256, prepared.text, &c.sha256);
    if (error == 0 && cram)
        memcpy(c.cram_secret, prepared.text, sizeof c.cram_secret);
    if (error == 0)
        *ret = c;
    explicit_bzero(&prepared, sizeof prepared);
    credential_wipe(&c);
    return error;
}

void credential_wipe(struct credential *c)
{
    explicit_bzero(c, sizeof *c);
}

bool password_matches(const struct credential *c, struct str password)
{
    return password_hash_matches(c->password, password) && c->enabled;
}
