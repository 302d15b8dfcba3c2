/* route/expand.c - route_decide: an address, or all that its alias leads to.
 *
 * Every alias is followed once, however many ways lead to it; addresses met twice get the mail
 * once. Depth and number are bounded here too, though maps are checked when they are built: the
 * files of several domains may lead to each other. */
// SPDX-License-Identifier: ISC
#include "route/one.h"

#include <string.h>

#include "base/check.h"
#include "base/map.h"

enum { WHY_BYTES_MAX = 48 << 10 };

struct expansion {
    const struct route_table *table;
    const struct route_question *question;
    struct arena *arena;
    struct route_answer *answer;
    struct buf why;        /* the tree, for people */
    struct map *followed;  /* aliases, by "name@domain" */
    struct map *delivered; /* targets, by what makes them the same */
    size_t target_room, failure_room, steps;
    bool try_later, too_many;
    const struct alias *moved; /* what the recipient itself is called, if that is no plain alias */
};

struct way { /* the aliases that led here, the last one first */
    const struct way *up;
    struct str key; /* "name@domain" */
    size_t depth;
};

struct step {
    const struct address *to;
    bool final;
    struct str at; /* "aliases:12"; empty for the recipient itself */
};

/* A list in the arena with room for one more: most aliases are short. */
static void *with_room(struct arena *a, void *list, size_t count, size_t *room, size_t bytes)
{
    if (count < *room)
        return list;
    *room = *room ? 2 * *room : 8;
    void *wider = arena_alloc(a, *room * bytes);
    if (count > 0)
        memcpy(wider, list, count * bytes);
    return wider;
}

static void tell(struct expansion *e, const struct way *way, const struct step *s, struct str why)
{
    for (size_t i = 0; way && i < way->depth; i++)
        buf_add_c(&e->why, "  ");
    if (s->at.n > 0) {
        struct str address = address_text(e->arena, s->to);
        buf_printf(&e->why, "%.*s %.*s: ", STR_ARG(s->at), STR_ARG(address));
    }
    buf_add(&e->why, why);
    buf_add_char(&e->why, '\n');
}

static void fail(struct expansion *e, const struct way *way, const struct step *s, struct str why)
{
    struct route_answer *answer = e->answer;
    answer->failures = with_room(e->arena, answer->failures, answer->failure_count,
                                 &e->failure_room, sizeof *answer->failures);
    tell(e, way, s, arena_printf(e->arena, "gets nothing: %.*s", STR_ARG(why)));
    answer->failures[answer->failure_count++] =
        (struct route_failure){.at = s->at, .address = address_text(e->arena, s->to), .why = why};
}

/* ---- one address ---- */

/* What makes two targets the same: the mailbox, or the server and the address. */
static struct str target_key(struct arena *a, const struct target *t)
{
    bool local = t->transport == TRANSPORT_LOCAL;
    return arena_printf(a, "%d %.*s %.*s", (int)t->transport, STR_ARG(t->next_hop),
                        local ? 0 : (int)t->address.n, t->address.p);
}

static void add_target(struct expansion *e, const struct way *way, const struct step *s,
                       const struct target *target)
{
    struct route_answer *answer = e->answer;
    struct str key = target_key(e->arena, target);
    if (map_get(e->delivered, key)) {
        tell(e, way, s, STR("the same as above"));
        return;
    }
    tell(e, way, s, target->why);
    answer->targets = with_room(e->arena, answer->targets, answer->target_count, &e->target_room,
                                sizeof *answer->targets);
    struct target *added = &answer->targets[answer->target_count++];
    *added = *target;
    if (s->at.n > 0)
        added->why = arena_printf(e->arena, "%.*s: %.*s", STR_ARG(s->at), STR_ARG(target->why));
    map_put(e->delivered, key, e);
}

static void end_at(struct expansion *e, const struct way *way, const struct step *s)
{
    struct route_answer one = {0};
    struct route_question question = *e->question;
    /* What the administrator wrote into an alias may leave this server. */
    question.may_relay = question.may_relay || way;
    route_one(e->table, &question, s->to, e->arena, &one);
    if (status_try_later(&one.status)) {
        tell(e, way, s, one.why);
        e->try_later = true;
    } else if (!status_done(&one.status)) {
        fail(e, way, s, one.why);
    } else {
        add_target(e, way, s, &one.targets[0]);
    }
}

/* ---- aliases ---- */

/* The most exact wins: bill+tag as an alias, as an account, then bill as an alias. */
static enum alias_answer find_alias(const struct expansion *e, const struct route_domain *domain,
                                    const struct address *to, struct alias *ret)
{
    const struct route_table *t = e->table;
    struct address own;
    struct str key = alias_key(e->arena, to->local), base = local_without_tag(key);
    enum alias_answer found = t->alias(t->arg, domain, key, e->arena, ret);
    if (found != ALIAS_NO || base.n == key.n)
        return found;
    enum account_answer account =
        domain->accounts ? t->account(t->arg, to->local, to->domain, e->arena, &own) : ACCOUNT_NO;
    if (account != ACCOUNT_NO) /* or not known now: route_one asks again and says so */
        return ALIAS_NO;
    return t->alias(t->arg, domain, base, e->arena, ret);
}

static struct str moved_to(const struct expansion *e, const struct alias *alias)
{
    return alias->target_count > 0 ? address_text(e->arena, &alias->targets[0].to) : STR_NONE;
}

/* Of a list that is trouble, for nobody is told; the others get it. */
static void leave_out(struct expansion *e, const struct way *way, const struct step *s,
                      const struct route_domain *domain, const struct alias *alias)
{
    struct str to = moved_to(e, alias);
    struct str why =
        arena_printf(e->arena, "%.*s has moved%s%.*s, by %.*s:%u", STR_ARG(alias->name),
                     to.n > 0 ? " to " : "", STR_ARG(to), STR_ARG(domain->aliases), alias->line);
    if (way)
        fail(e, way, s, why);
    else
        tell(e, way, s, why);
}

static struct alias *copy_of(struct arena *a, const struct alias *alias)
{
    struct alias *copy = arena_alloc(a, sizeof *copy);
    *copy = *alias;
    return copy;
}

static bool is_on_the_way(const struct way *way, struct str key)
{
    for (; way; way = way->up)
        if (str_eq(way->key, key))
            return true;
    return false;
}

static void resolve(struct expansion *e, const struct way *way, const struct step *s);

static void follow(struct expansion *e, const struct way *up, const struct step *s,
                   const struct route_domain *domain, const struct alias *alias, struct str key)
{
    struct way way = {.up = up, .key = key, .depth = up ? up->depth + 1 : 1};
    map_put(e->followed, key, e);
    tell(e, up, s,
         arena_printf(e->arena, "alias %.*s of %.*s:%u, by %.*s domain %.*s", STR_ARG(alias->name),
                      STR_ARG(domain->aliases), alias->line, STR_ARG(domain->at),
                      STR_ARG(domain->name)));
    for (size_t i = 0; i < alias->target_count && !e->too_many; i++) {
        const struct alias_target *t = &alias->targets[i];
        struct step next = {
            .to = &t->to,
            .final = t->final,
            .at = arena_printf(e->arena, "%.*s:%u", STR_ARG(domain->aliases), t->line)};
        resolve(e, &way, &next);
    }
}

static void resolve(struct expansion *e, const struct way *way, const struct step *s)
{
    const struct route_domain *domain = route_find_domain(e->table, s->to->domain);
    enum alias_answer found = ALIAS_NO;
    struct alias alias;
    e->too_many = e->too_many || e->steps++ == ALIAS_TARGETS_MAX;
    if (e->too_many)
        return;
    if (domain && domain->aliases.n > 0 && !s->final)
        found = find_alias(e, domain, s->to, &alias);
    if (found == ALIAS_TRY_LATER) {
        tell(e, way, s,
             arena_printf(e->arena, "%.*s domain %.*s: the aliases cannot be read now",
                          STR_ARG(domain->at), STR_ARG(domain->name)));
        e->try_later = true;
        return;
    }
    struct str key = found == ALIAS_NO ? STR_NONE
                                       : arena_printf(e->arena, "%.*s@%.*s", STR_ARG(alias.name),
                                                      STR_ARG(domain->name));
    if (found == ALIAS_YES && !way && alias.kind != ALIAS_PLAIN)
        e->moved = copy_of(e->arena, &alias);
    if (found == ALIAS_NO || (way && str_eq(way->key, key))) /* its own name: the account */
        end_at(e, way, s);
    else if (alias.kind == ALIAS_MOVED)
        leave_out(e, way, s, domain, &alias);
    else if (is_on_the_way(way, key))
        fail(e, way, s, STR("a loop of aliases"));
    else if (way && way->depth == ALIAS_DEPTH_MAX)
        fail(e, way, s, STR("more than 20 aliases one behind the other"));
    else if (map_get(e->followed, key))
        tell(e, way, s, STR("the same as above"));
    else
        follow(e, way, s, domain, &alias, key);
}

/* ---- the answer ---- */

static void refuse(struct expansion *e, enum reply_name reply)
{
    e->answer->status = reply_status(reply, e->question->recipient);
    e->answer->targets = NULL;
    e->answer->target_count = 0;
}

/* What the sender is told of somebody who has moved. RFC 5321 3.4. */
static void conclude_moved(struct expansion *e)
{
    struct str to = moved_to(e, e->moved);
    enum reply_name reply = to.n > 0 ? REPLY_MOVED : REPLY_MOVED_NO_ADDRESS;
    e->answer->status = reply_status(reply, to.n > 0 ? to : e->question->recipient);
}

static void conclude(struct expansion *e, const struct address *to)
{
    struct route_answer *answer = e->answer;
    if (e->try_later) {
        /* Some would get it now and the others never. */
        refuse(e, REPLY_ROUTER_AWAY);
    } else if (e->too_many) {
        buf_add_c(&e->why, "more than 1000 addresses in all\n");
        refuse(e, REPLY_ALIAS_TOO_LARGE);
    } else if (answer->target_count > 0 && e->moved) {
        answer->status = reply_status(REPLY_FORWARDED, moved_to(e, e->moved));
    } else if (answer->target_count > 0) {
        answer->status = reply_status(REPLY_RECIPIENT_OK, e->question->recipient);
    } else if (route_is_postmaster(to)) { /* who always gets his mail */
        end_at(e, NULL, &(struct step){.to = to});
        answer->status = reply_status(REPLY_RECIPIENT_OK, e->question->recipient);
        if (e->try_later)
            refuse(e, REPLY_ROUTER_AWAY);
    } else if (e->moved && e->moved->kind == ALIAS_MOVED) {
        conclude_moved(e);
    } else {
        refuse(e, REPLY_ALIAS_NOWHERE);
    }
    if (e->why.full)
        buf_cut(&e->why, str_find_last(buf_str(&e->why), '\n'));
    answer->why = str_trim(arena_copy(e->arena, buf_str(&e->why)));
}

static void expand(const struct route_table *t, const struct route_question *q,
                   const struct address *to, struct arena *a, struct route_answer *ret)
{
    *ret = (struct route_answer){0};
    struct expansion e = {.table = t,
                          .question = q,
                          .arena = a,
                          .answer = ret,
                          .why = buf_init(WHY_BYTES_MAX),
                          .followed = map_new(),
                          .delivered = map_new()};
    resolve(&e, NULL, &(struct step){.to = to});
    conclude(&e, to);
    buf_free(&e.why);
    map_free(&e.followed);
    map_free(&e.delivered);
}

void route_decide(const struct route_table *t, const struct route_question *q, struct arena *a,
                  struct route_answer *ret)
{
    struct address to;
    struct alias alias;
    if (!route_read(t, q->recipient, a, &to, ret))
        return;
    const struct route_domain *domain = route_find_domain(t, to.domain);
    struct expansion first = {.table = t, .arena = a};
    if (domain && domain->aliases.n > 0 && find_alias(&first, domain, &to, &alias) != ALIAS_NO)
        expand(t, q, &to, a, ret);
    else
        route_one(t, q, &to, a, ret);
}
