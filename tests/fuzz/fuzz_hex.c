/* fuzz_hex.c - any octets as a recording: raw, or hex with comments. What must hold for any input:
 *   - however it is cut, the same octets and faults come out;
 *   - it is either given on as it is, or what a plain reading of the text gives;
 *   - what came out, written as hex, reads back without a fault. */
#include "fuzz.h"

#include "hex_text.h"

#define INPUT_MAX 4096u

static size_t run(struct hex_text *h, struct hx_span in, size_t piece, uint8_t *out)
{
    struct hx_wr w = {.ptr = out, .cap = INPUT_MAX + HEX_TEXT_HELD_MAX};

    hex_text_init(h);
    while (in.len > 0) {
        struct hx_span part = fuzz_take(&in, piece);
        uint8_t *copy = fuzz_copy(part);
        hex_text_feed(h, (struct hx_span){copy, part.len}, &w);
        free(copy);
    }
    hex_text_end(h, &w);
    REQUIRE(w.err == HX_OK);
    return w.len;
}

/* Pairs of digits outside comments; anything but white space between two of a pair parts them. */
static size_t plain_reading(struct hx_span in, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    size_t n = 0;
    bool comment = false;
    int high = -1;

    for (size_t i = 0; i < in.len; i++) {
        const char *d = in.ptr[i] != '\0' ? strchr(digits, in.ptr[i]) : NULL;
        int digit = d != NULL ? (int)(d - digits) % 16 : -1;

        if (!comment && digit >= 0 && high >= 0)
            out[n++] = (uint8_t)(high << 4 | digit);
        if (!comment)
            high = digit >= 0 && high < 0 ? digit : -1;
        comment = (comment || in.ptr[i] == '#') && in.ptr[i] != '\n';
    }
    return n;
}

static void read_back(struct hx_span octets)
{
    static uint8_t text[2u * INPUT_MAX + 1u], out[2u * INPUT_MAX + HEX_TEXT_HELD_MAX];
    static struct hex_text h;
    struct hx_wr w = {.ptr = out, .cap = sizeof out};

    for (size_t i = 0; i < octets.len; i++) {
        text[2u * i] = (uint8_t) "0123456789ABCDEF"[octets.ptr[i] >> 4];
        text[2u * i + 1u] = (uint8_t) "0123456789ABCDEF"[octets.ptr[i] & 15u];
    }
    text[2u * octets.len] = '\n';
    hex_text_init(&h);
    hex_text_feed(&h, (struct hx_span){text, 2u * octets.len + 1u}, &w);
    hex_text_end(&h, &w);
    REQUIRE(w.err == HX_OK && h.faults == 0 && w.len == octets.len);
    REQUIRE(octets.len == 0 || memcmp(out, octets.ptr, octets.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t whole[INPUT_MAX + HEX_TEXT_HELD_MAX], cut[INPUT_MAX + HEX_TEXT_HELD_MAX];
    static uint8_t plain[INPUT_MAX];
    static struct hex_text a, b;
    struct hx_span in = {data, size < INPUT_MAX ? size : INPUT_MAX};
    size_t n = run(&a, in, INPUT_MAX, whole), want;

    REQUIRE(run(&b, in, 1u + in.len % 7u, cut) == n && memcmp(whole, cut, n) == 0);
    REQUIRE(a.kind == b.kind && a.faults == b.faults && a.fault_line == b.fault_line);
    REQUIRE(a.fault_line <= a.line && (a.faults > 0) == (a.fault_line > 0));
    if (a.kind == HEX_RAW) {
        REQUIRE(n == in.len && memcmp(whole, data, n) == 0 && a.faults == 0);
    } else {
        want = plain_reading(in, plain);
        REQUIRE(n == want && memcmp(whole, plain, n) == 0);
    }
    read_back((struct hx_span){whole, n < INPUT_MAX ? n : INPUT_MAX});
    return 0;
}
