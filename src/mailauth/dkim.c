/* mailauth/dkim.c - the field is written twice: with an empty b= to be signed, then whole. In the
 * relaxed form both are alike up to that, wherever they are folded. */
// SPDX-License-Identifier: ISC
#include "mailauth/dkim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/fold.h"
#include "mail/header.h"
#include "mail/idn.h"
#include "mailauth/canonical.h"

enum {
    RSA_BITS_MIN = 1024, /* RFC 8301 3.2 */
    RSA_BITS_MAX = 8192,
    SIGNATURE_BYTES_MAX = RSA_BITS_MAX / 8,
    FIELD_BYTES_MAX = 16 * 1024, /* of DKIM-Signature */
    CHUNK_CHARS = 60,            /* of a long value, between two blanks */
};

struct dkim_signer {
    EVP_PKEY *key;
    const char *algorithm;
    struct arena arena; /* of the two below */
    struct str domain, selector;
};

struct dkim_signing {
    const struct dkim_signer *signer;
    EVP_MD_CTX *hash; /* of the body */
    bool failed;
    struct canonical_body body;
};

/* ---- the signer ---- */

/* A key that is locked is an error, not a question to whoever sits at the terminal. */
static int no_passphrase(char *to, int bytes, int writing, void *arg)
{
    return 0;
}

static EVP_PKEY *read_key(struct str pem)
{
    BIO *in = pem.n > 0 && pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;

    BIO_free(in);
    ERR_clear_error();
    return key;
}

static const char *algorithm_of(const EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "RSA"))
        return "rsa-sha256";
    return EVP_PKEY_is_a(key, "ED25519") ? "ed25519-sha256" : NULL;
}

static bool refuse(struct buf *error, const char *text)
{
    (void)buf_add_c(error, text);
    return false;
}

static bool key_good(struct str pem, const EVP_PKEY *key, struct buf *error)
{
    if (!key && str_find_str(pem, STR("ENCRYPTED")) < pem.n)
        return refuse(error, _("the DKIM key is locked with a passphrase; unlock a copy with "
                               "openssl pkey -in KEY -out UNLOCKED"));
    if (!key)
        return refuse(error, _("there is no private key in the DKIM key file; openssl genpkey "
                               "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes one"));
    if (!algorithm_of(key))
        return refuse(error, _("DKIM signs with RSA or Ed25519; the key is of another kind"));

    int bits = EVP_PKEY_get_bits(key);

    if (EVP_PKEY_is_a(key, "RSA") && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)) {
        (void)buf_printf(error,
                         _("the DKIM key has %d bits; from %d to %d are possible, 2048 are "
                           "usual"),
                         bits, RSA_BITS_MIN, RSA_BITS_MAX);
        return false;
    }
    return true;
}

static struct str copy_lower(struct arena *a, struct str s)
{
    char *p = arena_c(a, s);

    for (size_t i = 0; i < s.n; i++)
        p[i] = char_lower(p[i]);
    return str_n(p, s.n);
}

static bool take_name(struct arena *a, struct str text, bool lenient, struct str *ret)
{
    struct str name = text;

    if (!utf8_is_ascii(text) && !idn_to_ascii(text, a, &name)) /* RFC 8616 4 */
        return false;
    if (!domain_valid(name, lenient) || name.p[0] == '[')
        return false;
    *ret = copy_lower(a, name);
    return true;
}

static bool take_names(struct dkim_signer *s, struct str domain, struct str selector,
                       struct buf *error)
{
    if (!take_name(&s->arena, domain, false, &s->domain)) {
        (void)buf_printf(error,
                         _("\"%.*s\" is no domain to sign for with DKIM; it looks like "
                           "example.org"),
                         STR_ARG(domain));
        return false;
    }
    if (!take_name(&s->arena, selector, true, &s->selector)) {
        (void)buf_printf(error,
                         _("\"%.*s\" is no DKIM selector; letters, digits and hyphens are, "
                           "as in the name SELECTOR._domainkey.%.*s of its record"),
                         STR_ARG(selector), STR_ARG(s->domain));
        return false;
    }
    return true;
}

int dkim_signer_new(struct str pem, struct str domain, struct str selector,
                    struct dkim_signer **ret, struct buf *error)
{
    struct dkim_signer *s = mem_new(sizeof *s);

    s->key = read_key(pem);
    if (!key_good(pem, s->key, error) || !take_names(s, domain, selector, error)) {
        dkim_signer_free(&s);
        return -EINVAL;
    }
    s->algorithm = algorithm_of(s->key);
    *ret = s;
    return 0;
}

void dkim_signer_free(struct dkim_signer **s)
{
    if (!*s)
        return;
    EVP_PKEY_free((*s)->key); /* overwrites it */
    arena_free(&(*s)->arena);
    free(*s);
    *s = NULL;
}

/* ---- the body ---- */

static void hash_body(void *arg, struct str bytes)
{
    struct dkim_signing *s = arg;

    s->failed |= EVP_DigestUpdate(s->hash, bytes.p, bytes.n) != 1;
}

int dkim_begin(const struct dkim_signer *signer, struct dkim_signing **ret)
{
    struct dkim_signing *s = mem_new(sizeof *s);

    s->signer = signer;
    s->hash = EVP_MD_CTX_new();
    canonical_body_init(&s->body, hash_body, s);
    if (!s->hash || EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL) != 1) {
        dkim_end(&s);
        ERR_clear_error();
        return -EIO;
    }
    *ret = s;
    return 0;
}

void dkim_end(struct dkim_signing **s)
{
    if (!*s)
        return;
    EVP_MD_CTX_free((*s)->hash);
    free(*s);
    *s = NULL;
}

void dkim_body(struct dkim_signing *s, struct str bytes)
{
    canonical_body_feed(&s->body, bytes);
}

/* ---- which fields ---- */

/* RFC 6376 5.4.1. Named once more than it is there (5.4.2), a field cannot be added behind our
 * back: a second From or Subject would be shown by some programs in place of the signed one. */
static const struct {
    const char *name;
    enum { AS_IT_IS, SEALED_IF_THERE, SEALED } how;
} signed_fields[] = {
    {"from", SEALED},
    {"sender", SEALED_IF_THERE},
    {"reply-to", SEALED},
    {"to", SEALED},
    {"cc", SEALED},
    {"subject", SEALED},
    {"date", SEALED},
    {"message-id", SEALED_IF_THERE},
    {"in-reply-to", SEALED_IF_THERE},
    {"references", SEALED_IF_THERE},
    {"mime-version", SEALED_IF_THERE},
    {"content-type", SEALED},
    {"content-transfer-encoding", SEALED_IF_THERE},
    {"content-id", AS_IT_IS},
    {"content-description", AS_IT_IS},
    {"content-disposition", AS_IT_IS},
    {"resent-date", AS_IT_IS},
    {"resent-from", AS_IT_IS},
    {"resent-sender", AS_IT_IS},
    {"resent-to", AS_IT_IS},
    {"resent-cc", AS_IT_IS},
    {"resent-message-id", AS_IT_IS},
    {"list-id", AS_IT_IS},
    {"list-help", AS_IT_IS},
    {"list-unsubscribe", AS_IT_IS},
    {"list-unsubscribe-post", AS_IT_IS}, /* RFC 8058 4 */
    {"list-subscribe", AS_IT_IS},
    {"list-post", AS_IT_IS},
    {"list-owner", AS_IT_IS},
    {"list-archive", AS_IT_IS},
    {"auto-submitted", AS_IT_IS},
};

static size_t count_fields(struct str header, struct str name)
{
    struct header_field f;
    size_t count = 0;

    while (header_next(&header, &f))
        count += str_eq_nocase(f.name, name);
    return count;
}

/* Appends the fields of that name, the last one first: RFC 6376 5.4.2. */
static void add_fields(struct buf *to, struct str header, struct str name, size_t count)
{
    for (; count > 0; count--) {
        struct str rest = header;
        struct header_field f;
        size_t at = 0;

        while (at < count && header_next(&rest, &f))
            at += str_eq_nocase(f.name, name);
        canonical_field(to, f.name, f.body);
    }
}

/* *names: "from:from:to", *fields: what is signed of them. */
static void choose_fields(struct str header, struct buf *names, struct buf *fields)
{
    for (size_t i = 0; i < countof(signed_fields); i++) {
        struct str name = str_c(signed_fields[i].name);
        size_t count = count_fields(header, name);
        size_t named = count + (signed_fields[i].how == SEALED ||
                                (signed_fields[i].how == SEALED_IF_THERE && count > 0));

        add_fields(fields, header, name, count);
        for (; named > 0; named--) {
            if (names->n > 0)
                (void)buf_add_char(names, ':');
            (void)buf_add(names, name);
        }
    }
}

/* ---- the field ---- */

static void add_tag(struct fold *f, const char *name, struct str value)
{
    struct buf word = buf_init(FIELD_BYTES_MAX);

    (void)buf_printf(&word, "%s=%.*s;", name, STR_ARG(value));
    fold_word(f, buf_str(&word));
    buf_free(&word);
}

/* "h=from:from:to:" "subject…;": blanks may stand around the colons. */
static void add_names(struct fold *f, struct str names)
{
    struct buf word = buf_init(FIELD_BYTES_MAX);

    (void)buf_add(&word, STR("h="));
    while (names.n > 0) {
        struct str name = str_cut(&names, ':');

        (void)buf_add(&word, name);
        (void)buf_add_char(&word, names.n > 0 ? ':' : ';');
        if (word.n > CHUNK_CHARS || names.n == 0) {
            fold_word(f, buf_str(&word));
            buf_reset(&word);
        }
    }
    buf_free(&word);
}

/* base64: empty, or the signature, which may have blanks in it. */
static void add_signature(struct fold *f, struct str base64)
{
    struct buf word = buf_init(FIELD_BYTES_MAX);

    (void)buf_add(&word, STR("b="));
    do {
        (void)buf_add(&word, str_sub(base64, 0, CHUNK_CHARS));
        fold_word(f, buf_str(&word));
        buf_reset(&word);
        base64 = str_skip(base64, CHUNK_CHARS);
    } while (base64.n > 0);
    buf_free(&word);
}

struct facts { /* of a field, but for its signature */
    uint64_t now_s;
    struct str names, body_hash;
};

static void print_field(const struct dkim_signer *s, const struct facts *facts, struct str base64,
                        struct buf *to)
{
    struct fold f = fold_field(to, "DKIM-Signature");
    char time[24];
    struct buf time_text = {.p = time, .room = sizeof time - 1, .bytes_max = sizeof time - 1};

    (void)buf_add_u64(&time_text, facts->now_s);
    add_tag(&f, "v", STR("1"));
    add_tag(&f, "a", str_c(s->algorithm));
    add_tag(&f, "c", STR("relaxed/relaxed"));
    add_tag(&f, "d", s->domain);
    add_tag(&f, "s", s->selector);
    add_tag(&f, "t", buf_str(&time_text));
    add_names(&f, facts->names);
    add_tag(&f, "bh", facts->body_hash);
    add_signature(&f, base64);
    fold_end(&f);
}

/* ---- the signature ---- */

/* RFC 8463 3: Ed25519 signs the hash, not the text. */
static bool sign(const struct dkim_signer *s, struct str text, struct buf *base64)
{
    unsigned char hash[32], signature[SIGNATURE_BYTES_MAX];
    size_t n = sizeof signature;
    bool rsa = EVP_PKEY_is_a(s->key, "RSA");
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool done = c && EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL) == 1 &&
                EVP_DigestSignInit(c, NULL, rsa ? EVP_sha256() : NULL, NULL, s->key) == 1 &&
                EVP_DigestSign(c, signature, &n, rsa ? (const unsigned char *)text.p : hash,
                               rsa ? text.n : sizeof hash) == 1;

    EVP_MD_CTX_free(c);
    ERR_clear_error();
    if (done)
        base64_put(base64, str_n((const char *)signature, n));
    return done;
}

static bool finish_body(struct dkim_signing *s, struct buf *base64)
{
    unsigned char hash[32];

    canonical_body_end(&s->body);
    if (s->failed || EVP_DigestFinal_ex(s->hash, hash, NULL) != 1)
        return false;
    base64_put(base64, str_n((const char *)hash, sizeof hash));
    return true;
}

/* Appends the field, unsigned, in the form that is signed: without a line end. */
static void add_own_field(const struct dkim_signer *s, const struct facts *facts, struct buf *to)
{
    struct buf own = buf_init(FIELD_BYTES_MAX);
    struct header_field f = {0};

    print_field(s, facts, STR_NONE, &own);
    struct str rest = buf_str(&own);
    (void)header_next(&rest, &f);
    canonical_field(to, f.name, f.body);
    buf_cut(to, to->n - 2);
    buf_free(&own);
}

int dkim_sign(struct dkim_signing *s, struct str header, uint64_t now_s, struct buf *to)
{
    struct buf names = buf_init(FIELD_BYTES_MAX / 2), base64 = buf_init(FIELD_BYTES_MAX / 2);
    struct buf body_hash = buf_init(KIB), text = buf_init(2 * header.n + FIELD_BYTES_MAX);
    size_t before = to->n;
    int error = 0;

    choose_fields(header, &names, &text);
    if (count_fields(header, STR("From")) == 0 || names.full) {
        error = -EINVAL;
    } else if (!finish_body(s, &body_hash)) {
        error = -EIO;
    } else {
        struct facts facts = {now_s, buf_str(&names), buf_str(&body_hash)};

        add_own_field(s->signer, &facts, &text);
        if (text.full || !sign(s->signer, buf_str(&text), &base64))
            error = -EIO;
        else
            print_field(s->signer, &facts, buf_str(&base64), to);
        if (to->full)
            error = -ENOBUFS;
    }
    if (error)
        buf_cut(to, before);
    buf_free(&names);
    buf_free(&base64);
    buf_free(&body_hash);
    buf_free(&text);
    return error;
}
