"""Recorded telegrams with the values that they hold: tests/vectors/."""
import pathlib

import han_decoder

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "vectors"


def _read(folder):
    return {p.stem: han_decoder.from_json(p.read_text()) for p in folder.glob("*.json")}


def telegrams():
    """Norwegian market, by name."""
    return _read(FOLDER)


def streams():
    """Pieces of long recordings, by name."""
    return _read(FOLDER / "streams")
