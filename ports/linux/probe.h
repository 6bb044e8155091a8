/* probe.h - finds a meter line's speed and parity from what comes in. Pure: no tty, no clock.
 * In:     counts of octets, line errors and good frames, and the time.
 * Out:    the line setting to try next, and when one has been found.
 * State:  struct hx_probe, owned by the caller.
 * Source: no maker states the parity of the Norwegian port, and receivers report both 8N1 and 8E1:
 *         a right frame checksum decides, not a document. A receiver set to the wrong parity sees
 *         an error in every octet of even weight, about half of them.
 *
 *   SEEK ─ good frame ─▶ FOUND ─ long without one ─▶ SEEK
 *     └─ refuted: next candidate, round and round */
#ifndef HX_PROBE_H
#define HX_PROBE_H

#include "tty.h"

#define HX_PROBE_MAX 6u /* 2400, 9600, 115200 × 8N1, 8E1 */

/* Refuted by errors: at least so many octets of which at least one in eight had an error. Noise on
 * a right setting hits single octets; a wrong one hits half of them. */
#define HX_PROBE_ERROR_OCTETS 24u
#define HX_PROBE_ERROR_SHARE 8u
/* Refuted by silence of good frames: lists come at least every 10 s, so 25 s hold two whole ones.
 */
#define HX_PROBE_WAIT_MS 25000u
/* A setting that was right is given up only after this long with octets but no good frame. */
#define HX_PROBE_LOST_MS 60000u
#define HX_PROBE_LOST_OCTETS 200u

struct hx_probe {
    struct hx_line candidate[HX_PROBE_MAX];
    uint8_t count, now; /* candidates; the one in use */
    bool found;
    uint32_t tried;          /* candidates refuted since the last good frame */
    uint32_t octets, errors; /* since the candidate was taken up or the last good frame */
    uint64_t first_ms;       /* of the first of these octets */
};

/** @param baud    the setting, 0 = find it.
 *  @param parity  the setting, HX_PARITY_AUTO = find it. */
void hx_probe_init(struct hx_probe *p, uint32_t baud, enum hx_parity parity);
/** @return the line setting to use now. */
const struct hx_line *hx_probe_line(const struct hx_probe *p);
/** Octets came in, @p errors of them with a parity or framing error. */
void hx_probe_rx(struct hx_probe *p, uint32_t octets, uint32_t errors, uint64_t now_ms);
/** A frame with a right checksum came. @return true when this settles the search. */
bool hx_probe_good(struct hx_probe *p);
/** Judge the candidate. @return true when another one is to be used from now on. */
bool hx_probe_step(struct hx_probe *p, uint64_t now_ms);
/** @return true when every candidate has been refuted since the last good frame. */
bool hx_probe_is_exhausted(const struct hx_probe *p);
/** The device was opened anew: counts start again, the candidate stays. */
void hx_probe_restart(struct hx_probe *p);

#endif
