/* test_network.c - network settings: what can work, the networkd file, and the way back.
 * Addresses by RFC 1918, RFC 3021 (/31) and RFC 5737 (examples); keys of the file by
 * systemd.network(5). Times: 10 s to be in force, 120 s to be confirmed. */
#include "check.h"

#include "network_commit.h"
#include "network_request.h"

#include "hx/settings.h"

#include <stdio.h>

static struct hx_span span(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

/* --- settings --- */

static void what_can_work(void **state)
{
    static const struct {
        const char *name, *manage, *mode, *address, *gateway, *dns;
        enum hx_setting_id bad; /* HX_SETTING_COUNT: none */
    } cases[] = {
        {"factory", "yes", "static", "192.168.1.232/24", "192.168.1.1", "", HX_SETTING_COUNT},
        {"no_gateway", "yes", "static", "192.168.1.232/24", "", "", HX_SETTING_COUNT},
        {"ten_slash_eight", "yes", "static", "10.0.0.1/8", "10.255.255.254", "", HX_SETTING_COUNT},
        {"point_to_point", "yes", "static", "192.0.2.0/31", "192.0.2.1", "", HX_SETTING_COUNT},
        {"own_resolver", "yes", "static", "192.0.2.5/24", "", "127.0.0.53", HX_SETTING_COUNT},
        {"two_servers", "yes", "static", "192.0.2.5/24", "", "192.0.2.1 9.9.9.9", HX_SETTING_COUNT},
        {"shorter_than_8", "yes", "static", "10.0.0.1/7", "", "", HX_S_NETWORK_ADDRESS},
        {"other_network", "yes", "static", "192.168.1.232/24", "192.168.2.1", "",
         HX_S_NETWORK_GATEWAY},
        {"just_outside", "yes", "static", "192.168.1.100/25", "192.168.1.128", "",
         HX_S_NETWORK_GATEWAY},
        {"itself", "yes", "static", "192.168.1.1/24", "192.168.1.1", "", HX_S_NETWORK_GATEWAY},
        {"network_itself", "yes", "static", "192.168.1.232/24", "192.168.1.0", "",
         HX_S_NETWORK_GATEWAY},
        {"everybody", "yes", "static", "192.168.1.232/24", "192.168.1.255", "",
         HX_S_NETWORK_GATEWAY},
        {"host_route_only", "yes", "static", "192.168.1.232/32", "192.168.1.1", "",
         HX_S_NETWORK_GATEWAY},
        {"multicast_server", "yes", "static", "192.0.2.5/24", "", "224.0.0.251", HX_S_NETWORK_DNS},
        {"zero_server", "yes", "static", "192.0.2.5/24", "", "0.0.0.0", HX_S_NETWORK_DNS},
        {"dhcp_asks_no_gateway", "yes", "dhcp", "192.168.1.232/24", "10.0.0.1", "",
         HX_SETTING_COUNT},
        {"dhcp_server_checked", "yes", "dhcp", "192.168.1.232/24", "", "255.255.255.255",
         HX_S_NETWORK_DNS},
        {"not_managed", "no", "static", "192.168.1.232/24", "10.0.0.1", "", HX_SETTING_COUNT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct hx_settings s;
        struct hx_net_plan plan;
        enum hx_setting_id id = HX_SETTING_COUNT;
        const char *why = NULL;
        enum hx_err err;

        hx_settings_init(&s);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_NETWORK_MANAGE, span(cases[i].manage)),
                  0);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_NETWORK_MODE, span(cases[i].mode)), 0);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_NETWORK_ADDRESS, span(cases[i].address)),
                  0);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_NETWORK_GATEWAY, span(cases[i].gateway)),
                  0);
        CHECK_INT(cases[i].name, hx_settings_set(&s, HX_S_NETWORK_DNS, span(cases[i].dns)), 0);
        err = hx_net_plan_from(&s, &plan, &id, &why);
        CHECK_INT(cases[i].name, err, cases[i].bad == HX_SETTING_COUNT ? HX_OK : HX_E_VALUE);
        if (err != HX_OK) {
            CHECK_INT(cases[i].name, id, cases[i].bad);
            CHECK(cases[i].name, why != NULL && *why != '\0');
        }
    }
}

static void settings_come_back_as_they_were(void **state)
{
    static struct hx_settings from, to;
    struct hx_net_plan plan;
    enum hx_setting_id id;
    const char *why;

    (void)state;
    hx_settings_init(&from);
    assert_int_equal(hx_settings_set(&from, HX_S_NETWORK_MANAGE, span("yes")), HX_OK);
    assert_int_equal(hx_settings_set(&from, HX_S_NETWORK_ADDRESS, span("10.1.2.3/16")), HX_OK);
    assert_int_equal(hx_settings_set(&from, HX_S_NETWORK_GATEWAY, span("10.1.0.1")), HX_OK);
    assert_int_equal(hx_settings_set(&from, HX_S_NETWORK_DNS,
                                     span("1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4 5.5.5.5 6.6.6.6 7.7.7.7 "
                                          "8.8.8.8")),
                     HX_OK);
    assert_int_equal(hx_settings_set(&from, HX_S_NETWORK_HOSTNAME, span("cabin-3")), HX_OK);
    assert_int_equal(hx_net_plan_from(&from, &plan, &id, &why), HX_OK);
    hx_settings_init(&to);
    assert_int_equal(hx_net_plan_settings(&plan, &to), HX_OK);
    for (int i = HX_S_NETWORK_MANAGE; i <= HX_S_NETWORK_HOSTNAME; i++) {
        assert_int_equal(to.num[i], from.num[i]);
        assert_string_equal(to.text[i], from.text[i]);
    }
}

/* Eight servers fit network.dns only when they are short: told, not dropped. */
static void what_settings_cannot_hold_is_told(void **state)
{
    static struct hx_settings s;
    struct hx_net_plan plan;
    enum hx_setting_id id;
    const char *why;

    (void)state;
    hx_settings_init(&s);
    assert_int_equal(hx_net_plan_from(&s, &plan, &id, &why), HX_OK);
    plan.dns_count = 5;
    for (unsigned i = 0; i < 5; i++)
        plan.dns[i] = 0xC0A801C8u + i; /* 192.168.1.200: 5 × 13 + 4 octets */
    assert_int_equal(hx_net_plan_settings(&plan, &s), HX_E_VALUE);
    plan.dns_count = 4;
    assert_int_equal(hx_net_plan_settings(&plan, &s), HX_OK);
    assert_string_equal(s.text[HX_S_NETWORK_DNS],
                        "192.168.1.200 192.168.1.201 192.168.1.202 192.168.1.203");
}

/* --- the line --- */

static void lines(void **state)
{
    static const struct {
        const char *line;
        enum hx_err want;
    } cases[] = {
        {"yes static 192.168.1.232/24 192.168.1.1 - han2x", HX_OK},
        {"yes static 192.168.1.232/24 - 9.9.9.9,1.1.1.1 a", HX_OK},
        {"no static 192.168.1.232/24 10.0.0.1 - han2x", HX_OK},
        {"yes dhcp 192.168.1.232/24 - - han2x", HX_OK},
        {"", HX_E_VALUE},
        {"maybe static 192.168.1.232/24 - - han2x", HX_E_VALUE},
        {"yes other 192.168.1.232/24 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/ - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/024 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/33 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.0232/24 - - han2x", HX_E_VALUE},
        {"yes static 192.168.01.232/24 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.0/24 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.255/24 - - han2x", HX_E_VALUE},
        {"yes static 127.0.0.1/8 - - han2x", HX_E_VALUE},
        {"yes static 240.0.0.1/24 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 192.168.2.1 - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - 9.9.9.9, han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - ,9.9.9.9 han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - 1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4,5.5.5.5,6.6.6.6,7.7.7.7,"
         "8.8.8.8,9.9.9.9 han2x",
         HX_E_VALUE}, /* nine */
        {"yes static 192.168.1.232/24 - 10.0.0.101,10.0.0.102,10.0.0.103,10.0.0.104,10.0.0.105,"
         "10.0.0.10 han2x",
         HX_E_VALUE}, /* 64 octets: the setting holds 63 */
        {"yes static 192.168.1.232/24 - 10.0.0.101,10.0.0.102,10.0.0.103,10.0.0.104,10.0.0.105,"
         "10.0.0.1 han2x",
         HX_OK},
        {"yes static 192.168.1.232/24 - - ", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - - -han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - - han2x-", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - - han.2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - - han2x\nDHCP=yes", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - - han2x more", HX_E_VALUE},
        {"yes  static 192.168.1.232/24 - - han2x", HX_E_VALUE},
        {"yes static 192.168.1.232/24 - - "
         "a123456789012345678901234567890123456789012345678901234567890123",
         HX_E_VALUE}, /* 64 letters; RFC 1123 allows 63 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_net_plan plan;
        const char *why;

        CHECK_INT(cases[i].line, hx_net_plan_parse(span(cases[i].line), &plan, &why),
                  cases[i].want);
    }
}

static void a_line_says_what_it_was_made_from(void **state)
{
    static const char *const texts[] = {
        "yes static 192.168.1.232/24 192.168.1.1 - han2x",
        "no dhcp 10.0.0.5/8 - 9.9.9.9,149.112.112.112 cabin-3",
        /* the longest there is */
        "yes static 223.255.255.233/29 223.255.255.234 "
        "100.100.100.100,100.100.100.101,100.100.100.102,100.100.100.103 "
        "a12345678901234567890123456789012345678901234567890123456789012",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint8_t room[HX_NET_LINE_MAX];
        struct hx_wr w = {.ptr = room, .cap = sizeof room};
        struct hx_net_plan plan;
        const char *why;

        CHECK_INT(texts[i], hx_net_plan_parse(span(texts[i]), &plan, &why), HX_OK);
        hx_net_plan_format(&w, &plan);
        CHECK_INT(texts[i], w.err, HX_OK);
        CHECK_INT(texts[i], w.len, strlen(texts[i]));
        CHECK(texts[i], memcmp(room, texts[i], w.len) == 0);
    }
}

/* --- the file --- */

#define HEAD "# Written by han2x from its [network] settings: change them there.\n[Match]\n"
#define WIRED HEAD "Type=ether\nKind=!*\n\n[Network]\n"

static void networkd_files(void **state)
{
    static const struct {
        const char *line, *interface, *want;
    } cases[] = {
        {"yes static 192.168.1.232/24 192.168.1.1 - han2x", "",
         WIRED "DHCP=no\nAddress=192.168.1.232/24\nGateway=192.168.1.1\nLinkLocalAddressing=ipv6\n"
               "ConfigureWithoutCarrier=yes\nDNS=192.168.1.1\n"},
        {"yes static 10.0.0.5/8 - - han2x", "eth1",
         HEAD "Name=eth1\n\n[Network]\nDHCP=no\nAddress=10.0.0.5/8\nLinkLocalAddressing=ipv6\n"
              "ConfigureWithoutCarrier=yes\n"},
        {"yes static 192.0.2.5/24 192.0.2.1 9.9.9.9,1.1.1.1 han2x", "",
         WIRED "DHCP=no\nAddress=192.0.2.5/24\nGateway=192.0.2.1\nLinkLocalAddressing=ipv6\n"
               "ConfigureWithoutCarrier=yes\nDNS=9.9.9.9\nDNS=1.1.1.1\n"},
        {"yes dhcp 192.168.1.232/24 192.168.1.1 - cabin-3", "",
         WIRED "DHCP=ipv4\nLinkLocalAddressing=yes\n\n[DHCPv4]\nClientIdentifier=mac\n"
               "Hostname=cabin-3\nUseHostname=no\n"},
        {"yes dhcp 192.168.1.232/24 - 9.9.9.9 cabin-3", "",
         WIRED "DHCP=ipv4\nLinkLocalAddressing=yes\nDNS=9.9.9.9\n\n[DHCPv4]\n"
               "ClientIdentifier=mac\nHostname=cabin-3\nUseHostname=no\nUseDNS=no\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char room[HX_NET_FILE_MAX + 1u];
        struct hx_wr w = {.ptr = (uint8_t *)room, .cap = HX_NET_FILE_MAX};
        struct hx_net_plan plan;
        const char *why;

        CHECK_INT(cases[i].line, hx_net_plan_parse(span(cases[i].line), &plan, &why), HX_OK);
        hx_net_plan_file(&w, &plan, cases[i].interface);
        CHECK_INT(cases[i].line, w.err, HX_OK);
        room[w.len] = '\0';
        assert_string_equal(room, cases[i].want);
    }
}

static void what_has_the_same_effect(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"yes dhcp 192.168.1.232/24 - - x", "yes dhcp 10.0.0.1/8 10.0.0.2 - x", true},
        {"no static 192.168.1.232/24 - - x", "no dhcp 10.0.0.1/8 - - y", true},
        {"yes static 192.0.2.5/24 192.0.2.1 - x", "yes static 192.0.2.5/24 192.0.2.1 192.0.2.1 x",
         true},
        {"yes static 192.0.2.5/24 - - x", "yes static 192.0.2.5/25 - - x", false},
        {"yes static 192.0.2.5/24 - - x", "yes static 192.0.2.5/24 - - y", false},
        {"yes static 192.0.2.5/24 - - x", "yes dhcp 192.0.2.5/24 - - x", false},
        {"yes static 192.0.2.5/24 - - x", "no static 192.0.2.5/24 - - x", false},
        {"yes dhcp 192.0.2.5/24 - - x", "yes dhcp 192.0.2.5/24 - 9.9.9.9 x", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_net_plan a, b;
        const char *why;

        CHECK_INT(cases[i].a, hx_net_plan_parse(span(cases[i].a), &a, &why), HX_OK);
        CHECK_INT(cases[i].b, hx_net_plan_parse(span(cases[i].b), &b, &why), HX_OK);
        CHECK(cases[i].b, hx_net_plan_same(&a, &b) == cases[i].same);
    }
}

/* --- the way back --- */

#define OLD "yes static 192.168.1.232/24 192.168.1.1 - han2x"
#define NEW "yes static 10.0.0.5/24 10.0.0.1 - han2x"
#define THIRD "yes static 172.16.0.5/24 - - han2x"
#define DHCP "yes dhcp 192.168.1.232/24 192.168.1.1 - han2x"
#define OFF "no static 192.168.1.232/24 192.168.1.1 - han2x"
#define BOOT "11111111-2222-3333-4444-555555555555"
#define START_MS 1000000u

static struct hx_net_plan plan_of(const char *line)
{
    struct hx_net_plan plan;
    const char *why;

    if (hx_net_plan_parse(span(line), &plan, &why) != HX_OK)
        fail_msg("%s: %s", line, why);
    return plan;
}

/* What the caller does: everything that is due, and forget it. */
static void clear(struct hx_net_commit *c)
{
    c->send = c->save = c->came_back = false;
}

static void check_now(const char *name, const struct hx_net_commit *c, enum hx_net_phase phase,
                      const char *line)
{
    struct hx_net_plan want = plan_of(line);

    CHECK_INT(name, c->phase, phase);
    CHECK(name, hx_net_plan_same(hx_net_commit_now(c), &want));
}

static void change(struct hx_net_commit *c, const char *line, bool confirm, uint64_t now_ms)
{
    struct hx_net_plan want = plan_of(line);

    hx_net_commit_change(c, &want, confirm, now_ms);
}

/* OLD in force since the first start. */
static void begin(struct hx_net_commit *c)
{
    struct hx_net_plan old = plan_of(OLD);

    assert_int_equal(hx_net_commit_start(c, (struct hx_span){NULL, 0}, BOOT, &old, START_MS),
                     HX_OK);
    check_now("first start", c, HX_NET_SETTING, OLD);
    assert_true(c->send && c->save);
    clear(c);
    hx_net_commit_answer(c, true, START_MS);
    check_now("in force", c, HX_NET_IDLE, OLD);
    clear(c);
}

static void begin_waiting(struct hx_net_commit *c)
{
    begin(c);
    change(c, NEW, true, START_MS);
    clear(c);
    hx_net_commit_answer(c, true, START_MS + 1000u);
    clear(c);
}

static void a_machine_that_is_not_ours_is_left_alone(void **state)
{
    struct hx_net_plan off = plan_of(OFF);
    struct hx_net_commit c;

    (void)state;
    assert_int_equal(hx_net_commit_start(&c, (struct hx_span){NULL, 0}, BOOT, &off, 0), HX_OK);
    check_now("start", &c, HX_NET_IDLE, OFF);
    assert_false(c.send || c.save || c.came_back);
    assert_false(hx_net_commit_tick(&c, UINT32_MAX));
    change(&c, "no dhcp 10.0.0.1/8 - - x", true, 5);
    assert_false(c.send || c.save || c.came_back);
}

static void confirmed_in_time(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin(&c);
    change(&c, NEW, true, START_MS);
    check_now("asked for", &c, HX_NET_APPLYING, NEW);
    assert_true(c.send && c.save);
    clear(&c);
    assert_int_equal(hx_net_commit_confirm(&c, "10.0.0.5"), HX_MORE); /* not in force yet */
    hx_net_commit_answer(&c, true, START_MS + 1000u);
    check_now("in force", &c, HX_NET_WAITING, NEW);
    assert_true(c.save);
    assert_false(c.send);
    clear(&c);
    assert_int_equal(hx_net_commit_left_s(&c, START_MS + 1000u), 120);
    assert_int_equal(hx_net_commit_left_s(&c, START_MS + 1001u), 120);
    assert_int_equal(hx_net_commit_left_s(&c, START_MS + 2000u), 119);
    assert_false(hx_net_commit_tick(&c, START_MS + 1000u + 119999u));
    assert_int_equal(hx_net_commit_confirm(&c, "10.0.0.5"), HX_OK);
    check_now("kept", &c, HX_NET_IDLE, NEW);
    assert_true(c.save);
    assert_false(c.send || c.came_back);
    assert_false(hx_net_commit_tick(&c, START_MS + 900000u));
    check_now("for good", &c, HX_NET_IDLE, NEW);
}

static void who_may_confirm(void **state)
{
    static const struct {
        const char *tried, *local;
        enum hx_err want;
    } cases[] = {
        {NEW, "10.0.0.5", HX_OK},
        {NEW, "::ffff:10.0.0.5", HX_OK}, /* a socket for both protocols: RFC 4291 2.5.5.2 */
        {NEW, "192.168.1.232", HX_E_VALUE},
        {NEW, "10.0.0.50", HX_E_VALUE},
        {NEW, "127.0.0.1", HX_E_VALUE},
        {NEW, "fe80::1", HX_E_VALUE},
        {NEW, "::1", HX_E_VALUE},
        {NEW, "", HX_OK}, /* not known: then the time counts */
        {NEW, NULL, HX_OK},
        {DHCP, "192.168.7.9", HX_OK},
        {DHCP, "fe80::1", HX_OK},
        {DHCP, "127.0.0.1", HX_E_VALUE},
        {DHCP, "::ffff:127.0.0.1", HX_E_VALUE},
        {DHCP, "::1", HX_E_VALUE},
        {OFF, "192.168.7.9", HX_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_net_commit c;

        begin(&c);
        change(&c, cases[i].tried, true, START_MS);
        hx_net_commit_answer(&c, true, START_MS);
        CHECK_INT(cases[i].local, hx_net_commit_confirm(&c, cases[i].local), cases[i].want);
        check_now(cases[i].tried, &c, cases[i].want == HX_OK ? HX_NET_IDLE : HX_NET_WAITING,
                  cases[i].tried);
    }
}

static void nobody_comes(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin_waiting(&c);
    assert_false(hx_net_commit_tick(&c, START_MS + 1000u + HX_NET_CONFIRM_MS - 1u));
    assert_true(hx_net_commit_tick(&c, START_MS + 1000u + HX_NET_CONFIRM_MS));
    check_now("back", &c, HX_NET_SETTING, OLD);
    assert_true(c.send && c.save && c.came_back);
    assert_false(hx_net_commit_pending(&c));
    assert_int_equal(hx_net_commit_confirm(&c, "10.0.0.5"), HX_OK); /* too late: changes nothing */
    check_now("back", &c, HX_NET_SETTING, OLD);
    clear(&c);
    hx_net_commit_answer(&c, true, START_MS + 200000u);
    check_now("in force", &c, HX_NET_IDLE, OLD);
}

static void the_helper_refuses(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin(&c);
    change(&c, NEW, true, START_MS);
    clear(&c);
    hx_net_commit_answer(&c, false, START_MS + 1000u);
    check_now("back", &c, HX_NET_SETTING, OLD);
    assert_true(c.send && c.save && c.came_back);
}

static void the_helper_does_not_answer(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin(&c);
    change(&c, NEW, true, START_MS);
    clear(&c);
    assert_false(hx_net_commit_tick(&c, START_MS + HX_NET_APPLY_MS - 1u));
    assert_true(hx_net_commit_tick(&c, START_MS + HX_NET_APPLY_MS));
    check_now("back", &c, HX_NET_SETTING, OLD);
    assert_true(c.send);
    clear(&c);
    /* the old ones are asked for until they are there */
    assert_false(hx_net_commit_tick(&c, START_MS + 2u * HX_NET_APPLY_MS - 1u));
    assert_true(hx_net_commit_tick(&c, START_MS + 2u * HX_NET_APPLY_MS));
    assert_true(c.send);
    clear(&c);
    assert_false(hx_net_commit_tick(&c, START_MS + 2u * HX_NET_APPLY_MS + HX_NET_RETRY_MS - 1u));
    assert_true(hx_net_commit_tick(&c, START_MS + 2u * HX_NET_APPLY_MS + HX_NET_RETRY_MS));
    assert_true(c.send);
    clear(&c);
    hx_net_commit_answer(&c, false, START_MS + 100000u);
    check_now("still", &c, HX_NET_SETTING, OLD);
    assert_false(hx_net_commit_tick(&c, START_MS + 100000u + HX_NET_RETRY_MS - 1u));
    assert_true(hx_net_commit_tick(&c, START_MS + 100000u + HX_NET_RETRY_MS));
    hx_net_commit_answer(&c, true, START_MS + 200000u);
    check_now("there", &c, HX_NET_IDLE, OLD);
}

static void another_change_in_between(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin_waiting(&c);
    change(&c, THIRD, true, START_MS + 50000u);
    check_now("the newest", &c, HX_NET_APPLYING, THIRD);
    assert_true(c.send && c.save);
    hx_net_commit_answer(&c, true, START_MS + 51000u);
    assert_true(hx_net_commit_tick(&c, START_MS + 51000u + HX_NET_CONFIRM_MS));
    check_now("what was confirmed last", &c, HX_NET_SETTING, OLD);

    begin_waiting(&c);
    change(&c, OLD, true, START_MS + 50000u); /* the user thinks better of it */
    check_now("at once", &c, HX_NET_SETTING, OLD);
    assert_true(c.send && c.save);
    assert_false(c.came_back); /* the file says so already */

    begin_waiting(&c);
    change(&c, NEW, true, START_MS + 50000u); /* saved once more: the time is not prolonged */
    check_now("goes on", &c, HX_NET_WAITING, NEW);
    assert_false(c.send);
    assert_true(hx_net_commit_tick(&c, START_MS + 1000u + HX_NET_CONFIRM_MS));
}

static void set_by_hand(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin(&c);
    change(&c, NEW, false, START_MS);
    check_now("holds", &c, HX_NET_SETTING, NEW);
    assert_true(c.send && c.save);
    hx_net_commit_answer(&c, true, START_MS + 1000u);
    assert_false(hx_net_commit_tick(&c, START_MS + 900000u));
    check_now("without a confirmation", &c, HX_NET_IDLE, NEW);

    begin_waiting(&c);
    change(&c, OFF, false, START_MS);
    check_now("given back", &c, HX_NET_SETTING, OFF);
    assert_true(c.send);
}

/* The file that could not be put right must not bring the refused plan back; a wish may. */
static void a_refused_plan(void **state)
{
    struct hx_net_commit c;

    (void)state;
    begin_waiting(&c);
    assert_true(hx_net_commit_tick(&c, START_MS + 200000u));
    clear(&c);
    change(&c, NEW, false, START_MS + 201000u);
    check_now("loaded again", &c, HX_NET_SETTING, OLD);
    assert_true(c.came_back);
    clear(&c);
    hx_net_commit_settled(&c);
    assert_true(c.save);
    change(&c, NEW, false, START_MS + 202000u);
    check_now("a new edit", &c, HX_NET_SETTING, NEW);

    begin_waiting(&c);
    assert_true(hx_net_commit_tick(&c, START_MS + 200000u));
    change(&c, NEW, true, START_MS + 201000u);
    check_now("tried again from a page", &c, HX_NET_APPLYING, NEW);
    assert_false(c.came_back);
}

/* --- restart in between --- */

static size_t save(const struct hx_net_commit *c, uint8_t room[HX_NET_SAVED_MAX])
{
    struct hx_wr w = {.ptr = room, .cap = HX_NET_SAVED_MAX};

    hx_net_commit_save(c, BOOT, &w);
    assert_int_equal(w.err, HX_OK);
    return w.len;
}

static void restarts(void **state)
{
    enum when { IDLE, APPLYING, WAITING, CAME_BACK, SETTLED };
    static const struct {
        const char *name;
        enum when when;
        const char *boot, *file; /* kernel's word, and what the settings file says, at the start */
        uint64_t now_ms;
        enum hx_net_phase phase;
        const char *line;
        bool send, came_back;
    } cases[] = {
        {"nothing_under_way", IDLE, BOOT, OLD, 1, HX_NET_SETTING, OLD, true, false},
        {"edited_while_away", IDLE, BOOT, NEW, 1, HX_NET_SETTING, NEW, true, false},
        {"given_up_while_away", IDLE, BOOT, OFF, 1, HX_NET_SETTING, OFF, true, false},
        {"asked_for", APPLYING, BOOT, NEW, START_MS + 5000, HX_NET_APPLYING, NEW, true, false},
        {"asked_too_long_ago", APPLYING, BOOT, NEW, START_MS + 10000, HX_NET_SETTING, OLD, true,
         true},
        {"waits_on", WAITING, BOOT, NEW, START_MS + 60000, HX_NET_WAITING, NEW, false, false},
        {"last_ms", WAITING, BOOT, NEW, START_MS + 120999, HX_NET_WAITING, NEW, false, false},
        {"time_is_up", WAITING, BOOT, NEW, START_MS + 121000, HX_NET_SETTING, OLD, true, true},
        {"power_cut", WAITING, "other", NEW, START_MS + 2000, HX_NET_SETTING, OLD, true, true},
        {"clock_that_cannot_be", WAITING, BOOT, NEW, 1, HX_NET_SETTING, OLD, true, true},
        {"edited_while_waiting", WAITING, BOOT, THIRD, START_MS + 2000, HX_NET_SETTING, THIRD, true,
         false},
        {"edited_back", WAITING, BOOT, OLD, START_MS + 2000, HX_NET_SETTING, OLD, true, false},
        {"file_still_wrong", CAME_BACK, BOOT, NEW, 1, HX_NET_SETTING, OLD, true, true},
        {"file_put_right", CAME_BACK, BOOT, OLD, 1, HX_NET_SETTING, OLD, true, false},
        {"edited_after_it_was_settled", SETTLED, BOOT, NEW, 1, HX_NET_SETTING, NEW, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_net_plan file = plan_of(cases[i].file);
        struct hx_net_commit c;
        uint8_t room[HX_NET_SAVED_MAX];
        size_t len;

        begin(&c);
        if (cases[i].when >= APPLYING)
            change(&c, NEW, true, START_MS);
        if (cases[i].when >= WAITING)
            hx_net_commit_answer(&c, true, START_MS + 1000u);
        if (cases[i].when >= CAME_BACK)
            CHECK(cases[i].name, hx_net_commit_tick(&c, START_MS + 121000u));
        if (cases[i].when >= SETTLED)
            hx_net_commit_settled(&c);
        len = save(&c, room);
        CHECK_INT(cases[i].name,
                  hx_net_commit_start(&c, (struct hx_span){room, len}, cases[i].boot, &file,
                                      cases[i].now_ms),
                  HX_OK);
        check_now(cases[i].name, &c, cases[i].phase, cases[i].line);
        CHECK_INT(cases[i].name, c.send, cases[i].send);
        CHECK_INT(cases[i].name, c.came_back, cases[i].came_back);
    }
}

/* A state that is not whole counts as none: then the settings file alone speaks. */
static void a_saved_state_that_is_not_whole(void **state)
{
    struct hx_net_plan old = plan_of(OLD);
    struct hx_net_commit c;
    uint8_t room[HX_NET_SAVED_MAX], *exact;
    size_t len;

    (void)state;
    begin_waiting(&c);
    len = save(&c, room);
    for (size_t n = 1; n < len; n++) {
        exact = test_malloc(n); /* so that a read past the end is found */
        memcpy(exact, room, n);
        assert_int_equal(hx_net_commit_start(&c, (struct hx_span){exact, n}, BOOT, &old, START_MS),
                         HX_E_VALUE);
        check_now("settings alone", &c, HX_NET_SETTING, OLD);
        test_free(exact);
    }
    room[len] = 'x';
    assert_int_equal(
        hx_net_commit_start(&c, (struct hx_span){room, len + 1u}, BOOT, &old, START_MS),
        HX_E_VALUE);
}

#define ID "0123456789abcdef"
#define PLAN "yes dhcp 192.168.1.232/24 192.168.1.1 - han2x"

static void requests(void **state)
{
    static const struct {
        const char *name, *text;
        bool has_id, has_plan;
    } cases[] = {
        {"good", "id " ID "\nplan " PLAN "\n", true, true},
        {"cut", "id " ID "\nplan " PLAN, true, false},
        {"no_plan", "id " ID "\nplan \n", true, false},
        {"a_plan_that_cannot_work", "id " ID "\nplan yes static 0.0.0.0/24 - - a\n", true, false},
        {"another_word", "id " ID "\nplam " PLAN "\n", true, false},
        {"two_lines", "id " ID "\nplan " PLAN "\nid " ID "\n", true, false},
        {"id_alone", "id " ID "\n", true, false},
        {"id_cut", "id " ID, false, false},
        {"id_short", "id 0123456789abcde\nplan " PLAN "\n", false, false},
        {"id_capitals", "id 0123456789ABCDEF\nplan " PLAN "\n", false, false},
        {"nothing", "", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_net_request r;
        const char *why = "";

        CHECK_INT(cases[i].name, hx_net_request_parse(span(cases[i].text), &r, &why),
                  cases[i].has_id ? HX_OK : HX_E_VALUE);
        if (cases[i].has_id) {
            CHECK(cases[i].name, strcmp(r.id, ID) == 0);
            CHECK(cases[i].name, (why == NULL) == cases[i].has_plan);
        }
    }
}

static void answers(void **state)
{
    static const struct {
        const char *name, *text, *why; /* NULL: no answer to us */
        bool done;
    } cases[] = {
        {"done", "id " ID "\ndone\n", "the helper's answer is not understood", true},
        {"refused", "id " ID "\nrefused no disk\n", "no disk", false},
        {"other_words", "id " ID "\ndone, nearly\n", "the helper's answer is not understood",
         false},
        {"cut", "id " ID "\ndone", NULL, false},
        {"to_another", "id 0123456789abcdee\ndone\n", NULL, false},
        {"nothing", "", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[HX_NET_WHY];
        bool done = false;
        enum hx_err err = hx_net_answer_parse(span(cases[i].text), ID, &done, why);

        CHECK_INT(cases[i].name, err, cases[i].why != NULL ? HX_OK : HX_MORE);
        CHECK(cases[i].name, done == cases[i].done);
        CHECK(cases[i].name, cases[i].why == NULL || strcmp(why, cases[i].why) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_settings_cannot_hold_is_told),
        cmocka_unit_test(what_can_work),
        cmocka_unit_test(settings_come_back_as_they_were),
        cmocka_unit_test(lines),
        cmocka_unit_test(a_line_says_what_it_was_made_from),
        cmocka_unit_test(networkd_files),
        cmocka_unit_test(what_has_the_same_effect),
        cmocka_unit_test(a_machine_that_is_not_ours_is_left_alone),
        cmocka_unit_test(confirmed_in_time),
        cmocka_unit_test(who_may_confirm),
        cmocka_unit_test(nobody_comes),
        cmocka_unit_test(the_helper_refuses),
        cmocka_unit_test(the_helper_does_not_answer),
        cmocka_unit_test(another_change_in_between),
        cmocka_unit_test(set_by_hand),
        cmocka_unit_test(a_refused_plan),
        cmocka_unit_test(restarts),
        cmocka_unit_test(a_saved_state_that_is_not_whole),
        cmocka_unit_test(requests),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
