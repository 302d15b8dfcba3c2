/* cli/sendmail.c - what programs on this machine send mail with.
 *
 *   options -> standard input -> recipients -> header made whole -> the server
 *     what it does not take now: a drop file          (to the caller that is success)
 *     what it refuses for good: said, or mailed back, as -e wants */
// SPDX-License-Identifier: ISC
#include "cli/sendmail.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/utf8.h"
#include "mail/address_list.h"
#include "mail/drop.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/reply.h"
#include "mail/submission.h"
#include "mail/trace.h"

enum { HEADER_BYTES_MAX = 4 * 1024 * 1024, REPORT_BYTES_MAX = 2 * 1024 * 1024 };
enum { REPORT_RECIPIENTS_MAX = 100, READ_BYTES = 64 * 1024 };

struct sending {
    struct sendmail *options;
    struct config *config;
    struct arena arena;
    struct str domain; /* of names without one */
    struct str login, full_name;

    struct buf input, header;
    struct mail mail;
    struct map *known; /* recipients, so that each is there once */
    struct str *recipients;
    size_t recipient_count, recipient_room;

    struct dsn_recipient *refused;
    size_t refused_count;
    int code;
};

static void note_code(struct sending *s, int code)
{
    if (s->code == EX_OK)
        s->code = code;
}

static bool is_quiet(const struct sending *s)
{
    return s->options->error_mode != 'p' && s->options->error_mode != 'w';
}

/* ---- who ---- */

static char capital(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static void take_gecos(struct sending *s, const struct passwd *user)
{
    struct str gecos = str_c(user->pw_gecos);
    struct buf name = buf_init(KIB);

    gecos = str_cut(&gecos, ',');
    for (size_t i = 0; i < gecos.n; i++) {
        if (gecos.p[i] == '&') /* the login, with a capital: as old as the field */
            buf_printf(&name, "%c%s", capital(user->pw_name[0]), user->pw_name + 1);
        else
            buf_add_char(&name, gecos.p[i]);
    }
    s->full_name = arena_copy(&s->arena, buf_str(&name));
    buf_free(&name);
}

static void take_user(struct sending *s)
{
    const struct passwd *user = getpwuid(getuid());

    if (user) {
        s->login = arena_copy(&s->arena, str_c(user->pw_name));
        take_gecos(s, user);
    } else {
        s->login = arena_printf(&s->arena, "uid%u", (unsigned)getuid());
    }
    if (s->options->full_name)
        s->full_name = str_c(s->options->full_name);
    s->full_name = str_trim(s->full_name);
}

static bool one_address(struct sending *s, struct str text, struct str *ret)
{
    struct address address;
    struct parse_error error = {.text = ""};

    if (!address_qualify(text, s->domain, &s->arena, &address, &error)) {
        if (!is_quiet(s))
            fail(&s->options->line, 0, "%.*s: %s", STR_ARG(text), error.text);
        return false;
    }
    *ret = address_text(&s->arena, &address);
    return true;
}

static int take_sender(struct sending *s)
{
    struct str given = s->options->sender ? str_c(s->options->sender) : s->login;
    struct str text;

    if (!address_list_next(&given, &s->arena, &text)) {
        s->mail.sender = STR(""); /* -f "" and -f "<>" */
        return EX_OK;
    }
    return one_address(s, text, &s->mail.sender) ? EX_OK : EX_USAGE;
}

/* ---- the message ---- */

/* Where a line that is only a dot begins, looked for from *line on, which is moved to the last
 * line's start; n: there is none yet. */
static size_t lone_dot(struct str text, size_t *line)
{
    for (;;) {
        struct str rest = str_skip(text, *line);
        size_t end = str_find(rest, '\n');
        struct str one = str_sub(rest, 0, end);

        if (end == rest.n)
            return text.n;
        if (str_eq_c(one, ".") || str_eq_c(one, ".\r"))
            return *line;
        *line += end + 1;
    }
}

static int read_input(struct sending *s)
{
    struct buf *to = &s->input;
    size_t line = 0;

    for (;;) {
        char *room = buf_room(to, READ_BYTES);
        ssize_t n = room ? read(STDIN_FILENO, room, READ_BYTES) : 0;

        if (!room)
            return fail(&s->options->line, EX_UNAVAILABLE, "message larger than %llu bytes",
                        (unsigned long long)s->config->message_bytes_max);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(&s->options->line, EX_IOERR, "standard input: %s", strerror(errno));
        buf_added(to, (size_t)n);
        size_t dot = s->options->ignore_dots ? to->n : lone_dot(buf_str(to), &line);
        if (dot < to->n)
            buf_cut(to, dot);
        else if (n > 0)
            continue;
        return EX_OK;
    }
}

static int build_message(struct sending *s)
{
    struct submission about = {.sender = s->mail.sender,
                               .full_name = s->full_name,
                               .hostname = s->config->hostname,
                               .time_us = clock_now_us(&clock_system)};

    if (getrandom(about.random, sizeof about.random, 0) != sizeof about.random)
        return fail(&s->options->line, EX_OSERR, "no random numbers: %s", strerror(errno));
    s->mail.content = submission_header(&s->header, buf_str(&s->input), &about);
    if (s->header.full)
        return fail(&s->options->line, EX_UNAVAILABLE, "the header is larger than %d bytes",
                    HEADER_BYTES_MAX);
    s->mail.prefix = buf_str(&s->header);
    s->mail.body_8bit =
        s->options->body_8bit || !utf8_is_ascii(s->mail.prefix) || !utf8_is_ascii(s->mail.content);
    return EX_OK;
}

/* ---- recipients ---- */

static void add_recipient(struct sending *s, struct str text)
{
    struct str address;

    if (!one_address(s, text, &address)) {
        note_code(s, EX_USAGE);
        return;
    }
    if (map_get(s->known, address))
        return;
    (void)map_put(s->known, address, s);
    if (s->recipient_count == s->recipient_room) {
        s->recipient_room = 2 * s->recipient_room + 16;
        s->recipients = mem_resize(s->recipients, s->recipient_room * sizeof *s->recipients);
    }
    s->recipients[s->recipient_count++] = address;
}

/* Those of the command line and, with -t, those of the header too, as 8.17 does. */
static int take_recipients(struct sending *s)
{
    struct str *inside = NULL;
    size_t count = 0;

    for (int i = 0; i < s->options->line.argument_count; i++) {
        struct str list = str_c(s->options->line.arguments[i]), one;

        while (address_list_next(&list, &s->arena, &one))
            add_recipient(s, one);
    }
    if (s->options->recipients_inside)
        count = header_recipients(submission_message(buf_str(&s->input)), &s->arena, &inside);
    for (size_t i = 0; i < count; i++)
        add_recipient(s, inside[i]);
    if (s->recipient_count > 0)
        return EX_OK;
    if (s->code != EX_OK)
        return s->code;
    return fail(&s->options->line, EX_USAGE, "%s",
                s->options->recipients_inside ? "there is no recipient in To, Cc or Bcc"
                                              : "to whom? name recipients, or use -t");
}

/* ---- outcomes ---- */

static int code_of(const struct status *st)
{
    bool unknown_user = st->subject == 1 && st->detail == 1;
    bool syntax = st->subject == 1 && (st->detail == 3 || st->detail == 7);

    return unknown_user ? EX_NOUSER : syntax ? EX_USAGE : EX_UNAVAILABLE;
}

static void tell(const struct sending *s, struct str to, const struct status *st)
{
    struct buf enhanced = buf_init(16);

    status_print_enhanced(&enhanced, st);
    if (!is_quiet(s))
        fail(&s->options->line, 0, "<%.*s>: %u %s %s", STR_ARG(to), st->code, buf_c(&enhanced),
             st->text);
    buf_free(&enhanced);
}

static void refuse(struct sending *s, struct str to, const struct status *st)
{
    tell(s, to, st);
    note_code(s, code_of(st));
    if (s->refused_count < REPORT_RECIPIENTS_MAX)
        s->refused[s->refused_count++] =
            (struct dsn_recipient){.original = to,
                                   .final = to,
                                   .status = *st,
                                   .last_attempt_us = clock_now_us(&clock_system),
                                   .attempt_count = 1};
}

/* The server did not take it: it will, from the file. */
static void leave(struct sending *s, const struct mail *m)
{
    struct buf why = buf_init(4 * KIB);

    if (submit_drop(m, &why) == 0) {
        if (s->options->line.verbose)
            fail(&s->options->line, 0,
                 "the server takes no mail now: %zu recipient%s queued for later",
                 m->recipient_count, m->recipient_count == 1 ? "" : "s");
    } else {
        s->code = fail(&s->options->line, EX_TEMPFAIL,
                       "not sent: the server takes no mail now, and it cannot be left for it: %s",
                       buf_c(&why));
    }
    buf_free(&why);
}

/* One transaction, with as many recipients as the server takes in one. */
static void send_part(struct sending *s, const struct mail *m)
{
    struct status *results = mem_new(m->recipient_count * sizeof *results);
    struct str *later = mem_new(m->recipient_count * sizeof *later);
    struct mail rest = *m;

    submit(m, results);
    rest.recipients = later;
    rest.recipient_count = 0;
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (status_never(&results[i]))
            refuse(s, m->recipients[i], &results[i]);
        else if (!status_done(&results[i]))
            later[rest.recipient_count++] = m->recipients[i];
    }
    if (rest.recipient_count > 0)
        leave(s, &rest);
    free(later);
    free(results);
}

static void send_all(struct sending *s)
{
    size_t most = (size_t)MIN_OF(s->config->recipients_max, (uint64_t)DROP_RECIPIENTS_MAX);

    for (size_t at = 0; at < s->recipient_count; at += most) {
        struct mail part = s->mail;

        part.recipients = s->recipients + at;
        part.recipient_count = MIN_OF(most, s->recipient_count - at);
        send_part(s, &part);
    }
}

/* -em: whoever sent it reads mail, not our standard error. */
static void mail_back(struct sending *s)
{
    struct buf text = buf_init(REPORT_BYTES_MAX), named = buf_init(REPORT_BYTES_MAX);
    uint64_t now = clock_now_us(&clock_system);
    struct dsn report = {.reporting_host = s->config->hostname,
                         .to = s->mail.sender,
                         .utf8 = !utf8_is_ascii(s->mail.sender),
                         .envid = s->mail.envid,
                         .arrival_us = now,
                         .now_us = now,
                         .original_header =
                             str_sub(s->mail.prefix, 0, header_bytes(s->mail.prefix)),
                         .recipients = s->refused,
                         .recipient_count = s->refused_count};
    struct mail back = {.options = s->options,
                        .config = s->config,
                        .sender = STR(""),
                        .recipients = &report.to,
                        .recipient_count = 1};
    struct status result;

    dsn_print(&text, &report);
    prefix_print(&named, buf_str(&text),
                 (struct id){.key = now - ID_EPOCH_US, .node = (uint32_t)getpid() & 0xffffff});
    back.content = buf_str(&named);
    back.body_8bit = dsn_is_8bit(&report);
    submit(&back, &result);
    if (status_try_later(&result))
        leave(s, &back);
    else if (status_never(&result))
        s->code = fail(&s->options->line, EX_UNAVAILABLE, "<%.*s> could not be told: %s",
                       STR_ARG(report.to), result.text);
    buf_free(&text);
    buf_free(&named);
}

static int deliver_steps(struct sending *s)
{
    static int (*const steps[])(struct sending * s) = {take_sender, read_input, take_recipients,
                                                       build_message};

    if (s->options->hops > s->config->hops_max)
        return fail(&s->options->line, EX_UNAVAILABLE, "too many hops, this is a mail loop");
    for (size_t i = 0; i < countof(steps); i++) {
        int code = steps[i](s);

        if (code != EX_OK)
            return code;
    }
    send_all(s);
    bool back = s->refused_count > 0 && is_quiet(s) && s->options->error_mode != 'q' &&
                notify_wants(s->options->notify, NOTIFY_FAILURE);
    if (back && s->mail.sender.n > 0)
        mail_back(s);
    return s->options->error_mode == 'e' && s->code != EX_TEMPFAIL ? EX_OK : s->code;
}

static int deliver(struct sendmail *options)
{
    struct config *config = load_config(&options->line, NULL);

    if (!config)
        return EX_CONFIG;
    struct sending s = {
        .options = options,
        .config = config,
        .domain = config->domain_count > 0 ? config->domains[0].name : config->hostname,
        .input = buf_init(config->message_bytes_max + READ_BYTES),
        .header = buf_init(HEADER_BYTES_MAX),
        .mail = {.options = options,
                 .config = config,
                 .notify = options->notify,
                 .ret = options->ret,
                 .envid = options->envid},
        .known = map_new(),
        .refused = mem_new(REPORT_RECIPIENTS_MAX * sizeof *s.refused),
    };

    take_user(&s);
    int code = deliver_steps(&s);
    buf_free(&s.input);
    buf_free(&s.header);
    map_free(&s.known);
    free(s.recipients);
    free(s.refused);
    arena_free(&s.arena);
    config_drop(&config);
    return code;
}

/* ---- the other modes ---- */

static int serve_bytes(struct sendmail *s)
{
    struct config *config = load_config(&s->line, NULL);
    int code = config ? submit_bytes(s, config) : EX_CONFIG;

    config_drop(&config);
    return code;
}

static int show_queue(struct sendmail *s)
{
    return mailq(&s->line, false);
}

static int count_queue(struct sendmail *s)
{
    return mailq(&s->line, true);
}

static int run_queue_now(struct sendmail *s)
{
    char *arguments[] = {(char[]){"retry"}, (char[]){"all"}};
    struct command_line l = s->line;

    l.arguments = arguments;
    l.argument_count = countof(arguments);
    return run_queue(&l);
}

static int not_a_daemon(struct sendmail *s)
{
    return fail(
        &s->line, EX_USAGE,
        "`troika serve` is the daemon; it works its queue by itself (systemctl start troika)");
}

static int explain_all(struct sendmail *s)
{
    int code = EX_OK;

    for (int i = 0; i < s->line.argument_count; i++) {
        struct command_line l = s->line;

        l.arguments += i;
        l.argument_count = 1;
        int one = run_explain(&l);
        code = code == EX_OK ? one : code;
    }
    return code;
}

static int check_config(struct sendmail *s)
{
    struct command_line l = s->line;

    l.argument_count = 0;
    return run_check(&l);
}

static int build_aliases(struct sendmail *s)
{
    char *arguments[] = {(char[]){"build"}, NULL};
    struct command_line l = s->line;

    l.arguments = arguments;
    l.argument_count = 1;
    return run_aliases(&l);
}

static int no_test_mode(struct sendmail *s)
{
    return fail(&s->line, EX_USAGE,
                "no rules to test; `troika explain ADDRESS` says where it goes");
}

static int no_host_status(struct sendmail *s)
{
    printf("%s: no status of hosts is kept; `troika queue` shows what waits and why\n",
           s->line.face);
    return EX_OK;
}

static const struct {
    char letter;
    int (*run)(struct sendmail *s);
} mode_rows[] = {
    {'m', deliver},        {'s', serve_bytes},  {'p', show_queue},   {'P', count_queue},
    {'i', build_aliases},  {'d', not_a_daemon}, {'D', not_a_daemon}, {'Q', not_a_daemon},
    {'q', run_queue_now},  {'v', explain_all},  {'t', no_test_mode}, {'h', no_host_status},
    {'H', no_host_status}, {'C', check_config},
};

int sendmail_main(int argc, char **argv)
{
    struct sendmail s = {
        .line = {.config_path = config_default_path(), .face = "sendmail"},
        .mode = 'm',
        .error_mode = 'p',
    };
    int code = sendmail_options(&s, argc, argv);

    for (size_t i = 0; i < countof(mode_rows) && code == EX_OK; i++) {
        if (mode_rows[i].letter == s.mode) {
            code = mode_rows[i].run(&s);
            break;
        }
    }
    arena_free(&s.arena);
    if (s.traffic && fclose(s.traffic) != 0 && code == EX_OK)
        code = fail(&s.line, EX_IOERR, "-X: %s", strerror(errno));
    return code;
}
