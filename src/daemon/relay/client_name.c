/* relay/client_name.c - see client_name.h. What is remembered, and for how long, is the matter of
 * the resolver below: its cache is bounded and keeps to the times the records come with. */
// SPDX-License-Identifier: ISC
#include "daemon/relay/client_name.h"

#include <stdlib.h>

#include "base/check.h"
#include "dns/reverse.h"
#include "io/socket.h"

struct lookup {
    struct list link;
    struct client_names *names;
    struct channel *asker;
    uint64_t ticket;
    struct reverse reverse;
};

static void answer(struct channel *to, uint64_t ticket, enum reverse_verdict v, struct str name)
{
    channel_send(to, &(struct msg_name_answer){.kind = MSG_NAME_ANSWER,
                                               .ticket = ticket,
                                               .name = name,
                                               .why = str_c(reverse_why(v))});
}

static void lookup_end(struct lookup *l)
{
    reverse_cancel(&l->reverse);
    list_remove(&l->link);
    l->names->count--;
    free(l);
}

static void on_reverse(void *arg, enum reverse_verdict v, struct str name)
{
    struct lookup *l = arg;

    answer(l->asker, l->ticket, v, name);
    lookup_end(l);
}

void client_names_init(struct client_names *n, struct dns *dns)
{
    *n = (struct client_names){.dns = dns};
    list_init(&n->lookups);
}

void client_names_ask(struct client_names *n, struct channel *from, const struct msg_name_ask *ask)
{
    struct network address;

    if (!network_parse(ask->address, &address) ||
        address.bits != (address.family == AF_INET ? 32 : 128)) {
        channel_break(from, "no address to look up");
        return;
    }
    if (n->count == CLIENT_NAMES_MAX) {
        answer(from, ask->ticket, REVERSE_LATER, STR_NONE);
        return;
    }
    struct lookup *l = mem_new(sizeof *l);

    *l = (struct lookup){.names = n, .asker = from, .ticket = ask->ticket};
    list_add(&n->lookups, &l->link);
    n->count++;
    reverse_ask(n->dns, &l->reverse, address.bytes, address.bits / 8, on_reverse, l);
}

void client_names_lose(struct client_names *n, const struct channel *asker)
{
    list_each (at, &n->lookups) {
        struct lookup *l = list_of(at, struct lookup, link);

        if (l->asker == asker)
            lookup_end(l);
    }
}
