"""The recipes of docs/recipes, run where the other program can be had here, and read where it cannot.

Run: mbpoll, Node-RED, Prometheus, and the Home Assistant announcement's topics (tests/e2e). Read: for
Home Assistant, evcc, openHAB and Telegraf every key is one that their documentation has, and what
each entry reads (address, type, factor) is read here over Modbus and must be what the meter sent; the
Grafana dashboard is held against Grafana's own types, its queries against Prometheus.
The gateway reads one recorded telegram, whose values stand in its vector, worked out by hand.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import ssl
import struct
import subprocess
import sys
import tomllib
import urllib.parse
import urllib.request

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import gateway  # noqa: E402
import masters  # noqa: E402
import mqtt_tools  # noqa: E402
import vectors  # noqa: E402

RECIPES = ROOT / "docs/recipes"
NPM = ROOT / "build/recipes"  # where ./dev recipes has installed what package.json names
TELEGRAM = vectors.telegrams()["aidon-l3-18el-6534-20221012T130000"]
SENT = TELEGRAM["expected"]
ADDRESS, BROKER = "192.168.1.232", "192.168.1.10"  # of all recipes


def recipe(name):
    return (RECIPES / name).read_text("utf-8")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    it = mqtt_tools.Broker(tmp_path_factory.mktemp("broker"))
    yield it
    it.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory, broker):
    """A gateway that has read the telegram, with web pages and MQTT."""
    program = pathlib.Path(os.environ.get("HAN2X", ROOT / "build/debug/han2x"))
    with gateway.Starter(str(program), tmp_path_factory.mktemp("box")) as start:
        meter = start.meter()
        web, tls = gateway.free_port(), gateway.free_port()
        it = start({"meter.source": "serial:" + meter.path, "web.enabled": "yes", "web.port": web,
                    "web.tls_port": tls, "mqtt.enabled": "yes", "mqtt.url": broker.url,
                    "mqtt.topic": "HAN2X_70388"})
        it.web, it.tls = web, tls
        meter.write(bytes.fromhex(TELEGRAM["hex"]))
        it.wait_log("good telegrams from the meter")
        it.wait_log("MQTT: connected")
        yield it


@pytest.fixture(scope="module")
def registers(box):
    master = masters.Pymodbus.tcp(box.port)
    yield master.read(0, 51)
    master.close()


# What a reader of `address` must get: names of the vector, in the unit that the recipes use.
MEANT = {
    0: SENT["active_power_import_w"],
    2: SENT["active_power_export_w"],
    8: float(SENT["current_l1_a"]),
    10: float(SENT["current_l2_a"]),
    12: float(SENT["current_l3_a"]),
    14: float(SENT["voltage_l1_v"]),
    16: float(SENT["voltage_l2_v"]),
    18: float(SENT["voltage_l3_v"]),
    28: SENT["active_energy_import_wh"] // 1000,  # kWh; the estimate has just begun at the total
}


def read_as(registers, address, kind, factor=1):
    raw = struct.pack(">HH", *registers[address:address + 2])
    return struct.unpack({"uint32": ">I", "int32": ">i"}[kind.lower()], raw)[0] * factor


def agrees(registers, address, kind, factor=1):
    assert read_as(registers, address, kind, factor) == pytest.approx(MEANT[address], abs=1e-9), address
    assert MEANT[address] or address == 2, "a 0 would prove little"


# ---- mbpoll ----


def test_mbpoll(box):
    """Every mbpoll line of the page that reads, against this gateway."""
    page = (ROOT / "docs/en/recipes.md").read_text("utf-8")
    lines = re.findall(r"^mbpoll (.*) 192\.168\.1\.232 *(?:#.*)?$", page, re.M)
    assert len(lines) >= 3
    shown = ""
    for arguments in lines:
        done = subprocess.run(["mbpoll", "-p", str(box.port), *arguments.split(), "127.0.0.1"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
        shown += done.stdout
    for wanted in (r"\[1\]: +\t3670$", r"\[15\]: +\t2321$", r"\[1002\]: +\t5$"):
        assert re.search(wanted, shown, re.M), shown


# ---- Node-RED ----


def test_node_red(box, broker, tmp_path):
    program = NPM / "node_modules/.bin/node-red"
    assert program.exists(), "./dev recipes installs it"
    text = recipe("nodered.json")
    flow = json.loads(text)
    here = {"tcpHost": (ADDRESS, "127.0.0.1"), "tcpPort": ("502", str(box.port)),
            "broker": (BROKER, "127.0.0.1"), "port": ("1883", str(broker.port))}
    changed = set()
    for node in flow:
        for key, (there, value) in here.items():
            if node.get(key) == there:
                node[key] = value
                changed.add(key)
        if node["type"] == "debug":
            node["console"] = True  # beside the page: here nobody has a browser
    assert changed == set(here)
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    (tmp_path / "settings.js").write_text(
        "module.exports = {flowFile: 'flow.json', uiHost: '127.0.0.1', uiPort: %d, disableEditor: true,"
        " telemetry: {enabled: false}, nodesDir: []}" % gateway.free_port())
    (tmp_path / "package.json").write_text('{"name": "userdir"}')
    (tmp_path / "node_modules").symlink_to(NPM / "node_modules")
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        running = subprocess.Popen([str(program), "-u", str(tmp_path), "-s", str(tmp_path / "settings.js")],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        def printed(name):
            log = (tmp_path / "log").read_text("utf-8")
            assert running.poll() is None and "missing types" not in log, log
            found = re.search(r"\[debug:%s\]\s*(\{.*?\n\}|\{.*?\}$)" % name, log, re.S | re.M)
            return found and found.group(1)
        values = gateway.wait_for("values over Modbus in Node-RED", lambda: printed("over Modbus"), 60)
        assert number(values, "power_w") == SENT["active_power_import_w"]
        assert number(values, "energy_kwh") == SENT["active_energy_import_wh"] // 1000
        for phase in "123":
            assert str(float(SENT["current_l%s_a" % phase])) in values
            assert str(float(SENT["voltage_l%s_v" % phase])) in values
        values = gateway.wait_for("a value over MQTT in Node-RED", lambda: printed("over MQTT"), 60)
        assert number(values, "value") == SENT["active_power_import_w"]
        assert "HAN2X_70388/actPowPos" in values
    finally:
        running.terminate()
        running.wait(20)


def number(text, key):
    return float(re.search(r"\b%s: (-?[\d.]+)" % key, text).group(1))


# ---- Prometheus, Grafana ----


def fetch(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def prometheus(box, tmp_path_factory):
    """Prometheus with the recipe's settings, over HTTPS, the gateway's own certificate trusted."""
    folder = tmp_path_factory.mktemp("prometheus")
    for name in ("prometheus-rules.yml", "prometheus-test.yml"):
        shutil.copy(RECIPES / name, folder)
    (folder / "han2x.crt").write_text(fetch("http://127.0.0.1:%d/han2x.crt" % box.web))
    (folder / "han2x-password").write_text("vari")
    text = recipe("prometheus.yml")
    assert "han2x.local:443" in text and "15s" in text
    text = text.replace("han2x.local:443", "127.0.0.1:%d" % box.tls).replace("15s", "1s")
    (folder / "prometheus.yml").write_text(text + "\nglobal: {evaluation_interval: 1s}\n")
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=folder, check=True)
    port = gateway.free_port()
    with open(folder / "log", "w", encoding="utf-8") as log:
        running = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             "--web.listen-address=127.0.0.1:%d" % port], cwd=folder, stdout=log, stderr=log)

    def ask(query):
        try:
            answer = fetch("http://127.0.0.1:%d/api/v1/query?%s"
                           % (port, urllib.parse.urlencode({"query": query})))
        except OSError:
            assert running.poll() is None, (folder / "log").read_text("utf-8")
            return None
        return {json.dumps({k: v for k, v in r["metric"].items() if k in ("direction", "phase")}):
                float(r["value"][1]) for r in json.loads(answer)["data"]["result"]}
    yield ask
    running.terminate()
    running.wait(20)


def test_prometheus_scrapes(prometheus):
    gateway.wait_for("a scrape", lambda: (prometheus("up") or {}).get("{}") == 1, 30)
    power = gateway.wait_for("power", lambda: prometheus("han2x_active_power_watts"), 30)
    assert power == {'{"direction": "import"}': 3670.0, '{"direction": "export"}': 0.0}
    assert prometheus("han2x_voltage_volts") == {'{"phase": "L1"}': 232.1, '{"phase": "L2"}': 231.7,
                                                 '{"phase": "L3"}': 233.4}
    energy = prometheus("han2x_active_energy_watt_hours_total")
    assert energy['{"direction": "import"}'] == SENT["active_energy_import_wh"]
    hour = gateway.wait_for("the rule", lambda: prometheus("han2x:active_power_watts:hour"), 30)
    assert hour == {'{"direction": "import"}': 3670.0}


def test_prometheus_rules():
    subprocess.run(["promtool", "test", "rules", "prometheus-test.yml"], cwd=RECIPES, check=True)


def test_metrics_want_a_login(box):
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch("http://127.0.0.1:%d/metrics" % box.web)
    assert refused.value.code == 401


def test_metrics_are_what_promtool_takes(box):
    """OpenMetrics names a counter's family without _total, which promtool's older format does not
    know, so it is asked about the gauges only."""
    login = base64.b64encode(b"bits:vari").decode()
    text = fetch("http://127.0.0.1:%d/metrics" % box.web, Authorization="Basic " + login)
    gauges = set(re.findall(r"^# TYPE (\S+) gauge$", text, re.M))
    lines = [line for line in text.splitlines()
             if re.split(r"[ {]", line.removeprefix("# HELP ").removeprefix("# TYPE "))[0] in gauges]
    done = subprocess.run(["promtool", "check", "metrics"], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_grafana_dashboard_has_grafanas_types(tmp_path):
    (tmp_path / "node_modules").symlink_to(NPM / "node_modules")
    (tmp_path / "check.ts").write_text(
        "import type { Dashboard } from '@grafana/schema';\n"
        "type Plain<T> = T extends string ? `${T}` : T extends number ? T : T extends object\n"
        "    ? { [K in keyof T]: Plain<T[K]> } : T;\n"
        "export const dashboard: Plain<Dashboard> = %s;\n" % recipe("grafana/han2x.json"))
    done = subprocess.run(
        [str(NPM / "node_modules/.bin/tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module",
         "nodenext", "--moduleResolution", "nodenext", "check.ts"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_grafana_queries_have_answers(prometheus):
    gateway.wait_for("a scrape", lambda: (prometheus("up") or {}).get("{}") == 1, 30)
    dashboard = json.loads(recipe("grafana/han2x.json"))
    source = yaml.safe_load(recipe("grafana/datasource.yaml"))["datasources"][0]
    queries = [(p, t["expr"]) for p in dashboard["panels"] for t in p["targets"]]
    assert len(queries) >= 5
    for panel, query in queries:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        gateway.wait_for("an answer to " + query, lambda q=query: prometheus(q), 30)
    assert {"apiVersion", "providers"} == set(yaml.safe_load(recipe("grafana/dashboards.yaml")))


# ---- those that cannot be installed here: keys as documented, readings as sent ----


def only(where, given, allowed, needed=()):
    assert set(given) <= set(allowed) and set(needed) <= set(given), (where, sorted(given))


def test_home_assistant(registers):
    """Keys of the Modbus integration's page: common, network, sensor."""
    hub, = yaml.safe_load(recipe("homeassistant.yaml"))["modbus"]
    only("hub", hub, {"name", "type", "host", "port", "sensors", "timeout", "delay"},
         {"type", "host", "port"})
    assert hub["type"] == "tcp" and hub["host"] == ADDRESS
    for s in hub["sensors"]:
        only(s["name"], s, {"name", "unique_id", "address", "input_type", "data_type", "scale", "offset",
                            "precision", "swap", "scan_interval", "slave", "unit_of_measurement",
                            "device_class", "state_class"}, {"name", "address"})
        assert s["input_type"] == "holding"
        agrees(registers, s["address"], s["data_type"], s.get("scale", 1))
    assert len({s["unique_id"] for s in hub["sensors"]}) == len(hub["sensors"]) == 4


def evcc_sources(node):
    if isinstance(node, dict) and "source" in node:
        yield node
        node = node.get("add", [])
    for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()):
        yield from evcc_sources(child)


def test_evcc(registers):
    """Keys of the pages on user-defined devices and plugins."""
    config = yaml.safe_load(recipe("evcc.yaml"))
    meter, = config["meters"]
    only("meter", meter, {"name", "type", "power", "energy", "currents"}, {"name", "type", "power"})
    assert config["site"]["meters"]["grid"] == meter["name"] and len(meter["currents"]) == 3
    read = [s for s in evcc_sources(meter) if s["source"] != "calc"]
    for s in read:
        only(s, s, {"source", "uri", "id", "register", "scale"}, {"uri", "register"})
        only(s, s["register"], {"address", "type", "decode"}, {"address", "type", "decode"})
        assert (s["source"], s["uri"], s["register"]["type"]) == ("modbus", ADDRESS + ":502", "holding")
        agrees(registers, s["register"]["address"], s["register"]["decode"], abs(s.get("scale", 1)))
    power = meter["power"]["add"]
    assert [(s["register"]["address"], s.get("scale", 1)) for s in power] == [(0, 1), (2, -1)]
    assert sum(read_as(registers, s["register"]["address"], s["register"]["decode"], s.get("scale", 1))
               for s in power) == SENT["active_power_import_w"] - SENT["active_power_export_w"]


def test_evcc_over_mqtt(box, broker):
    config = yaml.safe_load(recipe("evcc-mqtt.yaml"))
    assert config["mqtt"] == {"broker": BROKER + ":1883"}
    heard = mqtt_tools.Subscriber(broker.port)
    try:
        wanted = {"HAN2X_70388/actPowPos": SENT["active_power_import_w"],
                  "HAN2X_70388/actPowNeg": SENT["active_power_export_w"],
                  "HAN2X_70388/actEnergyPosEst": SENT["active_energy_import_wh"] / 1000}
        sources = [s for s in evcc_sources(config["meters"]) if s["source"] == "mqtt"]
        assert {s["topic"] for s in sources} == set(wanted)
        for s in sources:
            only(s, s, {"source", "topic", "jq", "timeout", "scale"}, {"topic"})
            assert s["jq"] == ".value"
            payload = gateway.wait_for(s["topic"], lambda t=s["topic"]: next(
                (m[1] for m in heard.messages if m[0] == t), None))
            assert json.loads(payload)["value"] == pytest.approx(wanted[s["topic"]], abs=1)
    finally:
        heard.close()


def settings_of(text):
    return {k: v.strip('"') for k, v in re.findall(r'([\w-]+)=("[^"]*"|[\w.]+)', text)}


def test_openhab(registers):
    """Parameters of the Modbus binding's page: tcp, poller, data, and its gainOffset profile."""
    things, items = recipe("openhab/han2x.things"), recipe("openhab/han2x.items")
    tcp, = re.findall(r"Bridge modbus:tcp:han2x \[ (.*) \]", things)
    poller, = re.findall(r"Bridge poller values \[ (.*) \]", things)
    assert settings_of(tcp) == {"host": ADDRESS, "port": "502", "id": "1"}
    assert settings_of(poller) == {"start": "0", "length": "51", "refresh": "5000", "type": "holding"}
    data = {n: settings_of(s) for n, s in re.findall(r"Thing data (\w+) +\[ (.*) \]", things)}
    linked = re.findall(r'^Number:\w+ .*channel="modbus:data:han2x:values:(\w+):number" \[ (.*) \] \}$',
                        items, re.M)
    assert {name for name, _ in linked} == set(data) and len(linked) == len(items.splitlines()) == 4
    for name, profile in linked:
        only(name, data[name], {"readStart", "readValueType"}, {"readStart", "readValueType"})
        profile = settings_of(profile)
        only(name, profile, {"profile", "gain", "pre-gain-offset"}, {"profile", "gain"})
        gain, _ = profile["gain"].split()
        agrees(registers, int(data[name]["readStart"]), data[name]["readValueType"], float(gain))


def test_telegraf(registers):
    """Keys of the Modbus plugin's page, style "request"."""
    plugin, = tomllib.loads(recipe("telegraf.conf"))["inputs"]["modbus"]
    only("plugin", plugin, {"name", "controller", "timeout", "configuration_type", "request"})
    assert plugin["controller"] == "tcp://%s:502" % ADDRESS
    assert plugin["configuration_type"] == "request"
    request, = plugin["request"]
    only("request", request, {"slave_id", "byte_order", "register", "measurement", "optimization",
                              "fields"}, {"slave_id", "register", "fields"})
    assert (request["byte_order"], request["register"]) == ("ABCD", "holding")
    for f in request["fields"]:
        only(f, f, {"address", "name", "type", "scale", "output"}, {"address", "name", "type"})
        agrees(registers, f["address"], f["type"], f.get("scale", 1))
    assert {f["address"] for f in request["fields"]} == set(MEANT)
