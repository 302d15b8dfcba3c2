/* base/utf8.h - characters of more than ASCII: is it UTF-8, and may it be shown to a person?
 *
 * UTF-8 is what RFC 3629 says: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

enum { UTF8_BYTES_MAX = 4 }; /* of one character */

/* Cuts the first character off *s. False: s is empty or does not start with one; nothing is cut. */
bool utf8_cut(struct str *s, uint32_t *ret);
bool utf8_valid(struct str s);
bool utf8_is_ascii(struct str s); /* no byte above 0x7f */

/* Neither a control character nor one that is invisible, turns the direction of the text, or ends
 * a line: what stands in a name, and can be shown without anybody being deceived by it. */
bool utf8_is_visible(uint32_t c);
bool utf8_visible(struct str s); /* valid, and all of it is */

/* UTF-8 of the character, up to UTF8_BYTES_MAX bytes; returns how many, 0: there is none such. */
size_t utf8_put(char *to, uint32_t c);
