/* hx/hour.h - the hourly energy reading: which hour an hourly list ends, its totals, what was used.
 * In:     the state after an hourly list, the reading before.  Out: a reading, its JSON.
 * State:  none; a reading is plain data, to be kept until it is delivered.
 * Source: HAN port, list 3: sent once an hour with the totals at the full hour. */
#ifndef HX_HOUR_H
#define HX_HOUR_H

#include "hx/state.h"
#include "hx/zone.h"

/** One hour's reading, for `<topic>/hour`. */
struct hx_hour {
    int64_t start_utc_s; /* start of the hour that the totals end; the meter's clock, else ours */
    bool known[4];       /* order of HX_E_IMPORT … */
    int64_t total_wh[4]; /* counter at the end of the hour, scaled */
    bool has_used;       /* only when the reading before is of the hour before, same scale */
    int64_t used_wh[4];  /* in the hour; where both readings are known, else 0 */
    enum hx_quality quality;
    uint32_t scale; /* of the totals, 1/1000; 0 in a reading that does not say: taken as the same */
};

/** The reading that the state's newest hourly list stands for.
 * @param before  the one before it, of the same meter, or NULL.
 * @return HX_OK; HX_E_VALUE when no hourly list came since the start, or no time is known for it.
 */
enum hx_err hx_hour_from_state(const struct hx_state *s, const struct hx_hour *before,
                               struct hx_hour *out);

/** Append {"hourStart":…,"hourStartUtc":…,"importKwh":…,"exportKwh":…,"reactiveImportKvarh":…,
 * "reactiveExportKvarh":…,"hourImportKwh":…,…,"quality":"measured"}. The first four are the
 * counters at the end of the hour, the second four what was used in it; null where not known. */
void hx_hour_json(struct hx_wr *w, const struct hx_hour *h, const struct hx_zone *z);

#endif
