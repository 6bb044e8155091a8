#!/usr/bin/env python3
"""The soak: one gateway lives a day in minutes while its meter, broker, masters and browsers are cut
off again and again. process.py calls soak() and judges; alone it prints what it found:

    tests/prove/soak.py --hours 24 --speed 24 --cuts 10000

Time is the gateway's own, made faster by process_shim.c, so that every timer, back-off, keep-alive
and hour of the program happens as often as in that time."""

import argparse
import base64
import json
import os
import random
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path

from lab import ROOT
from shim import Shim

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import mqtt_tools  # noqa: E402

START_S = 1792792800  # 2026-10-23T22:00:00Z: the next day has 25 hours here
STEP_S = 2.5          # Aidon's list 1; list 2 and 3 come in its place
WARM_SPEED = 1200
AHEAD_NS = 15 * 10**9
LIST3_LEAST = 300     # octets; Aidon's list 2 has 288, list 3 396
PORTS = 23100         # Modbus, http, https, broker, meter, the wire to the broker
TELEGRAMS, LISTS, STARTS, ESTIMATED = 1040, 4, 1010, 1196  # addresses of registers
LOGIN = "Basic " + base64.b64encode(b"bits:vari").decode()
SHARES = {"serial": 0.2, "tcp": 0.2, "broker": 0.15, "Modbus": 0.25, "web": 0.2}  # of the cuts


def reset(s: socket.socket) -> None:
    """Away without a word: what was on the way is lost."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Master:
    """One Modbus TCP connection."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, first: int, count: int) -> None:
        self.socket.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, first, count))

    def read(self, first: int, count: int) -> bytes:
        self.ask(first, count)
        want, have = 9 + 2 * count, b""
        while len(have) < want:
            part = self.socket.recv(4096)
            if not part:
                raise ConnectionError("closed")
            have += part
        if have[7] != 3:
            raise ConnectionError("refused")
        return have[9:]

    def write(self, first: int, value: int) -> None:
        self.socket.sendall(struct.pack(">HHHBBHHBI", 1, 0, 11, 1, 16, first, 2, 4, value))
        if len(self.socket.recv(64)) != 12:
            raise ConnectionError("not written")

    def number(self, first: int) -> int:
        return struct.unpack(">I", self.read(first, 2))[0]


class Wire:
    """TCP through us to the broker: to be cut, or to carry nothing for a while."""

    def __init__(self, port: int, to_port: int):
        self.port, self._to = port, to_port
        self.frozen = False
        self.pairs: dict[socket.socket, socket.socket] = {}
        self._cut = self._closed = False
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
            return
        self.pairs[near], self.pairs[far] = far, near

    def _drop(self, one: socket.socket) -> None:
        other = self.pairs.pop(one)
        del self.pairs[other]
        reset(one)
        reset(other)

    def _run(self) -> None:
        while not self._closed:
            if self._cut:
                self._cut = False
                while self.pairs:
                    self._drop(next(iter(self.pairs)))
            waiting = [self._listener] + ([] if self.frozen else list(self.pairs))
            for s in select.select(waiting, [], [], 0.002)[0]:
                if s is self._listener:
                    self._accept()
                elif s in self.pairs:
                    self._carry(s)

    def _carry(self, s: socket.socket) -> None:
        try:
            data = s.recv(65536)
            if data:
                self.pairs[s].sendall(data)
                return
        except OSError:
            pass
        self._drop(s)

    def cut(self) -> None:
        self._cut = True

    def close(self) -> None:
        self._closed = True
        self._thread.join(5)
        self._listener.close()


class SerialMeter:
    """A pty behind a name that stays. Cut: the master's end is closed, as when an adapter goes."""

    name = "serial"

    def __init__(self, path: Path, soak):
        self.path, self.soak, self.fd = path, soak, -1
        self.opened = 0
        self.source = "serial:%s" % path

    def raise_(self) -> None:
        if self.fd >= 0:
            return
        self.opened = self.soak.log_count("open")
        self.fd, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        fresh = self.path.with_suffix(".new")
        fresh.symlink_to(os.ttyname(slave))
        os.close(slave)
        os.set_blocking(self.fd, False)
        fresh.rename(self.path)

    def is_up(self) -> bool:
        """What is written before the gateway has set the line up is not a telegram to it."""
        return self.fd >= 0 and self.soak.log_count("open") > self.opened

    def send(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self.fd, data):]
            except BlockingIOError:
                time.sleep(0.001)

    def cut(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class TcpMeter:
    """A serial server on the network."""

    name = "tcp"

    def __init__(self, port: int):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.setblocking(False)
        self.peer = None
        self.source = "tcp://127.0.0.1:%d" % port

    def raise_(self) -> None:
        pass

    def is_up(self) -> bool:
        while True:
            if self.peer is None:
                try:
                    self.peer, _ = self.listener.accept()
                except BlockingIOError:
                    return False
                self.peer.setblocking(True)
            if not select.select([self.peer], [], [], 0)[0]:
                return True
            self.cut()  # the gateway says nothing on this line: it has left, perhaps before we came

    def send(self, data: bytes) -> None:
        try:
            self.peer.sendall(data)
        except OSError:  # the gateway left: it heard nothing for a minute
            self.peer = None

    def cut(self) -> None:
        if self.peer is not None:
            random.choice((reset, socket.socket.close))(self.peer)
        self.peer = None


class Soak:
    def __init__(self, han2x: Path, library: Path, folder: Path, hours: float, speed: int, cuts: int,
                 warm_hours: float = 0.0, ports: int = PORTS):
        self.folder = folder = folder.resolve()
        self.hours, self.speed, self.cuts = hours, speed, cuts
        self.warm_hours = warm_hours
        folder.mkdir(parents=True, exist_ok=True)
        self.random = random.Random(1)
        self.shim = Shim(library, folder / "page")
        self.telegram = self._telegrams(han2x)
        self.port, self.http, self.https = ports, ports + 1, ports + 2
        self.broker = mqtt_tools.Broker(folder, port=ports + 3)
        self.proxy = Wire(ports + 5, self.broker.port)
        self.subscriber = mqtt_tools.Subscriber(self.broker.port, "+/hour")
        self.meters = [SerialMeter(folder / "tty", self), TcpMeter(ports + 4)]
        self.meter = self.meters[1]
        self.conf = folder / "han2x.conf"
        self.log: dict[str, int] = {}
        self.errors: list[str] = []
        self.done = dict.fromkeys(SHARES, 0)  # cuts made
        self.sent = self.lost = self.missed = self.hours_sent = 0
        self.samples: list[tuple] = []
        self.took: list[float] = []
        self.backwards = self.master_errors = self.web_errors = 0
        self.led = False  # time waits for the meter
        self.ending = threading.Event()
        self._start(han2x)

    # ---- the gateway

    def _telegrams(self, han2x: Path):
        count = int((self.hours + self.warm_hours) * 3600 / STEP_S) + 100
        made = subprocess.run([han2x, "simulate", "--meter", "aidon", "--solar", "--pace", "max",
                               "--count", str(count), "--start", time.strftime(
                                   "%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_S))],
                              capture_output=True, check=True).stdout
        at = 0
        while at < len(made):
            end = at + (struct.unpack_from(">H", made, at + 1)[0] & 0x7FF) + 2
            yield made[at:end]
            at = end

    def _write_conf(self) -> None:
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
enabled = yes
url = mqtt://127.0.0.1:%d
topic = soak
format = han2x json sparkplug
""" % (self.meter.source, self.port, self.http, self.https, self.proxy.port))

    def _start(self, han2x: Path) -> None:
        self._write_conf()
        self.shim.run(1, START_S - 5)
        self.process = subprocess.Popen(
            [han2x, "run", "-c", self.conf, "--state-dir", self.folder / "state"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, **self.shim.environment()))
        self._gatherer = threading.Thread(target=self._gather, daemon=True)
        self._gatherer.start()

    def _gather(self) -> None:
        kinds = {"open": r": open( again)?,", "loaded": r"settings loaded", "error": r"^<3>|error:"}
        with open(self.folder / "gateway.log", "w", encoding="utf-8") as out:
            for line in self.process.stderr:
                out.write(line)
                for kind, pattern in kinds.items():
                    if re.search(pattern, line):
                        self.log[kind] = self.log.get(kind, 0) + 1

    def log_count(self, kind: str) -> int:
        return self.log.get(kind, 0)

    # ---- the meter, on the caller's thread

    def _until(self, what: str, condition, real_s: float = 20.0) -> bool:
        end = time.monotonic() + real_s
        while not condition():
            self._let_pass(self.shim.mono_ns())
            if time.monotonic() > end or self.process.poll() is not None:
                self.errors.append(what)
                if len(self.errors) > 20:
                    raise RuntimeError("; ".join(self.errors))
                return False
            time.sleep(0.0005)
        return True

    def _send(self, data: bytes) -> None:
        self.meter.send(data)
        self.sent += 1
        self.hours_sent += len(data) > LIST3_LEAST

    def _let_pass(self, mono_ns: int) -> None:
        """Time goes no further than so much after this moment."""
        if self.led:
            self.shim.limit(mono_ns + AHEAD_NS)

    def _settle(self) -> bool:
        """All that was sent has been counted."""
        if self._until("%d telegrams sent, not all counted" % self.sent,
                       lambda: self.counter.number(TELEGRAMS) == self.sent - self.lost, 5):
            return True
        self.lost = self.sent - self.counter.number(TELEGRAMS)
        return False

    def _cut_meter(self) -> None:
        """Between telegrams, or in the middle of one, which does not count then."""
        settled = self._settle()
        if settled and self.random.random() < 0.5:
            half = next(self.telegram)
            self.n += 1
            self.missed += 1
            self.meter.send(half[:self.random.randrange(1, len(half) - 1)])
        self.meter.cut()
        self.done[self.meter.name] += 1
        self.meter.raise_()

    def _change_meter(self) -> None:
        self._settle()
        old = self.meter
        self.meter = self.meters[1 - self.meters.index(old)]
        loaded = self.log_count("loaded")
        self.meter.raise_()
        self._write_conf()
        self.process.send_signal(signal.SIGHUP)
        self._until("settings loaded", lambda: self.log_count("loaded") > loaded)
        old.cut()

    def _meter(self, begin_ns: int, until_n: int, cuts: int) -> None:
        """Telegrams in time; cuts spread over them; the other line every eighth of the time."""
        first = self.n
        plan = sorted(self.random.sample(range(first + 4, until_n - 4), cuts)) if cuts else []
        every = max((until_n - first) // 8, 1)
        change = first + every
        while self.n < until_n and self.process.poll() is None:
            self._let_pass(begin_ns + int(self.n * STEP_S * 1e9))
            self.shim.sleep_until(begin_ns + int(self.n * STEP_S * 1e9))
            if plan and self.n >= plan[0]:
                plan.pop(0)
                if self.meter.is_up():
                    self._cut_meter()
                else:
                    self._plan_later(plan, until_n)
            if cuts and self.n >= change:
                change += every
                self._change_meter()
            data = next(self.telegram)
            self.n += 1
            if self.meter.is_up():
                self._send(data)
            else:
                self.missed += 1

    def _plan_later(self, plan: list[int], until_n: int) -> None:
        if self.n + 8 < until_n:
            plan.append(self.random.randrange(self.n + 4, until_n - 3))
            plan.sort()

    # ---- the others, each on a thread

    def _pace(self, what: str):
        """Comes back for each cut of a kind, evenly over the time."""
        count = int(self.cuts * SHARES[what])
        span = self.hours * 3600e9
        for i in range(count):
            self.shim.sleep_until(self.begin_ns + int(span * (i + 0.5) / count))
            if self.ending.is_set():
                return
            yield i
            self.done[what] += 1

    def _cut_broker(self) -> None:
        for i in self._pace("broker"):
            end = time.monotonic() + 20
            while not self.proxy.pairs and time.monotonic() < end and not self.ending.is_set():
                time.sleep(0.002)
            if i % 20 == 19:  # the broker is there and says nothing
                self.proxy.frozen = True
                self.shim.sleep(60)
                self.proxy.frozen = False
            self.proxy.cut()

    def _cut_masters(self) -> None:
        for i in self._pace("Modbus"):
            try:
                m = Master(self.port)
                m.read(0, 51)
                if i % 3 == 0:
                    m.socket.sendall(b"\0\1\0\0\0\6\1\3"[:self.random.randrange(1, 8)])
                elif i % 3 == 1:
                    for _ in range(20):
                        m.ask(0, 120)
                (reset if i % 2 else socket.socket.close)(m.socket)
            except OSError as why:
                self.master_errors += 1
                self.errors.append("a master: %s" % why)

    def _cut_browsers(self) -> None:
        paths = ["/health", "/api/v1/status", "/metrics", "/api/v1/history?hours=24",
                 "/api/v1/events", "/api/v1/telegrams", "/"]
        context = ssl._create_unverified_context()
        for i in self._pace("web"):
            tls, path = i % 5 == 4, paths[i % len(paths)]
            try:
                s = socket.create_connection(("127.0.0.1", self.https if tls else self.http), 10)
                if tls:
                    s = context.wrap_socket(s)
                request = "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\n\r\n" % (path, LOGIN)
                if i % 4 == 3:
                    s.sendall(request[:self.random.randrange(1, len(request) - 1)].encode())
                else:
                    s.sendall(request.encode())
                    if not s.recv(512).startswith(b"HTTP/1.1 200"):
                        self.web_errors += 1
                reset(s)
            except OSError:
                self.web_errors += 1

    def _watch_registers(self) -> None:
        """A master that is never cut off: it sees no error, and no estimate that goes back."""
        m, last = Master(self.port), (0,) * 4
        while not self.ending.is_set():
            began = time.perf_counter()
            try:
                now = struct.unpack(">4Q", m.read(ESTIMATED, 16))
            except OSError as why:
                self.master_errors += 1
                self.errors.append("the uncut master: %s" % why)
                return
            self.took.append(time.perf_counter() - began)
            now = tuple(0 if v == 2**64 - 1 else v for v in now)  # not known yet
            self.backwards += any(a < b for a, b in zip(now, last))
            last = now
            time.sleep(0.02)

    def _sample(self) -> None:
        status = Path("/proc/%d/status" % self.process.pid).read_text("ascii")
        rss = int(re.search(r"^VmRSS:\s+(\d+)", status, re.M).group(1))
        threads = int(re.search(r"^Threads:\s+(\d+)", status, re.M).group(1))
        fds = len(os.listdir("/proc/%d/fd" % self.process.pid))
        self.samples.append(((self.shim.mono_ns() - self.begin_ns) / 3600e9, rss, fds, threads))
        with open(self.folder / "samples", "a", encoding="ascii") as out:
            print(*self.samples[-1], self.sent, sum(self.done.values()), file=out)

    def _watch_process(self) -> None:
        step = self.hours * 3600e9 / 240
        i = 0
        while not self.ending.is_set():
            try:
                self._sample()
            except OSError:
                return  # ended: told elsewhere
            i += 1
            self.shim.sleep_until(self.begin_ns + int(step * i))

    # ---- all of it

    def _warm(self) -> None:
        """A day without a cut fills what is there to be filled: the history of 24 h above all."""
        for _ in range(int(self.warm_hours * 360)):
            data = next(self.telegram)  # list 2 or 3; three list 1 follow, which are left out
            for _ in range(3):
                next(self.telegram)
            self.n += 4
            self._let_pass(self.zero_ns + int(self.n * STEP_S * 1e9))
            self.shim.sleep_until(self.zero_ns + int(self.n * STEP_S * 1e9))
            if self.meter.is_up():
                self._send(data)
        self.shim.run(self.speed)
        self._until("the warm-up's hours are at the broker", lambda: self._hours() >= self.hours_sent, 5)
        self.errors = []
        # so fast that a wink of ours is a minute of silence to the gateway: not judged
        self.sent, self.hours_sent = self.counter.number(TELEGRAMS), self._hours()

    def run(self) -> dict:
        try:
            self._run()
        finally:
            self.ending.set()
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.errors.append("does not end on SIGTERM")
                    self.process.kill()
            for thing in (self.subscriber, self.proxy, self.broker):
                thing.close()
        return self.found()

    def _run(self) -> None:
        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        self._until("Modbus answers", listens)
        self._until("the meter is connected", self.meter.is_up)
        self.counter = Master(self.port)
        starts = self.counter.number(STARTS)
        self.n = 0
        self.zero_ns = self.shim.mono_ns() + int(5e9)
        self.led = True
        self._let_pass(self.zero_ns)
        if self.warm_hours:
            self.shim.run(WARM_SPEED)
            self._warm()
        self.shim.run(self.speed)
        self.begin_ns = self.shim.mono_ns()
        self.began = time.monotonic()
        threads = [threading.Thread(target=t, daemon=True) for t in (
            self._cut_broker, self._cut_masters, self._cut_browsers, self._watch_registers,
            self._watch_process)]
        for t in threads:
            t.start()
        cuts = int(self.cuts * (SHARES["serial"] + SHARES["tcp"]))
        self._meter(self.zero_ns, self.n + int(self.hours * 3600 / STEP_S), cuts)
        self.led = False
        self.shim.limit(0)
        for t in threads[:3]:
            t.join(60)
        self.seconds = time.monotonic() - self.began
        self._settle()
        self.ending.set()
        self.shim.sleep(100)  # connections that were left half done are given up
        self._sample()
        self.same = self.process.poll() is None and self.counter.number(STARTS) == starts
        self.counted = self.counter.number(TELEGRAMS)
        self._until("every hour's reading is at the broker", lambda: self._hours() >= self.hours_sent, 30)

    def _hours(self) -> int:
        return len({json.loads(text)["hourStartUtc"] for _, text, *_ in list(self.subscriber.messages)})

    def found(self) -> dict:
        rows = self.samples[:-1]
        return {
            "hours": self.hours, "speed": self.speed, "seconds": round(self.seconds, 1),
            "cuts": self.done, "all_cuts": sum(self.done.values()),
            "sent": self.sent, "counted": self.counted, "missed": self.missed,
            "hours_sent": self.hours_sent, "hours_at_broker": self._hours(),
            "same_process": self.same, "exit": self.process.returncode,
            "backwards": self.backwards, "master_errors": self.master_errors, "web_errors": self.web_errors,
            "reads": len(self.took), "p99_ms": round(1000 * sorted(self.took)[int(len(self.took) * 0.99)], 2),
            "rss_first_kib": rows[0][1], "rss_last_kib": rows[-1][1], "rss_max_kib": max(r[1] for r in rows),
            "rss_kib_a_day": round(24 * slope([(r[0], r[1]) for r in rows[len(rows) // 2:]]), 1),
            "fds_least": min(r[2] for r in rows), "fds_most": max(r[2] for r in rows),
            "fds_a_day": round(24 * slope([(r[0], r[2]) for r in rows]), 2),
            "threads_most": max(r[3] for r in rows), "log_errors": self.log_count("error"),
            "errors": self.errors[:20],
        }


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line with the least squares."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    above = sum((x - mx) * (y - my) for x, y in points)
    return above / (sum((x - mx) ** 2 for x, _ in points) or 1.0)


def main() -> None:
    ask = argparse.ArgumentParser(description="Let a gateway live through cuts.")
    ask.add_argument("--hours", type=float, default=24.0)
    ask.add_argument("--speed", type=int, default=24)
    ask.add_argument("--cuts", type=int, default=10000)
    ask.add_argument("--warm-hours", type=float, default=24.0)
    ask.add_argument("--ports", type=int, default=PORTS)
    ask.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    ask.add_argument("--folder", type=Path, default=ROOT / "build" / "prove" / "soak")
    args = ask.parse_args()
    library = args.build / "tests" / "prove" / "process_shim.so"
    found = Soak(args.build / "han2x", library, args.folder, args.hours, args.speed, args.cuts,
                 args.warm_hours, args.ports).run()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
