/* mailbox/maildir.c - the four steps of maildir.h; step 1 is maildir_write, the rest settle(). */
// SPDX-License-Identifier: ISC
#include "mailbox/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"

/* COPIES_MAX bounds open descriptors: at most two a copy. A larger batch settles in parts. */
enum { COPIES_MAX = 128, PIECE_BYTES = 64 * 1024, PART_BYTES_MAX = 255, HOST_BYTES_MAX = 150 };

struct folder { /* one mailbox of the batch */
    struct list link;
    const char *name;
    int fd;
    bool in_cur; /* a copy was found there: somebody moved it, perhaps not durably */
    int error;   /* what happened to step 4 */
};

struct copy {
    struct folder *folder;
    struct status *ret;
    const char *tmp, *name; /* below the folder; name is set when the size is known */
    int fd;                 /* -1: it is in the mailbox already */
    int error;
};

struct maildir_batch {
    int mail_fd;
    bool single; /* mail_fd is the mailbox */
    const struct disk *disk;
    struct str hostname;
    struct arena arena;
    struct list folders;
    struct copy copies[COPIES_MAX];
    size_t copy_count;
    struct buf out; /* what is to be written next */
    char *piece;    /* PIECE_BYTES, what was read from a descriptor */
};

struct maildir_batch *maildir_begin(int mail_fd, const struct disk *d, struct str hostname)
{
    struct maildir_batch *b = mem_new(sizeof(*b));

    b->mail_fd = mail_fd;
    b->disk = d;
    b->hostname = str_sub(hostname, 0, HOST_BYTES_MAX);
    b->out = buf_init(PIECE_BYTES);
    list_init(&b->folders);
    return b;
}

struct maildir_batch *maildir_begin_in(int maildir_fd, const struct disk *d, struct str hostname)
{
    struct maildir_batch *b = maildir_begin(maildir_fd, d, hostname);

    b->single = true;
    return b;
}

/* ---- outcomes ---- */

static struct status status_of(int error)
{
    static const struct {
        int error;
        uint8_t class, subject, detail;
        const char *text;
    } rows[] = {
        {0, 2, 0, 0, "delivered to the mailbox"},
        {-ENOSPC, 4, 3, 1, "the disk is full"},
        {-EDQUOT, 4, 2, 2, "the mailbox is over its quota"},
    };
    char text[100] = "cannot deliver: ";

    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].error == error)
            return status_make(0, rows[i].class, rows[i].subject, rows[i].detail,
                               str_c(rows[i].text));
    size_t n = strlen(text);
    char *words = strerror_r(-error, text + n, sizeof(text) - n);
    if (words != text + n) { /* the GNU one may return a text of its own */
        struct str s = str_sub(str_c(words), 0, sizeof(text) - 1 - n);

        memcpy(text + n, s.p, s.n);
        text[n + s.n] = 0;
    }
    return status_make(0, 4, 3, 0, str_c(text));
}

/* ---- folders ---- */

static bool part_valid(struct str s)
{
    if (s.n == 0 || s.n > PART_BYTES_MAX || s.p[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == '\x7f' || s.p[i] == '/')
            return false;
    return true;
}

bool mailbox_name_valid(struct str s)
{
    if (str_eq_c(s, "postmaster"))
        return true;
    struct str domain = str_cut(&s, '/');
    /* Nothing is below postmaster: it is a mailbox, "postmaster/new" would be inside it. */
    return part_valid(domain) && part_valid(s) && !str_eq_c(domain, "postmaster");
}

static int make_dir(const struct maildir_batch *b, int fd, const char *name)
{
    int r = b->disk->make_dir(b->disk, fd, name, 0700);

    return r == -EEXIST ? 0 : r;
}

static const char *domain_of(struct maildir_batch *b, const char *name)
{
    struct str all = str_c(name);
    size_t slash = str_find(all, '/');

    return slash < all.n ? arena_c(&b->arena, str_sub(all, 0, slash)) : NULL;
}

static int open_dir(const struct maildir_batch *b, const char *name)
{
    return b->disk->open(b->disk, b->mail_fd, name, O_RDONLY | O_DIRECTORY, 0);
}

static int folder_sync_dir(const struct maildir_batch *b, int at_fd, const char *name)
{
    int fd = b->disk->open(b->disk, at_fd, name, O_RDONLY | O_DIRECTORY, 0);

    if (fd < 0)
        return fd;
    int r = b->disk->sync_dir(b->disk, fd);
    b->disk->close(b->disk, fd);
    return r;
}

/* From the inside out. */
static int folder_sync_names(struct maildir_batch *b, const struct folder *f)
{
    const char *domain = domain_of(b, f->name);
    int r = b->disk->sync_dir(b->disk, f->fd);

    if (r == 0 && domain)
        r = folder_sync_dir(b, b->mail_fd, domain);
    return r == 0 ? b->disk->sync_dir(b->disk, b->mail_fd) : r;
}

/* The mailbox and what it is in; f->fd is open afterwards. tmp/ is made last, when the other
 * names are durable: where it is found they are, even if their maker was killed half-way. */
static int folder_make(struct maildir_batch *b, struct folder *f)
{
    const char *domain = domain_of(b, f->name);
    int r = domain ? make_dir(b, b->mail_fd, domain) : 0;

    if (r == 0)
        r = make_dir(b, b->mail_fd, f->name);
    if (r == 0 && f->fd < 0)
        r = f->fd = open_dir(b, f->name);
    if (r >= 0)
        r = make_dir(b, f->fd, "cur");
    if (r == 0)
        r = make_dir(b, f->fd, "new");
    if (r == 0)
        r = folder_sync_names(b, f);
    return r == 0 ? make_dir(b, f->fd, "tmp") : r;
}

static int folder_open(struct maildir_batch *b, struct str name, struct folder **ret)
{
    list_each (link, &b->folders) {
        *ret = list_of(link, struct folder, link);
        if (str_eq_c(name, (*ret)->name))
            return 0;
    }
    struct folder *f = arena_alloc(&b->arena, sizeof(*f));
    f->name = arena_c(&b->arena, name);
    f->fd = open_dir(b, f->name);
    int r = f->fd == -ENOENT ? folder_make(b, f) : f->fd;
    if (r < 0) {
        b->disk->close(b->disk, f->fd);
        return r;
    }
    list_add(&b->folders, &f->link);
    *ret = f;
    return 0;
}

/* Step 4. */
static int folder_sync(const struct maildir_batch *b, const struct folder *f)
{
    int r = folder_sync_dir(b, f->fd, "new");

    return r == 0 && f->in_cur ? folder_sync_dir(b, f->fd, "cur") : r;
}

/* ---- names ---- */

/* ':' and ',' begin what a mail reader adds, '/' is another folder. */
static const char *base_name(struct maildir_batch *b, const struct maildir_source *m,
                             uint32_t number)
{
    struct id_text id = id_print(m->id);
    struct str name = arena_printf(&b->arena, "%s.%u.%.*s", id.p, number, STR_ARG(b->hostname));
    char *p = arena_c(&b->arena, name);

    for (size_t i = 0; p[i]; i++)
        if (p[i] <= ' ' || strchr(":,/\x7f", p[i]))
            p[i] = '_';
    return p;
}

static int dir_open(int at_fd, const char *name, DIR **ret)
{
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    *ret = fd < 0 ? NULL : fdopendir(fd);
    if (*ret)
        return 0;
    int error = -errno;
    if (fd >= 0)
        (void)close(fd);
    return error;
}

static bool dir_has_prefix(int at_fd, const char *name, struct str prefix)
{
    DIR *dir;
    bool found = false;

    if (dir_open(at_fd, name, &dir) < 0)
        return false;
    for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir))
        found = str_starts(str_c(e->d_name), prefix);
    (void)closedir(dir);
    return found;
}

static bool folder_has(struct folder *f, const char *base)
{
    char prefix[NAME_MAX + 2];
    size_t n = strlen(base);

    check(n < NAME_MAX);
    memcpy(prefix, base, n);
    prefix[n] = ',';
    if (dir_has_prefix(f->fd, "new", str_n(prefix, n + 1)))
        return true;
    bool found = dir_has_prefix(f->fd, "cur", str_n(prefix, n + 1));
    f->in_cur = f->in_cur || found;
    return found;
}

/* ---- writing a copy: bytes gather in b->out and leave in large pieces ---- */

struct writer {
    struct maildir_batch *b;
    int fd;
    uint64_t offset; /* of what comes next */
    bool binary;     /* nothing is changed */
    bool cr;         /* a CR was seen that may belong to a CRLF */
    int error;
};

static void writer_flush(struct writer *w)
{
    struct buf *out = &w->b->out;

    if (w->error == 0 && out->n > 0)
        w->error = disk_write_at(w->b->disk, w->fd, buf_str(out), w->offset);
    w->offset += out->n;
    buf_reset(out);
}

static void writer_add(struct writer *w, struct str s)
{
    while (s.n > 0) {
        size_t n = MIN_OF(s.n, PIECE_BYTES - w->b->out.n);

        buf_add(&w->b->out, str_sub(s, 0, n));
        s = str_skip(s, n);
        if (w->b->out.n == PIECE_BYTES)
            writer_flush(w);
    }
}

/* CRLF becomes LF, also when it comes in two calls; a CR alone stays. */
static void writer_lines(struct writer *w, struct str s)
{
    if (w->binary) {
        writer_add(w, s);
        return;
    }
    while (s.n > 0) {
        if (w->cr && s.p[0] != '\n')
            writer_add(w, STR("\r"));
        size_t n = str_find(s, '\r');
        writer_add(w, str_sub(s, 0, n));
        w->cr = n < s.n;
        s = str_skip(s, n + 1);
    }
}

/* A field of ours; control characters would make a second one. */
static void writer_field(struct writer *w, const char *name, struct str value, struct str end)
{
    writer_add(w, str_c(name));
    for (size_t i = 0; i < value.n; i++) {
        bool control = (unsigned char)value.p[i] < ' ' || value.p[i] == '\x7f';

        writer_add(w, control ? STR("?") : str_sub(value, i, i + 1));
    }
    writer_add(w, end);
    writer_lines(w, STR("\r\n"));
}

static void writer_file(struct writer *w, const struct maildir_source *m)
{
    if (!w->b->piece)
        w->b->piece = mem_new(PIECE_BYTES);
    for (uint64_t at = 0; at < m->content_bytes && w->error == 0;) {
        size_t n = (size_t)MIN_OF(m->content_bytes - at, (uint64_t)PIECE_BYTES);

        w->error = disk_read_at(m->content_fd, w->b->piece, n, m->content_offset + at);
        if (w->error == 0)
            writer_lines(w, str_n(w->b->piece, n));
        at += n;
    }
}

/* Returns the size, or a negative errno. */
static int64_t copy_write(struct maildir_batch *b, int fd, struct str delivered_to,
                          const struct maildir_source *m)
{
    struct writer w = {.b = b, .fd = fd, .binary = m->binary};

    writer_field(&w, "Return-Path: <", m->sender, STR(">"));
    writer_field(&w, "Delivered-To: ", delivered_to, STR_NONE);
    writer_lines(&w, m->prefix);
    if (m->content_fd < 0)
        writer_lines(&w, m->content);
    else
        writer_file(&w, m);
    if (w.cr)
        writer_add(&w, STR("\r"));
    writer_flush(&w);
    return w.error ? w.error : (int64_t)w.offset;
}

static int tmp_open(struct maildir_batch *b, struct folder *f, const char *tmp)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
    int fd = b->disk->open(b->disk, f->fd, tmp, flags, 0600);

    if (fd != -ENOENT)
        return fd;
    int r = folder_make(b, f); /* somebody took tmp away, or we stopped while making it */
    return r < 0 ? r : b->disk->open(b->disk, f->fd, tmp, flags, 0600);
}

/* Step 1 for a copy with its names and folder; 0 or a negative errno. */
static int copy_begin(struct maildir_batch *b, struct copy *c, const char *base,
                      struct str delivered_to, const struct maildir_source *m)
{
    c->tmp = arena_printf(&b->arena, "tmp/%s", base).p;
    c->fd = tmp_open(b, c->folder, c->tmp);
    if (c->fd < 0)
        return c->fd;
    int64_t size = copy_write(b, c->fd, delivered_to, m);
    if (size < 0) {
        b->disk->close(b->disk, c->fd);
        (void)b->disk->unlink(b->disk, c->folder->fd, c->tmp); /* else swept one day */
        return (int)size;
    }
    /* The bytes start on their way now, so that the syncs find little left to do. A hint only. */
    (void)sync_file_range(c->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    c->name = arena_printf(&b->arena, "new/%s,S=%lld", base, (long long)size).p;
    return 0;
}

static void settle(struct maildir_batch *b);

void maildir_write(struct maildir_batch *b, struct str mailbox, struct str delivered_to,
                   uint32_t number, const struct maildir_source *m, struct status *ret)
{
    struct copy c = {.ret = ret, .fd = -1};

    if (b->single)
        mailbox = STR(".");
    else if (!mailbox_name_valid(mailbox)) {
        *ret = status_make(0, 4, 3, 5, STR("this is no name of a mailbox"));
        return;
    }
    if (b->copy_count == COPIES_MAX)
        settle(b);
    int r = folder_open(b, mailbox, &c.folder);
    const char *base = base_name(b, m, number);
    if (r == 0 && !(m->seen_before && folder_has(c.folder, base)))
        r = copy_begin(b, &c, base, delivered_to, m);
    if (r < 0)
        *ret = status_of(r);
    else
        b->copies[b->copy_count++] = c;
}

/* ---- commit ---- */

/* Steps 2 and 3. A sync that failed is not tried again (io/disk.h): the copy is given up. */
static void copies_publish(struct maildir_batch *b)
{
    const struct disk *d = b->disk;

    for (size_t i = 0; i < b->copy_count; i++)
        if (b->copies[i].fd >= 0)
            b->copies[i].error = d->sync(d, b->copies[i].fd);
    for (size_t i = 0; i < b->copy_count; i++) {
        struct copy *c = &b->copies[i];

        if (c->fd < 0)
            continue;
        d->close(d, c->fd);
        if (c->error == 0)
            c->error = d->rename(d, c->folder->fd, c->tmp, c->folder->fd, c->name);
        if (c->error < 0)
            (void)d->unlink(d, c->folder->fd, c->tmp);
    }
}

static void settle(struct maildir_batch *b)
{
    copies_publish(b);
    list_each (link, &b->folders) {
        struct folder *f = list_of(link, struct folder, link);

        f->error = folder_sync(b, f);
        b->disk->close(b->disk, f->fd);
    }
    for (size_t i = 0; i < b->copy_count; i++) {
        const struct copy *c = &b->copies[i];

        *c->ret = status_of(c->error ? c->error : c->folder->error);
    }
    b->copy_count = 0;
    list_init(&b->folders);
    arena_free(&b->arena);
}

void maildir_commit(struct maildir_batch **bp)
{
    struct maildir_batch *b = *bp;

    settle(b);
    buf_free(&b->out);
    free(b->piece);
    free(b);
    *bp = NULL;
}

/* ---- sweep ---- */

static void sweep_tmp(int mailbox_fd, const struct disk *d, uint64_t before_us)
{
    DIR *dir;

    if (dir_open(mailbox_fd, "tmp", &dir) < 0)
        return;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        struct stat st;

        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_mtime >= 0 && (uint64_t)st.st_mtime * US_PER_S < before_us)
            (void)d->unlink(d, dirfd(dir), e->d_name); /* else the next start tries again */
    }
    (void)closedir(dir);
}

void maildir_sweep_in(int maildir_fd, const struct disk *d, uint64_t before_us)
{
    sweep_tmp(maildir_fd, d, before_us);
}

static void sweep_mailbox(int at_fd, const char *name, const struct disk *d, uint64_t before_us)
{
    int fd = openat(at_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    sweep_tmp(fd, d, before_us);
    (void)close(fd);
}

static void sweep_domain(int mail_fd, const char *name, const struct disk *d, uint64_t before_us)
{
    DIR *dir;

    if (dir_open(mail_fd, name, &dir) < 0)
        return;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (e->d_name[0] != '.')
            sweep_mailbox(dirfd(dir), e->d_name, d, before_us);
    (void)closedir(dir);
}

int maildir_sweep(int mail_fd, const struct disk *d, uint64_t before_us)
{
    DIR *dir;
    int r = dir_open(mail_fd, ".", &dir);

    if (r < 0)
        return r;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, "postmaster") == 0)
            sweep_mailbox(mail_fd, e->d_name, d, before_us);
        else if (e->d_name[0] != '.')
            sweep_domain(mail_fd, e->d_name, d, before_us);
    }
    (void)closedir(dir);
    return 0;
}
