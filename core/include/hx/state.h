/* hx/state.h - one gateway's state, as every output renders it.
 * In:     filled by the gateway.  Out: read by registers, topics, pages; a copy is a snapshot.
 * State:  plain data without pointers: it may be copied to another thread as it is. */
#ifndef HX_STATE_H
#define HX_STATE_H

#include "hx/energy.h"
#include "hx/meter.h"

#define HX_LED_HAN_MS                                                                              \
    60000u /* manual, "Indikatorlys": HAN lit 60 s after the last good telegram                    \
            */
#define HX_LINK_QUIET_MS 30000u /* three lists missed: the link verdict turns */

#define HX_SCALE_DEFAULT 1000u
#define HX_SCALE_MIN 10u        /* manual, "Skaleringsfaktor" */
#define HX_SCALE_MAX 999999999u /* manual, register table */

/** Why there are values or not (manual, questions 3 and 6). */
enum hx_link {
    HX_LINK_SILENT,    /* no bytes at all: port closed, cable, adapter */
    HX_LINK_NOISE,     /* bytes, but no good frame */
    HX_LINK_PARITY,    /* bytes, no good frame, and it looks like wrong parity or speed */
    HX_LINK_ENCRYPTED, /* good frames, but encrypted */
    HX_LINK_FOREIGN,   /* good frames that hold no list we know */
    HX_LINK_GOOD,      /* good telegrams */
};
/** @return the verdict in words, with what to check. */
const char *hx_link_text(enum hx_link link);

struct hx_state {
    uint64_t now_ms;     /* monotonic time this state was brought up to date */
    uint64_t started_ms; /* monotonic time of the start */
    struct hx_meter meter;
    struct hx_energy energy[4]; /* order of HX_E_IMPORT … HX_R_EXPORT */
    uint32_t scale;             /* 1/1000; HX_SCALE_MIN … HX_SCALE_MAX */
    enum hx_link link;
    bool simulated; /* values come from the simulator */
    bool any_byte, any_good;
    uint64_t last_byte_ms, last_good_ms;
    uint64_t bytes;
    uint32_t telegrams;             /* accepted */
    uint32_t lists[4];              /* accepted, by list number; [0] unused */
    uint32_t drops[HX_ERR_COUNT];   /* by -reason */
    uint32_t line_errors;           /* parity and framing errors from the UART */
    bool input_known, input_closed; /* digital input */
    bool temp_known;
    int32_t temp_cc; /* board, 0.01 °C */
    bool utc_known;
    bool utc_from_meter;    /* there was nothing better than the meter's clock */
    int64_t utc_ms;         /* wall clock at now_ms */
    uint32_t device_number; /* random per device, 10000 … 99999 (topic HAN2X_<number>) */
    uint32_t starts;        /* starts of the program on this device */
};

/** Scaled value of a field in its unit: power, current, energy × scale/1000, rounded half away
 * from zero (energies: down); voltages as they are. 64-bit, saturating. */
int64_t hx_state_scaled(const struct hx_state *s, enum hx_field f, int64_t value);

/** @return whole seconds since the start. */
uint64_t hx_state_uptime_s(const struct hx_state *s);

#endif
