/* wire/proxy.c - see proxy.h; the form is "The PROXY protocol" of HAProxy, 2.1 and 2.2. */
// SPDX-License-Identifier: ISC
#include "wire/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"

enum {
    LINE_BYTES_MAX = 107, /* with CRLF */
    FIXED_BYTES = 16,     /* signature, version and command, family, length */
    TLV_HEAD_BYTES = 3,
    TLV_CRC32C = 3,
    IP_TEXT_BYTES_MAX = 45,
};

static const struct str text_signature = {"PROXY ", 6};
static const struct str binary_signature = {"\r\n\r\n\0\r\nQUIT\n", 12};

static enum proxy_event bad(const char **error, const char *text)
{
    *error = text;
    return PROXY_BAD;
}

/* ---- version 1 ---- */

static bool ip_parse(struct str text, int family, size_t bytes, struct endpoint *ret)
{
    char terminated[IP_TEXT_BYTES_MAX + 1] = "";
    struct endpoint e = {.ip_bytes = bytes};

    if (text.n == 0 || text.n > IP_TEXT_BYTES_MAX || memchr(text.p, '\0', text.n))
        return false;
    memcpy(terminated, text.p, text.n);
    if (inet_pton(family, terminated, e.ip) != 1)
        return false;
    *ret = e;
    return true;
}

bool endpoint_parse_ip(struct str text, struct endpoint *ret)
{
    return ip_parse(text, AF_INET, 4, ret) || ip_parse(text, AF_INET6, 16, ret);
}

bool port_parse(struct str text, uint16_t *ret)
{
    uint64_t port;

    if (text.n > 5 || !str_u64(text, &port) || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

/* Exactly one blank between two words. */
static struct str cut_field(struct str *s)
{
    return str_cut(s, ' ');
}

static bool line_ends(struct str rest, size_t bytes, struct proxy_header *h)
{
    struct str from = cut_field(&rest), to = cut_field(&rest);
    struct str from_port = cut_field(&rest), to_port = cut_field(&rest);
    int family = bytes == 4 ? AF_INET : AF_INET6;

    return rest.n == 0 && ip_parse(from, family, bytes, &h->client) &&
           ip_parse(to, family, bytes, &h->server) && port_parse(from_port, &h->client.port) &&
           port_parse(to_port, &h->server.port);
}

static enum proxy_event line_parse(struct str line, struct proxy_header *h, const char **error)
{
    struct str rest = str_skip(line, text_signature.n);
    struct str family = cut_field(&rest);
    size_t bytes = str_eq_c(family, "TCP4") ? 4 : str_eq_c(family, "TCP6") ? 16 : 0;

    if (str_eq_c(family, "UNKNOWN")) {
        h->speaker = PROXY_SOMEBODY;
        return PROXY_READY;
    }
    if (bytes == 0)
        return bad(error, "a PROXY line is about TCP4, TCP6 or UNKNOWN");
    h->speaker = PROXY_CLIENT;
    if (!line_ends(rest, bytes, h))
        return bad(error, "malformed addresses in a PROXY line");
    return PROXY_READY;
}

static enum proxy_event text_read(struct str in, struct proxy_header *h, size_t *used,
                                  const char **error)
{
    struct str window = str_sub(in, 0, LINE_BYTES_MAX);
    size_t end = str_find_str(window, STR("\r\n"));

    if (end == window.n)
        return in.n < LINE_BYTES_MAX ? PROXY_MORE : bad(error, "the PROXY line is too long");
    *used = end + 2;
    h->version = 1;
    return line_parse(str_sub(in, 0, end), h, error);
}

/* ---- version 2 ---- */

static unsigned byte_at(struct str s, size_t i)
{
    return (unsigned char)s.p[i];
}

static size_t u16_at(struct str s, size_t i)
{
    return byte_at(s, i) << 8 | byte_at(s, i + 1);
}

/* The addresses by the byte of family and transport. */
static const struct family {
    unsigned code;
    size_t ip_bytes, bytes;
} families[] = {
    {0x11, 4, 12},
    {0x21, 16, 36},
    {0x31, 0, 216},
};

static const struct family *family_find(unsigned code)
{
    for (size_t i = 0; i < countof(families); i++) {
        if (families[i].code == code)
            return &families[i];
    }
    return NULL;
}

static bool checksum_right(struct str header, size_t at)
{
    static const uint8_t nothing[4];
    uint32_t said = (uint32_t)(u16_at(header, at) << 16 | u16_at(header, at + 2));
    uint32_t crc = crc32c(0, header.p, at);

    crc = crc32c(crc, nothing, sizeof nothing);
    return crc32c(crc, header.p + at + 4, header.n - at - 4) == said;
}

/* What follows the addresses: type, length, value, again and again. */
static enum proxy_event extras_check(struct str header, size_t at, const char **error)
{
    while (at < header.n) {
        if (header.n - at < TLV_HEAD_BYTES || u16_at(header, at + 1) > header.n - at - 3)
            return bad(error, "a field of the PROXY header is longer than the header");

        size_t n = u16_at(header, at + 1);

        if (byte_at(header, at) == TLV_CRC32C &&
            (n != 4 || !checksum_right(header, at + TLV_HEAD_BYTES)))
            return bad(error, "the checksum of the PROXY header is wrong");
        at += TLV_HEAD_BYTES + n;
    }
    return PROXY_READY;
}

static void addresses_take(struct str header, const struct family *f, struct proxy_header *h)
{
    const char *p = header.p + FIXED_BYTES;
    size_t ports = FIXED_BYTES + 2 * f->ip_bytes;

    memcpy(h->client.ip, p, f->ip_bytes);
    memcpy(h->server.ip, p + f->ip_bytes, f->ip_bytes);
    h->client.ip_bytes = h->server.ip_bytes = f->ip_bytes;
    h->client.port = (uint16_t)u16_at(header, ports);
    h->server.port = (uint16_t)u16_at(header, ports + 2);
}

static enum proxy_event binary_parse(struct str header, struct proxy_header *h, const char **error)
{
    const struct family *f = family_find(byte_at(header, 13));

    h->version = 2;
    if (byte_at(header, 12) == 0x20)
        return PROXY_READY; /* LOCAL: the rest is not looked at */
    if (byte_at(header, 12) != 0x21)
        return bad(error, "unknown version or command of a PROXY header");
    h->speaker = PROXY_SOMEBODY;
    if (byte_at(header, 13) == 0)
        return PROXY_READY;
    if (!f)
        return bad(error, "a PROXY header for something else than a TCP connection");
    if (header.n < FIXED_BYTES + f->bytes)
        return bad(error, "a PROXY header without its addresses");
    if (f->ip_bytes > 0) {
        h->speaker = PROXY_CLIENT;
        addresses_take(header, f, h);
    }
    return extras_check(header, FIXED_BYTES + f->bytes, error);
}

static enum proxy_event binary_read(struct str in, struct proxy_header *h, size_t *used,
                                    const char **error)
{
    if (in.n < FIXED_BYTES)
        return PROXY_MORE;

    size_t n = FIXED_BYTES + u16_at(in, 14);

    if (n > PROXY_HEADER_BYTES_MAX)
        return bad(error, "the PROXY header is too long");
    if (in.n < n)
        return PROXY_MORE;
    *used = n;
    return binary_parse(str_sub(in, 0, n), h, error);
}

/* ---- both ---- */

/* Is one of them the beginning of the other? */
static bool agree(struct str in, struct str signature)
{
    size_t n = MIN_OF(in.n, signature.n);

    return str_eq(str_sub(in, 0, n), str_sub(signature, 0, n));
}

enum proxy_event proxy_read(struct str in, struct proxy_header *ret, size_t *used,
                            const char **error)
{
    struct proxy_header h = {.speaker = PROXY_ITSELF};
    enum proxy_event e = PROXY_MORE;

    if (in.n > 0 && agree(in, text_signature))
        e = text_read(in, &h, used, error);
    else if (in.n > 0 && agree(in, binary_signature))
        e = binary_read(in, &h, used, error);
    else if (in.n > 0)
        e = bad(error, "no PROXY header");
    if (e == PROXY_READY)
        *ret = h;
    return e;
}
