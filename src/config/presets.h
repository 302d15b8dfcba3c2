/* config/presets.h - what a smarthost gets from its provider: smarthost "yandex" { … }. Pure.
 *
 * The provider's figures become values of the same statements that the file could write, so that
 * the snapshot, `troika config show` and everything behind know nothing of providers. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/parse.h"
#include "config/statement.h"

enum { PRESETS_MAX = 8 };

struct preset {
    const struct statement *statement;
    struct str *values;
    size_t value_count;
};

struct presets {                     /* lives in the arena it was made with */
    struct str via;                  /* the title, or the provider's server as a title */
    const struct provider *provider; /* NULL: the title is no provider's name */
    bool unknown; /* it is neither that nor does it look like a server: there are words about it */
    struct preset list[PRESETS_MAX];
    size_t count;
};

/* False: the provider cannot be used, and why says what would be right. */
bool presets_find(const struct machine *machine, struct str title, struct arena *a,
                  struct presets *ret, struct buf *why);
/* The login as the provider wants it: me of me@example.org, or a word of its own. */
struct str presets_login(const struct presets *p, struct arena *a, struct str login);
