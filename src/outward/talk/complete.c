// SPDX-License-Identifier: ISC
#include "outward/talk/complete.h"

#include "base/arena.h"
#include "base/check.h"
#include "outward/talk/local.h"

enum place { PLACE_SMTP = 1, PLACE_LMTP = 2, PLACE_POP3 = 4, PLACE_MAIL_PROTOCOLS = 3 };

/* offer: of EHLO or CAPA, without which it makes no sense; NULL: always there. */
static const struct word {
    const char *word;
    const char *offer;
    enum place place;
} verbs[] = {
    {"EHLO ", NULL, PLACE_SMTP},
    {"HELO ", NULL, PLACE_SMTP},
    {"LHLO ", NULL, PLACE_LMTP},
    {"MAIL FROM:<", NULL, PLACE_MAIL_PROTOCOLS},
    {"RCPT TO:<", NULL, PLACE_MAIL_PROTOCOLS},
    {"DATA", NULL, PLACE_MAIL_PROTOCOLS},
    {"BDAT ", "CHUNKING", PLACE_MAIL_PROTOCOLS},
    {"RSET", NULL, PLACE_MAIL_PROTOCOLS | PLACE_POP3},
    {"NOOP", NULL, PLACE_MAIL_PROTOCOLS | PLACE_POP3},
    {"VRFY ", NULL, PLACE_MAIL_PROTOCOLS},
    {"EXPN ", NULL, PLACE_SMTP},
    {"HELP", NULL, PLACE_MAIL_PROTOCOLS},
    {"ETRN ", "ETRN", PLACE_SMTP},
    {"STARTTLS", "STARTTLS", PLACE_MAIL_PROTOCOLS},
    {"AUTH ", "AUTH", PLACE_MAIL_PROTOCOLS},
    {"XCLIENT ", "XCLIENT", PLACE_SMTP},
    {"XFORWARD ", "XFORWARD", PLACE_SMTP},
    {"QUIT", NULL, PLACE_MAIL_PROTOCOLS | PLACE_POP3},
    {"USER ", NULL, PLACE_POP3},
    {"PASS ", NULL, PLACE_POP3},
    {"APOP ", NULL, PLACE_POP3},
    {"AUTH ", "SASL", PLACE_POP3},
    {"STLS", "STLS", PLACE_POP3},
    {"CAPA", NULL, PLACE_POP3},
    {"STAT", NULL, PLACE_POP3},
    {"LIST", NULL, PLACE_POP3},
    {"UIDL", NULL, PLACE_POP3},
    {"RETR ", NULL, PLACE_POP3},
    {"TOP ", NULL, PLACE_POP3},
    {"DELE ", NULL, PLACE_POP3},
};

static const struct word mail_parameters[] = {
    {"SIZE=", "SIZE", 0},
    {"BODY=7BIT", "8BITMIME", 0},
    {"BODY=8BITMIME", "8BITMIME", 0},
    {"BODY=BINARYMIME", "BINARYMIME", 0},
    {"SMTPUTF8", "SMTPUTF8", 0},
    {"RET=FULL", "DSN", 0},
    {"RET=HDRS", "DSN", 0},
    {"ENVID=", "DSN", 0},
    {"AUTH=<>", "AUTH", 0},
    {"REQUIRETLS", "REQUIRETLS", 0},
    {"BY=", "DELIVERBY", 0},
    {"HOLDFOR=", "FUTURERELEASE", 0},
    {"MT-PRIORITY=", "MT-PRIORITY", 0},
};

static const struct word rcpt_parameters[] = {
    {"NOTIFY=NEVER", "DSN", 0},
    {"NOTIFY=SUCCESS", "DSN", 0},
    {"NOTIFY=FAILURE", "DSN", 0},
    {"NOTIFY=DELAY", "DSN", 0},
    {"NOTIFY=SUCCESS,FAILURE,DELAY", "DSN", 0},
    {"ORCPT=rfc822;", "DSN", 0},
    {"RRVS=", "RRVS", 0},
};

static void offer(struct completion *c, struct str begun, const char *word)
{
    if (c->count < COMPLETION_WORDS_MAX && str_starts_nocase(str_c(word), begun))
        c->words[c->count++] = word;
}

static bool is_offered(const struct exchange *x, const char *name)
{
    struct str words;

    return !name || exchange_offers(x, name, &words);
}

static void offer_table(struct completion *c, struct str begun, const struct exchange *x,
                        const struct word *table, size_t count, unsigned place)
{
    for (size_t i = 0; i < count; i++)
        if ((table[i].place & place) == place && is_offered(x, table[i].offer))
            offer(c, begun, table[i].word);
}

static void offer_mechanisms(struct arena *a, struct completion *c, struct str begun,
                             const struct exchange *x)
{
    struct str names = STR_NONE;

    (void)exchange_offers(x, x->protocol == EXCHANGE_POP3 ? "SASL" : "AUTH", &names);
    while (names.n > 0)
        offer(c, begun, arena_c(a, str_cut_word(&names)));
}

static void first_word(struct completion *c, struct str begun, const struct exchange *x)
{
    static const enum place places[] = {PLACE_SMTP, PLACE_LMTP, PLACE_POP3};

    if (str_starts(begun, STR("/")))
        for (size_t i = 0; i < local_count; i++)
            offer(c, begun, locals[i].word);
    else
        offer_table(c, begun, x, verbs, countof(verbs), places[x->protocol]);
}

/* The argument of a command of ours. */
static void local_argument(struct arena *a, struct completion *c, struct str verb, struct str begun,
                           const struct exchange *x)
{
    static const char *const switches[] = {"on", "off"};

    size_t at = local_find(verb);

    switch (at < local_count ? locals[at].completes : LOCAL_NOTHING) {
    case LOCAL_FILE:
        c->file = true;
        break;
    case LOCAL_MECHANISM:
        offer_mechanisms(a, c, begun, x);
        break;
    case LOCAL_SWITCH:
        for (size_t i = 0; i < countof(switches); i++)
            offer(c, begun, switches[i]);
        break;
    case LOCAL_COMMAND:
        for (size_t i = 0; i < local_count; i++)
            offer(c, begun, locals[i].name + 1);
        break;
    case LOCAL_NOTHING:
        break;
    }
}

/* Behind "MAIL FROM:<a@b> ": where a parameter begins. */
static bool behind_path(struct str arguments)
{
    return str_find(arguments, '>') < arguments.n ||
           str_find(str_trim(arguments), ' ') < arguments.n;
}

void complete(struct arena *a, struct str line, const struct exchange *x, struct completion *ret)
{
    size_t blank = str_find_last(line, ' ');
    struct str before = str_sub(line, 0, blank == line.n ? 0 : blank + 1);
    struct str begun = str_skip(line, before.n), arguments = before;
    struct str verb = str_cut_word(&arguments);

    *ret = (struct completion){.from = before.n};
    if (x->mode != MODE_COMMANDS)
        return;
    if (verb.n == 0)
        first_word(ret, begun, x);
    else if (str_starts(verb, STR("/")) || str_eq_nocase(verb, STR("DATA")) ||
             str_eq_nocase(verb, STR("BDAT")))
        local_argument(a, ret, verb, begun, x);
    else if (str_eq_nocase(verb, STR("AUTH")))
        offer_mechanisms(a, ret, begun, x);
    else if (str_eq_nocase(verb, STR("MAIL")) && behind_path(arguments))
        offer_table(ret, begun, x, mail_parameters, countof(mail_parameters), 0);
    else if (str_eq_nocase(verb, STR("RCPT")) && behind_path(arguments))
        offer_table(ret, begun, x, rcpt_parameters, countof(rcpt_parameters), 0);
    else if (str_eq_nocase(verb, STR("MAIL")))
        offer(ret, begun, "FROM:<");
    else if (str_eq_nocase(verb, STR("RCPT")))
        offer(ret, begun, "TO:<");
}
