/* zone.c - see zone.h. */
#include "zone.h"

#include "log.h"

#include "hx/civil.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 65536u /* octets; the largest zone of tzdata has 4 kB */
#define DAY_S 86400

/* RFC 8536, 3.1. */
struct header {
    uint32_t isut, isstd, leap, time, type, chars;
    uint8_t version;
};

static bool read_header(struct hx_rd *r, struct header *h)
{
    struct hx_span magic = hx_rd_take(r, 4);

    if (r->err != HX_OK || memcmp(magic.ptr, "TZif", 4) != 0)
        return false;
    h->version = hx_rd_u8(r);
    (void)hx_rd_take(r, 15);
    h->isut = hx_rd_be32(r);
    h->isstd = hx_rd_be32(r);
    h->leap = hx_rd_be32(r);
    h->time = hx_rd_be32(r);
    h->type = hx_rd_be32(r);
    h->chars = hx_rd_be32(r);
    return r->err == HX_OK && h->time <= FILE_MAX && h->type <= 256u && h->type > 0 &&
           h->chars <= FILE_MAX && h->leap <= FILE_MAX && h->isut <= 256u && h->isstd <= 256u;
}

static size_t rest_len(const struct header *h, size_t time_size)
{
    return h->chars + h->leap * (time_size + 4u) + h->isstd + h->isut;
}

static int64_t be64(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

static int32_t type_offset(struct hx_span types, uint8_t type)
{
    struct hx_rd r = {.left = {types.ptr + type * 6u, 4}};

    return (int32_t)hx_rd_be32(&r);
}

static bool is_offset(int32_t s)
{
    return s > -2 * DAY_S && s < 2 * DAY_S;
}

/* The 64-bit block: times, types of each, what the types mean. The newest HX_TZ_CHANGES count. */
static enum hx_err read_changes(struct hx_tz *tz, struct hx_rd *r, const struct header *h)
{
    struct hx_span times = hx_rd_take(r, h->time * 8u), kinds = hx_rd_take(r, h->time);
    struct hx_span types = hx_rd_take(r, h->type * 6u);
    size_t from = h->time > HX_TZ_CHANGES ? h->time - HX_TZ_CHANGES : 0;

    (void)hx_rd_take(r, rest_len(h, 8));
    if (r->err != HX_OK)
        return r->err;
    tz->first_s = type_offset(types, 0);
    for (size_t i = from; i < h->time; i++) {
        int64_t at = be64(times.ptr + 8u * i);

        if (kinds.ptr[i] >= h->type || (tz->count > 0 && at <= tz->change_s[tz->count - 1u]))
            return HX_E_VALUE;
        tz->change_s[tz->count] = at;
        tz->after_s[tz->count++] = type_offset(types, kinds.ptr[i]);
        if (!is_offset(tz->after_s[tz->count - 1u]))
            return HX_E_VALUE;
    }
    return is_offset(tz->first_s) ? HX_OK : HX_E_VALUE;
}

/* ---- the rule at the end: CET-1CEST,M3.5.0,M10.5.0/3 ---------------------------------------- */

static bool skip_char(struct hx_span *s, char c)
{
    if (s->len == 0 || s->ptr[0] != (uint8_t)c)
        return false;
    *s = (struct hx_span){s->ptr + 1, s->len - 1u};
    return true;
}

static bool read_number(struct hx_span *s, int max, int *out)
{
    int v = 0;
    size_t n = 0;

    for (; n < s->len && n < 4 && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++)
        v = v * 10 + (s->ptr[n] - '0');
    *s = (struct hx_span){s->ptr + n, s->len - n};
    *out = v;
    return n > 0 && v <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_clock(struct hx_span *s, int32_t *out)
{
    bool minus = skip_char(s, '-');
    int part[3] = {0};

    if (!minus)
        (void)skip_char(s, '+');
    if (!read_number(s, 167, &part[0]))
        return false;
    for (unsigned i = 1; i < 3 && skip_char(s, ':'); i++)
        if (!read_number(s, 59, &part[i]))
            return false;
    *out = (part[0] * 60 + part[1]) * 60 + part[2];
    *out = minus ? -*out : *out;
    return true;
}

static bool skip_name(struct hx_span *s)
{
    bool quoted = skip_char(s, '<');
    size_t n = 0;

    while (n < s->len &&
           (quoted ? s->ptr[n] != '>' : (s->ptr[n] | 0x20u) >= 'a' && (s->ptr[n] | 0x20u) <= 'z'))
        n++;
    *s = (struct hx_span){s->ptr + n, s->len - n};
    return n > 0 && (!quoted || skip_char(s, '>'));
}

/* Mm.w.d[/time]; the forms Jn and n are used by no zone today. */
static bool read_day(struct hx_span *s, struct hx_tz_day *d)
{
    if (!skip_char(s, ',') || !skip_char(s, 'M') || !read_number(s, 12, &d->month) ||
        !skip_char(s, '.') || !read_number(s, 5, &d->week) || !skip_char(s, '.') ||
        !read_number(s, 6, &d->weekday) || d->month == 0 || d->week == 0)
        return false;
    d->second = 2 * 3600;
    return !skip_char(s, '/') || read_clock(s, &d->second);
}

/* POSIX counts west of Greenwich positive. */
static bool read_rule(struct hx_tz *tz, struct hx_span s)
{
    int32_t west;

    if (!skip_name(&s) || !read_clock(&s, &west))
        return false;
    tz->standard_s = -west;
    if (!is_offset(west))
        return false;
    if (s.len == 0)
        return true;
    if (!skip_name(&s))
        return false;
    tz->summer_s = tz->standard_s + 3600;
    if (s.len > 0 && s.ptr[0] != ',') {
        if (!read_clock(&s, &west))
            return false;
        tz->summer_s = -west;
    }
    tz->has_summer = read_day(&s, &tz->begin) && read_day(&s, &tz->end) && s.len == 0;
    return tz->has_summer && is_offset(tz->summer_s);
}

enum hx_err hx_tz_parse(struct hx_tz *tz, struct hx_span file)
{
    struct hx_rd r = {.left = file};
    struct header h;
    enum hx_err err;

    memset(tz, 0, sizeof *tz);
    if (!read_header(&r, &h))
        return r.err != HX_OK ? HX_E_LEN : HX_E_VALUE;
    if (h.version < '2') /* 32-bit times only: no zone file of the last 15 years */
        return HX_E_VALUE;
    (void)hx_rd_take(&r, h.time * 5u + h.type * 6u + rest_len(&h, 4));
    if (!read_header(&r, &h))
        return r.err != HX_OK ? HX_E_LEN : HX_E_VALUE;
    err = read_changes(tz, &r, &h);
    if (err != HX_OK)
        return err;
    tz->standard_s = tz->count > 0 ? tz->after_s[tz->count - 1u] : tz->first_s;
    if (hx_rd_u8(&r) != '\n' || r.left.len == 0 || r.left.ptr[r.left.len - 1u] != '\n')
        return HX_E_LEN;
    if (r.left.len > 1u && !read_rule(tz, (struct hx_span){r.left.ptr, r.left.len - 1u}))
        return HX_E_VALUE;
    return HX_OK;
}

/* ---- moments ------------------------------------------------------------------------------- */

struct change {
    int64_t at;
    int32_t before, after;
};

/* UTC of a rule's day in @p year, from a clock with offset @p offset. */
static int64_t day_utc(const struct hx_tz_day *d, int year, int32_t offset)
{
    struct hx_civil first = {.year = (uint16_t)year, .month = (uint8_t)d->month, .day = 1};
    struct hx_civil next = {
        .year = (uint16_t)(year + d->month / 12), .month = (uint8_t)(d->month % 12 + 1), .day = 1};
    int64_t day = hx_civil_to_s(&first) / DAY_S, end = hx_civil_to_s(&next) / DAY_S;
    int64_t weekday = (day + 4) % 7; /* 1970-01-01 was a Thursday */

    day += (d->weekday - weekday + 7) % 7 + (int64_t)(d->week - 1) * 7;
    while (day >= end)
        day -= 7;
    return day * DAY_S + d->second - offset;
}

/* Files have changes from long before the sun: no difference of int64_t need fit into one. */
static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static void consider(const struct change *c, int64_t utc_s, struct change *best, bool *any)
{
    if (*any && distance(c->at, utc_s) >= distance(best->at, utc_s))
        return;
    *best = *c;
    *any = true;
}

/* The rule's changes in the years around, where the list has ended. */
static void consider_rule(const struct hx_tz *tz, int64_t utc_s, struct change *best, bool *any)
{
    int64_t last = tz->count > 0 ? tz->change_s[tz->count - 1u] : INT64_MIN;
    int year = hx_civil_from_s(utc_s).year;

    for (int y = year - 1; tz->has_summer && y <= year + 1; y++) {
        struct change on = {day_utc(&tz->begin, y, tz->standard_s), tz->standard_s, tz->summer_s};
        struct change off = {day_utc(&tz->end, y, tz->summer_s), tz->summer_s, tz->standard_s};

        if (on.at > last)
            consider(&on, utc_s, best, any);
        if (off.at > last)
            consider(&off, utc_s, best, any);
    }
}

void hx_tz_at(const struct hx_tz *tz, int64_t utc_s, struct hx_zone *out)
{
    struct change best = {0};
    bool any = false;
    size_t low = 0, high = tz->count; /* low: first listed change after utc_s */

    while (low < high) {
        size_t mid = low + (high - low) / 2u;

        if (tz->change_s[mid] <= utc_s)
            low = mid + 1u;
        else
            high = mid;
    }
    for (size_t i = low > 0 ? low - 1u : 0; i <= low && i < tz->count; i++) {
        struct change c = {tz->change_s[i], i > 0 ? tz->after_s[i - 1u] : tz->first_s,
                           tz->after_s[i]};

        consider(&c, utc_s, &best, &any);
    }
    if (low == tz->count && utc_s > 0 && utc_s < INT64_C(253370764800)) /* to the year 9999 */
        consider_rule(tz, utc_s, &best, &any);
    *out = any ? (struct hx_zone){best.at, best.before, best.after}
               : (struct hx_zone){INT64_MIN, tz->standard_s, tz->standard_s};
}

/* ---- files --------------------------------------------------------------------------------- */

static enum hx_err read_file(const char *name, uint8_t *out, size_t *len)
{
    const char *dir = getenv("TZDIR");
    char path[512];
    size_t have = 0;
    ssize_t n = 1;
    int fd, wrote = snprintf(path, sizeof path, "%s/%s",
                             dir != NULL && *dir == '/' ? dir : "/usr/share/zoneinfo", name);

    if (wrote < 0 || (size_t)wrote >= sizeof path || strstr(name, "..") != NULL || name[0] == '/')
        return HX_E_VALUE;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return HX_E_IO;
    while (have < FILE_MAX && (n = read(fd, out + have, FILE_MAX - have)) > 0)
        have += (size_t)n;
    (void)close(fd); /* only read */
    *len = have;
    return n == 0 ? HX_OK : HX_E_IO;
}

bool hx_tz_may_be(const char *name)
{
    uint8_t *file = malloc(FILE_MAX);
    size_t len;
    bool known = file == NULL || read_file(name, file, &len) == HX_OK ||
                 read_file("UTC", file, &len) != HX_OK; /* tzdata always has that one */

    free(file);
    return known;
}

static void central_european(struct hx_tz *tz)
{
    static const char rule[] = "CET-1CEST,M3.5.0,M10.5.0/3"; /* as in hx/civil.h */

    memset(tz, 0, sizeof *tz);
    HX_ASSERT(read_rule(tz, (struct hx_span){(const uint8_t *)rule, sizeof rule - 1u}));
}

enum hx_err hx_tz_load(struct hx_tz *tz, const char *name)
{
    uint8_t *file = malloc(FILE_MAX);
    size_t len = 0;
    enum hx_err err = file != NULL ? read_file(name, file, &len) : HX_E_IO;

    if (err == HX_OK)
        err = hx_tz_parse(tz, (struct hx_span){file, len});
    free(file);
    if (err == HX_OK)
        return HX_OK;
    memset(tz, 0, sizeof *tz);
    if (strcmp(name, "Europe/Oslo") == 0)
        central_european(tz);
    else
        hx_log(HX_LOG_WARNING,
               "no time zone %s on this machine (package tzdata): local times are UTC", name);
    return err;
}
