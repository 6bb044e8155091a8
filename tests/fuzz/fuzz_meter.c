/* fuzz_meter.c - any bytes from the meter: framing, A-XDR, lists, state.
 * The input runs as it is, and once more with the checksums of its frames set right, so that the
 * parsers behind them are reached. What must hold for any input:
 *   - however the bytes are cut, the same telegrams and drops come out and the same state is left;
 *   - a telegram's fields are in range and its JSON fits and is well formed;
 *   - estimates never run backwards, but for another meter or a counter that starts afresh;
 *   - saved state can be loaded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hx/crc.h"
#include "hx/gateway.h"

#define INPUT_MAX 2048u /* a few telegrams; what is longer is cut */
#define JSON_MAX 2048u
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- JSON: one object, strings and numbers in place, nothing behind it --------------------- */

static void skip_string(const char **p)
{
    MUST(*(*p)++ == '"');
    for (; **p != '"'; ++*p) {
        MUST(**p >= 0x20 && **p < 0x7F);
        if (**p == '\\')
            MUST(strchr("\"\\u", *++*p) != NULL && **p != '\0');
    }
    ++*p;
}

static void skip_number(const char **p)
{
    const char *first;
    *p += **p == '-';
    first = *p;
    while (**p >= '0' && **p <= '9')
        ++*p;
    MUST(*p > first && (*first != '0' || *p == first + 1)); /* JSON has no leading zeros */
    if (**p != '.')
        return;
    first = ++*p;
    while (**p >= '0' && **p <= '9')
        ++*p;
    MUST(*p > first);
}

static void skip_scalar(const char **p)
{
    if (**p == '"') {
        skip_string(p);
    } else if (strncmp(*p, "null", 4) == 0) {
        *p += 4;
    } else {
        skip_number(p);
    }
}

/* Objects are at most two deep. */
static void check_json(const char *p)
{
    int depth = 0;
    for (;;) {
        MUST(*p == '{' && depth < 2);
        depth++;
        p++;
        for (;;) {
            skip_string(&p);
            MUST(*p++ == ':');
            if (*p == '{')
                break;
            skip_scalar(&p);
            while (*p == '}' && depth > 0) {
                depth--;
                p++;
            }
            if (depth == 0) {
                MUST(*p == '\0');
                return;
            }
            MUST(*p++ == ',');
        }
    }
}

static void check_text(const struct hx_text *t)
{
    MUST(t->len <= HX_TEXT_MAX);
}

static void check_telegram(const struct hx_telegram *t)
{
    static char text[JSON_MAX + 1u];
    struct hx_wr w = {.ptr = (uint8_t *)text, .cap = JSON_MAX};
    MUST(t->list >= 1 && t->list <= 3);
    MUST((unsigned)t->maker > HX_MAKER_NONE && (unsigned)t->maker < HX_MAKER_COUNT);
    MUST((t->measured & ~t->has) == 0 && t->has < 1u << HX_FIELD_COUNT);
    MUST(t->has_identity == (t->list != 1));
    MUST(!t->clock.known || hx_civil_is_valid(&t->clock.local));
    MUST(!t->push_time.known || hx_civil_is_valid(&t->push_time.local));
    check_text(&t->version);
    check_text(&t->id);
    check_text(&t->type);
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++)
        MUST((t->has & 1u << f) || t->value[f] == 0);
    hx_telegram_json(&w, t);
    MUST(w.err == HX_OK);
    text[w.len] = '\0';
    check_json(text);
}

/* ---- runs --------------------------------------------------------------------------------- */

/* A gateway and a fingerprint of what it said. */
struct run {
    struct hx_gateway gw;
    uint64_t print;
    uint32_t events;
    int64_t shown[4];
};

static void mix(struct run *r, uint64_t v)
{
    r->print = (r->print ^ v) * UINT64_C(0x100000001B3); /* FNV-1a */
}

static void check_estimates(struct run *r, unsigned news)
{
    for (unsigned i = 0; i < 4; i++) {
        int64_t wh = hx_energy_wh(&r->gw.state.energy[i]);
        MUST(wh >= r->shown[i] || (news & (HX_NEWS_SWAPPED | HX_NEWS_RESET)));
        r->shown[i] = wh;
    }
}

static void drain(struct run *r)
{
    struct hx_event ev;
    while (hx_gw_next(&r->gw, &ev)) {
        r->events++;
        if (ev.kind == HX_EV_LINK || ev.kind == HX_EV_SAVE)
            continue;
        MUST(*hx_err_text(ev.err) != '\0');
        mix(r, (uint64_t)ev.kind << 8 ^ (uint64_t) - (int)ev.err);
        if (ev.telegram != NULL)
            check_telegram(ev.telegram);
        if (ev.kind != HX_EV_TELEGRAM)
            continue;
        MUST(ev.telegram != NULL && ev.raw.len >= 9 && ev.raw.ptr[0] == 0x7E &&
             ev.raw.ptr[ev.raw.len - 1] == 0x7E);
        for (size_t i = 0; i < ev.raw.len; i++)
            mix(r, ev.raw.ptr[i]);
        check_estimates(r, ev.news);
    }
}

static void start(struct run *r)
{
    hx_gw_init(&r->gw, 0);
    r->print = UINT64_C(0xCBF29CE484222325);
    r->events = 0;
    memset(r->shown, 0, sizeof r->shown);
}

static void feed(struct run *r, const uint8_t *p, size_t n, uint64_t now_ms)
{
    while (n > 0) {
        size_t took = hx_gw_rx(&r->gw, (struct hx_span){p, n}, now_ms);
        drain(r);
        MUST(took > 0 && took <= n);
        p += took;
        n -= took;
    }
}

/* All bytes at one moment, in pieces; the line is quiet after them. */
static void run_cut(struct run *r, const uint8_t *p, size_t n, uint32_t seed, size_t bad)
{
    start(r);
    for (size_t at = 0; at < n;) {
        size_t piece = seed == 0 ? n : 1 + (seed = seed * 1664525u + 1013904223u) % 97u;
        piece = piece < n - at ? piece : n - at;
        if (at <= bad && bad < at + piece)
            piece = at == bad ? 1 : bad - at; /* tell of the line error at its place */
        if (at == bad)
            hx_gw_line_error(&r->gw);
        feed(r, p + at, piece, 0);
        at += piece;
    }
    hx_gw_tick(&r->gw, HX_GW_QUIET_MS);
    drain(r);
}

static size_t save(const struct hx_gateway *g, uint8_t out[HX_GW_SAVED_MAX])
{
    struct hx_wr w = {.ptr = out, .cap = HX_GW_SAVED_MAX};
    hx_gw_save(g, &w);
    MUST(w.err == HX_OK);
    return w.len;
}

/* As on a real line: 2400 baud, 240 octets a second, a pause after each piece. */
static void run_timed(struct run *r, const uint8_t *p, size_t n, uint32_t seed)
{
    static struct hx_gateway other;
    static uint8_t saved[HX_GW_SAVED_MAX], again[HX_GW_SAVED_MAX];
    uint64_t now_ms = 0;
    size_t len;
    start(r);
    for (size_t at = 0; at < n;) {
        size_t piece = 1 + (seed = seed * 1664525u + 1013904223u) / 65536u % 512u;
        piece = piece < n - at ? piece : n - at;
        now_ms += piece * 1000u / 240u;
        feed(r, p + at, piece, now_ms);
        at += piece;
        now_ms += seed % 4u == 0 ? 3600000u : 2000u;
        hx_gw_tick(&r->gw, now_ms);
        drain(r);
        MUST(hx_gw_deadline_ms(&r->gw) > now_ms);
    }
    len = save(&r->gw, saved); /* as before a power cut: made out ahead */
    hx_gw_init(&other, now_ms);
    MUST(hx_gw_load(&other, (struct hx_span){saved, len}) == HX_OK);
    for (unsigned i = 0; i < 4; i++)
        MUST(hx_energy_wh(&other.state.energy[i]) >= hx_energy_wh(&r->gw.state.energy[i]));
    hx_gw_end(&r->gw);
    len = save(&r->gw, saved);
    hx_gw_init(&other, now_ms);
    MUST(hx_gw_load(&other, (struct hx_span){saved, len}) == HX_OK);
    MUST(save(&other, again) == len && memcmp(saved, again, len) == 0);
    for (unsigned i = 0; i < 4; i++)
        MUST(hx_energy_wh(&other.state.energy[i]) == hx_energy_wh(&r->gw.state.energy[i]));
}

static void check_stream(const uint8_t *p, size_t n)
{
    static struct run whole, cut;
    static uint8_t a[HX_GW_SAVED_MAX], b[HX_GW_SAVED_MAX];
    uint32_t seed = 2166136261u;
    size_t bad, len;
    for (size_t i = 0; i < n; i++)
        seed = (seed ^ p[i]) * 16777619u;
    bad = seed % 4u == 0 ? seed / 4u % (n + 1) : n; /* a line error in every fourth input */
    run_cut(&whole, p, n, 0, bad);
    run_cut(&cut, p, n, seed | 1u, bad);
    MUST(whole.print == cut.print);
    MUST(memcmp(whole.gw.state.drops, cut.gw.state.drops, sizeof cut.gw.state.drops) == 0);
    MUST(whole.gw.state.telegrams == cut.gw.state.telegrams);
    MUST(whole.gw.state.bytes == n && cut.gw.state.bytes == n);
    MUST(memcmp(&whole.gw.regs.main, &cut.gw.regs.main, sizeof cut.gw.regs.main) == 0);
    len = save(&whole.gw, a);
    MUST(save(&cut.gw, b) == len && memcmp(a, b, len) == 0);
    run_timed(&cut, p, n, seed | 1u);
}

/* ---- checksums set right ------------------------------------------------------------------ */

static void put_crc(uint8_t *p, size_t n)
{
    uint16_t crc = hx_crc_x25((struct hx_span){p, n});
    p[n] = (uint8_t)crc;
    p[n + 1] = (uint8_t)(crc >> 8);
}

/* One frame at p[0], a flag. @return its octets without the closing flag; 1 where none begins. */
static size_t repair_frame(uint8_t *p, size_t n)
{
    size_t len, head = 3;
    if (n < 12 || (p[1] & 0xF0u) != 0xA0u)
        return 1;
    len = (size_t)(p[1] & 7u) << 8 | p[2];
    if (len < 7 || len + 2 > n)
        return 1;
    for (int address = 0; address < 2; address++) {
        while (head < len && !(p[head] & 1u))
            head++;
        head++;
    }
    head++; /* control */
    if (head + 4 > len)
        return 1;
    put_crc(p + 1, head - 1);
    put_crc(p + 1, len - 2);
    p[len + 1] = 0x7E;
    return len + 1;
}

static size_t repair(uint8_t *p, size_t n)
{
    size_t frames = 0;
    for (size_t at = 0; at < n;) {
        size_t step = p[at] == 0x7E ? repair_frame(p + at, n - at) : 1;
        frames += step > 1;
        at += step;
    }
    return frames;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[INPUT_MAX];
    size = size < INPUT_MAX ? size : INPUT_MAX;
    check_stream(data, size);
    if (size > 0)
        memcpy(copy, data, size);
    if (repair(copy, size) > 0)
        check_stream(copy, size);
    return 0;
}
