/* compose/charset.h - character sets of mail, by their names (IANA's MIME names) and what people
 * call them; UTF-8 into and out of them.
 *
 * Only sets are known whose letters below 128 are ASCII, so that a header field can be written in
 * them (RFC 2047); iconv of the C library does the work. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct charset {
    const char *name; /* as it stands in mail: "koi8-r" */
    const char *also; /* other names, with blanks between them; NULL: none */
    const char *iconv;
    bool small; /* one byte is one character: may be suggested for a text */
};

/* "KOI8-R", "win1251", "cp866", "latin1"… NULL: no set we know. */
const struct charset *charset_find(struct str name);
const struct charset *charset_utf8(void);
bool charset_is_utf8(const struct charset *c);
/* The names of all of them, for an error: "us-ascii, utf-8, koi8-r…" */
void charset_names(struct buf *to);

/* One direction of one set, opened once for many texts. */
struct coder;
int coder_open(const struct charset *c, bool decode,
               struct coder **ret); /* -ENOENT: no iconv has it */
void coder_close(struct coder **c); /* NULL is fine */
const struct charset *coder_charset(const struct coder *c);
/* Appends the whole of text, from and to the first state of the set. False: *bad is the offset of
 * what the other set does not have or what is none of this (text was UTF-8 or, decoding, is to
 * become it), or text.n: it does not fit into *to; what was appended stays. to may be NULL: it is
 * only looked whether it can be done. */
bool coder_convert(struct coder *c, struct str text, struct buf *to, size_t *bad);

/* A set of single bytes that has all characters of these texts in UTF-8; NULL: none has. */
const struct charset *charset_suggest(const struct str *texts, size_t count);
