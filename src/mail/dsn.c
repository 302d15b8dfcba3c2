/* mail/dsn.c - three parts: words, fields, the original or its header.
 *
 * The boundary starts with "=_", which quoted-printable never contains; the header is sent as it
 * is only when no line of it starts with "--". All other lines are ours and start with a blank, a
 * letter or nothing. A whole original is returned only if it does not hold the boundary. So that
 * occurs where it is meant to, whatever the mail said. */
// SPDX-License-Identifier: ISC
#include "mail/dsn.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "mail/date.h"
#include "mail/fold.h"
#include "mail/header.h"
#include "mail/idn.h"
#include "mail/reply.h"
#include "mail/trace.h"

enum { HEADER_BYTES_MAX = 64 * 1024, MESSAGE_ID_BYTES_MAX = 250 };
enum { TEXT_LINE_BYTES_MAX = 998 }; /* without CRLF: RFC 5322 2.1.1 */

/* What we say of it: to one, to several, and as the subject. */
static const struct action_words {
    const char *name, *subject, *did;
} action_table[DSN_ACTION_COUNT] = {
    [DSN_FAILED] = {"failed", "Your message could not be delivered", "could not be delivered to"},
    [DSN_DELAYED] = {"delayed", "Your message is delayed",
                     "could not be delivered yet. It is still tried for"},
    [DSN_DELIVERED] = {"delivered", "Your message was delivered", "was delivered to"},
    [DSN_RELAYED] = {"relayed", "Your message was passed on",
                     "was passed on. You will hear no more of"},
    [DSN_EXPANDED] = {"expanded", "Your message was sent to a list", "was sent to all members of"},
};

/* Where they differ: of confirmations only. */
static const struct action_words mixed = {"", "What became of your message", "has gone to"};

const char *dsn_action_name(enum dsn_action a)
{
    return action_table[a].name;
}

static const struct action_words *words_of(const struct dsn *d)
{
    for (size_t i = 1; i < d->recipient_count; i++)
        if (d->recipients[i].action != d->recipients[0].action)
            return &mixed;
    return &action_table[d->recipient_count > 0 ? d->recipients[0].action : DSN_FAILED];
}

/* What a remote server's refusal means, by subject and detail (RFC 3463); detail 0 stands for all
 * other details of its subject. Our own refusals have their words in replies.def. */
static const struct meaning {
    uint8_t subject, detail;
    const char *cause, *remedy;
} meanings[] = {
    {0, 0, "The other server refused the message.", "Read its answer below."},
    {1, 0, "The other server does not accept this address.",
     "Check the spelling of the address, or ask the recipient another way."},
    {1, 1, "The other server has no such mailbox.",
     "Check the spelling of the address, or ask the recipient another way."},
    {1, 2, "The other server does not know this domain.", "Check what stands after the @."},
    {1, 6, "The recipient has moved.", "Ask the recipient for the new address."},
    {1, 7, "The other server does not accept your address as a sender.",
     "Show this report to the administrator of your mail server."},
    {1, 8, "The other server does not accept your address as a sender.",
     "Show this report to the administrator of your mail server."},
    {1, 10, "This domain does not take any mail.", "Ask the recipient for another address."},
    {2, 0, "The mailbox of the recipient cannot be used.",
     "Try again later, or reach the recipient another way."},
    {2, 1, "The mailbox of the recipient is closed.", "Reach the recipient another way."},
    {2, 2, "The mailbox of the recipient is full.",
     "Try again later, or tell the recipient another way."},
    {2, 3, "The message is too large for the recipient.",
     "Send less, or put the file elsewhere and send a link."},
    {3, 0, "The other server has trouble of its own.", "Try again later."},
    {3, 4, "The message is too large for the other server.",
     "Send less, or put the file elsewhere and send a link."},
    {4, 0, "The other server could not be reached.", "Try again later."},
    {4, 6, "The message went round in a circle between servers.",
     "Show this report to the administrators of both mail servers."},
    {5, 0, "The two servers did not understand each other.",
     "Show this report to the administrator of your mail server."},
    {6, 0, "The other server does not accept the form of the message.",
     "Send it in a simpler form, for example as plain text."},
    {7, 0, "The rules of the other server forbid this message.",
     "Read its answer below; its postmaster can say which rule it was."},
};

static const struct meaning *find_meaning(const struct status *st)
{
    const struct meaning *best = &meanings[0];

    for (size_t i = 0; i < countof(meanings); i++)
        if (meanings[i].subject == st->subject &&
            (meanings[i].detail == st->detail || meanings[i].detail == 0))
            best = &meanings[i];
    return best;
}

static void add_line(struct buf *to, const char *text)
{
    (void)buf_add_c(to, text);
    (void)buf_add(to, STR("\r\n"));
}

static void add_paragraph(struct buf *to, const char *indent, struct str text)
{
    struct fold f = fold_paragraph(to, indent);

    fold_text(&f, text);
    fold_end(&f);
}

static void add_date_field(struct buf *to, const char *name, uint64_t us)
{
    (void)buf_printf(to, "%s: ", name);
    date_print(to, us, 0);
    (void)buf_add(to, STR("\r\n"));
}

/* An address in the letters of its people, domain and all. */
static void add_readable_word(struct fold *f, struct str address)
{
    struct buf text = buf_init(8 * KIB);

    idn_print_readable(&text, address);
    fold_token(f, buf_str(&text));
    buf_free(&text);
}

static void add_text_field(struct buf *to, const char *name, const char *type, struct str text)
{
    struct fold f = fold_field(to, name);

    if (type)
        fold_word(&f, str_c(type));
    fold_text(&f, text);
    fold_end(&f);
}

/* RFC 6533 3 utf-8-addr-xtext: its letters outside ASCII as \x{43F}. */
static void add_xtext_word(struct fold *f, struct str address)
{
    struct buf text = buf_init(8 * KIB);
    uint32_t c;

    while (utf8_cut(&address, &c))
        if (c > ' ' && c <= '~' && !strchr("+=\\", (int)c))
            (void)buf_add_char(&text, (char)c);
        else
            (void)buf_printf(&text, "\\x{%X}", c);
    fold_token(f, buf_str(&text));
    buf_free(&text);
}

static void add_address_word(struct fold *f, const struct dsn *d, struct str address)
{
    f->utf8 = d->utf8;
    if (utf8_is_ascii(address))
        fold_token(f, address);
    else if (d->utf8)
        add_readable_word(f, address);
    else
        add_xtext_word(f, address);
}

static void add_address_field(struct buf *to, const struct dsn *d, const char *name,
                              struct str address)
{
    struct fold f = fold_field(to, name);

    fold_word(&f, utf8_is_ascii(address) ? STR("rfc822;") : STR("utf-8;"));
    add_address_word(&f, d, address);
    fold_end(&f);
}

/* "rfc822;bob@example.org" */
static void add_typed_field(struct buf *to, const struct dsn *d, const char *name, struct str typed)
{
    struct fold f = fold_field(to, name);
    struct str type = str_cut(&typed, ';');

    fold_token(&f, type);
    (void)buf_add_char(to, ';');
    add_address_word(&f, d, typed);
    fold_end(&f);
}

/* "=_" and the name of the message it is about and the time: two reports differ. */
static void add_boundary(struct buf *to, const struct dsn *d)
{
    (void)buf_printf(to, "=_%s.%llx", id_print(d->original_id).p, (unsigned long long)d->now_us);
}

static void add_part(struct buf *to, const struct dsn *d, const char *type)
{
    (void)buf_add(to, STR("\r\n--"));
    add_boundary(to, d);
    (void)buf_printf(to, "\r\nContent-Type: %s\r\n", type);
}

/* The original's Message-ID, if it is a plain one: threads the report to the message. */
static struct str original_message_id(const struct dsn *d)
{
    struct header_field field;

    if (!header_find(d->original_header, "Message-ID", &field))
        return STR_NONE;
    struct str id = str_trim(field.body);
    if (id.n < 3 || id.n > MESSAGE_ID_BYTES_MAX || id.p[0] != '<' || id.p[id.n - 1] != '>')
        return STR_NONE;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] > '~')
            return STR_NONE;
    return id;
}

/* Is there an address in it that ASCII has no letters for? */
static bool names_utf8(const struct dsn *d)
{
    bool ascii = true;

    for (size_t i = 0; i < d->recipient_count && ascii; i++)
        ascii = utf8_is_ascii(d->recipients[i].final) && utf8_is_ascii(d->recipients[i].original) &&
                utf8_is_ascii(d->recipients[i].orcpt);
    return !ascii;
}

/* May it stand in a message as it is? Lines in CRLF, none too long, no NUL. */
static bool lines_are_legal(struct str s)
{
    while (s.n > 0) {
        bool ended = str_find(s, '\n') < s.n;
        struct str line = str_cut(&s, '\n');
        bool whole = str_ends(line, STR("\r"));

        line = str_sub(line, 0, line.n - whole);
        if (ended != whole || line.n > TEXT_LINE_BYTES_MAX || str_find(line, '\r') < line.n ||
            str_find(line, '\0') < line.n)
            return false;
    }
    return true;
}

static bool holds_boundary(const struct dsn *d)
{
    struct buf boundary = buf_init(128);
    add_boundary(&boundary, d);
    bool holds = str_find_str(d->original, buf_str(&boundary)) < d->original.n;
    buf_free(&boundary);
    return holds;
}

static bool returns_whole(const struct dsn *d)
{
    return d->original.n > 0 && lines_are_legal(d->original) && !holds_boundary(d);
}

bool dsn_header_is_utf8(const struct dsn *d)
{
    return !utf8_is_ascii(d->to);
}

static bool original_is_8bit(const struct dsn *d)
{
    return !utf8_is_ascii(d->original) && returns_whole(d);
}

static bool header_is_global(const struct dsn *d);

bool dsn_is_8bit(const struct dsn *d)
{
    return original_is_8bit(d) || names_utf8(d) || header_is_global(d);
}

static void add_to(struct fold *f, const struct dsn *d)
{
    f->utf8 = true; /* there is no other form of it */
    if (dsn_header_is_utf8(d))
        add_readable_word(f, d->to);
    else
        fold_token(f, d->to);
}

static void add_header(struct buf *to, const struct dsn *d)
{
    struct str about = original_message_id(d);
    struct fold f;

    (void)buf_printf(to, "From: Mail server <postmaster@%.*s>\r\n", STR_ARG(d->reporting_host));
    f = fold_field(to, "To");
    add_to(&f, d);
    fold_end(&f);
    (void)buf_printf(to, "Subject: %s\r\n", words_of(d)->subject);
    add_date_field(to, "Date", d->now_us);
    message_id_print(to, d->reporting_host);
    if (about.n) {
        add_text_field(to, "In-Reply-To", NULL, about);
        add_text_field(to, "References", NULL, about);
    }
    add_line(to, "Auto-Submitted: auto-replied");
    add_line(to, "MIME-Version: 1.0");
    if (dsn_is_8bit(d))
        add_line(to, "Content-Transfer-Encoding: 8bit");
    (void)buf_add(to, STR("Content-Type: multipart/report; report-type=delivery-status;\r\n"
                          "\tboundary=\""));
    add_boundary(to, d);
    (void)buf_add(to, STR("\"\r\n"));
}

static void add_reply_text(struct buf *text, const struct status *st)
{
    if (st->code)
        (void)buf_printf(text, "%u ", st->code);
    status_print_enhanced(text, st);
    (void)buf_add_char(text, ' ');
    (void)buf_add_c(text, st->text);
}

static void add_name(struct fold *f, const struct dsn *d, struct str address)
{
    f->utf8 = names_utf8(d);
    if (f->utf8)
        add_readable_word(f, address);
    else
        fold_token(f, address);
}

static void add_recipient_name(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    struct fold f = fold_paragraph(to, "  ");

    add_name(&f, d, r->final);
    if (r->original.n && !str_eq(r->original, r->final)) {
        fold_word(&f, STR("(you wrote"));
        add_name(&f, d, r->original);
        (void)buf_add_char(to, ')');
    }
    fold_end(&f);
}

static void add_answer(struct buf *to, const struct dsn_recipient *r, bool ours)
{
    struct buf text = buf_init(2 * STATUS_TEXT_BYTES_MAX);

    if (r->remote.n)
        (void)buf_printf(&text, "%s %.*s", ours ? "Last tried with" : "Answer of",
                         STR_ARG(r->remote));
    else if (r->next_hop.n)
        (void)buf_printf(&text, "Last tried to reach %.*s", STR_ARG(r->next_hop));
    else
        (void)buf_add(&text, STR("Noted"));
    if (r->last_attempt_us) {
        (void)buf_add(&text, STR(" on "));
        date_print(&text, r->last_attempt_us, 0);
    }
    (void)buf_add_char(&text, ':');
    add_paragraph(to, "    ", buf_str(&text));
    buf_reset(&text);
    add_reply_text(&text, &r->status);
    add_paragraph(to, "      ", buf_str(&text));
    buf_free(&text);
}

/* Our words, if it is we who say so. What another server says in our words, being a Troika itself,
 * is still its own matter. */
static const struct reply_row *our_row(const struct dsn_recipient *r)
{
    const struct reply_row *row = reply_row_of(&r->status);

    return row && (r->remote.n == 0 || row == &reply_table[REPLY_EXPIRED]) ? row : NULL;
}

static void add_attempts(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    struct buf text = buf_init(KIB);

    if (r->action == DSN_FAILED && d->expired && r->attempt_count > 1) {
        (void)buf_printf(&text, "It was tried %u times and will not be tried again.",
                         r->attempt_count);
        add_paragraph(to, "    ", buf_str(&text));
    }
    buf_free(&text);
}

static void add_failure_words(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    const struct meaning *meaning = find_meaning(&r->status);
    const struct reply_row *ours = our_row(r);
    struct buf text = buf_init(2 * STATUS_TEXT_BYTES_MAX);

    add_paragraph(to, "    ", str_c(ours ? ours->cause : meaning->cause));
    add_answer(to, r, ours != NULL);
    add_attempts(to, d, r);
    (void)buf_printf(&text, "What to do: %s", ours ? ours->remedy : meaning->remedy);
    add_paragraph(to, "    ", buf_str(&text));
    buf_free(&text);
}

static void add_delay_words(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    const struct reply_row *ours = our_row(r);
    struct buf text = buf_init(KIB);

    (void)d;
    add_paragraph(to, "    ", str_c(ours ? ours->cause : find_meaning(&r->status)->cause));
    add_answer(to, r, ours != NULL);
    (void)buf_add(&text, STR("What to do: Nothing. We go on trying until "));
    date_print(&text, r->until_us, 0);
    (void)buf_add(&text, STR(" and there is no need to send it again."));
    add_paragraph(to, "    ", buf_str(&text));
    buf_free(&text);
}

static void add_delivered_words(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    (void)d;
    (void)r;
    add_paragraph(to, "    ", STR("It is in the mailbox."));
}

static void add_relayed_words(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    (void)d;
    add_paragraph(to, "    ", STR("The next server took it, and does not confirm deliveries."));
    add_answer(to, r, false);
}

static void add_expanded_words(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    (void)d;
    (void)r;
    add_paragraph(to, "    ",
                  STR("The address stands for several others, and it was sent to each. "
                      "What becomes of it there is not confirmed."));
}

static void add_recipient_words(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    static void (*const words[DSN_ACTION_COUNT])(struct buf * to, const struct dsn *d,
                                                 const struct dsn_recipient *r) = {
        [DSN_FAILED] = add_failure_words,      [DSN_DELAYED] = add_delay_words,
        [DSN_DELIVERED] = add_delivered_words, [DSN_RELAYED] = add_relayed_words,
        [DSN_EXPANDED] = add_expanded_words,
    };

    (void)buf_add(to, STR("\r\n"));
    add_recipient_name(to, d, r);
    words[r->action](to, d, r);
}

static void add_words(struct buf *to, const struct dsn *d)
{
    struct buf text = buf_init(1024);

    add_part(to, d, names_utf8(d) ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii");
    if (names_utf8(d))
        add_line(to, "Content-Transfer-Encoding: 8bit");
    (void)buf_printf(&text, "This is the mail server %.*s. Your message",
                     STR_ARG(d->reporting_host));
    if (d->arrival_us) {
        (void)buf_add(&text, STR(" of "));
        date_print(&text, d->arrival_us, 0);
    }
    (void)buf_printf(&text, " %s %s:", words_of(d)->did,
                     d->recipient_count == 1 ? "this recipient" : "these recipients");
    (void)buf_add(to, STR("\r\n"));
    add_paragraph(to, "", buf_str(&text));
    for (size_t i = 0; i < d->recipient_count; i++)
        add_recipient_words(to, d, &d->recipients[i]);

    buf_reset(&text);
    (void)buf_add(to, STR("\r\n"));
    if (d->original_id.key)
        (void)buf_printf(&text, "If you ask for help, give this number: %s. ",
                         id_print(d->original_id).p);
    (void)buf_printf(&text, "Below are the same facts for programs, and %syour message%s.",
                     returns_whole(d) ? "" : "the header of ",
                     d->too_large ? ", which is too large to be returned whole" : "");
    add_paragraph(to, "", buf_str(&text));
    buf_free(&text);
}

static bool is_host_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '.')
            return false;
    return s.n > 0;
}

/* RFC 3464 2.3.5: a name, or an address in brackets; never the port. remote: "NAME (ADDRESS:PORT)",
 * "ADDRESS:PORT" or "NAME". */
static void add_remote_field(struct buf *to, struct str remote)
{
    struct str name = str_sub(remote, 0, str_find(remote, ' '));
    size_t colon = str_find_last(name, ':');
    struct fold f;

    if (colon < name.n)
        name = str_sub(name, 0, colon);
    bool bracketed = str_starts(name, STR("["));
    bool is_address = !bracketed && name.n > 0 && char_is_digit(name.p[name.n - 1]);
    if (!bracketed && !is_host_name(name))
        return;
    f = fold_field(to, "Remote-MTA");
    fold_word(&f, STR("dns;"));
    if (is_address)
        fold_word(&f, STR("["));
    if (is_address)
        f.at_start = true; /* no blank inside */
    fold_token(&f, name);
    if (is_address)
        (void)buf_add_char(to, ']');
    fold_end(&f);
}

/* What was said, if it says more than that it is done. */
static void add_diagnostic(struct buf *to, const struct dsn_recipient *r)
{
    struct buf text = buf_init(2 * STATUS_TEXT_BYTES_MAX);
    /* Ours, or without a reply code (an error of a disk, say): no server said this in SMTP. */
    bool said = r->status.code && !our_row(r);

    add_reply_text(&text, &r->status);
    if (r->action <= DSN_DELAYED || (said && r->action == DSN_RELAYED))
        add_text_field(to, "Diagnostic-Code", said ? "smtp;" : "x-troika;", buf_str(&text));
    buf_free(&text);
}

/* RFC 3464 2.3 */
static void add_recipient_fields(struct buf *to, const struct dsn *d, const struct dsn_recipient *r)
{
    struct buf text = buf_init(2 * STATUS_TEXT_BYTES_MAX);

    (void)buf_add(to, STR("\r\n"));
    if (r->orcpt.n)
        add_typed_field(to, d, "Original-Recipient", r->orcpt);
    else if (r->original.n)
        add_address_field(to, d, "Original-Recipient", r->original);
    add_address_field(to, d, "Final-Recipient", r->final);
    (void)buf_printf(to, "Action: %s\r\n", dsn_action_name(r->action));
    status_print_enhanced(&text, &r->status);
    add_text_field(to, "Status", NULL, buf_str(&text));
    if (r->remote.n)
        add_remote_field(to, r->remote);
    add_diagnostic(to, r);
    if (r->last_attempt_us)
        add_date_field(to, "Last-Attempt-Date", r->last_attempt_us);
    if (r->action == DSN_DELAYED)
        add_date_field(to, "Will-Retry-Until", r->until_us);
    buf_free(&text);
}

/* RFC 3464 2.2 */
static void add_fields(struct buf *to, const struct dsn *d)
{
    bool global = d->utf8 && names_utf8(d);

    add_part(to, d, global ? "message/global-delivery-status" : "message/delivery-status");
    if (global)
        add_line(to, "Content-Transfer-Encoding: 8bit");
    (void)buf_add(to, STR("\r\n"));
    if (d->envid.n) {
        struct fold f = fold_field(to, "Original-Envelope-Id");
        fold_token(&f, d->envid);
        fold_end(&f);
    }
    add_text_field(to, "Reporting-MTA", "dns;", d->reporting_host);
    if (d->original_id.key)
        add_text_field(to, "X-Troika-ID", NULL, str_c(id_print(d->original_id).p));
    if (d->arrival_us)
        add_date_field(to, "Arrival-Date", d->arrival_us);
    for (size_t i = 0; i < d->recipient_count; i++)
        add_recipient_fields(to, d, &d->recipients[i]);
}

static struct str cut_header_line(struct str *rest)
{
    struct str line = str_cut(rest, '\n');

    return str_ends(line, STR("\r")) ? str_sub(line, 0, line.n - 1) : line;
}

static bool is_plain_text(char c)
{
    return (c >= ' ' && c <= '~') || c == '\t';
}

static bool line_is_plain(struct str line)
{
    if (line.n > TEXT_LINE_BYTES_MAX || str_starts(line, STR("--")))
        return false;
    for (size_t i = 0; i < line.n; i++)
        if (!is_plain_text(line.p[i]))
            return false;
    return true;
}

static bool header_is_plain(struct str header)
{
    while (header.n > 0)
        if (!line_is_plain(cut_header_line(&header)))
            return false;
    return true;
}

/* RFC 2045 6.7 */
static void add_quoted_printable(struct buf *to, struct str line)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;

    for (size_t i = 0; i < line.n; i++) {
        uint8_t c = (uint8_t)line.p[i];
        bool at_end = i + 1 == line.n;
        bool plain = is_plain_text(line.p[i]) && c != '=' && !(char_is_blank(line.p[i]) && at_end);

        if (column + (plain ? 1 : 3) > 75) {
            (void)buf_add(to, STR("=\r\n"));
            column = 0;
        }
        /* A line that starts with a hyphen could be taken for a boundary. */
        if (plain && !(c == '-' && column == 0)) {
            (void)buf_add_char(to, line.p[i]);
            column++;
            continue;
        }
        char code[] = {'=', hex[c >> 4], hex[c & 15]};
        (void)buf_add(to, str_n(code, sizeof(code)));
        column += sizeof(code);
    }
}

/* Whole lines, at most so many bytes. */
static struct str quoted_header(struct str header)
{
    header = str_sub(header, 0, header_bytes(header));
    if (header.n <= HEADER_BYTES_MAX)
        return header;
    header = str_sub(header, 0, HEADER_BYTES_MAX);
    size_t last = str_find_last(header, '\n');
    return last < header.n ? str_sub(header, 0, last + 1) : header;
}

static bool utf8_line_is_plain(struct str line)
{
    bool visible = line.n <= TEXT_LINE_BYTES_MAX && !str_starts(line, STR("--"));
    uint32_t c;

    while (line.n > 0 && visible)
        visible = utf8_cut(&line, &c) && (utf8_is_visible(c) || c == '\t');
    return visible;
}

/* Is the original's header to be returned in UTF-8 as it is? */
static bool header_is_global(const struct dsn *d)
{
    struct str header = quoted_header(d->original_header);
    bool global = d->utf8 && !utf8_is_ascii(header);

    while (header.n > 0 && global)
        global = utf8_line_is_plain(cut_header_line(&header));
    return global;
}

static void add_original_header(struct buf *to, const struct dsn *d)
{
    struct str header = quoted_header(d->original_header);
    bool global = header_is_global(d);
    bool plain = global || header_is_plain(header);

    add_part(to, d, global ? "message/global-headers" : "text/rfc822-headers");
    if (global)
        add_line(to, "Content-Transfer-Encoding: 8bit");
    if (!plain)
        add_line(to, "Content-Transfer-Encoding: quoted-printable");
    (void)buf_add(to, STR("\r\n"));
    while (header.n > 0) {
        struct str line = cut_header_line(&header);
        if (plain)
            (void)buf_add(to, line);
        else
            add_quoted_printable(to, line);
        (void)buf_add(to, STR("\r\n"));
    }
}

static void add_original(struct buf *to, const struct dsn *d)
{
    struct str header = str_sub(d->original, 0, header_bytes(d->original));

    add_part(to, d, d->utf8 && !utf8_is_ascii(header) ? "message/global" : "message/rfc822");
    if (original_is_8bit(d))
        add_line(to, "Content-Transfer-Encoding: 8bit");
    (void)buf_add(to, STR("\r\n"));
    (void)buf_add(to, d->original);
    if (!str_ends(d->original, STR("\r\n")))
        (void)buf_add(to, STR("\r\n"));
}

void dsn_print(struct buf *to, const struct dsn *d)
{
    add_header(to, d);
    add_words(to, d);
    add_fields(to, d);
    if (returns_whole(d))
        add_original(to, d);
    else if (d->original_header.n)
        add_original_header(to, d);
    (void)buf_add(to, STR("\r\n--"));
    add_boundary(to, d);
    (void)buf_add(to, STR("--\r\n"));
}
