/* fuzz_mqtt_in.c - what a broker sends, as far as we read it: first octet: length of the topic,
 * then topic and payload. Home Assistant counts as online exactly when its topic says so. */
#include "mqtt_in.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hx_mqtt_config config = {.ha_prefix = "ha", .homeassistant = true};
    static const struct hx_mqtt_config off = {.ha_prefix = "ha", .homeassistant = false};
    size_t topic_len = size > 0 ? data[0] : 0, rest = size > 0 ? size - 1u : 0;
    uint8_t *topic, *payload;
    bool online, want;

    topic_len = topic_len < rest ? topic_len : rest;
    topic = malloc(topic_len != 0 ? topic_len : 1u); /* exact: a read beyond shows */
    payload = malloc(rest != topic_len ? rest - topic_len : 1u);
    if (topic != NULL && payload != NULL) {
        memcpy(topic, data + (size > 0 ? 1 : 0), topic_len);
        memcpy(payload, data + (size > 0 ? 1 : 0) + topic_len, rest - topic_len);
        online =
            hx_mqtt_incoming(&config, (struct hx_span){topic, topic_len},
                             (struct hx_span){payload, rest - topic_len}) == HX_MQTT_IN_HA_ONLINE;
        want = topic_len == 9 && rest - topic_len == 6 && memcmp(topic, "ha/status", 9) == 0 &&
               memcmp(payload, "online", 6) == 0;
        if (online != want)
            abort();
        if (hx_mqtt_incoming(&off, (struct hx_span){topic, topic_len},
                             (struct hx_span){payload, rest - topic_len}) != HX_MQTT_IN_NOTHING)
            abort();
    }
    free(topic);
    free(payload);
    return 0;
}
