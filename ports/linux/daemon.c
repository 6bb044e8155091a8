/* daemon.c - see daemon.h. */
#include "daemon.h"

#include "clock.h"
#include "daemon_panel.h"
#include "daemon_web.h"
#include "file_replace.h"
#include "log.h"
#include "mbrtu_server.h"
#include "mbtcp_server.h"
#include "mdns.h"
#include "mqtt_client.h"
#include "network.h"
#include "notify.h"
#include "reset.h"
#include "saver.h"
#include "source.h"
#include "store.h"
#include "worker.h"
#include "zone.h"

#include "hx/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SECOND_MS 1000u
#define END_WAIT_MS                                                                                \
    300u /* for each: MQTT, the worker, the last save; the end takes less than a second            \
          */

enum { ON_TERM, ON_INT, ON_HUP, SIGNAL_COUNT };

struct daemon {
    struct event_base *base;
    struct event *timer, *watchdog, *signal[SIGNAL_COUNT];
    uint64_t armed_ms;  /* what the timer is set to */
    uint64_t second_ms; /* when the once-a-second work was done last */
    struct hx_gateway gw;
    struct hx_mb_device tcp_device, rtu_device;
    struct hx_mbtcp_server tcp;
    struct hx_mbrtu_server rtu;
    struct hx_source source;
    struct hx_worker worker;
    struct hx_store store;
    struct hx_saver saver;
    struct hx_mqtt_client *mqtt; /* NULL: not enabled */
    struct hx_network *network;
    struct hx_mdns *mdns; /* NULL: not started */
    struct hx_daemon_web web;
    struct hx_daemon_panel panel;
    struct hx_notify notify;
    const struct config_source *config;
    struct hx_settings settings, fresh; /* fresh: what a reload reads into */
    bool worker_open, store_open;
    bool again, wipe; /* after the end: begin anew, with factory settings */
    bool after_reset; /* this start follows a factory reset */
    bool greeted;     /* "good telegrams from …" was said since the link became good */
    struct hx_log_limit drop_log[HX_ERR_COUNT];
};

/* --- the core's events --- */

/* Outputs on threads of their own get a copy of the state. @param news  of the telegram, or 0. */
static void post(struct daemon *d, unsigned news)
{
    if (d->mqtt != NULL)
        hx_mqtt_client_post(d->mqtt, &d->gw.state, news);
    hx_daemon_web_post(&d->web, &d->gw.state);
}

static void log_meter(struct daemon *d, const struct hx_telegram *t)
{
    const struct hx_meter *m = &d->gw.state.meter;

    if (!t->has_identity)
        return; /* list 1 has no name in it: the next list 2 comes within 10 s */
    d->greeted = true;
    hx_log(HX_LOG_NOTICE,
           "good telegrams: maker %s, meter %.*s, type %.*s, version %.*s, list %u%s",
           hx_maker_name(m->maker), m->id.len, m->id.s, m->type.len, m->type.s, m->version.len,
           m->version.s, t->list, d->gw.state.simulated ? " (SIMULATED)" : "");
}

static void on_telegram(struct daemon *d, const struct hx_event *ev)
{
    hx_source_good(&d->source, d->gw.state.now_ms);
    hx_panel_io_telegram(&d->panel.io, d->gw.state.now_ms);
    hx_daemon_web_event(&d->web, &d->gw, ev);
    if ((ev->news & HX_NEWS_SWAPPED) != 0)
        hx_log(HX_LOG_WARNING, "another meter than before: its values begin afresh");
    if ((ev->news & HX_NEWS_RESET) != 0)
        hx_log(HX_LOG_WARNING, "the meter's energy counters were reset: estimates begin afresh");
    if ((ev->news & HX_NEWS_SWAPPED) != 0 || !d->greeted)
        log_meter(d, ev->telegram);
    post(d, ev->news);
}

static void on_dropped(struct daemon *d, const struct hx_event *ev)
{
    uint64_t now_ms = d->gw.state.now_ms;

    hx_daemon_web_event(&d->web, &d->gw, ev);
    if (ev->err <= HX_E_LLC) /* the frame's checksum was right: the line is */
        hx_source_good(&d->source, now_ms);
    hx_log_limited(&d->drop_log[-(int)ev->err], now_ms, HX_LOG_WARNING,
                   "dropped %zu octets from the meter: %s", ev->raw.len, hx_err_text(ev->err));
}

static void on_link(struct daemon *d, enum hx_link link)
{
    d->greeted = d->greeted && link == HX_LINK_GOOD;
    hx_log(link == HX_LINK_GOOD ? HX_LOG_NOTICE : HX_LOG_WARNING, "meter link: %s",
           hx_link_text(link));
}

static void drain(struct daemon *d)
{
    struct hx_event ev;

    while (hx_gw_next(&d->gw, &ev)) {
        switch (ev.kind) {
        case HX_EV_TELEGRAM:
            on_telegram(d, &ev);
            break;
        case HX_EV_DROPPED:
            on_dropped(d, &ev);
            break;
        case HX_EV_LINK:
            on_link(d, ev.link);
            break;
        case HX_EV_SAVE:
            if (d->store_open)
                hx_saver_save(&d->saver, &d->gw, d->gw.state.now_ms);
            break;
        }
    }
}

/* --- time --- */

static void arm(struct daemon *d, uint64_t now_ms)
{
    uint64_t at_ms = hx_gw_deadline_ms(&d->gw), wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    const struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000u),
                                 .tv_usec = (suseconds_t)(wait_ms % 1000u) * 1000};

    if (at_ms == d->armed_ms)
        return;
    d->armed_ms = at_ms;
    (void)event_add(d->timer, &wait); /* it was added at the start: no memory is needed */
}

static void set_clock(struct daemon *d)
{
    int64_t utc_ms = hx_clock_utc_ms();

    if (utc_ms >= HX_CLOCK_KNOWN_MS)
        hx_gw_set_clock(&d->gw, utc_ms);
}

static void announce(struct daemon *d)
{
    struct hx_mdns_config c;

    hx_mdns_config(&d->settings, &d->gw.state, &c);
    if (d->mdns != NULL)
        hx_mdns_set(d->mdns, &c);
    else
        (void)hx_mdns_open(&c, &d->mdns); /* logged; nothing else depends on it */
    hx_daemon_web_attach(&d->web, d->network, d->mdns);
}

static enum hx_err reload(struct daemon *d, bool by_page);

static void each_second(struct daemon *d, uint64_t now_ms)
{
    if (now_ms - d->second_ms < SECOND_MS)
        return;
    d->second_ms = now_ms;
    hx_mbtcp_server_tick(&d->tcp, now_ms);
    hx_mbrtu_server_tick(&d->rtu, now_ms);
    hx_source_tick(&d->source, now_ms);
    if (d->store_open)
        hx_saver_tick(&d->saver, &d->gw, now_ms);
    hx_panel_io_tick(&d->panel.io, now_ms);
    hx_daemon_web_tick(&d->web, &d->tcp, &d->rtu, d->mqtt, &d->gw.state);
    announce(d);
    if (hx_network_tick(d->network, now_ms))
        (void)reload(d, false); /* logged */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    uint64_t now_ms = hx_clock_ms();

    (void)fd;
    (void)what;
    d->armed_ms = 0;
    set_clock(d);
    hx_gw_tick(&d->gw, now_ms);
    drain(d);
    post(d, 0);
    each_second(d, now_ms);
    arm(d, now_ms);
}

/* --- what the other modules tell --- */

static void on_rx(void *ctx, struct hx_span bytes)
{
    struct daemon *d = ctx;
    uint64_t now_ms = hx_clock_ms();

    set_clock(d);
    while (bytes.len != 0) {
        size_t n = hx_gw_rx(&d->gw, bytes, now_ms);

        bytes = (struct hx_span){bytes.ptr + n, bytes.len - n};
        drain(d); /* makes room */
    }
    arm(d, now_ms);
}

static void on_line_error(void *ctx)
{
    struct daemon *d = ctx;

    hx_gw_line_error(&d->gw);
}

static void on_write(void *ctx)
{
    struct daemon *d = ctx;

    hx_gw_written(&d->gw);
    hx_daemon_web_written(&d->web, &d->gw.state, d->tcp.writer);
    arm(d, hx_clock_ms());
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;

    (void)fd;
    (void)what;
    hx_notify_send(&d->notify, "WATCHDOG=1");
}

/* --- settings --- */

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);

    HX_ASSERT(n < size); /* the settings table bounds its texts */
    memcpy(out, text, n + 1u);
}

static struct hx_mbtcp_config tcp_config(const struct hx_settings *s)
{
    struct hx_mbtcp_config c = {
        .enabled = s->num[HX_S_MODBUS_TCP_ENABLED] != 0,
        .port = (uint16_t)s->num[HX_S_MODBUS_TCP_PORT],
        .max_clients = (uint32_t)s->num[HX_S_MODBUS_TCP_MAX_CLIENTS],
        .idle_timeout_s = (uint32_t)s->num[HX_S_MODBUS_TCP_IDLE_TIMEOUT_S],
    };

    copy_text(c.listen, sizeof c.listen, s->text[HX_S_MODBUS_TCP_LISTEN]);
    return c;
}

static struct hx_mbrtu_config rtu_config(const struct hx_settings *s)
{
    struct hx_mbrtu_config c = {
        .enabled = s->num[HX_S_MODBUS_RTU_ENABLED] != 0,
        .line = {.baud = hx_settings_choice_number(s, HX_S_MODBUS_RTU_BAUD),
                 .parity = (enum hx_parity)s->num[HX_S_MODBUS_RTU_PARITY],
                 .stop_bits = (uint8_t)s->num[HX_S_MODBUS_RTU_STOP_BITS]},
        .address = (uint8_t)s->num[HX_S_MODBUS_RTU_ADDRESS],
        .rs485 = (enum hx_rs485)s->num[HX_S_MODBUS_RTU_RS485],
    };

    copy_text(c.device, sizeof c.device, s->text[HX_S_MODBUS_RTU_DEVICE]);
    return c;
}

static void meter_config(const struct hx_settings *s, struct hx_source_config *c)
{
    memset(c, 0, sizeof *c); /* compared as octets below */
    c->baud = hx_settings_choice_number(s, HX_S_METER_BAUD);
    c->parity = (enum hx_parity)s->num[HX_S_METER_PARITY];
    copy_text(c->text, sizeof c->text, s->text[HX_S_METER_SOURCE]);
    if (s->num[HX_S_MODBUS_RTU_ENABLED] != 0)
        copy_text(c->reserved, sizeof c->reserved, s->text[HX_S_MODBUS_RTU_DEVICE]);
}

static void set_devices(struct daemon *d, const struct hx_settings *s)
{
    struct hx_mb_device both = {.state = &d->gw.state,
                                .regs = &d->gw.regs,
                                .unit = (uint8_t)s->num[HX_S_MODBUS_TCP_UNIT],
                                .any_unit = s->num[HX_S_MODBUS_TCP_ANY_UNIT] != 0,
                                .allow_write = s->num[HX_S_MODBUS_TCP_ALLOW_WRITE] != 0};

    d->tcp_device = both;
    both.allow_write = true; /* modbus_tcp.allow_write is about the network */
    d->rtu_device = both;
}

/* What the settings table cannot see: one setting against another. */
static enum hx_err check(const struct hx_settings *s)
{
    const char *source = s->text[HX_S_METER_SOURCE], *rtu = s->text[HX_S_MODBUS_RTU_DEVICE];
    struct hx_net_plan plan;
    enum hx_setting_id id;
    const char *why;

    if (hx_net_plan_from(s, &plan, &id, &why) != HX_OK) {
        hx_log(HX_LOG_ERROR, "network.%s = %s: %s", hx_setting_row(id)->key, s->text[id], why);
        return HX_E_VALUE;
    }
    if (!hx_tz_may_be(s->text[HX_S_DEVICE_TIMEZONE])) {
        hx_log(HX_LOG_ERROR,
               "device.timezone = %s: there is no such time zone; allowed: a name such as "
               "Europe/Oslo",
               s->text[HX_S_DEVICE_TIMEZONE]);
        return HX_E_VALUE;
    }
    if (s->num[HX_S_MODBUS_RTU_ENABLED] == 0)
        return HX_OK;
    if (strncmp(source, "serial:", 7) == 0 && hx_tty_is_same(source + 7, rtu)) {
        hx_log(HX_LOG_ERROR,
               "meter.source and modbus_rtu.device are the same line, %s; each needs "
               "its own",
               rtu);
        return HX_E_VALUE;
    }
    return HX_OK;
}

static enum hx_err open_source(struct daemon *d, const struct hx_source_config *c)
{
    struct hx_source_env env = {
        .base = d->base, .worker = &d->worker, .rx = on_rx, .line_error = on_line_error, .ctx = d};
    enum hx_err err = hx_source_open(&d->source, &env, c);

    hx_gw_set_simulated(&d->gw, hx_source_is_simulated(&d->source));
    return err;
}

/* A source that changed: the new one, or the old one again when the new cannot be. */
static void change_source(struct daemon *d, const struct hx_settings *s)
{
    struct hx_source_config fresh, old = d->source.config;

    meter_config(s, &fresh);
    if (d->source.kind != NULL && memcmp(&fresh, &old, sizeof fresh) == 0)
        return;
    hx_source_close(&d->source);
    d->greeted = false;
    if (open_source(d, &fresh) != HX_OK)
        (void)open_source(d, &old); /* logged; the next reload tries again */
}

/* Start the MQTT client when it is first enabled; later it is told, and ends with the program. */
static enum hx_err set_mqtt(struct daemon *d, const struct hx_settings *s)
{
    struct hx_mqtt_client_config c;

    hx_mqtt_client_config(s, d->gw.state.device_number, &c);
    if (d->mqtt != NULL)
        hx_mqtt_client_set(d->mqtt, &c);
    else if (c.enabled)
        return hx_mqtt_client_open(&c, d->store.dir_fd, &d->mqtt);
    return HX_OK;
}

enum hx_err hx_daemon_load(const struct config_source *source, struct hx_settings *settings)
{
    char *text = NULL, *rest;
    size_t size;
    FILE *complaints = open_memstream(&text, &size);
    enum hx_err err;

    if (complaints == NULL) {
        hx_log(HX_LOG_ERROR, "out of memory");
        return HX_E_IO;
    }
    err = config_load(source, complaints, settings);
    if (fclose(complaints) == 0) {
        rest = text;
        for (char *line; (line = strsep(&rest, "\n")) != NULL;)
            if (*line != '\0')
                hx_log(err == HX_OK ? HX_LOG_WARNING : HX_LOG_ERROR, "%s", line);
    }
    free(text);
    return err;
}

static void on_web(void *ctx, enum hx_web_command c);

static void set_web(struct daemon *d)
{
    d->web.command = on_web;
    d->web.ctx = d;
    hx_daemon_web_set(&d->web, d->base, d->config, &d->settings);
}

/* @param by_page  the change came from a page: of the network, it must be confirmed. */
static enum hx_err reload(struct daemon *d, bool by_page)
{
    struct hx_mbtcp_config tcp;
    struct hx_mbrtu_config rtu;

    if (hx_daemon_load(d->config, &d->fresh) != HX_OK || check(&d->fresh) != HX_OK) {
        hx_log(HX_LOG_ERROR, "the settings were not changed");
        return HX_E_VALUE;
    }
    tcp = tcp_config(&d->fresh);
    rtu = rtu_config(&d->fresh);
    if (hx_mbtcp_server_set(&d->tcp, &tcp) != HX_OK) {
        hx_log(HX_LOG_ERROR, "the settings were not changed");
        return HX_E_IO;
    }
    set_devices(d, &d->fresh);
    (void)hx_mbrtu_server_set(&d->rtu, &rtu); /* checked above; a missing tty is waited for */
    change_source(d, &d->fresh);
    (void)set_mqtt(d, &d->fresh); /* logged; the next reload tries again */
    hx_gw_set_scale(&d->gw, (uint32_t)d->fresh.num[HX_S_DEVICE_SCALE]);
    hx_network_change(d->network, &d->fresh, by_page, hx_clock_ms());
    d->settings = d->fresh;
    set_web(d);
    hx_panel_io_set(&d->panel.io, &d->settings, hx_clock_ms());
    hx_log(HX_LOG_NOTICE, "settings loaded from %s", config_path(d->config));
    return HX_OK;
}

/* --- commands from the web --- */

static void leave(struct daemon *d, bool wipe)
{
    d->again = true;
    d->wipe = wipe;
    hx_log(HX_LOG_NOTICE, wipe ? "factory reset" : "beginning anew");
    (void)event_base_loopbreak(d->base); /* cannot fail on a base that runs */
}

static bool factory_reset(struct daemon *d, char why[HX_RESET_WHY])
{
    const struct hx_reset_keep keep = {d->gw.state.device_number, d->gw.state.starts};
    bool done = hx_reset_request(d->store.dir, config_path(d->config), &keep, why) == HX_OK;

    hx_panel_io_resetting(&d->panel.io, done, hx_clock_ms());
    if (done)
        leave(d, true);
    else
        hx_log(HX_LOG_ERROR, "factory reset: %s; nothing was changed", why);
    return done;
}

static void on_button(void *ctx)
{
    char why[HX_RESET_WHY];

    (void)factory_reset(ctx, why); /* logged, and the lights tell */
}

static void load_again(void *ctx)
{
    struct daemon *d = ctx;

    (void)reload(d, false); /* logged */
    arm(d, hx_clock_ms());
}

static void on_web(void *ctx, enum hx_web_command c)
{
    struct daemon *d = ctx;
    char why[HX_WEB_WHY] = "";
    enum hx_err err;
    bool done;

    switch (c) {
    case HX_WEB_RELOAD:
    case HX_WEB_RELOAD_SCALE:
        hx_log_keep(why, sizeof why);
        err = reload(d, true);
        hx_log_keep(NULL, 0);
        if (err == HX_OK && c == HX_WEB_RELOAD_SCALE)
            hx_gw_use_scale(&d->gw, (uint32_t)d->settings.num[HX_S_DEVICE_SCALE]);
        post(d, 0); /* before the answer, which tells the factor in force */
        hx_web_answer(d->web.web, HX_WEB_RELOAD, err == HX_OK, why);
        arm(d, hx_clock_ms());
        break;
    case HX_WEB_RESTART:
        leave(d, false);
        break;
    case HX_WEB_FACTORY_RESET:
        done = factory_reset(d, why);
        hx_web_answer(d->web.web, c, done, done ? "" : why);
        break;
    }
}

/* --- signals --- */

static void on_end(evutil_socket_t number, short what, void *arg)
{
    struct daemon *d = arg;

    (void)what;
    hx_log(HX_LOG_NOTICE, "ending on signal %d", (int)number);
    (void)event_base_loopbreak(d->base); /* cannot fail on a base that runs */
}

static void on_reload(evutil_socket_t number, short what, void *arg)
{
    struct daemon *d = arg;

    (void)number;
    (void)what;
    hx_notify_reloading(&d->notify, hx_clock_us());
    (void)reload(d, false); /* logged */
    hx_notify_send(&d->notify, "READY=1");
    arm(d, hx_clock_ms());
}

/* --- start and end --- */

static bool add_events(struct daemon *d)
{
    static const int numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP};
    const struct timeval now = {0};

    d->timer = evtimer_new(d->base, on_timer, d);
    if (d->timer == NULL || event_add(d->timer, &now) != 0)
        return false;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        d->signal[i] = evsignal_new(d->base, numbers[i], i == ON_HUP ? on_reload : on_end, d);
        if (d->signal[i] == NULL || event_add(d->signal[i], NULL) != 0)
            return false;
    }
    return true;
}

static bool open_base(struct daemon *d)
{
    struct event_config *c = event_config_new();

    if (c != NULL && event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK) == 0)
        d->base = event_base_new_with_config(c);
    if (c != NULL)
        event_config_free(c);
    return d->base != NULL && add_events(d);
}

static uint32_t draw_number(void)
{
    uint32_t random = (uint32_t)hx_clock_us(); /* a kernel before its first random octet */

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        hx_log(HX_LOG_WARNING, "the device number was drawn from the clock: no randomness yet");
    return 10000u + random % 90000u;
}

static enum hx_err open_state(struct daemon *d, const char *option)
{
    char dir[PATH_MAX];

    hx_store_choose(option, dir);
    if (hx_store_open(&d->store, dir) != HX_OK)
        return HX_E_IO;
    hx_saver_init(&d->saver, &d->store, &d->worker);
    d->store_open = true;
    file_replace_clean(config_path(d->config)); /* secrets may be in them; the folder is locked */
    (void)hx_saver_load(&d->store, &d->gw);     /* logged; else it begins with defaults */
    if (d->gw.state.device_number == 0)
        d->gw.state.device_number = draw_number();
    d->gw.state.starts++;
    hx_gw_set_scale(&d->gw, (uint32_t)d->settings.num[HX_S_DEVICE_SCALE]);
    hx_registers_render(&d->gw.regs, &d->gw.state);
    hx_saver_save(&d->saver, &d->gw, hx_clock_ms());
    hx_log(HX_LOG_INFO, "state folder %s, device number %u, start %u", d->store.dir,
           d->gw.state.device_number, d->gw.state.starts);
    return HX_OK;
}

static void start_watchdog(struct daemon *d)
{
    const struct timeval every = {.tv_sec = (time_t)(d->notify.watchdog_ms / 1000u),
                                  .tv_usec = (suseconds_t)(d->notify.watchdog_ms % 1000u) * 1000};

    if (d->notify.watchdog_ms == 0)
        return;
    d->watchdog = event_new(d->base, -1, EV_PERSIST, on_watchdog, d);
    if (d->watchdog != NULL)
        (void)event_add(d->watchdog, &every); /* fails: the manager restarts us */
}

/* A finger that is still there after the reset it asked for means no more. */
static enum hx_err open_panel(struct daemon *d)
{
    const struct hx_daemon_panel_env env = {.base = d->base,
                                            .worker = &d->worker,
                                            .config = d->config,
                                            .gw = &d->gw,
                                            .reset = on_button,
                                            .reload = load_again,
                                            .ctx = d};

    return hx_daemon_panel_open(&d->panel, &env, &d->settings, !d->after_reset);
}

/* Masters first: their connections wait in the kernel while the rest starts. */
static enum hx_err start(struct daemon *d, const char *state_dir)
{
    struct hx_mbtcp_config tcp = tcp_config(&d->settings);
    struct hx_mbrtu_config rtu = rtu_config(&d->settings);
    struct hx_source_config meter;

    if (check(&d->settings) != HX_OK)
        return HX_E_VALUE;
    hx_gw_init(&d->gw, hx_clock_ms());
    set_devices(d, &d->settings);
    if (!open_base(d)) {
        hx_log(HX_LOG_ERROR, "cannot make the event loop: %s", strerror(errno));
        return HX_E_IO;
    }
    hx_mbtcp_server_init(&d->tcp, d->base, &d->tcp_device, on_write, d);
    hx_mbrtu_server_init(&d->rtu, d->base, &d->rtu_device, on_write, d);
    hx_mbtcp_server_tick(&d->tcp, hx_clock_ms());
    if (hx_mbtcp_server_set(&d->tcp, &tcp) != HX_OK)
        return HX_E_IO;
    if (hx_worker_open(&d->worker, d->base) != HX_OK)
        return HX_E_IO;
    d->worker_open = true;
    if (open_state(d, state_dir) != HX_OK || hx_mbrtu_server_set(&d->rtu, &rtu) != HX_OK)
        return HX_E_IO;
    if (hx_network_open(d->config, d->store.dir, &d->worker, &d->settings, hx_clock_ms(),
                        &d->network) != HX_OK)
        return HX_E_IO;
    if (set_mqtt(d, &d->settings) != HX_OK)
        return HX_E_IO;
    meter_config(&d->settings, &meter);
    if (open_source(d, &meter) != HX_OK)
        return HX_E_IO;
    hx_daemon_web_init(&d->web, &d->worker, d->store.dir);
    set_web(d);
    if (open_panel(d) != HX_OK)
        return HX_E_IO;
    if (d->after_reset)
        hx_daemon_web_note(&d->web, HX_NOTE_FACTORY_RESET, "", "factory settings");
    hx_notify_open(&d->notify);
    start_watchdog(d);
    hx_notify_send(&d->notify, "READY=1");
    return HX_OK;
}

static void free_event(struct event *e)
{
    if (e != NULL)
        event_free(e);
}

/* @return true when nothing of @p d is in use any more. */
static bool finish(struct daemon *d, bool save)
{
    bool ended = true;

    if (d->again) /* after STOPPING=1 systemd would wait for our end, and then kill */
        hx_notify_reloading(&d->notify, hx_clock_us());
    else
        hx_notify_send(&d->notify, "STOPPING=1");
    hx_panel_io_close(&d->panel.io, d->wipe);
    hx_source_close(&d->source);
    if (d->mqtt != NULL)
        hx_mqtt_client_close(d->mqtt, END_WAIT_MS);
    if (d->base != NULL && d->tcp.base != NULL) {
        hx_mbrtu_server_close(&d->rtu);
        hx_mbtcp_server_close(&d->tcp);
    }
    ended = hx_daemon_web_close(&d->web, END_WAIT_MS);
    if (d->mdns != NULL)
        ended = hx_mdns_close(d->mdns, END_WAIT_MS) && ended;
    if (d->worker_open)
        ended = hx_worker_close(&d->worker, END_WAIT_MS) && ended;
    if (ended && d->worker_open && d->web.noter.dir != NULL)
        hx_noter_end(&d->web.noter);
    hx_gw_end(&d->gw);
    if (d->store_open && save)
        hx_saver_final(&d->saver, &d->gw, END_WAIT_MS);
    if (!ended)
        return false;
    if (d->network != NULL)
        hx_network_close(d->network);
    if (d->store_open)
        hx_store_close(&d->store);
    free_event(d->timer);
    free_event(d->watchdog);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        free_event(d->signal[i]);
    if (d->base != NULL)
        event_base_free(d->base);
    hx_notify_close(&d->notify);
    return true;
}

int hx_daemon_run(const struct config_source *source, const struct hx_settings *settings,
                  const char *state_dir, bool after_reset)
{
    struct daemon *d = calloc(1, sizeof *d);
    enum hx_err err;
    bool again;

    if (d == NULL) {
        hx_log(HX_LOG_ERROR, "out of memory");
        return 1;
    }
    d->notify.fd = -1;
    d->config = source;
    d->settings = *settings;
    d->after_reset = after_reset;
    hx_log(HX_LOG_NOTICE, "han2x " HX_VERSION " starts");
    err = start(d, state_dir);
    if (err == HX_OK && event_base_dispatch(d->base) < 0) {
        hx_log(HX_LOG_ERROR, "the event loop failed: %s", strerror(errno));
        err = HX_E_IO;
    }
    again = err == HX_OK && d->again;
    if (finish(d, err == HX_OK && !d->wipe))
        free(d); /* else the worker is still inside it: the process ends anyway */
    if (again)
        hx_daemon_again(); /* comes back only when it cannot */
    return err == HX_OK && !again ? 0 : 1;
}
