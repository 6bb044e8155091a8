/* hx/zone.h - local and UTC times as text, with a zone that the port looks up.
 * In:     UTC seconds, the local zone around them.  Out: ISO 8601 text.
 * State:  none.
 * Source: ISO 8601; RFC 3339 for the spelling of offsets. */
#ifndef HX_LOCAL_ZONE_H
#define HX_LOCAL_ZONE_H

#include "hx/civil.h"

/** A local zone around the present: its nearest change of offset. Local = UTC + offset. */
struct hx_zone {
    int64_t change_utc_s; /* INT64_MIN: none near, after_s counts */
    int32_t before_s, after_s;
};

/** @return offset at @p utc_s; the new one from the very second of the change. */
int32_t hx_zone_offset_s(const struct hx_zone *z, int64_t utc_s);
/** Append 2025-04-13T12:00:00+02:00. Times outside the years 1970 … 9999 are written as the nearest
 * end of that range. */
void hx_zone_format(struct hx_wr *w, const struct hx_zone *z, int64_t utc_s);
/** Append 2025-04-13T10:00:00Z. Range as above. */
void hx_utc_format(struct hx_wr *w, int64_t utc_s);

#endif
