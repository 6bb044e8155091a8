/* test_web_said.c - what is said in words has a code. */
#include "check.h"

#include "mqtt_reason.h"
#include "web_said.h"

#include <stdio.h>

static const struct {
    const char *text, *code, *values;
} cases[] = {
    {"refused: user name or password", "mqtt.login", ""},
    {"refused", "mqtt.refused", ""},
    {"certificate expired 2025-01-01", "tls.expired", "2025-01-01|"},
    {"certificate not valid before 2027-01-01: is this machine's clock right?", "tls.too_early",
     "2027-01-01|"},
    {"certificate from an unknown authority", "tls.authority", ""},
    {"ca_file /etc/ca.pem: no start line", "tls.ca_file", "/etc/ca.pem|no start line|"},
    {"publishing refused: not authorized", "publishing.not_authorized", ""},
    {"publishing refused: banned", "publishing.other", "refused: banned|"},
    {"nothing was changed: network.gateway = 10.0.0.1: the gateway is outside the network of the "
     "address",
     "unchanged.gateway_outside", "gateway|10.0.0.1|"},
    {"nothing was changed: something else", "unchanged.other", "something else|"},
    {"nothing was changed: ", NULL, ""}, /* nothing is no value */
    {"han2x 0.1.0 started", "log.started", "0.1.0|"},
    {"han2x started", NULL, ""},
    {"mqtt.enabled needs it, and it is empty", "field.needed", "mqtt.enabled|"},
    {"changed: device.name web.port", "log.changed", "device.name web.port|"},
    {"this call came in at 10.0.0.1, not at the new address 10.0.0.2", "network.elsewhere",
     "10.0.0.1|10.0.0.2|"},
    {"", NULL, ""},
    {"a: b cannot be written: c: d", "network.disk", "a: b|c: d|"},
    {"never said", NULL, ""},
};

static struct hx_span span(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

static void codes_and_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_web_said said = hx_web_said(span(cases[i].text));
        char values[256] = "";

        for (unsigned n = 0; n < said.count; n++)
            (void)snprintf(values + strlen(values), sizeof values - strlen(values), "%.*s|",
                           (int)said.value[n].len, (const char *)said.value[n].ptr);
        CHECK(cases[i].text, (said.code == NULL) == (cases[i].code == NULL));
        CHECK(cases[i].text, said.code == NULL || strcmp(said.code, cases[i].code) == 0);
        CHECK(cases[i].text, strcmp(values, cases[i].values) == 0);
    }
}

/* A broker's reasons are shown most: each has a code. */
static void every_reason_of_a_broker(void **state)
{
    char name[32];

    (void)state;
    for (int code = 0x80; code <= 0xFF; code++) {
        (void)snprintf(name, sizeof name, "0x%02X", (unsigned)code);
        CHECK(name, hx_web_said(span(hx_mqtt_reason_broker(code, true))).code != NULL);
    }
    for (int code = 1; code <= 6; code++) {
        (void)snprintf(name, sizeof name, "3.1.1: %d", code);
        CHECK(name, hx_web_said(span(hx_mqtt_reason_broker(code, false))).code != NULL);
    }
}

static void as_json(void **state)
{
    static const char want[] = "{\"error\":\"certificate expired 2025-01-01\","
                               "\"error_code\":\"tls.expired\",\"error_values\":[\"2025-01-01\"]}";
    struct hx_web_out o = {.ptr = NULL};

    (void)state;
    hx_web_open_object(&o, NULL);
    hx_web_text_said(&o, "error", "certificate expired 2025-01-01");
    hx_web_close_object(&o);
    assert_false(o.failed);
    assert_int_equal(o.len, sizeof want - 1u);
    assert_memory_equal(o.ptr, want, o.len);
    hx_web_out_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_and_values),
        cmocka_unit_test(every_reason_of_a_broker),
        cmocka_unit_test(as_json),
    };

    return cmocka_run_group_tests_name("web_said", tests, NULL, NULL);
}
