// SPDX-License-Identifier: ISC
#include "login/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { QUIET_SECONDS = 2 };

int database_error(int rc)
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
        return -EBADMSG;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    default:
        return -EIO;
    }
}

static int run(sqlite3 *db, const char *sql)
{
    return database_error(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int database_run(struct database *d, const char *sql)
{
    return run(d->db, sql);
}

static int read_number(sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return database_error(rc);
}

void database_shut(struct database *d)
{
    sqlite3_finalize(d->find);
    sqlite3_close_v2(d->db);
    d->find = NULL;
    d->db = NULL;
}

/* Its version if it is one of ours; 0: nothing in it yet; negative: no. */
static int64_t judge(sqlite3 *db, const struct database_kind *kind)
{
    int64_t id = 0, version = 0, tables = 0;
    int error = read_number(db, "PRAGMA application_id", &id);
    if (error == 0)
        error = read_number(db, "PRAGMA user_version", &version);
    if (error == 0)
        error = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (error < 0)
        return error;
    if (id == 0 && version == 0 && tables == 0)
        return 0;
    bool ours = id == kind->application_id && version > 0 && version <= (int64_t)kind->version;
    return ours ? version : -EBADMSG;
}

static int upgrade_from(sqlite3 *db, const struct database_kind *kind, int64_t version)
{
    char sql[128];
    int error = 0;
    for (size_t v = (size_t)version + 1; error == 0 && v <= kind->version; v++)
        error = run(db, kind->versions[v].upgrade);
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%zu",
             kind->application_id, kind->version);
    return error == 0 ? run(db, sql) : error;
}

static int upgrade(sqlite3 *db, const struct database_kind *kind)
{
    int error = run(db, "BEGIN IMMEDIATE");
    if (error < 0)
        return error;
    int64_t version = judge(db, kind); /* somebody may have been faster */
    error = version < 0 ? (int)version : upgrade_from(db, kind, version);
    return error == 0 ? run(db, "COMMIT") : (run(db, "ROLLBACK"), error);
}

/* The writer may be root with a narrow umask; the reader never is. */
static int file_prepare(const struct database_kind *kind, const char *folder, const char *path)
{
    struct stat of_folder;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kind->mode);
    if (fd < 0)
        return -errno;
    int error = stat(folder, &of_folder) < 0 || fchmod(fd, kind->mode) < 0 ? -errno : 0;
    if (error == 0 && geteuid() == 0 && fchown(fd, of_folder.st_uid, of_folder.st_gid) < 0)
        error = -errno;
    close(fd);
    return error;
}

static int connect_file(struct database *d)
{
    int flags = (d->write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    int error = database_error(sqlite3_open_v2(d->path, &d->db, flags, NULL));
    if (error < 0)
        return error;
    sqlite3_busy_timeout(d->db, d->write ? DATABASE_WRITE_WAIT_MS : DATABASE_READ_WAIT_MS);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* Readers read on until a long change is committed; deleted secrets are gone from the file. */
    if (d->write)
        error = run(d->db, "PRAGMA cache_spill=0; PRAGMA secure_delete=1; PRAGMA foreign_keys=1");
    d->version = error < 0 ? error : judge(d->db, d->kind);
    if (d->version >= 0 && d->version < (int64_t)d->kind->version && d->write) {
        error = upgrade(d->db, d->kind);
        d->version = error < 0 ? error : (int64_t)d->kind->version;
    }
    return (int)MIN_OF(d->version, 0);
}

static int connect(struct database *d)
{
    int error = connect_file(d);
    if (error == 0 && d->version > 0)
        error = database_error(sqlite3_prepare_v3(d->db, d->kind->versions[d->version].find, -1,
                                                  SQLITE_PREPARE_PERSISTENT, &d->find, NULL));
    if (error < 0 || !d->find)
        database_shut(d);
    return error;
}

static bool time_eq(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Notes what the file looks like now. False: it is another file than the one that is open, or
 * somebody may have brought it up to date. */
static bool state_look(struct database *d, const struct stat *file)
{
    struct file_state old = d->state;
    uint64_t now_s = clock_now_us(d->clock) / US_PER_S;
    uint64_t touched_s = (uint64_t)MAX_OF(file->st_mtim.tv_sec, file->st_ctim.tv_sec);
    d->state = (struct file_state){.device = file->st_dev,
                                   .inode = file->st_ino,
                                   .bytes = file->st_size,
                                   .modified = file->st_mtim,
                                   .changed = file->st_ctim};
    bool same_file = old.device == d->state.device && old.inode == d->state.inode;
    bool same = same_file && old.bytes == d->state.bytes &&
                time_eq(old.modified, d->state.modified) && time_eq(old.changed, d->state.changed);
    d->state_number += !same;
    d->quiet = now_s > touched_s && now_s - touched_s > QUIET_SECONDS;
    return same_file && (same || d->version == (int64_t)d->kind->version);
}

int database_look(struct database *d)
{
    struct stat file;
    if (stat(d->path, &file) < 0) {
        int error = errno;
        database_shut(d);
        return error == ENOENT ? 0 : -error;
    }
    if (state_look(d, &file) && d->db)
        return 0;
    database_shut(d);
    return connect(d);
}

int database_open(struct database *d, const struct database_kind *kind, const char *folder,
                  bool write)
{
    d->kind = kind;
    d->write = write;
    d->clock = &clock_system;
    int n = snprintf(d->path, sizeof d->path, "%s/%s", folder, kind->file);
    if (n < 0 || n >= (int)sizeof d->path)
        return -ENAMETOOLONG;
    int error = write ? file_prepare(kind, folder, d->path) : 0;
    return error == 0 && write ? database_look(d) : error;
}

int database_recover(const struct database_kind *kind, const char *folder)
{
    char path[DATABASE_PATH_BYTES], journal[DATABASE_PATH_BYTES];
    sqlite3 *db = NULL;
    int n = snprintf(path, sizeof path, "%s/%s", folder, kind->file);
    int m = snprintf(journal, sizeof journal, "%s/%s-journal", folder, kind->file);
    if (n < 0 || m >= (int)sizeof journal)
        return -ENAMETOOLONG;
    if (access(journal, F_OK) < 0)
        return 0;
    /* Whoever reads and may write rolls the journal back first. */
    int error = database_error(
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    if (error == 0) {
        sqlite3_busy_timeout(db, DATABASE_WRITE_WAIT_MS);
        error = (int)MIN_OF(judge(db, kind), 0);
    }
    sqlite3_close_v2(db);
    return error;
}

int database_begin(struct database *d)
{
    int error = database_look(d);
    return error < 0 ? error : run(d->db, "BEGIN IMMEDIATE");
}

int database_commit(struct database *d)
{
    return run(d->db, "COMMIT");
}

bool folded_set(struct folded *f, struct str s, size_t bytes_max)
{
    if (s.n == 0 || s.n > bytes_max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        f->bytes[i] = char_lower(s.p[i]);
    f->n = s.n;
    return true;
}

bool folded_address(struct str local, struct str domain, struct folded *ret_domain,
                    struct folded *ret_name)
{
    return folded_set(ret_name, local, LOCAL_PART_BYTES_MAX) &&
           folded_set(ret_domain, domain, DOMAIN_BYTES_MAX);
}

void database_bind(sqlite3_stmt *stmt, int first, const struct folded *domain,
                   const struct folded *name)
{
    sqlite3_bind_text(stmt, first, domain->bytes, (int)domain->n, SQLITE_STATIC);
    sqlite3_bind_text(stmt, first + 1, name->bytes, (int)name->n, SQLITE_STATIC);
}

struct str database_text(sqlite3_stmt *stmt, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt, column);
    return str_n(p, p ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}
