/* modbus.c - see hx/modbus.h.
 * [A] MODBUS Application Protocol V1.1b3, [T] Messaging on TCP/IP V1.0b, [S] Serial Line V1.02. */
#include "hx/modbus.h"

#include "hx/crc.h"

#include <string.h>

#define READ_MAX 125u     /* registers per request: [A] 6.3 */
#define WRITE_MAX 123u    /* [A] 6.12 */
#define RW_WRITE_MAX 121u /* written by function 0x17: [A] 6.17 */

/* [A] 7. NONE is ours: no exception, the answer is in place. */
enum exception {
    EXC_NONE = 0,
    EXC_FUNCTION = 1,
    EXC_ADDRESS = 2,
    EXC_VALUE = 3,
    EXC_GATEWAY_TARGET = 0x0B
};

/* ---- one PDU --------------------------------------------------------------------------------- */

/* One request being served. Handlers look at pdu, leave the answer in out and its length in len. */
struct call {
    struct hx_mb_device *dev;
    struct hx_mb_diag *diag; /* NULL on TCP */
    struct hx_span pdu;
    uint8_t *out;
    size_t len;
    struct hx_mb_write *write;
};

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* The answer repeats the first @p n octets of the request. */
static enum exception echo(struct call *c, size_t n)
{
    memcpy(c->out, c->pdu.ptr, n);
    c->len = n;
    return EXC_NONE;
}

static size_t refuse(uint8_t *out, uint8_t fc, enum exception code)
{
    out[0] = (uint8_t)(fc | 0x80u);
    out[1] = (uint8_t)code;
    return 2;
}

/* fc, octets, registers: the answer of every reading function. */
static enum exception answer_registers(struct call *c, const uint8_t *from, uint16_t count)
{
    if (from == NULL)
        return EXC_ADDRESS;
    c->out[0] = c->pdu.ptr[0];
    c->out[1] = (uint8_t)(count * 2u);
    memcpy(c->out + 2, from, count * 2u);
    c->len = 2u + count * 2u;
    return EXC_NONE;
}

/* 03, 04: fc, first 2, count 2 */
static enum exception serve_read(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    if (c->pdu.len != 5)
        return EXC_VALUE;
    uint16_t count = be16(p + 3);
    if (count < 1 || count > READ_MAX)
        return EXC_VALUE;
    return answer_registers(c, hx_registers_read(c->dev->regs, be16(p + 1), count), count);
}

static enum exception write_registers(struct call *c, uint16_t first, uint16_t count,
                                      const uint8_t *values)
{
    struct hx_mb_device *dev = c->dev;
    if (!dev->allow_write)
        return EXC_ADDRESS; /* as every read-only register */
    uint32_t before = dev->state->scale;
    enum hx_err err = hx_registers_write(dev->regs, dev->state, first, count, values);
    if (err != HX_OK)
        return err == HX_E_LEN ? EXC_ADDRESS : EXC_VALUE;
    if (dev->state->scale == before)
        return EXC_NONE; /* masters that write the same again and again wear no flash out */
    *c->write = (struct hx_mb_write){
        .done = true, .first = first, .count = count, .scale = dev->state->scale};
    return EXC_NONE;
}

/* 06: fc, address 2, value 2 */
static enum exception serve_write_single(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    if (c->pdu.len != 5)
        return EXC_VALUE;
    enum exception e = write_registers(c, be16(p + 1), 1, p + 3);
    return e != EXC_NONE ? e : echo(c, 5);
}

/* 10: fc, first 2, count 2, octets 1, values */
static enum exception serve_write_multiple(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    if (c->pdu.len < 6)
        return EXC_VALUE;
    uint16_t count = be16(p + 3);
    if (count < 1 || count > WRITE_MAX || p[5] != count * 2u || c->pdu.len != 6u + p[5])
        return EXC_VALUE;
    enum exception e = write_registers(c, be16(p + 1), count, p + 6);
    return e != EXC_NONE ? e : echo(c, 5);
}

/* 16: fc, address 2, and-mask 2, or-mask 2. The manual prints "0x16 Write multiple": a request of
 * 8, 10, … octets is that, and one of 7 can only be a mask write. docs/decisions/0005. */
static enum exception serve_mask_write(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    uint8_t value[2];
    if (c->pdu.len >= 8 && c->pdu.len % 2u == 0)
        return serve_write_multiple(c);
    if (c->pdu.len != 7)
        return EXC_VALUE;
    const uint8_t *old = hx_registers_read(c->dev->regs, be16(p + 1), 1);
    if (old == NULL)
        return EXC_ADDRESS;
    unsigned keep = be16(p + 3);
    put16(value, (be16(old) & keep) | (be16(p + 5) & ~keep)); /* [A] 6.16 */
    enum exception e = write_registers(c, be16(p + 1), 1, value);
    return e != EXC_NONE ? e : echo(c, 7);
}

/* 17: fc, read first 2, count 2, write first 2, count 2, octets 1, values. Writes, then reads; a
 * request that cannot be read must not write either. */
static enum exception serve_read_write(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    if (c->pdu.len < 10)
        return EXC_VALUE;
    uint16_t read = be16(p + 3), written = be16(p + 7);
    if (read < 1 || read > READ_MAX || written < 1 || written > RW_WRITE_MAX ||
        p[9] != written * 2u || c->pdu.len != 10u + p[9])
        return EXC_VALUE;
    const uint8_t *from = hx_registers_read(c->dev->regs, be16(p + 1), read);
    if (from == NULL)
        return EXC_ADDRESS;
    enum exception e = write_registers(c, be16(p + 5), written, p + 10);
    return e != EXC_NONE ? e : answer_registers(c, from, read);
}

/* 11: server id (here the unit), run indicator FF, then text of our own: [A] 6.13 */
static enum exception serve_server_id(struct call *c)
{
    static const char text[] = "HAN2X " HX_VERSION;
    if (c->pdu.len != 1)
        return EXC_VALUE;
    struct hx_wr w = {.ptr = c->out, .cap = HX_MB_PDU_MAX};
    hx_wr_u8(&w, HX_MB_SERVER_ID);
    hx_wr_u8(&w, (uint8_t)(2u + sizeof text - 1u));
    hx_wr_u8(&w, c->dev->unit);
    hx_wr_u8(&w, 0xFF);
    hx_wr_str(&w, text);
    c->len = w.len;
    return EXC_NONE;
}

/* 2B/0E: [A] 6.21. Basic objects are 0-2; of the regular ones there is no URL (3). */
#define DEVICE_ID_MEI 0x0Eu
#define DEVICE_ID_LEVEL 0x82u /* regular identification, stream and individual access */
#define DEVICE_ID_BASIC_LAST 2u
enum device_id_code { DEVICE_ID_BASIC = 1, DEVICE_ID_EXTENDED = 3, DEVICE_ID_ONE = 4 };

static const struct {
    uint8_t id;
    const char *text;
} objects[] = {
    {0, "HAN2X open source"},                          /* vendor name */
    {1, "HAN2X"},                                      /* product code */
    {2, HX_VERSION},                                   /* revision */
    {4, "HAN port to Modbus and MQTT gateway"},        /* product name */
    {5, "HAN2X"},                                      /* model name */
    {6, "Norwegian electricity meter on the HAN port"} /* user application */
};
#define OBJECTS (sizeof objects / sizeof objects[0])

/* Objects first … last into one answer: all of them together stay far below a PDU, so nothing ever
 * follows. */
static enum exception answer_objects(struct call *c, uint8_t first, uint8_t last)
{
    const uint8_t *p = c->pdu.ptr;
    /* no more follows, next object 0; then how many objects */
    const uint8_t head[] = {p[0], p[1], p[2], DEVICE_ID_LEVEL, 0, 0, 0};
    struct hx_wr w = {.ptr = c->out, .cap = HX_MB_PDU_MAX};
    hx_wr_bytes(&w, head, sizeof head);
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (objects[i].id < first || objects[i].id > last)
            continue;
        hx_wr_u8(&w, objects[i].id);
        size_t at = w.len;
        hx_wr_u8(&w, 0);
        hx_wr_str(&w, objects[i].text);
        HX_ASSERT(w.err == HX_OK);
        w.ptr[at] = (uint8_t)(w.len - at - 1u);
        w.ptr[sizeof head - 1u]++;
    }
    c->len = w.len;
    return EXC_NONE;
}

static bool has_object(uint8_t id, uint8_t last)
{
    bool found = false;
    for (unsigned i = 0; i < OBJECTS; i++)
        found = found || (objects[i].id == id && id <= last);
    return found;
}

static enum exception serve_device_id(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    if (c->pdu.len >= 2 && p[1] != DEVICE_ID_MEI)
        return EXC_FUNCTION;
    if (c->pdu.len != 4 || p[2] < DEVICE_ID_BASIC || p[2] > DEVICE_ID_ONE)
        return EXC_VALUE;
    if (p[2] == DEVICE_ID_ONE)
        return has_object(p[3], UINT8_MAX) ? answer_objects(c, p[3], p[3]) : EXC_ADDRESS;
    uint8_t last = p[2] == DEVICE_ID_BASIC ? DEVICE_ID_BASIC_LAST : UINT8_MAX;
    return answer_objects(c, has_object(p[3], last) ? p[3] : 0, last); /* unknown: from the start */
}

/* 08, serial line only: [A] 6.8 */
enum diag_code {
    DIAG_ECHO = 0x00,
    DIAG_RESTART = 0x01,
    DIAG_REGISTER = 0x02,
    DIAG_LISTEN_ONLY = 0x04,
    DIAG_CLEAR = 0x0A,
    DIAG_BUS_MESSAGES = 0x0B,
    DIAG_CRC_ERRORS = 0x0C,
    DIAG_EXCEPTIONS = 0x0D,
    DIAG_SERVER_MESSAGES = 0x0E,
    DIAG_NO_RESPONSE = 0x0F,
    DIAG_NAK = 0x10,
    DIAG_BUSY = 0x11,
    DIAG_OVERRUN = 0x12,
    DIAG_CLEAR_OVERRUN = 0x14
};

static void clear_diag(struct hx_mb_diag *d)
{
    *d = (struct hx_mb_diag){.listen_only = d->listen_only};
}

/* @return whether @p sub is a counter, and its value. NAK and the diagnostic register are 0. */
static bool diag_value(const struct hx_mb_diag *d, unsigned sub, uint16_t *value)
{
    const struct {
        uint8_t sub;
        uint16_t value;
    } values[] = {{DIAG_REGISTER, 0},
                  {DIAG_BUS_MESSAGES, d->bus_messages},
                  {DIAG_CRC_ERRORS, d->crc_errors},
                  {DIAG_EXCEPTIONS, d->exceptions},
                  {DIAG_SERVER_MESSAGES, d->server_messages},
                  {DIAG_NO_RESPONSE, d->no_response},
                  {DIAG_NAK, 0},
                  {DIAG_BUSY, d->busy},
                  {DIAG_OVERRUN, d->overrun}};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i].sub == sub) {
            *value = values[i].value;
            return true;
        }
    return false;
}

static bool is_diag_command(unsigned sub)
{
    return sub == DIAG_RESTART || sub == DIAG_LISTEN_ONLY || sub == DIAG_CLEAR ||
           sub == DIAG_CLEAR_OVERRUN;
}

static void obey_diag(struct call *c, unsigned sub)
{
    struct hx_mb_diag *d = c->diag;
    bool mute = d->listen_only || sub == DIAG_LISTEN_ONLY; /* neither is answered: [A] 6.8 */
    if (sub == DIAG_CLEAR_OVERRUN)
        d->overrun = 0;
    else if (sub != DIAG_LISTEN_ONLY)
        clear_diag(d);
    d->listen_only = sub == DIAG_LISTEN_ONLY;
    c->len = mute ? 0 : 5;
}

static enum exception serve_diagnostics(struct call *c)
{
    const uint8_t *p = c->pdu.ptr;
    uint16_t value = 0;
    if (c->diag == NULL)
        return EXC_FUNCTION;
    if (c->pdu.len < 3)
        return EXC_VALUE;
    unsigned sub = be16(p + 1);
    if (sub == DIAG_ECHO) /* any number of words */
        return c->pdu.len >= 5 && c->pdu.len % 2u == 1 ? echo(c, c->pdu.len) : EXC_VALUE;
    bool command = is_diag_command(sub), counter = diag_value(c->diag, sub, &value);
    if (!command && !counter)
        return EXC_FUNCTION;
    bool data_ok =
        c->pdu.len == 5 && (be16(p + 3) == 0 || (sub == DIAG_RESTART && be16(p + 3) == 0xFF00u));
    if (!data_ok)
        return EXC_VALUE;
    (void)echo(c, 5);
    if (command)
        obey_diag(c, sub);
    else
        put16(c->out + 3, value);
    return EXC_NONE;
}

/* The most frequent first. */
static const struct {
    uint8_t fc;
    enum exception (*serve)(struct call *c);
} functions[] = {
    {HX_MB_READ_HOLDING, serve_read},         {HX_MB_READ_INPUT, serve_read},
    {HX_MB_WRITE_SINGLE, serve_write_single}, {HX_MB_WRITE_MULTIPLE, serve_write_multiple},
    {HX_MB_MASK_WRITE, serve_mask_write},     {HX_MB_READ_WRITE, serve_read_write},
    {HX_MB_DIAGNOSTICS, serve_diagnostics},   {HX_MB_SERVER_ID, serve_server_id},
    {HX_MB_DEVICE_ID, serve_device_id},
};

static enum exception dispatch(struct call *c)
{
    for (unsigned i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (functions[i].fc == c->pdu.ptr[0])
            return functions[i].serve(c);
    return EXC_FUNCTION;
}

/* Listen only mode hears nothing but the way out of it. */
static bool is_restart(struct hx_span pdu)
{
    return pdu.len == 5 && pdu.ptr[0] == HX_MB_DIAGNOSTICS && be16(pdu.ptr + 1) == DIAG_RESTART;
}

size_t hx_mb_serve(struct hx_mb_device *dev, struct hx_mb_diag *diag, struct hx_span pdu,
                   uint8_t out[HX_MB_PDU_MAX], struct hx_mb_write *write)
{
    struct call c = {.dev = dev, .diag = diag, .pdu = pdu, .out = out, .write = write};
    write->done = false;
    if (pdu.len < 1 || pdu.len > HX_MB_PDU_MAX)
        return 0;
    if (diag != NULL && diag->listen_only && !is_restart(pdu))
        return 0;
    enum exception e = dispatch(&c);
    if (e == EXC_NONE)
        return c.len;
    if (diag != NULL)
        diag->exceptions++;
    return diag != NULL && diag->listen_only ? 0 : refuse(out, pdu.ptr[0], e);
}

/* ---- TCP ---------------------------------------------------------------------------------------
 * transaction 2, protocol 2 (0), length 2 (of what follows: 2 … 254), unit 1, PDU 1 … 253:
 * [T] 3.1.3
 */
#define MBAP_LENGTH_AT 4u
#define MBAP_UNIT_AT 6u
#define MBAP_LEN 7u
#define MBAP_KNOWN 6u /* octets that tell how long the frame is */

void hx_mbtcp_init(struct hx_mbtcp *c)
{
    c->have = 0;
}

/* @return octets of the whole frame; 0 when there can be no such frame. */
static size_t adu_len(const uint8_t *head)
{
    unsigned length = be16(head + MBAP_LENGTH_AT);
    return length >= 2 && length <= HX_MB_PDU_MAX + 1u ? MBAP_KNOWN + length : 0;
}

/* Move octets from @p in to the connection's buffer until it holds @p want. */
static bool gather(struct hx_mbtcp *c, struct hx_span *in, size_t want)
{
    if (c->have < want && in->len > 0) {
        size_t n = want - c->have < in->len ? want - c->have : in->len;
        memcpy(c->buf + c->have, in->ptr, n);
        c->have = (uint16_t)(c->have + n);
        *in = (struct hx_span){in->ptr + n, in->len - n};
    }
    return c->have >= want;
}

/* Find the next whole frame: in the input where it lies there whole, else in the buffer. It stays
 * there until it is taken. */
static enum hx_err next_adu(struct hx_mbtcp *c, struct hx_span *in, struct hx_span *adu)
{
    if (c->have == 0 && in->len >= MBAP_KNOWN) {
        size_t want = adu_len(in->ptr);
        if (want == 0)
            return HX_E_VALUE;
        *adu = (struct hx_span){in->ptr, want};
        if (in->len >= want)
            return HX_OK;
    }
    if (!gather(c, in, MBAP_KNOWN))
        return HX_MORE;
    size_t want = adu_len(c->buf);
    if (want == 0)
        return HX_E_VALUE;
    *adu = (struct hx_span){c->buf, want};
    return gather(c, in, want) ? HX_OK : HX_MORE;
}

static void take_adu(struct hx_mbtcp *c, struct hx_span *in, size_t len)
{
    if (c->have > 0)
        c->have = 0; /* the octets stay valid until the next call of gather */
    else
        *in = (struct hx_span){in->ptr + len, in->len - len};
}

static bool is_tcp_unit(const struct hx_mb_device *dev, uint8_t unit)
{
    return dev->any_unit || unit == dev->unit || unit == 0 || unit == 255;
}

static void answer_adu(struct hx_mb_device *dev, struct hx_span adu, struct hx_wr *out,
                       struct hx_mb_write *write)
{
    const uint8_t *q = adu.ptr;
    if (q[2] != 0 || q[3] != 0)
        return; /* another protocol: [T] has the frame discarded */
    uint8_t *a = out->ptr + out->len, unit = q[MBAP_UNIT_AT];
    struct hx_span pdu = {q + MBAP_LEN, adu.len - MBAP_LEN};
    size_t n = is_tcp_unit(dev, unit) ? hx_mb_serve(dev, NULL, pdu, a + MBAP_LEN, write)
                                      : refuse(a + MBAP_LEN, pdu.ptr[0], EXC_GATEWAY_TARGET);
    memcpy(a, q, MBAP_LENGTH_AT);
    put16(a + MBAP_LENGTH_AT, (unsigned)n + 1u);
    a[MBAP_UNIT_AT] = unit;
    out->len += MBAP_LEN + n;
}

enum hx_err hx_mbtcp_feed(struct hx_mbtcp *c, struct hx_mb_device *dev, struct hx_span *in,
                          struct hx_wr *out, struct hx_mb_write *write)
{
    struct hx_span adu;
    write->done = false;
    for (;;) {
        enum hx_err err = next_adu(c, in, &adu);
        if (err != HX_OK)
            return err;
        if (out->cap - out->len < HX_MBTCP_ADU_MAX)
            return HX_E_SPACE;
        take_adu(c, in, adu.len);
        answer_adu(dev, adu, out, write);
        if (write->done)
            return HX_OK;
    }
}

/* ---- serial line -------------------------------------------------------------------------------
 * address 1, PDU 1 … 253, CRC 2 low octet first. Silence of t3.5 ends a frame: [S] 2.5.1.1.
 *
 *   rx: octets ─▶ buf;  a gap of t3.5 before them is remembered as `split`
 *   poll after t3.5 of silence:
 *     front of buf is a frame ─▶ served or passed over, next
 *     it is not, but what follows the split is ─▶ what lies before the split is dropped, next
 *     neither ─▶ waits for the rest up to jitter_us more, then all is dropped
 * Every drop counts one CRC error.
 *
 * A driver may hand over several frames at once (the other units' talk and then our request) or one
 * frame in two, so lengths foreseen from the function and confirmed by the CRC take frames apart.
 */
#define RTU_MIN 4u /* address, function, CRC */

void hx_mbrtu_init(struct hx_mbrtu *l, uint8_t address, uint32_t baud)
{
    HX_ASSERT(baud > 0);
    memset(l, 0, sizeof *l);
    l->address = address;
    /* 3.5 characters of 11 bits, rounded up */
    l->t35_us = baud > 19200 ? 1750u : (38500000u + baud - 1u) / baud;
    /* A USB adapter hands its octets over every 16 ms: a frame may pause that long. 18 ms
     * altogether, so that the remains of a bad frame are gone when the next one begins 20 ms later.
     */
    l->jitter_us = l->t35_us < 16000u ? 18000u - l->t35_us : 2000u;
}

/* The whole buffer is lost. */
static void drop_all(struct hx_mbrtu *l)
{
    l->have = l->split = l->bad = 0;
    l->overrun = l->waiting = false;
    l->diag.crc_errors++;
}

static uint64_t silence_us(const struct hx_mbrtu *l, uint64_t now_us)
{
    return now_us > l->last_us ? now_us - l->last_us : 0;
}

void hx_mbrtu_line_error(struct hx_mbrtu *l)
{
    l->bad_next = true;
}

void hx_mbrtu_rx(struct hx_mbrtu *l, struct hx_span in, uint64_t now_us)
{
    if (in.len == 0)
        return;
    if (l->have > 0 && silence_us(l, now_us) >= l->t35_us) {
        if (l->overrun)
            drop_all(l);
        l->split = l->have;
    }
    size_t n = in.len < sizeof l->buf - l->have ? in.len : sizeof l->buf - l->have;
    memcpy(l->buf + l->have, in.ptr, n);
    if (l->bad_next)
        l->bad = (uint16_t)(l->have + 1u);
    l->bad_next = false;
    l->have = (uint16_t)(l->have + n);
    l->overrun = l->overrun || n < in.len;
    l->waiting = false;
    l->last_us = now_us;
}

/* Lengths of frames with address and CRC: fixed octets and, where count_at is not 0, as many more
 * as the octet there says. Requests first, then answers: [A] 6. */
static const struct {
    uint8_t fc, fixed, count_at;
} shapes[] = {
    {0x01, 8, 0}, {0x02, 8, 0}, {0x03, 8, 0}, {0x04, 8, 0},  {0x05, 8, 0}, {0x06, 8, 0},
    {0x07, 4, 0}, {0x08, 8, 0}, {0x0B, 4, 0}, {0x0C, 4, 0},  {0x0F, 9, 6}, {0x10, 9, 6},
    {0x11, 4, 0}, {0x14, 5, 2}, {0x15, 5, 2}, {0x16, 10, 0}, {0x16, 9, 6}, {0x17, 13, 10},
    {0x18, 6, 0}, {0x2B, 7, 0}, /* answers where they differ */
    {0x01, 5, 2}, {0x02, 5, 2}, {0x03, 5, 2}, {0x04, 5, 2},  {0x07, 5, 0}, {0x0B, 8, 0},
    {0x0C, 5, 2}, {0x0F, 8, 0}, {0x10, 8, 0}, {0x11, 5, 2},  {0x16, 8, 0}, {0x17, 5, 2},
};
#define EXCEPTION_LEN 5u

static bool is_frame(const uint8_t *p, size_t len)
{
    if (len < RTU_MIN || len > HX_MBRTU_ADU_MAX)
        return false;
    return hx_crc_modbus((struct hx_span){p, len - 2}) == (p[len - 2] | p[len - 1] << 8);
}

/* @return octets of the frame that begins at the front of @p s; 0 when none does. */
static size_t front_frame(struct hx_span s)
{
    if (is_frame(s.ptr, s.len)) /* the ordinary case, and any function we know nothing of */
        return s.len;
    if (s.len < RTU_MIN)
        return 0;
    uint8_t fc = s.ptr[1];
    if ((fc & 0x80u) != 0)
        return s.len > EXCEPTION_LEN && is_frame(s.ptr, EXCEPTION_LEN) ? EXCEPTION_LEN : 0;
    for (unsigned i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (shapes[i].fc != fc || shapes[i].count_at >= s.len)
            continue;
        size_t len = shapes[i].fixed + (shapes[i].count_at != 0 ? s.ptr[shapes[i].count_at] : 0u);
        if (len < s.len && is_frame(s.ptr, len))
            return len;
    }
    return 0;
}

/* Forget the first @p n octets. */
static void consume(struct hx_mbrtu *l, size_t n)
{
    memmove(l->buf, l->buf + n, l->have - n);
    l->have = (uint16_t)(l->have - n);
    l->split = l->split > n ? (uint16_t)(l->split - n) : 0;
    l->bad = l->bad > n ? (uint16_t)(l->bad - n) : 0;
}

/* The next frame at the front of the buffer. All octets are tried as one reading first, whatever
 * silences a driver put between them; else what came after the newest silence, alone. */
static size_t next_frame(struct hx_mbrtu *l)
{
    struct hx_span all = {l->buf, l->have}, after = {l->buf + l->split, l->have - l->split};
    if (l->overrun)
        return 0;
    size_t len = l->bad > 0 ? 0 : front_frame(all);
    if (len > 0 || l->split == 0 || l->bad > l->split)
        return len;
    len = front_frame(after);
    if (len > 0) {
        consume(l, l->split);
        l->diag.crc_errors++;
    }
    return len;
}

/* Functions that a broadcast may ask for: [S] 2.1, "writing commands". */
static bool is_write(uint8_t fc)
{
    return fc == HX_MB_WRITE_SINGLE || fc == HX_MB_WRITE_MULTIPLE || fc == HX_MB_MASK_WRITE;
}

/* Carry out one frame. @p last: nothing came after it, so its sender waits for an answer. A frame
 * with the top bit of its function set is an answer (our own, echoed by the adapter, or somebody
 * with our address): answering it would answer ourselves without end. */
static size_t serve_frame(struct hx_mbrtu *l, struct hx_mb_device *dev, struct hx_span frame,
                          bool last, uint8_t *out, struct hx_mb_write *write)
{
    uint8_t unit = frame.ptr[0], fc = frame.ptr[1];
    struct hx_span pdu = {frame.ptr + 1, frame.len - 3};
    size_t n = 0;
    l->diag.bus_messages++;
    if (unit != l->address && unit != 0)
        return 0;
    l->diag.server_messages++;
    if (unit == 0 ? is_write(fc) : last && fc < 0x80)
        n = hx_mb_serve(dev, &l->diag, pdu, out + 1, write);
    if (n == 0 || unit == 0) {
        l->diag.no_response++;
        return 0;
    }
    out[0] = unit;
    uint16_t crc = hx_crc_modbus((struct hx_span){out, n + 1});
    out[n + 1] = (uint8_t)crc;
    out[n + 2] = (uint8_t)(crc >> 8);
    return n + 3;
}

size_t hx_mbrtu_poll(struct hx_mbrtu *l, struct hx_mb_device *dev, uint64_t now_us,
                     uint8_t out[HX_MBRTU_ADU_MAX], struct hx_mb_write *write)
{
    size_t len, answer = 0;
    write->done = false;
    if (l->have == 0 || silence_us(l, now_us) < l->t35_us)
        return 0;
    while (answer == 0 && !write->done && (len = next_frame(l)) > 0) {
        struct hx_span frame = {l->buf, len};
        answer = serve_frame(l, dev, frame, len == l->have, out, write);
        consume(l, len);
    }
    if (answer > 0 || write->done || l->have == 0)
        return answer;
    bool hopeless = l->overrun || l->bad > l->split; /* no octet to come can mend it */
    l->waiting = true;
    if (hopeless || silence_us(l, now_us) >= (uint64_t)l->t35_us + l->jitter_us)
        drop_all(l);
    return 0;
}

uint64_t hx_mbrtu_deadline_us(const struct hx_mbrtu *l)
{
    if (l->have == 0)
        return UINT64_MAX;
    return l->last_us + l->t35_us + (l->waiting ? l->jitter_us : 0);
}
