/* zone.c - see hx/zone.h */
#include "hx/zone.h"

#define LAST_S 253402300799 /* 9999-12-31T23:59:59Z, the last that four digits can say */

static void put_local(struct hx_wr *w, int64_t s)
{
    struct hx_civil c = hx_civil_from_s(s < 0 ? 0 : s > LAST_S ? LAST_S : s);
    hx_civil_format(w, &c);
}

int32_t hx_zone_offset_s(const struct hx_zone *z, int64_t utc_s)
{
    return utc_s < z->change_utc_s ? z->before_s : z->after_s;
}

void hx_zone_format(struct hx_wr *w, const struct hx_zone *z, int64_t utc_s)
{
    int32_t offset = hx_zone_offset_s(z, utc_s);
    uint32_t minutes = (uint32_t)(offset < 0 ? -offset : offset) / 60u;
    int64_t near = utc_s < -LAST_S ? -LAST_S : utc_s > LAST_S ? LAST_S : utc_s; /* no overflow */
    put_local(w, near + offset);
    hx_wr_u8(w, offset < 0 ? '-' : '+');
    hx_wr_pad(w, minutes / 60u, 2);
    hx_wr_u8(w, ':');
    hx_wr_pad(w, minutes % 60u, 2);
}

void hx_utc_format(struct hx_wr *w, int64_t utc_s)
{
    put_local(w, utc_s);
    hx_wr_u8(w, 'Z');
}
