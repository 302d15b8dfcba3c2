/* cli/sendmail_options.c - the options of sendmail 8.17, all of them, as rows.
 *
 * Those without a row mean nothing here and are taken without a word, as sendmail takes those it
 * has outgrown: programs that call us pass them. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "cli/sendmail.h"
#include "wire/parameter.h"

static const char options[] = "A:B:b:C:cD:d:e:F:f:Gh:IiL:M:mN:nO:o:p:Q:q:R:r:sTtUV:vX:";
static const char modes[] = "mspPidDvthHC";
static const char error_modes[] = "pqmwe";

static int wrong(struct sendmail *s, const char *what, const char *value)
{
    return fail(&s->line, EX_USAGE, "%s: %s", what, value);
}

static int take_body(struct sendmail *s, const char *value)
{
    s->body_8bit = strcasecmp(value, "8BITMIME") == 0;
    if (!s->body_8bit && strcasecmp(value, "7BIT") != 0)
        return wrong(s, "-B is 7BIT or 8BITMIME, not", value);
    return EX_OK;
}

static int take_mode(struct sendmail *s, const char *value)
{
    if (value[0] == '\0' || value[1] != '\0' || !strchr(modes, value[0]))
        return wrong(s, "unknown mode of operation: -b", value);
    s->mode = value[0];
    return EX_OK;
}

static int take_config(struct sendmail *s, const char *value)
{
    if (*value)
        s->line.config_path = value;
    return EX_OK;
}

static int take_error_mode(struct sendmail *s, const char *value)
{
    if (*value && strchr(error_modes, *value))
        s->error_mode = *value;
    return EX_OK;
}

static int take_full_name(struct sendmail *s, const char *value)
{
    s->full_name = value;
    return EX_OK;
}

static int take_sender(struct sendmail *s, const char *value)
{
    if (s->sender)
        return wrong(s, "more than one sender", value);
    s->sender = value;
    return EX_OK;
}

static int take_hops(struct sendmail *s, const char *value)
{
    if (!str_u64(str_c(value), &s->hops))
        return wrong(s, "-h is a number of hops, not", value);
    return EX_OK;
}

static int take_aliases(struct sendmail *s, const char *value)
{
    (void)value;
    s->mode = 'i';
    return EX_OK;
}

static int take_ignore_dots(struct sendmail *s, const char *value)
{
    (void)value;
    s->ignore_dots = true;
    return EX_OK;
}

static int take_notify(struct sendmail *s, const char *value)
{
    if (!notify_parse(str_c(value), &s->notify))
        return wrong(s, "-N is never, or some of success,failure,delay, not", value);
    return EX_OK;
}

static int take_return(struct sendmail *s, const char *value)
{
    if (!notify_return_parse(str_c(value), &s->ret))
        return wrong(s, "-R is full or hdrs, not", value);
    return EX_OK;
}

static int take_envelope_id(struct sendmail *s, const char *value)
{
    if (!xtext_parse(str_c(value), ENVID_BYTES_MAX, &s->arena, &s->envid))
        return wrong(s, "-V takes up to 100 characters, blanks, + and = written as +HH, not",
                     value);
    return EX_OK;
}

static int take_queue(struct sendmail *s, const char *value)
{
    if (s->mode == 'm') /* not over -bd, -bp */
        s->mode = *value == '\0' || *value == '0' || *value == 'f' ? 'q' : 'Q';
    return EX_OK;
}

static int take_inside(struct sendmail *s, const char *value)
{
    (void)value;
    s->recipients_inside = true;
    return EX_OK;
}

static int take_verbose(struct sendmail *s, const char *value)
{
    (void)value;
    s->line.verbose = true;
    return EX_OK;
}

static int take_traffic(struct sendmail *s, const char *value)
{
    s->traffic = fopen(value, "ae");
    if (!s->traffic)
        return fail(&s->line, EX_CANTCREAT, "-X %s: %s", value, strerror(errno));
    return EX_OK;
}

static int take_short(struct sendmail *s, const char *value);
static int take_long(struct sendmail *s, const char *value);

static const struct row {
    char letter;
    bool settable;         /* also as -o LETTER VALUE */
    const char *long_name; /* also as -O NAME=VALUE */
    int (*take)(struct sendmail *s, const char *value);
} rows[] = {
    {'B', false, NULL, take_body},
    {'b', false, NULL, take_mode},
    {'C', false, NULL, take_config},
    {'e', true, "ErrorMode", take_error_mode},
    {'F', false, NULL, take_full_name},
    {'f', false, NULL, take_sender},
    {'h', false, NULL, take_hops},
    {'I', false, NULL, take_aliases},
    {'i', true, "IgnoreDots", take_ignore_dots},
    {'N', false, NULL, take_notify},
    {'O', false, NULL, take_long},
    {'o', false, NULL, take_short},
    {'Q', false, NULL, take_queue},
    {'q', false, NULL, take_queue},
    {'R', false, NULL, take_return},
    {'r', false, NULL, take_sender},
    {'t', false, NULL, take_inside},
    {'V', false, NULL, take_envelope_id},
    {'v', true, "Verbose", take_verbose},
    {'X', false, NULL, take_traffic},
};

/* A switch may be turned off: "IgnoreDots=False", "-oif". */
static bool is_off(const char *value)
{
    return *value != '\0' && strchr("fFnN0", *value) != NULL;
}

static int set(struct sendmail *s, const struct row *r, const char *value)
{
    return r->letter != 'e' && is_off(value) ? EX_OK : r->take(s, value);
}

static int take_short(struct sendmail *s, const char *value)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].settable && rows[i].letter == *value)
            return set(s, &rows[i], value + 1);
    return EX_OK;
}

static int take_long(struct sendmail *s, const char *value)
{
    struct str rest = str_c(value);
    struct str name = str_trim(str_cut(&rest, '='));
    const char *equals = strchr(value, '=');

    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].long_name && str_eq_nocase(name, str_c(rows[i].long_name)))
            return set(s, &rows[i], equals ? equals + 1 + strspn(equals + 1, " ") : "");
    return EX_OK;
}

/* Letters that once stood alone: "-q" is "-q0". A value in the next word is no option. */
static void complete(int argc, char **argv)
{
    static char run_once[] = "-q0", quarantine[] = "-Q0", debug[] = "-d0", config[] = "-C";
    static char *const alone[] = {run_once, quarantine, debug};

    for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        const char *at = strchr(options, argv[i][1]);
        bool bare = argv[i][2] == '\0';

        if (strcmp(argv[i], "--") == 0)
            return;
        for (size_t k = 0; k < countof(alone); k++)
            if (bare && argv[i][1] == alone[k][1]) {
                argv[i] = alone[k];
                bare = false;
            }
        if (bare && at && at[1] == ':' && strcmp(argv[i], config) != 0)
            i++;
    }
}

static int take(struct sendmail *s, char letter, const char *value)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].letter == letter)
            return rows[i].take(s, value ? value : "");
    return EX_OK; /* means nothing here */
}

int sendmail_options(struct sendmail *s, int argc, char **argv)
{
    int code = EX_OK;

    complete(argc, argv);
    opterr = 0;
    for (int o = getopt(argc, argv, options); o != -1; o = getopt(argc, argv, options)) {
        if (o == '?') {
            const char *at = strchr(options, optopt);

            return at && optopt ? fail(&s->line, EX_USAGE, "option -%c wants a value", optopt)
                                : fail(&s->line, EX_USAGE, "unknown option -%c", optopt);
        }
        int one = take(s, (char)o, optarg);

        code = code == EX_OK ? one : code;
    }
    s->line.argument_count = argc - optind;
    s->line.arguments = argv + optind;
    return code;
}
