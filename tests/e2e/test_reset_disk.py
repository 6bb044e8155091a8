"""Factory reset, looked at from below: a disk image of its own, searched octet by octet.

The disk is an ext4 file system in a file. What was replaced or removed before the reset counts
as much as what is there: freed blocks keep their contents. A power cut is a copy of the image that is
taken while the machine still holds back what it has not written.
"""
import contextlib
import json
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

SIZE = 16 << 20
TELEGRAM = "aidon-l2-13el-6534-p4532"  # it tells the meter's number
FACTORY = "[modbus_tcp]\nport = nonsense\n"  # stops the start after the wipe


class Disk:
    def __init__(self, folder):
        self.image, self.mount = folder / "disk.img", folder / "mnt"
        self.mount.mkdir(exist_ok=True)
        self.mounted = False
        self.etc, self.state = self.mount / "etc", self.mount / "state"
        self.conf = self.etc / "han2x.conf"

    def make(self):
        """A new file each time: a copy of the old mount in somebody else's mount namespace may outlive ours."""
        self.image.unlink(missing_ok=True)
        with open(self.image, "wb") as f:
            f.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)
        self.insert()
        self.etc.mkdir()
        self.state.mkdir()

    def insert(self):
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.mount)], check=True)
        self.mounted = True

    def remove(self):
        if self.mounted:
            subprocess.run(["umount", str(self.mount)], check=True)
        self.mounted = False

    def _remount(self, how):
        subprocess.run(["mount", "-o", "remount," + how, str(self.mount)], check=True)

    def cut(self):
        """The power fails: only what has reached the image is there afterwards."""
        kept = self.image.with_suffix(".cut")
        shutil.copyfile(self.image, kept)
        self.remove()
        os.replace(kept, self.image)
        self.insert()

    def found(self, marks):
        """Those of the marks that are anywhere on the disk, which must be in order."""
        self._remount("ro")  # writes all, also when a mount namespace of another process has a copy of the mount
        check = subprocess.run(["e2fsck", "-f", "-n", str(self.image)], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout + check.stderr
        raw = self.image.read_bytes()
        self._remount("rw")
        return [m for m in marks if m.encode() in raw]


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("needs root and mkfs.ext4")
    d = Disk(tmp_path)
    try:
        d.make()
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("no file can be mounted here")
    try:
        yield d
    finally:
        d.remove()


@pytest.fixture
def program(han2x, disk, tmp_path):
    """program() starts the gateway on the disk."""
    started = []

    def begin():
        started.append(Program(han2x, disk, tmp_path / ("log%d" % len(started))))
        return started[-1]
    yield begin
    for p in started:
        p.kill()


def command(han2x, disk):
    return [han2x, "run", "-c", str(disk.conf), "--state-dir", str(disk.state)]


def clean_env():
    env = {k: v for k, v in os.environ.items() if not k.startswith("HAN2X_")}
    env.pop("NOTIFY_SOCKET", None)
    return env


class Program:
    def __init__(self, han2x, disk, log):
        self._log = Output(log)
        self.process = subprocess.Popen(command(han2x, disk), stdin=subprocess.DEVNULL,
                                        stderr=self._log, env=clean_env())

    def text(self):
        return self._log.text()

    def wait(self, what, count=1):
        wait_for("%r in the log" % what, lambda: len(re.findall(what, self.text())) >= count
                 or self.process.poll() is not None)
        assert len(re.findall(what, self.text())) >= count, self.text()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.text()

    def kill(self):
        """At the end of a test that failed."""
        self.process.kill()
        self.process.wait(20)
        self._log.close()


def settings(mark, port, web_port, tls_port, recording):
    """Every free text holds the mark."""
    return """# %(m)s
[modbus_tcp]
listen = 127.0.0.1
port = %(port)d
[web]
listen = 127.0.0.1
port = %(web)d
tls_port = %(tls)d
factory_login = allow
username = bits
[meter]
source = file:%(recording)s
[mqtt]
enabled = yes
url = mqtt://%(m)s.invalid
topic = %(m)s
username = %(m)s
password = %(m)s
homeassistant_prefix = %(m)s
[network]
hostname = %(m)s
[device]
name = %(m)s
[io]
power_led = %(m)s
temperature = /%(m)s
""" % {"m": mark, "port": port, "web": web_port, "tls": tls_port, "recording": recording}


class Api:
    def __init__(self, port):
        self.port, self.password = port, "vari"

    def call(self, method, path, body):
        done = subprocess.run(
            ["curl", "-sS", "-w", "\n%{http_code}", "-u", "bits:" + self.password, "-X", method,
             "-H", "Content-Type: application/json", "-d", json.dumps(body),
             "http://127.0.0.1:%d/api/v1/%s" % (self.port, path)],
            check=True, capture_output=True, text=True)
        assert re.search(r"\n20\d$", done.stdout), done.stdout

    def change_password(self, new):
        self.call("POST", "password", {"current": self.password, "password": new})
        self.password = new

    def fail_to_log_in(self, name):
        subprocess.run(["curl", "-s", "-u", name + ":wrong", "-o", "/dev/null",
                        "http://127.0.0.1:%d/api/v1/status" % self.port], check=True)


def live(api, disk, port):
    """What a household does in a year: settings, passwords and scale, each more than once.
    @return the marks of what was replaced, and of what is there at the end."""
    rounds = []
    for n in range(4):
        mark = "MARKED-LATER-%d" % n
        api.call("PATCH", "settings", {"device": {"name": mark + "-name"},
                                       "mqtt": {"username": mark + "-user",
                                                "password": mark + "-secret"}})
        api.fail_to_log_in(mark + "-guest")
        api.change_password("Password-number-%d" % n)
        text = disk.conf.read_text()
        password = re.search(r"^password_hash = \S+(.{20})$", text, re.M).group(1)
        scale = 700000000 + 1234567 * n
        with contextlib.closing(masters.Pymodbus.tcp(port)) as master:
            master.write_many(48, [scale >> 16, scale & 0xFFFF])
        wait_for("the scale on the disk", lambda: str(scale) in (disk.state / "state").read_text())
        rounds.append({mark + "-secret", password, "scale %d" % scale})
    return set.union(*rounds[:-1]), rounds[-1]


def plant(disk, mark):
    """Files that a year would leave, and that nothing makes within a test."""
    for name in ("state.bad", "hours.bad", "hours.tmp", "audit.1", "network", "network.request",
                 "history", "tls.key.tmp-aB3xY9"):
        (disk.state / name).write_text((mark + "\n") * 300)


def test_nothing_is_left_on_the_disk(han2x, disk, program, tmp_path):
    if "without web" in subprocess.run([han2x, "--help"], capture_output=True, text=True).stdout:
        pytest.skip("built without web")
    telegram = vectors.telegrams()[TELEGRAM]
    recording = tmp_path / "recording"
    recording.write_bytes(bytes.fromhex(telegram["hex"]))
    port, web_port, tls_port = free_port(), free_port(), free_port()
    disk.conf.write_text(settings("MARKED-FIRST", port, web_port, tls_port, recording))
    disk.conf.with_name("han2x.conf.factory").write_text(
        "[modbus_tcp]\nlisten = 127.0.0.1\nport = %d\n[web]\nenabled = no\n" % port)
    api = Api(web_port)
    first = program()
    first.wait("web pages on")
    first.wait("good telegrams")
    replaced, current = live(api, disk, port)
    first.end()
    current.add((disk.state / "tls.key").read_text().splitlines()[2][:40])
    current.add(re.search(r"^meter \d+ (\S{16,})", (disk.state / "state").read_text(), re.M).group(1))
    plant(disk, "MARKED-FILE")
    # what is there can be found so, or finding nothing would show nothing
    assert set(disk.found(current | {"MARKED-FILE"})) == current | {"MARKED-FILE"}
    assert disk.found(replaced) == []

    second = program()
    second.wait("web pages on")
    begun = time.monotonic()
    api.call("POST", "factory-reset", {"confirm": "factory-reset"})
    second.wait("factory reset: done")
    second.wait("han2x 0", 2)
    second.wait("Modbus TCP", 2)
    assert time.monotonic() - begun < 10
    second.end()
    assert disk.found(current | replaced | {"MARKED-"}) == []


# --- power cuts ---

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


def run_cut(program, call, n, ended=1):
    """Run until the N-th CALL, which is not carried out. @return False: it ended before that."""
    done = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=" + call,
         "-e", "inject=%s:signal=KILL:when=%d" % (call, n)] + program,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean_env())
    assert done.returncode in (ended, *KILLED), done.stderr
    return done.returncode != ended


def can_trace(han2x):
    if shutil.which("strace") is None or b"__asan_init" in open(han2x, "rb").read():
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def finish(han2x, disk):
    """The next start."""
    done = subprocess.run(command(han2x, disk), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=clean_env())
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_power_cuts_during_a_reset(han2x, disk):
    """Whenever the power fails, the next start ends in factory settings and a clean disk."""
    if not can_trace(han2x):
        pytest.skip("strace is missing, or a leak check runs")
    cuts = 0
    for call in "fsync", "unlinkat", "pwrite64", "renameat2", "renameat", "rename":
        for n in range(1, 60, 1 if call.startswith("rename") else 4):
            disk.remove()
            disk.make()
            disk.conf.write_text(settings("MARKED-FIRST", 1, 0, 0, "/x"))
            disk.conf.with_name("han2x.conf.factory").write_text(FACTORY)
            plant(disk, "MARKED-FILE")
            (disk.state / "reset").write_text("han2x-reset 1\nnumber 70388\nstarts 17\n")
            os.sync()
            cut = run_cut(command(han2x, disk), call, n)
            disk.cut()
            if (disk.state / "reset").exists():
                assert "factory reset: done" in finish(han2x, disk), (call, n)
            assert disk.conf.read_text() == FACTORY, (call, n)
            assert disk.found(["MARKED-FIRST", "MARKED-FILE"]) == [], (call, n)
            if not cut:
                break
            cuts += 1
    assert cuts > 10


def test_power_cuts_during_a_save(han2x, disk, program):
    """A save that a power cut ended leaves one of the two files, and nothing that a later reset
    would miss."""
    if not can_trace(han2x):
        pytest.skip("strace is missing, or a leak check runs")
    port, scale = free_port(), 700000001
    run = "[modbus_tcp]\nlisten = 127.0.0.1\nport = %d\n[web]\nenabled = no\n" % port
    disk.conf.write_text(run)
    first = program()
    first.wait("Modbus TCP listens")
    with contextlib.closing(masters.Pymodbus.tcp(port)) as master:
        master.write_many(48, [scale >> 16, scale & 0xFFFF])
    first.end()
    saved, mark = (disk.state / "state").read_bytes(), "scale %d" % scale
    cuts = 0
    for call in "fsync", "fdatasync", "ftruncate", "renameat2", "unlinkat":
        for n in range(1, 40):
            disk.remove()
            disk.make()
            disk.conf.write_text(run)
            for name in "state", "state.copy":
                (disk.state / name).write_bytes(saved)
            os.sync()
            # its start is counted, and saved when it ends
            cut = run_cut(["timeout", "0.7"] + command(han2x, disk), call, n, ended=124)
            disk.cut()
            assert any(mark in (disk.state / name).read_text() for name in ("state", "state.copy"))
            (disk.state / "reset").write_text("")
            disk.conf.write_text(FACTORY)
            disk.conf.with_name("han2x.conf.factory").write_text(FACTORY)
            assert "factory reset: done" in finish(han2x, disk), (call, n)
            assert disk.found([mark]) == [], (call, n)
            if not cut:
                break
            cuts += 1
    assert cuts >= 3
