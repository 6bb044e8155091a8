/* network.h - sets this machine's network where network.manage is yes, and takes it back when
 * nobody reaches the new address.
 * In:     settings, confirmations, the root helper's answers.  Out: requests to the helper, a
 *         settings file put right again, a status for pages.
 * State:  struct hx_network, opaque. Files in the state folder: `network` (what was confirmed and
 *         what is tried), `network.request` (read by the helper). Disk work goes to the worker.
 *
 *   settings ─ change ─▶ network_commit ─ request ─▶ han2x-network (root) ─▶ systemd-networkd
 *                             ▲ ▲────── /run/han2x-network/result ─┘
 *               confirm (web) ┘
 * Without the helper's package nothing happens but a line in the log. */
#ifndef HX_NETWORK_H
#define HX_NETWORK_H

#include "config.h"
#include "network_commit.h"
#include "network_request.h"
#include "worker.h"

#define HX_NET_RESULT "/run/han2x-network/result"
#define HX_NET_REQUEST_FILE "network.request"

struct hx_network;

/** How it stands. */
struct hx_network_status {
    bool manage;
    enum hx_net_phase phase;
    bool pending;         /* the old settings come back in remaining_s unless confirmed */
    uint32_t remaining_s; /* 0 when not pending */
    /* "192.168.1.232/24"; empty for DHCP and where the network is not ours to set */
    char old_address[HX_NET_ADDRESS_MAX];
    char new_address[HX_NET_ADDRESS_MAX]; /* the same when none is pending */
    char error[HX_NET_WHY];               /* last failure in words, English; "" none */
};

/** @param config  where settings come from; @param dir  state folder; @param worker  for the disk:
 *                all must outlive it.
 * @param s  settings in use.
 * @return HX_OK; HX_E_IO logged. */
enum hx_err hx_network_open(const struct config_source *config, const char *dir,
                            struct hx_worker *worker, const struct hx_settings *s, uint64_t now_ms,
                            struct hx_network **out);
/** Before a page's settings reach the settings file: keep the way back, so that no power cut can
 * leave new settings without one. Any thread but the gateway's: it waits for the disk, 2 s at most
 * for other writers. @p n may be NULL. Nothing is written when [network] stays as it is.
 * @param[out] why  in words unless HX_OK. @return HX_OK; HX_E_IO: do not change the file. */
enum hx_err hx_network_prepare(struct hx_network *n, const struct hx_settings *s,
                               char why[HX_NET_WHY]);
/** What was prepared does not come. Any thread. @p n may be NULL. */
void hx_network_give_up(struct hx_network *n);
/** Gateway thread: other settings are in use. Cheap when [network] is the same.
 * @param confirm  they came from a page: come back unless confirmed; false: from the file. */
void hx_network_change(struct hx_network *n, const struct hx_settings *s, bool confirm,
                       uint64_t now_ms);
/** Gateway thread, each second.
 * @return true when the settings file was put right again: load it as on SIGHUP. */
bool hx_network_tick(struct hx_network *n, uint64_t now_ms);
/** The new address works. Any thread.
 * @param local  address that the call came in at, as text without port (of getsockname); NULL when
 *               not known: then it counts once the new settings are in force.
 * @param[out] why  in words unless HX_OK.
 * @return HX_OK kept, or nothing was pending; HX_MORE not applied yet: ask again; HX_E_VALUE the
 *         call came in at another address than the new one. */
enum hx_err hx_network_confirm(struct hx_network *n, const char *local, char why[HX_NET_WHY]);
/** A copy. Any thread. @p n may be NULL: all zero. */
void hx_network_status(struct hx_network *n, uint64_t now_ms, struct hx_network_status *out);
/** Call after the worker has ended. */
void hx_network_close(struct hx_network *n);

/** This machine's addresses now, without loopback, as text; IPv4 first. Any thread.
 * @return how many of @p max there are. */
size_t hx_network_addresses(char (*out)[48], size_t max);

#endif
