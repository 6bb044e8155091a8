/* mqtt_client.h - publishes the gateway's states to an MQTT broker, on a thread of its own.
 * In:     states from the gateway thread, settings.  Out: messages; a status for pages and log.
 * State:  struct hx_mqtt_client, opaque. The gateway thread posts and never waits: a broker that is
 *         away, slow or hostile costs it a copy of a state per telegram.
 *         Memory is bounded whatever the broker does: what to send is found by comparing the newest
 *         state with what was sent (hx/mqtt.h), and few messages are in flight at once. Hourly
 *         readings wait on disk (backlog.h). */
#ifndef HX_MQTT_CLIENT_H
#define HX_MQTT_CLIENT_H

#include "mqtt_config.h"

#define HX_MQTT_HOUR_RETRY_MS 60000u /* a refused hourly reading is offered again */

enum hx_mqtt_client_state { HX_MQTT_OFF, HX_MQTT_WAITING, HX_MQTT_CONNECTING, HX_MQTT_ONLINE };
/** @return "off", "waiting", "connecting", "online". */
const char *hx_mqtt_client_state_name(enum hx_mqtt_client_state state);

/** How it stands. A copy: any thread. */
struct hx_mqtt_status {
    enum hx_mqtt_client_state state;
    uint64_t since_ms;       /* monotonic time of the state */
    unsigned protocol;       /* 5 or 3 (3.1.1), while online */
    char broker[384];        /* "mqtt://broker:1883 (192.0.2.1)": in use, or tried last */
    char error[HX_MQTT_WHY]; /* last failure in words; "" none since the start */
    uint64_t error_ms;       /* when */
    uint64_t connections, failures;
    uint64_t published, acknowledged, refused;
    uint64_t hours_waiting, hours_delivered, hours_lost;
};

struct hx_mqtt_client;

/** Start the thread.
 * @param dir_fd  state folder for the hourly readings; must outlive the client. -1: none.
 * @return HX_OK; HX_E_IO logged. */
enum hx_err hx_mqtt_client_open(const struct hx_mqtt_client_config *config, int dir_fd,
                                struct hx_mqtt_client **out);
/** Gateway thread: the state changed, or time passed.
 * @param news  of the telegram, bits of enum hx_meter_news; 0 for none. */
void hx_mqtt_client_post(struct hx_mqtt_client *c, const struct hx_state *s, unsigned news);
/** Use other settings from now on; the same ones change nothing. */
void hx_mqtt_client_set(struct hx_mqtt_client *c, const struct hx_mqtt_client_config *config);
void hx_mqtt_client_status(struct hx_mqtt_client *c, struct hx_mqtt_status *out);
/** Say goodbye to the broker and end, within @p wait_ms. @p c is gone afterwards. */
void hx_mqtt_client_close(struct hx_mqtt_client *c, unsigned wait_ms);

#endif
