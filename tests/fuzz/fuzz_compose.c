/* Any lines as From, To, Subject, a further field, and the rest as text and HTML: what is built has
 * lines that end in CRLF, of at most 998 bytes, and the fields it should have, each once. First byte:
 * character set, encoding. */
// links: base mail mailauth compose
// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/utf8.h"
#include "compose/compose.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_back(int fd, struct buf *to)
{
    ssize_t n = 1;

    check(lseek(fd, 0, SEEK_SET) == 0);
    while (n > 0) {
        char *room = buf_room(to, 64 * KIB);

        check(room);
        n = read(fd, room, 64 * KIB);
        check(n >= 0);
        buf_added(to, (size_t)n);
    }
}

static size_t count_fields(struct str message, const char *name)
{
    struct header_field f;
    size_t count = 0;

    while (header_next(&message, &f))
        count += str_eq_nocase(f.name, str_c(name));
    return count;
}

static void check_message(struct str m, bool utf8, enum body body)
{
    static const char *const once[] = {"From", "Date", "Message-ID", "MIME-Version",
                                       "Content-Type"};
    size_t line = 0;

    for (size_t i = 0; i < m.n; i++) {
        check(m.p[i] != '\0');
        check(m.p[i] != '\n' || (i > 0 && m.p[i - 1] == '\r'));
        check(m.p[i] != '\r' || (i + 1 < m.n && m.p[i + 1] == '\n'));
        line = m.p[i] == '\n' ? 0 : line + 1;
        check(line <= 999);
    }
    check(utf8 || body != BODY_7BIT || utf8_is_ascii(m));
    for (size_t i = 0; i < countof(once); i++)
        check(count_fields(m, once[i]) == 1);
    check(count_fields(m, "Bcc") == 0 && count_fields(m, "Subject") <= 1);
    check(str_starts(str_skip(m, header_bytes(m)), STR("\r\n")));
}

static void write_and_check(struct compose *c, enum compose_encoding encoding)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    struct buf message = buf_init(64 * MIB), error = buf_init(4 * KIB);
    enum body body;
    uint64_t bytes;

    check(fd >= 0);
    check(compose_write(c, encoding, fd, NULL, NULL, &body, &bytes, &error) == 0);
    read_back(fd, &message);
    check(message.n == bytes);
    check_message(buf_str(&message), compose_needs_utf8(c), body);
    buf_free(&message);
    buf_free(&error);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char *const charsets[] = {"", "koi8-r", "iso-2022-jp", "us-ascii", "gb18030"};
    struct str rest = str_n((const char *)p, n);
    struct compose_options o = {.hostname = STR("h.example"), .clock = &clock_system};
    struct compose *c = NULL;
    struct buf error = buf_init(8 * KIB);

    if (n == 0)
        return 0;
    rest = str_skip(rest, 1);
    o.charset = str_c(charsets[p[0] % countof(charsets)]);
    o.charset_auto = p[0] & 0x40;
    o.from = str_cut(&rest, '\n');
    struct str to = str_cut(&rest, '\n');
    o.to = &to;
    o.to_count = 1;
    o.subject = str_cut(&rest, '\n');
    struct str field = str_cut(&rest, '\n');
    o.headers = &field;
    o.header_count = field.n > 0;
    o.text = str_cut(&rest, '\f');
    o.html = rest;
    if (compose_new(&o, &c, &error) == 0)
        write_and_check(c, p[0] & 0x80 ? COMPOSE_8BIT : COMPOSE_7BIT);
    else
        check(error.n > 0);
    compose_free(&c);
    buf_free(&error);
    return 0;
}
