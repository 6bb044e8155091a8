/* test_web_history.c - rows of 10 s worked out by hand. */
#include "check.h"

#include "web_history.h"

#include <stdio.h>

static struct hx_web_history h;
static struct hx_state s;

/* A telegram with import power at @p at_ms. */
static void telegram(uint64_t at_ms, int64_t import_w)
{
    s.now_ms = s.last_good_ms = at_ms;
    s.telegrams++;
    s.meter.value[HX_P_IMPORT] =
        (struct hx_value){.num = import_w, .at_ms = at_ms, .quality = HX_MEASURED};
    hx_history_add(&h, &s);
}

static void pass(uint64_t to_ms)
{
    s.now_ms = to_ms;
    hx_history_add(&h, &s);
}

static void begin(void)
{
    hx_history_init(&h);
    memset(&s, 0, sizeof s);
    s.scale = 1000;
}

static void expect(unsigned hours, unsigned step_s, const char *piece)
{
    struct hx_web_out o = {.ptr = NULL};

    hx_history_json(&h, &s, hours, step_s, &o);
    hx_web_put_span(&o, (struct hx_span){(const uint8_t *)"", 1});
    assert_false(o.failed);
    if (strstr(o.ptr, piece) == NULL)
        fail_msg("no %s in %.400s", piece, o.ptr);
    hx_web_out_free(&o);
}

static void least_mean_greatest(void **state)
{
    (void)state;
    begin();
    telegram(20000, 1000);
    telegram(22500, 1300);
    telegram(29999, 2001);
    telegram(30000, 5); /* the next row */
    expect(1, 10, "\"count\":1,\"end_utc_s\":null");
    expect(1, 10,
           "\"import_min\":[1000],\"import_avg\":[1434],\"import_max\":[2001]"); /* 1433.67 */
    expect(1, 10, "\"export_min\":[null]");
    pass(40000);
    expect(1, 10, "\"import_avg\":[1434,5]");
}

static void gaps_stay_gaps(void **state)
{
    (void)state;
    begin();
    telegram(0, 100);
    pass(30000);
    telegram(30001, 300);
    pass(40000);
    expect(1, 10, "\"import_avg\":[100,null,null,300]");
    s.utc_known = true;
    s.utc_ms = INT64_C(1744538400000);
    s.now_ms = 41500; /* the last row ended 1.5 s ago: 1744538398.5, rounded away from zero */
    expect(1, 10, "\"end_utc_s\":1744538399");
}

static void the_same_telegram_counts_once(void **state)
{
    (void)state;
    begin();
    telegram(0, 100);
    pass(1000);
    pass(2000);
    telegram(3000, 400);
    pass(10000);
    expect(1, 10, "\"import_avg\":[250]");
}

static void minutes_are_put_together(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 6; i++)
        telegram(i * 10000u, 100 * (i + 1)); /* 100 … 600 W */
    pass(60000);
    expect(1, 60, "\"step_s\":60,\"count\":1");
    expect(1, 60, "\"import_min\":[100],\"import_avg\":[350],\"import_max\":[600]");
}

static void a_day_and_no_more(void **state)
{
    struct hx_web_out o = {.ptr = NULL};

    (void)state;
    begin();
    telegram(0, 1);
    pass(UINT64_C(400) * 3600 * 1000); /* long silence ends at once */
    telegram(UINT64_C(400) * 3600 * 1000, 7);
    pass(UINT64_C(400) * 3600 * 1000 + 10000);
    expect(24, 10, "\"count\":8640");
    expect(24, 300, "\"count\":288");
    expect(24, 300, ",7],\"import_max\"");
    hx_history_recent_json(&h, &s, &o); /* the first is older than an hour */
    hx_web_put_span(&o, (struct hx_span){(const uint8_t *)"", 1});
    assert_string_equal(o.ptr, "{\"count\":1,\"now_utc_ms\":null,\"age_ms\":[10000],"
                               "\"import\":[7],\"export\":[null]}");
    hx_web_out_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_mean_greatest),
        cmocka_unit_test(gaps_stay_gaps),
        cmocka_unit_test(the_same_telegram_counts_once),
        cmocka_unit_test(minutes_are_put_together),
        cmocka_unit_test(a_day_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
