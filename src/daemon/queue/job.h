/* daemon/queue/job.h - what relay and local are working on.
 *
 * A recipient in a job is active: known here in memory, skipped by the scheduler, its row
 * untouched. Each RESULT settles one; JOB_END settles the job, whose RESULTS_TAKEN goes out after
 * the commit. If the worker dies first, what is unsettled was no attempt and is due again.
 * After a restart of ours the workers say what they hold (HELD) and it is active again. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "ipc/message.h"
#include "mail/id.h"
#include "spool/spool.h"

struct queue;
struct peer;
struct destination;

enum { JOB_RECIPIENTS_MAX = 100, ACTIVE_KEY_BYTES = 12 };

struct active { /* a recipient somebody works on: a job, or a report being made */
    struct {
        uint64_t key;
        uint32_t number;
    } name; /* its first ACTIVE_KEY_BYTES are the key in the map */
};

struct job_recipient_state {
    struct active active;
    bool settled;
    struct str address, original;
    unsigned notify; /* of enum notify_when */
    struct str orcpt;
    uint32_t attempts;
    uint64_t expires_us, age_us;
};

struct job {
    struct list link;   /* in its peer's jobs */
    struct arena arena; /* owns the job's strings and recipients */
    uint64_t number;
    struct peer *peer;
    struct destination *destination; /* NULL: adopted, its row is gone */
    struct id id;                    /* of the message */
    struct str sender;
    uint64_t received_us, started_us;
    uint64_t deferred_us; /* its first recipient was; the others stay with it. 0: none was */
    struct job_recipient_state *recipients;
    size_t recipient_count;
    bool next_hop_failed, answered;
    uint64_t counted_at_us; /* against a limit of its next hop; 0: it has none */
    uint32_t counted;       /* recipients */
};

struct taken; /* a RESULTS_TAKEN to be said after the commit */

struct jobs {
    struct map *by_number;
    struct map *active;
    struct list taken;
    uint64_t last_number;
};

void jobs_init(struct queue *q);
void jobs_done(struct queue *q);

/* Is somebody working on this recipient? */
bool active_has(const struct queue *q, uint64_t key, uint32_t number);
void active_add(struct queue *q, struct active *a);
void active_remove(struct queue *q, struct active *a);

struct job_message { /* what the scheduler knows of the message, borrowed */
    struct id id;
    struct str sender, prefix, content;
    uint64_t received_us, size;
    enum body body;
    enum message_utf8 utf8;
    enum notify_return ret;
    struct str envid;
    int file; /* content is in this descriptor, which job_start takes; -1: in content */
};
/* Starts one job for these recipients of the message; at most JOB_RECIPIENTS_MAX. */
void job_start(struct queue *q, struct peer *peer, struct destination *d,
               const struct job_message *m, const struct spool_recipient *recipients, size_t count);

void job_result(struct peer *peer, const struct msg_result *m);
void job_end(struct peer *peer, uint64_t number);
void job_held(struct peer *peer, const struct msg_held *m);
void jobs_peer_down(struct peer *peer);
void jobs_taken(struct queue *q); /* after the commit */
size_t jobs_running(const struct queue *q);
