/* unmark.c - see unmark.h. */
#include "unmark.h"

bool hx_unmark_next(struct hx_unmark *u, struct hx_span in, size_t *used, uint8_t *out, size_t *len)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t b = in.ptr[i];

        if (u->seen == 0 && b == 0xFF) {
            u->seen = 1;
        } else if (u->seen == 1 && b == 0x00) {
            u->seen = 2;
        } else {
            bool error = u->seen == 2;

            /* FF FF is FF. FF and anything else was received before we set the marks: both count.
             */
            if (u->seen == 1 && b != 0xFF)
                out[n++] = 0xFF;
            u->seen = 0;
            out[n++] = b;
            if (error) {
                *used = i + 1u;
                *len = n;
                return true;
            }
        }
    }
    *used = in.len;
    *len = n;
    return false;
}
