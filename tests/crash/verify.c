/* crash/verify.c - see verify.h. */
// SPDX-License-Identifier: ISC
#include "verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sound.h"
#include "spool/internal.h"

enum { QUEUED = 1, COPIED = 2, TOLD = 4, FATES_MAX = 8, ROWS = 64, PACKET_ROOM = 128 * 1024 };

#define AFTER_CONTENT STR("Subject: after the crash\r\n\r\n")

static bool problem(struct verifier *v, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(v->problem, sizeof(v->problem), format, list);
    va_end(list);
    return false;
}

static uint8_t *seen_of(struct verifier *v, const struct letter *l, size_t fate)
{
    return &v->seen[(size_t)(l - v->story->letters) * FATES_MAX + fate];
}

/* ---- mailboxes: looked at in the image, there is nothing to recover ---- */

/* "ID.NUMBER.HOST,S=SIZE" names a letter and a recipient. */
static struct fate *fate_of_name(struct verifier *v, const char *name, struct letter **ret,
                                 size_t *ret_fate)
{
    struct str rest = str_c(name);
    struct id id;
    uint64_t number;

    if (!id_parse(str_cut(&rest, '.'), &id) || !str_u64(str_cut(&rest, '.'), &number))
        return NULL;
    *ret = story_letter(v->story, id.key);
    if (*ret == NULL || number == 0 || number > (*ret)->count)
        return NULL;
    *ret_fate = (size_t)number - 1;
    return &(*ret)->fates[number - 1];
}

static bool verify_new(struct verifier *v, const struct image *m, uint32_t folder,
                       struct str mailbox)
{
    for (size_t i = 0; i < m->name_count; i++) {
        struct letter *l;
        size_t number;
        if (m->names[i].folder != folder)
            continue;
        const struct fate *f = fate_of_name(v, m->names[i].name, &l, &number);
        if (f == NULL || !str_eq(f->mailbox, mailbox))
            return problem(v, "new/%s: a file that nobody sent", m->names[i].name);
        if (!file_is(&m->files[m->names[i].node], f->copy))
            return problem(v, "new/%s: not the whole message", m->names[i].name);
        *seen_of(v, l, number) |= COPIED;
    }
    return true;
}

static bool verify_mail(struct verifier *v, const struct image *m)
{
    char path[300];

    for (size_t i = 0; i < m->name_count; i++) {
        const struct name *domain = &m->names[i];
        for (size_t k = 0; domain->folder == MAIL_NODE && k < m->name_count; k++) {
            const struct name *user = &m->names[k];
            if (user->folder != domain->node)
                continue;
            uint32_t folder = image_find(m, user->node, "new");
            (void)snprintf(path, sizeof(path), "%s/%s", domain->name, user->name);
            if (folder != 0 && !verify_new(v, m, folder, str_c(path)))
                return false;
        }
    }
    return true;
}

/* ---- the spool ---- */

static bool content_is(struct spool *s, const struct spool_message *m, struct arena *a,
                       struct str wanted)
{
    struct str content;
    int fd;

    if (!m->in_file)
        return spool_content(s, m->id.key, a, &content) == 0 && str_eq(content, wanted);
    if (m->size != wanted.n || spool_content_fd(s, m->id.key, &fd) < 0)
        return false;
    char *p = arena_alloc(a, wanted.n);
    bool same = disk_read_at(fd, p, wanted.n, 0) == 0 && memcmp(p, wanted.p, wanted.n) == 0;
    (void)close(fd);
    return same;
}

static bool verify_message(struct verifier *v, struct spool *s, struct arena *a, uint64_t key,
                           struct letter *l)
{
    struct spool_message m;

    if (spool_message(s, key, a, &m) < 0)
        return problem(v, "letter %zu: a recipient without its message", l - v->story->letters);
    if (!str_eq(m.sender, l->sender) || !str_eq(m.prefix, l->prefix))
        return problem(v, "letter %zu: another sender or header", l - v->story->letters);
    if (!content_is(s, &m, a, l->content))
        return problem(v, "letter %zu: torn: its content is not what was sent",
                       l - v->story->letters);
    return true;
}

/* The message that an earlier recovery took in. Its key may be one that a letter got later in the
 * story, after the crash that this is about. */
static bool is_after_letter(struct verifier *v, struct spool *s, struct arena *a, uint64_t key)
{
    struct spool_message m;

    return key == v->letter_after_key && spool_message(s, key, a, &m) == 0 &&
           content_is(s, &m, a, AFTER_CONTENT);
}

static bool verify_row(struct verifier *v, struct spool *s, struct arena *a,
                       const struct spool_recipient *r, uint64_t *last_key)
{
    struct letter *l = story_letter(v->story, r->key);
    bool first = *last_key != r->key;

    *last_key = r->key;
    if (is_after_letter(v, s, a, r->key))
        return true;
    if (l == NULL)
        return problem(v, "key %llu: a message that nobody sent", (unsigned long long)r->key);
    if (r->number == 0 || r->number > l->count ||
        !str_eq(r->address, l->fates[r->number - 1].address))
        return problem(v, "letter %zu: another recipient", l - v->story->letters);
    *seen_of(v, l, r->number - 1) |= QUEUED;
    return !first || verify_message(v, s, a, r->key, l);
}

static bool verify_rows(struct verifier *v, struct spool *s, uint64_t *ret_last_key)
{
    struct spool_cursor at = {0};
    struct spool_recipient rows[ROWS];
    struct arena a = ARENA_INIT;
    bool good = true;
    int n;

    *ret_last_key = 0;
    while (good && (n = spool_list(s, &at, &a, rows, ROWS)) != 0) {
        if (n < 0)
            good = problem(v, "the queue cannot be listed: %s", strerror(-n));
        for (int i = 0; good && i < n; i++)
            good = verify_row(v, s, &a, &rows[i], ret_last_key);
    }
    arena_free(&a);
    return good;
}

/* The lines that history has not taken. TOLD stands at the first recipient. */
static bool verify_events(struct verifier *v, struct spool *s)
{
    struct buf lines = buf_init(PACKET_ROOM);
    uint64_t number = 0;
    int r;

    while ((r = spool_events(s, number, &lines, &number)) > 0) {
        struct str rest = buf_str(&lines);
        while (rest.n > 0) {
            struct letter *l = story_accepted(v->story, str_cut(&rest, '\n'));
            if (l != NULL)
                *seen_of(v, l, 0) |= TOLD;
        }
        buf_reset(&lines);
    }
    buf_free(&lines);
    return r == 0 ? true : problem(v, "the events cannot be read: %s", strerror(-r));
}

/* ---- promises ---- */

static bool is_kept(struct verifier *v, const struct letter *l, size_t at);

/* Every recipient of the report is somewhere, and it names the address. */
static bool is_reported(struct verifier *v, const struct letter *l, const struct fate *f, size_t at)
{
    const struct story *s = v->story;

    for (size_t i = 0; i < s->count; i++) {
        const struct letter *r = &s->letters[i];
        if (r->about.key == l->id.key && r->about.key != 0 &&
            str_find_str(r->content, f->address) < r->content.n && is_kept(v, r, at))
            return true;
    }
    return false;
}

static bool is_kept(struct verifier *v, const struct letter *l, size_t at)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct fate *f = &l->fates[i];
        if (!(*seen_of(v, l, i) & (QUEUED | COPIED)) && f->handed_over_at > at &&
            f->removed_at > at && !is_reported(v, l, f, at))
            return false;
    }
    return true;
}

static bool verify_promises(struct verifier *v, size_t at)
{
    const struct story *s = v->story;

    for (size_t i = 0; i < s->count; i++) {
        const struct letter *l = &s->letters[i];
        for (size_t k = 0; k < l->count; k++) {
            if (l->fates[k].delivered_at <= at && !(*seen_of(v, l, k) & COPIED))
                return problem(v, "letter %zu recipient %zu: said to be delivered, no copy", i,
                               k + 1);
            if (l->fates[k].confirmed_at <= at && *seen_of(v, l, k) & QUEUED)
                return problem(v, "letter %zu recipient %zu: confirmed, queued again", i, k + 1);
        }
        if (l->accepted_at > at)
            continue;
        v->promises++;
        if (!is_kept(v, l, at))
            return problem(v, "letter %zu: it got 250 and is lost", i);
        if (l->told_at > at && !(*seen_of(v, l, 0) & TOLD))
            return problem(v, "letter %zu: nobody remembers that it was accepted", i);
    }
    return true;
}

/* ---- life goes on ---- */

static bool take_in(struct verifier *v, struct spool *s, struct id *ret)
{
    struct recipient to = {.address = STR("ann@example.test"),
                           .target = {.transport = TRANSPORT_LOCAL,
                                      .next_hop = STR("example.test/ann"),
                                      .address = STR("ann@example.test"),
                                      .why = STR("test")}};
    struct envelope e = {.client = STR("with=ESMTP"), .recipient_count = 1, .recipients = &to};
    struct spool_terms terms = {.due_us = 1, .expires_us = UINT64_MAX / 2};
    struct spool_entry *entry = NULL;
    int r = spool_begin(s, &e, AFTER_CONTENT.n, &entry);

    if (r == 0)
        r = spool_write(entry, AFTER_CONTENT);
    if (r == 0)
        r = spool_add(&entry, STR(OUR_PREFIX), &terms, ret);
    if (r == 0)
        r = spool_commit(s);
    return r == 0 ? true : problem(v, "nothing can be taken in: %s", strerror(-r));
}

/* The clock stands before all that happened: the key has to come from what the disk remembers. */
static bool verify_next(struct verifier *v, struct spool *s, size_t at, uint64_t last_key)
{
    struct arena a = ARENA_INIT;
    struct spool_message m = {0};
    struct id id;

    if (!take_in(v, s, &id))
        return false;
    bool good = spool_message(s, id.key, &a, &m) == 0 && content_is(s, &m, &a, AFTER_CONTENT);
    arena_free(&a);
    if (!good)
        return problem(v, "what was taken in after the recovery is not there");
    for (size_t i = 0; i < v->story->count; i++)
        if (v->story->letters[i].accepted_at <= at)
            last_key = MAX_OF(last_key, v->story->letters[i].id.key);
    v->letter_after_key = id.key;
    return id.key > last_key ? true : problem(v, "an id was given out twice");
}

static bool verify_spool(struct verifier *v, struct spool *s, size_t at, const struct after *after)
{
    struct spool_recipient row;
    struct arena a = ARENA_INIT;
    uint64_t last_key;

    v->letter_after_key = after->letter_key;
    const char *unsound = database_problem(s->db.handle);
    bool good = unsound == NULL ? true : problem(v, "the database: %s", unsound);

    good = good && verify_rows(v, s, &last_key) && verify_events(v, s) && verify_promises(v, at);
    if (good && after->answered && spool_recipients(s, after->letter_key, 0, &a, &row, 1) != 1)
        good = problem(v, "what was taken in after the first recovery is lost");
    arena_free(&a);
    return good && verify_next(v, s, at, last_key);
}

/* ---- real files ---- */

static void empty_folder(int dir_fd)
{
    DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    check(dir != NULL);
    for (struct dirent *at = readdir(dir); at != NULL; at = readdir(dir)) {
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
            continue;
        if (unlinkat(dir_fd, at->d_name, 0) == 0)
            continue;
        int fd = openat(dir_fd, at->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        check(fd >= 0);
        empty_folder(fd);
        (void)close(fd);
        check(unlinkat(dir_fd, at->d_name, AT_REMOVEDIR) == 0);
    }
    (void)closedir(dir);
}

/* On a tmpfs room is real memory, which would be the slowest part of the test. */
static int sparse_allocate(const struct disk *d, int fd, uint64_t bytes)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    return (uint64_t)st.st_size >= bytes || ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
}

static uint64_t long_ago(const struct clock *c)
{
    return ID_EPOCH_US + 1;
}

void verifier_init(struct verifier *v, struct story *s, const char *folder)
{
    *v = (struct verifier){.story = s, .clock = {.now_us = long_ago, .monotonic_us = long_ago}};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(fd >= 0 && mkdirat(fd, "spool", 0700) == 0);
    v->spool_fd = openat(fd, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    v->mail_fd = fd;
    v->seen = mem_new(s->count * FATES_MAX + 1);
    check(v->spool_fd >= 0);
}

void verifier_done(struct verifier *v)
{
    empty_folder(v->mail_fd);
    (void)close(v->spool_fd);
    (void)close(v->mail_fd);
    free(v->seen);
}

static bool verify_opened(struct verifier *v, size_t at, const struct after *after,
                          struct log *record, size_t *ret_answered)
{
    struct disk quick = disk_system;
    struct spool_options o = {.disk = &quick, .clock = &v->clock, .reserve_bytes = 64 * KIB};
    struct spool *s = NULL;

    quick.allocate = sparse_allocate;
    if (record != NULL) {
        o.disk = &recorder_disk;
        o.sqlite_vfs = recorder_vfs();
    }
    o.segment_bytes = 136 * 1024;
    int r = spool_open(v->spool_fd, &o, &s);
    if (r < 0)
        return problem(v, "the spool does not open: %s", strerror(-r));
    bool good = verify_spool(v, s, at, after);
    if (record != NULL) {
        *ret_answered = record->count;
        recorder_die_at(0);
    }
    spool_close(&s);
    return good;
}

bool verify(struct verifier *v, const struct image *m, size_t at, const struct after *after,
            struct log *record, size_t *ret_answered)
{
    memset(v->seen, 0, v->story->count * FATES_MAX);
    if (!verify_mail(v, m))
        return false;
    empty_folder(v->spool_fd);
    image_store(m, SPOOL_NODE, v->spool_fd);
    if (record != NULL)
        recorder_begin(record, m, v->spool_fd, v->mail_fd, FAULT_NONE);
    bool good = verify_opened(v, at, after, record, ret_answered);
    if (record != NULL)
        recorder_end();
    return good;
}
