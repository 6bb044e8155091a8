/* hx/base.h - spans, read and write cursors, error codes: what every module stands on.
 * In:     -  Out: -  State: none. Freestanding; header and base.c use memcpy only.
 * Source: docs/decisions/0001-core-and-ports.md */
#ifndef HX_BASE_H
#define HX_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HX_VERSION_MAJOR 0u
#define HX_VERSION_MINOR 1u
#define HX_VERSION_PATCH 0u
#define HX_VERSION "0.1.0"

/** One error convention for the whole program.
 * The HX_E_HCS … HX_E_CONTINUITY block are the reasons why a frame or telegram was dropped: each
 * has a counter (hx_drops) and a text (hx_err_text), so a reason can be shown wherever it happened.
 */
enum hx_err {
    HX_OK = 0,
    HX_MORE = 1,          /* not a fault: feed more, or call again */
    HX_E_LEN = -1,        /* data ends inside a field, or goes on after the last one */
    HX_E_VALUE = -2,      /* type, length or range not allowed */
    HX_E_SPACE = -3,      /* caller's buffer too small: nothing was written */
    HX_E_IO = -4,         /* ports only: errno was logged where it happened */
    HX_E_HEAD = -5,       /* HDLC: length or address field cannot be */
    HX_E_HCS = -6,        /* HDLC: header checksum wrong */
    HX_E_FLAG = -7,       /* HDLC: no closing flag where the length says: octets lost or added */
    HX_E_FCS = -8,        /* HDLC: frame checksum wrong */
    HX_E_LINE = -9,       /* the UART reported a parity or framing error inside the frame */
    HX_E_SEGMENT = -10,   /* HDLC: segments out of order or too large together */
    HX_E_LLC = -11,       /* not a DLMS push: LLC header or APDU tag unknown */
    HX_E_ENCRYPTED = -12, /* general-glo-ciphering: no key, cannot be read */
    HX_E_AXDR = -13,      /* A-XDR data cut short, too deep, or of unknown type */
    HX_E_LAYOUT = -14,    /* well-formed data, but no known list looks like this */
    HX_E_DATE = -15,      /* a clock in the telegram is no date */
    HX_E_IDENTITY = -16,  /* another meter than before: waits for a second list that agrees */
    HX_E_ENERGY = -17,    /* energy cannot have got there since the last list: waits for a second */
    HX_E_CONTINUITY = -18, /* value, shape or clock not as before: waits for a second */
};
#define HX_ERR_COUNT 19u /* errors are 0 … -(HX_ERR_COUNT - 1): index counters with -err */

/** @return what the error means, in English, lower case, no full stop; never NULL. */
const char *hx_err_text(enum hx_err err);

/** Borrowed bytes; owner and lifetime are in the docstring of whoever hands them out. */
struct hx_span {
    const uint8_t *ptr;
    size_t len;
};

/** Read cursor. The error sticks: after the first failure reads give 0 and change nothing. */
struct hx_rd {
    struct hx_span left;
    enum hx_err err;
};

uint8_t hx_rd_u8(struct hx_rd *r);
uint16_t hx_rd_be16(struct hx_rd *r);
uint32_t hx_rd_be32(struct hx_rd *r);
/** @return the next @p n bytes, inside the source; empty span and HX_E_LEN when there are fewer. */
struct hx_span hx_rd_take(struct hx_rd *r, size_t n);

/** Write cursor over a caller's buffer. The error sticks (HX_E_SPACE); a write that does not fit
 * writes nothing. */
struct hx_wr {
    uint8_t *ptr;
    size_t cap, len;
    enum hx_err err;
};

void hx_wr_u8(struct hx_wr *w, uint8_t v);
void hx_wr_be16(struct hx_wr *w, uint16_t v);
void hx_wr_be32(struct hx_wr *w, uint32_t v);
void hx_wr_bytes(struct hx_wr *w, const void *src, size_t n);
/** Append a C string without its NUL. */
void hx_wr_str(struct hx_wr *w, const char *s);
/** Append @p v in decimal. */
void hx_wr_int(struct hx_wr *w, int64_t v);
/** Append @p v in decimal with at least @p width digits, zeros in front. */
void hx_wr_pad(struct hx_wr *w, uint32_t v, unsigned width);
/** Append @p num × 10^@p exp10 in decimal, exactly: (2311, -1) is 231.1, (5, 1) is 50,
 * (-51, -2) is -0.51. @p exp10 is -9 … 9. */
void hx_wr_dec(struct hx_wr *w, int64_t num, int exp10);
/** Append @p s as a JSON string with quotes. Octets outside printable ASCII become \u00XX. */
void hx_wr_json(struct hx_wr *w, struct hx_span s);

/** Fixed text of a meter: identity fields. Not NUL-terminated. */
#define HX_TEXT_MAX 32u /* longest seen on a meter: 18 */
struct hx_text {
    uint8_t len;
    char s[HX_TEXT_MAX];
};
bool hx_text_eq(const struct hx_text *a, const struct hx_text *b);
static inline struct hx_span hx_text_span(const struct hx_text *t)
{
    return (struct hx_span){(const uint8_t *)t->s, t->len};
}

/** @return value / 10^digits rounded half away from zero. */
int64_t hx_div_round(int64_t value, int64_t divisor);
/** 10^n for n 0 … 18. */
int64_t hx_pow10(unsigned n);

/** Broken invariants of our own; never used on outside data. A trap: the watchdog restarts us. */
#ifndef HX_ASSERT
#define HX_ASSERT(x) ((x) ? (void)0 : __builtin_trap())
#endif
#define HX_UNREACHABLE() __builtin_trap()

#endif
