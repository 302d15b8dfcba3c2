/* wire/command.c - one SMTP command line. RFC 5321 4.1.1, 4.1.2.
 *
 * A verb is a row: its word and how its arguments are read. Forgiving means: blanks where the
 * standard has none or one, paths without < > and host names of one label; never a second meaning
 * for something that is legal. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/utf8.h"
#include "wire/smtp.h"

struct input {
    struct str line, rest;
    bool strict;
    struct arena *arena;
    struct parse_error *error;
};

struct verb_row {
    const char *word;
    enum smtp_syntax (*arguments)(struct input *in, struct smtp_command *c);
};

static enum smtp_syntax wrong(struct input *in, enum smtp_syntax kind, const char *text)
{
    *in->error = (struct parse_error){text, in->line.n - in->rest.n};
    return kind;
}

static void skip_blanks(struct str *s)
{
    while (s->n > 0 && char_is_blank(s->p[0]))
        *s = str_skip(*s, 1);
}

static enum smtp_syntax no_arguments(struct input *in, struct smtp_command *c)
{
    skip_blanks(&in->rest);
    if (in->rest.n > 0)
        return wrong(in, SYNTAX_ARGUMENTS, "this command takes no argument");
    return SYNTAX_OK;
}

static enum smtp_syntax any_text(struct input *in, struct smtp_command *c)
{
    c->text = str_trim(in->rest);
    return SYNTAX_OK;
}

static enum smtp_syntax some_text(struct input *in, struct smtp_command *c)
{
    c->text = str_trim(in->rest);
    if (c->text.n == 0)
        return wrong(in, SYNTAX_ARGUMENTS, "what is it about? A name belongs behind the command");
    return SYNTAX_OK;
}

/* VRFY, EXPN: RFC 6531 3.7.4 */
static enum smtp_syntax name_text(struct input *in, struct smtp_command *c)
{
    const struct str word = STR("SMTPUTF8");
    enum smtp_syntax syntax = some_text(in, c);
    size_t at = c->text.n - MIN_OF(word.n, c->text.n);

    if (at > 0 && char_is_blank(c->text.p[at - 1]) && str_ends_nocase(c->text, word)) {
        c->parameters[c->parameter_count++] = (struct smtp_parameter){.key = str_skip(c->text, at)};
        c->text = str_trim(str_sub(c->text, 0, at));
    }
    return syntax;
}

static enum smtp_syntax host_name(struct input *in, struct smtp_command *c)
{
    c->text = str_trim(in->rest);
    if (c->text.n == 0)
        return wrong(in, SYNTAX_ARGUMENTS, "your host name is missing: EHLO host.example.org");
    if (!domain_valid(c->text, !in->strict))
        return wrong(in, SYNTAX_ARGUMENTS,
                     "that is no host name; say EHLO host.example.org or EHLO [192.0.2.1]");
    return SYNTAX_OK;
}

/* RFC 4422 3.1: 1 to 20 of these, here in any case. */
static bool mechanism_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    }
    return s.n > 0 && s.n <= 20;
}

/* RFC 4954 4. Whether the response is base64 is for AUTH to say: it has an answer of its own. */
static enum smtp_syntax login(struct input *in, struct smtp_command *c)
{
    struct str rest = str_trim(in->rest);

    c->mechanism = str_cut_word(&rest);
    if (!mechanism_valid(c->mechanism))
        return wrong(in, SYNTAX_ARGUMENTS, "the form is AUTH PLAIN; EHLO lists the mechanisms");
    if (rest.n > 0)
        c->response = str_cut_word(&rest);
    if (rest.n > 0)
        return wrong(in, SYNTAX_ARGUMENTS, "AUTH takes a mechanism and at most one response");
    return SYNTAX_OK;
}

/* RFC 3030 2: more than 20 digits are no size. What is over 2^64 cannot come either. */
static enum smtp_syntax chunk(struct input *in, struct smtp_command *c)
{
    struct str text = str_trim(in->rest);
    struct str size = str_cut_word(&text);

    c->last_chunk = str_eq_nocase(str_trim(text), STR("LAST"));
    for (size_t i = 0; i < size.n; i++) {
        if (!char_is_digit(size.p[i]))
            size.n = 0;
    }
    if (size.n == 0 || !str_u64(size, &c->chunk_bytes) || (text.n > 0 && !c->last_chunk))
        return wrong(in, SYNTAX_CHUNK, "the form is BDAT 12345 or BDAT 12345 LAST");
    return SYNTAX_OK;
}

/* ---- MAIL and RCPT ---- */

/* RFC 5321 4.1.2: esmtp-keyword, esmtp-value; this with UTF-8, RFC 6531 3.3. */
static bool keyword_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && (s.p[i] != '-' || i == 0))
            return false;
    }
    return s.n > 0;
}

static bool value_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '=')
            return false;
    }
    return s.n > 0 && utf8_valid(s);
}

static bool parameter_parse(struct str word, struct smtp_parameter *ret)
{
    bool has_value = str_find(word, '=') < word.n;

    ret->key = str_cut(&word, '=');
    ret->value = has_value ? word : STR_NONE;
    return keyword_valid(ret->key) && (!has_value || value_valid(ret->value));
}

static bool parameter_given(const struct smtp_command *c, struct str key)
{
    for (size_t i = 0; i < c->parameter_count; i++) {
        if (str_eq_nocase(c->parameters[i].key, key))
            return true;
    }
    return false;
}

static enum smtp_syntax parameters(struct input *in, struct smtp_command *c)
{
    if (in->rest.n > 0 && !char_is_blank(in->rest.p[0]))
        return wrong(in, SYNTAX_PARAMETERS, "a blank belongs between address and parameters");
    for (skip_blanks(&in->rest); in->rest.n > 0; skip_blanks(&in->rest)) {
        struct str after = in->rest;
        struct smtp_parameter p;

        if (c->parameter_count == SMTP_PARAMETERS_MAX)
            return wrong(in, SYNTAX_PARAMETERS, "too many parameters");
        if (!parameter_parse(str_cut_word(&after), &p))
            return wrong(in, SYNTAX_PARAMETERS, "malformed parameter; the form is NAME=value");
        if (parameter_given(c, p.key))
            return wrong(in, SYNTAX_PARAMETERS, "the same parameter twice");
        c->parameters[c->parameter_count++] = p;
        in->rest = after;
    }
    return SYNTAX_OK;
}

/* "FROM:" or "TO:" behind the verb. */
static bool keyword_cut(struct input *in, struct str keyword)
{
    struct str s = in->rest;

    if (s.n == 0 || !char_is_blank(s.p[0]))
        return false;
    s = str_skip(s, 1);
    if (!in->strict)
        skip_blanks(&s);
    if (!str_starts_nocase(s, keyword))
        return false;
    s = str_skip(s, keyword.n);
    if (!in->strict)
        skip_blanks(&s);
    if (!str_starts(s, STR(":")))
        return false;
    in->rest = str_skip(s, 1);
    return true;
}

static enum smtp_syntax path(struct input *in, struct smtp_command *c, unsigned flags,
                             enum smtp_syntax kind)
{
    if (!in->strict) {
        skip_blanks(&in->rest);
        flags |= PATH_LENIENT;
    }

    size_t offset = in->line.n - in->rest.n;

    if (!path_parse(&in->rest, flags, in->arena, &c->path, in->error)) {
        in->error->at += offset;
        return kind;
    }
    return parameters(in, c);
}

static enum smtp_syntax sender(struct input *in, struct smtp_command *c)
{
    if (!keyword_cut(in, STR("FROM")))
        return wrong(in, SYNTAX_ARGUMENTS, "the form is MAIL FROM:<you@your.domain>");
    return path(in, c, PATH_MAY_BE_EMPTY, SYNTAX_SENDER);
}

static enum smtp_syntax recipient(struct input *in, struct smtp_command *c)
{
    if (!keyword_cut(in, STR("TO")))
        return wrong(in, SYNTAX_ARGUMENTS, "the form is RCPT TO:<somebody@some.domain>");
    return path(in, c, PATH_MAY_BE_POSTMASTER, SYNTAX_RECIPIENT);
}

/* RFC 1985 5: a host or domain, @ and a domain for all below it, too, # and the name of a queue.
 * The sign is in the text. */
static enum smtp_syntax node(struct input *in, struct smtp_command *c)
{
    struct str text = str_trim(in->rest);
    bool queue = str_starts(text, STR("#"));
    struct str name = str_skip(text, queue || str_starts(text, STR("@")));
    bool good = name.n > 0 && name.n <= SMTP_NODE_BYTES_MAX;

    for (size_t i = 0; i < name.n && good; i++)
        good = name.p[i] > ' ' && name.p[i] <= '~';
    if (!good || (!queue && !domain_valid(name, true)))
        return wrong(
            in, SYNTAX_ARGUMENTS,
            "the form is ETRN some.domain, or @some.domain for all below it too, or #host");
    c->text = text;
    return SYNTAX_OK;
}

static enum smtp_syntax attributes(struct input *in, struct smtp_command *c)
{
    enum smtp_syntax syntax = parameters(in, c);

    if (syntax == SYNTAX_OK && c->parameter_count == 0)
        return wrong(in, SYNTAX_ARGUMENTS, "the form is XCLIENT ADDR=192.0.2.1 NAME=their.name");
    return syntax;
}

/* ---- the line ---- */

static const struct verb_row verbs[VERB_COUNT] = {
    [VERB_UNKNOWN] = {"", no_arguments},
    [VERB_HELO] = {"HELO", host_name},
    [VERB_EHLO] = {"EHLO", host_name},
    [VERB_LHLO] = {"LHLO", host_name},
    [VERB_MAIL] = {"MAIL", sender},
    [VERB_RCPT] = {"RCPT", recipient},
    [VERB_DATA] = {"DATA", no_arguments},
    [VERB_BDAT] = {"BDAT", chunk},
    [VERB_RSET] = {"RSET", no_arguments},
    [VERB_NOOP] = {"NOOP", any_text},
    [VERB_QUIT] = {"QUIT", no_arguments},
    [VERB_HELP] = {"HELP", any_text},
    [VERB_VRFY] = {"VRFY", name_text},
    [VERB_EXPN] = {"EXPN", name_text},
    [VERB_XCLIENT] = {"XCLIENT", attributes},
    [VERB_SEND] = {"SEND", any_text},
    [VERB_SOML] = {"SOML", any_text},
    [VERB_SAML] = {"SAML", any_text},
    [VERB_TURN] = {"TURN", any_text},
    [VERB_ETRN] = {"ETRN", node},
    [VERB_ONEX] = {"ONEX", any_text},
    [VERB_XUSR] = {"XUSR", any_text},
    [VERB_STARTTLS] = {"STARTTLS", no_arguments},
    [VERB_AUTH] = {"AUTH", login},
};

const char *smtp_verb_word(enum smtp_verb verb)
{
    return verbs[verb].word;
}

enum smtp_verb smtp_verb_find(struct str word)
{
    for (enum smtp_verb v = VERB_UNKNOWN + 1; v < VERB_COUNT; v++) {
        if (str_eq_nocase(word, str_c(verbs[v].word)))
            return v;
    }
    return VERB_UNKNOWN;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

enum smtp_syntax smtp_command_parse(struct str line, bool strict, struct arena *a,
                                    struct smtp_command *ret, struct parse_error *error)
{
    struct input in = {.line = line, .rest = line, .strict = strict, .arena = a, .error = error};

    *ret = (struct smtp_command){.verb = VERB_UNKNOWN, .utf8 = !utf8_is_ascii(line)};
    if (!strict)
        skip_blanks(&in.rest);

    struct str word = in.rest;

    for (word.n = 0; word.n < in.rest.n && !char_is_blank(word.p[word.n]);)
        word.n++;
    ret->word = word;
    ret->verb = smtp_verb_find(word);
    if (ret->verb == VERB_UNKNOWN)
        return wrong(&in, SYNTAX_UNKNOWN_COMMAND, "unknown command, HELP lists them");
    in.rest = str_skip(in.rest, word.n);
    if (has_control(line))
        return wrong(&in, ret->verb == VERB_BDAT ? SYNTAX_CHUNK : SYNTAX_ARGUMENTS,
                     "control characters do not belong into a command");
    return verbs[ret->verb].arguments(&in, ret);
}

enum reply_name smtp_syntax_reply(enum smtp_syntax s)
{
    static const enum reply_name replies[] = {
        [SYNTAX_OK] = REPLY_OK,
        [SYNTAX_UNKNOWN_COMMAND] = REPLY_UNKNOWN_COMMAND,
        [SYNTAX_ARGUMENTS] = REPLY_SYNTAX,
        [SYNTAX_SENDER] = REPLY_SENDER_SYNTAX,
        [SYNTAX_RECIPIENT] = REPLY_RECIPIENT_SYNTAX,
        [SYNTAX_PARAMETERS] = REPLY_SYNTAX,
        [SYNTAX_CHUNK] = REPLY_CHUNK_SYNTAX,
    };

    return replies[s];
}
