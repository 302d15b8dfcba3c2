/* cli/sendmail.h - the classic faces: what `sendmail` and `mailq` are made of.
 *
 * The command has no privilege. With the server up it is a client of STATE/submit.sock, where the
 * kernel says who it is; what the server does not take now, and all of it while the server is
 * down, goes as a file into STATE/drop. docs/design/0008-local-submission.md */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "cli/cli.h"
#include "mail/notify.h"

int sendmail_main(int argc, char **argv);
int mailq_main(int argc, char **argv);
int mailq(const struct command_line *l, bool total_only);

/* ---- the command line (sendmail_options.c) ---- */

struct sendmail {
    struct command_line line;
    char mode;              /* of -b: m s p P i d D v t h H C; q for -q, Q with an interval */
    char error_mode;        /* of -e: p q m w e */
    bool recipients_inside; /* -t */
    bool ignore_dots;
    bool body_8bit;         /* -B8BITMIME */
    unsigned notify;        /* -N; of enum notify_when */
    enum notify_return ret; /* -R */
    struct str envid;       /* -V, decoded */
    struct arena arena;     /* of it */
    uint64_t hops;
    const char *sender, *full_name; /* NULL: not given */
    FILE *traffic;                  /* -X */
};

/* EX_OK, or an exit code after the error was printed. What is left of argv is in s->line. */
int sendmail_options(struct sendmail *s, int argc, char **argv);

/* ---- handing over ---- */

struct mail {
    const struct sendmail *options;
    const struct config *config;
    struct str sender;
    bool body_8bit;
    unsigned notify; /* of enum notify_when, for all of them */
    enum notify_return ret;
    struct str envid;
    const struct str *recipients;
    size_t recipient_count;
    struct str prefix, content; /* the message: one behind the other, lines in LF or CRLF */
};

/* Hands it to the running server: a status for each recipient. */
void submit(const struct mail *m, struct status *results);
/* Leaves it for the server to take up later: 0 once it is durable, or a negative errno with what
 * failed in *why. */
int submit_drop(const struct mail *m, struct buf *why);
/* Connects standard input and output with the server: -bs. An exit code. */
int submit_bytes(const struct sendmail *s, const struct config *config);
