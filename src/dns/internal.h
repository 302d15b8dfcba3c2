/* dns/internal.h - what the real resolver and the one for tests share. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "dns/dns.h"

struct ub_ctx;

/* A question on its way. It outlives a question that was cancelled: the resolver cannot be told. */
struct dns_pending {
    struct list link;
    struct dns *dns;
    struct dns_question *question; /* NULL: cancelled or out of time */
    enum dns_type type;
    char *name;
    struct timer timer; /* out of time */
    struct turn_work hand_over;
    bool answered; /* what follows is set */
    unsigned rcode;
    enum dns_security security;
    char *why;
    char *packet;
    size_t packet_bytes;
};

struct dns_backend {
    /* Begins to ask; dns_pending_answered comes at any time. False: it cannot be asked. */
    bool (*ask)(struct dns *d, struct dns_pending *p);
    void (*free)(struct dns *d);
};

struct dns {
    struct loop *loop;
    const struct dns_backend *backend;
    struct ub_ctx *resolver; /* of the real one */
    const void *rows;        /* of the one for tests */
    size_t row_count;
    struct list pending;
    bool deleting; /* answers of a resolver that is taken down mean nothing */
};

void dns_ask_again(struct dns *d); /* everything, of a new resolver */
struct dns *dns_make(struct loop *l, const struct dns_backend *backend);
void dns_pending_answered(struct dns_pending *p, unsigned rcode, enum dns_security security,
                          const char *why, struct str packet);
