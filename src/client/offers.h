/* client/offers.h - what a server offers in its answer to EHLO (RFC 5321 4.1.1.1). Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { OFFERS_AUTH_BYTES_MAX = 1024, OFFERS_LINES_BYTES_MAX = 8192 };

struct client_offers {
    bool esmtp; /* there was an answer to EHLO, not only to HELO */
    bool pipelining, has_size, has_8bitmime, has_starttls, has_dsn, has_smtputf8;
    bool has_chunking, has_binarymime, has_enhanced_codes;
    bool has_auth; /* also as "AUTH=LOGIN", which is older than RFC 4954 */
    /* 0: no limit was announced. RFC 9422: recipients of a message, messages of a session. */
    uint64_t size_max, recipients_max, messages_max;
    struct buf auth;  /* the mechanisms, "PLAIN LOGIN" */
    struct buf lines; /* each capability as it was said, a '\n' behind each but the last */
};

void offers_init(struct client_offers *o); /* nothing is offered */
void offers_free(struct client_offers *o);
/* text: the reply's, lines separated by '\n'; the first is the server's name. What was there before
 * is forgotten. What does not fit in is left out. */
void offers_parse(struct client_offers *o, struct str text);
