/* outward/talk/local.h - the commands that are ours and not the server's: a row each.
 *
 * They begin with a slash, which no command of SMTP, LMTP or POP3 does, so everything else can be
 * said to the server as it is typed. Three are also understood without it, where the server could
 * not mean it: "auth" alone, "data FILE" and "bdat FILE". */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

struct talk;

enum local_argument { LOCAL_NOTHING, LOCAL_FILE, LOCAL_MECHANISM, LOCAL_SWITCH, LOCAL_COMMAND };

struct local {
    const char *name; /* "/data" */
    const char *word; /* "/data ": with what completion adds */
    const char *usage, *help;
    enum local_argument completes; /* what stands behind it */
    bool waits;                    /* it talks to the server, so it must wait for its turn */
};

extern const struct local locals[]; /* local.def */
extern const size_t local_count;

/* By its name with or without the slash, in any case; local_count: there is none such. */
size_t local_find(struct str verb);
/* Is the line one of ours? Then *verb is its name and *arguments what is behind it. An unknown one
 * with a slash is ours, too. */
bool local_cut(struct str line, bool pop3, struct str *verb, struct str *arguments);
bool local_waits(struct str verb);
void local_run(struct talk *t, struct str verb, struct str arguments); /* local.c */
