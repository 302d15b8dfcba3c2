/* outward/send/report.c - what became of the message, and what to do about it: for a person, or as JSON.
 *
 * What was taken goes to standard output, a line for each recipient; what was not, why, and what
 * to try, to standard error. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "outward/send/send.h"

static const char *const step_names[] = {
    [STEP_ANY] = N_("on the way"),
    [STEP_CONNECT] = N_("connecting"),
    [STEP_TLS] = N_("the TLS handshake"),
    [STEP_GREETING] = N_("the greeting"),
    [STEP_HELLO] = N_("the answer to EHLO"),
    [STEP_STARTTLS] = N_("the answer to STARTTLS"),
    [STEP_AUTH] = N_("logging in (AUTH)"),
    [STEP_MAIL] = N_("the sender (MAIL FROM)"),
    [STEP_RCPT] = N_("the recipient (RCPT TO)"),
    [STEP_DATA] = N_("the answer to DATA"),
    [STEP_CONTENT] = N_("the verdict about the message"),
    [STEP_OTHER] = N_("on the way"),
    [STEP_QUIT] = N_("the answer to QUIT"),
};

/* What is no reply of the server but a decision of ours; the daemon's rows speak of its
 * configuration. */
static const struct own_words {
    enum reply_name reply;
    int code;
    struct explanation words;
} own_words[] = {
    {REPLY_TLS_UNVERIFIED,
     EX_PROTOCOL,
     {N_("the server did not prove that it is the one that was meant"),
      N_("Its certificate has expired, is for another name, or comes from an authority that is not "
         "trusted here; or somebody stands in between."),
      N_("--roots FILE trusts another authority. --insecure takes any certificate: then somebody "
         "in "
         "between could read the password and the mail.")}},
    {REPLY_TLS_MISSING,
     EX_PROTOCOL,
     {N_("there is no TLS with this server, so nothing was sent"),
      N_("The server does not offer STARTTLS, or the handshake failed. Port 465 wants TLS from the "
         "first byte on (smtps://), ports 25 and 587 after STARTTLS (smtp://)."),
      N_("Try smtps:// or another port. --tls optional sends without TLS, too.")}},
    {REPLY_LOGIN_IMPOSSIBLE,
     EX_NOPERM,
     {N_("there is no way to log in at this server that would be safe"),
      N_("It offers no mechanism for what was given (a password, or a token), or only ones that "
         "show "
         "the password without TLS; or it did not prove that it knows the password."),
      N_("Look at what it offers with --verbose. Without a login leave out --user and USER@.")}},
    {REPLY_BAD_DIALOGUE,
     EX_PROTOCOL,
     {N_("what answers there does not speak SMTP"),
      N_("Another service listens at this port, or TLS is expected from the first byte on."),
      N_("Look at the port: 25, 587 (smtp://) or 465 (smtps://).")}},
};

static const struct own_words *own_words_of(const struct status *st)
{
    const struct reply_row *row = reply_row_of(st);

    for (size_t i = 0; row && i < countof(own_words); i++) {
        if (row == &reply_table[own_words[i].reply])
            return &own_words[i];
    }
    return NULL;
}

/* The session takes no reply to all of its mail for final. To a person it is what it says. */
static struct status as_said(const struct status *st)
{
    struct status said = *st;

    if (st->code >= 400)
        said.class = (uint8_t)(st->code / 100);
    return said;
}

/* ---- the dialogue ---- */

static bool is_verbose(const struct sending *s)
{
    return s->line->verbose;
}

static void print_mark(const struct sending *s, const char *mark)
{
    uint64_t us = clock_monotonic_us(&clock_system) - s->began_us;

    fprintf(stderr, "%8.3f %s ", (double)us / 1e6, mark);
}

void report_line(const struct sending *s, bool sent, struct str line)
{
    if (!is_verbose(s))
        return;
    print_mark(s, sent ? ">>>" : "<<<");
    (void)write_text(stderr, line);
    fputc('\n', stderr);
}

void report_note(const struct sending *s, const char *format, ...)
{
    char text[2 * KIB];
    va_list list;

    if (!is_verbose(s))
        return;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    print_mark(s, "---");
    (void)write_text(stderr, str_c(text));
    fputc('\n', stderr);
}

/* ---- why not ---- */

/* Words of strangers, which may have several lines. */
static void write_words(FILE *to, const char *text)
{
    struct str rest = str_c(text);

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');

        (void)write_text(to, line);
        if (rest.n > 0)
            fputc(' ', to);
    }
}

static struct explanation explanation_of(const struct outcome *o)
{
    struct status said = as_said(&o->st);
    const struct own_words *own = own_words_of(&o->st);

    if (own)
        return own->words;
    return o->error != 0 ? explain_connection(o->error, o->port) : explain_reply(o->step, &said);
}

static void write_detail(const char *label, const char *text)
{
    if (text)
        fprintf(stderr, "  %s: %s\n", label, _(text));
}

/* The advice of a provider is for those whose login it does not take. */
static void write_advice(const struct sending *s, const struct outcome *o)
{
    const struct provider *p = s->target.provider;
    bool russian = strcmp(_("en"), "ru") == 0;
    struct str advice = STR_NONE;

    if (p && o->step == STEP_AUTH)
        advice = russian && p->advice_ru.n > 0 ? p->advice_ru : p->advice;
    if (advice.n == 0)
        return;
    fprintf(stderr, "  %.*s: ", STR_ARG(p->title));
    (void)write_text(stderr, advice);
    fputc('\n', stderr);
}

static void write_explanation(const struct sending *s, const struct outcome *o)
{
    struct explanation e = explanation_of(o);

    fprintf(stderr, "  %s: %s", _("at"), _(step_names[o->step]));
    if (*o->server) {
        fprintf(stderr, ", ");
        (void)write_text(stderr, str_c(o->server));
    }
    fputc('\n', stderr);
    write_detail(_("this means"), e.meaning);
    write_detail(_("causes"), e.causes);
    write_detail(_("what to try"), e.remedy);
    write_advice(s, o);
}

/* Did the server say this, so that the code is its own? */
static bool is_reply(const struct outcome *o)
{
    const struct reply_row *row = reply_row_of(&o->st);

    return o->error == 0 && o->st.code >= 400 && !own_words_of(&o->st) && *o->server &&
           row != &reply_table[REPLY_CONNECTION_LOST] && row != &reply_table[REPLY_NO_CONNECTION];
}

static void write_reply(FILE *to, const struct status *st)
{
    struct status said = as_said(st);
    struct buf code = buf_init(16);

    status_print_enhanced(&code, &said);
    fprintf(to, "%u %s ", said.code, buf_c(&code));
    write_words(to, said.text);
    buf_free(&code);
}

void report_failure(struct sending *s, const struct outcome *o)
{
    fprintf(stderr, "troika %s: ", s->line->command);
    if (is_reply(o))
        write_reply(stderr, &o->st);
    else if (o->error != 0 && o->step == STEP_CONNECT)
        fprintf(stderr, _("cannot connect to %s: %s"), o->server, strerror(-o->error));
    else
        write_words(stderr, o->st.text);
    fputc('\n', stderr);
    write_explanation(s, o);
}

/* ---- each recipient ---- */

static void print_json_outcome(const struct outcome *o)
{
    struct status said = as_said(&o->st);
    struct buf code = buf_init(16);
    json_t *row;

    status_print_enhanced(&code, &said);
    row = json_pack("{s:o, s:b, s:i, s:o, s:o}", "to", json_text(o->to), "accepted",
                    o->st.class == 2, "code", o->st.code, "status", json_text(buf_str(&code)),
                    "text", json_text(str_c(o->st.text)));
    if (o->st.class != 2)
        (void)json_object_set_new(row, "step", json_string(step_names[o->step]));
    if (*o->server)
        (void)json_object_set_new(row, "server", json_text(str_c(o->server)));
    print_json(row);
    buf_free(&code);
}

static void print_outcome(const struct outcome *o)
{
    FILE *to = o->st.class == 2 ? stdout : stderr;

    fputc('<', to);
    (void)write_text(to, o->to);
    fputs("> ", to);
    write_reply(to, &o->st);
    fputc('\n', to);
    (void)fflush(to);
}

/* Ten unknown recipients are explained once. */
static bool was_explained(const struct sending *s, size_t first, size_t i)
{
    const char *meaning = explanation_of(&s->outcomes[i]).meaning;

    for (size_t k = first; k < i; k++) {
        const struct outcome *o = &s->outcomes[k];

        if (o->st.class != 2 && o->step == s->outcomes[i].step &&
            strcmp(explanation_of(o).meaning, meaning) == 0)
            return true;
    }
    return false;
}

/* All of them failed by one and the same failure of their server. */
static bool failed_together(const struct sending *s, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        if (s->outcomes[i].alone || s->outcomes[i].st.class == 2)
            return false;
    }
    return count > 0;
}

static void name_those(const struct sending *s, size_t first, size_t count)
{
    fprintf(stderr, "  %s:", _("not sent to"));
    for (size_t i = first; i < first + count; i++) {
        fprintf(stderr, "%s <", i > first ? "," : "");
        (void)write_text(stderr, s->outcomes[i].to);
        fputc('>', stderr);
    }
    fputc('\n', stderr);
}

void report_outcomes(struct sending *s, size_t first, size_t count)
{
    bool together = failed_together(s, first, count);

    for (size_t i = first; i < first + count; i++) {
        s->outcomes[i].told = true;
        if (s->line->json)
            print_json_outcome(&s->outcomes[i]);
        else if (!together)
            print_outcome(&s->outcomes[i]);
    }
    (void)fflush(stdout);
    if (together) {
        report_failure(s, &s->outcomes[first]);
        if (s->outcome_count > count) /* some may have got it */
            name_those(s, first, count);
        return;
    }
    for (size_t i = first; i < first + count; i++) {
        if (s->outcomes[i].st.class != 2 && !was_explained(s, first, i))
            write_explanation(s, &s->outcomes[i]);
    }
}

/* ---- the end ---- */

static int code_of(const struct outcome *o)
{
    struct status said = as_said(&o->st);
    const struct own_words *own = own_words_of(&o->st);

    if (said.class == 2)
        return EX_OK;
    if (own)
        return own->code;
    if (o->step == STEP_AUTH)
        return said.class == 4 ? EX_TEMPFAIL : EX_NOPERM;
    if (o->step == STEP_TLS || o->step == STEP_STARTTLS)
        return EX_PROTOCOL;
    if (o->step == STEP_CONNECT && !*o->server && said.class == 5)
        return EX_NOHOST;
    if (o->step == STEP_CONNECT && *o->server)
        return EX_UNAVAILABLE;
    return said.class == 4 ? EX_TEMPFAIL : EX_UNAVAILABLE;
}

static void mark_interrupted(struct sending *s)
{
    for (size_t i = 0; i < s->outcome_count; i++) {
        struct outcome *o = &s->outcomes[i];

        if (o->st.class != 0 || o->told)
            continue;
        o->st = status_make(0, 4, 0, 0,
                            o->unanswered ? STR("interrupted before the server had answered")
                                          : STR("interrupted, not sent"));
        o->step = o->unanswered ? STEP_CONTENT : STEP_OTHER;
    }
}

/* Ctrl-C: whoever pressed it wants to know whether to send again. */
static void report_interruption(struct sending *s)
{
    mark_interrupted(s);
    fprintf(stderr, "troika %s: %s\n", s->line->command, _("interrupted"));
    for (size_t i = 0; i < s->outcome_count; i++) {
        const struct outcome *o = &s->outcomes[i];

        if (s->line->json && !o->told)
            print_json_outcome(o);
        fprintf(stderr, "  <");
        (void)write_text(stderr, o->to);
        fprintf(stderr, ">: %s\n",
                o->st.class == 2 ? _("sent")
                : o->unanswered && o->st.code == 0
                    ? _("nobody knows: the whole message had left, but the server had not answered")
                    : _("not sent"));
    }
}

struct counts {
    size_t accepted, refused, later;
};

static struct counts count(const struct sending *s)
{
    struct counts c = {0};

    for (size_t i = 0; i < s->outcome_count; i++) {
        struct status said = as_said(&s->outcomes[i].st);

        c.accepted += said.class == 2;
        c.refused += said.class == 5;
        c.later += said.class != 2 && said.class != 5;
    }
    return c;
}

static const char *const body_names[] = {
    [BODY_7BIT] = "7bit", [BODY_8BIT] = "8bit", [BODY_BINARY] = "binary"};

static void print_json_summary(const struct sending *s, const struct counts *c, int code)
{
    uint64_t us = clock_monotonic_us(&clock_system) - s->began_us;
    json_t *row =
        json_pack("{s:i, s:i, s:i, s:I, s:s, s:I, s:i}", "accepted", (int)c->accepted, "refused",
                  (int)c->refused, "later", (int)c->later, "bytes", (json_int_t)s->bytes, "body",
                  body_names[s->body], "ms", (json_int_t)(us / 1000), "exit", code);

    if (*s->tls_words)
        (void)json_object_set_new(row, "tls", json_text(str_c(s->tls_words)));
    if (*s->mechanism)
        (void)json_object_set_new(row, "mechanism", json_string(s->mechanism));
    print_json(row);
}

int report_end(struct sending *s)
{
    int code = EX_OK;

    if (s->interrupted)
        report_interruption(s);
    struct counts c = count(s);

    for (size_t i = 0; i < s->outcome_count; i++)
        code = MAX_OF(code, code_of(&s->outcomes[i]));
    if (s->interrupted)
        code = 128 + s->interrupted;
    if (s->line->json)
        print_json_summary(s, &c, code);
    else if (c.accepted > 0 && c.accepted < s->outcome_count && !s->interrupted)
        fprintf(stderr, _("sent to %zu of %zu recipients\n"), c.accepted, s->outcome_count);
    return code;
}

/* ---- --dry-run ---- */

static const char *const policy_names[] = {[TLS_NONE] = "off",
                                           [TLS_OPPORTUNISTIC] = "optional",
                                           [TLS_REQUIRED] = "required",
                                           [TLS_VERIFIED] = "verified"};

/* "smtps://mail.example.org:465" */
static void print_way(const struct sending *s, struct buf *to)
{
    const struct server_target *t = &s->target;
    bool v6 = str_find(t->host, ':') < t->host.n;

    if (s->way == WAY_DIRECT)
        buf_add_c(to, "direct");
    else if (s->way == WAY_QUEUE)
        buf_add_c(to, "queue");
    else
        buf_printf(to, "%s://%s%.*s%s:%u",
                   t->protocol == TARGET_LMTP      ? "lmtp"
                   : t->tls == TARGET_TLS_IMPLICIT ? "smtps"
                                                   : "smtp",
                   v6 ? "[" : "", STR_ARG(t->host), v6 ? "]" : "", t->port);
}

static void print_json_plan(const struct sending *s, struct str way)
{
    json_t *to = json_array();

    for (size_t i = 0; i < s->outcome_count; i++)
        (void)json_array_append_new(to, json_text(s->outcomes[i].to));
    json_t *row = json_pack("{s:o, s:o, s:o, s:s, s:I, s:s}", "from", json_text(s->sender), "to",
                            to, "via", json_text(way), "tls", policy_names[s->tls], "bytes",
                            (json_int_t)s->bytes, "body", body_names[s->body]);

    if (s->target.user.n > 0)
        (void)json_object_set_new(row, "login", json_text(s->target.user));
    print_json(row);
}

static void print_plan(const struct sending *s, struct str way)
{
    fprintf(stderr,
            _("nothing was sent. It would go from <%.*s> to %zu recipients by %.*s, TLS %s\n"),
            STR_ARG(s->sender), s->outcome_count, STR_ARG(way), policy_names[s->tls]);
    for (size_t i = 0; i < s->outcome_count; i++)
        fprintf(stderr, "  <%.*s>\n", STR_ARG(s->outcomes[i].to));
    if (s->pop_first)
        fprintf(stderr, _("  after logging in as %.*s by POP3 at %.*s:%u\n"), STR_ARG(s->pop.user),
                STR_ARG(s->pop.host), s->pop.port);
    else if (s->target.user.n > 0)
        fprintf(stderr, _("  logged in as %.*s\n"), STR_ARG(s->target.user));
}

static int copy_message(const struct sending *s)
{
    char block[64 * KIB];

    for (uint64_t at = 0; at < s->bytes;) {
        size_t n = (size_t)MIN_OF(s->bytes - at, (uint64_t)sizeof block);
        int error = disk_read_at(s->fd, block, n, at);

        if (error < 0)
            return fail(s->line, EX_IOERR, "%s", strerror(-error));
        if (fwrite(block, 1, n, stdout) != n)
            return EX_IOERR; /* main() says so */
        at += n;
    }
    return EX_OK;
}

int report_plan(struct sending *s)
{
    struct buf way = buf_init(KIB);
    int code = EX_OK;

    print_way(s, &way);
    if (s->line->json) {
        print_json_plan(s, buf_str(&way));
    } else {
        code = copy_message(s);
        (void)fflush(stdout);
        print_plan(s, buf_str(&way));
    }
    buf_free(&way);
    return code;
}
