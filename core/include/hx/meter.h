/* hx/meter.h - the meter as known now: who it is and its newest values, each with quality and time.
 * In:     decoded telegrams and the time.  Out: values that can be believed.
 * State:  struct hx_meter, owned by the caller.
 * Source: device manual (Q3, Q4: values never sent); reading rules in docs/decisions/0003. */
#ifndef HX_METER_H
#define HX_METER_H

#include "hx/continuity.h"

enum hx_quality { HX_UNKNOWN, HX_MEASURED, HX_ESTIMATED, HX_HELD };
const char *hx_quality_name(enum hx_quality q);

struct hx_value {
    int64_t num;     /* unit of the field */
    uint64_t at_ms;  /* monotonic time of its telegram; meaningless while unknown */
    int8_t decimals; /* see hx_telegram */
    enum hx_quality quality;
};

/** Energies that wait for a second list. */
struct hx_energy_claim {
    int64_t wh[4];
    int64_t clock_s; /* meter clock, local seconds; INT64_MIN unknown */
    uint64_t at_ms;
    bool pending;
};

struct hx_meter {
    enum hx_maker maker;
    enum hx_grid grid;
    bool known; /* identity below is confirmed */
    struct hx_text version, id, type;
    struct hx_value value[HX_FIELD_COUNT];
    struct hx_cosem_time clock; /* newest date-time of any kind that the meter sent */
    uint64_t clock_at_ms;
    uint8_t last_list;
    /* energies of the last accepted hourly list */
    int64_t energy_clock_s; /* its clock, local seconds; INT64_MIN unknown */
    uint64_t energy_at_ms;
    bool energy_known;
    bool energy_restored; /* it was accepted before the program's start */
    /* waiting for a second list that agrees */
    bool claim_known;
    enum hx_maker claim_maker;
    struct hx_text claim_version, claim_id, claim_type;
    struct hx_energy_claim claim;
    struct hx_continuity continuity;
};

/** What an accepted telegram changed, as bits. */
enum hx_meter_news {
    HX_NEWS_FIRST = 1,   /* first meter ever seen */
    HX_NEWS_SWAPPED = 2, /* another meter than before: every old value is gone */
    HX_NEWS_RESET = 4,   /* same meter, energies start afresh */
    HX_NEWS_ENERGY = 8,  /* an hourly list with energies came */
};

void hx_meter_init(struct hx_meter *m);

/** Judge a telegram and take its values in.
 * @param scale  the scale setting in 1/1000, for plausible powers and energies (never below 1000).
 * @param[out] news  bits of enum hx_meter_news on HX_OK.
 * @return HX_OK values are in; HX_E_IDENTITY, HX_E_CONTINUITY, HX_E_ENERGY: nothing taken, waits
 * for a second one. */
enum hx_err hx_meter_accept(struct hx_meter *m, const struct hx_telegram *t, uint32_t scale,
                            uint64_t now_ms, unsigned *news);

#endif
