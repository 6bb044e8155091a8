/* state.c - see hx/state.h */
#include "hx/state.h"

const char *hx_link_text(enum hx_link link)
{
    switch (link) {
    case HX_LINK_SILENT:
        return "no bytes from the meter: check that the grid company has opened the HAN port, the "
               "cable and the adapter";
    case HX_LINK_NOISE:
        return "bytes from the meter, but no good frame: check the cable and the speed";
    case HX_LINK_PARITY:
        return "bytes from the meter, but no good frame: it looks like the wrong speed or parity";
    case HX_LINK_ENCRYPTED:
        return "good frames from the meter, but encrypted: ask the grid company to open the HAN "
               "port without encryption";
    case HX_LINK_FOREIGN:
        return "good frames from the meter, but no list that is known here: please report them";
    case HX_LINK_GOOD:
        return "good telegrams from the meter";
    }
    return "unknown";
}

static bool is_energy(enum hx_field f)
{
    return f >= HX_E_IMPORT;
}

static bool is_voltage(enum hx_field f)
{
    return f >= HX_U_L1 && f <= HX_U_L3;
}

/* value × scale / 1000 for one sign: the whole thousands apart from the rest, so that 64 bits
 * carry the product as long as they can carry the result. @p add: 500 rounds half up, 0 down, 999
 * up. */
static uint64_t scale_size(uint64_t size, uint32_t scale, uint32_t add)
{
    uint64_t whole = size / 1000u, rest = size % 1000u;
    uint64_t part = (rest * scale + add) / 1000u;
    if (whole > (INT64_MAX - part) / scale)
        return INT64_MAX;
    return whole * scale + part;
}

int64_t hx_state_scaled(const struct hx_state *s, enum hx_field f, int64_t value)
{
    if (is_voltage(f))
        return value;
    HX_ASSERT(s->scale >= HX_SCALE_MIN && s->scale <= HX_SCALE_MAX);
    if (value >= 0)
        return (int64_t)scale_size((uint64_t)value, s->scale, is_energy(f) ? 0 : 500u);
    /* down is away from zero below zero */
    return -(int64_t)scale_size(0u - (uint64_t)value, s->scale, is_energy(f) ? 999u : 500u);
}

uint64_t hx_state_uptime_s(const struct hx_state *s)
{
    return s->now_ms > s->started_ms ? (s->now_ms - s->started_ms) / 1000u : 0;
}
