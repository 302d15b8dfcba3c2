/* ipc/job.c - a count, then number, address, next hop and wishes of each recipient. */
// SPDX-License-Identifier: ISC
#include "ipc/job.h"

/* The least that one recipient takes: its number, three empty strings and a byte. */
enum { RECIPIENT_BYTES_MIN = 17 };

void job_recipients_encode(struct buf *to, const struct job_recipient *list, size_t count)
{
    put_u32(to, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_u32(to, list[i].number);
        put_str(to, list[i].address);
        put_str(to, list[i].next_hop);
        put_u8(to, (uint8_t)list[i].notify.when);
        put_str(to, list[i].notify.orcpt);
    }
}

bool job_recipients_decode(struct str bytes, struct arena *a, struct job_recipient **ret,
                           size_t *ret_count)
{
    struct reader r = reader_init(bytes);
    size_t count = get_u32(&r);

    if (r.bad || count > r.rest.n / RECIPIENT_BYTES_MIN)
        return false;
    struct job_recipient *list = arena_alloc(a, (count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i].number = get_u32(&r);
        list[i].address = get_str(&r);
        list[i].next_hop = get_str(&r);
        list[i].notify.when = get_u8(&r);
        list[i].notify.orcpt = get_str(&r);
    }
    if (!reader_ended(&r))
        return false;
    *ret = list;
    *ret_count = count;
    return true;
}
