"""The gateway with its surroundings: meter sources that come and go, faults of the disk, signals."""
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

import gateway
import masters
import telegrams
from gateway import Adapter, wait_for

CLOCK = "2025-01-06T18:00:00"
POWER = 0  # PDU address of 40001


def power(running):
    """Import power in W as a master reads it."""
    master = masters.Pymodbus.tcp(running.port)
    try:
        return masters.u32(master.read(POWER, 2))
    finally:
        master.close()


def wait_power(running, watts):
    wait_for("%d W in the registers, log:\n%s" % (watts, running.text()),
             lambda: power(running) == watts)


# ---- a tty that is plugged in and out ----


@pytest.fixture
def adapter(tmp_path):
    thing = Adapter(str(tmp_path / "ttyUSB7"))
    yield thing
    thing.close()


def test_serial_unplugged_and_replugged(start, adapter):
    adapter.plug_in()
    running = start({"meter.source": "serial:" + adapter.path})
    running.wait_log("meter line .*ttyUSB7: open")
    adapter.write(telegrams.kaifa(CLOCK, power_w=1111))
    wait_power(running, 1111)
    running.wait_log("good telegrams: maker kaifa, meter " + telegrams.METER_ID)
    adapter.unplug()
    running.wait_log("unplugged")
    assert power(running) == 1111  # masters are served all the while
    adapter.plug_in()
    begin = time.monotonic()
    running.wait_log("open again")
    assert time.monotonic() - begin < 2 * gateway.SLOW
    adapter.write(telegrams.kaifa(CLOCK, power_w=2222))
    wait_power(running, 2222)


def test_serial_that_is_not_there_yet(start, adapter):
    running = start({"meter.source": "serial:" + adapter.path})
    running.wait_log("no such device now")
    assert power(running) == 0
    adapter.plug_in()
    running.wait_log("meter line .*: open")
    adapter.write(telegrams.kaifa(CLOCK, power_w=3))
    wait_power(running, 3)


def test_serial_octet_ff_comes_through(start, adapter):
    """0xFF is what marks an error: a power of 0x00FFFFFF has three of them."""
    adapter.plug_in()
    running = start({"meter.source": "serial:" + adapter.path})
    running.wait_log("meter line .*: open")
    # so much power counts only when two telegrams agree
    adapter.write(telegrams.kaifa(CLOCK, power_w=0x00FFFFFF))
    for half in (0, 1):  # once whole, once cut inside the FFs
        frame = telegrams.kaifa(CLOCK, power_w=0x00FFFFFF - half)
        cut = frame.index(b"\x00\xff\xff") + 2 if half else 0
        adapter.write(frame[:cut])
        if cut:
            time.sleep(0.05)  # two reads, or one: both are right
        adapter.write(frame[cut:])
        wait_power(running, 0x00FFFFFF - half)


def test_serial_is_no_tty(start, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    running = start({"meter.source": "serial:%s" % path})
    running.wait_log("not a serial device")
    assert power(running) == 0


def test_serial_line_that_another_program_has(start, adapter):
    adapter.plug_in()
    other = os.open(adapter.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    running = start({"meter.source": "serial:" + adapter.path})
    running.wait_log("another program is using it")
    os.close(other)
    running.wait_log("meter line .*: open")


# ---- a serial server ----


class SerialServer:
    """A TCP server that one gateway connects to."""

    def __init__(self, port):
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(gateway.DEADLINE_S)
        self.connection = None

    def accept(self):
        self.connection, _ = self._listener.accept()

    def write(self, data):
        self.connection.sendall(data)

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self._listener.close()


def test_tcp_comes_back(start):
    port = gateway.free_port()
    running = start({"meter.source": "tcp://127.0.0.1:%d" % port})
    running.wait_log("Connection refused; trying again")
    server = SerialServer(port)
    server.accept()
    server.write(telegrams.kaifa(CLOCK, power_w=10))
    wait_power(running, 10)
    server.close()
    running.wait_log("closed the connection|reset")
    server = SerialServer(port)
    server.accept()
    server.write(telegrams.kaifa(CLOCK, power_w=11))
    wait_power(running, 11)
    server.close()


def test_tcp_by_name(start):
    server = SerialServer(gateway.free_port())
    port = server._listener.getsockname()[1]
    running = start({"meter.source": "tcp://localhost:%d" % port})
    server.accept()
    server.write(telegrams.kaifa(CLOCK, power_w=12))
    wait_power(running, 12)
    server.close()


def test_tcp_name_that_is_not_known(start):
    running = start({"meter.source": "tcp://no-such-host.invalid:9"})
    running.wait_log("no-such-host.invalid:9: .*; trying again")
    assert power(running) == 0


# ---- recordings ----


@pytest.mark.parametrize("form", ["raw", "hex"])
def test_file_at_line_speed(start, tmp_path, form):
    """2400 baud 8N1 are 240 octets a second."""
    frames = [telegrams.kaifa(CLOCK, power_w=w) for w in (1, 2, 3)]
    path = tmp_path / "recording"
    if form == "raw":
        path.write_bytes(b"".join(frames))
    else:
        path.write_text("# a recording\n" + "\n".join(f.hex(" ") for f in frames) + "\n")
    begin = time.monotonic()
    running = start({"meter.source": "file:%s" % path})
    wait_power(running, 3)
    octets = sum(map(len, frames))
    running.wait_log("ended after %d octets" % octets)
    assert time.monotonic() - begin > octets / 240 - 0.2


def run_briefly(han2x, tmp_path, *arguments, stdin=subprocess.DEVNULL):
    """A start that must fail by itself: (exit code, log lines)."""
    done = subprocess.run([han2x, "run", "--state-dir", str(tmp_path / "state"), *arguments],
                          stdin=stdin, stderr=subprocess.PIPE, text=True,
                          timeout=gateway.DEADLINE_S)
    return done.returncode, done.stderr.splitlines()


def test_file_that_cannot_be_read(han2x, tmp_path):
    code, log = run_briefly(han2x, tmp_path, "-s", "modbus_tcp.port=%d" % gateway.free_port(),
                            "-s", "meter.source=file:%s/nothing" % tmp_path)
    assert code == 1
    assert "nothing: No such file" in log[-1]


def test_stdin(han2x, tmp_path):
    port = gateway.free_port()
    command = [han2x, "run", "--state-dir", str(tmp_path), "-s", "meter.source=stdin",
               "-s", "modbus_tcp.listen=127.0.0.1", "-s", "modbus_tcp.port=%d" % port]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.stdin.write(telegrams.kaifa(CLOCK, power_w=77))
        process.stdin.close()

        def look():
            try:
                master = masters.Pymodbus.tcp(port)
            except AssertionError:
                return False
            value = masters.u32(master.read(POWER, 2))
            master.close()
            return value == 77
        wait_for("77 W in the registers", look)
        assert process.poll() is None  # the end of the input is not the end of the gateway
    finally:
        process.send_signal(signal.SIGTERM)
        log = process.stderr.read().decode()
        assert process.wait(gateway.DEADLINE_S) == 0
    assert "stdin: ended" in log


@pytest.mark.parametrize("maker", ["aidon", "kaifa", "kamstrup"])
def test_simulator_says_so(start, maker):
    running = start({"meter.source": "sim:" + maker})
    running.wait_log("SIMULATED, no meter is read")
    running.wait_log("good telegrams: maker %s, meter SIM" % maker)


# ---- start-up failures: one clear line, exit 1 ----


def test_port_in_use(start, han2x, tmp_path):
    running = start()
    code, log = run_briefly(han2x, tmp_path, "-s", "modbus_tcp.listen=127.0.0.1",
                            "-s", "modbus_tcp.port=%d" % running.port)
    assert code == 1
    assert "port %d: Address already in use" % running.port in log[-1]
    assert "modbus_tcp.port" in log[-1]


def test_wrong_usage(han2x, tmp_path):
    assert run_briefly(han2x, tmp_path, "-s", "modbus_tcp.port=0")[0] == 2
    assert run_briefly(han2x, tmp_path, "surplus")[0] == 2
    assert run_briefly(han2x, tmp_path, "--no-such-option")[0] == 2
    assert run_briefly(han2x, tmp_path, "-c")[0] == 2


def test_bad_settings_file(han2x, tmp_path):
    path = tmp_path / "han2x.conf"
    path.write_text("[modbus_tcp]\nport = many\n")
    code, log = run_briefly(han2x, tmp_path, "-c", str(path))
    assert code == 1
    assert "han2x.conf" in log[-1] and "2" in log[-1] and "port" in log[-1]


def test_same_line_for_meter_and_masters(han2x, tmp_path, adapter):
    adapter.plug_in()
    other = tmp_path / "other-name"
    other.symlink_to(os.path.realpath(adapter.path))
    code, log = run_briefly(han2x, tmp_path, "-s", "modbus_tcp.enabled=no",
                            "-s", "modbus_rtu.enabled=yes", "-s", "modbus_rtu.device=%s" % other,
                            "-s", "meter.source=serial:" + adapter.path)
    assert code == 1
    assert "the same line" in log[-1]


# ---- the state folder ----


def state_file(running):
    return running.state_dir / "state"


def starts(running):
    return int(running.wait_log(r"device number \d+, start (\d+)").group(1))


def number(running):
    return int(running.wait_log(r"device number (\d+)").group(1))


def test_state_outlives_a_restart(start):
    first = start()
    assert starts(first) == 1
    drawn = number(first)
    assert 10000 <= drawn <= 99999
    master = masters.Pymodbus.tcp(first.port)
    master.write_many(48, [0, 2500])
    master.close()
    first.stop()
    second = start()
    assert (starts(second), number(second)) == (2, drawn)
    master = masters.Pymodbus.tcp(second.port)
    assert masters.u32(master.read(48, 2)) == 2500
    master.close()


def test_state_outlives_a_power_cut(start):
    """What was written over Modbus is on the disk after 2 s, the start counter at once."""
    first = start()
    drawn = number(first)
    wait_for("the first save", lambda: state_file(first).exists())
    master = masters.Pymodbus.tcp(first.port)
    master.write_many(48, [0, 1500])
    master.close()
    wait_for("the scale in the file", lambda: "scale 1500" in state_file(first).read_text())
    first.kill()
    second = start()
    assert (starts(second), number(second)) == (2, drawn)
    start.forget(first)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign", "huge", "folder"])
def test_state_that_cannot_be_used(start, damage):
    """One damaged file costs nothing, there is a copy; two begin anew. What was damaged is kept."""
    first = start()
    drawn = number(first)
    first.stop()
    path = state_file(first)
    copy = path.with_name("state.copy")
    good = path.read_bytes()
    bad = {"empty": b"", "cut": good[:-9], "flipped": bytes([good[0], good[1] ^ 1]) + good[2:],
           "foreign": b"<xml/>\n", "huge": good * 100}.get(damage)
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(bad)
    second = start()
    second.wait_log("cannot be used: .*kept as state.bad")
    assert (starts(second), number(second)) == (2, drawn)
    kept = second.state_dir / "state.bad"
    assert kept.is_dir() if damage == "folder" else kept.read_bytes() == bad
    wait_for("a new file", lambda: path.is_file() and path.read_bytes().startswith(b"han2x-state"))
    second.stop()
    path.write_bytes(b"<xml/>\n")
    copy.write_bytes(b"<xml/>\n")
    third = start()
    third.wait_log("cannot be used: .*kept as state.copy.bad")
    assert starts(third) == 1


def test_state_folder_is_shared_by_nobody(start, han2x, tmp_path):
    running = start()
    code, log = run_briefly(han2x, tmp_path, "--state-dir", str(running.state_dir),
                            "-s", "modbus_tcp.port=%d" % gateway.free_port())
    assert code == 1
    assert "another gateway is using it" in log[-1] and str(running.state_dir) in log[-1]


def test_state_folder_that_cannot_be_made(han2x, tmp_path):
    (tmp_path / "file").write_text("")
    code, log = run_briefly(han2x, tmp_path, "--state-dir", str(tmp_path / "file" / "below"),
                            "-s", "modbus_tcp.port=%d" % gateway.free_port())
    assert code == 1
    assert "--state-dir" in log[-1] and str(tmp_path / "file" / "below") in log[-1]


def test_state_folder_that_goes_away(start):
    """The disk fails in the middle: said once, masters are served on."""
    running = start()
    wait_for("the first save", (running.state_dir / "state.copy").exists)  # written last

    def gone():  # the start may still be adding files
        shutil.rmtree(running.state_dir, ignore_errors=True)
        return not running.state_dir.exists()
    wait_for("no folder", gone)
    master = masters.Pymodbus.tcp(running.port)
    master.write_many(48, [0, 1234])
    running.wait_log("cannot save to .*the gateway goes on")
    assert masters.u32(master.read(48, 2)) == 1234
    master.close()


# ---- signals ----


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ends_within_a_second(start, sig):
    running = start({"meter.source": "sim:aidon"})
    running.wait_log("good telegrams")
    idle = socket.create_connection(("127.0.0.1", running.port))
    begin = time.monotonic()
    running.stop(sig)
    assert time.monotonic() - begin < 1 * gateway.SLOW
    idle.close()


def test_ends_while_a_lookup_hangs(start):
    """192.0.2.1 is for documentation: nothing answers."""
    running = start({"meter.source": "tcp://192.0.2.1:9"})
    begin = time.monotonic()
    running.stop()
    assert time.monotonic() - begin < 1 * gateway.SLOW


def write_conf(path, **settings):
    lines = []
    for key, value in settings.items():
        section, _, name = key.partition("__")
        lines.append("[%s]\n%s = %s\n" % (section, name, value))
    path.write_text("".join(lines))


def test_reload(han2x, tmp_path):
    conf, state = tmp_path / "han2x.conf", tmp_path / "state"
    port, other = gateway.free_port(), gateway.free_port()
    base = {"modbus_tcp__listen": "127.0.0.1", "meter__source": "file:/dev/null"}
    write_conf(conf, modbus_tcp__port=port, **base)
    running = gateway.Gateway(han2x, state, {}, port, ["-c", str(conf)])
    try:
        running.wait_listening()
        stays = masters.Pymodbus.tcp(port)

        write_conf(conf, modbus_tcp__port="many", **base)  # bad: the old ones stay
        running.process.send_signal(signal.SIGHUP)
        running.wait_log("the settings were not changed")
        assert masters.u32(stays.read(48, 2)) == 1000

        write_conf(conf, modbus_tcp__port=other, device__scale=2000, modbus_tcp__allow_write="no",
                   **{**base, "meter__source": "sim:kaifa"})
        running.process.send_signal(signal.SIGHUP)
        running.wait_log("settings loaded")
        running.wait_log("good telegrams: maker kaifa")
        moved = masters.Pymodbus.tcp(other)
        assert masters.u32(moved.read(48, 2)) == 2000
        assert masters.u32(stays.read(48, 2)) == 2000  # who was there is not thrown out
        with pytest.raises(masters.Refused):
            moved.write_many(48, [0, 3000])
        with socket.socket() as s:
            assert s.connect_ex(("127.0.0.1", port)) != 0
        moved.close()
        stays.close()
    finally:
        running.stop()


def test_reload_onto_a_port_in_use(start, han2x, tmp_path):
    taken = start()
    conf, port = tmp_path / "han2x.conf", gateway.free_port()
    base = {"modbus_tcp__listen": "127.0.0.1", "meter__source": "file:/dev/null"}
    write_conf(conf, modbus_tcp__port=port, **base)
    running = gateway.Gateway(han2x, tmp_path / "other", {}, port, ["-c", str(conf)])
    try:
        running.wait_listening()
        write_conf(conf, modbus_tcp__port=taken.port, device__scale=2000, **base)
        running.process.send_signal(signal.SIGHUP)
        running.wait_log("the settings were not changed")
        master = masters.Pymodbus.tcp(port)
        assert masters.u32(master.read(48, 2)) == 1000
        master.close()
    finally:
        running.stop()


# ---- the service manager ----


def test_service_manager_is_told(han2x, tmp_path):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(gateway.DEADLINE_S)
    env = dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
    process = subprocess.Popen(
        [han2x, "run", "--state-dir", str(tmp_path / "state"), "-s", "meter.source=file:/dev/null",
         "-s", "modbus_tcp.port=%d" % gateway.free_port()],
        env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def next_but_watchdog():
        while True:
            text = manager.recv(4096)
            if text != b"WATCHDOG=1":
                return text
    try:
        assert manager.recv(4096) == b"READY=1"
        assert manager.recv(4096) == b"WATCHDOG=1"
        process.send_signal(signal.SIGHUP)
        assert next_but_watchdog().startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert next_but_watchdog() == b"READY=1"
        process.send_signal(signal.SIGTERM)
        assert next_but_watchdog() == b"STOPPING=1"
    finally:
        process.terminate()
        assert process.wait(gateway.DEADLINE_S) == 0
        manager.close()


def test_log_that_nobody_reads_stops_nothing(han2x, tmp_path):
    """stderr is a pipe that is full."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    port = gateway.free_port()
    process = subprocess.Popen(
        [han2x, "run", "--state-dir", str(tmp_path / "state"), "-s", "meter.source=sim:aidon",
         "-s", "modbus_tcp.listen=127.0.0.1", "-s", "modbus_tcp.port=%d" % port],
        stdin=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    try:
        def answers():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for("listening", answers)
        master = masters.Pymodbus.tcp(port)
        wait_for("simulated power", lambda: masters.u32(master.read(POWER, 2)) > 0)
        master.close()
    finally:
        process.terminate()
        assert process.wait(gateway.DEADLINE_S) == 0
        os.close(reader)
