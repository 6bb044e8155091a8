/* test_sparkplug.c - births, data, deaths and commands of a Sparkplug B edge node. Octets by hand
 * from the protobuf encoding (field << 3 | wire type) and the field numbers of Sparkplug 3.0.0;
 * doubles by IEEE 754. 1744538405000 is the varint 88 91 DE F4 E2 32. */
#include "check.h"

#include "sparkplug.h"

#define START_MS 1000000u
#define START_UTC_MS 1744538405000 /* 2025-04-13T10:00:05Z */

static struct hx_state state;
static struct hx_sparkplug node;
static struct hx_mqtt_msg msg;

static void start(const char *topic, bool estimated)
{
    memset(&state, 0, sizeof state);
    hx_meter_init(&state.meter);
    state.now_ms = START_MS;
    state.utc_known = true;
    state.utc_ms = START_UTC_MS;
    state.scale = HX_SCALE_DEFAULT;
    hx_sparkplug_init(&node, topic, estimated);
    CHECK_INT("will", hx_sparkplug_death(&node, 0, &msg), HX_OK);
    hx_sparkplug_connected(&node);
}

static void start_born(void)
{
    start("HAN2X_70388", true);
    CHECK_INT("birth", hx_sparkplug_next(&node, &state, &msg), HX_OK);
}

static void set(enum hx_field f, int64_t num, int8_t decimals)
{
    state.meter.value[f] = (struct hx_value){
        .num = num, .at_ms = state.now_ms, .decimals = decimals, .quality = HX_MEASURED};
}

static void pass(uint32_t ms)
{
    state.now_ms += ms;
    state.utc_ms += ms;
}

static void check_octets(const char *name, const char *hex)
{
    uint8_t want[512];
    size_t n = unhex(hex, want);
    CHECK_INT(name, msg.len, n);
    CHECK(name, memcmp(msg.payload, want, n) == 0);
}

/* ---- a reader of its own ------------------------------------------------------------------ */

struct metric {
    char name[40];
    uint64_t alias, datatype, bits;
    bool has_alias, is_null, has_timestamp, has_value;
    char text[48], unit[16];
};

static uint64_t varint(struct hx_rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = hx_rd_u8(r);
        v |= (uint64_t)(b & 0x7Fu) << shift;
        if (b < 0x80)
            break;
    }
    return v;
}

static void text_of(struct hx_span s, char *out, size_t size)
{
    CHECK("text fits", s.len < size);
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
}

/* properties: 9 { 1: key, 2: { 1: type, 8: text } } */
static void read_unit(struct hx_span s, struct metric *m)
{
    struct hx_rd r = {.left = s}, value;
    CHECK_INT("keys", hx_rd_u8(&r), 0x0A);
    text_of(hx_rd_take(&r, hx_rd_u8(&r)), m->unit, sizeof m->unit);
    CHECK("engUnit", strcmp(m->unit, "engUnit") == 0);
    CHECK_INT("values", hx_rd_u8(&r), 0x12);
    value = (struct hx_rd){.left = hx_rd_take(&r, hx_rd_u8(&r))};
    CHECK_INT("type", hx_rd_be16(&value), 0x080C);
    CHECK_INT("text", hx_rd_u8(&value), 0x42);
    text_of(hx_rd_take(&value, hx_rd_u8(&value)), m->unit, sizeof m->unit);
}

static struct metric read_metric(struct hx_span s)
{
    struct hx_rd r = {.left = s};
    struct metric m;
    memset(&m, 0, sizeof m);
    while (r.left.len > 0 && r.err == HX_OK) {
        uint64_t tag = varint(&r);
        if (tag == 0x0A) {
            text_of(hx_rd_take(&r, varint(&r)), m.name, sizeof m.name);
        } else if (tag == 0x10) {
            m.has_alias = true;
            m.alias = varint(&r);
        } else if (tag == 0x18) {
            m.has_timestamp = varint(&r) > 0;
        } else if (tag == 0x20) {
            m.datatype = varint(&r);
        } else if (tag == 0x38) {
            m.is_null = varint(&r) != 0;
        } else if (tag == 0x4A) {
            read_unit(hx_rd_take(&r, varint(&r)), &m);
        } else if (tag == 0x58 || tag == 0x70) {
            m.has_value = true;
            m.bits = varint(&r);
        } else if (tag == 0x69) {
            struct hx_span d = hx_rd_take(&r, 8);
            m.has_value = d.len == 8;
            for (unsigned i = 0; i < d.len; i++)
                m.bits |= (uint64_t)d.ptr[i] << 8u * i;
        } else if (tag == 0x7A) {
            m.has_value = true;
            text_of(hx_rd_take(&r, varint(&r)), m.text, sizeof m.text);
        } else {
            fail_msg("metric field %llu", (unsigned long long)tag);
        }
    }
    CHECK("metric is whole", r.err == HX_OK);
    return m;
}

/* The message's metrics and its seq; -1 for none. */
static size_t read_message(struct metric *metrics, size_t max, int *seq)
{
    struct hx_rd r = {.left = {msg.payload, msg.len}};
    size_t n = 0;
    *seq = -1;
    while (r.left.len > 0 && r.err == HX_OK) {
        uint64_t tag = varint(&r);
        if (tag == 0x08) {
            CHECK("time", varint(&r) == (uint64_t)state.utc_ms);
        } else if (tag == 0x12) {
            CHECK("not too many", n < max);
            metrics[n++] = read_metric(hx_rd_take(&r, varint(&r)));
        } else if (tag == 0x18) {
            *seq = (int)varint(&r);
        } else {
            fail_msg("payload field %llu", (unsigned long long)tag);
        }
    }
    CHECK("message is whole", r.err == HX_OK);
    return n;
}

/* ---- facts -------------------------------------------------------------------------------- */

static void deaths_count_up(void **unused)
{
    (void)unused;
    hx_sparkplug_init(&node, "HAN2X_70388", true);
    CHECK_INT("first", hx_sparkplug_death(&node, 0, &msg), HX_OK);
    CHECK("name", strcmp(msg.name, "spBv1.0/han2x/NDEATH/HAN2X_70388") == 0);
    CHECK("not retained", !msg.retain_always);
    /* metrics { name "bdSeq", datatype Int64, long 0 }; no seq */
    check_octets("without a clock", "12 0B 0A 05 62 64 53 65 71 20 04 58 00");
    CHECK_INT("second", hx_sparkplug_death(&node, START_UTC_MS, &msg), HX_OK);
    check_octets("with a clock", "08 88 91 DE F4 E2 32"
                                 "12 12 0A 05 62 64 53 65 71 18 88 91 DE F4 E2 32 20 04 58 01");
    CHECK_INT("farewell", hx_sparkplug_farewell(&node, 0, &msg), HX_OK);
    check_octets("the same number", "12 0B 0A 05 62 64 53 65 71 20 04 58 01");
    for (unsigned i = 2; i <= 255; i++)
        CHECK_INT("more", hx_sparkplug_death(&node, 0, &msg), HX_OK);
    check_octets("255 takes two octets", "12 0C 0A 05 62 64 53 65 71 20 04 58 FF 01");
    CHECK_INT("around", hx_sparkplug_death(&node, 0, &msg), HX_OK);
    check_octets("0", "12 0B 0A 05 62 64 53 65 71 20 04 58 00");
}

static const struct {
    const char *topic, *command;
} names[] = {
    {"HAN2X_70388", "spBv1.0/han2x/NCMD/HAN2X_70388"},
    {"plant/HAN2X_70388", "spBv1.0/plant/NCMD/HAN2X_70388"},
    {"no/oslo/meter 1", "spBv1.0/no:oslo/NCMD/meter 1"},
};

static void ids_from_the_topic(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint8_t buf[HX_MQTT_NAME_MAX];
        struct hx_wr w = {.ptr = buf, .cap = sizeof buf};
        hx_sparkplug_init(&node, names[i].topic, true);
        hx_sparkplug_command_name(&w, &node);
        CHECK_INT(names[i].topic, w.len, strlen(names[i].command));
        CHECK(names[i].topic, memcmp(buf, names[i].command, w.len) == 0);
    }
}

static void the_longest_topic(void **unused)
{
    char topic[HX_MQTT_TOPIC_MAX + 1u];
    (void)unused;
    memset(topic, 'x', HX_MQTT_TOPIC_MAX);
    topic[HX_MQTT_TOPIC_MAX] = '\0';
    start(topic, true);
    CHECK_INT("fits", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK_INT("whole name", strlen(msg.name), strlen("spBv1.0/han2x/NBIRTH/") + HX_MQTT_TOPIC_MAX);
}

static void birth_names_everything(void **unused)
{
    struct metric m[32];
    int seq;
    size_t count;
    const struct hx_topic *t = hx_topic_table(&count);
    (void)unused;
    start("HAN2X_70388", true);
    set(HX_P_IMPORT, 2390, 0);
    state.meter.known = true;
    state.meter.id = (struct hx_text){.len = 5, .s = "73\xE6\0"}; /* not ASCII, padded */
    state.input_known = state.input_closed = true;
    CHECK_INT("birth", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK("name", strcmp(msg.name, "spBv1.0/han2x/NBIRTH/HAN2X_70388") == 0);
    CHECK_INT("all", read_message(m, 32, &seq), 2 + count);
    CHECK_INT("seq", seq, 0);
    CHECK("bdSeq", strcmp(m[0].name, "bdSeq") == 0 && m[0].has_value && m[0].bits == 0);
    CHECK("rebirth", strcmp(m[1].name, "Node Control/Rebirth") == 0 && m[1].datatype == 11 &&
                         m[1].has_value && m[1].bits == 0 && !m[1].has_alias);
    for (size_t i = 0; i < count; i++) {
        CHECK(t[i].subtopic, strcmp(m[2 + i].name, t[i].subtopic) == 0);
        CHECK(t[i].subtopic, m[2 + i].alias == i + 1 && m[2 + i].has_timestamp);
        CHECK(t[i].subtopic, strcmp(m[2 + i].unit, t[i].unit) == 0);
        CHECK(t[i].subtopic, m[2 + i].is_null == !m[2 + i].has_value);
    }
    CHECK("meter id", strcmp(m[3].text, "73?") == 0 && m[3].datatype == 12);
    CHECK("power", m[5].bits == 0x40A2AC0000000000u && m[5].datatype == 10); /* 2390.0 */
    CHECK("export is null", m[6].is_null && m[6].datatype == 10);
    CHECK("input", m[19].bits == 1 && m[19].datatype == 11);
    CHECK_INT("once", hx_sparkplug_next(&node, &state, &msg), HX_MORE);
}

static void without_estimates(void **unused)
{
    struct metric m[32];
    int seq;
    (void)unused;
    start("HAN2X_70388", false);
    CHECK_INT("birth", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK_INT("18", read_message(m, 32, &seq), 2 + 18);
    state.energy[0] = (struct hx_energy){.known = true, .total_wh = 1, .shown_wh = 1};
    CHECK_INT("nor later", hx_sparkplug_next(&node, &state, &msg), HX_MORE);
}

static void data_is_what_changed(void **unused)
{
    struct metric m[8];
    int seq;
    (void)unused;
    start_born();
    pass(0);
    state.now_ms -= 2000; /* the telegram came 2 s ago */
    set(HX_P_IMPORT, 2390, 0);
    state.now_ms += 2000;
    CHECK_INT("data", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK("name", strcmp(msg.name, "spBv1.0/han2x/NDATA/HAN2X_70388") == 0);
    /* metrics { alias 4, timestamp …3000, double 2390.0 }, seq 1 */
    check_octets("by alias", "08 88 91 DE F4 E2 32 12 12 10 04 18 B8 81 DE F4 E2 32"
                             "69 00 00 00 00 00 AC A2 40 18 01");
    CHECK_INT("nothing new", hx_sparkplug_next(&node, &state, &msg), HX_MORE);
    set(HX_I_L1, 5100, 1);
    set(HX_U_L1, 231100, 1);
    CHECK_INT("two at once", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK_INT("two", read_message(m, 8, &seq), 2);
    CHECK_INT("seq", seq, 2);
    CHECK("5.1", m[0].alias == 8 && m[0].bits == 0x4014666666666666u);
    state.meter.value[HX_U_L1].quality = HX_UNKNOWN;
    CHECK_INT("lost", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK_INT("one", read_message(m, 8, &seq), 1);
    CHECK("null", m[0].alias == 11 && m[0].is_null && !m[0].has_value);
    for (unsigned i = 4; i <= 255; i++) {
        set(HX_P_IMPORT, i, 0);
        CHECK_INT("data", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    }
    CHECK_INT("one", read_message(m, 8, &seq), 1);
    CHECK_INT("highest", seq, 255);
    set(HX_P_IMPORT, 0, 0);
    CHECK_INT("data", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK_INT("one", read_message(m, 8, &seq), 1);
    CHECK_INT("around", seq, 0);
}

static void no_message_without_the_time(void **unused)
{
    (void)unused;
    start("HAN2X_70388", true);
    state.utc_known = false;
    CHECK_INT("waits", hx_sparkplug_next(&node, &state, &msg), HX_MORE);
    state.utc_known = true;
    CHECK_INT("then", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK("birth", strstr(msg.name, "NBIRTH") != NULL);
}

static void no_data_before_birth(void **unused)
{
    (void)unused;
    start_born();
    CHECK_INT("connection lost", hx_sparkplug_death(&node, 0, &msg), HX_OK);
    set(HX_P_IMPORT, 1, 0);
    CHECK_INT("not connected", hx_sparkplug_next(&node, &state, &msg), HX_MORE);
    hx_sparkplug_connected(&node);
    CHECK_INT("again", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK("birth first", strstr(msg.name, "NBIRTH") != NULL);
}

/* "Node Control/Rebirth" = 4E6F6465 20 436F6E74726F6C 2F 52656269727468, 20 octets */
#define NAME "0A 14 4E6F646520436F6E74726F6C2F52656269727468"

static const struct {
    const char *name, *hex;
    enum hx_err want;
} commands[] = {
    {"rebirth", "12 18" NAME "70 01", HX_OK},
    {"as hosts send it", "08 88 91 DE F4 E2 32 12 21" NAME "18 88 91 DE F4 E2 32 20 0B 70 01 18 00",
     HX_OK},
    {"behind another", "12 07 0A 01 41 50 07 38 00 12 18" NAME "70 01", HX_OK},
    {"value before name", "12 18 70 01" NAME, HX_OK},
    {"fields of later versions", "12 18" NAME "70 01 F2 01 02 41 42", HX_OK},
    {"false", "12 18" NAME "70 00", HX_MORE},
    {"no value", "12 16" NAME, HX_MORE},
    {"number instead", "12 18" NAME "50 01", HX_MORE},
    {"another name", "12 18 0A 14 4E6F646520436F6E74726F6C2F52656269727475 70 01", HX_MORE},
    {"longer name", "12 19 0A 15 4E6F646520436F6E74726F6C2F5265626972746800 70 01", HX_MORE},
    {"alias only", "12 04 10 04 70 01", HX_MORE},
    {"nothing", "", HX_MORE},
    {"metric cut", "12 18" NAME "70", HX_E_VALUE},
    {"name longer than the metric", "12 04 0A 14 4E 6F", HX_E_VALUE},
    {"length without end", "12 FF FF FF FF FF FF FF FF FF FF 01", HX_E_VALUE},
    {"group", "0B 0C", HX_E_VALUE},
    {"text", "72 65 62 69 72 74 68", HX_E_VALUE},
};

static void commands_of_hosts(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        uint8_t octets[128];
        size_t n = unhex(commands[i].hex, octets);
        start_born();
        CHECK_INT(commands[i].name, hx_sparkplug_command(&node, (struct hx_span){octets, n}),
                  commands[i].want);
        CHECK_INT(commands[i].name, hx_sparkplug_next(&node, &state, &msg),
                  commands[i].want == HX_OK ? HX_OK : HX_MORE);
    }
}

static void a_rebirth_keeps_its_number(void **unused)
{
    struct metric m[32];
    uint8_t octets[64];
    int seq;
    size_t n = unhex("12 18" NAME "70 01", octets);
    (void)unused;
    start_born();
    set(HX_P_IMPORT, 1, 0);
    CHECK_INT("data", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK_INT("command", hx_sparkplug_command(&node, (struct hx_span){octets, n}), HX_OK);
    CHECK_INT("birth", hx_sparkplug_next(&node, &state, &msg), HX_OK);
    CHECK("birth", strstr(msg.name, "NBIRTH") != NULL);
    CHECK_INT("all", read_message(m, 32, &seq), 24);
    CHECK_INT("seq begins anew", seq, 0);
    CHECK_INT("bdSeq of the connection", m[0].bits, 0);
    CHECK_INT("once", hx_sparkplug_next(&node, &state, &msg), HX_MORE);
}

/* Every cut of a good command: none is read as a rebirth, none reads past its end (ASan). */
static void every_prefix(void **unused)
{
    uint8_t octets[64];
    size_t n = unhex("12 18" NAME "70 01", octets);
    (void)unused;
    start_born();
    for (size_t len = 0; len < n; len++) {
        uint8_t *exact = test_malloc(len + 1u);
        memcpy(exact + 1, octets, len);
        CHECK("no rebirth", hx_sparkplug_command(&node, (struct hx_span){exact + 1, len}) != HX_OK);
        test_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deaths_count_up),
        cmocka_unit_test(ids_from_the_topic),
        cmocka_unit_test(the_longest_topic),
        cmocka_unit_test(birth_names_everything),
        cmocka_unit_test(without_estimates),
        cmocka_unit_test(data_is_what_changed),
        cmocka_unit_test(no_message_without_the_time),
        cmocka_unit_test(no_data_before_birth),
        cmocka_unit_test(commands_of_hosts),
        cmocka_unit_test(a_rebirth_keeps_its_number),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
