/* network_plan.h - what the [network] settings ask for: checked, as one line, as a networkd file.
 * In:     settings, or the line that passes between the gateway and its root helper.
 * Out:    a plan; the line; the text of a .network file.
 * State:  none; pure. The gateway and the helper (network_helper.c) share it, so that what one
 *         accepts the other does too.
 * Source: systemd.network(5). networkd takes an address that cannot work without a word
 *         (measured, version 252): the checks are ours. */
#ifndef HX_NETWORK_PLAN_H
#define HX_NETWORK_PLAN_H

#include "hx/settings.h"

#define HX_NET_DNS_MAX 8u      /* name servers: as many as fit network.dns */
#define HX_NET_LINE_MAX 320u   /* octets of a plan as a line */
#define HX_NET_FILE_MAX 1024u  /* octets of a .network file */
#define HX_NET_ADDRESS_MAX 20u /* "255.255.255.255/32" and NUL */

/** Addresses are numbers, the first octet highest: 192.168.1.232 is 0xC0A801E8. */
struct hx_net_plan {
    bool manage; /* false: this machine's network is not ours to set */
    bool dhcp;
    uint8_t prefix;
    uint8_t dns_count;
    uint32_t address; /* kept in DHCP mode too, for the way back; then without effect */
    uint32_t gateway; /* 0 none */
    uint32_t dns[HX_NET_DNS_MAX];
    char hostname[64];
};

/** Take the [network] settings.
 * @param[out] id, why  on HX_E_VALUE: the setting, and what is wrong with it beside the others.
 * @return HX_OK; HX_E_VALUE @p out is untouched. Nothing is wrong while network.manage is no. */
enum hx_err hx_net_plan_from(const struct hx_settings *s, struct hx_net_plan *out,
                             enum hx_setting_id *id, const char **why);
/** The other way: put @p plan into the [network] settings.
 * @return HX_OK; HX_E_VALUE the settings do not allow a value of it: @p s has those before it. */
enum hx_err hx_net_plan_settings(const struct hx_net_plan *plan, struct hx_settings *s);
/** @return true when both have the same effect on the machine. */
bool hx_net_plan_same(const struct hx_net_plan *a, const struct hx_net_plan *b);

/** One line without line end: "yes static 192.168.1.232/24 192.168.1.1 - han2x": manage, mode,
 * address, gateway, name servers separated by commas, host name; - for none. */
void hx_net_plan_format(struct hx_wr *w, const struct hx_net_plan *plan);
/** @param[out] why  on HX_E_VALUE, in words.
 * @return HX_OK; HX_E_VALUE @p out is untouched: not such a line, or a plan that cannot work. */
enum hx_err hx_net_plan_parse(struct hx_span line, struct hx_net_plan *out, const char **why);

/** Write the .network file for a plan that manages.
 * @param interface  name of the one interface it is for; "" means all wired ones. */
void hx_net_plan_file(struct hx_wr *w, const struct hx_net_plan *plan, const char *interface);

/** Write the address with prefix: "192.168.1.232/24"; "" for DHCP and unmanaged. */
void hx_net_plan_address(const struct hx_net_plan *plan, char out[HX_NET_ADDRESS_MAX]);
/** @return true and the number of a dotted quad without leading zeros. "::ffff:a.b.c.d" too. */
bool hx_net_ipv4(const char *text, uint32_t *out);

#endif
