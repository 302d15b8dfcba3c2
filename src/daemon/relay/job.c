// SPDX-License-Identifier: ISC
#include "daemon/relay/job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static bool take_recipients(struct job *j, struct str encoded)
{
    encoded = arena_copy(&j->arena, encoded);
    if (!job_recipients_decode(encoded, &j->arena, &j->recipients, &j->recipient_count) ||
        j->recipient_count == 0)
        return false;
    struct str *addresses = arena_alloc(&j->arena, j->recipient_count * sizeof *addresses);

    for (size_t i = 0; i < j->recipient_count; i++)
        addresses[i] = j->recipients[i].address;
    j->message.recipients = addresses;
    j->message.recipient_count = j->recipient_count;
    j->results = arena_alloc(&j->arena, j->recipient_count * sizeof *j->results);
    j->open_count = j->recipient_count;
    return true;
}

static struct job *job_new(uint64_t number, uint64_t key, struct str next_hop)
{
    struct job *j = mem_new(sizeof *j);

    list_init(&j->link);
    j->number = number;
    j->key = key;
    j->next_hop = arena_copy(&j->arena, next_hop);
    j->message.content_fd = -1;
    return j;
}

static struct job *from_job(const struct msg_job *m)
{
    struct job *j = job_new(m->job, m->key, m->next_hop);

    j->message.sender = arena_copy(&j->arena, m->sender);
    j->message.prefix = arena_copy(&j->arena, m->prefix);
    j->message.body_8bit = m->body_8bit != 0;
    j->content = mem_copy(m->content.p, m->content.n);
    j->message.content = str_n(j->content, m->content.n);
    j->message.size = m->prefix.n + m->content.n;
    if (!take_recipients(j, m->recipients))
        job_free(&j);
    return j;
}

static struct job *from_job_file(const struct msg_job_file *m)
{
    struct job *j = job_new(m->job, m->key, m->next_hop);

    j->message.sender = arena_copy(&j->arena, m->sender);
    j->message.prefix = arena_copy(&j->arena, m->prefix);
    j->message.body_8bit = m->body_8bit != 0;
    j->message.content_fd = m->file;
    j->message.content_offset = m->offset;
    j->message.content_bytes = m->size;
    j->message.size = m->prefix.n + m->size;
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

void job_free(struct job **j)
{
    if (!*j)
        return;
    job_content_drop(*j);
    list_remove(&(*j)->link);
    arena_free(&(*j)->arena);
    free(*j);
    *j = NULL;
}

void job_result(struct job *j, size_t i, const struct status *st)
{
    check(j->results[i].class == 0 && j->open_count > 0);
    j->results[i] = *st;
    j->open_count--;
}

void job_results_forget(struct job *j)
{
    memset(j->results, 0, j->recipient_count * sizeof *j->results);
    j->open_count = j->recipient_count;
}

void job_fail(struct job *j, const struct status *st, bool next_hop_failed)
{
    for (size_t i = 0; i < j->recipient_count; i++) {
        if (j->results[i].class == 0)
            job_result(j, i, st);
    }
    j->next_hop_failed = next_hop_failed;
}
