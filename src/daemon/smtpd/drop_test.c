/* A drop file and a session talk to each other, with a fake router and queue. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/drop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec.h"
#include "daemon/smtpd/fake_world.h"
#include "daemon/smtpd/state.h"
#include "io/disk.h"
#include "mail/drop.h"

static const char message[] = "From: alice@local.example\nSubject: \xc3\xb6\n\nhello\n.\n..\nend";

static int file_of(struct str bytes)
{
    int fd = memfd_create("drop-test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(disk_write_at(&disk_system, fd, bytes, 0), 0);
    return fd;
}

static void print_file(struct buf *to, const char *sender, const char *recipients)
{
    struct str list[32], rest = str_c(recipients);
    struct drop_head h = {.sender = str_c(sender), .body_8bit = true, .recipients = list};

    while (rest.n > 0)
        list[h.recipient_count++] = str_cut_word(&rest);
    drop_head_print(to, &h);
    buf_add(to, str_n(message, sizeof message - 1));
    struct drop_end e = {.message_bytes = sizeof message - 1, .crc = crc32c(0, to->p, to->n)};
    drop_end_print(to, &e);
}

struct talk {
    struct fake_world f;
    struct drop *drop;
};

/* Lets the two talk until neither has more to say. */
static void talk(struct talk *t, struct str file)
{
    const struct session_user user = {.uid = 1000, .login = STR("alice")};
    struct buf out = buf_init(MIB), said = buf_init(64 * KIB);

    t->drop = drop_new(file_of(file), &t->f.config, t->f.now_us);
    t->f.session = session_new(&t->f.world, &t->f, &t->f.config,
                               &(struct session_client){.user = &user, .number = 1});
    session_greet(t->f.session, &out);
    for (bool more = true; more && !drop_finished(t->drop);) {
        drop_hears(t->drop, buf_str(&out));
        buf_reset(&out);
        buf_reset(&said);
        more = drop_says(t->drop, &said);
        fake_feed(&t->f, buf_str(&said), &out);
        more = more || out.n > 0;
        session_check(t->f.session);
    }
    buf_free(&out);
    buf_free(&said);
}

static void end(struct talk *t)
{
    fake_done(&t->f);
    drop_free(&t->drop);
}

static void delivers(void **state)
{
    struct talk t;
    struct buf file = buf_init(MIB);

    fake_init(&t.f);
    print_file(&file, "alice@local.example", "bob@local.example far@else.example");
    talk(&t, buf_str(&file));
    assert_int_equal(drop_verdict(t.drop), DROP_TAKEN);
    assert_int_equal(t.f.stored_count, 1);
    struct str got = buf_str(&t.f.stored_content);
    assert_true(str_eq_c(
        got, "From: alice@local.example\r\nSubject: \xc3\xb6\r\n\r\nhello\r\n.\r\n..\r\nend\r\n"));
    struct str prefix = buf_str(&t.f.stored_prefix);
    assert_true(str_find_str(prefix, STR("(uid 1000, alice)")) < prefix.n);
    assert_true(str_find_str(prefix, STR("with local")) < prefix.n);
    end(&t);
    buf_free(&file);
}

static void tells_the_sender_of_refused_ones(void **state)
{
    static const struct {
        const char *recipients;
        size_t stored;
    } cases[] = {{"bob@local.example nobody@local.example", 2},
                 {"nobody@local.example no2@local.example", 1}};

    for (size_t i = 0; i < countof(cases); i++) {
        struct talk t;
        struct buf file = buf_init(MIB);

        fake_init(&t.f);
        print_file(&file, "alice@local.example", cases[i].recipients);
        talk(&t, buf_str(&file));
        assert_int_equal(drop_verdict(t.drop), DROP_TAKEN);
        assert_int_equal(t.f.stored_count, cases[i].stored);
        struct str report = buf_str(&t.f.stored_content);
        assert_true(str_find_str(report, STR("nobody@local.example")) < report.n);
        assert_true(str_find_str(report, STR("Subject: =")) < report.n ||
                    str_find_str(report, STR("multipart/report")) < report.n);
        assert_int_equal(str_find(report, '\x1a'), report.n);
        end(&t);
        buf_free(&file);
    }
}

static void keeps_aside(void **state)
{
    static const struct {
        const char *sender, *recipients, *why;
    } cases[] = {
        {"", "nobody@local.example", "notification was refused"},
        {"nobody@local.example", "nobody@local.example", "could not be told"},
        {"not an address", "bob@local.example", "could not be told"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct talk t;
        struct buf file = buf_init(MIB);

        fake_init(&t.f);
        print_file(&file, cases[i].sender, cases[i].recipients);
        talk(&t, buf_str(&file));
        assert_int_equal(drop_verdict(t.drop), DROP_ASIDE);
        assert_true(str_find_str(drop_why(t.drop), str_c(cases[i].why)) < drop_why(t.drop).n);
        assert_int_equal(t.f.stored_count, 0);
        end(&t);
        buf_free(&file);
    }
}

static void waits(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct talk t;
        struct buf file = buf_init(MIB);

        fake_init(&t.f);
        t.f.queue_full = i == 0;
        t.f.queue_fails = i == 1;
        t.f.router_away = i == 2;
        print_file(&file, "alice@local.example",
                   i == 3 ? "bob@local.example later@local.example" : "bob@local.example");
        talk(&t, buf_str(&file));
        assert_int_equal(drop_verdict(t.drop), DROP_LATER);
        assert_int_equal(t.f.stored_count, 0);
        end(&t);
        buf_free(&file);
    }
}

/* Whatever is cut off or changed, nothing of it is ever accepted. */
static void refuses_damaged_files(void **state)
{
    struct buf file = buf_init(MIB);

    print_file(&file, "alice@local.example", "bob@local.example");
    for (size_t i = 0; i < file.n; i++) {
        struct talk t;

        fake_init(&t.f);
        talk(&t, str_sub(buf_str(&file), 0, i));
        assert_int_equal(drop_verdict(t.drop), DROP_ASIDE);
        end(&t);

        file.p[i] ^= 1;
        fake_init(&t.f);
        talk(&t, buf_str(&file));
        assert_int_equal(t.f.stored_count, 0);
        assert_int_equal(drop_verdict(t.drop), DROP_ASIDE);
        end(&t);
        file.p[i] ^= 1;
    }
    buf_free(&file);
}

/* A disk that cannot read is no fault of the file: it stays where it is. */
static void waits_for_the_disk(void **state)
{
    struct buf file = buf_init(MIB);
    struct fake_world f;
    char path[64];

    fake_init(&f);
    print_file(&file, "alice@local.example", "bob@local.example");
    int fd = file_of(buf_str(&file));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct drop *d = drop_new(open(path, O_WRONLY | O_CLOEXEC), &f.config, f.now_us);
    assert_true(drop_finished(d));
    assert_int_equal(drop_verdict(d), DROP_LATER);
    drop_free(&d);
    (void)close(fd);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers),
        cmocka_unit_test(tells_the_sender_of_refused_ones),
        cmocka_unit_test(keeps_aside),
        cmocka_unit_test(waits),
        cmocka_unit_test(refuses_damaged_files),
        cmocka_unit_test(waits_for_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
