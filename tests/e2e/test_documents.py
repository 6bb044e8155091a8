"""The settings shown in the documents are settings: each block that begins with a [section] of ours
is loaded by the program. The documents' links and pairs: tests/docs_links.py."""
import pathlib
import re
import subprocess

import pytest

import gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = "meter modbus_tcp modbus_rtu mqtt web network device io".split()
BLOCK = re.compile(r"^ *```\n( *\[(?:%s)\]\n.*?)^ *```$" % "|".join(SECTIONS), re.M | re.S)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("??/*.md"))]
SHOWN = [(p.relative_to(ROOT), block) for p in PAGES for block in BLOCK.findall(p.read_text("utf-8"))]


def test_there_are_some():
    assert len(SHOWN) > 20


@pytest.mark.parametrize("page,text", SHOWN, ids=["%s-%d" % (p, i) for i, (p, _) in enumerate(SHOWN)])
def test_settings_in_the_documents(han2x, tmp_path, page, text):
    conf = tmp_path / "shown.conf"
    conf.write_text(text, "utf-8")
    # a state folder that cannot be: the program goes no further than that; no secret is at hand here
    run = subprocess.run([han2x, "run", "-c", str(conf), "-s", "mqtt.password_file=", "-s",
                          "modbus_tcp.port=%d" % gateway.free_port(), "-s", "modbus_tcp.listen=127.0.0.1",
                          "--state-dir", "/dev/null/no"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 1 and "state folder /dev/null/no" in run.stderr, (page, run.stderr)
