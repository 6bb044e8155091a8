"""Telegrams made to order: a Kaifa meter on a 4-wire grid, as recorded ones are built."""
import struct

import han_decoder

METER_ID = "6970630000000017"
METER_TYPE = "MA304H4"


def frame(info):
    """An information field as HDLC frame with both flags."""
    head = struct.pack(">H", 0xA000 | len(info) + 10) + bytes.fromhex("01020110")
    body = head + struct.pack("<H", han_decoder.crc_x25(head)) + info
    return b"\x7e" + body + struct.pack("<H", han_decoder.crc_x25(body)) + b"\x7e"


def _clock(text):
    """"2025-01-06T18:00:10" as 12 octets, Monday or not."""
    date, time = text.split("T")
    year, month, day = map(int, date.split("-"))
    hour, minute, second = map(int, time.split(":"))
    return struct.pack(">HBBBBBBBHB", year, month, day, 1, hour, minute, second, 0xFF, 0x8000, 0)


def _number(value):
    return b"\x06" + struct.pack(">I", value)


def _octets(text):
    return b"\x09" + bytes([len(text)]) + text.encode()


def kaifa(clock, power_w=0, energy_wh=None, export_wh=0, meter_id=METER_ID, voltages_dv=(2390,) * 3):
    """List 2, or list 3 when there is an energy."""
    head = bytes.fromhex("e6e7000f40000000") + b"\x09\x0c" + _clock(clock)
    items = [_octets("KFM_001"), _octets(meter_id), _octets(METER_TYPE)]
    items += [_number(v) for v in (power_w, 0, 0, 0)]
    items += [_number(v) for v in (1000, 2000, 3000, *voltages_dv)]
    if energy_wh is not None:
        items += [b"\x09\x0c" + _clock(clock)]
        items += [_number(v) for v in (energy_wh, export_wh, 0, 0)]
    return frame(head + b"\x02" + bytes([len(items)]) + b"".join(items))
