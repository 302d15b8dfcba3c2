// SPDX-License-Identifier: ISC
#include "login/password.h"

#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* The first ones that are tried. Shorter ones and rows of neighbours are refused anyway. */
static const char *const common[] = {
    "password",    "passw0rd",      "p@ssword",
    "p@ssw0rd",    "password1",     "password12",
    "password123", "password!",     "passwort",
    "passwort1",   "pass1234",      "qwertyui",
    "qwertyuiop",  "qwerty12",      "qwerty123",
    "qwerty1234",  "qwertz123",     "1q2w3e4r",
    "1q2w3e4r5t",  "1qaz2wsx",      "zaq12wsx",
    "q1w2e3r4",    "qazwsxedc",     "asdfghjk",
    "asdfghjkl",   "zxcvbnm1",      "1234qwer",
    "abc12345",    "abcd1234",      "a1b2c3d4",
    "admin123",    "administrator", "letmein1",
    "letmein123",  "welcome1",      "welcome123",
    "changeme",    "changeme1",     "changeme123",
    "default1",    "secret123",     "trustno1",
    "iloveyou",    "iloveyou1",     "princess",
    "sunshine",    "football",      "baseball",
    "superman",    "starwars",      "computer",
    "internet",    "whatever",      "michelle",
    "jennifer",    "11112222",      "12341234",
    "12121212",    "123123123",     "1234512345",
    "87654321",    "13131313",      "31415926",
    "mailserver",  "postmaster",    "testtest",
    "test1234",    "hunter22",      "correcthorsebatterystaple",
};

static size_t characters(struct str utf8)
{
    size_t n = 0;
    for (size_t i = 0; i < utf8.n; i++)
        n += ((unsigned char)utf8.p[i] & 0xc0) != 0x80;
    return n;
}

static const char *malformed(struct str s)
{
    if (s.n == 0)
        return "it is empty";
    if (s.n > PASSWORD_BYTES_MAX)
        return "it is longer than 255 bytes";
    if (memchr(s.p, '\0', s.n))
        return "there is a NUL byte in it";
    if (memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n))
        return "there is a line end in it";
    return NULL;
}

const char *password_prepare(struct str password, struct prepared_password *ret)
{
    char text[PASSWORD_BYTES_MAX + 1], *prepared = NULL;
    const char *problem = malformed(password);
    if (problem)
        return problem;
    memcpy(text, password.p, password.n);
    text[password.n] = '\0';
    int rc = gsasl_saslprep(text, 0, &prepared, NULL);
    explicit_bzero(text, sizeof text);
    if (rc != GSASL_OK)
        return "it is not UTF-8, or has characters that no client may send: control characters, "
               "unassigned ones, left and right writing mixed (RFC 4013)";
    size_t n = strlen(prepared);
    problem = malformed(str_n(prepared, n)); /* some characters become several, or none */
    if (!problem)
        memcpy(ret->text, prepared, n + 1);
    explicit_bzero(prepared, n);
    gsasl_free(prepared);
    return problem;
}

/* ---- weak ones ---- */

/* aaaaaaaa, 12345678, hgfedcba */
static bool is_row(struct str s)
{
    int step = s.n > 1 ? s.p[1] - s.p[0] : 0;
    if (step < -1 || step > 1)
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] - s.p[i - 1] != step)
            return false;
    return true;
}

static bool is_common(struct str s)
{
    for (size_t i = 0; i < countof(common); i++)
        if (str_eq_nocase(s, str_c(common[i])))
            return true;
    return false;
}

/* bill, bill2026!, bill@example.org, example.org */
static bool is_like_address(struct str s, const struct address *of)
{
    struct str rest = s;
    size_t at = str_find(s, '@');
    while (rest.n > 0 && !char_is_alpha(rest.p[rest.n - 1]))
        rest.n--;
    bool whole = at < s.n && str_eq_nocase(str_sub(s, 0, at), of->local) &&
                 str_eq_nocase(str_skip(s, at + 1), of->domain);
    return whole || str_eq_nocase(s, of->local) || str_eq_nocase(s, of->domain) ||
           str_eq_nocase(rest, of->local) || str_eq_nocase(rest, of->domain);
}

const char *password_problem(struct str password, const struct address *of)
{
    struct prepared_password prepared;
    const char *problem = password_prepare(password, &prepared);
    if (problem)
        return problem;
    struct str s = str_c(prepared.text);
    if (characters(s) < PASSWORD_CHARACTERS_MIN)
        problem = "it is shorter than 8 characters";
    else if (is_row(s))
        problem = "it is one character again and again, or a row like 12345678";
    else if (is_common(s))
        problem = "it is among the first that everybody tries";
    else if (is_like_address(s, of))
        problem = "it is the address, or a part of it with something behind";
    explicit_bzero(&prepared, sizeof prepared);
    return problem;
}

/* ---- hashes ---- */

static_assert(PASSWORD_HASH_BYTES_MAX == CRYPT_OUTPUT_SIZE, "what crypt(5) needs");

/* What one check may cost. New hashes must be cheap enough that all wrong passwords can be told
 * after the same time (logind.c); what older versions have taken in is still checked. */
static const struct cost {
    char yescrypt; /* N: a character for each doubling */
    uint64_t bcrypt, sha_rounds;
} cost_imported = {'B', 12, 500000}, cost_checked = {'B', 14, 1000000};

static_assert(PASSWORD_BYTES_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "what crypt(3) takes");

/* Checked when there is nothing to check against: as slow as what password_hash makes. */
static const char nobody[] =
    "$y$j9T$Wk3bhJ0DQpNDZrKZQ8b0p.$prjjdOy7BWONH9qCldETn.N.RHHBg1ad9WoVwonq.sA";

static const struct hash_kind {
    const char *prefix;
    size_t tail_bytes; /* behind the last $ */
} hash_kinds[] = {
    {"$y$", 43}, {"$2a$", 53}, {"$2b$", 53}, {"$2y$", 53}, {"$6$", 86}, {"$5$", 43}, {"$1$", 22},
};

static const struct hash_kind *find_kind(struct str hash)
{
    for (size_t i = 0; i < countof(hash_kinds); i++)
        if (str_starts(hash, str_c(hash_kinds[i].prefix)))
            return &hash_kinds[i];
    return NULL;
}

/* Would one check of it take longer, or more memory, than that? */
static bool is_expensive(struct str hash, const struct cost *most)
{
    struct str rest = str_skip(hash, 3), cost = str_cut(&rest, '$');
    uint64_t n = 0;
    if (str_starts(hash, STR("$y$"))) /* yescrypt's N, a character for each doubling */
        return cost.n < 2 || cost.p[0] != 'j' || cost.p[1] > most->yescrypt;
    if (str_starts(hash, STR("$2"))) {
        cost = str_cut(&rest, '$');
        return !str_u64(cost, &n) || n > most->bcrypt;
    }
    if (!str_starts(cost, STR("rounds=")))
        return false;
    return !str_u64(str_skip(cost, 7), &n) || n > most->sha_rounds;
}

static bool is_whole(struct str s)
{
    const struct hash_kind *kind = find_kind(s);
    if (!kind || s.n >= PASSWORD_HASH_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && !strchr("./$=,", s.p[i]))
            return false;
    return s.n - str_find_last(s, '$') - 1 == kind->tail_bytes;
}

bool password_hash_known(const char *hash)
{
    return is_whole(str_c(hash)) && !is_expensive(str_c(hash), &cost_checked);
}

const char *password_hash_problem(const char *hash)
{
    if (!is_whole(str_c(hash)))
        return "the hash is not whole, or of no kind that can be checked; known are $y$, $2a$, "
               "$2b$, $2y$, $5$, $6$ and $1$ of crypt(5)";
    if (is_expensive(str_c(hash), &cost_imported))
        return "checking that hash would take too long: at most are taken a bcrypt cost of 12, "
               "rounds=500000 of $5$ and $6$, and jB of $y$; the account needs a new password";
    return NULL;
}

static bool hash_equal(const char *hash, const char *text)
{
    struct crypt_data *data = mem_new(sizeof *data);
    const char *made = crypt_rn(text, hash, data, sizeof *data);
    size_t n = strlen(hash);
    unsigned differs = !made || strlen(made) != n;
    for (size_t i = 0; i < n && made && made[i]; i++) /* to the end: time tells nothing */
        differs |= (unsigned char)(made[i] ^ hash[i]);
    explicit_bzero(data, sizeof *data);
    free(data);
    return !differs;
}

int password_hash(struct str password, char ret[PASSWORD_HASH_BYTES_MAX])
{
    struct prepared_password prepared;
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (password_prepare(password, &prepared))
        return -EINVAL;
    if (!crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting))
        return -errno;
    struct crypt_data *data = mem_new(sizeof *data);
    const char *made = crypt_rn(prepared.text, setting, data, sizeof *data);
    int error = made ? 0 : -errno;
    if (made)
        memcpy(ret, made, strlen(made) + 1);
    explicit_bzero(&prepared, sizeof prepared);
    explicit_bzero(data, sizeof *data);
    free(data);
    return error;
}

/* The bytes themselves: hashes from elsewhere were made without SASLprep. */
static bool raw_matches(const char *hash, struct str password)
{
    char text[PASSWORD_BYTES_MAX + 1];
    size_t n = password.n > PASSWORD_BYTES_MAX ? 0 : password.n;
    if (n > 0)
        memcpy(text, password.p, n);
    text[n] = '\0';
    bool equal = hash_equal(hash, text) && n > 0 && strlen(text) == n;
    explicit_bzero(text, sizeof text);
    return equal;
}

/* What it takes depends on the password, but not on whether there is a hash. */
bool password_hash_matches(const char *hash, struct str password)
{
    struct prepared_password prepared = {0};
    bool known = password_hash_known(hash);
    const char *setting = known ? hash : nobody;
    bool differs =
        !password_prepare(password, &prepared) && !str_eq(str_c(prepared.text), password);
    bool equal = differs && hash_equal(setting, prepared.text);

    equal = raw_matches(setting, password) || equal; /* both are always tried */
    explicit_bzero(&prepared, sizeof prepared);
    return equal && known;
}

void password_pretend(struct str password)
{
    (void)password_hash_matches(nobody, password);
}
