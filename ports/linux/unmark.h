/* unmark.h - octets and errors out of what a marking serial line gives.
 * In:     octets of read(2), cut anywhere.  Out: plain octets, and which of them had an error.
 * State:  struct hx_unmark, owned by the caller. Pure.
 * Source: termios(3), PARMRK. */
#ifndef HX_UNMARK_H
#define HX_UNMARK_H

#include "hx/base.h"

/** Reads PARMRK marks: FF 00 X is an octet X with an error, FF FF is FF. Zeros are the start. */
struct hx_unmark {
    uint8_t seen; /* octets of a mark so far: 0, 1 (FF), 2 (FF 00) */
};
/** Decode until an error mark or the end.
 * @param[out] used  octets of @p in that were read.
 * @param[out] out   plain octets, room for in.len + 1; may not be in's own.
 * @param[out] len   how many. Where there was an error its octet is the last of them.
 * @return true when an octet with an error was read: the last of @p out; call again with the rest.
 */
bool hx_unmark_next(struct hx_unmark *u, struct hx_span in, size_t *used, uint8_t *out,
                    size_t *len);

#endif
