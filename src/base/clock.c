// SPDX-License-Identifier: ISC
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/check.h"

enum { TIME_BYTES = 27, DAY_BYTES = 10, S_PER_DAY = 86400 };
/* 9999-12-31: what four digits of a year can say. Later times are printed as this. */
#define DAYS_MAX UINT64_C(2932896)
#define US_PER_DAY (S_PER_DAY * US_PER_S)

static uint64_t read_clock(clockid_t which)
{
    struct timespec t;

    (void)clock_gettime(which, &t); /* cannot fail for these two clocks */
    return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t system_now_us(const struct clock *c)
{
    return read_clock(CLOCK_REALTIME);
}

static uint64_t system_monotonic_us(const struct clock *c)
{
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock clock_system = {.now_us = system_now_us, .monotonic_us = system_monotonic_us};

/* Years are counted from March, so that the leap day is the last of its year, in cycles of 400
 * years (146097 days); 719468 days lie between 0000-03-01 and 1970-01-01. */
struct date civil_date(uint64_t day)
{
    uint64_t days = day + 719468;
    uint64_t cycle = days / 146097;
    uint64_t in_cycle = days % 146097;
    uint64_t year_in_cycle =
        (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    uint64_t in_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    uint64_t march_month = (5 * in_year + 2) / 153;
    uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;

    return (struct date){
        .year = (unsigned)(cycle * 400 + year_in_cycle + (month <= 2)),
        .month = (unsigned)month,
        .day = (unsigned)(in_year - (153 * march_month + 2) / 5 + 1),
    };
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap ? 1U : 0U);
}

bool civil_day(struct date d, uint64_t *ret_day)
{
    if (d.year < 1970 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 ||
        d.day > days_in_month(d.year, d.month))
        return false;

    uint64_t year = d.month <= 2 ? d.year - 1 : d.year;
    uint64_t year_in_cycle = year % 400;
    uint64_t march_month = d.month > 2 ? d.month - 3 : d.month + 9;
    uint64_t in_year = (153 * march_month + 2) / 5 + d.day - 1;
    uint64_t in_cycle = year_in_cycle * 365 + year_in_cycle / 4 - year_in_cycle / 100 + in_year;

    *ret_day = year / 400 * 146097 + in_cycle - 719468;
    return true;
}

static void put_digits(char *to, size_t digits, uint64_t v)
{
    for (size_t i = digits; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
}

/* Nearly always one of a few days: today, or when what came today expires. */
static void put_day(char *to, uint64_t day)
{
    enum { DAYS_KEPT = 8 };
    static _Thread_local struct {
        uint64_t number; /* 0: none; what is kept of day 0 is never used */
        char text[DAY_BYTES];
    } kept[DAYS_KEPT];

    day = MIN_OF(day, DAYS_MAX);
    char *text = kept[day % DAYS_KEPT].text;
    if (kept[day % DAYS_KEPT].number != day || day == 0) {
        struct date d = civil_date(day);

        kept[day % DAYS_KEPT].number = day;
        put_digits(text, 4, d.year);
        text[4] = '-';
        put_digits(text + 5, 2, d.month);
        text[7] = '-';
        put_digits(text + 8, 2, d.day);
    }
    memcpy(to, text, DAY_BYTES);
}

void day_print(struct buf *to, uint64_t day)
{
    char *at = buf_room(to, DAY_BYTES);

    if (!at)
        return;
    put_day(at, day);
    buf_added(to, DAY_BYTES);
}

void time_print(struct buf *to, uint64_t us)
{
    char *at = buf_room(to, TIME_BYTES);

    if (!at)
        return;
    us = MIN_OF(us, (DAYS_MAX + 1) * US_PER_DAY - 1);
    uint64_t s = us % US_PER_DAY / US_PER_S;

    put_day(at, us / US_PER_DAY);
    at[10] = 'T';
    put_digits(at + 11, 2, s / 3600);
    at[13] = ':';
    put_digits(at + 14, 2, s / 60 % 60);
    at[16] = ':';
    put_digits(at + 17, 2, s % 60);
    at[19] = '.';
    put_digits(at + 20, 6, us % US_PER_S);
    at[26] = 'Z';
    buf_added(to, TIME_BYTES);
}

/* Digits and fixed marks at fixed places: '0' in the form stands for any digit. */
static bool has_form(struct str s, const char *form)
{
    for (size_t i = 0; i < s.n; i++)
        if (form[i] == '0' ? !char_is_digit(s.p[i]) : s.p[i] != form[i])
            return false;
    return true;
}

static unsigned get_digits(struct str s, size_t from, size_t to)
{
    uint64_t v = 0;

    (void)str_u64(str_sub(s, from, to), &v);
    return (unsigned)v;
}

bool day_parse(struct str s, uint64_t *ret_day)
{
    if (s.n != DAY_BYTES || !has_form(s, "0000-00-00"))
        return false;
    return civil_day((struct date){.year = get_digits(s, 0, 4),
                                   .month = get_digits(s, 5, 7),
                                   .day = get_digits(s, 8, 10)},
                     ret_day);
}

bool time_parse(struct str s, uint64_t *ret_us)
{
    uint64_t day;

    if (s.n != TIME_BYTES || !has_form(s, "0000-00-00T00:00:00.000000Z") ||
        !day_parse(str_sub(s, 0, DAY_BYTES), &day))
        return false;
    unsigned hour = get_digits(s, 11, 13);
    unsigned minute = get_digits(s, 14, 16);
    unsigned second = get_digits(s, 17, 19);

    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_us =
        day * US_PER_DAY + (hour * 3600 + minute * 60 + second) * US_PER_S + get_digits(s, 20, 26);
    return true;
}

void duration_print(struct buf *to, uint64_t us)
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{S_PER_DAY, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    uint64_t s = us / US_PER_S + (us % US_PER_S >= US_PER_S / 2);

    for (size_t i = 0; i < countof(units); i++) {
        if (s % units[i].seconds == 0 && (s > 0 || units[i].unit == 's')) {
            (void)buf_add_u64(to, s / units[i].seconds);
            (void)buf_add_char(to, units[i].unit);
            return;
        }
    }
}
