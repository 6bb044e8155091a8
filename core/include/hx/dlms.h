/* hx/dlms.h - the push APDU (data-notification) and its A-XDR data, item by item, no recursion.
 * In:     the information field of a frame.  Out: header facts and a cursor over the body.
 * State:  none; everything points into the caller's bytes.
 * Source: DLMS UA Green Book 8th ed. 9 (LLC, data-notification), Blue Book 4.1.6 (date-time);
 *         A-XDR tags: IEC 62056-6-2. */
#ifndef HX_DLMS_H
#define HX_DLMS_H

#include "hx/base.h"
#include "hx/civil.h"

/** COSEM date-time as sent. Not specified: fields at their 0xFF… value; see the has_ flags. */
struct hx_cosem_time {
    struct hx_civil local; /* zeros where not has_date or not has_time */
    int16_t deviation_min; /* UTC = local + deviation; HX_COSEM_NO_DEVIATION when not sent */
    uint8_t status;        /* 0x80 daylight saving; 0xFF not sent */
    uint8_t weekday, hundredths;
    bool present; /* there was a date-time */
    bool known;   /* and it holds a whole date and time (not "not specified") */
};
#define HX_COSEM_NO_DEVIATION INT16_MIN /* 0x8000 */
#define HX_COSEM_TIME_LEN 12u

enum hx_axdr_tag {
    HX_AXDR_NULL = 0x00,
    HX_AXDR_ARRAY = 0x01,
    HX_AXDR_STRUCTURE = 0x02,
    HX_AXDR_OCTETS = 0x09,
    HX_AXDR_VISIBLE = 0x0A,
    HX_AXDR_UTF8 = 0x0C,
    HX_AXDR_BOOLEAN = 0x03,
    HX_AXDR_INTEGER = 0x0F,
    HX_AXDR_ENUM = 0x16,
    HX_AXDR_DATE_TIME = 0x19,
};

enum hx_axdr_kind { HX_KIND_NULL, HX_KIND_NUMBER, HX_KIND_STRING, HX_KIND_LIST, HX_KIND_OTHER };

/** One A-XDR item. Lists give only their head; their elements are the next items. */
struct hx_axdr {
    uint8_t tag;
    enum hx_axdr_kind kind;
    uint32_t count;     /* HX_KIND_LIST: elements that follow */
    int64_t num;        /* HX_KIND_NUMBER: value of an integer, enum or boolean */
    struct hx_span str; /* HX_KIND_STRING: contents; HX_KIND_OTHER: raw octets */
};

/** Read one item.
 * @return HX_OK; HX_E_AXDR cut short, unknown type, or a count that cannot fit in what is left. */
enum hx_err hx_axdr_next(struct hx_rd *r, struct hx_axdr *item);

/** Parse 12 octets. @return HX_OK; HX_E_DATE when the fields are given and are no date. */
enum hx_err hx_cosem_time_parse(struct hx_span s, struct hx_cosem_time *t);

/** A push telegram's header. */
struct hx_push {
    uint32_t invoke;           /* long-invoke-id-and-priority, unused */
    struct hx_cosem_time time; /* all three forms: absent, 0C + 12, 09 0C + 12, 19 + 12 */
    struct hx_span body;       /* A-XDR data */
};

/** Parse LLC header and data-notification.
 * @param info  information field, E6 E7 00 first.
 * @return HX_OK; HX_E_LLC other header or tag; HX_E_ENCRYPTED for DB; HX_E_AXDR cut; HX_E_DATE. */
enum hx_err hx_push_parse(struct hx_span info, struct hx_push *out);

#endif
