/* listen/show.h - what the sink sees, for a person at a terminal or as JSON, an object a line.
 *
 * Keys and values of JSON are in docs/operating/testing-senders.md. Everything goes to standard output at once. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/listen/sink.h"

struct show {
    bool json, quiet, colours;
    uint64_t counts[SEVERITY_COUNT]; /* findings that were told */
    uint64_t session_count, message_count;
};

struct moment { /* of which session, and when since it began */
    uint64_t session, us;
};

void show_start(struct show *s, bool json, bool quiet);
/* address: "127.0.0.1:2525"; protocol: "SMTP", "LMTP"; by TLS from the first byte on? */
void show_listening(struct show *s, struct str address, const char *protocol, bool tls);
/* own: the certificate is from a file */
void show_ready(struct show *s, struct str hostname, bool own, uint64_t seed, bool misbehaves);
void show_connected(struct show *s, const struct moment *m, struct str peer, struct str local);
void show_line(struct show *s, const struct moment *m, bool sent, struct str line);
void show_peer_name(struct show *s, const struct moment *m, struct str name);
void show_secured(struct show *s, const struct moment *m, struct str words, struct str name);
void show_login(struct show *s, const struct moment *m, const char *mechanism, struct str user,
                bool accepted);
void show_finding(struct show *s, const struct moment *m, enum finding what, struct str detail);
/* file: its name in the folder of --save, or empty */
void show_message(struct show *s, const struct moment *x, const struct sink_message *m,
                  struct str file);
void show_ended(struct show *s, const struct moment *m, const char *why);
void show_refused(struct show *s, struct str peer); /* too many sessions */
void show_summary(struct show *s);
