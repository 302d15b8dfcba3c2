/* cli/user_import.c - troika user import: accounts of another server, all or none.
 *
 * The file is read twice: everything that is wrong is said first, then the accounts are made in one
 * transaction. A password in clear takes its time to be hashed, so a long import shows how far it
 * is. The credentials are committed first: cut short between the two, it can be done again. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "cli/user.h"
#include "login/passwd_file.h"

enum { PROBLEMS_SHOWN_MAX = 50, BAR_CHARACTERS = 40 };
#define FILE_BYTES_MAX (256 * MIB)
#define BAR_AFTER_US (US_PER_S / 2)

struct import {
    struct user_command *user;
    const char *file;
    struct buf bytes;
    struct map *seen; /* addresses in lower case, with the number of their line */
    size_t line_number, total, done, with_login, problems;
    uint64_t began_us, shown_us;
};

static volatile sig_atomic_t interrupted;

static void note_signal(int number)
{
    interrupted = number;
}

static int read_file(struct import *i)
{
    ssize_t n = 1;
    int fd = open(i->file, O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return fail(i->user->line, EX_NOINPUT, "%s: %s", i->file, strerror(errno));
    while (n > 0) {
        char *to = buf_room(&i->bytes, 64 * KIB);

        n = to ? read(fd, to, 64 * KIB) : -1;
        if (n > 0)
            buf_added(&i->bytes, (size_t)n);
    }
    int error = i->bytes.full ? EFBIG : errno;

    (void)close(fd);
    return n < 0 ? fail(i->user->line, EX_NOINPUT, "%s: %s", i->file, strerror(error)) : EX_OK;
}

/* ---- what is wrong ---- */

static void complain(struct import *i, const char *problem)
{
    if (i->problems++ < PROBLEMS_SHOWN_MAX)
        fprintf(stderr, "%s:%zu: %s\n", i->file, i->line_number, problem);
}

static const char *seen_problem(struct import *i, struct arena *a, const struct address *address)
{
    struct arena *keep = &i->user->arena; /* the map borrows its keys */
    char *key = arena_c(keep, address_text(keep, address));

    for (size_t n = 0; key[n]; n++)
        key[n] = char_lower(key[n]);
    size_t before = (size_t)(uintptr_t)map_get(i->seen, str_c(key));

    if (before > 0)
        return arena_c(a, arena_printf(a, "%s is in line %zu already", key, before));
    map_put(i->seen, str_c(key), (void *)(uintptr_t)i->line_number);
    return NULL;
}

static const char *account_problem(struct import *i, struct arena *a, const struct address *address)
{
    int code;
    struct address own;
    const char *problem = seen_problem(i, a, address);

    if (!problem)
        problem = user_domain_problem(i->user, address, &code);
    if (problem)
        return problem;
    int found = accounts_find(i->user->accounts, address->local, address->domain, &own);

    return found < 0   ? arena_c(a, arena_printf(a, "the accounts: %s", strerror(-found)))
           : found > 0 ? "this account exists already"
                       : NULL;
}

static void look_at(struct import *i, struct arena *a, struct passwd_line *l)
{
    const char *problem = account_problem(i, a, &l->address);
    const char *weak = l->plain.n > 0 ? password_problem(l->plain, &l->address) : NULL;

    if (problem)
        complain(i, problem);
    else if (weak && !i->user->line->allow_weak)
        complain(i, arena_c(a, arena_printf(a,
                                            "the password is weak: %s; --allow-weak takes it "
                                            "nevertheless",
                                            weak)));
    i->total++;
}

/* ---- how far it is ---- */

static void show_progress(struct import *i)
{
    uint64_t now_us = clock_monotonic_us(&clock_system);
    size_t full = i->done * BAR_CHARACTERS / i->total;
    bool last = i->done == i->total;

    if (!isatty(STDERR_FILENO) || now_us - i->began_us < BAR_AFTER_US ||
        (now_us - i->shown_us < US_PER_S / 10 && !last))
        return;
    i->shown_us = now_us;
    fprintf(stderr, "\r[%.*s%*s] %zu of %zu%s", (int)full,
            "########################################", (int)(BAR_CHARACTERS - full), "", i->done,
            i->total, last ? "\n" : "");
}

static void make(struct import *i, struct arena *a, struct passwd_line *l)
{
    struct user_command *u = i->user;
    int error = 0;

    if (l->plain.n > 0)
        error = credential_make(l->plain, u->line->cram_md5, &l->credential);
    i->with_login += l->credential.enabled;
    if (error == 0)
        error = accounts_add(u->accounts, &l->address);
    if (error == 0 && l->credential.enabled)
        error = credentials_set(u->credentials, &l->address, &l->credential);
    if (error < 0)
        complain(i, arena_c(a, arena_printf(a, "cannot be stored: %s", strerror(-error))));
    i->done++;
    show_progress(i);
}

/* ---- both times ---- */

static void each_line(struct import *i,
                      void (*fn)(struct import *, struct arena *, struct passwd_line *))
{
    struct str rest = buf_str(&i->bytes);

    i->line_number = 0;
    while (rest.n > 0 && !interrupted) {
        struct arena a = ARENA_INIT;
        struct passwd_line line;
        const char *problem = NULL;

        i->line_number++;
        enum passwd_read read = passwd_line_parse(str_cut(&rest, '\n'), &a, &line, &problem);

        if (read == PASSWD_WRONG)
            complain(i, problem);
        if (read == PASSWD_ACCOUNT)
            fn(i, &a, &line);
        credential_wipe(&line.credential);
        arena_free(&a);
    }
}

static int check_file(struct import *i)
{
    each_line(i, look_at);
    if (i->problems > PROBLEMS_SHOWN_MAX)
        fprintf(stderr, "%s: and %zu more\n", i->file, i->problems - PROBLEMS_SHOWN_MAX);
    if (i->problems > 0)
        return fail(i->user->line, EX_DATAERR, "%s: nothing was imported, %zu line%s wrong",
                    i->file, i->problems, i->problems == 1 ? " is" : "s are");
    return i->total == 0 ? fail(i->user->line, EX_DATAERR, "%s: there is no account in it", i->file)
                         : EX_OK;
}

static int store(struct import *i)
{
    struct user_command *u = i->user;
    int error = accounts_begin(u->accounts);

    if (error == 0)
        error = credentials_begin(u->credentials);
    if (error < 0)
        return user_failed(u, error);
    each_line(i, make);
    if (i->shown_us > 0 && i->done < i->total)
        fputc('\n', stderr);
    if (interrupted || i->problems > 0)
        return fail(u->line, EX_TEMPFAIL, "%s: nothing was imported", i->file);
    error = credentials_commit(u->credentials);
    if (error == 0)
        error = accounts_commit(u->accounts);
    return user_failed(u, error);
}

static void print_imported(const struct import *i)
{
    if (i->user->line->json)
        print_json(json_pack("{s:s, s:I, s:I}", "file", i->file, "accounts", (json_int_t)i->done,
                             "with_login", (json_int_t)i->with_login));
    else
        printf("%s: %zu account%s imported, %zu of them can log in\n", i->file, i->done,
               i->done == 1 ? "" : "s", i->with_login);
}

int user_import(struct user_command *u)
{
    struct sigaction note = {.sa_handler = note_signal};
    struct import i = {.user = u,
                       .file = u->line->arguments[1],
                       .bytes = buf_init(FILE_BYTES_MAX),
                       .seen = map_new(),
                       .began_us = clock_monotonic_us(&clock_system)};
    int code = read_file(&i);

    u->text = i.file;
    (void)sigaction(SIGINT, &note, NULL); /* what was begun is taken back in order */
    (void)sigaction(SIGTERM, &note, NULL);
    if (code == EX_OK)
        code = check_file(&i);
    if (code == EX_OK)
        code = store(&i);
    if (code == EX_OK)
        print_imported(&i);
    if (i.bytes.n > 0)
        explicit_bzero(i.bytes.p, i.bytes.n);
    buf_free(&i.bytes);
    map_free(&i.seen);
    return code;
}
