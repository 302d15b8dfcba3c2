/* listen/listening.h - the sink as a whole, and its connections. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "cli/cli.h"
#include "dns/dns.h"
#include "io/loop.h"
#include "io/socket.h"
#include "outward/listen/identity.h"
#include "outward/listen/save.h"
#include "outward/listen/show.h"

enum {
    SESSIONS_MAX = 100, /* at a time; more are told 421 */
    DOORS_MAX = 16,
};

struct door { /* where it listens */
    struct listening *of;
    struct watch watch;
    int fd;
    bool by_tls;
};

struct listening {
    const struct command_line *line;
    struct loop *loop;
    struct show show;
    struct save save;
    struct identity *identity;
    struct misbehave misbehave;
    struct sink_options options;
    struct dns *dns;     /* NULL: nobody is asked */
    bool names_of_local; /* a resolver was named: also 127.0.0.1 is looked up */
    uint64_t timeout_us; /* of silence */
    struct door doors[DOORS_MAX];
    size_t door_count;
    struct list connections;
    size_t connection_count;
    uint64_t messages_wanted; /* 0: any number */
    bool ending;
    int code; /* of trouble with our own files, or EX_OK */
    struct watch interrupt, terminate;
    struct timer last_wait;
};

/* Takes the descriptor. */
void connection_accept(struct listening *l, int fd, const struct sock_address *peer, bool by_tls);
void connections_end(struct listening *l); /* all, at once */
void listening_end(struct listening *l);   /* no more connections; those there are may go on */
void listening_check(struct listening *l); /* is it over? */
