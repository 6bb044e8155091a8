"""What attacks and comparisons need: servers on one core, masters that are measured and attackers
on the other, and what the kernel says of a server's memory.

The instrument must not show what the attacker takes from its core: the measured masters run in real
time (SCHED_FIFO) where that is allowed, else the attacker runs behind everybody (nice 19). What an
attack costs because the machine is shared is measured as a control: the same attack on a server
that does nothing (`attack PORT sink`), on the core of the server that is measured."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from ports import free_port  # noqa: E402  (another folder of tests)

SETTLE_S = 0.3


def _does(*command: str) -> bool:
    return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0


TWO_CORES = len(os.sched_getaffinity(0)) > 1 and _does("taskset", "-c", "0,1")
REAL_TIME = _does("chrt", "-f", "10")
# Other work on this machine is kept out as far as it goes; server and attacker alike.
AHEAD = ["nice", "-n", "-15"] if os.geteuid() == 0 and not subprocess.run(
    ["nice", "-n", "-15", "true"], capture_output=True, check=False).stderr else []


def on_core(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if TWO_CORES else []


def as_server() -> list[str]:
    return AHEAD + on_core(0)


def as_attacker() -> list[str]:
    return (AHEAD if REAL_TIME else ["nice", "-n", "19"]) + on_core(1)


def as_instrument() -> list[str]:
    return (["chrt", "-f", "10"] if REAL_TIME else []) + on_core(1)


HOW = (f"server {'on core 0, masters and attackers on core 1' if TWO_CORES else 'and load on one core'}; masters "
       f"{'in real time (SCHED_FIFO)' if REAL_TIME else 'before the attackers (nice 19)'}")


def wait_for(what: str, condition, seconds: float = 10.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError("did not happen in time: " + what)
        time.sleep(0.02)
    return value


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def end(process: subprocess.Popen) -> str:
    """@return what it printed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=20)[0] or ""
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0] or ""


@contextlib.contextmanager
def server(command: list, log: Path, port: int, limit_files: int = 0):
    """A server in a process of its own, ready when it listens."""
    command = [str(c) for c in command]
    if limit_files:
        command = ["sh", "-c", f'ulimit -n {limit_files}; exec "$@"', "sh", *command]
    with open(log, "ab") as out:
        process = subprocess.Popen(as_server() + command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for(f"{log.name} on port {port}", lambda: process.poll() is not None or listens(port), 20)
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}: {log.read_text()[-500:]}")
        yield process
    finally:
        end(process)


def rss_kb(pid: int) -> int:
    """0: it has ended."""
    found = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


# --- attackers ---


@contextlib.contextmanager
def attack(lab, port: int, kind: str, conns: int, addresses: int, rate: int, payload: bytes | None = None):
    """The C attacker. Yields a dict that has its counts once it has ended."""
    counts: dict[str, int] = {}
    command = [*as_attacker(), str(lab.program("attack")), str(port), kind, str(conns), str(addresses), str(rate)]
    if payload is not None:
        file = lab.work / "payload"
        file.write_bytes(payload)
        command.append(str(file))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield counts
    finally:
        counts.update({k: int(v) for k, v in (line.split() for line in end(process).splitlines())})


# --- masters ---


class Way:
    """One way in that is measured. kind: tcp, tty or http; where: a port or a descriptor."""

    def __init__(self, name: str, kind: str, where: int, period_us: int, head: bytes = b""):
        self.name, self.kind, self.where, self.period_us, self.head = name, kind, where, period_us, head


class Master:
    def __init__(self, lab, way: Way):
        self.way = way
        self.process = subprocess.Popen(
            [*as_instrument(), str(lab.program("master")), way.kind, str(way.where), str(way.period_us)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[way.where] if way.kind == "tty" else [])
        self.process.stdin.write(way.head)
        self.process.stdin.close()
        self.process.stdin = None
        self.process.stdout.readline()  # "ready": it has its connection

    def finish(self) -> tuple[list[str], list[tuple[int, int]]]:
        """@return errors, and (when in µs, how long in µs)."""
        lines = end(self.process).decode().splitlines()
        numbers = [int(n) for n in lines[-1].split()] if lines else []
        return [line for line in lines if line.startswith("error")], list(zip(numbers[::2], numbers[1::2]))


WITNESS = "witness"


def _at(error: str) -> int:
    return int(error.split()[1])


class Figures:
    """What masters saw: way → phase → latencies in µs; way → errors. One way may be the witness: a
    master of a server that does nothing, on the core of the one that is attacked. When it waits for
    a second too, the machine stood still; such an error is counted in `stalls`, not in `errors`."""

    def __init__(self):
        self.took: dict[str, dict[str, list[int]]] = {}
        self.errors: dict[str, list[str]] = {}
        self.stalls = 0

    def percentile(self, way: str, phase: str, share: float) -> int | None:
        values = sorted(self.took.get(way, {}).get(phase, []))
        return values[min(len(values) - 1, int(len(values) * share))] if values else None

    def p99(self, way: str, phase: str) -> int | None:
        return self.percentile(way, phase, 0.99)


def measure(lab, ways: list[Way], phases: list[tuple], into: Figures) -> None:
    """Masters on all ways at once, through phases (name, seconds, context manager or None). An
    attack has SETTLE_S to begin before it is looked at; its errors count from its first moment."""
    masters = [Master(lab, way) for way in ways]
    windows = []
    try:
        for name, seconds, manager in phases:
            with manager() if manager is not None else contextlib.nullcontext():
                time.sleep(SETTLE_S if manager is not None else 0)
                begin = time.monotonic_ns() // 1000
                time.sleep(seconds)
                windows.append((name, begin, time.monotonic_ns() // 1000))
            time.sleep(0.1)
    finally:
        found = [(m.way.name, m.finish()) for m in masters]
    stalls = [_at(e) for way, (errors, _) in found if way == WITNESS for e in errors]
    for way, (errors, samples) in found:
        if way == WITNESS:
            continue
        ours = [e for e in errors if not any(abs(_at(e) - at) < 1_500_000 for at in stalls)]
        into.stalls += len(errors) - len(ours)
        into.errors.setdefault(way, []).extend(ours)
        for name, begin, finish in windows:
            took = into.took.setdefault(way, {}).setdefault(name, [])
            took += [t for at, t in samples if begin <= at < finish]
