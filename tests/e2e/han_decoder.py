"""A second decoder of HAN telegrams, written from the descriptions of the meters alone.

It shares no code and no table with the program: where both read the same thing, it is probably
what the meter said. Slow and simple on purpose. Sources: ISO/IEC 13239 (frame type 3), DLMS UA
Green Book 8.4 and 9, NVE letter 27.06.2016 with the makers' lists, recorded telegrams.
"""
import json
import struct
from decimal import Decimal

FIELDS = [
    "list_version", "meter_id", "meter_type",
    "active_power_import_w", "active_power_export_w",
    "reactive_power_import_var", "reactive_power_export_var",
    "current_l1_a", "current_l2_a", "current_l3_a",
    "voltage_l1_v", "voltage_l2_v", "voltage_l3_v",
    "active_energy_import_wh", "active_energy_export_wh",
    "reactive_energy_import_varh", "reactive_energy_export_varh",
    "meter_clock", "apdu_datetime",
]

# C.D.E of an OBIS code: what it says
BY_CODE = {
    (0, 2, 129): "list_version",
    (96, 1, 0): "meter_id", (0, 0, 5): "meter_id",
    (96, 1, 7): "meter_type", (96, 1, 1): "meter_type",
    (1, 7, 0): "active_power_import_w", (2, 7, 0): "active_power_export_w",
    (3, 7, 0): "reactive_power_import_var", (4, 7, 0): "reactive_power_export_var",
    (31, 7, 0): "current_l1_a", (51, 7, 0): "current_l2_a", (71, 7, 0): "current_l3_a",
    (32, 7, 0): "voltage_l1_v", (52, 7, 0): "voltage_l2_v", (72, 7, 0): "voltage_l3_v",
    (1, 0, 0): "meter_clock",
    (1, 8, 0): "active_energy_import_wh", (2, 8, 0): "active_energy_export_wh",
    (3, 8, 0): "reactive_energy_import_varh", (4, 8, 0): "reactive_energy_export_varh",
}

IDENTITY = FIELDS[0:3]
POWERS = FIELDS[3:7]
ENERGIES = FIELDS[13:17]
ONE_PHASE = ["current_l1_a", "voltage_l1_v"]
THREE_PHASES = FIELDS[7:13]
KAIFA_PLACES = {
    1: POWERS[:1],
    9: IDENTITY + POWERS + ONE_PHASE,
    13: IDENTITY + POWERS + THREE_PHASES,
    14: IDENTITY + POWERS + ONE_PHASE + ["meter_clock"] + ENERGIES,
    18: IDENTITY + POWERS + THREE_PHASES + ["meter_clock"] + ENERGIES,
}
# powers of ten that are not sent
KAIFA_SCALE = {"a": -3, "v": -1}
KAMSTRUP_SCALE = {"a": -2, "wh": 1, "varh": 1}


class Refused(Exception):
    """These bytes are not a telegram."""


# ---- frames ----


def _shifted(octet):
    """What eight shifts of the reflected polynomial 0x1021 make of one octet."""
    for _ in range(8):
        octet = octet >> 1 ^ (0x8408 if octet & 1 else 0)
    return octet


_CRC = [_shifted(octet) for octet in range(256)]


def crc_x25(data):
    """CRC-16/X.25 as it is sent, low octet first."""
    register = 0xFFFF
    for octet in data:
        register = register >> 8 ^ _CRC[(register ^ octet) & 0xFF]
    return register ^ 0xFFFF


def _header_length(body):
    """Octets of format, two addresses and control; an address ends with an odd octet."""
    at = 2
    for _ in range(2):
        for _ in range(4):
            if at >= len(body):
                raise Refused("address cut")
            at += 1
            if body[at - 1] & 1:
                break
        else:
            raise Refused("address longer than four octets")
    return at + 1


def unframe(wire):
    """The information field of one frame with both flags."""
    if len(wire) < 9 or wire[0] != 0x7E or wire[-1] != 0x7E:
        raise Refused("no flags")
    body = wire[1:-1]
    if body[0] & 0xF0 != 0xA0:
        raise Refused("not frame type 3")
    if body[0] & 0x08:
        raise Refused("segmented")
    if ((body[0] & 0x07) << 8 | body[1]) != len(body):
        raise Refused("length")
    header = _header_length(body)
    if len(body) < header + 4:
        raise Refused("no information field")
    if crc_x25(body[:header]) != struct.unpack_from("<H", body, header)[0]:
        raise Refused("HCS")
    if crc_x25(body[:-2]) != struct.unpack_from("<H", body, len(body) - 2)[0]:
        raise Refused("FCS")
    return body[header + 2:-2]


def frames(stream):
    """(offset, wire bytes) of every good frame in a stream, however it is damaged elsewhere."""
    at = 0
    while True:
        at = stream.find(b"\x7e", at)
        if at < 0 or at + 2 >= len(stream):
            return
        end = at + 2 + ((stream[at + 1] & 0x07) << 8 | stream[at + 2])
        wire = stream[at:end]
        try:
            unframe(wire)
        except Refused:
            at += 1
            continue
        yield at, wire
        at = end - 1  # the closing flag may open the next frame


# ---- A-XDR ----

_NUMBERS = {0x03: ">B", 0x05: ">i", 0x06: ">I", 0x0F: ">b", 0x10: ">h", 0x11: ">B",
            0x12: ">H", 0x14: ">q", 0x15: ">Q", 0x16: ">B"}


def _take(data, at, count):
    if at + count > len(data):
        raise Refused("data cut")
    return data[at:at + count], at + count


def _length(data, at):
    head, at = _take(data, at, 1)
    if head[0] < 0x80:
        return head[0], at
    octets, at = _take(data, at, head[0] & 0x7F)
    return int.from_bytes(octets, "big"), at


def parse(data, at=0, depth=0):
    """One value: None, int, bytes, str or list; and where the next one begins."""
    if depth > 4:
        raise Refused("too deep")
    head, at = _take(data, at, 1)
    tag = head[0]
    if tag == 0x00:
        return None, at
    if tag in (0x01, 0x02):
        count, at = _length(data, at)
        items = []
        for _ in range(count):
            item, at = parse(data, at, depth + 1)
            items.append(item)
        return items, at
    if tag in (0x09, 0x0A, 0x0C):
        count, at = _length(data, at)
        octets, at = _take(data, at, count)
        return (octets if tag == 0x09 else octets.decode("latin-1")), at
    if tag in _NUMBERS:
        octets, at = _take(data, at, struct.calcsize(_NUMBERS[tag]))
        return struct.unpack(_NUMBERS[tag], octets)[0], at
    raise Refused("type %02x" % tag)


# ---- telegrams ----


def clock(octets):
    """A COSEM date-time in the words of `han2x decode`."""
    if len(octets) != 12:
        raise Refused("clock length")
    year, month, day, weekday, hour, minute, second, hundredths, deviation, status = \
        struct.unpack(">HBBBBBBBhB", octets)
    return {
        "local": "%04d-%02d-%02dT%02d:%02d:%02d" % (year, month, day, hour, minute, second),
        "deviation_min": None if deviation == -0x8000 else deviation,
        "status": status,
        "weekday": None if weekday == 0xFF else weekday,
        "hundredths": None if hundredths == 0xFF else hundredths,
    }


def _scaled(name, number, powers):
    power = powers.get(name.rsplit("_", 1)[1], 0)
    return Decimal(number).scaleb(power)


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _put(out, name, value, powers):
    if out[name] is not None:
        raise Refused("twice: " + name)
    if name == "meter_clock":
        out[name] = clock(value)
    elif name in IDENTITY:
        out[name] = _text(value)
    elif not isinstance(value, int):
        raise Refused("no number: " + name)
    else:
        out[name] = _scaled(name, value, powers)


def _read_objects(out, items):
    """Aidon and its like: structures of code, value and, for numbers, scaler and unit."""
    for item in items:
        name = BY_CODE.get(tuple(item[0][2:5]))
        scaler = item[2][0] if len(item) == 3 else 0
        if name:
            _put(out, name, item[1], {name.rsplit("_", 1)[1]: scaler})


def _read_pairs(out, items):
    """Kamstrup: version, then code and value in turn; both null where a phase is missing."""
    out["list_version"] = items[0]
    for code, value in zip(items[1::2], items[2::2]):
        name = BY_CODE.get(tuple(code[2:5])) if code is not None else None
        if name:
            _put(out, name, value, KAMSTRUP_SCALE)


def _read_places(out, items):
    """Kaifa: bare values, told apart by their place."""
    if len(items) not in KAIFA_PLACES:
        raise Refused("%d elements" % len(items))
    for name, value in zip(KAIFA_PLACES[len(items)], items):
        _put(out, name, value, KAIFA_SCALE)


def _push_time(info, at):
    """The date-time of the data-notification, and where the body begins."""
    if info[at] == 0x00:
        return None, at + 1
    if info[at:at + 2] == b"\x09\x0c":
        at += 1
    if info[at] not in (0x0C, 0x19):
        raise Refused("date-time form")
    octets, at = _take(info, at + 1, 12)
    return clock(octets), at


def decode_info(info):
    """What an information field says, as the keys of `han2x decode`."""
    if info[:4] != b"\xe6\xe7\x00\x0f":
        raise Refused("no data-notification")
    out = dict.fromkeys(["manufacturer", "list"] + FIELDS)
    out["apdu_datetime"], at = _push_time(info, 8)
    outer = info[at]
    items, at = parse(info, at)
    if at != len(info):
        raise Refused("%d octets left over" % (len(info) - at))
    if outer == 0x01:
        _read_objects(out, items)
        embriq = str(out["list_version"]).startswith("EMBRIQ")
        out["manufacturer"] = "embriq" if embriq else "aidon"
    elif isinstance(items[0], str):
        _read_pairs(out, items)
        out["manufacturer"] = "kamstrup"
    else:
        _read_places(out, items)
        out["manufacturer"] = "kaifa"
    if out["active_energy_import_wh"] is not None:
        out["list"] = 3
    else:
        out["list"] = 2 if out["meter_id"] is not None else 1
    return out


def decode(wire):
    """What a frame says. Raises Refused."""
    return decode_info(unframe(wire))


def decode_stream(stream):
    return [decode(wire) for _, wire in frames(stream)]


def from_json(text):
    """An object with its decimal numbers exact."""
    return json.loads(text, parse_float=Decimal)
