// SPDX-License-Identifier: ISC
#include "base/codec.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"

static uint64_t load_u64(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static uint32_t load_u32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

/* crc_table[k][b]: the remainder of byte b followed by k zero bytes. Filled before main(). */
static uint32_t crc_table[8][256];

__attribute__((constructor)) static void fill_crc_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        crc_table[0][b] = crc;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t b = 0; b < 256; b++) {
            uint32_t crc = crc_table[k - 1][b];
            crc_table[k][b] = crc >> 8 ^ crc_table[0][crc & 0xff];
        }
}

static uint32_t crc_by_table(uint32_t crc, const char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v = load_u64(p) ^ crc;
        crc = 0;
        for (size_t i = 0; i < 8; i++)
            crc ^= crc_table[7 - i][v >> (8 * i) & 0xff];
    }
    for (; n > 0; p++, n--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ (uint8_t)*p) & 0xff];
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_by_cpu(uint32_t crc, const char *p, size_t n)
{
    uint64_t wide = crc;

    for (; n >= 8; p += 8, n -= 8)
        wide = __builtin_ia32_crc32di(wide, load_u64(p));
    crc = (uint32_t)wide;
    for (; n > 0; p++, n--)
        crc = __builtin_ia32_crc32qi(crc, (uint8_t)*p);
    return crc;
}

static bool cpu_has_crc(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_by_cpu(uint32_t crc, const char *p, size_t n)
{
    return crc_by_table(crc, p, n);
}

static bool cpu_has_crc(void)
{
    return false;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return cpu_has_crc() ? ~crc_by_cpu(~crc, p, n) : ~crc_by_table(~crc, p, n);
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    return ~crc_by_table(~crc, p, n);
}

static const char base32_letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

void base32_put(char *to, size_t digits, uint64_t v)
{
    for (size_t i = digits; i-- > 0; v >>= 5)
        to[i] = base32_letters[v & 31];
}

bool base32_get(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        const char *at = memchr(base32_letters, char_lower(s.p[i]), 32);
        if (!at || v >> 59 != 0)
            return false;
        v = v << 5 | (uint64_t)(at - base32_letters);
    }
    if (s.n == 0)
        return false;
    *ret = v;
    return true;
}

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *to, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = MIN_OF(bytes.n - i, (size_t)3);
        uint32_t v = 0;
        char four[4];

        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (j < n ? (uint8_t)bytes.p[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            four[j] = j <= n ? base64_letters[v >> (18 - 6 * j) & 63] : '=';
        (void)buf_add(to, str_n(four, 4));
    }
}

/* Four letters, the last ones of which may be padding: how many bytes they are; 0: malformed. */
static size_t base64_group(const char *four, bool last, char ret[3])
{
    size_t n = 4;
    uint32_t v = 0;

    while (last && n > 2 && four[n - 1] == '=')
        n--;
    for (size_t i = 0; i < 4; i++) {
        const char *at = i < n ? memchr(base64_letters, four[i], 64) : base64_letters;

        if (!at)
            return 0;
        v = v << 6 | (uint32_t)(at - base64_letters);
    }
    for (size_t i = 0; i < 3; i++)
        ret[i] = (char)(uint8_t)(v >> (16 - 8 * i));
    return (v & (n == 2 ? 0xffff : n == 3 ? 0xff : 0)) == 0 ? n - 1 : 0;
}

bool base64_get(struct buf *to, struct str text)
{
    size_t before = to->n;

    for (size_t i = 0; i < text.n; i += 4) {
        char bytes[3];
        size_t n = text.n % 4 == 0 ? base64_group(text.p + i, i + 4 == text.n, bytes) : 0;

        if (n == 0 || !buf_add(to, str_n(bytes, n))) {
            buf_cut(to, before);
            return false;
        }
    }
    return true;
}

__extension__ typedef unsigned __int128 wide;

/* Both halves of a 128-bit product depend on all bits of both factors. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(uint64_t seed, struct str s)
{
    const uint64_t k1 = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t k2 = UINT64_C(0xd1b54a32d192ed03);
    uint64_t h = mix(seed ^ k1, k2);
    uint64_t a = 0;
    uint64_t b = 0;
    const char *p = s.p;
    size_t n = s.n;

    for (; n > 16; p += 16, n -= 16)
        h = mix(load_u64(p) ^ k1, load_u64(p + 8) ^ h);
    if (n >= 8) {
        a = load_u64(p);
        b = load_u64(p + n - 8);
    } else if (n >= 4) {
        a = load_u32(p);
        b = load_u32(p + n - 4);
    } else if (n > 0) {
        a = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
    return mix(k2 ^ s.n, mix(a ^ k1, b ^ h));
}
