// SPDX-License-Identifier: ISC
#include "handshake.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

enum { HASH = SHA256_DIGEST_LENGTH, BLOCK = 64, POINT = 32, TAG = 16, HEAD = 5 };
enum { CHANGE_CIPHER_SPEC = 20, HANDSHAKE = 22, APPLICATION_DATA = 23 };
enum { SERVER_HELLO = 2, FINISHED = 20, KEY_SHARE = 51 };

static EVP_PKEY *key;
static const EVP_CIPHER *cipher;
static EVP_CIPHER_CTX *open_with, *seal_with;
static unsigned char derived[HASH]; /* of the early secret, which is the same for all */

/* In a record: lengths are filled in by handshake_prepare. */
static unsigned char hello[256];
static size_t hello_n;

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "handshake: %s\n", what);
    exit(1);
}

/* ---- the key schedule: RFC 5869, RFC 8446 7.1 ---- */

static void hmac(const unsigned char *k, size_t k_n, const void *p, size_t n, unsigned char to[HASH])
{
    unsigned char inner[BLOCK], outer[BLOCK];
    SHA256_CTX c;

    for (size_t i = 0; i < BLOCK; i++) {
        unsigned char byte = i < k_n ? k[i] : 0;

        inner[i] = byte ^ 0x36;
        outer[i] = byte ^ 0x5c;
    }
    SHA256_Init(&c);
    SHA256_Update(&c, inner, BLOCK);
    SHA256_Update(&c, p, n);
    SHA256_Final(to, &c);
    SHA256_Init(&c);
    SHA256_Update(&c, outer, BLOCK);
    SHA256_Update(&c, to, HASH);
    SHA256_Final(to, &c);
}

/* HKDF-Expand-Label of at most one hash. */
static void expand(const unsigned char secret[HASH], const char *label, const unsigned char *about,
                   size_t about_n, unsigned char *to, size_t n)
{
    unsigned char info[128], out[HASH];
    size_t label_n = strlen(label), at = 0;

    info[at++] = 0;
    info[at++] = (unsigned char)n;
    info[at++] = (unsigned char)(6 + label_n);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_n);
    at += 6 + label_n;
    info[at++] = (unsigned char)about_n;
    memcpy(info + at, about, about_n);
    at += about_n;
    info[at++] = 1;
    hmac(secret, HASH, info, at, out);
    memcpy(to, out, n);
}

static void transcript_hash(const struct handshake *h, unsigned char to[HASH])
{
    SHA256_CTX c = h->transcript;

    SHA256_Final(to, &c);
}

static bool exchange(const unsigned char point[POINT], unsigned char shared[POINT])
{
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, POINT);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    size_t n = POINT;
    bool done = peer && c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer_ex(c, peer, 0) == 1 &&
                EVP_PKEY_derive(c, shared, &n) == 1;

    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(peer);
    return done;
}

static bool schedule(struct handshake *h, const unsigned char point[POINT])
{
    unsigned char shared[POINT], secret[HASH], so_far[HASH], side[HASH];

    if (!exchange(point, shared))
        return false;
    hmac(derived, HASH, shared, POINT, secret);
    transcript_hash(h, so_far);
    expand(secret, "s hs traffic", so_far, HASH, side, HASH);
    expand(side, "key", NULL, 0, h->server_key, sizeof h->server_key);
    expand(side, "iv", NULL, 0, h->server_iv, sizeof h->server_iv);
    expand(secret, "c hs traffic", so_far, HASH, side, HASH);
    expand(side, "key", NULL, 0, h->client_key, sizeof h->client_key);
    expand(side, "iv", NULL, 0, h->client_iv, sizeof h->client_iv);
    expand(side, "finished", NULL, 0, h->finished_key, HASH);
    return true;
}

/* ---- what the client says ---- */

void handshake_prepare(void)
{
    static const unsigned char extensions[] = {
        0, 43, 0, 3, 2, 3, 4,                                  /* supported_versions: TLS 1.3 */
        0, 10, 0, 4, 0, 2, 0, 29,                              /* supported_groups: X25519 */
        0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 8, 7,                   /* ECDSA P-256, RSA-PSS, Ed25519 */
        0, KEY_SHARE, 0, 38, 0, 36, 0, 29, 0, POINT};          /* and the point */
    static const unsigned char none[HASH];
    unsigned char early[HASH], empty[HASH], *p = hello + HEAD + 4;
    size_t extensions_n = sizeof extensions + POINT, n = POINT;

    key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    open_with = EVP_CIPHER_CTX_new();
    seal_with = EVP_CIPHER_CTX_new();
    must(key && cipher && open_with && seal_with, "OpenSSL has not what it needs");

    *p++ = 3, *p++ = 3;
    must(RAND_bytes(p, 32) == 1, "no random bytes");
    p += 32;
    *p++ = 0;                                  /* no session */
    *p++ = 0, *p++ = 2, *p++ = 0x13, *p++ = 1; /* TLS_AES_128_GCM_SHA256 */
    *p++ = 1, *p++ = 0;                        /* not compressed */
    *p++ = 0, *p++ = (unsigned char)extensions_n;
    memcpy(p, extensions, sizeof extensions);
    p += sizeof extensions;
    must(EVP_PKEY_get_raw_public_key(key, p, &n) == 1, "no public key");
    hello_n = (size_t)(p + POINT - hello);
    memcpy(hello, (unsigned char[]){HANDSHAKE, 3, 1, 0, (unsigned char)(hello_n - HEAD), 1, 0, 0, (unsigned char)(hello_n - HEAD - 4)}, HEAD + 4);

    hmac(none, HASH, none, HASH, early);
    SHA256((const unsigned char *)"", 0, empty);
    expand(early, "derived", empty, HASH, derived, HASH);
}

const unsigned char *handshake_begin(struct handshake *h, size_t *n)
{
    h->n = h->message_n = 0;
    h->records = 0;
    h->hello_seen = false;
    SHA256_Init(&h->transcript);
    SHA256_Update(&h->transcript, hello + HEAD, hello_n - HEAD);
    *n = hello_n;
    return hello;
}

static int finish(struct handshake *h, unsigned char last[HANDSHAKE_LAST_BYTES])
{
    unsigned char plain[4 + HASH + 1] = {FINISHED, 0, 0, HASH}, so_far[HASH];
    int n = 0, more = 0;

    transcript_hash(h, so_far);
    hmac(h->finished_key, HASH, so_far, HASH, plain + 4);
    plain[4 + HASH] = HANDSHAKE;
    memcpy(last, (unsigned char[]){APPLICATION_DATA, 3, 3, 0, sizeof plain + TAG}, HEAD);
    bool done = EVP_EncryptInit_ex2(seal_with, cipher, h->client_key, h->client_iv, NULL) == 1 &&
                EVP_EncryptUpdate(seal_with, NULL, &n, last, HEAD) == 1 &&
                EVP_EncryptUpdate(seal_with, last + HEAD, &n, plain, sizeof plain) == 1 &&
                EVP_EncryptFinal_ex(seal_with, last + HEAD + n, &more) == 1 &&
                EVP_CIPHER_CTX_ctrl(seal_with, EVP_CTRL_AEAD_GET_TAG, TAG, last + HEAD + sizeof plain) == 1;
    return done ? 1 : -1;
}

/* ---- what the server says ---- */

static const unsigned char *key_share(const unsigned char *p, size_t n)
{
    size_t at = 4 + 2 + 32, session = at < n ? p[at] : n;

    at += 1 + session + 2 + 1 + 2; /* session, cipher suite, compression, length of the extensions */
    while (at + 4 <= n) {
        size_t kind = (size_t)p[at] << 8 | p[at + 1], bytes = (size_t)p[at + 2] << 8 | p[at + 3];

        at += 4;
        if (kind == KEY_SHARE && bytes == 4 + POINT && at + bytes <= n)
            return p + at + 4;
        at += bytes;
    }
    return NULL;
}

static int server_hello(struct handshake *h, const unsigned char *p, size_t n)
{
    const unsigned char *point = n > 4 && p[0] == SERVER_HELLO ? key_share(p, n) : NULL;

    if (!point)
        return -1;
    SHA256_Update(&h->transcript, p, n);
    h->hello_seen = true;
    return schedule(h, point) ? 0 : -1;
}

static bool decipher(struct handshake *h, unsigned char *record, size_t n)
{
    unsigned char iv[12];
    int got = 0, more = 0;

    memcpy(iv, h->server_iv, sizeof iv);
    iv[11] ^= (unsigned char)h->records++;
    return EVP_DecryptInit_ex2(open_with, cipher, h->server_key, iv, NULL) == 1 &&
           EVP_DecryptUpdate(open_with, NULL, &got, record, HEAD) == 1 &&
           EVP_DecryptUpdate(open_with, record + HEAD, &got, record + HEAD, (int)(n - TAG)) == 1 &&
           EVP_CIPHER_CTX_ctrl(open_with, EVP_CTRL_AEAD_SET_TAG, TAG, record + HEAD + n - TAG) == 1 &&
           EVP_DecryptFinal_ex(open_with, record + HEAD + got, &more) == 1;
}

/* Messages do not end where records do. */
static int messages(struct handshake *h, const unsigned char *p, size_t n, unsigned char *last)
{
    if (n > sizeof h->message - h->message_n)
        return -1;
    memcpy(h->message + h->message_n, p, n);
    h->message_n += n;
    for (p = h->message, n = h->message_n; n >= 4;) {
        size_t bytes = 4 + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);

        if (bytes > n)
            break;
        SHA256_Update(&h->transcript, p, bytes);
        if (p[0] == FINISHED)
            return finish(h, last);
        p += bytes;
        n -= bytes;
    }
    memmove(h->message, p, n);
    h->message_n = n;
    return 0;
}

static int record(struct handshake *h, unsigned char *r, size_t n, unsigned char *last)
{
    if (r[0] == CHANGE_CIPHER_SPEC)
        return 0;
    if (!h->hello_seen)
        return r[0] == HANDSHAKE ? server_hello(h, r + HEAD, n) : -1;
    if (r[0] != APPLICATION_DATA || n <= TAG || !decipher(h, r, n) || r[HEAD + n - TAG - 1] != HANDSHAKE)
        return -1;
    return messages(h, r + HEAD, n - TAG - 1, last);
}

int handshake_feed(struct handshake *h, const unsigned char *p, size_t n,
                   unsigned char last[HANDSHAKE_LAST_BYTES])
{
    size_t at = 0;
    int did = 0;

    if (n > sizeof h->in - h->n)
        return -1;
    memcpy(h->in + h->n, p, n);
    h->n += n;
    while (did == 0 && h->n - at >= HEAD) {
        size_t bytes = (size_t)h->in[at + 3] << 8 | h->in[at + 4];

        if (h->n - at < HEAD + bytes)
            break;
        did = record(h, h->in + at, bytes, last);
        at += HEAD + bytes;
    }
    memmove(h->in, h->in + at, h->n - at);
    h->n -= at;
    return did;
}
