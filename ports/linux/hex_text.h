/* hex_text.h - recordings as people keep them: raw octets, or hex digits with comments.
 * In:     a file's octets, cut anywhere.  Out: the octets that they stand for.
 * State:  struct hex_text, owned by the caller; nothing to free. */
#ifndef HEX_TEXT_H
#define HEX_TEXT_H

#include "hx/base.h"

#define HEX_TEXT_HELD_MAX 1024u /* octets looked at before it is decided what they are */

enum hex_kind { HEX_UNDECIDED, HEX_TEXT, HEX_RAW };

struct hex_text {
    enum hex_kind kind;
    bool in_comment, has_digit, has_high;
    uint8_t high;        /* first digit of a pair */
    unsigned line;       /* of the text, from 1 */
    unsigned faults;     /* signs that are no hex digit, digits without a second one */
    unsigned fault_line; /* of the newest fault */
    size_t held;
    uint8_t hold[HEX_TEXT_HELD_MAX];
};

void hex_text_init(struct hex_text *h);
/** Take octets in. Text is hex digits, white space and comments from # to the line end; anything
 * else at the beginning makes the whole input raw. A whole line, or HEX_TEXT_HELD_MAX octets,
 * decide for text.
 * @param out  room for in.len + HEX_TEXT_HELD_MAX octets: what they stand for is appended.
 * Faults of the text are counted in @p h and passed over. */
void hex_text_feed(struct hex_text *h, struct hx_span in, struct hx_wr *out);
/** The input ends; as hex_text_feed. */
void hex_text_end(struct hex_text *h, struct hx_wr *out);

#endif
