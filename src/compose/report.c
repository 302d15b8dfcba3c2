// SPDX-License-Identifier: ISC
#include "compose/report.h"

#include <stdarg.h>
#include <stdio.h>

int report(struct buf *error, int code, const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)buf_add_c(error, text);
    return code;
}
