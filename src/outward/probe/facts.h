/* outward/probe/facts.h - what troika probe found out, before anybody judges it.
 *
 * Gathering (gather.c, talk.c, spf_walk.c) writes it, judging (judge.c and its parts) only reads it:
 * so every judgement can be tried with facts that a test makes up. Everything lives in one arena.
 * Times are in microseconds. Where an answer is missing because the time was over, it is as if it
 * had never been asked for. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "dns/reverse.h"
#include "io/socket.h"
#include "mail/explain.h"
#include "mailauth/dane.h"
#include "mailauth/spf_record.h"
#include "tls/inspect.h"

enum {
    PROBE_HOSTS_MAX = 16,
    PROBE_ADDRESSES_MAX = 8, /* of one host */
    PROBE_SERVERS_MAX = 48,
    PROBE_SELECTORS_MAX = 48,
    PROBE_SPF_NODES_MAX = 40,
    PROBE_REPORT_HOSTS_MAX = 10,
    PROBE_QUESTIONS_MAX = 400,
};

enum probe_subject {
    SUBJECT_DOMAIN, /* mail goes to it: MX, policies */
    SUBJECT_HOST,   /* a server: a URL, an address, a port, or a name that only has addresses */
};

struct fact_answer { /* of one question to DNS */
    bool asked;      /* what follows is known */
    enum dns_outcome outcome;
    enum dns_security security;
    struct str why; /* DNS_LATER */
    struct str canonical;
    size_t cname_count;
    struct dns_record *records;
    size_t count;
    uint64_t us;
};

struct fact_address {
    struct sock_address ip; /* port 0 */
    struct str text;        /* "192.0.2.1" */
    bool is_public;
    bool reverse_known;
    enum reverse_verdict reverse;
    struct str reverse_name;
};

struct fact_host {
    struct str name; /* empty: only an address was given */
    uint16_t preference;
    bool odd_name;   /* letters that no name of a host has */
    bool is_address; /* an MX that is an address in the place of a name */
    struct fact_answer a, aaaa;
    struct fact_answer tlsa; /* of port 25 */
    struct fact_address addresses[PROBE_ADDRESSES_MAX];
    size_t address_count;
};

/* ---- a conversation with a server ---- */

enum fact_step {
    TALK_CONNECT,
    TALK_GREETING,
    TALK_EHLO,
    TALK_HELO,
    TALK_STARTTLS,
    TALK_TLS,
    TALK_EHLO_SECURED,
    TALK_VRFY_POSTMASTER,
    TALK_VRFY_NOBODY,
    TALK_EXPN,
    TALK_BOUNCE,     /* MAIL FROM:<> */
    TALK_POSTMASTER, /* RCPT TO:<postmaster@…> */
    TALK_NOBODY,     /* RCPT TO of somebody who cannot be there */
    TALK_RSET,
    TALK_RELAY_MAIL,
    TALK_RELAY_RCPT,
    TALK_RELAY_RSET,
    TALK_QUIT,
    TALK_STEP_COUNT
};

struct fact_reply {
    bool tried;
    uint16_t code; /* 0: none came */
    int error;     /* why none came: a negative errno; -EPROTO: it was no SMTP; -EPIPE: hung up */
    struct str text;
    uint64_t us;
};

struct fact_offers {
    bool said;
    bool starttls, pipelining, eightbit, dsn, has_size;
    uint64_t size_max;
    struct str auth;  /* "PLAIN LOGIN" */
    struct str lines; /* each with a '\n' behind it but the last */
};

enum relay_form {
    RELAY_STRANGER, /* from us to somebody elsewhere */
    RELAY_EMPTY,    /* from nobody: a bounce */
    RELAY_LOCAL,    /* from somebody of the domain itself, who did not log in */
    RELAY_PERCENT,  /* somebody%elsewhere@domain */
    RELAY_QUOTED,   /* "somebody@elsewhere"@domain */
    RELAY_ROUTE,    /* @domain:somebody@elsewhere */
    RELAY_BANG,     /* elsewhere!somebody@domain */
    RELAY_FORM_COUNT
};

enum version_taken {
    VERSION_UNKNOWN, /* not tried */
    VERSION_TAKEN,
    VERSION_REFUSED,
    VERSION_UNCLEAR, /* it came to no handshake */
};

struct fact_tls {
    bool secured;
    const char *failure; /* why the handshake failed, or NULL */
    struct str version, cipher;
    struct str names, kind; /* "mx.example.org", "ECDSA P-256" */
    const char *trouble;    /* why the chain leads to no root that is trusted, apart from dates */
    bool weak_key;
    bool name_matches;
    uint64_t not_before_us, not_after_us;
    struct str certificates[CHAIN_CERTIFICATES_MAX]; /* DER */
    size_t certificate_count;
    enum version_taken versions[TLS_VERSION_COUNT];
};

struct fact_server {
    const struct fact_host *host;
    const struct fact_address *address;
    struct str name; /* "mx.example.org 192.0.2.1:25" */
    uint16_t port;
    bool implicit_tls;
    bool submission; /* clients log in there */
    bool full;       /* everything was tried, not only greeting and TLS */
    struct fact_reply steps[TALK_STEP_COUNT];
    struct fact_offers plain, secured;
    struct fact_tls tls;
    struct fact_reply
        relay[RELAY_FORM_COUNT]; /* what RCPT was answered; not tried: MAIL was not taken */
    enum fact_step last;         /* where it ended */
};

/* ---- policies ---- */

struct fact_spf_node { /* a record, and how it was come to */
    struct str domain;
    size_t parent;   /* index; its own: the first */
    struct str term; /* "include:…" */
    struct fact_answer answer;
    size_t record_count;             /* SPF records among the texts */
    const struct spf_record *record; /* NULL: there is none, or error says why not */
    struct str text;
    struct record_error error;
    bool loop;     /* it leads back to where it came from */
    bool redirect; /* not an include */
};

struct fact_spf {
    struct fact_spf_node nodes[PROBE_SPF_NODES_MAX];
    size_t node_count;
    size_t lookup_count; /* terms that ask DNS, of all that was walked */
    size_t void_count;   /* of these, found nothing */
    struct str void_name;
    size_t many_mx_count; /* mx terms with more hosts than SPF_HOSTS_MAX */
    bool more;            /* there is more than was walked */
};

struct fact_selector {
    struct str name;
    bool wanted; /* the person named it */
    struct fact_answer answer;
};

struct fact_policy { /* of MTA-STS */
    bool asked;
    long code;
    struct str error; /* why there was no answer */
    struct str type, body;
    uint64_t us;
};

struct fact_report_host { /* somebody else's, who is to get reports: may they be sent there? */
    struct str host;
    struct fact_answer answer;
};

struct fact_delivery {
    bool tried;
    struct str to, from, server;
    uint16_t code; /* 0: no server was reached */
    uint8_t class;
    enum explain_step step; /* whose answer it is */
    struct str text;
    bool dsn;
    uint64_t us;
};

struct fact_question { /* for the table of names */
    struct str name;
    enum dns_type type;
    const struct fact_answer *answer;
};

struct facts {
    enum probe_subject subject;
    struct str domain;      /* A-labels, lower case; empty: only an address was given */
    struct str our_address; /* "127.0.0.1" */
    bool private_too;       /* private addresses are meant so, and tried */
    bool anchored;          /* DNSSEC is checked */
    const char *unanchored_why;
    bool cut_short; /* the time was over before everything was answered */
    uint64_t us;    /* all of it took */
    uint64_t now_us;
    uint64_t timeout_us;

    struct fact_question questions[PROBE_QUESTIONS_MAX]; /* all of them, in the order of asking */
    size_t question_count;

    struct fact_answer mx, a, aaaa;
    struct fact_host hosts[PROBE_HOSTS_MAX];
    size_t host_count;
    bool implicit_mx; /* there is no MX, so hosts[0] is the domain itself */
    bool no_ipv6;     /* this machine has none */
    struct fact_server *servers[PROBE_SERVERS_MAX];
    size_t server_count;

    struct fact_answer txt;
    struct fact_spf spf;
    struct fact_answer dmarc, dmarc_above; /* _dmarc of the domain; of the organizational one */
    struct str organization;
    struct fact_report_host report_hosts[PROBE_REPORT_HOSTS_MAX];
    size_t report_host_count;
    struct fact_answer domainkey; /* the name _domainkey.DOMAIN */
    struct fact_selector selectors[PROBE_SELECTORS_MAX];
    size_t selector_count;
    struct fact_answer sts;
    struct fact_policy sts_policy;
    struct fact_answer tlsrpt;
    struct fact_delivery delivery;
};

/* The step in words, as the table of times has it: "greeting"; marked for translation. */
const char *fact_step_word(enum fact_step s);
/* Which texts of the answer are such records; returns how many, *ret is the first. */
size_t fact_records(const struct fact_answer *answer, bool (*is)(struct str text), struct str *ret);
/* The 4 or 16 bytes of an address. */
const uint8_t *fact_address_bytes(const struct sock_address *a, size_t *ret_bytes);
struct sock_address fact_server_address(const struct fact_server *s); /* with its port */
/* Was the server reached, and did it greet? */
bool fact_greeted(const struct fact_server *s);
/* What it said it can, the last time it was asked. */
const struct fact_offers *fact_offers_of(const struct fact_server *s);
