"""The web pages as a browser shows them, served by a real gateway."""
import os
import pathlib
import shutil
import subprocess

import pytest

import gateway

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


def test_a_round_through_the_pages(start):
    """M2, M7, M12, M27: from the factory to a password of one's own, and every page once."""
    if not shutil.which("node") or not (WEB / "node_modules/playwright-core").exists():
        pytest.skip("needs node and web/node_modules (./dev web)")
    if not os.path.exists(CHROMIUM):
        pytest.skip("needs chromium")
    port = gateway.free_port()
    conf = start.folder / "pages.conf"
    conf.write_text("")
    start({"meter.source": "sim:aidon", "web.enabled": "yes", "web.listen": "127.0.0.1",
           "web.port": port, "web.tls_port": 0},
          arguments=("-c", str(conf)))
    url = "http://127.0.0.1:%d" % port
    page = gateway.wait_for("the pages", lambda: fetch(url))
    if "/assets/app." not in page:
        pytest.skip("the program was built without the pages")
    done = subprocess.run(["node", "test/real.mjs", url], cwd=WEB, capture_output=True, text=True,
                          timeout=180 * gateway.SLOW, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def fetch(url):
    """The first page, or nothing while there is no answer."""
    answer = subprocess.run(["curl", "-s", "--compressed", url + "/"], capture_output=True, text=True,
                            timeout=10, check=False)
    return answer.stdout
