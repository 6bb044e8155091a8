/* test_mqtt_client.c - the parts of the MQTT client that need no broker: URLs, reasons, settings,
 * what brokers send, and the mailbox between the threads. */
#include "check.h"

#include "mailbox.h"
#include "mqtt_config.h"
#include "mqtt_in.h"
#include "mqtt_reason.h"
#include "mqtt_url.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>

static const struct {
    const char *urls;
    unsigned n;
    uint16_t setting;
    enum hx_err want;
    bool tls;
    const char *host;
    uint16_t port;
} urls[] = {
    {"mqtt://broker", 0, 1883, HX_OK, false, "broker", 1883},
    {"mqtt://broker", 0, 1884, HX_OK, false, "broker", 1884},
    {"mqtt://broker:1885", 0, 1884, HX_OK, false, "broker", 1885},
    {"mqtts://broker", 0, 1883, HX_OK, true, "broker", 8883}, /* IANA: secure-mqtt */
    {"mqtts://broker", 0, 1884, HX_OK, true, "broker", 1884},
    {"mqtts://broker:1883", 0, 1883, HX_OK, true, "broker", 1883},
    {"mqtt://[2001:db8::1]:1885", 0, 1883, HX_OK, false, "2001:db8::1", 1885},
    {"mqtt://[::1]", 0, 1883, HX_OK, false, "::1", 1883},
    {"mqtt://a mqtts://b\tmqtt://c:1", 1, 1883, HX_OK, true, "b", 8883},
    {"  mqtt://a   mqtts://b  mqtt://c:1 ", 2, 1883, HX_OK, false, "c", 1},
    {"mqtt://a mqtt://b", 2, 1883, HX_E_LEN, false, NULL, 0},
    {"", 0, 1883, HX_E_LEN, false, NULL, 0},
    {"http://broker", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://broker:", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://broker:0", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://broker:65536", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://broker:99999999999999999999", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://broker:1x", 0, 1883, HX_E_VALUE, false, NULL, 0},
    {"mqtt://[::1", 0, 1883, HX_E_VALUE, false, NULL, 0},
};

static void url_list(void **state)
{
    struct hx_mqtt_url u;
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        CHECK_INT(urls[i].urls, hx_mqtt_url_parse(urls[i].urls, urls[i].n, urls[i].setting, &u),
                  urls[i].want);
        if (urls[i].want != HX_OK)
            continue;
        CHECK_INT(urls[i].urls, u.tls, urls[i].tls);
        CHECK_INT(urls[i].urls, u.port, urls[i].port);
        CHECK(urls[i].urls, strcmp(u.host, urls[i].host) == 0);
    }
}

static void url_text(void **state)
{
    struct hx_mqtt_url u = {.tls = true, .port = 8883, .host = "2001:db8::1"};
    char text[64];
    (void)state;
    assert_string_equal(hx_mqtt_url_text(&u, text, sizeof text), "mqtts://[2001:db8::1]:8883");
}

static void reasons(void **state)
{
    (void)state;
    /* MQTT 3.1.1, table 3.1; MQTT 5.0, table 2-6 */
    assert_string_equal(hx_mqtt_reason_broker(4, false), "refused: user name or password");
    assert_string_equal(hx_mqtt_reason_broker(5, false), "refused: not authorized");
    assert_string_equal(hx_mqtt_reason_broker(0x86, true), "refused: user name or password");
    assert_string_equal(hx_mqtt_reason_broker(0x87, true), "refused: not authorized");
    assert_string_equal(hx_mqtt_reason_broker(0x50, true), "refused: unknown reason");
    assert_string_equal(hx_mqtt_reason_lookup(EAI_NONAME), "no such host");
    assert_string_equal(
        hx_mqtt_reason_tls(
            "OpenSSL Error[0]: error:0A00045C:SSL routines::tlsv13 alert certificate "
            "required"),
        "the broker asks for a client certificate");
    assert_null(hx_mqtt_reason_tls("OpenSSL Error[0]: error:0A000126:SSL routines::something"));
}

static void set(struct hx_settings *s, enum hx_setting_id id, const char *text)
{
    struct hx_span span = {(const uint8_t *)text, strlen(text)};
    CHECK_INT(text, hx_settings_set(s, id, span), HX_OK);
}

static void settings(void **state)
{
    static struct hx_settings s;
    static struct hx_mqtt_client_config c;
    (void)state;
    hx_settings_init(&s);
    hx_mqtt_client_config(&s, 70388, &c);
    assert_false(c.enabled);
    assert_string_equal(c.mqtt.topic, "HAN2X_70388"); /* the manual's example */
    assert_string_equal(c.link.will_topic, "HAN2X_70388/status");
    assert_string_equal(c.link.client_id, "HAN2X_70388");
    CHECK_INT("formats", c.mqtt.formats, HX_MQTT_HAN2X);
    CHECK_INT("interval", c.mqtt.interval_ms, 600000); /* manual: at least every 10 minutes */
    CHECK_INT("qos", c.qos, 1);
    assert_true(c.retain && c.mqtt.estimated && c.mqtt.homeassistant);
    set(&s, HX_S_MQTT_TOPIC, "plant 7/meter <random>/x");
    set(&s, HX_S_MQTT_FORMAT, "json han2x");
    hx_mqtt_client_config(&s, 12345, &c);
    assert_string_equal(c.mqtt.topic, "plant 7/meter 12345/x");
    CHECK_INT("formats", c.mqtt.formats, HX_MQTT_HAN2X | HX_MQTT_JSON);
    /* blanks and slashes: 6 letters and 16 digits, within what every broker takes */
    assert_true(strncmp(c.link.client_id, "han2x-", 6) == 0 && strlen(c.link.client_id) == 22);
}

static const struct {
    const char *name, *topic, *payload;
    bool homeassistant;
    enum hx_mqtt_incoming want;
} incoming[] = {
    {"online", "ha/status", "online", true, HX_MQTT_IN_HA_ONLINE},
    {"offline", "ha/status", "offline", true, HX_MQTT_IN_NOTHING},
    {"switched_off", "ha/status", "online", false, HX_MQTT_IN_NOTHING},
    {"longer", "ha/status", "online ", true, HX_MQTT_IN_NOTHING},
    {"shorter", "ha/status", "onlin", true, HX_MQTT_IN_NOTHING},
    {"empty", "ha/status", "", true, HX_MQTT_IN_NOTHING},
    {"other_topic", "ha/statu", "online", true, HX_MQTT_IN_NOTHING},
    {"deeper", "ha/status/x", "online", true, HX_MQTT_IN_NOTHING},
    {"no_topic", "", "online", true, HX_MQTT_IN_NOTHING},
};

static void messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof incoming / sizeof incoming[0]; i++) {
        struct hx_mqtt_config c = {.ha_prefix = "ha", .homeassistant = incoming[i].homeassistant};
        struct hx_span topic = {(const uint8_t *)incoming[i].topic, strlen(incoming[i].topic)};
        struct hx_span payload = {(const uint8_t *)incoming[i].payload,
                                  strlen(incoming[i].payload)};
        CHECK_INT(incoming[i].name, hx_mqtt_incoming(&c, topic, payload), incoming[i].want);
    }
}

static void mailbox_order(void **state)
{
    static struct hx_mailbox m;
    static struct hx_state s;
    const struct hx_state *got;
    (void)state;
    assert_int_equal(hx_mailbox_open(&m), HX_OK);
    assert_null(hx_mailbox_newest(&m));
    assert_null(hx_mailbox_hour(&m));
    for (uint32_t n = 1; n <= 6; n++) { /* room for four hours: the last two are lost */
        s.telegrams = n;
        hx_mailbox_post(&m, &s, true);
    }
    got = hx_mailbox_newest(&m);
    CHECK_INT("newest", got->telegrams, 6);
    CHECK_INT("again", hx_mailbox_newest(&m)->telegrams, 6);
    for (uint32_t n = 1; n <= 4; n++) {
        CHECK_INT("hour", hx_mailbox_hour(&m)->telegrams, n);
        hx_mailbox_hour_done(&m);
    }
    assert_null(hx_mailbox_hour(&m));
    CHECK_INT("lost", m.lost, 2);
    hx_mailbox_close(&m);
}

#define POSTS 20000u

static void *post_all(void *arg)
{
    static struct hx_state s;
    for (uint32_t n = 1; n <= POSTS; n++) {
        s.telegrams = n;
        s.starts = ~n; /* at the far end of the structure: a torn copy would show */
        hx_mailbox_post(arg, &s, false);
    }
    return NULL;
}

/* A reader sees whole states only, never an older one after a newer one, and the last one. */
static void mailbox_threads(void **state)
{
    static struct hx_mailbox m;
    uint32_t last = 0;
    pthread_t thread;
    (void)state;
    assert_int_equal(hx_mailbox_open(&m), HX_OK);
    assert_int_equal(pthread_create(&thread, NULL, post_all, &m), 0);
    while (last != POSTS) {
        const struct hx_state *s = hx_mailbox_newest(&m);
        if (s == NULL)
            continue;
        CHECK("whole", s->starts == ~s->telegrams);
        CHECK("newer", s->telegrams >= last);
        last = s->telegrams;
    }
    pthread_join(thread, NULL);
    hx_mailbox_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_list),        cmocka_unit_test(url_text),
        cmocka_unit_test(reasons),         cmocka_unit_test(settings),
        cmocka_unit_test(messages),        cmocka_unit_test(mailbox_order),
        cmocka_unit_test(mailbox_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
