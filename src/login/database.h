/* login/database.h - private to this folder: a small SQLite file that the command line writes and
 * one role reads.
 *
 * Journal mode DELETE: a reader needs neither shared memory nor a file of its own. Opening is put
 * off to the first question, because SQLite keeps absolute paths: what it opened before a chroot
 * it would look for in vain after it (the journal of a writer that crashed, above all). */
// SPDX-License-Identifier: ISC
#pragma once

#include <sqlite3.h>
#include <sys/types.h>
#include <time.h>

#include "base/clock.h"
#include "mail/address.h"

enum { DATABASE_PATH_BYTES = 4096, DATABASE_VERSIONS_MAX = 2 };
enum { DATABASE_READ_WAIT_MS = 200, DATABASE_WRITE_WAIT_MS = 5000 };

struct database_kind {
    const char *file; /* "accounts.db" */
    int application_id;
    mode_t mode;
    size_t version; /* what this program writes; it reads all before it too */
    struct {
        const char *upgrade; /* makes this version of the one before */
        const char *find;    /* the question: domain ?1, name ?2 */
    } versions[DATABASE_VERSIONS_MAX + 1];
};

struct file_state { /* another file may take its place, and others write to it */
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified, changed;
};

struct database {
    const struct database_kind *kind;
    const struct clock *clock;
    char path[DATABASE_PATH_BYTES];
    bool write;
    sqlite3 *db; /* NULL: not open, or there is no file */
    sqlite3_stmt *find;
    int64_t version; /* of the file */
    struct file_state state;
    uint64_t state_number; /* counts the states that were seen */
    bool quiet;            /* the file had been let alone for a while when it was last looked at */
};

/* d is all zero or was shut. With write the file is made; else nothing is opened yet. */
int database_open(struct database *d, const struct database_kind *kind, const char *folder,
                  bool write);
void database_shut(struct database *d); /* database_look opens it again; an open change is lost */
/* Has it open as it is now; with d->find NULL and 0 there is none, or it is empty. */
int database_look(struct database *d);
/* Takes back what a writer that died left half done. */
int database_recover(const struct database_kind *kind, const char *folder);

int database_error(int rc); /* of SQLite, as a negative errno; 0: fine */
int database_run(struct database *d, const char *sql);
/* From here to database_commit all changes or none; also none when it is closed before. */
int database_begin(struct database *d);
int database_commit(struct database *d);

/* A name or domain as it is kept: in lower case. */
struct folded {
    char bytes[DOMAIN_BYTES_MAX];
    size_t n;
};
bool folded_set(struct folded *f, struct str s, size_t bytes_max);
/* ?first and ?(first + 1) of the statement: domain and name. False: no such address can be. */
bool folded_address(struct str local, struct str domain, struct folded *ret_domain,
                    struct folded *ret_name);
void database_bind(sqlite3_stmt *stmt, int first, const struct folded *domain,
                   const struct folded *name);
struct str database_text(sqlite3_stmt *stmt, int column);
