/* cli/queue.c - troika queue: see and steer the mail that is waiting. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"

struct verb {
    const char *name;
    enum message_kind kind;
    enum queue_act act;
    void (*head)(void);
    void (*print)(struct str line);
    const char *done;
};

struct printing {
    const struct command_line *line;
    const struct verb *verb;
    size_t count;
};

static void print(void *arg, struct str line)
{
    struct printing *p = arg;

    if (p->line->json) {
        print_line_json(line);
        return;
    }
    if (p->verb->head && p->count++ == 0)
        p->verb->head();
    p->verb->print(line);
}

static int finish(const struct command_line *l, int code, const struct msg_end *end,
                  const char *done)
{
    if (code != EX_OK)
        return code;
    if (end->status.class != 2)
        return fail(l, EX_DATAERR, "%s", end->status.text);
    if (done && !l->json)
        fprintf(stderr, "%llu recipient%s %s%s%s\n", (unsigned long long)end->count,
                end->count == 1 ? "" : "s", done, end->status.text[0] ? "; " : "",
                end->status.text);
    return EX_OK;
}

static int ask_queue(const struct command_line *l, const struct verb *v, const char *which)
{
    struct arena arena = ARENA_INIT;
    struct str text = strcmp(which, "all") == 0 ? STR("") : stored_form(&arena, which);
    struct msg_queue_list list = {.kind = MSG_QUEUE_LIST, .text = text};
    struct msg_queue_show show = {.kind = MSG_QUEUE_SHOW, .text = text};
    struct msg_queue_act act = {.kind = MSG_QUEUE_ACT, .act = (uint8_t)v->act, .text = text};
    struct msg_queue_limits limits = {.kind = MSG_QUEUE_LIMITS, .text = text};
    void *question = v->kind == MSG_QUEUE_LIST     ? (void *)&list
                     : v->kind == MSG_QUEUE_SHOW   ? (void *)&show
                     : v->kind == MSG_QUEUE_LIMITS ? (void *)&limits
                                                   : (void *)&act;
    struct printing printing = {.line = l, .verb = v};
    struct asked *a = NULL;
    struct msg_end end = {0};
    int code = ask_open(l, QUEUE, &a);

    if (!isatty(STDOUT_FILENO)) /* a million rows are not written 4 KiB by 4 KiB */
        (void)setvbuf(stdout, NULL, _IOFBF, 64 * KIB);
    if (code == EX_OK)
        code = ask_lines(a, question, print, &printing, &end);
    ask_close(&a);
    arena_free(&arena);
    return finish(l, code, &end, v->done);
}

int run_queue(const struct command_line *l)
{
    static const struct verb verbs[] = {
        {"ls", MSG_QUEUE_LIST, 0, print_queue_head, print_queue_row, "waiting"},
        {"show", MSG_QUEUE_SHOW, 0, NULL, print_detail, NULL},
        {"retry", MSG_QUEUE_ACT, ACT_RETRY, NULL, print_detail, "due now"},
        {"hold", MSG_QUEUE_ACT, ACT_HOLD, NULL, print_detail, "held"},
        {"release", MSG_QUEUE_ACT, ACT_RELEASE, NULL, print_detail, "released"},
        {"rm", MSG_QUEUE_ACT, ACT_REMOVE, NULL, print_detail, "removed"},
        {"limits", MSG_QUEUE_LIMITS, 0, print_limits_head, print_limits_row, NULL},
    };
    const char *name = l->argument_count ? l->arguments[0] : "ls";
    const char *which = l->argument_count > 1 ? l->arguments[1] : NULL;

    if (l->argument_count > 2)
        return fail(l, EX_USAGE, "%s: one WHICH at a time; see --help", name);
    for (size_t i = 0; i < countof(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (!which && verbs[i].kind != MSG_QUEUE_LIST && verbs[i].kind != MSG_QUEUE_LIMITS)
            return fail(l, EX_USAGE, "%s what? an id, an address, @domain%s", name,
                        verbs[i].kind == MSG_QUEUE_SHOW ? "" : " or all");
        return ask_queue(l, &verbs[i], which ? which : "all");
    }
    return fail(l, EX_USAGE, "%s? one of ls, show, retry, hold, release, rm, limits", name);
}
