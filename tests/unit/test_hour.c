/* test_hour.c - which hour an hourly list ends, by each maker's clock, and what was used in it.
 * Clocks as the recorded lists 3 show them: Aidon UTC+1 all year, sent 10 s after the hour with the
 * clock at the hour; Kaifa local time at XX:00:10; Kamstrup with status and deviation at XX:00:05.
 * UTC seconds are those of date(1). */
#include "check.h"

#include "hx/hour.h"

#define NOW_MS 5000000u

static struct hx_cosem_time clock_at(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi,
                                     unsigned s)
{
    return (struct hx_cosem_time){
        .local = {(uint16_t)y, (uint8_t)mo, (uint8_t)d, (uint8_t)h, (uint8_t)mi, (uint8_t)s},
        .deviation_min = HX_COSEM_NO_DEVIATION,
        .status = 0xFF,
        .present = true,
        .known = true};
}

/* A state right after an hourly list, both arrived now. */
static struct hx_state after_list(enum hx_maker maker, struct hx_cosem_time clock)
{
    struct hx_state s;
    memset(&s, 0, sizeof s);
    s.now_ms = NOW_MS;
    s.scale = HX_SCALE_DEFAULT;
    s.meter.maker = maker;
    s.meter.clock = clock;
    s.meter.clock_at_ms = s.meter.energy_at_ms = NOW_MS;
    s.meter.energy_known = true;
    for (unsigned i = 0; i < 4; i++)
        s.meter.value[HX_E_IMPORT + i] =
            (struct hx_value){.num = 1000000 + (int64_t)i, .at_ms = NOW_MS, .quality = HX_MEASURED};
    return s;
}

static int64_t start_of(const char *name, const struct hx_state *s, const struct hx_hour *before)
{
    struct hx_hour h = {.start_utc_s = 0};
    CHECK_INT(name, hx_hour_from_state(s, before, &h), HX_OK);
    return h.start_utc_s;
}

static const struct {
    const char *name;
    enum hx_maker maker;
    unsigned clock[6];
    int64_t start_utc_s;
} clocks[] = {
    /* 11:00 in UTC+1 ends the hour from 09:00Z; summer time changes nothing for Aidon */
    {"Aidon, winter", HX_MAKER_AIDON, {2025, 1, 15, 11, 0, 0}, 1736931600},
    {"Aidon, summer", HX_MAKER_AIDON, {2025, 7, 1, 11, 0, 0}, 1751360400},
    {"Kaifa, winter", HX_MAKER_KAIFA, {2025, 1, 15, 11, 0, 10}, 1736931600},
    {"Kaifa, summer", HX_MAKER_KAIFA, {2025, 7, 1, 11, 0, 10}, 1751356800},
    {"Kaifa, midnight", HX_MAKER_KAIFA, {2025, 1, 16, 0, 0, 10}, 1736978400},
    {"Kaifa, first list of summer time", HX_MAKER_KAIFA, {2025, 3, 30, 3, 0, 10}, 1743292800},
    {"late by 55 s", HX_MAKER_KAIFA, {2025, 1, 15, 11, 0, 55}, 1736931600},
    {"clock 10 s slow", HX_MAKER_KAIFA, {2025, 1, 15, 10, 59, 50}, 1736931600},
    {"on the hour", HX_MAKER_KAIFA, {2025, 1, 15, 11, 0, 0}, 1736931600},
    {"out of turn, in an hour", HX_MAKER_KAIFA, {2025, 1, 15, 11, 40, 0}, 1736931600},
};

static void the_meters_clock_tells_the_hour(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        const unsigned *c = clocks[i].clock;
        struct hx_state s =
            after_list(clocks[i].maker, clock_at(c[0], c[1], c[2], c[3], c[4], c[5]));
        CHECK_INT(clocks[i].name, start_of(clocks[i].name, &s, NULL), clocks[i].start_utc_s);
        s.utc_known = true;
        s.utc_ms = clocks[i].start_utc_s * 1000 + 3610000 + 7200000;
        CHECK_INT("a wall clock two hours off does not matter", start_of(clocks[i].name, &s, NULL),
                  clocks[i].start_utc_s);
    }
}

static void kamstrup_by_status_and_deviation(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAMSTRUP, clock_at(2025, 7, 1, 11, 0, 5));
    (void)state;
    s.meter.clock.status = 0x80; /* daylight saving: UTC+2 */
    CHECK_INT("status", start_of("status", &s, NULL), 1751356800);
    s.meter.clock.status = 0;
    CHECK_INT("no status", start_of("no status", &s, NULL), 1751360400);
    s.meter.clock.deviation_min = -120;
    CHECK_INT("deviation", start_of("deviation", &s, NULL), 1751356800);
}

/* Kaifa sends its clock every 2 s: by the time the state is looked at it is past the list's. */
static void a_later_clock_is_taken_back(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 1, 15, 12, 10, 10));
    (void)state;
    s.meter.clock_at_ms = s.now_ms = NOW_MS + 4200000; /* 70 minutes after the list of 11:00:10 */
    CHECK_INT("taken back", start_of("taken back", &s, NULL), 1736931600);
}

/* 2025-10-26: 02:00 comes at 00:00Z in summer time and at 01:00Z in winter time. */
static void the_hour_that_comes_twice(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 10, 26, 2, 0, 10));
    struct hx_hour before = {.start_utc_s = 1761429600}; /* 22:00Z, read at 01:00 summer time */
    (void)state;
    CHECK_INT("first, by the reading before", start_of("first", &s, &before), 1761433200);
    before.start_utc_s = 1761433200;
    CHECK_INT("second, by the reading before", start_of("second", &s, &before), 1761436800);
    s.utc_known = true;
    s.utc_ms = 1761436810000; /* 00:00:10Z */
    CHECK_INT("first, by the wall clock", start_of("wall", &s, NULL), 1761433200);
    s.utc_ms = 1761440410000; /* 01:00:10Z */
    CHECK_INT("second, by the wall clock", start_of("wall", &s, NULL), 1761436800);
    before.start_utc_s = 1761429600 - 7200; /* gateway was off for two hours */
    CHECK_INT("second, by the wall clock after a gap", start_of("gap", &s, &before), 1761436800);
}

/* The list of 02:00:10 summer time sent twice is not the list of 02:00:10 winter time; an hour in
 * which nothing was used has the same totals too. 2025-10-26T00:00:10Z is 1761436810. */
static void a_list_sent_twice_in_that_hour(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 10, 26, 2, 0, 10));
    struct hx_hour before = {.start_utc_s = 1761433200, /* 23:00Z: this list, already taken */
                             .known = {true, true, true, true},
                             .total_wh = {1000000, 1000001, 1000002, 1000003},
                             .scale = HX_SCALE_DEFAULT};
    (void)state;
    CHECK_INT("no wall clock", start_of("no wall clock", &s, &before), 1761433200);
    s.utc_known = true;
    s.utc_ms = 1761436822000; /* 00:00:22Z */
    CHECK_INT("again", start_of("again", &s, &before), 1761433200);
    s.utc_ms = 1761440410000; /* 01:00:10Z */
    CHECK_INT("nothing used", start_of("nothing used", &s, &before), 1761436800);
    before.total_wh[0] -= 1200;
    s.utc_ms = 1761440410000 - 7200000; /* ours is slow by two hours: the totals are new */
    CHECK_INT("slow wall clock", start_of("slow", &s, &before), 1761436800);
}

/* A wall clock that is nowhere near either of the two says nothing: the reading before does. */
static void a_wrong_wall_clock_in_that_hour(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 10, 26, 2, 0, 10));
    struct hx_hour before = {.start_utc_s = 1761429600}; /* 22:00Z */
    (void)state;
    s.utc_known = true;
    s.utc_ms = 1761436810000 + 86400000;
    CHECK_INT("a day fast", start_of("fast", &s, &before), 1761433200);
    s.utc_ms = 1761436810000 - 86400000;
    before.start_utc_s = 1761433200;
    CHECK_INT("a day slow", start_of("slow", &s, &before), 1761436800);
}

static void without_a_meter_clock_ours_counts(void **state)
{
    struct hx_hour h = {.start_utc_s = 42};
    struct hx_state s = after_list(HX_MAKER_EMBRIQ, clock_at(2025, 1, 15, 11, 0, 10));
    (void)state;
    CHECK_INT("neither", hx_hour_from_state(&s, NULL, &h), HX_E_VALUE);
    CHECK_INT("untouched", h.start_utc_s, 42);
    s.utc_known = true;
    s.utc_ms = 1736935210000; /* 10:00:10Z */
    CHECK_INT("zone not known", start_of("wall", &s, NULL), 1736931600);
    s.now_ms += 3000000; /* looked at 50 minutes later */
    s.utc_ms += 3000000;
    CHECK_INT("arrival counts", start_of("later", &s, NULL), 1736931600);
    s.utc_ms -= 12000; /* our clock 2 s behind the hour */
    CHECK_INT("slow", start_of("slow", &s, NULL), 1736931600);
    s.meter.maker = HX_MAKER_KAMSTRUP;
    s.meter.clock = clock_at(2000, 1, 1, 22, 0, 5); /* never set: recorded on a Kamstrup */
    CHECK_INT("meter never set", start_of("never set", &s, NULL), 1736931600);
}

static void restored_totals_are_no_reading(void **state)
{
    struct hx_hour h;
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 1, 15, 11, 0, 10));
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        s.meter.value[HX_E_IMPORT + i].quality = HX_HELD;
    CHECK_INT("held", hx_hour_from_state(&s, NULL, &h), HX_E_VALUE);
    s.meter.value[HX_E_IMPORT].quality = HX_MEASURED;
    s.meter.energy_known = false;
    CHECK_INT("no list", hx_hour_from_state(&s, NULL, &h), HX_E_VALUE);
}

static const struct {
    const char *name;
    int64_t later_s; /* start of the reading before, before ours */
    int64_t before_wh;
    uint32_t before_scale;
    bool before_known, used;
} uses[] = {
    {"hour before", 3600, 998500, 1000, true, true},
    {"nothing used", 3600, 1000000, 1000, true, true},
    {"reading that does not say its scale", 3600, 998500, 0, true, true},
    {"two hours before", 7200, 998500, 1000, true, false},
    {"same hour", 0, 998500, 1000, true, false},
    {"counter went down", 3600, 1000001, 1000, true, false},
    {"other scale", 3600, 998500, 2000, true, false},
    {"not known an hour ago", 3600, 0, 1000, false, false},
};

static void what_was_used(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 1, 15, 11, 0, 10));
    (void)state;
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        struct hx_hour before = {.start_utc_s = 1736931600 - uses[i].later_s,
                                 .known = {uses[i].before_known, true, true, true},
                                 .total_wh = {uses[i].before_wh, 1000001, 1000002, 1000003},
                                 .scale = uses[i].before_scale};
        struct hx_hour h;
        CHECK_INT(uses[i].name, hx_hour_from_state(&s, &before, &h), HX_OK);
        CHECK(uses[i].name, h.has_used == uses[i].used);
        if (uses[i].used)
            CHECK_INT(uses[i].name, h.used_wh[0], 1000000 - uses[i].before_wh);
    }
}

static void totals_are_scaled(void **state)
{
    struct hx_state s = after_list(HX_MAKER_KAIFA, clock_at(2025, 1, 15, 11, 0, 10));
    struct hx_hour h;
    (void)state;
    s.scale = 1500;
    s.meter.value[HX_R_IMPORT].quality = HX_UNKNOWN;
    CHECK_INT("ok", hx_hour_from_state(&s, NULL, &h), HX_OK);
    CHECK_INT("1000.000 kWh × 1.5", h.total_wh[0], 1500000);
    CHECK_INT("1000001 Wh × 1.5, down", h.total_wh[1], 1500001);
    CHECK("not measured", !h.known[2] && h.known[3]);
    CHECK_INT("scale", h.scale, 1500);
}

static const struct hx_zone summer = {INT64_MIN, 0, 7200};

static void as_json(void **state)
{
    static const char want[] =
        "{\"hourStart\":\"2025-04-13T12:00:00+02:00\",\"hourStartUtc\":\"2025-04-13T10:00:00Z\","
        "\"importKwh\":12345.670,\"exportKwh\":0.000,\"reactiveImportKvarh\":null,"
        "\"reactiveExportKvarh\":7.005,\"hourImportKwh\":1.250,\"hourExportKwh\":0.000,"
        "\"hourReactiveImportKvarh\":null,\"hourReactiveExportKvarh\":0.005,"
        "\"quality\":\"measured\"}";
    struct hx_hour h = {.start_utc_s = 1744538400,
                        .known = {true, true, false, true},
                        .total_wh = {12345670, 0, 0, 7005},
                        .has_used = true,
                        .used_wh = {1250, 0, 0, 5},
                        .quality = HX_MEASURED};
    uint8_t buf[512];
    struct hx_wr w = {.ptr = buf, .cap = sizeof buf};
    (void)state;
    hx_hour_json(&w, &h, &summer);
    CHECK_INT("length", w.len, sizeof want - 1u);
    CHECK("text", memcmp(buf, want, w.len) == 0);
    w.len = 0;
    h.has_used = false;
    hx_hour_json(&w, &h, &summer);
    buf[w.len] = '\0';
    CHECK("used is null", strstr((const char *)buf, "\"hourImportKwh\":null,") != NULL);
    CHECK("total is not", strstr((const char *)buf, "\"importKwh\":12345.670,") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_meters_clock_tells_the_hour),
        cmocka_unit_test(kamstrup_by_status_and_deviation),
        cmocka_unit_test(a_later_clock_is_taken_back),
        cmocka_unit_test(the_hour_that_comes_twice),
        cmocka_unit_test(a_list_sent_twice_in_that_hour),
        cmocka_unit_test(a_wrong_wall_clock_in_that_hour),
        cmocka_unit_test(without_a_meter_clock_ours_counts),
        cmocka_unit_test(restored_totals_are_no_reading),
        cmocka_unit_test(what_was_used),
        cmocka_unit_test(totals_are_scaled),
        cmocka_unit_test(as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
