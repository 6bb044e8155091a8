/* test_gateway.c - the whole core: bytes and time in, state, registers and events out. */
#include "check.h"

#include "hx/gateway.h"

#include "vectors.h"

#define HOUR_MS 3600000u

static struct hx_gateway gw;

/* What came out of the gateway since the log was cleared. */
static struct {
    unsigned telegrams, dropped, links, saves, news;
    enum hx_err err;      /* of the newest drop */
    enum hx_maker maker;  /* of the newest telegram */
    enum hx_link link;    /* of the newest change */
    size_t raw_len;       /* of the newest frame */
    bool drop_is_decoded; /* the newest drop had a telegram */
} seen;

static void note(const struct hx_event *ev)
{
    switch (ev->kind) {
    case HX_EV_TELEGRAM:
        seen.telegrams++;
        seen.news |= ev->news;
        seen.maker = ev->telegram->maker;
        seen.raw_len = ev->raw.len;
        break;
    case HX_EV_DROPPED:
        seen.dropped++;
        seen.err = ev->err;
        seen.raw_len = ev->raw.len;
        seen.drop_is_decoded = ev->telegram != NULL;
        break;
    case HX_EV_LINK:
        seen.links++;
        seen.link = ev->link;
        break;
    case HX_EV_SAVE:
        seen.saves++;
        break;
    }
}

static void drain(void)
{
    struct hx_event ev;
    while (hx_gw_next(&gw, &ev))
        note(&ev);
}

static void clear(void)
{
    memset(&seen, 0, sizeof seen);
}

static void start(void)
{
    hx_gw_init(&gw, 0);
    clear();
}

static void feed(const uint8_t *p, size_t n, uint64_t now_ms)
{
    while (n > 0) {
        size_t took = hx_gw_rx(&gw, (struct hx_span){p, n}, now_ms);
        drain();
        p += took;
        n -= took;
    }
}

static void tick(uint64_t now_ms)
{
    hx_gw_tick(&gw, now_ms);
    drain();
}

static const struct vector *find_in(const struct vector *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    fail_msg("no vector %s", name);
    return NULL;
}

static void send(const char *name, uint64_t now_ms)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, name);
    feed(v->bytes.ptr, v->bytes.len, now_ms);
}

static void send_foreign(const char *name, uint64_t now_ms)
{
    const struct vector *v = find_in(foreign, FOREIGN_COUNT, name);
    feed(v->bytes.ptr, v->bytes.len, now_ms);
}

#define AIDON_1 "aidon-l1-1el-p2390"
#define AIDON_2 "aidon-l2-13el-6534-p4532"
#define AIDON_2_OTHER "aidon-l2-13el-6534-p734"
#define AIDON_3 "aidon-l3-18el-6534-20251214T160000"
#define KAIFA_1 "kaifa-l1-1el-20170915T045252"
#define KAIFA_2 "kaifa-l2-13el-ma304h3e-20170915T045440"
#define EMBRIQ_1 "embriq-l1-1el-p9460"
#define EMBRIQ_2 "embriq-l2-13el-zff1-p9460"
#define KAMSTRUP_2 "kamstrup-l2-25el-6841121bn243101040-20171020T035320"

#define HEAD_LEN 4u /* addresses and control of an Aidon frame */
#define INFO_AT 9u  /* flag, format, head, HCS */
#define TAIL_LEN 3u /* FCS and flag */

static void patch(uint8_t *info, size_t len, const char *from, uint32_t be, size_t octets)
{
    uint8_t want[16];
    size_t n = unhex(from, want);
    for (size_t at = 0; at + n + octets <= len; at++) {
        if (memcmp(info + at, want, n) != 0)
            continue;
        for (size_t i = 0; i < octets; i++)
            info[at + n + i] = (uint8_t)(be >> 8 * (octets - 1 - i));
        return;
    }
    fail_msg("%s is not in the frame", from);
}

static void send_patched(const uint8_t *info, size_t len, uint64_t now_ms)
{
    static const uint8_t head[HEAD_LEN] = {0x41, 0x08, 0x83, 0x13};
    uint8_t frame[600];
    feed(frame, make_frame(frame, 0xA000, head, sizeof head, info, len), now_ms);
}

/* The recorded hourly list of an Aidon with another hour, power and total (10 Wh steps). */
static void send_hour(uint32_t hour, uint32_t power_w, uint32_t import_10wh, uint64_t now_ms)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, AIDON_3);
    uint8_t info[600];
    size_t len = v->bytes.len - INFO_AT - TAIL_LEN;
    memcpy(info, v->bytes.ptr + INFO_AT, len);
    patch(info, len, "090C07E90C0E00", hour, 1);
    patch(info, len, "09060100010700FF06", power_w, 4);
    patch(info, len, "09060100010800FF06", import_10wh, 4);
    send_patched(info, len, now_ms);
}

static void send_power(uint32_t power_w, uint64_t now_ms)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, AIDON_1);
    uint8_t info[600];
    size_t len = v->bytes.len - INFO_AT - TAIL_LEN;
    memcpy(info, v->bytes.ptr + INFO_AT, len);
    patch(info, len, "09060100010700FF06", power_w, 4);
    send_patched(info, len, now_ms);
}

static const struct hx_value *value(enum hx_field f)
{
    return &gw.state.meter.value[f];
}

static uint32_t register_u32(uint16_t address)
{
    const uint8_t *p = hx_registers_read(&gw.regs, address, 2);
    assert_non_null(p);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- telegrams ---------------------------------------------------------------------------- */

static void a_telegram_becomes_state_and_registers(void **state)
{
    (void)state;
    start();
    send(AIDON_2, 1234);
    CHECK("one telegram", seen.telegrams == 1 && seen.dropped == 0);
    CHECK_INT("news", seen.news, HX_NEWS_FIRST);
    CHECK_INT("raw", seen.raw_len, 288);
    CHECK("power", value(HX_P_IMPORT)->num == 4532 && value(HX_P_IMPORT)->at_ms == 1234);
    CHECK("voltage", value(HX_U_L1)->num == 232500 && value(HX_U_L1)->quality == HX_MEASURED);
    CHECK_INT("energy is not known", value(HX_E_IMPORT)->quality, HX_UNKNOWN);
    CHECK("counted", gw.state.telegrams == 1 && gw.state.lists[2] == 1 && gw.state.bytes == 288);
    CHECK("good", gw.state.any_good && gw.state.last_good_ms == 1234);
    CHECK_INT("40001: 4532 W", register_u32(0), 4532);
    CHECK_INT("40015: 232.5 V", register_u32(14), 2325);
    CHECK_INT("40021: no energy yet", register_u32(20), 0);
}

static void list_1_counts_before_any_identity(void **state)
{
    (void)state;
    start();
    send(KAIFA_1, 1000);
    CHECK("taken", seen.telegrams == 1 && seen.dropped == 0 && seen.news == 0);
    CHECK("value", value(HX_P_IMPORT)->num == 638 && !gw.state.meter.known);
}

static void list_1_of_another_maker_is_dropped(void **state)
{
    (void)state;
    start();
    send(AIDON_2, 0);
    clear();
    send(KAIFA_1, 2000);
    CHECK("dropped", seen.telegrams == 0 && seen.dropped == 1 && seen.err == HX_E_IDENTITY);
    CHECK("shown though", seen.drop_is_decoded);
    CHECK_INT("counted", gw.state.drops[-(int)HX_E_IDENTITY], 1);
    CHECK_INT("value", value(HX_P_IMPORT)->num, 4532);
    CHECK_INT("not good", gw.state.last_good_ms, 0);
}

static void embriq_is_named_once_it_told(void **state)
{
    (void)state;
    start();
    send(EMBRIQ_1, 0);
    CHECK_INT("not yet", seen.maker, HX_MAKER_AIDON);
    send(EMBRIQ_2, 2000);
    send(EMBRIQ_1, 4000);
    CHECK("list 1", seen.telegrams == 3 && seen.maker == HX_MAKER_EMBRIQ);
    CHECK_INT("power", value(HX_P_IMPORT)->num, 9460);
    CHECK_INT("U L2 is sent as 0, not measured", value(HX_U_L2)->quality, HX_UNKNOWN);
}

static void another_meter_waits_for_a_second_list(void **state)
{
    (void)state;
    start();
    send_hour(16, 3600, 1000, 0);
    clear();
    send(KAMSTRUP_2, 10000);
    CHECK("waits", seen.dropped == 1 && seen.err == HX_E_IDENTITY);
    CHECK_INT("old value", value(HX_P_IMPORT)->num, 3600);
    send(KAMSTRUP_2, 20000);
    CHECK("agreed", seen.telegrams == 1 && seen.news == HX_NEWS_SWAPPED);
    CHECK_INT("maker", gw.state.meter.maker, HX_MAKER_KAMSTRUP);
    CHECK_INT("old energy is gone", value(HX_E_IMPORT)->quality, HX_UNKNOWN);
    CHECK("old estimate is gone",
          !gw.state.energy[0].known && hx_energy_wh(&gw.state.energy[0]) == 0);
    CHECK_INT("40029", register_u32(28), 0);
}

/* The simulator's ids begin with SIM, wherever its telegrams come from. */
static void simulated_meter_is_told_by_its_id(void **state)
{
    static const char real[] = "6970633436137582", made_up[] = "SIM0633436137582";
    const struct vector *v = find_in(norway, NORWAY_COUNT, KAIFA_2);
    static uint8_t frame[512];
    size_t at = 0;
    (void)state;
    start();
    send(KAIFA_2, 0);
    assert_false(gw.state.simulated);
    memcpy(frame, v->bytes.ptr, v->bytes.len);
    while (memcmp(frame + at, real, sizeof real - 1u) != 0)
        at++;
    memcpy(frame + at, made_up, sizeof made_up - 1u);
    uint16_t fcs = (uint16_t)~slow_x25(0xFFFF, frame + 1, v->bytes.len - 4);
    frame[v->bytes.len - 3] = (uint8_t)fcs;
    frame[v->bytes.len - 2] = (uint8_t)(fcs >> 8);
    start();
    feed(frame, v->bytes.len, 0);
    assert_int_equal(seen.telegrams, 1);
    assert_true(gw.state.simulated);
    hx_gw_set_simulated(&gw, false); /* another source: these values are made up all the same */
    assert_true(gw.state.simulated);
    send(AIDON_2, 10000);
    send(AIDON_2, 20000); /* another meter, agreed twice */
    assert_false(gw.state.simulated);
}

static void kaifa_voltage_that_is_not_measured(void **state)
{
    (void)state;
    start();
    send(KAIFA_2, 0);
    CHECK("taken", seen.telegrams == 1);
    CHECK_INT("U L1", value(HX_U_L1)->quality, HX_MEASURED);
    CHECK_INT("U L2", value(HX_U_L2)->quality, HX_UNKNOWN);
    CHECK_INT("I L2", value(HX_I_L2)->quality, HX_MEASURED);
}

static void foreign_frames_are_told_apart(void **state)
{
    (void)state;
    start();
    send_foreign("enc-hdlc-kamstrup-gh73-1", 0);
    CHECK("encrypted", seen.dropped == 1 && seen.err == HX_E_ENCRYPTED);
    CHECK_INT("link", gw.state.link, HX_LINK_ENCRYPTED);
    send_foreign("aidon-se-27el-20191216T075940", 10000);
    CHECK("layout", seen.dropped == 2 && seen.err == HX_E_LAYOUT);
    CHECK_INT("link", gw.state.link, HX_LINK_FOREIGN);
    CHECK_INT("counted", gw.state.drops[-(int)HX_E_ENCRYPTED], 1);
    CHECK_INT("counted", gw.state.drops[-(int)HX_E_LAYOUT], 1);
    CHECK("no reading", seen.telegrams == 0 && !gw.state.any_good);
}

static void streams_through_the_gateway(void **state)
{
    static const size_t pieces[] = {1, 100, 5000};
    (void)state;
    for (size_t i = 0; i < STREAMS_COUNT; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
            const struct stream *s = &streams[i];
            start();
            for (size_t at = 0; at < s->bytes.len; at += pieces[k]) {
                size_t n = s->bytes.len - at < pieces[k] ? s->bytes.len - at : pieces[k];
                feed(s->bytes.ptr + at, n, at * 5);
            }
            tick(s->bytes.len * 5 + HX_GW_QUIET_MS);
            CHECK_INT(s->name, seen.telegrams, s->count);
            CHECK_INT(s->name, gw.state.bytes, s->bytes.len);
        }
}

/* ---- the line ----------------------------------------------------------------------------- */

static void line_error_condemns_its_frame_only(void **state)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, AIDON_1);
    (void)state;
    for (size_t at = 0; at < v->bytes.len; at++) {
        start();
        feed((const uint8_t *)"\x55", 1, 0);
        feed(v->bytes.ptr, at, 0);
        hx_gw_line_error(&gw);
        feed(v->bytes.ptr + at, v->bytes.len - at, 0);
        CHECK("condemned", seen.telegrams == 0 && seen.dropped == 1 && seen.err == HX_E_LINE);
        CHECK_INT("counted", gw.state.line_errors, 1);
        feed(v->bytes.ptr, v->bytes.len, 2500);
        CHECK("the next one is good", seen.telegrams == 1 && seen.dropped == 1);
    }
}

static void line_error_in_noise_costs_nothing(void **state)
{
    (void)state;
    start();
    hx_gw_line_error(&gw);
    feed((const uint8_t *)"\x55", 1, 0);
    send(AIDON_1, 0);
    hx_gw_line_error(&gw);
    feed((const uint8_t *)"\x55", 1, 0);
    send(AIDON_1, 2500);
    CHECK("both", seen.telegrams == 2 && seen.dropped == 0);
}

static void quiet_line_frees_a_good_frame(void **state)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, AIDON_3);
    (void)state;
    start();
    feed(v->bytes.ptr, 100, 0); /* the rest is lost, 296 octets still expected */
    send(AIDON_1, 1000);
    tick(1000 + HX_GW_QUIET_MS - 1);
    CHECK_INT("not yet quiet", seen.telegrams, 0);
    CHECK("wakes up in time", hx_gw_deadline_ms(&gw) <= 1000 + HX_GW_QUIET_MS);
    tick(1000 + HX_GW_QUIET_MS);
    CHECK("found", seen.telegrams == 1 && value(HX_P_IMPORT)->num == 2390);
    CHECK("the cut one is told", seen.dropped == 1 && seen.err == HX_E_FLAG);
}

static void pause_inside_a_frame_costs_nothing(void **state)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, AIDON_3);
    (void)state;
    start();
    feed(v->bytes.ptr, 200, 0);
    tick(1000);
    tick(2000);
    feed(v->bytes.ptr + 200, v->bytes.len - 200, 3000);
    CHECK("whole", seen.telegrams == 1 && seen.dropped == 0);
}

static void noise_for(uint64_t from_ms, uint64_t to_ms, bool line_errors)
{
    for (uint64_t t = from_ms; t <= to_ms; t += 500) {
        if (line_errors)
            hx_gw_line_error(&gw);
        feed((const uint8_t *)"\x55", 1, t);
        feed((const uint8_t *)"\xAA", 1, t);
        tick(t);
    }
}

static void link_verdicts(void **state)
{
    (void)state;
    start();
    CHECK_INT("at start", gw.state.link, HX_LINK_SILENT);
    tick(5000);
    CHECK("nothing to tell", seen.links == 0);
    noise_for(6000, 30000, false);
    CHECK("noise", gw.state.link == HX_LINK_NOISE && seen.links == 1 && seen.link == HX_LINK_NOISE);
    send(AIDON_1, 30500);
    CHECK("good", gw.state.link == HX_LINK_GOOD && seen.links == 2 && seen.link == HX_LINK_GOOD);
    send(AIDON_1, 33000);
    CHECK_INT("told once", seen.links, 2);
    tick(33000 + HX_LINK_QUIET_MS - 1);
    CHECK_INT("three lists missed, almost", gw.state.link, HX_LINK_GOOD);
    tick(33000 + HX_LINK_QUIET_MS + 1);
    CHECK("silent", gw.state.link == HX_LINK_SILENT && seen.link == HX_LINK_SILENT);
}

/* A port that was never opened: said once, though the verdict is that of the start. */
static void silence_from_the_start_is_told_once(void **state)
{
    (void)state;
    start();
    tick(HX_LINK_QUIET_MS);
    CHECK_INT("not yet", seen.links, 0);
    tick(HX_LINK_QUIET_MS + 1000);
    CHECK("told", seen.links == 1 && seen.link == HX_LINK_SILENT);
    tick(4 * HX_LINK_QUIET_MS);
    CHECK_INT("once", seen.links, 1);
    send(AIDON_1, 5 * HX_LINK_QUIET_MS);
    CHECK("good", seen.links == 2 && seen.link == HX_LINK_GOOD);
}

static void link_that_looks_like_wrong_parity(void **state)
{
    (void)state;
    start();
    noise_for(0, 30000, true);
    CHECK_INT("parity", gw.state.link, HX_LINK_PARITY);
    CHECK_INT("told", seen.link, HX_LINK_PARITY);
    send(AIDON_1, 31000);
    CHECK_INT("good", gw.state.link, HX_LINK_GOOD);
}

static void good_link_turns_when_only_noise_is_left(void **state)
{
    (void)state;
    start();
    send(AIDON_1, 0);
    noise_for(1000, 60000, false);
    CHECK_INT("noise", gw.state.link, HX_LINK_NOISE);
}

/* ---- time --------------------------------------------------------------------------------- */

#define FLAGS_ADDRESS 1002u
#define AGE_P_IMPORT 1141u

static uint32_t flags_at(uint64_t now_ms)
{
    tick(now_ms);
    hx_registers_render(&gw.regs, &gw.state);
    return register_u32(FLAGS_ADDRESS);
}

static void han_light_is_lit_for_60_seconds(void **state)
{
    (void)state;
    start();
    CHECK("dark at start", (flags_at(10) & HX_FLAG_FRESH) == 0);
    send(AIDON_1, 1000);
    CHECK("lit", (flags_at(1000) & HX_FLAG_FRESH) != 0);
    CHECK("59,999 ms", (flags_at(1000 + 59999) & HX_FLAG_FRESH) != 0);
    CHECK("60,000 ms", (flags_at(1000 + 60000) & HX_FLAG_FRESH) == 0);
}

static void values_have_an_age(void **state)
{
    const uint8_t *p;
    (void)state;
    start();
    send(AIDON_1, 5000);
    (void)flags_at(5000 + 59999);
    p = hx_registers_read(&gw.regs, AGE_P_IMPORT, 1);
    assert_non_null(p);
    CHECK_INT("59 whole seconds", p[0] << 8 | p[1], 59);
    (void)flags_at(5000 + 60000);
    CHECK_INT("60", p[0] << 8 | p[1], 60);
    CHECK_INT("it was measured, however old", value(HX_P_IMPORT)->quality, HX_MEASURED);
}

static void tick_keeps_the_image_fresh(void **state)
{
    (void)state;
    start();
    for (uint64_t t = 0; t < 10000; t = hx_gw_deadline_ms(&gw)) {
        CHECK("deadline lies ahead", (tick(t), hx_gw_deadline_ms(&gw) > t));
        CHECK("and not far", hx_gw_deadline_ms(&gw) <= t + HX_GW_TICK_MS);
    }
    CHECK_INT("uptime", hx_state_uptime_s(&gw.state), 9);
}

/* ---- energies ----------------------------------------------------------------------------- */

static void estimate_follows_power(void **state)
{
    (void)state;
    start();
    send_power(3600, 0);
    CHECK("nothing to add to", !gw.state.energy[0].known);
    send_hour(16, 3600, 1000, 10000); /* 10 000 Wh as of ten seconds ago */
    CHECK_INT("total", value(HX_E_IMPORT)->num, 10000);
    CHECK_INT("plus ten seconds", hx_energy_wh(&gw.state.energy[0]), 10010);
    for (uint64_t t = 20000; t <= 1010000; t += 10000)
        send_power(3600, t);
    CHECK_INT("plus 1000 s", hx_energy_wh(&gw.state.energy[0]), 11010);
    CHECK_INT("40021, whole kWh", register_u32(20), 10);
    CHECK_INT("40029, estimated", register_u32(28), 11);
    CHECK_INT("total is as sent", value(HX_E_IMPORT)->num, 10000);
}

static void estimate_stops_over_a_gap(void **state)
{
    (void)state;
    start();
    send_hour(16, 3600, 1000, 0);
    send_power(3600, 60000);
    CHECK_INT("60,000 ms", hx_energy_wh(&gw.state.energy[0]), 10070);
    send_power(3600, 120001);
    CHECK_INT("60,001 ms", hx_energy_wh(&gw.state.energy[0]), 10070);
}

static void estimate_holds_until_the_meter_catches_up(void **state)
{
    (void)state;
    start();
    send_hour(16, 3600, 1000, 0);
    for (uint64_t t = 10000; t <= 60000; t += 10000)
        send_power(3600, t);
    CHECK_INT("ahead", hx_energy_wh(&gw.state.energy[0]), 10070);
    send_hour(17, 3600, 1003, 60000); /* 10 030 + 10 s */
    CHECK("holds", hx_energy_wh(&gw.state.energy[0]) == 10070 && gw.state.energy[0].held);
    send_power(3600, 80000); /* 10 060 */
    CHECK("holds", hx_energy_wh(&gw.state.energy[0]) == 10070 && gw.state.energy[0].held);
    send_power(3600, 95000); /* 10 075 */
    CHECK("goes on", hx_energy_wh(&gw.state.energy[0]) == 10075 && !gw.state.energy[0].held);
}

/* 54 432 Wh an hour is the most that 63 A can carry. */
static void hour_that_cannot_be_waits(void **state)
{
    (void)state;
    start();
    send_hour(16, 3600, 100000, 0);
    clear();
    send_hour(17, 9, 200000, HOUR_MS); /* 1 MWh in an hour */
    CHECK("waits", seen.dropped == 1 && seen.err == HX_E_ENERGY && seen.telegrams == 0);
    CHECK("nothing of it is taken",
          value(HX_P_IMPORT)->num == 3600 && value(HX_E_IMPORT)->num == 1000000);
    send_hour(18, 10, 200200, 2 * HOUR_MS);
    CHECK("agreed", seen.telegrams == 1 && seen.news == (HX_NEWS_RESET | HX_NEWS_ENERGY));
    CHECK_INT("new total", value(HX_E_IMPORT)->num, 2002000);
    CHECK_INT("new estimate", hx_energy_wh(&gw.state.energy[0]), 2002000);
}

static void counter_that_starts_afresh(void **state)
{
    (void)state;
    start();
    send_hour(16, 0, 100000, 0);
    send_hour(17, 0, 1, HOUR_MS);
    CHECK("waits", seen.dropped == 1 && seen.err == HX_E_ENERGY);
    CHECK_INT("estimate stays", hx_energy_wh(&gw.state.energy[0]), 1000000);
    send_hour(18, 0, 5, 2 * HOUR_MS);
    CHECK("reset", (seen.news & HX_NEWS_RESET) != 0);
    CHECK("afresh", hx_energy_wh(&gw.state.energy[0]) == 50 && !gw.state.energy[0].held);
}

/* Aidon: the list of an hour came again an hour later, clock and energies as before. */
static void repeated_hour_is_harmless(void **state)
{
    (void)state;
    start();
    send_hour(16, 3600, 1000, 0);
    for (uint64_t t = 10000; t <= 600000; t += 10000)
        send_power(3600, t);
    CHECK_INT("before", hx_energy_wh(&gw.state.energy[0]), 10610);
    clear();
    send_hour(16, 3600, 1000, 600000);
    CHECK("no reset, no drop", seen.telegrams == 1 && (seen.news & HX_NEWS_RESET) == 0);
    CHECK_INT("same", hx_energy_wh(&gw.state.energy[0]), 10610);
    send_power(3600, 610000);
    CHECK("and on", hx_energy_wh(&gw.state.energy[0]) == 10620 && !gw.state.energy[0].held);
}

/* ---- saved state -------------------------------------------------------------------------- */

static uint8_t saved[HX_GW_SAVED_MAX];

static size_t save(void)
{
    struct hx_wr w = {.ptr = saved, .cap = sizeof saved};
    hx_gw_save(&gw, &w);
    CHECK_INT("fits", w.err, HX_OK);
    return w.len;
}

static void saves_are_debounced(void **state)
{
    (void)state;
    start();
    hx_gw_written(&gw);
    tick(1000);
    hx_gw_written(&gw);
    tick(1999);
    CHECK_INT("not yet", seen.saves, 0);
    CHECK("wakes up in time", hx_gw_deadline_ms(&gw) <= HX_GW_SAVE_SOON_MS);
    tick(HX_GW_SAVE_SOON_MS);
    CHECK_INT("2 s after the first write", seen.saves, 1);
    tick(60000);
    CHECK_INT("once", seen.saves, 1);
    clear();
    for (uint64_t t = 60100; t <= 70100; t += 100) {
        hx_gw_written(&gw);
        tick(t);
    }
    CHECK("ten seconds of writing: at most each 2 s", seen.saves >= 4 && seen.saves <= 5);
}

/* A master that writes another scale each 100 ms for an hour: 43200 saves a day would wear a flash
 * out in a year or two. Six times in an hour ten soon, and else one a minute. */
static void writing_without_end_wears_no_flash_out(void **state)
{
    (void)state;
    start();
    for (uint64_t t = 100; t <= 3600000; t += 100) {
        hx_gw_written(&gw);
        tick(t);
    }
    CHECK("60 soon and at most one a minute", seen.saves >= 60 && seen.saves <= 120);
}

static void hourly_list_is_saved_soon(void **state)
{
    (void)state;
    start();
    send_hour(16, 3600, 1000, 0);
    tick(HX_GW_SAVE_SOON_MS - 1);
    CHECK_INT("not yet", seen.saves, 0);
    tick(HX_GW_SAVE_SOON_MS);
    CHECK_INT("soon", seen.saves, 1);
    send_power(3600, 10000);
    tick(10000 + HX_GW_SAVE_LAZY_MS - 1);
    CHECK_INT("running estimates are in no hurry", seen.saves, 1);
    tick(10000 + HX_GW_SAVE_LAZY_MS);
    CHECK_INT("but saved", seen.saves, 2);
}

/* The last number of "energy 0 total integral shown" in a saved state. */
static int64_t saved_shown(const uint8_t *text, size_t n)
{
    static const char key[] = "\nenergy 0 ";
    int64_t v = 0;
    size_t at = 0;
    while (at + sizeof key < n && memcmp(text + at, key, sizeof key - 1u) != 0)
        at++;
    at += sizeof key - 1u;
    for (unsigned blanks = 0; at < n && text[at] != '\n'; at++) {
        if (text[at] == ' ')
            blanks++;
        else if (blanks == 2)
            v = v * 10 + (text[at] - '0');
    }
    return v;
}

static void make_state(void)
{
    start();
    gw.state.device_number = 70388;
    gw.state.starts = 17;
    hx_gw_set_scale(&gw, 1500);
    send_hour(16, 3600, 1000, 0);
    for (uint64_t t = 10000; t <= 100000; t += 10000)
        send_power(3600, t);
    hx_gw_end(&gw);
}

/* 3600 W is 1 Wh a second. A save is made out 90 s ahead and 1 Wh; whenever the power goes, the
 * estimate comes back no lower than it was shown, and goes on when the sum has caught up. */
static void power_cut_takes_no_estimate_back(void **state)
{
    size_t n = 0;
    uint64_t t;
    (void)state;
    start();
    send_hour(16, 3600, 1000, 0);
    for (t = 10000; t <= 3000000; t += 10000) {
        unsigned saves = seen.saves;
        int64_t shown;
        send_power(3600, t);
        shown = hx_energy_wh(&gw.state.energy[0]);
        if (seen.saves != saves)
            n = save();
        if (n != 0)
            CHECK("covered", saved_shown(saved, n) >= shown && saved_shown(saved, n) <= shown + 91);
    }
    CHECK("saved now and then", seen.saves >= 40 && seen.saves <= 60);
    CHECK_INT("shown", hx_energy_wh(&gw.state.energy[0]), 13010);
    hx_gw_init(&gw, 0);
    assert_int_equal(hx_gw_load(&gw, (struct hx_span){saved, n}), HX_OK);
    t = (uint64_t)hx_energy_wh(&gw.state.energy[0]);
    CHECK("not below", t >= 13010 && t <= 13010 + 91);
    send_power(3600, 1000);
    send_power(3600, 11000);
    CHECK("holds", (uint64_t)hx_energy_wh(&gw.state.energy[0]) == t && gw.state.energy[0].held);
}

/* A disk takes up to 2 s. Idle, then 36 kW at once (10 Wh a second), and an hourly list 5 kWh above
 * the sum: whenever the power goes, what is on the disk by then is not below what was shown. */
static void power_cut_after_a_jump_takes_no_estimate_back(void **state)
{
    static uint8_t writing[HX_GW_SAVED_MAX], disk[HX_GW_SAVED_MAX];
    size_t n = 0, on_disk = 0;
    uint64_t written_ms = 0;
    (void)state;
    start();
    send_hour(16, 0, 1000, 0);
    for (uint64_t t = 250; t <= 240000; t += 250) {
        unsigned saves = seen.saves;
        if (n != 0 && t >= written_ms) {
            memcpy(disk, writing, n);
            on_disk = n;
        }
        if (t == 120000)
            send_hour(17, 36000, 1560, t);
        else if (t % 2500 == 0)
            send_power(t < 60000 ? 0 : 36000, t);
        else
            tick(t);
        if (seen.saves != saves) {
            n = save();
            memcpy(writing, saved, n);
            written_ms = t + 2000;
        }
        if (on_disk != 0)
            CHECK("covered", saved_shown(disk, on_disk) >= hx_energy_wh(&gw.state.energy[0]));
    }
    /* 15 600 Wh ten seconds ago, and 120 s more */
    CHECK_INT("shown in the end", hx_energy_wh(&gw.state.energy[0]), 15600 + 100 + 1200);
}

static void saved_state_comes_back(void **state)
{
    struct hx_text id;
    size_t n, again;
    static uint8_t first[HX_GW_SAVED_MAX];
    (void)state;
    make_state();
    id = gw.state.meter.id;
    n = save();
    memcpy(first, saved, n);
    hx_gw_init(&gw, 500);
    clear();
    CHECK_INT("load", hx_gw_load(&gw, (struct hx_span){first, n}), HX_OK);
    CHECK("meter", gw.state.meter.known && gw.state.meter.maker == HX_MAKER_AIDON &&
                       hx_text_eq(&gw.state.meter.id, &id));
    CHECK("number, starts", gw.state.device_number == 70388 && gw.state.starts == 17);
    CHECK_INT("scale", gw.state.scale, 1500);
    CHECK("total", value(HX_E_IMPORT)->num == 10000 && value(HX_E_IMPORT)->quality == HX_HELD);
    CHECK_INT("estimate", hx_energy_wh(&gw.state.energy[0]), 10110);
    CHECK_INT("power is not known", value(HX_P_IMPORT)->quality, HX_UNKNOWN);
    CHECK_INT("40021: 15 kWh", register_u32(20), 15);
    again = save();
    CHECK("saved again it is the same", again == n && memcmp(saved, first, n) == 0);
    send_power(3600, 1000);
    send_power(3600, 2000);
    CHECK_INT("not beyond what is saved", hx_energy_wh(&gw.state.energy[0]), 10110);
    tick(3000);
    CHECK_INT("saved", seen.saves, 1);
    send_power(3600, 11000);
    CHECK_INT("goes on", hx_energy_wh(&gw.state.energy[0]), 10120);
    send_hour(17, 3600, 1012, 21000);
    CHECK("measured again",
          value(HX_E_IMPORT)->num == 10120 && value(HX_E_IMPORT)->quality == HX_MEASURED);
}

static void known_meter_is_known_after_a_restart(void **state)
{
    size_t n;
    (void)state;
    make_state();
    n = save();
    hx_gw_init(&gw, 0);
    clear();
    assert_int_equal(hx_gw_load(&gw, (struct hx_span){saved, n}), HX_OK);
    send(KAIFA_1, 1000);
    CHECK("list 1 of another maker", seen.dropped == 1 && seen.err == HX_E_IDENTITY);
    send(AIDON_2_OTHER, 2000);
    CHECK("another meter", seen.dropped == 2 && seen.err == HX_E_IDENTITY);
    send_hour(17, 5, 10, 3000);
    CHECK("energy below the saved one", seen.dropped == 3 && seen.err == HX_E_ENERGY);
    CHECK_INT("estimate stays", hx_energy_wh(&gw.state.energy[0]), 10110);
}

static void empty_state_comes_back(void **state)
{
    size_t n;
    (void)state;
    start();
    n = save();
    CHECK_INT("load", hx_gw_load(&gw, (struct hx_span){saved, n}), HX_OK);
    CHECK("nothing known", !gw.state.meter.known && !gw.state.energy[0].known);
    CHECK_INT("scale", gw.state.scale, HX_SCALE_DEFAULT);
}

/* Refused, and the gateway is to the last octet what it was. */
static void check_load_refused(const char *name, const uint8_t *p, size_t n, enum hx_err want)
{
    static struct hx_gateway before;
    enum hx_err e;
    memcpy(&before, &gw, sizeof gw);
    e = hx_gw_load(&gw, (struct hx_span){p, n});
    if (want != HX_OK)
        CHECK_INT(name, e, want);
    CHECK(name, e == HX_E_LEN || e == HX_E_FCS || e == HX_E_VALUE);
    CHECK(name, memcmp(&before, &gw, sizeof gw) == 0);
}

static void bad_state_is_refused_whole(void **state)
{
    static uint8_t good[HX_GW_SAVED_MAX], bad[HX_GW_SAVED_MAX + 1];
    size_t n;
    (void)state;
    make_state();
    n = save();
    memcpy(good, saved, n);
    start();
    send(AIDON_2_OTHER, 0);
    check_load_refused("empty", good, 0, HX_E_LEN);
    check_load_refused("foreign", (const uint8_t *)"[modbus]\nport = 502\n", 20, HX_E_VALUE);
    for (size_t cut = 1; cut < n; cut += VECTOR_STEP)
        check_load_refused("cut", good, cut, HX_OK);
    check_load_refused("last octet missing", good, n - 1, HX_E_LEN);
    for (size_t bit = 0; bit < n * 8; bit += VECTOR_STEP) {
        memcpy(bad, good, n);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_load_refused("bit", bad, n, HX_OK);
    }
    memcpy(bad, good, n);
    bad[n / 2] ^= 1u;
    check_load_refused("one bit in the middle", bad, n, HX_E_FCS);
    memcpy(bad, good, n);
    bad[n] = '\n';
    check_load_refused("one octet more", bad, n + 1, HX_OK);
    memset(bad, 0, n);
    check_load_refused("zeros, as after a power cut", bad, n, HX_E_VALUE);
    CHECK_INT("the good one still loads", hx_gw_load(&gw, (struct hx_span){good, n}), HX_OK);
}

/* "han2x-state 1": the number grows when old programs would misread the file. */
static void newer_state_is_refused(void **state)
{
    static const char text[] = "han2x-state 2\nscale 9000 9000\nend ";
    uint8_t file[80];
    size_t n = sizeof text - 1;
    char sum[5];
    uint16_t crc = (uint16_t)~slow_x25(0xFFFF, (const uint8_t *)text, n);
    (void)state;
    for (size_t i = 0; i < 4; i++)
        sum[i] = "0123456789abcdef"[crc >> (12 - 4 * i) & 15];
    sum[4] = '\n';
    memcpy(file, text, n);
    memcpy(file + n, sum, 5);
    start();
    check_load_refused("newer", file, n + 5, HX_E_VALUE);
    /* the same file of version 1 is good: it was refused for its number alone */
    file[12] = '1';
    crc = (uint16_t)~slow_x25(0xFFFF, file, n);
    for (size_t i = 0; i < 4; i++)
        file[n + i] = (uint8_t) "0123456789abcdef"[crc >> (12 - 4 * i) & 15];
    CHECK_INT("version 1", hx_gw_load(&gw, (struct hx_span){file, n + 5}), HX_OK);
    CHECK_INT("scale", gw.state.scale, 9000);
}

static void scale_written_stays_until_the_setting_changes(void **state)
{
    static const uint8_t five[4] = {0, 0, 0x13, 0x88}; /* 5000 */
    size_t n;
    (void)state;
    start();
    CHECK_INT("default", gw.state.scale, 1000);
    hx_gw_set_scale(&gw, 2000);
    CHECK_INT("setting", gw.state.scale, 2000);
    assert_int_equal(hx_registers_write(&gw.regs, &gw.state, 48, 2, five), HX_OK);
    hx_gw_written(&gw);
    hx_gw_set_scale(&gw, 2000);
    CHECK_INT("reload, same setting", gw.state.scale, 5000);
    n = save();
    hx_gw_init(&gw, 0);
    assert_int_equal(hx_gw_load(&gw, (struct hx_span){saved, n}), HX_OK);
    hx_gw_set_scale(&gw, 2000);
    CHECK_INT("restart, same setting", gw.state.scale, 5000);
    hx_gw_set_scale(&gw, 3000);
    CHECK_INT("another setting wins", gw.state.scale, 3000);
    assert_int_equal(hx_registers_write(&gw.regs, &gw.state, 48, 2, five), HX_OK);
    hx_gw_use_scale(&gw, 3000);
    CHECK_INT("the same, given by hand", gw.state.scale, 3000);
}

/* ---- the meter's clock in place of ours ---------------------------------------------------- */

/* Aidon's hourly list of 16:00:00 UTC+1 comes at 16:00:10 (reading rules, decision 0003). */
#define AIDON_16_UTC_MS INT64_C(1765724410000) /* 2025-12-14T15:00:10Z */

static bool flag_from_meter(void)
{
    const uint8_t *p = hx_registers_read(&gw.regs, 1002, 2);
    return ((unsigned)p[2] << 8 & HX_FLAG_CLOCK_FROM_METER) != 0;
}

static void the_meters_clock_serves_until_there_is_a_better(void **unused)
{
    (void)unused;
    start();
    send(AIDON_1, 1000);
    assert_false(gw.state.utc_known); /* no clock in it */
    send_hour(16, 1000, 100000, 5000);
    assert_true(gw.state.utc_known && gw.state.utc_from_meter);
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS);
    assert_true(flag_from_meter());
    tick(12500);
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS + 7500); /* it runs on */
    hx_gw_set_clock(&gw, AIDON_16_UTC_MS + 60000);
    tick(13500);
    assert_false(gw.state.utc_from_meter || flag_from_meter());
    send_hour(17, 1000, 100100, 3605000);
    assert_false(gw.state.utc_from_meter);
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS + 60000); /* ours moves with its source only */
}

static void the_meters_clock_may_repeat_an_hour(void **unused)
{
    (void)unused;
    start();
    send_hour(16, 1000, 100000, 0);
    send_hour(16, 1000, 100000, 3600000); /* seen on Aidon: an hour's list again an hour later */
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS + 3600000);
    send_hour(18, 1000, 100200, 7203000); /* 3 s of drift are no jump */
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS + 7203000);
}

static void a_meter_clock_that_jumps_counts_when_two_lists_agree(void **unused)
{
    (void)unused;
    start();
    send_hour(16, 1000, 100000, 0);
    send_hour(19, 1000, 100100, 3600000);
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS + 3600000);
    send_hour(20, 1000, 100200, 7200000);
    assert_true(gw.state.utc_ms == AIDON_16_UTC_MS + 4 * 3600000); /* 20:00:10 */
}

/* Kaifa sends its clock, Norwegian local time, with each list; one before 2025 was never set. */
static void kaifas_clock_and_one_that_was_never_set(void **unused)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, "kaifa-l1-1el-20241001T190002");
    uint8_t info[100];
    size_t len = v->bytes.len - INFO_AT - TAIL_LEN;
    (void)unused;
    start();
    memcpy(info, v->bytes.ptr + INFO_AT, len);
    send_patched(info, len, 1000);
    assert_int_equal(seen.telegrams, 1);
    assert_false(gw.state.utc_known);
    patch(info, len, "090C", 2025, 2);
    send_patched(info, len, 3000);
    assert_int_equal(seen.telegrams, 1); /* a jump so long waits for a second telegram */
    send_patched(info, len, 5000);
    assert_int_equal(seen.telegrams, 2);
    assert_true(gw.state.utc_ms == INT64_C(1759338002000)); /* 2025-10-01T17:00:02Z */
}

static void a_simulated_clock_is_not_believed(void **unused)
{
    const struct vector *v = find_in(norway, NORWAY_COUNT, AIDON_3);
    uint8_t info[600];
    size_t len = v->bytes.len - INFO_AT - TAIL_LEN;
    (void)unused;
    start();
    memcpy(info, v->bytes.ptr + INFO_AT, len);
    patch(info, len, "09060000600100FF0A10", 0x53494D, 3); /* meter id SIM… */
    send_patched(info, len, 1000);
    assert_int_equal(seen.telegrams, 1);
    assert_true(gw.state.simulated);
    assert_false(gw.state.utc_known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_telegram_becomes_state_and_registers),
        cmocka_unit_test(the_meters_clock_serves_until_there_is_a_better),
        cmocka_unit_test(the_meters_clock_may_repeat_an_hour),
        cmocka_unit_test(a_meter_clock_that_jumps_counts_when_two_lists_agree),
        cmocka_unit_test(kaifas_clock_and_one_that_was_never_set),
        cmocka_unit_test(a_simulated_clock_is_not_believed),
        cmocka_unit_test(list_1_counts_before_any_identity),
        cmocka_unit_test(list_1_of_another_maker_is_dropped),
        cmocka_unit_test(embriq_is_named_once_it_told),
        cmocka_unit_test(another_meter_waits_for_a_second_list),
        cmocka_unit_test(simulated_meter_is_told_by_its_id),
        cmocka_unit_test(kaifa_voltage_that_is_not_measured),
        cmocka_unit_test(foreign_frames_are_told_apart),
        cmocka_unit_test(streams_through_the_gateway),
        cmocka_unit_test(line_error_condemns_its_frame_only),
        cmocka_unit_test(line_error_in_noise_costs_nothing),
        cmocka_unit_test(quiet_line_frees_a_good_frame),
        cmocka_unit_test(pause_inside_a_frame_costs_nothing),
        cmocka_unit_test(link_verdicts),
        cmocka_unit_test(silence_from_the_start_is_told_once),
        cmocka_unit_test(link_that_looks_like_wrong_parity),
        cmocka_unit_test(good_link_turns_when_only_noise_is_left),
        cmocka_unit_test(han_light_is_lit_for_60_seconds),
        cmocka_unit_test(values_have_an_age),
        cmocka_unit_test(tick_keeps_the_image_fresh),
        cmocka_unit_test(estimate_follows_power),
        cmocka_unit_test(estimate_stops_over_a_gap),
        cmocka_unit_test(estimate_holds_until_the_meter_catches_up),
        cmocka_unit_test(hour_that_cannot_be_waits),
        cmocka_unit_test(counter_that_starts_afresh),
        cmocka_unit_test(repeated_hour_is_harmless),
        cmocka_unit_test(saves_are_debounced),
        cmocka_unit_test(writing_without_end_wears_no_flash_out),
        cmocka_unit_test(hourly_list_is_saved_soon),
        cmocka_unit_test(power_cut_takes_no_estimate_back),
        cmocka_unit_test(power_cut_after_a_jump_takes_no_estimate_back),
        cmocka_unit_test(saved_state_comes_back),
        cmocka_unit_test(known_meter_is_known_after_a_restart),
        cmocka_unit_test(empty_state_comes_back),
        cmocka_unit_test(bad_state_is_refused_whole),
        cmocka_unit_test(newer_state_is_refused),
        cmocka_unit_test(scale_written_stays_until_the_setting_changes),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
