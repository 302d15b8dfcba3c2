/* cli/manual.c - troika manual: pages made from the program's own tables, for docs/ and man/. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "mail/reply.h"

int run_manual(const struct command_line *l)
{
    static const struct {
        const char *name;
        void (*print)(struct buf *to);
    } pages[] = {{"replies", reply_manual}, {"statements", config_manual}};

    for (size_t i = 0; l->argument_count == 1 && i < countof(pages); i++) {
        if (strcmp(l->arguments[0], pages[i].name) == 0) {
            struct buf text = buf_init(MIB);

            pages[i].print(&text);
            fwrite(text.p, 1, text.n, stdout);
            buf_free(&text);
            return EX_OK;
        }
    }
    return fail(l, EX_USAGE, "which page? replies or statements");
}
