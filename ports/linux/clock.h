/* clock.h - the two clocks of the port: monotonic for what passes, wall for what is written down.
 * State: none. Source: clock_gettime(2). */
#ifndef HX_CLOCK_H
#define HX_CLOCK_H

#include "hx/base.h"

#include <time.h>

static inline uint64_t hx_clock_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static inline uint64_t hx_clock_ms(void)
{
    return hx_clock_us() / 1000u;
}

/** UTC in ms. A machine without a clock of its own starts in the past: not known before
 * HX_CLOCK_KNOWN_MS. */
static inline int64_t hx_clock_utc_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
#define HX_CLOCK_KNOWN_MS INT64_C(1735689600000) /* 2025-01-01T00:00:00Z */

#endif
