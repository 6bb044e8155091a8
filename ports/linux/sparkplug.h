/* sparkplug.h - the readings as a Sparkplug B edge node: birth, data, death, rebirth.
 * In:     snapshots of struct hx_state; commands from a host.
 * Out:    messages to publish, one at a time; the last will of each connection.
 * State:  struct hx_sparkplug, owned by the caller; one thread.
 * Source: Eclipse Sparkplug 3.0.0. Metrics are the topics of hx/mqtt.h, named by their subtopic;
 *         alias = place in the table + 1. What is not known is null.
 *
 * How a connection goes (5.4 "Edge Node Session Establishment"):
 *   hx_sparkplug_death    before each CONNECT: its payload is the will, QoS 1, not retained; the
 *                         connection is its own (one connection has one will), clean, no session
 *   subscribe             hx_sparkplug_command_name, QoS 1
 *   hx_sparkplug_connected, then hx_sparkplug_next until HX_MORE: NBIRTH first, then NDATA;
 *                         QoS 0, not retained
 *   hx_sparkplug_command  for each message on that name
 *   hx_sparkplug_farewell published before an orderly DISCONNECT, which sends no will */
#ifndef HX_SPARKPLUG_H
#define HX_SPARKPLUG_H

#include "hx/mqtt.h"

struct hx_sparkplug_last {
    bool known;
    int64_t num; /* as sent; for texts a hash */
    int decimals;
};

struct hx_sparkplug {
    char group[HX_MQTT_TOPIC_MAX + 1u], node[HX_MQTT_TOPIC_MAX + 1u];
    bool estimated;
    bool birth_due, born;
    uint8_t bd_seq; /* of this connection: the same in its will and all its births */
    uint8_t seq;    /* of the next message */
    struct hx_sparkplug_last last[HX_TOPIC_COUNT];
};

/** Node id is the last part of @p topic, group id what stands before it (slashes become colons),
 * `han2x` when there is nothing before it. */
void hx_sparkplug_init(struct hx_sparkplug *p, const char *topic, bool estimated);
/** The will for a new connection. Each call counts bdSeq up, from 0 to 255 and around.
 * @param utc_ms  wall clock; 0 not known. */
enum hx_err hx_sparkplug_death(struct hx_sparkplug *p, int64_t utc_ms, struct hx_mqtt_msg *out);
/** The same message again, with the present time. */
enum hx_err hx_sparkplug_farewell(const struct hx_sparkplug *p, int64_t utc_ms,
                                  struct hx_mqtt_msg *out);
/** The connection stands and commands are subscribed to: birth is due. */
void hx_sparkplug_connected(struct hx_sparkplug *p);
/** Write the name of the topic on which commands come. */
void hx_sparkplug_command_name(struct hx_wr *w, const struct hx_sparkplug *p);
/** Judge a command. @return HX_OK: a rebirth, it is due now; HX_MORE: none that we have;
 * HX_E_VALUE: not a Sparkplug payload. */
enum hx_err hx_sparkplug_command(struct hx_sparkplug *p, struct hx_span payload);
/** The next message: the birth when it is due, else what changed, all in one.
 * @return HX_OK; HX_MORE nothing is due, or the wall clock is not known (every message needs the
 *         time); HX_E_SPACE it does not fit. */
enum hx_err hx_sparkplug_next(struct hx_sparkplug *p, const struct hx_state *s,
                              struct hx_mqtt_msg *out);

#endif
