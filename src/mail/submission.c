// SPDX-License-Identifier: ISC
#include "mail/submission.h"

#include "base/codec.h"
#include "mail/address_list.h"
#include "mail/date.h"
#include "mail/encoded_word.h"
#include "mail/header.h"

enum { NUMBER_DIGITS = 13 };

struct str submission_message(struct str input)
{
    if (str_starts(input, STR("From ")))
        (void)str_cut(&input, '\n');
    return input;
}

static void add_from(struct buf *to, const struct submission *s)
{
    buf_add_c(to, "From: ");
    if (s->full_name.n > 0) {
        encoded_phrase_print(to, s->full_name);
        buf_add_char(to, ' ');
    }
    if (s->sender.n > 0)
        buf_printf(to, "<%.*s>\r\n", STR_ARG(s->sender));
    else
        buf_printf(to, "<MAILER-DAEMON@%.*s>\r\n", STR_ARG(s->hostname));
}

static void add_date(struct buf *to, const struct submission *s)
{
    buf_add_c(to, "Date: ");
    date_print(to, s->time_us, 0);
    buf_add_c(to, "\r\n");
}

static void add_message_id(struct buf *to, const struct submission *s)
{
    char text[2 * NUMBER_DIGITS];

    base32_put(text, NUMBER_DIGITS, s->random[0]);
    base32_put(text + NUMBER_DIGITS, NUMBER_DIGITS, s->random[1]);
    buf_printf(to, "Message-ID: <%.*s@%.*s>\r\n", (int)sizeof text, text, STR_ARG(s->hostname));
}

/* In the order in which they are added. */
static const struct {
    const char *name;
    void (*add)(struct buf *to, const struct submission *s);
} needed[] = {{"From", add_from}, {"Date", add_date}, {"Message-ID", add_message_id}};

struct str submission_header(struct buf *to, struct str message, const struct submission *s)
{
    struct header_field field;

    message = submission_message(message);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!header_find(message, needed[i].name, &field))
            needed[i].add(to, s);
    while (header_next(&message, &field)) {
        if (header_is_bcc(field.name))
            continue;
        buf_add(to, field.all);
        if (!str_ends(field.all, STR("\n")))
            buf_add_c(to, "\r\n");
    }
    buf_add_c(to, "\r\n");
    return message;
}
