/* zone.h - the local time zone, from the machine's time zone files.
 * In:     a name like Europe/Oslo.  Out: struct hx_zone around any moment.
 * State:  struct hx_tz, owned by the caller; read-only once loaded.
 * Source: RFC 8536 (TZif); POSIX.1-2017, 8.3, "TZ", for the rule at the end of a file. The C
 *         library keeps one zone a process and changes it through the environment, which other
 *         threads read: not usable when a setting changes on a running gateway. */
#ifndef HX_TZ_H
#define HX_TZ_H

#include "hx/zone.h"

#define HX_TZ_CHANGES 1024u

/** One change of the rule after the last listed one: day m.w.d of each year. */
struct hx_tz_day {
    int month, week, weekday; /* 1 … 12; 1 … 5 (5: the last); 0 Sunday … 6 */
    int32_t second;           /* of local time, -167 h … 167 h */
};

struct hx_tz {
    size_t count;
    int64_t change_s[HX_TZ_CHANGES]; /* UTC, rising */
    int32_t after_s[HX_TZ_CHANGES];  /* offset from then on */
    int32_t first_s;                 /* offset before the first change */
    bool has_summer;                 /* the rule has two changes a year */
    int32_t standard_s, summer_s;    /* offsets of the rule */
    struct hx_tz_day begin, end;     /* of summer time */
};

/** Load zone @p name below $TZDIR or /usr/share/zoneinfo.
 * @return HX_OK; else what @p tz holds instead was logged: Central European Time for Europe/Oslo
 *         (the core knows its rule), UTC for others. */
enum hx_err hx_tz_load(struct hx_tz *tz, const char *name);
/** @return false when this machine has time zone data, but none of this @p name. */
bool hx_tz_may_be(const char *name);
/** Parse the contents of a time zone file. @return HX_OK; HX_E_LEN cut; HX_E_VALUE not TZif. */
enum hx_err hx_tz_parse(struct hx_tz *tz, struct hx_span file);
/** The offsets around @p utc_s: those before and after the change that is nearest. */
void hx_tz_at(const struct hx_tz *tz, int64_t utc_s, struct hx_zone *out);

#endif
