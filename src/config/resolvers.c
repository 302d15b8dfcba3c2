/* config/resolvers.c - see resolvers.h. */
// SPDX-License-Identifier: ISC
#include "config/resolvers.h"

#include "base/buf.h"
#include "base/check.h"
#include "config/value.h"

size_t resolvers_read(struct str text, struct arena *a, struct str ret[RESOLVERS_MAX])
{
    struct buf why = buf_init(1 * KIB);
    size_t count = 0;
    while (text.n > 0 && count < RESOLVERS_MAX) {
        struct str line = str_trim(str_cut(&text, '\n'));
        struct str word = str_cut_word(&line);
        struct str address = str_cut_word(&line);
        if (str_eq_c(word, "nameserver") && str_find(address, '@') == address.n &&
            value_parse(VALUE_RESOLVERS, NULL, address, a, &ret[count], &why))
            count++;
    }
    buf_free(&why);
    return count;
}
