/* continuity.c - see hx/continuity.h */
#include "hx/continuity.h"

#define MAX_MA 75600  /* 63 A and a fifth */
#define MIN_MV 195500 /* 230 V less and more 15 %, what EN 50160 allows for moments */
#define MAX_MV 264500
#define STATUS_DST 0x80u
#define NOT_SENT 0xFFu

/* ---- fields ------------------------------------------------------------------------------- */

static bool is_in_range(uint8_t field, int64_t v, uint32_t scale)
{
    int64_t times = scale > 1000u ? scale : 1000u;
    if (field <= HX_Q_EXPORT)
        return v <= (int64_t)HX_PLAUSIBLE_W * times / 1000;
    if (field <= HX_I_L3)
        return v <= MAX_MA * times / 1000 && v >= -MAX_MA * times / 1000;
    if (field <= HX_U_L3)
        return v == 0 || (v >= MIN_MV && v <= MAX_MV);
    return true; /* energies are judged against the hour before, see meter.c */
}

/* A meter counts the sum of its phases: it is drawn or delivered, not both. */
static uint16_t both_ways(const struct hx_telegram *t, enum hx_field import, enum hx_field export)
{
    if (t->value[import] <= 0 || t->value[export] <= 0)
        return 0;
    return (uint16_t)(1u << import | 1u << export);
}

static uint16_t odd_fields(const struct hx_continuity *c, const struct hx_telegram *t,
                           uint32_t scale)
{
    uint16_t odd = c->shape[t->list] != 0 ? t->has ^ c->shape[t->list] : 0;
    for (uint8_t f = 0; f < HX_FIELD_COUNT; f++) {
        uint16_t bit = (uint16_t)(1u << f);
        if (!(t->has & bit))
            continue;
        if (!is_in_range(f, t->value[f], scale) ||
            ((c->seen & bit) && t->decimals[f] != c->decimals[f]))
            odd |= bit;
    }
    odd |= both_ways(t, HX_P_IMPORT, HX_P_EXPORT);
    odd |= both_ways(t, HX_Q_IMPORT, HX_Q_EXPORT);
    return odd;
}

static bool fields_follow(struct hx_continuity *c, const struct hx_telegram *t, uint32_t scale)
{
    uint16_t odd = odd_fields(c, t, scale);
    bool follows = (odd & ~c->odd) == 0;
    c->odd = (uint16_t)((c->odd & ~(t->has | c->shape[t->list])) | odd);
    return follows;
}

/* ---- clocks ------------------------------------------------------------------------------- */

/* How far the weekday that was sent is from the date's, 0 … 6; NOT_SENT when there is none. Some
 * meters count from Sunday, and one that slips by the same days each time is no sign of damage. */
static uint8_t weekday_slip(const struct hx_cosem_time *t)
{
    int64_t days = hx_civil_to_s(&t->local) / 86400;
    if (t->weekday == NOT_SENT)
        return NOT_SENT;
    return (uint8_t)((t->weekday + 7 - (days + 3) % 7) % 7); /* 1970-01-01 was a Thursday */
}

/* Kaifa's weekday is yesterday's for a while after midnight (vectors kaifa-*-20170913T0000…). */
static bool is_yesterdays(const struct hx_cosem_time *t, uint8_t slip, uint8_t right_slip)
{
    return t->local.hour == 0 && slip != NOT_SENT && right_slip != NOT_SENT &&
           (slip + 1) % 7 == right_slip;
}

static bool weekday_fits(const struct hx_cosem_time *before, const struct hx_cosem_time *t)
{
    uint8_t then = weekday_slip(before), now = weekday_slip(t);
    return now == then || is_yesterdays(t, now, then) || is_yesterdays(before, then, now);
}

/* @p t could be what a clock shows that showed @p before so long ago. */
static bool fits(const struct hx_cosem_time *before, uint64_t before_ms,
                 const struct hx_cosem_time *t, uint64_t now_ms)
{
    int zone = t->deviation_min - before->deviation_min;
    int64_t off;
    if ((zone != 0 && zone != 60 && zone != -60) ||
        ((t->status ^ before->status) & ~STATUS_DST) != 0 ||
        (t->hundredths == NOT_SENT) != (before->hundredths == NOT_SENT))
        return false;
    off = hx_civil_to_s(&t->local) - hx_civil_to_s(&before->local) -
          (int64_t)((now_ms - before_ms) / 1000u);
    return off <= HX_CLOCK_SLACK_S && off >= -HX_CLOCK_SLACK_S && weekday_fits(before, t);
}

static bool clock_follows(struct hx_clock_memory *m, const struct hx_cosem_time *t, uint64_t now_ms)
{
    if (!t->known || !m->last.known || fits(&m->last, m->last_ms, t, now_ms) ||
        (m->claim.known && fits(&m->claim, m->claim_ms, t, now_ms)))
        return true;
    m->claim = *t;
    m->claim_ms = now_ms;
    return false;
}

static void remember_clock(struct hx_clock_memory *m, const struct hx_cosem_time *t,
                           uint64_t now_ms)
{
    if (!t->known)
        return;
    m->last = *t;
    m->last_ms = now_ms;
    m->claim.known = false;
}

/* ---- both --------------------------------------------------------------------------------- */

bool hx_continuity_follows(struct hx_continuity *c, const struct hx_telegram *t, uint32_t scale,
                           uint64_t now_ms)
{
    bool fields = fields_follow(c, t, scale);
    bool push = clock_follows(&c->push, &t->push_time, now_ms);
    bool clock = clock_follows(&c->clock, &t->clock, now_ms);
    if (!fields || !push || !clock)
        return false;
    c->shape[t->list] = t->has;
    c->seen |= t->has;
    for (uint8_t f = 0; f < HX_FIELD_COUNT; f++)
        if (t->has & 1u << f)
            c->decimals[f] = t->decimals[f];
    remember_clock(&c->push, &t->push_time, now_ms);
    remember_clock(&c->clock, &t->clock, now_ms);
    return true;
}
