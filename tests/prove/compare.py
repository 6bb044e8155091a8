"""The same loads and attacks on other Modbus servers, and the recorded telegrams through other
decoders, all in one run. Nothing is asked of the others: their figures are only shown."""

import contextlib
import importlib.util
import json
import random
import shutil
import subprocess
import sys
import time

import siege
from lab import ROOT
from siege import Figures, Way, measure

TITLE = "Beside others"
READ = bytes.fromhex("000100000006010300000002")
PACKAGES = ROOT / "build" / "compare" / "npm"  # npm install --prefix build/compare/npm jsmodbus modbus-serial

LOADS = {
    "slowloris": ("drip", 100, 1, 2000, READ),
    "garbage": ("noise", 20, 1, 2000),
    "1000 idle": ("hold", 1000, 10, 4000),
    "come and go": ("churn", 100, 1, 5000, READ),
    "pipelined flood": ("stream", 20, 1, 1000, READ * 300),
}


def peers(lab):
    """name → command for a port, or why there is none."""
    def of_npm(name):
        if lab.quick:
            return "in the full form only"
        if not shutil.which("node") or not (PACKAGES / "node_modules" / name).exists():
            return f"not installed: npm install --prefix {PACKAGES.relative_to(ROOT)} {name}"
        return lambda port: ["node", lab.root / "tests/prove/peer_servers.cjs", PACKAGES, name, port]

    def han2x(port):
        state = lab.work / "state"
        state.mkdir(exist_ok=True)
        return [lab.han2x, "run", "--state-dir", state, "-s", "meter.source=sim:aidon", "-s", f"modbus_tcp.port={port}",
                "-s", "modbus_tcp.listen=127.0.0.1", "-s", "web.enabled=no", "-s", "modbus_tcp.max_clients=2000"]
    libmodbus = lab.build / "tests" / "bench" / "libmodbus_server"
    pymodbus = importlib.util.find_spec("pymodbus") is not None
    return {
        "han2x": han2x,
        "libmodbus": (lambda port: [libmodbus, port]) if libmodbus.exists() else "libmodbus-dev was not there",
        "pymodbus": (lambda port: ["/usr/bin/python3", lab.root / "tests/bench/pymodbus_server.py", port])
        if pymodbus else "python3-pymodbus is not there",
        "modbus-serial": of_npm("modbus-serial"),
        "jsmodbus": of_npm("jsmodbus"),
        "mbusd": "not in Debian, and no other source is reached from here",
    }


def throughput(lab, port, clients, seconds):
    """Answers a second to clients that ask as soon as they have an answer."""
    with siege.attack(lab, port, "ask", clients, 1, 10000, READ) as counts:
        time.sleep(seconds)
    return counts.get("got", 0) / 13 / seconds


def cell(figures, load):
    p99, errors = figures.p99("Modbus TCP", load), len(figures.errors.get("Modbus TCP", []))
    shown = "no answers" if p99 is None else f"{p99 / 1000:.2f}"
    return shown + (f", {errors} errors" if errors else "")


def rates(lab, name, command, seconds):
    """Answers a second, and memory at rest."""
    port = siege.free_port()
    with siege.server(command(port), lab.work / f"{name}.log", port) as process:
        time.sleep(0.3)
        answers = [f"{throughput(lab, port, clients, seconds):.0f}" for clients in (1, 16)]
        time.sleep(0.2)
        if process.poll() is not None:  # all it met were clients that leave with an answer under way
            answers[-1] += f", then ended with {process.returncode}"
        return answers, siege.rss_kb(process.pid)


def under(lab, name, command, load, seconds, calm):
    """A server that is started anew, calm and under one load. @return (cell, errors, its memory)"""
    port, figures = siege.free_port(), Figures()
    with siege.server(command(port), lab.work / f"{name}.log", port) as process:
        measure(lab, [Way("Modbus TCP", "tcp", port, 1000)],
                [("calm", seconds / 2, None), (load, seconds, lambda: siege.attack(lab, port, *LOADS[load]))], figures)
        calm += figures.took["Modbus TCP"]["calm"]
        errors = len(figures.errors.get("Modbus TCP", []))
        if process.poll() is not None:
            return f"ended with {process.returncode}", errors + 1, 0
        return cell(figures, load), errors, siege.rss_kb(process.pid)


def besiege(lab, name, command):
    """One server through all loads. @return the row of the table, and the errors in it."""
    seconds, calm = (0.3 if lab.quick else 1.5), []
    answers, rest_kb = rates(lab, name, command, seconds)
    found = [under(lab, name, command, load, seconds, calm) for load in loads(lab)]
    calm.sort()
    return [name, *answers, f"{calm[len(calm) * 99 // 100] / 1000:.2f}", *(cell for cell, _, _ in found),
            f"{rest_kb} → {max(kb for _, _, kb in found)}"], sum(errors for _, errors, _ in found)


def loads(lab):
    return [load for load in LOADS if not lab.quick or load != "come and go"]


def servers(lab):
    rows = []
    for name, command in peers(lab).items():
        if isinstance(command, str):
            lab.skip(f"server {name}", command)
            continue
        try:
            row, errors = besiege(lab, name, command)
        except (RuntimeError, OSError) as reason:
            if name == "han2x":
                raise
            lab.skip(f"server {name}", str(reason)[:300])
            continue
        rows.append(row)
        if name == "han2x":
            lab.check("han2x: no error at the master under any load", errors == 0, str(row))
    lab.table("Modbus TCP servers under the same loads", [
        "server", "answers/s, 1 client", "16 clients", "p99 calm, ms", *loads(lab), "RSS at rest → most, KB"], rows,
        "./dev prove compare", f"p99 in ms of a master that asks every millisecond; {siege.HOW}")


# --- decoders ---


def corpus():
    """(wire, power in W, or None where the list has none)"""
    records = [json.loads(p.read_text()) for p in sorted((ROOT / "tests/vectors").glob("*.json"))]
    return [(bytes.fromhex(r["hex"]), r["expected"]["active_power_import_w"]) for r in records]


def damage(wire, chance):
    out = bytearray(wire)
    at = chance.randrange(1, len(wire) - 1)
    kind = chance.randrange(4)
    if kind == 0:
        out[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        for i in range(at, min(len(out) - 1, at + 4)):
            out[i] = chance.randrange(256)
    elif kind == 2:
        del out[at]
    else:
        out.insert(at, chance.randrange(256))
    return bytes(out) if out != wire else damage(wire, chance)


def with_han2x(lab):
    def decode(wires):
        done = subprocess.run([lab.han2x, "decode"], input=b"".join(wires), capture_output=True, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]
    return lambda wires: [t.get("active_power_import_w") for t in decode(wires)]


def with_second(_lab):
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    import han_decoder

    def decode(wires):
        out = []
        for wire in wires:
            with contextlib.suppress(han_decoder.Refused, IndexError, ValueError):
                out.append(han_decoder.decode(wire)["active_power_import_w"])
        return out
    return decode


def decoders(lab):
    telegrams, chance = corpus(), random.Random(8)
    count = 10 if lab.quick else 100
    damaged = [damage(wire, chance) for wire, _ in telegrams for _ in range(count)]
    rows = []
    for name, make in (("han2x decode", with_han2x), ("the tests' second decoder (Python)", with_second)):
        decode = make(lab)
        right = sum(decode([wire]) == [power] for wire, power in telegrams)
        begin = time.monotonic()
        decode([wire for wire, _ in telegrams] * count)
        rate = len(telegrams) * count / (time.monotonic() - begin)
        wrong = len(decode(damaged))
        rows.append([name, f"{right} of {len(telegrams)}", f"{wrong} of {len(damaged)}", f"{rate:.0f}"])
        if name.startswith("han2x"):
            lab.check("han2x: every recorded telegram is decoded", right == len(telegrams), f"{right} of {len(telegrams)}")
            lab.check("han2x: no damaged frame is accepted", wrong == 0, f"{wrong} of {len(damaged)}")
    lab.skip("decoders amshan and gurux-dlms", "on PyPI only, which pip does not reach from the machine that this was made on; "
             "npm and Debian have no decoder of these telegrams")
    lab.table("Decoders on the recorded telegrams", ["decoder", "decoded rightly", "damaged frames accepted", "telegrams/s"],
              rows, "./dev prove compare", "damage: a bit, four octets, an octet lost or added")


def run(lab):
    servers(lab)
    decoders(lab)
