/* mqtt_config.h - what the MQTT client takes from the settings.
 * In:     settings, device number.  Out: broker, credentials, topics.  State: none. */
#ifndef HX_MQTT_CONFIG_H
#define HX_MQTT_CONFIG_H

#include "hx/mqtt.h"
#include "hx/settings.h"

#define HX_MQTT_WHY 256u /* octets of a reason in words */

/** Where to connect and as whom. Texts are NUL-terminated, "" for none. */
struct hx_mqtt_link_config {
    char urls[HX_SETTING_TEXT_MAX + 1u];
    uint16_t port;
    char username[HX_SETTING_TEXT_MAX + 1u], password[HX_SETTING_TEXT_MAX + 1u];
    char ca_file[HX_SETTING_TEXT_MAX + 1u];
    char client_cert[HX_SETTING_TEXT_MAX + 1u], client_key[HX_SETTING_TEXT_MAX + 1u];
    char client_id[32];
    char will_topic[200]; /* gets "offline", retained */
};

/** Everything the client takes from the settings. Compared as octets: filled by the function. */
struct hx_mqtt_client_config {
    bool enabled; /* false: the client says goodbye and waits for other settings */
    struct hx_mqtt_link_config link;
    struct hx_mqtt_config mqtt;
    bool sparkplug;        /* on a second connection */
    char sparkplug_id[32]; /* client id of that one */
    uint8_t qos;
    bool retain;
    char timezone[65];
};

void hx_mqtt_client_config(const struct hx_settings *s, uint32_t device_number,
                           struct hx_mqtt_client_config *out);

#endif
