/* panel.c - see hx/panel.h */
#include "hx/panel.h"

#include "hx/state.h"

void hx_panel_init(struct hx_panel *p, bool down, bool power_on, uint64_t now_ms)
{
    *p = (struct hx_panel){.raw = down, .down = down, .raw_ms = now_ms, .down_ms = now_ms};
    p->power_on = power_on;
    p->start_ms = now_ms;
    p->phase = HX_PANEL_IDLE;
    if (down)
        p->phase = power_on ? HX_PANEL_START : HX_PANEL_SPENT;
}

/* The button came up at @p at_ms and stayed so. */
static void released(struct hx_panel *p, uint64_t at_ms)
{
    bool dhcp = p->phase == HX_PANEL_DHCP_ARMED ||
                (p->phase == HX_PANEL_START && at_ms - p->down_ms >= HX_PANEL_DHCP_MS);

    if (dhcp && at_ms - p->down_ms < HX_PANEL_STUCK_MS)
        p->due = HX_PANEL_DHCP;
    p->phase = HX_PANEL_IDLE;
}

static void settle(struct hx_panel *p, uint64_t now_ms)
{
    if (p->raw == p->down || now_ms - p->raw_ms < HX_PANEL_DEBOUNCE_MS)
        return;
    p->down = p->raw;
    if (!p->down) {
        released(p, p->raw_ms);
        return;
    }
    p->down_ms = p->raw_ms;
    /* the contact may have been between two bounces when the first look was taken */
    p->phase = p->power_on && p->down_ms - p->start_ms < HX_PANEL_START_MS ? HX_PANEL_START
                                                                           : HX_PANEL_PRESSED;
}

/* How long it was held by @p now_ms. A contact that is up but has not settled was held until then.
 */
static uint64_t held_ms(const struct hx_panel *p, uint64_t now_ms)
{
    return (p->raw ? now_ms : p->raw_ms) - p->down_ms;
}

static void hold(struct hx_panel *p, uint64_t now_ms)
{
    uint64_t held = held_ms(p, now_ms);

    switch (p->phase) { /* no default: the compiler names a forgotten phase */
    case HX_PANEL_PRESSED:
        if (held < HX_PANEL_RESET_MS)
            return;
        p->due = HX_PANEL_RESET;
        p->resetting = true;
        p->phase = HX_PANEL_SPENT;
        return;
    case HX_PANEL_START:
        if (held >= HX_PANEL_DHCP_MS)
            p->phase = held < HX_PANEL_STUCK_MS ? HX_PANEL_DHCP_ARMED : HX_PANEL_SPENT;
        return;
    case HX_PANEL_DHCP_ARMED:
        if (held >= HX_PANEL_STUCK_MS)
            p->phase = HX_PANEL_SPENT;
        return;
    case HX_PANEL_IDLE:
    case HX_PANEL_SPENT:
        return;
    }
}

void hx_panel_tick(struct hx_panel *p, uint64_t now_ms)
{
    /* held first: a tick that comes late must not lose a hold that was long enough, and a press
     * that settles in this tick is held from its edge on */
    if (p->down)
        hold(p, now_ms);
    settle(p, now_ms);
    if (p->down)
        hold(p, now_ms);
}

void hx_panel_button(struct hx_panel *p, bool down, uint64_t at_ms)
{
    hx_panel_tick(p, at_ms);
    if (down == p->raw)
        return;
    p->raw = down;
    p->raw_ms = at_ms;
}

void hx_panel_telegram(struct hx_panel *p, uint64_t now_ms)
{
    p->any_good = true;
    p->good_ms = now_ms;
}

void hx_panel_resetting(struct hx_panel *p, bool on)
{
    p->resetting = on;
}

enum hx_panel_action hx_panel_take(struct hx_panel *p)
{
    enum hx_panel_action due = p->due;

    p->due = HX_PANEL_NONE;
    return due;
}

enum hx_light hx_panel_power(const struct hx_panel *p)
{
    (void)p; /* whatever else happens, there is power */
    return HX_LIGHT_ON;
}

enum hx_light hx_panel_han(const struct hx_panel *p, uint64_t now_ms)
{
    if (p->resetting || p->phase == HX_PANEL_DHCP_ARMED)
        return HX_LIGHT_BLINK;
    return p->any_good && now_ms - p->good_ms < HX_LED_HAN_MS ? HX_LIGHT_ON : HX_LIGHT_OFF;
}

bool hx_light_is_lit(enum hx_light light, uint64_t now_ms)
{
    if (light == HX_LIGHT_BLINK)
        return now_ms / HX_PANEL_BLINK_MS % 2u == 0;
    return light == HX_LIGHT_ON;
}

static uint64_t hold_deadline_ms(const struct hx_panel *p)
{
    switch (p->phase) {
    case HX_PANEL_PRESSED:
        return p->down_ms + HX_PANEL_RESET_MS;
    case HX_PANEL_START:
        return p->down_ms + HX_PANEL_DHCP_MS;
    case HX_PANEL_DHCP_ARMED:
        return p->down_ms + HX_PANEL_STUCK_MS;
    case HX_PANEL_IDLE:
    case HX_PANEL_SPENT:
        return UINT64_MAX;
    }
    HX_UNREACHABLE();
}

uint64_t hx_panel_deadline_ms(const struct hx_panel *p, uint64_t now_ms)
{
    uint64_t at = UINT64_MAX;

    if (p->raw != p->down)
        at = p->raw_ms + HX_PANEL_DEBOUNCE_MS; /* until it has settled nothing else can happen */
    else if (p->down)
        at = hold_deadline_ms(p);
    if (p->any_good && now_ms - p->good_ms < HX_LED_HAN_MS && p->good_ms + HX_LED_HAN_MS < at)
        at = p->good_ms + HX_LED_HAN_MS;
    return at;
}
