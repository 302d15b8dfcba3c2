/* ipc/message.h - messages between our processes: structs, encoder, decoder, printer, all made
 * from messages.def. Pure.
 *
 * A packet is: kind (u16), then the fields in order (base/bytes.h). A decoder accepts exactly
 * what the encoder makes. Strings of a decoded message are views into the packet. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/bytes.h"
#include "mail/status.h"

enum role_index {
#define ROLE(NAME, name) ROLE_INDEX_##NAME,
#include "ipc/roles.def"
#undef ROLE
    ROLE_COUNT
};
enum role {
#define ROLE(NAME, name) NAME = 1 << ROLE_INDEX_##NAME,
#include "ipc/roles.def"
#undef ROLE
    WORKERS = SMTPD | ROUTER | QUEUE | RELAY | LOCAL | HISTORY | USERS | KEYS | LOGIND | PAM
};
const char *role_name(enum role r);
enum role role_find(struct str name); /* 0: none */

enum message_kind {
    MSG_NONE,
#define MESSAGE(NAME, name, senders, receivers, FIELDS) MSG_##NAME,
#include "ipc/messages.def"
#undef MESSAGE
    MSG_COUNT
};

#define FIELD_TYPE_U8 uint8_t
#define FIELD_TYPE_U32 uint32_t
#define FIELD_TYPE_U64 uint64_t
#define FIELD_TYPE_STR struct str
#define FIELD_TYPE_STATUS struct status
#define FIELD_TYPE_FD int
#define FIELD_DECLARE(type, name) FIELD_TYPE_##type name;
/* struct msg_put { uint64_t ticket; … }; the first member lets empty messages be structs. */
#define MESSAGE(NAME, name, senders, receivers, FIELDS)                                            \
    struct msg_##name {                                                                            \
        uint16_t kind;                                                                             \
        FIELDS(FIELD_DECLARE)                                                                      \
    };
#include "ipc/messages.def"
#undef MESSAGE

union message {
    uint16_t kind;
#define MESSAGE(NAME, name, senders, receivers, FIELDS) struct msg_##name name;
#include "ipc/messages.def"
#undef MESSAGE
};

enum { PACKET_BYTES_MAX = 192 * 1024 }; /* fits the default socket buffer of an unprivileged user */
/* The file is in the queue; is to be tried again; can never be: it is kept aside. */
enum drop_verdict { DROP_TAKEN, DROP_LATER, DROP_ASIDE, DROP_VERDICT_COUNT };
/* How a helper ended, or why there was none. */
enum deliver_outcome {
    DELIVER_DONE,
    DELIVER_NO_USER,
    DELIVER_REFUSED, /* root or a system user */
    DELIVER_LATER,   /* it could not be started */
    DELIVER_DIED,
    DELIVER_OUTCOME_COUNT
};
enum tls_file_kind { TLS_FILE_CHAIN, TLS_FILE_KEY, TLS_FILE_ROOTS, TLS_FILE_COUNT };
enum route_what { ROUTE_RECIPIENT, ROUTE_OWNER, ROUTE_VERIFY, ROUTE_LOGIN, ROUTE_WHAT_COUNT };
/* Of a user of this machine. LATER: PAM cannot tell now. */
enum password_verdict { PASSWORD_WRONG, PASSWORD_RIGHT, PASSWORD_LATER, PASSWORD_VERDICT_COUNT };
enum { JOB_CONTENT_BYTES_MAX = 64 * 1024 }; /* more comes as a descriptor */
enum put_flags { PUT_BEGIN = 1, PUT_END = 2 };
enum { PUT_CHUNK_BYTES = 64 * 1024, PUT_WINDOW_BYTES = 4 * PUT_CHUNK_BYTES };
enum queue_act { ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_REMOVE, ACT_COUNT };

struct message_row {
    const char *name;
    unsigned senders, receivers; /* bits of enum role */
};
extern const struct message_row message_table[MSG_COUNT];

/* m points at a struct msg_… whose kind is set. False: too large for a packet. FD fields are not
 * in the bytes; message_fd finds them. */
bool message_encode(struct buf *to, const void *m);
/* fd: the descriptor that came with the packet, or -1; owned by ret afterwards if the message has
 * an FD field. False: malformed, or a descriptor where none belongs or the reverse (the caller
 * closes it). */
bool message_decode(struct str packet, int fd, union message *ret);
int *message_fd(void *m); /* NULL: the message has no FD field */
/* "put ticket=1 flags=3 …" for debug logs and tests; strings cut at 64 bytes. */
void message_print(struct buf *to, const void *m);
