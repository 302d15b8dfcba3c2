/* outward/talk/content.c - `data` and `bdat`: a message from a file, an editor or a template.
 *
 *   content_data --DATA--> 354 --blocks, as the server takes them--> "." --verdict--> gone
 *   content_bdat --BDAT n, n octets--> 250 --next chunk--> ... --BDAT n LAST--> verdict
 * A file is read block by block. What was written in an editor is a file, too: when the server has
 * hung up meanwhile it stays, and its name is said. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "mail/date.h"
#include "outward/send/shell.h"
#include "outward/talk/talk.h"
#include "wire/smtp.h"

enum { BLOCK_BYTES = 64 * 1024, TEMPLATE_BYTES_MAX = 256 * 1024 };

struct content {
    int fd; /* -1: the template is shown, and the rest typed */
    bool chunks, sending, ended;
    uint64_t chunk_bytes, sent;
    struct dot_writer dots;
    struct chunk_reader lines;
};

void content_drop(struct talk *t)
{
    if (!t->content)
        return;
    if (t->content->fd >= 0)
        (void)close(t->content->fd);
    free(t->content);
    t->content = NULL;
}

static struct content *content_new(struct talk *t, int fd)
{
    content_drop(t);
    t->content = mem_new(sizeof(*t->content));
    t->content->fd = fd;
    return t->content;
}

/* The next block of the file; empty at its end. False: it cannot be read. */
static bool read_block(struct talk *t, char *block, size_t room, struct str *ret)
{
    ssize_t n = read(t->content->fd, block, room);

    if (n < 0) {
        show_words(&t->show, SHOW_BAD, _("the file cannot be read any more: %s"), strerror(errno));
        return false;
    }
    *ret = str_n(block, (size_t)n);
    return true;
}

/* Only a message that is whole may be ended by a dot: else the connection is cut. */
static void cut_off(struct talk *t)
{
    show_words(&t->show, SHOW_BAD,
               _("the connection is closed, so that the server does not take half of a message"));
    talk_close(t, true);
}

/* ---- DATA ---- */

static void show_sent(struct talk *t)
{
    show_words(&t->show, SHOW_DIM, _("%llu bytes of content, and the dot"),
               (unsigned long long)t->content->sent);
}

static void send_blocks(struct talk *t)
{
    struct buf wire = buf_init(3 * BLOCK_BYTES);
    char *block = mem_new(BLOCK_BYTES);
    struct str piece;

    while (t->content && !t->content->ended && wire_unsent(t->wire) < BLOCK_BYTES) {
        if (!read_block(t, block, BLOCK_BYTES, &piece)) {
            cut_off(t);
            break;
        }
        if (piece.n > 0)
            dot_write(&t->content->dots, piece, &wire);
        else
            dot_write_end(&t->content->dots, &wire);
        t->content->sent += wire.n;
        t->content->ended = piece.n == 0;
        talk_say_bytes(t, buf_str(&wire));
        buf_reset(&wire);
    }
    if (t->content && t->content->ended)
        show_sent(t);
    buf_free(&wire);
    free(block);
}

void content_drained(struct talk *t)
{
    if (t->content && t->content->sending && !t->content->ended)
        send_blocks(t);
}

/* ---- BDAT ---- */

/* The next chunk with its command. Text gets its CRLF; binary is as it is. */
static void send_chunk(struct talk *t)
{
    struct content *c = t->content;
    size_t room = (size_t)c->chunk_bytes;
    struct buf chunk = buf_init(2 * room + 2);
    char *block = mem_new(room);
    struct str piece, peeked = STR_NONE;
    char next;
    char line[64];

    if (!read_block(t, block, room, &piece)) {
        cut_off(t);
        free(block);
        return;
    }
    (void)chunk_read(&c->lines, piece, &chunk);
    if (piece.n > 0 && !read_block(t, &next, 1, &peeked))
        peeked = STR_NONE;
    c->ended = peeked.n == 0;
    if (!c->ended)
        (void)lseek(c->fd, -1, SEEK_CUR);
    else
        (void)chunk_read_end(&c->lines, &chunk);
    snprintf(line, sizeof(line), "BDAT %zu%s", chunk.n, c->ended ? " LAST" : "");
    talk_say(t, str_c(line), false);
    talk_say_bytes(t, buf_str(&chunk));
    buf_free(&chunk);
    free(block);
}

/* ---- answers ---- */

static void typed_by_hand(struct talk *t);

void content_heard(struct talk *t, enum explain_step step)
{
    bool positive = answer_positive(&t->answer);

    if (!t->content)
        return;
    if (step == STEP_CONTENT && !exchange_awaits(&t->exchange)) {
        content_drop(t);
    } else if (step == STEP_DATA && (!positive || (!t->content->chunks && t->answer.code < 300))) {
        show_words(&t->show, SHOW_BAD, _("the message is not sent"));
        content_drop(t);
    } else if (step == STEP_DATA && t->content->chunks) {
        send_chunk(t);
    } else if (step == STEP_DATA && t->content->fd < 0) {
        typed_by_hand(t);
    } else if (step == STEP_DATA) {
        t->content->sending = true;
        send_blocks(t);
    }
}

/* ---- templates ---- */

static void add_message_id(struct talk *t, struct buf *to)
{
    uint64_t random[2];
    char text[26];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        random[0] = clock_now_us(&clock_system);
    base32_put(text, 13, random[0]);
    base32_put(text + 13, 13, random[1]);
    (void)buf_printf(to, "Message-ID: <%.26s@%s>\n", text, t->hostname);
}

/* A header by what MAIL and RCPT said. */
static void add_template(struct talk *t, struct buf *to)
{
    struct str rest = buf_str(&t->exchange.recipients);
    const char *before = "To: ";

    (void)buf_add_c(to, "Date: ");
    date_print(to, clock_now_us(&clock_system), 0);
    (void)buf_printf(to, "\nFrom: <%s>\n", buf_c(&t->exchange.sender));
    while (rest.n > 0) {
        struct str one = str_cut(&rest, '\n');

        (void)buf_printf(to, "%s<%.*s>", before, STR_ARG(one));
        before = ",\n ";
    }
    (void)buf_add_c(to, *before == ',' ? "\n" : "To: \n");
    (void)buf_add_c(to, "Subject: \n");
    add_message_id(t, to);
    (void)buf_add_c(to, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                        "Content-Transfer-Encoding: 8bit\n\n");
}

/* The header is said, what follows is typed. */
static void typed_by_hand(struct talk *t)
{
    struct buf header = buf_init(TEMPLATE_BYTES_MAX);

    content_drop(t);
    add_template(t, &header);
    struct str rest = buf_str(&header);

    while (rest.n > 0)
        talk_say(t, str_cut(&rest, '\n'), false);
    show_words(&t->show, SHOW_DIM, _("type the text; a line with a single dot ends it"));
    buf_free(&header);
}

static void on_wake(void *arg) {}

/* The person edits; the loop goes on, so that a server that hangs up is noticed. */
static int wait_for_editor(struct talk *t, pid_t child)
{
    int status = -1;

    t->asking = true;
    while (waitpid(child, &status, WNOHANG) == 0) {
        struct timer wake = {0};

        timer_set(t->loop, &wake, US_PER_S / 10, on_wake, NULL);
        loop_turn(t->loop, true);
        timer_stop(&wake);
    }
    t->asking = false;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool run_editor(struct talk *t, const char *path)
{
    const char *command = getenv("VISUAL");
    pid_t child;

    if (!command || !*command)
        command = getenv("EDITOR");
    if (!command || !*command)
        command = "vi";
    show_mute(&t->show);
    editor_lend(t->editor);
    int status = shell_start(command, path, -1, -1, &child);

    if (status == 0)
        status = wait_for_editor(t, child);
    editor_take_back(t->editor);
    show_unmute(&t->show);
    if (status != 0)
        show_words(&t->show, SHOW_BAD, _("%s ended with %d; nothing is sent"), command, status);
    return status == 0;
}

static int write_template(struct talk *t, char *path, struct buf *text)
{
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0)
        return -errno;
    add_template(t, text);
    if (write(fd, text->p, text->n) != (ssize_t)text->n) {
        (void)close(fd);
        return -EIO;
    }
    return fd;
}

/* Editors write a new file in the place of the old one. */
static bool unchanged(int fd, const struct buf *text)
{
    char *now = mem_new(text->n + 1);
    ssize_t n = pread(fd, now, text->n + 1, 0);
    bool same = n <= 0 || ((size_t)n == text->n && memcmp(now, text->p, text->n) == 0);

    free(now);
    return same;
}

/* A descriptor of what was written, or -1 after words. */
static int edit_message(struct talk *t, char *path)
{
    struct buf text = buf_init(TEMPLATE_BYTES_MAX);
    int fd = write_template(t, path, &text), ret = -1;

    if (fd < 0) {
        show_words(&t->show, SHOW_BAD, "%s: %s", path, strerror(-fd));
    } else {
        (void)close(fd);
        if (run_editor(t, path))
            ret = open(path, O_RDONLY | O_CLOEXEC);
        if (ret >= 0 && unchanged(ret, &text)) {
            show_words(&t->show, SHOW_LATER, _("nothing was written, so nothing is sent"));
            (void)close(ret);
            (void)unlink(path);
            ret = -1;
        }
    }
    buf_free(&text);
    return ret;
}

/* ---- the beginnings ---- */

static int open_message(struct talk *t, struct str file)
{
    char *path = mem_copy(file.p, file.n);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        (void)close(fd);
        errno = EINVAL;
        fd = -1;
    }
    if (fd < 0)
        show_words(&t->show, SHOW_BAD, "%s: %s", path,
                   errno == EINVAL ? _("that is no file") : strerror(errno));
    free(path);
    return fd;
}

static void begin_data(struct talk *t, int fd)
{
    (void)content_new(t, fd);
    talk_say(t, STR("DATA"), false);
}

static void data_from_editor(struct talk *t)
{
    const char *folder = getenv("TMPDIR");
    char path[512];

    snprintf(path, sizeof(path), "%s/troika-message-XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = edit_message(t, path);

    if (fd < 0)
        return;
    if (t->state != TALK_OPEN) {
        show_words(&t->show, SHOW_LATER,
                   _("what you wrote is in %s: after /reconnect, EHLO, MAIL and RCPT say /data %s"),
                   path, path);
        (void)close(fd);
        return;
    }
    (void)unlink(path);
    begin_data(t, fd);
}

void content_data(struct talk *t, struct str file)
{
    if (file.n == 0 && t->editor) {
        data_from_editor(t);
        return;
    }
    int fd = file.n == 0 || str_eq_c(file, "-") ? -1 : open_message(t, file);

    if (fd >= 0 || file.n == 0 || str_eq_c(file, "-"))
        begin_data(t, fd);
}

void content_bdat(struct talk *t, struct str file, uint64_t chunk_bytes)
{
    int fd = open_message(t, file);

    if (fd < 0)
        return;
    struct content *c = content_new(t, fd);

    c->chunks = true;
    c->chunk_bytes = chunk_bytes;
    c->lines.lines = t->exchange.binary ? CHUNK_BINARY : CHUNK_NORMALIZED;
    send_chunk(t);
}
