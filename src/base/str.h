/* base/str.h - borrowed bytes: a pointer and a length, not terminated, never owned.
 *
 * A struct str lives as long as whatever it points into. All functions are pure; comparison
 * without case is ASCII only (RFC 5321 2.4). */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
#define STR_ARG(s) (int)(s).n, (s).p /* for "%.*s"; evaluates s twice: give it a name first */

struct str str_c(const char *terminated); /* NULL gives STR_NONE */
struct str str_n(const char *p, size_t n);

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_eq_c(struct str a, const char *b);
int str_cmp(struct str a, struct str b); /* memcmp order, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_ends_nocase(struct str s, struct str suffix);

/* Index of the first/last c, or s.n when there is none. */
size_t str_find(struct str s, char c);
size_t str_find_last(struct str s, char c);
/* Index of the first occurrence of needle, or s.n. An empty needle is found at 0. */
size_t str_find_str(struct str s, struct str needle);

struct str str_sub(struct str s, size_t from, size_t to); /* clamps both to s.n */
struct str str_skip(struct str s, size_t n);              /* without the first n bytes */
struct str str_trim(struct str s);                        /* blanks, tabs, CR, LF at both ends */

/* Cuts *s at the first c: returns what is before it and leaves what is after it. Without c,
 * returns all and leaves nothing. */
struct str str_cut(struct str *s, char c);
/* Cuts the next word (separated by blanks or tabs); leading and following blanks are dropped. */
struct str str_cut_word(struct str *s);

/* Decimal digits only, the whole of s, no overflow; *ret untouched on failure. */
bool str_u64(struct str s, uint64_t *ret);

bool char_is_digit(char c);
bool char_is_alpha(char c);
bool char_is_blank(char c); /* space or tab */
char char_lower(char c);
