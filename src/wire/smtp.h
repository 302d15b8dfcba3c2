/* wire/smtp.h - the grammar of SMTP, both directions. Pure: bytes in, events out. RFC 5321.
 *
 * Only CRLF ends a line. A bare CR or LF is told to the caller, never taken for a line end, so two
 * servers cannot disagree on where a message stops (SMTP smuggling). */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mail/address.h"
#include "mail/reply.h"

/* ---- lines ---- */
enum line_event {
    LINE_MORE,         /* no whole line yet */
    LINE_READY,        /* *line is one, without CRLF */
    LINE_BARE_NEWLINE, /* a CR or LF alone: told at once, *line is what came before it; and told
                          again for what follows up to CRLF, so nothing of such a line is run */
    LINE_TOO_LONG,     /* over bytes_max: everything up to its end is skipped, then this once */
};
struct line_reader {
    size_t bytes_max;       /* without CRLF; RFC 5321 4.5.3.1.4 asks for 510, we take 2048 */
    bool skipping, spoiled; /* private */
};
/* Looks at `in` from its start; *used says how much to drop. A NUL in a line is left to the command parser (bad). */
enum line_event line_read(struct line_reader *r, struct str in, struct str *line, size_t *used);

/* ---- commands ---- */
enum { SMTP_NODE_BYTES_MAX = 255 }; /* of ETRN */
enum smtp_verb {
    VERB_UNKNOWN,
    VERB_HELO,
    VERB_EHLO,
    VERB_LHLO, /* of LMTP, RFC 2033 */
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_BDAT,
    VERB_RSET,
    VERB_NOOP,
    VERB_QUIT,
    VERB_HELP,
    VERB_STARTTLS,
    VERB_VRFY,
    VERB_EXPN,
    VERB_XCLIENT,
    VERB_AUTH,
    VERB_SEND,
    VERB_SOML,
    VERB_SAML,
    VERB_TURN,
    VERB_ETRN,
    VERB_ONEX,
    VERB_XUSR,
    VERB_COUNT
};
struct smtp_parameter {
    struct str key, value; /* value.p NULL: none was given */
};
enum { SMTP_PARAMETERS_MAX = 16 };
struct smtp_command {
    enum smtp_verb verb;
    struct str word;      /* as it came */
    struct str text;      /* argument of HELO, EHLO, LHLO, NOOP, HELP, VRFY, EXPN, trimmed */
    struct str mechanism; /* of AUTH */
    struct str response;  /* of AUTH, in base64; p NULL: none was given */
    struct address path;  /* of MAIL and RCPT */
    /* attributes of XCLIENT, too; of VRFY and EXPN: SMTPUTF8 */
    struct smtp_parameter parameters[SMTP_PARAMETERS_MAX];
    size_t parameter_count;
    uint64_t chunk_bytes; /* of BDAT */
    bool last_chunk;
    bool utf8; /* something in it is outside ASCII */
};
enum smtp_syntax {
    SYNTAX_OK,
    SYNTAX_UNKNOWN_COMMAND, /* 500 5.5.1 */
    SYNTAX_ARGUMENTS,       /* 501 5.5.4 */
    SYNTAX_SENDER,          /* 550 5.1.7 */
    SYNTAX_RECIPIENT,       /* 501 5.1.3 */
    SYNTAX_PARAMETERS,      /* 501 5.5.4 too many or malformed */
    SYNTAX_CHUNK,           /* BDAT: nobody knows where the next command begins */
};
/* strict: exactly RFC 5321; else forgiving to hands on a keyboard (blanks, missing < >). error says
 * what is wrong and what would be right. Strings are in the arena or views into line. */
enum smtp_syntax smtp_command_parse(struct str line, bool strict, struct arena *a,
                                    struct smtp_command *ret, struct parse_error *error);
enum reply_name smtp_syntax_reply(enum smtp_syntax s); /* what it is answered with; not SYNTAX_OK */
const char *smtp_verb_word(enum smtp_verb verb);       /* "MAIL"; "" for VERB_UNKNOWN */
enum smtp_verb smtp_verb_find(struct str word);        /* in any case; VERB_UNKNOWN: none */

/* ---- the content after DATA: dot-stuffing removed, RFC 5321 4.5.2 ---- */
enum dot_event {
    DOT_MORE,         /* all input used, no end yet */
    DOT_END,          /* CRLF.CRLF: *used is up to and with it */
    DOT_BARE_NEWLINE, /* only when !normalize: from here on the content is thrown away until DOT_END */
};
struct dot_reader {
    uint8_t state; /* 0: start of content. private */
    bool
        normalize; /* our own clients: a bare CR or LF becomes CRLF in the content (never part of the end) */
    bool spoiled;
};
/* Appends content to `to` (which must have room for 2 × in.n + 2). Linear, memchr-fast on long lines. */
enum dot_event dot_read(struct dot_reader *d, struct str in, struct buf *to, size_t *used);

/* ---- the content of BDAT, RFC 3030: nothing is stuffed, chunks may end anywhere ---- */
enum chunk_lines {
    CHUNK_STRICT,     /* a bare CR or LF spoils the message, as after DATA */
    CHUNK_NORMALIZED, /* our own clients: it becomes CRLF */
    CHUNK_BINARY,     /* BODY=BINARYMIME: bytes are bytes */
};
struct chunk_reader {
    enum chunk_lines lines;
    bool saw_cr; /* private */
};
/* Appends content to `to` (which must have room for 2 × in.n + 2). False: it is spoiled. */
bool chunk_read(struct chunk_reader *c, struct str in, struct buf *to);
bool chunk_read_end(struct chunk_reader *c, struct buf *to); /* likewise, behind the last chunk */

/* ---- writing content: any bytes out in legal form ---- */
struct dot_writer {
    uint8_t state; /* 0: start of content. private */
};
/* Appends `content` dot-stuffed; bare CR or LF becomes CRLF, so nothing can be smuggled onwards. */
void dot_write(struct dot_writer *d, struct str content, struct buf *to);
void dot_write_end(struct dot_writer *d, struct buf *to); /* CRLF if needed, then . CRLF */

/* ---- replies, as a client reads them. RFC 5321 4.2 ---- */
enum { REPLY_LINES_MAX = 128, REPLY_LINE_BYTES_MAX = 2048, REPLY_TEXT_BYTES_MAX = 8192 };
enum reply_event { REPLY_MORE, REPLY_READY, REPLY_BAD };
struct reply_reader {
    uint16_t code; /* 0: none yet */
    size_t line_count;
    struct buf text; /* lines without code, separated by '\n'; what is over the limit is dropped */
};
void reply_reader_init(struct reply_reader *r);
void reply_reader_free(struct reply_reader *r);
/* REPLY_BAD: not SMTP; error is a constant. Also accepts LF alone as a line end (only here: nothing can be smuggled by it). */
enum reply_event reply_read(struct reply_reader *r, struct str in, size_t *used,
                            const char **error);
void reply_reader_next(struct reply_reader *r); /* ready for the next reply */
