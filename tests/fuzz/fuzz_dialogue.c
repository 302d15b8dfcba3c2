/* fuzz_dialogue.c - a next hop that says anything: whatever it offers and answers, each recipient
 * gets exactly one outcome, and nothing is said beyond what its limits allow.
 *
 * The first byte chooses the message, each line of the rest is a reply: a digit for its class and
 * the text, in which | separates lines. With the highest bit set the client logs in: then it is
 * ready only once it was let in, and nothing it shows has the password in it. */
// links: base io mail wire tls sasl client
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/check.h"
#include "client/dialogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS = 5, REPLIES_MAX = 400 };

struct owner {
    size_t result_count[RECIPIENTS];
    size_t end_count, over_count, mail_count, rcpt_count;
};

static void on_ready(void *arg) {}

static void on_result(void *arg, size_t i, const struct status *st)
{
    struct owner *o = arg;

    check(i < RECIPIENTS && st->class >= 2 && st->class <= 5);
    o->result_count[i]++;
}

static void on_message_end(void *arg)
{
    ((struct owner *)arg)->end_count++;
}

static void on_over(void *arg, const struct status *st, bool next_hop_failed)
{
    ((struct owner *)arg)->over_count++;
}

static void on_said(void *arg, struct str line)
{
    struct owner *o = arg;

    if (str_starts(line, STR("MAIL"))) {
        o->mail_count++;
        o->rcpt_count = 0;
    }
    o->rcpt_count += str_starts(line, STR("RCPT"));
    check(str_find_str(line, STR("c2VjcmV0")) == line.n &&
          str_find_str(line, STR("AHMA")) == line.n);
}

static void on_secure(void *arg) {}

static void within_limits(const struct dialogue *d, const struct owner *o)
{
    check(!d->offers.recipients_max || o->rcpt_count <= d->offers.recipients_max);
    check(!d->offers.messages_max || o->mail_count <= d->offers.messages_max);
}

static void reply_once(struct dialogue *d, struct str line)
{
    static const uint16_t codes[] = {250, 354, 220, 421, 450, 550, 552, 221, 334, 235, 535, 504};
    uint16_t code = line.n > 0 ? codes[(unsigned char)line.p[0] % countof(codes)] : 250;
    struct buf text = buf_init(line.n + 1);

    buf_add(&text, str_skip(line, 1));
    for (size_t i = 0; i < text.n; i++)
        text.p[i] = text.p[i] == '|' ? '\n' : text.p[i];
    dialogue_reply(d, code, buf_str(&text));
    buf_free(&text);
    if (d->phase == PHASE_SECURING)
        dialogue_secured(d);
    if (d->phase == PHASE_CONTENT)
        dialogue_content_sent(d);
    buf_reset(&d->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dialogue_events events = {on_ready, on_result, on_message_end,
                                                  on_over,  on_said,   on_secure};
    static const struct str to[RECIPIENTS] = {
        {"a@e", 3}, {"b@e", 3}, {"c\n@e", 4}, {"d@e", 3}, {"я@e", 4}};
    struct str in = str_n((const char *)data, size);
    static const struct sasl_login login = {.user = {"s", 1}, .password = {"secret", 6}};
    static const struct sasl_channel channel = {.service = "smtp", .secured = true};
    struct owner owner = {0};
    struct dialogue d;
    bool sent = false;

    if (size == 0)
        return 0;
    in = str_skip(in, 1);
    dialogue_init(&d, STR("me.example"), data[0] & 8 ? TLS_NONE : TLS_OPPORTUNISTIC, &events,
                  &owner);
    d.lmtp = data[0] & 16;
    if (data[0] & 128) {
        auth_channel(&d.auth, &channel);
        dialogue_login(&d, &login);
    }
    for (size_t i = 0; i < REPLIES_MAX && d.phase != PHASE_OVER; i++) {
        reply_once(&d, str_cut(&in, '\n'));
        check(d.phase < PHASE_READY || d.phase == PHASE_OVER || d.auth.done == d.auth.wanted);
        if (d.phase == PHASE_READY && !sent && dialogue_takes_more(&d)) {
            struct dialogue_message m = {.sender = STR("s@e"),
                                         .recipients = to,
                                         .recipient_count = RECIPIENTS,
                                         .body = (enum body)(data[0] % BODY_COUNT),
                                         .utf8 = (enum message_utf8)((data[0] >> 5) % UTF8_COUNT),
                                         .size = 1000};
            sent = true;
            dialogue_send(&d, &m);
        }
        within_limits(&d, &owner);
        check(owner.end_count <= 1 && owner.over_count <= 1);
    }
    dialogue_lost(&d, &(struct status){.class = 4, .subject = 4, .detail = 2});
    check(owner.end_count == sent);
    for (size_t i = 0; i < RECIPIENTS; i++)
        check(owner.result_count[i] == sent);
    dialogue_free(&d);
    return 0;
}
