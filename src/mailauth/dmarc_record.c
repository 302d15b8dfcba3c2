/* mailauth/dmarc_record.c - see dmarc_record.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/dmarc_record.h"

#include <libpsl.h>
#include <stdlib.h>

#include "base/check.h"
#include "mailauth/tag_list.h"

static const char *const policy_words[] = {
    [DMARC_NONE] = "none", [DMARC_QUARANTINE] = "quarantine", [DMARC_REJECT] = "reject"};

const char *dmarc_policy_word(enum dmarc_policy p)
{
    return policy_words[p];
}

bool dmarc_record_is(struct str text)
{
    return tag_list_is(text, "DMARC1");
}

/* ---- tags ---- */

static bool policy_find(struct str word, enum dmarc_policy *ret)
{
    for (size_t i = 0; i < countof(policy_words); i++)
        if (str_eq_nocase(word, str_c(policy_words[i]))) {
            *ret = (enum dmarc_policy)i;
            return true;
        }
    return false;
}

static bool read_subdomains(struct str value, struct dmarc_record *r)
{
    return policy_find(value, &r->subdomain_policy);
}

static bool alignment(struct str value, bool *ret_strict)
{
    *ret_strict = str_eq_nocase(value, STR("s"));
    return *ret_strict || str_eq_nocase(value, STR("r"));
}

static bool read_dkim(struct str value, struct dmarc_record *r)
{
    return alignment(value, &r->strict_dkim);
}

static bool read_spf(struct str value, struct dmarc_record *r)
{
    return alignment(value, &r->strict_spf);
}

static bool read_percent(struct str value, struct dmarc_record *r)
{
    uint64_t v;

    if (!str_u64(value, &v) || v > 100)
        return false;
    r->percent = (unsigned)v;
    return true;
}

static bool read_interval(struct str value, struct dmarc_record *r)
{
    uint64_t v;

    return str_u64(value, &v) && v <= UINT32_MAX;
}

/* fo: letters with colons between them. */
static bool read_failures(struct str value, struct dmarc_record *r)
{
    do {
        struct str one = str_trim(str_cut(&value, ':'));

        if (!str_eq_c(one, "0") && !str_eq_c(one, "1") && !str_eq_nocase(one, STR("d")) &&
            !str_eq_nocase(one, STR("s")))
            return false;
    } while (value.n > 0);
    return true;
}

static bool read_rua(struct str value, struct dmarc_record *r)
{
    return report_addresses_parse(value, true, &r->rua, &r->odd);
}

static bool read_ruf(struct str value, struct dmarc_record *r)
{
    return report_addresses_parse(value, true, &r->ruf, &r->odd);
}

static const struct {
    const char *name;
    bool (*read)(struct str value, struct dmarc_record *r);
} readers[] = {
    {"sp", read_subdomains}, {"adkim", read_dkim},  {"aspf", read_spf}, {"pct", read_percent},
    {"ri", read_interval},   {"fo", read_failures}, {"rua", read_rua},  {"ruf", read_ruf},
};

static void read_optional(const struct tag_list *tags, struct dmarc_record *r)
{
    for (size_t i = 0; i < countof(readers); i++) {
        struct str value = tag_get(tags, readers[i].name);

        if (value.p && !readers[i].read(value, r))
            (void)record_wrong(&r->odd, N_("a value that this tag cannot have"),
                               str_c(readers[i].name));
    }
}

/* RFC 7489 6.6.3: without a policy that is one, a record with a good rua counts as p=none. */
static bool read_policy(const struct tag_list *tags, struct dmarc_record *r,
                        struct record_error *error)
{
    struct str value = tag_get(tags, "p");
    const char *why =
        value.p ? N_("p is none, quarantine or reject, not this") : N_("there is no p, the policy");

    if (value.p && policy_find(value, &r->policy)) {
        if (!str_eq_c(tags->tags[1].name, "p"))
            (void)record_wrong(&r->odd, N_("p should be the first tag behind v"), STR_NONE);
        return true;
    }
    if (r->rua.count == 0)
        return record_wrong(error, why, value);
    r->odd = (struct record_error){why, value};
    return true;
}

bool dmarc_record_parse(struct str text, struct dmarc_record *ret, struct record_error *error)
{
    struct tag_list tags;

    *ret = (struct dmarc_record){.percent = 100};
    if (!dmarc_record_is(text))
        return record_wrong(error, N_("it does not begin with v=DMARC1"), STR_NONE);
    if (!tag_list_parse(text, &tags, error))
        return false;
    read_optional(&tags, ret);
    if (!read_policy(&tags, ret, error))
        return false;
    if (!tag_get(&tags, "sp").p)
        ret->subdomain_policy = ret->policy;
    return true;
}

/* ---- whose domain ---- */

struct str organizational_domain(struct str domain)
{
    const psl_ctx_t *list = psl_builtin();
    char *name = mem_copy(domain.p ? domain.p : "", domain.n);
    const char *found = list ? psl_registrable_domain(list, name) : NULL;
    size_t at = found ? (size_t)(found - name) : domain.n;

    free(name);
    return str_skip(domain, at);
}
