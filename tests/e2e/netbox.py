"""A machine of its own for the network: namespaces with a real systemd-networkd inside.

Linux namespaces (mount, network, host name) stand in for the box. In them run a D-Bus of their own
and the systemd-networkd of this machine, started directly: it is told by a read-only /sys that no
udev is to be waited for, as in any container. /run and /etc are the box's own (tmpfs, overlay), so
nothing outside is touched. Needs root.
"""
import json
import os
import pathlib
import shutil
import subprocess
import time

import gateway

NETWORKD = "/lib/systemd/systemd-networkd"
NEEDED = ("unshare", "nsenter", "ip", "dbus-daemon", "networkctl")

SETUP = r"""
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/systemd/system /run/systemd/netif/links /run/systemd/netif/leases \
    /run/systemd/netif/lldp /run/box/up /run/box/work
chown -R systemd-network: /run/systemd/netif
mount -t overlay -o lowerdir=/etc,upperdir=/run/box/up,workdir=/run/box/work overlay /etc
rm -f /etc/systemd/network/*
mount -t sysfs -o ro sysfs /sys
ip link set lo up
echo ready
exec sleep infinity
"""


def why_not():
    """Why this machine cannot hold a box, or None."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for tool in NEEDED:
        if shutil.which(tool) is None:
            return "no " + tool
    if not os.path.exists(NETWORKD):
        return "no systemd-networkd"
    trial = subprocess.run(["unshare", "-m", "-n", "-u", "--propagation", "private", "sh", "-c",
                            SETUP.replace("exec sleep infinity", "")],
                           capture_output=True, text=True)
    return None if trial.returncode == 0 else "no namespaces here: " + trial.stderr.strip()


class Box:
    """One machine. Its first Ethernet comes with cable()."""

    def __init__(self, name):
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "-m", "-n", "-u", "--propagation", "private", "sh", "-c", SETUP],
            stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "ready\n"
        self.pid = self._holder.pid
        self._children = []

    def inside(self, *command):
        """The command line that runs `command` in the box."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", "--", *map(str, command)]

    def run(self, *command, check=True):
        """What the command prints."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def spawn(self, *command, **keywords):
        child = subprocess.Popen(self.inside(*command), **keywords)
        self._children.append(child)
        return child

    def write(self, path, text):
        subprocess.run(self.inside("tee", path), input=text, text=True, check=True,
                       stdout=subprocess.DEVNULL)

    def read(self, path):
        return self.run("cat", path)

    def has(self, path):
        return subprocess.run(self.inside("test", "-e", path)).returncode == 0

    def start_dbus(self):
        bus = self.spawn("dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog",
                         stderr=subprocess.DEVNULL)
        gateway.wait_for("D-Bus in the box", lambda: self.has("/run/dbus/system_bus_socket"))
        return bus

    def start_avahi(self):
        """@return the process, so that a test can end it."""
        avahi = self.spawn("avahi-daemon", "--no-rlimits", stderr=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
        gateway.wait_for("Avahi in the box", lambda: self.has("/run/avahi-daemon/socket"))
        return avahi

    def start_networkd(self):
        """@return the process, so that a test can end it."""
        if not self.has("/run/dbus/system_bus_socket"):
            self.start_dbus()
        networkd = self.spawn(NETWORKD, stderr=subprocess.DEVNULL)
        gateway.wait_for("systemd-networkd in the box", lambda: "managed" in self.run(
            "networkctl", "list", "--no-pager", "--no-legend", check=False))
        return networkd

    def addresses(self, interface):
        """IPv4 addresses with prefix, as the kernel has them."""
        return [line.split()[3] for line in
                self.run("ip", "-o", "-4", "address", "show", "dev", interface).splitlines()]

    def routes(self):
        return self.run("ip", "-4", "route")

    def close(self):
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
        for child in self._children:
            child.wait(gateway.DEADLINE_S)
        self._holder.kill()
        self._holder.wait(gateway.DEADLINE_S)


def cable(box, end, other, other_end):
    """Join two boxes by an Ethernet cable."""
    subprocess.run(["ip", "link", "add", end, "netns", str(box.pid), "type", "veth", "peer",
                    "name", other_end, "netns", str(other.pid)], check=True)


def gateway_in(box, han2x, folder, settings, arguments=()):
    """A gateway.Gateway whose program runs in the box, with the standard Modbus port."""
    wrapper = folder / "han2x-in-box"
    wrapper.write_text("#!/bin/sh\nexec %s \"$@\"\n" % " ".join(box.inside(han2x)))
    wrapper.chmod(0o755)
    (folder / "state").mkdir(exist_ok=True)
    running = gateway.Gateway(str(wrapper), folder / "state", settings, 502, arguments)
    running.wait_log("Modbus TCP listens")
    return running


class Page:
    """Somebody with a browser in a box, at the pages of a gateway with the factory login."""

    def __init__(self, box, address):
        self.box, self.url = box, "http://%s/api/v1/" % address

    def __call__(self, path, method="GET", body=None):
        """(status, parsed body); (0, None) when nobody is there."""
        command = ["curl", "-s", "-m", "5", "-u", "bits:vari", "-X", method, "-w", "\n%{http_code}",
                   self.url + path]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(self.box.inside(*command), capture_output=True, text=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status or 0), json.loads(text) if text else None

    def until(self, path):
        """The body of the first good answer."""
        def look():
            status, body = self(path)
            return body if status == 200 else None
        return gateway.wait_for(self.url + path, look)


class Helper:
    """Stands in for han2x-network.path: starts the helper whenever the request is replaced."""

    def __init__(self, box, program, request, interface):
        self.command = [program, "--interface", interface, request]
        self.box, self.request = box, pathlib.Path(request)
        self.runs, self._seen = [], None

    def look(self):
        """Call in every round of waiting."""
        try:
            stamp = self.request.stat()
        except FileNotFoundError:
            return
        if (stamp.st_ino, stamp.st_mtime_ns) != self._seen:
            self._seen = (stamp.st_ino, stamp.st_mtime_ns)
            self.runs.append(subprocess.run(self.box.inside(*self.command), capture_output=True,
                                            text=True))

    def wait_for(self, what, condition, deadline_s=None):
        def look():
            self.look()
            return condition()
        started = time.monotonic()
        value = gateway.wait_for(what, look, deadline_s)
        self.took_s = time.monotonic() - started
        return value
