/* config/value.h - the kinds of values a statement can have: read from text, checked, printed.
 *
 * What value_parse takes, value_print gives back as a text that parses to the same value. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum value_kind {
    VALUE_FLAG,         /* bool: yes, no */
    VALUE_COUNT,        /* uint64_t */
    VALUE_BYTES,        /* uint64_t: 4096, 64K, 50M, 2G, 1T */
    VALUE_DURATION,     /* uint64_t, microseconds: 30s, 5m, 2h, 5d */
    VALUE_DURATIONS,    /* a list of them */
    VALUE_DOMAIN,       /* struct str, lower case: a full domain name */
    VALUE_FOLDER,       /* struct str: an absolute path */
    VALUE_FILE,         /* struct str: an absolute path, or empty: none */
    VALUE_CHOICE,       /* struct str: one of the words in min */
    VALUE_NETWORKS,     /* a list of struct network */
    VALUE_ADDRESSES,    /* a list of struct str: *:25, 127.0.0.1:2525, unix:/path */
    VALUE_HOST_PORT,    /* struct str: host:port */
    VALUE_NEXT_HOP,     /* the same, or unix:/path */
    VALUE_NAME,         /* struct str: a title of letters, digits and - */
    VALUE_MAIL_DOMAIN,  /* struct str, lower case: also one label, as localhost */
    VALUE_ROUTE_DOMAIN, /* the same, maybe with a dot in front */
    VALUE_USERS,        /* a list of struct str: logins of this machine */
    VALUE_RESOLVERS,    /* a list of struct str: ADDRESS@PORT */
    VALUE_PLACE,        /* struct str: where a user's mail goes: ~/Maildir */
    VALUE_OUR_DOMAIN,   /* as VALUE_MAIL_DOMAIN, or empty: none */
    VALUE_RATES,        /* a list of struct rate: 500/hour, 2000/day */
    VALUE_LIMITS,       /* a list of struct rate: also 1/minute, 5/second, 50/15m */
    VALUE_LOGIN,        /* struct str: printable, or empty: none */
    VALUE_WORD,         /* struct str: a login, group or service of this machine; or empty: none */
    VALUE_NONE,         /* struct str, empty: the title of a section without one */
    VALUE_KIND_COUNT
};

struct value_range {
    const char *min, *max; /* as written; "" is none */
};

struct value_form {
    const char *form; /* for the manual */
    bool list;        /* of `bytes` each */
    bool bare;        /* is printed without quotes */
    size_t bytes;
};

const struct value_form *value_form(enum value_kind kind);
/* Reads one value (a member of a list) into ret. False: why says what is wrong and what would be
 * right; ret is untouched. */
/* Does a list of this one word stand for an empty one? libconfuse does not see that { } was written,
 * so where a default has members "none" takes them away. */
bool value_is_none(enum value_kind kind, struct str text);
bool value_parse(enum value_kind kind, const struct value_range *range, struct str text,
                 struct arena *a, void *ret, struct buf *why);
void value_print(enum value_kind kind, const void *value, struct buf *to);

/* "host:port" cut in two; an IPv6 host is without its brackets. */
bool host_port_split(struct str s, struct str *host, uint64_t *port);
