"""What can be seen without running anything: analysers, hardening, banned functions, stack.

Quick: compiles the program and the core, looks at them. Full: runs `./dev lint` too, builds the
Debian package and looks at what it installs, and the program for 64-bit ARM."""

import re
import shutil
import subprocess
from pathlib import Path

from stack import worst_stacks

TITLE = "Static: analysers, hardening, stack"

# No length is given, no error told, or another program decides what is run.
BANNED = set("""strcpy stpcpy strcat strncpy strncat sprintf vsprintf gets getwd strtok scanf sscanf fscanf
    vscanf vsscanf vfscanf atoi atol atoll atof system popen alloca mktemp tmpnam tempnam tmpfile rand srand
    random srandom drand48 gethostbyname gethostbyaddr inet_ntoa inet_aton localtime gmtime ctime asctime
    setjmp longjmp putenv setenv""".split())
STACK_LIMIT = 1024  # octets: what a small board is asked for


def sh(*command, **more) -> subprocess.CompletedProcess:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)


# ---- analysers


def lint(lab) -> None:
    done = sh("./dev", "lint", cwd=lab.root)
    rows = [[m[1].strip(), "no finding" if m[3] == "0" else "findings"] for m in
            re.finditer(r"^(.*?) +(\d+) passed +(\d+) failed +\d+ skipped$", done.stdout, re.M)]
    lab.check("the analysers find nothing", done.returncode == 0 and len(rows) >= 7,
              (done.stdout + done.stderr)[-3000:])
    lab.table("Analysers, over every file of the program", ["analyser", "result"], rows, "./dev lint")


def suppressions(lab) -> None:
    """Each says on its line, or just above, why the analyser is wrong."""
    kinds = {
        "clang-tidy": re.compile(r"NOLINT\w*(?:\(([^)]*)\))?(.*)"),
        "cppcheck": re.compile(r"cppcheck-suppress(?:-\w+)? +(\w+)(.*)"),
        "gcc": re.compile(r"diagnostic ignored \"-W([\w-]+)\"(.*)"),
    }
    rows, bare = [], []
    for folder in ("core", "ports"):
        for path in sorted((lab.root / folder).rglob("*.[ch]")):
            lines = path.read_text("utf-8").split("\n")
            for n, line in enumerate(lines):
                for tool, pattern in kinds.items():
                    found = pattern.search(line)
                    if not found or "NOLINTEND" in line:
                        continue
                    why = found[2].strip(" :;*/") or " ".join(
                        m[1] for m in re.finditer(r"/\* (.*?) \*/", " ".join(lines[max(0, n - 2):n])))
                    where = "%s:%d" % (path.relative_to(lab.root), n + 1)
                    rows.append([where, tool, found[1] or "everything", why])
                    if len(why) < 12 or not found[1]:
                        bare.append(where)
    lab.check("each suppressed finding names itself and has its reason", not bare, ", ".join(bare))
    lab.table("Findings that are suppressed in the source, with the argument", ["where", "tool", "check", "why"],
              rows, "./dev prove static")
    tidy = (lab.root / ".clang-tidy").read_text("utf-8")
    off = re.findall(r"[ ,]-([a-z][\w.-]+[\w])", tidy.split("Checks:")[1])
    lab.check("each check that clang-tidy leaves out has its reason",
              len(off) > 5 and all(re.search(r"^#.*\b%s\b" % re.escape(o), tidy, re.M) for o in off),
              ", ".join(o for o in off if not re.search(r"^#.*\b%s\b" % re.escape(o), tidy, re.M)))


# ---- the programs


def imports(program: Path) -> set[str]:
    """What it takes from shared libraries, without the names that fortifying gives."""
    names = set()
    for line in sh("nm", "-D", "--undefined-only", program).stdout.splitlines():
        name = line.split()[-1].split("@")[0]
        names.add(name)
        plain = re.sub(r"^__(?:isoc99_)?(\w+?)(?:_chk)?$", r"\1", name)
        names.add(plain)
    return names


def hardening(program: Path, objdump: str = "objdump") -> dict[str, bool]:
    head = sh("readelf", "-hW", program).stdout
    segments = sh("readelf", "-lW", program).stdout
    dynamic = sh("readelf", "-dW", program).stdout
    flags = {m[1]: m[2] for m in re.finditer(r"^ +(\w+) +0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})", segments, re.M)}
    loads = re.findall(r"^ +LOAD +0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})", segments, re.M)
    names = imports(program)
    code = sh(objdump, "-d", "--no-show-raw-insn", program).stdout
    x86 = "X86-64" in head
    probe = r"or[ql]? +\$0x0,(?:0x[0-9a-f]+)?\(%rsp" if x86 else r"str\s+xzr, \[sp"
    landing = r"\bendbr64\b" if x86 else r"\b(?:paciasp|bti\s+\w+)\b"
    return {
        "PIE": "DYN (Position-Independent Executable" in head and "PIE" in dynamic,
        "full RELRO": "GNU_RELRO" in flags and bool(re.search(r"FLAGS.*\bNOW\b", dynamic)),
        "NX": "E" not in flags.get("GNU_STACK", "E") and not any("W" in f and "E" in f for f in loads),
        "no RPATH, no text relocations": not re.search(r"RPATH|RUNPATH|TEXTREL", dynamic),
        "stack protector": "__stack_chk_fail" in names,
        "FORTIFY": any(n.endswith("_chk") for n in names),
        "stack clash protection": len(re.findall(probe, code)) > 0,
        # Debian 12's start files have two, and a small program few functions that can be pointed at
        "control flow marks": len(re.findall(landing, code)) > (100 if program.stat().st_size > 200000 else 2),
    }


def programs(lab) -> dict[str, tuple[Path, str]]:
    found = {"han2x": (lab.han2x, "objdump"),
             "han2x-network": (lab.build / "ports" / "linux" / "han2x-network", "objdump")}
    if lab.quick:
        return found
    packages = lab.work / "deb"
    build = lab.root / "packaging" / "deb" / "build.sh"
    done = sh("sh", "-c", '"$0" source "$1/src" && DEB_BUILD_OPTIONS="nocheck parallel=2" "$0" build "$1/src"',
               build, packages, cwd=lab.root)
    debs = [p for p in packages.glob("han2x_*.deb")]
    if lab.check("the Debian package is built", len(debs) == 1, (done.stdout + done.stderr)[-2000:]):
        sh("dpkg-deb", "-x", debs[0], packages / "root")
        found["han2x of the .deb"] = (packages / "root" / "usr" / "bin" / "han2x", "objdump")
    sysroot = lab.root / "build" / "sysroot" / "arm64.ini"
    if sysroot.exists():
        folder = lab.work / "arm64"
        sh("meson", "setup", folder, "--cross-file", sysroot, "-Doptimization=2", "-Db_lto=true",
            "-Dhardening=true", "-Db_pie=true", "-Dtests=false", cwd=lab.root)
        done = sh("ninja", "-C", folder, "-j2", "han2x")
        if lab.check("the program is built for 64-bit ARM", done.returncode == 0, done.stdout[-2000:]):
            found["han2x for arm64"] = (folder / "han2x", "aarch64-linux-gnu-objdump")
    else:
        lab.skip("hardening of the program for 64-bit ARM", "no sysroot: ./dev cross makes it")
    return found


def look_at_programs(lab) -> None:
    # what the checks say of a program without anything: a check that cannot fail shows nothing
    bare = lab.work / "bare"
    source = lab.work / "bare.c"
    source.write_text("#include <string.h>\n#include <stdlib.h>\nint main(int c, char **v)"
                      "{ char a[9]; strcpy(a, v[c - 1]); return rand() + system(a); }\n", "ascii")
    sh("gcc", "-O1", "-no-pie", "-fno-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fcf-protection=none",
        "-fno-builtin", "-z", "execstack", "-z", "norelro", "-Wl,-rpath,/tmp", "-o", bare, source)
    seen = hardening(bare)
    lab.check("a bare program is told from a hardened one", bare.exists() and not any(seen.values()),
              str(seen))
    lab.check("banned functions are seen where they are",
              imports(bare) & BANNED == {"strcpy", "rand", "system"}, str(imports(bare) & BANNED))
    rows, found = [], programs(lab)
    for name, (path, objdump) in found.items():
        seen = hardening(path, objdump)
        rows.append([name] + ["yes" if seen[k] else "NO" for k in seen])
        lab.check("%s is hardened" % name, all(seen.values()), str({k for k in seen if not seen[k]}))
        used = imports(path) & BANNED
        lab.check("%s uses no banned function" % name, not used, ", ".join(sorted(used)))
    lab.table("Hardening of what is shipped", ["program", *seen], rows, "./dev prove static",
              "read from the ELF files and their code. Control flow marks: endbr64, on ARM paciasp and bti; "
              "the kernel enforces them where the C library's own start files carry them too")
    if not lab.quick:
        said = sh("checksec", "--format=csv", "--file=%s" % lab.han2x).stdout
        lab.check("checksec agrees", said.startswith("Full RELRO,Canary found,NX enabled,PIE enabled,No RPATH,"
                                                     "No RUNPATH,"), said)
    code = [(p, p.read_text("utf-8")) for f in ("core", "ports") for p in sorted((lab.root / f).rglob("*.[ch]"))]
    call = re.compile(r"(?<![\w.>])(%s) ?\(" % "|".join(sorted(BANNED)))
    used = ["%s: %s" % (p.relative_to(lab.root), m[1]) for p, text in code
            for m in call.finditer(re.sub(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"", "", text, flags=re.S))]
    lab.check("the source calls no banned function", not used, ", ".join(used))


def warnings(lab) -> None:
    """A release build says nothing: link-time optimisation warns late, where lint does not look."""
    folder = lab.work / "release"
    sh("meson", "setup", folder, "--buildtype=release", "-Doptimization=2", "-Db_lto=true", "-Dhardening=true",
        "-Db_pie=true", cwd=lab.root)
    done = sh("ninja", "-C", folder, "-j2", *(["han2x"] if lab.quick else []))
    said = [line for line in (done.stdout + done.stderr).splitlines() if "warning:" in line]
    lab.check("the release build prints no warning", done.returncode == 0 and not said,
              "\n".join(said)[:2000] or done.stdout[-1000:])
    shutil.rmtree(folder, ignore_errors=True)


# ---- the core


def core(lab) -> None:
    targets = {
        "x86-64, -O2": ["gcc", "-O2", "-mgeneral-regs-only"],
        "Cortex-M3, -O2": ["arm-none-eabi-gcc", "--specs=picolibc.specs", "-mcpu=cortex-m3", "-mthumb", "-O2"],
        "Cortex-M3, -Os": ["arm-none-eabi-gcc", "--specs=picolibc.specs", "-mcpu=cortex-m3", "-mthumb", "-Os"],
    }
    tables = {}
    for name, compiler in targets.items():
        if shutil.which(compiler[0]) is None:
            lab.skip("the core's stack on " + name, "needs " + compiler[0])
            continue
        folder = lab.work / re.sub(r"\W+", "-", name)
        found = worst_stacks(compiler, lab.root / "core", folder)
        lab.check("the core compiles for %s%s" % (name, " without float or vector registers"
                                                  if "-mgeneral-regs-only" in compiler else ""),
                  not found["errors"], found["errors"])
        lab.check("no recursion in the core (%s)" % name, not found["recursion"], str(found["recursion"]))
        lab.check("no frame of changing size (%s)" % name, not found["dynamic"], str(found["dynamic"]))
        lab.check("each call through a pointer is known (%s)" % name, not found["unknown"], str(found["unknown"]))
        worst = max(found["depth"].values())
        lab.check("deepest stack of the core within %d octets (%s)" % (STACK_LIMIT, name),
                  worst <= STACK_LIMIT, str(worst))
        said = sh(lab.root / "tests" / "core_symbols.sh", found["library"])
        lab.check("nothing from outside but memcpy, memmove, memset, memcmp (%s)" % name,
                  said.returncode == 0, said.stderr)
        soft = [s for s in sh("nm", "-u", found["library"]).stdout.split() if re.fullmatch(r"__aeabi_[fd]\w+", s)]
        lab.check("no float in the core (%s)" % name, not soft, ", ".join(soft))
        tables[name] = found
    # the entry points: what a port may call
    entries = sorted(set.intersection(*(set(t["entry"]) for t in tables.values())),
                     key=lambda f: -max(t["depth"][f] for t in tables.values()))
    lab.table("Worst stack of the core's deepest entry points, octets, with all that they call",
              ["entry point", *tables], [["`%s`" % f] + [t["depth"][f] for t in tables.values()] for f in entries[:12]],
              "./dev prove static", "gcc -fcallgraph-info=su, walked; the C library's four functions are "
              "taken as 64 octets, what a port keeps on its own stack is not in it")
    lab.table("The deepest chain", ["target", "octets", "chain"],
              [[n, t["depth"][t["deepest"]], " → ".join("%s %d" % link for link in t["chain"])]
               for n, t in tables.items()], "./dev prove static", "each with its own frame")


def run(lab) -> None:
    suppressions(lab)
    core(lab)
    warnings(lab)
    look_at_programs(lab)
    if not lab.quick:
        lint(lab)
