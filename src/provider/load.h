/* provider/load.h - the files of providers that this machine has, read in their order:
 *
 *   share/providers.conf           ours, beside the program or in PREFIX/share/troika
 *   /etc/troika/providers.conf     of the administrator
 *   $XDG_CONFIG_HOME/troika/providers.conf, or ~/.config/…   of the user
 *
 * The last two need not be there. */
// SPDX-License-Identifier: ISC
#pragma once

#include "provider/provider.h"

enum providers_whose {
    PROVIDERS_OF_SYSTEM, /* for servers: the files of users do not count */
    PROVIDERS_OF_USER,   /* for commands: all three */
};

/* Everything lives in the arena. False: *error says what is wrong, a line for each mistake. */
bool providers_load(struct arena *a, enum providers_whose whose, struct providers *ret,
                    struct buf *error);
/* The same of these files; one that is not there is skipped if it need not be there. */
struct providers_file {
    const char *path;
    bool needed;
};
bool providers_load_files(struct arena *a, const struct providers_file *files, size_t count,
                          struct providers *ret, struct buf *error);
