/* config/parse.h - from the text of a configuration file to a struct config, or to everything that
 * is wrong with it. Nothing is read or asked of the system: what the machine is comes in. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "provider/provider.h"

struct machine {
    struct str hostname; /* of the system, or as much of it as it knows */
    /* Finds the full name of a short one, which may take its time; asked only when the file names
     * no hostname. NULL: there is none to be found. */
    struct str (*full_name)(struct arena *a, struct str hostname);
    const struct sock_address *addresses; /* of its interfaces, any port */
    size_t address_count;
    const struct str *resolvers; /* of its own, as in dns { forward } */
    size_t resolver_count;
    /* The mail providers that it knows; asked only when the file may name one. NULL: none. */
    bool (*providers)(struct arena *a, struct providers *ret, struct buf *error);
    bool root;                            /* it is root who asks */
    bool (*pam_service)(struct str name); /* is there such a file in /etc/pam.d? NULL: all are */
};

/* file: the absolute path, for messages by its last part. The errors and warnings are lines in
 * *errors; false when there are errors. Not reentrant. */
bool config_parse(struct str text, struct str file, const struct machine *machine,
                  struct config **ret, struct buf *errors);
struct config *config_new(void); /* referenced once, nothing set */
uint64_t config_fingerprint(const struct config *c);
