/* Any packet: decoded or refused; what was decoded encodes to the same bytes. The recipients of a
 * job inside it likewise. The first byte says whether a descriptor came along. */
// SPDX-License-Identifier: ISC
// links: base mail ipc
#include <string.h>

#include "base/check.h"
#include "ipc/job.h"
#include "ipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_recipients(struct str bytes)
{
    struct arena a = ARENA_INIT;
    struct job_recipient *list;
    size_t count;

    if (job_recipients_decode(bytes, &a, &list, &count)) {
        struct buf again = buf_init(bytes.n);
        job_recipients_encode(&again, list, count);
        check(!again.full && str_eq(buf_str(&again), bytes));
        buf_free(&again);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union message m;

    if (size < 1)
        return 0;
    int fd = data[0] & 1 ? 0 : -1;
    struct str packet = str_n((const char *)data + 1, size - 1);
    memset(&m, 0xa5, sizeof m);
    check_recipients(packet);
    if (!message_decode(packet, fd, &m))
        return 0;
    check((message_fd(&m) != NULL) == (fd >= 0));

    struct buf again = buf_init(PACKET_BYTES_MAX);
    check(message_encode(&again, &m));
    check(str_eq(buf_str(&again), packet));
    struct buf text = buf_init(64 * KIB);
    message_print(&text, &m);
    check(!text.full && !memchr(text.p, '\n', text.n));
    if (m.kind == MSG_JOB)
        check_recipients(m.job.recipients);
    buf_free(&text);
    buf_free(&again);
    return 0;
}
