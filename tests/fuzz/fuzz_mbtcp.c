/* fuzz_mbtcp.c - any octets as a Modbus TCP stream. However they are cut, the answers are the same,
 * one for each whole frame of our protocol, and well formed. */
#include <stdlib.h>
#include <string.h>

#include "hx/modbus.h"

#define REQUIRE(x) ((x) ? (void)0 : __builtin_trap())
#define IN_MAX 4096u

struct gateway {
    struct hx_state state;
    struct hx_registers regs;
    struct hx_mb_device dev;
    struct hx_mbtcp conn;
    struct hx_wr answers;
    uint8_t room[IN_MAX * 32u]; /* the shortest frame, 8 octets, asks for at most 259 */
};
static struct gateway whole, pieces;

static void fresh(struct gateway *g)
{
    memset(&g->state, 0, sizeof g->state);
    g->state.scale = HX_SCALE_DEFAULT;
    hx_registers_render(&g->regs, &g->state);
    g->dev = (struct hx_mb_device){&g->state, &g->regs, 1, false, true};
    g->answers = (struct hx_wr){.ptr = g->room, .cap = sizeof g->room};
    hx_mbtcp_init(&g->conn);
}

/* Feed octets from a block of exactly their size, with room for little more than one answer. */
static enum hx_err feed(struct gateway *g, const uint8_t *data, size_t n, size_t room)
{
    uint8_t *block = malloc(n > 0 ? n : 1), out[3 * HX_MBTCP_ADU_MAX];
    enum hx_err err;
    REQUIRE(block != NULL);
    memcpy(block, data, n);
    struct hx_span in = {block, n};
    do {
        struct hx_wr w = {.ptr = out, .cap = room};
        struct hx_mb_write wrote;
        err = hx_mbtcp_feed(&g->conn, &g->dev, &in, &w, &wrote);
        REQUIRE(wrote.done == (err == HX_OK));
        REQUIRE(!wrote.done || wrote.scale == g->state.scale);
        REQUIRE(err != HX_MORE || in.len == 0);
        REQUIRE(w.len <= w.cap);
        hx_wr_bytes(&g->answers, out, w.len);
    } while (err == HX_OK || err == HX_E_SPACE);
    free(block);
    return err;
}

static enum hx_err feed_cut(struct gateway *g, const uint8_t *data, size_t n)
{
    enum hx_err err = HX_MORE;
    uint32_t seed =
        (uint32_t)n * 2654435761u; /* cuts differ with the length, and can be repeated */
    for (size_t at = 0; at < n && err == HX_MORE;) {
        seed = seed * 1664525u + 1013904223u;
        size_t step = 1u + (seed >> 24) % (n < 64 ? 5u : 97u);
        step = step < n - at ? step : n - at;
        err = feed(g, data + at, step, HX_MBTCP_ADU_MAX + (seed >> 16) % HX_MBTCP_ADU_MAX);
        at += step;
    }
    return err;
}

/* Frames of protocol 0 that the stream holds before it ends or breaks. */
static unsigned count_requests(const uint8_t *p, size_t n, bool *broken)
{
    unsigned frames = 0;
    *broken = false;
    while (n >= 6) {
        size_t len = (size_t)p[4] << 8 | p[5];
        if (len < 2 || len > 254) {
            *broken = true;
            break;
        }
        if (n < 6 + len)
            break;
        frames += p[2] == 0 && p[3] == 0;
        p += 6 + len;
        n -= 6 + len;
    }
    return frames;
}

static unsigned count_answers(const uint8_t *p, size_t n)
{
    unsigned frames = 0;
    for (; n > 0; frames++) {
        REQUIRE(n >= 9 && p[2] == 0 && p[3] == 0);
        size_t len = (size_t)p[4] << 8 | p[5];
        REQUIRE(len >= 3 && len <= 254 && 6 + len <= n);
        bool exception = (p[7] & 0x80u) != 0;
        REQUIRE(!exception || (len == 3 && p[8] > 0));
        REQUIRE(exception || (p[7] != 3 && p[7] != 4) || len == 3u + p[8]);
        p += 6 + len;
        n -= 6 + len;
    }
    return frames;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    bool broken;
    if (n > IN_MAX)
        return 0;
    fresh(&whole);
    fresh(&pieces);
    enum hx_err a = feed(&whole, data, n, 3 * HX_MBTCP_ADU_MAX), b = feed_cut(&pieces, data, n);
    unsigned requests = count_requests(data, n, &broken);
    REQUIRE(a == (broken ? HX_E_VALUE : HX_MORE) && a == b);
    REQUIRE(whole.answers.err == HX_OK && whole.answers.len == pieces.answers.len);
    REQUIRE(memcmp(whole.room, pieces.room, whole.answers.len) == 0);
    REQUIRE(count_answers(whole.room, whole.answers.len) == requests);
    REQUIRE(whole.state.scale == pieces.state.scale);
    REQUIRE(whole.state.scale >= HX_SCALE_MIN && whole.state.scale <= HX_SCALE_MAX);
    return 0;
}
