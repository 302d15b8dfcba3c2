/* route/one.h - private to this folder: where one address goes, aliases apart. */
// SPDX-License-Identifier: ISC
#pragma once

#include "route/route.h"

/* The recipient of a question as an address. False: refused, for it is no address, or one that asks
 * to be sent on in an older syntax. */
bool route_read(const struct route_table *t, struct str text, struct arena *a, struct address *ret,
                struct route_answer *refusal);
void route_one(const struct route_table *t, const struct route_question *q,
               const struct address *to, struct arena *a, struct route_answer *ret);
const struct route_domain *route_find_domain(const struct route_table *t, struct str name);
/* The mailbox of an account as the next hop of a target. */
struct str route_mailbox(struct arena *a, const struct address *account);
bool route_is_postmaster(const struct address *to);
