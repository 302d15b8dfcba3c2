/* outward/names.c - whom commands ask for names. */
// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <string.h>

#include "config/resolvers.h"
#include "config/value.h"
#include "dns/dns.h"
#include "io/disk.h"
#include "outward/outward.h"

enum { RESOLV_CONF_BYTES_MAX = 64 * 1024 };

/* EX_OK, or EX_USAGE after the error was printed. */
static int resolvers_said(const struct command_line *l, struct arena *a, struct str *list)
{
    struct buf why = buf_init(1024);
    int code = EX_OK;

    for (size_t i = 0; i < l->resolver.count && code == EX_OK; i++)
        if (!value_parse(VALUE_RESOLVERS, NULL, str_c(l->resolver.items[i]), a, &list[i], &why))
            code = fail(l, EX_USAGE, "--resolver: %s", buf_c(&why));
    buf_free(&why);
    return code;
}

/* Those of resolv.conf(5); none, when there is no such file: names are asked from the root on. */
static size_t resolvers_of_system(struct arena *a, struct str *list)
{
    struct buf text = buf_init(RESOLV_CONF_BYTES_MAX);
    size_t count = 0;

    if (file_read(AT_FDCWD, "/etc/resolv.conf", RESOLV_CONF_BYTES_MAX, &text) == 0)
        count = resolvers_read(buf_str(&text), a, list);
    buf_free(&text);
    return count;
}

int command_dns(const struct command_line *l, struct loop *loop, struct dns **ret)
{
    return command_dns_anchored(l, loop, STR_NONE, ret);
}

int command_dns_anchored(const struct command_line *l, struct loop *loop, struct str anchors,
                         struct dns **ret)
{
    struct arena a = ARENA_INIT;
    struct str *list = arena_alloc(&a, (l->resolver.count + RESOLVERS_MAX) * sizeof *list);
    struct dns_options options = {
        .forwards = list, .forward_count = l->resolver.count, .anchors = anchors};
    int code = resolvers_said(l, &a, list);

    if (code == EX_OK && options.forward_count == 0)
        options.forward_count = resolvers_of_system(&a, list);
    if (code == EX_OK) {
        int error = dns_new(loop, &options, ret);

        if (error < 0)
            code = fail(l, EX_OSERR, "names cannot be asked for: %s", strerror(-error));
    }
    arena_free(&a);
    return code;
}
