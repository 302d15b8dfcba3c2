/* outward/send/text.c - what was written: the arguments, a file, an editor, or standard input. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "outward/send/letters.h"
#include "outward/send/send.h"
#include "outward/send/shell.h"

enum { READ_BYTES = 64 * 1024 };

/* ---- bytes ---- */

static int read_all(struct sending *s, int fd, const char *name, struct buf *to)
{
    for (;;) {
        char *room = buf_room(to, READ_BYTES);

        if (!room)
            return fail(s->line, EX_DATAERR, _("%s: more than %d MiB of text"), name,
                        COMPOSE_TEXT_BYTES_MAX >> 20);
        ssize_t n = read(fd, room, READ_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(s->line, EX_NOINPUT, "%s: %s", name, strerror(errno));
        if (n == 0)
            return EX_OK;
        buf_added(to, (size_t)n);
    }
}

static int read_file(struct sending *s, const char *name, struct buf *to)
{
    int fd = open(name, O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return fail(s->line, EX_NOINPUT, "%s: %s", name, strerror(errno));
    int code = read_all(s, fd, name, to);

    (void)close(fd);
    return code;
}

static int read_stdin(struct sending *s, struct buf *to)
{
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "%s\n",
                _("type the text of the message; Ctrl-D on a line of its own ends it"));
    return read_all(s, STDIN_FILENO, _("standard input"), to);
}

/* ---- letters ---- */

static const char *letters_of_files(const struct sending *s)
{
    return s->line->input_charset ? s->line->input_charset : letters_of_locale();
}

static int decode(struct sending *s, const char *what, const char *charset, struct str bytes,
                  struct buf *to)
{
    struct buf error = buf_init(KIB);
    int code = letters_decode(charset, bytes, to, &error);

    if (code != EX_OK)
        fail(s->line, code, "%s: %s", what, buf_c(&error));
    buf_free(&error);
    return code;
}

int text_argument(struct sending *s, const char *option, const char *text, struct str *ret)
{
    struct buf decoded = buf_init(COMPOSE_TEXT_BYTES_MAX);
    int code = decode(s, option, letters_of_locale(), str_c(text), &decoded);

    if (code == EX_OK)
        *ret = arena_copy(&s->arena, buf_str(&decoded));
    buf_free(&decoded);
    return code;
}

/* ---- the editor ---- */

/* Cannot be typed by chance; below it stands who gets the message. */
static const char *scissors(void)
{
    return _("-- >8 -- what stands below this line is not sent -- 8< --");
}

static void add_reminder(struct buf *to, const char *label, const struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        buf_printf(to, "%s: %s\n", label, list->items[i]);
}

static void add_reminders(const struct sending *s, struct buf *to)
{
    const struct command_line *l = s->line;

    buf_printf(to, "\n%s\n", scissors());
    buf_printf(to, "From: %.*s\n", STR_ARG(s->from));
    add_reminder(to, "To", &l->to);
    add_reminder(to, "Cc", &l->cc);
    add_reminder(to, "Bcc", &l->bcc);
    if (l->subject)
        buf_printf(to, "Subject: %s\n", l->subject);
    add_reminder(to, _("attached"), &l->attach);
}

static int write_whole(const char *path, struct str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = fd < 0 ? -errno : disk_write_at(&disk_system, fd, bytes, 0);

    if (fd >= 0)
        (void)close(fd);
    return error;
}

/* A folder of its own, so that what an editor leaves beside the file is nobody else's to read. */
static int make_file(struct sending *s, struct buf *content)
{
    const char *base = getenv("TMPDIR");
    char folder[sizeof s->edited];
    int n = snprintf(folder, sizeof folder, "%s/troika-XXXXXX", base && *base ? base : "/tmp");

    if (n < 0 || (size_t)n + sizeof "/message.txt" > sizeof folder)
        (void)snprintf(folder, sizeof folder, "/tmp/troika-XXXXXX");
    if (!mkdtemp(folder))
        return fail(s->line, EX_CANTCREAT, "%s: %s", folder, strerror(errno));
    (void)snprintf(s->edited, sizeof s->edited, "%.*s/message.txt",
                   (int)(sizeof s->edited - sizeof "/message.txt"), folder);
    int error = write_whole(s->edited, buf_str(content));

    return error < 0 ? fail(s->line, EX_CANTCREAT, "%s: %s", s->edited, strerror(-error)) : EX_OK;
}

static int run_editor(struct sending *s)
{
    const char *editor = getenv("VISUAL");
    pid_t pid;

    if (!editor || !*editor)
        editor = getenv("EDITOR");
    if (!editor || !*editor)
        editor = "editor"; /* what Debian calls the one that is there */
    int status = shell_start(editor, s->edited, -1, -1, &pid);

    if (status == 0)
        status = shell_wait(pid);
    if (status < 0)
        return fail(s->line, EX_OSERR, "%s: %s", editor, strerror(-status));
    if (status > 0)
        return fail(s->line, EX_UNAVAILABLE,
                    _("the editor (%s) ended with %d; nothing was sent. $VISUAL or $EDITOR says "
                      "which one is started"),
                    editor, status);
    return EX_OK;
}

static void cut_reminders(struct buf *text)
{
    size_t at = str_find_str(buf_str(text), str_c(scissors()));

    buf_cut(text, at);
    while (text->n > 0 && (text->p[text->n - 1] == '\n' || text->p[text->n - 1] == '\r' ||
                           char_is_blank(text->p[text->n - 1])))
        buf_cut(text, text->n - 1);
    if (text->n > 0)
        buf_add_char(text, '\n');
}

/* What is in `bytes` is where it begins. */
static int edit(struct sending *s, struct buf *bytes)
{
    add_reminders(s, bytes);
    int code = make_file(s, bytes);

    if (code == EX_OK)
        code = run_editor(s);
    if (code != EX_OK)
        return code;
    buf_reset(bytes);
    code = read_file(s, s->edited, bytes);
    cut_reminders(bytes);
    if (code == EX_OK)
        (void)write_whole(s->edited, buf_str(bytes)); /* as it may be sent again */
    if (code == EX_OK && bytes->n == 0)
        code = fail(s->line, EX_NOINPUT, _("nothing was written, so nothing is sent"));
    return code;
}

void text_forget(struct sending *s, bool sent)
{
    if (!*s->edited)
        return;
    if (!sent && s->text.n > 0) {
        fail(s->line, 0, _("your text is kept: --body-file %s takes it"), s->edited);
        return;
    }
    (void)unlink(s->edited);
    *strrchr(s->edited, '/') = '\0';
    (void)rmdir(s->edited); /* an editor may have left something there, which is the person's */
    *s->edited = '\0';
}

/* ---- which of them ---- */

static int read_arguments(struct sending *s, struct buf *to)
{
    for (int i = 0; i < s->line->argument_count; i++)
        buf_printf(to, "%s%s", i ? " " : "", s->line->arguments[i]);
    return EX_OK;
}

static int read_html(struct sending *s)
{
    const char *html = s->line->html;
    struct buf bytes = buf_init(COMPOSE_TEXT_BYTES_MAX + READ_BYTES);
    int code;

    if (!html)
        return EX_OK;
    if (*html == '@') {
        code = read_file(s, html + 1, &bytes);
        if (code == EX_OK)
            code = decode(s, html + 1, letters_of_files(s), buf_str(&bytes), &s->html);
    } else {
        code = decode(s, "--html", letters_of_locale(), str_c(html), &s->html);
    }
    buf_free(&bytes);
    return code;
}

/* The bytes, and whose letters they are. */
static int read_source(struct sending *s, struct buf *to, const char **ret_charset)
{
    const struct command_line *l = s->line;
    const char *file = l->body_file;

    *ret_charset = letters_of_files(s);
    if (file && l->argument_count > 0)
        return fail(l, EX_USAGE, _("the text is either in the arguments or in --body-file"));
    if (l->argument_count > 0) {
        *ret_charset = letters_of_locale();
        return read_arguments(s, to);
    }
    if (file && strcmp(file, "-") != 0)
        return read_file(s, file, to);
    if (file || (!l->edit && !l->html))
        return read_stdin(s, to);
    return EX_OK;
}

int text_read(struct sending *s)
{
    struct buf bytes = buf_init(COMPOSE_TEXT_BYTES_MAX + READ_BYTES);
    const char *charset;
    int code = read_html(s);

    if (code == EX_OK)
        code = read_source(s, &bytes, &charset);
    if (code == EX_OK && s->line->edit)
        code = edit(s, &bytes);
    if (code == EX_OK)
        code =
            decode(s, *s->edited ? s->edited : _("the text"), charset, buf_str(&bytes), &s->text);
    buf_free(&bytes);
    return code;
}
