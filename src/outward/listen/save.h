/* listen/save.h - messages as files: FOLDER/000001.eml, with CRLF lines, as they came. What is not
 * whole has the name NUMBER.part until it is removed. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct save {
    int dir_fd; /* -1: nothing is saved */
    uint64_t last;
};

struct saved {
    int fd; /* -1: none */
    uint64_t number;
    int error; /* the first errno, negative; 0 */
};

/* Makes the folder if it is missing. 0 or a negative errno. */
int save_open(struct save *s, const char *folder);
void save_close(struct save *s);
/* Never writes over a file. */
void saved_begin(struct save *s, struct saved *ret);
void saved_add(struct saved *f, struct str bytes);
/* Its name in the folder into *name, or, if it is not to be kept, nothing. 0 or a negative errno. */
int saved_end(struct save *s, struct saved *f, bool keep, struct buf *name);
