/* listen/sink.h - one session of the sink, from greeting to goodbye, as a pure machine: it takes what a
 * sender says, judges it, and answers as it was told to, rightly or not.
 *
 * Bytes in, a struct saying out; no socket, no loop, no clock but what it is given. While something
 * is to be said in an odd way (late, byte by byte, with the end of the connection) the session takes
 * no bytes; who feeds it all the same lets it see that the sender did not wait. The phases and
 * their facts: sink.c. RFC 5321, 1870, 2033, 2920, 3030, 3207, 4954, 6152, 6531. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/listen/judge.h"
#include "outward/listen/letter.h"
#include "outward/listen/misbehave.h"

enum {
    SINK_OUT_BYTES_MAX = 8 * 1024 * 1024, /* the longest odd answer */
    SINK_RECIPIENTS_MAX = 1000,
    SINK_OFFERS_MAX = 50,
};

struct sink_options { /* borrowed for the life of the session */
    struct str hostname;
    bool lmtp;
    const struct str *offers; /* lines of EHLO's answer: "SIZE 1000", "AUTH PLAIN LOGIN" */
    size_t offer_count;
    bool tls_can;        /* there is a certificate: STARTTLS may be offered */
    struct str password; /* the only one that is taken; empty: any */
    struct misbehave *misbehave;
};

/* What --offer says when nobody says it. */
extern const char sink_usual_offers[];

struct sink_client {
    struct str ip;  /* as sock_address_print_ip has it */
    bool names_ask; /* its name shall be looked up: on_name */
};

/* A message that is over, one way or the other. Lives for the call. */
struct sink_message {
    struct str sender;
    const struct str *recipients; /* that were accepted */
    size_t recipient_count;
    bool chunked, smtputf8, secured;
    const char *body;   /* "7BIT", "8BITMIME", "BINARYMIME"; NULL: unsaid */
    uint64_t size_said; /* 0: unsaid */
    struct str user;    /* who has logged in, or empty */
    const struct letter *letter;
    bool whole;    /* the end has come */
    bool accepted; /* the sender was told 2xx (LMTP: for one recipient at least) */
    uint16_t code; /* what it was told; 0: nothing */
};

struct sink_events {
    void (*on_line)(void *arg, bool sent, struct str line); /* secrets are masked */
    void (*on_found)(void *arg, enum finding what, struct str detail);
    void (*on_name)(void *arg, struct str name); /* what it calls itself, to be looked up */
    void (*on_login)(void *arg, const char *mechanism, struct str user, bool accepted);
    void (*on_begin)(void *arg);                     /* a message begins to come */
    void (*on_content)(void *arg, struct str bytes); /* of it, without stuffing */
    void (*on_message)(void *arg, const struct sink_message *m);
};

/* What is to happen behind what is said. */
enum then { THEN_ON, THEN_HANG_UP, THEN_RESET, THEN_SILENCE, THEN_TLS };

struct saying {
    struct buf plain; /* first, at once */
    uint64_t delay_us;
    struct buf odd;   /* then this, */
    uint64_t drip_us; /* each byte so long behind the other; 0: at once */
    struct buf again; /* then this for ever; mostly empty */
    enum then then;
};

struct sink;

/* options and events are borrowed; now_us: wall time. */
struct sink *sink_new(const struct sink_options *o, const struct sink_client *client,
                      const struct sink_events *events, void *arg, uint64_t now_us);
void sink_free(struct sink **s);              /* NULL is fine */
void sink_begin(struct sink *s, bool by_tls); /* greets, or wants TLS first */
/* Is something to be said? Then say it and call sink_said. */
const struct saying *sink_saying(struct sink *s); /* NULL: no */
void sink_said(struct sink *s);
/* Returns how much was used. now_us: wall time. */
size_t sink_feed(struct sink *s, struct str in, uint64_t now_us);

/* With THEN_TLS: how the handshake shall go. kind: KIND_TLS_*, KIND_GARBAGE, KIND_CUT… or 0. */
enum kind sink_tls(const struct sink *s);
/* It stands; version "TLSv1.3"; name: which server was asked for, or empty. Greets if nobody has. */
void sink_secured(struct sink *s, struct str version, struct str name);
void sink_tls_failed(struct sink *s, struct str why);

enum sink_end { SINK_END_CLIENT, SINK_END_LOST, SINK_END_SILENT, SINK_END_OURS };
/* The connection is over; waited_us: how long the sender had waited for an answer, or 0. */
void sink_over(struct sink *s, enum sink_end why, uint64_t waited_us);
/* Of other judges of the same session: names, certificates. */
void sink_tell(struct sink *s, enum finding what, struct str detail);
bool sink_quit(const struct sink *s); /* it has said QUIT */
