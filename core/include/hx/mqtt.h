/* hx/mqtt.h - what goes to an MQTT broker: topics, payloads, discovery; when, and in which words.
 * In:     snapshots of struct hx_state, the time, the local zone.
 * Out:    messages to publish, one at a time, each when its value changed or its interval is over.
 * State:  struct hx_mqtt, owned by the caller; it knows what was published last, nothing more, so a
 *         week without a broker needs no more memory than a minute.
 * Source: device manual 2025-04b, "MQTT"; Home Assistant MQTT discovery (device form, 2024.11 on).
 */
#ifndef HX_MQTT_H
#define HX_MQTT_H

#include "hx/hour.h"

#define HX_MQTT_TOPIC_MAX 128u /* main topic from the settings */
#define HX_MQTT_NAME_MAX 192u  /* whole topic name of a message */
#define HX_MQTT_PAYLOAD_MAX                                                                        \
    16384u /* the discovery message is the largest: 22 × the longest topic */

/** One topic: a row of the table. */
struct hx_topic {
    const char *subtopic;     /* "actPowPos" */
    const char *name;         /* English, for Home Assistant */
    const char *unit;         /* "W", "" for none: the manual's spelling */
    const char *ha_unit;      /* Home Assistant's spelling; NULL for none */
    const char *device_class; /* Home Assistant; NULL for none */
    const char *state_class;  /* Home Assistant; NULL for none */
    uint8_t precision;        /* decimals that Home Assistant shows */
    bool extension;           /* not in the manual: estimated energies */
    uint8_t source;           /* private */
};
const struct hx_topic *hx_topic_table(size_t *count);
#define HX_TOPIC_COUNT 22u /* 18 of the manual, 4 estimates; checked in the unit test */

enum hx_topic_kind { HX_TOPIC_NUMBER, HX_TOPIC_TEXT, HX_TOPIC_BIT };
enum hx_topic_kind hx_topic_kind(const struct hx_topic *t);

/** What a topic has to say. Numbers are num × 10^-decimals in the topic's unit, scaled. */
struct hx_topic_value {
    int64_t num;         /* bits: 0 or 1 */
    int decimals;        /* 0 … 3 */
    struct hx_span text; /* inside the state, without trailing NULs */
    bool at_known;       /* false: the value is older than the program's start */
    uint64_t at_ms;      /* monotonic arrival of its telegram */
};
/** Read a topic's value.
 * Decimals are the meter's own (currents, voltages), 3 for energies. Where the scale is not 1000,
 * powers and currents have all the decimals of our resolution: W 0, A 3.
 * @return true and @p out; false while the value is not known. */
bool hx_topic_read(const struct hx_topic *t, const struct hx_state *s, struct hx_topic_value *out);
/** @return what tells two values of a topic apart, with the decimals: num, for texts a hash. */
int64_t hx_topic_sent(const struct hx_topic *t, const struct hx_topic_value *v);
/** UTC of a monotonic time, by the state's wall clock.
 * @return true and @p utc_ms; false while the clock is not known. */
bool hx_topic_utc_ms(const struct hx_state *s, uint64_t at_ms, int64_t *utc_ms);

enum hx_mqtt_format { HX_MQTT_HAN2X = 1, HX_MQTT_JSON = 2 }; /* bits; Sparkplug is the port's */

struct hx_mqtt_config {
    char topic[HX_MQTT_TOPIC_MAX + 1u];
    char ha_prefix[HX_MQTT_TOPIC_MAX + 1u];
    uint32_t interval_ms;
    unsigned formats;
    bool estimated, homeassistant;
};

/** What was last published on a topic. */
struct hx_mqtt_last {
    bool published;
    int64_t num; /* as sent; for texts a hash */
    int8_t decimals;
    uint64_t at_ms;
};

struct hx_mqtt {
    struct hx_mqtt_config config;
    struct hx_mqtt_last last[HX_TOPIC_COUNT];
    struct hx_mqtt_last last_json; /* num: the digital input then; -1 not known */
    uint32_t json_telegrams;       /* telegram counter of the last whole-state message */
    bool status_due, discovery_due, discovery_remove;
    bool discovered, simulated; /* discovery was sent on this connection, and what it said */
};

/** One message. name and payload are NUL-terminated texts in the caller's buffers. */
struct hx_mqtt_msg {
    char name[HX_MQTT_NAME_MAX + 1u];
    uint8_t payload[HX_MQTT_PAYLOAD_MAX];
    size_t len;
    bool retain_always; /* status and discovery: retained whatever the setting */
};

void hx_mqtt_init(struct hx_mqtt *m, const struct hx_mqtt_config *config);
/** A connection was made: everything known is due once, `online` first, discovery with it. */
void hx_mqtt_connected(struct hx_mqtt *m);
/** @return true when Home Assistant is told of the device: wanted, and in a format that it reads.
 */
bool hx_mqtt_is_announced(const struct hx_mqtt_config *config);
/** Home Assistant announced itself: discovery is due again, and every value with it (without
 * retained messages it would wait for the next change). Nothing when it is switched off. */
void hx_mqtt_rediscover(struct hx_mqtt *m);
/** Home Assistant was switched off: its discovery message is taken back (an empty one is due). */
void hx_mqtt_undiscover(struct hx_mqtt *m);
/** The next message that is due.
 * @return HX_OK one message; HX_MORE nothing is due; HX_E_SPACE a message would not fit (then that
 *         one is skipped until its next turn). */
enum hx_err hx_mqtt_next(struct hx_mqtt *m, const struct hx_state *s, const struct hx_zone *z,
                         uint64_t now_ms, struct hx_mqtt_msg *out);
/** @return when the next interval is over; UINT64_MAX when nothing was published yet. Drain
 * hx_mqtt_next first. */
uint64_t hx_mqtt_deadline_ms(const struct hx_mqtt *m);
/** Write `<topic>/status`, the topic of the last will. */
void hx_mqtt_status_name(struct hx_wr *w, const struct hx_mqtt_config *config);

#endif
