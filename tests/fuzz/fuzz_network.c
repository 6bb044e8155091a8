/* fuzz_network.c - texts of the network part: first octet picks the reader, the rest is its text.
 *   0 a plan's line       taken: written, it reads back the same; settings made from it have the
 *                         same effect; the file for networkd has known keys and nothing else
 *   1 a request           taken: written, it is the very text; else there is an id to answer to
 *   2 the helper's answer taken only as a whole, for our id
 *   3 the saved state     first a line of what is done with it: saved and loaded it is the same, no
 *                         plan is in force that was neither kept nor wanted, waits end
 *   4 a TXT of another    printable, bounded, its own
 *   5 a name to copy      bounded, whole characters */
#include "fuzz.h"

#include "mdns.h"
#include "network_commit.h"
#include "network_request.h"

#include <strings.h>

#define BOOT "11111111-2222-3333-4444-555555555555"
#define ID "0123456789abcdef"

static struct hx_span str(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

static bool has_line(struct hx_span file, const char *key)
{
    return file.len >= strlen(key) && memcmp(file.ptr, key, strlen(key)) == 0;
}

/* Nothing that a plan says may begin a line of its own. */
static void check_file(const struct hx_net_plan *plan)
{
    static const char *const keys[] = {"# Written by han2x",
                                       "[Match]\n",
                                       "[Network]\n",
                                       "[DHCPv4]\n",
                                       "Name=eth0\n",
                                       "Type=ether\n",
                                       "Kind=!*\n",
                                       "DHCP=",
                                       "Address=",
                                       "Gateway=",
                                       "LinkLocalAddressing=",
                                       "ConfigureWithoutCarrier=yes\n",
                                       "ClientIdentifier=mac\n",
                                       "Hostname=",
                                       "UseHostname=no\n",
                                       "UseDNS=no\n",
                                       "DNS=",
                                       "\n"};
    uint8_t room[HX_NET_FILE_MAX];

    for (int i = 0; i < 2; i++) {
        struct hx_wr w = {.ptr = room, .cap = sizeof room};
        struct hx_span left;

        hx_net_plan_file(&w, plan, i == 0 ? "" : "eth0");
        REQUIRE(w.err == HX_OK && room[w.len - 1u] == '\n');
        for (left = (struct hx_span){room, w.len}; left.len > 0;) {
            const uint8_t *end = memchr(left.ptr, '\n', left.len);
            bool known = false;

            for (size_t k = 0; k < sizeof keys / sizeof *keys && !known; k++)
                known = has_line(left, keys[k]);
            REQUIRE(known && end != NULL);
            (void)fuzz_take(&left, (size_t)(end - left.ptr) + 1u);
        }
    }
}

static void check_settings(const struct hx_net_plan *plan)
{
    static struct hx_settings s;
    struct hx_net_plan again;
    enum hx_setting_id id;
    const char *why;

    hx_settings_init(&s);
    if (hx_net_plan_settings(plan, &s) != HX_OK) {
        REQUIRE(!plan->manage || plan->dhcp); /* what has no effect now may be worth nothing */
        return;
    }
    REQUIRE(hx_net_plan_from(&s, &again, &id, &why) == HX_OK);
    REQUIRE(hx_net_plan_same(plan, &again) && strcmp(plan->hostname, again.hostname) == 0);
}

static void check_plan(const struct hx_net_plan *plan, struct hx_span line)
{
    uint8_t room[HX_NET_LINE_MAX];
    struct hx_wr w = {.ptr = room, .cap = sizeof room};
    struct hx_net_plan again;
    char address[HX_NET_ADDRESS_MAX];
    const char *why;

    hx_net_plan_format(&w, plan);
    REQUIRE(w.err == HX_OK);
    REQUIRE(hx_net_plan_parse((struct hx_span){room, w.len}, &again, &why) == HX_OK);
    REQUIRE(memcmp(plan, &again, sizeof again) == 0 && hx_net_plan_same(plan, &again));
    REQUIRE(w.len <= line.len); /* zeros in front and the like are not taken */
    hx_net_plan_address(plan, address);
    REQUIRE((strlen(address) != 0) == (plan->manage && !plan->dhcp));
    if (plan->manage)
        check_file(plan);
    check_settings(plan);
}

static void plan_line(struct hx_span line)
{
    static const char mark[sizeof(struct hx_net_plan)] = "untouched";
    struct hx_net_plan plan;
    const char *why = NULL;
    uint32_t v4;
    char *text = fuzz_text(line);

    memcpy(&plan, mark, sizeof plan);
    if (hx_net_plan_parse(line, &plan, &why) == HX_OK)
        check_plan(&plan, line);
    else
        REQUIRE(why != NULL && memcmp(&plan, mark, sizeof plan) == 0);
    if (hx_net_ipv4(text, &v4))
        REQUIRE(strspn(text, "0123456789.:f") == strlen(text));
    free(text);
}

static void request(struct hx_span text)
{
    uint8_t room[HX_NET_REQUEST_MAX];
    struct hx_wr w = {.ptr = room, .cap = sizeof room};
    struct hx_net_request r;
    const char *why = "";

    memset(&r, 0, sizeof r);
    if (hx_net_request_parse(text, &r, &why) != HX_OK)
        return;
    REQUIRE(strlen(r.id) == HX_NET_ID_DIGITS && strspn(r.id, ID) == HX_NET_ID_DIGITS);
    REQUIRE(memmem(text.ptr, text.len, r.id, HX_NET_ID_DIGITS) == text.ptr + 3);
    if (why != NULL) {
        REQUIRE(*why != '\0');
        return;
    }
    check_plan(&r.plan, text);
    hx_net_request_format(&w, &r);
    REQUIRE(w.err == HX_OK && w.len <= text.len && memcmp(room, text.ptr, 26) == 0);
}

static void answer(struct hx_span text)
{
    uint8_t room[HX_NET_ANSWER_MAX];
    struct hx_wr w = {.ptr = room, .cap = sizeof room};
    char why[HX_NET_WHY] = "";
    bool done = false;

    if (hx_net_answer_parse(text, ID, &done, why) != HX_OK)
        return;
    REQUIRE(has_line(text, "id " ID "\n") && text.ptr[text.len - 1u] == '\n');
    REQUIRE(strlen(why) < sizeof why);
    hx_net_answer_format(&w, ID, done ? NULL : why);
    REQUIRE(w.err == HX_OK && (!done || (w.len == text.len && memcmp(room, text.ptr, w.len) == 0)));
}

/* ---- the saved state ---------------------------------------------------------------------- */

static size_t save(const struct hx_net_commit *c, const char *boot, uint8_t out[HX_NET_SAVED_MAX])
{
    struct hx_wr w = {.ptr = out, .cap = HX_NET_SAVED_MAX};

    hx_net_commit_save(c, boot, &w);
    REQUIRE(w.err == HX_OK);
    return w.len;
}

static void check_commit(const struct hx_net_commit *c, uint64_t now_ms)
{
    uint32_t left_s = hx_net_commit_left_s(c, now_ms);

    REQUIRE((unsigned)c->phase <= HX_NET_SETTING);
    REQUIRE(hx_net_commit_now(c) == (hx_net_commit_pending(c) ? &c->tried : &c->kept));
    REQUIRE(left_s <= (HX_NET_APPLY_MS + HX_NET_CONFIRM_MS) / 1000u);
    REQUIRE(hx_net_commit_pending(c) || left_s == 0);
}

/* A process that ends now goes on where it was. */
static void restart(struct hx_net_commit *c, uint64_t now_ms)
{
    static uint8_t first[HX_NET_SAVED_MAX], second[HX_NET_SAVED_MAX];
    struct hx_net_plan want = *hx_net_commit_now(c);
    size_t n = save(c, BOOT, first);
    struct hx_net_commit again;

    REQUIRE(hx_net_commit_start(&again, (struct hx_span){first, n}, BOOT, &want, now_ms) == HX_OK);
    REQUIRE(hx_net_plan_same(hx_net_commit_now(&again), hx_net_commit_now(c)) ||
            now_ms >= c->until_ms || (c->has_refused && hx_net_plan_same(&want, &c->refused)));
    check_commit(&again, now_ms);
    if (hx_net_commit_pending(c) && now_ms < c->until_ms)
        REQUIRE(save(&again, BOOT, second) == n && memcmp(first, second, n) == 0);
}

static void step(struct hx_net_commit *c, uint8_t what, uint64_t *now_ms,
                 const struct hx_net_plan plans[3])
{
    static const char *const locals[4] = {"127.0.0.1", "192.168.1.232", "::ffff:10.0.0.5",
                                          "fe80::1"};

    switch (what % 8u) {
    case 0:
    case 1:
        hx_net_commit_change(c, &plans[what / 8u % 3u], what % 2u == 0, *now_ms);
        break;
    case 2:
    case 3:
        hx_net_commit_answer(c, what % 2u == 0, *now_ms);
        break;
    case 4:
        (void)hx_net_commit_confirm(c, what >= 128 ? NULL : locals[what / 8u % 4u]);
        break;
    case 5:
        *now_ms += UINT64_C(100) << what / 8u % 16u;
        break;
    case 6:
        (void)hx_net_commit_tick(c, *now_ms);
        break;
    default:
        hx_net_commit_settled(c);
        break;
    }
}

static void commit(struct hx_span in)
{
    static const char *const lines[3] = {"yes static 192.168.1.232/24 192.168.1.1 - han2x",
                                         "yes dhcp 10.0.0.5/8 - - han2x",
                                         "no static 192.168.1.232/24 - - han2x"};
    struct hx_span steps = fuzz_take(&in, fuzz_octet(&in) % 32u);
    struct hx_net_plan plans[3];
    struct hx_net_commit c;
    uint64_t now_ms = 1000000;
    enum hx_err err;
    const char *why;

    for (unsigned i = 0; i < 3; i++)
        REQUIRE(hx_net_plan_parse(str(lines[i]), &plans[i], &why) == HX_OK);
    err = hx_net_commit_start(&c, in, BOOT, &plans[0], now_ms);
    REQUIRE(err == HX_OK || (err == HX_E_VALUE && in.len != 0));
    if (err != HX_OK) /* as if there were none */
        REQUIRE(hx_net_plan_same(&c.kept, &plans[0]) && !c.has_refused && c.has_kept);
    for (size_t i = 0; i < steps.len; i++) {
        check_commit(&c, now_ms);
        restart(&c, now_ms);
        step(&c, steps.ptr[i], &now_ms, plans);
    }
    for (unsigned i = 0; i < 4; i++) /* without a word from anybody it ends in plans that hold */
        (void)hx_net_commit_tick(&c, now_ms += HX_NET_CONFIRM_MS + HX_NET_APPLY_MS);
    REQUIRE(!hx_net_commit_pending(&c));
}

/* ---- other gateways ----------------------------------------------------------------------- */

static void txt(struct hx_span item)
{
    char out[16];
    size_t n;

    memset(out, 'x', sizeof out);
    hx_mdns_txt_value(item, "number", out, sizeof out);
    n = strnlen(out, sizeof out);
    REQUIRE(n < sizeof out);
    for (size_t i = 0; i < n; i++)
        REQUIRE(out[i] >= 0x20 && out[i] <= 0x7E && out[i] == (char)item.ptr[7 + i]);
    REQUIRE(n == 0 || (strncasecmp((const char *)item.ptr, "number=", 7) == 0));
}

static void name(struct hx_span in)
{
    char *text = fuzz_text(in), out[12];
    size_t n;

    hx_mdns_copy(out, sizeof out, text);
    n = strnlen(out, sizeof out);
    REQUIRE(n < sizeof out && strncmp(out, text, n) == 0);
    REQUIRE(n == strlen(text) || ((unsigned char)text[n] & 0xC0u) != 0x80u || n == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct hx_span) = {plan_line, request, answer,
                                                      commit,    txt,     name};
    struct hx_span in = {data, size};
    unsigned which = fuzz_octet(&in) % (sizeof readers / sizeof *readers);
    uint8_t *copy = fuzz_copy(in);

    readers[which]((struct hx_span){copy, in.len});
    free(copy);
    return 0;
}
