/* cli/mailq.c - the queue as people have always read it: a message, then who it is still for. */
// SPDX-License-Identifier: ISC
#include <dirent.h>
#include <getopt.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "cli/sendmail.h"
#include "mail/drop.h"

struct shown {
    char id[32]; /* of the message whose recipients are being listed */
    uint64_t messages, bytes;
    struct buf value;
};

static struct str value_of(struct shown *s, struct str line, const char *key)
{
    struct str value;

    buf_reset(&s->value);
    return line_get(line, key, &value, &s->value) ? value : STR_NONE;
}

/* What a line must not do to the terminal that shows it. */
static void print_key(struct shown *s, struct str line, const char *key)
{
    (void)print_text(value_of(s, line, key));
}

static void print_message(struct shown *s, struct str line)
{
    uint64_t bytes = 0;
    struct str state = value_of(s, line, "state");
    char mark = str_eq_c(state, "held") ? '!' : str_eq_c(state, "active") ? '*' : ' ';

    (void)str_u64(value_of(s, line, "size"), &bytes);
    s->bytes += bytes;
    if (s->messages++ == 0)
        printf("%-16s %8s %-20s %s\n", "-Queue ID-------", "--Size--", "----Arrival Time----",
               "-Sender/Recipient-------");
    else
        putchar('\n');
    printf("%s%c %8llu ", s->id, mark, (unsigned long long)bytes);
    struct str received = value_of(s, line, "received");
    printf("%-20.*s ", (int)MIN_OF(received.n, (size_t)19), received.p ? received.p : "");
    print_key(s, line, "from");
    putchar('\n');
}

static void print_row(void *arg, struct str line)
{
    struct shown *s = arg;
    struct str id = value_of(s, line, "msg");

    if (!str_eq_c(id, s->id)) {
        (void)snprintf(s->id, sizeof s->id, "%.*s", STR_ARG(id));
        print_message(s, line);
    }
    if (value_of(s, line, "last").n > 0) {
        printf("%8s(", "");
        print_key(s, line, "last");
        printf(")\n");
    }
    printf("%47s", "");
    print_key(s, line, "to");
    putchar('\n');
}

static void count_row(void *arg, struct str line)
{
    struct shown *s = arg;
    struct str id = value_of(s, line, "msg");

    if (!str_eq_c(id, s->id))
        s->messages++;
    (void)snprintf(s->id, sizeof s->id, "%.*s", STR_ARG(id));
}

/* What sendmail left while the server was down is not in the queue yet. */
static void print_left(const struct command_line *l)
{
    struct config *config = load_config(l, NULL);
    char path[4200];
    unsigned count = 0;

    if (!config)
        return;
    (void)snprintf(path, sizeof path, "%.*s/drop", STR_ARG(config->state));
    DIR *folder = opendir(path);
    for (const struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
        count += drop_name_valid(str_c(e->d_name));
    if (folder)
        (void)closedir(folder);
    if (count > 0)
        printf("%u message%s in %s for the server to take up\n", count,
               count == 1 ? " waits" : "s wait", path);
    config_drop(&config);
}

int mailq(const struct command_line *l, bool total_only)
{
    struct shown shown = {.value = buf_init(LINE_BYTES_MAX)};
    struct msg_queue_list question = {.kind = MSG_QUEUE_LIST, .text = STR("")};
    struct msg_end end = {0};
    struct asked *a = NULL;
    int code = ask_open(l, QUEUE, &a);

    if (code == EX_OK)
        code = ask_lines(a, &question, total_only ? count_row : print_row, &shown, &end);
    ask_close(&a);
    if (code == EX_OK && end.status.class != 2)
        code = fail(l, EX_DATAERR, "%s", end.status.text);
    if (code == EX_OK && total_only)
        printf("Total requests: %llu\n", (unsigned long long)shown.messages);
    else if (code == EX_OK && shown.messages == 0)
        printf("Mail queue is empty\n");
    else if (code == EX_OK)
        printf("\n-- %llu Kbytes in %llu Request%s.\n",
               (unsigned long long)(shown.bytes + KIB - 1) / KIB,
               (unsigned long long)shown.messages, shown.messages == 1 ? "" : "s");
    if (code == EX_OK)
        print_left(l);
    buf_free(&shown.value);
    return code;
}

int mailq_main(int argc, char **argv)
{
    struct command_line l = {.config_path = config_default_path(), .face = "mailq"};

    opterr = 0;
    for (int o = getopt(argc, argv, "Ac:C:v"); o != -1; o = getopt(argc, argv, "Ac:C:v")) {
        if (o == '?')
            return fail(&l, EX_USAGE, "usage: mailq [-v] [-C FILE]");
        if (o == 'C')
            l.config_path = optarg;
    }
    return mailq(&l, false);
}
