"""The web interface of a running gateway, through clients that are not ours: http.client, curl,
openssl, sockets. Every answer is validated against web/openapi.json."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import select
import signal
import socket
import ssl
import statistics
import struct
import subprocess
import threading
import time

import jsonschema
import pytest

import gateway
import masters
import telegrams

ROOT = pathlib.Path(__file__).resolve().parents[2]
API = json.loads((ROOT / "web/openapi.json").read_text())
FACTORY = ("bits", "vari")
OWN = ("bits", "correct horse")


class Web:
    """A client of one gateway's pages."""

    def __init__(self, running, port, tls_port, config):
        self.running, self.port, self.tls_port, self.config = running, port, tls_port, config
        self.seen = set()

    def raw(self, method, path, body=None, headers=None, tls=False, timeout=None):
        """(status, headers, octets)"""
        timeout = timeout or gateway.DEADLINE_S
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            conn = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=timeout,
                                               context=context)
        else:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(conn):
            conn.request(method, path, body=body, headers=headers or {})
            answer = conn.getresponse()
            return answer.status, answer.headers, answer.read()

    def __call__(self, method, path, body=None, login=OWN, cookie=None, headers=None, tls=False):
        """(status, headers, parsed body), checked against the description."""
        headers = dict(headers or {})
        if login and not cookie:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        if cookie:
            headers["Cookie"] = cookie
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        status, answer, data = self.raw(method, path, body, headers, tls)
        return status, answer, self.check(method, path.split("?")[0], status, answer, data)

    def check(self, method, path, status, headers, data):
        """The answer is one that openapi.json promises. @return it, parsed when JSON."""
        self.seen.add((path, method.lower(), status))
        promised = API["paths"][path][method.lower()]["responses"]
        assert str(status) in promised, "%s %s: %d is not described: %r" % (
            method, path, status, data[:300])
        content = promised[str(status)].get("content", {})
        kind = headers.get("Content-Type", "").split(";")[0]
        if not content:
            assert data == b""
            return None
        assert kind in content
        if kind != "application/json":
            return data
        value = json.loads(data)
        schema = dict(content[kind]["schema"], components=API["components"])
        jsonschema.Draft202012Validator(schema).validate(value)
        return value

    def log_in(self, login=OWN, tls=False):
        """Cookie of a new session."""
        status, headers, value = self("POST", "/api/v1/session",
                                      {"username": login[0], "password": login[1]}, login=None,
                                      tls=tls)
        assert status == 200 and value["logged_in"]
        return headers["Set-Cookie"].split(";")[0]


def start_web(start, settings=None, conf="", state="state", password=True):
    port, tls_port = gateway.free_port(), gateway.free_port()
    config = start.folder / ("%s.conf" % state)
    if not config.exists():
        config.write_text("# my settings\n" + conf)
    everything = {"meter.source": "sim:aidon", "web.enabled": "yes", "web.listen": "127.0.0.1",
                  "web.port": port, "web.tls_port": tls_port}
    everything.update(settings or {})
    running = start(everything, state=state, arguments=["-c", str(config)])
    where = "all addresses," if everything.get("web.listen") == "all" else "127.0.0.1"
    running.wait_log(r"web pages on %s port %d" % (where, port))
    if everything["web.tls_port"]:
        running.wait_log(r"web pages on 127.0.0.1 port %d \(HTTPS\)" % tls_port)
    web = Web(running, port, tls_port, config)
    if password:
        status, _, _ = web("POST", "/api/v1/password",
                           {"current": FACTORY[1], "password": OWN[1]}, login=FACTORY)
        assert status == 200
    return web


@pytest.fixture(scope="module")
def web(start_shared):
    """A gateway with a password of its own; tests leave it as they found it."""
    it = start_web(start_shared)
    it.running.wait_log("good telegrams: maker aidon")
    return it


# --- answers ---

READ = [p for p, ops in API["paths"].items() if "get" in ops and p != "/api/v1/events"]


@pytest.mark.parametrize("path", READ)
def test_every_read_path_answers_as_described(web, path):
    status, _, _ = web("GET", path)
    assert status == 200
    open_to_all = API["paths"][path]["get"].get("security") == []
    status, headers, _ = web("GET", path, login=None)
    assert status == (200 if open_to_all else 401)
    assert open_to_all or headers["WWW-Authenticate"].startswith("Basic")


def test_live_shows_what_the_meter_sent(web):
    def look():
        _, _, live = web("GET", "/api/v1/live")
        return live if live["fields"]["voltage_l1"]["value"] else None
    live = gateway.wait_for("a list 2", look)
    assert live["simulated"] and live["link"] == "good" and live["meter"]["id"].startswith("SIM")
    volt = live["fields"]["voltage_l1"]
    assert 200 < volt["value"] < 260 and volt["unit"] == "V" and volt["quality"] == "measured"
    assert volt["age_s"] < 15 and not volt["not_measured"]
    energy = live["fields"]["active_energy_import"]
    assert energy["waits_for_hour"] == (energy["value"] is None)


def test_registers_agree_with_live(web):
    rows = {r["name"]: r for r in web("GET", "/api/v1/registers")[2]["registers"]}
    assert rows["active_power_import"]["address"] == 40001
    raw = bytes.fromhex(rows["active_power_import"]["raw"])
    assert int.from_bytes(raw, "big") == rows["active_power_import"]["value"]


def test_telegrams_hex_decoded_and_raw(web):
    telegrams = web("GET", "/api/v1/telegrams")[2]["telegrams"]
    newest = telegrams[0]
    assert newest["ok"] and newest["reason"] is None and newest["raw"].startswith("7EA")
    assert newest["decoded"]["manufacturer"] == "aidon"
    assert [t["number"] for t in telegrams] == sorted((t["number"] for t in telegrams), reverse=True)
    status, headers, data = web("GET", "/api/v1/telegrams?format=raw")
    assert status == 200 and "attachment" in headers["Content-Disposition"]
    assert data.startswith(b"\x7e") and data.endswith(b"\x7e")


def test_history(web):
    def look():
        _, _, history = web("GET", "/api/v1/history?hours=1")
        return history if history["count"] >= 1 else None
    history = gateway.wait_for("a row of history", look, 30)
    assert all(len(s) == history["count"] for s in history["series"].values())
    recent = web("GET", "/api/v1/history/recent")[2]
    assert recent["count"] == len(recent["age_ms"]) == len(recent["import"]) >= 1
    assert web("GET", "/api/v1/history?hours=25")[0] == 400
    assert web("GET", "/api/v1/history?step_s=11")[0] == 400


def test_events_are_pushed(web):
    auth = base64.b64encode(":".join(OWN).encode()).decode()
    with socket.create_connection(("127.0.0.1", web.port), gateway.DEADLINE_S) as s:
        s.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\n\r\n"
                  % auth.encode())
        data = b""
        while data.count(b"event: live") < 3:
            more = s.recv(65536)
            assert more, "the stream ended"
            data += more
    assert b"text/event-stream" in data
    first = re.search(rb"data: (\{.*?\})\n\n", re.sub(rb"\r\n[0-9a-f]+\r\n", b"", data), re.S)
    schema = {"$ref": "#/components/schemas/Live", "components": API["components"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(first.group(1)))


def listen(it, headers):
    """A stream of events after its first one."""
    s = socket.create_connection(("127.0.0.1", it.port), gateway.DEADLINE_S)
    s.sendall(("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % headers).encode())
    data = b""
    while b"event: live" not in data:
        more = s.recv(65536)
        assert more, data
        data += more
    return s


def test_a_telegram_is_on_the_pages_at_once(start):
    """Not when the web thread next looks at its clock, each second."""
    meter, took = start.meter(), []
    it = start_web(start, {"meter.source": "serial:" + meter.path})
    with listen(it, "Authorization: " + basic(OWN)) as s:
        for second in range(7):
            time.sleep(0.07)  # no beat that fits the clock's
            meter.write(telegrams.kaifa("2025-01-06T18:00:1%d" % second, power_w=1000 + second))
            begun, data = time.monotonic(), b""
            while b"id: %d\n" % (second + 1) not in data:
                data += s.recv(65536)
            took.append(time.monotonic() - begun)
    assert statistics.median(took) < 0.2 * gateway.SLOW, took


def test_a_change_is_answered_at_once(start):
    it, took = start_web(start), []
    for scale in range(2000, 2007):
        begun = time.monotonic()
        status, _, changed = it("PATCH", "/api/v1/settings", {"device": {"scale": scale}})
        took.append(time.monotonic() - begun)
        assert status == 200 and changed["changed"] == ["device.scale"]
        assert changed["settings"]["settings"]["device"]["scale"] == scale
    assert statistics.median(took) < 0.3 * gateway.SLOW, took


def has_ended(s):
    """Reads what is left. @return False when more still comes."""
    end = time.monotonic() + 12 * gateway.SLOW  # an event comes at least each 10 s
    while time.monotonic() < end:
        try:
            data = s.recv(65536)
        except socket.timeout:
            return False
        if not data or data.endswith(b"0\r\n\r\n"):
            return True
    return False


def make_room(it, cookie):
    """Its session has been idle longest when the 32 others come."""
    for _ in range(32):
        it.log_in()


@pytest.mark.parametrize("end", [
    lambda it, cookie: it("DELETE", "/api/v1/session", cookie=cookie),
    lambda it, cookie: it("POST", "/api/v1/password", {"current": OWN[1], "password": "another one"}),
    make_room], ids=["logout", "password", "room for others"])
def test_events_end_with_their_session(start, end):
    it = start_web(start)
    cookie = it.log_in()
    with listen(it, "Cookie: " + cookie) as s:
        end(it, cookie)
        assert has_ended(s)
    assert it("GET", "/api/v1/live", cookie=cookie)[0] == 401


def test_metrics_are_openmetrics(web):
    text = web("GET", "/metrics")[2].decode()
    assert text.endswith("# EOF\n")
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    assert len(families) == len(set(families))
    for family, kind in families:
        for name in re.findall(r"^(%s\w*)[ {]" % family, text, re.M):
            assert name == family + ("_total" if kind == "counter" else "") or \
                any(name.startswith(f) and len(f) > len(family) for f, _ in families)


def test_health_without_meter(start):
    it = start_web(start, {"meter.source": "file:/dev/null"}, password=False)
    status, _, value = it("GET", "/health", login=None)
    assert status == 503 and not value["ok"] and value["reason"]
    assert value["reason_code"] == "silent"


# --- login ---

def test_factory_password_looks_and_changes_only_the_password(start):
    it = start_web(start, password=False)
    status, _, session = it("GET", "/api/v1/session", login=FACTORY)
    assert status == 200
    it.config.chmod(0o644)
    cookie = it.log_in(FACTORY)
    session = it("GET", "/api/v1/session", cookie=cookie)[2]
    assert session["factory_password"] and session["read_only"]
    assert it("GET", "/api/v1/live", cookie=cookie)[0] == 200
    for method, path, body in [("PATCH", "/api/v1/settings", {"device": {"name": "x"}}),
                               ("POST", "/api/v1/restart", None),
                               ("POST", "/api/v1/factory-reset", {"confirm": "factory-reset"}),
                               ("PUT", "/api/v1/backup", {"backup": {}}),
                               ("POST", "/api/v1/mqtt/test", {})]:
        status, _, error = it(method, path, body, cookie=cookie)
        assert (status, error["error"]) == (403, "factory_password")
    status, _, error = it("POST", "/api/v1/password", {"current": "vari", "password": "short"},
                          cookie=cookie)
    assert status == 422 and error["fields"][0]["key"] == "password"
    status, _, error = it("POST", "/api/v1/password", {"current": "wrong", "password": OWN[1]},
                          cookie=cookie)
    assert status == 422 and error["fields"][0]["key"] == "current"
    status, headers, session = it("POST", "/api/v1/password",
                                  {"current": "vari", "password": OWN[1]}, cookie=cookie)
    assert status == 200 and not session["read_only"]
    new = headers["Set-Cookie"].split(";")[0]
    assert it("GET", "/api/v1/live", cookie=cookie)[0] == 401  # the old session has ended
    assert it("PATCH", "/api/v1/settings", {"device": {"name": "Hytta på fjellet"}},
              cookie=new)[0] == 200
    assert it("GET", "/api/v1/live", login=FACTORY)[0] == 401
    assert "password_hash = $y$" in it.config.read_text()
    assert OWN[1] not in it.config.read_text()
    assert it.config.stat().st_mode & 0o777 == 0o640  # a hash is inside: nothing for others


def test_factory_login_allow(start):
    it = start_web(start, {"web.factory_login": "allow"}, password=False)
    assert it("PATCH", "/api/v1/settings", {"device": {"name": "x"}}, login=FACTORY)[0] == 200


def test_session_cookie_and_logout(web):
    status, headers, _ = web("POST", "/api/v1/session",
                             {"username": OWN[0], "password": OWN[1]}, login=None)
    cookie = headers["Set-Cookie"]
    assert status == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert re.match(r"han2x_session=[0-9a-f]{32};", cookie)
    secure = web("POST", "/api/v1/session", {"username": OWN[0], "password": OWN[1]}, login=None,
                 tls=True)[1]["Set-Cookie"]
    assert secure.startswith("__Host-") and "; Secure" in secure
    mine = cookie.split(";")[0]
    assert web("DELETE", "/api/v1/session", cookie=mine)[0] == 204
    assert web("GET", "/api/v1/live", cookie=mine)[0] == 401


def test_brute_force_waits(start):
    it = start_web(start)
    answers = []
    while not answers or answers[-1][0] != 429:
        assert len(answers) < 12, answers  # the 12th wait would be over a minute
        status, headers, error = it("GET", "/api/v1/live", login=("bits", "guess%d" % len(answers)))
        answers.append((status, int(headers.get("Retry-After", 0))))
        assert error["message"]
    failures = len(answers) - 1
    assert failures >= 5 and [s for s, _ in answers[:failures]] == [401] * failures
    # told from the fifth on: 1 s, doubling
    assert [w for _, w in answers[:failures]] == [0] * 4 + [2 ** n for n in range(failures - 4)]
    assert it("GET", "/api/v1/live", login=("bits", "other"))[0] == 429

    def right():
        time.sleep(0.2)
        return it("GET", "/api/v1/live")[0] == 200
    gateway.wait_for("the right password after the wait", right, 60 * gateway.SLOW)
    kinds = [e["kind"] for e in it("GET", "/api/v1/log")[2]["entries"]]
    assert kinds.count("login_failed") == failures and "password" in kinds
    text = json.dumps(it("GET", "/api/v1/log")[2])
    assert "guess" not in text and OWN[1] not in text


# --- what must be refused ---

def test_cross_site_requests(web):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        status, _, error = web("PATCH", "/api/v1/settings", {"device": {"name": "x"}},
                               headers=headers)
        assert (status, error["error"]) == (403, "cross_site")
    own = {"Origin": "http://127.0.0.1:%d" % web.port, "Sec-Fetch-Site": "same-origin"}
    assert web("PATCH", "/api/v1/settings", {}, headers=own)[0] == 200


@pytest.mark.parametrize("host,good", [
    ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost", True),
    ("han2x.local", True), ("han2x.local:8080", True), ("[::1]", True), ("192.168.1.232", True),
    ("han2x.lan", True), ("han2x.example", False), ("", False)])
def test_dns_rebinding(web, host, good):
    status, _, error = web("GET", "/api/v1/live", headers={"Host": host})
    assert status == (200 if good else 403)
    assert good or error["error"] == "wrong_host"


def exchange(web, data, deadline_s=5):
    """Send octets, read until the other side closes. @return what came."""
    with socket.create_connection(("127.0.0.1", web.port), deadline_s * gateway.SLOW) as s:
        s.sendall(data)
        got = b""
        with contextlib.suppress(socket.timeout, ConnectionResetError):
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        return got


@pytest.mark.parametrize("name,head", [
    ("length and coding", "Host: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"),
    ("two lengths", "Host: localhost\r\nContent-Length: 2\r\nContent-Length: 2"),
    ("no host", "Content-Length: 2"),
    ("two hosts", "Host: localhost\r\nHost: localhost\r\nContent-Length: 2"),
    ("unknown coding", "Host: localhost\r\nTransfer-Encoding: gzip, chunked"),
])
def test_request_smuggling(web, name, head):
    got = exchange(web, ("POST /api/v1/session HTTP/1.1\r\n%s\r\n"
                         "Content-Type: application/json\r\n\r\n{}" % head).encode())
    assert re.match(rb"HTTP/1.1 (400|500|501) ", got), (name, got[:200])
    assert got.count(b"HTTP/1.1 ") == 1


def test_bodies_too_large(web):
    big = {"device": {"name": "x" * 70000}}
    status, _, error = web("PATCH", "/api/v1/settings", big)
    assert (status, error["error"]) == (413, "too_large")

    def chunks():
        for _ in range(80):
            yield b"x" * 1024
    auth = base64.b64encode(":".join(OWN).encode()).decode()
    status, headers, data = web.raw("PATCH", "/api/v1/settings", chunks(),
                                    {"Authorization": "Basic " + auth,
                                     "Content-Type": "application/json"})
    assert status == 413
    assert json.loads(data)["error"] == "too_large"


def test_bodies_that_are_no_json(web):
    for body, code in [("{", "bad_request"), ("[]", "bad_request"), ('{"a":1,"a":2}', "bad_request"),
                       ('{"device":' * 50, "bad_request")]:
        status, _, error = web("PATCH", "/api/v1/settings", body.encode(),
                               headers={"Content-Type": "application/json"})
        assert (status, error["error"]) == (400, code)
    status, _, error = web("PATCH", "/api/v1/settings", b"name=x",
                           headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (status, error["error"]) == (415, "unsupported_media_type")


def test_paths_outside(web):
    for path in ("/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2fetc/passwd",
                 "/api/v1/nothing", "/x.js", "//etc/passwd.txt"):
        status, _, data = web.raw("GET", path)
        assert status in (400, 404), path
        assert b"root:" not in data
    status, headers, _ = web.raw("PUT", "/api/v1/live")
    assert status == 405 and headers["Allow"] == "GET, HEAD"


def test_every_answer_has_the_headers_of_a_careful_page(web):
    for path in ("/", "/api/v1/session", "/health", "/nothing.txt"):
        _, headers, _ = web.raw("GET", path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in headers


def test_slow_clients_cost_their_own_slot(web):
    """Headers one octet at a time are cut off, and others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", web.port), gateway.DEADLINE_S) as slow:
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for octet in b"GET /api/v1/live HTTP/1.1\r\nX: " + b"x" * 1000:
                slow.sendall(bytes([octet]))
                assert time.monotonic() - began < 30 * gateway.SLOW, "never cut off"
                slow.settimeout(0.25)
                try:
                    if slow.recv(1) == b"":
                        break
                except socket.timeout:
                    continue
        assert time.monotonic() - began < 30 * gateway.SLOW
    assert web("GET", "/api/v1/live")[0] == 200


def test_thousand_idle_connections(web):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000 and hard != resource.RLIM_INFINITY:
        pytest.skip("the limit of open files is %d" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            s = stack.enter_context(socket.socket())
            s.settimeout(gateway.DEADLINE_S)
            s.connect(("127.0.0.1", web.port))
        began = time.monotonic()
        assert web("GET", "/api/v1/live")[0] == 200
        assert time.monotonic() - began < 5 * gateway.SLOW
    assert web("GET", "/api/v1/live")[0] == 200


# --- what a reviewer tried ---

def basic(login):
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()


def half_sent(web, head, source="127.0.0.1"):
    """A connection whose request was begun, and whose body of 100 octets is waited for."""
    s = socket.create_connection(("127.0.0.1", web.port), gateway.DEADLINE_S, (source, 0))
    s.sendall(("%s\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
               "Expect: 100-continue\r\n\r\n" % head).encode())
    assert b" 100 " in s.recv(100)
    return s


def test_who_must_wait_learns_nothing(start):
    """A right password is no more welcome than a wrong one while its sender has to wait, also when
    somebody used it just now."""
    it = start_web(start)
    assert it("GET", "/api/v1/live")[0] == 200
    for n in range(20):
        status = it("GET", "/api/v1/live", login=("bits", "guess%d" % n))[0]
        if status == 429:
            break
    assert status == 429
    assert it("GET", "/api/v1/live")[0] == 429


def test_a_request_begun_before_the_password_changed(start):
    it = start_web(start)
    heads = ["Cookie: " + it.log_in(), "Authorization: " + basic(OWN)]
    waiting = [half_sent(it, "PATCH /api/v1/settings HTTP/1.1\r\n" + h) for h in heads]
    new = (OWN[0], "another horse")
    assert it("POST", "/api/v1/password", {"current": OWN[1], "password": new[1]})[0] == 200
    for s in waiting:
        with s:
            s.sendall(b'{"device":{"name":"late"}}'.ljust(100))
            assert s.recv(4096).split()[1] == b"401"
    assert it("GET", "/api/v1/settings", login=new)[2]["settings"]["device"]["name"] == ""


# yescrypt of "correct horse" with 512 MB: a second or more
SLOW_HASH = "$y$jFT$abcdefghijklmnop$VyNKcOqd2SnIupxRXBYRpuI6bTTNABTqfSwEpuW.GjD"


def test_old_password_ends_while_it_is_looked_at(start):
    """A login with the old password that is under way when it changes is judged by the new one."""
    it = start_web(start, conf="[web]\npassword_hash = %s\n" % SLOW_HASH, password=False)
    with socket.create_connection(("127.0.0.1", it.port), 60) as s:
        s.sendall(("GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\n\r\n" %
                   basic(OWN)).encode())
        it("GET", "/health", login=None)  # came later: the login is under way
        it.config.write_text("")  # as from the factory
        it.running.process.send_signal(signal.SIGHUP)
        it.running.wait_log("settings loaded from")
        assert s.recv(4096).split()[1] == b"401"
    assert it("GET", "/api/v1/live", login=OWN)[0] == 401
    assert it("GET", "/api/v1/live", login=FACTORY)[0] == 200


@pytest.mark.parametrize("sources", [["127.0.0.1"], ["127.0.0.%d" % n for n in range(2, 8)]],
                         ids=["one", "many"])
def test_slow_bodies_cost_their_own_slot(web, sources):
    """Strangers who are all in the middle of a request leave room for others."""
    with contextlib.ExitStack() as stack:
        for n in range(200):
            stack.enter_context(half_sent(web, "POST /api/v1/session HTTP/1.1",
                                          sources[n % len(sources)]))
        began = time.monotonic()
        assert web("GET", "/api/v1/live")[0] == 200
        assert time.monotonic() - began < 5 * gateway.SLOW


def test_listeners_that_leave_before_their_answer(start):
    """Gone while their password is looked at: no listener may stay behind."""
    it = start_web(start)
    for n in range(60):
        s = socket.create_connection(("127.0.0.1", it.port), gateway.DEADLINE_S)
        s.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " +
                  basic(OWN if n else ("bits", "vari")).encode() + b"\r\n\r\n")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        if n == 0:
            continue
        # the cache of passwords forgets with each change
        assert it("PATCH", "/api/v1/settings", {"web": {"username": "bits"}})[0] in (200, 503)
    gateway.wait_for("no listeners", lambda: it("GET", "/api/v1/status")[2]["web"]["events"] == 0,
                     60 * gateway.SLOW)


def test_certificate_file_with_its_key(start):
    """One file may hold both; only the certificate is handed out."""
    pem = start.folder / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-subj", "/CN=han2x", "-keyout", str(pem), "-out", str(pem) + ".crt"],
                   capture_output=True, check=True)
    certificate = pathlib.Path(str(pem) + ".crt").read_text()
    pem.write_text(pem.read_text() + certificate)
    it = start_web(start, {"web.tls_cert": pem, "web.tls_key": pem})
    given = it("GET", "/han2x.crt", login=None)[2].decode()
    assert given.split() == certificate.split()
    assert it("GET", "/api/v1/live", tls=True)[0] == 200


def test_certificate_that_cannot_be_used(start):
    it = start_web(start)
    status, _, error = it("PATCH", "/api/v1/settings",
                          {"web": {"tls_cert": "/nowhere.crt", "tls_key": "/nowhere.key"}})
    assert (status, error["error"]) == (500, "failed") and "/nowhere.crt" in error["message"]
    assert it("GET", "/api/v1/live", tls=True)[0] == 200


# --- TLS ---

def test_tls_versions(web):
    def connect(low, high):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = low, high
        with socket.create_connection(("127.0.0.1", web.tls_port), gateway.DEADLINE_S) as s:
            with context.wrap_socket(s) as t:
                return t.version()
    v = ssl.TLSVersion
    assert connect(v.TLSv1_3, v.TLSv1_3) == "TLSv1.3"
    assert connect(v.TLSv1_2, v.TLSv1_2) == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        connect(v.TLSv1, v.TLSv1_1)


def test_certificate_is_ours_and_stays(start):
    it = start_web(start, password=False)
    print_ = it("GET", "/api/v1/status", login=FACTORY)[2]["web"]["certificate_sha256"]
    pem = it("GET", "/han2x.crt", login=None)[2].decode()
    text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, text=True,
                          capture_output=True, check=True).stdout
    assert "DNS:han2x.local" in text and "prime256v1" in text and "ecdsa-with-SHA256" in text
    key = it.running.state_dir / "tls.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert ssl.get_server_certificate(("127.0.0.1", it.tls_port)).split() == pem.split()
    it.running.stop()
    start.forget(it.running)
    again = start_web(start, password=False)
    assert again("GET", "/api/v1/status", login=FACTORY)[2]["web"]["certificate_sha256"] == print_


# --- settings ---

def test_settings_all_or_nothing(start):
    it = start_web(start)
    before = it.config.read_text()
    status, _, error = it("PATCH", "/api/v1/settings", {
        "device": {"name": "Stua"}, "mqtt": {"port": 70000, "qos": "x"}, "web": {"nothing": 1}})
    assert status == 422
    assert {f["key"] for f in error["fields"]} == {"mqtt.port", "mqtt.qos", "web.nothing"}
    assert "1 to 65535" in [f for f in error["fields"] if f["key"] == "mqtt.port"][0]["allowed"]
    assert it.config.read_text() == before
    assert it("GET", "/api/v1/settings")[2]["settings"]["device"]["name"] == ""

    status, _, changed = it("PATCH", "/api/v1/settings", {
        "device": {"name": "Stua"}, "mqtt": {"port": 1884, "password": "hemmelig"}})
    assert status == 200
    assert sorted(changed["changed"]) == ["device.name", "mqtt.password", "mqtt.port"]
    assert changed["effects"] == ["none", "mqtt"]
    assert changed["settings"]["settings"]["mqtt"]["password"] is None
    assert "mqtt.password" in changed["settings"]["secrets_set"]
    text = it.config.read_text()
    assert text.startswith("# my settings\n") and "port = 1884" in text and "hemmelig" in text
    it.running.stop()
    start.forget(it.running)
    again = start_web(start, password=False)
    values = again("GET", "/api/v1/settings")[2]["settings"]
    assert values["device"]["name"] == "Stua" and values["mqtt"]["port"] == 1884


def test_settings_that_need_others_and_fixed_ones(web):
    status, _, error = web("PATCH", "/api/v1/settings", {"mqtt": {"enabled": True}})
    assert status == 422 and error["fields"][0]["key"] == "mqtt.url"
    status, _, error = web("PATCH", "/api/v1/settings", {"web": {"port": 1}})
    assert status == 422 and error["fields"][0]["key"] == "web.port"
    assert "web.port" in web("GET", "/api/v1/settings")[2]["fixed"]
    for key in ("password_hash", "password_hash_file"):
        assert web("PATCH", "/api/v1/settings", {"web": {key: ""}})[0] == 422


def test_a_scale_written_over_modbus_is_shown_and_taken_back(start):
    """The page shows the factor that counts, and its own number counts when it is given, though the
    settings file has it already. Other changes leave a factor alone that was written since."""
    it = start_web(start)
    master = masters.Pymodbus.tcp(it.running.port)

    def shown():
        return it("GET", "/api/v1/settings")[2]["settings"]["device"]["scale"]

    def read():
        return masters.u32(master.read(48, 2))
    try:
        assert shown() == 1000
        master.write_many(48, [0, 3000])
        gateway.wait_for("the factor on the page", lambda: shown() == 3000)
        status, _, changed = it("PATCH", "/api/v1/settings", {"device": {"name": "Stua"}})
        assert status == 200 and changed["changed"] == ["device.name"]
        assert read() == 3000 and changed["settings"]["settings"]["device"]["scale"] == 3000
        status, _, changed = it("PATCH", "/api/v1/settings", {"device": {"scale": 1000}})
        assert status == 200 and changed["changed"] == ["device.scale"]
        assert read() == 1000 and changed["settings"]["settings"]["device"]["scale"] == 1000
        assert shown() == 1000
        master.write_many(48, [0, 4000])
        gateway.wait_for("the factor on the page", lambda: shown() == 4000)
        backup = it("GET", "/api/v1/backup")[2]
        assert it("PATCH", "/api/v1/settings", {"device": {"scale": 1000}})[0] == 200
        assert it("PUT", "/api/v1/backup", {"backup": backup})[0] == 200
        assert read() == 4000
    finally:
        master.close()


def test_a_fixed_scale_stays_what_the_command_line_says(start):
    it = start_web(start, {"device.scale": 2000})
    master = masters.Pymodbus.tcp(it.running.port)
    try:
        master.write_many(48, [0, 3000])
        assert it("PATCH", "/api/v1/settings", {"device": {"name": "Stua"}})[0] == 200
        assert it("GET", "/api/v1/settings")[2]["settings"]["device"]["scale"] == 2000
        assert masters.u32(master.read(48, 2)) == 3000
        assert it("PATCH", "/api/v1/settings", {"device": {"scale": 1000}})[0] == 422
    finally:
        master.close()


def test_settings_that_the_gateway_cannot_use_are_taken_back(start):
    """Good by the table, refused by the gateway: a router outside the own network."""
    it = start_web(start)
    before = it.config.read_text()
    status, _, error = it("PATCH", "/api/v1/settings", {
        "device": {"name": "Stua"}, "network": {"manage": True, "gateway": "10.0.0.1"}})
    assert (status, error["error"]) == (500, "failed") and "network.gateway" in error["message"]
    assert error["message_code"] == "unchanged.gateway_outside"
    assert error["message_values"] == ["gateway", "10.0.0.1"]
    assert it.config.read_text() == before
    assert it("GET", "/api/v1/settings")[2]["settings"]["device"]["name"] == ""


def test_an_address_that_is_not_ours(start):
    """Pages that went there could not be reached to put it right: refused on a page; and where a
    file says so, they stay where they were until the address is there."""
    it = start_web(start, {"web.listen": None}, "[web]\nlisten = 127.0.0.1\n")
    before = it.config.read_text()
    for listen in ("192.0.2.1", "2001:db8::1"):  # for documentation: RFC 5737, RFC 3849
        status, _, error = it("PATCH", "/api/v1/settings", {"web": {"listen": listen}})
        assert status == 422 and error["fields"][0]["key"] == "web.listen"
        assert "127.0.0.1" in error["fields"][0]["allowed"] and it.config.read_text() == before
        assert it("GET", "/api/v1/settings")[2]["settings"]["web"]["listen"] == "127.0.0.1"

    def say(listen):
        it.config.write_text(before.replace("listen = 127.0.0.1", "listen = " + listen))
        it.running.process.send_signal(signal.SIGHUP)
    say("192.0.2.1")
    it.running.wait_log("web pages cannot be served on 192.0.2.1 port %d: this machine has no such "
                        "address.*; they stay on 127.0.0.1" % it.port)
    time.sleep(2)  # as long as a listener that was given up would still be there
    assert it("GET", "/api/v1/live")[0] == 200
    assert it("GET", "/api/v1/live", tls=True)[0] == 200
    say("127.0.0.2")
    it.running.wait_log(r"web pages on 127.0.0.2 port %d \(HTTPS\)" % it.tls_port)
    socket.create_connection(("127.0.0.2", it.port), gateway.DEADLINE_S).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", it.port), gateway.DEADLINE_S)


def test_the_log_says_where_the_pages_are(start):
    it = start_web(start, {"web.listen": "all", "web.tls_port": 0})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = start({"web.enabled": "yes", "web.port": port, "web.tls_port": 0}, state="other")
        other.wait_log("web pages cannot be served on any address, port %d: Address already in use; "
                       "choose another with web.port" % port)


def test_settings_file_that_cannot_be_written(start):
    it = start_web(start)
    it.config.unlink()
    it.config.mkdir()  # nothing can be put in the place of a folder, not even by root
    status, _, error = it("PATCH", "/api/v1/settings", {"device": {"name": "Stua"}})
    assert (status, error["error"]) == (500, "failed") and str(it.config) in error["message"]
    assert it("GET", "/api/v1/settings")[2]["settings"]["device"]["name"] == ""


def test_backup_and_restore(web):
    assert web("PATCH", "/api/v1/settings", {"device": {"name": "Før"},
                                             "mqtt": {"password": "hemmelig"}})[0] == 200
    backup = web("GET", "/api/v1/backup")[2]
    assert "secrets" not in backup and "hemmelig" not in json.dumps(backup)
    sealed = web("POST", "/api/v1/backup", {"passphrase": "en lang frase"})[2]
    assert "hemmelig" not in json.dumps(sealed)
    assert web("PATCH", "/api/v1/settings", {"device": {"name": "Etter"},
                                             "mqtt": {"password": ""}})[0] == 200
    broken = json.loads(json.dumps(backup))
    broken["settings"]["mqtt"]["port"] = 0
    assert web("PUT", "/api/v1/backup", {"backup": broken})[0] == 422
    assert web("GET", "/api/v1/settings")[2]["settings"]["device"]["name"] == "Etter"
    status, _, error = web("PUT", "/api/v1/backup", {"backup": sealed, "passphrase": "en gal frase"})
    assert status == 422 and error["fields"][0]["key"] == "passphrase"
    status, _, changed = web("PUT", "/api/v1/backup",
                             {"backup": sealed, "passphrase": "en lang frase"})
    assert status == 200
    assert sorted(changed["changed"]) == ["device.name", "mqtt.password"]
    assert "mqtt.password" in changed["settings"]["secrets_set"]


def test_a_restore_is_no_way_to_another_password(start):
    """Whoever sits at a page that somebody left open cannot make its password their own."""
    it = start_web(start)
    cookie = it.log_in()
    backup = it("GET", "/api/v1/backup")[2]
    sealed = it("POST", "/api/v1/backup", {"passphrase": "en lang frase"})[2]
    new = (OWN[0], "another horse")
    assert it("POST", "/api/v1/password", {"current": OWN[1], "password": new[1]})[0] == 200
    cookie = it.log_in(new)
    backup["settings"]["web"].update(password_hash=SLOW_HASH, password_hash_file="/etc/shadow")
    for body in ({"backup": backup}, {"backup": sealed, "passphrase": "en lang frase"}):
        status, _, changed = it("PUT", "/api/v1/backup", body, cookie=cookie)
        assert status == 200 and changed["changed"] == []
        assert "web.password_hash" in changed["settings"]["secrets_set"]
        assert it("GET", "/api/v1/live", login=new)[0] == 200
    assert it("GET", "/api/v1/live", login=OWN)[0] == 401


def test_mqtt_trial_says_why_not(web):
    port = gateway.free_port()
    status, _, result = web("POST", "/api/v1/mqtt/test",
                            {"url": "mqtt://127.0.0.1", "port": port})
    assert status == 200 and not result["ok"] and "refused" in result["message"].lower()
    assert result["message_code"] == "system.refused"
    assert web("POST", "/api/v1/mqtt/test", {"url": "no url"})[0] == 422
    assert web("POST", "/api/v1/mqtt/test", {})[0] == 422


def test_texts_from_outside_stay_texts(web):
    """What a page shows comes as JSON strings, never as markup of ours."""
    evil = "<script>alert(1)</script>\"'&"
    assert web("PATCH", "/api/v1/settings", {"device": {"name": evil}})[0] == 200
    status, headers, _ = web("GET", "/api/v1/status")
    assert headers["Content-Type"] == "application/json"
    assert web("GET", "/api/v1/status")[2]["name"] == evil
    assert web("PATCH", "/api/v1/settings", {"device": {"name": ""}})[0] == 200


# --- restart and reset ---

def test_restart(start):
    it = start_web(start)
    starts = it("GET", "/api/v1/status")[2]["starts"]
    assert it("POST", "/api/v1/restart")[0] == 202

    def look():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return it("GET", "/api/v1/status")[2]["starts"] == starts + 1
    gateway.wait_for("the next start", look)
    kinds = [e["kind"] for e in it("GET", "/api/v1/log")[2]["entries"]]
    assert kinds.count("start") == 2 and "restart" in kinds


def test_factory_reset_wipes(start):
    it = start_web(start)
    assert it("PATCH", "/api/v1/settings", {"mqtt": {"password": "hemmelig"},
                                            "device": {"scale": 2000}})[0] == 200
    print_ = it("GET", "/api/v1/status")[2]["web"]["certificate_sha256"]
    assert it("POST", "/api/v1/factory-reset", {"confirm": "yes"})[0] == 422
    assert it("POST", "/api/v1/factory-reset", {"confirm": "factory-reset"})[0] == 202

    def look():
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _, value = it("GET", "/api/v1/status", login=FACTORY)
            return value if status == 200 else None
    status = gateway.wait_for("a gateway as from the factory", look)
    assert status["factory_password"]
    assert status["web"]["certificate_sha256"] != print_
    assert "hemmelig" not in it.config.read_text()
    assert it("GET", "/api/v1/settings", login=FACTORY)[2]["settings"]["device"]["scale"] == 1000


def test_factory_reset_that_cannot_be(start):
    """What the gateway refuses is told, and nothing has changed."""
    it = start_web(start)
    assert it("PATCH", "/api/v1/settings", {"device": {"name": "Stua"}})[0] == 200
    starts = it("GET", "/api/v1/status")[2]["starts"]
    mark = it.running.state_dir / "reset"
    mark.mkdir()  # nothing can be put in the place of a folder, not even by root
    for _ in range(2):
        status, _, error = it("POST", "/api/v1/factory-reset", {"confirm": "factory-reset"})
        assert (status, error["error"]) == (500, "failed") and str(mark) in error["message"]
    now = it("GET", "/api/v1/status")[2]
    assert now["name"] == "Stua" and now["starts"] == starts
    texts = [e["text"] for e in it("GET", "/api/v1/log")[2]["entries"]]
    assert [t for t in texts if t.startswith("factory reset refused: ")]
    mark.rmdir()
    assert it("POST", "/api/v1/factory-reset", {"confirm": "factory-reset"})[0] == 202
    it.running.wait_log("(?s)factory reset.*han2x .* starts")


def test_modbus_writes_are_recorded(web):
    # write single register 40050, low half of the scale: 1001 (and back)
    for value in ("03E9", "03E8"):
        with socket.create_connection(("127.0.0.1", web.running.port), gateway.DEADLINE_S) as s:
            s.sendall(bytes.fromhex("0001 0000 0006 01 06 0031 " + value))
            assert s.recv(64)[7] == 6

    def look():
        entries = web("GET", "/api/v1/log")[2]["entries"]
        return [e for e in entries if e["kind"] == "modbus_write"]
    entry = gateway.wait_for("the write in the log", look)[-1]
    assert "1.001" in entry["text"] and entry["from"].startswith("127.0.0.1")
    assert entry["text_code"] == "log.scale_tcp" and entry["text_values"] == ["1.001"]


def test_every_word_in_the_log_has_a_code(web):
    assert web("GET", "/api/v1/live", login=("bits", "guess"))[0] == 401
    web("DELETE", "/api/v1/session", cookie=web.log_in())
    entries = web("GET", "/api/v1/log?count=1000")[2]["entries"]
    assert len({e["kind"] for e in entries}) >= 6
    assert {e["text"] for e in entries if e["text_code"] is None} == set()


def test_modbus_writes_without_pages_are_recorded_too(start):
    running = start()
    for value in ("03E9", "03E8"):
        with socket.create_connection(("127.0.0.1", running.port), gateway.DEADLINE_S) as s:
            s.sendall(bytes.fromhex("0001 0000 0006 01 06 0031 " + value))
            assert s.recv(64)[7] == 6
    running.stop()
    start.forget(running)
    entries = start_web(start)("GET", "/api/v1/log")[2]["entries"][::-1]  # oldest first
    assert [e["kind"] for e in entries[:4]] == ["start", "modbus_write", "modbus_write", "start"]
    assert [e["text"][-5:] for e in entries[1:3]] == ["1.001", "1.000"]
    assert entries[1]["from"].startswith("127.0.0.1")


def test_masters_are_shown(web):
    with socket.create_connection(("127.0.0.1", web.running.port), gateway.DEADLINE_S) as s:
        name = "127.0.0.1 %d" % s.getsockname()[1]

        def look():
            peers = web("GET", "/api/v1/status")[2]["modbus_tcp"]["peers"]
            return name in [p["address"] for p in peers]
        gateway.wait_for("the master in the list", look)


def test_answers_on_the_serial_line_are_counted(start):
    line = start.line()
    it = start_web(start, {"modbus_rtu.enabled": "yes", "modbus_rtu.device": line.ours})
    end = os.open(line.theirs, os.O_RDWR | os.O_NOCTTY)
    try:
        for _ in range(3):
            os.write(end, bytes.fromhex("010300000001840a"))
            assert select.select([end], [], [], gateway.DEADLINE_S)[0]
            got = b""
            while len(got) < 7:
                got += os.read(end, 7 - len(got))
    finally:
        os.close(end)
    gateway.wait_for("three answers", lambda:
                     it("GET", "/api/v1/status")[2]["modbus_rtu"]["answered"] == 3)


def test_network_confirm_with_nothing_pending(web):
    status, _, network = web("POST", "/api/v1/network/confirm")
    assert status == 200 and not network["pending"] and not network["manage"]


def test_memory_at_rest(start):
    """16 MB with pages and TLS, idle."""
    if "asan" in str(start.program) or "san" in os.environ.get("HAN2X", ""):
        pytest.skip("sanitizers have their own memory")
    it = start_web(start)
    it("GET", "/api/v1/live", tls=True)
    text = pathlib.Path("/proc/%d/status" % it.running.process.pid).read_text()
    rss_kb = int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
    assert rss_kb <= 16 * 1024, "%d kB" % rss_kb


def test_every_path_was_exercised(web):
    """Every operation of openapi.json has a test above (run with the whole file)."""
    text = pathlib.Path(__file__).read_text()
    for path, operations in API["paths"].items():
        for method in operations:
            if path in READ and method == "get":
                continue
            assert '"%s"' % path in text or path == "/api/v1/events", path
