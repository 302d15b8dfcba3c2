/* login/account.c - see account.h.
 *
 * Journal mode DELETE: a reader needs neither shared memory nor a file of its own. Opening is put
 * off to the first question, because SQLite keeps absolute paths: what it opened before a chroot
 * it would look for in vain after it (the journal of a writer that crashed, above all).
 *
 * A question costs SQLite nine system calls. So answers are remembered while stat(2) shows the
 * same file, unchanged for longer than the grain of its times: every commit writes to the file
 * before it is visible. */
// SPDX-License-Identifier: ISC
#include "login/account.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"

#define FILE_NAME "accounts.db"
enum { APPLICATION_ID = 0x54524b41 /* TRKA */, FORMAT_VERSION = 1, PATH_BYTES = 4096 };

enum { ANSWERS = 512, KEY_BYTES_MAX = 1 + LOCAL_PART_BYTES_MAX + DOMAIN_BYTES_MAX };
enum { QUIET_SECONDS = 2 };

struct file_state { /* another file may take its place, and others write to it */
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified, changed;
};

struct remembered {
    uint64_t state_number; /* the state of the file in which this was the answer */
    char key[KEY_BYTES_MAX];
    size_t key_bytes;
    bool found;
};

struct accounts {
    char path[PATH_BYTES];
    bool write;
    sqlite3 *db; /* NULL: not open, or there is no file */
    sqlite3_stmt *has;
    struct file_state state;
    uint64_t state_number; /* counts the states that were seen */
    bool quiet;            /* the file had been let alone for a while when it was last looked at */
    struct remembered *answers; /* a question has one place in it */
    const struct clock *clock;
};

static const char schema[] = "CREATE TABLE account(domain TEXT NOT NULL, name TEXT NOT NULL,"
                             " PRIMARY KEY(domain, name)) WITHOUT ROWID, STRICT;";

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
    return error_of(sqlite3_exec(db, sql, NULL, NULL, NULL));
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
    return error_of(rc);
}

static void database_close(struct accounts *s)
{
    sqlite3_finalize(s->has);
    sqlite3_close_v2(s->db);
    s->has = NULL;
    s->db = NULL;
}

/* Is this one of ours? 1: yes; 0: nothing in it yet; negative: no. */
static int database_judge(sqlite3 *db)
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
    return id == APPLICATION_ID && version == FORMAT_VERSION ? 1 : -EBADMSG;
}

static int database_create(sqlite3 *db)
{
    char sql[512];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; %s",
             APPLICATION_ID, FORMAT_VERSION, schema);
    int error = run(db, "BEGIN IMMEDIATE");
    if (error < 0)
        return error;
    int judged = database_judge(db); /* somebody may have been faster */
    error = judged == 0 ? run(db, sql) : MIN_OF(judged, 0);
    return error == 0 ? run(db, "COMMIT") : (run(db, "ROLLBACK"), error);
}

/* The writer may be root with a narrow umask; the reader never is. */
static int file_prepare(const char *folder, const char *path)
{
    struct stat of_folder;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    int error = stat(folder, &of_folder) < 0 || fchmod(fd, 0644) < 0 ? -errno : 0;
    if (error == 0 && geteuid() == 0 && fchown(fd, of_folder.st_uid, of_folder.st_gid) < 0)
        error = -errno;
    close(fd);
    return error;
}

static int database_open(struct accounts *s)
{
    static const char has[] = "SELECT 1 FROM account WHERE domain=?1 AND name=?2";
    int flags = (s->write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    int error = error_of(sqlite3_open_v2(s->path, &s->db, flags, NULL));
    if (error == 0) {
        sqlite3_busy_timeout(s->db, s->write ? ACCOUNTS_WRITE_WAIT_MS : ACCOUNTS_READ_WAIT_MS);
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        error = database_judge(s->db);
    }
    bool empty = error == 0;
    if (empty && s->write)
        error = database_create(s->db);
    if (error >= 0 && !(empty && !s->write))
        error =
            error_of(sqlite3_prepare_v3(s->db, has, -1, SQLITE_PREPARE_PERSISTENT, &s->has, NULL));
    if (error < 0 || !s->has)
        database_close(s);
    return error;
}

static bool time_eq(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Notes what the file looks like now. False: it is another file than the one that is open. */
static bool state_look(struct accounts *s, const struct stat *file)
{
    struct file_state old = s->state;
    uint64_t now_s = clock_now_us(s->clock) / US_PER_S;
    uint64_t touched_s = (uint64_t)MAX_OF(file->st_mtim.tv_sec, file->st_ctim.tv_sec);
    s->state = (struct file_state){.device = file->st_dev,
                                   .inode = file->st_ino,
                                   .bytes = file->st_size,
                                   .modified = file->st_mtim,
                                   .changed = file->st_ctim};
    bool same_file = old.device == s->state.device && old.inode == s->state.inode;
    bool same = same_file && old.bytes == s->state.bytes &&
                time_eq(old.modified, s->state.modified) && time_eq(old.changed, s->state.changed);
    s->state_number += !same;
    s->quiet = now_s > touched_s && now_s - touched_s > QUIET_SECONDS;
    return same_file;
}

/* Has the database open as it is now; with s->has NULL and 0 there is none, or it is empty. */
static int database_look(struct accounts *s)
{
    struct stat file;
    if (stat(s->path, &file) < 0) {
        int error = errno;
        database_close(s);
        return error == ENOENT ? 0 : -error;
    }
    if (state_look(s, &file) && s->db)
        return 0;
    database_close(s);
    return database_open(s);
}

int accounts_open(const char *folder, bool write, struct accounts **ret)
{
    struct accounts *s = mem_new(sizeof *s);
    s->write = write;
    s->clock = &clock_system;
    int n = snprintf(s->path, sizeof s->path, "%s/%s", folder, FILE_NAME);
    int error = n < 0 || n >= (int)sizeof s->path ? -ENAMETOOLONG : 0;
    if (error == 0 && write)
        error = file_prepare(folder, s->path);
    if (error == 0 && write)
        error = database_look(s);
    if (error < 0) {
        accounts_close(&s);
        return error;
    }
    *ret = s;
    return 0;
}

int accounts_recover(const char *folder)
{
    char path[PATH_BYTES], journal[PATH_BYTES];
    sqlite3 *db = NULL;
    int n = snprintf(path, sizeof path, "%s/%s", folder, FILE_NAME);
    int m = snprintf(journal, sizeof journal, "%s/%s-journal", folder, FILE_NAME);
    if (n < 0 || m >= (int)sizeof journal)
        return -ENAMETOOLONG;
    if (access(journal, F_OK) < 0)
        return 0;
    /* Whoever reads and may write rolls the journal back first. */
    int error =
        error_of(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    if (error == 0) {
        sqlite3_busy_timeout(db, ACCOUNTS_WRITE_WAIT_MS);
        error = MIN_OF(database_judge(db), 0);
    }
    sqlite3_close_v2(db);
    return error;
}

void accounts_set_clock(struct accounts *s, const struct clock *c)
{
    s->clock = c;
}

void accounts_close(struct accounts **s)
{
    if (*s) {
        database_close(*s);
        free((*s)->answers);
    }
    free(*s);
    *s = NULL;
}

struct folded {
    char bytes[DOMAIN_BYTES_MAX];
    size_t n;
};

static bool fold(struct str s, size_t bytes_max, struct folded *ret)
{
    if (s.n == 0 || s.n > bytes_max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        ret->bytes[i] = char_lower(s.p[i]);
    ret->n = s.n;
    return true;
}

/* Binds and steps; SQLITE_ROW, SQLITE_DONE or an error. The statement is reset. */
static int step_with(sqlite3_stmt *stmt, const struct folded *domain, const struct folded *name)
{
    sqlite3_bind_text(stmt, 1, domain->bytes, (int)domain->n, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, name->bytes, (int)name->n, SQLITE_STATIC);
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc;
}

/* The place of this question, with its key; *known: the answer in it holds. */
static struct remembered *remembered_find(struct accounts *s, const struct folded *name,
                                          const struct folded *domain, bool *known)
{
    char key[KEY_BYTES_MAX];
    key[0] = (char)name->n;
    memcpy(key + 1, name->bytes, name->n);
    memcpy(key + 1 + name->n, domain->bytes, domain->n);
    struct str k = str_n(key, 1 + name->n + domain->n);

    if (!s->answers)
        s->answers = mem_new(ANSWERS * sizeof *s->answers);
    struct remembered *r = &s->answers[hash_bytes(0, k) % ANSWERS];
    *known = r->state_number == s->state_number && str_eq(str_n(r->key, r->key_bytes), k);
    if (!*known) {
        r->state_number = 0;
        memcpy(r->key, k.p, k.n);
        r->key_bytes = k.n;
    }
    return r;
}

int accounts_has(struct accounts *s, struct str local, struct str domain)
{
    struct folded name, folded_domain;
    bool known;
    if (!fold(local, LOCAL_PART_BYTES_MAX, &name) ||
        !fold(domain, DOMAIN_BYTES_MAX, &folded_domain))
        return 0;
    int error = database_look(s);
    if (error < 0 || !s->has)
        return error;
    struct remembered *r = remembered_find(s, &name, &folded_domain, &known);
    if (known)
        return r->found;
    int rc = step_with(s->has, &folded_domain, &name);
    error = error_of(rc);
    if (error < 0) {
        if (error != -EAGAIN)
            database_close(s); /* the next question starts afresh */
        return error;
    }
    r->found = rc == SQLITE_ROW;
    r->state_number = s->quiet ? s->state_number : 0;
    return r->found;
}

const char *accounts_name_problem(const struct address *address)
{
    if (address->local.n == 0 || address->local.n > LOCAL_PART_BYTES_MAX)
        return "the name before the @ has 1 to 64 characters";
    if (local_part_routes(address->local))
        return "the name before the @ cannot have %, ! or @ in it";
    for (size_t i = 0; i < address->local.n; i++)
        if (address->local.p[i] < ' ' || address->local.p[i] > '~')
            return "the name before the @ has only printable ASCII characters";
    if (address->domain.n == 0 || address->domain.p[0] == '[' ||
        !domain_valid(address->domain, true))
        return "after the @ stands a domain, as in bill@example.org";
    return NULL;
}

static int change(struct accounts *s, const char *sql, const struct address *address)
{
    struct folded name, domain;
    if (!fold(address->local, LOCAL_PART_BYTES_MAX, &name) ||
        !fold(address->domain, DOMAIN_BYTES_MAX, &domain))
        return -EINVAL;
    int error = database_look(s);
    if (error < 0 || !s->db)
        return error < 0 ? error : -ENOENT;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = step_with(stmt, &domain, &name);
    sqlite3_finalize(stmt);
    return error_of(rc);
}

int accounts_add(struct accounts *s, const struct address *address)
{
    if (accounts_name_problem(address))
        return -EINVAL;
    return change(s, "INSERT INTO account(domain, name) VALUES(?1, ?2)", address);
}

int accounts_remove(struct accounts *s, const struct address *address)
{
    int error = change(s, "DELETE FROM account WHERE domain=?1 AND name=?2", address);
    return error == 0 && sqlite3_changes(s->db) == 0 ? -ENOENT : error;
}

static struct str column(sqlite3_stmt *stmt, int index)
{
    const char *p = (const char *)sqlite3_column_text(stmt, index);
    return str_n(p, p ? (size_t)sqlite3_column_bytes(stmt, index) : 0);
}

int accounts_list(struct accounts *s, struct str domain, void (*fn)(void *arg, struct str address),
                  void *arg)
{
    static const char sql[] = "SELECT name, domain FROM account WHERE ?1='' OR domain=?1"
                              " ORDER BY domain, name";
    struct folded folded = {.n = 0};
    if (domain.n > 0 && !fold(domain, DOMAIN_BYTES_MAX, &folded))
        return 0;
    int error = database_look(s);
    if (error < 0 || !s->db)
        return error;

    sqlite3_stmt *stmt = NULL;
    int count = 0;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, folded.bytes, (int)folded.n, SQLITE_STATIC);
        struct buf text = buf_init(2 * KIB);
        for (rc = sqlite3_step(stmt); rc == SQLITE_ROW; rc = sqlite3_step(stmt), count++) {
            struct address address = {column(stmt, 0), column(stmt, 1)};
            buf_reset(&text);
            address_print(&text, &address);
            fn(arg, buf_str(&text));
        }
        buf_free(&text);
    }
    sqlite3_finalize(stmt);
    error = error_of(rc);
    return error < 0 ? error : count;
}
