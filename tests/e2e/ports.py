"""Port numbers for servers of the tests.

A server here is told its port before it listens, so the port must stay free in between. Outgoing
connections get theirs from the kernel's own range (net.ipv4.ip_local_port_range, from 32768); these
are below it. Nor does another run of the tests on the machine get one: a block of numbers belongs to the process that holds the block's abstract
socket, which the kernel frees with the process, and which is seen as far as the ports are (its
network namespace)."""
import errno
import socket
import threading

FIRST, LAST, BLOCK = 24000, 31999, 100
_held = []  # the sockets of our blocks


def _block_is_ours(first):
    token = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        token.bind("\0han2x-test-ports-%d" % first)
    except OSError as e:
        token.close()
        if e.errno != errno.EADDRINUSE:
            raise
        return False
    _held.append(token)
    return True


def _numbers():
    for first in range(FIRST, LAST, BLOCK):
        if _block_is_ours(first):
            yield from range(first, first + BLOCK)
    raise RuntimeError("no port is left from %d to %d" % (FIRST, LAST))


_next, _one_at_a_time = _numbers(), threading.Lock()


def _number():
    with _one_at_a_time:
        return next(_next)


def free_port(host=""):
    """A TCP port that nobody has on `host` (every IPv4 address) and that was not given before."""
    while True:
        port = _number()
        with socket.socket() as s:
            try:
                s.bind((host, port))
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
