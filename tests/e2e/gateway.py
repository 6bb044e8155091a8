"""A running gateway, its meter and its serial lines."""
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import threading
import time
import tty

from ports import free_port

SLOW = float(os.environ.get("SLOW", "1"))
DEADLINE_S = 20 * SLOW


def wait_for(what, condition, deadline_s=None):
    """The first true value of condition(), or an error that says what did not happen."""
    end = time.monotonic() + (deadline_s or DEADLINE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("did not happen in time: " + what)
        time.sleep(0.01)


class Output:
    """The file that a program writes to. Readers have a place of their own in it: a shared one would
    move where the program writes next."""

    def __init__(self, path):
        self._path, self._end = path, open(path, "a", encoding="utf-8")

    def fileno(self):
        return self._end.fileno()

    def text(self):
        with open(self._path, encoding="utf-8") as f:
            return f.read()

    def close(self):
        self._end.close()


class Line:
    """A serial line, made by socat: `ours` and `theirs` are the paths of its two ends."""

    def __init__(self, folder):
        self.ours, self.theirs = str(folder / "line-ours"), str(folder / "line-theirs")
        self._socat = subprocess.Popen(
            ["socat", "pty,raw,echo=0,link=" + self.ours, "pty,raw,echo=0,link=" + self.theirs])
        wait_for("a serial line by socat",
                 lambda: os.path.exists(self.ours) and os.path.exists(self.theirs))

    def close(self):
        self._socat.terminate()
        self._socat.wait(DEADLINE_S)


class MeterLine:
    """The meter's end of a serial line: path for the gateway, write() for telegrams."""

    def __init__(self):
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def write(self, data):
        while data:
            data = data[os.write(self._master, data):]

    def close(self):
        os.close(self._master)
        os.close(self._slave)


class Adapter:
    """A USB adapter as the gateway sees it: a name that comes and goes."""

    def __init__(self, path):
        self.path = path
        self._master = None

    def plug_in(self):
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        os.symlink(os.ttyname(slave), self.path)
        os.close(slave)

    def write(self, data):
        os.write(self._master, data)

    def unplug(self):
        os.close(self._master)
        self._master = None
        os.unlink(self.path)

    def close(self):
        if self._master is not None:
            self.unplug()


class Gateway:
    """One `han2x run`. Log lines gather in self.log."""

    def __init__(self, program, state_dir, settings, port, arguments=()):
        self.port = port
        self.state_dir = state_dir
        self.command = [program, "run", "--state-dir", str(state_dir), *arguments]
        for key, value in settings.items():
            self.command += ["-s", "%s=%s" % (key, value)]
        self.log = []
        env = {k: v for k, v in os.environ.items() if not k.startswith("HAN2X_")}
        env.pop("NOTIFY_SOCKET", None)
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, env=env)
        self._reader = threading.Thread(target=self._gather, daemon=True)
        self._reader.start()

    def _gather(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def text(self):
        return "\n".join(self.log)

    def wait_log(self, pattern, deadline_s=None):
        """The match of a regular expression in the log, once it is there."""
        def look():
            assert self.process.poll() is None, "ended: " + self.text()
            return re.search(pattern, self.text())
        return wait_for("log line /%s/ in:\n%s" % (pattern, self.text()), look, deadline_s)

    def wait_listening(self):
        def look():
            assert self.process.poll() is None, "ended: " + self.text()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for("Modbus TCP on port %d" % self.port, look)

    def stop(self, sig=signal.SIGTERM):
        """End it; the exit code must be 0, and soon."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("does not end on %s:\n%s" % (sig, self.text()))
        self._reader.join(DEADLINE_S)
        assert code == 0, "exit code %d:\n%s" % (code, self.text())

    def kill(self):
        """Like a power cut."""
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)


class Starter:
    """Starts gateways, and sees that each ends well."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self._open = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        problems = []
        for thing in reversed(self._open):
            try:
                (thing.stop if isinstance(thing, Gateway) else thing.close)()
            except AssertionError as problem:
                problems.append(str(problem))
        if problems and kind is None:
            raise AssertionError("\n".join(problems))

    def own(self, thing):
        """Have it closed at the end, after the gateways started later."""
        self._open.append(thing)
        return thing

    def meter(self):
        return self.own(MeterLine())

    def line(self):
        return self.own(Line(self.folder))

    def forget(self, running):
        """It was ended by the test itself."""
        self._open.remove(running)

    def __call__(self, settings=None, port=None, state="state", arguments=()):
        """Run a gateway on a free port of the loopback; settings are "section.key": value."""
        port = port or free_port()
        state_dir = self.folder / state
        state_dir.mkdir(exist_ok=True)
        all_settings = {
            "modbus_tcp.listen": "127.0.0.1",
            "modbus_tcp.port": port,
            "web.enabled": "no",
            "meter.source": "file:/dev/null",
        }
        all_settings.update(settings or {})  # None: as the file of the test says
        all_settings = {key: value for key, value in all_settings.items() if value is not None}
        running = self.own(Gateway(self.program, state_dir, all_settings, port, arguments))
        if all_settings.get("modbus_tcp.enabled", "yes") == "yes":
            running.wait_listening()
        for a_line in self._open:
            if isinstance(a_line, MeterLine) and \
                    all_settings.get("meter.source") == "serial:" + a_line.path:
                # octets that arrive before the line is set up are not read as they were meant
                running.wait_log(re.escape(a_line.path) + ": open")
        if all_settings.get("modbus_rtu.enabled") == "yes":
            running.wait_log("RTU")
        return running
