/* cli/print.c - lines of the log, the history and the queue, shown to a person or as JSON. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "cli/cli.h"

enum { SAME_KEY_MAX = 10 }; /* a person is shown so many to= of one event */

json_t *json_text(struct str text)
{
    json_t *string = json_stringn(text.n ? text.p : "", text.n);

    if (!string) {
        struct buf escaped = buf_init(4 * text.n + 8);

        line_value(&escaped, text);
        string = json_stringn(escaped.p, escaped.n);
        buf_free(&escaped);
    }
    return string;
}

void print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_PRESERVE_ORDER | JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static bool in_list(const char *const *list, size_t count, struct str word)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_c(word, list[i]))
            return true;
    }
    return false;
}

/* Numbers by name: an id or a host name of digits alone stays text. */
static json_t *json_value(struct str key, struct str value)
{
    static const char *const numbers[] = {"attempts", "c",   "code",   "count", "exit",   "ms",
                                          "n",        "pid", "number", "rcpts", "reused", "size"};
    uint64_t number;

    bool counts = str_starts(key, STR("messages-")) || str_starts(key, STR("recipients-"));

    if ((counts || in_list(numbers, countof(numbers), key)) && str_u64(value, &number) &&
        number < INT64_MAX)
        return json_integer((json_int_t)number);
    return json_text(value);
}

/* Who handed a message over: a line within the line. */
static json_t *client_object(struct str line)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    json_t *object = json_object();
    struct str key, value;

    while (line_next(&line, &key, &value, &scratch)) {
        char name[64];

        if (str_eq_c(key, "client"))
            key = STR("address");
        else if (str_eq_c(key, "helo"))
            key = STR("name");
        snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        json_object_set_new(object, name, json_value(key, value));
    }
    buf_free(&scratch);
    return object;
}

void print_line_json(struct str line)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    json_t *object = json_object();
    struct str key, value;

    while (line_next(&line, &key, &value, &scratch)) {
        char name[64];

        snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        json_t *old = json_object_get(object, name);
        bool client = str_eq_c(key, "client") && str_find(value, '=') < value.n;
        json_t *new = client ? client_object(value) : json_value(key, value);

        if (json_is_array(old)) /* a key that comes again, like to=, makes a list */
            json_array_append_new(old, new);
        else
            json_object_set_new(object, name, old ? json_pack("[O, o]", old, new) : new);
    }
    print_json(object);
    buf_free(&scratch);
}

/* The value of a key, or "". */
static struct str value_of(struct str line, const char *key, struct buf *scratch)
{
    struct str value;

    buf_reset(scratch);
    return line_get(line, key, &value, scratch) ? value : STR("");
}

static void print_blanks(size_t n)
{
    static const char blanks[] = "                    ";

    for (; n >= sizeof(blanks); n -= sizeof(blanks) - 1)
        (void)fwrite(blanks, 1, sizeof(blanks) - 1, stdout);
    (void)fwrite(blanks, 1, n, stdout);
}

/* A column: the value and blanks up to the width, one at least. */
static void print_column(struct str value, size_t width)
{
    size_t columns = print_text(value);

    print_blanks(columns < width ? width - columns : 1);
}

/* 2026-11-20T20:01:41.771392Z without what is more than so many bytes, the T a blank. */
static void print_time(struct str time, size_t bytes)
{
    print_text(str_sub(time, 0, 10));
    putchar(' ');
    print_column(str_sub(time, 11, bytes), bytes - 11 + 2);
}

static void print_pair(struct str key, struct str value)
{
    printf(" %.*s=", STR_ARG(key));
    print_value(value);
}

void print_event(struct str line, bool with_id)
{
    /* What is said in columns or tells nothing to a person at the terminal. */
    static const char *const left_out[] = {"level", "role", "time", "event", "msg", "number"};
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str key, value;
    size_t recipients = 0;

    if (with_id)
        print_column(value_of(line, "msg", &scratch), 17);
    else
        printf("  ");
    print_time(value_of(line, "time", &scratch), 23);
    print_column(value_of(line, "event", &scratch), 11);
    while (line_next(&line, &key, &value, &scratch)) {
        if (in_list(left_out, countof(left_out), key))
            continue;
        if (!str_eq_c(key, "to") || ++recipients <= SAME_KEY_MAX)
            print_pair(key, value);
    }
    if (recipients > SAME_KEY_MAX)
        printf(" and %zu more", recipients - SAME_KEY_MAX);
    putchar('\n');
    buf_free(&scratch);
}

void print_queue_head(void)
{
    printf("%-15s  %-6s  %-8s  %-19s  %s\n", "message", "state", "attempts", "due (UTC)",
           "from  to  via  last answer");
}

void print_queue_row(struct str line)
{
    enum { MSG, STATE, FROM, TO, VIA, ATTEMPTS, DUE, LAST, COLUMNS };
    static const char *const keys[] = {
        [MSG] = "msg", [STATE] = "state",       [FROM] = "from", [TO] = "to",
        [VIA] = "via", [ATTEMPTS] = "attempts", [DUE] = "due",   [LAST] = "last"};
    static const unsigned rest[] = {FROM, TO, VIA, LAST};
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str values[COLUMNS];

    line_pick(line, keys, COLUMNS, values, &scratch);
    print_column(values[MSG], 17);
    print_column(values[STATE], 8);
    print_column(values[ATTEMPTS], 10);
    print_time(values[DUE], 19);
    for (size_t i = 0; i < countof(rest); i++) {
        if (i > 0)
            print_blanks(2);
        print_text(values[rest[i]]);
    }
    putchar('\n');
    buf_free(&scratch);
}

void print_limits_head(void)
{
    printf("%-30s  %-13s  %-13s  %-15s  %-15s  %s\n", "account", "messages/hour", "messages/day",
           "recipients/hour", "recipients/day", "at a limit until (UTC)");
}

/* "3 of 500", or "3" */
static void print_share(struct str line, const char *key, size_t width)
{
    struct buf scratch = buf_init(KIB), shown = buf_init(KIB), name = buf_init(64);

    buf_add(&shown, value_of(line, key, &scratch));
    buf_printf(&name, "%s-max", key);
    struct str most = value_of(line, buf_c(&name), &scratch);
    if (most.n > 0)
        buf_printf(&shown, " of %.*s", STR_ARG(most));
    print_column(buf_str(&shown), width);
    buf_free(&name);
    buf_free(&shown);
    buf_free(&scratch);
}

void print_limits_row(struct str line)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);

    print_column(value_of(line, "login", &scratch), 32);
    print_share(line, "messages-hour", 15);
    print_share(line, "messages-day", 15);
    print_share(line, "recipients-hour", 17);
    print_share(line, "recipients-day", 17);
    struct str until = value_of(line, "until", &scratch);
    if (until.n > 0)
        print_time(until, 19);
    putchar('\n');
    buf_free(&scratch);
}

/* A header field as it stands in the message. */
static void print_header(struct str text)
{
    do {
        struct str line = str_cut(&text, '\n');
        struct buf shown = buf_init(line.n + 1);

        for (size_t i = 0; i < line.n; i++)
            if (line.p[i] != '\r')
                buf_add_char(&shown, line.p[i] == '\t' ? ' ' : line.p[i]);
        printf("  | ");
        print_text(buf_str(&shown));
        putchar('\n');
        buf_free(&shown);
    } while (text.n > 0);
}

static void print_field(struct str key, struct str value, const char *first)
{
    printf("%s%.*s: ", str_eq_c(key, first) ? "" : "  ", STR_ARG(key));
    print_text(value);
    putchar('\n');
}

void print_detail(struct str line)
{
    /* The rest of a recipient's line was said of the message. */
    static const char *const of_recipient[] = {"to",      "state",   "via",  "attempts", "due",
                                               "warning", "expires", "last", "notify",   "orcpt"};
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str key, value;

    if (line_get(line, "header", &value, &scratch)) {
        print_header(value);
    } else if (line_get(line, "n", &value, &scratch)) {
        for (size_t i = 0; i < countof(of_recipient); i++)
            if (line_get(line, of_recipient[i], &value, &scratch))
                print_field(str_c(of_recipient[i]), value, "to");
    } else {
        while (line_next(&line, &key, &value, &scratch))
            print_field(key, value, "msg");
    }
    buf_free(&scratch);
}
