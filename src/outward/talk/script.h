/* outward/talk/script.h - lines of scripts and transcripts, patterns and escapes. Pure.
 *
 * A script is written in one of two forms; its first line that is no comment decides:
 *
 *   the dialogue of tests/dialog, and of our transcripts     plain
 *     S: 220 *                                                 EHLO me.example
 *     C: EHLO me.example                                       expect 250
 *     S: 250-*                                                 MAIL FROM:<a@b.example>
 *
 * Plain lines are what a person would type; each waits for the answer to the one before. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { SCRIPT_SAID_BYTES_MAX = 16 * 1024 * 1024 };

enum script_kind {
    SCRIPT_NOTHING,  /* a comment, or blank */
    SCRIPT_TYPED,    /* plain */
    SCRIPT_SAY,      /* C: text, CRLF is added */
    SCRIPT_SAY_RAW,  /* C\: text with escapes, exactly */
    SCRIPT_HEAR,     /* S: pattern of a line */
    SCRIPT_HEAR_RAW, /* S\: likewise, with escapes */
    SCRIPT_CLOSED,   /* closed: the server has hung up */
    SCRIPT_WAIT,     /* wait: seconds */
    SCRIPT_SKIPPED,  /* a directive that only the tests of Troika itself can follow */
    SCRIPT_BAD,      /* none of these, in a dialogue */
};

struct script_line {
    enum script_kind kind;
    struct str text; /* a view into the line */
};

/* Is this the line of a dialogue? Then all of the script is one. */
bool script_is_dialogue(struct str line);
struct script_line script_parse(struct str line, bool dialogue);
/* * stands for anything, all else for itself. */
bool script_matches(struct str pattern, struct str text);
/* Appends text with \r \n \t \0 \\ \" \xHH and \{1000*text} resolved. False: *why says what is wrong. */
bool script_unescape(struct str text, struct buf *to, const char **why);
