/* crash/recorder.c - see recorder.h. */
// SPDX-License-Identifier: ISC
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

#include "base/check.h"

enum { DESCRIPTORS_MAX = 1024 };

static struct {
    struct log *log;
    struct image now; /* its names; the bytes are in the real files */
    uint32_t node_of[DESCRIPTORS_MAX];
    bool below_mail[DESCRIPTORS_MAX];
    bool dead;
    size_t die_at;
    enum fault fault;
    size_t calls, refuse_at; /* calls that a disk may refuse; the one that it does */
    int refusal;             /* a negative errno */
    bool rests;
    uint32_t late; /* FAULT_LATE_SYNC: the file whose sync comes after SQLite's */
} recorder;

static bool alive(void)
{
    if (recorder.log->count >= recorder.die_at)
        recorder.dead = true;
    return !recorder.dead;
}

/* 0, or what this call ends with. */
static int refused(void)
{
    if (!alive())
        return -EIO;
    if (recorder.rests)
        return 0;
    return ++recorder.calls == recorder.refuse_at ? recorder.refusal : 0;
}

static void record(const struct step *s)
{
    log_add(recorder.log, s);
    if (s->name != NULL) /* the copy in the log lives as long as it is needed */
        image_apply(&recorder.now, &recorder.log->steps[recorder.log->count - 1], 0);
}

void recorder_begin(struct log *l, const struct image *now, int spool_fd, int mail_fd,
                    enum fault fault)
{
    recorder.log = l;
    recorder.fault = fault;
    recorder.late = 0;
    image_clone(&recorder.now, now);
    recorder.node_of[spool_fd] = SPOOL_NODE;
    recorder.node_of[mail_fd] = MAIL_NODE;
    recorder.below_mail[mail_fd] = true;
    recorder_revive();
}

void recorder_end(void)
{
    image_done(&recorder.now);
    recorder.log = NULL;
}

void recorder_die_at(size_t step)
{
    recorder.die_at = step;
}

bool recorder_dead(void)
{
    return recorder.dead;
}

void recorder_die(void)
{
    recorder.dead = true;
}

void recorder_refuse(size_t call, int error)
{
    recorder.calls = 0;
    recorder.refuse_at = call;
    recorder.refusal = error;
}

void recorder_rest(bool rest)
{
    recorder.rests = rest;
}

size_t recorder_calls(void)
{
    return recorder.calls;
}

void recorder_revive(void)
{
    recorder.dead = false;
    recorder.die_at = SIZE_MAX;
}

/* ---- struct disk ---- */

static int descriptor(int fd)
{
    check(fd >= 0 && fd < DESCRIPTORS_MAX);
    return fd;
}

/* "tmp/x" below dir_fd: the folder tmp, and "x". */
static uint32_t folder_of(int dir_fd, const char **name)
{
    uint32_t folder = recorder.node_of[descriptor(dir_fd)];
    char part[256];

    for (const char *slash = strchr(*name, '/'); slash != NULL; slash = strchr(*name, '/')) {
        size_t n = (size_t)(slash - *name);
        check(n < sizeof(part));
        memcpy(part, *name, n);
        part[n] = 0;
        folder = image_find(&recorder.now, folder, part);
        *name = slash + 1;
    }
    return folder;
}

static uint32_t record_name(uint32_t folder, const char *name, bool is_folder)
{
    uint32_t node = recorder.log->node_count++;

    record(&(struct step){
        .kind = STEP_NAME, .node = folder, .child = node, .name = name, .offset = is_folder});
    return node;
}

static int disk_open(const struct disk *d, int dir_fd, const char *path, int flags, unsigned mode)
{
    const char *name = path;
    uint32_t folder = folder_of(dir_fd, &name);
    uint32_t node = image_find(&recorder.now, folder, name);

    int r = alive() || flags & (O_CREAT | O_TRUNC) ? refused() : 0;
    if (r < 0)
        return r;
    int fd = disk_system.open(&disk_system, dir_fd, path, flags, mode);
    if (fd < 0)
        return fd;
    if (node == 0)
        node = record_name(folder, name, false);
    else if (flags & O_TRUNC)
        record(&(struct step){.kind = STEP_CUT, .node = node});
    recorder.node_of[descriptor(fd)] = node;
    recorder.below_mail[fd] = recorder.below_mail[dir_fd];
    return fd;
}

static int disk_write(const struct disk *d, int fd, const struct iovec *iov, int iov_count,
                      uint64_t offset)
{
    int r = refused();
    if (r < 0)
        return r;
    r = disk_system.write_at(&disk_system, fd, iov, iov_count, offset);
    for (int i = 0; r == 0 && i < iov_count; i++) {
        if (iov[i].iov_len > 0)
            record(&(struct step){.kind = STEP_WRITE,
                                  .node = recorder.node_of[descriptor(fd)],
                                  .offset = offset,
                                  .bytes = str_n(iov[i].iov_base, iov[i].iov_len)});
        offset += iov[i].iov_len;
    }
    return r;
}

static int resize(int fd, uint64_t bytes, enum step_kind kind,
                  int (*call)(const struct disk *d, int fd, uint64_t bytes))
{
    int r = refused();
    if (r < 0)
        return r;
    r = call(&disk_system, fd, bytes);
    if (r == 0)
        record(&(struct step){
            .kind = kind, .node = recorder.node_of[descriptor(fd)], .offset = bytes});
    return r;
}

static int disk_allocate(const struct disk *d, int fd, uint64_t bytes)
{
    return resize(fd, bytes, STEP_GROW, disk_system.allocate);
}

static int disk_truncate(const struct disk *d, int fd, uint64_t bytes)
{
    return resize(fd, bytes, STEP_CUT, disk_system.truncate);
}

static int record_sync(uint32_t node)
{
    int r = refused();
    if (r < 0)
        return r;
    record(&(struct step){.kind = STEP_SYNC, .node = node});
    return 0;
}

/* The real files are on a tmpfs, where a sync is nothing: it only has to be in the log. */
static int disk_sync(const struct disk *d, int fd)
{
    uint32_t node = recorder.node_of[descriptor(fd)];

    if (recorder.fault == FAULT_SYNC ||
        (recorder.fault == FAULT_MAIL_SYNC && recorder.below_mail[fd]))
        return 0;
    if (recorder.fault != FAULT_LATE_SYNC)
        return record_sync(node);
    recorder.late = node;
    return 0;
}

static int disk_sync_dir(const struct disk *d, int dir_fd)
{
    uint32_t node = recorder.node_of[descriptor(dir_fd)];

    return recorder.fault == FAULT_FOLDER_SYNC ? 0 : record_sync(node);
}

static int disk_link_fd(const struct disk *d, int fd, int dir_fd, const char *name)
{
    return -EOPNOTSUPP; /* nobody here uses it */
}

/* Between two folders the new name and the end of the old one are two things: each folder's own
 * sync makes its half durable. */
static int disk_rename(const struct disk *d, int from_fd, const char *from_path, int to_fd,
                       const char *to_path)
{
    const char *from = from_path;
    const char *to = to_path;
    uint32_t from_folder = folder_of(from_fd, &from);
    uint32_t to_folder = folder_of(to_fd, &to);
    uint32_t node = image_find(&recorder.now, from_folder, from);

    int r = refused();
    if (r < 0)
        return r;
    r = disk_system.rename(&disk_system, from_fd, from_path, to_fd, to_path);
    if (r < 0)
        return r;
    struct step s = {.node = to_folder, .child = node, .name = to};
    if (from_folder == to_folder) {
        s.kind = STEP_RENAME;
        s.name = from;
        s.to = to;
        record(&s);
        return 0;
    }
    s.kind = STEP_NAME;
    record(&s);
    record(&(struct step){.kind = STEP_UNNAME, .node = from_folder, .child = node, .name = from});
    return 0;
}

static int disk_unlink(const struct disk *d, int dir_fd, const char *path)
{
    const char *name = path;
    uint32_t folder = folder_of(dir_fd, &name);
    uint32_t node = image_find(&recorder.now, folder, name);

    int r = refused();
    if (r < 0)
        return r;
    r = disk_system.unlink(&disk_system, dir_fd, path);
    if (r == 0)
        record(&(struct step){.kind = STEP_UNNAME, .node = folder, .child = node, .name = name});
    return r;
}

static int disk_make_dir(const struct disk *d, int dir_fd, const char *path, unsigned mode)
{
    const char *name = path;
    uint32_t folder = folder_of(dir_fd, &name);

    int r = refused();
    if (r < 0)
        return r;
    r = disk_system.make_dir(&disk_system, dir_fd, path, mode);
    if (r == 0)
        (void)record_name(folder, name, true);
    return r;
}

static void disk_close(const struct disk *d, int fd)
{
    disk_system.close(&disk_system, fd);
}

const struct disk recorder_disk = {
    .open = disk_open,
    .write_at = disk_write,
    .allocate = disk_allocate,
    .truncate = disk_truncate,
    .sync = disk_sync,
    .sync_dir = disk_sync_dir,
    .link_fd = disk_link_fd,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .make_dir = disk_make_dir,
    .close = disk_close,
};

/* ---- SQLite: a layer over the system's own VFS; the log's index (-shm) is memory and not recorded ---- */

struct recorded_file {
    sqlite3_file base;
    uint32_t node;        /* 0: a temporary one */
    bool folder_unsynced; /* a new journal: its first sync syncs the folder, too (os_unix.c) */
    sqlite3_file *real;   /* behind this struct */
};

static struct recorded_file *recorded(sqlite3_file *f)
{
    return (struct recorded_file *)(void *)f;
}

static sqlite3_file *real(sqlite3_file *f)
{
    return recorded(f)->real;
}

/* SQLITE_OK, or how SQLite is told of it. */
static int refused_as(const struct recorded_file *file, int other)
{
    int r = file->node != 0 ? refused() : 0;

    return r == 0 ? SQLITE_OK : r == -ENOSPC ? SQLITE_FULL : other;
}

static int vfs_close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}

static int vfs_read(sqlite3_file *f, void *to, int n, sqlite3_int64 offset)
{
    int r = alive() ? refused_as(recorded(f), SQLITE_IOERR_READ) : SQLITE_OK;

    return r != SQLITE_OK ? r : real(f)->pMethods->xRead(real(f), to, n, offset);
}

static int vfs_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 offset)
{
    int r = refused_as(recorded(f), SQLITE_IOERR_WRITE);
    if (r != SQLITE_OK)
        return r;
    r = real(f)->pMethods->xWrite(real(f), from, n, offset);
    if (r == SQLITE_OK && recorded(f)->node != 0)
        record(&(struct step){.kind = STEP_WRITE,
                              .node = recorded(f)->node,
                              .offset = (uint64_t)offset,
                              .bytes = str_n(from, (size_t)n)});
    return r;
}

static int vfs_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int r = refused_as(recorded(f), SQLITE_IOERR_TRUNCATE);
    if (r != SQLITE_OK)
        return r;
    r = real(f)->pMethods->xTruncate(real(f), size);
    if (r == SQLITE_OK && recorded(f)->node != 0)
        record(
            &(struct step){.kind = STEP_CUT, .node = recorded(f)->node, .offset = (uint64_t)size});
    return r;
}

static int vfs_sync(sqlite3_file *f, int flags)
{
    struct recorded_file *file = recorded(f);

    if (file->node == 0 || recorder.fault == FAULT_LOG_SYNC)
        return SQLITE_OK;
    int r = record_sync(file->node);
    if (r == 0 && file->folder_unsynced)
        r = record_sync(SPOOL_NODE);
    if (r == 0 && recorder.late != 0)
        r = record_sync(recorder.late);
    if (r < 0)
        return SQLITE_IOERR_FSYNC;
    file->folder_unsynced = false;
    recorder.late = 0;
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return real(f)->pMethods->xFileSize(real(f), ret);
}

static int vfs_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int vfs_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int vfs_reserved(sqlite3_file *f, int *ret)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int vfs_control(sqlite3_file *f, int what, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), what, arg);
}

static int vfs_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int vfs_device(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int vfs_shm_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **ret)
{
    int r = alive() ? refused_as(recorded(f), SQLITE_IOERR_SHMMAP) : SQLITE_OK;

    return r != SQLITE_OK ? r : real(f)->pMethods->xShmMap(real(f), page, bytes, extend, ret);
}

static int vfs_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void vfs_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int vfs_shm_unmap(sqlite3_file *f, int delete)
{
    return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no memory-mapped pages: they would not be seen here */
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_device,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int vfs_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
    enum { JOURNAL = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL };
    struct recorded_file *file = recorded(f);
    bool kept = flags & (SQLITE_OPEN_MAIN_DB | JOURNAL);
    uint32_t node = kept ? image_find(&recorder.now, SPOOL_NODE, last_part(path)) : 0;

    *file = (struct recorded_file){.real = (sqlite3_file *)(void *)(file + 1)};
    if (kept && (alive() || node == 0) && refused() < 0)
        return SQLITE_CANTOPEN;
    int r = real_vfs->xOpen(real_vfs, path, file->real, flags, ret_flags);
    if (r != SQLITE_OK)
        return r;
    if (kept && node == 0)
        node = record_name(SPOOL_NODE, last_part(path), false);
    file->node = node;
    file->folder_unsynced = (flags & JOURNAL) && (flags & SQLITE_OPEN_CREATE);
    f->pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *v, const char *path, int sync_folder)
{
    uint32_t node = image_find(&recorder.now, SPOOL_NODE, last_part(path));

    if (node != 0 && refused() < 0)
        return SQLITE_IOERR_DELETE;
    int r = real_vfs->xDelete(real_vfs, path, 0);
    if (r == SQLITE_OK && node != 0)
        record(&(struct step){
            .kind = STEP_UNNAME, .node = SPOOL_NODE, .child = node, .name = last_part(path)});
    if (r == SQLITE_OK && node != 0 && sync_folder && recorder.fault != FAULT_LOG_SYNC)
        (void)record_sync(SPOOL_NODE);
    return r;
}

const char *recorder_vfs(void)
{
    if (real_vfs == NULL) {
        real_vfs = sqlite3_vfs_find(NULL);
        vfs = *real_vfs;
        vfs.szOsFile = (int)sizeof(struct recorded_file) + real_vfs->szOsFile;
        vfs.pNext = NULL;
        vfs.zName = "recorder";
        vfs.xOpen = vfs_open;
        vfs.xDelete = vfs_delete;
        check(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
    }
    return vfs.zName;
}
