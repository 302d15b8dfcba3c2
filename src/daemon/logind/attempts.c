/* logind/attempts.c - see attempts.h.
 *
 * Journal mode DELETE without a sync: after a power cut some failures may be forgotten, or the file
 * be broken. Then it is made anew: it holds nothing that anybody would miss. */
// SPDX-License-Identifier: ISC
#include "daemon/logind/attempts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"

enum { PATH_BYTES = 4096, KEY_BYTES_MAX = 512, BUSY_MS = 2000 };
#define FORGET_S (24 * 3600)

/* After how many failures there is a pause, and the longest one. */
struct rule {
    char mark; /* of its keys */
    int64_t free_count, pause_s_max;
};
static const struct rule account_rule = {'a', 5, 15 * 60};
static const struct rule network_rule = {'n', 20, 60 * 60};

struct attempts {
    char path[PATH_BYTES];
    const struct clock *clock;
    sqlite3 *db; /* NULL: not open */
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS attempt(key TEXT PRIMARY KEY, count INTEGER NOT NULL,"
    " last_s INTEGER NOT NULL) WITHOUT ROWID, STRICT;"
    "CREATE INDEX IF NOT EXISTS attempt_last ON attempt(last_s);"
    "CREATE TABLE IF NOT EXISTS secret(bytes BLOB NOT NULL) STRICT;"
    "INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM secret);"
    "PRAGMA user_version=1;"
    "COMMIT;";

/* ---- the database ---- */

static int error_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EAGAIN;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* other tables than ours */
    case SQLITE_CONSTRAINT:
        return -EBADMSG;
    case SQLITE_FULL:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

static void database_close(struct attempts *a)
{
    sqlite3_close_v2(a->db);
    a->db = NULL;
}

static int database_try(struct attempts *a)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int error = error_of(sqlite3_open_v2(a->path, &a->db, flags, NULL));

    if (error == 0) {
        sqlite3_busy_timeout(a->db, BUSY_MS);
        sqlite3_db_config(a->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        error = error_of(sqlite3_exec(a->db, "PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY;",
                                      NULL, NULL, NULL));
    }
    if (error == 0)
        error = error_of(sqlite3_exec(a->db, schema, NULL, NULL, NULL));
    if (error < 0)
        database_close(a);
    return error;
}

static int database_open(struct attempts *a)
{
    int error = a->db ? 0 : database_try(a);

    if (error != -EBADMSG)
        return error;
    if (unlink(a->path) < 0)
        return -errno;
    return database_try(a);
}

/* After a failure the next question opens the file anew: it may have been replaced. */
static int judge(struct attempts *a, int rc)
{
    int error = error_of(rc);

    if (error < 0 && error != -EAGAIN)
        database_close(a);
    if (error == -EBADMSG)
        (void)unlink(a->path);
    return error;
}

static int prepare(struct attempts *a, const char *sql, struct str key, sqlite3_stmt **ret)
{
    int error = database_open(a);

    if (error < 0)
        return error;
    error = judge(a, sqlite3_prepare_v2(a->db, sql, -1, ret, NULL));
    if (error == 0 && key.n > 0)
        (void)sqlite3_bind_text(*ret, 1, key.p, (int)key.n, SQLITE_STATIC);
    return error;
}

/* ---- keys ---- */

static bool is_loopback(const unsigned char *ip, int family)
{
    static const unsigned char six[16] = {[15] = 1};

    return family == AF_INET ? ip[0] == 127 : memcmp(ip, six, sizeof six) == 0;
}

/* "n192.0.2", "n20010db800000000"; false: it is not counted. */
static bool network_key(struct buf *to, struct str client)
{
    char text[64] = "";
    unsigned char ip[16];
    int family = str_find(client, ':') < client.n ? AF_INET6 : AF_INET;

    if (client.n >= sizeof text)
        return false;
    memcpy(text, client.p, client.n);
    if (inet_pton(family, text, ip) != 1 || is_loopback(ip, family))
        return false;
    buf_add_char(to, network_rule.mark);
    for (size_t i = 0; i < (family == AF_INET ? 3 : 8); i++)
        buf_printf(to, "%02x", ip[i]);
    return true;
}

static void account_key(struct buf *to, struct str login)
{
    buf_add_char(to, account_rule.mark);
    buf_add(to, login);
}

/* ---- questions ---- */

static int64_t now_s(const struct attempts *a)
{
    return (int64_t)(clock_now_us(a->clock) / US_PER_S);
}

static int64_t pause_after(const struct rule *r, int64_t count)
{
    int64_t over = count - r->free_count;

    if (over < 0)
        return 0;
    return over > 20 ? r->pause_s_max : MIN_OF((int64_t)1 << over, r->pause_s_max);
}

/* A clock that was set back makes nobody wait longer than the pause itself. */
static int64_t pause_left(const struct rule *r, int64_t count, int64_t last, int64_t now)
{
    int64_t passed = now - last;

    if (passed > FORGET_S)
        return 0;
    return MAX_OF(pause_after(r, count) - MAX_OF(passed, (int64_t)0), (int64_t)0);
}

static int64_t pause_of(struct attempts *a, const struct rule *r, struct str key)
{
    sqlite3_stmt *stmt = NULL;
    int error = prepare(a, "SELECT count, last_s FROM attempt WHERE key=?1", key, &stmt);
    int64_t pause = error;

    if (error == 0) {
        int rc = sqlite3_step(stmt);

        if (rc == SQLITE_ROW)
            pause = pause_left(r, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
                               now_s(a));
        (void)sqlite3_finalize(stmt);
        if (rc != SQLITE_ROW)
            pause = judge(a, rc);
    }
    return pause;
}

int64_t attempts_pause_s(struct attempts *a, struct str login, struct str client)
{
    struct buf account = buf_init(KEY_BYTES_MAX), network = buf_init(KEY_BYTES_MAX);
    int64_t longest, of_network;

    account_key(&account, login);
    longest = pause_of(a, &account_rule, buf_str(&account));
    if (longest >= 0 && network_key(&network, client)) {
        of_network = pause_of(a, &network_rule, buf_str(&network));
        longest = of_network < 0 ? of_network : MAX_OF(longest, of_network);
    }
    buf_free(&account);
    buf_free(&network);
    return longest;
}

static int run(struct attempts *a, const char *sql, struct str key)
{
    sqlite3_stmt *stmt = NULL;
    int error = prepare(a, sql, key, &stmt);

    if (error < 0)
        return error;
    (void)sqlite3_bind_int64(stmt, 2, now_s(a));
    (void)sqlite3_step(stmt);
    return judge(a, sqlite3_finalize(stmt));
}

static int count_one(struct attempts *a, struct str key)
{
    return run(a,
               "INSERT INTO attempt VALUES(?1,1,?2) ON CONFLICT DO UPDATE SET"
               " count=CASE WHEN last_s<?2-86400 THEN 1 ELSE count+1 END, last_s=?2",
               key);
}

static int forget_old(struct attempts *a)
{
    int error = run(a, "DELETE FROM attempt WHERE last_s<?2-86400", STR_NONE);

    if (error < 0)
        return error;
    return run(a,
               "DELETE FROM attempt WHERE key=(SELECT key FROM attempt ORDER BY last_s LIMIT 1)"
               " AND (SELECT count(*) FROM attempt)>100000",
               STR_NONE);
}

int attempts_failed(struct attempts *a, struct str login, struct str client)
{
    struct buf account = buf_init(KEY_BYTES_MAX), network = buf_init(KEY_BYTES_MAX);
    int error;

    account_key(&account, login);
    error = count_one(a, buf_str(&account));
    if (error == 0 && network_key(&network, client))
        error = count_one(a, buf_str(&network));
    if (error == 0)
        error = forget_old(a);
    buf_free(&account);
    buf_free(&network);
    return error;
}

int attempts_succeeded(struct attempts *a, struct str login)
{
    struct buf account = buf_init(KEY_BYTES_MAX);
    int error;

    account_key(&account, login);
    error = run(a, "DELETE FROM attempt WHERE key=?1", buf_str(&account));
    buf_free(&account);
    return error;
}

int attempts_secret(struct attempts *a, uint8_t ret[ATTEMPTS_SECRET_BYTES])
{
    sqlite3_stmt *stmt = NULL;
    int error = prepare(a, "SELECT bytes FROM secret", STR_NONE, &stmt);

    if (error < 0)
        return error;

    int rc = sqlite3_step(stmt);
    bool good = rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == ATTEMPTS_SECRET_BYTES;

    if (good)
        memcpy(ret, sqlite3_column_blob(stmt, 0), ATTEMPTS_SECRET_BYTES);
    (void)sqlite3_finalize(stmt);
    return good ? 0 : judge(a, error_of(rc) == 0 ? SQLITE_CORRUPT : rc);
}

/* ---- life ---- */

struct attempts *attempts_new(const char *folder, const struct clock *clock)
{
    struct attempts *a = mem_new(sizeof *a);

    (void)snprintf(a->path, sizeof a->path, "%s/attempts.db", folder);
    a->clock = clock;
    return a;
}

void attempts_free(struct attempts **a)
{
    if (!*a)
        return;
    database_close(*a);
    free(*a);
    *a = NULL;
}
