"""The manual's registers over TCP, read and written by masters that are not our code."""
import math
import socket
import struct

import pytest

import masters
from gateway import wait_for
from masters import Refused, u32
from vectors import telegrams

# L1 239.0 V: the manual's example, "Eksempel" under Modbus TCP
NAME = "kaifa-l2-13el-ma304h3e-20170915T045440"
VECTOR = telegrams()[NAME]
MASTERS = {"pymodbus": masters.Pymodbus, "libmodbus": masters.Libmodbus, "mbpoll": masters.Mbpoll}
SCALE, ALIAS = 48, 44


@pytest.fixture(scope="module")
def gateway(start_shared):
    meter = start_shared.meter()
    running = start_shared({"meter.source": "serial:" + meter.path})
    meter.write(bytes.fromhex(VECTOR["hex"]))
    with_raw = masters.Raw(running.port)
    wait_for("the telegram in the registers",
             lambda: with_raw.pdu(bytes.fromhex("03000e0002"))[2:] == b"\x00\x00\x09\x56")
    with_raw.close()
    return running


@pytest.fixture(params=sorted(MASTERS))
def master(request, gateway):
    client = MASTERS[request.param].tcp(gateway.port)
    yield client
    client.close()


@pytest.fixture(params=["libmodbus", "pymodbus"])
def library(request, gateway):
    """Masters that know all functions; the scale is put back."""
    client = MASTERS[request.param].tcp(gateway.port)
    yield client
    client.write_many(SCALE, [0, 1000])
    client.close()


@pytest.fixture
def raw(gateway):
    client = masters.Raw(gateway.port)
    yield client
    client.close()


def expected_main_block():
    """40001-40044 by the manual's table, from the recorded values; None where anything goes."""
    value = VECTOR["expected"]
    words = []
    for key, factor in [
            ("active_power_import_w", 1), ("active_power_export_w", 1),
            ("reactive_power_import_var", 1), ("reactive_power_export_var", 1),
            ("current_l1_a", 1000), ("current_l2_a", 1000), ("current_l3_a", 1000),
            ("voltage_l1_v", 10), ("voltage_l2_v", 10), ("voltage_l3_v", 10)]:
        words += divmod(int(value[key] * factor), 65536)
    words += [0] * 16  # energies: none before the hour, estimates neither
    words += [2017, 9, 15, 4, 54, 40]
    return words


def test_manual_example_byte_for_byte(raw):
    """M17: the request and the response as printed in the manual."""
    answer = raw.exchange(bytes.fromhex("00010000000601 03000E0002"), 13)
    assert answer.hex() == "00010000000701030400000956"


def test_whole_block(master):
    block = master.read(0, 51)
    assert block[:42] == expected_main_block()
    assert block[42] < 10000  # version
    assert block[43] == 0  # no temperature sensor
    assert block[44:47] == [0, 1000, 0]
    assert block[47] == 0  # hours since the start
    assert block[48:51] == [0, 1000, 0]


@pytest.mark.parametrize("first, count", [(0, 1), (1, 1), (14, 2), (15, 3), (20, 16), (36, 6),
                                          (41, 10), (50, 1)])
def test_slices(master, first, count):
    assert master.read(first, count) == master.read(0, 51)[first:first + count]


def test_every_slice(gateway):
    client = masters.Libmodbus.tcp(gateway.port)
    block = client.read(0, 51)
    for first in range(51):
        for count in range(1, 52 - first):
            assert client.read(first, count) == block[first:first + count]
    client.close()


def test_input_registers_mirror(library):
    assert library.read_input(0, 51) == library.read(0, 51)


@pytest.mark.parametrize("first, count", [(51, 1), (50, 2), (0, 52), (999, 1), (65535, 1),
                                          (4000, 10)])
def test_outside_the_map(library, first, count):
    with pytest.raises(Refused) as refusal:
        library.read(first, count)
    assert refusal.value.code == 2


@pytest.mark.parametrize("first", [SCALE, ALIAS])
def test_scale_by_function_10(library, first):
    library.write_many(first, [0, 2500])
    block = library.read(0, 51)
    assert block[44:46] == block[48:50] == [0, 2500]
    power = VECTOR["expected"]["active_power_import_w"]
    assert u32(block, 0) == (power * 2500 + 500) // 1000  # scaled, half away from zero
    assert u32(block, 14) == 2390  # voltages are not


def test_scale_by_function_06(library):
    library.write_one(SCALE + 1, 500)
    assert library.read(SCALE, 2) == [0, 500]
    library.write_one(ALIAS, 1)  # high word: 65536 + 500
    assert u32(library.read(SCALE, 2)) == 66036


def test_scale_by_mbpoll(gateway):
    client = masters.Mbpoll.tcp(gateway.port)
    client.write_many(SCALE, [1, 0])
    assert client.read(SCALE, 2) == [1, 0]
    client.write_many(SCALE, [0, 1000])
    assert client.read(ALIAS, 2) == [0, 1000]


def test_scale_by_mask_write(library):
    """(1000 and 0x00FF) or (0x0300 and not 0x00FF): 0x3E8 becomes 0x3E8 again, then 0x2E8."""
    library.mask_write(SCALE + 1, 0x00FF, 0x0300)
    assert library.read(SCALE, 2) == [0, 0x03E8]
    library.mask_write(SCALE + 1, 0x00FF, 0x0200)
    assert library.read(SCALE, 2) == [0, 0x02E8]


def test_function_16_with_the_body_of_a_write_multiple(raw):
    """The manual prints "0x16 Write multiple": a client built from it sends this."""
    assert raw.pdu(bytes.fromhex("16 0030 0002 04 00000BB8")).hex() == "1600300002"
    assert raw.pdu(bytes.fromhex("03 0030 0002")).hex() == "030400000bb8"
    assert raw.pdu(bytes.fromhex("16 0030 0002 04 000003E8")).hex() == "1600300002"


def test_read_write_in_one(library):
    """Function 17 writes before it reads."""
    assert library.read_write(ALIAS, 2, SCALE, [0, 1234]) == [0, 1234]


@pytest.mark.parametrize("words", [[0, 9], [0, 0], [0x3B9A, 0xCA00], [0xFFFF, 0xFFFF]])
def test_scale_out_of_range(library, words):
    """Allowed are 10 … 999 999 999; 0x3B9ACA00 is one more."""
    with pytest.raises(Refused) as refusal:
        library.write_many(SCALE, words)
    assert refusal.value.code == 3
    assert library.read(SCALE, 2) == [0, 1000]


def test_half_a_scale_out_of_range(library):
    with pytest.raises(Refused) as refusal:
        library.write_one(SCALE + 1, 9)
    assert refusal.value.code == 3
    assert library.read(SCALE, 2) == [0, 1000]


@pytest.mark.parametrize("address", [0, 14, 20, 36, 43, 46, 47, 50, 1000])
def test_read_only(library, address):
    before = library.read(address, 1)
    with pytest.raises(Refused) as refusal:
        library.write_one(address, 1)
    assert refusal.value.code == 2
    with pytest.raises(Refused) as refusal:
        library.write_many(address, [1, 1] if address < 50 else [1])
    assert refusal.value.code == 2
    assert library.read(address, 1) == before


def test_write_across_the_edge_changes_nothing(library):
    with pytest.raises(Refused) as refusal:
        library.write_many(SCALE, [0, 2000, 1])  # the third is the digital input
    assert refusal.value.code == 2
    assert library.read(SCALE, 2) == [0, 1000]


def test_extension_floats(library):
    """41101 and up: float32 in W, A, V; NaN for what the meter has not told."""
    words = library.read(1100, 36)
    floats = list(struct.unpack(">18f", struct.pack(">36H", *words)))
    value = VECTOR["expected"]
    keys = ["active_power_import_w", "active_power_export_w", "reactive_power_import_var",
            "reactive_power_export_var", "current_l1_a", "current_l2_a", "current_l3_a",
            "voltage_l1_v"]
    nearest = [struct.unpack(">f", struct.pack(">f", float(value[k])))[0] for k in keys]
    assert floats[:8] == nearest
    assert math.isnan(floats[8])  # sent as 0, but a 3-wire Kaifa does not measure it
    assert math.isnan(floats[10]) and math.isnan(floats[14])  # no hourly list yet


def test_extension_counters_and_texts(library):
    assert u32(library.read(1040, 2)) == 1
    assert u32(library.read(1044, 2)) == 1
    words = library.read(1236, 16)
    text = struct.pack(">16H", *words).rstrip(b"\0").decode()
    assert text == VECTOR["expected"]["meter_id"]


def test_extension_in_one_read(library):
    assert len(library.read(1100, 120)) == 120


def test_units(gateway, start_shared):
    """0, 255 and by default every other unit id is answered."""
    for unit in (0, 1, 2, 100, 247, 255):
        client = masters.Raw(gateway.port)
        assert client.pdu(bytes.fromhex("03000e0002"), unit).hex() == "030400000956"
        client.close()


def test_units_strict(start):
    strict = start({"modbus_tcp.any_unit": "no", "modbus_tcp.unit": 17})
    client = masters.Raw(strict.port)
    for unit in (17, 0, 255):
        assert client.pdu(bytes.fromhex("0300300002"), unit).hex() == "0304000003e8"
    assert client.pdu(bytes.fromhex("0300300002"), 16).hex() == "830b"
    client.close()


def test_writes_can_be_forbidden(start):
    locked = start({"modbus_tcp.allow_write": "no"})
    client = masters.Libmodbus.tcp(locked.port)
    with pytest.raises(Refused) as refusal:
        client.write_many(SCALE, [0, 2000])
    assert refusal.value.code == 2
    assert client.read(SCALE, 2) == [0, 1000]
    client.close()


def test_a_write_is_logged_with_its_peer(start):
    running = start()
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as s:
        peer = r"127\.0\.0\.1 port %d" % s.getsockname()[1]
        s.sendall(bytes.fromhex("000100000006010600310400"))
        assert s.recv(12).hex() == "000100000006010600310400"
        running.wait_log(peer + r".*\b1\.024\b")


def test_sixteen_masters_each_in_order(gateway):
    """Ten pipelined requests from each; answers come in the order of the transactions."""
    sockets = [socket.create_connection(("127.0.0.1", gateway.port), timeout=5)
               for _ in range(16)]
    for s in sockets:
        s.sendall(b"".join(struct.pack(">HHHBBHH", t, 0, 6, 1, 3, t, 1) for t in range(10)))
    for s in sockets:
        answer = b""
        while len(answer) < 110:
            answer += s.recv(110 - len(answer))
        assert [struct.unpack_from(">H", answer, 11 * t)[0] for t in range(10)] == list(range(10))
        s.close()
