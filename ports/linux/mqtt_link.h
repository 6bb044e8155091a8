/* mqtt_link.h - one connection to one of several brokers, made again whenever it is lost.
 * In:     brokers to try; readiness of its descriptor; the time.
 * Out:    a connection to publish on; acknowledgements; why there is none, in words.
 * State:  struct hx_mqtt_link, owned by the caller; one thread. Nothing here blocks: names are
 *         looked up on threads of their own (lookup.h), and the library is driven through poll.
 *
 *   WAIT ─ time is up ─▶ LOOKUP ─▶ CONNECT ─▶ HELLO ─ CONNACK ─▶ UP ─ lost ─▶ WAIT
 *     ▲                    │ no such  │ refused,   │ refused: next broker │
 *     └────────────────────┴ host ────┴ silent:    │ MQTT 5 unknown: same address with 3.1.1
 *                                       next address, then next broker
 *   WAIT lasts 1 to 2 s; twice as long after each round of brokers, up to a minute.
 *
 * Source: MQTT 5.0, MQTT 3.1.1. libmosquitto 2.0.11, as it was found to behave: its connect blocks
 * on name servers and tries only a name's first address when told not to block, so it gets
 * addresses; it has no time limit for connecting; its queue has no end, so few messages are handed
 * over at once; it re-sends old messages after a reconnect, so each connection is a new instance;
 * a failed TLS check says not why, so the check is ours. */
#ifndef HX_MQTT_LINK_H
#define HX_MQTT_LINK_H

#include "lookup.h"
#include "mqtt_config.h"
#include "mqtt_tls.h"
#include "mqtt_url.h"

#include <poll.h>

#define HX_MQTT_WINDOW 16u       /* messages without acknowledgement */
#define HX_MQTT_KEEPALIVE_S 15   /* a silent broker is noticed within twice that */
#define HX_MQTT_LOOKUP_MS 15000u /* a name server that is silent costs 5 s a try */
#define HX_MQTT_CONNECT_MS 5000u /* for each address */
#define HX_MQTT_HELLO_MS 10000u  /* TLS and CONNACK */
#define HX_MQTT_STALL_MS 15000u  /* messages are out, and nothing moves */
#define HX_MQTT_BACKOFF_MIN_MS 1000u
#define HX_MQTT_BACKOFF_MAX_MS 60000u
#define HX_MQTT_STABLE_MS 30000u /* up for so long: the back-off begins anew */
#define HX_MQTT_IN_MAX 65536u    /* octets of one message from the broker */

struct mosquitto;

enum hx_mqtt_link_state {
    HX_MQTT_WAIT,
    HX_MQTT_LOOKUP,
    HX_MQTT_CONNECT,
    HX_MQTT_HELLO,
    HX_MQTT_UP
};

/** What its owner is told, on its own thread, inside hx_mqtt_link_step and hx_mqtt_link_publish. */
struct hx_mqtt_link_events {
    void (*up)(void *ctx);
    /** The attempt or the connection ended; l->why says why. @param was_up  it had been up. */
    void (*down)(void *ctx, bool was_up);
    /** @param refused  NULL, or why the broker did not take it. */
    void (*acked)(void *ctx, uint64_t tag, const char *refused);
    void (*message)(void *ctx, struct hx_span topic, struct hx_span payload);
    /** NULL: the will is that of the config. Else asked before each attempt for the will, which is
     * sent at QoS 1 and not retained. @return NULL: none. */
    const struct hx_mqtt_msg *(*will)(void *ctx);
};

struct hx_mqtt_slot {
    bool used;
    int mid;
    uint64_t tag;
};

struct hx_mqtt_link {
    const struct hx_mqtt_link_config *config;
    const struct hx_mqtt_link_events *events;
    void *ctx;
    enum hx_mqtt_link_state state;
    uint64_t since_ms;      /* of the state */
    uint64_t wait_until_ms; /* WAIT */
    uint64_t backoff_ms;
    unsigned url_index;
    struct hx_mqtt_url url;
    struct hx_lookup *lookup;
    const struct addrinfo *address; /* the one being tried, inside lookup */
    struct mosquitto *mosq;
    struct hx_mqtt_tls tls;
    bool v5;               /* protocol of this attempt */
    uint32_t old_protocol; /* bit per URL: its broker knows MQTT 3.1.1 only */
    bool greeted, refused; /* CONNACK came: yes, no */
    bool old_asked;        /* the CONNACK asks for an older protocol */
    bool no_retain;        /* this broker keeps no retained messages */
    uint8_t qos_max;
    struct hx_mqtt_slot slot[HX_MQTT_WINDOW];
    unsigned in_flight;
    uint64_t progress_ms;           /* last octet either way */
    int unsent;                     /* octets in the socket's queue then */
    uint64_t packets, packets_seen; /* whole packets received; of them, when octets were counted */
    uint64_t packet_octets;         /* octets received until then */
    char said[HX_MQTT_WHY];         /* by library or broker about this attempt */
    char why[HX_MQTT_WHY];          /* of the newest failure */
};

/** Prepare; the first attempt begins with the first step. @p config must outlive @p l. */
void hx_mqtt_link_init(struct hx_mqtt_link *l, const struct hx_mqtt_link_config *config,
                       const struct hx_mqtt_link_events *events, void *ctx);
/** What to poll for. @return false: nothing to poll, time alone counts. */
bool hx_mqtt_link_poll(const struct hx_mqtt_link *l, struct pollfd *out);
/** @return call hx_mqtt_link_step at this time at the latest. */
uint64_t hx_mqtt_link_deadline_ms(const struct hx_mqtt_link *l, uint64_t now_ms);
/** Time passed, or the descriptor is ready. @param revents  of poll, 0 for none. */
void hx_mqtt_link_step(struct hx_mqtt_link *l, short revents, uint64_t now_ms);
/** Hand a message over.
 * @param tag  comes back with its acknowledgement.
 * @return HX_OK; HX_MORE not up, or too many are out already; HX_E_VALUE this broker will never
 *         take it; HX_E_IO the connection is broken: the next step notices. */
enum hx_err hx_mqtt_link_publish(struct hx_mqtt_link *l, const char *topic, struct hx_span payload,
                                 unsigned qos, bool retain, uint64_t tag);
/** Subscribe for this connection. */
void hx_mqtt_link_subscribe(struct hx_mqtt_link *l, const char *topic, int qos);
/** End. @param goodbye  acknowledgements are waited for, for at most @p wait_ms, then DISCONNECT is
 * sent, so the broker does not send the will; else it does. A later step connects again. */
void hx_mqtt_link_close(struct hx_mqtt_link *l, bool goodbye, unsigned wait_ms);
/** @return "mqtts://broker:8883 (192.0.2.1)", in @p text. */
const char *hx_mqtt_link_broker(const struct hx_mqtt_link *l, char *text, size_t size);

#endif
