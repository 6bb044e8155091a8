/* meter_line.h - telegrams of a meter that the test owns: recorded ones (tests/vectors), with
 * values, clock and number written over and the checksum made anew.
 * In:     maker, list, values in W, VAr, Wh, a clock.  Out: one whole frame.
 * State:  struct meter_line, owned by the caller. Nothing of the decoders is used. */
#ifndef PROVE_METER_LINE_H
#define PROVE_METER_LINE_H

#include "hx/civil.h"
#include "hx/lists.h"

#define METER_LINE_MAX 512u

/** One recorded list and where its fields stand. */
struct line_template {
    uint8_t bytes[METER_LINE_MAX];
    size_t len;
    size_t number[HX_FIELD_COUNT]; /* first octet of the number; 0 not sent */
    uint8_t width[HX_FIELD_COUNT]; /* octets */
    size_t clock[2];               /* first octet of a date-time; 0 none */
    size_t id;                     /* 16 digits; 0 none */
};

struct meter_line {
    enum hx_maker maker;
    uint32_t wh_unit; /* an energy count of 1 is so many Wh */
    struct line_template list[4];
};

struct line_values {
    int64_t power[4]; /* W, VAr: import, export, reactive import, reactive export */
    int64_t count[4]; /* energy counters as sent, in wh_unit */
    struct hx_civil clock;
    uint8_t clock_status; /* Kamstrup: 0x80 in summer time */
    uint64_t number;      /* of the meter: the last 12 of its 16 digits */
};

void meter_line_init(struct meter_line *l, enum hx_maker maker);
/** @return octets written to @p out, METER_LINE_MAX at most. */
size_t meter_line_telegram(const struct meter_line *l, unsigned list, const struct line_values *v,
                           uint8_t *out);

#endif
