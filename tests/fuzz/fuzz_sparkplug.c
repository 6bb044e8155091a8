/* fuzz_sparkplug.c - any command from a broker, to a node with any readings. First octet: bits 0-1
 * the topic, 2-4 which telegram the meter sent, 5 estimates too, 6 the clock is not known, 7 a
 * topic of any octets, which come first, behind their length. What must hold for any input:
 *   - a rebirth is followed by exactly one birth, anything else by nothing;
 *   - what did not change is not told again;
 *   - the connection's number stays; without a clock nothing is sent. */
#include "fuzz.h"

#include "sparkplug.h"

#include "hx/gateway.h"

#include "vectors.h"

static const char *const topics[4] = {"HAN2X_70388", "cabin/HAN2X_1", "a/b/HAN2X_2", "/x"};

static void read_meter(struct hx_gateway *g, unsigned which)
{
    static const size_t step = NORWAY_COUNT / 7u;
    struct hx_event ev;

    hx_gw_init(g, 0);
    for (size_t i = which * step; which > 0 && i < NORWAY_COUNT && i < (which + 1u) * step; i++) {
        struct hx_span in = norway[i].bytes;

        while (in.len > 0) {
            (void)fuzz_take(&in, hx_gw_rx(g, in, 1000u * i));
            while (hx_gw_next(g, &ev))
                continue;
        }
    }
}

static void check_name(const struct hx_mqtt_msg *msg, const char *type, const char *node)
{
    size_t n = strlen(msg->name);

    REQUIRE(strncmp(msg->name, "spBv1.0/", 8) == 0 && strstr(msg->name, type) != NULL);
    REQUIRE(strlen(node) <= n && strcmp(msg->name + n - strlen(node), node) == 0);
    REQUIRE(msg->len > 0 && msg->len <= sizeof msg->payload);
}

static void command(struct hx_sparkplug *node, const struct hx_state *s, struct hx_span in,
                    bool clock)
{
    static struct hx_mqtt_msg msg;
    uint8_t seq = node->seq, *copy = fuzz_copy(in);
    enum hx_err e = hx_sparkplug_command(node, (struct hx_span){copy, in.len});

    free(copy);
    REQUIRE(e == HX_OK || e == HX_MORE || e == HX_E_VALUE);
    if (e == HX_OK)
        REQUIRE(memmem(in.ptr, in.len, "Node Control/Rebirth", 20) != NULL);
    REQUIRE(hx_sparkplug_next(node, s, &msg) == (e == HX_OK && clock ? HX_OK : HX_MORE));
    if (e == HX_OK && clock) {
        check_name(&msg, "/NBIRTH/", node->node);
        REQUIRE(node->seq == 1);
    } else {
        REQUIRE(node->seq == seq);
    }
    REQUIRE(hx_sparkplug_next(node, s, &msg) == HX_MORE || !clock);
    REQUIRE(node->bd_seq == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hx_gateway g, later;
    static struct hx_mqtt_msg msg;
    static struct hx_sparkplug node;
    struct hx_wr w = {.ptr = (uint8_t *)msg.name, .cap = sizeof msg.name};
    struct hx_span in = {data, size};
    uint8_t how = fuzz_octet(&in);
    bool clock = (how & 64u) == 0;
    struct hx_span own =
        (how & 128u) != 0 ? fuzz_take(&in, fuzz_octet(&in) % 65u) : (struct hx_span){data, 0};
    char *text = fuzz_text(own);

    read_meter(&g, how >> 2 & 7u);
    g.state.utc_known = clock;
    g.state.input_known = (how & 32u) != 0;
    if (g.state.meter.version.len > 0)
        g.state.meter.version.s[0] = (char)how; /* a meter may say anything */
    g.state.utc_ms = 1744538405000;
    hx_sparkplug_init(&node, *text != '\0' ? text : topics[how & 3u], (how & 32u) != 0);
    free(text);
    REQUIRE(hx_sparkplug_death(&node, 0, &msg) == HX_OK);
    check_name(&msg, "/NDEATH/", node.node);
    hx_sparkplug_command_name(&w, &node);
    REQUIRE(w.err == HX_OK);
    hx_sparkplug_connected(&node);
    REQUIRE(hx_sparkplug_next(&node, &g.state, &msg) == (clock ? HX_OK : HX_MORE));
    if (clock)
        command(&node, &g.state, in, clock);
    read_meter(&later, (how >> 2) + 1u & 7u);
    later.state.utc_known = clock;
    later.state.utc_ms = 1744538415000;
    if (hx_sparkplug_next(&node, &later.state, &msg) == HX_OK)
        check_name(&msg, "/NDATA/", node.node);
    REQUIRE(hx_sparkplug_next(&node, &later.state, &msg) == HX_MORE);
    command(&node, &later.state, in, clock);
    REQUIRE(hx_sparkplug_farewell(&node, 1744538415000, &msg) == HX_OK);
    return 0;
}
