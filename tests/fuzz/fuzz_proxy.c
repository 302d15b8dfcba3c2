/* fuzz_proxy.c - PROXY headers out of any bytes: every beginning of one asks for more, what is
 * taken is within its limit and depends on nothing behind it. */
// links: base mail wire
// SPDX-License-Identifier: ISC
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void header_is_sane(const struct proxy_header *h)
{
    bool client = h->speaker == PROXY_CLIENT;

    check(h->version == 1 || h->version == 2);
    check(h->version == 2 || h->speaker != PROXY_ITSELF);
    check(h->client.ip_bytes == h->server.ip_bytes);
    check(client == (h->client.ip_bytes == 4 || h->client.ip_bytes == 16));
    check(client || h->client.ip_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    struct proxy_header whole, part;
    const char *error = NULL;
    size_t used = 0, again = 0;

    memset(&whole, 0, sizeof whole);
    memset(&part, 0, sizeof part);

    enum proxy_event e = proxy_read(in, &whole, &used, &error);

    check((e == PROXY_BAD) == (error != NULL));
    check(e != PROXY_MORE || size < PROXY_HEADER_BYTES_MAX);
    if (e != PROXY_READY)
        return 0;
    check(used > 0 && used <= size && used <= PROXY_HEADER_BYTES_MAX);
    header_is_sane(&whole);
    for (size_t n = 0; n < used; n++)
        check(proxy_read(str_sub(in, 0, n), &part, &again, &error) == PROXY_MORE);
    check(proxy_read(str_sub(in, 0, used), &part, &again, &error) == PROXY_READY);
    check(again == used && memcmp(&whole, &part, sizeof whole) == 0);
    return 0;
}
