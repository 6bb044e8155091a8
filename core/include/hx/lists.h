/* hx/lists.h - the lists that Norwegian meters send: from A-XDR items to named values.
 * In:     a push telegram.  Out: struct hx_telegram, values in fixed units, exactly as sent.
 * State:  none. The tables in lists.c carry every maker's layout: a new meter is a new row.
 * Source: NVE letter 27.06.2016 with the makers' OBIS lists; see docs/en/meters.md. */
#ifndef HX_LISTS_H
#define HX_LISTS_H

#include "hx/dlms.h"

enum hx_maker { HX_MAKER_NONE, HX_MAKER_AIDON, HX_MAKER_KAIFA, HX_MAKER_KAMSTRUP, HX_MAKER_EMBRIQ };
#define HX_MAKER_COUNT 5u
/** @return "aidon" … ; "" for HX_MAKER_NONE. */
const char *hx_maker_name(enum hx_maker m);

/** The numbers of a telegram, in the order of the NVE scheme. */
enum hx_field {
    HX_P_IMPORT, /* W */
    HX_P_EXPORT,
    HX_Q_IMPORT, /* VAr */
    HX_Q_EXPORT,
    HX_I_L1, /* mA, signed */
    HX_I_L2,
    HX_I_L3,
    HX_U_L1, /* mV */
    HX_U_L2,
    HX_U_L3,
    HX_E_IMPORT, /* Wh */
    HX_E_EXPORT,
    HX_R_IMPORT, /* VArh */
    HX_R_EXPORT,
};
#define HX_FIELD_COUNT 14u
#define HX_ENERGY_COUNT 4u /* HX_E_IMPORT … HX_R_EXPORT; powers stand in the same order */

enum hx_grid { HX_GRID_UNKNOWN, HX_GRID_1PHASE, HX_GRID_3WIRE, HX_GRID_4WIRE };

struct hx_telegram {
    enum hx_maker maker;
    uint8_t list; /* 1 power, 2 ten seconds, 3 hourly: found from the content */
    enum hx_grid grid;
    uint16_t has;      /* bit per hx_field: sent in this telegram */
    uint16_t measured; /* has, less the fields that this meter type sends but does not measure */
    bool has_identity; /* version, id, type */
    struct hx_text version, id, type; /* as sent, trailing NULs kept */
    int64_t value[HX_FIELD_COUNT];    /* in the unit of the field; 0 where not sent */
    int8_t decimals[HX_FIELD_COUNT];  /* the meter's own, counted in W, A, V, Wh: 231.1 V has 1 */
    struct hx_cosem_time clock;       /* clock object of the list (list 3) */
    struct hx_cosem_time push_time;   /* date-time of the data-notification */
};

/** Decode one push telegram. A list counts only when its whole layout fits a row of the tables.
 * @return HX_OK; HX_E_AXDR; HX_E_LAYOUT; HX_E_DATE (then @p out is not to be used). */
enum hx_err hx_telegram_decode(const struct hx_push *push, struct hx_telegram *out);

/** UTC of a meter's clock, by what is known of each maker's zone.
 * Aidon: UTC+1 all year, deviation 0 ignored. Kaifa: Norwegian local time. Kamstrup: UTC+1, UTC+2
 * while the status says daylight saving. A deviation that is sent (and not Aidon's 0) decides.
 * @param near_utc_s  earliest possible time, for the hour that comes twice; INT64_MIN if not known.
 * @return true and @p utc_s; false when the clock or its zone is not known. */
bool hx_meter_clock_utc(enum hx_maker m, const struct hx_cosem_time *t, int64_t near_utc_s,
                        int64_t *utc_s);

/** Write the telegram as one JSON object with the keys of `han2x decode`, no line end. */
void hx_telegram_json(struct hx_wr *w, const struct hx_telegram *t);

#endif
