"""Attacks over the network while measured masters read: over Modbus TCP, RTU and the web API.

Each attack is looked at between calm phases of the same run and beside a control (siege.py). Goals:
no error at any master, and a p99 of Modbus TCP of at most twice that of calm, or of the control
where that is higher: then the machine is what is slow. A latency that fails is looked at again, at
most twice, because this machine has other users; an error is never looked at again. Memory and
descriptors come back to what they were. The quick form has a second or so for each attack, on a
machine that is not ours alone: it judges what is gross (QUICK_US), and errors over Modbus TCP."""

import contextlib
import crypt
import http.client
import itertools
import json
import os
import pty
import shutil
import signal
import socket
import ssl
import subprocess
import time
import tty

import evil_broker
import siege
from siege import Figures, Way, measure

TITLE = "Attacks over the network beside measured masters"
READ = bytes.fromhex("000100000006010300000002")
WRITES = bytes.fromhex("00010000000b01100030000204000003e8" "00020000000b01100030000204000003e9")
USER, PASSWORD = "bits", "correct horse"
TRIES = 3
RSS_SLACK_KB = 4096
QUICK_US = 20_000


class Box:
    """A gateway with all its doors open."""

    def __init__(self, lab, name, settings=None, limit_files=0):
        self.lab, self.name, self.settings = lab, name, settings or {}
        self.limit_files = limit_files
        self.port, self.web, self.tls = siege.free_port(), siege.free_port(), siege.free_port()
        self.log, self.conf = lab.work / f"{name}.log", lab.work / f"{name}.conf"
        self.process, self.cookie, self._stack = None, None, contextlib.ExitStack()
        self.control = 0

    def __enter__(self):
        self.line, self._slave = pty.openpty()
        tty.setraw(self._slave)
        state = self.lab.work / f"{self.name}-state"
        state.mkdir()
        self.conf.write_text("")
        settings = {
            "meter.source": "sim:aidon", "modbus_tcp.port": self.port, "modbus_tcp.listen": "127.0.0.1",
            "modbus_rtu.enabled": "yes", "modbus_rtu.device": os.ttyname(self._slave), "modbus_rtu.baud": 115200,
            "web.enabled": "yes", "web.listen": "127.0.0.1", "web.port": self.web, "web.tls_port": self.tls,
            # yescrypt, as han2x makes them
            "web.password_hash": crypt.crypt(PASSWORD, "$y$j9T$SiegeSiegeSiegeSie."), **self.settings}
        command = [self.lab.han2x, "run", "-c", self.conf, "--state-dir", state]
        for key, value in settings.items():
            command += ["-s", f"{key}={value}"]
        self.process = self._stack.enter_context(siege.server(command, self.log, self.port, self.limit_files))
        siege.wait_for("web pages", lambda: siege.listens(self.web) and siege.listens(self.tls))
        self.control = siege.free_port()
        self._stack.enter_context(siege.server([self.lab.program("attack"), self.control, "sink"],
                                               self.lab.work / f"{self.name}-sink.log", self.control))
        siege.wait_for("a telegram", lambda: "good telegrams" in self.log.read_text())
        self.cookie = self.log_in()
        time.sleep(0.5)
        return self

    def __exit__(self, *what):
        alive = self.process.poll() is None
        self._stack.close()
        os.close(self.line)
        os.close(self._slave)
        self.lab.check(f"{self.name}: lived through it all, and ended well", alive and self.process.returncode == 0,
                       f"exit code {self.process.returncode}: {self.log.read_text()[-800:]}")

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1", timeout=10):
        """(status, headers, text)"""
        link = http.client.HTTPConnection("127.0.0.1", self.web, timeout=timeout, source_address=(source, 0))
        with contextlib.closing(link):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
                link.request(method, path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def log_in(self):
        status, headers, _ = self.ask("POST", "/api/v1/session",
                                      json.dumps({"username": USER, "password": PASSWORD}),
                                      {"Content-Type": "application/json"})
        if status != 200:
            raise RuntimeError(f"the login was answered {status}")
        return headers["Set-Cookie"].split(";")[0]

    def head(self, method="GET", path="/api/v1/live", *lines):
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.web}",
                            f"Cookie: {self.cookie}", *lines, "", ""]).encode()

    def ways(self):
        return [Way("Modbus TCP", "tcp", self.port, 1000), Way("RTU", "tty", self.line, 20000),
                Way("web", "http", self.web, 10000, self.head()),
                Way(siege.WITNESS, "tcp", self.control, 10000)]


# --- one attack ---


class Row:
    def __init__(self, name, figures, tries, ok, before_kb, peak_kb, after_kb, counts):
        self.name, self.figures, self.tries, self.ok = name, figures, tries, ok
        self.rss, self.counts = (before_kb, peak_kb, after_kb), counts

    def cells(self):
        f = self.figures

        def p99(way, phase):
            value = f.p99(way, phase)
            return "-" if value is None else f"{value / 1000:.2f}"
        calm, hit = f.p99("Modbus TCP", "calm"), f.p99("Modbus TCP", "attack")
        ratio = f"{hit / calm:.1f}" if calm and hit else "-"
        errors = " / ".join(str(len(f.errors.get(w, []))) for w in ("Modbus TCP", "RTU", "web"))
        errors += f" ({f.stalls} with the witness)" if f.stalls else ""
        return [self.name, self.counts.get("made", "-"), p99("Modbus TCP", "calm"), p99("Modbus TCP", "control"),
                p99("Modbus TCP", "attack"), ratio, self.tries,
                f"{p99('RTU', 'calm')} → {p99('RTU', 'attack')}", f"{p99('web', 'calm')} → {p99('web', 'attack')}",
                errors, " / ".join(str(kb) for kb in self.rss)]


HEAD = ["attack", "connections made", "p99 calm, ms", "control", "attacked", "ratio to calm", "tries",
        "RTU p99", "web p99", "errors TCP / RTU / web", "RSS before / during / after, KB"]


def judge(figures, quick):
    calm, control, hit = (figures.p99("Modbus TCP", p) for p in ("calm", "control", "attack"))
    limit = max(2 * max(calm or 0, control or 0), QUICK_US if quick else 0)
    return calm is not None and hit is not None and hit <= limit


def run_attack(lab, box, name, attacker, control=None, ways=None, web_may_suffer=False):
    """attacker, control: contexts that attack the box, and the server that does nothing."""
    ways = ways or box.ways()
    rounds, seconds = (1, 0.6) if lab.quick else (3, 0.8)
    before_kb, before_fds = siege.rss_kb(box.process.pid), siege.fds(box.process.pid)
    peak_kb, counts, errors, stalls = 0, {}, {}, 0

    @contextlib.contextmanager
    def observed():
        nonlocal peak_kb
        with attacker() as made:
            yield
            peak_kb = max(peak_kb, siege.rss_kb(box.process.pid))
        for key, value in (made or {}).items():
            counts[key] = counts.get(key, 0) + value

    for tries in range(1, TRIES + 1):
        figures = Figures()
        phases = [("calm", seconds, None)]
        if control is not None and (tries > 1 or not lab.quick):
            phases.append(("control", seconds, control))
        for _ in range(rounds):
            newcomer_ms(box)  # no master comes behind what is left of the last round in the kernel's queue
            measure(lab, ways, [*phases, ("attack", seconds, observed)], figures)
        stalls += figures.stalls
        for way, found in figures.errors.items():
            errors.setdefault(way, []).extend(found)
        ok = judge(figures, lab.quick)
        if ok:
            break
    figures.errors, figures.stalls = errors, stalls
    back = wait_back(box, before_kb, before_fds)
    limit = f"at most {QUICK_US / 1000:.0f} ms, or" if lab.quick else "at most"
    lab.check(f"{name}: p99 {limit} twice that of calm or control", ok,
              " ".join(f"{p} {figures.p99('Modbus TCP', p)} µs" for p in ("calm", "control", "attack")))
    for way, found in errors.items():
        if way == "Modbus TCP" or not (lab.quick or (way == "web" and web_may_suffer)):
            lab.check(f"{name}: no error at the master on {way}", not found, f"{len(found)}: {found[:2]}")
    lab.check(f"{name}: memory and descriptors come back", back is None, back or "")
    return Row(name, figures, tries, ok, before_kb, peak_kb, siege.rss_kb(box.process.pid), counts)


def wait_back(box, before_kb, before_fds):
    """@return None, or what did not come back."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        left, kb = siege.fds(box.process.pid) - before_fds, siege.rss_kb(box.process.pid) - before_kb
        if left <= 0 and kb <= RSS_SLACK_KB:
            newcomer_ms(box)  # no master of the next attack waits behind this one's connections
            return None
        time.sleep(0.05)
    return f"{left} descriptors and {kb} KB more than before"


def of_port(lab, port, *how):
    return lambda: siege.attack(lab, port, *how)


def table(lab, title, rows, note=""):
    lab.table(title, HEAD, [row.cells() for row in rows], "./dev prove attacks",
              f"{siege.HOW}; {'quick form, ' if lab.quick else ''}times in ms{note}")


# --- Modbus ---

def modbus_attacks(quick):
    """(name, how), how as of the attacker; see attack.c."""
    everything = [
        ("slowloris: 500 that send an octet a second", ("drip", 500, 1, 2000, READ)),
        ("garbage: 50 that send noise", ("noise", 50, 1, 20000)),
        ("10 000 connections, silent", ("hold", 10000, 1, 5000)),
        ("10 000 connections from 100 addresses, each asks", ("hold", 10000, 100, 5000, READ)),
        ("200 that come, ask, go, and come again", ("churn", 200, 1, 20000, READ)),
        ("the same from 200 addresses", ("churn", 200, 200, 20000, READ)),
        ("storm of connections and resets", ("reset", 200, 1, 20000, READ)),
        ("half-closed: ask, FIN, stay", ("shut", 200, 10, 20000, READ)),
        ("62 that ask without a pause, pipelined", ("stream", 62, 1, 1000, READ * 300)),
        ("200 that ask and never read", ("deaf", 200, 1, 2000, READ * 300)),
        ("write flood: 10 that change the scale factor", ("stream", 10, 1, 1000, WRITES * 100)),
    ]
    skipped = ("the same from 200 addresses", "half-closed: ask, FIN, stay") if quick else ()
    return [a for a in everything if a[0] not in skipped]


def newcomer_ms(box):
    """How long a master that comes now waits for its first answer."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", box.port), timeout=20) as link:
        link.settimeout(20)
        link.sendall(READ)
        if len(link.recv(64)) != 13:
            raise OSError("no answer")
    return (time.monotonic() - begin) * 1000


def modbus(lab, box):
    rows = []
    for name, how in modbus_attacks(lab.quick):
        rows.append(run_attack(lab, box, name, of_port(lab, box.port, *how), of_port(lab, box.control, *how)))
    table(lab, "Modbus TCP attacked, 64 places", rows)
    logged = [line for line in box.log.read_text().splitlines() if "wrote the scale factor" in line]
    lab.check("write flood: the log stays small", len(logged) <= 40, f"{len(logged)} lines")
    saves = box.log.read_text().count("cannot save")
    lab.check("write flood: the state folder is written", saves == 0, f"{saves} complaints")


def newcomers(lab, box):
    """A master that comes in the middle of it."""
    rows = []
    for name, how in modbus_attacks(False)[2:8:2]:
        with siege.attack(lab, box.port, *how):
            time.sleep(1.5)
            try:
                took = f"{newcomer_ms(box):.0f}"
            except OSError as error:
                took = str(error)
        rows.append([name, took])
        lab.check(f"{name}: a new master is served within 5 s", took.isdigit() and int(took) < 5000, took)
        time.sleep(0.5)
    lab.table("A master that comes while the attack goes on", ["attack", "connected and answered after, ms"], rows,
              "./dev prove attacks", "64 places; the kernel's queue of up to 4096 connections is before it")


def crowd(lab):
    """Room for all of them."""
    with Box(lab, "crowd", {"modbus_tcp.max_clients": 10000}) as box:
        how, most = ("hold", 10000, 100, 8000, READ), [0]

        @contextlib.contextmanager
        def all_there():
            with siege.attack(lab, box.port, *how) as counts:
                with contextlib.suppress(RuntimeError):
                    siege.wait_for("10 000 clients", lambda: siege.fds(box.process.pid) > 10000, 30)
                most.append(siege.fds(box.process.pid))
                yield counts
        if lab.quick:
            return
        global RSS_SLACK_KB
        slack, RSS_SLACK_KB = RSS_SLACK_KB, 16384  # 10 000 places of some 500 octets stay allocated
        try:
            row = run_attack(lab, box, "10 000 clients that are served", all_there)
        finally:
            RSS_SLACK_KB = slack
        lab.check("10 000 places: all are taken", max(most) > 10000, f"{most} descriptors")
        table(lab, "Modbus TCP with 10 000 places", [row],
              "; the memory of places that were once taken is kept for the next ones")


def few_files(lab):
    """The daemon runs out of descriptors: 64 for everything."""
    with Box(lab, "few-files", limit_files=64) as box:
        @contextlib.contextmanager
        def both():
            with siege.attack(lab, box.port, "hold", 500, 1, 5000) as counts, \
                    siege.attack(lab, box.web, "hold", 300, 100, 5000):
                yield counts
        row = run_attack(lab, box, "64 descriptors, 500 clients of Modbus, 300 of the pages", both)
        table(lab, "Out of descriptors", [row])
        lab.check("out of descriptors: then a new master is served", newcomer_ms(box) < 2000)
        lab.check("out of descriptors: then pages are served", box.ask("GET", "/health")[0] == 200)


# --- web ---


def client_hello():
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    shake = context.wrap_bio(into, out)
    with contextlib.suppress(ssl.SSLWantReadError):
        shake.do_handshake()
    return out.read()


def login(box, password, *lines):
    body = json.dumps({"username": USER, "password": password})
    return (f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{box.web}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n" + "".join(f"{l}\r\n" for l in lines) + "\r\n" + body).encode()


def web_attacks(box, quick):
    """(name, port, how)"""
    hello = client_hello()
    body = box.head("PATCH", "/api/v1/settings", "Content-Type: application/json", "Content-Length: 9000")
    everything = [
        ("slow headers: 200", box.web, ("drip", 200, 100, 2000, box.head())),
        ("slow bodies: 200", box.web, ("hold", 200, 100, 2000, body + b"{")),
        ("1000 idle connections", box.web, ("hold", 1000, 100, 2000)),
        ("brute force from 64 addresses", box.web, ("churn", 16, 64, 2000, login(box, "guess"))),
        ("headers of 64 KB", box.web, ("churn", 32, 64, 2000, box.head("GET", "/", "X: " + "a" * 65536))),
        ("pages and API without a pause, pipelined", box.web,
         ("stream", 16, 64, 2000, (box.head("GET", "/api/v1/registers") + box.head("GET", "/")) * 20)),
        ("answers never read", box.web, ("deaf", 60, 64, 2000, box.head("GET", "/api/v1/registers") * 20)),
        ("noise on the TLS port", box.tls, ("noise", 50, 64, 5000)),
        ("TLS handshakes begun and left", box.tls, ("churn", 16, 64, 5000, hello)),
        ("half a TLS greeting, kept open", box.tls, ("hold", 300, 64, 2000, hello[:100])),
        ("64 listeners to events", box.web, ("hold", 64, 64, 2000, box.head("GET", "/api/v1/events"))),
    ]
    return [a for i, a in enumerate(everything) if not quick or i not in (1, 4, 6, 9)]


def web(lab, box):
    rows = []
    for name, port, how in web_attacks(box, lab.quick):
        # all places are taken: a connection that is idle may be closed (RFC 9112, 9.5), browsers make another
        rows.append(run_attack(lab, box, name, of_port(lab, port, *how), of_port(lab, box.control, *how),
                               web_may_suffer=name.startswith(("slow bodies", "1000 idle"))))
    table(lab, "Web pages attacked", rows)
    refusals(lab, box)


def refusals(lab, box):
    """What was promised to those who try."""
    def promise(name, status, wanted, also=True):
        lab.check(f"{name}: refused with {wanted}", status == wanted and also, f"got {status}")
    own = {"Cookie": box.cookie}
    json_own = {**own, "Content-Type": "application/json"}
    change = json.dumps({"device": {"name": "mine"}})
    before = box.ask("GET", "/api/v1/settings", headers=own)[2]

    guesses = [box.ask("POST", "/api/v1/session", json.dumps({"username": USER, "password": "guess"}),
                       {"Content-Type": "application/json"}, source="127.2.0.1") for _ in range(7)]
    promise("brute force, the 7th guess", guesses[-1][0], 429, int(guesses[-1][1].get("Retry-After", 0)) >= 1)
    right = box.ask("POST", "/api/v1/session", json.dumps({"username": USER, "password": PASSWORD}),
                    {"Content-Type": "application/json"}, source="127.2.0.1")
    promise("brute force, then the right password at once", right[0], 429)
    lab.check("brute force: the owner at another address still gets in", bool(box.log_in()))
    for name, headers in (("Origin of another site", {"Origin": "http://evil.example"}),
                          ("Origin null", {"Origin": "null"}), ("Sec-Fetch-Site", {"Sec-Fetch-Site": "cross-site"})):
        promise(f"CSRF, {name}", box.ask("PATCH", "/api/v1/settings", change, {**json_own, **headers})[0], 403)
    promise("CSRF by a form", box.ask("PATCH", "/api/v1/settings", change, {**own, "Content-Type": "text/plain"})[0], 415)
    for host in ("evil.example", "han2x.evil.example", "127.0.0.1.evil.example", "evil.example:80"):
        promise(f"DNS rebinding, Host {host}", box.ask("GET", "/api/v1/live", headers={**own, "Host": host})[0], 403)
    promise("body of 1 MB", box.ask("PATCH", "/api/v1/settings", b" " * (1 << 20), json_own)[0], 413)
    for name, text in (("100 000 levels of arrays", "[" * 8000), ("objects in objects", '{"a":' * 3000)):
        promise(f"JSON, {name}", box.ask("PATCH", "/api/v1/settings", text, json_own)[0], 400)
    status = box.ask("GET", "/", headers={"X": "a" * 60000})[0]
    promise("headers of 60 KB", status, 431)
    streams = [socket.create_connection(("127.0.0.1", box.web)) for _ in range(40)]
    for link in streams:
        link.sendall(box.head("GET", "/api/v1/events"))
    heads = [link.recv(20).split()[1] for link in streams]
    lab.check("listeners to events: 32, the others refused with 503", heads.count(b"200") == 32 and heads.count(b"503") == 8,
              f"{heads.count(b'200')} × 200, {heads.count(b'503')} × 503")
    for link in streams:
        link.close()
    lab.check("nothing was changed by all that", box.ask("GET", "/api/v1/settings", headers=own)[2] == before)
    renegotiation(lab, box)
    slow_body(lab, box)


def renegotiation(lab, box):
    """Each one would cost the gateway a key exchange on a connection that it counts once."""
    if not shutil.which("openssl"):
        lab.skip("TLS renegotiation by the client", "no openssl")
        return
    shell = (f"(sleep 0.7; echo R; sleep 0.5; printf 'GET /health HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n'; sleep 0.7) | "
             f"openssl s_client -tls1_2 -connect 127.0.0.1:{box.tls} 2>&1")
    text = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=20, check=False).stdout
    lab.check("TLS renegotiation by the client: the connection ends", "RENEGOTIATING" in text and "HTTP/1.1" not in text,
              text[-200:])


def slow_body(lab, box):
    if lab.quick:
        lab.skip("a slow body is given up after 20 s", "takes 22 s: the full form")
        return
    with socket.create_connection(("127.0.0.1", box.web), timeout=30) as link:
        begin = time.monotonic()
        link.sendall(box.head("PATCH", "/api/v1/settings", "Content-Type: application/json", "Content-Length: 500"))
        with contextlib.suppress(OSError):
            while time.monotonic() - begin < 30:
                link.sendall(b" ")
                link.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    if not link.recv(100):
                        break
        took = time.monotonic() - begin
    lab.check("a slow body is given up after 20 s", 15 < took < 25, f"{took:.0f} s")


# --- MQTT ---


def mqtt(lab):
    port = siege.free_port()
    broker = evil_broker.Broker(port)
    rows = []
    names = list(evil_broker.BEHAVIOURS)
    if lab.quick:
        names = [n for n in names if n not in ("a length without end", "refuses", "an octet now and then")]
    try:
        with Box(lab, "mqtt", {"mqtt.url": f"mqtt://127.0.0.1:{port}"}) as box:
            numbers = itertools.count()

            def reload(enabled):
                """Another topic each time: the client begins anew, without its back-off."""
                box.conf.write_text(f"[mqtt]\nenabled = {enabled}\ntopic = t{next(numbers)}\n")
                box.process.send_signal(signal.SIGHUP)

            seen = []

            def behaving(name):
                @contextlib.contextmanager
                def attacker():
                    broker.behave(name)
                    reload("yes")
                    siege.wait_for(f"a client for the broker that {name}", lambda: broker.clients > 0, 10)
                    yield {}
                    seen.append(broker.clients)
                    reload("no")
                    broker.quiet()
                return attacker
            with pinned():
                with behaving("never acknowledges")():  # once, so that all that stays open is open
                    time.sleep(1)
                time.sleep(1)
                for name in names:
                    seen.clear()
                    row = run_attack(lab, box, name, behaving(name))
                    row.counts = {"made": sum(seen)}
                    rows.append(row)
                    most = 4 * len(seen)
                    lab.check(f"{name}: it is not asked again in haste", sum(seen) <= most, f"{sum(seen)} of {most}")
    finally:
        broker.close()
    table(lab, "A malicious MQTT broker", rows)


@contextlib.contextmanager
def pinned():
    """This process plays the broker: it stays off the server's core."""
    cores = os.sched_getaffinity(0)
    if siege.TWO_CORES:
        os.sched_setaffinity(0, {1})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def run(lab):
    with Box(lab, "gateway") as box:
        modbus(lab, box)
        if not lab.quick:
            newcomers(lab, box)
        web(lab, box)
    crowd(lab)
    few_files(lab)
    mqtt(lab)
    lab.skip("half-open in the kernel: SYN without ACK", "on the loopback the kernel answers for every source address; "
             "its SYN cookies are not ours. Connections that never send stand above")
