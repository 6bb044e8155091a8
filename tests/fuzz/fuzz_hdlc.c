/* fuzz_hdlc.c - any octets as a stream of HDLC frames, in chunks: length, how, octets. How: bit 0
 * a line error at the first octet, bit 1 quiet after it, bit 2 its checksums are set right, bits 3
 * and up how often it comes. What must hold for any input:
 *   - a frame lies inside flags, its checksums are right by a sum of our own, no octet of it had a
 *     line error, and where it stood in the stream is told;
 *   - what is given up lies inside what came;
 *   - without quiet times and errors, octets one by one give the same. */
#include "fuzz.h"

#include "hx/hdlc.h"

#define STREAM_MAX 16384u

struct run {
    struct hx_hdlc h;
    uint8_t octet[STREAM_MAX]; /* all that came */
    bool bad[STREAM_MAX];
    size_t have;
    uint32_t print, frames;
};

static uint16_t slow_x25(struct hx_span s)
{
    uint16_t reg = 0xFFFF;

    for (size_t i = 0; i < 8u * s.len; i++) {
        unsigned bit = (unsigned)(s.ptr[i / 8u] >> i % 8u) & 1u;

        reg = (uint16_t)((reg >> 1) ^ (((reg ^ bit) & 1u) != 0 ? 0x8408u : 0));
    }
    return (uint16_t)~reg;
}

static void check_frame(struct run *r, const struct hx_hdlc_frame *f)
{
    size_t n = f->raw.len, since = hx_hdlc_since(&r->h, f->raw), at;

    REQUIRE(n >= 9 && n <= HX_HDLC_WIRE_MAX && f->raw.ptr[0] == 0x7E && f->raw.ptr[n - 1] == 0x7E);
    REQUIRE(slow_x25((struct hx_span){f->raw.ptr + 1, n - 4u}) ==
            (f->raw.ptr[n - 3u] | f->raw.ptr[n - 2u] << 8));
    REQUIRE(since >= n && since <= r->have);
    at = r->have - since;
    REQUIRE(memcmp(r->octet + at, f->raw.ptr, n) == 0);
    for (size_t i = 0; i < n; i++)
        REQUIRE(!r->bad[at + i]);
    REQUIRE(f->info.len <= HX_HDLC_INFO_MAX);
    r->frames++;
}

static void mix(struct run *r, enum hx_err e, struct hx_span s)
{
    r->print = (r->print ^ (uint32_t)e) * 16777619u;
    for (size_t i = 0; i < s.len; i++)
        r->print = (r->print ^ s.ptr[i]) * 16777619u;
}

static void take_frames(struct run *r)
{
    struct hx_hdlc_frame f;
    enum hx_err e;

    for (unsigned turns = 0; (e = hx_hdlc_next(&r->h, &f)) != HX_MORE; turns++) {
        REQUIRE(turns <= HX_HDLC_WIRE_MAX);
        REQUIRE(f.raw.len <= r->have);
        if (e == HX_OK)
            check_frame(r, &f);
        mix(r, e, e == HX_OK ? f.info : (struct hx_span){NULL, 0});
    }
}

static void feed(struct run *r, struct hx_span in)
{
    while (in.len > 0) {
        size_t took = hx_hdlc_push(&r->h, in);
        memcpy(r->octet + r->have, in.ptr, took);
        r->have += took;
        take_frames(r);
        REQUIRE(took > 0);
        (void)fuzz_take(&in, took);
    }
}

static void quiet(struct run *r)
{
    struct hx_hdlc_frame f;
    enum hx_err e = hx_hdlc_quiet(&r->h, &f);

    REQUIRE(e == HX_MORE || e == HX_E_FLAG);
    REQUIRE(e == HX_MORE || hx_hdlc_is_pending(&r->h));
    if (e == HX_MORE)
        return;
    REQUIRE(f.raw.len > 0 && f.raw.len <= r->have);
    take_frames(r);
}

/* Put the checksums right of a chunk that is one frame. */
static void repair(uint8_t *p, size_t n)
{
    size_t head = 3;
    uint16_t crc;

    if (n < 9 || n > HX_HDLC_WIRE_MAX)
        return;
    p[0] = p[n - 1u] = 0x7E;
    p[1] = (uint8_t)(0xA0u | (p[1] & 8u) | (n - 2u) >> 8);
    p[2] = (uint8_t)(n - 2u);
    for (unsigned address = 0; address < 2; address++) {
        while (head < n && (p[head] & 1u) == 0)
            head++;
        head++;
    }
    head++;
    if (head + 2u <= n - 3u) {
        crc = slow_x25((struct hx_span){p + 1, head - 1u});
        p[head] = (uint8_t)crc;
        p[head + 1u] = (uint8_t)(crc >> 8);
    }
    crc = slow_x25((struct hx_span){p + 1, n - 4u});
    p[n - 3u] = (uint8_t)crc;
    p[n - 2u] = (uint8_t)(crc >> 8);
}

static bool play(struct run *r, struct hx_span in, bool one_by_one)
{
    bool plain = true;

    memset(r, 0, sizeof *r);
    hx_hdlc_init(&r->h);
    while (in.len > 1) {
        size_t n = fuzz_octet(&in);
        uint8_t how = fuzz_octet(&in), *p;
        struct hx_span chunk = fuzz_take(&in, n);

        p = fuzz_copy(chunk);
        if ((how & 4u) != 0)
            repair(p, chunk.len);
        for (unsigned i = 0; i <= how >> 3; i++) {
            if (r->have + chunk.len > STREAM_MAX)
                break;
            plain = plain && (how & 3u) == 0;
            if ((how & 1u) != 0 && chunk.len > 0) {
                hx_hdlc_line_error(&r->h);
                r->bad[r->have] = true;
            }
            for (size_t at = 0; at < chunk.len; at += one_by_one ? 1u : chunk.len)
                feed(r, (struct hx_span){p + at, one_by_one ? 1u : chunk.len});
            if ((how & 2u) != 0)
                quiet(r);
        }
        free(p);
    }
    return plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    struct hx_span in = {data, size};

    for (int e = -(int)HX_ERR_COUNT; e <= HX_MORE; e++) /* one more than there are */
        REQUIRE(*hx_err_text((enum hx_err)e) != '\0');
    if (play(&whole, in, false) && play(&cut, in, true))
        REQUIRE(whole.print == cut.print && whole.frames == cut.frames);
    return 0;
}
