"""A small Linux in QEMU with the real program in it, and a shell to drive it from here.

No KVM by default: nested machines have the device file, but not always what it takes. What is
emulated is slow, so waits are long; nothing depends on speed but what is said.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from ports import free_port  # noqa: E402  (another folder of tests)

DEADLINE_S = 60 * float(os.environ.get("SLOW", "1"))
TOOLS = ("qemu-system-x86_64", "busybox", "gcc", "mkfs.ext4", "udevadm")
UDEV_RULES = ROOT / "packaging/udev"


def wait_for(what, condition, deadline_s=DEADLINE_S):
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "did not happen in time: " + what
        time.sleep(0.1)


def why_not():
    """A reason why no guest can run here, or None."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            return "needs %s" % tool
    if not (ROOT / "build/kernel/bzImage").exists():
        return "needs build/kernel: tests/kernel/kernel.sh build/kernel"
    if subprocess.run(["ldd", shutil.which("busybox")], capture_output=True,
                      check=False).returncode == 0:
        return "needs busybox-static"
    return None


def libraries(program):
    """Files that the program is loaded with."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+)", text)))


def make_root(folder, program):
    """The guest's files, packed for the kernel."""
    root = folder / "root"
    for name in ("bin", "etc", "var/lib/han2x", "usr/share/zoneinfo/Europe", "sys", "proc", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    shutil.copy(program, root / "bin/han2x")
    shutil.copy(HERE / "init", root / "init")
    shutil.copy(ROOT / "build/kernel/i2c-stub.ko", root)
    shutil.copy("/usr/share/zoneinfo/Europe/Oslo", root / "usr/share/zoneinfo/Europe/Oslo")
    subprocess.run(["gcc", "-static", "-O2", "-o", str(root / "bin/stand_in"),
                    str(HERE / "stand_in.c")], check=True)
    # udev, its own rules for USB, and ours
    shutil.copy(shutil.which("udevadm"), root / "bin/udevadm")
    rules = root / "lib/udev/rules.d"
    rules.mkdir(parents=True)
    for rule in (pathlib.Path("/lib/udev/rules.d/50-udev-default.rules"), *UDEV_RULES.iterdir()):
        shutil.copy(rule, rules)
    for library in {*libraries(program), *libraries(shutil.which("udevadm"))}:
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)  # what it points to, under the name that is asked for
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nhan2x:x:990:990::/:/bin/sh\n", "ascii")
    (root / "etc/group").write_text("root:x:0:\nhan2x:x:990:\ndialout:x:20:han2x\ntty:x:5:\n", "ascii")
    packed = folder / "root.cpio.gz"
    subprocess.run("find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >'%s'" % packed,
                   shell=True, cwd=root, check=True)
    return packed


class Guest:
    """One boot. A disk outlives it."""

    def __init__(self, folder, packed, disk):
        self.modbus, self._n = free_port(), 0
        self.console, self.meter = folder / "console.log", folder / "meter"
        path = folder / "shell"
        path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc", "-cpu", "max", "-m", "256", "-nodefaults",
             "-accel", os.environ.get("QEMU_ACCEL", "tcg"), "-no-reboot", "-display", "none",
             "-kernel", str(ROOT / "build/kernel/bzImage"), "-initrd", str(packed),
             "-append", "console=ttyS0 panic=-1 rdinit=/init",
             "-serial", "file:%s" % self.console,
             "-chardev", "socket,id=shell,path=%s,server=on,wait=off" % path,
             "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell",
             "-drive", "file=%s,if=virtio,format=raw,cache=writethrough" % disk,
             # nothing gets out, one port in
             "-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:%d-:502" % self.modbus,
             "-device", "virtio-net-pci,netdev=net,romfile=",
             # an M-Bus adapter: QEMU's has the numbers of an FTDI chip
             "-chardev", "socket,id=meter,path=%s,server=on,wait=off" % self.meter,
             "-usb", "-device", "usb-serial,chardev=meter,always-plugged=on"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._shell = socket.socket(socket.AF_UNIX)
        self._rest = b""
        try:
            wait_for("QEMU's socket", path.exists, 20)
            self._shell.connect(str(path))
            self._shell.settimeout(DEADLINE_S)
            self.run("true")
        except BaseException:
            self.kill()
            raise

    def _log(self):
        return self.console.read_bytes() if self.console.exists() else b""

    def run(self, command, check=True):
        """Run in the guest's shell; what it printed."""
        self._n += 1
        mark = "@@%d " % self._n
        self._shell.sendall(("{ %s\n} </dev/null 2>&1; echo '%s'$?\n" % (command, mark)).encode())
        while True:
            found = re.search(mark.encode() + rb"(\d+)\n", self._rest)
            if found:
                break
            data = self._shell.recv(4096)
            assert data, "the shell ended: " + self._log().decode(errors="replace")
            self._rest += data
        text = self._rest[:found.start()].decode(errors="replace")
        self._rest = self._rest[found.end():]
        assert not check or found.group(1) == b"0", "%s: %s\n%s" % (command, found.group(1), text)
        return text

    def off(self):
        """Everything is written, then the power goes."""
        self._shell.sendall(b"sync; poweroff -f\n")
        self._process.wait(DEADLINE_S)
        self.kill()

    def kill(self):
        """The power goes."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(DEADLINE_S)
        self._shell.close()
