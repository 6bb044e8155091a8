/* house.c - see house.h */
#include "house.h"

#include <string.h>

/* Splitmix64 (Steele, Lea, Flood 2014). */
uint64_t house_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int64_t house_between(uint64_t *state, int64_t low, int64_t high)
{
    return low + (int64_t)(house_random(state) % (uint64_t)(high - low + 1));
}

/* Seconds that it is on and off, and what it takes while on. */
static const struct {
    int32_t on_s[2], off_s[2], w[2], var[2];
    uint8_t rest_of;   /* one switching off in so many is followed by … */
    int32_t rest_s[2]; /* … this long a rest; 0 never */
} kinds[HOUSE_LOADS] = {
    {{20, 90}, {0, 0}, {150, 600}, {-90, -20}, 0, {0, 0}},        /* light, screens: never off */
    {{300, 1500}, {300, 1800}, {1000, 1000}, {0, 0}, 0, {0, 0}},  /* panel heater */
    {{600, 1200}, {900, 2400}, {90, 90}, {60, 60}, 0, {0, 0}},    /* refrigerator */
    {{15, 60}, {0, 0}, {0, 1800}, {0, 300}, 0, {0, 0}},           /* heat pump, modulating */
    {{60, 200}, {7200, 18000}, {2000, 2000}, {0, 0}, 0, {0, 0}},  /* kettle */
    {{4, 12}, {4, 20}, {1800, 1800}, {0, 0}, 60, {18000, 50000}}, /* stove plate, by the second */
    {{7200, 14400}, {57600, 144000}, {7360, 7360}, {-400, -400}, 0, {0, 0}}, /* car */
    {{10, 40}, {0, 0}, {0, 4500}, {0, 0}, 0, {0, 0}}, /* sun on the roof, clouds */
};
#define SUN (HOUSE_LOADS - 1u)

static int64_t span_ms(struct house *h, const int32_t s[2])
{
    return house_between(&h->random, (int64_t)s[0] * 1000, (int64_t)s[1] * 1000);
}

/* 5 to 17 o'clock UTC, all year: the season does not matter here. */
static bool is_day(int64_t now_ms)
{
    int64_t hour = now_ms / 3600000 % 24;
    return hour >= 5 && hour < 17;
}

static void switch_load(struct house *h, unsigned i)
{
    bool never_off = kinds[i].off_s[1] == 0;
    h->load[i].on = never_off || !h->load[i].on;
    if (!h->load[i].on) {
        h->load[i].w = h->load[i].var = 0;
        h->load[i].next_ms += span_ms(h, kinds[i].off_s);
        if (kinds[i].rest_of != 0 && house_random(&h->random) % kinds[i].rest_of == 0)
            h->load[i].next_ms += span_ms(h, kinds[i].rest_s);
        return;
    }
    h->load[i].w = (int32_t)house_between(&h->random, kinds[i].w[0], kinds[i].w[1]);
    h->load[i].var = (int32_t)house_between(&h->random, kinds[i].var[0], kinds[i].var[1]);
    h->load[i].next_ms += 1 + span_ms(h, kinds[i].on_s);
    if (i == SUN)
        h->load[i].w = h->solar && is_day(h->now_ms) ? -h->load[i].w : 0;
}

static void sum(struct house *h)
{
    int64_t w = 0, var = 0;
    h->next_ms = INT64_MAX;
    for (unsigned i = 0; i < HOUSE_LOADS; i++) {
        w += h->load[i].w;
        var += h->load[i].var;
        if (h->load[i].next_ms < h->next_ms)
            h->next_ms = h->load[i].next_ms;
    }
    h->power[0] = w > 0 ? w : 0;
    h->power[1] = w < 0 ? -w : 0;
    h->power[2] = var > 0 ? var : 0;
    h->power[3] = var < 0 ? -var : 0;
}

void house_init(struct house *h, uint64_t seed, int64_t now_ms, bool solar)
{
    memset(h, 0, sizeof *h);
    h->random = seed;
    h->now_ms = now_ms;
    h->solar = solar;
    for (unsigned i = 0; i < HOUSE_LOADS; i++)
        h->load[i].next_ms = now_ms + house_between(&h->random, 0, 600000);
    sum(h);
}

static void integrate(struct house *h, int64_t now_ms)
{
    for (unsigned i = 0; i < 4; i++)
        h->energy_mj[i] += (uint64_t)(h->power[i] * (now_ms - h->now_ms));
    h->now_ms = now_ms;
}

void house_pass(struct house *h, int64_t now_ms)
{
    while (h->next_ms <= now_ms) {
        integrate(h, h->next_ms);
        for (unsigned i = 0; i < HOUSE_LOADS; i++)
            if (h->load[i].next_ms <= h->now_ms)
                switch_load(h, i);
        sum(h);
    }
    integrate(h, now_ms);
}

void house_skip(struct house *h, int64_t ms)
{
    h->now_ms += ms;
    h->next_ms += ms;
    for (unsigned i = 0; i < HOUSE_LOADS; i++)
        h->load[i].next_ms += ms;
}
