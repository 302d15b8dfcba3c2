/* smtpd/starttls.c - what a session knows of TLS: whether it is offered, wanted, and up. RFC 3207.
 *
 * After STARTTLS nothing that the client said before counts: neither its name nor a message, nor
 * what it had sent behind the command (who owns the stream throws that away). */
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/state.h"

static bool listener_says(const struct session *s, const char *word)
{
    return s->listen && str_eq_c(s->listen->tls, word);
}

static bool listener_has_tls(const struct session *s)
{
    return s->listen && s->listen->tls.n > 0 && !listener_says(s, "off") &&
           config_has_certificate(s->config);
}

bool starttls_offered(const struct session *s)
{
    return !s->secure && listener_has_tls(s) && s->world->tls_can(s->arg);
}

bool starttls_missing(const struct session *s)
{
    return !s->secure && listener_says(s, "required");
}

/* The handshake begins when this session has nothing more to say. */
struct reply cmd_starttls(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    if (s->secure)
        return reply(REPLY_TLS_UP);
    if (!listener_has_tls(s))
        return reply(REPLY_NOT_IMPLEMENTED);
    if (!s->world->tls_can(s->arg))
        return reply(REPLY_NO_TLS_NOW);
    starttls_begin(s);
    return reply(REPLY_START_TLS);
}

void starttls_begin(struct session *s)
{
    txn_end(s);
    s->account[0] = '\0';
    free(s->helo);
    s->helo = NULL;
    s->extended = false;
    s->phase = FRESH;
    s->lines = (struct line_reader){.bytes_max = s->lines.bytes_max};
    s->waiting = FOR_TLS;
    s->active_us = clock_monotonic_us(s->world->clock);
}

bool session_shakes(const struct session *s)
{
    return s->waiting == FOR_TLS && s->phase != CLOSED;
}

bool session_is_mute(const struct session *s)
{
    return !s->secure && listener_says(s, "implicit");
}

void session_secured(struct session *s, struct str words, struct buf *out)
{
    if (s->waiting != FOR_TLS)
        return;
    s->secure = true;
    s->secured = mem_copy(words.p, words.n);
    s->waiting = FOR_CLIENT;
    s->active_us = clock_monotonic_us(s->world->clock);
    if (listener_says(s, "implicit"))
        session_greet(s, out);
    session_check(s);
}

void starttls_line(const struct session *s, struct buf *to)
{
    if (s->secure)
        line_c(to, "tls", s->secured);
}
