/* mqtt_in.h - what a broker sends us, judged. Pure: topic and payload in, meaning out.
 * State:  none. Source: Home Assistant MQTT integration, "birth message". */
#ifndef HX_MQTT_IN_H
#define HX_MQTT_IN_H

#include "hx/mqtt.h"

enum hx_mqtt_incoming {
    HX_MQTT_IN_NOTHING,   /* not for us, or nothing that we know */
    HX_MQTT_IN_HA_ONLINE, /* Home Assistant started: discovery is due again */
};

/** Write the topic on which Home Assistant announces itself: `<prefix>/status`. */
void hx_mqtt_ha_status_name(struct hx_wr *w, const struct hx_mqtt_config *config);
/** Judge one message. */
enum hx_mqtt_incoming hx_mqtt_incoming(const struct hx_mqtt_config *config, struct hx_span topic,
                                       struct hx_span payload);

#endif
