/* settings_text.h - small text helpers that the settings files share. Private to them. */
#ifndef SETTINGS_TEXT_H
#define SETTINGS_TEXT_H

#include <string.h>

#include "hx/base.h"

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_alnum(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline struct hx_span span_of(const char *s)
{
    size_t n = 0;
    while (s[n] != '\0')
        n++;
    return (struct hx_span){(const uint8_t *)s, n};
}

static inline struct hx_span span_from(struct hx_span s, size_t at)
{
    return (struct hx_span){s.ptr + at, s.len - at};
}

static inline bool span_is(struct hx_span s, const char *want)
{
    struct hx_span w = span_of(want);
    return s.len == w.len && (s.len == 0 || memcmp(s.ptr, w.ptr, s.len) == 0);
}

/* Takes prefix off the front of s; false when s does not begin with it. */
static inline bool span_skip(struct hx_span *s, const char *prefix)
{
    struct hx_span p = span_of(prefix);
    if (s->len < p.len || memcmp(s->ptr, p.ptr, p.len) != 0)
        return false;
    *s = span_from(*s, p.len);
    return true;
}

static inline struct hx_span span_trim(struct hx_span s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = span_from(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Takes the part before the next sep (or all) off the front of s, and the sep with it. */
static inline struct hx_span span_cut(struct hx_span *s, uint8_t sep)
{
    struct hx_span part = *s;
    size_t n = 0;
    while (n < s->len && s->ptr[n] != sep)
        n++;
    part.len = n;
    *s = n < s->len ? span_from(*s, n + 1) : (struct hx_span){s->ptr, 0};
    return part;
}

/* Next word of a blank-separated list, empty at its end. */
static inline struct hx_span span_word(struct hx_span *s)
{
    while (s->len > 0 && is_blank(s->ptr[0]))
        *s = span_from(*s, 1);
    struct hx_span word = {s->ptr, 0};
    while (s->len > 0 && !is_blank(s->ptr[0])) {
        word.len++;
        *s = span_from(*s, 1);
    }
    return word;
}

/* Decimal number of 1 to 18 digits and nothing else. */
static inline bool span_number(struct hx_span s, int64_t *out)
{
    int64_t v = 0;
    if (s.len < 1 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i]))
            return false;
        v = v * 10 + (s.ptr[i] - '0');
    }
    *out = v;
    return true;
}

#endif
