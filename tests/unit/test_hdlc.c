/* test_hdlc.c - frames out of a byte stream: layout, checksums, resynchronising, segments, line
 * errors. Frames are put together here, octet by octet, with a checksum of the test's own. */
#include "check.h"

#include "hx/hdlc.h"

#define SEEN_MAX 64u

static const uint8_t head_aidon[] = {0x41, 0x08, 0x83, 0x13};
static const uint8_t info_a[] = {0xE6, 0xE7, 0x00, 0x0F, 'a', 'l', 'p', 'h', 'a'};
static const uint8_t info_b[] = {0xE6, 0xE7, 0x00, 0x0F, 'b', 'e', 't', 'a'};

/* What a receiver gave, in order. */
struct seen {
    unsigned frames, drops;
    enum hx_err drop[SEEN_MAX];
    size_t info_len[SEEN_MAX];
    uint8_t first[SEEN_MAX]; /* fifth octet of the information: tells alpha from beta */
    struct hx_hdlc_frame last;
};

static void note(struct seen *s, enum hx_err e, const struct hx_hdlc_frame *f)
{
    if (e != HX_OK) {
        if (s->drops < SEEN_MAX)
            s->drop[s->drops] = e;
        s->drops++;
        return;
    }
    if (s->frames < SEEN_MAX) {
        s->info_len[s->frames] = f->info.len;
        s->first[s->frames] = f->info.len > 4 ? f->info.ptr[4] : 0;
    }
    s->frames++;
    s->last = *f;
}

static void drain(struct hx_hdlc *h, struct seen *s)
{
    struct hx_hdlc_frame f;
    enum hx_err e;
    while ((e = hx_hdlc_next(h, &f)) != HX_MORE)
        note(s, e, &f);
}

static void feed(struct hx_hdlc *h, const uint8_t *p, size_t n, struct seen *s)
{
    while (n > 0) {
        size_t took = hx_hdlc_push(h, (struct hx_span){p, n});
        drain(h, s);
        p += took;
        n -= took;
    }
}

static void quiet(struct hx_hdlc *h, struct seen *s)
{
    struct hx_hdlc_frame f;
    enum hx_err e;
    while ((e = hx_hdlc_quiet(h, &f)) != HX_MORE) {
        note(s, e, &f);
        drain(h, s);
    }
}

static struct seen run(const uint8_t *p, size_t n)
{
    static struct hx_hdlc h;
    struct seen s = {0};
    hx_hdlc_init(&h);
    feed(&h, p, n, &s);
    return s;
}

static size_t frame_a(uint8_t *out)
{
    return make_frame(out, 0xA000, head_aidon, sizeof head_aidon, info_a, sizeof info_a);
}

static size_t frame_b(uint8_t *out)
{
    return make_frame(out, 0xA000, head_aidon, sizeof head_aidon, info_b, sizeof info_b);
}

/* Aidon list 1 as recorded (vector aidon-l1-1el-p2390 has the same header). */
static void recorded_frame(void **state)
{
    uint8_t b[64];
    size_t n = unhex("7ea02a410883130413e6e7000f40000000000101020309060100010700ff06000024d502020f"
                     "00161bf1837e",
                     b);
    struct seen s = run(b, n);
    (void)state;
    CHECK_INT("frames", s.frames, 1);
    CHECK_INT("drops", s.drops, 0);
    CHECK_INT("dest", s.last.dest, 0x41);
    CHECK_INT("src", s.last.src, 0x0883);
    CHECK_INT("control", s.last.control, 0x13);
    CHECK_INT("raw", s.last.raw.len, n);
    CHECK("raw", memcmp(s.last.raw.ptr, b, n) == 0);
    CHECK_INT("info", s.last.info.len, n - 9 - 3);
    CHECK("info", memcmp(s.last.info.ptr, b + 9, s.last.info.len) == 0);
}

static const struct {
    const char *name, *head;
    uint32_t dest, src;
    uint8_t control;
} heads[] = {
    {"Kaifa", "01 0201 10", 0x01, 0x0201, 0x10},
    {"Kamstrup", "2B 21 13", 0x2B, 0x21, 0x13},
    {"two-octet destination", "CEFF 03 13", 0xCEFF, 0x03, 0x13},
    {"three octets", "020405 03 13", 0x020405, 0x03, 0x13},
    {"four and four", "02040607 FEFEFEFF 00", 0x02040607, 0xFEFEFEFF, 0x00},
};

static void addresses_end_with_bit_0(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        uint8_t head[12], b[64];
        size_t head_len = unhex(heads[i].head, head);
        size_t n = make_frame(b, 0xA000, head, head_len, info_a, sizeof info_a);
        struct seen s = run(b, n);
        CHECK_INT(heads[i].name, s.frames, 1);
        CHECK_INT(heads[i].name, s.last.dest, heads[i].dest);
        CHECK_INT(heads[i].name, s.last.src, heads[i].src);
        CHECK_INT(heads[i].name, s.last.control, heads[i].control);
        CHECK_INT(heads[i].name, s.last.info.len, sizeof info_a);
    }
}

static void five_octet_address_is_none(void **state)
{
    const uint8_t head[] = {0x02, 0x02, 0x02, 0x02, 0x03, 0x21, 0x13};
    uint8_t b[64];
    size_t n = make_frame(b, 0xA000, head, sizeof head, info_a, sizeof info_a);
    struct seen s = run(b, n);
    (void)state;
    CHECK_INT("frames", s.frames, 0);
    CHECK("reason", s.drops == 1 && s.drop[0] == HX_E_HEAD);
}

/* Green Book 8.4.1.6: no header checksum where there is no information field. */
static void frame_without_information(void **state)
{
    uint8_t b[64];
    size_t n = make_frame(b, 0xA000, head_aidon, sizeof head_aidon, NULL, 0);
    struct seen s = run(b, n);
    (void)state;
    CHECK_INT("octets", n, 10);
    CHECK_INT("frames", s.frames, 1);
    CHECK_INT("info", s.last.info.len, 0);
}

static void only_format_type_3(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 16; type++) {
        uint8_t b[64];
        size_t n = make_frame(b, (uint16_t)(type << 12), head_aidon, sizeof head_aidon, info_a,
                              sizeof info_a);
        struct seen s = run(b, n);
        CHECK_INT("type", s.frames, type == 0xA ? 1 : 0);
    }
}

static void longest_frame(void **state)
{
    static uint8_t info[HX_HDLC_LEN_MAX - 10], b[HX_HDLC_WIRE_MAX + 8];
    size_t n;
    struct seen s;
    (void)state;
    memset(info, 0x7E, sizeof info); /* every octet a false flag, none of them stuffed */
    n = make_frame(b, 0xA000, head_aidon, sizeof head_aidon, info, sizeof info);
    CHECK_INT("octets", n, HX_HDLC_WIRE_MAX);
    s = run(b, n);
    CHECK_INT("frames", s.frames, 1);
    CHECK_INT("info", s.last.info.len, sizeof info);
    CHECK("content", s.last.info.ptr[0] == 0x7E && s.last.info.ptr[sizeof info - 1] == 0x7E);
}

static void reasons_of_drops(void **state)
{
    uint8_t b[64];
    struct seen s;
    size_t n = frame_a(b);
    (void)state;
    b[7] ^= 1u; /* HCS */
    s = run(b, n);
    CHECK("hcs", s.frames == 0 && s.drops >= 1 && s.drop[0] == HX_E_HCS);
    s = run(b, 9);
    CHECK("hcs is judged as soon as it is there", s.drops == 1 && s.drop[0] == HX_E_HCS);
    n = frame_a(b);
    b[12] ^= 1u; /* information */
    s = run(b, n);
    CHECK("fcs", s.frames == 0 && s.drops >= 1 && s.drop[0] == HX_E_FCS);
    n = frame_a(b);
    b[n - 1] = 0x7F;
    s = run(b, n);
    CHECK("flag", s.frames == 0 && s.drops >= 1 && s.drop[0] == HX_E_FLAG);
}

/* A checksum may come out as any value, so also as 00 00: it is checked like every other. The last
 * two octets of the information steer the register to each value exactly once. */
static void checksum_of_zero(void **state)
{
    uint8_t info[sizeof info_a + 2], b[64];
    struct seen s;
    size_t n = 0;
    bool found = false;
    (void)state;
    memcpy(info, info_a, sizeof info_a);
    for (unsigned v = 0; v < 0x10000 && !found; v++) {
        info[sizeof info_a] = (uint8_t)(v >> 8);
        info[sizeof info_a + 1] = (uint8_t)v;
        n = make_frame(b, 0xA000, head_aidon, sizeof head_aidon, info, sizeof info);
        found = b[n - 3] == 0 && b[n - 2] == 0;
    }
    CHECK("one value does it", found);
    s = run(b, n);
    CHECK("right and 0000", s.frames == 1 && s.drops == 0);
    b[n - 4] ^= 0x10u;
    s = run(b, n);
    CHECK("wrong and 0000", s.frames == 0 && s.drop[0] == HX_E_FCS);
    n = frame_a(b);
    b[n - 3] = b[n - 2] = 0;
    s = run(b, n);
    CHECK("0000 in place of the right one", s.frames == 0 && s.drop[0] == HX_E_FCS);
    n = frame_a(b);
    b[7] = b[8] = 0;
    s = run(b, n);
    CHECK("0000 in place of the HCS", s.frames == 0 && s.drop[0] == HX_E_HCS);
}

/* Noise, then a frame: `before` must not cost it. */
static const struct {
    const char *name, *before;
} noises[] = {
    {"nothing", ""},
    {"one flag", "7E"},
    {"two flags", "7E7E"},
    {"many flags", "7E7E7E7E7E7E7E7E7E7E"},
    {"start of a start", "7EA0"},
    {"format of the frame before", "7EA019"},
    {"longest length", "7EA7FF"},
    {"length 0", "7EA000"},
    {"long false address", "7EA02A020202"},
    {"false start with all but the HCS", "7EA02A4108831304"},
    {"false header, wrong HCS", "7EA02A410883131111"},
    {"random", "00FF55AA137E13A0E6E7000F"},
    {"tail of a frame", "0101020309060100010700FF06000024D502020F00161BF1837E"},
};

static void noise_before_costs_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof noises / sizeof noises[0]; i++) {
        uint8_t b[128];
        size_t n = unhex(noises[i].before, b);
        struct seen s;
        n += frame_a(b + n);
        n += frame_b(b + n);
        s = run(b, n);
        CHECK_INT(noises[i].name, s.frames, 2);
        CHECK(noises[i].name, s.first[0] == 'a' && s.first[1] == 'b');
    }
}

static void one_flag_between_frames(void **state)
{
    uint8_t b[128];
    size_t n = frame_a(b);
    struct seen s;
    (void)state;
    n += frame_b(b + n - 1) - 1; /* the closing flag opens the next */
    n += frame_a(b + n - 1) - 1;
    s = run(b, n);
    CHECK("three", s.frames == 3 && s.drops == 0);
    CHECK("in order", s.first[0] == 'a' && s.first[1] == 'b' && s.first[2] == 'a');
}

/* Any octet lost from, or put into, the first frame: the second is always found. */
static void lost_and_added_octets(void **state)
{
    uint8_t a[64], b[192];
    size_t len = frame_a(a);
    (void)state;
    for (size_t i = 0; i < len; i++) {
        static struct hx_hdlc h;
        struct seen s = {0};
        size_t n = 0;
        memcpy(b, a, i);
        memcpy(b + i, a + i + 1, len - i - 1);
        n = len - 1;
        n += frame_b(b + n);
        hx_hdlc_init(&h);
        feed(&h, b, n, &s);
        quiet(&h, &s);
        /* without one of the two flags in the middle both frames are whole */
        CHECK_INT("lost", s.frames, i == len - 1 ? 2 : 1);
        CHECK("lost: the other is found", s.first[s.frames - 1] == 'b');
        memcpy(b, a, i);
        b[i] = 0x55;
        memcpy(b + i + 1, a + i, len - i);
        n = len + 1;
        n += frame_b(b + n);
        memset(&s, 0, sizeof s);
        hx_hdlc_init(&h);
        feed(&h, b, n, &s);
        quiet(&h, &s);
        CHECK_INT("added", s.frames, i == 0 ? 2 : 1); /* before the flag it is only noise */
        CHECK("added: the other is found", s.first[s.frames - 1] == 'b');
    }
}

/* A good frame begins inside a damaged one, at every place. */
static void good_frame_glued_into_a_cut_one(void **state)
{
    static uint8_t info[200], a[300], b[600];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof info; i++)
        info[i] = (uint8_t)i;
    len = make_frame(a, 0xA000, head_aidon, sizeof head_aidon, info, sizeof info);
    for (size_t cut = 0; cut < len - 1; cut++) { /* the last flag alone may be shared */
        static struct hx_hdlc h;
        struct seen s = {0};
        size_t n = cut;
        memcpy(b, a, cut);
        n += frame_b(b + n);
        hx_hdlc_init(&h);
        feed(&h, b, n, &s);
        quiet(&h, &s);
        CHECK_INT("found once the line is quiet", s.frames, 1);
        CHECK("and it is the good one", s.first[0] == 'b');
        feed(&h, a, len, &s);
        CHECK_INT("the next is not lost", s.frames, 2);
    }
}

static void quiet_never_costs_a_frame(void **state)
{
    uint8_t b[64];
    size_t n = frame_a(b);
    (void)state;
    for (size_t cut = 0; cut <= n; cut++) {
        static struct hx_hdlc h;
        struct seen s = {0};
        hx_hdlc_init(&h);
        feed(&h, b, cut, &s);
        quiet(&h, &s);
        feed(&h, b + cut, n - cut, &s);
        CHECK("still whole", s.frames == 1 && s.drops == 0);
    }
}

static void pending_while_octets_are_missing(void **state)
{
    static struct hx_hdlc h;
    uint8_t b[64];
    size_t n = frame_a(b);
    struct seen s = {0};
    (void)state;
    hx_hdlc_init(&h);
    CHECK("at start", !hx_hdlc_is_pending(&h));
    feed(&h, b, 12, &s);
    CHECK("half a frame", hx_hdlc_is_pending(&h));
    feed(&h, b + 12, n - 12, &s);
    CHECK("whole", s.frames == 1 && !hx_hdlc_is_pending(&h));
    feed(&h, (const uint8_t *)"\x55\x55\x55", 3, &s);
    CHECK("noise without a flag", !hx_hdlc_is_pending(&h));
}

/* Line errors: `at` is the octet received badly. */
static void line_error_condemns_its_frame_only(void **state)
{
    uint8_t b[128];
    size_t a_len, n = 0;
    (void)state;
    b[n++] = 0x55; /* an octet of noise in front */
    a_len = frame_a(b + n);
    n += a_len;
    n += frame_b(b + n);
    for (size_t at = 0; at < n; at++) {
        static struct hx_hdlc h;
        struct seen s = {0};
        hx_hdlc_init(&h);
        feed(&h, b, at, &s);
        hx_hdlc_line_error(&h);
        feed(&h, b + at, n - at, &s);
        CHECK_INT("frames left", s.frames, at == 0 ? 2 : 1);
        if (at == 0)
            continue;
        CHECK("the other one", s.first[0] == (at <= a_len ? 'b' : 'a'));
        CHECK("reason", s.drops == 1 && s.drop[0] == HX_E_LINE);
    }
}

static void many_line_errors(void **state)
{
    static struct hx_hdlc h;
    uint8_t b[64];
    size_t n = frame_a(b);
    struct seen s = {0};
    (void)state;
    hx_hdlc_init(&h);
    for (size_t i = 0; i < n; i++) {
        hx_hdlc_line_error(&h);
        feed(&h, b + i, 1, &s);
    }
    CHECK_INT("all bad", s.frames, 0);
    n = frame_b(b);
    feed(&h, b, n, &s);
    CHECK("the next is good", s.frames == 1 && s.first[0] == 'b');
}

/* Two to three segments of one source; some senders repeat the LLC header in each. */
static void segments_are_joined(void **state)
{
    static const uint8_t tail[] = {'g', 'a', 'm', 'm', 'a'};
    static const uint8_t again[] = {0xE6, 0xE7, 0x00, 'g', 'a', 'm', 'm', 'a'};
    uint8_t b[160];
    size_t n = make_frame(b, 0xA800, head_aidon, sizeof head_aidon, info_a, sizeof info_a);
    size_t first = n;
    struct seen s = run(b, n);
    (void)state;
    CHECK("one segment is no telegram", s.frames == 0 && s.drops == 0);
    n += make_frame(b + n, 0xA000, head_aidon, sizeof head_aidon, tail, sizeof tail);
    s = run(b, n);
    CHECK("joined", s.frames == 1 && s.drops == 0);
    CHECK_INT("length", s.last.info.len, 14);
    CHECK("content", memcmp(s.last.info.ptr + 4, "alphagamma", 10) == 0);
    n = first;
    n += make_frame(b + n, 0xA000, head_aidon, sizeof head_aidon, again, sizeof again);
    s = run(b, n);
    CHECK("LLC again", s.frames == 1 && s.last.info.len == 14);
    CHECK("content", memcmp(s.last.info.ptr + 4, "alphagamma", 10) == 0);
    n = first;
    n += make_frame(b + n, 0xA800, head_aidon, sizeof head_aidon, tail, sizeof tail);
    n += make_frame(b + n, 0xA000, head_aidon, sizeof head_aidon, tail, sizeof tail);
    n += frame_b(b + n);
    s = run(b, n);
    CHECK("three segments, then a whole frame", s.frames == 2 && s.info_len[0] == 19);
    CHECK("whole frame is itself", s.info_len[1] == sizeof info_b);
}

static void segments_too_large_together(void **state)
{
    static struct hx_hdlc h;
    static uint8_t info[2000], b[HX_HDLC_WIRE_MAX];
    struct seen s = {0};
    size_t n;
    (void)state;
    hx_hdlc_init(&h);
    memset(info, 0x22, sizeof info);
    n = make_frame(b, 0xA800, head_aidon, sizeof head_aidon, info, sizeof info);
    for (int i = 0; i < 3; i++)
        feed(&h, b, n, &s);
    CHECK("6000 octets", s.frames == 0 && s.drops == 1 && s.drop[0] == HX_E_SEGMENT);
    n = frame_b(b);
    feed(&h, b, n, &s);
    CHECK("the next whole frame", s.frames == 1 && s.first[0] == 'b');
}

/* The rest of a segmented telegram is lost and another sender's whole frame comes. */
static void whole_frame_of_another_source_while_joining(void **state)
{
    static const uint8_t head_other[] = {0x2B, 0x21, 0x13};
    uint8_t b[160];
    size_t n = make_frame(b, 0xA800, head_aidon, sizeof head_aidon, info_a, sizeof info_a);
    struct seen s;
    (void)state;
    n += make_frame(b + n, 0xA000, head_other, sizeof head_other, info_b, sizeof info_b);
    n += frame_b(b + n);
    s = run(b, n);
    CHECK("unfinished telegram is told", s.drops == 1 && s.drop[0] == HX_E_SEGMENT);
    CHECK_INT("both whole frames are kept", s.frames, 2);
    CHECK("as they are", s.info_len[0] == sizeof info_b && s.info_len[1] == sizeof info_b);
}

static void garbage_is_swallowed(void **state)
{
    static struct hx_hdlc h;
    static uint8_t noise[3 * HX_HDLC_WIRE_MAX];
    uint32_t lcg = 1;
    uint8_t b[64];
    struct seen s = {0};
    size_t n = frame_a(b);
    (void)state;
    hx_hdlc_init(&h);
    for (size_t i = 0; i < sizeof noise; i++) {
        lcg = lcg * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(lcg >> 24);
    }
    for (int round = 0; round < 20; round++) {
        feed(&h, noise, sizeof noise, &s);
        feed(&h, b, n, &s);
        quiet(&h, &s);
    }
    CHECK_INT("each good frame", s.frames, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_frame),
        cmocka_unit_test(addresses_end_with_bit_0),
        cmocka_unit_test(five_octet_address_is_none),
        cmocka_unit_test(frame_without_information),
        cmocka_unit_test(only_format_type_3),
        cmocka_unit_test(longest_frame),
        cmocka_unit_test(reasons_of_drops),
        cmocka_unit_test(checksum_of_zero),
        cmocka_unit_test(noise_before_costs_nothing),
        cmocka_unit_test(one_flag_between_frames),
        cmocka_unit_test(lost_and_added_octets),
        cmocka_unit_test(good_frame_glued_into_a_cut_one),
        cmocka_unit_test(quiet_never_costs_a_frame),
        cmocka_unit_test(pending_while_octets_are_missing),
        cmocka_unit_test(line_error_condemns_its_frame_only),
        cmocka_unit_test(many_line_errors),
        cmocka_unit_test(segments_are_joined),
        cmocka_unit_test(segments_too_large_together),
        cmocka_unit_test(whole_frame_of_another_source_while_joining),
        cmocka_unit_test(garbage_is_swallowed),
    };
    return cmocka_run_group_tests_name("hdlc", tests, NULL, NULL);
}
