/* ipc/message.c - encoder, decoder and printer of each row of messages.def. */
// SPDX-License-Identifier: ISC
#include "ipc/message.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

static_assert(PUT_CHUNK_BYTES * 2 <= PACKET_BYTES_MAX, "a chunk, its prefix and envelope fit");

enum { PRINT_STR_BYTES_MAX = 64, KIND_BYTES = 2 };

/* ---- one small function for each type of field ---- */

static size_t size_U8(const uint8_t *v)
{
    return sizeof *v;
}
static size_t size_U32(const uint32_t *v)
{
    return sizeof *v;
}
static size_t size_U64(const uint64_t *v)
{
    return sizeof *v;
}
static size_t size_STR(const struct str *s)
{
    return sizeof(uint32_t) + s->n;
}
static size_t size_STATUS(const struct status *st)
{
    return 2 + 3 + sizeof(uint32_t) + strnlen(st->text, sizeof st->text);
}
static size_t size_FD(const int *fd)
{
    (void)fd; /* travels beside the bytes */
    return 0;
}

static void put_U8(struct buf *to, const uint8_t *v)
{
    put_u8(to, *v);
}
static void put_U32(struct buf *to, const uint32_t *v)
{
    put_u32(to, *v);
}
static void put_U64(struct buf *to, const uint64_t *v)
{
    put_u64(to, *v);
}
static void put_STR(struct buf *to, const struct str *s)
{
    put_str(to, *s);
}
static void put_STATUS(struct buf *to, const struct status *st)
{
    put_u16(to, st->code);
    put_u8(to, st->class);
    put_u8(to, st->subject);
    put_u8(to, st->detail);
    put_str(to, str_n(st->text, strnlen(st->text, sizeof st->text)));
}
static void put_FD(struct buf *to, const int *fd)
{
    (void)to;
    (void)fd;
}

static void get_U8(struct reader *r, uint8_t *ret)
{
    *ret = get_u8(r);
}
static void get_U32(struct reader *r, uint32_t *ret)
{
    *ret = get_u32(r);
}
static void get_U64(struct reader *r, uint64_t *ret)
{
    *ret = get_u64(r);
}
static void get_STR(struct reader *r, struct str *ret)
{
    *ret = get_str(r);
}
static void get_STATUS(struct reader *r, struct status *ret)
{
    ret->code = get_u16(r);
    ret->bare = false;
    ret->class = get_u8(r);
    ret->subject = get_u8(r);
    ret->detail = get_u8(r);

    struct str text = get_str(r);
    if (text.n >= sizeof ret->text || str_find(text, '\0') < text.n) {
        r->bad = true; /* no encoder of ours says this */
        text = STR_NONE;
    }
    if (text.n)
        memcpy(ret->text, text.p, text.n);
    ret->text[text.n] = '\0';
}
static void get_FD(struct reader *r, int *ret)
{
    (void)r;
    *ret = -1; /* message_decode puts the one that came along here */
}

static void print_U8(struct buf *to, const char *key, const uint8_t *v)
{
    line_u64(to, key, *v);
}
static void print_U32(struct buf *to, const char *key, const uint32_t *v)
{
    line_u64(to, key, *v);
}
static void print_U64(struct buf *to, const char *key, const uint64_t *v)
{
    line_u64(to, key, *v);
}
static void print_STR(struct buf *to, const char *key, const struct str *s)
{
    line_str(to, key, str_sub(*s, 0, PRINT_STR_BYTES_MAX));
}
static void print_STATUS(struct buf *to, const char *key, const struct status *st)
{
    struct buf text = buf_init(2 * STATUS_TEXT_BYTES_MAX);

    buf_printf(&text, "%u %u.%u.%u %.*s", st->code, st->class, st->subject, st->detail,
               PRINT_STR_BYTES_MAX, st->text);
    line_str(to, key, buf_str(&text));
    buf_free(&text);
}
static void print_FD(struct buf *to, const char *key, const int *fd)
{
    if (*fd >= 0)
        line_u64(to, key, (uint64_t)*fd);
    else
        line_c(to, key, "none");
}

static int *fd_U8(uint8_t *v)
{
    (void)v;
    return NULL;
}
static int *fd_U32(uint32_t *v)
{
    (void)v;
    return NULL;
}
static int *fd_U64(uint64_t *v)
{
    (void)v;
    return NULL;
}
static int *fd_STR(struct str *s)
{
    (void)s;
    return NULL;
}
static int *fd_STATUS(struct status *st)
{
    (void)st;
    return NULL;
}
static int *fd_FD(int *fd)
{
    return fd;
}

/* ---- the same four functions for each message ---- */

#define FIELD_SIZE(type, name) bytes += size_##type(&m->name);
#define FIELD_PUT(type, name) put_##type(to, &m->name);
#define FIELD_GET(type, name) get_##type(r, &m->name);
#define FIELD_PRINT(type, name) print_##type(to, #name, &m->name);
#define FIELD_FD(type, name)                                                                       \
    if (!fd)                                                                                       \
        fd = fd_##type(&m->name);

#define MESSAGE(NAME, name, senders, receivers, FIELDS)                                            \
    static size_t size_##name(const void *p)                                                       \
    {                                                                                              \
        const struct msg_##name *m = p;                                                            \
        size_t bytes = KIND_BYTES;                                                                 \
        (void)m;                                                                                   \
        FIELDS(FIELD_SIZE)                                                                         \
        return bytes;                                                                              \
    }                                                                                              \
    static void encode_##name(struct buf *to, const void *p)                                       \
    {                                                                                              \
        const struct msg_##name *m = p;                                                            \
        put_u16(to, m->kind);                                                                      \
        FIELDS(FIELD_PUT)                                                                          \
    }                                                                                              \
    static void decode_##name(struct reader *r, void *p)                                           \
    {                                                                                              \
        struct msg_##name *m = p;                                                                  \
        (void)r;                                                                                   \
        (void)m;                                                                                   \
        FIELDS(FIELD_GET)                                                                          \
    }                                                                                              \
    static void print_##name(struct buf *to, const void *p)                                        \
    {                                                                                              \
        const struct msg_##name *m = p;                                                            \
        (void)to;                                                                                  \
        (void)m;                                                                                   \
        FIELDS(FIELD_PRINT)                                                                        \
    }                                                                                              \
    static int *fd_##name(void *p)                                                                 \
    {                                                                                              \
        struct msg_##name *m = p;                                                                  \
        int *fd = NULL;                                                                            \
        (void)m;                                                                                   \
        FIELDS(FIELD_FD)                                                                           \
        return fd;                                                                                 \
    }
#include "ipc/messages.def"
#undef MESSAGE

struct message_code {
    size_t (*size)(const void *m);
    void (*encode)(struct buf *to, const void *m);
    void (*decode)(struct reader *r, void *m);
    void (*print)(struct buf *to, const void *m);
    int *(*fd)(void *m);
};

static const struct message_code codes[MSG_COUNT] = {
#define MESSAGE(NAME, name, senders, receivers, FIELDS)                                            \
    [MSG_##NAME] = {size_##name, encode_##name, decode_##name, print_##name, fd_##name},
#include "ipc/messages.def"
#undef MESSAGE
};

const struct message_row message_table[MSG_COUNT] = {
#define MESSAGE(NAME, name, senders, receivers, FIELDS) [MSG_##NAME] = {#name, senders, receivers},
#include "ipc/messages.def"
#undef MESSAGE
};

static const char *const role_names[ROLE_COUNT] = {
#define ROLE(NAME, name) [ROLE_INDEX_##NAME] = name,
#include "ipc/roles.def"
#undef ROLE
};

const char *role_name(enum role r)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if ((int)r == 1 << i)
            return role_names[i];
    }
    return "none";
}

enum role role_find(struct str name)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (str_eq_c(name, role_names[i]))
            return (enum role)(1 << i);
    }
    return (enum role)0;
}

/* Every message begins with its kind. */
static uint16_t kind_of(const void *m)
{
    const uint16_t *kind = m;

    check(*kind > MSG_NONE && *kind < MSG_COUNT);
    return *kind;
}

bool message_encode(struct buf *to, const void *m)
{
    const struct message_code *code = &codes[kind_of(m)];
    size_t bytes = code->size(m);

    if (bytes > PACKET_BYTES_MAX || !buf_room(to, bytes))
        return false;
    code->encode(to, m);
    return true;
}

bool message_decode(struct str packet, int fd, union message *ret)
{
    struct reader r = reader_init(packet);

    if (packet.n > PACKET_BYTES_MAX)
        return false;
    ret->kind = get_u16(&r);
    if (r.bad || ret->kind <= MSG_NONE || ret->kind >= MSG_COUNT)
        return false;
    codes[ret->kind].decode(&r, ret);

    int *slot = message_fd(ret);
    if (!reader_ended(&r) || (slot != NULL) != (fd >= 0))
        return false;
    if (slot)
        *slot = fd;
    return true;
}

int *message_fd(void *m)
{
    return codes[kind_of(m)].fd(m);
}

void message_print(struct buf *to, const void *m)
{
    uint16_t kind = kind_of(m);

    if (to->n)
        buf_add_char(to, ' ');
    buf_add_c(to, message_table[kind].name);
    codes[kind].print(to, m);
}
