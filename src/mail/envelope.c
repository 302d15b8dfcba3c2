// SPDX-License-Identifier: ISC
#include "mail/envelope.h"

#include "base/check.h"

#include <assert.h>

enum { MARK = 'E', VERSION = 2, FLAG_BODY_8BIT = 1 };
/* Two of the flags are enum message_utf8. */
enum { UTF8_SHIFT = 6, FLAGS = FLAG_BODY_8BIT | 3 << UTF8_SHIFT };
/* The least a recipient can take: two empty strings, a byte, a transport, three empty strings. */
enum { RECIPIENT_BYTES_MIN = 4 + 1 + 4 + 1 + 3 * 4 };

static const char *const transport_names[] = {
    [TRANSPORT_NONE] = "none",
    [TRANSPORT_LOCAL] = "local",
    [TRANSPORT_RELAY] = "relay",
};

static_assert(countof(transport_names) == TRANSPORT_COUNT, "every transport has a name");

const char *transport_name(enum transport t)
{
    return (size_t)t < countof(transport_names) ? transport_names[t] : "unknown";
}

void target_encode(struct buf *to, const struct target *t)
{
    put_u8(to, (uint8_t)t->transport);
    put_str(to, t->next_hop);
    put_str(to, t->address);
    put_str(to, t->why);
}

bool target_decode(struct reader *r, struct target *ret)
{
    uint8_t transport = get_u8(r);
    struct target t = {
        .next_hop = get_str(r),
        .address = get_str(r),
        .why = get_str(r),
    };

    if (transport >= TRANSPORT_COUNT)
        r->bad = true;
    if (r->bad)
        return false;
    t.transport = (enum transport)transport;
    *ret = t;
    return true;
}

void envelope_encode(struct buf *to, const struct envelope *e)
{
    put_u8(to, MARK);
    put_u8(to, VERSION);
    put_u8(to, (uint8_t)((e->body_8bit ? FLAG_BODY_8BIT : 0) | e->utf8 << UTF8_SHIFT));
    put_u8(to, (uint8_t)e->ret);
    put_str(to, e->envid);
    put_str(to, e->sender);
    put_str(to, e->client);
    put_u32(to, (uint32_t)e->recipient_count);
    for (size_t i = 0; i < e->recipient_count; i++) {
        put_str(to, e->recipients[i].address);
        put_u8(to, (uint8_t)e->recipients[i].notify.when);
        put_str(to, e->recipients[i].notify.orcpt);
        target_encode(to, &e->recipients[i].target);
    }
}

static void decode_recipient(struct reader *r, struct arena *a, struct recipient *ret)
{
    struct target t;

    ret->address = arena_copy(a, get_str(r));
    ret->notify.when = get_u8(r);
    ret->notify.orcpt = arena_copy(a, get_str(r));
    if (!notify_valid(ret->notify.when) ||
        (ret->notify.orcpt.n > 0 && !orcpt_valid(ret->notify.orcpt)))
        r->bad = true;
    if (!target_decode(r, &t))
        return;
    ret->target = (struct target){
        .transport = t.transport,
        .next_hop = arena_copy(a, t.next_hop),
        .address = arena_copy(a, t.address),
        .why = arena_copy(a, t.why),
    };
}

bool envelope_decode(struct str bytes, struct arena *a, struct envelope *ret)
{
    struct reader r = reader_init(bytes);
    struct envelope e = {0};

    if (get_u8(&r) != MARK || get_u8(&r) != VERSION)
        return false;
    uint8_t flags = get_u8(&r);
    uint8_t ret_wish = get_u8(&r);
    struct str envid = get_str(&r);
    struct str sender = get_str(&r);
    struct str client = get_str(&r);
    e.recipient_count = get_u32(&r);
    /* Asked before memory is: a count must be backed by bytes. */
    if (r.bad || flags & ~FLAGS || flags >> UTF8_SHIFT >= UTF8_COUNT || ret_wish >= RETURN_COUNT ||
        (envid.n > 0 && !notify_text_valid(envid, ENVID_BYTES_MAX)) ||
        e.recipient_count > r.rest.n / RECIPIENT_BYTES_MIN)
        return false;

    e.body_8bit = flags & FLAG_BODY_8BIT;
    e.utf8 = (enum message_utf8)(flags >> UTF8_SHIFT);
    e.ret = (enum notify_return)ret_wish;
    e.envid = arena_copy(a, envid);
    e.sender = arena_copy(a, sender);
    e.client = arena_copy(a, client);
    e.recipients = arena_alloc(a, e.recipient_count * sizeof(*e.recipients));
    for (size_t i = 0; i < e.recipient_count && !r.bad; i++)
        decode_recipient(&r, a, &e.recipients[i]);
    if (!reader_ended(&r))
        return false;
    *ret = e;
    return true;
}
