/* Any text as a configuration file: refused with words, or taken; what was taken prints as a file
 * that gives the same configuration, goes through a snapshot unchanged, and is no open relay. A
 * good file read after it is still good (libconfuse keeps state between files). */
// SPDX-License-Identifier: ISC
// links: base io mail config
#include <sys/socket.h>

#include "base/check.h"
#include "config/parse.h"
#include "config/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(struct str text, struct config **ret, struct buf *errors)
{
    struct machine machine = {.hostname = STR("mail.example.org")};

    return config_parse(text, STR("/etc/troika/t.conf"), &machine, ret, errors);
}

static void check_no_open_relay(const struct config *c)
{
    for (size_t i = 0; i < c->relay_for_count; i++)
        check(c->relay_for[i].bits >= (c->relay_for[i].family == AF_INET ? 8 : 7));
}

static void check_snapshot(const struct config *c)
{
    struct buf first = buf_init(SNAPSHOT_BYTES_MAX);
    struct buf second = buf_init(SNAPSHOT_BYTES_MAX);
    struct config *back = NULL;

    snapshot_encode(&first, c);
    check(snapshot_decode(buf_str(&first), &back) == 0);
    snapshot_encode(&second, back);
    check(str_eq(buf_str(&first), buf_str(&second)));
    check(c->routing_fingerprint == back->routing_fingerprint);
    config_drop(&back);
    buf_free(&first);
    buf_free(&second);
}

static void check_print(const struct config *c)
{
    struct buf first = buf_init(1 << 20), second = buf_init(1 << 20), errors = buf_init(1 << 16);
    struct config *again = NULL;

    config_print(&first, c);
    check(!first.full && parse(buf_str(&first), &again, &errors));
    config_print(&second, again);
    check(str_eq(buf_str(&first), buf_str(&second)));
    check(c->routing_fingerprint == again->routing_fingerprint);
    config_drop(&again);
    buf_free(&first);
    buf_free(&second);
    buf_free(&errors);
}

static void check_next_file(void)
{
    static const char good[] = "listen a { address = \"*:25\" }\nhold = yes # why\n";
    struct buf errors = buf_init(1 << 16);
    struct config *c = NULL;

    check(parse(str_c(good), &c, &errors) && errors.n == 0 && c->hold && c->listen_count == 1);
    config_drop(&c);
    buf_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf errors = buf_init(1 << 20);
    struct config *c = NULL;

    if (parse(str_n((const char *)data, size), &c, &errors)) {
        check_no_open_relay(c);
        check_snapshot(c);
        check_print(c);
        config_drop(&c);
    } else {
        check(errors.n > 0 && !c);
        for (size_t i = 0; i < errors.n; i++)
            check(errors.p[i] == '\n' || (unsigned char)errors.p[i] >= ' ');
    }
    check_next_file();
    buf_free(&errors);
    return 0;
}
