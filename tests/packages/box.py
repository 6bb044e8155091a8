"""A small Debian with systemd, booted in namespaces: no container engine, no virtual machine.

The root file system is made by mmdebstrap with everything that the packages depend on, so that
installing them needs no network. `unshare` gives it its own processes, mounts, network and
cgroups; commands inside are run by `nsenter`.
"""
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
SYSTEM = ["systemd", "systemd-sysv", "systemd-resolved", "dbus", "udev", "iproute2"]
DEADLINE_S = 30 * float(os.environ.get("SLOW", "1"))


def wait_for(what, condition, deadline_s=DEADLINE_S):
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "did not happen in time: " + what
        time.sleep(0.05)


def why_not():
    """A reason why nothing can be booted here, or None."""
    if os.geteuid() != 0:
        return "needs root, for namespaces and mounts"
    for tool in ("mmdebstrap", "unshare", "nsenter", "ip", "curl", "mbpoll"):
        if shutil.which(tool) is None:
            return "needs %s" % tool
    if cgroup_root() is None:
        return "no cgroup v2 hierarchy is mounted"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup",
                            "--fork", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else "namespaces: " + tried.stderr.strip()


def cgroup_root():
    """Where cgroup v2 is mounted: alone or, on a hybrid system, beside version 1."""
    for line in pathlib.Path("/proc/mounts").read_text(encoding="ascii").splitlines():
        _, where, kind = line.split()[:3]
        if kind == "cgroup2":
            return pathlib.Path(where)
    return None


def depends(package):
    """Packages that a .deb depends on, first choices, less those of its own source."""
    text = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True,
                          check=True).stdout
    first = [re.split(r"[ (|:]", d.strip())[0] for d in text.split(",")]
    return [d for d in first if not d.startswith("han2x")]


def make_root(archive, packages):
    """The root file system, kept in ARCHIVE while the wanted packages are the same."""
    wanted = ",".join(sorted(set(packages)))
    note = archive.with_suffix(".packages")
    if not archive.exists() or not note.exists() or note.read_text("ascii") != wanted:
        mirror = subprocess.run([str(HERE.parent / "mirror.sh")], capture_output=True, text=True,
                                check=True).stdout.strip()
        make = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=" + wanted, "bookworm",
                str(archive), "deb %s bookworm main" % mirror]
        if subprocess.run(make, check=False, stdin=subprocess.DEVNULL).returncode != 0:
            # once more, for a mirror that is just being renewed
            subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        note.write_text(wanted, "ascii")


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000  # ptrace(2), waitpid(2)


def hold(thread):
    """Stop this thread, and no other of its process: SIGSTOP would stop them all."""
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if _libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(thread, WALL)


def reap(thread):
    """A held thread's end is told to us first; its real parent hears of it after this."""
    try:
        os.waitpid(thread, WALL | os.WNOHANG)
    except ChildProcessError:
        pass


class Box:
    def __init__(self, folder, archive):
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        subprocess.run(["tar", "-C", str(self.root), "--exclude=./dev/*", "-xf", str(archive)],
                       check=True)
        # a getty has no console to talk to here
        (self.root / "etc/systemd/system/console-getty.service").symlink_to("/dev/null")
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        self._unshare = self.pid = self._cgroup = None

    def boot(self):
        """Start systemd. self.booted is the time.monotonic() of the start."""
        self._cgroup = cgroup_root() / ("han2x-box-%d" % os.getpid())
        self._cgroup.mkdir(exist_ok=True)
        self.booted = time.monotonic()
        self._unshare = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
             str(HERE / "boot.sh"), str(self.root), str(self._cgroup)], stdin=subprocess.DEVNULL)
        self.pid = wait_for("systemd as first process", self._find_init)

    def _find_init(self):
        assert self._unshare.poll() is None, "ended at once"
        pid = self._unshare.pid
        children = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text("ascii").split()
        if not children:
            return None
        name = pathlib.Path("/proc/%s/comm" % children[0]).read_text("ascii").strip()
        return int(children[0]) if name == "systemd" else None

    def wait_up(self):
        wait_for("a started system", lambda: self.run(
            "systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"))

    def run(self, *command, check=True):
        """Run inside."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-u", "-i", "-C", "--root", "--wd",
             "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
             *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=180)
        assert not check or done.returncode == 0, "%s: %d\n%s%s" % (
            " ".join(command), done.returncode, done.stdout, done.stderr)
        return done

    def net(self, *command, check=False):
        """Run a program of this machine in the box's network."""
        return subprocess.run(["nsenter", "-t", str(self.pid), "-n", *command], check=check,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def install(self, *packages):
        for p in packages:
            shutil.copy(p, self.root / "var/tmp")
        return self.run("dpkg", "-i", *["/var/tmp/" + p.name for p in packages])

    def show(self, unit, key):
        return self.run("systemctl", "show", "-P", key, unit).stdout.strip()

    def outside(self, name, pid):
        """What a process inside is called here."""
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text("ascii")
            except OSError:
                continue  # ended meanwhile
            if re.search(r"^Name:\s+%s$" % name, text, re.M) and re.search(
                    r"^NSpid:\s+\d+\s+%s$" % pid, text, re.M):
                return int(status.parent.name)
        raise AssertionError("no process %s %s" % (name, pid))

    def registers(self, first, count, host="127.0.0.1"):
        """Read with mbpoll; None when there is no answer."""
        done = self.net("mbpoll", "-m", "tcp", "-a", "1", "-t", "4", "-r", str(first - 40000),
                        "-c", str(count), "-1", "-o", "1", host)
        words = re.findall(r"^\[\d+\]:\s+(\d+)", done.stdout, re.M)
        return [int(w) for w in words] if done.returncode == 0 else None

    def write(self, first, *words):
        self.net("mbpoll", "-m", "tcp", "-a", "1", "-t", "4", "-r", str(first - 40000),
                 "127.0.0.1", *[str(w) for w in words], check=True)

    def curl(self, *arguments):
        """(status, body)."""
        done = self.net("curl", "-s", "--compressed", "--max-time", "10", "-w", "\n%{http_code}", *arguments)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def stop(self):
        if self._unshare is not None:
            self._unshare.kill()  # and with it, by --kill-child, everything inside
            self._unshare.wait(DEADLINE_S)
            self._unshare = None
        if self._cgroup is not None and self._cgroup.exists():
            wait_for("an empty cgroup", self._remove_cgroup)

    def _remove_cgroup(self):
        for path, _, _ in os.walk(self._cgroup, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                return False
        return True
