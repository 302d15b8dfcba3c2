/* outward/providers.h - providers, shown to a person or as JSON. */
// SPDX-License-Identifier: ISC
#pragma once

#include "cli/cli.h"
#include "discover/discover.h"

/* What is shown of one provider. */
struct provider_view {
    const struct provider *provider; /* or NULL: nothing was found */
    struct str asked;                /* what the person typed */
    const char *how;                 /* "file", "SRV", "autoconfig", "MX", or why there is none */
    const struct discover_step *steps;
    size_t step_count;
};

void providers_show_list(const struct providers *p);
void provider_show(const struct provider_view *v);
void provider_show_steps(const struct provider_view *v); /* what was asked, a line each */
void provider_show_json(const struct provider_view *v);
