/* han_scenes.c - faults of a HAN line that are no noise: endless streams, another speed or parity,
 * another meter, silence. Prints one JSON line a scene; line.py judges.
 *
 *   {"scene", "believed": telegrams believed during the fault, "link": verdict at its end,
 *    "next": undamaged telegrams after it until one was believed, 0 when none of twenty was} */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "han_bits.h"
#include "hx/gateway.h"
#include "sim.h"

#define START_UTC_S 1792800000
#define TRIES 20u
#define STREAM_OCTETS (1u << 20)
#define OCTETS_PER_S 218u /* 2400 baud, 11 bits */
#define BITS_MAX 16384u
#define IDLE_BITS 32u

static struct hx_gateway gw;
static uint64_t now_ms;
static uint64_t seed = 1;

static uint8_t chance(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint8_t)(seed >> 56);
}

static void start_meter(struct hx_sim *sim, enum hx_maker maker)
{
    struct hx_sim_config config = {maker, HX_GRID_4WIRE, 7, START_UTC_S + (int64_t)(now_ms / 1000u),
                                   true};
    if (hx_sim_init(sim, &config) != HX_OK)
        abort();
}

static unsigned drain(void)
{
    struct hx_event ev;
    unsigned believed = 0;
    while (hx_gw_next(&gw, &ev))
        believed += ev.kind == HX_EV_TELEGRAM;
    return believed;
}

/* Octets as they come at 2400 baud. */
static unsigned feed(struct hx_span in)
{
    unsigned believed = 0;
    while (in.len > 0) {
        size_t piece = in.len < OCTETS_PER_S ? in.len : OCTETS_PER_S;
        size_t took = hx_gw_rx(&gw, (struct hx_span){in.ptr, piece}, now_ms);
        believed += drain();
        in.ptr += took;
        in.len -= took;
        if (took > 0)
            now_ms += took * 1000u / OCTETS_PER_S;
    }
    return believed;
}

static unsigned pass_ms(uint64_t ms)
{
    unsigned believed = 0;
    for (uint64_t end = now_ms + ms; now_ms < end;) {
        now_ms += 500u;
        hx_gw_tick(&gw, now_ms);
        believed += drain();
    }
    return believed;
}

static unsigned send_next(struct hx_sim *sim)
{
    struct hx_sim_telegram t;
    unsigned believed;
    hx_sim_next(sim, &t);
    believed = feed(t.bytes);
    return believed + pass_ms(t.wait_ms);
}

static void warm_up(struct hx_sim *sim, enum hx_maker maker)
{
    now_ms = 0;
    hx_gw_init(&gw, 0);
    start_meter(sim, maker);
    for (unsigned i = 0; i < 50u; i++)
        if (send_next(sim) == 0)
            abort();
}

static void report(const char *scene, const char *maker, unsigned believed, struct hx_sim *sim)
{
    const char *link = hx_link_text(gw.state.link);
    unsigned next = 0;
    for (unsigned i = 1; i <= TRIES && next == 0; i++)
        if (send_next(sim) > 0)
            next = i;
    printf("{\"scene\":\"%s\",\"maker\":\"%s\",\"believed\":%u,\"link\":\"%s\",\"next\":%u}\n",
           scene, maker, believed, link, next);
}

/* ---- endless streams ------------------------------------------------------------------------ */

static uint8_t octet_of(const char *stream, size_t i)
{
    static const uint8_t longest[] = {0x7E, 0xA7, 0xFF, 0x41, 0x08, 0x83, 0x13};
    if (strcmp(stream, "flags") == 0)
        return 0x7E;
    if (strcmp(stream, "zeros") == 0)
        return 0;
    if (strcmp(stream, "ones") == 0)
        return 0xFF;
    if (strcmp(stream, "headers of the longest frame") == 0)
        return longest[i % sizeof longest];
    return chance();
}

static void stream(const char *name, enum hx_maker maker)
{
    static struct hx_sim sim;
    static uint8_t octets[4096];
    unsigned believed = 0;
    char scene[80];
    warm_up(&sim, maker);
    for (size_t sent = 0; sent < STREAM_OCTETS; sent += sizeof octets) {
        for (size_t i = 0; i < sizeof octets; i++)
            octets[i] = octet_of(name, sent + i);
        believed += feed((struct hx_span){octets, sizeof octets});
    }
    start_meter(&sim, maker); /* the meter's clock went on */
    believed += pass_ms(1000);
    (void)snprintf(scene, sizeof scene, "1 MiB of %s", name);
    report(scene, hx_maker_name(maker), believed, &sim);
}

/* ---- another speed or parity ----------------------------------------------------------------- */

/* A receiver whose bits last num/den of the sender's, with or without parity. */
static unsigned receive(const uint8_t *bits, size_t n, unsigned num, unsigned den, int parity)
{
    unsigned frame = parity >= 0 ? 11u : 10u, believed = 0;
    size_t count = n * den / num;
    for (size_t i = 0; i + frame < count;) {
        uint8_t b = 0;
        int sum = 0;
        if (bits[i * num / den] != 0) {
            i++;
            continue;
        }
        for (unsigned k = 0; k < 8u; k++) {
            uint8_t bit = bits[(i + 1u + k) * num / den];
            b |= (uint8_t)(bit << k);
            sum ^= bit;
        }
        if (bits[(i + frame - 1u) * num / den] == 0 ||
            (parity >= 0 && bits[(i + 9u) * num / den] != (sum ^ parity)))
            hx_gw_line_error(&gw);
        believed += feed((struct hx_span){&b, 1});
        i += frame;
    }
    return believed;
}

static const struct wrong_line {
    const char *scene;
    bool sent_parity;
    unsigned num, den; /* the receiver's bit is num/den of the sender's */
    int parity;        /* the receiver's: -1 none, 0 even, 1 odd */
} wrong_lines[] = {
    {"sent 8E1, read 8N1", true, 1, 1, -1},        {"sent 8N1, read 8E1", false, 1, 1, 0},
    {"sent 8E1, read 8O1", true, 1, 1, 1},         {"2400 baud read at 1200", true, 2, 1, 0},
    {"2400 baud read at 4800", true, 1, 2, 0},     {"2400 baud read at 9600", true, 1, 4, -1},
    {"2400 baud read at 115200", true, 1, 48, -1},
};

static void misread(const struct wrong_line *w, enum hx_maker maker)
{
    static struct hx_sim sim;
    static uint8_t bits[BITS_MAX];
    unsigned believed = 0;
    warm_up(&sim, maker);
    for (unsigned i = 0; i < 30u; i++) {
        struct hx_sim_telegram t;
        hx_sim_next(&sim, &t);
        believed += receive(bits, han_bits(t.bytes, w->sent_parity, IDLE_BITS, bits), w->num,
                            w->den, w->parity);
        believed += pass_ms(t.wait_ms);
    }
    report(w->scene, hx_maker_name(maker), believed, &sim);
}

/* ---- silence, another meter -------------------------------------------------------------------
 */

static void silence(enum hx_maker maker)
{
    static struct hx_sim sim;
    unsigned believed;
    warm_up(&sim, maker);
    believed = pass_ms(3600000);
    start_meter(&sim, maker);
    report("an hour of silence", hx_maker_name(maker), believed, &sim);
}

static void swap(enum hx_maker maker, enum hx_maker other)
{
    static struct hx_sim sim;
    char scene[80];
    warm_up(&sim, maker);
    start_meter(&sim, other);
    (void)snprintf(scene, sizeof scene, "%s's meter takes its place", hx_maker_name(other));
    report(scene, hx_maker_name(maker), 0, &sim);
}

int main(void)
{
    static const char *const streams[] = {"flags", "zeros", "ones", "headers of the longest frame",
                                          "chance"};
    static const enum hx_maker makers[] = {HX_MAKER_AIDON, HX_MAKER_KAIFA, HX_MAKER_KAMSTRUP};
    for (size_t m = 0; m < 3u; m++) {
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
            stream(streams[i], makers[m]);
        for (size_t i = 0; i < sizeof wrong_lines / sizeof wrong_lines[0]; i++)
            misread(&wrong_lines[i], makers[m]);
        silence(makers[m]);
        for (size_t other = 0; other < 3u; other++)
            if (other != m)
                swap(makers[m], makers[other]);
    }
    return 0;
}
