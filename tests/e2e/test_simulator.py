"""The simulated meters: what they send, judged by the independent decoder, and how it is sent."""
import contextlib
import os
import pty
import re
import socket
import subprocess
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

import han_decoder
import masters
from gateway import DEADLINE_S, wait_for

MAKERS = ["aidon", "kaifa", "kamstrup"]
PHASES = ["1", "3it", "3tn"]
TYPES = {
    ("aidon", "1"): "6515", ("aidon", "3it"): "6525", ("aidon", "3tn"): "6534",
    ("kaifa", "1"): "MA105H2E", ("kaifa", "3it"): "MA304H3E", ("kaifa", "3tn"): "MA304H4",
    ("kamstrup", "1"): "6861111BN242101040", ("kamstrup", "3it"): "6841121BN243101040",
    ("kamstrup", "3tn"): "6841131BN243101040",
}
RESOLUTION_WH = {"aidon": 10, "kaifa": 1, "kamstrup": 10}
# telegrams in a little more than two hours, beginning half a minute before a full hour
TWO_HOURS = {"aidon": 2900, "kaifa": 3650, "kamstrup": 735}
SIMULATED_FLAG = 1 << 1  # status flags, register 41003
SECOND, THIRD = ["current_l2_a", "voltage_l2_v"], ["current_l3_a", "voltage_l3_v"]


def test_a_terminal_gets_text(han2x):
    """No octets that a terminal would take for commands: hex, which decode reads as well."""
    ours, theirs = pty.openpty()
    arguments = [han2x, "simulate", "--pace", "max", "--count", "3", "-o", "-"]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=theirs) as process:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            while more := os.read(ours, 4096):
                text += more
    os.close(ours)
    assert process.returncode == 0
    lines = text.decode().split()
    assert len(lines) == 3 and all(re.fullmatch("7e[0-9a-f]*7e", line) for line in lines)
    assert bytes.fromhex("".join(lines)) == simulate(han2x, *arguments[2:6])


def simulate(program, *arguments, code=0):
    done = subprocess.run([program, "simulate", *arguments], capture_output=True,
                          timeout=DEADLINE_S)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


def stream(program, maker, phases, count, *more):
    return simulate(program, "--meter", maker, "--phases", phases, "--pace", "max",
                    "--count", str(count), *more)


def our_decoder(program, data, code):
    done = subprocess.run([program, "decode"], input=data, capture_output=True, timeout=DEADLINE_S)
    assert done.returncode == code, done.stderr.decode()
    return [han_decoder.from_json(line) for line in done.stdout.decode().splitlines()]


def local(clock):
    return datetime.fromisoformat(clock["local"])


# ---- what is sent ----


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("maker", MAKERS)
def test_every_octet_belongs_to_a_good_frame(han2x, maker, phases):
    data = stream(han2x, maker, phases, 300)
    found = list(han_decoder.frames(data))
    assert len(found) == 300
    assert b"".join(wire for _, wire in found) == data
    assert {han_decoder.decode(wire)["manufacturer"] for _, wire in found} == {maker}


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("maker", MAKERS)
def test_identity_and_phases(han2x, maker, phases):
    for reading in han_decoder.decode_stream(stream(han2x, maker, phases, 100)):
        if reading["list"] == 1:
            assert [k for k in han_decoder.FIELDS[:17] if reading[k] is not None] == \
                ["active_power_import_w"]
            continue
        # never to be mistaken for a real one, whose ids are digits
        assert re.fullmatch(r"SIM\d{13}", reading["meter_id"])
        assert reading["meter_type"] == TYPES[maker, phases]
        missing = {key for key in han_decoder.FIELDS[3:13] if reading[key] is None}
        if phases == "1":
            assert missing == {*SECOND, *THIRD}
        elif (maker, phases) == ("aidon", "3it"):
            assert missing == {"current_l2_a"}  # not sent
        else:
            assert missing == set()
        for key in ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v"):
            if (maker, phases, key) == ("kaifa", "3it", "voltage_l2_v"):
                assert reading[key] == 0  # sent, but not measured
            elif reading[key] is not None:
                assert 207 <= reading[key] <= 253  # 230 V, ten percent


@pytest.mark.parametrize("maker", MAKERS)
def test_clock_forms(han2x, maker):
    """October, summer time, an hour on a Sunday: 2025-10-05T17:00 UTC."""
    data = stream(han2x, maker, "3tn", 10, "--start", "2025-10-05T17:00:00Z")
    last = [r for r in han_decoder.decode_stream(data) if r["list"] == 3][0]
    form = {key: value for key, value in last["meter_clock"].items()}
    rest = {"status": 0, "hundredths": None}
    assert form == {
        # standard time and deviation 0 although it is not UTC; Sunday is 0; the hour itself
        "aidon": {"local": "2025-10-05T18:00:00", "deviation_min": 0, "weekday": 0, **rest},
        # summer time, without saying so
        "kaifa": {"local": "2025-10-05T19:00:10", "deviation_min": None, "weekday": 7, **rest},
        # standard time
        "kamstrup": {"local": "2025-10-05T18:00:05", "deviation_min": None, "weekday": 7, **rest},
    }[maker]
    assert last["apdu_datetime"] == (None if maker == "aidon" else last["meter_clock"])


def timed(maker, readings):
    """(moment, reading); Aidon's short lists carry no clock, so they are counted: 2.5 s each."""
    if maker != "aidon":
        return [(local(r["apdu_datetime"]), r) for r in readings]
    first_hour = next(i for i, r in enumerate(readings) if r["list"] == 3)
    moment = local(readings[first_hour]["meter_clock"]) + timedelta(seconds=10)
    return [(moment + timedelta(seconds=2.5 * (i - first_hour)), r)
            for i, r in enumerate(readings)][1:]  # the first is older than the start


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("maker", MAKERS)
def test_energy_is_the_integral_of_power(han2x, maker, phases):
    readings = han_decoder.decode_stream(stream(han2x, maker, phases, TWO_HOURS[maker]))
    series = timed(maker, readings)
    hours = [(local(r["meter_clock"]), r["active_energy_import_wh"])
             for _, r in series if r["list"] == 3]
    assert len(hours) == 3
    for (begin, before), (end, after) in zip(hours, hours[1:]):
        assert end - begin == timedelta(hours=1)
        part = [(t, r["active_power_import_w"]) for t, r in series if begin <= t <= end]
        assert (part[0][0], part[-1][0]) == (begin, end)
        half_watt_ms = sum((p + q) * ((u - t) // timedelta(milliseconds=1))
                           for (t, p), (u, q) in zip(part, part[1:]))
        watt_hours = half_watt_ms / Decimal(2 * 3600 * 1000)
        assert abs(after - before - watt_hours) < RESOLUTION_WH[maker]
        assert watt_hours > 100  # a home with people in it


def test_sun(han2x):
    data = stream(han2x, "kamstrup", "3tn", 800, "--solar", "--start", "2025-06-01T10:30:00Z",
                  "--seed", "3")
    readings = han_decoder.decode_stream(data)
    assert any(r["active_power_export_w"] > 500 for r in readings)
    assert all(r["active_power_export_w"] == 0 or r["active_power_import_w"] == 0
               for r in readings)
    exported = [r["active_energy_export_wh"] for r in readings if r["list"] == 3]
    assert exported == sorted(exported) and exported[-1] > exported[0]


def test_aidon_currents_are_negative_while_exporting(han2x):
    """As recorded from a 6515 with panels: -5.1 A at 1146 W."""
    data = stream(han2x, "aidon", "1", 2000, "--solar", "--start", "2025-06-01T10:30:00Z")
    signs = {(r["active_power_export_w"] > 0, r["current_l1_a"] < 0)
             for r in han_decoder.decode_stream(data)
             if r["list"] == 2 and r["active_power_export_w"] != r["active_power_import_w"]
             and abs(r["current_l1_a"]) > 0}
    assert (True, True) in signs and (True, False) not in signs and (False, True) not in signs


def test_same_seed_same_bytes(han2x):
    one, same, other = (stream(han2x, "aidon", "3tn", 500, "--seed", seed)
                        for seed in ("11", "11", "12"))
    assert one == same != other


# ---- both decoders ----


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("maker", MAKERS)
def test_decoders_agree(han2x, maker, phases):
    data = stream(han2x, maker, phases, 1000, "--solar", "--start", "2025-03-30T00:50:00Z")
    assert our_decoder(han2x, data, code=0) == han_decoder.decode_stream(data)


@pytest.mark.parametrize("ber", ["1e-4", "1e-3"])
@pytest.mark.parametrize("maker", MAKERS)
def test_decoders_agree_on_a_bad_line(han2x, maker, ber):
    clean = stream(han2x, maker, "3tn", 1000)
    data = stream(han2x, maker, "3tn", 1000, "--noise", ber)
    assert data != clean
    truth = han_decoder.decode_stream(clean)
    ours = our_decoder(han2x, data, code=1)
    assert ours == han_decoder.decode_stream(data)
    assert 100 < len(ours) < 1000
    assert all(reading in truth for reading in ours)


# ---- how it is sent ----


def test_file(han2x, tmp_path):
    path = tmp_path / "meter.bin"
    simulate(han2x, "--pace", "max", "--count", "7", "-o", str(path))
    assert path.read_bytes() == stream(han2x, "aidon", "3tn", 7)


def start_meter(program, *arguments):
    """A running meter, and where it says that it is."""
    process = subprocess.Popen([program, "simulate", *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def finish(process, code=0):
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code


def test_pty_waits_for_its_reader(han2x):
    process, path = start_meter(han2x, "--pace", "max", "--count", "50", "-o", "pty")
    expected = stream(han2x, "aidon", "3tn", 50)
    with open(path, "rb", buffering=0) as line:
        got = b""
        while len(got) < len(expected):
            got += line.read(4096)
    finish(process)
    assert got == expected


def connect(where):
    host, port = where.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=DEADLINE_S)


def receive_all(connection):
    data = b""
    while True:
        more = connection.recv(65536)
        if not more:
            return data
        data += more


def test_tcp_serves_many(han2x):
    process, where = start_meter(han2x, "--meter", "kaifa", "--count", "3", "-o", "tcp:0")
    clients = [connect(where) for _ in range(5)]
    try:
        streams = [receive_all(c) for c in clients]
    finally:
        for c in clients:
            c.close()
    finish(process)
    assert max(len(list(han_decoder.frames(s))) for s in streams) == 3
    # whoever came after the first telegram still has the others, whole
    assert all(len(list(han_decoder.frames(s))) >= 2 for s in streams)


def test_tcp_reader_leaves_another_comes(han2x):
    process, where = start_meter(han2x, "--pace", "max", "-o", "tcp:0")
    for _ in range(3):
        with connect(where) as c:
            data = c.recv(65536)
            assert data[:1] == b"\x7e"
    process.terminate()
    finish(process)


def test_real_pace(han2x):
    """Aidon: 2.5 s between lists; less than that for three would be too fast."""
    begin = datetime.now()
    data = simulate(han2x, "--start", "2025-01-06T18:00:09Z", "--count", "2")
    assert timedelta(seconds=0.9) < datetime.now() - begin
    assert [r["list"] for r in han_decoder.decode_stream(data)] == [2, 3]


@pytest.mark.parametrize("arguments, told", [
    (["--meter", "acme"], "aidon, kaifa, kamstrup"),
    (["--phases", "2"], "1, 3it, 3tn"),
    (["--pace", "slow"], "real, max"),
    (["--count", "-1"], "whole number"),
    (["--seed", "x"], "whole number"),
    (["--noise", "2"], "bit error rate"),
    (["--noise", "nan"], "bit error rate"),
    (["--start", "yesterday"], "2025-01-31T23:59:50Z"),
    (["--start", "2025-02-29T00:00:00Z"], "2025-01-31T23:59:50Z"),
    (["-o", "tcp:99999"], "tcp:PORT"),
    (["-o", "tcp:nowhere:1"], "tcp:PORT"),
    (["--frobnicate"], "--frobnicate"),
    (["--seed"], "--seed"),
    (["out.bin"], "out.bin"),
])
def test_usage(han2x, arguments, told):
    done = subprocess.run([han2x, "simulate", *arguments], capture_output=True, text=True,
                          timeout=DEADLINE_S)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_output_that_cannot_be(han2x, tmp_path):
    done = subprocess.run([han2x, "simulate", "--count", "1", "-o", str(tmp_path / "no" / "file")],
                          capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert "no/file" in done.stderr and "No such file" in done.stderr


def test_port_in_use(han2x):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        done = subprocess.run([han2x, "simulate", "-o", "tcp:%d" % s.getsockname()[1]],
                              capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert "in use" in done.stderr


def test_ends_when_told(han2x):
    process = subprocess.Popen([han2x, "simulate", "--pace", "max", "-o", "-"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1000)
    process.terminate()
    finish(process)


# ---- in the gateway ----


@pytest.mark.parametrize("maker", MAKERS)
def test_simulated_values_are_marked(start, maker):
    """The built-in meter: values at once, and nobody takes them for real ones."""
    running = start({"meter.source": "sim:" + maker})
    master = masters.Libmodbus.tcp(running.port)
    wait_for("simulated values", lambda: masters.u32(master.read(1040, 2)) > 0)
    block = master.read(0, 51)
    assert 2070 <= masters.u32(block, 14) <= 2530
    flags = masters.u32(master.read(1002, 2))
    assert flags & SIMULATED_FLAG
    meter_id = b"".join(word.to_bytes(2, "big") for word in master.read(1236, 16))
    assert meter_id.startswith(b"SIM" + str(MAKERS.index(maker) + 1).encode())
    running.wait_log("SIMULATED")
    master.close()
    running.stop()

    # what was saved of them stays marked, whatever the source is now
    again = start({"meter.source": "serial:/dev/no-such-line"})
    master = masters.Libmodbus.tcp(again.port)
    assert masters.u32(master.read(1002, 2)) & SIMULATED_FLAG
    master.close()
