/* The table of settings, checks of values, the settings file read and edited. */
#include "check.h"

#include "hx/settings.h"

static struct hx_settings set, before; /* too large for the stack of the smallest machine */

static struct hx_span str(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

static bool same(struct hx_span got, const char *want)
{
    return got.len == strlen(want) && (got.len == 0 || memcmp(got.ptr, want, got.len) == 0);
}

/* --- the table --- */

/* Names and defaults that programs and people rely on: the interface's list of settings. */
static const struct {
    const char *section, *key, *def;
} contract[] = {
    {"meter", "source", "auto"},
    {"meter", "baud", "auto"},
    {"meter", "parity", "auto"},
    {"modbus_tcp", "enabled", "yes"},
    {"modbus_tcp", "listen", "all"},
    {"modbus_tcp", "port", "502"},
    {"modbus_tcp", "unit", "1"},
    {"modbus_tcp", "any_unit", "yes"},
    {"modbus_tcp", "max_clients", "64"},
    {"modbus_tcp", "idle_timeout_s", "0"},
    {"modbus_tcp", "allow_write", "yes"},
    {"modbus_rtu", "enabled", "no"},
    {"modbus_rtu", "device", ""},
    {"modbus_rtu", "baud", "9600"},
    {"modbus_rtu", "parity", "none"},
    {"modbus_rtu", "stop_bits", "1"},
    {"modbus_rtu", "address", "1"},
    {"modbus_rtu", "rs485", "auto"},
    {"mqtt", "enabled", "no"},
    {"mqtt", "url", ""},
    {"mqtt", "port", "1883"},
    {"mqtt", "topic", "HAN2X_<random>"},
    {"mqtt", "format", "han2x"},
    {"mqtt", "username", ""},
    {"mqtt", "password", ""},
    {"mqtt", "password_file", ""},
    {"mqtt", "ca_file", ""},
    {"mqtt", "client_cert", ""},
    {"mqtt", "client_key", ""},
    {"mqtt", "qos", "1"},
    {"mqtt", "retain", "yes"},
    {"mqtt", "interval_s", "600"},
    {"mqtt", "estimated", "yes"},
    {"mqtt", "homeassistant", "yes"},
    {"mqtt", "homeassistant_prefix", "homeassistant"},
    {"web", "enabled", "yes"},
    {"web", "listen", "all"},
    {"web", "port", "80"},
    {"web", "tls_port", "443"},
    {"web", "tls_cert", ""},
    {"web", "tls_key", ""},
    {"web", "username", "bits"},
    {"web", "password_hash", ""},
    {"web", "password_hash_file", ""},
    {"web", "factory_login", "look"},
    {"network", "manage", "no"},
    {"network", "mode", "static"},
    {"network", "address", "192.168.1.232/24"},
    {"network", "gateway", "192.168.1.1"}, /* manual: factory address; the router is .1 */
    {"network", "dns", ""},
    {"network", "hostname", "han2x"},
    {"device", "scale", "1000"},
    {"device", "name", ""},
    {"device", "language", "auto"},
    {"device", "timezone", "Europe/Oslo"},
    {"io", "power_led", ""},
    {"io", "han_led", ""},
    {"io", "reset_button", ""},
    {"io", "digital_input", ""},
    {"io", "temperature", ""},
};
#define CONTRACT_COUNT (sizeof contract / sizeof contract[0])

static void test_contract(void **state)
{
    (void)state;
    assert_int_equal(HX_SETTING_COUNT, CONTRACT_COUNT);
    hx_settings_init(&set);
    for (size_t i = 0; i < CONTRACT_COUNT; i++) {
        uint8_t text[64];
        struct hx_wr w = {.ptr = text, .cap = sizeof text};
        enum hx_setting_id id;
        CHECK_INT(contract[i].key,
                  hx_setting_find(str(contract[i].section), str(contract[i].key), &id), HX_OK);
        CHECK(contract[i].key, strcmp(hx_setting_row(id)->def, contract[i].def) == 0);
        hx_setting_format(&w, &set, id);
        CHECK(contract[i].key, w.err == HX_OK);
        CHECK(contract[i].key, same((struct hx_span){text, w.len}, contract[i].def));
    }
}

static void test_rows_are_documented(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = hx_setting_row((enum hx_setting_id)i);
        size_t n = strlen(row->meaning);
        uint8_t text[256];
        struct hx_wr w = {.ptr = text, .cap = sizeof text};
        CHECK(row->key, n > 10 && row->meaning[n - 1] == '.');
        CHECK(row->key,
              row->max <= (row->type >= HX_SET_TEXT ? (int64_t)HX_SETTING_TEXT_MAX : INT64_MAX));
        CHECK(row->key, (row->choices[0] != '\0') == (row->type == HX_SET_ENUM));
        CHECK(row->key, strlen(row->key) <= 32 && strlen(row->section) <= 32);
        hx_setting_allowed(&w, (enum hx_setting_id)i);
        CHECK(row->key, w.err == HX_OK && w.len > 5);
    }
}

/* Documents and the file write a heading where the section changes: once for each. */
static void test_sections_stand_together(void **state)
{
    (void)state;
    for (unsigned i = 1; i < HX_SETTING_COUNT; i++) {
        const char *section = hx_setting_row((enum hx_setting_id)i)->section;
        if (strcmp(section, hx_setting_row((enum hx_setting_id)(i - 1u))->section) == 0)
            continue;
        for (unsigned j = 0; j < i; j++)
            CHECK(section, strcmp(section, hx_setting_row((enum hx_setting_id)j)->section) != 0);
    }
}

static void test_numbers_of_choices(void **state)
{
    static const struct {
        enum hx_setting_id id;
        const char *word;
        int64_t number;
    } rows[] = {
        {HX_S_METER_PARITY, "none", HX_PARITY_NONE},
        {HX_S_METER_PARITY, "even", HX_PARITY_EVEN},
        {HX_S_METER_PARITY, "odd", HX_PARITY_ODD},
        {HX_S_METER_PARITY, "auto", HX_PARITY_AUTO},
        {HX_S_MODBUS_RTU_PARITY, "none", HX_PARITY_NONE},
        {HX_S_MODBUS_RTU_PARITY, "even", HX_PARITY_EVEN},
        {HX_S_MODBUS_RTU_PARITY, "odd", HX_PARITY_ODD},
        {HX_S_MODBUS_RTU_RS485, "auto", HX_RS485_AUTO},
        {HX_S_MODBUS_RTU_RS485, "yes", HX_RS485_YES},
        {HX_S_MODBUS_RTU_RS485, "no", HX_RS485_NO},
        {HX_S_NETWORK_MODE, "static", HX_NET_STATIC},
        {HX_S_NETWORK_MODE, "dhcp", HX_NET_DHCP},
        {HX_S_WEB_FACTORY_LOGIN, "look", HX_FACTORY_LOOK},
        {HX_S_WEB_FACTORY_LOGIN, "allow", HX_FACTORY_ALLOW},
    };
    (void)state;
    hx_settings_init(&set);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(rows[i].word, hx_settings_set(&set, rows[i].id, str(rows[i].word)), HX_OK);
        CHECK_INT(rows[i].word, set.num[rows[i].id], rows[i].number);
        CHECK(rows[i].word, same(hx_settings_choice(&set, rows[i].id), rows[i].word));
    }
    hx_settings_init(&set);
    assert_int_equal(hx_settings_choice_number(&set, HX_S_METER_BAUD), 0);
    assert_int_equal(hx_settings_choice_number(&set, HX_S_MODBUS_RTU_BAUD), 9600);
    assert_int_equal(hx_settings_set(&set, HX_S_METER_BAUD, str("115200")), HX_OK);
    assert_int_equal(hx_settings_choice_number(&set, HX_S_METER_BAUD), 115200);
}

/* --- values --- */

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64 A63 "a"

static const struct {
    enum hx_setting_id id;
    const char *text;
    bool ok;
} values[] = {
    {HX_S_MODBUS_TCP_PORT, "1", true},
    {HX_S_MODBUS_TCP_PORT, "65535", true},
    {HX_S_MODBUS_TCP_PORT, "0", false},
    {HX_S_MODBUS_TCP_PORT, "65536", false},
    {HX_S_MODBUS_TCP_PORT, "", false},
    {HX_S_MODBUS_TCP_PORT, "-1", false},
    {HX_S_MODBUS_TCP_PORT, "+1", false},
    {HX_S_MODBUS_TCP_PORT, "1 ", false},
    {HX_S_MODBUS_TCP_PORT, "0x10", false},
    {HX_S_MODBUS_TCP_PORT, "5.0", false},
    {HX_S_MODBUS_TCP_PORT, "18446744073709551617", false}, /* 2^64 + 1 */
    {HX_S_MODBUS_TCP_MAX_CLIENTS, "10000", true},
    {HX_S_MODBUS_TCP_MAX_CLIENTS, "10001", false},
    {HX_S_MODBUS_TCP_UNIT, "247", true},
    {HX_S_MODBUS_TCP_UNIT, "248", false},
    {HX_S_MODBUS_RTU_ADDRESS, "0", false}, /* broadcast */
    {HX_S_MODBUS_RTU_STOP_BITS, "2", true},
    {HX_S_MODBUS_RTU_STOP_BITS, "3", false},
    {HX_S_MODBUS_RTU_BAUD, "115200", true},
    {HX_S_MODBUS_RTU_BAUD, "auto", false},
    {HX_S_MODBUS_RTU_BAUD, "9601", false},
    {HX_S_MODBUS_RTU_BAUD, "960", false}, /* the front of a choice is not the choice */
    {HX_S_MODBUS_RTU_BAUD, "", false},
    {HX_S_DEVICE_SCALE, "10", true}, /* manual: 10 to 999999999 */
    {HX_S_DEVICE_SCALE, "9", false},
    {HX_S_DEVICE_SCALE, "999999999", true},
    {HX_S_DEVICE_SCALE, "1000000000", false},
    {HX_S_MODBUS_TCP_ENABLED, "yes", true},
    {HX_S_MODBUS_TCP_ENABLED, "off", true},
    {HX_S_MODBUS_TCP_ENABLED, "true", true},
    {HX_S_MODBUS_TCP_ENABLED, "Yes", false},
    {HX_S_MODBUS_TCP_ENABLED, "2", false},
    {HX_S_METER_SOURCE, "auto", true},
    {HX_S_METER_SOURCE, "stdin", true},
    {HX_S_METER_SOURCE, "serial:/dev/ttyUSB0", true},
    {HX_S_METER_SOURCE, "serial:ttyUSB0", false},
    {HX_S_METER_SOURCE, "serial:/", false},
    {HX_S_METER_SOURCE, "serial:", false},
    {HX_S_METER_SOURCE, "/dev/ttyUSB0", false},
    {HX_S_METER_SOURCE, "tcp://ser2net.lan:4000", true},
    {HX_S_METER_SOURCE, "tcp://10.0.0.7:4000", true},
    {HX_S_METER_SOURCE, "tcp://[fe80::1]:4000", true},
    {HX_S_METER_SOURCE, "tcp://[fe80::1]", false},
    {HX_S_METER_SOURCE, "tcp://[fe80::1:4000", false},
    {HX_S_METER_SOURCE, "tcp://host", false},
    {HX_S_METER_SOURCE, "tcp://host:0", false},
    {HX_S_METER_SOURCE, "tcp://host:65536", false},
    {HX_S_METER_SOURCE, "tcp://:4000", false},
    {HX_S_METER_SOURCE, "tcp://ho st:4000", false},
    {HX_S_METER_SOURCE, "file:day.bin", true},
    {HX_S_METER_SOURCE, "file:", false},
    {HX_S_METER_SOURCE, "sim:aidon", true},
    {HX_S_METER_SOURCE, "sim:kaifa", true},
    {HX_S_METER_SOURCE, "sim:kamstrup", true},
    {HX_S_METER_SOURCE, "sim:", false},
    {HX_S_METER_SOURCE, "sim:embriq", false},
    {HX_S_METER_SOURCE, "", false},
    {HX_S_MODBUS_TCP_LISTEN, "all", true},
    {HX_S_MODBUS_TCP_LISTEN, "127.0.0.1", true},
    {HX_S_MODBUS_TCP_LISTEN, "::1", true},
    {HX_S_MODBUS_TCP_LISTEN, "::", true},
    {HX_S_MODBUS_TCP_LISTEN, "2001:db8::", true},
    {HX_S_MODBUS_TCP_LISTEN, "1:2:3:4:5:6:7:8", true},
    {HX_S_MODBUS_TCP_LISTEN, "1:2:3:4:5:6:7", false},
    {HX_S_MODBUS_TCP_LISTEN, "1:2:3:4:5:6:7:8:9", false},
    {HX_S_MODBUS_TCP_LISTEN, "1::2::3", false},
    {HX_S_MODBUS_TCP_LISTEN, ":1", false},
    {HX_S_MODBUS_TCP_LISTEN, "1:", false},
    {HX_S_MODBUS_TCP_LISTEN, ":::", false},
    {HX_S_MODBUS_TCP_LISTEN, "12345::", false},
    {HX_S_MODBUS_TCP_LISTEN, "1.2.3", false},
    {HX_S_MODBUS_TCP_LISTEN, "1.2.3.", false},
    {HX_S_MODBUS_TCP_LISTEN, "1.2.3.4.", false},
    {HX_S_MODBUS_TCP_LISTEN, "1.2.3.4.5", false},
    {HX_S_MODBUS_TCP_LISTEN, "1.2.3.256", false},
    {HX_S_MODBUS_TCP_LISTEN, "1.2.3.04", false},
    {HX_S_MODBUS_TCP_LISTEN, "1..3.4", false},
    {HX_S_MODBUS_TCP_LISTEN, "localhost", false},
    {HX_S_MODBUS_TCP_LISTEN, "", false},
    {HX_S_MQTT_TOPIC, "HAN2X_70388", true}, /* manual's example */
    {HX_S_MQTT_TOPIC, "hus/stue", true},
    {HX_S_MQTT_TOPIC, "a+b", false},
    {HX_S_MQTT_TOPIC, "a/#", false},
    {HX_S_MQTT_TOPIC, "/a", false},
    {HX_S_MQTT_TOPIC, "a/", false},
    {HX_S_MQTT_TOPIC, "$SYS", false},
    {HX_S_MQTT_TOPIC, "", false},
    {HX_S_MQTT_URL, "", true},
    {HX_S_MQTT_URL, "mqtt://broker", true},
    {HX_S_MQTT_URL, "mqtts://broker.example:8883 mqtt://10.0.0.2", true},
    {HX_S_MQTT_URL, "mqtts://[2001:db8::7]", true},
    {HX_S_MQTT_URL, "broker", false},
    {HX_S_MQTT_URL, "http://broker", false},
    {HX_S_MQTT_URL, "mqtt://", false},
    {HX_S_MQTT_URL, "mqtt://user:secret@broker", false}, /* secrets have keys of their own */
    {HX_S_MQTT_URL, "mqtt://a nonsense", false},
    {HX_S_MQTT_URL, "mqtt://a:", false},
    {HX_S_MQTT_URL, "mqtt://-a", false},
    {HX_S_MQTT_URL, "mqtt://a..b", false},
    {HX_S_MQTT_FORMAT, "han2x json sparkplug", true},
    {HX_S_MQTT_FORMAT, "json", true},
    {HX_S_MQTT_FORMAT, "json json", false},
    {HX_S_MQTT_FORMAT, "xml", false},
    {HX_S_MQTT_FORMAT, " ", false},
    {HX_S_MQTT_QOS, "2", true},
    {HX_S_MQTT_QOS, "3", false},
    {HX_S_NETWORK_ADDRESS, "10.0.0.2/8", true},
    {HX_S_NETWORK_ADDRESS, "10.0.0.2", false},
    {HX_S_NETWORK_ADDRESS, "10.0.0.2/", false},
    {HX_S_NETWORK_ADDRESS, "10.0.0.2/0", false},
    {HX_S_NETWORK_ADDRESS, "10.0.0.2/33", false},
    {HX_S_NETWORK_ADDRESS, "10.0.0.2/24/24", false},
    {HX_S_NETWORK_ADDRESS, "192.168.1.0/24", false},   /* the network itself */
    {HX_S_NETWORK_ADDRESS, "192.168.1.255/24", false}, /* its broadcast address */
    {HX_S_NETWORK_ADDRESS, "192.168.1.255/23", false}, /* 192.168.0.0/23 ends at 1.255 */
    {HX_S_NETWORK_ADDRESS, "192.168.1.255/22", true},  /* 192.168.0.0/22 ends at 3.255 */
    {HX_S_NETWORK_ADDRESS, "10.0.0.2/31", true},
    {HX_S_NETWORK_ADDRESS, "127.0.0.1/8", false},
    {HX_S_NETWORK_ADDRESS, "224.0.0.1/24", false},
    {HX_S_NETWORK_ADDRESS, "0.0.0.1/24", false},
    {HX_S_NETWORK_GATEWAY, "", true},
    {HX_S_NETWORK_GATEWAY, "192.168.1.1", true},
    {HX_S_NETWORK_GATEWAY, "router", false},
    {HX_S_NETWORK_DNS, "1.1.1.1 9.9.9.9", true},
    {HX_S_NETWORK_DNS, "1.1.1.1,9.9.9.9", false},
    {HX_S_NETWORK_HOSTNAME, "han2x-kjeller", true},
    {HX_S_NETWORK_HOSTNAME, "-a", false},
    {HX_S_NETWORK_HOSTNAME, "a-", false},
    {HX_S_NETWORK_HOSTNAME, "a_b", false},
    {HX_S_NETWORK_HOSTNAME, "a.b", false},
    {HX_S_NETWORK_HOSTNAME, A63, true},
    {HX_S_NETWORK_HOSTNAME, A64, false},
    {HX_S_MODBUS_RTU_DEVICE, "/dev/ttyS1", true},
    {HX_S_MODBUS_RTU_DEVICE, "ttyS1", false},
    {HX_S_IO_RESET_BUTTON, "gpiochip0:17", true},
    {HX_S_IO_RESET_BUTTON, "gpiochip0", false},
    {HX_S_IO_RESET_BUTTON, "gpiochip0:", false},
    {HX_S_IO_RESET_BUTTON, ":17", false},
    {HX_S_IO_RESET_BUTTON, "../mem:17", false},
    {HX_S_IO_HAN_LED, "han:green", true},
    {HX_S_IO_HAN_LED, "..", false},
    {HX_S_IO_HAN_LED, "a/b", false},
    {HX_S_DEVICE_TIMEZONE, "Etc/GMT+1", true},
    {HX_S_DEVICE_TIMEZONE, "../../etc/passwd", false},
    {HX_S_DEVICE_TIMEZONE, "/etc/localtime", false},
    {HX_S_DEVICE_TIMEZONE, "Europe/", false},
    {HX_S_DEVICE_NAME, "St\xC3\xB8vla p\xC3\xA5 taket", true}, /* UTF-8 */
    {HX_S_DEVICE_NAME, "\xE2\x82\xAC \xF0\x9F\x94\x8C", true},
    {HX_S_DEVICE_NAME, "St\xF8vla", false},        /* Latin-1 */
    {HX_S_DEVICE_NAME, "cut \xE2\x82", false},     /* RFC 3629 4 */
    {HX_S_DEVICE_NAME, "\xC0\xAF", false},         /* overlong */
    {HX_S_DEVICE_NAME, "\xE0\x80\x80", false},     /* overlong */
    {HX_S_DEVICE_NAME, "\xED\xA0\x80", false},     /* surrogate */
    {HX_S_DEVICE_NAME, "\xF4\x90\x80\x80", false}, /* above U+10FFFF */
    {HX_S_DEVICE_NAME, "tab\there", false},
    {HX_S_DEVICE_NAME, "line\nbreak", false},
    {HX_S_DEVICE_NAME, "\x7F", false},
    {HX_S_DEVICE_NAME, A64, true},
    {HX_S_DEVICE_NAME, A64 "a", false},
    {HX_S_WEB_USERNAME, "bits", true},
    {HX_S_WEB_USERNAME, "a:b", false},
    {HX_S_WEB_USERNAME, "", false},
    {HX_S_WEB_PASSWORD_HASH, "$y$j9T$abc.DEF/123$xyz", true},
    {HX_S_WEB_PASSWORD_HASH, "vari", false}, /* a password where its hash belongs */
    {HX_S_WEB_PASSWORD_HASH, "", true},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        hx_settings_init(&set);
        before = set;
        CHECK_INT(values[i].text, hx_settings_set(&set, values[i].id, str(values[i].text)),
                  values[i].ok ? HX_OK : HX_E_VALUE);
        if (!values[i].ok) /* untouched on failure */
            CHECK(values[i].text, memcmp(&before, &set, sizeof set) == 0);
        else if (hx_setting_row(values[i].id)->type >= HX_SET_TEXT)
            CHECK(values[i].text, strcmp(set.text[values[i].id], values[i].text) == 0);
    }
}

static void test_nul_is_refused(void **state)
{
    (void)state;
    hx_settings_init(&set);
    struct hx_span cut = {(const uint8_t *)"a\0b", 3};
    assert_int_equal(hx_settings_set(&set, HX_S_DEVICE_NAME, cut), HX_E_VALUE);
}

static void test_secret_and_file_push_each_other_out(void **state)
{
    (void)state;
    hx_settings_init(&set);
    hx_settings_set(&set, HX_S_MQTT_PASSWORD, str("old"));
    hx_settings_set(&set, HX_S_MQTT_PASSWORD_FILE, str("/run/secret"));
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD], "");
    hx_settings_set(&set, HX_S_MQTT_PASSWORD, str(""));
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD_FILE], "/run/secret");
    hx_settings_set(&set, HX_S_MQTT_PASSWORD, str("new"));
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD_FILE], "");
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD], "new");
}

static void test_enabled_parts_need_their_address(void **state)
{
    enum hx_setting_id asks, needs;
    (void)state;
    hx_settings_init(&set);
    assert_int_equal(hx_settings_check(&set, &asks, &needs), HX_OK);
    hx_settings_set(&set, HX_S_MQTT_ENABLED, str("yes"));
    assert_int_equal(hx_settings_check(&set, &asks, &needs), HX_E_VALUE);
    assert_int_equal(asks, HX_S_MQTT_ENABLED);
    assert_int_equal(needs, HX_S_MQTT_URL);
    hx_settings_set(&set, HX_S_MQTT_URL, str("mqtt://broker"));
    assert_int_equal(hx_settings_check(&set, &asks, &needs), HX_OK);
    hx_settings_set(&set, HX_S_MODBUS_RTU_ENABLED, str("yes"));
    assert_int_equal(hx_settings_check(&set, &asks, &needs), HX_E_VALUE);
    assert_int_equal(needs, HX_S_MODBUS_RTU_DEVICE);
}

static void test_nearest(void **state)
{
    static const struct {
        const char *section, *key;
        int want; /* -1: nothing is near */
    } rows[] = {
        {"modbus_tcp", "prot", HX_S_MODBUS_TCP_PORT},
        {"modbus_tcp", "max_client", HX_S_MODBUS_TCP_MAX_CLIENTS},
        {"modbustcp", "port", HX_S_MODBUS_TCP_PORT},
        {"MQTT", "Topic", HX_S_MQTT_TOPIC},
        {"meter", "sorce", HX_S_METER_SOURCE},
        {"meter", "interval_s", HX_S_MQTT_INTERVAL_S}, /* right key, wrong section */
        {"netwrok", "", HX_S_NETWORK_MANAGE},          /* a section alone */
        {"meter", "colour", -1},
        {"meter", "port", -1}, /* several sections have one */
        {"x", "", -1},
        {"meter", "abcdefghijklmnopqrstuvwxyz0123456789", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum hx_setting_id id;
        enum hx_err err = hx_setting_nearest(str(rows[i].section), str(rows[i].key), &id);
        CHECK_INT(rows[i].key, err, rows[i].want < 0 ? HX_E_VALUE : HX_OK);
        if (rows[i].want >= 0)
            CHECK_INT(rows[i].key, id, rows[i].want);
    }
}

static void test_allowed(void **state)
{
    static const struct {
        enum hx_setting_id id;
        const char *want;
    } rows[] = {
        {HX_S_MODBUS_TCP_PORT, "a whole number from 1 to 65535"},
        {HX_S_MODBUS_TCP_ENABLED, "yes or no"},
        {HX_S_MODBUS_RTU_PARITY, "one of none, even, odd"},
        {HX_S_DEVICE_TIMEZONE, "a time zone name like Europe/Oslo; at most 64 octets"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t text[128];
        struct hx_wr w = {.ptr = text, .cap = sizeof text};
        hx_setting_allowed(&w, rows[i].id);
        CHECK(rows[i].want, same((struct hx_span){text, w.len}, rows[i].want));
    }
}

/* --- lines --- */

static const struct {
    const char *line;
    enum hx_err want;
    enum hx_ini_kind kind;
    const char *name, *value; /* section or key; value as it stands, without quotes */
    bool quoted;
} lines[] = {
    {"", HX_OK, HX_INI_BLANK, "", "", false},
    {" \t ", HX_OK, HX_INI_BLANK, "", "", false},
    {"# port = 1", HX_OK, HX_INI_BLANK, "", "", false},
    {"  #", HX_OK, HX_INI_BLANK, "", "", false},
    {"[meter]", HX_OK, HX_INI_SECTION, "meter", "", false},
    {" [ meter ] # x", HX_OK, HX_INI_SECTION, "meter", "", false},
    {"[meter", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"[meter] x", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"port=5020", HX_OK, HX_INI_PAIR, "port", "5020", false},
    {"  port  =  5020  # why", HX_OK, HX_INI_PAIR, "port", "5020", false},
    {"port =", HX_OK, HX_INI_PAIR, "port", "", false},
    {"port = # nothing", HX_OK, HX_INI_PAIR, "port", "", false},
    {"password = a#b", HX_OK, HX_INI_PAIR, "password", "a#b", false},
    {"password = a b #c", HX_OK, HX_INI_PAIR, "password", "a b", false},
    {"password = a=b", HX_OK, HX_INI_PAIR, "password", "a=b", false},
    {"password = a\\nb", HX_OK, HX_INI_PAIR, "password", "a\\nb", false},
    {"name = \" a # b \" # c", HX_OK, HX_INI_PAIR, "name", " a # b ", true},
    {"name = \"\"", HX_OK, HX_INI_PAIR, "name", "", true},
    {"name = \"a\\\"b\"", HX_OK, HX_INI_PAIR, "name", "a\\\"b", true},
    {"name = \"a", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"name = \"a\\\"", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"name = \"", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"name = \"a\" b", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"port", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"= 5", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"po rt = 5", HX_E_VALUE, HX_INI_BLANK, "", "", false},
    {"; x", HX_E_VALUE, HX_INI_BLANK, "", "", false},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct hx_ini ini = {.kind = HX_INI_BLANK};
        size_t n = strlen(lines[i].line);
        char *exact = test_malloc(n + 1); /* ASan sees a read behind the end */
        memcpy(exact, lines[i].line, n);
        CHECK_INT(lines[i].line, hx_ini_parse((struct hx_span){(const uint8_t *)exact, n}, &ini),
                  lines[i].want);
        CHECK_INT(lines[i].line, ini.kind, lines[i].kind);
        CHECK_INT(lines[i].line, ini.quoted, lines[i].quoted);
        if (ini.kind == HX_INI_SECTION)
            CHECK(lines[i].line, same(ini.section, lines[i].name));
        if (ini.kind == HX_INI_PAIR) {
            CHECK(lines[i].line, same(ini.key, lines[i].name));
            CHECK(lines[i].line, same(ini.value, lines[i].value));
        }
        test_free(exact);
    }
}

/* Every text comes back from the file as it went in. */
static void test_format_and_read_back(void **state)
{
    static const char *const texts[] = {"plain",  "a b",         " a",    "a ",     "#a",  "a #b",
                                        "a#b",    "\"",          "\"a\"", "a\" #b", "\\",  "a\\",
                                        "\"\\\"", "\\\" # \\\\", "a=b",   "[x]",    "\\#", " \\ "};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint8_t file[128];
        struct hx_settings_fault fault;
        struct hx_wr w = {.ptr = file, .cap = sizeof file};
        hx_settings_init(&set);
        assert_int_equal(hx_settings_set(&set, HX_S_MQTT_PASSWORD, str(texts[i])), HX_OK);
        hx_wr_str(&w, "[mqtt]\npassword = ");
        hx_setting_format(&w, &set, HX_S_MQTT_PASSWORD);
        hx_settings_init(&set);
        CHECK_INT(texts[i], hx_settings_parse(&set, (struct hx_span){file, w.len}, &fault), HX_OK);
        CHECK(texts[i], strcmp(set.text[HX_S_MQTT_PASSWORD], texts[i]) == 0);
    }
}

/* --- files --- */

static void test_whole_file(void **state)
{
    static const char file[] = "\xEF\xBB\xBF# ours\r\n"
                               "[modbus_tcp]\r\n"
                               "port = 5020\r\n"
                               "\r\n"
                               "[mqtt]\n"
                               "username = \"ola # nordmann\"\n"
                               "qos = 0\n"
                               "qos = 2"; /* the last counts; no line end */
    struct hx_settings_fault fault;
    (void)state;
    hx_settings_init(&set);
    assert_int_equal(hx_settings_parse(&set, str(file), &fault), HX_OK);
    assert_int_equal(set.num[HX_S_MODBUS_TCP_PORT], 5020);
    assert_string_equal(set.text[HX_S_MQTT_USERNAME], "ola # nordmann");
    assert_int_equal(set.num[HX_S_MQTT_QOS], 2);
    assert_int_equal(set.num[HX_S_WEB_PORT], 80);
    assert_int_equal(hx_settings_parse(&set, str(""), &fault), HX_OK);
}

static const struct {
    const char *file;
    enum hx_fault fault;
    unsigned line;
    const char *section, *key;
} faulty[] = {
    {"nonsense", HX_FAULT_LINE, 1, "", ""},
    {"\n\n[modbus_tcp]\nport 502\n", HX_FAULT_LINE, 4, "modbus_tcp", ""},
    {"port = 502\n", HX_FAULT_ORPHAN, 1, "", "port"},
    {"[modbus]\nport = 502\n", HX_FAULT_SECTION, 1, "modbus", ""},
    {"[]\n", HX_FAULT_SECTION, 1, "", ""},
    {"[web]\n# x\nprot = 80\n", HX_FAULT_KEY, 3, "web", "prot"},
    {"[web]\r\nPort = 80\r\n", HX_FAULT_KEY, 2, "web", "Port"},
    {"[web]\nport = http\n", HX_FAULT_VALUE, 2, "web", "port"},
    {"[web]\nport = \"80\n", HX_FAULT_LINE, 2, "web", ""},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faulty / sizeof faulty[0]; i++) {
        struct hx_settings_fault f = {.fault = HX_FAULT_NONE};
        hx_settings_init(&set);
        CHECK_INT(faulty[i].file, hx_settings_parse(&set, str(faulty[i].file), &f), HX_E_VALUE);
        CHECK_INT(faulty[i].file, f.fault, faulty[i].fault);
        CHECK_INT(faulty[i].file, f.line, faulty[i].line);
        CHECK(faulty[i].file, same(f.section, faulty[i].section));
        CHECK(faulty[i].file, same(f.key, faulty[i].key));
    }
}

/* A quoted value longer than any setting: refused, not cut. */
static void test_long_quoted_value(void **state)
{
    char file[600] = "[mqtt]\npassword = \"";
    struct hx_settings_fault f;
    size_t n = strlen(file);
    (void)state;
    memset(file + n, 'a', 300);
    file[n + 300] = '"';
    hx_settings_init(&set);
    assert_int_equal(hx_settings_parse(&set, str(file), &f), HX_E_VALUE);
    assert_int_equal(f.fault, HX_FAULT_VALUE);
    file[n + 255] = '"';
    file[n + 256] = '\0';
    assert_int_equal(hx_settings_parse(&set, str(file), &f), HX_OK);
    assert_int_equal(strlen(set.text[HX_S_MQTT_PASSWORD]), 255);
}

/* --- editing --- */

#define QOS_MEANING "# MQTT quality of service: 0 at most once, 1 at least once, 2 exactly once."

static const struct {
    const char *name, *before, *after; /* [mqtt] qos becomes 2 */
} edits[] = {
    {"value", "[mqtt]\nqos = 1\nretain = no\n", "[mqtt]\nqos = 2\nretain = no\n"},
    {"layout stays", "[mqtt]\n  qos=1   # at least\n", "[mqtt]\n  qos=2   # at least\n"},
    {"quotes go", "[mqtt]\nqos = \"1\" # x\n", "[mqtt]\nqos = 2 # x\n"},
    {"empty", "[mqtt]\nqos =\n", "[mqtt]\nqos = 2\n"},
    {"empty, tight comment", "[mqtt]\nqos =# x\n", "[mqtt]\nqos = 2 # x\n"},
    {"empty, comment", "[mqtt]\nqos = # x\n", "[mqtt]\nqos = 2 # x\n"},
    {"quoted, tight comment", "[mqtt]\nqos = \"1\"# x\n", "[mqtt]\nqos = 2 # x\n"},
    {"no line end", "[mqtt]\nqos = 1", "[mqtt]\nqos = 2"},
    {"other section", "[web]\nqos = 1\n[mqtt]\nqos = 0\n", "[web]\nqos = 1\n[mqtt]\nqos = 2\n"},
    {"last of two", "[mqtt]\nqos = 0\nqos = 1\n", "[mqtt]\nqos = 0\nqos = 2\n"},
    {"unknown lines stay", "gibberish\n[mqtt]\n???\nqos = 1\n",
     "gibberish\n[mqtt]\n???\nqos = 2\n"},
    {"carriage returns stay", "[mqtt]\r\nqos = 1\r\n", "[mqtt]\r\nqos = 2\r\n"},
    {"commented default", "[mqtt]\n# why\n#qos = 1\n", "[mqtt]\n# why\nqos = 2\n"},
    {"other comment stays", "[mqtt]\n#qos = 0\n", "[mqtt]\n" QOS_MEANING "\nqos = 2\n#qos = 0\n"},
    {"missing key", "[mqtt]\nretain = no\n\n[web]\nport = 81\n",
     "[mqtt]\nretain = no\n" QOS_MEANING "\nqos = 2\n\n[web]\nport = 81\n"},
    {"missing key at the end", "[mqtt]\nretain = no",
     "[mqtt]\nretain = no\n" QOS_MEANING "\nqos = 2\n"},
    {"missing key, carriage returns", "[mqtt]\r\nretain = no\r\n",
     "[mqtt]\r\nretain = no\r\n" QOS_MEANING "\r\nqos = 2\r\n"},
    {"missing section", "[web]\nport = 81\n",
     "[web]\nport = 81\n\n[mqtt]\n" QOS_MEANING "\nqos = 2\n"},
    {"half a line end at the end", "#x\r\n\r",
     "#x\r\n\r\n\r\n[mqtt]\r\n" QOS_MEANING "\r\nqos = 2\r\n"},
    {"empty file", "", "[mqtt]\n" QOS_MEANING "\nqos = 2\n"},
};

static void test_edits(void **state)
{
    (void)state;
    hx_settings_init(&set);
    hx_settings_set(&set, HX_S_MQTT_QOS, str("2"));
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        uint8_t out[512];
        struct hx_wr w = {.ptr = out, .cap = sizeof out};
        hx_ini_edit(&w, str(edits[i].before), &set, HX_S_MQTT_QOS);
        CHECK_INT(edits[i].name, w.err, HX_OK);
        CHECK(edits[i].name, same((struct hx_span){out, w.len}, edits[i].after));
    }
}

static uint8_t file_a[32768], file_b[32768];

static size_t count_lines_that_differ(struct hx_span a, struct hx_span b)
{
    size_t differ = 0, i = 0, j = 0;
    while (i < a.len && j < b.len) {
        size_t m = i, n = j;
        while (m < a.len && a.ptr[m] != '\n')
            m++;
        while (n < b.len && b.ptr[n] != '\n')
            n++;
        differ += m - i != n - j || memcmp(a.ptr + i, b.ptr + j, m - i) != 0;
        i = m + 1;
        j = n + 1;
    }
    return differ + (i < a.len || j < b.len ? 1000 : 0);
}

/* The file that the program writes itself: reads back the same, and any edit changes one line. */
static void test_own_file(void **state)
{
    struct hx_wr a = {.ptr = file_a, .cap = sizeof file_a};
    struct hx_settings_fault fault;
    (void)state;
    hx_settings_init(&set);
    hx_settings_set(&set, HX_S_MODBUS_TCP_PORT, str("5020"));
    hx_settings_set(&set, HX_S_DEVICE_NAME, str("Hytta #2"));
    hx_settings_file(&a, &set);
    assert_int_equal(a.err, HX_OK);
    hx_settings_init(&set);
    assert_int_equal(hx_settings_parse(&set, (struct hx_span){file_a, a.len}, &fault), HX_OK);
    assert_int_equal(set.num[HX_S_MODBUS_TCP_PORT], 5020);
    assert_string_equal(set.text[HX_S_DEVICE_NAME], "Hytta #2");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        enum hx_setting_id id = (enum hx_setting_id)i;
        struct hx_wr b = {.ptr = file_b, .cap = sizeof file_b};
        hx_ini_edit(&b, (struct hx_span){file_a, a.len}, &set, id);
        CHECK_INT(hx_setting_row(id)->key, b.err, HX_OK);
        /* the two that are not at their default are written as they stand */
        CHECK_INT(hx_setting_row(id)->key,
                  count_lines_that_differ((struct hx_span){file_a, a.len},
                                          (struct hx_span){file_b, b.len}),
                  id == HX_S_MODBUS_TCP_PORT || id == HX_S_DEVICE_NAME ? 0 : 1);
    }
}

static void test_small_buffers(void **state)
{
    struct hx_wr w = {.ptr = file_a, .cap = 100};
    (void)state;
    hx_settings_init(&set);
    hx_settings_markdown(&w);
    assert_int_equal(w.err, HX_E_SPACE);
    w = (struct hx_wr){.ptr = file_a, .cap = 10};
    hx_ini_edit(&w, str("[mqtt]\nqos = 1\n"), &set, HX_S_MQTT_QOS);
    assert_int_equal(w.err, HX_E_SPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract),
        cmocka_unit_test(test_rows_are_documented),
        cmocka_unit_test(test_sections_stand_together),
        cmocka_unit_test(test_numbers_of_choices),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nul_is_refused),
        cmocka_unit_test(test_secret_and_file_push_each_other_out),
        cmocka_unit_test(test_enabled_parts_need_their_address),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_format_and_read_back),
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_long_quoted_value),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_own_file),
        cmocka_unit_test(test_small_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
