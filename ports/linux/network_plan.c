/* network_plan.c - see network_plan.h. */
#include "network_plan.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define QUAD_MAX 16u /* "255.255.255.255" and NUL */
#define WORDS 6u     /* of a plan's line */

static struct hx_span span_str(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

/* --- texts and numbers --- */

static const char *quad_text(uint32_t address, char out[QUAD_MAX])
{
    (void)snprintf(out, QUAD_MAX, "%u.%u.%u.%u", address >> 24, address >> 16 & 0xFFu,
                   address >> 8 & 0xFFu, address & 0xFFu);
    return out;
}

/* Dotted quad of a span; inet_pton(3) takes no leading zeros and no short forms. */
static bool quad(struct hx_span s, uint32_t *out)
{
    char text[QUAD_MAX];
    struct in_addr a;

    if (s.len >= sizeof text || memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    *out = ntohl(a.s_addr);
    return true;
}

bool hx_net_ipv4(const char *text, uint32_t *out)
{
    static const char mapped[] = "::ffff:"; /* IPv4 on an IPv6 socket: RFC 4291 2.5.5.2 */

    if (strncmp(text, mapped, sizeof mapped - 1u) == 0)
        text += sizeof mapped - 1u;
    return quad(span_str(text), out);
}

/* The part of @p s up to @p sep, which goes too. */
static struct hx_span cut(struct hx_span *s, char sep)
{
    const uint8_t *at = s->len != 0 ? memchr(s->ptr, sep, s->len) : NULL;
    struct hx_span part = {s->ptr, at != NULL ? (size_t)(at - s->ptr) : s->len};
    size_t gone = part.len + (at != NULL ? 1u : 0u);

    *s = (struct hx_span){s->ptr + gone, s->len - gone};
    return part;
}

static bool is_text(struct hx_span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static bool address_of(struct hx_span s, struct hx_net_plan *plan)
{
    struct hx_span host = cut(&s, '/');
    unsigned prefix = 0;

    if (s.len < 1 || s.len > 2 || s.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        prefix = prefix * 10u + (unsigned)(s.ptr[i] - '0');
    }
    plan->prefix = (uint8_t)prefix;
    return prefix <= 32 && quad(host, &plan->address);
}

static bool servers_of(struct hx_span s, char sep, struct hx_net_plan *plan)
{
    if (s.len > (size_t)hx_setting_row(HX_S_NETWORK_DNS)->max)
        return false; /* settings could not hold it */
    if (sep != ' ' && s.len != 0 && s.ptr[s.len - 1u] == (uint8_t)sep)
        return false; /* cut takes a last one silently */
    while (s.len != 0) {
        struct hx_span one = cut(&s, sep);

        if (one.len == 0 && sep == ' ')
            continue; /* two blanks */
        if (plan->dns_count == HX_NET_DNS_MAX || !quad(one, &plan->dns[plan->dns_count]))
            return false;
        plan->dns_count++;
    }
    return true;
}

/* One label: RFC 1123 2.1. What goes into /etc/hostname and a networkd file must be no more. */
static bool hostname_of(struct hx_span s, struct hx_net_plan *plan)
{
    if (s.len < 1 || s.len >= sizeof plan->hostname || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i], letter = c | 0x20u;

        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    memcpy(plan->hostname, s.ptr, s.len);
    return true;
}

/* --- what can work --- */

static bool is_host(uint32_t address)
{
    uint32_t first = address >> 24;

    return first >= 1 && first <= 223 && first != 127;
}

static uint32_t hosts_mask(unsigned prefix)
{
    return prefix < 32u ? UINT32_MAX >> prefix : 0;
}

/* All zeros is the network, all ones everybody; a /31 has neither (RFC 3021). */
static bool is_end(uint32_t address, unsigned prefix)
{
    uint32_t hosts = hosts_mask(prefix);

    return prefix < 31u && ((address & hosts) == 0 || (address & hosts) == hosts);
}

static const char *fault_of_address(const struct hx_net_plan *p)
{
    if (!is_host(p->address))
        return "not the address of a host";
    if (p->prefix < 8) /* 10.0.0.0/8 is the largest network that a site may have: RFC 1918 */
        return "the prefix is shorter than 8 bits";
    if (is_end(p->address, p->prefix))
        return "the network's own or its broadcast address, no host's";
    return NULL;
}

static const char *fault_of_gateway(const struct hx_net_plan *p)
{
    uint32_t net = ~hosts_mask(p->prefix);

    if (p->gateway == 0)
        return NULL;
    if (p->gateway == p->address)
        return "the gateway is this device's own address";
    if (!is_host(p->gateway) || ((p->gateway ^ p->address) & net) != 0)
        return "the gateway is outside the network of the address";
    if (is_end(p->gateway, p->prefix))
        return "the gateway is the network's own or its broadcast address";
    return NULL;
}

static const char *fault_of_dns(const struct hx_net_plan *p)
{
    for (unsigned i = 0; i < p->dns_count; i++)
        if (p->dns[i] >> 24 != 127 && !is_host(p->dns[i])) /* a resolver of our own is fine */
            return "a name server is not the address of a host";
    return NULL;
}

/* @return what is wrong in words, and where; NULL nothing. */
static const char *fault(const struct hx_net_plan *p, enum hx_setting_id *id)
{
    const char *why;

    if (!p->manage)
        return NULL;
    if (!p->dhcp) {
        *id = HX_S_NETWORK_ADDRESS;
        why = fault_of_address(p);
        if (why != NULL)
            return why;
        *id = HX_S_NETWORK_GATEWAY;
        why = fault_of_gateway(p);
        if (why != NULL)
            return why;
    }
    *id = HX_S_NETWORK_DNS;
    return fault_of_dns(p);
}

/* --- settings --- */

enum hx_err hx_net_plan_from(const struct hx_settings *s, struct hx_net_plan *out,
                             enum hx_setting_id *id, const char **why)
{
    struct hx_net_plan plan;
    const char *gateway = s->text[HX_S_NETWORK_GATEWAY];

    memset(&plan, 0, sizeof plan); /* compared as octets */
    plan.manage = s->num[HX_S_NETWORK_MANAGE] != 0;
    plan.dhcp = s->num[HX_S_NETWORK_MODE] == HX_NET_DHCP;
    *why = NULL;
    if (*id = HX_S_NETWORK_ADDRESS, !address_of(span_str(s->text[*id]), &plan))
        *why = "not an IPv4 address with its prefix length";
    else if (*id = HX_S_NETWORK_GATEWAY,
             *gateway != '\0' && !quad(span_str(gateway), &plan.gateway))
        *why = "not an IPv4 address";
    else if (*id = HX_S_NETWORK_DNS, !servers_of(span_str(s->text[*id]), ' ', &plan))
        *why = "not up to 8 IPv4 addresses";
    else if (*id = HX_S_NETWORK_HOSTNAME, !hostname_of(span_str(s->text[*id]), &plan))
        *why = "not a host name";
    if (*why == NULL)
        *why = fault(&plan, id);
    if (*why != NULL)
        return HX_E_VALUE;
    *out = plan;
    return HX_OK;
}

enum hx_err hx_net_plan_settings(const struct hx_net_plan *plan, struct hx_settings *s)
{
    char address[HX_NET_ADDRESS_MAX], gateway[QUAD_MAX] = "", one[QUAD_MAX];
    char dns[HX_NET_DNS_MAX * QUAD_MAX + 1u] = "";
    const struct {
        enum hx_setting_id id;
        const char *text;
    } all[] = {
        {HX_S_NETWORK_MANAGE, plan->manage ? "yes" : "no"},
        {HX_S_NETWORK_MODE, plan->dhcp ? "dhcp" : "static"},
        {HX_S_NETWORK_ADDRESS, address},
        {HX_S_NETWORK_GATEWAY, gateway},
        {HX_S_NETWORK_DNS, dns},
        {HX_S_NETWORK_HOSTNAME, plan->hostname},
    };
    size_t n = 0;

    (void)snprintf(address, sizeof address, "%s/%u", quad_text(plan->address, one), plan->prefix);
    if (plan->gateway != 0)
        (void)quad_text(plan->gateway, gateway);
    for (unsigned i = 0; i < plan->dns_count; i++)
        n += (size_t)snprintf(dns + n, sizeof dns - n, "%s%s", i > 0 ? " " : "",
                              quad_text(plan->dns[i], one));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (hx_settings_set(s, all[i].id, span_str(all[i].text)) != HX_OK)
            return HX_E_VALUE;
    return HX_OK;
}

/* --- effect --- */

static struct hx_net_plan effect(const struct hx_net_plan *plan)
{
    struct hx_net_plan e;

    memset(&e, 0, sizeof e); /* padding too: compared as octets */
    if (!plan->manage)
        return e;
    memcpy(&e, plan, sizeof e);
    if (plan->dhcp) {
        e.address = e.gateway = 0;
        e.prefix = 0;
    } else if (plan->dns_count == 0 && plan->gateway != 0) {
        e.dns[0] = plan->gateway; /* "empty means the router": network.dns */
        e.dns_count = 1;
    }
    return e;
}

bool hx_net_plan_same(const struct hx_net_plan *a, const struct hx_net_plan *b)
{
    struct hx_net_plan ea = effect(a), eb = effect(b);

    return memcmp(&ea, &eb, sizeof ea) == 0;
}

void hx_net_plan_address(const struct hx_net_plan *plan, char out[HX_NET_ADDRESS_MAX])
{
    char one[QUAD_MAX];

    out[0] = '\0';
    if (plan->manage && !plan->dhcp)
        (void)snprintf(out, HX_NET_ADDRESS_MAX, "%s/%u", quad_text(plan->address, one),
                       (unsigned)plan->prefix);
}

/* --- the line --- */

static void put_servers(struct hx_wr *w, const struct hx_net_plan *plan)
{
    char one[QUAD_MAX];

    for (unsigned i = 0; i < plan->dns_count; i++) {
        hx_wr_str(w, i > 0 ? "," : "");
        hx_wr_str(w, quad_text(plan->dns[i], one));
    }
    if (plan->dns_count == 0)
        hx_wr_str(w, "-");
}

void hx_net_plan_format(struct hx_wr *w, const struct hx_net_plan *plan)
{
    char one[QUAD_MAX];

    hx_wr_str(w, plan->manage ? "yes " : "no ");
    hx_wr_str(w, plan->dhcp ? "dhcp " : "static ");
    hx_wr_str(w, quad_text(plan->address, one));
    hx_wr_str(w, "/");
    hx_wr_int(w, plan->prefix);
    hx_wr_str(w, " ");
    hx_wr_str(w, plan->gateway != 0 ? quad_text(plan->gateway, one) : "-");
    hx_wr_str(w, " ");
    put_servers(w, plan);
    hx_wr_str(w, " ");
    hx_wr_str(w, plan->hostname);
}

static bool words_of(struct hx_span line, struct hx_span word[WORDS])
{
    for (unsigned i = 0; i < WORDS; i++) {
        word[i] = cut(&line, ' ');
        if (word[i].len == 0)
            return false;
    }
    return line.len == 0;
}

static bool plan_of(const struct hx_span word[WORDS], struct hx_net_plan *plan)
{
    plan->manage = is_text(word[0], "yes");
    plan->dhcp = is_text(word[1], "dhcp");
    return (plan->manage || is_text(word[0], "no")) && (plan->dhcp || is_text(word[1], "static")) &&
           address_of(word[2], plan) && (is_text(word[3], "-") || quad(word[3], &plan->gateway)) &&
           (is_text(word[4], "-") || servers_of(word[4], ',', plan)) && hostname_of(word[5], plan);
}

enum hx_err hx_net_plan_parse(struct hx_span line, struct hx_net_plan *out, const char **why)
{
    struct hx_span word[WORDS] = {
        {NULL, 0}}; /* for the analyser: all are set where they are read */
    struct hx_net_plan plan;
    enum hx_setting_id id;

    memset(&plan, 0, sizeof plan);
    if (!words_of(line, word) || !plan_of(word, &plan)) {
        *why = "not a plan for the network";
        return HX_E_VALUE;
    }
    *why = fault(&plan, &id);
    if (*why != NULL)
        return HX_E_VALUE;
    *out = plan;
    return HX_OK;
}

/* --- the file --- */

static void put_pair(struct hx_wr *w, const char *key, const char *value)
{
    hx_wr_str(w, key);
    hx_wr_str(w, "=");
    hx_wr_str(w, value);
    hx_wr_str(w, "\n");
}

static void put_match(struct hx_wr *w, const char *interface)
{
    hx_wr_str(w, "# Written by han2x from its [network] settings: change them there.\n[Match]\n");
    if (*interface != '\0') {
        put_pair(w, "Name", interface);
        return;
    }
    put_pair(w, "Type", "ether");
    put_pair(w, "Kind", "!*"); /* hardware only: no bridges, VLANs, containers */
}

/* An address and no cable yet: services that listen on one address find it (they start faster than
 * most switches after a power cut). */
static void put_static(struct hx_wr *w, const struct hx_net_plan *p)
{
    char text[HX_NET_ADDRESS_MAX], one[QUAD_MAX];

    hx_net_plan_address(p, text);
    put_pair(w, "DHCP", "no");
    put_pair(w, "Address", text);
    if (p->gateway != 0)
        put_pair(w, "Gateway", quad_text(p->gateway, one));
    put_pair(w, "LinkLocalAddressing", "ipv6");
    put_pair(w, "ConfigureWithoutCarrier", "yes");
}

/* yes: an IPv4 link-local address while no DHCP server answers (systemd.network(5)), so that the
 * box is found by its .local name on a bare cable too. */
static void put_dhcp(struct hx_wr *w)
{
    put_pair(w, "DHCP", "ipv4");
    put_pair(w, "LinkLocalAddressing", "yes");
}

/* The MAC as identifier: routers' address reservations go by it. */
static void put_dhcp_options(struct hx_wr *w, const struct hx_net_plan *p)
{
    hx_wr_str(w, "\n[DHCPv4]\n");
    put_pair(w, "ClientIdentifier", "mac");
    put_pair(w, "Hostname", p->hostname);
    put_pair(w, "UseHostname", "no");
    if (p->dns_count != 0)
        put_pair(w, "UseDNS", "no");
}

void hx_net_plan_file(struct hx_wr *w, const struct hx_net_plan *plan, const char *interface)
{
    struct hx_net_plan e = effect(plan);
    char one[QUAD_MAX];

    put_match(w, interface);
    hx_wr_str(w, "\n[Network]\n");
    if (e.dhcp)
        put_dhcp(w);
    else
        put_static(w, &e);
    for (unsigned i = 0; i < e.dns_count; i++)
        put_pair(w, "DNS", quad_text(e.dns[i], one));
    if (e.dhcp)
        put_dhcp_options(w, &e);
}
