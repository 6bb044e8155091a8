/* web_mqtt_test.c - try to reach the broker with settings that are not in use yet.
 * Runs on a worker of its own, since it may take seconds; one at a time. Nothing is published, and
 * the client id is another than the gateway's, so that the running connection is left alone. */
#include "web_inside.h"

#include "clock.h"
#include "mqtt_link.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIAL_MS 20000u

/* --- worker --- */

struct trial {
    bool up, over;
};

static void on_up(void *ctx)
{
    struct trial *t = ctx;

    t->up = t->over = true;
}

static void on_down(void *ctx, bool was_up)
{
    struct trial *t = ctx;

    (void)was_up;
    t->over = true;
}

static void on_acked(void *ctx, uint64_t tag, const char *refused)
{
    (void)ctx;
    (void)tag;
    (void)refused;
}

static void on_message(void *ctx, struct hx_span topic, struct hx_span payload)
{
    (void)ctx;
    (void)topic;
    (void)payload;
}

static const struct hx_mqtt_msg *no_will(void *ctx)
{
    (void)ctx;
    return NULL;
}

static void wait_for(const struct hx_mqtt_link *l, struct pollfd *p)
{
    uint64_t now_ms = hx_clock_ms(), at_ms = hx_mqtt_link_deadline_ms(l, now_ms);
    uint64_t wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    bool any = hx_mqtt_link_poll(l, p);

    wait_ms = any && wait_ms > 1000u ? 1000u : wait_ms > 50u && !any ? 50u : wait_ms;
    p->revents = 0;
    if (poll(p, any ? 1 : 0, (int)wait_ms) < 0)
        p->revents = 0; /* EINTR: nothing was ready */
}

static void run(struct hx_job *job)
{
    static const struct hx_mqtt_link_events events = {
        .up = on_up, .down = on_down, .acked = on_acked, .message = on_message, .will = no_will};
    struct hx_web_mqtt_test *t = (struct hx_web_mqtt_test *)(void *)job; /* its first member */
    struct hx_mqtt_link *link = calloc(1, sizeof *link);
    struct trial trial = {false, false};
    uint64_t end_ms = hx_clock_ms() + TRIAL_MS;
    struct pollfd p;

    t->ok = false;
    (void)snprintf(t->why, sizeof t->why, "out of memory");
    if (link == NULL)
        return;
    hx_mqtt_link_init(link, &t->config.link, &events, &trial);
    hx_mqtt_link_step(link, 0, hx_clock_ms());
    while (!trial.over && hx_clock_ms() < end_ms) {
        wait_for(link, &p);
        hx_mqtt_link_step(link, p.revents, hx_clock_ms());
    }
    t->ok = trial.up;
    (void)hx_mqtt_link_broker(link, t->broker, sizeof t->broker);
    (void)snprintf(t->why, sizeof t->why, "%s",
                   trial.up               ? "connected"
                   : link->why[0] != '\0' ? link->why
                                          : "no answer in time");
    hx_mqtt_link_close(link, true, 300);
    free(link);
}

/* --- web thread --- */

static void done(struct hx_job *job)
{
    struct hx_web_mqtt_test *t = (struct hx_web_mqtt_test *)(void *)job;
    struct hx_web_request *r = t->request;

    t->request = NULL;
    explicit_bzero(&t->config, sizeof t->config);
    hx_web_open_object(&r->out, NULL);
    hx_web_bool(&r->out, "ok", t->ok);
    hx_web_text(&r->out, "broker", t->broker);
    hx_web_text_said(&r->out, "message", t->why);
    hx_web_close_object(&r->out);
    hx_web_reply(r, 200);
}

static void begin(struct hx_web_request *r, const struct hx_settings *s)
{
    struct hx_web_mqtt_test *t = &r->web->mqtt_test;

    hx_mqtt_client_config(s, r->web->state->device_number, &t->config);
    (void)snprintf(t->config.link.client_id, sizeof t->config.link.client_id, "han2x-test-%u",
                   r->web->state->device_number);
    t->config.link.will_topic[0] = '\0';
    t->request = r;
    (void)hx_worker_submit(&r->web->slow, &t->job); /* idle: request was NULL */
}

void hx_api_mqtt_test(struct hx_web_request *r)
{
    struct hx_web *w = r->web;
    json_t *body = hx_web_body(r), *wrapped;
    struct hx_settings *s;
    struct hx_web_faults *f;

    if (body == NULL)
        return;
    wrapped = json_pack("{s:O}", "mqtt", body);
    s = malloc(sizeof *s);
    f = calloc(1, sizeof *f);
    if (wrapped == NULL || s == NULL || f == NULL) {
        hx_web_fail(r, 503, "busy", "out of memory");
    } else if (w->mqtt_test.request != NULL) {
        r->retry_s = 5;
        hx_web_fail(r, 503, "busy", "another trial is under way");
    } else {
        static const struct hx_web_fixed none;

        *s = w->settings;
        s->num[HX_S_MQTT_ENABLED] = 1; /* so that an empty URL is told */
        hx_web_patch(wrapped, &none, HX_PATCH_USER, s, f);
        if (f->count != 0)
            hx_web_refuse(r, f);
        else if (s->text[HX_S_MQTT_URL][0] == '\0')
            hx_web_fail(r, 422, "invalid", "mqtt.url is empty: there is no broker to try");
        else
            begin(r, s);
        explicit_bzero(s, sizeof *s);
    }
    free(s);
    free(f);
    json_decref(wrapped);
    json_decref(body);
}

void hx_web_mqtt_test_init(struct hx_web *w)
{
    w->mqtt_test.web = w;
    w->mqtt_test.job.run = run;
    w->mqtt_test.job.done = done;
}
