"""The worst stack of a set of C files: gcc tells each frame and each call, this walks them."""

import re
import subprocess
from pathlib import Path

LIBRARY_FRAME = 64  # memcpy and its like: leaves, with a few saved registers
# Calls through a pointer: in this file, by functions of such names, to functions of such names. Each
# of the core is here; a function that nobody calls by name has to be in one of them.
POINTERS = {
    "modbus.c": [(r".*", r"serve_\w+")],
    "registers.c": [(r".*", r"get_\w+")],
    "settings_check.c": [(r"setting_check", r"ok_\w+|is_label"), (r"all_of", r"is_\w+_char")],
}

NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(?:\\n(\d+) bytes \(([^)]*)\))?"')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def short(title: str) -> str:
    """Name without the path that gcc puts before static functions, and without its clones' marks."""
    return re.sub(r"\.(?:cold|part|isra|constprop)\b.*", "", title.rsplit(":", 1)[-1])


def compile_all(compiler: list[str], source: Path, folder: Path) -> tuple[list[Path], str]:
    folder.mkdir(parents=True, exist_ok=True)
    said = []
    for path in sorted(source.glob("*.c")):
        done = subprocess.run([*compiler, "-std=c11", "-ffreestanding", "-U_FORTIFY_SOURCE", "-fno-common",
                               "-fcallgraph-info=su", "-I", source, "-I", source / "include", "-c", path,
                               "-o", folder / (path.stem + ".o")], capture_output=True, text=True, check=False)
        said.append(done.stderr)
    library = folder / "libcore.a"
    library.unlink(missing_ok=True)
    subprocess.run(["ar", "rcs", library, *sorted(folder.glob("*.o"))], check=True)
    return sorted(folder.glob("*.ci")), "".join(said)


def graph(files: list[Path]):
    """(frames of the functions that are defined, calls between them, what is dynamic, unknown)."""
    frame: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    dynamic, unknown, called = [], [], set()
    for path in files:
        text = path.read_text("ascii")
        own = []
        for title, octets, kind in NODE.findall(text):
            if octets:
                frame[title] = int(octets)
                own.append(title)
                if kind != "static":
                    dynamic.append("%s: %s" % (short(title), kind))
        name = path.stem + ".c"
        # gcc names a static function without its file here and there: where it has no other
        static = {t.rsplit(":", 1)[-1]: t for t in own if ":" in t}
        pointers = POINTERS.get(name, [])
        called |= {t for t in own for _, to in pointers if re.fullmatch(to, short(t))}
        for source, target in EDGE.findall(text):
            source = static.get(source, source)
            if target == "__indirect_call":
                pointed = {t for by, to in pointers if re.fullmatch(by, short(source))
                           for t in own if re.fullmatch(to, short(t))}
                if not pointed:
                    unknown.append("%s, from %s" % (name, short(source)))
                calls.setdefault(source, set()).update(pointed)
            else:
                target = static.get(target, target)
                calls.setdefault(source, set()).add(target)
                called.add(target)
    unknown += ["%s, which nobody calls" % short(t) for t in frame if ":" in t and t not in called]
    return frame, calls, dynamic, unknown


def walk(frame: dict[str, int], calls: dict[str, set[str]]):
    """(depth of each function, the deeper call of each, cycles)."""
    depth: dict[str, int] = {}
    deeper: dict[str, str] = {}
    cycles, path = [], []

    def visit(f: str) -> int:
        if f in depth:
            return depth[f]
        if f in path:
            cycles.append(" → ".join(short(p) for p in path[path.index(f):] + [f]))
            return 0
        if f not in frame:
            return LIBRARY_FRAME
        path.append(f)
        below = 0
        for c in sorted(calls.get(f, ())):
            d = visit(c)
            if d > below:
                below, deeper[f] = d, c
        path.pop()
        depth[f] = frame[f] + below
        return depth[f]

    for f in sorted(frame):
        visit(f)
    return depth, deeper, cycles


def worst_stacks(compiler: list[str], source: Path, folder: Path) -> dict:
    files, errors = compile_all(compiler, source, folder)
    frame, calls, dynamic, unknown = graph(files)
    depth, deeper, cycles = walk(frame, calls)
    entry = [f for f in frame if f.startswith("hx_")]
    deepest = max(entry, key=lambda f: depth[f])
    chain, f = [], deepest
    while f in frame:
        chain.append((short(f), frame[f]))
        f = deeper.get(f, "")
    return {"errors": errors, "depth": depth, "entry": entry, "deepest": deepest, "chain": chain,
            "recursion": cycles, "dynamic": dynamic, "unknown": unknown, "library": folder / "libcore.a"}
