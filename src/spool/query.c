/* spool/query.c - reading: what the last commit left. Every question costs what it returns, never
 * what lies in the spool; db_test.c looks at the query plans. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "spool/internal.h"

enum { TOO_LOW_MAX = 1000 }; /* bounds corrected for one question */

/* ---- destinations ---- */

static void read_destination(sqlite3_stmt *st, struct arena *a, struct spool_destination *ret)
{
    *ret = (struct spool_destination){
        .id = column_u64(st, 0),
        .transport = (enum transport)column_u64(st, 1),
        .next_hop = column_str(st, 2, a),
        .back_off_until_us = column_u64(st, 3),
        .failures = (uint32_t)column_u64(st, 4),
        .due_us = column_u64_or(st, 5, UINT64_MAX),
        .last = column_status(st, 6),
    };
}

static int one_destination(struct spool *s, sqlite3_stmt *st, struct arena *a,
                           struct spool_destination *ret)
{
    int r = db_row(st);

    if (r != 1)
        return r < 0 ? r : -ENOENT;
    read_destination(st, a, ret);
    db_end(st);
    return destination_earliest(s, ret->id, &ret->due_us);
}

int spool_destination(struct spool *s, uint64_t id, struct arena *a, struct spool_destination *ret)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_DESTINATION);
    bind_u64(st, 1, id);
    return one_destination(s, st, a, ret);
}

int spool_destination_find(struct spool *s, enum transport t, struct str next_hop, struct arena *a,
                           struct spool_destination *ret)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_FIND_DESTINATION);
    bind_str(st, 1, next_hop);
    bind_u64(st, 2, t);
    return one_destination(s, st, a, ret);
}

static int next_wake(struct spool *s, uint64_t now_us, uint64_t *ret)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_NEXT_WAKE);

    bind_u64(st, 1, now_us);
    int r = db_row(st);
    if (r < 0)
        return r;
    *ret = r == 1 ? column_u64_or(st, 0, UINT64_MAX) : UINT64_MAX;
    db_end(st);
    return 0;
}

/* The next row of a destination that has others which are due already. */
static int next_due(struct spool *s, uint64_t destination, uint64_t now_us, uint64_t *earliest)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_NEXT_DUE);

    bind_u64(st, 1, destination);
    bind_u64(st, 2, now_us);
    int r = db_row(st);
    if (r < 0)
        return r;
    if (r == 1)
        *earliest = MIN_OF(*earliest, column_u64_or(st, 0, UINT64_MAX));
    db_end(st);
    return 0;
}

struct due_page {
    uint64_t now_us;
    struct arena *arena;
    struct spool_destination *list;
    size_t count, count_max;
    uint64_t next_us; /* the earliest of those that next_wake does not see */
    int too_low;
};

/* Takes the row into the page if something is really due there. */
static int take_due(struct spool *s, sqlite3_stmt *st, struct due_page *page)
{
    struct spool_destination *d = &page->list[page->count];

    read_destination(st, page->arena, d);
    int r = destination_earliest(s, d->id, &d->due_us);
    if (r < 0)
        return r;
    if (d->due_us <= page->now_us) {
        page->count++;
        return next_due(s, d->id, page->now_us, &page->next_us);
    }
    destination_correct(s, d->id, d->transport, d->next_hop);
    page->next_us = MIN_OF(page->next_us, d->due_us);
    page->too_low++;
    return 0;
}

static int walk_due(struct spool *s, struct due_page *page, struct spool_cursor *cursor)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_DUE_DESTINATIONS);
    int r = 1;

    bind_u64(st, 1, page->now_us);
    bind_u64(st, 2, cursor->due_us);
    bind_u64(st, 3, cursor->key);
    while (page->count < page->count_max && page->too_low < TOO_LOW_MAX) {
        r = db_row(st);
        if (r != 1)
            return r;
        cursor->due_us = column_u64(st, 7);
        cursor->key = column_u64(st, 0);
        r = take_due(s, st, page);
        if (r < 0)
            break;
    }
    db_end(st);
    return r < 0 ? r : 0;
}

int spool_due_destinations_page(struct spool *s, uint64_t now_us, struct spool_cursor *cursor,
                                struct arena *a, struct spool_destination *ret, size_t count,
                                uint64_t *next_us)
{
    struct due_page page = {
        .now_us = now_us,
        .arena = a,
        .list = ret,
        .count_max = count,
        .next_us = UINT64_MAX,
    };
    int r = spool_read_begin(s);

    if (r == 0)
        r = walk_due(s, &page, cursor);
    if (r == 0)
        r = next_wake(s, now_us, next_us);
    if (r < 0)
        return r;
    *next_us = page.too_low == TOO_LOW_MAX ? now_us : MIN_OF(*next_us, page.next_us);
    return (int)page.count;
}

int spool_due_destinations(struct spool *s, uint64_t now_us, struct arena *a,
                           struct spool_destination *ret, size_t count, uint64_t *next_us)
{
    struct spool_cursor first = {0};

    return spool_due_destinations_page(s, now_us, &first, a, ret, count, next_us);
}

/* ---- recipients ---- */

static void read_recipient(sqlite3_stmt *st, struct arena *a, struct spool_recipient *ret)
{
    *ret = (struct spool_recipient){
        .key = column_u64(st, 0),
        .number = (uint32_t)column_u64(st, 1),
        .destination = column_u64(st, 2),
        .address = column_str(st, 3, a),
        .transport = (enum transport)column_u64(st, 5),
        .next_hop = column_str(st, 6, a),
        .why = column_str(st, 7, a),
        .held = column_u64(st, 8) != 0,
        .attempts = (uint32_t)column_u64(st, 9),
        .due_us = column_u64(st, 10),
        .age_us = column_u64(st, 11),
        .expires_us = column_u64_or(st, 13, column_u64(st, 11)),
        .last = column_status(st, 12),
        .notify = {.when = (unsigned)column_u64(st, 14), .orcpt = column_str(st, 15, a)},
    };
    bool same = sqlite3_column_type(st, 4) == SQLITE_NULL;
    ret->original = same ? ret->address : column_str(st, 4, a);
}

static int read_recipients(sqlite3_stmt *st, struct arena *a, struct spool_recipient *ret,
                           size_t count)
{
    size_t n = 0;

    while (n < count) {
        int r = db_row(st);
        if (r < 0)
            return r;
        if (r == 0)
            return (int)n;
        read_recipient(st, a, &ret[n++]);
    }
    db_end(st);
    return (int)n;
}

static int recipients_by_time(struct spool *s, enum sql which, uint64_t destination,
                              uint64_t now_us, const struct spool_cursor *cursor, struct arena *a,
                              struct spool_recipient *ret, size_t count)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, which);
    bind_u64(st, 1, destination);
    bind_u64(st, 2, now_us);
    bind_u64(st, 3, cursor->due_us);
    bind_u64(st, 4, cursor->key);
    bind_u64(st, 5, cursor->number);
    bind_u64(st, 6, count);
    return read_recipients(st, a, ret, count);
}

static void cursor_behind(struct spool_cursor *cursor, uint64_t time_us,
                          const struct spool_recipient *last)
{
    *cursor = (struct spool_cursor){.due_us = time_us, .key = last->key, .number = last->number};
}

int spool_due_recipients(struct spool *s, uint64_t destination, uint64_t now_us,
                         struct spool_cursor *cursor, struct arena *a, struct spool_recipient *ret,
                         size_t count)
{
    int n = recipients_by_time(s, SQL_DUE_RECIPIENTS, destination, now_us, cursor, a, ret, count);

    if (n > 0)
        cursor_behind(cursor, ret[n - 1].due_us, &ret[n - 1]);
    return n;
}

int spool_aged_recipients(struct spool *s, uint64_t destination, uint64_t now_us,
                          struct spool_cursor *cursor, struct arena *a, struct spool_recipient *ret,
                          size_t count)
{
    int n = recipients_by_time(s, SQL_AGED_RECIPIENTS, destination, now_us, cursor, a, ret, count);

    if (n > 0)
        cursor_behind(cursor, ret[n - 1].age_us, &ret[n - 1]);
    return n;
}

static int recipients_by_key(struct spool *s, enum sql which, uint64_t key, uint32_t number,
                             struct arena *a, struct spool_recipient *ret, size_t count)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, which);
    bind_u64(st, 1, key);
    bind_u64(st, 2, number);
    bind_u64(st, 3, count);
    return read_recipients(st, a, ret, count);
}

int spool_recipients(struct spool *s, uint64_t key, uint32_t after_number, struct arena *a,
                     struct spool_recipient *ret, size_t count)
{
    return recipients_by_key(s, SQL_RECIPIENTS, key, after_number, a, ret, count);
}

int spool_list(struct spool *s, struct spool_cursor *after, struct arena *a,
               struct spool_recipient *ret, size_t count)
{
    int n = recipients_by_key(s, SQL_LIST, after->key, after->number, a, ret, count);

    if (n > 0)
        cursor_behind(after, ret[n - 1].due_us, &ret[n - 1]);
    return n;
}

/* ---- messages ---- */

static void read_message(const struct spool *s, sqlite3_stmt *st, struct arena *a,
                         struct spool_message *ret)
{
    *ret = (struct spool_message){
        .id = {.key = column_u64(st, 11), .node = s->node},
        .sender = column_str(st, 0, a),
        .client = column_str(st, 1, a),
        .prefix = column_str(st, 2, a),
        .received_us = column_u64(st, 3),
        .expires_us = column_u64(st, 4),
        .size = column_u64(st, 5),
        .body = (enum body)column_u64(st, 6),
        .in_file = column_place(st, 7).kind == IN_FILE,
        .ret = (enum notify_return)column_u64(st, 8),
        .envid = column_str(st, 9, a),
        .utf8 = (enum message_utf8)MIN_OF(column_u64(st, 10), (uint64_t)UTF8_HEADER),
    };
}

int spool_messages(struct spool *s, uint64_t first, uint64_t last, struct arena *a,
                   struct spool_message *ret, size_t count)
{
    size_t n = 0;
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_MESSAGES);
    bind_u64(st, 1, first);
    bind_u64(st, 2, last);
    bind_u64(st, 3, count);
    while ((r = db_row(st)) == 1)
        read_message(s, st, a, &ret[n++]);
    return r < 0 ? r : (int)n;
}

int spool_message(struct spool *s, uint64_t key, struct arena *a, struct spool_message *ret)
{
    int n = spool_messages(s, key, key, a, ret, 1);

    return n == 0 ? -ENOENT : MIN_OF(n, 0);
}

struct place column_place(sqlite3_stmt *st, int at)
{
    struct place p = {.segment.number = (uint32_t)column_u64(st, at)};

    if (sqlite3_column_type(st, at) != SQLITE_NULL)
        p.kind = p.segment.number ? IN_SEGMENT : IN_ROW;
    return p;
}

static int find_content(struct spool *s, uint64_t key, struct place *place, uint64_t *size)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_MESSAGE_PLACE);
    bind_u64(st, 1, key);
    r = db_row(st);
    if (r != 1)
        return r < 0 ? r : -ENOENT;
    *place = column_place(st, 0);
    place->segment.offset = column_u64(st, 1);
    *size = column_u64(st, 2);
    db_end(st);
    return 0;
}

static int read_row(struct spool *s, uint64_t key, uint64_t size, struct arena *a, struct str *ret)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_CONTENT);

    bind_u64(st, 1, key);
    int r = db_row(st);
    if (r != 1)
        return r < 0 ? r : -EBADMSG;
    uint32_t crc = (uint32_t)column_u64(st, 0);
    *ret = column_str(st, 1, a);
    db_end(st);
    return ret->n == size && crc == crc32c(0, ret->p, ret->n) ? 0 : -EBADMSG;
}

int spool_content(struct spool *s, uint64_t key, struct arena *a, struct str *ret)
{
    struct place place;
    uint64_t size;
    int r = find_content(s, key, &place, &size);

    if (r < 0)
        return r;
    if (place.kind == IN_FILE)
        return -EINVAL;
    if (place.kind == IN_ROW)
        return read_row(s, key, size, a, ret);
    return segments_read(s->segments, place.segment, key, size, a, ret);
}

int spool_content_fd(struct spool *s, uint64_t key, int *ret_fd)
{
    const struct disk *d = s->o.disk;
    char name[LARGE_NAME_BYTES];
    struct place place;
    struct stat st;
    uint64_t size;
    int r = find_content(s, key, &place, &size);

    if (r < 0)
        return r;
    if (place.kind != IN_FILE)
        return -EINVAL;
    large_name(name, key);
    int fd = d->open(d, s->large_fd, name, O_RDONLY, 0);
    if (fd < 0)
        return fd == -ENOENT ? -EBADMSG : fd;
    if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size) {
        d->close(d, fd);
        return -EBADMSG;
    }
    *ret_fd = fd;
    return 0;
}

/* ---- events and facts ---- */

int spool_events(struct spool *s, uint64_t after_number, struct buf *ret_lines,
                 uint64_t *ret_number)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_EVENTS);
    bind_u64(st, 1, after_number);
    r = db_row(st);
    if (r != 1)
        return r;
    *ret_number = column_u64(st, 0);
    int n = sqlite3_column_bytes(st, 1);
    bool fits = buf_add(ret_lines, str_n(sqlite3_column_blob(st, 1), (size_t)n));
    db_end(st);
    return fits ? 1 : -ENOBUFS;
}

bool spool_fact(struct spool *s, const char *name, struct buf *ret)
{
    if (spool_read_begin(s) < 0)
        return false;
    sqlite3_stmt *st = db_use(&s->db, SQL_FACT);
    bind_str(st, 1, str_c(name));
    if (db_row(st) != 1)
        return false;
    int n = sqlite3_column_bytes(st, 0);
    bool fits = n == 0 || buf_add(ret, str_n(sqlite3_column_blob(st, 0), (size_t)n));
    db_end(st);
    return fits;
}

int spool_facts(struct spool *s, struct str after, struct arena *a, struct spool_fact *ret,
                size_t count)
{
    int r = spool_read_begin(s);
    int n = 0;

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_FACTS);
    bind_str(st, 1, after);
    bind_u64(st, 2, count);
    for (r = db_row(st); r == 1; r = db_row(st))
        ret[n++] = (struct spool_fact){column_str(st, 0, a), column_str(st, 1, a)};
    return r < 0 ? r : n;
}
