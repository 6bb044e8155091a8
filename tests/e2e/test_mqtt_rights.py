"""Brokers that end the connection of who publishes where it may not (MQTT 3.1.1, 3.3.5)."""
import json
import re
import socket

import mqtt_tools
import telegrams
from gateway import wait_for

TOPIC = "HAN2X_test"


class Strict(mqtt_tools.Proxy):
    """Cuts the connection of who publishes below homeassistant/device."""

    cuts = 0

    def _pump(self, source, drain):
        try:
            while data := source.recv(65536):
                if b"homeassistant/device" in data:
                    self.cuts += 1
                    break
                drain.sendall(data)
        except OSError:
            pass
        for end in (source, drain):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_values_are_not_lost_over_discovery(start, tmp_path):
    broker = start.own(mqtt_tools.Broker(tmp_path))
    strict = start.own(Strict(broker.port))
    subscriber = start.own(mqtt_tools.Subscriber(broker.port))
    meter = start.meter()
    running = start({"meter.source": "serial:" + meter.path, "mqtt.enabled": "yes",
                     "mqtt.url": strict.url, "mqtt.topic": TOPIC})
    meter.write(telegrams.kaifa("2025-01-06T18:00:10", power_w=1500))
    # three attempts, and the waits after them: 1 to 2, 2 to 4, 4 to 8 s
    value = subscriber.wait(TOPIC + "/voltL3", deadline_s=45)[0]
    assert json.loads(value)["value"] == 239.0
    assert strict.cuts == 3
    assert len(re.findall("Home Assistant's discovery is published: left out", running.text())) == 1
    meter.write(telegrams.kaifa("2025-01-06T18:00:20", power_w=1600))
    subscriber.wait(TOPIC + "/actPowPos", lambda t: json.loads(t)["value"] == 1600)
    subscriber.publish("homeassistant/status", "online")
    wait_for("Home Assistant is there now: discovery is tried again", lambda: strict.cuts == 4)
    meter.write(telegrams.kaifa("2025-01-06T18:00:30", power_w=1700))
    subscriber.wait(TOPIC + "/actPowPos", lambda t: json.loads(t)["value"] == 1700, deadline_s=45)
    assert strict.cuts == 4
