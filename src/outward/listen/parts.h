/* listen/parts.h - the tree of a message's parts, found while the message streams by. Pure.
 *
 * Nothing of the parts is kept but what they say of themselves, how large they are, and what is wrong
 * with them. RFC 2045, RFC 2046 5.1; a message/rfc822 is one part, whatever is in it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "mail/header.h"
#include "outward/listen/judge.h"

enum {
    PARTS_MAX = 200, /* more are not told apart */
    PARTS_DEPTH_MAX = 20,
    PART_HEADER_BYTES_MAX = 64 * 1024,
};

struct part {
    unsigned depth;         /* 0: the message */
    struct str type;        /* "text/plain" */
    struct str charset;     /* or empty */
    struct str encoding;    /* "base64", or empty: 7bit */
    struct str filename;    /* UTF-8, or empty */
    struct str disposition; /* "attachment", or empty */
    uint64_t bytes;         /* as they came, without the CRLF in front of a boundary */
    uint64_t lines;
};

struct parts;

/* Parts and their texts live in the arena. may_8bit: the envelope said so. */
struct parts *parts_new(struct arena *a, struct judge *j);
void parts_free(struct parts **p); /* NULL is fine */
/* Content with CRLF lines, from its first byte on, in pieces of any size. */
void parts_feed(struct parts *p, struct str bytes);
void parts_end(struct parts *p);
/* The header of the message, once it is over (parts_header_over), at most PART_HEADER_BYTES_MAX of
 * it; with the blank line. */
bool parts_header_over(const struct parts *p);
struct str parts_header(const struct parts *p);
bool parts_header_cut(const struct parts *p); /* it was longer */
const struct part *parts_list(const struct parts *p, size_t *count);
