/* test_mdns.c - what is announced, from settings and state. Avahi itself: tests/e2e/test_mdns.py.
 */
#include "check.h"

#include "mdns.h"

static struct hx_span span(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

static struct hx_state *state_of(uint32_t number)
{
    static struct hx_state s;

    memset(&s, 0, sizeof s);
    s.device_number = number;
    return &s;
}

static void which_services(void **state)
{
    static const struct {
        const char *name, *web, *web_listen, *modbus, *modbus_listen;
        unsigned web_port, tls_port, modbus_port;
    } cases[] = {
        {"factory", "yes", "all", "yes", "all", 80, 443, 502},
        {"no_pages", "no", "all", "yes", "all", 0, 0, 502},
        {"no_modbus", "yes", "all", "no", "all", 80, 443, 0},
        {"pages_for_this_machine_alone", "yes", "127.0.0.1", "yes", "192.0.2.5", 0, 0, 502},
        {"all_of_127", "yes", "all", "yes", "127.3.2.1", 80, 443, 0},
        {"ipv6_loopback", "yes", "::1", "yes", "2001:db8::5", 0, 0, 502},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct hx_settings s;
        struct hx_mdns_config c;

        hx_settings_init(&s);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_WEB_ENABLED, span(cases[i].web)), 0);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_WEB_LISTEN, span(cases[i].web_listen)),
                  0);
        CHECK_INT(cases[i].name,
                  hx_settings_set(&s, HX_S_MODBUS_TCP_ENABLED, span(cases[i].modbus)), 0);
        CHECK_INT(cases[i].name,
                  hx_settings_set(&s, HX_S_MODBUS_TCP_LISTEN, span(cases[i].modbus_listen)), 0);
        hx_mdns_config(&s, state_of(70388), &c);
        CHECK_INT(cases[i].name, c.web_port, cases[i].web_port);
        CHECK_INT(cases[i].name, c.tls_port, cases[i].tls_port);
        CHECK_INT(cases[i].name, c.modbus_port, cases[i].modbus_port);
    }
}

static void names(void **state)
{
    /* 62 letters and one of two octets: 64, one more than a DNS label holds (RFC 6763 4.1.1) */
    static const char long_name[] =
        "a1234567890123456789012345678901234567890123456789012345678901\xC3\xA5";
    static struct hx_settings s;
    struct hx_mdns_config c;

    (void)state;
    hx_settings_init(&s);
    hx_mdns_config(&s, state_of(70388), &c);
    assert_string_equal(c.name, "HAN2X 70388");
    assert_int_equal(c.number, 70388);
    assert_false(c.simulated);
    assert_int_equal(hx_settings_set(&s, HX_S_DEVICE_NAME, span("Hytta på fjellet")), HX_OK);
    hx_mdns_config(&s, state_of(70388), &c);
    assert_string_equal(c.name, "Hytta på fjellet");
    assert_int_equal(hx_settings_set(&s, HX_S_DEVICE_NAME, span(long_name)), HX_OK);
    hx_mdns_config(&s, state_of(70388), &c);
    assert_int_equal(strlen(c.name), 62); /* the cut letter goes as a whole */
    assert_memory_equal(c.name, long_name, 62);
}

static void the_meter(void **state)
{
    static struct hx_settings s;
    struct hx_state *st = state_of(1);
    struct hx_mdns_config c;

    (void)state;
    hx_settings_init(&s);
    st->meter.maker = HX_MAKER_KAIFA;
    st->simulated = true;
    hx_mdns_config(&s, st, &c);
    assert_string_equal(c.maker, "kaifa");
    assert_true(c.simulated);
}

/* RFC 6763, 6.3 to 6.5: a value may be anything; a page takes printable ASCII. */
static void what_others_say(void **state)
{
    static const struct {
        const char *name, *item, *want; /* of "number", into 12 octets */
    } cases[] = {
        {"plain", "number=70388", "70388"},
        {"any_case", "NumBer=1", "1"},
        {"cut", "number=123456789012345", "12345678901"},
        {"no_value", "number", ""},
        {"empty", "number=", ""},
        {"another_key", "numbers=1", ""},
        {"another_of_the_same_length", "nombre=1", ""},
        {"control_character", "number=1\n2", ""},
        {"not_ascii", "number=\xC3\xA5", ""},
        {"nothing", "", ""},
    };
    char out[12];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(out, 'x', sizeof out);
        hx_mdns_txt_value(span(cases[i].item), "number", out, sizeof out);
        CHECK(cases[i].name, strcmp(out, cases[i].want) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_services),
        cmocka_unit_test(names),
        cmocka_unit_test(the_meter),
        cmocka_unit_test(what_others_say),
    };

    return cmocka_run_group_tests_name("mdns", tests, NULL, NULL);
}
