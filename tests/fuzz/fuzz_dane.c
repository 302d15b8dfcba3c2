/* TLSA records and the certificate that they are of: three bytes, the length of the record's data in
 * the fourth, the data, the rest is the certificate. */
// links: base mail mailauth
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mailauth/dane.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str name = {"mx.example", 10};
    const char *why = NULL, *again = NULL;

    if (size < 4 || size - 4 < data[3])
        return 0;
    struct str rest = {(const char *)data + 4, size - 4};
    struct tlsa record = {data[0], data[1], data[2], str_sub(rest, 0, data[3])};
    struct str certificate = str_skip(rest, data[3]);
    struct dane_input in = {.records = &record,
                            .record_count = 1,
                            .certificates = &certificate,
                            .certificate_count = 1,
                            .names = &name,
                            .name_count = 1,
                            .now_s = 1800000000};
    enum dane_verdict verdict = dane_verify(&in, &why);

    check(verdict == dane_verify(&in, &again));
    check((verdict == DANE_INVALID) == (why != NULL));
    check(!tlsa_trouble(&record) || verdict == DANE_UNUSABLE);
    return 0;
}
