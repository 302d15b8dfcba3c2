// SPDX-License-Identifier: ISC
#include "daemon/relay/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Views into what is held. */
static void describe_message(struct job *j)
{
    struct hold_job *held = &j->held;
    struct str *addresses = arena_alloc(&held->arena, held->recipient_count * sizeof *addresses);
    struct notify *notify = arena_alloc(&held->arena, held->recipient_count * sizeof *notify);

    for (size_t i = 0; i < held->recipient_count; i++) {
        addresses[i] = held->recipients[i].address;
        notify[i] = held->recipients[i].notify;
    }
    j->message = (struct client_message){
        .sender = held->sender,
        .ret = held->ret,
        .envid = held->envid,
        .recipients = addresses,
        .notify = notify,
        .recipient_count = held->recipient_count,
        .body = held->body,
        .utf8 = held->utf8,
        .size = held->prefix.n + held->content.n + held->content_bytes,
        .prefix = held->prefix,
        .content = held->content,
        .content_fd = held->content_fd,
        .content_offset = held->content_offset,
        .content_bytes = held->content_bytes,
    };
}

struct job *job_from_message(union message *m)
{
    struct job *j = mem_new(sizeof *j);

    if (!hold_job_init(&j->held, m)) {
        free(j);
        return NULL;
    }
    j->open_count = j->held.recipient_count;
    describe_message(j);
    return j;
}

void job_free(struct hold_job *held)
{
    hold_job_done(held);
    free(job_of(held));
}

void job_result(struct job *j, size_t i, const struct status *st)
{
    check(j->held.results[i].class == 0 && j->open_count > 0);
    j->held.results[i] = *st;
    j->open_count--;
}

void job_results_forget(struct job *j)
{
    memset(j->held.results, 0, j->held.recipient_count * sizeof *j->held.results);
    j->open_count = j->held.recipient_count;
}

void job_fail(struct job *j, const struct status *st, bool next_hop_failed)
{
    for (size_t i = 0; i < j->held.recipient_count; i++) {
        if (j->held.results[i].class == 0)
            job_result(j, i, st);
    }
    j->held.next_hop_failed = next_hop_failed;
}
