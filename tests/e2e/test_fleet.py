"""Ten gateways and a broker that is killed: the short form of tests/bench/fleet.py."""
import argparse
import pathlib
import sys

import gateway

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import fleet  # noqa: E402  (another folder of tests)
import fleet_brokers  # noqa: E402
import fleet_gateways  # noqa: E402


def test_what_is_expected_of_an_hour():
    """The list at 07:00 in Oslo ends the hour from 06:00, in January 05:00 UTC; gateway 2's
    counter began at 3000 kWh and has 1.002 kWh an hour."""
    assert fleet_gateways.expected_hour(2, 7) == ("2025-01-06T05:00:00Z", 3007.014)
    assert fleet_gateways.expected_hour(2, 0) == ("2025-01-05T22:00:00Z", 3000.0)


def test_what_counts_as_lost():
    sent = [fleet_gateways.expected_hour(1, hour) for hour in range(3)]
    assert fleet.missing([{}, dict(sent)], 3) == [(0, 0), (0, 1), (0, 2)]
    assert fleet.missing([dict(sent)], 3) == [(0, 0), (0, 1), (0, 2)], "another gateway's readings"
    assert fleet.missing([{}, dict(sent[:1] + sent[2:])], 3)[3:] == [(1, 1)]


def test_no_hour_is_lost(han2x, tmp_path):
    options = argparse.Namespace(program=han2x, secs=2, settle=False, hour=0.3, down=2,
                                 death="kill")
    row = fleet.measure(options, fleet_brokers.Mosquitto, 10, tmp_path)
    assert row["hours"] == 60, "six hours of ten gateways"
    assert row["lost"] == 0 and row["backwards"] == 0 and row["crowded"] == 0, row
    assert row["back_s"] is not None and row["back_s"] < 30 * gateway.SLOW, row
    assert row["messages_s"] > 0 and row["pss_kb"] > 0, row
