/* mailauth/mta_sts.c - see mta_sts.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/mta_sts.h"

#include "base/check.h"
#include "mailauth/tag_list.h"

enum { ID_BYTES_MAX = 32 };

static const char version[] = "STSv1";

static const char *const mode_words[] = {
    [MTA_STS_NONE] = "none", [MTA_STS_TESTING] = "testing", [MTA_STS_ENFORCE] = "enforce"};

const char *mta_sts_mode_word(enum mta_sts_mode m)
{
    return mode_words[m];
}

/* ---- the record ---- */

bool mta_sts_record_is(struct str text)
{
    return tag_list_is(text, version);
}

bool mta_sts_record_parse(struct str text, struct str *ret_id, struct record_error *error)
{
    struct tag_list tags;

    if (!mta_sts_record_is(text))
        return record_wrong(error, N_("it does not begin with v=STSv1"), STR_NONE);
    if (!tag_list_parse(text, &tags, error))
        return false;
    struct str id = tag_get(&tags, "id");
    bool good = id.n > 0 && id.n <= ID_BYTES_MAX;
    for (size_t i = 0; i < id.n && good; i++)
        good = char_is_alpha(id.p[i]) || char_is_digit(id.p[i]);
    if (!good)
        return record_wrong(error, N_("id has to be 1 to 32 letters and digits"), id);
    *ret_id = id;
    return true;
}

/* ---- the policy ---- */

struct reading {
    struct mta_sts_policy *policy;
    bool has_version, has_mode, has_age;
};

static bool host_good(struct str host)
{
    if (str_starts(host, STR("*.")))
        host = str_skip(host, 2);
    for (size_t i = 0; i < host.n; i++)
        if (!char_is_alpha(host.p[i]) && !char_is_digit(host.p[i]) && host.p[i] != '-' &&
            host.p[i] != '.' && host.p[i] != '_')
            return false;
    return host.n > 0 && host.p[0] != '.';
}

static bool read_version(struct str value, struct reading *r)
{
    r->has_version = str_eq_c(value, version);
    return r->has_version;
}

static bool read_mode(struct str value, struct reading *r)
{
    for (size_t i = 0; i < countof(mode_words); i++)
        if (str_eq_c(value, mode_words[i])) {
            r->policy->mode = (enum mta_sts_mode)i;
            r->has_mode = true;
        }
    return r->has_mode;
}

static bool read_age(struct str value, struct reading *r)
{
    r->has_age = str_u64(value, &r->policy->max_age_s);
    return r->has_age && r->policy->max_age_s <= MTA_STS_AGE_S_MAX;
}

static bool read_host(struct str value, struct reading *r)
{
    struct mta_sts_policy *p = r->policy;

    if (!host_good(value) || p->host_count == MTA_STS_HOSTS_MAX)
        return false;
    p->hosts[p->host_count++] = value;
    return true;
}

static const struct {
    const char *key;
    bool (*read)(struct str value, struct reading *r);
} fields[] = {
    {"version", read_version}, {"mode", read_mode}, {"max_age", read_age}, {"mx", read_host}};

/* Of a key that comes again the first counts, but for mx; unknown ones are for later versions. */
static bool take_line(struct str line, struct reading *r, struct record_error *error)
{
    struct str value = line;
    struct str key = str_trim(str_cut(&value, ':'));
    const bool seen[] = {r->has_version, r->has_mode, r->has_age, false};

    if (key.n == line.n)
        return record_wrong(error, N_("a line without a colon"), line);
    for (size_t i = 0; i < countof(fields); i++)
        if (str_eq_c(key, fields[i].key) && !seen[i] && !fields[i].read(str_trim(value), r))
            return record_wrong(error, N_("a value that this line of the policy cannot have"),
                                line);
    return true;
}

bool mta_sts_policy_parse(struct str text, struct mta_sts_policy *ret, struct record_error *error)
{
    struct reading r = {.policy = ret};

    *ret = (struct mta_sts_policy){0};
    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));

        if (line.n > 0 && !take_line(line, &r, error))
            return false;
    }
    if (!r.has_version)
        return record_wrong(error, N_("the policy has no line version: STSv1"), STR_NONE);
    if (!r.has_mode)
        return record_wrong(error, N_("the policy has no mode"), STR_NONE);
    if (!r.has_age)
        return record_wrong(error, N_("the policy has no max_age"), STR_NONE);
    return ret->host_count > 0 || ret->mode == MTA_STS_NONE ||
           record_wrong(error, N_("the policy names no server (mx)"), STR_NONE);
}

bool mta_sts_has(const struct mta_sts_policy *p, struct str host)
{
    struct str parent = host;

    (void)str_cut(&parent, '.');
    for (size_t i = 0; i < p->host_count; i++) {
        struct str pattern = p->hosts[i];
        bool wild = str_starts(pattern, STR("*."));

        if (wild ? parent.n > 0 && str_eq_nocase(parent, str_skip(pattern, 2))
                 : str_eq_nocase(host, pattern))
            return true;
    }
    return false;
}
