/* compose/stream.c - three small classes of GObject, made by hand: its macros want typedefs. */
// SPDX-License-Identifier: ISC
#include "compose/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { PROGRESS_BYTES = 1024 * 1024 };

static GMimeStream *new_stream(GType *type, const char *name, size_t bytes, GClassInitFunc init)
{
    if (*type == 0)
        *type = g_type_register_static_simple(GMIME_TYPE_STREAM, name, sizeof(GMimeStreamClass),
                                              init, (guint)bytes, NULL, (GTypeFlags)0);
    GMimeStream *stream = g_object_new(*type, NULL);

    g_mime_stream_construct(stream, 0, -1);
    return stream;
}

static int nothing_to_flush(GMimeStream *stream)
{
    return 0;
}

/* ---- files ---- */

struct file_stream {
    GMimeStream stream; /* first: GObject's way of a base class */
    const struct file *file;
    struct source_error *error;
    int fd; /* -1: it is read next */
    bool ended;
};

static struct file_stream *as_file(GMimeStream *stream)
{
    return (struct file_stream *)(void *)stream;
}

static void file_close(struct file_stream *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

static ssize_t file_failed(struct file_stream *s, int error)
{
    *s->error = (struct source_error){.file = s->file, .error = error};
    file_close(s);
    return -1;
}

/* Is it still the file that was looked at? What was checked then must hold for what goes now. */
static bool is_same(const struct file *f, const struct stat *st)
{
    return st->st_dev == f->device && st->st_ino == f->inode && (uint64_t)st->st_size == f->bytes &&
           st->st_mtim.tv_sec == f->changed.tv_sec && st->st_mtim.tv_nsec == f->changed.tv_nsec;
}

static bool still_same(const struct file_stream *s)
{
    struct stat st;

    return fstat(s->fd, &st) == 0 && is_same(s->file, &st);
}

static int file_open(struct file_stream *s)
{
    s->fd = open(s->file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (s->fd < 0)
        return (int)file_failed(s, errno);
    if (!still_same(s))
        return (int)file_failed(s, 0);
    (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only advice */
    return 0;
}

static ssize_t file_read(GMimeStream *stream, char *to, size_t n)
{
    struct file_stream *s = as_file(stream);

    if (s->ended)
        return 0;
    if (s->fd < 0 && file_open(s) < 0)
        return -1;

    ssize_t got = read(s->fd, to, n);

    if (got < 0)
        return file_failed(s, errno);
    if (got > 0) {
        stream->position += got;
        return got;
    }
    if (!still_same(s) || (uint64_t)stream->position != s->file->bytes)
        return file_failed(s, 0);
    s->ended = true;
    file_close(s);
    return 0;
}

static gboolean file_eos(GMimeStream *stream)
{
    return as_file(stream)->ended;
}

static int file_reset(GMimeStream *stream)
{
    file_close(as_file(stream));
    as_file(stream)->ended = false;
    stream->position = 0;
    return 0;
}

static int file_end(GMimeStream *stream)
{
    file_close(as_file(stream));
    return 0;
}

static gint64 file_length(GMimeStream *stream)
{
    return (gint64)as_file(stream)->file->bytes;
}

static GObjectClass *file_parent;

static void file_finalize(GObject *object)
{
    file_close((struct file_stream *)(void *)object);
    file_parent->finalize(object);
}

static void file_class(gpointer class, gpointer data)
{
    GMimeStreamClass *c = class;

    file_parent = g_type_class_peek_parent(class);
    G_OBJECT_CLASS(class)->finalize = file_finalize;
    c->read = file_read;
    c->eos = file_eos;
    c->reset = file_reset;
    c->close = file_end;
    c->flush = nothing_to_flush;
    c->length = file_length;
}

GMimeStream *source_file(const struct file *f, struct source_error *error)
{
    static GType type;
    GMimeStream *stream =
        new_stream(&type, "TroikaSourceFile", sizeof(struct file_stream), file_class);

    as_file(stream)->file = f;
    as_file(stream)->error = error;
    as_file(stream)->fd = -1;
    return stream;
}

/* ---- texts ---- */

struct text_stream {
    GMimeStream stream;
    struct str text;
};

static struct text_stream *as_text(GMimeStream *stream)
{
    return (struct text_stream *)(void *)stream;
}

static ssize_t text_read(GMimeStream *stream, char *to, size_t n)
{
    size_t at = (size_t)stream->position;
    struct str piece = str_sub(as_text(stream)->text, at, at + n);

    if (piece.n > 0)
        memcpy(to, piece.p, piece.n);
    stream->position += (gint64)piece.n;
    return (ssize_t)piece.n;
}

static gboolean text_eos(GMimeStream *stream)
{
    return (size_t)stream->position == as_text(stream)->text.n;
}

static int text_reset(GMimeStream *stream)
{
    stream->position = 0;
    return 0;
}

static gint64 text_length(GMimeStream *stream)
{
    return (gint64)as_text(stream)->text.n;
}

static void text_class(gpointer class, gpointer data)
{
    GMimeStreamClass *c = class;

    c->read = text_read;
    c->eos = text_eos;
    c->reset = text_reset;
    c->close = nothing_to_flush;
    c->flush = nothing_to_flush;
    c->length = text_length;
}

GMimeStream *source_text(struct str text)
{
    static GType type;
    GMimeStream *stream =
        new_stream(&type, "TroikaSourceText", sizeof(struct text_stream), text_class);

    as_text(stream)->text = text;
    return stream;
}

/* ---- the message ---- */

static bool write_all(struct sink *s)
{
    size_t at = 0;

    while (s->fd >= 0 && at < s->n) {
        ssize_t n = write(s->fd, s->bytes + at, s->n - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            s->error = errno;
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

static bool tell(struct sink *s)
{
    s->told = s->done;
    s->given_up = s->progress && !s->progress(s->arg, s->done, MAX_OF(s->all, s->done));
    return !s->given_up;
}

bool sink_flush(struct sink *s)
{
    if (s->error || s->given_up)
        return false;
    if (s->signing)
        dkim_body(s->signing, str_n(s->bytes, s->n));
    if (!write_all(s))
        return false;
    s->n = 0;
    return s->done - s->told < PROGRESS_BYTES || tell(s);
}

bool sink_write(struct sink *s, struct str bytes)
{
    while (bytes.n > 0) {
        size_t n = MIN_OF(bytes.n, sizeof s->bytes - s->n);

        memcpy(s->bytes + s->n, bytes.p, n);
        s->n += n;
        s->done += n;
        bytes = str_skip(bytes, n);
        if (s->n == sizeof s->bytes && !sink_flush(s))
            return false;
    }
    return !s->error && !s->given_up;
}

struct sink_stream {
    GMimeStream stream;
    struct sink *sink;
};

static ssize_t stream_write(GMimeStream *stream, const char *bytes, size_t n)
{
    struct sink *s = ((struct sink_stream *)(void *)stream)->sink;

    if (!sink_write(s, str_n(bytes, n)))
        return -1;
    stream->position += (gint64)n;
    return (ssize_t)n;
}

static void sink_class(gpointer class, gpointer data)
{
    GMimeStreamClass *c = class;

    c->write = stream_write;
    c->flush = nothing_to_flush; /* whoever made the sink does */
    c->close = nothing_to_flush;
}

GMimeStream *sink_stream(struct sink *s)
{
    static GType type;
    GMimeStream *stream = new_stream(&type, "TroikaSink", sizeof(struct sink_stream), sink_class);

    ((struct sink_stream *)(void *)stream)->sink = s;
    return stream;
}
