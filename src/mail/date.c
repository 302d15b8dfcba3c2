// SPDX-License-Identifier: ISC
#include "mail/date.h"

#include "base/check.h"
#include "base/clock.h"

#define US_PER_MINUTE (60 * US_PER_S)

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const day_names[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

void date_print(struct buf *to, uint64_t us, int offset_minutes)
{
    unsigned offset = (unsigned)(offset_minutes < 0 ? -offset_minutes : offset_minutes);
    uint64_t shift = offset * US_PER_MINUTE;
    uint64_t local = us;

    if (offset_minutes >= 0)
        local += shift;
    else
        local -= MIN_OF(shift, us); /* nothing here is older than 1970 */
    uint64_t s = local / US_PER_S;
    uint64_t day = s / 86400;
    struct date d = civil_date(day);

    (void)buf_printf(to, "%s, %u %s %04u %02u:%02u:%02u %c%02u%02u", day_names[day % 7], d.day,
                     month_names[d.month - 1], d.year, (unsigned)(s / 3600 % 24),
                     (unsigned)(s / 60 % 60), (unsigned)(s % 60), offset_minutes < 0 ? '-' : '+',
                     offset / 60 % 100, offset % 60);
}

/* Skips a comment, which may nest and contain quoted pairs. RFC 5322 3.2.2 */
static bool skip_comment(struct str *s)
{
    size_t depth = 0;

    for (size_t i = 0; i < s->n; i++) {
        char c = s->p[i];
        if (c == '\\')
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0) {
            *s = str_skip(*s, i + 1);
            return true;
        }
    }
    return false;
}

/* Folding white space and comments. An unfinished comment is left, and so no date follows. */
static void skip_cfws(struct str *s)
{
    for (;;) {
        while (s->n > 0 && (char_is_blank(s->p[0]) || s->p[0] == '\r' || s->p[0] == '\n'))
            *s = str_skip(*s, 1);
        if (s->n == 0 || s->p[0] != '(' || !skip_comment(s))
            return;
    }
}

static bool cut_char(struct str *s, char c)
{
    skip_cfws(s);
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

static struct str cut_while(struct str *s, bool (*is_part)(char c))
{
    size_t n = 0;

    skip_cfws(s);
    while (n < s->n && is_part(s->p[n]))
        n++;
    struct str word = str_sub(*s, 0, n);
    *s = str_skip(*s, n);
    return word;
}

static bool cut_number(struct str *s, size_t digits_min, size_t digits_max, unsigned *ret)
{
    struct str digits = cut_while(s, char_is_digit);
    uint64_t v;

    if (digits.n < digits_min || digits.n > digits_max || !str_u64(digits, &v))
        return false;
    *ret = (unsigned)v;
    return true;
}

static bool find_name(struct str name, const char *const *names, size_t count, unsigned *ret)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(name, str_c(names[i]))) {
            *ret = (unsigned)i;
            return true;
        }
    return false;
}

static bool cut_day_name(struct str *s)
{
    struct str name = cut_while(s, char_is_alpha);
    unsigned ignored; /* people get it wrong, and the date says it anyway */

    if (name.n == 0)
        return true;
    return find_name(name, day_names, countof(day_names), &ignored) && cut_char(s, ',');
}

static bool cut_date(struct str *s, struct date *ret)
{
    struct date d;
    unsigned month;

    if (!cut_number(s, 1, 2, &d.day) ||
        !find_name(cut_while(s, char_is_alpha), month_names, countof(month_names), &month))
        return false;
    skip_cfws(s);
    size_t before = s->n;
    if (!cut_number(s, 2, 4, &d.year))
        return false;
    size_t digits = before - s->n;

    /* RFC 5322 4.3: two digits are 1950 to 2049, three are counted from 1900. */
    if (digits == 3 || (digits == 2 && d.year >= 50))
        d.year += 1900;
    else if (digits == 2)
        d.year += 2000;
    d.month = month + 1;
    *ret = d;
    return true;
}

static bool cut_time(struct str *s, unsigned *ret_seconds)
{
    unsigned hour;
    unsigned minute;
    unsigned second = 0;

    if (!cut_number(s, 1, 2, &hour) || !cut_char(s, ':') || !cut_number(s, 2, 2, &minute))
        return false;
    if (cut_char(s, ':') && !cut_number(s, 2, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second */
        return false;
    *ret_seconds = hour * 3600 + minute * 60 + second;
    return true;
}

/* RFC 5322 4.3: the North American names; all others mean nothing reliable, so UTC. */
static int named_zone_minutes(struct str name)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};

    for (size_t i = 0; i < countof(zones); i++)
        if (str_eq_nocase(name, str_c(zones[i].name)))
            return zones[i].hours * 60;
    return 0;
}

static bool cut_zone(struct str *s, int *ret_minutes)
{
    unsigned hhmm;

    skip_cfws(s);
    if (s->n > 0 && char_is_alpha(s->p[0])) {
        struct str name = cut_while(s, char_is_alpha);
        *ret_minutes = named_zone_minutes(name);
        return name.n <= 5;
    }
    bool west = s->n > 0 && s->p[0] == '-';
    if (!west && (s->n == 0 || s->p[0] != '+'))
        return false;
    *s = str_skip(*s, 1);
    if (s->n == 0 || !char_is_digit(s->p[0]) || !cut_number(s, 4, 4, &hhmm) || hhmm % 100 > 59)
        return false;
    int minutes = (int)(hhmm / 100 * 60 + hhmm % 100);
    *ret_minutes = west ? -minutes : minutes;
    return true;
}

bool date_parse(struct str s, uint64_t *ret_us)
{
    struct date d;
    uint64_t day;
    unsigned seconds;
    int zone_minutes;

    if (!cut_day_name(&s) || !cut_date(&s, &d) || !cut_time(&s, &seconds) ||
        !cut_zone(&s, &zone_minutes) || !civil_day(d, &day))
        return false;
    skip_cfws(&s);
    int64_t utc = (int64_t)(day * 86400 + seconds) - (int64_t)zone_minutes * 60;
    if (s.n > 0 || utc < 0)
        return false;
    *ret_us = (uint64_t)utc * US_PER_S;
    return true;
}
