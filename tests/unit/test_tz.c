/* test_tz.c - zones from the machine's time zone files, around their changes. Moments and offsets
 * are those of zdump(8) and of the rules themselves (EU directive 2000/84/EC; US 15 U.S.C. 260a).
 * The files used are those of tzdata. */
#include "check.h"

#include "zone.h"

#include "hx/civil.h"

#include <stdlib.h>

#define NEVER INT64_MIN

static const struct {
    const char *name, *zone;
    int64_t utc_s, change_s;
    int32_t before_s, after_s;
} cases[] = {
    /* last Sunday of March and October, 01:00 UTC */
    {"oslo_summer_2025", "Europe/Oslo", 1751328000, 1743296400, 3600, 7200},
    {"oslo_autumn_2025_before", "Europe/Oslo", 1761440399, 1761440400, 7200, 3600},
    {"oslo_autumn_2025_after", "Europe/Oslo", 1761440400, 1761440400, 7200, 3600},
    /* 2060-10-31 is the last Sunday of that October: beyond any list, by the rule */
    {"oslo_autumn_2060", "Europe/Oslo", 2866413600, 2866410000, 7200, 3600},
    /* second Sunday of March 2050 (the 13th), 02:00 EST = 07:00 UTC */
    {"new_york_spring_2050", "America/New_York", 2530767600, 2530767600, -18000, -14400},
    /* south of the equator summer spans the year's end: first Sunday of April 2050 (the 3rd), 03:00
     * NZDT = 14:00 UTC of the 2nd */
    {"auckland_autumn_2050", "Pacific/Auckland", 2532607200, 2532520800, 46800, 43200},
    {"utc", "UTC", 1751328000, NEVER, 0, 0},
    {"fixed", "Etc/GMT-5", 1751328000, NEVER, 18000, 18000},
};

static void zones(void **state)
{
    static struct hx_tz tz;
    struct hx_zone z;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_INT(cases[i].name, hx_tz_load(&tz, cases[i].zone), HX_OK);
        hx_tz_at(&tz, cases[i].utc_s, &z);
        CHECK_INT(cases[i].name, z.change_utc_s, cases[i].change_s);
        CHECK_INT(cases[i].name, z.after_s, cases[i].after_s);
        if (cases[i].change_s != NEVER)
            CHECK_INT(cases[i].name, z.before_s, cases[i].before_s);
    }
}

/* Every hour from 2000 to 2099: the file, its rule at the end and the core's rule agree. */
static void oslo_is_central_european(void **state)
{
    static struct hx_tz tz;
    struct hx_zone z;
    (void)state;
    CHECK_INT("load", hx_tz_load(&tz, "Europe/Oslo"), HX_OK);
    for (int64_t utc_s = 946684800; utc_s < INT64_C(4102444800); utc_s += 3600 * 7) {
        hx_tz_at(&tz, utc_s, &z);
        CHECK_INT("offset", hx_zone_offset_s(&z, utc_s), hx_civil_cet_offset_s(utc_s));
    }
}

static void without_files(void **state)
{
    static struct hx_tz tz;
    struct hx_zone z;
    (void)state;
    setenv("TZDIR", "/nonexistent", 1);
    CHECK_INT("oslo", hx_tz_load(&tz, "Europe/Oslo"), HX_E_IO);
    hx_tz_at(&tz, 1751328000, &z); /* 2025-07-01 */
    CHECK_INT("oslo", hx_zone_offset_s(&z, 1751328000), 7200);
    CHECK_INT("other", hx_tz_load(&tz, "Asia/Tokyo"), HX_E_IO);
    hx_tz_at(&tz, 1751328000, &z);
    CHECK_INT("other", hx_zone_offset_s(&z, 1751328000), 0);
    unsetenv("TZDIR");
    CHECK_INT("outside", hx_tz_load(&tz, "../zoneinfo/UTC"), HX_E_VALUE);
    CHECK_INT("absolute", hx_tz_load(&tz, "/usr/share/zoneinfo/UTC"), HX_E_VALUE);
}

/* A whole file of one change and a rule, made by hand from RFC 8536, 3. */
static size_t make_file(uint8_t *out, const char *rule)
{
    static const char v1[] = "545A696632 000000000000000000000000000000 00000000 00000000 00000000 "
                             "00000000 00000001 00000004 000000000000 47 4D 54 00";
    static const char v2[] =
        "545A696632 000000000000000000000000000000 00000000 00000000 00000000 "
        "00000001 00000002 00000004 0000000065000000 01 000000000000 00000E100000 "
        "47 4D 54 00 0A";
    size_t n = unhex(v1, out);
    n += unhex(v2, out + n);
    memcpy(out + n, rule, strlen(rule));
    n += strlen(rule);
    out[n++] = '\n';
    return n;
}

static void every_prefix(void **state)
{
    static struct hx_tz tz;
    uint8_t file[512];
    size_t len = make_file(file, "<+01>-1");
    (void)state;
    CHECK_INT("whole", hx_tz_parse(&tz, (struct hx_span){file, len}), HX_OK);
    CHECK_INT("changes", tz.count, 1);
    CHECK_INT("offset", tz.after_s[0], 3600);
    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = malloc(n + 1u);
        memcpy(exact, file, n);
        CHECK("prefix", hx_tz_parse(&tz, (struct hx_span){exact, n}) != HX_OK);
        free(exact);
    }
}

static const struct {
    const char *rule;
    enum hx_err want;
    bool summer;
} rules[] = {
    {"", HX_OK, false},
    {"UTC0", HX_OK, false},
    {"CET-1CEST,M3.5.0,M10.5.0/3", HX_OK, true},
    {"EET-2EEST,M3.4.4/50,M10.4.4/50", HX_OK, true},   /* Gaza: times beyond a day */
    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", HX_OK, true},  /* Nuuk: a time before the day */
    {"LHST-10:30LHDT-11,M10.1.0,M4.1.0", HX_OK, true}, /* Lord Howe: half an hour */
    {"CET", HX_E_VALUE, false},
    {"CET-1CEST", HX_E_VALUE, false},
    {"CET-1CEST,M13.5.0,M10.5.0", HX_E_VALUE, false},
    {"CET-1CEST,M3.0.0,M10.5.0", HX_E_VALUE, false},
    {"CET-1CEST,M3.5.7,M10.5.0", HX_E_VALUE, false},
    {"CET-1CEST,M3.5.0", HX_E_VALUE, false},
    {"CET-1CEST,M3.5.0,M10.5.0,", HX_E_VALUE, false},
    {"CET-168", HX_E_VALUE, false},
    {"CET-48", HX_E_VALUE, false}, /* no clock is two days off: RFC 8536 3.3.1 says one */
    {"CET-1CEST-49,M3.5.0,M10.5.0", HX_E_VALUE, false},
};

static void posix_rules(void **state)
{
    static struct hx_tz tz;
    uint8_t file[512];
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        size_t len = make_file(file, rules[i].rule);
        CHECK_INT(rules[i].rule, hx_tz_parse(&tz, (struct hx_span){file, len}), rules[i].want);
        if (rules[i].want == HX_OK)
            CHECK_INT(rules[i].rule, tz.has_summer, rules[i].summer);
    }
}

/* The earliest change that a file can hold, looked at from the latest moment, and the other way. */
static void far_away(void **state)
{
    static struct hx_tz tz;
    static const int64_t moments[] = {INT64_MIN, -1, 0, INT64_MAX};
    struct hx_zone z;
    (void)state;
    tz.count = 2;
    tz.first_s = 60;
    tz.change_s[0] = INT64_MIN + 1;
    tz.after_s[0] = 120;
    tz.change_s[1] = INT64_MAX;
    tz.after_s[1] = 180;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        hx_tz_at(&tz, moments[i], &z);
        CHECK_INT("offset", hx_zone_offset_s(&z, moments[i]), i == 0 ? 60 : i == 3 ? 180 : 120);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones),         cmocka_unit_test(oslo_is_central_european),
        cmocka_unit_test(without_files), cmocka_unit_test(every_prefix),
        cmocka_unit_test(posix_rules),   cmocka_unit_test(far_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
