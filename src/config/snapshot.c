/* config/snapshot.c - see snapshot.h.
 *
 *   magic, u32 fingerprint of the rows, file,
 *   the statements of the top: u32 number of values, the values; where relay-for stood;
 *   for each kind of section: u32 how many; each: title, place, its statements
 */
// SPDX-License-Identifier: ISC
#include "config/snapshot.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/codec.h"
#include "config/parse.h"
#include "config/statement.h"

#define MAGIC "troika configuration\n"
enum { PLACE_BYTES_MAX = 1024, PATH_BYTES_MAX = 4096 };

/* Two versions of Troika with the same rows understand each other. */
static uint32_t rows_fingerprint(void)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        uint8_t shape[2] = {(uint8_t)s->scope, (uint8_t)s->kind};
        struct str name = str_c(s->name);
        crc = crc32c(crc32c(crc, name.p, name.n), shape, sizeof shape);
    }
    return crc;
}

static void put_statements(struct buf *to, enum scope scope, const void *base)
{
    struct buf text = buf_init(4 * KIB);
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        if (s->scope != scope)
            continue;
        size_t count = statement_values(s, base);
        put_u32(to, (uint32_t)count);
        for (size_t j = 0; j < count; j++) {
            buf_reset(&text);
            statement_print(s, base, j, &text);
            put_str(to, buf_str(&text));
        }
    }
    buf_free(&text);
}

void snapshot_encode(struct buf *to, const struct config *c)
{
    buf_add(to, STR(MAGIC));
    put_u32(to, rows_fingerprint());
    put_str(to, c->file);
    put_statements(to, SCOPE_TOP, c);
    put_str(to, c->relay_for_at);
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++) {
        enum scope scope = (enum scope)i;
        size_t count = section_count(c, scope);
        put_u32(to, (uint32_t)count);
        for (size_t j = 0; j < count; j++) {
            void *section = section_at(c, scope, j);
            put_str(to, *section_title(scope, section));
            put_str(to, *section_place(scope, section));
            put_statements(to, scope, section);
        }
    }
}

/* One value: it must be written as we write it, or two snapshots could mean the same. */
static bool get_values(struct reader *r, const struct statement *s, struct arena *a, void *base)
{
    uint32_t count = get_u32(r);
    if (r->bad || count > r->rest.n / 4)
        return false;
    struct str *texts = arena_alloc(a, (count + 1) * sizeof *texts);
    for (uint32_t i = 0; i < count; i++)
        texts[i] = get_str(r);
    struct buf scratch = buf_init(4 * KIB);
    bool good = !r->bad && (count > 0 || value_form(s->kind)->list) &&
                statement_set(s, texts, count, a, base, &scratch);
    for (uint32_t i = 0; i < count && good; i++) {
        buf_reset(&scratch);
        statement_print(s, base, i, &scratch);
        good = str_eq(buf_str(&scratch), texts[i]);
    }
    buf_free(&scratch);
    return good;
}

static bool get_statements(struct reader *r, enum scope scope, struct arena *a, void *base)
{
    for (size_t i = 0; i < statement_count; i++)
        if (statements[i].scope == scope && !get_values(r, &statements[i], a, base))
            return false;
    return true;
}

static bool get_place(struct reader *r, struct arena *a, size_t bytes_max, struct str *ret)
{
    struct str s = get_str(r);
    if (r->bad || s.n > bytes_max || str_find(s, '\0') < s.n || str_find(s, '\n') < s.n)
        return false;
    *ret = arena_copy(a, s);
    return true;
}

static bool get_title(struct reader *r, enum scope scope, struct arena *a, void *section)
{
    struct buf scratch = buf_init(4 * KIB);
    struct str title = get_str(r);
    bool good = !r->bad &&
                value_parse(sections[scope].title, NULL, title, a, section_title(scope, section),
                            &scratch) &&
                str_eq(*section_title(scope, section), title);
    buf_free(&scratch);
    return good;
}

static bool get_sections(struct reader *r, enum scope scope, struct config *c)
{
    uint32_t count = get_u32(r);
    if (r->bad || count > r->rest.n / 8 || (sections[scope].single && count > 1) ||
        (sections[scope].untitled && count != 1))
        return false;
    section_room(c, scope, count);
    for (uint32_t i = 0; i < count; i++) {
        void *section = section_at(c, scope, i);
        if (!get_title(r, scope, &c->arena, section) ||
            !get_place(r, &c->arena, PLACE_BYTES_MAX, section_place(scope, section)) ||
            !get_statements(r, scope, &c->arena, section))
            return false;
    }
    return true;
}

static bool get_config(struct reader *r, struct config *c)
{
    if (!str_starts(r->rest, STR(MAGIC)))
        return false;
    r->rest = str_skip(r->rest, sizeof MAGIC - 1);
    if (get_u32(r) != rows_fingerprint() || !get_place(r, &c->arena, PATH_BYTES_MAX, &c->file) ||
        !get_statements(r, SCOPE_TOP, &c->arena, c) ||
        !get_place(r, &c->arena, PLACE_BYTES_MAX, &c->relay_for_at))
        return false;
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++)
        if (!get_sections(r, (enum scope)i, c))
            return false;
    /* The queue counts on the last pause to repeat. */
    return reader_ended(r) && c->retry_count > 0;
}

int snapshot_decode(struct str bytes, struct config **ret)
{
    struct reader r = reader_init(bytes);
    struct config *c = config_new();
    if (bytes.n > SNAPSHOT_BYTES_MAX || !get_config(&r, c)) {
        config_drop(&c);
        return -EBADMSG;
    }
    c->routing_fingerprint = config_fingerprint(c);
    *ret = c;
    return 0;
}
