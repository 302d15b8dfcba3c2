/* outward/providers.c - troika providers: what the files know, and what domains say of themselves. */
// SPDX-License-Identifier: ISC
#include "outward/providers.h"
#include "outward/outward.h"

#include <stdio.h>

#include "config/value.h"
#include "io/loop.h"
#include "provider/load.h"

enum { ERROR_BYTES_MAX = 16 * 1024 };

int load_providers(const struct command_line *l, struct arena *a, struct providers *ret)
{
    struct buf errors = buf_init(ERROR_BYTES_MAX);
    bool good = providers_load(a, PROVIDERS_OF_USER, ret, &errors);

    if (!good)
        fprintf(stderr, "%.*s\n", STR_ARG(str_trim(buf_str(&errors))));
    buf_free(&errors);
    return good ? EX_OK : EX_CONFIG;
}

/* ---- asking ---- */

struct asking {
    const struct command_line *line;
    const struct providers *known;
    struct str text;
    struct loop *loop;
    struct dns *dns;
    struct discover *discover;
    struct http_options http;
    int code;
};

static void show(const struct command_line *l, const struct provider_view *v)
{
    if (l->json)
        provider_show_json(v);
    else
        provider_show(v);
}

static int show_nothing(const struct command_line *l, const struct provider_view *v, bool later)
{
    if (l->json) {
        provider_show_json(v);
    } else {
        (void)fail(l, 0,
                   later ? _("%.*s: names cannot be looked up now; this was asked for:")
                         : _("%.*s: nobody says which servers it has; this was asked for:"),
                   STR_ARG(v->asked));
        provider_show_steps(v);
    }
    return later ? EX_TEMPFAIL : EX_NOHOST;
}

static void on_discovered(void *arg, const struct discovered *found)
{
    struct asking *k = arg;
    struct provider_view v = {.provider = found->provider,
                              .asked = k->text,
                              .how = found->how,
                              .steps = found->steps,
                              .step_count = found->step_count};

    k->code = EX_OK;
    if (found->provider)
        show(k->line, &v);
    else
        k->code = show_nothing(k->line, &v, found->later);
    discover_free(&k->discover);
    loop_stop(k->loop);
}

static int ask(struct asking *k)
{
    const struct command_line *l = k->line;

    if (discover_new(k->loop, k->dns, k->known, k->text, &k->http, on_discovered, k, &k->discover) <
        0)
        return fail(l, EX_DATAERR,
                    _("\"%.*s\" is neither a provider nor an address or domain; `troika providers` "
                      "lists those that are known"),
                    STR_ARG(k->text));
    loop_run(k->loop);
    return k->code;
}

/* The loop and the resolver are made for the first that is not known. */
static int discover_one(struct asking *k)
{
    int code = EX_OK;

    if (!k->loop && loop_new(&clock_system, &k->loop) < 0)
        return fail(k->line, EX_OSERR, _("there is no event loop to wait with"));
    if (!k->dns)
        code = command_dns(k->line, k->loop, &k->dns);
    return code == EX_OK ? ask(k) : code;
}

/* ---- the command ---- */

static bool is_domain(struct str text)
{
    return str_find(text, '.') < text.n || str_find(text, '@') < text.n;
}

static int tell_one(struct asking *k, const char *argument)
{
    k->text = str_c(argument);

    const struct provider *p = provider_find(k->known, k->text);

    if (!p) /* or the name of one of its servers */
        p = provider_of_host(k->known, k->text);
    if (p) {
        show(k->line, &(struct provider_view){.provider = p, .asked = k->text, .how = "file"});
        return EX_OK;
    }
    if (!is_domain(k->text))
        return fail(k->line, EX_DATAERR,
                    _("no provider is called %s; `troika providers` lists them"), argument);
    if (k->line->offline)
        return fail(k->line, EX_NOHOST,
                    _("no file of providers has %s; without --offline its servers would be asked "
                      "for"),
                    argument);
    return discover_one(k);
}

static int list(const struct command_line *l, const struct providers *known)
{
    if (!l->json) {
        providers_show_list(known);
        return EX_OK;
    }
    for (size_t i = 0; i < known->count; i++)
        provider_show_json(&(struct provider_view){
            .provider = &known->list[i], .asked = known->list[i].name, .how = "file"});
    return EX_OK;
}

static int take_options(const struct command_line *l, struct http_options *ret)
{
    uint64_t port = 0;

    if (l->https_port && (!str_u64(str_c(l->https_port), &port) || port < 1 || port > 65535))
        return fail(l, EX_USAGE,
                    _("--https-port: \"%s\" is no port; write a number from 1 to 65535"),
                    l->https_port);
    ret->port = (uint16_t)port;
    ret->roots = l->roots;
    return EX_OK;
}

int run_providers(const struct command_line *l)
{
    struct arena a = ARENA_INIT;
    struct providers known;
    struct asking asking = {.line = l, .known = &known};
    int code = take_options(l, &asking.http);

    if (code == EX_OK)
        code = load_providers(l, &a, &known);
    if (code == EX_OK && l->argument_count == 0)
        code = list(l, &known);
    for (int i = 0; code == EX_OK && i < l->argument_count; i++) {
        if (i > 0 && !l->json)
            putchar('\n');
        code = tell_one(&asking, l->arguments[i]);
    }
    dns_free(&asking.dns);
    if (asking.loop)
        loop_free(&asking.loop);
    arena_free(&a);
    return code;
}
