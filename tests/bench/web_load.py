#!/usr/bin/python3
"""Measures what a hammered web server costs Modbus masters; prints a markdown table.

./dev bench web [--runs 5] [--secs 3] [--conns 16] [--program build/release/han2x]
wrk asks for readings, registers and the page as fast as it gets answers, and a master asks for power
meanwhile. Three turns alternate inside each run: calm, the gateway's own pages hammered, and those
of a second gateway beside it on the same core: what sharing a core costs in any case. Ratios are
taken inside one run, against calm; the table has their medians. Two placements: all threads of the
gateways on core 0, the clients on core 1 with wrk behind the master; and everything where it likes.
"""
import argparse
import base64
import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import bench

PATHS = ["/api/v1/live", "/api/v1/registers", "/api/v1/status", "/"]
SCRIPT = """local paths, at = {%s}, 0
function request()
    at = at %% #paths + 1
    return wrk.format("GET", paths[at])
end
"""


def placed(pinned, core, command):
    return bench.core(core, command) if pinned else [str(part) for part in command]


def gateway(stack, folder, name, program, pinned):
    """@return its Modbus port and web port"""
    port, web = bench.free_port(), bench.free_port()
    state = folder / name
    state.mkdir()
    command = bench.han2x_command(port, state, "web.enabled=yes", "web.listen=127.0.0.1",
                                  f"web.port={web}", "web.tls_port=0")
    command[0] = program
    stack.enter_context(bench.running(placed(pinned, 0, command), port))
    return port, web


@contextlib.contextmanager
def hammered(web, script, args, pinned, rates):
    """wrk, behind everybody else where the processor is short."""
    login = base64.b64encode(b"bits:vari").decode()
    command = ["nice", "-n", "19", "wrk", "-t1", f"-c{args.conns}", f"-d{args.secs + 1}s", "-s", script,
               "-H", f"Authorization: Basic {login}", f"http://127.0.0.1:{web}"]
    process = subprocess.Popen(placed(pinned, 1, command), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    yield
    text, _ = process.communicate(timeout=60)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    if rate is None or "Non-2xx" in text:
        raise bench.Skip("wrk: " + text)
    rates.append(float(rate[1]))


def ask(port, args, pinned):
    command = [bench.MBLOAD, "-t", args.secs, "127.0.0.1", port]
    done = subprocess.run(placed(pinned, 1, command), capture_output=True, text=True, check=False)
    return {key: float(value) for key, value in re.findall(r"^(\w+) ([0-9]+(?:\.[0-9]+)?)$", done.stdout, re.M)}


def measure(args, pinned):
    """@return rows of the table"""
    turns, rates = {"calm": [], "its pages hammered": [], "a neighbour's pages hammered": []}, {}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = folder / "paths.lua"
        script.write_text(SCRIPT % ", ".join(f'"{p}"' for p in PATHS))
        port, own = gateway(stack, folder, "one", args.program, pinned)
        _, other = gateway(stack, folder, "other", args.program, pinned)
        for _ in range(args.runs):
            for turn, web in zip(turns, (None, own, other)):
                with hammered(web, script, args, pinned, rates.setdefault(turn, [])) if web \
                        else contextlib.nullcontext():
                    turns[turn].append(ask(port, args, pinned))
    calm = turns["calm"]
    for turn, reports in turns.items():
        def ratio(key):
            return bench.median([r[key] / c[key] for r, c in zip(reports, calm)])
        yield ["core 0" if pinned else "any core", turn,
               "%.0f" % bench.median(rates[turn]) if rates.get(turn) else "-",
               "%.0f" % bench.median([r["rps"] for r in reports]),
               "%.0f" % bench.median([r["lat_p50_us"] for r in reports]),
               "%.0f" % bench.median([r["lat_p99_us"] for r in reports]),
               "%.2f" % ratio("lat_p50_us"), "%.2f" % ratio("lat_p99_us"),
               "%d" % sum(r["errors"] for r in reports)]


def write(text):
    """Replace the table of our section; the words around it are people's."""
    path = bench.ROOT / "docs" / "benchmarks.md"
    old = path.read_text(encoding="utf-8")
    head, mark, section = old.partition("\n## Web\n")
    before, table, after = re.split(r"((?:^\|.*\n)+)", section, maxsplit=1, flags=re.M) if mark else ("", "", "")
    if not table:
        raise bench.Skip(f"{path} has no section Web with a table")
    path.write_text(head + mark + before + text + after, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--secs", type=int, default=3)
    parser.add_argument("--conns", type=int, default=16)
    parser.add_argument("--program", default=bench.HAN2X)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md too")
    args = parser.parse_args()
    try:
        if shutil.which("wrk") is None:
            raise bench.Skip("wrk is not installed")
        bench.need_mbload()
        rows = [row for pinned in (True, False) for row in measure(args, pinned)]
    except (bench.Skip, OSError, subprocess.SubprocessError) as reason:
        print(f"web_load: {reason}", file=sys.stderr)
        return 1
    text = bench.table(["gateway on", "", "web answers/s", "Modbus answers/s", "p50, µs", "p99, µs",
                        "p50, ratio", "p99, ratio", "errors"], rows)
    print(text)
    if args.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
