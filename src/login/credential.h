/* login/credential.h - what a login proves itself with: STATE/credentials/credentials.db (SQLite).
 *
 * The command line writes, role logind reads; nobody else may: the file belongs to whom the folder
 * belongs to and has mode 0600. Accounts without a row here have a mailbox and cannot log in. A
 * change is seen by the next question, also when the file was made or replaced after
 * credentials_open. Names and domains are compared without case (ASCII).
 *
 * A struct credential holds secrets: credential_wipe it when done. */
// SPDX-License-Identifier: ISC
#pragma once

#include "login/password.h"
#include "mail/address.h"

enum { SCRAM_SALT_BYTES_MAX = 32, SCRAM_ITERATIONS = 10000 };

/* RFC 5802 section 3; the same sizes hold SHA-1 (20 bytes used) and SHA-256 (32). */
struct scram_keys {
    bool set;
    uint32_t iterations;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_n;
    uint8_t stored_key[32], server_key[32];
};

struct credential {
    bool enabled;                             /* false: `troika user disable` */
    char password[PASSWORD_HASH_BYTES_MAX];   /* crypt(5), "$y$…"; empty: none */
    struct scram_keys sha1, sha256;           /* not set: imported as a hash */
    char cram_secret[PASSWORD_BYTES_MAX + 1]; /* the prepared password itself, only for accounts
                                                 made with --cram-md5; else empty */
};

/* Everything that can be known of this password; enabled. 0 or negative errno (-EINVAL:
 * password_prepare has the words). Slow. */
int credential_make(struct str password, bool cram, struct credential *ret);
void credential_wipe(struct credential *c);
/* Slow; takes the same time when the account has no password or may not log in (both false). */
bool password_matches(const struct credential *c, struct str password);

struct credentials;

/* folder: STATE/credentials, or "." when the process is in it. write = false never creates anything
 * and opens no file before the first question (so it may be called before a jail closes): a
 * missing database is empty. 0 or negative errno (-EBADMSG: the file is no such database). */
int credentials_open(const char *folder, bool write, struct credentials **ret);
void credentials_close(struct credentials **s); /* NULL is fine */
/* Takes back what a writer that died left half done, which a reader cannot (-EROFS from
 * credentials_find). Needs to write in the folder, so before a jail closes. */
int credentials_recover(const char *folder);
/* Between the two all changes are made or none; none also when it is closed before the end. */
int credentials_begin(struct credentials *s);
int credentials_commit(struct credentials *s);
/* 1, 0: nobody of this name can log in; negative errno (-EAGAIN: somebody is writing). */
int credentials_find(struct credentials *s, struct str local, struct str domain,
                     struct credential *ret);
/* Adds or replaces. 0 or negative errno. */
int credentials_set(struct credentials *s, const struct address *address,
                    const struct credential *c);
int credentials_remove(struct credentials *s, const struct address *address); /* -ENOENT */
