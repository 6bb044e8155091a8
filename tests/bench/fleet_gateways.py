"""N gateways with N meters, all played by this process through the gateways' standard inputs.

A meter is a Kaifa: power every 2 s, currents and voltages every 10 s. Its hours are as short as
asked for; the clock in its telegrams says otherwise, and by that clock the energies are plausible.
"""
import datetime
import os
import pathlib
import re
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import telegrams  # noqa: E402  (another folder of tests)

TICK_S = 2.0       # a Kaifa's list 1
SLICES = 20        # meters are not all of one mind: their seconds spread over the tick
LIST_2_EVERY = 5   # ticks
FIRST_HOUR = datetime.datetime(2025, 1, 6)  # local time, Europe/Oslo: an hour ahead of UTC


def clock(hour, second):
    return (FIRST_HOUR + datetime.timedelta(hours=hour, seconds=second)).isoformat()


def energy_wh(gateway, hour):
    """Counter of a gateway's meter at a full hour. No two meters ever say the same."""
    return 1_000_000 * (gateway + 1) + (1000 + gateway) * hour


def expected_hour(gateway, hour):
    """What must arrive on <topic>/hour: (hourStartUtc, importKwh). The list at 07:00 local time
    ends the hour that began at 06:00, which is 05:00 UTC."""
    start = FIRST_HOUR + datetime.timedelta(hours=hour - 2)
    return start.isoformat() + "Z", energy_wh(gateway, hour) / 1000


def list_1(when, power_w):
    head = bytes.fromhex("e6e7000f40000000") + b"\x09\x0c" + telegrams._clock(when)
    return telegrams.frame(head + b"\x02\x01\x06" + struct.pack(">I", power_w))


def meter_id(gateway):
    return "69706300%08d" % gateway


class Gateway:
    """One process. Log and state stay in its folder."""

    def __init__(self, program, folder, number, settings):
        self.folder, self.log = folder, folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(program), "run", "--state-dir", str(folder)]
        for key, value in dict(settings, **{"meter.source": "stdin"}).items():
            command += ["-s", f"{key}={value}"]
        self.number, self.command, self.process = number, command, None
        self.hour = -1  # newest that was sent to it

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=log,
                                            stderr=log)
        os.set_blocking(self.process.stdin.fileno(), False)

    def send(self, octets):
        os.write(self.process.stdin.fileno(), octets)  # a pipe takes a telegram whole or not at all


def cpu_s(pid):
    """Of all threads. From the scheduler: the tick that /proc/PID/stat counts by misses work that
    is over in microseconds."""
    return sum(int(task.read_text(encoding="ascii").split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory_kb(pid):
    """(PSS, RSS): with shared pages shared out, and as each process would count them."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return tuple(int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) for key in ("Pss", "Rss"))


def total(pids, measure):
    """Sum of a measure over processes; those that ended count nothing."""
    found = []
    for pid in pids:
        try:
            found.append(measure(pid))
        except (OSError, AttributeError):
            continue
    return found


class Fleet:
    """Start gateways, feed them, end them."""

    def __init__(self, program, folder, count, settings_of):
        self.gateways = [Gateway(program, folder / f"gateway{i}", i, settings_of(i))
                         for i in range(count)]
        self.late_s = 0.0  # how far the feeder fell behind: a measurement of a busy machine
        self._hours, self._lock = [], threading.Lock()
        self.hour = -1     # newest hour that was sent to everybody
        self._stop = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)

    def start(self):
        for gateway in self.gateways:
            gateway.start()
        self._feeder.start()

    def next_hour(self, over_s):
        """Send the next hourly list to all, spread over a time; returns when it is done."""
        hour = self.hour + 1
        begin = time.monotonic()
        for i, gateway in enumerate(self.gateways):
            due = begin + over_s * i / len(self.gateways)
            if due > time.monotonic():
                time.sleep(due - time.monotonic())
            frame = telegrams.kaifa(clock(hour, 10), power_w=1500, energy_wh=energy_wh(i, hour),
                                    meter_id=meter_id(i))
            with self._lock:
                gateway.send(frame)
                gateway.hour = hour
        self.hour = hour

    def _feed(self):
        slice_s, number = TICK_S / SLICES, 0
        begin = time.monotonic()
        while not self._stop.is_set():
            due = begin + slice_s * number
            wait = due - time.monotonic()
            self.late_s = max(self.late_s, -wait)
            if wait > 0:
                self._stop.wait(wait)
            self._feed_slice(number % SLICES, number // SLICES)
            number += 1

    def _feed_slice(self, part, tick):
        power_w = 1500 + 37 * (tick % 23)
        short = {}  # list 1 by its hour: the same for all whose clock is there
        for gateway in self.gateways[part::SLICES]:
            with self._lock:  # a gateway's clock never runs back
                when = clock(max(gateway.hour, 0), 20 + tick % 1000)
                if tick % LIST_2_EVERY == 0:
                    volts = [2290 + (tick * step + gateway.number) % 29 for step in (3, 5, 7)]
                    frame = telegrams.kaifa(when, power_w, meter_id=meter_id(gateway.number),
                                            voltages_dv=volts)
                else:
                    if when not in short:
                        short[when] = list_1(when, power_w)
                    frame = short[when]
                gateway.send(frame)

    def pids(self):
        return [g.process.pid for g in self.gateways if g.process is not None
                and g.process.poll() is None]

    def close(self):
        self._stop.set()
        if self._feeder.is_alive():
            self._feeder.join()
        started = [g for g in self.gateways if g.process is not None]
        for gateway in started:
            gateway.process.terminate()
        end = time.monotonic() + 30
        for gateway in started:
            try:
                gateway.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                gateway.process.kill()
                gateway.process.wait()
            gateway.process.stdin.close()
