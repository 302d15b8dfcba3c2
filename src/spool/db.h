/* spool/db.h - queue.db: schema, statements, and the few calls that run them.
 *
 * One connection does all reading and writing. It keeps a transaction open between commits: that
 * is a read snapshot of the last commit (nothing is written before spool_commit applies the
 * batch), so a query costs no locking. A second connection only copies the log into the database
 * (spool/checkpoint.c). Errors are negative errno; -ENOSPC only for a full disk. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sqlite3.h>

#include "base/arena.h"
#include "mail/status.h"

enum sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_TALLY,
    SQL_SET_TALLY,
    SQL_FACT,
    SQL_SET_FACT,
    SQL_DROP_FACT,
    SQL_FACTS,
    SQL_SEGMENTS,
    SQL_SET_SEGMENT,
    SQL_DROP_SEGMENT,
    SQL_ADD_MESSAGE,
    SQL_MESSAGES,
    SQL_MESSAGE_PLACE,
    SQL_EMPTY_MESSAGE,
    SQL_ADD_CONTENT,
    SQL_CONTENT,
    SQL_DROP_CONTENT,
    SQL_DROP_MESSAGE,
    SQL_ADD_RECIPIENT,
    SQL_RECIPIENT_EXISTS,
    SQL_RECIPIENT_STATE,
    SQL_SET_RECIPIENT_STATE,
    SQL_SET_RECIPIENT_TARGET,
    SQL_DROP_QUEUED_RECIPIENT,
    SQL_DROP_HELD_RECIPIENT,
    SQL_LIST,
    SQL_RECIPIENTS,
    SQL_DUE_RECIPIENTS,
    SQL_SET_WARNED,
    SQL_AGED_RECIPIENTS,
    SQL_FAR_RECIPIENTS,
    SQL_FIND_DESTINATION,
    SQL_DESTINATION,
    SQL_ADD_DESTINATION,
    SQL_DUE_DESTINATIONS,
    SQL_NEXT_WAKE,
    SQL_EARLIEST_DUE,
    SQL_NEXT_DUE,
    SQL_LOWER_DUE,
    SQL_SET_DUE,
    SQL_SET_BACK_OFF,
    SQL_NEXT_DESTINATION,
    SQL_PULL_BACK_OFF,
    SQL_IDLE_DESTINATIONS,
    SQL_DROP_DESTINATION,
    SQL_ADD_EVENTS,
    SQL_EVENTS,
    SQL_DROP_EVENTS,
    SQL_COUNT
};

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[SQL_COUNT];
};

/* Opens "queue.db" in dir_fd, makes the schema when it is new, and moves what the log holds into
 * the database (wal_checkpoint(TRUNCATE)) before anything else happens. */
int db_open(int dir_fd, const char *vfs, struct db *ret);
void db_close(struct db *db);
/* Another connection to the same database, for checkpoints. */
int db_open_second(int dir_fd, const char *vfs, sqlite3 **ret);
const char *db_sql(enum sql which); /* for the test that looks at every query plan */
int db_error(sqlite3 *handle);      /* the last failure as a negative errno */

/* A statement ready for binding. All its parameters must be bound each time. */
sqlite3_stmt *db_use(struct db *db, enum sql which);
void bind_u64(sqlite3_stmt *st, int at, uint64_t v);   /* beyond INT64_MAX: INT64_MAX */
void bind_str(sqlite3_stmt *st, int at, struct str s); /* not copied: must live until it has run */
void bind_null(sqlite3_stmt *st, int at);
int db_run(sqlite3_stmt *st); /* a statement without rows: 0 or an error */
/* 1: a row is there; 0: no more; or an error. Unless it gave 1 the statement has ended. */
int db_row(sqlite3_stmt *st);
void db_end(sqlite3_stmt *st); /* leaves rows unread */
uint64_t column_u64(sqlite3_stmt *st, int at);
uint64_t column_u64_or(sqlite3_stmt *st, int at, uint64_t null_is);
struct str column_str(sqlite3_stmt *st, int at, struct arena *a);

/* A status in a column: code (u16), class, subject, detail, text; NULL for class 0. */
struct str status_pack(struct arena *a, const struct status *st);
void bind_status(sqlite3_stmt *st, int at, struct str packed);
struct status column_status(sqlite3_stmt *st, int at);
