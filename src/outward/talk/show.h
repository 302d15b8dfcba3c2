/* outward/talk/show.h - what a talk prints and writes down: for a person at a terminal, as a transcript
 * that can be played again (S:, C:, and # for words), or as JSON, one object for each event.
 *
 * What strangers say is shown letter by letter, but nothing of it moves the cursor. */
// SPDX-License-Identifier: ISC
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "mail/explain.h"
#include "outward/talk/answer.h"
#include "outward/talk/editor.h"

enum show_style { SHOW_GOOD, SHOW_LATER, SHOW_BAD, SHOW_ODD, SHOW_SENT, SHOW_DIM, SHOW_PLAIN };

struct show {
    bool terminal, colours, json;
    bool explains, times;  /* what a person can switch */
    struct editor *editor; /* whose line is in the way, or NULL */
    FILE *transcript;      /* or NULL */
    FILE *out;             /* standard output, or what is kept for it */
    char *muted;
    size_t muted_bytes;
};

void show_init(struct show *s, bool json);
void show_done(struct show *s);
void show_mute(struct show *s);
void show_unmute(struct show *s);

/* A line of the server, of a reply with this code (0: nonsense; 250 and 550 for POP3). */
void show_heard(struct show *s, struct str line, uint16_t code);
/* A line that goes out, with its secrets masked already. typed: it stands on the screen. */
void show_said(struct show *s, struct str line, bool typed);
/* Words of our own: "# …" in a transcript. */
void show_words(struct show *s, enum show_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What a whole answer means, and how long it took. */
void show_answer(struct show *s, const struct answer_reader *a, enum explain_step step,
                 const char *verb, uint64_t us, bool unasked);
/* Causes and remedies of something else that went wrong. */
void show_explanation(struct show *s, const struct explanation *e, bool bad);
void show_event(struct show *s, json_t *object); /* only where it is JSON; takes the object */
/* "12 ms", "3.4 s" */
void show_time(struct buf *to, uint64_t us);
void show_hide(struct show *s); /* before printing by other means */
