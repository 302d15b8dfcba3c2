// SPDX-License-Identifier: ISC
#include "history/line.h"

#include "base/codec.h"
#include "base/log.h"
#include "history/history.h"
#include "mail/id.h"

enum { TOPIC_BYTES_MAX = 512 };

static struct str without_brackets(struct str s)
{
    if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
        return str_sub(s, 1, s.n - 1);
    return s;
}

enum topic_kind topic_of(struct str text, struct str *topic)
{
    struct id id;

    *topic = without_brackets(text);
    size_t at = str_find(*topic, '@');
    if (at == 0 && topic->n > 1)
        return TOPIC_DOMAIN;
    if (at < topic->n && topic->n <= TOPIC_BYTES_MAX)
        return TOPIC_ADDRESS;
    return topic->n == ID_TEXT_BYTES && id_parse(*topic, &id) ? TOPIC_ID : TOPIC_OTHER;
}

struct str address_domain_part(struct str address)
{
    return str_skip(address, str_find_last(address, '@'));
}

bool line_topic_next(struct str *rest, enum topic_kind *kind, struct str *topic,
                     struct buf *scratch)
{
    struct str key;
    struct str value;

    if (!line_next(rest, &key, &value, scratch))
        return false;
    *kind = topic_of(value, topic);
    return true;
}

uint64_t topic_hash(struct str topic)
{
    char lower[TOPIC_BYTES_MAX];
    size_t n = 0;

    while (n < topic.n && n < sizeof lower) {
        lower[n] = char_lower(topic.p[n]);
        n++;
    }
    return hash_bytes(0x7472616365, str_n(lower, n));
}

static bool topic_matches(enum topic_kind wanted, struct str text, enum topic_kind kind,
                          struct str topic)
{
    if (wanted == TOPIC_DOMAIN && kind == TOPIC_ADDRESS)
        return str_eq_nocase(address_domain_part(topic), text);
    return kind == wanted && str_eq_nocase(topic, text);
}

bool line_tells_of(struct str line, struct str text, struct buf *scratch)
{
    struct str asked;
    struct str topic;
    enum topic_kind wanted = topic_of(text, &asked);
    enum topic_kind kind;
    bool found = text.n == 0;

    while (!found && line_topic_next(&line, &kind, &topic, scratch))
        found = topic_matches(wanted, asked, kind, topic);
    return found;
}

bool history_line_matches(struct str line, struct str text)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    bool found = line_tells_of(line, text, &scratch);

    buf_free(&scratch);
    return found;
}
