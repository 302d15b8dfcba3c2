/* smtpd/dialog_test.c - plays the golden conversations of tests/dialog/smtp, each as it stands
 * and with what the client sends cut into single bytes. What a line may be:
 *
 *   config NAME VALUE   see `settings` below; before the first S: or C:
 *   C: text             the client says text and CRLF
 *   C\: text            the client sends exactly text: \r \n \t \0 \\ \xHH, \{1000*text} repeats
 *   S: pattern          the next line of the server; * stands for anything. What is left of a
 *                       reply of several lines need not be written
 *   S\: pattern         the same with escapes
 *   world: EVENT        see `events` below
 *   wait: SECONDS       passes
 *   named: NAME         the name of the client has been found
 *   nameless: WHY       or not
 *   spool: N            so many messages are stored by now ("empty": none)
 *   from: to: client: prefix: body:   pattern for the last one stored; body with escapes
 *   closed:             the server has ended the session */
// SPDX-License-Identifier: ISC
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/smtpd/fake_world.h"
#include "daemon/smtpd/state.h"
#include "io/disk.h"

struct dialog {
    struct fake_world fake;
    const char *name;
    size_t line_number;
    bool trickled, connected, may_relay;
    struct str ip;
    struct arena arena;
    struct buf out;  /* what the server said and nobody has looked at */
    struct buf said; /* what the client is about to send: a group of C: lines goes at once */
    char mark;       /* of the last line matched: '-' while its reply goes on; 0 before it */
};

static void fail_dialog(const struct dialog *d, const char *what, struct str got)
{
    fail_msg("%s:%zu%s: %s\n  got: %.*s", d->name, d->line_number, d->trickled ? " (trickled)" : "",
             what, STR_ARG(got));
}

/* ---- text ---- */

static int hex(char c)
{
    return char_is_digit(c) ? c - '0' : char_lower(c) - 'a' + 10;
}

static void unescape(struct dialog *d, struct str s, struct buf *to);

/* {N*text} behind a backslash. */
static struct str repeat(struct dialog *d, struct str s, struct buf *to)
{
    struct str inner = str_sub(s, 1, str_find(s, '}'));
    struct str rest = str_skip(s, inner.n + 2);
    struct str count_text = str_cut(&inner, '*');
    uint64_t count = 0;

    if (!str_u64(count_text, &count))
        fail_dialog(d, "malformed repetition", s);
    while (count-- > 0)
        unescape(d, inner, to);
    return rest;
}

static void unescape(struct dialog *d, struct str s, struct buf *to)
{
    static const char meant[] = {'\r', '\n', '\t', '\0', '\\'};

    while (s.n > 0) {
        buf_add(to, str_cut(&s, '\\'));
        if (s.n == 0)
            return;
        if (s.p[0] == '{') {
            s = repeat(d, s, to);
        } else if (s.p[0] == 'x' && s.n >= 3) {
            buf_add_char(to, (char)(hex(s.p[1]) * 16 + hex(s.p[2])));
            s = str_skip(s, 3);
        } else {
            size_t i = str_find(STR("rnt0\\"), s.p[0]);

            if (i >= sizeof meant)
                fail_dialog(d, "unknown escape", s);
            buf_add_char(to, meant[i]);
            s = str_skip(s, 1);
        }
    }
}

static struct str escaped(struct dialog *d, struct str s)
{
    struct buf b = buf_init(FAKE_CONTENT_BYTES_MAX);

    unescape(d, s, &b);

    struct str copy = arena_copy(&d->arena, buf_str(&b));

    buf_free(&b);
    return copy;
}

/* Only * is special: addresses in brackets must not become character classes. */
static bool matches(struct str pattern, struct str s)
{
    size_t star = str_find(pattern, '*');

    if (star == pattern.n)
        return str_eq(pattern, s);
    if (!str_starts(s, str_sub(pattern, 0, star)))
        return false;
    for (s = str_skip(s, star);; s = str_skip(s, 1)) {
        if (matches(str_skip(pattern, star + 1), s))
            return true;
        if (s.n == 0)
            return false;
    }
}

/* ---- the two sides ---- */

static void connect_once(struct dialog *d)
{
    if (!d->connected)
        fake_connect(&d->fake, d->ip, d->may_relay, &d->out);
    d->connected = true;
}

static void send_said(struct dialog *d)
{
    struct str said = buf_str(&d->said);
    size_t step = d->trickled ? 1 : said.n;

    for (size_t at = 0; at < said.n; at += step)
        fake_feed(&d->fake, str_sub(said, at, at + step), &d->out);
    buf_reset(&d->said);
}

static struct str next_line(struct dialog *d)
{
    struct str all = buf_str(&d->out);
    struct str line = str_sub(all, 0, str_find_str(all, STR("\r\n")));

    if (line.n == all.n)
        fail_dialog(d, "the server said nothing more", all);
    if (line.n + 2 > 512)
        fail_dialog(d, "longer than a reply line may be", line);
    return line;
}

static void take_line(struct dialog *d, struct str line)
{
    d->mark = line.n > 3 ? line.p[3] : ' ';
    buf_drop_front(&d->out, line.n + 2);
}

/* Lines of a reply that nobody wrote down are skipped, anything else is one line too many. */
static void hear_out(struct dialog *d)
{
    while (d->mark == '-')
        take_line(d, next_line(d));
    if (d->out.n > 0)
        fail_dialog(d, "the server said more than is written", buf_str(&d->out));
}

static void client_says(struct dialog *d, struct str bytes)
{
    connect_once(d);
    if (d->said.n == 0 && d->mark)
        hear_out(d);
    buf_add(&d->said, bytes);
}

static void server_says(struct dialog *d, struct str pattern)
{
    connect_once(d);
    send_said(d);

    struct str line = next_line(d);

    while (d->mark == '-' && !matches(pattern, line)) {
        take_line(d, line);
        line = next_line(d);
    }
    if (!matches(pattern, line))
        fail_dialog(d, "not what is written", line);
    take_line(d, line);
}

static void on_client(struct dialog *d, struct str text)
{
    struct str line[] = {text, STR("\r\n")};

    client_says(d, line[0]);
    buf_add(&d->said, line[1]);
}

static void on_client_raw(struct dialog *d, struct str text)
{
    client_says(d, escaped(d, text));
}

static void on_server_raw(struct dialog *d, struct str text)
{
    server_says(d, escaped(d, text));
}

/* ---- the world ---- */

static void lose_queue(struct dialog *d)
{
    d->fake.queue_away = true;
    if (d->fake.putting) {
        struct status st = reply_status(REPLY_NOT_STORED, STR_NONE);

        d->fake.putting = d->fake.complete = false;
        session_stored(d->fake.session, &st, (struct id){0}, &d->out);
    }
}

static void router_away(struct dialog *d)
{
    d->fake.router_away = true;
}
static void tls_away(struct dialog *d)
{
    d->fake.tls_away = true;
}
static void queue_full(struct dialog *d)
{
    d->fake.queue_full = true;
}
static void queue_fails(struct dialog *d)
{
    d->fake.queue_fails = true;
}
static void tight(struct dialog *d)
{
    d->fake.tight = true;
}
static void spill(struct dialog *d)
{
    session_spill(d->fake.session);
}
static void stop(struct dialog *d)
{
    session_stop(d->fake.session, &d->out);
}
static void logind_away(struct dialog *d)
{
    d->fake.login_away = true;
}
static void secured(struct dialog *d)
{
    d->fake.session->secure = true;
    d->fake.session->secured = mem_copy("TLSv1.3", 7);
    session_identified(d->fake.session, STR("0123456789abcdef0123456789abcdef"),
                       STR("bob@local.example"));
}
static void well(struct dialog *d)
{
    d->fake.login_away = false;
    d->fake.router_away = d->fake.queue_full = d->fake.queue_away = false;
    d->fake.queue_fails = d->fake.tight = false;
}

static const struct {
    const char *name;
    void (*run)(struct dialog *d);
} events[] = {
    {"router away", router_away}, /* nobody to ask about recipients */
    {"tls away", tls_away},       /* no certificate, or nobody has its key */
    {"queue full", queue_full},   /* says that it takes nothing */
    {"queue fails", queue_fails}, /* cannot make anything durable */
    {"queue dies", lose_queue},   /* also in the middle of a message */
    {"tight", tight},             /* the worker is out of memory for messages */
    {"spill", spill},             /* the worker wants the memory of this one back */
    {"stop", stop},               /* the server is being stopped */
    {"logind away", logind_away}, /* nobody to ask about logins */
    {"secured", secured},         /* TLS is up, with a client certificate */
    {"well", well},               /* all of that is over */
};

static void on_world(struct dialog *d, struct str text)
{
    connect_once(d);
    send_said(d);
    for (size_t i = 0; i < countof(events); i++) {
        if (str_eq_c(text, events[i].name)) {
            events[i].run(d);
            return;
        }
    }
    fail_dialog(d, "unknown event", text);
}

static void on_wait(struct dialog *d, struct str text)
{
    uint64_t seconds = 0;

    connect_once(d);
    send_said(d);
    if (!str_u64(text, &seconds))
        fail_dialog(d, "no number", text);
    d->fake.now_us += seconds * US_PER_S;
    session_tick(d->fake.session, &d->out);
    fake_feed(&d->fake, STR_NONE, &d->out);
}

static void on_named(struct dialog *d, struct str text)
{
    send_said(d);
    session_named(d->fake.session, text, STR_NONE, &d->out);
    fake_feed(&d->fake, STR_NONE, &d->out); /* what came of it */
}

static void on_nameless(struct dialog *d, struct str text)
{
    send_said(d);
    session_named(d->fake.session, STR_NONE, text, &d->out);
    fake_feed(&d->fake, STR_NONE, &d->out);
}

static void on_closed(struct dialog *d, struct str text)
{
    if (!session_ended(d->fake.session))
        fail_dialog(d, "the session goes on", STR_NONE);
}

/* ---- what was stored ---- */

static void on_spool(struct dialog *d, struct str text)
{
    uint64_t count = 0;

    send_said(d);
    if (!str_eq_c(text, "empty") && !str_u64(text, &count))
        fail_dialog(d, "no number", text);
    if (d->fake.stored_count != count)
        fail_dialog(d, "not so many messages", STR_NONE);
}

static void expect(struct dialog *d, struct str pattern, struct str got)
{
    if (!matches(pattern, got))
        fail_dialog(d, "the message is another one", got);
}

static struct envelope stored_envelope(struct dialog *d)
{
    struct envelope e = {0};

    if (!envelope_decode(buf_str(&d->fake.stored_envelope), &d->arena, &e))
        fail_dialog(d, "no envelope", STR_NONE);
    return e;
}

static void on_from(struct dialog *d, struct str text)
{
    expect(d, text, stored_envelope(d).sender);
}

static void on_to(struct dialog *d, struct str text)
{
    struct envelope e = stored_envelope(d);
    struct buf all = buf_init(64 * KIB);

    for (size_t i = 0; i < e.recipient_count; i++) {
        struct recipient *r = &e.recipients[i];

        buf_printf(&all, "%s%.*s=%s", i ? " " : "", STR_ARG(r->address),
                   transport_name(r->target.transport));
    }
    expect(d, text, arena_copy(&d->arena, buf_str(&all)));
    buf_free(&all);
}

static void on_envelope_client(struct dialog *d, struct str text)
{
    expect(d, text, stored_envelope(d).client);
}

static void on_prefix(struct dialog *d, struct str text)
{
    expect(d, escaped(d, text), buf_str(&d->fake.stored_prefix));
}

static void on_body(struct dialog *d, struct str text)
{
    expect(d, escaped(d, text), buf_str(&d->fake.stored_content));
}

/* ---- settings ---- */

struct setting {
    const char *name;
    size_t offset; /* in struct config, of a uint64_t */
    uint64_t unit;
};

#define FIELD(name) offsetof(struct config, name)
static const struct setting settings[] = {
    {"message-size", FIELD(message_bytes_max), 1},
    {"recipients", FIELD(recipients_max), 1},
    {"errors", FIELD(errors_max), 1},
    {"hops", FIELD(hops_max), 1},
    {"idle-timeout", FIELD(idle_timeout_us), US_PER_S},
    {"session-timeout", FIELD(session_timeout_us), US_PER_S},
};

/* Statements of a listen section. */
static bool listen_config(struct config_listen *l, struct str name, struct str text)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"plain-auth", &l->plain_auth},
        {"cram-md5", &l->cram_md5},
        {"old-auth-line", &l->old_auth_line},
    };

    for (size_t i = 0; i < countof(flags); i++) {
        if (str_eq_c(name, flags[i].name))
            return *flags[i].flag = str_eq_c(text, "yes");
    }
    const struct {
        const char *name;
        struct str *word;
    } said[] = {
        {"auth", &l->auth},
        {"scram", &l->scram},
        {"listen-login-senders", &l->login_senders},
    };

    for (size_t i = 0; i < countof(said); i++) {
        if (!str_eq_c(name, said[i].name))
            continue;
        *said[i].word = text;
        return true;
    }
    return false;
}

static const struct {
    const char *name;
    size_t offset;
} words[] = {
    {"login-senders", offsetof(struct config, login_senders)},
    {"vrfy", offsetof(struct config, vrfy)},
    {"expn", offsetof(struct config, expn)},
    {"etrn", offsetof(struct config, etrn)},
};

static bool set_word(struct dialog *d, struct str name, struct str text)
{
    for (size_t i = 0; i < countof(words); i++) {
        if (!str_eq_c(name, words[i].name))
            continue;
        *(struct str *)(void *)((char *)&d->fake.config + words[i].offset) = text;
        return true;
    }
    return false;
}

static void on_config(struct dialog *d, struct str text)
{
    struct str name = str_cut_word(&text);
    uint64_t value = 0;

    if (str_eq_c(name, "strict")) {
        d->fake.config.strict = str_eq_c(text, "yes");
        return;
    }
    if (str_eq_c(name, "own-client")) { /* it is in relay-for */
        d->may_relay = str_eq_c(text, "yes");
        return;
    }
    if (str_eq_c(name, "reverse-names")) {
        d->fake.config.dns.reverse_names = true;
        d->fake.name_away = str_eq_c(text, "nobody");
        return;
    }
    if (str_eq_c(name, "xclient")) { /* it may use it */
        d->fake.may_xclient = str_eq_c(text, "yes");
        return;
    }
    if (str_eq_c(name, "protocol")) {
        d->fake.listen.protocol = text;
        return;
    }
    if (str_eq_c(name, "tls")) { /* of the listener */
        d->fake.listen.tls = text;
        return;
    }
    if (str_eq_c(name, "certificate")) {
        d->fake.config.tls.certificate = STR_NONE;
        return;
    }
    if (str_eq_c(name, "account")) { /* who has logged in */
        d->fake.account = text;
        return;
    }
    if (str_eq_c(name, "limit") && str_u64(text, &value)) { /* recipients of that account */
        d->fake.limit = (size_t)value;
        d->fake.config.login_recipient_count = 1;
        return;
    }
    if (set_word(d, name, text))
        return;
    if (str_eq_c(name, "client")) {
        d->ip = text;
        return;
    }
    if (listen_config(&d->fake.listen, name, text))
        return;
    for (size_t i = 0; i < countof(settings); i++) {
        if (str_eq_c(name, settings[i].name) && str_u64(text, &value)) {
            *(uint64_t *)(void *)((char *)&d->fake.config + settings[i].offset) =
                value * settings[i].unit;
            return;
        }
    }
    fail_dialog(d, "unknown setting", name);
}

/* ---- a file ---- */

static const struct {
    const char *word;
    void (*run)(struct dialog *d, struct str text);
} directives[] = {
    {"config ", on_config},     {"C:", on_client},       {"C\\:", on_client_raw},
    {"S:", server_says},        {"S\\:", on_server_raw}, {"world:", on_world},
    {"wait:", on_wait},         {"closed:", on_closed},  {"spool:", on_spool},
    {"from:", on_from},         {"to:", on_to},          {"client:", on_envelope_client},
    {"prefix:", on_prefix},     {"body:", on_body},      {"named:", on_named},
    {"nameless:", on_nameless},
};

static void dialog_line(struct dialog *d, struct str line)
{
    if (line.n == 0 || line.p[0] == '#')
        return;
    for (size_t i = 0; i < countof(directives); i++) {
        struct str word = str_c(directives[i].word);

        if (str_starts(line, word)) {
            struct str text = str_skip(line, word.n);

            directives[i].run(d, str_starts(text, STR(" ")) ? str_skip(text, 1) : text);
            return;
        }
    }
    fail_dialog(d, "unknown line", line);
}

static void play(const char *name, struct str text, bool trickled)
{
    struct dialog d = {.name = name,
                       .trickled = trickled,
                       .ip = STR("192.0.2.1"),
                       .out = buf_init(MIB),
                       .said = buf_init(FAKE_CONTENT_BYTES_MAX)};

    fake_init(&d.fake);
    while (text.n > 0) {
        d.line_number++;
        dialog_line(&d, str_cut(&text, '\n'));
    }
    hear_out(&d);
    fake_done(&d.fake);
    arena_free(&d.arena);
    buf_free(&d.out);
    buf_free(&d.said);
}

static int open_folder(void)
{
    const char *source = getenv("TROIKA_SOURCE");
    int source_fd = open(source ? source : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(source_fd, "tests/dialog/smtp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        fail_msg("no tests/dialog/smtp here; set TROIKA_SOURCE");
    close(source_fd);
    return fd;
}

static void golden_conversations(void **state)
{
    int fd = open_folder();
    DIR *folder = fdopendir(dup(fd));
    size_t count = 0;

    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        struct buf text = buf_init(MIB);

        if (!str_ends(str_c(e->d_name), STR(".dialog")))
            continue;
        assert_int_equal(file_read(fd, e->d_name, MIB, &text), 0);
        play(e->d_name, buf_str(&text), false);
        play(e->d_name, buf_str(&text), true);
        buf_free(&text);
        count++;
    }
    closedir(folder);
    close(fd);
    print_message("%zu dialogs\n", count);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_conversations)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
