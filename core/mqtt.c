/* mqtt.c - see hx/mqtt.h */
#include "hx/mqtt.h"

#include <string.h>

#define ENERGY_COUNT 4u
#define KWH_DECIMALS 3u /* of Wh */

/* ---- the topics --------------------------------------------------------------------------- */

/* Where a topic's value comes from: a field of the meter, or one of these. */
enum source {
    ESTIMATE = HX_FIELD_COUNT, /* + 0 … 3, order of HX_E_IMPORT … */
    VERSION = ESTIMATE + ENERGY_COUNT,
    METER_ID,
    METER_TYPE,
    INPUT,
};

/* Unit, the same in Home Assistant's spelling, its device and state class, decimals it shows: its
 * sensor entity documentation; reactive energy is known there since 2025. */
#define POWER "W", "W", "power", "measurement", 0
#define REACTIVE_POWER "VAR", "var", "reactive_power", "measurement", 0
#define CURRENT "A", "A", "current", "measurement", 2
#define VOLTAGE "V", "V", "voltage", "measurement", 1
#define ENERGY "kWh", "kWh", "energy", "total_increasing", 2
#define REACTIVE_ENERGY "kVARh", "kvarh", "reactive_energy", "total_increasing", 2
#define PLAIN "", NULL, NULL, NULL, 0

/* Order and spelling: manual, "MQTT", less its misprint of reactEnergyPos twice. */
static const struct hx_topic topics[] = {
    {"obisListVersion", "List version", PLAIN, false, VERSION},
    {"meterId", "Meter ID", PLAIN, false, METER_ID},
    {"meterType", "Meter type", PLAIN, false, METER_TYPE},
    {"actPowPos", "Active power import", POWER, false, HX_P_IMPORT},
    {"actPowNeg", "Active power export", POWER, false, HX_P_EXPORT},
    {"reactPowPos", "Reactive power import", REACTIVE_POWER, false, HX_Q_IMPORT},
    {"reactPowNeg", "Reactive power export", REACTIVE_POWER, false, HX_Q_EXPORT},
    {"currL1", "Current L1", CURRENT, false, HX_I_L1},
    {"currL2", "Current L2", CURRENT, false, HX_I_L2},
    {"currL3", "Current L3", CURRENT, false, HX_I_L3},
    {"voltL1", "Voltage L1", VOLTAGE, false, HX_U_L1},
    {"voltL2", "Voltage L2", VOLTAGE, false, HX_U_L2},
    {"voltL3", "Voltage L3", VOLTAGE, false, HX_U_L3},
    {"actEnergyPos", "Active energy import", ENERGY, false, HX_E_IMPORT},
    {"actEnergyNeg", "Active energy export", ENERGY, false, HX_E_EXPORT},
    {"reactEnergyPos", "Reactive energy import", REACTIVE_ENERGY, false, HX_R_IMPORT},
    {"reactEnergyNeg", "Reactive energy export", REACTIVE_ENERGY, false, HX_R_EXPORT},
    {"digitalinput", "Digital input", PLAIN, false, INPUT},
    {"actEnergyPosEst", "Active energy import (estimated)", ENERGY, true, ESTIMATE},
    {"actEnergyNegEst", "Active energy export (estimated)", ENERGY, true, ESTIMATE + 1},
    {"reactEnergyPosEst", "Reactive energy import (estimated)", REACTIVE_ENERGY, true,
     ESTIMATE + 2},
    {"reactEnergyNegEst", "Reactive energy export (estimated)", REACTIVE_ENERGY, true,
     ESTIMATE + 3},
};

const struct hx_topic *hx_topic_table(size_t *count)
{
    *count = sizeof topics / sizeof topics[0];
    return topics;
}

enum hx_topic_kind hx_topic_kind(const struct hx_topic *t)
{
    if (t->source == INPUT)
        return HX_TOPIC_BIT;
    return t->source >= VERSION ? HX_TOPIC_TEXT : HX_TOPIC_NUMBER;
}

/* ---- their values ------------------------------------------------------------------------- */

static bool is_energy(enum hx_field f)
{
    return f >= HX_E_IMPORT;
}

static bool is_power(enum hx_field f)
{
    return f <= HX_Q_EXPORT;
}

/* Decimals that our resolution has in the unit that is sent: W 0, mA 3, mV 3, Wh 3. */
static unsigned all_decimals(enum hx_field f)
{
    return is_power(f) ? 0u : 3u;
}

/* A raw value in its unit, scaled, with the digits that are sent. */
static void put_number(const struct hx_state *s, enum hx_field f, int64_t raw, int8_t own,
                       struct hx_topic_value *out)
{
    unsigned all = all_decimals(f), digits = all;
    bool voltage = f >= HX_U_L1 && f <= HX_U_L3; /* never scaled */
    if (!is_energy(f) && (s->scale == HX_SCALE_DEFAULT || voltage) && own >= 0 &&
        (unsigned)own < all)
        digits = (unsigned)own;
    out->num = hx_div_round(hx_state_scaled(s, f, raw), hx_pow10(all - digits));
    out->decimals = (int)digits;
}

static bool read_field(const struct hx_state *s, enum hx_field f, struct hx_topic_value *out)
{
    const struct hx_value *v = &s->meter.value[f];
    if (v->quality == HX_UNKNOWN)
        return false;
    put_number(s, f, v->num, v->decimals, out);
    out->at_known = v->quality != HX_HELD; /* held: restored, its telegram came before the start */
    out->at_ms = v->at_ms;
    return true;
}

/* Its time is that of the newest telegram that went into it. */
static bool read_estimate(const struct hx_state *s, unsigned i, struct hx_topic_value *out)
{
    const struct hx_energy *e = &s->energy[i];
    enum hx_field f = (enum hx_field)(HX_E_IMPORT + i);
    const struct hx_value *total = &s->meter.value[f];
    if (!e->known)
        return false;
    put_number(s, f, hx_energy_wh(e), 0, out);
    out->at_known = e->has_power || total->quality == HX_MEASURED;
    out->at_ms = e->has_power ? e->power_at_ms : 0;
    if (total->quality == HX_MEASURED && total->at_ms > out->at_ms)
        out->at_ms = total->at_ms;
    return true;
}

/* Identity comes with lists 2 and 3, as does every field but P+. */
static bool read_text(const struct hx_state *s, const struct hx_text *t, struct hx_topic_value *out)
{
    size_t len = t->len;
    while (len > 0 && t->s[len - 1u] == '\0')
        len--;
    if (!s->meter.known || len == 0)
        return false;
    out->text = (struct hx_span){(const uint8_t *)t->s, len};
    for (unsigned f = HX_P_IMPORT + 1u; f < HX_FIELD_COUNT; f++) {
        const struct hx_value *v = &s->meter.value[f];
        if (v->quality == HX_MEASURED && (!out->at_known || v->at_ms > out->at_ms)) {
            out->at_known = true;
            out->at_ms = v->at_ms;
        }
    }
    return true;
}

bool hx_topic_read(const struct hx_topic *t, const struct hx_state *s, struct hx_topic_value *out)
{
    *out = (struct hx_topic_value){.num = 0};
    if (t->source < ESTIMATE)
        return read_field(s, (enum hx_field)t->source, out);
    if (t->source < VERSION)
        return read_estimate(s, t->source - (unsigned)ESTIMATE, out);
    if (t->source == VERSION)
        return read_text(s, &s->meter.version, out);
    if (t->source == METER_ID)
        return read_text(s, &s->meter.id, out);
    if (t->source == METER_TYPE)
        return read_text(s, &s->meter.type, out);
    out->num = s->input_closed ? 1 : 0;
    out->at_known = true;
    out->at_ms = s->now_ms;
    return s->input_known;
}

/* Texts are told apart by a hash: FNV-1a, 64 bits. */
static int64_t hash(struct hx_span s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.ptr[i]) * 1099511628211u;
    return (int64_t)(h >> 1); /* any 63 bits do */
}

int64_t hx_topic_sent(const struct hx_topic *t, const struct hx_topic_value *v)
{
    return hx_topic_kind(t) == HX_TOPIC_TEXT ? hash(v->text) : v->num;
}

bool hx_topic_utc_ms(const struct hx_state *s, uint64_t at_ms, int64_t *utc_ms)
{
    int64_t ms = s->utc_ms - (int64_t)(s->now_ms - at_ms);
    if (!s->utc_known || ms < 0)
        return false;
    *utc_ms = ms;
    return true;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* A text from the settings, which is UTF-8 without control characters, as a JSON string. */
static void put_utf8(struct hx_wr *w, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            hx_wr_u8(w, '\\');
        hx_wr_u8(w, (uint8_t)*s);
    }
}

/* ,"key": */
static void put_key(struct hx_wr *w, const char *key)
{
    hx_wr_str(w, ",\"");
    hx_wr_str(w, key);
    hx_wr_str(w, "\":");
}

static void put_member(struct hx_wr *w, const char *key, const char *text)
{
    put_key(w, key);
    hx_wr_u8(w, '"');
    hx_wr_str(w, text);
    hx_wr_u8(w, '"');
}

/* ,"key":"<main topic>/sub" */
static void put_topic(struct hx_wr *w, const char *key, const struct hx_mqtt *m, const char *sub)
{
    put_key(w, key);
    hx_wr_u8(w, '"');
    put_utf8(w, m->config.topic);
    hx_wr_u8(w, '/');
    hx_wr_str(w, sub);
    hx_wr_u8(w, '"');
}

static void put_value(struct hx_wr *w, const struct hx_topic *t, const struct hx_topic_value *v)
{
    if (hx_topic_kind(t) == HX_TOPIC_TEXT)
        hx_wr_json(w, v->text);
    else
        hx_wr_dec(w, v->num, -v->decimals);
}

/* ,"dateTime":…,"dateTimeUtc":… */
static void put_times(struct hx_wr *w, const struct hx_state *s, const struct hx_zone *z,
                      bool at_known, uint64_t at_ms)
{
    int64_t utc_ms;
    if (!at_known || !hx_topic_utc_ms(s, at_ms, &utc_ms)) {
        hx_wr_str(w, ",\"dateTime\":null,\"dateTimeUtc\":null");
        return;
    }
    hx_wr_str(w, ",\"dateTime\":\"");
    hx_zone_format(w, z, utc_ms / 1000);
    hx_wr_str(w, "\",\"dateTimeUtc\":\"");
    hx_utc_format(w, utc_ms / 1000);
    hx_wr_u8(w, '"');
}

static struct hx_wr name_writer(struct hx_mqtt_msg *out)
{
    out->len = 0;
    out->retain_always = false;
    return (struct hx_wr){.ptr = (uint8_t *)out->name, .cap = HX_MQTT_NAME_MAX};
}

static struct hx_wr payload_writer(struct hx_mqtt_msg *out)
{
    return (struct hx_wr){.ptr = out->payload, .cap = HX_MQTT_PAYLOAD_MAX - 1u};
}

static enum hx_err finish(struct hx_mqtt_msg *out, const struct hx_wr *name,
                          const struct hx_wr *payload)
{
    if (name->err != HX_OK || payload->err != HX_OK)
        return HX_E_SPACE;
    out->name[name->len] = '\0';
    out->payload[payload->len] = '\0';
    out->len = payload->len;
    return HX_OK;
}

static void write_name(struct hx_wr *w, const struct hx_mqtt_config *c, const char *sub)
{
    hx_wr_str(w, c->topic);
    hx_wr_u8(w, '/');
    hx_wr_str(w, sub);
}

void hx_mqtt_status_name(struct hx_wr *w, const struct hx_mqtt_config *config)
{
    write_name(w, config, "status");
}

static enum hx_err write_status(const struct hx_mqtt *m, struct hx_mqtt_msg *out)
{
    struct hx_wr name = name_writer(out), w = payload_writer(out);
    out->retain_always = true;
    hx_mqtt_status_name(&name, &m->config);
    hx_wr_str(&w, "online");
    return finish(out, &name, &w);
}

/* ---- one topic ---------------------------------------------------------------------------- */

static bool is_over(const struct hx_mqtt *m, const struct hx_mqtt_last *last, uint64_t now_ms)
{
    return now_ms - last->at_ms >= m->config.interval_ms;
}

static bool is_wanted(const struct hx_mqtt *m, const struct hx_topic *t)
{
    return m->config.estimated || !t->extension;
}

/* The topic is due: notes that it is published. */
static bool take_due(struct hx_mqtt *m, size_t i, const struct hx_topic_value *v, uint64_t now_ms)
{
    struct hx_mqtt_last *last = &m->last[i];
    int64_t num = hx_topic_sent(&topics[i], v);
    if (last->published && last->num == num && last->decimals == v->decimals &&
        !is_over(m, last, now_ms))
        return false;
    *last = (struct hx_mqtt_last){
        .published = true, .num = num, .decimals = (int8_t)v->decimals, .at_ms = now_ms};
    return true;
}

static enum hx_err write_topic(const struct hx_mqtt *m, const struct hx_topic *t,
                               const struct hx_topic_value *v, const struct hx_state *s,
                               const struct hx_zone *z, struct hx_mqtt_msg *out)
{
    struct hx_wr name = name_writer(out), w = payload_writer(out);
    write_name(&name, &m->config, t->subtopic);
    hx_wr_str(&w, "{\"value\":");
    put_value(&w, t, v);
    put_member(&w, "unit", t->unit);
    put_times(&w, s, z, v->at_known, v->at_ms);
    put_topic(&w, "topic", m, t->subtopic);
    hx_wr_u8(&w, '}');
    return finish(out, &name, &w);
}

static enum hx_err next_topic(struct hx_mqtt *m, const struct hx_state *s, const struct hx_zone *z,
                              uint64_t now_ms, struct hx_mqtt_msg *out)
{
    for (size_t i = 0; i < HX_TOPIC_COUNT; i++) {
        struct hx_topic_value v;
        if (!is_wanted(m, &topics[i]))
            continue;
        if (!hx_topic_read(&topics[i], s, &v))
            m->last[i].published = false; /* no interval runs for it */
        else if (take_due(m, i, &v, now_ms))
            return write_topic(m, &topics[i], &v, s, z, out);
    }
    return HX_MORE;
}

/* ---- the whole state in one message ------------------------------------------------------- */

static bool take_json_due(struct hx_mqtt *m, const struct hx_state *s, uint64_t now_ms)
{
    struct hx_mqtt_last *last = &m->last_json;
    int64_t input = !s->input_known ? -1 : s->input_closed ? 1 : 0;
    if (s->telegrams == 0 && input < 0)
        return false; /* nothing to say yet */
    if (last->published && m->json_telegrams == s->telegrams && last->num == input &&
        !is_over(m, last, now_ms))
        return false;
    *last = (struct hx_mqtt_last){.published = true, .num = input, .at_ms = now_ms};
    m->json_telegrams = s->telegrams;
    return true;
}

static enum hx_err write_state(const struct hx_mqtt *m, const struct hx_state *s,
                               const struct hx_zone *z, struct hx_mqtt_msg *out)
{
    struct hx_wr name = name_writer(out), w = payload_writer(out);
    struct hx_topic_value v;
    write_name(&name, &m->config, "state");
    hx_wr_str(&w, "{\"telegram\":");
    hx_wr_int(&w, s->telegrams);
    put_times(&w, s, z, s->any_good, s->last_good_ms);
    put_topic(&w, "topic", m, "state");
    for (size_t i = 0; i < HX_TOPIC_COUNT; i++) {
        if (!is_wanted(m, &topics[i]) || !hx_topic_read(&topics[i], s, &v))
            continue;
        put_key(&w, topics[i].subtopic);
        put_value(&w, &topics[i], &v);
    }
    hx_wr_u8(&w, '}');
    return finish(out, &name, &w);
}

/* ---- Home Assistant ----------------------------------------------------------------------- */

static void put_device_id(struct hx_wr *w, const struct hx_state *s)
{
    hx_wr_str(w, "han2x_");
    hx_wr_int(w, s->device_number);
}

static void write_discovery_name(struct hx_wr *w, const struct hx_mqtt *m, const struct hx_state *s)
{
    hx_wr_str(w, m->config.ha_prefix);
    hx_wr_str(w, "/device/");
    put_device_id(w, s);
    hx_wr_str(w, "/config");
}

static void put_device(struct hx_wr *w, const struct hx_state *s)
{
    hx_wr_str(w, "{\"device\":{\"identifiers\":[\"");
    put_device_id(w, s);
    hx_wr_str(w, "\"],\"name\":\"HAN2X ");
    hx_wr_int(w, s->device_number);
    hx_wr_u8(w, '"');
    put_member(w, "manufacturer", "han2x");
    put_member(w, "model", s->simulated ? "HAN2X (simulated meter)" : "HAN2X");
    put_member(w, "sw_version", HX_VERSION);
    hx_wr_str(w, "},\"origin\":{\"name\":\"han2x\"");
    put_member(w, "sw_version", HX_VERSION);
    hx_wr_u8(w, '}');
}

/* Where the value is: a topic of its own, or the whole-state message when that is all there is. */
static void put_place(struct hx_wr *w, const struct hx_mqtt *m, const struct hx_topic *t)
{
    if (m->config.formats & HX_MQTT_HAN2X) {
        put_topic(w, "state_topic", m, t->subtopic);
        put_member(w, "value_template", "{{ value_json.value }}");
        return;
    }
    put_topic(w, "state_topic", m, "state");
    hx_wr_str(w, ",\"value_template\":\"{{ value_json.");
    hx_wr_str(w, t->subtopic);
    hx_wr_str(w, " | default(none) }}\""); /* none: unknown there, as here */
}

static void put_kind(struct hx_wr *w, const struct hx_topic *t)
{
    switch (hx_topic_kind(t)) {
    case HX_TOPIC_NUMBER:
        put_member(w, "unit_of_measurement", t->ha_unit);
        put_member(w, "device_class", t->device_class);
        put_member(w, "state_class", t->state_class);
        put_key(w, "suggested_display_precision");
        hx_wr_int(w, t->precision);
        return;
    case HX_TOPIC_TEXT:
        put_member(w, "entity_category", "diagnostic");
        return;
    case HX_TOPIC_BIT:
        put_member(w, "payload_on", "1");
        put_member(w, "payload_off", "0");
        return;
    }
    HX_UNREACHABLE();
}

/* A component of the platform alone is removed, one that is merely missing stays: Home Assistant,
 * "MQTT", "Removing components". */
static void put_removal(struct hx_wr *w, const struct hx_topic *t)
{
    hx_wr_u8(w, '"');
    hx_wr_str(w, t->subtopic);
    hx_wr_str(w, "\":{\"p\":\"sensor\"}");
}

static void put_component(struct hx_wr *w, const struct hx_mqtt *m, const struct hx_state *s,
                          const struct hx_topic *t)
{
    hx_wr_u8(w, '"');
    hx_wr_str(w, t->subtopic);
    hx_wr_str(w, "\":{\"p\":\"");
    hx_wr_str(w, hx_topic_kind(t) == HX_TOPIC_BIT ? "binary_sensor" : "sensor");
    hx_wr_u8(w, '"');
    put_member(w, "name", t->name);
    hx_wr_str(w, ",\"unique_id\":\"");
    put_device_id(w, s);
    hx_wr_u8(w, '_');
    hx_wr_str(w, t->subtopic);
    hx_wr_u8(w, '"');
    put_place(w, m, t);
    put_kind(w, t);
    put_key(w, "expire_after"); /* two intervals may fail to get through */
    hx_wr_int(w, (int64_t)(m->config.interval_ms / 1000u) * 2 + 60);
    hx_wr_u8(w, '}');
}

static enum hx_err write_discovery(struct hx_mqtt *m, const struct hx_state *s,
                                   struct hx_mqtt_msg *out)
{
    struct hx_wr name = name_writer(out), w = payload_writer(out);
    bool first = true;
    m->discovered = true;
    m->simulated = s->simulated;
    out->retain_always = true;
    write_discovery_name(&name, m, s);
    put_device(&w, s);
    hx_wr_str(&w, ",\"availability\":[{\"topic\":\"");
    put_utf8(&w, m->config.topic);
    hx_wr_str(&w, "/status\"}],\"components\":{");
    for (size_t i = 0; i < HX_TOPIC_COUNT; i++) {
        if (!first)
            hx_wr_u8(&w, ',');
        first = false;
        if (is_wanted(m, &topics[i]))
            put_component(&w, m, s, &topics[i]);
        else
            put_removal(&w, &topics[i]);
    }
    hx_wr_str(&w, "}}");
    return finish(out, &name, &w);
}

/* An empty retained message takes the one before it away (MQTT 3.1.1, 3.3.1.3). */
static enum hx_err write_removal(const struct hx_mqtt *m, const struct hx_state *s,
                                 struct hx_mqtt_msg *out)
{
    struct hx_wr name = name_writer(out), w = payload_writer(out);
    out->retain_always = true;
    write_discovery_name(&name, m, s);
    return finish(out, &name, &w);
}

/* ---- the face ----------------------------------------------------------------------------- */

void hx_mqtt_init(struct hx_mqtt *m, const struct hx_mqtt_config *config)
{
    memset(m, 0, sizeof *m);
    m->config = *config;
}

bool hx_mqtt_is_announced(const struct hx_mqtt_config *config)
{
    return config->homeassistant && config->formats != 0;
}

static void forget_published(struct hx_mqtt *m)
{
    memset(m->last, 0, sizeof m->last);
    memset(&m->last_json, 0, sizeof m->last_json);
}

void hx_mqtt_connected(struct hx_mqtt *m)
{
    forget_published(m);
    m->status_due = true;
    m->discovered = false;
    m->discovery_due = hx_mqtt_is_announced(&m->config);
}

void hx_mqtt_rediscover(struct hx_mqtt *m)
{
    if (!hx_mqtt_is_announced(&m->config))
        return;
    forget_published(m);
    m->discovery_due = true;
}

void hx_mqtt_undiscover(struct hx_mqtt *m)
{
    m->discovery_due = m->discovered = false;
    m->discovery_remove = true;
}

/* True once for each time it was set. */
static bool take(bool *flag)
{
    bool was = *flag;
    *flag = false;
    return was;
}

enum hx_err hx_mqtt_next(struct hx_mqtt *m, const struct hx_state *s, const struct hx_zone *z,
                         uint64_t now_ms, struct hx_mqtt_msg *out)
{
    enum hx_err e = HX_MORE;
    if (take(&m->status_due))
        return write_status(m, out);
    if (take(&m->discovery_remove))
        return write_removal(m, s, out);
    if (take(&m->discovery_due) || (m->discovered && m->simulated != s->simulated))
        return write_discovery(m, s, out);
    if (m->config.formats & HX_MQTT_HAN2X)
        e = next_topic(m, s, z, now_ms, out);
    if (e == HX_MORE && (m->config.formats & HX_MQTT_JSON) && take_json_due(m, s, now_ms))
        e = write_state(m, s, z, out);
    return e;
}

static void earlier(uint64_t *deadline, const struct hx_mqtt *m, const struct hx_mqtt_last *last)
{
    uint64_t at = last->at_ms + m->config.interval_ms;
    if (last->published && at < *deadline)
        *deadline = at;
}

uint64_t hx_mqtt_deadline_ms(const struct hx_mqtt *m)
{
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < HX_TOPIC_COUNT; i++)
        earlier(&at, m, &m->last[i]);
    earlier(&at, m, &m->last_json);
    return at;
}
