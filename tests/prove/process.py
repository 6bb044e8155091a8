"""The process: a loop that hangs, memory that is not there, restarts, and a day of cuts.

Quick: fewer of each, and an hour's soak instead of a day's. SOAK_SPEED=24 makes the full form's day
last an hour instead of some minutes."""

import http.client
import os
import random
import re
import signal
import socket
import ssl
import statistics
import subprocess
import threading
import time
from pathlib import Path

import soak
from shim import Shim

TITLE = "The process: watchdog, memory, restarts, soak"

PORTS = 23200  # Modbus, http, https, broker, meter, the wire to the broker
WATCHDOG_S = 1.0
SCALE = 48     # address of the scale factor
COMMAND = "./dev prove process"
# GMP ends the process when it gets no memory (its manual, "Custom Allocation"), libtasn1 4.19 does not
# look; GnuTLS needs both. The service manager starts the gateway again.
GIVES_UP = ("libgmp.", "libtasn1.")


class Gateway:
    """A gateway, and what it needs: settings, shim, meter, and what systemd would be to it."""

    def __init__(self, lab, name: str, mqtt: bool = False, watchdog_s: float = 0.0):
        self.lab, self.folder = lab, lab.work / name
        self.folder.mkdir()
        self.watchdog_s = watchdog_s
        self.shim = Shim(lab.program("process_shim.so"), self.folder / "page")
        self.meter = soak.TcpMeter(PORTS + 4)
        self.log = open(self.folder / "log", "ab")
        self.conf = self.folder / "han2x.conf"
        self.conf.write_text("""[meter]
source = %s
[modbus_tcp]
listen = 127.0.0.1
port = %d
[web]
listen = 127.0.0.1
port = %d
tls_port = %d
[mqtt]
enabled = %s
url = mqtt://127.0.0.1:%d
topic = prove
format = json
""" % (self.meter.source, PORTS, PORTS + 1, PORTS + 2, "yes" if mqtt else "no", PORTS + 5))
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.folder / "notify"))
        self.notify.settimeout(0.01)
        self.pings: list[float] = []  # of the running process
        self.ends: list[tuple[float, int]] = []  # when, and how: as Popen.returncode
        self.process = None
        self._over = threading.Event()
        self._watcher = None

    def start(self) -> float:
        """@return when."""
        env = dict(os.environ, **self.shim.environment())
        if self.watchdog_s:
            env.update(NOTIFY_SOCKET=str(self.folder / "notify"), WATCHDOG_USEC="%d" % (self.watchdog_s * 1e6))
        began = time.monotonic()
        self.process = subprocess.Popen(
            [self.lab.han2x, "run", "-c", self.conf, "--state-dir", self.folder / "state"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        return began

    def supervise(self) -> None:
        """As systemd does with WatchdogSec and Restart=always."""
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        self.start()
        last = None  # the watchdog runs from READY on
        while not self._over.is_set():
            try:
                said = self.notify.recv(256)
                if b"WATCHDOG=1" in said:
                    self.pings.append(time.monotonic())
                if b"WATCHDOG=1" in said or b"READY=1" in said:
                    last = time.monotonic()
            except TimeoutError:
                pass
            if self.process.poll() is not None:
                self.ends.append((time.monotonic(), self.process.returncode))
                time.sleep(0.1)
                last = None
                self.start()
            elif last is not None and time.monotonic() - last > self.watchdog_s:
                self.process.send_signal(signal.SIGABRT)
                last = None

    def master(self, deadline_s: float = 10.0) -> soak.Master:
        """A Modbus connection that has been answered, as soon as there is one."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                m = soak.Master(PORTS)
                m.read(0, 1)
                return m
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.002)

    def web(self, path: str, timeout_s: float = 3.0, tls: bool = False) -> bool:
        try:
            if tls:
                c = http.client.HTTPSConnection("127.0.0.1", PORTS + 2, timeout=timeout_s,
                                                context=ssl._create_unverified_context())
            else:
                c = http.client.HTTPConnection("127.0.0.1", PORTS + 1, timeout=timeout_s)
            c.request("GET", path, headers={"Authorization": soak.LOGIN})
            answer = c.getresponse()
            answer.read()
            c.close()
            return answer.status in (200, 503)  # /health says 503 while no telegrams come
        except (OSError, http.client.HTTPException):
            return False

    def feed(self, telegrams, count: int, deadline_s: float = 10.0) -> None:
        end = time.monotonic() + deadline_s
        for _ in range(count):
            while not self.meter.is_up():  # also past connections of a gateway that has ended
                if time.monotonic() > end:
                    return
                time.sleep(0.001)
            self.meter.send(next(telegrams))

    def close(self) -> int:
        """The exit code."""
        self._over.set()
        if self._watcher:
            self._watcher.join(5)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.meter.cut()
        self.meter.listener.close()
        self.notify.close()
        self.log.close()
        return code


def telegrams(lab, count: int = 20000):
    """A meter's, from just before a whole hour on: list 3 is among the first."""
    made = subprocess.run([lab.han2x, "simulate", "--meter", "aidon", "--pace", "max", "--count", str(count),
                           "--start", "2026-10-24T09:59:50Z"], capture_output=True, check=True).stdout
    at = 0
    while at < len(made):
        end = at + (int.from_bytes(made[at + 1:at + 3], "big") & 0x7FF) + 2
        yield made[at:end]
        at = end


def energies(m: soak.Master) -> list[int]:
    data = m.read(soak.ESTIMATED, 16)
    return [int.from_bytes(data[i:i + 8], "big") for i in range(0, 32, 8)]


def wait(condition, deadline_s: float) -> bool:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


# ---- a loop that hangs, and threads that do


def watchdog(lab) -> None:
    source = telegrams(lab)
    broker = soak.mqtt_tools.Broker(lab.work, port=PORTS + 5, name="watchdog-broker")
    g = Gateway(lab, "watchdog", mqtt=True, watchdog_s=WATCHDOG_S)
    g.supervise()
    try:
        rows = _threads(lab, g, source, broker)
        rows.append(_loop(lab, g, source))
    finally:
        g.close()
        broker.close()
    lab.table("A thread that never comes back, WatchdogSec = %.0f s" % WATCHDOG_S,
              ["thread", "longest time between two WATCHDOG=1", "killed", "Modbus meanwhile", "what stood still"],
              rows, COMMAND, "the thread is caught wherever it is by a signal whose handler does not return")


def _threads(lab, g: Gateway, source, broker) -> list[list]:
    """In the order of their beginning; that it was the right one is seen from what stands still."""
    m = g.master()
    g.feed(source, 8)
    subscriber = soak.mqtt_tools.Subscriber(broker.port, "prove/#")
    state = g.folder / "state" / "state"
    wait(lambda: len(g.shim.threads(g.process.pid)) == 7, 5)
    wait(lambda: g.web("/health") and len(subscriber.messages) > 0, 5)
    time.sleep(2.5)  # what is to be saved after the start is saved
    _, worker, mqtt, slow, slow2, web, announcer = g.shim.threads(g.process.pid)
    scale = {"now": 1000}

    def stands_worker() -> bool:
        before = state.stat().st_mtime_ns
        scale["now"] = 3000 - scale["now"]
        m.write(SCALE, scale["now"])
        time.sleep(2.6)  # a changed scale is saved after 2 s
        return state.stat().st_mtime_ns == before

    def stands_mqtt() -> bool:
        before = len(subscriber.messages)
        g.feed(source, 4)
        time.sleep(1.0)
        return len(subscriber.messages) == before

    def stands_web() -> bool:
        return not g.web("/health", 1.0)

    rows = []
    for name, thread, stands, what in (("worker (saves)", worker, stands_worker, "saving of the state"),
                                       ("MQTT", mqtt, stands_mqtt, "publishing"),
                                       ("web", web, stands_web, "pages and API"),
                                       ("web, slow work", slow, None, "hashing of passwords"),
                                       ("web, slow work", slow2, None, "hashing of passwords"),
                                       ("announcing", announcer, None, "finding by name")):
        worked = stands is None or not stands()
        pid, first, counted = g.process.pid, len(g.pings), m.number(soak.TELEGRAMS)
        g.shim.stick(pid, thread)
        stood = stands is None or stands()
        g.feed(source, 4)
        began, took = time.monotonic(), []
        while time.monotonic() - began < 2 * WATCHDOG_S:
            asked = time.perf_counter()
            m.read(0, 51)
            took.append(time.perf_counter() - asked)
            time.sleep(0.005)
        rose = m.number(soak.TELEGRAMS) - counted
        gaps = [b - a for a, b in zip(g.pings[first:], g.pings[first + 1:])]
        good = (worked and stood and g.process.pid == pid and not g.ends and rose >= 4 and
                len(gaps) >= 3 and max(gaps) < WATCHDOG_S)
        lab.check("the %s thread hangs, the loop does not" % name, good,
                  "worked before %s, stood still %s, ends %s, telegrams %d, gaps %s" %
                  (worked, stood, g.ends, rose, gaps))
        rows.append([name, "%.0f ms" % (1000 * max(gaps, default=9)), "no",
                     "p99 %.1f ms" % (1000 * sorted(took)[int(len(took) * 0.99)]), what])
    subscriber.close()
    m.socket.close()
    return rows


def _loop(lab, g: Gateway, source) -> list:
    """A fresh process, as the threads of the one before hang; then its loop."""
    ends = len(g.ends)
    g.process.kill()
    wait(lambda: len(g.ends) > ends, 5)
    m = g.master()
    g.feed(source, 12)
    wait(lambda: m.number(soak.TELEGRAMS) >= 12 and g.web("/health"), 5)
    m.write(SCALE, 2000)
    before, starts, number = energies(m), m.number(soak.STARTS), m.number(1012)
    time.sleep(2.6)  # the saves that the telegrams asked for
    pid, ends = g.process.pid, len(g.ends)
    stuck_at = time.monotonic()
    g.shim.stick(pid, g.shim.threads(pid)[0])
    web_lives = g.web("/health", 0.8) and not g.ends[ends:]
    m.socket.settimeout(0.2)
    try:
        m.read(0, 1)
        modbus_lives = True
    except OSError:
        modbus_lives = False
    wait(lambda: len(g.ends) > ends, 5)
    killed_at, how = g.ends[-1] if len(g.ends) > ends else (stuck_at + 99, 0)
    fresh = g.master()
    back = time.monotonic() - stuck_at
    late = [p for p in g.pings if stuck_at + 0.01 < p < killed_at]
    lab.check("a stuck loop kicks no more, while the other threads live on",
              not late and web_lives and not modbus_lives, "kicks %s, web %s, Modbus %s" %
              (late, web_lives, modbus_lives))
    lab.check("it is ended by the watchdog within its time and half of it again",
              how == -signal.SIGABRT and killed_at - stuck_at < 1.5 * WATCHDOG_S, "%s after %.2f s" %
              (how, killed_at - stuck_at))
    after = energies(fresh)
    kept = (fresh.number(soak.STARTS) == starts + 1 and fresh.number(1012) == number and
            fresh.number(SCALE) == 2000 and all(a >= b > 0 for a, b in zip(after[:1], before[:1])) and
            all(a >= b for a, b in zip(after, before)))
    lab.check("after it: one more start, the same device, scale and energies", kept, "%s → %s" % (before, after))
    return ["loop", "none came", "by SIGABRT after %.2f s; Modbus back after %.2f s" % (killed_at - stuck_at, back),
            "none", "Modbus and the meter; web pages went on"]


# ---- memory


def cgroup_with_limit(name: str, octets: int) -> Path | None:
    """A group of processes that may use so much memory together; None: not ours to make here."""
    for line in Path("/proc/mounts").read_text("ascii").splitlines():
        _, where, kind, options = line.split()[:4]
        v1 = kind == "cgroup" and "memory" in options.split(",")
        if not v1 and kind != "cgroup2":
            continue
        group = Path(where) / name
        try:
            group.mkdir(exist_ok=True)
            (group / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(octets))
            return group
        except OSError:
            if group.is_dir():
                group.rmdir()
    return None


def neighbour(lab) -> None:
    group = cgroup_with_limit("han2x-prove-%d" % os.getpid(), 64 << 20)
    if group is None:
        lab.skip("a neighbour that eats all memory", "no memory cgroup can be made here")
        return
    g = Gateway(lab, "neighbour")
    source = telegrams(lab)
    rounds = 2 if lab.quick else 8
    try:
        g.start()
        (group / "cgroup.procs").write_text(str(g.process.pid))
        m = g.master()
        g.feed(source, 4)
        killed, took, errors = 0, [], 0
        for _ in range(rounds):
            hog = subprocess.Popen(["/usr/bin/python3", "-c", "import os\nopen(%r, 'w').write(str(os.getpid()))\n"
                                    "a = []\nwhile True: a.append(bytearray(b'x' * 1048576))" %
                                    str(group / "cgroup.procs")], stderr=subprocess.DEVNULL)
            end = time.monotonic() + 20
            while hog.poll() is None and time.monotonic() < end:
                asked = time.perf_counter()
                try:
                    m.read(0, 51)
                except OSError:
                    errors += 1
                    break
                took.append(time.perf_counter() - asked)
                time.sleep(0.002)
            hog.kill()
            killed += hog.wait() == -signal.SIGKILL and time.monotonic() < end
            g.feed(source, 4)
        wait(lambda: m.number(soak.TELEGRAMS) == 4 + 4 * rounds, 5)
        counted = m.number(soak.TELEGRAMS)
        ok = killed == rounds and errors == 0 and g.process.poll() is None and counted == 4 + 4 * rounds
        lab.check("a neighbour dies of memory, the gateway does not notice", ok, "killed %d, errors %d, counted %d" %
                  (killed, errors, counted))
        lab.table("A neighbour that takes memory until the kernel kills it, both in 64 MB",
                  ["neighbours killed", "reads meanwhile", "errors", "p50", "p99", "longest"],
                  [[killed, len(took), errors, "%.2f ms" % (1000 * statistics.median(took)),
                    "%.1f ms" % (1000 * sorted(took)[int(len(took) * 0.99)]), "%.1f ms" % (1000 * max(took))]], COMMAND)
    finally:
        g.close()
        wait(lambda: not (group / "cgroup.procs").read_text(), 5)
        group.rmdir()


class Requests:
    """One of each thing that is asked of a gateway; each may fail alone."""

    def __init__(self, g: Gateway, broker, source):
        self.g, self.source = g, source
        self.wire = soak.Wire(PORTS + 5, broker.port)

    def modbus(self) -> bool:
        try:
            m = soak.Master(PORTS)
            m.read(0, 51)
            m.socket.close()
            return True
        except OSError:
            return False

    def all(self) -> list[str]:
        """What failed."""
        g, failed = self.g, []
        for path in ("/health", "/api/v1/status", "/metrics", "/api/v1/history?hours=1", "/api/v1/registers", "/"):
            if not g.web(path):
                failed.append(path)
        if not g.web("/api/v1/live", tls=True):
            failed.append("https")
        if not self.modbus():
            failed.append("modbus")
        g.process.send_signal(signal.SIGHUP)
        self.wire.cut()
        g.meter.cut()
        g.feed(self.source, 2, 3)
        g.shim.sleep(5)
        return failed


def refused_memory(lab) -> None:
    broker = soak.mqtt_tools.Broker(lab.work, port=PORTS + 3, name="memory-broker")
    g = Gateway(lab, "memory", mqtt=True)
    asked = Requests(g, broker, telegrams(lab))
    rng = random.Random(6)
    try:
        g.shim.run(50)
        g.start()
        uncut = g.master()
        wait(lambda: g.web("/health") and g.web("/health", tls=True), 10)
        calm = asked.all()
        g.shim.fail_allocation(2**63)
        calm += asked.all()
        total = g.shim.allocations()
        wanted = 25 if lab.quick else 400
        worst, spoiled, hit, ended = [], 0, 0, {}
        # a round on a busy machine asks for less memory than the one that was counted: not each number comes
        for tried, k in enumerate(rng.sample(range(1, total + 1), min(total, 4 * wanted))):
            if tried >= wanted and hit > wanted // 2:
                break
            g.shim.fail_allocation(k)
            failed = asked.all()
            hit += g.shim.failed()
            spoiled += len(failed)
            by = g.shim.refused_to()
            g.shim.fail_allocation(0)
            try:
                uncut.read(0, 51)
            except OSError as why:
                if not wait(lambda: g.process.poll() is not None, 1):
                    worst.append((k, by, str(why)))
            if g.process.poll() is not None:  # on with a fresh one: there may be more to find
                ended[by] = ended.get(by, 0) + 1
                if not by.startswith(GIVES_UP):
                    worst.append((k, by, "ended with %d" % g.process.returncode))
                g.start()
                uncut = g.master()
                wait(lambda: g.web("/health") and g.web("/health", tls=True), 10)
            elif len(failed) > 1:
                worst.append((k, by, failed))
        end = asked.all() + asked.all()
        before = uncut.number(soak.TELEGRAMS)
        g.feed(asked.source, 4)
        counted = wait(lambda: uncut.number(soak.TELEGRAMS) == before + 4, 5)
        lab.check("all of it works with memory", calm == [], str(calm))
        lab.check("a refused allocation costs its own request and no more", not worst and hit > wanted // 2,
                  "%d refused; %s" % (hit, worst[:5]))
        lab.check("after all of them everything works as before", end == [] and counted and
                  g.process.poll() is None, str(end))
    finally:
        code = g.close()
        asked.wire.close()
        broker.close()
    lab.check("and it ends well", code == 0, str(code))
    rows = [["requests of a running gateway", total, hit, spoiled,
             told(ended)]]
    rows.append(_start_without_memory(lab, rng))
    lab.table("Memory refused once, at an allocation anywhere in the process, libraries too",
              ["while", "allocations there are", "refused, one a time", "requests or starts that failed",
               "ends by a signal"], rows, COMMAND)


def told(ended: dict[str, int]) -> str:
    return ", ".join("%d in %s" % (n, by) for by, n in sorted(ended.items())) or "0"


def _start_without_memory(lab, rng) -> list:
    """A start that finds no memory goes on without something, or ends with code 1: systemd tries again."""
    g = Gateway(lab, "start")
    try:
        for _ in range(2):  # the first one makes a certificate
            g.shim.fail_allocation(2**63)
            g.start()
            g.master().socket.close()
            wait(lambda: g.web("/health"), 5)
            total = g.shim.allocations()
            g.process.kill()
            g.process.wait()
        refused, crashed, hit = 0, [], 0
        numbers = rng.sample(range(1, total), min(15 if lab.quick else 200, total - 1))
        for k in numbers:
            g.shim.fail_allocation(k)
            g.start()
            end = time.monotonic() + 10
            lives = False
            while g.process.poll() is None and not lives and time.monotonic() < end:
                lives = Requests.modbus(type("", (), {"g": g})())
                time.sleep(0.002)
            if lives:
                wait(lambda: g.shim.allocations() >= k or g.process.poll() is not None, 0.3)
            hit += g.shim.failed()
            by = g.shim.refused_to()
            g.shim.fail_allocation(0)
            if g.process.poll() is None:
                g.process.terminate()
            code = g.process.wait(10)
            refused += code == 1
            if code not in (0, 1):
                crashed.append((k, by, code))
        lab.check("a start without memory ends in words, not by a signal of ours",
                  all(by.startswith(GIVES_UP) for _, by, _ in crashed), str(crashed[:9]))
        ended = {}
        for _, by, _ in crashed:
            ended[by] = ended.get(by, 0) + 1
        return ["the start", total, hit, refused, told(ended)]
    finally:
        g.close()


# ---- restarts


def storm(lab) -> None:
    g = Gateway(lab, "storm")
    source = telegrams(lab)
    rng = random.Random(7)
    count = 40 if lab.quick else 200
    took, lost, backwards, seen = [], [], 0, [0] * 4
    try:
        began = g.start()
        m = g.master()
        g.feed(source, 12)
        lab.check("energies are known before the storm", wait(
            lambda: m.number(soak.TELEGRAMS) == 12 and energies(m)[0] < 2**63, 5), str(energies(m)))
        time.sleep(2.6)
        starts = m.number(soak.STARTS)
        seen = energies(m)
        for i in range(count):
            how = rng.choice((signal.SIGTERM, signal.SIGKILL))
            g.process.send_signal(how)
            g.process.wait(10)
            m.socket.close()
            g.meter.cut()
            began = g.start()
            m = g.master()
            took.append(time.monotonic() - began)
            now, told = energies(m), m.number(soak.STARTS)
            if told != starts + i + 1:
                lost.append("start %d says %d" % (starts + i + 1, told))
            backwards += any(a < b for a, b in zip(now, seen))
            seen = now
            if i % 4 == 0:
                g.feed(source, 2)
            for _ in range(rng.randrange(4)):
                g.process.send_signal(signal.SIGHUP)
            time.sleep(rng.random() * 0.1)
        lab.check("Modbus answers within 1 s of each start", max(took) <= 1.0, "%.2f s" % max(took))
        lab.check("no start is lost", not lost, ", ".join(lost[:5]))
        lab.check("no estimate goes back over a restart", backwards == 0, str(backwards))
        rows = [[count, "%.0f ms" % (1000 * statistics.median(took)), "%.0f ms" % (1000 * max(took)), len(lost),
                 backwards]]
        lab.table("Restarts in a storm, half by SIGTERM, half by SIGKILL, at any moment",
                  ["restarts", "start to Modbus, median", "longest", "starts not counted", "energies that went back"],
                  rows, COMMAND)
        reloads(lab, g, m, source)
    finally:
        g.close()


def reloads(lab, g: Gateway, m: soak.Master, source) -> None:
    count = 100 if lab.quick else 1000
    before = m.number(soak.TELEGRAMS)
    for _ in range(20):  # connections of gateways that have ended are passed by
        g.feed(source, 1)
        if wait(lambda: m.number(soak.TELEGRAMS) > before, 0.2):
            break
    time.sleep(0.3)
    fds = len(os.listdir("/proc/%d/fd" % g.process.pid))
    before, rss = m.number(soak.TELEGRAMS), resident(g.process.pid)
    took = []
    for i in range(count):
        g.process.send_signal(signal.SIGHUP)
        asked = time.perf_counter()
        m.read(0, 51)
        took.append(time.perf_counter() - asked)
        if i % 10 == 0:
            g.feed(source, 1)
    counted = wait(lambda: m.number(soak.TELEGRAMS) == before + (count + 9) // 10, 5)
    time.sleep(0.3)
    fds_after, rss_after = len(os.listdir("/proc/%d/fd" % g.process.pid)), resident(g.process.pid)
    lab.check("reloads in a storm drop no connection, no telegram, and leave nothing behind",
              counted and fds == fds_after and rss_after - rss < 512, "fds %d → %d, RSS %d → %d KiB, counted %s" %
              (fds, fds_after, rss, rss_after, counted))
    lab.table("Reloads in a storm (SIGHUP), with a master and a meter connected",
              ["reloads", "connections lost", "Modbus p99 meanwhile", "fds before, after", "RSS before, after"],
              [[count, 0, "%.1f ms" % (1000 * sorted(took)[int(len(took) * 0.99)]), "%d, %d" % (fds, fds_after),
                "%d, %d KiB" % (rss, rss_after)]], COMMAND)


def resident(pid: int) -> int:
    return int(re.search(r"^VmRSS:\s+(\d+)", Path("/proc/%d/status" % pid).read_text("ascii"), re.M)[1])


# ---- the soak


def day(lab) -> None:
    speed = int(os.environ.get("SOAK_SPEED", "240"))
    hours, cuts, warm = (1.0, 400, 0.0) if lab.quick else (24.0, 10000, 24.0)
    found = soak.Soak(lab.han2x, lab.program("process_shim.so"), lab.work / "soak", hours, speed, cuts, warm).run()
    judge(lab, found)


def judge(lab, f: dict) -> None:
    all_hours = f["hours"] >= 24
    lab.check("each telegram on a line that was not cut is counted", f["counted"] == f["sent"] > 0 and not f["errors"],
              "%d sent, %d counted; %s" % (f["sent"], f["counted"], f["errors"]))
    lab.check("each hour's reading reaches the broker", f["hours_at_broker"] == f["hours_sent"] > 0,
              "%d of %d" % (f["hours_at_broker"], f["hours_sent"]))
    lab.check("one process, from start to end", f["same_process"] and f["exit"] == 0, str(f["exit"]))
    lab.check("no estimate goes back", f["backwards"] == 0, str(f["backwards"]))
    lab.check("a master that is not cut sees no error", f["master_errors"] == 0 and f["reads"] > 100, str(f["errors"]))
    lab.check("the cuts were made", f["all_cuts"] >= (9500 if all_hours else 300), str(f["cuts"]))
    lab.check("file descriptors do not grow", abs(f["fds_a_day"]) < 4 or not all_hours, "%s a day" % f["fds_a_day"])
    lab.check("memory does not grow", f["rss_max_kib"] - f["rss_first_kib"] < 2048, "%d → %d KiB" %
              (f["rss_first_kib"], f["rss_max_kib"]))
    lab.table("The soak: %g simulated hours in %.0f s (%d times as fast)" % (f["hours"], f["seconds"], f["speed"]),
              ["what", "figure"], rows_of(f), COMMAND)


def rows_of(f: dict) -> list[list]:
    return [
        ["cuts", "%d: %s" % (f["all_cuts"], ", ".join("%s %d" % c for c in f["cuts"].items()))],
        ["telegrams sent on a line that was up, counted", "%d, %d" % (f["sent"], f["counted"])],
        ["telegrams due while the line was down, or cut in the middle", f["missed"]],
        ["hourly readings sent, at the broker", "%d, %d" % (f["hours_sent"], f["hours_at_broker"])],
        ["restarts; estimates that went back", "%d; %d" % (not f["same_process"], f["backwards"])],
        ["reads by a master that is not cut: errors, p99", "%d: %d, %.2f ms" % (f["reads"], f["master_errors"], f["p99_ms"])],
        ["RSS at the begin, at the end, most", "%d, %d, %d KiB" % (f["rss_first_kib"], f["rss_last_kib"], f["rss_max_kib"])],
        ["RSS, slope of the second half", "%+.0f KiB a day" % f["rss_kib_a_day"]],
        ["file descriptors, least and most; slope", "%d, %d; %+.1f a day" % (f["fds_least"], f["fds_most"], f["fds_a_day"])],
    ]


def run(lab) -> None:
    watchdog(lab)
    neighbour(lab)
    refused_memory(lab)
    storm(lab)
    day(lab)
