/* cli/submit_drop.c - leaves a message in STATE/drop, durably, for the server to take up.
 *
 *   1 part-X has all bytes, synced   2 it is drop-X   3 that name is on the disk
 *
 * Before 3 nobody is told that the message is safe. Users may not look into the folder, so it
 * cannot be opened to be synced: the file system as a whole is, which is slow and rare. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "cli/sendmail.h"
#include "io/disk.h"
#include "mail/drop.h"

struct names {
    char part[DROP_NAME_BYTES + 1], whole[DROP_NAME_BYTES + 1];
};

static int make_names(struct names *n)
{
    uint64_t random[2];
    char letters[26];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -EIO;
    base32_put(letters, 13, random[0]);
    base32_put(letters + 13, 13, random[1]);
    (void)snprintf(n->part, sizeof n->part, DROP_PART_PREFIX "%.26s", letters);
    (void)snprintf(n->whole, sizeof n->whole, DROP_PREFIX "%.26s", letters);
    return 0;
}

struct writing {
    int fd;
    uint64_t at;
    uint32_t crc;
    int error;
};

static void put(struct writing *w, struct str bytes)
{
    if (w->error == 0)
        w->error = disk_write_at(&disk_system, w->fd, bytes, w->at);
    w->at += bytes.n;
    w->crc = crc32c(w->crc, bytes.p, bytes.n);
}

static int write_all(int fd, const struct mail *m, struct str head)
{
    struct writing w = {.fd = fd};
    struct buf end = buf_init(DROP_END_BYTES);

    put(&w, head);
    put(&w, m->prefix);
    put(&w, m->content);
    drop_end_print(&end, &(struct drop_end){.message_bytes = w.at - head.n, .crc = w.crc});
    put(&w, buf_str(&end));
    buf_free(&end);
    return w.error;
}

/* The bytes first, then the name, then the name on the disk. */
static int publish(int folder, int fd, const struct names *n)
{
    int error = disk_system.sync(&disk_system, fd);

    if (error == 0)
        error = disk_system.rename(&disk_system, folder, n->part, folder, n->whole);
    if (error == 0 && syncfs(fd) < 0)
        error = -errno;
    return error;
}

/* Only the owner and root may read it. A server that is not root and somebody else could not:
 * then the name, which nobody can list, is what keeps it from others. */
static mode_t file_mode(int folder)
{
    struct stat st;
    bool readable = fstat(folder, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid());

    return readable ? 0600 : 0644;
}

static int write_file(int folder, const struct mail *m, struct str head, const struct names *n)
{
    int fd = disk_system.open(&disk_system, folder, n->part,
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return fd;
    int error = fchmod(fd, file_mode(folder)) < 0 ? -errno : write_all(fd, m, head);
    if (error == 0)
        error = publish(folder, fd, n);
    if (error < 0) {
        (void)unlinkat(folder, n->part, 0);
        (void)unlinkat(folder, n->whole, 0);
    }
    disk_system.close(&disk_system, fd);
    return error;
}

/* The disk's last bytes belong to mail that was already promised. */
static int check_room(int folder, const struct mail *m)
{
    uint64_t wanted = m->prefix.n + m->content.n + m->config->free_floor_bytes;
    uint64_t free_bytes;
    int error = disk_free_bytes(folder, &free_bytes);

    return error < 0 ? error : free_bytes < wanted ? -ENOSPC : 0;
}

static int leave(int folder, const struct mail *m)
{
    struct buf head = buf_init(DROP_HEAD_BYTES_MAX);
    struct names names;
    int error = make_names(&names);

    drop_head_print(&head, &(struct drop_head){.sender = m->sender,
                                               .body_8bit = m->body_8bit,
                                               .ret = m->ret,
                                               .envid = m->envid,
                                               .notify = m->notify,
                                               .recipients = m->recipients,
                                               .recipient_count = m->recipient_count});
    if (head.full)
        error = -E2BIG;
    if (error == 0)
        error = write_file(folder, m, buf_str(&head), &names);
    buf_free(&head);
    return error;
}

int submit_drop(const struct mail *m, struct buf *why)
{
    char path[4200];

    (void)snprintf(path, sizeof path, "%.*s/drop", STR_ARG(m->config->state));
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = folder < 0 ? -errno : check_room(folder, m);

    if (error == 0)
        error = leave(folder, m);
    if (folder >= 0)
        (void)close(folder);
    if (error < 0)
        buf_printf(why, "%s: %s", path, strerror(-error));
    return error;
}
