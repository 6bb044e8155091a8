/* fuzz_state.c - any saved state. The input runs as it is, and once more with its last line made
 * right, so that the lines before it are believed. What must hold for any input:
 *   - what is refused has changed nothing;
 *   - what is accepted can be saved, loaded and saved again to the same octets;
 *   - the gateway runs on from it: telegrams, ticks, registers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hx/crc.h"
#include "hx/gateway.h"

#include "vectors.h"

#define INPUT_MAX 4096u
#define TAIL_MAX 16u
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t save(const struct hx_gateway *g, uint8_t out[HX_GW_SAVED_MAX])
{
    struct hx_wr w = {.ptr = out, .cap = HX_GW_SAVED_MAX};
    hx_gw_save(g, &w);
    MUST(w.err == HX_OK);
    return w.len;
}

static void check_sane(const struct hx_gateway *g)
{
    const struct hx_state *s = &g->state;
    MUST(s->scale >= HX_SCALE_MIN && s->scale <= HX_SCALE_MAX);
    MUST((unsigned)s->meter.maker < HX_MAKER_COUNT);
    MUST(s->meter.version.len <= HX_TEXT_MAX && s->meter.id.len <= HX_TEXT_MAX &&
         s->meter.type.len <= HX_TEXT_MAX);
    for (unsigned i = 0; i < 4; i++)
        MUST(hx_energy_wh(&s->energy[i]) >= 0);
}

/* An hour of telegrams, two of each kind; estimates never fall but with news. */
static void run_on(struct hx_gateway *g)
{
    uint64_t now_ms = g->state.now_ms;
    for (size_t i = 0; i < NORWAY_COUNT; i += 9) {
        struct hx_span in = norway[i].bytes;
        now_ms += 10000;
        while (in.len > 0) {
            struct hx_event ev;
            int64_t before = hx_energy_wh(&g->state.energy[0]);
            size_t took = hx_gw_rx(g, in, now_ms);
            while (hx_gw_next(g, &ev))
                MUST(hx_energy_wh(&g->state.energy[0]) >= before ||
                     (ev.news & (HX_NEWS_SWAPPED | HX_NEWS_RESET)));
            in = (struct hx_span){in.ptr + took, in.len - took};
        }
    }
    hx_gw_tick(g, now_ms + 1000);
    check_sane(g);
}

static void check_load(const uint8_t *p, size_t n)
{
    static struct hx_gateway g, before;
    static uint8_t first[HX_GW_SAVED_MAX], second[HX_GW_SAVED_MAX];
    size_t len;
    enum hx_err e;
    memset(&g, 0, sizeof g);
    hx_gw_init(&g, 1000);
    memcpy(&before, &g, sizeof g);
    e = hx_gw_load(&g, (struct hx_span){p, n});
    if (e != HX_OK) {
        MUST(e == HX_E_LEN || e == HX_E_FCS || e == HX_E_VALUE);
        MUST(memcmp(&before, &g, sizeof g) == 0);
        return;
    }
    check_sane(&g);
    len = save(&g, first);
    hx_gw_init(&before, 1000);
    MUST(hx_gw_load(&before, (struct hx_span){first, len}) == HX_OK);
    MUST(save(&before, second) == len && memcmp(first, second, len) == 0);
    run_on(&g);
    len = save(&g, first);
    MUST(hx_gw_load(&before, (struct hx_span){first, len}) == HX_OK);
}

/* Put the right last line behind everything up to the last line. */
static size_t repair(uint8_t *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    uint16_t crc;
    while (n > 0 && p[n - 1] == '\n')
        n--;
    while (n > 0 && p[n - 1] != '\n')
        n--;
    memcpy(p + n, "end ", 4);
    n += 4;
    crc = hx_crc_x25((struct hx_span){p, n});
    for (unsigned shift = 16; shift > 0; shift -= 4)
        p[n++] = (uint8_t)hex[crc >> (shift - 4) & 15];
    p[n++] = '\n';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[INPUT_MAX + TAIL_MAX];
    if (size > INPUT_MAX)
        return 0;
    check_load(data, size);
    if (size > 0)
        memcpy(copy, data, size);
    check_load(copy, repair(copy, size));
    return 0;
}
