/* fuzz_drop.c - any file as a drop file: the parsers of its head and end give back what was
 * written, and a whole session with a fake router and queue stores nothing of a file whose
 * checksum does not fit. The first byte chooses whether the end is put right. */
// links: base io mail wire config ipc daemon/smtpd
// SPDX-License-Identifier: ISC
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/codec.h"
#include "daemon/smtpd/drop.h"
#include "daemon/smtpd/fake_world.h"
#include "daemon/smtpd/state.h"
#include "io/disk.h"
#include "mail/drop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(struct str bytes)
{
    struct arena a = ARENA_INIT;
    struct drop_head head, again;
    struct buf text = buf_init(DROP_HEAD_BYTES_MAX);

    if (!drop_head_parse(bytes, &a, &head)) {
        check(head.bytes <= bytes.n && head.recipient_count > 0);
        drop_head_print(&text, &head);
        check(str_eq(buf_str(&text), str_sub(bytes, 0, head.bytes)));
        check(!drop_head_parse(buf_str(&text), &a, &again));
        check(again.recipient_count == head.recipient_count);
    }
    buf_free(&text);
    arena_free(&a);
}

static void make_whole(struct buf *file)
{
    struct arena a = ARENA_INIT;
    struct drop_head head;

    if (!drop_head_parse(buf_str(file), &a, &head)) {
        struct drop_end e = {.message_bytes = file->n - head.bytes,
                             .crc = crc32c(0, file->p, file->n)};
        drop_end_print(file, &e);
    }
    arena_free(&a);
}

static void talk(struct fake_world *f, struct drop *d)
{
    struct buf out = buf_init(4 * MIB), said = buf_init(64 * KIB);

    session_greet(f->session, &out);
    for (bool more = true; more && !drop_finished(d);) {
        drop_hears(d, buf_str(&out));
        buf_reset(&out);
        buf_reset(&said);
        more = drop_says(d, &said);
        check(!said.full);
        fake_feed(f, buf_str(&said), &out);
        session_check(f->session);
        more = more || out.n > 0;
    }
    check(drop_finished(d));
    buf_free(&out);
    buf_free(&said);
}

static void play(struct str file, bool whole)
{
    const struct session_user user = {.uid = 1000, .login = STR("alice")};
    struct fake_world f;
    int fd = memfd_create("fuzz-drop", MFD_CLOEXEC);

    check(fd >= 0 && disk_write_at(&disk_system, fd, file, 0) == 0);
    fake_init(&f);
    struct drop *d = drop_new(fd, &f.config, f.now_us);
    f.session =
        session_new(&f.world, &f, &f.config, &(struct session_client){.user = &user, .number = 1});
    talk(&f, d);
    if (drop_verdict(d) == DROP_TAKEN)
        check(whole && f.stored_count > 0);
    check(f.stored_count <= 2);
    fake_done(&f);
    drop_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf file = buf_init(2 * MIB);
    struct drop_end e;

    if (size < 1 || size > MIB)
        return 0;
    bool mend = data[0] & 1;
    buf_add(&file, str_n((const char *)data + 1, size - 1));
    there_and_back(buf_str(&file));
    if (mend)
        make_whole(&file);
    struct str last =
        str_skip(buf_str(&file), file.n > DROP_END_BYTES ? file.n - DROP_END_BYTES : 0);
    bool whole = drop_end_parse(last, &e) && e.crc == crc32c(0, file.p, file.n - DROP_END_BYTES);
    play(buf_str(&file), whole);
    buf_free(&file);
    return 0;
}
