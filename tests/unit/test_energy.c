/* test_energy.c - the estimator against integrals worked out by hand.
 * 1 Wh is 3600 W for 1 s: a load of 3600 W adds 1 Wh each second. */
#include "check.h"

#include "hx/energy.h"

static struct hx_energy started(int64_t total_wh, int64_t power_w, uint64_t now_ms)
{
    struct hx_energy e;
    hx_energy_init(&e);
    hx_energy_power(&e, power_w, now_ms);
    hx_energy_total(&e, total_wh, 0, now_ms);
    return e;
}

static void nothing_is_known_before_a_total(void **state)
{
    struct hx_energy e;
    (void)state;
    hx_energy_init(&e);
    CHECK("unknown", !e.known && hx_energy_wh(&e) == 0);
    hx_energy_power(&e, 3600, 1000);
    hx_energy_power(&e, 3600, 11000);
    CHECK("power alone tells no energy", !e.known && hx_energy_wh(&e) == 0);
    hx_energy_total(&e, 5000, 0, 11000);
    CHECK("what came before the total is in it", e.known && hx_energy_wh(&e) == 5000);
}

/* Trapezoids: (p0 + p1) / 2 × t. */
static const struct {
    const char *name;
    int64_t p0, p1;
    uint32_t ms;
    int64_t wh;
    uint64_t half_mj; /* exactly (p0 + p1) × ms */
} steps[] = {
    {"flat", 3600, 3600, 10000, 10, 72000000},
    {"rising from 0", 0, 7200, 10000, 10, 72000000},
    {"falling to 0", 7200, 0, 10000, 10, 72000000},
    {"slope", 1000, 2000, 2500, 1, 7500000},
    {"just under 1 Wh", 3600, 3600, 999, 0, 7192800},
    {"exactly 1 Wh", 3600, 3600, 1000, 1, 7200000},
    {"nothing", 0, 0, 10000, 0, 0},
    {"1 W for 1 ms", 1, 1, 1, 0, 2},
    {"odd sum is not rounded", 0, 1, 1, 0, 1},
    {"no time", 3600, 3600, 0, 0, 0},
    {"the longest gap", 3600, 3600, 60000, 60, 432000000},
    {"1 ms longer", 3600, 3600, 60001, 0, 0},
    {"largest power a meter can send", UINT32_MAX, UINT32_MAX, 60000, 71582788,
     515396075400000}, /* 2 × 4294967295 × 60000; / 7200000 = 71582788.25 */
};

static void trapezoids_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct hx_energy e = started(1000, steps[i].p0, 5000);
        hx_energy_power(&e, steps[i].p1, 5000 + steps[i].ms);
        CHECK_INT(steps[i].name, hx_energy_wh(&e), 1000 + steps[i].wh);
        CHECK_INT(steps[i].name, e.since_half_mj, steps[i].half_mj);
        CHECK(steps[i].name, e.known && !e.held);
    }
}

static void small_steps_lose_nothing(void **state)
{
    struct hx_energy e = started(0, 777, 0);
    (void)state;
    /* 777 W every 2.5 s for an hour is 777 Wh, of which no step holds a whole one */
    for (uint64_t t = 2500; t <= 3600000; t += 2500)
        hx_energy_power(&e, 777, t);
    CHECK_INT("an hour", hx_energy_wh(&e), 777);
    CHECK_INT("to the last", e.since_half_mj, 777 * UINT64_C(7200000));
}

static void after_a_gap_it_goes_on(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    hx_energy_power(&e, 3600, 10000);
    hx_energy_power(&e, 3600, 100000); /* 90 s of silence */
    CHECK_INT("not across", hx_energy_wh(&e), 1010);
    hx_energy_power(&e, 3600, 105000);
    CHECK_INT("but from there", hx_energy_wh(&e), 1015);
}

static void a_new_total_takes_over(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    hx_energy_power(&e, 3600, 10000);
    hx_energy_total(&e, 1020, 0, 10000); /* the meter counted more than we */
    CHECK_INT("up at once", hx_energy_wh(&e), 1020);
    hx_energy_power(&e, 3600, 15000);
    CHECK_INT("and on", hx_energy_wh(&e), 1025);
    CHECK("not held", !e.held);
}

static void never_backwards(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    hx_energy_power(&e, 3600, 20000);
    hx_energy_total(&e, 1010, 0, 20000);
    CHECK("holds", hx_energy_wh(&e) == 1020 && e.held);
    hx_energy_power(&e, 3600, 25000); /* 1015 */
    CHECK("still holds", hx_energy_wh(&e) == 1020 && e.held);
    hx_energy_power(&e, 3600, 29000); /* 1019 */
    CHECK("up to the last", hx_energy_wh(&e) == 1020 && e.held);
    hx_energy_power(&e, 3600, 31000); /* 1021 */
    CHECK("caught up", hx_energy_wh(&e) == 1021 && !e.held);
    CHECK_INT("the total is what the meter said", e.total_wh, 1010);
}

/* An Aidon sent the list of an hour again an hour later. */
static void the_same_total_again_is_no_news(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    hx_energy_power(&e, 3600, 20000);
    hx_energy_total(&e, 1000, 10, 20000);
    CHECK("stays", hx_energy_wh(&e) == 1020 && !e.held);
    hx_energy_power(&e, 3600, 25000);
    CHECK("and goes on", hx_energy_wh(&e) == 1025 && !e.held);
}

static void a_total_says_when_it_was_true(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    for (uint64_t t = 10000; t <= 3610000; t += 10000)
        hx_energy_power(&e, 3600, t);
    CHECK_INT("one hour and ten seconds", hx_energy_wh(&e), 1000 + 3600 + 10);
    hx_energy_total(&e, 4600, 10, 3610000); /* the counter as it was ten seconds ago */
    CHECK_INT("no step back", hx_energy_wh(&e), 4610);
    CHECK("not held", !e.held);
    e = started(1000, 0, 0);
    hx_energy_total(&e, 2000, 10, 1000);
    CHECK_INT("no power, nothing to add", hx_energy_wh(&e), 2000);
    hx_energy_init(&e);
    hx_energy_total(&e, 2000, 10, 1000);
    CHECK_INT("power not known, nothing to add", hx_energy_wh(&e), 2000);
}

static void stale_power_does_not_count(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    hx_energy_total(&e, 2000, 10, 60001);
    CHECK_INT("older than the longest gap", hx_energy_wh(&e), 2000);
    hx_energy_power(&e, 3600, 61000);
    CHECK_INT("and not across it", hx_energy_wh(&e), 2000);
}

static void restart_forgets_all_but_the_power(void **state)
{
    struct hx_energy e = started(1000000, 3600, 0);
    (void)state;
    hx_energy_power(&e, 3600, 10000);
    hx_energy_restart(&e);
    CHECK("unknown again", !e.known && hx_energy_wh(&e) == 0);
    hx_energy_total(&e, 5, 0, 10000);
    CHECK("lower than before is no fault", hx_energy_wh(&e) == 5 && !e.held);
    hx_energy_power(&e, 3600, 12000);
    CHECK_INT("power before it still counts", hx_energy_wh(&e), 7);
}

/* 3600 W from 1000 Wh: 1010 after 10 s, 1020 after 20 s. */
static void nothing_above_the_limit_is_given_out(void **state)
{
    struct hx_energy e = started(1000, 3600, 0);
    (void)state;
    hx_energy_limit(&e, 1005);
    hx_energy_power(&e, 3600, 10000);
    CHECK_INT("stops there", hx_energy_wh(&e), 1005);
    CHECK("nothing to wait for from the meter", !e.held);
    CHECK_INT("the sum goes on", hx_energy_unlimited_wh(&e), 1010);
    hx_energy_total(&e, 1500, 0, 10000);
    CHECK_INT("totals too", hx_energy_wh(&e), 1005);
    hx_energy_limit(&e, 1000);
    CHECK_INT("a lower one takes nothing back", hx_energy_wh(&e), 1005);
    hx_energy_limit(&e, 2000);
    hx_energy_power(&e, 3600, 20000);
    CHECK_INT("goes on", hx_energy_wh(&e), 1510);
    hx_energy_total(&e, 1400, 0, 20000);
    CHECK("holds as ever",
          hx_energy_wh(&e) == 1510 && hx_energy_unlimited_wh(&e) == 1510 && e.held);
    hx_energy_restart(&e);
    hx_energy_total(&e, 9000, 0, 20000);
    CHECK_INT("other counters know no limit", hx_energy_wh(&e), 9000);
}

static void any_order_of_times_is_harmless(void **state)
{
    struct hx_energy e = started(1000, 3600, 50000);
    (void)state;
    hx_energy_power(&e, 3600, 40000); /* a clock that steps back */
    CHECK_INT("nothing is taken away", hx_energy_wh(&e), 1000);
    hx_energy_power(&e, 3600, UINT64_MAX);
    CHECK_INT("nor added across", hx_energy_wh(&e), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_a_total),
        cmocka_unit_test(trapezoids_are_exact),
        cmocka_unit_test(small_steps_lose_nothing),
        cmocka_unit_test(after_a_gap_it_goes_on),
        cmocka_unit_test(a_new_total_takes_over),
        cmocka_unit_test(never_backwards),
        cmocka_unit_test(the_same_total_again_is_no_news),
        cmocka_unit_test(a_total_says_when_it_was_true),
        cmocka_unit_test(stale_power_does_not_count),
        cmocka_unit_test(restart_forgets_all_but_the_power),
        cmocka_unit_test(nothing_above_the_limit_is_given_out),
        cmocka_unit_test(any_order_of_times_is_harmless),
    };
    return cmocka_run_group_tests_name("energy", tests, NULL, NULL);
}
