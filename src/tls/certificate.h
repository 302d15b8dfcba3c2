/* tls/certificate.h - certificates and keys of our own: read from PEM, judged, described. */
// SPDX-License-Identifier: ISC
#pragma once

#include <openssl/x509.h>

#include "base/buf.h"

enum { CHAIN_CERTIFICATES_MAX = 10, CERTIFICATE_FILE_BYTES_MAX = 128 * 1024 };

struct chain { /* the first is the server's own */
    X509 *list[CHAIN_CERTIFICATES_MAX];
    size_t count;
};

/* All certificates in the text. False: why says what is wrong, in words. */
bool chain_parse(struct str pem, struct chain *ret, struct buf *why);
void chain_free(struct chain *c);
/* Nothing but the certificates of the text, written anew: a file may hold the key as well. How many. */
size_t certificates_only(struct str pem, struct buf *to);
/* The first private key in the text; encrypted ones are not taken. NULL: why. */
EVP_PKEY *private_key_parse(struct str pem, struct buf *why);
/* Do they belong together, and are they of a kind that we serve? False: why. */
bool chain_key_fit(const struct chain *c, EVP_PKEY *key, struct buf *why);
bool chain_kind_good(const struct chain *c, struct buf *why);

/* What a file holds, at most CERTIFICATE_FILE_BYTES_MAX, from its beginning: 0 or a negative errno
 * (-EFBIG, -EINVAL: no file). The caller wipes and frees. */
int certificate_read(int fd, struct buf *ret);
void certificate_wipe(struct buf *b); /* a key was in it */
void certificate_warm_up(void);       /* before a jail: OpenSSL has read what it needs */

/* ---- for people ---- */

bool chain_has_name(const struct chain *c, struct str name);
void chain_print_names(const struct chain *c, struct buf *to); /* "a.example, *.b.example" */
void chain_print_kind(const struct chain *c, struct buf *to);  /* "ECDSA P-256", "RSA 2048" */
void chain_print_name(const X509_NAME *n, struct buf *to);     /* printable, "CN=…" */
uint64_t chain_not_before_us(const struct chain *c);
uint64_t chain_not_after_us(const struct chain *c); /* 0: unreadable */
/* Why clients that trust these roots (a PEM file; NULL: the system's) will not trust it at that
 * time, apart from its names; or NULL. */
const char *chain_trouble(const struct chain *c, const char *roots_path, uint64_t now_us);
