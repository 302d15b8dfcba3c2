/* What a login proves itself with: made, kept, found again, and for nobody else to read. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <gsasl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "login/credential.h"

static char folder[256], path[300];
static const struct address bill = {{"bill", 4}, {"a.test", 6}};

static int folder_make(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/troika-credential-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/credentials.db", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct credentials *opened(bool write)
{
    struct credentials *s = NULL;
    assert_int_equal(credentials_open(folder, write, &s), 0);
    return s;
}

static int find(struct credentials *s, struct credential *ret)
{
    return credentials_find(s, STR("Bill"), STR("A.Test"), ret);
}

static void assert_keys(const struct scram_keys *k, Gsasl_hash hash, size_t n, const char *password)
{
    char salted[32], client[32], server[32], stored[32];
    assert_true(k->set && k->salt_n >= 16 && k->iterations >= 4096);
    assert_int_equal(gsasl_scram_secrets_from_password(hash, password, k->iterations,
                                                       (const char *)k->salt, k->salt_n, salted,
                                                       client, server, stored),
                     GSASL_OK);
    assert_memory_equal(k->stored_key, stored, n);
    assert_memory_equal(k->server_key, server, n);
}

static void test_made(void **state)
{
    (void)state;
    struct credential c;
    assert_int_equal(credential_make(STR("I\xc2\xadX marks it"), false, &c), 0);
    assert_true(c.enabled);
    assert_true(password_matches(&c, STR("IX marks it")));
    assert_true(password_matches(&c, STR("I\xc2\xadX marks it")));
    assert_false(password_matches(&c, STR("IX marks it not")));
    assert_keys(&c.sha1, GSASL_HASH_SHA1, 20, "IX marks it");
    assert_keys(&c.sha256, GSASL_HASH_SHA256, 32, "IX marks it");
    assert_memory_not_equal(c.sha1.salt, c.sha256.salt, 16);
    assert_string_equal(c.cram_secret, "");
    c.enabled = false;
    assert_false(password_matches(&c, STR("IX marks it")));
    credential_wipe(&c);
    assert_false(password_matches(&c, STR("IX marks it")));
    assert_int_equal(credential_make(STR("I\xc2\xadX marks it"), true, &c), 0);
    assert_string_equal(c.cram_secret, "IX marks it");
    assert_int_equal(credential_make(STR("two\nlines of it"), true, &c), -EINVAL);
}

static void test_kept(void **state)
{
    (void)state;
    struct credentials *reader = opened(false), *writer;
    struct credential made, found;
    struct stat st;
    assert_int_equal(find(reader, &found), 0);
    assert_int_equal(access(path, F_OK), -1); /* a reader makes nothing */
    writer = opened(true);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(find(reader, &found), 0);

    assert_int_equal(credential_make(STR("tasty soup"), true, &made), 0);
    assert_int_equal(credentials_set(writer, &bill, &made), 0);
    memset(&found, 0xff, sizeof found);
    assert_int_equal(find(reader, &found), 1);
    assert_string_equal(found.password, made.password);
    assert_string_equal(found.cram_secret, "tasty soup");
    assert_memory_equal(found.sha1.stored_key, made.sha1.stored_key, 20);
    assert_memory_equal(found.sha256.server_key, made.sha256.server_key, 32);
    assert_int_equal(found.sha1.salt_n, made.sha1.salt_n);
    assert_true(found.enabled && found.sha1.set && found.sha256.set);

    struct credential hash_only = {.enabled = false,
                                   .password = "$1$whmAtrK7$rg5nBcRjdP1HqP5Rsrjm.."};
    assert_int_equal(credentials_set(writer, &bill, &hash_only), 0);
    assert_int_equal(find(reader, &found), 1);
    assert_memory_equal(&found.sha1, &hash_only.sha1, sizeof found.sha1);
    assert_false(found.enabled || found.sha1.set || found.sha256.set);
    assert_string_equal(found.cram_secret, "");

    assert_int_equal(credentials_remove(writer, &bill), 0);
    assert_int_equal(credentials_remove(writer, &bill), -ENOENT);
    assert_int_equal(find(reader, &found), 0);
    credentials_close(&writer);
    credentials_close(&reader);
}

/* What is taken away is not in the file any more either. */
static void test_no_traces(void **state)
{
    (void)state;
    struct credentials *s = opened(true);
    struct credential c;
    char bytes[64 << 10];
    assert_int_equal(credential_make(STR("very tasty soup"), true, &c), 0);
    assert_int_equal(credentials_set(s, &bill, &c), 0);
    assert_int_equal(credentials_remove(s, &bill), 0);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(n > 0 && n < sizeof bytes);
    assert_null(memmem(bytes, n, "very tasty soup", 15));
    assert_null(memmem(bytes, n, c.password, strlen(c.password)));
    credentials_close(&s);
}

static void test_all_or_nothing(void **state)
{
    (void)state;
    struct credentials *s = opened(true), *reader = opened(false);
    struct credential c = {.enabled = true}, found;
    assert_int_equal(credentials_begin(s), 0);
    assert_int_equal(credentials_set(s, &bill, &c), 0);
    assert_int_equal(find(reader, &found), 0);
    credentials_close(&s);
    assert_int_equal(find(reader, &found), 0);
    s = opened(true);
    assert_int_equal(credentials_begin(s), 0);
    assert_int_equal(credentials_set(s, &bill, &c), 0);
    assert_int_equal(credentials_commit(s), 0);
    assert_int_equal(find(reader, &found), 1);
    credentials_close(&s);
    credentials_close(&reader);
}

/* Rows that we have not written are an error, not a login. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const damage[] = {
        "UPDATE credential SET password=printf('%400c', 'x')",
        "UPDATE credential SET password='a' || char(0) || 'b'",
        "UPDATE credential SET sha1_iterations=-1",
        "UPDATE credential SET sha1_iterations=9999999999",
        "UPDATE credential SET sha256_salt=zeroblob(33)",
        "UPDATE credential SET sha256_salt=x''",
        "UPDATE credential SET sha256_stored=zeroblob(31)",
        "UPDATE credential SET sha1_server=zeroblob(32)",
        "UPDATE credential SET cram_secret=printf('%300c', 'x')",
    };
    struct credentials *s = opened(true);
    struct credential c, found;
    assert_int_equal(credential_make(STR("tasty soup"), true, &c), 0);
    for (size_t i = 0; i < countof(damage); i++) {
        sqlite3 *other = NULL;
        assert_int_equal(credentials_set(s, &bill, &c), 0);
        assert_int_equal(find(s, &found), 1);
        assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, damage[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(other);
        assert_int_equal(find(s, &found), -EBADMSG);
    }
    credentials_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),      cmocka_unit_test(test_kept),
        cmocka_unit_test(test_no_traces), cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
