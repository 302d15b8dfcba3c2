/* outward/probe/report.c - for a person: the verdict, what is wrong and what to do, then the tables. */
// SPDX-License-Identifier: ISC
#include "outward/probe/report.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "outward/probe/judge.h"

enum { LINE_BYTES_MAX = 8192, NAME_COLUMNS_MAX = 50, SEVERITY_COLUMNS = 12, STEP_COLUMNS = 12 };

/* ---- columns ---- */

static size_t columns_of(struct str text)
{
    uint32_t c;
    size_t n = 0;

    while (text.n > 0) {
        if (!utf8_cut(&text, &c))
            text = str_skip(text, 1);
        n++;
    }
    return n;
}

void report_wrap(struct buf *to, struct str text, size_t indent, size_t columns)
{
    size_t at = indent;
    bool first = true;

    while (text.n > 0) {
        struct str word = str_cut_word(&text);
        size_t width = columns_of(word);

        if (!first && at + 1 + width > columns) {
            buf_printf(to, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            buf_add_char(to, ' ');
            at++;
        }
        buf_add(to, word);
        at += width;
        first = false;
    }
}

/* Pads to a column. */
static void print_padded(struct str text, size_t columns)
{
    size_t n = print_text(text);

    printf("%*s", n < columns ? (int)(columns - n) : 1, "");
}

/* Lines of wrapped text; words of strangers are in it. */
static void print_lines(struct str text)
{
    do {
        struct str line = str_cut(&text, '\n');
        struct str rest = str_trim(line);

        printf("%.*s", (int)(line.n > 0 ? rest.p - line.p : 0), line.p ? line.p : "");
        print_text(rest);
        putchar('\n');
    } while (text.n > 0);
}

/* ---- colours ---- */

static const char *const severity_colours[SEVERITY_COUNT] = {
    [SEVERITY_BROKEN] = "1;31", [SEVERITY_UNKNOWN] = "35", [SEVERITY_WARNING] = "33",
    [SEVERITY_NOTE] = "36",     [SEVERITY_GOOD] = "32",
};

static void colour(const struct report *r, const char *code)
{
    if (r->colours)
        printf("\033[%sm", code);
}

/* ---- verdict and findings ---- */

static void print_verdict(const struct report *r)
{
    struct str rest = str_c(_(verdict(r->facts, r->findings)));
    struct buf text = buf_init(LINE_BYTES_MAX);
    size_t at = str_find_str(rest, STR("{about}"));

    buf_add(&text, str_sub(rest, 0, at));
    if (at < rest.n) {
        buf_add(&text, r->about);
        buf_add(&text, str_skip(rest, at + strlen("{about}")));
    }
    colour(r, "1");
    print_text(buf_str(&text));
    colour(r, "0");
    printf("\n\n");
    buf_free(&text);
}

static void print_part(const struct report *r, const char *mark, struct str text)
{
    struct buf lines = buf_init(LINE_BYTES_MAX);
    size_t indent = SEVERITY_COLUMNS + strlen(mark);

    report_wrap(&lines, text, indent, r->columns);
    if (*mark)
        printf("%*s%s", SEVERITY_COLUMNS, "", mark);
    print_lines(buf_str(&lines));
    buf_free(&lines);
}

static void print_finding(const struct report *r, const struct finding *k)
{
    const struct finding_row *row = &finding_rows[k->id];
    const char *word = _(severity_word(k->severity));
    size_t width = columns_of(str_c(word));
    struct buf text = buf_init(LINE_BYTES_MAX);

    colour(r, severity_colours[k->severity]);
    printf("%s", word);
    colour(r, "0");
    printf("%*s", width < SEVERITY_COLUMNS ? (int)(SEVERITY_COLUMNS - width) : 1, "");
    finding_print(&text, k, true);
    print_part(r, "", buf_str(&text));
    if (k->meaning)
        print_part(r, "= ", str_c(_(k->meaning)));
    if (*row->remedy)
        print_part(r, "> ", str_c(_(row->remedy)));
    buf_free(&text);
}

static void print_findings(const struct report *r)
{
    for (size_t i = 0; i < r->findings->count; i++)
        print_finding(r, &r->findings->list[i]);
}

/* ---- servers ---- */

static void print_ms(const struct fact_reply *reply, bool known)
{
    if (known)
        printf("%*llu ms", STEP_COLUMNS - 3, (unsigned long long)(reply->us / 1000));
    else
        printf("%*s", STEP_COLUMNS, "-");
}

static void print_tls(const struct fact_server *s)
{
    const struct fact_tls *t = &s->tls;
    struct buf day = buf_init(64);

    if (t->secured) {
        day_print(&day, t->not_after_us / US_PER_S / 86400);
        printf("  ");
        print_text(t->version);
        printf(_(", certificate until %s"), buf_c(&day));
    } else if (t->failure) {
        printf("  %s", _("TLS fails"));
    } else if (s->steps[TALK_EHLO].code == 250) {
        printf("  %s", _("no TLS"));
    }
    buf_free(&day);
}

static void print_server(const struct report *r, const struct fact_server *s, size_t width)
{
    static const enum fact_step shown[] = {TALK_CONNECT, TALK_GREETING, TALK_EHLO, TALK_TLS};

    print_padded(s->name, width);
    for (size_t i = 0; i < countof(shown); i++) {
        const struct fact_reply *reply = &s->steps[shown[i]];
        bool known = reply->tried && reply->error == 0 && (reply->us > 0 || reply->code > 0);

        print_ms(reply, known);
    }
    print_tls(s);
    putchar('\n');
    if (r->verbose && fact_greeted(s)) {
        struct str first = s->steps[TALK_GREETING].text;

        printf("    220 ");
        print_text(str_sub(first, 0, str_find(first, '\n')));
        putchar('\n');
        for (struct str rest = fact_offers_of(s)->lines; rest.n > 0;) {
            printf("    250 ");
            print_text(str_cut(&rest, '\n'));
            putchar('\n');
        }
    }
}

/* A heading above a column of figures: right-aligned, whatever its letters. */
static void print_head(const char *word, size_t columns)
{
    size_t n = columns_of(str_c(word));

    printf("%*s%s", n < columns ? (int)(columns - n) : 1, "", word);
}

static void print_servers(const struct report *r)
{
    static const char *const heads[] = {N_("connect"), N_("greeting"), "EHLO", "TLS"};
    const struct facts *f = r->facts;
    size_t width = columns_of(str_c(_("server")));

    if (f->server_count == 0)
        return;
    for (size_t i = 0; i < f->server_count; i++)
        width = MAX_OF(width, MIN_OF(columns_of(f->servers[i]->name), (size_t)NAME_COLUMNS_MAX));
    putchar('\n');
    colour(r, "1");
    print_padded(str_c(_("server")), width);
    for (size_t i = 0; i < countof(heads); i++)
        print_head(_(heads[i]), STEP_COLUMNS);
    colour(r, "0");
    putchar('\n');
    for (size_t i = 0; i < f->server_count; i++)
        print_server(r, f->servers[i], width);
}

/* ---- names ---- */

const char *report_type_word(enum dns_type t)
{
    static const struct {
        enum dns_type type;
        const char *word;
    } words[] = {{DNS_A, "A"},     {DNS_AAAA, "AAAA"}, {DNS_MX, "MX"},
                 {DNS_TXT, "TXT"}, {DNS_TLSA, "TLSA"}, {DNS_SRV, "SRV"}};

    for (size_t i = 0; i < countof(words); i++)
        if (words[i].type == t)
            return words[i].word;
    return "?";
}

static void add_record(struct buf *to, enum dns_type type, const struct dns_record *r)
{
    char text[INET6_ADDRSTRLEN];

    if (type == DNS_A || type == DNS_AAAA)
        buf_add_c(to, inet_ntop(type == DNS_A ? AF_INET : AF_INET6, r->address, text, sizeof text));
    else if (type == DNS_MX)
        buf_printf(to, "%u %.*s", r->preference, STR_ARG(r->name));
    else if (type == DNS_TLSA)
        buf_printf(to, "%u %u %u ", r->usage, r->selector, r->matching);
    else
        buf_add(to, r->bytes);
    if (type == DNS_MX && r->name.n == 0)
        buf_add_char(to, '.');
    for (size_t i = 0; type == DNS_TLSA && i < r->bytes.n; i++)
        buf_printf(to, "%02x", (uint8_t)r->bytes.p[i]);
}

void report_answer(struct buf *to, enum dns_type type, const struct fact_answer *a)
{
    static const char *const none[] = {
        [DNS_NO_DATA] = N_("none"), [DNS_NO_NAME] = N_("no such name")};

    if (a->outcome == DNS_LATER)
        buf_add(to, a->why);
    else if (a->outcome != DNS_FOUND)
        buf_add_c(to, _(none[a->outcome]));
    for (size_t i = 0; i < a->count; i++) {
        if (i > 0)
            buf_add_c(to, ", ");
        add_record(to, type, &a->records[i]);
    }
}

static bool worth_showing(const struct report *r, const struct fact_question *q)
{
    return q->answer->asked && (r->verbose || q->answer->outcome == DNS_FOUND);
}

static void print_question(const struct report *r, const struct fact_question *q)
{
    struct buf name = buf_init(LINE_BYTES_MAX), lines = buf_init(2 * LINE_BYTES_MAX);
    struct buf answer = buf_init(LINE_BYTES_MAX);
    size_t indent = 4;

    buf_printf(&name, "%-4s %.*s", report_type_word(q->type), STR_ARG(q->name));
    print_padded(buf_str(&name), NAME_COLUMNS_MAX);
    printf("%6llu ms%s\n", (unsigned long long)(q->answer->us / 1000),
           q->answer->security == DNS_SECURE ? _("  signed") : "");
    report_answer(&answer, q->type, q->answer);
    if (q->answer->cname_count > 0)
        buf_printf(&lines, "-> %.*s: ", STR_ARG(q->answer->canonical));
    buf_add(&lines, buf_str(&answer));
    buf_reset(&answer);
    report_wrap(&answer, buf_str(&lines), indent, r->columns);
    printf("%*s", (int)indent, "");
    print_lines(buf_str(&answer));
    buf_free(&answer);
    buf_free(&lines);
    buf_free(&name);
}

static void print_reverse(const struct report *r)
{
    const struct facts *f = r->facts;

    for (size_t i = 0; i < f->host_count; i++)
        for (size_t k = 0; k < f->hosts[i].address_count; k++) {
            const struct fact_address *a = &f->hosts[i].addresses[k];

            if (!a->reverse_known || a->reverse != REVERSE_FOUND)
                continue;
            printf("PTR  ");
            print_text(a->text);
            printf("\n    ");
            print_text(a->reverse_name);
            putchar('\n');
        }
}

static void print_names(const struct report *r)
{
    const struct facts *f = r->facts;
    size_t shown = 0;

    for (size_t i = 0; i < f->question_count; i++)
        shown += worth_showing(r, &f->questions[i]);
    if (shown == 0)
        return;
    putchar('\n');
    colour(r, "1");
    printf("%s\n", _("names"));
    colour(r, "0");
    for (size_t i = 0; i < f->question_count; i++)
        if (worth_showing(r, &f->questions[i]))
            print_question(r, &f->questions[i]);
    print_reverse(r);
}

void report_print(const struct report *r)
{
    print_verdict(r);
    print_findings(r);
    print_servers(r);
    print_names(r);
    printf(_("\nAll of it took %.1f s.\n"), (double)r->facts->us / (double)US_PER_S);
}
