/* fuzz_mbrtu.c - any octets as talk on a serial line, in chunks with silences between them.
 *
 * Input: length, silence, octets; again. Silence: low 7 bits in half milliseconds before the chunk,
 * 127 for none and a line error at its first octet;
 * top bit set: the right CRC is added to the chunk, which chance would not find.
 * Never an answer sooner than t3.5, to a broadcast, or ill formed; chunks cut without a silence
 * give the same answers; and whatever came before, a good request after 20 ms of silence is served.
 */
#include <stdlib.h>
#include <string.h>

#include "hx/crc.h"
#include "hx/modbus.h"

#define REQUIRE(x) ((x) ? (void)0 : __builtin_trap())
#define IN_MAX 4096u
#define UNIT 1u

struct station {
    struct hx_state state;
    struct hx_registers regs;
    struct hx_mb_device dev;
    struct hx_mbrtu line;
    size_t answers;
    uint16_t digest; /* of all answers */
};
static struct station whole, pieces;

static void fresh(struct station *s)
{
    memset(&s->state, 0, sizeof s->state);
    s->state.scale = HX_SCALE_DEFAULT;
    hx_registers_render(&s->regs, &s->state);
    s->dev = (struct hx_mb_device){&s->state, &s->regs, UNIT, false, true};
    hx_mbrtu_init(&s->line, UNIT, 9600);
    s->answers = s->digest = 0;
}

static void check_answer(struct station *s, const uint8_t *out, size_t n)
{
    REQUIRE(n >= 5 && n <= HX_MBRTU_ADU_MAX);
    REQUIRE(out[0] == UNIT);
    REQUIRE(hx_crc_modbus((struct hx_span){out, n - 2}) == (out[n - 2] | out[n - 1] << 8));
    REQUIRE((out[1] & 0x80u) == 0 || (n == 5 && out[2] > 0));
    s->answers++;
    s->digest = (uint16_t)(s->digest * 31u + hx_crc_modbus((struct hx_span){out, n}));
}

/* Do what the line asks for until @p until_us. @return the newest answer's length. */
static size_t run(struct station *s, uint64_t until_us)
{
    uint8_t out[HX_MBRTU_ADU_MAX];
    size_t answer = 0;
    uint64_t now_us = 0, at;
    for (unsigned turns = 0; (at = hx_mbrtu_deadline_us(&s->line)) <= until_us; turns++) {
        struct hx_mb_write wrote;
        REQUIRE(turns <= HX_MBRTU_BUF); /* each turn drops or serves something */
        now_us = at > now_us ? at : now_us;
        REQUIRE(now_us >= s->line.last_us + s->line.t35_us);
        size_t n = hx_mbrtu_poll(&s->line, &s->dev, now_us, out, &wrote);
        REQUIRE(!wrote.done || wrote.scale == s->state.scale);
        if (n > 0) {
            check_answer(s, out, n);
            answer = n;
        }
    }
    return answer;
}

static void rx(struct station *s, const uint8_t *p, size_t n, uint64_t now_us)
{
    uint8_t *block = malloc(n > 0 ? n : 1);
    REQUIRE(block != NULL);
    memcpy(block, p, n);
    hx_mbrtu_rx(&s->line, (struct hx_span){block, n}, now_us);
    free(block);
}

static void both(const uint8_t *p, size_t n, uint64_t now_us)
{
    (void)run(&whole, now_us);
    (void)run(&pieces, now_us);
    rx(&whole, p, n, now_us);
    for (size_t at = 0; at < n; at += 3)
        rx(&pieces, p + at, n - at < 3 ? n - at : 3, now_us);
    REQUIRE(whole.answers == pieces.answers && whole.digest == pieces.digest);
    REQUIRE(whole.state.scale == pieces.state.scale);
}

static const uint8_t *chunk(const uint8_t *p, const uint8_t *end, uint64_t *now_us)
{
    uint8_t buf[255 + 2];
    size_t n = p[0] < end - p - 2 ? p[0] : (size_t)(end - p - 2);
    memcpy(buf, p + 2, n);
    if ((p[1] & 0x7Fu) == 0x7F && n > 0) {
        hx_mbrtu_line_error(&whole.line);
        hx_mbrtu_line_error(&pieces.line);
    } else if ((p[1] & 0x7Fu) != 0x7F) {
        *now_us += (p[1] & 0x7Fu) * 500u;
    }
    uint16_t crc = hx_crc_modbus((struct hx_span){buf, n});
    buf[n] = (uint8_t)crc;
    buf[n + 1] = (uint8_t)(crc >> 8);
    both(buf, (p[1] & 0x80u) != 0 ? n + 2 : n, *now_us);
    return p + 2 + n;
}

/* Out of listen only mode, then one read: 01 08 0001 0000, 01 03 000E 0002, each with its CRC. */
static void expect_service(uint64_t now_us)
{
    static const uint8_t restart[] = {1, 8, 0, 1, 0, 0, 0xB1, 0xCB};
    static const uint8_t read[] = {1, 3, 0, 14, 0, 2, 0xA5, 0xC8};
    both(restart, sizeof restart, now_us += 20000);
    both(read, sizeof read, now_us += 20000);
    REQUIRE(run(&whole, now_us + 20000) == 9);
    REQUIRE(run(&pieces, now_us + 20000) == 9);
    REQUIRE(whole.digest == pieces.digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *p = data, *end = data + n;
    uint64_t now_us = 1000000;
    if (n > IN_MAX)
        return 0;
    fresh(&whole);
    fresh(&pieces);
    while (end - p >= 2)
        p = chunk(p, end, &now_us);
    expect_service(now_us);
    REQUIRE(whole.state.scale >= HX_SCALE_MIN && whole.state.scale <= HX_SCALE_MAX);
    return 0;
}
