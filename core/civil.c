/* civil.c - see hx/civil.h */
#include "hx/civil.h"

#define DAY_S 86400
#define CET_S 3600
#define CEST_S 7200

static bool is_leap(unsigned y)
{
    return (y % 4u == 0 && y % 100u != 0) || y % 400u == 0;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1u] + (month == 2 && is_leap(year) ? 1u : 0u);
}

bool hx_civil_is_valid(const struct hx_civil *c)
{
    return c->year >= 2000 && c->year <= 2099 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= days_in_month(c->year, c->month) && c->hour < 24 && c->minute < 60 &&
           c->second < 60;
}

/* Days from 1970-01-01 to 1 January of year y, y >= 1970: 365 a year plus the leap days between. */
static int64_t days_before_year(int64_t y)
{
    int64_t p = y - 1;
    return 365 * (y - 1970) + (p / 4 - p / 100 + p / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

int64_t hx_civil_to_s(const struct hx_civil *c)
{
    int64_t days = days_before_year(c->year) + c->day - 1;
    for (unsigned m = 1; m < c->month; m++)
        days += days_in_month(c->year, m);
    return days * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
}

struct hx_civil hx_civil_from_s(int64_t s)
{
    int64_t days = s / DAY_S, rest = s % DAY_S;
    int64_t year = 1970 + days / 366; /* never too late; at most a few steps early */
    unsigned month = 1;
    while (days_before_year(year + 1) <= days)
        year++;
    days -= days_before_year(year);
    while (days >= days_in_month((unsigned)year, month))
        days -= days_in_month((unsigned)year, month++);
    return (struct hx_civil){.year = (uint16_t)year,
                             .month = (uint8_t)month,
                             .day = (uint8_t)(days + 1),
                             .hour = (uint8_t)(rest / 3600),
                             .minute = (uint8_t)(rest / 60 % 60),
                             .second = (uint8_t)(rest % 60)};
}

/* 01:00 UTC of the last Sunday of a 31-day month. 1970-01-01 was a Thursday: (days + 4) % 7 is 0 on
 * Sundays. */
static int64_t change_utc_s(uint16_t year, uint8_t month)
{
    struct hx_civil last = {.year = year, .month = month, .day = 31, .hour = 1};
    int64_t s = hx_civil_to_s(&last);
    return s - (s / DAY_S + 4) % 7 * DAY_S;
}

int32_t hx_civil_cet_offset_s(int64_t utc_s)
{
    uint16_t year = hx_civil_from_s(utc_s).year;
    bool summer = utc_s >= change_utc_s(year, 3) && utc_s < change_utc_s(year, 10);
    return summer ? CEST_S : CET_S;
}

int64_t hx_civil_cet_to_utc(const struct hx_civil *c, int64_t not_before_utc_s)
{
    int64_t local = hx_civil_to_s(c);
    int64_t as_summer = local - CEST_S, as_winter = local - CET_S;
    bool summer_fits = hx_civil_cet_offset_s(as_summer) == CEST_S;
    bool winter_fits = hx_civil_cet_offset_s(as_winter) == CET_S;
    if (summer_fits && winter_fits)
        return not_before_utc_s != INT64_MIN && as_summer >= not_before_utc_s ? as_summer
                                                                              : as_winter;
    return summer_fits ? as_summer : as_winter;
}

void hx_civil_format(struct hx_wr *w, const struct hx_civil *c)
{
    hx_wr_pad(w, c->year, 4);
    hx_wr_u8(w, '-');
    hx_wr_pad(w, c->month, 2);
    hx_wr_u8(w, '-');
    hx_wr_pad(w, c->day, 2);
    hx_wr_u8(w, 'T');
    hx_wr_pad(w, c->hour, 2);
    hx_wr_u8(w, ':');
    hx_wr_pad(w, c->minute, 2);
    hx_wr_u8(w, ':');
    hx_wr_pad(w, c->second, 2);
}
