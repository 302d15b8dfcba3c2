// SPDX-License-Identifier: ISC
#include "daemon/local/job.h"

#include <stdlib.h>

#include "base/check.h"

struct job *job_from_message(union message *m)
{
    struct job *j = mem_new(sizeof *j);

    list_init(&j->lane_link);
    if (hold_job_init(&j->held, m))
        return j;
    free(j);
    return NULL;
}

struct maildir_source job_source(const struct job *j)
{
    return (struct maildir_source){
        .id = j->held.id,
        .sender = j->held.sender,
        .prefix = j->held.prefix,
        .content = j->held.content,
        .content_fd = j->held.content_fd,
        .content_offset = j->held.content_offset,
        .content_bytes = j->held.content_bytes,
        .binary = j->held.body == BODY_BINARY,
        .seen_before = j->seen_before,
    };
}

void job_free(struct hold_job *held)
{
    struct job *j = job_of(held);

    list_remove(&j->lane_link);
    hold_job_done(held);
    free(j);
}
