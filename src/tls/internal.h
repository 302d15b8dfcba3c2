// SPDX-License-Identifier: ISC
#pragma once

#include <openssl/ssl.h>

#include "tls/tls.h"

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    int fd;
    int error; /* errno of the last recv or send that failed */
    bool eof;
    char host[TLS_HOST_BYTES_MAX + 1];
    bool host_is_address;
    const char *failure; /* of OpenSSL's constant words, or NULL */
};
