"""Time: years in minutes. year.c lets a household be measured, drives the gateway's core with the telegrams as the
daemon does, and works out by itself what must come of them; here is which years, and what is promised."""

import concurrent.futures
import datetime
import os
import shutil
import subprocess
import tempfile

from lab import Lab

TITLE = "Time: a year in minutes"
MAKERS = ["aidon", "kaifa", "kamstrup"]
COMMAND = "./dev prove year"
DAY = 86400
# Hourly lists: so many of a thousand are doubled, late, repeated an hour later (Aidon), lost.
LISTS = "lists=30,20,10,30"
ERROR_GOAL = 0.5  # percent, with all telegrams
EDGES = {"2^31 ms": 2**31, "2^32 ms": 2**32, "2^31 s": 2**31 * 1000, "2^32 s": 2**32 * 1000}  # in ms


def utc(*when: int) -> int:
    return int(datetime.datetime(*when, tzinfo=datetime.timezone.utc).timestamp())


AUTUMN = utc(2026, 10, 25, 1)  # summer time ends; and begins
SPRING = utc(2027, 3, 28, 1)


class Run:
    """One life of a gateway, and what year.c found in it."""

    def __init__(self, name: str, maker: str, start: int, end: int, **options):
        self.name = name
        self.maker = maker
        self.days = round((end - start) / DAY)
        self.options = [f"maker={maker}", f"start={start}", f"end={end}"]
        self.options += [f"{k.replace('_', '-')}={v}" for k, v in options.items()]
        self.is_faulty = "faults" in options or "cuts" in options
        self.found: dict[str, float] = {}
        self.told = ""

    def go(self, lab: Lab) -> None:
        # readings go through the real backlog, whose syncs cost minutes on a disk
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else lab.work
        folder = tempfile.mkdtemp(prefix="han2x-year-", dir=shm)
        try:
            done = subprocess.run([lab.program("year"), f"dir={folder}", *self.options], capture_output=True,
                                  text=True, check=False)
        finally:
            shutil.rmtree(folder)
        self.told = f"{' '.join(self.options)}: exit {done.returncode}\n{done.stderr[-1500:]}"
        if done.returncode == 0:
            self.found = {name: float(v) for name, v in (line.split() for line in done.stdout.splitlines())}

    def __getitem__(self, name: str) -> float:
        return self.found[name]


def go(lab: Lab, runs: list[Run]) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda r: r.go(lab), runs))


# ---- what is promised -------------------------------------------------------------------------

NEVER = {
    "steps_back": "no estimate ran backwards",
    "integral_wrong": "each estimate is, to the half mJ, the integral of the powers that came",
    "readings_wrong": "each hourly reading is right",
    "readings_missing": "no hourly reading is missing",
    "readings_doubled": "no hourly reading came twice",
    "state_lost": "each saved state came back",
    "starts_wrong": "the count of starts is right",
}


def check_always(lab: Lab, r: Run) -> None:
    """What holds in every life."""
    name = f"{r.maker}, {r.name}"
    if not lab.check(f"{name}: ran to its end", bool(r.found), r.told):
        return
    for key, promise in NEVER.items():
        lab.check(f"{name}: {promise}", r[key] == 0, f"{r[key]:.0f} times\n{r.told}")
    lab.check(f"{name}: there were readings", r["readings"] > 0, r.told)
    lab.check(f"{name}: memory stays flat", r["rss_after_kb"] - r["rss_before_kb"] <= 256,
              f"{r['rss_before_kb']:.0f} to {r['rss_after_kb']:.0f} KB")
    if r.is_faulty:
        lab.check(f"{name}: lists wait for a second only where the meter changed",
                  r["refused"] <= r["allowed_refusals"], f"{r['refused']:.0f} of {r['allowed_refusals']:.0f}\n{r.told}")
    else:
        lab.check(f"{name}: no telegram is refused", r["drops"] == 0, f"{r['drops']:.0f}\n{r.told}")


def check_error(lab: Lab, r: Run) -> None:
    for key, what in (("error_import", "in all"), ("day_worst", "on the worst day")):
        lab.check(f"{r.maker}, {r.name}: error {what} below {ERROR_GOAL} %", abs(r[key]) < ERROR_GOAL,
                  f"{r[key]} %\n{r.told}")


# ---- the years --------------------------------------------------------------------------------

def calm(lab: Lab) -> list[Run]:
    spans = [(utc(2026, 7, 1), utc(2027, 7, 1))]
    if lab.quick:
        spans = [(day - 3 * DAY, day + 2 * DAY) for day in (AUTUMN, SPRING)]
    return [Run("all telegrams", m, *span, solar=1, seed=i + 1) for m in MAKERS for i, span in enumerate(spans)]


def lossy(lab: Lab) -> list[Run]:
    days = 2 if lab.quick else 30
    start = utc(2026, 11, 1)
    return [Run(f"{p} % lost", m, start, start + days * DAY, solar=1, loss_ppm=p * 10000)
            for m in MAKERS for p in (1, 10, 50)]


def faulty(lab: Lab) -> list[Run]:
    spans = [(utc(2026, 7, 1), utc(2027, 7, 1))]
    if lab.quick:
        spans = [(day - 6 * DAY, day + 4 * DAY) for day in (AUTUMN, SPRING)]
    return [Run("faults", m, *span, seed=i + 1, wall="mixed", faults=1, lists=LISTS.split("=")[1])
            for m in MAKERS for i, span in enumerate(spans)]


def cut_storm(lab: Lab) -> list[Run]:
    start = utc(2026, 10, 1)
    return [Run("power cuts", m, start, start + (5 if lab.quick else 60) * DAY, cuts=1) for m in MAKERS]


def nights(lab: Lab) -> list[Run]:
    """The two nights, with each way to know the time and each maker's second."""
    out = []
    for season, change in (("autumn", AUTUMN), ("spring", SPRING)):
        for wall in ("set", "none"):
            for maker, options in [("aidon", {}), ("kaifa", {})] + [
                    ("kamstrup", {"hourly": s, "summer_status": s % 10 == 5 and d})
                    for s in (5, 25, 35, 55) for d in (0, 1)]:
                for seed in range(1, 3 if lab.quick else 9):
                    out.append(Run(f"night of {season}, clock {wall}", maker, change - 9 * 3600, change + 9 * 3600,
                                   wall=wall, seed=seed, lists="400,200,200,150", **options))
    return out


def edges(lab: Lab) -> list[tuple[str, Run]]:
    start = utc(2026, 10, 1)
    end = start + 5 * 3600
    out = []
    for maker in MAKERS:
        for name, ms in EDGES.items():
            out.append((f"running time at {name}", Run(name, maker, start, end, mono=ms - 9000000)))
            out.append((f"up-time {name}", Run(name, maker, start, end, uptime=ms - 9000000)))
        y2038 = 2**31 - 9000
        out.append(("clock at 2^31 s (2038)", Run("2038", maker, y2038, y2038 + 18000)))
        out.append(("host clock at 2^32 s (2106)", Run("2106", maker, start, end, wall_off=2**32 - start - 9000)))
        out.append(("counts of starts and telegrams at 2^32", Run("counts", maker, start, end, counters=2**32 - 1)))
    return out


# ---- the report -------------------------------------------------------------------------------

def merged(runs: list[Run], key: str, how=sum) -> float:
    return how(r[key] for r in runs)


def table_calm(lab: Lab, runs: list[Run]) -> None:
    rows = []
    for r in runs:
        rows.append([r.maker, r.days, f"{r['telegrams']:,.0f}", f"{r['import_kwh']:,.0f} kWh", f"{r['error_import']:+.4f} %",
                     f"{r['day_worst']:.3f} %", f"{r['hour_median']:.3f} %", f"{r['hour_p99']:.2f} %",
                     f"{r['ahead_wh']:.0f}, {r['behind_wh']:.0f} Wh", f"{r['readings']:.0f} of {r['lists']:.0f}"])
    lab.table("All telegrams: estimate of active import against the true integral",
              ["meter", "days", "telegrams", "drawn", "error in all", "worst day", "median hour", "99 % of hours",
               "shown ahead, behind at most", "hourly readings"], rows, COMMAND,
              "hours with less than 100 Wh are left out of the hours' figures")


def table_lossy(lab: Lab, runs: list[Run]) -> None:
    rows = [[r.maker, r.name, f"{r['delivered']:,.0f} of {r['telegrams']:,.0f}", f"{r['error_import']:+.3f} %",
             f"{r['day_worst']:.2f} %", f"{r['hour_median']:.2f} %", f"{r['hour_p99']:.1f} %",
             f"{r['ahead_wh']:.0f}, {r['behind_wh']:.0f} Wh", f"{r['readings']:.0f} of {r['lists']:.0f}"] for r in runs]
    lab.table("Telegrams lost at random, hourly lists too", ["meter", "lost", "delivered", "error in all", "worst day",
              "median hour", "99 % of hours", "shown ahead, behind at most", "hourly readings"], rows, COMMAND,
              "a reading is missing only where its list was lost; the total catches up with the next")


def table_faulty(lab: Lab, runs: list[Run]) -> None:
    shown = {"days": "days", "restarts": "restarts", "cuts": "power cuts", "suspends": "suspends",
             "silences": "silences", "stalls": "stalls", "wall_jumps": "host clock jumps", "clock_jumps": "meter clock jumps",
             "swaps": "meters replaced", "resets": "counters reset, wrapped", "lists_doubled": "lists doubled",
             "lists_late": "late", "lists_repeated": "an hour repeated", "lists_lost": "lost", "readings": "hourly readings",
             "refused": "lists that waited for a second", "steps_back": "steps back"}
    rows = []
    for maker in MAKERS:
        mine = [r for r in runs if r.maker == maker]
        rows.append([maker] + [f"{sum(r.days for r in mine) if k == 'days' else merged(mine, k):,.0f}" for k in shown])
    lab.table("With faults", ["meter at first"] + list(shown.values()), rows, COMMAND)


def table_cuts(lab: Lab, runs: list[Run]) -> None:
    rows = [[r.maker, r.days, f"{r['cuts']:,.0f}", f"{r['saves']:,.0f}", f"{r['steps_back']:.0f}"] for r in runs]
    lab.table("Power cuts, one in 150 s, saves reaching the disk 5 to 1500 ms late",
              ["meter", "days", "cuts", "saves", "estimates that fell back"], rows, COMMAND)


def table_edges(lab: Lab, found: list[tuple[str, Run]]) -> None:
    names = list(dict.fromkeys(name for name, _ in found))
    rows = []
    for name in names:
        mine = [r for n, r in found if n == name]
        rows.append([name, f"{merged(mine, 'telegrams'):,.0f}", f"{merged(mine, 'readings'):.0f} of "
                     f"{merged(mine, 'lists'):.0f}", f"{merged(mine, 'integral_wrong'):.0f}",
                     f"{merged(mine, 'steps_back'):.0f}", f"{mine[0]['register_uptime']:,.0f} s",
                     f"{mine[0]['register_hours']:,.0f} h"])
    lab.table("Edges of counters, all three makers", ["edge", "telegrams", "hourly readings", "integral wrong", "steps back",
              "uptime after it (41009)", "hours (40048)"], rows, COMMAND,
              "where the meter's calendar, which ends with 2099, cannot follow, its next list waits for a second")


def check_edges(lab: Lab, found: list[tuple[str, Run]]) -> None:
    for name, r in found:
        r.name = name
        # a calendar that cannot follow 136 years: one list waits
        r.is_faulty = r.is_faulty or name == "up-time 2^32 s"
        check_always(lab, r)
        if not r.found:
            continue
        seconds = (int(r.options[-1].split("=")[1]) // 1000 if name.startswith("up-time") else 0) + 18000
        lab.check(f"{r.maker}, {name}: up-time is counted, or stands at its end",
                  abs(r["register_uptime"] - min(seconds, 2**32 - 1)) <= 2, f"{r['register_uptime']}")
        lab.check(f"{r.maker}, {name}: hours too", abs(r["register_hours"] - min(seconds // 3600, 65535)) <= 1,
                  f"{r['register_hours']}")
        if name.startswith("counts"):
            lab.check(f"{r.maker}: the count of starts goes on from 0", r["register_starts"] == 0,
                      f"{r['register_starts']}")
            lab.check(f"{r.maker}: the count of telegrams too",
                      r["register_telegrams"] == (2**32 - 1 + r["delivered"]) % 2**32, f"{r['register_telegrams']}")


def run(lab: Lab) -> None:
    years, losses, faults, cuts, two_nights, ends = (calm(lab), lossy(lab), faulty(lab), cut_storm(lab), nights(lab),
                                                     edges(lab))
    # the longest first
    plain = faults + years + cuts + losses + two_nights
    go(lab, plain + [r for _, r in ends])
    for r in plain:
        check_always(lab, r)
    check_edges(lab, ends)
    if not all(r.found for r in plain + [r for _, r in ends]):
        return
    for r in years:
        check_error(lab, r)
    lab.check("faults: the gateway saw meters and counters change",
              merged(faults, "news_swapped") > 0 and merged(faults, "news_reset") > 0)
    table_calm(lab, years)
    table_lossy(lab, losses)
    table_faulty(lab, faults)
    table_cuts(lab, cuts)
    table_edges(lab, ends)
