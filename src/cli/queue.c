/* cli/queue.c - troika queue: see and steer the mail that is waiting. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"

static void print_json(void *arg, struct str line)
{
    (void)arg;
    print_line_json(line);
}

static void print_row(void *arg, struct str line)
{
    (void)arg;
    print_queue_row(line);
}

static void print_plain(void *arg, struct str line)
{
    (void)arg;
    printf("%.*s\n", STR_ARG(line));
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

struct verb {
    const char *name;
    int act; /* enum queue_act; -1: list, -2: show */
    const char *done;
};

static int ask_queue(const struct command_line *l, const struct verb *v, const char *which)
{
    struct asked *a = NULL;
    struct msg_end end = {0};
    int code = ask_open(l, QUEUE, &a);
    struct str text = strcmp(which, "all") == 0 ? STR("") : str_c(which);

    if (code != EX_OK)
        return code;
    if (v->act == -1) {
        struct msg_queue_list m = {.kind = MSG_QUEUE_LIST, .text = text};

        code = ask_lines(a, &m, l->json ? print_json : print_row, NULL, &end);
    } else if (v->act == -2) {
        struct msg_queue_show m = {.kind = MSG_QUEUE_SHOW, .text = text};

        code = ask_lines(a, &m, l->json ? print_json : print_plain, NULL, &end);
    } else {
        struct msg_queue_act m = {.kind = MSG_QUEUE_ACT, .act = (uint8_t)v->act, .text = text};

        code = ask_lines(a, &m, l->json ? print_json : print_plain, NULL, &end);
    }
    ask_close(&a);
    return finish(l, code, &end, v->done);
}

int run_queue(const struct command_line *l)
{
    static const struct verb verbs[] = {
        {"ls", -1, "waiting"},
        {"show", -2, NULL},
        {"retry", ACT_RETRY, "due now"},
        {"hold", ACT_HOLD, "held"},
        {"release", ACT_RELEASE, "released"},
        {"rm", ACT_REMOVE, "removed"},
    };
    const char *name = l->argument_count ? l->arguments[0] : "ls";
    const char *which = l->argument_count > 1 ? l->arguments[1] : NULL;

    if (l->argument_count > 2)
        return fail(l, EX_USAGE, "%s: one WHICH at a time; see --help", name);
    for (size_t i = 0; i < countof(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (!which && verbs[i].act != -1)
            return fail(l, EX_USAGE, "%s what? an id, an address, @domain%s", name,
                        verbs[i].act == -2 ? "" : " or all");
        return ask_queue(l, &verbs[i], which ? which : "all");
    }
    return fail(l, EX_USAGE, "%s? one of ls, show, retry, hold, release, rm", name);
}
