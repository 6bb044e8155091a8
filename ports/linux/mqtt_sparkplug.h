/* mqtt_sparkplug.h - the readings as Sparkplug B, on a connection of its own: a Sparkplug node's
 * last will is its death, and a connection has only one will.
 * In:     states.  Out: birth, data, death; rebirth when a host asks for it.
 * State:  struct hx_mqtt_sparkplug, owned by the caller; the MQTT client's thread. */
#ifndef HX_MQTT_SPARKPLUG_H
#define HX_MQTT_SPARKPLUG_H

#include "log.h"
#include "mqtt_link.h"
#include "sparkplug.h"

struct hx_mqtt_sparkplug {
    struct hx_mqtt_link link;
    struct hx_mqtt_link_config config;
    struct hx_sparkplug node;
    struct hx_mqtt_msg msg;
    struct hx_log_limit log;
    char told[HX_MQTT_WHY]; /* reason in the newest log line */
};

void hx_mqtt_sparkplug_init(struct hx_mqtt_sparkplug *p, const struct hx_mqtt_client_config *c);
/** Time passed, or the connection is ready; send what is due. @param s  newest state, or NULL. */
void hx_mqtt_sparkplug_step(struct hx_mqtt_sparkplug *p, short revents, const struct hx_state *s,
                            uint64_t now_ms);
/** Publish the death and end the connection in good order. */
void hx_mqtt_sparkplug_close(struct hx_mqtt_sparkplug *p, unsigned wait_ms);

#endif
