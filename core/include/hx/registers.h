/* hx/registers.h - the Modbus register map: one table, and the image that is served from it.
 * In:     struct hx_state.  Out: big-endian register image; a Modbus read is a copy of it.
 * State:  struct hx_registers, owned by the caller.
 * Source: device manual 2025-04b, "Modbusregistere"; extension block: ours, same table. */
#ifndef HX_REGISTERS_H
#define HX_REGISTERS_H

#include "hx/state.h"

#define HX_REG_MAIN_COUNT 51u  /* 40001 … 40051 */
#define HX_REG_EXT_FIRST 1000u /* 41001 as PDU address */
#define HX_REG_EXT_COUNT 268u  /* checked against the table at build and in the unit test */
#define HX_REG_EXT_VERSION 1u  /* of the extension block's layout; later versions only add */

enum hx_reg_type {
    HX_REG_U16,
    HX_REG_S16,
    HX_REG_U32,
    HX_REG_S32,
    HX_REG_U64,
    HX_REG_F32,
    HX_REG_TEXT,
    HX_REG_RESERVED, /* read 0; any number of words */
};
/** @return "u16" … "text", "reserved". */
const char *hx_register_type_name(enum hx_reg_type type);

/** Bits of the status flags, 41003-41004. */
enum hx_status_flag {
    HX_FLAG_LINK_GOOD = 1 << 0,
    HX_FLAG_SIMULATED = 1 << 1,
    HX_FLAG_SATURATED = 1 << 2,
    HX_FLAG_METER_CLOCK_KNOWN = 1 << 3,
    HX_FLAG_WALL_CLOCK_KNOWN = 1 << 4,
    HX_FLAG_ESTIMATE_HELD = 1 << 5,
    HX_FLAG_INPUT_KNOWN = 1 << 6,
    HX_FLAG_TEMPERATURE_KNOWN = 1 << 7,
    HX_FLAG_ENCRYPTED = 1 << 8,
    HX_FLAG_METER_KNOWN = 1 << 9,
    HX_FLAG_WAITING = 1 << 10,
    HX_FLAG_FRESH = 1 << 11,
    HX_FLAG_SCALED = 1 << 12,
    HX_FLAG_CLOCK_FROM_METER = 1 << 13,
};

/** One row. Addresses are PDU addresses: 4xxxx is address + 40001. */
struct hx_register {
    uint16_t address;
    uint8_t words;
    enum hx_reg_type type;
    bool writable;
    const char *name;    /* snake_case, unique */
    const char *unit;    /* "" for none */
    const char *meaning; /* English, one sentence */
    uint16_t source;     /* private: what the renderer reads */
};

/** @return the table, ordered by address, and its length. */
const struct hx_register *hx_register_table(size_t *count);

struct hx_registers {
    uint8_t main[HX_REG_MAIN_COUNT * 2u];
    uint8_t ext[HX_REG_EXT_COUNT * 2u];
    bool saturated; /* a scaled value met the limit of its register in this image */
};

/** Render the whole image from @p s. @p s->scale must be in its range. */
void hx_registers_render(struct hx_registers *r, const struct hx_state *s);

/** @param count  1 or more.
 * @return octets of registers first … first+count-1, 2 each, inside @p r; NULL when any of them
 * is outside the map (exception 02). */
const uint8_t *hx_registers_read(const struct hx_registers *r, uint16_t first, uint16_t count);

/** Write registers.
 * @param values  count × 2 octets, big-endian.
 * @return HX_OK: done, @p s changed and the image rendered anew; HX_E_LEN: outside the map or
 *         read-only (exception 02); HX_E_VALUE: value not allowed (exception 03). Nothing changes
 *         unless HX_OK. */
enum hx_err hx_registers_write(struct hx_registers *r, struct hx_state *s, uint16_t first,
                               uint16_t count, const uint8_t *values);

/** IEEE 754 single of num × 10^-decimals, rounded to nearest even, without floating point.
 * @param decimals  0 … 18. */
uint32_t hx_float_bits(int64_t num, unsigned decimals);
#define HX_FLOAT_NAN 0x7FC00000u

/** Large enough for any of the three documents below. */
#define HX_REGISTERS_DOC_MAX 65536u
/** The table as documentation. @return bytes written are in @p w; HX_E_SPACE sticks there. */
void hx_registers_markdown(struct hx_wr *w);
void hx_registers_csv(struct hx_wr *w);
void hx_registers_json(struct hx_wr *w);

#endif
