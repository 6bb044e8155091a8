"""A broker, subscribers, certificates, and the ways in which networks let a client down.

The broker is mosquitto, the subscriber is paho: none of this is our code.
"""
import datetime
import ipaddress
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time

import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway import DEADLINE_S, Output, free_port, wait_for


class Broker:
    """mosquitto on a free port of the loopback; `lines` go into its configuration."""

    def __init__(self, folder, lines=("allow_anonymous true",), port=None, name="broker"):
        self.port = port or free_port()
        self._config = folder / (name + ".conf")
        # tests may run as root: mosquitto would become another user and not read our files
        self._config.write_text("\n".join(["user root", "listener %d 127.0.0.1" % self.port, *lines, ""]))
        self._log = Output(folder / (name + ".log"))
        self.process = None
        self.start()

    @property
    def url(self):
        return "mqtt://127.0.0.1:%d" % self.port

    def start(self):
        self.process = subprocess.Popen(["mosquitto", "-v", "-c", str(self._config)],
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

        def listens():
            assert self.process.poll() is None, "mosquitto ended:\n" + self.log()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for("mosquitto on port %d" % self.port, listens)

    def log(self):
        return self._log.text()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self._log.close()


class Subscriber:
    """Gathers what is published below `topics`, in order, as (topic, payload, message)."""

    def __init__(self, port, topics="#", qos=1, client_id="", clean=True, **auth):
        self.messages = []
        self._subscribed = threading.Event()
        self._topics, self._qos = topics, qos
        self._client = paho.Client(client_id=client_id, clean_session=clean)
        if auth:
            self._client.username_pw_set(auth["user"], auth["password"])
        self._client.on_connect = lambda client, *_: client.subscribe(topics, qos)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S), "the broker took no subscription"

    def _take(self, _client, _data, message):
        self.messages.append((message.topic, message.payload.decode("utf-8", "replace"),
                              time.monotonic(), message))

    def texts(self, topic):
        """Payloads on a topic so far."""
        return [payload for name, payload, *_ in list(self.messages) if name == topic]

    def objects(self, topic):
        return [json.loads(text) for text in self.texts(topic)]

    def wait(self, topic, condition=lambda text: True, count=1, deadline_s=None):
        """The first `count` payloads on a topic that satisfy a condition, once they are there."""
        def look():
            found = [text for text in self.texts(topic) if condition(text)]
            return found if len(found) >= count else None
        return wait_for("%d messages on %s; there are %s" % (
            count, topic, sorted({m[0] for m in self.messages})), look, deadline_s)

    def publish(self, topic, payload, retain=False):
        self._client.publish(topic, payload, 1, retain).wait_for_publish()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


# ---- networks ----


class Proxy:
    """TCP in the middle: `rate` octets a second each way (None: all), frozen, or cut."""

    def __init__(self, to_port):
        self.port, self._to = free_port(), to_port
        self.rate, self.frozen = None, False
        self._pairs, self._lock, self._closed = [], threading.Lock(), False
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "mqtt://127.0.0.1:%d" % self.port

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                if self._closed:
                    return
                near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, drain):
        try:
            while True:
                while self.frozen:
                    time.sleep(0.02)
                select.select([source], [], [], 0.1)
                rate = self.rate
                data = source.recv(65536 if rate is None else max(1, rate // 20))
                while self.frozen:
                    time.sleep(0.02)
                if not data:
                    break
                drain.sendall(data)
                if rate is not None:
                    time.sleep(len(data) / rate)
        except (OSError, ValueError):
            pass
        for end in (source, drain):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Every connection ends."""
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            self._pairs = []

    def close(self):
        self._closed, self.frozen = True, False
        self._listener.close()
        self.cut()


class BlackHole:
    """A port whose SYNs are dropped: a listener with a full queue that accepts nobody."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)
        with socket.socket() as probe:
            probe.settimeout(0.5)
            try:
                probe.connect(("127.0.0.1", self.port))
            except (TimeoutError, socket.timeout):
                return
        raise AssertionError("the port still answers")

    @property
    def url(self):
        return "mqtt://127.0.0.1:%d" % self.port

    def close(self):
        for s in (*self._fillers, self._listener):
            s.close()


class Script:
    """A server of one answer: takes connections, reads, and does what `act(socket, data)` does."""

    def __init__(self, act):
        self.port, self.seen = free_port(), []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._act = act
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self):
        return "mqtt://127.0.0.1:%d" % self.port

    def _run(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            try:
                data = peer.recv(4096)
                self.seen.append(data)
                self._act(peer, data)
            except OSError:
                pass

    def close(self):
        self._listener.close()


def modbus_latencies(port, count=400):
    """Seconds for each of `count` reads of the whole map, one at a time."""
    request = bytes.fromhex("000100000006010300000033")
    took = []
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begin = time.perf_counter()
            s.sendall(request)
            have = b""
            while len(have) < 9 + 102:
                have += s.recv(4096)
            took.append(time.perf_counter() - begin)
            time.sleep(0.002)
    return sorted(took)


def p99(sorted_values):
    return sorted_values[int(len(sorted_values) * 0.99)]


# ---- certificates ----


class Authority:
    """A certificate authority that signs whatever it is asked to."""

    def __init__(self, folder, name):
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._cert = self._sign(self._subject, self._key.public_key(), -10, 10, True, ())
        self.path = folder / (name + ".pem")
        self.path.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, from_days, to_days, is_ca, names):
        now = datetime.datetime.utcnow().replace(microsecond=0)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self._subject)
                   .public_key(key).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=from_days))
                   .not_valid_after(now + datetime.timedelta(days=to_days))
                   .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name, hosts=(), addresses=(), from_days=-1, to_days=5):
        """(certificate file, key file, last day as YYYY-MM-DD)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(h) for h in hosts]
        names += [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert = self._sign(subject, key.public_key(), from_days, to_days, False, names)
        cert_file, key_file = self._folder / (name + ".crt"), self._folder / (name + ".key")
        cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                               serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        os.chmod(key_file, 0o644)
        return cert_file, key_file, cert.not_valid_after.strftime("%Y-%m-%d")
