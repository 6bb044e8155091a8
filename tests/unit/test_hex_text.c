/* Recordings as octets or hex text: which it is, and what it stands for. */
#include "check.h"

#include "hex_text.h"

static const struct {
    const char *name, *in;
    size_t len;
    enum hex_kind kind;
    const char *want; /* hex */
    unsigned faults, fault_line;
} cases[] = {
    {"digits", "7ea0\n", 5, HEX_TEXT, "7EA0", 0, 0},
    {"no line end", "7EA0", 4, HEX_TEXT, "7EA0", 0, 0},
    {"blanks", " 7e\ta0\r\n2A", 10, HEX_TEXT, "7EA02A", 0, 0},
    {"comments", "# bare 7e\n7e # a0\na0", 20, HEX_TEXT, "7EA0", 0, 0},
    {"comment in UTF-8", "# m\xC3\xA5ler\n7e", 11, HEX_TEXT, "7E", 0, 0},
    {"empty", "", 0, HEX_TEXT, "", 0, 0},
    {"blank", "\n\n", 2, HEX_TEXT, "", 0, 0},
    {"raw", "\x7E\xA0\x2A", 3, HEX_RAW, "7EA02A", 0, 0},
    {"raw that begins like text", "A0\n\n\x7E", 5, HEX_TEXT, "A0", 1, 3},
    {"raw that begins with digits", "41\x08\x83", 4, HEX_RAW, "34310883", 0, 0},
    {"raw that begins like a comment", "#A\x10\x7E\n", 5, HEX_RAW, "2341107E0A", 0, 0},
    {"raw that begins with a blank", " \x7E", 2, HEX_RAW, "207E", 0, 0},
    {"half a pair", "7e a\na0", 7, HEX_TEXT, "7EA0", 1, 1},
    {"half at the end", "7ea", 3, HEX_TEXT, "7E", 1, 1},
    {"half before a comment", "7\n#\n7e", 6, HEX_TEXT, "7E", 1, 1},
    {"no digit", "7e\nxx\na0", 8, HEX_TEXT, "7EA0", 2, 2},
    {"half and no digit", "7e\na,a0", 7, HEX_TEXT, "7EA0", 1, 2},
};

static void run(size_t i, size_t step)
{
    struct hex_text h;
    uint8_t out[HEX_TEXT_HELD_MAX + 64], want[64];
    struct hx_wr w = {.ptr = out, .cap = sizeof out};
    size_t want_len = unhex(cases[i].want, want);
    const uint8_t *in = (const uint8_t *)cases[i].in;
    hex_text_init(&h);
    for (size_t at = 0; at < cases[i].len; at += step)
        hex_text_feed(
            &h, (struct hx_span){in + at, at + step < cases[i].len ? step : cases[i].len - at}, &w);
    hex_text_end(&h, &w);
    CHECK_INT(cases[i].name, w.err, HX_OK);
    CHECK_INT(cases[i].name, h.kind, cases[i].kind);
    CHECK_INT(cases[i].name, w.len, want_len);
    CHECK(cases[i].name, memcmp(out, want, want_len) == 0);
    CHECK_INT(cases[i].name, h.faults, cases[i].faults);
    CHECK_INT(cases[i].name, h.fault_line, cases[i].fault_line);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step <= 20; step++) /* cut anywhere */
            run(i, step);
}

/* Text comes out as soon as a line is there; a filter on endless input does not wait. */
static void test_a_line_is_enough(void **state)
{
    struct hex_text h;
    uint8_t out[HEX_TEXT_HELD_MAX + 64];
    struct hx_wr w = {.ptr = out, .cap = sizeof out};
    (void)state;
    hex_text_init(&h);
    hex_text_feed(&h, (struct hx_span){(const uint8_t *)"7e", 2}, &w);
    assert_int_equal(w.len, 0);
    hex_text_feed(&h, (struct hx_span){(const uint8_t *)"\n", 1}, &w);
    assert_int_equal(w.len, 1);
}

/* One endless line of text is text too; nothing is held for ever. */
static void test_a_long_line_is_enough(void **state)
{
    struct hex_text h;
    uint8_t out[2 * HEX_TEXT_HELD_MAX];
    struct hx_wr w = {.ptr = out, .cap = sizeof out};
    (void)state;
    hex_text_init(&h);
    for (unsigned i = 0; i < HEX_TEXT_HELD_MAX; i++)
        hex_text_feed(&h, (struct hx_span){(const uint8_t *)"7", 1}, &w);
    assert_int_equal(h.kind, HEX_TEXT);
    assert_int_equal(w.len, HEX_TEXT_HELD_MAX / 2);
    assert_int_equal(out[0], 0x77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_a_line_is_enough),
        cmocka_unit_test(test_a_long_line_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
