/* outward/probe/probe.c - troika probe: what is wrong with mail to a domain, or with a server.
 *
 *   words and options -> gather.c, the facts -> judge.c, what they mean -> report.c
 */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "config/value.h"
#include "mail/address.h"
#include "mail/idn.h"
#include "outward/outward.h"
#include "outward/probe/gather.h"
#include "outward/probe/judge.h"
#include "outward/probe/progress.h"
#include "outward/probe/report.h"
#include "outward/send/target.h"

enum { HOSTNAME_BYTES_MAX = 256, COLUMNS_MIN = 60, COLUMNS_MAX = 120, COLUMNS_USUAL = 80 };
#define TIMEOUT_US (90 * US_PER_S)
#define TIMEOUT_US_MAX (3600 * US_PER_S)

static const char usual_anchors[] = "/usr/share/dns/root.key"; /* Debian's dns-root-data */

struct probe {
    const struct command_line *line;
    struct arena arena;
    struct providers providers;
    struct probe_options options;
    struct str about; /* as the person knows it */
    struct loop *loop;
    struct dns *dns;
    struct buf anchors;
    struct facts facts;
    struct findings findings;
};

/* ---- words and options: EX_OK, or an exit code after the error was printed ---- */

static int take_domain(struct probe *p, struct str text)
{
    struct arena *a = &p->arena;

    if (str_ends(text, STR(".")) && text.n > 1)
        text.n--;
    if (!idn_to_ascii(text, a, &p->options.host) || p->options.host.n == 0 ||
        !dns_name_valid(p->options.host))
        return fail(p->line, EX_USAGE,
                    _("%.*s is neither a domain nor a server; such as example.org, "
                      "mx.example.org:25 or smtps://mail.example.org"),
                    STR_ARG(text));
    p->about = arena_copy(a, text);
    return EX_OK;
}

static int take_target(struct probe *p, struct str text)
{
    struct buf error = buf_init(KIB);
    struct server_target t;
    int code = EX_OK;

    if (!target_parse(&p->arena, text, &p->providers, &t, &error))
        code = fail(p->line, EX_USAGE, "%s", buf_c(&error));
    else if (t.protocol != TARGET_SMTP)
        code = fail(p->line, EX_USAGE, _("%.*s: only SMTP can be probed (smtp://, smtps://)"),
                    STR_ARG(text));
    buf_free(&error);
    if (code != EX_OK)
        return code;
    p->options.is_host = true;
    p->options.port = t.port;
    p->options.implicit_tls = t.tls == TARGET_TLS_IMPLICIT;
    if (str_find(t.host, ':') < t.host.n) {
        p->options.host = t.host;
        p->about = t.host;
        return EX_OK;
    }
    return take_domain(p, t.host);
}

static bool is_plain_address(struct str text)
{
    struct sock_address found[2];
    struct buf with_port = buf_init(KIB);
    bool six = str_find(text, ':') < text.n;

    buf_printf(&with_port, "%s%.*s%s:25", six ? "[" : "", STR_ARG(text), six ? "]" : "");
    bool is = !str_eq_c(text, "*") && sock_address_parse(buf_str(&with_port), found) > 0;
    buf_free(&with_port);
    return is;
}

static int take_subject(struct probe *p, struct str text)
{
    size_t at = str_find_last(text, '@');
    bool url = str_find_str(text, STR("://")) < text.n;

    if (is_plain_address(text)) {
        p->options.is_host = true;
        p->options.host = p->about = text;
        return EX_OK;
    }
    if (url || str_find(text, ':') < text.n || str_starts(text, STR("[")))
        return take_target(p, text);
    if (at < text.n) /* whoever has an address at hand */
        return take_domain(p, str_skip(text, at + 1));
    if (str_find(text, '.') == text.n) { /* "yandex" */
        int code = load_providers(p->line, &p->arena, &p->providers);

        if (code != EX_OK)
            return code;
        if (provider_find(&p->providers, text))
            return take_target(p, text);
    }
    return take_domain(p, text);
}

static int take_number(const struct probe *p, const char *name, const char *text, uint16_t *ret)
{
    uint64_t v;

    if (!text)
        return EX_OK;
    if (!str_u64(str_c(text), &v) || v == 0 || v > UINT16_MAX)
        return fail(p->line, EX_USAGE, _("--%s %s: a port is a number from 1 to 65535"), name,
                    text);
    *ret = (uint16_t)v;
    return EX_OK;
}

/* Seconds, or a time with its unit. */
static bool read_time(struct str text, struct arena *a, uint64_t *ret_us)
{
    struct buf why = buf_init(KIB);
    uint64_t seconds = 0;
    bool plain = str_u64(text, &seconds) && seconds <= TIMEOUT_US_MAX / US_PER_S;
    bool good = plain || value_parse(VALUE_DURATION, NULL, text, a, ret_us, &why);

    buf_free(&why);
    if (plain)
        *ret_us = seconds * US_PER_S;
    return good && *ret_us > 0 && *ret_us <= TIMEOUT_US_MAX;
}

static int take_timeout(struct probe *p)
{
    const char *text = p->line->timeout;
    uint64_t *us = &p->options.timeout_us;

    *us = TIMEOUT_US;
    if (!text || read_time(str_c(text), &p->arena, us))
        return EX_OK;
    return fail(p->line, EX_USAGE, _("--timeout %s: give seconds, or a time such as 5m"), text);
}

static int take_address(struct probe *p, const char *option, const char *text, struct str *ret)
{
    struct parse_error error;
    struct address address;

    if (!address_parse(str_c(text), &p->arena, &address, &error))
        return fail(p->line, EX_USAGE, "--%s %s: %s", option, text, error.text);
    *ret = address_text(&p->arena, &address);
    return EX_OK;
}

static int take_delivery(struct probe *p)
{
    const struct command_line *l = p->line;
    struct probe_options *o = &p->options;
    int code = EX_OK;

    if (!l->deliver)
        return l->from ? fail(l, EX_USAGE, _("--from is for --deliver ADDRESS")) : EX_OK;
    if (!l->from)
        return fail(l, EX_USAGE,
                    _("--deliver: who sends it? --from ADDRESS; reports about it go there"));
    code = take_address(p, "deliver", l->deliver, &o->deliver);
    if (code == EX_OK)
        code = take_address(p, "from", l->from, &o->from);
    if (code != EX_OK || o->is_host)
        return code;
    struct str domain = str_skip(o->deliver, str_find_last(o->deliver, '@') + 1);
    return str_eq_nocase(domain, o->host)
               ? EX_OK
               : fail(l, EX_USAGE,
                      _("--deliver %s: its domain is not %.*s; to hand it to a certain server, "
                        "give that with its port"),
                      l->deliver, STR_ARG(o->host));
}

static int take_selectors(struct probe *p)
{
    const struct option_list *list = &p->line->selector;

    for (size_t i = 0; i < list->count; i++)
        if (!*list->items[i] || !dns_name_valid(str_c(list->items[i])))
            return fail(p->line, EX_USAGE,
                        _("--selector %s: letters, digits and -, as in s= of a DKIM-Signature"),
                        list->items[i]);
    p->options.selectors = list->items;
    p->options.selector_count = list->count;
    return EX_OK;
}

/* The full name of this machine, if it has one: servers want to be greeted by it. */
static void take_hostname(struct probe *p)
{
    char name[HOSTNAME_BYTES_MAX] = "";

    if (p->line->hostname)
        p->options.hostname = str_c(p->line->hostname);
    else if (gethostname(name, sizeof name - 1) == 0 && strchr(name, '.'))
        p->options.hostname = arena_copy(&p->arena, str_c(name));
}

static int read_options(struct probe *p)
{
    const struct command_line *l = p->line;
    struct probe_options *o = &p->options;
    int code = take_subject(p, str_trim(str_c(l->arguments[0])));

    if (code == EX_OK)
        code = take_number(p, "port", l->port, &o->port);
    if (code == EX_OK)
        code = take_number(p, "https-port", l->https_port, &o->https_port);
    if (code == EX_OK)
        code = take_timeout(p);
    if (code == EX_OK)
        code = take_selectors(p);
    if (code == EX_OK)
        code = take_delivery(p);
    if (code == EX_OK && l->roots && access(l->roots, R_OK) < 0)
        code = fail(l, EX_NOINPUT, "--roots %s: %s", l->roots, strerror(errno));
    o->submission = l->submission;
    o->gentle = l->gentle;
    o->private_too = l->allow_private;
    o->roots = l->roots;
    take_hostname(p);
    return code;
}

/* ---- names ---- */

static int read_anchors(struct probe *p)
{
    const char *path = p->line->trust_anchor ? p->line->trust_anchor : usual_anchors;
    int error = dns_read_anchors_before_jail(path, &p->anchors);

    p->facts.anchored = error == 0 && p->anchors.n > 0;
    p->facts.unanchored_why = N_("there is no trust anchor on this machine");
    if (error < 0 && p->line->trust_anchor)
        return fail(p->line, EX_NOINPUT, "--trust-anchor %s: %s", path, strerror(-error));
    if (error < 0)
        buf_reset(&p->anchors);
    return EX_OK;
}

struct root_question {
    struct loop *loop;
    struct dns_question question;
    bool bogus;
};

static void on_root(void *arg, const struct dns_answer *answer)
{
    struct root_question *k = arg;

    k->bogus = answer->security == DNS_BOGUS;
    loop_stop(k->loop);
}

/* Behind a resolver that strips signatures everything would be bogus. */
static bool signatures_come(struct probe *p)
{
    struct root_question k = {.loop = p->loop};

    dns_ask(p->dns, &k.question, STR("."), DNS_NS, on_root, &k);
    loop_run(p->loop);
    dns_cancel(&k.question);
    return !k.bogus;
}

static int open_names(struct probe *p)
{
    int code = read_anchors(p);

    if (code == EX_OK)
        code = command_dns_anchored(p->line, p->loop, buf_str(&p->anchors), &p->dns);
    if (code != EX_OK || !p->facts.anchored || signatures_come(p))
        return code;
    p->facts.anchored = false;
    p->facts.unanchored_why = N_("the resolver does not hand signatures on");
    dns_free(&p->dns);
    return command_dns(p->line, p->loop, &p->dns);
}

/* ---- showing ---- */

static void on_line(void *arg, const struct fact_server *s, bool sent, struct str line)
{
    probe_progress_end();
    fprintf(stderr, "%.*s %s ", s ? (int)s->name.n : 0, s ? s->name.p : "", sent ? ">>>" : "<<<");
    (void)write_text(stderr, line);
    fputc('\n', stderr);
}

static void on_progress(void *arg, const char *what, struct str about)
{
    probe_progress(what, about);
}

static size_t terminal_columns(void)
{
    struct winsize size;
    size_t n = COLUMNS_USUAL;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        n = size.ws_col;
    return MAX_OF(COLUMNS_MIN, MIN_OF(n, COLUMNS_MAX));
}

static bool wants_colours(void)
{
    const char *off = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(off && *off) && terminal && strcmp(terminal, "dumb") != 0;
}

static void show(struct probe *p)
{
    struct report r = {.facts = &p->facts,
                       .findings = &p->findings,
                       .about = p->about,
                       .verbose = p->line->verbose,
                       .colours = wants_colours(),
                       .columns = terminal_columns()};

    if (p->line->json)
        report_json(&r);
    else
        report_print(&r);
}

static int probe(struct probe *p)
{
    int code = read_options(p);

    if (code == EX_OK && loop_new(&clock_system, &p->loop) < 0)
        code = fail(p->line, EX_OSERR, _("no event loop: %s"), strerror(errno));
    if (code == EX_OK)
        code = open_names(p);
    if (code != EX_OK)
        return code;
    p->options.on_line = p->line->verbose ? on_line : NULL;
    p->options.on_progress = on_progress;
    p->findings.arena = &p->arena;
    probe_progress_begin(p->line->json || p->line->verbose);
    gather(p->loop, p->dns, &p->options, &p->arena, &p->facts);
    probe_progress_end();
    judge(&p->facts, &p->findings);
    show(p);
    return verdict_code(&p->findings);
}

int run_probe(const struct command_line *l)
{
    struct probe *p;
    int code;

    if (l->listen)
        return run_probe_listen(l);
    if (l->argument_count != 1)
        return fail(l, EX_USAGE, _("what? a domain or a server; see --help"));
    p = mem_new(sizeof *p);
    p->line = l;
    p->anchors = buf_init(DNS_ANCHOR_BYTES_MAX);
    code = probe(p);
    dns_free(&p->dns);
    loop_free(&p->loop);
    buf_free(&p->anchors);
    arena_free(&p->arena);
    free(p);
    return code;
}
