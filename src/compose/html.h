/* compose/html.h - the text of an HTML document, for readers who see no HTML.
 *
 * libxml2 reads the HTML, as forgiving as browsers; its events are written down as they come, so no
 * tree is held. Headings, paragraphs, lists, quotes, links and tables stay what they are; scripts,
 * styles and what is hidden are left out. Lines are at most HTML_LINE_WIDTH wide, but for longer
 * words and preformatted text. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { HTML_LINE_WIDTH = 72 };

/* Appends UTF-8 with LF at the end of each line; nothing when there is nothing to read. html: UTF-8
 * without NUL, of at most INT_MAX bytes; what it says of its character set does not count. False:
 * it does not fit. */
bool html_text(struct str html, struct buf *to);
