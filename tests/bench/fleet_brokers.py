"""Brokers for the fleet: mosquitto alone, and three RabbitMQ nodes that form a cluster.

Everything listens on loopback addresses and lives in one folder. `hosts` are the addresses of the
nodes, `port` is the same on all of them.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from ports import free_port  # noqa: E402  (another folder of tests)

RABBITMQ = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_S = 90


class Unavailable(Exception):
    """This broker cannot be run here; the text says why."""


def listens(host, port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def wait_listening(host, port, process, log):
    end = time.monotonic() + START_S
    while not listens(host, port):
        if process.poll() is not None:
            raise Unavailable(f"ended with {process.returncode}, see {log}")
        if time.monotonic() > end:
            raise Unavailable(f"does not listen on {host}:{port} after {START_S} s, see {log}")
        time.sleep(0.1)


def children(pid):
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text(encoding="ascii").split()]
    return found


class Mosquitto:
    """One node. What it has acknowledged and not yet passed on is lost when it is killed."""

    name = "mosquitto"

    def __init__(self, folder):
        self.hosts, self.port = ["127.0.0.1"], free_port()
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        # queues without end: a fleet's hourly readings come all at once, and 1000 is the default
        self._config.write_text("\n".join([
            "user root", f"listener {self.port} 127.0.0.1", "allow_anonymous true",
            "max_queued_messages 0", "max_inflight_messages 1000",
            "persistence true", f"persistence_location {folder}/", "autosave_interval 5", ""]),
            encoding="ascii")
        self._process = None
        self.start(0)

    def start(self, _node):
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", str(self._config)], stdout=log,
                                             stderr=log, stdin=subprocess.DEVNULL)
        wait_listening("127.0.0.1", self.port, self._process, self._log)

    def kill(self, _node):
        self._process.kill()
        self._process.wait()

    def freeze(self, _node):
        raise Unavailable("a lone broker that is frozen is no fail-over")

    def pids(self):
        return [self._process.pid] if self._process.poll() is None else []

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill(0)


RABBITMQ_CONF = """\
listeners.tcp = none
mqtt.listeners.tcp.1 = {host}:{port}
mqtt.tcp_listen_options.backlog = 1024
mqtt.durable_queue_type = quorum
mqtt.prefetch = 1000
cluster_formation.peer_discovery_backend = classic_config
{nodes}
cluster_partition_handling = pause_minority
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 500MB
log.console = false
log.file.level = warning
"""


class RabbitCluster:
    """Three nodes. Queues of lasting subscribers are quorum queues: on two disks before the
    publisher gets its acknowledgement."""

    name = "RabbitMQ, 3 nodes"

    def __init__(self, folder):
        if not RABBITMQ.exists():
            raise Unavailable(
                "rabbitmq-server is not installed: apt-get install --no-install-recommends "
                "rabbitmq-server (it starts a service: systemctl disable --now rabbitmq-server)")
        self.hosts = [f"127.0.1.{11 + i}" for i in range(3)]
        self.port = free_port(self.hosts[0])
        self._folder = folder
        self._names = [f"han2x{i}@{host}" for i, host in enumerate(self.hosts)]
        self._env = dict(os.environ, HOME=str(folder), ERL_EPMD_PORT=str(free_port()),
                         ERL_EPMD_ADDRESS=",".join(self.hosts), RABBITMQ_USE_LONGNAME="true")
        cookie = folder / ".erlang.cookie"
        cookie.write_text("fleet", encoding="ascii")
        cookie.chmod(0o400)
        self._epmd = subprocess.Popen(["epmd"], env=self._env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._nodes = [None] * 3
        try:
            for node in range(3):  # one after the other: nodes that are made together wait for each other
                self.start(node)
        except Exception:
            self.close()
            raise

    def _launch(self, node):
        folder = self._folder / f"node{node}"
        folder.mkdir(exist_ok=True)
        (folder / "rabbitmq.conf").write_text(RABBITMQ_CONF.format(
            host=self.hosts[node], port=self.port, nodes="\n".join(
                f"cluster_formation.classic_config.nodes.{i + 1} = {name}"
                for i, name in enumerate(self._names))), encoding="ascii")
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n", encoding="ascii")
        (folder / "env").write_text("", encoding="ascii")
        address = self.hosts[node].replace(".", ",")
        env = dict(
            self._env, RABBITMQ_NODENAME=self._names[node], RABBITMQ_MNESIA_BASE=f"{folder}/data",
            RABBITMQ_LOG_BASE=f"{folder}/log", RABBITMQ_PID_FILE=f"{folder}/pid",
            RABBITMQ_CONFIG_FILE=f"{folder}/rabbitmq.conf",
            RABBITMQ_CONF_ENV_FILE=f"{folder}/env", RABBITMQ_ENABLED_PLUGINS_FILE=f"{folder}/plugins",
            RABBITMQ_DIST_PORT=str(free_port(self.hosts[node])), ERL_CRASH_DUMP=f"{folder}/dump",
            # waiting threads sleep: three nodes share few processors here
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none "
            # a silent node is given up by the others after 10 s; the default is 60
            f"-kernel inet_dist_use_interface {{{address}}} -kernel net_ticktime 8")
        with open(folder / "out", "ab") as log:
            self._nodes[node] = subprocess.Popen([RABBITMQ], env=env, cwd=folder, stdout=log,
                                                 stderr=log, stdin=subprocess.DEVNULL,
                                                 start_new_session=True)

    def start(self, node):
        self._launch(node)
        wait_listening(self.hosts[node], self.port, self._nodes[node],
                       self._folder / f"node{node}" / "out")

    def kill(self, node):
        if self._nodes[node].poll() is None:
            os.killpg(self._nodes[node].pid, signal.SIGKILL)
        self._nodes[node].wait()

    def freeze(self, node):
        """Like a power cut: its connections stay open, and nothing comes."""
        os.killpg(self._nodes[node].pid, signal.SIGSTOP)

    def pids(self):
        alive = [node for node in self._nodes if node is not None and node.poll() is None]
        return [pid for node in alive for pid in children(node.pid)]

    def close(self):
        for node, process in enumerate(self._nodes):
            if process is not None:
                self.kill(node)
        self._epmd.kill()
        self._epmd.wait()
