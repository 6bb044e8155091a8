/* meter.c - see hx/meter.h */
#include "hx/meter.h"

#define PLAUSIBLE_SLACK_WH 20 /* meters round down to 10 Wh, at both ends */
#define SCALE_ONE 1000u
#define HOUR_S 3600

const char *hx_quality_name(enum hx_quality q)
{
    static const char *const names[] = {"unknown", "measured", "estimated", "held"};
    return (unsigned)q < sizeof names / sizeof names[0] ? names[q] : names[0];
}

void hx_meter_init(struct hx_meter *m)
{
    *m = (struct hx_meter){.maker = HX_MAKER_NONE, .energy_clock_s = INT64_MIN};
}

/* ---- who it is ---------------------------------------------------------------------------- */

static void take_identity(struct hx_meter *m, const struct hx_telegram *t)
{
    m->known = true;
    m->maker = t->maker;
    m->version = t->version;
    m->id = t->id;
    m->type = t->type;
    m->grid = t->grid;
    m->claim_known = false;
}

/* A list 1 names nobody; its body tells the maker, Aidon's and Embriq's being the same. */
static bool fits_anonymous(const struct hx_meter *m, const struct hx_telegram *t)
{
    return m->maker == HX_MAKER_NONE || m->maker == t->maker ||
           (m->maker == HX_MAKER_EMBRIQ && t->maker == HX_MAKER_AIDON);
}

static enum hx_err judge_identity(struct hx_meter *m, const struct hx_telegram *t, unsigned *news)
{
    bool same =
        t->maker == m->maker && hx_text_eq(&t->id, &m->id) && hx_text_eq(&t->type, &m->type);
    bool claimed = m->claim_known && t->maker == m->claim_maker &&
                   hx_text_eq(&t->version, &m->claim_version) && hx_text_eq(&t->id, &m->claim_id) &&
                   hx_text_eq(&t->type, &m->claim_type);
    if (!t->has_identity)
        return fits_anonymous(m, t) ? HX_OK : HX_E_IDENTITY;
    if (m->known && !(same && hx_text_eq(&t->version, &m->version)) && !claimed) {
        m->claim_known = true;
        m->claim_maker = t->maker;
        m->claim_version = t->version;
        m->claim_id = t->id;
        m->claim_type = t->type;
        return HX_E_IDENTITY;
    }
    if (!m->known)
        *news |= HX_NEWS_FIRST;
    else if (!same)
        *news |= HX_NEWS_SWAPPED;
    return HX_OK;
}

/* ---- energies ----------------------------------------------------------------------------- */

static int64_t clock_s(const struct hx_telegram *t)
{
    return t->clock.known ? hx_civil_to_s(&t->clock.local) : INT64_MIN;
}

/* Energies could have got from `from` to `to` in this time. */
static bool is_reachable(const int64_t from[HX_ENERGY_COUNT], const struct hx_telegram *to,
                         int64_t elapsed_s, uint32_t scale)
{
    uint64_t max_w = (uint64_t)HX_PLAUSIBLE_W * (scale > SCALE_ONE ? scale : SCALE_ONE) / SCALE_ONE;
    uint64_t s = elapsed_s < INT32_MAX ? (uint64_t)elapsed_s : INT32_MAX;
    int64_t max_wh = (int64_t)(max_w / 3600u * s + max_w % 3600u * s / 3600u);
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++) {
        int64_t step = to->value[HX_E_IMPORT + i] - from[i];
        if (!(to->has & 1u << (HX_E_IMPORT + i)))
            continue;
        if (step < 0 || step > max_wh + PLAUSIBLE_SLACK_WH)
            return false;
    }
    return true;
}

/* Seconds between two hourly lists: the meter's clock or ours, whichever shows more (the clock
 * stands still for the hour that comes twice; ours starts afresh with the program). */
static int64_t elapsed_s(int64_t clock_then, int64_t clock_now, uint64_t then_ms, uint64_t now_ms)
{
    int64_t ours = now_ms >= then_ms ? (int64_t)((now_ms - then_ms) / 1000u) : 0;
    int64_t meters = clock_then != INT64_MIN && clock_now != INT64_MIN ? clock_now - clock_then : 0;
    return meters > ours ? meters : ours;
}

static enum hx_err judge_energy(struct hx_meter *m, const struct hx_telegram *t, uint32_t scale,
                                uint64_t now_ms, unsigned *news)
{
    int64_t now_s = clock_s(t), last[HX_ENERGY_COUNT], away_s = 0;
    struct hx_energy_claim *c = &m->claim;
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++)
        last[i] = m->value[HX_E_IMPORT + i].num;
    if (m->energy_restored && t->maker == HX_MAKER_KAIFA)
        away_s = HOUR_S; /* its clock is local: an hour may have come twice while we were away */
    if (!m->energy_known || (*news & HX_NEWS_SWAPPED) ||
        is_reachable(last, t, elapsed_s(m->energy_clock_s, now_s, m->energy_at_ms, now_ms) + away_s,
                     scale))
        return HX_OK;
    if (c->pending &&
        is_reachable(c->wh, t, elapsed_s(c->clock_s, now_s, c->at_ms, now_ms), scale)) {
        *news |= HX_NEWS_RESET;
        return HX_OK;
    }
    *c = (struct hx_energy_claim){.clock_s = now_s, .at_ms = now_ms, .pending = true};
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++)
        c->wh[i] = t->value[HX_E_IMPORT + i];
    return HX_E_ENERGY;
}

/* ---- taking in ---------------------------------------------------------------------------- */

static void take_values(struct hx_meter *m, const struct hx_telegram *t, uint64_t now_ms)
{
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++) {
        if (t->measured & 1u << f)
            m->value[f] = (struct hx_value){.num = t->value[f],
                                            .at_ms = now_ms,
                                            .decimals = t->decimals[f],
                                            .quality = HX_MEASURED};
        else if (t->has & 1u << f)
            m->value[f] = (struct hx_value){.quality = HX_UNKNOWN};
    }
    if (t->clock.known || t->push_time.known) {
        m->clock = t->clock.known ? t->clock : t->push_time;
        m->clock_at_ms = now_ms;
    }
    m->last_list = t->list;
}

enum hx_err hx_meter_accept(struct hx_meter *m, const struct hx_telegram *t, uint32_t scale,
                            uint64_t now_ms, unsigned *news)
{
    unsigned found = 0;
    enum hx_err e = judge_identity(m, t, &found);
    if (e == HX_OK && !(found & HX_NEWS_SWAPPED) &&
        !hx_continuity_follows(&m->continuity, t, scale, now_ms))
        e = HX_E_CONTINUITY;
    if (e == HX_OK && t->list == 3)
        e = judge_energy(m, t, scale, now_ms, &found);
    if (e != HX_OK)
        return e;
    if (found & HX_NEWS_SWAPPED)
        hx_meter_init(m);
    if (t->has_identity)
        take_identity(m, t);
    else if (m->maker == HX_MAKER_NONE)
        m->maker = t->maker;
    take_values(m, t, now_ms);
    if (t->list == 3) {
        m->energy_known = true;
        m->energy_restored = false;
        m->energy_clock_s = clock_s(t);
        m->energy_at_ms = now_ms;
        m->claim.pending = false;
        found |= HX_NEWS_ENERGY;
    }
    *news = found;
    return HX_OK;
}
