/* test_dlms.c - A-XDR items, COSEM date-times and push headers, as tables of hand-worked facts.
 * Types and sizes: IEC 62056-6-2; date-time: Blue Book 4.1.6; forms seen on meters. */
#include "check.h"

#include "hx/dlms.h"

static const struct {
    const char *name, *hex;
    enum hx_axdr_kind kind;
    int64_t num; /* HX_KIND_LIST: count; strings: length */
} items[] = {
    {"null", "00", HX_KIND_NULL, 0},
    {"array", "01 02 0000", HX_KIND_LIST, 2},
    {"structure", "02 01 00", HX_KIND_LIST, 1},
    {"empty structure", "02 00", HX_KIND_LIST, 0},
    {"boolean", "03 01", HX_KIND_NUMBER, 1},
    {"double-long", "05 FFFFFFFF", HX_KIND_NUMBER, -1},
    {"double-long smallest", "05 80000000", HX_KIND_NUMBER, INT32_MIN},
    {"double-long-unsigned", "06 FFFFFFFF", HX_KIND_NUMBER, 4294967295},
    {"double-long-unsigned 4027", "06 00000FBB", HX_KIND_NUMBER, 4027},
    {"octet-string", "09 03 414243", HX_KIND_STRING, 3},
    {"visible-string", "0A 02 4142", HX_KIND_STRING, 2},
    {"utf8-string", "0C 02 C3A5", HX_KIND_STRING, 2},
    {"empty string", "0A 00", HX_KIND_STRING, 0},
    {"string with long length", "0A 81 02 4142", HX_KIND_STRING, 2},
    {"string with longer length", "0A 82 0002 4142", HX_KIND_STRING, 2},
    {"integer", "0F FE", HX_KIND_NUMBER, -2},
    {"integer plus", "0F 01", HX_KIND_NUMBER, 1},
    {"long, -5.1 A of a 1-phase meter", "10 FFCD", HX_KIND_NUMBER, -51},
    {"unsigned", "11 FF", HX_KIND_NUMBER, 255},
    {"long-unsigned", "12 091A", HX_KIND_NUMBER, 2330},
    {"long-unsigned high", "12 FFFF", HX_KIND_NUMBER, 65535},
    {"long64", "14 FFFFFFFFFFFFFFFE", HX_KIND_NUMBER, -2},
    {"long64 smallest", "14 8000000000000000", HX_KIND_NUMBER, INT64_MIN},
    {"long64-unsigned", "15 0000000100000000", HX_KIND_NUMBER, 4294967296},
    {"enum", "16 1B", HX_KIND_NUMBER, 27},
    {"bit-string of 10", "04 0A FFC0", HX_KIND_OTHER, 2},
    {"bcd", "0D 12", HX_KIND_OTHER, 1},
    {"float32", "17 3F800000", HX_KIND_OTHER, 4},
    {"float64", "18 3FF0000000000000", HX_KIND_OTHER, 8},
    {"date-time", "19 07E1090F05043434FF800000", HX_KIND_OTHER, 12},
    {"date", "1A 07E1090F05", HX_KIND_OTHER, 5},
    {"time", "1B 043434FF", HX_KIND_OTHER, 4},
};

static int64_t number_of(const struct hx_axdr *item)
{
    switch (item->kind) {
    case HX_KIND_NUMBER:
        return item->num;
    case HX_KIND_LIST:
        return item->count;
    case HX_KIND_STRING:
    case HX_KIND_OTHER:
        return (int64_t)item->str.len;
    case HX_KIND_NULL:
        return 0;
    }
    return -1;
}

/* Each item alone, then with an octet behind it, then cut at every place. */
static void items_of_every_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        uint8_t b[24];
        size_t n = unhex(items[i].hex, b);
        size_t head = items[i].kind == HX_KIND_LIST ? 2 : n; /* elements are items of their own */
        struct hx_rd r = {.left = {b, n}};
        struct hx_axdr item;
        CHECK_INT(items[i].name, hx_axdr_next(&r, &item), HX_OK);
        CHECK_INT(items[i].name, item.tag, b[0]);
        CHECK_INT(items[i].name, item.kind, items[i].kind);
        CHECK_INT(items[i].name, number_of(&item), items[i].num);
        CHECK_INT(items[i].name, r.left.len, n - head);
        b[n] = 0xAA;
        r = (struct hx_rd){.left = {b, n + 1}};
        CHECK_INT(items[i].name, hx_axdr_next(&r, &item), HX_OK);
        CHECK_INT(items[i].name, r.left.len, n + 1 - head);
        for (size_t cut = 0; cut < n; cut++) {
            r = (struct hx_rd){.left = {b, cut}};
            CHECK_INT(items[i].name, hx_axdr_next(&r, &item), HX_E_AXDR);
        }
    }
}

static void strings_point_into_the_input(void **state)
{
    uint8_t b[8];
    size_t n = unhex("09 03 414243", b);
    struct hx_rd r = {.left = {b, n}};
    struct hx_axdr item;
    (void)state;
    CHECK_INT("ok", hx_axdr_next(&r, &item), HX_OK);
    CHECK("not copied", item.str.ptr == b + 2);
}

static const struct {
    const char *name, *hex;
} bad_items[] = {
    {"count over what is left", "01 05 00000000"},
    {"long count over what is left", "02 81FF 00000000"},
    {"huge count", "01 82FFFF 00"},
    {"huge length", "09 82FFFF 00"},
    {"length of four octets", "09 84 00000001 41"},
    {"length octet 80", "09 80 41"},
    {"length octet FF", "0A FF 4142"},
    {"tag 07", "07 00000000"},
    {"tag 08", "08 00"},
    {"tag 0B", "0B 00"},
    {"tag 0E", "0E 00"},
    {"compact array", "13 00 00"},
    {"tag 1C", "1C 00"},
    {"tag 80", "80 00"},
    {"tag FE", "FE 00"},
};

static void what_is_no_item(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_items / sizeof bad_items[0]; i++) {
        uint8_t b[16];
        struct hx_rd r = {.left = {b, unhex(bad_items[i].hex, b)}};
        struct hx_axdr item;
        CHECK_INT(bad_items[i].name, hx_axdr_next(&r, &item), HX_E_AXDR);
    }
}

static const struct {
    const char *name, *hex;
    enum hx_err want;
    bool known;
    struct hx_civil local;
    int16_t deviation;
    uint8_t status, weekday, hundredths;
} times[] = {
    {"Aidon, Sunday is 0",
     "07E90C0E 00 100000 FF 0000 00",
     HX_OK,
     true,
     {2025, 12, 14, 16, 0, 0},
     0,
     0x00,
     0,
     0xFF},
    {"Kaifa",
     "07E1090F 05 043434 FF 8000 00",
     HX_OK,
     true,
     {2017, 9, 15, 4, 52, 52},
     HX_COSEM_NO_DEVIATION,
     0x00,
     5,
     0xFF},
    {"Kaifa SE, UTC+1",
     "07E50317 02 123200 FF FFC4 00",
     HX_OK,
     true,
     {2021, 3, 23, 18, 50, 0},
     -60,
     0x00,
     2,
     0xFF},
    {"UTC+2 and daylight saving",
     "07E5060E 01 11251E 00 FF88 80",
     HX_OK,
     true,
     {2021, 6, 14, 17, 37, 30},
     -120,
     0x80,
     1,
     0},
    {"weekday is not looked at",
     "07E1090F 09 043434 FF 8000 00",
     HX_OK,
     true,
     {2017, 9, 15, 4, 52, 52},
     HX_COSEM_NO_DEVIATION,
     0x00,
     9,
     0xFF},
    {"leap day",
     "07E8021D FF 000000 FF 8000 FF",
     HX_OK,
     true,
     {2024, 2, 29, 0, 0, 0},
     HX_COSEM_NO_DEVIATION,
     0xFF,
     0xFF,
     0xFF},
    {"nothing specified",
     "FFFFFFFF FF FFFFFF FF 8000 FF",
     HX_OK,
     false,
     {0, 0, 0, 0, 0, 0},
     HX_COSEM_NO_DEVIATION,
     0xFF,
     0xFF,
     0xFF},
    {"year not specified",
     "FFFF090F 05 043434 FF 8000 00",
     HX_OK,
     false,
     {0, 0, 0, 0, 0, 0},
     HX_COSEM_NO_DEVIATION,
     0x00,
     5,
     0xFF},
    {"time not specified",
     "07E1090F 05 FFFFFF FF 8000 00",
     HX_OK,
     false,
     {0, 0, 0, 0, 0, 0},
     HX_COSEM_NO_DEVIATION,
     0x00,
     5,
     0xFF},
    {"month 13", "07E10D0F 05 043434 FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"month 0", "07E1000F 05 043434 FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"31 September", "07E1091F 05 043434 FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"29 February 2017", "07E1021D 05 043434 FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"hour 24", "07E1090F 05 183434 FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"minute 60", "07E1090F 05 043C34 FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"second 61", "07E1090F 05 04343D FF 8000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
    {"all zero", "00000000 00 000000 00 0000 00", HX_E_DATE, false, {0}, 0, 0, 0, 0},
};

static void check_time(size_t i, const struct hx_cosem_time *t)
{
    const char *name = times[i].name;
    CHECK(name, t->present);
    CHECK_INT(name, t->known, times[i].known);
    CHECK_INT(name, t->local.year, times[i].local.year);
    CHECK_INT(name, t->local.month, times[i].local.month);
    CHECK_INT(name, t->local.day, times[i].local.day);
    CHECK_INT(name, t->local.hour, times[i].local.hour);
    CHECK_INT(name, t->local.minute, times[i].local.minute);
    CHECK_INT(name, t->local.second, times[i].local.second);
    CHECK_INT(name, t->deviation_min, times[i].deviation);
    CHECK_INT(name, t->status, times[i].status);
    CHECK_INT(name, t->weekday, times[i].weekday);
    CHECK_INT(name, t->hundredths, times[i].hundredths);
}

static void date_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        uint8_t b[16];
        size_t n = unhex(times[i].hex, b);
        struct hx_cosem_time t;
        CHECK_INT(times[i].name, hx_cosem_time_parse((struct hx_span){b, n}, &t), times[i].want);
        if (times[i].want == HX_OK)
            check_time(i, &t);
        b[12] = 0;
        CHECK(times[i].name, hx_cosem_time_parse((struct hx_span){b, 13}, &t) != HX_OK);
        CHECK(times[i].name, hx_cosem_time_parse((struct hx_span){b, 11}, &t) != HX_OK);
        CHECK(times[i].name, hx_cosem_time_parse((struct hx_span){b, 0}, &t) != HX_OK);
    }
}

static const struct {
    const char *name, *hex;
    enum hx_err want;
    bool time;
    size_t body;
} pushes[] = {
    {"date-time absent", "E6E700 0F 40000000 00 0101", HX_OK, false, 2},
    {"length without tag", "E6E700 0F 00000000 0C 07E1081003100005FF800000 0219", HX_OK, true, 2},
    {"octet-string", "E6E700 0F 40000000 090C 07E1090F05043434FF800000 0201", HX_OK, true, 2},
    {"date-time tag", "E6E700 0F 40000000 19 07E1090F05043434FF800000 0201", HX_OK, true, 2},
    {"other LLC", "E6E600 0F 40000000 00 0101", HX_E_LLC, false, 0},
    {"no LLC", "0F 40000000 00 0101 0203", HX_E_LLC, false, 0},
    {"nothing", "", HX_E_LLC, false, 0},
    {"LLC alone", "E6E700", HX_E_LLC, false, 0},
    {"get-response", "E6E700 C4 01410001", HX_E_LLC, false, 0},
    {"general block transfer", "E6E700 E0 4000010000 70", HX_E_LLC, false, 0},
    {"encrypted", "E6E700 DB 08 4B414D4501AC4D6E 8201D030", HX_E_ENCRYPTED, false, 0},
    {"cut in invoke id", "E6E700 0F 4000", HX_E_AXDR, false, 0},
    {"cut before date-time", "E6E700 0F 40000000", HX_E_AXDR, false, 0},
    {"cut in date-time", "E6E700 0F 40000000 0C 07E1081003100005FF8000", HX_E_AXDR, false, 0},
    {"cut in octet-string", "E6E700 0F 40000000 09", HX_E_AXDR, false, 0},
    {"date-time of 11", "E6E700 0F 40000000 0B 07E1081003100005FF8000 0219", HX_E_AXDR, false, 0},
    {"octet-string of 25", "E6E700 0F 40000000 0919 07E1090F05043434FF800000 0201", HX_E_AXDR,
     false, 0},
    {"31 September", "E6E700 0F 40000000 0C 07E1091F05043434FF800000 0201", HX_E_DATE, false, 0},
};

static void push_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pushes / sizeof pushes[0]; i++) {
        uint8_t b[64];
        size_t n = unhex(pushes[i].hex, b);
        struct hx_push p;
        CHECK_INT(pushes[i].name, hx_push_parse((struct hx_span){b, n}, &p), pushes[i].want);
        if (pushes[i].want != HX_OK)
            continue;
        CHECK_INT(pushes[i].name, p.time.present, pushes[i].time);
        CHECK_INT(pushes[i].name, p.time.known, pushes[i].time);
        CHECK_INT(pushes[i].name, p.body.len, pushes[i].body);
        CHECK(pushes[i].name, p.body.ptr == b + n - pushes[i].body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_of_every_type), cmocka_unit_test(strings_point_into_the_input),
        cmocka_unit_test(what_is_no_item),     cmocka_unit_test(date_times),
        cmocka_unit_test(push_headers),
    };
    return cmocka_run_group_tests_name("dlms", tests, NULL, NULL);
}
