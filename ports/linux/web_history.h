/* web_history.h - the last 24 hours in memory, for the plot.
 * In:     states with their times.  Out: rows of 10 s with least, mean and greatest power, and the
 *         power at each telegram of the last hour.
 * State:  struct hx_web_history, owned by the caller: some 450 kB, touched as it fills. One thread.
 */
#ifndef HX_WEB_HISTORY_H
#define HX_WEB_HISTORY_H

#include "web_out.h"

#include "hx/state.h"

#define HX_HISTORY_STEP_MS 10000u
#define HX_HISTORY_ROWS 8640u   /* 24 h */
#define HX_HISTORY_POINTS 1800u /* an hour of list 1 at 2 s */
#define HX_HISTORY_NONE INT32_MIN
#define HX_HISTORY_SERIES 12u /* import and export each min, avg, max; I and U of three phases */

struct hx_history_row {
    int32_t value[HX_HISTORY_SERIES]; /* W, mA, mV, scaled; HX_HISTORY_NONE: nothing came */
};
struct hx_history_sum {
    int64_t sum, min, max;
    uint32_t count;
};
struct hx_history_point {
    uint64_t at_ms;
    int32_t import_w, export_w;
};

struct hx_web_history {
    bool begun;
    uint64_t step;                /* number of the step being gathered: time / HX_HISTORY_STEP_MS */
    uint32_t rows;                /* filled, at most HX_HISTORY_ROWS */
    uint32_t next;                /* where the next row goes */
    uint32_t telegrams;           /* counter of the newest state taken */
    struct hx_history_sum sum[8]; /* import, export, I, U */
    struct hx_history_row row[HX_HISTORY_ROWS];
    uint32_t points, next_point;
    struct hx_history_point point[HX_HISTORY_POINTS];
};

void hx_history_init(struct hx_web_history *h);
/** Take a state in. The same telegram counts once; a phase that is old is not taken again. */
void hx_history_add(struct hx_web_history *h, const struct hx_state *s);
/** Write the answer of GET /api/v1/history. @param hours 1 … 24. @param step_s 10, 60, 300. */
void hx_history_json(const struct hx_web_history *h, const struct hx_state *s, unsigned hours,
                     unsigned step_s, struct hx_web_out *o);
/** … of GET /api/v1/history/recent. */
void hx_history_recent_json(const struct hx_web_history *h, const struct hx_state *s,
                            struct hx_web_out *o);

#endif
