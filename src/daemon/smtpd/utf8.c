/* smtpd/utf8.c - SMTPUTF8 (RFC 6531): who may use letters outside ASCII, and what follows from it.
 *
 * The grammar takes them always; here is said that only a client that knows them, by having said
 * so for this message or this question, may write them. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/state.h"

static bool says_smtputf8(const struct smtp_command *c)
{
    for (size_t i = 0; i < c->parameter_count; i++)
        if (str_eq_nocase(c->parameters[i].key, STR("SMTPUTF8")))
            return true;
    return false;
}

enum reply_name utf8_judge(const struct session *s, const struct smtp_command *c)
{
    bool names_somebody = c->verb == VERB_MAIL || c->verb == VERB_RCPT || c->verb == VERB_VRFY ||
                          c->verb == VERB_EXPN;
    bool said = c->verb == VERB_RCPT ? s->txn && s->txn->smtputf8 : says_smtputf8(c);

    return c->utf8 && names_somebody && !said ? REPLY_SAY_SMTPUTF8 : REPLY_OK;
}

enum message_utf8 utf8_need(const struct txn *t, bool more)
{
    if (!t->smtputf8)
        return UTF8_UNSAID;
    return t->header.has_8bit || (more && !t->header.ended) ? UTF8_HEADER : UTF8_SAID;
}
