/* compose/file.h - a file that is attached: what it is, found out once before anything is sent.
 *
 * Its type is what its content is (libmagic), made more exact by its name only where both agree: a
 * zip named .docx is a document, a program named .png stays a program. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>
#include <time.h>

#include "base/arena.h"
#include "compose/compose.h"

struct file {
    const char *path;
    struct str name;         /* that the receiver sees: UTF-8 */
    const char *type;        /* as declared in the message */
    const char *real_type;   /* by content */
    const char *description; /* of the content, in libmagic's words; NULL: nobody needs it */
    const char *charset;     /* of a text; NULL: unknown, or none */
    const char *id;          /* Content-ID of an inline one, without < >; NULL */
    uint64_t bytes;
    bool is_message; /* message/rfc822 that can go as it is (RFC 2046 5.2.1) */
    bool has_8bit;   /* likewise: where bytes above 127 can go */
    /* by which it is recognised when it is read */
    dev_t device;
    ino_t inode;
    struct timespec changed;
};

struct inspector; /* libmagic with its tables */

int inspector_open(struct inspector **ret, struct buf *error);
void inspector_close(struct inspector **i); /* NULL is fine */

/* 0 or an exit code with *error: EX_NOINPUT (cannot be read, no file), EX_DATAERR (a name or type
 * that is none). Lives in the arena, as does nothing of the inspector. */
int file_inspect(struct inspector *i, const struct compose_part *part, bool describe,
                 struct arena *a, struct file *ret, struct buf *error);

struct str file_extension(struct str name); /* without the dot; empty: it has none */

/* 0, or EX_DATAERR: *error names the file, what it is and what is allowed. */
int limits_check(const struct compose_limits *l, const struct file *const *files, size_t count,
                 struct buf *error);
