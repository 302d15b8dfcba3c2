/* compose/stream.h - GMime's streams where they meet the world: files and texts in, the message
 * out. A file is open only while it is read, so that a thousand attachments need one descriptor. */
// SPDX-License-Identifier: ISC
#pragma once

#include <gmime/gmime.h>

#include "compose/file.h"

/* What went wrong with a file that is read: which, and errno or 0: it is not what it was. */
struct source_error {
    const struct file *file;
    int error;
};

/* Everything is borrowed. The caller unrefs. */
GMimeStream *source_file(const struct file *f, struct source_error *error);
GMimeStream *source_text(struct str text);

/* Where the message goes. With fd -1 nowhere: then it is only counted and signed. */
struct sink {
    int fd;
    struct dkim_signing *signing;                             /* told of what is written; NULL */
    bool (*progress)(void *arg, uint64_t done, uint64_t all); /* may be NULL */
    void *arg;
    uint64_t done, all, told; /* in bytes; all: about */
    /* how it ended */
    int error; /* errno of fd; 0 */
    bool given_up;
    /* private */
    size_t n;
    char bytes[64 * 1024];
};

/* All return false after an error, and stay so. */
bool sink_write(struct sink *s, struct str bytes);
bool sink_flush(struct sink *s);
GMimeStream *sink_stream(struct sink *s);
