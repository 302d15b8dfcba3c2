/* cli/explain.c - troika explain: where an address would go, by which statement. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "cli/cli.h"
#include "config/value.h"
#include "mail/envelope.h"
#include "mail/id.h"

enum { EXPLAIN_ADDRESSES_MAX = 1000 };

static void print_answer_json(struct str address, const struct msg_route_answer *m,
                              struct str enhanced)
{
    struct reader r = reader_init(m->targets);
    json_t *targets = json_array();
    struct target t;

    while (r.rest.n && target_decode(&r, &t))
        json_array_append_new(targets,
                              json_pack("{s:o, s:s, s:o, s:o}", "address", json_text(t.address),
                                        "transport", transport_name(t.transport), "next_hop",
                                        json_text(t.next_hop), "why", json_text(t.why)));
    print_json(json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "address", json_text(address),
                         "accepted", m->status.class == 2, "status", json_text(enhanced), "text",
                         json_text(str_c(m->status.text)), "why", json_text(m->why), "targets",
                         targets));
}

static void print_why(struct str why)
{
    const char *label = "because";

    do {
        struct str line = str_cut(&why, '\n');

        printf("  %-8s ", label);
        print_text(line);
        putchar('\n');
        label = "";
    } while (why.n);
}

static void print_refusal(const struct status *st, const char *enhanced)
{
    printf("  refused  %u %s ", st->code, enhanced);
    print_text(str_c(st->text));
    putchar('\n');
}

static void print_rates(const struct rate *rates, size_t count, const char *what)
{
    struct buf text = buf_init(64);

    for (size_t i = 0; i < count; i++) {
        buf_reset(&text);
        value_print(VALUE_LIMITS, &rates[i], &text);
        printf("%s%s %s", i > 0 ? ", " : "; at most ", buf_c(&text), what);
    }
    buf_free(&text);
}

/* What holds at a server that the configuration says more of than its name. */
static void print_hop(const struct config *c, struct str next_hop)
{
    struct config_hop hop = config_hop(c, next_hop);

    if (hop.login.n + hop.limit_count + hop.recipient_limit_count == 0)
        return;
    printf("  %-8s TLS %.*s%s", "there", STR_ARG(hop.tls), hop.implicit_tls ? " at once" : "");
    if (hop.login.n > 0) {
        printf(", login ");
        print_text(hop.login);
    }
    print_rates(hop.limits, hop.limit_count, "messages");
    print_rates(hop.recipient_limits, hop.recipient_limit_count, "recipients");
    putchar('\n');
}

static void print_target(const struct config *c, const struct target *t)
{
    printf("  %-8s ", transport_name(t->transport));
    print_text(t->next_hop);
    printf(", as <");
    print_text(t->address);
    printf(">\n");
    if (t->transport == TRANSPORT_RELAY)
        print_hop(c, t->next_hop);
}

static void print_answer(const struct command_line *l, const struct config *c, struct str address,
                         const struct msg_route_answer *m)
{
    struct buf code = buf_init(16);
    struct reader r = reader_init(m->targets);
    struct target t;

    status_print_enhanced(&code, &m->status);
    if (l->json) {
        print_answer_json(address, m, buf_str(&code));
    } else {
        print_text(address);
        putchar('\n');
        if (m->status.class != 2)
            print_refusal(&m->status, buf_c(&code));
        while (r.rest.n && target_decode(&r, &t))
            print_target(c, &t);
        print_why(m->why);
    }
    buf_free(&code);
}

static int explain_one(const struct command_line *l, const struct config *c, struct asked *router,
                       struct str address)
{
    struct msg_route_ask ask = {.kind = MSG_ROUTE_ASK,
                                .ticket = 1,
                                .may_relay = 1,
                                .sender = str_c(l->from ? l->from : ""),
                                .recipient = address};
    int code = ask_send(router, &ask);

    if (code != EX_OK)
        return code;
    union message *m = ask_receive(router);

    if (!m || m->kind != MSG_ROUTE_ANSWER)
        return EX_IOERR;
    print_answer(l, c, address, &m->route_answer);
    return m->route_answer.status.class == 2   ? EX_OK
           : m->route_answer.status.class == 4 ? EX_TEMPFAIL
                                               : EX_NOUSER;
}

struct waiting {
    struct arena arena;
    struct str addresses[EXPLAIN_ADDRESSES_MAX];
    size_t count;
};

static void keep_recipient(void *arg, struct str line)
{
    struct waiting *w = arg;
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str to;

    if (w->count < EXPLAIN_ADDRESSES_MAX && line_get(line, "to", &to, &scratch)) {
        if (str_starts(to, STR("<")) && str_ends(to, STR(">")))
            to = str_sub(to, 1, to.n - 1);
        w->addresses[w->count++] = arena_copy(&w->arena, to);
    }
    buf_free(&scratch);
}

static int find_recipients(const struct command_line *l, struct str text, struct waiting *w)
{
    struct msg_queue_list list = {.kind = MSG_QUEUE_LIST, .text = text};
    struct asked *queue = NULL;
    int code = ask_open(l, QUEUE, &queue);

    if (code == EX_OK)
        code = ask_lines(queue, &list, keep_recipient, w, NULL);
    ask_close(&queue);
    if (code == EX_OK && w->count == 0)
        code =
            fail(l, EX_DATAERR,
                 "no recipient of %s is waiting; `troika trace` tells what became of it", text.p);
    return code;
}

int run_explain(const struct command_line *l)
{
    struct asked *router = NULL;
    struct id id;
    int code = EX_OK;

    if (l->argument_count != 1)
        return fail(l, EX_USAGE, "which address? see --help");
    struct waiting *w = mem_new(sizeof(*w));
    struct str text = str_c(l->arguments[0]);

    if (id_parse(text, &id))
        code = find_recipients(l, text, w);
    else
        w->addresses[w->count++] = text;
    if (code == EX_OK)
        code = ask_open(l, ROUTER, &router);
    struct config *config = router ? load_config(l, NULL) : NULL;
    for (size_t i = 0; config && i < w->count; i++) {
        int one = explain_one(l, config, router, w->addresses[i]);

        code = MAX_OF(code, one);
    }
    config_drop(&config);
    ask_close(&router);
    arena_free(&w->arena);
    free(w);
    return code;
}
