/* test_probe.c - speed and parity of a meter line from counts and times alone.
 * What a wrong setting looks like is worked out from the UART's rules: an 8N1 receiver finds the
 * parity bit where its stop bit should be (error when that bit is 0: octets of even weight); an
 * 8E1 receiver of 8N1 finds a stop bit, 1, where even parity wants 0 for octets of even weight. */
#include "check.h"

#include "probe.h"

/* kaifa-l1-1el-20170912T231842: a real list 1, 41 octets. */
static const char list1[] = "7ea027010201105a87e6e7000f40000000090c07e1090c0217122aff800000"
                            "02010600000528b80c7e";

static bool is_line(const struct hx_probe *p, uint32_t baud, enum hx_parity parity)
{
    const struct hx_line *l = hx_probe_line(p);

    return l->baud == baud && l->parity == parity && l->stop_bits == 1;
}

static void the_round_of_candidates(void **state)
{
    static const struct {
        const char *name;
        uint32_t baud; /* setting */
        enum hx_parity parity;
        struct hx_line round[HX_PROBE_MAX + 1u]; /* 0 ends */
    } cases[] = {
        {"all automatic",
         0,
         HX_PARITY_AUTO,
         {{2400, HX_PARITY_NONE, 1},
          {2400, HX_PARITY_EVEN, 1},
          {9600, HX_PARITY_NONE, 1},
          {9600, HX_PARITY_EVEN, 1},
          {115200, HX_PARITY_NONE, 1},
          {115200, HX_PARITY_EVEN, 1}}},
        {"speed given",
         4800,
         HX_PARITY_AUTO,
         {{4800, HX_PARITY_NONE, 1}, {4800, HX_PARITY_EVEN, 1}}},
        {"parity given",
         0,
         HX_PARITY_ODD,
         {{2400, HX_PARITY_ODD, 1}, {9600, HX_PARITY_ODD, 1}, {115200, HX_PARITY_ODD, 1}}},
    };
    struct hx_probe p;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_probe_init(&p, cases[i].baud, cases[i].parity);
        for (size_t k = 0; cases[i].round[k].baud != 0; k++) {
            CHECK(cases[i].name, is_line(&p, cases[i].round[k].baud, cases[i].round[k].parity));
            CHECK(cases[i].name, !hx_probe_is_exhausted(&p));
            hx_probe_rx(&p, 100, 50, 0);
            CHECK(cases[i].name, hx_probe_step(&p, 0));
        }
        CHECK("round again", is_line(&p, cases[i].round[0].baud, cases[i].round[0].parity));
        CHECK("all were tried", hx_probe_is_exhausted(&p));
    }
}

static void both_given_never_changes(void **state)
{
    struct hx_probe p;

    (void)state;
    hx_probe_init(&p, 9600, HX_PARITY_EVEN);
    hx_probe_rx(&p, 1000, 1000, 0);
    CHECK("nothing else to use", !hx_probe_step(&p, 100000));
    CHECK("as set", is_line(&p, 9600, HX_PARITY_EVEN));
    CHECK("but known to be fruitless", hx_probe_is_exhausted(&p));
}

/* One lot of octets, then a look at a later time: is the candidate given up? */
static const struct {
    const char *name;
    bool found;
    uint32_t octets, errors;
    uint64_t later_ms;
    bool changes;
} looks[] = {
    {"silent for a day", false, 0, 0, 86400000, false},
    {"errors, but too few octets", false, 23, 23, 0, false},
    {"24 octets, 3 errors: an eighth", false, 24, 3, 0, true},
    {"24 octets, 2 errors: noise", false, 24, 2, 0, false},
    {"no error, 24.999 s", false, 500, 0, 24999, false},
    {"no error, 25 s without a good frame", false, 500, 0, 25000, true},
    {"one octet in 25 s: 115200 heard at 2400", false, 1, 0, 25000, true},
    {"found: a burst of errors", true, 1000, 1000, 0, false},
    {"found: 59.999 s of rubbish", true, 1000, 500, 59999, false},
    {"found: 60 s of rubbish", true, 1000, 500, 60000, true},
    {"found: 60 s with little rubbish", true, 199, 199, 60000, false},
};

static void when_a_candidate_is_given_up(void **state)
{
    struct hx_probe p;

    (void)state;
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        hx_probe_init(&p, 0, HX_PARITY_AUTO);
        if (looks[i].found)
            (void)hx_probe_good(&p);
        if (looks[i].octets != 0)
            hx_probe_rx(&p, looks[i].octets, looks[i].errors, 1000);
        CHECK_INT(looks[i].name, hx_probe_step(&p, 1000 + looks[i].later_ms), looks[i].changes);
    }
}

static bool is_even_weight(uint8_t b)
{
    unsigned weight = 0;

    for (; b != 0; b = (uint8_t)(b >> 1))
        weight += b & 1u;
    return weight % 2 == 0;
}

/* A meter sends list 1 every 2 s at 2400 baud with @p sent parity. @return telegrams until the
 * probe has settled on it. */
static unsigned telegrams_until_found(enum hx_parity sent)
{
    uint8_t bytes[64];
    size_t n = unhex(list1, bytes);
    struct hx_probe p;
    unsigned telegrams = 0;

    hx_probe_init(&p, 0, HX_PARITY_AUTO);
    for (uint64_t now_ms = 0; now_ms < 600000; now_ms += 2000) {
        bool right = is_line(&p, 2400, sent);
        uint32_t errors = 0;

        telegrams++;
        for (size_t i = 0; i < n; i++)
            errors += !right && is_even_weight(bytes[i]) ? 1u : 0u;
        hx_probe_rx(&p, (uint32_t)n, errors, now_ms);
        if (right)
            return hx_probe_good(&p) ? telegrams : 0;
        (void)hx_probe_step(&p, now_ms);
    }
    return 0;
}

static void a_wrong_parity_shows_in_one_telegram(void **state)
{
    (void)state;
    CHECK_INT("8N1", telegrams_until_found(HX_PARITY_NONE), 1);
    CHECK_INT("8E1", telegrams_until_found(HX_PARITY_EVEN), 2);
}

static void good_is_news_once(void **state)
{
    struct hx_probe p;

    (void)state;
    hx_probe_init(&p, 0, HX_PARITY_AUTO);
    CHECK("first", hx_probe_good(&p));
    CHECK("second", !hx_probe_good(&p));
    hx_probe_rx(&p, 1000, 0, 0);
    CHECK("lost", hx_probe_step(&p, 60000));
    CHECK("found again", hx_probe_good(&p));
}

static void a_good_frame_starts_the_counts_afresh(void **state)
{
    struct hx_probe p;

    (void)state;
    hx_probe_init(&p, 0, HX_PARITY_AUTO);
    hx_probe_rx(&p, 200, 0, 0);
    (void)hx_probe_good(&p);
    hx_probe_rx(&p, 200, 0, 30000);
    CHECK("60 s since the first, 30 s since the good one", !hx_probe_step(&p, 60000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_round_of_candidates),
        cmocka_unit_test(both_given_never_changes),
        cmocka_unit_test(when_a_candidate_is_given_up),
        cmocka_unit_test(a_wrong_parity_shows_in_one_telegram),
        cmocka_unit_test(good_is_news_once),
        cmocka_unit_test(a_good_frame_starts_the_counts_afresh),
    };
    return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
