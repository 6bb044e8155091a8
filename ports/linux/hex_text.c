/* hex_text.c - see hex_text.h */
#include "hex_text.h"

#define NO_DIGIT 0xFFu

void hex_text_init(struct hex_text *h)
{
    *h = (struct hex_text){.kind = HEX_UNDECIDED, .line = 1};
}

static uint8_t digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint8_t)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (uint8_t)(c - 'A' + 10);
    return NO_DIGIT;
}

static bool is_white(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* --- text --- */

static void fault(struct hex_text *h)
{
    h->faults++;
    h->fault_line = h->line;
    h->has_high = false;
}

static void text_sign(struct hex_text *h, uint8_t c, struct hx_wr *out)
{
    uint8_t digit = digit_of(c);
    if (digit == NO_DIGIT) {
        if (h->has_high || !(is_white(c) || c == '#'))
            fault(h);
        h->in_comment = c == '#';
    } else if (h->has_high) {
        hx_wr_u8(out, (uint8_t)(h->high << 4 | digit));
        h->has_high = false;
    } else {
        h->high = digit;
        h->has_high = true;
    }
}

static void text(struct hex_text *h, struct hx_span in, struct hx_wr *out)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (!h->in_comment)
            text_sign(h, c, out);
        if (c == '\n') {
            h->in_comment = false;
            h->line++;
        }
    }
}

/* --- which of them --- */

/* What this octet says about the input that begins with those before it. */
static enum hex_kind judge(struct hex_text *h, uint8_t c)
{
    if (c == '\n' && (h->has_digit || h->in_comment))
        return HEX_TEXT;
    if (h->in_comment) /* a telegram has control characters among its first octets */
        return (c < ' ' && !is_white(c)) || c == 0x7F ? HEX_RAW : HEX_UNDECIDED;
    if (digit_of(c) != NO_DIGIT)
        h->has_digit = true;
    else if (c == '#')
        h->in_comment = true;
    else if (!is_white(c))
        return HEX_RAW;
    return HEX_UNDECIDED;
}

static void give(struct hex_text *h, struct hx_span in, struct hx_wr *out)
{
    if (h->kind == HEX_RAW)
        hx_wr_bytes(out, in.ptr, in.len);
    else
        text(h, in, out);
}

static void decide(struct hex_text *h, enum hex_kind kind, struct hx_wr *out)
{
    h->kind = kind;
    h->in_comment = false;
    give(h, (struct hx_span){h->hold, h->held}, out);
    h->held = 0;
}

void hex_text_feed(struct hex_text *h, struct hx_span in, struct hx_wr *out)
{
    while (h->kind == HEX_UNDECIDED && in.len > 0) {
        enum hex_kind kind = judge(h, in.ptr[0]);
        h->hold[h->held++] = in.ptr[0];
        in = (struct hx_span){in.ptr + 1, in.len - 1};
        if (kind == HEX_UNDECIDED && h->held == HEX_TEXT_HELD_MAX)
            kind = HEX_TEXT;
        if (kind != HEX_UNDECIDED)
            decide(h, kind, out);
    }
    if (h->kind != HEX_UNDECIDED)
        give(h, in, out);
}

void hex_text_end(struct hex_text *h, struct hx_wr *out)
{
    if (h->kind == HEX_UNDECIDED)
        decide(h, HEX_TEXT, out);
    if (h->has_high)
        fault(h);
}
