/* test_registers.c - the register map: its layout, its values, its limits, its writes. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "hx/registers.h"

static struct hx_registers image;
static char text[HX_REGISTERS_DOC_MAX];

static const struct hx_register *find(const char *name)
{
    size_t n;
    const struct hx_register *t = hx_register_table(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(t[i].name, name) == 0)
            return &t[i];
    fail_msg("no register %s", name);
    return NULL;
}

static uint64_t at(unsigned address, unsigned words)
{
    const uint8_t *p = hx_registers_read(&image, (uint16_t)address, (uint16_t)words);
    uint64_t v = 0;
    assert_non_null(p);
    for (unsigned i = 0; i < words * 2; i++)
        v = v << 8 | p[i];
    return v;
}

static uint64_t get(const char *name)
{
    const struct hx_register *row = find(name);
    return at(row->address, row->words);
}

static struct hx_state fresh(void)
{
    struct hx_state s;
    memset(&s, 0, sizeof s);
    hx_meter_init(&s.meter);
    for (unsigned i = 0; i < 4; i++)
        hx_energy_init(&s.energy[i]);
    s.scale = HX_SCALE_DEFAULT;
    return s;
}

static void set(struct hx_state *s, enum hx_field f, int64_t v)
{
    s->meter.value[f] = (struct hx_value){.num = v, .at_ms = s->now_ms, .quality = HX_MEASURED};
}

/* ---- layout ---- */

static void test_table_is_contiguous(void **unused)
{
    size_t n;
    const struct hx_register *t = hx_register_table(&n);
    unsigned next = 0;
    (void)unused;
    for (size_t i = 0; i < n; i++) {
        if (next == HX_REG_MAIN_COUNT)
            next = HX_REG_EXT_FIRST;
        CHECK_INT(t[i].name, t[i].address, next);
        CHECK(t[i].name, t[i].words > 0);
        next += t[i].words;
        for (size_t k = 0; k < i; k++)
            CHECK(t[i].name, strcmp(t[i].name, t[k].name) != 0);
    }
    assert_int_equal(next, HX_REG_EXT_FIRST + HX_REG_EXT_COUNT);
}

static void test_types_have_their_size(void **unused)
{
    static const unsigned words[] = {1, 1, 2, 2, 4, 2, 16}; /* order of enum hx_reg_type */
    size_t n;
    const struct hx_register *t = hx_register_table(&n);
    (void)unused;
    for (size_t i = 0; i < n; i++)
        if (t[i].type != HX_REG_RESERVED)
            CHECK_INT(t[i].name, t[i].words, words[t[i].type]);
}

static void test_texts_need_no_escapes(void **unused)
{
    size_t n;
    const struct hx_register *t = hx_register_table(&n);
    (void)unused;
    for (size_t i = 0; i < n; i++) {
        const char *texts[] = {t[i].name, t[i].unit, t[i].meaning};
        for (unsigned k = 0; k < 3; k++)
            for (const char *c = texts[k]; *c != '\0'; c++)
                CHECK(t[i].name, (unsigned char)*c >= 0x20 && *c != '"' && *c != '\\' && *c != '|');
        CHECK(t[i].name, strchr(t[i].unit, ',') == NULL);
        CHECK(t[i].name, t[i].meaning[strlen(t[i].meaning) - 1] == '.');
    }
}

/* Device manual 2025-04b, "Modbusregistere", as register numbers. */
static const struct {
    const char *name;
    unsigned number, words;
    enum hx_reg_type type;
    bool writable;
} manual[] = {
    {"active_power_import", 40001, 2, HX_REG_U32, false},
    {"active_power_export", 40003, 2, HX_REG_U32, false},
    {"reactive_power_import", 40005, 2, HX_REG_U32, false},
    {"reactive_power_export", 40007, 2, HX_REG_U32, false},
    {"current_l1", 40009, 2, HX_REG_S32, false},
    {"current_l2", 40011, 2, HX_REG_S32, false},
    {"current_l3", 40013, 2, HX_REG_S32, false},
    {"voltage_l1", 40015, 2, HX_REG_U32, false},
    {"voltage_l2", 40017, 2, HX_REG_U32, false},
    {"voltage_l3", 40019, 2, HX_REG_U32, false},
    {"active_energy_import", 40021, 2, HX_REG_U32, false},
    {"active_energy_export", 40023, 2, HX_REG_U32, false},
    {"reactive_energy_import", 40025, 2, HX_REG_U32, false},
    {"reactive_energy_export", 40027, 2, HX_REG_U32, false},
    {"active_energy_import_estimated", 40029, 2, HX_REG_U32, false},
    {"active_energy_export_estimated", 40031, 2, HX_REG_U32, false},
    {"reactive_energy_import_estimated", 40033, 2, HX_REG_U32, false},
    {"reactive_energy_export_estimated", 40035, 2, HX_REG_U32, false},
    {"clock_year", 40037, 1, HX_REG_U16, false},
    {"clock_month", 40038, 1, HX_REG_U16, false},
    {"clock_day", 40039, 1, HX_REG_U16, false},
    {"clock_hour", 40040, 1, HX_REG_U16, false},
    {"clock_minute", 40041, 1, HX_REG_U16, false},
    {"clock_second", 40042, 1, HX_REG_U16, false},
    {"firmware_version", 40043, 1, HX_REG_U16, false},
    {"board_temperature", 40044, 1, HX_REG_U16, false},
    {"scale_alias", 40045, 2, HX_REG_U32, true},
    {"unused_40047", 40047, 1, HX_REG_RESERVED, false},
    {"hours_since_start", 40048, 1, HX_REG_U16, false},
    {"scale", 40049, 2, HX_REG_U32, true},
    {"digital_input", 40051, 1, HX_REG_U16, false},
};

static void test_manual_map(void **unused)
{
    size_t n;
    const struct hx_register *t = hx_register_table(&n);
    (void)unused;
    for (size_t i = 0; i < sizeof manual / sizeof manual[0]; i++) {
        CHECK(manual[i].name, strcmp(t[i].name, manual[i].name) == 0);
        CHECK_INT(manual[i].name, t[i].address + 40001u, manual[i].number);
        CHECK_INT(manual[i].name, t[i].words, manual[i].words);
        CHECK_INT(manual[i].name, t[i].type, manual[i].type);
        CHECK_INT(manual[i].name, t[i].writable, manual[i].writable);
    }
}

/* Once given out, an address of the extension block stays. */
static const struct {
    const char *name;
    unsigned number;
} promised[] = {
    {"extension_version", 41001},
    {"link", 41002},
    {"status_flags", 41003},
    {"meter_maker", 41005},
    {"board_temperature_signed", 41008},
    {"uptime", 41009},
    {"starts", 41011},
    {"device_number", 41013},
    {"meter_clock_utc", 41015},
    {"wall_clock_utc", 41017},
    {"telegrams", 41041},
    {"dropped", 41049},
    {"line_errors", 41051},
    {"bytes_received", 41053},
    {"dropped_head", 41061},
    {"dropped_energy", 41085},
    {"active_power_import_f32", 41101},
    {"reactive_energy_export_estimated_f32", 41135},
    {"active_power_import_quality", 41141},
    {"active_power_import_age", 41142},
    {"clock_age", 41178},
    {"active_energy_import_u64", 41181},
    {"reactive_energy_export_estimated_u64", 41209},
    {"meter_list_version", 41221},
    {"meter_id", 41237},
    {"meter_type", 41253},
};

static void test_extension_addresses(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
        CHECK_INT(promised[i].name, find(promised[i].name)->address + 40001u, promised[i].number);
}

/* ---- reading ---- */

static void test_read_edges(void **unused)
{
    static const struct {
        unsigned first, count;
        bool ok;
    } cases[] = {
        {0, 51, true},        {0, 52, false},     {50, 1, true},     {50, 2, false},
        {51, 1, false},       {999, 1, false},    {999, 2, false},   {1000, 1, true},
        {1000, 268, true},    {1000, 269, false}, {1267, 1, true},   {1267, 2, false},
        {1268, 1, false},     {65535, 1, false},  {65535, 2, false}, {0, 65535, false},
        {1000, 65535, false}, {0, 0, false},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *p =
            hx_registers_read(&image, (uint16_t)cases[i].first, (uint16_t)cases[i].count);
        if ((p != NULL) != cases[i].ok)
            fail_msg("read of %u from %u", cases[i].count, cases[i].first);
    }
    assert_ptr_equal(hx_registers_read(&image, 3, 1), image.main + 6);
    assert_ptr_equal(hx_registers_read(&image, 1003, 1), image.ext + 6);
}

static void test_nothing_known_reads_0(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    s.meter.value[HX_P_IMPORT].num = 77; /* leftovers of an unknown value never show */
    s.temp_cc = 2150;
    s.input_closed = true;
    hx_registers_render(&image, &s);
    for (unsigned i = 0; i < HX_REG_MAIN_COUNT; i++) {
        uint64_t want = i == 42 ? 1u : i == 45 || i == 49 ? 1000u : 0u; /* version 0.1, scale */
        if (at(i, 1) != want)
            fail_msg("register %u is %llu", 40001 + i, (unsigned long long)at(i, 1));
    }
    assert_true(get("active_power_import_f32") == 0x7FC00000);
    assert_true(get("reactive_energy_export_estimated_f32") == 0x7FC00000);
    assert_true(get("active_energy_import_u64") == UINT64_MAX);
    assert_true(get("active_energy_import_estimated_u64") == UINT64_MAX);
    assert_true(get("active_power_import_quality") == 0);
    assert_true(get("active_power_import_age") == 65535);
    assert_true(get("active_energy_import_estimated_age") == 65535);
    assert_true(get("clock_quality") == 0 && get("clock_age") == 65535);
    assert_true(get("board_temperature_signed") == 0x8000);
    assert_true(get("status_flags") == 0);
    assert_true(get("extension_version") == 1);
    assert_true(get("meter_clock_utc") == 0 && get("wall_clock_utc") == 0);
}

/* One value in one field at one scale, and what its register must say. */
static const struct {
    const char *name;
    const char *reg;
    enum hx_field field;
    int64_t value;
    uint32_t scale;
    uint64_t want;
    bool saturated;
} value_cases[] = {
    {"manual_example", "voltage_l1", HX_U_L1, 239000, 1000, 2390, false}, /* 239.0 V */
    {"voltage_not_scaled", "voltage_l1", HX_U_L1, 239000, 2000, 2390, false},
    {"voltage_half_up", "voltage_l2", HX_U_L2, 230050, 1000, 2301, false},
    {"voltage_below_half", "voltage_l3", HX_U_L3, 230049, 1000, 2300, false},
    {"power", "active_power_export", HX_P_EXPORT, 1234, 1500, 1851, false},
    {"reactive", "reactive_power_export", HX_Q_EXPORT, 99, 1000, 99, false},
    {"current_negative", "current_l1", HX_I_L1, -1500, 1000, 0xFFFFFA24, false},
    {"current_scaled", "current_l2", HX_I_L2, 12345, 2000, 24690, false},
    {"kwh_down", "active_energy_import", HX_E_IMPORT, 12345999, 1000, 12345, false},
    {"kwh_down_after_scale", "active_energy_export", HX_E_EXPORT, 1500, 2000, 3, false},
    {"kvarh", "reactive_energy_export", HX_R_EXPORT, 999, 1000, 0, false},
    {"power_at_limit", "active_power_import", HX_P_IMPORT, 4294967295, 1000, 4294967295, false},
    {"power_over", "active_power_import", HX_P_IMPORT, 4294967296, 1000, 4294967295, true},
    {"power_scaled_over", "active_power_import", HX_P_IMPORT, 4295, 999999999, 4294967295, true},
    {"power_scaled_below", "active_power_import", HX_P_IMPORT, 4294, 999999999, 4293999996, false},
    {"power_negative", "active_power_import", HX_P_IMPORT, -1, 1000, 0, true},
    {"current_over", "current_l3", HX_I_L3, 2147483648, 1000, 0x7FFFFFFF, true},
    {"current_under", "current_l3", HX_I_L3, -2147483649, 1000, 0x80000000, true},
    {"current_least", "current_l3", HX_I_L3, -2147483648, 1000, 0x80000000, false},
    {"energy_wraps_not", "active_energy_import", HX_E_IMPORT, 4294967295, 1000000, 4294967295,
     false}, /* the manual's maximum just fits: 4294967295 Wh x 1000 = 4294967295 kWh */
    {"energy_over", "active_energy_import", HX_E_IMPORT, 4294967295, 1000001, 4294967295, true},
    {"energy_far_over", "reactive_energy_import", HX_R_IMPORT, INT64_MAX, 999999999, 4294967295,
     true},
    /* extension: finer */
    {"wh64", "active_energy_import_u64", HX_E_IMPORT, 12345999, 1000, 12345999, false},
    {"wh64_scaled", "reactive_energy_import_u64", HX_R_IMPORT, 1999, 999, 1997, false},
    {"f32_power", "active_power_import_f32", HX_P_IMPORT, 2390, 1000, 0x45156000, false},
    {"f32_voltage", "voltage_l1_f32", HX_U_L1, 239000, 1000, 0x436F0000, false}, /* 239.0 */
    {"f32_tenth", "voltage_l1_f32", HX_U_L1, 231100, 1000, 0x4367199A, false},   /* 231.1 */
    {"f32_current", "current_l1_f32", HX_I_L1, -510, 1000, 0xBF028F5C, false},   /* -0.51 */
    {"f32_energy", "active_energy_import_f32", HX_E_IMPORT, 1500, 1000, 0x3FC00000, false},
};

static void test_values(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof value_cases / sizeof value_cases[0]; i++) {
        struct hx_state s = fresh();
        s.scale = value_cases[i].scale;
        set(&s, value_cases[i].field, value_cases[i].value);
        hx_registers_render(&image, &s);
        CHECK_INT(value_cases[i].name, get(value_cases[i].reg), value_cases[i].want);
        CHECK_INT(value_cases[i].name, image.saturated, value_cases[i].saturated);
        CHECK_INT(value_cases[i].name, (get("status_flags") & HX_FLAG_SATURATED) != 0,
                  value_cases[i].saturated);
    }
}

static void test_clock_and_inputs(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    s.meter.clock =
        (struct hx_cosem_time){.local = {2025, 4, 13, 12, 34, 56}, .present = true, .known = true};
    s.input_known = s.input_closed = s.temp_known = true;
    s.temp_cc = 2150;
    s.now_ms = 7200000; /* 2 h */
    hx_registers_render(&image, &s);
    static const unsigned want[] = {2025, 4, 13, 12, 34, 56};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(at(36 + i, 1), want[i]);
    assert_int_equal(get("digital_input"), 1);
    assert_int_equal(get("board_temperature"), 2150);
    assert_int_equal(get("hours_since_start"), 2);
    assert_int_equal(get("uptime"), 7200);
}

static void test_clamps(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    s.temp_known = true;
    s.temp_cc = -1050;
    s.now_ms = 65536ull * 3600000u;
    hx_registers_render(&image, &s);
    assert_int_equal(get("board_temperature"), 0);
    assert_int_equal(get("board_temperature_signed"), 0xFBE6); /* -1050 */
    assert_int_equal(get("hours_since_start"), 65535);
    assert_false(image.saturated); /* only scaled values count */
    s.temp_cc = 70000;
    s.now_ms -= 3600000u;
    hx_registers_render(&image, &s);
    assert_int_equal(get("board_temperature"), 65535);
    assert_int_equal(get("board_temperature_signed"), 0x7FFF);
    assert_int_equal(get("hours_since_start"), 65535);
    s.now_ms -= 3600000u;
    hx_registers_render(&image, &s);
    assert_int_equal(get("hours_since_start"), 65534);
}

static void test_estimates(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    hx_energy_total(&s.energy[0], 5000999, 0, 0);
    hx_energy_total(&s.energy[3], 1999, 0, 0);
    hx_energy_power(&s.energy[0], 1000, 1000);
    s.now_ms = 4500;
    hx_registers_render(&image, &s);
    assert_int_equal(get("active_energy_import_estimated"), 5000);
    assert_int_equal(get("active_energy_export_estimated"), 0);
    assert_int_equal(get("reactive_energy_export_estimated"), 1);
    assert_true(get("active_energy_import_estimated_u64") == 5000999);
    assert_int_equal(get("active_energy_import_estimated_quality"), HX_ESTIMATED);
    assert_int_equal(get("active_energy_import_estimated_age"), 3); /* power at 1.0 s, now 4.5 s */
    assert_int_equal(get("active_energy_export_estimated_quality"), HX_UNKNOWN);
    assert_int_equal(get("reactive_energy_export_estimated_age"), 65535); /* no power seen */
    assert_int_equal(get("status_flags"), 0);
    s.energy[0].held = true;
    hx_registers_render(&image, &s);
    assert_int_equal(get("active_energy_import_estimated_quality"), HX_HELD);
    assert_int_equal(get("status_flags"), HX_FLAG_ESTIMATE_HELD);
    s.scale = HX_SCALE_MAX; /* 5000.999 kWh x 999999.999 is over 2^32 kWh */
    hx_registers_render(&image, &s);
    assert_int_equal(get("active_energy_import_estimated"), 4294967295);
    assert_true(image.saturated);
}

static void test_quality_and_age(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    s.now_ms = 1000;
    set(&s, HX_U_L2, 230000);
    s.now_ms = 3999;
    hx_registers_render(&image, &s);
    assert_int_equal(get("voltage_l2_quality"), HX_MEASURED);
    assert_int_equal(get("voltage_l2_age"), 2);
    s.now_ms = 1000 + 65534999ull;
    hx_registers_render(&image, &s);
    assert_int_equal(get("voltage_l2_age"), 65534);
    s.now_ms = 1000 + 70000000ull;
    hx_registers_render(&image, &s);
    assert_int_equal(get("voltage_l2_age"), 65535);
    s.now_ms = 500; /* a value from later than now is new, not old */
    hx_registers_render(&image, &s);
    assert_int_equal(get("voltage_l2_age"), 0);
}

static void test_flags_one_by_one(void **unused)
{
    struct hx_state off = fresh(), s;
    (void)unused;
    off.now_ms = 100000;
#define FLAG(flag, set_it)                                                                         \
    do {                                                                                           \
        s = off;                                                                                   \
        set_it;                                                                                    \
        hx_registers_render(&image, &s);                                                           \
        CHECK_INT(#flag, get("status_flags"), flag);                                               \
    } while (0)
    FLAG(1 << 0, s.link = HX_LINK_GOOD);
    FLAG(1 << 1, s.simulated = true);
    FLAG(1 << 2, set(&s, HX_P_IMPORT, 4294967296));
    FLAG(1 << 3, s.meter.clock.known = true);
    FLAG(1 << 4, s.utc_known = true);
    FLAG(1 << 5, s.energy[3].held = true);
    FLAG(1 << 6, s.input_known = true);
    FLAG(1 << 7, s.temp_known = true);
    FLAG(1 << 8, s.link = HX_LINK_ENCRYPTED);
    FLAG(1 << 9, s.meter.known = true);
    FLAG(1 << 10, s.meter.claim_known = true);
    FLAG(1 << 10, s.meter.claim.pending = true);
    FLAG(1 << 11, (s.any_good = true, s.last_good_ms = 100000 - 59999));
    FLAG(0, (s.any_good = true, s.last_good_ms = 100000 - 60000)); /* manual, "Indikatorlys" */
    FLAG(1 << 12, s.scale = 1001);
    FLAG(0, s.link = HX_LINK_FOREIGN);
#undef FLAG
}

static void test_counters_and_identity(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    s.telegrams = 70000;
    s.lists[1] = 11;
    s.lists[2] = 12;
    s.lists[3] = 13;
    s.drops[8] = 4;  /* HX_E_FCS is -8 */
    s.drops[17] = 5; /* HX_E_ENERGY is -17 */
    s.line_errors = 6;
    s.bytes = 0x123456789Aull;
    s.starts = 3;
    s.device_number = 70388;
    s.meter.maker = HX_MAKER_KAMSTRUP;
    s.meter.grid = HX_GRID_3WIRE;
    s.meter.last_list = 2;
    s.meter.id = (struct hx_text){.len = 4, .s = {'5', '7', '\xE6', 0}};
    memset(s.meter.type.s, 'x', HX_TEXT_MAX);
    s.meter.type.len = HX_TEXT_MAX;
    hx_registers_render(&image, &s);
    assert_int_equal(get("telegrams"), 70000);
    assert_int_equal(get("telegrams_list1"), 11);
    assert_int_equal(get("telegrams_list2"), 12);
    assert_int_equal(get("telegrams_list3"), 13);
    assert_int_equal(get("dropped"), 9);
    assert_int_equal(get("dropped_fcs"), 4);
    assert_int_equal(get("dropped_energy"), 5);
    assert_int_equal(get("dropped_hcs"), 0);
    assert_int_equal(get("line_errors"), 6);
    assert_true(get("bytes_received") == 0x123456789Aull);
    assert_int_equal(get("starts"), 3);
    assert_int_equal(get("device_number"), 70388);
    assert_int_equal(get("meter_maker"), 3);
    assert_int_equal(get("meter_grid"), 2);
    assert_int_equal(get("meter_list"), 2);
    static const uint8_t id[32] = "57?"; /* not ASCII: a question mark; then NUL to the end */
    assert_memory_equal(hx_registers_read(&image, 1236, 16), id, 32);
    assert_memory_equal(hx_registers_read(&image, 1252, 16), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                        32);
}

/* 2025-10-26 02:30 local comes twice: 00:30 and 01:30 UTC. Kaifa sends local time without a zone,
 * so our own clock has to tell. 2025-10-26T00:00Z is 1761436800. */
static void test_meter_utc_in_the_double_hour(void **unused)
{
    struct hx_state s = fresh();
    (void)unused;
    s.meter.maker = HX_MAKER_KAIFA;
    s.meter.clock = (struct hx_cosem_time){.local = {2025, 10, 26, 2, 30, 0},
                                           .deviation_min = HX_COSEM_NO_DEVIATION,
                                           .status = 0xFF,
                                           .present = true,
                                           .known = true};
    s.now_ms = s.meter.clock_at_ms = 50000;
    s.utc_known = true;
    s.utc_ms = (1761436800ll + 1803) * 1000; /* 00:30:03 UTC */
    hx_registers_render(&image, &s);
    assert_int_equal(get("meter_clock_utc"), 1761436800ll + 1800);
    assert_int_equal(get("wall_clock_utc"), 1761436800ll + 1803);
    s.utc_ms = (1761436800ll + 5397) * 1000; /* 01:29:57 UTC: our clock may be a little behind */
    hx_registers_render(&image, &s);
    assert_int_equal(get("meter_clock_utc"), 1761436800ll + 5400);
    s.utc_ms = (1761436800ll + 1803 + 3600) * 1000; /* the first telegram again, an hour old */
    s.now_ms += 3600000;
    hx_registers_render(&image, &s);
    assert_int_equal(get("meter_clock_utc"), 1761436800ll + 1800);
}

/* ---- writing ---- */

static const struct {
    const char *name;
    unsigned first, count;
    const char *values;
    enum hx_err want;
    uint32_t scale; /* after it; 1000 before */
} write_cases[] = {
    {"whole", 48, 2, "0000 07D0", HX_OK, 2000},
    {"alias", 44, 2, "0000 07D0", HX_OK, 2000},
    {"low_half", 49, 1, "000A", HX_OK, 10},
    {"low_half_of_alias", 45, 1, "07D0", HX_OK, 2000},
    {"high_half", 48, 1, "0001", HX_OK, 66536}, /* 0x000103E8 */
    {"least", 48, 2, "0000 000A", HX_OK, 10},
    {"below_least", 48, 2, "0000 0009", HX_E_VALUE, 1000},
    {"zero", 48, 2, "0000 0000", HX_E_VALUE, 1000},
    {"most", 48, 2, "3B9A C9FF", HX_OK, 999999999},
    {"above_most", 48, 2, "3B9A CA00", HX_E_VALUE, 1000},
    {"low_half_too_small", 49, 1, "0009", HX_E_VALUE, 1000},
    {"high_half_too_large", 48, 1, "3B9B", HX_E_VALUE, 1000},
    {"read_only", 0, 1, "0001", HX_E_LEN, 1000},
    {"runs_into_read_only", 48, 3, "0000 07D0 0000", HX_E_LEN, 1000},
    {"begins_in_read_only", 47, 3, "0000 0000 07D0", HX_E_LEN, 1000},
    {"alias_into_unused", 45, 2, "07D0 0000", HX_E_LEN, 1000},
    {"outside", 51, 1, "07D0", HX_E_LEN, 1000},
    {"extension", 1000, 1, "0001", HX_E_LEN, 1000},
    {"past_the_end", 65535, 2, "0000 07D0", HX_E_LEN, 1000},
    {"none", 48, 0, "", HX_E_LEN, 1000},
};

static void test_writes(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof write_cases / sizeof write_cases[0]; i++) {
        struct hx_state s = fresh();
        uint8_t values[8];
        unhex(write_cases[i].values, values);
        set(&s, HX_P_IMPORT, 5000);
        hx_registers_render(&image, &s);
        enum hx_err err = hx_registers_write(&image, &s, (uint16_t)write_cases[i].first,
                                             (uint16_t)write_cases[i].count, values);
        CHECK_INT(write_cases[i].name, err, write_cases[i].want);
        CHECK_INT(write_cases[i].name, s.scale, write_cases[i].scale);
        CHECK_INT(write_cases[i].name, get("scale"), write_cases[i].scale);
        CHECK_INT(write_cases[i].name, get("scale_alias"), write_cases[i].scale);
        /* 5000 W x scale / 1000, at most 2^32 - 1 */
        uint64_t power = 5ull * write_cases[i].scale;
        CHECK_INT(write_cases[i].name, get("active_power_import"),
                  power > UINT32_MAX ? UINT32_MAX : power);
    }
}

/* ---- float32 ---- */

/* IEEE 754 binary32, worked out from sign, exponent and 23 bits of fraction. */
static const struct {
    const char *name;
    int64_t num;
    unsigned decimals;
    uint32_t want;
} float_cases[] = {
    {"zero", 0, 0, 0x00000000},
    {"zero_milli", 0, 3, 0x00000000},
    {"one", 1, 0, 0x3F800000},
    {"minus_one", -1000, 3, 0xBF800000},
    {"a_tenth", 1, 1, 0x3DCCCCCD},         /* 0x1.99999Ap-4, up */
    {"a_third_digit", 333, 3, 0x3EAA7EFA}, /* 0.333 x 2^25 = 11173625.9 -> 0xAA7EFA */
    {"tie_to_even_down", 16777217, 0, 0x4B800000},
    {"exact_above_2_24", 16777218, 0, 0x4B800001},
    {"tie_to_even_up", 16777219, 0, 0x4B800002},
    {"just_above_tie", 167772171, 1, 0x4B800001}, /* 16777217.1 */
    {"just_below_tie", 167772169, 1, 0x4B800000}, /* 16777216.9 */
    {"carries_into_exponent", 33554431, 0, 0x4C000000},
    {"largest", INT64_MAX, 0, 0x5F000000},  /* 2^63 */
    {"smallest", INT64_MIN, 0, 0xDF000000}, /* -2^63 */
    {"atto", 1, 18, 0x219392EF},
};

static void test_float_bits(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof float_cases / sizeof float_cases[0]; i++)
        CHECK_INT(float_cases[i].name, hx_float_bits(float_cases[i].num, float_cases[i].decimals),
                  float_cases[i].want);
}

#ifdef __linux__ /* the C library of a bare machine need not round correctly */
static void compare_float(int64_t num, unsigned decimals)
{
    char number[48];
    uint32_t want;
    (void)snprintf(number, sizeof number, "%llde-%u", (long long)num, decimals);
    float f = strtof(number, NULL);
    memcpy(&want, &f, sizeof want);
    if (hx_float_bits(num, decimals) != want)
        fail_msg("%s: %08x, not %08x", number, (unsigned)hx_float_bits(num, decimals),
                 (unsigned)want);
}

static void test_float_like_the_library(void **unused)
{
    uint64_t x = 0x9E3779B97F4A7C15ull; /* xorshift: any seed but 0 */
    (void)unused;
    for (unsigned i = 0; i < 50000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        int64_t num = (int64_t)(x >> (x & 63u)); /* every size */
        compare_float((i & 1u) != 0 ? num : -num, i % 19u);
        compare_float((int64_t)1 << (i % 62u), i % 19u);
        compare_float(((int64_t)1 << (i % 62u)) + 1, 0);
    }
}
#endif

/* ---- documentation ---- */

static size_t count(const char *needle)
{
    size_t n = 0;
    for (const char *p = strstr(text, needle); p != NULL; p = strstr(p + 1, needle))
        n++;
    return n;
}

static void write_doc(void (*doc)(struct hx_wr *))
{
    struct hx_wr w = {.ptr = (uint8_t *)text, .cap = sizeof text - 1};
    doc(&w);
    assert_int_equal(w.err, HX_OK);
    text[w.len] = '\0';
}

static void test_documents(void **unused)
{
    size_t rows;
    (void)hx_register_table(&rows);
    (void)unused;
    write_doc(hx_registers_markdown);
    assert_non_null(strstr(text, "| 40015-40016 | 14 | `voltage_l1` | u32 | 0.1 V | R |"));
    assert_non_null(strstr(text, "| 40049-40050 | 48 | `scale` | u32 | 0.001 | R/W |"));
    assert_non_null(strstr(text, "| 40051 | 50 | `digital_input` |"));
    assert_non_null(strstr(text, "| 2 | `saturated` |"));
    assert_int_equal(count("\n| 4"), rows + 1); /* and status flag 4 */
    write_doc(hx_registers_csv);
    assert_non_null(strstr(text, "\r\n40015,14,2,voltage_l1,u32,0.1 V,R,\"Voltage L1.\"\r\n"));
    assert_int_equal(count("\r\n"), rows + 1);
    write_doc(hx_registers_json);
    assert_non_null(strstr(text, "{\"register\":40015,\"address\":14,\"words\":2,\"name\":"
                                 "\"voltage_l1\",\"type\":\"u32\",\"unit\":\"0.1 V\","
                                 "\"writable\":false,\"meaning\":\"Voltage L1.\"}"));
    assert_int_equal(count("{\"register\":"), rows);
    assert_int_equal(count("{\"bit\":"), 14);
}

static void test_document_without_room(void **unused)
{
    uint8_t small[100];
    struct hx_wr w = {.ptr = small, .cap = sizeof small};
    (void)unused;
    hx_registers_json(&w);
    assert_int_equal(w.err, HX_E_SPACE);
    assert_true(w.len <= sizeof small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_contiguous),
        cmocka_unit_test(test_types_have_their_size),
        cmocka_unit_test(test_texts_need_no_escapes),
        cmocka_unit_test(test_manual_map),
        cmocka_unit_test(test_extension_addresses),
        cmocka_unit_test(test_read_edges),
        cmocka_unit_test(test_nothing_known_reads_0),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_clock_and_inputs),
        cmocka_unit_test(test_clamps),
        cmocka_unit_test(test_estimates),
        cmocka_unit_test(test_quality_and_age),
        cmocka_unit_test(test_flags_one_by_one),
        cmocka_unit_test(test_counters_and_identity),
        cmocka_unit_test(test_meter_utc_in_the_double_hour),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_float_bits),
#ifdef __linux__
        cmocka_unit_test(test_float_like_the_library),
#endif
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_document_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
