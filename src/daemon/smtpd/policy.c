/* smtpd/policy.c - what an account may do once it has logged in, and what is told to whom.
 *
 * Senders: MAIL FROM and each mailbox of From and Sender belong to the account, as login-senders
 * says; whether an address leads to it only the router knows. Limits: the queue counts, and keeps
 * room for a message from its first RCPT on, so that nothing is refused after its 250. RFC 6409
 * 6.1, 8.1; VRFY and EXPN: RFC 5321 3.5; ETRN: RFC 1985. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/state.h"
#include "mail/address_list.h"

enum { AUTHORS_MAX = 50, MEMBERS_TOLD_MAX = 250, MEMBERS_BYTES_MAX = 96 * 1024 };

void policy_cancel(struct session *s)
{
    if (s->waiting != FOR_OWNER && s->waiting != FOR_LIMIT && s->waiting != FOR_VERIFY &&
        s->waiting != FOR_ETRN)
        return;
    s->world->policy_cancel(s->arg);
    s->waiting = FOR_CLIENT;
}

/* ---- senders ---- */

static struct str account_domain(const struct session *s)
{
    struct str account = str_c(s->account);

    return str_skip(account, str_find_last(account, '@') + 1);
}

static struct str senders(const struct session *s)
{
    return config_login_senders(s->config, s->listen);
}

/* Without asking: is it the account itself, or of its domain where that is enough? */
static bool is_plainly_own(const struct session *s, struct str address)
{
    struct str domain = str_skip(address, str_find_last(address, '@') + 1);

    if (str_eq_c(senders(s), "any") || str_eq_nocase(address, str_c(s->account)))
        return true;
    return str_eq_c(senders(s), "domain") && str_eq_nocase(domain, account_domain(s));
}

static struct status not_yours(const struct session *s, struct str field, struct str address,
                               struct arena *a)
{
    bool domain = str_eq_c(senders(s), "domain");
    struct str may = domain ? account_domain(s) : STR("its own address and its aliases");

    return reply_status(REPLY_NOT_YOUR_SENDER,
                        arena_printf(a, "%.*s<%.*s> is not for %s, who may use %s%.*s",
                                     STR_ARG(field), STR_ARG(address), s->account,
                                     domain ? "any address of " : "", STR_ARG(may)));
}

struct reply policy_mail(struct session *s)
{
    struct str sender = s->txn->sender;

    if (!s->account[0] || sender.n == 0 || is_plainly_own(s, sender))
        return reply_about(REPLY_SENDER_OK, sender);
    if (!s->world->owner_ask(s->arg, str_c(s->account), sender)) {
        txn_end(s);
        return reply(REPLY_ROUTER_AWAY);
    }
    s->waiting = FOR_OWNER;
    return reply_later();
}

static void told_of_sender(struct session *s, const struct status *st, struct buf *out)
{
    struct arena scratch = ARENA_INIT;
    struct status no;

    if (status_done(st)) {
        session_say(s, reply_about(REPLY_SENDER_OK, s->txn->sender), out);
        return;
    }
    no = status_never(st) ? not_yours(s, STR_NONE, s->txn->sender, &scratch)
                          : reply_status(REPLY_ROUTER_AWAY, STR_NONE);
    session_say(s, (struct reply){.kind = REPLY_STATUS, .status = &no}, out);
    txn_end(s);
    arena_free(&scratch);
}

/* ---- authors: From and Sender ---- */

struct author_walk {
    struct str fields, list;
    struct header_field field;
    size_t in_field; /* mailboxes met in it */
};

struct author {
    struct str field; /* "From", "Sender" */
    struct str address;
    bool bad; /* no address: a field without one, or nothing that could be one */
};

static bool author_next(const struct session *s, struct author_walk *w, struct arena *a,
                        struct author *ret)
{
    struct str text;
    struct address address;
    struct parse_error error;

    while (!address_list_next(&w->list, a, &text)) {
        bool empty = w->field.name.n > 0 && w->in_field == 0;

        *ret = (struct author){.field = w->field.name, .bad = true};
        w->in_field = 1;
        if (empty)
            return true;
        if (!header_next(&w->fields, &w->field))
            return false;
        w->list = w->field.body;
        w->in_field = 0;
    }
    w->in_field++;
    *ret = (struct author){.field = w->field.name, .address = text};
    ret->bad = !address_qualify(text, account_domain(s), a, &address, &error);
    if (!ret->bad)
        ret->address = address_text(a, &address);
    return true;
}

static void refuse_author(struct session *s, const struct author *author)
{
    struct arena *a = &s->txn->arena;
    struct str field = arena_printf(a, "%.*s: ", STR_ARG(author->field));
    struct status no = not_yours(s, field, author->address, a);

    if (author->bad)
        no = reply_status(REPLY_NOT_YOUR_SENDER,
                          arena_printf(a, "%.*s: there is no mail address in it; %s may use %s",
                                       STR_ARG(author->field), s->account, s->account));
    content_refuse(s, &no);
}

/* Those that only the router knows about, one a line. False: refused already. */
static bool list_authors(struct session *s, struct buf *list)
{
    struct txn *t = s->txn;
    struct author_walk walk = {.fields = buf_str(&t->authors)};
    struct author author;

    for (size_t count = 0; author_next(s, &walk, &t->arena, &author); count++) {
        if (author.bad || count == AUTHORS_MAX) {
            refuse_author(s, &author);
            return false;
        }
        if (!is_plainly_own(s, author.address))
            buf_printf(list, "%.*s\n", STR_ARG(author.address));
    }
    return true;
}

static void refuse(struct session *s, enum reply_name row, struct str about)
{
    struct status no = reply_status(row, about);

    content_refuse(s, &no);
}

bool policy_authors(struct session *s)
{
    struct txn *t = s->txn;
    struct buf list = buf_init(AUTHORS_MAX * (ADDRESS_BYTES_MAX + 2));

    if (!s->account[0] || t->authors_known || str_eq_c(senders(s), "any"))
        return false;
    t->authors_known = true;
    if (t->authors.full) {
        refuse(s, REPLY_NOT_YOUR_SENDER, STR("From: the field is too long to be checked"));
    } else if (list_authors(s, &list) && list.n > 0) {
        if (s->world->owner_ask(s->arg, str_c(s->account), buf_str(&list)))
            s->waiting = FOR_OWNER;
        else
            refuse(s, REPLY_ROUTER_AWAY, STR_NONE);
    }
    buf_free(&list);
    return s->waiting == FOR_OWNER;
}

/* The field is found again by its address. */
static void told_of_authors(struct session *s, const struct status *st, struct str address,
                            struct buf *out)
{
    struct txn *t = s->txn;
    struct author_walk walk = {.fields = buf_str(&t->authors)};
    struct author author = {0};

    if (status_never(st)) {
        while (author_next(s, &walk, &t->arena, &author) && !str_eq(author.address, address))
            ;
        author.bad = false;
        author.address = address;
        refuse_author(s, &author);
    } else if (!status_done(st)) {
        refuse(s, REPLY_ROUTER_AWAY, STR_NONE);
    }
    content_go_on(s, out);
}

/* ---- limits ---- */

struct reply policy_rcpt(struct session *s)
{
    const struct config *c = s->config;
    struct txn *t = s->txn;

    if (!s->account[0] || c->login_message_count + c->login_recipient_count == 0)
        return rcpt_route(s);
    if (!s->world->limit_ask(s->arg, str_c(s->account), (uint32_t)t->accepted_count + 1)) {
        buf_reset(&t->asked);
        return reply(REPLY_NOT_STORED);
    }
    t->limited = true;
    s->waiting = FOR_LIMIT;
    return reply_later();
}

void session_limited(struct session *s, const struct status *st, struct buf *out)
{
    if (s->waiting != FOR_LIMIT)
        return;
    s->active_us = clock_monotonic_us(s->world->clock);
    s->waiting = FOR_CLIENT;
    if (status_done(st)) {
        session_say(s, rcpt_route(s), out);
    } else {
        session_say(s, reply_refusal(st, REPLY_NOT_STORED), out);
        if (s->txn)
            buf_reset(&s->txn->asked);
    }
    session_check(s);
}

/* ---- VRFY and EXPN ---- */

static bool tells(const struct session *s, struct str whom)
{
    return str_eq_c(whom, "yes") || (str_eq_c(whom, "logged-in") && may_relay(s));
}

struct reply policy_verify(struct session *s, struct str text, bool expand)
{
    struct str whom = expand ? s->config->expn : s->config->vrfy;

    if (!tells(s, whom) && !expand)
        return reply(REPLY_CANNOT_VERIFY);
    if (!tells(s, whom))
        return reply(str_eq_c(whom, "logged-in") ? REPLY_NOT_FOR_STRANGERS : REPLY_NOT_IMPLEMENTED);
    if (!s->world->verify_ask(s->arg, may_relay(s), text))
        return reply(REPLY_ROUTER_AWAY);
    s->expanding = expand;
    s->waiting = FOR_VERIFY;
    return reply_later();
}

/* ---- ETRN ---- */

bool policy_offers_etrn(const struct session *s)
{
    return !s->lmtp && tells(s, s->config->etrn);
}

/* Whoever may ask learns how much waits for a domain, and makes work; where the mail goes is not
 * for them to say. */
struct reply policy_etrn(struct session *s, struct str node)
{
    if (s->lmtp || str_eq_c(s->config->etrn, "no"))
        return reply(REPLY_NO_ETRN);
    if (!tells(s, s->config->etrn))
        return reply_about(REPLY_ETRN_DENIED, node);
    if (!s->world->etrn_ask(s->arg, node))
        return reply_about(REPLY_ETRN_UNABLE, node);
    s->waiting = FOR_ETRN;
    return reply_later();
}

void session_etrn_done(struct session *s, const struct status *st, struct buf *out)
{
    if (s->waiting != FOR_ETRN)
        return;
    s->active_us = clock_monotonic_us(s->world->clock);
    s->waiting = FOR_CLIENT;
    session_say(s, (struct reply){.kind = REPLY_STATUS, .status = st}, out);
    session_check(s);
}

/* ---- what the router says ---- */

struct members {
    size_t count;
    struct target first;
    struct buf lines; /* <bill@example.org>, one a line */
};

static bool read_members(struct str targets, struct members *m)
{
    struct reader r = reader_init(targets);
    struct target target;

    while (r.rest.n > 0) {
        if (!target_decode(&r, &target))
            return false;
        if (m->count++ == 0)
            m->first = target;
        if (m->count <= MEMBERS_TOLD_MAX)
            buf_printf(&m->lines, "%s<%.*s>", m->count > 1 ? "\n" : "", STR_ARG(target.address));
    }
    return m->count > 0;
}

static struct reply verified(const struct members *m, struct str address)
{
    if (m->count > 1 || m->first.transport != TRANSPORT_RELAY)
        return reply_about(REPLY_VERIFIED, address);
    if (str_eq_nocase(m->first.address, address))
        return reply_about(REPLY_VERIFIED_RELAY, address);
    return reply_about(REPLY_VERIFIED_ELSEWHERE, m->first.address);
}

static struct reply expanded(const struct members *m, struct str address)
{
    if (m->count == 1 && str_eq_nocase(m->first.address, address))
        return reply_about(REPLY_NO_LIST, address);
    if (m->count > MEMBERS_TOLD_MAX || m->lines.full)
        return reply_about(REPLY_LIST_TOO_LONG, address);
    return (struct reply){.kind = REPLY_LINES, .row = REPLY_VERIFIED, .about = buf_str(&m->lines)};
}

static void told_where(struct session *s, const struct status *st, struct str targets,
                       struct str address, struct buf *out)
{
    struct members m = {.lines = buf_init(MEMBERS_BYTES_MAX)};

    if (!status_done(st))
        session_say(s, reply_refusal(st, REPLY_ROUTER_AWAY), out);
    else if (!read_members(targets, &m))
        session_say(s, reply(REPLY_ROUTER_AWAY), out);
    else if (!s->expanding && reply_row_of(st) == &reply_table[REPLY_FORWARDED])
        session_say(s, (struct reply){.kind = REPLY_STATUS, .status = st}, out);
    else
        session_say(s, s->expanding ? expanded(&m, address) : verified(&m, address), out);
    buf_free(&m.lines);
}

void session_told(struct session *s, const struct status *st, struct str targets,
                  struct str address, struct buf *out)
{
    enum waiting asked = s->waiting;

    if (asked != FOR_OWNER && asked != FOR_VERIFY)
        return;
    s->active_us = clock_monotonic_us(s->world->clock);
    s->waiting = FOR_CLIENT;
    if (asked == FOR_VERIFY)
        told_where(s, st, targets, address, out);
    else if (s->phase == CONTENT)
        told_of_authors(s, st, address, out);
    else
        told_of_sender(s, st, out);
    session_check(s);
}
