/* mail/explain.c - see explain.h. The tables are short enough to be walked from their start. */
// SPDX-License-Identifier: ISC
#include "mail/explain.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"

enum { CODE_WHATEVER = 9 };

struct row {
    enum explain_step step;
    uint16_t code;
    const char *detail, *words;
    struct explanation explanation;
};

struct connection_row {
    int error;
    uint16_t port;
    struct explanation explanation;
};

struct pop3_row {
    enum explain_step step;
    bool positive;
    const char *code, *words;
    struct explanation explanation;
};

#define ANY STEP_ANY
#define GREETING STEP_GREETING
#define HELLO STEP_HELLO
#define STARTTLS STEP_STARTTLS
#define AUTH STEP_AUTH
#define MAIL STEP_MAIL
#define RCPT STEP_RCPT
#define DATA STEP_DATA
#define CONTENT STEP_CONTENT
#define QUIT STEP_QUIT

#define EXPLAIN(step, code, detail, words, ...) {step, code, detail, words, {__VA_ARGS__}},
#define CONNECTION(error, port, ...)
#define POP3(step, positive, code, words, ...)
static const struct row rows[] = {
#include "mail/explanations.def"
};
#undef EXPLAIN
#undef CONNECTION
#undef POP3

#define EXPLAIN(step, code, detail, words, ...)
#define CONNECTION(error, port, ...) {error, port, {__VA_ARGS__}},
#define POP3(step, positive, code, words, ...)
static const struct connection_row connection_rows[] = {
#include "mail/explanations.def"
};
#undef EXPLAIN
#undef CONNECTION
#undef POP3

#define EXPLAIN(step, code, detail, words, ...)
#define CONNECTION(error, port, ...)
#define POP3(step, positive, code, words, ...) {step, positive, code, words, {__VA_ARGS__}},
static const struct pop3_row pop3_rows[] = {
#include "mail/explanations.def"
};
#undef EXPLAIN
#undef CONNECTION
#undef POP3

/* ---- words ---- */

static bool char_in_word(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || (c & 0x80);
}

static bool word_at(struct str text, size_t at, struct str word)
{
    if (at > 0 && char_in_word(word.p[0]) && char_in_word(text.p[at - 1]))
        return false;
    return str_starts_nocase(str_skip(text, at), word);
}

static bool has_word(struct str text, struct str word)
{
    for (size_t at = 0; at + word.n <= text.n; at++)
        if (word_at(text, at, word))
            return true;
    return false;
}

static bool has_all(struct str text, struct str words)
{
    while (words.n > 0)
        if (!has_word(text, str_cut(&words, '&')))
            return false;
    return true;
}

static bool has_words(struct str text, const char *words)
{
    struct str rest = str_c(words);

    if (rest.n == 0)
        return true;
    while (rest.n > 0)
        if (has_all(text, str_cut(&rest, '|')))
            return true;
    return false;
}

/* ---- rows ---- */

static bool step_fits(enum explain_step wanted, enum explain_step step)
{
    return wanted == STEP_ANY || wanted == step;
}

static bool code_fits(uint16_t wanted, const struct status *st)
{
    unsigned class = st->code ? st->code / 100u : st->class;

    if (wanted == CODE_WHATEVER)
        return true;
    if (wanted == 0)
        return class == 4 || class == 5;
    return wanted < CODE_WHATEVER ? wanted == class : wanted == st->code;
}

static bool detail_fits(const char *wanted, struct str detail)
{
    return !*wanted || str_eq_c(detail, wanted);
}

/* "7.1"; "0.0" where the server said none. */
static struct str detail_of(const struct status *st, struct buf *to)
{
    (void)buf_add_u64(to, st->subject);
    (void)buf_add_char(to, '.');
    (void)buf_add_u64(to, st->detail);
    return buf_str(to);
}

static bool says_nothing(const char *remedy)
{
    return str_starts(str_c(remedy), STR("Nothing"));
}

struct explanation explain_reply(enum explain_step step, const struct status *st)
{
    char memory[8];
    struct buf b = {.p = memory, .room = sizeof(memory), .bytes_max = sizeof(memory)};
    struct str detail = detail_of(st, &b);
    const struct reply_row *own = reply_row_of(st);

    if (own && own != &reply_table[REPLY_OK]) /* "ok" may answer anything */
        return (struct explanation){own->cause, NULL,
                                    says_nothing(own->remedy) ? NULL : own->remedy};
    for (size_t i = 0; i < countof(rows); i++) {
        const struct row *r = &rows[i];

        if (step_fits(r->step, step) && code_fits(r->code, st) && detail_fits(r->detail, detail) &&
            has_words(str_c(st->text), r->words))
            return r->explanation;
    }
    check(!"the last row fits all");
    return rows[0].explanation;
}

struct explanation explain_connection(int error, uint16_t port)
{
    size_t i = 0;

    while (!(connection_rows[i].error == -error || connection_rows[i].error == 0) ||
           !(connection_rows[i].port == port || connection_rows[i].port == 0)) {
        i++;
        check(i < countof(connection_rows));
    }
    return connection_rows[i].explanation;
}

struct explanation explain_pop3(enum explain_step step, bool positive, struct str code,
                                struct str text)
{
    for (size_t i = 0; i < countof(pop3_rows); i++) {
        const struct pop3_row *r = &pop3_rows[i];

        if (step_fits(r->step, step) && r->positive == positive &&
            (!*r->code || str_eq_nocase(code, str_c(r->code))) && has_words(text, r->words))
            return r->explanation;
    }
    check(!"the last rows fit all");
    return pop3_rows[0].explanation;
}

/* ---- commands ---- */

enum explain_step explain_step_of(struct str line)
{
    static const struct {
        const char *word;
        enum explain_step step;
    } words[] = {
        {"EHLO", STEP_HELLO},        {"HELO", STEP_HELLO},    {"LHLO", STEP_HELLO},
        {"CAPA", STEP_HELLO},        {"MAIL", STEP_MAIL},     {"SEND", STEP_MAIL},
        {"SOML", STEP_MAIL},         {"SAML", STEP_MAIL},     {"RCPT", STEP_RCPT},
        {"DATA", STEP_DATA},         {"BDAT", STEP_DATA},     {"AUTH", STEP_AUTH},
        {"USER", STEP_AUTH},         {"PASS", STEP_AUTH},     {"APOP", STEP_AUTH},
        {"STARTTLS", STEP_STARTTLS}, {"STLS", STEP_STARTTLS}, {"QUIT", STEP_QUIT},
    };
    struct str word = str_cut_word(&line);

    for (size_t i = 0; i < countof(words); i++)
        if (str_eq_nocase(word, str_c(words[i].word)))
            return words[i].step;
    return STEP_OTHER;
}
