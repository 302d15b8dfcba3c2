/* mail/drop.h - a message that `sendmail` left while no server was there: the file's form. Pure.
 *
 *   troika-drop 1            head: lines
 *   from <alice@example.org>
 *   body 8bit                or 7bit
 *   ret FULL                 or HDRS; this and the next two only if the sender wishes so
 *   envid <QQ314159>         what the sender calls it, decoded
 *   notify SUCCESS,DELAY     or NEVER, or FAILURE too: of all recipients
 *   to <bob@example.org>     one or more
 *                            an empty line
 *   ...                      the message, lines in CRLF or LF
 *   troika-drop end SIZE CRC its bytes, and the CRC-32C of all before this line's newline in front
 *
 * A file without its last line was not finished: nobody has been told that it was taken. Anybody
 * on the machine may write such a file, so it is read as hostile. docs/formats/drop.md */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mail/notify.h"

enum {
    DROP_HEAD_BYTES_MAX = 512 * 1024,
    DROP_RECIPIENTS_MAX = 1000,
    DROP_END_BYTES = 43, /* "\ntroika-drop end " 16 digits, blank, 8 digits, "\n" */
};

struct drop_head {
    struct str sender; /* printed, without < >; empty: a notification */
    bool body_8bit;
    enum notify_return ret;
    struct str envid;
    unsigned notify; /* of enum notify_when */
    const struct str *recipients;
    size_t recipient_count;
    size_t bytes; /* of the head: here the message starts; set by the parser */
};

void drop_head_print(struct buf *to, const struct drop_head *h);
/* start: the file's first bytes, up to DROP_HEAD_BYTES_MAX. Strings are views into it. NULL, or
 * what is wrong. */
const char *drop_head_parse(struct str start, struct arena *a, struct drop_head *ret);

struct drop_end {
    uint64_t message_bytes;
    uint32_t crc;
};
void drop_end_print(struct buf *to, const struct drop_end *e);
/* end: exactly the last DROP_END_BYTES. */
bool drop_end_parse(struct str end, struct drop_end *ret);

/* Names of the files: "drop-" and 26 random letters; while it is written "part-". */
enum { DROP_NAME_BYTES = 31 };
#define DROP_PREFIX "drop-"
#define DROP_PART_PREFIX "part-"
bool drop_name_valid(struct str name);
bool drop_part_name_valid(struct str name);
