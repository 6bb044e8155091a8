/* test_web_session.c - sessions and the back-off after failed logins, without waiting. */
#include "check.h"

#include "web_session.h"

#include <stdio.h>

static const uint8_t home[16] = {[10] = 0xFF, [11] = 0xFF, 192, 168, 1, 10};
static const uint8_t stranger[16] = {[10] = 0xFF, [11] = 0xFF, 192, 168, 1, 66};

static struct hx_span span(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

static void a_session_lives_until_idle(void **state)
{
    static struct hx_web_sessions s;
    const uint8_t random[HX_WEB_TOKEN] = {0x01, 0xAB, [15] = 0xFF};
    char token[2u * HX_WEB_TOKEN + 1u];
    const uint64_t hours12 = UINT64_C(43200000);

    (void)state;
    hx_web_session_begin(&s, random, 1000, token);
    assert_string_equal(token, "01ab00000000000000000000000000ff");
    assert_true(hx_web_session_touch(&s, span(token), 1000 + hours12 - 1));
    assert_true(hx_web_session_touch(&s, span(token), 1000 + 2 * hours12 - 2)); /* anew */
    assert_false(hx_web_session_touch(&s, span(token), 1000 + 3 * hours12 - 2));
    assert_false(hx_web_session_touch(&s, span(token), 1000 + 3 * hours12 - 2)); /* gone */
}

/* A stream of events goes on without requests: it must not keep its session awake. */
static void a_look_keeps_nobody_awake(void **state)
{
    static struct hx_web_sessions s;
    const uint8_t random[HX_WEB_TOKEN] = {1};
    char token[2u * HX_WEB_TOKEN + 1u];
    const uint64_t hours12 = UINT64_C(43200000);

    (void)state;
    hx_web_session_begin(&s, random, 1000, token);
    assert_true(hx_web_session_lives(&s, span(token), 1000 + hours12 - 1));
    assert_false(hx_web_session_lives(&s, span(token), 1000 + hours12));
    assert_true(hx_web_session_touch(&s, span(token), 1000 + hours12 - 1));
    assert_true(hx_web_session_lives(&s, span(token), 1000 + hours12));
    hx_web_session_end(&s, span(token));
    assert_false(hx_web_session_lives(&s, span(token), 1000 + hours12));
    assert_false(hx_web_session_lives(&s, span(""), 1000));
}

static void tokens_that_are_none(void **state)
{
    static struct hx_web_sessions s;
    static const char *const bad[] = {"",
                                      "0",
                                      "00000000000000000000000000000000", /* an empty slot's */
                                      "01AB00000000000000000000000000FF",
                                      "01ab00000000000000000000000000ff0",
                                      "01ab00000000000000000000000000fe",
                                      "01ab0000000000000000000000000 ff"};
    const uint8_t random[HX_WEB_TOKEN] = {0x01, 0xAB, [15] = 0xFF};
    char token[2u * HX_WEB_TOKEN + 1u];

    (void)state;
    hx_web_session_begin(&s, random, 0, token);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(bad[i], !hx_web_session_touch(&s, span(bad[i]), 0));
    hx_web_session_end(&s, span(bad[5]));
    assert_true(hx_web_session_touch(&s, span(token), 0));
    hx_web_session_end(&s, span(token));
    assert_false(hx_web_session_touch(&s, span(token), 0));
}

static void the_longest_idle_makes_room(void **state)
{
    static struct hx_web_sessions s;
    char token[HX_WEB_SESSIONS + 1u][2u * HX_WEB_TOKEN + 1u];

    (void)state;
    for (unsigned i = 0; i <= HX_WEB_SESSIONS; i++) {
        const uint8_t random[HX_WEB_TOKEN] = {(uint8_t)(i + 1)};

        if (i == HX_WEB_SESSIONS) /* the first is used again: the second has been idle longest */
            assert_true(hx_web_session_touch(&s, span(token[0]), 100));
        hx_web_session_begin(&s, random, i, token[i]);
    }
    assert_true(hx_web_session_touch(&s, span(token[0]), 200));
    assert_false(hx_web_session_touch(&s, span(token[1]), 200));
    assert_true(hx_web_session_touch(&s, span(token[HX_WEB_SESSIONS]), 200));
    hx_web_session_end_all(&s);
    assert_false(hx_web_session_touch(&s, span(token[0]), 200));
}

/* 1 s after the fifth failure, doubling to five minutes. */
static void waits_double(void **state)
{
    static const uint64_t waits[] = {0,     0,     0,     0,      1000,   2000,   4000,  8000,
                                     16000, 32000, 64000, 128000, 256000, 300000, 300000};
    static struct hx_web_backoff b;
    uint64_t now_ms = 5000;

    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "failure %zu", i + 1);
        hx_web_backoff_failed(&b, stranger, now_ms);
        CHECK_INT(name, hx_web_backoff_wait_ms(&b, stranger, now_ms), waits[i]);
        if (waits[i] != 0)
            CHECK_INT(name, hx_web_backoff_wait_ms(&b, stranger, now_ms + waits[i] - 1), 1);
        now_ms += waits[i];
        CHECK_INT(name, hx_web_backoff_wait_ms(&b, stranger, now_ms), 0);
    }
    hx_web_backoff_good(&b, stranger, now_ms);
    hx_web_backoff_failed(&b, stranger, now_ms);
    assert_int_equal(hx_web_backoff_wait_ms(&b, stranger, now_ms), 0);
}

static void an_hour_forgives(void **state)
{
    static struct hx_web_backoff b;

    (void)state;
    for (int i = 0; i < 20; i++)
        hx_web_backoff_failed(&b, stranger, 0);
    hx_web_backoff_failed(&b, stranger, 3600000);
    assert_int_equal(hx_web_backoff_wait_ms(&b, stranger, 3600000), 0);
}

/* Failures of many addresses hold strangers up, but not whoever has logged in before. */
static void strangers_do_not_keep_the_owner_out(void **state)
{
    static struct hx_web_backoff b;
    uint8_t address[16];

    (void)state;
    hx_web_backoff_good(&b, home, 0);
    memcpy(address, stranger, sizeof address);
    for (unsigned i = 0; i < 6; i++) {
        address[15] = (uint8_t)(100 + i);
        hx_web_backoff_failed(&b, address, 1000);
    }
    address[15] = 200; /* never seen: the sixth failure of all makes it 2 s */
    assert_int_equal(hx_web_backoff_wait_ms(&b, address, 1000), 2000);
    assert_int_equal(hx_web_backoff_wait_ms(&b, home, 1000), 0);
}

/* A script with an old password knocks for ever: the others wait for its first failures alone. */
static void one_address_does_not_keep_all_out(void **state)
{
    static struct hx_web_backoff b;
    uint64_t now_ms = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        now_ms += hx_web_backoff_wait_ms(&b, stranger, now_ms);
        hx_web_backoff_failed(&b, stranger, now_ms);
    }
    assert_int_equal(hx_web_backoff_wait_ms(&b, stranger, now_ms), HX_WEB_WAIT_MAX_MS);
    assert_int_equal(hx_web_backoff_wait_ms(&b, home, now_ms), 0);
}

/* RFC 4291: a network of 64 bits is one household. */
static void a_prefix_is_one_address(void **state)
{
    static struct hx_web_backoff b;
    uint8_t address[16] = {0x20, 0x01, 0x0D, 0xB8};
    uint8_t other[16] = {0x20, 0x01, 0x0D, 0xB8, [7] = 1};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        address[15] = (uint8_t)i;
        hx_web_backoff_failed(&b, address, 0);
    }
    b.all.count = 0; /* only what is counted for each */
    address[15] = 99;
    assert_int_equal(hx_web_backoff_wait_ms(&b, address, 0), 8000);
    assert_int_equal(hx_web_backoff_wait_ms(&b, other, 0), 0);
}

static void the_table_is_bounded(void **state)
{
    static struct hx_web_backoff b;
    uint8_t address[16] = {[10] = 0xFF, [11] = 0xFF, 10};

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        address[13] = (uint8_t)(i >> 16);
        address[14] = (uint8_t)(i >> 8);
        address[15] = (uint8_t)i;
        hx_web_backoff_failed(&b, address, i);
    }
    assert_int_equal(hx_web_backoff_wait_ms(&b, address, 99999), HX_WEB_WAIT_MAX_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_lives_until_idle),
        cmocka_unit_test(a_look_keeps_nobody_awake),
        cmocka_unit_test(tokens_that_are_none),
        cmocka_unit_test(the_longest_idle_makes_room),
        cmocka_unit_test(waits_double),
        cmocka_unit_test(an_hour_forgives),
        cmocka_unit_test(strangers_do_not_keep_the_owner_out),
        cmocka_unit_test(one_address_does_not_keep_all_out),
        cmocka_unit_test(a_prefix_is_one_address),
        cmocka_unit_test(the_table_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
