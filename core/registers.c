/* registers.c - see hx/registers.h; the rows are in registers.def */
#include "hx/registers.h"

#include <string.h>

/* ---- the table ------------------------------------------------------------------------------- */

/* Where a register's value comes from: one getter each, below. */
enum source {
    SRC_ZERO,
    SRC_FIELD,    /* hx_field, in the unit of the manual's map */
    SRC_ESTIMATE, /* hx_energy, in kWh */
    SRC_CLOCK,    /* part of the meter's clock, year first */
    SRC_FIRMWARE,
    SRC_TEMPERATURE,
    SRC_SCALE,
    SRC_HOURS,
    SRC_INPUT,
    SRC_EXT_VERSION,
    SRC_LINK,
    SRC_FLAGS,
    SRC_MAKER,
    SRC_LIST,
    SRC_GRID,
    SRC_TEMPERATURE_SIGNED,
    SRC_UPTIME,
    SRC_STARTS,
    SRC_DEVICE_NUMBER,
    SRC_METER_UTC,
    SRC_WALL_UTC,
    SRC_TELEGRAMS,
    SRC_LISTS, /* by list number */
    SRC_DROPS, /* by -reason; 0 all of them */
    SRC_LINE_ERRORS,
    SRC_BYTES,
    SRC_FLOAT,    /* point: see below */
    SRC_QUALITY,  /* point */
    SRC_AGE,      /* point */
    SRC_ENERGY64, /* 0-3 measured, 4-7 estimated */
    SRC_TEXT,
    SRC_COUNT
};

/* A point is whatever has a quality and an age: the fields, the four estimates, the clock. */
#define POINT_ESTIMATE HX_FIELD_COUNT
#define POINT_CLOCK (HX_FIELD_COUNT + 4u)

#define SOURCE(kind, index) (uint16_t)((unsigned)(kind) << 8 | (unsigned)(index))
#define ACCESS_RO false
#define ACCESS_RW true

static const struct hx_register table[] = {
#define HX_REGISTER_BLOCK(name, first)
#define HX_REGISTER(name, address, words, type, access, unit, kind, index, meaning)                \
    {address, words, HX_REG_##type, ACCESS_##access,                                               \
     #name,   unit,  meaning,       SOURCE(SRC_##kind, index)},
#include "registers.def"
#undef HX_REGISTER
#undef HX_REGISTER_BLOCK
};
#define TABLE_ROWS (sizeof table / sizeof table[0])

/* Count along the rows: enumerators follow each other by themselves, so AT_<name> is where the row
 * has to be for the block to have neither gap nor overlap. */
enum layout {
#define HX_REGISTER_BLOCK(name, first) LIMIT_BEFORE_##name, LAST_BEFORE_##name = (int)(first)-1,
#define HX_REGISTER(name, address, words, type, access, unit, kind, index, meaning)                \
    AT_##name, END_##name = AT_##name + (words)-1,
#include "registers.def"
#undef HX_REGISTER
#undef HX_REGISTER_BLOCK
    LIMIT_TABLE
};
#define HX_REGISTER_BLOCK(name, first)
#define HX_REGISTER(name, address, words, type, access, unit, kind, index, meaning)                \
    _Static_assert(AT_##name == (address), #name " leaves a gap or overlaps");
#include "registers.def"
#undef HX_REGISTER
#undef HX_REGISTER_BLOCK
_Static_assert((int)LIMIT_BEFORE_extension == (int)HX_REG_MAIN_COUNT, "the manual's map");
_Static_assert((int)LIMIT_TABLE == (int)(HX_REG_EXT_FIRST + HX_REG_EXT_COUNT), "the extension");

const struct hx_register *hx_register_table(size_t *count)
{
    *count = TABLE_ROWS;
    return table;
}

const char *hx_register_type_name(enum hx_reg_type type)
{
    static const char *const names[] = {"u16", "s16",     "u32",  "s32",
                                        "u64", "float32", "text", "reserved"};
    return names[type];
}

/* ---- values ---------------------------------------------------------------------------------- */

struct render {
    const struct hx_state *s;
    bool saturated; /* so far */
};

static uint64_t age_ms(const struct hx_state *s, uint64_t at_ms)
{
    return s->now_ms > at_ms ? s->now_ms - at_ms : 0;
}

static bool estimate_known(const struct hx_state *s, unsigned i)
{
    return s->energy[i].known;
}

static int64_t estimate_wh(const struct hx_state *s, unsigned i)
{
    return hx_state_scaled(s, (enum hx_field)(HX_E_IMPORT + i), hx_energy_wh(&s->energy[i]));
}

static int64_t field_scaled(const struct hx_state *s, unsigned f)
{
    return hx_state_scaled(s, (enum hx_field)f, s->meter.value[f].num);
}

static bool field_known(const struct hx_state *s, unsigned f)
{
    return s->meter.value[f].quality != HX_UNKNOWN;
}

static int64_t get_zero(const struct render *c, unsigned index)
{
    (void)c;
    (void)index;
    return 0;
}

static int64_t get_field(const struct render *c, unsigned f)
{
    if (!field_known(c->s, f))
        return 0;
    if (f >= HX_E_IMPORT) /* Wh to whole kWh, down */
        return field_scaled(c->s, f) / 1000;
    if (f >= HX_U_L1) /* mV to 0.1 V */
        return hx_div_round(field_scaled(c->s, f), 100);
    return field_scaled(c->s, f);
}

static int64_t get_estimate(const struct render *c, unsigned i)
{
    return estimate_known(c->s, i) ? estimate_wh(c->s, i) / 1000 : 0;
}

static int64_t get_clock(const struct render *c, unsigned part)
{
    const struct hx_civil *t = &c->s->meter.clock.local;
    const uint16_t parts[6] = {t->year, t->month, t->day, t->hour, t->minute, t->second};
    return c->s->meter.clock.known ? parts[part] : 0;
}

static int64_t get_firmware(const struct render *c, unsigned index)
{
    (void)c;
    (void)index;
    return HX_VERSION_MAJOR * 100u + HX_VERSION_MINOR;
}

static int64_t get_temperature(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->temp_known ? c->s->temp_cc : 0; /* below zero: the register's limit makes it 0 */
}

static int64_t get_scale(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->scale;
}

static int64_t get_hours(const struct render *c, unsigned index)
{
    (void)index;
    return (int64_t)(hx_state_uptime_s(c->s) / 3600u);
}

static int64_t get_input(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->input_known && c->s->input_closed;
}

static int64_t get_ext_version(const struct render *c, unsigned index)
{
    (void)c;
    (void)index;
    return HX_REG_EXT_VERSION;
}

static int64_t get_link(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->link;
}

static bool is_any_held(const struct hx_state *s)
{
    bool held = false;
    for (unsigned i = 0; i < 4; i++)
        held = held || s->energy[i].held;
    return held;
}

static int64_t get_flags(const struct render *c, unsigned index)
{
    const struct hx_state *s = c->s;
    const bool on[] = {s->link == HX_LINK_GOOD,
                       s->simulated,
                       c->saturated,
                       s->meter.clock.known,
                       s->utc_known,
                       is_any_held(s),
                       s->input_known,
                       s->temp_known,
                       s->link == HX_LINK_ENCRYPTED,
                       s->meter.known,
                       s->meter.claim_known || s->meter.claim.pending,
                       s->any_good && age_ms(s, s->last_good_ms) < HX_LED_HAN_MS,
                       s->scale != HX_SCALE_DEFAULT,
                       s->utc_known && s->utc_from_meter}; /* order of enum hx_status_flag */
    int64_t flags = 0;
    (void)index;
    for (unsigned i = 0; i < sizeof on / sizeof on[0]; i++)
        flags |= on[i] ? (int64_t)1 << i : 0;
    return flags;
}

static int64_t get_maker(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->meter.maker;
}

static int64_t get_list(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->meter.last_list;
}

static int64_t get_grid(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->meter.grid;
}

static int64_t get_temperature_signed(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->temp_known ? c->s->temp_cc : INT16_MIN;
}

static int64_t get_uptime(const struct render *c, unsigned index)
{
    (void)index;
    return (int64_t)hx_state_uptime_s(c->s);
}

static int64_t get_starts(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->starts;
}

static int64_t get_device_number(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->device_number;
}

/* In the autumn hour that comes twice only our own clock tells which of the two the meter means:
 * the meter's time is not earlier than half an hour before ours. */
static int64_t get_meter_utc(const struct render *c, unsigned index)
{
    const struct hx_state *s = c->s;
    int64_t utc_s = 0, earliest_s = INT64_MIN;
    (void)index;
    if (s->utc_known)
        earliest_s = (s->utc_ms - (int64_t)age_ms(s, s->meter.clock_at_ms)) / 1000 - 1800;
    if (!s->meter.clock.known ||
        !hx_meter_clock_utc(s->meter.maker, &s->meter.clock, earliest_s, &utc_s))
        return 0;
    return utc_s;
}

static int64_t get_wall_utc(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->utc_known ? c->s->utc_ms / 1000 : 0;
}

static int64_t get_telegrams(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->telegrams;
}

static int64_t get_lists(const struct render *c, unsigned list)
{
    return c->s->lists[list];
}

static int64_t get_drops(const struct render *c, unsigned reason)
{
    int64_t all = 0;
    if (reason != 0)
        return c->s->drops[reason];
    for (unsigned i = 0; i < HX_ERR_COUNT; i++)
        all += c->s->drops[i];
    return all;
}

static int64_t get_line_errors(const struct render *c, unsigned index)
{
    (void)index;
    return c->s->line_errors;
}

static int64_t get_bytes(const struct render *c, unsigned index)
{
    (void)index;
    return (int64_t)c->s->bytes;
}

static int64_t get_float(const struct render *c, unsigned point)
{
    const struct hx_state *s = c->s;
    if (point >= POINT_ESTIMATE) {
        unsigned i = point - POINT_ESTIMATE;
        return estimate_known(s, i) ? hx_float_bits(estimate_wh(s, i), 3) : HX_FLOAT_NAN;
    }
    if (!field_known(s, point))
        return HX_FLOAT_NAN;
    return hx_float_bits(field_scaled(s, point), point >= HX_I_L1 ? 3 : 0); /* mA mV Wh; W VAr */
}

static int64_t get_quality(const struct render *c, unsigned point)
{
    const struct hx_state *s = c->s;
    if (point < POINT_ESTIMATE)
        return s->meter.value[point].quality;
    if (point == POINT_CLOCK)
        return s->meter.clock.known ? HX_MEASURED : HX_UNKNOWN;
    if (!estimate_known(s, point - POINT_ESTIMATE))
        return HX_UNKNOWN;
    return s->energy[point - POINT_ESTIMATE].held ? HX_HELD : HX_ESTIMATED;
}

static int64_t get_age(const struct render *c, unsigned point)
{
    const struct hx_state *s = c->s;
    uint64_t at_ms;
    if (get_quality(c, point) == HX_UNKNOWN)
        return UINT16_MAX;
    if (point < POINT_ESTIMATE)
        at_ms = s->meter.value[point].at_ms;
    else if (point == POINT_CLOCK)
        at_ms = s->meter.clock_at_ms;
    else if (s->energy[point - POINT_ESTIMATE].has_power)
        at_ms = s->energy[point - POINT_ESTIMATE].power_at_ms;
    else
        return UINT16_MAX; /* restored at start, no power value yet */
    return (int64_t)(age_ms(s, at_ms) / 1000u);
}

static int64_t get_energy64(const struct render *c, unsigned i)
{
    if (i >= 4)
        return estimate_known(c->s, i - 4) ? estimate_wh(c->s, i - 4) : -1;
    return field_known(c->s, HX_E_IMPORT + i) ? field_scaled(c->s, HX_E_IMPORT + i) : -1;
}

typedef int64_t getter(const struct render *c, unsigned index);
static getter *const getters[SRC_COUNT] = {
    [SRC_ZERO] = get_zero,
    [SRC_FIELD] = get_field,
    [SRC_ESTIMATE] = get_estimate,
    [SRC_CLOCK] = get_clock,
    [SRC_FIRMWARE] = get_firmware,
    [SRC_TEMPERATURE] = get_temperature,
    [SRC_SCALE] = get_scale,
    [SRC_HOURS] = get_hours,
    [SRC_INPUT] = get_input,
    [SRC_EXT_VERSION] = get_ext_version,
    [SRC_LINK] = get_link,
    [SRC_FLAGS] = get_flags,
    [SRC_MAKER] = get_maker,
    [SRC_LIST] = get_list,
    [SRC_GRID] = get_grid,
    [SRC_TEMPERATURE_SIGNED] = get_temperature_signed,
    [SRC_UPTIME] = get_uptime,
    [SRC_STARTS] = get_starts,
    [SRC_DEVICE_NUMBER] = get_device_number,
    [SRC_METER_UTC] = get_meter_utc,
    [SRC_WALL_UTC] = get_wall_utc,
    [SRC_TELEGRAMS] = get_telegrams,
    [SRC_LISTS] = get_lists,
    [SRC_DROPS] = get_drops,
    [SRC_LINE_ERRORS] = get_line_errors,
    [SRC_BYTES] = get_bytes,
    [SRC_FLOAT] = get_float,
    [SRC_QUALITY] = get_quality,
    [SRC_AGE] = get_age,
    [SRC_ENERGY64] = get_energy64,
    [SRC_TEXT] = get_zero, /* not a number: put_text */
};

/* ---- the image ------------------------------------------------------------------------------- */

static enum source source_of(const struct hx_register *row)
{
    return (enum source)(row->source >> 8);
}

/* Numbers stop at the limits of their register, they never wrap. */
static int64_t limited(const struct hx_register *row, int64_t v, struct render *c)
{
    static const struct {
        int64_t min, max;
    } limits[] = {{0, UINT16_MAX}, {INT16_MIN, INT16_MAX}, {0, UINT32_MAX}, {INT32_MIN, INT32_MAX}};
    enum source kind = source_of(row);
    int64_t out = v;
    if (row->type > HX_REG_S32)
        return v; /* 64 bits wide or bits already */
    if (v < limits[row->type].min)
        out = limits[row->type].min;
    if (v > limits[row->type].max)
        out = limits[row->type].max;
    if (out != v && (kind == SRC_FIELD || kind == SRC_ESTIMATE))
        c->saturated = true;
    return out;
}

static void put(uint8_t *at, unsigned words, uint64_t v)
{
    for (unsigned i = words; i-- > 0; v >>= 16) {
        at[2u * i] = (uint8_t)(v >> 8);
        at[2u * i + 1u] = (uint8_t)v;
    }
}

/* Texts come from the meter as they are; a register reader gets printable ASCII or NUL. */
static void put_text(uint8_t *at, unsigned octets, const struct hx_text *t)
{
    memset(at, 0, octets);
    for (unsigned i = 0; i < octets && i < t->len; i++) {
        unsigned char ch = (unsigned char)t->s[i];
        bool printable = ch == 0 || (ch >= 0x20 && ch < 0x7F);
        at[i] = printable ? ch : (uint8_t)'?';
    }
}

static const struct hx_text *text_of(const struct hx_meter *m, unsigned index)
{
    const struct hx_text *const texts[] = {&m->version, &m->id, &m->type};
    return texts[index];
}

static uint8_t *place(struct hx_registers *r, unsigned address)
{
    return address < HX_REG_MAIN_COUNT ? r->main + address * 2u
                                       : r->ext + (address - HX_REG_EXT_FIRST) * 2u;
}

void hx_registers_render(struct hx_registers *r, const struct hx_state *s)
{
    struct render c = {.s = s};
    for (const struct hx_register *row = table; row < table + TABLE_ROWS; row++) {
        uint8_t *at = place(r, row->address);
        unsigned index = row->source & 0xFFu;
        if (row->type == HX_REG_RESERVED)
            memset(at, 0, row->words * 2u);
        else if (row->type == HX_REG_TEXT)
            put_text(at, row->words * 2u, text_of(&s->meter, index));
        else
            put(at, row->words, (uint64_t)limited(row, getters[source_of(row)](&c, index), &c));
    }
    r->saturated = c.saturated;
}

static const uint8_t *slice(const uint8_t *block, unsigned base, unsigned size, unsigned first,
                            unsigned count)
{
    if (first < base || first - base >= size || count > size - (first - base))
        return NULL;
    return block + (first - base) * 2u;
}

const uint8_t *hx_registers_read(const struct hx_registers *r, uint16_t first, uint16_t count)
{
    if (count == 0)
        return NULL;
    if (first < HX_REG_MAIN_COUNT)
        return slice(r->main, 0, HX_REG_MAIN_COUNT, first, count);
    return slice(r->ext, HX_REG_EXT_FIRST, HX_REG_EXT_COUNT, first, count);
}

/* ---- writing --------------------------------------------------------------------------------- */

static const struct hx_register *find_row(unsigned address)
{
    for (const struct hx_register *row = table; row < table + TABLE_ROWS; row++)
        if (address >= row->address && address < (unsigned)row->address + row->words)
            return row;
    return NULL;
}

enum hx_err hx_registers_write(struct hx_registers *r, struct hx_state *s, uint16_t first,
                               uint16_t count, const uint8_t *values)
{
    uint32_t scale = s->scale;
    if (count == 0)
        return HX_E_LEN;
    for (unsigned i = 0; i < count; i++) {
        const struct hx_register *row = find_row((unsigned)first + i);
        if (row == NULL || !row->writable)
            return HX_E_LEN;
        HX_ASSERT(source_of(row) == SRC_SCALE); /* all there is to write so far */
        uint32_t word = (uint32_t)values[2u * i] << 8 | values[2u * i + 1u];
        bool high = first + i == row->address;
        scale = high ? (scale & 0xFFFFu) | word << 16 : (scale & 0xFFFF0000u) | word;
    }
    if (scale < HX_SCALE_MIN || scale > HX_SCALE_MAX)
        return HX_E_VALUE;
    if (scale == s->scale)
        return HX_OK;
    s->scale = scale;
    hx_registers_render(r, s);
    return HX_OK;
}

/* ---- float32 --------------------------------------------------------------------------------- */

static unsigned bit_length(uint64_t v)
{
    unsigned n = 0;
    for (unsigned step = 32; step > 0; step >>= 1)
        if (v >> step != 0) {
            n += step;
            v >>= step;
        }
    return n + (v != 0);
}

/* q × 2^exp with at least 25 bits in q, and whether something smaller was left over: IEEE 754
 * binary 32, 24 bits of significand, half to even. Never subnormal, never too large: 10^-18 … 2^63.
 */
static uint32_t pack_float(uint64_t q, int exp, bool rest)
{
    unsigned drop = bit_length(q) - 25u; /* the 25th bit is the half */
    rest = rest || (q & (((uint64_t)1 << drop) - 1u)) != 0;
    q >>= drop;
    uint32_t significand = (uint32_t)(q >> 1);
    if ((q & 1u) != 0 && (rest || (significand & 1u) != 0))
        significand++; /* may carry into 2^24: the addition below then carries into the exponent */
    /* value = significand × 2^(exp + drop + 1); the leading 1 of the significand adds the last one
     * to the exponent field */
    uint32_t field = (uint32_t)(exp + (int)drop + 1 + 23 + 127 - 1);
    return (field << 23) + significand;
}

uint32_t hx_float_bits(int64_t num, unsigned decimals)
{
    uint64_t size = num < 0 ? 0u - (uint64_t)num : (uint64_t)num;
    uint64_t divisor = (uint64_t)hx_pow10(decimals);
    if (size == 0)
        return 0;
    unsigned shift = 64u - bit_length(size);
    int exp = -(int)shift;
    uint64_t q = (size << shift) / divisor, rest = (size << shift) % divisor;
    for (; bit_length(q) < 25u; exp--) { /* long division, only for more than 11 decimals */
        rest <<= 1;                      /* divisor < 2^60 */
        q = q << 1 | (rest >= divisor);
        rest -= rest >= divisor ? divisor : 0;
    }
    return pack_float(q, exp, rest != 0) | (num < 0 ? 0x80000000u : 0);
}

/* ---- documentation --------------------------------------------------------------------------- */

static const struct {
    enum hx_status_flag flag;
    const char *name, *meaning;
} flags[] = {
    {HX_FLAG_LINK_GOOD, "link_good", "Good telegrams come from the meter."},
    {HX_FLAG_SIMULATED, "simulated", "Values come from the simulator, not from a meter."},
    {HX_FLAG_SATURATED, "saturated",
     "A value of the manual's map stands at the limit of its register: the scale is too high."},
    {HX_FLAG_METER_CLOCK_KNOWN, "meter_clock_known", "The meter has sent its clock."},
    {HX_FLAG_WALL_CLOCK_KNOWN, "wall_clock_known", "The gateway knows the time."},
    {HX_FLAG_ESTIMATE_HELD, "estimate_held",
     "An estimated energy stands still until the meter has caught up."},
    {HX_FLAG_INPUT_KNOWN, "input_known", "A digital input is fitted and was read."},
    {HX_FLAG_TEMPERATURE_KNOWN, "temperature_known",
     "A temperature sensor is fitted and was read."},
    {HX_FLAG_ENCRYPTED, "encrypted", "The meter's telegrams are encrypted."},
    {HX_FLAG_METER_KNOWN, "meter_known", "The meter has told who it is."},
    {HX_FLAG_WAITING, "waiting",
     "A telegram from another meter, or an energy that cannot be, waits for a second one."},
    {HX_FLAG_FRESH, "fresh", "The last good telegram is younger than 60 s: the HAN light is lit."},
    {HX_FLAG_SCALED, "scaled", "The scale factor is not 1.000."},
    {HX_FLAG_CLOCK_FROM_METER, "clock_from_meter",
     "The gateway has its time from the meter, having no better source."},
};
#define FLAG_ROWS (sizeof flags / sizeof flags[0])

static uint32_t number_of(uint16_t address)
{
    return 40001u + address;
}

static unsigned bit_of(enum hx_status_flag flag)
{
    return bit_length((uint64_t)flag) - 1u;
}

static const char *access_of(const struct hx_register *row)
{
    return row->writable ? "R/W" : "R";
}

static void write_cells(struct hx_wr *w, const struct hx_register *row)
{
    hx_wr_str(w, "| ");
    hx_wr_int(w, number_of(row->address));
    if (row->words > 1) {
        hx_wr_str(w, "-");
        hx_wr_int(w, number_of(row->address) + row->words - 1u);
    }
    hx_wr_str(w, " | ");
    hx_wr_int(w, row->address);
    const char *const cells[] = {row->name, hx_register_type_name(row->type), row->unit,
                                 access_of(row), row->meaning};
    for (unsigned i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        hx_wr_str(w, i == 0 ? " | `" : " | ");
        hx_wr_str(w, cells[i]);
        hx_wr_str(w, i == 0 ? "`" : "");
    }
    hx_wr_str(w, " |\n");
}

static void write_block(struct hx_wr *w, const char *title, unsigned first, unsigned limit)
{
    hx_wr_str(w, title);
    hx_wr_str(w, "\n\n| Register | Address | Name | Type | Unit | Access | Meaning |\n"
                 "|---|---|---|---|---|---|---|\n");
    for (const struct hx_register *row = table; row < table + TABLE_ROWS; row++)
        if (row->address >= first && row->address < limit)
            write_cells(w, row);
    hx_wr_str(w, "\n");
}

static void write_flags(struct hx_wr *w)
{
    hx_wr_str(w, "## Status flags\n\nBits of 41003-41004; bit 0 is the lowest bit of 41004.\n\n"
                 "| Bit | Name | Meaning when set |\n|---|---|---|\n");
    for (unsigned i = 0; i < FLAG_ROWS; i++) {
        hx_wr_str(w, "| ");
        hx_wr_int(w, bit_of(flags[i].flag));
        hx_wr_str(w, " | `");
        hx_wr_str(w, flags[i].name);
        hx_wr_str(w, "` | ");
        hx_wr_str(w, flags[i].meaning);
        hx_wr_str(w, " |\n");
    }
}

void hx_registers_markdown(struct hx_wr *w)
{
    hx_wr_str(
        w, "# Modbus registers\n\n"
           "Made by `han2x registers` from the table that serves them.\n\n"
           "Functions 03 and 04 read them, 06, 16, 22 and 23 write those marked R/W. The address "
           "is the number in\n"
           "the request: register 4xxxx less 40001. Values of more than one register come high "
           "word first, each\n"
           "word high octet first. Numbers stop at the limits of their register, they never "
           "wrap.\n\n");
    write_block(w, "## The manual's map", 0, HX_REG_MAIN_COUNT);
    write_block(w, "## Extension block", HX_REG_EXT_FIRST, HX_REG_EXT_FIRST + HX_REG_EXT_COUNT);
    write_flags(w);
}

void hx_registers_csv(struct hx_wr *w)
{
    hx_wr_str(w, "register,address,words,name,type,unit,access,meaning\r\n");
    for (const struct hx_register *row = table; row < table + TABLE_ROWS; row++) {
        const uint32_t numbers[] = {number_of(row->address), row->address, row->words};
        const char *const texts[] = {row->name, hx_register_type_name(row->type), row->unit,
                                     access_of(row), row->meaning};
        for (unsigned i = 0; i < 3; i++) {
            hx_wr_int(w, numbers[i]);
            hx_wr_str(w, ",");
        }
        for (unsigned i = 0; i < 5; i++) {
            hx_wr_str(w, i == 4 ? "\"" : ""); /* only meanings hold commas, none a quote */
            hx_wr_str(w, texts[i]);
            hx_wr_str(w, i == 4 ? "\"\r\n" : ",");
        }
    }
}

/* Texts of the table are UTF-8 without quotes, backslashes and control characters (unit test). */
static void write_pair(struct hx_wr *w, const char *key, const char *value)
{
    hx_wr_str(w, ",\"");
    hx_wr_str(w, key);
    hx_wr_str(w, "\":\"");
    hx_wr_str(w, value);
    hx_wr_str(w, "\"");
}

static void write_object(struct hx_wr *w, const struct hx_register *row)
{
    hx_wr_str(w, "{\"register\":");
    hx_wr_int(w, number_of(row->address));
    hx_wr_str(w, ",\"address\":");
    hx_wr_int(w, row->address);
    hx_wr_str(w, ",\"words\":");
    hx_wr_int(w, row->words);
    write_pair(w, "name", row->name);
    write_pair(w, "type", hx_register_type_name(row->type));
    write_pair(w, "unit", row->unit);
    hx_wr_str(w, row->writable ? ",\"writable\":true" : ",\"writable\":false");
    write_pair(w, "meaning", row->meaning);
    hx_wr_str(w, "}");
}

void hx_registers_json(struct hx_wr *w)
{
    hx_wr_str(w, "{\"registers\":[\n");
    for (unsigned i = 0; i < TABLE_ROWS; i++) {
        hx_wr_str(w, i == 0 ? "" : ",\n");
        write_object(w, &table[i]);
    }
    hx_wr_str(w, "\n],\"status_flags\":[\n");
    for (unsigned i = 0; i < FLAG_ROWS; i++) {
        hx_wr_str(w, i == 0 ? "{\"bit\":" : ",\n{\"bit\":");
        hx_wr_int(w, bit_of(flags[i].flag));
        write_pair(w, "name", flags[i].name);
        write_pair(w, "meaning", flags[i].meaning);
        hx_wr_str(w, "}");
    }
    hx_wr_str(w, "\n]}\n");
}
