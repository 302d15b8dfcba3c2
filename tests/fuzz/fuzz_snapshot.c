/* Any bytes as a snapshot: refused, or a configuration with exactly these bytes. */
// SPDX-License-Identifier: ISC
// links: base io mail config
#include "base/check.h"
#include "config/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_n((const char *)data, size);
    struct buf again = buf_init(SNAPSHOT_BYTES_MAX);
    struct config *c = NULL;

    if (snapshot_decode(bytes, &c) == 0) {
        snapshot_encode(&again, c);
        check(str_eq(buf_str(&again), bytes));
        check(c->hostname.n > 0 && c->state.n > 0 && c->retry_count > 0);
        config_drop(&c);
    }
    check(!c);
    buf_free(&again);
    return 0;
}
