/* cli/print.c - lines of the log, the history and the queue, shown to a person or as JSON. */
// SPDX-License-Identifier: ISC
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "cli/cli.h"

void print_line_json(struct str line)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    json_t *object = json_object();
    struct str key, value;

    while (line_next(&line, &key, &value, &scratch)) {
        char name[64];
        uint64_t number;

        snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        json_t *old = json_object_get(object, name);
        json_t *new = str_u64(value, &number) && number < INT64_MAX &&value.n < 16
                          ? json_integer((json_int_t)number)
                          : json_stringn(value.p, value.n);

        if (!new)
            new = json_string("(not UTF-8)");
        if (old && json_is_array(old)) {
            json_array_append_new(old, new);
        } else if (old) { /* a key that comes again, like to=, makes a list */
            json_object_set_new(object, name, json_pack("[O, o]", old, new));
        } else {
            json_object_set_new(object, name, new);
        }
    }
    json_dumpf(object, stdout, JSON_PRESERVE_ORDER | JSON_COMPACT);
    putchar('\n');
    json_decref(object);
    buf_free(&scratch);
}

/* The value of a key, printable because the line was; "" if it is not there. */
static const char *value_of(struct str line, const char *key, struct buf *scratch)
{
    struct str value;

    buf_reset(scratch);
    if (!line_get(line, key, &value, scratch))
        return "";
    struct buf copy = buf_init(LINE_BYTES_MAX);

    for (size_t i = 0; i < value.n; i++)
        buf_add_char(&copy,
                     (unsigned char)value.p[i] < ' ' || value.p[i] == 127 ? '?' : value.p[i]);
    buf_reset(scratch);
    buf_add(scratch, buf_str(&copy));
    buf_free(&copy);
    return buf_c(scratch);
}

void print_event(struct str line)
{
    /* What is said in columns or tells nothing to a person at the terminal. */
    static const char *const left_out[] = {"level", "role", "time", "event", "msg", "number"};
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str key, value;
    const char *time = value_of(line, "time", &scratch);

    printf("  %.10s %.12s  ", time, strlen(time) > 11 ? time + 11 : "");
    printf("%-11s", value_of(line, "event", &scratch));
    for (struct str rest = line; line_next(&rest, &key, &value, &scratch);) {
        bool skip = false;

        for (size_t i = 0; i < countof(left_out); i++)
            skip = skip || str_eq_c(key, left_out[i]);
        if (skip)
            continue;
        struct buf shown = buf_init(LINE_BYTES_MAX);

        line_value(&shown, value);
        printf(" %.*s=%s", STR_ARG(key), buf_c(&shown));
        buf_free(&shown);
    }
    putchar('\n');
    buf_free(&scratch);
}

void print_queue_row(struct str line)
{
    static const char *const columns[] = {"msg", "state",    "from", "to",
                                          "via", "attempts", "due",  "last"};
    struct buf scratch = buf_init(LINE_BYTES_MAX);

    for (size_t i = 0; i < countof(columns); i++)
        printf("%s%s", i ? "  " : "", value_of(line, columns[i], &scratch));
    putchar('\n');
    buf_free(&scratch);
}
