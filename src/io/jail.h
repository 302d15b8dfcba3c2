/* io/jail.h - what a process can still do once it has started.
 *
 * jail_enter is the only place that changes uid, root directory, seccomp and Landlock. As root:
 * chroot, groups dropped, uid changed, all of them checked to be irreversible. Always:
 * no_new_privs, not dumpable, Landlock (files; with ABI 4 TCP; with ABI 6 signals), seccomp: a
 * system call outside the list (jail_seccomp.c) fails with EPERM. As a plain user chroot and uid
 * are left out. Built with sanitizers or coverage it only changes the uid.
 *
 * What must be done before: opening files elsewhere, looking up users and names, listening,
 * starting threads. Afterwards fstat works for everybody, stat only with files. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum jail_may {
    JAIL_FILES_READ = 1,  /* open and read below root_fd */
    JAIL_FILES_WRITE = 2, /* also create, write, sync, rename, unlink there */
    JAIL_CONNECT = 4,     /* make TCP connections */
    JAIL_ACCEPT = 8,      /* accept on listeners it was handed */
    JAIL_THREADS = 16,
    JAIL_LOCK = 32,   /* file locks and shared mappings: what SQLite needs */
    JAIL_DNS = 64,    /* with JAIL_CONNECT: also ask name servers, by UDP */
    JAIL_PAIRS = 256, /* make pairs of Unix sockets, to hand one of them to a peer */
    JAIL_USERS = 128, /* look users up: of services of all kinds, so it only changes the uid */
    JAIL_PAM = 512,   /* with JAIL_USERS, without a user: run modules of PAM, which are written for
                         root; it stays root with the capabilities that they have a use for */
};

struct jail {
    const char *user;  /* system user when started by root; NULL: stay, or */
    uint32_t uid, gid; /* become these; 0: stay */
    int root_fd; /* becomes / and is the only folder Landlock allows; -1: none, an empty one */
    unsigned may;
    /* further paths to open for reading (plain user only: a chroot hides them), NULL-terminated, or
     * NULL */
    const char *const *also_read;
};

/* 0, with the protections that are on in *ret ("chroot uid=_troika-smtpd no_new_privs landlock=7
 * seccomp"); or a negative errno with what failed in *ret: the process must not go on. */
int jail_enter(const struct jail *j, struct buf *ret);
