// SPDX-License-Identifier: ISC
#include "client/offers.h"

#include <stddef.h>

#include "base/check.h"

void offers_init(struct client_offers *o)
{
    *o = (struct client_offers){.auth = buf_init(OFFERS_AUTH_BYTES_MAX),
                                .lines = buf_init(OFFERS_LINES_BYTES_MAX)};
}

void offers_free(struct client_offers *o)
{
    buf_free(&o->auth);
    buf_free(&o->lines);
    offers_init(o);
}

/* RFC 9422: "RCPTMAX=20 MAILMAX=5", and what may come to be. */
static void limits(struct client_offers *o, struct str line)
{
    for (struct str word = str_cut_word(&line); word.n > 0; word = str_cut_word(&line)) {
        struct str name = str_cut(&word, '=');
        uint64_t limit;

        if (!str_u64(word, &limit))
            continue;
        if (str_eq_nocase(name, STR("RCPTMAX")))
            o->recipients_max = limit;
        if (str_eq_nocase(name, STR("MAILMAX")))
            o->messages_max = limit;
    }
}

static bool has_word(struct str words, struct str word)
{
    for (struct str w = str_cut_word(&words); w.n > 0; w = str_cut_word(&words)) {
        if (str_eq_nocase(w, word))
            return true;
    }
    return false;
}

/* A server may say its mechanisms twice, as "AUTH" and, for old clients, as "AUTH=". */
static void mechanisms(struct client_offers *o, struct str line)
{
    o->has_auth = true;
    for (struct str word = str_cut_word(&line); word.n > 0; word = str_cut_word(&line)) {
        if (has_word(buf_str(&o->auth), word) || o->auth.n + word.n + 1 > OFFERS_AUTH_BYTES_MAX)
            continue;
        if (o->auth.n > 0)
            buf_add_char(&o->auth, ' ');
        buf_add(&o->auth, word);
    }
}

static const struct {
    const char *keyword;
    size_t flag; /* of struct client_offers */
} flags[] = {
    {"PIPELINING", offsetof(struct client_offers, pipelining)},
    {"SIZE", offsetof(struct client_offers, has_size)},
    {"8BITMIME", offsetof(struct client_offers, has_8bitmime)},
    {"STARTTLS", offsetof(struct client_offers, has_starttls)},
    {"DSN", offsetof(struct client_offers, has_dsn)},
    {"SMTPUTF8", offsetof(struct client_offers, has_smtputf8)},
    {"CHUNKING", offsetof(struct client_offers, has_chunking)},
    {"BINARYMIME", offsetof(struct client_offers, has_binarymime)},
    {"ENHANCEDSTATUSCODES", offsetof(struct client_offers, has_enhanced_codes)},
};

static void capability(struct client_offers *o, struct str line)
{
    struct str rest = line;
    struct str word = str_cut_word(&rest);

    for (size_t i = 0; i < countof(flags); i++) {
        if (str_eq_nocase(word, str_c(flags[i].keyword)))
            *(bool *)((char *)o + flags[i].flag) = true;
    }
    if (str_eq_nocase(word, STR("SIZE")))
        (void)str_u64(str_trim(rest), &o->size_max); /* without a number there is no limit */
    if (str_eq_nocase(word, STR("LIMITS")))
        limits(o, rest);
    if (str_eq_nocase(word, STR("AUTH")))
        mechanisms(o, rest);
    else if (str_starts_nocase(word, STR("AUTH=")))
        mechanisms(o, str_skip(str_trim(line), 5));
}

void offers_parse(struct client_offers *o, struct str text)
{
    offers_free(o);
    o->esmtp = true;
    (void)str_cut(&text, '\n'); /* the server's name */
    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));

        capability(o, line);
        if (o->lines.n + line.n + 1 > OFFERS_LINES_BYTES_MAX)
            continue;
        if (o->lines.n > 0)
            buf_add_char(&o->lines, '\n');
        buf_add(&o->lines, line);
    }
}
