/* mdns_config.c - what settings and state announce, and texts of others; see mdns.h. */
#include "mdns.h"

#include "network_plan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void hx_mdns_copy(char *out, size_t max, const char *from)
{
    size_t n = strlen(from);

    if (n >= max) {
        n = max - 1u;
        while (n > 0 && ((unsigned char)from[n] & 0xC0u) == 0x80u)
            n--;
    }
    memcpy(out, from, n);
    out[n] = '\0';
}

void hx_mdns_txt_value(struct hx_span item, const char *key, char *out, size_t max)
{
    size_t skip = strlen(key), len;

    out[0] = '\0';
    if (item.len <= skip || item.ptr[skip] != '=' ||
        strncasecmp((const char *)item.ptr, key, skip) != 0) /* RFC 6763 6.4: case counts not */
        return;
    item = (struct hx_span){item.ptr + skip + 1u, item.len - skip - 1u};
    for (size_t i = 0; i < item.len; i++)
        if (item.ptr[i] < 0x20 || item.ptr[i] > 0x7E)
            return;
    len = item.len < max ? item.len : max - 1u;
    memcpy(out, item.ptr, len);
    out[len] = '\0';
}

static bool is_loopback(const char *listen)
{
    uint32_t v4;

    return strcmp(listen, "::1") == 0 || (hx_net_ipv4(listen, &v4) && v4 >> 24 == 127);
}

static uint16_t port(const struct hx_settings *s, enum hx_setting_id enabled,
                     enum hx_setting_id listen, enum hx_setting_id number)
{
    if (s->num[enabled] == 0 || is_loopback(s->text[listen]))
        return 0;
    return (uint16_t)s->num[number];
}

void hx_mdns_config(const struct hx_settings *s, const struct hx_state *state,
                    struct hx_mdns_config *out)
{
    const char *name = s->text[HX_S_DEVICE_NAME];

    memset(out, 0, sizeof *out);
    if (*name != '\0')
        hx_mdns_copy(out->name, sizeof out->name, name);
    else
        (void)snprintf(out->name, sizeof out->name, "HAN2X %u", (unsigned)state->device_number);
    out->web_port = port(s, HX_S_WEB_ENABLED, HX_S_WEB_LISTEN, HX_S_WEB_PORT);
    out->tls_port = port(s, HX_S_WEB_ENABLED, HX_S_WEB_LISTEN, HX_S_WEB_TLS_PORT);
    out->modbus_port =
        port(s, HX_S_MODBUS_TCP_ENABLED, HX_S_MODBUS_TCP_LISTEN, HX_S_MODBUS_TCP_PORT);
    out->number = state->device_number;
    out->simulated = state->simulated;
    hx_mdns_copy(out->maker, sizeof out->maker, hx_maker_name(state->meter.maker));
}
