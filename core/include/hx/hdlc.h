/* hx/hdlc.h - find HDLC frames in a byte stream. Receive only.
 * In:     meter bytes, cut anywhere.  Out: one checked frame (or joined segments) at a time.
 * State:  struct hx_hdlc, owned by the caller; nothing to free. Not thread-safe.
 * Source: ISO/IEC 13239 Annex H.4 (frame format type 3), as used by DLMS/COSEM (Green Book 8.4). */
#ifndef HX_HDLC_H
#define HX_HDLC_H

#include "hx/base.h"

#define HX_HDLC_LEN_MAX 2047u                   /* largest value of the 11-bit length field */
#define HX_HDLC_WIRE_MAX (HX_HDLC_LEN_MAX + 2u) /* with both flags */
#define HX_HDLC_INFO_MAX 4096u                  /* joined segments; one meter telegram is < 600 */
#define HX_HDLC_BAD_MAX 8u                      /* line errors remembered inside one buffer */

/** What one call of hx_hdlc_next found. */
struct hx_hdlc_frame {
    struct hx_span raw;  /* flags included; inside the receiver until the next call */
    struct hx_span info; /* information field (joined where segmented), same lifetime */
    uint32_t dest, src;  /* address octets as sent, big-endian */
    uint8_t control;
};

struct hx_hdlc {                        /* private: visible for its size only */
    uint8_t buf[HX_HDLC_WIRE_MAX + 1u]; /* from the flag of the present candidate on */
    uint16_t start, have;               /* candidate at buf[start]; octets in buf */
    uint16_t bad[HX_HDLC_BAD_MAX];      /* indices into buf of octets with line errors */
    uint8_t bad_count;
    bool joining;
    uint32_t join_src;
    uint16_t join_len;
    uint8_t join[HX_HDLC_INFO_MAX];
};

void hx_hdlc_init(struct hx_hdlc *h);

/** Take bytes in.
 * @return how many of @p in were taken: less than all only while frames wait in the buffer; call
 *         hx_hdlc_next until HX_MORE, then push the rest. */
size_t hx_hdlc_push(struct hx_hdlc *h, struct hx_span in);

/** The octet that comes next was received with a parity or framing error: whatever frame it falls
 * in is dropped, right checksum or not. */
void hx_hdlc_line_error(struct hx_hdlc *h);

/** Look for the next frame in what was pushed.
 * @param[out] f  on HX_OK the frame; on an error `raw` holds what was given up (for the telegram
 * log).
 * @return HX_OK one frame; HX_MORE nothing yet; HX_E_HEAD, HX_E_HCS, HX_E_FLAG, HX_E_FCS,
 * HX_E_LINE, HX_E_SEGMENT: one candidate dropped, call again. Only the false flag is passed over,
 * so a good frame that begins inside the dropped one is found. */
enum hx_err hx_hdlc_next(struct hx_hdlc *h, struct hx_hdlc_frame *f);

/** The line has been quiet: look for a whole good frame behind the start of an unfinished one.
 * Never costs a frame that is still being received.
 * @return HX_E_FLAG: there is one, the unfinished one before it is given up (`raw`); hx_hdlc_next
 *         gives the good one. HX_MORE: nothing, all stays as it was. */
enum hx_err hx_hdlc_quiet(struct hx_hdlc *h, struct hx_hdlc_frame *f);

/** @return true while an unfinished frame waits for octets. */
bool hx_hdlc_is_pending(const struct hx_hdlc *h);

/** Where a frame stood in the stream: @p raw is that of a frame just found.
 * @return octets pushed so far from the first of @p raw on. */
size_t hx_hdlc_since(const struct hx_hdlc *h, struct hx_span raw);

#endif
