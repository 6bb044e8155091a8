/* network_commit.h - change the network, and come back when nobody reaches the new address.
 * In:     wanted plans, the helper's answers, confirmations, time.
 * Out:    the plan that the machine should have; what to write.
 * State:  struct hx_net_commit, owned by the caller. Pure: time is an argument.
 *
 *            change, to be confirmed            answer: done
 *   IDLE ─────────────────────────────▶ APPLYING ───────────▶ WAITING ── confirmed ──▶ IDLE
 *    │ ▲                                   │ refused, 10 s       │ 120 s
 *    │ │ answer: done                      ▼                     ▼
 *    │ └──────────────────────────────── SETTING ◀───────────────┘  the old plan again
 *    └── change by hand, start ────────────▲ └ no answer: asked again each minute
 *
 * A process that ends in between goes on where it was. After a power cut the old plan comes back
 * at once: pulling the plug is what people do with a box that they cannot reach. */
#ifndef HX_NETWORK_COMMIT_H
#define HX_NETWORK_COMMIT_H

#include "network_plan.h"

#define HX_NET_APPLY_MS 10000u    /* "within 10 s": device manual, chapter on the network */
#define HX_NET_CONFIRM_MS 120000u /* long enough to find the new address with a phone */
#define HX_NET_RETRY_MS 60000u
#define HX_NET_SAVED_MAX 1280u /* octets of the saved state */
#define HX_NET_BOOT_MAX 40u    /* "01234567-89ab-…" of the kernel, and NUL */

enum hx_net_phase { HX_NET_IDLE, HX_NET_APPLYING, HX_NET_WAITING, HX_NET_SETTING };

struct hx_net_commit {
    enum hx_net_phase phase;
    struct hx_net_plan kept;    /* confirmed, or set by hand */
    struct hx_net_plan tried;   /* APPLYING, WAITING */
    struct hx_net_plan refused; /* came back from it, and the settings file still says it */
    bool has_kept, has_refused;
    uint64_t until_ms; /* APPLYING, WAITING, SETTING: when patience ends */
    /* to be done by the caller, who clears them */
    bool send;      /* ask the helper for hx_net_commit_now */
    bool save;      /* hx_net_commit_save */
    bool came_back; /* put kept into the settings file, then hx_net_commit_settled */
};

/** Begin. @p saved  of hx_net_commit_save; empty: none.
 * @param boot  which start of the machine this is, as the kernel calls it.
 * @return HX_OK; HX_E_VALUE the saved text was not ours: gone on without it. */
enum hx_err hx_net_commit_start(struct hx_net_commit *c, struct hx_span saved, const char *boot,
                                const struct hx_net_plan *want, uint64_t now_ms);
/** Other settings. @param confirm  come back unless confirmed; false: they were set by hand. */
void hx_net_commit_change(struct hx_net_commit *c, const struct hx_net_plan *want, bool confirm,
                          uint64_t now_ms);
/** The helper's answer to the newest request. */
void hx_net_commit_answer(struct hx_net_commit *c, bool done, uint64_t now_ms);
/** Somebody reached us. @param local  the address that the call came in at.
 * @return HX_OK kept, or nothing to confirm; HX_MORE not applied yet; HX_E_VALUE it came in at an
 *         address that is not the new one. */
enum hx_err hx_net_commit_confirm(struct hx_net_commit *c, const char *local);
/** Time passed. @return true when a wait ended just now: nobody confirmed, or no answer came. */
bool hx_net_commit_tick(struct hx_net_commit *c, uint64_t now_ms);
/** The settings file says what kept says: nothing to remember of the refused plan. */
void hx_net_commit_settled(struct hx_net_commit *c);

/** @return the plan that the machine should have now. */
const struct hx_net_plan *hx_net_commit_now(const struct hx_net_commit *c);
/** @return true when a confirmation is waited for, or will be. */
bool hx_net_commit_pending(const struct hx_net_commit *c);
/** @return whole seconds, rounded up, until the old plan comes back; 0 when none is pending. */
uint32_t hx_net_commit_left_s(const struct hx_net_commit *c, uint64_t now_ms);
/** Write what must outlive the process: lines of text. */
void hx_net_commit_save(const struct hx_net_commit *c, const char *boot, struct hx_wr *w);

#endif
