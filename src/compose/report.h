/* compose/report.h - an error in words beside its exit code. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

/* Appends the text and returns code. */
int report(struct buf *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), nonnull(3)));
