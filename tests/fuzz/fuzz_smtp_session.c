/* fuzz_smtp_session.c - a whole session with a fake router and queue: whatever the client sends,
 * every chunking gives the same replies and the same messages, and the facts hold.
 *
 * The first two bytes choose the settings, the rest is what the client says. */
// links: base io mail wire config ipc daemon/smtpd
// SPDX-License-Identifier: ISC
#include <stdint.h>

#include "base/utf8.h"
#include "daemon/smtpd/fake_world.h"
#include "daemon/smtpd/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STRICT = 1,
    OWN_CLIENT = 2,
    SMALL = 4,
    FEW_ERRORS = 8,
    FEW_HOPS = 16,
    NAMED = 32,
    LMTP = 64,
    PROXY = 128, /* it may use XCLIENT */
    LOGINS = 256,
    TLS = 512,
    LOGGED_IN = 1024
};

static void settings_apply(struct config *c, unsigned settings)
{
    c->strict = settings & STRICT;
    c->message_bytes_max = settings & SMALL ? 64 : 100000;
    c->errors_max = settings & FEW_ERRORS ? 2 : 1000;
    c->hops_max = settings & FEW_HOPS ? 1 : 20;
    c->recipients_max = 3;
    c->dns.reverse_names = settings & NAMED;
    c->login_recipient_count = 1;
}

/* Each line is a reply: three digits and a blank or a hyphen, short enough, nothing hidden in it. */
static void replies_are_sane(struct str said)
{
    while (said.n > 0) {
        size_t end = str_find_str(said, STR("\r\n"));
        struct str line = str_sub(said, 0, end);

        check(end < said.n && line.n >= 4 && line.n + 2 <= 512);
        check(line.p[0] >= '2' && line.p[0] <= '5' && (line.p[3] == ' ' || line.p[3] == '-'));
        check(utf8_visible(line));
        said = str_skip(said, end + 2);
    }
}

static void play(struct str in, size_t chunk, unsigned settings, struct buf *told)
{
    struct fake_world f;

    fake_init(&f);
    settings_apply(&f.config, settings);
    f.listen.protocol = settings & LMTP ? STR("lmtp") : STR("smtp");
    f.may_xclient = settings & PROXY;
    f.listen.auth = settings & LOGINS ? STR("required") : STR("off");
    f.listen.plain_auth = f.listen.old_auth_line = settings & FEW_HOPS;
    f.account = settings & LOGGED_IN ? STR("alice@local.example") : STR_NONE;
    f.limit = 5;
    fake_connect(&f, STR("192.0.2.1"), settings & OWN_CLIENT, told);
    f.session->secure = settings & TLS;
    session_identified(f.session, settings & TLS ? STR("0123456789abcdef") : STR_NONE,
                       settings & TLS ? STR("bob@local.example") : STR_NONE);
    session_named(f.session, str_sub(in, 0, 300), STR_NONE, told); /* whatever it may be */
    for (size_t at = 0; at < in.n; at += chunk) {
        fake_feed(&f, str_sub(in, at, at + chunk), told);
        while (f.session->waiting == FOR_NAME) { /* XCLIENT told an address */
            session_named(f.session, STR("client.example"), STR_NONE, told);
            fake_feed(&f, STR_NONE, told);
        }
        session_check(f.session);
        check(!session_waits(f.session));
    }
    replies_are_sane(buf_str(told));
    check(f.stored_content.n <= f.config.message_bytes_max);
    buf_printf(told, "stored=%zu ", f.stored_count);
    buf_add(told, buf_str(&f.stored_envelope));
    buf_add(told, buf_str(&f.stored_prefix));
    buf_add(told, buf_str(&f.stored_content));
    fake_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t chunks[] = {1, 7, 4096};
    struct buf whole = buf_init(16 * MIB);

    if (size < 3)
        return 0;

    struct str in = str_n((const char *)data + 2, size - 2);
    unsigned settings = data[0] | (unsigned)data[1] << 8;

    play(in, in.n, settings, &whole);
    for (size_t i = 0; i < countof(chunks); i++) {
        struct buf cut = buf_init(16 * MIB);

        play(in, chunks[i], settings, &cut);
        check(str_eq(buf_str(&whole), buf_str(&cut)));
        buf_free(&cut);
    }
    buf_free(&whole);
    return 0;
}
