// SPDX-License-Identifier: ISC
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 4096, NAME_BYTES_MAX = 200 };

/* ---- files ---- */

int certificate_read(int fd, struct buf *ret)
{
    struct stat st;

    *ret = buf_init(CERTIFICATE_FILE_BYTES_MAX);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > CERTIFICATE_FILE_BYTES_MAX)
        return -EFBIG;
    /* All room at once: growing would leave copies of a key behind. */
    char *to = buf_room(ret, (size_t)st.st_size + 1 > ret->bytes_max ? ret->bytes_max
                                                                     : (size_t)st.st_size + 1);
    size_t have = 0;
    ssize_t n = 1;
    while (to && have < (size_t)st.st_size && n > 0) {
        n = pread(fd, to + have, (size_t)st.st_size - have, (off_t)have);
        have += n > 0 ? (size_t)n : 0;
    }
    buf_added(ret, have);
    return n < 0 ? -errno : 0;
}

void certificate_wipe(struct buf *b)
{
    if (b->p)
        OPENSSL_cleanse(b->p, b->room);
    buf_free(b);
}

void certificate_warm_up(void)
{
    unsigned char byte;

    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
    (void)RAND_bytes(&byte, 1);
    EVP_PKEY *key = EVP_EC_gen("P-256"); /* whatever that needs is there now */
    EVP_PKEY_free(key);
    ERR_clear_error();
}

/* ---- reading ---- */

static int no_password(char *to, int room, int writing, void *arg)
{
    bool *asked = arg;

    *asked = true;
    return -1;
}

void chain_free(struct chain *c)
{
    for (size_t i = 0; i < c->count; i++)
        X509_free(c->list[i]);
    c->count = 0;
}

static bool ended_well(void)
{
    unsigned long e = ERR_peek_last_error();

    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

bool chain_parse(struct str pem, struct chain *ret, struct buf *why)
{
    BIO *b = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
    struct chain c = {.count = 0};
    bool many = false, whole;

    check(b);
    ERR_clear_error();
    for (X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL); x;
         x = PEM_read_bio_X509(b, NULL, NULL, NULL)) {
        many = c.count == CHAIN_CERTIFICATES_MAX;
        if (many) {
            X509_free(x);
            break;
        }
        c.list[c.count++] = x;
    }
    whole = many || ended_well();
    ERR_clear_error();
    BIO_free(b);
    if (c.count > 0 && !many && whole) {
        *ret = c;
        return true;
    }
    if (many)
        buf_printf(why, "more than %d certificates", CHAIN_CERTIFICATES_MAX);
    else if (c.count > 0 || !whole)
        buf_printf(why, "certificate number %zu in it cannot be read", c.count + 1);
    else
        buf_add_c(why, "no certificate is in it (PEM: -----BEGIN CERTIFICATE-----)");
    chain_free(&c);
    return false;
}

size_t certificates_only(struct str pem, struct buf *to)
{
    BIO *from = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n), *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    size_t count = 0;

    check(from && memory);
    for (X509 *x = PEM_read_bio_X509(from, NULL, NULL, NULL); x;
         x = PEM_read_bio_X509(from, NULL, NULL, NULL)) {
        count += PEM_write_bio_X509(memory, x) == 1;
        X509_free(x);
    }
    long n = BIO_get_mem_data(memory, &text);
    buf_add(to, str_n(text, n > 0 ? (size_t)n : 0));
    BIO_free(from);
    BIO_free(memory);
    ERR_clear_error();
    return count;
}

EVP_PKEY *private_key_parse(struct str pem, struct buf *why)
{
    BIO *b = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
    bool asked = false;

    check(b);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_password, &asked);
    ERR_clear_error();
    BIO_free(b);
    if (!key)
        buf_add_c(why, asked ? "the key is encrypted; nobody is there to type a password"
                             : "no private key is in it (PEM: -----BEGIN PRIVATE KEY-----)");
    return key;
}

bool chain_kind_good(const struct chain *c, struct buf *why)
{
    const EVP_PKEY *key = X509_get0_pubkey(c->list[0]);
    int bits = key ? EVP_PKEY_get_bits(key) : 0;

    if (key && EVP_PKEY_is_a(key, "EC"))
        return true;
    if (!key || !EVP_PKEY_is_a(key, "RSA"))
        buf_add_c(why, "its key is neither RSA nor ECDSA, which mail servers understand");
    else if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        buf_printf(why, "its RSA key has %d bits; from %d to %d are good", bits, RSA_BITS_MIN,
                   RSA_BITS_MAX);
    else
        return true;
    ERR_clear_error();
    return false;
}

bool chain_key_fit(const struct chain *c, EVP_PKEY *key, struct buf *why)
{
    if (!chain_kind_good(c, why))
        return false;
    bool fit = X509_check_private_key(c->list[0], key) == 1;

    ERR_clear_error();
    if (!fit)
        buf_add_c(why, "the key does not belong to the first certificate");
    return fit;
}

/* ---- for people ---- */

void chain_print_name(const X509_NAME *name, struct buf *to)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char text[NAME_BYTES_MAX];

    check(memory);
    (void)X509_NAME_print_ex(memory, name, 0, XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ);
    int n = BIO_read(memory, text, sizeof text);
    for (int i = 0; i < n; i++)
        (void)buf_add_char(to, text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
    BIO_free(memory);
}

bool chain_has_name(const struct chain *c, struct str name)
{
    return name.n > 0 && X509_check_host(c->list[0], name.p, name.n, 0, NULL) == 1;
}

static void add_name(struct buf *to, const ASN1_STRING *s)
{
    const unsigned char *p = ASN1_STRING_get0_data(s);
    int n = MIN_OF(ASN1_STRING_length(s), NAME_BYTES_MAX);

    if (to->n > 0)
        buf_add_c(to, ", ");
    for (int i = 0; i < n; i++)
        (void)buf_add_char(to, p[i] > ' ' && p[i] <= '~' ? (char)p[i] : '?');
}

static void add_address(struct buf *to, const ASN1_OCTET_STRING *s)
{
    char text[INET6_ADDRSTRLEN] = "?";
    int n = ASN1_STRING_length(s);

    if (n == 4 || n == 16)
        (void)inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof text);
    buf_printf(to, "%saddress %s", to->n > 0 ? ", " : "", text);
}

void chain_print_names(const struct chain *c, struct buf *to)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c->list[0], NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

        if (n->type == GEN_DNS)
            add_name(to, n->d.dNSName);
        else if (n->type == GEN_IPADD)
            add_address(to, n->d.iPAddress);
    }
    if (to->n == 0)
        chain_print_name(X509_get_subject_name(c->list[0]), to);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

void chain_print_kind(const struct chain *c, struct buf *to)
{
    EVP_PKEY *key = X509_get0_pubkey(c->list[0]);
    char group[64] = "";

    if (key && EVP_PKEY_is_a(key, "EC")) {
        (void)EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
        buf_printf(to, "ECDSA %s",
                   strcmp(group, "prime256v1") == 0  ? "P-256"
                   : strcmp(group, "secp384r1") == 0 ? "P-384"
                                                     : group);
    } else if (key) {
        buf_printf(to, "%s %d", EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
    } else {
        buf_add_c(to, "unknown");
    }
    ERR_clear_error();
}

static uint64_t time_us(const ASN1_TIME *when)
{
    struct tm tm = {0};

    if (ASN1_TIME_to_tm(when, &tm) != 1)
        return 0;
    time_t s = timegm(&tm);
    return s > 0 ? (uint64_t)s * US_PER_S : 0;
}

uint64_t chain_not_before_us(const struct chain *c)
{
    return time_us(X509_get0_notBefore(c->list[0]));
}

uint64_t chain_not_after_us(const struct chain *c)
{
    return time_us(X509_get0_notAfter(c->list[0]));
}

static X509_STORE *store_of(const char *roots_path)
{
    X509_STORE *store = X509_STORE_new();

    check(store);
    if (roots_path)
        (void)X509_STORE_load_file(store, roots_path);
    else
        (void)X509_STORE_set_default_paths(store);
    return store;
}

const char *chain_trouble(const struct chain *c, const char *roots_path, uint64_t now_us)
{
    X509_STORE *store = store_of(roots_path);
    X509_STORE_CTX *v = X509_STORE_CTX_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    int error = X509_V_ERR_UNSPECIFIED;

    check(v && others);
    for (size_t i = 1; i < c->count; i++)
        (void)sk_X509_push(others, c->list[i]);
    if (X509_STORE_CTX_init(v, store, c->list[0], others) == 1) {
        X509_STORE_CTX_set_time(v, 0, (time_t)(now_us / US_PER_S));
        (void)X509_STORE_CTX_set_purpose(v, X509_PURPOSE_SSL_SERVER);
        (void)X509_verify_cert(v);
        error = X509_STORE_CTX_get_error(v);
    }
    X509_STORE_CTX_free(v);
    X509_STORE_free(store);
    sk_X509_free(others);
    ERR_clear_error();
    if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
        error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE)
        return "the chain is incomplete, or leads to no authority that this system knows";
    return error == X509_V_OK ? NULL : X509_verify_cert_error_string(error);
}
