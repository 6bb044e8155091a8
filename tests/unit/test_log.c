/* test_log.c - how often a kind of message is shown, with time as an argument. */
#include "check.h"

#include "log.h"

static void a_burst_is_shown_and_the_rest_counted(void **state)
{
    struct hx_log_limit l = {0};
    uint32_t hidden = 77;

    (void)state;
    for (unsigned i = 0; i < HX_LOG_BURST; i++)
        CHECK_INT("burst", hx_log_allow(&l, 5000 + i, &hidden), true);
    CHECK_INT("nothing hidden", hidden, 0);
    for (unsigned i = 0; i < 7; i++)
        CHECK_INT("more", hx_log_allow(&l, 5000 + HX_LOG_INTERVAL_MS - 1, &hidden), false);
    CHECK_INT("a minute after the first", hx_log_allow(&l, 5000 + HX_LOG_INTERVAL_MS, &hidden),
              true);
    CHECK_INT("told once", hidden, 7);
    CHECK_INT("next", hx_log_allow(&l, 5001 + HX_LOG_INTERVAL_MS, &hidden), true);
    CHECK_INT("told once", hidden, 0);
}

static void the_clock_may_start_at_zero(void **state)
{
    struct hx_log_limit l = {0};
    uint32_t hidden;

    (void)state;
    CHECK_INT("first", hx_log_allow(&l, 0, &hidden), true);
    CHECK_INT("late", hx_log_allow(&l, UINT64_MAX, &hidden), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_shown_and_the_rest_counted),
        cmocka_unit_test(the_clock_may_start_at_zero),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
