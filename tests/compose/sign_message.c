/* tests/compose/sign_message.c - sign_message KEY-FILE DOMAIN SELECTOR <message >signed: the DKIM signer
 * over any message with CRLF lines, its body in pieces of odd sizes. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <sysexits.h>

#include "base/check.h"
#include "mail/header.h"
#include "mailauth/dkim.h"

static void read_all(FILE *file, struct buf *to)
{
    size_t n = 1;

    while (n > 0) {
        char *room = buf_room(to, 64 * KIB);

        check(room);
        n = fread(room, 1, 64 * KIB, file);
        buf_added(to, n);
    }
}

static int sign(const struct dkim_signer *signer, struct str message, struct buf *to)
{
    struct dkim_signing *signing = NULL;
    struct str header = str_sub(message, 0, header_bytes(message));
    struct str body = str_skip(message, header.n);
    int error = dkim_begin(signer, &signing);

    body = str_skip(body, str_starts(body, STR("\r\n")) ? 2 : 0);
    for (size_t at = 0, n = 1; at < body.n && !error; at += n, n = n % 1000 * 3 + 1)
        dkim_body(signing, str_sub(body, at, at + n));
    if (!error)
        error = dkim_sign(signing, header, 1700000000, to);
    dkim_end(&signing);
    return error;
}

int main(int argc, char **argv)
{
    struct buf pem = buf_init(MIB), message = buf_init(64 * MIB), field = buf_init(MIB);
    struct buf error = buf_init(KIB);
    struct dkim_signer *signer = NULL;
    FILE *key = argc == 4 ? fopen(argv[1], "rb") : NULL;

    if (!key)
        return EX_USAGE;
    read_all(key, &pem);
    fclose(key);
    read_all(stdin, &message);
    if (dkim_signer_new(buf_str(&pem), str_c(argv[2]), str_c(argv[3]), &signer, &error) < 0 ||
        sign(signer, buf_str(&message), &field) < 0) {
        fprintf(stderr, "%s\n", buf_c(&error));
        return EX_DATAERR;
    }
    fwrite(field.p, 1, field.n, stdout);
    fwrite(message.p, 1, message.n, stdout);
    dkim_signer_free(&signer);
    buf_free(&pem);
    buf_free(&message);
    buf_free(&field);
    buf_free(&error);
    return EX_OK;
}
