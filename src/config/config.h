/* config/config.h - the one configuration file: statements as rows, a frozen result.
 *
 * Every statement is a row in statements.def: name, kind, default, range, words for the manual.
 * The row is parser, default, range check, `troika check`, troika.conf(5) and the snapshot.
 *
 * Reading (libconfuse can exit(), so only in a child process: config_check_file) gives a snapshot:
 * bytes in a sealed memfd that workers turn into a struct config without parsing anything from
 * outside. A struct config is never changed; it is counted, because sessions that began under an
 * old one end under it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "io/socket.h"

/* So many in so long. */
struct rate {
    uint64_t count, in_us; /* an hour or a day; of servers also less than an hour */
};

struct config_listen {
    struct str name;       /* title: "smtp" */
    struct str *addresses; /* "*:25", "127.0.0.1:2525" */
    size_t address_count;
    struct str protocol;   /* "smtp", "lmtp" */
    struct network *proxy; /* who begins with a PROXY header */
    size_t proxy_count;
    struct network *xclient; /* who may use XCLIENT */
    size_t xclient_count;
    struct str auth; /* "off", "optional", "required" */
    bool plain_auth; /* passwords also without TLS */
    bool cram_md5;
    bool old_auth_line;
    struct str scram;                                  /* "default", "yes", "no" */
    struct str login_senders;                          /* "default", or as config.login_senders */
    struct str socket_user, socket_group, socket_mode; /* of a Unix socket; empty; "0660" */
    struct str tls;           /* "off", "optional", "required", "implicit" */
    bool client_certificates; /* clients are asked for theirs */
    struct str at;            /* "troika.conf:12", for messages */
};

struct config_certificate {
    struct str name;  /* lower case: of clients that ask for it */
    struct str chain; /* files */
    struct str key;
    struct str at;
};

struct config_domain {
    struct str name;    /* lower case */
    bool accounts;      /* STATE/accounts is asked for its users */
    bool system_users;  /* so is the system */
    struct str aliases; /* absolute path of its alias file, or empty */
    struct str at;
};

struct config_route {
    struct str domain;   /* lower case; ".example.org" matches below it */
    struct str via;      /* "host:port", "unix:/path" */
    struct str tls;      /* "default", or as config_tls.outgoing, or "verified" */
    struct str protocol; /* "smtp", "lmtp" */
    struct str login;    /* or empty */
    struct str password_file;
    struct str at;
};

struct config_smarthost {
    struct str via; /* "host:port"; empty: there is none */
    struct str at;
    struct str tls;          /* as config_route.tls */
    struct str implicit_tls; /* "by-port", "yes", "no" */
    struct str login;        /* or empty */
    struct str password_file;
    struct rate *limits; /* messages */
    size_t limit_count;
    struct rate *recipient_limits;
    size_t recipient_limit_count;
    uint64_t recipients_max; /* of one message; 0: as many as there are */
};

/* What holds for a server that mail is sent to, whichever statements lead there. */
struct config_hop {
    struct str tls; /* "off", "opportunistic", "required", "verified": the strictest */
    bool implicit_tls;
    struct str login, password_file; /* or empty */
    bool unprotected;                /* the password may go there without TLS: it says tls = off */
    const struct rate *limits, *recipient_limits;
    size_t limit_count, recipient_limit_count;
    uint64_t recipients_max;
};

struct config_dns {
    struct str title; /* it has none */
    struct str at;
    struct str *forwards; /* "192.0.2.53@53"; none: names are looked up from the root on */
    size_t forward_count;
    struct str trust_anchor; /* a file, or empty */
    uint64_t smtp_port;      /* of servers found by DNS */
    bool reverse_names;      /* clients are asked for theirs */
};

struct config_tls {
    struct str title; /* it has none */
    struct str at;
    struct str outgoing;         /* "off", "opportunistic", "required" */
    struct str roots;            /* a file; empty: those of the system */
    struct str certificate, key; /* files; empty: no TLS for clients */
    struct str level;            /* "intermediate", "modern" */
    struct str client_roots;     /* a file, or empty */
};

struct config {
    struct arena arena; /* owns everything below */
    unsigned references;

    struct str file; /* absolute path it came from */
    struct str hostname;
    struct str state; /* absolute path */
    bool strict, hold;
    struct config_listen *listens;
    size_t listen_count;
    struct config_certificate *certificates; /* beside tls.certificate */
    size_t certificate_count;
    struct config_domain *domains;
    size_t domain_count;
    struct config_route *routes;
    size_t route_count;
    struct config_smarthost smarthost;
    struct config_dns dns;
    struct config_tls tls;
    bool private_next_hops;  /* DNS may lead to loopback and private addresses */
    struct str login_domain; /* of logins without one; or empty */
    struct str pam_service;  /* by which users of this machine log in; empty: they do not */
    uint64_t pam_timeout_us;
    struct network *relay_for;
    size_t relay_for_count;
    struct str relay_for_at;

    struct str mailbox;       /* of users of this machine (mail/place.h) */
    struct str full_mailbox;  /* "retry" or "return" */
    uint64_t minimum_uid;     /* of users who get mail */
    uint64_t user_timeout_us; /* of one delivery to a user */

    struct str *trusted_users; /* logins */
    size_t trusted_user_count;

    struct str login_senders;    /* "own", "domain", "any": what an account may call itself */
    struct rate *login_messages; /* how much it may send */
    size_t login_message_count;
    struct rate *login_recipients;
    size_t login_recipient_count;
    struct str vrfy, expn, etrn; /* "yes", "no", "logged-in" */

    uint64_t message_bytes_max;
    uint64_t recipients_max;
    uint64_t errors_max;                  /* per session, then 421 */
    uint64_t connections_max;             /* in all */
    uint64_t connections_per_address_max; /* relay-for networks are exempt */
    uint64_t hops_max;
    uint64_t idle_timeout_us, session_timeout_us;
    uint64_t *retry_us; /* the schedule; the last one repeats */
    size_t retry_count;
    uint64_t expire_us;
    uint64_t warn_us;                /* 0: nobody is warned */
    uint64_t bounces_per_sender_max; /* an hour; 0: no limit */
    uint64_t destination_concurrency_max;
    uint64_t free_floor_bytes;
    uint64_t history_days_max, history_bytes_max;
    uint64_t smtpd_count, relay_count; /* 0: one per core */
    uint64_t logind_count;
    struct str log;       /* "stderr" or "syslog" */
    struct str log_level; /* "debug", "info", "warning", "error" */

    uint64_t routing_fingerprint; /* of all that decides where mail goes; the queue asks again when
                                     it changes */
};

struct config_error {
    struct str
        text; /* "troika.conf:12: listen: port 70000 is out of range; ports go from 1 to 65535" */
};

/* Reads and checks path in a child process. 0 and a snapshot descriptor (sealed memfd), or a
 * negative errno with all the errors, one a line, in *errors (-EINVAL: the file is wrong; warnings
 * are there also after 0). */
int config_check_file(const char *path, int *ret_snapshot_fd, struct buf *errors);
/* Loads a snapshot; does not close the descriptor. */
int config_load(int snapshot_fd, struct config **ret);
struct config *config_hold(struct config *c);
void config_drop(struct config **c); /* NULL is fine */

bool config_has_system_users(const struct config *c);            /* any domain has */
bool config_speaks_lmtp(const struct config *c, struct str via); /* a route there says so */
struct config_hop config_hop(const struct config *c, struct str via);
bool config_has_logins(const struct config *c); /* any listener takes them */
/* Users of this machine log in by PAM: some domain has them. */
bool config_has_user_logins(const struct config *c);
/* "own", "domain", "any": as the listener says, else as all. */
struct str config_login_senders(const struct config *c, const struct config_listen *l);
/* The domain of logins that are said without one; empty: there is none. */
struct str config_login_domain(const struct config *c);

bool config_has_certificate(const struct config *c); /* TLS can be offered */

/* The default file: $TROIKA_CONF, else /etc/troika/troika.conf (prefix as installed). */
const char *config_default_path(void);
/* troika.conf(5), or the text of `troika check --statements`, from the rows. */
void config_manual(struct buf *to);
/* All statements with the values in force, as a file that gives the same configuration. */
void config_print(struct buf *to, const struct config *c);
