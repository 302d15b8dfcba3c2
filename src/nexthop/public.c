// SPDX-License-Identifier: ISC
#include "nexthop/public.h"

#include <netinet/in.h>
#include <string.h>

#include "base/check.h"

static const struct network special[] = {
    {AF_INET, 8, {0}},                           /* this network */
    {AF_INET, 8, {10}},                          /* private */
    {AF_INET, 10, {100, 64}},                    /* shared with a provider's customers */
    {AF_INET, 8, {127}},                         /* loopback */
    {AF_INET, 16, {169, 254}},                   /* link-local */
    {AF_INET, 12, {172, 16}},                    /* private */
    {AF_INET, 24, {192, 0, 0}},                  /* protocol assignments */
    {AF_INET, 16, {192, 168}},                   /* private */
    {AF_INET, 15, {198, 18}},                    /* benchmarks */
    {AF_INET, 4, {224}},                         /* multicast */
    {AF_INET, 4, {240}},                         /* reserved, broadcast */
    {AF_INET6, 96, {0}},                         /* unspecified, loopback, IPv4-compatible */
    {AF_INET6, 48, {0, 0x64, 0xff, 0x9b, 0, 1}}, /* local NAT64 */
    {AF_INET6, 64, {1}},                         /* discard only */
    {AF_INET6, 7, {0xfc}},                       /* private */
    {AF_INET6, 10, {0xfe, 0x80}},                /* link-local */
    {AF_INET6, 10, {0xfe, 0xc0}},                /* site-local, of old */
    {AF_INET6, 8, {0xff}},                       /* multicast */
};

/* Where an IPv4 address stands in those of these networks. */
static const struct {
    struct network network;
    size_t at;
} carriers[] = {
    {{AF_INET6, 96, {0, 0x64, 0xff, 0x9b}}, 12}, /* NAT64 */
    {{AF_INET6, 16, {0x20, 0x02}}, 2},           /* 6to4 */
};

static bool is_special(const struct sock_address *a)
{
    for (size_t i = 0; i < countof(special); i++)
        if (network_has(&special[i], a))
            return true;
    return false;
}

bool address_is_public(const struct sock_address *a)
{
    struct sockaddr_in6 in6;

    if (is_special(a) || (a->sa.ss_family != AF_INET && a->sa.ss_family != AF_INET6))
        return false;
    memcpy(&in6, &a->sa, sizeof in6);
    for (size_t i = 0; i < countof(carriers); i++) {
        if (!network_has(&carriers[i].network, a))
            continue;
        struct sock_address inside =
            sock_address_make(AF_INET, in6.sin6_addr.s6_addr + carriers[i].at, 0);
        return !is_special(&inside);
    }
    return true;
}
