/* outward/probe/gather.h - finding out the facts: many questions and conversations at the same time, each
 * with a time of its own and all of them within one. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "dns/dns.h"
#include "http/http.h"
#include "outward/probe/facts.h"
#include "outward/probe/talk.h"

struct probe_options {
    struct str host;     /* a name, in A-labels and lower case; or an address */
    bool is_host;        /* it is a server for certain */
    uint16_t port;       /* of it, or of the MXs; 0: the usual ones */
    bool implicit_tls;   /* there */
    bool submission;     /* ask the servers of the domain for mail programs, too */
    bool gentle;         /* nothing that a server could take offence at */
    bool private_too;    /* DNS may lead to private addresses */
    uint64_t timeout_us; /* for all of it */
    struct str hostname; /* of this machine, or empty */
    const char *const *selectors;
    size_t selector_count;
    const char *roots;        /* a file, or NULL */
    uint16_t https_port;      /* 0: the usual one */
    struct str deliver, from; /* a message is to be sent; empty: not */
    void (*on_line)(void *arg, const struct fact_server *s, bool sent,
                    struct str line);                                   /* or NULL */
    void (*on_progress)(void *arg, const char *what, struct str about); /* or NULL */
    void *arg;
};

struct gather { /* private to gather.c, spf_walk.c, deliver.c */
    struct loop *loop;
    struct dns *dns;
    struct arena *arena;
    const struct probe_options *options;
    struct facts *facts;
    uint64_t began_us;
    struct talk_world talk;
    const struct fact_host *talked_to[PROBE_HOSTS_MAX];
    bool started[PROBE_HOSTS_MAX]; /* conversations with this host */
    struct talk *talks[PROBE_SERVERS_MAX];
    struct list asks, reverses; /* under way */
    size_t open;                /* of all kinds */
    struct http_request *http;
    uint64_t http_began_us;
    struct delivery *delivery;
    struct timer timer;
};

/* Fills *f, which the caller has set to zero, until everything is known or the time is over. dns is
 * borrowed; *f and all in it lives as long as the arena and the options. */
void gather(struct loop *l, struct dns *d, const struct probe_options *o, struct arena *a,
            struct facts *f);

/* ---- among the parts of gathering ---- */

/* then is called once, when *to is known; never from within. */
void gather_ask(struct gather *g, struct str name, enum dns_type type, struct fact_answer *to,
                void (*then)(struct gather *g, void *about), void *about);
void gather_opened(struct gather *g); /* something more is under way */
void gather_closed(struct gather *g); /* it is over */
void spf_walk(struct gather *g);      /* from facts->txt on */
void dmarc_walk(struct gather *g);    /* from facts->dmarc and dmarc_above on */
/* Sends a message to the first server that talked to us. False: there is none. */
bool deliver_begin(struct gather *g);
void deliver_end(struct gather *g); /* gives it up; harmless when there is none */
