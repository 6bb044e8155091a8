/* The simulator by itself: its seconds, its frames, its sums. That what it says is right is judged
 * by two decoders in tests/e2e/test_simulator.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hx/crc.h"
#include "sim.h"

#define NOON 1736164800 /* 2025-01-06T12:00:00Z, `date -u -d 2025-01-06T12:00:00Z +%s` */

static struct hx_sim sim;

static struct hx_sim_config config(enum hx_maker maker, enum hx_grid grid, int64_t start)
{
    return (struct hx_sim_config){maker, grid, 7, start, false};
}

/* Seconds after a start at 11:59:56 when telegrams are due, and their lists: the makers' own
 * descriptions of the intervals. The first is the last full ten seconds: 11:59:50. */
static void test_schedule(void **state)
{
    (void)state;
    static const struct {
        enum hx_maker maker;
        int32_t at_ms[10]; /* from noon */
        uint8_t list[10];
    } cases[] = {
        {HX_MAKER_AIDON,
         {-10000, -2500, 0, 2500, 5000, 7500, 10000, 12500, 15000, 17500},
         {2, 1, 2, 1, 1, 1, 3, 1, 1, 1}},
        {HX_MAKER_KAIFA,
         {-10000, -2000, 0, 2000, 4000, 6000, 8000, 10000, 12000, 14000},
         {2, 1, 2, 1, 1, 1, 1, 3, 1, 1}},
        {HX_MAKER_KAMSTRUP,
         {-10000, 0, 5000, 10000, 20000, 30000, 40000, 50000, 60000, 70000},
         {2, 2, 3, 2, 2, 2, 2, 2, 2, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hx_sim_config c = config(cases[i].maker, HX_GRID_4WIRE, NOON - 4);
        assert_int_equal(hx_sim_init(&sim, &c), HX_OK);
        int64_t sent = -4000; /* the first is sent at the start, later than its moment */
        for (size_t n = 0; n < 10; n++) {
            struct hx_sim_telegram t;
            hx_sim_next(&sim, &t);
            assert_int_equal(t.at_utc_ms - (int64_t)NOON * 1000, cases[i].at_ms[n]);
            assert_int_equal(t.list, cases[i].list[n]);
            if (n > 0)
                assert_int_equal(sent, cases[i].at_ms[n]);
            sent += t.wait_ms;
        }
    }
}

/* Octets on the wire of recorded telegrams with the same elements and text lengths: aidon-l1-*
 * 44, l2-9el 212, l2-12el 269, l2-13el 288, l3-14el 320, l3-17el 377, l3-18el 396; kaifa-l1-* 41,
 * l2-9el 103, l2-13el 123, l3-14el 137, l3-18el 157 (MA304H3E) and 156 (MA304H4); kamstrup-l2-25el
 * 188 and 228, l3-35el 262 and 302. A 4-wire Kaifa list 2 has one letter less in its type: 122. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        enum hx_maker maker;
        enum hx_grid grid;
        size_t size[4];
    } cases[] = {
        {HX_MAKER_AIDON, HX_GRID_1PHASE, {0, 44, 212, 320}},
        {HX_MAKER_AIDON, HX_GRID_3WIRE, {0, 44, 269, 377}},
        {HX_MAKER_AIDON, HX_GRID_4WIRE, {0, 44, 288, 396}},
        {HX_MAKER_KAIFA, HX_GRID_1PHASE, {0, 41, 103, 137}},
        {HX_MAKER_KAIFA, HX_GRID_3WIRE, {0, 41, 123, 157}},
        {HX_MAKER_KAIFA, HX_GRID_4WIRE, {0, 41, 122, 156}},
        {HX_MAKER_KAMSTRUP, HX_GRID_1PHASE, {0, 0, 188, 262}},
        {HX_MAKER_KAMSTRUP, HX_GRID_3WIRE, {0, 0, 228, 302}},
        {HX_MAKER_KAMSTRUP, HX_GRID_4WIRE, {0, 0, 228, 302}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hx_sim_config c = config(cases[i].maker, cases[i].grid, NOON - 4);
        assert_int_equal(hx_sim_init(&sim, &c), HX_OK);
        for (size_t n = 0; n < 10; n++) {
            struct hx_sim_telegram t;
            hx_sim_next(&sim, &t);
            assert_int_equal(t.bytes.len, cases[i].size[t.list]);
            struct hx_span inside = {t.bytes.ptr + 1, t.bytes.len - 2};
            assert_int_equal(hx_crc_x25_step(HX_CRC_X25_INIT, inside), HX_CRC_X25_GOOD);
        }
    }
}

/* The same configuration gives the same day; another seed another one. */
static void test_repeatable(void **state)
{
    (void)state;
    uint32_t sums[3]; /* FNV-1a: a CRC would forget each frame, which ends with its own */
    static const uint64_t seeds[3] = {1, 1, 2};
    for (size_t i = 0; i < 3; i++) {
        struct hx_sim_config c = config(HX_MAKER_AIDON, HX_GRID_4WIRE, NOON);
        c.seed = seeds[i];
        assert_int_equal(hx_sim_init(&sim, &c), HX_OK);
        sums[i] = 2166136261u;
        for (size_t n = 0; n < 1000; n++) {
            struct hx_sim_telegram t;
            hx_sim_next(&sim, &t);
            for (size_t k = 0; k < t.bytes.len; k++)
                sums[i] = (sums[i] ^ t.bytes.ptr[k]) * 16777619u;
        }
    }
    assert_int_equal(sums[0], sums[1]);
    assert_int_not_equal(sums[0], sums[2]);
}

/* A winter day and a summer day: everything stays within what a home does, on every grid. */
static void live_a_day(struct hx_sim_config c, int64_t *import_wh, int64_t *export_wh)
{
    assert_int_equal(hx_sim_init(&sim, &c), HX_OK);
    uint64_t before[4];
    memcpy(before, sim.energy_half_mj, sizeof before);
    int64_t end = (c.start_utc_s + 86400) * 1000;
    struct hx_sim_telegram t = {.at_utc_ms = 0};
    while (t.at_utc_ms < end) {
        hx_sim_next(&sim, &t);
        assert_in_range(sim.load.power_w + 5000, 0, 18000);
        for (size_t i = 0; i < 3; i++) {
            assert_in_range(sim.load.current_ma[i] + 63000, 0, 126000);
            assert_in_range(sim.load.voltage_mv[i], 207000, 253000); /* 230 V, ten percent */
        }
    }
    *import_wh = (int64_t)((sim.energy_half_mj[0] - before[0]) / 7200000u);
    *export_wh = (int64_t)((sim.energy_half_mj[1] - before[1]) / 7200000u);
}

static void test_believable(void **state)
{
    (void)state;
    static const enum hx_grid grids[] = {HX_GRID_1PHASE, HX_GRID_3WIRE, HX_GRID_4WIRE};
    int64_t import_wh, export_wh;
    for (size_t i = 0; i < 3; i++) {
        live_a_day(config(HX_MAKER_KAIFA, grids[i], NOON), &import_wh, &export_wh);
        assert_in_range(import_wh, 10000, 70000);
        assert_int_equal(export_wh, 0);
        struct hx_sim_config june = config(HX_MAKER_KAMSTRUP, grids[i], NOON + 151 * 86400);
        june.solar = true;
        live_a_day(june, &import_wh, &export_wh);
        assert_in_range(import_wh, 2000, 60000);
        assert_in_range(export_wh, 1000, 40000);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct hx_sim_config bad[] = {
        {HX_MAKER_NONE, HX_GRID_4WIRE, 1, NOON, false},
        {HX_MAKER_EMBRIQ, HX_GRID_4WIRE, 1, NOON, false},
        {HX_MAKER_AIDON, HX_GRID_UNKNOWN, 1, NOON, false},
        {HX_MAKER_AIDON, HX_GRID_4WIRE, 1, HX_SIM_START_MIN - 1, false},
        {HX_MAKER_AIDON, HX_GRID_4WIRE, 1, HX_SIM_START_MAX + (int64_t)1, false},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hx_sim_init(&sim, &bad[i]), HX_E_VALUE);
}

static unsigned bits_set(const uint8_t *p, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < len; i++)
        for (unsigned bit = 0; bit < 8; bit++)
            n += (unsigned)p[i] >> bit & 1u;
    return n;
}

/* Rates are kept: out of 80 000 bits one percent is 800, give or take six deviations of 28. */
static void test_noise(void **state)
{
    (void)state;
    static const uint8_t zeros[10000];
    static uint8_t out[10000];
    struct hx_span in = {zeros, sizeof zeros};
    struct hx_sim_noise none = {1, 0, 0}, flips = {1, 10000000, 0}, drops = {1, 0, 10000000};
    assert_int_equal(hx_sim_noise_apply(&none, in, out), sizeof zeros);
    assert_int_equal(bits_set(out, sizeof out), 0);
    assert_int_equal(hx_sim_noise_apply(&flips, in, out), sizeof zeros);
    assert_in_range(bits_set(out, sizeof out), 632, 968);
    /* 10 000 octets: 100, give or take six deviations of 10 */
    assert_in_range(sizeof zeros - hx_sim_noise_apply(&drops, in, out), 40, 160);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule),   cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_repeatable), cmocka_unit_test(test_believable),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
