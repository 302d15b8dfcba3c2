/* wire/plain.h - how much of what comes is text inside a line. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

/* So many bytes that `in` starts with are neither CR nor LF. At most a window is looked at, so that
 * asking again behind each newline stays linear however many there are. */
size_t plain_bytes(struct str in);
