"""Fixtures: the program under test, and a gateway that is started and stopped properly.

HAN2X names the program (default build/debug/han2x). Waiting is always for an event with a
deadline; SLOW stretches deadlines on machines that have much else to do.
"""
import os
import pathlib

import pytest

import gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def han2x():
    """Path of the program."""
    path = pathlib.Path(os.environ.get("HAN2X", ROOT / "build/debug/han2x"))
    path = path if path.is_absolute() else ROOT / path
    if not path.is_file():
        pytest.fail("no program at %s: ./dev build, or set HAN2X" % path)
    return str(path)


@pytest.fixture
def start(han2x, tmp_path):
    """start(settings, …) → gateway.Gateway; each must end well when the test is over."""
    with gateway.Starter(han2x, tmp_path) as starter:
        yield starter


@pytest.fixture(scope="module")
def start_shared(han2x, tmp_path_factory):
    """The same, for one gateway that serves all tests of a file."""
    with gateway.Starter(han2x, tmp_path_factory.mktemp("gateway")) as starter:
        yield starter
