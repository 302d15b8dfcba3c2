/* daemon/router/table.h - what route_decide needs, from a configuration and the accounts. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "daemon/router/question.h"
#include "login/account.h"
#include "route/map/aliases.h"
#include "route/route.h"

struct table {
    struct arena arena;
    struct config *config; /* held: the strings of the table are its own */
    struct route_table routes;
    struct accounts *accounts;
    struct aliases **aliases; /* of each domain, NULL: it has none */
    size_t alias_count;
    struct question *question; /* what is being decided */
    /* of the last question that could not be answered, 0: none */
    int account_error, alias_error;
    struct str alias_domain; /* whose aliases those are */
};

/* Takes over when a configuration was loaded; the old one ends. The table stays where it is: its
 * account function points at it. */
void table_load(struct table *t, struct config **c);
void table_free(struct table *t);
