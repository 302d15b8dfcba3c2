/* cli/trace.c - troika trace: the life of messages.
 *
 * What has just happened is still with the queue (durable there, not yet taken by history): it is
 * asked first, then the history, so that nothing falls between; a line both know is shown once. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "cli/cli.h"
#include "mail/id.h"

struct trace {
    const struct command_line *line;
    struct arena arena;
    struct map *pending;      /* lines the queue still holds */
    struct str *pending_list; /* in order */
    size_t pending_count, pending_room;
    bool one_message;
    size_t shown_count;
};

static void keep_pending(void *arg, struct str line)
{
    struct trace *t = arg;
    struct str copy = arena_copy(&t->arena, line);

    if (t->pending_count == t->pending_room) {
        t->pending_room = t->pending_room ? 2 * t->pending_room : 64;
        t->pending_list = mem_resize(t->pending_list, t->pending_room * sizeof(struct str));
    }
    t->pending_list[t->pending_count++] = copy;
    map_put(t->pending, copy, arg);
}

static void show(void *arg, struct str line)
{
    struct trace *t = arg;

    t->shown_count++;
    if (t->line->json)
        print_line_json(line);
    else
        print_event(line, !t->one_message);
}

static void show_from_history(void *arg, struct str line)
{
    struct trace *t = arg;

    map_remove(t->pending, line);
    show(t, line);
}

int run_trace(const struct command_line *l)
{
    struct trace t = {.line = l};
    struct asked *queue = NULL, *history = NULL;
    struct msg_end end = {0};
    struct id id;

    if (l->argument_count != 1)
        return fail(l, EX_USAGE, "of what? a message id, an address or @domain");
    struct str text = stored_form(&t.arena, l->arguments[0]);
    struct msg_events_pending pending = {.kind = MSG_EVENTS_PENDING, .text = text};
    struct msg_trace trace = {.kind = MSG_TRACE, .text = text};

    t.one_message = id_parse(text, &id);
    t.pending = map_new();
    int code = ask_open(l, QUEUE, &queue);

    if (code == EX_OK)
        code = ask_lines(queue, &pending, keep_pending, &t, &end);
    ask_close(&queue);
    if (code == EX_OK)
        code = ask_open(l, HISTORY, &history);
    if (code == EX_OK) {
        if (t.one_message && !l->json)
            printf("%.*s\n", STR_ARG(text));
        code = ask_lines(history, &trace, show_from_history, &t, &end);
    }
    ask_close(&history);
    for (size_t i = 0; code == EX_OK && i < t.pending_count; i++) {
        if (map_get(t.pending, t.pending_list[i]))
            show(&t, t.pending_list[i]);
    }
    if (code == EX_OK && t.shown_count == 0)
        code = fail(l, EX_DATAERR, "nothing is known of %s", l->arguments[0]);
    map_free(&t.pending);
    free(t.pending_list);
    arena_free(&t.arena);
    return code;
}
