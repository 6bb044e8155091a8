/* decode_bench.c - telegrams decoded a second, over the recorded Norwegian telegrams.
 * Usage: decode_bench ROUNDS. Prints "telegrams N", "telegrams_per_s N", "wrong N".
 * Instructions per telegram: valgrind --tool=callgrind --toggle-collect=decode_all, then divide by
 * the telegrams printed. What is counted: frame search with both checksums, push header, list with
 * every value, from octets to struct hx_telegram. */
#include "hx/hdlc.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct hx_hdlc receiver;

/** @return true when the frame became the power it should. */
static bool decode(const struct vector *v)
{
    struct hx_hdlc_frame frame;
    struct hx_push push;
    struct hx_telegram t;
    return hx_hdlc_push(&receiver, v->bytes) == v->bytes.len &&
           hx_hdlc_next(&receiver, &frame) == HX_OK && hx_push_parse(frame.info, &push) == HX_OK &&
           hx_telegram_decode(&push, &t) == HX_OK && t.value[HX_P_IMPORT] == v->value[HX_P_IMPORT];
}

/* Not inlined and not static: callgrind finds its begin and end by this name. */
unsigned decode_all(void);
__attribute__((noinline)) unsigned decode_all(void)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < NORWAY_COUNT; i++)
        wrong += decode(&norway[i]) ? 0 : 1;
    return wrong;
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    long rounds = argc == 2 ? atol(argv[1]) : 1000;
    unsigned wrong = 0;
    hx_hdlc_init(&receiver);
    double start = seconds();
    for (long i = 0; i < rounds; i++)
        wrong += decode_all();
    double took = seconds() - start;
    printf("telegrams %ld\ntelegrams_per_s %.0f\nwrong %u\n", rounds * (long)NORWAY_COUNT,
           (double)rounds * (double)NORWAY_COUNT / took, wrong);
    return wrong == 0 ? 0 : 1;
}
