/* login/account.c - see account.h.
 *
 * A question costs SQLite nine system calls. So answers are remembered while stat(2) shows the
 * same file, unchanged for longer than the grain of its times: every commit writes to the file
 * before it is visible. */
// SPDX-License-Identifier: ISC
#include "login/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "login/database.h"

enum { ANSWERS = 512, KEY_BYTES_MAX = 1 + LOCAL_PART_BYTES_MAX + DOMAIN_BYTES_MAX };

static const struct database_kind kind = {
    .file = "accounts.db",
    .application_id = 0x54524b41, /* TRKA */
    .mode = 0644,
    .version = 2,
    .versions =
        {
            [1] = {"CREATE TABLE account(domain TEXT NOT NULL, name TEXT NOT NULL,"
                   " PRIMARY KEY(domain, name)) WITHOUT ROWID, STRICT;",
                   "SELECT NULL, NULL FROM account WHERE domain=?1 AND name=?2"},
            [2] = {"CREATE TABLE alias(domain TEXT NOT NULL, name TEXT NOT NULL,"
                   " of_domain TEXT NOT NULL, of_name TEXT NOT NULL, PRIMARY KEY(domain, name),"
                   " FOREIGN KEY(of_domain, of_name) REFERENCES account ON DELETE CASCADE)"
                   " WITHOUT ROWID, STRICT; CREATE INDEX alias_of ON alias(of_domain, of_name);",
                   "SELECT NULL, NULL FROM account WHERE domain=?1 AND name=?2 UNION ALL"
                   " SELECT of_name, of_domain FROM alias WHERE domain=?1 AND name=?2"},
        },
};

struct answer {
    enum account_found found;
    struct folded name, domain; /* of the account */
};

struct remembered {
    uint64_t state_number; /* the state of the file in which this was the answer */
    char key[KEY_BYTES_MAX];
    size_t key_bytes;
    struct answer answer;
};

struct accounts {
    struct database database;
    struct remembered *answers; /* a question has one place in it */
    struct answer last;
};

int accounts_open(const char *folder, bool write, struct accounts **ret)
{
    struct accounts *s = mem_new(sizeof *s);
    int error = database_open(&s->database, &kind, folder, write);
    if (error < 0) {
        accounts_close(&s);
        return error;
    }
    *ret = s;
    return 0;
}

int accounts_recover(const char *folder)
{
    return database_recover(&kind, folder);
}

void accounts_set_clock(struct accounts *s, const struct clock *c)
{
    s->database.clock = c;
}

void accounts_close(struct accounts **s)
{
    if (*s) {
        database_shut(&(*s)->database);
        free((*s)->answers);
    }
    free(*s);
    *s = NULL;
}

int accounts_begin(struct accounts *s)
{
    return database_begin(&s->database);
}

int accounts_commit(struct accounts *s)
{
    return database_commit(&s->database);
}

/* ---- questions ---- */

/* The place of this question, with its key; *known: the answer in it holds. */
static struct remembered *remembered_find(struct accounts *s, const struct folded *name,
                                          const struct folded *domain, bool *known)
{
    char key[KEY_BYTES_MAX];
    key[0] = (char)name->n;
    memcpy(key + 1, name->bytes, name->n);
    memcpy(key + 1 + name->n, domain->bytes, domain->n);
    struct str k = str_n(key, 1 + name->n + domain->n);

    if (!s->answers)
        s->answers = mem_new(ANSWERS * sizeof *s->answers);
    struct remembered *r = &s->answers[hash_bytes(0, k) % ANSWERS];
    *known = r->state_number == s->database.state_number && str_eq(str_n(r->key, r->key_bytes), k);
    if (!*known) {
        r->state_number = 0;
        memcpy(r->key, k.p, k.n);
        r->key_bytes = k.n;
    }
    return r;
}

static int ask(struct database *d, const struct folded *name, const struct folded *domain,
               struct answer *ret)
{
    database_bind(d->find, 1, domain, name);
    int rc = sqlite3_step(d->find);
    *ret = (struct answer){ACCOUNT_FOUND_NONE, *name, *domain};
    if (rc == SQLITE_ROW) {
        bool alias = folded_address(database_text(d->find, 0), database_text(d->find, 1),
                                    &ret->domain, &ret->name);
        ret->found = alias ? ACCOUNT_FOUND_ALIAS : ACCOUNT_FOUND;
    }
    sqlite3_reset(d->find);
    int error = database_error(rc);
    if (error < 0 && error != -EAGAIN)
        database_shut(d); /* the next question starts afresh */
    return error;
}

int accounts_find(struct accounts *s, struct str local, struct str domain, struct address *ret)
{
    struct folded name, folded_domain;
    bool known;
    if (!folded_address(local, domain, &folded_domain, &name))
        return ACCOUNT_FOUND_NONE;
    int error = database_look(&s->database);
    if (error < 0 || !s->database.find)
        return error;
    struct remembered *r = remembered_find(s, &name, &folded_domain, &known);
    error = known ? 0 : ask(&s->database, &name, &folded_domain, &r->answer);
    if (error < 0)
        return error;
    if (!known) /* a writer sees what is not committed yet */
        r->state_number = s->database.quiet && !s->database.write ? s->database.state_number : 0;
    s->last = r->answer;
    *ret = (struct address){str_n(s->last.name.bytes, s->last.name.n),
                            str_n(s->last.domain.bytes, s->last.domain.n)};
    return s->last.found;
}

static struct address row_address(sqlite3_stmt *stmt, int column)
{
    return (struct address){database_text(stmt, column), database_text(stmt, column + 1)};
}

int accounts_list(struct accounts *s, struct str domain,
                  void (*fn)(void *arg, const struct address *address,
                             const struct address *alias_of),
                  void *arg)
{
    static const char *const sql[] = {
        [1] = "SELECT name, domain, '', '' FROM account WHERE ?1='' OR domain=?1"
              " ORDER BY domain, name",
        [2] = "SELECT name, domain, '', '' FROM account WHERE ?1='' OR domain=?1 UNION ALL"
              " SELECT name, domain, of_name, of_domain FROM alias WHERE ?1='' OR domain=?1"
              " ORDER BY 2, 1"};
    struct folded folded = {.n = 0};
    if (domain.n > 0 && !folded_set(&folded, domain, DOMAIN_BYTES_MAX))
        return 0;
    int error = database_look(&s->database);
    if (error < 0 || !s->database.find)
        return error;

    sqlite3_stmt *stmt = NULL;
    int count = 0;
    int rc = sqlite3_prepare_v2(s->database.db, sql[s->database.version], -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, folded.bytes, (int)folded.n, SQLITE_STATIC);
        for (rc = sqlite3_step(stmt); rc == SQLITE_ROW; rc = sqlite3_step(stmt), count++) {
            struct address address = row_address(stmt, 0), alias_of = row_address(stmt, 2);
            fn(arg, &address, &alias_of);
        }
    }
    sqlite3_finalize(stmt);
    error = database_error(rc);
    return error < 0 ? error : count;
}

/* ---- changes ---- */

const char *accounts_name_problem(const struct address *address)
{
    if (address->local.n == 0 || address->local.n > LOCAL_PART_BYTES_MAX)
        return "the name before the @ has 1 to 64 bytes";
    if (local_part_routes(address->local))
        return "the name before the @ cannot have %, ! or @ in it";
    if (!utf8_visible(address->local))
        return "the name before the @ has only characters that can be seen, in UTF-8";
    if (address->domain.n == 0 || address->domain.p[0] == '[' ||
        !domain_valid(address->domain, true))
        return "after the @ stands a domain, as in bill@example.org";
    return NULL;
}

/* Runs sql with the first address as ?1 ?2 and the second, if any, as ?3 ?4; how many rows it
 * changed, or a negative errno. */
static int change(struct accounts *s, const char *sql, const struct address *first,
                  const struct address *second)
{
    const struct address *list[] = {first, second};
    struct folded domain[2], name[2];
    sqlite3_stmt *stmt = NULL;
    int error = database_look(&s->database);
    if (error < 0 || !s->database.db)
        return error;
    int rc = sqlite3_prepare_v2(s->database.db, sql, -1, &stmt, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < countof(list) && list[i]; i++) {
        if (folded_address(list[i]->local, list[i]->domain, &domain[i], &name[i]))
            database_bind(stmt, 2 * (int)i + 1, &domain[i], &name[i]);
        else
            rc = SQLITE_CONSTRAINT; /* no address that long is in it */
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    error = database_error(rc);
    return error < 0 ? error : sqlite3_changes(s->database.db);
}

static int add(struct accounts *s, const char *sql, const struct address *address,
               const struct address *of, int if_none)
{
    if (accounts_name_problem(address))
        return -EINVAL;
    int added = change(s, sql, address, of);
    return added == 0 ? if_none : MIN_OF(added, 0);
}

int accounts_add(struct accounts *s, const struct address *address)
{
    return add(s,
               "INSERT INTO account(domain, name) SELECT ?1, ?2"
               " WHERE NOT EXISTS (SELECT 1 FROM alias WHERE domain=?1 AND name=?2)",
               address, NULL, -EEXIST);
}

int accounts_add_alias(struct accounts *s, const struct address *account,
                       const struct address *alias)
{
    struct address own;
    int found = accounts_find(s, alias->local, alias->domain, &own);
    if (found != ACCOUNT_FOUND_NONE)
        return found < 0 ? found : -EEXIST;
    return add(s,
               "INSERT INTO alias(domain, name, of_domain, of_name) SELECT ?1, ?2, domain, name"
               " FROM account WHERE domain=?3 AND name=?4",
               alias, account, -ENOENT);
}

int accounts_remove(struct accounts *s, const struct address *address)
{
    int removed = change(s, "DELETE FROM account WHERE domain=?1 AND name=?2", address, NULL);
    if (removed == 0)
        removed = change(s, "DELETE FROM alias WHERE domain=?1 AND name=?2", address, NULL);
    return removed == 0 ? -ENOENT : MIN_OF(removed, 0);
}
