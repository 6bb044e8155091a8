"""Discovery: two machines (netbox.py), each with its own D-Bus and a real avahi-daemon, on one
cable. What they announce is read with avahi-browse, what they find from the pages' API."""
import contextlib
import shutil
import subprocess

import pytest

import gateway
import netbox


def why_not():
    for tool in ("avahi-daemon", "curl"):
        if shutil.which(tool) is None:
            return "no " + tool
    return netbox.why_not()


WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture
def boxes():
    one, two = netbox.Box("one"), netbox.Box("two")
    try:
        netbox.cable(one, "eth0", two, "eth0")
        for number, box in enumerate((one, two), 1):
            box.run("hostname", "han2x-%d" % number)
            box.run("ip", "address", "add", "192.168.1.%d/24" % number, "dev", "eth0")
            box.run("ip", "link", "set", "eth0", "up")
        yield one, two
    finally:
        one.close()
        two.close()


@pytest.fixture
def start_in(han2x, tmp_path):
    """start_in(box, setting=value…) → a gateway, ended at the end."""
    running = []

    def start(box, **settings):
        folder = tmp_path / box.name
        folder.mkdir(exist_ok=True)
        running.append(netbox.gateway_in(box, han2x, folder, {
            "web.tls_port": "0", "web.factory_login": "allow", "meter.source": "sim:kaifa",
            **settings}, ("-c", "/dev/null")))
        return running[-1]
    with contextlib.ExitStack() as ends:  # all of them, also when one does not end well
        yield start
        for one in running:
            ends.callback(one.stop)


def found(box, address):
    """What the pages at this address list, by name."""
    return {g["name"]: g for g in netbox.Page(box, address).until("status")["gateways"]}


def services(box, kind):
    """Names announced on the cable, from a client that is not ours."""
    lines = box.run("avahi-browse", "-t", "-p", "-r", kind, check=False).splitlines()
    return [line.split(";") for line in lines if line.startswith("=")]


def test_two_gateways_find_each_other(boxes, start_in):
    one, two = boxes
    for box in boxes:
        box.start_dbus()
        box.start_avahi()
    start_in(one, **{"device.name": "Hytta"})
    start_in(two, **{"device.name": "Garage"})
    here = gateway.wait_for("the other one in the list", lambda: found(one, "192.168.1.1"))
    assert list(here) == ["Garage"]  # not itself
    there = here["Garage"]
    assert (there["host"], there["address"]) == ("han2x-2.local", "192.168.1.2")
    assert (there["port"], there["tls"]) == (80, False)
    gateway.wait_for("the meter's maker",
                     lambda: found(one, "192.168.1.1")["Garage"]["maker"] == "kaifa")
    assert list(gateway.wait_for("and the other way", lambda: found(two, "192.168.1.2"))) == \
        ["Hytta"]


@pytest.mark.skipif(shutil.which("avahi-browse") is None, reason="no avahi-browse (avahi-utils)")
def test_what_is_announced(boxes, start_in):
    one, two = boxes
    for box in boxes:
        box.start_dbus()
        box.start_avahi()
    running = start_in(one, **{"web.listen": "127.0.0.1"})
    running.wait_log("mdns: announced")
    number = running.wait_log(r"device number (\d+)").group(1)
    modbus = gateway.wait_for("Modbus on the cable", lambda: services(two, "_modbus._tcp"))
    assert {(s[3], s[8]) for s in modbus} == {("HAN2X\\032" + number, "502")}
    text = modbus[0][9]
    assert '"txtvers=1"' in text and '"number=%s"' % number in text
    assert '"simulated=yes"' in text  # never taken for a real one
    # pages for the machine itself alone are nobody else's business
    assert services(two, "_han2x._tcp") == [] and services(two, "_http._tcp") == []


def test_same_name_twice(boxes, start_in):
    one, two = boxes
    for box in boxes:
        box.start_dbus()
        box.start_avahi()
    start_in(one, **{"device.name": "Stove"}).wait_log('announced as "Stove"')
    # Avahi names the second one by its own rule
    start_in(two, **{"device.name": "Stove"}).wait_log('announced as "Stove #2"')
    gateway.wait_for("both under names of their own",
                     lambda: list(found(one, "192.168.1.1")) == ["Stove #2"])


def test_avahi_and_the_bus_come_and_go(boxes, start_in):
    one, two = boxes
    two.start_dbus()
    two.start_avahi()
    start_in(two, **{"device.name": "Garage"})
    running = start_in(one, **{"device.name": "Hytta"})  # before there is any Avahi
    assert found(one, "192.168.1.1") == {}
    bus = one.start_dbus()
    avahi = one.start_avahi()
    running.wait_log('announced as "Hytta"')
    gateway.wait_for("the other one", lambda: found(one, "192.168.1.1"))

    avahi.terminate()
    avahi.wait(gateway.DEADLINE_S)
    gateway.wait_for("nothing known without Avahi", lambda: found(one, "192.168.1.1") == {})
    gateway.wait_for("a goodbye", lambda: found(two, "192.168.1.2") == {})
    avahi = one.start_avahi()
    gateway.wait_for("the other one again", lambda: found(one, "192.168.1.1"))
    gateway.wait_for("announced again", lambda: found(two, "192.168.1.2"))

    bus.kill()
    bus.wait(gateway.DEADLINE_S)
    avahi.wait(gateway.DEADLINE_S)  # it ends with its bus
    gateway.wait_for("nothing known without a bus", lambda: found(one, "192.168.1.1") == {})
    one.run("rm", "-rf", "/run/dbus/system_bus_socket", "/run/avahi-daemon")
    one.start_dbus()
    one.start_avahi()
    gateway.wait_for("the other one for the third time", lambda: found(one, "192.168.1.1"))
    assert running.process.poll() is None


def test_hostile_announcements_are_bounded(boxes, start_in):
    one, two = boxes
    for box in boxes:
        box.start_dbus()
        box.start_avahi()
    start_in(one, **{"device.name": "Hytta"})
    names = ["<script>alert(1)</script>", "x" * 63, "\u00e5 \u0001\u0002"] + \
        ["flood %d" % n for n in range(150)]
    groups = "\n".join(
        '<service-group><name>%s</name><service><type>_han2x._tcp</type><port>80</port>'
        '<txt-record value-format="binary-hex">maker=%s</txt-record></service></service-group>'
        % (name.replace("<", "&lt;"), "ff0a0d22" * 20) for name in names if "\u0001" not in name)
    for at, group in enumerate(groups.split("\n")):
        two.write("/etc/avahi/services/%d.service" % at, '<?xml version="1.0"?>\n' + group)
    subprocess.run(two.inside("avahi-daemon", "--reload"), check=True)
    got = gateway.wait_for("a full list", lambda: len(found(one, "192.168.1.1")) == 64 and
                           found(one, "192.168.1.1"), 60 * gateway.SLOW)
    assert all(g["maker"] == "" for g in got.values())  # what is no plain text is left out
