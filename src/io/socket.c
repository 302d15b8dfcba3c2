/* io/socket.c - addresses of sockets, listeners, networks. */
// SPDX-License-Identifier: ISC
#include "io/socket.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

/* ---- addresses ---- */

static struct sock_address address_v4(const struct in_addr *ip, uint16_t port)
{
    struct sock_address a = {.bytes = sizeof(struct sockaddr_in)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *ip};

    memcpy(&a.sa, &in, sizeof(in));
    return a;
}

static struct sock_address address_v6(const struct in6_addr *ip, uint16_t port)
{
    struct sock_address a = {.bytes = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};

    memcpy(&a.sa, &in, sizeof(in));
    return a;
}

struct sock_address sock_address_make(int family, const void *ip, uint16_t port)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (family == AF_INET) {
        memcpy(&v4, ip, sizeof(v4));
        return address_v4(&v4, port);
    }
    memcpy(&v6, ip, sizeof(v6));
    return address_v6(&v6, port);
}

/* Numbers of family into 4 or 16 bytes. */
static bool ip_parse(int family, struct str s, void *to)
{
    char text[INET6_ADDRSTRLEN];

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, 0, s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return inet_pton(family, text, to) == 1;
}

size_t sock_address_parse(struct str s, struct sock_address ret[2])
{
    size_t colon = str_find_last(s, ':');
    struct str host = str_sub(s, 0, colon);
    struct in_addr v4;
    struct in6_addr v6;
    uint64_t port;

    if (!str_u64(str_skip(s, colon + 1), &port) || port > UINT16_MAX)
        return 0;
    if (str_eq_c(host, "*")) {
        v4.s_addr = htonl(INADDR_ANY);
        ret[0] = address_v4(&v4, (uint16_t)port);
        ret[1] = address_v6(&in6addr_any, (uint16_t)port);
        return 2;
    }
    if (ip_parse(AF_INET, host, &v4)) {
        ret[0] = address_v4(&v4, (uint16_t)port);
        return 1;
    }
    if (!str_starts(host, STR("[")) || !str_ends(host, STR("]")) ||
        !ip_parse(AF_INET6, str_sub(host, 1, host.n - 1), &v6))
        return 0;
    ret[0] = address_v6(&v6, (uint16_t)port);
    return 1;
}

bool sock_address_unix(const char *path, struct sock_address *ret)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct str name = str_c(path);

    if (name.n >= sizeof(un.sun_path))
        return false;
    memcpy(un.sun_path, name.p, name.n);
    *ret = (struct sock_address){.bytes = sizeof(un)};
    memcpy(&ret->sa, &un, sizeof(un));
    return true;
}

const char *sock_address_path(const struct sock_address *a)
{
    const char *path = (const char *)&a->sa + offsetof(struct sockaddr_un, sun_path);

    return a->sa.ss_family == AF_UNIX && a->bytes == sizeof(struct sockaddr_un) && path[0] == '/'
               ? path
               : NULL;
}

struct ip { /* an address without its socket: what networks compare */
    uint8_t family;
    uint8_t bytes[16];
};

static size_t ip_bytes(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

/* A v4-mapped v6 address is the v4 address it means, or a network could be evaded by family. */
static bool ip_of(const struct sock_address *a, struct ip *ret)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    *ret = (struct ip){.family = (uint8_t)a->sa.ss_family};
    if (a->sa.ss_family == AF_INET) {
        memcpy(&in, &a->sa, sizeof(in));
        memcpy(ret->bytes, &in.sin_addr, 4);
        return true;
    }
    if (a->sa.ss_family != AF_INET6)
        return false;
    memcpy(&in6, &a->sa, sizeof(in6));
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        ret->family = AF_INET;
        memcpy(ret->bytes, in6.sin6_addr.s6_addr + 12, 4);
    } else {
        memcpy(ret->bytes, &in6.sin6_addr, 16);
    }
    return true;
}

void sock_address_print_ip(struct buf *to, const struct sock_address *a)
{
    char text[INET6_ADDRSTRLEN];
    struct ip ip;

    if (ip_of(a, &ip) && inet_ntop(ip.family, ip.bytes, text, sizeof(text)))
        buf_add_c(to, text);
    else
        buf_add_c(to, "local");
}

void sock_address_print(struct buf *to, const struct sock_address *a)
{
    struct ip ip;

    if (!ip_of(a, &ip)) {
        const char *path = sock_address_path(a);

        buf_printf(to, "%s%s", path ? "unix:" : "local", path ? path : "");
        return;
    }
    if (ip.family == AF_INET6)
        buf_add_char(to, '[');
    sock_address_print_ip(to, a);
    if (ip.family == AF_INET6)
        buf_add_char(to, ']');
    buf_add_char(to, ':');
    buf_add_u64(to, sock_address_port(a));
}

uint16_t sock_address_port(const struct sock_address *a)
{
    struct sockaddr_in in; /* the port is at the same place in both families */

    static_assert(offsetof(struct sockaddr_in, sin_port) ==
                      offsetof(struct sockaddr_in6, sin6_port),
                  "one read serves both");
    memcpy(&in, &a->sa, sizeof(in));
    return a->sa.ss_family == AF_INET || a->sa.ss_family == AF_INET6 ? ntohs(in.sin_port) : 0;
}

bool sock_address_eq(const struct sock_address *a, const struct sock_address *b)
{
    struct ip x;
    struct ip y;

    if (sock_address_path(a) && sock_address_path(b))
        return strcmp(sock_address_path(a), sock_address_path(b)) == 0;
    return ip_of(a, &x) && ip_of(b, &y) && x.family == y.family &&
           memcmp(x.bytes, y.bytes, sizeof(x.bytes)) == 0 &&
           sock_address_port(a) == sock_address_port(b);
}

/* ---- networks ---- */

static bool bits_eq(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);

    return memcmp(a, b, bits / 8) == 0 && (rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

/* ::ffff:10.0.0.0/104 means 10.0.0.0/8: addresses are compared as v4, so networks are too. */
static void network_unmap(struct network *n)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (n->family != AF_INET6 || memcmp(n->bytes, mapped, sizeof(mapped)) != 0 || n->bits < 96)
        return;
    memmove(n->bytes, n->bytes + 12, 4);
    memset(n->bytes + 4, 0, 12);
    n->family = AF_INET;
    n->bits = (uint8_t)(n->bits - 96);
}

bool network_parse(struct str s, struct network *ret)
{
    static const uint8_t zero[16];
    struct network n = {.family = AF_INET};
    size_t slash = str_find(s, '/');
    struct str ip = str_sub(s, 0, slash);

    if (!ip_parse(AF_INET, ip, n.bytes)) {
        n.family = AF_INET6;
        if (str_starts(ip, STR("[")) && str_ends(ip, STR("]")))
            ip = str_sub(ip, 1, ip.n - 1);
        if (!ip_parse(AF_INET6, ip, n.bytes))
            return false;
    }
    uint64_t bits = 8 * ip_bytes(n.family);
    uint64_t most = bits;
    if (slash < s.n && (!str_u64(str_skip(s, slash + 1), &bits) || bits > most))
        return false;
    n.bits = (uint8_t)bits;

    /* Bits set behind the length are a slip ("10.0.0.1/8"), not a network. */
    struct network first = n;
    for (unsigned bit = n.bits; bit < most; bit++)
        first.bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
    if (memcmp(first.bytes, n.bytes, sizeof(zero)) != 0)
        return false;
    network_unmap(&n);
    *ret = n;
    return true;
}

bool network_has(const struct network *n, const struct sock_address *a)
{
    struct ip ip;

    return ip_of(a, &ip) && ip.family == n->family && bits_eq(ip.bytes, n->bytes, n->bits);
}

bool networks_have(const struct network *list, size_t count, const struct sock_address *a)
{
    for (size_t i = 0; i < count; i++) {
        if (network_has(&list[i], a))
            return true;
    }
    return false;
}

/* ---- listeners ---- */

static int listen_at(int fd, const void *sa, socklen_t bytes)
{
    if (bind(fd, sa, bytes) < 0 || listen(fd, SOMAXCONN) < 0)
        return -errno;
    return 0;
}

static int fd_done(int fd, int r, int *ret_fd)
{
    if (r == 0)
        *ret_fd = fd;
    else
        (void)close(fd);
    return r;
}

int listen_tcp(const struct sock_address *a, int *ret_fd)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    int r = 0;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        r = -errno;
    if (r == 0 && a->sa.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        r = -errno;
    /* Accepted sockets inherit it: replies are gathered already, waiting would only delay them. */
    if (r == 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        r = -errno;
    if (r == 0)
        r = listen_at(fd, &a->sa, a->bytes);
    return fd_done(fd, r, ret_fd);
}

/* Is somebody listening there? Only a socket that nobody serves may be replaced. */
static bool unix_alive(const struct sockaddr_un *un, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 &&
                (errno == ECONNREFUSED || errno == ENOENT);

    if (fd >= 0)
        (void)close(fd);
    return !dead;
}

static int unix_bind(int fd, int type, const struct sockaddr_un *un)
{
    struct stat st;

    if (lstat(un->sun_path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode) || unix_alive(un, type))
            return -EADDRINUSE;
        if (unlink(un->sun_path) < 0)
            return -errno;
    }
    return listen_at(fd, un, sizeof(*un));
}

static int listen_path(const char *path, int type, unsigned mode, int *ret_fd)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct str name = str_c(path);

    if (name.n >= sizeof(un.sun_path))
        return -ENAMETOOLONG;
    memcpy(un.sun_path, name.p, name.n);

    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* The mode before the name appears: no moment in which others could connect. */
    int r = fchmod(fd, (mode_t)mode) < 0 ? -errno : unix_bind(fd, type, &un);
    if (r == 0 && chmod(path, (mode_t)mode) < 0)
        r = -errno;
    return fd_done(fd, r, ret_fd);
}

int listen_unix(const char *path, unsigned mode, int *ret_fd)
{
    return listen_path(path, SOCK_SEQPACKET, mode, ret_fd);
}

int listen_unix_stream(const char *path, unsigned mode, int *ret_fd)
{
    return listen_path(path, SOCK_STREAM, mode, ret_fd);
}
