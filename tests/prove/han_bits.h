/* han_bits.h - a telegram as the bits of a serial line.
 * In:     octets.  Out: one bit an octet: start, eight data, even parity where asked for, stop. */
#ifndef TESTS_PROVE_HAN_BITS_H
#define TESTS_PROVE_HAN_BITS_H

#include "hx/base.h"

#include <string.h>

/** @param bits  room for 11 an octet of @p s and @p idle, the quiet line behind them.
 * @return how many. */
static inline size_t han_bits(struct hx_span s, bool parity, size_t idle, uint8_t *bits)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        bits[n++] = 0;
        for (unsigned k = 0; k < 8u; k++)
            bits[n++] = s.ptr[i] >> k & 1u;
        if (parity)
            bits[n++] = (uint8_t)__builtin_parity(s.ptr[i]);
        bits[n++] = 1;
    }
    memset(bits + n, 1, idle);
    return n + idle;
}

#endif
