/* The simulator in two halves: the household (what is switched on, what flows, what the voltage
 * does) and the meter (which list is due, how this maker writes it). */
#include "sim.h"

#include <string.h>

#include "hx/crc.h"

#define MS_PER_S 1000
#define MS_PER_HOUR 3600000
#define HALF_MJ_PER_WH 7200000u /* W × ms is exactly mJ; straight lines halve it */

/* ---- random numbers: splitmix64 (Steele, Lea, Flood 2014), any seed is good ---- */

static uint64_t random_next(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/** @return low … high, both included. */
static int32_t random_between(uint64_t *state, int32_t low, int32_t high)
{
    uint64_t width = (uint64_t)((int64_t)high - low) + 1u;
    return (int32_t)(low + (int64_t)(random_next(state) % width));
}

/* ---- household: tables ---- */

enum pattern { ALL_DAY, MEALS, EVENING };

/* How likely a start is in each hour of the local day, relative. */
static const uint8_t start_weight[][24] = {
    [ALL_DAY] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    [MEALS] = {0, 0, 0, 0, 0, 2, 8, 6, 3, 1, 1, 3, 3, 1, 2, 4, 8, 7, 3, 2, 2, 1, 0, 0},
    [EVENING] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 8, 6, 6, 4, 2, 1, 0},
};

struct appliance {
    int16_t power_w, reactive_var;
    uint8_t phase; /* in a one-phase home all are on the first */
    enum pattern when;
    uint8_t starts_per_day;
    uint16_t on_min_s, on_max_s;
};

static const struct appliance appliances[] = {
    {2000, 0, 0, MEALS, 6, 100, 200},      /* kettle */
    {1950, 0, 0, ALL_DAY, 4, 1200, 3600},  /* water heater */
    {2200, 0, 1, EVENING, 5, 300, 900},    /* oven, by its thermostat */
    {1000, 0, 1, ALL_DAY, 20, 600, 1500},  /* panel heater */
    {2050, 150, 1, EVENING, 1, 600, 1200}, /* washing machine */
    {1500, 0, 2, MEALS, 5, 300, 1200},     /* stove plate */
    {1100, 300, 2, ALL_DAY, 14, 900, 2400} /* heat pump */,
    {90, 60, 2, ALL_DAY, 36, 600, 1200}, /* refrigerator */
};
#define APPLIANCE_COUNT (sizeof appliances / sizeof appliances[0])
_Static_assert(APPLIANCE_COUNT == HX_SIM_APPLIANCE_MAX, "one state for each appliance");

/* Light, screens, fans, standby: W at each full hour of the local day. */
static const int16_t base_w[24] = {210, 200, 190, 190, 190, 200, 300, 420, 380, 320, 300, 300,
                                   320, 320, 330, 380, 480, 560, 600, 620, 600, 520, 400, 280};
static const int32_t base_percent[3] = {45, 30, 25}; /* of it on each phase */

/* Panels at 60 degrees north: minutes from noon to sunset and strength at noon, by month. */
#define SOLAR_PEAK_W 4200
#define SOLAR_NOON_MIN 680 /* 11:20 UTC at ten degrees east */
static const int16_t sun_half_day_min[12] = {160, 240, 340, 440, 520, 560,
                                             540, 470, 380, 280, 190, 140};
static const int16_t sun_permille[12] = {100, 250, 500, 750, 900, 1000,
                                         950, 850, 600, 350, 150, 60};

#define GRID_MV 232000       /* what the transformer gives */
#define GRID_WANDER_MV 4000  /* slow change either way */
#define CABLE_MILLIOHM 250   /* what makes the lights dim when the kettle starts */
#define PHASE_SPREAD_MV 1500 /* phases differ, the same way for one household */

/* ---- household: what happens ---- */

static uint32_t isqrt(uint64_t v)
{
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit != 0; bit >>= 2) {
        if (v >= root + bit) {
            v -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root;
}

static int32_t clamp(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

static struct hx_civil local_time(int64_t utc_ms)
{
    int64_t utc_s = utc_ms / MS_PER_S;
    return hx_civil_from_s(utc_s + hx_civil_cet_offset_s(utc_s));
}

static bool starts_now(struct hx_sim *s, const struct appliance *a, unsigned hour, uint32_t ms)
{
    uint64_t sum = 0;
    for (unsigned h = 0; h < 24; h++)
        sum += start_weight[a->when][h];
    uint64_t chance = (uint64_t)a->starts_per_day * start_weight[a->when][hour] * ms;
    return (random_next(&s->random) >> 32) < (chance << 32) / (sum * MS_PER_HOUR);
}

static void switch_appliances(struct hx_sim *s, uint32_t ms)
{
    unsigned hour = local_time(s->now_ms).hour;
    for (size_t i = 0; i < APPLIANCE_COUNT; i++) {
        struct hx_sim_appliance *state = &s->appliance[i];
        const struct appliance *a = &appliances[i];
        if (state->on && state->left_ms > ms) {
            state->left_ms -= ms;
        } else if (state->on) {
            state->on = false;
        } else if (starts_now(s, a, hour, ms)) {
            state->on = true;
            state->left_ms =
                (uint32_t)random_between(&s->random, a->on_min_s, a->on_max_s) * MS_PER_S;
        }
    }
}

static int32_t base_now_w(struct hx_sim *s)
{
    struct hx_civil t = local_time(s->now_ms);
    int32_t from = base_w[t.hour], to = base_w[(t.hour + 1u) % 24u];
    int32_t w = from + (to - from) * (t.minute * 60 + t.second) / 3600;
    return w + w * random_between(&s->random, -20, 20) / 1000;
}

static int32_t solar_now_w(const struct hx_sim *s)
{
    if (!s->config.solar)
        return 0;
    struct hx_civil t = hx_civil_from_s(s->now_ms / MS_PER_S);
    int32_t half = sun_half_day_min[t.month - 1];
    int32_t off = t.hour * 60 + t.minute - SOLAR_NOON_MIN;
    if (off <= -half || off >= half)
        return 0;
    int64_t w = (int64_t)SOLAR_PEAK_W * sun_permille[t.month - 1] / 1000 * s->clouds / 1000;
    return (int32_t)(w * (half * half - off * off) / (half * half));
}

static void add_load(struct hx_sim *s, unsigned phase, int32_t p_w, int32_t q_var)
{
    if (s->config.grid == HX_GRID_1PHASE)
        phase = 0;
    s->load.p_w[phase] += p_w;
    s->load.q_var[phase] += q_var;
}

static void sum_loads(struct hx_sim *s)
{
    int32_t base = base_now_w(s), solar = solar_now_w(s);
    memset(&s->load, 0, sizeof s->load);
    for (unsigned phase = 0; phase < 3; phase++) {
        int32_t p = base * base_percent[phase] / 100;
        add_load(s, phase, p - solar / 3, -20 - p / 3); /* power supplies are capacitive */
    }
    for (size_t i = 0; i < APPLIANCE_COUNT; i++)
        if (s->appliance[i].on)
            add_load(s, appliances[i].phase, appliances[i].power_w, appliances[i].reactive_var);
    for (unsigned phase = 0; phase < 3; phase++) {
        s->load.power_w += s->load.p_w[phase];
        s->load.reactive_var += s->load.q_var[phase];
    }
}

/** Current of one phase, or of one pair of lines; negative while it feeds the grid. */
static int32_t branch_ma(int32_t p_w, int32_t q_var)
{
    int64_t p = p_w, q = q_var;
    int64_t va = isqrt((uint64_t)(p * p + q * q));
    int64_t ma = va * 1000 * 1000 / GRID_MV;
    return (int32_t)(p_w < 0 ? -ma : ma);
}

/** Current of a line that carries two of the three pairs: they stand 60 degrees apart. */
static int32_t line_ma(int32_t a, int32_t b)
{
    int64_t x = a, y = b;
    int64_t ma = isqrt((uint64_t)(x * x + y * y + x * y));
    return (int32_t)(x + y < 0 ? -ma : ma);
}

static void currents_and_voltages(struct hx_sim *s)
{
    struct hx_sim_load *l = &s->load;
    uint64_t fixed = s->config.seed; /* the same at each telegram */
    int32_t branch[3];
    for (unsigned i = 0; i < 3; i++) {
        int32_t spread = random_between(&fixed, -PHASE_SPREAD_MV, PHASE_SPREAD_MV);
        branch[i] = branch_ma(l->p_w[i], l->q_var[i]);
        int32_t drop = (int32_t)((int64_t)branch[i] * CABLE_MILLIOHM / 1000);
        l->voltage_mv[i] = GRID_MV + s->wander_mv + spread - drop;
        l->current_ma[i] = branch[i];
    }
    if (s->config.grid == HX_GRID_3WIRE) { /* pairs are L1-L2, L2-L3, L3-L1 */
        l->current_ma[0] = line_ma(branch[0], branch[2]);
        l->current_ma[1] = line_ma(branch[0], branch[1]);
        l->current_ma[2] = line_ma(branch[1], branch[2]);
    }
}

static void live(struct hx_sim *s, uint32_t ms)
{
    s->wander_mv =
        clamp(s->wander_mv + random_between(&s->random, -60, 60), -GRID_WANDER_MV, GRID_WANDER_MV);
    s->clouds = clamp(s->clouds + random_between(&s->random, -10, 10), 300, 1000);
    switch_appliances(s, ms);
    sum_loads(s);
    currents_and_voltages(s);
}

/* ---- meter: how each maker writes ---- */

enum quantity { POWER, REACTIVE, CURRENT, VOLTAGE, ENERGY, REACTIVE_ENERGY };
#define QUANTITY_COUNT 6u

enum tag {
    LONG = 0x10,
    LONG_UNSIGNED = 0x12,
    DOUBLE_LONG_UNSIGNED = 0x06,
    OCTETS = 0x09,
    VISIBLE = 0x0A
};

struct form {
    enum tag tag;
    uint16_t divisor; /* from W, mA, mV, Wh to what is sent */
    int8_t scaler;    /* Aidon sends it along, with the unit */
    uint8_t unit;     /* Blue Book: 27 W, 29 var, 30 Wh, 32 varh, 33 A, 35 V */
};

/* One object of a list, by the C.D.E of its OBIS code, in the order of the NVE scheme. */
static const struct object {
    uint8_t c, d;
    enum quantity quantity;
} objects[HX_FIELD_COUNT] = {
    [HX_P_IMPORT] = {1, 7, POWER},
    [HX_P_EXPORT] = {2, 7, POWER},
    [HX_Q_IMPORT] = {3, 7, REACTIVE},
    [HX_Q_EXPORT] = {4, 7, REACTIVE},
    [HX_I_L1] = {31, 7, CURRENT},
    [HX_I_L2] = {51, 7, CURRENT},
    [HX_I_L3] = {71, 7, CURRENT},
    [HX_U_L1] = {32, 7, VOLTAGE},
    [HX_U_L2] = {52, 7, VOLTAGE},
    [HX_U_L3] = {72, 7, VOLTAGE},
    [HX_E_IMPORT] = {1, 8, ENERGY},
    [HX_E_EXPORT] = {2, 8, ENERGY},
    [HX_R_IMPORT] = {3, 8, REACTIVE_ENERGY},
    [HX_R_EXPORT] = {4, 8, REACTIVE_ENERGY},
};

struct style {
    uint8_t header[4], header_len; /* HDLC destination, source, control */
    uint8_t invoke;                /* first octet of long-invoke-id-and-priority */
    uint16_t short_ms;             /* lists 1 and 2 together: one each … */
    uint16_t hourly_ms;            /* the hourly list comes this long after the hour */
    const char *version;
    const char *type[3]; /* one phase, 3-wire, 4-wire: as on recorded telegrams */
    void (*write)(struct hx_sim *s, struct hx_wr *w, uint8_t list);
    struct form form[QUANTITY_COUNT];
};

static void write_aidon(struct hx_sim *s, struct hx_wr *w, uint8_t list);
static void write_kaifa(struct hx_sim *s, struct hx_wr *w, uint8_t list);
static void write_kamstrup(struct hx_sim *s, struct hx_wr *w, uint8_t list);

static const struct style styles[] = {
    [HX_MAKER_AIDON] = {{0x41, 0x08, 0x83, 0x13},
                        4,
                        0x40,
                        2500,
                        10000,
                        "AIDON_V0001",
                        {"6515", "6525", "6534"},
                        write_aidon,
                        {{DOUBLE_LONG_UNSIGNED, 1, 0, 27},
                         {DOUBLE_LONG_UNSIGNED, 1, 0, 29},
                         {LONG, 100, -1, 33},
                         {LONG_UNSIGNED, 100, -1, 35},
                         {DOUBLE_LONG_UNSIGNED, 10, 1, 30},
                         {DOUBLE_LONG_UNSIGNED, 10, 1, 32}}},
    [HX_MAKER_KAIFA] = {{0x01, 0x02, 0x01, 0x10},
                        4,
                        0x40,
                        2000,
                        10000,
                        "KFM_001",
                        {"MA105H2E", "MA304H3E", "MA304H4"},
                        write_kaifa,
                        {{DOUBLE_LONG_UNSIGNED, 1, 0, 0},
                         {DOUBLE_LONG_UNSIGNED, 1, 0, 0},
                         {DOUBLE_LONG_UNSIGNED, 1, 0, 0},
                         {DOUBLE_LONG_UNSIGNED, 100, 0, 0},
                         {DOUBLE_LONG_UNSIGNED, 1, 0, 0},
                         {DOUBLE_LONG_UNSIGNED, 1, 0, 0}}},
    [HX_MAKER_KAMSTRUP] = {{0x2B, 0x21, 0x13, 0},
                           3,
                           0x00,
                           10000,
                           5000,
                           "Kamstrup_V0001",
                           {"6861111BN242101040", "6841121BN243101040", "6841131BN243101040"},
                           write_kamstrup,
                           {{DOUBLE_LONG_UNSIGNED, 1, 0, 0},
                            {DOUBLE_LONG_UNSIGNED, 1, 0, 0},
                            {DOUBLE_LONG_UNSIGNED, 10, 0, 0},
                            {LONG_UNSIGNED, 1000, 0, 0},
                            {DOUBLE_LONG_UNSIGNED, 10, 0, 0},
                            {DOUBLE_LONG_UNSIGNED, 10, 0, 0}}},
};

static const struct style *style_of(const struct hx_sim *s)
{
    return &styles[s->config.maker];
}

enum presence { SENT, LEFT_OUT, SENT_AS_NULL, SENT_AS_ZERO };

/** What a maker does with a phase that this grid has not, or that the meter does not measure. */
static enum presence presence_of(const struct hx_sim_config *c, enum hx_field f)
{
    bool second = f == HX_I_L2 || f == HX_U_L2, third = f == HX_I_L3 || f == HX_U_L3;
    if (c->grid == HX_GRID_1PHASE && (second || third))
        return c->maker == HX_MAKER_KAMSTRUP ? SENT_AS_NULL : LEFT_OUT;
    if (c->grid == HX_GRID_3WIRE && c->maker == HX_MAKER_AIDON && f == HX_I_L2)
        return LEFT_OUT;
    if (c->grid == HX_GRID_3WIRE && c->maker == HX_MAKER_KAIFA && f == HX_U_L2)
        return SENT_AS_ZERO;
    return SENT;
}

static uint32_t energy_wh(const struct hx_sim *s, unsigned i)
{
    /* Aidon sends ten seconds after the hour what it counted at the hour; the others date their
     * list by the second it is sent. */
    bool latched = s->config.maker == HX_MAKER_AIDON;
    uint64_t half_mj = latched ? s->hour_half_mj[i] : s->energy_half_mj[i];
    return (uint32_t)(half_mj / HALF_MJ_PER_WH);
}

/** Power in one of the four directions: import, export, reactive import, reactive export. */
static int32_t direction(const struct hx_sim_load *l, unsigned i)
{
    int32_t v = i < 2 ? l->power_w : l->reactive_var;
    if (i % 2 != 0)
        v = -v;
    return v > 0 ? v : 0;
}

/** A field as this maker sends it. */
static int64_t sent_value(const struct hx_sim *s, enum hx_field f)
{
    int64_t divisor = style_of(s)->form[objects[f].quantity].divisor;
    const struct hx_sim_load *l = &s->load;
    switch (objects[f].quantity) {
    case POWER:
    case REACTIVE:
        return direction(l, (unsigned)(f - HX_P_IMPORT));
    case CURRENT: {
        int64_t v = hx_div_round(l->current_ma[f - HX_I_L1], divisor);
        return s->config.maker == HX_MAKER_AIDON || v >= 0 ? v : -v; /* only Aidon sends a sign */
    }
    case VOLTAGE:
        return presence_of(&s->config, f) == SENT_AS_ZERO
                   ? 0
                   : hx_div_round(l->voltage_mv[f - HX_U_L1], divisor);
    case ENERGY:
    case REACTIVE_ENERGY:
        return energy_wh(s, (unsigned)(f - HX_E_IMPORT)) / divisor;
    }
    HX_UNREACHABLE();
}

static void write_number(struct hx_sim *s, struct hx_wr *w, enum hx_field f)
{
    enum tag tag = style_of(s)->form[objects[f].quantity].tag;
    int64_t v = sent_value(s, f);
    hx_wr_u8(w, (uint8_t)tag);
    if (tag == DOUBLE_LONG_UNSIGNED)
        hx_wr_be32(w, (uint32_t)v);
    else
        hx_wr_be16(w, (uint16_t)v);
}

static void write_text(struct hx_wr *w, enum tag tag, const char *text, size_t len)
{
    hx_wr_u8(w, (uint8_t)tag);
    hx_wr_u8(w, (uint8_t)len);
    hx_wr_bytes(w, text, len);
}

static void write_obis(struct hx_wr *w, const uint8_t obis[6])
{
    hx_wr_u8(w, OCTETS);
    hx_wr_u8(w, 6);
    hx_wr_bytes(w, obis, 6);
}

/** The made-up meter id: 16 characters as on real meters, but no digits in front. */
static void make_id(const struct hx_sim *s, char id[16])
{
    struct hx_wr w = {.ptr = (uint8_t *)id, .cap = 16};
    hx_wr_str(&w, HX_SIM_ID_PREFIX);
    hx_wr_pad(&w, (uint32_t)s->config.maker, 1);
    hx_wr_pad(&w, (uint32_t)s->config.grid, 1);
    hx_wr_pad(&w, 0, 2);
    hx_wr_pad(&w, (uint32_t)(s->config.seed % 1000000000u), 9);
    HX_ASSERT(w.err == HX_OK && w.len == 16);
}

static const char *type_of(const struct hx_sim *s)
{
    return style_of(s)->type[s->config.grid - HX_GRID_1PHASE];
}

/** 12 octets of COSEM date-time. */
static void write_clock(const struct hx_sim *s, struct hx_wr *w)
{
    enum hx_maker maker = s->config.maker;
    int64_t utc_ms = s->now_ms;
    if (maker == HX_MAKER_AIDON) /* the hour that the energies belong to */
        utc_ms -= utc_ms % MS_PER_HOUR;
    /* Kaifa follows summer time, the others keep standard time all year */
    int64_t utc_s = utc_ms / MS_PER_S;
    int64_t local_s = utc_s + (maker == HX_MAKER_KAIFA ? hx_civil_cet_offset_s(utc_s) : 3600);
    struct hx_civil t = hx_civil_from_s(local_s);
    uint8_t weekday = (uint8_t)((local_s / 86400 + 4) % 7); /* 1970-01-01 was a Thursday */
    if (weekday == 0 && maker != HX_MAKER_AIDON)
        weekday = 7; /* Aidon alone says 0 for Sunday */
    hx_wr_be16(w, t.year);
    const uint8_t rest[] = {t.month, t.day, weekday, t.hour, t.minute, t.second, 0xFF};
    hx_wr_bytes(w, rest, sizeof rest);
    hx_wr_be16(w, maker == HX_MAKER_AIDON ? 0x0000 : 0x8000); /* deviation: 8000 = not given */
    hx_wr_u8(w, 0x00);                                        /* status: never "summer time" */
}

/* Aidon: array of structures { OBIS, value, { scaler, unit } }
 *   02 03  09 06 <obis>  <tag value>  02 02  0F <scaler>  16 <unit>
 *   02 02  09 06 <obis>  <text or clock> */

static void aidon_text(struct hx_wr *w, const uint8_t obis[6], const char *text, size_t len)
{
    hx_wr_be16(w, 0x0202);
    write_obis(w, obis);
    write_text(w, VISIBLE, text, len);
}

static void aidon_number(struct hx_sim *s, struct hx_wr *w, enum hx_field f)
{
    const struct form *form = &style_of(s)->form[objects[f].quantity];
    const uint8_t obis[6] = {1, 0, objects[f].c, objects[f].d, 0, 0xFF};
    hx_wr_be16(w, 0x0203);
    write_obis(w, obis);
    write_number(s, w, f);
    hx_wr_be16(w, 0x0202);
    hx_wr_u8(w, 0x0F);
    hx_wr_u8(w, (uint8_t)form->scaler);
    hx_wr_u8(w, 0x16);
    hx_wr_u8(w, form->unit);
}

static uint8_t aidon_fields(struct hx_sim *s, struct hx_wr *w, unsigned first, unsigned last)
{
    uint8_t count = 0;
    for (unsigned f = first; f <= last; f++) {
        if (presence_of(&s->config, (enum hx_field)f) != SENT)
            continue;
        aidon_number(s, w, (enum hx_field)f);
        count++;
    }
    return count;
}

static uint8_t aidon_identity(struct hx_sim *s, struct hx_wr *w)
{
    static const uint8_t version[6] = {1, 1, 0, 2, 129, 0xFF}, id[6] = {0, 0, 96, 1, 0, 0xFF},
                         type[6] = {0, 0, 96, 1, 7, 0xFF};
    char number[16];
    make_id(s, number);
    aidon_text(w, version, style_of(s)->version, strlen(style_of(s)->version));
    aidon_text(w, id, number, sizeof number);
    aidon_text(w, type, type_of(s), strlen(type_of(s)));
    return 3;
}

static void write_aidon(struct hx_sim *s, struct hx_wr *w, uint8_t list)
{
    static const uint8_t clock[6] = {0, 0, 1, 0, 0, 0xFF};
    hx_wr_be16(w, 0x0001); /* no date-time; array */
    size_t at = w->len;
    hx_wr_u8(w, 0);
    uint8_t count = list == 1 ? 0 : aidon_identity(s, w);
    count = (uint8_t)(count + aidon_fields(s, w, HX_P_IMPORT, list == 1 ? HX_P_IMPORT : HX_U_L3));
    if (list == 3) {
        hx_wr_be16(w, 0x0202);
        write_obis(w, clock);
        hx_wr_be16(w, 0x090C);
        write_clock(s, w);
        count = (uint8_t)(count + 1 + aidon_fields(s, w, HX_E_IMPORT, HX_R_EXPORT));
    }
    w->ptr[at] = count;
}

/* Kaifa: date-time 09 0C …, then a structure of bare values: their place tells what they are. */

static uint8_t kaifa_fields(struct hx_sim *s, struct hx_wr *w, unsigned first, unsigned last)
{
    uint8_t count = 0;
    for (unsigned f = first; f <= last; f++) {
        if (presence_of(&s->config, (enum hx_field)f) == LEFT_OUT)
            continue;
        write_number(s, w, (enum hx_field)f);
        count++;
    }
    return count;
}

static uint8_t kaifa_identity(struct hx_sim *s, struct hx_wr *w)
{
    char number[16];
    make_id(s, number);
    write_text(w, OCTETS, style_of(s)->version, strlen(style_of(s)->version));
    write_text(w, OCTETS, number, sizeof number);
    write_text(w, OCTETS, type_of(s), strlen(type_of(s)));
    return 3;
}

static void write_kaifa(struct hx_sim *s, struct hx_wr *w, uint8_t list)
{
    hx_wr_be16(w, 0x090C);
    write_clock(s, w);
    hx_wr_u8(w, 0x02);
    size_t at = w->len;
    hx_wr_u8(w, 0);
    uint8_t count = list == 1 ? 0 : kaifa_identity(s, w);
    count = (uint8_t)(count + kaifa_fields(s, w, HX_P_IMPORT, list == 1 ? HX_P_IMPORT : HX_U_L3));
    if (list == 3) {
        hx_wr_be16(w, 0x090C);
        write_clock(s, w);
        count = (uint8_t)(count + 1 + kaifa_fields(s, w, HX_E_IMPORT, HX_R_EXPORT));
    }
    w->ptr[at] = count;
}

/* Kamstrup: date-time 0C …, then a structure: version, OBIS, value, OBIS, value … */

static uint8_t kamstrup_fields(struct hx_sim *s, struct hx_wr *w, unsigned first, unsigned last)
{
    uint8_t count = 0;
    for (unsigned f = first; f <= last; f++, count = (uint8_t)(count + 2)) {
        const uint8_t obis[6] = {1, 1, objects[f].c, objects[f].d, 0, 0xFF};
        if (presence_of(&s->config, (enum hx_field)f) == SENT_AS_NULL) {
            hx_wr_be16(w, 0x0000); /* OBIS code and value, both null-data */
            continue;
        }
        write_obis(w, obis);
        write_number(s, w, (enum hx_field)f);
    }
    return count;
}

static uint8_t kamstrup_identity(struct hx_sim *s, struct hx_wr *w)
{
    static const uint8_t id[6] = {1, 1, 0, 0, 5, 0xFF}, type[6] = {1, 1, 96, 1, 1, 0xFF};
    char number[16];
    make_id(s, number);
    write_text(w, VISIBLE, style_of(s)->version, strlen(style_of(s)->version));
    write_obis(w, id);
    write_text(w, VISIBLE, number, sizeof number);
    write_obis(w, type);
    write_text(w, VISIBLE, type_of(s), strlen(type_of(s)));
    return 5;
}

static void write_kamstrup(struct hx_sim *s, struct hx_wr *w, uint8_t list)
{
    static const uint8_t clock[6] = {0, 1, 1, 0, 0, 0xFF};
    hx_wr_u8(w, 0x0C);
    write_clock(s, w);
    hx_wr_u8(w, 0x02);
    size_t at = w->len;
    hx_wr_u8(w, 0);
    uint8_t count = kamstrup_identity(s, w);
    count = (uint8_t)(count + kamstrup_fields(s, w, HX_P_IMPORT, HX_U_L3));
    if (list == 3) {
        write_obis(w, clock);
        hx_wr_be16(w, 0x090C);
        write_clock(s, w);
        count = (uint8_t)(count + 2 + kamstrup_fields(s, w, HX_E_IMPORT, HX_R_EXPORT));
    }
    w->ptr[at] = count;
}

/* 7E | A0 len | dest src control | HCS | E6 E7 00 0F invoke … | FCS | 7E; checksums low octet
 * first, over everything since the flag */

static void write_crc(struct hx_wr *w)
{
    uint16_t crc = hx_crc_x25((struct hx_span){w->ptr + 1, w->len - 1});
    hx_wr_u8(w, (uint8_t)crc);
    hx_wr_u8(w, (uint8_t)(crc >> 8));
}

static void write_frame(struct hx_sim *s, struct hx_wr *w, uint16_t body_len, uint8_t list)
{
    static const uint8_t llc[] = {0xE6, 0xE7, 0x00, 0x0F};
    const struct style *style = style_of(s);
    hx_wr_u8(w, 0x7E);
    hx_wr_be16(w, (uint16_t)(0xA000 | body_len));
    hx_wr_bytes(w, style->header, style->header_len);
    write_crc(w);
    hx_wr_bytes(w, llc, sizeof llc);
    hx_wr_be32(w, (uint32_t)style->invoke << 24);
    style->write(s, w, list);
    write_crc(w);
    hx_wr_u8(w, 0x7E);
    HX_ASSERT(w->err == HX_OK);
}

static void make_frame(struct hx_sim *s, uint8_t list)
{
    /* Once to learn the length, which the checksums cover, and once with it. */
    struct hx_wr w = {.ptr = s->frame, .cap = sizeof s->frame};
    write_frame(s, &w, 0, list);
    uint16_t body_len = (uint16_t)(w.len - 2);
    w.len = 0;
    write_frame(s, &w, body_len, list);
    s->len = w.len;
}

/* ---- meter: when ---- */

static uint8_t list_due(const struct hx_sim *s)
{
    int64_t in_hour = s->now_ms % MS_PER_HOUR;
    if (in_hour == style_of(s)->hourly_ms)
        return 3;
    return in_hour % 10000 == 0 ? 2 : 1;
}

static int64_t next_after(const struct hx_sim *s, int64_t ms)
{
    const struct style *style = style_of(s);
    int64_t hourly = ms - ms % MS_PER_HOUR + style->hourly_ms;
    int64_t next = ms - ms % style->short_ms + style->short_ms;
    return ms < hourly && hourly < next ? hourly : next;
}

/** Count what has flowed since each quantity was last reported. */
static void integrate(struct hx_sim *s, uint8_t list)
{
    for (unsigned i = 0; i < 4; i++) {
        if (list == 1 && i != 0) /* list 1 tells the imported power only */
            continue;
        int32_t now = direction(&s->load, i);
        if (s->begun)
            s->energy_half_mj[i] += ((uint64_t)s->reported[i] + (uint64_t)now) *
                                    (uint64_t)(s->now_ms - s->reported_ms[i]);
        s->reported[i] = now;
        s->reported_ms[i] = s->now_ms;
    }
    if (s->now_ms % MS_PER_HOUR == 0)
        memcpy(s->hour_half_mj, s->energy_half_mj, sizeof s->hour_half_mj);
}

enum hx_err hx_sim_init(struct hx_sim *s, const struct hx_sim_config *c)
{
    bool maker_known =
        c->maker == HX_MAKER_AIDON || c->maker == HX_MAKER_KAIFA || c->maker == HX_MAKER_KAMSTRUP;
    bool grid_known =
        c->grid == HX_GRID_1PHASE || c->grid == HX_GRID_3WIRE || c->grid == HX_GRID_4WIRE;
    if (!maker_known || !grid_known || c->start_utc_s < HX_SIM_START_MIN ||
        c->start_utc_s > HX_SIM_START_MAX)
        return HX_E_VALUE;
    memset(s, 0, sizeof *s);
    s->config = *c;
    s->random = c->seed;
    s->start_ms = c->start_utc_s * MS_PER_S;
    s->now_ms = s->start_ms - s->start_ms % 10000;
    s->clouds = 900;
    /* some years of living, kWh: import, export, reactive import, reactive export */
    static const int32_t lived_kwh[4] = {60000, 0, 500, 9000};
    for (unsigned i = 0; i < 4; i++) {
        int32_t kwh = random_between(&s->random, lived_kwh[i] / 10, lived_kwh[i]);
        s->energy_half_mj[i] = (uint64_t)kwh * 1000u * HALF_MJ_PER_WH;
    }
    memcpy(s->hour_half_mj, s->energy_half_mj, sizeof s->hour_half_mj);
    live(s, MS_PER_HOUR); /* an hour for things to be on already */
    return HX_OK;
}

void hx_sim_next(struct hx_sim *s, struct hx_sim_telegram *t)
{
    uint8_t list = list_due(s);
    integrate(s, list);
    make_frame(s, list);
    int64_t sent_ms = s->now_ms > s->start_ms ? s->now_ms : s->start_ms;
    int64_t next_ms = next_after(s, sent_ms);
    *t = (struct hx_sim_telegram){
        .bytes = {s->frame, s->len},
        .at_utc_ms = s->now_ms,
        .wait_ms = (uint32_t)(next_ms - sent_ms),
        .list = list,
    };
    live(s, (uint32_t)(next_ms - s->now_ms)); /* does not touch the frame */
    s->now_ms = next_ms;
    s->begun = true;
}

/* ---- a bad line ---- */

static bool happens(struct hx_sim_noise *n, uint32_t ppb)
{
    return ppb != 0 && random_next(&n->random) % 1000000000u < ppb;
}

size_t hx_sim_noise_apply(struct hx_sim_noise *n, struct hx_span in, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t octet = in.ptr[i];
        for (unsigned bit = 0; bit < 8; bit++)
            if (happens(n, n->flip_ppb))
                octet = (uint8_t)(octet ^ 1u << bit);
        if (!happens(n, n->drop_ppb))
            out[len++] = octet;
    }
    return len;
}
