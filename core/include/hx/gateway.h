/* hx/gateway.h - one gateway: meter bytes in, state and events out.
 * In:     bytes and line errors from the meter, time, inputs, saved state.
 * Out:    struct hx_state, the register image, events to act on.
 * State:  struct hx_gateway, owned by the caller; no globals, a process can hold many.
 *
 *   meter bytes ─ rx ─▶ hdlc ─▶ dlms ─▶ lists ─▶ meter ─▶ energy ─▶ state ─▶ registers
 *   The work is done inside hx_gw_next: pull until it returns false. */
#ifndef HX_GATEWAY_H
#define HX_GATEWAY_H

#include "hx/hdlc.h"
#include "hx/modbus.h"

#define HX_GW_SAVE_SOON_MS 2000u  /* after a change that must not be lost */
#define HX_GW_WRITING_SOON 10u    /* saves soon after a Modbus write … */
#define HX_GW_WRITING_MS 600000u  /* … in this time; others are saved lazily */
#define HX_GW_SAVE_LAZY_MS 60000u /* running estimates */
#define HX_GW_TICK_MS 1000u       /* ages, uptime, link verdict */
#define HX_GW_QUIET_MS 300u   /* line silence after which unfinished frames are looked through */
#define HX_GW_SAVED_MAX 2048u /* octets of saved state */

enum hx_event_kind {
    HX_EV_TELEGRAM, /* accepted: raw, telegram, news */
    HX_EV_DROPPED,  /* frame or telegram dropped: raw, err; telegram when it was decoded */
    HX_EV_LINK,     /* the link verdict changed: link */
    HX_EV_SAVE,     /* save now: hx_gw_save */
};

/** What happened. Pointers are valid until the next call on the gateway. */
struct hx_event {
    enum hx_event_kind kind;
    struct hx_span raw;
    const struct hx_telegram *telegram; /* NULL when not decoded */
    enum hx_err err;
    unsigned news; /* bits of enum hx_meter_news */
    enum hx_link link;
};

struct hx_gateway {
    struct hx_state state;
    struct hx_registers regs;
    struct hx_hdlc hdlc;
    struct hx_telegram telegram; /* newest decoded */
    bool quiet_due;              /* look through unfinished frames once */
    bool link_told, save_soon, save_lazy, dirty;
    uint8_t writing; /* saves soon after a Modbus write, since writing_ms */
    uint64_t save_soon_ms, save_lazy_ms, writing_ms, tick_ms;
    uint32_t recent_bytes, recent_line_errors; /* since the last good frame */
    bool framed;                               /* a frame with right checksums came */
    enum hx_err frame_err;                     /* what became of the newest one */
    uint64_t frame_ms;                         /* when */
    uint64_t noise_ms;                         /* first byte since */
    bool clock_claimed;     /* the meter's clock jumped: waits for a telegram that agrees */
    int64_t clock_claim_ms; /* what it then said, less monotonic time */
    int64_t reserved_wh[4]; /* estimates up to here are saved: no restart falls below them */
    uint64_t reserved_ms;   /* when that save was asked for */
    bool reserve_due;       /* estimates may not go so far yet */
    uint32_t scale_setting; /* the setting when state.scale was last written; 0 none */
};

void hx_gw_init(struct hx_gateway *g, uint64_t now_ms);
/** Bytes from the meter. @return how many were taken; drain events, then give the rest. */
size_t hx_gw_rx(struct hx_gateway *g, struct hx_span bytes, uint64_t now_ms);
/** The next byte was received with a parity or framing error. */
void hx_gw_line_error(struct hx_gateway *g);
/** Time passed. */
void hx_gw_tick(struct hx_gateway *g, uint64_t now_ms);
/** @return true and the next event; false when there is none. */
bool hx_gw_next(struct hx_gateway *g, struct hx_event *ev);
/** @return call hx_gw_tick at this time at the latest. */
uint64_t hx_gw_deadline_ms(const struct hx_gateway *g);

/** Inputs that are not the meter. Until a wall clock is set the meter's clock serves as one, where
 * its zone is known; state.utc_from_meter says so. */
void hx_gw_set_clock(struct hx_gateway *g, int64_t utc_ms);
void hx_gw_set_input(struct hx_gateway *g, bool closed);
void hx_gw_set_temperature(struct hx_gateway *g, int32_t temp_cc);
/** The source that is used from now on. Values that an earlier one made up stay marked until a real
 * meter's take their place, those of a state that was saved too. */
void hx_gw_set_simulated(struct hx_gateway *g, bool simulated);
/** The scale setting, at start (after hx_gw_load) and at each reload. A scale written over Modbus
 * since the same setting was last given stays; a changed setting wins. */
void hx_gw_set_scale(struct hx_gateway *g, uint32_t setting);
/** The scale setting, given by hand: it counts though the same number was written over since. */
void hx_gw_use_scale(struct hx_gateway *g, uint32_t setting);
/** A Modbus write changed the state: to be saved soon; within a minute after the tenth time in ten
 * minutes. */
void hx_gw_written(struct hx_gateway *g);

/** The end is near and clean: the next save holds the estimates as they are, without reserve. */
void hx_gw_end(struct hx_gateway *g);

/** Write the state that must outlive a restart: text lines, versioned, with a checksum. */
void hx_gw_save(const struct hx_gateway *g, struct hx_wr *w);
/** Take saved state in. Nothing is taken unless all of it is good.
 * @return HX_OK; HX_E_LEN cut or empty; HX_E_FCS checksum; HX_E_VALUE not ours or newer version. */
enum hx_err hx_gw_load(struct hx_gateway *g, struct hx_span file);

#endif
