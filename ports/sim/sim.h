/* sim.h - a household behind a HAN port: the telegrams that a meter would send.
 * In:     maker, grid, seed, start time.  Out: one whole HDLC frame at a time, and when the next
 *         one is due. The caller sleeps, or does not: the telegrams are the same.
 * State:  struct hx_sim, owned by the caller; nothing to free; no OS, no clock, no float.
 *         The same configuration gives the same bytes on every machine.
 * Source: NVE letter 27.06.2016 with the makers' lists; layouts as recorded from real meters
 *         (tests/vectors/), see docs/en/meters.md. */
#ifndef HX_SIM_H
#define HX_SIM_H

#include "hx/lists.h"

#define HX_SIM_ID_PREFIX "SIM"      /* begins every simulated meter id: real ones are all digits */
#define HX_SIM_FRAME_MAX 512u       /* longest: Aidon list 3 with three phases, 396 octets */
#define HX_SIM_START_MIN 946684800  /* 2000-01-01T00:00:00Z */
#define HX_SIM_START_MAX 4070908799 /* 2098-12-31T23:59:59Z */
#define HX_SIM_APPLIANCE_MAX 8u     /* see the table in sim.c */

struct hx_sim_config {
    enum hx_maker maker; /* HX_MAKER_AIDON, HX_MAKER_KAIFA or HX_MAKER_KAMSTRUP */
    enum hx_grid grid;   /* HX_GRID_1PHASE, HX_GRID_3WIRE (IT) or HX_GRID_4WIRE (TN) */
    uint64_t seed;       /* another seed is another household with another meter id */
    int64_t start_utc_s; /* seconds since 1970; HX_SIM_START_MIN … HX_SIM_START_MAX */
    bool solar;          /* panels on the roof: export around midday */
};

/** What the household does at one moment: the values that the telegram reports, before the
 * maker's resolution is applied. */
struct hx_sim_load {
    int32_t p_w[3],
        q_var[3]; /* per phase (3-wire: per pair L1-L2, L2-L3, L3-L1), import positive */
    int32_t current_ma[3], voltage_mv[3];
    int32_t power_w, reactive_var; /* sums: what is reported and what is integrated */
};

struct hx_sim_appliance {
    bool on;
    uint32_t left_ms; /* until it switches off */
};

/** One telegram. */
struct hx_sim_telegram {
    struct hx_span bytes; /* the frame, inside struct hx_sim until the next call */
    int64_t at_utc_ms;    /* the moment it belongs to */
    uint32_t wait_ms;     /* from sending it (or from the start, if later) to the next one */
    uint8_t list;         /* 1, 2 or 3 */
};

struct hx_sim { /* private: visible for its size only, but load and energies may be looked at */
    struct hx_sim_config config;
    uint64_t random;
    int64_t now_ms, start_ms; /* UTC; now_ms is the moment of the next telegram */
    bool begun;
    struct hx_sim_appliance appliance[HX_SIM_APPLIANCE_MAX];
    int32_t wander_mv; /* slow change of the grid's own voltage */
    int32_t clouds;    /* 0 … 1000: what they let through */
    struct hx_sim_load load;
    /* Exact integral of the reported values joined by straight lines, in half millijoules, of the
     * order of HX_E_IMPORT … HX_R_EXPORT; and its copy at the last whole hour. */
    uint64_t energy_half_mj[4], hour_half_mj[4];
    int32_t reported[4]; /* W, VAr: newest told of each, and when */
    int64_t reported_ms[4];
    size_t len;
    uint8_t frame[HX_SIM_FRAME_MAX];
};

/** @return HX_OK; HX_E_VALUE: maker or grid that the simulator does not know, or such a time. */
enum hx_err hx_sim_init(struct hx_sim *s, const struct hx_sim_config *c);

/** Make the next telegram. The first is due at once, and has identity and all phases: its moment is
 * the last full ten seconds before the start. All others come at their maker's own seconds. */
void hx_sim_next(struct hx_sim *s, struct hx_sim_telegram *t);

/** A bad line. Probabilities are parts per billion. */
struct hx_sim_noise {
    uint64_t random;
    uint32_t flip_ppb; /* each bit arrives inverted */
    uint32_t drop_ppb; /* each octet is lost */
};

/** Send @p in over the bad line. @param out  room for in.len octets; may be in's own.
 * @return octets that arrive. */
size_t hx_sim_noise_apply(struct hx_sim_noise *n, struct hx_span in, uint8_t *out);

#endif
