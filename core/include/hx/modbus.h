/* hx/modbus.h - Modbus server: PDUs on the register image, TCP and RTU framing.
 * In:     bytes of a connection or a serial line, and the time.  Out: answers.
 * State:  struct hx_mbtcp per connection, struct hx_mbrtu per line; owned by the caller.
 * Source: MODBUS Application Protocol V1.1b3 [A], Messaging on TCP/IP V1.0b [T], Serial Line
 *         V1.02 [S]; function 0x16: docs/decisions/0005. */
#ifndef HX_MODBUS_H
#define HX_MODBUS_H

#include "hx/registers.h"

#define HX_MB_PDU_MAX 253u    /* 256-octet serial ADU - address - CRC: [A] 4.1 */
#define HX_MBTCP_ADU_MAX 260u /* MBAP header 7 + PDU 253: [T] 3.1.3 */
#define HX_MBRTU_ADU_MAX 256u /* [S] 2.5.1 */
#define HX_MB_DEFAULT_PORT 502u

enum hx_mb_fc {
    HX_MB_READ_HOLDING = 0x03,
    HX_MB_READ_INPUT = 0x04,
    HX_MB_WRITE_SINGLE = 0x06,
    HX_MB_DIAGNOSTICS = 0x08,
    HX_MB_WRITE_MULTIPLE = 0x10,
    HX_MB_SERVER_ID = 0x11,
    HX_MB_MASK_WRITE = 0x16,
    HX_MB_READ_WRITE = 0x17,
    HX_MB_DEVICE_ID = 0x2B,
};

/** A write that was carried out and changed something: for the log and the store. */
struct hx_mb_write {
    bool done;
    uint16_t first, count; /* PDU address */
    uint32_t scale;        /* the scale factor after it */
};

/** The device behind the framing: what a PDU acts on. One per gateway. */
struct hx_mb_device {
    struct hx_state *state;
    struct hx_registers *regs;
    uint8_t unit;     /* TCP unit id: this, 0 and 255 are answered */
    bool any_unit;    /* answer every unit id on TCP */
    bool allow_write; /* false: writes are refused with exception 02 as if read-only */
};

/** Serial-line counters, [A] 6.8; they wrap. */
struct hx_mb_diag {
    uint16_t bus_messages, crc_errors, exceptions, server_messages, no_response, busy, overrun;
    bool listen_only;
};

/** Serve one PDU.
 * @param diag  serial line: counters for function 08; NULL on TCP, where 08 is unknown.
 * @param out   room for HX_MB_PDU_MAX octets.
 * @param[out] write  what was written, done = false when nothing.
 * @return octets of the answer in @p out; 0 when nothing is to be sent (listen only). */
size_t hx_mb_serve(struct hx_mb_device *dev, struct hx_mb_diag *diag, struct hx_span pdu,
                   uint8_t out[HX_MB_PDU_MAX], struct hx_mb_write *write);

/** One TCP connection's unfinished frame. */
struct hx_mbtcp {
    uint16_t have;
    uint8_t buf[HX_MBTCP_ADU_MAX];
};

void hx_mbtcp_init(struct hx_mbtcp *c);
/** Take bytes and answer the frames that they complete, in order.
 * @param in   advanced past what was used.
 * @param out  answers are appended; at most HX_MBTCP_ADU_MAX each.
 * @param[out] write  set when a write was carried out; then the call returns HX_OK so that the
 *                    caller can log it: call again.
 * @return HX_MORE input used up; HX_OK one write was done, call again; HX_E_SPACE less than
 *         HX_MBTCP_ADU_MAX left in @p out: send it and call again; HX_E_VALUE the stream is
 *         broken (length 0, 1 or over 254): close the connection after sending @p out. */
enum hx_err hx_mbtcp_feed(struct hx_mbtcp *c, struct hx_mb_device *dev, struct hx_span *in,
                          struct hx_wr *out, struct hx_mb_write *write);

/* A driver that was read late may hold another unit's request and answer, and then our request. */
#define HX_MBRTU_BUF (3u * HX_MBRTU_ADU_MAX + 1u)

/** One serial line. Times are monotonic microseconds. */
struct hx_mbrtu {
    uint8_t address;
    uint32_t t35_us;      /* silence that ends a frame */
    uint32_t jitter_us;   /* driver latency that may split one frame (USB adapters: 16 ms): how much
                           * longer an unfinished frame is waited for. A UART of our own: 0 */
    uint64_t last_us;     /* newest octet */
    uint16_t have, split; /* octets in buf; index after the newest silence inside it, 0 none */
    uint16_t bad;         /* 1 + index of the newest octet with a line error, 0 none */
    bool bad_next;        /* the next octet has a line error */
    bool overrun;         /* more octets than buf holds */
    bool waiting;         /* judged after t3.5: unfinished */
    uint8_t buf[HX_MBRTU_BUF];
    struct hx_mb_diag diag;
};

/** @param baud line speed; t3.5 is 3.5 characters of 11 bits, 1750 us above 19200: [S] 2.5.1.1. */
void hx_mbrtu_init(struct hx_mbrtu *l, uint8_t address, uint32_t baud);
/** Take octets that arrived at @p now_us. Call hx_mbrtu_poll first when its time has come. */
void hx_mbrtu_rx(struct hx_mbrtu *l, struct hx_span in, uint64_t now_us);
/** The octet that comes next in hx_mbrtu_rx was received with a parity, framing or overrun error:
 * the frame it falls in is dropped. */
void hx_mbrtu_line_error(struct hx_mbrtu *l);
/** Silence may have ended a frame: judge it.
 * @param out  room for HX_MBRTU_ADU_MAX octets.
 * @param[out] write  set when a write was carried out (a broadcast: without an answer).
 * @return octets to send now; 0 for none. Either way ask hx_mbrtu_deadline_us again. */
size_t hx_mbrtu_poll(struct hx_mbrtu *l, struct hx_mb_device *dev, uint64_t now_us,
                     uint8_t out[HX_MBRTU_ADU_MAX], struct hx_mb_write *write);
/** @return when to call hx_mbrtu_poll next; UINT64_MAX when the line is idle. */
uint64_t hx_mbrtu_deadline_us(const struct hx_mbrtu *l);

#endif
