"""Every recorded telegram goes in at a serial line; its values come out at Modbus TCP and RTU."""
import datetime

import pytest

import masters
from gateway import wait_for
from masters import u32
from vectors import streams, telegrams

TELEGRAMS = telegrams()

# key of the recorded value: (PDU address, factor to the register's unit); device manual
REGISTERS = {
    "active_power_import_w": (0, 1), "active_power_export_w": (2, 1),
    "reactive_power_import_var": (4, 1), "reactive_power_export_var": (6, 1),
    "current_l1_a": (8, 1000), "current_l2_a": (10, 1000), "current_l3_a": (12, 1000),
    "voltage_l1_v": (14, 10), "voltage_l2_v": (16, 10), "voltage_l3_v": (18, 10),
}
ENERGIES = {
    "active_energy_import_wh": 20, "active_energy_export_wh": 22,
    "reactive_energy_import_varh": 24, "reactive_energy_export_varh": 26,
}


def expected_registers(value):
    """{address: 32 bits} and the clock's six registers, or None where it sends no clock."""
    out = {}
    for key, (address, factor) in REGISTERS.items():
        if value[key] is not None:
            out[address] = int(value[key] * factor) % 2**32  # currents have a sign
    for key, address in ENERGIES.items():
        if value[key] is not None:
            out[address] = int(value[key]) // 1000
    clock = value["meter_clock"] or value["apdu_datetime"]
    if clock is None:
        return out, None
    moment = datetime.datetime.fromisoformat(clock["local"])
    return out, list(moment.timetuple()[:6])


def seen(block, addresses):
    return {address: u32(block, address) for address in addresses}


def in_order(name):
    """One meter's telegrams after each other, oldest first, lists 1 of unknown meters last."""
    record = TELEGRAMS[name]
    value = record["expected"]
    clock = value["meter_clock"] or value["apdu_datetime"] or {"local": ""}
    return record["manufacturer"], value["meter_id"] or "~", clock["local"], name


@pytest.fixture(scope="module")
def rig(start_shared):
    """(meter, reading over TCP, reading over RTU) of one gateway for all telegrams: each change
    of the meter is a meter swap."""
    meter, line = start_shared.meter(), start_shared.line()
    running = start_shared({
        "meter.source": "serial:" + meter.path,
        "modbus_rtu.enabled": "yes", "modbus_rtu.device": line.ours,
    })
    tcp, rtu = masters.Libmodbus.tcp(running.port), masters.Libmodbus.rtu(line.theirs)
    yield meter, tcp, rtu
    tcp.close()
    rtu.close()


@pytest.mark.parametrize("name", sorted(TELEGRAMS, key=in_order))
def test_telegram(rig, name):
    meter, tcp, rtu = rig
    record = TELEGRAMS[name]
    expected, clock = expected_registers(record["expected"])
    # Twice: another meter, or energies that jump by years, are believed when two lists agree.
    meter.write(2 * bytes.fromhex(record["hex"]))

    def arrived():
        block = tcp.read(0, 51)
        return seen(block, expected) == expected and clock in (None, block[36:42]) and block
    try:
        block = wait_for(name, arrived)
    except AssertionError:
        block = tcp.read(0, 51)
        assert (seen(block, expected), block[36:42]) == (expected, clock)
        raise
    assert rtu.read(0, 51)[:44] == block[:44]


@pytest.mark.parametrize("name", ["kaifa-20170915-hour", "kaifa-20170914-lost-bytes"])
def test_recorded_stream(start, name):
    """As many telegrams as the recording holds undamaged, and the last one's power."""
    record = streams()[name]
    meter = start.meter()
    running = start({"meter.source": "serial:" + meter.path})
    meter.write(bytes.fromhex(record["hex"]))
    tcp = masters.Libmodbus.tcp(running.port)

    wait_for("all telegrams of the recording",
             lambda: u32(tcp.read(1040, 2)) == len(record["frames"]))
    assert u32(tcp.read(0, 2)) == record["frames"][-1]["active_power_import_w"]
    energies = [f["active_energy_import_wh"] for f in record["frames"] if f["list"] == 3]
    assert u32(tcp.read(20, 2)) == (energies[-1] // 1000 if energies else 0)
    tcp.close()
