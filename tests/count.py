#!/usr/bin/python3
"""Counts test results: prints "PASSED FAILED SKIPPED".

count.py meson testlog.json   one object a line, as `meson test` writes it; cmocka's cases are
                              counted one by one, a case that began and did not end has failed
count.py junit report.xml     as pytest writes it
"""
import json
import re
import sys
import xml.etree.ElementTree


def cmocka(result, text):
    ran = len(re.findall(r"^\[ RUN      \]", text, re.M))
    passed = len(re.findall(r"^\[       OK \]", text, re.M))
    skipped = len(re.findall(r"^\[  SKIPPED \]", text, re.M))
    if result == "SKIP":
        return 0, 0, 1
    good = result in ("OK", "EXPECTEDFAIL")
    if ran == 0:  # not a cmocka program
        return int(good), int(not good), 0
    failed = ran - passed - skipped
    return passed, failed if good else max(failed, 1), skipped


def meson(path):
    with open(path, encoding="utf-8") as log:
        tests = [json.loads(line) for line in log]
    # QEMU writes what a bare machine prints to its own stderr
    rows = [cmocka(t["result"], t.get("stdout", "") + t.get("stderr", "")) for t in tests]
    return [sum(column) for column in zip(*rows)] if rows else [0, 1, 0]


def junit(path):
    total = [0, 0, 0]
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total[0] += int(suite.get("tests", 0)) - failed - skipped
        total[1] += failed
        total[2] += skipped
    return total


def main():
    try:
        counts = {"meson": meson, "junit": junit}[sys.argv[1]](sys.argv[2])
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        print(f"count.py: {error}", file=sys.stderr)  # no report: the run itself broke
        counts = [0, 1, 0]
    print(*counts)


main()
