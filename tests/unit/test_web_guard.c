/* test_web_guard.c - which requests are looked at: framing, Host, origin, types, Basic, cookies. */
#include "check.h"

#include "web_guard.h"

static void framing(void **state)
{
    static const struct {
        const char *name;
        struct hx_web_framing f;
        bool good;
    } cases[] = {
        {"a GET", {1, 0, 0, NULL, NULL}, true},
        {"a length", {1, 1, 0, "12", NULL}, true},
        {"chunked", {1, 0, 1, NULL, "chunked"}, true},
        {"chunked in capitals", {1, 0, 1, NULL, "Chunked"}, true},
        {"no host", {0, 0, 0, NULL, NULL}, false},
        {"two hosts", {2, 0, 0, NULL, NULL}, false},
        {"length and coding", {1, 1, 1, "12", "chunked"}, false},
        {"two lengths", {1, 2, 0, "12", NULL}, false},
        {"two codings", {1, 0, 2, NULL, "chunked"}, false},
        {"a coding before chunked", {1, 0, 1, NULL, "gzip, chunked"}, false},
        {"no digits", {1, 1, 0, "", NULL}, false},
        {"a sign", {1, 1, 0, "+12", NULL}, false},
        {"a list", {1, 1, 0, "12, 12", NULL}, false},
        {"hexadecimal", {1, 1, 0, "0x12", NULL}, false},
        {"longer than any body", {1, 1, 0, "12345678901", NULL}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(cases[i].name, hx_web_framing_ok(&cases[i].f), cases[i].good);
}

static void hosts(void **state)
{
    static const char *const names[] = {"han2x", "stue-pi", "", NULL};
    static const struct {
        const char *host;
        bool good;
    } cases[] = {
        {"192.168.1.232", true},
        {"192.168.1.232:8080", true},
        {"[fe80::1]", true},
        {"[2001:db8::2]:8443", true},
        {"localhost", true},
        {"LOCALHOST:1", true},
        {"han2x", true},
        {"Han2X.local", true},
        {"han2x.local.", true},
        {"han2x-2.local", true}, /* what mDNS makes of a name that is taken */
        {"stue-pi.lan", true},
        {"stue-pi.home.arpa", true},
        {"stue-pi.example.com", false},
        {"local", false},
        {".local", false},
        {"a.b.local", false},
        {"evil.example", false},
        {"localhost.evil.example", false},
        {"192.168.1.232.evil.example", false},
        {"192.168.1", false},
        {"", false},
        {":80", false},
        {"[::1", false},
        {"[::1]x", false},
        {"[localhost]", false},
        {"han2x:80x", false},
        {"han2x:80:80", false},
        {"han2x evil", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(cases[i].host, hx_web_host_ok(cases[i].host, names), cases[i].good);
}

static void origins(void **state)
{
    static const struct {
        const char *name, *origin, *site;
        bool good;
    } cases[] = {
        {"no browser", NULL, NULL, true},
        {"own page", "http://han2x.local", "same-origin", true},
        {"own page, TLS", "https://HAN2X.local", NULL, true},
        {"typed in", NULL, "none", true},
        {"other site", "http://evil.example", NULL, false},
        {"other port", "http://han2x.local:81", NULL, false},
        {"longer name", "http://han2x.local.evil.example", NULL, false},
        {"sandboxed page", "null", NULL, false},
        {"says cross-site", "http://han2x.local", "cross-site", false},
        {"sibling host", NULL, "same-site", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(cases[i].name, hx_web_origin_ok("han2x.local", cases[i].origin, cases[i].site),
                  cases[i].good);
}

static void types(void **state)
{
    (void)state;
    assert_true(hx_web_is_json_type("application/json"));
    assert_true(hx_web_is_json_type("Application/JSON; charset=utf-8"));
    assert_true(hx_web_is_json_type("application/json;charset=utf-8"));
    assert_true(hx_web_is_json_type("application/json \t; charset=utf-8"));
    assert_false(hx_web_is_json_type("application/json x"));
    assert_false(hx_web_is_json_type("application/jso"));
    assert_false(hx_web_is_json_type("application/jsonx"));
    assert_false(hx_web_is_json_type("text/plain"));
    assert_false(hx_web_is_json_type(""));
    assert_false(hx_web_is_json_type(NULL));
}

static void basic(void **state)
{
    static const struct {
        const char *text;
        enum hx_err want;
        const char *username, *password;
    } cases[] = {
        {"Basic Yml0czp2YXJp", HX_OK, "bits", "vari"}, /* base64 of bits:vari, by hand */
        {"basic   Yml0czp2YXJp", HX_OK, "bits", "vari"},
        {"Basic YTpiOmM=", HX_OK, "a", "b:c"}, /* the first colon counts: RFC 7617, 2 */
        {"Basic Og==", HX_OK, "", ""},
        {"Basic Og", HX_OK, "", ""},
        {"Basic", HX_E_VALUE, NULL, NULL},
        {"Basic ", HX_E_VALUE, NULL, NULL},
        {"Bearer Yml0czp2YXJp", HX_E_VALUE, NULL, NULL},
        {"Basic Yml0cw==", HX_E_VALUE, NULL, NULL}, /* bits: no colon */
        {"Basic Yml0czp2YXJp!", HX_E_VALUE, NULL, NULL},
        {"Basic Yml0czp2Y=XJp", HX_E_VALUE, NULL, NULL},
        {"Basic Yml0czp2YXJpY", HX_E_VALUE, NULL, NULL}, /* a digit that says nothing */
        {"Basic OgA=", HX_E_VALUE, NULL, NULL},          /* ":" and a NUL */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_web_login login;

        CHECK_INT(cases[i].text, hx_web_basic(cases[i].text, &login), cases[i].want);
        if (cases[i].want != HX_OK)
            continue;
        assert_string_equal(login.username, cases[i].username);
        assert_string_equal(login.password, cases[i].password);
    }
}

static void cookies(void **state)
{
    static const struct {
        const char *cookies, *want;
    } cases[] = {
        {"s=abc", "abc"},    {"a=1; s=abc; b=2", "abc"},
        {"ss=1;s=x", "x"},   {"xs=1", ""},
        {"s", ""},           {"", ""},
        {"s=", ""},          {"; ;s=1", "1"},
        {"a=s=9; s=2", "2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hx_span got = hx_web_cookie(cases[i].cookies, "s");

        CHECK_INT(cases[i].cookies, got.len, strlen(cases[i].want));
        CHECK(cases[i].cookies, memcmp(got.ptr, cases[i].want, got.len) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(framing), cmocka_unit_test(hosts),
                                       cmocka_unit_test(origins), cmocka_unit_test(types),
                                       cmocka_unit_test(basic),   cmocka_unit_test(cookies)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
