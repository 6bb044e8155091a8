#!/usr/bin/env python3
"""Turn tests/vectors/ into one C header: bytes and expected values as integers and strings.

Usage: gen_vectors.py VECTORS_DIR OUT.h
The tests also run where there are no files (bare metal under an emulator), so the vectors are
compiled in. Nothing is computed here but units: amperes and volts come from `expected_fixed`."""
import json
import os
import sys

NUMBERS = [  # order of enum hx_field; key in expected, key in expected_fixed, factor
    ("active_power_import_w", None, 1), ("active_power_export_w", None, 1),
    ("reactive_power_import_var", None, 1), ("reactive_power_export_var", None, 1),
    ("current_l1_a", "current_l1_ma", 1), ("current_l2_a", "current_l2_ma", 1),
    ("current_l3_a", "current_l3_ma", 1), ("voltage_l1_v", "voltage_l1_dv", 100),
    ("voltage_l2_v", "voltage_l2_dv", 100), ("voltage_l3_v", "voltage_l3_dv", 100),
    ("active_energy_import_wh", None, 1), ("active_energy_export_wh", None, 1),
    ("reactive_energy_import_varh", None, 1), ("reactive_energy_export_varh", None, 1),
]
STREAM_NUMBERS = [("active_power_import_w", 1), ("current_l1_ma", 1), ("current_l2_ma", 1),
                  ("current_l3_ma", 1), ("voltage_l1_dv", 100), ("voltage_l2_dv", 100),
                  ("voltage_l3_dv", 100), ("active_energy_import_wh", 1)]
GRIDS = {"1-phase": "HX_GRID_1PHASE", "3-phase 3-wire": "HX_GRID_3WIRE",
         "3-phase 3-wire CT": "HX_GRID_3WIRE", "3-phase 4-wire": "HX_GRID_4WIRE"}
MAKERS = ("aidon", "kaifa", "kamstrup", "embriq")


def load(folder):
    names = sorted(n for n in os.listdir(folder) if n.endswith(".json"))
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            yield json.load(f)


def c_text(text):
    """A C string literal; hex escapes are closed so that digits behind them stay digits."""
    body = "".join(ch if 0x20 <= ord(ch) < 0x7F and ch not in '"\\' else f'\\{ord(ch):03o}'
                   for ch in text)
    return f'"{body}"'


def c_field_text(text):
    text = text or ""
    return f"{{{len(text)}, {c_text(text)}}}"


def c_time(t):
    local = t["local"]
    year, month, day = int(local[0:4]), int(local[5:7]), int(local[8:10])
    hour, minute, second = int(local[11:13]), int(local[14:16]), int(local[17:19])
    dev = "HX_COSEM_NO_DEVIATION" if t["deviation_min"] is None else t["deviation_min"]
    weekday = 0xFF if t["weekday"] is None else t["weekday"]
    hundredths = 0xFF if t["hundredths"] is None else t["hundredths"]
    return (f"{{.local = {{{year}, {month}, {day}, {hour}, {minute}, {second}}}, "
            f".deviation_min = {dev}, .status = {t['status']}, .weekday = {weekday}, "
            f".hundredths = {hundredths}, .present = true, .known = true}}")


def c_bytes(out, name, data):
    out.append(f"static const uint8_t {name}[{len(data)}] = {{")
    for i in range(0, len(data), 20):
        out.append("    " + " ".join(f"0x{b:02X}," for b in data[i:i + 20]))
    out.append("};")


def numbers(v):
    """The bit mask of what was sent, and the values in C order."""
    mask, values = 0, []
    for bit, (key, fixed, factor) in enumerate(NUMBERS):
        n = v["expected_fixed"][fixed] if fixed else v["expected"][key]
        if n is not None:
            mask |= 1 << bit
        values.append((n or 0) * factor)
    return mask, values


def list_number(v):
    if "list" in v:
        return v["list"]
    return 3 if v["expected"]["active_energy_import_wh"] is not None else 2


def expected_json(v):
    head = {"manufacturer": v["manufacturer"], "list": list_number(v)}
    head.update(v["expected"])
    return json.dumps(head, separators=(",", ":"))


def vector_row(out, v, bytes_name):
    out.append(f"    {{.name = {c_text(v['name'])},")
    out.append(f"     .bytes = {{{bytes_name}, sizeof {bytes_name}}},")
    out.append(f"     .verdict = {v.get('verdict', 'HX_OK')},")
    expected = v.get("expected")
    if expected:
        mask, values = numbers(v)
        if v["manufacturer"] in MAKERS:
            out.append(f"     .maker = HX_MAKER_{v['manufacturer'].upper()},")
        out.append(f"     .list = {list_number(v)},")
        out.append(f"     .grid = {GRIDS.get(v.get('variant'), 'HX_GRID_UNKNOWN')},")
        out.append(f"     .has = 0x{mask:04X},")
        out.append(f"     .version = {c_field_text(expected['list_version'])},")
        out.append(f"     .id = {c_field_text(expected['meter_id'])},")
        out.append(f"     .type = {c_field_text(expected['meter_type'])},")
        out.append("     .value = {" + ", ".join(str(n) for n in values) + "},")
        for field, key in (("clock", "meter_clock"), ("push_time", "apdu_datetime")):
            if expected[key] is not None:
                out.append(f"     .{field} = {c_time(expected[key])},")
        text = expected_json(v)
        parts = [text[i:i + 80] for i in range(0, len(text), 80)]
        out.append("     .json = " + "\n             ".join(c_text(p) for p in parts) + ",")
    out.append("    },")


def vectors(out, table, items):
    for i, v in enumerate(items):
        c_bytes(out, f"{table}_bytes_{i}", bytes.fromhex(v["hex"]))
    out.append(f"static const struct vector {table}[] = {{")
    for i, v in enumerate(items):
        vector_row(out, v, f"{table}_bytes_{i}")
    out.append("};")
    out.append(f"#define {table.upper()}_COUNT {len(items)}u")


def stream_frame(f):
    values = ", ".join(str((f.get(key) or 0) * factor) for key, factor in STREAM_NUMBERS)
    return (f"    {{{f['offset']}, {f['length']}, {f['list']}, {c_text(f['clock'])}, "
            f"{{{values}}}}},")


def streams(out, items):
    for i, s in enumerate(items):
        c_bytes(out, f"stream_bytes_{i}", bytes.fromhex(s["hex"]))
        out.append(f"static const struct stream_frame stream_frames_{i}[] = {{")
        out.extend(stream_frame(f) for f in s["frames"])
        out.append("};")
        if len(s["frames"]) != s["good_frames"]:
            raise SystemExit(f"{s['name']}: good_frames does not count the frames")
    out.append("static const struct stream streams[] = {")
    for i, s in enumerate(items):
        out.append(f"    {{{c_text(s['name'])}, {{stream_bytes_{i}, sizeof stream_bytes_{i}}}, "
                   f"stream_frames_{i}, {s['good_frames']}}},")
    out.append("};")
    out.append(f"#define STREAMS_COUNT {len(items)}u")


def main():
    folder, target = sys.argv[1:3]
    out = ["/* Made by gen_vectors.py from tests/vectors/. */", "#ifndef VECTORS_H",
           "#define VECTORS_H", '#include "unit/vector.h"']
    vectors(out, "norway", list(load(folder)))
    vectors(out, "foreign", list(load(os.path.join(folder, "other-markets"))))
    streams(out, list(load(os.path.join(folder, "streams"))))
    out.append("#endif")
    with open(target, "w", encoding="ascii") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
