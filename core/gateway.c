/* gateway.c - see hx/gateway.h */
#include "hx/gateway.h"

#include <string.h>

#define SAVED_MS 2000u  /* a save is on the disk by then: slow cards take a second or so */
#define NOISE_MS 12000u /* a list 2 comes every 10 s: by then a good frame should have come */
#define PARITY_SHARE 8u /* wrong parity spoils half of all octets; an eighth is plenty */
#define AIDON_LAG_S 10u /* list 3 carries the values of XX:00:00 and comes at XX:00:10 */
/* The meter's clock as wall clock: earlier than this it was never set (meters without a set clock
 * begin at 2000); a few seconds are the line's and the telegram's; and in the hour that comes twice
 * our own running time tells which, being right to within half an hour. */
#define METER_CLOCK_MIN_S 1735689600 /* 2025-01-01T00:00:00Z */
#define METER_CLOCK_SLACK_MS 5000
#define METER_CLOCK_NEAR_S 1800

void hx_gw_init(struct hx_gateway *g, uint64_t now_ms)
{
    memset(g, 0, sizeof *g);
    hx_meter_init(&g->state.meter);
    hx_hdlc_init(&g->hdlc);
    g->state.scale = HX_SCALE_DEFAULT;
    g->state.now_ms = g->state.started_ms = g->tick_ms = now_ms;
    g->state.link = HX_LINK_SILENT;
    hx_registers_render(&g->regs, &g->state);
}

/* ---- saving when it is worth it ----------------------------------------------------------- */

static void save_soon(struct hx_gateway *g)
{
    if (!g->save_soon)
        g->save_soon_ms = g->state.now_ms + HX_GW_SAVE_SOON_MS;
    g->save_soon = true;
}

static void save_lazily(struct hx_gateway *g)
{
    if (!g->save_lazy)
        g->save_lazy_ms = g->state.now_ms + HX_GW_SAVE_LAZY_MS;
    g->save_lazy = true;
}

static bool is_save_due(const struct hx_gateway *g)
{
    return (g->save_soon && g->state.now_ms >= g->save_soon_ms) ||
           (g->save_lazy && g->state.now_ms >= g->save_lazy_ms);
}

/* What the present power can add to an estimate in that time, rounded up. */
static int64_t reserve_wh(const struct hx_energy *e, uint32_t time_ms)
{
    return e->power_w * time_ms / 3600000 + 1;
}

/* A power cut must not take an estimate back below what was shown: each save is made out ahead, for
 * the time until the next one and a half, and the next one comes before that is used up. Where it
 * is used up all the same (an oven, an hourly total above the sum) what is shown waits for the
 * save. */
static void reserve(struct hx_gateway *g)
{
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++) {
        const struct hx_energy *e = &g->state.energy[i];
        g->reserved_wh[i] = e->known
                                ? hx_energy_unlimited_wh(e) +
                                      reserve_wh(e, HX_GW_SAVE_LAZY_MS + HX_GW_SAVE_LAZY_MS / 2u)
                                : 0;
    }
    g->reserved_ms = g->state.now_ms;
    g->reserve_due = true;
}

/* The newest save has got to the disk: estimates may go as far as it says. Of counters that it does
 * not know they go on as they come. */
static void use_reserve(struct hx_gateway *g)
{
    if (!g->reserve_due || g->state.now_ms - g->reserved_ms < SAVED_MS)
        return;
    g->reserve_due = false;
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++)
        if (g->reserved_wh[i] != 0)
            hx_energy_limit(&g->state.energy[i], g->reserved_wh[i]);
}

static bool is_reserve_low(const struct hx_gateway *g)
{
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++) {
        const struct hx_energy *e = &g->state.energy[i];
        if (e->known && !e->held &&
            hx_energy_unlimited_wh(e) + reserve_wh(e, HX_GW_SAVE_SOON_MS + SAVED_MS) >
                g->reserved_wh[i])
            return true;
    }
    return false;
}

void hx_gw_end(struct hx_gateway *g)
{
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++)
        g->reserved_wh[i] = hx_energy_wh(&g->state.energy[i]);
}

/* ---- one frame ---------------------------------------------------------------------------- */

/* Feed the estimator from an accepted telegram: power first, so that the integral reaches up to
 * the moment at which the hourly total takes over. */
static void estimate(struct hx_gateway *g, const struct hx_telegram *t, unsigned news)
{
    uint32_t lag_s = t->maker == HX_MAKER_AIDON ? AIDON_LAG_S : 0;
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++) {
        struct hx_energy *e = &g->state.energy[i];
        if (news & (HX_NEWS_SWAPPED | HX_NEWS_RESET))
            g->reserved_wh[i] = 0; /* of the counters before */
        if (news & HX_NEWS_SWAPPED)
            hx_energy_init(e);
        else if (news & HX_NEWS_RESET)
            hx_energy_restart(e);
        if (t->measured & 1u << (HX_P_IMPORT + i))
            hx_energy_power(e, t->value[HX_P_IMPORT + i], g->state.now_ms);
        if (t->measured & 1u << (HX_E_IMPORT + i))
            hx_energy_total(e, t->value[HX_E_IMPORT + i], lag_s, g->state.now_ms);
    }
}

/* The simulator's meter ids begin with SIM; real ones are digits. */
static bool is_simulated(const struct hx_text *id)
{
    return id->len >= 3 && memcmp(id->s, "SIM", 3) == 0;
}

/* When a telegram says that it was sent; the hourly list's clock says when its values were taken.
 */
static bool meter_utc_ms(const struct hx_state *s, const struct hx_telegram *t, int64_t *utc_ms)
{
    const struct hx_cosem_time *c = t->push_time.known ? &t->push_time : &t->clock;
    int64_t near = s->utc_known ? s->utc_ms / 1000 - METER_CLOCK_NEAR_S : INT64_MIN, utc_s;
    if (!hx_meter_clock_utc(t->maker, c, near, &utc_s) || utc_s < METER_CLOCK_MIN_S)
        return false;
    if (c == &t->clock && t->maker == HX_MAKER_AIDON)
        utc_s += AIDON_LAG_S;
    *utc_ms = utc_s * 1000;
    return true;
}

/* No wall clock of our own: the meter's serves. Once it does, a jump counts when two telegrams
 * agree: some meters send an hour's list twice. Two have agreed already on a jump so long that the
 * first was refused (hx/continuity.h). */
static void learn_clock(struct hx_gateway *g, const struct hx_telegram *t)
{
    struct hx_state *s = &g->state;
    int64_t utc_ms, off, claim;
    if ((s->utc_known && !s->utc_from_meter) || s->simulated || !meter_utc_ms(s, t, &utc_ms))
        return;
    claim = utc_ms - (int64_t)s->now_ms;
    off = s->utc_known ? utc_ms - s->utc_ms : 0;
    if (off > METER_CLOCK_SLACK_MS || off < -METER_CLOCK_SLACK_MS) {
        int64_t differs = claim - g->clock_claim_ms;
        bool is_long = off > HX_CLOCK_SLACK_S * 1000 || off < -HX_CLOCK_SLACK_S * 1000;
        bool agreed = is_long || (g->clock_claimed && differs <= METER_CLOCK_SLACK_MS &&
                                  differs >= -METER_CLOCK_SLACK_MS);
        g->clock_claimed = true;
        g->clock_claim_ms = claim;
        if (!agreed)
            return;
    } else if (s->utc_known) {
        g->clock_claimed = false;
        return; /* right enough; ours runs more evenly */
    }
    g->clock_claimed = false;
    s->utc_known = s->utc_from_meter = true;
    s->utc_ms = utc_ms;
}

static void take_telegram(struct hx_gateway *g, const struct hx_telegram *t, unsigned news)
{
    struct hx_state *s = &g->state;
    s->telegrams++;
    s->lists[t->list]++;
    s->any_good = true;
    s->last_good_ms = s->now_ms;
    if (t->has_identity)
        s->simulated = is_simulated(&t->id);
    learn_clock(g, t);
    use_reserve(g);
    estimate(g, t, news);
    if ((news & (HX_NEWS_FIRST | HX_NEWS_SWAPPED | HX_NEWS_RESET | HX_NEWS_ENERGY)) ||
        is_reserve_low(g))
        save_soon(g);
    else
        save_lazily(g);
}

/* From a frame's information field to values that can be believed. */
static enum hx_err read_telegram(struct hx_gateway *g, struct hx_span info, struct hx_event *ev)
{
    struct hx_push push;
    struct hx_telegram *t = &g->telegram;
    const struct hx_meter *m = &g->state.meter;
    enum hx_err e = hx_push_parse(info, &push);
    if (e == HX_OK)
        e = hx_telegram_decode(&push, t);
    if (e != HX_OK)
        return e;
    ev->telegram = t;
    if (!t->has_identity && t->maker == HX_MAKER_AIDON && m->maker == HX_MAKER_EMBRIQ)
        t->maker = HX_MAKER_EMBRIQ; /* their list 1 is the same */
    return hx_meter_accept(&g->state.meter, t, g->state.scale, g->state.now_ms, &ev->news);
}

/* A checked frame, or the reason why there is none: make an event of it. */
static void take_frame(struct hx_gateway *g, enum hx_err e, const struct hx_hdlc_frame *f,
                       struct hx_event *ev)
{
    struct hx_state *s = &g->state;
    bool framed = e == HX_OK;
    *ev = (struct hx_event){.kind = HX_EV_TELEGRAM, .raw = f->raw};
    if (framed) {
        g->frame_ms = s->now_ms;
        g->framed = true;
        g->recent_bytes = g->recent_line_errors = 0;
        e = read_telegram(g, f->info, ev);
        g->frame_err = e;
    }
    if (e == HX_OK) {
        take_telegram(g, &g->telegram, ev->news);
        hx_registers_render(&g->regs, s);
        return;
    }
    ev->kind = HX_EV_DROPPED;
    ev->err = e;
    s->drops[-(int)e]++; /* the registers show it at the next tick: noise must not cost a render */
}

static bool next_frame(struct hx_gateway *g, struct hx_event *ev)
{
    struct hx_hdlc_frame f;
    enum hx_err e = hx_hdlc_next(&g->hdlc, &f);
    if (e == HX_MORE && g->quiet_due && g->state.now_ms - g->state.last_byte_ms >= HX_GW_QUIET_MS) {
        e = hx_hdlc_quiet(&g->hdlc, &f);
        g->quiet_due = e != HX_MORE;
    }
    if (e == HX_MORE)
        return false;
    take_frame(g, e, &f, ev);
    return true;
}

/* ---- why there are values or not ---------------------------------------------------------- */

static enum hx_link judge_link(const struct hx_gateway *g)
{
    const struct hx_state *s = &g->state;
    if (!s->any_byte || s->now_ms - s->last_byte_ms > HX_LINK_QUIET_MS)
        return HX_LINK_SILENT;
    if (g->framed && s->now_ms - g->frame_ms <= HX_LINK_QUIET_MS) {
        if (g->frame_err == HX_E_ENCRYPTED)
            return HX_LINK_ENCRYPTED;
        if (g->frame_err == HX_OK || g->frame_err <= HX_E_IDENTITY) /* or waits for a second */
            return HX_LINK_GOOD;
        return HX_LINK_FOREIGN;
    }
    if (g->recent_bytes == 0 || s->now_ms - g->noise_ms < NOISE_MS)
        return s->link; /* too early to tell */
    return g->recent_line_errors > g->recent_bytes / PARITY_SHARE ? HX_LINK_PARITY : HX_LINK_NOISE;
}

/* Silence from the start on is a verdict too, though nothing changes. */
static bool is_silence_news(const struct hx_gateway *g)
{
    const struct hx_state *s = &g->state;
    return !g->link_told && !s->any_byte && s->now_ms - s->started_ms > HX_LINK_QUIET_MS;
}

static bool next_link(struct hx_gateway *g, struct hx_event *ev)
{
    enum hx_link link = judge_link(g);
    if (link == g->state.link && !is_silence_news(g))
        return false;
    g->link_told = true;
    g->state.link = link;
    *ev = (struct hx_event){.kind = HX_EV_LINK, .link = link};
    hx_registers_render(&g->regs, &g->state);
    return true;
}

static bool next_save(struct hx_gateway *g, struct hx_event *ev)
{
    if (!is_save_due(g))
        return false;
    g->save_soon = g->save_lazy = false;
    use_reserve(g);
    reserve(g);
    *ev = (struct hx_event){.kind = HX_EV_SAVE};
    return true;
}

/* ---- the face ----------------------------------------------------------------------------- */

/* A clock that was set moves with its source; the meter's is moved on by ours. */
static void pass_time(struct hx_state *s, uint64_t now_ms)
{
    if (s->utc_from_meter && now_ms > s->now_ms)
        s->utc_ms += (int64_t)(now_ms - s->now_ms);
    s->now_ms = now_ms;
}

size_t hx_gw_rx(struct hx_gateway *g, struct hx_span bytes, uint64_t now_ms)
{
    size_t taken = hx_hdlc_push(&g->hdlc, bytes);
    pass_time(&g->state, now_ms);
    if (taken == 0)
        return 0;
    if (g->recent_bytes == 0)
        g->noise_ms = now_ms;
    g->recent_bytes += (uint32_t)taken;
    g->state.bytes += taken;
    g->state.any_byte = true;
    g->state.last_byte_ms = now_ms;
    g->quiet_due = true;
    return taken;
}

void hx_gw_line_error(struct hx_gateway *g)
{
    hx_hdlc_line_error(&g->hdlc);
    g->recent_line_errors++;
    g->state.line_errors++;
}

void hx_gw_tick(struct hx_gateway *g, uint64_t now_ms)
{
    struct hx_state *s = &g->state;
    pass_time(s, now_ms);
    if (now_ms - g->tick_ms < HX_GW_TICK_MS)
        return;
    g->tick_ms = now_ms;
    hx_registers_render(&g->regs, s);
}

bool hx_gw_next(struct hx_gateway *g, struct hx_event *ev)
{
    return next_frame(g, ev) || next_link(g, ev) || next_save(g, ev);
}

static void earlier(uint64_t *deadline, bool wanted, uint64_t at_ms)
{
    if (wanted && at_ms < *deadline)
        *deadline = at_ms;
}

uint64_t hx_gw_deadline_ms(const struct hx_gateway *g)
{
    uint64_t at = g->tick_ms + HX_GW_TICK_MS;
    earlier(&at, g->quiet_due, g->state.last_byte_ms + HX_GW_QUIET_MS);
    earlier(&at, g->save_soon, g->save_soon_ms);
    earlier(&at, g->save_lazy, g->save_lazy_ms);
    return at;
}

void hx_gw_set_clock(struct hx_gateway *g, int64_t utc_ms)
{
    g->state.utc_known = true;
    g->state.utc_from_meter = false;
    g->state.utc_ms = utc_ms;
}

void hx_gw_set_input(struct hx_gateway *g, bool closed)
{
    g->state.input_known = true;
    g->state.input_closed = closed;
    hx_registers_render(&g->regs, &g->state);
}

void hx_gw_set_temperature(struct hx_gateway *g, int32_t temp_cc)
{
    g->state.temp_known = true;
    g->state.temp_cc = temp_cc;
}

void hx_gw_set_simulated(struct hx_gateway *g, bool simulated)
{
    g->state.simulated = simulated || is_simulated(&g->state.meter.id);
    hx_registers_render(&g->regs, &g->state);
}

void hx_gw_set_scale(struct hx_gateway *g, uint32_t setting)
{
    if (g->scale_setting != setting)
        hx_gw_use_scale(g, setting);
}

void hx_gw_use_scale(struct hx_gateway *g, uint32_t setting)
{
    g->scale_setting = g->state.scale = setting;
    save_soon(g);
    hx_registers_render(&g->regs, &g->state);
}

void hx_gw_written(struct hx_gateway *g)
{
    if (g->save_soon)
        return;
    if (g->state.now_ms - g->writing_ms >= HX_GW_WRITING_MS) {
        g->writing_ms = g->state.now_ms;
        g->writing = 0;
    }
    if (g->writing >= HX_GW_WRITING_SOON) {
        save_lazily(g); /* who writes without end wears no flash out */
        return;
    }
    g->writing++;
    save_soon(g);
}
