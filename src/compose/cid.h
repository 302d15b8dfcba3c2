/* compose/cid.h - pictures inside of HTML: what it calls them, and what they are called in the
 * message. RFC 2392: cid:NAME shows the part whose Content-ID is NAME. Pure.
 *
 * A person writes cid:logo.png; a Content-ID is unique in the world (RFC 2045 7), so both become
 * logo.png@HOST. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct cid {
    struct str called; /* in the HTML */
    struct str id;     /* in the message */
    bool used;
};

/* May it stand in a Content-ID and in a URL as it is? at: with one @ in it, else without. */
bool cid_valid(struct str id, bool at);

/* Appends html with every reference renamed; marks those that were used. False: an attribute refers
 * to what there is not, *unknown is a view of it; or it does not fit, and *unknown is empty. */
bool cid_rename(struct str html, struct cid *cids, size_t count, struct buf *to,
                struct str *unknown);
