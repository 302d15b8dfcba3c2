/* outward/send/send.c - troika send: what is done one after another. */
// SPDX-License-Identifier: ISC
#include "outward/send/send.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "dns/dns.h"
#include "outward/send/secret.h"

static int send_it(struct sending *s)
{
    int code = way_find(s);

    if (code == EX_OK)
        code = message_envelope(s);
    if (code == EX_OK)
        code = way_login(s);
    if (code == EX_OK && s->way == WAY_SERVER && s->server_count == 0 && !s->line->dry_run)
        code = way_resolve(s, &s->target, s->servers, &s->server_count);
    if (code == EX_OK)
        code = text_read(s);
    if (code == EX_OK)
        code = message_compose(s);
    if (code != EX_OK)
        return code;
    s->began_us = clock_monotonic_us(&clock_system);
    if (s->line->dry_run) {
        code = message_write(s, COMPOSE_8BIT);
        return code == EX_OK ? report_plan(s) : code;
    }
    code = trip_run_all(s);
    return code == EX_OK || s->interrupted ? report_end(s) : code;
}

static void sending_free(struct sending *s)
{
    compose_free(&s->compose);
    dkim_signer_free(&s->signer);
    tls_context_free(&s->tls_context);
    dns_free(&s->dns);
    loop_free(&s->loop);
    config_drop(&s->config);
    secret_wipe(&s->password);
    secret_wipe(&s->token);
    buf_free(&s->text);
    buf_free(&s->html);
    if (s->fd >= 0)
        (void)close(s->fd);
    arena_free(&s->arena);
    free(s);
}

int run_send(const struct command_line *l)
{
    struct sending *s = mem_new(sizeof *s);
    int error;

    *s = (struct sending){
        .line = l,
        .password = secret_init(),
        .token = secret_init(),
        .text = buf_init(4 * (size_t)COMPOSE_TEXT_BYTES_MAX),
        .html = buf_init(4 * (size_t)COMPOSE_TEXT_BYTES_MAX),
        .fd = -1,
        .progress = {.enabled = isatty(STDERR_FILENO) && !l->verbose},
    };
    s->began_us = clock_monotonic_us(&clock_system);
    if (l->json) /* what a machine reads is English, also the words of the C library in it */
        (void)setlocale(LC_MESSAGES, "C");
    error = loop_new(&clock_system, &s->loop);
    int code = error < 0 ? fail(l, EX_OSERR, "%s", strerror(-error)) : send_it(s);

    text_forget(s, code == EX_OK);
    sending_free(s);
    return code;
}
