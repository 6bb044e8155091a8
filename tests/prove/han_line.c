/* han_line.c - what a bad HAN line does: damaged telegrams go in, and what is believed is compared
 * with what was sent. Prints one JSON object a run; line.py calls it and judges.
 *
 *   han_line frames MAKER NOISE COUNT SEED   COUNT damaged telegrams, an undamaged one after every
 *                                            eighth, through the whole gateway
 *   han_line passing MAKER NOISE COUNT SEED  COUNT error patterns, of which only those go in that
 *                                            the frame checksum cannot see: what the checks behind
 *                                            it stop
 *   han_line uart MAKER NOISE COUNT SEED FORMAT  the line bit by bit: start, data, parity and stop
 *                                            bits, read by a UART that tells what it saw
 *
 * A telegram that was believed is wrong when anything in it is not as sent: values, digits,
 * identity, the hour of an hourly list. A time of sending that is off by less than two hours is
 * told apart: nothing is reckoned from one alone. Noise: the tables `noises`, `line_noises`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "han_bits.h"
#include "hx/crc.h"
#include "hx/gateway.h"
#include "sim.h"

#define HOURS 200u             /* of telegrams, then they begin again */
#define PER_HOUR 9u            /* list 1, list 2, by turns, and the hourly one */
#define WIRE_MAX 2048u         /* damaged octets of one telegram */
#define START_UTC_S 1792800000 /* 2026-10-23: summer time ends on the third day */
#define PAUSE_MS 400u          /* the line is quiet between telegrams */
#define CLEAN_EVERY 8u
#define LATE_MAX 8u
#define JSON_MAX 2048u

/* ---- chance ------------------------------------------------------------------------------- */

static uint64_t seed;

static uint64_t chance(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(0x2545F4914F6CDD1D);
}

static size_t below(size_t n)
{
    return (size_t)((chance() >> 32) * n >> 32);
}

static double unit(void) /* 0 < u <= 1 */
{
    return ((double)(chance() >> 11) + 1.0) * 0x1p-53;
}

/* ---- what is sent ------------------------------------------------------------------------- */

struct sent {
    uint8_t bytes[HX_SIM_FRAME_MAX];
    size_t len;
    uint64_t at_ms;
    uint8_t list;
};

static struct sent *ring;
static size_t ring_len;

/* Every list of an hour is alike for our purpose but for its values; so that each kind of list is
 * tried equally often, a few of each are kept, at their own times. */
static void fill_ring(enum hx_maker maker)
{
    static struct hx_sim sim;
    struct hx_sim_config config = {maker, HX_GRID_4WIRE, seed, START_UTC_S, true};
    unsigned kept[4] = {0};
    int64_t hour = 0;
    ring = calloc(HOURS * PER_HOUR, sizeof *ring);
    if (ring == NULL || hx_sim_init(&sim, &config) != HX_OK)
        abort();
    while (ring_len < HOURS * PER_HOUR) {
        struct hx_sim_telegram t;
        hx_sim_next(&sim, &t);
        if (t.at_utc_ms / 3600000 != hour) {
            hour = t.at_utc_ms / 3600000;
            memset(kept, 0, sizeof kept);
        }
        if (kept[t.list]++ >= (t.list == 3 ? 1u : 4u))
            continue;
        memcpy(ring[ring_len].bytes, t.bytes.ptr, t.bytes.len);
        ring[ring_len].len = t.bytes.len;
        ring[ring_len].list = t.list;
        ring[ring_len++].at_ms = (uint64_t)(t.at_utc_ms - START_UTC_S * INT64_C(1000)) + 60000u;
    }
}

/* ---- noise: makes the damaged octets of a telegram ------------------------------------------ */

struct wire {
    uint8_t bytes[WIRE_MAX];
    size_t len;
};

static void flip(struct wire *w, size_t bit)
{
    w->bytes[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
}

/* Independent bit errors, at least one. */
static void bit_errors(struct wire *w, double rate)
{
    size_t bits = w->len * 8u;
    double none = pow(1.0 - rate, (double)bits), per = log1p(-rate);
    double at = floor(log(1.0 - unit() * (1.0 - none)) / per);
    while (at < (double)bits) {
        flip(w, (size_t)at);
        at += 1.0 + floor(log(unit()) / per);
    }
}

static void burst(struct wire *w, double bits_max)
{
    size_t len = 2u + below((size_t)bits_max - 1u), at = below(w->len * 8u - len);
    flip(w, at);
    flip(w, at + len - 1u);
    for (size_t i = 1; i + 1u < len; i++)
        if (chance() >> 63)
            flip(w, at + i);
}

static void replace(struct wire *w, double octets_max)
{
    size_t n = 1u + below((size_t)octets_max), at = below(w->len - n);
    for (size_t i = 0; i < n; i++)
        w->bytes[at + i] = (uint8_t)(chance() >> 56);
}

static void stick(struct wire *w, double octets_max)
{
    size_t n = 1u + below((size_t)octets_max), at = below(w->len - n);
    memset(w->bytes + at, chance() >> 63 ? 0xFF : 0, n);
}

static void drop(struct wire *w, double octets_max)
{
    for (size_t n = 1u + below((size_t)octets_max); n > 0; n--) {
        size_t at = below(w->len);
        memmove(w->bytes + at, w->bytes + at + 1, w->len - at - 1u);
        w->len--;
    }
}

static void insert(struct wire *w, double octets_max)
{
    for (size_t n = 1u + below((size_t)octets_max); n > 0; n--) {
        size_t at = below(w->len + 1u);
        memmove(w->bytes + at + 1, w->bytes + at, w->len - at);
        w->bytes[at] = (uint8_t)(chance() >> 56);
        w->len++;
    }
}

static void shift(struct wire *w, double octets_max) /* one lost here, one too many there */
{
    drop(w, octets_max);
    insert(w, octets_max);
}

static void cut(struct wire *w, double unused)
{
    (void)unused;
    w->len = 1u + below(w->len - 1u);
}

/* The rest of another telegram of the same meter: a buffer that was overrun. */
static void splice(struct wire *w, double unused)
{
    const struct sent *other = &ring[below(ring_len)];
    size_t at = 1u + below(w->len - 1u), from = 4u + below(other->len - 4u);
    (void)unused;
    from -= from == at; /* at the same place it would be the other one, whole */
    memcpy(w->bytes + at, other->bytes + from, other->len - from);
    w->len = at + other->len - from;
}

static const struct noise {
    const char *name;
    void (*damage)(struct wire *w, double size);
    double size;
    bool flips; /* changes octets in place: may be asked for as "passing" */
} noises[] = {
    {"ber-1e-5", bit_errors, 1e-5, true},
    {"ber-1e-4", bit_errors, 1e-4, true},
    {"ber-1e-3", bit_errors, 1e-3, true},
    {"ber-1e-2", bit_errors, 1e-2, true},
    {"burst", burst, 64, true},
    {"replaced", replace, 8, true},
    {"stuck", stick, 32, true},
    {"dropped", drop, 3, false},
    {"inserted", insert, 3, false},
    {"shifted", shift, 2, false},
    {"cut", cut, 0, false},
    {"spliced", splice, 0, false},
};

/* ---- what comes out ------------------------------------------------------------------------- */

struct figures {
    uint64_t damaged, clean, clean_read; /* telegrams in; undamaged ones that were believed */
    uint64_t passed;                     /* damaged, checksums right all the same */
    uint64_t same, wrong;                /* of those: believed and as sent; believed and not */
    uint64_t late;      /* undamaged after all, found two to eight telegrams later */
    uint64_t clock_off; /* believed, and only the time of sending is off, < 2 h */
    uint64_t stops[HX_ERR_COUNT];
};

static struct hx_gateway gw;

/* What the octets of an undamaged frame say. */
static void decode(const struct sent *s, struct hx_telegram *t)
{
    static struct hx_hdlc h;
    struct hx_hdlc_frame f;
    struct hx_push push;
    hx_hdlc_init(&h);
    (void)hx_hdlc_push(&h, (struct hx_span){s->bytes, s->len});
    if (hx_hdlc_next(&h, &f) != HX_OK || hx_push_parse(f.info, &push) != HX_OK ||
        hx_telegram_decode(&push, t) != HX_OK)
        abort();
}

static bool is_raw(struct hx_span raw, const struct sent *s)
{
    return raw.len == s->len && memcmp(raw.ptr, s->bytes, s->len) == 0;
}

/* A telegram that lost its closing flag only is whole when the next flag comes, if octets before it
 * did not look like the start of something longer: then some telegrams later. */
static bool is_late(struct hx_span raw, const struct sent *s)
{
    for (size_t back = 2; back <= LATE_MAX && s >= ring + back; back++)
        if (is_raw(raw, s - back))
            return true;
    return false;
}

static bool is_same_values(const struct hx_telegram *a, const struct hx_telegram *b)
{
    return a->maker == b->maker && a->list == b->list && a->grid == b->grid && a->has == b->has &&
           a->measured == b->measured && a->has_identity == b->has_identity &&
           memcmp(a->value, b->value, sizeof a->value) == 0 &&
           memcmp(a->decimals, b->decimals, sizeof a->decimals) == 0 &&
           hx_text_eq(&a->version, &b->version) && hx_text_eq(&a->id, &b->id) &&
           hx_text_eq(&a->type, &b->type);
}

/* A clock that is not known is no wrong one. */
static int64_t clock_off_s(const struct hx_cosem_time *got, const struct hx_cosem_time *sent)
{
    int64_t off = got->known ? hx_civil_to_s(&got->local) - hx_civil_to_s(&sent->local) : 0;
    return off < 0 ? -off : off;
}

enum verdict { SAME, CLOCK_OFF, WRONG };

static enum verdict compare(const struct hx_telegram *got, const struct sent *s)
{
    struct hx_telegram want;
    int64_t push_s, clock_s;
    decode(s, &want);
    push_s = clock_off_s(&got->push_time, &want.push_time);
    clock_s = clock_off_s(&got->clock, &want.clock);
    if (!is_same_values(got, &want) || clock_s != 0 || push_s > HX_CLOCK_SLACK_S)
        return WRONG;
    return push_s == 0 ? SAME : CLOCK_OFF;
}

static void tell(const struct hx_telegram *t, const char *what)
{
    static char text[JSON_MAX];
    struct hx_wr w = {.ptr = (uint8_t *)text, .cap = JSON_MAX - 1u};
    hx_telegram_json(&w, t);
    fprintf(stderr, "%s %.*s\n", what, (int)w.len, text);
}

/* A telegram that is octet for octet none of those that were sent was believed. */
static void judge(struct figures *f, const struct hx_event *ev, const struct sent *s,
                  const struct sent *before)
{
    enum verdict v = compare(ev->telegram, s), of_before = compare(ev->telegram, before);
    struct hx_telegram want;
    f->passed++;
    v = v < of_before ? v : of_before;
    f->same += v == SAME;
    f->clock_off += v == CLOCK_OFF;
    f->wrong += v == WRONG;
    if (v != WRONG || f->wrong > 5)
        return;
    decode(s, &want);
    tell(&want, "sent    ");
    tell(ev->telegram, "believed");
}

/* @return true when @p s itself was believed. */
static bool drain(struct figures *f, const struct sent *s, const struct sent *before)
{
    struct hx_event ev;
    bool read = false;
    while (hx_gw_next(&gw, &ev)) {
        if (ev.kind == HX_EV_DROPPED) {
            f->stops[-(int)ev.err]++;
            f->passed += ev.err <= HX_E_LLC; /* stopped behind the checksums */
        }
        if (ev.kind != HX_EV_TELEGRAM)
            continue;
        if (is_raw(ev.raw, s))
            read = true;
        else if (is_late(ev.raw, s))
            f->late++;
        else if (!is_raw(ev.raw, before))
            judge(f, &ev, s, before);
    }
    return read;
}

static void count_clean(struct figures *f, bool read)
{
    f->clean++;
    f->clean_read += read;
}

/* @return true when @p s itself was believed. */
static bool feed(struct hx_span in, uint64_t now_ms, struct figures *f, const struct sent *s,
                 const struct sent *before)
{
    bool read = false;
    while (in.len > 0) {
        size_t took = hx_gw_rx(&gw, in, now_ms);
        read |= drain(f, s, before);
        in.ptr += took;
        in.len -= took;
    }
    hx_gw_tick(&gw, now_ms + PAUSE_MS);
    return drain(f, s, before) || read;
}

static void feed_clean(struct figures *f, size_t at)
{
    const struct sent *s = &ring[at];
    count_clean(
        f, feed((struct hx_span){s->bytes, s->len}, s->at_ms, f, s, &ring[at > 0 ? at - 1 : 0]));
}

/* A meter that is known, an hour of whose telegrams have come. @return where to go on. */
static size_t warm_up(void)
{
    struct figures f = {0};
    hx_gw_init(&gw, 0);
    for (size_t i = 0; i < 3u * PER_HOUR; i++)
        feed_clean(&f, i);
    if (f.clean_read != f.clean)
        abort(); /* the simulator and the gateway do not agree on an undamaged line */
    return 3u * PER_HOUR;
}

static size_t advance(size_t at)
{
    return at + 1u < ring_len ? at + 1u : warm_up();
}

/* ---- runs ----------------------------------------------------------------------------------- */

static bool make_damaged(const struct noise *n, const struct sent *s, struct wire *w)
{
    memcpy(w->bytes, s->bytes, s->len);
    w->len = s->len;
    n->damage(w, n->size);
    return w->len != s->len || memcmp(w->bytes, s->bytes, s->len) != 0;
}

static void run_frames(const struct noise *n, uint64_t count, struct figures *f)
{
    static struct wire w;
    size_t at = warm_up();
    while (f->damaged < count) {
        const struct sent *s = &ring[at], *before = &ring[at - 1u];
        bool clean = at % (CLEAN_EVERY + 1u) == CLEAN_EVERY;
        if (clean) {
            feed_clean(f, at);
        } else if (make_damaged(n, s, &w)) {
            f->damaged++;
            (void)feed((struct hx_span){w.bytes, w.len}, s->at_ms, f, s, before);
        }
        at = advance(at);
    }
}

/* The damaged octets of ring[at] go in, and the next telegram undamaged. @return where to go on. */
static size_t feed_passing(size_t at, const struct wire *w, struct figures *f)
{
    const struct sent *s = &ring[at];
    (void)feed((struct hx_span){w->bytes, w->len}, s->at_ms, f, s, &ring[at - 1u]);
    at = advance(at);
    feed_clean(f, at);
    return advance(at);
}

/* The checksum is linear: a pattern of flips passes when its own checksum, from 0, is 0. */
static bool is_unseen(const struct wire *w, const struct sent *s)
{
    static uint8_t pattern[HX_SIM_FRAME_MAX];
    size_t first = s->len, last = 0;
    for (size_t i = 1; i + 1u < s->len; i++) {
        pattern[i] = w->bytes[i] ^ s->bytes[i];
        if (pattern[i] != 0) {
            first = first < i ? first : i;
            last = i;
        }
    }
    if (first > last || w->bytes[0] != s->bytes[0] ||
        w->bytes[s->len - 1u] != s->bytes[s->len - 1u])
        return false;
    /* zeros in front and behind change nothing about being 0 */
    return hx_crc_x25_step(0, (struct hx_span){pattern + first, last - first + 1u}) == 0;
}

static void run_passing(const struct noise *n, uint64_t count, struct figures *f)
{
    static struct wire w;
    size_t at = warm_up();
    for (uint64_t i = 0; i < count; i++) {
        if (!make_damaged(n, &ring[at], &w))
            continue;
        f->damaged++;
        if (is_unseen(&w, &ring[at]))
            at = feed_passing(at, &w, f);
    }
}

/* Independent bit errors, the same by weights: X.25 sees every odd number of flips and every two,
 * so only 4, 6, 8 … are drawn, and each draw stands for the damaged telegrams that it was one of.
 */
#define FLIPS_MAX 64u
static struct lengths {
    double share;                /* of all damaged telegrams: those with 4, 6, 8 … flips */
    double upto[FLIPS_MAX / 2u]; /* of these: with at most 4, 6, 8 … */
    uint16_t alone[HX_SIM_FRAME_MAX * 8u]; /* checksum of each bit alone */
} * by_length[HX_SIM_FRAME_MAX];

static struct lengths *prepare(size_t len, double rate)
{
    struct lengths *l = calloc(1, sizeof *l);
    size_t bits = (len - 2u) * 8u; /* between the flags */
    double p = pow(1.0 - rate, (double)bits), none = p, sum = 0;
    uint8_t pattern[HX_SIM_FRAME_MAX] = {0};
    if (l == NULL)
        abort();
    for (size_t k = 1; k < FLIPS_MAX + 4u; k++) {
        p *= (double)(bits - k + 1u) / (double)k * rate / (1.0 - rate);
        if (k >= 4 && k % 2u == 0 && k / 2u - 2u < FLIPS_MAX / 2u)
            l->upto[k / 2u - 2u] = sum += p;
    }
    l->share = sum / (1.0 - none);
    for (size_t i = 0; i < FLIPS_MAX / 2u; i++)
        l->upto[i] /= sum;
    for (size_t bit = 8; bit < bits + 8u; bit++) {
        pattern[bit / 8u] = (uint8_t)(1u << bit % 8u);
        l->alone[bit] = hx_crc_x25_step(0, (struct hx_span){pattern + 1, len - 2u});
        pattern[bit / 8u] = 0;
    }
    return l;
}

/* @return how many flips of distinct bits, in @p at. */
static size_t draw(const struct lengths *l, size_t len, uint16_t at[FLIPS_MAX + 4u])
{
    double u = unit();
    size_t k = 4, n = 0;
    while (k < FLIPS_MAX + 2u && u > l->upto[k / 2u - 2u])
        k += 2;
    while (n < k) {
        uint16_t bit = (uint16_t)(8u + below((len - 2u) * 8u));
        bool again = false;
        for (size_t i = 0; i < n; i++)
            again |= at[i] == bit;
        if (!again)
            at[n++] = bit;
    }
    return k;
}

static void run_passing_errors(double rate, uint64_t count, struct figures *f)
{
    static struct wire w;
    size_t at = warm_up();
    double damaged = 0;
    while (damaged < (double)count) {
        const struct sent *s = &ring[at];
        struct lengths *l = by_length[s->len] != NULL ? by_length[s->len]
                                                      : (by_length[s->len] = prepare(s->len, rate));
        for (unsigned again = 0; again < 1000u; again++) {
            uint16_t flips[FLIPS_MAX + 4u], sum = 0;
            size_t k = draw(l, s->len, flips);
            damaged += 1.0 / l->share;
            for (size_t i = 0; i < k; i++)
                sum ^= l->alone[flips[i]];
            if (sum != 0)
                continue;
            memcpy(w.bytes, s->bytes, s->len);
            w.len = s->len;
            for (size_t i = 0; i < k; i++)
                flip(&w, flips[i]);
            at = feed_passing(at, &w, f);
            s = &ring[at];
            break;
        }
        at = advance(at);
    }
    f->damaged = (uint64_t)damaged;
}

/* ---- the line bit by bit ----------------------------------------------------------------------
 */

#define IDLE_BITS 16u
#define BITS_MAX (HX_SIM_FRAME_MAX * 11u + IDLE_BITS)

static bool parity_even(uint8_t b)
{
    return __builtin_parity(b);
}

static void line_errors(uint8_t *bits, size_t n, double rate)
{
    double none = pow(1.0 - rate, (double)n), per = log1p(-rate);
    double at = floor(log(1.0 - unit() * (1.0 - none)) / per);
    for (; at < (double)n; at += 1.0 + floor(log(unit()) / per))
        bits[(size_t)at] ^= 1u;
}

static void line_burst(uint8_t *bits, size_t n, double bits_max)
{
    size_t len = 2u + below((size_t)bits_max - 1u), at = below(n - len);
    for (size_t i = 0; i < len; i++)
        if (i == 0 || i + 1u == len || chance() >> 63)
            bits[at + i] ^= 1u;
}

static void line_held(uint8_t *bits, size_t n, double bits_max)
{
    size_t len = 2u + below((size_t)bits_max - 1u), at = below(n - len);
    memset(bits + at, (int)(chance() >> 63), len);
}

/* The receiver's clock is a bit ahead or behind for a while: bits are read twice or not at all. */
static void line_slip(uint8_t *bits, size_t n, double bits_max)
{
    for (size_t times = 1u + below((size_t)bits_max); times > 0; times--) {
        size_t at = below(n - 2u);
        if (chance() >> 63)
            memmove(bits + at, bits + at + 1, n - at - 1u);
        else
            memmove(bits + at + 1, bits + at, n - at - 1u);
    }
}

static const struct line_noise {
    const char *name;
    void (*damage)(uint8_t *bits, size_t n, double size);
    double size;
} line_noises[] = {
    {"ber-1e-5", line_errors, 1e-5}, {"ber-1e-4", line_errors, 1e-4},
    {"ber-1e-3", line_errors, 1e-3}, {"ber-1e-2", line_errors, 1e-2},
    {"burst", line_burst, 88},       {"held", line_held, 352},
    {"slip", line_slip, 3},
};

/* What a UART makes of it, fed to the gateway octet by octet with what it saw wrong. */
static void receive(const uint8_t *bits, size_t n, bool parity, uint64_t now_ms, struct figures *f,
                    const struct sent *s, const struct sent *before)
{
    unsigned frame = parity ? 11u : 10u;
    for (size_t i = 0; i + frame <= n;) {
        uint8_t b = 0;
        bool error;
        if (bits[i] != 0) {
            i++;
            continue;
        }
        for (unsigned k = 0; k < 8u; k++)
            b |= (uint8_t)(bits[i + 1u + k] << k);
        error = bits[i + frame - 1u] == 0 || (parity && bits[i + 9u] != parity_even(b));
        if (error)
            hx_gw_line_error(&gw);
        while (hx_gw_rx(&gw, (struct hx_span){&b, 1}, now_ms) == 0)
            (void)drain(f, s, before);
        i += frame;
    }
    hx_gw_tick(&gw, now_ms + PAUSE_MS);
}

static void run_uart(const struct line_noise *noise, bool parity, uint64_t count, struct figures *f)
{
    static uint8_t bits[BITS_MAX], sent_bits[BITS_MAX];
    size_t at = warm_up();
    while (f->damaged < count) {
        const struct sent *s = &ring[at], *before = &ring[at - 1u];
        size_t n = han_bits((struct hx_span){s->bytes, s->len}, parity, IDLE_BITS, bits);
        bool damaged = at % (CLEAN_EVERY + 1u) != CLEAN_EVERY, read;
        if (damaged) {
            memcpy(sent_bits, bits, n);
            noise->damage(bits, n - IDLE_BITS, noise->size);
            damaged = memcmp(bits, sent_bits, n) != 0;
            f->damaged += damaged;
        }
        receive(bits, n, parity, s->at_ms, f, s, before);
        read = drain(f, s, before);
        if (!damaged)
            count_clean(f, read);
        at = advance(at);
    }
}

/* ---- command ----------------------------------------------------------------------------------
 */

static const struct noise *find_noise(const char *name)
{
    for (size_t i = 0; i < sizeof noises / sizeof noises[0]; i++)
        if (strcmp(noises[i].name, name) == 0)
            return &noises[i];
    fprintf(stderr, "han_line: no noise '%s'\n", name);
    exit(2);
}

static const struct line_noise *find_line_noise(const char *name)
{
    for (size_t i = 0; i < sizeof line_noises / sizeof line_noises[0]; i++)
        if (strcmp(line_noises[i].name, name) == 0)
            return &line_noises[i];
    fprintf(stderr, "han_line: no noise '%s' on the line\n", name);
    exit(2);
}

static enum hx_maker find_maker(const char *name)
{
    for (unsigned m = 1; m < HX_MAKER_COUNT; m++)
        if (strcmp(hx_maker_name((enum hx_maker)m), name) == 0)
            return (enum hx_maker)m;
    fprintf(stderr, "han_line: no maker '%s'\n", name);
    exit(2);
}

static void print(const struct figures *f)
{
    printf("{\"damaged\":%llu,\"clean\":%llu,\"clean_read\":%llu,\"passed\":%llu,\"same\":%llu,"
           "\"late\":%llu,\"clock_off\":%llu,\"wrong\":%llu,\"stops\":{",
           (unsigned long long)f->damaged, (unsigned long long)f->clean,
           (unsigned long long)f->clean_read, (unsigned long long)f->passed,
           (unsigned long long)f->same, (unsigned long long)f->late,
           (unsigned long long)f->clock_off, (unsigned long long)f->wrong);
    for (int i = 0, n = 0; i < (int)HX_ERR_COUNT; i++)
        if (f->stops[i] != 0)
            printf("%s\"%s\":%llu", n++ > 0 ? "," : "", hx_err_text((enum hx_err) - i),
                   (unsigned long long)f->stops[i]);
    printf("}}\n");
}

int main(int argc, char **argv)
{
    static struct figures f;
    uint64_t count;
    if (argc < 6) {
        fprintf(stderr, "usage: han_line frames|passing|uart MAKER NOISE COUNT SEED [8E1|8N1]\n");
        return 2;
    }
    count = strtoull(argv[4], NULL, 10);
    seed = strtoull(argv[5], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) | 1u;
    fill_ring(find_maker(argv[2]));
    if (strcmp(argv[1], "frames") == 0)
        run_frames(find_noise(argv[3]), count, &f);
    else if (strcmp(argv[1], "passing") == 0 && find_noise(argv[3])->damage == bit_errors)
        run_passing_errors(find_noise(argv[3])->size, count, &f);
    else if (strcmp(argv[1], "passing") == 0 && find_noise(argv[3])->flips)
        run_passing(find_noise(argv[3]), count, &f);
    else if (strcmp(argv[1], "uart") == 0)
        run_uart(find_line_noise(argv[3]), argc < 7 || strcmp(argv[6], "8E1") == 0, count, &f);
    else
        return 2;
    print(&f);
    return 0;
}
