// SPDX-License-Identifier: ISC
#include "outward/talk/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/smtp.h"

void exchange_init(struct exchange *x, enum exchange_protocol protocol)
{
    *x = (struct exchange){.protocol = protocol,
                           .partial = buf_init(EXCHANGE_LINE_BYTES_MAX),
                           .sender = buf_init(EXCHANGE_LINE_BYTES_MAX),
                           .recipients = buf_init(EXCHANGE_ENVELOPE_BYTES_MAX),
                           .offers = buf_init(ANSWER_TEXT_BYTES_MAX)};
}

/* ---- what is awaited ---- */

static void push(struct exchange *x, struct awaited a)
{
    if (x->count == EXCHANGE_AWAITED_MAX) { /* nobody waited: the oldest is given up */
        free(x->awaited[x->first].address);
        x->first = (x->first + 1) % EXCHANGE_AWAITED_MAX;
        x->count--;
    }
    x->awaited[(x->first + x->count++) % EXCHANGE_AWAITED_MAX] = a;
}

static struct awaited shift(struct exchange *x)
{
    struct awaited a = x->awaited[x->first];

    x->awaited[x->first].address = NULL;
    x->first = (x->first + 1) % EXCHANGE_AWAITED_MAX;
    x->count--;
    return a;
}

static void forget_awaited(struct exchange *x)
{
    while (x->count > 0)
        free(shift(x).address);
    x->first = 0;
}

static void forget_envelope(struct exchange *x)
{
    x->has_sender = x->binary = false;
    x->recipient_count = 0;
    buf_reset(&x->sender);
    buf_reset(&x->recipients);
}

static void begin(struct exchange *x, bool greeting, uint64_t now_us)
{
    forget_awaited(x);
    forget_envelope(x);
    buf_reset(&x->partial);
    buf_reset(&x->offers);
    x->greeted_back = false;
    x->mode = MODE_COMMANDS;
    x->chunk_left = 0;
    if (greeting)
        push(x, (struct awaited){.step = STEP_GREETING, .gate = true, .since_us = now_us});
}

void exchange_free(struct exchange *x)
{
    forget_awaited(x);
    buf_wipe(&x->partial);
    buf_free(&x->sender);
    buf_free(&x->recipients);
    buf_free(&x->offers);
}

void exchange_connected(struct exchange *x, uint64_t now_us)
{
    x->secured = false;
    begin(x, true, now_us);
}

void exchange_secured(struct exchange *x, bool greeting, uint64_t now_us)
{
    begin(x, greeting, now_us);
    x->secured = true;
}

/* ---- said ---- */

static bool verb_is(const struct awaited *a, const char *verb)
{
    return strcmp(a->verb, verb) == 0;
}

/* RFC 1939 5, RFC 2449 5: which answers have lines, by the number of arguments. */
static bool pop3_lists(const struct awaited *a, struct str arguments)
{
    if (verb_is(a, "LIST") || verb_is(a, "UIDL"))
        return arguments.n == 0;
    return verb_is(a, "RETR") || verb_is(a, "TOP") || verb_is(a, "CAPA");
}

static char *address_of(struct str line)
{
    struct arena arena = ARENA_INIT;
    struct smtp_command c;
    struct parse_error error;
    char *ret = NULL;

    if (smtp_command_parse(line, false, &arena, &c, &error) == SYNTAX_OK) {
        struct str text = address_text(&arena, &c.path);

        ret = mem_copy(text.p, text.n);
    }
    arena_free(&arena);
    return ret;
}

/* For each recipient there will be a verdict in LMTP (RFC 2033 4.2); for none of them one. */
static void await_verdicts(struct exchange *x, struct awaited a)
{
    size_t n = x->protocol == EXCHANGE_LMTP ? MAX_OF(x->recipient_count, (size_t)1) : 1;

    a.step = STEP_CONTENT;
    for (size_t i = 0; i < n; i++)
        push(x, a);
}

/* "BDAT 86 LAST" */
static bool begin_chunk(struct exchange *x, struct str arguments, bool *last)
{
    uint64_t n;

    if (!str_u64(str_cut_word(&arguments), &n))
        return false;
    *last = str_eq_nocase(str_trim(arguments), STR("LAST"));
    x->chunk_left = n;
    if (n > 0)
        x->mode = MODE_CHUNK;
    return true;
}

static void said_command(struct exchange *x, struct str line, uint64_t now_us)
{
    struct awaited a = {.step = explain_step_of(line), .since_us = now_us};
    struct str arguments = line;
    struct str verb = str_cut_word(&arguments);
    bool last = false;

    for (size_t i = 0; i < verb.n && i < EXCHANGE_VERB_BYTES_MAX; i++) {
        char c = char_lower(verb.p[i]);
        a.verb[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    a.gate = verb_is(&a, "DATA") || verb_is(&a, "AUTH") || a.step == STEP_STARTTLS;
    if (x->protocol == EXCHANGE_POP3)
        a.lists = pop3_lists(&a, str_trim(arguments));
    else if (a.step == STEP_MAIL || a.step == STEP_RCPT)
        a.address = address_of(line);
    if (a.step == STEP_MAIL)
        x->binary = str_find_str(line, STR("BINARYMIME")) < line.n;
    if (verb_is(&a, "BDAT") && begin_chunk(x, arguments, &last) && last)
        await_verdicts(x, a);
    else
        push(x, a);
}

static void said_line(struct exchange *x, struct str line, uint64_t now_us)
{
    if (x->mode == MODE_LOGIN) {
        push(x,
             (struct awaited){.step = STEP_AUTH, .gate = true, .since_us = now_us, .verb = "AUTH"});
        x->mode = MODE_COMMANDS; /* until the next challenge */
    } else if (x->mode == MODE_COMMANDS) {
        said_command(x, line, now_us);
    } else if (str_eq_c(line, ".")) {
        x->mode = MODE_COMMANDS;
        await_verdicts(x, (struct awaited){.since_us = now_us});
    }
}

static struct str said_chunk(struct exchange *x, struct str bytes, uint64_t now_us)
{
    size_t n = (size_t)MIN_OF(x->chunk_left, (uint64_t)bytes.n);

    x->chunk_left -= n;
    if (x->chunk_left == 0) {
        x->mode = MODE_COMMANDS;
        for (size_t i = 0; i < x->count; i++) /* the answer counts from the last octet */
            x->awaited[(x->first + i) % EXCHANGE_AWAITED_MAX].since_us = now_us;
    }
    return str_skip(bytes, n);
}

void exchange_said(struct exchange *x, struct str bytes, uint64_t now_us)
{
    while (bytes.n > 0) {
        if (x->mode == MODE_CHUNK) {
            bytes = said_chunk(x, bytes, now_us);
            continue;
        }
        size_t end = str_find(bytes, '\n');

        (void)buf_add(&x->partial,
                      str_sub(bytes, 0, MIN_OF(end, x->partial.bytes_max - x->partial.n)));
        if (end == bytes.n)
            return;
        struct str line = buf_str(&x->partial);

        if (str_ends(line, STR("\r")))
            line.n--;
        said_line(x, line, now_us);
        buf_reset(&x->partial);
        bytes = str_skip(bytes, end + 1);
    }
}

/* ---- heard ---- */

static void heard_hello(struct exchange *x, const struct answer_reader *answer)
{
    struct str text = buf_str(&answer->text);

    (void)str_cut(&text, '\n');
    buf_reset(&x->offers);
    (void)buf_add(&x->offers, text);
    x->greeted_back = true;
    forget_envelope(x);
}

static void heard_address(struct exchange *x, const struct awaited *a)
{
    struct str address = str_c(a->address);

    if (a->step == STEP_MAIL) {
        bool binary = x->binary;

        forget_envelope(x);
        x->binary = binary;
        x->has_sender = true;
        (void)buf_add(&x->sender, address);
        return;
    }
    x->recipient_count++;
    if (a->address) {
        (void)buf_add(&x->recipients, address);
        (void)buf_add_char(&x->recipients, '\n');
    }
}

static void heard_positive(struct exchange *x, const struct awaited *a,
                           const struct answer_reader *answer)
{
    bool more =
        answer->kind == ANSWER_CHALLENGE || (answer->kind == ANSWER_CODE && answer->code >= 300);

    if (a->step == STEP_HELLO && !more)
        heard_hello(x, answer);
    else if ((a->step == STEP_MAIL || a->step == STEP_RCPT) && x->protocol != EXCHANGE_POP3)
        heard_address(x, a);
    else if (a->step == STEP_AUTH && more)
        x->mode = MODE_LOGIN;
    else if (a->step == STEP_DATA && more)
        x->mode = MODE_CONTENT;
    else if (verb_is(a, "RSET") && x->protocol != EXCHANGE_POP3)
        forget_envelope(x);
}

struct heard exchange_heard(struct exchange *x, const struct answer_reader *answer, uint64_t now_us)
{
    bool positive = answer_positive(answer);

    if (x->count == 0)
        return (struct heard){.unasked = true};
    struct awaited a = shift(x);
    struct heard ret = {.step = a.step, .us = now_us - a.since_us};

    memcpy(ret.verb, a.verb, sizeof(ret.verb));
    if (positive)
        heard_positive(x, &a, answer);
    if (a.step == STEP_CONTENT && x->count == 0)
        forget_envelope(x);
    ret.secures = a.step == STEP_STARTTLS && positive;
    ret.gate_refused = a.gate && !positive;
    free(a.address);
    return ret;
}

/* ---- questions ---- */

bool exchange_holds(const struct exchange *x)
{
    if (x->count >= EXCHANGE_AWAITED_MAX / 2)
        return true;
    for (size_t i = 0; i < x->count; i++)
        if (x->awaited[(x->first + i) % EXCHANGE_AWAITED_MAX].gate)
            return true;
    return false;
}

bool exchange_awaits(const struct exchange *x)
{
    return x->count > 0;
}

bool exchange_lists(const struct exchange *x)
{
    return x->count > 0 && x->awaited[x->first].lists;
}

bool exchange_in_login(const struct exchange *x)
{
    if (x->mode == MODE_LOGIN)
        return true;
    return x->count > 0 &&
           strcmp(x->awaited[(x->first + x->count - 1) % EXCHANGE_AWAITED_MAX].verb, "AUTH") == 0;
}

bool exchange_offers(const struct exchange *x, const char *name, struct str *ret)
{
    struct str rest = buf_str(&x->offers), wanted = str_c(name);

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        struct str word = str_sub(line, 0, wanted.n);

        if (str_eq_nocase(word, wanted) &&
            (line.n == wanted.n || line.p[wanted.n] == ' ' || line.p[wanted.n] == '=')) {
            *ret = str_trim(str_skip(line, wanted.n + 1));
            return true;
        }
    }
    return false;
}
