/* route/login.c - who is it that wants to log in as this address? */
// SPDX-License-Identifier: ISC
#include "route/one.h"

#include "base/check.h"

static void answer(struct arena *a, const struct address *own, struct str mailbox,
                   struct route_answer *ret)
{
    struct target *target = arena_alloc(a, sizeof *target);

    *target = (struct target){
        .transport = TRANSPORT_LOCAL, .next_hop = mailbox, .address = address_text(a, own)};
    *ret = (struct route_answer){.status = reply_status(REPLY_OK, STR_NONE),
                                 .targets = target,
                                 .target_count = 1,
                                 .why = target->address};
}

static void refuse(enum reply_name reply, struct str about, struct route_answer *ret)
{
    *ret = (struct route_answer){.status = reply_status(reply, about), .why = about};
}

/* False: it is none. */
static bool by_account(const struct route_table *t, const struct address *login, struct arena *a,
                       struct route_answer *ret)
{
    struct address own;
    enum account_answer found = t->account(t->arg, login->local, login->domain, a, &own);

    if (found == ACCOUNT_YES)
        answer(a, &own, route_mailbox(a, &own), ret);
    else if (found == ACCOUNT_TRY_LATER)
        refuse(REPLY_ROUTER_AWAY, address_text(a, login), ret);
    return found != ACCOUNT_NO;
}

static bool by_user(const struct route_table *t, const struct address *login, struct arena *a,
                    struct route_answer *ret)
{
    struct str user = STR_NONE;
    enum login_answer found = t->login(t->arg, login->local, a, &user);
    struct address own = {.local = user, .domain = login->domain};

    if (found == LOGIN_YES)
        answer(a, &own, arena_printf(a, "~%.*s", STR_ARG(user)), ret);
    else if (found == LOGIN_TRY_LATER)
        refuse(REPLY_ROUTER_AWAY, address_text(a, login), ret);
    return found == LOGIN_YES || found == LOGIN_TRY_LATER;
}

void route_login(const struct route_table *t, const struct route_question *q, struct arena *a,
                 struct route_answer *ret)
{
    struct address login;
    struct parse_error error;
    const struct route_domain *domain = NULL;

    if (address_parse(q->recipient, a, &login, &error))
        domain = route_find_domain(t, login.domain);
    if (domain && domain->accounts && by_account(t, &login, a, ret))
        return;
    if (domain && domain->user_logins && by_user(t, &login, a, ret))
        return;
    refuse(REPLY_NO_SUCH_USER, q->recipient, ret);
}
