/* test_zone.c - times as text around both changes of 2025 in Norway (01:00 UTC on 30 March and 26
 * October: directive 2000/84/EC). Seconds are those of date(1). */
#include "check.h"

#include "hx/zone.h"

#define SPRING 1743296400 /* 2025-03-30T01:00:00Z */
#define AUTUMN 1761440400 /* 2025-10-26T01:00:00Z */

static const struct hx_zone spring = {SPRING, 3600, 7200};
static const struct hx_zone autumn = {AUTUMN, 7200, 3600};
static const struct hx_zone none = {INT64_MIN, 0, 3600};
static const struct hx_zone west = {INT64_MIN, 0, -12600}; /* Newfoundland */
static const struct hx_zone east = {INT64_MIN, 0, 20700};  /* Nepal */

static const struct {
    const char *name;
    const struct hx_zone *zone;
    int64_t utc_s;
    const char *local, *utc;
} cases[] = {
    {"manual's example", &spring, 1744538400, "2025-04-13T12:00:00+02:00", "2025-04-13T10:00:00Z"},
    {"last of winter", &spring, SPRING - 1, "2025-03-30T01:59:59+01:00", "2025-03-30T00:59:59Z"},
    {"first of summer", &spring, SPRING, "2025-03-30T03:00:00+02:00", "2025-03-30T01:00:00Z"},
    {"first of the hour that comes twice", &autumn, AUTUMN - 3600, "2025-10-26T02:00:00+02:00",
     "2025-10-26T00:00:00Z"},
    {"last of summer", &autumn, AUTUMN - 1, "2025-10-26T02:59:59+02:00", "2025-10-26T00:59:59Z"},
    {"first of winter", &autumn, AUTUMN, "2025-10-26T02:00:00+01:00", "2025-10-26T01:00:00Z"},
    {"no change near", &none, AUTUMN, "2025-10-26T02:00:00+01:00", "2025-10-26T01:00:00Z"},
    {"west of Greenwich", &west, 1744538400, "2025-04-13T06:30:00-03:30", "2025-04-13T10:00:00Z"},
    {"quarter hours", &east, 1744538400, "2025-04-13T15:45:00+05:45", "2025-04-13T10:00:00Z"},
    {"local time before 1970", &west, 0, "1970-01-01T00:00:00-03:30", "1970-01-01T00:00:00Z"},
    {"before 1970", &none, -5000, "1970-01-01T00:00:00+01:00", "1970-01-01T00:00:00Z"},
    {"behind 9999", &none, 253402300799, "9999-12-31T23:59:59+01:00", "9999-12-31T23:59:59Z"},
    {"far behind", &none, INT64_MAX, "9999-12-31T23:59:59+01:00", "9999-12-31T23:59:59Z"},
    {"far before", &west, INT64_MIN, "1970-01-01T00:00:00-03:30", "1970-01-01T00:00:00Z"},
};

static void check_text(const char *name, const struct hx_wr *w, const char *want)
{
    if (w->err != HX_OK || w->len != strlen(want) || memcmp(w->ptr, want, w->len) != 0)
        fail_msg("%s: %.*s, not %s", name, (int)w->len, (const char *)w->ptr, want);
}

static void times_as_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t buf[2][32];
        struct hx_wr local = {.ptr = buf[0], .cap = 32}, utc = {.ptr = buf[1], .cap = 32};
        hx_zone_format(&local, cases[i].zone, cases[i].utc_s);
        hx_utc_format(&utc, cases[i].utc_s);
        check_text(cases[i].name, &local, cases[i].local);
        check_text(cases[i].name, &utc, cases[i].utc);
    }
}

static void a_short_buffer_is_told(void **state)
{
    uint8_t buf[24];
    struct hx_wr w = {.ptr = buf, .cap = sizeof buf};
    (void)state;
    hx_zone_format(&w, &spring, 1744538400); /* 25 octets */
    CHECK_INT("one too few", w.err, HX_E_SPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_as_text),
        cmocka_unit_test(a_short_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
