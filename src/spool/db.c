// SPDX-License-Identifier: ISC
#include "spool/db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"

/* The schema as each version of ours added to it. A new spool takes all steps, one of an earlier
 * Troika those that it lacks: so a step may not touch every row, and none is ever edited.
 *
 * Times are microseconds since 1970. A destination's due_us is a lower bound of its recipients'
 * (NULL: none queued), wake_us is when it has work: the later of due_us and back_off_until_us.
 * An original or a why that says nothing new is NULL. The log holds every page a commit touches,
 * so: as few indexes as the questions of spool.h need, and none on what nobody asks. */
static const char *const schema[] = {
    "CREATE TABLE tally (one INTEGER PRIMARY KEY, last_key INT, last_destination INT,"
    " message_count INT, recipient_count INT, held_count INT, destination_count INT);"
    "INSERT INTO tally VALUES (1, 0, 0, 0, 0, 0, 0);"
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE segment (number INTEGER PRIMARY KEY, message_count INT);"
    "CREATE TABLE message (key INTEGER PRIMARY KEY, segment INT, offset INT, size INT,"
    " received_us INT, expires_us INT, body_8bit INT, sender BLOB, client BLOB, prefix BLOB);"
    "CREATE TABLE destination (id INTEGER PRIMARY KEY, transport INT, next_hop BLOB, due_us INT,"
    " back_off_until_us INT, wake_us INT, failures INT, last BLOB);"
    "CREATE UNIQUE INDEX destination_name ON destination (next_hop, transport);"
    "CREATE INDEX destination_wake ON destination (wake_us);"
    "CREATE TABLE recipient (key INT, number INT, destination INT, due_us INT, expires_us INT,"
    " held INT, attempts INT, address BLOB, original BLOB, why BLOB, last BLOB,"
    " PRIMARY KEY (key, number)) WITHOUT ROWID;"
    "CREATE INDEX recipient_due ON recipient (destination, held, due_us) WHERE held = 0;"
    "CREATE INDEX recipient_expiry ON recipient (destination, held, expires_us);"
    "CREATE TABLE outbox (number INTEGER PRIMARY KEY, lines BLOB);"
    "PRAGMA user_version = 1;",
    /* age_us: when its age matters next; that is its expiry where expires_us is NULL, else the
     * time of the warning, which is still to be sent. One index answers for both. */
    "ALTER TABLE message ADD COLUMN ret INT;"
    "ALTER TABLE message ADD COLUMN envid BLOB;"
    "ALTER TABLE recipient RENAME COLUMN expires_us TO age_us;"
    "ALTER TABLE recipient ADD COLUMN expires_us INT;"
    "ALTER TABLE recipient ADD COLUMN notify INT;"
    "ALTER TABLE recipient ADD COLUMN orcpt BLOB;"
    "PRAGMA user_version = 2;",
    /* message.segment NULL: the bytes are a file of their own; 0: a row of `content`. */
    "CREATE TABLE content (key INTEGER PRIMARY KEY, crc INT, bytes BLOB);"
    "ALTER TABLE tally ADD COLUMN content_bytes INT DEFAULT 0;"
    "PRAGMA user_version = 3;",
    /* The number of an enum body, which 8-bit or not was before. */
    "ALTER TABLE message RENAME COLUMN body_8bit TO body;"
    "PRAGMA user_version = 4;",
    "ALTER TABLE message ADD COLUMN utf8 INT;"
    "PRAGMA user_version = 5;",
};

enum { SCHEMA_VERSION = countof(schema), BUSY_MS = 5000 };

/* Debian builds SQLite with secure_delete, which would rewrite every freed page. */
static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA mmap_size = 0;"
                               "PRAGMA cache_size = -12288;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA secure_delete = OFF;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA wal_autocheckpoint = 0;";

#define RECIPIENT_FROM                                                                             \
    "SELECT r.key, r.number, r.destination, r.address, r.original, d.transport, d.next_hop,"       \
    " r.why, r.held, r.attempts, r.due_us, r.age_us, r.last, r.expires_us, r.notify, r.orcpt"      \
    " FROM recipient r CROSS JOIN destination d ON d.id = r.destination "
#define DESTINATION_FROM                                                                           \
    "SELECT id, transport, next_hop, back_off_until_us, failures, due_us, last, wake_us"           \
    " FROM destination "

static const char *const sql_table[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",

    [SQL_TALLY] = "SELECT last_key, last_destination, message_count, recipient_count, held_count,"
                  " destination_count, content_bytes FROM tally WHERE one = 1",
    [SQL_SET_TALLY] = "UPDATE tally SET last_key = ?1, last_destination = ?2, message_count = ?3,"
                      " recipient_count = ?4, held_count = ?5, destination_count = ?6,"
                      " content_bytes = ?7 WHERE one = 1",
    [SQL_FACT] = "SELECT value FROM fact WHERE name = ?1",
    [SQL_SET_FACT] = "INSERT OR REPLACE INTO fact VALUES (?1, ?2)",
    [SQL_DROP_FACT] = "DELETE FROM fact WHERE name = ?1",
    [SQL_FACTS] = "SELECT name, value FROM fact WHERE name > ?1 ORDER BY name LIMIT ?2",

    [SQL_SEGMENTS] = "SELECT number, message_count FROM segment",
    [SQL_SET_SEGMENT] = "INSERT OR REPLACE INTO segment VALUES (?1, ?2)",
    [SQL_DROP_SEGMENT] = "DELETE FROM segment WHERE number = ?1",

    [SQL_ADD_MESSAGE] = "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                        " ?11, ?12, ?13)",
    [SQL_MESSAGES] = "SELECT sender, client, prefix, received_us, expires_us, size, body,"
                     " segment, ret, envid, utf8, key FROM message"
                     " WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3",
    [SQL_MESSAGE_PLACE] = "SELECT segment, offset, size FROM message WHERE key = ?1",
    [SQL_EMPTY_MESSAGE] = "SELECT segment, size FROM message WHERE key = ?1"
                          " AND NOT EXISTS (SELECT 1 FROM recipient WHERE key = ?1)",
    [SQL_DROP_MESSAGE] = "DELETE FROM message WHERE key = ?1",
    [SQL_ADD_CONTENT] = "INSERT INTO content VALUES (?1, ?2, ?3)",
    [SQL_CONTENT] = "SELECT crc, bytes FROM content WHERE key = ?1",
    [SQL_DROP_CONTENT] = "DELETE FROM content WHERE key = ?1",

    [SQL_ADD_RECIPIENT] = "INSERT INTO recipient VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9,"
                          " NULL, ?10, ?11, ?12)",
    [SQL_RECIPIENT_EXISTS] = "SELECT 1 FROM recipient WHERE key = ?1 AND number = ?2",
    [SQL_RECIPIENT_STATE] = "SELECT destination, due_us, held, attempts, last FROM recipient"
                            " WHERE key = ?1 AND number = ?2",
    [SQL_SET_RECIPIENT_STATE] = "UPDATE recipient SET destination = ?3, due_us = ?4, held = ?5,"
                                " attempts = ?6, last = ?7 WHERE key = ?1 AND number = ?2",
    [SQL_SET_RECIPIENT_TARGET] = "UPDATE recipient SET address = ?3, why = ?4"
                                 " WHERE key = ?1 AND number = ?2",
    [SQL_DROP_QUEUED_RECIPIENT] = "DELETE FROM recipient WHERE key = ?1 AND number = ?2"
                                  " AND held = 0",
    [SQL_DROP_HELD_RECIPIENT] = "DELETE FROM recipient WHERE key = ?1 AND number = ?2"
                                " AND held <> 0",
    [SQL_LIST] = RECIPIENT_FROM "WHERE (r.key, r.number) > (?1, ?2)"
                                " ORDER BY r.key, r.number LIMIT ?3",
    [SQL_RECIPIENTS] = RECIPIENT_FROM "WHERE r.key = ?1 AND r.number > ?2"
                                      " ORDER BY r.number LIMIT ?3",
    [SQL_DUE_RECIPIENTS] =
        RECIPIENT_FROM "WHERE r.destination = ?1 AND r.held = 0 AND r.due_us <= ?2"
                       " AND (r.due_us, r.key, r.number) > (?3, ?4, ?5)"
                       " ORDER BY r.due_us, r.key, r.number LIMIT ?6",
    [SQL_SET_WARNED] = "UPDATE recipient SET age_us = expires_us, expires_us = NULL"
                       " WHERE key = ?1 AND number = ?2 AND expires_us IS NOT NULL",
    [SQL_AGED_RECIPIENTS] =
        RECIPIENT_FROM "WHERE r.destination = ?1 AND r.held = 0 AND r.age_us <= ?2"
                       " AND (r.age_us, r.key, r.number) > (?3, ?4, ?5)"
                       " ORDER BY r.age_us, r.key, r.number LIMIT ?6",
    [SQL_FAR_RECIPIENTS] = "SELECT key, number FROM recipient"
                           " WHERE destination = ?1 AND held = 0 AND due_us > ?2 LIMIT ?3",

    [SQL_FIND_DESTINATION] = DESTINATION_FROM "WHERE next_hop = ?1 AND transport = ?2",
    [SQL_DESTINATION] = DESTINATION_FROM "WHERE id = ?1",
    [SQL_ADD_DESTINATION] = "INSERT INTO destination VALUES (?1, ?2, ?3, NULL, 0, NULL, 0, NULL)",
    [SQL_DUE_DESTINATIONS] =
        DESTINATION_FROM "WHERE wake_us <= ?1 AND (wake_us, id) > (?2, ?3) ORDER BY wake_us, id",
    [SQL_NEXT_WAKE] = "SELECT min(wake_us) FROM destination WHERE wake_us > ?1",
    [SQL_EARLIEST_DUE] = "SELECT min(due_us) FROM recipient WHERE destination = ?1 AND held = 0",
    [SQL_NEXT_DUE] = "SELECT min(due_us) FROM recipient"
                     " WHERE destination = ?1 AND held = 0 AND due_us > ?2",
    [SQL_LOWER_DUE] = "UPDATE destination SET due_us = ?2, wake_us = max(?2, back_off_until_us)"
                      " WHERE id = ?1 AND (due_us IS NULL OR due_us > ?2)",
    [SQL_SET_DUE] = "UPDATE destination SET due_us = ?2, wake_us = max(?2, back_off_until_us)"
                    " WHERE id = ?1",
    [SQL_SET_BACK_OFF] = "UPDATE destination SET back_off_until_us = ?2, failures = ?3,"
                         " last = ?4, wake_us = max(due_us, ?2) WHERE id = ?1",
    [SQL_NEXT_DESTINATION] = "SELECT id, back_off_until_us FROM destination WHERE id > ?1"
                             " ORDER BY id",
    [SQL_PULL_BACK_OFF] = "UPDATE destination SET back_off_until_us = ?2,"
                          " wake_us = max(due_us, ?2) WHERE id = ?1 AND back_off_until_us > ?2",
    [SQL_IDLE_DESTINATIONS] = "SELECT id, transport, next_hop FROM destination"
                              " WHERE wake_us IS NULL AND id > ?1 ORDER BY id LIMIT ?2",
    [SQL_DROP_DESTINATION] = "DELETE FROM destination WHERE id = ?1 AND wake_us IS NULL"
                             " AND back_off_until_us <= ?2"
                             " AND NOT EXISTS (SELECT 1 FROM recipient WHERE destination = ?1)",

    [SQL_ADD_EVENTS] = "INSERT INTO outbox VALUES (?1, ?2)",
    [SQL_EVENTS] = "SELECT number, lines FROM outbox WHERE number > ?1 ORDER BY number LIMIT 1",
    [SQL_DROP_EVENTS] = "DELETE FROM outbox WHERE number <= ?1",
};

const char *db_sql(enum sql which)
{
    return sql_table[which];
}

int db_error(sqlite3 *handle)
{
    int system_error = sqlite3_system_errno(handle);

    switch (sqlite3_extended_errcode(handle)) {
    case SQLITE_FULL:
    case SQLITE_IOERR_SHMSIZE: /* the log's index could not grow */
        return -ENOSPC;
    case SQLITE_IOERR_WRITE:
        return system_error == EDQUOT ? -ENOSPC : -EIO;
    case SQLITE_NOMEM:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

/* SQLite opens by path. A relative one below dir_fd works in a test and in a process that has
 * made dir_fd its root; SQLite keeps the absolute form, so the working directory may change back. */
static int open_below(int dir_fd, const char *vfs, sqlite3 **ret)
{
    int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fchdir(dir_fd) < 0) {
        int r = -errno;
        (void)close(before);
        return r;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int r = sqlite3_open_v2("queue.db", ret, flags, vfs);
    if (before >= 0) {
        (void)!fchdir(before); /* a folder that was removed meanwhile is nobody's concern */
        (void)close(before);
    }
    if (r == SQLITE_OK)
        (void)sqlite3_extended_result_codes(*ret, 1);
    if (r == SQLITE_OK)
        (void)sqlite3_busy_timeout(*ret, BUSY_MS); /* a person looking with sqlite3 */
    /* Closing is no time for work, least of all on a disk that has failed. */
    if (r == SQLITE_OK)
        (void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return r == SQLITE_OK ? 0 : -EIO;
}

static int execute(sqlite3 *handle, const char *sql)
{
    return sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(handle);
}

static int read_version(sqlite3 *handle, int *ret)
{
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(handle, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK)
        return db_error(handle);
    int r = db_row(st);
    if (r == 1)
        *ret = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    return r < 0 ? r : 0;
}

static int make_schema(sqlite3 *handle)
{
    int version = 0;
    int r = read_version(handle, &version);

    if (r < 0 || version == SCHEMA_VERSION)
        return r;
    if (version < 0 || version > SCHEMA_VERSION)
        return -EPROTONOSUPPORT; /* made by a later Troika */
    r = execute(handle, "BEGIN IMMEDIATE");
    for (; r == 0 && version < SCHEMA_VERSION; version++)
        r = execute(handle, schema[version]);
    return r == 0 ? execute(handle, "COMMIT") : r;
}

static int prepare_all(struct db *db)
{
    for (int i = 0; i < SQL_COUNT; i++)
        if (sqlite3_prepare_v3(db->handle, sql_table[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK)
            return db_error(db->handle);
    return 0;
}

int db_open(int dir_fd, const char *vfs, struct db *ret)
{
    *ret = (struct db){0};
    /* Nobody asks how much it has allocated, and counting takes a lock each time; only before
     * the first database of a process. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int r = open_below(dir_fd, vfs, &ret->handle);

    if (r == 0)
        r = execute(ret->handle, settings);
    if (r == 0)
        r = execute(ret->handle, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (r == 0)
        r = make_schema(ret->handle);
    if (r == 0)
        r = prepare_all(ret);
    if (r < 0)
        db_close(ret);
    return r;
}

void db_close(struct db *db)
{
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(db->statements[i]);
    (void)sqlite3_close(db->handle);
    *db = (struct db){0};
}

int db_open_second(int dir_fd, const char *vfs, sqlite3 **ret)
{
    int version;
    int r = open_below(dir_fd, vfs, ret);

    if (r == 0)
        r = execute(*ret, "PRAGMA synchronous = FULL; PRAGMA mmap_size = 0;"
                          "PRAGMA cache_size = -256; PRAGMA wal_autocheckpoint = 0;");
    /* One read opens the log and its index: later the process may be unable to. */
    if (r == 0)
        r = read_version(*ret, &version);
    if (r < 0) {
        (void)sqlite3_close(*ret);
        *ret = NULL;
    }
    return r;
}

sqlite3_stmt *db_use(struct db *db, enum sql which)
{
    sqlite3_stmt *st = db->statements[which];

    (void)sqlite3_reset(st);
    return st;
}

void bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
    (void)sqlite3_bind_int64(st, at, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void bind_str(sqlite3_stmt *st, int at, struct str s)
{
    (void)sqlite3_bind_blob64(st, at, s.n ? s.p : "", s.n, SQLITE_STATIC);
}

void bind_null(sqlite3_stmt *st, int at)
{
    (void)sqlite3_bind_null(st, at);
}

int db_row(sqlite3_stmt *st)
{
    int code = sqlite3_step(st);

    if (code == SQLITE_ROW)
        return 1;
    int r = code == SQLITE_DONE ? 0 : db_error(sqlite3_db_handle(st));
    (void)sqlite3_reset(st);
    return r;
}

int db_run(sqlite3_stmt *st)
{
    int r = db_row(st);

    if (r == 1)
        (void)sqlite3_reset(st);
    return r < 0 ? r : 0;
}

void db_end(sqlite3_stmt *st)
{
    (void)sqlite3_reset(st);
}

uint64_t column_u64(sqlite3_stmt *st, int at)
{
    return (uint64_t)sqlite3_column_int64(st, at);
}

uint64_t column_u64_or(sqlite3_stmt *st, int at, uint64_t null_is)
{
    return sqlite3_column_type(st, at) == SQLITE_NULL ? null_is : column_u64(st, at);
}

struct str column_str(sqlite3_stmt *st, int at, struct arena *a)
{
    const void *p = sqlite3_column_blob(st, at);
    int n = sqlite3_column_bytes(st, at);

    return p && n > 0 ? arena_copy(a, str_n(p, (size_t)n)) : arena_copy(a, STR(""));
}

struct str status_pack(struct arena *a, const struct status *st)
{
    if (!st || st->class == 0)
        return STR_NONE;
    size_t n = strnlen(st->text, sizeof(st->text));
    char *p = arena_alloc(a, 5 + n);

    p[0] = (char)(st->code & 0xff);
    p[1] = (char)(st->code >> 8);
    p[2] = (char)st->class;
    p[3] = (char)st->subject;
    p[4] = (char)st->detail;
    memcpy(p + 5, st->text, n);
    return str_n(p, 5 + n);
}

void bind_status(sqlite3_stmt *st, int at, struct str packed)
{
    if (packed.n)
        bind_str(st, at, packed);
    else
        bind_null(st, at);
}

struct status column_status(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at);
    int n = sqlite3_column_bytes(st, at);

    if (!p || n < 5)
        return (struct status){0};
    struct reader r = reader_init(str_n(p, (size_t)n));
    uint16_t code = get_u16(&r);
    uint8_t class = get_u8(&r);
    uint8_t subject = get_u8(&r);
    uint8_t detail = get_u8(&r);
    return status_make(code, class, subject, detail, r.rest);
}
