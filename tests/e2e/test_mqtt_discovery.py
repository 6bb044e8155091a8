"""Home Assistant finds the device by itself: a real broker, judged by ha_rules."""
import copy
import json
import shutil
import signal
import subprocess

import pytest

import gateway
import ha_rules

BROKER = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
TOPICS = """obisListVersion meterId meterType actPowPos actPowNeg reactPowPos reactPowNeg currL1
    currL2 currL3 voltL1 voltL2 voltL3 actEnergyPos actEnergyNeg reactEnergyPos reactEnergyNeg
    digitalinput""".split()
ESTIMATES = ["actEnergyPosEst", "actEnergyNegEst", "reactEnergyPosEst", "reactEnergyNegEst"]
UNITS = {"W": "W", "VAR": "var", "A": "A", "V": "V", "kWh": "kWh", "kVARh": "kvarh", "": None}


class Broker:
    """A mosquitto of our own; ended like everything the starter owns."""

    def __init__(self, folder):
        self.port = gateway.free_port()
        config = folder / "mosquitto.conf"
        config.write_text("listener %d 127.0.0.1\nallow_anonymous true\n" % self.port)
        self._process = subprocess.Popen([BROKER, "-c", str(config)], stderr=subprocess.DEVNULL)

    def close(self):
        self._process.terminate()
        self._process.wait(gateway.DEADLINE_S)

    def get(self, topic, count=1, deadline_s=None):
        """The next messages (retained ones first): a list of (topic, payload)."""
        done = subprocess.run(
            ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-C",
             str(count), "-W", str(int(deadline_s or gateway.DEADLINE_S)), "-F", "%t %p"],
            capture_output=True, text=True, check=False)
        return [tuple(line.split(" ", 1)) for line in done.stdout.splitlines()]

    def put(self, topic, payload):
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic,
                        "-m", payload], check=True)


def discovery(broker):
    """The retained message, decoded, once it is there."""
    def look():
        got = broker.get("homeassistant/device/+/config", deadline_s=1)
        return got[0] if got and got[0][1] else None
    topic, payload = gateway.wait_for("a discovery message", look)
    return topic, json.loads(payload)


@pytest.fixture
def broker(start, tmp_path):
    if BROKER is None:
        pytest.skip("mosquitto is not installed")
    return start.own(Broker(tmp_path))


def settings(broker, **more):
    return {"meter.source": "sim:aidon", "mqtt.enabled": "yes",
            "mqtt.url": "mqtt://127.0.0.1:%d" % broker.port, "mqtt.topic": "home/HAN2X_1",
            **{"mqtt." + key: value for key, value in more.items()}}


def test_home_assistant_accepts_it(start, broker):
    start(settings(broker))
    topic, message = discovery(broker)
    assert ha_rules.complaints(topic, message) == []
    components = message["components"]
    assert list(components) == TOPICS + ESTIMATES
    assert message["availability"] == [{"topic": "home/HAN2X_1/status"}]
    for name, c in components.items():
        assert c["state_topic"] == "home/HAN2X_1/" + name
        assert c["expire_after"] > 600
    assert all(components[e]["state_class"] == "total_increasing" for e in ESTIMATES)
    assert broker.get("home/HAN2X_1/status") == [("home/HAN2X_1/status", "online")]


def test_values_come_where_it_says(start, broker):
    start(settings(broker))
    _, message = discovery(broker)
    for name in ("meterId", "actPowPos", "voltL1", "currL1"):
        c = message["components"][name]
        payload = json.loads(broker.get(c["state_topic"])[0][1])
        assert set(payload) == {"value", "unit", "dateTime", "dateTimeUtc", "topic"}
        assert payload["topic"] == c["state_topic"]
        assert UNITS[payload["unit"]] == c.get("unit_of_measurement")
        assert isinstance(payload["value"], str if name == "meterId" else (int, float))


def test_one_object_for_all(start, broker):
    start(settings(broker, format="json", estimated="no"))
    topic, message = discovery(broker)
    assert ha_rules.complaints(topic, message) == []
    kept = {name: c for name, c in message["components"].items() if c != {"p": "sensor"}}
    assert list(kept) == TOPICS  # the estimates are removed, should they have been there
    assert len(message["components"]) == len(TOPICS) + 4
    assert {c["state_topic"] for c in kept.values()} == {"home/HAN2X_1/state"}

    def look():  # list 1 brings the power alone, list 2 the rest
        state = json.loads(broker.get("home/HAN2X_1/state")[0][1])
        return state if "voltL1" in state else None
    state = gateway.wait_for("a state with voltages", look)
    assert state["actPowPos"] >= 0 and 200 < state["voltL1"] < 260


def test_again_when_home_assistant_starts(start, broker):
    start(settings(broker))
    topic, _ = discovery(broker)
    with subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic,
                           "-R", "-C", "1", "-W", str(int(gateway.DEADLINE_S))],
                          stdout=subprocess.PIPE, text=True) as live:  # -R: no retained ones
        def again():
            broker.put("homeassistant/status", "online")
            try:
                live.wait(1)
            except subprocess.TimeoutExpired:
                return False
            return True
        gateway.wait_for("discovery after Home Assistant's birth message", again)
        assert json.loads(live.stdout.read())["origin"]["name"] == "han2x"


OFF = {  # what is changed in the settings: the status then
    "homeassistant = no": "online", "enabled = no": "offline", "format = sparkplug": "online",
    "homeassistant_prefix = ha": "online", "topic = home/HAN2X_2": "offline"}


def write_settings(file, change):
    """Settings of a working client, with one of them changed."""
    lines = ["enabled = yes", "homeassistant = yes", "format = han2x", "topic = home/HAN2X_1",
             "homeassistant_prefix = homeassistant"]
    key = change.split()[0]
    file.write_text("[mqtt]\n" + "\n".join(
        change if line.split()[0] == key else line for line in lines) + "\n")


@pytest.mark.parametrize("change", OFF)
def test_gone_when_switched_off(start, broker, tmp_path, change):
    file = tmp_path / "han2x.conf"
    write_settings(file, "enabled = yes")
    in_file = ("mqtt.enabled", "mqtt.topic")
    running = start({**settings(broker), **dict.fromkeys(in_file)},
                    arguments=("-c", str(file)))
    topic, _ = discovery(broker)
    write_settings(file, change)
    running.process.send_signal(signal.SIGHUP)
    if change.startswith("topic"):  # the same device: its message is replaced

        def look():
            message = broker.get(topic, deadline_s=1)
            return message and "home/HAN2X_2/status" in message[0][1]
        gateway.wait_for("the new topics in the discovery message", look)
    else:
        gateway.wait_for("the discovery message to go",
                         lambda: not broker.get(topic, deadline_s=1))
    if "prefix" in change:
        assert broker.get(topic.replace("homeassistant", "ha"))
    gateway.wait_for("the status", lambda: broker.get("home/HAN2X_1/status") ==
                     [("home/HAN2X_1/status", OFF[change])])


@pytest.mark.parametrize("change", ["homeassistant = no", "format = sparkplug"])
def test_gone_when_switched_off_between_two_runs(start, broker, tmp_path, change):
    running = start(settings(broker))
    topic, _ = discovery(broker)
    running.stop()
    start.forget(running)
    key, value = change.split(" = ")
    start(settings(broker, **{key: value}))
    gateway.wait_for("the discovery message to go",
                     lambda: not broker.get(topic, deadline_s=1))


def test_again_when_the_meter_becomes_a_simulated_one(start, broker, tmp_path):
    file = tmp_path / "han2x.conf"
    file.write_text("[meter]\nsource = file:/dev/null\n")
    running = start({**settings(broker), "meter.source": None},
                    arguments=("-c", str(file)))
    _, message = discovery(broker)
    assert message["device"]["model"] == "HAN2X"
    file.write_text("[meter]\nsource = sim:kaifa\n")
    running.process.send_signal(signal.SIGHUP)
    gateway.wait_for("another model", lambda: discovery(broker)[1]["device"]["model"] ==
                     "HAN2X (simulated meter)")


GOOD = {
    "device": {"identifiers": ["a"]}, "origin": {"name": "b"},
    "components": {"x": {"p": "sensor", "unique_id": "1", "state_topic": "a/b",
                         "device_class": "energy", "unit_of_measurement": "kWh",
                         "state_class": "total_increasing"},
                   "y": {"p": "binary_sensor", "unique_id": "2", "state_topic": "a/c"}}}
BAD = [  # what is changed, by path: what is said of it
    (("components", "x", "unit_of_measurement", "VAR"), "unit VAR does not go with energy"),
    (("components", "x", "state_class", "measurement"), "state class measurement does not go"),
    (("components", "x", "device_class", "blindpower"), "device class blindpower is not known"),
    (("components", "x", "state_topic", "a/#"), "state_topic"),
    (("components", "x", "expire_after", 0), "expire_after"),
    (("components", "x", "value_template", "value"), "value_template"),
    (("components", "x", "entity_category", "config"), "entity_category"),
    (("components", "x", "units", "kWh"), "units is not known"),
    (("components", "y", "unit_of_measurement", "V"), "unit_of_measurement is not known"),
    (("components", "y", "unique_id", "1"), "comes twice"),
    (("components", "y", "unique_id", None), "no unique_id"),
    (("components", "y", "p", "meter"), "platform meter is not known"),
    (("device", "identifiers", []), "nothing identifies it"),
    (("origin", "name", ""), "no name"),
    (("components", {}), "no components"),
    (("sensors", {}), "sensors is not known"),
]


def test_the_rules_let_the_good_pass():
    assert ha_rules.complaints("homeassistant/device/a/config", GOOD) == []


@pytest.mark.parametrize("change,words", BAD, ids=[words for _, words in BAD])
def test_the_rules_find(change, words):
    message = copy.deepcopy(GOOD)
    place = message
    for key in change[:-2]:
        place = place[key]
    place[change[-2]] = change[-1]
    said = ha_rules.complaints("homeassistant/device/a/config", message)
    assert len(said) == 1 and words in said[0]


def test_the_rules_want_the_device_form():
    assert ha_rules.complaints("homeassistant/sensor/a/config", GOOD) != []
