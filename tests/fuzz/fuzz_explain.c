// links: base mail
/* Any reply is explained, and never with an empty meaning. The first bytes choose step and code. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mail/explain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    enum explain_step step = (enum explain_step)(data[0] % (STEP_QUIT + 1));
    uint16_t code = (uint16_t)(data[1] * 256 + data[2]);
    struct str text = str_n((const char *)data + 3, size - 3);
    struct status st = status_from_reply(code, text);

    check(explain_reply(step, &st).meaning[0] != '\0');
    struct str name = str_cut(&text, ']');
    check(explain_pop3(step, code % 2, name, text).meaning[0] != '\0');
    check(explain_connection(-(int)data[1], code).meaning[0] != '\0');
    (void)explain_step_of(text);
    return 0;
}
