// SPDX-License-Identifier: ISC
#include "mail/trace.h"

#include "base/utf8.h"
#include "mail/date.h"
#include "mail/fold.h"

enum { NAME_BYTES_MAX = 255 }; /* RFC 5321 4.5.3.1.2 */

/* The client's words are only let through as what a host name or address literal is made of: no
 * blank, no comment, no mark, whatever they contained. */
static bool is_host_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '.' || c == '-' || c == '_' || c == ':' ||
           c == '[' || c == ']';
}

static bool is_path_char(char c)
{
    return c >= ' ' && c <= '~';
}

static bool is_comment_char(char c)
{
    return is_host_char(c) || c == ' ' || c == ',' || c == '=';
}

static void add_clean(struct buf *to, struct str s, bool (*is_allowed)(char c))
{
    for (size_t i = 0; i < s.n; i++)
        (void)buf_add_char(to, is_allowed(s.p[i]) ? s.p[i] : '?');
}

static void add_literal(struct buf *to, struct str ip)
{
    (void)buf_add(to, str_find(ip, ':') < ip.n ? STR("[IPv6:") : STR("["));
    add_clean(to, ip, is_host_char);
    (void)buf_add_char(to, ']');
}

/* from HELO (NAME [IP]): RFC 5321 4.4 Extended-Domain and TCP-info */
static void add_from(struct fold *f, const struct received *r, struct buf *word)
{
    struct str helo = str_sub(r->helo, 0, NAME_BYTES_MAX);
    struct str name = str_sub(r->client_name, 0, NAME_BYTES_MAX);

    if (helo.n == 0 && r->client_ip.n == 0)
        return;
    fold_word(f, STR("from"));
    buf_reset(word);
    if (helo.n)
        add_clean(word, helo, is_host_char);
    else
        add_literal(word, r->client_ip);
    fold_word(f, buf_str(word));
    if (r->client_ip.n == 0) {
        fold_line(f);
        return;
    }

    buf_reset(word);
    (void)buf_add_char(word, '(');
    if (name.n) {
        add_clean(word, name, is_host_char);
        fold_word(f, buf_str(word));
        buf_reset(word);
    }
    add_literal(word, r->client_ip);
    (void)buf_add_char(word, ')');
    fold_word(f, buf_str(word));
    fold_line(f);
}

/* (uid 1000, bill): RFC 5322 3.2.2 */
static void add_comment(struct fold *f, struct str comment, struct buf *word)
{
    if (comment.n == 0)
        return;
    buf_reset(word);
    (void)buf_add_char(word, '(');
    add_clean(word, str_sub(comment, 0, NAME_BYTES_MAX), is_comment_char);
    (void)buf_add_char(word, ')');
    fold_word(f, buf_str(word));
}

void received_print(struct buf *to, const struct received *r)
{
    static const char mark = PREFIX_ID_MARK;
    struct fold f = fold_field(to, "Received");
    struct buf word = buf_init(4 * NAME_BYTES_MAX);

    add_from(&f, r, &word);
    fold_word(&f, STR("by"));
    fold_word(&f, r->by);
    add_comment(&f, r->by_comment, &word);
    fold_word(&f, STR("with"));
    fold_word(&f, r->with);
    add_comment(&f, r->with_comment, &word);
    fold_word(&f, STR("id"));
    fold_wide_word(&f, str_n(&mark, 1), ID_TEXT_BYTES);
    if (r->only_recipient.n && utf8_is_ascii(r->only_recipient)) {
        buf_reset(&word);
        (void)buf_add_char(&word, '<');
        add_clean(&word, r->only_recipient, is_path_char);
        (void)buf_add_char(&word, '>');
        fold_line(&f);
        fold_word(&f, STR("for"));
        fold_word(&f, buf_str(&word));
    }
    (void)buf_add_char(to, ';');
    fold_line(&f);
    date_print(to, r->time_us, 0);
    (void)buf_add(to, STR("\r\n"));
    buf_free(&word);
}

void warning_print(struct buf *to, struct str host, struct str who, struct str sender)
{
    struct fold f = fold_field(to, "X-Authentication-Warning");
    struct buf word = buf_init(4 * NAME_BYTES_MAX);

    buf_printf(&word, "%.*s:", STR_ARG(host));
    fold_word(&f, buf_str(&word));
    buf_reset(&word);
    add_clean(&word, str_sub(who, 0, NAME_BYTES_MAX), is_comment_char);
    fold_text(&f, buf_str(&word));
    fold_text(&f, STR("set the sender to"));
    buf_reset(&word);
    (void)buf_add_char(&word, '<');
    add_clean(&word, sender, is_path_char);
    (void)buf_add_char(&word, '>');
    fold_word(&f, buf_str(&word));
    fold_end(&f);
    buf_free(&word);
}

void message_id_print(struct buf *to, struct str hostname)
{
    (void)buf_add(to, STR("Message-ID: <"));
    (void)buf_add_char(to, PREFIX_ID_MARK);
    (void)buf_add_char(to, '@');
    (void)buf_add(to, hostname);
    (void)buf_add(to, STR(">\r\n"));
}

void prefix_print(struct buf *to, struct str prefix, struct id id)
{
    struct id_text text = id_print(id);

    while (prefix.n > 0) {
        size_t at = str_find(prefix, PREFIX_ID_MARK);
        (void)buf_add(to, str_sub(prefix, 0, at));
        if (at < prefix.n)
            (void)buf_add(to, str_n(text.p, ID_TEXT_BYTES));
        prefix = str_skip(prefix, at + 1);
    }
}
