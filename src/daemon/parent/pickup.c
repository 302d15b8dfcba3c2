// SPDX-License-Identifier: ISC
#include "daemon/parent/pickup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/parent/server.h"
#include "daemon/parent/who.h"
#include "io/disk.h"

#define LOOK_US (5 * US_PER_S)     /* from one look into the folder to the next */
#define WAIT_US (30 * US_PER_S)    /* the same when something had to stay */
#define ANSWER_US (600 * US_PER_S) /* a large message on a slow disk */
#define PART_LIFE_S (24 * 3600)    /* of a file that nobody finishes */
#define COMPLAIN_US (60 * US_PER_S)
enum { LOOK_NAMES_MAX = 256, DEATHS_MAX = 2 }; /* names: in one turn of the loop */

static void look(void *arg);

static void look_later(struct server *s, uint64_t us)
{
    timer_set(s->loop, &s->pickup.timer, us, look, s);
}

static void log_file(enum log_level level, const char *event, const char *name, uid_t uid,
                     struct str why)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", event);
    line_c(&line, "file", name);
    if (uid != (uid_t)-1)
        line_u64(&line, "uid", uid);
    if (why.n > 0)
        line_str(&line, "reason", why);
    log_line(level, buf_str(&line));
    buf_free(&line);
}

/* What would be said at every look is said once a minute. */
static void complain(struct server *s, const char *name, const char *what)
{
    uint64_t now = clock_monotonic_us(loop_clock(s->loop));

    if (s->pickup.complained_us != 0 && now - s->pickup.complained_us < COMPLAIN_US)
        return;
    s->pickup.complained_us = now;
    log_file(LEVEL_ERROR, "drop-not-readable", name, (uid_t)-1, str_c(what));
}

static void put_aside(struct server *s, const char *name, struct str why)
{
    int drop = dirfd(s->pickup.folder);
    int aside = state_folder(&s->state, "aside");

    if (aside >= 0 && renameat(drop, name, aside, name) == 0)
        log_file(LEVEL_ERROR, "drop-put-aside", name, (uid_t)-1, why);
    else
        complain(s, name, strerror(aside < 0 ? -aside : errno));
    if (aside >= 0)
        (void)close(aside);
}

/* ---- one file ---- */

static const char *objection(const struct server *s, const struct stat *st)
{
    uint64_t bytes_max = s->config->message_bytes_max + DROP_HEAD_BYTES_MAX + DROP_END_BYTES;

    if (!S_ISREG(st->st_mode))
        return "it is no file";
    if (st->st_nlink != 1)
        return "it has another name elsewhere";
    if ((uint64_t)st->st_size > bytes_max)
        return "it is larger than message-size";
    return NULL;
}

static void give(struct server *s, struct process *smtpd, const char *name, int fd, uid_t uid)
{
    struct pickup *p = &s->pickup;
    struct who who = who_is(s->config, uid, s->state.control_gid);
    struct msg_drop m = {.kind = MSG_DROP,
                         .ticket = ++p->ticket,
                         .uid = who.uid,
                         .trusted = who.trusted,
                         .login = str_c(who.login),
                         .file = fd};

    memcpy(p->name, name, DROP_NAME_BYTES);
    p->with = smtpd;
    channel_send(smtpd->channel, &m);
    look_later(s, ANSWER_US);
}

/* True: an smtpd has it, and the look goes on when it has answered. */
static bool give_file(struct server *s, struct process *smtpd, const char *name)
{
    struct stat st;
    int fd = openat(dirfd(s->pickup.folder), name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && errno == ELOOP) {
        put_aside(s, name, STR("it is a link"));
        return false;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (errno != ENOENT) /* who left it may have taken it back */
            complain(s, name, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    const char *wrong = objection(s, &st);
    if (wrong) {
        (void)close(fd);
        put_aside(s, name, str_c(wrong));
        return false;
    }
    give(s, smtpd, name, fd, st.st_uid);
    return true;
}

static void remove_old_part(struct server *s, const char *name)
{
    int folder = dirfd(s->pickup.folder);
    uint64_t now_s = clock_now_us(loop_clock(s->loop)) / US_PER_S;
    struct stat st;

    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (uint64_t)st.st_mtim.tv_sec + PART_LIFE_S < now_s)
        (void)unlinkat(folder, name, 0);
}

/* ---- the folder ---- */

static bool folder_open(struct server *s)
{
    struct pickup *p = &s->pickup;

    if (p->folder)
        return true;
    int fd = state_folder(&s->state, "drop");
    if (fd < 0) {
        complain(s, "drop", strerror(-fd));
        return false;
    }
    p->folder = fdopendir(fd);
    if (!p->folder)
        (void)close(fd);
    return p->folder != NULL;
}

static void folder_close(struct pickup *p)
{
    if (p->folder)
        (void)closedir(p->folder);
    p->folder = NULL;
}

/* A look goes through the folder from where the last file was, so that one that cannot be taken
 * now does not stand before all others. */
static void look(void *arg)
{
    struct server *s = arg;
    struct pickup *p = &s->pickup;
    struct process *smtpd = local_smtpd(s);

    p->with = NULL; /* who does not answer is not waited for any longer */
    if (!smtpd || !folder_open(s)) {
        look_later(s, LOOK_US);
        return;
    }
    for (unsigned i = 0; i < LOOK_NAMES_MAX; i++) {
        const struct dirent *e = readdir(p->folder);

        if (!e) {
            folder_close(p);
            look_later(s, p->something_waits ? WAIT_US : LOOK_US);
            p->something_waits = false;
            return;
        }
        if (drop_name_valid(str_c(e->d_name)) && give_file(s, smtpd, e->d_name))
            return;
        if (drop_part_name_valid(str_c(e->d_name)))
            remove_old_part(s, e->d_name);
    }
    look_later(s, 0);
}

void pickup_start(struct server *s)
{
    if (!s->pickup.with)
        look_later(s, 0);
}

void pickup_stop(struct server *s)
{
    timer_stop(&s->pickup.timer);
    folder_close(&s->pickup);
    s->pickup.with = NULL;
}

/* ---- answers ---- */

static void taken(struct server *s)
{
    int folder = dirfd(s->pickup.folder);

    if (unlinkat(folder, s->pickup.name, 0) < 0 && errno != ENOENT)
        complain(s, s->pickup.name, strerror(errno)); /* it will come a second time */
    (void)disk_system.sync_dir(&disk_system, folder); /* or after a crash */
    log_file(LEVEL_INFO, "drop-taken", s->pickup.name, (uid_t)-1, STR_NONE);
}

void pickup_answered(struct server *s, struct process *from, const struct msg_drop_done *m)
{
    struct pickup *p = &s->pickup;

    if (p->with != from || m->ticket != p->ticket || !p->folder)
        return;
    p->with = NULL;
    p->something_waits = p->something_waits || m->verdict == DROP_LATER;
    if (m->verdict == DROP_TAKEN)
        taken(s);
    else if (m->verdict == DROP_ASIDE)
        put_aside(s, p->name, m->why);
    else
        log_file(LEVEL_WARNING, "drop-waits", p->name, (uid_t)-1, m->why);
    look_later(s, 0);
}

void pickup_lost(struct server *s, const struct process *process)
{
    struct pickup *p = &s->pickup;

    if (p->with != process || !p->folder)
        return;
    p->with = NULL;
    if (strcmp(p->suspect, p->name) != 0)
        p->deaths = 0;
    memcpy(p->suspect, p->name, sizeof p->suspect);
    if (++p->deaths >= DEATHS_MAX)
        put_aside(s, p->name, STR("smtpd died of it"));
    folder_close(p);
    look_later(s, LOOK_US);
}
