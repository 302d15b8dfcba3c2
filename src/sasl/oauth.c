/* sasl/oauth.c - the two ways to hand over a token of OAuth 2.
 *
 * Both say it once; a server that does not take it answers with a challenge that holds JSON, which
 * has to be answered before the refusal comes (RFC 7628 3.2.3). */
// SPDX-License-Identifier: ISC
#include "sasl/internal.h"

/* RFC 5801 4: a saslname has no comma and no equals sign of its own. */
static void add_saslname(struct buf *to, struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '=')
            buf_add_c(to, "=3D");
        else if (name.p[i] == ',')
            buf_add_c(to, "=2C");
        else
            buf_add_char(to, name.p[i]);
    }
}

/* RFC 7628 3.1. The identity is the user the token is for, unless it is to act as another one. */
void oauthbearer_print(struct buf *to, const struct sasl_login *login,
                       const struct sasl_channel *channel)
{
    struct str as = login->authzid.n > 0 ? login->authzid : login->user;

    buf_add_c(to, "n,");
    if (as.n > 0)
        buf_add_c(to, "a=");
    add_saslname(to, as);
    buf_add_c(to, ",\001");
    if (channel->host.n > 0)
        buf_printf(to, "host=%.*s\001", STR_ARG(channel->host));
    if (channel->port > 0)
        buf_printf(to, "port=%u\001", channel->port);
    buf_add_c(to, "auth=Bearer ");
    buf_add(to, login->token);
    buf_add_c(to, "\001\001");
}

void xoauth2_print(struct buf *to, const struct sasl_login *login)
{
    buf_add_c(to, "user=");
    buf_add(to, login->user);
    buf_add_c(to, "\001auth=Bearer ");
    buf_add(to, login->token);
    buf_add_c(to, "\001\001");
}
