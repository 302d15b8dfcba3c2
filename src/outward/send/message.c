/* outward/send/message.c - the message of what was said and written, and its envelope. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "config/value.h"
#include "io/disk.h"
#include "mail/address_list.h"
#include "outward/send/send.h"

enum { KEY_BYTES_MAX = 64 * 1024, LIST_MAX = 200 };

/* ---- the envelope ---- */

static bool is_known(const struct sending *s, struct str address)
{
    for (size_t i = 0; i < s->outcome_count; i++) {
        if (str_eq(s->outcomes[i].to, address))
            return true;
    }
    return false;
}

/* The bare address of one mailbox, "Имя <a@b>". */
static int bare_address(struct sending *s, const char *option, struct str text, struct str *ret)
{
    struct parse_error error = {.text = ""};
    struct address address;
    struct str rest = text, inner;

    if (!address_list_next(&rest, &s->arena, &inner))
        inner = text;
    if (!address_parse(inner, &s->arena, &address, &error))
        return fail(s->line, EX_DATAERR, "%s %.*s: %s", option, STR_ARG(text), _(error.text));
    *ret = address_text(&s->arena, &address);
    return EX_OK;
}

static int add_recipient(struct sending *s, const char *option, struct str text)
{
    struct str address;
    int code = bare_address(s, option, text, &address);

    if (code != EX_OK || is_known(s, address))
        return code;
    if (s->outcome_count == RECIPIENTS_MAX)
        return fail(s->line, EX_DATAERR, _("more than %d recipients"), RECIPIENTS_MAX);
    s->outcomes[s->outcome_count++].to = address;
    return EX_OK;
}

/* Where the mailbox ends that *list begins with: at a comma outside of quotes and brackets. */
static struct str cut_mailbox(struct str *list)
{
    bool quoted = false;
    size_t depth = 0, i = 0;

    for (; i < list->n; i++) {
        char c = list->p[i];

        if (c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '<' || c == '('))
            depth++;
        else if (!quoted && depth > 0 && (c == '>' || c == ')'))
            depth--;
        else if (!quoted && depth == 0 && (c == ',' || c == ';'))
            break;
    }
    struct str one = str_sub(*list, 0, i);

    *list = str_skip(*list, i + 1);
    return str_trim(one);
}

/* Each mailbox of an option that may be said several times, with commas. */
static int take_mailboxes(struct sending *s, const char *option, const struct option_list *list,
                          const struct str **ret, size_t *ret_count, bool recipients)
{
    struct str *to = arena_alloc(&s->arena, RECIPIENTS_MAX * sizeof *to), rest;
    size_t count = 0;
    int code = EX_OK;

    for (size_t i = 0; i < list->count && code == EX_OK; i++) {
        code = text_argument(s, option, list->items[i], &rest);
        while (code == EX_OK && rest.n > 0) {
            struct str one = cut_mailbox(&rest), address;

            if (one.n == 0)
                continue;
            if (count == RECIPIENTS_MAX)
                return fail(s->line, EX_DATAERR, _("more than %d recipients"), RECIPIENTS_MAX);
            to[count++] = one;
            code =
                recipients ? add_recipient(s, option, one) : bare_address(s, option, one, &address);
        }
    }
    *ret = to;
    *ret_count = count;
    return code;
}

static int take_sender(struct sending *s)
{
    if (s->line->from) {
        int code = text_argument(s, "--from", s->line->from, &s->from);

        if (code != EX_OK)
            return code;
    }
    return bare_address(s, "--from", s->from, &s->sender);
}

static int take_reports(struct sending *s)
{
    const struct command_line *l = s->line;
    struct str envid = str_c(l->envid);

    if (l->notify && !notify_parse(str_c(l->notify), &s->notify))
        return fail(l, EX_USAGE,
                    _("--notify %s: success, failure, delay, with commas between, or never"),
                    l->notify);
    if (l->returned &&
        !notify_return_parse(str_eq_nocase(str_c(l->returned), STR("headers")) ? STR("HDRS")
                                                                               : str_c(l->returned),
                             &s->ret))
        return fail(l, EX_USAGE, _("--return %s: it is full or headers"), l->returned);
    if (l->envid && (envid.n == 0 || !notify_text_valid(envid, ENVID_BYTES_MAX)))
        return fail(l, EX_USAGE, _("--envid: at most %d letters, digits and signs of ASCII"),
                    ENVID_BYTES_MAX);
    s->envid = envid;
    return EX_OK;
}

int message_envelope(struct sending *s)
{
    const struct command_line *l = s->line;
    struct compose_options *o = &s->options;
    const struct str *bcc;
    size_t bcc_count;
    int code;

    s->outcomes = arena_alloc(&s->arena, RECIPIENTS_MAX * sizeof *s->outcomes);
    code = take_sender(s);
    if (code == EX_OK)
        code = take_mailboxes(s, "--to", &l->to, &o->to, &o->to_count, true);
    if (code == EX_OK)
        code = take_mailboxes(s, "--cc", &l->cc, &o->cc, &o->cc_count, true);
    if (code == EX_OK)
        code = take_mailboxes(s, "--bcc", &l->bcc, &bcc, &bcc_count, true);
    if (code == EX_OK)
        code =
            take_mailboxes(s, "--reply-to", &l->reply_to, &o->reply_to, &o->reply_to_count, false);
    if (code == EX_OK)
        code = take_reports(s);
    if (code == EX_OK && s->outcome_count == 0)
        return fail(l, EX_USAGE, _("to whom? --to ADDRESS"));
    return code;
}

/* ---- attachments ---- */

/* "FILE;name=NAME;type=TYPE", unless there is a file that is called so. */
static void take_part(struct sending *s, const char *text, struct compose_part *to)
{
    const struct {
        const char *word;
        const char **field;
    } rows[] = {{"name=", &to->name}, {"type=", &to->type}, {"id=", &to->id}};
    struct str rest = str_c(text);

    to->path = text;
    if (access(text, F_OK) == 0)
        return;
    to->path = arena_c(&s->arena, str_cut(&rest, ';'));
    while (rest.n > 0) {
        struct str one = str_cut(&rest, ';');
        bool known = false;

        for (size_t i = 0; i < countof(rows); i++) {
            struct str word = str_c(rows[i].word);

            if (!str_starts(one, word))
                continue;
            *rows[i].field = arena_c(&s->arena, str_skip(one, word.n));
            known = true;
        }
        if (!known) { /* then it is the name of a file that is not there */
            *to = (struct compose_part){.path = text};
            return;
        }
    }
}

static int take_parts(struct sending *s, const struct option_list *list,
                      const struct compose_part **ret, size_t *ret_count)
{
    struct compose_part *parts;

    if (list->count > COMPOSE_ATTACHMENTS_MAX)
        return fail(s->line, EX_USAGE, _("more than %d attachments"), COMPOSE_ATTACHMENTS_MAX);
    parts = arena_alloc(&s->arena, (list->count + 1) * sizeof *parts);
    for (size_t i = 0; i < list->count; i++)
        take_part(s, list->items[i], &parts[i]);
    *ret = parts;
    *ret_count = list->count;
    return EX_OK;
}

/* "pdf,.png": words with commas, in any number of options. */
static int take_words(struct sending *s, const char *option, const struct option_list *list,
                      const struct str **ret, size_t *ret_count)
{
    struct str *words = arena_alloc(&s->arena, LIST_MAX * sizeof *words);
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct str rest = str_c(list->items[i]);

        while (rest.n > 0) {
            struct str one = str_trim(str_cut(&rest, ','));

            if (str_starts(one, STR(".")))
                one = str_skip(one, 1);
            if (count == LIST_MAX)
                return fail(s->line, EX_USAGE, _("%s: more than %d words"), option, LIST_MAX);
            if (one.n > 0)
                words[count++] = one;
        }
    }
    if (list->count > 0 && count == 0)
        return fail(s->line, EX_USAGE, _("%s: nothing would be allowed"), option);
    *ret = words;
    *ret_count = count;
    return EX_OK;
}

static int take_limits(struct sending *s)
{
    static const struct value_range any = {"1", ""};
    const struct command_line *l = s->line;
    struct compose_limits *to = &s->options.limits;
    struct buf why = buf_init(KIB);
    int code = EX_OK;

    if (l->max_attachment && !value_parse(VALUE_BYTES, &any, str_c(l->max_attachment), &s->arena,
                                          &to->part_bytes_max, &why))
        code = fail(l, EX_USAGE, "--max-attachment %s: %s", l->max_attachment, buf_c(&why));
    buf_free(&why);
    if (code == EX_OK)
        code = take_words(s, "--allow-extensions", &l->allow_extensions, &to->extensions,
                          &to->extension_count);
    if (code == EX_OK)
        code = take_words(s, "--allow-types", &l->allow_types, &to->types, &to->type_count);
    return code;
}

/* ---- signing ---- */

static int make_signer(struct sending *s, struct str domain, struct str pem)
{
    struct buf error = buf_init(KIB);
    int code = EX_OK;

    if (dkim_signer_new(pem, domain, str_c(s->line->dkim_selector), &s->signer, &error) < 0)
        code = fail(s->line, EX_DATAERR, "--dkim-key %s: %s", s->line->dkim_key, buf_c(&error));
    buf_free(&error);
    s->options.dkim = s->signer;
    return code;
}

static int take_signer(struct sending *s)
{
    const struct command_line *l = s->line;
    struct str domain = str_skip(s->sender, str_find_last(s->sender, '@') + 1);

    if (!l->dkim_key) {
        if (l->dkim_domain || l->dkim_selector)
            return fail(l, EX_USAGE, _("--dkim-key FILE is what it is signed with"));
        return EX_OK;
    }
    if (!l->dkim_selector)
        return fail(l, EX_USAGE,
                    _("--dkim-selector says which key of %.*s it is: the SELECTOR of "
                      "SELECTOR._domainkey.%.*s"),
                    STR_ARG(domain), STR_ARG(domain));
    struct buf pem = buf_init(KEY_BYTES_MAX);
    int error = file_read(AT_FDCWD, l->dkim_key, KEY_BYTES_MAX, &pem);
    int code = error < 0
                   ? fail(l, EX_NOINPUT, "--dkim-key %s: %s", l->dkim_key, strerror(-error))
                   : make_signer(s, l->dkim_domain ? str_c(l->dkim_domain) : domain, buf_str(&pem));

    buf_wipe(&pem);
    return code;
}

/* ---- all of it ---- */

static int take_headers(struct sending *s)
{
    const struct option_list *list = &s->line->header;
    struct str *headers = arena_alloc(&s->arena, (list->count + 1) * sizeof *headers);

    if (list->count > COMPOSE_HEADERS_MAX)
        return fail(s->line, EX_USAGE, _("more than %d header fields"), COMPOSE_HEADERS_MAX);
    for (size_t i = 0; i < list->count; i++) {
        int code = text_argument(s, "--header", list->items[i], &headers[i]);

        if (code != EX_OK)
            return code;
    }
    s->options.headers = headers;
    s->options.header_count = list->count;
    return EX_OK;
}

/* "koi8-r", "koi8-r,auto", "auto" */
static void take_charset(struct sending *s)
{
    struct str rest = str_c(s->line->charset);
    struct str first = str_trim(str_cut(&rest, ','));
    bool only_auto = str_eq_nocase(first, STR("auto"));

    s->options.charset = only_auto ? STR_NONE : first;
    s->options.charset_auto = only_auto || str_eq_nocase(str_trim(rest), STR("auto"));
}

static int take_options(struct sending *s)
{
    const struct command_line *l = s->line;
    struct compose_options *o = &s->options;
    int code = take_headers(s);

    if (code == EX_OK)
        code = take_parts(s, &l->attach, &o->attachments, &o->attachment_count);
    if (code == EX_OK)
        code = take_parts(s, &l->inlined, &o->inlines, &o->inline_count);
    if (code == EX_OK)
        code = take_limits(s);
    if (code == EX_OK)
        code = take_signer(s);
    o->subject = STR("(no subject)");
    if (code == EX_OK && l->subject)
        code = text_argument(s, "--subject", l->subject, &o->subject);
    take_charset(s);
    return code;
}

int message_compose(struct sending *s)
{
    struct compose_options *o = &s->options;
    int code = take_options(s);
    struct buf error = buf_init(4 * KIB);

    o->from = s->from;
    o->text = buf_str(&s->text);
    o->html = buf_str(&s->html);
    o->hostname = s->hostname;
    o->clock = &clock_system;
    if (code == EX_OK) {
        code = compose_new(o, &s->compose, &error);
        if (code != EX_OK)
            fail(s->line, code, "%s", buf_c(&error));
    }
    buf_free(&error);
    return code;
}

/* ---- the file it is written to ---- */

/* It has no name, so it is gone with us, however we end. */
static int open_file(struct sending *s)
{
    const char *folder = getenv("TMPDIR");
    char name[4096];

    folder = folder && *folder ? folder : "/var/tmp";
    s->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return EX_OK;
    (void)snprintf(name, sizeof name, "%s/troika-XXXXXX", folder);
    s->fd = mkostemp(name, O_CLOEXEC); /* a file system without O_TMPFILE */
    if (s->fd < 0)
        return fail(s->line, EX_CANTCREAT,
                    _("%s: %s; the message is written there first, $TMPDIR names another folder"),
                    folder, strerror(errno));
    (void)unlink(name);
    return EX_OK;
}

static bool on_progress(void *arg, uint64_t done, uint64_t all)
{
    struct sending *s = arg;

    progress_at(&s->progress, done, all);
    return interrupt_seen() == 0;
}

enum compose_encoding message_encoding(const struct sending *s, const struct client_offers *offers)
{
    bool binary = offers->has_chunking && offers->has_binarymime;

    /* A hop behind it may have to convert it: then the signature would be broken, and nothing is
     * won where there is nothing large. The server of this machine keeps what it is given. */
    if (binary && !s->signer && s->options.attachment_count > 0 && s->way != WAY_QUEUE)
        return COMPOSE_BINARY;
    return offers->has_8bitmime ? COMPOSE_8BIT : COMPOSE_7BIT;
}

/* Would a message that was written for `had` do where `wanted` is best? What came out as plain
 * lines of ASCII suits everybody. */
static bool will_do(const struct sending *s, enum compose_encoding wanted)
{
    if (!s->written)
        return false;
    return s->encoding == wanted || (s->body == BODY_7BIT && wanted != COMPOSE_BINARY);
}

int message_write(struct sending *s, enum compose_encoding encoding)
{
    struct buf error = buf_init(4 * KIB);
    int code = EX_OK;

    if (will_do(s, encoding))
        return EX_OK;
    s->written = false;
    if (s->fd < 0)
        code = open_file(s);
    if (code == EX_OK && (ftruncate(s->fd, 0) < 0 || lseek(s->fd, 0, SEEK_SET) < 0))
        code = fail(s->line, EX_IOERR, "%s", strerror(errno));
    if (code == EX_OK) {
        progress_begin(&s->progress, &clock_system, _("composing"));
        code =
            compose_write(s->compose, encoding, s->fd, on_progress, s, &s->body, &s->bytes, &error);
        progress_clear(&s->progress);
        if (code != EX_OK && interrupt_seen() == 0)
            fail(s->line, code, "%s", buf_c(&error));
    }
    buf_free(&error);
    s->encoding = encoding;
    s->written = code == EX_OK;
    return code;
}
