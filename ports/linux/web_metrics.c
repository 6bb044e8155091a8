/* web_metrics.c - figures for Prometheus, in OpenMetrics text.
 * Source: OpenMetrics 1.0.0: base units, `_total` on counters, `# EOF` at the end. */
#include "web_inside.h"

#include "clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* A value of the meter: several rows may make one family; rows of a family stand together. */
static const struct {
    const char *family, *unit, *help, *labels;
    enum hx_field field;
    int exp10; /* of our integers, in the unit */
    bool counter;
} rows[] = {
    {"han2x_active_power_watts", "watts", "Active power", "direction=\"import\"", HX_P_IMPORT, 0,
     false},
    {"han2x_active_power_watts", "watts", "Active power", "direction=\"export\"", HX_P_EXPORT, 0,
     false},
    {"han2x_reactive_power_vars", "vars", "Reactive power", "direction=\"import\"", HX_Q_IMPORT, 0,
     false},
    {"han2x_reactive_power_vars", "vars", "Reactive power", "direction=\"export\"", HX_Q_EXPORT, 0,
     false},
    {"han2x_current_amperes", "amperes", "Current", "phase=\"L1\"", HX_I_L1, -3, false},
    {"han2x_current_amperes", "amperes", "Current", "phase=\"L2\"", HX_I_L2, -3, false},
    {"han2x_current_amperes", "amperes", "Current", "phase=\"L3\"", HX_I_L3, -3, false},
    {"han2x_voltage_volts", "volts", "Voltage", "phase=\"L1\"", HX_U_L1, -3, false},
    {"han2x_voltage_volts", "volts", "Voltage", "phase=\"L2\"", HX_U_L2, -3, false},
    {"han2x_voltage_volts", "volts", "Voltage", "phase=\"L3\"", HX_U_L3, -3, false},
    {"han2x_active_energy_watt_hours", "watt_hours", "Active energy by the meter",
     "direction=\"import\"", HX_E_IMPORT, 0, true},
    {"han2x_active_energy_watt_hours", "watt_hours", "Active energy by the meter",
     "direction=\"export\"", HX_E_EXPORT, 0, true},
    {"han2x_reactive_energy_var_hours", "var_hours", "Reactive energy by the meter",
     "direction=\"import\"", HX_R_IMPORT, 0, true},
    {"han2x_reactive_energy_var_hours", "var_hours", "Reactive energy by the meter",
     "direction=\"export\"", HX_R_EXPORT, 0, true},
};

static void head(struct hx_web_out *o, const char *family, bool counter, const char *unit,
                 const char *help)
{
    hx_web_put(o, "# TYPE %s %s\n", family, counter ? "counter" : "gauge");
    if (*unit != '\0')
        hx_web_put(o, "# UNIT %s %s\n", family, unit);
    hx_web_put(o, "# HELP %s %s.\n", family, help);
}

static void put_dec(struct hx_web_out *o, int64_t num, int exp10)
{
    uint8_t text[40];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};

    hx_wr_dec(&w, num, exp10);
    hx_web_put_span(o, (struct hx_span){text, w.len});
    hx_web_put(o, "\n");
}

/* Unknown values are left out: a series that ends is the truth, a 0 would not be. */
static void put_fields(struct hx_web_out *o, const struct hx_state *s)
{
    const char *family = "";

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct hx_value *v = &s->meter.value[rows[i].field];

        if (strcmp(family, rows[i].family) != 0)
            head(o, rows[i].family, rows[i].counter, rows[i].unit, rows[i].help);
        family = rows[i].family;
        if (v->quality == HX_UNKNOWN)
            continue;
        hx_web_put(o, "%s%s{%s} ", family, rows[i].counter ? "_total" : "", rows[i].labels);
        put_dec(o, hx_state_scaled(s, rows[i].field, v->num), rows[i].exp10);
    }
}

static void put_estimates(struct hx_web_out *o, const struct hx_state *s)
{
    static const char *const family = "han2x_active_energy_estimated_watt_hours";
    static const char *const directions[] = {"import", "export"};

    head(o, family, true, "watt_hours", "Active energy, with the power since the last hour");
    for (unsigned i = 0; i < 2; i++)
        if (s->energy[i].known)
            hx_web_put(
                o, "%s_total{direction=\"%s\"} %" PRId64 "\n", family, directions[i],
                hx_state_scaled(s, (enum hx_field)(HX_E_IMPORT + i), hx_energy_wh(&s->energy[i])));
}

static void put_count(struct hx_web_out *o, const char *family, const char *help, uint64_t value)
{
    head(o, family, true, "", help);
    hx_web_put(o, "%s_total %" PRIu64 "\n", family, value);
}

static void put_gauge(struct hx_web_out *o, const char *family, const char *unit, const char *help,
                      int64_t num, int exp10)
{
    head(o, family, false, unit, help);
    hx_web_put(o, "%s ", family);
    put_dec(o, num, exp10);
}

static void put_meter_side(struct hx_web_out *o, const struct hx_state *s, uint64_t now_ms)
{
    put_count(o, "han2x_meter_bytes", "Octets from the meter", s->bytes);
    head(o, "han2x_telegrams", true, "", "Telegrams accepted");
    for (unsigned i = 1; i < 4; i++)
        hx_web_put(o, "han2x_telegrams_total{list=\"%u\"} %u\n", i, s->lists[i]);
    head(o, "han2x_telegrams_dropped", true, "", "Frames and telegrams dropped");
    for (int i = -HX_E_HEAD; i < (int)HX_ERR_COUNT; i++)
        hx_web_put(o, "han2x_telegrams_dropped_total{reason=\"%s\"} %u\n",
                   hx_err_text((enum hx_err) - i), s->drops[i]);
    put_count(o, "han2x_line_errors", "Parity and framing errors of the meter line",
              s->line_errors);
    put_gauge(o, "han2x_link_good", "", "Good telegrams come", s->link == HX_LINK_GOOD ? 1 : 0, 0);
    if (s->any_good)
        put_gauge(o, "han2x_last_telegram_age_seconds", "seconds", "Age of the newest telegram",
                  (int64_t)(now_ms > s->last_good_ms ? now_ms - s->last_good_ms : 0), -3);
    put_gauge(o, "han2x_simulated", "", "Values are made up", s->simulated ? 1 : 0, 0);
}

static void put_our_side(struct hx_web_out *o, const struct hx_web *w, uint64_t now_ms,
                         const struct hx_web_figures *f)
{
    const struct hx_state *s = w->state;

    put_gauge(o, "han2x_modbus_tcp_clients", "", "Modbus TCP clients now", f->tcp_clients, 0);
    put_count(o, "han2x_modbus_tcp_accepted", "Modbus TCP clients accepted", f->tcp_accepted);
    put_gauge(o, "han2x_mqtt_connected", "", "A broker is connected",
              f->mqtt_running && f->mqtt.state == HX_MQTT_ONLINE ? 1 : 0, 0);
    put_count(o, "han2x_mqtt_published", "MQTT messages handed over", f->mqtt.published);
    put_gauge(o, "han2x_web_listeners", "", "Listeners to events", w->stream_count, 0);
    put_gauge(o, "han2x_uptime_seconds", "seconds", "Time since the start",
              (int64_t)((now_ms - s->started_ms) / 1000u), 0);
    if (s->temp_known)
        put_gauge(o, "han2x_temperature_celsius", "celsius", "Temperature of the board", s->temp_cc,
                  -2);
    head(o, "han2x_build", false, "", "The program");
    hx_web_put(o, "han2x_build{version=\"%s\"} 1\n", HX_VERSION);
}

void hx_api_metrics(struct hx_web_request *r)
{
    struct hx_web *w = r->web;
    struct hx_web_figures *f = malloc(sizeof *f);
    uint64_t now_ms = hx_clock_ms();

    if (f == NULL) {
        hx_web_fail(r, 503, "busy", "out of memory");
        return;
    }
    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
    *f = w->figures;
    (void)pthread_mutex_unlock(&w->lock);
    put_fields(&r->out, w->state);
    put_estimates(&r->out, w->state);
    put_meter_side(&r->out, w->state, now_ms);
    put_our_side(&r->out, w, now_ms, f);
    hx_web_put(&r->out, "# EOF\n");
    free(f);
    r->type = TYPE;
    hx_web_reply(r, 200);
}
