/* cli/talk/local.h - the commands that are ours and not the server's: a row each.
 *
 * They begin with a slash, which no command of SMTP, LMTP or POP3 does, so everything else can be
 * said to the server as it is typed. Three are also understood without it, where the server could
 * not mean it: "auth" alone, "data FILE" and "bdat FILE". */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

struct talk;

enum local_argument { LOCAL_NOTHING, LOCAL_FILE, LOCAL_MECHANISM, LOCAL_SWITCH, LOCAL_COMMAND };

/* The words for completion, "/data ": NULL behind the last. */
const char *local_word(size_t i);
/* What stands behind one, with or without its slash. */
enum local_argument local_completes(struct str verb);

/* Is the line one of ours? Then *verb is its name and *arguments what is behind it. An unknown one
 * with a slash is ours, too. */
bool local_cut(struct str line, bool pop3, struct str *verb, struct str *arguments);
/* Does it talk to the server, so that it must wait for its turn? */
bool local_waits(struct str verb);
void local_run(struct talk *t, struct str verb, struct str arguments);
