// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "mail/idn.h"
#include "mailauth/dmarc_record.h"

static void test_records(void **state)
{
    static const struct {
        const char *text,
            *want; /* want: policy subdomains percent alignment rua, odd; or "! why" */
    } cases[] = {
        {"v=DMARC1; p=reject", "reject reject 100 rr"},
        {"v=DMARC1;p=Quarantine;sp=none;pct=20;adkim=s;aspf=r;", "quarantine none 20 sr"},
        {"v=DMARC1; p=none; rua=mailto:a@b.example!10m,mailto:c@d.example; ruf=mailto:e@f.example",
         "none none 100 rr rua=b.example,d.example ruf=f.example"},
        {"v=DMARC1; p=none; fo=1:d:s; ri=3600; x=y", "none none 100 rr"},
        {"v=DMARC1; p=none; pct=101", "none none 100 rr odd=a value that this tag cannot have"},
        {"v=DMARC1; p=none; sp=all", "none none 100 rr odd=a value that this tag cannot have"},
        {"v=DMARC1; p=none; fo=2", "none none 100 rr odd=a value that this tag cannot have"},
        {"v=DMARC1; p=none; rua=a@b.example",
         "none none 100 rr odd=reports go to mailto: and an address, and this is something else"},
        {"v=DMARC1; pct=50; p=none", "none none 50 rr odd=p should be the first tag behind v"},
        {"v=DMARC1; rua=mailto:a@b.example",
         "none none 100 rr rua=b.example odd=there is no p, the policy"},
        {"v=DMARC1; p=; rua=mailto:a@b.example",
         "none none 100 rr rua=b.example odd=p is none, quarantine or reject, not this"},
        {"v=DMARC1", "! there is no p, the policy"},
        {"v=DMARC1; p=drop", "! p is none, quarantine or reject, not this"},
        {"v=DMARC2; p=none", "! it does not begin with v=DMARC1"},
        {"v=DMARC1; p=none; p=reject", "! a tag that is there twice"},
        {"v=DMARC1; p", "! a tag without = in it"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct buf got = buf_init(KIB);
        struct dmarc_record r;

        if (dmarc_record_parse(str_c(cases[i].text), &r, &error))
            buf_printf(&got, "%s %s %u %c%c", dmarc_policy_word(r.policy),
                       dmarc_policy_word(r.subdomain_policy), r.percent, r.strict_dkim ? 's' : 'r',
                       r.strict_spf ? 's' : 'r');
        else
            buf_printf(&got, "! %s", error.why);
        for (size_t k = 0; !error.why && k < r.rua.count; k++)
            buf_printf(&got, "%s%.*s", k ? "," : " rua=", STR_ARG(r.rua.list[k].host));
        for (size_t k = 0; !error.why && k < r.ruf.count; k++)
            buf_printf(&got, "%s%.*s", k ? "," : " ruf=", STR_ARG(r.ruf.list[k].host));
        if (!error.why && r.odd.why)
            buf_printf(&got, " odd=%s", r.odd.why);
        if (strcmp(buf_c(&got), cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].text, buf_c(&got));
        buf_free(&got);
    }
}

/* The cases of the list itself (tests/record/psl). Ours come as mail has them: A-labels, lower case. */
static void check_line(struct str line, struct arena *a)
{
    struct str host = str_cut_word(&line), want = str_cut_word(&line);
    struct str domain = host, expected = want;

    if (str_starts(host, STR(".")))
        return; /* no domain of mail */
    assert_true(idn_to_ascii(host, a, &domain));
    if (str_eq_c(want, "null"))
        expected = STR("");
    else
        assert_true(idn_to_ascii(want, a, &expected));
    struct str got = organizational_domain(domain);
    if (!str_eq(got, expected))
        fail_msg("%.*s: %.*s", STR_ARG(host), STR_ARG(got));
}

static void test_organizational_domains(void **state)
{
    char path[4096], line[512];
    size_t count = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/record/psl/tests.txt", getenv("TROIKA_SOURCE"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct str text = str_trim(str_c(line));
        struct arena a = ARENA_INIT;

        if (text.n > 0 && !str_starts(text, STR("//"))) {
            check_line(text, &a);
            count++;
        }
        arena_free(&a);
    }
    fclose(f);
    assert_true(count > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_organizational_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
