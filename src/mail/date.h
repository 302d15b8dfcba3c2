/* mail/date.h - dates as header fields carry them. RFC 5322 3.3. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

/* "Fri, 20 Nov 2026 18:04:10 +0000" */
void date_print(struct buf *to, uint64_t us, int offset_minutes);
/* The RFC 5322 forms with obsolete zones and two-digit years, comments skipped. */
bool date_parse(struct str s, uint64_t *ret_us);
