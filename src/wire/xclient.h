/* wire/xclient.h - the attributes of XCLIENT, as Postfix's XCLIENT_README has them. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "wire/proxy.h"
#include "wire/smtp.h"

#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

/* Bits of what was said. */
enum {
    XCLIENT_NAME = 1,
    XCLIENT_ADDR = 2,
    XCLIENT_PORT = 4,
    XCLIENT_PROTO = 8,
    XCLIENT_HELO = 16,
    XCLIENT_LOGIN = 32,
    XCLIENT_DESTADDR = 64,
    XCLIENT_DESTPORT = 128,
};

struct xclient {
    unsigned said;
    struct str name, helo, login; /* empty: [UNAVAILABLE] */
    bool name_later;              /* [TEMPUNAVAIL]: it could not be looked up now */
    bool extended;                /* PROTO=ESMTP */
    struct endpoint client, server;
};

/* Strings are in the arena. NULL, or what is wrong and what would be right: a constant. */
const char *xclient_parse(const struct smtp_command *c, struct arena *a, struct xclient *ret);
