/* compose/write.c - the message as a tree of GMime, made for what a server takes and written out.
 *
 * Texts are encoded before GMime sees them: its quoted-printable can make lines of 77 characters,
 * and leaves "From " in front of one. Names of files, too (parameter.h). Files go through its
 * base64 while they are read. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <gmime/gmime.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "compose/internal.h"
#include "compose/parameter.h"
#include "compose/report.h"
#include "compose/stream.h"

enum {
    BASE64_LINE_BYTES = 57, /* of a file, in a line of 76 letters and its CRLF */
    BASE64_LINE_WIDTH = 78,
    PART_HEADER_BYTES = 400, /* about, for the progress */
    MIME_HEADER_BYTES_MAX = 64 * 1024,
};

struct tree {
    struct compose *c;
    enum compose_encoding encoding;
    GMimeFormatOptions *format;
    GMimeObject *root;
    struct source_error error;
    struct buf text, html; /* encoded */
    enum body body;        /* the most that any part needs */
    uint64_t bytes;        /* about */
};

/* ---- leaves ---- */

static const struct {
    GMimeContentEncoding gmime;
    enum body body;
} encodings[] = {
    [CONTENT_7BIT] = {GMIME_CONTENT_ENCODING_7BIT, BODY_7BIT},
    [CONTENT_8BIT] = {GMIME_CONTENT_ENCODING_8BIT, BODY_8BIT},
    [CONTENT_BINARY] = {GMIME_CONTENT_ENCODING_BINARY, BODY_BINARY},
    [CONTENT_QUOTED_PRINTABLE] = {GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE, BODY_7BIT},
    [CONTENT_BASE64] = {GMIME_CONTENT_ENCODING_BASE64, BODY_7BIT},
};

/* ready: the stream has it encoded already. */
static void set_content(struct tree *t, GMimePart *part, GMimeStream *stream,
                        enum content_encoding encoding, bool ready)
{
    GMimeDataWrapper *content = g_mime_data_wrapper_new_with_stream(
        stream, ready ? encodings[encoding].gmime : GMIME_CONTENT_ENCODING_DEFAULT);

    g_mime_part_set_content_encoding(part, encodings[encoding].gmime);
    g_mime_part_set_content(part, content);
    t->body = MAX_OF(t->body, encodings[encoding].body);
    g_object_unref(content);
    g_object_unref(stream);
}

static GMimeObject *text_leaf(struct tree *t, const struct text_part *text, struct buf *encoded)
{
    struct str bytes = text_bytes(t->c, text);
    enum content_encoding encoding =
        content_choose(&text->facts, bytes.n, t->encoding != COMPOSE_7BIT);
    GMimePart *part = g_mime_part_new_with_type("text", text->subtype);

    if (encoding == CONTENT_QUOTED_PRINTABLE || encoding == CONTENT_BASE64) {
        *encoded = buf_init(content_encoded_max(bytes.n));
        check(content_encode(bytes, encoding, encoded));
        bytes = buf_str(encoded);
    }
    g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", t->c->charset->name);
    set_content(t, part, source_text(bytes), encoding, true);
    t->bytes += bytes.n + PART_HEADER_BYTES;
    return GMIME_OBJECT(part);
}

/* The value of a field of MIME as we write it, not as GMime would. */
static void set_field(GMimeObject *object, const char *name, const char *value, const char *charset,
                      const char *parameter, struct str text, struct coder *coder)
{
    struct buf raw = buf_init(MIME_HEADER_BYTES_MAX);
    struct fold f = fold_field(&raw, name);

    fold_word(&f, str_c(value));
    if (charset)
        check(parameter_print(&f, "charset", str_c(charset), coder));
    check(parameter_print(&f, parameter, text, coder)); /* known to fit */
    fold_end(&f);
    g_mime_header_set_raw_value(
        g_mime_header_list_get_header(g_mime_object_get_header_list(object), name),
        buf_c(&raw) + strlen(name) + 1);
    buf_free(&raw);
}

/* A message is never base64 (RFC 2046 5.2.1): where it cannot go as it is, it is only a file. */
static enum content_encoding file_encoding(const struct tree *t, const struct file *f,
                                           const char **type)
{
    bool fits = f->is_message && (!f->has_8bit || t->encoding != COMPOSE_7BIT);

    *type = f->is_message && !fits ? "application/octet-stream" : f->type;
    if (fits)
        return f->has_8bit ? CONTENT_8BIT : CONTENT_7BIT;
    return t->encoding == COMPOSE_BINARY ? CONTENT_BINARY : CONTENT_BASE64;
}

static uint64_t base64_bytes(uint64_t bytes)
{
    uint64_t rest = bytes % BASE64_LINE_BYTES;

    return bytes / BASE64_LINE_BYTES * BASE64_LINE_WIDTH + (rest > 0 ? (rest + 2) / 3 * 4 + 2 : 0);
}

static GMimeObject *file_leaf(struct tree *t, const struct file *f)
{
    const char *type;
    enum content_encoding encoding = file_encoding(t, f, &type);
    const char *charset = strcmp(type, f->type) == 0 ? f->charset : NULL;
    const char *disposition = f->id ? GMIME_DISPOSITION_INLINE : GMIME_DISPOSITION_ATTACHMENT;
    struct str subtype = str_c(type), main_type = str_cut(&subtype, '/');
    GMimePart *part = g_mime_part_new_with_type(arena_c(&t->c->arena, main_type), subtype.p);
    GMimeObject *object = GMIME_OBJECT(part);

    g_mime_object_set_disposition(object, disposition);
    if (f->id)
        g_mime_object_set_content_id(object, f->id);
    set_content(t, part, source_file(f, &t->error), encoding, encoding != CONTENT_BASE64);
    set_field(object, "Content-Type", type, charset, "name", f->name, t->c->coder);
    set_field(object, "Content-Disposition", disposition, NULL, "filename", f->name, t->c->coder);
    t->bytes +=
        (encoding == CONTENT_BASE64 ? base64_bytes(f->bytes) : f->bytes) + PART_HEADER_BYTES;
    return object;
}

/* ---- the tree ---- */

static GMimeMultipart *new_multipart(struct tree *t, enum multipart kind)
{
    static const char *const subtypes[] = {
        [MIXED] = "mixed", [ALTERNATIVE] = "alternative", [RELATED] = "related"};
    GMimeMultipart *m = g_mime_multipart_new_with_subtype(subtypes[kind]);

    g_mime_multipart_set_boundary(m, t->c->boundaries[kind]);
    return m;
}

static void add_part(GMimeMultipart *m, GMimeObject *part)
{
    g_mime_multipart_add(m, part);
    g_object_unref(part);
}

/* RFC 2045 6.4: it says what the most demanding of its parts says. */
static GMimeObject *end_multipart(struct tree *t, GMimeMultipart *m)
{
    static const char *const names[] = {[BODY_8BIT] = "8bit", [BODY_BINARY] = "binary"};
    GMimeObject *object = GMIME_OBJECT(m);

    if (t->body != BODY_7BIT)
        g_mime_object_set_header(object, "Content-Transfer-Encoding", names[t->body], NULL);
    return object;
}

static GMimeObject *html_tree(struct tree *t)
{
    GMimeObject *html = text_leaf(t, &t->c->html, &t->html);
    size_t first = t->c->o->attachment_count;

    if (first == t->c->file_count)
        return html;
    GMimeMultipart *m = new_multipart(t, RELATED);

    g_mime_object_set_content_type_parameter(GMIME_OBJECT(m), "type", "text/html"); /* RFC 2387 */
    add_part(m, html);
    for (size_t i = first; i < t->c->file_count; i++)
        add_part(m, file_leaf(t, &t->c->files[i]));
    return end_multipart(t, m);
}

/* What is read; NULL: there are only attachments. */
static GMimeObject *reading_tree(struct tree *t)
{
    GMimeObject *text = t->c->text.there ? text_leaf(t, &t->c->text, &t->text) : NULL;

    if (!t->c->html.there)
        return text;
    if (!text)
        return html_tree(t);
    GMimeMultipart *m = new_multipart(t, ALTERNATIVE);

    add_part(m, text);
    add_part(m, html_tree(t));
    return end_multipart(t, m);
}

static GMimeObject *whole_tree(struct tree *t)
{
    GMimeObject *reading = reading_tree(t);

    if (t->c->o->attachment_count == 0)
        return reading;
    GMimeMultipart *m = new_multipart(t, MIXED);

    if (reading)
        add_part(m, reading);
    for (size_t i = 0; i < t->c->o->attachment_count; i++)
        add_part(m, file_leaf(t, &t->c->files[i]));
    return end_multipart(t, m);
}

static void tree_make(struct tree *t, struct compose *c, enum compose_encoding encoding)
{
    static bool ready;

    if (!ready)
        g_mime_init();
    ready = true;
    *t = (struct tree){.c = c, .encoding = encoding, .format = g_mime_format_options_new()};
    g_mime_format_options_set_newline_format(t->format, GMIME_NEWLINE_FORMAT_DOS);
    t->root = whole_tree(t);
}

static void tree_drop(struct tree *t)
{
    g_object_unref(t->root);
    g_mime_format_options_free(t->format);
    buf_free(&t->text);
    buf_free(&t->html);
}

/* ---- writing ---- */

static int failure(const struct tree *t, const struct sink *s, struct buf *error)
{
    if (s->given_up)
        return report(error, EX_TEMPFAIL, _("given up"));
    if (t->error.file && t->error.error != 0)
        return report(error, EX_NOINPUT, "%s: %s", t->error.file->path, strerror(t->error.error));
    if (t->error.file)
        return report(error, EX_NOINPUT,
                      _("%s changed while it was sent; send it again when it is whole"),
                      t->error.file->path);
    return report(error, EX_IOERR, _("the message could not be written: %s"),
                  strerror(s->error ? s->error : EIO));
}

/* What stands behind the header and the blank line. */
static int write_body(struct tree *t, struct sink *s, struct buf *error)
{
    GMimeStream *stream = sink_stream(s);
    bool good = g_mime_object_write_content_to_stream(t->root, t->format, stream) >= 0;

    good = sink_flush(s) && good && !t->error.file;
    g_object_unref(stream);
    return good ? 0 : failure(t, s, error);
}

static void print_header(struct tree *t, struct buf *to)
{
    char *mime = g_mime_object_get_headers(t->root, t->format);

    (void)buf_add(to, buf_str(&t->c->header));
    (void)buf_add_c(to, mime);
    g_free(mime);
}

/* Appends the DKIM-Signature: the body goes by once only for that. */
static int sign(struct tree *t, struct sink *s, struct str header, struct buf *to,
                struct buf *error)
{
    struct dkim_signing *signing = NULL;
    int failed = dkim_begin(t->c->o->dkim, &signing);
    int fd = s->fd;
    int code = 0;

    if (!failed) {
        s->fd = -1;
        s->signing = signing;
        code = write_body(t, s, error);
        s->fd = fd;
        s->signing = NULL;
        if (code == 0)
            failed = dkim_sign(signing, header, clock_now_us(t->c->o->clock) / US_PER_S, to);
    }
    dkim_end(&signing);
    if (failed)
        code =
            report(error, EX_SOFTWARE, _("the message could not be signed: %s"), strerror(-failed));
    return code;
}

static int write_message(struct tree *t, struct sink *s, uint64_t *ret_bytes, struct buf *error)
{
    struct buf header = buf_init(t->c->header.n + MIME_HEADER_BYTES_MAX);
    struct buf signature = buf_init(MIME_HEADER_BYTES_MAX);
    uint64_t before = 0;
    int code = 0;

    print_header(t, &header);
    if (t->c->o->dkim)
        code = sign(t, s, buf_str(&header), &signature, error);
    before = s->done;
    if (code == 0) {
        bool good = sink_write(s, buf_str(&signature)) && sink_write(s, buf_str(&header)) &&
                    sink_write(s, STR("\r\n"));
        code = good ? write_body(t, s, error) : failure(t, s, error);
    }
    *ret_bytes = s->done - before;
    buf_free(&header);
    buf_free(&signature);
    return code;
}

int compose_write(struct compose *c, enum compose_encoding encoding, int fd,
                  bool (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
                  enum body *ret_body, uint64_t *ret_bytes, struct buf *error)
{
    struct tree t;
    struct sink *s = mem_new(sizeof *s);
    uint64_t bytes = 0;

    tree_make(&t, c, c->o->dkim ? COMPOSE_7BIT : encoding);
    s->fd = fd;
    s->progress = progress;
    s->arg = arg;
    s->all = (t.bytes + c->header.n) * (c->o->dkim ? 2 : 1);
    int code = write_message(&t, s, &bytes, error);

    if (code == 0) {
        *ret_body = t.body;
        *ret_bytes = bytes;
    }
    tree_drop(&t);
    free(s);
    return code;
}
