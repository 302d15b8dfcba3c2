/* cli/init.c - troika init: writes a first configuration. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "mail/address.h"
#include "mail/idn.h"

static const char template[] =
    "# The configuration of this mail server: troika.conf(5) explains every statement,\n"
    "# `troika check` checks the whole, `troika check statements` lists what there is.\n"
    "\n"
    "hostname = \"%s\"\n"
    "state    = \"%s\"      # a local file system: queue, mail and history live here\n"
    "\n"
    "listen smtp { address = { \"%s\" } }\n"
    "\n"
    "# Mail for accounts made with `troika user add NAME@%s` is kept here.\n"
    "domain \"%s\" { accounts = yes }\n"
    "\n"
    "# Who may send mail to other servers through this one. Never the whole Internet.\n"
    "relay-for = { \"127.0.0.0/8\", \"::1\" }\n"
    "\n"
    "# Where other mail goes: one domain to one server, and all the rest to a smarthost.\n"
    "# route \"partner.example\" { via = \"10.0.0.5:25\" }\n"
    "# smarthost \"192.0.2.25:25\" { }\n";

/* Asks on the terminal; what is offered is taken with Enter. */
static bool ask_person(const char *question, const char *offered, char *ret, size_t ret_bytes)
{
    char line[512];

    if (!isatty(STDIN_FILENO))
        return false;
    printf("%s%s%s%s: ", question, *offered ? " [" : "", offered, *offered ? "]" : "");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return false;
    struct str answer = str_trim(str_c(line));

    snprintf(ret, ret_bytes, "%.*s", answer.n ? (int)answer.n : (int)strlen(offered),
             answer.n ? answer.p : offered);
    return *ret != '\0';
}

/* The name of this machine if it is a full one. */
static void own_name(char *ret, size_t ret_bytes)
{
    if (gethostname(ret, ret_bytes) < 0 || !strchr(ret, '.'))
        ret[0] = '\0';
    ret[ret_bytes - 1] = '\0';
}

static int take_name(const struct command_line *l, const char *given, const char *question,
                     const char *offered, const char *option, char *ret, size_t ret_bytes)
{
    if (given)
        snprintf(ret, ret_bytes, "%s", given);
    else if (!ask_person(question, offered, ret, ret_bytes))
        return fail(l, EX_USAGE, "which %s? give --%s NAME (there is no terminal to ask at)",
                    option, option);
    struct arena arena = ARENA_INIT;
    struct str ascii = str_c(ret);
    bool valid =
        (utf8_is_ascii(ascii) || idn_to_ascii(ascii, &arena, &ascii)) && domain_valid(ascii, false);

    arena_free(&arena);
    if (!valid)
        return fail(l, EX_DATAERR,
                    "\"%s\" is no full domain name; it should look like mail.example.org", ret);
    return EX_OK;
}

static int write_new(const struct command_line *l, const char *text)
{
    int fd =
        open(l->config_path, O_WRONLY | O_CREAT | O_CLOEXEC | (l->force ? O_TRUNC : O_EXCL), 0644);

    if (fd < 0 && errno == EEXIST)
        return fail(l, EX_CANTCREAT, "%s exists; --force writes over it", l->config_path);
    if (fd < 0)
        return fail(l, EX_CANTCREAT, "%s: %s", l->config_path, strerror(errno));
    size_t n = strlen(text);
    bool good = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;

    if (close(fd) < 0 || !good)
        return fail(l, EX_IOERR, "%s: %s", l->config_path, strerror(errno));
    return EX_OK;
}

static void make_parent_folder(const char *path)
{
    char copy[4200];

    snprintf(copy, sizeof(copy), "%s", path);
    (void)mkdir(dirname(copy), 0755); /* if it fails, writing the file says why */
}

/* The domain: given, asked for with what the host name suggests, or that suggestion itself. */
static int take_domain(const struct command_line *l, const char *hostname, char *ret,
                       size_t ret_bytes)
{
    const char *dot = strchr(hostname, '.');
    const char *offered = dot && strchr(dot + 1, '.') ? dot + 1 : hostname;
    bool suggestion_will_do = l->hostname && !isatty(STDIN_FILENO);

    return take_name(l,
                     l->domain            ? l->domain
                     : suggestion_will_do ? offered
                                          : NULL,
                     "mail domain (the part after @)", offered, "domain", ret, ret_bytes);
}

static int write_template(const struct command_line *l, const char *hostname, const char *domain)
{
    char text[4096];
    const char *state = l->state ? l->state : "/var/lib/troika";
    const char *listen = geteuid() == 0 || !l->state ? "*:25" : "127.0.0.1:2525";

    if (*state != '/')
        return fail(l, EX_USAGE, "--state %s: give the whole path, from / on", state);
    if (strpbrk(state, "\"\\\n"))
        return fail(l, EX_USAGE, "--state %s: no quotes, backslashes or line ends", state);
    int n = snprintf(text, sizeof(text), template, hostname, state, listen, domain, domain);

    if (n < 0 || (size_t)n >= sizeof(text))
        return fail(l, EX_USAGE, "--state: the path is too long");
    make_parent_folder(l->config_path);
    return write_new(l, text);
}

int run_init(const struct command_line *l)
{
    char own[256], hostname[256], domain[256];

    if (l->argument_count)
        return fail(l, EX_USAGE, "takes no arguments; see --help");
    own_name(own, sizeof(own));
    int code = take_name(l, l->hostname, "full name of this machine", own, "hostname", hostname,
                         sizeof(hostname));

    if (code == EX_OK)
        code = take_domain(l, hostname, domain, sizeof(domain));
    if (code == EX_OK)
        code = write_template(l, hostname, domain);
    if (code != EX_OK)
        return code;
    printf("wrote %s: host %s, mail for @%s\n"
           "next: troika user add you@%s; troika serve (or: systemctl enable --now troika)\n",
           l->config_path, hostname, domain, domain);
    return EX_OK;
}
