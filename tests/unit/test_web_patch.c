/* test_web_patch.c - changes of settings as JSON: all or nothing, each fault named. */
#include "check.h"

#include "web_patch.h"

#include <stdio.h>
#include <stdlib.h>

static struct hx_settings s;
static struct hx_web_fixed fixed;
static struct hx_web_faults faults;

static void patch(const char *text, enum hx_web_patch_for what)
{
    char why[HX_WEB_FAULT_TEXT];
    json_t *body = hx_web_json((struct hx_span){(const uint8_t *)text, strlen(text)}, why);

    if (body == NULL)
        fail_msg("%s: %s", text, why);
    hx_web_patch(body, &fixed, what, &s, &faults);
    json_decref(body);
}

static void what_is_taken(void **state)
{
    (void)state;
    hx_settings_init(&s);
    patch("{\"mqtt\":{\"port\":1884,\"retain\":false,\"topic\":\"hytta\",\"password\":\"x\"},"
          "\"meter\":{\"baud\":2400,\"parity\":\"even\"}}",
          HX_PATCH_USER);
    assert_int_equal(faults.count, 0);
    assert_int_equal(s.num[HX_S_MQTT_PORT], 1884);
    assert_int_equal(s.num[HX_S_MQTT_RETAIN], 0);
    assert_string_equal(s.text[HX_S_MQTT_TOPIC], "hytta");
    assert_int_equal(hx_settings_choice_number(&s, HX_S_METER_BAUD), 2400);
    patch("{\"mqtt\":{\"password\":null}}", HX_PATCH_USER); /* as it was read: stays */
    assert_int_equal(faults.count, 0);
    assert_string_equal(s.text[HX_S_MQTT_PASSWORD], "x");
    patch("{\"mqtt\":{\"password\":\"\"}}", HX_PATCH_USER);
    assert_string_equal(s.text[HX_S_MQTT_PASSWORD], "");
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *body, *key;
    } cases[] = {
        {"{\"mqtt\":{\"topic\":\"a\",\"port\":0}}", "mqtt.port"},
        {"{\"mqtt\":{\"topic\":\"a\",\"port\":1.5}}", "mqtt.port"},
        {"{\"mqtt\":{\"topic\":\"a\",\"port\":null}}", "mqtt.port"},
        {"{\"mqtt\":{\"topic\":\"a\",\"port\":[1]}}", "mqtt.port"},
        {"{\"mqtt\":{\"topic\":\"a\",\"port\":99999999999999}}", "mqtt.port"},
        {"{\"mqtt\":{\"topic\":\"a\",\"nothing\":1}}", "mqtt.nothing"},
        {"{\"mqtt\":{\"topic\":\"a\"},\"nothing\":{}}", "nothing"},
        {"{\"mqtt\":{\"topic\":\"a\"},\"web\":5}", "web"},
        {"{\"mqtt\":{\"topic\":\"a\",\"enabled\":true}}", "mqtt.url"},
        {"{\"mqtt\":{\"topic\":\"a\"},\"web\":{\"password_hash\":\"$y$a$b$c\"}}",
         "web.password_hash"},
        {"{\"mqtt\":{\"topic\":\"a\"},\"web\":{\"port\":81}}", "web.port"}, /* fixed below */
    };

    (void)state;
    hx_settings_init(&s);
    fixed.is[HX_S_WEB_PORT] = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        patch(cases[i].body, HX_PATCH_USER);
        CHECK_INT(cases[i].body, faults.count, 1);
        CHECK(cases[i].body, strcmp(faults.fault[0].key, cases[i].key) == 0);
        CHECK(cases[i].body, faults.fault[0].message[0] != '\0');
        CHECK(cases[i].body, strcmp(s.text[HX_S_MQTT_TOPIC], "HAN2X_<random>") == 0);
    }
    patch("{\"web\":{\"port\":80}}", HX_PATCH_USER); /* fixed, and the same: fine */
    assert_int_equal(faults.count, 0);
    memset(&fixed, 0, sizeof fixed);
}

/* A backup can be written by anybody: it must not be a way to another password. */
static void a_restore_keeps_the_password(void **state)
{
    (void)state;
    hx_settings_init(&s);
    (void)snprintf(s.text[HX_S_WEB_PASSWORD_HASH], sizeof s.text[0], "$y$the$present$one");
    patch("{\"device\":{\"name\":\"hytta\"},\"web\":{\"password_hash\":\"$y$a$b$c\","
          "\"password_hash_file\":\"/tmp/hash\"}}",
          HX_PATCH_RESTORE);
    assert_int_equal(faults.count, 0);
    assert_string_equal(s.text[HX_S_DEVICE_NAME], "hytta");
    assert_string_equal(s.text[HX_S_WEB_PASSWORD_HASH], "$y$the$present$one");
    assert_string_equal(s.text[HX_S_WEB_PASSWORD_HASH_FILE], "");
    patch("{\"web\":{\"password_hash\":\"\"}}", HX_PATCH_RESTORE); /* the factory password */
    assert_int_equal(faults.count, 0);
    assert_string_equal(s.text[HX_S_WEB_PASSWORD_HASH], "$y$the$present$one");
}

/* Whoever finds a backup and its passphrase has no hash to work on. */
static void secrets_of_a_backup(void **state)
{
    struct hx_web_out o = {.ptr = NULL};

    (void)state;
    hx_settings_init(&s);
    (void)snprintf(s.text[HX_S_WEB_PASSWORD_HASH], sizeof s.text[0], "$y$the$present$one");
    (void)snprintf(s.text[HX_S_MQTT_PASSWORD], sizeof s.text[0], "hemmelig");
    hx_web_settings_json(&o, NULL, &s, true);
    assert_false(o.failed);
    assert_int_equal(o.len, strlen("{\"mqtt\":{\"password\":\"hemmelig\"}}"));
    assert_memory_equal(o.ptr, "{\"mqtt\":{\"password\":\"hemmelig\"}}", o.len);
    hx_web_out_free(&o);
}

static void more_faults_than_are_told(void **state)
{
    (void)state;
    hx_settings_init(&s);
    patch("{\"web\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
          "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1}}",
          HX_PATCH_USER);
    assert_int_equal(faults.count, HX_WEB_FAULTS);
}

static void bodies(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"{}", true},
        {" {\"a\":[[[[1]]]]} ", true}, /* five levels */
        {"{\"a\":[[[[[1]]]]]}", true}, /* six: HX_WEB_DEPTH */
        {"{\"a\":[[[[[[1]]]]]]}", false},
        {"{\"a\":\"[[[[[[[[[[\"}", true}, /* inside a string */
        {"{\"a\":\"\\\"[[[[[[[[\"}", true},
        {"{\"a\":1,\"a\":2}", false},
        {"{\"a\":1} x", false},
        {"{\"a\":1", false},
        {"[]", false},
        {"", false},
        {"null", false},
        {"{\"a\":\"x\\u0000y\"}", false}, /* a NUL would end a C text */
        {"{\"a\":\"\xFF\"}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[HX_WEB_FAULT_TEXT] = "";
        json_t *json = hx_web_json(
            (struct hx_span){(const uint8_t *)cases[i].text, strlen(cases[i].text)}, why);

        CHECK_INT(cases[i].text, json != NULL, cases[i].good);
        CHECK(cases[i].text, cases[i].good || why[0] != '\0');
        json_decref(json);
    }
}

static void what_cannot_be_changed(void **state)
{
    char port[] = "HAN2X_MQTT_PORT=1", home[] = "HOME=/";
    char *const environment[] = {port, home, NULL};
    struct config_source source = {.environment = environment,
                                   .overrides = {"web.port=8080", "device . name = x"},
                                   .override_count = 2};
    unsigned count = 0;

    (void)state;
    hx_settings_init(&s);
    hx_web_fixed_find(&source, &s, &fixed);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        count += fixed.is[i] ? 1u : 0u;
    assert_int_equal(count, 3);
    assert_true(fixed.is[HX_S_MQTT_PORT] && fixed.is[HX_S_WEB_PORT] && fixed.is[HX_S_DEVICE_NAME]);
    memset(&fixed, 0, sizeof fixed);
}

static void one_change_changes_one_line(void **state)
{
    static const char file[] = "# mine\n[mqtt]\nport = 1883 # usual\nqos = 0\n";
    static struct hx_settings old, new;
    size_t len;
    uint8_t *text;

    (void)state;
    hx_settings_init(&old);
    old.num[HX_S_MQTT_QOS] = 0;
    new = old;
    new.num[HX_S_MQTT_PORT] = 1884;
    text = hx_web_new_file((struct hx_span){(const uint8_t *)file, sizeof file - 1u}, &old, &new,
                           &len);
    assert_non_null(text);
    static const char want[] = "# mine\n[mqtt]\nport = 1884 # usual\nqos = 0\n";
    assert_int_equal(len, sizeof want - 1u);
    assert_memory_equal(text, want, len);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_restore_keeps_the_password),
        cmocka_unit_test(secrets_of_a_backup),
        cmocka_unit_test(more_faults_than_are_told),
        cmocka_unit_test(bodies),
        cmocka_unit_test(what_cannot_be_changed),
        cmocka_unit_test(one_change_changes_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
