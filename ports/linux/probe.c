/* probe.c - see probe.h. */
#include "probe.h"

/* 2400 first: the NVE annexes give it for every maker. */
static const uint32_t bauds[] = {2400, 9600, 115200};
static const enum hx_parity parities[] = {HX_PARITY_NONE, HX_PARITY_EVEN};

static void add(struct hx_probe *p, uint32_t baud, enum hx_parity parity)
{
    HX_ASSERT(p->count < HX_PROBE_MAX);
    p->candidate[p->count++] = (struct hx_line){.baud = baud, .parity = parity, .stop_bits = 1};
}

void hx_probe_init(struct hx_probe *p, uint32_t baud, enum hx_parity parity)
{
    size_t baud_count = baud != 0 ? 1 : sizeof bauds / sizeof bauds[0];
    size_t parity_count = parity != HX_PARITY_AUTO ? 1 : sizeof parities / sizeof parities[0];

    *p = (struct hx_probe){0};
    for (size_t b = 0; b < baud_count; b++)
        for (size_t q = 0; q < parity_count; q++)
            add(p, baud != 0 ? baud : bauds[b], parity != HX_PARITY_AUTO ? parity : parities[q]);
}

const struct hx_line *hx_probe_line(const struct hx_probe *p)
{
    return &p->candidate[p->now];
}

void hx_probe_restart(struct hx_probe *p)
{
    p->octets = 0;
    p->errors = 0;
}

void hx_probe_rx(struct hx_probe *p, uint32_t octets, uint32_t errors, uint64_t now_ms)
{
    if (p->octets == 0)
        p->first_ms = now_ms;
    /* Counts only feed thresholds far below this: a flood must not wrap them. */
    if (p->octets < UINT32_MAX / 2u && octets < UINT32_MAX / 2u) {
        p->octets += octets;
        p->errors += errors;
    }
}

bool hx_probe_good(struct hx_probe *p)
{
    bool news = !p->found;

    p->found = true;
    p->tried = 0;
    hx_probe_restart(p);
    return news;
}

static bool is_refuted(const struct hx_probe *p, uint64_t now_ms)
{
    uint64_t waited = now_ms - p->first_ms;

    if (p->octets == 0) /* a silent line says nothing about its setting */
        return false;
    if (p->found)
        return waited >= HX_PROBE_LOST_MS && p->octets >= HX_PROBE_LOST_OCTETS;
    if (p->octets >= HX_PROBE_ERROR_OCTETS && p->errors >= p->octets / HX_PROBE_ERROR_SHARE)
        return true;
    return waited >= HX_PROBE_WAIT_MS;
}

bool hx_probe_step(struct hx_probe *p, uint64_t now_ms)
{
    if (!is_refuted(p, now_ms))
        return false;
    p->found = false;
    if (p->tried < p->count)
        p->tried++;
    p->now = (uint8_t)((p->now + 1u) % p->count);
    hx_probe_restart(p);
    return p->count > 1u;
}

bool hx_probe_is_exhausted(const struct hx_probe *p)
{
    return p->tried >= p->count;
}
