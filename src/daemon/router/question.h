/* daemon/router/question.h - one ROUTE_ASK, and what it has learnt of users of this machine.
 *
 * A decision that needs to know a login that it does not know yet is made as "try later"; the
 * logins it missed are asked for, all at once, and then it is made again. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "io/loop.h"
#include "route/route.h"

enum { QUESTION_LOGINS_MAX = 1000 };

struct known_login {
    struct str name, login;
    enum login_answer answer;
    bool asked, answered;
};

struct question {
    struct list link;
    struct arena arena;
    struct channel *from;
    uint64_t ticket; /* of who asks */
    uint64_t number; /* ours */
    struct route_question ask;
    uint8_t what; /* enum route_what */
    struct known_login *logins;
    size_t login_count, login_room, open_count; /* open: asked, not answered */
    struct timer deadline;
};

struct question *question_new(const struct route_question *ask);
void question_free(struct question **q);
/* What is known of it, or LOGIN_TRY_LATER, and it is to be asked for. *login lives as long as q. */
enum login_answer question_login(struct question *q, struct str name, struct str *login);
/* The next name to ask for; false: none. */
bool question_next(struct question *q, struct str *name);
void question_answered(struct question *q, struct str name, enum login_answer answer,
                       struct str login);
