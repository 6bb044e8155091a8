"""Port numbers of the tests: what they are given, nobody else on the machine gets meanwhile."""
import pathlib
import subprocess
import sys

from ports import free_port

# many at once, too: a program that starts its servers from threads
ASK = """import ports, sys, concurrent.futures
sys.setswitchinterval(1e-6)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(*pool.map(lambda _: ports.free_port(), range(%d)), flush=True)
input()"""


def test_no_outgoing_connection_can_take_one():
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() < lowest


def test_no_port_is_given_to_two_runs_at_once():
    runs = [subprocess.Popen([sys.executable, "-c", ASK % 150], cwd=pathlib.Path(__file__).parent, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    given = [port for run in runs for port in run.stdout.readline().split()]
    for run in runs:
        run.communicate("\n", timeout=10)
    assert len(given) == len(set(given)) == 450
