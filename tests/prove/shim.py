"""The other end of process_shim.c's page: a gateway's time, its memory, its threads."""

import ctypes
import mmap
import os
import signal
import struct
import time
from pathlib import Path

LAYOUT = struct.Struct("=IIqqqqQQQ48s")  # struct page
LIMIT, COUNT, FAIL_AT, FAILED = 32, 40, 48, 56
STICK = signal.SIGRTMIN + 7
_libc = ctypes.CDLL(None, use_errno=True)


class Shim:
    def __init__(self, library: Path, page: Path):
        self._library, self._path = library, page
        page.write_bytes(bytes(LAYOUT.size))
        self._file = open(page, "r+b")
        self._page = mmap.mmap(self._file.fileno(), LAYOUT.size)
        self._turn, self.speed = 0, 0
        self._real0 = self._mono0 = self._wall0 = self._limit = 0

    def environment(self) -> dict:
        return {"LD_PRELOAD": str(self._library), "HX_SHIM": str(self._path)}

    # ---- time: simulated seconds, of a clock that runs `speed` times as fast as ours

    def run(self, speed: int, wall_s: float | None = None) -> None:
        """From now on this fast; wall_s: and what the wall clock shows now."""
        struct.pack_into("=I", self._page, 0, self._turn + 1)  # readers wait from here on
        mono, wall = self.mono_ns(), self.wall_ns()
        self._real0, self._mono0, self.speed = time.monotonic_ns(), mono, speed
        self._wall0 = wall if wall_s is None else int(wall_s * 1e9)
        struct.pack_into("=Iqqq", self._page, 4, speed, self._real0, self._mono0, self._wall0)
        self._turn += 2
        struct.pack_into("=I", self._page, 0, self._turn)

    def mono_ns(self) -> int:
        if self.speed == 0:
            return time.monotonic_ns()
        return self._mono0 + self._since()

    def _since(self) -> int:
        since = (time.monotonic_ns() - self._real0) * self.speed
        return min(since, self._limit - self._mono0) if self._limit else since

    def wall_ns(self) -> int:
        if self.speed == 0:
            return time.time_ns()
        return self._wall0 + self._since()

    def limit(self, mono_ns: int) -> None:
        """Time does not pass this moment; 0: no such moment. However late we are ourselves, to the
        gateway it is not late: a wink of ours would be minutes of silence."""
        if mono_ns == 0 or mono_ns > self._limit:  # never back: time would run back
            self._limit = mono_ns
            struct.pack_into("=q", self._page, LIMIT, mono_ns)

    def sleep_until(self, mono_ns: int) -> None:
        while (left := mono_ns - self.mono_ns()) > 0:
            time.sleep(max(left / 1e9 / max(self.speed, 1), 0.0005))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / max(self.speed, 1))

    # ---- memory

    def fail_allocation(self, number: int) -> None:
        """Refuse the allocation with that number, counted from now; 0: none; nothing is counted."""
        struct.pack_into("=Q", self._page, FAIL_AT, 0)
        struct.pack_into("=Q", self._page, COUNT, 0)
        struct.pack_into("=Q", self._page, FAILED, 0)
        struct.pack_into("=Q", self._page, FAIL_AT, number)

    def allocations(self) -> int:
        return struct.unpack_from("=Q", self._page, COUNT)[0]

    def failed(self) -> int:
        return struct.unpack_from("=Q", self._page, FAILED)[0]

    def refused_to(self) -> str:
        """The library, or program, whose allocation was refused last."""
        return struct.unpack_from("=48s", self._page, FAILED + 8)[0].split(b"\0")[0].decode()

    # ---- threads

    @staticmethod
    def threads(pid: int) -> list[int]:
        """In the order of their beginning; the first is the loop's."""
        return sorted(int(t) for t in os.listdir("/proc/%d/task" % pid))

    @staticmethod
    def stick(pid: int, thread: int) -> None:
        """That thread never comes back from where it is now."""
        if _libc.tgkill(pid, thread, STICK) != 0:
            raise OSError(ctypes.get_errno(), "tgkill")
