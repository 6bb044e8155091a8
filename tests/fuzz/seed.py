#!/usr/bin/python3
"""Writes the seed corpus of each fuzz target.

seed.py VECTORS_DIR OUT_DIR  → OUT_DIR/<target>-seed/: inputs made here, and those that are kept in corpus/.
The targets take plain bytes: what a meter sends, what a Modbus master sends, a settings file, a state file.
"""
import json
import pathlib
import struct
import sys
import zlib

import pack


def crc_modbus(data):
    reg = 0xFFFF
    for octet in data:
        reg ^= octet
        for _ in range(8):
            reg = reg >> 1 ^ (0xA001 if reg & 1 else 0)
    return struct.pack("<H", reg)


PDUS = [bytes.fromhex(pdu) for pdu in (
    "03000E0002", "0300000033", "0303E8007D", "0400000002", "06003003E8", "0800001234",
    "08000A0000", "08000B0000", "0800040000", "0800010000", "100030000204000003E8", "11",
    "160030FFFF0001", "160030000204000003E8", "170000000A0030000204000003E8", "2B0E0100",
    "2B0E0401", "0300000000", "037FFF0002", "63")]

SETTINGS = [
    "", "[meter]\nsource = sim:aidon\n", "# comment\n[modbus_tcp]\nport = 5020 # why\nunit = 7\n",
    '[mqtt]\nurl = "mqtt://a:1 mqtts://[::1]:8884 mqtts://b"\nusername = me\nformat = json sparkplug\ntopic = "x/<random>"\n',
    "[io]\nreset_button = gpiochip0:17\npower_led = led0\n[device]\ntimezone = Europe/Oslo\n",
    "[network]\nmanage = yes\naddress = 10.0.0.5/8\ngateway = 10.0.0.1\ndns = 1.1.1.1  9.9.9.9\nhostname = a-b\n",
    "[network]\nmanage = yes\naddress = 10.0.0.0/8\n", "[network]\nmode = dhcp\nmanage = yes\ndns = 0.0.0.0\n",
    "[modbus_tcp]\nlisten = 127.0.0.1\n[web]\nlisten = ::1\nusername = me\n", "[network]\naddress = 01.0.0.5/8\n",
    "[network]\naddress = 1.0.0.5/33\n", "[network]\naddress = 1.0.0.5.\n", "[network]\naddress = 224.0.0.5/8\n",
    "[network]\ndns = 1.1.1\n", "[device]\ntimezone = a//b\n", "[device]\ntimezone = a/\n",
    '[mqtt]\nurl = "mqtt://a b"\npassword = "x # y"\n', "[device]\nscale = 1000000\nname = \"å\"\n",
    "[modbus_rtu]\nenabled = yes\ndevice = /dev/ttyUSB0\nparity = even\nbaud = 19200\n"]


def meter(vectors):
    for path in sorted(vectors.rglob("*.json")):
        data = bytes.fromhex("".join(json.loads(path.read_text(encoding="utf-8"))["hex"].split()))
        yield data[:4096]


def mbtcp():
    frames = [struct.pack(">HHHB", n, 0, len(pdu) + 1, 1) + pdu for n, pdu in enumerate(PDUS)]
    yield from frames
    yield b"".join(frames)


def mbrtu():
    frames = [unit + pdu + crc_modbus(unit + pdu) for pdu in PDUS for unit in (b"\1", b"\0", b"\2")]
    # the target reads chunks: one octet length, one octet of silence before it, the octets
    for frame in frames:
        yield bytes((len(frame), 40)) + frame
    yield bytes((8, 127)) + frames[0] + bytes((8, 40)) + frames[1]
    yield (bytes((255, 0)) + bytes(255)) * 3
    yield b"".join(bytes((len(frame), 40)) + frame for frame in frames)


def crc_x25(data):
    reg = 0xFFFF
    for octet in data:
        reg ^= octet
        for _ in range(8):
            reg = reg >> 1 ^ (0x8408 if reg & 1 else 0)
    return reg ^ 0xFFFF


METER = ("meter 1 " + b"AIDON_V0001".hex() + " " + b"7359992890941742".hex() + " " + b"6534".hex()
         + "\ngrid 3\nclock 1730026800\n")
STATES = [
    "number 70388\nstarts 17\nscale 1000 1000\n",
    "number 10000\nstarts 1\nscale 10 1000\nmeter 2 - - -\n",
    "number 70388\nstarts 17\nscale 999999999 1000\n" + METER + "".join(
        f"energy {n} {wh} 23456789 {wh + 3}\n" for n, wh in enumerate((117840, 0, 5550, 99999990)))]


def state():
    for body in STATES:
        text = b"han2x-state 1\n" + body.encode() + b"end "
        yield text + b"%04x\n" % crc_x25(text)


def hdlc(vectors):
    """Chunks behind length and how: see fuzz_hdlc.c."""
    frames = [data[:255] for data in meter(vectors)][:40]
    for n, frame in enumerate(frames):
        yield bytes((len(frame), n % 8)) + frame
    one, two = frames[0], frames[1]
    yield bytes((len(one), 0)) + one + bytes((9, 3)) + two[:9] + bytes((len(two), 2)) + two
    yield bytes((1, 0xF9)) + b"\x7e"  # many line errors
    yield (bytes((255, 0xFC)) + b"\x7e\xa8\xff\x03\x03\x13" + bytes(249)) * 2  # segments without an end
    yield (bytes((255, 4)) + b"\x7e\xa8\xff\x03\x03\x13\0\0\xe6\xe7\0" + bytes(244)) * 2 \
        + bytes((255, 4)) + b"\x7e\xa0\xff\x03\x05\x13" + bytes(249)
    yield (bytes((255, 0xF8)) + bytes(255)) * 3


# Sparkplug commands: rebirth yes and no, with time and seq, another metric first
REBIRTH = b"\x0a\x14Node Control/Rebirth"
COMMANDS = [
    b"", b"\x12\x18" + REBIRTH + b"\x70\x01", b"\x12\x18" + REBIRTH + b"\x70\x00",
    bytes.fromhex("088891def4e232") + b"\x12\x1a" + REBIRTH + b"\x20\x0b\x70\x01\x18\x00",
    b"\x12\x07\x0a\x01A\x50\x07\x38\x00\x12\x18" + REBIRTH + b"\x70\x01"]


def sparkplug():
    """How, then a command: see fuzz_sparkplug.c."""
    for n, command in enumerate(COMMANDS):
        for how in (0x00, 0x05, 0x0A, 0x0F, 0x2C, 0x30, 0x34, 0x18, 0x40):
            yield bytes((how ^ n,)) + command
        yield b"\x84\x09a/b c\xff/d" + command


# what fuzz_web.c reads: a patch, Basic, a cookie, a host, a length or an origin
WEB = [
    b"\x00" + b'{"device":{"scale":2000,"name":"Hytta \xc3\xa5"},"mqtt":{"enabled":true,"url":"mqtts://a:1 mqtt://b"}}',
    b"\x00" + b'{"modbus_tcp":{"port":5020,"any_unit":"no"},"web":{"port":99999}}', b"\x00[]",
    b"\x01Basic Yml0czp2YXJp", b"\x01basic Og==", b"\x02a=b; han2x_session=00112233445566778899aabbccddeeff",
    b"\x03han2x.local:8443", b"\x03[fe80::1]:80", b"\x03application/json; charset=utf-8",
    b"\x08123", b"\x08https://han2x.local", b"\x03[fe80::1", b"\x03fe80::1", b"\x03han2x.home.arpa.", b"\x01Basic YQ==",
    b"\x04" + b'{"device":{"name":"Hytta"},"web":{"password_hash":"$y$x"}}', b"\x04" + b'{"device":{"scale":7}}',
    b"\x04" + b'{"device":{"name":"Hytta"},"mqtt":{"password":null,"port":1884},"meter":{"source":"sim:aidon"}}',
    b"\x04" + b'{"mqtt":{' + b",".join(b'"k%d":%d' % (n, n) for n in range(20)) + b"}}", b"\x04" + b"[" * 9, b"\x04[1]", b"\x04{",
    b"\x04" + b'{"mqtt":{"enabled":true,"url":""}}', b"\x04" + b'{"mqtt":{"port":1.5,"topic":"\\u0000"},"x":1,"web":7}',
    b"\x05plain", b"\x05\xc3\xa5\xed\xa0\x80\xf0\x9f\x98\x80\xe2\x82\0\"\\\x1f\x7f",
    b"\x06" + bytes((0, 1, 4, 5, 8, 26, 4, 27, 12, 1)), b"\x06" + bytes((24, 0xE0, 24, 10, 25, 3, 16, 1, 4, 0, 20, 0)),
    b"\x06" + bytes((26, 0xE1) * 9 + (27, 0xE1, 18, 2, 26, 22)), b"\x06" + bytes((0, 0) * 40 + (1, 0, 5, 0)),
    b"\x07/a GET", b"\x07/a HEAD", b"\x07/b POST", b"\x07/c GET", b"\x07/a PUT"]


# recordings: text with comments, raw, what is not quite either
HEX = [b"7E A0 27 # a frame\n01 02\n", b"7ea0\n\n# only a comment\n", b"# a comment\n7\n7 E x\n", b"\x7e\xa0\x27\x01",
       b"   \t7e", b"7e # tail", b"# \x01", b" " * 1100, b"0123456789abcdefABCDEF"]

# octets of a line that marks errors
UNMARK = [b"\x7e\xff\xff\x01", b"\xff\x00\x7e\xff\x00\xff\xff\x41", b"\xff", b"\xff\x00", b"\x01\x02\x03\x05"]


def tzif(changes, types, rule, version=b"2"):
    """changes: (UTC, number of type); types: offsets."""
    def block(fmt):
        head = b"TZif" + version + bytes(15) + struct.pack(">6I", 0, 0, 0, len(changes), len(types), 4)
        return head + b"".join(struct.pack(fmt, at) for at, _ in changes) + bytes(kind for _, kind in changes) \
            + b"".join(struct.pack(">iBB", offset, 0, 0) for offset in types) + b"ABC\0"
    return block(">i") + block(">q") + b"\n" + rule + b"\n"


RULES = [b"CET-1CEST,M3.5.0,M10.5.0/3", b"UTC0", b"<+0330>-3:30", b"NZST-12NZDT,M9.5.0,M4.1.0/3", b"",
         b"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", b"IST-1GMT0,M10.5.0,M3.5.0/1", b"EST5EDT4:30:15,M3.2.0/167,M11.1.0/-167"]
ZONES = [tzif([(-1000000, 0), (1000000000, 1), (1711846800, 0)], [3600, 7200], rule) for rule in RULES]
ZONES += [tzif([], [0], b""), tzif([], [0], b"", b"\0"), tzif([(n, n % 2) for n in range(1100)], [0, 60], b"UTC0"),
          tzif([(0, 0), (0, 0)], [0], b""), tzif([(0, 9)], [0], b""), tzif([(0, 0)], [200000], b"")]


def crc32(data):
    return struct.pack(">I", zlib.crc32(data))


def backlog():
    """Octet of what is done, mark twice, records: see fuzz_backlog.c."""
    def mark(generation, base, delivered):
        text = b"han2xhrs" + struct.pack(">IQQQ", 1, generation, base, delivered)
        return text + crc32(text)

    def record(n):
        text = b"R\x1b" + struct.pack(">HQq4q4qII", 1, n, 1700000000 + 3600 * n, 1, 2, 3, 4, 5, 6, 7, 8, 1000, 7)
        return text + crc32(text)

    def file(base, delivered, count):
        return mark(2, base, delivered).ljust(512, b"\0") + mark(1, base, delivered).ljust(512, b"\0") \
            + b"".join(record(base + n) for n in range(count))
    for how in (0x00, 0x05, 0x0A, 0x0D, 0x18, 0x1D, 0x29, 0x36, 0x3D, 0x40, 0x51, 0x80, 0x91, 0x0C, 0x2C):
        yield bytes((how,)) + file(5, 7, 4)
    yield b"\0" + file(0, 0, 0)
    yield b"\0" + file(0, 0, 60)[:-7]
    yield b"\x24" + file(0, 30, 50)
    yield b"\0"
    yield b"\0not ours"
    yield b"\x11"


def audit():
    """Share of the older file, address, words, the two files: see fuzz_audit.c."""
    line = b"%d\t1744538405000\tlogin\t192.168.1.5\tuser name and password accepted\n"
    lines = b"".join(line % n for n in range(5, 9))
    for share, tail in ((0, b""), (128, b""), (255, b""), (0, b"9\t17445"), (0, b"\xff\xfe\n\n"), (0, b"a\tb\tc\n")):
        yield bytes((share,)) + b"\x0910.0.0.17" + b"\x05words" + lines + tail
    yield b"\0\3::1\4a\tb\n" + b"4294967295\t0\tstart\t\t\n"
    yield b"\0\0\0" + b"x\n" * 1001


PLANS = [b"yes static 192.168.1.232/24 192.168.1.1 192.168.1.1,9.9.9.9 han2x", b"no dhcp 10.0.0.5/8 - - a-1",
         b"yes dhcp 10.0.0.5/8 - - han2x", b"yes static 10.0.0.0/31 10.0.0.1 127.0.0.53 b",
         b"yes static 10.0.0.5/24 - 1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5,1.0.0.6,1.0.0.7 c"]
COMMIT = b"han2x-network 1\nboot 11111111-2222-3333-4444-555555555555\nphase %s\nuntil %d\nkept %s\n"


def network():
    """The reader's number, then its text: see fuzz_network.c."""
    for plan in PLANS:
        yield b"\0" + plan
        yield b"\1id 0123456789abcdef\nplan " + plan + b"\n"
    yield b"\0::ffff:192.168.1.1"
    yield b"\2id 0123456789abcdef\ndone\n"
    yield b"\2id 0123456789abcdef\nrefused no address\n"
    for phase in (b"idle", b"setting"):
        yield b"\3\0" + COMMIT % (phase, 1005000, PLANS[0])
        yield b"\3\0" + COMMIT % (phase, 1005000, PLANS[0]) + b"refused " + PLANS[2] + b"\n"
    for phase in (b"applying", b"waiting"):
        yield b"\3\4\x02\x04\x55\x06" + COMMIT % (phase, 1005000, PLANS[0]) + b"tried " + PLANS[2] + b"\n"
        yield b"\3\0" + COMMIT % (phase, 5, PLANS[0]) + b"tried " + PLANS[2] + b"\nrefused " + PLANS[1] + b"\n"
    for steps in (b"\x08\x02\x0c", b"\x08\x02\x5d\x5d\x06\x03\x02", b"\x08\x03\x02\x01", b"\x10\x02\x00\x09\x07"):
        yield b"\3" + bytes((len(steps),)) + steps
    yield b"\4number=70388"
    yield b"\4NUMBER=\x01"
    yield b"\5Hytta p\xc3\xa5 fjellet"


TOKEN = b"session of fuzz\0".hex().encode()
GETS = [b"session", b"live", b"settings", b"settings/schema", b"status", b"registers", b"telegrams", b"telegrams?format=raw",
        b"history", b"history?hours=1&step_s=60", b"history?hours=99", b"history?step_s=7", b"telegrams?format=x", b"log?count=x", b"history/recent", b"log?count=3", b"backup", b"network", b"events", b"nothing"]
BODIES = [
    (b"POST", b"session", b'{"username":"bits","password":"only this one 7"}'),
    (b"POST", b"session", b'{"username":"bits","password":"wrong"}'),
    (b"POST", b"session", b'{"username":7}'),
    (b"DELETE", b"session", b""),
    (b"POST", b"password", b'{"current":"only this one 7","password":"another one 8","username":"me"}'),
    (b"POST", b"password", b'{"current":"wrong","password":"another one 8"}'),
    (b"POST", b"password", b'{"current":"x","password":"vari"}'),
    (b"PATCH", b"settings", b'{"device":{"scale":2000,"name":"Hytta"},"mqtt":{"interval_s":5}}'),
    (b"PATCH", b"settings", b'{"web":{"port":99999,"password_hash":"$y$x"},"x":{},"mqtt":{"enabled":true}}'),
    (b"PATCH", b"settings", b'{"web":{"tls_cert":"/nowhere","tls_key":"/nowhere"}}'),
    (b"PATCH", b"settings", b'{"web":{"listen":"192.0.2.1"}}'),
    (b"POST", b"restart", b""),
    (b"POST", b"factory-reset", b'{"confirm":"factory-reset"}'),
    (b"POST", b"factory-reset", b'{"confirm":"no"}'),
    (b"POST", b"backup", b'{"passphrase":"12345678"}'),
    (b"PUT", b"backup", b'{"backup":{"format":"han2x-backup","version":1,"settings":{"device":{"scale":1500}}}}'),
    (b"PUT", b"backup", b'{"passphrase":"12345678","backup":{"format":"han2x-backup","version":1,"settings":{},"secrets":'
                        b'{"iterations":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA==","nonce":"AAAAAAAAAAAAAAAA","data":"AAAAAAAAAAAAAAAAAAAAAAAA"}}}'),
    (b"PUT", b"backup", b'{"passphrase":"12345678","backup":{"format":"han2x-backup","version":1,"settings":{},"secrets":'
                        b'{"iterations":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA==","nonce":"AAAAAAAAAAAAAAAA","data":7}}}'),
    (b"PUT", b"backup", b'{"passphrase":"12345678","backup":{"format":"han2x-backup","version":1,"settings":{},"secrets":'
                        b'{"iterations":1,"salt":"====="}}}'),
    (b"PUT", b"backup", b'{"backup":{"format":"other"}}'), (b"PUT", b"backup", b"[]"), (b"POST", b"backup", b'{"passphrase":"1"}'),
    (b"POST", b"mqtt/test", b'{"url":"mqtt://127.0.0.1"}'),
    (b"POST", b"mqtt/test", b'{"url":"mqtt://127.0.0.11"}'),
    (b"POST", b"mqtt/test", b'{"url":""}'),
    (b"POST", b"network/confirm", b"")]


def http():
    """Whether changes are refused, then what a client sends: see fuzz_http.c."""
    def request(method, path, body=b"", more=b"Cookie: han2x_session=" + TOKEN):
        length = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) if body else b""
        return method + b" " + path + b" HTTP/1.1\r\nHost: han2x.local\r\n" + more + b"\r\n" + length + b"\r\n" + body
    for path in GETS:
        yield b"\0" + request(b"GET", b"/api/v1/" + path)
    for path in (b"/", b"/health", b"/metrics", b"/han2x.crt", b"/assets/none.js"):
        yield b"\0" + request(b"GET", path)
    for n, (method, path, body) in enumerate(BODIES):
        yield bytes((n % 2,)) + request(method, b"/api/v1/" + path, body)
        yield bytes((1 - n % 2,)) + request(method, b"/api/v1/" + path, body)
    basic = b"Authorization: Basic Yml0czpvbmx5IHRoaXMgb25lIDc="
    yield b"\0" + request(b"GET", b"/api/v1/live", more=basic) * 2
    yield b"\0" + request(b"GET", b"/api/v1/live", more=b"Authorization: Basic Yml0czp4")
    yield b"\0" + request(b"GET", b"/api/v1/live", more=b"Authorization: Basic Yml0czp4") * 7
    yield b"\0" + request(b"GET", b"/api/v1/live", more=b"X: y")
    yield b"\0" + request(b"HEAD", b"/", more=b'If-None-Match: "x"')
    yield b"\0" + request(b"PUT", b"/api/v1/live")
    yield b"\0" + request(b"GET", b"/", more=b"Host: two")
    yield b"\0GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    yield b"\0GET / HTTP/1.0\r\n\r\n"
    yield b"\0" + request(b"PATCH", b"/api/v1/settings", more=basic + b"\r\nOrigin: http://example.com")
    yield b"\0" + request(b"PATCH", b"/api/v1/settings", more=basic + b"\r\nContent-Length: 99999999")
    yield b"\0" + request(b"PATCH", b"/api/v1/settings", more=basic + b"\r\nContent-Type: text/plain\r\nContent-Length: 2") + b"{}"
    yield b"\0" + request(b"PATCH", b"/api/v1/settings", more=basic + b"\r\nContent-Type: application/json\r\n"
                           b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"


def main():
    vectors, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    seeds = {"meter": meter(vectors), "mbtcp": mbtcp(), "mbrtu": mbrtu(),
             "settings": (text.encode() for text in SETTINGS),
             "state": state(), "sparkplug": sparkplug(), "hdlc": hdlc(vectors),
             "web": WEB, "hex": HEX, "unmark": UNMARK, "zone": ZONES, "backlog": backlog(), "audit": audit(),
             "network": network(), "http": http(),
             "mqtt_in": [b"\x09ha/statusonline", b"\x09ha/statusoffline", b"\x00"]}
    for target, items in seeds.items():
        folder = out / f"{target}-seed"
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(items):
            (folder / f"{number:03d}").write_bytes(data)
        pack.unpack(target, folder)


main()
