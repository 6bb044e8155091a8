/* dlms.c - see hx/dlms.h
 *
 *   E6 E7 00 | 0F | long-invoke-id-and-priority 4 | date-time | body
 *   date-time: 00 | 0C + 12 octets | 09 0C + 12 | 19 + 12 */
#include "hx/dlms.h"

#include <string.h>

#define TAG_DATA_NOTIFICATION 0x0Fu
#define TAG_GENERAL_GLO_CIPHERING 0xDBu

static enum hx_err cut(const struct hx_rd *r)
{
    return r->err == HX_OK ? HX_OK : HX_E_AXDR;
}

/* A length or count: one octet below 0x80, else 0x81 or 0x82 and that many octets. */
static uint32_t read_length(struct hx_rd *r)
{
    uint8_t first = hx_rd_u8(r);
    if (first < 0x80u)
        return first;
    if (first == 0x81u)
        return hx_rd_u8(r);
    if (first == 0x82u)
        return hx_rd_be16(r);
    r->err = r->err != HX_OK ? r->err : HX_E_VALUE; /* longer than any frame */
    return 0;
}

static int64_t read_integer(struct hx_rd *r, unsigned octets, bool is_signed)
{
    struct hx_span s = hx_rd_take(r, octets);
    uint64_t v = is_signed && s.len > 0 && (s.ptr[0] & 0x80u) ? UINT64_MAX : 0;
    for (size_t i = 0; i < s.len; i++)
        v = v << 8 | s.ptr[i];
    return (int64_t)v; /* two's complement on every compiler we build with */
}

/* Sizes and kinds of the types (IEC 62056-6-2, table of data types). */
struct type {
    uint8_t kind, octets;
    bool is_signed;
};

static const struct type types[0x1C] = {
    [0x00] = {HX_KIND_NULL, 0, false},   [0x01] = {HX_KIND_LIST, 0, false},
    [0x02] = {HX_KIND_LIST, 0, false},   [0x03] = {HX_KIND_NUMBER, 1, false}, /* boolean */
    [0x05] = {HX_KIND_NUMBER, 4, true},  [0x06] = {HX_KIND_NUMBER, 4, false},
    [0x09] = {HX_KIND_STRING, 0, false}, [0x0A] = {HX_KIND_STRING, 0, false},
    [0x0C] = {HX_KIND_STRING, 0, false}, [0x0D] = {HX_KIND_OTHER, 1, false}, /* bcd */
    [0x0F] = {HX_KIND_NUMBER, 1, true},  [0x10] = {HX_KIND_NUMBER, 2, true},
    [0x11] = {HX_KIND_NUMBER, 1, false}, [0x12] = {HX_KIND_NUMBER, 2, false},
    [0x14] = {HX_KIND_NUMBER, 8, true},  [0x15] = {HX_KIND_NUMBER, 8, false},
    [0x16] = {HX_KIND_NUMBER, 1, false}, [0x17] = {HX_KIND_OTHER, 4, false}, /* float32 */
    [0x18] = {HX_KIND_OTHER, 8, false},                                      /* float64 */
    [0x19] = {HX_KIND_OTHER, 12, false}, [0x1A] = {HX_KIND_OTHER, 5, false},
    [0x1B] = {HX_KIND_OTHER, 4, false},
};
#define TAG_BIT_STRING 0x04u
#define TAG_DONT_CARE 0xFFu
#define TAG_LONG64_UNSIGNED 0x15u

enum hx_err hx_axdr_next(struct hx_rd *r, struct hx_axdr *item)
{
    const struct type *t;
    *item = (struct hx_axdr){.tag = hx_rd_u8(r)};
    if (item->tag == TAG_DONT_CARE)
        return cut(r);
    if (item->tag == TAG_BIT_STRING) { /* its length counts bits */
        item->kind = HX_KIND_OTHER;
        item->str = hx_rd_take(r, (read_length(r) + 7u) / 8u);
        return cut(r);
    }
    if (item->tag >= sizeof types / sizeof types[0])
        return HX_E_AXDR;
    t = &types[item->tag];
    item->kind = (enum hx_axdr_kind)t->kind;
    switch (item->kind) {
    case HX_KIND_NULL:
        return item->tag == HX_AXDR_NULL ? cut(r) : HX_E_AXDR; /* a gap in the table */
    case HX_KIND_NUMBER:
        item->num = read_integer(r, t->octets, t->is_signed);
        if (item->tag == TAG_LONG64_UNSIGNED && item->num < 0)
            return HX_E_AXDR; /* over 2^63: nothing that a meter counts */
        return cut(r);
    case HX_KIND_STRING:
        item->str = hx_rd_take(r, read_length(r));
        return cut(r);
    case HX_KIND_LIST:
        item->count = read_length(r);
        return r->err == HX_OK && item->count <= r->left.len ? HX_OK : HX_E_AXDR;
    case HX_KIND_OTHER:
        item->str = hx_rd_take(r, t->octets);
        return cut(r);
    }
    HX_UNREACHABLE();
}

enum hx_err hx_cosem_time_parse(struct hx_span s, struct hx_cosem_time *t)
{
    struct hx_rd r = {.left = s};
    struct hx_civil c;
    *t = (struct hx_cosem_time){.present = true};
    c.year = hx_rd_be16(&r);
    c.month = hx_rd_u8(&r);
    c.day = hx_rd_u8(&r);
    t->weekday = hx_rd_u8(&r);
    c.hour = hx_rd_u8(&r);
    c.minute = hx_rd_u8(&r);
    c.second = hx_rd_u8(&r);
    t->hundredths = hx_rd_u8(&r);
    t->deviation_min = (int16_t)hx_rd_be16(&r);
    t->status = hx_rd_u8(&r);
    if (r.err != HX_OK || r.left.len != 0)
        return HX_E_AXDR;
    if (hx_civil_is_valid(&c)) {
        t->local = c;
        t->known = true;
        return HX_OK;
    }
    /* Wildcards are allowed: a meter that has lost its clock says so with them. */
    return c.year == 0xFFFFu || c.month >= 0xFDu || c.day >= 0xFDu || c.hour == 0xFFu ? HX_OK
                                                                                      : HX_E_DATE;
}

/* The date-time of a data-notification in its four forms. */
static enum hx_err read_push_time(struct hx_rd *r, struct hx_cosem_time *t)
{
    uint8_t form = hx_rd_u8(r);
    *t = (struct hx_cosem_time){.present = false};
    if (form == 0x00)
        return cut(r);
    if (form == HX_AXDR_OCTETS && hx_rd_u8(r) != HX_COSEM_TIME_LEN)
        return HX_E_AXDR;
    if (form != HX_AXDR_OCTETS && form != HX_COSEM_TIME_LEN && form != HX_AXDR_DATE_TIME)
        return HX_E_AXDR;
    struct hx_span s = hx_rd_take(r, HX_COSEM_TIME_LEN);
    return r->err == HX_OK ? hx_cosem_time_parse(s, t) : HX_E_AXDR;
}

enum hx_err hx_push_parse(struct hx_span info, struct hx_push *out)
{
    static const uint8_t llc[3] = {0xE6, 0xE7, 0x00};
    struct hx_rd r = {.left = info};
    struct hx_span head = hx_rd_take(&r, sizeof llc);
    uint8_t tag = hx_rd_u8(&r);
    enum hx_err e;
    if (r.err != HX_OK || memcmp(head.ptr, llc, sizeof llc) != 0)
        return HX_E_LLC;
    if (tag == TAG_GENERAL_GLO_CIPHERING)
        return HX_E_ENCRYPTED;
    if (tag != TAG_DATA_NOTIFICATION)
        return HX_E_LLC;
    out->invoke = hx_rd_be32(&r);
    e = read_push_time(&r, &out->time);
    out->body = r.left;
    return e;
}
