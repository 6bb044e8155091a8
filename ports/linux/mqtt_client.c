/* mqtt_client.c - see mqtt_client.h.
 *
 *   gateway thread ─ mailbox ─▶ take_states ─ newest ─▶ hx_mqtt_next ─▶ publish ─▶ mqtt_link
 *                                   └ hourly ─▶ backlog ─ one at a time ─▶ publish      │
 *                                                  ▲ mark ◀──────── acknowledged ◀──────┘ */
#include "mqtt_client.h"

#include "backlog.h"
#include "clock.h"
#include "mailbox.h"
#include "mqtt_in.h"
#include "mqtt_link.h"
#include "mqtt_sparkplug.h"
#include "thread.h"
#include "zone.h"

#include <errno.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_SIZE (256u * 1024u)
#define GOODBYE_MS 150u
#define RETRY_DISK_MS 60000u
#define HOUR_PAYLOAD_MAX 1024u
/* Brokers may end the connection of who publishes where it may not (MQTT 3.1.1, 3.3.5); mosquitto
 * 2.0.11 does with access lists over TLS. Who may publish values only must not lose them over
 * Home Assistant's discovery: lost so soon after it, so often in a row, it is left out. */
#define DISCOVERY_HARM_MS 5000u
#define DISCOVERY_TRIES 3u
#define TAG_VALUE 0u /* tag of what needs no care after it was sent; hours have number + 1 */

struct hx_mqtt_client {
    struct hx_mailbox box;
    pthread_t thread;
    /* under lock */
    pthread_mutex_t lock;
    struct hx_mqtt_client_config fresh;
    bool changed, stop;
    struct hx_mqtt_status shown;
    /* the thread's own */
    struct hx_mqtt_client_config config;
    struct hx_mqtt_status status;
    struct hx_tz tz;
    int dir_fd;
    struct hx_backlog backlog;
    struct hx_mqtt_link link;
    struct hx_mqtt_sparkplug *sparkplug; /* NULL: not wanted */
    struct hx_mqtt mqtt;
    struct hx_mqtt_msg msg;
    bool undiscover;         /* Home Assistant was switched off, or is off since the start */
    uint64_t discovery_ms;   /* when it was published on this connection; 0 was not */
    unsigned discovery_harm; /* connections in a row that were lost soon after it */
    bool hour_out;           /* one hourly reading is on its way */
    uint64_t hour_wait_ms;   /* do not send one before */
    uint64_t disk_ms;        /* what the disk refused was tried last */
    uint64_t now_ms;
    uint32_t lost_told;
    struct hx_log_limit log, refuse_log, large_log;
    char told[HX_MQTT_WHY]; /* reason in the newest log line */
};

const char *hx_mqtt_client_state_name(enum hx_mqtt_client_state state)
{
    static const char *const names[] = {"off", "waiting", "connecting", "online"};

    return names[state];
}

/* ---- what the link tells ------------------------------------------------------------------- */

static void on_up(void *ctx)
{
    struct hx_mqtt_client *c = ctx;
    char name[HX_MQTT_NAME_MAX];
    struct hx_wr w = {.ptr = (uint8_t *)name, .cap = sizeof name - 1u};

    c->status.connections++;
    c->status.protocol = c->link.v5 ? 5 : 3;
    (void)hx_mqtt_link_broker(&c->link, c->status.broker, sizeof c->status.broker);
    c->told[0] = '\0';
    hx_log(HX_LOG_NOTICE, "MQTT: connected to %s, version %s, topic %s", c->status.broker,
           c->link.v5 ? "5" : "3.1.1", c->config.mqtt.topic);
    c->hour_out = false;
    c->hour_wait_ms = 0;
    hx_mqtt_connected(&c->mqtt);
    c->discovery_ms = 0;
    if (c->discovery_harm >= DISCOVERY_TRIES)
        c->mqtt.discovery_due = false; /* Home Assistant may still ask for it */
    if (c->undiscover)
        hx_mqtt_undiscover(&c->mqtt);
    c->undiscover = false;
    hx_mqtt_ha_status_name(&w, &c->config.mqtt);
    if (!c->config.mqtt.homeassistant || w.err != HX_OK)
        return;
    name[w.len] = '\0';
    hx_mqtt_link_subscribe(&c->link, name, 0);
}

/* The connection is lost: was it for the discovery? */
static void judge_discovery(struct hx_mqtt_client *c)
{
    bool soon = c->now_ms - c->discovery_ms < DISCOVERY_HARM_MS;

    if (c->discovery_ms == 0)
        return;
    c->discovery_harm = soon ? c->discovery_harm + 1u : 0;
    if (c->discovery_harm == DISCOVERY_TRIES)
        hx_log(HX_LOG_WARNING,
               "MQTT: the broker ends the connection when Home Assistant's discovery is published: "
               "left out from now on. Allow this user to write %s/device/#, or set "
               "mqtt.homeassistant = no",
               c->config.mqtt.ha_prefix);
}

/* One line for each reason; the same one again is counted only. */
static void on_down(void *ctx, bool was_up)
{
    struct hx_mqtt_client *c = ctx;
    char url[300];

    (void)hx_mqtt_url_text(&c->link.url, url, sizeof url);
    (void)snprintf(c->status.broker, sizeof c->status.broker, "%s", url);
    (void)snprintf(c->status.error, sizeof c->status.error, "%s", c->link.why);
    c->status.error_ms = c->now_ms;
    c->status.failures++;
    c->hour_out = false;
    if (was_up)
        judge_discovery(c);
    if (!was_up && strcmp(c->told, c->link.why) == 0)
        return;
    (void)snprintf(c->told, sizeof c->told, "%s", c->link.why);
    hx_log_limited(&c->log, c->now_ms, HX_LOG_WARNING, "MQTT: %s %s: %s",
                   was_up ? "lost" : "cannot connect to", url, c->link.why);
}

static void hour_delivered(struct hx_mqtt_client *c, uint64_t n)
{
    c->hour_out = false;
    if (n < c->backlog.delivered) /* given up meanwhile: too old */
        return;
    c->status.hours_delivered++;
    (void)hx_backlog_mark(&c->backlog, n + 1u); /* refused by the disk: told there */
}

static void on_acked(void *ctx, uint64_t tag, const char *refused)
{
    struct hx_mqtt_client *c = ctx;

    if (refused == NULL) {
        c->status.acknowledged++;
        if (tag != TAG_VALUE)
            hour_delivered(c, tag - 1u);
        return;
    }
    c->status.refused++;
    (void)snprintf(c->status.error, sizeof c->status.error, "publishing %s", refused);
    c->status.error_ms = c->now_ms;
    hx_log_limited(&c->refuse_log, c->now_ms, HX_LOG_WARNING, "MQTT: a message was %s", refused);
    if (tag == TAG_VALUE)
        return;
    c->hour_out = false;
    c->hour_wait_ms = c->now_ms + HX_MQTT_HOUR_RETRY_MS;
}

static void on_message(void *ctx, struct hx_span topic, struct hx_span payload)
{
    struct hx_mqtt_client *c = ctx;

    if (hx_mqtt_incoming(&c->config.mqtt, topic, payload) == HX_MQTT_IN_HA_ONLINE)
        hx_mqtt_rediscover(&c->mqtt);
}

static const struct hx_mqtt_link_events link_events = {on_up, on_down, on_acked, on_message, NULL};

/* ---- hourly readings ----------------------------------------------------------------------- */

/* Any number that differs between meters: FNV-1a of its id. */
static uint32_t meter_number(const struct hx_state *s)
{
    uint32_t hash = 2166136261u;

    for (unsigned i = 0; i < s->meter.id.len; i++)
        hash = (hash ^ (uint8_t)s->meter.id.s[i]) * 16777619u;
    return hash;
}

static void take_hours(struct hx_mqtt_client *c)
{
    const struct hx_state *s;
    struct hx_hour h;
    uint32_t lost = atomic_load(&c->box.lost);

    while ((s = hx_mailbox_hour(&c->box)) != NULL) {
        uint32_t meter = meter_number(s);

        if (!c->config.enabled)
            ; /* switched off: nobody waits for it */
        else if (hx_hour_from_state(s, hx_backlog_newest(&c->backlog, meter), &h) == HX_OK)
            (void)hx_backlog_append(&c->backlog, &h, meter); /* HX_MORE: sent twice by the meter */
        else
            hx_log(HX_LOG_WARNING, "MQTT: an hourly reading is left out, its time is not known");
        hx_mailbox_hour_done(&c->box);
    }
    if (lost != c->lost_told)
        hx_log(HX_LOG_WARNING, "MQTT: %u hourly readings came too fast and were left out",
               lost - c->lost_told);
    c->lost_told = lost;
}

static void publish_hour(struct hx_mqtt_client *c, const struct hx_hour *h, uint64_t n)
{
    char name[HX_MQTT_NAME_MAX];
    uint8_t payload[HOUR_PAYLOAD_MAX];
    struct hx_wr w = {.ptr = payload, .cap = sizeof payload};
    struct hx_zone zone;
    enum hx_err err;

    hx_tz_at(&c->tz, h->start_utc_s, &zone);
    hx_hour_json(&w, h, &zone);
    HX_ASSERT(w.err == HX_OK);
    (void)snprintf(name, sizeof name, "%s/hour", c->config.mqtt.topic);
    c->hour_out = true;
    err = hx_mqtt_link_publish(&c->link, name, (struct hx_span){payload, w.len},
                               c->config.qos > 0 ? c->config.qos : 1u, c->config.retain, n + 1u);
    if (err == HX_OK) {
        c->status.published++;
        return;
    }
    c->hour_out = false;
    if (err == HX_E_VALUE)
        c->hour_wait_ms = c->now_ms + HX_MQTT_HOUR_RETRY_MS;
}

/* One at a time: in order whatever the broker refuses, and a month of them is only 744. */
static void send_hours(struct hx_mqtt_client *c)
{
    struct hx_hour h;

    while (c->link.state == HX_MQTT_UP && !c->hour_out && c->now_ms >= c->hour_wait_ms &&
           c->link.in_flight < HX_MQTT_WINDOW && hx_backlog_waiting(&c->backlog) > 0) {
        uint64_t n = c->backlog.delivered;

        if (hx_backlog_read(&c->backlog, n, &h) == HX_OK) {
            publish_hour(c, &h, n);
            if (!c->hour_out && c->backlog.delivered == n)
                return; /* not now */
            continue;
        }
        hx_log(HX_LOG_WARNING, "an hourly reading in the state folder is damaged: left out");
        c->backlog.lost++;
        (void)hx_backlog_mark(&c->backlog, n + 1u); /* refused by the disk: told there */
    }
}

/* ---- values -------------------------------------------------------------------------------- */

/* @return false: no more can be handed over now. */
static bool publish_message(struct hx_mqtt_client *c)
{
    enum hx_err err =
        hx_mqtt_link_publish(&c->link, c->msg.name, (struct hx_span){c->msg.payload, c->msg.len},
                             c->config.qos, c->config.retain || c->msg.retain_always, TAG_VALUE);

    if (err == HX_OK)
        c->status.published++;
    else if (err == HX_E_VALUE)
        hx_log_limited(&c->large_log, c->now_ms, HX_LOG_WARNING,
                       "MQTT: the broker cannot take %s: left out", c->msg.name);
    return err == HX_OK || err == HX_E_VALUE;
}

static bool is_discovery_next(const struct hx_mqtt *m)
{
    return !m->status_due && (m->discovery_due || m->discovery_remove);
}

static void send_values(struct hx_mqtt_client *c, const struct hx_state *s)
{
    struct hx_zone zone;

    hx_tz_at(&c->tz, s->utc_ms / 1000, &zone);
    while (c->link.state == HX_MQTT_UP && c->link.in_flight < HX_MQTT_WINDOW) {
        bool discovery = is_discovery_next(&c->mqtt);
        enum hx_err err = hx_mqtt_next(&c->mqtt, s, &zone, c->now_ms, &c->msg);

        if (err == HX_MORE)
            return;
        if (discovery)
            c->discovery_ms = c->now_ms;
        if (err == HX_OK && !publish_message(c))
            return; /* the connection is lost: everything is sent again on the next */
    }
}

/* ---- settings and status ------------------------------------------------------------------- */

/* Switched off in the settings: Home Assistant forgets us. */
static void take_back_discovery(struct hx_mqtt_client *c)
{
    const struct hx_state *s = hx_mailbox_newest(&c->box);
    const struct hx_zone utc = {.change_utc_s = INT64_MIN};

    if (!c->undiscover || s == NULL)
        return;
    hx_mqtt_undiscover(&c->mqtt);
    c->mqtt.status_due = false;
    if (hx_mqtt_next(&c->mqtt, s, &utc, c->now_ms, &c->msg) == HX_OK && publish_message(c))
        c->undiscover = false; /* no room: on the next connection */
}

/* Without room for `offline` the connection is broken off: then the broker sends it. */
static void goodbye(struct hx_mqtt_client *c)
{
    const struct hx_span offline = {(const uint8_t *)"offline", 7};
    bool said = false;

    if (c->link.state == HX_MQTT_UP) {
        take_back_discovery(c);
        said = hx_mqtt_link_publish(&c->link, c->config.link.will_topic, offline, c->config.qos,
                                    true, TAG_VALUE) == HX_OK;
    }
    hx_mqtt_link_close(&c->link, said, GOODBYE_MS);
    if (c->sparkplug != NULL)
        hx_mqtt_sparkplug_close(c->sparkplug, GOODBYE_MS);
    free(c->sparkplug);
    c->sparkplug = NULL;
}

/* Everything that lives as long as one set of settings. */
static void begin(struct hx_mqtt_client *c)
{
    hx_mqtt_init(&c->mqtt, &c->config.mqtt);
    hx_mqtt_link_init(&c->link, &c->config.link, &link_events, c);
    c->told[0] = '\0';
    c->hour_out = false;
    c->discovery_ms = c->discovery_harm = 0;
    if (!c->config.enabled || !c->config.sparkplug)
        return;
    c->sparkplug = malloc(sizeof *c->sparkplug);
    if (c->sparkplug != NULL)
        hx_mqtt_sparkplug_init(c->sparkplug, &c->config);
    else
        hx_log(HX_LOG_ERROR, "MQTT: no Sparkplug: out of memory");
}

static void load_zone(struct hx_mqtt_client *c)
{
    (void)hx_tz_load(&c->tz, c->config.timezone); /* a zone that is not there: told */
}

static bool is_announced(const struct hx_mqtt_client_config *c)
{
    return c->enabled && hx_mqtt_is_announced(&c->mqtt);
}

static void use_settings(struct hx_mqtt_client *c, const struct hx_mqtt_client_config *fresh)
{
    bool before = is_announced(&c->config), after = is_announced(fresh);

    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*): filled and copied as octets */
    if (memcmp(fresh, &c->config, sizeof *fresh) == 0)
        return;
    c->undiscover =
        before && (!after || strcmp(fresh->mqtt.ha_prefix, c->config.mqtt.ha_prefix) != 0);
    goodbye(c);
    c->undiscover = c->undiscover && !after;
    memcpy(&c->config, fresh, sizeof c->config);
    load_zone(c);
    begin(c);
}

static enum hx_mqtt_client_state state_of(const struct hx_mqtt_client *c)
{
    if (!c->config.enabled)
        return HX_MQTT_OFF;
    switch (c->link.state) {
    case HX_MQTT_WAIT:
        return HX_MQTT_WAITING;
    case HX_MQTT_LOOKUP:
    case HX_MQTT_CONNECT:
    case HX_MQTT_HELLO:
        return HX_MQTT_CONNECTING;
    case HX_MQTT_UP:
        return HX_MQTT_ONLINE;
    }
    HX_UNREACHABLE();
}

/* Shows the status, takes new settings. @return false: the end. */
static bool exchange(struct hx_mqtt_client *c)
{
    struct hx_mqtt_client_config fresh;
    enum hx_mqtt_client_state state = state_of(c);
    bool changed, stop;

    if (state != c->status.state) {
        c->status.state = state;
        c->status.since_ms = c->now_ms;
    }
    c->status.hours_waiting = hx_backlog_waiting(&c->backlog);
    c->status.hours_lost = c->backlog.lost + c->lost_told;
    (void)pthread_mutex_lock(&c->lock);
    c->shown = c->status;
    stop = c->stop;
    changed = c->changed;
    if (changed)
        memcpy(&fresh, &c->fresh, sizeof fresh);
    c->changed = false;
    (void)pthread_mutex_unlock(&c->lock);
    if (changed && !stop)
        use_settings(c, &fresh);
    return !stop;
}

/* ---- the thread ---------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t deadline_ms(const struct hx_mqtt_client *c)
{
    uint64_t at;

    if (!c->config.enabled)
        return UINT64_MAX;
    at = hx_mqtt_link_deadline_ms(&c->link, c->now_ms);
    if (c->sparkplug != NULL)
        at = earlier(at, hx_mqtt_link_deadline_ms(&c->sparkplug->link, c->now_ms));
    /* with too many messages out, what is due waits for an acknowledgement */
    if (c->link.state == HX_MQTT_UP && c->link.in_flight < HX_MQTT_WINDOW)
        at = earlier(at, hx_mqtt_deadline_ms(&c->mqtt));
    return at;
}

struct ready {
    short link, sparkplug; /* of poll */
};

static struct ready wait(struct hx_mqtt_client *c)
{
    struct pollfd p[3] = {{.fd = c->box.fd, .events = POLLIN}, {.fd = -1}, {.fd = -1}};
    uint64_t at = earlier(deadline_ms(c), c->now_ms + RETRY_DISK_MS);

    if (c->config.enabled) /* a descriptor of -1 is passed over: poll(2) */
        (void)hx_mqtt_link_poll(&c->link, &p[1]);
    if (c->sparkplug != NULL)
        (void)hx_mqtt_link_poll(&c->sparkplug->link, &p[2]);
    if (poll(p, 3, at > c->now_ms ? (int)(at - c->now_ms) : 0) < 0)
        p[1].revents = p[2].revents = 0; /* EINTR: nothing was ready */
    else if (p[0].revents != 0)
        hx_mailbox_woken(&c->box);
    c->now_ms = hx_clock_ms();
    return (struct ready){p[1].revents, p[2].revents};
}

static void work(struct hx_mqtt_client *c, struct ready ready)
{
    const struct hx_state *s;

    if (c->config.enabled)
        hx_mqtt_link_step(&c->link, ready.link, c->now_ms);
    take_hours(c);
    s = hx_mailbox_newest(&c->box);
    if (s != NULL)
        send_values(c, s);
    if (c->sparkplug != NULL)
        hx_mqtt_sparkplug_step(c->sparkplug, ready.sparkplug, s, c->now_ms);
    send_hours(c);
    if (c->now_ms - c->disk_ms < RETRY_DISK_MS)
        return;
    c->disk_ms = c->now_ms;
    hx_backlog_retry(&c->backlog);
}

static void *run(void *arg)
{
    struct hx_mqtt_client *c = arg;
    struct ready ready = {0, 0};

    load_zone(c);
    hx_backlog_open(&c->backlog, c->dir_fd);
    begin(c);
    while (exchange(c)) {
        work(c, ready);
        ready = wait(c);
    }
    goodbye(c);
    return NULL;
}

static void release(struct hx_mqtt_client *c)
{
    hx_backlog_close(&c->backlog);
    hx_mailbox_close(&c->box);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    (void)mosquitto_lib_cleanup(); /* counts its users */
}

enum hx_err hx_mqtt_client_open(const struct hx_mqtt_client_config *config, int dir_fd,
                                struct hx_mqtt_client **out)
{
    struct hx_mqtt_client *c = calloc(1, sizeof *c);
    int err;

    if (c == NULL || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        free(c);
        hx_log(HX_LOG_ERROR, "cannot start the MQTT client: out of memory");
        return HX_E_IO;
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    memcpy(&c->config, config, sizeof c->config);
    c->undiscover = !hx_mqtt_is_announced(&config->mqtt); /* it may have been before the start */
    c->now_ms = c->disk_ms = hx_clock_ms();
    c->dir_fd = dir_fd;
    c->backlog.fd = -1; /* opened by the thread: disks are slow */
    err = hx_mailbox_open(&c->box) == HX_OK ? 0 : errno;
    if (err == 0)
        err = hx_thread_start(&c->thread, STACK_SIZE, run, c);
    if (err != 0) {
        hx_log(HX_LOG_ERROR, "cannot start the MQTT client: %s", strerror(err));
        release(c);
        return HX_E_IO;
    }
    *out = c;
    return HX_OK;
}

void hx_mqtt_client_post(struct hx_mqtt_client *c, const struct hx_state *s, unsigned news)
{
    hx_mailbox_post(&c->box, s, (news & HX_NEWS_ENERGY) != 0);
}

void hx_mqtt_client_set(struct hx_mqtt_client *c, const struct hx_mqtt_client_config *config)
{
    (void)pthread_mutex_lock(&c->lock);
    memcpy(&c->fresh, config, sizeof c->fresh);
    c->changed = true;
    (void)pthread_mutex_unlock(&c->lock);
    hx_mailbox_wake(&c->box);
}

void hx_mqtt_client_status(struct hx_mqtt_client *c, struct hx_mqtt_status *out)
{
    (void)pthread_mutex_lock(&c->lock);
    *out = c->shown;
    (void)pthread_mutex_unlock(&c->lock);
}

void hx_mqtt_client_close(struct hx_mqtt_client *c, unsigned wait_ms)
{
    (void)pthread_mutex_lock(&c->lock);
    c->stop = true;
    (void)pthread_mutex_unlock(&c->lock);
    hx_mailbox_wake(&c->box);
    if (!hx_thread_join(c->thread, wait_ms)) {
        hx_log(HX_LOG_WARNING, "the MQTT client did not end in time"); /* the disk hangs */
        return; /* its thread still uses it */
    }
    release(c);
}
