/* test_panel.c - lights and button by tables of moments. Times are the manual's, or those of the
 * decision on the panel: reset 5 s, DHCP 2 s, stuck 60 s, settling 30 ms, HAN light 60 s. */
#include "check.h"

#include "hx/panel.h"
#include "hx/state.h"

/* What is done at a moment, and what must then hold. */
enum deed { END, DOWN, UP, LOOK };
struct moment {
    enum deed deed;
    uint64_t at_ms;
    enum hx_panel_action action; /* that comes due now */
    enum hx_light han;
};
#define NONE HX_PANEL_NONE
#define OFF HX_LIGHT_OFF
#define BLINK HX_LIGHT_BLINK

static const struct {
    const char *name;
    bool down, power_on; /* at the start, 1000 ms */
    struct moment moment[12];
} cases[] = {
    {"reset_at_5_s",
     false,
     true,
     {{DOWN, 10000, NONE, OFF}, {LOOK, 14999, NONE, OFF}, {LOOK, 15000, HX_PANEL_RESET, BLINK}}},
    {"let_go_just_before",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {UP, 14999, NONE, OFF},
      {LOOK, 15000, NONE, OFF},
      {LOOK, 15029, NONE, OFF},
      {LOOK, 30000, NONE, OFF}}},
    {"let_go_at_the_edge",
     false,
     true,
     {{DOWN, 10000, NONE, OFF}, {UP, 15000, HX_PANEL_RESET, BLINK}, {LOOK, 20000, NONE, BLINK}}},
    {"no_tick_between",
     false,
     true,
     {{DOWN, 10000, NONE, OFF}, {UP, 16000, HX_PANEL_RESET, BLINK}}},
    {"no_tick_and_too_short",
     false,
     true,
     {{DOWN, 10000, NONE, OFF}, {UP, 14000, NONE, OFF}, {LOOK, 60000, NONE, OFF}}},
    {"stuck_resets_once",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {LOOK, 15000, HX_PANEL_RESET, BLINK},
      {LOOK, 25000, NONE, BLINK},
      {LOOK, 100000, NONE, BLINK},
      {LOOK, 10000000, NONE, BLINK}}},
    {"again_after_a_reset_that_failed",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {LOOK, 15000, HX_PANEL_RESET, BLINK},
      {UP, 16000, NONE, BLINK},
      {LOOK, 16030, NONE, BLINK},
      {DOWN, 20000, NONE, BLINK},
      {LOOK, 25000, HX_PANEL_RESET, BLINK}}},
    {"bounces_do_not_end_a_press",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {UP, 10003, NONE, OFF},
      {DOWN, 10005, NONE, OFF},
      {UP, 12000, NONE, OFF},
      {DOWN, 12029, NONE, OFF},
      {LOOK, 15004, NONE, OFF},
      {LOOK, 15005, HX_PANEL_RESET, BLINK}}},
    {"a_spike_is_no_press",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {UP, 10029, NONE, OFF},
      {LOOK, 15000, NONE, OFF},
      {LOOK, 16000, NONE, OFF}}},
    {"a_spike_is_no_release",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {UP, 13000, NONE, OFF},
      {DOWN, 13020, NONE, OFF},
      {LOOK, 15000, HX_PANEL_RESET, BLINK}}},
    {"two_short_presses_are_not_one_long",
     false,
     true,
     {{DOWN, 10000, NONE, OFF},
      {UP, 12600, NONE, OFF},
      {DOWN, 12700, NONE, OFF},
      {UP, 15300, NONE, OFF},
      {LOOK, 16000, NONE, OFF},
      {LOOK, 18000, NONE, OFF}}},
    {"up_while_the_5_s_pass",
     false,
     true, /* not settled yet, but up: no reset behind one's back */
     {{DOWN, 10000, NONE, OFF},
      {UP, 14990, NONE, OFF},
      {LOOK, 15005, NONE, OFF},
      {LOOK, 15020, NONE, OFF},
      {LOOK, 16000, NONE, OFF}}},

    {"dhcp",
     true,
     true,
     {{LOOK, 2999, NONE, OFF},
      {LOOK, 3000, NONE, BLINK},
      {UP, 4000, NONE, BLINK},
      {LOOK, 4029, NONE, BLINK},
      {LOOK, 4030, HX_PANEL_DHCP, OFF},
      {LOOK, 9000, NONE, OFF}}},
    {"let_go_too_soon_for_dhcp",
     true,
     true,
     {{UP, 2999, NONE, OFF}, {LOOK, 3029, NONE, OFF}, {LOOK, 9000, NONE, OFF}}},
    {"let_go_at_the_edge_of_dhcp",
     true,
     true,
     {{UP, 3000, NONE, BLINK}, {LOOK, 3030, HX_PANEL_DHCP, OFF}}},
    {"held_past_10_s_is_still_dhcp",
     true,
     true,
     {{LOOK, 6000, NONE, BLINK},
      {LOOK, 11000, NONE, BLINK},
      {LOOK, 16000, NONE, BLINK},
      {UP, 20000, NONE, BLINK},
      {LOOK, 20030, HX_PANEL_DHCP, OFF}}},
    {"stuck_from_the_start",
     true,
     true,
     {{LOOK, 60999, NONE, BLINK},
      {LOOK, 61000, NONE, OFF},
      {LOOK, 70000, NONE, OFF},
      {UP, 80000, NONE, OFF},
      {LOOK, 80030, NONE, OFF}}},
    {"stuck_then_freed_then_pressed",
     true,
     true,
     {{LOOK, 61000, NONE, OFF},
      {UP, 80000, NONE, OFF},
      {LOOK, 80030, NONE, OFF},
      {DOWN, 90000, NONE, OFF},
      {LOOK, 95000, HX_PANEL_RESET, BLINK}}},
    {"stuck_without_a_tick", true, true, {{UP, 61000, NONE, OFF}, {LOOK, 61030, NONE, OFF}}},
    {"bounces_while_armed",
     true,
     true,
     {{LOOK, 3000, NONE, BLINK},
      {UP, 3500, NONE, BLINK},
      {DOWN, 3510, NONE, BLINK},
      {LOOK, 3600, NONE, BLINK},
      {UP, 5000, NONE, BLINK},
      {LOOK, 5030, HX_PANEL_DHCP, OFF}}},
    {"first_look_between_two_bounces",
     false,
     true, /* meant as DHCP: must not wipe */
     {{DOWN, 1004, NONE, OFF},
      {LOOK, 3004, NONE, BLINK},
      {LOOK, 6100, NONE, BLINK},
      {UP, 7000, NONE, BLINK},
      {LOOK, 7030, HX_PANEL_DHCP, OFF}}},
    {"pressed_during_the_start",
     false,
     true, /* half a second in: an ordinary press */
     {{DOWN, 1500, NONE, OFF},
      {LOOK, 3500, NONE, OFF},
      {LOOK, 6499, NONE, OFF},
      {LOOK, 6500, HX_PANEL_RESET, BLINK}}},
    {"after_a_reset_the_same_finger",
     true,
     false, /* begun again: neither DHCP nor a reset */
     {{LOOK, 3000, NONE, OFF},
      {LOOK, 6000, NONE, OFF},
      {LOOK, 30000, NONE, OFF},
      {UP, 40000, NONE, OFF},
      {LOOK, 40030, NONE, OFF},
      {DOWN, 50000, NONE, OFF},
      {LOOK, 55000, HX_PANEL_RESET, BLINK}}},
    {"begun_again_and_pressed_at_once",
     false,
     false,
     {{DOWN, 1004, NONE, OFF}, {LOOK, 3004, NONE, OFF}, {LOOK, 6004, HX_PANEL_RESET, BLINK}}},
};

static void check_moment(const char *name, struct hx_panel *p, const struct moment *m)
{
    if (m->deed == LOOK)
        hx_panel_tick(p, m->at_ms);
    else
        hx_panel_button(p, m->deed == DOWN, m->at_ms);
    if (hx_panel_take(p) != m->action || hx_panel_han(p, m->at_ms) != m->han)
        fail_msg("%s: at %llu ms: action or light is another", name, (unsigned long long)m->at_ms);
    CHECK_INT(name, hx_panel_take(p), NONE); /* once */
    CHECK_INT(name, hx_panel_power(p), HX_LIGHT_ON);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hx_panel p;

        hx_panel_init(&p, cases[i].down, cases[i].power_on, 1000);
        for (const struct moment *m = cases[i].moment; m->deed != END; m++)
            check_moment(cases[i].name, &p, m);
    }
}

/* A port that ticks only when the deadline says so must see each change at its own moment. */
static void test_deadlines_are_enough(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hx_panel p;
        uint64_t now = 1000;

        hx_panel_init(&p, cases[i].down, cases[i].power_on, now);
        for (const struct moment *m = cases[i].moment; m->deed != END; m++) {
            uint64_t at;
            enum hx_panel_action seen = NONE, took;

            while ((at = hx_panel_deadline_ms(&p, now)) <= m->at_ms) {
                CHECK(cases[i].name, at > now);
                now = at;
                hx_panel_tick(&p, now);
                if ((took = hx_panel_take(&p)) != NONE)
                    seen = took;
            }
            now = m->at_ms;
            if (m->deed != LOOK)
                hx_panel_button(&p, m->deed == DOWN, now);
            if ((took = hx_panel_take(&p)) != NONE)
                seen = took;
            CHECK_INT(cases[i].name, seen, m->action);
            CHECK_INT(cases[i].name, hx_panel_han(&p, now), m->han);
        }
    }
}

static void test_han_light_60_s(void **state)
{
    struct hx_panel p;
    (void)state;

    hx_panel_init(&p, false, true, 1000);
    assert_int_equal(hx_panel_han(&p, 50000), HX_LIGHT_OFF);
    assert_true(hx_panel_deadline_ms(&p, 50000) == UINT64_MAX);
    hx_panel_telegram(&p, 100000);
    assert_int_equal(hx_panel_han(&p, 100000), HX_LIGHT_ON);
    assert_int_equal(hx_panel_deadline_ms(&p, 100000), 160000);
    assert_int_equal(hx_panel_han(&p, 159999), HX_LIGHT_ON);
    assert_int_equal(hx_panel_han(&p, 160000), HX_LIGHT_OFF);
    assert_true(hx_panel_deadline_ms(&p, 160000) == UINT64_MAX);
    hx_panel_telegram(&p, 170000);
    hx_panel_telegram(&p, 180000);
    assert_int_equal(hx_panel_han(&p, 239999), HX_LIGHT_ON);
    assert_int_equal(hx_panel_han(&p, 240000), HX_LIGHT_OFF);
}

static void test_blinking_goes_before_telegrams(void **state)
{
    struct hx_panel p;
    (void)state;

    hx_panel_init(&p, false, true, 0);
    hx_panel_telegram(&p, 9000);
    hx_panel_resetting(&p, true); /* asked for on a page */
    assert_int_equal(hx_panel_han(&p, 10000), HX_LIGHT_BLINK);
    hx_panel_resetting(&p, false);
    assert_int_equal(hx_panel_han(&p, 10000), HX_LIGHT_ON);
}

static void test_blink_steps(void **state)
{
    static const struct {
        const char *name;
        enum hx_light light;
        uint64_t at_ms;
        bool lit;
    } steps[] = {
        {"dark", HX_LIGHT_OFF, 0, false},       {"lit", HX_LIGHT_ON, 250, true},
        {"first", HX_LIGHT_BLINK, 0, true},     {"first_ends", HX_LIGHT_BLINK, 249, true},
        {"second", HX_LIGHT_BLINK, 250, false}, {"second_ends", HX_LIGHT_BLINK, 499, false},
        {"third", HX_LIGHT_BLINK, 500, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        CHECK_INT(steps[i].name, hx_light_is_lit(steps[i].light, steps[i].at_ms), steps[i].lit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_deadlines_are_enough),
        cmocka_unit_test(test_han_light_60_s),
        cmocka_unit_test(test_blinking_goes_before_telegrams),
        cmocka_unit_test(test_blink_steps),
    };
    return cmocka_run_group_tests_name("panel", tests, NULL, NULL);
}
