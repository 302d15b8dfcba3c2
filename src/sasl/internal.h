/* sasl/internal.h - what the files of this folder share. */
// SPDX-License-Identifier: ISC
#pragma once

#include "sasl/sasl.h"

/* A mechanism, as a row of choose.c. */
struct sasl_mechanism {
    const char *name;
    /* Needed for it: */
    bool password, token, certificate, binding;
    bool shows_secret; /* whoever reads along has the password or token */
    bool client_first;
    bool proves; /* the server has to show that it knows the password, too (SCRAM) */
    bool weak;   /* only chosen where there is no TLS, or nothing better is offered */
};

const struct sasl_mechanism *sasl_mechanism_find(struct str name); /* NULL: unknown here */

/* The first response of OAUTHBEARER and XOAUTH2. */
void oauthbearer_print(struct buf *to, const struct sasl_login *login,
                       const struct sasl_channel *channel);
void xoauth2_print(struct buf *to, const struct sasl_login *login);
