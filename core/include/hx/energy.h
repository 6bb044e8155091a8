/* hx/energy.h - estimated energy: the last hourly total plus the integral of power since.
 * In:     power values and hourly totals with times.  Out: Wh that never run backwards.
 * State:  struct hx_energy for one quantity, owned by the caller.
 * Source: device manual, register table ("estimert"), 2025-04b; rules: docs/decisions/0004. */
#ifndef HX_ENERGY_H
#define HX_ENERGY_H

#include "hx/base.h"

#define HX_ENERGY_GAP_MS 60000u /* longer without power values is not integrated across */

/** W × ms is exactly mJ; the trapezoid halves it, so sums are kept in half millijoule. */
#define HX_HALF_MJ_PER_WH 7200000u

struct hx_energy {
    bool known;             /* a total has been seen (now or restored) */
    bool held;              /* estimate waits for the meter to catch up */
    bool limited;           /* limit_wh counts */
    int64_t total_wh;       /* last hourly total */
    uint64_t since_half_mj; /* integral since that total */
    int64_t shown_wh;       /* highest estimate given out */
    int64_t limit_wh;       /* nothing above is given out: so much is saved */
    bool has_power;
    int64_t power_w; /* newest power value */
    uint64_t power_at_ms;
};

void hx_energy_init(struct hx_energy *e);
/** A power value arrived. @param power_w ≥ 0. */
void hx_energy_power(struct hx_energy *e, int64_t power_w, uint64_t now_ms);
/** An hourly total arrived. @param lag_s seconds between the total's moment and now (Aidon 10). */
void hx_energy_total(struct hx_energy *e, int64_t total_wh, uint32_t lag_s, uint64_t now_ms);
/** Another meter, or its counter starts afresh: forget all but the power value. */
void hx_energy_restart(struct hx_energy *e);
/** Give out nothing above @p limit_wh until told a higher one: a power cut would take it back. Ends
 * with hx_energy_init and hx_energy_restart. */
void hx_energy_limit(struct hx_energy *e, int64_t limit_wh);
/** @return the highest Wh that was or could be given out, were there no limit; 0 while not known.
 */
int64_t hx_energy_unlimited_wh(const struct hx_energy *e);
/** @return estimated Wh, never less than before; 0 while not known. */
int64_t hx_energy_wh(const struct hx_energy *e);

#endif
