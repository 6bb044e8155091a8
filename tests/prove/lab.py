"""What a part of the lab is given: where things are, and how it says what it found.

A part is a module here with TITLE (a heading) and run(lab). `lab.quick` asks for the short form,
the one that CI runs. A part judges with check(), says with skip() what it could not look at, and
leaves its figures with table(); it never prints and never ends the process."""

import json
import shutil
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Lab:
    def __init__(self, part: str, build: Path, quick: bool):
        self.part = part
        self.quick = quick
        self.root = ROOT
        self.build = build                 # build/release: the program as it is shipped
        self.han2x = build / "han2x"
        self.work = ROOT / "build" / "prove" / part
        self.checks: list[dict] = []
        self.tables: list[dict] = []
        self.began = time.monotonic()
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)

    def program(self, name: str) -> Path:
        """One of the lab's own C programs, as tests/prove/meson.build names it."""
        return self.build / "tests" / "prove" / name

    def check(self, name: str, ok: bool, detail: str = "") -> bool:
        """A promise, kept or not. The detail stands in the report when it was not."""
        self.checks.append({"name": name, "result": "passed" if ok else "failed", "detail": detail})
        return ok

    def skip(self, name: str, why: str) -> None:
        self.checks.append({"name": name, "result": "skipped", "detail": why})

    def table(self, title: str, header: list[str], rows: list[list], command: str, note: str = "") -> None:
        """Figures for docs/reliability.md. command: what to run to get them again."""
        self.tables.append({"title": title, "header": header, "command": command, "note": note,
                            "rows": [[str(cell) for cell in row] for row in rows]})

    def count(self, result: str) -> int:
        return sum(c["result"] == result for c in self.checks)

    def save(self) -> None:
        found = {"part": self.part, "quick": self.quick, "checks": self.checks, "tables": self.tables,
                 "seconds": round(time.monotonic() - self.began, 1)}
        (self.work.parent / f"{self.part}.json").write_text(json.dumps(found, indent=1))
