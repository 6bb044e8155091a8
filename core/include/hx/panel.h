/* hx/panel.h - the two lights and the FACTRESET button: what is lit, and what a press means.
 * In:     the button's edges as they come, good telegrams, time.  Out: lights; actions to carry
 * out. State:  struct hx_panel, owned by the caller. Pure: time is an argument, nothing is waited
 * for. Source: device manual, "Indikatorlys", "Fabrikkinnstillinger", "Start i DHCP"; the times
 * that it does not give are in docs/decisions/0014-panel-and-reset.md.
 *
 *   start, button up ─▶ IDLE ── down ─▶ PRESSED ── held 5 s ─▶ (reset) SPENT ── up ─▶ IDLE
 *                        ▲ ▲              │ up earlier
 *                        │ └──────────────┘
 *   start, button down ─▶ START ── held 2 s ─▶ DHCP_ARMED ── up ─▶ (DHCP) IDLE
 *                          │ up earlier: IDLE      │ held 60 s: nobody's finger
 *                                                  ▼
 *                                                SPENT ── up ─▶ IDLE
 * A press that began with the power never becomes a factory reset, however long it lasts. */
#ifndef HX_PANEL_H
#define HX_PANEL_H

#include "hx/base.h"

#define HX_PANEL_DEBOUNCE_MS 30u /* contacts of such buttons settle within 5 to 20 ms */
#define HX_PANEL_RESET_MS 5000u  /* held until the reset */
#define HX_PANEL_DHCP_MS 2000u   /* held from the start until DHCP is armed */
#define HX_PANEL_STUCK_MS 60000u /* held from the start: a stuck button, not a finger */
#define HX_PANEL_START_MS 500u   /* a press that begins so soon was there with the power */
#define HX_PANEL_BLINK_MS 250u   /* lit, and dark, while blinking */

enum hx_light { HX_LIGHT_OFF, HX_LIGHT_ON, HX_LIGHT_BLINK };

enum hx_panel_action {
    HX_PANEL_NONE,
    HX_PANEL_RESET, /* wipe: factory settings */
    HX_PANEL_DHCP,  /* network.mode = dhcp, kept until changed */
};

enum hx_panel_phase {
    HX_PANEL_IDLE,
    HX_PANEL_PRESSED,
    HX_PANEL_START,
    HX_PANEL_DHCP_ARMED,
    HX_PANEL_SPENT, /* down, and means nothing until it comes up */
};

struct hx_panel { /* private: visible for its size only */
    enum hx_panel_phase phase;
    enum hx_panel_action due;
    bool raw, down;  /* contact as it is; as it counts once it has settled */
    uint64_t raw_ms; /* when raw last changed */
    uint64_t down_ms;
    bool power_on;
    uint64_t start_ms;
    bool any_good, resetting;
    uint64_t good_ms; /* last good telegram */
};

/** Begin.
 * @param down      the button is pressed now.
 * @param power_on  this is the start of the device: a press now asks for DHCP. false: begun again,
 *                  as after a factory reset with the finger still there; such a press means
 * nothing.
 */
void hx_panel_init(struct hx_panel *p, bool down, bool power_on, uint64_t now_ms);
/** The contact changed at @p at_ms, bounces included. Times must not go backwards. */
void hx_panel_button(struct hx_panel *p, bool down, uint64_t at_ms);
/** Time passed. */
void hx_panel_tick(struct hx_panel *p, uint64_t now_ms);
/** A good telegram came. */
void hx_panel_telegram(struct hx_panel *p, uint64_t now_ms);
/** A factory reset is under way, from here or from elsewhere: the HAN light blinks; false: it could
 * not be done. */
void hx_panel_resetting(struct hx_panel *p, bool on);
/** @return what to do now, once; HX_PANEL_NONE. */
enum hx_panel_action hx_panel_take(struct hx_panel *p);

/** POWER is lit while the device runs. HAN: blinks while an action is armed or done, else lit for
 * 60 s after the last good telegram. */
enum hx_light hx_panel_power(const struct hx_panel *p);
enum hx_light hx_panel_han(const struct hx_panel *p, uint64_t now_ms);
/** @return true when a light is lit at @p now_ms, for boards that blink by themselves. */
bool hx_light_is_lit(enum hx_light light, uint64_t now_ms);
/** @return call hx_panel_tick, and look at the lights, at this time at the latest; UINT64_MAX:
 * nothing is waited for. Blinking is not counted: its next step is a multiple of
 * HX_PANEL_BLINK_MS. */
uint64_t hx_panel_deadline_ms(const struct hx_panel *p, uint64_t now_ms);

#endif
