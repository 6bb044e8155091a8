"""The program as a command: words, exit codes, decode as a filter, tables as documents."""
import csv
import io
import json
import os
import select
import signal
import subprocess
from decimal import Decimal

import pytest

import gateway
import telegrams
import vectors

FRAME = telegrams.kaifa("2025-01-06T18:00:10", power_w=2390)
DAMAGED = FRAME[:60] + bytes([FRAME[60] ^ 1]) + FRAME[61:]
TELEGRAMS = vectors.telegrams()
NAMES = [
    "list_version", "meter_id", "meter_type",
    "active_power_import_w", "active_power_export_w",
    "reactive_power_import_var", "reactive_power_export_var",
    "current_l1_a", "current_l2_a", "current_l3_a",
    "voltage_l1_v", "voltage_l2_v", "voltage_l3_v",
    "active_energy_import_wh", "active_energy_export_wh",
    "reactive_energy_import_varh", "reactive_energy_export_varh",
    "meter_clock", "apdu_datetime",
]


@pytest.fixture
def cli(han2x):
    """cli(arguments, …) → finished process with stdout and stderr as text."""
    def run(*arguments, data=b"", **options):
        done = subprocess.run([han2x, *arguments], input=data, capture_output=True,
                              timeout=gateway.DEADLINE_S, check=False, **options)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done
    return run


def one_line(text):
    return text.count("\n") == 1 and text.endswith("\n")


def lines(done):
    return [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]


# ---- words and exit codes ----


def test_version(cli):
    done = cli("--version")
    assert done.returncode == 0 and done.stdout.startswith("han2x ") and one_line(done.stdout)


def test_help_names_all_commands(cli):
    done = cli("--help")
    assert done.returncode == 0 and done.stderr == ""
    for command in ("run", "decode", "simulate", "registers", "settings"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", ["run", "decode", "simulate", "registers", "settings"])
def test_help_of_a_command(cli, command):
    done = cli(command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: han2x {command} ")
    assert cli("help", command).stdout == done.stdout


@pytest.mark.parametrize("arguments", [
    [], ["fly"], ["--fly"], ["help", "fly"], ["decode", "--fly"], ["settings", "--format", "xml"],
    ["settings", "--format"], ["registers", "--fly"], ["registers", "more"], ["run", "--fly"],
    ["run", "-c"], ["run", "more"], ["run", "-s", "web.port"], ["run", "-s", "web.prt=80"],
    ["run", "-s", "web.port=x"], ["simulate", "--meter", "fly"],
])
def test_wrong_usage(cli, arguments):
    done = cli(*arguments)
    assert done.returncode == 2
    assert done.stdout == "" and one_line(done.stderr)


@pytest.mark.parametrize("text, said", [
    ("[modbus_tcp]\n# x\nport = 0\n", [":3: ", "modbus_tcp.port", "'0'", "from 1 to 65535"]),
    ("[modbus_tcp]\nprot = 502\n", [":2: ", "did you mean modbus_tcp.port?"]),
    ("[modbus_tcp\n", [":1: ", "[section]"]),
])
def test_bad_settings_file_stops_the_start(cli, tmp_path, text, said):
    conf = tmp_path / "han2x.conf"
    conf.write_text(text)
    done = cli("run", "-c", str(conf), "--state-dir", str(tmp_path))
    assert done.returncode == 1 and one_line(done.stderr)
    for words in [str(conf)] + said:
        assert words in done.stderr


def test_missing_settings_file(cli, tmp_path):
    done = cli("run", "-c", str(tmp_path / "none.conf"), "--state-dir", str(tmp_path))
    assert done.returncode == 1 and one_line(done.stderr)
    assert "none.conf" in done.stderr and "No such file" in done.stderr


def test_bad_environment_stops_the_start(cli, tmp_path):
    done = cli("run", "--state-dir", str(tmp_path),
               env={**os.environ, "HAN2X_MODBUS_TCP_PORT": "many"})
    assert done.returncode == 1
    assert "HAN2X_MODBUS_TCP_PORT" in done.stderr and "1 to 65535" in done.stderr


def test_full_disk(han2x):
    for arguments in (["settings"], ["registers"], ["--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([han2x, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  check=False)
        assert done.returncode == 1 and b"No space left" in done.stderr


# ---- decode ----


@pytest.mark.parametrize("name", sorted(TELEGRAMS))
@pytest.mark.parametrize("form", ["raw", "hex"])
def test_decode_a_recorded_telegram(cli, name, form):
    telegram = TELEGRAMS[name]
    raw = bytes.fromhex(telegram["hex"])
    text = "# a telegram\n" + raw.hex(" ", 8).replace(" ", "\n") + " # its end"
    done = cli("decode", data=raw if form == "raw" else text.encode())
    assert done.returncode == 0 and done.stderr == ""
    [got] = lines(done)
    assert list(got) == ["manufacturer", "list"] + NAMES
    # a list 1 alone does not tell Embriq from Aidon
    alone = telegram["list"] == 1 and telegram["manufacturer"] == "embriq"
    assert got["manufacturer"] == ("aidon" if alone else telegram["manufacturer"])
    assert got["list"] == telegram["list"]
    assert {key: got[key] for key in NAMES} == telegram["expected"]


def test_decode_learns_the_maker(cli, tmp_path):
    files = []
    for name in ("embriq-l2-13el-p9440", "embriq-l1-1el-p9440", "aidon-l2-13el-6534-p734",
                 "aidon-l1-1el-p733"):
        files.append(bytes.fromhex(TELEGRAMS[name]["hex"]))
    together = tmp_path / "day.bin"
    together.write_bytes(b"".join(files))
    got = lines(cli("decode", str(together)))
    assert [(t["manufacturer"], t["list"]) for t in got] == [
        ("embriq", 2), ("embriq", 1), ("aidon", 2), ("aidon", 1)]


@pytest.mark.parametrize("name", sorted(vectors.streams()))
def test_decode_a_stream(cli, name):
    stream = vectors.streams()[name]
    done = cli("decode", data=bytes.fromhex(stream["hex"]))
    assert done.returncode == 1  # it begins and ends inside a telegram, and says so
    assert "offset 0: " in done.stderr and "the input ends inside a frame" in done.stderr
    got = lines(done)
    assert len(got) == len(stream["frames"])
    for mine, theirs in zip(got, stream["frames"]):
        assert mine["list"] == theirs["list"]
        assert mine["active_power_import_w"] == theirs["active_power_import_w"]


DROPS = [
    ("damaged", DAMAGED + FRAME, 1, ["offset 0: ", "checksum"]),
    ("damaged later", FRAME + DAMAGED, 1, [f"offset {len(FRAME)}: ", "checksum"]),
    ("noise in front", b"\1\2\3" + FRAME, 1, ["offset 0: 3 octets outside any frame"]),
    ("noise behind", FRAME + b"\1\2\3", 1, [f"offset {len(FRAME)}: 3 octets outside"]),
    ("noise between", FRAME + b"\1\2\3\4" + FRAME, 2, [f"offset {len(FRAME)}: 4 octets"]),
    ("noise alone", bytes(range(1, 0x7E)) * 100, 0, ["offset 0: 12500 octets outside any frame"]),
    ("cut", FRAME + FRAME[:-10], 1, [f"offset {len(FRAME)}: the input ends inside a frame"]),
    ("cut before another", FRAME[:40] + FRAME, 1, ["offset 0: "]),
    ("good frame, no push", telegrams.frame(b"\xe6\xe6\x00\x61\x29"), 0,
     ["offset 0: not a DLMS push telegram"]),
    ("encrypted", telegrams.frame(bytes.fromhex("e6e700db08") + bytes(40)), 0,
     ["offset 0: encrypted"]),
    ("no list", telegrams.frame(bytes.fromhex("e6e7000f40000000000101020109060100010700ff")), 0,
     ["offset 0: "]),
]


@pytest.mark.parametrize("data, count, said", [d[1:] for d in DROPS], ids=[d[0] for d in DROPS])
def test_decode_tells_what_it_drops(cli, data, count, said):
    done = cli("decode", "-", data=data)
    assert done.returncode == 1
    assert len(lines(done)) == count
    for words in said:
        assert words in done.stderr


def test_decode_fill_and_shared_flags_are_no_noise(cli):
    done = cli("decode", data=b"\x7e\x7e" + FRAME + b"\x7e\x7e\x7e" + FRAME + FRAME[1:] + b"\x7e")
    assert (done.returncode, done.stderr, len(lines(done))) == (0, "", 3)


def test_decode_nothing(cli):
    done = cli("decode")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_decode_bad_hex(cli):
    text = FRAME.hex() + "\nthis is not hex\n" + FRAME.hex() + "\n"
    done = cli("decode", data=text.encode())
    assert done.returncode == 1 and "line 2: not pairs of hex digits" in done.stderr
    assert len(lines(done)) == 2


def test_decode_files(cli, tmp_path):
    good, bad = tmp_path / "good.hex", tmp_path / "bad.bin"
    good.write_text(FRAME.hex())
    bad.write_bytes(DAMAGED)
    done = cli("decode", str(good), "-", data=FRAME)
    assert (done.returncode, len(lines(done))) == (0, 2)
    done = cli("decode", str(bad), str(good))
    assert (done.returncode, len(lines(done))) == (1, 1)
    assert str(bad) in done.stderr
    done = cli("decode", str(tmp_path / "none"), str(good))
    assert (done.returncode, len(lines(done))) == (1, 1)
    assert "none: cannot read: No such file" in done.stderr
    done = cli("decode", str(tmp_path))
    assert done.returncode == 1 and "Is a directory" in done.stderr


def test_decode_full_disk(han2x):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([han2x, "decode"], input=FRAME, stdout=full, stderr=subprocess.PIPE,
                              timeout=gateway.DEADLINE_S, check=False)
    assert done.returncode == 1 and b"No space left" in done.stderr


class Filter:
    """decode with its input kept open."""

    def __init__(self, han2x):
        self.process = subprocess.Popen([han2x, "decode"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], gateway.DEADLINE_S)
        assert ready, "no line came while the input was open"
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.communicate(timeout=gateway.DEADLINE_S)
        return self.process.returncode


@pytest.fixture
def endless(han2x):
    running = Filter(han2x)
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.mark.parametrize("data", [FRAME, FRAME.hex().encode() + b"\n"], ids=["raw", "hex"])
def test_decode_is_a_filter(endless, data):
    for _ in range(3):
        endless.write(data)
        assert endless.line()["active_power_import_w"] == 2390
    assert endless.end() == 0


def test_decode_is_a_filter_behind_an_unfinished_frame(endless):
    endless.write(FRAME[:40] + FRAME)  # the head asks for more octets than ever come
    assert endless.line()["active_power_import_w"] == 2390
    assert endless.end() == 1


def test_decode_stops_with_its_reader(endless):
    endless.process.stdout.close()
    endless.write(FRAME)
    assert endless.process.wait(gateway.DEADLINE_S) in (1, -signal.SIGPIPE)


# ---- tables as documents ----


def test_registers_formats_agree(cli):
    rows = json.loads(cli("registers", "--format", "json").stdout)["registers"]
    table = list(csv.DictReader(io.StringIO(cli("registers", "--format", "csv").stdout)))
    text = cli("registers").stdout
    assert len(rows) == len(table) > 28  # the manual's rows and the extension block
    for row, line in zip(rows, table):
        assert row["name"] == line["name"] and row["name"] in text
        assert str(row["register"]) == line["register"]


def test_registers_hold_the_manual_map(cli):
    """Device manual 2025-04b, "Modbusregistere": first register of each value."""
    rows = json.loads(cli("registers", "--format", "json").stdout)["registers"]
    rows = {row["register"]: row for row in rows}
    for first in [*range(40001, 40037, 2), *range(40037, 40044), 40044, 40048, 40049, 40051]:
        assert first in rows
    assert rows[40049]["writable"] and not rows[40001]["writable"]


def test_settings_formats_agree(cli):
    rows = json.loads(cli("settings", "--format", "json").stdout)
    text = cli("settings").stdout
    assert cli("settings", "--format", "md").stdout == text
    man = cli("settings", "--format", "man").stdout
    conf = cli("settings", "--format", "conf").stdout
    for row in rows:
        assert f"| `{row['key']}` |" in text
        assert f".B {row['key']}\n" in man
        assert f"\n#{row['key']} = " in conf
        assert f"\n[{row['section']}]\n" in conf
        assert row["meaning"].endswith(".") and row["allowed"]
    port = next(r for r in rows if (r["section"], r["key"]) == ("modbus_tcp", "port"))
    assert (port["type"], port["default"], port["min"], port["max"]) == ("int", 502, 1, 65535)
    secrets = [r["key"] for r in rows if r["type"] == "secret"]
    assert secrets == ["password", "password_hash"]


@pytest.mark.parametrize("arguments, first", [
    (["--man"], '.TH HAN2X 1 "" "han2x '), (["settings", "--format", "man"], '.TH HAN2X.CONF 5 "" "han2x '),
], ids=["han2x.1", "han2x.conf.5"])
def test_manual_pages(cli, arguments, first):
    """roff requests begin their lines; a line of text that begins with . or ' would be lost."""
    known = (".TH ", ".SH ", ".SS ", ".TP", ".PP", ".B ", ".I ", ".nf", ".fi", ".BR ")
    done = cli(*arguments)
    assert done.returncode == 0 and done.stdout.startswith(first)
    for line in done.stdout.splitlines():
        assert line.startswith(known) or not line.startswith((".", "'"))
    assert "\n.SH SEE ALSO\n" in done.stdout
