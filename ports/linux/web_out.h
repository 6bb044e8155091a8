/* web_out.h - text that grows: JSON and other bodies of web answers.
 * In:     values.  Out: octets on the heap, at most a given number.
 * State:  struct hx_web_out, owned by the caller. Errors stick: look at `failed` at the end. */
#ifndef HX_WEB_OUT_H
#define HX_WEB_OUT_H

#include "hx/base.h"

#define HX_WEB_OUT_MAX (2u * 1024u * 1024u) /* 24 h of history at 10 s is the largest: 1 MB */

struct hx_web_out {
    char *ptr; /* malloc; NULL while empty */
    size_t len, cap;
    bool failed; /* no memory, or larger than HX_WEB_OUT_MAX: what is in it is not to be used */
    bool comma;  /* JSON: a value stands before */
};

void hx_web_put(struct hx_web_out *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void hx_web_put_span(struct hx_web_out *o, struct hx_span s);
/** Append a JSON string with quotes. Octets that are not UTF-8 become \ufffd. */
void hx_web_put_string(struct hx_web_out *o, struct hx_span s);

/** JSON, one member or element at a time; commas come by themselves. @p key  NULL inside arrays. */
void hx_web_open_object(struct hx_web_out *o, const char *key);
void hx_web_close_object(struct hx_web_out *o);
void hx_web_open_array(struct hx_web_out *o, const char *key);
void hx_web_close_array(struct hx_web_out *o);
void hx_web_text(struct hx_web_out *o, const char *key, const char *value); /* NULL: null */
void hx_web_span(struct hx_web_out *o, const char *key, struct hx_span value);
void hx_web_int(struct hx_web_out *o, const char *key, int64_t value);
void hx_web_bool(struct hx_web_out *o, const char *key, bool value);
void hx_web_null(struct hx_web_out *o, const char *key);
/** num × 10^-decimals, exactly: (2311, 1) is 231.1. */
void hx_web_dec(struct hx_web_out *o, const char *key, int64_t num, int decimals);
/** ISO 8601 UTC, to the second; null when not @p known. */
void hx_web_time(struct hx_web_out *o, const char *key, bool known, int64_t utc_ms);

/** Give the memory back; empty again afterwards. */
void hx_web_out_free(struct hx_web_out *o);

#endif
