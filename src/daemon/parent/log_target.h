/* daemon/parent/log_target.h - where log lines go, for the parent and for its workers. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/log.h"
#include "config/config.h"

struct log_target {
    int fd; /* a copy of stderr, or a socket connected to syslog */
    enum log_form form;
    enum log_level least;
};

/* As the configuration says; false: *error says why not. */
bool log_target_open(const struct config *c, struct log_target *ret, struct buf *error);
void log_target_close(struct log_target *t);
