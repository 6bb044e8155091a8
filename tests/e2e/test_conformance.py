"""A conformance checker of its own make against the running gateway.

It is not part of this repository: CONFORMANCE names it, or it lies in shared/tools beside the
checkout. Without it these tests are skipped; what it checks is covered, more narrowly, by the
unit tests of the Modbus server.
"""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECKER = pathlib.Path(os.environ.get("CONFORMANCE", ROOT.parent / "shared/tools/mbconform.py"))
# the scale factor may be written; 40001 may not
OURS = ["--unit", "1", "--base", "0", "--writable", "48", "--words", "2", "--min", "10",
        "--max", "999999999", "--readonly", "0"]

pytestmark = pytest.mark.skipif(not CHECKER.is_file(),
                                reason="no conformance checker at %s" % CHECKER)


def check(*target):
    done = subprocess.run([sys.executable, str(CHECKER), *target, *OURS], capture_output=True,
                          text=True, timeout=150)
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    assert not failed, "\n".join(failed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(line.startswith("ok") for line in lines) > 20


def test_tcp(start):
    running = start()
    check("127.0.0.1", str(running.port))


def test_rtu(start):
    line = start.line()
    start({"modbus_rtu.enabled": "yes", "modbus_rtu.device": line.ours})
    check("--rtu", line.theirs, "--baud", "9600")
