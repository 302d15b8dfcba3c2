/* route/verify.c - VRFY and EXPN: what a person typed, as an address, and where that leads. */
// SPDX-License-Identifier: ISC
#include "route/one.h"

#include "base/check.h"
#include "mail/address_list.h"

enum { DOMAINS_TRIED_MAX = 100, NAMES_TOLD_MAX = 5 };

struct found {
    size_t count;
    bool try_later;
    struct route_answer answer; /* the first */
    struct buf names;           /* <bill@a.example> <bill@b.example> */
};

static void try_address(const struct route_table *t, const struct route_question *q,
                        struct str address, struct arena *a, struct route_answer *ret)
{
    struct route_question whole = *q;

    whole.recipient = address;
    *ret = (struct route_answer){0};
    route_decide(t, &whole, a, ret);
    ret->why = address;
}

/* Somebody is known by that name, also one who has moved. */
static bool is_known(const struct status *st)
{
    const struct reply_row *row = reply_row_of(st);

    return status_done(st) || row == &reply_table[REPLY_MOVED] ||
           row == &reply_table[REPLY_MOVED_NO_ADDRESS];
}

/* A name alone may be in several domains. */
static void try_domain(const struct route_table *t, const struct route_question *q,
                       struct str domain, struct str name, struct arena *a, struct found *f)
{
    struct route_answer answer;
    struct address address;
    struct parse_error error;

    if (!address_qualify(name, domain, a, &address, &error))
        return;
    try_address(t, q, address_text(a, &address), a, &answer);
    f->try_later |= status_try_later(&answer.status);
    if (!is_known(&answer.status))
        return;
    if (f->count++ == 0)
        f->answer = answer;
    if (f->count <= NAMES_TOLD_MAX)
        buf_printf(&f->names, " <%.*s>", STR_ARG(answer.why));
}

static struct route_answer refusal(enum reply_name why, struct str about)
{
    return (struct route_answer){.status = reply_status(why, about)};
}

static void try_domains(const struct route_table *t, const struct route_question *q,
                        struct str name, struct arena *a, struct route_answer *ret)
{
    struct found f = {.names = buf_init(NAMES_TOLD_MAX * (ADDRESS_BYTES_MAX + 4))};

    for (size_t i = 0; i < t->domain_count && i < DOMAINS_TRIED_MAX; i++)
        try_domain(t, q, t->domains[i].name, name, a, &f);
    if (f.count == 0 && !f.try_later)
        try_domain(t, q, t->hostname, name, a, &f);
    if (f.try_later)
        *ret = refusal(REPLY_ROUTER_AWAY, name);
    else if (f.count == 0)
        *ret = refusal(REPLY_NO_SUCH_USER, name);
    else if (f.count == 1)
        *ret = f.answer;
    else
        *ret = refusal(REPLY_AMBIGUOUS,
                       arena_printf(a, "ambiguous; it could be%.*s%s", STR_ARG(buf_str(&f.names)),
                                    f.count > NAMES_TOLD_MAX ? " or others" : ""));
    buf_free(&f.names);
}

void route_verify(const struct route_table *t, const struct route_question *q, struct arena *a,
                  struct route_answer *ret)
{
    struct str text = str_trim(q->recipient);
    struct str mailbox = text;

    /* <bill>, Bill <bill@example.org>, bill */
    if (str_ends(text, STR(">")) && str_find(text, '<') < text.n)
        mailbox = str_trim(str_sub(text, str_find(text, '<') + 1, text.n - 1));
    if (str_find(mailbox, '@') < mailbox.n)
        try_address(t, q, arena_copy(a, mailbox), a, ret);
    else
        try_domains(t, q, mailbox, a, ret);
}
