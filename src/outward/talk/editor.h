/* outward/talk/editor.h - a line that a person types while the event loop goes on (libedit).
 *
 * libedit asks for the next key by a function of ours, which runs turns of the loop until there is
 * one: so what the server says is shown at once, above the line that is being typed. While keys are
 * secret libedit does not see them at all: nothing is echoed, nothing gets into the history. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "io/loop.h"
#include "outward/talk/complete.h"

enum { EDITOR_LINE_BYTES_MAX = 64 * 1024 };

struct editor;

enum editor_event {
    EDITOR_LINE,   /* *line is one, without its end */
    EDITOR_END,    /* Ctrl-D on an empty line */
    EDITOR_BROKEN, /* Ctrl-C: what was typed is gone */
    EDITOR_STOP,   /* editor_stop was called */
};

struct editor_events {
    /* What stands before the line; good until the next call. */
    const char *(*prompt)(void *arg);
    void (*complete)(void *arg, struct arena *a, struct str line, struct completion *ret);
};

/* The terminal of standard input and output. history: a file, or NULL. */
int editor_new(struct loop *l, const char *history, const struct editor_events *events, void *arg,
               struct editor **ret);
void editor_free(struct editor **e); /* the terminal is as before; saves the history */
/* Waits for the next line; runs turns of the loop meanwhile. secret: nothing of it is shown. */
enum editor_event editor_line(struct editor *e, bool secret, struct buf *line);
void editor_stop(struct editor *e); /* editor_line returns; harmless outside of it */
/* May a turn of the loop change whether keys are secret? Then this says it. */
void editor_secret(struct editor *e, bool secret);
/* Takes the line off the screen, so that something can be printed; it comes back by itself. */
void editor_hide(struct editor *e);
void editor_redraw(struct editor *e); /* the prompt has changed */
/* Are there keys already that nobody has looked at, as of a paste? */
bool editor_has_keys(const struct editor *e);
void editor_remember(struct editor *e, const char *line); /* into the history */
/* Rubs out the line that was entered last, to print it otherwise. */
void editor_rub_out(struct editor *e, struct str line);
/* Gives the terminal to somebody else (an editor, a prompt) and takes it back. */
void editor_lend(struct editor *e);
void editor_take_back(struct editor *e);
unsigned editor_columns(void); /* of the terminal */
