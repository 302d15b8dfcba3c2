/* cli/cli.h - what the subcommands of `troika` share: options, errors, asking the server.
 *
 * A subcommand is a row in commands.def and a file or folder with its run function. Exit codes come from
 * sysexits.h; errors go to stderr as "troika COMMAND: what is wrong, and what to do". */
// SPDX-License-Identifier: ISC
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/translate.h"
#include "config/config.h"
#include "ipc/message.h"

struct option_list { /* what an option that may be said several times was given */
    const char **items;
    size_t count;
};

struct command_line {
    const char *command; /* "queue" */
    const char *face;    /* "sendmail": the name it was called by, or NULL */
    int argument_count;  /* what is left after options */
    char **arguments;
#define OPTION_FIELD_FLAG bool
#define OPTION_FIELD_TEXT const char *
#define OPTION_FIELD_MAYBE const char *
#define OPTION_FIELD_LIST struct option_list
#define OPTION(kind, field, name, value, words) OPTION_FIELD_##kind field;
#include "cli/options.def"
#undef OPTION
};

struct command {
    const char *name;
    const char *options; /* names of the long options it takes (options.def), separated by blanks */
    const char *usage;   /* behind "troika NAME" */
    const char *summary;
    const char *help; /* the rest of --help */
    int (*run)(const struct command_line *line);
    const char *program; /* of libexec that runs it, when run is NULL */
};

#define COMMAND(program, name, ...) int run_##name(const struct command_line *l);
#include "cli/commands.def"
#undef COMMAND

/* The whole of a program with these commands: returns its exit code. */
int command_main(const struct command *commands, size_t count, int argc, char **argv);
const struct command *command_named(const struct command *commands, size_t count, const char *name);
/* 0, -1: help was shown, or an exit code after the error was printed. */
int command_options(const struct command *c, struct command_line *l, int argc, char **argv);

/* stderr: "troika NAME: …"; returns code. */
int fail(const struct command_line *l, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The configuration of -c FILE, or NULL after its errors were printed. *ret_snapshot_fd may be
 * NULL; otherwise the caller closes it. */
struct config *load_config(const struct command_line *l, int *ret_snapshot_fd);
/* Where the role programs are: beside a program run from its build, or libexec of the prefix. */
bool libexec_path(const struct command_line *l, const char *role, char *ret, size_t ret_bytes);
/* Likewise data files: "providers.conf" of share/, and the folder "locale" of translations. */
bool share_path(const char *name, char *ret, size_t ret_bytes);
void language_start(void); /* the locale of the environment, and its translations */

/* STATE and STATE/accounts (folder), for the first account or alias of all; EX_OK, or the error was
 * printed. */
int make_accounts_folder(const struct command_line *l, const struct config *c, const char *folder);
/* The same with STATE/credentials. */
int make_credentials_folder(const struct command_line *l, const struct config *c,
                            const char *folder);
/* Everything that is wrong with the alias files, a line each: EX_OK or EX_CONFIG. */
int check_aliases(const struct config *c, struct buf *errors);

/* Everything that is wrong with the certificates and their keys, a line each: likewise. */
int check_certificates(const struct config *c, struct buf *errors);

/* ---- asking a role: the running server's, or one started just for the question ---- */
struct asked;

/* 0, or an exit code after the error was printed. */
int ask_open(const struct command_line *l, enum role role, struct asked **ret);
void ask_close(struct asked **a);
int ask_send(struct asked *a, void *message);
/* Waits for the next message; it lives until the next call. NULL: the connection ended (said on stderr). */
union message *ask_receive(struct asked *a);
/* Sends the question and calls fn for every line of every LINES until END. Returns an exit code;
 * end may be NULL. */
int ask_lines(struct asked *a, void *question, void (*fn)(void *arg, struct str line), void *arg,
              struct msg_end *end);

/* ---- printing ---- */
/* For a terminal (readable.c). print_text: what cannot be shown as ?; returns the columns.
 * print_value: as \xHH, in quotes where needed. stored_form: an address or "@domain" that a person
 * typed, as it stands in queue and history. */
size_t print_text(struct str text);
size_t write_text(FILE *to, struct str text); /* the same elsewhere */
void print_value(struct str value);
struct str stored_form(struct arena *a, const char *text);
json_t *json_text(struct str text); /* a string; text that is no UTF-8 with \xHH, as in the log */
void print_json(json_t *object);    /* in one line; takes the object */
void print_line_json(struct str line);           /* one JSON object of the line's pairs */
void print_event(struct str line, bool with_id); /* one event of a message's life for a person */
void print_queue_head(void);
void print_queue_row(struct str line); /* one row of `troika queue ls` */
void print_limits_head(void);
void print_limits_row(struct str line); /* one row of `troika queue limits` */
void print_detail(struct str line);     /* one line of `troika queue show` */
