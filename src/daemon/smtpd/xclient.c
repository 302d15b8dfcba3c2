/* smtpd/xclient.c - XCLIENT: a proxy of ours says for whom it speaks, and the session begins anew as
 * if that client had connected. Postfix's XCLIENT_README.
 *
 * What was told stays for the whole session. Who may tell it is asked of the address in force, so
 * after ADDR usually nobody may any more. */
// SPDX-License-Identifier: ISC
#include "wire/xclient.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/check.h"
#include "daemon/smtpd/state.h"

/* REPLY_GREETING, or why that client is not let in. */
static enum reply_name take_address(struct session *s, const struct endpoint *client)
{
    bool known = client->ip_bytes > 0;
    struct sock_address to =
        sock_address_make(client->ip_bytes == 4 ? AF_INET : AF_INET6, client->ip, client->port);
    struct session_rights rights = {.may_relay = false};
    struct buf ip = buf_init(64);
    enum reply_name r = s->world->moved(s->arg, known ? &to : NULL, &rights);

    if (!s->proxy[0]) /* else it is the one that connected */
        session_take_proxy(s, str_c(s->ip));
    if (known)
        sock_address_print_ip(&ip, &to);
    session_take_ip(s, known ? buf_str(&ip) : STR("unknown"));
    buf_free(&ip);
    s->may_relay = rights.may_relay;
    s->may_xclient = rights.may_xclient;
    return r;
}

/* A new address has a new name; what the proxy knows of it need not be asked for. */
static void take_name(struct session *s, const struct xclient *x)
{
    bool nowhere = (x->said & XCLIENT_ADDR) && x->client.ip_bytes == 0;

    name_forget(s);
    if (x->said & XCLIENT_NAME)
        name_take(s, x->name,
                  x->name_later ? STR("the proxy could not look it up now")
                                : STR("the proxy knows none"));
    else if (nowhere)
        name_take(s, STR_NONE, STR("the proxy knows no address"));
    else
        name_ask(s);
}

static void take_helo(struct session *s, struct str helo)
{
    free(s->xclient_helo);
    s->xclient_helo = helo.n > 0 ? mem_copy(helo.p, helo.n) : NULL;
}

static void begin_anew(struct session *s)
{
    free(s->helo);
    s->helo = NULL;
    s->extended = false;
    s->account[0] = '\0';
    s->phase = FRESH;
}

struct reply cmd_xclient(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    struct xclient x;
    const char *wrong;
    enum reply_name r = REPLY_GREETING;

    if (!s->may_xclient)
        return reply(REPLY_XCLIENT_DENIED);
    wrong = xclient_parse(c, scratch, &x);
    if (wrong)
        return reply_about(REPLY_SYNTAX, str_c(wrong));

    begin_anew(s);
    if (x.said & XCLIENT_ADDR)
        r = take_address(s, &x.client);
    if (r != REPLY_GREETING) {
        s->phase = CLOSED;
        return reply_about(r, r == REPLY_TOO_MANY_FROM_YOU ? str_c(s->ip) : s->config->hostname);
    }
    if (x.said & XCLIENT_HELO)
        take_helo(s, x.helo);
    if (x.said & XCLIENT_LOGIN && x.login.n > 0)
        session_logged_in(s, x.login);
    if (x.said & (XCLIENT_ADDR | XCLIENT_NAME))
        take_name(s, &x);
    return reply_about(session_greeting(s), s->config->hostname);
}
