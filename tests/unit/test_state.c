/* test_state.c - scaling, uptime and the link verdict in words. */
#include "check.h"

#include "hx/state.h"

/* Device manual, "Skaleringsfaktor": power, current and energy are scaled, voltage is not. Power
 * and current round half away from zero, energy down. */
static const struct {
    const char *name;
    uint32_t scale;
    enum hx_field field;
    int64_t value, want;
} scale_cases[] = {
    {"one", 1000, HX_P_IMPORT, 2390, 2390},
    {"half_up", 500, HX_P_IMPORT, 3, 2},                  /* 1.5 */
    {"below_half", 499, HX_P_IMPORT, 1, 0},               /* 0.499 */
    {"half_away_below_zero", 500, HX_I_L1, -3, -2},       /* -1.5 */
    {"below_half_below_zero", 499, HX_I_L1, -1, 0},       /* -0.499 */
    {"least", 10, HX_P_IMPORT, 149, 1},                   /* 1.49 */
    {"energy_down", 999, HX_E_IMPORT, 1999, 1997},        /* 1997.001 */
    {"energy_down_far", 500, HX_R_EXPORT, 1999, 999},     /* 999.5 */
    {"energy_down_below_zero", 100, HX_E_EXPORT, -1, -1}, /* -0.1 */
    {"voltage_stays", 2000, HX_U_L1, 239000, 239000},
    {"voltage_l3_stays", 10, HX_U_L3, 230100, 230100},
    {"manual_largest", 1000000, HX_E_IMPORT, 4294967295, 4294967295000},
    {"most", 999999999, HX_P_IMPORT, 4294967295, 4294967290705033}, /* ….033 */
    {"too_much", 999999999, HX_E_IMPORT, INT64_MAX, INT64_MAX},
    {"too_little", 999999999, HX_I_L2, INT64_MIN, -INT64_MAX},
};

static void test_scaled(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof scale_cases / sizeof scale_cases[0]; i++) {
        struct hx_state s = {.scale = scale_cases[i].scale};
        CHECK_INT(scale_cases[i].name,
                  hx_state_scaled(&s, scale_cases[i].field, scale_cases[i].value),
                  scale_cases[i].want);
    }
}

static void test_uptime(void **unused)
{
    struct hx_state s = {.started_ms = 5000, .now_ms = 65999};
    (void)unused;
    assert_true(hx_state_uptime_s(&s) == 60);
    s.now_ms = 66000;
    assert_true(hx_state_uptime_s(&s) == 61);
    s.now_ms = 4000; /* a start later than now: not a huge number */
    assert_true(hx_state_uptime_s(&s) == 0);
}

static void test_link_text(void **unused)
{
    (void)unused;
    for (int a = HX_LINK_SILENT; a <= HX_LINK_GOOD; a++) {
        assert_true(strlen(hx_link_text((enum hx_link)a)) > 20);
        for (int b = HX_LINK_SILENT; b < a; b++)
            assert_true(strcmp(hx_link_text((enum hx_link)a), hx_link_text((enum hx_link)b)) != 0);
    }
    assert_non_null(strstr(hx_link_text(HX_LINK_PARITY), "parity"));
    assert_non_null(strstr(hx_link_text(HX_LINK_SILENT), "no bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_uptime),
        cmocka_unit_test(test_link_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
