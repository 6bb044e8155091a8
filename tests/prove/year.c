/* year.c - a year of a gateway's life in minutes, time being an argument.
 * A household (house.h) is measured by a meter of one maker (meter_line.h), whose telegrams drive
 * the gateway's core as the daemon does: octets, ticks at its deadlines, saves, restarts, hourly
 * readings into the real backlog. What must come out is worked out here from what was sent.
 * Run by year.py; prints "name value" lines. */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backlog.h"
#include "house.h"
#include "hx/gateway.h"
#include "meter_line.h"

#define HOUR_MS 3600000
#define MJ_PER_WH 3600000u
#define QUEUE_MAX 1024u
#define ESTIMATED_REGISTER 1196u /* active_energy_import_estimated_u64, 4 words each */
#define UPTIME_REGISTER 1008u
#define HOURS_REGISTER 47u
#define STARTS_REGISTER 1010u
#define TELEGRAMS_REGISTER 1040u
#define ERRORS_MAX 20000u
#define WHINE_MAX 20u
#define CALENDAR_END_MS 4070908800000 /* 2099-01-01T00:00:00Z */

/* ---- what is asked for -------------------------------------------------------------------- */

enum wall { WALL_NONE, WALL_SET, WALL_MIXED };

static struct {
    enum hx_maker maker;
    int64_t start_ms, end_ms;
    uint64_t seed, mono0_ms, uptime_ms;
    uint32_t loss_ppm, counters;
    bool solar, faults, cuts, summer_status;
    enum wall wall;
    int64_t wall_off_ms;
    uint32_t hourly_s, double_permille, late_permille, repeat_permille, lost_permille;
    const char *dir;
} ask = {.maker = HX_MAKER_AIDON, .seed = 1, .mono0_ms = 5000, .wall = WALL_SET};

/* ---- the world ---------------------------------------------------------------------------- */

struct meter {
    struct meter_line line;
    uint64_t number;
    int64_t clock_off_ms; /* its clock less the truth */
    uint64_t base_mj[4];  /* its counters when the household's were 0 */
    uint64_t latched_mj[4], latched_house_mj[4];
    int64_t period_ms, hourly_ms;
    int64_t late_hour, late_ms; /* the list of that hour, since 1970 on its clock, is late */
};

/* One telegram on its way. */
struct sent {
    int64_t at_ms; /* arrives */
    size_t len;
    uint8_t bytes[METER_LINE_MAX];
    unsigned list;
    struct line_values v;
    uint32_t wh_unit;
    enum hx_maker maker;
    int64_t hour_utc_s;   /* hourly: start of the hour that it ends */
    bool clock_unset;     /* the meter's clock was never set: the host's tells the hour */
    uint64_t house_mj[4]; /* hourly: the household's integral at the moment of its counters */
};

struct reading {
    bool known;
    uint64_t number;
    int64_t start_utc_s, total_wh[4];
};

/* An estimate as docs/decisions/0004 says, made again from what was sent. */
struct shadow {
    bool known, has_power;
    int64_t total_wh, power_w;
    uint64_t since_half_mj, power_at_ms;
};

static struct {
    int64_t now_ms; /* true UTC */
    struct house house;
    uint64_t random;
    struct meter meter;
    struct sent queue[QUEUE_MAX];
    size_t queued;
    struct sent hourly; /* the newest hourly list that the meter made */
    int64_t silent_until_ms, stall_until_ms, clock_right_ms, next_fault_ms;
    /* host */
    struct hx_gateway gw;
    struct hx_backlog backlog;
    int dir_fd;
    bool up, has_wall;
    int64_t up_at_ms, asleep_ms, mono_off_ms, wall_off_ms; /* mono = now + off */
    uint8_t disk[HX_GW_SAVED_MAX], writing[HX_GW_SAVED_MAX];
    size_t disk_len, writing_len;
    int64_t written_ms;
    bool busy, again;
    bool afresh, afresh_written; /* counters began anew, and no save has said so yet */
    uint32_t starts, writing_starts, disk_starts;
    /* what must hold */
    uint64_t shown[4];
    struct reading newest;
    struct shadow shadow[4];
    uint64_t total_house_mj[4];
    bool no_shadow;
} w;

static struct {
    uint64_t telegrams, delivered, lost, ticks, saves, restarts, cuts, drops, steps_back,
        worst_back_wh, restart_back, integral_wrong, readings, readings_wrong, readings_missing,
        readings_doubled, allowed_refusals, refused, lists, lists_doubled, lists_late,
        lists_repeated, lists_lost, swaps, resets, clock_jumps, wall_jumps, silences, stalls,
        suspends, state_lost, starts_wrong, news_swapped, news_reset, held;
    int64_t ahead_mj, behind_mj;
    uint64_t est_half_mj[4], true_half_mj[4];
    double hour_error[ERRORS_MAX], day_error[ERRORS_MAX / 24u];
    size_t hours, days;
    double day_est, day_true;
    unsigned day_hours, whined;
} seen;

static void whine(const char *what, int64_t a, int64_t b)
{
    char at[32];
    time_t s = (time_t)(w.now_ms / 1000);
    struct tm tm;
    if (seen.whined++ >= WHINE_MAX)
        return;
    (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    (void)fprintf(stderr, "%s: %s: %" PRId64 " %" PRId64 "\n", at, what, a, b);
}

static int64_t between(int64_t low, int64_t high)
{
    return house_between(&w.random, low, high);
}

static bool happens_permille(uint32_t permille)
{
    return permille != 0 && house_random(&w.random) % 1000u < permille;
}

static uint64_t mono(void)
{
    return (uint64_t)(w.now_ms + w.mono_off_ms);
}

/* ---- the meter ---------------------------------------------------------------------------- */

static void meter_init(struct meter *m, enum hx_maker maker, uint64_t number)
{
    *m = (struct meter){.number = number};
    meter_line_init(&m->line, maker);
    m->period_ms = maker == HX_MAKER_AIDON ? 2500 : maker == HX_MAKER_KAIFA ? 2000 : 10000;
    m->hourly_ms = maker == HX_MAKER_KAMSTRUP ? 5000 : 10000;
    if (ask.hourly_s != 0 && maker == HX_MAKER_KAMSTRUP)
        m->hourly_ms = (int64_t)ask.hourly_s * 1000;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t at_mj = (uint64_t)between(1000000, 60000000) * MJ_PER_WH;
        m->base_mj[i] = at_mj - w.house.energy_mj[i];
        m->latched_mj[i] = at_mj;
        m->latched_house_mj[i] = w.house.energy_mj[i];
    }
}

/* When in the hour that is on the clock now its list is sent. */
static int64_t hourly_at_ms(const struct meter *m, int64_t clock)
{
    return m->hourly_ms + (clock / HOUR_MS == m->late_hour ? m->late_ms : 0);
}

static int64_t next_telegram_ms(const struct meter *m, int64_t now_ms)
{
    int64_t clock = now_ms + m->clock_off_ms;
    int64_t next = clock - clock % m->period_ms + m->period_ms;
    int64_t hourly = clock - clock % HOUR_MS + hourly_at_ms(m, clock);
    return (clock < hourly && hourly < next ? hourly : next) - m->clock_off_ms;
}

/* What the meter's display shows; zone data of the system, not of the code under test. */
static struct hx_civil meter_clock(const struct meter *m, int64_t clock_ms, uint8_t *status)
{
    time_t s = (time_t)(clock_ms / 1000);
    struct tm tm;
    bool local = m->line.maker == HX_MAKER_KAIFA ||
                 (m->line.maker == HX_MAKER_KAMSTRUP && ask.summer_status);
    *status = 0;
    if (local) {
        (void)localtime_r(&s, &tm);
        if (m->line.maker == HX_MAKER_KAMSTRUP && tm.tm_isdst > 0)
            *status = 0x80;
    } else {
        s += 3600;
        (void)gmtime_r(&s, &tm);
    }
    return (struct hx_civil){
        (uint16_t)(tm.tm_year + 1900), (uint8_t)(tm.tm_mon + 1), (uint8_t)tm.tm_mday,
        (uint8_t)tm.tm_hour,           (uint8_t)tm.tm_min,       (uint8_t)tm.tm_sec};
}

static void meter_send(struct meter *m, struct sent *t)
{
    int64_t clock = w.now_ms + m->clock_off_ms;
    bool latches = m->line.maker == HX_MAKER_AIDON;
    t->list = clock % HOUR_MS == hourly_at_ms(m, clock) ? 3 : clock % 10000 == 0 ? 2 : 1;
    t->maker = m->line.maker;
    t->wh_unit = m->line.wh_unit;
    t->v.number = m->number;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t now_mj = m->base_mj[i] + w.house.energy_mj[i];
        if (clock % HOUR_MS == 0) {
            m->latched_mj[i] = now_mj;
            m->latched_house_mj[i] = w.house.energy_mj[i];
        }
        t->v.power[i] = w.house.power[i];
        t->v.count[i] =
            (uint32_t)((latches ? m->latched_mj[i] : now_mj) / MJ_PER_WH / m->line.wh_unit);
        t->house_mj[i] = latches ? m->latched_house_mj[i] : w.house.energy_mj[i];
    }
    t->clock_unset = clock < 1451606400000; /* 2016 */
    if (t->list == 3)
        t->hour_utc_s = (t->clock_unset ? w.now_ms : clock) / HOUR_MS * 3600 - 3600;
    if (t->list == 3 && latches)
        clock -= clock % HOUR_MS;
    t->v.clock = meter_clock(m, clock, &t->v.clock_status);
    t->len = meter_line_telegram(&m->line, t->list, &t->v, t->bytes);
    t->at_ms = w.now_ms;
}

/* Aidon's fault: this hour's list with clock and energies of the hour before. */
static void repeat_hour(struct sent *t)
{
    struct sent now = *t;
    if (w.hourly.len == 0 || w.hourly.v.number != t->v.number)
        return;
    *t = w.hourly;
    t->at_ms = now.at_ms;
    memcpy(t->v.power, now.v.power, sizeof t->v.power);
    t->len = meter_line_telegram(&w.meter.line, 3, &t->v, t->bytes);
    seen.lists_repeated++;
}

static void enqueue(const struct sent *t, int64_t at_ms)
{
    assert(w.queued < QUEUE_MAX);
    w.queue[w.queued] = *t;
    w.queue[w.queued++].at_ms = at_ms;
}

/* The line between meter and host: what the faults leave of a telegram. */
static void send_hourly(struct sent *t)
{
    struct sent made = *t;
    seen.lists++;
    if (happens_permille(ask.late_permille)) {
        w.meter.late_hour = (w.now_ms + w.meter.clock_off_ms) / HOUR_MS + 1;
        w.meter.late_ms = between(1, 120) * 10000;
        seen.lists_late++;
    }
    if (t->maker == HX_MAKER_AIDON && happens_permille(ask.repeat_permille))
        repeat_hour(t);
    w.hourly = made;
    if (happens_permille(ask.lost_permille)) {
        seen.lists_lost++;
        return;
    }
    enqueue(t, w.now_ms);
    if (happens_permille(ask.double_permille)) {
        seen.lists_doubled++;
        enqueue(t, w.now_ms + between(0, 20000));
    }
}

static void meter_speaks(void)
{
    static struct sent t;
    memset(&t, 0, sizeof t);
    meter_send(&w.meter, &t);
    seen.telegrams++;
    if (w.now_ms < w.silent_until_ms)
        return;
    if (ask.loss_ppm != 0 && house_random(&w.random) % 1000000u < ask.loss_ppm) {
        seen.lost++;
        return;
    }
    if (w.now_ms < w.stall_until_ms)
        enqueue(&t, w.stall_until_ms);
    else if (t.list == 3)
        send_hourly(&t);
    else
        enqueue(&t, w.now_ms);
}

/* ---- the host: files ---------------------------------------------------------------------- */

static void save_starts(void)
{
    struct hx_wr out = {.ptr = w.writing, .cap = sizeof w.writing};
    hx_gw_save(&w.gw, &out);
    assert(out.err == HX_OK);
    w.writing_len = out.len;
    w.writing_starts = w.starts;
    w.busy = true;
    w.afresh_written = w.afresh;
    w.again = false;
    w.written_ms = w.now_ms + between(5, 1500); /* a slow card */
    seen.saves++;
}

static void disk_passes(void)
{
    if (!w.busy || w.now_ms < w.written_ms)
        return;
    memcpy(w.disk, w.writing, w.writing_len);
    w.disk_len = w.writing_len;
    w.disk_starts = w.writing_starts;
    w.busy = false;
    w.afresh = w.afresh && !w.afresh_written;
    if (w.again)
        save_starts();
}

/* ---- the host: what must hold ------------------------------------------------------------- */

static uint64_t register_of(uint16_t first, unsigned words)
{
    const uint8_t *p = hx_registers_read(&w.gw.regs, first, (uint16_t)words);
    uint64_t v = 0;
    for (unsigned i = 0; i < 2 * words; i++)
        v = v << 8 | p[i];
    return v;
}

/* A master reads the estimates: never less than before. */
static void look_at_estimates(bool afresh, bool after_restart)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t now = register_of((uint16_t)(ESTIMATED_REGISTER + 4u * i), 4);
        now = now == UINT64_MAX ? 0 : now; /* not known */
        if (now < w.shown[i] && !afresh) {
            uint64_t back = w.shown[i] - now;
            seen.steps_back++;
            seen.restart_back += after_restart;
            if (back > seen.worst_back_wh)
                seen.worst_back_wh = back;
            whine(after_restart ? "estimate fell back at a restart" : "estimate fell back",
                  (int64_t)w.shown[i], (int64_t)now);
        }
        w.shown[i] = now;
    }
}

static uint32_t meter_hash(const struct hx_text *id)
{
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < id->len; i++)
        hash = (hash ^ (uint8_t)id->s[i]) * 16777619u;
    return hash;
}

/* The reading that must come of an hourly list: nothing when it says what was said before. */
static bool expected(const struct sent *t, struct reading *r, struct hx_hour *want)
{
    *r = (struct reading){true, t->v.number, t->hour_utc_s, {0}};
    *want = (struct hx_hour){.start_utc_s = t->hour_utc_s,
                             .quality = HX_MEASURED,
                             .scale = 1000,
                             .known = {true, true, true, true}};
    bool follows = w.newest.known && w.newest.number == r->number &&
                   w.newest.start_utc_s + 3600 == r->start_utc_s;
    bool grew = true;
    for (unsigned i = 0; i < 4; i++) {
        r->total_wh[i] = want->total_wh[i] = t->v.count[i] * t->wh_unit;
        grew = grew && r->total_wh[i] >= w.newest.total_wh[i];
    }
    want->has_used = follows && grew;
    for (unsigned i = 0; i < 4 && want->has_used; i++)
        want->used_wh[i] = r->total_wh[i] - w.newest.total_wh[i];
    return !(w.newest.known && w.newest.number == r->number &&
             w.newest.start_utc_s == r->start_utc_s &&
             memcmp(w.newest.total_wh, r->total_wh, sizeof r->total_wh) == 0);
}

static bool same_hour(const struct hx_hour *a, const struct hx_hour *b)
{
    return a->start_utc_s == b->start_utc_s && a->has_used == b->has_used &&
           a->quality == b->quality && memcmp(a->known, b->known, sizeof a->known) == 0 &&
           memcmp(a->total_wh, b->total_wh, sizeof a->total_wh) == 0 &&
           memcmp(a->used_wh, b->used_wh, sizeof a->used_wh) == 0;
}

/* As the MQTT client does: from the state into the backlog, delivered at once. */
static bool take_hour(struct hx_hour *got)
{
    uint32_t meter = meter_hash(&w.gw.state.meter.id);
    uint64_t n = w.backlog.end;
    if (hx_hour_from_state(&w.gw.state, hx_backlog_newest(&w.backlog, meter), got) != HX_OK)
        return false;
    (void)hx_backlog_append(&w.backlog, got, meter);
    if (w.backlog.end == n)
        return false;
    if (hx_backlog_read(&w.backlog, n, got) != HX_OK)
        memset(got, 0, sizeof *got);
    (void)hx_backlog_mark(&w.backlog, n + 1u);
    return true;
}

static void judge_hour(const struct sent *t)
{
    struct reading r;
    struct hx_hour want, got;
    bool due = expected(t, &r, &want), came = take_hour(&got);
    if (t->clock_unset && !(w.has_wall && w.wall_off_ms == 0)) { /* nobody knows the time */
        if (came)
            r.start_utc_s = got.start_utc_s;
        w.newest = r;
        return;
    }
    if (came && !due) {
        seen.readings_doubled++;
        whine("a reading twice", got.start_utc_s, want.start_utc_s);
    } else if (!came && due) {
        seen.readings_missing++;
        whine("no reading of an hourly list", want.start_utc_s, 0);
    } else if (came && !same_hour(&got, &want)) {
        seen.readings_wrong++;
        whine("reading wrong: start, wanted", got.start_utc_s, want.start_utc_s);
        whine("  used, wanted", got.used_wh[0], want.used_wh[0]);
    }
    seen.readings += came;
    if (due)
        w.newest = r;
}

/* ---- the estimator made again ------------------------------------------------------------- */

static void note_error(unsigned i)
{
    double est = (double)w.shadow[i].since_half_mj;
    double truth = 2.0 * (double)(w.house.energy_mj[i] - w.total_house_mj[i]);
    seen.est_half_mj[i] += w.shadow[i].since_half_mj;
    seen.true_half_mj[i] += 2u * (w.house.energy_mj[i] - w.total_house_mj[i]);
    if (i != 0)
        return;
    if (truth > 2.0 * 100 * MJ_PER_WH && seen.hours < ERRORS_MAX)
        seen.hour_error[seen.hours++] = (est - truth) / truth;
    seen.day_est += est;
    seen.day_true += truth;
    if (++seen.day_hours == 24) {
        if (seen.days < ERRORS_MAX / 24u && seen.day_true > 2.0 * 1000 * MJ_PER_WH)
            seen.day_error[seen.days++] = (seen.day_est - seen.day_true) / seen.day_true;
        seen.day_hours = 0;
        seen.day_est = seen.day_true = 0;
    }
}

static void shadow_telegram(const struct sent *t)
{
    unsigned powers = t->list == 1 ? 1u : 4u;
    for (unsigned i = 0; i < powers; i++) {
        struct shadow *s = &w.shadow[i];
        int64_t total_wh = t->v.count[i] * t->wh_unit;
        if (s->known && s->has_power && mono() - s->power_at_ms <= 60000)
            s->since_half_mj += (uint64_t)(s->power_w + t->v.power[i]) * (mono() - s->power_at_ms);
        s->has_power = true;
        s->power_w = t->v.power[i];
        s->power_at_ms = mono();
        if (t->list != 3 || (s->known && s->total_wh == total_wh))
            continue;
        if (s->known)
            note_error(i);
        s->known = true;
        s->total_wh = total_wh;
        s->since_half_mj = t->maker == HX_MAKER_AIDON ? (uint64_t)s->power_w * 20000u : 0;
        w.total_house_mj[i] = t->house_mj[i];
    }
    for (unsigned i = 0; i < 4; i++)
        if (w.shadow[i].known && (w.gw.state.energy[i].since_half_mj != w.shadow[i].since_half_mj ||
                                  w.gw.state.energy[i].total_wh != w.shadow[i].total_wh)) {
            seen.integral_wrong++;
            whine("integral", (int64_t)w.gw.state.energy[i].since_half_mj,
                  (int64_t)w.shadow[i].since_half_mj);
        }
}

static void look_at_distance(void)
{
    const struct hx_energy *e = &w.gw.state.energy[0];
    int64_t off;
    if (!e->known)
        return;
    seen.held += e->held;
    off = e->shown_wh * MJ_PER_WH - (int64_t)(w.meter.base_mj[0] + w.house.energy_mj[0]);
    if (off > seen.ahead_mj)
        seen.ahead_mj = off;
    if (-off > seen.behind_mj)
        seen.behind_mj = -off;
}

/* ---- the host: running -------------------------------------------------------------------- */

static void drain(const struct sent *t)
{
    struct hx_event ev;
    while (hx_gw_next(&w.gw, &ev)) {
        if (ev.kind == HX_EV_SAVE) {
            w.again = w.busy;
            if (!w.busy)
                save_starts();
            continue;
        }
        if (ev.kind == HX_EV_LINK)
            continue;
        assert(t != NULL);
        seen.news_swapped += (ev.news & HX_NEWS_SWAPPED) != 0;
        seen.news_reset += (ev.news & HX_NEWS_RESET) != 0;
        if ((ev.news & (HX_NEWS_SWAPPED | HX_NEWS_RESET)) ||
            ((ev.news & HX_NEWS_ENERGY) && w.shown[0] == 0)) {
            w.afresh = true;
            w.afresh_written = false;
            look_at_estimates(true, false);
        }
        look_at_estimates(false, false);
        if (ev.kind == HX_EV_DROPPED) {
            seen.drops++;
            if (t->list == 3)
                seen.refused++;
            if (!ask.faults || (ev.err != HX_E_IDENTITY && ev.err != HX_E_ENERGY))
                whine(hx_err_text(ev.err), t->list, 0);
        } else if (t->list == 3) {
            judge_hour(t);
        }
    }
    look_at_estimates(false, false);
}

static void give_wall(void)
{
    if (w.has_wall)
        hx_gw_set_clock(&w.gw, w.now_ms + w.wall_off_ms);
}

static void arrive(const struct sent *t)
{
    struct hx_span left = {t->bytes, t->len};
    if (!w.up)
        return;
    seen.delivered++;
    give_wall();
    while (left.len > 0) {
        size_t n = hx_gw_rx(&w.gw, left, mono());
        left = (struct hx_span){left.ptr + n, left.len - n};
        drain(t);
    }
    if (!ask.faults && !w.no_shadow) {
        shadow_telegram(t);
        look_at_distance();
    }
}

static void tick(void)
{
    seen.ticks++;
    give_wall();
    hx_gw_tick(&w.gw, mono());
    drain(NULL);
}

static void wake(void)
{
    w.up = true;
    w.mono_off_ms -= w.asleep_ms;
    w.asleep_ms = 0;
}

/* As the daemon's open_state does it. */
static void boot(void)
{
    w.up = true;
    w.has_wall = ask.wall == WALL_SET || (ask.wall == WALL_MIXED && between(0, 1) == 0);
    hx_gw_init(&w.gw, mono());
    hx_backlog_open(&w.backlog, w.dir_fd);
    if (w.disk_len == 0)
        w.gw.state.starts = w.disk_starts;
    else if (hx_gw_load(&w.gw, (struct hx_span){w.disk, w.disk_len}) != HX_OK)
        seen.state_lost++;
    if (w.gw.state.starts != w.disk_starts)
        seen.starts_wrong++;
    w.starts = ++w.gw.state.starts;
    hx_gw_set_scale(&w.gw, 1000);
    hx_registers_render(&w.gw.regs, &w.gw.state);
    look_at_estimates(w.afresh, true); /* back to the counters before, the news being lost */
    w.afresh = false;
    save_starts();
}

static void stop(bool clean, int64_t down_ms)
{
    if (!w.up)
        return;
    if (clean) {
        struct hx_wr out = {.ptr = w.disk, .cap = sizeof w.disk};
        hx_gw_end(&w.gw);
        hx_gw_save(&w.gw, &out);
        w.disk_len = out.len;
        w.disk_starts = w.starts;
        seen.restarts++;
    } else {
        w.mono_off_ms = between(1000, 30000) - w.now_ms - down_ms;
        seen.cuts++;
    }
    w.busy = w.again = false; /* a write under way is lost with the power */
    hx_backlog_close(&w.backlog);
    w.up = false;
    w.up_at_ms = w.now_ms + down_ms;
}

/* ---- faults ------------------------------------------------------------------------------- */

static int64_t some_while_ms(void)
{
    static const int64_t longest_s[] = {10, 90, 1200, 7200, 100000};
    return between(500, longest_s[between(0, 99) < 97 ? between(0, 2) : between(3, 4)] * 1000);
}

static void meter_clock_jumps(void)
{
    static const int64_t jumps_s[] = {5,     -5,     70,    -70,    3660,    -3660,
                                      11820, -11820, 86400, -86400, 34560000};
    unsigned n = sizeof jumps_s / sizeof jumps_s[0];
    w.meter.clock_off_ms = jumps_s[house_random(&w.random) % n] * 1000;
    if (between(0, 9) == 0) /* never set: begins in the year 2000 */
        w.meter.clock_off_ms = (946684800000 - w.now_ms) / 1000 * 1000;
    w.clock_right_ms = w.now_ms + between(1, 6) * HOUR_MS;
    seen.clock_jumps++;
    seen.allowed_refusals += 2;
    w.hourly.len = 0;
}

static void another_meter(enum hx_maker maker)
{
    int64_t off = w.meter.clock_off_ms;
    meter_init(&w.meter, maker, house_random(&w.random));
    w.meter.clock_off_ms = off;
    w.queued = 0;
    w.hourly.len = 0;
    seen.swaps++;
    seen.allowed_refusals++;
}

/* The counters begin again at 0, or stand shortly before the end of 32 bits. */
static void counters_jump(bool near_wrap)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t at_wh = near_wrap ? (uint64_t)w.meter.line.wh_unit * UINT32_MAX - 3000 : 0;
        w.meter.base_mj[i] = at_wh * MJ_PER_WH - w.house.energy_mj[i];
        w.meter.latched_mj[i] = at_wh * MJ_PER_WH;
    }
    w.hourly.len = 0;
    seen.resets++;
    seen.allowed_refusals += near_wrap ? 2u : 1u; /* up there, and when it wraps */
}

static void wall_jumps(void)
{
    static const int64_t longest_s[] = {10, 4000, 90000, 40000000};
    int64_t most = longest_s[between(0, 3)] * 1000;
    w.wall_off_ms = between(0, 2) == 0 ? 0 : between(-most, most);
    seen.wall_jumps++;
}

static void fault(void)
{
    int64_t kind = between(0, 84);
    if (ask.cuts) { /* nothing but power cuts, one after the other */
        w.next_fault_ms = w.now_ms + between(5000, 300000);
        stop(false, between(500, 5000));
        return;
    }
    w.next_fault_ms = w.now_ms + between(1000, 3 * HOUR_MS);
    if (kind < 20) {
        stop(true, some_while_ms());
    } else if (kind < 40) {
        stop(false, some_while_ms());
    } else if (kind < 55) {
        w.silent_until_ms = w.now_ms + some_while_ms();
        seen.silences++;
    } else if (kind < 65) {
        w.stall_until_ms = w.now_ms + between(500, 90000);
        seen.stalls++;
    } else if (kind < 68) { /* the machine sleeps: its running time stands, the meter goes on */
        int64_t asleep = between(1000, 1800000);
        if (!w.up)
            return;
        w.up = false;
        w.asleep_ms = asleep;
        w.up_at_ms = w.now_ms + asleep;
        seen.suspends++;
    } else if (kind < 78) {
        wall_jumps();
    } else if (kind < 81) {
        meter_clock_jumps();
    } else if (kind < 82) {
        another_meter(w.meter.line.maker);
    } else if (kind < 83) {
        another_meter((enum hx_maker)between(HX_MAKER_AIDON, HX_MAKER_KAMSTRUP));
    } else {
        counters_jump(kind == 84);
    }
}

/* ---- the year ----------------------------------------------------------------------------- */

static size_t first_queued(void)
{
    size_t first = 0;
    for (size_t i = 1; i < w.queued; i++)
        if (w.queue[i].at_ms < w.queue[first].at_ms)
            first = i;
    return first;
}

static void deliver(size_t i)
{
    static struct sent t;
    t = w.queue[i];
    memmove(&w.queue[i], &w.queue[i + 1u], (w.queued - i - 1u) * sizeof w.queue[0]);
    w.queued--;
    arrive(&t);
}

static void earlier(int64_t *at, int64_t other)
{
    if (other < *at)
        *at = other;
}

static int64_t deadline_ms(void)
{
    int64_t at = (int64_t)hx_gw_deadline_ms(&w.gw) - w.mono_off_ms;
    return at > w.now_ms ? at : w.now_ms;
}

static void step(int64_t *next_telegram)
{
    int64_t at = *next_telegram;
    size_t first = w.queued > 0 ? first_queued() : 0;
    if (w.queued > 0)
        earlier(&at, w.queue[first].at_ms);
    if (w.up)
        earlier(&at, deadline_ms());
    else
        earlier(&at, w.up_at_ms);
    if (w.busy)
        earlier(&at, w.written_ms);
    if (ask.faults)
        earlier(&at, w.next_fault_ms);
    if (at > w.now_ms) {
        w.now_ms = at;
        house_pass(&w.house, at);
    }
    disk_passes();
    if (w.meter.clock_off_ms != 0 && w.now_ms >= w.clock_right_ms) {
        w.meter.clock_off_ms = 0;
        *next_telegram = next_telegram_ms(&w.meter, w.now_ms);
    } else if (!w.up && w.now_ms >= w.up_at_ms) {
        if (w.asleep_ms > 0)
            wake();
        else
            boot();
    } else if (w.queued > 0 && w.queue[first].at_ms <= w.now_ms) {
        deliver(first);
    } else if (w.now_ms >= *next_telegram) {
        meter_speaks();
        *next_telegram = next_telegram_ms(&w.meter, w.now_ms);
    } else if (ask.faults && w.now_ms >= w.next_fault_ms) {
        fault();
        *next_telegram = next_telegram_ms(&w.meter, w.now_ms);
    } else if (w.up && w.now_ms >= deadline_ms()) {
        tick();
    }
}

static void begin(void)
{
    w.now_ms = ask.start_ms;
    w.random = ask.seed * 7919u;
    w.dir_fd = open(ask.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(w.dir_fd >= 0);
    house_init(&w.house, ask.seed, w.now_ms, ask.solar);
    meter_init(&w.meter, ask.maker, ask.seed);
    w.mono_off_ms = (int64_t)ask.mono0_ms - w.now_ms;
    w.wall_off_ms = ask.wall_off_ms;
    w.next_fault_ms = w.now_ms + HOUR_MS;
    w.disk_starts = ask.counters;
    boot();
    if (ask.counters != 0) {
        w.gw.state.telegrams = ask.counters;
        for (unsigned i = 0; i < 4; i++)
            w.gw.state.lists[i] = ask.counters;
        for (unsigned i = 0; i < HX_ERR_COUNT; i++)
            w.gw.state.drops[i] = ask.counters;
    }
}

/* Nothing comes for so long; the program runs on. The meter's calendar ends with 2099: where the
 * time does not fit in, it passes on the host alone, and its next list is of no time that follows.
 */
static void pass_quietly(int64_t ms)
{
    if (w.now_ms + ms >= CALENDAR_END_MS) {
        w.mono_off_ms += ms;
        w.no_shadow = true;
        seen.allowed_refusals++;
        return;
    }
    w.now_ms += ms;
    house_skip(&w.house, ms);
}

/* ---- what came of it ---------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    x = x < 0 ? -x : x;
    y = y < 0 ? -y : y;
    return x < y ? -1 : x > y;
}

static double quantile(double *v, size_t n, double q)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof *v, by_size);
    size_t i = (size_t)((double)(n - 1u) * q);
    return v[i] < 0 ? -v[i] : v[i];
}

static long resident_kb(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (f != NULL)
        (void)fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void tell(const char *name, uint64_t v)
{
    (void)printf("%s %" PRIu64 "\n", name, v);
}

static void tell_percent(const char *name, double share)
{
    (void)printf("%s %.5f\n", name, share * 100);
}

static void tell_errors(void)
{
    static const char *const names[4] = {"error_import", "error_export", "error_r_import",
                                         "error_r_export"};
    for (unsigned i = 0; i < 4; i++)
        if (seen.true_half_mj[i] > 0)
            tell_percent(names[i], ((double)seen.est_half_mj[i] - (double)seen.true_half_mj[i]) /
                                       (double)seen.true_half_mj[i]);
    tell("error_hours", seen.hours);
    tell("error_days", seen.days);
    tell_percent("hour_median", quantile(seen.hour_error, seen.hours, 0.5));
    tell_percent("hour_p99", quantile(seen.hour_error, seen.hours, 0.99));
    tell_percent("hour_worst", quantile(seen.hour_error, seen.hours, 1));
    tell_percent("day_worst", quantile(seen.day_error, seen.days, 1));
    tell("ahead_wh", (uint64_t)seen.ahead_mj / MJ_PER_WH);
    tell("behind_wh", (uint64_t)seen.behind_mj / MJ_PER_WH);
    (void)printf("import_kwh %.1f\n", (double)seen.true_half_mj[0] / 7.2e9);
}

#define TELL(name) tell(#name, seen.name)
static void tell_all(void)
{
    TELL(telegrams), TELL(delivered), TELL(lost), TELL(ticks), TELL(saves), TELL(restarts);
    TELL(cuts), TELL(drops), TELL(steps_back), TELL(restart_back), TELL(worst_back_wh);
    TELL(integral_wrong), TELL(readings), TELL(readings_wrong), TELL(readings_missing);
    TELL(readings_doubled), TELL(refused), TELL(allowed_refusals), TELL(lists);
    TELL(lists_doubled), TELL(lists_late), TELL(lists_repeated), TELL(lists_lost), TELL(swaps);
    TELL(resets), TELL(clock_jumps), TELL(wall_jumps), TELL(silences), TELL(stalls);
    TELL(suspends), TELL(state_lost), TELL(starts_wrong), TELL(news_swapped), TELL(news_reset);
    TELL(held);
    tell("register_uptime", register_of(UPTIME_REGISTER, 2));
    tell("register_hours", register_of(HOURS_REGISTER, 1));
    tell("register_starts", register_of(STARTS_REGISTER, 2));
    tell("register_telegrams", register_of(TELEGRAMS_REGISTER, 2));
    tell("starts", w.starts);
}

static bool is_name(const char *arg, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0 || arg[n] != '=')
        return false;
    *value = arg + n + 1u;
    return true;
}

static unsigned choice(const char *value, const char *const names[], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    (void)fprintf(stderr, "year: no choice %s\n", value);
    exit(2);
}

static void take_option(const char *arg)
{
    static const char *const makers[] = {"aidon", "kaifa", "kamstrup"};
    static const char *const walls[] = {"none", "set", "mixed"};
    static int64_t start_s, end_s, wall_off_s;
    static int64_t solar, faults, cuts, summer_status, loss_ppm, counters, hourly_s;
    static const struct {
        const char *name;
        int64_t *value;
    } numbers[] = {
        {"start", &start_s},
        {"end", &end_s},
        {"wall-off", &wall_off_s},
        {"seed", (int64_t *)&ask.seed},
        {"mono", (int64_t *)&ask.mono0_ms},
        {"uptime", (int64_t *)&ask.uptime_ms},
        {"loss-ppm", &loss_ppm},
        {"counters", &counters},
        {"hourly", &hourly_s},
        {"solar", &solar},
        {"faults", &faults},
        {"cuts", &cuts},
        {"summer-status", &summer_status},
    };
    const char *v;
    bool known = false;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (is_name(arg, numbers[i].name, &v)) {
            *numbers[i].value = strtoll(v, NULL, 10);
            known = true;
        }
    if (is_name(arg, "maker", &v))
        ask.maker = (enum hx_maker)(HX_MAKER_AIDON + choice(v, makers, 3));
    else if (is_name(arg, "wall", &v))
        ask.wall = (enum wall)choice(v, walls, 3);
    else if (is_name(arg, "dir", &v))
        ask.dir = v;
    else if (is_name(arg, "lists", &v)) /* permille: doubled, late, repeated, lost */
        (void)sscanf(v, "%u,%u,%u,%u", &ask.double_permille, &ask.late_permille,
                     &ask.repeat_permille, &ask.lost_permille);
    else if (!known)
        (void)choice(arg, NULL, 0);
    ask.start_ms = start_s * 1000;
    ask.end_ms = end_s * 1000;
    ask.wall_off_ms = wall_off_s * 1000;
    ask.loss_ppm = (uint32_t)loss_ppm;
    ask.counters = (uint32_t)counters;
    ask.hourly_s = (uint32_t)hourly_s;
    ask.solar = solar != 0;
    ask.cuts = cuts != 0;
    ask.faults = faults != 0 || cuts != 0;
    ask.summer_status = summer_status != 0;
}

/* Arguments are NAME=VALUE; year.py has those that make sense. */
int main(int argc, char **argv)
{
    int64_t next, quiet_ms;
    int64_t middle_ms;
    long before_kb = 0, after_kb;
    for (int i = 1; i < argc; i++)
        take_option(argv[i]);
    assert(ask.dir != NULL && ask.end_ms > ask.start_ms);
    (void)setenv("TZ", "Europe/Oslo", 1);
    tzset();
    begin();
    next = next_telegram_ms(&w.meter, w.now_ms);
    quiet_ms = w.now_ms + 2 * HOUR_MS;
    while (w.now_ms < ask.start_ms + HOUR_MS && w.now_ms < ask.end_ms)
        step(&next);
    middle_ms = w.now_ms + (ask.end_ms - w.now_ms) / 2;
    while (w.now_ms < ask.end_ms) {
        step(&next);
        if (before_kb == 0 && w.now_ms >= middle_ms)
            before_kb = resident_kb(); /* all buffers have been used by then */
        if (ask.uptime_ms != 0 && w.now_ms >= quiet_ms && w.queued == 0) {
            pass_quietly((int64_t)ask.uptime_ms);
            ask.end_ms += w.now_ms - quiet_ms;
            ask.uptime_ms = 0;
            next = next_telegram_ms(&w.meter, w.now_ms);
        }
    }
    after_kb = resident_kb();
    tell_all();
    tell_errors();
    (void)printf("rss_before_kb %ld\nrss_after_kb %ld\n", before_kb, after_kb);
    return 0;
}
