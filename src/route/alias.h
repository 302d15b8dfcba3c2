/* route/alias.h - sendmail's alias file: read, checked, and one entry as bytes for the map. Pure.
 *
 *   # a comment is a line of its own
 *   staff: alice, "b ill", Bob <bob@example.org>, \root,
 *          carol (a line that begins with a blank goes on)
 *
 *   bill: :forwarded: bill@new.example      # has moved: mail is sent on, and senders are told (251)
 *   anna: :moved: anna@new.example          # is not sent on, but senders are told where to (551)
 *   carl: :moved:                           # nobody knows where to
 *
 * A name alone means a user of the file's own domain; \name is that user's account even if there
 * is an alias of that name; so is an entry's own name. |program, /file and :include: are errors:
 * nothing a person wrote is passed over in silence. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/address.h"

enum {
    ALIAS_TARGETS_MAX = 1000, /* of one entry, and of an address in the end (route.h) */
    ALIAS_DEPTH_MAX = 20,     /* aliases of aliases */
    ALIAS_PROBLEMS_MAX = 100,
};

struct alias_target {
    struct address to;
    bool final; /* written with a backslash: an account, no further alias */
    unsigned line;
};

/* Of somebody who has moved there is one target, or for ALIAS_MOVED none. RFC 5321 3.4. */
enum alias_kind { ALIAS_PLAIN, ALIAS_FORWARDED, ALIAS_MOVED, ALIAS_KIND_COUNT };

struct alias {
    struct str name; /* lower case, unquoted */
    unsigned line;
    enum alias_kind kind;
    struct alias_target *targets;
    size_t target_count;
};

struct alias_file {
    struct alias *list; /* in the order of the file */
    size_t count;
};

struct alias_problem {
    unsigned line;
    struct str text; /* printable */
};

struct alias_problems {
    struct alias_problem list[ALIAS_PROBLEMS_MAX];
    size_t count;
    bool more; /* than are kept */
};

/* Reads the file of this domain; what is in *ret lives in the arena. Problems: everything that is
 * wrong, loops and chains that are too long included; with one of them *ret must not be used. */
void alias_parse(struct str text, struct str domain, struct arena *a, struct alias_file *ret,
                 struct alias_problems *problems);

/* "staff: alice@example.org, \root@example.org", as alias_parse reads it again. */
void alias_print(struct buf *to, const struct alias *alias);
void alias_target_print(struct buf *to, const struct alias_target *target);

/* The value under the name of an alias in a map. */
void alias_encode(struct buf *to, const struct alias *alias);
bool alias_decode(struct str name, struct str bytes, struct arena *a, struct alias *ret);

/* The key of a local part: lower case. */
struct str alias_key(struct arena *a, struct str local);
/* bill+tag without +tag; the same without one. */
struct str local_without_tag(struct str local);
