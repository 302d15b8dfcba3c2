/* compose/parameter.h - parameters of Content-Type and Content-Disposition with any text as value.
 * RFC 2045 5.1, RFC 2231.
 *
 * GMime writes them too, but cuts long values in the middle of characters, and strict readers
 * decode each piece by itself. */
// SPDX-License-Identifier: ISC
#pragma once

#include "compose/words.h"

/* Appends "; name=value" in one of its forms: a token, quoted, encoded, or in encoded pieces of
 * whole characters. value: UTF-8 without control characters, all of it in the set. False: it does
 * not fit. */
bool parameter_print(struct fold *f, const char *name, struct str value, struct coder *coder);
