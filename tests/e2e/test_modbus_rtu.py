"""The same registers over a serial line."""
import os
import select
import struct
import time

import pytest

import masters
from gateway import DEADLINE_S, wait_for
from masters import Refused, u32
from vectors import telegrams

VECTOR = telegrams()["kaifa-l2-13el-ma304h3e-20170915T045440"]
MASTERS = {"pymodbus": masters.Pymodbus, "libmodbus": masters.Libmodbus, "mbpoll": masters.Mbpoll}
SCALE = 48


@pytest.fixture(scope="module")
def line(start_shared):
    return start_shared.line()


@pytest.fixture(scope="module", autouse=True)
def gateway(start_shared, line):
    meter = start_shared.meter()
    running = start_shared({
        "meter.source": "serial:" + meter.path,
        "modbus_rtu.enabled": "yes",
        "modbus_rtu.device": line.ours,
    })
    meter.write(bytes.fromhex(VECTOR["hex"]))
    over_tcp = masters.Raw(running.port)
    wait_for("the telegram in the registers",
             lambda: over_tcp.pdu(bytes.fromhex("03000e0002"))[2:] == b"\x00\x00\x09\x56")
    over_tcp.close()
    return running


@pytest.fixture(params=sorted(MASTERS))
def master(request, line):
    client = MASTERS[request.param].rtu(line.theirs)
    yield client
    client.close()


@pytest.fixture(params=["libmodbus", "pymodbus"])
def library(request, line):
    client = MASTERS[request.param].rtu(line.theirs)
    yield client
    client.write_many(SCALE, [0, 1000])
    client.close()


def crc_modbus(data):
    register = 0xFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return struct.pack("<H", register)


class Wire:
    """The line without any library."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY)

    def send(self, frame, crc=None):
        os.write(self._fd, frame + (crc_modbus(frame) if crc is None else crc))

    def receive(self, length):
        """That many octets, checksum checked and cut off."""
        got, end = b"", time.monotonic() + DEADLINE_S
        while len(got) < length + 2:
            assert select.select([self._fd], [], [], max(0, end - time.monotonic()))[0], got.hex()
            got += os.read(self._fd, length + 2 - len(got))
        assert crc_modbus(got[:-2]) == got[-2:]
        return got[:-2]

    def close(self):
        os.close(self._fd)


@pytest.fixture
def wire(line):
    end = Wire(line.theirs)
    yield end
    end.close()


def test_known_checksum():
    """Modbus over serial line V1.02, 6.2.2: the CRC of 02 07 is 0x1241, sent 41 12."""
    assert crc_modbus(bytes.fromhex("0207")).hex() == "4112"


def test_whole_block(master):
    block = master.read(0, 51)
    value = VECTOR["expected"]
    assert u32(block, 0) == value["active_power_import_w"]
    assert [u32(block, at) for at in (8, 10, 12)] == \
        [int(value["current_l%d_a" % n] * 1000) for n in (1, 2, 3)]
    assert u32(block, 14) == 2390
    assert block[36:42] == [2017, 9, 15, 4, 54, 40]
    assert block[48:51] == [0, 1000, 0]


@pytest.mark.parametrize("first, count", [(14, 2), (0, 1), (50, 1), (20, 16)])
def test_slices(master, first, count):
    assert len(master.read(first, count)) == count


def test_same_as_over_tcp(library, gateway):
    over_tcp = masters.Libmodbus.tcp(gateway.port)
    assert library.read(0, 51) == over_tcp.read(0, 51) == library.read_input(0, 51)
    over_tcp.close()


def test_the_longest_answer(library):
    assert len(library.read(1100, 125)) == 125


def test_write_scale(library):
    library.write_many(SCALE, [0, 2000])
    assert u32(library.read(0, 2)) == 2 * VECTOR["expected"]["active_power_import_w"]
    library.write_one(SCALE + 1, 3000)
    assert library.read(44, 2) == [0, 3000]
    library.mask_write(SCALE + 1, 0, 1000)
    assert library.read(SCALE, 2) == [0, 1000]
    assert library.read_write(44, 2, SCALE, [0, 1001]) == [0, 1001]


def test_mbpoll_writes(line):
    client = masters.Mbpoll.rtu(line.theirs)
    client.write_many(SCALE, [0, 1500])
    assert client.read(SCALE, 2) == [0, 1500]
    client.write_many(SCALE, [0, 1000])


def test_refusals(library):
    for call, code in [
            (lambda: library.read(51, 1), 2),
            (lambda: library.read(999, 1), 2),
            (lambda: library.write_one(14, 1), 2),
            (lambda: library.write_many(SCALE, [0, 9]), 3)]:
        with pytest.raises(Refused) as refusal:
            call()
        assert refusal.value.code == code
    assert library.read(SCALE, 2) == [0, 1000]


def test_other_units_and_damage_are_passed_over(wire):
    """Only the last of these is for us: its answer is the first thing on the line."""
    wire.send(bytes.fromhex("02030000000a"))
    time.sleep(0.05)  # longer than the silence that parts frames
    wire.send(bytes.fromhex("01030000000a"), crc=b"\x00\x00")
    time.sleep(0.05)
    wire.send(bytes.fromhex("0103000e0002"))
    assert wire.receive(7).hex() == "01030400000956"


def test_broadcast_writes_and_is_not_answered(wire):
    wire.send(bytes.fromhex("0006003103e9"))  # scale 1001
    time.sleep(0.05)
    wire.send(bytes.fromhex("010300300002"))
    assert wire.receive(7).hex() == "0103040000" + "03e9"
    wire.send(bytes.fromhex("0106003103e8"))
    assert wire.receive(6).hex() == "0106003103e8"


def test_diagnostics_echo(wire):
    wire.send(bytes.fromhex("010800005a5a"))
    assert wire.receive(6).hex() == "010800005a5a"
