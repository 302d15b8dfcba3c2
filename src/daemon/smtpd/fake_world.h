/* smtpd/fake_world.h - router, queue and clock for tests of the session; a header only, because a
 * test program is one file.
 *
 * Local mailboxes: alice, bob and postmaster at local.example (and postmaster at the host itself);
 * staff is alice and bob, far an alias that leads elsewhere, all a list that is too long;
 * "later@local.example" cannot be looked up now; everything else is elsewhere. Logins: whatever
 * the mechanism, what the client says comes back as a challenge, but "open" (it is
 * alice@local.example), "no" (535) and "wait" (454). It check()s what the session promises its
 * world. */
// SPDX-License-Identifier: ISC
#pragma once

#include <string.h>

#include "base/check.h"
#include "daemon/smtpd/session.h"
#include "ipc/message.h"
#include "mail/envelope.h"

enum { FAKE_CONTENT_BYTES_MAX = 4 * 1024 * 1024 };

struct fake_world {
    struct clock clock; /* first: the clock functions find the rest behind it */
    uint64_t now_us;
    struct session_world world;
    struct config config;
    struct config_listen listen; /* tls empty: it has none */
    bool may_xclient;
    bool tls_away;
    struct session *session;

    bool name_asked, name_away; /* what it is called; nobody can be asked for that */
    bool login_begun, login_asked, login_away;
    struct buf login_response;

    bool asked, may_relay; /* a question to the router is open */
    struct buf recipient;
    bool router_away;

    bool owner_asked, verify_asked, limit_asked, etrn_asked; /* one of them is open */
    struct buf policy;                                       /* what is asked */
    struct str account;                                      /* has logged in at the start */
    size_t limit;                                            /* recipients in all, 0: any number */
    size_t held, sent;                                       /* of them, kept and used */

    bool putting, complete; /* a message is on its way in */
    struct buf envelope, prefix, content;
    uint64_t unacknowledged_bytes;
    bool queue_away, queue_full, queue_fails, credits_late, tight;

    size_t stored_count, note_count, abort_count; /* of the last stored: */
    struct buf stored_envelope, stored_prefix, stored_content;
    struct buf in; /* what the client has sent and the session has not taken */
};

/* It moves on whenever somebody looks, as a real one does. */
static inline uint64_t fake_now(const struct clock *c)
{
    struct fake_world *f = (void *)(uintptr_t)c;
    return f->now_us++;
}

static inline bool fake_name_ask(void *arg, struct str ip)
{
    struct fake_world *f = arg;

    check(ip.n > 0); /* again when XCLIENT told another address */
    f->name_asked = !f->name_away;
    return f->name_asked;
}

static inline bool fake_route_ask(void *arg, bool may_relay, struct str sender,
                                  struct str recipient)
{
    struct fake_world *f = arg;

    check(!f->asked && !f->putting);
    if (f->router_away)
        return false;
    f->asked = true;
    f->may_relay = may_relay;
    buf_reset(&f->recipient);
    buf_add(&f->recipient, recipient);
    return true;
}

static inline bool fake_login_ask(void *arg, const struct session_login *ask)
{
    struct fake_world *f = arg;

    check(!f->login_asked && f->login_begun == (ask->mechanism.n == 0));
    if (f->login_away) {
        f->login_begun = false;
        return false;
    }
    f->login_begun = f->login_asked = true;
    buf_reset(&f->login_response);
    buf_add(&f->login_response, ask->has_response ? ask->response : STR("?"));
    return true;
}

static inline void fake_login_cancel(void *arg)
{
    struct fake_world *f = arg;

    f->login_begun = f->login_asked = false;
}

static inline bool fake_policy_ask(struct fake_world *f, bool *which, struct str text)
{
    check(!f->asked && !f->owner_asked && !f->verify_asked && !f->limit_asked && !f->etrn_asked &&
          !f->complete);
    if (f->router_away)
        return false;
    *which = true;
    buf_reset(&f->policy);
    return buf_add(&f->policy, text);
}

static inline bool fake_owner_ask(void *arg, struct str login, struct str addresses)
{
    struct fake_world *f = arg;

    check(login.n > 0 && addresses.n > 0);
    f->account = login;
    return fake_policy_ask(f, &f->owner_asked, addresses);
}

static inline bool fake_verify_ask(void *arg, bool may_relay, struct str text)
{
    struct fake_world *f = arg;

    f->may_relay = may_relay;
    return fake_policy_ask(f, &f->verify_asked, text);
}

static inline bool fake_limit_ask(void *arg, struct str login, uint32_t recipients)
{
    struct fake_world *f = arg;

    check(login.n > 0 && recipients > 0 && !f->putting);
    if (f->queue_away)
        return false;
    f->held = recipients; /* or it stays what it was, see fake_answer_policy */
    f->limit_asked = true;
    return true;
}

static inline void fake_limit_end(void *arg)
{
    struct fake_world *f = arg;

    check(!f->limit_asked);
    f->held = 0;
}

static inline bool fake_etrn_ask(void *arg, struct str node)
{
    struct fake_world *f = arg;

    check(node.n > 0 && !f->putting);
    if (f->queue_away)
        return false;
    f->etrn_asked = true;
    buf_reset(&f->policy);
    return buf_add(&f->policy, node);
}

static inline void fake_policy_cancel(void *arg)
{
    struct fake_world *f = arg;

    check(f->owner_asked + f->verify_asked + f->limit_asked + f->etrn_asked == 1);
    f->owner_asked = f->verify_asked = f->limit_asked = f->etrn_asked = false;
}

static inline bool fake_put(void *arg, const struct session_put *p)
{
    struct fake_world *f = arg;

    check(!f->asked && !f->complete && p->begin == !f->putting);
    check(p->content.n <= PUT_CHUNK_BYTES && (p->envelope.n > 0) == p->begin);
    check((p->recipients.n > 0) == p->begin);
    check((p->prefix.n > 0) == p->end);
    if (f->queue_away)
        return false;
    if (p->begin) {
        buf_reset(&f->content);
        buf_reset(&f->envelope);
        buf_add(&f->envelope, p->envelope);
        buf_add(&f->envelope, p->recipients);
        f->unacknowledged_bytes = 0;
    }
    buf_add(&f->content, p->content);
    f->unacknowledged_bytes += p->content.n;
    check(f->unacknowledged_bytes <= PUT_WINDOW_BYTES && !f->content.full);
    f->putting = true;
    f->complete = p->end;
    if (p->end) {
        check(p->size == f->content.n);
        buf_reset(&f->prefix);
        buf_add(&f->prefix, p->prefix);
    }
    return true;
}

static inline void fake_cancel(void *arg)
{
    struct fake_world *f = arg;

    check(f->asked || f->putting);
    f->abort_count += f->putting;
    f->asked = f->putting = f->complete = false;
}

static inline bool fake_refuses(void *arg, struct status *ret)
{
    struct fake_world *f = arg;

    if (f->queue_full)
        *ret = reply_status(REPLY_DISK_FULL, STR_NONE);
    else if (f->queue_away)
        *ret = reply_status(REPLY_NOT_STORED, STR_NONE);
    return f->queue_full || f->queue_away;
}

/* 192.0.2.66 has too many sessions, 198.51.100.7 is one of our own, ::1 may use XCLIENT. */
static inline enum reply_name fake_moved(void *arg, const struct sock_address *to,
                                         struct session_rights *ret)
{
    struct buf ip = buf_init(64);

    if (to)
        sock_address_print_ip(&ip, to);
    ret->may_relay = str_eq_c(buf_str(&ip), "198.51.100.7");
    ret->may_xclient = str_eq_c(buf_str(&ip), "::1");

    enum reply_name r =
        str_eq_c(buf_str(&ip), "192.0.2.66") ? REPLY_TOO_MANY_FROM_YOU : REPLY_GREETING;

    buf_free(&ip);
    return r;
}

static inline bool fake_tight(void *arg)
{
    return ((struct fake_world *)arg)->tight;
}

static inline void fake_note(void *arg, struct str line)
{
    struct fake_world *f = arg;

    check(line.n > 0 && str_find(line, '\n') == line.n);
    f->note_count++;
}

static inline bool fake_tls_can(void *arg)
{
    return !((struct fake_world *)arg)->tls_away;
}

static inline void fake_init(struct fake_world *f)
{
    *f = (struct fake_world){
        .clock = {.now_us = fake_now, .monotonic_us = fake_now},
        .now_us = UINT64_C(1795197850000000), /* 2026-11-20T18:04:10Z */
        .world = {.name_ask = fake_name_ask,
                  .route_ask = fake_route_ask,
                  .login_ask = fake_login_ask,
                  .login_cancel = fake_login_cancel,
                  .owner_ask = fake_owner_ask,
                  .verify_ask = fake_verify_ask,
                  .limit_ask = fake_limit_ask,
                  .limit_end = fake_limit_end,
                  .etrn_ask = fake_etrn_ask,
                  .policy_cancel = fake_policy_cancel,
                  .put = fake_put,
                  .cancel = fake_cancel,
                  .refuses = fake_refuses,
                  .moved = fake_moved,
                  .tight = fake_tight,
                  .tls_can = fake_tls_can,
                  .note = fake_note},
        .config = {.hostname = STR("mx.local.example"),
                   .tls = {.certificate = STR("/cert.pem")},
                   .login_senders = STR("own"),
                   .vrfy = STR("logged-in"),
                   .expn = STR("logged-in"),
                   .etrn = STR("logged-in"),
                   .message_bytes_max = 1000000,
                   .recipients_max = 100,
                   .errors_max = 10,
                   .hops_max = 50,
                   .idle_timeout_us = 300 * US_PER_S,
                   .session_timeout_us = 3600 * US_PER_S},
        .listen = {.protocol = STR("smtp"),
                   .auth = STR("off"),
                   .scram = STR("default"),
                   .login_senders = STR("default")},
        .login_response = buf_init(16 * KIB),
        .recipient = buf_init(KIB),
        .policy = buf_init(64 * KIB),
        .envelope = buf_init(MIB),
        .prefix = buf_init(16 * KIB),
        .content = buf_init(FAKE_CONTENT_BYTES_MAX),
        .stored_envelope = buf_init(MIB),
        .stored_prefix = buf_init(16 * KIB),
        .stored_content = buf_init(FAKE_CONTENT_BYTES_MAX),
        .in = buf_init(FAKE_CONTENT_BYTES_MAX),
    };
    f->world.clock = &f->clock;
}

static inline void fake_done(struct fake_world *f)
{
    session_free(&f->session);
    check(!f->asked && !f->putting && !f->login_begun); /* freeing cancels what is open */
    check(!f->owner_asked && !f->verify_asked && !f->limit_asked && !f->etrn_asked);
    check(f->held == 0);

    struct buf *all[] = {&f->login_response, &f->recipient, &f->policy,          &f->envelope,
                         &f->prefix,         &f->content,   &f->stored_envelope, &f->stored_prefix,
                         &f->stored_content, &f->in};
    for (size_t i = 0; i < countof(all); i++)
        buf_free(all[i]);
}

/* ---- answers ---- */

static inline bool fake_is_mailbox(struct str recipient)
{
    static const char *const mailboxes[] = {"alice@local.example", "bob@local.example",
                                            "postmaster@local.example",
                                            "postmaster@mx.local.example"};

    for (size_t i = 0; i < countof(mailboxes); i++) {
        if (str_eq_nocase(recipient, str_c(mailboxes[i])))
            return true;
    }
    return false;
}

static inline enum reply_name fake_route(struct str recipient, bool may_relay, struct target *ret)
{
    struct str local = str_sub(recipient, 0, str_find_last(recipient, '@'));
    bool ours = str_ends_nocase(recipient, STR("@local.example"));

    *ret = (struct target){TRANSPORT_LOCAL, recipient, recipient, STR("test")};
    if (fake_is_mailbox(recipient))
        return REPLY_OK;
    if (str_eq_c(recipient, "later@local.example"))
        return REPLY_ROUTER_AWAY;
    if (str_find(local, '%') < local.n || str_find(local, '!') < local.n ||
        str_find(local, '@') < local.n)
        return REPLY_ROUTING_SYNTAX;
    if (ours)
        return REPLY_NO_SUCH_USER;
    if (!may_relay)
        return REPLY_RELAY_DENIED;
    ret->transport = TRANSPORT_RELAY;
    ret->next_hop = STR("next.example:25");
    return REPLY_OK;
}

static inline void fake_answer_route(struct fake_world *f, struct buf *out)
{
    struct buf targets = buf_init(4 * KIB);
    struct target target;
    enum reply_name r = fake_route(buf_str(&f->recipient), f->may_relay, &target);
    struct status st = reply_status(r, buf_str(&f->recipient));

    target_encode(&targets, &target);
    f->asked = false;
    session_routed(f->session, &st, r == REPLY_OK ? buf_str(&targets) : STR_NONE, out);
    buf_free(&targets);
}

static inline void fake_answer_login(struct fake_world *f, struct buf *out)
{
    static const struct {
        const char *response;
        enum reply_name reply;
        const char *login, *why;
    } ends[] = {
        {"open", REPLY_LOGGED_IN, "alice@local.example", ""},
        {"no", REPLY_LOGIN_REFUSED, "alice@local.example", "wrong password"},
        {"wait", REPLY_LOGIN_DELAYED, "alice@local.example", "too many failed tries"},
    };
    struct str said = buf_str(&f->login_response);

    f->login_asked = false;
    for (size_t i = 0; i < countof(ends); i++) {
        struct status st = reply_status(ends[i].reply, STR("2 seconds"));

        if (!str_eq_c(said, ends[i].response))
            continue;
        f->login_begun = false;
        session_login_done(f->session, &st, str_c(ends[i].login), str_c(ends[i].why), out);
        return;
    }
    session_challenged(f->session, str_sub(said, 0, 300), out); /* within a line */
}

static inline void fake_answer_put(struct fake_world *f, struct buf *out)
{
    struct status st = reply_status(f->queue_fails ? REPLY_NOT_STORED : REPLY_OK, STR_NONE);
    struct id id = {.key = 1000 + f->stored_count, .node = 7};

    f->putting = f->complete = false;
    if (!f->queue_fails) {
        f->sent += f->held;
        f->stored_count++;
        buf_reset(&f->stored_envelope);
        buf_reset(&f->stored_prefix);
        buf_reset(&f->stored_content);
        buf_add(&f->stored_envelope, buf_str(&f->envelope));
        buf_add(&f->stored_prefix, buf_str(&f->prefix));
        buf_add(&f->stored_content, buf_str(&f->content));
    }
    session_stored(f->session, &st, id, out);
}

/* Of an account are its own address, sales@local.example, and what has its name in front. */
static inline void fake_answer_owner(struct fake_world *f, struct buf *out)
{
    struct str rest = buf_str(&f->policy);
    struct str name = str_sub(f->account, 0, str_find(f->account, '@'));
    struct str address = STR_NONE;
    enum reply_name r = REPLY_OK;

    while (r == REPLY_OK && rest.n > 0) {
        address = str_cut(&rest, '\n');
        if (str_eq_c(address, "later@local.example"))
            r = REPLY_ROUTER_AWAY;
        else if (!str_eq_c(address, "sales@local.example") && !str_starts(address, name))
            r = REPLY_NOT_YOUR_SENDER;
    }

    struct status st = reply_status(r, address);

    session_told(f->session, &st, STR_NONE, r == REPLY_OK ? STR_NONE : address, out);
}

static inline void fake_answer_verify(struct fake_world *f, struct buf *out)
{
    struct arena a = ARENA_INIT;
    struct buf targets = buf_init(256 * KIB);
    struct str text = arena_copy(&a, buf_str(&f->policy));
    struct str whole =
        str_find(text, '@') < text.n ? text : arena_printf(&a, "%.*s@local.example", STR_ARG(text));
    struct target target;
    bool list = str_eq_c(whole, "staff@local.example"), far = str_starts(whole, STR("far"));
    bool all = str_starts(whole, STR("all"));
    enum reply_name r = list || far || all ? REPLY_OK : fake_route(whole, f->may_relay, &target);
    struct status st = reply_status(r, whole);
    const char *members[] = {"alice@local.example", "bob@local.example"};

    if (r == REPLY_OK && !list && !far && !all)
        target_encode(&targets, &target);
    for (size_t i = 0; (list && i < countof(members)) || (all && i < 251); i++)
        target_encode(&targets, &(struct target){TRANSPORT_LOCAL, STR("box"), str_c(members[i % 2]),
                                                 STR_NONE});
    if (far)
        target_encode(&targets, &(struct target){TRANSPORT_RELAY, STR("next.example:25"),
                                                 STR("x@elsewhere.example"), STR_NONE});
    session_told(f->session, &st, buf_str(&targets), whole, out);
    buf_free(&targets);
    arena_free(&a);
}

static inline void fake_answer_limit(struct fake_world *f, struct buf *out)
{
    bool allowed = f->limit == 0 || f->sent + f->held <= f->limit;
    struct status st = reply_status(allowed ? REPLY_OK : REPLY_LOGIN_LIMIT, STR("limit reached"));

    f->held -= !allowed;
    session_limited(f->session, &st, out);
}

/* Nothing waits for none.example, 3 messages for three.example, and more for many.example than can
 * be counted. */
static inline void fake_answer_etrn(struct fake_world *f, struct buf *out)
{
    struct str node = buf_str(&f->policy);
    struct status st = reply_status(REPLY_ETRN_NOTHING, node);

    if (str_ends(node, STR("three.example")))
        st = reply_status(REPLY_ETRN_COUNTED,
                          STR("3 pending messages for node three.example started"));
    if (str_ends(node, STR("many.example")))
        st = reply_status(REPLY_ETRN_PENDING, node);
    session_etrn_done(f->session, &st, out);
}

static inline bool fake_answer_policy(struct fake_world *f, struct buf *out)
{
    bool owner = f->owner_asked, verify = f->verify_asked, limit = f->limit_asked;
    bool etrn = f->etrn_asked;

    f->owner_asked = f->verify_asked = f->limit_asked = f->etrn_asked = false;
    if (owner)
        fake_answer_owner(f, out);
    if (verify)
        fake_answer_verify(f, out);
    if (limit)
        fake_answer_limit(f, out);
    if (etrn)
        fake_answer_etrn(f, out);
    return owner || verify || limit || etrn;
}

/* Answers one open question. False: there is none. */
static inline bool fake_answer(struct fake_world *f, struct buf *out)
{
    if (session_shakes(f->session)) {
        buf_reset(&f->in); /* whoever owns the stream throws it away */
        session_secured(f->session, STR("TLSv1.3 TLS_AES_256_GCM_SHA384"), out);
        return true;
    }
    if (fake_answer_policy(f, out))
        return true;
    if (f->login_asked)
        fake_answer_login(f, out);
    else if (f->asked)
        fake_answer_route(f, out);
    else if (f->complete)
        fake_answer_put(f, out);
    else if (f->putting && session_waits(f->session)) {
        uint64_t bytes = f->unacknowledged_bytes;

        check(bytes > 0);
        f->unacknowledged_bytes = 0;
        session_put_credit(f->session, bytes, out);
    } else
        return false;
    return true;
}

static inline void fake_connect(struct fake_world *f, struct str ip, bool may_relay,
                                struct buf *out)
{
    f->session = session_new(
        &f->world, f, &f->config,
        &(struct session_client){.ip = ip,
                                 .rights = {.may_relay = may_relay, .may_xclient = f->may_xclient},
                                 .listen = &f->listen});
    session_greet(f->session, out);
    if (session_shakes(f->session))
        (void)fake_answer(f, out);
    if (f->account.n > 0)
        session_logged_in(f->session, f->account);
}

/* Lets the session take what it can, without answering anything. */
static inline void fake_take(struct fake_world *f, struct buf *out)
{
    for (size_t used = 1; used > 0;) {
        used = session_feed(f->session, buf_str(&f->in), out);
        check(used <= f->in.n);
        buf_drop_front(&f->in, used);
    }
}

/* The client sends bytes; every question is answered at once. */
static inline void fake_feed(struct fake_world *f, struct str bytes, struct buf *out)
{
    check(buf_add(&f->in, bytes));
    do
        fake_take(f, out);
    while (fake_answer(f, out));
}
