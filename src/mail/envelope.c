// SPDX-License-Identifier: ISC
#include "mail/envelope.h"

#include "base/check.h"

#include <assert.h>

enum { MARK = 'E', VERSION = 3 };
/* One byte: the low bits are enum body, the high ones enum message_utf8. */
enum { UTF8_SHIFT = 6, BODY_MASK = (1 << UTF8_SHIFT) - 1 };
/* Most recipients of a long list go where the one before them goes, under the name the sender
 * wrote: that is said by a bit. */
enum { IS_FINAL = 1, SAME_NEXT_HOP = 2, SAME_WHY = 4, ROW_FLAGS = 7 };
/* The least a recipient can take: the flags, two empty strings and a byte. */
enum { RECIPIENT_BYTES_MIN = 1 + 4 + 1 + 4 };

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

void envelope_head_encode(struct buf *to, const struct envelope *e)
{
    put_u8(to, MARK);
    put_u8(to, VERSION);
    put_u8(to, (uint8_t)(e->body | e->utf8 << UTF8_SHIFT));
    put_u8(to, (uint8_t)e->ret);
    put_str(to, e->envid);
    put_str(to, e->sender);
    put_str(to, e->client);
    put_u32(to, (uint32_t)e->recipient_count);
}

static unsigned row_flags(const struct target *before, const struct recipient *r)
{
    const struct target *t = &r->target;
    unsigned flags = str_eq(r->address, t->address) ? IS_FINAL : 0;

    if (before && before->transport == t->transport && str_eq(before->next_hop, t->next_hop))
        flags |= SAME_NEXT_HOP;
    if (before && str_eq(before->why, t->why))
        flags |= SAME_WHY;
    return flags;
}

void recipient_encode(struct buf *to, const struct target *before, const struct recipient *r)
{
    unsigned flags = row_flags(before, r);

    put_u8(to, (uint8_t)flags);
    put_str(to, r->address);
    put_u8(to, (uint8_t)r->notify.when);
    put_str(to, r->notify.orcpt);
    if (!(flags & IS_FINAL))
        put_str(to, r->target.address);
    if (!(flags & SAME_NEXT_HOP)) {
        put_u8(to, (uint8_t)r->target.transport);
        put_str(to, r->target.next_hop);
    }
    if (!(flags & SAME_WHY))
        put_str(to, r->target.why);
}

struct str recipient_first(struct str encoded)
{
    struct reader r = reader_init(encoded);

    (void)get_u8(&r);
    return get_str(&r);
}

void envelope_encode(struct buf *to, const struct envelope *e)
{
    envelope_head_encode(to, e);
    for (size_t i = 0; i < e->recipient_count; i++)
        recipient_encode(to, i > 0 ? &e->recipients[i - 1].target : NULL, &e->recipients[i]);
}

/* before: NULL at the first. What is the same is in the arena once. */
static void decode_target(struct reader *r, unsigned flags, const struct recipient *before,
                          struct arena *a, struct recipient *ret)
{
    struct target *t = &ret->target;

    if (flags & ~(unsigned)ROW_FLAGS || (!before && flags & (SAME_NEXT_HOP | SAME_WHY))) {
        r->bad = true;
        return;
    }
    if (before)
        *t = before->target;
    t->address = flags & IS_FINAL ? ret->address : arena_copy(a, get_str(r));
    if (!(flags & SAME_NEXT_HOP)) {
        t->transport = get_u8(r);
        t->next_hop = arena_copy(a, get_str(r));
    }
    if (!(flags & SAME_WHY))
        t->why = arena_copy(a, get_str(r));
    if (t->transport >= TRANSPORT_COUNT)
        r->bad = true;
}

static void decode_recipient(struct reader *r, struct arena *a, const struct recipient *before,
                             struct recipient *ret)
{
    unsigned flags = get_u8(r);

    ret->address = arena_copy(a, get_str(r));
    ret->notify.when = get_u8(r);
    ret->notify.orcpt = arena_copy(a, get_str(r));
    if (!notify_valid(ret->notify.when) ||
        (ret->notify.orcpt.n > 0 && !orcpt_valid(ret->notify.orcpt)))
        r->bad = true;
    decode_target(r, flags, before, a, ret);
}

bool envelope_decode(struct str bytes, struct arena *a, struct envelope *ret)
{
    struct reader r = reader_init(bytes);
    struct envelope e = {0};

    if (get_u8(&r) != MARK || get_u8(&r) != VERSION)
        return false;
    uint8_t body_utf8 = get_u8(&r);
    unsigned body = body_utf8 & BODY_MASK, utf8 = body_utf8 >> UTF8_SHIFT;
    uint8_t ret_wish = get_u8(&r);
    struct str envid = get_str(&r);
    struct str sender = get_str(&r);
    struct str client = get_str(&r);
    e.recipient_count = get_u32(&r);
    /* Asked before memory is: a count must be backed by bytes. */
    if (r.bad || body >= BODY_COUNT || utf8 >= UTF8_COUNT || ret_wish >= RETURN_COUNT ||
        (envid.n > 0 && !notify_text_valid(envid, ENVID_BYTES_MAX)) ||
        e.recipient_count > r.rest.n / RECIPIENT_BYTES_MIN)
        return false;

    e.body = (enum body)body;
    e.utf8 = (enum message_utf8)utf8;
    e.ret = (enum notify_return)ret_wish;
    e.envid = arena_copy(a, envid);
    e.sender = arena_copy(a, sender);
    e.client = arena_copy(a, client);
    e.recipients = arena_alloc(a, e.recipient_count * sizeof(*e.recipients));
    for (size_t i = 0; i < e.recipient_count && !r.bad; i++)
        decode_recipient(&r, a, i > 0 ? &e.recipients[i - 1] : NULL, &e.recipients[i]);
    if (!reader_ended(&r))
        return false;
    *ret = e;
    return true;
}
