/* test_corpus.c - every recorded telegram, whole and damaged in every way: it gives exactly its
 * values or nothing at all. Vectors and their origin: tests/vectors/README.md. */
#include "check.h"

#include <stdlib.h>

#include "hx/hdlc.h"
#include "hx/lists.h"

#include "vectors.h"

/* What a receiver made of some bytes. */
struct heard {
    unsigned frames;   /* good on the wire */
    unsigned readings; /* and decoded */
    enum hx_err verdict;
    struct hx_telegram last;
};

static struct hx_hdlc hdlc;

static void drain(struct heard *s)
{
    struct hx_hdlc_frame f;
    enum hx_err e;
    while ((e = hx_hdlc_next(&hdlc, &f)) != HX_MORE) {
        struct hx_push push;
        struct hx_telegram t;
        if (e != HX_OK)
            continue;
        s->frames++;
        e = hx_push_parse(f.info, &push);
        if (e == HX_OK)
            e = hx_telegram_decode(&push, &t);
        s->verdict = s->frames == 1 ? e : s->verdict;
        if (e != HX_OK)
            continue;
        s->readings++;
        s->last = t;
    }
}

static void feed(const uint8_t *p, size_t n, struct heard *s)
{
    while (n > 0) {
        size_t took = hx_hdlc_push(&hdlc, (struct hx_span){p, n});
        drain(s);
        p += took;
        n -= took;
    }
}

static void quiet(struct heard *s)
{
    struct hx_hdlc_frame f;
    while (hx_hdlc_quiet(&hdlc, &f) != HX_MORE)
        drain(s);
}

static struct heard hear(const uint8_t *p, size_t n)
{
    struct heard s = {0};
    hx_hdlc_init(&hdlc);
    feed(p, n, &s);
    quiet(&s);
    return s;
}

/* A heap block of exactly the size, so that a sanitizer sees each read behind the end. */
static struct heard hear_exact(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    struct heard s;
    assert_non_null(copy);
    memcpy(copy, p, n);
    s = hear(copy, n);
    free(copy);
    return s;
}

static void check_time(const char *name, const struct hx_cosem_time *got,
                       const struct hx_cosem_time *want)
{
    CHECK_INT(name, got->present, want->present);
    if (!want->present)
        return;
    CHECK_INT(name, got->known, want->known);
    CHECK_INT(name, got->local.year, want->local.year);
    CHECK_INT(name, got->local.month, want->local.month);
    CHECK_INT(name, got->local.day, want->local.day);
    CHECK_INT(name, got->local.hour, want->local.hour);
    CHECK_INT(name, got->local.minute, want->local.minute);
    CHECK_INT(name, got->local.second, want->local.second);
    CHECK_INT(name, got->deviation_min, want->deviation_min);
    CHECK_INT(name, got->status, want->status);
    CHECK_INT(name, got->weekday, want->weekday);
    CHECK_INT(name, got->hundredths, want->hundredths);
}

/* Alone, a list 1 of an Embriq is Aidon's to the last octet. */
static enum hx_maker maker_alone(const struct vector *v)
{
    return v->maker == HX_MAKER_EMBRIQ && v->list == 1 ? HX_MAKER_AIDON : v->maker;
}

static void check_values(const struct vector *v, const struct hx_telegram *t)
{
    CHECK_INT(v->name, t->maker, maker_alone(v));
    CHECK_INT(v->name, t->list, v->list);
    CHECK_INT(v->name, t->has, v->has);
    CHECK_INT(v->name, t->has_identity, v->list != 1);
    CHECK(v->name, hx_text_eq(&t->version, &v->version));
    CHECK(v->name, hx_text_eq(&t->id, &v->id));
    CHECK(v->name, hx_text_eq(&t->type, &v->type));
    for (unsigned f = 0; f < HX_FIELD_COUNT; f++)
        if (t->value[f] != v->value[f])
            fail_msg("%s: field %u is %lld, not %lld", v->name, f, (long long)t->value[f],
                     (long long)v->value[f]);
    check_time(v->name, &t->clock, &v->clock);
    check_time(v->name, &t->push_time, &v->push_time);
    if (v->grid != HX_GRID_UNKNOWN && v->list != 1)
        CHECK_INT(v->name, t->grid, v->grid);
}

static void check_one(const struct vector *v, const struct heard *s)
{
    CHECK_INT(v->name, s->readings, 1);
    check_values(v, &s->last);
}

static void every_telegram_has_its_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        struct heard s = hear_exact(norway[i].bytes.ptr, norway[i].bytes.len);
        CHECK_INT(norway[i].name, s.verdict, HX_OK);
        check_one(&norway[i], &s);
    }
}

/* What is sent but not measured: U L2 of a Kaifa on three wires is always 0 (29 recorded
 * telegrams), and so is that of the Embriq. */
static void what_is_not_measured(void **state)
{
    const uint16_t u_l2 = VECTOR_BIT(HX_U_L2);
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct vector *v = &norway[i];
        struct heard s = hear(v->bytes.ptr, v->bytes.len);
        bool kaifa_3wire = v->maker == HX_MAKER_KAIFA && v->grid == HX_GRID_3WIRE;
        CHECK(v->name, (s.last.measured & ~s.last.has) == 0);
        if (kaifa_3wire)
            CHECK_INT(v->name, s.last.measured, v->has & ~u_l2);
        else if (v->maker == HX_MAKER_EMBRIQ)
            CHECK(v->name, (s.last.measured & u_l2) == 0);
        else
            CHECK_INT(v->name, s.last.measured, v->has);
    }
}

/* Decimals of current and voltage that each maker sends. */
static void each_maker_has_its_decimals(void **state)
{
    static const struct {
        int8_t current, voltage;
    } want[HX_MAKER_COUNT] = {[HX_MAKER_AIDON] = {1, 1},
                              [HX_MAKER_KAIFA] = {3, 1},
                              [HX_MAKER_KAMSTRUP] = {2, 0},
                              [HX_MAKER_EMBRIQ] = {2, 1}};
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct vector *v = &norway[i];
        struct heard s = hear(v->bytes.ptr, v->bytes.len);
        CHECK_INT(v->name, s.last.decimals[HX_P_IMPORT], 0);
        if (v->list == 1)
            continue;
        CHECK_INT(v->name, s.last.decimals[HX_I_L1], want[v->maker].current);
        CHECK_INT(v->name, s.last.decimals[HX_U_L1], want[v->maker].voltage);
    }
}

static void foreign_frames_have_their_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        const struct vector *v = &foreign[i];
        struct heard s = hear_exact(v->bytes.ptr, v->bytes.len);
        CHECK(v->name, s.frames >= 1);
        CHECK_INT(v->name, s.verdict, v->verdict);
        if (v->verdict == HX_OK)
            check_one(v, &s);
        else
            CHECK_INT(v->name, s.readings, 0);
    }
}

static void every_prefix_gives_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++)
        for (size_t cut = i % VECTOR_STEP; cut < norway[i].bytes.len; cut += VECTOR_STEP)
            CHECK_INT(norway[i].name, hear_exact(norway[i].bytes.ptr, cut).readings, 0);
}

/* The body of every telegram, cut at every octet, with a right frame around it. */
static void every_cut_body_gives_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        struct hx_push push;
        struct hx_hdlc_frame f;
        hx_hdlc_init(&hdlc);
        (void)hx_hdlc_push(&hdlc, norway[i].bytes);
        CHECK_INT(norway[i].name, hx_hdlc_next(&hdlc, &f), HX_OK);
        for (size_t cut = i % VECTOR_STEP; cut < f.info.len; cut += VECTOR_STEP) {
            uint8_t *copy = malloc(cut > 0 ? cut : 1);
            struct hx_telegram t;
            enum hx_err e;
            assert_non_null(copy);
            memcpy(copy, f.info.ptr, cut);
            e = hx_push_parse((struct hx_span){copy, cut}, &push);
            if (e == HX_OK)
                e = hx_telegram_decode(&push, &t);
            free(copy);
            CHECK(norway[i].name, e != HX_OK);
        }
    }
}

static void every_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct hx_span b = norway[i].bytes;
        for (size_t cut = i % VECTOR_STEP; cut <= b.len; cut += VECTOR_STEP) {
            struct heard s = {0};
            hx_hdlc_init(&hdlc);
            feed(b.ptr, cut, &s);
            CHECK_INT(norway[i].name, s.readings, cut == b.len);
            quiet(&s); /* a pause in the middle costs nothing */
            feed(b.ptr + cut, b.len - cut, &s);
            check_one(&norway[i], &s);
        }
    }
}

static void octet_by_octet_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        struct heard s = {0};
        hx_hdlc_init(&hdlc);
        for (size_t k = 0; k < norway[i].bytes.len; k++)
            feed(norway[i].bytes.ptr + k, 1, &s);
        check_one(&norway[i], &s);
    }
}

static void every_flipped_bit_gives_nothing(void **state)
{
    static uint8_t copy[HX_HDLC_WIRE_MAX];
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct hx_span b = norway[i].bytes;
        memcpy(copy, b.ptr, b.len);
        for (size_t bit = i % VECTOR_STEP; bit < b.len * 8; bit += VECTOR_STEP) {
            copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_INT(norway[i].name, hear(copy, b.len).readings, 0);
            copy[bit / 8] = b.ptr[bit / 8];
        }
    }
}

static const char *const noises[] = {
    "",
    "7E",
    "7E7E7E",
    "7EA0",
    "7EA07E",
    "7EA7FF",
    "7EA02A41088313",
    "00FF55AA",
    "A02A410883130413",
    "7EA02A410883130413E6E7000F4000000000",
};

static void noise_around_costs_nothing(void **state)
{
    static uint8_t b[HX_HDLC_WIRE_MAX];
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++)
        for (size_t k = 0; k < sizeof noises / sizeof noises[0]; k++) {
            struct heard s;
            size_t n = unhex(noises[k], b);
            memcpy(b + n, norway[i].bytes.ptr, norway[i].bytes.len);
            n += norway[i].bytes.len;
            n += unhex(noises[k], b + n);
            s = hear(b, n);
            check_one(&norway[i], &s);
        }
}

/* Two telegrams in a row, with both their flags or one for both. */
static void neighbours_do_not_disturb(void **state)
{
    static uint8_t b[2 * HX_HDLC_WIRE_MAX];
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++)
        for (size_t shared = 0; shared <= 1; shared++) {
            const struct vector *next = &norway[(i + 7) % NORWAY_COUNT];
            struct heard s = {0};
            size_t n = norway[i].bytes.len;
            memcpy(b, norway[i].bytes.ptr, n);
            hx_hdlc_init(&hdlc);
            feed(b, n, &s);
            check_one(&norway[i], &s);
            feed(next->bytes.ptr + shared, next->bytes.len - shared, &s);
            CHECK_INT(next->name, s.readings, 2);
            check_values(next, &s.last);
        }
}

/* The end of each telegram is lost, in several places, and a good one follows at once. */
static void good_frame_in_a_cut_one_is_found(void **state)
{
    static uint8_t b[2 * HX_HDLC_WIRE_MAX];
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct vector *next = &norway[(i + 31) % NORWAY_COUNT];
        for (size_t cut = 1 + i % 5; cut < norway[i].bytes.len - 1; cut += 5) {
            struct heard s;
            memcpy(b, norway[i].bytes.ptr, cut);
            memcpy(b + cut, next->bytes.ptr, next->bytes.len);
            s = hear(b, cut + next->bytes.len);
            check_one(next, &s);
        }
    }
}

static void good_frame_behind_a_damaged_one_is_found(void **state)
{
    static uint8_t b[2 * HX_HDLC_WIRE_MAX];
    (void)state;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        const struct vector *next = &norway[(i + 31) % NORWAY_COUNT];
        for (size_t bad = 1; bad < norway[i].bytes.len - 1; bad += 11) {
            struct heard s;
            memcpy(b, norway[i].bytes.ptr, norway[i].bytes.len);
            b[bad] ^= 0x5Au;
            memcpy(b + norway[i].bytes.len, next->bytes.ptr, next->bytes.len);
            s = hear(b, norway[i].bytes.len + next->bytes.len);
            check_one(next, &s);
        }
    }
}

static void check_frame(const struct stream *s, size_t i, const struct hx_telegram *t)
{
    static const uint8_t fields[8] = {HX_P_IMPORT, HX_I_L1, HX_I_L2, HX_I_L3,
                                      HX_U_L1,     HX_U_L2, HX_U_L3, HX_E_IMPORT};
    const struct stream_frame *want = &s->frames[i];
    uint8_t text[24];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};
    if (i >= s->count)
        fail_msg("%s: more than %u frames", s->name, (unsigned)s->count);
    CHECK_INT(s->name, t->list, want->list);
    for (unsigned f = 0; f < 8; f++)
        if (t->value[fields[f]] != want->value[f])
            fail_msg("%s: frame at %u: field %u is %lld", s->name, (unsigned)want->offset,
                     fields[f], (long long)t->value[fields[f]]);
    hx_civil_format(&w, &t->push_time.local);
    if (memcmp(text, want->clock, 19) != 0)
        fail_msg("%s: frame at %u: clock", s->name, (unsigned)want->offset);
}

/* A stream in pieces of `piece` octets gives exactly the listed frames. */
static void run_stream(const struct stream *s, size_t piece)
{
    struct heard h = {0};
    hx_hdlc_init(&hdlc);
    for (size_t at = 0; at < s->bytes.len; at += piece) {
        size_t n = s->bytes.len - at < piece ? s->bytes.len - at : piece;
        unsigned before = h.readings;
        feed(s->bytes.ptr + at, n, &h);
        if (piece == 1 && h.readings != before)
            check_frame(s, before, &h.last);
    }
    quiet(&h);
    CHECK_INT(s->name, h.readings, s->count);
    CHECK_INT(s->name, h.frames, s->count);
}

static void streams_give_their_frames(void **state)
{
    static const size_t pieces[] = {1, 2, 7, 64, 509, 4096};
    (void)state;
    for (size_t i = 0; i < STREAMS_COUNT; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++)
            run_stream(&streams[i], pieces[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_telegram_has_its_values),
        cmocka_unit_test(what_is_not_measured),
        cmocka_unit_test(each_maker_has_its_decimals),
        cmocka_unit_test(foreign_frames_have_their_verdict),
        cmocka_unit_test(every_prefix_gives_nothing),
        cmocka_unit_test(every_cut_body_gives_nothing),
        cmocka_unit_test(every_split_gives_the_same),
        cmocka_unit_test(octet_by_octet_gives_the_same),
        cmocka_unit_test(every_flipped_bit_gives_nothing),
        cmocka_unit_test(noise_around_costs_nothing),
        cmocka_unit_test(neighbours_do_not_disturb),
        cmocka_unit_test(good_frame_in_a_cut_one_is_found),
        cmocka_unit_test(good_frame_behind_a_damaged_one_is_found),
        cmocka_unit_test(streams_give_their_frames),
    };
    return cmocka_run_group_tests_name("corpus", tests, NULL, NULL);
}
