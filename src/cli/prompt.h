/* cli/prompt.h - asking a person at the terminal for what nobody is to see: passwords. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

/* Asks at a terminal (a descriptor of /dev/tty) and reads a line without echo into `to`, without
 * its end. However it ends, the terminal is as before: signals that came meanwhile are raised
 * after. False: there was no line. */
bool prompt_hidden(int tty, const char *question, char *to, size_t room, size_t *ret_n);
/* Without one line end at its end, which belongs to the terminal or the editor. */
struct str line_end_cut(struct str text);
