"""Storage: power cuts, kills, full and failing disks, damage, and what is written in a year.

fs_shim.c records what the program asks of the disk while it is used; storage_model.py says what a
power cut can leave of that at each point; storage_disk.c loads each such state as a start does. The
scenes say in the log what was asked for and what the program promised: a load must find what was
promised last, or what was asked for since."""

import base64
import concurrent.futures
import errno
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import storage_model as model

TITLE = "Storage: power cut at any moment"
PORTS = 21000        # … 21099, ten for each box
WAIT_S = 20
OWN = ("bits", "correct horse")
MARK = "MARKED-STRING"
BATCH = 250
LOADS = 5000         # number of the first box that the loader uses: settings name files in boxes

# fs_shim.c, enum op and struct control
CREATE, WRITE, TRUNCATE, SYNC_FILE, SYNC_FOLDER, RENAME, UNLINK, OPEN, READ, MKDIR, LINK, HALF = (
    1 << i for i in range(12))
CONTROL = struct.Struct("=8i64s")
COUNTS = struct.Struct("=32s4Q")
FILES = 24


def wait_for(what, condition, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError("did not happen in time: " + what)
        time.sleep(0.01)
    return value


class Box:
    """One gateway's folders, the shim's control and log, and the running program."""

    def __init__(self, lab, root, slot):
        self.lab, self.root, self.port = lab, root, PORTS + 10 * slot
        self.state, self.conf = root / "state", root / "etc" / "han2x.conf"
        self.log, self.control_file = root / "ops", root / "control"
        self.words = root / "log"
        self.program = None
        for folder in (self.state, self.conf.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.conf.exists():
            self.conf.write_text("# settings\n")
        self.control_file.write_bytes(bytes(CONTROL.size + FILES * COUNTS.size + 64))
        with open(self.control_file, "r+b") as f:
            self.control = mmap.mmap(f.fileno(), 0)

    def set(self, kill_at=0, fail=0, why=0, only=""):
        """What the shim does from now on. Counting goes on."""
        CONTROL.pack_into(self.control, 0, self.count(), kill_at, fail, why, 0, 0, 0, 0, only.encode())

    def count(self):
        return struct.unpack_from("=i", self.control, 0)[0]

    def refused(self):
        return struct.unpack_from("=i", self.control, 16)[0]

    def env(self, log=True):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HAN2X_", "FS_SHIM"))}
        env.pop("NOTIFY_SOCKET", None)
        return env | {"LD_PRELOAD": str(self.lab.program("fs_shim.so")),
                      "FS_SHIM_WATCH": "%s:%s" % (self.state, self.conf.parent),
                      "FS_SHIM_CONTROL": str(self.control_file),
                      "FS_SHIM_LOG": str(self.log) if log else ""}

    def files(self):
        """{path below the root: octets} of both folders."""
        return {str(p.relative_to(self.root)): p.read_bytes()
                for folder in (self.state, self.conf.parent)
                for p in sorted(folder.rglob("*")) if p.is_file()}

    def put(self, files):
        for name, data in files.items():
            (self.root / name).write_bytes(data)

    def say(self, *words):
        with open(self.log, "a") as f:
            f.write("\t".join(str(w) for w in words) + "\n")

    # the program

    def start(self, *settings, listening=True):
        command = [str(self.lab.han2x), "run", "-c", str(self.conf), "--state-dir", str(self.state)]
        for s in ("modbus_tcp.port=%d" % self.port, "modbus_tcp.listen=127.0.0.1",
                  "web.listen=127.0.0.1", "web.port=%d" % (self.port + 1),
                  "web.tls_port=%d" % (self.port + 2), "meter.source=sim:aidon", *settings):
            command += ["-s", s]
        with open(self.words, "w") as words:
            self.program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words,
                                            stderr=words, env=self.env())
        if listening:
            wait_for("web pages in:\n" + self.text(), lambda: self.died() or "(HTTPS)" in self.text())

    def died(self):
        return self.program.poll() is not None

    def text(self):
        return self.words.read_text(errors="replace")

    def stop(self):
        if self.program is not None and self.program.poll() is None:
            self.program.terminate()
            try:
                self.program.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self.program.kill()
                raise AssertionError("does not end:\n" + self.text())
        return self.program.returncode

    def web(self, method, path, body, login=OWN):
        """(status, answer); (0, "") when the program is gone."""
        head = {"Content-Type": "application/json", "Authorization":
                "Basic " + base64.b64encode(":".join(login).encode()).decode()}
        try:
            with socket.create_connection(("127.0.0.1", self.port + 1), WAIT_S):
                pass
            conn = http.client.HTTPConnection("127.0.0.1", self.port + 1, timeout=WAIT_S)
            conn.request(method, path, json.dumps(body), head)
            answer = conn.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def modbus(self, pdu):
        """The answer's PDU in hex; "" when the program is gone."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as s:
                s.settimeout(WAIT_S)
                pdu = bytes.fromhex(pdu)
                s.sendall(struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu)
                return s.recv(300)[7:].hex()
        except OSError:
            return ""


# --- promises ---

class Promises:
    """What the scene's log says up to some point: for each thing the last acknowledged value, and
    what was asked for since."""

    def __init__(self):
        self.acked, self.asked = {}, {}

    def take(self, line):
        kind, key, value = line
        if kind == "ask":
            self.asked.setdefault(key, []).append(value)
        else:
            self.acked[key] = value
            self.asked.pop(key, None)

    def frozen(self):
        return (tuple(sorted(self.acked.items())),
                tuple(sorted((k, tuple(v)) for k, v in self.asked.items())))


def wrong(found, acked, asked, files):
    """What is not as promised, in words; "" nothing. files: what the load left behind."""
    if found["signal"] or found["loaded"] is None:
        return "ended by signal %d: %s" % (found["signal"], found["log"][-200:])
    s = found["loaded"]
    acked, asked = dict(acked), dict(asked)

    def allowed(key):
        return ([acked[key]] if key in acked else []) + list(asked.get(key, ()))
    if s["reset"] == "failed" or not s["settings_good"] or not s["folder_good"]:
        return "does not start: " + s["settings_complaint"] + found["log"]
    # one half of the saved state may be torn: then the other is read
    words = [line for line in found["log"].splitlines() if not line.startswith("saved state ")]
    if any("cannot be used" in line or "damaged" in line for line in words):
        return "something was damaged: " + found["log"]
    if "reset" in acked or "reset" in asked:
        factory = not s["settings"] and s["scale"] == 1000 and not any(MARK.encode() in f for f in files.values())
        old = s["settings"].get("device.name") == MARK and s["scale"] == 2000 and "state/broker.pem" in files
        if not (factory or (old and "reset" not in acked)):
            return "neither old nor factory: %s, scale %d, of the user's: %s" % (
                s["settings"], s["scale"], [p for p, f in files.items() if MARK.encode() in f])
        if "number" in acked and (s["number"] != int(acked["number"]) or s["starts"] < int(acked["starts"])):
            return "number %s, starts %s after a reset" % (s["number"], s["starts"])
        return ""
    for key in set(acked) | set(asked):
        if key in ("number", "scale", "network"):
            if key in acked and str(s.get(key)) not in allowed(key):
                return "%s is %s, not one of %s" % (key, s.get(key), allowed(key))
        elif key in ("starts", "shown"):
            have = s["starts"] if key == "starts" else s["shown_wh"]
            if key in acked and have < int(acked[key]):
                return "%s is %d, it was %s already" % (key, have, acked[key])
        elif key == "tls":
            if s.get("tls") not in allowed(key) or "was made" in found["log"]:
                return "another certificate"
        elif key.startswith("set:"):
            if s["settings"].get(key[4:], "") not in allowed(key):
                return "%s is %r, not one of %s" % (key, s["settings"].get(key[4:]), allowed(key))
    return wrong_hours(s, acked, asked) or wrong_audit(s, acked, asked)


def wrong_hours(s, acked, asked):
    if "hour" not in acked and "hour" not in asked:
        return ""
    begin, have = s.get("hours_delivered", 0), s.get("hours", [])
    least = int(acked.get("delivered", 0))
    most = max([least] + [int(v) for v in asked.get("delivered", ())])
    newest = int(acked.get("hour", -1))
    if not least <= begin <= most:
        return "delivered up to %d, promised %d to %d" % (begin, least, most)
    if have != list(range(begin, begin + len(have))) or begin + len(have) <= newest:
        return "hourly readings %s from %d on, the newest was %d" % (have[:5], begin, newest)
    return ""


def wrong_audit(s, acked, asked):
    numbers = [e["number"] for e in s["audit"]["entries"]]
    if "audit" not in asked and "audit" not in acked:
        return ""
    most = max(int(v) for v in [acked.get("audit", 0), *asked.get("audit", ())])
    least = int(acked.get("audit", 0))
    if any(a <= b for a, b in zip(numbers, numbers[1:])) or numbers[:1] > [most]:
        return "entries %s" % numbers[:5]
    if least and not set(range(max(1, least - 900), least + 1)) <= set(numbers):
        return "entries up to %d were to stay" % least
    return ""


# --- loading many states ---

def own_name(files):
    """The box that these files name."""
    return next((m.group() for d in files.values() if (m := re.search(rb"box-\d{4}", d))), b"box")


class Loader:
    def __init__(self, lab, root):
        self.lab, self.root, self.loads = lab, root, 0
        self.bad, self.keeps = [], True

    def judge(self, states):
        """states: [(name of the scene, {path: octets}, acked, asked)]. Kept: what is wrong."""
        for i in range(0, len(states), BATCH):
            self.batch(states[i:i + BATCH])

    def batch(self, states):
        found = self.look([files for _, files, _, _ in states])
        for (scene, files, acked, asked), f in zip(states, found):
            why = wrong(f, acked, asked, f["left"])
            self.loads += 1
            if why:
                self.bad.append("%s: %s" % (scene, why))
                if self.keeps:
                    self.keep(scene, files)

    def look(self, boxes):
        """What a start makes of each {path: octets}; "left": the files after it."""
        found = []
        for i in range(0, len(boxes), BATCH):
            found += self.look_at(boxes[i:i + BATCH])
        return found

    def look_at(self, boxes):
        lines = ""
        for n, files in enumerate(boxes):
            box = self.root / ("box-%04d" % (LOADS + n))
            for folder in ("state", "etc"):
                (box / folder).mkdir(parents=True)
            for path, data in files.items():
                # settings name files of their own box
                (box / path).write_bytes(re.sub(rb"box-\d{4}", b"box-%04d" % (LOADS + n), data))
            lines += "%s\t%s\n" % (box / "state", box / "etc" / "han2x.conf")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HAN2X_", "FS_SHIM"))}
        out = subprocess.run([str(self.lab.program("storage_disk")), "check"], input=lines, text=True,
                             errors="replace", capture_output=True, env=env, timeout=600)
        found = [json.loads(line) for line in out.stdout.splitlines()]
        if len(found) != len(boxes):
            raise AssertionError("the loader ended: " + out.stderr[-500:])
        for n, f in enumerate(found):
            box = self.root / ("box-%04d" % (LOADS + n))
            f["left"] = {str(p.relative_to(box)): re.sub(b"box-%04d" % (LOADS + n), own_name(boxes[n]), p.read_bytes())
                         for p in box.rglob("*") if p.is_file()}
            shutil.rmtree(box)
        return found

    def keep(self, scene, files):
        """The state that was wrong, to be looked at."""
        folder = self.lab.work / ("wrong-%d-%s" % (len(self.bad), scene.replace(" ", "-")))
        if len(self.bad) <= 5:
            for path, data in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)


def power_cuts(loader, scene, root, before, log, limit):
    """All states of a recorded scene. @return figures."""
    def inside(path):
        return str(Path(path).relative_to(root)) if path.startswith("/") else path
    rng, promises = model.seeded(scene), Promises()
    disk = model.Disk(before)
    points = complete = made = 0
    seen, todo = set(), []
    for line in model.read_log(log):
        if line[0] in ("ask", "ack"):
            promises.take(line)
            continue
        line = (line[0], *(inside(a) if a.startswith(str(root)) else a for a in line[1:]))
        if not disk.apply(line):
            continue
        points += 1
        states, all_of_them = disk.cuts(limit, rng)
        complete += all_of_them
        made += len(states)
        context = promises.frozen()
        for state in states:
            key = (hash(frozenset(state.items())), context)
            if key not in seen:
                seen.add(key)
                todo.append((scene, state, *context))
    loader.judge(todo)
    return points, complete, made, len(todo)


# --- scenes: what is done while the shim looks on ---

def first_start(box):
    """Nothing is there: state, certificate, audit log, hourly readings."""
    box.start("mqtt.enabled=yes", "mqtt.url=mqtt://127.0.0.1:%d" % (box.port + 3))
    promise_identity(box)
    box.stop()


def promise_identity(box):
    """What the log says after a start, once the save that the start makes is over."""
    if box.died():
        return
    number, starts = re.search(r"device number (\d+), start (\d+)", box.text()).groups()
    done = box.state / "state.copy"
    wait_for("the first save", lambda: box.died() or
             (done.exists() and b"starts %s\n" % starts.encode() in done.read_bytes()))
    wait_for("its sync", lambda: box.died() or synced_after(box, "state.copy"))
    if box.died():
        return
    box.say("ack", "number", number)
    box.say("ack", "starts", starts)
    made = re.search(r"a certificate for HTTPS was made, SHA-256 (\w+)", box.text())
    if made:
        box.say("ack", "tls", made.group(1))


def synced_after(box, name):
    """The log says: the file was synced after it was last opened for writing."""
    lines = [line.split("\t") for line in box.log.read_text().splitlines()]
    at = max((i for i, l in enumerate(lines) if l[0] == "open" and l[2].endswith("/" + name)), default=-1)
    return at >= 0 and ["sync", lines[at][1]] in lines[at:]


def change(box, path, body, key, value, method="PATCH"):
    box.say("ask", key, value)
    status, answer = box.web(method, path, body)
    if status == 200:
        box.say("ack", key, value)
    elif status != 0:
        raise AssertionError("%s: %d %s" % (path, status, answer))


def settings_save(box):
    """Two changes by the pages, the scale by a master, then a stop by the manager."""
    box.say("ack", "set:device.name", MARK)
    box.say("ack", "scale", "2000")
    box.start()
    promise_identity(box)
    change(box, "/api/v1/settings", {"device": {"name": "Stua"}}, "set:device.name", "Stua")
    box.say("ask", "scale", "1500")
    if box.modbus("100030000204000005dc"):  # write registers 40049-40050
        copy = box.state / "state.copy"
        wait_for("the scale on the disk", lambda: box.died() or b"\nscale 1500 " in copy.read_bytes())
        wait_for("its sync", lambda: box.died() or synced_after(box, "state.copy"))
        if not box.died():
            box.say("ack", "scale", "1500")
    change(box, "/api/v1/settings", {"device": {"name": "Bod"}, "mqtt": {"topic": "hus"}},
           "set:device.name", "Bod")
    box.stop()


def network_change(box):
    """A plan that nobody confirms: the old one comes back, or is there all the time."""
    old = "yes static 192.168.1.232/24 192.168.1.1 - han2x"
    box.say("ack", "network", old)
    box.start()
    promise_identity(box)
    box.say("ask", "network", "yes static 192.168.1.77/24 192.168.1.1 - han2x")
    box.web("PATCH", "/api/v1/settings", {"network": {"address": "192.168.1.77/24"}})
    wait_for("the request", lambda: box.died() or (box.state / "network.request").exists())
    wait_for("the way back", lambda: box.died() or "192.168.1.77" not in box.conf.read_text())
    box.stop()


def factory_reset(box):
    box.say("ack", "set:device.name", MARK)
    box.start()
    promise_identity(box)
    box.say("ask", "reset", "factory")
    status, _ = box.web("POST", "/api/v1/factory-reset", {"confirm": "factory-reset"})
    if status == 202:
        wait_for("the reset", lambda: box.died() or "factory reset: done" in box.text())
        wait_for("the start", lambda: box.died() or box.text().count("(HTTPS)") == 2)
        if not box.died():
            box.say("ack", "reset", "factory")
    box.stop()


def disk_scene(*args):
    def scene(box):
        subprocess.run([str(box.lab.program("storage_disk")), args[0], str(box.state), *map(str, args[1:])],
                       env=box.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return scene


def prepared(lab, root):
    """A box in use: own password, name, scale, and files that settings name. @return its files."""
    box = Box(lab, root / "box-9999", 9)
    box.start()
    assert box.web("POST", "/api/v1/password", {"current": "vari", "password": OWN[1]},
                   ("bits", "vari"))[0] == 200
    assert box.web("PATCH", "/api/v1/settings", {"device": {"name": MARK, "scale": 2000}})[0] == 200
    box.stop()
    (box.state / "broker.pem").write_text(MARK)
    with open(box.conf, "a") as f:
        f.write("[mqtt]\nclient_key = %s/broker.pem\nusername = %s\n" % (box.state, MARK))
    files = box.files()
    shutil.rmtree(box.root)
    return files


def run_scene(lab, root, slot, name, scene, before, kill_at=0):
    """Do it once. @return the box; its program has ended."""
    number = slot if kill_at == 0 else 100 + kill_at
    folder = root / ("box-%04d" % number)
    shutil.rmtree(folder, ignore_errors=True)
    box = Box(lab, folder, slot)
    box.put({p: re.sub(rb"box-\d{4}", b"box-%04d" % number, d) for p, d in before.items()})
    box.log.write_text("")
    box.before = box.files()
    box.set(kill_at=kill_at)
    try:
        scene(box)
    finally:
        if box.program is not None and box.program.poll() is None:
            box.program.kill()
            box.program.wait()
    return box


def hours_in(lab, root, count, upto):
    """A file `hours` with this many readings, delivered so far. @return {path: octets}."""
    box = Box(lab, root / "box-9998", 9)
    disk_scene("hours", 0, count, upto)(box)
    files = box.files()
    shutil.rmtree(box.root)
    return files


def scenes(lab, root):
    """A box in use, and of each scene: name, what is done, files before, is a whole program."""
    used = prepared(lab, root)
    entries = 3 if lab.quick else 5
    box = Box(lab, root / "box-9997", 9)
    disk_scene("audit", 998)(box)
    audit = box.files()
    shutil.rmtree(box.root)
    return used, [
        ("first start", first_start, {}, True),
        ("settings and scale", settings_save, used, True),
        ("network change", network_change, with_network(used), True),
        ("factory reset", factory_reset, used, True),
        ("hourly readings", disk_scene("hours", 0, entries, entries - 1), {}, False),
        ("hourly file made anew", disk_scene("hours", 258, 1, 258), hours_in(lab, root, 258, 255), False),
        ("audit log made anew", disk_scene("audit", 4), audit, False),
        ("running estimates", disk_scene("run", 2 if lab.quick else 4), {}, False),
    ]


def with_network(files):
    text = files["etc/han2x.conf"].decode()
    return {**files, "etc/han2x.conf": (text + "[network]\nmanage = yes\n").encode()}


def cut_power(lab, root, recorded):
    loader = Loader(lab, root)
    rows = []
    limit = 25 if lab.quick else 1500
    for name, box, _ in recorded:
        bad = len(loader.bad)
        points, complete, made, loads = power_cuts(loader, name, box.root, box.before, box.log, limit)
        rows.append([name, points, "%d of %d" % (complete, points), made, loads, len(loader.bad) - bad])
        lab.check("power cut, %s: old or new at each of %d points" % (name, points),
                  points > 0 and len(loader.bad) == bad, "; ".join(loader.bad[bad:bad + 3]))
    lab.table("Power cut at every operation on the disk", [
        "Scene", "Operations", "All states looked at, of points", "States", "Loaded (different ones)", "Neither old nor new"],
        rows, "./dev prove storage", "at the other points a sample with a fixed seed, %d states each" % limit)


# --- kill ---

def kill(lab, root, recorded, kinds):
    """SIGKILL in place of each operation, then the program itself, then the load."""
    rows = []
    loader = Loader(lab, root)
    for name, box, before in recorded:
        scene, program = kinds[name]
        total = box.count()
        step = max(1, total // (3 if program else 10)) if lab.quick else (1 if program else max(1, total // 150))
        numbers = list(range(1, total + 1, step))
        bad = len(loader.bad)
        states, starts = [], 0
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            slots = list(range(4))

            def one(n):
                slot = slots.pop()
                try:
                    return killed(lab, root, slot, name, scene, before, n)
                finally:
                    slots.append(slot)
            for state, started in pool.map(one, numbers):
                states += [state]
                starts += started
        loader.judge(states)
        rows.append([name, len(numbers), total, starts, len(loader.bad) - bad])
        lab.check("SIGKILL, %s: old or new after each of %d" % (name, len(numbers)),
                  len(loader.bad) == bad and starts == (len(numbers) if program else 0),
                  "; ".join(loader.bad[bad:bad + 3]) or "%d of %d started again" % (starts, len(numbers)))
    lab.table("kill -9 in place of an operation", [
        "Scene", "Kills", "Operations", "Program started again", "Neither old nor new"], rows, "./dev prove storage",
        "threads do not run in the same order twice, so the number of operations differs a little between runs")


def killed(lab, root, slot, name, scene, before, n):
    box = run_scene(lab, root, slot, name, scene, before, n)
    promises = Promises()
    for line in model.read_log(box.log):
        if line[0] in ("ask", "ack"):
            promises.take(line)
    files = box.files()
    started = 0
    if box.program is not None:
        box.set()
        box.start("web.enabled=no", listening=False)
        wait_for("a start:\n" + box.text(), lambda: box.died() or "device number" in box.text())
        started = int(not box.died())
        box.program.kill()
        box.program.wait()
    shutil.rmtree(box.root)
    return (name, files, *promises.frozen()), started


# --- a disk that refuses ---

FULL = CREATE | WRITE | HALF | MKDIR
REFUSALS = [  # (name, operations, errno, only this part of the path)
    ("full in the middle of a write", WRITE | HALF, errno.ENOSPC, ""),
    ("full", FULL, errno.ENOSPC, ""),
    ("quota", FULL, errno.EDQUOT, ""),
    ("read-only", CREATE | WRITE | TRUNCATE | RENAME | UNLINK | MKDIR | LINK, errno.EROFS, ""),
    ("I/O error when written", WRITE | TRUNCATE, errno.EIO, ""),
    ("I/O error when a file is synced", SYNC_FILE, errno.EIO, ""),
    ("I/O error when a folder is synced", SYNC_FOLDER, errno.EIO, ""),
    ("I/O error when renamed", RENAME, errno.EIO, ""),
]


def masters_are_served(box):
    """Registers 40001-40006 are answered."""
    return box.modbus("0300000006")[:4] == "030c"


def refused_while_running(lab, box, refusal):
    """@return what is wrong, a list."""
    name, ops, why, only = refusal
    bad = []
    box.start()
    promise_identity(box)
    # the first save of the scale, which the start asks for: over before the disk refuses
    box.set(fail=ops, why=why, only=only)
    before = box.conf.read_bytes()
    status, answer = box.web("PATCH", "/api/v1/settings", {"device": {"name": "Stua"}})
    changed = box.conf.read_bytes() != before
    if (status == 200) != changed:
        bad.append("the pages say %d, the file %s" % (status, "changed" if changed else "did not"))
    if status != 200 and (status < 500 or os.strerror(why) not in answer):
        bad.append("the reason is not told: %d %s" % (status, answer[:200]))
    if status == 200 and "a power cut may bring the old one back" not in box.text():
        bad.append("not told that it is not safe")
    if box.modbus("100030000204000005dc")[:2] != "10" or box.modbus("0300300002") != "0304000005dc":
        bad.append("the scale is not written and read")
    if ops != RENAME:  # nothing is renamed but what the pages ask for, and they were told
        wait_for("a word in the log", lambda: box.died() or os.strerror(why) in box.text().split("(HTTPS)")[-1], 8)
    if box.died() or not masters_are_served(box):
        bad.append("masters are not served: " + box.text()[-300:])
    words = box.text()
    for line in ("cannot save to", "saved, but not safely"):
        if words.count(line) > 1:
            bad.append("said %d times: %s" % (words.count(line), line))
    box.set()
    if box.web("PATCH", "/api/v1/settings", {"device": {"name": "Bod"}})[0] != 200:
        bad.append("no change of settings when the disk is back")
    if box.stop() != 0 or b"\nscale 1500 " not in (box.state / "state").read_bytes():
        bad.append("the scale is not saved at the end")
    return bad


def refused_at_start(lab, box, refusal):
    """It works without saving, or ends with the reason; nothing is lost either way."""
    _, ops, why, only = refusal
    before = box.files()
    box.set(fail=ops, why=why, only=only)
    box.start("web.enabled=no", listening=False)
    wait_for("a start or an end", lambda: box.died() or "device number" in box.text())
    bad = []
    if box.died():
        if box.program.returncode != 1 or os.strerror(why) not in box.text():
            bad.append("ended with %s: %s" % (box.program.returncode, box.text()[-300:]))
    else:
        time.sleep(0.3)
        if not masters_are_served(box):
            bad.append("masters are not served: " + box.text()[-300:])
        if not re.search(r"device number %s," % number_in(before), box.text()):
            bad.append("another device number: " + box.text())
        box.set()
        if box.stop() != 0:
            bad.append("does not end well")
    box.set()
    box.start("web.enabled=no", listening=False)
    wait_for("a start", lambda: box.died() or "device number" in box.text())
    if not re.search(r"device number %s," % number_in(before), box.text()):
        bad.append("another device number afterwards: " + box.text())
    box.stop()
    return bad


def number_in(files):
    return re.search(rb"\nnumber (\d+)\n", files["state/state"]).group(1).decode()


def unreadable(lab, box, name):
    """A file that cannot be opened or read today is there tomorrow."""
    before = box.files()["state/" + name]
    box.set(fail=OPEN | READ, why=errno.EIO, only="/state/%s$" % name)
    box.start("mqtt.enabled=yes", "mqtt.url=mqtt://127.0.0.1:%d" % (box.port + 3))
    bad = []
    if box.refused() == 0:
        bad.append("nothing was refused")
    if box.died() or not masters_are_served(box):
        bad.append("masters are not served: " + box.text()[-300:])
    if "Input/output error" not in box.text():
        bad.append("no word in the log: " + box.text())
    box.stop()
    box.set()
    now = box.files()
    kept = [n for n in now if now[n] == before]
    if not kept and name != "state":  # the copy served, and both were saved anew
        bad.append("overwritten")
    box.start("web.enabled=no", listening=False)
    wait_for("a start", lambda: box.died() or "device number" in box.text())
    if not re.search(r"device number %s," % number_in(now), box.text()):
        bad.append("another device number")
    box.stop()
    return bad


def refuse(lab, root, used):
    rows = []
    cases = [("while it runs", refused_while_running, r) for r in REFUSALS]
    cases += [("at the start", refused_at_start, r) for r in REFUSALS]
    cases += [("EIO when read", unreadable, n) for n in ("state", "hours", "audit", "tls.key", "tls.crt")]
    used = {**used, **{p: d for p, d in hours_in(lab, root, 5, 2).items() if p == "state/hours"}}
    slots = list(range(4))

    def one(case):
        when, judge, what = case
        slot = slots.pop()
        box = fresh(lab, root, slot, 200 + slot, used)
        try:
            return judge(lab, box, what)
        except AssertionError as e:
            return [str(e)]
        finally:
            if box.program is not None and box.program.poll() is None:
                box.program.kill()
                box.program.wait()
            slots.append(slot)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for (when, _, what), bad in zip(cases, pool.map(one, cases)):
            name = what if isinstance(what, str) else what[0]
            lab.check("disk, %s, %s" % (name, when), not bad, "; ".join(bad))
            rows.append([name, when, "yes" if not bad else "no"])
    lab.table("A disk that refuses", ["What", "When", "Masters served or a clear end, told, nothing lost"], rows,
              "./dev prove storage", "at the start a folder that cannot be written ends the program with the reason "
              "(docs/decisions/0008), a full one does not")


def fresh(lab, root, slot, number, files):
    folder = root / ("box-%04d" % number)
    shutil.rmtree(folder, ignore_errors=True)
    box = Box(lab, folder, slot)
    box.put({p: re.sub(rb"box-\d{4}", b"box-%04d" % number, d) for p, d in files.items()})
    box.log.write_text("")
    return box


# --- damage ---

def damaged(data, most):
    """(words, octets): each octet inverted, lowest bit flipped, and cut at each length; of a long
    file every so many."""
    step = max(1, len(data) * 3 // most)
    for at in range(0, len(data), step):
        yield "octet %d inverted" % at, data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]
        yield "octet %d, a bit" % at, data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        yield "cut at %d" % at, data[:at]


def damage(lab, root, files):
    """Each file of a box in use, damaged in each way; the others are good."""
    loader = Loader(lab, root)
    good = loader.look([files])[0]["loaded"]
    rows = []
    for path in sorted(p for p in files if not p.endswith("broker.pem")):
        cases = list(damaged(files[path], 60 if lab.quick else 3000))
        found = loader.look([{**files, path: data} for _, data in cases])
        wrong = [(words, w) for (words, data), f in zip(cases, found) if (w := damage_wrong(path, files, good, data, f))]
        rows.append([Path(path).name, len(files[path]), len(cases), len(wrong)])
        lab.check("damage, %s: %d ways" % (Path(path).name, len(cases)), not wrong,
                  "; ".join("%s: %s" % w for w in wrong[:3]))
    lab.table("A damaged file", ["File", "Octets", "Ways", "Crash, hang, loss beyond the file, or silence"], rows,
              "./dev prove storage")


def damage_wrong(path, files, good, data, f):
    """What must not be, in words; "" all is well."""
    if f["signal"] or f["loaded"] is None:
        return "ended by signal %d" % f["signal"]
    s, log, left = f["loaded"], f["log"], f["left"]
    for other in files:
        if other != path and left.get(other) != files[other] and not is_made_anew(path, other):
            return "%s is another now" % other
    same = [k for k in good if k in ("number", "starts", "scale", "shown_wh", "network")]
    if path != "etc/han2x.conf" and any(s[k] != good[k] for k in same):
        return "the saved state is another: %s" % {k: s[k] for k in same}
    name = Path(path).name
    if name in ("state", "state.copy"):
        if left.get(path) != data and left.get(path + ".bad") != data:
            return "the damaged file is gone"
        if name == "state" and (path + ".bad" not in left or "cannot be used" not in log) and data != files[path]:
            return "not told"
    if name == "han2x.conf":
        if left[path] != data:
            return "the settings file is another now"
        if not s["settings_good"] and "han2x.conf" not in s["settings_complaint"]:
            return "no reason"
    elif not s["settings_good"] or not s["folder_good"]:
        return "does not start"
    if name == "hours":
        lost = len(set(good["hours"]) - set(s["hours"]))
        if lost > 1 and not (left.get("state/hours.bad") == data and "damaged" in log) and len(data) == len(files[path]):
            return "%d hourly readings lost by one octet" % lost
        if any(h not in good["hours"] + list(range(good["hours_delivered"])) + [-1] for h in s["hours"]):
            return "hourly readings that never were"
    if name.startswith("tls") and not s["tls_good"]:
        return "no certificate"
    return ""


def is_made_anew(path, other):
    """Key and certificate belong together."""
    return "tls." in path and "tls." in other


# --- newer versions ---

def newer(lab, root, used, network):
    """Files of a later program: it goes on, and keeps them."""
    cases = [("state", {"state/state": b"han2x-state 2\nx 1\nend 0000\n", "state/state.copy": b"han2x-state 2\nx 1\nend 0000\n"}),
             ("hours", {"state/hours": b"han2xhrs" + bytes([0, 0, 0, 2]) + bytes(2000)}),
             ("network", {"state/network": b"han2x-network 2\nsomething\n"})]
    for name, files in cases:
        box = fresh(lab, root, 0, 300, {**used, **files})
        box.start("mqtt.enabled=yes", "mqtt.url=mqtt://127.0.0.1:%d" % (box.port + 3))
        served = not box.died() and masters_are_served(box)
        wait_for("its files", lambda: box.died() or (box.state / "hours").exists())
        box.stop()
        now = box.files()
        lost = [p for p, data in files.items() if data not in now.values()]
        told = re.search("cannot be used|not ours", box.text())
        lab.check("newer version, %s: goes on, says so, keeps the file" % name, served and not lost and bool(told),
                  "served %s, lost %s, log %s" % (served, lost, box.text()))


# --- a year ---

def year(lab, root):
    hours = 24 * (3 if lab.quick else 30)
    box = Box(lab, root / "box-0400", 0)
    out = subprocess.run([str(lab.program("storage_disk")), "run", str(box.state), str(hours)], env=box.env(log=False),
                         capture_output=True, text=True, timeout=400, check=True)
    run_of = json.loads(out.stdout)
    factor = 365 * 24 / hours
    rows, pages, octets = [], 0, 0
    for i in range(FILES):
        name, n, touched, writes, syncs = COUNTS.unpack_from(box.control, CONTROL.size + i * COUNTS.size)
        name = name.rstrip(b"\0").decode()
        if name:
            rows.append([name, round(writes * factor), round(syncs * factor), mb(n * factor), mb(touched * 4096 * factor)])
            pages += touched
            octets += n
    folder_syncs, changes = struct.unpack_from("=2Q", box.control, CONTROL.size + FILES * COUNTS.size)
    # a folder's sync makes the journal write descriptor, inodes, bitmap, folder block, commit, and
    # those once more in place; a sync of a file that keeps its size at most its inode
    journal = folder_syncs * 8 + sum(COUNTS.unpack_from(box.control, CONTROL.size + i * COUNTS.size)[4]
                                     for i in range(FILES))
    total = (pages + journal) * 4096 * factor
    rows.append(["folder", "", round(folder_syncs * factor), "", ""])
    rows.append(["file system's own, assumed", "", "", "", mb(journal * 4096 * factor)])
    rows.append(["all", "", "", mb(octets * factor), mb(total)])
    card = 4e9 * 1000 / 4
    lab.table("Written in a year", ["File", "Writes", "Syncs", "Octets, MB", "4 KiB pages, MB"], rows, "./dev prove storage",
              "from %d simulated days with a telegram each 10 s, %d saves, %d hourly readings, each delivered; ext4 "
              "assumed to write 8 pages of its own for a sync of a folder and one for a sync of a file. A card of 4 GB, 1000 cycles, of which its "
              "controller makes use of a quarter, takes %.0f TB: %.0f years"
              % (hours // 24, run_of["saves"], run_of["readings"], card / 1e12, card / total))
    lab.check("written in a year: a small card lasts 20 years", 0 < total * 20 < card, "%s MB" % mb(total))
    lab.check("written in a year: at most one save in 2 s, one reading an hour",
              run_of["saves"] <= hours * 1800 and hours - 2 <= run_of["readings"] <= hours, str(run_of))


def mb(octets):
    return "%.1f" % (octets / 1e6)


# --- does the lab see anything at all? ---

def can_fail(lab, root, recorded):
    """The same recordings as of a program that syncs no files, and one that syncs no folders."""
    for what, is_folder in (("files", False), ("folders", True)):
        bad = 0
        for name, box, _ in recorded[:2] + recorded[4:5]:
            lines, fds = [], {}
            for line in model.read_log(box.log):
                if line[0] in ("open", "dir"):
                    fds[line[1]] = line[0] == "dir"
                if not (line[0] == "sync" and fds.get(line[1]) == is_folder):
                    lines.append("\t".join(line))
            log = root / "without-syncs"
            log.write_text("\n".join(lines) + "\n")
            loader = Loader(lab, root)
            loader.keeps = False
            power_cuts(loader, name, box.root, box.before, log, 40)
            bad += len(loader.bad)
        lab.check("the lab can fail: a program that syncs no %s is found out" % what, bad > 0)


def run(lab):
    root = Path(tempfile.mkdtemp(prefix="han2x-prove-", dir="/dev/shm"))
    try:
        used, plan = scenes(lab, root)
        recorded = [(name, run_scene(lab, root, i, name, scene, before), before)
                    for i, (name, scene, before, _) in enumerate(plan)]
        cut_power(lab, root, recorded)
        can_fail(lab, root, recorded)
        kill(lab, root, recorded, {name: (scene, program) for name, scene, _, program in plan})
        refuse(lab, root, used)
        box_files = {**used, **{p: d for p, d in hours_in(lab, root, 6, 2).items() if p == "state/hours"},
                     "state/network": recorded[2][1].files()["state/network"]}
        damage(lab, root, box_files)
        newer(lab, root, used, recorded[2])
        year(lab, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
