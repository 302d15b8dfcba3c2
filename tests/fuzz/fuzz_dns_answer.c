/* Answers of a resolver: the first byte chooses the type. What comes out is within its limits,
 * and the same each time. */
// links: base dns
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dns/packet.h"

static void check_record(const struct dns_record *r, enum dns_type type)
{
    bool named = type == DNS_MX || type == DNS_PTR || type == DNS_NS || type == DNS_SRV;

    check(type == DNS_MX || type == DNS_SRV || r->preference == 0);
    check(type == DNS_SRV || (r->weight == 0 && r->port == 0));
    check(type == DNS_TLSA || (r->usage == 0 && r->selector == 0 && r->matching == 0));
    check(type == DNS_TXT || type == DNS_TLSA || r->bytes.n == 0);
    check(r->bytes.n <= UINT16_MAX);
    check(!named || r->is_host || r->name.n == 0);
    check(named || r->name.n == 0);
    check(r->name.n < DNS_NAME_BYTES_MAX && dns_name_valid(r->name));
    for (size_t i = 0; i < r->name.n; i++)
        check(r->name.p[i] == char_lower(r->name.p[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A,  DNS_AAAA, DNS_MX,  DNS_PTR,
                                          DNS_NS, DNS_TXT,  DNS_SRV, DNS_TLSA};
    struct dns_packet k = {0};
    struct dns_packet again = {0};
    struct arena a = ARENA_INIT;

    if (size < 1)
        return 0;
    enum dns_type type = types[data[0] % countof(types)];
    size_t n = size - 1;
    char *bytes = malloc(n + (n == 0));

    check(bytes != NULL);
    memcpy(bytes, data + 1, n);
    bool good = dns_packet_parse(str_n(bytes, n), type, &a, &k);

    check(good == dns_packet_parse(str_n(bytes, n), type, &a, &again));
    check(k.count == again.count && k.rcode == again.rcode && k.cname_count == again.cname_count);
    check(good || k.count == 0);
    check(k.count <= DNS_RECORDS_MAX && k.rcode <= 15 && k.cname_count <= DNS_CNAMES_MAX);
    for (size_t i = 0; i < k.count; i++)
        check_record(&k.records[i], type);
    arena_free(&a);
    free(bytes);
    return 0;
}
