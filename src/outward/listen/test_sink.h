/* listen/test_sink.h - for tests and fuzzers: a session of the sink without a socket. What it says,
 * tells and takes is written down; odd answers are said at once. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "outward/listen/sink.h"

struct test_sink {
    struct sink_options options;
    struct str offers[SINK_OFFERS_MAX];
    struct misbehave misbehave;
    struct arena arena;
    struct sink *sink;
    struct buf in;      /* heard and not used */
    struct buf said;    /* everything, as it goes over the wire */
    struct buf told;    /* ids of findings, with blanks between */
    struct buf content; /* of all messages */
    struct buf taken;   /* "+" for each message accepted, "-" refused, "/" half */
    struct buf logins;
    enum then ended; /* THEN_ON: not yet */
    size_t begun, over;
    bool has_secret; /* the word "secret" is a password: it is never shown */
};

static inline void test_sink_line(void *arg, bool sent, struct str line)
{
    const struct test_sink *t = arg;

    if (t->has_secret)
        check(str_find_str(line, STR("secret")) == line.n);
}

static inline void test_sink_found(void *arg, enum finding what, struct str detail)
{
    struct test_sink *t = arg;

    check(detail.n <= 400);
    if (finding_table[what].severity > SEVERITY_NOTE)
        buf_printf(&t->told, "%s%s", t->told.n > 0 ? " " : "", finding_table[what].id);
}

static inline void test_sink_name(void *arg, struct str name) {}

static inline void test_sink_login(void *arg, const char *mechanism, struct str user, bool accepted)
{
    struct test_sink *t = arg;

    buf_printf(&t->logins, "%s %.*s %s;", mechanism, STR_ARG(user), accepted ? "yes" : "no");
}

static inline void test_sink_begin(void *arg)
{
    struct test_sink *t = arg;

    check(t->begun == t->over);
    t->begun++;
}

static inline void test_sink_content(void *arg, struct str bytes)
{
    struct test_sink *t = arg;

    check(t->begun == t->over + 1);
    buf_add(&t->content, bytes);
}

static inline void test_sink_message(void *arg, const struct sink_message *m)
{
    struct test_sink *t = arg;

    t->over++;
    check(t->begun == t->over);
    check(!m->accepted || m->whole);
    check(m->recipient_count > 0);
    buf_add_char(&t->taken, m->accepted ? '+' : m->whole ? '-' : '/');
}

static const struct sink_events test_sink_events = {
    test_sink_line,  test_sink_found,   test_sink_name,    test_sink_login,
    test_sink_begin, test_sink_content, test_sink_message,
};

/* offers: with commas; NULL: the usual ones. rules: with ; between, or "". */
static inline void test_sink_open(struct test_sink *t, const char *offers, const char *rules,
                                  bool lmtp, const char *password)
{
    struct str rest = str_c(offers ? offers : sink_usual_offers), rule = str_c(rules);
    struct buf error = buf_init(512);

    *t = (struct test_sink){.in = buf_init(MIB),
                            .said = buf_init(16 * MIB),
                            .told = buf_init(64 * KIB),
                            .content = buf_init(MIB),
                            .taken = buf_init(64 * KIB),
                            .logins = buf_init(64 * KIB)};
    t->options = (struct sink_options){.hostname = STR("sink.test"),
                                       .lmtp = lmtp,
                                       .offers = t->offers,
                                       .tls_can = true,
                                       .password = str_c(password),
                                       .misbehave = &t->misbehave};
    while (rest.n > 0)
        t->offers[t->options.offer_count++] = str_trim(str_cut(&rest, ','));
    while (rule.n > 0)
        check(misbehave_add(&t->misbehave, &t->arena, str_cut(&rule, ';'), &error));
    t->sink = sink_new(&t->options, &(struct sink_client){.ip = STR("192.0.2.7")},
                       &test_sink_events, t, UINT64_C(1795773600) * US_PER_S);
}

/* Says what is to be said; TLS is up at once. */
static inline void test_sink_say(struct test_sink *t)
{
    const struct saying *y;

    while (t->ended == THEN_ON && (y = sink_saying(t->sink)) != NULL) {
        enum then then = y->then;
        bool endless = y->again.n > 0;

        buf_add(&t->said, buf_str(&y->plain));
        buf_add(&t->said, buf_str(&y->odd));
        if (endless) {
            t->ended = THEN_HANG_UP; /* whoever hears it hangs up */
            sink_over(t->sink, SINK_END_CLIENT, 1);
            return;
        }
        sink_said(t->sink);
        if (then == THEN_TLS)
            sink_secured(t->sink, STR("TLSv1.3"), STR("sink.test"));
        else
            t->ended = then;
    }
}

static inline void test_sink_feed(struct test_sink *t, struct str in)
{
    size_t used = 1;

    buf_add(&t->in, in);
    while (t->in.n > 0 && used > 0 && t->ended == THEN_ON) {
        used = sink_feed(t->sink, buf_str(&t->in), UINT64_C(1795773600) * US_PER_S);
        check(used <= t->in.n);
        buf_drop_front(&t->in, used);
        if (sink_saying(t->sink)) {
            test_sink_say(t);
            used = 1;
        }
    }
}

static inline void test_sink_close(struct test_sink *t)
{
    sink_free(&t->sink);
    free(t->misbehave.rules);
    arena_free(&t->arena);
    buf_free(&t->in);
    buf_free(&t->said);
    buf_free(&t->told);
    buf_free(&t->content);
    buf_free(&t->taken);
    buf_free(&t->logins);
}
