/* daemon_web.c - see daemon_web.h. */
#include "daemon_web.h"

#include "clock.h"
#include "file_text.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_MS 60000 /* smaller ones are the time service at work */
#define ARGUMENTS_MAX 512u
#define CMDLINE_MAX 131072u

/* --- web server --- */

static void on_command(evutil_socket_t fd, short what, void *arg)
{
    struct hx_daemon_web *w = arg;
    enum hx_web_command c;

    (void)fd;
    (void)what;
    while (hx_web_take(w->web, &c))
        w->command(w->ctx, c);
}

void hx_daemon_web_init(struct hx_daemon_web *w, struct hx_worker *worker, const char *state_dir)
{
    hx_noter_init(&w->noter, worker, state_dir);
}

void hx_daemon_web_note(struct hx_daemon_web *w, enum hx_note note, const char *from,
                        const char *text)
{
    if (w->web != NULL)
        hx_web_note(w->web, note, from, text);
    else
        hx_noter_add(&w->noter, note, from, text);
}

static void start(struct hx_daemon_web *w, struct event_base *base,
                  const struct config_source *config, const struct hx_settings *s)
{
    if (hx_web_open(config, s, w->noter.dir, &w->web) != HX_OK || w->web == NULL)
        return; /* logged; the gateway does its work without */
    w->event = event_new(base, hx_web_fd(w->web), EV_READ | EV_PERSIST, on_command, w);
    if (w->event == NULL || event_add(w->event, NULL) != 0)
        hx_log(HX_LOG_ERROR, "out of memory: settings cannot be changed over the web");
}

void hx_daemon_web_set(struct hx_daemon_web *w, struct event_base *base,
                       const struct config_source *config, const struct hx_settings *s)
{
    if (w->web != NULL)
        hx_web_set_settings(w->web, s);
    else if (s->num[HX_S_WEB_ENABLED] != 0)
        start(w, base, config, s);
    if (!w->started)
        hx_daemon_web_note(w, HX_NOTE_START, "", "han2x " HX_VERSION " started");
    w->started = true;
}

void hx_daemon_web_attach(struct hx_daemon_web *w, struct hx_network *network, struct hx_mdns *mdns)
{
    if (w->web != NULL)
        hx_web_attach(w->web, network, mdns);
}

void hx_daemon_web_event(struct hx_daemon_web *w, const struct hx_gateway *g,
                         const struct hx_event *ev)
{
    if (w->web != NULL)
        hx_web_telegram(w->web, &g->state, ev->raw, ev->telegram, ev->err);
}

void hx_daemon_web_post(struct hx_daemon_web *w, const struct hx_state *s)
{
    if (w->web != NULL)
        hx_web_post(w->web, s);
}

void hx_daemon_web_written(struct hx_daemon_web *w, const struct hx_state *s, const char *from)
{
    uint32_t hidden;
    char text[80];

    if (!hx_log_allow(&w->write_log, s->now_ms, &hidden))
        return;
    (void)snprintf(text, sizeof text, "scale factor written over Modbus %s: %u.%03u",
                   *from != '\0' ? "TCP" : "RTU", s->scale / 1000u, s->scale % 1000u);
    hx_daemon_web_note(w, HX_NOTE_MODBUS_WRITE, from, text);
}

static void look_at_clock(struct hx_daemon_web *w)
{
    int64_t offset_ms = hx_clock_utc_ms() - (int64_t)hx_clock_ms();
    int64_t step_ms = offset_ms - w->clock_offset_ms;
    char text[80];

    if (w->clock_offset_ms != 0 && (step_ms > STEP_MS || step_ms < -STEP_MS)) {
        (void)snprintf(text, sizeof text, "the clock stepped by %" PRId64 " s", step_ms / 1000);
        hx_daemon_web_note(w, HX_NOTE_CLOCK, "", text);
    }
    w->clock_offset_ms = offset_ms;
}

void hx_daemon_web_tick(struct hx_daemon_web *w, const struct hx_mbtcp_server *tcp,
                        const struct hx_mbrtu_server *rtu, struct hx_mqtt_client *mqtt,
                        const struct hx_state *s)
{
    struct hx_web_figures f;

    look_at_clock(w);
    if (w->web == NULL)
        return;
    memset(&f, 0, sizeof f);
    f.tcp_listening = tcp->listen_fd >= 0;
    f.tcp_clients = tcp->clients;
    f.tcp_limit = tcp->limit;
    f.tcp_accepted = tcp->accepted;
    f.tcp_evicted = tcp->evicted;
    f.tcp_broken = tcp->broken;
    if (hx_web_wants_peers(w->web))
        f.peers = hx_mbtcp_server_peers(tcp, f.peer, HX_WEB_PEERS);
    f.rtu_open = rtu->fd >= 0;
    f.rtu_answered = rtu->answered;
    f.mqtt_running = mqtt != NULL;
    if (mqtt != NULL)
        hx_mqtt_client_status(mqtt, &f.mqtt);
    hx_web_set_figures(w->web, &f);
    hx_web_post(w->web, s);
}

bool hx_daemon_web_close(struct hx_daemon_web *w, unsigned wait_ms)
{
    if (w->event != NULL)
        event_free(w->event);
    w->event = NULL;
    if (w->web == NULL)
        return true;
    if (!hx_web_close(w->web, wait_ms))
        return false;
    w->web = NULL;
    return true;
}

/* --- restart --- */

void hx_daemon_again(void)
{
    char *arguments[ARGUMENTS_MAX + 1u];
    size_t count = 0;
    struct hx_span text;
    uint8_t *memory = NULL;

    if (!file_text_read("/proc/self/cmdline", CMDLINE_MAX, &memory, &text)) {
        hx_log(HX_LOG_ERROR, "cannot begin anew: %s", strerror(errno));
        return;
    }
    for (size_t at = 0; at < text.len && count < ARGUMENTS_MAX;
         at += strlen((char *)memory + at) + 1u)
        arguments[count++] = (char *)memory + at;
    arguments[count] = NULL;
    (void)execv("/proc/self/exe", arguments);
    hx_log(HX_LOG_ERROR, "cannot begin anew: %s", strerror(errno));
    free(memory);
}
