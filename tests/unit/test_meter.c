/* test_meter.c - which telegrams are believed: identity and hourly energies.
 * Rules: docs/decisions/0003. */
#include "check.h"

#include "hx/meter.h"

#define HOUR_MS 3600000u
/* 63 A × 3 × 240 V × 1.2 for one hour; 20 Wh of slack for meters that round down to 10 Wh. */
#define HOUR_MAX_WH 54432
#define SLACK_WH 20

static struct hx_text text(const char *s)
{
    struct hx_text t = {.len = (uint8_t)strlen(s)};
    memcpy(t.s, s, t.len);
    return t;
}

static void put(struct hx_telegram *t, enum hx_field f, int64_t v)
{
    t->value[f] = v;
    t->has |= (uint16_t)(1u << f);
    t->measured |= (uint16_t)(1u << f);
}

static struct hx_telegram list1(enum hx_maker maker, int64_t power_w)
{
    struct hx_telegram t = {.maker = maker, .list = 1};
    put(&t, HX_P_IMPORT, power_w);
    return t;
}

static struct hx_telegram list2(const char *id, const char *type, int64_t power_w)
{
    struct hx_telegram t = list1(HX_MAKER_AIDON, power_w);
    t.list = 2;
    t.has_identity = true;
    t.version = text("AIDON_V0001");
    t.id = text(id);
    t.type = text(type);
    put(&t, HX_I_L1, 1900);
    put(&t, HX_U_L1, 232500);
    return t;
}

/* List 3 of the meter "A" with its clock at @p hour of 2025-01-01. */
static struct hx_telegram list3(uint8_t hour, int64_t import_wh)
{
    struct hx_telegram t = list2("A", "6534", 1000);
    t.list = 3;
    t.clock = (struct hx_cosem_time){.local = {2025, 1, 1, hour, 0, 0},
                                     .deviation_min = HX_COSEM_NO_DEVIATION,
                                     .present = true,
                                     .known = true};
    put(&t, HX_E_IMPORT, import_wh);
    put(&t, HX_E_EXPORT, 0);
    put(&t, HX_R_IMPORT, 50);
    put(&t, HX_R_EXPORT, 70);
    return t;
}

static unsigned news;

static enum hx_err take(struct hx_meter *m, struct hx_telegram t, uint64_t now_ms)
{
    news = 0;
    return hx_meter_accept(m, &t, 1000, now_ms, &news);
}

/* A refused telegram leaves the values as they were. */
static void check_refused(struct hx_meter *m, struct hx_telegram t, uint64_t now_ms,
                          enum hx_err want)
{
    struct hx_value before[HX_FIELD_COUNT];
    struct hx_text id = m->id;
    memcpy(before, m->value, sizeof before);
    CHECK_INT("refused", take(m, t, now_ms), want);
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++) {
        CHECK_INT("value", m->value[f].num, before[f].num);
        CHECK_INT("time", m->value[f].at_ms, before[f].at_ms);
        CHECK_INT("quality", m->value[f].quality, before[f].quality);
    }
    CHECK("id", hx_text_eq(&m->id, &id));
}

static void at_first_nothing_is_known(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    CHECK("no meter", !m.known && m.maker == HX_MAKER_NONE);
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++)
        CHECK_INT("unknown", m.value[f].quality, HX_UNKNOWN);
    CHECK("names", strcmp(hx_quality_name(HX_UNKNOWN), "unknown") == 0 &&
                       strcmp(hx_quality_name(HX_MEASURED), "measured") == 0 &&
                       strcmp(hx_quality_name(HX_ESTIMATED), "estimated") == 0 &&
                       strcmp(hx_quality_name(HX_HELD), "held") == 0);
}

static void list_1_needs_no_name(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    CHECK_INT("before any identity", take(&m, list1(HX_MAKER_KAIFA, 638), 5000), HX_OK);
    CHECK_INT("no news", news, 0);
    CHECK("value", m.value[HX_P_IMPORT].num == 638 && m.value[HX_P_IMPORT].quality == HX_MEASURED &&
                       m.value[HX_P_IMPORT].at_ms == 5000);
    CHECK("still no name", !m.known);
    CHECK_INT("the rest is unknown", m.value[HX_P_EXPORT].quality, HX_UNKNOWN);
    CHECK_INT("list", m.last_list, 1);
}

static void first_meter_is_believed_at_once(void **state)
{
    struct hx_meter m;
    const struct hx_text id = text("A"), type = text("6534");
    (void)state;
    hx_meter_init(&m);
    CHECK_INT("list 2", take(&m, list2("A", "6534", 700), 1000), HX_OK);
    CHECK_INT("news", news, HX_NEWS_FIRST);
    CHECK("known", m.known && m.maker == HX_MAKER_AIDON);
    CHECK("name", hx_text_eq(&m.id, &id) && hx_text_eq(&m.type, &type));
    CHECK_INT("again", take(&m, list2("A", "6534", 800), 11000), HX_OK);
    CHECK_INT("no news", news, 0);
}

static void list_1_keeps_what_it_does_not_carry(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list2("A", "6534", 700), 1000), HX_OK);
    CHECK_INT("list 1", take(&m, list1(HX_MAKER_AIDON, 750), 3500), HX_OK);
    CHECK("power", m.value[HX_P_IMPORT].num == 750 && m.value[HX_P_IMPORT].at_ms == 3500);
    CHECK("voltage", m.value[HX_U_L1].num == 232500 && m.value[HX_U_L1].at_ms == 1000 &&
                         m.value[HX_U_L1].quality == HX_MEASURED);
}

static void list_1_of_another_maker(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list2("A", "6534", 700), 1000), HX_OK);
    check_refused(&m, list1(HX_MAKER_KAIFA, 9), 2000, HX_E_IDENTITY);
    check_refused(&m, list1(HX_MAKER_KAIFA, 9), 4000, HX_E_IDENTITY); /* it names nobody */
}

static void list_1_of_an_embriq_looks_like_aidons(void **state)
{
    struct hx_meter m;
    struct hx_telegram t = list2("13335210", "ZFF1", 9380);
    (void)state;
    t.maker = HX_MAKER_EMBRIQ;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list1(HX_MAKER_AIDON, 9000), 0), HX_OK);
    assert_int_equal(take(&m, t, 1000), HX_OK);
    CHECK_INT("maker", m.maker, HX_MAKER_EMBRIQ);
    CHECK_INT("list 1", take(&m, list1(HX_MAKER_AIDON, 9440), 3000), HX_OK);
    CHECK("taken", m.value[HX_P_IMPORT].num == 9440 && m.maker == HX_MAKER_EMBRIQ);
}

static void another_meter_waits_for_a_second_list(void **state)
{
    struct hx_meter m;
    struct hx_telegram b = list2("B", "6525", 100);
    const struct hx_text id = text("B");
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 1000), 1000), HX_OK);
    b.has = b.measured = (uint16_t)(1u << HX_P_IMPORT);
    check_refused(&m, b, 11000, HX_E_IDENTITY);
    CHECK_INT("second", take(&m, b, 21000), HX_OK);
    CHECK_INT("news", news, HX_NEWS_SWAPPED);
    CHECK("name", m.known && hx_text_eq(&m.id, &id));
    CHECK_INT("its power", m.value[HX_P_IMPORT].num, 100);
    for (unsigned f = HX_P_EXPORT; f < HX_FIELD_COUNT; f++)
        CHECK_INT("every old value is gone", m.value[f].quality, HX_UNKNOWN);
    CHECK("and the old energies", !m.energy_known);
}

static void one_stray_list_is_no_swap(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list2("A", "6534", 700), 0), HX_OK);
    check_refused(&m, list2("B", "6534", 1), 10000, HX_E_IDENTITY);
    CHECK_INT("the known one", take(&m, list2("A", "6534", 710), 20000), HX_OK);
    check_refused(&m, list2("B", "6534", 1), 30000, HX_E_IDENTITY);
    check_refused(&m, list2("C", "6534", 2), 40000, HX_E_IDENTITY);
    check_refused(&m, list2("B", "6534", 1), 50000, HX_E_IDENTITY);
    CHECK_INT("two in a row", take(&m, list2("B", "6534", 3), 60000), HX_OK);
}

static void same_number_on_another_type(void **state)
{
    struct hx_meter m;
    struct hx_telegram other = list2("A", "6534", 5);
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list2("A", "6534", 700), 0), HX_OK);
    check_refused(&m, list2("A", "6525", 5), 10000, HX_E_IDENTITY);
    other.maker = HX_MAKER_EMBRIQ;
    check_refused(&m, other, 20000, HX_E_IDENTITY);
}

static void sent_but_not_measured_is_unknown(void **state)
{
    struct hx_meter m;
    struct hx_telegram t = list2("A", "MA304H3E", 5);
    (void)state;
    t.maker = HX_MAKER_KAIFA;
    t.has |= 1u << HX_U_L2;
    hx_meter_init(&m);
    assert_int_equal(take(&m, t, 0), HX_OK);
    CHECK_INT("L2", m.value[HX_U_L2].quality, HX_UNKNOWN);
    CHECK_INT("L1", m.value[HX_U_L1].quality, HX_MEASURED);
    CHECK_INT("L3 is not in the list", m.value[HX_U_L3].quality, HX_UNKNOWN);
}

static void clock_of_the_meter_is_kept_as_sent(void **state)
{
    struct hx_meter m;
    struct hx_telegram t = list1(HX_MAKER_KAIFA, 5);
    (void)state;
    t.push_time = (struct hx_cosem_time){.local = {2017, 9, 15, 4, 52, 52},
                                         .deviation_min = HX_COSEM_NO_DEVIATION,
                                         .present = true,
                                         .known = true};
    hx_meter_init(&m);
    CHECK("none yet", !m.clock.known);
    assert_int_equal(take(&m, t, 7000), HX_OK);
    CHECK("push time", m.clock.known && m.clock.local.second == 52 && m.clock_at_ms == 7000);
    CHECK_INT("as sent", m.clock.deviation_min, HX_COSEM_NO_DEVIATION);
    t.push_time.known = false;
    assert_int_equal(take(&m, t, 9000), HX_OK);
    CHECK("one that is not known changes nothing", m.clock.known && m.clock_at_ms == 7000);
}

/* One hour after 1 000 000 Wh. */
static const struct {
    const char *name;
    int64_t import_wh;
    uint32_t scale;
    enum hx_err want;
} hours[] = {
    {"a usual hour", 1002340, 1000, HX_OK},
    {"nothing used", 1000000, 1000, HX_OK},
    {"all that the fuse lets through", 1000000 + HOUR_MAX_WH, 1000, HX_OK},
    {"more than that", 1000000 + HOUR_MAX_WH + SLACK_WH + 1, 1000, HX_E_ENERGY},
    {"ten times that", 1544320, 1000, HX_E_ENERGY},
    {"1 Wh lower", 999999, 1000, HX_E_ENERGY},
    {"from 0 again", 0, 1000, HX_E_ENERGY},
    {"scale 2: twice as much", 1000000 + 2 * HOUR_MAX_WH, 2000, HX_OK},
    {"scale 2: more than that", 1000000 + 2 * HOUR_MAX_WH + SLACK_WH + 1, 2000, HX_E_ENERGY},
    {"scale below 1 allows no less", 1000000 + HOUR_MAX_WH, 10, HX_OK},
    {"scale below 1 allows no more", 1000000 + HOUR_MAX_WH + SLACK_WH + 1, 10, HX_E_ENERGY},
    {"largest scale", 4294967295, 999999999, HX_OK},
};

static void an_hour_holds_so_much_energy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hours / sizeof hours[0]; i++) {
        struct hx_meter m;
        struct hx_telegram t = list3(2, hours[i].import_wh);
        hx_meter_init(&m);
        CHECK_INT(hours[i].name, take(&m, list3(1, 1000000), 0), HX_OK);
        CHECK_INT(hours[i].name, news, HX_NEWS_FIRST | HX_NEWS_ENERGY);
        news = 0;
        CHECK_INT(hours[i].name, hx_meter_accept(&m, &t, hours[i].scale, HOUR_MS, &news),
                  hours[i].want);
        if (hours[i].want == HX_OK)
            CHECK_INT(hours[i].name, news, HX_NEWS_ENERGY);
        CHECK_INT(hours[i].name, m.value[HX_E_IMPORT].num,
                  hours[i].want == HX_OK ? hours[i].import_wh : 1000000);
    }
}

static void each_of_the_four_is_judged(void **state)
{
    (void)state;
    for (unsigned f = HX_E_IMPORT; f <= HX_R_EXPORT; f++) {
        struct hx_meter m;
        struct hx_telegram t = list3(2, 1000000);
        hx_meter_init(&m);
        assert_int_equal(take(&m, list3(1, 1000000), 0), HX_OK);
        t.value[f] += HOUR_MAX_WH + SLACK_WH + 1;
        check_refused(&m, t, HOUR_MS, HX_E_ENERGY);
    }
}

static void more_time_more_energy(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 0), 0), HX_OK);
    CHECK_INT("ten hours without a list", take(&m, list3(11, 10 * HOUR_MAX_WH), 10 * HOUR_MS),
              HX_OK);
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 0), 0), HX_OK);
    m.continuity = (struct hx_continuity){0}; /* not saved */
    /* a restarted program knows of one minute only; the meter's own clock tells the rest */
    CHECK_INT("by the meter's clock", take(&m, list3(11, 10 * HOUR_MAX_WH), 60000), HX_OK);
}

static void counter_that_starts_afresh(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 1000000), 0), HX_OK);
    check_refused(&m, list3(2, 40), HOUR_MS, HX_E_ENERGY);
    CHECK_INT("lists 2 go on meanwhile", take(&m, list2("A", "6534", 7), HOUR_MS + 10000), HX_OK);
    CHECK_INT("second that agrees", take(&m, list3(3, 900), 2 * HOUR_MS), HX_OK);
    CHECK_INT("news", news, HX_NEWS_RESET | HX_NEWS_ENERGY);
    CHECK_INT("value", m.value[HX_E_IMPORT].num, 900);
    CHECK_INT("and on", take(&m, list3(4, 1900), 3 * HOUR_MS), HX_OK);
    CHECK_INT("as usual", news, HX_NEWS_ENERGY);
}

static void jump_that_stays(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 1000000), 0), HX_OK);
    check_refused(&m, list3(2, 9000000), HOUR_MS, HX_E_ENERGY);
    CHECK_INT("agrees with the jump", take(&m, list3(3, 9001000), 2 * HOUR_MS), HX_OK);
    CHECK_INT("news", news, HX_NEWS_RESET | HX_NEWS_ENERGY);
}

static void glitch_that_does_not_stay(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 1000000), 0), HX_OK);
    check_refused(&m, list3(2, 9000000), HOUR_MS, HX_E_ENERGY);
    CHECK_INT("agrees with the time before", take(&m, list3(3, 1002000), 2 * HOUR_MS), HX_OK);
    CHECK_INT("news", news, HX_NEWS_ENERGY);
    check_refused(&m, list3(4, 9002000), 3 * HOUR_MS, HX_E_ENERGY); /* the old claim is gone */
}

static void two_glitches_that_disagree(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 1000000), 0), HX_OK);
    check_refused(&m, list3(2, 9000000), HOUR_MS, HX_E_ENERGY);
    check_refused(&m, list3(3, 40), 2 * HOUR_MS, HX_E_ENERGY);
    CHECK_INT("agrees with the newest", take(&m, list3(4, 50), 3 * HOUR_MS), HX_OK);
    CHECK_INT("news", news, HX_NEWS_RESET | HX_NEWS_ENERGY);
}

/* Aidon: at 18:00 the list of 17:00 came again, clock and energies. */
static void repeated_hour_is_harmless(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(16, 1000000), 0), HX_OK);
    assert_int_equal(take(&m, list3(17, 1002000), HOUR_MS), HX_OK);
    CHECK_INT("again", take(&m, list3(17, 1002000), 2 * HOUR_MS), HX_OK);
    CHECK_INT("nothing lost", m.value[HX_E_IMPORT].num, 1002000);
    CHECK("no reset", (news & HX_NEWS_RESET) == 0);
    CHECK_INT("two hours' energy after it",
              take(&m, list3(19, 1002000 + 2 * HOUR_MAX_WH), 3 * HOUR_MS), HX_OK);
}

/* The hour that comes twice in October: the meter's clock stands still, ours does not. */
static void hour_that_comes_twice(void **state)
{
    struct hx_meter m;
    (void)state;
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(2, 1000000), 0), HX_OK);
    CHECK_INT("second two o'clock", take(&m, list3(2, 1004000), HOUR_MS), HX_OK);
    CHECK_INT("value", m.value[HX_E_IMPORT].num, 1004000);
}

/* … and ours began a minute ago: a local clock says nothing of the hour between. */
static void hour_that_comes_twice_and_a_restart(void **state)
{
    static const struct {
        enum hx_maker maker;
        bool restored;
        enum hx_err want;
    } cases[] = {{HX_MAKER_KAIFA, true, HX_OK},
                 {HX_MAKER_KAIFA, false, HX_E_ENERGY},
                 {HX_MAKER_AIDON, true, HX_E_ENERGY}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hx_meter m;
        struct hx_telegram first = list3(2, 1000000), second = list3(2, 1004000);
        first.maker = second.maker = cases[i].maker;
        hx_meter_init(&m);
        assert_int_equal(take(&m, first, 0), HX_OK);
        m.energy_restored = cases[i].restored;
        CHECK_INT("second two o'clock", take(&m, second, 60000), cases[i].want);
        if (cases[i].want == HX_OK)
            CHECK("ours counts again", !m.energy_restored);
    }
}

/* A meter that has lost its clock: our time between the lists decides, both ways. */
static void hour_without_a_clock(void **state)
{
    struct hx_meter m;
    struct hx_telegram lost = list3(12, 100000);
    (void)state;
    lost.clock = (struct hx_cosem_time){.present = true};
    hx_meter_init(&m);
    assert_int_equal(take(&m, lost, 0), HX_OK);
    assert_int_equal(take(&m, list3(13, 100000 + HOUR_MAX_WH), HOUR_MS), HX_OK);
    put(&lost, HX_E_IMPORT, 100000 + HOUR_MAX_WH + HOUR_MAX_WH);
    assert_int_equal(take(&m, lost, 2 * HOUR_MS), HX_OK);
    put(&lost, HX_E_IMPORT, 100000 + 4 * HOUR_MAX_WH);
    check_refused(&m, lost, 3 * HOUR_MS, HX_E_ENERGY);
}

static void energies_of_a_swapped_meter_are_new(void **state)
{
    struct hx_meter m;
    struct hx_telegram b = list3(2, 5);
    (void)state;
    b.id = text("B");
    hx_meter_init(&m);
    assert_int_equal(take(&m, list3(1, 1000000), 0), HX_OK);
    check_refused(&m, b, HOUR_MS, HX_E_IDENTITY);
    CHECK_INT("second", take(&m, b, HOUR_MS + 10000), HX_OK);
    CHECK_INT("news", news, HX_NEWS_SWAPPED | HX_NEWS_ENERGY);
    CHECK_INT("value", m.value[HX_E_IMPORT].num, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_nothing_is_known),
        cmocka_unit_test(list_1_needs_no_name),
        cmocka_unit_test(first_meter_is_believed_at_once),
        cmocka_unit_test(list_1_keeps_what_it_does_not_carry),
        cmocka_unit_test(list_1_of_another_maker),
        cmocka_unit_test(list_1_of_an_embriq_looks_like_aidons),
        cmocka_unit_test(another_meter_waits_for_a_second_list),
        cmocka_unit_test(one_stray_list_is_no_swap),
        cmocka_unit_test(same_number_on_another_type),
        cmocka_unit_test(sent_but_not_measured_is_unknown),
        cmocka_unit_test(clock_of_the_meter_is_kept_as_sent),
        cmocka_unit_test(an_hour_holds_so_much_energy),
        cmocka_unit_test(each_of_the_four_is_judged),
        cmocka_unit_test(more_time_more_energy),
        cmocka_unit_test(counter_that_starts_afresh),
        cmocka_unit_test(jump_that_stays),
        cmocka_unit_test(glitch_that_does_not_stay),
        cmocka_unit_test(two_glitches_that_disagree),
        cmocka_unit_test(repeated_hour_is_harmless),
        cmocka_unit_test(hour_that_comes_twice),
        cmocka_unit_test(hour_that_comes_twice_and_a_restart),
        cmocka_unit_test(hour_without_a_clock),
        cmocka_unit_test(energies_of_a_swapped_meter_are_new),
    };
    return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
