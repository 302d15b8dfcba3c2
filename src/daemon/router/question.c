// SPDX-License-Identifier: ISC
#include "daemon/router/question.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/user.h"

struct question *question_new(const struct route_question *ask)
{
    struct question *q = mem_new(sizeof *q);

    list_init(&q->link);
    q->ask = (struct route_question){.sender = arena_copy(&q->arena, ask->sender),
                                     .recipient = arena_copy(&q->arena, ask->recipient),
                                     .may_relay = ask->may_relay};
    return q;
}

void question_free(struct question **qp)
{
    struct question *q = *qp;

    timer_stop(&q->deadline);
    list_remove(&q->link);
    arena_free(&q->arena);
    free(q);
    *qp = NULL;
}

static struct known_login *find(const struct question *q, struct str name)
{
    for (size_t i = 0; i < q->login_count; i++)
        if (str_eq(q->logins[i].name, name))
            return &q->logins[i];
    return NULL;
}

static void add(struct question *q, struct str name)
{
    if (q->login_count == QUESTION_LOGINS_MAX)
        return;
    if (q->login_count == q->login_room) {
        size_t room = q->login_room ? 2 * q->login_room : 4;
        struct known_login *wider = arena_alloc(&q->arena, room * sizeof *wider);

        if (q->login_count > 0)
            memcpy(wider, q->logins, q->login_count * sizeof *wider);
        q->logins = wider;
        q->login_room = room;
    }
    q->logins[q->login_count++] = (struct known_login){.name = arena_copy(&q->arena, name)};
}

enum login_answer question_login(struct question *q, struct str name, struct str *login)
{
    const struct known_login *known = find(q, name);

    if (!user_name_valid(name))
        return LOGIN_NO;
    if (!known)
        add(q, name);
    if (!known || !known->answered)
        return LOGIN_TRY_LATER;
    *login = known->login;
    return known->answer;
}

bool question_next(struct question *q, struct str *name)
{
    for (size_t i = 0; i < q->login_count; i++) {
        if (q->logins[i].asked)
            continue;
        q->logins[i].asked = true;
        q->open_count++;
        *name = q->logins[i].name;
        return true;
    }
    return false;
}

void question_answered(struct question *q, struct str name, enum login_answer answer,
                       struct str login)
{
    struct known_login *known = find(q, name);

    if (!known || !known->asked || known->answered)
        return;
    known->answered = true;
    known->answer = answer;
    known->login = arena_copy(&q->arena, login);
    q->open_count--;
}
