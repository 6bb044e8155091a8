#!/usr/bin/python3
"""What the program is made of, as a CycloneDX 1.5 list on standard output.

  packaging/sbom.py PACKAGE.deb [--holes FEED]

Shared libraries come from the package's Depends, with the versions that it was built against;
nanopb, which is linked in, from the build machine's dpkg; what the web pages contain from
web/package-lock.json, as far as web/src imports it. The same input gives the same octets.

--holes FEED: the list of the Debian security tracker (https://security-tracker.debian.org/
tracker/data/json), a file. What is open in this release goes to standard error; with a hole that
has been fixed in a later version than ours the exit code is 1.
"""
import argparse
import base64
import json
import pathlib
import re
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINKED_IN = ["libnanopb-dev"]
NAMESPACE = uuid.UUID("6f0c2d59-3f0b-5f0e-9e0d-1b2a0c8f7a51")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def release():
    text = pathlib.Path("/etc/os-release").read_text("utf-8")
    return re.search(r"^VERSION_CODENAME=(\w+)", text, re.M).group(1)


def depends(deb):
    text = output("dpkg-deb", "-f", deb, "Depends")
    return [re.split(r"[ (|:]", d.strip())[0] for d in text.split(",")]


def debian_component(name):
    """None for what is not installed here."""
    try:
        line = output("dpkg-query", "-W", "-f", "${Version} ${source:Package} ${source:Version} ${Architecture}", name)
    except subprocess.CalledProcessError:
        return None
    version, source, source_version, arch = line.split()[:4]
    purl = "pkg:deb/debian/%s@%s?arch=%s&distro=%s" % (
        name, version.replace("+", "%2B").replace(":", "%3A"), arch, release())
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "properties": [{"name": "debian:source", "value": source},
                           {"name": "debian:source-version", "value": source_version}]}


def imported():
    """Names of the npm packages that the pages' sources import."""
    names = set()
    for path in sorted((ROOT / "web/src").rglob("*.ts*")):
        names.update(re.findall(r"from '([a-z][a-z0-9-]*)[/']", path.read_text("utf-8")))
    return names


def npm_components():
    lock = ROOT / "web/package-lock.json"
    if not lock.exists():
        return []
    packages = json.loads(lock.read_text("utf-8"))["packages"]
    found = []
    for name in sorted(imported()):
        row = packages["node_modules/" + name]
        kind, _, digest = row["integrity"].partition("-")
        assert kind == "sha512"
        purl = "pkg:npm/%s@%s" % (name, row["version"])
        found.append({
            "type": "library", "bom-ref": purl, "name": name, "version": row["version"],
            "licenses": [{"license": {"id": row["license"]}}],
            "hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}],
            "purl": purl})
    return found


def bill(deb):
    name, version, arch = (output("dpkg-deb", "-f", deb, key).strip()
                           for key in ("Package", "Version", "Architecture"))
    debian = [debian_component(d) for d in sorted(set(depends(deb) + LINKED_IN))]
    components = [c for c in debian if c] + npm_components()
    ref = "pkg:deb/han2x/%s@%s?arch=%s" % (name, version, arch)
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5",
        "serialNumber": "urn:uuid:%s" % uuid.uuid5(
            NAMESPACE, ref + "".join(c["bom-ref"] for c in components)),
        "version": 1,
        "metadata": {"component": {
            "type": "application", "bom-ref": ref, "name": name, "version": version,
            "licenses": [{"license": {"id": "MIT"}}], "purl": ref}},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": [c["bom-ref"] for c in components]}],
    }


def later(fixed, ours):
    return subprocess.run(["dpkg", "--compare-versions", fixed, "gt", ours],
                          check=False).returncode == 0


def holes(components, feed):
    """How many of the known holes a newer package of this release has closed."""
    closed_elsewhere = 0
    for c in components:
        source, version = [p["value"] for p in c.get("properties", [])] or [None, None]
        for name, hole in sorted(feed.get(source, {}).items()):
            here = hole.get("releases", {}).get(release())
            if here is None or here["status"] == "undetermined":
                continue
            fixed = here.get("fixed_version", "0")
            if here["status"] == "open":
                print("%s %s: %s is open (%s)" % (c["name"], c["version"], name, here["urgency"]),
                      file=sys.stderr)
            elif fixed != "0" and later(fixed, version):
                print("%s %s: %s, closed in %s" % (c["name"], c["version"], name, fixed),
                      file=sys.stderr)
                closed_elsewhere += 1
    return closed_elsewhere


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("deb")
    parser.add_argument("--holes")
    given = parser.parse_args()
    made = bill(given.deb)
    json.dump(made, sys.stdout, indent=2)
    print()
    if given.holes:
        feed = json.loads(pathlib.Path(given.holes).read_text("utf-8"))
        return 1 if holes(made["components"], feed) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
