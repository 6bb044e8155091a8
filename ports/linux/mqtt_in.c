/* mqtt_in.c - see mqtt_in.h. */
#include "mqtt_in.h"

#include <string.h>

static bool is_text(struct hx_span s, const void *text, size_t len)
{
    return s.len == len && (len == 0 || memcmp(s.ptr, text, len) == 0);
}

void hx_mqtt_ha_status_name(struct hx_wr *w, const struct hx_mqtt_config *config)
{
    hx_wr_str(w, config->ha_prefix);
    hx_wr_str(w, "/status");
}

enum hx_mqtt_incoming hx_mqtt_incoming(const struct hx_mqtt_config *config, struct hx_span topic,
                                       struct hx_span payload)
{
    uint8_t name[HX_MQTT_NAME_MAX];
    struct hx_wr w = {.ptr = name, .cap = sizeof name};

    if (!config->homeassistant)
        return HX_MQTT_IN_NOTHING;
    hx_mqtt_ha_status_name(&w, config);
    if (w.err == HX_OK && is_text(topic, name, w.len) && is_text(payload, "online", 6))
        return HX_MQTT_IN_HA_ONLINE;
    return HX_MQTT_IN_NOTHING;
}
