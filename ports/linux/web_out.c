/* web_out.c - see web_out.h. */
#include "web_out.h"

#include "hx/zone.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 1024u
#define NUMBER_MAX 40u

static bool make_room(struct hx_web_out *o, size_t more)
{
    size_t cap = o->cap == 0 ? FIRST : o->cap;
    char *ptr;

    if (o->failed || more > HX_WEB_OUT_MAX - o->len)
        return !(o->failed = true);
    while (cap - o->len < more)
        cap *= 2u;
    if (cap == o->cap)
        return true;
    ptr = realloc(o->ptr, cap);
    if (ptr == NULL)
        return !(o->failed = true);
    o->ptr = ptr;
    o->cap = cap;
    return true;
}

void hx_web_put_span(struct hx_web_out *o, struct hx_span s)
{
    if (s.len == 0 || !make_room(o, s.len))
        return;
    memcpy(o->ptr + o->len, s.ptr, s.len);
    o->len += s.len;
}

static void put_text(struct hx_web_out *o, const char *text)
{
    hx_web_put_span(o, (struct hx_span){(const uint8_t *)text, strlen(text)});
}

void hx_web_put(struct hx_web_out *o, const char *format, ...)
{
    va_list args;
    int n;

    if (!make_room(o, 512))
        return;
    va_start(args, format);
    n = vsnprintf(o->ptr + o->len, o->cap - o->len, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n >= o->cap - o->len && make_room(o, (size_t)n + 1u)) {
        va_start(args, format);
        n = vsnprintf(o->ptr + o->len, o->cap - o->len, format, args);
        va_end(args);
    }
    if (n < 0)
        o->failed = true;
    if (!o->failed)
        o->len += (size_t)n;
}

/* --- strings --- */

/* Octets of the UTF-8 character at the start of @p s; 0 when it is none. RFC 3629, section 4. */
static size_t utf8_len(struct hx_span s)
{
    static const struct {
        uint8_t first, last, low, high;
        size_t len;
    } rows[] = {
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (s.ptr[0] < rows[i].first || s.ptr[0] > rows[i].last)
            continue;
        if (rows[i].len > s.len)
            return 0;
        for (size_t k = 1; k < rows[i].len; k++)
            if (s.ptr[k] < (k == 1 ? rows[i].low : 0x80) ||
                s.ptr[k] > (k == 1 ? rows[i].high : 0xBF))
                return 0;
        return rows[i].len;
    }
    return 0;
}

void hx_web_put_string(struct hx_web_out *o, struct hx_span s)
{
    put_text(o, "\"");
    while (s.len != 0) {
        size_t n = utf8_len(s);

        if (n == 0)
            put_text(o, "\\ufffd");
        else if (n == 1 && (s.ptr[0] < 0x20 || s.ptr[0] == 0x7F))
            hx_web_put(o, "\\u%04x", s.ptr[0]);
        else if (n == 1 && (s.ptr[0] == '"' || s.ptr[0] == '\\'))
            hx_web_put(o, "\\%c", s.ptr[0]);
        else
            hx_web_put_span(o, (struct hx_span){s.ptr, n});
        n = n == 0 ? 1 : n;
        s = (struct hx_span){s.ptr + n, s.len - n};
    }
    put_text(o, "\"");
}

/* --- JSON --- */

static void begin(struct hx_web_out *o, const char *key)
{
    if (o->comma)
        put_text(o, ",");
    o->comma = true;
    if (key != NULL) {
        hx_web_put_string(o, (struct hx_span){(const uint8_t *)key, strlen(key)});
        put_text(o, ":");
    }
}

void hx_web_open_object(struct hx_web_out *o, const char *key)
{
    begin(o, key);
    put_text(o, "{");
    o->comma = false;
}

void hx_web_close_object(struct hx_web_out *o)
{
    put_text(o, "}");
    o->comma = true;
}

void hx_web_open_array(struct hx_web_out *o, const char *key)
{
    begin(o, key);
    put_text(o, "[");
    o->comma = false;
}

void hx_web_close_array(struct hx_web_out *o)
{
    put_text(o, "]");
    o->comma = true;
}

void hx_web_span(struct hx_web_out *o, const char *key, struct hx_span value)
{
    begin(o, key);
    hx_web_put_string(o, value);
}

void hx_web_text(struct hx_web_out *o, const char *key, const char *value)
{
    if (value == NULL)
        hx_web_null(o, key);
    else
        hx_web_span(o, key, (struct hx_span){(const uint8_t *)value, strlen(value)});
}

void hx_web_int(struct hx_web_out *o, const char *key, int64_t value)
{
    hx_web_dec(o, key, value, 0);
}

void hx_web_bool(struct hx_web_out *o, const char *key, bool value)
{
    begin(o, key);
    put_text(o, value ? "true" : "false");
}

void hx_web_null(struct hx_web_out *o, const char *key)
{
    begin(o, key);
    put_text(o, "null");
}

void hx_web_dec(struct hx_web_out *o, const char *key, int64_t num, int decimals)
{
    uint8_t text[NUMBER_MAX];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};

    begin(o, key);
    hx_wr_dec(&w, num, -decimals);
    HX_ASSERT(w.err == HX_OK);
    hx_web_put_span(o, (struct hx_span){text, w.len});
}

void hx_web_time(struct hx_web_out *o, const char *key, bool known, int64_t utc_ms)
{
    uint8_t text[NUMBER_MAX];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};

    if (!known) {
        hx_web_null(o, key);
        return;
    }
    hx_utc_format(&w, utc_ms / 1000);
    hx_web_span(o, key, (struct hx_span){text, w.len});
}

void hx_web_out_free(struct hx_web_out *o)
{
    free(o->ptr);
    *o = (struct hx_web_out){.ptr = NULL};
}
