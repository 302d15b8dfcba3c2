// SPDX-License-Identifier: ISC
#include "nexthop/own.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t loopback_v6[16] = {[15] = 1};
static const uint8_t any_v6[16];

static bool canonical(uint8_t to[16], const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET6) {
        memcpy(to, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        return true;
    }
    if (sa->sa_family != AF_INET)
        return false;
    memcpy(to, v4_mapped, sizeof v4_mapped);
    memcpy(to + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    return true;
}

static bool is_v4(const uint8_t a[16])
{
    return memcmp(a, v4_mapped, sizeof v4_mapped) == 0;
}

static bool is_any(const uint8_t a[16])
{
    static const uint8_t none[4];

    return memcmp(a, any_v6, 16) == 0 || (is_v4(a) && memcmp(a + 12, none, 4) == 0);
}

static bool is_loopback(const uint8_t a[16])
{
    return memcmp(a, loopback_v6, 16) == 0 || (is_v4(a) && a[12] == 127);
}

void own_learn_before_jail(struct own *o)
{
    struct ifaddrs *all = NULL;

    o->count = 0;
    if (getifaddrs(&all) < 0)
        return; /* loopback is known without */
    for (const struct ifaddrs *i = all; i && o->count < OWN_ADDRESSES_MAX; i = i->ifa_next) {
        if (i->ifa_addr && canonical(o->addresses[o->count], i->ifa_addr))
            o->count++;
    }
    freeifaddrs(all);
}

static bool is_interface(const struct own *o, const uint8_t a[16])
{
    for (size_t i = 0; i < o->count; i++) {
        if (memcmp(o->addresses[i], a, 16) == 0)
            return true;
    }
    return false;
}

static bool own_has_bytes(const struct own *o, const uint8_t a[16])
{
    /* connecting to 0.0.0.0 reaches this host */
    return is_loopback(a) || is_any(a) || is_interface(o, a);
}

bool own_has(const struct own *o, const struct sock_address *a)
{
    uint8_t bytes[16];

    return canonical(bytes, (const struct sockaddr *)&a->sa) && own_has_bytes(o, bytes);
}

bool own_is_known_as(const struct own *o, const struct sock_address *a)
{
    uint8_t bytes[16];

    return canonical(bytes, (const struct sockaddr *)&a->sa) && !is_loopback(bytes) &&
           is_interface(o, bytes);
}

static bool reaches(const struct own *o, const struct sock_address *listener,
                    const struct sock_address *a)
{
    uint8_t here[16];
    uint8_t there[16];

    if (sock_address_port(listener) != sock_address_port(a) ||
        !canonical(here, (const struct sockaddr *)&listener->sa) ||
        !canonical(there, (const struct sockaddr *)&a->sa) || is_v4(here) != is_v4(there))
        return false;
    if (is_any(here))
        return own_has_bytes(o, there);
    return memcmp(here, there, 16) == 0 || (is_any(there) && is_loopback(here));
}

static bool listen_reached(const struct own *o, struct str listen, const struct sock_address *a)
{
    struct sock_address listeners[2];
    size_t count = sock_address_parse(listen, listeners);

    for (size_t i = 0; i < count; i++) {
        if (reaches(o, &listeners[i], a))
            return true;
    }
    return false;
}

bool own_listens(const struct own *o, const struct config *c, const struct sock_address *a)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *l = &c->listens[i];

        for (size_t k = 0; k < l->address_count; k++) {
            if (listen_reached(o, l->addresses[k], a))
                return true;
        }
    }
    return false;
}
