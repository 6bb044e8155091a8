/* base.c - see hx/base.h */
#include "hx/base.h"

#include <string.h>

const char *hx_err_text(enum hx_err err)
{
    switch (err) {
    case HX_OK:
        return "no error";
    case HX_MORE:
        return "more input needed";
    case HX_E_LEN:
        return "length wrong";
    case HX_E_VALUE:
        return "value not allowed";
    case HX_E_SPACE:
        return "no space left";
    case HX_E_IO:
        return "input or output failed";
    case HX_E_HEAD:
        return "HDLC header cannot be";
    case HX_E_HCS:
        return "HDLC header checksum wrong";
    case HX_E_FLAG:
        return "no closing flag where the length says: octets lost or added";
    case HX_E_FCS:
        return "HDLC frame checksum wrong";
    case HX_E_LINE:
        return "parity or framing error on the line";
    case HX_E_SEGMENT:
        return "HDLC segments out of order or too large";
    case HX_E_LLC:
        return "not a DLMS push telegram";
    case HX_E_ENCRYPTED:
        return "encrypted, cannot be read without a key";
    case HX_E_AXDR:
        return "DLMS data cut short or of unknown type";
    case HX_E_LAYOUT:
        return "no known meter list looks like this";
    case HX_E_DATE:
        return "clock is no valid date";
    case HX_E_IDENTITY:
        return "another meter than before, waiting for a second list that agrees";
    case HX_E_ENERGY:
        return "energy cannot have got there, waiting for a second list that agrees";
    case HX_E_CONTINUITY:
        return "not as the telegrams before, waiting for a second that agrees";
    }
    return "unknown error";
}

/* The one place where a read cursor moves: NULL when fewer than n octets are left. */
static const uint8_t *advance(struct hx_rd *r, size_t n)
{
    const uint8_t *p = r->left.ptr;
    if (r->err != HX_OK || r->left.len < n) {
        r->err = r->err != HX_OK ? r->err : HX_E_LEN;
        return NULL;
    }
    if (n > 0) /* an empty span may have no pointer to add to */
        r->left = (struct hx_span){p + n, r->left.len - n};
    return p;
}

uint8_t hx_rd_u8(struct hx_rd *r)
{
    const uint8_t *p = advance(r, 1);
    return p != NULL ? p[0] : 0;
}

uint16_t hx_rd_be16(struct hx_rd *r)
{
    const uint8_t *p = advance(r, 2);
    return (uint16_t)(p != NULL ? p[0] << 8 | p[1] : 0);
}

uint32_t hx_rd_be32(struct hx_rd *r)
{
    const uint8_t *p = advance(r, 4);
    return p != NULL ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

struct hx_span hx_rd_take(struct hx_rd *r, size_t n)
{
    const uint8_t *p = advance(r, n);
    return r->err == HX_OK ? (struct hx_span){p, n} : (struct hx_span){NULL, 0};
}

/* Room for n more octets, or NULL and the sticky error. */
static uint8_t *reserve(struct hx_wr *w, size_t n)
{
    uint8_t *p = w->ptr + w->len;
    if (w->err != HX_OK || w->cap - w->len < n) {
        w->err = HX_E_SPACE;
        return NULL;
    }
    w->len += n;
    return p;
}

void hx_wr_u8(struct hx_wr *w, uint8_t v)
{
    uint8_t *p = reserve(w, 1);
    if (p != NULL)
        p[0] = v;
}

void hx_wr_be16(struct hx_wr *w, uint16_t v)
{
    uint8_t *p = reserve(w, 2);
    if (p != NULL) {
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
}

void hx_wr_be32(struct hx_wr *w, uint32_t v)
{
    uint8_t *p = reserve(w, 4);
    if (p != NULL) {
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
    }
}

void hx_wr_bytes(struct hx_wr *w, const void *src, size_t n)
{
    uint8_t *p = reserve(w, n);
    if (p != NULL && n > 0)
        memcpy(p, src, n);
}

void hx_wr_str(struct hx_wr *w, const char *s)
{
    size_t n = 0;
    while (s[n] != '\0')
        n++;
    hx_wr_bytes(w, s, n);
}

#define DIGITS_MAX 20u /* 2^64 - 1 has 20 */

/* Digits of v at the end of buf, at least width of them. Returns where they start. */
static size_t digits(char buf[DIGITS_MAX], uint64_t v, unsigned width)
{
    size_t at = DIGITS_MAX;
    do {
        buf[--at] = (char)('0' + v % 10u);
        v /= 10u;
    } while (at > 0 && (v != 0 || DIGITS_MAX - at < width));
    return at;
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0u - (uint64_t)v : (uint64_t)v; /* right for INT64_MIN too */
}

void hx_wr_int(struct hx_wr *w, int64_t v)
{
    hx_wr_dec(w, v, 0);
}

void hx_wr_pad(struct hx_wr *w, uint32_t v, unsigned width)
{
    char buf[DIGITS_MAX];
    size_t at = digits(buf, v, width);
    hx_wr_bytes(w, buf + at, DIGITS_MAX - at);
}

void hx_wr_dec(struct hx_wr *w, int64_t num, int exp10)
{
    char text[1 + DIGITS_MAX + 1 + 9]; /* sign, digits, point, zeros behind */
    char buf[DIGITS_MAX];
    size_t places = exp10 < 0 ? (size_t)-exp10 : 0;
    size_t at = digits(buf, magnitude(num), (unsigned)places + 1u);
    size_t whole = DIGITS_MAX - at - places, n = 0;
    if (num < 0)
        text[n++] = '-';
    memcpy(text + n, buf + at, whole);
    n += whole;
    if (places > 0) {
        text[n++] = '.';
        memcpy(text + n, buf + at + whole, places);
        n += places;
    }
    for (int i = 0; i < exp10 && num != 0; i++)
        text[n++] = '0';
    hx_wr_bytes(w, text, n);
}

void hx_wr_json(struct hx_wr *w, struct hx_span s)
{
    static const char hex[] = "0123456789abcdef";
    hx_wr_u8(w, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c == '"' || c == '\\') {
            hx_wr_u8(w, '\\');
            hx_wr_u8(w, c);
        } else if (c >= 0x20 && c < 0x7F) {
            hx_wr_u8(w, c);
        } else {
            char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            hx_wr_bytes(w, esc, sizeof esc);
        }
    }
    hx_wr_u8(w, '"');
}

bool hx_text_eq(const struct hx_text *a, const struct hx_text *b)
{
    return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

int64_t hx_div_round(int64_t value, int64_t divisor)
{
    int64_t q = value / divisor, r = value % divisor;
    if (magnitude(r) >= magnitude(divisor) - magnitude(r))
        q += (value < 0) == (divisor < 0) ? 1 : -1;
    return q;
}

int64_t hx_pow10(unsigned n)
{
    int64_t p = 1;
    HX_ASSERT(n <= 18);
    while (n-- > 0)
        p *= 10;
    return p;
}
