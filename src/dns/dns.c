/* dns/dns.c - questions and their ends; dns/resolver.c has libunbound. */
// SPDX-License-Identifier: ISC
#include "dns/dns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "dns/internal.h"

int dns_read_anchors_before_jail(const char *path, struct buf *to)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    while (n > 0) {
        char *room = buf_room(to, 4096);

        n = room ? read(fd, room, 4096) : -1;
        if (n > 0)
            buf_added(to, (size_t)n);
    }
    int error = to->full ? -EFBIG : n < 0 ? -errno : 0;
    (void)close(fd); /* only read */
    return error;
}

static void pending_free(struct dns_pending *p)
{
    timer_stop(&p->timer);
    turn_forget(p->dns->loop, &p->hand_over);
    list_remove(&p->link);
    free(p->name);
    free(p->why);
    free(p->packet);
    free(p);
}

/* ---- answers ---- */

static enum dns_outcome outcome_of(unsigned rcode, size_t count)
{
    if (rcode == DNS_RCODE_NO_NAME)
        return DNS_NO_NAME;
    if (rcode != DNS_RCODE_OK)
        return DNS_LATER;
    return count > 0 ? DNS_FOUND : DNS_NO_DATA;
}

static const char *why_later(const struct dns_pending *p)
{
    if (p->security == DNS_BOGUS)
        return p->why ? p->why : "the answer is not validly signed";
    return p->answered ? "the name servers do not answer properly" : "no answer in time";
}

/* An rcode beside the packet is libunbound's own: it has no answer to show. */
static void pending_read(const struct dns_pending *p, struct arena *a, struct dns_answer *to)
{
    struct dns_packet k = {.rcode = p->rcode};
    bool readable = p->answered && p->security != DNS_BOGUS;

    *to = (struct dns_answer){.outcome = DNS_LATER, .security = p->security};
    if (readable && p->rcode == DNS_RCODE_OK)
        readable = dns_packet_parse(str_n(p->packet, p->packet_bytes), p->type, a, &k);
    if (readable) {
        to->outcome = outcome_of(k.rcode, k.count);
        to->records = k.records;
        to->count = k.count;
        to->cname_count = k.cname_count;
        to->canonical = k.canonical;
    }
    to->why = to->outcome == DNS_LATER ? why_later(p) : "";
}

/* The asker may do anything in fn, also free the question: nothing of it is touched afterwards. */
static void tell(void *arg)
{
    struct dns_pending *p = arg;
    struct dns_question *q = p->question;
    struct arena a = ARENA_INIT;
    struct dns_answer answer;

    pending_read(p, &a, &answer);
    struct str why = arena_copy(&a, str_c(answer.why));
    answer.why = why.p;
    p->question = NULL;
    q->pending = NULL;
    if (p->answered)
        pending_free(p);
    q->fn(q->arg, &answer);
    arena_free(&a);
}

void dns_pending_answered(struct dns_pending *p, unsigned rcode, enum dns_security security,
                          const char *why, struct str packet)
{
    if (p->dns->deleting)
        return;
    if (!p->question) {
        pending_free(p);
        return;
    }
    p->answered = true;
    p->rcode = rcode;
    p->security = security;
    p->why = why ? mem_copy(why, strlen(why)) : NULL;
    p->packet = mem_copy(packet.p ? packet.p : "", packet.n);
    p->packet_bytes = packet.n;
    turn_want(p->dns->loop, TURN_COMMIT, &p->hand_over); /* not within the resolver's own work */
}

/* ---- questions ---- */

static void pending_begin(struct dns_pending *p)
{
    struct dns *d = p->dns;

    timer_set(d->loop, &p->timer, DNS_ANSWER_S * US_PER_S, tell, p);
    if (!dns_name_valid(str_c(p->name)))
        dns_pending_answered(p, DNS_RCODE_NO_NAME, DNS_INSECURE, NULL, STR_NONE);
    else if (!d->backend->ask(d, p))
        dns_pending_answered(p, DNS_RCODE_SERVFAIL, DNS_INSECURE, NULL, STR_NONE);
}

void dns_ask(struct dns *d, struct dns_question *q, struct str name, enum dns_type type,
             void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
    struct dns_pending *p = mem_new(sizeof *p);

    check(!q->pending);
    if (name.n > 1 && str_ends(name, STR(".")))
        name.n--;
    *q = (struct dns_question){.pending = p, .fn = fn, .arg = arg};
    *p = (struct dns_pending){.dns = d,
                              .question = q,
                              .type = type,
                              .name = mem_copy(name.p ? name.p : "", name.n),
                              .hand_over = {.fn = tell, .arg = p}};
    list_add(&d->pending, &p->link);
    pending_begin(p);
}

void dns_cancel(struct dns_question *q)
{
    struct dns_pending *p = q->pending;

    q->pending = NULL;
    if (!p)
        return;
    timer_stop(&p->timer);
    p->question = NULL;
    if (p->answered)
        pending_free(p);
}

/* ---- the whole ---- */

struct dns *dns_make(struct loop *l, const struct dns_backend *backend)
{
    struct dns *d = mem_new(sizeof *d);

    *d = (struct dns){.loop = l, .backend = backend};
    list_init(&d->pending);
    return d;
}

void dns_free(struct dns **d)
{
    struct dns *gone = *d;

    *d = NULL;
    if (!gone)
        return;
    gone->deleting = true;
    gone->backend->free(gone);
    list_each (at, &gone->pending) {
        struct dns_pending *p = list_of(at, struct dns_pending, link);

        check(!p->question);
        pending_free(p);
    }
    free(gone);
}

void dns_ask_again(struct dns *d)
{
    list_each (at, &d->pending) {
        struct dns_pending *p = list_of(at, struct dns_pending, link);

        if (!p->question)
            pending_free(p);
        else if (!p->answered)
            pending_begin(p);
    }
}
