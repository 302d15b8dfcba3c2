/* Any UTF-8 as HTML: what comes out is lines of visible text. */
// links: base mail mailauth compose
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/utf8.h"
#include "compose/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str html = str_n((const char *)p, n);
    struct buf text = buf_init(4 * MIB);

    if (utf8_valid(html) && str_find(html, '\0') == n && html_text(html, &text)) {
        check(utf8_valid(buf_str(&text)));
        check(text.n == 0 || text.p[text.n - 1] == '\n');
        for (size_t i = 0; i < text.n; i++) {
            check((uint8_t)text.p[i] >= ' ' || text.p[i] == '\n');
            check(text.p[i] != '\n' || i == 0 || text.p[i - 1] != ' ');
        }
    }
    buf_free(&text);
    return 0;
}
