/* spool/checkpoint.c - moves the log (queue.db-wal) into the database, beside the loop.
 *
 *   IDLE --the log is long--> COPYING (thread, second connection) --> the loop copies the rest
 *
 * The thread copies what is there when it starts, and syncs; commits go on meanwhile. What they
 * added is little, and is copied by the loop between two commits, so that the log is wholly
 * copied at one moment: only then does the next commit write it from its front again. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdlib.h>

#include "spool/internal.h"

enum { PAGE_BYTES = 4096 };

struct checkpoint {
    struct spool *spool;
    sqlite3 *second;
    struct background *background;
    struct background_job job;
    bool copying;
    int result; /* of SQLite, in the thread */
    int log_pages;
};

static int on_log(void *arg, sqlite3 *handle, const char *name, int pages)
{
    struct checkpoint *c = arg;

    c->log_pages = pages;
    return SQLITE_OK;
}

int checkpoint_open(struct spool *s)
{
    struct checkpoint *c = mem_new(sizeof(*c));

    s->checkpoint = c;
    c->spool = s;
    c->background = background_new();
    (void)sqlite3_wal_hook(s->db.handle, on_log, c);
    return db_open_second(s->dir_fd, s->o.sqlite_vfs, &c->second);
}

void checkpoint_close(struct spool *s)
{
    struct checkpoint *c = s->checkpoint;

    if (!c)
        return;
    background_free(&c->background);
    (void)sqlite3_close(c->second);
    free(c);
    s->checkpoint = NULL;
}

uint64_t checkpoint_bytes(const struct spool *s)
{
    return (uint64_t)s->checkpoint->log_pages * PAGE_BYTES;
}

/* A disk that is full or a log that is in use is tried again later: the log only grows. Any other
 * failure may have been a failed sync. */
static void note_result(struct checkpoint *c, int code, sqlite3 *handle)
{
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY && db_error(handle) == -EIO)
        c->spool->broken = true;
}

static void copy_work(struct background_job *job)
{
    struct checkpoint *c = list_of(job, struct checkpoint, job);

    c->result = sqlite3_wal_checkpoint_v2(c->second, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void copy_rest(struct checkpoint *c)
{
    struct spool *s = c->spool;

    if (s->reading && db_run(db_use(&s->db, SQL_COMMIT)) == 0)
        s->reading = false;
    int code = sqlite3_wal_checkpoint_v2(s->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    note_result(c, code, s->db.handle);
    c->log_pages = 0;
}

static void copy_finished(struct background_job *job)
{
    struct checkpoint *c = list_of(job, struct checkpoint, job);

    c->copying = false;
    note_result(c, c->result, c->second);
    if (c->result == SQLITE_OK && !c->spool->closing)
        copy_rest(c);
}

void checkpoint_step(struct spool *s)
{
    struct checkpoint *c = s->checkpoint;

    background_collect(c->background);
    int enough = s->short_of_room ? 1 : (int)s->o.checkpoint_pages;

    if (c->copying || c->log_pages < enough || s->broken)
        return;
    c->copying = true;
    c->result = SQLITE_OK;
    c->job.work = copy_work;
    c->job.finished = copy_finished;
    background_start(c->background, NULL, &c->job);
}

void spool_checkpoint(struct spool *s)
{
    if (s->broken)
        return;
    checkpoint_step(s);
    destinations_forget_idle(s);
}
