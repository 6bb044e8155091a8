/* hx/continuity.h - does a telegram follow from the ones before it?
 * In:     decoded telegrams of one meter, and the time.  Out: yes, or wait for a second one.
 * State:  struct hx_continuity, owned by the caller; all zeros is "nothing seen yet".
 * Source: docs/decisions/0003. A checksum of 16 bits lets one damaged telegram in 65,536 through;
 *         what it then changes is nearly always a high digit, the list's shape or the date. */
#ifndef HX_CONTINUITY_H
#define HX_CONTINUITY_H

#include "hx/lists.h"

/** The most that a household draws: main fuse 63 A, three phases, 240 V, and a fifth above. */
#define HX_PLAUSIBLE_W 54432u
/** A clock may be so far off at once: an hour for summer time or an hour's list that is sent once
 * more, another for a list that comes late, and two minutes. */
#define HX_CLOCK_SLACK_S 7320

/** One of a meter's clocks: the date-time of its telegrams, or that of its hourly lists. */
struct hx_clock_memory {
    struct hx_cosem_time last, claim; /* not known: none yet */
    uint64_t last_ms, claim_ms;
};

struct hx_continuity {
    uint16_t odd;      /* bit per hx_field: the newest telegram was odd there */
    uint16_t seen;     /* fields whose decimals are known */
    uint16_t shape[4]; /* fields of the newest list 1, 2, 3; 0 not known */
    int8_t decimals[HX_FIELD_COUNT];
    struct hx_clock_memory push, clock;
};

/** Judge a telegram of the same meter, and remember it.
 * Odd is: a field missing or new in its list; a value with other decimals than before; a power or
 * current above HX_PLAUSIBLE_W or 75.6 A, a power both ways at once, a voltage that is neither 0
 * nor 230 V within 15 %; a clock that is more than two hours from where it should be, or has
 * another form or a weekday that slipped. What was odd in the same way in the telegram before is
 * not odd any more.
 * @param scale  the scale setting in 1/1000: limits of power and current grow with it.
 * @return true when it follows; false when a second one has to agree. */
bool hx_continuity_follows(struct hx_continuity *c, const struct hx_telegram *t, uint32_t scale,
                           uint64_t now_ms);

#endif
