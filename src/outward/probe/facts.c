/* outward/probe/facts.c - small questions about facts. */
// SPDX-License-Identifier: ISC
#include "outward/probe/facts.h"

#include <netinet/in.h>

#include "base/translate.h"

const char *fact_step_word(enum fact_step s)
{
    static const char *const words[TALK_STEP_COUNT] = {
        [TALK_CONNECT] = N_("connection"),
        [TALK_GREETING] = N_("greeting"),
        [TALK_EHLO] = "EHLO",
        [TALK_HELO] = "HELO",
        [TALK_STARTTLS] = "STARTTLS",
        [TALK_TLS] = "TLS",
        [TALK_EHLO_SECURED] = "EHLO",
        [TALK_VRFY_POSTMASTER] = "VRFY",
        [TALK_VRFY_NOBODY] = "VRFY",
        [TALK_EXPN] = "EXPN",
        [TALK_BOUNCE] = "MAIL",
        [TALK_POSTMASTER] = "RCPT",
        [TALK_NOBODY] = "RCPT",
        [TALK_RSET] = "RSET",
        [TALK_RELAY_MAIL] = "MAIL",
        [TALK_RELAY_RCPT] = "RCPT",
        [TALK_RELAY_RSET] = "RSET",
        [TALK_QUIT] = "QUIT",
    };

    return words[s];
}

size_t fact_records(const struct fact_answer *answer, bool (*is)(struct str text), struct str *ret)
{
    size_t count = 0;

    for (size_t i = 0; answer->outcome == DNS_FOUND && i < answer->count; i++)
        if (is(answer->records[i].bytes) && count++ == 0)
            *ret = answer->records[i].bytes;
    return count;
}

const uint8_t *fact_address_bytes(const struct sock_address *a, size_t *ret_bytes)
{
    bool six = a->sa.ss_family == AF_INET6;

    *ret_bytes = six ? 16 : 4;
    return six ? ((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_addr.s6_addr
               : (const uint8_t *)&((const struct sockaddr_in *)(const void *)&a->sa)->sin_addr;
}

struct sock_address fact_server_address(const struct fact_server *s)
{
    const struct sock_address *a = &s->address->ip;
    size_t ignored;

    return sock_address_make(a->sa.ss_family, fact_address_bytes(a, &ignored), s->port);
}

bool fact_greeted(const struct fact_server *s)
{
    return s->steps[TALK_GREETING].code / 100 == 2;
}

const struct fact_offers *fact_offers_of(const struct fact_server *s)
{
    return s->secured.said ? &s->secured : &s->plain;
}
