/* mqtt_sparkplug.c - see mqtt_sparkplug.h. */
#include "mqtt_sparkplug.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>

static int64_t utc_ms(void)
{
    int64_t ms = hx_clock_utc_ms();

    return ms >= HX_CLOCK_KNOWN_MS ? ms : 0;
}

static const struct hx_mqtt_msg *on_will(void *ctx)
{
    struct hx_mqtt_sparkplug *p = ctx;

    return hx_sparkplug_death(&p->node, utc_ms(), &p->msg) == HX_OK ? &p->msg : NULL;
}

static void on_up(void *ctx)
{
    struct hx_mqtt_sparkplug *p = ctx;
    char name[HX_MQTT_NAME_MAX + 1u], broker[384];
    struct hx_wr w = {.ptr = (uint8_t *)name, .cap = HX_MQTT_NAME_MAX};

    p->told[0] = '\0';
    hx_log(HX_LOG_NOTICE, "MQTT: Sparkplug node %s/%s connected to %s", p->node.group, p->node.node,
           hx_mqtt_link_broker(&p->link, broker, sizeof broker));
    hx_sparkplug_command_name(&w, &p->node);
    if (w.err == HX_OK) {
        name[w.len] = '\0';
        hx_mqtt_link_subscribe(&p->link, name, 1);
    }
    hx_sparkplug_connected(&p->node);
}

static void on_down(void *ctx, bool was_up)
{
    struct hx_mqtt_sparkplug *p = ctx;
    char url[300];

    if (!was_up && strcmp(p->told, p->link.why) == 0)
        return;
    (void)snprintf(p->told, sizeof p->told, "%s", p->link.why);
    hx_log_limited(&p->log, hx_clock_ms(), HX_LOG_WARNING, "MQTT: Sparkplug %s %s: %s",
                   was_up ? "lost" : "cannot connect to",
                   hx_mqtt_url_text(&p->link.url, url, sizeof url), p->link.why);
}

static void on_acked(void *ctx, uint64_t tag, const char *refused)
{
    (void)ctx;
    (void)tag;
    (void)refused; /* QoS 0: nobody refuses */
}

/* Only commands are subscribed to. */
static void on_message(void *ctx, struct hx_span topic, struct hx_span payload)
{
    struct hx_mqtt_sparkplug *p = ctx;

    (void)topic;
    (void)hx_sparkplug_command(&p->node, payload); /* others than rebirth are none of ours */
}

static const struct hx_mqtt_link_events events = {on_up, on_down, on_acked, on_message, on_will};

void hx_mqtt_sparkplug_init(struct hx_mqtt_sparkplug *p, const struct hx_mqtt_client_config *c)
{
    memset(p, 0, sizeof *p);
    p->config = c->link;
    (void)snprintf(p->config.client_id, sizeof p->config.client_id, "%s", c->sparkplug_id);
    hx_sparkplug_init(&p->node, c->mqtt.topic, c->mqtt.estimated);
    hx_mqtt_link_init(&p->link, &p->config, &events, p);
}

static enum hx_err publish(struct hx_mqtt_sparkplug *p)
{
    return hx_mqtt_link_publish(&p->link, p->msg.name, (struct hx_span){p->msg.payload, p->msg.len},
                                0, false, 0);
}

void hx_mqtt_sparkplug_step(struct hx_mqtt_sparkplug *p, short revents, const struct hx_state *s,
                            uint64_t now_ms)
{
    hx_mqtt_link_step(&p->link, revents, now_ms);
    while (s != NULL && p->link.state == HX_MQTT_UP && p->link.in_flight < HX_MQTT_WINDOW &&
           hx_sparkplug_next(&p->node, s, &p->msg) == HX_OK)
        if (publish(p) != HX_OK)
            return; /* lost: the next connection begins with a birth */
}

void hx_mqtt_sparkplug_close(struct hx_mqtt_sparkplug *p, unsigned wait_ms)
{
    bool said = p->link.state == HX_MQTT_UP &&
                hx_sparkplug_farewell(&p->node, utc_ms(), &p->msg) == HX_OK && publish(p) == HX_OK;

    hx_mqtt_link_close(&p->link, said, wait_ms);
}
