// SPDX-License-Identifier: ISC
#include "daemon/deliver/deliver.h"

#include <stdlib.h>

#include "base/check.h"

static void job_free(struct hold_job *j)
{
    hold_job_done(j);
    free(j);
}

static struct maildir_source source_of(const struct deliver *d, const struct hold_job *j)
{
    return (struct maildir_source){
        .id = j->id,
        .sender = j->sender,
        .prefix = j->prefix,
        .binary = j->body == BODY_BINARY,
        .content = j->content,
        .content_fd = j->content_fd,
        .content_offset = j->content_offset,
        .content_bytes = j->content_bytes,
        .seen_before = id_time_us(j->id) + DELIVER_SEEN_US <= clock_now_us(d->wall),
    };
}

static void write_all(const struct deliver *d)
{
    struct maildir_batch *b = maildir_begin_in(d->maildir_fd, d->disk, d->hostname);

    list_each (at, &d->jobs) {
        const struct hold_job *j = list_of(at, struct hold_job, link);
        struct maildir_source message = source_of(d, j);

        for (size_t i = 0; i < j->recipient_count; i++)
            maildir_write(b, STR_NONE, j->recipients[i].address, j->recipients[i].number, &message,
                          &j->results[i]);
    }
    maildir_commit(&b);
}

static void say_results(const struct deliver *d, const struct hold_job *j)
{
    struct msg_user_job_end end = {.kind = MSG_USER_JOB_END, .job = j->number};

    for (size_t i = 0; i < j->recipient_count; i++) {
        struct msg_user_result m = {.kind = MSG_USER_RESULT,
                                    .job = j->number,
                                    .key = j->id.key,
                                    .number = j->recipients[i].number,
                                    .status = d->maildir_fd < 0 ? d->trouble : j->results[i],
                                    .detail = d->detail};
        channel_send(d->channel, &m);
    }
    channel_send(d->channel, &end);
}

static void on_turn(void *arg)
{
    struct deliver *d = arg;

    if (d->maildir_fd >= 0)
        write_all(d);
    list_each (at, &d->jobs) {
        struct hold_job *j = list_of(at, struct hold_job, link);

        say_results(d, j);
        job_free(j);
    }
}

void deliver_job(struct deliver *d, struct channel *from, union message *m)
{
    struct hold_job *j = mem_new(sizeof *j);

    if (!hold_job_init(j, m)) {
        free(j);
        channel_break(from, "malformed job");
        return;
    }
    list_add(&d->jobs, &j->link);
    turn_want(d->loop, TURN_COMMIT, &d->turn);
}

void deliver_init(struct deliver *d)
{
    list_init(&d->jobs);
    d->turn = (struct turn_work){.fn = on_turn, .arg = d};
}

void deliver_done(struct deliver *d)
{
    turn_forget(d->loop, &d->turn);
    list_each (at, &d->jobs)
        job_free(list_of(at, struct hold_job, link));
}
