/* tls/remote_key.c - the provider. OpenSSL finds everything in it by numbers and tables of
 * functions (provider(7), provider-keymgmt(7), provider-signature(7)).
 *
 * A key of ours has a public one of OpenSSL's own in it, which answers all questions about it. It
 * is never exported as a private key: OpenSSL would take the copy and fail to sign with it. */
// SPDX-License-Identifier: ISC
#include "tls/remote_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "base/check.h"
#include "base/str.h"
#include "tls/sign.h"

#define OURS "troika"
#define OURS_ONLY "provider=" OURS
#define OTHERS_ONLY "provider=default"
#define NUMBER_PARAMETER "troika-number"

static struct remote_signer signer; /* one process asks one */

struct key {
    const char *kind; /* "RSA", "EC" */
    EVP_PKEY *public;
    uint64_t number;
};

/* OpenSSL's tables hold functions without their types. */
#define ENTRY(number, fn)                                                                          \
    {                                                                                              \
        number, (void (*)(void))(fn)                                                               \
    }

/* ---- keys ---- */

static void *key_new(const char *kind)
{
    struct key *k = mem_new(sizeof *k);

    k->kind = kind;
    return k;
}

static void *rsa_new(void *provider)
{
    return key_new("RSA");
}

static void *ec_new(void *provider)
{
    return key_new("EC");
}

static void key_free(void *key)
{
    struct key *k = key;

    if (!k)
        return;
    EVP_PKEY_free(k->public);
    free(k);
}

static int key_has(const void *key, int selection)
{
    return key != NULL; /* the private half, too, if not here */
}

static int key_match(const void *a, const void *b, int selection)
{
    return EVP_PKEY_eq(((const struct key *)a)->public, ((const struct key *)b)->public) == 1;
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
    return EVP_PKEY_get_params(((struct key *)key)->public, params);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
    static const OSSL_PARAM list[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
                                      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
                                      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
                                      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
                                      OSSL_PARAM_END};
    return list;
}

static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
    struct key *k = key;
    const OSSL_PARAM *number = OSSL_PARAM_locate_const(params, NUMBER_PARAMETER);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, k->kind, OTHERS_ONLY);
    bool done =
        c && EVP_PKEY_fromdata_init(c) == 1 &&
        EVP_PKEY_fromdata(c, &k->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) == 1;

    if (number && done)
        done = OSSL_PARAM_get_uint64(number, &k->number) == 1;
    EVP_PKEY_CTX_free(c);
    return done;
}

static int key_export(void *key, int selection, OSSL_CALLBACK *take, void *arg)
{
    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
        return 0;
    return EVP_PKEY_export(((struct key *)key)->public, EVP_PKEY_PUBLIC_KEY, take, arg);
}

static const OSSL_PARAM *key_types(int selection)
{
    static const OSSL_PARAM list[] = {OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
                                      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
                                      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
                                      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
                                      OSSL_PARAM_uint64(NUMBER_PARAMETER, NULL),
                                      OSSL_PARAM_END};
    return list;
}

static const char *rsa_operation(int id)
{
    return id == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *ec_operation(int id)
{
    return id == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define KEY_ENTRIES                                                                                \
    ENTRY(OSSL_FUNC_KEYMGMT_FREE, key_free), ENTRY(OSSL_FUNC_KEYMGMT_HAS, key_has),                \
        ENTRY(OSSL_FUNC_KEYMGMT_MATCH, key_match),                                                 \
        ENTRY(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                       \
        ENTRY(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),                                    \
        ENTRY(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                               \
        ENTRY(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types),                                          \
        ENTRY(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                                               \
        ENTRY(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types),                                          \
    {                                                                                              \
        0, NULL                                                                                    \
    }

static const OSSL_DISPATCH rsa_keys[] = {
    ENTRY(OSSL_FUNC_KEYMGMT_NEW, rsa_new),
    ENTRY(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, rsa_operation), KEY_ENTRIES};
static const OSSL_DISPATCH ec_keys[] = {ENTRY(OSSL_FUNC_KEYMGMT_NEW, ec_new),
                                        ENTRY(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation),
                                        KEY_ENTRIES};

/* ---- signatures ---- */

struct signing {
    const struct key *key; /* the handshake's certificate holds it */
    uint8_t hash;
    bool pss;
};

static void *signing_new(void *provider, const char *properties)
{
    return mem_new(sizeof(struct signing));
}

static void signing_free(void *signing)
{
    free(signing);
}

static bool take_hash(struct signing *s, const char *name)
{
    static const struct {
        const char *name;
        enum sign_hash hash;
    } names[] = {{"SHA256", SIGN_SHA256},   {"SHA2-256", SIGN_SHA256}, {"SHA384", SIGN_SHA384},
                 {"SHA2-384", SIGN_SHA384}, {"SHA512", SIGN_SHA512},   {"SHA2-512", SIGN_SHA512}};

    for (size_t i = 0; name && i < countof(names); i++) {
        if (!str_eq_nocase(str_c(name), str_c(names[i].name)))
            continue;
        s->hash = (uint8_t)names[i].hash;
        return true;
    }
    return false;
}

/* Of all that can be set, TLS sets the padding; the salt it wants is the only one there is. */
static int signing_set(void *signing, const OSSL_PARAM params[])
{
    struct signing *s = signing;
    const OSSL_PARAM *p =
        params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    const char *word = NULL;
    int number = 0;

    if (!p)
        return 1;
    if (p->data_type == OSSL_PARAM_UTF8_STRING && OSSL_PARAM_get_utf8_string_ptr(p, &word) == 1)
        s->pss = strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    else if (OSSL_PARAM_get_int(p, &number) == 1)
        s->pss = number == RSA_PKCS1_PSS_PADDING;
    else
        return 0;
    return 1;
}

static const OSSL_PARAM *signing_settable(void *signing, void *provider)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0), OSSL_PARAM_END};
    return list;
}

static int signing_begin(void *signing, const char *hash, void *key, const OSSL_PARAM params[])
{
    struct signing *s = signing;

    s->key = key ? key : s->key;
    return s->key && take_hash(s, hash) && signing_set(s, params);
}

/* OpenSSL asks for the size first, with no room. */
static int signing_sign(void *signing, unsigned char *to, size_t *n, size_t room,
                        const unsigned char *asked, size_t asked_bytes)
{
    const struct signing *s = signing;
    uint8_t scheme = (uint8_t)(s->hash | (s->pss ? SIGN_PSS : 0));

    if (!to) {
        *n = (size_t)EVP_PKEY_get_size(s->key->public);
        return 1;
    }
    struct buf signature = buf_init(SIGNATURE_BYTES_MAX);
    bool done = signer.sign(signer.arg, s->key->number, scheme,
                            str_n((const char *)asked, asked_bytes), &signature) &&
                signature.n > 0 && signature.n <= room;
    if (done) {
        memcpy(to, signature.p, signature.n);
        *n = signature.n;
    }
    buf_free(&signature);
    return done;
}

static const OSSL_DISPATCH signing_entries[] = {
    ENTRY(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
    ENTRY(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
    ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
    ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
    ENTRY(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set),
    ENTRY(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable),
    {0, NULL}};

/* ---- the provider ---- */

static const OSSL_ALGORITHM key_kinds[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS_ONLY, rsa_keys, "keys that are elsewhere"},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", OURS_ONLY, ec_keys, "keys that are elsewhere"},
    {0}};
static const OSSL_ALGORITHM signatures[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS_ONLY, signing_entries, "asks for them"},
    {"ECDSA", OURS_ONLY, signing_entries, "asks for them"},
    {0}};

static const OSSL_ALGORITHM *find(void *provider, int operation, int *no_cache)
{
    *no_cache = 0;
    if (operation == OSSL_OP_KEYMGMT)
        return key_kinds;
    return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static void teardown(void *provider) {}

static const OSSL_DISPATCH provider_entries[] = {ENTRY(OSSL_FUNC_PROVIDER_QUERY_OPERATION, find),
                                                 ENTRY(OSSL_FUNC_PROVIDER_TEARDOWN, teardown),
                                                 {0, NULL}};

static int begin(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                 void **provider)
{
    *out = provider_entries;
    *provider = &signer;
    return 1;
}

/* Who does not say which provider means OpenSSL's own. */
bool remote_keys_init_before_jail(const struct remote_signer *s)
{
    static OSSL_PROVIDER *others, *ours; /* loaded for the life of the process */

    signer = *s;
    if (others && ours)
        return true;
    bool added = OSSL_PROVIDER_add_builtin(NULL, OURS, begin) == 1;

    others = OSSL_PROVIDER_load(NULL, "default");
    ours = added ? OSSL_PROVIDER_load(NULL, OURS) : NULL;
    bool done = others && ours && EVP_set_default_properties(NULL, "?" OTHERS_ONLY) == 1;

    ERR_clear_error();
    return done;
}

static EVP_PKEY *key_from(const char *kind, EVP_PKEY *public, OSSL_PARAM *number)
{
    OSSL_PARAM *parts = NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, kind, OURS_ONLY);
    bool got = EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &parts) == 1;
    OSSL_PARAM *all = got ? OSSL_PARAM_merge(parts, number) : NULL;

    if (c && all && EVP_PKEY_fromdata_init(c) == 1)
        (void)EVP_PKEY_fromdata(c, &key, EVP_PKEY_KEYPAIR, all);
    OSSL_PARAM_free(all);
    OSSL_PARAM_free(parts);
    EVP_PKEY_CTX_free(c);
    return key;
}

EVP_PKEY *remote_key_new(X509 *certificate, uint64_t number)
{
    EVP_PKEY *public = X509_get0_pubkey(certificate);
    OSSL_PARAM extra[] = {OSSL_PARAM_uint64(NUMBER_PARAMETER, &number), OSSL_PARAM_END};
    const char *kind = !public                        ? NULL
                       : EVP_PKEY_is_a(public, "RSA") ? "RSA"
                       : EVP_PKEY_is_a(public, "EC")  ? "EC"
                                                      : NULL;
    EVP_PKEY *key = kind ? key_from(kind, public, extra) : NULL;

    ERR_clear_error();
    return key;
}

uint64_t remote_key_number(X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    uint64_t number = 0;

    if (X509_pubkey_digest(certificate, EVP_sha256(), digest, NULL) == 1)
        memcpy(&number, digest, sizeof number);
    ERR_clear_error();
    return number;
}
