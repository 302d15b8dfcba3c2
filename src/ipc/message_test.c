/* Every row of messages.def there and back, and everything that is not quite a message. */
// SPDX-License-Identifier: ISC
#include "ipc/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

enum { SOME_FD = 7 };

/* ---- a value for each type of field, different for each place ---- */

static void fill_U8(uint8_t *v, unsigned place)
{
    *v = (uint8_t)(200 + place);
}
static void fill_U32(uint32_t *v, unsigned place)
{
    *v = 0xfedcba00U + place;
}
static void fill_U64(uint64_t *v, unsigned place)
{
    *v = UINT64_C(0xfedcba9876543200) + place;
}
static void fill_STR(struct str *s, unsigned place)
{
    static const char bytes[] = "any \0 bytes \r\n\xff, of every length";
    *s = str_n(bytes, place % sizeof bytes);
}
static void fill_STATUS(struct status *st, unsigned place)
{
    memset(st, 0, sizeof *st);
    st->code = (uint16_t)(400 + place);
    st->class = 4;
    st->subject = (uint8_t)place;
    st->detail = 255;
    memset(st->text, 'x', place % 2 ? sizeof st->text - 1 : place);
}
static void fill_FD(int *fd, unsigned place)
{
    *fd = SOME_FD;
}

static void same_U8(const uint8_t *a, const uint8_t *b)
{
    assert_int_equal(*a, *b);
}
static void same_U32(const uint32_t *a, const uint32_t *b)
{
    assert_int_equal(*a, *b);
}
static void same_U64(const uint64_t *a, const uint64_t *b)
{
    assert_true(*a == *b);
}
static void same_STR(const struct str *a, const struct str *b)
{
    assert_true(str_eq(*a, *b));
}
static void same_STATUS(const struct status *a, const struct status *b)
{
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->class, b->class);
    assert_int_equal(a->subject, b->subject);
    assert_int_equal(a->detail, b->detail);
    assert_string_equal(a->text, b->text);
}
static void same_FD(const int *a, const int *b)
{
    assert_int_equal(*a, *b);
}

#define FIELD_FILL(type, name) fill_##type(&m->name, ++place);
#define FIELD_SAME(type, name) same_##type(&a->name, &b->name);
#define MESSAGE(NAME, name, senders, receivers, FIELDS)                                            \
    static void fill_##name(void *p)                                                               \
    {                                                                                              \
        struct msg_##name *m = p;                                                                  \
        unsigned place = 0;                                                                        \
        (void)place;                                                                               \
        m->kind = MSG_##NAME;                                                                      \
        FIELDS(FIELD_FILL)                                                                         \
    }                                                                                              \
    static void same_##name(const void *left, const void *right)                                   \
    {                                                                                              \
        const struct msg_##name *a = left, *b = right;                                             \
        assert_int_equal(a->kind, b->kind);                                                        \
        FIELDS(FIELD_SAME)                                                                         \
    }
#include "ipc/messages.def"
#undef MESSAGE

static const struct {
    void (*fill)(void *m);
    void (*same)(const void *a, const void *b);
} kinds[MSG_COUNT] = {
#define MESSAGE(NAME, name, senders, receivers, FIELDS) [MSG_##NAME] = {fill_##name, same_##name},
#include "ipc/messages.def"
#undef MESSAGE
};

static struct buf encoded(int kind, union message *m)
{
    struct buf packet = buf_init(PACKET_BYTES_MAX);

    memset(m, 0, sizeof *m);
    kinds[kind].fill(m);
    assert_true(message_encode(&packet, m));
    return packet;
}

static int fd_of(union message *m)
{
    return message_fd(m) ? SOME_FD : -1;
}

static void test_every_kind_there_and_back(void **state)
{
    (void)state;
    for (int kind = MSG_NONE + 1; kind < MSG_COUNT; kind++) {
        union message m, back;
        struct buf packet = encoded(kind, &m);

        memset(&back, 0xa5, sizeof back);
        assert_true(message_decode(buf_str(&packet), fd_of(&m), &back));
        kinds[kind].same(&m, &back);
        buf_free(&packet);
    }
}

/* Each prefix, exactly as long as its bytes, so that the sanitizer sees a read behind it. */
static void test_shorter_or_longer_is_no_message(void **state)
{
    (void)state;
    for (int kind = MSG_NONE + 1; kind < MSG_COUNT; kind++) {
        union message m, back;
        struct buf packet = encoded(kind, &m);

        for (size_t n = 0; n < packet.n; n++) {
            char *prefix = mem_copy(packet.p, n);
            assert_false(message_decode(str_n(prefix, n), fd_of(&m), &back));
            free(prefix);
        }
        buf_add_char(&packet, '\0');
        assert_false(message_decode(buf_str(&packet), fd_of(&m), &back));
        buf_free(&packet);
    }
}

static void test_descriptor_must_be_there_exactly_when_it_belongs(void **state)
{
    (void)state;
    for (int kind = MSG_NONE + 1; kind < MSG_COUNT; kind++) {
        union message m, back;
        struct buf packet = encoded(kind, &m);

        assert_false(message_decode(buf_str(&packet), fd_of(&m) < 0 ? SOME_FD : -1, &back));
        buf_free(&packet);
    }
}

static void test_kinds_that_do_not_exist(void **state)
{
    static const uint16_t wrong[] = {MSG_NONE, MSG_COUNT, MSG_COUNT + 1, 0x8000, 0xffff};

    (void)state;
    for (size_t i = 0; i < countof(wrong); i++) {
        struct buf packet = buf_init(64);
        union message m;

        put_u16(&packet, wrong[i]);
        assert_false(message_decode(buf_str(&packet), -1, &m));
        buf_free(&packet);
    }
}

static void test_text_of_a_status(void **state)
{
    static const struct {
        size_t bytes, nul_at;
        bool good;
    } cases[] = {
        {0, SIZE_MAX, true},
        {STATUS_TEXT_BYTES_MAX - 1, SIZE_MAX, true},
        {STATUS_TEXT_BYTES_MAX, SIZE_MAX, false},
        {STATUS_TEXT_BYTES_MAX + 1, SIZE_MAX, false},
        {10, 0, false},
        {10, 9, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char text[STATUS_TEXT_BYTES_MAX + 1];
        struct buf packet = buf_init(KIB);
        union message m;

        memset(text, 'x', sizeof text);
        if (cases[i].nul_at < sizeof text)
            text[cases[i].nul_at] = '\0';
        put_u16(&packet, MSG_QUEUE_STATE);
        put_u8(&packet, 1);
        put_u16(&packet, 250);
        put_u8(&packet, 2);
        put_u8(&packet, 0);
        put_u8(&packet, 0);
        put_str(&packet, str_n(text, cases[i].bytes));
        assert_int_equal(message_decode(buf_str(&packet), -1, &m), cases[i].good);
        buf_free(&packet);
    }
}

static void test_largest_packet(void **state)
{
    char *bytes = mem_new(PACKET_BYTES_MAX);
    struct msg_note note = {.kind = MSG_NOTE, .line = {bytes, PACKET_BYTES_MAX - 2 - 4}};
    struct buf packet = buf_init(2 * PACKET_BYTES_MAX);
    union message back;

    (void)state;
    assert_true(message_encode(&packet, &note));
    assert_int_equal(packet.n, PACKET_BYTES_MAX);
    assert_true(message_decode(buf_str(&packet), -1, &back));
    buf_reset(&packet);
    note.line.n++;
    assert_false(message_encode(&packet, &note));
    assert_int_equal(packet.n, 0);
    assert_false(packet.full);
    buf_free(&packet);
    free(bytes);
}

static void test_encoding_appends(void **state)
{
    struct msg_stop stop = {.kind = MSG_STOP};
    struct buf packets = buf_init(KIB);

    (void)state;
    assert_true(message_encode(&packets, &stop));
    assert_true(message_encode(&packets, &stop));
    assert_int_equal(packets.n, 4);
    buf_free(&packets);
}

static void test_print(void **state)
{
    struct msg_put_abort abort_message = {.kind = MSG_PUT_ABORT, .ticket = 3};
    struct msg_note note = {.kind = MSG_NOTE, .line = STR("a\nb")};
    struct msg_queue_state full = {.kind = MSG_QUEUE_STATE, .status = {452, 4, 3, 1, "queue full"}};
    struct buf text = buf_init(4 * KIB);

    (void)state;
    message_print(&text, &abort_message);
    assert_string_equal(buf_c(&text), "put_abort ticket=3");
    buf_reset(&text);
    message_print(&text, &note);
    assert_null(memchr(text.p, '\n', text.n));
    buf_reset(&text);
    message_print(&text, &full);
    assert_string_equal(buf_c(&text), "queue_state accepts=0 status=\"452 4.3.1 queue full\"");
    buf_free(&text);

    for (int kind = MSG_NONE + 1; kind < MSG_COUNT; kind++) {
        union message m;
        struct buf packet = encoded(kind, &m);

        text = buf_init(16 * KIB);
        message_print(&text, &m);
        assert_true(str_starts(buf_str(&text), str_c(message_table[kind].name)));
        assert_false(text.full);
        buf_free(&text);
        buf_free(&packet);
    }
}

static void test_roles_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < ROLE_COUNT; i++) {
        enum role r = (enum role)(1 << i);
        assert_int_equal(role_find(str_c(role_name(r))), r);
    }
    assert_int_equal(role_find(STR("nobody")), 0);
    assert_int_equal(role_find(STR_NONE), 0);
    assert_string_equal(role_name(WORKERS), "none");
}

/* The security architecture in one place: only smtpd brings mail in, only the parent gives orders. */
static void test_table_of_who_says_what(void **state)
{
    (void)state;
    for (int kind = MSG_NONE + 1; kind < MSG_COUNT; kind++) {
        const struct message_row *row = &message_table[kind];

        assert_true(row->senders && row->receivers);
        assert_false(row->senders & row->receivers);
        assert_true(kind > MSG_ALIVE || ((row->senders | row->receivers) & PARENT));
        assert_false(kind > MSG_ALIVE && ((row->senders | row->receivers) & PARENT));
    }
    assert_int_equal(message_table[MSG_PUT].senders, SMTPD);
    assert_int_equal(message_table[MSG_PUT].receivers, QUEUE);
    assert_int_equal(message_table[MSG_QUEUE_ACT].senders, CONTROL);
    assert_false(message_table[MSG_JOB].receivers & SMTPD);
    assert_false(message_table[MSG_JOB_FILE].receivers & SMTPD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_there_and_back),
        cmocka_unit_test(test_shorter_or_longer_is_no_message),
        cmocka_unit_test(test_descriptor_must_be_there_exactly_when_it_belongs),
        cmocka_unit_test(test_kinds_that_do_not_exist),
        cmocka_unit_test(test_text_of_a_status),
        cmocka_unit_test(test_largest_packet),
        cmocka_unit_test(test_encoding_appends),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_roles_have_names),
        cmocka_unit_test(test_table_of_who_says_what),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
