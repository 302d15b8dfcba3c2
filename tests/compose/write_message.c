/* tests/compose/write_message.c - a message from options in JSON on standard input, onto standard
 * output: compose as it is, without a command line around it.
 *
 *   {"from": "…", "sender": "…", "subject": "…", "to": ["…"], "cc": […], "reply_to": […],
 *    "headers": ["Name: value"], "text_file": "PATH", "html_file": "PATH", "input_charset": "…",
 *    "charset": "…", "charset_auto": true, "hostname": "…", "encoding": "7bit"|"8bit"|"binary",
 *    "attachments": [{"path", "name", "type", "id"}], "inlines": […],
 *    "part_bytes_max": N, "all_bytes_max": N, "extensions": ["png"], "types": ["image/…"],
 *    "dkim": {"key_file", "domain", "selector"}}
 *
 * Facts are one line of JSON on standard error; an error is words there, and the exit code. */
// SPDX-License-Identifier: ISC
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "base/check.h"
#include "compose/compose.h"

static struct str text_of(const json_t *j)
{
    return str_n(json_string_value(j), json_string_length(j));
}

static struct str option(const json_t *o, const char *name)
{
    return text_of(json_object_get(o, name));
}

static const struct str *list(struct arena *a, const json_t *o, const char *name, size_t *count)
{
    const json_t *array = json_object_get(o, name);
    struct str *items = arena_alloc(a, json_array_size(array) * sizeof *items);

    *count = json_array_size(array);
    for (size_t i = 0; i < *count; i++)
        items[i] = text_of(json_array_get(array, i));
    return items;
}

static const struct compose_part *parts(struct arena *a, const json_t *o, const char *name,
                                        size_t *count)
{
    const json_t *array = json_object_get(o, name);
    struct compose_part *items = arena_alloc(a, json_array_size(array) * sizeof *items);

    *count = json_array_size(array);
    for (size_t i = 0; i < *count; i++) {
        const json_t *part = json_array_get(array, i);

        items[i] = (struct compose_part){
            .path = json_string_value(json_object_get(part, "path")),
            .name = json_string_value(json_object_get(part, "name")),
            .type = json_string_value(json_object_get(part, "type")),
            .id = json_string_value(json_object_get(part, "id")),
        };
    }
    return items;
}

static struct str file_text(const json_t *o, const char *name, struct buf *to)
{
    const char *path = json_string_value(json_object_get(o, name));
    FILE *file = path ? fopen(path, "rb") : NULL;
    size_t n = 1;

    while (file && n > 0) {
        char *room = buf_room(to, 64 * KIB);

        check(room);
        n = fread(room, 1, 64 * KIB, file);
        buf_added(to, n);
    }
    if (file)
        fclose(file);
    return buf_str(to);
}

static struct dkim_signer *signer(const json_t *o, struct buf *error)
{
    const json_t *dkim = json_object_get(o, "dkim");
    struct buf pem = buf_init(64 * KIB + MIB);
    struct dkim_signer *s = NULL;

    if (dkim && dkim_signer_new(file_text(dkim, "key_file", &pem), option(dkim, "domain"),
                                option(dkim, "selector"), &s, error) < 0) {
        fprintf(stderr, "%s\n", buf_c(error));
        exit(EX_DATAERR);
    }
    buf_wipe(&pem);
    return s;
}

static bool say_progress(void *arg, uint64_t done, uint64_t all)
{
    uint64_t *last = arg;

    check(done > last[0] && done <= all);
    last[0] = done;
    last[1] = all;
    last[2]++;
    return getenv("GIVE_UP") == NULL;
}

/* The most memory it ever had: what fork and exec had before does not count, as in getrusage. */
static json_int_t peak_kib(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    while (status && fgets(line, sizeof line, status))
        (void)sscanf(line, "VmHWM: %ld", &kib);
    if (status)
        fclose(status);
    return kib;
}

static void print_facts(const struct compose *c, enum body body, uint64_t bytes,
                        const uint64_t *progress)
{
    static const char *const bodies[] = {"7bit", "8bit", "binary"};
    json_t *to = json_array();
    size_t count;
    const struct str *recipients = compose_recipients(c, &count);
    struct str sender = compose_sender(c);

    for (size_t i = 0; i < count; i++)
        json_array_append_new(to, json_stringn(recipients[i].p, recipients[i].n));
    json_t *facts =
        json_pack("{s:s, s:I, s:I, s:o, s:s%, s:b, s:[I,I,I]}", "body", bodies[body], "peak_kib",
                  peak_kib(), "bytes", (json_int_t)bytes, "recipients", to, "sender", sender.p,
                  sender.n, "utf8", compose_needs_utf8(c), "progress", (json_int_t)progress[0],
                  (json_int_t)progress[1], (json_int_t)progress[2]);
    json_dumpf(facts, stderr, 0);
    json_decref(facts);
}

static int write_it(const struct compose_options *options, struct str encoding, struct buf *error)
{
    struct compose *c = NULL;
    uint64_t bytes = 0, progress[3] = {0};
    enum body body = BODY_7BIT;
    int code = compose_new(options, &c, error);

    if (code == 0)
        code = compose_write(c,
                             str_eq_c(encoding, "8bit")     ? COMPOSE_8BIT
                             : str_eq_c(encoding, "binary") ? COMPOSE_BINARY
                                                            : COMPOSE_7BIT,
                             STDOUT_FILENO, say_progress, progress, &body, &bytes, error);
    if (code == 0)
        print_facts(c, body, bytes, progress);
    else
        fprintf(stderr, "%s\n", buf_c(error));
    compose_free(&c);
    return code;
}

int main(void)
{
    json_t *o = json_loadf(stdin, JSON_ALLOW_NUL, NULL);
    struct arena a = ARENA_INIT;
    struct buf text = buf_init(128 * MIB), html = buf_init(128 * MIB), error = buf_init(8 * KIB);
    struct compose_options options = {
        .from = option(o, "from"),
        .sender = option(o, "sender"),
        .subject = option(o, "subject"),
        .charset = option(o, "charset"),
        .charset_auto = json_is_true(json_object_get(o, "charset_auto")),
        .input_charset = option(o, "input_charset"),
        .hostname = option(o, "hostname"),
        .text = file_text(o, "text_file", &text),
        .html = file_text(o, "html_file", &html),
        .limits.part_bytes_max = (uint64_t)json_integer_value(json_object_get(o, "part_bytes_max")),
        .limits.all_bytes_max = (uint64_t)json_integer_value(json_object_get(o, "all_bytes_max")),
        .clock = &clock_system,
    };

    check(json_is_object(o));
    setlocale(LC_ALL, "");
    options.to = list(&a, o, "to", &options.to_count);
    options.cc = list(&a, o, "cc", &options.cc_count);
    options.reply_to = list(&a, o, "reply_to", &options.reply_to_count);
    options.headers = list(&a, o, "headers", &options.header_count);
    options.attachments = parts(&a, o, "attachments", &options.attachment_count);
    options.inlines = parts(&a, o, "inlines", &options.inline_count);
    options.limits.extensions = list(&a, o, "extensions", &options.limits.extension_count);
    options.limits.types = list(&a, o, "types", &options.limits.type_count);
    struct dkim_signer *dkim = signer(o, &error);

    options.dkim = dkim;
    int code = write_it(&options, option(o, "encoding"), &error);

    dkim_signer_free(&dkim);
    buf_free(&text);
    buf_free(&html);
    buf_free(&error);
    arena_free(&a);
    json_decref(o);
    return code;
}
