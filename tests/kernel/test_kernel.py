"""The box on a real kernel: lights, button, digital input and temperature as the kernel has them.

A Linux in QEMU with gpio-sim, uleds, ledtrig-timer, i2c-stub and lm75, and the settings on a disk with
ext4. What masters read comes over its network card. The same rules are tested without a kernel
in tests/unit/test_panel.c and test_panel_io.c; here it is the interfaces that are looked at.
"""
import contextlib
import os
import pathlib
import re
import socket
import subprocess

import pytest

import guest
import masters  # guest knows where these are: tests/e2e
import vectors

PROGRAM = os.environ.get("HAN2X", str(guest.ROOT / "build/release/han2x"))
MARK = "MARKED-STRING"
GPIO = "/sys/devices/platform/gpio-sim.0/gpiochip0/sim_gpio%d/pull"
BUTTON, INPUT = 1, 2
HELD_S, BLINK_S = 5, 0.25  # manual, "Factory reset", and core/include/hx/panel.h


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    reason = guest.why_not()
    if reason:
        pytest.skip(reason)
    return guest.make_root(tmp_path_factory.mktemp("guest"), PROGRAM)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    return path


@pytest.fixture
def box(tmp_path, packed, disk):
    g = guest.Guest(tmp_path, packed, disk)
    try:
        wire(g)
        yield g
    finally:
        g.kill()


def wire(g):
    """Lights, button and input, as a board has them, and the disk."""
    g.run("""mount -t ext4 /dev/vda /mnt 2>/dev/null || { mkdir /mnt; mount -t ext4 /dev/vda /mnt; }
mkdir -p /mnt/etc /mnt/state
cd /sys/kernel/config/gpio-sim
mkdir box box/bank0
echo 4 >box/bank0/num_lines
echo pinctrl-box >box/bank0/label
echo 1 >box/live
cd /tmp""")
    for name in ("han2x-power", "han2x-han"):
        light(g, name)
    pull(g, BUTTON, "up")


def udev(g):
    """As at the start of a system: the daemon, then an event for what is there already."""
    g.run("ln -s /bin/udevadm /bin/systemd-udevd; systemd-udevd --daemon;"
          "udevadm trigger --action=add; udevadm settle")


def light(g, name):
    g.run("stand_in led %s >/tmp/%s & echo $! >/tmp/%s.pid" % (name, name, name))
    guest.wait_for("the light " + name, lambda: "brightness" in g.run(
        "ls /sys/class/leds/%s" % name, check=False))


def pull(g, line, way):
    """Up is open, down is closed: contacts go to ground."""
    g.run("echo pull-%s >%s" % (way, GPIO % line))


def shown(g, name):
    """[(s, brightness)…] as the light was told."""
    return [(int(a) / 1000, int(b)) for a, b in re.findall(
        r"^(\d+) (\d+)$", g.run("cat /tmp/" + name), re.M)]


def brightness(g, name):
    changes = shown(g, name)
    return changes[-1][1] if changes else None


SETTINGS = """# %(m)s
[io]
power_led = han2x-power
han_led = han2x-han
reset_button = gpiochip0:1
digital_input = pinctrl-box:2
[meter]
source = %(source)s
[web]
enabled = no
[mqtt]
username = %(m)s
password = %(m)s
[device]
name = %(m)s
scale = 2000
"""


def start(g, source="sim:aidon", settings=SETTINGS, user=None):
    """Start the gateway. Its log is /tmp/log."""
    g.run("cat >/mnt/etc/han2x.conf <<'END'\n%sEND" % (settings % {"m": MARK, "source": source}))
    # what a box's package ships: pins stay as they are after a reset
    factory = re.sub(r"\[mqtt\].*", "", settings % {"m": "", "source": source}, flags=re.S)
    g.run("cat >/mnt/etc/han2x.conf.factory <<'END'\n%sEND" % factory.lstrip("# \n"))
    command = "/bin/han2x run -c /mnt/etc/han2x.conf --state-dir /mnt/state"
    if user:
        g.run("chown -R %s /mnt/etc /mnt/state" % user)
        command = "su %s -c '%s'" % (user, command)
        command = command.replace("/bin/han2x run", "exec /bin/han2x run -s modbus_tcp.port=5020")
    g.run("%s 2>/tmp/log & echo $! >/tmp/han2x.pid" % command)


def log(g):
    return g.run("cat /tmp/log 2>/dev/null", check=False)


def wait_log(g, what, count=1):
    guest.wait_for("%r in the log" % what, lambda: len(re.findall(what, log(g))) >= count)


def read(g, first, count):
    """What a master reads; None when there is no answer (yet)."""
    try:
        with contextlib.closing(masters.Pymodbus.tcp(g.modbus)) as master:
            return master.read(first - 40001, count)
    except AssertionError:
        return None


def blinks(changes):
    """The lengths of what was lit and dark, in s, from the first change on."""
    return [b[0] - a[0] for a, b in zip(changes, changes[1:])]


def test_lights(box):
    """M10, M12: POWER lit; HAN lit for 60 s after a telegram, then dark."""
    hex_text = vectors.telegrams()["aidon-l1-1el-p2390"]["hex"]
    box.run("printf '%s' >/tmp/telegram" % "".join("\\\\x" + hex_text[i:i + 2]
                                                  for i in range(0, len(hex_text), 2))
            .replace("\\\\", "\\"))
    # a serial server that sends one telegram and then nothing
    box.run("(cat /tmp/telegram; sleep 200) | nc -l -p 6000 >/dev/null 2>&1 &")
    start(box, "tcp://127.0.0.1:6000")
    wait_log(box, "good telegrams from the meter")
    guest.wait_for("HAN lit", lambda: brightness(box, "han2x-han") == 255)
    assert brightness(box, "han2x-power") == 255
    assert read(box, 40001, 2) == [0, 2390 * 2]  # scale 2.000
    lit = shown(box, "han2x-han")[-1][0]
    guest.wait_for("HAN dark", lambda: brightness(box, "han2x-han") == 0, 90)
    dark = shown(box, "han2x-han")[-1][0]
    assert 59 < dark - lit < 63, (lit, dark)
    box.run("kill $(cat /tmp/han2x.pid)")
    wait_log(box, "ending on signal")
    assert brightness(box, "han2x-power") == 255  # there is power


def test_reset_by_button(box, disk):
    """M13: let go after 4 s nothing happens, held for 5 s all is wiped, also from the raw disk."""
    start(box)
    wait_log(box, "good telegrams from the meter")
    assert read(box, 40049, 2) == [0, 2000]
    box.run("sync")
    assert MARK.encode() in disk.read_bytes()  # else the search below would show nothing
    pull(box, BUTTON, "down")
    box.run("sleep 4")
    pull(box, BUTTON, "up")
    box.run("sleep 2")
    assert "factory reset" not in log(box)
    pull(box, BUTTON, "down")
    box.run("sleep %s" % (HELD_S + 0.5))
    wait_log(box, "FACTRESET was held for 5 s")
    pull(box, BUTTON, "up")
    wait_log(box, "factory reset: done")
    wait_log(box, "good telegrams from the meter", 2)
    assert read(box, 40049, 2) == [0, 1000]
    # blinking: what goes on for longer than two halves is not a blink
    changes = [c for c in shown(box, "han2x-han")]
    assert any(value == 0 for _, value in changes[1:]), changes
    box.run("kill $(cat /tmp/han2x.pid); umount /mnt || { sleep 2; umount /mnt; }")
    box.off()
    assert MARK.encode() not in disk.read_bytes()


def test_held_at_power_on(box):
    """M14: held from the start for 2 s HAN blinks, by the kernel's timer; let go it is DHCP."""
    # asking for the line pulls it up: a finger is on it again at once
    box.run("(while ! grep -q 'io.reset_button): in use' /tmp/log; do :; done 2>/dev/null;"
            "echo pull-down >%s) &" % (GPIO % BUTTON))
    start(box, "stdin")
    wait_log(box, r"io.reset_button\): in use")
    guest.wait_for("blinking by the timer", lambda: "[timer]" in box.run(
        "cat /sys/class/leds/han2x-han/trigger"))
    assert box.run("cat /sys/class/leds/han2x-han/delay_on /sys/class/leds/han2x-han/delay_off") \
        .split() == ["250", "250"]
    before = len(shown(box, "han2x-han"))
    box.run("sleep 3")
    halves = blinks(shown(box, "han2x-han")[before:])
    assert len(halves) >= 8, halves
    assert all(0.1 < h < 0.6 for h in halves) and abs(sum(halves) / len(halves) - BLINK_S) < 0.05
    pull(box, BUTTON, "up")
    wait_log(box, "held at the start: the address comes by DHCP")
    guest.wait_for("the setting", lambda: re.search(
        r"^mode = dhcp$", box.run("cat /mnt/etc/han2x.conf"), re.M))
    assert "factory reset" not in log(box)
    guest.wait_for("no more blinking", lambda: "[none]" in box.run(
        "cat /sys/class/leds/han2x-han/trigger"))


def test_digital_input(box):
    """40051: 0 open, 1 closed."""
    start(box)
    wait_log(box, r"io.digital_input\): in use")
    for way, value in (("down", 1), ("up", 0), ("down", 1)):
        pull(box, INPUT, way)
        guest.wait_for("40051 = %d" % value, lambda: read(box, 40051, 1) == [value])


def test_hardware_that_goes_and_comes(box):
    """A light's and a line's driver is taken out under the program: told once, taken up again."""
    start(box)
    wait_log(box, r"io.digital_input\): in use")
    box.run("kill $(cat /tmp/han2x-han.pid)")
    wait_log(box, r"han2x-han \(io.han_led\): cannot be used")
    box.run("sleep 3")
    assert log(box).count("(io.han_led): cannot be used") == 1
    light(box, "han2x-han")
    guest.wait_for("HAN lit again", lambda: brightness(box, "han2x-han") == 255)
    pull(box, INPUT, "down")
    guest.wait_for("40051 = 1", lambda: read(box, 40051, 1) == [1])


def test_not_root(box):
    """With the rights that the udev rules give: lights and lines, and nothing of root's."""
    udev(box)
    assert box.run("stat -c '%U %G %a' /dev/gpiochip0 /sys/class/leds/han2x-han/brightness "
                   "/sys/class/leds/han2x-han/trigger").splitlines() == [
        "root han2x 660", "root han2x 664", "root han2x 664"]
    start(box, user="han2x")
    wait_log(box, r"io.reset_button\): in use")
    guest.wait_for("HAN lit", lambda: brightness(box, "han2x-han") == 255)
    box.run("sleep 1")  # a press within the first half second began with the power
    pull(box, BUTTON, "down")
    wait_log(box, "FACTRESET was held for 5 s")
    pull(box, BUTTON, "up")
    wait_log(box, "factory reset: done")
    wait_log(box, "good telegrams from the meter", 2)
    assert "cannot be used" not in log(box), log(box)


def test_usb_adapter(box):
    """An adapter is found by itself, by a user who is in dialout, and is marked as no modem."""
    udev(box)
    assert box.run("stat -c '%G %a' /dev/ttyUSB0").split() == ["dialout", "660"]
    seen = box.run("udevadm info /dev/ttyUSB0")
    assert "E: ID_MM_DEVICE_IGNORE=1" in seen and "E: ID_MM_PORT_IGNORE=1" in seen, seen
    assert re.search("^E: TAGS=.*:systemd:", seen, re.M), seen
    start(box, "auto", user="han2x")
    wait_log(box, "ttyUSB0")
    telegram = bytes.fromhex(vectors.telegrams()["aidon-l1-1el-p2390"]["hex"])
    with socket.socket(socket.AF_UNIX) as meter:
        meter.connect(str(box.meter))

        def good():
            meter.sendall(telegram)
            box.run("sleep 1")
            return "good telegrams from the meter" in log(box)
        guest.wait_for("a telegram", good)


def test_temperature(box):
    """40044 from a sensor's own driver (hwmon), whatever number it got."""
    box.run("insmod /i2c-stub.ko chip_addr=0x48; "
            "echo lm75 0x48 >/sys/bus/i2c/devices/i2c-0/new_device; stand_in temp 4150")
    start(box, settings=SETTINGS.replace(
        "[meter]", "temperature = /sys/bus/i2c/devices/0-0048/hwmon/hwmon*/temp1_input\n[meter]"))
    guest.wait_for("41.50 degrees", lambda: read(box, 40044, 1) == [4150])
