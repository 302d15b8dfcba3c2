// SPDX-License-Identifier: ISC
#include "login/passwd_file.h"

#include <gsasl.h>
#include <string.h>

#include "base/check.h"
#include "login/account.h"

enum { ITERATIONS_MIN = 4096, ITERATIONS_MAX = 1000000, SCHEME_BYTES_MAX = 40 };

/* ---- schemes: NULL, or what is wrong ---- */

static const char *take_plain(struct str text, struct passwd_line *ret)
{
    struct prepared_password prepared;
    const char *problem = password_prepare(text, &prepared);
    explicit_bzero(&prepared, sizeof prepared);
    ret->plain = text;
    return problem;
}

static const char *take_hash(struct str text, struct passwd_line *ret)
{
    struct credential *c = &ret->credential;
    if (text.n >= sizeof c->password || (text.n > 0 && memchr(text.p, '\0', text.n)))
        return "the hash is too long, or has a NUL byte in it";
    memcpy(c->password, text.p, text.n);
    c->password[text.n] = '\0';
    c->enabled = true;
    return password_hash_problem(c->password);
}

static bool take_bytes(struct str base64, uint8_t *ret, size_t bytes_min, size_t bytes_max,
                       size_t *ret_n)
{
    char *out = NULL;
    size_t n = 0;
    if (base64.n == 0 || gsasl_base64_from(base64.p, base64.n, &out, &n) != GSASL_OK)
        return false;
    bool fits = n >= bytes_min && n <= bytes_max;
    if (fits)
        memcpy(ret, out, n);
    *ret_n = n;
    gsasl_free(out);
    return fits;
}

static const char *take_keys(struct str text, struct scram_keys *k, size_t key_bytes)
{
    uint64_t iterations = 0;
    size_t n;
    struct str count = str_cut(&text, ','), salt = str_cut(&text, ','),
               stored = str_cut(&text, ',');
    if (!str_u64(count, &iterations) || iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX)
        return "SCRAM keys begin with the number of iterations, 4096 to 1000000";
    if (!take_bytes(salt, k->salt, 1, sizeof k->salt, &k->salt_n))
        return "SCRAM keys are ITERATIONS,SALT,STORED,SERVER with a salt of 1 to 32 bytes in "
               "base64";
    if (!take_bytes(stored, k->stored_key, key_bytes, key_bytes, &n) ||
        !take_bytes(text, k->server_key, key_bytes, key_bytes, &n))
        return "SCRAM keys are ITERATIONS,SALT,STORED,SERVER with keys of the hash's length in "
               "base64";
    k->iterations = (uint32_t)iterations;
    k->set = true;
    return NULL;
}

static const char *take_sha1_keys(struct str text, struct passwd_line *ret)
{
    ret->credential.enabled = true;
    return take_keys(text, &ret->credential.sha1, 20);
}

static const char *take_sha256_keys(struct str text, struct passwd_line *ret)
{
    ret->credential.enabled = true;
    return take_keys(text, &ret->credential.sha256, 32);
}

static const struct scheme {
    const char *name;
    const char *prefix; /* what its hashes begin with */
    const char *(*take)(struct str text, struct passwd_line *ret);
} schemes[] = {
    {"CRYPT", "$", take_hash},
    {"BLF-CRYPT", "$2", take_hash},
    {"SHA512-CRYPT", "$6$", take_hash},
    {"SHA256-CRYPT", "$5$", take_hash},
    {"MD5-CRYPT", "$1$", take_hash},
    {"PLAIN", "", take_plain},
    {"CLEARTEXT", "", take_plain},
    {"SCRAM-SHA-1", "", take_sha1_keys},
    {"SCRAM-SHA-256", "", take_sha256_keys},
};

static const struct scheme *find_scheme(struct str name)
{
    for (size_t i = 0; i < countof(schemes); i++)
        if (str_eq_nocase(name, str_c(schemes[i].name)))
            return &schemes[i];
    return NULL;
}

/* ---- a line ---- */

/* It is shown as it was written only when nothing in it can hurt a terminal. */
static bool is_scheme_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!char_is_alpha(name.p[i]) && !char_is_digit(name.p[i]) &&
            (name.p[i] == '\0' || !strchr("-._", name.p[i])))
            return false;
    return name.n <= SCHEME_BYTES_MAX;
}

static const char *unknown_scheme(struct str name, struct arena *a)
{
    struct buf text = buf_init(512);
    if (is_scheme_name(name))
        buf_printf(&text, "{%.*s} is not known here; known are", STR_ARG(name));
    else
        buf_add_c(&text, "that is no scheme; known are");
    for (size_t i = 0; i < countof(schemes); i++)
        buf_printf(&text, " {%s}", schemes[i].name);
    buf_add_c(&text, "; others need a new password");
    const char *problem = arena_c(a, buf_str(&text));
    buf_free(&text);
    return problem;
}

static const char *take_password(struct str field, struct arena *a, struct passwd_line *ret)
{
    const struct scheme *scheme = &schemes[0];
    bool named = str_starts(field, STR("{"));
    if (field.n == 0)
        return NULL;
    if (named) {
        field = str_skip(field, 1);
        if (str_find(field, '}') == field.n)
            return "there is no } behind the scheme; a password begins as in {BLF-CRYPT}$2y$...";
        struct str name = str_cut(&field, '}');
        scheme = find_scheme(name);
        if (!scheme)
            return unknown_scheme(name, a);
    }
    if (!str_starts(field, str_c(scheme->prefix)))
        return named ? arena_c(a, arena_printf(a, "a password of {%s} begins with %s", scheme->name,
                                               scheme->prefix))
                     : "what is behind the address is no hash of crypt(5); a password itself is "
                       "written {PLAIN}password";
    return scheme->take(field, ret);
}

static const char *take_line(struct str line, struct arena *a, struct passwd_line *ret)
{
    struct parse_error error = {0};
    struct str address = str_trim(str_cut(&line, ':'));
    if (str_find(address, '@') == address.n)
        return "a line begins with a whole address and a colon, as in bill@example.org:";
    if (!address_parse(address, a, &ret->address, &error))
        return error.text;
    const char *problem = accounts_name_problem(&ret->address);
    return problem ? problem : take_password(str_cut(&line, ':'), a, ret);
}

enum passwd_read passwd_line_parse(struct str line, struct arena *a, struct passwd_line *ret,
                                   const char **problem)
{
    while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    *ret = (struct passwd_line){0};
    if (str_trim(line).n == 0 || str_starts(line, STR("#")))
        return PASSWD_NOTHING;
    *problem = take_line(line, a, ret);
    if (*problem)
        credential_wipe(&ret->credential);
    return *problem ? PASSWD_WRONG : PASSWD_ACCOUNT;
}
