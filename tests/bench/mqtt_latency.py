#!/usr/bin/python3
"""How long from a telegram's last octet at the meter line until a subscriber has its value.

./dev bench mqtt [PROGRAM] [COUNT]: starts mosquitto, a gateway and a subscriber on the loopback, sends
COUNT list 2 telegrams, each with another power, and prints `latency_p50_us`, `latency_p99_us`,
`latency_max_us`; then the same for the broker alone (`broker_…`: publisher to subscriber, no gateway).
Exit 1 when p99 is above 5 ms more than the broker alone needs.
"""
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time

import paho.mqtt.client as paho

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import gateway  # noqa: E402
import mqtt_tools  # noqa: E402
import telegrams  # noqa: E402

TOPIC = "HAN2X_bench"
LIMIT_US = 5000


class Arrivals:
    """A subscriber that stamps what arrives; take(value) waits for a value and gives its time."""

    def __init__(self, port, topic):
        self._seen, self._news = {}, threading.Condition()
        self._client = paho.Client()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self._client.loop_start()
        assert ready.wait(10)

    def _take(self, _client, _data, message):
        now = time.perf_counter()
        with self._news:
            self._seen[json.loads(message.payload)["value"]] = now
            self._news.notify()

    def take(self, value):
        with self._news:
            assert self._news.wait_for(lambda: value in self._seen, 10), value
            return self._seen[value]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def report(name, took):
    took = sorted(int(t * 1e6) for t in took)
    p99 = took[int(len(took) * 0.99)]
    print("%s_p50_us %d\n%s_p99_us %d\n%s_max_us %d" % (
        name, statistics.median(took), name, p99, name, took[-1]))
    return p99


def through_gateway(program, folder, broker, count):
    with gateway.Starter(program, folder) as start:
        meter = start.meter()
        running = start({"meter.source": "serial:" + meter.path, "mqtt.enabled": "yes",
                         "mqtt.url": broker.url, "mqtt.topic": TOPIC})
        running.wait_log("MQTT: connected")
        arrivals = start.own(Arrivals(broker.port, TOPIC + "/actPowPos"))
        took = []
        for n in range(count + 10):
            data = telegrams.kaifa("2025-01-06T18:00:10", power_w=1000 + n)
            begin = time.perf_counter()
            meter.write(data)
            took.append(arrivals.take(1000 + n) - begin)
            time.sleep(0.005)
        return took[10:]  # the first ones bring everything else along


def broker_alone(broker, count):
    arrivals = Arrivals(broker.port, "alone")
    publisher = paho.Client()
    publisher.connect("127.0.0.1", broker.port)
    publisher.loop_start()
    took = []
    for n in range(count):
        begin = time.perf_counter()
        publisher.publish("alone", json.dumps({"value": n}), 1)
        took.append(arrivals.take(n) - begin)
        time.sleep(0.005)
    publisher.disconnect()
    publisher.loop_stop()
    arrivals.close()
    return took


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/release/han2x")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    with tempfile.TemporaryDirectory() as folder:
        broker = mqtt_tools.Broker(pathlib.Path(folder))
        try:
            p99 = report("latency", through_gateway(program, pathlib.Path(folder), broker, count))
            alone = report("broker", broker_alone(broker, count))
        finally:
            broker.close()
    sys.exit(0 if p99 <= LIMIT_US + alone else 1)


if __name__ == "__main__":
    main()
