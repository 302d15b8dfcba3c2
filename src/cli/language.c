/* cli/language.c - the language of the person: locale and translations. */
// SPDX-License-Identifier: ISC
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* What the environment asks for, by the rules of setlocale(3). */
static const char *wanted_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return value;
    }
    return "C";
}

/* Messages and letters only: numbers and dates of machines stay as they are. A machine often has
 * no ru_RU.UTF-8 although its user asks for it; C.UTF-8 is always there, and with LANGUAGE it
 * finds the same translations. */
void language_start(void)
{
    char folder[4096], language[32];

    if (!setlocale(LC_CTYPE, ""))
        setlocale(LC_CTYPE, "C.UTF-8");
    if (!setlocale(LC_MESSAGES, "")) {
        const char *wanted = wanted_locale();
        size_t n = strcspn(wanted, ".@");

        if (n > 0 && n < sizeof(language)) {
            memcpy(language, wanted, n);
            language[n] = '\0';
            setenv("LANGUAGE", language, 0);
        }
        setlocale(LC_MESSAGES, "C.UTF-8");
    }
    if (share_path("locale", folder, sizeof(folder)))
        bindtextdomain("troika", folder);
    textdomain("troika");
}
