/* outward/send/target.h - where a person wants to talk to: --via of send, the argument of talk and probe.
 *
 *   smtp://[USER@]HOST[:PORT]   STARTTLS where it is offered; needed once there is a user. Port 25,
 *                               587 with a user
 *   smtps://[USER@]HOST[:PORT]  TLS from the first byte on; port 465
 *   lmtp:// pop:// pops:// imap:// imaps://   likewise; ports 24, 110, 995, 143, 993
 *   HOST[:PORT]                 as smtp://, but by the port: 465 is smtps, 110 pop, 995 pops…
 *   yandex                      a provider of the file (src/provider), with its login and limits
 * HOST may be [IPv6]. USER is percent-decoded; a password in the URL is refused with the reason
 * (argv is seen by everybody). Pure but for the tables it is given. It is no struct target, which is
 * where a recipient goes (mail/envelope.h). */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "provider/provider.h"

enum target_protocol { TARGET_SMTP, TARGET_LMTP, TARGET_POP, TARGET_IMAP };
enum target_tls { TARGET_TLS_OFF, TARGET_TLS_OPTIONAL, TARGET_TLS_REQUIRED, TARGET_TLS_IMPLICIT };

struct server_target {
    enum target_protocol protocol;
    enum target_tls tls;
    struct str host; /* name or address, without brackets */
    uint16_t port;
    bool port_said;                  /* it is not just the usual one */
    struct str user;                 /* or empty */
    const struct provider *provider; /* or NULL */
};

/* False: *error says what is wrong and what would be right. Lives in the arena. */
bool target_parse(struct arena *a, struct str text, const struct providers *known,
                  struct server_target *ret, struct buf *error);
/* Gives a target without a user one that was said elsewhere: TLS is needed now, and port 587 is the
 * usual one. */
void target_log_in(struct server_target *t, struct str user);
/* The provider's own server for outgoing mail; address, which may be empty, is whose login it is.
 * False: none is known. */
bool target_of_provider(struct arena *a, const struct provider *p, struct str address,
                        struct server_target *ret, struct buf *error);
