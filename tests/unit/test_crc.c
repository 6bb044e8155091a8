/* test_crc.c - both checksums against their published check values and bit-by-bit divisions. */
#include "check.h"

#include "hx/crc.h"

static const uint8_t digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};

static uint16_t slow_modbus(const uint8_t *p, size_t n)
{
    uint16_t reg = 0xFFFF;
    for (size_t i = 0; i < n; i++) {
        reg = (uint16_t)(reg ^ p[i]);
        for (int bit = 0; bit < 8; bit++)
            reg = (uint16_t)(reg & 1u ? reg >> 1 ^ 0xA001u : reg >> 1);
    }
    return reg;
}

/* Check values over the digits 1-9: catalogue of parametrised CRC algorithms, CRC-16/IBM-SDLC
 * and CRC-16/MODBUS. */
static void check_values(void **state)
{
    (void)state;
    CHECK_INT("x25", hx_crc_x25((struct hx_span){digits, sizeof digits}), 0x906E);
    CHECK_INT("modbus", hx_crc_modbus((struct hx_span){digits, sizeof digits}), 0x4B37);
    CHECK_INT("x25 of nothing", hx_crc_x25((struct hx_span){digits, 0}), 0x0000);
    CHECK_INT("modbus of nothing", hx_crc_modbus((struct hx_span){digits, 0}), 0xFFFF);
}

/* Serial Line V1.02, 6.2.2 example: address 02, function 07, CRC octets 41 12. */
static void modbus_document_example(void **state)
{
    const uint8_t frame[] = {0x02, 0x07};
    (void)state;
    CHECK_INT("02 07", hx_crc_modbus((struct hx_span){frame, 2}), 0x1241);
}

static void every_octet_as_by_hand(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        const uint8_t two[2] = {(uint8_t)a, (uint8_t)(a * 7u + 3u)};
        CHECK_INT("x25", hx_crc_x25((struct hx_span){two, 2}),
                  (uint16_t)~slow_x25(HX_CRC_X25_INIT, two, 2));
        CHECK_INT("modbus", hx_crc_modbus((struct hx_span){two, 2}), slow_modbus(two, 2));
    }
}

static void register_can_be_fed_in_parts(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= sizeof digits; cut++) {
        uint16_t reg = hx_crc_x25_step(HX_CRC_X25_INIT, (struct hx_span){digits, cut});
        reg = hx_crc_x25_step(reg, (struct hx_span){digits + cut, sizeof digits - cut});
        CHECK_INT("cut", (uint16_t)(reg ^ 0xFFFF), 0x906E);
    }
}

static void data_and_its_checksum_leave_the_residue(void **state)
{
    uint8_t line[sizeof digits + 2];
    (void)state;
    memcpy(line, digits, sizeof digits);
    line[9] = 0x6E; /* low octet first */
    line[10] = 0x90;
    CHECK_INT("residue", hx_crc_x25_step(HX_CRC_X25_INIT, (struct hx_span){line, sizeof line}),
              HX_CRC_X25_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(modbus_document_example),
        cmocka_unit_test(every_octet_as_by_hand),
        cmocka_unit_test(register_can_be_fed_in_parts),
        cmocka_unit_test(data_and_its_checksum_leave_the_residue),
    };
    return cmocka_run_group_tests_name("crc", tests, NULL, NULL);
}
