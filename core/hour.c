/* hour.c - see hx/hour.h */
#include "hx/hour.h"

#define COUNT 4u
#define HOUR_S 3600
#define KWH_DECIMALS 3 /* of Wh */

/* A meter's clock that runs behind by less than this still tells the hour: hourly lists come 0 to
 * 55 s after it (Kamstrup 5, Aidon and Kaifa 10 s; vectors). */
#define CLOCK_SLACK_S 60
/* A clock before this was never set: the HAN port's lists are of June 2016 (NVE letter), and meters
 * without a set clock start at 2000-01-01 (vector kamstrup-l2-25el-…-20000101T223300). */
#define CLOCK_MIN_S 1451606400 /* 2016-01-01T00:00:00Z */
/* The hour that comes twice lasts an hour, so a wall clock right to within half of it tells which.
 */
#define WALL_SLACK_S 1800

/* Wall clock at a monotonic time. */
static bool wall_utc(const struct hx_state *s, uint64_t at_ms, int64_t *utc_s)
{
    int64_t ms = s->utc_ms - (int64_t)(s->now_ms - at_ms);
    if (!s->utc_known || ms < 0)
        return false;
    *utc_s = ms / 1000;
    return true;
}

/* The hour whose end a list of that time tells. */
static int64_t start_of(int64_t utc_s)
{
    utc_s += CLOCK_SLACK_S;
    return utc_s - utc_s % HOUR_S - HOUR_S;
}

static bool has_same_totals(const struct hx_hour *a, const struct hx_hour *b)
{
    for (unsigned i = 0; i < COUNT; i++)
        if (a->known[i] != b->known[i] || (a->known[i] && a->total_wh[i] != b->total_wh[i]))
            return false;
    return true;
}

/* In the hour that comes twice: is the clock's time the second? A wall clock near either tells; but
 * not that a reading is of the hour that was read already, unless it is the same list again.
 * Without one, the list after the reading before is of the hour after it. */
static bool is_second(const struct hx_state *s, const struct hx_hour *before,
                      const struct hx_hour *now, int64_t first_s, int64_t list_s)
{
    bool read = before != NULL && start_of(list_s) <= before->start_utc_s;
    int64_t wall_s;
    if (read && !has_same_totals(before, now))
        return true;
    if (wall_utc(s, s->meter.clock_at_ms, &wall_s) && wall_s >= first_s - WALL_SLACK_S &&
        wall_s <= first_s + HOUR_S + WALL_SLACK_S)
        return wall_s > first_s + WALL_SLACK_S;
    return before == NULL;
}

/* UTC of the newest hourly list by the meter's clock. The clock may be of a later telegram (Kaifa
 * sends it every 2 s): taken back by the time between. */
static bool meter_utc(const struct hx_state *s, const struct hx_hour *before,
                      const struct hx_hour *now, int64_t *utc_s)
{
    const struct hx_meter *m = &s->meter;
    int64_t first_s, second_s,
        later_s = ((int64_t)m->clock_at_ms - (int64_t)m->energy_at_ms) / 1000;
    if (!hx_meter_clock_utc(m->maker, &m->clock, INT64_MIN + 1, &first_s) ||
        !hx_meter_clock_utc(m->maker, &m->clock, INT64_MIN, &second_s) || first_s < CLOCK_MIN_S)
        return false;
    if (first_s != second_s && is_second(s, before, now, first_s, first_s - later_s))
        first_s = second_s;
    *utc_s = first_s - later_s;
    return true;
}

static void take_totals(const struct hx_state *s, struct hx_hour *out)
{
    for (unsigned i = 0; i < COUNT; i++) {
        enum hx_field f = (enum hx_field)(HX_E_IMPORT + i);
        const struct hx_value *v = &s->meter.value[f];
        out->known[i] = v->quality == HX_MEASURED;
        out->total_wh[i] = out->known[i] ? hx_state_scaled(s, f, v->num) : 0;
        if (out->known[i])
            out->quality = HX_MEASURED;
    }
}

/* Said for the whole hour or not at all: a counter that went down was reset, one that was not known
 * an hour ago tells nothing. */
static void take_used(const struct hx_hour *before, struct hx_hour *out)
{
    if (before->start_utc_s + HOUR_S != out->start_utc_s ||
        (before->scale != 0 && before->scale != out->scale))
        return;
    for (unsigned i = 0; i < COUNT; i++)
        if (out->known[i] && (!before->known[i] || out->total_wh[i] < before->total_wh[i]))
            return;
    out->has_used = true;
    for (unsigned i = 0; i < COUNT; i++)
        if (out->known[i])
            out->used_wh[i] = out->total_wh[i] - before->total_wh[i];
}

enum hx_err hx_hour_from_state(const struct hx_state *s, const struct hx_hour *before,
                               struct hx_hour *out)
{
    struct hx_hour h = {.quality = HX_UNKNOWN, .scale = s->scale};
    int64_t utc_s;
    take_totals(s, &h);
    if (!s->meter.energy_known || h.quality == HX_UNKNOWN)
        return HX_E_VALUE;
    if (!meter_utc(s, before, &h, &utc_s) && !wall_utc(s, s->meter.energy_at_ms, &utc_s))
        return HX_E_VALUE;
    h.start_utc_s = start_of(utc_s);
    if (before != NULL)
        take_used(before, &h);
    *out = h;
    return HX_OK;
}

static void put_energies(struct hx_wr *w, const char *const names[COUNT], const int64_t wh[COUNT],
                         const bool known[COUNT], bool all)
{
    for (unsigned i = 0; i < COUNT; i++) {
        hx_wr_str(w, ",\"");
        hx_wr_str(w, names[i]);
        hx_wr_str(w, "\":");
        if (all && known[i])
            hx_wr_dec(w, wh[i], -KWH_DECIMALS);
        else
            hx_wr_str(w, "null");
    }
}

void hx_hour_json(struct hx_wr *w, const struct hx_hour *h, const struct hx_zone *z)
{
    static const char *const totals[COUNT] = {"importKwh", "exportKwh", "reactiveImportKvarh",
                                              "reactiveExportKvarh"};
    static const char *const used[COUNT] = {"hourImportKwh", "hourExportKwh",
                                            "hourReactiveImportKvarh", "hourReactiveExportKvarh"};
    hx_wr_str(w, "{\"hourStart\":\"");
    hx_zone_format(w, z, h->start_utc_s);
    hx_wr_str(w, "\",\"hourStartUtc\":\"");
    hx_utc_format(w, h->start_utc_s);
    hx_wr_u8(w, '"');
    put_energies(w, totals, h->total_wh, h->known, true);
    put_energies(w, used, h->used_wh, h->known, h->has_used);
    hx_wr_str(w, ",\"quality\":\"");
    hx_wr_str(w, hx_quality_name(h->quality));
    hx_wr_str(w, "\"}");
}
