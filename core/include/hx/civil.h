/* hx/civil.h - calendar dates, UTC seconds and the Central European time zone, without an OS.
 * Source: proleptic Gregorian calendar; summer time: EU directive 2000/84/EC (last Sunday of March
 * and October, 01:00 UTC), in force in Norway. */
#ifndef HX_CIVIL_H
#define HX_CIVIL_H

#include "hx/base.h"

/** A date and time as written on a clock, no zone. month 1-12, day 1-31. */
struct hx_civil {
    uint16_t year;
    uint8_t month, day, hour, minute, second;
};

/** @return true when @p c is a real date from 2000-01-01 to 2099-12-31 and a time of day. */
bool hx_civil_is_valid(const struct hx_civil *c);
/** @return seconds since 1970-01-01T00:00:00 on the same clock; @p c must be valid. */
int64_t hx_civil_to_s(const struct hx_civil *c);
/** Inverse of hx_civil_to_s for 1970 … 9999. */
struct hx_civil hx_civil_from_s(int64_t s);
/** @return offset of Central European time from UTC at @p utc_s, in seconds: 3600 or 7200. */
int32_t hx_civil_cet_offset_s(int64_t utc_s);
/** Local Central European clock → UTC.
 * In the hour that comes twice in October both readings fit: the later (standard time) is given
 * unless @p not_before_utc_s shows that the earlier is still ahead. The hour that does not exist
 * in March is read as standard time. */
int64_t hx_civil_cet_to_utc(const struct hx_civil *c, int64_t not_before_utc_s);
/** Append YYYY-MM-DDTHH:MM:SS. */
void hx_civil_format(struct hx_wr *w, const struct hx_civil *c);

#endif
