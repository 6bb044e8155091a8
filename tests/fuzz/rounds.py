#!/usr/bin/python3
"""Runs fuzz targets and keeps account of what they had.

rounds.py BUILD SECONDS JOBS TARGET…   fuzzes each for SECONDS of the clock, JOBS at a time; exit code 1: a finding
rounds.py --keep BUILD TARGET          adds what the target had since the last time to tests/fuzz/spent.csv

Inputs gather in BUILD/TARGET-corpus, findings in BUILD/TARGET-findings, the fuzzer's words in BUILD/TARGET.log.
"""
import collections
import csv
import os
import pathlib
import re
import subprocess
import sys
import time

SPENT = pathlib.Path(__file__).parent / "spent.csv"
# Seconds of the clock and of the processor and inputs run, summed; of the newest round: inputs run,
# how many had been run when the last new edge of the code was reached, edges.
Spent = collections.namedtuple("Spent", "target clock_s processor_s inputs newest_inputs last_edge_at edges")
Done = collections.namedtuple("Done", "spent good text")
HANG_S = 60  # with a processor to itself


def read(path):
    """@return {target: Spent}"""
    if not path.exists():
        return {}
    with open(path, encoding="ascii", newline="") as f:
        return {row[0]: Spent(row[0], *map(int, row[1:])) for row in list(csv.reader(f))[1:]}


def add(path, new):
    """Add a round to the sums of a file."""
    rows = read(path)
    old = rows.get(new.target)
    if old:
        new = new._replace(clock_s=old.clock_s + new.clock_s, processor_s=old.processor_s + new.processor_s,
                           inputs=old.inputs + new.inputs)
    rows[new.target] = new
    write(path, rows)


def write(path, rows):
    with open(path, "w", encoding="ascii", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerows([Spent._fields, *sorted(rows.values())])


def account(target, text, clock_s, processor_s):
    """What libFuzzer's output tells: lines like `#8192 NEW cov: 310 ft: 977 …`."""
    inputs = re.search(r"stat::number_of_executed_units: *(\d+)", text)
    edges = last_edge_at = 0
    for at, coverage in re.findall(r"^#(\d+)\s+\w+\s+cov: (\d+)", text, re.M):
        if int(coverage) > edges:
            edges, last_edge_at = int(coverage), int(at)
    inputs = int(inputs.group(1)) if inputs else 0
    return Spent(target, round(clock_s), round(processor_s), inputs, inputs, last_edge_at, edges)


def start(build, target, seconds, sharing):
    """@param sharing  targets to a processor: each waits for the others, by the clock."""
    corpus, findings = build / f"{target}-corpus", build / f"{target}-findings"
    corpus.mkdir(exist_ok=True)
    findings.mkdir(exist_ok=True)
    with open(build / f"{target}.log", "wb") as log:
        return subprocess.Popen(
            [build / "tests" / "fuzz" / f"fuzz_{target}", f"-max_total_time={seconds}", f"-timeout={HANG_S * sharing}",
             "-rss_limit_mb=2048", "-close_fd_mask=2", "-print_final_stats=1", f"-artifact_prefix={findings}/",
             corpus, build / f"{target}-seed"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def rounds(build, seconds, jobs, targets):
    """Yields a Done for each target, as they end."""
    waiting, running = list(targets), {}
    sharing = -(-jobs // (os.cpu_count() or 1))
    while waiting or running:
        while waiting and len(running) < jobs:
            target = waiting.pop(0)
            running[target] = start(build, target, seconds, sharing), time.monotonic()
        time.sleep(0.2)
        for target, (process, begun) in list(running.items()):
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid == 0:
                continue
            del running[target]
            process.returncode = os.waitstatus_to_exitcode(status)
            text = (build / f"{target}.log").read_text(errors="replace")
            spent = account(target, text, time.monotonic() - begun, used.ru_utime + used.ru_stime)
            add(build / "spent.csv", spent)
            yield Done(spent, process.returncode == 0 and spent.inputs > 0, text)


def keep(build, target):
    fresh = read(build / "spent.csv")
    if target in fresh:
        add(SPENT, fresh.pop(target))
        write(build / "spent.csv", fresh)


def main():
    if sys.argv[1] == "--keep":
        keep(pathlib.Path(sys.argv[2]), sys.argv[3])
        return 0
    failed = 0
    for done in rounds(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]):
        s = done.spent
        print(f"fuzz {s.target}: {'ok' if done.good else 'FINDING'}, {s.inputs} inputs in {s.processor_s} s of the processor, "
              f"{s.edges} edges, the last new one at input {s.last_edge_at}", flush=True)
        if not done.good:
            failed = 1
            print("\n".join(re.findall(r".*(?:ERROR|SUMMARY|Assertion|Test unit).*", done.text) or done.text.splitlines()[-20:]))
    return failed


if __name__ == "__main__":
    sys.exit(main())
