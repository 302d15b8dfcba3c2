/* smtpd/connections.c - see connections.h. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/connections.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/check.h"

enum { BOARDS_MAX = 65, CROWD = 4 };

struct slot {
    uint16_t family;
    uint8_t bytes[16];
    uint8_t unused[14];
};
static_assert(sizeof(struct slot) == CONNECTION_SLOT_BYTES, "the form of a board");

union head { /* slot 0 */
    _Atomic uint32_t used;
    struct slot slot;
};
static_assert(sizeof(union head) == CONNECTION_SLOT_BYTES, "the form of a board");

struct board {
    union head *head; /* NULL: not known */
    size_t slots;     /* behind the head */
};

struct connections {
    struct board own, others[BOARDS_MAX];
    struct connection **owners; /* of slots 1.. of our own board */
};

struct connections *connections_new(void)
{
    return mem_new(sizeof(struct connections));
}

static void board_forget(struct board *b)
{
    if (b->head)
        (void)munmap(b->head, (b->slots + 1) * CONNECTION_SLOT_BYTES);
    *b = (struct board){0};
}

void connections_free(struct connections **c)
{
    if (!*c)
        return;
    board_forget(&(*c)->own);
    for (size_t i = 0; i < BOARDS_MAX; i++)
        board_forget(&(*c)->others[i]);
    free((*c)->owners);
    free(*c);
    *c = NULL;
}

static int board_map(struct board *b, int fd, int protection)
{
    struct stat st;

    if (b->head)
        return 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size < 2 * CONNECTION_SLOT_BYTES)
        return -EINVAL;

    size_t slots = (size_t)st.st_size / CONNECTION_SLOT_BYTES;
    void *p = mmap(NULL, slots * CONNECTION_SLOT_BYTES, protection, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    *b = (struct board){.head = p, .slots = slots - 1};
    return 0;
}

int connections_own(struct connections *c, int fd)
{
    int error = board_map(&c->own, fd, PROT_READ | PROT_WRITE);

    if (error < 0 || c->owners)
        return error;
    atomic_store(&c->own.head->used, 0); /* those of the process before us are gone */
    c->owners = mem_new((c->own.slots + 1) * sizeof *c->owners);
    return 0;
}

int connections_other(struct connections *c, uint32_t number, int fd)
{
    return number < BOARDS_MAX ? board_map(&c->others[number], fd, PROT_READ) : -EINVAL;
}

static struct slot *slots_of(const struct board *b)
{
    return &b->head->slot;
}

/* An IPv4 address is the same whichever family its socket has. */
static struct slot slot_of(const struct sock_address *a)
{
    struct slot s = {.family = a->sa.ss_family};

    if (s.family == AF_INET) {
        memcpy(s.bytes, &((const struct sockaddr_in *)&a->sa)->sin_addr, 4);
    } else if (s.family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)&a->sa)->sin6_addr;

        memcpy(s.bytes, in6, 16);
        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            s = (struct slot){.family = AF_INET};
            memcpy(s.bytes, in6->s6_addr + 12, 4);
        }
    }
    return s;
}

static size_t board_used(const struct board *b)
{
    return b->head ? MIN_OF((size_t)atomic_load(&b->head->used), b->slots) : 0;
}

bool connections_enter(struct connections *c, struct connection *client,
                       const struct sock_address *address)
{
    size_t used = board_used(&c->own);

    client->slot = 0;
    if (used == c->own.slots)
        return false;
    client->slot = (uint32_t)used + 1;
    slots_of(&c->own)[client->slot] = slot_of(address);
    c->owners[client->slot] = client;
    atomic_store(&c->own.head->used, client->slot);
    return true;
}

void connections_leave(struct connections *c, struct connection *client)
{
    uint32_t last = (uint32_t)board_used(&c->own);

    if (client->slot == 0)
        return;
    /* The last one moves into the gap. */
    slots_of(&c->own)[client->slot] = slots_of(&c->own)[last];
    c->owners[client->slot] = c->owners[last];
    c->owners[client->slot]->slot = client->slot;
    client->slot = 0;
    atomic_store(&c->own.head->used, last - 1);
}

static size_t board_count_from(const struct board *b, const struct slot *from)
{
    size_t used = board_used(b), count = 0;

    for (size_t i = 1; i <= used; i++)
        count += memcmp(&slots_of(b)[i], from, sizeof *from) == 0;
    return count;
}

size_t connections_count(const struct connections *c)
{
    size_t count = board_used(&c->own);

    for (size_t i = 0; i < BOARDS_MAX; i++)
        count += board_used(&c->others[i]);
    return count;
}

bool connections_crowded(const struct connections *c, uint32_t worker_count)
{
    size_t own = board_used(&c->own);

    for (uint32_t i = 1; i <= worker_count && i < BOARDS_MAX; i++) {
        if (c->others[i].head && board_used(&c->others[i]) + CROWD <= own)
            return true;
    }
    return false;
}

size_t connections_count_from(const struct connections *c, const struct sock_address *address)
{
    struct slot from = slot_of(address);
    size_t count = board_count_from(&c->own, &from);

    for (size_t i = 0; i < BOARDS_MAX; i++)
        count += board_count_from(&c->others[i], &from);
    return count;
}
