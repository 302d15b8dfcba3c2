/* login/credentials.c - the database of credential.h. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "login/credential.h"
#include "login/database.h"

static const struct database_kind kind = {
    .file = "credentials.db",
    .application_id = 0x54524b43, /* TRKC */
    .mode = 0600,
    .version = 1,
    .versions = {[1] = {"CREATE TABLE credential(domain TEXT NOT NULL, name TEXT NOT NULL,"
                        " enabled INTEGER NOT NULL, password TEXT NOT NULL,"
                        " sha1_iterations INTEGER NOT NULL, sha1_salt BLOB NOT NULL,"
                        " sha1_stored BLOB NOT NULL, sha1_server BLOB NOT NULL,"
                        " sha256_iterations INTEGER NOT NULL, sha256_salt BLOB NOT NULL,"
                        " sha256_stored BLOB NOT NULL, sha256_server BLOB NOT NULL,"
                        " cram_secret TEXT NOT NULL, PRIMARY KEY(domain, name))"
                        " WITHOUT ROWID, STRICT;",
                        "SELECT enabled, password,"
                        " sha1_iterations, sha1_salt, sha1_stored, sha1_server,"
                        " sha256_iterations, sha256_salt, sha256_stored, sha256_server,"
                        " cram_secret FROM credential WHERE domain=?1 AND name=?2"}},
};

enum { ENABLED, PASSWORD, SHA1, SHA256 = SHA1 + 4, CRAM_SECRET = SHA256 + 4 }; /* columns */
enum { SHA1_BYTES = 20, SHA256_BYTES = 32, ITERATIONS_MAX = 1000000 };

struct credentials {
    struct database database;
};

int credentials_open(const char *folder, bool write, struct credentials **ret)
{
    struct credentials *s = mem_new(sizeof *s);
    int error = database_open(&s->database, &kind, folder, write);
    if (error < 0) {
        credentials_close(&s);
        return error;
    }
    *ret = s;
    return 0;
}

void credentials_close(struct credentials **s)
{
    if (*s)
        database_shut(&(*s)->database);
    free(*s);
    *s = NULL;
}

int credentials_recover(const char *folder)
{
    return database_recover(&kind, folder);
}

int credentials_begin(struct credentials *s)
{
    return database_begin(&s->database);
}

int credentials_commit(struct credentials *s)
{
    return database_commit(&s->database);
}

/* ---- a row ---- */

static bool read_text(sqlite3_stmt *stmt, int column, char *ret, size_t ret_bytes)
{
    struct str s = database_text(stmt, column);
    if (s.n >= ret_bytes || (s.n > 0 && memchr(s.p, '\0', s.n)))
        return false;
    if (s.n > 0)
        memcpy(ret, s.p, s.n);
    ret[s.n] = '\0';
    return true;
}

static bool read_key(sqlite3_stmt *stmt, int column, uint8_t *ret, size_t bytes)
{
    const void *p = sqlite3_column_blob(stmt, column);
    if (!p || sqlite3_column_bytes(stmt, column) != (int)bytes)
        return false;
    memcpy(ret, p, bytes);
    return true;
}

static bool read_keys(sqlite3_stmt *stmt, int first, size_t key_bytes, struct scram_keys *ret)
{
    int64_t iterations = sqlite3_column_int64(stmt, first);
    const void *salt = sqlite3_column_blob(stmt, first + 1);
    int salt_n = sqlite3_column_bytes(stmt, first + 1);
    *ret = (struct scram_keys){.set = iterations > 0};
    if (iterations == 0)
        return true;
    if (iterations < 0 || iterations > ITERATIONS_MAX || !salt || salt_n <= 0 ||
        salt_n > SCRAM_SALT_BYTES_MAX)
        return false;
    ret->iterations = (uint32_t)iterations;
    memcpy(ret->salt, salt, (size_t)salt_n);
    ret->salt_n = (size_t)salt_n;
    return read_key(stmt, first + 2, ret->stored_key, key_bytes) &&
           read_key(stmt, first + 3, ret->server_key, key_bytes);
}

static bool read_row(sqlite3_stmt *stmt, struct credential *ret)
{
    ret->enabled = sqlite3_column_int64(stmt, ENABLED) == 1;
    return read_text(stmt, PASSWORD, ret->password, sizeof ret->password) &&
           read_keys(stmt, SHA1, SHA1_BYTES, &ret->sha1) &&
           read_keys(stmt, SHA256, SHA256_BYTES, &ret->sha256) &&
           read_text(stmt, CRAM_SECRET, ret->cram_secret, sizeof ret->cram_secret);
}

int credentials_find(struct credentials *s, struct str local, struct str domain,
                     struct credential *ret)
{
    struct database *d = &s->database;
    struct folded folded_domain, name;
    struct credential c = {0};
    if (!folded_address(local, domain, &folded_domain, &name))
        return 0;
    int error = database_look(d);
    if (error < 0 || !d->find)
        return error;
    database_bind(d->find, 1, &folded_domain, &name);
    int rc = sqlite3_step(d->find);
    bool whole = rc != SQLITE_ROW || read_row(d->find, &c);
    sqlite3_reset(d->find);
    error = whole ? database_error(rc) : -EBADMSG;
    if (rc == SQLITE_ROW && whole)
        *ret = c;
    credential_wipe(&c);
    if (error < 0 && error != -EAGAIN)
        database_shut(d); /* the next question starts afresh */
    return error < 0 ? error : rc == SQLITE_ROW;
}

static void bind_keys(sqlite3_stmt *stmt, int first, size_t key_bytes, const struct scram_keys *k)
{
    int n = k->set ? (int)key_bytes : 0;
    sqlite3_bind_int64(stmt, first, k->set ? k->iterations : 0);
    sqlite3_bind_blob(stmt, first + 1, k->salt, k->set ? (int)k->salt_n : 0, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, first + 2, k->stored_key, n, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, first + 3, k->server_key, n, SQLITE_STATIC);
}

static void bind_row(sqlite3_stmt *stmt, const struct credential *c)
{
    enum { FIRST = 3 }; /* behind domain and name */
    sqlite3_bind_int(stmt, FIRST + ENABLED, c->enabled);
    sqlite3_bind_text(stmt, FIRST + PASSWORD, c->password, -1, SQLITE_STATIC);
    bind_keys(stmt, FIRST + SHA1, SHA1_BYTES, &c->sha1);
    bind_keys(stmt, FIRST + SHA256, SHA256_BYTES, &c->sha256);
    sqlite3_bind_text(stmt, FIRST + CRAM_SECRET, c->cram_secret, -1, SQLITE_STATIC);
}

/* Runs sql with the address as ?1 ?2 and, if there is one, the row behind it. */
static int change(struct credentials *s, const char *sql, const struct address *address,
                  const struct credential *c)
{
    struct folded domain, name;
    sqlite3_stmt *stmt = NULL;
    if (!folded_address(address->local, address->domain, &domain, &name))
        return -EINVAL;
    int error = database_look(&s->database);
    if (error < 0 || !s->database.db)
        return error < 0 ? error : -ENOENT;
    int rc = sqlite3_prepare_v2(s->database.db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        database_bind(stmt, 1, &domain, &name);
        if (c)
            bind_row(stmt, c);
        rc = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    return database_error(rc);
}

int credentials_set(struct credentials *s, const struct address *address,
                    const struct credential *c)
{
    return change(s,
                  "INSERT OR REPLACE INTO credential"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                  address, c);
}

int credentials_remove(struct credentials *s, const struct address *address)
{
    int error = change(s, "DELETE FROM credential WHERE domain=?1 AND name=?2", address, NULL);
    return error == 0 && sqlite3_changes(s->database.db) == 0 ? -ENOENT : error;
}
