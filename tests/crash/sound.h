/* crash/sound.h - is a queue.db what SQLite and the spool rely on? */
// SPDX-License-Identifier: ISC
#pragma once

#include <sqlite3.h>

const char *database_problem(sqlite3 *db); /* NULL: none */
