/* outward/talk/talk.h - one talk: a connection, what is said over it, and who says it (a person at a
 * terminal, or a script). Shared by the files of this folder; nothing of it is for others.
 *
 *   editor, script --typed--> talk_typed --ours--> local.c --> login.c, content.c
 *                                  |                              |
 *                                  +--> held, until its turn --> talk_say --> wire
 *   wire --bytes--> answer --> show; exchange: what it answers --> login.c, content.c, script.c */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "outward/send/target.h"
#include "outward/talk/answer.h"
#include "outward/talk/editor.h"
#include "outward/talk/exchange.h"
#include "outward/talk/local.h"
#include "outward/talk/show.h"
#include "outward/talk/wire.h"
#include "sasl/sasl.h"

enum { HELD_LINES_MAX = 10000, TIMEOUT_S_DEFAULT = 60, HANDLED_BYTES_MAX = 64 * 1024 };

enum talk_state { TALK_CLOSED, TALK_CONNECTING, TALK_OPEN, TALK_SECURING };

struct script;
struct login;
struct content;

struct talk {
    const struct command_line *line;
    struct loop *loop;
    struct arena arena;
    struct providers providers;
    struct server_target target;
    struct sock_address from; /* to connect from */
    bool has_from;
    const char *hostname; /* to name in EHLO, for templates and helps */
    struct tls_context *tls_context;
    uint64_t timeout_us;

    enum talk_state state;
    struct wire *wire;
    struct exchange exchange;
    struct answer_reader answer;
    struct show show;
    struct editor *editor; /* NULL: a script */
    struct script *script; /* NULL: a person */
    struct buf held;       /* lines that wait for their turn, a '\n' behind each; maybe secret */
    size_t held_count;
    struct login *login;     /* that goes on, or NULL */
    struct content *content; /* that is sent or waits for 354, or NULL */

    struct buf last;     /* the lines of the last whole answer, for `expect` */
    uint64_t began_us;   /* connecting, or the handshake */
    uint64_t heard_us;   /* when anything was last said or heard */
    uint64_t silent_us;  /* before the last thing that nobody asked for */
    uint64_t silence_us; /* after so much silence the server hung up before; 0: not known */
    uint64_t keep_us;    /* NOOP after so much silence; 0: never */
    bool said_quit, bell_rung, over, releasing, conversing;
    bool asking;         /* something of ours waits for the person: no line is awaited */
    struct timer second; /* the clock of the prompt */
    int code;
};

uint64_t talk_now_us(const struct talk *t);
void talk_connect(struct talk *t);
void talk_close(struct talk *t, bool hang_up_said);
void talk_end(struct talk *t, int code); /* leave */

/* A line from a person or a plain script, without its end. */
void talk_typed(struct talk *t, struct str line);
/* What was held, as far as its turn has come; called from outside of the loop's turns. */
void talk_release(struct talk *t);
/* Says a line now; typed: it stands on the screen. secret: all of it. */
void talk_say(struct talk *t, struct str line, bool typed);
void talk_say_bytes(struct talk *t, struct str bytes); /* exactly these */
/* May something be said? Else it prints why not. */
bool talk_can_say(struct talk *t);
void talk_secure(struct talk *t);      /* the handshake, now */
bool talk_waits(const struct talk *t); /* for an answer, the handshake or the end of something */
const char *talk_prompt(void *arg);
struct str talk_server(const struct talk *t);

/* ---- login.c ---- */
/* mechanism and user may be empty. */
void login_begin(struct talk *t, struct str mechanism, struct str user);
/* An answer to AUTH, USER or PASS. True: it was ours. */
bool login_heard(struct talk *t);
void login_drop(struct talk *t);

/* ---- content.c ---- */
void content_data(struct talk *t, struct str file); /* "-": typed by hand, "": an editor */
void content_bdat(struct talk *t, struct str file, uint64_t chunk_bytes);
/* An answer to DATA, BDAT; 354 or whatever. */
void content_heard(struct talk *t, enum explain_step step);
void content_drained(struct talk *t);
void content_drop(struct talk *t);

/* ---- play.c ---- */
int script_open(struct talk *t,
                const char *replay_path); /* NULL: standard input. EX_OK or printed */
void script_free(struct script **s);
void script_heard_line(struct talk *t, struct str line);
void script_advance(struct talk *t); /* something happened */
bool script_is_replay(const struct talk *t);
/* `expect`: does the last answer match? */
bool script_expect(struct talk *t, struct str pattern);
