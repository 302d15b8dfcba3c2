/* config/statement.c - see statement.h. Fields are reached by offset; pointers and counts of lists
 * are moved with memcpy because their types differ. */
// SPDX-License-Identifier: ISC
#include "config/statement.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"

enum { SUGGEST_NAME_BYTES_MAX = 32, SUGGEST_DISTANCE_MAX = 3 };

/* What a list in a struct looks like in memory. */
struct list_field {
    void *members;
    size_t count;
};

#define LIST_FOLLOWED(type, list, number)                                                          \
    static_assert(offsetof(type, number) ==                                                        \
                      offsetof(type, list) + offsetof(struct list_field, count),                   \
                  "the count of a list follows it")
LIST_FOLLOWED(struct config, listens, listen_count);
LIST_FOLLOWED(struct config, certificates, certificate_count);
LIST_FOLLOWED(struct config, domains, domain_count);
LIST_FOLLOWED(struct config, routes, route_count);
LIST_FOLLOWED(struct config, relay_for, relay_for_count);
LIST_FOLLOWED(struct config, trusted_users, trusted_user_count);
LIST_FOLLOWED(struct config, retry_us, retry_count);
LIST_FOLLOWED(struct config, login_messages, login_message_count);
LIST_FOLLOWED(struct config, login_recipients, login_recipient_count);
LIST_FOLLOWED(struct config_listen, addresses, address_count);
LIST_FOLLOWED(struct config_listen, proxy, proxy_count);
LIST_FOLLOWED(struct config_listen, xclient, xclient_count);
LIST_FOLLOWED(struct config_dns, forwards, forward_count);
LIST_FOLLOWED(struct config_smarthost, limits, limit_count);
LIST_FOLLOWED(struct config_smarthost, recipient_limits, recipient_limit_count);

#define STRUCT_TOP struct config
#define STRUCT_LISTEN struct config_listen
#define STRUCT_CERTIFICATE struct config_certificate
#define STRUCT_DOMAIN struct config_domain
#define STRUCT_ROUTE struct config_route
#define STRUCT_SMARTHOST struct config_smarthost
#define STRUCT_DNS struct config_dns
#define STRUCT_TLS struct config_tls

const struct statement statements[] = {
#define SECTION(...)
#define STATEMENT(kind_, scope_, name_, field_, default_, min_, max_, help_, since_)               \
    {.name = name_,                                                                                \
     .scope = SCOPE_##scope_,                                                                      \
     .kind = VALUE_##kind_,                                                                        \
     .offset = offsetof(STRUCT_##scope_, field_),                                                  \
     .text = default_,                                                                             \
     .min = min_,                                                                                  \
     .max = max_,                                                                                  \
     .help = help_,                                                                                \
     .since = since_},
#include "config/statements.def"
#undef SECTION
#undef STATEMENT
};
const size_t statement_count = countof(statements);

const struct section sections[SCOPE_COUNT] = {
#define STATEMENT(...)
#define SECTION(scope_, name_, title_, struct_, field_, help_, since_)                             \
    [SCOPE_##                                                                                      \
        scope_] = {.name = name_,                                                                  \
                   .title = VALUE_##title_,                                                        \
                   .offset = offsetof(struct config, field_),                                      \
                   .bytes = sizeof(struct_),                                                       \
                   .single = SCOPE_##scope_ == SCOPE_SMARTHOST || VALUE_##title_ == VALUE_NONE,    \
                   .untitled = VALUE_##title_ == VALUE_NONE,                                       \
                   .at_offset = offsetof(struct_, at),                                             \
                   .help = help_,                                                                  \
                   .since = since_},
#include "config/statements.def"
#undef SECTION
#undef STATEMENT
};

const struct statement *statement_find(enum scope scope, struct str name)
{
    for (size_t i = 0; i < statement_count; i++)
        if (statements[i].scope == scope && str_eq_c(name, statements[i].name))
            return &statements[i];
    return NULL;
}

enum scope section_find(struct str name)
{
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++)
        if (str_eq_c(name, sections[i].name))
            return (enum scope)i;
    return SCOPE_TOP;
}

/* How many letters must be changed, added or taken away to make b of a. */
static size_t distance(struct str a, struct str b)
{
    size_t row[SUGGEST_NAME_BYTES_MAX + 1];
    if (a.n > SUGGEST_NAME_BYTES_MAX || b.n > SUGGEST_NAME_BYTES_MAX)
        return SUGGEST_DISTANCE_MAX + 1;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = char_lower(a.p[i - 1]) == char_lower(b.p[j - 1]);
            size_t best = MIN_OF(MIN_OF(row[j], row[j - 1]) + 1, diagonal + !same);
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}

static void nearer(struct str name, const char *candidate, size_t *least, const char **best)
{
    size_t d = distance(name, str_c(candidate));
    /* Of a short name less may be wrong, or everything resembles everything. */
    if (d < *least && d * 2 < MAX_OF(name.n, (size_t)2)) {
        *least = d;
        *best = candidate;
    }
}

const char *statement_suggest(enum scope scope, struct str name)
{
    const char *best = NULL;
    size_t least = SUGGEST_DISTANCE_MAX + 1;
    for (size_t i = 0; i < statement_count; i++)
        if (statements[i].scope == scope)
            nearer(name, statements[i].name, &least, &best);
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT && scope == SCOPE_TOP; i++)
        nearer(name, sections[i].name, &least, &best);
    return best;
}

static struct list_field list_get(const void *field)
{
    struct list_field l;
    memcpy(&l.members, field, sizeof l.members);
    memcpy(&l.count, (const char *)field + offsetof(struct list_field, count), sizeof l.count);
    return l;
}

static void list_set(void *field, const struct list_field *l)
{
    memcpy(field, &l->members, sizeof l->members);
    memcpy((char *)field + offsetof(struct list_field, count), &l->count, sizeof l->count);
}

bool statement_set(const struct statement *s, const struct str *texts, size_t count,
                   struct arena *a, void *base, struct buf *why)
{
    struct value_range range = {s->min, s->max};
    const struct value_form *form = value_form(s->kind);
    void *field = (char *)base + s->offset;
    if (!form->list)
        return count == 1 && value_parse(s->kind, &range, texts[0], a, field, why);

    struct list_field l = {.members = count ? arena_alloc(a, count * form->bytes) : NULL,
                           .count = count};
    for (size_t i = 0; i < count; i++)
        if (!value_parse(s->kind, &range, texts[i], a, (char *)l.members + i * form->bytes, why))
            return false;
    list_set(field, &l);
    return true;
}

bool statement_set_default(const struct statement *s, struct arena *a, void *base)
{
    enum { WORDS_MAX = 16 };
    struct str words[WORDS_MAX];
    struct str rest = str_c(s->text);
    size_t count = 0;
    while (rest.n > 0 && count < WORDS_MAX)
        words[count++] = str_cut_word(&rest);
    if (count == 0 && !value_form(s->kind)->list)
        return false;
    struct buf why = buf_init(1 * KIB);
    check(statement_set(s, words, count, a, base, &why));
    buf_free(&why);
    return true;
}

size_t statement_values(const struct statement *s, const void *base)
{
    const void *field = (const char *)base + s->offset;
    return value_form(s->kind)->list ? list_get(field).count : 1;
}

void statement_print(const struct statement *s, const void *base, size_t index, struct buf *to)
{
    const struct value_form *form = value_form(s->kind);
    const char *field = (const char *)base + s->offset;
    if (form->list)
        field = (const char *)list_get(field).members + index * form->bytes;
    value_print(s->kind, field, to);
}

void statement_print_default(const struct statement *s, struct buf *to)
{
    const struct value_form *form = value_form(s->kind);
    struct str rest = str_c(s->text);
    const char *quote = form->bare ? "" : "\"";
    if (form->list)
        buf_add_c(to, "{ ");
    for (bool first = true; rest.n > 0; first = false) {
        struct str word = str_cut_word(&rest);
        buf_printf(to, "%s%s%.*s%s", first ? "" : ", ", quote, STR_ARG(word), quote);
    }
    if (form->list)
        buf_add_c(to, s->text && s->text[0] ? " }" : "}");
}

size_t section_count(const struct config *c, enum scope scope)
{
    const void *field = (const char *)c + sections[scope].offset;
    if (!sections[scope].single)
        return list_get(field).count;
    return sections[scope].untitled || ((const struct config_smarthost *)field)->via.n > 0;
}

void *section_at(const struct config *c, enum scope scope, size_t index)
{
    const struct section *s = &sections[scope];
    uintptr_t field = (uintptr_t)c + s->offset;
    return s->single ? (void *)field
                     : (char *)list_get((const void *)field).members + index * s->bytes;
}

void section_room(struct config *c, enum scope scope, size_t count)
{
    const struct section *s = &sections[scope];
    if (s->single)
        return;
    struct list_field l = {.members = count ? arena_alloc(&c->arena, count * s->bytes) : NULL,
                           .count = count};
    list_set((char *)c + s->offset, &l);
}

struct str *section_title(enum scope scope, void *section)
{
    return section;
}

struct str *section_place(enum scope scope, void *section)
{
    return (struct str *)(void *)((char *)section + sections[scope].at_offset);
}
