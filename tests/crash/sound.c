/* crash/sound.c - see sound.h. */
// SPDX-License-Identifier: ISC
#include "sound.h"

#include <string.h>

#include "base/check.h"

/* What spool and queue rely on without looking: each must give no row. */
static const char *const facts[] = {
    "SELECT 1 FROM segment s WHERE message_count <>"
    " (SELECT count(*) FROM message WHERE segment = s.number)",
    /* A NULL is NOT IN nothing: without the comparison, large files alone would look wrong. */
    "SELECT 1 FROM message WHERE segment > 0 AND segment NOT IN (SELECT number FROM segment)",
    "SELECT 1 FROM message WHERE segment = 0 AND key NOT IN (SELECT key FROM content)",
    "SELECT 1 FROM content WHERE key NOT IN (SELECT key FROM message WHERE segment = 0)",
    "SELECT 1 FROM message WHERE key NOT IN (SELECT key FROM recipient)",
    "SELECT 1 FROM recipient WHERE key NOT IN (SELECT key FROM message)",
    "SELECT 1 FROM recipient r LEFT JOIN destination d ON d.id = r.destination"
    " WHERE d.id IS NULL OR (r.held = 0 AND (d.due_us IS NULL OR d.due_us > r.due_us))",
    "SELECT 1 FROM tally WHERE message_count <> (SELECT count(*) FROM message)"
    " OR recipient_count <> (SELECT count(*) FROM recipient)"
    " OR held_count <> (SELECT count(*) FROM recipient WHERE held <> 0)"
    " OR destination_count <> (SELECT count(*) FROM destination)"
    " OR content_bytes <> (SELECT total(length(bytes)) FROM content)"
    " OR last_key < (SELECT max(key) FROM message)",
};

const char *database_problem(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    int good = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
               sqlite3_step(st) == SQLITE_ROW &&
               strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;

    (void)sqlite3_finalize(st);
    if (!good)
        return "it is damaged";
    for (size_t i = 0; i < countof(facts); i++) {
        good = sqlite3_prepare_v2(db, facts[i], -1, &st, NULL) == SQLITE_OK &&
               sqlite3_step(st) == SQLITE_DONE;
        (void)sqlite3_finalize(st);
        if (!good)
            return facts[i];
    }
    return NULL;
}
