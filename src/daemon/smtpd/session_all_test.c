/* smtpd/session_all_test.c - the session tried completely: every sequence of up to ten events, the
 * facts of each phase checked after each.
 *
 * A step that changes nothing but the answer is not followed further: what could come after it
 * comes after the shorter sequence too. The name of the client multiplies what can happen, so with
 * it sequences are shorter; so they are in LMTP, with chunks, with XCLIENT, with logins, and for
 * somebody who has logged in, whose sender and From are asked about and whose recipients are
 * counted. AddressSanitizer makes each step several times as long; under it all of them are one
 * event shorter, as other builds walk the whole. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/smtpd/fake_world.h"
#include "daemon/smtpd/state.h"

enum { EVENTS_MAX = 9, CHUNK_EVENTS = 2 };
#ifdef __SANITIZE_ADDRESS__
enum { EVENTS_LESS = 1 };
#else
enum { EVENTS_LESS = 0 };
#endif

static const struct world {
    size_t events_max;
    bool names, lmtp, xclient, logins, account, chunks;
} worlds[] = {
    {.events_max = 9},
    {.events_max = 8, .names = true},
    {.events_max = 8, .lmtp = true},
    {.events_max = 7, .names = true, .xclient = true},
    {.events_max = 7, .logins = true},
    {.events_max = 7, .account = true},
    {.events_max = 7, .chunks = true},
    {.events_max = 6, .chunks = true, .names = true},
    {.events_max = 7, .chunks = true, .lmtp = true},
    {.events_max = 5, .chunks = true, .account = true},
};
static const struct world *world;
static size_t promises; /* how often "accepted" is to be heard */

/* ---- events: what the client says ---- */

static void says(struct fake_world *f, const char *text, struct buf *out)
{
    buf_add_c(&f->in, text);
    fake_take(f, out);
}

static void ehlo(struct fake_world *f, struct buf *out)
{
    says(f, world->lmtp ? "LHLO me.example\r\n" : "EHLO me.example\r\n", out);
}
static void mail(struct fake_world *f, struct buf *out)
{
    says(f, "MAIL FROM:<a@b.example>\r\n", out);
}
static void vrfy(struct fake_world *f, struct buf *out)
{
    says(f, "VRFY alice\r\n", out);
}
static void rcpt(struct fake_world *f, struct buf *out)
{
    says(f, "RCPT TO:<alice@local.example>\r\n", out);
}
static void data(struct fake_world *f, struct buf *out)
{
    says(f, "DATA\r\n", out);
}
static void dot(struct fake_world *f, struct buf *out)
{
    says(f, f->account.n > 0 ? "From: sales@local.example\r\n.\r\n" : ".\r\n", out);
}
static void bare(struct fake_world *f, struct buf *out)
{
    says(f, "a\nb\r\n", out);
}
static void chunk(struct fake_world *f, struct buf *out)
{
    says(f, "BDAT 2\r\nx\r", out); /* whether the CR is bare, the next one tells */
}
static void last(struct fake_world *f, struct buf *out)
{
    says(f, "BDAT 1 LAST\r\n\n", out);
}
static void rset(struct fake_world *f, struct buf *out)
{
    says(f, "RSET\r\n", out);
}
static void auth(struct fake_world *f, struct buf *out)
{
    says(f, "AUTH LOGIN\r\n", out);
}
static void open_word(struct fake_world *f, struct buf *out)
{
    says(f, "b3Blbg==\r\n", out);
}
static void star(struct fake_world *f, struct buf *out)
{
    says(f, "*\r\n", out);
}
static void quit(struct fake_world *f, struct buf *out)
{
    says(f, "QUIT\r\n", out);
}
static void xclient(struct fake_world *f, struct buf *out)
{
    says(f, "XCLIENT ADDR=IPV6:::1 HELO=real.example\r\n", out);
}
static void xclient_last(struct fake_world *f, struct buf *out)
{
    says(f, "XCLIENT ADDR=192.0.2.7\r\n", out);
}

/* ---- and what the world does ---- */

static void answer_yes(struct fake_world *f, struct buf *out)
{
    size_t each = world->lmtp && f->complete ? f->session->txn->accepted_count : 1;

    promises += f->complete ? each : 0;
    if (fake_answer(f, out))
        fake_take(f, out);
}

static void answer_no(struct fake_world *f, struct buf *out)
{
    struct status st = reply_status(REPLY_NO_SUCH_USER, STR("alice"));

    if (f->login_asked) {
        st = reply_status(REPLY_LOGIN_REFUSED, STR_NONE);
        f->login_asked = f->login_begun = false;
        session_login_done(f->session, &st, STR("alice"), STR("test"), out);
    } else if (f->owner_asked || f->verify_asked) {
        f->owner_asked = f->verify_asked = false;
        session_told(f->session, &st, STR_NONE, STR("a@b.example"), out);
    } else if (f->limit_asked) {
        st = reply_status(REPLY_LOGIN_LIMIT, STR("limit reached"));
        f->limit_asked = false;
        session_limited(f->session, &st, out);
    } else if (f->asked) {
        f->asked = false;
        session_routed(f->session, &st, STR_NONE, out);
    } else if (f->putting) { /* also in the middle of a message */
        st = reply_status(REPLY_DISK_FULL, STR_NONE);
        f->putting = f->complete = false;
        session_stored(f->session, &st, (struct id){0}, out);
    }
    fake_take(f, out);
}

static void spill(struct fake_world *f, struct buf *out)
{
    session_spill(f->session);
}

static void named(struct fake_world *f, struct buf *out)
{
    session_named(f->session, STR("me.example"), STR_NONE, out);
    fake_take(f, out);
}

static void late(struct fake_world *f, struct buf *out)
{
    f->now_us += 6 * US_PER_S;
    session_tick(f->session, out);
    fake_take(f, out);
}

static void stop(struct fake_world *f, struct buf *out)
{
    session_stop(f->session, out);
}

static void (*const events[])(struct fake_world *f, struct buf *out) = {
    ehlo,       mail,      rcpt,         data,  dot,   bare, rset, quit,
    answer_yes, answer_no, spill,        named, late,  stop, auth, open_word,
    star,       xclient,   xclient_last, vrfy,  chunk, last, /* at the end: CHUNK_EVENTS */
};

/* ---- all of them ---- */

struct facts { /* everything that decides what can happen next */
    int phase, waiting;
    int naming, name_due, may_xclient, helo_told;
    int challenged, logged_in;
    size_t accepted, recipients, content, held, unsent;
    int limited, authors_known, expanding;
    int line_spoiled, dot_state, chunk_state, spoiled, begun, ended, refused, stopping, extended;
};

static struct facts facts_of(const struct fake_world *f)
{
    const struct session *s = f->session;
    const struct txn *t = s->txn;
    struct facts facts;

    memset(&facts, 0, sizeof facts);
    facts.phase = s->phase;
    facts.waiting = s->waiting;
    facts.stopping = s->stopping;
    facts.naming = s->naming;
    facts.may_xclient = s->may_xclient;
    facts.helo_told = s->xclient_helo != NULL;
    facts.name_due = name_is_due(s);
    facts.challenged = s->attempt && s->attempt->challenged;
    facts.logged_in = s->account[0] != '\0';
    facts.line_spoiled = s->lines.spoiled;
    facts.chunk_state = s->chunk.open + 2 * (s->chunk.refusal != NULL);
    facts.unsent = s->waiting == FOR_CLIENT ? f->in.n : 0;
    if (t) {
        facts.limited = t->limited;
        facts.authors_known = t->authors_known;
        facts.accepted = t->accepted_count;
        facts.recipients = t->recipients.count;
        facts.content = t->content_bytes;
        facts.held = t->content.n;
        facts.dot_state = t->dot.state;
        facts.chunk_state += 4 * t->chunked + 8 * t->chunks.saw_cr;
        facts.spoiled = t->dot.spoiled;
        facts.begun = t->begun;
        facts.ended = t->ended;
        facts.refused = t->refusal != NULL;
    }
    return facts;
}

static size_t count_of(struct str text, struct str what)
{
    size_t count = 0;

    for (size_t at; (at = str_find_str(text, what)) < text.n; count++)
        text = str_skip(text, at + what.n);
    return count;
}

static size_t sequences, steps;

/* Runs a sequence from the start. True: its last event changed something. */
static bool run(const size_t *sequence, size_t count)
{
    struct fake_world f;
    struct buf out = buf_init(64 * KIB);
    struct facts before, after;

    fake_init(&f);
    f.config.errors_max = 1000;
    f.config.dns.reverse_names = world->names;
    f.config.login_recipient_count = 1;
    f.account = world->account ? STR("a@local.example") : STR_NONE;
    f.may_xclient = world->xclient;
    f.listen.protocol = world->lmtp ? STR("lmtp") : STR("smtp");
    f.listen.auth = world->logins ? STR("required") : STR("off");
    f.listen.plain_auth = true;
    promises = 0;
    fake_connect(&f, STR("192.0.2.1"), false, &out);
    after = facts_of(&f);
    for (size_t i = 0; i < count; i++) {
        before = after;
        events[sequence[i]](&f, &out);
        session_check(f.session);
        check(!world->logins || !(f.session->phase & IN_TXN) || f.session->account[0]);
        check(session_waits(f.session) == (f.asked || f.login_asked || f.complete ||
                                           f.owner_asked || f.verify_asked || f.limit_asked ||
                                           f.session->waiting == FOR_NAME));
        after = facts_of(&f);
    }
    /* Every promise was kept, and none was made for nothing. */
    check(count_of(buf_str(&out), STR("250 2.0.0 accepted")) == promises);
    check(world->lmtp || promises == f.stored_count);
    fake_done(&f);
    buf_free(&out);
    steps += count;
    return count == 0 || memcmp(&before, &after, sizeof before) != 0;
}

static void follow(size_t *sequence, size_t count)
{
    sequences++;
    if (!run(sequence, count) || count == world->events_max - EVENTS_LESS)
        return;
    for (size_t i = 0; i < countof(events) - (world->chunks ? 0 : CHUNK_EVENTS); i++) {
        sequence[count] = i;
        follow(sequence, count + 1);
    }
}

static void every_sequence(void **state)
{
    size_t sequence[EVENTS_MAX];

    for (world = worlds; world < worlds + countof(worlds); world++)
        follow(sequence, 0);
    print_message("%zu sequences, %zu steps\n", sequences, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_sequence)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
