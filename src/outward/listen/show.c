/* listen/show.c - see show.h. What comes from a sender is shown by print_text, which lets nothing move
 * the cursor. */
// SPDX-License-Identifier: ISC
#include "outward/listen/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/cli.h"

enum { LINE_SHOWN_BYTES_MAX = 300 };

enum colour {
    COLOUR_NONE,
    COLOUR_DIM,
    COLOUR_SENT,
    COLOUR_HEARD,
    COLOUR_GOOD,
    COLOUR_WARNING,
    COLOUR_ERROR
};

static const char *const colours[] = {
    [COLOUR_NONE] = "",
    [COLOUR_DIM] = "\033[2m",
    [COLOUR_SENT] = "\033[36m",
    [COLOUR_HEARD] = "\033[32m",
    [COLOUR_GOOD] = "\033[1m",
    [COLOUR_WARNING] = "\033[33m",
    [COLOUR_ERROR] = "\033[1;31m",
};

void show_start(struct show *s, bool json, bool quiet)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

    *s = (struct show){.json = json, .quiet = quiet};
    s->colours = isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
                 !(terminal && strcmp(terminal, "dumb") == 0);
}

/* ---- pieces ---- */

static void begin(const struct show *s, enum colour c)
{
    if (s->colours)
        fputs(colours[c], stdout);
}

static void end(const struct show *s, enum colour c)
{
    if (s->colours && c != COLOUR_NONE)
        fputs("\033[0m", stdout);
}

static void done(void)
{
    putchar('\n');
    (void)fflush(stdout);
}

static void print_json_now(json_t *o)
{
    print_json(o);
    (void)fflush(stdout);
}

/* "  1   0.003 " */
static void print_moment(const struct show *s, const struct moment *m)
{
    begin(s, COLOUR_DIM);
    printf("%3llu %8.3f ", (unsigned long long)m->session, (double)m->us / US_PER_S);
    end(s, COLOUR_DIM);
}

static json_t *event(const char *name, const struct moment *m)
{
    json_t *o = json_pack("{s:s}", "event", name);

    if (m) {
        json_object_set_new(o, "session", json_integer((json_int_t)m->session));
        json_object_set_new(o, "ms", json_real((double)(m->us / 100) / 10));
    }
    return o;
}

static void set(json_t *o, const char *key, struct str value)
{
    json_object_set_new(o, key, json_text(value));
}

static void set_number(json_t *o, const char *key, uint64_t value)
{
    json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* ---- the sink itself ---- */

void show_listening(struct show *s, struct str address, const char *protocol, bool tls)
{
    if (s->json) {
        json_t *o = event("listening", NULL);

        set(o, "address", address);
        set(o, "protocol", str_c(protocol));
        json_object_set_new(o, "tls", json_boolean(tls));
        print_json_now(o);
        return;
    }
    printf(tls ? _("listening on %.*s (%s over TLS)") : _("listening on %.*s (%s)"),
           STR_ARG(address), protocol);
    done();
}

void show_ready(struct show *s, struct str hostname, bool own, uint64_t seed, bool misbehaves)
{
    if (s->json) {
        json_t *o = event("ready", NULL);

        set(o, "hostname", hostname);
        if (misbehaves)
            set_number(o, "seed", seed);
        print_json_now(o);
        return;
    }
    if (s->quiet)
        return;
    printf(own ? _("as %.*s; Ctrl-C ends it")
               : _("as %.*s, with a certificate signed by itself; Ctrl-C ends it"),
           STR_ARG(hostname));
    done();
    if (misbehaves) {
        printf(_("it misbehaves as ordered; --seed %llu has the same chances again"),
               (unsigned long long)seed);
        done();
    }
}

void show_refused(struct show *s, struct str peer)
{
    if (s->json) {
        json_t *o = event("refused", NULL);

        set(o, "peer", peer);
        print_json_now(o);
    } else if (!s->quiet) {
        printf(_("%.*s: turned away, there are too many sessions"), STR_ARG(peer));
        done();
    }
}

void show_summary(struct show *s)
{
    if (s->json) {
        json_t *o = event("summary", NULL);

        set_number(o, "sessions", s->session_count);
        set_number(o, "messages", s->message_count);
        set_number(o, "errors", s->counts[SEVERITY_ERROR]);
        set_number(o, "warnings", s->counts[SEVERITY_WARNING]);
        set_number(o, "notes", s->counts[SEVERITY_NOTE]);
        print_json_now(o);
        return;
    }
    enum colour c = s->counts[SEVERITY_ERROR]     ? COLOUR_ERROR
                    : s->counts[SEVERITY_WARNING] ? COLOUR_WARNING
                                                  : COLOUR_GOOD;

    begin(s, c);
    printf(n_("%llu session, ", "%llu sessions, ", (unsigned long)s->session_count),
           (unsigned long long)s->session_count);
    printf(n_("%llu message: ", "%llu messages: ", (unsigned long)s->message_count),
           (unsigned long long)s->message_count);
    printf(n_("%llu error, ", "%llu errors, ", (unsigned long)s->counts[SEVERITY_ERROR]),
           (unsigned long long)s->counts[SEVERITY_ERROR]);
    printf(n_("%llu warning", "%llu warnings", (unsigned long)s->counts[SEVERITY_WARNING]),
           (unsigned long long)s->counts[SEVERITY_WARNING]);
    end(s, c);
    done();
}

/* ---- a session ---- */

void show_connected(struct show *s, const struct moment *m, struct str peer, struct str local)
{
    s->session_count++;
    if (s->json) {
        json_t *o = event("connected", m);

        set(o, "peer", peer);
        set(o, "local", local);
        print_json_now(o);
    } else if (!s->quiet) {
        print_moment(s, m);
        begin(s, COLOUR_GOOD);
        printf(_("connection from %.*s"), STR_ARG(peer));
        end(s, COLOUR_GOOD);
        done();
    }
}

void show_line(struct show *s, const struct moment *m, bool sent, struct str line)
{
    enum colour c = sent ? COLOUR_SENT : COLOUR_HEARD;
    bool cut = line.n > LINE_SHOWN_BYTES_MAX;

    if (s->json) {
        json_t *o = event("line", m);

        set(o, "from", sent ? STR("sink") : STR("sender"));
        set(o, "line", str_sub(line, 0, LINE_SHOWN_BYTES_MAX));
        if (cut)
            set_number(o, "bytes", line.n);
        print_json_now(o);
        return;
    }
    if (s->quiet)
        return;
    print_moment(s, m);
    begin(s, c);
    fputs(sent ? "S: " : "C: ", stdout);
    print_text(str_sub(line, 0, LINE_SHOWN_BYTES_MAX));
    if (cut)
        printf(_("... (%zu bytes)"), line.n);
    end(s, c);
    done();
}

void show_peer_name(struct show *s, const struct moment *m, struct str name)
{
    if (s->json) {
        json_t *o = event("peer-name", m);

        set(o, "name", name);
        print_json_now(o);
    } else if (!s->quiet && name.n > 0) {
        print_moment(s, m);
        printf(_("its address is that of "));
        print_text(name);
        done();
    }
}

void show_secured(struct show *s, const struct moment *m, struct str words, struct str name)
{
    if (s->json) {
        json_t *o = event("secured", m);

        set(o, "tls", words);
        set(o, "server-name", name);
        print_json_now(o);
    } else if (!s->quiet) {
        print_moment(s, m);
        begin(s, COLOUR_GOOD);
        printf("TLS: ");
        print_text(words);
        if (name.n > 0) {
            printf(_(", it wants "));
            print_text(name);
        }
        end(s, COLOUR_GOOD);
        done();
    }
}

void show_login(struct show *s, const struct moment *m, const char *mechanism, struct str user,
                bool accepted)
{
    if (s->json) {
        json_t *o = event("login", m);

        set(o, "mechanism", str_c(mechanism));
        set(o, "user", user);
        json_object_set_new(o, "accepted", json_boolean(accepted));
        print_json_now(o);
    } else if (!s->quiet) {
        print_moment(s, m);
        printf(accepted ? _("login by %s as ") : _("login by %s refused, as "), mechanism);
        print_text(user);
        done();
    }
}

void show_finding(struct show *s, const struct moment *m, enum finding what, struct str detail)
{
    static const enum colour of[] = {COLOUR_NONE, COLOUR_WARNING, COLOUR_ERROR};
    static const char *const names[] = {N_("note"), N_("warning"), N_("ERROR")};
    const struct finding_row *f = &finding_table[what];

    s->counts[f->severity]++;
    if (s->json) {
        json_t *o = event("finding", m);

        set(o, "id", str_c(f->id));
        set(o, "severity", str_c(severity_name(f->severity)));
        set(o, "rfc", str_c(f->rfc));
        set(o, "text", str_c(f->words));
        set(o, "detail", detail);
        print_json_now(o);
        return;
    }
    if (s->quiet && f->severity == SEVERITY_NOTE)
        return;
    print_moment(s, m);
    begin(s, of[f->severity]);
    printf("%s: %s", _(names[f->severity]), _(f->words));
    end(s, of[f->severity]);
    if (detail.n > 0) {
        printf(": ");
        print_text(detail);
    }
    begin(s, COLOUR_DIM);
    printf(" [%s, %s]", f->id, f->rfc);
    end(s, COLOUR_DIM);
    done();
}

void show_ended(struct show *s, const struct moment *m, const char *why)
{
    if (s->json) {
        json_t *o = event("disconnected", m);

        set(o, "reason", str_c(why));
        print_json_now(o);
    } else if (!s->quiet) {
        print_moment(s, m);
        printf("%s", _(why));
        done();
    }
}

/* ---- a message ---- */

static json_t *parts_json(const struct letter *l)
{
    json_t *list = json_array();
    size_t count;
    const struct part *p = letter_parts(l, &count);

    for (size_t i = 0; i < count; i++) {
        json_t *o = json_object();

        set_number(o, "depth", p[i].depth);
        set(o, "type", p[i].type);
        set(o, "charset", p[i].charset);
        set(o, "encoding", p[i].encoding);
        set(o, "disposition", p[i].disposition);
        set(o, "filename", p[i].filename);
        set_number(o, "size", p[i].bytes);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *headers_json(const struct letter *l)
{
    json_t *list = json_array();
    const struct fields *f = letter_fields(l);

    for (size_t i = 0; i < f->count; i++) {
        json_t *pair = json_array();

        json_array_append_new(pair, json_text(f->list[i].name));
        json_array_append_new(pair, json_text(f->list[i].value));
        json_array_append_new(list, pair);
    }
    return list;
}

static void message_json(const struct moment *x, const struct sink_message *m, struct str file)
{
    json_t *o = event("message", x), *to = json_array();

    for (size_t i = 0; i < m->recipient_count; i++)
        json_array_append_new(to, json_text(m->recipients[i]));
    set(o, "from", m->sender);
    json_object_set_new(o, "to", to);
    json_object_set_new(o, "accepted", json_boolean(m->accepted));
    json_object_set_new(o, "whole", json_boolean(m->whole));
    set_number(o, "code", m->code);
    set_number(o, "size", letter_bytes(m->letter));
    set_number(o, "size-said", m->size_said);
    set(o, "by", m->chunked ? STR("BDAT") : STR("DATA"));
    set(o, "body", str_c(m->body));
    json_object_set_new(o, "smtputf8", json_boolean(m->smtputf8));
    json_object_set_new(o, "tls", json_boolean(m->secured));
    set(o, "login", m->user);
    json_object_set_new(o, "headers", headers_json(m->letter));
    json_object_set_new(o, "parts", parts_json(m->letter));
    set(o, "file", file);
    print_json_now(o);
}

static void print_recipients(const struct sink_message *m)
{
    for (size_t i = 0; i < m->recipient_count && i < 5; i++) {
        printf("%s<", i > 0 ? ", " : "");
        print_text(m->recipients[i]);
        putchar('>');
    }
    if (m->recipient_count > 5)
        printf(_(" and %zu more"), m->recipient_count - 5);
}

static void print_fields(const struct letter *l)
{
    static const char *const shown[] = {"From", "Sender",  "Reply-To", "To",
                                        "Cc",   "Subject", "Date",     "Message-ID"};
    const struct fields *f = letter_fields(l);

    for (size_t i = 0; i < countof(shown); i++) {
        struct str value = fields_get(f, shown[i]);

        if (value.n == 0)
            continue;
        printf("      %-11s ", shown[i]);
        print_text(str_sub(value, 0, LINE_SHOWN_BYTES_MAX));
        putchar('\n');
    }
}

static void print_parts(const struct letter *l)
{
    size_t count;
    const struct part *p = letter_parts(l, &count);

    for (size_t i = 0; i < count; i++) {
        printf("      %*s", (int)p[i].depth * 2, "");
        print_text(p[i].type);
        if (p[i].charset.n > 0) {
            putchar(' ');
            print_text(p[i].charset);
        }
        if (p[i].encoding.n > 0) {
            putchar(' ');
            print_text(p[i].encoding);
        }
        if (p[i].filename.n > 0) {
            printf(" \"");
            print_text(p[i].filename);
            putchar('"');
        }
        printf(n_(", %llu byte\n", ", %llu bytes\n", (unsigned long)p[i].bytes),
               (unsigned long long)p[i].bytes);
    }
}

void show_message(struct show *s, const struct moment *x, const struct sink_message *m,
                  struct str file)
{
    s->message_count += m->accepted;
    if (s->json) {
        message_json(x, m, file);
        return;
    }
    if (s->quiet)
        return;
    print_moment(s, x);
    begin(s, COLOUR_GOOD);
    printf(m->accepted ? _("a message of %llu bytes")
           : m->whole  ? _("a message of %llu bytes, refused")
                       : _("half a message, %llu bytes"),
           (unsigned long long)letter_bytes(m->letter));
    end(s, COLOUR_GOOD);
    printf(_(", from <"));
    print_text(m->sender);
    printf(_("> to "));
    print_recipients(m);
    if (file.n > 0)
        printf(", %.*s", STR_ARG(file));
    putchar('\n');
    if (m->whole) {
        print_fields(m->letter);
        print_parts(m->letter);
    }
    (void)fflush(stdout);
}
