/* mailauth/dkim_record.c - see dkim_record.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/dkim_record.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "base/codec.h"
#include "mailauth/tag_list.h"

enum { KEY_BYTES_MAX = 8192, ED25519_BYTES = 32 };

/* Is the word in a list with colons? An absent list is everything. */
static bool list_has(struct str list, const char *word, bool absent)
{
    if (!list.p)
        return absent;
    while (list.n > 0)
        if (str_eq_nocase(str_trim(str_cut(&list, ':')), str_c(word)))
            return true;
    return false;
}

/* Base64 may be folded anywhere. */
static bool decode(struct str text, struct buf *to)
{
    struct buf dense = buf_init(2 * KEY_BYTES_MAX);

    for (size_t i = 0; i < text.n; i++)
        if (!char_is_blank(text.p[i]) && text.p[i] != '\r' && text.p[i] != '\n')
            buf_add_char(&dense, text.p[i]);
    bool good = !dense.full && base64_get(to, buf_str(&dense));
    buf_free(&dense);
    return good;
}

/* A SubjectPublicKeyInfo, as everybody publishes it, or the bare RSAPublicKey of RFC 6376. */
static unsigned rsa_bits(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.n);
    unsigned bits = 0;

    if (!key) {
        p = (const unsigned char *)der.p;
        key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.n);
    }
    if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        bits = (unsigned)EVP_PKEY_get_bits(key);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return bits;
}

static bool read_key(struct str text, struct dkim_record *r, struct record_error *error)
{
    struct buf bytes = buf_init(KEY_BYTES_MAX);
    bool decoded = decode(text, &bytes);

    if (decoded && r->kind == DKIM_KEY_RSA)
        r->bits = rsa_bits(buf_str(&bytes));
    else if (decoded && bytes.n == ED25519_BYTES)
        r->bits = 8 * ED25519_BYTES;
    buf_free(&bytes);
    if (!decoded)
        return record_wrong(error, N_("the key (p) is not base64"), STR_NONE);
    return r->bits > 0 ||
           record_wrong(error, N_("the key (p) is not a key of the kind that k says"), STR_NONE);
}

static bool read_kind(struct str value, struct dkim_record *r, struct record_error *error)
{
    if (!value.p || str_eq_c(value, "rsa"))
        r->kind = DKIM_KEY_RSA;
    else if (str_eq_c(value, "ed25519"))
        r->kind = DKIM_KEY_ED25519;
    else
        return record_wrong(error, N_("a kind of key (k) that nobody knows"), value);
    return true;
}

bool dkim_record_parse(struct str text, struct dkim_record *ret, struct record_error *error)
{
    struct tag_list tags;

    *ret = (struct dkim_record){0};
    if (!tag_list_parse(text, &tags, error))
        return false;
    struct str version = tag_get(&tags, "v"), key = tag_get(&tags, "p"),
               hashes = tag_get(&tags, "h");
    struct str services = tag_get(&tags, "s"), flags = tag_get(&tags, "t");
    if (version.p && (!str_eq_c(version, "DKIM1") || !str_eq_c(tags.tags[0].name, "v")))
        return record_wrong(error, N_("v, if it is there, comes first and is DKIM1"), version);
    if (!key.p)
        return record_wrong(error, N_("there is no key (p)"), STR_NONE);
    if (!read_kind(tag_get(&tags, "k"), ret, error))
        return false;
    ret->revoked = key.n == 0;
    ret->testing = list_has(flags, "y", false);
    ret->strict = list_has(flags, "s", false);
    ret->sha1_only = !list_has(hashes, "sha256", true);
    ret->not_for_mail = !list_has(services, "email", true) && !list_has(services, "*", true);
    return ret->revoked || read_key(key, ret, error);
}
