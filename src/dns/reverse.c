/* dns/reverse.c - see reverse.h. RFC 1035 3.5, RFC 3596 2.5. */
// SPDX-License-Identifier: ISC
#include "dns/reverse.h"

#include <string.h>

#include "base/check.h"

enum { IPV4_BYTES = 4, IPV6_BYTES = 16, QUESTION_BYTES_MAX = 128 };

const char *reverse_why(enum reverse_verdict v)
{
    static const char *const words[REVERSE_VERDICT_COUNT] = {
        [REVERSE_FOUND] = "",
        [REVERSE_NONE] = "the address has no name",
        [REVERSE_MISMATCH] = "its name does not lead back to the address",
        [REVERSE_LATER] = "its name cannot be looked up now",
    };

    return words[v];
}

void reverse_print(struct buf *to, const uint8_t *address, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = bytes; i-- > 0;) {
        if (bytes == IPV4_BYTES)
            buf_printf(to, "%u.", address[i]);
        else
            buf_printf(to, "%c.%c.", digits[address[i] & 0xf], digits[address[i] >> 4]);
    }
    buf_add_c(to, bytes == IPV4_BYTES ? "in-addr.arpa" : "ip6.arpa");
}

static void end(struct reverse *r, enum reverse_verdict v, struct str name)
{
    reverse_cancel(r);
    r->fn(r->arg, v, name);
}

static bool leads_back(const struct reverse *r, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (memcmp(answer->records[i].address, r->address, r->address_bytes) == 0)
            return true;
    return false;
}

static void on_addresses(void *arg, const struct dns_answer *answer)
{
    struct reverse_name *name = arg;
    struct reverse *r = name->of;

    r->open_count--;
    r->later = r->later || answer->outcome == DNS_LATER;
    if (answer->outcome == DNS_FOUND && leads_back(r, answer))
        end(r, REVERSE_FOUND, str_c(name->text));
    else if (r->open_count == 0)
        end(r, r->later ? REVERSE_LATER : REVERSE_MISMATCH, STR_NONE);
}

/* A name that no host can have was written to harm whoever shows it: it is not even asked for. */
static void take_names(struct reverse *r, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count && r->name_count < REVERSE_NAMES_MAX; i++) {
        const struct dns_record *record = &answer->records[i];
        struct reverse_name *name = &r->names[r->name_count];

        if (!record->is_host || record->name.n == 0 || record->name.n >= sizeof name->text)
            continue;
        memcpy(name->text, record->name.p, record->name.n);
        name->text[record->name.n] = '\0';
        name->of = r;
        r->name_count++;
    }
}

static void on_names(void *arg, const struct dns_answer *answer)
{
    struct reverse *r = arg;
    enum dns_type type = r->address_bytes == IPV4_BYTES ? DNS_A : DNS_AAAA;

    take_names(r, answer);
    r->open_count = r->name_count;
    for (size_t i = 0; i < r->name_count; i++)
        dns_ask(r->dns, &r->names[i].question, str_c(r->names[i].text), type, on_addresses,
                &r->names[i]);
    if (r->name_count > 0)
        return;
    if (answer->outcome == DNS_LATER)
        end(r, REVERSE_LATER, STR_NONE);
    else
        end(r, answer->outcome == DNS_FOUND ? REVERSE_MISMATCH : REVERSE_NONE, STR_NONE);
}

void reverse_ask(struct dns *d, struct reverse *r, const uint8_t *address, size_t bytes,
                 void (*fn)(void *arg, enum reverse_verdict v, struct str name), void *arg)
{
    struct buf question = buf_init(QUESTION_BYTES_MAX);

    check(bytes == IPV4_BYTES || bytes == IPV6_BYTES);
    *r = (struct reverse){.dns = d, .address_bytes = bytes, .fn = fn, .arg = arg};
    memcpy(r->address, address, bytes);
    reverse_print(&question, address, bytes);
    dns_ask(d, &r->question, buf_str(&question), DNS_PTR, on_names, r);
    buf_free(&question);
}

void reverse_cancel(struct reverse *r)
{
    dns_cancel(&r->question);
    for (size_t i = 0; i < r->name_count; i++)
        dns_cancel(&r->names[i].question);
}
