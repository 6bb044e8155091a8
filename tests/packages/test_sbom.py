"""The list of what the program is made of, and its match against known holes."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def deb(tmp_path):
    """A package with nothing in it but what it depends on."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg")
    control = tmp_path / "made/DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: han2x\nVersion: 1.2\nArchitecture: all\nMaintainer: x <x@x.invalid>\n"
                       "Description: x\nDepends: libc6 (>= 2.34), tzdata\n", "ascii")
    made = tmp_path / "han2x.deb"
    subprocess.run(["dpkg-deb", "--build", str(control.parents[1]), str(made)], check=True,
                   stdout=subprocess.DEVNULL)
    return made


def sbom(deb, *arguments):
    return subprocess.run([sys.executable, str(ROOT / "packaging/sbom.py"), str(deb), *arguments],
                          capture_output=True, text=True, check=False)


def test_components(deb):
    done = sbom(deb)
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    found = {c["name"]: c["version"] for c in bill["components"]}
    libc = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libc6"], capture_output=True,
                          text=True, check=True).stdout
    assert found["libc6"] == libc
    assert {"tzdata", "libnanopb-dev"} <= set(found)
    pages = json.loads((ROOT / "web/package.json").read_text("utf-8"))["devDependencies"]
    assert (found["preact"], found["uplot"]) == (pages["preact"], pages["uplot"])
    assert "typescript" not in found  # a tool: nothing of it is in the program
    refs = [c["bom-ref"] for c in bill["components"]]
    assert bill["dependencies"][0]["dependsOn"] == refs and len(set(refs)) == len(refs)
    assert sbom(deb).stdout == done.stdout


def test_holes(deb, tmp_path):
    """A feed in the form of the Debian security tracker: one hole of each kind."""
    release = re.search(r"^VERSION_CODENAME=(\w+)",
                        pathlib.Path("/etc/os-release").read_text("utf-8"), re.M).group(1)

    def hole(status, fixed=None, where=release):
        row = {"status": status, "urgency": "low", "repositories": {}}
        return {"releases": {where: row if fixed is None else dict(row, fixed_version=fixed)}}
    feed = tmp_path / "feed.json"

    def match(holes):
        feed.write_text(json.dumps({"glibc": holes}), "utf-8")
        return sbom(deb, "--holes", str(feed))
    quiet = match({"CVE-1": hole("resolved", "0.1"), "CVE-2": hole("resolved", "0"),
                   "CVE-3": hole("open", where="elsewhere"), "CVE-4": hole("undetermined")})
    assert (quiet.returncode, quiet.stderr) == (0, "")
    # open everywhere: told, but there is nothing to install
    known = match({"CVE-5": hole("open")})
    assert known.returncode == 0 and "CVE-5 is open" in known.stderr
    late = match({"CVE-6": hole("resolved", "999.0")})
    assert late.returncode == 1 and "CVE-6, closed in 999.0" in late.stderr
