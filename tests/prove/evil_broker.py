"""An MQTT broker that means ill. Each behaviour is a function (peer, hello) that does to one client
what it does until the client goes; Broker.behave() chooses which one the next clients meet."""

import contextlib
import itertools
import random
import socket
import threading
import time

CONNACK = b"\x20\x03\x00\x00\x00"  # MQTT 5: session new, accepted, no properties
PUBACK = b"\x40\x02"
HA_STATUS = b"homeassistant/status"
CHUNK = 1 << 16


def _length(n: int) -> bytes:
    """MQTT's variable byte integer (MQTT 5.0, 1.5.5)."""
    out = bytearray()
    while True:
        n, digit = divmod(n, 128)
        out.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(out)


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _length(len(body)) + body


def _publish(topic: bytes, payload: bytes, qos: int = 0, mid: int = 1, retain: bool = True) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if qos else b"") + b"\x00" + payload
    return _packet(0x30 | qos << 1 | retain, body)


def _many(packet: bytes) -> bytes:
    return packet * max(1, CHUNK // len(packet))


def _send_for_ever(peer, chunks):
    """Sends, and takes what comes, so that neither side waits for the other."""
    peer.settimeout(0.5)
    for chunk in chunks:
        peer.sendall(chunk)
        with contextlib.suppress(BlockingIOError):
            peer.recv(CHUNK, socket.MSG_DONTWAIT)


def _greet(peer, _hello):
    peer.sendall(CONNACK)


def never_acknowledges(peer, hello):
    _greet(peer, hello)
    while peer.recv(CHUNK):
        pass


def endless_payload(peer, hello):
    _greet(peer, hello)
    peer.sendall(b"\x31\xff\xff\xff\x7f\x00\x01a\x00")  # 268 435 455 octets, the most there is
    _send_for_ever(peer, itertools.repeat(bytes(CHUNK)))


def length_without_end(peer, hello):
    _greet(peer, hello)
    _send_for_ever(peer, itertools.repeat(b"\x30" + b"\xff" * (CHUNK - 1)))


def endless_connack(peer, _hello):
    _send_for_ever(peer, itertools.repeat(_many(CONNACK)))


def retained_flood(peer, hello):
    """Home Assistant starts, a hundred thousand times: each asks for the discovery again."""
    _greet(peer, hello)
    _send_for_ever(peer, itertools.repeat(_many(_publish(HA_STATUS, b"online"))))


def wrong_numbers(peer, hello):
    """Acknowledgements of every kind for every number, whatever was sent."""
    _greet(peer, hello)
    every = [b"".join(bytes([first, 2]) + mid.to_bytes(2, "big") for mid in range(1, 16384))
             for first in (0x40, 0x50, 0x62, 0x70, 0xb0)]
    _send_for_ever(peer, itertools.cycle(every))


def unreleased(peer, hello):
    """Messages at QoS 2 that are never released: a client keeps each until then."""
    _greet(peer, hello)
    _send_for_ever(peer, (_publish(b"a", bytes(60000), 2, mid) for mid in itertools.cycle(range(1, 65536))))


def fuzzed(peer, hello):
    """Good packets with some octets changed."""
    chance = random.Random(6)
    good = [CONNACK, b"\x90\x04\x00\x01\x00\x00", b"\x40\x02\x00\x01", b"\xd0\x00", b"\xe0\x02\x8b\x00",
            _publish(HA_STATUS, b"online"), _publish(b"x" * 300, bytes(300), 1, 7)]
    if chance.random() < 0.9:
        _greet(peer, hello)
    for _ in range(20):
        octets = bytearray(b"".join(chance.choices(good, k=20)))
        for _ in range(chance.randrange(1, 10)):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        peer.sendall(octets)
        time.sleep(0.001)


def refuses(peer, _hello):
    peer.sendall(b"\x20\x03\x00\x87\x00")  # not authorized


def octet_by_octet(peer, _hello):
    for octet in itertools.cycle(CONNACK):
        peer.sendall(bytes([octet]))
        time.sleep(0.3)


BEHAVIOURS = {
    "never acknowledges": never_acknowledges,
    "a payload without end": endless_payload,
    "a length without end": length_without_end,
    "CONNACK without end": endless_connack,
    "retained messages without end": retained_flood,
    "acknowledges every number": wrong_numbers,
    "QoS 2, never released": unreleased,
    "fuzzed packets": fuzzed,
    "refuses": refuses,
    "an octet now and then": octet_by_octet,
}


class Broker:
    def __init__(self, port: int):
        self._listener = socket.create_server(("127.0.0.1", port))
        self._behaviour, self.clients = never_acknowledges, 0
        self._peers: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.clients += 1
            self._peers.add(peer)
            threading.Thread(target=self._serve, args=(peer, self._behaviour), daemon=True).start()

    def _serve(self, peer, behaviour):
        with contextlib.suppress(OSError), peer:
            behaviour(peer, peer.recv(CHUNK))
        self._peers.discard(peer)

    def behave(self, name: str) -> None:
        self._behaviour, self.clients = BEHAVIOURS[name], 0
        self.quiet()

    def quiet(self) -> None:
        """Its clients are dropped."""
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.quiet()
