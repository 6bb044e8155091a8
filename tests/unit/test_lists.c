/* test_lists.c - list layouts from both sides: what fits, and what nearly fits. Also the meters'
 * time zones and the JSON of a telegram. Whole recorded telegrams: test_corpus.c. */
#include "check.h"

#include "hx/hdlc.h"
#include "hx/lists.h"

#include "vectors.h"

static const struct vector *find(const char *name)
{
    for (size_t i = 0; i < NORWAY_COUNT; i++)
        if (strcmp(norway[i].name, name) == 0)
            return &norway[i];
    fail_msg("no vector %s", name);
    return NULL;
}

/* The body of a recorded telegram, copied so that a test can spoil it. */
struct body {
    uint8_t b[1024];
    size_t len;
};

static struct body body_of(const struct vector *v)
{
    static struct hx_hdlc h;
    struct hx_hdlc_frame f = {.info = {NULL, 0}};
    struct hx_push push = {.body = {NULL, 0}};
    struct body out = {.len = 0};
    hx_hdlc_init(&h);
    (void)hx_hdlc_push(&h, v->bytes);
    assert_int_equal(hx_hdlc_next(&h, &f), HX_OK);
    assert_int_equal(hx_push_parse(f.info, &push), HX_OK);
    memcpy(out.b, push.body.ptr, push.body.len);
    out.len = push.body.len;
    return out;
}

static enum hx_err decode(const struct body *in, struct hx_telegram *t)
{
    const struct hx_push push = {.body = {in->b, in->len}};
    return hx_telegram_decode(&push, t);
}

/* Where the octets of @p hex stand in the body; they must be there. */
static size_t seek(const struct body *in, const char *hex)
{
    uint8_t want[64];
    size_t n = unhex(hex, want);
    for (size_t at = 0; at + n <= in->len; at++)
        if (memcmp(in->b + at, want, n) == 0)
            return at;
    fail_msg("%s is not in the body", hex);
    return 0;
}

/* Put the octets of @p to in place of those of @p from. */
static void change(struct body *in, const char *from, const char *to)
{
    uint8_t old[64], put[64];
    size_t at = seek(in, from), n = unhex(from, old), m = unhex(to, put);
    memmove(in->b + at + m, in->b + at + n, in->len - at - n);
    memcpy(in->b + at, put, m);
    in->len = in->len - n + m;
}

#define AIDON_2 "aidon-l2-13el-6534-p4532"
#define AIDON_3 "aidon-l3-18el-6534-20251214T160000"
#define KAIFA_1 "kaifa-l1-1el-20170915T045252"
#define KAIFA_3 "kaifa-l3-18el-ma304h3e-20170915T050010"
#define KAMSTRUP_2 "kamstrup-l2-25el-6841121bn243101040-20171020T034450"
#define KAMSTRUP_3 "kamstrup-l3-35el-6841121bn243101040-20171020T050005"

/* One change to a good list. want: HX_OK, or the one way in which it is refused. */
static const struct {
    const char *name, *vector, *from, *to;
    enum hx_err want;
} changes[] = {
    {"Aidon, as recorded", AIDON_2, "010D", "010D", HX_OK},
    {"Aidon, count one less: a tail is left", AIDON_2, "010D", "010C", HX_E_AXDR},
    {"Aidon, count one more: cut short", AIDON_2, "010D", "010E", HX_E_AXDR},
    {"Aidon, structure in place of array", AIDON_2, "010D", "020D", HX_E_LAYOUT},
    {"Aidon, P+ in var", AIDON_2, "06000011B402020F00161B", "06000011B402020F00161D", HX_E_LAYOUT},
    {"Aidon, voltage in A", AIDON_2, "12091502020FFF1623", "12091502020FFF1621", HX_E_LAYOUT},
    {"Aidon, unit is no enum", AIDON_2, "06000011B402020F00161B", "06000011B402020F00111B",
     HX_E_LAYOUT},
    {"Aidon, number without unit", AIDON_2, "020309060100010700FF06000011B402020F00161B",
     "020209060100010700FF06000011B4", HX_E_LAYOUT},
    {"Aidon, P+ twice", AIDON_2, "09060100020700FF", "09060100010700FF", HX_E_LAYOUT},
    {"Aidon, OBIS of 5 octets", AIDON_2, "09060100010700FF", "090501000107FF", HX_E_LAYOUT},
    {"Aidon, OBIS as text", AIDON_2, "09060100010700FF", "0A060100010700FF", HX_E_LAYOUT},
    {"Aidon, meter id as number", AIDON_2, "0A0436353334", "0600003635", HX_E_LAYOUT},
    {"Aidon, power as text", AIDON_2, "06000011B4", "0A03414243", HX_E_LAYOUT},
    {"Aidon, power below 0", AIDON_2, "06000011B4", "05FFFFFFFF", HX_E_LAYOUT},
    {"Aidon, A.B of the OBIS is not looked at", AIDON_2, "09060100010700FF", "09060101010700FF",
     HX_OK},
    {"Aidon, clock on 31 September", AIDON_3, "07E90C0E", "07E9091F", HX_E_DATE},
    {"Aidon, hour 24", AIDON_3, "07E90C0E00100000", "07E90C0E00180000", HX_E_DATE},
    {"Aidon, clock of 11 octets", AIDON_3, "090C07E90C0E00100000FF000000",
     "090B07E90C0E00100000FF0000", HX_E_LAYOUT},
    {"Aidon, unknown type of data", AIDON_3, "0600A729D9", "0700A729D9", HX_E_AXDR},
    {"Kaifa, as recorded", KAIFA_3, "0212", "0212", HX_OK},
    {"Kaifa, array in place of structure", KAIFA_3, "0212", "0112", HX_E_LAYOUT},
    {"Kaifa, count one less", KAIFA_3, "0212", "0211", HX_E_LAYOUT},
    {"Kaifa, list 1 with a text", KAIFA_1, "0201060000027E", "02010904AABBCCDD", HX_E_LAYOUT},
    {"Kaifa, list 1 with a tail", KAIFA_1, "0201060000027E", "0201060000027E00", HX_E_AXDR},
    {"Kaifa, empty structure", KAIFA_1, "0201060000027E", "0200", HX_E_LAYOUT},
    {"Kaifa, two numbers", KAIFA_1, "0201060000027E", "0202060000027E0600000000", HX_E_LAYOUT},
    {"Kamstrup, as recorded", KAMSTRUP_2, "0219", "0219", HX_OK},
    {"Kamstrup, count two less", KAMSTRUP_2, "0219", "0217", HX_E_AXDR},
    {"Kamstrup, even count", KAMSTRUP_2, "0219", "0218", HX_E_LAYOUT},
    {"Kamstrup, P- where P+ should be", KAMSTRUP_2, "09060101010700FF", "09060101020700FF",
     HX_E_LAYOUT},
    {"Kamstrup, null for a value alone", KAMSTRUP_2, "09060101020700FF0600000000",
     "09060101020700FF00", HX_E_LAYOUT},
    {"Kamstrup, null for an OBIS alone", KAMSTRUP_2, "09060101020700FF0600000000", "000600000000",
     HX_E_LAYOUT},
    {"Kamstrup, 30 February", KAMSTRUP_3, "09060001010000FF090C07E10A14",
     "09060001010000FF090C07E1021E", HX_E_DATE},
};

static void what_fits_and_what_nearly_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct body b = body_of(find(changes[i].vector));
        struct hx_telegram t;
        change(&b, changes[i].from, changes[i].to);
        CHECK_INT(changes[i].name, decode(&b, &t), changes[i].want);
    }
}

static void each_object_is_needed(void **state)
{
    struct body whole = body_of(find(AIDON_2));
    size_t at = 2;
    (void)state;
    for (unsigned object = 0; object < 13; object++) {
        /* texts: 02 02 09 06 + 6, 0A + length + text; numbers: 02 03 … 02 02 0F xx 16 xx */
        size_t value = at + 10, end;
        struct body b = whole;
        struct hx_telegram t;
        if (b.b[at + 1] == 2)
            end = value + 2 + b.b[value + 1];
        else
            end = value + (b.b[value] == 0x06 ? 5 : 3) + 6;
        memmove(b.b + at, b.b + end, b.len - end);
        b.len -= end - at;
        b.b[1] = 12;
        /* without the current of L2 a 4-wire list is that of a 3-wire meter */
        CHECK_INT("object left out", decode(&b, &t), object == 8 ? HX_OK : HX_E_LAYOUT);
        if (object == 8)
            CHECK("L2 is absent", (t.has & VECTOR_BIT(HX_I_L2)) == 0 && t.grid == HX_GRID_3WIRE);
        at = end;
    }
    CHECK_INT("all objects seen", at, whole.len);
}

static void scaler_in_the_telegram_counts(void **state)
{
    struct hx_telegram t;
    struct body b = body_of(find(AIDON_2)); /* I L1 0x0013 = 19, scaler -1: 1.9 A */
    (void)state;
    change(&b, "10001302020FFF1621", "10001302020FFE1621");
    CHECK_INT("0.01 A", decode(&b, &t), HX_OK);
    CHECK("0.19 A", t.value[HX_I_L1] == 190 && t.decimals[HX_I_L1] == 2);
    b = body_of(find(AIDON_2));
    change(&b, "10001302020FFF1621", "10001302020F001621");
    CHECK_INT("1 A", decode(&b, &t), HX_OK);
    CHECK("19 A", t.value[HX_I_L1] == 19000 && t.decimals[HX_I_L1] == 0);
    b = body_of(find(AIDON_2)); /* P+ 0x11B4 = 4532 */
    change(&b, "06000011B402020F00161B", "06000011B402020F01161B");
    CHECK_INT("10 W", decode(&b, &t), HX_OK);
    CHECK_INT("45320 W", t.value[HX_P_IMPORT], 45320);
    b = body_of(find(AIDON_2));
    change(&b, "06000011B402020F00161B", "06000011B402020F7F161B");
    CHECK("10^127 W cannot be", decode(&b, &t) != HX_OK);
    b = body_of(find(AIDON_2));
    change(&b, "06000011B402020F00161B", "06000011B402020F80161B");
    CHECK("10^-128 W cannot be", decode(&b, &t) != HX_OK);
}

static void currents_have_a_sign(void **state)
{
    struct hx_telegram t;
    struct body b = body_of(find(AIDON_2));
    (void)state;
    change(&b, "10001302020FFF1621", "10FFCD02020FFF1621"); /* as a 1-phase meter that exports */
    CHECK_INT("ok", decode(&b, &t), HX_OK);
    CHECK_INT("-5.1 A", t.value[HX_I_L1], -5100);
}

static void texts_have_a_limit(void **state)
{
    const size_t old_len = 6; /* 0A 04 and the type 6534 */
    (void)state;
    for (unsigned len = 31; len <= 34; len++) {
        struct hx_telegram t;
        struct body b = body_of(find(AIDON_2));
        size_t at = seek(&b, "0A0436353334");
        memmove(b.b + at + 2 + len, b.b + at + old_len, b.len - at - old_len);
        b.b[at + 1] = (uint8_t)len;
        memset(b.b + at + 2, 'A', len);
        b.len += 2 + len - old_len;
        CHECK_INT("length", decode(&b, &t), len <= HX_TEXT_MAX ? HX_OK : HX_E_LAYOUT);
        if (len <= HX_TEXT_MAX)
            CHECK("whole", t.type.len == len && t.type.s[len - 1] == 'A');
    }
}

static void bodies_that_are_no_lists(void **state)
{
    static const char *const bodies[] = {
        "00",
        "0600000001",
        "0A0441424344",
        "0100",
        "0101",
        "010102",
        "01010200",
        "0101020100",
        "0102020100020100",
        "02",
        "0200",
        "0201",
        "020102010201020102010201",
        "01820400",
        "0281FF",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct body b;
        struct hx_telegram t;
        enum hx_err e;
        b.len = unhex(bodies[i], b.b);
        e = decode(&b, &t);
        CHECK(bodies[i], e == HX_E_AXDR || e == HX_E_LAYOUT);
    }
}

static void makers_have_names(void **state)
{
    (void)state;
    CHECK("none", strcmp(hx_maker_name(HX_MAKER_NONE), "") == 0);
    CHECK("aidon", strcmp(hx_maker_name(HX_MAKER_AIDON), "aidon") == 0);
    CHECK("kaifa", strcmp(hx_maker_name(HX_MAKER_KAIFA), "kaifa") == 0);
    CHECK("kamstrup", strcmp(hx_maker_name(HX_MAKER_KAMSTRUP), "kamstrup") == 0);
    CHECK("embriq", strcmp(hx_maker_name(HX_MAKER_EMBRIQ), "embriq") == 0);
}

#define NO_DEV HX_COSEM_NO_DEVIATION

/* Local clocks and UTC. Seconds are those of date(1). */
static const struct {
    const char *name;
    enum hx_maker maker;
    struct hx_civil local;
    int16_t deviation;
    uint8_t status;
    int64_t near, want; /* want: INT64_MIN where the zone is not known */
} clocks[] = {
    /* received 16:00:11 winter time */
    {"Aidon winter", HX_MAKER_AIDON, {2025, 12, 14, 16, 0, 0}, 0, 0, INT64_MIN, 1765724400},
    /* received 20:00:10 summer time */
    {"Aidon summer", HX_MAKER_AIDON, {2024, 9, 21, 19, 0, 0}, 0, 0, INT64_MIN, 1726941600},
    {"Aidon, none sent",
     HX_MAKER_AIDON,
     {2024, 9, 21, 19, 0, 0},
     NO_DEV,
     0xFF,
     INT64_MIN,
     1726941600},
    {"Aidon, one that is sent",
     HX_MAKER_AIDON,
     {2024, 9, 21, 19, 0, 0},
     -120,
     0x80,
     INT64_MIN,
     1726938000},
    /* received 17:00:12 UTC */
    {"Kaifa summer", HX_MAKER_KAIFA, {2024, 10, 1, 19, 0, 10}, NO_DEV, 0, INT64_MIN, 1727802010},
    {"Kaifa winter", HX_MAKER_KAIFA, {2025, 12, 14, 16, 0, 0}, NO_DEV, 0, INT64_MIN, 1765724400},
    {"Kaifa, twice, later",
     HX_MAKER_KAIFA,
     {2025, 10, 26, 2, 30, 0},
     NO_DEV,
     0,
     1761438601,
     1761442200},
    {"Kaifa, twice, first",
     HX_MAKER_KAIFA,
     {2025, 10, 26, 2, 30, 0},
     NO_DEV,
     0,
     1761438000,
     1761438600},
    {"Kaifa SE sends UTC+1",
     HX_MAKER_KAIFA,
     {2021, 3, 23, 18, 50, 0},
     -60,
     0,
     INT64_MIN,
     1616521800},
    {"Kaifa, UTC is a zone too",
     HX_MAKER_KAIFA,
     {2021, 3, 23, 18, 50, 0},
     0,
     0,
     INT64_MIN,
     1616525400},
    {"Kamstrup", HX_MAKER_KAMSTRUP, {2020, 4, 26, 8, 20, 0}, NO_DEV, 0, INT64_MIN, 1587885600},
    {"Kamstrup, daylight saving",
     HX_MAKER_KAMSTRUP,
     {2021, 6, 14, 17, 37, 30},
     NO_DEV,
     0x80,
     INT64_MIN,
     1623685050},
    {"Kamstrup, status not sent",
     HX_MAKER_KAMSTRUP,
     {2020, 4, 26, 8, 20, 0},
     NO_DEV,
     0xFF,
     INT64_MIN,
     1587885600},
    {"Embriq: no list 3 seen",
     HX_MAKER_EMBRIQ,
     {2020, 4, 26, 8, 20, 0},
     NO_DEV,
     0,
     INT64_MIN,
     INT64_MIN},
    {"nobody", HX_MAKER_NONE, {2020, 4, 26, 8, 20, 0}, NO_DEV, 0, INT64_MIN, INT64_MIN},
};

static void meter_clocks_to_utc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        struct hx_cosem_time t = {.local = clocks[i].local,
                                  .deviation_min = clocks[i].deviation,
                                  .status = clocks[i].status,
                                  .present = true,
                                  .known = true};
        int64_t utc = -1;
        bool known = hx_meter_clock_utc(clocks[i].maker, &t, clocks[i].near, &utc);
        CHECK_INT(clocks[i].name, known, clocks[i].want != INT64_MIN);
        if (known)
            CHECK_INT(clocks[i].name, utc, clocks[i].want);
        t.known = false;
        CHECK(clocks[i].name, !hx_meter_clock_utc(clocks[i].maker, &t, clocks[i].near, &utc));
    }
}

/* A number at *p, in millionths; *p is moved behind it. */
static long long read_millionths(const char **p)
{
    bool negative = **p == '-', point = false;
    long long v = 0, unit = 1000000;
    for (*p += negative; (**p >= '0' && **p <= '9') || **p == '.'; ++*p) {
        if (**p == '.') {
            point = true;
            continue;
        }
        v = point ? v : v * 10;
        unit = point ? unit / 10 : unit;
        v += point ? (**p - '0') * unit : (**p - '0') * 1000000LL;
    }
    return negative ? -v : v;
}

/* The same JSON but for blanks and zeros behind a decimal point. */
static bool same_json(const char *a, const char *b)
{
    bool in_text = false;
    for (;;) {
        while (!in_text && *a == ' ')
            a++;
        while (!in_text && *b == ' ')
            b++;
        if (!in_text && (*a == '-' || (*a >= '0' && *a <= '9'))) {
            if (read_millionths(&a) != read_millionths(&b))
                return false;
            continue;
        }
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
        in_text ^= *a == '"' && a[-1] != '\\';
        a++;
        b++;
    }
}

static void json_is_as_recorded(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct vector *v = &norway[i];
        static struct hx_hdlc h;
        static char text[2048];
        struct hx_wr w = {.ptr = (uint8_t *)text, .cap = sizeof text - 1};
        struct hx_hdlc_frame f;
        struct hx_push push;
        struct hx_telegram t;
        hx_hdlc_init(&h);
        (void)hx_hdlc_push(&h, v->bytes);
        CHECK_INT(v->name, hx_hdlc_next(&h, &f), HX_OK);
        CHECK_INT(v->name, hx_push_parse(f.info, &push), HX_OK);
        CHECK_INT(v->name, hx_telegram_decode(&push, &t), HX_OK);
        t.maker = v->maker; /* alone, a list 1 of an Embriq looks like Aidon's */
        hx_telegram_json(&w, &t);
        CHECK_INT(v->name, w.err, HX_OK);
        text[w.len] = '\0';
        if (!same_json(text, v->json))
            fail_msg("%s: %s\nnot %s", v->name, text, v->json);
    }
}

static void json_without_room(void **state)
{
    uint8_t small[100];
    struct hx_wr w = {.ptr = small, .cap = sizeof small};
    struct hx_telegram t;
    struct body b = body_of(find(AIDON_3));
    (void)state;
    assert_int_equal(decode(&b, &t), HX_OK);
    hx_telegram_json(&w, &t);
    CHECK("told", w.err == HX_E_SPACE && w.len <= sizeof small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_and_what_nearly_does),
        cmocka_unit_test(each_object_is_needed),
        cmocka_unit_test(scaler_in_the_telegram_counts),
        cmocka_unit_test(currents_have_a_sign),
        cmocka_unit_test(texts_have_a_limit),
        cmocka_unit_test(bodies_that_are_no_lists),
        cmocka_unit_test(makers_have_names),
        cmocka_unit_test(meter_clocks_to_utc),
        cmocka_unit_test(json_is_as_recorded),
        cmocka_unit_test(json_without_room),
    };
    return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
