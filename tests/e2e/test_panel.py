"""The box: lights and sensor on a mocked /sys, factory reset and power cuts with the real program.

Lights and sensors are files of a umockdev test bed, which the program sees in place of /sys. The
GPIO character device cannot be mocked so: button and digital input are tested at unit level
(tests/unit/test_panel_io.c) against a chip that stands in for the kernel's.
"""
import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import masters
import vectors
from gateway import Output, free_port, wait_for

MARK = "MARKED-STRING"


@pytest.fixture
def bed(monkeypatch):
    """A mocked /sys; programs started while it is there see it."""
    gi = pytest.importorskip("gi", reason="python3-gi is missing")
    try:
        gi.require_version("UMockdev", "1.0")
        from gi.repository import UMockdev
    except (ValueError, ImportError):
        pytest.skip("gir1.2-umockdev-1.0 is missing")
    preload = glob.glob("/usr/lib/*/libumockdev-preload.so.0")
    if not preload:
        pytest.skip("libumockdev is missing")
    testbed = UMockdev.Testbed.new()
    monkeypatch.setenv("UMOCKDEV_DIR", testbed.get_root_dir())  # for the programs we start
    monkeypatch.setenv("LD_PRELOAD", preload[0])
    monkeypatch.setenv("ASAN_OPTIONS",
                       os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    yield testbed


def modbus(port):
    return contextlib.closing(masters.Pymodbus.tcp(port))


def add_led(bed, name, triggers="[none] timer heartbeat"):
    path = bed.add_device("leds", name, None,
                           ["brightness", "0", "max_brightness", "255", "trigger", triggers,
                            "delay_on", "500", "delay_off", "500"], [])
    return bed.get_root_dir() + path


def signals(pid, kind):
    """A set of signals from /proc, as a number."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"%s:\s*([0-9a-f]+)" % kind, f.read()).group(1), 16)


def end(start, running):
    """End a program that sees the mocked /sys. @return True when it could end by itself.

    libumockdev 0.17 keeps the signal mask of whoever opens a file in one place for all threads: two
    that open at once leave the loop's thread with every signal blocked. Then the program waits in
    its loop and SIGTERM waits for it; that is not ours to test.
    """
    running.process.terminate()
    start.forget(running)
    pid, term = running.process.pid, 1 << (signal.SIGTERM - 1)
    stuck = False

    def over():
        nonlocal stuck
        if running.process.poll() is not None:
            return True
        stuck = bool(signals(pid, "ShdPnd") & signals(pid, "SigBlk") & term)
        return stuck
    wait_for("the end", over)
    if stuck:
        running.kill()
    else:
        assert running.process.returncode == 0
    return not stuck


def read(path, attribute):
    with open(os.path.join(path, attribute)) as f:
        return f.read().strip()


def test_lights_and_temperature(bed, start):
    """M10, M12: POWER lit while powered, HAN with the first telegram; 40044 from hwmon."""
    power, han = add_led(bed, "han2x:green:power"), add_led(bed, "han2x:green:han")
    sensor = bed.add_device("hwmon", "hwmon0", None, ["temp1_input", "41375"], [])
    meter = start.meter()
    running = start({"io.power_led": "han2x:green:power", "io.han_led": "han2x:green:han",
                     "io.temperature": sensor + "/temp1_input",
                     "meter.source": "serial:" + meter.path})
    wait_for("POWER lit", lambda: read(power, "brightness") == "255")
    wait_for("HAN dark", lambda: read(han, "brightness") == "0")
    with modbus(running.port) as master:
        wait_for("41.37 degrees in 40044", lambda: master.read(43, 1) == [4137])
    meter.write(bytes.fromhex(vectors.telegrams()["aidon-l1-1el-p2390"]["hex"]))
    wait_for("HAN lit", lambda: read(han, "brightness") == "255")
    if end(start, running):
        assert read(han, "brightness") == "0"
        assert read(power, "brightness") == "255"


def test_missing_hardware_is_said_once(start):
    running = start({"io.power_led": "no-such-led", "io.han_led": "no-such-led-either",
                     "io.reset_button": "gpiochip99:17", "io.digital_input": "no-such-chip:27",
                     "io.temperature": "/sys/class/hwmon/no-such/temp1_input",
                     "meter.source": "sim:aidon"})
    for setting in "power_led", "han_led", "reset_button", "digital_input", "temperature":
        running.wait_log(r"\(io\.%s\)" % setting)
    running.wait_log("good telegrams")
    begun = time.monotonic()
    with modbus(running.port) as master:
        # several looks later: it is looked for each second
        wait_for("3 s of uptime", lambda: time.monotonic() - begun > 3.2)
        assert master.read(0, 2) is not None
        assert master.read(50, 1) == [0]
    for setting in "power_led", "han_led", "reset_button", "digital_input", "temperature":
        assert running.text().count("(io.%s)" % setting) == 1, running.text()


def test_hardware_that_comes_late(bed, start):
    running = start({"io.han_led": "late", "meter.source": "sim:aidon"})
    running.wait_log(r"\(io\.han_led\)")
    han = add_led(bed, "late")
    wait_for("HAN lit", lambda: read(han, "brightness") == "255")
    end(start, running)


# --- factory reset ---

def settings_file(path, port, web_port):
    path.write_text("""# %(m)s
[modbus_tcp]
listen = 127.0.0.1
port = %(port)d
[web]
listen = 127.0.0.1
port = %(web)d
tls_port = 0
factory_login = allow
[meter]
source = sim:aidon
[mqtt]
enabled = yes
url = mqtt://127.0.0.1:1
username = %(m)s
password = %(m)s
topic = %(m)s
[network]
mode = dhcp
hostname = %(m)s
[device]
name = %(m)s
scale = 2000
""" % {"m": MARK, "port": port, "web": web_port})
    # what a box's package would ship: the test needs its ports again after the reset
    path.with_name(path.name + ".factory").write_text(
        "[modbus_tcp]\nlisten = 127.0.0.1\nport = %d\n[web]\nenabled = no\n"
        "[meter]\nsource = sim:aidon\n" % port)


def marked(folder):
    found = []
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as f:
                if MARK.encode() in f.read():
                    found.append(name)
    return found


def plant(state):
    for name in ("state.bad", "hours", "hours.bad", "audit.1", "tls.key", "tls.crt", "network",
                 "history"):
        (state / name).write_text(MARK)
    (state / "somebody-elses").write_text("kept")


def command(han2x, conf, state):
    return [han2x, "run", "-c", str(conf), "--state-dir", str(state)]


def clean_env():
    env = {k: v for k, v in os.environ.items() if not k.startswith("HAN2X_")}
    env.pop("NOTIFY_SOCKET", None)
    return env


def test_reset_over_the_web(han2x, tmp_path):
    """M13 from the API: the same process comes back as from the factory, within 10 s."""
    conf, state = tmp_path / "han2x.conf", tmp_path / "state"
    state.mkdir()
    port, web_port = free_port(), free_port()
    settings_file(conf, port, web_port)
    log = Output(tmp_path / "log")
    running = subprocess.Popen(command(han2x, conf, state), stdin=subprocess.DEVNULL, stderr=log,
                               env=clean_env())
    try:
        if "without web" in subprocess.run([han2x, "--help"], capture_output=True,
                                           text=True).stdout:
            pytest.skip("built without web")
        wait_for("web pages", lambda: re.search(r"web pages on .* port %d" % web_port, log.text()))
        wait_for("a telegram", lambda: "good telegrams" in log.text())
        with modbus(port) as master:
            assert master.read(48, 2) == [0, 2000]
        number = re.search(r"device number (\d+)", log.text()).group(1)
        plant(state)
        assert marked(tmp_path)
        begun = time.monotonic()
        subprocess.run(["curl", "-sSf", "-u", "bits:vari", "-H", "Content-Type: application/json",
                        "-d", '{"confirm":"factory-reset"}',
                        "http://127.0.0.1:%d/api/v1/factory-reset" % web_port],
                       check=True, capture_output=True)
        wait_for("the new start", lambda: log.text().count("han2x 0") == 2)
        wait_for("good telegrams again", lambda: log.text().count("good telegrams from the meter") == 2)
        assert time.monotonic() - begun < 10
        with modbus(port) as master:
            assert master.read(48, 2) == [0, 1000]
        assert running.poll() is None
        assert not marked(tmp_path)
        assert (state / "somebody-elses").read_text() == "kept"
        assert not (state / "reset").exists()
        assert re.search(r"device number %s, start 2" % number, log.text()), log.text()
    finally:
        running.terminate()
        assert running.wait(20) == 0
        log.close()


def test_every_file_of_the_program_is_wiped(han2x, tmp_path):
    """A file that a new part of the program keeps must not outlive a reset."""
    conf, state = tmp_path / "han2x.conf", tmp_path / "state"
    state.mkdir()
    settings_file(conf, free_port(), free_port())
    conf.write_text(conf.read_text().replace("tls_port = 0", "tls_port = %d" % free_port()))
    log = Output(tmp_path / "log")
    running = subprocess.Popen(command(han2x, conf, state), stdin=subprocess.DEVNULL, stderr=log,
                               env=clean_env())
    wait_for("a telegram", lambda: "good telegrams" in log.text())
    wait_for("its files", lambda: (state / "state").exists() and (state / "hours").exists())
    running.terminate()
    assert running.wait(20) == 0
    (state / "reset").write_text("")
    conf.write_text("[modbus_tcp]\nport = nonsense\n")  # stops the start after the wipe
    (tmp_path / "han2x.conf.factory").write_text("[modbus_tcp]\nport = nonsense\n")
    again = subprocess.run(command(han2x, conf, state), stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, env=clean_env())
    assert again.returncode == 1, again.stderr
    assert "factory reset: done" in again.stderr
    assert sorted(os.listdir(state)) == ["state", "state.copy"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
def test_power_cut_at_system_calls(han2x, tmp_path):
    """The real program, killed before each of its syncs, removals and renames in turn."""
    conf, state = tmp_path / "han2x.conf", tmp_path / "state"
    state.mkdir()
    trial = subprocess.run(["strace", "-o", "/dev/null", "-e", "trace=none", "true"],
                           capture_output=True)
    if trial.returncode != 0:
        pytest.skip("strace may not trace here")
    if "SANITIZE" in os.environ or b"__asan_init" in open(han2x, "rb").read():
        pytest.skip("a leak check cannot run under strace")
    factory = "[modbus_tcp]\nport = nonsense\n"  # stops the start after the wipe
    cuts = 0
    for call in "fsync", "unlinkat", "renameat2", "renameat", "pwrite64":
        for n in range(1, 40):
            settings_file(conf, 1, 1)
            (tmp_path / "han2x.conf.factory").write_text(factory)
            plant(state)
            (state / "reset").write_text("han2x-reset 1\nnumber 70388\nstarts 17\n")
            run = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "trace=" + call,
                                  "-e", "inject=%s:signal=KILL:when=%d" % (call, n)] +
                                 command(han2x, conf, state), stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, env=clean_env())
            if run.returncode == 1:
                break  # fewer calls than that: it went through
            cuts += 1
            if (state / "reset").exists():
                run = subprocess.run(command(han2x, conf, state), stdin=subprocess.DEVNULL,
                                     capture_output=True, text=True, env=clean_env())
                assert "factory reset: done" in run.stderr, run.stderr
            assert not marked(tmp_path), (call, n)
            assert conf.read_text() == factory
            assert sorted(os.listdir(state)) == ["somebody-elses", "state", "state.copy"], (call, n)
        else:
            pytest.fail("%s: no end of cuts" % call)
    assert cuts > 20  # each file is overwritten, synced and removed
