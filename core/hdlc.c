/* hdlc.c - see hx/hdlc.h
 *
 *   7E | format 2 | dest 1-4 | src 1-4 | control | HCS 2 | information n | FCS 2 | 7E
 *   format: 1010 S lllllllllll   S: more segments follow   l: octets between the flags
 *
 * There is no octet stuffing in frame type 3, so 7E is data inside a frame and the length tells its
 * end. Every 7E may be a false start. Octets stay in the buffer until the candidate that begins at
 * buf[start] is judged; a false start costs one octet, and the search goes on right behind it. */
#include "hx/hdlc.h"

#include "hx/crc.h"

#include <string.h>

#define FLAG 0x7Eu
#define FORMAT_TYPE 0xA0u /* Green Book 8.4.1.3 */
#define FORMAT_SEGMENT 0x0800u
#define FORMAT_LENGTH 0x07FFu
#define LLC_LEN 3u
#define ADDRESS_MAX 4u
#define LEN_MIN 7u         /* format 2, two addresses, control, FCS 2 */
#define HEAD_BEFORE_HCS 3u /* format 2 + control, without the addresses */

void hx_hdlc_init(struct hx_hdlc *h)
{
    h->start = h->have = 0;
    h->bad_count = 0;
    h->joining = false;
    h->join_src = 0;
    h->join_len = 0;
}

/* Forget the octets before start, and the line errors in them. */
static void compact(struct hx_hdlc *h)
{
    uint8_t kept = 0;
    if (h->start == 0)
        return;
    h->have = (uint16_t)(h->have - h->start);
    memmove(h->buf, h->buf + h->start, h->have);
    for (uint8_t i = 0; i < h->bad_count; i++)
        if (h->bad[i] >= h->start)
            h->bad[kept++] = (uint16_t)(h->bad[i] - h->start);
    h->bad_count = kept;
    h->start = 0;
}

size_t hx_hdlc_push(struct hx_hdlc *h, struct hx_span in)
{
    size_t room;
    compact(h);
    room = sizeof h->buf - h->have;
    if (in.len > room)
        in.len = room;
    if (in.len > 0)
        memcpy(h->buf + h->have, in.ptr, in.len);
    h->have = (uint16_t)(h->have + in.len);
    return in.len;
}

void hx_hdlc_line_error(struct hx_hdlc *h)
{
    if (h->bad_count == HX_HDLC_BAD_MAX) { /* a line this bad holds no frame: start afresh */
        h->start = h->have;
        h->bad_count = 0;
    }
    h->bad[h->bad_count++] = h->have;
}

/* What the octets from a flag on look like. */
struct candidate {
    size_t wire;   /* octets with both flags; 0 while the length is not there yet */
    size_t head;   /* octets before the HCS or FCS, without the flag; 0 not there yet */
    bool segment;  /* more follow */
    bool has_info; /* with a header checksum of its own */
    uint32_t dest, src;
    uint8_t control;
};

/* One address field: octets up to the one whose bit 0 is set (Green Book 8.4.2).
 * HX_MORE: not all there yet. */
static enum hx_err read_address(struct hx_rd *r, uint32_t *address)
{
    uint32_t a = 0;
    for (unsigned i = 0; i < ADDRESS_MAX; i++) {
        uint8_t b = hx_rd_u8(r);
        if (r->err != HX_OK)
            return HX_MORE;
        a = a << 8 | b;
        if (b & 1u) {
            *address = a;
            return HX_OK;
        }
    }
    return HX_E_HEAD;
}

/* Read as much of the header as is there. HX_MORE: it goes on. */
static enum hx_err read_head(struct hx_span s, struct candidate *c)
{
    struct hx_rd r = {.left = {s.ptr + 1, s.len - 1}};
    uint16_t format;
    size_t addresses;
    enum hx_err e;
    if (s.len >= 2 && (s.ptr[1] & 0xF0u) != FORMAT_TYPE)
        return HX_E_HEAD;
    format = hx_rd_be16(&r);
    if (r.err != HX_OK)
        return HX_MORE;
    if ((format & FORMAT_LENGTH) < LEN_MIN)
        return HX_E_HEAD;
    c->wire = (format & FORMAT_LENGTH) + 2u;
    c->segment = (format & FORMAT_SEGMENT) != 0;
    addresses = r.left.len;
    e = read_address(&r, &c->dest);
    if (e == HX_OK)
        e = read_address(&r, &c->src);
    if (e != HX_OK)
        return e;
    addresses -= r.left.len;
    c->control = hx_rd_u8(&r);
    if (r.err != HX_OK)
        return HX_MORE;
    c->head = HEAD_BEFORE_HCS + addresses;
    c->has_info = c->wire > c->head + 4u; /* else only the FCS and the flags are left */
    return c->wire < c->head + 4u || c->wire == c->head + 5u ? HX_E_HEAD : HX_OK;
}

static bool has_line_error(const struct hx_hdlc *h, size_t from, size_t len)
{
    for (uint8_t i = 0; i < h->bad_count; i++)
        if (h->bad[i] >= from && h->bad[i] < from + len)
            return true;
    return false;
}

/* Judge the candidate at s.ptr[0], a flag. HX_MORE: octets are missing. */
static enum hx_err judge(struct hx_span s, struct candidate *c)
{
    uint16_t reg = HX_CRC_X25_INIT;
    size_t done = 0;
    enum hx_err e = read_head(s, c);
    if (e != HX_OK)
        return e;
    if (c->has_info) {
        done = c->head + 2u;
        if (s.len < 1u + done)
            return HX_MORE;
        reg = hx_crc_x25_step(reg, (struct hx_span){s.ptr + 1, done});
        if (reg != HX_CRC_X25_GOOD)
            return HX_E_HCS;
    }
    if (s.len < c->wire)
        return HX_MORE;
    if (s.ptr[c->wire - 1u] != FLAG)
        return HX_E_FLAG;
    reg = hx_crc_x25_step(reg, (struct hx_span){s.ptr + 1 + done, c->wire - 2u - done});
    return reg == HX_CRC_X25_GOOD ? HX_OK : HX_E_FCS;
}

/* Move start to the next flag that is not followed by another one; false when there is none. */
static bool hunt(struct hx_hdlc *h)
{
    while (h->start < h->have) {
        bool is_flag = h->buf[h->start] == FLAG;
        bool is_double = h->start + 1u < h->have && h->buf[h->start + 1u] == FLAG;
        if (is_flag && !is_double)
            return true;
        h->start++;
    }
    return false;
}

/* Segments are joined in the order of their coming. */
static enum hx_err join(struct hx_hdlc *h, const struct candidate *c, struct hx_hdlc_frame *f)
{
    struct hx_span part = f->info;
    if (!h->joining && !c->segment)
        return HX_OK;
    if (!h->joining) {
        h->joining = true;
        h->join_src = c->src;
        h->join_len = 0;
    } else if (part.len >= LLC_LEN && memcmp(part.ptr, h->join, LLC_LEN) == 0) {
        part.ptr += LLC_LEN; /* some senders repeat the LLC header in each segment */
        part.len -= LLC_LEN;
    }
    if (part.len > sizeof h->join - h->join_len) {
        h->joining = false;
        return HX_E_SEGMENT;
    }
    if (part.len > 0)
        memcpy(h->join + h->join_len, part.ptr, part.len);
    h->join_len = (uint16_t)(h->join_len + part.len);
    if (c->segment)
        return HX_MORE;
    h->joining = false;
    f->info = (struct hx_span){h->join, h->join_len};
    return HX_OK;
}

/* The candidate at h->start is a good frame on the wire. Its closing flag stays: it may open the
 * next one (Green Book 8.4.1.2). */
static enum hx_err take(struct hx_hdlc *h, const struct candidate *c, struct hx_hdlc_frame *f)
{
    const uint8_t *p = h->buf + h->start;
    size_t info_at = 1u + c->head + 2u;
    bool damaged = has_line_error(h, h->start, c->wire);
    *f = (struct hx_hdlc_frame){
        .raw = {p, c->wire}, .dest = c->dest, .src = c->src, .control = c->control};
    if (c->has_info)
        f->info = (struct hx_span){p + info_at, c->wire - 3u - info_at};
    if (h->joining && c->src != h->join_src) { /* what was collected is lost, this frame is not */
        h->joining = false;
        return HX_E_SEGMENT;
    }
    h->start = (uint16_t)(h->start + c->wire - 1u);
    return damaged ? HX_E_LINE : join(h, c, f);
}

/* Pass over the false flag at h->start. A length that cannot be is noise between frames, not a
 * frame that was lost: it is not reported unless the header went further than that. */
static enum hx_err give_up(struct hx_hdlc *h, enum hx_err why, const struct candidate *c,
                           struct hx_hdlc_frame *f)
{
    size_t left = (size_t)h->have - h->start;
    size_t len = c->wire != 0 && c->wire < left ? c->wire : left;
    *f = (struct hx_hdlc_frame){.raw = {h->buf + h->start, len}};
    h->start++;
    return why;
}

enum hx_err hx_hdlc_next(struct hx_hdlc *h, struct hx_hdlc_frame *f)
{
    while (hunt(h)) {
        struct candidate c = {0};
        enum hx_err e = judge((struct hx_span){h->buf + h->start, (size_t)h->have - h->start}, &c);
        if (e == HX_MORE)
            break;
        e = e == HX_OK ? take(h, &c, f) : give_up(h, e, &c, f);
        if (e != HX_MORE && !(e == HX_E_HEAD && c.wire == 0))
            return e;
    }
    return HX_MORE;
}

enum hx_err hx_hdlc_quiet(struct hx_hdlc *h, struct hx_hdlc_frame *f)
{
    uint16_t waiting;
    if (!hunt(h))
        return HX_MORE;
    waiting = h->start;
    for (h->start++; hunt(h); h->start++) {
        struct candidate c = {0};
        if (judge((struct hx_span){h->buf + h->start, (size_t)h->have - h->start}, &c) == HX_OK) {
            *f = (struct hx_hdlc_frame){.raw = {h->buf + waiting, (size_t)h->start - waiting}};
            return HX_E_FLAG;
        }
    }
    h->start = waiting;
    return HX_MORE;
}

bool hx_hdlc_is_pending(const struct hx_hdlc *h)
{
    return h->have > (size_t)h->start + 1u;
}

size_t hx_hdlc_since(const struct hx_hdlc *h, struct hx_span raw)
{
    return (size_t)(h->buf + h->have - raw.ptr);
}
