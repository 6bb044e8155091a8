"""Every parser of octets from outside: the kept inputs replayed, and what they cover, in lines.

The inputs are those of tests/fuzz/corpus, and nothing else: what is stated is what a checkout has.
Full form: each target is fuzzed for half a minute from there on, too."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "fuzz"))
import rounds  # noqa: E402  (of tests/fuzz)

TITLE = "Fuzzing: parsers of outside bytes"

GOAL = 95.0  # percent of lines
SECONDS = 30
# What comes from outside, who reads it, and the targets that make it up.
PARSERS = [
    ("meter: frames", "core/hdlc.c", "hdlc, meter"),
    ("meter: push message", "core/dlms.c", "meter"),
    ("meter: lists of the makers", "core/lists.c", "meter"),
    ("meter: which telegram follows", "core/continuity.c", "meter"),
    ("meter: dates", "core/civil.c", "meter"),
    ("cursors of all of them", "core/base.c", "all"),
    ("line with error marks", "ports/linux/unmark.c", "unmark"),
    ("Modbus TCP and RTU", "core/modbus.c", "mbtcp, mbrtu"),
    ("settings file", "core/settings_file.c", "settings"),
    ("settings: values", "core/settings.c", "settings, web"),
    ("settings: what is allowed", "core/settings_check.c", "settings, web"),
    ("settings: brokers", "ports/linux/mqtt_url.c", "settings"),
    ("saved state", "core/saved.c", "state"),
    ("hourly readings on disk", "ports/linux/backlog.c", "backlog"),
    ("log of events on disk", "ports/linux/web_audit.c", "audit"),
    ("recordings, hex text", "ports/linux/hex_text.c", "hex"),
    ("time zone files", "ports/linux/zone.c", "zone"),
    ("MQTT: messages", "ports/linux/mqtt_in.c", "mqtt_in"),
    ("Sparkplug: commands", "ports/linux/sparkplug.c", "sparkplug"),
    ("web: Host, Origin, Basic, cookies", "ports/linux/web_guard.c", "web, http"),
    ("web: paths and methods", "ports/linux/web_router.c", "web, http"),
    ("web: bodies, changes of settings", "ports/linux/web_patch.c", "web, http"),
    ("web: sessions, waits", "ports/linux/web_session.c", "web, http"),
    ("web: texts on their way out", "ports/linux/web_out.c", "web, audit, http"),
    ("network: a plan's line", "ports/linux/network_plan.c", "network"),
    ("network: request to the root helper", "ports/linux/network_request.c", "network"),
    ("network: saved state", "ports/linux/network_commit.c", "network"),
    ("names and TXT of other gateways", "ports/linux/mdns_config.c", "network"),
]
# Behind the parsers of the web: reached through a whole server. Lines for full memory, lost sockets,
# TLS and the passage of hours are among them, so they have no goal here.
BEHIND = ["web_server.c", "web_auth.c", "web_api_read.c", "web_api_write.c", "web_api_network.c", "web_backup.c",
          "web_change.c", "web_events.c", "web_metrics.c", "web_mqtt_test.c"]


def targets(lab) -> list[str]:
    text = (lab.root / "dev").read_text()
    return text.split("fuzz_targets='", 1)[1].split("'", 1)[0].split()


def build(lab) -> bool:
    """The targets as they count lines: build/fuzz-cov, kept from run to run."""
    folder = lab.root / "build" / "fuzz-cov"
    steps = [["ninja", "-C", folder, "-j", "2", "--quiet"]]
    if not (folder / "build.ninja").exists():
        steps.insert(0, ["meson", "setup", folder, lab.root, "-Dfuzz=true", "-Db_lundef=false", "-Doptimization=1",
                         "-Dc_args=-fprofile-instr-generate -fcoverage-mapping", "-Dc_link_args=-fprofile-instr-generate"])
    env = {**os.environ, "CC": "clang", "LLVM_PROFILE_FILE": os.devnull}  # meson runs what it tries out
    for step in steps:
        done = subprocess.run(step, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return lab.check("the targets are built", False, (done.stdout + done.stderr)[-2000:])
    return True


def run_target(program, options, folders, profile=os.devnull):
    """@return exit code, end of the output, processor seconds of the user."""
    process = subprocess.Popen([program, "-timeout=60", "-rss_limit_mb=2048", "-close_fd_mask=2", *options, *folders],
                               env={**os.environ, "LLVM_PROFILE_FILE": str(profile)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    text = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, text, used.ru_utime


def unpack(lab, target):
    folder = lab.work / target
    folder.mkdir()
    archive = lab.root / "tests" / "fuzz" / "corpus" / f"{target}.zip"
    if archive.exists():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    return folder, len(list(folder.iterdir()))


def replay(lab, programs) -> dict[str, int]:
    """Run what is kept. @return how many inputs each target has."""
    kept = {}
    for target in targets(lab):
        folder, kept[target] = unpack(lab, target)
        code, text, _ = run_target(programs / f"fuzz_{target}", ["-runs=0"], [folder], lab.work / f"{target}.profraw")
        lab.check(f"{target}: the kept inputs run without a finding", code == 0 and kept[target] > 0, text[-1500:])
    return kept


def covered(lab, programs) -> dict[str, tuple[int, int]]:
    """Lines covered and lines by file, all targets together."""
    profile = lab.work / "all.profdata"
    raw = sorted(lab.work.glob("*.profraw"))
    subprocess.run(["llvm-profdata-14", "merge", "-sparse", "-o", profile, *raw], check=True, capture_output=True)
    objects = [str(programs / f"fuzz_{target}") for target in targets(lab)]
    more = [word for name in objects[1:] for word in ("-object", name)]
    told = subprocess.run(["llvm-cov-14", "export", "-summary-only", "-instr-profile", profile, objects[0], *more],
                          check=True, capture_output=True, text=True).stdout
    files = {}
    for entry in json.loads(told)["data"][0]["files"]:
        path = os.path.realpath(entry["filename"])
        if path.startswith(str(lab.root) + "/"):
            lines = entry["summary"]["lines"]
            files[path[len(str(lab.root)) + 1:]] = (lines["covered"], lines["count"])
    return files


def percent(lines) -> float:
    return 100.0 * lines[0] / lines[1]


def judge(lab, files) -> None:
    rows = []
    for what, path, by in PARSERS:
        lines = files.get(path, (0, 1))
        lab.check(f"{path}: {GOAL:.0f} % of lines are covered", percent(lines) >= GOAL, f"{percent(lines):.1f} %")
        rows.append([what, f"`{path}`", by, f"{lines[0]} of {lines[1]}", f"{percent(lines):.1f} %"])
    lab.table("Lines of the parsers that the kept inputs run through", ["from outside", "read by", "targets", "lines", "share"],
              rows, "./dev prove --quick fuzzing", "clang's source coverage, llvm-cov; no line is left out")
    rows = [[f"`ports/linux/{name}`", "{} of {}".format(*files.get(f"ports/linux/{name}", (0, 1))),
             f"{percent(files.get(f'ports/linux/{name}', (0, 1))):.1f} %"] for name in BEHIND]
    lab.table("What stands behind them in the web server, through whole requests (target http)", ["file", "lines", "share"],
              rows, "./dev prove --quick fuzzing", "no goal: full memory, lost sockets, TLS and hours of waiting are among them")


def fuzz(lab, kept) -> None:
    """Half a minute each, two at a time, with the sanitizers."""
    for command in (["./dev", "fuzz-build"], ["tests/fuzz/seed.py", "tests/vectors", "build/fuzz"]):
        done = subprocess.run(command, cwd=lab.root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lab.check("the targets are built with sanitizers", False, (done.stdout + done.stderr)[-2000:])
            return
    rows = []
    for done in rounds.rounds(lab.root / "build" / "fuzz", SECONDS, 2, targets(lab)):
        s = done.spent
        lab.check(f"{s.target}: no finding", done.good, done.text[-1500:])
        rows.append([s.target, kept[s.target], s.inputs, s.processor_s, "none" if done.good else "one"])
    lab.table(f"{SECONDS} s of each target from the kept inputs on, ASan and UBSan",
              ["target", "kept inputs", "inputs run", "processor, s", "findings"], sorted(rows),
              "./dev prove fuzzing", "processor: on a machine that others may share")


def spent(lab) -> None:
    """What stands in the tree's account, long rounds included."""
    rows = [[s.target, f"{s.clock_s / 3600:.1f}", f"{s.processor_s / 60:.0f}", s.inputs, s.edges, s.last_edge_at, s.newest_inputs]
            for s in rounds.read(rounds.SPENT).values()]
    lab.table("Each target's account so far, no finding open",
              ["target", "clock, h", "processor, min", "inputs run", "edges", "last new edge at input", "of"], rows,
              "./dev fuzz 7200 && ./dev fuzz-keep", "the last three: of the newest round, which starts with the kept inputs")


def run(lab) -> None:
    if not build(lab):
        return
    programs = lab.root / "build" / "fuzz-cov" / "tests" / "fuzz"
    kept = replay(lab, programs)
    judge(lab, covered(lab, programs))
    if not lab.quick:
        fuzz(lab, kept)
    spent(lab)
