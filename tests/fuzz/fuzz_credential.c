/* A row of the credentials with any bytes in any column: it is refused, or what comes out fits its
 * bounds and is the same when it is stored and read once more. The input is one piece for each
 * column, a byte with its length before it. */
// links: base io mail wire config login
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "login/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS = 11 };
static const struct address bill = {{"bill", 4}, {"a.test", 6}};
static char folder[64], path[96];
static struct credentials *store;
static sqlite3 *raw;

static void clean(void)
{
    sqlite3_close(raw);
    credentials_close(&store);
    unlink(path);
    rmdir(folder);
}

static void begin(void)
{
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(folder, sizeof folder, "%s/troika-fuzz-XXXXXX", tmp);
    check(mkdtemp(folder) && credentials_open(folder, true, &store) == 0);
    snprintf(path, sizeof path, "%s/credentials.db", folder);
    check(sqlite3_open(path, &raw) == SQLITE_OK);
    check(sqlite3_exec(raw, "PRAGMA synchronous=OFF", NULL, NULL, NULL) == SQLITE_OK);
    atexit(clean);
}

static bool is_number(int column)
{
    return column == 0 || column == 2 || column == 6;
}

static bool is_text(int column)
{
    return column == 1 || column == 10;
}

static void bind(sqlite3_stmt *stmt, int column, struct str piece)
{
    uint64_t number = 0;

    for (size_t i = 0; i < piece.n && i < 8; i++)
        number = number << 8 | (uint8_t)piece.p[i];
    if (is_number(column))
        sqlite3_bind_int64(stmt, column + 1, (int64_t)number);
    else if (is_text(column))
        sqlite3_bind_text(stmt, column + 1, piece.p, (int)piece.n, SQLITE_TRANSIENT);
    else
        sqlite3_bind_blob(stmt, column + 1, piece.n ? piece.p : "", (int)piece.n, SQLITE_TRANSIENT);
}

static bool put_row(struct str input)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO credential VALUES('a.test', 'bill', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?)";
    sqlite3_stmt *stmt = NULL;

    check(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL) == SQLITE_OK);
    for (int i = 0; i < COLUMNS; i++) {
        size_t n = input.n > 0 ? (uint8_t)input.p[0] * (size_t)(is_text(i) ? 2 : 1) : 0;

        input = str_skip(input, 1);
        bind(stmt, i, input.n > 0 ? str_sub(input, 0, n) : STR(""));
        input = str_skip(input, n);
    }
    bool stored = sqlite3_step(stmt) == SQLITE_DONE;

    sqlite3_finalize(stmt);
    return stored;
}

static void check_keys(const struct scram_keys *k)
{
    check(k->salt_n <= sizeof k->salt && k->set == (k->iterations > 0));
    check(!k->set || k->salt_n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct credential c, again;

    if (!store)
        begin();
    if (!put_row(str_n((const char *)data, size)))
        return 0;
    int found = credentials_find(store, bill.local, bill.domain, &c);

    check(found == 1 || found == -EBADMSG);
    if (found != 1)
        return 0;
    check(memchr(c.password, 0, sizeof c.password));
    check(memchr(c.cram_secret, 0, sizeof c.cram_secret));
    check_keys(&c.sha1);
    check_keys(&c.sha256);
    check(credentials_set(store, &bill, &c) == 0);
    check(credentials_find(store, bill.local, bill.domain, &again) == 1);
    check(strcmp(c.password, again.password) == 0 && c.enabled == again.enabled);
    check(memcmp(&c.sha256, &again.sha256, sizeof c.sha256) == 0);
    return 0;
}
