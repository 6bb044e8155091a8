/* hx/crc.h - the two 16-bit checksums on our wires.
 * Source: X.25 (HDLC HCS, FCS): ISO/IEC 13239 4.2.5; Modbus: Serial Line V1.02, 6.2.2. */
#ifndef HX_CRC_H
#define HX_CRC_H

#include "hx/base.h"

#define HX_CRC_X25_INIT 0xFFFFu
#define HX_CRC_X25_GOOD 0xF0B8u /* register after data and its checksum, before the final xor */

/** Run @p s through the X.25 register (reflected 0x1021). Start with HX_CRC_X25_INIT. */
uint16_t hx_crc_x25_step(uint16_t reg, struct hx_span s);
/** @return the checksum as it is sent, low octet first: register xor 0xFFFF. */
uint16_t hx_crc_x25(struct hx_span s);
/** @return Modbus RTU CRC-16 of @p s (reflected 0x8005, init 0xFFFF), low octet sent first. */
uint16_t hx_crc_modbus(struct hx_span s);

#endif
