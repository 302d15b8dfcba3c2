// SPDX-License-Identifier: ISC
#include "daemon/local/job.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

static struct job *job_new(uint64_t number, uint64_t key, uint32_t node)
{
    struct job *j = mem_new(sizeof(*j));

    list_init(&j->link);
    list_init(&j->lane_link);
    j->number = number;
    j->message.id = (struct id){.key = key, .node = node};
    j->message.content_fd = -1;
    return j;
}

static void copy_strings(struct job *j, struct str sender, struct str prefix, struct str next_hop)
{
    j->message.sender = arena_copy(&j->arena, sender);
    j->message.prefix = arena_copy(&j->arena, prefix);
    j->next_hop = arena_copy(&j->arena, next_hop);
}

static bool take_recipients(struct job *j, struct str encoded)
{
    encoded = arena_copy(&j->arena, encoded);
    if (!job_recipients_decode(encoded, &j->arena, &j->recipients, &j->recipient_count) ||
        j->recipient_count == 0)
        return false;
    j->results = arena_alloc(&j->arena, j->recipient_count * sizeof(*j->results));
    return true;
}

static struct job *from_job(const struct msg_job *m)
{
    struct job *j = job_new(m->job, m->key, m->node);

    copy_strings(j, m->sender, m->prefix, m->next_hop);
    j->content = mem_copy(m->content.p, m->content.n);
    j->message.content = str_n(j->content, m->content.n);
    if (!take_recipients(j, m->recipients))
        job_free(&j);
    return j;
}

static struct job *from_job_file(const struct msg_job_file *m)
{
    struct job *j = job_new(m->job, m->key, m->node);

    copy_strings(j, m->sender, m->prefix, m->next_hop);
    j->message.content_fd = m->file;
    j->message.content_offset = m->offset;
    j->message.content_bytes = m->size;
    if (!take_recipients(j, m->recipients))
        job_free(&j);
    return j;
}

struct job *job_from_message(union message *m)
{
    return m->kind == MSG_JOB ? from_job(&m->job) : from_job_file(&m->job_file);
}

void job_content_drop(struct job *j)
{
    free(j->content);
    j->content = NULL;
    j->message.content = STR_NONE;
    if (j->message.content_fd >= 0)
        (void)close(j->message.content_fd); /* only read */
    j->message.content_fd = -1;
}

void job_free(struct job **jp)
{
    struct job *j = *jp;

    if (!j)
        return;
    job_content_drop(j);
    list_remove(&j->link);
    list_remove(&j->lane_link);
    arena_free(&j->arena);
    free(j);
    *jp = NULL;
}
