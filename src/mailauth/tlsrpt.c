/* mailauth/tlsrpt.c - see tlsrpt.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/tlsrpt.h"

#include "mailauth/tag_list.h"

bool tlsrpt_record_is(struct str text)
{
    return tag_list_is(text, "TLSRPTv1");
}

bool tlsrpt_record_parse(struct str text, struct report_addresses *ret, struct record_error *error)
{
    struct tag_list tags;

    ret->count = 0;
    if (!tlsrpt_record_is(text))
        return record_wrong(error, N_("it does not begin with v=TLSRPTv1"), STR_NONE);
    if (!tag_list_parse(text, &tags, error))
        return false;
    struct str rua = tag_get(&tags, "rua");
    if (!rua.p)
        return record_wrong(error, N_("there is no rua, where reports go"), STR_NONE);
    return report_addresses_parse(rua, false, ret, error);
}
