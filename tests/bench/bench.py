#!/usr/bin/python3
"""Measures han2x side by side with other servers on this machine; prints markdown tables.

bench.py [--runs 5] [--secs 2] [--only PART] [--write]
Parts: load, neighbours, memory, start, latency, decode. Servers run on core 0, load on core 1.
Peers alternate inside each run; ratios are taken inside one run, the table has their median.
"""
import argparse
import contextlib
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from ports import free_port  # noqa: E402  (another folder of tests)

BUILD = ROOT / "build" / "release"
HAN2X = BUILD / "han2x"
PROGRAMS = BUILD / "tests" / "bench"
MBLOAD_SOURCE = ROOT.parent / "shared" / "tools" / "mbload.c"
MBLOAD = ROOT / "build" / "mbload"
READ_POWER = bytes.fromhex("000100000006010300000002")


class Skip(Exception):
    """This part cannot be measured here."""


def core(number, command):
    return ["taskset", "-c", str(number)] + [str(part) for part in command]


def ask(port):
    """One Modbus request on a connection of its own; raises OSError when not answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(READ_POWER)
        if not link.recv(64):
            raise OSError("closed")


def wait_answer(port, process, patience=20.0):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Skip(f"server ended with {process.returncode}")
        with contextlib.suppress(OSError):
            ask(port)
            return
        time.sleep(0.005)
    raise Skip("server does not answer")




@contextlib.contextmanager
def running(command, port, log=subprocess.DEVNULL):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    try:
        wait_answer(port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def han2x_command(port, state, *settings, source="sim:aidon"):
    command = [HAN2X, "run", "--state-dir", state, "-s", f"meter.source={source}",
               "-s", f"modbus_tcp.port={port}", "-s", "modbus_tcp.listen=127.0.0.1"]
    for setting in settings:
        command += ["-s", setting]
    return command


def need_mbload():
    if not MBLOAD_SOURCE.exists():
        raise Skip(f"no load generator at {MBLOAD_SOURCE}")
    if not MBLOAD.exists() or MBLOAD.stat().st_mtime < MBLOAD_SOURCE.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-pthread", "-o", MBLOAD, MBLOAD_SOURCE], check=True)


def mbload(port, *arguments):
    """@return the report as a dict; numbers as float."""
    command = core(1, [MBLOAD, *arguments, "127.0.0.1", port])
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    report = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        with contextlib.suppress(ValueError):
            report[key] = float(value)
    if "rps" not in report:
        raise Skip(f"mbload: {done.stderr.strip()[-200:]}")
    return report


def median(values):
    return statistics.median(values) if values else float("nan")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]) + "\n"


# --- parts: each returns markdown

SHAPES = [(conns, mode) for mode in ([], ["-d", "16", "--coalesce"]) for conns in (1, 16, 100, 1000)]


def servers(stack, folder):
    """Start every peer; @return name → port."""
    ports = {name: free_port() for name in ("echo", "han2x", "libmodbus", "pymodbus")}
    commands = {
        "echo": [MBLOAD, "--echo", ports["echo"]],
        "han2x": han2x_command(ports["han2x"], folder, "modbus_tcp.max_clients=2000"),
        "libmodbus": [PROGRAMS / "libmodbus_server", ports["libmodbus"]],
        "pymodbus": ["/usr/bin/python3", ROOT / "tests/bench/pymodbus_server.py", ports["pymodbus"]],
    }
    up = {}
    for name, command in commands.items():
        try:
            stack.enter_context(running(core(0, command), ports[name]))
            up[name] = ports[name]
        except (Skip, OSError) as reason:
            print(f"bench: {name}: {reason}", file=sys.stderr)
    if "echo" not in up or "han2x" not in up:
        raise Skip("echo or han2x did not start")
    return up


def part_load(options):
    need_mbload()
    rows = []
    with contextlib.ExitStack() as stack:
        up = servers(stack, stack.enter_context(tempfile.TemporaryDirectory()))
        for conns, mode in SHAPES:
            ratios = {name: [] for name in up}
            rates, errors = {name: [] for name in up}, {name: 0 for name in up}
            for _ in range(options.runs):
                for name, port in up.items():
                    report = mbload(port, "-c", conns, "-t", options.secs, *mode)
                    rates[name].append(report["rps"])
                    errors[name] += int(report["errors"])
                    ratios[name].append(report["rps"] / rates["echo"][-1])
            row = [conns, "16 in one write" if mode else "1", f"{median(rates['echo']):.0f}"]
            for name in ("han2x", "libmodbus", "pymodbus"):
                wrong = f" ({errors[name]} errors)" if errors.get(name) else ""
                row.append(f"{median(ratios[name]):.3f}{wrong}" if name in up else "-")
            rows.append(row)
            print(*row, file=sys.stderr)
    return ("## Modbus TCP, requests a second\n\nAs a share of `mbload --echo`, the limit of one thread that "
            "answers without looking. Median of ratios.\n\n"
            + table(["connections", "outstanding", "echo, 1/s", "han2x", "libmodbus", "pymodbus"], rows))


def part_neighbours(options):
    need_mbload()
    rows = []
    for clients in (64, 2000):
        ratios, calm, beside, errors = [], [], [], 0
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            command = han2x_command(port, folder, f"modbus_tcp.max_clients={clients}")
            with running(core(0, command), port):
                for _ in range(options.runs):
                    one = mbload(port, "-c", 8, "-t", options.secs)
                    two = mbload(port, "-c", 8, "-t", options.secs, "--slow", 10, "--garbage", 10,
                                 "--idle", 1000)
                    calm.append(one["lat_p99_us"])
                    beside.append(two["lat_p99_us"])
                    ratios.append(two["lat_p99_us"] / one["lat_p99_us"])
                    errors += int(one["errors"] + two["errors"])
        rows.append([clients, f"{median(calm):.0f}", f"{median(beside):.0f}", f"{median(ratios):.2f}", errors])
    return ("## Bad neighbours\n\n8 measured clients, alone and beside 10 that send one octet a second, 10 that "
            "send garbage and 1000 that are idle.\n\n"
            + table(["max_clients", "p99 calm, us", "p99 beside, us", "ratio", "errors"], rows))


def rss_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s*(\d+)", text).group(1))


def part_memory(_options):
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port = free_port()
        command = han2x_command(port, folder, "modbus_tcp.max_clients=2000")
        process = stack.enter_context(running([str(c) for c in command], port))
        time.sleep(3)  # telegrams have come, files are written
        idle = rss_kb(process.pid)
        for _ in range(1000):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            link.sendall(READ_POWER)
            link.recv(64)
        full = rss_kb(process.pid)
        rows = [["idle", f"{idle} KB"], ["with 1000 connections", f"{full} KB"],
                ["each connection", f"{(full - idle) * 1024 / 1000:.0f} octets"]]
    return "## Memory (RSS)\n\n" + table(["", "RSS"], rows)


def first_answer_ms():
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        begin = time.monotonic()
        command = [str(c) for c in han2x_command(port, folder)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while time.monotonic() - begin < 10:
                with contextlib.suppress(OSError):
                    ask(port)
                    return (time.monotonic() - begin) * 1000
                time.sleep(0.0005)
            raise Skip("han2x does not answer")
        finally:
            process.terminate()
            process.wait()


def part_start(options):
    times = [first_answer_ms() for _ in range(4 * options.runs)]
    return ("## Start to first answered request\n\n"
            + table(["starts", "median, ms", "worst, ms"],
                    [[len(times), f"{median(times):.1f}", f"{max(times):.1f}"]]))


def latency(kind, count):
    port = free_port()
    meter = subprocess.Popen(core(1, [PROGRAMS / "latency", kind, port, count]), text=True,
                             stdout=subprocess.PIPE)
    try:
        source = meter.stdout.readline().split()[1]
        with tempfile.TemporaryDirectory() as folder:
            command = han2x_command(port, folder, "meter.baud=2400", "meter.parity=none", source=source)
            with running(core(0, command), port):
                out, _ = meter.communicate(timeout=120)
    finally:
        meter.kill()
        meter.wait()
    if meter.returncode != 0:
        raise Skip(f"latency program ended with {meter.returncode}")
    return {key: int(value) for key, value in (line.split() for line in out.splitlines())}


def part_latency(options):
    count = max(100, 400 * options.runs // 5)
    rows = []
    for kind, name in (("tcp", "tcp://"), ("pty", "serial: on a pty")):
        found = latency(kind, count)
        rows.append([name, count, found["latency_p50_us"], found["latency_p99_us"], found["latency_max_us"],
                     found["poll_p50_us"]])
    return ("## Telegram's last octet to register\n\nFrom the end of the write that sends a list 2 to the answer "
            "that carries its power, polled without pause; the last column is the poll alone.\n\n"
            + table(["source", "telegrams", "p50, us", "p99, us", "worst, us", "poll p50, us"], rows))


def callgrind_instructions(rounds):
    if not shutil.which("valgrind"):
        raise Skip("no valgrind")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=decode_all",
             f"--callgrind-out-file={folder}/out", PROGRAMS / "decode_bench", str(rounds)],
            capture_output=True, text=True, check=True)
    telegrams = int(re.search(r"telegrams (\d+)", done.stdout).group(1))
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1)) / telegrams


def part_decode(options):
    rates = []
    for _ in range(options.runs):
        done = subprocess.run(core(1, [PROGRAMS / "decode_bench", int(2000 * options.secs)]),
                              capture_output=True, text=True, check=True)
        rates.append(int(re.search(r"telegrams_per_s (\d+)", done.stdout).group(1)))
    return ("## Decoding\n\nThe recorded Norwegian telegrams, octets to named values, one core.\n\n"
            + table(["telegrams a second", "instructions a telegram (callgrind, mean)"],
                    [[f"{median(rates):.0f}", f"{callgrind_instructions(10):.0f}"]]))


PARTS = {"load": part_load, "neighbours": part_neighbours, "memory": part_memory, "start": part_start,
         "latency": part_latency, "decode": part_decode}


def machine():
    cpu = "unknown processor"
    with contextlib.suppress(OSError, AttributeError):
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        cpu = re.search(r"model name\s*:\s*(.*)", text).group(1)
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}, {platform.machine()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="alternated runs (5)")
    parser.add_argument("--secs", type=float, default=2, help="seconds a measurement (2)")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    options = parser.parse_args()
    text = ("# Benchmarks\n\nMeasured by `./dev bench" + (" --write" if options.write else "")
            + f" --runs {options.runs} --secs {options.secs:g}` on {machine()}; {time.strftime('%Y-%m-%d')}.\n"
            "Servers on core 0, load on core 1, peers alternating, median of the runs. Ratios travel to other "
            "machines, absolute figures do not.\n")
    failed = False
    for name in options.only or PARTS:
        print(f"bench: {name} …", file=sys.stderr)
        try:
            text += "\n" + PARTS[name](options)
        except (Skip, OSError, subprocess.SubprocessError) as reason:
            text += f"\n## {name}\n\nNot measured: {reason}.\n"
            failed = failed or not isinstance(reason, Skip)
    print(text)
    if options.write:
        path = ROOT / "docs" / "benchmarks.md"
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        rest = re.search(r"\n## (Fuzzing|Telegram to MQTT subscriber|Web|MQTT fleet)\n.*", old, re.S)  # by hand, of web_load.py, of fleet.py
        path.write_text(text + (rest[0] if rest else ""), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
