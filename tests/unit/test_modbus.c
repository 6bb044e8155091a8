/* test_modbus.c - PDUs as a table of requests and answers; TCP and RTU framing cut and glued. */
#include "check.h"

#include "hx/modbus.h"

/* The gateway behind every test: L1 239.0 V, 2390 W import, scale 1.000, nothing else known. */
static struct hx_state state;
static struct hx_registers image;
static struct hx_mb_device dev;
static struct hx_mb_write wrote;

static void fresh(void)
{
    memset(&state, 0, sizeof state);
    state.scale = HX_SCALE_DEFAULT;
    state.meter.value[HX_U_L1] = (struct hx_value){.num = 239000, .quality = HX_MEASURED};
    state.meter.value[HX_P_IMPORT] = (struct hx_value){.num = 2390, .quality = HX_MEASURED};
    hx_registers_render(&image, &state);
    dev = (struct hx_mb_device){
        .state = &state, .regs = &image, .unit = 1, .any_unit = true, .allow_write = true};
    wrote = (struct hx_mb_write){.done = false};
}

static void check_bytes(const char *name, const uint8_t *got, size_t n, const char *want_hex)
{
    uint8_t want[600];
    size_t len = unhex(want_hex, want);
    CHECK_INT(name, n, len);
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("%s: octet %zu is %02x, not %02x", name, i, got[i], want[i]);
}

/* ---- PDUs ---- */

/* [A]: MODBUS Application Protocol V1.1b3. Exceptions in its order: 1 function, 3 counts, 2
 * address. */
static const struct {
    const char *name, *request, *answer;
    uint32_t scale; /* after it; 1000 before */
} pdu_cases[] = {
    /* 03, 04: [A] 6.3, 6.4 */
    {"manual_voltage_l1", "03 000E 0002", "03 04 0000 0956", 1000}, /* manual, its own example */
    {"input_mirror", "04 000E 0002", "04 04 0000 0956", 1000},
    {"slice_through_a_value", "03 000F 0001", "03 02 0956", 1000},
    {"read_none", "03 0000 0000", "83 03", 1000},
    {"read_126", "03 0000 007E", "83 03", 1000},
    {"read_256", "03 0000 0100", "83 03", 1000},
    {"read_125_too_far", "03 0000 007D", "83 02", 1000},
    {"last", "03 0032 0001", "03 02 0000", 1000},
    {"across_the_end", "03 0032 0002", "83 02", 1000},
    {"beyond_the_end", "03 0033 0001", "83 02", 1000},
    {"address_overflow", "03 FFFF 0002", "83 02", 1000},
    {"count_before_address", "03 FFFF 0000", "83 03", 1000},
    {"input_beyond", "04 0033 0001", "84 02", 1000},
    {"read_cut", "03 000E 00", "83 03", 1000},
    {"read_surplus", "03 000E 0002 00", "83 03", 1000},
    {"read_bare", "03", "83 03", 1000},
    {"ext_first", "03 03E8 0001", "03 02 0001", 1000},
    {"ext_last", "03 04F3 0001", "03 02 0000", 1000},
    {"ext_across_the_end", "03 04F3 0002", "83 02", 1000},
    {"before_ext", "03 03E7 0001", "83 02", 1000},
    /* 06: [A] 6.6 */
    {"single_low", "06 0031 07D0", "06 0031 07D0", 2000},
    {"single_high", "06 0030 0001", "06 0030 0001", 66536},
    {"single_alias", "06 002D 07D0", "06 002D 07D0", 2000},
    {"single_too_small", "06 0031 0009", "86 03", 1000},
    {"single_too_large", "06 0030 3B9B", "86 03", 1000},
    {"single_read_only", "06 0000 0001", "86 02", 1000},
    {"single_beyond", "06 0033 0001", "86 02", 1000},
    {"single_cut", "06 0031 07", "86 03", 1000},
    /* 10: [A] 6.12 */
    {"multiple", "10 0030 0002 04 0000 07D0", "10 0030 0002", 2000},
    {"multiple_most", "10 0030 0002 04 3B9A C9FF", "10 0030 0002", 999999999},
    {"multiple_above_most", "10 0030 0002 04 3B9A CA00", "90 03", 1000},
    {"multiple_below_least", "10 0030 0002 04 0000 0009", "90 03", 1000},
    {"multiple_none", "10 0030 0000 00", "90 03", 1000},
    {"multiple_count_odd", "10 0031 0001 03 07D0 00", "90 03", 1000},
    {"multiple_count_small", "10 0030 0002 02 0000 07D0", "90 03", 1000},
    {"multiple_cut", "10 0030 0002 04 0000", "90 03", 1000},
    {"multiple_surplus", "10 0030 0002 04 0000 07D0 00", "90 03", 1000},
    {"multiple_no_count", "10 0030 0002", "90 03", 1000},
    {"multiple_into_read_only", "10 0030 0003 06 0000 07D0 0000", "90 02", 1000},
    {"multiple_beyond", "10 0033 0001 02 07D0", "90 02", 1000},
    {"multiple_overflow", "10 FFFF 0002 04 0000 07D0", "90 02", 1000},
    {"multiple_none_far_away", "10 FFFF 0000 00", "90 03", 1000},
    /* 16 hex, mask write: [A] 6.16: (03E8 AND 00F0) OR (0305 AND NOT 00F0) = 03E5 */
    {"mask", "16 0031 00F0 0305", "16 0031 00F0 0305", 997},
    {"mask_to_too_small", "16 0031 0000 0009", "96 03", 1000},
    {"mask_read_only", "16 000F FFFF 0000", "96 02", 1000},
    {"mask_beyond", "16 0033 FFFF 0000", "96 02", 1000},
    /* 16 hex with the body of 10: the manual's "0x16 Write multiple holding registers" */
    {"manual_multiple", "16 0030 0002 04 0000 07D0", "16 0030 0002", 2000},
    {"manual_multiple_one", "16 0031 0001 02 07D0", "16 0031 0001", 2000},
    {"manual_multiple_range", "16 0030 0002 04 0000 0009", "96 03", 1000},
    {"manual_multiple_read_only", "16 0000 0002 04 0000 07D0", "96 02", 1000},
    {"manual_multiple_miscounted", "16 0030 0002 02 0000 07D0", "96 03", 1000},
    {"mask_length_6", "16 0031 00F0 03", "96 03", 1000},
    {"mask_length_9", "16 0031 0001 02 07D0 00", "96 03", 1000},
    {"mask_bare", "16", "96 03", 1000},
    /* 17: [A] 6.17, writes first */
    {"read_write", "17 0030 0002 0030 0002 04 0000 07D0", "17 04 0000 07D0", 2000},
    {"read_write_read_none", "17 0030 0000 0030 0002 04 0000 07D0", "97 03", 1000},
    {"read_write_read_126", "17 0030 007E 0030 0002 04 0000 07D0", "97 03", 1000},
    {"read_write_write_none", "17 0030 0002 0030 0000 00", "97 03", 1000},
    {"read_write_miscounted", "17 0030 0002 0030 0002 02 07D0", "97 03", 1000},
    {"read_write_unreadable", "17 0033 0001 0030 0002 04 0000 07D0", "97 02", 1000},
    {"read_write_read_only", "17 0030 0002 0000 0002 04 0000 07D0", "97 02", 1000},
    {"read_write_range", "17 0030 0002 0030 0002 04 0000 0009", "97 03", 1000},
    {"read_write_cut", "17 0030 0002 0030 0002", "97 03", 1000},
    /* 11: [A] 6.13: id, FF running, "HAN2X 0.1.0" */
    {"server_id", "11", "11 0D 01 FF 48414E3258 20 302E312E30", 1000},
    {"server_id_surplus", "11 00", "91 03", 1000},
    /* 2B/0E: [A] 6.21: "HAN2X open source", "HAN2X", "0.1.0" */
    {"device_id_basic", "2B 0E 01 00",
     "2B 0E 01 82 00 00 03 00 11 48414E3258 20 6F70656E 20 736F75726365 01 05 48414E3258 "
     "02 05 302E312E30",
     1000},
    {"device_id_from_1", "2B 0E 01 01", "2B 0E 01 82 00 00 02 01 05 48414E3258 02 05 302E312E30",
     1000},
    {"device_id_unknown_restarts", "2B 0E 01 7F",
     "2B 0E 01 82 00 00 03 00 11 48414E3258 20 6F70656E 20 736F75726365 01 05 48414E3258 "
     "02 05 302E312E30",
     1000},
    {"device_id_one", "2B 0E 04 02", "2B 0E 04 82 00 00 01 02 05 302E312E30", 1000},
    {"device_id_one_unknown", "2B 0E 04 7F", "AB 02", 1000},
    {"device_id_regular_from_5", "2B 0E 02 05",
     "2B 0E 02 82 00 00 02 05 05 48414E3258 06 2B 4E6F7277656769616E 20 656C6563747269636974"
     "79 20 6D65746572 20 6F6E 20 746865 20 48414E 20 706F7274",
     1000},
    {"device_id_code_0", "2B 0E 00 00", "AB 03", 1000},
    {"device_id_code_5", "2B 0E 05 00", "AB 03", 1000},
    {"device_id_cut", "2B 0E 01", "AB 03", 1000},
    {"device_id_bare", "2B", "AB 03", 1000},
    {"other_mei", "2B 0D 01 00", "AB 01", 1000},
    /* unknown */
    {"unknown", "41 0000 0001", "C1 01", 1000},
    {"unknown_bare", "64", "E4 01", 1000},
    {"coils", "01 0000 0001", "81 01", 1000},
    {"diagnostics_on_tcp", "08 0000 A537", "88 01", 1000},
    {"zero", "00 0000 0001", "80 01", 1000},
    {"response_code", "83 0000 0001", "83 01", 1000},
    {"code_255", "FF", "FF 01", 1000},
};

static void test_pdus(void **unused)
{
    uint8_t pdu[HX_MB_PDU_MAX], out[HX_MB_PDU_MAX];
    (void)unused;
    for (size_t i = 0; i < sizeof pdu_cases / sizeof pdu_cases[0]; i++) {
        fresh();
        struct hx_span p = {pdu, unhex(pdu_cases[i].request, pdu)};
        size_t n = hx_mb_serve(&dev, NULL, p, out, &wrote);
        check_bytes(pdu_cases[i].name, out, n, pdu_cases[i].answer);
        CHECK_INT(pdu_cases[i].name, state.scale, pdu_cases[i].scale);
        CHECK_INT(pdu_cases[i].name, wrote.done, pdu_cases[i].scale != 1000);
    }
}

static void test_write_is_reported(void **unused)
{
    uint8_t pdu[16], out[HX_MB_PDU_MAX];
    (void)unused;
    fresh();
    struct hx_span p = {pdu, unhex("10 002C 0002 04 0000 07D0", pdu)};
    assert_int_equal(hx_mb_serve(&dev, NULL, p, out, &wrote), 5);
    assert_true(wrote.done);
    assert_int_equal(wrote.first, 44);
    assert_int_equal(wrote.count, 2);
    assert_int_equal(wrote.scale, 2000);
}

/* A master that writes its scale factor in each round is answered, and is no news. */
static void test_the_same_again_is_not_reported(void **unused)
{
    uint8_t pdu[16], out[HX_MB_PDU_MAX];
    (void)unused;
    fresh();
    struct hx_span p = {pdu, unhex("10 0030 0002 04 0000 07D0", pdu)};
    assert_int_equal(hx_mb_serve(&dev, NULL, p, out, &wrote), 5);
    assert_true(wrote.done);
    assert_int_equal(hx_mb_serve(&dev, NULL, p, out, &wrote), 5);
    assert_false(wrote.done);
    assert_int_equal(state.scale, 2000);
}

static void test_writes_forbidden(void **unused)
{
    static const struct {
        const char *name, *request, *answer;
    } cases[] = {
        {"single", "06 0031 07D0", "86 02"},
        {"multiple", "10 0030 0002 04 0000 07D0", "90 02"},
        {"counts_first", "10 0030 0000 00", "90 03"},
        {"mask", "16 0031 00F0 0305", "96 02"},
        {"manual_multiple", "16 0030 0002 04 0000 07D0", "96 02"},
        {"read_write", "17 0030 0002 0030 0002 04 0000 07D0", "97 02"},
        {"reading_goes_on", "03 0031 0001", "03 02 03E8"},
    };
    uint8_t pdu[16], out[HX_MB_PDU_MAX];
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fresh();
        dev.allow_write = false;
        struct hx_span p = {pdu, unhex(cases[i].request, pdu)};
        check_bytes(cases[i].name, out, hx_mb_serve(&dev, NULL, p, out, &wrote), cases[i].answer);
        assert_int_equal(state.scale, 1000);
        assert_false(wrote.done);
    }
}

/* The whole of the manual's map in one read, and the most that one answer can carry. */
static void test_long_reads(void **unused)
{
    uint8_t pdu[8], out[HX_MB_PDU_MAX];
    (void)unused;
    fresh();
    struct hx_span p = {pdu, unhex("03 0000 0033", pdu)};
    assert_int_equal(hx_mb_serve(&dev, NULL, p, out, &wrote), 2 + 102);
    assert_int_equal(out[1], 102);
    check_bytes("power", out + 2, 4, "0000 0956");
    check_bytes("voltage", out + 2 + 28, 4, "0000 0956");
    check_bytes("scale_and_input", out + 2 + 96, 6, "0000 03E8 0000");
    p.len = unhex("03 03E8 007D", pdu);
    assert_int_equal(hx_mb_serve(&dev, NULL, p, out, &wrote), 252);
    assert_int_equal(out[1], 250);
}

/* ---- TCP ---- */

#define GOOD "0001 0000 0006 01 03 000E 0002 "
#define GOOD_ANSWER "0001 0000 0007 01 03 04 0000 0956 " /* manual: byte for byte */

static const struct {
    const char *name, *in, *out;
    enum hx_err end;
} stream_cases[] = {
    {"manual", GOOD, GOOD_ANSWER, HX_MORE},
    {"ids_copied", "FFFE 0000 0006 F7 03 000E 0002", "FFFE 0000 0007 F7 03 04 0000 0956", HX_MORE},
    {"good_bad_bad_good",
     GOOD "0002 0000 0006 01 03 000E 0000 0003 0000 0002 01 64 0004 0000 0006 01 03 000F 0001",
     GOOD_ANSWER "0002 0000 0003 01 83 03 0003 0000 0003 01 E4 01 0004 0000 0005 01 03 02 0956",
     HX_MORE},
    {"frame_and_a_half", GOOD "0002 0000 0006 01", GOOD_ANSWER, HX_MORE},
    {"same_id_twice", GOOD GOOD, GOOD_ANSWER GOOD_ANSWER, HX_MORE},
    {"other_protocol", "0001 0001 0006 01 03 000E 0002" GOOD, GOOD_ANSWER, HX_MORE},
    {"other_protocol_high", "0001 FF00 0006 01 03 000E 0002" GOOD, GOOD_ANSWER, HX_MORE},
    {"too_short_for_its_function", "0007 0000 0004 01 03 000E" GOOD,
     "0007 0000 0003 01 83 03" GOOD_ANSWER, HX_MORE},
    {"length_0", GOOD "0002 0000 0000", GOOD_ANSWER, HX_E_VALUE},
    {"length_1", GOOD "0002 0000 0001", GOOD_ANSWER, HX_E_VALUE},
    {"length_255", "0002 0000 00FF", "", HX_E_VALUE},
    {"length_65535", "0002 0000 FFFF", "", HX_E_VALUE},
    {"length_wrong_in_other_protocol", "0002 0001 FFFF", "", HX_E_VALUE},
    {"length_not_known_yet", "0002 0000 FF", "", HX_MORE},
    {"write_then_read",
     "0001 0000 000B 01 10 0030 0002 04 0000 07D0 0002 0000 0006 01 03 0031 0001",
     "0001 0000 0006 01 10 0030 0002 0002 0000 0005 01 03 02 07D0", HX_MORE},
    {"two_writes", "0001 0000 0006 01 06 0031 07D0 0002 0000 0006 01 06 0031 03E9",
     "0001 0000 0006 01 06 0031 07D0 0002 0000 0006 01 06 0031 03E9", HX_MORE},
    {"nothing", "", "", HX_MORE},
};

static unsigned writes;

/* Feed all of @p in; send whenever asked to. */
static enum hx_err feed(struct hx_mbtcp *c, struct hx_span in, struct hx_wr *all, size_t room)
{
    uint8_t small[1024];
    enum hx_err err;
    do {
        struct hx_wr out = {.ptr = small, .cap = room};
        do {
            err = hx_mbtcp_feed(c, &dev, &in, &out, &wrote);
            assert_int_equal(wrote.done, err == HX_OK);
            writes += wrote.done;
        } while (err == HX_OK);
        hx_wr_bytes(all, small, out.len);
    } while (err == HX_E_SPACE);
    return err;
}

static enum hx_err feed_in_two(const uint8_t *in, size_t cut, size_t len, struct hx_wr *all)
{
    struct hx_mbtcp c;
    hx_mbtcp_init(&c);
    enum hx_err err = feed(&c, (struct hx_span){in, cut}, all, 300);
    if (err == HX_MORE)
        err = feed(&c, (struct hx_span){in + cut, len - cut}, all, 300);
    return err;
}

/* Cut once at every place: the same answers. */
static void test_streams(void **unused)
{
    uint8_t in[300], got[600];
    (void)unused;
    for (size_t i = 0; i < sizeof stream_cases / sizeof stream_cases[0]; i++) {
        size_t len = unhex(stream_cases[i].in, in);
        for (size_t cut = 0; cut <= len; cut++) {
            struct hx_wr all = {.ptr = got, .cap = sizeof got};
            fresh();
            enum hx_err err = feed_in_two(in, cut, len, &all);
            CHECK_INT(stream_cases[i].name, err, stream_cases[i].end);
            check_bytes(stream_cases[i].name, got, all.len, stream_cases[i].out);
        }
    }
}

static void test_byte_by_byte(void **unused)
{
    uint8_t in[300], got[600];
    (void)unused;
    for (size_t i = 0; i < sizeof stream_cases / sizeof stream_cases[0]; i++) {
        struct hx_mbtcp c;
        struct hx_wr all = {.ptr = got, .cap = sizeof got};
        size_t len = unhex(stream_cases[i].in, in);
        enum hx_err err = HX_MORE;
        fresh();
        hx_mbtcp_init(&c);
        for (size_t k = 0; k < len && err == HX_MORE; k++)
            err = feed(&c, (struct hx_span){in + k, 1}, &all, 300);
        CHECK_INT(stream_cases[i].name, err, stream_cases[i].end);
        check_bytes(stream_cases[i].name, got, all.len, stream_cases[i].out);
    }
}

/* No answer before the last octet, and one after it. */
static void test_every_prefix(void **unused)
{
    uint8_t in[16], got[300];
    size_t len = unhex(GOOD, in);
    (void)unused;
    for (size_t n = 0; n < len; n++) {
        struct hx_wr all = {.ptr = got, .cap = sizeof got};
        fresh();
        assert_int_equal(feed_in_two(in, n, n, &all), HX_MORE);
        assert_int_equal(all.len, 0);
    }
}

static void test_writes_are_told_one_by_one(void **unused)
{
    uint8_t in[64], got[300];
    struct hx_wr all = {.ptr = got, .cap = sizeof got};
    struct hx_mbtcp c;
    (void)unused;
    fresh();
    hx_mbtcp_init(&c);
    size_t len = unhex("0001 0000 0006 01 06 0031 07D0 0002 0000 0006 01 06 0031 03E9", in);
    struct hx_span rest = {in, len};
    assert_int_equal(hx_mbtcp_feed(&c, &dev, &rest, &all, &wrote), HX_OK);
    assert_int_equal(wrote.scale, 2000);
    assert_int_equal(rest.len, 12);
    all.cap =
        all.len + HX_MBTCP_ADU_MAX - 1; /* nothing is lost when there is no room for the second */
    assert_int_equal(hx_mbtcp_feed(&c, &dev, &rest, &all, &wrote), HX_E_SPACE);
    assert_false(wrote.done);
    assert_int_equal(state.scale, 2000);
    all.cap = sizeof got;
    assert_int_equal(hx_mbtcp_feed(&c, &dev, &rest, &all, &wrote), HX_OK);
    assert_int_equal(wrote.scale, 1001);
    assert_int_equal(hx_mbtcp_feed(&c, &dev, &rest, &all, &wrote), HX_MORE);
}

static void test_200_in_one_go(void **unused)
{
    static uint8_t in[200 * 12], got[200 * 13];
    struct hx_wr all = {.ptr = got, .cap = sizeof got};
    struct hx_mbtcp c;
    (void)unused;
    fresh();
    hx_mbtcp_init(&c);
    for (unsigned i = 0; i < 200; i++) {
        (void)unhex(GOOD, in + i * 12u);
        in[i * 12u + 1u] = (uint8_t)i;
    }
    assert_int_equal(feed(&c, (struct hx_span){in, sizeof in}, &all, HX_MBTCP_ADU_MAX), HX_MORE);
    assert_int_equal(all.len, sizeof got);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(got[i * 13u + 1u], i);
        check_bytes("answer", got + i * 13u + 2u, 11, "0000 0007 01 03 04 0000 0956");
    }
}

/* 260 octets, the longest frame, and the one behind it; also cut anywhere. */
static void test_longest_frame(void **unused)
{
    uint8_t in[HX_MBTCP_ADU_MAX + 12u] = {0x0A, 0x01, 0, 0, 0, 254, 1, 0x64}, got[300];
    (void)unused;
    (void)unhex(GOOD, in + HX_MBTCP_ADU_MAX);
    for (size_t cut = 0; cut <= sizeof in; cut++) {
        struct hx_wr all = {.ptr = got, .cap = sizeof got};
        fresh();
        assert_int_equal(feed_in_two(in, cut, sizeof in, &all), HX_MORE);
        check_bytes("answers", got, all.len, "0A01 0000 0003 01 E4 01" GOOD_ANSWER);
    }
}

static void test_unit_ids(void **unused)
{
    static const struct {
        const char *name;
        uint8_t own, unit;
        bool any, served;
    } cases[] = {
        {"own", 17, 17, false, true},
        {"zero", 17, 0, false, true},
        {"device_itself", 17, 255, false, true},
        {"foreign", 17, 18, false, false},
        {"foreign_1", 17, 1, false, false},
        {"any", 17, 18, true, true},
    };
    uint8_t in[16], got[300];
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hx_wr all = {.ptr = got, .cap = sizeof got};
        size_t len = unhex(GOOD, in);
        fresh();
        dev.unit = cases[i].own;
        dev.any_unit = cases[i].any;
        in[6] = cases[i].unit;
        assert_int_equal(feed_in_two(in, len, len, &all), HX_MORE);
        CHECK_INT(cases[i].name, got[6], cases[i].unit);
        got[6] = 1;
        check_bytes(cases[i].name, got, all.len,
                    cases[i].served ? GOOD_ANSWER : "0001 0000 0003 01 83 0B");
    }
}

/* A foreign unit's write changes nothing. */
static void test_foreign_unit_cannot_write(void **unused)
{
    uint8_t in[16], got[300];
    struct hx_wr all = {.ptr = got, .cap = sizeof got};
    size_t len = unhex("0001 0000 0006 09 06 0031 07D0", in);
    (void)unused;
    fresh();
    dev.any_unit = false;
    assert_int_equal(feed_in_two(in, len, len, &all), HX_MORE);
    check_bytes("answer", got, all.len, "0001 0000 0003 09 86 0B");
    assert_int_equal(state.scale, 1000);
}

static void test_broken_stream_stays_broken(void **unused)
{
    uint8_t in[32], got[300];
    struct hx_mbtcp c;
    struct hx_wr all = {.ptr = got, .cap = sizeof got};
    size_t len = unhex("0002 0000 0001" GOOD, in);
    (void)unused;
    fresh();
    hx_mbtcp_init(&c);
    assert_int_equal(feed(&c, (struct hx_span){in, 3}, &all, 300), HX_MORE);
    assert_int_equal(feed(&c, (struct hx_span){in + 3, 3}, &all, 300), HX_E_VALUE);
    assert_int_equal(feed(&c, (struct hx_span){in + 6, len - 6}, &all, 300), HX_E_VALUE);
    assert_int_equal(all.len, 0);
}

/* ---- RTU ---- */

/* Bit by bit, unlike the table in the core: [S] 6.2.2 */
static size_t with_crc(uint8_t *frame, size_t n)
{
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < n; i++) {
        crc = (uint16_t)(crc ^ frame[i]);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1u ? crc >> 1 ^ 0xA001u : crc >> 1);
    }
    frame[n] = (uint8_t)crc;
    frame[n + 1] = (uint8_t)(crc >> 8);
    return n + 2;
}

static struct hx_mbrtu line;
static uint8_t sent[HX_MBRTU_ADU_MAX];
static uint64_t now_us;

static void open_line(uint32_t baud)
{
    fresh();
    now_us = 1000000;
    hx_mbrtu_init(&line, 1, baud);
}

static void rx(const char *hex)
{
    uint8_t raw[600];
    size_t n = unhex(hex, raw);
    hx_mbrtu_rx(&line, (struct hx_span){raw, n}, now_us);
}

/* A frame without its CRC, which is added. */
static void rx_frame(const char *hex)
{
    uint8_t raw[600];
    size_t n = with_crc(raw, unhex(hex, raw));
    hx_mbrtu_rx(&line, (struct hx_span){raw, n}, now_us);
}

static size_t poll_after(uint64_t us)
{
    now_us += us;
    return hx_mbrtu_poll(&line, &dev, now_us, sent, &wrote);
}

static void check_answer(const char *name, size_t n, const char *want)
{
    uint8_t expected[300];
    size_t len = with_crc(expected, unhex(want, expected));
    CHECK_INT(name, n, len);
    CHECK(name, memcmp(sent, expected, len) == 0);
}

/* Let all time pass that the line asks for: nothing must be sent. */
static void expect_silence(const char *name)
{
    for (unsigned i = 0; i < 20 && hx_mbrtu_deadline_us(&line) != UINT64_MAX; i++) {
        uint64_t at = hx_mbrtu_deadline_us(&line);
        now_us = at > now_us ? at : now_us;
        CHECK_INT(name, hx_mbrtu_poll(&line, &dev, now_us, sent, &wrote), 0);
    }
    CHECK(name, hx_mbrtu_deadline_us(&line) == UINT64_MAX);
}

/* A good request is answered t3.5 after it. */
static void expect_service(const char *name)
{
    rx_frame("01 03 000E 0002");
    CHECK_INT(name, hx_mbrtu_deadline_us(&line), now_us + line.t35_us);
    check_answer(name, poll_after(line.t35_us), "01 03 04 0000 0956");
}

/* [S] 2.5.1.1: 3.5 characters of 11 bits; fixed 1750 us above 19200 baud. */
static void test_silence_per_speed(void **unused)
{
    static const struct {
        uint32_t baud, t35_us;
    } cases[] = {
        {1200, 32084}, {2400, 16042}, {4800, 8021},   {9600, 4011},
        {19200, 2006}, {38400, 1750}, {115200, 1750},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_line(cases[i].baud);
        assert_int_equal(line.t35_us, cases[i].t35_us);
        assert_int_equal(hx_mbrtu_deadline_us(&line), UINT64_MAX);
        if (cases[i].baud >= 9600)
            assert_true(line.t35_us + line.jitter_us < 20000);
        if (line.t35_us < 16000) /* a USB adapter's pause is bridged */
            assert_true(line.t35_us + line.jitter_us > 16000);
    }
}

/* 01 03 0000 0001 has CRC 840A, sent low octet first: 84 0A. */
static void test_answer_after_silence(void **unused)
{
    (void)unused;
    open_line(9600);
    rx("01 03 00 00 00 01 84 0A");
    assert_int_equal(poll_after(4010), 0); /* never sooner than t3.5 */
    check_answer("at_t35", poll_after(1), "01 03 02 0000");
    assert_int_equal(poll_after(4011), 0);
    assert_int_equal(hx_mbrtu_deadline_us(&line), UINT64_MAX);
    assert_int_equal(line.diag.bus_messages, 1);
    assert_int_equal(line.diag.server_messages, 1);
}

static void test_octets_one_by_one(void **unused)
{
    static const uint8_t frame[] = {1, 3, 0, 0, 0, 1, 0x84, 0x0A};
    (void)unused;
    open_line(9600);
    for (unsigned i = 0; i < sizeof frame; i++) {
        now_us += 1146; /* one character */
        hx_mbrtu_rx(&line, (struct hx_span){frame + i, 1}, now_us);
        assert_int_equal(poll_after(1000), 0);
    }
    check_answer("whole", poll_after(4011), "01 03 02 0000");
}

static const struct {
    const char *name, *frame; /* whole, with CRC or what stands for it */
    unsigned crc_errors;
} silent_cases[] = {
    {"crc_wrong", "01 03 00 00 00 01 84 F5", 1},
    {"crc_swapped", "01 03 00 00 00 01 0A 84", 1},
    {"one_bit", "01 03 01 00 00 01 84 0A", 1},
    {"half_1", "01", 1},
    {"half_2", "01 03", 1},
    {"half_3", "01 03 00", 1},
    {"half_4", "01 03 00 00", 1},
    {"half_7", "01 03 00 00 00 01 84", 1},
    {"address_and_crc_only", "01 7E 80", 1},
    {"noise_into_frame", "00 FF 55 01 03 00 00 00 01 84 0A", 1},
};

static void test_bad_frames_cost_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof silent_cases / sizeof silent_cases[0]; i++) {
        const char *name = silent_cases[i].name;
        open_line(9600);
        rx(silent_cases[i].frame);
        expect_silence(name);
        CHECK_INT(name, line.diag.crc_errors, silent_cases[i].crc_errors);
        CHECK_INT(name, line.diag.bus_messages, 0);
        expect_service(name);
        /* the next frame comes t3.5 after it already: the silence between tells them apart */
        open_line(9600);
        rx(silent_cases[i].frame);
        CHECK_INT(name, poll_after(line.t35_us), 0);
        expect_service(name);
        CHECK_INT(name, line.diag.crc_errors, silent_cases[i].crc_errors);
    }
}

/* Noise of any length, polled on time and then 20 ms of silence, or not polled at all. */
static void test_noise_of_any_length(void **unused)
{
    static uint8_t noise[1200];
    (void)unused;
    memset(noise, 0x55, sizeof noise); /* 55 55 … is no frame: its function has no known length */
    for (size_t n = 1; n < sizeof noise; n += n < 300 ? 1 : 150) {
        open_line(19200);
        hx_mbrtu_rx(&line, (struct hx_span){noise, n}, now_us);
        expect_silence("noise");
        assert_int_equal(line.diag.crc_errors, 1);
        expect_service("noise");
        open_line(19200);
        hx_mbrtu_rx(&line, (struct hx_span){noise, n}, now_us);
        now_us += 20000;
        if (n + 8 <= sizeof line.buf || n > sizeof line.buf)
            expect_service("noise_unpolled");
    }
}

static void test_257_octets(void **unused)
{
    uint8_t frame[300] = {1, 0x64};
    (void)unused;
    open_line(9600);
    hx_mbrtu_rx(&line, (struct hx_span){frame, with_crc(frame, 255)}, now_us);
    expect_silence("257");
    assert_int_equal(line.diag.crc_errors, 1);
    hx_mbrtu_rx(&line, (struct hx_span){frame, with_crc(frame, 254)}, now_us);
    check_answer("256", poll_after(line.t35_us), "01 E4 01");
}

static void test_other_units(void **unused)
{
    static const uint8_t units[] = {2, 100, 247, 248, 255};
    (void)unused;
    for (unsigned i = 0; i < sizeof units; i++) {
        uint8_t frame[16];
        open_line(9600);
        size_t n = unhex("01 03 000E 0000", frame); /* and it is a bad request */
        frame[0] = units[i];
        hx_mbrtu_rx(&line, (struct hx_span){frame, with_crc(frame, n)}, now_us);
        expect_silence("foreign");
        assert_int_equal(line.diag.bus_messages, 1);
        assert_int_equal(line.diag.server_messages, 0);
        assert_int_equal(line.diag.crc_errors, 0);
        expect_service("foreign");
    }
}

static void test_broadcast(void **unused)
{
    static const struct {
        const char *name, *frame;
        uint32_t scale;
    } cases[] = {
        {"read", "00 03 000E 0002", 1000},
        {"single", "00 06 0031 07D0", 2000},
        {"multiple", "00 10 0030 0002 04 0000 07D0", 2000},
        {"mask", "00 16 0031 00F0 0305", 997},
        {"manual_multiple", "00 16 0030 0002 04 0000 07D0", 2000},
        {"bad_count", "00 10 0030 0000 00", 1000},
        {"bad_value", "00 06 0031 0009", 1000},
        {"unknown", "00 64", 1000},
        {"read_write", "00 17 0030 0002 0030 0002 04 0000 07D0", 1000},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_line(9600);
        rx_frame(cases[i].frame);
        CHECK_INT(cases[i].name, poll_after(line.t35_us), 0);
        CHECK_INT(cases[i].name, wrote.done, cases[i].scale != 1000);
        CHECK_INT(cases[i].name, state.scale, cases[i].scale);
        CHECK_INT(cases[i].name, line.diag.no_response, 1);
        CHECK_INT(cases[i].name, line.diag.server_messages, 1);
        expect_silence(cases[i].name);
    }
}

/* What a late reader hands over in one piece: others' talk, then our request. */
static const struct {
    const char *name;
    const char *frames[4]; /* without CRC */
    const char *answer;
} glued_cases[] = {
    {"request_answer_ours",
     {"02 03 0000 0002", "02 03 04 0001 0002", "01 03 000E 0002"},
     "01 03 04 0000 0956"},
    {"exception_ours", {"02 03 0000 0002", "02 83 02", "01 03 000E 0002"}, "01 03 04 0000 0956"},
    {"write_and_echo_ours",
     {"02 06 0000 0001", "02 06 0000 0001", "01 03 000F 0001"},
     "01 03 02 0956"},
    {"write_multiple_ours",
     {"02 10 0000 0002 04 0000 0001", "02 10 0000 0002", "01 03 000F 0001"},
     "01 03 02 0956"},
    {"read_write_ours",
     {"02 17 0000 0001 0000 0001 02 0000", "02 17 02 0000", "01 03 000F 0001"},
     "01 03 02 0956"},
    {"broadcast_ours", {"00 06 0031 07D0", "01 03 0031 0001"}, "01 03 02 07D0"},
    {"ours_stale_ours", {"01 03 0000 0001", "01 03 000F 0001"}, "01 03 02 0956"},
    {"ours_unknown_function_last", {"02 03 0000 0002", "01 64 00"}, "01 E4 01"},
};

static size_t glue(const char *const frames[4], uint8_t *raw)
{
    size_t n = 0;
    for (unsigned i = 0; i < 4 && frames[i] != NULL; i++)
        n += with_crc(raw + n, unhex(frames[i], raw + n));
    return n;
}

/* Poll until something is sent or the line is idle. */
static size_t poll_until_answer(void)
{
    for (unsigned i = 0; i < 20 && hx_mbrtu_deadline_us(&line) != UINT64_MAX; i++) {
        uint64_t at = hx_mbrtu_deadline_us(&line);
        now_us = at > now_us ? at : now_us;
        size_t n = hx_mbrtu_poll(&line, &dev, now_us, sent, &wrote);
        if (n > 0)
            return n;
    }
    return 0;
}

static void test_glued(void **unused)
{
    uint8_t raw[600];
    (void)unused;
    for (size_t i = 0; i < sizeof glued_cases / sizeof glued_cases[0]; i++) {
        size_t len = glue(glued_cases[i].frames, raw);
        for (size_t cut = 0; cut <= len; cut++) { /* and in two pieces, 16 ms apart */
            open_line(9600);
            hx_mbrtu_rx(&line, (struct hx_span){raw, cut}, now_us);
            hx_mbrtu_rx(&line, (struct hx_span){raw + cut, len - cut}, now_us += 300);
            check_answer(glued_cases[i].name, poll_until_answer(), glued_cases[i].answer);
            CHECK_INT(glued_cases[i].name, line.diag.crc_errors, 0);
        }
    }
}

/* A USB adapter hands over one frame in two, 16 ms apart. */
static void test_split_by_the_driver(void **unused)
{
    uint8_t raw[64];
    (void)unused;
    for (size_t cut = 1; cut < 8; cut++) {
        open_line(9600);
        size_t n = with_crc(raw, unhex("01 03 000E 0002", raw));
        hx_mbrtu_rx(&line, (struct hx_span){raw, cut}, now_us);
        assert_int_equal(poll_after(line.t35_us), 0);
        now_us += 16000 - line.t35_us;
        hx_mbrtu_rx(&line, (struct hx_span){raw + cut, n - cut}, now_us);
        check_answer("joined", poll_until_answer(), "01 03 04 0000 0956");
        assert_int_equal(line.diag.crc_errors, 0);
    }
}

/* The other unit's long answer in many pieces, the last one glued to our request. */
static void test_foreign_answer_in_pieces(void **unused)
{
    uint8_t raw[100] = {2, 3, 60}, *end;
    (void)unused;
    open_line(9600);
    size_t n = with_crc(raw, 63);
    end = raw + n;
    n += with_crc(end, unhex("01 03 000E 0002", end));
    for (size_t i = 0; i < n; i += 16) {
        hx_mbrtu_rx(&line, (struct hx_span){raw + i, n - i < 16 ? n - i : 16}, now_us);
        if (i + 16 < n)
            assert_int_equal(poll_after(line.t35_us), 0);
        now_us += 16000 - line.t35_us;
    }
    check_answer("ours", poll_until_answer(), "01 03 04 0000 0956");
}

/* A real pause inside a frame: both halves go. */
static void test_gap_inside(void **unused)
{
    (void)unused;
    open_line(9600);
    rx("01 03 00 00");
    expect_silence("first_half");
    now_us += 100000;
    rx("00 01 84 0A");
    expect_silence("second_half");
    assert_int_equal(line.diag.crc_errors, 2);
    expect_service("after");
}

static void test_line_errors(void **unused)
{
    (void)unused;
    open_line(9600);
    rx("01 03 00");
    hx_mbrtu_line_error(&line); /* the octet that comes next */
    rx("00 00 01 84 0A");
    assert_int_equal(poll_after(line.t35_us), 0);
    assert_int_equal(hx_mbrtu_deadline_us(&line), UINT64_MAX); /* nothing can mend it: gone */
    assert_int_equal(line.diag.crc_errors, 1);
    expect_service("after");
    rx("01 03 00");
    hx_mbrtu_line_error(&line);
    rx("00");
    now_us += 5000; /* a new frame after a silence is not its business */
    expect_service("behind_a_silence");
    assert_int_equal(line.diag.crc_errors, 2);
    rx("55"); /* noise, a silence, and then a frame with a damaged octet */
    now_us += 5000;
    rx("01 03 00");
    hx_mbrtu_line_error(&line);
    rx("00 00 01 84 0A");
    expect_silence("damaged_behind_a_silence");
}

/* Nobody polled: another unit's frame with noise at its end, a silence, ours. */
static void test_noise_behind_a_frame(void **unused)
{
    (void)unused;
    open_line(9600);
    rx_frame("02 03 0000 0001");
    rx("55 55");
    now_us += 5000;
    expect_service("ours");
    assert_int_equal(line.diag.crc_errors, 1);
    assert_int_equal(line.diag.bus_messages, 2);
}

/* Our own answer coming back over a two-wire adapter must not be answered again. */
static void test_no_answer_to_answers(void **unused)
{
    (void)unused;
    open_line(9600);
    rx_frame("01 83 02");
    expect_silence("exception");
    assert_int_equal(line.diag.no_response, 1);
}

/* ---- function 08: [A] 6.8 ---- */

static uint16_t counter(uint8_t sub)
{
    uint8_t frame[16] = {1, 8, 0, sub, 0, 0};
    hx_mbrtu_rx(&line, (struct hx_span){frame, with_crc(frame, 6)}, now_us);
    size_t n = poll_after(line.t35_us);
    assert_int_equal(n, 8);
    assert_int_equal(sent[3], sub);
    return (uint16_t)(sent[4] << 8 | sent[5]);
}

static void ask(const char *name, const char *frame, const char *answer)
{
    rx_frame(frame);
    size_t n = poll_after(line.t35_us);
    if (answer != NULL)
        check_answer(name, n, answer);
    else
        CHECK_INT(name, n, 0);
}

static void test_diagnostics(void **unused)
{
    static const struct {
        const char *name, *frame, *answer;
    } cases[] = {
        {"echo", "01 08 0000 A537", "01 08 0000 A537"},
        {"echo_long", "01 08 0000 A537 1234", "01 08 0000 A537 1234"},
        {"echo_nothing", "01 08 0000", "01 88 03"},
        {"restart", "01 08 0001 0000", "01 08 0001 0000"},
        {"restart_ff00", "01 08 0001 FF00", "01 08 0001 FF00"},
        {"restart_other", "01 08 0001 0001", "01 88 03"},
        {"register", "01 08 0002 0000", "01 08 0002 0000"},
        {"delimiter_is_ascii_only", "01 08 0003 0A00", "01 88 01"},
        {"clear", "01 08 000A 0000", "01 08 000A 0000"},
        {"nak", "01 08 0010 0000", "01 08 0010 0000"},
        {"busy", "01 08 0011 0000", "01 08 0011 0000"},
        {"overrun", "01 08 0012 0000", "01 08 0012 0000"},
        {"clear_overrun", "01 08 0014 0000", "01 08 0014 0000"},
        {"unknown", "01 08 00FF 0000", "01 88 01"},
        {"unknown_16_bit", "01 08 0100 0000", "01 88 01"},
        {"counter_data", "01 08 000B 0001", "01 88 03"},
        {"cut", "01 08 00", "01 88 03"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_line(9600);
        ask(cases[i].name, cases[i].frame, cases[i].answer);
    }
}

/* One bad CRC, one for another unit, one exception, one broadcast; each question counts itself. */
static void test_counters(void **unused)
{
    (void)unused;
    open_line(9600);
    ask("some", "01 03 0000 0000", "01 83 03");
    ask("clear", "01 08 000A 0000", "01 08 000A 0000");
    rx("01 03 00 00 00 01 84 F5");
    expect_silence("bad");
    ask("foreign", "02 03 0000 0001", NULL);
    ask("exception", "01 03 0000 0000", "01 83 03");
    ask("broadcast", "00 64", NULL);
    assert_int_equal(counter(0x0B), 4); /* bus: foreign, exception, broadcast, this */
    assert_int_equal(counter(0x0C), 1);
    assert_int_equal(counter(0x0D), 1);
    assert_int_equal(counter(0x0E), 6); /* exception, broadcast, three counters, this */
    assert_int_equal(counter(0x0F), 1); /* the broadcast */
}

static void test_listen_only(void **unused)
{
    (void)unused;
    open_line(9600);
    ask("enter", "01 08 0004 0000", NULL);
    ask("mute", "01 03 0000 0001", NULL);
    ask("write", "01 06 0031 07D0", NULL);
    ask("broadcast", "00 06 0031 07D0", NULL);
    ask("counter", "01 08 000B 0000", NULL);
    ask("bad_way_out", "01 08 0001 0001", NULL);
    assert_int_equal(state.scale, 1000);
    assert_true(line.diag.listen_only);
    ask("leave", "01 08 0001 0000", NULL);
    assert_false(line.diag.listen_only);
    ask("back", "01 03 000F 0001", "01 03 02 0956");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pdus),
        cmocka_unit_test(test_write_is_reported),
        cmocka_unit_test(test_the_same_again_is_not_reported),
        cmocka_unit_test(test_writes_forbidden),
        cmocka_unit_test(test_long_reads),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_writes_are_told_one_by_one),
        cmocka_unit_test(test_200_in_one_go),
        cmocka_unit_test(test_longest_frame),
        cmocka_unit_test(test_unit_ids),
        cmocka_unit_test(test_foreign_unit_cannot_write),
        cmocka_unit_test(test_broken_stream_stays_broken),
        cmocka_unit_test(test_silence_per_speed),
        cmocka_unit_test(test_answer_after_silence),
        cmocka_unit_test(test_octets_one_by_one),
        cmocka_unit_test(test_bad_frames_cost_nothing),
        cmocka_unit_test(test_noise_of_any_length),
        cmocka_unit_test(test_257_octets),
        cmocka_unit_test(test_other_units),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_glued),
        cmocka_unit_test(test_split_by_the_driver),
        cmocka_unit_test(test_foreign_answer_in_pieces),
        cmocka_unit_test(test_gap_inside),
        cmocka_unit_test(test_line_errors),
        cmocka_unit_test(test_noise_behind_a_frame),
        cmocka_unit_test(test_no_answer_to_answers),
        cmocka_unit_test(test_diagnostics),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_listen_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
