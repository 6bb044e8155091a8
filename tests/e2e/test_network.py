"""Network settings on a machine of its own: real systemd-networkd, real addresses (device manual:
new network settings apply within 10 s, without a power cycle). See netbox.py for how."""
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import gateway
import netbox

WHY_NOT = netbox.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

APPLY_S = 10
STATIC = "[network]\nmanage = yes\naddress = %s\ngateway = %s\n"


@pytest.fixture(scope="module")
def helper_program(han2x):
    path = pathlib.Path(han2x).parent / "ports/linux/han2x-network"
    if not path.is_file():
        pytest.fail("no helper at %s" % path)
    return str(path)


@pytest.fixture
def boxes():
    """The box under test with eth0, and another machine at the other end of its cable."""
    box, far = netbox.Box("box"), netbox.Box("far")
    try:
        netbox.cable(box, "eth0", far, "eth0")
        far.run("ip", "link", "set", "eth0", "up")
        yield box, far
    finally:
        box.close()
        far.close()


class Machine:
    """A gateway and its helper in a box."""

    def __init__(self, han2x, helper_program, box, folder):
        self.box, self.folder, self.han2x = box, folder, han2x
        self.state = folder / "state"
        self.conf = folder / "han2x.conf"
        self.helper = netbox.Helper(box, helper_program, self.state / "network.request", "eth0")
        self.gateway = None

    def start(self, conf=None, web=False, **settings):
        if conf is not None:
            self.conf.write_text(conf)
        self.box.run("mkdir", "-p", "/run/han2x-network")
        self.gateway = netbox.gateway_in(self.box, self.han2x, self.folder, {
            "web.enabled": "yes" if web else "no", "web.tls_port": "0",
            "web.factory_login": "allow", "meter.source": "sim:kaifa", **settings},
            ("-c", str(self.conf)))

    def set(self, conf):
        """Edit the file and have it loaded."""
        self.conf.write_text(conf)
        self.gateway.process.send_signal(signal.SIGHUP)

    def has(self, *addresses):
        self.helper.wait_for("addresses %s" % (addresses,),
                             lambda: self.box.addresses("eth0") == list(addresses))

    def said(self, pattern):
        return self.helper.wait_for("log line /%s/ in:\n%s" % (pattern, self.gateway.text()),
                                    lambda: re.search(pattern, self.gateway.text()))


@pytest.fixture
def machine(han2x, helper_program, boxes, tmp_path):
    one = Machine(han2x, helper_program, boxes[0], tmp_path)
    yield one
    if one.gateway is not None:
        one.gateway.stop()


def answers(far, address):
    """A foreign master on the other machine reads the first register at this address."""
    done = subprocess.run(far.inside("mbpoll", "-m", "tcp", "-p", "502", "-a", "1", "-t", "4:int",
                                     "-B", "-r", "1", "-c", "1", "-1", "-o", "2", address),
                          capture_output=True, text=True)
    return done.returncode == 0 and "[1]" in done.stdout


def test_factory_address_then_another_one(machine, boxes):
    box, far = boxes
    far.run("ip", "address", "add", "192.168.1.1/24", "dev", "eth0")
    far.run("ip", "address", "add", "10.20.0.1/16", "dev", "eth0")
    box.start_networkd()
    machine.start("[network]\nmanage = yes\n")
    machine.has("192.168.1.232/24")
    assert machine.helper.took_s < APPLY_S
    machine.said(r"network: settings in force \(192\.168\.1\.232/24\)")
    assert "default via 192.168.1.1 " in box.routes()
    gateway.wait_for("a master at the factory address", lambda: answers(far, "192.168.1.232"))

    process = machine.gateway.process.pid
    machine.set(STATIC % ("10.20.30.40/16", "10.20.0.1") + "hostname = cabin-3\n"
                "dns = 10.20.0.1 10.20.0.2\n")
    machine.has("10.20.30.40/16")
    assert machine.helper.took_s < APPLY_S
    machine.said(r"in force \(10\.20\.30\.40/16\)")
    gateway.wait_for("a master at the new address", lambda: answers(far, "10.20.30.40"))
    assert "default via 10.20.0.1 " in box.routes()
    assert box.run("hostname") == "cabin-3\n"
    assert box.read("/etc/hostname") == "cabin-3\n"
    assert "DNS=10.20.0.1 10.20.0.2" in box.read("/run/systemd/netif/state").splitlines()
    assert machine.gateway.process.pid == process and machine.gateway.process.poll() is None


def test_dhcp_and_back(machine, boxes):
    box, far = boxes
    far.write("/etc/systemd/network/10-eth0.network",
              "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.1/24\nDHCPServer=yes\n"
              "[DHCPServer]\nPoolOffset=50\nPoolSize=10\nEmitDNS=yes\nDNS=192.0.2.7\n")
    far.start_networkd()
    box.start_networkd()
    machine.start(STATIC % ("192.168.5.5/24", ""))
    machine.has("192.168.5.5/24")
    machine.set("[network]\nmanage = yes\nmode = dhcp\n")
    machine.helper.wait_for("a lease", lambda: any(
        re.match(r"192\.0\.2\.5\d/24$", a) for a in box.addresses("eth0")))
    assert machine.helper.took_s < APPLY_S
    assert "192.168.5.5/24" not in box.addresses("eth0")
    machine.set(STATIC % ("192.168.5.5/24", ""))
    machine.has("192.168.5.5/24")


def test_dhcp_without_a_server_gets_a_link_local_address(machine, boxes):
    box, _ = boxes
    box.start_networkd()
    machine.start("[network]\nmanage = yes\nmode = dhcp\n")
    # systemd 252 tries DHCP for some time first, then RFC 3927 probes for up to 9 s
    machine.helper.wait_for("a link-local address", lambda: any(
        a.startswith("169.254.") for a in box.addresses("eth0")), 60 * gateway.SLOW)


def test_given_back_the_network_is_as_before(machine, boxes):
    box, _ = boxes
    box.write("/etc/systemd/network/50-admin.network",
              "[Match]\nName=eth0\n[Network]\nAddress=198.51.100.7/24\n")
    box.start_networkd()
    gateway.wait_for("the administrator's address",
                     lambda: box.addresses("eth0") == ["198.51.100.7/24"])
    machine.start(STATIC % ("192.168.5.5/24", ""))
    machine.has("192.168.5.5/24")
    machine.set("[network]\nmanage = no\n")
    machine.has("198.51.100.7/24")
    assert not box.has("/etc/systemd/network/00-han2x.network")


def test_unmanaged_nothing_is_asked(machine, boxes):
    machine.start("[network]\nmanage = no\naddress = 192.168.9.9/24\n")
    machine.gateway.wait_log("good telegrams")
    assert not (machine.state / "network.request").exists()
    assert not (machine.state / "network").exists()


def test_a_plan_that_cannot_work_changes_nothing(machine, boxes):
    box, _ = boxes
    box.start_networkd()
    machine.start(STATIC % ("192.168.5.5/24", ""))
    machine.has("192.168.5.5/24")
    runs = len(machine.helper.runs)
    machine.set(STATIC % ("192.168.5.5/24", "192.168.6.1"))
    machine.said(r"network\.gateway = 192\.168\.6\.1: the gateway is outside the network")
    machine.said("the settings were not changed")
    machine.set(STATIC % ("192.168.5.255/24", ""))
    machine.said(r"network\.address.*is not allowed")
    machine.helper.look()
    assert len(machine.helper.runs) == runs
    assert box.addresses("eth0") == ["192.168.5.5/24"]


def test_quick_changes_end_at_the_newest(machine, boxes):
    box, _ = boxes
    box.start_networkd()
    machine.start(STATIC % ("192.168.5.1/24", ""))
    for last in range(2, 12):
        machine.set(STATIC % ("192.168.5.%d/24" % last, ""))
        machine.said(r"(?s)(settings loaded.*){%d}" % (last - 1))
    machine.has("192.168.5.11/24")
    machine.said(r"in force \(192\.168\.5\.11/24\)")


# as on an appliance: that the network is ours to set is said outside the settings file
OLD = "# a comment of the owner's\n[network]\naddress = 192.168.1.232/24\n"
APPLIANCE = {"web": True, "network.manage": "yes"}
NEW = {"network": {"address": "10.20.30.40/16", "gateway": "10.20.0.1"}}


def check_put_right(conf):
    """Every line of the owner's is there; the gateway that the page added says the old one."""
    keys = [line for line in conf.splitlines() if line and not line.startswith("#")]
    assert conf.startswith(OLD.rstrip("\n"))
    assert sorted(keys) == ["[network]", "address = 192.168.1.232/24", "gateway = 192.168.1.1"]


@pytest.fixture
def opened(machine, boxes):
    """Somebody has opened the pages at 192.168.1.232."""
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    box, far = boxes
    far.run("ip", "address", "add", "192.168.1.1/24", "dev", "eth0")
    far.run("ip", "address", "add", "10.20.0.1/16", "dev", "eth0")
    networkd = box.start_networkd()
    machine.start(OLD, **APPLIANCE)
    machine.has("192.168.1.232/24")
    machine.said(r"in force \(192\.168\.1\.232/24\)")
    page = netbox.Page(far, "192.168.1.232")
    assert page.until("network")["pending"] is False
    return machine, page, netbox.Page(far, "10.20.30.40"), networkd


@pytest.fixture
def changed(opened):
    """From there the gateway was just moved to 10.20.30.40; nobody was there yet."""
    status, body = opened[1]("settings", "PATCH", NEW)
    assert status == 200, body
    return opened


def test_a_page_moves_the_gateway_and_confirms(changed):
    machine, old, new, _ = changed
    machine.has("10.20.30.40/16")
    assert machine.helper.took_s < APPLY_S
    seen = new.until("network")
    assert seen["pending"] is True and 100 < seen["remaining_s"] <= 120 + APPLY_S
    assert (seen["old_address"], seen["new_address"]) == ("192.168.1.232/24", "10.20.30.40/16")
    assert seen["addresses"][0] == "10.20.30.40"
    assert old("network") == (0, None)
    machine.said("new settings in force")
    status, seen = new("network/confirm", "POST")
    assert status == 200, seen
    assert (seen["pending"], seen["remaining_s"]) == (False, 0)
    machine.said("the new settings are confirmed, reached at 10.20.30.40")
    assert "address = 10.20.30.40/16" in machine.conf.read_text()

    kept = re.compile(r"^kept yes static 10\.20\.30\.40/16 10\.20\.0\.1 ", re.M)
    gateway.wait_for("confirmed on disk", lambda: kept.search((machine.state / "network").read_text()))
    power_cut(machine)
    machine.start(**APPLIANCE)
    machine.said(r"in force \(10\.20\.30\.40/16\)")


def power_cut(machine):
    """The gateway is gone; the kernel that starts again calls itself by another name."""
    machine.gateway.kill()
    other = machine.folder / "boot-id"
    other.write_text("99999999-8888-7777-6666-555555555555\n")
    machine.box.run("mount", "--bind", other, "/proc/sys/kernel/random/boot_id")


def test_a_restart_in_between_changes_nothing(changed):
    machine, _, new, _ = changed
    machine.has("10.20.30.40/16")
    machine.said("new settings in force")
    gateway.wait_for("waiting on disk",
                     lambda: "phase waiting" in (machine.state / "network").read_text())
    machine.gateway.kill()
    machine.start(**APPLIANCE)
    seen = new.until("network")
    assert seen["pending"] is True and 60 < seen["remaining_s"] <= 120
    status, seen = new("network/confirm", "POST")
    assert status == 200 and seen["pending"] is False


def test_a_power_cut_brings_the_old_settings_back(changed):
    machine, old, _, _ = changed
    machine.has("10.20.30.40/16")
    machine.said("new settings in force")
    power_cut(machine)
    machine.start(**APPLIANCE)
    machine.has("192.168.1.232/24")
    gateway.wait_for("the settings file put right", lambda: "address = 10." not in machine.conf.read_text())
    check_put_right(machine.conf.read_text())
    seen = old.until("network")
    assert seen["pending"] is False and seen["new_address"] == "192.168.1.232/24"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
def test_a_power_cut_right_after_the_settings_file_was_replaced(opened):
    machine, old, _, _ = opened
    killer = subprocess.Popen(  # at the sync of the file's folder
        ["strace", "-f", "-p", str(machine.gateway.process.pid), "-o", "/dev/null", "-P", str(machine.folder),
         "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL"], stderr=subprocess.PIPE, text=True)
    assert "attached" in killer.stderr.readline()
    assert old("settings", "PATCH", NEW) == (0, None)
    assert machine.gateway.process.wait(gateway.DEADLINE_S) != 0
    killer.wait(gateway.DEADLINE_S)
    assert "address = 10.20.30.40/16" in machine.conf.read_text()
    power_cut(machine)
    machine.start(**APPLIANCE)
    machine.has("192.168.1.232/24")
    gateway.wait_for("the settings file put right", lambda: "address = 10." not in machine.conf.read_text())
    check_put_right(machine.conf.read_text())


def test_what_cannot_be_put_in_force_comes_back(changed):
    machine, _, _, networkd = changed
    networkd.terminate()
    networkd.wait(gateway.DEADLINE_S)
    machine.said("could not be put in force: systemd-networkd does not take it")
    gateway.wait_for("the settings file put right", lambda: "address = 10." not in machine.conf.read_text())
    check_put_right(machine.conf.read_text())
    machine.helper.wait_for("the old file", lambda: "Address=192.168.1.232/24\n" in
                            machine.box.read("/etc/systemd/network/00-han2x.network"))


def test_no_networkd_is_told_in_words(machine, boxes):
    machine.start(STATIC % ("192.168.5.5/24", ""))
    machine.said("systemd-networkd does not take it: is it running")


def test_no_helper_is_told_in_words(machine, boxes):
    machine.start(STATIC % ("192.168.5.5/24", ""))
    machine.gateway.wait_log("no answer from the helper: is the package han2x-appliance")


def test_helper_believes_nothing(helper_program, boxes, tmp_path):
    """Requests as a captured gateway could write them: nothing is applied, no link followed."""
    box, _ = boxes
    box.run("mkdir", "-p", "/run/han2x-network")
    request = tmp_path / "request"
    result = "/run/han2x-network/result"
    good = "id 0123456789abcdef\nplan yes static 192.168.5.5/24 - - han2x\n"
    for text, answer in [
            ("", None), ("id 0123\n", None), ("id 0123456789abcdeg\nplan x\n", None),
            ("x" * 5000, None),
            (good[:-1], "refused not a request"),
            (good.replace("han2x", "han2x\n[Route]"), "refused not a plan"),
            (good.replace("han2x", "$(reboot)"), "refused not a plan"),
            (good.replace("5.5/24", "5.255/24"), "refused the network's own"),
            (good.replace("5/24 -", "5/24 10.0.0.1"), "refused the gateway is outside")]:
        box.run("rm", "-f", result)
        request.write_text(text)
        subprocess.run(box.inside(helper_program, "--interface", "eth0", request), check=False,
                       capture_output=True)
        got = box.read(result).splitlines()[1] if box.has(result) else None
        assert (got or "").startswith(answer or "") and (got is None) == (answer is None), text
        assert not box.has("/etc/systemd/network/00-han2x.network"), text
    secret = tmp_path / "link"
    secret.symlink_to("/etc/passwd")
    done = subprocess.run(box.inside(helper_program, secret), capture_output=True, text=True)
    assert "Too many levels of symbolic links" in done.stderr
    for bad in ("eth*", "a b", "", "a" * 16, "eth0\nName=*"):
        done = subprocess.run(box.inside(helper_program, "--interface", bad, request),
                              capture_output=True, text=True)
        assert done.returncode == (2 if bad else done.returncode), bad
