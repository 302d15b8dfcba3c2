/* route/owner.c - whose address is it? A login's own are those that lead to its mailbox. */
// SPDX-License-Identifier: ISC
#include "route/one.h"

#include "base/check.h"

enum owner { OWNER_NO, OWNER_YES, OWNER_TRY_LATER };

struct login {
    const struct route_table *table;
    struct arena *arena;
    struct str text;
    struct address address;
    struct str mailbox; /* where its mail goes, aliases apart; empty: it has none here */
};

static struct route_question question_of(struct str address)
{
    return (struct route_question){.recipient = address};
}

static bool is_same(const struct address *a, const struct address *b)
{
    return str_eq(a->domain, b->domain) && (str_eq_nocase(a->local, b->local) ||
                                            str_eq_nocase(local_without_tag(a->local), b->local));
}

/* The mailbox an address has by itself. */
static enum owner own_mailbox(const struct login *l, const struct address *address, struct str text,
                              struct str *ret)
{
    struct route_answer answer = {0};
    struct route_question q = question_of(text);

    route_one(l->table, &q, address, l->arena, &answer);
    if (status_try_later(&answer.status))
        return OWNER_TRY_LATER;
    if (!status_done(&answer.status) || answer.targets[0].transport != TRANSPORT_LOCAL)
        return OWNER_NO;
    *ret = answer.targets[0].next_hop;
    return OWNER_YES;
}

static enum owner by_aliases(const struct login *l, struct str text)
{
    struct route_answer answer = {0};
    struct route_question q = question_of(text);

    route_decide(l->table, &q, l->arena, &answer);
    if (status_try_later(&answer.status))
        return OWNER_TRY_LATER;
    for (size_t i = 0; i < answer.target_count; i++)
        if (answer.targets[i].transport == TRANSPORT_LOCAL &&
            str_eq(answer.targets[i].next_hop, l->mailbox))
            return OWNER_YES;
    return OWNER_NO;
}

/* An alias may send copies of somebody's mail to others; that does not make it their address. The
 * mailbox of postmaster is nobody's. */
static enum owner owner_of(const struct login *l, struct str text)
{
    struct address address;
    struct route_answer refusal;
    struct str mailbox = STR_NONE;

    if (!route_read(l->table, text, l->arena, &address, &refusal))
        return OWNER_NO;
    if (is_same(&address, &l->address))
        return OWNER_YES;
    if (l->mailbox.n == 0)
        return OWNER_NO;

    enum owner found = own_mailbox(l, &address, text, &mailbox);

    if (found == OWNER_TRY_LATER)
        return found;
    if (found == OWNER_YES && str_eq(mailbox, l->mailbox))
        return OWNER_YES;
    if (found == OWNER_YES && !str_eq_c(mailbox, "postmaster"))
        return OWNER_NO;
    return by_aliases(l, text);
}

static bool refuse(struct route_answer *ret, enum reply_name why, const struct login *l,
                   struct str address)
{
    *ret = (struct route_answer){.status = reply_status(why, address),
                                 .why = arena_copy(l->arena, address)};
    return false;
}

static bool read_login(struct login *l, struct route_answer *ret)
{
    struct parse_error error;

    if (!address_parse(l->text, l->arena, &l->address, &error))
        return refuse(ret, REPLY_NOT_YOUR_SENDER, l, l->text);
    if (own_mailbox(l, &l->address, l->text, &l->mailbox) == OWNER_TRY_LATER)
        return refuse(ret, REPLY_ROUTER_AWAY, l, l->text);
    return true;
}

void route_owner(const struct route_table *t, const struct route_question *q, struct arena *a,
                 struct route_answer *ret)
{
    struct login l = {.table = t, .arena = a, .text = q->sender};
    struct str rest = q->recipient;

    if (!read_login(&l, ret))
        return;
    for (size_t i = 0; rest.n > 0; i++) {
        struct str address = str_cut(&rest, '\n');
        enum owner found = i < ROUTE_OWNED_MAX ? owner_of(&l, address) : OWNER_NO;

        if (found != OWNER_YES) {
            refuse(ret, found == OWNER_NO ? REPLY_NOT_YOUR_SENDER : REPLY_ROUTER_AWAY, &l, address);
            return;
        }
    }
    *ret = (struct route_answer){.status = reply_status(REPLY_OK, STR_NONE)};
}
