#!/usr/bin/python3
"""N gateways against a broker that dies: what they cost, and whether every hourly reading arrives.

fleet.py [--gateways 10,100,1000] [--broker mosquitto|rabbitmq|both] [--secs 20] [--write]
Prints markdown tables; --write puts them into docs/benchmarks.md. Exit code 1: an hour was lost
or a gateway did not come back in time.
"""
import argparse
import collections
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import paho.mqtt.client as paho

import fleet_brokers
import fleet_gateways

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACK_S = 30          # all gateways are back after a node's death
DEATHS = {"kill": "is killed (`kill -9`)", "freeze": "falls silent with its connections open"}
HEAD = "## MQTT fleet"
LOST = r"MQTT: (?:lost|cannot connect to) \S+: (.*)"  # why, in a gateway's log


class Subscriber:
    """A subscription that moves to the next node when its own dies."""

    def __init__(self, hosts, port, client_id, topic, qos, lasting):
        self._hosts, self._port = itertools.cycle(hosts), port
        self._ready, self._stop = threading.Event(), False
        self._client = paho.Client(client_id=client_id, clean_session=not lasting)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _client, _data, message: self.take(message)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(30):
            raise fleet_brokers.Unavailable("the broker took no subscription in 30 s")

    def take(self, message):
        raise NotImplementedError

    def _run(self):
        while not self._stop:
            with contextlib.suppress(OSError):
                self._client.connect(next(self._hosts), self._port, keepalive=5)
                while self._client.loop(1.0) == paho.MQTT_ERR_SUCCESS:
                    pass  # loop_forever would stay with a node that is dead
            time.sleep(0.2)

    def close(self):
        self._stop = True
        self._client.disconnect()
        self._thread.join(10)


class Hours(Subscriber):
    """Every gateway's hours, at a lasting session that is with the node that dies."""

    def __init__(self, broker, count):
        self.got = [collections.OrderedDict() for _ in range(count)]  # hourStartUtc → importKwh
        self.repeats = self.backwards = 0
        super().__init__(broker.hosts, broker.port, "fleet-hours", "fleet/+/hour", 1, True)

    def take(self, message):
        reading, seen = json.loads(message.payload), self.got[int(message.topic.split("/")[1])]
        start = reading["hourStartUtc"]
        if start in seen:
            self.repeats += not message.retain  # a new subscription gets the newest one again
        elif seen and start < next(reversed(seen)):
            self.backwards += 1
        seen[start] = reading["importKwh"]


class Presence(Subscriber):
    """When each gateway said `online`, which it does on each connection; at a node that stays."""

    def __init__(self, broker, count):
        self.online = [[] for _ in range(count)]
        super().__init__(broker.hosts[-1:], broker.port, "fleet-presence", "fleet/+/status", 0, False)

    def take(self, message):
        if message.payload == b"online" and not message.retain:
            self.online[int(message.topic.split("/")[1])].append(time.monotonic())

    def last_back(self, numbers, since):
        """When the last of these gateways was there again; None while one is not."""
        back = [next((at for at in self.online[i] if at > since), None) for i in numbers]
        return None if None in back else max(back)


def missing(got, hours):
    """[(gateway, hour)] that did not arrive, or not as sent. @param got  as in Hours."""
    return [(i, hour) for i, seen in enumerate(got) for hour in range(hours)
            if seen.get(fleet_gateways.expected_hour(i, hour)[0])
            != fleet_gateways.expected_hour(i, hour)[1]]


class Counter:
    """How many messages a subscriber of everything gets: mosquitto_sub writes an octet for each."""

    def __init__(self, broker):
        self.count = 0
        self._process = subprocess.Popen(
            ["mosquitto_sub", "-h", broker.hosts[-1], "-p", str(broker.port), "-t", "fleet/#",
             "-q", "0", "-N", "-F", "."], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            self.count += len(chunk)

    def close(self):
        self._process.kill()
        self._process.wait()


def wait_for(condition, seconds):
    """Seconds until it was true, None when it was not."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            return None
        time.sleep(0.05)
    return time.monotonic() - begin


def settings(broker, number):
    """A gateway begins with one node and knows the others: the fleet spreads over the cluster."""
    hosts = broker.hosts[number % len(broker.hosts):] + broker.hosts[:number % len(broker.hosts)]
    return {"modbus_tcp.enabled": "no", "web.enabled": "no", "mqtt.enabled": "yes",
            "mqtt.topic": f"fleet/{number}", "mqtt.port": broker.port,
            "mqtt.url": " ".join(f"mqtt://{host}" for host in hosts)}


def mean(values):
    return sum(values) / len(values) if values else float("nan")


def settle(counter):
    """Everything that is published on connect has passed: the rate stands still."""
    before, begin = float("inf"), time.monotonic()
    while time.monotonic() - begin < 40:
        at = counter.count
        time.sleep(4)  # two of a meter's ticks
        now = counter.count - at
        if 0 < before <= now * 1.1:
            return
        before = now


def steady(fleet, broker, counter, seconds):
    """Messages, processor time and memory while nothing special happens."""
    gateways, brokers = fleet.pids(), broker.pids()
    begin, messages = time.monotonic(), counter.count
    own = sum(fleet_gateways.total(gateways, fleet_gateways.cpu_s))
    theirs = sum(fleet_gateways.total(brokers, fleet_gateways.cpu_s))
    time.sleep(seconds)
    own = sum(fleet_gateways.total(gateways, fleet_gateways.cpu_s)) - own
    theirs = sum(fleet_gateways.total(brokers, fleet_gateways.cpu_s)) - theirs
    took, messages = time.monotonic() - begin, counter.count - messages
    memory = fleet_gateways.total(gateways, fleet_gateways.memory_kb)
    return {
        "messages_s": messages / took, "cpu_permille": 1000 * own / took / len(gateways),
        "broker_cpu": 100 * theirs / took,
        "pss_kb": mean([pss for pss, _ in memory]), "rss_kb": mean([rss for _, rss in memory]),
        "broker_mb": sum(p for p, _ in fleet_gateways.total(brokers, fleet_gateways.memory_kb)) / 1024,
    }


def disaster(fleet, broker, hours, presence, options, hour_s):
    """A node dies while hours are on their way, and comes back. @return seconds and what is lost."""
    count, victim = len(fleet.gateways), 0
    alone = len(broker.hosts) == 1
    hit = [i for i in range(count) if i % len(broker.hosts) == victim]
    for _ in range(2):
        fleet.next_hour(hour_s)
    # A cluster loses nothing that it acknowledged: hours are under way. A lone broker may: they are
    # past it.
    sender = threading.Thread(target=fleet.next_hour, args=(hour_s,))
    if not alone:
        sender.start()
    time.sleep(2 if alone else hour_s / 2)
    killed = time.monotonic()
    getattr(broker, options.death)(victim)
    if alone:
        sender.start()
    sender.join()
    if alone:
        time.sleep(max(0.0, killed + options.down - time.monotonic()))
        broker.start(victim)
        killed = time.monotonic()
    wait_for(lambda: presence.last_back(hit, killed), 2 * BACK_S)
    back = presence.last_back(hit, killed)
    fleet.next_hour(hour_s)
    if not alone:
        broker.kill(victim)  # when it was only frozen
        broker.start(victim)
    fleet.next_hour(hour_s)
    lasted = wait_for(lambda: not missing(hours.got, fleet.hour + 1), 60)
    return {"hit": len(hit), "back_s": None if back is None else back - killed, "hours": count * (fleet.hour + 1),
            "drained_s": lasted, "lost": len(missing(hours.got, fleet.hour + 1)),
            "repeats": hours.repeats, "backwards": hours.backwards}


def logged(fleet, pattern):
    """How often each match of a pattern is in the gateways' logs."""
    return collections.Counter(itertools.chain.from_iterable(
        re.findall(pattern, g.log.read_text(encoding="utf-8", errors="replace"))
        for g in fleet.gateways))


def measure(options, make_broker, count, folder):
    """One row."""
    program = folder / "han2x"
    shutil.copy2(options.program, program)  # a new build must not change a fleet that runs
    with contextlib.ExitStack() as stack:
        broker = make_broker(folder)
        stack.callback(broker.close)
        hours = Hours(broker, count)
        stack.callback(hours.close)
        presence = Presence(broker, count)
        stack.callback(presence.close)
        counter = Counter(broker)
        stack.callback(counter.close)
        fleet = fleet_gateways.Fleet(program, folder, count, lambda i: settings(broker, i))
        stack.callback(fleet.close)
        begin = time.monotonic()
        fleet.start()
        everybody = range(count)
        if wait_for(lambda: presence.last_back(everybody, begin), 90) is None:
            raise fleet_brokers.Unavailable(
                f"only {sum(map(bool, presence.online))} of {count} connected in 90 s")
        row = {"broker": broker.name, "gateways": count,
               "online_s": presence.last_back(everybody, begin) - begin}
        hour_s = max(options.hour, count / 200)
        fleet.next_hour(hour_s)
        if options.settle:
            settle(counter)
        row.update(steady(fleet, broker, counter, options.secs))
        row["lost_calm"] = dict(logged(fleet, LOST))
        row.update(disaster(fleet, broker, hours, presence, options, hour_s))
        row["lost_all"] = dict(logged(fleet, LOST))
        row["late_s"] = fleet.late_s
        row["crowded"] = len(logged(fleet, "came too fast"))
    return row


def seconds(value):
    return "never" if value is None else f"{value:.1f}"


COLUMNS = [
    ("broker", lambda r: r["broker"]),
    ("gateways", lambda r: r["gateways"]),
    ("all online, s", lambda r: seconds(r["online_s"])),
    ("messages/s", lambda r: f"{r['messages_s']:.0f}"),
    ("CPU a gateway, ‰ of a core", lambda r: f"{r['cpu_permille']:.2f}"),
    ("PSS / RSS a gateway, KB", lambda r: f"{r['pss_kb']:.0f} / {r['rss_kb']:.0f}"),
    ("broker CPU, % of a core", lambda r: f"{r['broker_cpu']:.0f}"),
    ("broker PSS, MB", lambda r: f"{r['broker_mb']:.0f}"),
    ("gateways hit", lambda r: r["hit"]),
    ("all back, s", lambda r: seconds(r["back_s"])),
    ("hours sent", lambda r: r["hours"]),
    ("lost", lambda r: r["lost"]),
    ("twice", lambda r: r["repeats"]),
]


def table(rows):
    lines = ["| " + " | ".join(name for name, _ in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return "\n".join(lines + ["| " + " | ".join(str(show(r)) for _, show in COLUMNS) + " |"
                              for r in rows]) + "\n"


def is_good(row):
    return (row["lost"] == 0 and row["backwards"] == 0 and row["crowded"] == 0
            and row["back_s"] is not None and row["back_s"] <= BACK_S)


def introduction(options):
    arguments = " ".join(sys.argv[1:])
    return f"""{HEAD}

Measured by `./dev fleet{" " + arguments if arguments else ""}`, {time.strftime("%Y-%m-%d")}, {os.cpu_count()} cores that
gateways, brokers, meters and subscribers share. Each gateway is a process of its own; its meter sends power every
2 s and voltages every 10 s, and hours that last seconds. Then the broker, or the cluster's first node,
{DEATHS[options.death]}: "all back" is until the last gateway that was connected to it is connected again, after the
node's death in the cluster, after the broker's new start with mosquitto. "lost" and "twice" are hourly readings at
a subscriber with a lasting session. CPU and memory are means over the gateways, in the calm part.

"""


def write_section(text):
    """Replace our section of docs/benchmarks.md, the last one: bench.py writes those before it."""
    path = ROOT / "docs" / "benchmarks.md"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    path.write_text(old.partition(HEAD)[0].rstrip("\n") + "\n\n" + text, encoding="utf-8")


BROKERS = {"mosquitto": fleet_brokers.Mosquitto, "rabbitmq": fleet_brokers.RabbitCluster}


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gateways", default="10,100,1000", help="sizes of the fleet (10,100,1000)")
    parser.add_argument("--broker", choices=[*BROKERS, "both"], default="both")
    parser.add_argument("--secs", type=float, default=20, help="seconds of the steady part (20)")
    parser.add_argument("--hour", type=float, default=3, help="seconds an hour lasts, at least (3)")
    parser.add_argument("--down", type=float, default=6, help="seconds a lone broker is away (6)")
    parser.add_argument("--death", choices=DEATHS, default="kill", help="of a node of the cluster (kill)")
    parser.add_argument("--program", default=ROOT / "build/release/han2x")
    parser.set_defaults(settle=True)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    return parser.parse_args(arguments)


def run(options):
    """@return (rows, complaints)."""
    rows, complaints = [], []
    names = BROKERS if options.broker == "both" else [options.broker]
    for name, count in itertools.product(names, map(int, options.gateways.split(","))):
        print(f"fleet: {name}, {count} gateways …", file=sys.stderr)
        folder = ROOT / "build"
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fleet-", dir=folder) as home:
            try:
                row = measure(options, BROKERS[name], count, pathlib.Path(home))
            except fleet_brokers.Unavailable as reason:
                complaints.append(f"{name}, {count} gateways: not measured: {reason}")
                continue
        rows.append(row)
        print("fleet:", json.dumps(row), file=sys.stderr)
        if not is_good(row):
            complaints.append(f"{name}, {count} gateways: readings lost, out of order, or late")
    return rows, complaints


def main():
    options = options_of(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    rows, complaints = run(options)
    text = introduction(options) + table(rows) + "".join(f"\n{line}.\n" for line in complaints)
    print(text)
    if options.write:
        write_section(text)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
