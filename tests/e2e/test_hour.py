"""The hour changes: energies arrive, estimates run on between, and nothing ever goes back (M20)."""
import subprocess
import time

import pytest

import han_decoder
import masters
import telegrams
from gateway import DEADLINE_S, wait_for
from masters import u32

KWH, ESTIMATED_KWH = 20, 28
TOTAL_WH, ESTIMATED_WH = 1180, 1196
QUALITY_TOTAL, QUALITY_ESTIMATE = 1160, 1168
UNKNOWN, MEASURED, ESTIMATED, HELD = range(4)
TELEGRAMS, DROPPED_IDENTITY, DROPPED_ENERGY = 1040, 1082, 1084


def u64(words):
    return u32(words) << 32 | u32(words, 2)


class Home:
    """A gateway, the meter that feeds it and a master that watches the estimate."""

    def __init__(self, start):
        self._start = start
        self.meter = start.meter()
        self.begin()

    def begin(self):
        self.gateway = self._start({"meter.source": "serial:" + self.meter.path})
        self.master = masters.Libmodbus.tcp(self.gateway.port)
        self.sent = 0

    def end(self, how):
        """stop or kill."""
        self.master.close()
        how(self.gateway)
        self._start.forget(self.gateway)

    def send(self, clock, **values):
        """One telegram, and wait until it is judged."""
        self.meter.write(telegrams.kaifa(clock, **values))
        self.sent += 1
        judged = (TELEGRAMS, DROPPED_IDENTITY, DROPPED_ENERGY)
        wait_for("telegram of " + clock,
                 lambda: sum(u32(self.master.read(at, 2)) for at in judged) == self.sent)

    def total_kwh(self):
        return u32(self.master.read(KWH, 2))

    def estimated_kwh(self):
        return u32(self.master.read(ESTIMATED_KWH, 2))

    def total_wh(self):
        return u64(self.master.read(TOTAL_WH, 4))

    def estimated_wh(self):
        return u64(self.master.read(ESTIMATED_WH, 4))

    def quality(self, address):
        return self.master.read(address, 1)[0]


@pytest.fixture
def home(start):
    home = Home(start)
    yield home
    home.master.close()


def saved_state(running):
    path = running.state_dir / "state"
    return path.read_text() if path.exists() else ""


def use_energy(home, clock, at_least_wh):
    """36 kW is 10 Wh each second: send until the estimate has grown; every estimate seen."""
    begin, first = time.monotonic(), home.estimated_wh()
    series = [first]
    home.send(clock, power_w=36000)

    def grown():
        home.send(clock, power_w=36000)
        series.append(home.estimated_wh())
        return series[-1] >= first + at_least_wh
    wait_for("%d Wh at 36 kW" % at_least_wh, grown)
    home.send(clock, power_w=0)
    series.append(home.estimated_wh())
    # not more than flowed while we looked, and one for rounding
    assert series[-1] - first <= 10 * (time.monotonic() - begin) + 1
    assert series == sorted(series)
    return series


def test_nothing_before_the_first_hour(home):
    home.send("2025-01-06T17:59:40", power_w=36000)
    home.send("2025-01-06T17:59:50", power_w=36000)
    assert home.master.read(KWH, 16) == [0] * 16
    assert home.quality(QUALITY_TOTAL) == home.quality(QUALITY_ESTIMATE) == UNKNOWN


def test_hours_and_the_time_between(home):
    home.send("2025-01-06T18:00:10", energy_wh=12345995, export_wh=7999)
    assert home.master.read(KWH, 4) == [0, 12345, 0, 7]  # whole kWh, rounded down
    assert home.master.read(ESTIMATED_KWH, 4) == [0, 12345, 0, 7]
    assert home.total_wh() == home.estimated_wh() == 12345995
    assert home.quality(QUALITY_TOTAL) == MEASURED

    use_energy(home, "2025-01-06T18:30:00", 5)
    assert (home.total_kwh(), home.estimated_kwh()) == (12345, 12346)
    assert home.quality(QUALITY_ESTIMATE) == ESTIMATED
    assert u32(home.master.read(ESTIMATED_KWH + 2, 2)) == 7  # nothing was exported

    # the meter counted more than we did: step up to it
    home.send("2025-01-06T19:00:10", energy_wh=12348000, export_wh=7999)
    assert home.total_wh() == home.estimated_wh() == 12348000

    # the meter counted less: hold until it has caught up
    shown = use_energy(home, "2025-01-06T19:30:00", 5)[-1]
    home.send("2025-01-06T20:00:10", energy_wh=12348001, export_wh=7999)
    assert (home.total_wh(), home.estimated_wh()) == (12348001, shown)
    assert home.quality(QUALITY_ESTIMATE) == HELD
    assert use_energy(home, "2025-01-06T20:30:00", 8)[-1] > shown
    assert home.quality(QUALITY_ESTIMATE) == ESTIMATED


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_restores(home, how):
    home.send("2025-01-06T18:00:10", energy_wh=12345995)
    shown = use_energy(home, "2025-01-06T18:30:00", 5)[-1]
    if how == "kill":  # a power cut: what the hour brought is on disk soon after it
        wait_for("the energies on disk", lambda: " 12345995 " in saved_state(home.gateway))
    home.end(lambda g: getattr(g, how)())
    home.begin()
    # at once, without any telegram
    assert home.total_kwh() == 12345
    if how == "stop":
        assert home.estimated_wh() == shown
    else:
        # what was shown since the last save is covered by what that was made out ahead
        assert shown <= home.estimated_wh() <= shown + 150
    before = home.estimated_wh()
    # the next hour goes on from there
    home.send("2025-01-06T19:00:10", energy_wh=12346500)
    assert before <= home.estimated_wh() <= 12346500

    def goes_on():  # once a save has had time to get to the disk
        home.send("2025-01-06T19:00:20", power_w=0)
        return home.estimated_wh() == 12346500
    wait_for("the estimate at the new total", goes_on)


def test_another_meter_starts_afresh(home):
    home.send("2025-01-06T18:00:10", energy_wh=12345995)
    other = {"energy_wh": 4000, "meter_id": "6970630000000025"}
    home.send("2025-01-06T19:00:10", **other)
    assert home.total_wh() == 12345995  # one list alone is not believed
    home.send("2025-01-06T19:00:20", **other)
    assert home.total_wh() == home.estimated_wh() == 4000
    home.gateway.wait_log("6970630000000025")


def test_counter_reset_starts_afresh(home):
    home.send("2025-01-06T18:00:10", energy_wh=12345995)
    home.send("2025-01-06T19:00:10", energy_wh=10)
    assert home.total_wh() == home.estimated_wh() == 12345995
    home.send("2025-01-06T20:00:10", energy_wh=1010)
    assert home.total_wh() == home.estimated_wh() == 1010


# a few seconds before each maker's own second
STARTS = {"aidon": "18:00:08", "kaifa": "18:00:08", "kamstrup": "18:00:03"}


@pytest.mark.parametrize("maker", sorted(STARTS))
def test_simulated_hour(han2x, start, maker):
    """In real time, over TCP; the independent decoder says what must arrive."""
    meter = ["--meter", maker, "--start", "2025-01-06T%sZ" % STARTS[maker], "--count", "4"]
    foreseen = subprocess.run([han2x, "simulate", "--pace", "max", *meter],
                              capture_output=True, timeout=DEADLINE_S, check=True).stdout
    hourly = [r for r in han_decoder.decode_stream(foreseen) if r["list"] == 3]
    assert len(hourly) == 1
    process = subprocess.Popen([han2x, "simulate", *meter, "-o", "tcp:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        running = start({"meter.source": "tcp://" + process.stdout.readline().strip()})
        master = masters.Libmodbus.tcp(running.port)
        wait_for("the hourly list", lambda: u32(master.read(1046, 2)) == 1)
        wh = [int(hourly[0][key]) for key in han_decoder.FIELDS[13:17]]
        assert [u64(master.read(TOTAL_WH + 4 * i, 4)) for i in range(4)] == wh
        assert [u32(master.read(KWH + 2 * i, 2)) for i in range(4)] == [v // 1000 for v in wh]
        # Aidon's total is ten seconds old: the estimate is ahead by what has flowed since
        ahead = [u64(master.read(ESTIMATED_WH + 4 * i, 4)) - wh[i] for i in range(4)]
        assert all(0 <= a <= 50 for a in ahead)
        master.close()
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
