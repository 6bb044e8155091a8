#!/usr/bin/env python3
"""The reliability lab: `./dev prove [--quick] [--write] [PART…]`.

Runs each part (a module here with TITLE and run(lab)), prints what it judged, and with --write puts
the tables between the part's marks in docs/reliability.md. The last line is
"prove: N passed, N failed, N skipped"; the exit code is 0 only when nothing failed."""

import argparse
import importlib
import re
import sys
import time
import traceback
from pathlib import Path

from lab import ROOT, Lab

# In the order of the report. Each loads the machine: one after the other.
PARTS = ["line", "year", "storage", "attacks", "fuzzing", "process", "static", "compare"]
REPORT = ROOT / "docs" / "reliability.md"


def run_part(name: str, build: Path, quick: bool) -> Lab:
    lab = Lab(name, build, quick)
    try:
        importlib.import_module(name).run(lab)
    except Exception:  # a part that breaks has proved nothing
        lab.check("the part ran to its end", False, traceback.format_exc())
    lab.save()
    return lab


def show(lab: Lab, seconds: float) -> None:
    print(f"{lab.part:<10} {lab.count('passed'):>4} passed {lab.count('failed'):>3} failed "
          f"{lab.count('skipped'):>3} skipped   {seconds:.0f} s", flush=True)
    for c in lab.checks:
        if c["result"] != "passed":
            print(f"  {c['result']}: {c['name']}: {c['detail']}", flush=True)


def markdown(lab: Lab) -> str:
    """A part's tables, and how many promises were looked at."""
    out = []
    for t in lab.tables:
        out += [f"**{t['title']}**", "", "| " + " | ".join(t["header"]) + " |",
                "|" + " --- |" * len(t["header"])]
        out += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in t["rows"]]
        out += ["", f"`{t['command']}`" + (f" · {t['note']}" if t["note"] else ""), ""]
    out.append(f"Checks: {lab.count('passed')} passed, {lab.count('failed')} failed, "
               f"{lab.count('skipped')} skipped.")
    return "\n".join(out)


def write(lab: Lab) -> None:
    text = REPORT.read_text()
    mark = re.compile(rf"(<!-- prove:{lab.part} -->\n).*?(<!-- /prove:{lab.part} -->)", re.S)
    if not mark.search(text):
        raise SystemExit(f"prove: {REPORT.name} has no marks for the part {lab.part}")
    REPORT.write_text(mark.sub(lambda m: m[1] + markdown(lab) + "\n" + m[2], text))


def main() -> int:
    ask = argparse.ArgumentParser(prog="./dev prove", description="Runs the reliability lab.")
    ask.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)} (all)")
    ask.add_argument("--quick", action="store_true", help="the short form, some minutes")
    ask.add_argument("--write", action="store_true", help="put the tables into docs/reliability.md")
    ask.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    args = ask.parse_args()
    known = [p for p in PARTS if (Path(__file__).parent / f"{p}.py").exists()]
    for p in args.parts:
        if p not in known:
            ask.error(f"no part '{p}'; there are: {', '.join(known)}")
    labs = []
    for p in known:
        if not args.parts or p in args.parts:
            began = time.monotonic()
            lab = run_part(p, args.build.resolve(), args.quick)
            show(lab, time.monotonic() - began)
            if args.write:
                write(lab)
            labs.append(lab)
    failed = sum(lab.count("failed") for lab in labs)
    print(f"prove: {sum(lab.count('passed') for lab in labs)} passed, {failed} failed, "
          f"{sum(lab.count('skipped') for lab in labs)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
