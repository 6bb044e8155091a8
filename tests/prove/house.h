/* house.h - what a household draws and feeds, known exactly: power in steps, energy as an integer.
 * In:     time.  Out: W and VAr of the moment, and their integral in mJ (W × ms is exactly mJ).
 * State:  struct house, owned by the caller; the same seed gives the same household. */
#ifndef PROVE_HOUSE_H
#define PROVE_HOUSE_H

#include <stdbool.h>
#include <stdint.h>

#define HOUSE_LOADS 8u

struct house {
    uint64_t random;
    int64_t now_ms, next_ms; /* UTC; next_ms: something is switched */
    bool solar;
    int64_t power[4]; /* import, export, reactive import, reactive export */
    uint64_t energy_mj[4];
    struct {
        int64_t next_ms;
        bool on;
        int32_t w, var;
    } load[HOUSE_LOADS];
};

uint64_t house_random(uint64_t *state);
/** @return low … high, both included. */
int64_t house_between(uint64_t *state, int64_t low, int64_t high);
void house_init(struct house *h, uint64_t seed, int64_t now_ms, bool solar);
/** Live up to @p now_ms. */
void house_pass(struct house *h, int64_t now_ms);
/** Time passes over a house that stands still: nothing is drawn, nothing is switched. */
void house_skip(struct house *h, int64_t ms);

#endif
