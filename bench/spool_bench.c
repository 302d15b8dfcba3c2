/* spool_bench.c - what a message costs the spool alone; built and called by ./dev bench growth:
 *
 *   spool_bench DIR [BACKLOG [MESSAGES [BATCH]]]
 *
 * DIR must be empty and on a real disk. Puts BACKLOG short messages for 5000 destinations there, then
 * takes in MESSAGES of 4 KB with one recipient in batches and ends each in the batch after its
 * own; says how long opening took, µs and CPU µs for each message, and the memory at its peak. */
// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "spool/spool.h"

enum { CONTENT_BYTES = 4096, BACKLOG_CONTENT_BYTES = 64, BACKLOG_DESTINATIONS = 5000, BACKLOG_BATCH = 2000 };

static char content[CONTENT_BYTES];
static const char prefix[] =
    "Received: from client.example.org (client.example.org [192.0.2.17])\r\n"
    "\tby mail.example.net with ESMTP id \x1a\r\n\tfor <bill@example.net>;"
    " Fri, 20 Nov 2026 18:00:00 +0000\r\n";

static uint64_t cpu_us(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * US_PER_S +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static uint64_t now_us(void)
{
    return clock_monotonic_us(&clock_system);
}

static uint64_t put(struct spool *s, struct str next_hop, size_t bytes)
{
    struct recipient to = {
        .address = STR("bill@example.net"),
        .target = {.transport = TRANSPORT_RELAY,
                   .next_hop = next_hop,
                   .address = STR("bill@example.net"),
                   .why = STR("troika.conf:12 smarthost")},
    };
    struct envelope e = {
        .sender = STR("ann@example.org"),
        .client = STR("client=[192.0.2.17] helo=client.example.org with=ESMTP"),
        .recipient_count = 1,
        .recipients = &to,
    };
    uint64_t now = clock_now_us(&clock_system);
    struct spool_terms terms = {.due_us = now, .expires_us = now + 432000 * US_PER_S};
    struct spool_entry *m;
    struct id id;

    check(spool_begin(s, &e, bytes, &m) == 0);
    check(spool_write(m, str_n(content, bytes)) == 0);
    check(spool_add(&m, str_c(prefix), &terms, &id) == 0);
    return id.key;
}

static void fill(struct spool *s, unsigned count)
{
    char host[32];

    for (unsigned i = 1; i <= count; i++) {
        (void)snprintf(host, sizeof(host), "mx%u.example:25", i * 7919 % BACKLOG_DESTINATIONS);
        (void)put(s, str_c(host), BACKLOG_CONTENT_BYTES);
        if (i % BACKLOG_BATCH == 0)
            check(spool_commit(s) == 0);
    }
    check(spool_commit(s) == 0);
}

static void end_all(struct spool *s, const uint64_t *keys, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        check(spool_end_recipient(s, keys[i], 1) == 0);
}

static void run(struct spool *s, unsigned count, unsigned batch)
{
    uint64_t *keys = mem_new(batch * sizeof(*keys));
    uint64_t wall = now_us();
    uint64_t cpu = cpu_us();

    for (unsigned done = 0; done < count; done += batch) {
        if (done > 0)
            end_all(s, keys, batch);
        for (unsigned i = 0; i < batch; i++)
            keys[i] = put(s, STR("relay.example:25"), CONTENT_BYTES);
        check(spool_commit(s) == 0);
    }
    end_all(s, keys, batch);
    check(spool_commit(s) == 0);
    wall = now_us() - wall;
    cpu = cpu_us() - cpu;
    (void)printf("%u lifecycles in batches of %u: %.1f us each (%.1f us of CPU), %.0f a second\n",
                 count, batch, (double)wall / count, (double)cpu / count,
                 (double)count * 1e6 / (double)wall);
    free(keys);
}

static struct spool *open_spool(int dir_fd)
{
    struct spool_options o = {
        .disk = &disk_system, .clock = &clock_system, .reserve_bytes = 16 * MIB};
    struct spool *s;
    uint64_t at = now_us();

    check(spool_open(dir_fd, &o, &s) == 0);
    (void)printf("opened in %.1f ms\n", (double)(now_us() - at) / 1000);
    return s;
}

static unsigned number(int argc, char **argv, int at, unsigned otherwise)
{
    uint64_t v = otherwise;

    return argc <= at || str_u64(str_c(argv[at]), &v) ? (unsigned)v : otherwise;
}

int main(int argc, char **argv)
{
    unsigned backlog = number(argc, argv, 2, 0);
    unsigned batch = MAX_OF(number(argc, argv, 4, 50), 1U);
    int dir_fd = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct rusage u;

    if (dir_fd < 0) {
        (void)fprintf(stderr, "spool_bench DIR [BACKLOG [MESSAGES [BATCH]]]\n");
        return 64;
    }
    memset(content, 'x', sizeof(content));
    struct spool *s = open_spool(dir_fd);
    fill(s, backlog);
    spool_close(&s);
    s = open_spool(dir_fd);
    run(s, number(argc, argv, 3, 100000), batch);
    spool_close(&s);
    (void)getrusage(RUSAGE_SELF, &u);
    (void)printf("peak memory %ld KiB\n", u.ru_maxrss);
    (void)close(dir_fd);
    return 0;
}
