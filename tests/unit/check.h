/* check.h - cmocka with its own includes, and checks that name the row of a table that failed. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hx/base.h"

#define CHECK(name, cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_msg("%s: %s", (name), #cond);                                                     \
    } while (0)

#define CHECK_INT(name, got, want)                                                                 \
    do {                                                                                           \
        long long got_ = (long long)(got), want_ = (long long)(want);                              \
        if (got_ != want_)                                                                         \
            fail_msg("%s: %s is %lld, not %lld", (name), #got, got_, want_);                       \
    } while (0)

/** Octets of @p hex (pairs of digits, blanks between are skipped) into @p out. */
static inline size_t unhex(const char *hex, uint8_t *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (; *hex != '\0'; hex++) {
        const char *d = strchr(digits, *hex >= 'a' ? *hex - 'a' + 'A' : *hex);
        if (*hex == ' ' || d == NULL)
            continue;
        if (n % 2 == 0)
            out[n / 2] = (uint8_t)((d - digits) << 4);
        else
            out[n / 2] = (uint8_t)(out[n / 2] | (d - digits));
        n++;
    }
    return n / 2;
}

/** Bit by bit CRC-16/X.25 register: slow, and nothing like the tables it is compared with. */
static inline uint16_t slow_x25(uint16_t reg, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        reg = (uint16_t)(reg ^ p[i]);
        for (int bit = 0; bit < 8; bit++)
            reg = (uint16_t)(reg & 1u ? reg >> 1 ^ 0x8408u : reg >> 1);
    }
    return reg;
}

/** Put a frame together: flag, @p format (type and segment bits; the length is added), @p head
 * (addresses and control), HCS when there is information, information, FCS, flag. */
static inline size_t make_frame(uint8_t *out, uint16_t format, const uint8_t *head, size_t head_len,
                                const uint8_t *info, size_t info_len)
{
    size_t len = 2 + head_len + (info_len > 0 ? 2 + info_len : 0) + 2, n = 0;
    uint16_t crc;
    out[n++] = 0x7E;
    out[n++] = (uint8_t)(format >> 8 | len >> 8);
    out[n++] = (uint8_t)len;
    memcpy(out + n, head, head_len);
    n += head_len;
    if (info_len > 0) {
        crc = (uint16_t)~slow_x25(0xFFFF, out + 1, n - 1);
        out[n++] = (uint8_t)crc;
        out[n++] = (uint8_t)(crc >> 8);
        memcpy(out + n, info, info_len);
        n += info_len;
    }
    crc = (uint16_t)~slow_x25(0xFFFF, out + 1, n - 1);
    out[n++] = (uint8_t)crc;
    out[n++] = (uint8_t)(crc >> 8);
    out[n++] = 0x7E;
    return n;
}

#endif
