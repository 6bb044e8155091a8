/* test_civil.c - the calendar and the Central European zone. Seconds are those of date(1). */
#include "check.h"

#include "hx/civil.h"

static struct hx_civil at(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s)
{
    return (struct hx_civil){(uint16_t)y, (uint8_t)mo, (uint8_t)d,
                             (uint8_t)h,  (uint8_t)mi, (uint8_t)s};
}

static bool same(const struct hx_civil *a, const struct hx_civil *b)
{
    return a->year == b->year && a->month == b->month && a->day == b->day && a->hour == b->hour &&
           a->minute == b->minute && a->second == b->second;
}

static const struct {
    const char *name;
    struct hx_civil c;
    bool valid;
} dates[] = {
    {"first", {2000, 1, 1, 0, 0, 0}, true},
    {"last", {2099, 12, 31, 23, 59, 59}, true},
    {"before", {1999, 12, 31, 23, 59, 59}, false},
    {"behind", {2100, 1, 1, 0, 0, 0}, false},
    {"month 0", {2024, 0, 1, 0, 0, 0}, false},
    {"month 13", {2024, 13, 1, 0, 0, 0}, false},
    {"day 0", {2024, 1, 0, 0, 0, 0}, false},
    {"31 January", {2024, 1, 31, 0, 0, 0}, true},
    {"32 January", {2024, 1, 32, 0, 0, 0}, false},
    {"29 February, leap", {2024, 2, 29, 0, 0, 0}, true},
    {"29 February 2000", {2000, 2, 29, 0, 0, 0}, true},
    {"29 February, plain", {2023, 2, 29, 0, 0, 0}, false},
    {"30 February", {2024, 2, 30, 0, 0, 0}, false},
    {"31 April", {2024, 4, 31, 0, 0, 0}, false},
    {"31 June", {2024, 6, 31, 0, 0, 0}, false},
    {"31 September", {2024, 9, 31, 0, 0, 0}, false},
    {"31 November", {2024, 11, 31, 0, 0, 0}, false},
    {"hour 24", {2024, 1, 1, 24, 0, 0}, false},
    {"minute 60", {2024, 1, 1, 0, 60, 0}, false},
    {"leap second", {2016, 12, 31, 23, 59, 60}, false},
    {"nothing", {0, 0, 0, 0, 0, 0}, false},
    {"all ones", {0xFFFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, false},
};

static void real_dates_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++)
        CHECK(dates[i].name, hx_civil_is_valid(&dates[i].c) == dates[i].valid);
}

static const struct {
    struct hx_civil c;
    int64_t s;
} moments[] = {
    {{1970, 1, 1, 0, 0, 0}, 0},
    {{2000, 1, 1, 0, 0, 0}, 946684800},
    {{2024, 2, 29, 12, 0, 0}, 1709208000},
    {{2025, 12, 14, 16, 0, 0}, 1765728000},
    {{2099, 12, 31, 23, 59, 59}, 4102444799},
};

static void seconds_since_1970(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        struct hx_civil c = hx_civil_from_s(moments[i].s);
        CHECK("from_s", same(&c, &moments[i].c));
        CHECK_INT("to_s", hx_civil_to_s(&moments[i].c), moments[i].s);
    }
}

static void far_years(void **state)
{
    struct hx_civil c = hx_civil_from_s(4107542400), want = at(2100, 3, 1, 0, 0, 0);
    (void)state;
    CHECK("2100 is no leap year", same(&c, &want));
    c = hx_civil_from_s(253402300799);
    want = at(9999, 12, 31, 23, 59, 59);
    CHECK("last second of 9999", same(&c, &want));
}

/* Walk every day of the century by the rule everyone knows, beside the function. */
static void every_day_follows_the_one_before(void **state)
{
    static const uint8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct hx_civil day = at(2000, 1, 1, 23, 59, 58);
    int64_t s = 946684800 + 86398;
    (void)state;
    while (day.year < 2100) {
        struct hx_civil c = hx_civil_from_s(s);
        unsigned last = length[day.month - 1] + (day.month == 2 && day.year % 4 == 0 ? 1u : 0u);
        CHECK("from_s", same(&c, &day));
        CHECK_INT("to_s", hx_civil_to_s(&day), s);
        s += 86400;
        day.day++;
        if (day.day > last) {
            day.day = 1;
            day.month++;
        }
        if (day.month > 12) {
            day.month = 1;
            day.year++;
        }
    }
}

/* Changes of Norwegian summer time, 01:00 UTC of the last Sunday in March and October. */
static const struct {
    const char *name;
    int64_t utc_s;
    int32_t before, from;
} changes[] = {
    {"2017-03-26", 1490490000, 3600, 7200}, {"2017-10-29", 1509238800, 7200, 3600},
    {"2019-03-31", 1553994000, 3600, 7200}, {"2021-10-31", 1635642000, 7200, 3600},
    {"2025-03-30", 1743296400, 3600, 7200}, {"2025-10-26", 1761440400, 7200, 3600},
    {"2027-03-28", 1806195600, 3600, 7200}, {"2036-10-26", 2108595600, 7200, 3600},
};

static void summer_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        CHECK_INT(changes[i].name, hx_civil_cet_offset_s(changes[i].utc_s - 1), changes[i].before);
        CHECK_INT(changes[i].name, hx_civil_cet_offset_s(changes[i].utc_s), changes[i].from);
    }
}

static const struct {
    const char *name;
    struct hx_civil local;
    int64_t not_before, utc_s;
} local_times[] = {
    {"winter", {2025, 12, 14, 16, 0, 0}, INT64_MIN, 1765724400},
    {"summer", {2024, 10, 1, 19, 0, 10}, INT64_MIN, 1727802010},
    {"last before March", {2025, 3, 30, 1, 59, 59}, INT64_MIN, 1743296399},
    {"first after March", {2025, 3, 30, 3, 0, 0}, INT64_MIN, 1743296400},
    {"missing hour is standard time", {2025, 3, 30, 2, 30, 0}, INT64_MIN, 1743298200},
    {"last before October", {2025, 10, 26, 1, 59, 59}, INT64_MIN, 1761436799},
    {"twice, nothing known", {2025, 10, 26, 2, 30, 0}, INT64_MIN, 1761442200},
    {"twice, first still ahead", {2025, 10, 26, 2, 30, 0}, 1761438500, 1761438600},
    {"twice, first is now", {2025, 10, 26, 2, 30, 0}, 1761438600, 1761438600},
    {"twice, first is over", {2025, 10, 26, 2, 30, 0}, 1761438601, 1761442200},
    {"first after October", {2025, 10, 26, 3, 0, 0}, INT64_MIN, 1761444000},
};

static void local_time_to_utc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof local_times / sizeof local_times[0]; i++)
        CHECK_INT(local_times[i].name,
                  hx_civil_cet_to_utc(&local_times[i].local, local_times[i].not_before),
                  local_times[i].utc_s);
}

static void format(void **state)
{
    uint8_t buf[32];
    struct hx_wr w = {.ptr = buf, .cap = sizeof buf};
    struct hx_civil c = at(2025, 4, 3, 2, 1, 0);
    (void)state;
    hx_civil_format(&w, &c);
    CHECK_INT("length", w.len, 19);
    CHECK("text", memcmp(buf, "2025-04-03T02:01:00", 19) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_dates_only), cmocka_unit_test(seconds_since_1970),
        cmocka_unit_test(far_years),       cmocka_unit_test(every_day_follows_the_one_before),
        cmocka_unit_test(summer_time),     cmocka_unit_test(local_time_to_utc),
        cmocka_unit_test(format),
    };
    return cmocka_run_group_tests_name("civil", tests, NULL, NULL);
}
