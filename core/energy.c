/* energy.c - see hx/energy.h */
#include "hx/energy.h"

void hx_energy_init(struct hx_energy *e)
{
    *e = (struct hx_energy){.known = false};
}

static int64_t estimate_wh(const struct hx_energy *e)
{
    return e->total_wh + (int64_t)(e->since_half_mj / HX_HALF_MJ_PER_WH);
}

/* Bring what is shown up to the estimate as far as the limit lets it, never down. */
static void show(struct hx_energy *e)
{
    int64_t estimate = estimate_wh(e);
    e->held = estimate < e->shown_wh;
    if (e->limited && estimate > e->limit_wh)
        estimate = e->limit_wh;
    if (estimate > e->shown_wh)
        e->shown_wh = estimate;
}

static void add(struct hx_energy *e, uint64_t half_mj)
{
    uint64_t room = INT64_MAX - e->since_half_mj; /* so that it can be saved as a signed number */
    e->since_half_mj += half_mj < room ? half_mj : room;
}

/* The power value still stands for the present. */
static bool is_fresh(const struct hx_energy *e, uint64_t now_ms)
{
    return e->has_power && now_ms >= e->power_at_ms && now_ms - e->power_at_ms <= HX_ENERGY_GAP_MS;
}

void hx_energy_power(struct hx_energy *e, int64_t power_w, uint64_t now_ms)
{
    if (e->known && is_fresh(e, now_ms)) {
        /* trapezoid: the mean of both ends, × 2 because sums are in half mJ */
        add(e, (uint64_t)(e->power_w + power_w) * (now_ms - e->power_at_ms));
        show(e);
    }
    e->has_power = true;
    e->power_w = power_w;
    e->power_at_ms = now_ms;
}

void hx_energy_total(struct hx_energy *e, int64_t total_wh, uint32_t lag_s, uint64_t now_ms)
{
    if (e->known && total_wh == e->total_wh)
        return; /* no news, such as an hour that an Aidon sends twice: the integral goes on */
    e->total_wh = total_wh;
    e->since_half_mj = 0;
    if (is_fresh(e, now_ms))
        add(e, (uint64_t)e->power_w * lag_s * 2000u);
    if (!e->known)
        e->shown_wh = total_wh;
    e->known = true;
    show(e);
}

void hx_energy_restart(struct hx_energy *e)
{
    e->known = e->held = e->limited = false;
    e->total_wh = e->shown_wh = 0;
    e->since_half_mj = 0;
}

void hx_energy_limit(struct hx_energy *e, int64_t limit_wh)
{
    e->limited = true;
    e->limit_wh = limit_wh;
}

int64_t hx_energy_unlimited_wh(const struct hx_energy *e)
{
    int64_t estimate = estimate_wh(e);
    if (!e->known)
        return 0;
    return estimate > e->shown_wh ? estimate : e->shown_wh;
}

int64_t hx_energy_wh(const struct hx_energy *e)
{
    return e->known ? e->shown_wh : 0;
}
