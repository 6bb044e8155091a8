/* mdns.h - announces this gateway on the local network and finds the others (DNS-SD by Avahi).
 * In:     what to announce.  Out: a bounded list of other gateways.
 * State:  struct hx_mdns, opaque, with a thread of its own. Everything may fail without harm: no
 *         Avahi, no D-Bus, either restarted. The gateway thread never waits for it.
 * Source: RFC 6763 (names, TXT); service types _han2x, _http, _modbus over TCP. */
#ifndef HX_MDNS_H
#define HX_MDNS_H

#include "hx/base.h"
#include "hx/settings.h"
#include "hx/state.h"

#define HX_MDNS_PEERS 64u

/** What is announced. Fill with hx_mdns_config. */
struct hx_mdns_config {
    char name[64];        /* of the instance, as people see it; at most 63 octets: RFC 6763 4.1.1 */
    uint16_t web_port;    /* pages over HTTP, 0 none */
    uint16_t tls_port;    /* pages over HTTPS, 0 none */
    uint16_t modbus_port; /* 0 none */
    uint32_t number;      /* device number */
    char maker[16];       /* of the meter; "unknown" before it is known */
    bool simulated;
};
/** What @p s and the state say. Services that listen on loopback alone are left out. */
void hx_mdns_config(const struct hx_settings *s, const struct hx_state *state,
                    struct hx_mdns_config *out);

/** Another gateway. */
struct hx_mdns_peer {
    char name[64];    /* instance */
    char host[128];   /* "han2x.local" */
    char address[48]; /* IPv4 or IPv6, as text; IPv6 link-local with %interface */
    uint16_t port;    /* of its pages */
    bool tls;         /* that port speaks HTTPS */
    char number[12], maker[16], version[16]; /* of its TXT; "" when not told */
};

/** Copy a name: at most @p max - 1 octets, and no character cut in two. NUL-terminated. */
void hx_mdns_copy(char *out, size_t max, const char *from);
/** What another's TXT says under @p key: printable ASCII, cut to @p max - 1 octets; else "".
 * @param item  "key=value", as it came. */
void hx_mdns_txt_value(struct hx_span item, const char *key, char *out, size_t max);

struct hx_mdns;

/** Start the thread. @return HX_OK; HX_E_IO logged. */
enum hx_err hx_mdns_open(const struct hx_mdns_config *config, struct hx_mdns **out);
/** Announce this from now on; the same costs nothing. Gateway thread. */
void hx_mdns_set(struct hx_mdns *m, const struct hx_mdns_config *config);
/** Copy the others, ordered by name, this gateway left out. Any thread. @p m may be NULL.
 * @return how many, at most HX_MDNS_PEERS. */
size_t hx_mdns_peers(struct hx_mdns *m, struct hx_mdns_peer out[HX_MDNS_PEERS]);
/** @return true when Avahi has taken the announcement. Any thread. */
bool hx_mdns_is_announced(struct hx_mdns *m);
/** End, waiting up to @p wait_ms. @return true when @p m is gone; false: the thread still hangs in
 * a call, the process must end. */
bool hx_mdns_close(struct hx_mdns *m, unsigned wait_ms);

#endif
