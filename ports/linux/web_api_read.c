/* web_api_read.c - what the API shows: readings, status, registers, telegrams, history, log. */
#include "web_inside.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JSON_MAX 4096u

/* --- readings --- */

static const struct {
    const char *name, *unit;
    uint8_t digits; /* of our integers behind the point of the unit */
} fields[HX_FIELD_COUNT] = {
    [HX_P_IMPORT] = {"active_power_import", "W", 0},
    [HX_P_EXPORT] = {"active_power_export", "W", 0},
    [HX_Q_IMPORT] = {"reactive_power_import", "VAr", 0},
    [HX_Q_EXPORT] = {"reactive_power_export", "VAr", 0},
    [HX_I_L1] = {"current_l1", "A", 3},
    [HX_I_L2] = {"current_l2", "A", 3},
    [HX_I_L3] = {"current_l3", "A", 3},
    [HX_U_L1] = {"voltage_l1", "V", 3},
    [HX_U_L2] = {"voltage_l2", "V", 3},
    [HX_U_L3] = {"voltage_l3", "V", 3},
    [HX_E_IMPORT] = {"active_energy_import", "kWh", 3},
    [HX_E_EXPORT] = {"active_energy_export", "kWh", 3},
    [HX_R_IMPORT] = {"reactive_energy_import", "kVArh", 3},
    [HX_R_EXPORT] = {"reactive_energy_export", "kVArh", 3},
};

static void put_age(struct hx_web_out *o, const char *key, bool known, uint64_t at_ms,
                    uint64_t now_ms)
{
    if (known)
        hx_web_dec(o, key, at_ms < now_ms ? (int64_t)((now_ms - at_ms) / 100u) : 0, 1);
    else
        hx_web_null(o, key);
}

static bool is_energy(unsigned f)
{
    return f >= HX_E_IMPORT;
}

/* Lists that would have carried it came without it. */
static bool is_not_measured(const struct hx_state *s, unsigned f)
{
    if (s->meter.value[f].quality != HX_UNKNOWN)
        return false;
    return is_energy(f) ? s->lists[3] != 0 : s->lists[2] + s->lists[3] != 0;
}

/* Digits that mean something: the meter's own; all of ours where a scale makes new ones. */
static unsigned digits_of(const struct hx_state *s, unsigned f, const struct hx_value *v)
{
    bool scaled = s->scale != HX_SCALE_DEFAULT && (f < HX_U_L1 || is_energy(f));

    if (is_energy(f) || scaled || v->decimals > fields[f].digits)
        return fields[f].digits;
    return v->decimals > 0 ? (unsigned)v->decimals : 0;
}

static void put_number(struct hx_web_out *o, int64_t num, unsigned have, unsigned want)
{
    hx_web_dec(o, "value", hx_div_round(num, hx_pow10(have - want)), (int)want);
}

static void put_field(struct hx_web_out *o, const struct hx_state *s, unsigned f, uint64_t now_ms)
{
    const struct hx_value *v = &s->meter.value[f];
    bool known = v->quality != HX_UNKNOWN;
    unsigned digits = digits_of(s, f, v);

    hx_web_open_object(o, fields[f].name);
    if (known)
        put_number(o, hx_state_scaled(s, (enum hx_field)f, v->num), fields[f].digits, digits);
    else
        hx_web_null(o, "value");
    hx_web_text(o, "unit", fields[f].unit);
    hx_web_int(o, "decimals", digits);
    hx_web_text(o, "quality", hx_quality_name(v->quality));
    put_age(o, "age_s", known && v->quality != HX_HELD, v->at_ms, now_ms);
    hx_web_bool(o, "not_measured", is_not_measured(s, f));
    hx_web_bool(o, "waits_for_hour", is_energy(f) && !known && s->lists[3] == 0);
    hx_web_close_object(o);
}

static void put_estimate(struct hx_web_out *o, const struct hx_state *s, unsigned i,
                         uint64_t now_ms)
{
    const struct hx_energy *e = &s->energy[i];
    unsigned f = HX_E_IMPORT + i;
    char name[48];

    (void)snprintf(name, sizeof name, "%s_estimated", fields[f].name);
    hx_web_open_object(o, name);
    if (e->known)
        hx_web_dec(o, "value", hx_state_scaled(s, (enum hx_field)f, hx_energy_wh(e)), 3);
    else
        hx_web_null(o, "value");
    hx_web_text(o, "unit", fields[f].unit);
    hx_web_int(o, "decimals", 3);
    hx_web_text(o, "quality", !e->known ? "unknown" : e->held ? "held" : "estimated");
    put_age(o, "age_s", e->known && e->has_power, e->power_at_ms, now_ms);
    hx_web_bool(o, "not_measured", !e->known && s->lists[3] != 0);
    hx_web_bool(o, "waits_for_hour", !e->known && s->lists[3] == 0);
    hx_web_close_object(o);
}

static void put_net(struct hx_web_out *o, const struct hx_state *s, uint64_t now_ms)
{
    const struct hx_value *in = &s->meter.value[HX_P_IMPORT], *out = &s->meter.value[HX_P_EXPORT];
    bool known = in->quality != HX_UNKNOWN; /* export is not sent by lists without production */
    int64_t net = 0;

    if (known)
        net = hx_state_scaled(s, HX_P_IMPORT, in->num) -
              (out->quality != HX_UNKNOWN ? hx_state_scaled(s, HX_P_EXPORT, out->num) : 0);
    hx_web_open_object(o, "net_power");
    if (known)
        hx_web_int(o, "value", net);
    else
        hx_web_null(o, "value");
    hx_web_text(o, "unit", "W");
    hx_web_int(o, "decimals", 0);
    hx_web_text(o, "quality", known ? "measured" : "unknown");
    put_age(o, "age_s", known, in->at_ms, now_ms);
    hx_web_text(o, "direction",
                !known     ? "unknown"
                : net > 0  ? "import"
                : net == 0 ? "none"
                           : "export");
    hx_web_close_object(o);
}

/* Identities are sent with NULs at their ends by some makers. */
static void put_identity(struct hx_web_out *o, const char *key, const struct hx_text *t)
{
    struct hx_span s = hx_text_span(t);

    while (s.len > 0 && s.ptr[s.len - 1] == '\0')
        s.len--;
    hx_web_span(o, key, s);
}

static void put_meter(struct hx_web_out *o, const struct hx_state *s, uint64_t now_ms)
{
    static const char *const phases[] = {"unknown", "1", "3it", "3tn"};
    const struct hx_meter *m = &s->meter;
    uint8_t text[32];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};
    bool dated = m->clock.known;

    hx_web_open_object(o, "meter");
    hx_web_bool(o, "known", m->known);
    hx_web_text(o, "maker", hx_maker_name(m->maker));
    put_identity(o, "id", &m->id);
    put_identity(o, "type", &m->type);
    put_identity(o, "version", &m->version);
    hx_web_text(o, "phases", phases[m->grid]);
    hx_web_int(o, "list", m->last_list);
    if (dated) {
        hx_civil_format(&w, &m->clock.local);
        hx_web_span(o, "clock", (struct hx_span){text, w.len});
    } else {
        hx_web_null(o, "clock");
    }
    put_age(o, "clock_age_s", dated, m->clock_at_ms, now_ms);
    hx_web_close_object(o);
}

static const char *link_name(enum hx_link link)
{
    static const char *const names[] = {"silent",    "noise",   "parity",
                                        "encrypted", "foreign", "good"};

    return names[link];
}

static void put_now(struct hx_web_out *o)
{
    int64_t utc_ms = hx_clock_utc_ms();

    hx_web_time(o, "time", utc_ms >= HX_CLOCK_KNOWN_MS, utc_ms);
}

void hx_web_live_json(const struct hx_web *w, struct hx_web_out *o, uint64_t now_ms)
{
    const struct hx_state *s = w->state;

    hx_web_open_object(o, NULL);
    put_now(o);
    hx_web_int(o, "uptime_s", (int64_t)((now_ms - s->started_ms) / 1000u));
    hx_web_int(o, "telegrams", s->telegrams);
    hx_web_bool(o, "simulated", s->simulated);
    hx_web_int(o, "scale", s->scale);
    hx_web_text(o, "link", link_name(s->link));
    hx_web_text(o, "link_text", hx_link_text(s->link));
    put_age(o, "last_good_age_s", s->any_good, s->last_good_ms, now_ms);
    put_meter(o, s, now_ms);
    put_net(o, s, now_ms);
    hx_web_open_object(o, "fields");
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++)
        put_field(o, s, f, now_ms);
    for (unsigned i = 0; i < 4; i++)
        put_estimate(o, s, i, now_ms);
    hx_web_close_object(o);
    if (s->input_known)
        hx_web_bool(o, "digital_input", s->input_closed);
    else
        hx_web_null(o, "digital_input");
    if (s->temp_known)
        hx_web_dec(o, "temperature_c", s->temp_cc, 2);
    else
        hx_web_null(o, "temperature_c");
    hx_web_close_object(o);
}

void hx_api_live(struct hx_web_request *r)
{
    hx_web_live_json(r->web, &r->out, hx_clock_ms());
    hx_web_reply(r, 200);
}

/* --- status --- */

static const char *const drop_names[HX_ERR_COUNT] = {
    [-HX_E_HEAD] = "head",     [-HX_E_HCS] = "hcs",
    [-HX_E_FLAG] = "flag",     [-HX_E_FCS] = "fcs",
    [-HX_E_LINE] = "line",     [-HX_E_SEGMENT] = "segment",
    [-HX_E_LLC] = "llc",       [-HX_E_ENCRYPTED] = "encrypted",
    [-HX_E_AXDR] = "axdr",     [-HX_E_LAYOUT] = "layout",
    [-HX_E_DATE] = "date",     [-HX_E_IDENTITY] = "identity",
    [-HX_E_ENERGY] = "energy", [-HX_E_CONTINUITY] = "continuity",
};

static void put_link(struct hx_web_out *o, const struct hx_state *s, uint64_t now_ms)
{
    hx_web_open_object(o, "link");
    hx_web_text(o, "verdict", link_name(s->link));
    hx_web_text(o, "text", hx_link_text(s->link));
    put_age(o, "last_byte_age_s", s->any_byte, s->last_byte_ms, now_ms);
    put_age(o, "last_good_age_s", s->any_good, s->last_good_ms, now_ms);
    hx_web_int(o, "bytes", (int64_t)s->bytes);
    hx_web_int(o, "telegrams", s->telegrams);
    hx_web_open_array(o, "lists");
    for (size_t i = 1; i < 4; i++)
        hx_web_int(o, NULL, s->lists[i]);
    hx_web_close_array(o);
    hx_web_int(o, "line_errors", s->line_errors);
    hx_web_open_array(o, "drops");
    for (int i = 0; i < (int)HX_ERR_COUNT; i++) {
        if (drop_names[i] == NULL)
            continue;
        hx_web_open_object(o, NULL);
        hx_web_text(o, "reason", drop_names[i]);
        hx_web_text(o, "text", hx_err_text((enum hx_err) - i));
        hx_web_int(o, "count", s->drops[i]);
        hx_web_close_object(o);
    }
    hx_web_close_array(o);
    hx_web_close_object(o);
}

static void put_modbus(struct hx_web_out *o, const struct hx_settings *s,
                       const struct hx_web_figures *f)
{
    hx_web_open_object(o, "modbus_tcp");
    hx_web_bool(o, "enabled", s->num[HX_S_MODBUS_TCP_ENABLED] != 0);
    hx_web_bool(o, "listening", f->tcp_listening);
    hx_web_int(o, "port", s->num[HX_S_MODBUS_TCP_PORT]);
    hx_web_int(o, "clients", f->tcp_clients);
    hx_web_int(o, "limit", f->tcp_limit);
    hx_web_int(o, "accepted", (int64_t)f->tcp_accepted);
    hx_web_int(o, "evicted", (int64_t)f->tcp_evicted);
    hx_web_int(o, "broken", (int64_t)f->tcp_broken);
    hx_web_open_array(o, "peers");
    for (uint32_t i = 0; i < f->peers; i++) {
        hx_web_open_object(o, NULL);
        hx_web_text(o, "address", f->peer[i].address);
        hx_web_int(o, "idle_s", f->peer[i].idle_s);
        hx_web_close_object(o);
    }
    hx_web_close_array(o);
    hx_web_close_object(o);
    hx_web_open_object(o, "modbus_rtu");
    hx_web_bool(o, "enabled", s->num[HX_S_MODBUS_RTU_ENABLED] != 0);
    hx_web_text(o, "device", s->text[HX_S_MODBUS_RTU_DEVICE]);
    hx_web_bool(o, "open", f->rtu_open);
    hx_web_int(o, "answered", (int64_t)f->rtu_answered);
    hx_web_close_object(o);
}

static void put_mqtt(struct hx_web_out *o, const struct hx_settings *s,
                     const struct hx_web_figures *f)
{
    static const char *const states[] = {
        [HX_MQTT_OFF] = "off",
        [HX_MQTT_WAITING] = "waiting",
        [HX_MQTT_CONNECTING] = "connecting",
        [HX_MQTT_ONLINE] = "connected",
    };

    hx_web_open_object(o, "mqtt");
    hx_web_bool(o, "enabled", s->num[HX_S_MQTT_ENABLED] != 0);
    hx_web_text(o, "state", f->mqtt_running ? states[f->mqtt.state] : "off");
    hx_web_text(o, "broker", f->mqtt.broker);
    hx_web_text_said(o, "error", f->mqtt.error);
    hx_web_int(o, "published", (int64_t)f->mqtt.published);
    hx_web_int(o, "lost", (int64_t)f->mqtt.hours_lost);
    hx_web_close_object(o);
}

static void put_web(struct hx_web_out *o, const struct hx_web *w)
{
    unsigned clients = 0, port[2] = {0, 0};

    for (size_t i = 0; i < HX_WEB_LISTENERS; i++) {
        const struct hx_web_listener *l = &w->listener[i];

        if (l->mhd == NULL)
            continue;
        clients += l->conns;
        if (l->retire_ms == 0)
            port[l->tls] = l->port;
    }
    hx_web_open_object(o, "web");
    hx_web_int(o, "clients", clients);
    hx_web_int(o, "events", w->stream_count);
    hx_web_int(o, "http_port", port[false]);
    hx_web_int(o, "tls_port", port[true]);
    hx_web_text(o, "certificate_sha256", w->tls.cert != NULL ? w->tls.sha256 : NULL);
    hx_web_close_object(o);
}

void hx_api_status(struct hx_web_request *r)
{
    struct hx_web *w = r->web;
    struct hx_web_figures *f = malloc(sizeof *f);
    const struct hx_state *s = w->state;
    struct hx_web_out *o = &r->out;
    uint64_t now_ms = hx_clock_ms();

    if (f == NULL) {
        hx_web_fail(r, 503, "busy", "out of memory");
        return;
    }
    w->peers_until_ms = now_ms + 10000u;
    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
    *f = w->figures;
    (void)pthread_mutex_unlock(&w->lock);
    hx_web_open_object(o, NULL);
    put_now(o);
    hx_web_text(o, "version", HX_VERSION);
    hx_web_int(o, "uptime_s", (int64_t)((now_ms - s->started_ms) / 1000u));
    hx_web_int(o, "starts", s->starts);
    hx_web_int(o, "device_number", s->device_number);
    hx_web_text(o, "name", w->settings.text[HX_S_DEVICE_NAME]);
    hx_web_text(o, "hostname", w->names.hostname);
    hx_web_bool(o, "factory_password", hx_web_factory_password(w));
    hx_web_bool(o, "read_only", hx_web_read_only(w));
    hx_web_bool(o, "simulated", s->simulated);
    put_link(o, s, now_ms);
    put_modbus(o, &w->settings, f);
    put_mqtt(o, &w->settings, f);
    put_web(o, w);
    hx_web_put_gateways(w, o);
    hx_web_open_object(o, "lights");
    hx_web_bool(o, "power", true);
    hx_web_bool(o, "han", s->any_good && now_ms - s->last_good_ms < HX_LED_HAN_MS);
    hx_web_close_object(o);
    hx_web_close_object(o);
    free(f);
    hx_web_reply(r, 200);
}

/* --- registers --- */

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_float(struct hx_web_out *o, uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    if (f != f) {
        hx_web_null(o, "value");
        return;
    }
    hx_web_put(o, ",\"value\":%.9g", (double)f); /* 9 digits tell every single apart */
}

static void put_register_value(struct hx_web_out *o, const struct hx_register *row,
                               const uint8_t *p)
{
    uint64_t v = big_endian(p, row->words <= 4 ? row->words * 2u : 0);
    size_t len = row->words * 2u;

    switch (row->type) {
    case HX_REG_U16:
    case HX_REG_U32:
        hx_web_int(o, "value", (int64_t)v);
        return;
    case HX_REG_U64:
        hx_web_put(o, ",\"value\":%" PRIu64, v);
        return;
    case HX_REG_S16:
        hx_web_int(o, "value", (int16_t)(uint16_t)v);
        return;
    case HX_REG_S32:
        hx_web_int(o, "value", (int32_t)(uint32_t)v);
        return;
    case HX_REG_F32:
        put_float(o, (uint32_t)v);
        return;
    case HX_REG_TEXT:
        while (len > 0 && p[len - 1] == '\0')
            len--;
        hx_web_span(o, "value", (struct hx_span){p, len});
        return;
    case HX_REG_RESERVED:
        hx_web_null(o, "value");
        return;
    }
}

static void put_register(struct hx_web_out *o, const struct hx_register *row,
                         const struct hx_registers *regs)
{
    const uint8_t *p = hx_registers_read(regs, row->address, row->words);
    char raw[2u * 2u * 255u + 255u];
    size_t at = 0;

    HX_ASSERT(p != NULL);
    for (unsigned i = 0; i < row->words; i++)
        at += (size_t)snprintf(raw + at, sizeof raw - at, "%s%02X%02X", i == 0 ? "" : " ",
                               p[2u * i], p[2u * i + 1u]);
    hx_web_open_object(o, NULL);
    hx_web_int(o, "address", row->address + 40001);
    hx_web_int(o, "words", row->words);
    hx_web_text(o, "type", hx_register_type_name(row->type));
    hx_web_text(o, "name", row->name);
    hx_web_text(o, "unit", row->unit);
    hx_web_text(o, "meaning", row->meaning);
    hx_web_bool(o, "writable", row->writable);
    put_register_value(o, row, p);
    hx_web_text(o, "raw", raw);
    hx_web_close_object(o);
}

void hx_api_registers(struct hx_web_request *r)
{
    size_t count;
    const struct hx_register *rows = hx_register_table(&count);

    hx_registers_render(&r->web->regs, r->web->state);
    hx_web_open_object(&r->out, NULL);
    hx_web_open_array(&r->out, "registers");
    for (size_t i = 0; i < count; i++)
        put_register(&r->out, &rows[i], &r->web->regs);
    hx_web_close_array(&r->out);
    hx_web_close_object(&r->out);
    hx_web_reply(r, 200);
}

/* --- telegrams --- */

/* Copy one entry out, counted from the newest. @return false when there is none (any more). */
static bool copy_entry(struct hx_web *w, uint32_t back, struct hx_web_entry *out)
{
    bool there;

    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
    there = back < w->telegrams && back < HX_WEB_TELEGRAMS;
    if (there)
        *out = w->ring[(w->telegrams - 1u - back) % HX_WEB_TELEGRAMS];
    (void)pthread_mutex_unlock(&w->lock);
    return there;
}

static size_t kept(const struct hx_web_entry *e)
{
    return e->len < HX_WEB_RAW ? e->len : HX_WEB_RAW;
}

static void put_hex(struct hx_web_out *o, const char *key, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t text[2u * HX_WEB_RAW];

    for (size_t i = 0; i < n; i++) {
        text[2u * i] = (uint8_t)digits[p[i] >> 4];
        text[2u * i + 1u] = (uint8_t)digits[p[i] & 15u];
    }
    hx_web_span(o, key, (struct hx_span){text, 2u * n});
}

static void put_decoded(struct hx_web_out *o, const struct hx_web_entry *e)
{
    uint8_t json[JSON_MAX];
    struct hx_wr w = {.ptr = json, .cap = sizeof json};

    if (!e->decoded) {
        hx_web_null(o, "list");
        hx_web_null(o, "decoded");
        return;
    }
    hx_telegram_json(&w, &e->telegram);
    HX_ASSERT(w.err == HX_OK);
    hx_web_int(o, "list", e->telegram.list);
    hx_web_put(o, ",\"decoded\":");
    hx_web_put_span(o, (struct hx_span){json, w.len});
}

static void put_entry(struct hx_web_out *o, const struct hx_web_entry *e, uint64_t now_ms)
{
    hx_web_open_object(o, NULL);
    hx_web_int(o, "number", e->number);
    hx_web_time(o, "time", e->utc_ms != 0, e->utc_ms);
    put_age(o, "age_s", true, e->at_ms, now_ms);
    hx_web_bool(o, "ok", e->err == HX_OK);
    hx_web_text(o, "reason", e->err == HX_OK ? NULL : hx_err_text(e->err));
    hx_web_text(o, "reason_code", e->err == HX_OK ? NULL : drop_names[-(int)e->err]);
    hx_web_int(o, "bytes", (int64_t)e->len);
    put_hex(o, "raw", e->raw, kept(e));
    hx_web_bool(o, "cut", e->len > HX_WEB_RAW);
    put_decoded(o, e);
    hx_web_close_object(o);
}

static void telegrams_raw(struct hx_web_request *r, struct hx_web_entry *e)
{
    for (uint32_t back = HX_WEB_TELEGRAMS; back-- > 0;)
        if (copy_entry(r->web, back, e))
            hx_web_put_span(&r->out, (struct hx_span){e->raw, kept(e)});
    r->type = "application/octet-stream";
    r->download = "telegrams.bin";
}

static void telegrams_json(struct hx_web_request *r, struct hx_web_entry *e)
{
    uint64_t now_ms = hx_clock_ms();

    hx_web_open_object(&r->out, NULL);
    hx_web_open_array(&r->out, "telegrams");
    for (uint32_t back = 0; copy_entry(r->web, back, e); back++)
        put_entry(&r->out, e, now_ms);
    hx_web_close_array(&r->out);
    hx_web_close_object(&r->out);
}

void hx_api_telegrams(struct hx_web_request *r)
{
    const char *format = hx_web_query(r, "format");
    struct hx_web_entry *e;
    bool raw = format != NULL && strcmp(format, "raw") == 0;

    if (format != NULL && !raw && strcmp(format, "json") != 0) {
        hx_web_fail(r, 400, "bad_request", "format is json or raw");
        return;
    }
    e = malloc(sizeof *e);
    if (e == NULL) {
        hx_web_fail(r, 503, "busy", "out of memory");
        return;
    }
    if (raw)
        telegrams_raw(r, e);
    else
        telegrams_json(r, e);
    free(e);
    hx_web_reply(r, 200);
}

/* --- history and log --- */

/* A whole number in a query. @return false: answered with 400. */
static bool number_of(struct hx_web_request *r, const char *name, unsigned def, unsigned min,
                      unsigned max, unsigned *out)
{
    const char *text = hx_web_query(r, name);

    *out = def;
    if (text == NULL)
        return true;
    if (strlen(text) > 0 && strlen(text) < 6 && strspn(text, "0123456789") == strlen(text))
        *out = (unsigned)strtoul(text, NULL, 10);
    else
        *out = UINT32_MAX;
    if (*out >= min && *out <= max)
        return true;
    hx_web_fail(r, 400, "bad_request", "%s is a whole number from %u to %u", name, min, max);
    return false;
}

void hx_api_history(struct hx_web_request *r)
{
    unsigned hours, step_s;

    if (!number_of(r, "hours", 1, 1, 24, &hours) || !number_of(r, "step_s", 10, 10, 300, &step_s))
        return;
    if (step_s != 10 && step_s != 60 && step_s != 300) {
        hx_web_fail(r, 400, "bad_request", "step_s is 10, 60 or 300");
        return;
    }
    hx_history_json(&r->web->history, r->web->state, hours, step_s, &r->out);
    hx_web_reply(r, 200);
}

void hx_api_history_recent(struct hx_web_request *r)
{
    hx_history_recent_json(&r->web->history, r->web->state, &r->out);
    hx_web_reply(r, 200);
}

void hx_api_log(struct hx_web_request *r)
{
    unsigned count;

    if (!number_of(r, "count", 100, 1, HX_AUDIT_LINES, &count))
        return;
    hx_audit_json(&r->web->audit, count, &r->out);
    hx_web_reply(r, 200);
}

/* --- health --- */

#define ALIVE_MS 5000u /* the state comes each second */

static const char *what_is_wrong(const struct hx_web *w, uint64_t now_ms, const char **code)
{
    const struct hx_state *s = w->state;

    *code = "loop";
    if (now_ms - s->now_ms >= ALIVE_MS)
        return "the gateway's loop does not turn";
    *code = link_name(s->link);
    if (!s->any_good || now_ms - s->last_good_ms >= HX_LED_HAN_MS)
        return hx_link_text(s->link);
    *code = NULL;
    return "";
}

void hx_api_health(struct hx_web_request *r)
{
    const char *code, *reason = what_is_wrong(r->web, hx_clock_ms(), &code);

    hx_web_open_object(&r->out, NULL);
    hx_web_bool(&r->out, "ok", *reason == '\0');
    hx_web_text(&r->out, "reason", reason);
    hx_web_text(&r->out, "reason_code", code);
    hx_web_close_object(&r->out);
    hx_web_reply(r, *reason == '\0' ? 200 : 503);
}
