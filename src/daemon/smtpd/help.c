/* smtpd/help.c - HELP, made from the table of commands and the table of replies. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "daemon/smtpd/state.h"

static bool help_commands(struct buf *to)
{
    buf_add_c(to, "Troika " TROIKA_VERSION " knows these commands:\n");
    for (enum smtp_verb v = VERB_UNKNOWN + 1; v < VERB_COUNT; v++)
        buf_printf(to, "  %s\n", command_table[v].form);
    buf_add_c(to, "HELP and a command, or the code of an answer (550, 5.1.1), tells more.");
    return true;
}

static bool help_command(struct buf *to, enum smtp_verb verb)
{
    if (verb == VERB_UNKNOWN)
        return false;
    buf_printf(to, "%s\n%s", command_table[verb].form, command_table[verb].words);
    return true;
}

static bool row_has_code(const struct reply_row *row, struct str code)
{
    char digits[4] = {(char)('0' + row->code / 100), (char)('0' + row->code / 10 % 10),
                      (char)('0' + row->code % 10)};

    return str_eq_c(code, digits) || (code.n > 0 && str_eq_c(code, row->enhanced));
}

static bool help_code(struct buf *to, struct str code)
{
    bool found = false;

    for (enum reply_name name = 0; name < REPLY_COUNT; name++) {
        const struct reply_row *row = &reply_table[name];
        struct status st;

        if (!row_has_code(row, code))
            continue;
        st = reply_status(name, STR("..."));
        buf_printf(to, "%s%u %s%s%s\n  %s\n  %s", found ? "\n" : "", row->code, row->enhanced,
                   row->enhanced[0] ? " " : "", st.text, row->cause, row->remedy);
        found = true;
    }
    return found;
}

bool help_print(struct buf *to, struct str topic)
{
    if (topic.n == 0)
        return help_commands(to);
    return help_command(to, smtp_verb_find(topic)) || help_code(to, topic);
}
