/* daemon/users/main.c - the role users: is there such a user of this machine? It asks the services
 * of nsswitch.conf, which need files and sockets of all kinds and may take long: so it is a process
 * of its own, without a jail but with a uid that owns nothing (docs/design/0013-system-users.md). */
// SPDX-License-Identifier: ISC
#include <errno.h>

#include "base/check.h"
#include "config/config.h"
#include "io/user.h"
#include "ipc/worker.h"

static uid_t minimum_uid = (uid_t)-1; /* until the configuration says: nobody */

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    if (error < 0)
        return error;
    minimum_uid = (uid_t)c->minimum_uid;
    config_drop(&c);
    return 0;
}

static void on_user_ask(struct worker *w, struct channel *from, union message *m)
{
    struct user user = {0};
    enum user_found found = user_find(m->user_ask.name, minimum_uid, &user);
    struct msg_user_answer answer = {.kind = MSG_USER_ANSWER,
                                     .ticket = m->user_ask.ticket,
                                     .answer = (uint8_t)found,
                                     .name = m->user_ask.name,
                                     .login = str_c(user.name)};

    channel_send(from, &answer);
}

static void stop(struct worker *w)
{
    worker_done(w);
}

static const struct role_handler handlers[] = {{MSG_USER_ASK, on_user_ask}};

static const struct role_spec spec = {
    .role = USERS,
    .user = "_troika-users",
    .jail_may = JAIL_USERS,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .config = take_config,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &spec);
}
