/* web_history.c - see web_history.h. */
#include "web_history.h"

#include <string.h>

#define HOUR_MS 3600000u

static const struct {
    enum hx_field field;
    unsigned first; /* series: min, avg, max for power; else the mean alone */
    bool spread;
} sources[8] = {
    {HX_P_IMPORT, 0, true}, {HX_P_EXPORT, 3, true}, {HX_I_L1, 6, false},  {HX_I_L2, 7, false},
    {HX_I_L3, 8, false},    {HX_U_L1, 9, false},    {HX_U_L2, 10, false}, {HX_U_L3, 11, false},
};
static const struct {
    const char *name;
    int decimals; /* of the unit that is shown, in the integers that are kept */
    enum { LEAST, MEAN, GREATEST } how; /* rows put together */
} series[HX_HISTORY_SERIES] = {
    {"import_min", 0, LEAST}, {"import_avg", 0, MEAN}, {"import_max", 0, GREATEST},
    {"export_min", 0, LEAST}, {"export_avg", 0, MEAN}, {"export_max", 0, GREATEST},
    {"current_l1", 3, MEAN},  {"current_l2", 3, MEAN}, {"current_l3", 3, MEAN},
    {"voltage_l1", 3, MEAN},  {"voltage_l2", 3, MEAN}, {"voltage_l3", 3, MEAN},
};

void hx_history_init(struct hx_web_history *h)
{
    memset(h, 0, sizeof *h);
}

static int32_t clamp(int64_t v)
{
    if (v > INT32_MAX)
        return INT32_MAX;
    return v < -INT32_MAX ? -INT32_MAX : (int32_t)v;
}

/* --- in --- */

static void push_row(struct hx_web_history *h)
{
    struct hx_history_row *row = &h->row[h->next];

    for (size_t i = 0; i < 8; i++) {
        const struct hx_history_sum *sum = &h->sum[i];
        unsigned at = sources[i].first;
        bool none = sum->count == 0;
        int32_t mean = none ? HX_HISTORY_NONE : clamp(hx_div_round(sum->sum, sum->count));

        row->value[at] = sources[i].spread && !none ? clamp(sum->min) : mean;
        if (sources[i].spread) {
            row->value[at + 1u] = mean;
            row->value[at + 2u] = none ? HX_HISTORY_NONE : clamp(sum->max);
        }
    }
    memset(h->sum, 0, sizeof h->sum);
    h->next = (h->next + 1u) % HX_HISTORY_ROWS;
    h->rows += h->rows < HX_HISTORY_ROWS ? 1u : 0u;
}

/* Rows up to the one that @p now_ms falls in; after a day of silence no more than there are. */
static void advance(struct hx_web_history *h, uint64_t now_ms)
{
    uint64_t step = now_ms / HX_HISTORY_STEP_MS;

    if (!h->begun) {
        h->begun = true;
        h->step = step;
    }
    for (unsigned n = 0; h->step < step && n < HX_HISTORY_ROWS; n++, h->step++)
        push_row(h);
    h->step = step > h->step ? step : h->step;
}

static void add_value(struct hx_history_sum *sum, int64_t value)
{
    sum->min = sum->count == 0 || value < sum->min ? value : sum->min;
    sum->max = sum->count == 0 || value > sum->max ? value : sum->max;
    sum->sum += value;
    sum->count++;
}

static void add_point(struct hx_web_history *h, const struct hx_state *s)
{
    const struct hx_value *in = &s->meter.value[HX_P_IMPORT], *out = &s->meter.value[HX_P_EXPORT];
    struct hx_history_point *p = &h->point[h->next_point];

    if (in->quality == HX_UNKNOWN && out->quality == HX_UNKNOWN)
        return;
    p->at_ms = s->last_good_ms;
    p->import_w = in->quality == HX_UNKNOWN ? HX_HISTORY_NONE
                                            : clamp(hx_state_scaled(s, HX_P_IMPORT, in->num));
    p->export_w = out->quality == HX_UNKNOWN ? HX_HISTORY_NONE
                                             : clamp(hx_state_scaled(s, HX_P_EXPORT, out->num));
    h->next_point = (h->next_point + 1u) % HX_HISTORY_POINTS;
    h->points += h->points < HX_HISTORY_POINTS ? 1u : 0u;
}

void hx_history_add(struct hx_web_history *h, const struct hx_state *s)
{
    advance(h, s->now_ms);
    if (s->telegrams == h->telegrams)
        return;
    h->telegrams = s->telegrams;
    for (size_t i = 0; i < 8; i++) {
        const struct hx_value *v = &s->meter.value[sources[i].field];

        if (v->quality != HX_UNKNOWN && v->at_ms == s->last_good_ms)
            add_value(&h->sum[i], hx_state_scaled(s, sources[i].field, v->num));
    }
    add_point(h, s);
}

/* --- out --- */

/* One value of @p n rows from @p from on, put together. */
static int32_t combine(const struct hx_web_history *h, unsigned which, uint32_t from, uint32_t n)
{
    struct hx_history_sum sum = {.count = 0};

    for (uint32_t i = 0; i < n; i++) {
        int32_t v = h->row[(from + i) % HX_HISTORY_ROWS].value[which];

        if (v != HX_HISTORY_NONE)
            add_value(&sum, v);
    }
    if (sum.count == 0)
        return HX_HISTORY_NONE;
    if (series[which].how == MEAN)
        return clamp(hx_div_round(sum.sum, sum.count));
    return clamp(series[which].how == LEAST ? sum.min : sum.max);
}

static void put_value(struct hx_web_out *o, int32_t v, int decimals)
{
    if (v == HX_HISTORY_NONE)
        hx_web_null(o, NULL);
    else
        hx_web_dec(o, NULL, v, decimals);
}

void hx_history_json(const struct hx_web_history *h, const struct hx_state *s, unsigned hours,
                     unsigned step_s, struct hx_web_out *o)
{
    uint32_t per = step_s * 1000u / HX_HISTORY_STEP_MS;
    uint32_t want = hours * HOUR_MS / HX_HISTORY_STEP_MS;
    uint32_t have = h->rows < want ? h->rows : want, count = have / per;
    uint32_t from = (h->next + HX_HISTORY_ROWS - count * per) % HX_HISTORY_ROWS;
    uint64_t end_ms = h->step * HX_HISTORY_STEP_MS; /* monotonic */

    hx_web_open_object(o, NULL);
    hx_web_int(o, "step_s", step_s);
    hx_web_int(o, "count", count);
    if (s->utc_known)
        hx_web_int(o, "end_utc_s",
                   hx_div_round(s->utc_ms - ((int64_t)s->now_ms - (int64_t)end_ms), 1000));
    else
        hx_web_null(o, "end_utc_s");
    hx_web_open_object(o, "series");
    for (unsigned k = 0; k < HX_HISTORY_SERIES; k++) {
        hx_web_open_array(o, series[k].name);
        for (uint32_t i = 0; i < count; i++)
            put_value(o, combine(h, k, from + i * per, per), series[k].decimals);
        hx_web_close_array(o);
    }
    hx_web_close_object(o);
    hx_web_close_object(o);
}

void hx_history_recent_json(const struct hx_web_history *h, const struct hx_state *s,
                            struct hx_web_out *o)
{
    uint32_t first = (h->next_point + HX_HISTORY_POINTS - h->points) % HX_HISTORY_POINTS;
    uint32_t skip = 0;

    while (skip < h->points &&
           s->now_ms - h->point[(first + skip) % HX_HISTORY_POINTS].at_ms > HOUR_MS)
        skip++;
    hx_web_open_object(o, NULL);
    hx_web_int(o, "count", h->points - skip);
    if (s->utc_known)
        hx_web_int(o, "now_utc_ms", s->utc_ms);
    else
        hx_web_null(o, "now_utc_ms");
    for (unsigned k = 0; k < 3; k++) {
        static const char *const names[3] = {"age_ms", "import", "export"};

        hx_web_open_array(o, names[k]);
        for (uint32_t i = skip; i < h->points; i++) {
            const struct hx_history_point *p = &h->point[(first + i) % HX_HISTORY_POINTS];

            if (k == 0)
                hx_web_int(o, NULL, (int64_t)(s->now_ms - p->at_ms));
            else
                put_value(o, k == 1 ? p->import_w : p->export_w, 0);
        }
        hx_web_close_array(o);
    }
    hx_web_close_object(o);
}
