/* base/translate.h - what a person reads, in their language (GNU gettext).
 *
 * _("text") is translated where it is shown. N_("text") only marks a text for translators, as in
 * tables; whoever shows it calls _() on it. Daemons never translate: logs and replies are English.
 * Translations are in po/; ./dev po collects the texts. */
// SPDX-License-Identifier: ISC
#pragma once

#include <libintl.h>

#define _(text) gettext(text)
#define N_(text) text
/* For counts: n_("%zu file", "%zu files", n). */
#define n_(one, many, n) ngettext(one, many, n)
