/* vector.h - what the generated vectors.h holds, and helpers that many unit tests share.
 * The header is made by tests/gen_vectors.py from tests/vectors/ and includes this one. */
#ifndef TESTS_VECTOR_H
#define TESTS_VECTOR_H

#include "hx/hdlc.h"
#include "hx/lists.h"

/** One recorded telegram and its values. Where verdict is not HX_OK the rest is empty. */
struct vector {
    const char *name;
    struct hx_span bytes; /* whole frame, both flags */
    enum hx_err verdict;  /* of the frame decoded alone */
    enum hx_maker maker;  /* of the meter; list 1 of an Embriq alone looks like Aidon */
    uint8_t list;
    enum hx_grid grid; /* HX_GRID_UNKNOWN: the record does not say */
    uint16_t has;
    struct hx_text version, id, type;
    int64_t value[HX_FIELD_COUNT];
    struct hx_cosem_time clock, push_time;
    const char *json; /* the expected object; compare numbers by value, they may be padded */
};

/** One undamaged frame of a stream. */
struct stream_frame {
    uint32_t offset; /* of its opening flag */
    uint16_t length; /* with both flags */
    uint8_t list;
    const char *clock;
    int64_t value[8]; /* P+ W, I L1-L3 mA, U L1-L3 mV, A+ Wh; 0 where the list has none */
};

struct stream {
    const char *name;
    struct hx_span bytes;
    const struct stream_frame *frames;
    size_t count;
};

/* Exhaustive loops take every step on a host and a sample on a small emulated processor. */
#ifndef VECTOR_STEP
#ifdef __linux__
#define VECTOR_STEP 1u
#else
#define VECTOR_STEP 7u /* prime, so that octets and bit numbers vary */
#endif
#endif

#define VECTOR_BIT(field) ((uint16_t)(1u << (field)))

#endif
