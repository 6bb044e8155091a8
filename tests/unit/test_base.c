/* test_base.c - cursors, decimals, JSON strings, rounding: facts from hx/base.h. */
#include "check.h"

#include "hx/base.h"

static struct hx_wr writer(char *buf, size_t cap)
{
    memset(buf, '#', cap);
    return (struct hx_wr){.ptr = (uint8_t *)buf, .cap = cap};
}

static void check_text(const char *name, const struct hx_wr *w, const char *want)
{
    CHECK_INT(name, w->err, HX_OK);
    CHECK_INT(name, w->len, strlen(want));
    if (memcmp(w->ptr, want, w->len) != 0)
        fail_msg("%s: got %.*s", name, (int)w->len, (const char *)w->ptr);
}

static void reads_big_endian(void **state)
{
    const uint8_t in[] = {0x01, 0x02, 0x03, 0xFF, 0xFE, 0xFD, 0xFC, 0xAA, 0xBB};
    struct hx_rd r = {.left = {in, sizeof in}};
    struct hx_span s;
    (void)state;
    CHECK_INT("u8", hx_rd_u8(&r), 0x01);
    CHECK_INT("be16", hx_rd_be16(&r), 0x0203);
    CHECK_INT("be32", hx_rd_be32(&r), 0xFFFEFDFC);
    s = hx_rd_take(&r, 2);
    CHECK("take", s.ptr == in + 7 && s.len == 2);
    CHECK("end", r.err == HX_OK && r.left.len == 0);
    s = hx_rd_take(&r, 0);
    CHECK("nothing is there", r.err == HX_OK && s.len == 0);
}

static void reading_past_the_end_sticks(void **state)
{
    const uint8_t in[] = {1, 2, 3};
    struct hx_rd r = {.left = {in, sizeof in}};
    (void)state;
    CHECK_INT("too long", hx_rd_be32(&r), 0);
    CHECK_INT("error", r.err, HX_E_LEN);
    CHECK("cursor stays", r.left.ptr == in && r.left.len == 3);
    CHECK_INT("would fit", hx_rd_u8(&r), 0);
    CHECK_INT("would fit too", hx_rd_be16(&r), 0);
    CHECK_INT("nothing taken", hx_rd_take(&r, 1).len, 0);
    CHECK_INT("error sticks", r.err, HX_E_LEN);
    r = (struct hx_rd){.left = {in, 1}};
    CHECK_INT("one of two", hx_rd_be16(&r), 0);
    CHECK_INT("empty take", hx_rd_take(&r, SIZE_MAX).len, 0);
}

static void writes_big_endian(void **state)
{
    char buf[16];
    struct hx_wr w = writer(buf, sizeof buf);
    (void)state;
    hx_wr_u8(&w, 0x01);
    hx_wr_be16(&w, 0x0203);
    hx_wr_be32(&w, 0xFFFEFDFC);
    hx_wr_bytes(&w, "ab", 2);
    hx_wr_str(&w, "cde");
    check_text("all", &w,
               "\x01\x02\x03\xFF\xFE\xFD\xFC"
               "abcde");
}

static void writing_past_the_end_sticks(void **state)
{
    char buf[8];
    struct hx_wr w = writer(buf, 3);
    (void)state;
    buf[3] = '!';
    hx_wr_u8(&w, 'x');
    hx_wr_be32(&w, 1);
    CHECK_INT("full", w.err, HX_E_SPACE);
    CHECK_INT("nothing written", w.len, 1);
    CHECK("untouched", memcmp(buf, "x##!", 4) == 0);
    hx_wr_u8(&w, 'y');
    CHECK("a later one that fits", w.len == 1 && w.err == HX_E_SPACE);
    w = writer(buf, 3);
    hx_wr_str(&w, "abcd");
    CHECK("text is whole or not at all", w.len == 0 && w.err == HX_E_SPACE);
    w = writer(buf, 3);
    hx_wr_dec(&w, 2311, -1);
    CHECK("number is whole or not at all", w.len == 0 && w.err == HX_E_SPACE);
    w = writer(buf, 3);
    hx_wr_str(&w, "abc");
    CHECK("exactly full is no error", w.len == 3 && w.err == HX_OK);
}

static const struct {
    const char *name;
    int64_t num;
    int exp10;
    const char *want;
} decimals[] = {
    {"tenths", 2311, -1, "231.1"},
    {"tens", 5, 1, "50"},
    {"below one", -51, -2, "-0.51"},
    {"zero behind the point", 2330, -1, "233.0"},
    {"leading zeros", 66, -3, "0.066"},
    {"zero", 0, 0, "0"},
    {"zero tens", 0, 3, "0"},
    {"zero hundredths", 0, -2, "0.00"},
    {"nano", 1, -9, "0.000000001"},
    {"minus nano", -1, -9, "-0.000000001"},
    {"giga", 1, 9, "1000000000"},
    {"minus", -12, 0, "-12"},
    {"exactly one", 100, -2, "1.00"},
    {"ten resolution", 1095522, 1, "10955220"},
    {"smallest", INT64_MIN, 0, "-9223372036854775808"},
    {"smallest nano", INT64_MIN, -9, "-9223372036.854775808"},
    {"largest giga", INT64_MAX, 9, "9223372036854775807000000000"},
};

static void decimals_are_exact(void **state)
{
    char buf[40];
    (void)state;
    for (size_t i = 0; i < sizeof decimals / sizeof decimals[0]; i++) {
        struct hx_wr w = writer(buf, sizeof buf);
        hx_wr_dec(&w, decimals[i].num, decimals[i].exp10);
        check_text(decimals[i].name, &w, decimals[i].want);
    }
}

static void whole_and_padded_numbers(void **state)
{
    char buf[80];
    struct hx_wr w = writer(buf, sizeof buf);
    (void)state;
    hx_wr_int(&w, 0);
    hx_wr_int(&w, -7);
    hx_wr_int(&w, INT64_MAX);
    check_text("int", &w, "0-79223372036854775807");
    w = writer(buf, sizeof buf);
    hx_wr_pad(&w, 7, 2);
    hx_wr_pad(&w, 0, 3);
    hx_wr_pad(&w, 2025, 4);
    hx_wr_pad(&w, 123, 2);
    hx_wr_pad(&w, UINT32_MAX, 1);
    check_text("pad", &w,
               "07"
               "000"
               "2025"
               "123"
               "4294967295");
}

static void json_strings(void **state)
{
    char buf[80];
    const uint8_t odd[] = {'a', '"', '\\', 0x00, 0x10, 0x7E, 0x93};
    struct hx_wr w = writer(buf, sizeof buf);
    (void)state;
    hx_wr_json(&w, (struct hx_span){odd, sizeof odd});
    check_text("escapes", &w, "\"a\\\"\\\\\\u0000\\u0010~\\u0093\"");
    w = writer(buf, sizeof buf);
    hx_wr_json(&w, (struct hx_span){odd, 0});
    check_text("empty", &w, "\"\"");
}

static void rounding_is_half_away_from_zero(void **state)
{
    static const struct {
        int64_t value, divisor, want;
    } rows[] = {
        {15, 10, 2},
        {-15, 10, -2},
        {14, 10, 1},
        {-14, 10, -1},
        {0, 3, 0},
        {1, 3, 0},
        {2, 3, 1},
        {-2, 3, -1},
        {1, 2, 1},
        {-1, 2, -1},
        {1500, 1000, 2},
        {1499, 1000, 1},
        {7, 1, 7},
        {INT64_MAX, 1, INT64_MAX},
        {INT64_MIN, 1, INT64_MIN},
        {INT64_MAX, 10, 922337203685477581},
        {INT64_MIN, 10, -922337203685477581},
        {INT64_MAX, INT64_MAX, 1},
        {INT64_MAX / 2, INT64_MAX, 0},
        {INT64_MAX / 2 + 1, INT64_MAX, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT("div_round", hx_div_round(rows[i].value, rows[i].divisor), rows[i].want);
    CHECK_INT("10^0", hx_pow10(0), 1);
    CHECK_INT("10^3", hx_pow10(3), 1000);
    CHECK_INT("10^18", hx_pow10(18), 1000000000000000000);
}

static void every_error_has_its_text(void **state)
{
    (void)state;
    for (int a = 0; a < (int)HX_ERR_COUNT; a++) {
        const char *text = hx_err_text((enum hx_err) - a);
        CHECK("text", text != NULL && text[0] != '\0' && text[strlen(text) - 1] != '.');
        for (int b = 0; b < a; b++)
            CHECK(text, strcmp(text, hx_err_text((enum hx_err) - b)) != 0);
    }
    CHECK("more", hx_err_text(HX_MORE) != NULL);
    CHECK("none of ours", hx_err_text((enum hx_err) - 99) != NULL);
}

static void texts_compare_by_length_and_content(void **state)
{
    const struct hx_text a = {4, "6534"}, b = {4, "6534"}, c = {3, "6534"}, d = {4, "6525"};
    const struct hx_text nul = {5, "6534"}, empty = {0, ""};
    (void)state;
    CHECK("same", hx_text_eq(&a, &b));
    CHECK("shorter", !hx_text_eq(&a, &c));
    CHECK("other", !hx_text_eq(&a, &d));
    CHECK("a trailing NUL counts", !hx_text_eq(&a, &nul));
    CHECK("empty", hx_text_eq(&empty, &empty) && !hx_text_eq(&a, &empty));
    CHECK("span", hx_text_span(&a).len == 4 && hx_text_span(&a).ptr == (const uint8_t *)a.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_big_endian),
        cmocka_unit_test(reading_past_the_end_sticks),
        cmocka_unit_test(writes_big_endian),
        cmocka_unit_test(writing_past_the_end_sticks),
        cmocka_unit_test(decimals_are_exact),
        cmocka_unit_test(whole_and_padded_numbers),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(rounding_is_half_away_from_zero),
        cmocka_unit_test(every_error_has_its_text),
        cmocka_unit_test(texts_compare_by_length_and_content),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
