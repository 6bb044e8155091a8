/* test_mqtt.c - what is published, when, and in which words. Payloads are written out by hand from
 * the manual's five keys; Home Assistant's words from its documentation of sensor entities and of
 * MQTT discovery. */
#include "check.h"

#include "hx/mqtt.h"

#define START_MS 1000000u
#define START_UTC_MS 1744538405000 /* 2025-04-13T10:00:05Z */
#define INTERVAL_MS 600000u        /* manual: every 10 minutes */

static const struct hx_zone oslo = {INT64_MIN, 3600, 7200};

/* ---- a gateway's state and a client, small enough to see through -------------------------- */

static struct hx_state state;
static struct hx_mqtt mqtt;
static struct hx_mqtt_msg msg;
static uint64_t now_ms;

static struct hx_mqtt_config config(unsigned formats, bool homeassistant)
{
    return (struct hx_mqtt_config){.topic = "HAN2X_70388",
                                   .ha_prefix = "homeassistant",
                                   .interval_ms = INTERVAL_MS,
                                   .formats = formats,
                                   .estimated = true,
                                   .homeassistant = homeassistant};
}

static void start(const struct hx_mqtt_config *c)
{
    memset(&state, 0, sizeof state);
    hx_meter_init(&state.meter);
    now_ms = state.now_ms = START_MS;
    state.utc_known = true;
    state.utc_ms = START_UTC_MS;
    state.scale = HX_SCALE_DEFAULT;
    state.device_number = 70388;
    hx_mqtt_init(&mqtt, c);
    hx_mqtt_connected(&mqtt);
}

static void pass(uint32_t ms)
{
    now_ms += ms;
    state.now_ms += ms;
    state.utc_ms += ms;
}

static void set(enum hx_field f, int64_t num, int8_t decimals)
{
    state.meter.value[f] = (struct hx_value){
        .num = num, .at_ms = state.now_ms, .decimals = decimals, .quality = HX_MEASURED};
}

static enum hx_err next(void)
{
    enum hx_err e = hx_mqtt_next(&mqtt, &state, &oslo, now_ms, &msg);
    if (e == HX_OK && (strlen(msg.name) > HX_MQTT_NAME_MAX || msg.payload[msg.len] != '\0'))
        fail_msg("message is not ended: %s", msg.name);
    return e;
}

static void expect(const char *name, const char *payload)
{
    enum hx_err e = next();
    if (e != HX_OK)
        fail_msg("%s: nothing is due (%d)", name, e);
    if (strcmp(msg.name, name) != 0)
        fail_msg("%s: topic is %s", name, msg.name);
    if (strcmp((const char *)msg.payload, payload) != 0)
        fail_msg("%s: payload is %s, not %s", name, (const char *)msg.payload, payload);
    CHECK_INT(name, msg.len, strlen(payload));
}

static void expect_nothing(const char *when)
{
    enum hx_err e = next();
    if (e != HX_MORE)
        fail_msg("%s: %s is due (%d)", when, msg.name, e);
}

/* Messages until nothing is due; how many. */
static unsigned drain(void)
{
    unsigned n = 0;
    while (next() == HX_OK)
        n++;
    return n;
}

static void start_drained(const struct hx_mqtt_config *c)
{
    start(c);
    (void)drain();
}

/* ---- the table ---------------------------------------------------------------------------- */

/* Manual, "MQTT": subtopics and units, its second reactEnergyPos read as Neg. */
static const struct {
    const char *subtopic, *unit;
} manual[] = {
    {"obisListVersion", ""},
    {"meterId", ""},
    {"meterType", ""},
    {"actPowPos", "W"},
    {"actPowNeg", "W"},
    {"reactPowPos", "VAR"},
    {"reactPowNeg", "VAR"},
    {"currL1", "A"},
    {"currL2", "A"},
    {"currL3", "A"},
    {"voltL1", "V"},
    {"voltL2", "V"},
    {"voltL3", "V"},
    {"actEnergyPos", "kWh"},
    {"actEnergyNeg", "kWh"},
    {"reactEnergyPos", "kVARh"},
    {"reactEnergyNeg", "kVARh"},
    {"digitalinput", ""},
};

static void the_manuals_topics(void **unused)
{
    size_t count, of_manual = sizeof manual / sizeof manual[0];
    const struct hx_topic *t = hx_topic_table(&count);
    (void)unused;
    CHECK_INT("18 of the manual and 4 estimates", count, HX_TOPIC_COUNT);
    CHECK_INT("of the manual", of_manual, 18);
    for (size_t i = 0; i < of_manual; i++) {
        CHECK(manual[i].subtopic, strcmp(t[i].subtopic, manual[i].subtopic) == 0);
        CHECK(manual[i].subtopic, strcmp(t[i].unit, manual[i].unit) == 0);
        CHECK(manual[i].subtopic, !t[i].extension);
    }
    for (size_t i = of_manual; i < count; i++) {
        CHECK(t[i].subtopic, t[i].extension);
        CHECK(t[i].subtopic,
              strncmp(t[i].subtopic, t[i - 5].subtopic, strlen(t[i - 5].subtopic)) == 0);
        CHECK(t[i].subtopic, strcmp(t[i].subtopic + strlen(t[i - 5].subtopic), "Est") == 0);
    }
}

/* ---- payloads ----------------------------------------------------------------------------- */

static void the_payload(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start_drained(&c);
    set(HX_P_IMPORT, 2390, 0);
    pass(5999); /* its telegram came at 10:00:05; now it is 10:00:10.999 */
    expect("HAN2X_70388/actPowPos",
           "{\"value\":2390,\"unit\":\"W\",\"dateTime\":\"2025-04-13T12:00:05+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:05Z\",\"topic\":\"HAN2X_70388/actPowPos\"}");
    CHECK("retained by the setting only", !msg.retain_always);
    expect_nothing("sent once");
}

static void no_time_while_the_clock_is_not_known(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start_drained(&c);
    state.utc_known = false;
    set(HX_P_EXPORT, 0, 0);
    expect("HAN2X_70388/actPowNeg", "{\"value\":0,\"unit\":\"W\",\"dateTime\":null,"
                                    "\"dateTimeUtc\":null,\"topic\":\"HAN2X_70388/actPowNeg\"}");
    state.utc_known = true;
    set(HX_E_IMPORT, 1234560, 0);
    state.meter.value[HX_E_IMPORT].quality = HX_HELD; /* from before the start */
    expect("HAN2X_70388/actEnergyPos",
           "{\"value\":1234.560,\"unit\":\"kWh\",\"dateTime\":null,"
           "\"dateTimeUtc\":null,\"topic\":\"HAN2X_70388/actEnergyPos\"}");
}

static const struct {
    const char *name;
    enum hx_field field;
    int64_t num;
    int8_t decimals;
    uint32_t scale;
    const char *text; /* how the payload begins */
} values[] = {
    {"whole watts", HX_P_IMPORT, 7482, 0, 1000, "{\"value\":7482,\"unit\":\"W\""},
    {"reactive power", HX_Q_EXPORT, 153, 0, 1000, "{\"value\":153,\"unit\":\"VAR\""},
    {"Aidon current", HX_I_L1, 5100, 1, 1000, "{\"value\":5.1,\"unit\":\"A\""},
    {"Kaifa current", HX_I_L2, 5123, 3, 1000, "{\"value\":5.123,\"unit\":\"A\""},
    {"Kamstrup current", HX_I_L3, 500, 2, 1000, "{\"value\":0.50,\"unit\":\"A\""},
    {"exporting", HX_I_L1, -5100, 1, 1000, "{\"value\":-5.1,\"unit\":\"A\""},
    {"no current", HX_I_L1, 0, 1, 1000, "{\"value\":0.0,\"unit\":\"A\""},
    {"Aidon voltage", HX_U_L1, 231100, 1, 1000, "{\"value\":231.1,\"unit\":\"V\""},
    {"digit that is zero", HX_U_L2, 239000, 1, 1000, "{\"value\":239.0,\"unit\":\"V\""},
    {"Kamstrup voltage", HX_U_L3, 230000, 0, 1000, "{\"value\":230,\"unit\":\"V\""},
    {"energy to the Wh", HX_E_IMPORT, 1234567, 0, 1000, "{\"value\":1234.567,\"unit\":\"kWh\""},
    {"little energy", HX_E_EXPORT, 5, 0, 1000, "{\"value\":0.005,\"unit\":\"kWh\""},
    {"largest meter total", HX_R_IMPORT, 42949672950, 0, 1000,
     "{\"value\":42949672.950,\"unit\":\"kVARh\""},
    {"no energy", HX_R_EXPORT, 0, 0, 1000, "{\"value\":0.000,\"unit\":\"kVARh\""},
    /* scaled: all digits of our resolution, as on Modbus */
    {"power × 2.5, half away from zero", HX_P_IMPORT, 1001, 0, 2500,
     "{\"value\":2503,\"unit\":\"W\""}, /* 2502.5 */
    {"current × 1.5", HX_I_L1, 5100, 1, 1500, "{\"value\":7.650,\"unit\":\"A\""},
    {"current × 0.01", HX_I_L1, 5100, 1, 10, "{\"value\":0.051,\"unit\":\"A\""},
    {"voltage is never scaled", HX_U_L1, 231100, 1, 1500, "{\"value\":231.1,\"unit\":\"V\""},
    {"energy × 1.5, down", HX_E_IMPORT, 1001, 0, 1500, "{\"value\":1.501,\"unit\":\"kWh\""},
};

static void numbers_with_the_meters_digits(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        start_drained(&c);
        state.scale = values[i].scale;
        set(values[i].field, values[i].num, values[i].decimals);
        CHECK_INT(values[i].name, next(), HX_OK);
        if (strncmp((const char *)msg.payload, values[i].text, strlen(values[i].text)) != 0)
            fail_msg("%s: %s", values[i].name, (const char *)msg.payload);
        expect_nothing(values[i].name);
    }
}

static void identify(const char *version, const char *id, const char *type)
{
    const char *from[3] = {version, id, type};
    struct hx_text *to[3] = {&state.meter.version, &state.meter.id, &state.meter.type};
    for (unsigned i = 0; i < 3; i++) {
        to[i]->len = (uint8_t)strlen(from[i]);
        memcpy(to[i]->s, from[i], to[i]->len);
    }
    state.meter.known = true;
}

static void identities_are_strings(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start_drained(&c);
    identify("AIDON_V0001", "7359992890941742", "65\"15\\");
    state.meter.id.s[14] = state.meter.id.s[15] = '\0'; /* padded, as Embriq's */
    set(HX_U_L1, 231100, 1);
    pass(2000);
    expect("HAN2X_70388/obisListVersion",
           "{\"value\":\"AIDON_V0001\",\"unit\":\"\",\"dateTime\":\"2025-04-13T12:00:05+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:05Z\",\"topic\":\"HAN2X_70388/obisListVersion\"}");
    expect("HAN2X_70388/meterId",
           "{\"value\":\"73599928909417\",\"unit\":\"\",\"dateTime\":\"2025-04-13T12:00:05+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:05Z\",\"topic\":\"HAN2X_70388/meterId\"}");
    expect("HAN2X_70388/meterType",
           "{\"value\":\"65\\\"15\\\\\",\"unit\":\"\",\"dateTime\":\"2025-04-13T12:00:05+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:05Z\",\"topic\":\"HAN2X_70388/meterType\"}");
    CHECK_INT("voltage", drain(), 1);
    identify("AIDON_V0001", "7359992890941743", "6515");
    CHECK_INT("another id and type", drain(), 2);
    state.meter.type.len = 0; /* Embriq meters without a type are on record */
    pass(INTERVAL_MS);
    CHECK_INT("an empty text is not known", drain(), 3);
}

static void the_digital_input(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start_drained(&c);
    pass(1000);
    expect_nothing("not fitted");
    state.input_known = true;
    expect("HAN2X_70388/digitalinput",
           "{\"value\":0,\"unit\":\"\",\"dateTime\":\"2025-04-13T12:00:06+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:06Z\",\"topic\":\"HAN2X_70388/digitalinput\"}");
    state.input_closed = true;
    pass(10);
    expect("HAN2X_70388/digitalinput",
           "{\"value\":1,\"unit\":\"\",\"dateTime\":\"2025-04-13T12:00:06+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:06Z\",\"topic\":\"HAN2X_70388/digitalinput\"}");
}

static void estimated_energies(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    struct hx_energy *e = &state.energy[0];
    (void)unused;
    start_drained(&c);
    *e = (struct hx_energy){.known = true, .total_wh = 117843, .shown_wh = 117843};
    expect("HAN2X_70388/actEnergyPosEst", /* restored, no telegram yet */
           "{\"value\":117.843,\"unit\":\"kWh\",\"dateTime\":null,\"dateTimeUtc\":null,"
           "\"topic\":\"HAN2X_70388/actEnergyPosEst\"}");
    hx_energy_power(e, 3600, now_ms);
    pass(2000);
    hx_energy_power(e, 3600, now_ms); /* 3600 W for 2 s: 2 Wh */
    expect("HAN2X_70388/actEnergyPosEst",
           "{\"value\":117.845,\"unit\":\"kWh\",\"dateTime\":\"2025-04-13T12:00:07+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:07Z\",\"topic\":\"HAN2X_70388/actEnergyPosEst\"}");
    pass(500);
    hx_energy_power(e, 3600, now_ms); /* half a Wh more */
    expect_nothing("less than a digit");
    c.estimated = false;
    hx_mqtt_init(&mqtt, &c);
    hx_mqtt_connected(&mqtt);
    CHECK_INT("switched off: status only", drain(), 1);
}

/* ---- when --------------------------------------------------------------------------------- */

static void on_change_of_the_digits_sent(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start_drained(&c);
    set(HX_I_L1, 5123, 1);
    CHECK_INT("first", drain(), 1);
    pass(2500);
    set(HX_I_L1, 5149, 1); /* 5.1 as before */
    expect_nothing("below the digits");
    set(HX_I_L1, 5150, 1);
    CHECK_INT("5.2", drain(), 1);
    set(HX_I_L1, 5200, 2); /* another meter: 5.20 */
    CHECK_INT("another digit", drain(), 1);
    set(HX_I_L1, 52000, 1);
    CHECK_INT("52.0: the same digits", drain(), 1);
    state.scale = 2000;
    CHECK_INT("scale", drain(), 1);
}

static void each_topic_on_its_own_timer(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start_drained(&c);
    CHECK("nothing published", hx_mqtt_deadline_ms(&mqtt) == UINT64_MAX);
    set(HX_P_IMPORT, 100, 0);
    set(HX_P_EXPORT, 0, 0);
    CHECK_INT("both", drain(), 2);
    pass(60000);
    set(HX_P_IMPORT, 101, 0);
    CHECK_INT("one changed", drain(), 1);
    CHECK_INT("the other is first", hx_mqtt_deadline_ms(&mqtt), START_MS + INTERVAL_MS);
    pass(INTERVAL_MS - 60001);
    expect_nothing("1 ms before its turn");
    pass(1);
    CHECK_INT("its turn", next(), HX_OK);
    CHECK("which", strcmp(msg.name, "HAN2X_70388/actPowNeg") == 0);
    expect_nothing("the changed one waits");
    CHECK_INT("its turn comes", hx_mqtt_deadline_ms(&mqtt), START_MS + 60000 + INTERVAL_MS);
    pass(60000);
    CHECK_INT("comes", next(), HX_OK);
    CHECK("which", strcmp(msg.name, "HAN2X_70388/actPowPos") == 0);
    expect_nothing("all sent");
}

static void connecting_sends_everything_known_once(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start(&c);
    set(HX_P_IMPORT, 100, 0);
    set(HX_U_L1, 230000, 0);
    expect("HAN2X_70388/status", "online");
    CHECK("retained whatever the setting", msg.retain_always);
    CHECK_INT("both values", drain(), 2);
    expect_nothing("once");
    hx_mqtt_connected(&mqtt);
    expect("HAN2X_70388/status", "online");
    CHECK_INT("both again", drain(), 2);
}

static void the_status_topic(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    uint8_t buf[64];
    struct hx_wr w = {.ptr = buf, .cap = sizeof buf};
    (void)unused;
    hx_mqtt_status_name(&w, &c);
    CHECK_INT("length", w.len, strlen("HAN2X_70388/status"));
    CHECK("name", memcmp(buf, "HAN2X_70388/status", w.len) == 0);
}

static void unknown_values_stay_silent(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    start(&c);
    CHECK_INT("status only", drain(), 1);
    pass(INTERVAL_MS);
    expect_nothing("nothing is known");
    set(HX_U_L2, 230000, 0);
    CHECK_INT("known", drain(), 1);
    state.meter.value[HX_U_L2].quality = HX_UNKNOWN;
    expect_nothing("no longer");
    CHECK("no interval runs for it", hx_mqtt_deadline_ms(&mqtt) == UINT64_MAX);
    pass(INTERVAL_MS);
    expect_nothing("nor later");
    set(HX_U_L2, 230000, 0);
    CHECK_INT("known again", drain(), 1);
}

/* ---- one object a telegram ---------------------------------------------------------------- */

static void a_telegram(void)
{
    state.telegrams++;
    state.any_good = true;
    state.last_good_ms = state.now_ms;
}

static void the_state_as_one_object(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_JSON, false);
    (void)unused;
    start(&c);
    expect("HAN2X_70388/status", "online");
    expect_nothing("no telegram yet");
    set(HX_P_IMPORT, 2390, 0);
    set(HX_I_L1, 10300, 1);
    identify("AIDON_V0001", "7359992890941742", "6515");
    a_telegram();
    expect("HAN2X_70388/state",
           "{\"telegram\":1,\"dateTime\":\"2025-04-13T12:00:05+02:00\","
           "\"dateTimeUtc\":\"2025-04-13T10:00:05Z\",\"topic\":\"HAN2X_70388/state\","
           "\"obisListVersion\":\"AIDON_V0001\",\"meterId\":\"7359992890941742\","
           "\"meterType\":\"6515\",\"actPowPos\":2390,\"currL1\":10.3}");
    expect_nothing("one a telegram");
    pass(2500);
    a_telegram();
    CHECK_INT("next telegram, same values", drain(), 1);
    state.input_known = true;
    CHECK_INT("input", drain(), 1);
    state.input_closed = true;
    CHECK_INT("input closed", drain(), 1);
    CHECK_INT("interval", hx_mqtt_deadline_ms(&mqtt), now_ms + INTERVAL_MS);
    pass(INTERVAL_MS - 1);
    expect_nothing("meter silent");
    pass(1);
    CHECK_INT("interval over", drain(), 1);
    hx_mqtt_connected(&mqtt);
    CHECK_INT("status and state", drain(), 2);
}

static void both_formats(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X | HX_MQTT_JSON, false);
    (void)unused;
    start_drained(&c);
    set(HX_P_IMPORT, 2390, 0);
    a_telegram();
    CHECK_INT("topic", next(), HX_OK);
    CHECK("topic", strcmp(msg.name, "HAN2X_70388/actPowPos") == 0);
    CHECK_INT("state", next(), HX_OK);
    CHECK("state", strcmp(msg.name, "HAN2X_70388/state") == 0);
    expect_nothing("no more");
}

/* ---- Home Assistant ----------------------------------------------------------------------- */

static bool contains(const char *part)
{
    return strstr((const char *)msg.payload, part) != NULL;
}

#define DISCOVERY "homeassistant/device/han2x_70388/config"

static void discovery_of_the_device(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, true);
    static const char head[] =
        "{\"device\":{\"identifiers\":[\"han2x_70388\"],\"name\":\"HAN2X 70388\","
        "\"manufacturer\":\"han2x\",\"model\":\"HAN2X\",\"sw_version\":\"" HX_VERSION "\"},"
        "\"origin\":{\"name\":\"han2x\",\"sw_version\":\"" HX_VERSION "\"},"
        "\"availability\":[{\"topic\":\"HAN2X_70388/status\"}],\"components\":{"
        "\"obisListVersion\":{\"p\":\"sensor\",\"name\":\"List version\","
        "\"unique_id\":\"han2x_70388_obisListVersion\","
        "\"state_topic\":\"HAN2X_70388/obisListVersion\","
        "\"value_template\":\"{{ value_json.value }}\",\"entity_category\":\"diagnostic\","
        "\"expire_after\":1260},";
    (void)unused;
    start(&c);
    expect("HAN2X_70388/status", "online");
    CHECK_INT("discovery", next(), HX_OK);
    CHECK("where", strcmp(msg.name, DISCOVERY) == 0);
    CHECK("retained", msg.retain_always);
    CHECK("head", strncmp((const char *)msg.payload, head, sizeof head - 1u) == 0);
    CHECK("power", contains("\"actPowPos\":{\"p\":\"sensor\",\"name\":\"Active power import\","
                            "\"unique_id\":\"han2x_70388_actPowPos\","
                            "\"state_topic\":\"HAN2X_70388/actPowPos\","
                            "\"value_template\":\"{{ value_json.value }}\","
                            "\"unit_of_measurement\":\"W\",\"device_class\":\"power\","
                            "\"state_class\":\"measurement\",\"suggested_display_precision\":0,"
                            "\"expire_after\":1260}"));
    CHECK("estimate", contains("\"reactEnergyNegEst\":{\"p\":\"sensor\",\"name\":"
                               "\"Reactive energy export (estimated)\","
                               "\"unique_id\":\"han2x_70388_reactEnergyNegEst\","
                               "\"state_topic\":\"HAN2X_70388/reactEnergyNegEst\","
                               "\"value_template\":\"{{ value_json.value }}\","
                               "\"unit_of_measurement\":\"kvarh\","
                               "\"device_class\":\"reactive_energy\","
                               "\"state_class\":\"total_increasing\","
                               "\"suggested_display_precision\":2,\"expire_after\":1260}}}"));
    CHECK("input", contains("\"digitalinput\":{\"p\":\"binary_sensor\",\"name\":\"Digital input\","
                            "\"unique_id\":\"han2x_70388_digitalinput\","
                            "\"state_topic\":\"HAN2X_70388/digitalinput\","
                            "\"value_template\":\"{{ value_json.value }}\",\"payload_on\":\"1\","
                            "\"payload_off\":\"0\",\"expire_after\":1260}"));
    expect_nothing("once");
}

static unsigned components(void)
{
    unsigned n = 0;
    for (const char *p = (const char *)msg.payload; (p = strstr(p, "\"unique_id\":")) != NULL; p++)
        n++;
    return n;
}

static void discovery_by_settings(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, true);
    (void)unused;
    c.estimated = false;
    c.interval_ms = 1000;
    start(&c);
    state.simulated = true;
    CHECK_INT("status", next(), HX_OK);
    CHECK_INT("discovery", next(), HX_OK);
    CHECK_INT("without estimates", components(), 18);
    CHECK("which are removed", contains("\"reactEnergyNegEst\":{\"p\":\"sensor\"}}}"));
    CHECK("expires later than the interval", contains("\"expire_after\":62}"));
    CHECK("simulated", contains("\"model\":\"HAN2X (simulated meter)\""));
    c = config(HX_MQTT_JSON, true);
    start(&c);
    CHECK_INT("status", next(), HX_OK);
    CHECK_INT("discovery", next(), HX_OK);
    CHECK_INT("all", components(), HX_TOPIC_COUNT);
    CHECK("values are in the object",
          contains("\"state_topic\":\"HAN2X_70388/state\","
                   "\"value_template\":\"{{ value_json.voltL3 | default(none) }}\""));
    c = config(0, true);
    start(&c);
    CHECK_INT("nothing to announce: status only", drain(), 1);
}

static void home_assistant_comes_and_goes(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, true);
    (void)unused;
    start_drained(&c);
    set(HX_P_IMPORT, 1, 0);
    CHECK_INT("value", drain(), 1);
    hx_mqtt_rediscover(&mqtt);
    CHECK_INT("discovery", next(), HX_OK);
    CHECK("discovery", strcmp(msg.name, DISCOVERY) == 0);
    CHECK_INT("and the value", drain(), 1);
    hx_mqtt_undiscover(&mqtt);
    expect(DISCOVERY, "");
    CHECK("retained", msg.retain_always);
    expect_nothing("no more");
    c.homeassistant = false;
    start_drained(&c);
    hx_mqtt_rediscover(&mqtt);
    expect_nothing("switched off");
}

/* Its model says whether the meter is a simulated one: that may change while we are connected. */
static void discovery_follows_the_source(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, true);
    (void)unused;
    start_drained(&c);
    state.simulated = true;
    CHECK_INT("again", next(), HX_OK);
    CHECK("where", strcmp(msg.name, DISCOVERY) == 0);
    CHECK("simulated", contains("\"model\":\"HAN2X (simulated meter)\""));
    expect_nothing("once");
    hx_mqtt_undiscover(&mqtt);
    expect(DISCOVERY, "");
    state.simulated = false;
    expect_nothing("taken back: it does not come again by itself");
    hx_mqtt_rediscover(&mqtt);
    CHECK_INT("asked for", next(), HX_OK);
    CHECK("real", contains("\"model\":\"HAN2X\""));
    expect_nothing("no more");
}

/* One JSON text: strings closed, brackets paired, nothing behind. Enough to find a comma or quote
 * gone wrong together with the exact texts above. */
static bool is_balanced(const char *s)
{
    char open[16];
    unsigned depth = 0;
    for (; *s != '\0'; s++) {
        if (*s == '"') {
            for (s++; *s != '"'; s++)
                if (*s == '\0' || (*s == '\\' && *++s == '\0'))
                    return false;
        } else if (*s == '{' || *s == '[') {
            if (depth == sizeof open)
                return false;
            open[depth++] = *s == '{' ? '}' : ']';
        } else if (*s == '}' || *s == ']') {
            if (depth == 0 || open[--depth] != *s || (depth == 0 && s[1] != '\0'))
                return false;
        } else if (*s == ',' && (s[1] == ',' || s[1] == '}' || s[1] == ']')) {
            return false;
        }
    }
    return depth == 0;
}

/* The longest topic of the worst octets: every one is doubled in JSON. */
static void the_longest_topics_fit(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, true);
    (void)unused;
    memset(c.topic, '"', HX_MQTT_TOPIC_MAX);
    memset(c.ha_prefix, 'p', HX_MQTT_TOPIC_MAX);
    c.topic[HX_MQTT_TOPIC_MAX] = c.ha_prefix[HX_MQTT_TOPIC_MAX] = '\0';
    c.interval_ms = 86400000;
    start(&c);
    state.device_number = UINT32_MAX;
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++)
        set((enum hx_field)f, INT64_MAX, 3);
    CHECK_INT("status", next(), HX_OK);
    CHECK_INT("discovery", next(), HX_OK);
    CHECK("whole", is_balanced((const char *)msg.payload));
    CHECK_INT("all components", components(), HX_TOPIC_COUNT);
    for (unsigned i = 0; i < HX_FIELD_COUNT; i++) {
        CHECK_INT("value", next(), HX_OK);
        CHECK("whole", is_balanced((const char *)msg.payload));
    }
    expect_nothing("all sent");
}

static void topics_in_utf8(void **unused)
{
    struct hx_mqtt_config c = config(HX_MQTT_HAN2X, false);
    (void)unused;
    memcpy(c.topic, "h\xC3\xB8yde\\\"", sizeof "h\xC3\xB8yde\\\"");
    start_drained(&c);
    set(HX_P_IMPORT, 1, 0);
    CHECK_INT("value", next(), HX_OK);
    CHECK("name as it is", strcmp(msg.name, "h\xC3\xB8yde\\\"/actPowPos") == 0);
    CHECK("JSON", contains("\"topic\":\"h\xC3\xB8yde\\\\\\\"/actPowPos\""));
}

/* Home Assistant's sensor entity documentation: units and state classes that go with a class. */
static const struct {
    const char *device_class, *units, *state_classes;
} allowed[] = {
    {"power", " mW W kW MW GW TW BTU/h ", " measurement "},
    {"reactive_power", " mvar var kvar ", " measurement "},
    {"current", " A mA ", " measurement "},
    {"voltage", " V mV µV kV MV ", " measurement "},
    {"energy", " J kJ MJ GJ mWh Wh kWh MWh GWh TWh cal kcal Mcal Gcal ",
     " total total_increasing "},
    {"reactive_energy", " varh kvarh ", " total total_increasing "},
};

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    const char *p = words;
    while ((p = strstr(p, word)) != NULL) {
        if (p > words && p[-1] == ' ' && p[n] == ' ')
            return true;
        p++;
    }
    return false;
}

static void home_assistants_rules(void **unused)
{
    size_t count;
    const struct hx_topic *t = hx_topic_table(&count);
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        if (hx_topic_kind(&t[i]) != HX_TOPIC_NUMBER) {
            CHECK(t[i].subtopic, !t[i].device_class && !t[i].state_class && !t[i].ha_unit);
            continue;
        }
        for (size_t k = 0; k < sizeof allowed / sizeof allowed[0]; k++) {
            if (strcmp(t[i].device_class, allowed[k].device_class) != 0)
                continue;
            known = true;
            CHECK(t[i].subtopic, has_word(allowed[k].units, t[i].ha_unit));
            CHECK(t[i].subtopic, has_word(allowed[k].state_classes, t[i].state_class));
        }
        CHECK(t[i].subtopic, known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manuals_topics),
        cmocka_unit_test(the_payload),
        cmocka_unit_test(no_time_while_the_clock_is_not_known),
        cmocka_unit_test(numbers_with_the_meters_digits),
        cmocka_unit_test(identities_are_strings),
        cmocka_unit_test(the_digital_input),
        cmocka_unit_test(estimated_energies),
        cmocka_unit_test(on_change_of_the_digits_sent),
        cmocka_unit_test(each_topic_on_its_own_timer),
        cmocka_unit_test(connecting_sends_everything_known_once),
        cmocka_unit_test(the_status_topic),
        cmocka_unit_test(unknown_values_stay_silent),
        cmocka_unit_test(the_state_as_one_object),
        cmocka_unit_test(both_formats),
        cmocka_unit_test(discovery_of_the_device),
        cmocka_unit_test(discovery_by_settings),
        cmocka_unit_test(discovery_follows_the_source),
        cmocka_unit_test(home_assistant_comes_and_goes),
        cmocka_unit_test(the_longest_topics_fit),
        cmocka_unit_test(topics_in_utf8),
        cmocka_unit_test(home_assistants_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
