/* base/log.h - one event, one line, fixed keys, ids first.
 *
 *   level=info event=accepted msg=0f3k… session=… from=<a@b.org> size=5120 rcpts=2
 *
 * A line is built in a struct buf with line_* and is the same text in the log, in the history
 * files and in the answers of `troika trace`. line_value() is the only place in the tree that
 * escapes untrusted text: bytes outside printable ASCII, `"` and `\` become \xHH, and a value
 * with a blank, `=`, or nothing in it is quoted. So a line never contains a newline.
 * Folders below daemon/ never log; they return reasons. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };

enum { LINE_BYTES_MAX = 8192, LINE_VALUE_BYTES_MAX = 1024 }; /* a longer value ends in … as \x.. */

/* A pair that no longer fits into the buf is left out whole. */

/* Building: key=value pairs appended with one blank between them. */
void line_str(struct buf *b, const char *key, struct str value);
void line_c(struct buf *b, const char *key, const char *value);
void line_u64(struct buf *b, const char *key, uint64_t value);
void line_address(struct buf *b, const char *key, struct str address); /* in < >, also when empty */
void line_value(struct buf *b, struct str value);                      /* the escaping itself */

/* Reading back, as history and trace do. line_next cuts one pair off *rest; the value is
 * unescaped into *scratch (whose contents it replaces). False at the end or at a malformed pair. */
bool line_next(struct str *rest, struct str *key, struct str *value, struct buf *scratch);
/* The value of one key, or false. */
bool line_get(struct str line, const char *key, struct str *value, struct buf *scratch);
/* The values of so many keys in one pass, all of them in *scratch; "" where a key is not there or
 * malformed, the first where it comes again. Fastest in the order of the line. */
void line_pick(struct str line, const char *const *keys, size_t count, struct str *values,
               struct buf *scratch);

/* Where lines go: one file descriptor (stderr by default, with sd-daemon <N> prefixes when the
 * journal listens: JOURNAL_STREAM is set), or syslog over an already connected datagram socket. */
enum log_form { LOG_FORM_PLAIN, LOG_FORM_JOURNAL, LOG_FORM_SYSLOG };
void log_open(int fd, enum log_form form, enum log_level least, const char *role);
/* log_line writes `level=… role=… ` + line at once (plain: with `time=… ` before them); it never
 * blocks for long and loses the line rather than the program. */
void log_line(enum log_level level, struct str line);
/* For rare lines: log_event(LEVEL_ERROR, "spool-broken", "error", strerror(e), NULL): pairs of C
 * strings, ended by NULL. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));
