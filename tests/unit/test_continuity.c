/* test_continuity.c - which telegrams follow from the ones before. Rules: docs/decisions/0003. */
#include "check.h"

#include "hx/continuity.h"

#define HOUR_MS 3600000u
#define ONE 1000u /* scale 1 */

static struct hx_continuity c;

static void put(struct hx_telegram *t, enum hx_field f, int64_t v, int8_t decimals)
{
    t->value[f] = v;
    t->decimals[f] = decimals;
    t->has |= (uint16_t)(1u << f);
    t->measured = t->has;
}

static struct hx_telegram list1(int64_t power_w)
{
    struct hx_telegram t = {.list = 1};
    put(&t, HX_P_IMPORT, power_w, 0);
    return t;
}

static struct hx_telegram list2(void)
{
    struct hx_telegram t = list1(1500);
    t.list = 2;
    put(&t, HX_P_EXPORT, 0, 0);
    put(&t, HX_I_L1, 6400, 1);
    put(&t, HX_I_L3, -300, 1);
    put(&t, HX_U_L1, 231200, 1);
    return t;
}

static struct hx_telegram with(enum hx_field f, int64_t v)
{
    struct hx_telegram t = list2();
    t.value[f] = v;
    return t;
}

/* 2026-11-25 was a Wednesday. */
static struct hx_cosem_time at(uint8_t hour, uint8_t minute, uint8_t second)
{
    return (struct hx_cosem_time){.local = {2026, 11, 25, hour, minute, second},
                                  .deviation_min = HX_COSEM_NO_DEVIATION,
                                  .weekday = 3,
                                  .hundredths = 0xFF,
                                  .present = true,
                                  .known = true};
}

static struct hx_telegram timed(struct hx_cosem_time time)
{
    struct hx_telegram t = list1(900);
    t.push_time = time;
    return t;
}

static bool follows(struct hx_telegram t, uint64_t now_ms)
{
    return hx_continuity_follows(&c, &t, ONE, now_ms);
}

static int start(void **state)
{
    (void)state;
    memset(&c, 0, sizeof c);
    return 0;
}

/* Limits: 63 A × 3 × 240 V × 1.2 = 54 432 W; 63 A × 1.2 = 75.6 A. */
static const struct {
    enum hx_field field;
    int64_t value;
    bool odd;
} ranges[] = {
    {HX_P_IMPORT, 0, false},    {HX_P_IMPORT, 54432, false},
    {HX_P_IMPORT, 54433, true}, {HX_P_EXPORT, 54432, false},
    {HX_P_EXPORT, 65536, true}, {HX_I_L1, 75600, false},
    {HX_I_L1, 75601, true},     {HX_I_L3, -75600, false},
    {HX_I_L3, -75601, true},    {HX_U_L1, 0, false},
    {HX_U_L1, 195499, true},    {HX_U_L1, 195500, false},
    {HX_U_L1, 264500, false},   {HX_U_L1, 264501, true},
    {HX_U_L1, 6553500, true},   {HX_P_IMPORT, 4294967295, true},
};

static void values_that_no_household_has_wait_for_a_second(void **state)
{
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct hx_telegram t = with(ranges[i].field, ranges[i].value);
        if (ranges[i].field == HX_P_EXPORT)
            t.value[HX_P_IMPORT] = 0;
        (void)start(state);
        assert_true(follows(list2(), 0));
        CHECK_INT("first", follows(t, 10000), !ranges[i].odd);
        CHECK("second", follows(t, 20000));
        CHECK("and on", follows(t, 30000));
        CHECK("and back at once", follows(list2(), 40000));
        CHECK_INT("odd again", follows(t, 50000), !ranges[i].odd);
    }
}

static void one_that_is_odd_does_not_speak_for_another(void **state)
{
    (void)state;
    assert_true(follows(list2(), 0));
    CHECK("power", !follows(with(HX_P_IMPORT, 70000), 1000));
    CHECK("voltage", !follows(with(HX_U_L1, 900000), 2000));
    CHECK("power again: it was not odd in between", !follows(with(HX_P_IMPORT, 70000), 3000));
    CHECK("a list 1 says nothing of a voltage", !follows(with(HX_U_L1, 900000), 4000));
    CHECK("so", follows(list1(1500), 5000));
    CHECK("it agrees", follows(with(HX_U_L1, 900000), 6000));
}

static void power_flows_one_way(void **state)
{
    struct hx_telegram both = with(HX_P_EXPORT, 8), reactive = list2();
    (void)state;
    put(&reactive, HX_Q_IMPORT, 1, 0);
    put(&reactive, HX_Q_EXPORT, 217, 0);
    assert_true(follows(list2(), 0));
    CHECK("drawn and delivered", !follows(both, 1000));
    CHECK("a meter that does so", follows(both, 2000));
    (void)start(state);
    CHECK("reactive", !follows(reactive, 0));
    both = with(HX_P_IMPORT, 0);
    both.value[HX_P_EXPORT] = 54432;
    (void)start(state);
    CHECK("delivered only", follows(both, 0));
}

static void limits_grow_with_the_scale(void **state)
{
    struct hx_telegram power = with(HX_P_IMPORT, 5443200), current = with(HX_I_L1, 7560000);
    (void)state;
    CHECK("scale 100", hx_continuity_follows(&c, &power, 100000, 0));
    CHECK("scale 100", hx_continuity_follows(&c, &current, 100000, 0));
    power.value[HX_P_IMPORT]++;
    CHECK("above it", !hx_continuity_follows(&c, &power, 100000, 0));
    CHECK("scale below 1 allows no less", follows(with(HX_P_IMPORT, 54432), 0));
}

static void a_list_keeps_its_shape(void **state)
{
    struct hx_telegram less = list2(), more = list2(), hourly = list2();
    (void)state;
    less.has &= (uint16_t) ~(1u << HX_I_L3);
    put(&more, HX_I_L2, 100, 1);
    hourly.list = 3;
    put(&hourly, HX_E_IMPORT, 123, 0);
    assert_true(follows(list2(), 0));
    CHECK("another list has its own", follows(hourly, 1000));
    CHECK("a phase is gone", !follows(less, 2000));
    CHECK("it was damage", follows(list2(), 3000));
    CHECK("one more phase", !follows(more, 4000));
    CHECK("the meter was set up anew", follows(more, 5000));
    CHECK("and stays so", follows(more, 6000));
    CHECK("the old shape is odd now", !follows(list2(), 7000));
}

static void a_value_keeps_its_decimals(void **state)
{
    struct hx_telegram t = list2();
    (void)state;
    assert_true(follows(list2(), 0));
    t.decimals[HX_U_L1] = 0;
    CHECK("a scaler was damaged", !follows(t, 1000));
    CHECK("no", follows(list2(), 2000));
    CHECK("again", !follows(t, 3000));
    CHECK("the meter's new firmware", follows(t, 4000));
    CHECK("and on", follows(t, 5000));
    CHECK("back", !follows(list2(), 6000));
}

static const struct {
    const char *name;
    uint8_t hour, minute, second;
    bool follows;
} clocks[] = {
    {"ten seconds on", 12, 0, 10, true},
    {"a minute off", 12, 1, 10, true},
    {"two hours and two minutes ahead", 14, 2, 10, true},
    {"a second more", 14, 2, 11, false},
    {"two hours and two minutes behind", 9, 58, 10, true},
    {"a second more, behind", 9, 58, 9, false},
    {"in the night", 3, 0, 0, false},
};

static void a_clock_goes_on(void **state)
{
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        struct hx_cosem_time t = at(clocks[i].hour, clocks[i].minute, clocks[i].second);
        (void)start(state);
        assert_true(follows(timed(at(12, 0, 0)), 0));
        CHECK_INT(clocks[i].name, follows(timed(t), 10000), clocks[i].follows);
        CHECK("the second agrees", follows(timed(t), 12000));
        CHECK("and on", follows(timed(t), 14000));
        if (!clocks[i].follows)
            CHECK("another one is odd", !follows(timed(at(23, 0, 0)), 16000));
    }
}

static void a_damaged_clock_leaves_no_trace(void **state)
{
    (void)state;
    assert_true(follows(timed(at(12, 0, 0)), 0));
    CHECK("damage", !follows(timed(at(3, 0, 0)), 10000));
    CHECK("the true one", follows(timed(at(12, 0, 20)), 20000));
    CHECK("other damage", !follows(timed(at(3, 0, 20)), 30000));
}

/* Kaifa, vectors kaifa-l2-13el-ma304h3e-20170913T000020 and the hourly list 10 s before: a
 * Wednesday that says Tuesday. Its list of midnight is one of 24 a day. */
static void a_weekday_may_be_yesterdays_after_midnight(void **state)
{
    struct hx_cosem_time evening = at(23, 0, 10), midnight = at(0, 0, 10), other = midnight;
    (void)state;
    evening.local.day = 24;
    evening.weekday = 2;
    midnight.weekday = 2;
    other.weekday = 1;
    assert_true(follows(timed(evening), 0));
    CHECK("the day before yesterday's", !follows(timed(other), 3600000));
    CHECK("still yesterday's", follows(timed(midnight), 3600000));
    CHECK("right again", follows(timed(at(1, 0, 10)), 7200000));
    (void)start(state);
    assert_true(follows(timed(midnight), 0));
    CHECK("after a start at midnight", follows(timed(at(0, 0, 50)), 40000));
    midnight.local.hour = 2;
    CHECK("not at two", !follows(timed(midnight), 7200000));
}

static void parts_of_a_clock_keep_their_form(void **state)
{
    struct hx_cosem_time day = at(12, 0, 0), year = day, weekday = day, hundredths = day,
                         zone = day, summer = day, status = day, moved = day;
    (void)state;
    day.local.day = 24;
    year.local.year = 2027;
    weekday.weekday = 5;
    hundredths.hundredths = 0;
    zone.deviation_min = -60;
    summer.status = 0x80;
    status.status = 0x84;
    moved.deviation_min = -120;
    assert_true(follows(timed(at(12, 0, 0)), 0));
    CHECK("day", !follows(timed(day), 0));
    CHECK("year", !follows(timed(year), 0));
    CHECK("weekday", !follows(timed(weekday), 0));
    CHECK("hundredths", !follows(timed(hundredths), 0));
    CHECK("zone", !follows(timed(zone), 0));
    CHECK("status", !follows(timed(status), 0));
    CHECK("summer time", follows(timed(summer), 0));
    (void)start(state);
    assert_true(follows(timed(zone), 0));
    CHECK("an hour's zone", follows(timed(moved), 0));
    (void)start(state);
    assert_true(follows(timed(weekday), 0));
    CHECK("a weekday that is always wrong", follows(timed(weekday), 1000));
    CHECK("is odd when it is right", !follows(timed(at(12, 0, 0)), 2000));
}

static void a_clock_that_was_lost_says_nothing(void **state)
{
    struct hx_cosem_time lost = {.present = true};
    (void)state;
    assert_true(follows(timed(lost), 0));
    CHECK("found", follows(timed(at(12, 0, 0)), 1000));
    CHECK("lost", follows(timed(lost), 2000));
    CHECK("what was known counts", !follows(timed(at(3, 0, 0)), 3000));
    CHECK("an hour later", follows(timed(at(13, 0, 0)), HOUR_MS + 1000));
}

static void the_two_clocks_are_judged_apart(void **state)
{
    struct hx_telegram hourly = list2();
    (void)state;
    hourly.list = 3;
    hourly.push_time = at(13, 0, 10);
    hourly.clock = at(13, 0, 0);
    hourly.clock.hundredths = 0;
    hourly.clock.deviation_min = 0;
    assert_true(follows(timed(at(12, 59, 58)), 0));
    CHECK("another form in the list", follows(hourly, 12000));
    hourly.clock.local.hour = 20;
    CHECK("the list's is off", !follows(hourly, 24000));
    CHECK("the other one goes on", follows(timed(at(13, 0, 24)), 26000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(values_that_no_household_has_wait_for_a_second, start),
        cmocka_unit_test_setup(one_that_is_odd_does_not_speak_for_another, start),
        cmocka_unit_test_setup(power_flows_one_way, start),
        cmocka_unit_test_setup(limits_grow_with_the_scale, start),
        cmocka_unit_test_setup(a_list_keeps_its_shape, start),
        cmocka_unit_test_setup(a_value_keeps_its_decimals, start),
        cmocka_unit_test_setup(a_clock_goes_on, start),
        cmocka_unit_test_setup(a_damaged_clock_leaves_no_trace, start),
        cmocka_unit_test_setup(a_weekday_may_be_yesterdays_after_midnight, start),
        cmocka_unit_test_setup(parts_of_a_clock_keep_their_form, start),
        cmocka_unit_test_setup(a_clock_that_was_lost_says_nothing, start),
        cmocka_unit_test_setup(the_two_clocks_are_judged_apart, start),
    };
    return cmocka_run_group_tests_name("continuity", tests, NULL, NULL);
}
